/* SPDX-License-Identifier: MIT
 *
 * How a dump looks at a heap that may be damaged. The bounds come from the allocator's slot; within
 * them every header is tested before the next one is looked for. Where a header is impossible the
 * blocks behind it are lost, until a place is found from where CHAIN headers in a row, or all up to
 * the region's end, agree with each other.
 *
 * Rejected: following free lists to find blocks behind damage (links are what is damaged as often).
 */
#include "observe/dump_internal.h"

#include "stores/heap_internal.h"

#define CHAIN 8u            /* headers that make a place believable */
#define SEARCHED_A_STEP 32u /* granules */

static void trouble(eai_dump_sight_t *sight, ea_dump_trouble_t what, const void *where)
{
    sight->eai_trouble = (uint8_t)what;
    sight->eai_where = where;
}

static const char *place(const eai_dump_heap_t *h, uint32_t offset)
{
    return base_of(h->eai_heap) + offset;
}

bool eai_dump_heap_begin(eai_dump_heap_t *h, const ea_heap_t *heap, const char *begin,
                         const char *end, eai_dump_sight_t *sight)
{
    uintptr_t room = (uintptr_t)end - (uintptr_t)heap;
    *h = (eai_dump_heap_t){.eai_heap = heap};
    if ((uintptr_t)heap < (uintptr_t)begin || (uintptr_t)heap > (uintptr_t)end ||
        ((uintptr_t)heap & EAI_MASK) != 0 || room < sizeof *heap + EAI_MIN_BLOCK) {
        trouble(sight, EA_DUMP_RANGE, heap);
        return false;
    }
    const eai_region_t *r = &heap->region;
    if (r->first < EAI_BINS_OFFSET + EA_HEAP_OVERHEAD_BYTES || (r->first & EAI_MASK) != 0 ||
        (r->end & EAI_MASK) != 0 || r->end < r->first || r->end > room) {
        trouble(sight, EA_DUMP_RANGE, r);
        return false;
    }
    if (r->next != 0 || (EA_CFG_CHECK_LEVEL > 0 &&
                         (heap->seal != eai_heap_seal(heap) || r->seal != eai_region_seal(r))))
        trouble(sight, EA_DUMP_SEAL, heap);
    h->eai_first = h->eai_at = r->first;
    h->eai_end = r->end;
    return true;
}

/* --- blocks ----------------------------------------------------------------------------------- */

/* Can a block of this header begin here? It then ends inside the region. */
static bool is_possible(const eai_dump_heap_t *h, uint32_t at, uint32_t head)
{
    uint32_t size = size_of(head);
    return size >= EAI_MIN_BLOCK && (size & EAI_MASK) == 0 && size <= h->eai_end - at;
}

static bool is_free(uint32_t head)
{
    return (head & EAI_FREE) != 0;
}

/* Do this header and the one above agree about its being free? */
static bool agree(uint32_t head, uint32_t above)
{
    return is_free(head) == ((above & EAI_PREV_FREE) != 0) && !(is_free(head) && is_free(above));
}

/* Does what begins here look like blocks? Bound: CHAIN. */
static bool is_believable(const eai_dump_heap_t *h, uint32_t at)
{
    uint32_t head = *header(place(h, at));
    if ((head & EAI_PREV_FREE) != 0) {
        uint32_t below = *header(place(h, at) - 4);
        if (below < EAI_MIN_BLOCK || (below & EAI_MASK) != 0 || below > at - h->eai_first)
            return false;
    }
    for (uint32_t n = 0; n < CHAIN && at != h->eai_end; n++) {
        if (!is_possible(h, at, head)) return false;
        uint32_t size = size_of(head), above = *header(place(h, at + size));
        if (!agree(head, above)) return false;
        if (is_free(head) && *tail(place(h, at), size) != size) return false;
        at += size;
        head = above;
    }
    return at != h->eai_end || (size_of(head) == 0 && !is_free(head));
}

static void see(const eai_dump_heap_t *h, uint32_t at, uint32_t bytes, ea_dump_state_t state,
                eai_dump_sight_t *sight)
{
    sight->eai_begin = place(h, at) - EA_HEAP_OVERHEAD_BYTES;
    sight->eai_bytes = bytes;
    sight->eai_state = (uint8_t)state;
}

/* Look for the next believable block, some granules a call. */
static void search(eai_dump_heap_t *h, eai_dump_sight_t *sight)
{
    for (uint32_t n = 0; n < SEARCHED_A_STEP; n++) {
        if (h->eai_at == h->eai_end || is_believable(h, h->eai_at)) {
            see(h, h->eai_lost, h->eai_at - h->eai_lost, EA_DUMP_DAMAGED, sight);
            trouble(sight, EA_DUMP_HEADER, place(h, h->eai_lost) - EA_HEAP_OVERHEAD_BYTES);
            h->eai_lost = 0;
            return;
        }
        h->eai_at += EA_HEAP_ALIGN;
    }
}

static ea_dump_state_t state_of(const eai_dump_heap_t *h, uint32_t at, uint32_t head)
{
    if (is_free(head)) return EA_DUMP_FREE;
    bool marked = EAI_QUICK && (head & EAI_MARK) != 0 && h->eai_heap->cursor != at;
    return marked ? EA_DUMP_CACHED : EA_DUMP_USED;
}

bool eai_dump_heap_next(eai_dump_heap_t *h, eai_dump_sight_t *sight)
{
    *sight = (eai_dump_sight_t){.eai_state = EAI_DUMP_NOTHING};
    if (h->eai_lost != 0) {
        search(h, sight);
        return true;
    }
    uint32_t at = h->eai_at, head = *header(place(h, at));
    if (at == h->eai_end) {
        if (size_of(head) != 0 || is_free(head))
            trouble(sight, EA_DUMP_HEADER, header(place(h, at)));
        return false;
    }
    if (!is_possible(h, at, head)) {
        h->eai_lost = at;
        h->eai_at = at + EA_HEAP_ALIGN;
        return true;
    }
    uint32_t size = size_of(head);
    see(h, at, size, state_of(h, at, head), sight);
    if (!agree(head, *header(place(h, at + size))))
        trouble(sight, EA_DUMP_FLAGS, header(place(h, at + size)));
    else if (is_free(head) && *tail(place(h, at), size) != size)
        trouble(sight, EA_DUMP_TAIL, tail(place(h, at), size));
    h->eai_at = at + size;
    return true;
}

/* --- numbers ---------------------------------------------------------------------------------- */

void eai_dump_heap_stats(const eai_dump_heap_t *h, bool checks, ea_heap_stats_t *stats,
                         eai_dump_sight_t *sight)
{
    const ea_heap_t *heap = h->eai_heap;
    ea_heap_fault_t fault = {NULL, NULL};
    bool sound = sight->eai_trouble == 0;
    if (sound && checks && EA_CFG_CHECK_LEVEL > 0 && ea_heap_check(heap, &fault) != EA_OK) {
        trouble(sight, EA_DUMP_INVARIANT, fault.where);
        sight->eai_text = fault.invariant;
        sound = false;
    }
    if (sound && EA_CFG_CHECK_LEVEL > 0) {
        ea_heap_stats(heap, stats);
        return;
    }
    *stats = (ea_heap_stats_t){.total_bytes = h->eai_end - h->eai_first,
                               .control_bytes = h->eai_first - EA_HEAP_OVERHEAD_BYTES};
#if EA_CFG_HEAP_STATS
    stats->free_bytes = heap->usage.free_bytes;
    stats->n_allocs = heap->usage.n_allocs;
    stats->n_frees = heap->usage.n_frees;
    stats->n_live = stats->n_allocs - stats->n_frees;
    stats->n_failures = heap->n_failures;
    stats->n_corruptions = heap->n_corruptions;
#endif
}
