/* SPDX-License-Identifier: MIT
 *
 * The blocks of a heap that may be damaged: src/observe/dump_heap.c for memory of another machine.
 * Every header is tested before the next one is looked for; where one is impossible the blocks
 * behind it are lost until CHAIN headers in a row, or all up to the region's end, agree. Then each
 * free block's links are followed: they must lead to free blocks or into the bins.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ealloc/dump.h"
#include "survey_internal.h"

#define CHAIN 8u
#define FREE 1u
#define PREV_FREE 2u
#define MARK 4u
#define FLAGS 7u
#define MIN_BLOCK EA_HEAP_MIN_BLOCK_BYTES

/* One heap; offsets count from it, as its own do. */
typedef struct {
    survey_t *v;
    view_t heap;
    uint64_t address;
    const uint8_t *bytes; /* from the heap on */
    uint64_t there;       /* how many of them the image has */
    uint32_t first, end, mask, cursor;
    bool has_quick, tagged;
    uint64_t moving[MOST_MOVING];
    unsigned n_moving;
} heap_t;

static uint32_t word(const heap_t *h, uint32_t at)
{
    if (at > h->there || h->there - at < 4) return 0;
    const uint8_t *b = h->bytes + at;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static uint32_t header(const heap_t *h, uint32_t at)
{
    return word(h, at - HEADER_BYTES);
}

static uint32_t size_of(uint32_t head)
{
    return head & ~FLAGS;
}

static bool is_possible(const heap_t *h, uint32_t at, uint32_t head)
{
    uint32_t size = size_of(head);
    return size >= MIN_BLOCK && (size & h->mask) == 0 && size <= h->end - at;
}

static bool agree(uint32_t head, uint32_t above)
{
    return ((head & FREE) != 0) == ((above & PREV_FREE) != 0) && !(head & above & FREE);
}

static bool is_believable(const heap_t *h, uint32_t at)
{
    uint32_t head = header(h, at);
    if ((head & PREV_FREE) != 0) {
        uint32_t below = word(h, at - 8);
        if (below < MIN_BLOCK || (below & h->mask) != 0 || below > at - h->first) return false;
    }
    for (unsigned n = 0; n < CHAIN && at != h->end; n++) {
        if (!is_possible(h, at, head)) return false;
        uint32_t size = size_of(head), above = header(h, at + size);
        if (!agree(head, above)) return false;
        if ((head & FREE) != 0 && word(h, at + size - 8) != size) return false;
        at += size;
        head = above;
    }
    return at != h->end || (size_of(head) == 0 && (head & FREE) == 0);
}

static snap_block_t *add_block(const heap_t *h, uint32_t at, uint64_t bytes, unsigned state)
{
    snapshot_t *s = h->v->s;
    snap_block_t *block = SNAP_ADD(s, blocks, n_blocks);
    *block = (snap_block_t){
        .begin = h->address + at - HEADER_BYTES, .bytes = bytes, .state = (uint8_t)state};
    s->regions[s->n_regions - 1].n_blocks++;
    return block;
}

static void raw_around(const heap_t *h, uint64_t where)
{
    survey_raw(h->v, where, h->address, h->address + h->there);
}

static void trouble(const heap_t *h, unsigned reason, uint64_t where, const char *text)
{
    survey_trouble(h->v, reason, where, text);
    raw_around(h, where);
}

static void look_closer(const heap_t *h, snap_block_t *b, uint32_t at)
{
    const label_rules_t *rules = &h->v->rules;
    uint64_t usable = b->bytes - HEADER_BYTES, raw = h->address + at;
    b->user = raw;
    b->requested = usable;
    for (unsigned i = 0; i < h->n_moving; i++)
        if (h->moving[i] == raw) b->state = SNAP_MOVING;
    if (raw == h->v->reserve && raw != 0) b->state = SNAP_INTERNAL;
    if (!h->tagged) return;
    b->user += rules->front_bytes;
    if (b->state != SNAP_USED) return;
    if (usable <= rules->front_bytes) {
        b->finding = EA_GUARD_TAG;
        return;
    }
    const uint8_t *tag = h->bytes + at;
    (void)label_read(rules, b, tag, tag + rules->front_bytes, usable - rules->front_bytes, true);
    if (b->finding != 0 && b->first_bad != 0) raw_around(h, b->first_bad);
}

/* The block at offset at. Returns the offset of the next one. */
static uint32_t look(const heap_t *h, uint32_t at)
{
    uint32_t head = header(h, at);
    if (!is_possible(h, at, head)) {
        uint32_t lost = at;
        do at += h->mask + 1u;
        while (at < h->end && at <= h->there && !is_believable(h, at));
        add_block(h, lost, at - lost, SNAP_DAMAGED);
        trouble(h, EA_DUMP_HEADER, h->address + lost - HEADER_BYTES, "");
        return at;
    }
    uint32_t size = size_of(head), next = at + size;
    unsigned state = (head & FREE) != 0                                      ? SNAP_FREE
                     : h->has_quick && (head & MARK) != 0 && h->cursor != at ? SNAP_CACHED
                                                                             : SNAP_USED;
    if (next > h->there) return UINT32_MAX;
    snap_block_t *block = add_block(h, at, size, state);
    if (state == SNAP_USED) look_closer(h, block, at);
    if (!agree(head, header(h, next)))
        trouble(h, EA_DUMP_FLAGS, h->address + next - HEADER_BYTES, "");
    else if (state == SNAP_FREE && word(h, next - 8) != size)
        trouble(h, EA_DUMP_TAIL, h->address + next - 8, "");
    return next;
}

static void look_at_blocks(const heap_t *h)
{
    uint32_t at = h->first;
    while (at < h->end && at <= h->there) {
        uint32_t next = look(h, at);
        if (next == UINT32_MAX) break;
        at = next;
    }
    if (at >= h->end) {
        uint32_t head = header(h, h->end);
        if (h->end <= h->there && (size_of(head) != 0 || (head & FREE) != 0))
            trouble(h, EA_DUMP_HEADER, h->address + h->end - HEADER_BYTES, "");
        return;
    }
    add_block(h, at, h->end - at, SNAP_DAMAGED);
    survey_flaw(h->v, "the region's memory is missing", h->address + h->there);
}

/* --- links ------------------------------------------------------------------------------------ */

static bool is_free_block(const snapshot_t *s, uint64_t begin)
{
    const snap_region_t *r = &s->regions[s->n_regions - 1];
    size_t low = r->first_block, high = r->first_block + r->n_blocks;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->blocks[middle].begin <= begin)
            low = middle + 1;
        else
            high = middle;
    }
    return low > r->first_block && s->blocks[low - 1].begin == begin &&
           s->blocks[low - 1].state == SNAP_FREE;
}

static void check_links(const heap_t *h)
{
    survey_t *v = h->v;
    view_t link = view_member(view_element(view_member(h->heap, "bins"), 0), "next");
    unsigned width = (unsigned)view_bytes(link);
    uint64_t bins = view_member(h->heap, "bins").address;
    bool are_pointers = width == 4 && layout_pointer_bytes(v->layout) == 4;
    snap_region_t *r = &v->s->regions[v->s->n_regions - 1];
    if (width != 2 && width != 4) return;
    for (size_t i = r->first_block; i < r->first_block + r->n_blocks; i++) {
        const snap_block_t *b = &v->s->blocks[i];
        if (b->state != SNAP_FREE) continue;
        for (unsigned k = 0; k < 2; k++) {
            uint64_t place = b->begin + HEADER_BYTES + k * width, ref;
            if (!image_number(v->image, place, width, &ref)) continue;
            uint64_t to = are_pointers ? ref : h->address + (ref << (width == 2 ? 2 : 3));
            bool in_bins = to >= bins && to < h->address + h->first;
            if (in_bins || is_free_block(v->s, to - HEADER_BYTES)) continue;
            trouble(h, EA_DUMP_INVARIANT, place, "a free block's link leads to no free block");
            break;
        }
    }
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* is_sound: nothing of it was found damaged, so what it says of itself means something. */
static void count(const heap_t *h, bool is_sound)
{
    snapshot_t *s = h->v->s;
    snap_region_t *r = &s->regions[s->n_regions - 1];
    view_t usage = view_member(h->heap, "usage");
    r->has_heap = true;
    r->total = h->end - h->first;
    r->control_bytes = h->first - HEADER_BYTES;
    uint64_t free_bytes = 0, largest = 0;
    for (size_t i = r->first_block; i < r->first_block + r->n_blocks; i++) {
        const snap_block_t *b = &s->blocks[i];
        if (b->state != SNAP_FREE && b->state != SNAP_CACHED) continue;
        free_bytes += b->bytes;
        if (b->state == SNAP_FREE && b->bytes > largest) largest = b->bytes;
    }
    r->free_bytes = is_sound || !usage.has_type ? free_bytes : view_number(usage, "free_bytes");
    if (is_sound) r->largest = largest > HEADER_BYTES ? largest - HEADER_BYTES : 0;
    if (!usage.has_type) return;
    unsigned bits = 64u - 8u * layout_pointer_bytes(h->v->layout);
    int64_t slack = (int64_t)(view_number(usage, "slack_bytes") << bits) >> bits;
    uint64_t counted = view_number(usage, "free_bytes");
    if (is_sound) r->min_free = counted - (slack > 0 ? (uint64_t)slack : 0);
    r->n_allocs = view_number(usage, "n_allocs") + view_number(h->heap, "n_quick_allocs");
    r->n_frees = view_number(usage, "n_frees") + view_number(h->heap, "n_quick_allocs");
    r->n_live = r->n_allocs - r->n_frees;
    r->n_failures = view_number(h->heap, "n_failures");
    r->n_corruptions = view_number(h->heap, "n_corruptions");
}

/* --- the whole -------------------------------------------------------------------------------- */

static uint32_t region_seal(view_t region)
{
    return (uint32_t)view_number(region, "first") * 3u ^ (uint32_t)view_number(region, "end") * 5u ^
           (uint32_t)view_number(region, "next") * 7u ^ 0x5EA1EA10u;
}

static uint32_t heap_seal(view_t heap)
{
    uint64_t limit = view_number(heap, "limit"), span = view_number(heap, "span_granules");
    return (uint32_t)view_number(heap, "span_bytes") * 3u ^
           (uint32_t)view_number(heap, "guard") * 0x10001u ^
           (uint32_t)view_number(heap, "fit") << 8 ^ 0xEA110C01u ^ (uint32_t)limit * 5u ^
           (uint32_t)(limit >> 32) * 9u ^ (uint32_t)span * 11u ^ (uint32_t)(span >> 32) * 13u;
}

bool survey_is_heap(const survey_t *v, uint64_t address, uint64_t *end)
{
    view_t heap = view_struct(v->layout, v->image, "ea_heap", address);
    view_t region = view_member(heap, "region");
    uint64_t first = view_number(region, "first"), last = view_number(region, "end");
    if (address % v->align_bytes != 0 || !view_is_there(heap) || first < view_bytes(heap) ||
        last < first || ((first | last) & (v->align_bytes - 1)) != 0)
        return false;
    *end = address + last;
    return (uint32_t)view_number(region, "seal") == region_seal(region) ||
           (uint32_t)view_number(heap, "seal") == heap_seal(heap);
}

static void read_moving(heap_t *h, uint64_t moving)
{
    while (moving != 0 && h->n_moving < MOST_MOVING) {
        view_t node = view_struct(h->v->layout, h->v->image, "eai_moving", moving);
        if (!view_is_there(node)) break;
        h->moving[h->n_moving++] = view_number(node, "eai_to");
        moving = view_number(node, "eai_next");
    }
}

/* One region of a heap: its descriptor is the view region. */
static void look_at_region(heap_t *h, view_t region)
{
    h->first = (uint32_t)view_number(region, "first");
    h->end = (uint32_t)view_number(region, "end");
    size_t n_troubles = h->v->s->n_troubles;
    look_at_blocks(h);
    check_links(h);
    count(h, h->v->s->n_troubles == n_troubles);
}

void survey_heap(survey_t *v, uint64_t address, uint64_t end, uint64_t moving)
{
    heap_t h = {.v = v, .address = address, .mask = (uint32_t)v->align_bytes - 1u};
    h.heap = view_struct(v->layout, v->image, "ea_heap", address);
    view_t region = view_member(h.heap, "region");
    uint64_t room = end - address, first = view_number(region, "first"),
             last = view_number(region, "end");
    if (!view_is_there(h.heap)) {
        survey_flaw(v, "the heap's control structure is missing", address);
        return;
    }
    if (address >= end || address % v->align_bytes != 0 || first < view_bytes(h.heap) ||
        ((first | last) & h.mask) != 0 || last < first || last > room) {
        survey_trouble(v, EA_DUMP_RANGE, address, "");
        return;
    }
    if (v->check_level > 0 && ((uint32_t)view_number(region, "seal") != region_seal(region) ||
                               (uint32_t)view_number(h.heap, "seal") != heap_seal(h.heap)))
        survey_trouble(v, EA_DUMP_SEAL, address, "");
    h.cursor = (uint32_t)view_number(h.heap, "cursor");
    h.has_quick = view_has(h.heap, "quick");
    h.tagged = v->rules.tag_bytes != 0;
    h.bytes = survey_memory(v, address, last, &h.there);
    if (h.bytes == NULL) return;
    read_moving(&h, moving);
    look_at_region(&h, region);
}
