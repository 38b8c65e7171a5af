/* SPDX-License-Identifier: MIT
 *
 * The mechanism of the tiny profile: the layout of heap.c in the fewest bytes of code. What the
 * other profiles spend code on to be quick, it does in the plainest way:
 *
 *   - No bitmap, no guard: the search looks at the lists themselves, from the request's own bin
 *     up to the first header, which stands behind the last list. At most one step a bin.
 *   - One way to turn a free block into a used one (claim) and one back (release). Merging is
 *     claiming the neighbours, and so is growing a block; a split is a release of what is too much.
 *   - Freed blocks go to the end of their list.
 *   - A walk marks no header. Release asks whether it stands on the block instead.
 *
 * Complexity: alloc looks at every bin from its own upward, at most 112 of them (57 with 16-bit
 * links), claims one block and releases one; free claims at most two.
 *
 * Rejected: a bitmap (90 bytes on Cortex-M4; on cores without clz no quicker); a look at the first
 * block of a bin only (14 bytes fewer; a request would miss the last block of its own bin); bins
 * for the widest span whatever the heap's (18 bytes fewer, up to 150 bytes of RAM a heap).
 */
#include "stores/heap_internal.h"

#if EAI_TINY_CODE

/* The same mapping as the other profiles', by a loop of at most 29 steps where there is no clz. */
uint32_t eai_heap_bin_of(uint32_t size)
{
    uint32_t g = size >> EAI_GRANULE_SHIFT, bin = 0;
#if EAI_HAS_CLZ
    bin = (31u - EAI_SUB_LOG2) - eai_clz32(g | (1u << EAI_SUB_LOG2));
    return (bin << EAI_SUB_LOG2) + (g >> bin);
#else
    for (; g >= EAI_EXACT_GRANULES; g >>= 1) bin += 1u << EAI_SUB_LOG2;
    return bin + g;
#endif
}

uint32_t eai_heap_claim(ea_heap_t *heap, char *payload)
{
    const links_t *block = (const links_t *)(const void *)payload;
    ref_t next = block->next, prev = block->prev;
    at(heap, prev)->next = (link_t)next;
    at(heap, next)->prev = (link_t)prev;
    uint32_t size = *header(payload) -= EAI_FREE;
    *header(payload + size) &= ~EAI_PREV_FREE;
    return size;
}

void eai_heap_release(ea_heap_t *heap, char *payload)
{
#if EA_CFG_HEAP_STEPWISE
    eai_heap_move_cursor(heap, payload);
#endif
    uint32_t size = *header(payload);
    if (size & EAI_PREV_FREE) {
        uint32_t below = *header(payload - 4);
#if EA_CFG_CHECK_LEVEL >= 1
        *header(payload) =
            EAI_FREE + EAI_PREV_FREE; /* stays in the merged block: tells a second free */
#endif
        payload -= below;
        size += eai_heap_claim(heap, payload) - EAI_PREV_FREE;
    }
    char *next = payload + size;
    if (*header(next) & EAI_FREE) {
        size += eai_heap_claim(heap, next);
#if EA_CFG_CHECK_LEVEL >= 1
        *header(next) = EAI_FREE;
#endif
    }
    *header(payload) = size + EAI_FREE;
    *tail(payload, size) = size;
    *header(payload + size) |= EAI_PREV_FREE;

    links_t *block = (links_t *)(void *)payload, *list = at(heap, sentinel(heap, bin_of(size)));
    ref_t last = list->prev;
    block->next = (link_t)ref_of(heap, list);
    block->prev = (link_t)last;
    list->prev = at(heap, last)->next = (link_t)ref_of(heap, block);
}

/* What nothing serves becomes a size that nothing has. */
uint32_t eai_heap_size_for(const ea_heap_t *heap, size_t request)
{
    if (request - 1u > heap->span_bytes) request = heap->span_bytes;
    uint32_t size = block_size(request);
    if (size < EAI_MIN_BLOCK) size = EAI_MIN_BLOCK;
#if EA_CFG_HEAP_HALF_FIT
    if (heap->fit != EA_FIT_GOOD) {
        uint32_t power = EAI_MIN_BLOCK;
        while (power < size && (EAI_LINK_BITS == 16 || power < 0x80000000u))
            power <<= 1; /* at most 28 times */
        size = EAI_LINK_BITS == 16 || power >= size ? power : ~EAI_MASK;
    }
#endif
    return size;
}

char *eai_heap_take(ea_heap_t *heap, uint32_t size)
{
    const links_t *list = at(heap, sentinel(heap, bin_of(size)));
    const links_t *stop = (const links_t *)(const void *)header(region_first(heap, &heap->region));
    for (; list < stop; list++) { /* at most EA_HEAP_MAX_BINS */
        links_t *block = at(heap, list->next);
        if (block <= list) continue; /* empty: the sentinel itself */
        if (*header(block) < size) {
            block = at(heap, list->prev); /* only the request's own bin holds smaller ones too */
            if (*header(block) < size) continue;
        }
        if (!eai_heap_vouch(heap, block)) return NULL;
        eai_heap_claim(heap, (char *)block);
        return (char *)block;
    }
    return NULL;
}

#endif
