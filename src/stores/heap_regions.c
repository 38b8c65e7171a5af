/* SPDX-License-Identifier: MIT
 *
 * The heap's life and its regions. The first region stands behind the control structure in the
 * memory given to init; every further one begins with its descriptor:
 *
 *     first     [ea_heap][header payload]...[header payload][end]
 *     further   [descriptor][header payload]...              [end]
 *
 * Descriptors form one list in ascending order of address. All offsets count from the heap, so a
 * heap reaches only upwards, as far as its span.
 */
#include "stores/heap_internal.h"

static char *align_up(const void *address)
{
    return (char *)(((uintptr_t)address + EAI_MASK) & ~(uintptr_t)EAI_MASK);
}

/* The last aligned address at most size_bytes above mem: a number, since nothing may be there. */
static char *align_end(const void *mem, size_t size_bytes)
{
    return (char *)(((uintptr_t)mem + size_bytes) & ~(uintptr_t)EAI_MASK);
}

EA_INLINE void seal_region(eai_region_t *r)
{
    (void)r;
#if EA_CFG_CHECK_LEVEL >= 1
    r->seal = eai_region_seal(r);
#endif
}

/* Make the region one free block behind an end header. */
static void format_region(ea_heap_t *heap, const eai_region_t *r)
{
    char *first = region_first(heap, r), *end = region_end(heap, r);
    uint32_t size = (uint32_t)(end - first);
    *header(end) = 0;
    eai_heap_release(heap, first, size, 0);
    eai_heap_adjust(heap, (ptrdiff_t)size);
}

/* Every list empty, the guard set; the words are 0. */
static void format_lists(ea_heap_t *heap)
{
    heap->words[heap->guard >> 5] |= eai_bit(heap->guard);
    links_t *list = heap->bins;
    for (uint32_t bin = EAI_FIRST_BIN; bin <= heap->guard; bin++, list++)
        list->next = list->prev = (link_t)sentinel(heap, bin);
    list[-2] = (links_t){0, 0};
#if EAI_QUICK
    memset(heap->quick, 0, sizeof heap->quick);
    memset(heap->n_quick, 0, sizeof heap->n_quick);
#endif
}

ea_heap_t *ea_heap_init(void *mem, size_t size_bytes, const ea_heap_options_t *options)
{
    size_t span = options && options->span_bytes ? options->span_bytes : size_bytes;
    ea_heap_fit_t fit = options ? options->fit : EA_FIT_GOOD;
    if (!mem || (fit != EA_FIT_GOOD && !(EA_CFG_HEAP_HALF_FIT && fit == EA_FIT_HALF))) return NULL;
    /* The alignment takes less than the smallest heap has, so no difference below is negative. */
    if (size_bytes < sizeof(ea_heap_t) + 2u * EA_HEAP_ALIGN || span < size_bytes) return NULL;
    if (size_bytes > UINTPTR_MAX - (uintptr_t)mem) return NULL;
    char *base = align_up(mem), *end = align_end(mem, size_bytes);
    span -= (size_t)(base - (char *)mem);
    if (span > EAI_MAX_SPAN_BYTES) return NULL;
    uint32_t guard = bin_of((uint32_t)span & ~EAI_MASK) + 2u;
    uint32_t control = (uint32_t)(EAI_BINS_OFFSET + (guard + 1u - EAI_FIRST_BIN) * sizeof(links_t));
    uint32_t first = (control + EA_HEAP_OVERHEAD_BYTES + EAI_MASK) & ~EAI_MASK;
    if (first + EAI_MIN_BLOCK > (size_t)(end - base)) return NULL;

    ea_heap_t *heap = (ea_heap_t *)(void *)base;
    memset(heap, 0, sizeof *heap);
    heap->span_bytes = (uint32_t)span;
    heap->guard = (uint8_t)guard;
    heap->fit = (uint8_t)fit;
    if (fit == EA_FIT_GOOD)
        heap->limit = (span & ~(size_t)EAI_MASK) - EA_HEAP_OVERHEAD_BYTES - EAI_LEAST;
#if EA_CFG_CHECK_LEVEL >= 1
    heap->seal = eai_heap_seal(heap);
#endif
    heap->region.first = first;
    heap->region.end = offset_of(heap, end);
    seal_region(&heap->region);
    format_lists(heap);
    format_region(heap, &heap->region);
#if EA_CFG_HEAP_STATS
    heap->usage.slack_bytes = 0;
#endif
    return heap;
}

/* Used blocks of a region. */
static size_t count_live(const ea_heap_t *heap, const eai_region_t *r)
{
    size_t n = 0;
    const char *end = region_end(heap, r);
    for (const char *p = region_first(heap, r); p < end; p += size_of(*header(p)))
        if (!(*header(p) & EAI_FREE)) n++;
    return n;
}

size_t ea_heap_deinit(ea_heap_t *heap)
{
    size_t n = 0;
#if EAI_QUICK
    eai_heap_flush_quick(heap);
#endif
#if EA_CFG_HEAP_STATS
    n = heap->usage.n_allocs - heap->usage.n_frees;
#else
    for (const eai_region_t *r = &heap->region; r; r = region_next(heap, r))
        n += count_live(heap, r);
#endif
    /* What is left refuses every request and every check. */
    for (uint32_t i = 0; i < EAI_WORDS; i++) heap->words[i] = 0;
    heap->words[heap->guard >> 5] = eai_bit(heap->guard);
    heap->seal = 0;
    heap->region.seal = 0;
    return n;
}

void ea_heap_reset(ea_heap_t *heap)
{
#if EA_CFG_HEAP_STATS
    /* A reset frees; the watermark is history and stays. */
    size_t lowest = heap->usage.free_bytes - (size_t)heap->usage.slack_bytes;
    heap->usage.n_frees = heap->usage.n_allocs;
    heap->usage.free_bytes = 0;
    heap->usage.slack_bytes = 0;
#endif
    heap->cursor = 0;
    memset(heap->words, 0, sizeof heap->words);
    format_lists(heap);
    for (eai_region_t *r = &heap->region; r; r = region_next(heap, r)) format_region(heap, r);
#if EA_CFG_HEAP_STATS
    heap->usage.slack_bytes = (ptrdiff_t)(heap->usage.free_bytes - lowest);
#endif
}

/* --- regions ---------------------------------------------------------------------------------- */

/* The region whose memory begins at mem, as the caller knows it, and the one before it. */
static eai_region_t *find_region(ea_heap_t *heap, const void *mem, eai_region_t **before)
{
    const char *start = align_up(mem);
    *before = NULL;
    if (start == base_of(heap)) return &heap->region;
    for (eai_region_t *r = &heap->region; r; *before = r, r = region_next(heap, r))
        if ((const char *)r == start && r != &heap->region) return r;
    return NULL;
}

/* Lowest address that belongs to a region. */
static const char *region_start(const ea_heap_t *heap, const eai_region_t *r)
{
    return r == &heap->region ? base_of(heap) : (const char *)r;
}

ea_status_t ea_heap_add_region(ea_heap_t *heap, void *mem, size_t size_bytes)
{
    if (!mem || size_bytes > UINTPTR_MAX - (uintptr_t)mem) return EA_ERR_INVALID;
    char *start = align_up(mem), *end = align_end(mem, size_bytes);
    char *first = align_up(start + sizeof(eai_region_t) + EA_HEAP_OVERHEAD_BYTES);
    if (end < first || (size_t)(end - first) < EAI_MIN_BLOCK) return EA_ERR_INVALID;
    if (start < base_of(heap) || (size_t)(end - base_of(heap)) > heap->span_bytes)
        return EA_ERR_RANGE;
    eai_region_t *before = &heap->region;
    for (eai_region_t *r = before; r; r = region_next(heap, r)) {
        if (start < region_end(heap, r) && end > region_start(heap, r)) return EA_ERR_INVALID;
        if ((char *)r < start) before = r;
    }
    eai_region_t *r = (eai_region_t *)(void *)start;
    r->first = offset_of(heap, first);
    r->end = offset_of(heap, end);
    r->next = before->next;
    seal_region(r);
    before->next = offset_of(heap, r);
    seal_region(before);
    format_region(heap, r);
    return EA_OK;
}

ea_status_t ea_heap_remove_region(ea_heap_t *heap, void *mem, size_t *n_live)
{
    eai_region_t *before, *r = find_region(heap, mem, &before);
    if (n_live) *n_live = 0;
    if (!r) return EA_ERR_NOT_FOUND;
#if EAI_QUICK
    eai_heap_flush_quick(heap);
#endif
    char *first = region_first(heap, r), *end = region_end(heap, r);
    bool empty = *header(first) == ((uint32_t)(end - first) | EAI_FREE);
    if (!empty && n_live) *n_live = count_live(heap, r);
    if (!empty || r == &heap->region) return EA_ERR_BUSY;
#if EA_CFG_HEAP_STEPWISE
    if (heap->cursor == r->end) eai_heap_move_cursor(heap, end);
#endif
    eai_heap_unlink(heap, (links_t *)(void *)first);
    eai_heap_adjust(heap, first - end);
    eai_heap_settle(heap);
    before->next = r->next;
    seal_region(before);
    r->seal = 0;
    return EA_OK;
}

/* Give a region a new end; the walk that stood on the old one stands on the new. */
static void set_end(ea_heap_t *heap, eai_region_t *r, char *end, uint32_t flags)
{
    if (heap->cursor == r->end) {
        heap->cursor = offset_of(heap, end);
        flags |= EAI_MARK;
    }
    r->end = offset_of(heap, end);
    seal_region(r);
    *header(end) = flags;
}

ea_status_t ea_heap_grow(ea_heap_t *heap, void *mem, size_t new_size_bytes)
{
    eai_region_t *before, *r = find_region(heap, mem, &before);
    if (!r) return EA_ERR_NOT_FOUND;
    if (new_size_bytes > UINTPTR_MAX - (uintptr_t)mem) return EA_ERR_RANGE;
    char *old = region_end(heap, r), *end = align_end(mem, new_size_bytes);
    if (end <= old) return EA_ERR_INVALID;
    if ((size_t)(end - base_of(heap)) > heap->span_bytes) return EA_ERR_RANGE;
    eai_region_t *above = region_next(heap, r);
    if (above && end > (char *)above) return EA_ERR_INVALID;
    uint32_t size = (uint32_t)(end - old), prev_free = *header(old) & EAI_PREV_FREE;
    if (!prev_free && size < EAI_MIN_BLOCK) return EA_ERR_INVALID;
    set_end(heap, r, end, 0);
    eai_heap_release(heap, old, size, prev_free);
    eai_heap_adjust(heap, (ptrdiff_t)size);
    return EA_OK;
}

ea_status_t ea_heap_shrink(ea_heap_t *heap, void *mem, size_t new_size_bytes)
{
    eai_region_t *before, *r = find_region(heap, mem, &before);
    if (!r) return EA_ERR_NOT_FOUND;
    char *old = region_end(heap, r);
    if (new_size_bytes >= (size_t)(old - (char *)mem)) return EA_ERR_INVALID;
    char *end = align_end(mem, new_size_bytes);
    if (end < region_first(heap, r) + EAI_MIN_BLOCK) return EA_ERR_INVALID;
#if EAI_QUICK
    eai_heap_flush_quick(heap);
#endif
    if (!(*header(old) & EAI_PREV_FREE)) return EA_ERR_BUSY;
    uint32_t size = *header(old - 4);
    char *last = old - size;
    if (end < last) return EA_ERR_BUSY;
    uint32_t keep = (uint32_t)(end - last);
    if (keep < EAI_MIN_BLOCK) { /* the piece below the new end is no block: it goes too */
        keep = 0;
        end = last;
    }
    eai_heap_unlink(heap, (links_t *)(void *)last);
    set_end(heap, r, end, 0);
    if (keep) eai_heap_release(heap, last, keep, 0);
    eai_heap_adjust(heap, -(ptrdiff_t)(size - keep));
    eai_heap_settle(heap);
    return EA_OK;
}
