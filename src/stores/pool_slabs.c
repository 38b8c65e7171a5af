/* SPDX-License-Identifier: MIT
 *
 * Pools: their life, their slabs, and finding a block in them.
 */
#include "base/mem.h"
#include "stores/pool_internal.h"

/* --- finding ---------------------------------------------------------------------------------- */

uint32_t eai_pool_total(const pool_t *pool)
{
    uint32_t total = pool->eai_n_blocks;
    const eai_pool_slab_t *slab = EAI_LOAD(&pool->eai_slabs, EAI_ACQUIRE); /* pairs with add_slab */
    for (; slab != NULL; slab = EAI_LOAD(&slab->next, EAI_ACQUIRE)) total += slab->n_blocks;
    return total;
}

#if EA_CFG_POOL_SLABS > 1

/* Both take at most EA_CFG_POOL_SLABS - 1 steps. */
eai_pool_slab_t *eai_pool_slab_with(const pool_t *pool, uintptr_t index)
{
    eai_pool_slab_t *slab = EAI_LOAD(&pool->eai_slabs, EAI_ACQUIRE); /* pairs with add_slab */
    for (; slab != NULL; slab = EAI_LOAD(&slab->next, EAI_ACQUIRE)) {
        if (index - slab->first < slab->n_blocks) break;
    }
    return slab;
}

eai_pool_slab_t *eai_pool_slab_around(const pool_t *pool, const void *ptr)
{
    eai_pool_slab_t *slab = EAI_LOAD(&pool->eai_slabs, EAI_ACQUIRE); /* pairs with add_slab */
    for (; slab != NULL; slab = EAI_LOAD(&slab->next, EAI_ACQUIRE)) {
        if (index_at(pool, (uintptr_t)ptr - (uintptr_t)slab->base) < slab->n_blocks) break;
    }
    return slab;
}

#endif

bool ea_pool_owns(const pool_t *pool, const void *ptr)
{
    return index_at(pool, (uintptr_t)ptr - (uintptr_t)pool->eai_base) < pool->eai_n_blocks ||
           eai_pool_slab_around(pool, ptr) != NULL;
}

/* --- life ------------------------------------------------------------------------------------- */

/* What holds a slab's blocks: the first one's address and how many. */
typedef struct {
    unsigned char *base;
    uintptr_t n_blocks;
} span_t;

static uintptr_t align_up(uintptr_t x, uintptr_t alignment)
{
    return (x + alignment - 1u) & ~(alignment - 1u);
}

static uintptr_t smaller(uintptr_t a, uintptr_t b)
{
    return a < b ? a : b;
}

/* As many blocks as fit between begin and end with their bits below them. First without alignment:
 * a group is 32 blocks and their word of bits. What aligning costs comes off, and the room of a
 * word of bits that is then not needed comes back. */
static span_t fit(uintptr_t begin, uintptr_t end, uintptr_t block_bytes, uintptr_t alignment)
{
    const uintptr_t word = EAI_POOL_BITS_BYTES(1u);
    uintptr_t room = end - begin, n = 0;
    if (block_bytes <= room / BITS_PER_WORD) {
        uintptr_t group = BITS_PER_WORD * block_bytes + word;
        n = room / group * BITS_PER_WORD;
        room %= group;
    }
    if (room > word) n += (room - word) / block_bytes;
    span_t span = {NULL, 0};
    for (int look = 0; look < 2; look++) {
        uintptr_t base = align_up(begin + EAI_POOL_BITS_BYTES(n), alignment);
        if (base >= end || base < begin) return span;
        uintptr_t limit = look == 0 || !EA_CFG_POOL_VALIDATE ? n : align_up(n, BITS_PER_WORD);
        n = smaller((end - base) / block_bytes, limit);
        span.base = (unsigned char *)base;
        span.n_blocks = n;
    }
    return span;
}

static void clear_bits(unsigned char *base, uintptr_t n_blocks)
{
    size_t bytes = EAI_POOL_BITS_BYTES(n_blocks);
    memset(base - bytes, 0, bytes);
}

/* A seal with one more word in it. A multiplication by an odd number and an exclusive or with
 * its own upper bits can be undone, so whichever single word changes, the seal does. */
static uint32_t seal_in(uint32_t seal, uintptr_t word)
{
    seal = (seal ^ (uint32_t)word) * 0x9E3779B1u;
    seal ^= seal >> 16;
    if (sizeof word == 8) {
        seal = (seal ^ (uint32_t)(word >> (sizeof word * 4u))) * 0x85EBCA6Bu;
        seal ^= seal >> 13;
    }
    return seal;
}

uint32_t eai_pool_seal(const pool_t *pool)
{
    uint32_t seal = seal_in(pool->eai_n_blocks, (uintptr_t)pool->eai_base);
    seal = seal_in(seal, (uintptr_t)pool->eai_slabs);
    seal = seal_in(seal, pool->eai_block_bytes);
    return seal_in(seal, pool->eai_align_log2);
}

uint32_t eai_pool_slab_seal(const eai_pool_slab_t *slab)
{
    uint32_t seal = seal_in(slab->n_blocks, (uintptr_t)slab->next);
    seal = seal_in(seal, (uintptr_t)slab->memory);
    seal = seal_in(seal, (uintptr_t)slab->base);
    return seal_in(seal, slab->first);
}

/* The slabs changed. */
static void seal_all(pool_t *pool)
{
    eai_pool_slab_t *slab = pool->eai_slabs;
    for (; slab != NULL; slab = slab->next) slab->seal = eai_pool_slab_seal(slab);
    pool->eai_seal = (const unsigned char *)(uintptr_t)eai_pool_seal(pool);
}

static uintptr_t inverse_of(uintptr_t odd)
{
    uintptr_t x = (3u * odd) ^ 2u;                         /* 5 bits are right */
    for (int i = 0; i < 4; i++) x = EAI_POOL_STEP(odd, x); /* 10, 20, 40, 80   */
    return x;
}

ea_status_t ea_pool_init_aligned(pool_t *pool, void *mem, size_t size_bytes,
                                 size_t block_size_bytes, size_t alignment_bytes)
{
    uintptr_t begin = (uintptr_t)mem, end = begin + size_bytes;
    if (pool == NULL || mem == NULL || block_size_bytes == 0 || end < begin) return EA_ERR_INVALID;
    if (alignment_bytes == 0 || (alignment_bytes & (alignment_bytes - 1u)) != 0) {
        return EA_ERR_INVALID;
    }
    if (block_size_bytes > size_bytes || alignment_bytes > size_bytes) return EA_ERR_NO_MEMORY;
    size_t quantum = alignment_bytes > EAI_POOL_GRANULE ? alignment_bytes : EAI_POOL_GRANULE;
    size_t block_bytes = align_up(block_size_bytes, quantum);
    size_t alignment = alignment_bytes > EA_POOL_ALIGN ? alignment_bytes : EA_POOL_ALIGN;
    if (block_bytes > size_bytes) return EA_ERR_NO_MEMORY;
    uint64_t links = size_bytes >> LINK_SHIFT; /* 64 bits: there are cores where it always fits */
    if (links * EA_CFG_POOL_SLABS > UINT32_MAX) return EA_ERR_TOO_LARGE;
    span_t span = fit(begin, end, block_bytes, alignment);
    if (span.n_blocks == 0) return EA_ERR_NO_MEMORY;

    clear_bits(span.base, span.n_blocks);
    memset(pool, 0, sizeof *pool);
    pool->eai_base = span.base;
    pool->eai_n_blocks = (uint32_t)span.n_blocks;
    pool->eai_block_bytes = (uint32_t)block_bytes;
    pool->eai_rotate = EAI_POOL_ROTATE((uint32_t)block_bytes);
    pool->eai_align_log2 = (uint8_t)__builtin_ctz((unsigned)alignment);
    pool->eai_inverse = inverse_of(block_bytes >> (LINK_SHIFT + pool->eai_rotate));
    pool->eai_no_link_bits = EAI_POOL_NO_LINK_BITS(block_bytes, span.n_blocks);
#if EAI_POOL_LOCAL
    pool->eai_mask = UINT32_MAX >> pool->eai_no_link_bits;
#endif
    pool->eai_head = link_mask(pool);
    seal_all(pool);
    return EA_OK;
}

ea_status_t ea_pool_set_secret(pool_t *pool, uint32_t secret)
{
    (void)secret;
    if (pool->eai_fresh != 0) return EA_ERR_BUSY;
#if EA_CFG_ENCODE_LINKS
    pool->eai_secret = secret;
#endif
    return EA_OK;
}

/* Links on the list from first on, n of them at most; the list is at most as long as blocks were
 * ever laid out, so a longer one is damaged: *sound becomes false. */
typedef struct {
    index_t first;
    uint32_t n_blocks;
} range_t;

static uint32_t count_on_list(const pool_t *pool, range_t range, bool *sound)
{
    uint32_t n = 0, left = pool->eai_fresh;
    pool_link_t link = link_of(pool, pool->eai_head);
    for (; !is_end(pool, link); left--) {
        uintptr_t index = index_of_link(pool, link);
        place_t place = place_of(pool, index);
        *sound = left > 0 && place.base != NULL;
        if (!*sound) return 0;
        n += index - range.first < range.n_blocks;
        link = eai_pool_read_link(pool, block_at(pool, place));
    }
    *sound = true;
    return n;
}

ea_status_t ea_pool_deinit(pool_t *pool, size_t *n_live)
{
    size_t live;
#if EA_CFG_POOL_STATS
    live = pool->eai_counters.eai_n_allocs - pool->eai_counters.eai_n_frees;
#else
    bool sound;
    range_t all = {0, UINT32_MAX};
    live = pool->eai_fresh - count_on_list(pool, all, &sound);
#if EAI_POOL_LOCAL
    unsigned char *block = pool->eai_local; /* as many steps as blocks are left to account for */
    for (; live > 0 && block != NULL; block = eai_pool_read_pointer(pool, block)) live--;
#endif
#endif
    if (n_live != NULL) *n_live = live;
    if (live != 0) return EA_ERR_BUSY;
    pool->eai_n_blocks = 0;
    pool->eai_slabs = NULL;
    pool->eai_head = link_mask(pool);
#if EAI_POOL_LOCAL
    pool->eai_local = NULL;
#endif
    return EA_OK;
}

/* --- slabs ------------------------------------------------------------------------------------ */

/* Do the bytes from begin to end meet those of so many blocks at base, or what is below them from
 * below on? */
static bool meets(const pool_t *pool, uintptr_t begin, uintptr_t end, uintptr_t below,
                  const unsigned char *base, uint32_t n_blocks)
{
    return begin < (uintptr_t)base + (size_t)n_blocks * pool->eai_block_bytes && below < end;
}

ea_status_t ea_pool_add_slab(pool_t *pool, void *mem, size_t size_bytes)
{
    uintptr_t begin = (uintptr_t)mem, end = begin + size_bytes;
    if (pool == NULL || mem == NULL || end < begin || pool->eai_n_blocks == 0) {
        return EA_ERR_INVALID;
    }
    uintptr_t header = align_up(begin, sizeof(void *));
    if (header < begin || header > end || end - header < sizeof(eai_pool_slab_t)) {
        return EA_ERR_NO_MEMORY;
    }
    span_t span = fit(header + sizeof(eai_pool_slab_t), end, pool->eai_block_bytes,
                      (uintptr_t)1 << pool->eai_align_log2);
    if (span.n_blocks == 0) return EA_ERR_NO_MEMORY;

    eai_pool_slab_t **last = &pool->eai_slabs;
    uintptr_t first = pool->eai_n_blocks, n_slabs = 1;
    if (meets(pool, begin, end, (uintptr_t)pool->eai_base - EAI_POOL_BITS_BYTES(pool->eai_n_blocks),
              pool->eai_base, pool->eai_n_blocks))
        return EA_ERR_INVALID;
    for (; *last != NULL; last = &(*last)->next, n_slabs++) {
        const eai_pool_slab_t *other = *last;
        if (meets(pool, begin, end, (uintptr_t)other->memory, other->base, other->n_blocks))
            return EA_ERR_INVALID;
        first += other->n_blocks;
    }
    uint64_t links = (uint64_t)(first + span.n_blocks) * link_at(pool, 1);
    if (n_slabs >= EA_CFG_POOL_SLABS || links > link_mask(pool)) {
        return EA_ERR_RANGE;
    }
    eai_pool_slab_t *slab = (eai_pool_slab_t *)header;
    slab->next = NULL;
    slab->memory = mem;
    slab->base = span.base;
    slab->first = (index_t)first;
    slab->n_blocks = (uint32_t)span.n_blocks;
    clear_bits(span.base, span.n_blocks);
    EAI_STORE(last, slab, EAI_RELEASE); /* pairs with acquire in the finding functions */
    seal_all(pool);
    /* Those who wait get of the new blocks what there is; at most n_blocks steps. */
    for (uintptr_t i = 0; i < span.n_blocks && is_waited_for(pool); i++) {
        (void)ea_pool_free(pool, eai_pool_offer(pool));
    }
    return EA_OK;
}

/* Take the slab's blocks off the list, and move the links of the slabs behind it down. */
static void renumber_list(pool_t *pool, const eai_pool_slab_t *slab)
{
    pool_link_t first = link_at(pool, slab->first), n = link_at(pool, slab->n_blocks);
    pool_link_t link = link_of(pool, pool->eai_head), end = link_mask(pool), kept = end;
    unsigned char *before = NULL;
    pool_link_t new_first = end;
    for (; link != end;) {
        place_t place = place_of(pool, index_of_link(pool, link));
        unsigned char *block = block_at(pool, place);
        pool_link_t next = eai_pool_read_link(pool, block);
        if (link - first >= n) {
            kept = link < first ? link : link - n;
            if (before != NULL) {
                eai_pool_write_link(pool, before, kept);
            } else {
                new_first = kept;
            }
            before = block;
        }
        link = next;
    }
    if (before != NULL) eai_pool_write_link(pool, before, end);
    pool->eai_head = head_after_push(end, pool->eai_head, new_first);
}

ea_status_t ea_pool_remove_slab(pool_t *pool, void *mem, size_t *n_live)
{
    eai_pool_slab_t **at = &pool->eai_slabs;
    while (*at != NULL && (*at)->memory != mem) at = &(*at)->next;
    eai_pool_slab_t *slab = *at;
    if (n_live != NULL) *n_live = 0;
    if (slab == NULL) return EA_ERR_NOT_FOUND;

    bool sound;
    range_t range = {slab->first, slab->n_blocks};
    uintptr_t laid = pool->eai_fresh > slab->first ? pool->eai_fresh - slab->first : 0;
    laid = smaller(laid, slab->n_blocks);
    uint32_t n_free = count_on_list(pool, range, &sound);
    if (!sound) return EA_ERR_CORRUPT;
    if (n_live != NULL) *n_live = laid - n_free;
    if (laid != n_free) return EA_ERR_BUSY;

    renumber_list(pool, slab);
    pool->eai_fresh -= (uint32_t)laid;
    for (eai_pool_slab_t *later = slab->next; later != NULL; later = later->next) {
        later->first -= slab->n_blocks;
    }
    *at = slab->next;
    seal_all(pool);
    return EA_OK;
}
