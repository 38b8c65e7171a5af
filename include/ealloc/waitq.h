/* SPDX-License-Identifier: MIT
 *
 * The one wait queue: tasks that wait for something to be handed to them, the most urgent first
 * and, of equally urgent ones, the one that came first. Pools wait on it, and so can whatever else
 * gives things away: what is handed over is one pointer, and a waiter may be the first member of a
 * larger structure that says what its task wants.
 *
 * How an owner uses it, so that nobody sleeps beside a thing that is free:
 *
 *     give:  make the thing available; then, if somebody waits: serve.
 *     take:  enter the queue; serve; sleep.
 *     serve: if a thing is available take it and ea_waitq_hand_first(); if nobody waits any more,
 *            give it, as above. Or, with the _locked functions, all in one masked section.
 *
 * One of the two that meet sees the other: the giver looks at the queue after the thing is there,
 * the waiter looks for the thing after it is in the queue. Each adds at most one pair of a thing
 * and a waiter, and each serves once. Who finds nobody to hand a thing to has kept it from others
 * for a moment, so it gives it back as if it were new, and looks again. Where several cores run,
 * making available and looking, entering and looking must each keep their order:
 * ea_waitq_is_empty() and to enter are sequentially consistent, and the thing's own operations must
 * be as well (or all of them stand in masked sections, or there is one core).
 *
 * Functions that end in _locked are for a section opened by ea_port_irq_mask(), which also orders
 * them between cores.
 */
#ifndef EALLOC_WAITQ_H
#define EALLOC_WAITQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/config.h"
#include "ealloc/port.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The size of a waiter is part of three symbols' names, so that a library built with other levels
 * fails to link. */
#define EAI_WAITQ_PASTE(name, levels) name##_l##levels
#define EAI_WAITQ_EXPAND(name, levels) EAI_WAITQ_PASTE(name, levels)
#if !defined(DOXYGEN)
#define ea_waiter_init EAI_WAITQ_EXPAND(ea_waiter_init, EA_CFG_WAIT_LEVELS)
#define ea_waitq_enter EAI_WAITQ_EXPAND(ea_waitq_enter, EA_CFG_WAIT_LEVELS)
#define ea_waitq_enter_locked EAI_WAITQ_EXPAND(ea_waitq_enter_locked, EA_CFG_WAIT_LEVELS)
#endif

typedef struct ea_waiter ea_waiter_t;

/* Who waits, by level; private. */
typedef struct {
    uint32_t eai_levels;                        /* a bit for each that is not empty    */
    ea_waiter_t *eai_first[EA_CFG_WAIT_LEVELS]; /* of each level, the most urgent first */
} eai_waitq_table_t;

/* A queue; fields are private. All zero is an empty one, so static storage needs no init. */
typedef struct {
    eai_waitq_table_t *eai_table; /* in one of the waiters; NULL: nobody waits */
} ea_waitq_t;

/* One task's waiting, on its stack. Fields but result are private. */
struct ea_waiter {
    ea_port_waiter_t eai_port;
    void *result;          /* after EA_OK from ea_waitq_sleep(): what was handed over */
    ea_waiter_t *eai_next; /* in the circle of its level; itself if alone there */
    ea_waiter_t *eai_prev;
    ea_waitq_t *eai_queue;
    uint32_t eai_slot;      /* of its level in the table */
    ea_status_t eai_status; /* EA_ERR_AGAIN while it waits */
    eai_waitq_table_t eai_table;
};

/* --- the task that waits ---------------------------------------------------------------------- */

/* Make waiter ready for one wait. priority: 0 least urgent; EA_CFG_WAIT_LEVELS - 1 and all above
 * are one level. Usually ea_port_task_priority().
 * Owns     the queue uses waiter from ea_waitq_enter_locked() until ea_waitq_sleep() returns.
 * Context  the task that will wait, outside masked sections. Every init needs its sleep. */
void ea_waiter_init(ea_waiter_t *waiter, uint32_t priority);

/* Go to the end of waiter's level in queue; without _locked in a masked section of its own. Cost
 * O(1). */
void ea_waitq_enter_locked(ea_waitq_t *queue, ea_waiter_t *waiter);

void ea_waitq_enter(ea_waitq_t *queue, ea_waiter_t *waiter);
/* The same, to the beginning of its level: for a task that was woken, found nothing and goes on
 * waiting. */
void ea_waitq_return_locked(ea_waitq_t *queue, ea_waiter_t *waiter);

/* Sleep until something is handed to waiter, somebody cancels it or timeout_us are over
 * (EA_WAIT_FOREVER: never); then it is out of the queue. 0 does not sleep.
 * Returns  EA_OK with waiter->result, also if it was handed over in the very moment the time ended;
 *          EA_ERR_CANCELLED; EA_ERR_TIMEOUT: nothing was handed over and nothing will be.
 * Context  the task that called ea_waiter_init(), outside masked sections and interrupts. */
EA_NODISCARD ea_status_t ea_waitq_sleep(ea_waiter_t *waiter, uint64_t timeout_us);

/* --- those who give --------------------------------------------------------------------------- */

/* Whether nobody waits. Context: any. Cost: one load. */
EA_INLINE bool ea_waitq_is_empty(const ea_waitq_t *queue)
{
    return __atomic_load_n(&queue->eai_table, __ATOMIC_SEQ_CST) == NULL; /* pairs with enter */
}

/* The most urgent waiter that came first; NULL if nobody waits. Context: any. Cost O(1). */
EA_NODISCARD ea_waiter_t *ea_waitq_first_locked(const ea_waitq_t *queue);

/* Hand result to waiter, which must be in a queue: it leaves and its task runs.
 * Context  any, interrupts and signal handlers included. Cost O(1). */
void ea_waitq_hand_locked(ea_waiter_t *waiter, void *result);

/* Hand result to the first that waits, in a masked section of its own.
 * Returns  false if nobody waits: nothing was done. Context: any. Cost O(1). */
EA_NODISCARD bool ea_waitq_hand_first(ea_waitq_t *queue, void *result);
/* Let waiter, which is in a queue, go on waiting at the end of a level of this one (which may be
 * the same). Its task does not notice. Context: any. Cost: as enter. */
void ea_waitq_move_locked(ea_waitq_t *queue, ea_waiter_t *waiter, uint32_t priority);

/* End waiter's wait without a result; it must be in a queue. Context: any. Cost O(1). */
void ea_waitq_cancel_locked(ea_waiter_t *waiter);

#ifdef __cplusplus
}
#endif
#endif
