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

static char *align_begin(const void *address)
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

/* What lies between the refs of two sentinels. */
#define REF_STEP (EAI_LINKS_ARE_POINTERS ? (ref_t)sizeof(links_t) : 1u)

/* Make the region one free block behind an end header. */
static void format_region(ea_heap_t *heap, const eai_region_t *r)
{
    char *first = region_first(heap, r), *end = region_end(heap, r);
    uint32_t size = r->end - r->first;
    *header(end) = 0;
    if (size == 0) return; /* it has shrunk to nothing */
    *header(first) = size;
    eai_heap_adjust(heap, (ptrdiff_t)size);
    eai_heap_release(heap, first);
}

/* Every list empty, the guard set. */
EA_INLINE void format_lists(ea_heap_t *heap)
{
    links_t *list = heap->bins;
    ref_t self = sentinel(heap, EAI_FIRST_BIN);
#if EAI_TINY_CODE
    const char *end = (const char *)header(region_first(heap, &heap->region));
#else
    const char *end = (const char *)at(heap, sentinel(heap, heap->guard + 1u));
    memset(heap->words, 0, sizeof heap->words);
    heap->words[heap->guard >> 5] = eai_bit(heap->guard);
#endif
    for (; (const char *)list < end; list++, self += REF_STEP)
        list->next = list->prev = (link_t)self;
#if !EAI_TINY_CODE
    list[-2] = (links_t){0, 0};
#endif
#if EAI_QUICK
    memset(heap->quick, 0, sizeof heap->quick);
    memset(heap->n_quick, 0, sizeof heap->n_quick);
#endif
}

/* No block but one in the first region. */
static void format(ea_heap_t *heap)
{
    heap->cursor = 0;
    format_lists(heap);
    format_region(heap, &heap->region);
}

ea_heap_t *ea_heap_init(void *mem, size_t size_bytes, const ea_heap_options_t *options)
{
    size_t span = 0;
    ea_heap_fit_t fit = EA_FIT_GOOD;
    if (!mem) return NULL;
    if (options) {
        span = options->span_bytes;
        fit = options->fit;
        if (fit != EA_FIT_GOOD && !(EA_CFG_HEAP_HALF_FIT && fit == EA_FIT_HALF)) return NULL;
    }
    if (span == 0) span = size_bytes;
    if (span < size_bytes || size_bytes > UINTPTR_MAX - (uintptr_t)mem) return NULL;
    ea_heap_t *heap = (ea_heap_t *)(void *)align_begin(mem);
    span -= (size_t)((char *)heap - (char *)mem);
    if (span > EAI_MAX_SPAN_BYTES) return NULL;
    uint32_t last_bin = bin_of((uint32_t)span);
    size_t control =
        EAI_BINS_OFFSET + (last_bin + (EAI_TINY_CODE ? 1u : 3u) - EAI_FIRST_BIN) * sizeof(links_t);
    size_t first = (control + EA_HEAP_OVERHEAD_BYTES + EAI_MASK) & ~(size_t)EAI_MASK;
    /* The end may lie below the heap, by less than the alignment. */
    size_t end = (size_t)(align_end(mem, size_bytes) - (char *)heap);
    if (first + EAI_MIN_BLOCK + EA_HEAP_ALIGN > end + EA_HEAP_ALIGN) return NULL;

    memset(heap, 0, sizeof *heap);
    heap->span_bytes = (uint32_t)span;
    heap->fit = (uint8_t)fit;
#if !EAI_TINY_CODE
    heap->guard = (uint8_t)(last_bin + 2u);
    if (fit == EA_FIT_GOOD)
        heap->limit = (span & ~(size_t)EAI_MASK) - EA_HEAP_OVERHEAD_BYTES - EAI_LEAST;
#endif
#if EAI_QUICK
    heap->span_granules = span >> EAI_GRANULE_SHIFT;
#endif
#if EA_CFG_CHECK_LEVEL >= 1
    heap->seal = eai_heap_seal(heap);
#endif
    heap->region.first = (uint32_t)first;
    heap->region.end = (uint32_t)end;
    seal_region(&heap->region);
    format(heap);
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
    format_lists(heap);
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
    format(heap);
    for (eai_region_t *r = &heap->region; (r = region_next(heap, r)) != NULL;)
        format_region(heap, r);
#if EA_CFG_HEAP_STATS
    heap->usage.slack_bytes = (ptrdiff_t)(heap->usage.free_bytes - lowest);
#endif
}

/* --- regions ---------------------------------------------------------------------------------- */

/* The region whose memory begins at mem, as the caller knows it, and the one before it. */
static eai_region_t *find_region(ea_heap_t *heap, const void *mem, eai_region_t **before)
{
    const char *start = align_begin(mem);
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

/* As told, not as rounded: what lies beyond the span belongs to somebody else. */
static bool exceeds_span(const ea_heap_t *heap, const void *mem, size_t size_bytes)
{
    return (size_t)((const char *)mem - base_of(heap)) + size_bytes > heap->span_bytes;
}

ea_status_t ea_heap_add_region(ea_heap_t *heap, void *mem, size_t size_bytes)
{
    if (!mem || size_bytes > UINTPTR_MAX - (uintptr_t)mem) return EA_ERR_INVALID;
    char *start = align_begin(mem), *end = align_end(mem, size_bytes);
    char *first = align_begin(start + sizeof(eai_region_t) + EA_HEAP_OVERHEAD_BYTES);
    if (end < first || (size_t)(end - first) < EAI_MIN_BLOCK) return EA_ERR_INVALID;
    if (start < base_of(heap) || exceeds_span(heap, mem, size_bytes)) return EA_ERR_RANGE;
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
    eai_heap_leave_region(heap, r);
#endif
    eai_heap_claim(heap, first);
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
        if (EAI_WALK_MARKS) flags |= EAI_MARK;
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
    if (exceeds_span(heap, mem, new_size_bytes)) return EA_ERR_RANGE;
    eai_region_t *above = region_next(heap, r);
    if (above && end > (char *)above) return EA_ERR_INVALID;
    uint32_t size = (uint32_t)(end - old), prev_free = *header(old) & EAI_PREV_FREE;
    if (!prev_free && size < EAI_MIN_BLOCK) return EA_ERR_INVALID;
    set_end(heap, r, end, 0);
    *header(old) = size | prev_free;
    eai_heap_release(heap, old);
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
    eai_heap_claim(heap, last);
    set_end(heap, r, end, 0);
    if (keep) {
        *header(last) = keep;
        eai_heap_release(heap, last);
    }
    eai_heap_adjust(heap, -(ptrdiff_t)(size - keep));
    eai_heap_settle(heap);
    return EA_OK;
}
