/* SPDX-License-Identifier: MIT
 *
 * What the pool's sources share: links, indexes, slabs and bits. The layout is drawn in pool.c.
 */
#ifndef EALLOC_STORES_POOL_INTERNAL_H
#define EALLOC_STORES_POOL_INTERNAL_H

#include "ealloc/pool.h"

#include "base/atomic.h"

typedef ea_pool_t pool_t;
typedef uint32_t pool_link_t; /* a block's distance from the first slab's base >> LINK_SHIFT */
typedef uint32_t index_t;

#define LINK_SHIFT EAI_POOL_LINK_SHIFT
#define BITS_PER_WORD 32u

/* An added slab: header, bits, blocks. */
struct eai_pool_slab {
    EAI_SHARED(eai_pool_slab_t *) next;
    void *memory; /* as given to ea_pool_add_slab() */
    unsigned char *base;
    index_t first; /* index of its first block: those of the slabs before it are smaller */
    uint32_t n_blocks;
    uint32_t seal; /* of the fields above */
};

/* Where a block is. */
typedef struct {
    unsigned char *base; /* of its slab; NULL: nowhere */
    uintptr_t local;     /* its index there            */
} place_t;

/* --- links ------------------------------------------------------------------------------------ */

#if EAI_ATOMICS == EAI_ATOMICS_CAS

EA_INLINE pool_link_t link_mask(const pool_t *pool)
{
#if EAI_POOL_LOCAL
    return pool->eai_mask;
#else
    return UINT32_MAX >> pool->eai_no_link_bits;
#endif
}
/* The head after the block it leads to was taken: another tag, the link to what follows. */
EA_INLINE uintptr_t head_after_pop(const pool_t *pool, uintptr_t head, pool_link_t next)
{
    return ((head | link_mask(pool)) + 1u) | next;
}
/* With the link mask in hand: it would be read anew after each store to a block. */
EA_INLINE uintptr_t head_after_push(pool_link_t mask, uintptr_t head, pool_link_t link)
{
    return (head & ~(uintptr_t)mask) | link;
}
EA_INLINE pool_link_t link_of(const pool_t *pool, uintptr_t head)
{
    return (pool_link_t)head & link_mask(pool);
}
EA_INLINE bool is_end(const pool_t *pool, pool_link_t link)
{
    return link == link_mask(pool);
}

#else

EA_INLINE pool_link_t link_mask(const pool_t *pool)
{
    (void)pool;
    return UINT32_MAX;
}
EA_INLINE uintptr_t head_after_pop(const pool_t *pool, uintptr_t head, pool_link_t next)
{
    (void)pool, (void)head;
    return next;
}
EA_INLINE uintptr_t head_after_push(pool_link_t mask, uintptr_t head, pool_link_t link)
{
    (void)mask, (void)head;
    return link;
}
EA_INLINE pool_link_t link_of(const pool_t *pool, uintptr_t head)
{
    (void)pool;
    return (pool_link_t)head;
}
EA_INLINE bool is_end(const pool_t *pool, pool_link_t link)
{
    (void)pool;
    return link == UINT32_MAX;
}

#endif

/* --- the words in free blocks ----------------------------------------------------------------- */

/* The one read that may race: the block may have been handed out since its link was read from the
 * head, and its owner may be writing to it. The value is then void, and the store that would use it
 * fails. */
EAI_RACY pool_link_t eai_pool_read_link(const pool_t *pool, unsigned char *block)
{
    return EAI_LOAD_RACY((eai_pool_link_t *)(void *)block) ^ eai_pool_key(pool);
}

#if EAI_POOL_LOCAL
/* The same on the list of the unlocked calls. */
EAI_RACY unsigned char *eai_pool_read_pointer(const pool_t *pool, unsigned char *block)
{
    uintptr_t pointer = (uintptr_t)EAI_LOAD_RACY((eai_pool_pointer_t *)(void *)block);
    return (unsigned char *)(pointer ^ eai_pool_long_key(pool));
}
#endif

/* The block is the caller's. */
EA_INLINE void eai_pool_write_link(const pool_t *pool, unsigned char *block, pool_link_t link)
{
    EAI_STORE_RACY((eai_pool_link_t *)(void *)block, link ^ eai_pool_key(pool));
}

/* --- indexes ---------------------------------------------------------------------------------- */

/* The index of the block that begins so many bytes behind a base: at least n_blocks of its slab
 * unless a block begins there. Rotation brings bits that should be 0 to the top; the odd part's
 * inverse maps multiples of it to their quotient and everything else to something larger. */
EA_INLINE uintptr_t index_at(const pool_t *pool, uintptr_t distance_bytes)
{
    uintptr_t link = eai_pool_rotate(distance_bytes, LINK_SHIFT);
    return eai_pool_rotate(link, pool->eai_rotate) * pool->eai_inverse;
}

EA_INLINE pool_link_t link_at(const pool_t *pool, index_t index)
{
    return index * (pool->eai_block_bytes >> LINK_SHIFT);
}

EA_INLINE uintptr_t index_of_link(const pool_t *pool, pool_link_t link)
{
    return eai_pool_rotate(link, pool->eai_rotate) * pool->eai_inverse;
}

EA_INLINE unsigned char *block_at(const pool_t *pool, place_t place)
{
    return place.base + place.local * pool->eai_block_bytes;
}

/* Whether a link, or a distance in bytes, leads to a block of the first slab; local is its index if
 * so. With bits the index tells (also for the end of the list: of all ones no block's index comes
 * out); without them nothing is divided, and with one slab nothing is asked. */
EA_INLINE bool is_in_first(const pool_t *pool, uintptr_t distance_bytes, uintptr_t local)
{
#if EA_CFG_POOL_VALIDATE
    (void)distance_bytes;
    return local < pool->eai_n_blocks;
#elif EA_CFG_POOL_SLABS > 1
    (void)local;
    return distance_bytes < (uintptr_t)pool->eai_n_blocks * pool->eai_block_bytes;
#else
    (void)pool, (void)distance_bytes, (void)local;
    return true;
#endif
}

/* --- waiting ---------------------------------------------------------------------------------- */

#if EA_CFG_POOL_WAIT

/* Free pushes its block, then looks whether somebody waits. Where several cores run both are in the
 * one order that all agree on; elsewhere, and behind a lock, the program's order is that. */
#if EAI_ATOMICS == EAI_ATOMICS_CAS
#define PUSH EAI_CAS_SEQ_CST
#define LOOK EAI_SEQ_CST
#else
#define PUSH EAI_CAS
#define LOOK EAI_RELAXED
#endif

EA_INLINE bool is_waited_for(const pool_t *pool)
{
    return EAI_LOAD(&pool->eai_waiting.eai_table, LOOK) != NULL;
}

/* As ea_pool_alloc(), but that there is no block does not count as a failure: who waits has not
 * failed yet. (It counts if another context takes the last one meanwhile.) */
void *eai_pool_take(pool_t *pool);
void eai_pool_count_failure(pool_t *pool);

/* Hand a free block, if there is one, to the first that waits. Returns the block if nobody waits
 * any more: the caller is to free it, and so look again. Context: any. Cost O(1). */
void *eai_pool_offer(pool_t *pool);

#else

#define PUSH EAI_CAS

EA_INLINE bool is_waited_for(const pool_t *pool)
{
    (void)pool;
    return false;
}

EA_INLINE void *eai_pool_offer(pool_t *pool)
{
    (void)pool;
    return NULL;
}

#endif

/* --- slabs ------------------------------------------------------------------------------------ */

uint32_t eai_pool_total(const pool_t *pool);
/* The added slab that holds the block of this index, or that begins at ptr; NULL: none does. */
#if EA_CFG_POOL_SLABS > 1
eai_pool_slab_t *eai_pool_slab_with(const pool_t *pool, uintptr_t index);
eai_pool_slab_t *eai_pool_slab_around(const pool_t *pool, const void *ptr);
#else
EA_INLINE eai_pool_slab_t *eai_pool_slab_with(const pool_t *pool, uintptr_t index)
{
    (void)pool, (void)index;
    return NULL;
}
EA_INLINE eai_pool_slab_t *eai_pool_slab_around(const pool_t *pool, const void *ptr)
{
    (void)pool, (void)ptr;
    return NULL;
}
#endif

EA_INLINE place_t place_of(const pool_t *pool, uintptr_t index)
{
    place_t place = {pool->eai_base, index};
    if (EA_LIKELY(index < pool->eai_n_blocks)) return place;
    const eai_pool_slab_t *slab = eai_pool_slab_with(pool, index);
    place.base = slab == NULL ? NULL : slab->base;
    place.local = slab == NULL ? 0 : index - slab->first;
    return place;
}

uint32_t eai_pool_seal(const pool_t *pool);
uint32_t eai_pool_slab_seal(const eai_pool_slab_t *slab);

#endif
