/* SPDX-License-Identifier: MIT
 *
 * Emergency shutdown of a monitor (row C5): power is failing, a watchdog will bite, an operator has
 * said stop. Nothing new is acquired, then those who must do something do it, the most important
 * first and each within its time; what waits for release is released; and what is held even then
 * is told, by type and owner.
 *
 *     static ea_shutdown_handler_t flush = {
 *         .name = "flush", .call = flush_log, .limit_us = 5000, .priority = 9};
 *     (void)ea_shutdown_init(&shutdown, &(ea_shutdown_options_t){.monitor = &monitor});
 *     (void)ea_shutdown_add(&shutdown, &flush);
 *     ...
 *     ea_shutdown_begin(&shutdown);                         any context, an interrupt too
 *     while (ea_shutdown_step(&shutdown, 8) != EA_OK) ...   a main loop
 *     (void)ea_shutdown_run(&shutdown);                     or one call that does it all
 *
 * Time limits are cooperative: a handler is told when its time ends and has to return by then. One
 * that does not is waited for, since nothing can end it, but it is counted, reported and not called
 * again. What must not depend on a handler's good will needs a watchdog.
 *
 * All memory is the caller's, no lock is held while a handler runs. Source: our own.
 */
#ifndef EALLOC_MONITOR_SHUTDOWN_H
#define EALLOC_MONITOR_SHUTDOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/monitor.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One of those who do something: the first five fields are the caller's, the rest is what became
 * of it. */
typedef struct ea_shutdown_handler {
    const char *name; /* may be NULL */
    /* Returns EA_OK: it is done; EA_ERR_AGAIN: it has done a step, call it again; EA_ERR_BUSY: it
     * waits for somebody, call it again a little later; any other: it failed. */
    ea_status_t (*call)(void *context, uint64_t deadline_us);
    void *context;
    uint64_t limit_us; /* from its first call on; not 0                                       */
    uint8_t priority;  /* the higher comes first, equal ones in the order they were added     */

    bool is_late;       /* its last call came back after the deadline                          */
    ea_status_t result; /* EA_OK; what it failed with; EA_ERR_TIMEOUT: not done in its time;
                           EA_ERR_CANCELLED: there was no time left for it; EA_ERR_AGAIN: not yet
                           done */
    uint32_t n_calls;
    uint64_t took_us; /* from its first call to the end of its last one */
    struct ea_shutdown_handler *eai_next;
} ea_shutdown_handler_t;

/* What one owner holds of one type when all is over. */
typedef struct {
    uint32_t n;            /* resources                                                        */
    uint16_t account;      /* id, in the book of the type                                      */
    uint8_t type;          /* its number among the monitor's types                             */
    size_t units;          /* of all of them                                                   */
    uint64_t oldest_us;    /* since when the oldest of them is held                            */
    const void *caller;    /* the call site of that one                                        */
    ea_resource_t example; /* that one */
} ea_shutdown_holding_t;

typedef struct {
    ea_monitor_t *monitor;
    uint64_t limit_us; /* of all handlers together, from the first step on; 0: no such limit  */
    uint64_t drain_us; /* of the release queue; 0: one second                                 */
    /* Where what is still held goes, one entry for each type and owner; may be NULL. */
    ea_shutdown_holding_t *holdings;
    size_t n_holdings;
    uint64_t (*clock_us)(void); /* NULL: ea_port_time_us() */
} ea_shutdown_options_t;

typedef struct {
    uint32_t n_done; /* handlers that finished, also late ones                               */
    uint32_t n_failed;
    uint32_t n_overruns; /* that came back after their deadline, or were not done by then       */
    uint32_t n_skipped;  /* never called: the time of all was over                              */
    size_t n_released;   /* resources, from the queue                                           */
    size_t n_trimmed;    /* idle objects that were destroyed                                    */
    size_t n_queued;     /* still in the queue when its time was over                           */
    size_t n_live;       /* resources that are still held                                       */
    size_t n_holdings;   /* entries of options.holdings                                         */
    size_t n_untold;     /* of n_live, those that found no entry                                */
    uint64_t took_us;    /* from the first step on                                              */
} ea_shutdown_report_t;

/* What EA_EVENT_SHUTDOWN is about: its level. */
typedef enum {
    EA_SHUTDOWN_BEGUN,   /* the first step                                                     */
    EA_SHUTDOWN_OVERRUN, /* where is the handler, size_bytes the microseconds it took          */
    EA_SHUTDOWN_FAILED,  /* where is the handler, n the error's number without its sign        */
    EA_SHUTDOWN_SKIPPED, /* where is the handler                                               */
    EA_SHUTDOWN_STUCK,   /* the queue was not emptied in its time: n entries are left          */
    EA_SHUTDOWN_HELD,    /* owner holds n of them, size_bytes units; where is the type         */
    EA_SHUTDOWN_OVER     /* n resources are still held                                         */
} ea_shutdown_event_t;

/* Every field is private. */
typedef struct {
    ea_shutdown_options_t eai_options;
    ea_shutdown_handler_t *eai_first;
    ea_shutdown_handler_t *eai_next; /* the one that is called or comes next; NULL: none */
    ea_shutdown_report_t eai_report;
    uint64_t eai_started_us;
    uint64_t eai_phase_us; /* when the handler's, or the queue's, time began */
    size_t eai_cursor;
    EAI_SHARED(uint32_t) eai_is_begun;
    uint8_t eai_phase;
    bool eai_waits; /* a little rest would help */
} ea_shutdown_t;

/* Make shutdown ready, without handlers.
 * Returns  EA_OK; EA_ERR_INVALID: shutdown, options or its monitor is NULL.
 * Owns     shutdown uses the monitor and the holdings as long as it is used.
 * Context  task, before shutdown is known to others. Cost O(1). */
EA_NODISCARD ea_status_t ea_shutdown_init(ea_shutdown_t *shutdown,
                                          const ea_shutdown_options_t *options);

/* From now on handler is among those that are called.
 * Returns  EA_OK; EA_ERR_INVALID: its call is NULL or its limit 0; EA_ERR_BUSY: the shutdown has
 *          begun, or handler was added before.
 * Owns     handler is the shutdown's until the end or until it is removed.
 * Context  task, one at a time. Cost O(handlers). */
EA_NODISCARD ea_status_t ea_shutdown_add(ea_shutdown_t *shutdown, ea_shutdown_handler_t *handler);

/* No longer. Returns EA_OK; EA_ERR_NOT_FOUND: it was not added; EA_ERR_BUSY: the shutdown has
 * begun.
 * Context  as ea_shutdown_add(). Cost O(handlers). */
ea_status_t ea_shutdown_remove(ea_shutdown_t *shutdown, ea_shutdown_handler_t *handler);

/* Acquire is turned away from now on (what is under way may still succeed), and the steps may
 * begin. Once more does nothing. Context: any. Cost O(1). */
void ea_shutdown_begin(ea_shutdown_t *shutdown);

/* Do a little: one call of a handler; or budget entries of the queue, idle objects or slots.
 * Returns  EA_ERR_AGAIN: there is more to do; EA_OK: it is over; EA_ERR_INVALID: it has not begun,
 *          or budget is 0.
 * Context  task, that of the handlers and destructors; one at a time, outside of both.
 * Cost     one call; or O(budget * holdings) and budget destructors. */
EA_NODISCARD ea_status_t ea_shutdown_step(ea_shutdown_t *shutdown, size_t budget);

/* Begin, and do all of it. It sleeps while a handler, or another that empties the queue, says that
 * it is busy. The clock must tick.
 * Returns  what it was like.
 * Context  as ea_shutdown_step().
 * Cost     the limits of the handlers or limit_us, drain_us, a walk over all slots; and by how much
 *          handlers and destructors overrun. */
const ea_shutdown_report_t *ea_shutdown_run(ea_shutdown_t *shutdown);

/* What is known so far; complete after EA_OK. Never NULL. Cost O(1). */
EA_INLINE EA_NODISCARD const ea_shutdown_report_t *ea_shutdown_report(const ea_shutdown_t *shutdown)
{
    return &shutdown->eai_report;
}

#ifdef __cplusplus
}
#endif
#endif
