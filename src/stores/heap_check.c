/* SPDX-License-Identifier: MIT
 *
 * What looks at a heap: numbers, the walk and the checker. heap.c states the layout and I1 to I9.
 *
 * The walk survives changes between its steps because it always rests on a used block, whose header
 * it marks: the flag that makes free() look twice. When that block is freed or moved, the mark goes
 * on to the next used block. A region's end header counts as one. So there is one walk at a time,
 * and it costs the other operations nothing.
 */
#include "stores/heap_internal.h"

/* --- numbers ---------------------------------------------------------------------------------- */

void ea_heap_stats(const ea_heap_t *heap, ea_heap_stats_t *stats)
{
    memset(stats, 0, sizeof *stats);
#if EA_CFG_HEAP_STATS
    size_t quick_free_bytes, n_quick = eai_heap_quick_held(heap, &quick_free_bytes);
    stats->free_bytes = heap->usage.free_bytes + quick_free_bytes;
    /* Between the parts of a realloc the slack may be below 0: what finish gives back is taken. */
    stats->min_free_bytes = heap->usage.free_bytes -
                            (heap->usage.slack_bytes > 0 ? (size_t)heap->usage.slack_bytes : 0);
    stats->n_allocs = heap->usage.n_allocs;
    stats->n_frees = heap->usage.n_frees + n_quick;
#if EAI_QUICK
    stats->n_allocs += heap->n_quick_allocs;
    stats->n_frees += heap->n_quick_allocs;
#endif
    stats->n_live = stats->n_allocs - stats->n_frees;
    stats->n_failures = heap->n_failures;
    stats->n_corruptions = heap->n_corruptions;
#endif
    stats->largest_free_bytes = ea_heap_largest_free_bytes(heap);
    stats->control_bytes = heap->region.first - EA_HEAP_OVERHEAD_BYTES;
    for (const eai_region_t *r = &heap->region; r; r = region_next(heap, r)) {
        stats->n_regions++;
        stats->total_bytes += r->end - r->first;
    }
}

void ea_heap_reset_min_free(ea_heap_t *heap)
{
    (void)heap;
#if EA_CFG_HEAP_STATS
    heap->usage.slack_bytes = 0;
#endif
}

/* The bins' end: the first number that no bin of this heap has. */
static uint32_t end_bin(const ea_heap_t *heap)
{
#if EAI_TINY_CODE
    return bin_of(heap->span_bytes) + 1u;
#else
    return heap->guard - 1u;
#endif
}

/* The highest bin with a block; 0: none. */
static uint32_t top_bin(const ea_heap_t *heap)
{
#if EAI_TINY_CODE
    uint32_t bin = end_bin(heap);
    while (--bin >= EAI_FIRST_BIN) { /* at most EA_HEAP_MAX_BINS */
        ref_t list = sentinel(heap, bin);
        if (at(heap, list)->next != list) return bin;
    }
    return 0;
#else
    uint32_t i = heap->guard >> 5;
    uint32_t word = heap->words[i] & ~eai_bit(heap->guard);
    while (!word && i > 0) word = heap->words[--i]; /* at most EAI_WORDS */
    return word ? 32u * i + eai_bits_last(word) : 0;
#endif
}

EA_INLINE char *largest_block(const ea_heap_t *heap)
{
    uint32_t bin = top_bin(heap);
    if (!bin) return NULL;
    const links_t *list = at(heap, sentinel(heap, bin));
    links_t *first = at(heap, list->next), *last = at(heap, list->prev);
    return (char *)(*header(first) > *header(last) ? first : last);
}

char *eai_heap_largest(const ea_heap_t *heap)
{
    return largest_block(heap);
}

size_t ea_heap_largest_free_bytes(const ea_heap_t *heap)
{
    const char *block = largest_block(heap);
    if (!block) return 0;
    uint32_t size = size_of(*header(block));
    if (heap->fit == EA_FIT_HALF)
        while (size & (size - 1u)) size &= size - 1u; /* the power of two below: <= 31 steps */
    return size - EA_HEAP_OVERHEAD_BYTES;
}

size_t ea_heap_max_alloc_bytes(const ea_heap_t *heap)
{
    uint32_t largest = 0;
    for (const eai_region_t *r = &heap->region; r; r = region_next(heap, r))
        if (r->end - r->first > largest) largest = r->end - r->first;
    if (heap->fit == EA_FIT_HALF)
        while (largest & (largest - 1u)) largest &= largest - 1u;
    return largest < EAI_MIN_BLOCK ? 0 : largest - EA_HEAP_OVERHEAD_BYTES;
}

size_t ea_heap_histogram(const ea_heap_t *heap, ea_heap_bin_t *bins, size_t n_bins)
{
    size_t n = end_bin(heap) - EAI_FIRST_BIN;
    for (size_t i = 0; i < n && i < n_bins; i++) {
        ref_t head = sentinel(heap, (uint32_t)i + EAI_FIRST_BIN);
        bins[i] = (ea_heap_bin_t){bin_floor((uint32_t)i + EAI_FIRST_BIN), 0, 0};
        for (ref_t ref = at(heap, head)->next; ref != head; ref = at(heap, ref)->next) {
            bins[i].n_blocks++;
            bins[i].bytes += size_of(*header(at(heap, ref)));
        }
    }
    return n;
}

/* --- walk ------------------------------------------------------------------------------------- */

/* Does a walk have nothing to rest on here? A free block may vanish; a quick-listed one has the
 * mark for a reason of its own. */
static bool is_loose(const char *payload)
{
    uint32_t head = *header(payload);
    return head & EAI_FREE || (EAI_QUICK && head & EAI_MARK);
}

#if EA_CFG_HEAP_STEPWISE
static void rest_at(ea_heap_t *heap, char *payload)
{
    if (EAI_WALK_MARKS) *header(payload) |= EAI_MARK;
    heap->cursor = offset_of(heap, payload);
}

static void leave(ea_heap_t *heap)
{
    if (EAI_WALK_MARKS && heap->cursor) *header(base_of(heap) + heap->cursor) &= ~EAI_MARK;
    heap->cursor = 0;
}

static void rest_at_used(ea_heap_t *heap, char *payload)
{
    while (is_loose(payload))
        payload += size_of(*header(payload)); /* 1 step; quick lists: their depth */
    rest_at(heap, payload);
}

void eai_heap_move_cursor(ea_heap_t *heap, char *payload)
{
    if (heap->cursor != offset_of(heap, payload)) return;
    leave(heap);
    rest_at_used(heap, payload + size_of(*header(payload)));
}

void eai_heap_leave_region(ea_heap_t *heap, const eai_region_t *r)
{
    if (heap->cursor != r->end) return;
    leave(heap);
    r = region_next(heap, r);
    if (r) rest_at_used(heap, region_first(heap, r));
}
#endif

void ea_heap_walk_end(ea_heap_t *heap)
{
    (void)heap;
#if EA_CFG_HEAP_STEPWISE
    leave(heap);
#endif
}

/* A walk's budget is spent. */
static ea_status_t walk_pause(ea_heap_t *heap, char *payload)
{
#if EA_CFG_HEAP_STEPWISE
    rest_at(heap, payload);
    return EA_ERR_AGAIN;
#else
    (void)heap, (void)payload;
    return EA_ERR_INVALID;
#endif
}

/* The common part of walk and check: begin, or resume. Returns EA_ERR_AGAIN with the position,
 * EA_OK when there is nothing left, EA_ERR_BUSY. */
static ea_status_t walk_resume(ea_heap_t *heap, ea_heap_cursor_t *cursor, eai_region_t **region,
                               char **payload)
{
#if EA_CFG_HEAP_STEPWISE
    if (cursor->eai_state != 0) {
        if (cursor->eai_state != heap->walk_serial || !heap->cursor) return EA_OK;
        *payload = base_of(heap) + heap->cursor;
        for (*region = &heap->region; *region; *region = region_next(heap, *region))
            if (heap->cursor >= (*region)->first && heap->cursor <= (*region)->end) break;
        leave(heap);
        return *region ? EA_ERR_AGAIN : EA_ERR_CORRUPT;
    }
    if (heap->cursor) return EA_ERR_BUSY;
    if (++heap->walk_serial == 0) heap->walk_serial = 1;
    cursor->eai_state = heap->walk_serial;
#else
    (void)cursor;
#endif
    *region = &heap->region;
    *payload = region_first(heap, *region);
    return EA_ERR_AGAIN;
}

ea_status_t ea_heap_walk(ea_heap_t *heap, ea_heap_cursor_t *cursor, size_t max_steps,
                         ea_heap_visit_t visit, void *context)
{
    eai_region_t *r;
    char *payload;
    ea_status_t status = walk_resume(heap, cursor, &r, &payload);
    if (status != EA_ERR_AGAIN) return status;
    for (size_t steps = 0;; steps++) {
        char *end = region_end(heap, r);
        if (payload == end) {
            r = region_next(heap, r);
            if (!r) return EA_OK;
            payload = region_first(heap, r);
            continue;
        }
        if (steps >= max_steps && !is_loose(payload)) break;
        uint32_t head = *header(payload), size = size_of(head);
        if (size < EAI_MIN_BLOCK || size > (size_t)(end - payload)) return EA_ERR_CORRUPT;
        ea_heap_block_t block = {payload, size - EA_HEAP_OVERHEAD_BYTES, !is_loose(payload),
                                 r == &heap->region ? (const void *)heap : (const void *)r};
        visit(context, &block);
        payload += size;
    }
    return walk_pause(heap, payload);
}

/* --- check ------------------------------------------------------------------------------------ */

#define BROKEN(text, place) return ((ea_heap_fault_t){(text), (place)})
#define SOUND ((ea_heap_fault_t){NULL, NULL})

static ea_heap_fault_t check_control(const ea_heap_t *heap)
{
    if (EA_CFG_CHECK_LEVEL && heap->seal != eai_heap_seal(heap))
        BROKEN("I1 the control structure's constants match their seal", heap);
    uint32_t from = 0;
    for (const eai_region_t *r = &heap->region;;) {
        uint32_t self = offset_of(heap, r);
        if (EA_CFG_CHECK_LEVEL && r->seal != eai_region_seal(r))
            BROKEN("I2 regions match their seals", r);
        if (r->first < from || r->first < self || (r->first & EAI_MASK) || (r->end & EAI_MASK) ||
            r->end < r->first || r->end > heap->span_bytes)
            BROKEN("I2 regions ascend and lie inside the span", r);
        from = r->end;
        if (!r->next) return SOUND;
        if (r->next < r->end || (r->next & EAI_MASK) ||
            r->next > heap->span_bytes - (uint32_t)sizeof(eai_region_t))
            BROKEN("I2 regions ascend and lie inside the span", r);
        r = region_next(heap, r);
    }
}

/* Is ref the address of a bin's sentinel, or could it be of a block? Only then may it be read. */
static bool ref_is_readable(const ea_heap_t *heap, ref_t ref)
{
    uintptr_t address = (uintptr_t)at(heap, ref), base = (uintptr_t)heap;
    if (address < base || address - base >= heap->span_bytes) return false;
    uintptr_t offset = address - base;
    if (offset < heap->region.first - EA_HEAP_OVERHEAD_BYTES) {
        if (offset < EAI_BINS_OFFSET || (offset - EAI_BINS_OFFSET) % sizeof(links_t)) return false;
        uintptr_t bin = (offset - EAI_BINS_OFFSET) / sizeof(links_t) + EAI_FIRST_BIN;
        return EAI_TINY_CODE ? bin < end_bin(heap) : bin <= heap->guard;
    }
    if (offset & EAI_MASK) return false;
    for (const eai_region_t *r = &heap->region; r; r = region_next(heap, r))
        if (offset >= r->first && offset + EAI_MIN_BLOCK - EA_HEAP_OVERHEAD_BYTES <= r->end)
            return true;
    return false;
}

typedef struct {
    size_t n_free, n_live, free_bytes;
    bool has_walk; /* the block a walk stands on was there, and marked if it must be */
} tally_t;

/* One block; its region is known to be sound, and that the block begins inside it. */
static ea_heap_fault_t check_block(const ea_heap_t *heap, const eai_region_t *r, const char *p,
                                   tally_t *tally)
{
    const char *first = region_first(heap, r), *end = region_end(heap, r);
    uint32_t head = *header(p), size = size_of(head);
    bool walked = heap->cursor == offset_of(heap, p) &&
                  (EAI_WALK_MARKS ? head & EAI_MARK : !(head & EAI_FREE));
    bool stray = head & EAI_MARK && !(EAI_WALK_MARKS && walked);
    tally->has_walk |= walked;
    if (p == end) {
        if (stray) BROKEN("I4 only the block a walk stands on is marked", p);
        if (size || head & EAI_FREE) BROKEN("I3 a region closes with a used header of size 0", p);
        return SOUND;
    }
    if (size < EAI_MIN_BLOCK || size & EAI_MASK || size > (size_t)(end - p))
        BROKEN("I3 blocks tile their region", p);
    if (p == first && head & EAI_PREV_FREE)
        BROKEN("I4 PF is set exactly when the block below is free", p);
    uint32_t above = *header(p + size);
    if (!(head & EAI_FREE) != !(above & EAI_PREV_FREE))
        BROKEN("I4 PF is set exactly when the block below is free", p + size);
    if (stray && !EAI_QUICK) BROKEN("I4 only the block a walk stands on is marked", p);
    if (!(head & EAI_FREE)) {
        if (EAI_QUICK && stray)
            tally->free_bytes += size;
        else
            tally->n_live++;
        return SOUND;
    }
    tally->n_free++;
    tally->free_bytes += size;
    if (head & (EAI_PREV_FREE | EAI_MARK) || above & EAI_FREE)
        BROKEN("I5 no two free blocks touch", p);
    if (*tail(p, size) != size) BROKEN("I5 a free block carries its size at its end", p);
    const links_t *links = (const links_t *)(const void *)p;
    ref_t self = ref_of(heap, p);
    if (!ref_is_readable(heap, links->next) || !ref_is_readable(heap, links->prev) ||
        at(heap, links->next)->prev != self || at(heap, links->prev)->next != self)
        BROKEN("I6 a free block's list neighbours point back at it", p);
#if !EAI_TINY_CODE
    uint32_t bin = bin_of(size);
    if (!(heap->words[bin >> 5] & eai_bit(bin))) BROKEN("I7 a bin with a block has its bit set", p);
#endif
    return SOUND;
}

/* One list; n_free bounds the work. */
static ea_heap_fault_t check_list(const ea_heap_t *heap, uint32_t bin, const tally_t *tally,
                                  size_t *n)
{
    ref_t head = sentinel(heap, bin), before = head;
    const links_t *list = at(heap, head);
    for (ref_t ref = list->next; ref != head; ref = at(heap, ref)->next) {
        if ((*n)++ >= tally->n_free)
            BROKEN("I8 the lists hold as many blocks as the regions", list);
        if (!ref_is_readable(heap, ref)) BROKEN("I6 links lead to blocks", list);
        const links_t *block = at(heap, ref);
        if (offset_of(heap, block) < heap->region.first) BROKEN("I6 links lead to blocks", list);
        uint32_t header_word = *header(block);
        if ((header_word & EAI_FLAGS) != EAI_FREE || bin_of(size_of(header_word)) != bin)
            BROKEN("I6 a free block is linked into the bin of its size", block);
        if (block->prev != before)
            BROKEN("I6 a free block's list neighbours point back at it", block);
        before = ref;
    }
    if (list->prev != before) BROKEN("I6 a sentinel points at its list's last block", list);
    return SOUND;
}

/* Lists against bitmap. */
static ea_heap_fault_t check_bins(const ea_heap_t *heap, const tally_t *tally)
{
    size_t n = 0;
#if EAI_TINY_CODE
    uint32_t bin = EAI_FIRST_BIN;
    for (; bin < end_bin(heap); bin++) {
        ea_heap_fault_t fault = check_list(heap, bin, tally, &n);
        if (fault.invariant) return fault;
    }
    /* The search may look at what lies between the lists and the first header. */
    for (; offset_of(heap, at(heap, sentinel(heap, bin))) <
           heap->region.first - EA_HEAP_OVERHEAD_BYTES;
         bin++)
        if (at(heap, sentinel(heap, bin))->next != sentinel(heap, bin))
            BROKEN("I7 what fills the lists up to the first header is empty", heap);
#else
    for (uint32_t bin = 0; bin < EAI_WORDS * 32u; bin++) {
        bool set = heap->words[bin >> 5] & eai_bit(bin);
        if (bin < EAI_FIRST_BIN || bin > heap->guard || bin == end_bin(heap)) {
            if (set) BROKEN("I7 only real bins have bits", &heap->words[bin >> 5]);
            continue;
        }
        ref_t head = sentinel(heap, bin);
        const links_t *list = at(heap, head);
        if (bin == heap->guard) {
            if (!set || list->next != head || list->prev != head || *header(list) != 0)
                BROKEN("I7 the guard is set and empty", list);
            continue;
        }
        if (set == (list->next == head))
            BROKEN("I7 a bit is set exactly when its list is not empty", list);
        ea_heap_fault_t fault = check_list(heap, bin, tally, &n);
        if (fault.invariant) return fault;
    }
#endif
    if (n != tally->n_free) BROKEN("I8 the lists hold as many blocks as the regions", heap);
    return SOUND;
}

#if EAI_QUICK
static ea_heap_fault_t check_quick(const ea_heap_t *heap)
{
    for (uint32_t i = 0; i < EAI_QUICK_LISTS; i++) {
        const link_t *list = &heap->quick[i];
        uint32_t n = 0;
        for (ref_t ref = *list; ref; ref = at(heap, ref)->next) {
            if (n++ >= EAI_QUICK_MOST || !ref_is_readable(heap, ref) ||
                offset_of(heap, at(heap, ref)) < heap->region.first)
                BROKEN("I6 quick lists hold as many blocks as they count", list);
            uint32_t head = *header(at(heap, ref));
            if (!(head & EAI_MARK) || head & EAI_FREE || size_of(head) != quick_bytes(i))
                BROKEN("I6 a block in a quick list is marked and of its size", at(heap, ref));
        }
        if (n != heap->n_quick[i]) BROKEN("I6 quick lists hold as many blocks as they count", list);
    }
    return SOUND;
}
#endif

static ea_heap_fault_t check_totals(const ea_heap_t *heap, const tally_t *tally)
{
    if (heap->cursor && !tally->has_walk) BROKEN("I4 the block a walk stands on is marked", heap);
    ea_heap_fault_t fault = check_bins(heap, tally);
#if EAI_QUICK
    if (!fault.invariant) fault = check_quick(heap);
#endif
#if EA_CFG_HEAP_STATS
    size_t quick_free_bytes, n_quick = eai_heap_quick_held(heap, &quick_free_bytes);
    if (!fault.invariant && heap->usage.free_bytes + quick_free_bytes != tally->free_bytes)
        BROKEN("I9 free_bytes is the sum of the free blocks", heap);
    if (!fault.invariant && heap->usage.n_allocs - heap->usage.n_frees - n_quick != tally->n_live)
        BROKEN("I9 n_live is the number of used blocks", heap);
#endif
    return fault;
}

static ea_status_t report(ea_heap_fault_t found, ea_heap_fault_t *fault)
{
    if (fault) *fault = found;
    return found.invariant ? EA_ERR_CORRUPT : EA_OK;
}

ea_status_t ea_heap_check(const ea_heap_t *heap, ea_heap_fault_t *fault)
{
    tally_t tally = {0, 0, 0, false};
    ea_heap_fault_t found = check_control(heap);
    if (found.invariant) return report(found, fault);
    for (const eai_region_t *r = &heap->region; r; r = region_next(heap, r)) {
        const char *end = region_end(heap, r);
        for (const char *p = region_first(heap, r);; p += size_of(*header(p))) {
            found = check_block(heap, r, p, &tally);
            if (found.invariant) return report(found, fault);
            if (p == end) break;
        }
    }
    return report(check_totals(heap, &tally), fault);
}

ea_status_t ea_heap_check_step(ea_heap_t *heap, ea_heap_cursor_t *cursor, size_t max_steps,
                               ea_heap_fault_t *fault)
{
    tally_t tally = {0, 0, 0, false};
    eai_region_t *r;
    char *payload;
    ea_heap_fault_t found = check_control(heap);
    if (found.invariant) return report(found, fault);
    ea_status_t status = walk_resume(heap, cursor, &r, &payload);
    if (fault) *fault = SOUND;
    if (status != EA_ERR_AGAIN) return status;
    for (size_t steps = 0;; steps++) {
        if (steps >= max_steps && payload != region_end(heap, r) && !is_loose(payload)) break;
        found = check_block(heap, r, payload, &tally);
        if (found.invariant) return report(found, fault);
        if (payload == region_end(heap, r)) {
            r = region_next(heap, r);
            if (!r) return EA_OK;
            payload = region_first(heap, r);
        } else {
            payload += size_of(*header(payload));
        }
    }
    return walk_pause(heap, payload);
}
