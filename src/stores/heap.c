/* SPDX-License-Identifier: MIT
 *
 * The heap: allocation, freeing and reallocation. heap_regions.c holds its life and its regions,
 * heap_check.c what looks at it.
 *
 * Blocks tile a region. A payload is EA_HEAP_ALIGN-aligned and its 4-byte header stands right below:
 *
 *     used   [size|PF] payload ..............................      4 bytes of overhead
 *     free   [size|F ] next prev ..................... [size]      the size again, at the end
 *     end    [0   |PF]                                             closes a region, never freed
 *
 * The control structure holds a bitmap and one circular list head (a sentinel) a bin. A sentinel is
 * laid out like the links of a free block, so linking and unlinking never ask whether they touch one:
 *
 *     words   ..1..1.....1        a bit a bin, and one that is always set for the guard
 *     bins    [next prev] ... [next prev] [0 0] [guard next prev]
 *
 * The guard's list is empty: its first block is the guard itself, whose header position holds the slot
 * of zeros before it. So a search that runs past every bin finds a block of size 0, which serves no
 * one: the scan needs no bound and no summary word.
 *
 * Invariants
 *   I1 the control structure's constants match their seal
 *   I2 regions ascend, lie inside the span and match their seals
 *   I3 blocks tile their region: sizes are whole granules, at least 16 bytes, and end at the end header
 *   I4 a header has PF set exactly when the block below is free
 *   I5 a free block carries its size at its end, and no two free blocks touch
 *   I6 a free block is linked into the bin of its size, its neighbours in the list point back at it
 *   I7 a bin's bit is set exactly when its list is not empty; the guard's is set, its list empty
 *   I8 the lists hold as many blocks as the regions
 *   I9 the counters equal what the blocks say
 *
 * Complexity: alloc does at most two bitmap scans of EAI_WORDS words, one unlink, one insert; free at
 * most two unlinks and one insert.
 *
 * Rejected: two-level bins (a second word to load and to clear; 4 bins per doubling with a look at both
 * ends of the request's own bin fragment less than 16 bins per doubling without); rounding the
 * allocated size up to its bin; address-ordered lists (unbounded).
 */
#include "stores/heap_internal.h"

/* --- lists ---------------------------------------------------------------------------------------- */

EA_INLINE void clear_bin(ea_heap_t *heap, uint32_t bin)
{
    heap->words[bin >> 5] &= ~eai_bit(bin);
}

/* Take a block that is known to be in bin off its list. */
EA_INLINE void unlink_from(ea_heap_t *heap, links_t *block, uint32_t bin)
{
    ref_t next = block->next, prev = block->prev;
    at(heap, prev)->next = (link_t)next;
    at(heap, next)->prev = (link_t)prev;
    if (next == prev) clear_bin(heap, bin);
}

/* The same for a block found by its address: an emptied list leaves its sentinel on both sides. */
EAI_HOT void unlink_block(ea_heap_t *heap, links_t *block)
{
    ref_t next = block->next, prev = block->prev;
    at(heap, prev)->next = (link_t)next;
    at(heap, next)->prev = (link_t)prev;
    if (next == prev) clear_bin(heap, bin_of_sentinel(heap, next));
}

/* Link a free block into the bin of its size. is_rest: it is what a split left over. */
EAI_HOT void insert_block(ea_heap_t *heap, links_t *block, uint32_t size, bool is_rest)
{
    uint32_t bin = bin_of(size);
    ref_t self = ref_of(heap, block), head = sentinel(heap, bin), next, prev;
#if EAI_ORDER_HT
    (void)is_rest;
    next = at(heap, head)->next;
    prev = head;
    /* In an empty list next is the sentinel, which lies below every block: either branch is right. */
    if (is_rest || self > next) {
        next = head;
        prev = at(heap, head)->prev;
    }
#else
    if (is_rest) {
        next = head;
        prev = at(heap, head)->prev;
    } else {
        next = at(heap, head)->next;
        prev = head;
    }
#endif
    block->next = (link_t)next;
    block->prev = (link_t)prev;
    at(heap, next)->prev = (link_t)self;
    at(heap, prev)->next = (link_t)self;
    heap->words[bin >> 5] |= eai_bit(bin);
}

/* First bin at or above bin whose bit is set; the guard's is, so there is always one. */
EA_INLINE uint32_t next_bin(const ea_heap_t *heap, uint32_t bin)
{
    uint32_t i = bin >> 5;
    uint32_t word = eai_bits_from(heap->words[i], bin & 31u);
    if (word) return bin + eai_bits_first(word);
#if EAI_WORDS == 2
    return 32u + eai_bits_first(heap->words[1]);
#else
    do {
        word = heap->words[++i];
    } while (!word);
    return (i << 5) + eai_bits_first(word);
#endif
}

/* --- counters ------------------------------------------------------------------------------------- */

EA_INLINE void count_taken(ea_heap_t *heap, uint32_t size)
{
    (void)heap, (void)size;
#if EA_CFG_HEAP_STATS
    eai_usage_taken(&heap->usage, size);
#endif
}

EA_INLINE void count_given(ea_heap_t *heap, uint32_t size)
{
    (void)heap, (void)size;
#if EA_CFG_HEAP_STATS
    eai_usage_given(&heap->usage, size);
#endif
}

static EA_NOINLINE void *refuse_alloc(ea_heap_t *heap)
{
    (void)heap;
#if EA_CFG_HEAP_STATS
    heap->n_failures++;
#endif
    return NULL;
}

static EA_NOINLINE ea_status_t refuse_block(ea_heap_t *heap, ea_status_t status)
{
    (void)heap;
#if EA_CFG_HEAP_STATS
    heap->n_corruptions++;
#endif
    return status;
}

/* --- requests and fits ------------------------------------------------------------------------------ */

/* The slow path of a request's size: none, tiny, too large, or half fit's power of two. Returns the
 * request to serve; 0: refuse. */
static EA_NOINLINE size_t adjust_request(const ea_heap_t *heap, size_t request)
{
    size_t largest = (size_t)(heap->span_bytes & ~EAI_MASK) - EA_HEAP_OVERHEAD_BYTES;
    if (request == 0 || request > largest) return 0;
    if (request < EAI_TINY) request = EAI_TINY;
    if (heap->fit == EA_FIT_HALF) {
        uint32_t size = EAI_MIN_BLOCK;
        while (size < request + EA_HEAP_OVERHEAD_BYTES && size < 0x80000000u) size <<= 1; /* <= 28 */
        request = (size_t)size - EA_HEAP_OVERHEAD_BYTES;
        if (request > largest) return 0;
    }
    return request;
}

#if EA_CFG_CHECK_LEVEL >= 2
/* Do the block's list neighbours exist and point back at it? */
static bool links_agree(const ea_heap_t *heap, const links_t *block)
{
    for (int side = 0; side < 2; side++) {
        const char *other = (const char *)at(heap, side ? block->prev : block->next);
        size_t offset = (size_t)(other - base_of(heap));
        if (offset < EAI_BINS_OFFSET || offset >= heap->span_bytes) return false;
        if (offset >= heap->region.first ? offset & EAI_MASK : offset % sizeof(links_t)) return false;
        ref_t back = side ? ((const links_t *)(const void *)other)->next
                          : ((const links_t *)(const void *)other)->prev;
        if (back != ref_of(heap, block)) return false;
    }
    return true;
}
#endif

/* Is this block, met on a list, what a free block looks like? */
EA_INLINE bool free_block_ok(const ea_heap_t *heap, const links_t *block, uint32_t head)
{
    (void)heap, (void)block, (void)head;
#if EA_CFG_CHECK_LEVEL >= 1
    if (EA_UNLIKELY((head & EAI_FLAGS) != EAI_FREE)) return false;
#endif
#if EA_CFG_CHECK_LEVEL >= 2
    if (!links_agree(heap, block)) return false;
    if (*tail((const char *)block, size_of(head)) != size_of(head)) return false;
    if (!(*header((const char *)block + size_of(head)) & EAI_PREV_FREE)) return false;
#endif
    return true;
}

EA_INLINE links_t *first_of(const ea_heap_t *heap, uint32_t bin)
{
    return at(heap, at(heap, sentinel(heap, bin))->next);
}

/* The bits of bin and those after it in the same word. */
EA_INLINE uint32_t bits_at(const ea_heap_t *heap, uint32_t bin)
{
    return eai_bits_from(heap->words[bin >> 5], bin & 31u);
}

/* A free block of at least size bytes and its bin; NULL: none that the search can see. A header of a
 * free block is its size plus 1, so it compares like the size. own and word: the bin of size, bits_at()
 * it. */
EA_INLINE links_t *find_from(ea_heap_t *heap, uint32_t size, uint32_t own, uint32_t word, uint32_t *bin)
{
    uint32_t found;
    links_t *block;
    if (EA_LIKELY(word)) {
        uint32_t first = eai_bits_first(word);
        found = own + first;
        block = first_of(heap, found);
        if (*header(block) >= size) {
            /* Small blocks, the many, go low: the next bin's first block may lie below this one. */
            if (EAI_LOW_FIRST && first && own < EAI_LOW_FIRST_BINS && (word &= ~eai_bit(first))) {
                uint32_t other = own + eai_bits_first(word);
                links_t *low = first_of(heap, other);
                if (low < block && *header(low) >= size) {
                    found = other;
                    block = low;
                }
            }
            *bin = found;
            return block;
        }
        if (!first) {
            /* The request's own bin holds smaller blocks too: look at its last, then further up. */
            block = at(heap, at(heap, sentinel(heap, own))->prev);
            if (*header(block) >= size) {
                *bin = own;
                return block;
            }
        }
    }
    found = next_bin(heap, own + 1u);
    block = first_of(heap, found);
    if (*header(block) < size) return NULL;
    *bin = found;
    return block;
}

static links_t *find_fit(ea_heap_t *heap, uint32_t size, uint32_t *bin)
{
    uint32_t own = bin_of(size);
    return find_from(heap, size, own, bits_at(heap, own), bin);
}

/* Allocate size bytes at the low end of a free block; the rest stays free. */
EA_INLINE void *carve(ea_heap_t *heap, links_t *block, uint32_t bin, uint32_t size)
{
    uint32_t rest = *header(block) - EAI_FREE - size;
    char *above = (char *)block + size;
    unlink_from(heap, block, bin);
    if (rest >= EAI_MIN_BLOCK) {
        *header(above) = rest | EAI_FREE;
        *tail(above, rest) = rest;
        insert_block(heap, (links_t *)(void *)above, rest, true);
    } else {
        size += rest;
        *header((char *)block + size) &= ~EAI_PREV_FREE;
    }
    *header(block) = size;
    count_taken(heap, size);
    return block;
}

/* --- quick lists: freed blocks kept whole for the next request of their size ------------------------ */

#if EAI_QUICK
EA_INLINE void *pop_quick(ea_heap_t *heap, uint32_t g)
{
    link_t ref = heap->quick[g];
    if (!ref) return NULL;
    links_t *block = at(heap, ref);
    heap->quick[g] = block->next;
    heap->n_quick[g]--;
    heap->quick_bytes -= g << EAI_GRANULE_SHIFT;
    *header(block) &= ~EAI_MARK;
    count_taken(heap, g << EAI_GRANULE_SHIFT);
    return block;
}

EA_INLINE bool push_quick(ea_heap_t *heap, links_t *block, uint32_t g)
{
    if (heap->n_quick[g] >= EAI_QUICK_DEPTH) return false;
    block->next = heap->quick[g];
    heap->quick[g] = (link_t)ref_of(heap, block);
    heap->n_quick[g]++;
    heap->quick_bytes += g << EAI_GRANULE_SHIFT;
    *header(block) |= EAI_MARK;
    count_given(heap, g << EAI_GRANULE_SHIFT);
    return true;
}
#endif

/* --- public: alloc and free ------------------------------------------------------------------------- */

void *ea_heap_alloc(ea_heap_t *heap, size_t size_bytes)
{
    if (EA_UNLIKELY(size_bytes - EAI_TINY > heap->limit)) {
        bool none = size_bytes == 0;
        size_bytes = adjust_request(heap, size_bytes);
        if (!size_bytes) return none ? NULL : refuse_alloc(heap);
    }
    uint32_t size = block_size(size_bytes), bin;
#if EAI_QUICK
    uint32_t g = size >> EAI_GRANULE_SHIFT;
    if (EA_LIKELY(g < EAI_QUICK_GRANULES)) {
        void *quick = pop_quick(heap, g);
        if (quick) return quick;
    }
#endif
    uint32_t own = bin_of(size), word = bits_at(heap, own);
#if EAI_EXACT
    if (own < EAI_EXACT_GRANULES && word & eai_bit(0)) {
        links_t *exact = first_of(heap, own);
        if (!free_block_ok(heap, exact, *header(exact))) {
            refuse_block(heap, EA_ERR_CORRUPT);
            return NULL;
        }
        unlink_from(heap, exact, own);
        *header(exact) = size;
        *header((char *)exact + size) &= ~EAI_PREV_FREE;
        count_taken(heap, size);
        return exact;
    }
#endif
    links_t *block = find_from(heap, size, own, word, &bin);
#if EAI_QUICK
    if (EA_UNLIKELY(!block) && heap->quick_bytes) {
        eai_heap_flush_quick(heap);
        block = find_fit(heap, size, &bin);
    }
#endif
    if (!block) return refuse_alloc(heap);
    if (!free_block_ok(heap, block, *header(block))) {
        refuse_block(heap, EA_ERR_CORRUPT);
        return NULL;
    }
    return carve(heap, block, bin, size);
}

/* Merge with free neighbours and link. prev_free: the block's PF flag. */
EA_INLINE void release(ea_heap_t *heap, char *payload, uint32_t size, uint32_t above, uint32_t prev_free)
{
    char *next = payload + size;
    if (above & EAI_FREE) {
        unlink_block(heap, (links_t *)(void *)next);
        size += size_of(above);
    } else {
        *header(next) = above | EAI_PREV_FREE;
    }
    if (prev_free) {
#if EA_CFG_CHECK_LEVEL >= 1
        *header(payload) = EAI_FREE; /* inside the merged block from now on: tells a second free */
#endif
        uint32_t below = *(header_t *)(void *)(payload - 8);
        payload -= below;
        unlink_block(heap, (links_t *)(void *)payload);
        size += below;
    }
    *header(payload) = size | EAI_FREE;
    *tail(payload, size) = size;
    insert_block(heap, (links_t *)(void *)payload, size, false);
}

#if EA_CFG_CHECK_LEVEL >= 2
/* Could this be the payload of a block, and are its free neighbours what they claim? */
static ea_status_t neighbours_ok(const ea_heap_t *heap, const char *payload)
{
    size_t offset = (size_t)(payload - base_of(heap));
    if (payload < base_of(heap) || offset < heap->region.first || offset >= heap->span_bytes)
        return EA_ERR_FOREIGN;
    uint32_t head = *header(payload), size = size_of(head);
    if (size < EAI_MIN_BLOCK || size & EAI_MASK || size > heap->span_bytes - offset) return EA_ERR_CORRUPT;
    const char *next = payload + size;
    uint32_t above = *header(next);
    if (above & EAI_PREV_FREE && !(head & EAI_FREE)) return EA_ERR_CORRUPT;
    if (above & EAI_FREE) {
        if (size_of(above) > heap->span_bytes - offset - size) return EA_ERR_CORRUPT;
        if (!free_block_ok(heap, (const links_t *)(const void *)next, above)) return EA_ERR_CORRUPT;
    }
    if (head & EAI_PREV_FREE) {
        uint32_t below = *header(payload - 4);
        if (below < EAI_MIN_BLOCK || below & EAI_MASK || below > offset - heap->region.first)
            return EA_ERR_CORRUPT;
        const links_t *prev = (const links_t *)(const void *)(payload - below);
        if (*header(prev) != (below | EAI_FREE) || !free_block_ok(heap, prev, *header(prev)))
            return EA_ERR_CORRUPT;
    }
    return EA_OK;
}
#endif

/* What free and realloc ask of the block they are given, before they touch anything. Level 1: it is
 * aligned, not free already, and the block its size leads to agrees that it is used. A walk's mark is
 * honoured on every level; the test for a double free rides on it. */
EA_INLINE bool looks_used(const ea_heap_t *heap, const char *payload)
{
    (void)heap;
#if EA_CFG_CHECK_LEVEL == 0
    return !(*header(payload) & EAI_MARK);
#elif EA_CFG_CHECK_LEVEL == 1
    if ((uintptr_t)payload & EAI_MASK) return false;
    uint32_t head = *header(payload);
    if (head & (EAI_FREE | EAI_MARK)) return false;
    return !(*header(payload + size_of(head)) & EAI_PREV_FREE);
#else
    return !((uintptr_t)payload & EAI_MASK) && neighbours_ok(heap, payload) == EA_OK &&
           !(*header(payload) & (EAI_FREE | EAI_MARK));
#endif
}

/* It does not look used: say why, or, if only a walk stands on it, send the walk on where the block goes
 * and return EA_OK. */
static EA_NOINLINE ea_status_t inspect_block(ea_heap_t *heap, char *payload, bool goes)
{
    if ((uintptr_t)payload & EAI_MASK) return refuse_block(heap, EA_ERR_FOREIGN);
#if EA_CFG_CHECK_LEVEL >= 2
    ea_status_t status = neighbours_ok(heap, payload);
    if (status == EA_ERR_FOREIGN) return refuse_block(heap, status);
#endif
    uint32_t head = *header(payload);
    bool walked = head & EAI_MARK && heap->cursor == offset_of(heap, payload);
    if (head & EAI_FREE || (EAI_QUICK && head & EAI_MARK && !walked))
        return refuse_block(heap, EA_ERR_DOUBLE_FREE);
#if EA_CFG_CHECK_LEVEL >= 2
    if (status != EA_OK) return refuse_block(heap, status);
#elif EA_CFG_CHECK_LEVEL == 1
    if (*header(payload + size_of(head)) & EAI_PREV_FREE) return refuse_block(heap, EA_ERR_CORRUPT);
#endif
    if (!walked) return refuse_block(heap, EA_ERR_CORRUPT);
    if (goes) eai_heap_move_cursor(heap, payload);
    return EA_OK;
}

ea_status_t ea_heap_free(ea_heap_t *heap, void *ptr)
{
    char *payload = ptr;
    if (!payload) return EA_OK;
    if (EA_UNLIKELY(!looks_used(heap, payload))) {
        ea_status_t status = inspect_block(heap, payload, true);
        if (status != EA_OK) return status;
    }
    uint32_t head = *header(payload), size = size_of(head);
#if EAI_QUICK
    uint32_t g = size >> EAI_GRANULE_SHIFT;
    if (g < EAI_QUICK_GRANULES && push_quick(heap, (links_t *)(void *)payload, g)) return EA_OK;
#endif
    release(heap, payload, size, *header(payload + size), head & EAI_PREV_FREE);
    count_given(heap, size);
    return EA_OK;
}

void *ea_heap_calloc(ea_heap_t *heap, size_t n, size_t size_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size_bytes, &bytes)) return refuse_alloc(heap);
    void *block = ea_heap_alloc(heap, bytes);
    if (block) memset(block, 0, bytes);
    return block;
}

size_t ea_heap_usable_size_bytes(const ea_heap_t *heap, const void *ptr)
{
    (void)heap;
    return ptr ? size_of(*header(ptr)) - EA_HEAP_OVERHEAD_BYTES : 0;
}

/* --- aligned ---------------------------------------------------------------------------------------- */

/* Bytes from payload to the next aligned address whose gap is nothing or can be a block. */
EA_INLINE uint32_t aligned_gap(const void *payload, size_t alignment)
{
    uint32_t gap = (uint32_t)(-(uintptr_t)payload & (alignment - 1u));
    if (gap != 0 && gap < EAI_MIN_BLOCK) gap += (uint32_t)alignment;
    return gap;
}

/* Give the end of a used block back, down to size bytes. Returns the size it then has. */
static uint32_t trim_block(ea_heap_t *heap, char *payload, uint32_t size)
{
    uint32_t head = *header(payload), old = size_of(head), rest = old - size;
    uint32_t above = *header(payload + old);
    if (rest < EAI_MIN_BLOCK && !(rest && above & EAI_FREE)) return old;
    *header(payload) = size | (head & EAI_FLAGS);
    release(heap, payload + size, rest, above, 0);
    return size;
}

static void *alloc_aligned(ea_heap_t *heap, size_t alignment, uint32_t size)
{
    uint32_t bin;
    links_t *block = find_fit(heap, size, &bin);
    if (!block) return NULL;
    uint32_t gap = aligned_gap(block, alignment);
    if ((uint64_t)gap + size > size_of(*header(block))) {
        /* Not this one: any block that is larger by the widest gap will do. */
        uint64_t wide = (uint64_t)size + alignment + EAI_MIN_BLOCK - EA_HEAP_ALIGN;
        if (wide > heap->span_bytes) return NULL;
        block = find_fit(heap, (uint32_t)wide, &bin);
        if (!block) return NULL;
        gap = aligned_gap(block, alignment);
    }
    if (!free_block_ok(heap, block, *header(block))) {
        refuse_block(heap, EA_ERR_CORRUPT);
        return NULL;
    }
    uint32_t whole = size_of(*header(block));
    char *payload = (char *)block + gap;
    unlink_from(heap, block, bin);
    *header((char *)block + whole) &= ~EAI_PREV_FREE;
    *header(payload) = whole - gap;
    if (gap) {
        *header(block) = gap;
        release(heap, (char *)block, gap, whole - gap, 0);
    }
    uint32_t got = trim_block(heap, payload, size);
    count_taken(heap, got);
    return payload;
}

/* One size class for every path: the block size that serves a request; 0: none can. */
static uint32_t size_for(const ea_heap_t *heap, size_t request)
{
    if (request - EAI_TINY > heap->limit) request = adjust_request(heap, request);
    return request ? block_size(request) : 0;
}

EA_INLINE bool is_power_of_two(size_t x)
{
    return x != 0 && (x & (x - 1u)) == 0;
}

void *ea_heap_aligned_alloc(ea_heap_t *heap, size_t alignment_bytes, size_t size_bytes)
{
    if (!is_power_of_two(alignment_bytes)) return NULL;
    if (alignment_bytes <= EA_HEAP_ALIGN) return ea_heap_alloc(heap, size_bytes);
    if (size_bytes == 0) return NULL;
    uint32_t size = size_for(heap, size_bytes);
    if (!size || alignment_bytes > heap->span_bytes) return refuse_alloc(heap);
#if EAI_QUICK
    void *block = alloc_aligned(heap, alignment_bytes, size);
    if (!block && heap->quick_bytes) {
        eai_heap_flush_quick(heap);
        block = alloc_aligned(heap, alignment_bytes, size);
    }
#else
    void *block = alloc_aligned(heap, alignment_bytes, size);
#endif
    return block ? block : refuse_alloc(heap);
}

/* --- realloc ---------------------------------------------------------------------------------------- */

enum { MOVE_IN_PLACE = 1, MOVE_DOWN, MOVE_AWAY };

/* A used block takes its free neighbour above, whose header is given. */
static void absorb_above(ea_heap_t *heap, char *payload, uint32_t above)
{
    uint32_t head = *header(payload), size = size_of(head);
    unlink_block(heap, (links_t *)(void *)(payload + size));
    *header(payload) = head + size_of(above);
    *header(payload + size + size_of(above)) &= ~EAI_PREV_FREE;
    eai_heap_adjust(heap, -(ptrdiff_t)size_of(above));
}

ea_status_t ea_heap_realloc_begin(ea_heap_t *heap, void *ptr, size_t alignment_bytes, size_t size_bytes,
                                  ea_heap_move_t *move)
{
    char *payload = ptr;
    if (alignment_bytes == 0) alignment_bytes = 1;
    if (!payload || size_bytes == 0 || !is_power_of_two(alignment_bytes)) return EA_ERR_INVALID;
    if (!looks_used(heap, payload)) {
        ea_status_t status = inspect_block(heap, payload, false);
        if (status != EA_OK) return status;
    }
    uint32_t size = size_for(heap, size_bytes);
    if (!size) {
        (void)refuse_alloc(heap);
        return EA_ERR_TOO_LARGE;
    }
    uint32_t head = *header(payload), old = size_of(head), above = *header(payload + old);
    uint32_t above_size = above & EAI_FREE ? size_of(above) : 0;
    bool aligned = ((uintptr_t)payload & (alignment_bytes - 1u)) == 0;
    *move = (ea_heap_move_t){payload, payload, 0, size, MOVE_IN_PLACE};

    if (aligned && size <= old) return EA_OK;
    if (aligned && size - old <= above_size) {
        absorb_above(heap, payload, above);
        return EA_OK;
    }
    if (head & EAI_PREV_FREE) {
        uint32_t below = *header(payload - 4);
        char *start = payload - below;
        if (size <= (uint64_t)below + old + above_size && ((uintptr_t)start & (alignment_bytes - 1u)) == 0) {
            if (size > below + old) absorb_above(heap, payload, above);
            if (*header(payload) & EAI_MARK) eai_heap_move_cursor(heap, payload);
            unlink_block(heap, (links_t *)(void *)start);
            *header(start) = below + size_of(*header(payload));
            eai_heap_adjust(heap, -(ptrdiff_t)below);
            /* Keep the block's copy of the payload: the header below it is inside the new block now. */
            size_t keep = old - EA_HEAP_OVERHEAD_BYTES;
            *move = (ea_heap_move_t){payload, start, keep < size_bytes ? keep : size_bytes, size, MOVE_DOWN};
            return EA_OK;
        }
    }
    void *to = alignment_bytes <= EA_HEAP_ALIGN ? ea_heap_alloc(heap, size - EA_HEAP_OVERHEAD_BYTES)
                                                : ea_heap_aligned_alloc(heap, alignment_bytes,
                                                                        size - EA_HEAP_OVERHEAD_BYTES);
    if (!to) return EA_ERR_NO_MEMORY;
    size_t keep = old - EA_HEAP_OVERHEAD_BYTES;
    *move = (ea_heap_move_t){payload, to, keep < size_bytes ? keep : size_bytes, size, MOVE_AWAY};
    return EA_OK;
}

void ea_heap_realloc_move(const ea_heap_move_t *move)
{
    if (move->copy_bytes) memmove(move->to, move->from, move->copy_bytes);
}

void *ea_heap_realloc_finish(ea_heap_t *heap, const ea_heap_move_t *move)
{
    if (move->eai_kind == MOVE_AWAY) {
        (void)ea_heap_free(heap, move->from);
        return move->to;
    }
    uint32_t merged = size_of(*header(move->to));
    uint32_t left = trim_block(heap, move->to, (uint32_t)move->eai_size);
    eai_heap_adjust(heap, (ptrdiff_t)(merged - left));
    eai_heap_settle(heap);
    return move->to;
}

static void *reallocate(ea_heap_t *heap, void *ptr, size_t alignment_bytes, size_t size_bytes)
{
    ea_heap_move_t move;
    if (size_bytes == 0) {
        (void)ea_heap_free(heap, ptr);
        return NULL;
    }
    if (ea_heap_realloc_begin(heap, ptr, alignment_bytes, size_bytes, &move) != EA_OK) return NULL;
    ea_heap_realloc_move(&move);
    return ea_heap_realloc_finish(heap, &move);
}

void *ea_heap_realloc(ea_heap_t *heap, void *ptr, size_t size_bytes)
{
    if (!ptr) return ea_heap_alloc(heap, size_bytes);
    return reallocate(heap, ptr, 0, size_bytes);
}

void *ea_heap_aligned_realloc(ea_heap_t *heap, void *ptr, size_t alignment_bytes, size_t size_bytes)
{
    if (!ptr) return ea_heap_aligned_alloc(heap, alignment_bytes, size_bytes);
    if (!is_power_of_two(alignment_bytes)) return NULL;
    return reallocate(heap, ptr, alignment_bytes, size_bytes);
}

/* --- across the sources ----------------------------------------------------------------------------- */

void eai_heap_release(ea_heap_t *heap, char *payload, uint32_t size, uint32_t prev_free)
{
    release(heap, payload, size, *header(payload + size), prev_free);
}

void eai_heap_unlink(ea_heap_t *heap, char *payload)
{
    unlink_block(heap, (links_t *)(void *)payload);
}

#if EAI_QUICK
void eai_heap_flush_quick(ea_heap_t *heap)
{
    for (uint32_t g = EAI_FIRST_BIN; g < EAI_QUICK_GRANULES; g++) { /* bound: lists times their depth */
        while (heap->quick[g]) {
            char *payload = (char *)at(heap, heap->quick[g]);
            heap->quick[g] = ((links_t *)(void *)payload)->next;
            uint32_t head = *header(payload) & ~EAI_MARK;
            *header(payload) = head;
            release(heap, payload, size_of(head), *header(payload + size_of(head)), head & EAI_PREV_FREE);
        }
        heap->n_quick[g] = 0;
    }
    heap->quick_bytes = 0;
}
#endif
