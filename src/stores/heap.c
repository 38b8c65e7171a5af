/* SPDX-License-Identifier: MIT
 *
 * The heap: allocation, freeing and reallocation. heap_regions.c holds its life and its regions,
 * heap_check.c what looks at it.
 *
 * Blocks tile a region. A payload is EA_HEAP_ALIGN-aligned and its 4-byte header stands right
 * below:
 *
 *     used   [size|PF] payload ..............................      4 bytes of overhead
 *     free   [size|F ] next prev ..................... [size]      the size again, at the end
 *     end    [0   |PF]                                             closes a region, never freed
 *
 * The control structure holds a bitmap and one circular list head (a sentinel) a bin. A sentinel is
 * laid out like the links of a free block, so linking and unlinking never ask whether they touch
 * one:
 *
 *     words   ..1..1.....1        a bit a bin, and one that is always set for the guard
 *     bins    [next prev] ... [next prev] [0 0] [guard next prev]
 *
 * The guard's list is empty: its first block is the guard itself, whose header position holds the
 * slot of zeros before it. So a search that runs past every bin finds a block of size 0, which
 * serves no one: the scan needs no bound and no summary word.
 *
 * Invariants
 *   I1 the control structure's constants match their seal
 *   I2 regions ascend, lie inside the span and match their seals
 *   I3 blocks tile their region: sizes are whole granules, at least 16 bytes, and end at the end
 *      header
 *   I4 a header has PF set exactly when the block below is free; of used ones outside the quick
 *      lists, end headers among them, just the one a walk stands on is marked
 *   I5 a free block carries its size at its end, and no two free blocks touch
 *   I6 a free block is linked into the bin of its size, its neighbours in the list point back at
 *      it; a block in a quick list is used, marked and of the list's size, and the list is as long
 *      as it counts
 *   I7 a bin's bit is set exactly when its list is not empty; the guard's is set, its list empty
 *   I8 the lists hold as many blocks as the regions
 *   I9 the counters equal what the blocks say; blocks in quick lists are used ones to them
 *
 * Complexity: alloc does at most two bitmap scans of EAI_WORDS words, one unlink, one insert; free
 * at most two unlinks and one insert.
 *
 * With quick lists (throughput) alloc and free of small blocks are a pop and a push; a request that
 * nothing else serves merges what all lists hold, at most EAI_QUICK_LISTS times EAI_QUICK_MOST
 * blocks, each once since it came there.
 *
 * The tiny profile keeps the layout without words and guard, in heap_tiny.c; its sentinels reach up
 * to the first header, and I7 reads: the sentinels beyond the bins are empty.
 *
 * Rejected: two-level bins (a second word to load and to clear; 4 bins per doubling with a look at
 * both ends of the request's own bin fragment less than 16 bins per doubling without); rounding the
 * allocated size up to its bin; address-ordered lists (unbounded).
 */
#include "stores/heap_internal.h"

/* Tiny has lists, fits, take and release of its own: heap_tiny.c. */
#if !EAI_TINY_CODE

/* --- lists ------------------------------------------------------------------------------------ */

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

/* Take a block off its list by its address: an emptied list leaves its sentinel on both sides. */
EA_INLINE void unlink_block(ea_heap_t *heap, links_t *block)
{
    ref_t next = block->next, prev = block->prev;
    at(heap, prev)->next = (link_t)next;
    at(heap, next)->prev = (link_t)prev;
    if (next == prev) clear_bin(heap, bin_of_sentinel(heap, next));
}

/* Link a free block into the bin of its size. is_rest: it is what a split left over. */
EA_INLINE void insert_block(ea_heap_t *heap, links_t *block, uint32_t size, bool is_rest)
{
    uint32_t bin = bin_of(size);
    ref_t self = ref_of(heap, block), head = sentinel(heap, bin), next, prev;
#if EAI_ORDER_HT
    (void)is_rest;
    next = at(heap, head)->next;
    prev = head;
    /* In an empty list next is the sentinel, which lies below every block: either branch is
     * right. */
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

#endif

/* --- counters --------------------------------------------------------------------------------- */

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

/* With quick lists what is behind them stands apart, so that their path saves no registers. */
#if EAI_QUICK
#define EAI_BEHIND_QUICK static EA_NOINLINE
#else
#define EAI_BEHIND_QUICK EA_INLINE
#endif
#if EA_CFG_HEAP_STATS
#define EAI_COLD static EA_NOINLINE
#else
#define EAI_COLD EA_INLINE
#endif

EAI_COLD void *refuse_alloc(ea_heap_t *heap)
{
    (void)heap;
#if EA_CFG_HEAP_STATS
    heap->n_failures++;
#endif
    return NULL;
}

EAI_COLD ea_status_t refuse_block(ea_heap_t *heap, ea_status_t status)
{
    (void)heap;
#if EA_CFG_HEAP_STATS
    heap->n_corruptions++;
#endif
    return status;
}

#if EA_CFG_CHECK_LEVEL >= 3
static ea_status_t refuse_damaged(ea_heap_t *heap)
{
    return ea_heap_check(heap, NULL) == EA_OK ? EA_OK : refuse_block(heap, EA_ERR_CORRUPT);
}
#endif

/* --- requests and fits ------------------------------------------------------------------------ */

/* The slow path of a request's size: none, tiny, too large, or half fit's power of two. Returns the
 * request to serve; 0: refuse. */
#if !EAI_TINY_CODE
static EA_NOINLINE size_t adjust_request(const ea_heap_t *heap, size_t request)
{
    size_t largest = (size_t)(heap->span_bytes & ~EAI_MASK) - EA_HEAP_OVERHEAD_BYTES;
    if (request == 0 || request > largest) return 0;
    if (request < EAI_LEAST) request = EAI_LEAST;
#if EA_CFG_HEAP_HALF_FIT
    if (heap->fit == EA_FIT_HALF) {
        uint32_t size = EAI_MIN_BLOCK;
        while (size < request + EA_HEAP_OVERHEAD_BYTES && size < 0x80000000u)
            size <<= 1;                                        /* <= 28 */
        if (size < request + EA_HEAP_OVERHEAD_BYTES) return 0; /* no power of two is large enough */
        request = (size_t)size - EA_HEAP_OVERHEAD_BYTES;
        if (request > largest) return 0;
    }
#endif
    return request;
}
#endif

#if EA_CFG_CHECK_LEVEL >= 2
/* Do the block's list neighbours exist and point back at it? */
static bool links_agree(const ea_heap_t *heap, const links_t *block)
{
    for (int side = 0; side < 2; side++) {
        const char *other = (const char *)at(heap, side ? block->prev : block->next);
        size_t offset = (size_t)(other - base_of(heap));
        if (offset < EAI_BINS_OFFSET || offset >= heap->span_bytes) return false;
        if (offset >= heap->region.first ? offset & EAI_MASK : offset % sizeof(links_t))
            return false;
        ref_t back = side ? ((const links_t *)(const void *)other)->next
                          : ((const links_t *)(const void *)other)->prev;
        if (back != ref_of(heap, block)) return false;
    }
    return true;
}
#endif

#if !EAI_TINY_CODE || EA_CFG_CHECK_LEVEL >= 1
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
#endif

#if EAI_TINY_CODE
#if EA_CFG_CHECK_LEVEL >= 1
bool eai_heap_vouch(ea_heap_t *heap, const links_t *block)
{
    if (free_block_ok(heap, block, *header(block))) return true;
    refuse_block(heap, EA_ERR_CORRUPT);
    return false;
}
#endif
#else
/* The bits of bin and those after it in the same word. */
EA_INLINE uint32_t bits_at(const ea_heap_t *heap, uint32_t bin)
{
    return eai_bits_from(heap->words[bin >> 5], bin & 31u);
}

EA_INLINE links_t *first_of(const ea_heap_t *heap, uint32_t bin)
{
    return at(heap, at(heap, sentinel(heap, bin))->next);
}

/* Is hole one granule too large for size, and better left alone for a block of bin other? */
EA_INLINE bool spares(const links_t *hole, uint32_t size, uint32_t other)
{
    return EAI_LOSES_REST && EA_UNLIKELY(*header(hole) == size + EA_HEAP_ALIGN + EAI_FREE) &&
           (other >= EAI_SPARE_HOLE_BIN || hole->next == hole->prev);
}

/* A free block of at least size bytes and its bin; NULL: none that the search can see. A header of
 * a free block is its size plus 1, so it compares like the size. own and word: the bin of size,
 * bits_at() it. */
EA_INLINE links_t *find_from(ea_heap_t *heap, uint32_t size, uint32_t own, uint32_t word,
                             uint32_t *bin)
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
                uint32_t next = own + eai_bits_first(word);
                links_t *other = first_of(heap, next);
                if ((other < block || spares(block, size, next)) && *header(other) >= size) {
                    found = next;
                    block = other;
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

static links_t *find_fit(ea_heap_t *heap, uint32_t size)
{
    uint32_t own = bin_of(size), bin;
    return find_from(heap, size, own, bits_at(heap, own), &bin);
}

/* Allocate size bytes of a free block, at its low end (large ones: at the high end); the rest stays
 * free. */
EA_INLINE void *carve(ea_heap_t *heap, links_t *block, uint32_t bin, uint32_t size)
{
    uint32_t rest = *header(block) - EAI_FREE - size;
    char *above = (char *)block + size;
    unlink_from(heap, block, bin);
    if (EAI_LARGE_HIGH && size >= EAI_LARGE_BYTES && rest >= EAI_MIN_BLOCK) {
        char *high = (char *)block + rest;
        *header(block) = rest | EAI_FREE;
        *tail((char *)block, rest) = rest;
        insert_block(heap, block, rest, true);
        *header(high) = size | EAI_PREV_FREE;
        *header(high + size) &= ~EAI_PREV_FREE;
        count_taken(heap, size);
        return high;
    }
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

#endif

/* --- quick lists: freed blocks kept whole for the next request of their size ------------------ */

#if EAI_QUICK
/* The list that serves a request of at most EAI_QUICK_BYTES. */
EA_INLINE uint32_t quick_list(size_t request)
{
    return (uint32_t)(request + EA_HEAP_OVERHEAD_BYTES + EAI_MASK - EAI_MIN_BLOCK) >>
           EAI_GRANULE_SHIFT;
}

EA_INLINE void *pop_quick(ea_heap_t *heap, uint32_t i)
{
    link_t ref = heap->quick[i];
    if (EA_UNLIKELY(!ref)) return NULL;
    links_t *block = at(heap, ref);
    heap->quick[i] = block->next;
    heap->n_quick[i]--;
    *header(block) &= ~EAI_MARK;
#if EA_CFG_HEAP_STATS
    heap->n_quick_allocs++;
#endif
    return block;
}

/* payload is a block's in use, so far as one can see without a look at its neighbours, and its size
 * has a list that is not full. */
EA_INLINE bool push_quick(ea_heap_t *heap, char *payload)
{
    /* Turned by the bits that must be 0: one compare for the span, the alignment and NULL. */
    size_t granule = turn_size((uintptr_t)payload - (uintptr_t)heap, EAI_GRANULE_SHIFT);
    if (EA_UNLIKELY(granule >= heap->span_granules)) return false;
    /* The same for the size, free and marked. */
    uint32_t head = *header(payload) & ~EAI_PREV_FREE;
    uint32_t i = turn_word(head - EAI_MIN_BLOCK, EAI_GRANULE_SHIFT);
    if (EA_UNLIKELY(i >= EAI_QUICK_LISTS)) return false;
    if (EA_UNLIKELY(heap->n_quick[i] >= EAI_QUICK_DEPTH)) return false;
    ((links_t *)(void *)payload)->next = heap->quick[i];
    heap->quick[i] = (link_t)ref_of(heap, payload);
    heap->n_quick[i]++;
    *header(payload) |= EAI_MARK;
    return true;
}

/* A run becomes blocks of size: one to return, the others for their list, which is empty. */
static void *split_run(ea_heap_t *heap, char *run, uint32_t bytes, uint32_t size)
{
    uint32_t i = (size - EAI_MIN_BLOCK) >> EAI_GRANULE_SHIFT, n = 0;
    link_t after = 0;
    for (char *p = run + bytes - size; p != run; p -= size) { /* at most EAI_QUICK_MOST - 1 */
        *header(p) = size | EAI_MARK;
        ((links_t *)(void *)p)->next = after;
        after = (link_t)ref_of(heap, p);
        n++;
    }
    heap->quick[i] = after;
    heap->n_quick[i] = (uint8_t)n;
    *header(run) -= bytes - size;
#if EA_CFG_HEAP_STATS
    heap->usage.n_allocs += n; /* as of blocks that were allocated and freed, */
    heap->n_quick_allocs -= n; /* which did not happen */
#endif
    return run;
}
#endif

/* --- public: alloc and free ------------------------------------------------------------------- */

#if EAI_TINY_CODE
void *ea_heap_alloc(ea_heap_t *heap, size_t size_bytes)
{
    uint32_t size = eai_heap_size_for(heap, size_bytes);
#if EA_CFG_CHECK_LEVEL >= 3
    if (refuse_damaged(heap) != EA_OK) return NULL;
#endif
    char *payload = eai_heap_take(heap, size);
    if (!payload) return size_bytes ? refuse_alloc(heap) : NULL;
    eai_heap_trim(heap, payload, size);
    count_taken(heap, *header(payload));
    return payload;
}
#else
/* What the bins serve. */
EAI_BEHIND_QUICK void *alloc_from_bins(ea_heap_t *heap, size_t size_bytes)
{
    if (EA_UNLIKELY(size_bytes - EAI_LEAST > heap->limit)) {
        bool none = size_bytes == 0;
        size_bytes = adjust_request(heap, size_bytes);
        if (!size_bytes) return none ? NULL : refuse_alloc(heap);
    }
    uint32_t size = block_size(size_bytes), bin;
#if EAI_QUICK
    /* A request that was rounded up may find a list that its own size has not. */
    if (size <= EAI_QUICK_BYTES) {
        void *quick = pop_quick(heap, quick_list(size_bytes));
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
    if (EA_UNLIKELY(!block) && eai_heap_flush_quick(heap)) {
        block = find_from(heap, size, own, bits_at(heap, own), &bin);
    }
#endif
    if (!block) return refuse_alloc(heap);
    if (!free_block_ok(heap, block, *header(block))) {
        refuse_block(heap, EA_ERR_CORRUPT);
        return NULL;
    }
#if EAI_QUICK
    if (size <= EAI_REFILL_MAX_BLOCK && *header(block) >= EAI_REFILL_FROM) {
        uint32_t run = EAI_REFILL_BYTES / size * size;
        return split_run(heap, carve(heap, block, bin, run), run, size);
    }
#endif
    return carve(heap, block, bin, size);
}

void *ea_heap_alloc(ea_heap_t *heap, size_t size_bytes)
{
#if EA_CFG_CHECK_LEVEL >= 3
    if (size_bytes && refuse_damaged(heap) != EA_OK) return NULL;
#endif
#if EAI_QUICK
    size_t above_least = size_bytes - EAI_LEAST;
    if (EA_LIKELY(above_least <= EAI_QUICK_BYTES - EA_HEAP_OVERHEAD_BYTES - EAI_LEAST)) {
        void *quick = pop_quick(heap, quick_list(size_bytes));
        if (EA_LIKELY(quick)) return quick;
    }
#endif
    return alloc_from_bins(heap, size_bytes);
}

/* Merge with free neighbours and link. prev_free: not 0 if the block below is free, whose size then
 * stands under our header; the header itself need not say so. */
EA_INLINE void release(ea_heap_t *heap, char *payload, uint32_t size, uint32_t prev_free)
{
    char *next = payload + size;
    uint32_t above = *header(next);
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
#endif

#if EA_CFG_CHECK_LEVEL >= 2
/* Could this be the payload of a block, and are its free neighbours what they claim? */
static ea_status_t neighbours_ok(const ea_heap_t *heap, const char *payload)
{
    size_t offset = (size_t)(payload - base_of(heap));
    if (payload < base_of(heap) || offset < heap->region.first || offset >= heap->span_bytes)
        return EA_ERR_FOREIGN;
    uint32_t head = *header(payload), size = size_of(head);
    if (size < EAI_MIN_BLOCK || size & EAI_MASK || size > heap->span_bytes - offset)
        return EA_ERR_CORRUPT;
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
 * aligned, not free already, and the block its size leads to agrees that it is used. A walk's mark
 * is honoured on every level; the test for a double free rides on it. */
EA_INLINE bool looks_used(const ea_heap_t *heap, const char *payload)
{
    (void)heap;
#if EA_CFG_CHECK_LEVEL == 0
    return !EAI_WALK_MARKS || !(*header(payload) & EAI_MARK);
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

/* It does not look used: say why, or, if only a walk stands on it, send the walk on where the block
 * goes and return EA_OK. */
static EA_NOINLINE ea_status_t inspect_block(ea_heap_t *heap, char *payload, bool goes)
{
    if ((uintptr_t)payload & EAI_MASK) return refuse_block(heap, EA_ERR_FOREIGN);
#if EA_CFG_CHECK_LEVEL >= 2
    ea_status_t status = neighbours_ok(heap, payload);
    if (status == EA_ERR_FOREIGN) return refuse_block(heap, status);
#endif
    uint32_t head = *header(payload);
    bool walked = EAI_WALK_MARKS && head & EAI_MARK && heap->cursor == offset_of(heap, payload);
    if (head & EAI_FREE || (EAI_QUICK && head & EAI_MARK && !walked))
        return refuse_block(heap, EA_ERR_DOUBLE_FREE);
#if EA_CFG_CHECK_LEVEL >= 2
    if (status != EA_OK) return refuse_block(heap, status);
#elif EA_CFG_CHECK_LEVEL == 1
    if (*header(payload + size_of(head)) & EAI_PREV_FREE) return refuse_block(heap, EA_ERR_CORRUPT);
#endif
#if EAI_WALK_MARKS
    if (!walked) return refuse_block(heap, EA_ERR_CORRUPT);
    if (goes) eai_heap_move_cursor(heap, payload);
    return EA_OK;
#else
    (void)goes;
    return refuse_block(heap, EA_ERR_CORRUPT);
#endif
}

ea_status_t eai_heap_admit(ea_heap_t *heap, char *payload)
{
    return looks_used(heap, payload) ? EA_OK : inspect_block(heap, payload, false);
}

EAI_BEHIND_QUICK ea_status_t free_to_bins(ea_heap_t *heap, void *ptr)
{
    char *payload = ptr;
    if (!payload) return EA_OK;
    if (EA_UNLIKELY(!looks_used(heap, payload))) {
        ea_status_t status = inspect_block(heap, payload, true);
        if (status != EA_OK) return status;
    }
#if EAI_TINY_CODE
    count_given(heap, size_of(*header(payload)));
    eai_heap_release(heap, payload);
#else
    uint32_t head = *header(payload), size = size_of(head);
    release(heap, payload, size, head & EAI_PREV_FREE);
    count_given(heap, size);
#endif
    return EA_OK;
}

ea_status_t ea_heap_free(ea_heap_t *heap, void *ptr)
{
#if EA_CFG_CHECK_LEVEL >= 3
    if (ptr && refuse_damaged(heap) != EA_OK) return EA_ERR_CORRUPT;
#endif
#if EAI_QUICK
    /* A block that keeps its place needs no look at its neighbours, unless that was asked for. */
    if ((EA_CFG_CHECK_LEVEL < 2 || looks_used(heap, ptr)) && EA_LIKELY(push_quick(heap, ptr)))
        return EA_OK;
#endif
    return free_to_bins(heap, ptr);
}

/* --- across the sources ----------------------------------------------------------------------- */

#if !EAI_TINY_CODE
void eai_heap_release(ea_heap_t *heap, char *payload)
{
    uint32_t head = *header(payload);
    release(heap, payload, size_of(head), head & EAI_PREV_FREE);
}

uint32_t eai_heap_claim(ea_heap_t *heap, char *payload)
{
    unlink_block(heap, (links_t *)(void *)payload);
    uint32_t size = *header(payload) -= EAI_FREE;
    *header(payload + size) &= ~EAI_PREV_FREE;
    return size;
}

uint32_t eai_heap_size_for(const ea_heap_t *heap, size_t request)
{
    if (request - EAI_LEAST > heap->limit) request = adjust_request(heap, request);
    return request ? block_size(request) : 0;
}

char *eai_heap_take(ea_heap_t *heap, uint32_t size)
{
    links_t *block = find_fit(heap, size);
#if EAI_QUICK
    if (!block && eai_heap_flush_quick(heap)) {
        block = find_fit(heap, size);
    }
#endif
    if (!block) return NULL;
    if (!free_block_ok(heap, block, *header(block))) {
        refuse_block(heap, EA_ERR_CORRUPT);
        return NULL;
    }
    eai_heap_claim(heap, (char *)block);
    return (char *)block;
}
#endif

void eai_heap_trim(ea_heap_t *heap, char *payload, uint32_t size)
{
    uint32_t head = *header(payload), old = size_of(head), rest = old - size;
    if (rest < EAI_MIN_BLOCK && (EAI_TINY_CODE || !(rest && *header(payload + old) & EAI_FREE)))
        return;
    *header(payload) = head - rest;
    payload += size;
    *header(payload) = rest;
    eai_heap_release(heap, payload);
}

#if EAI_QUICK
bool eai_heap_flush_quick(ea_heap_t *heap)
{
    bool any = false;
    for (uint32_t i = 0; i < EAI_QUICK_LISTS; i++) { /* bound: lists times EAI_QUICK_MOST */
        while (heap->quick[i]) {
            char *payload = (char *)at(heap, heap->quick[i]);
            heap->quick[i] = ((links_t *)(void *)payload)->next;
            uint32_t head = *header(payload) & ~EAI_MARK, size = size_of(head);
            *header(payload) = head;
            release(heap, payload, size, head & EAI_PREV_FREE);
            count_given(heap, size);
            any = true;
        }
        heap->n_quick[i] = 0;
    }
    return any;
}

size_t eai_heap_quick_held(const ea_heap_t *heap, size_t *bytes)
{
    size_t n = 0;
    *bytes = 0;
    for (uint32_t i = 0; i < EAI_QUICK_LISTS; i++) {
        n += heap->n_quick[i];
        *bytes += (size_t)heap->n_quick[i] * quick_bytes(i);
    }
    return n;
}
#endif
