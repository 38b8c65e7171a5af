/* SPDX-License-Identifier: MIT
 *
 * The wait queue. The waiters of a level form a circle in order of arrival; the first of each level
 * also hang on a list from the most urgent level down. The queue itself is one pointer: whoever has
 * many queues pays for waiting only while somebody waits.
 *
 *     eai_first --> a <-> b <-> c <-> a      level 3: a came first, c last
 *                   | down
 *                   d <-> d                  level 1
 *                   | down
 *                   NULL
 *
 * I1  Going down from eai_first the levels strictly decrease, and eai_up of each waiter on the way
 *     is the address of the pointer that led to it. In all others eai_up is NULL.
 * I2  A waiter is in a queue exactly while its status is EA_ERR_AGAIN, from enter on.
 * I3  Queue and waiters' links, status and result change in masked sections only. eai_first is also
 *     read outside of them: only whether it is NULL.
 * I4  ea_port_wake() is called once per waiter at most, in the section that takes it out of its
 *     queue. ea_waitq_sleep() passes through a masked section of its own before it returns: only
 *     when the one that woke it has left its section does the waiter's memory end.
 *
 * First and leave are O(1), enter takes a step per level above its own, at most EA_CFG_WAIT_LEVELS
 * -
 * 1. Rejected: a bitmap and a pointer per level in the queue, which makes enter independent of the
 * levels but costs each pool 36 bytes on a 32-bit machine at 8 levels; one list in order of
 * urgency, O(tasks) under the mask.
 */
#include "ealloc/waitq.h"

void ea_waiter_init(ea_waiter_t *waiter, uint32_t priority)
{
    const uint32_t most = EA_CFG_WAIT_LEVELS - 1;

    waiter->result = NULL;
    waiter->eai_level = priority < most ? priority : most;
    waiter->eai_status = EA_ERR_AGAIN;
    ea_port_waiter_init(&waiter->eai_port);
}

/* Let *at, a place on the list of levels, be waiter (or NULL). The first place is read by those who
 * give outside of masked sections. */
static void point_at(ea_waiter_t **at, ea_waiter_t *waiter)
{
    __atomic_store_n(at, waiter, __ATOMIC_SEQ_CST); /* pairs with ea_waitq_is_empty() */
    if (waiter != NULL) waiter->eai_up = at;
}

void ea_waitq_enter_locked(ea_waitq_t *queue, ea_waiter_t *waiter)
{
    ea_waiter_t **at = &queue->eai_first, *first;

    /* At most EA_CFG_WAIT_LEVELS - 1 steps (I1). */
    while ((first = *at) != NULL && first->eai_level > waiter->eai_level) at = &first->eai_down;
    if (first != NULL && first->eai_level == waiter->eai_level) {
        waiter->eai_up = NULL;
        waiter->eai_next = first;
        waiter->eai_prev = first->eai_prev;
        waiter->eai_prev->eai_next = waiter;
        first->eai_prev = waiter;
    } else {
        waiter->eai_next = waiter->eai_prev = waiter;
        waiter->eai_down = first;
        if (first != NULL) first->eai_up = &waiter->eai_down;
        point_at(at, waiter);
    }
}

ea_waiter_t *ea_waitq_first_locked(const ea_waitq_t *queue)
{
    return queue->eai_first;
}

/* Take waiter out of its queue. */
static void unlink_waiter(ea_waiter_t *waiter)
{
    if (waiter->eai_next == waiter) {
        point_at(waiter->eai_up, waiter->eai_down);
        return;
    }
    waiter->eai_prev->eai_next = waiter->eai_next;
    waiter->eai_next->eai_prev = waiter->eai_prev;
    if (waiter->eai_up != NULL) { /* the next of its level takes its place on the list */
        waiter->eai_next->eai_down = waiter->eai_down;
        if (waiter->eai_down != NULL) waiter->eai_down->eai_up = &waiter->eai_next->eai_down;
        point_at(waiter->eai_up, waiter->eai_next);
    }
}

/* The same for good, with a status other than EA_ERR_AGAIN. */
static void leave(ea_waiter_t *waiter, ea_status_t status)
{
    waiter->eai_status = status;
    unlink_waiter(waiter);
}

void ea_waitq_return_locked(ea_waitq_t *queue, ea_waiter_t *waiter)
{
    ea_waitq_enter_locked(queue, waiter);
    if (waiter->eai_up != NULL) return;    /* alone on its level */
    ea_waiter_t *first = waiter->eai_next; /* it stands last, and the circle has no other end */
    waiter->eai_down = first->eai_down;
    if (waiter->eai_down != NULL) waiter->eai_down->eai_up = &waiter->eai_down;
    ea_waiter_t **at = first->eai_up;
    first->eai_up = NULL;
    point_at(at, waiter);
}

void ea_waitq_move_locked(ea_waitq_t *queue, ea_waiter_t *waiter, uint32_t priority)
{
    const uint32_t most = EA_CFG_WAIT_LEVELS - 1;

    unlink_waiter(waiter);
    waiter->eai_level = priority < most ? priority : most;
    ea_waitq_enter_locked(queue, waiter);
}

void ea_waitq_hand_locked(ea_waiter_t *waiter, void *result)
{
    waiter->result = result;
    leave(waiter, EA_OK);
    ea_port_wake(&waiter->eai_port);
}

void ea_waitq_cancel_locked(ea_waiter_t *waiter)
{
    leave(waiter, EA_ERR_CANCELLED);
    ea_port_wake(&waiter->eai_port);
}

ea_status_t ea_waitq_sleep(ea_waiter_t *waiter, uint64_t timeout_us)
{
    /* Whether the token came does not matter: between its absence and the section below something
     * may have been handed over. */
    (void)!ea_port_wait(&waiter->eai_port, timeout_us);

    ea_port_irq_t irq = ea_port_irq_mask();
    if (waiter->eai_status == EA_ERR_AGAIN) leave(waiter, EA_ERR_TIMEOUT);
    ea_port_irq_restore(irq);
    ea_port_waiter_deinit(&waiter->eai_port);
    return waiter->eai_status;
}
