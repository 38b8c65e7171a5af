/* SPDX-License-Identifier: MIT
 *
 * A store of movable blocks that may be damaged or in the middle of a step, in memory of another
 * machine: src/stores/movable_look.c for every layout and width. Blocks are found by their entries;
 * between them holes and fixed blocks by their headers, as far as these make sense. store.c puts
 * them in order.
 */
#include <stdlib.h>
#include <string.h>

#include "ealloc/dump.h"
#include "store.h"
#include "survey_internal.h"

#define HOLE 1u
#define PREV_FREE 2u
#define MIN_UNITS 2u

/* A layout: shifts, and how an entry says what it is. */
typedef struct {
    unsigned unit_shift, head_bytes, units_shift, index_shift, index_bits, entry_bytes,
        chunk_entries, chunk_bytes, handle_shift, gen_shift, max_gen;
} rules_t;

static const rules_t layouts[] = {
    {2, 4, 18, 7, 11, 2, 32, 68, 21, 2, 31},
    {2, 4, 16, 2, 14, 4, 8, 32, 18, 8, 255},
    {3, 8, 32, 2, 24, 8, 8, 64, 8, 8, 255},
};
enum { SMALL, MEDIUM, LARGE };

/* A block that an entry knows. Places count units. */
typedef struct {
    uint64_t place, units;
} known_t;

typedef struct {
    survey_t *v;
    view_t view;
    const rules_t *is;
    unsigned layout;
    uint64_t address, table, first, end, n_indexes, first_entry;
    uint64_t from, to, n, k, move_head; /* of a move that is possible; n 0: there is none */
    const uint8_t *bytes;               /* of the whole store */
    uint64_t there;
    known_t *known;
    size_t n_known;
    uint64_t owners, n_owners; /* address of the first one; 0: none */
} movable_t;

static uint64_t load(const movable_t *m, uint64_t at, unsigned n)
{
    uint64_t value = 0;
    if (at > m->there || m->there - at < n) return 0;
    while (n-- > 0) value = value << 8 | m->bytes[at + n];
    return value;
}

static uint64_t head_at(const movable_t *m, uint64_t place)
{
    return load(m, place << m->is->unit_shift, m->is->head_bytes);
}

static uint64_t units_of(const movable_t *m, uint64_t head)
{
    return head >> m->is->units_shift;
}

static uint64_t index_of(const movable_t *m, uint64_t head)
{
    return head >> m->is->index_shift & (m->n_indexes - 1);
}

static uint64_t address_of(const movable_t *m, uint64_t place)
{
    return m->address + (place << m->is->unit_shift);
}

/* --- control structure ------------------------------------------------------------------------ */

static uint64_t table_bytes(const rules_t *is, uint64_t n)
{
    return n / is->chunk_entries * is->chunk_bytes;
}

/* Do the table's first entry and the end of the blocks agree? */
static bool is_table(const movable_t *m, uint64_t size)
{
    const rules_t *is = m->is;
    uint64_t n = m->n_indexes - m->first_entry;
    return m->first_entry < m->n_indexes && n % is->chunk_entries == 0 &&
           table_bytes(is, n) < size && m->end + 1 == (size - table_bytes(is, n)) >> is->unit_shift;
}

/* Sets what is needed to find entries. false: the control structure contradicts itself. */
static bool read_control(movable_t *m, uint64_t room)
{
    const rules_t *is = m->is;
    uint64_t span = table_bytes(is, m->n_indexes);
    unsigned bits = 8u * layout_pointer_bytes(m->v->layout);
    uint64_t mask = bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    m->table = view_number(m->view, "table");
    uint64_t size = (m->table + span - m->address) & mask;
    m->first = (view_bytes(m->view) + (1u << is->unit_shift) - 1) >> is->unit_shift;
    m->end = view_number(m->view, "end");
    m->first_entry = view_number(m->view, "first_entry");
    if (size > room || m->end <= m->first) return false;
    if (!is_table(m, size)) { /* the same is counted elsewhere */
        m->first_entry = m->n_indexes - view_number(m->view, "n_handles");
        if (!is_table(m, size)) return false;
        survey_trouble(m->v, EA_DUMP_INVARIANT, m->address,
                       "I1 the control structure's numbers lie in the store's memory");
    }
    m->bytes = survey_memory(m->v, m->address, size, &m->there);
    return m->bytes != NULL;
}

static void read_move(movable_t *m)
{
    view_t move = view_member(m->view, "move");
    m->from = view_number(move, "from");
    m->to = view_number(move, "to");
    m->n = view_number(move, "n");
    m->k = view_number(move, "k");
    m->move_head = view_number(move, "head");
    if (m->n >= m->end || m->k > m->n || m->from <= m->first || m->to <= m->first ||
        m->from > m->end - m->n || m->to > m->end - m->n || m->from == m->to ||
        index_of(m, m->move_head) < m->first_entry)
        m->n = m->k = 0;
}

bool survey_is_store(const survey_t *v, uint64_t address)
{
    uint64_t layout = 0;
    movable_t m = {.v = (survey_t *)v, .address = address};
    m.view = view_struct(v->layout, v->image, "ea_movable", address);
    if (address == 0 || !view_is_there(m.view) ||
        !layout_constant(v->layout, "EAI_LAYOUT_MOVABLE", &layout) || layout > LARGE)
        return false;
    m.is = &layouts[layout];
    m.n_indexes = (uint64_t)1 << m.is->index_bits;
    size_t n = v->s->n_troubles;
    bool is = read_control(&m, UINT64_MAX);
    v->s->n_troubles = n; /* who reads it tells */
    return is;
}

/* --- entries ---------------------------------------------------------------------------------- */

typedef struct {
    uint64_t place, gen;
    uint32_t n_locks;
    bool is_free, is_moving;
} entry_t;

static entry_t entry_at(const movable_t *m, uint64_t index)
{
    uint64_t at = m->table - m->address + index * m->is->entry_bytes;
    if (m->layout == SMALL) at += 4 + index / 32 * 4;
    uint64_t state = load(m, at, m->layout == SMALL ? 2 : 4);
    entry_t e = {.is_free = true};
    if (at > m->there || m->there - at < m->is->entry_bytes) return e;
    if (m->layout == SMALL) {
        e.is_moving = state == 0;
        e.is_free = state >> 2 < 32 && state != 0;
        e.n_locks = (uint32_t)(state & 3);
        e.place = state >> 2;
        uint64_t head = e.is_moving ? m->move_head : head_at(m, e.place - 1);
        e.gen = head >> m->is->gen_shift & m->is->max_gen;
    } else {
        uint64_t locks = state & 127;
        e.is_moving = locks == 127;
        e.is_free = locks == 126;
        e.n_locks = locks <= 125 ? (uint32_t)locks : 0;
        e.place = m->layout == LARGE ? load(m, at + 4, 4) : state >> 16;
        e.gen = state >> m->is->gen_shift & m->is->max_gen;
    }
    return e;
}

static snap_block_t *add(const movable_t *m, uint64_t place, uint64_t units, unsigned state)
{
    snap_block_t *b = SNAP_ADD(m->v->s, blocks, n_blocks);
    *b = (snap_block_t){.begin = address_of(m, place),
                        .bytes = units << m->is->unit_shift,
                        .state = (uint8_t)state};
    return b;
}

/* The size that the header at place has if it is one of this index; else 0. */
static uint64_t units_by_header(const movable_t *m, uint64_t index, uint64_t place)
{
    uint64_t head = head_at(m, place), units = units_of(m, head);
    bool good = (head & HOLE) == 0 && index_of(m, head) == index && units >= MIN_UNITS &&
                units <= m->end - place;
    return good ? units : 0;
}

static void read_entry(movable_t *m, uint64_t index)
{
    entry_t e = entry_at(m, index);
    bool is_of_move = m->n != 0 && index_of(m, m->move_head) == index;
    if (e.is_free) return;
    if (e.is_moving && is_of_move) e.place = m->from;
    if (e.place <= m->first || e.place >= m->end || (e.is_moving && !is_of_move)) {
        survey_trouble(m->v, EA_DUMP_HEADER, m->table + index * m->is->entry_bytes,
                       "an entry of the table of handles");
        return;
    }
    bool by_move = e.is_moving || (is_of_move && e.place == m->to);
    uint64_t place = e.place - 1, units = by_move ? m->n + 1 : units_by_header(m, index, place);
    snap_block_t *b = add(m, place, units, e.is_moving ? SNAP_MOVING : SNAP_USED);
    uint64_t gen_at = m->layout == SMALL ? 2 : m->layout == MEDIUM ? 8 : 0;
    b->handle = (uint32_t)(index << m->is->handle_shift | e.gen << gen_at);
    b->n_locks = e.n_locks;
    b->requested = units != 0 ? (units - 1) << m->is->unit_shift : 0;
    uint64_t number = m->n_indexes - 1 - index, owner;
    if (number < m->n_owners && image_number(m->v->image, m->owners + 2 * number, 2, &owner))
        b->owner = (uint32_t)owner;
    if (units != 0)
        m->known[m->n_known++] = (known_t){place, units};
    else
        survey_trouble(m->v, EA_DUMP_HEADER, b->begin, "");
}

static int by_place(const void *a, const void *b)
{
    uint64_t x = ((const known_t *)a)->place, y = ((const known_t *)b)->place;
    return x < y ? -1 : x > y;
}

/* --- headers ---------------------------------------------------------------------------------- */

static void look_closer(const movable_t *m, uint64_t place, snap_block_t *b)
{
    const label_rules_t *rules = &m->v->rules;
    uint64_t unit = (uint64_t)1 << m->is->unit_shift, usable = b->bytes - unit;
    uint64_t raw = b->begin + unit;
    b->user = raw;
    b->requested = usable;
    if (raw == m->v->reserve && raw != 0) b->state = SNAP_INTERNAL;
    if (m->owners == 0 || rules->tag_bytes == 0 || b->state != SNAP_USED) return;
    b->user += rules->front_bytes;
    if (usable <= rules->front_bytes) {
        b->finding = EA_GUARD_TAG;
        return;
    }
    const uint8_t *tag = m->bytes + ((place + 1) << m->is->unit_shift);
    (void)label_read(rules, b, tag, tag + rules->front_bytes, usable - rules->front_bytes, true);
    if (b->finding != 0 && b->first_bad != 0)
        survey_raw(m->v, b->first_bad, b->begin, b->begin + b->bytes);
}

/* How long the hole or fixed block at place is, which ends by stop; 0: there is none. */
static uint64_t units_of_other(const movable_t *m, uint64_t place, uint64_t stop)
{
    uint64_t head = head_at(m, place), units = units_of(m, head);
    if (units == 0 || units > stop - place) return 0;
    uint64_t above = head_at(m, place + units);
    if ((head & HOLE) != 0) {
        bool whole = head_at(m, place + units - 1) == head && (above & PREV_FREE) != 0;
        return (head & PREV_FREE) == 0 && whole ? units : 0;
    }
    uint64_t tag = head & (((uint64_t)1 << m->is->units_shift) - 1) & ~(uint64_t)PREV_FREE;
    bool is_fixed = tag == 0 && units >= MIN_UNITS && (above & PREV_FREE) == 0;
    return is_fixed && view_has(m->view, "n_fixed") ? units : 0;
}

/* What lies from place to stop, where a known block begins or the blocks end. */
static void read_between(const movable_t *m, uint64_t place, uint64_t stop, uint64_t *free_units)
{
    uint64_t lost = stop; /* from here on nothing makes sense */
    while (place < stop) {
        uint64_t units = units_of_other(m, place, stop);
        if (units == 0) {
            if (lost == stop) lost = place;
            place++;
            continue;
        }
        bool is_hole = (head_at(m, place) & HOLE) != 0;
        if (lost != stop) {
            survey_trouble(m->v, EA_DUMP_HEADER, add(m, lost, place - lost, SNAP_DAMAGED)->begin,
                           "");
            lost = stop;
        }
        snap_block_t *b = add(m, place, units, is_hole ? SNAP_FREE : SNAP_USED);
        if (is_hole)
            *free_units += units;
        else
            look_closer(m, place, b);
        place += units;
    }
    if (lost != stop)
        survey_trouble(m->v, EA_DUMP_HEADER, add(m, lost, stop - lost, SNAP_DAMAGED)->begin, "");
}

/* The move under way: where its bytes come from and go to, and what is between the two if that is
 * the hole of a slide. Nobody's but the block's. Returns how many extents, in order. */
static unsigned extents_of_move(const movable_t *m, known_t extents[2])
{
    uint64_t slide = m->from - m->to + m->n + 1;
    bool up = m->to > m->from;
    if (m->n == 0) return 0;
    extents[0] = (known_t){(up ? m->from : m->to) - 1, m->n + 1};
    extents[1] = (known_t){(up ? m->to : m->from) - 1, m->n + 1};
    bool is_slide = !up && units_of(m, head_at(m, m->to - 1)) == slide;
    if (!is_slide && extents[1].place > extents[0].place + extents[0].units) return 2;
    extents[0].units = extents[1].place + extents[1].units - extents[0].place;
    return 1;
}

/* From place up to where a known block begins, but for what the move has to do with. */
static void read_up_to(const movable_t *m, uint64_t place, uint64_t stop, uint64_t *free_units)
{
    known_t extents[2];
    unsigned n = extents_of_move(m, extents);
    for (unsigned i = 0; i < n; i++) {
        uint64_t low = extents[i].place, high = low + extents[i].units;
        if (high <= place || low >= stop) continue;
        if (low > place) read_between(m, place, low, free_units);
        place = high;
    }
    if (place < stop) read_between(m, place, stop, free_units);
}

static void read_headers(movable_t *m)
{
    uint64_t place = m->first, free_units = 0;
    qsort(m->known, m->n_known, sizeof *m->known, by_place);
    for (size_t i = 0; i < m->n_known; i++) {
        const known_t *known = &m->known[i];
        if (known->place > place) read_up_to(m, place, known->place, &free_units);
        if (known->place + known->units > place) place = known->place + known->units;
    }
    if (place < m->end) read_up_to(m, place, m->end, &free_units);
    if (m->n != 0 && m->to < m->from) free_units += m->from - m->to;
    if (free_units != view_number(m->view, "free_units") ||
        m->n_known != view_number(m->view, "n_live"))
        survey_trouble(m->v, EA_DUMP_INVARIANT, m->address,
                       "I8 the counters equal what the blocks say");
}

/* --- the whole -------------------------------------------------------------------------------- */

static void add_store(const movable_t *m, const char *name, bool in_region)
{
    snapshot_t *s = m->v->s;
    uint64_t unit = (uint64_t)1 << m->is->unit_shift, features = 0;
    (void)layout_constant(m->v->layout, "EAI_LAYOUT_MOVABLE_FEATURES", &features);
    snap_store_t *store = SNAP_ADD(s, stores, n_stores);
    *store = (snap_store_t){.address = m->address,
                            .layout = m->layout,
                            .features = features,
                            .unit_bytes = unit,
                            .header_bytes = unit,
                            .first = address_of(m, m->first),
                            .end = address_of(m, m->end),
                            .table_end = m->table + table_bytes(m->is, m->n_indexes),
                            .n_handles = m->n_indexes - m->first_entry,
                            .max_handles = view_number(m->view, "max_handles"),
                            .free_bytes = view_number(m->view, "free_units") * unit,
                            .n_live = view_number(m->view, "n_live"),
                            .n_fixed = view_number(m->view, "n_fixed"),
                            .moved_bytes = view_number(m->view, "moved_units") * unit,
                            .n_moves = view_number(m->view, "n_moves"),
                            .max_demand_bytes = view_number(m->view, "max_demand_bytes"),
                            .n_failures = view_number(m->view, "n_failures"),
                            .n_again = view_number(m->view, "n_again"),
                            .in_region = in_region,
                            .region = in_region ? s->n_regions - 1 : 0,
                            .first_block = s->n_blocks};
    if (name != NULL) strncpy(store->name, name, sizeof store->name - 1);
    s->store_is_open = true;
    if (m->n == 0) return;
    store->from = address_of(m, m->from);
    store->to = address_of(m, m->to);
    store->move_bytes = m->n * unit;
    store->copied_bytes = m->k * unit;
}

void survey_store(survey_t *v, uint64_t address, uint64_t end, uint64_t owners, const char *name)
{
    uint64_t layout = 0;
    bool in_region = end != UINT64_MAX;
    movable_t m = {.v = v, .address = address, .owners = owners};
    m.view = view_struct(v->layout, v->image, "ea_movable", address);
    if (!view_is_there(m.view) || !layout_constant(v->layout, "EAI_LAYOUT_MOVABLE", &layout) ||
        layout > LARGE) {
        survey_flaw(v, "a store's control structure is missing", address);
        return;
    }
    m.layout = (unsigned)layout;
    m.is = &layouts[layout];
    m.n_indexes = (uint64_t)1 << m.is->index_bits;
    m.n_owners = owners != 0 && owners < address ? (address - owners) / 2 : 0;
    if (!read_control(&m, in_region ? end - address : UINT64_MAX)) {
        survey_trouble(v, EA_DUMP_RANGE, address, "store");
        return;
    }
    if (m.there < m.table + table_bytes(m.is, m.n_indexes) - address)
        survey_flaw(v, "a store's memory is missing", address + m.there);
    read_move(&m);
    add_store(&m, name, in_region);
    m.known = calloc((size_t)(m.n_indexes - m.first_entry) + 1, sizeof *m.known);
    if (m.known == NULL) abort();
    for (uint64_t i = m.first_entry; i < m.n_indexes; i++) read_entry(&m, i);
    read_headers(&m);
    free(m.known);
    store_close(v->s);
}
