/* SPDX-License-Identifier: MIT
 *
 * What moves blocks: the one move under way, the idle step, the window that a failing request
 * slides together. movable.c holds the layout and the invariants.
 *
 * A move, from the owner's side (that of who locks a block in flight is movable_lock.c):
 *
 *     1 masked: if nobody holds the block, its entry says "moving" and m->move says what moves
 *     2 chunks: each copied in a masked section of its own, by the owner or by who wants the block
 *     3 masked, with the last chunk: the entry names the new place
 *     4 the owner settles headers and holes; the block may be locked again by then
 *
 * Between sections bytes below k stand at the new place, the rest at the old one; since a slide
 * copies upwards from its start, overlap is no matter. Whoever comes to copy finds k, and nothing
 * to do if it is n: a chunk that was copied, and an entry that was written, is not touched again,
 * or it would wipe out the lock of who finished the move.
 */
#include "stores/movable_internal.h"

/* --- the move under way ----------------------------------------------------------------------- */

void eai_movable_copy_chunk(ea_movable_t *m, units_t most)
{
    EAI_MASK_BEGIN(irq);
    units_t k = m->move.k, left = m->move.n - k;
    if (left) {
        units_t n = left < most ? left : most;
        const head_t *from;
        head_t *to;
        k += n;
        m->move.k = k;
        m->moved_units += n;
        if (m->move.upwards) {
            from = at(m, m->move.from + m->move.n - k + n);
            to = at(m, m->move.to + m->move.n - k + n);
            for (units_t i = n; i; i--) *--to = *--from; /* at most a chunk */
        } else {
            from = at(m, m->move.from + k - n);
            to = at(m, m->move.to + k - n);
            for (units_t i = n; i; i--) *to++ = *from++; /* at most a chunk */
        }
        if (left == n) {
            state_t *state = entry(m, m->move.index);
            units_t place = m->move.to - 1u;
            /* Who locks it now reads its header. That of a slide is the owner's to settle. */
            if (m->move.upwards)
                put_head(m, place,
                         resized(*at(m, m->move.home) & ~(head_t)EAI_PREV_FREE, m->move.n + 1u));
#if EAI_SMALL
            EAI_SET_STATE(state, m->move.to << 2);
#elif EAI_LARGE
            state[1] = m->move.to;
            EAI_SET_STATE(state, *state & 0xFF00u);
#else
            EAI_SET_STATE(state, (*state & 0xFF00u) | m->move.to << 16);
#endif
        }
    }
    EAI_MASK_END(irq);
}

/* The block's entry says that it moves, unless somebody holds it. */
static bool begin(ea_movable_t *m, const eai_move_t *move)
{
    state_t *word = entry(m, move->index), state;
    bool done = false;
    EAI_MASK_BEGIN(irq);
    do { /* again if another core changed it at this moment */
        state = EAI_LINKED(word);
        if (locks_of(state) || is_moving(state) || is_free_entry(state)) break;
        m->move = *move;
        done = EAI_COND(word, state, moving(state));
    } while (!done);
    if (!done) m->move.n = 0;
    EAI_MASK_END(irq);
    return done;
}

/* Nothing moves any more. From here on the block's header says its size. */
static void end(ea_movable_t *m)
{
    EAI_MASK_BEGIN(irq);
    m->move.n = 0;
    EAI_MASK_END(irq);
    m->n_moves++;
}

/* What is around a block that has arrived. */
static void settle(ea_movable_t *m)
{
    units_t place = m->move.to - 1u, home = m->move.home, above = place + m->move.n + 1u;
    units_t distance = m->move.from - m->move.to;
    if (m->move.upwards) {
        end(m);
        eai_movable_make_hole(m, home, 0u - distance);
    } else if (home == place) { /* a slide */
        put_head(m, place, resized(*at(m, place), above - place));
        end(m);
        *at(m, above) = 0;
        eai_movable_make_hole(m, above, distance);
    } else {
        end(m);
        eai_movable_release(m, home);
    }
}

void eai_movable_finish_move(ea_movable_t *m)
{
    if (m->move.n == 0) return;
    while (m->move.k != m->move.n) eai_movable_copy_chunk(m, EAI_CHUNK_UNITS);
    settle(m);
}

bool eai_movable_relocate(ea_movable_t *m, units_t from, units_t to, units_t n, bool upwards)
{
    eai_move_t move = {from + 1u, to + 1u, n, 0, from, index_of(*at(m, from)), upwards};
    eai_movable_finish_move(m);
    if (!begin(m, &move)) return false;
    eai_movable_finish_move(m);
    return true;
}

/* Is what is at place a block that its entry knows and nobody holds? */
static bool is_free_to_move(const ea_movable_t *m, units_t place)
{
    head_t head = *at(m, place);
    uint32_t index = index_of(head);
    if (index >= m->n_handles) return false;
    state_t state = EAI_STATE(entry(m, index));
    if (locks_of(state) || is_free_entry(state) || is_moving(state)) return false;
    return place_of(m, index, state) == place + 1u;
}

bool eai_movable_slide(ea_movable_t *m, units_t hole)
{
    units_t distance = units_of(*at(m, hole)), place = hole + distance;
    head_t head = *at(m, place);
    units_t units = units_of(head);
    if (units < EAI_MIN_UNITS || units > m->end - place || !is_free_to_move(m, place)) return false;
    eai_move_t move = {place + 1u, hole + 1u, units - 1u, 0, hole, index_of(head), false};
    eai_movable_unlink(m, hole, distance);
    keep_cursor(m, hole, units + distance);
    put_head(m, hole, resized(head & ~(head_t)EAI_PREV_FREE, units + distance));
    if (EA_LIKELY(begin(m, &move))) return true;
    *at(m, hole) = 0;
    eai_movable_make_hole(m, hole, distance);
    return false;
}

/* What a header that a step looks at is charged. */
#define EAI_LOOK_CHARGE_BYTES 2u

/* --- idle time -------------------------------------------------------------------------------- */

/* Copy of the move under way what the budget allows. False: not all. */
static bool go_on(ea_movable_t *m, size_t *budget_bytes)
{
    while (m->move.k != m->move.n) {
        units_t most = EAI_CHUNK_UNITS, k = m->move.k;
        if (*budget_bytes >> EAI_UNIT_SHIFT < most)
            most = (units_t)(*budget_bytes >> EAI_UNIT_SHIFT);
        if (most == 0) return false;
        eai_movable_copy_chunk(m, most);
        size_t copied = (size_t)(m->move.k - k) << EAI_UNIT_SHIFT;
        *budget_bytes -= copied < *budget_bytes ? copied : *budget_bytes;
    }
    settle(m);
    *budget_bytes -=
        *budget_bytes < EA_MOVABLE_MOVE_CHARGE_BYTES ? *budget_bytes : EA_MOVABLE_MOVE_CHARGE_BYTES;
    return true;
}

ea_status_t ea_movable_step(ea_movable_t *m, size_t budget_bytes)
{
    if (m->move.n && !go_on(m, &budget_bytes)) return EA_ERR_AGAIN;
    while (budget_bytes >= EAI_UNIT_BYTES) {
        budget_bytes -= EAI_LOOK_CHARGE_BYTES;
        units_t place = m->cursor;
        head_t head = *at(m, place);
        units_t units = units_of(head), above = place + units;
        if (place >= m->end || units == 0 || units > m->end - place) { /* or damaged */
            bool has_moved = m->has_moved;
            m->cursor = m->first;
            m->has_moved = false;
            if (eai_movable_wants_entries(m)) (void)eai_movable_grow_table(m);
            return has_moved ? EA_ERR_AGAIN : EA_OK;
        }
        if (!(head & EAI_HOLE)) {
            m->cursor = above;
            continue;
        }
        if (above == m->end || !eai_movable_slide(m, place)) {
            m->cursor = above;
            continue;
        }
        m->has_moved = true;
        if (!go_on(m, &budget_bytes)) return EA_ERR_AGAIN;
        m->cursor = place + units_of(*at(m, place));
    }
    return EA_ERR_AGAIN;
}

/* --- on demand -------------------------------------------------------------------------------- */

/* The run of blocks that nobody holds, from a hole on, whose holes hold so many units and whose
 * blocks cost least to slide together. Returns its first hole; 0: there is none. */
static units_t find_window(const ea_movable_t *m, units_t units, size_t *cost)
{
    units_t start = 0, low = m->first, free_units = 0;
    size_t sum = 0, least = SIZE_MAX;
    for (units_t place = m->first, n; place < m->end; place += n) { /* at most every header */
        head_t head = *at(m, place);
        n = units_of(head);
        if (n == 0 || n > m->end - place) break;
        if (head & EAI_HOLE) {
            free_units += n;
        } else if (is_free_to_move(m, place)) {
            sum += charge_for(n);
        } else {
            low = place + n;
            free_units = 0;
            sum = 0;
            continue;
        }
        while (free_units >= units) { /* each header once */
            units_t first = units_of(*at(m, low));
            if (*at(m, low) & EAI_HOLE) {
                if (sum < least) {
                    least = sum;
                    start = low;
                }
                free_units -= first;
            } else {
                sum -= charge_for(first);
            }
            low += first;
        }
    }
    *cost = least;
    return start;
}

/* Slide what is above the hole down until it has so many units. */
static ea_status_t widen(ea_movable_t *m, units_t *hole, units_t units)
{
    while (units_of(*at(m, *hole)) < units) { /* at most the blocks of the window */
        if (!eai_movable_slide(m, *hole)) return EA_ERR_AGAIN;
        eai_movable_finish_move(m);
        *hole += units_of(*at(m, *hole));
    }
    return EA_OK;
}

/* The move under way, out of the budget. */
static bool settle_within(ea_movable_t *m, size_t *budget_bytes)
{
    if (m->move.n == 0) return true;
    size_t cost = charge_for(m->move.n - m->move.k);
    if (cost > *budget_bytes) return false;
    *budget_bytes -= cost;
    eai_movable_finish_move(m);
    return true;
}

units_t eai_movable_compact(ea_movable_t *m, units_t units, size_t *budget_bytes,
                            ea_status_t *status)
{
    size_t cost;
    *status = EA_ERR_AGAIN;
    if (!settle_within(m, budget_bytes)) return 0;
    units_t hole = eai_movable_find(m, units); /* the move's own hole may do */
    if (hole) return hole;
    hole = find_window(m, units, &cost);
    if (!hole) {
        *status = EA_ERR_BUSY;
        return 0;
    }
    if (cost > *budget_bytes) return 0;
    *budget_bytes -= cost;
    *status = widen(m, &hole, units);
    return *status == EA_OK ? hole : 0;
}

/* --- room at the end, for the table ----------------------------------------------------------- */

/* The last block, 0 if there is none; *cost: of all blocks above the first hole. */
static units_t find_last(const ea_movable_t *m, units_t *first_hole, size_t *cost)
{
    units_t last = 0;
    *first_hole = 0;
    *cost = 0;
    for (units_t place = m->first, n; place < m->end; place += n) {
        head_t head = *at(m, place);
        n = units_of(head);
        if (n == 0 || n > m->end - place) break;
        if (head & EAI_HOLE) {
            if (!*first_hole) *first_hole = place;
            continue;
        }
        last = place;
        if (*first_hole) *cost += charge_for(n);
    }
    return last;
}

ea_status_t eai_movable_more_entries(ea_movable_t *m, units_t units, size_t *budget_bytes)
{
    const units_t chunk = EAI_TABLE_CHUNK_BYTES >> EAI_UNIT_SHIFT;
    if (m->n_handles + EAI_CHUNK_ENTRIES > m->max_handles) return EA_ERR_LIMIT;
    if (units + chunk > m->free_units) return EA_ERR_NO_MEMORY;
    while (!eai_movable_grow_table(m)) { /* each time the end is lower */
        units_t hole, to;
        size_t cost;
        if (*budget_bytes == 0 || !settle_within(m, budget_bytes)) return EA_ERR_AGAIN;
        units_t last = find_last(m, &hole, &cost);
        units_t n = last ? units_of(*at(m, last)) : 0;
        if (!last) return EA_ERR_NO_MEMORY;
        if (!is_free_to_move(m, last)) return EA_ERR_BUSY;
        to = eai_movable_find(m, n);
        if (to && to < last) {
            if (charge_for(n) > *budget_bytes) return EA_ERR_AGAIN;
            *budget_bytes -= charge_for(n);
            eai_movable_take(m, to, n);
            put_head(m, to, resized(*at(m, last) & ~(head_t)EAI_PREV_FREE, n));
            if (!eai_movable_relocate(m, last, to, n - 1u, false)) {
                eai_movable_release(m, to);
                return EA_ERR_AGAIN;
            }
            continue;
        }
        /* Everything slides down. */
        if (cost > *budget_bytes) return EA_ERR_AGAIN;
        *budget_bytes -= cost;
        while (hole + units_of(*at(m, hole)) < m->end) {
            if (!eai_movable_slide(m, hole)) return EA_ERR_BUSY;
            eai_movable_finish_move(m);
            hole += units_of(*at(m, hole));
        }
        return eai_movable_grow_table(m) ? EA_OK : EA_ERR_NO_MEMORY;
    }
    return EA_OK;
}

/* --- room above a block, to grow into --------------------------------------------------------- */

/* The block right below the hole moves up to the hole's end. */
static bool slide_up(ea_movable_t *m, units_t place, units_t hole)
{
    units_t units = units_of(*at(m, place)), distance = units_of(*at(m, hole));
    if (!is_free_to_move(m, place)) return false;
    eai_movable_unlink(m, hole, distance);
    put_head(m, hole + distance, *at(m, hole + distance) & ~(head_t)EAI_PREV_FREE);
    put_head(m, place, resized(*at(m, place), units + distance));
    keep_cursor(m, place, units + distance);
    if (eai_movable_relocate(m, place, place + distance, units - 1u, true)) return true;
    put_head(m, place, resized(*at(m, place), units));
    *at(m, hole) = 0;
    eai_movable_make_hole(m, hole, distance);
    return false;
}

/* Up from the block at place until holes hold so many units. Returns the last of these holes; 0:
 * they do not, and *sum is what they hold. */
static units_t look_up_from(const ea_movable_t *m, units_t place, units_t units, units_t *sum,
                            size_t *cost)
{
    *sum = 0;
    *cost = 0;
    for (units_t n; place < m->end; place += n) {
        head_t head = *at(m, place);
        n = units_of(head);
        if (n == 0 || n > m->end - place) break;
        if (head & EAI_HOLE) {
            *sum += n;
            if (*sum >= units) return place;
        } else {
            if (!is_free_to_move(m, place)) break;
            *cost += charge_for(n);
        }
    }
    return 0;
}

ea_status_t eai_movable_gather(ea_movable_t *m, units_t place, units_t units, size_t *budget_bytes)
{
    if (!settle_within(m, budget_bytes)) return EA_ERR_AGAIN;
    /* What lies below, back to the last block that somebody holds. */
    units_t hole = 0, below = 0;
    size_t cost_below = 0, cost;
    for (units_t p = m->first, n; p <= place; p += n) {
        head_t head = *at(m, p);
        n = units_of(head);
        if (n == 0 || n > m->end - p) return EA_ERR_CORRUPT;
        if (head & EAI_HOLE) {
            if (!hole) hole = p;
            below += n;
        } else if (is_free_to_move(m, p)) {
            if (hole) cost_below += charge_for(n);
        } else {
            hole = below = 0;
            cost_below = 0;
        }
    }
    units_t above;
    units_t last = look_up_from(m, place + units_of(*at(m, place)), units, &above, &cost);
    if (!last) { /* what is above does not suffice */
        if (above + below < units) return EA_ERR_BUSY;
        if (cost + cost_below > *budget_bytes) return EA_ERR_AGAIN;
        *budget_bytes -= cost_below;
        while (hole < place) { /* at most the blocks up to this one */
            if (hole + units_of(*at(m, hole)) == place) place = hole;
            if (!eai_movable_slide(m, hole)) return EA_ERR_AGAIN;
            eai_movable_finish_move(m);
            hole += units_of(*at(m, hole));
        }
        last = look_up_from(m, place + units_of(*at(m, place)), units, &above, &cost);
        if (!last) return EA_ERR_BUSY;
    }
    if (cost > *budget_bytes) return EA_ERR_AGAIN;
    *budget_bytes -= cost;
    /* The last hole sinks to the block: each round one block passes it. */
    units_t start = place + units_of(*at(m, place));
    while (last != start) {
        units_t below_it = start, above_it = last + units_of(*at(m, last));
        for (units_t p = start; p < last; p += units_of(*at(m, p))) below_it = p; /* the blocks */
        if (!slide_up(m, below_it, last)) return EA_ERR_AGAIN;
        above_it -= last - below_it;
        last = above_it - units_of(*at(m, above_it - 1u));
    }
    return EA_OK;
}
