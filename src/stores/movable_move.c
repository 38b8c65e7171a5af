/* SPDX-License-Identifier: MIT
 *
 * What moves blocks: the one move under way, the idle step, the window that a failing request
 * makes a hole of. movable.c holds the layout and the invariants.
 *
 * A move, from the owner's side (that of who locks a block in flight is movable_lock.c):
 *
 *     1 masked: if nobody holds the block, its entry says "moving", m->move says what moves, and
 *       the first chunk is copied
 *     2 further chunks: each in a masked section of its own, by the owner or by who wants the block
 *     3 masked, with the last chunk: the entry names the new place
 *     4 the owner settles headers and holes; the block may be locked again by then
 *
 * Between sections bytes below k stand at the new place, the rest at the old one; a move upwards
 * counts them from the block's end, so that overlap is no matter. Whoever comes to copy finds k,
 * and nothing to do if it is n: a chunk that was copied, and an entry that was written, is not
 * touched again, or it would wipe out the lock of who finished the move.
 *
 * Where blocks are relocated the owner alone copies, and 3 comes after a call with nothing masked;
 * such a move does not outlive the owner's call.
 *
 * All compaction is one loop, carry(): a hole is carried upwards past blocks, which slide down
 * under it or hop into other holes, and swallows the holes that it meets.
 */
#include "stores/movable_internal.h"

/* --- the move under way ----------------------------------------------------------------------- */

static void set_place(ea_movable_t *m, units_t to)
{
    state_t *state = entry(m, index_of(m->move.head));
#if EAI_SMALL
    EAI_SET_STATE(state, to << 2);
#elif EAI_LARGE
    state[1] = to;
    EAI_SET_STATE(state, EAI_PEEK(state) & 0xFF00u);
#else
    EAI_SET_STATE(state, (EAI_PEEK(state) & 0xFF00u) | to << 16);
#endif
}

/* How far the move is: somebody else may be copying. Whoever finds it complete settles what is
 * around it behind a masked section of its own, which comes after that of the last chunk. */
EA_INLINE units_t copied(const ea_movable_t *m)
{
    return EAI_PEEK(&m->move.k);
}

/* Where speed counts a section holds no call. */
#ifdef __OPTIMIZE_SIZE__
#define COPY static
#else
#define COPY EA_INLINE
#endif

#ifndef __OPTIMIZE_SIZE__
EA_STATIC_ASSERT(EAI_CHUNK_UNITS <= 8u, "what copy() counts in");
/* Returns what comes next. */
EA_INLINE const head_t *copy_four(head_t **to, const head_t *from)
{
    head_t a = from[0], b = from[1], c = from[2], d = from[3];
    (*to)[0] = a, (*to)[1] = b, (*to)[2] = c, (*to)[3] = d;
    *to += 4;
    return from + 4;
}
#endif

/* All is copied: the entry names the new place. With interrupts masked. */
EA_INLINE void publish(ea_movable_t *m)
{
    /* Who locks it now reads its header. Downwards it is there, and may have changed. */
    if (m->move.to > m->move.from) put_head(m, m->move.to - 1u, m->move.head);
    set_place(m, m->move.to);
    m->n_moves++;
}

#if EA_CFG_MOVABLE_RELOCATE
/* The owner, when all is copied and the store relocates. */
static EA_NOINLINE void relocate(ea_movable_t *m)
{
    const eai_move_t *move = &m->move;
    uint32_t index = index_of(move->head);
    ea_movable_handle_t handle = {handle_word(index, gen_of(m, index, EAI_STATE(entry(m, index))))};
    m->relocate(m->relocate_context, handle, at(m, move->from), at(m, move->to),
                (size_t)move->n << EAI_UNIT_SHIFT);
    EAI_MASK_BEGIN(irq);
    publish(m);
    EAI_MASK_END(irq);
}
#else
#define relocate(m) ((void)(m))
#endif

/* A chunk, with interrupts masked. */
COPY void copy(ea_movable_t *m, units_t most)
{
    eai_move_t *move = &m->move;
    units_t n = move->n - move->k, i = move->k;
    if (move->k >= move->n) return; /* complete, or given up since the caller saw it */
    if (n > most) n = most;
    if (move->to > move->from) { /* from the end, in pieces that do not overlap */
        if (n > move->to - move->from) n = move->to - move->from;
        i = move->n - i - n;
    }
    EAI_POKE(&move->k, move->k + n);
    m->moved_units += n;
    const head_t *from = at(m, move->from + i);
    head_t *to = at(m, move->to + i);
#ifndef __OPTIMIZE_SIZE__
    if (n & 8u) from = copy_four(&to, from), from = copy_four(&to, from);
    if (n & 4u) from = copy_four(&to, from);
    n &= 3u;
#endif
    for (; n; n--) *to++ = *from++;
    if (move->k == move->n && !EAI_RELOCATES(m)) publish(m);
}

void eai_movable_copy_chunk(ea_movable_t *m, units_t most)
{
    EAI_MASK_BEGIN(irq);
    copy(m, most);
    EAI_MASK_END(irq);
}

/* A block of this index and state, at place, that nobody holds or moves? */
EA_INLINE bool may_move(const ea_movable_t *m, uint32_t index, state_t state, units_t place)
{
    return !locks_of(state) && !is_free_entry(state) && !is_moving(state) &&
           place_of(m, index, state) == place + 1u;
}

/* Is what is at place a block that its entry knows and nobody holds? */
static bool is_free_to_move(const ea_movable_t *m, units_t place)
{
    uint32_t index = index_of(*at(m, place));
    return index >= m->first_entry && may_move(m, index, EAI_STATE(entry(m, index)), place);
}

/* Nothing moves any more. From here on the block's header says its size. */
static void end(ea_movable_t *m)
{
    EAI_MASK_BEGIN(irq);
    m->move.n = m->move.k = 0;
    EAI_MASK_END(irq);
    m->is_kept = false;
}

/* The block's entry says that it moves, unless somebody holds it, and the first units are copied. A
 * block that is there with them has moved: no move is under way any more. gap: the hole that a
 * slide goes into; its header counts it until the block is there. */
static bool begin(ea_movable_t *m, units_t place, units_t to, head_t head, units_t gap,
                  units_t most)
{
    uint32_t index = index_of(head);
    units_t n = units_of(*at(m, place)) - 1u;
    bool done = false;
    if (index < m->first_entry) return false;
    state_t *word = entry(m, index), state;
    /* Nobody looks at these while n is 0. */
    m->move.from = place + 1u;
    m->move.to = to + 1u;
    m->move.head = head;
    if (to < place) put_head(m, to, n > most ? resized(head, units_of(head) + gap) : head);
    EAI_MASK_BEGIN(irq);
    do { /* again if another core changed it at this moment */
        state = EAI_LINKED(word);
        if (!may_move(m, index, state, place)) break;
        m->move.n = n;
        done = EAI_COND(word, state, moving(state));
    } while (!done);
    if (done) copy(m, most);
    bool is_over = !done || m->move.k == n;
    if (is_over && !(done && EAI_RELOCATES(m))) m->move.n = m->move.k = 0;
    EAI_MASK_END(irq);
    if (EAI_RELOCATES(m) && done && is_over) {
        relocate(m);
        end(m);
    }
    return done;
}

bool eai_movable_move(ea_movable_t *m, units_t place, units_t to, head_t head)
{
    /* Upwards a section that begins a move has more to do: half a chunk. */
    if (!begin(m, place, to, head, 0, EAI_CHUNK_UNITS / 2u)) return false;
    if (EAI_RELOCATES(m) && m->move.n == 0) return true; /* it was, by begin() */
    while (copied(m) != m->move.n) eai_movable_copy_chunk(m, EAI_CHUNK_UNITS);
    if (EAI_RELOCATES(m)) relocate(m);
    end(m);
    return true;
}

/* A block that slid has arrived: the hole in hand, which is returned, is above it now. */
static units_t arrive(ea_movable_t *m)
{
    units_t place = m->move.to - 1u, hole = m->move.to + m->move.n;
    put_head(m, place, resized(*at(m, place), hole - place));
    end(m);
    *at(m, hole) = 0;
    return hole;
}

/* Returns the hole. */
static units_t settle(ea_movable_t *m)
{
    units_t distance = m->move.from - m->move.to, hole = arrive(m);
    return eai_movable_make_hole(m, hole, distance);
}

void eai_movable_finish_move(ea_movable_t *m)
{
    if (m->move.n == 0) return;
    while (copied(m) != m->move.n) eai_movable_copy_chunk(m, EAI_CHUNK_UNITS);
    (void)settle(m);
}

/* --- a hole carried upwards ------------------------------------------------------------------- */

/* What a header that a step looks at is charged, a hole twice; and one that it takes up. */
#define EAI_LOOK_CHARGE_BYTES 3u
#define EAI_CARRY_CHARGE_BYTES 24u
#define EAI_GROW_CHARGE_BYTES                                                                      \
    (32u + 4u * EAI_CHUNK_ENTRIES) /* what must be left for more entries */

/* In idle time a hole passes no more than so many times its own size before it grows, until there
 * is nothing else to do: what it takes along is not worth more. */
#define EAI_LAZY_SHIFT 4u

typedef enum { LAZY, SLIDE, HOP, HOP_ONLY } carry_t;

EA_INLINE void spend(size_t *budget_bytes, size_t bytes)
{
    *budget_bytes -= bytes < *budget_bytes ? bytes : *budget_bytes;
}

EA_INLINE units_t chunk_within(size_t budget_bytes)
{
    size_t most = budget_bytes >> EAI_UNIT_SHIFT;
    return most < EAI_CHUNK_UNITS ? (units_t)most : EAI_CHUNK_UNITS;
}

/* Copy of the move under way, of which k units are charged, what the budget allows. False: not all.
 */
static bool go_on(ea_movable_t *m, units_t k, size_t *budget_bytes)
{
    for (;;) {
        units_t before = k;
        k = copied(m);
        spend(budget_bytes, (size_t)(k - before) << EAI_UNIT_SHIFT);
        if (k == m->move.n) break;
        units_t most = chunk_within(*budget_bytes);
        if (most == 0) return false;
        eai_movable_copy_chunk(m, most);
    }
    if (EAI_RELOCATES(m)) relocate(m);
    spend(budget_bytes, EA_MOVABLE_MOVE_CHARGE_BYTES);
    return true;
}

/* The smallest hole for so many units that is not in the window, as far as bins tell; 0: none. */
static units_t find_outside(const ea_movable_t *m, units_t units, units_t window, units_t stop)
{
    for (uint32_t bin = bin_of(units); bin < EAI_BINS; bin++) { /* at most every hole */
        for (units_t hole = m->bins[bin]; hole; hole = links_at(m, hole)->next) {
            if (hole - window >= stop - window && units_of(*at(m, hole)) >= units) return hole;
        }
    }
    return 0;
}

/* The block at place, whose header this is, to a hole outside of the window. */
static bool hop(ea_movable_t *m, units_t place, head_t head, units_t window, units_t stop)
{
    units_t units = units_of(head), to = find_outside(m, units, window, stop);
    if (!to) return false;
    eai_movable_take(m, to, units);
    bool went = eai_movable_move(m, place, to, head & ~(head_t)EAI_PREV_FREE);
    m->free_units += units;
    if (went) return true;
    *at(m, to) = 0;
    (void)eai_movable_make_hole(m, to, units);
    return false;
}

/* Carry the hole up to stop, or until it has so many units. Returns its place; 0: the budget has
 * ended in the middle of a block. */
static units_t carry(ea_movable_t *m, units_t hole, units_t want, units_t stop,
                     size_t *budget_bytes, carry_t how)
{
    units_t start, size = 0, above;
    if (*at(m, hole) & EAI_PREV_FREE) hole -= units_of(*at(m, hole - 1u));
    start = hole;
    if (*at(m, hole) & EAI_HOLE) {
        size = units_of(*at(m, hole));
        eai_movable_unlink(m, hole, size);
        *at(m, hole) = 0;
    }
    while (above = hole + size, above < stop && size < want) { /* each round passes a header */
        head_t head = *at(m, above);
        units_t units = units_of(head);
        if (units == 0 || units > m->end - above) break; /* damaged */
        if (head & EAI_HOLE) {
            eai_movable_unlink(m, above, units);
            size += units;
            if (how != LAZY) continue;
            m->passed = 0;
            spend(budget_bytes, EAI_LOOK_CHARGE_BYTES);
            continue;
        }
        if (how == LAZY) {
            m->passed += units;
            if (m->passed >> EAI_LAZY_SHIFT > size && !m->is_strict) break;
        }
        if (how != LAZY && how != SLIDE) {
            if (hop(m, above, head, start, stop)) {
                spend(budget_bytes, charge_for(units));
                size += units;
                continue;
            }
            if (size == 0) return 0;
            if (how == HOP_ONLY) break;
        }
        head &= ~(head_t)EAI_PREV_FREE;
        if (EAI_RELOCATES(m) && charge_for(units) > *budget_bytes) break;
        if (!begin(m, above, hole, head, size, chunk_within(*budget_bytes))) break;
        m->has_moved = true;
        if (m->move.n == 0) { /* it is there */
            spend(budget_bytes, charge_for(units));
            hole += units;
            *at(m, hole) = 0;
        } else if (go_on(m, 0, budget_bytes)) {
            hole = arrive(m);
        } else {
            keep_headers(m, start, above + units - start);
            if (how == LAZY) m->cursor = hole; /* where the block goes: all below was passed */
            return 0;
        }
    }
    hole = eai_movable_make_hole(m, hole, size);
    keep_headers(m, start, above - start);
    return hole;
}

/* --- idle time -------------------------------------------------------------------------------- */

/* The sweep is over. EA_OK: there was nothing to do, however strictly one looks. */
static ea_status_t end_sweep(ea_movable_t *m, size_t budget_bytes)
{
    bool is_done = !m->has_moved && m->is_strict;
    m->is_strict = !m->has_moved && !m->is_strict;
    m->has_moved = false;
    m->cursor = m->lowest;
    m->lowest = m->end;
    if (budget_bytes >= EAI_GROW_CHARGE_BYTES && eai_movable_wants_entries(m))
        (void)eai_movable_grow_table(m);
    return is_done ? EA_OK : EA_ERR_AGAIN;
}

ea_status_t ea_movable_step(ea_movable_t *m, size_t budget_bytes)
{
    if (m->move.n) {
        bool is_at_cursor = m->cursor == m->move.to - 1u;
        if (!go_on(m, copied(m), &budget_bytes)) return EA_ERR_AGAIN;
        units_t hole = settle(m);
        if (is_at_cursor) m->cursor = hole;
    }
    units_t place = m->cursor, end = m->end;
    while (budget_bytes >= EAI_UNIT_BYTES) {
        head_t head = *at(m, place);
        units_t units = units_of(head), above = place + units;
        if (units == 0 || above > end || (EAI_LARGE && above < place))
            return end_sweep(m, budget_bytes); /* or damaged */
        budget_bytes -= EAI_LOOK_CHARGE_BYTES;
        if (head & EAI_HOLE) {
            if (place < m->lowest) m->lowest = place;
            spend(&budget_bytes, EAI_LOOK_CHARGE_BYTES);
            if (above != end && (m->is_strict || (m->passed + units_of(*at(m, above))) >>
                                                     EAI_LAZY_SHIFT <= units)) {
                m->cursor = place;
                above = carry(m, place, EAI_MAX_UNITS, end, &budget_bytes, LAZY);
                if (!above) return EA_ERR_AGAIN;
                spend(&budget_bytes, EAI_CARRY_CHARGE_BYTES);
                above += units_of(*at(m, above));
            }
        }
        m->passed = 0;
        place = above;
    }
    m->cursor = place;
    return EA_ERR_AGAIN;
}

/* --- on demand -------------------------------------------------------------------------------- */

typedef struct {
    units_t hole, stop; /* its first hole, and its end; 0: there is none */
    size_t cost;
} window_t;

/* What is above a place: the better it keeps it, the better may a block that stays end there. */
typedef enum { BELOW_OTHERS, BELOW_LOCKED, BELOW_FIXED } rank_t;

EA_INLINE rank_t rank_of(const ea_movable_t *m, units_t place)
{
    head_t head = *at(m, place);
    if (is_fixed(head)) return BELOW_FIXED; /* or the end of the memory */
    return (head & EAI_HOLE) || is_free_to_move(m, place) ? BELOW_OTHERS : BELOW_LOCKED;
}

/* The run of blocks that nobody holds that costs least to make a hole of so many units of: its
 * holes have them together with its blocks of at most hop_units, for which there is room elsewhere.
 * upto: it has to end there; 0: anywhere. high: not the one that costs least but the highest below
 * a fixed block or the end; of what costs no more than within, if there is such a one. If there is
 * none at all, the highest below a locked block. */
EA_INLINE window_t find_window_or_high(const ea_movable_t *m, units_t units, units_t upto,
                                       units_t hop_units, bool high, size_t within)
{
    window_t found = {0, 0, SIZE_MAX};
    units_t low = m->first, holes = 0, blocks = 0;
    size_t cost = 0;
    rank_t best = BELOW_LOCKED, rank = BELOW_OTHERS;
    for (units_t place = m->first, n; place < m->end && place != upto; place += n) {
        head_t head = *at(m, place); /* at most every header */
        n = units_of(head);
        if (n == 0 || n > m->end - place) break;
        if (head & EAI_HOLE) {
            holes += n;
        } else if (is_free_to_move(m, place)) {
            if (n <= hop_units) blocks += n;
            cost += charge_for(n);
        } else {
            low = place + n;
            holes = blocks = 0;
            cost = 0;
        }
        if (upto && place + n != upto) continue;
        if (high) {
            rank = rank_of(m, place + n);
            if (rank < best) continue;
        }
        while (holes + blocks >= units) { /* each header once */
            bool is_better = cost < found.cost;
            head = *at(m, low);
            if (high) is_better |= cost <= within || rank != best;
            if (m->free_units - holes >= blocks && is_better) {
                window_t window = {low, place + n, cost};
                found = window;
                best = rank;
            }
            if (head & EAI_HOLE) {
                holes -= units_of(head);
            } else {
                if (units_of(head) <= hop_units) blocks -= units_of(head);
                cost -= charge_for(units_of(head));
            }
            low += units_of(head);
        }
    }
    return found;
}

static window_t find_window(const ea_movable_t *m, units_t units, units_t upto, units_t hop_units)
{
    return find_window_or_high(m, units, upto, hop_units, false, 0);
}

/* How often a window is tried whose blocks hop: where one finds no hole the next try begins with
 * what was gained. */
#define EAI_HOP_ROUNDS 3u
#define EAI_HOP_SHIFT 3u

/* The block of the move under way back where it was, or settled. False: neither can be without
 * copying. */
static bool give_up(ea_movable_t *m)
{
    units_t hole = m->move.to - 1u, distance = m->move.from - m->move.to;
    EAI_MASK_BEGIN(irq);
    bool is_there = m->move.k == m->move.n, is_intact = !is_there && m->move.k < distance;
    if (is_intact) { /* the block where it was */
        set_place(m, m->move.from);
        m->move.n = m->move.k = 0;
    }
    EAI_MASK_END(irq);
    if (is_there) (void)settle(m);
    if (is_intact) {
        *at(m, hole) &= EAI_PREV_FREE;
        (void)eai_movable_make_hole(m, hole, distance);
    }
    return is_there || is_intact;
}

/* It is finished, out of the budget. */
static bool settle_within(ea_movable_t *m, size_t *budget_bytes)
{
    size_t cost = charge_for(m->move.n - copied(m) + 1u);
    if (cost > *budget_bytes) return false;
    *budget_bytes -= cost;
    eai_movable_finish_move(m);
    return true;
}

/* Let nothing be under way, for a request of so many units. False: its budget does not reach. What
 * a step has begun is given up where that leaves the hole that is wanted; where it may be of use
 * all the same, for one request, and then not before a block has moved: or else requests between
 * steps would undo whatever these do. */
static bool clear_way(ea_movable_t *m, units_t units, size_t *budget_bytes)
{
    if (m->move.n == 0) return true;
    units_t hole = m->move.to - 1u, gain = m->move.from - m->move.to;
    if (*at(m, hole) & EAI_PREV_FREE) gain += units_of(*at(m, hole - 1u));
    if (gain < units && copied(m) != m->move.n) {
        if (*budget_bytes == 0 || m->is_kept) return settle_within(m, budget_bytes);
        m->is_kept = true;
    }
    return give_up(m) || settle_within(m, budget_bytes);
}

/* How large blocks shall hop: in the last round but one small ones, which find a hole more often,
 * while the others slide. */
EA_INLINE units_t hop_units(units_t units, unsigned round)
{
    return round > 1 ? EAI_MAX_UNITS : round == 1 ? units >> EAI_HOP_SHIFT : 0;
}

units_t eai_movable_compact(ea_movable_t *m, units_t units, size_t *budget_bytes,
                            ea_status_t *status)
{
    *status = EA_ERR_AGAIN;
    if (!clear_way(m, eai_movable_find(m, units) ? 0 : units, budget_bytes)) return 0;
    units_t hole = eai_movable_find(m, units);
    if (hole || *budget_bytes == 0) return hole;
    for (unsigned round = EAI_HOP_ROUNDS;; round--) {
        size_t before = *budget_bytes;
        window_t window = find_window(m, units, 0, hop_units(units, round));
        if (window.hole && window.cost <= before) {
            hole =
                carry(m, window.hole, units, window.stop, budget_bytes, round > 1 ? HOP_ONLY : HOP);
            if (hole && units_of(*at(m, hole)) >= units) return hole;
        }
        if (round == 0) {
            if (!window.hole) *status = EA_ERR_BUSY;
            return 0;
        }
        if (before == *budget_bytes && round > 2) round = 2; /* it would be the same again */
    }
}

#if EA_CFG_MOVABLE_FIXED
units_t eai_movable_compact_high(ea_movable_t *m, units_t units, size_t *budget_bytes,
                                 ea_status_t *status)
{
    bool is_beyond = false; /* the budget, and not what cannot move, was in the way */
    *status = EA_ERR_AGAIN;
    if (!clear_way(m, EAI_MAX_UNITS + 1u, budget_bytes)) {
        /* A hole as it is; not below what moves just now, which looks as if it were locked. */
        window_t window = find_window_or_high(m, units, 0, 0, true, 0);
        bool is_there = window.hole && window.cost == 0 && rank_of(m, window.stop) == BELOW_FIXED;
        return is_there ? window.hole : 0;
    }
    for (unsigned round = EAI_HOP_ROUNDS;; round--) { /* as above, up to the window's end */
        size_t before = *budget_bytes;
        window_t window = find_window_or_high(m, units, 0, hop_units(units, round), true, before);
        is_beyond |= window.hole && window.cost > before;
        if (window.hole && window.cost <= before) {
            units_t hole = carry(m, window.hole, EAI_MAX_UNITS, window.stop, budget_bytes,
                                 round > 1 ? HOP_ONLY : HOP);
            if (hole && hole + units_of(*at(m, hole)) == window.stop && window.stop - hole >= units)
                return hole;
        }
        if (round == 0) {
            if (!window.hole && !is_beyond) *status = EA_ERR_BUSY;
            return 0;
        }
        if (before == *budget_bytes && round > 2) round = 2;
    }
}
#endif

ea_status_t eai_movable_more_entries(ea_movable_t *m, units_t units, size_t *budget_bytes)
{
    const units_t chunk = EAI_TABLE_CHUNK_BYTES >> EAI_UNIT_SHIFT;
    if (m->n_handles + EAI_CHUNK_ENTRIES > m->max_handles) return EA_ERR_LIMIT;
    if (units + chunk > m->free_units) return EA_ERR_NO_MEMORY;
    bool is_clear = clear_way(m, EAI_MAX_UNITS + 1u, budget_bytes);
    if (eai_movable_grow_table(m)) return EA_OK;
    if (*budget_bytes == 0 || !is_clear) return EA_ERR_AGAIN;
    window_t window = find_window(m, chunk, m->end, 0);
    if (!window.hole) return EA_ERR_BUSY;
    if (window.cost > *budget_bytes) return EA_ERR_AGAIN;
    (void)carry(m, window.hole, EAI_MAX_UNITS, m->end, budget_bytes, HOP);
    return eai_movable_grow_table(m) ? EA_OK : EA_ERR_AGAIN;
}

/* --- room above a block, to grow into --------------------------------------------------------- */

/* The block right below the hole moves up to the hole's end. */
static bool slide_up(ea_movable_t *m, units_t place, units_t hole)
{
    head_t head = *at(m, place) & ~(head_t)EAI_PREV_FREE;
    units_t distance = units_of(*at(m, hole));
    eai_movable_unlink(m, hole, distance);
    put_head(m, hole + distance, *at(m, hole + distance) & ~(head_t)EAI_PREV_FREE);
    keep_headers(m, place, hole + distance - place);
    bool went = eai_movable_move(m, place, place + distance, head);
    if (went)
        hole = place;
    else
        *at(m, hole) = 0;
    (void)eai_movable_make_hole(m, hole, distance);
    return went;
}

/* Up from place until holes hold so many units. Returns the last of these holes; 0: they do not,
 * and *sum is what they hold. */
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

ea_status_t eai_movable_gather(ea_movable_t *m, uint32_t index, units_t units, size_t *budget_bytes)
{
    units_t place, start, above, last;
    size_t cost;
    window_t window = {0, 0, 0};
    if (!clear_way(m, EAI_MAX_UNITS + 1u, budget_bytes)) return EA_ERR_AGAIN;
    for (;;) { /* twice at most: as it is, and when what is below has slid down */
        place = place_of(m, index, EAI_STATE(entry(m, index))) - 1u;
        start = place + units_of(*at(m, place));
        last = look_up_from(m, start, units, &above, &cost);
        if (last) break;
        if (window.hole) return EA_ERR_AGAIN; /* somebody locked a block meanwhile */
        window = find_window(m, units - above, start, 0);
        if (!window.hole) return EA_ERR_BUSY;
        if (cost > *budget_bytes || window.cost > *budget_bytes - cost) return EA_ERR_AGAIN;
        (void)carry(m, window.hole, EAI_MAX_UNITS, start, budget_bytes, SLIDE);
    }
    if (cost > *budget_bytes) return EA_ERR_AGAIN;
    *budget_bytes -= cost;
    /* The last hole sinks to the block: each round one block passes it. */
    while (last != start) {
        units_t below = start, end = last + units_of(*at(m, last));
        for (units_t p = start; p < last; p += units_of(*at(m, p))) below = p; /* the blocks */
        if (!slide_up(m, below, last)) return EA_ERR_AGAIN;
        end -= last - below;
        last = end - units_of(*at(m, end - 1u));
    }
    return EA_OK;
}
