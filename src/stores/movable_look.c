/* SPDX-License-Identifier: MIT
 *
 * How a dump looks at a store that may be damaged, or that a reset cut off in the middle of a step.
 *
 * Blocks are found by their entries, not by walking: an entry says where its block is whatever the
 * state of holes and headers, and the header there has to name the entry. Only holes and blocks
 * without an entry are found by headers, and where these make no sense the next one is looked for
 * that is a block's, which its entry proves, or begins a chain of CHAIN that agree.
 *
 * Bounds come from the memory given; of the control structure three numbers say how large the table
 * is, and two that agree are believed.
 *
 * Rejected: following lists of holes (links are what is damaged as often, and change in a step).
 */
#include "stores/movable_look.h"

#include "stores/movable_internal.h"

typedef eai_movable_look_t look_t;
typedef eai_movable_seen_t seen_t;

#define CHAIN 8u            /* headers that make a place believable */
#define SEARCHED_A_STEP 32u /* units */
#define ENTRIES_A_STEP 16u

/* --- the control structure -------------------------------------------------------------------- */

/* May a table have so many entries, in a store of so many bytes? */
static bool is_possible_table(uint32_t n_handles, size_t size_bytes)
{
    return n_handles != 0 && n_handles % EAI_CHUNK_ENTRIES == 0 &&
           n_handles <= EA_MOVABLE_MAX_HANDLES &&
           table_bytes(n_handles) + ((size_t)(EAI_CONTROL_UNITS + 1u) << EAI_UNIT_SHIFT) <
               size_bytes;
}

/* The end header's place in such a store. */
static units_t end_with(uint32_t n_handles, size_t size_bytes)
{
    return (units_t)((size_bytes - table_bytes(n_handles)) >> EAI_UNIT_SHIFT) - 1u;
}

/* How many entries the table has by where the blocks end; 0: it would be impossible. */
static uint32_t handles_below(units_t end, size_t size_bytes)
{
    size_t used = ((size_t)end + 1u) << EAI_UNIT_SHIFT;
    if (used >= size_bytes || (size_bytes - used) / EAI_TABLE_CHUNK_BYTES > EAI_INDEXES) return 0;
    uint32_t n = (uint32_t)((size_bytes - used) / EAI_TABLE_CHUNK_BYTES * EAI_CHUNK_ENTRIES);
    return is_possible_table(n, size_bytes) && end_with(n, size_bytes) == end ? n : 0;
}

/* The table and the end of the blocks, in a store of so many bytes. Returns whether all agrees. */
static bool find_table(look_t *l, size_t size_bytes)
{
    const ea_movable_t *m = l->eai_store;
    uint32_t counted = is_possible_table(m->n_handles, size_bytes) ? m->n_handles : 0;
    uint32_t below = handles_below(m->end, size_bytes), from = EAI_INDEXES - m->first_entry;
    if (!is_possible_table(from, size_bytes)) from = 0;
    l->eai_table = (uintptr_t)m + size_bytes - EAI_TABLE_SPAN;
    /* A table that grows has its end moved first, and becomes known last. */
    uint32_t n = from && (from == counted || from == below || counted != below) ? from : counted;
    l->eai_first_entry = l->eai_entry = EAI_INDEXES - n;
    l->eai_end = n ? end_with(n, size_bytes) : 0;
    return n && n == counted && n == below && n == from;
}

bool eai_movable_look_begin(look_t *l, const void *mem, const void *end, bool checks,
                            ea_movable_fault_t *fault)
{
    size_t skipped = (size_t)(0u - (uintptr_t)mem) & (EAI_STORE_ALIGN - 1u);
    size_t room = (size_t)((uintptr_t)end - (uintptr_t)mem), said;
    const ea_movable_t *m = (const ea_movable_t *)((uintptr_t)mem + skipped);
    memset(l, 0, sizeof *l);
    fault->invariant = NULL;
    fault->where = m;
    l->eai_store = m;
    l->eai_at = EAI_CONTROL_UNITS;
    l->eai_unit_bytes = EAI_UNIT_BYTES;
    if (room < skipped || room - skipped < sizeof *m) return false;
    room = whole_bytes(room - skipped);
    /* As it says itself, if that is possible: the memory given may be more than the store's. */
    said = (size_t)(m->table + EAI_TABLE_SPAN - (uintptr_t)m);
    bool sound = said <= room && said % EAI_UNIT_BYTES == 0 && find_table(l, said);
    if (!sound) (void)find_table(l, room);
    if (!l->eai_end) return false;
    if (!sound || m->first != EAI_CONTROL_UNITS)
        fault->invariant = "I1 the control structure's numbers lie in the store's memory";
    else if (checks)
        (void)!ea_movable_check(m, fault);
    return true;
}

/* --- the move under way ----------------------------------------------------------------------- */

/* A copy of it that may be followed: n is 0 if it may not. */
static eai_move_t possible_move(const look_t *l, const eai_move_t *said)
{
    eai_move_t move = *said;
    bool good = move.n < l->eai_end && move.k <= move.n && move.from > EAI_CONTROL_UNITS &&
                move.to > EAI_CONTROL_UNITS && move.from <= l->eai_end - move.n &&
                move.to <= l->eai_end - move.n && move.from != move.to &&
                index_of(move.head) >= l->eai_first_entry;
    if (!good) move.n = move.k = 0;
    return move;
}

/* An entry and the move, as they are at one moment. */
static state_t state_and_move(const look_t *l, uint32_t index, eai_move_t *move)
{
    const ea_movable_t *m = l->eai_store;
    state_t state;
    if (l->eai_is_live) { /* else who masks interrupts may be who was interrupted */
        EAI_MASK_BEGIN(irq);
        state = EAI_STATE(entry_in(l->eai_table, index));
        *move = m->move;
        EAI_MASK_END(irq);
    } else {
        state = EAI_STATE(entry_in(l->eai_table, index));
        *move = m->move;
    }
    *move = possible_move(l, move);
    return state;
}

/* As they are at one moment. */
static void count_moves(const look_t *l, eai_movable_facts_t *facts)
{
    const ea_movable_t *m = l->eai_store;
    if (l->eai_is_live) {
        EAI_MASK_BEGIN(irq);
        facts->moved_bytes = m->moved_units << EAI_UNIT_SHIFT;
        facts->n_moves = m->n_moves;
        EAI_MASK_END(irq);
    } else {
        facts->moved_bytes = m->moved_units << EAI_UNIT_SHIFT;
        facts->n_moves = m->n_moves;
    }
}

void eai_movable_look_facts(const look_t *l, eai_movable_facts_t *facts)
{
    const ea_movable_t *m = l->eai_store;
    eai_move_t move;
    (void)state_and_move(l, l->eai_first_entry, &move);
    memset(facts, 0, sizeof *facts);
    facts->layout = EA_CFG_MOVABLE_LAYOUT;
    facts->features = EA_CFG_MOVABLE_ISR | EA_CFG_MOVABLE_FIXED << 1 | EA_CFG_MOVABLE_RELOCATE << 2;
    facts->first = (const char *)at(m, EAI_CONTROL_UNITS);
    facts->end = (const char *)at(m, l->eai_end);
    facts->table_end = (const char *)(l->eai_table + EAI_TABLE_SPAN);
    facts->free_bytes = (size_t)m->free_units << EAI_UNIT_SHIFT;
    count_moves(l, facts);
    facts->max_demand_bytes = m->max_demand_bytes;
    facts->n_handles = EAI_INDEXES - l->eai_first_entry;
    facts->max_handles = m->max_handles;
    facts->n_live = m->n_live;
#if EA_CFG_MOVABLE_FIXED
    facts->n_fixed = m->n_fixed;
#endif
    facts->n_failures = m->n_failures;
    facts->n_again = m->n_again;
    if (!move.n) return;
    facts->from = (const char *)at(m, move.from);
    facts->to = (const char *)at(m, move.to);
    facts->move_bytes = (size_t)move.n << EAI_UNIT_SHIFT;
    facts->copied_bytes = (size_t)move.k << EAI_UNIT_SHIFT;
}

/* --- blocks, by their entries ----------------------------------------------------------------- */

static units_t place_in(const look_t *l, uint32_t index, state_t state)
{
#if EAI_LARGE
    (void)state;
    return ((const entry_t *)(const void *)entry_in(l->eai_table, index))->place;
#else
    (void)index;
    return place_of(l->eai_store, index, state);
#endif
}

/* The size of the block whose payload is at place, as its header says; 0: that is not of this
 * index, or impossible. */
static units_t units_by_header(const look_t *l, uint32_t index, units_t place)
{
    if (place <= EAI_CONTROL_UNITS || place >= l->eai_end) return 0;
    head_t head = *at(l->eai_store, place - 1u);
    units_t units = units_of(head);
    if ((head & EAI_HOLE) || index_of(head) != index || units < EAI_MIN_UNITS) return 0;
    return units <= l->eai_end - (place - 1u) ? units : 0;
}

/* Where the payload of an entry's block is, and how many units the block has; 0: none that can be
 * believed. */
static units_t units_by_entry(const look_t *l, uint32_t index, state_t state,
                              const eai_move_t *move, units_t *place)
{
    bool is_of_move = move->n && index_of(move->head) == index;
    if (is_moving(state)) {
        *place = move->from;
        return is_of_move ? move->n + 1u : 0;
    }
    *place = place_in(l, index, state);
    /* Until a slide is settled the header counts the hole it went through. */
    if (is_of_move && *place == move->to) return move->n + 1u;
    return units_by_header(l, index, *place);
}

static void look_at_entry(const look_t *l, uint32_t index, seen_t *seen)
{
    const ea_movable_t *m = l->eai_store;
    eai_move_t move;
    state_t state = state_and_move(l, index, &move);
    units_t place, units;
    if (is_free_entry(state)) return;
    units = units_by_entry(l, index, state, &move, &place);
    bool in_memory = place > EAI_CONTROL_UNITS && place < l->eai_end;
    seen->what = is_moving(state) && units ? EAI_SEEN_MOVING : EAI_SEEN_BLOCK;
    seen->n_locks = locks_of(state);
#if EAI_SMALL
    head_t head = is_moving(state) ? move.head : in_memory ? *at(m, place - 1u) : 0;
    seen->handle = handle_word(index, (uint32_t)(head >> EAI_GEN_SHIFT) & EAI_MAX_GEN);
#else
    seen->handle = handle_word(index, gen_of(m, index, state));
#endif
    seen->begin = (const char *)(in_memory ? at(m, place - 1u) : NULL);
    seen->bytes = (size_t)units << EAI_UNIT_SHIFT;
    if (units) return;
    seen->trouble = EAI_SEEN_HEADER;
    seen->where =
        in_memory ? (const void *)at(m, place - 1u) : (const void *)entry_in(l->eai_table, index);
    if (!in_memory) seen->what = EAI_SEEN_NOTHING;
}

/* --- what else there is, by the headers ------------------------------------------------------- */

/* How far it is to the next header if this one is of a block that its entry knows; else 0. */
static units_t units_of_known(const look_t *l, units_t place, head_t head)
{
    uint32_t index = index_of(head);
    units_t is_at, units;
    eai_move_t move;
    if ((head & EAI_HOLE) || index < l->eai_first_entry) return 0;
    state_t state = state_and_move(l, index, &move);
    if (is_free_entry(state)) return 0;
    units = units_by_entry(l, index, state, &move, &is_at);
    return is_at == place + 1u && units_of(head) == units ? units : 0;
}

/* The same if it is of the move under way: where its bytes come from or go to, and what is between
 * the two if that is the hole of a slide. */
static units_t units_of_move(const look_t *l, units_t place)
{
    eai_move_t move;
    (void)state_and_move(l, l->eai_first_entry, &move);
    if (move.n == 0) return 0;
    bool up = move.to > move.from, is_from = place + 1u == move.from;
    if (!is_from && place + 1u != move.to) return 0;
    if (is_from != up) return move.n + 1u; /* the upper of the two */
    units_t low = up ? move.from : move.to, high = up ? move.to : move.from;
    if (high - low <= move.n + 1u) return high + move.n - place; /* they touch */
    if (up) return move.n + 1u;
    units_t slide = move.n + 1u + (move.from - move.to);
    return units_of(*at(l->eai_store, place)) == slide ? slide : move.n + 1u;
}

/* How far it is to the next header, if this one of a hole or a fixed block is possible; else 0. */
static units_t units_of_other(const look_t *l, units_t place, head_t head)
{
    units_t units = units_of(head);
    if (units == 0 || units > l->eai_end - place) return 0;
    if (head & EAI_HOLE) return head & EAI_PREV_FREE ? 0 : units;
    return is_fixed(head) && units >= EAI_MIN_UNITS ? units : 0;
}

/* Does a hole's end say what its beginning says? */
static bool has_tail(const look_t *l, units_t hole, head_t head)
{
    return *at(l->eai_store, hole + units_of(head) - 1u) == head;
}

/* Does the header above say rightly whether what is below is free? */
static bool agree(head_t head, head_t above)
{
    bool is_hole = (head & EAI_HOLE) != 0;
    return is_hole == ((above & EAI_PREV_FREE) != 0) && !(is_hole && (above & EAI_HOLE));
}

/* May a hole end where this header says so? */
static bool is_hole_below(const look_t *l, units_t place)
{
    head_t below = *at(l->eai_store, place - 1u);
    units_t units = units_of(below);
    return (below & EAI_HOLE) && units != 0 && units <= place - EAI_CONTROL_UNITS;
}

/* Does what begins here look like holes and blocks? Bound: CHAIN. */
static bool is_believable(const look_t *l, units_t place)
{
    bool fits_below = !(*at(l->eai_store, place) & EAI_PREV_FREE) || is_hole_below(l, place);
    for (uint32_t n = 0; n < CHAIN; n++) {
        head_t head = *at(l->eai_store, place);
        if (place == l->eai_end) return units_of(head) == 0 && !(head & EAI_HOLE);
        if (units_of_known(l, place, head) || units_of_move(l, place)) return true; /* proven */
        if (!fits_below) return false;
        units_t units = units_of_other(l, place, head);
        if (!units || !agree(head, *at(l->eai_store, place + units))) return false;
        if ((head & EAI_HOLE) && !has_tail(l, place, head)) return false;
        place += units;
    }
    return true;
}

/* Look for the next header that makes sense, some units a call. */
static void search(look_t *l, seen_t *seen)
{
    for (uint32_t n = 0; n < SEARCHED_A_STEP; n++, l->eai_at++) {
        if (l->eai_at != l->eai_end && !is_believable(l, l->eai_at)) continue;
        seen->begin = (const char *)at(l->eai_store, l->eai_lost);
        seen->bytes = (size_t)(l->eai_at - l->eai_lost) << EAI_UNIT_SHIFT;
        l->eai_lost = 0;
        if (l->eai_is_live) return; /* the store has changed since the last look */
        seen->what = EAI_SEEN_LOST;
        seen->trouble = EAI_SEEN_HEADER;
        seen->where = seen->begin;
        return;
    }
}

/* A hole or a fixed block, if it is one. Returns how far it is to the next header; else 0. */
static units_t look_at_other(const look_t *l, units_t place, head_t head, seen_t *seen)
{
    bool is_hole = (head & EAI_HOLE) != 0;
    units_t units = units_of_other(l, place, head);
    if (!units) return 0;
    bool is_whole = !is_hole || has_tail(l, place, head);
    /* In the middle of a step what stands there may be bytes of what was there before. */
    if (!is_whole && !is_believable(l, place + units)) return 0;
    seen->what = is_hole ? EAI_SEEN_HOLE : EAI_SEEN_FIXED;
    seen->begin = (const char *)at(l->eai_store, place);
    seen->bytes = (size_t)units << EAI_UNIT_SHIFT;
    if (is_whole) return units;
    seen->trouble = EAI_SEEN_TAIL;
    seen->where = at(l->eai_store, place + units - 1u);
    return units;
}

static void look_at_header(look_t *l, seen_t *seen)
{
    units_t place = l->eai_at, units = units_of_move(l, place);
    if (units) { /* what is around it is settled later */
        l->eai_at = place + units;
        return;
    }
    head_t head = *at(l->eai_store, place);
    units = units_of_known(l, place, head);
    if (!units) units = look_at_other(l, place, head, seen);
    l->eai_at = place + (units ? units : 1u);
    if (!units) {
        l->eai_lost = place;
    } else if (seen->trouble == EAI_SEEN_SOUND && !agree(head, *at(l->eai_store, l->eai_at))) {
        seen->trouble = EAI_SEEN_FLAGS;
        seen->where = at(l->eai_store, l->eai_at);
    }
    if (l->eai_is_live) seen->trouble = EAI_SEEN_SOUND; /* it changes under the look */
}

bool eai_movable_look_next(look_t *l, seen_t *seen)
{
    memset(seen, 0, sizeof *seen);
    if (l->eai_entry != EAI_INDEXES) {
        for (uint32_t n = 0; n < ENTRIES_A_STEP && l->eai_entry != EAI_INDEXES; n++) {
            look_at_entry(l, l->eai_entry++, seen);
            if (seen->what != EAI_SEEN_NOTHING || seen->trouble != EAI_SEEN_SOUND) break;
        }
        return true;
    }
    if (l->eai_lost) {
        search(l, seen);
        return true;
    }
    if (l->eai_at < l->eai_end) {
        look_at_header(l, seen);
        return true;
    }
    head_t head = *at(l->eai_store, l->eai_end);
    if (!l->eai_is_live && (units_of(head) || (head & EAI_HOLE))) {
        seen->trouble = EAI_SEEN_HEADER;
        seen->where = at(l->eai_store, l->eai_end);
    }
    return false;
}
