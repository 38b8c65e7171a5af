/* SPDX-License-Identifier: MIT
 *
 * The line of those who wait for resources of a monitor: who is next, and serving it.
 *
 *     places    [a][ ][c][d]    in the line's memory; a ticket says who came before whom
 *                |     |  |
 *     waitq      o <-> o <-> o  in the tasks' frames: sleeping, waking, the end of a timeout
 *
 * One context serves at a time. It looks at one place after the other, each in a masked section of
 * its own, chooses the first in order, and tries it outside of any: slots are reserved and accounts
 * charged as for anybody. If all is there it is handed over in one more masked section, unless the
 * one it is for has gone; else all is given back. Then the next, until each was tried.
 *
 *   L1 Who frees something looks afterwards whether somebody waits, and serves; who waits makes
 *      that known, and serves. Both accesses are sequentially consistent, and so are those that
 *      free: one of the two sees what the other did.
 *   L2 To serve is to set is_called. Who finds another one serving is done: that one looks at
 *      is_called after its round and begins anew, so that a round begins after each call.
 *   L3 A round tries each that stood in the line when it began, but those behind one for which is
 *      kept what they want. A try is refused only by what is not there, or by what another context
 *      holds for a moment: a request that is refused itself, or that had more credit in its hands
 *      than it took, or a slot beside an idle object; it serves when it has given that back.
 *      What the round's own tries held is given back before the next one.
 *      So nobody sleeps beside what it could have: from the last thing that changed on a whole
 *      round was made. Whoever leaves the line serves too: what was kept for it no longer is.
 *   L4 A place is handed to while its waiter is in the queue, and that is once (waitq.c, I4). One
 *      whose time ends in that moment has been granted; or it has left, and what was reserved goes
 *      back.
 *   L5 What a place wants is written by its task before it has a ticket, and by who serves. Who
 *      does not wait reads what refused it without a mask: words, each right at some moment.
 *
 * The order, and why nobody starves. W is of class c, k of its claimant and class came before it.
 * Let a grant count if it takes from an account that refused W at its last try.
 *   1 Once W's claimant had no grant in its class before W's turn for patience * (classes - c)
 *     grants, W is overdue. Only the k that came before it begin that anew, each once: those that
 *     came later do not change eai_since of W.
 *   2 Before an overdue W come the overdue that came earlier. There are at most max_waiting - 1 of
 *     them, none joins them (a later one has a later ticket), and each is granted once.
 *   3 Any other grant that counts is to one behind W in a round in which W was refused or passed
 *     over, and counts in eai_n_passed; when that is max_passings, the accounts that refused W are
 *     closed in each round to who comes behind it, and stay so until W is granted or leaves.
 *   So 1 and 2 at most k + 1 times, and 3 once: EA_MONITOR_GRANTS_MAX. Until W is overdue all
 *   grants are counted in 1, those that passed W among them.
 * A request that the limits could not grant even if all were returned closes nothing.
 *
 * Complexity: O(places) to choose, so O(places^2) for a round in which each is tried; with
 * max_passings 0 the first that is refused closes what it waits for, and few are. Masked sections:
 * a copy of a place and its wants, at most EA_MONITOR_TOGETHER_MAX.
 *
 * Rejected: waking the first to try for itself (others take what it was woken for); the levels of
 * ea_waitq_t as the order (shares change with every grant, so all would have to be moved); holding
 * what is there for a large request piece by piece (others wait for what it does not use yet);
 * sorting under one mask; aging by a class at a time (a claimant with many in line would gain by
 * it).
 */
#include "monitor/monitor_line.h"

#if EA_CFG_MONITOR_WAIT

#include "base/bits.h"

typedef eai_turn_t turn_t;

/* --- order ------------------------------------------------------------------------------------ */

/* What the account holds of its book's capacity, of 65535, and half of what is asked for below it,
 * so that large requests gain nothing over small ones: on average each is at its share then, and
 * not above it. Of requests of more than 1/64 of the capacity only 1/128 counts, or they would come
 * last. By a division of 32 bits. */
static uint32_t share_of(const ea_account_t *account, const turn_t *turn)
{
    const ea_account_t *root = account->eai_book->eai_nodes;
    uint64_t capacity = EAI_LOAD(&((ea_account_t *)root)->eai_max, EAI_RELAXED);
    uint64_t used = eai_account_used(account), half = 0;
    for (uint32_t i = 0; i < turn->n; i++) {
        const want_t *want = &turn->wants[i];
        if (ea_account_is_below(want->eai_account, account)) half += want->eai_units / 2u;
    }
    used += half < capacity >> 7 ? half : capacity >> 7;
    if (capacity == EA_ACCOUNT_UNLIMITED) return 0;
    if (used >= capacity) return UINT16_MAX;
    for (unsigned shift = 32; shift > 0; shift >>= 1) {
        if (capacity >> 16 >> (shift - 1u) == 0) continue;
        capacity >>= shift;
        used >>= shift;
    }
    uint32_t share = ((uint32_t)used << 16) / (uint32_t)capacity;
    return share < UINT16_MAX ? share : UINT16_MAX;
}

static void rank(turn_t *turn)
{
    const ea_claimant_t *claimant = turn->claimant;
    uint32_t n = claimant == NULL ? turn->n : claimant->n_accounts;
    turn->share = 0;
    turn->weight = claimant == NULL || claimant->weight == 0 ? 1u : claimant->weight;
    for (uint32_t i = 0; i < n; i++) {
        const ea_account_t *account =
            claimant == NULL ? turn->wants[i].eai_account : claimant->accounts[i];
        uint32_t share = share_of(account, turn);
        if (share > turn->share) turn->share = share;
    }
}

EA_INLINE bool came_before(const turn_t *a, const turn_t *b)
{
    return (int32_t)(a->ticket - b->ticket) < 0;
}

static bool is_before(const turn_t *a, const turn_t *b)
{
    if (a->is_overdue != b->is_overdue) return a->is_overdue;
    if (a->is_overdue) return came_before(a, b);
    if (a->class_ != b->class_) return a->class_ > b->class_;
    uint32_t share_a = a->share * b->weight, share_b = b->share * a->weight; /* of 16 bits all */
    return share_a != share_b ? share_a < share_b : came_before(a, b);
}

/* --- what is kept ----------------------------------------------------------------------------- */

/* Whether n units for account would come out of what `from` has, or above it. At most
 * EA_CFG_ACCOUNT_DEPTH turns. */
static bool takes_from(const ea_account_t *account, uintptr_t n, const ea_account_t *from)
{
    for (; account != NULL && account != from; account = account->eai_parent) {
        if (EAI_LOAD(&((ea_account_t *)account)->eai_avail, EAI_RELAXED) >= n) return false;
    }
    return account != NULL;
}

static bool is_closed(const line_t *line, const turn_t *turn)
{
    if (line->is_closed_for_slots) return true;
    for (uint32_t i = 0; i < line->n_closed; i++) {
        for (uint32_t k = 0; k < turn->n; k++) {
            const want_t *want = &turn->wants[k];
            if (takes_from(want->eai_account, want->eai_units, line->closed[i])) return true;
        }
    }
    return false;
}

/* What refused the one that was tried is closed to those behind. */
static void close_for(line_t *line, const turn_t *turn)
{
    for (uint32_t i = 0; i < turn->n; i++) {
        uintptr_t by = turn->wants[i].eai_refused_by;
        if (by == BY_SLOTS) line->is_closed_for_slots = true;
        if (by == BY_SLOTS || by == BY_NOBODY) continue;
        const ea_account_t *account = (const ea_account_t *)by;
        uint32_t k = 0;
        while (k < line->n_closed && line->closed[k] != account) k++;
        line->closed[k] = account; /* there is room for each want of each place */
        line->n_closed += k == line->n_closed;
    }
}

/* Units that are guaranteed to accounts directly below above, but for what the wants take of
 * them. */
static uintptr_t guaranteed_to_others(const ea_account_t *above, const want_t *wants, uint32_t n)
{
    const ea_accounts_t *book = above->eai_book;
    uint32_t n_used = EAI_LOAD(&((ea_accounts_t *)book)->eai_n_used, EAI_ACQUIRE);
    uintptr_t sum = 0;
    for (uint32_t i = 1; i < n_used; i++) {
        const ea_account_t *node = &book->eai_nodes[i];
        if (!eai_account_is_live(node) || node->eai_parent != above) continue;
        uintptr_t rest = EAI_LOAD(&((ea_account_t *)node)->eai_floor, EAI_RELAXED);
        for (uint32_t k = 0; k < n; k++) {
            if (!ea_account_is_below(wants[k].eai_account, node)) continue;
            rest = eai_difference(rest, wants[k].eai_units);
        }
        sum += rest;
    }
    return sum;
}

static bool could_be_given(const ea_account_t *above, const want_t *wants, uint32_t n)
{
    uintptr_t max = EAI_LOAD(&((ea_account_t *)above)->eai_max, EAI_RELAXED), left = max;
    if (max == EA_ACCOUNT_UNLIMITED) return true;
    for (uint32_t i = 0; i < n; i++) {
        if (!ea_account_is_below(wants[i].eai_account, above)) continue;
        if (wants[i].eai_units > left) return false;
        left -= wants[i].eai_units;
    }
    return guaranteed_to_others(above, wants, n) <= left;
}

bool eai_line_could_grant(const monitor_t *monitor, const want_t *wants, uint32_t n)
{
    if (n > monitor->eai_n_slots) return false;
    for (uint32_t i = 0; i < n; i++) {
        const ea_account_t *account = wants[i].eai_account;
        if (!EAI_LOAD(&account->eai_book->eai_enforce, EAI_RELAXED)) continue;
        for (; account != NULL; account = account->eai_parent) {
            if (!could_be_given(account, wants, n)) return false;
        }
    }
    return true;
}

/* --- choosing --------------------------------------------------------------------------------- */

/* One place; false: nobody waits there who was not tried or passed over in this round. */
static bool look(const line_t *line, place_t *place, turn_t *turn, bool with_tried)
{
    const want_t *wants = wants_of(line, place);
    ea_port_irq_t irq = ea_port_irq_mask();
    bool is_there = is_waiting(place) && (with_tried || place->eai_round != line->round);
    if (is_there) {
        turn->place = place;
        turn->claimant = place->eai_claimant;
        turn->ticket = place->eai_ticket;
        turn->class_ = place->eai_class;
        turn->n = place->eai_n;
        turn->is_overdue = line->n_grants - place->eai_since >=
                           line->patience * (EA_MONITOR_CLASSES - place->eai_class);
        turn->is_exhausted = place->eai_n_passed >= line->max_passings;
        for (uint32_t i = 0; i < turn->n; i++) turn->wants[i] = wants[i];
    }
    ea_port_irq_restore(irq);
    return is_there;
}

EA_INLINE bool is_still_there(const turn_t *turn)
{
    return turn->place->eai_ticket == turn->ticket && is_waiting(turn->place);
}

static void pass_over(const line_t *line, const turn_t *turn)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    if (turn->place->eai_ticket == turn->ticket) turn->place->eai_round = line->round;
    ea_port_irq_restore(irq);
}

/* The first in order of those that were not tried; NULL: there is none. */
static turn_t *choose(line_t *line)
{
    turn_t *spare = &line->turns[0], *best = NULL;
    for (uint32_t i = 0; i < line->n_places; i++) {
        place_t *place = &line->places[i];
        if (EAI_LOAD(&place->eai_ticket, EAI_RELAXED) == 0) continue;
        if (!look(line, place, spare, false)) continue;
        if (is_closed(line, spare)) {
            pass_over(line, spare);
            continue;
        }
        rank(spare);
        if (best != NULL && !is_before(spare, best)) continue;
        best = spare;
        spare = best == &line->turns[0] ? &line->turns[1] : &line->turns[0];
    }
    return best;
}

/* --- trying ----------------------------------------------------------------------------------- */

/* Nobody deletes an account of the wants from enter on, if the one they are of is there then. */
static void for_books(const line_t *line, const turn_t *turn, void (*enter_or_leave)(book_t *))
{
    for (uint32_t i = 0; i < turn->n; i++) {
        book_t *book = line->monitor->eai_types[turn->wants[i].eai_type].book;
        uint32_t k = 0;
        while (line->monitor->eai_types[turn->wants[k].eai_type].book != book) k++;
        if (k == i) enter_or_leave(book);
    }
}

/* All of them, or as far as it goes: what refused each is noted. Returns whether all were. */
static bool reserve_wants(const line_t *line, turn_t *turn)
{
    bool all = true;
    for (uint32_t i = 0; i < turn->n; i++) {
        want_t *want = &turn->wants[i];
        uintptr_t before = want->eai_refused_by;
        ea_account_t *refuser = NULL;
        want->eai_slot = NO_SLOT;
        ea_status_t status = eai_monitor_reserve(line->monitor, want->eai_type, want->eai_account,
                                                 want->eai_units, &want->eai_slot, &refuser);
        want->eai_refused_by = status == EA_OK              ? BY_NOBODY
                               : status == EA_ERR_NO_MEMORY ? BY_SLOTS
                                                            : (uintptr_t)refuser;
        all = all && status == EA_OK;
        /* Kept, though it is there right now: another one may refuse the next time. */
        if (turn->is_exhausted && status == EA_OK) want->eai_refused_by = before;
    }
    return all;
}

static void give_back(const line_t *line, const turn_t *turn)
{
    for (uint32_t i = 0; i < turn->n; i++) {
        if (turn->wants[i].eai_slot != NO_SLOT) {
            eai_monitor_unreserve(line->monitor, turn->wants[i].eai_slot);
        }
    }
}

/* Returns whether it was still there. */
static bool grant_turn(line_t *line, const turn_t *turn)
{
    want_t *wants = wants_of(line, turn->place);
    ea_port_irq_t irq = ea_port_irq_mask();
    bool is_there = is_still_there(turn);
    if (is_there) {
        for (uint32_t i = 0; i < turn->n; i++) {
            wants[i].eai_slot = turn->wants[i].eai_slot;
            EAI_STORE(&wants[i].eai_refused_by, BY_NOBODY, EAI_RELAXED);
        }
        uint32_t waited = line->n_grants - turn->place->eai_entered;
        uint32_t *most = &line->stats.most_grants[turn->class_];
        if (waited > *most) *most = waited;
        line->n_grants++;
        line->stats.n_granted++;
        ea_waitq_hand_locked(turn->place->eai_waiter, line);
    }
    ea_port_irq_restore(irq);
    return is_there;
}

static bool is_same_claimant(const turn_t *a, const turn_t *b)
{
    if (a->claimant != NULL || b->claimant != NULL) return a->claimant == b->claimant;
    return a->wants[0].eai_account == b->wants[0].eai_account;
}

static bool has_passed(const turn_t *granted, const turn_t *other)
{
    for (uint32_t i = 0; i < other->n; i++) {
        uintptr_t by = other->wants[i].eai_refused_by;
        if (by == BY_SLOTS) return true;
        if (by == BY_NOBODY) continue;
        for (uint32_t k = 0; k < granted->n; k++) {
            if (ea_account_is_below(granted->wants[k].eai_account, (const ea_account_t *)by)) {
                return true;
            }
        }
    }
    return false;
}

/* Those it passed, and those of its claimant that came later, whose patience begins anew. */
static void note_grant(line_t *line, const turn_t *granted)
{
    turn_t *other = granted == &line->turns[0] ? &line->turns[1] : &line->turns[0];
    for (uint32_t i = 0; i < line->n_places; i++) {
        place_t *place = &line->places[i];
        if (EAI_LOAD(&place->eai_ticket, EAI_RELAXED) == 0) continue;
        if (!look(line, place, other, true)) continue;
        bool is_later = other->class_ == granted->class_ && is_same_claimant(granted, other) &&
                        came_before(granted, other);
        bool is_passed = has_passed(granted, other);
        ea_port_irq_t irq = ea_port_irq_mask();
        is_passed =
            is_passed && place->eai_ticket == other->ticket && place->eai_round == line->round;
        if (is_later && place->eai_ticket == other->ticket) place->eai_since = line->n_grants;
        if (is_passed) {
            line->stats.n_passed++;
            place->eai_n_passed += place->eai_n_passed < UINT16_MAX;
            is_passed = place->eai_n_passed >= line->max_passings;
        }
        ea_port_irq_restore(irq);
        if (is_passed) close_for(line, other);
    }
}

/* Returns whether it is still there. */
static bool note_refusal(const line_t *line, const turn_t *turn)
{
    want_t *wants = wants_of(line, turn->place);
    ea_port_irq_t irq = ea_port_irq_mask();
    bool is_there = turn->place->eai_ticket == turn->ticket;
    if (is_there) {
        turn->place->eai_round = line->round;
        for (uint32_t i = 0; i < turn->n; i++) {
            EAI_STORE(&wants[i].eai_refused_by, turn->wants[i].eai_refused_by, EAI_RELAXED);
        }
    }
    ea_port_irq_restore(irq);
    return is_there;
}

static void turn_away(line_t *line, turn_t *turn)
{
    bool could = eai_line_could_grant(line->monitor, turn->wants, turn->n);
    if (!could) {
        for (uint32_t i = 0; i < turn->n; i++) turn->wants[i].eai_refused_by = BY_NOBODY;
    }
    if (note_refusal(line, turn) && turn->is_exhausted) close_for(line, turn);
}

static void attempt(line_t *line, turn_t *turn)
{
    for_books(line, turn, eai_accounts_enter);
    ea_port_irq_t irq = ea_port_irq_mask();
    bool is_there = is_still_there(turn);
    ea_port_irq_restore(irq);
    if (is_there) {
        bool all = reserve_wants(line, turn), done = all && grant_turn(line, turn);
        if (!done) give_back(line, turn);
        if (done) note_grant(line, turn);
        if (!all) turn_away(line, turn);
    }
    for_books(line, turn, eai_accounts_leave);
}

/* Bound: each turn tries one that was not tried in this round, or finds that it has gone. */
static void serve_once(line_t *line)
{
    line->round += line->round == UINT32_MAX ? 2u : 1u; /* 0 is no round */
    line->n_closed = 0;
    line->is_closed_for_slots = false;
    if (EAI_LOAD(&line->monitor->eai_is_closed, EAI_SEQ_CST)) (void)eai_line_cancel(line, 0);
    for (turn_t *turn = choose(line); turn != NULL; turn = choose(line)) attempt(line, turn);
}

/* --- the operations --------------------------------------------------------------------------- */

/* Bound: those who come while a round is made. */
void eai_line_serve(line_t *line)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    bool goes_on = !line->is_serving;
    line->is_serving = line->is_called = true;
    ea_port_irq_restore(irq);
    while (goes_on) {
        irq = ea_port_irq_mask();
        line->is_called = false;
        ea_port_irq_restore(irq);
        serve_once(line);
        irq = ea_port_irq_mask();
        goes_on = line->is_called;
        line->is_serving = goes_on;
        ea_port_irq_restore(irq);
    }
}

size_t eai_line_cancel(line_t *line, uintptr_t id)
{
    size_t n = 0;
    for (uint32_t i = 0; i < line->n_places; i++) {
        const place_t *place = &line->places[i];
        if (EAI_LOAD(&((place_t *)place)->eai_ticket, EAI_RELAXED) == 0) continue;
        ea_port_irq_t irq = ea_port_irq_mask();
        bool is_meant = is_waiting(place) && (id == 0 || place->eai_id == id);
        if (is_meant) ea_waitq_cancel_locked(place->eai_waiter);
        ea_port_irq_restore(irq);
        n += is_meant;
    }
    return n;
}

void eai_line_tell(eai_line_t *watch)
{
    eai_line_serve(((eai_watch_t *)(void *)watch)->eai_monitor->eai_line);
}

/* Bound: places and their wants. */
bool eai_line_may_take(eai_line_t *watch, const void *monitor, const ea_account_t *account,
                       uintptr_t n)
{
    line_t *line = ((eai_watch_t *)(void *)watch)->eai_monitor->eai_line;
    for (uint32_t i = 0; i < line->n_places * line->n_together; i++) {
        uintptr_t by = EAI_LOAD(&line->wants[i].eai_refused_by, EAI_RELAXED);
        if (by == BY_NOBODY || (by == BY_SLOTS && monitor != line->monitor)) continue;
        if (by == BY_SLOTS || takes_from(account, n, (const ea_account_t *)by)) {
            ea_port_irq_t irq = ea_port_irq_mask();
            line->stats.n_behind++;
            ea_port_irq_restore(irq);
            return false;
        }
    }
    return true;
}

#endif
