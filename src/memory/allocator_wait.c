/* SPDX-License-Identifier: MIT
 *
 * Requests that wait. There are two lines: one for memory, by priority and order of arrival, and
 * one for those whose owner's budget refuses, in which nobody stands in the way of another.
 *
 *     memory:  first -> ... -> last      the first is tried; if there is nothing for it, all wait
 *     budget:  first -> ... -> last      each is tried in turn and goes to the end, or over to the
 *                                        memory line as soon as its owner could pay
 *
 * A task joins a line, then serves, then sleeps; whoever frees, makes memory or gives budget back
 * serves afterwards. One of the two that meet sees the other: the queue and the heap's lock are
 * sequentially consistent. A server copies what the first wants, tries with no section masked, and
 * acts on the outcome only if the same ticket is still first; else another server did, or it gave
 * up. A ticket is new whenever a waiter is moved.
 *
 * W1  The first in the memory line is not overtaken by others in line, but by what its own budget
 *     refuses: then it moves to the budget line. A request that finds memory at once does not
 *     queue.
 * W2  Whoever moves a waiter from one line to the other goes on serving that one: what was given in
 *     between is not missed.
 * W3  A pass over the budget line tries each that stood in it when the pass began, or another
 *     server does that began to try it later than this pass: only the first is ever tried, and it
 *     moves on under the ticket it was tried with.
 * W4  A try charges before it takes, so two servers, or a server and a request that fails, may
 *     refuse one another what each gives back. Requests that fail serve at their end; of servers
 *     that cross the last one serves again.
 *
 * An interrupt cannot serve. It wakes one that waits, with nothing in its hands: that task merges
 * what was deferred, goes back to the beginning of its level and serves.
 *
 * Masked sections are constant: a copy of a request, at most one move. Rejected: one line for both
 * (who waits for budget keeps memory from all behind it); a line at each account (a pointer in
 * each, and who is refused by two must change lines all the same).
 */
#include "memory/allocator_internal.h"

#if EA_CFG_ALLOC_WAIT
typedef struct {
    ea_waiter_t waiter; /* first: the queue knows no more */
    eai_want_t *want;
    uint32_t ticket; /* tells two waits on the same stack apart, and two turns of one */
    uint8_t level;
    bool is_short; /* of budget: in that line */
} waiting_t;

/* What a server knows of the first of a line, outside of masked sections. */
typedef struct {
    waiting_t *waiting; /* NULL: the line is empty. Not to be followed */
    uint32_t ticket;
    eai_want_t want;
} turn_t;

EA_INLINE waiting_t *first_of(const ea_waitq_t *line)
{
    return (waiting_t *)(void *)ea_waitq_first_locked(line);
}

static bool begin_turn(const ea_waitq_t *line, turn_t *turn)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    turn->waiting = first_of(line);
    if (turn->waiting) {
        turn->want = *turn->waiting->want;
        turn->ticket = turn->waiting->ticket;
    }
    ea_port_irq_restore(irq);
    return turn->waiting != NULL;
}

/* Is it still its turn? In a masked section. */
EA_INLINE bool is_still_first(const ea_waitq_t *line, const turn_t *turn)
{
    return first_of(line) == turn->waiting && turn->waiting->ticket == turn->ticket;
}

#if EAI_ALLOC_OWNERS
#define IS_SHORT(want) ((want)->limiter != NULL)

/* To the end of the budget line, or of its level in the memory line. In a masked section. */
static void move_line(alloc_t *a, waiting_t *w, bool to_budget)
{
    a->eai_n_short += (uint32_t)to_budget - (uint32_t)w->is_short;
    w->is_short = to_budget;
    w->ticket = ++a->eai_tickets;
    ea_waitq_move_locked(to_budget ? &a->eai_short : &a->eai_waiting, &w->waiter,
                         to_budget ? 0 : w->level);
}

static void serve_budget(alloc_t *a)
{
    turn_t turn;
    ea_port_irq_t irq = ea_port_irq_mask();
    uint32_t n = a->eai_n_short;
    ea_port_irq_restore(irq);
    for (; n > 0 && begin_turn(&a->eai_short, &turn); n--) { /* bound: tasks that wait */
        bool pays = eai_could_pay(&turn.want);
        irq = ea_port_irq_mask();
        if (is_still_first(&a->eai_short, &turn)) move_line(a, turn.waiting, !pays);
        ea_port_irq_restore(irq);
    }
}

/* It is short of budget after all, and those behind it need not wait for that. */
static void step_aside(alloc_t *a, const turn_t *turn)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    if (is_still_first(&a->eai_waiting, turn)) {
        turn->waiting->want->short_bytes = turn->want.short_bytes;
        move_line(a, turn->waiting, true);
    }
    ea_port_irq_restore(irq);
}
#else
#define IS_SHORT(want) ((void)(want), false)
#define serve_budget(a) ((void)(a))
#define step_aside(a, turn) ((void)(a), (void)(turn))
#endif

/* The memory line, the first first, as long as there is something for it. Returns whether somebody
 * went to the budget line. Bound: each turn serves or moves one, or finds that another task did or
 * that one gave up. */
static bool serve_memory(alloc_t *a)
{
    turn_t turn;
    bool moved = false;
    while (begin_turn(&a->eai_waiting, &turn)) {
        void *payload = eai_try(a, &turn.want);
        if (!payload) {
            if (!IS_SHORT(&turn.want)) break;
            step_aside(a, &turn);
            moved = true;
            continue;
        }
        ea_port_irq_t irq = ea_port_irq_mask();
        bool same = is_still_first(&a->eai_waiting, &turn);
        if (same) {
            *turn.waiting->want = turn.want;
            ea_waitq_hand_locked(&turn.waiting->waiter, payload);
        }
        ea_port_irq_restore(irq);
        if (!same) eai_untake(a, &turn.want, payload);
    }
    return moved;
}

void eai_serve(alloc_t *a)
{
    bool again;
    ea_port_irq_t irq = ea_port_irq_mask();
    if (a->eai_n_serving++ != 0) a->eai_is_crossed = true;
    ea_port_irq_restore(irq);
    do { /* bound: tasks that serve at the same time, and what they bring */
        do serve_budget(a);
        while (serve_memory(a));
        irq = ea_port_irq_mask();
        again = a->eai_n_serving == 1 && a->eai_is_crossed;
        if (again)
            a->eai_is_crossed = false;
        else
            a->eai_n_serving--;
        ea_port_irq_restore(irq);
    } while (again);
}

void eai_rouse_isr(alloc_t *a)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    waiting_t *w = first_of(&a->eai_waiting);
#if EAI_ALLOC_OWNERS
    if (!w) w = first_of(&a->eai_short);
#endif
    if (w) ea_waitq_hand_locked(&w->waiter, NULL);
    ea_port_irq_restore(irq);
}

/* Stand in the line that self says. */
static void join(alloc_t *a, waiting_t *self, bool was_there)
{
    ea_waiter_init(&self->waiter, self->is_short ? 0 : self->level);
    ea_port_irq_t irq = ea_port_irq_mask();
    self->ticket = ++a->eai_tickets;
#if EAI_ALLOC_OWNERS
    if (self->is_short) {
        a->eai_n_short++;
        ea_waitq_enter_locked(&a->eai_short, &self->waiter);
    } else
#endif
        if (was_there)
        ea_waitq_return_locked(&a->eai_waiting, &self->waiter);
    else
        ea_waitq_enter_locked(&a->eai_waiting, &self->waiter);
    ea_port_irq_restore(irq);
}

/* Sleep, and leave the line's count as it was before. */
static ea_status_t sleep_in_line(alloc_t *a, waiting_t *self, uint64_t timeout_us)
{
    ea_status_t status = ea_waitq_sleep(&self->waiter, timeout_us);
    (void)a;
#if EAI_ALLOC_OWNERS
    ea_port_irq_t irq = ea_port_irq_mask();
    a->eai_n_short -= self->is_short;
    ea_port_irq_restore(irq);
#endif
    return status;
}

void *eai_wait(alloc_t *a, eai_want_t *want)
{
    const uint64_t timeout_us = want->timeout_us, begin_us = ea_port_time_us();
    uint64_t left_us = timeout_us;
    /* 0 to 7: as many levels as the queue has by default. */
    waiting_t self = {.want = want, .level = want->priority >> 5, .is_short = IS_SHORT(want)};
    eai_count(a, EAI_N_WAITS);
    eai_tell(a, false, EA_EVENT_WAIT, EA_REASON_NONE, 0, want->size_bytes, NULL, want->caller);
#if EA_CFG_ALLOC_PRESSURE
    ea_pressure_stall_begin(&a->eai_pressure, begin_us);
#endif
    join(a, &self, false);
    eai_serve(a);
    ea_status_t status = sleep_in_line(a, &self, left_us);
    while (status == EA_OK && !self.waiter.result) { /* bound: interrupts that free */
        (void)eai_drain(a, SIZE_MAX);
        if (timeout_us != EA_WAIT_FOREVER) {
            uint64_t waited_us = ea_port_time_us() - begin_us;
            left_us = waited_us < timeout_us ? timeout_us - waited_us : 0;
        }
        join(a, &self, true);
        eai_serve(a);
        status = sleep_in_line(a, &self, left_us);
    }
#if EA_CFG_ALLOC_PRESSURE
    ea_pressure_stall_end(&a->eai_pressure, ea_port_time_us());
#endif
    if (status != EA_OK) return NULL;
    eai_count(a, EAI_N_WAITED);
    return self.waiter.result;
}
#endif
