/* SPDX-License-Identifier: MIT
 *
 * Waiting for resources of a monitor (row C6): several at once, also of several types, all of them
 * or none; in a fair order, for a time, until somebody ends it.
 *
 *     static unsigned char places[EA_MONITOR_WAIT_BYTES(16, 2, 2)];
 *     const ea_monitor_line_options_t line = {.max_waiting = 16, .max_together = 2};
 *     if (ea_monitor_wait_init(&monitor, places, sizeof places, &line) != EA_OK) ...
 *
 *     const ea_resource_request_t both[2] = {{.account = web, .object = fd, .type = SOCKET},
 *                                            {.account = web_ram, .units = 4096, .type = BUFFER}};
 *     ea_resource_t got[2];
 *     status = ea_monitor_acquire_wait(&monitor, both, 2, &(ea_wait_options_t){.timeout_us = 5000},
 *                                      got);
 *
 * All or nothing: nobody holds one thing while it waits here for another, so no two of those who
 * wait stand in each other's way for good. Who holds resources it acquired before and waits for
 * more is not protected from that: give a timeout.
 *
 * Order. First the overdue, as they came. Then by class, the higher first. Within a class who has
 * the smallest dominant share by its weight (dominant resource fairness: of what a claimant holds
 * now the greatest part of a book's capacity; Ghodsi et al., NSDI 2011); half of what it asks for
 * counts as held, 1/128 of the capacity at most, so that large requests gain nothing over small
 * ones. Of equals, as they came.
 * Who wants something that is not there keeps it from those behind it: at most max_passings of them
 * may take, while it waits, from an account that refused it; then what comes back to that account
 * is kept for it. What it is not refused, or what the accounts below hold for themselves, others
 * may have. Who does not wait takes nothing that somebody waits for (EA_ERR_BUSY).
 *
 * No starvation. A waiter of class c is overdue after patience_grants * (EA_MONITOR_CLASSES - c)
 * grants since it came, or since one of its own claimant and class that came before it was granted.
 * Of grants that take from an account which refused it at its last try it sees at most
 *
 *     (k + 1) * (patience_grants * (EA_MONITOR_CLASSES - c) + max_waiting - 1) + max_passings
 *
 * (EA_MONITOR_GRANTS_MAX) before its own, k being those of its claimant and class that came before
 * it; the proof stands on top of src/monitor/monitor_line.c. A grant needs that units come back:
 * nothing here takes them from who holds them.
 *
 * Who serves. Whatever frees something (a release, the cleanup, a hand-over, a raised limit, a
 * reservation or a wait that ended) serves the line, in its own context, one at a time: who comes
 * meanwhile leaves word, and the one that serves goes on. It reserves slots and units for the first
 * that can be granted, hands them over and wakes its task, which has the objects made and
 * registered. So a type's create is called by the task that waits; destroy may be called by who
 * serves, for the slot of an idle object.
 *
 * Context, unless said otherwise: any. Masked sections are of constant length: at most max_together
 * requests are copied in one. Where several cores run, what two monitors share is the books.
 */
#ifndef EALLOC_MONITOR_WAIT_H
#define EALLOC_MONITOR_WAIT_H

#include "ealloc/monitor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Most requests of one call. */
#define EA_MONITOR_TOGETHER_MAX 8u

/* Classes of priority: 0 the lowest. */
#define EA_MONITOR_CLASSES 4u

/* The bound above. */
#define EA_MONITOR_GRANTS_MAX(class, k, patience, waiting, passings)                               \
    (((k) + 1u) * ((patience) * (EA_MONITOR_CLASSES - (class)) + (waiting)-1u) + (passings))

/* --- all or nothing --------------------------------------------------------------------------- */

/* Acquire n resources, each as ea_monitor_acquire() would, or none; does not wait.
 * Returns  EA_OK with all n handles; else what the first that failed returned, and nothing is held:
 *          as ea_monitor_acquire(); EA_ERR_BUSY: others wait for it. EA_ERR_INVALID also: n is 0 or
 *          above EA_MONITOR_TOGETHER_MAX, requests is NULL, or a request has a reservation or a
 *          held slot (with these nobody need wait: ea_monitor_acquire()). An object that create
 *          made meanwhile is destroyed again.
 * Cost     that of n acquires. */
EA_NODISCARD ea_status_t ea_monitor_acquire_all(ea_monitor_t *monitor,
                                                const ea_resource_request_t *requests, size_t n,
                                                ea_resource_t *resources);

#if EA_CFG_MONITOR_WAIT

/* --- the line --------------------------------------------------------------------------------- */

typedef struct {
    size_t max_waiting;       /* most that wait at a time: 1 to 0x7FFF                            */
    size_t max_together;      /* most requests of one that waits: 1 to EA_MONITOR_TOGETHER_MAX    */
    uint32_t patience_grants; /* 0 means 64; at most 2^20. Should be more than the grants that
                                 others get between two of one claimant by its share            */
    uint32_t max_passings;    /* at most 0x7FFF                                                   */
} ea_monitor_line_options_t;

/* What one waits for; private. */
typedef struct {
    ea_account_t *eai_account;
    uintptr_t eai_units;
    EAI_SHARED(uintptr_t) eai_refused_by; /* at the last try: an account; or 0, or 1: no slot */
    uint32_t eai_slot;                    /* granted */
    uint8_t eai_type;
} eai_want_t;

/* Whose share counts, if it is not that of the accounts of the requests: a program, a tenant, which
 * has an account in each of several books. Constant as long as the monitor is used. */
typedef struct {
    ea_account_t *const *accounts;
    uint8_t n_accounts; /* 1 to EA_MONITOR_TOGETHER_MAX */
    uint16_t weight;    /* 0 means 1: its share is divided by it */
} ea_claimant_t;

/* One in the line; private. */
typedef struct {
    ea_waiter_t *eai_waiter; /* in its memory */
    const ea_claimant_t *eai_claimant;
    uintptr_t eai_id;
    EAI_SHARED(uint32_t) eai_ticket; /* of this wait, in order of arrival; 0: nobody's place      */
    uint32_t eai_entered;            /* grants before it came                                     */
    uint32_t eai_since;              /* grants before it came, or before its claimant's last one  */
    uint32_t eai_round;              /* in which it was tried or passed over                      */
    uint16_t eai_n_passed;
    uint16_t eai_next; /* of the places that are nobody's */
    uint8_t eai_class;
    uint8_t eai_n; /* of wants */
} eai_place_t;

typedef struct {
    eai_line_t eai_line; /* first */
    ea_monitor_t *eai_monitor;
    ea_accounts_t *eai_book;
} eai_watch_t;

/* What the one that serves knows of one in the line. */
typedef struct {
    eai_place_t *place;
    const ea_claimant_t *claimant;
    uint32_t ticket;
    uint32_t share; /* of 65535 */
    uint16_t weight;
    uint8_t class_;
    uint8_t n;
    bool is_overdue;
    bool is_exhausted; /* was passed as often as may be */
    eai_want_t wants[EA_MONITOR_TOGETHER_MAX];
} eai_turn_t;

typedef struct {
    size_t n_waiting;
    size_t most_waiting;
    size_t n_entered; /* these wrap */
    size_t n_granted;
    size_t n_timeouts;
    size_t n_cancelled;
    size_t n_full;   /* turned away because max_waiting were there                            */
    size_t n_behind; /* refused because others wait: EA_ERR_BUSY                             */
    size_t n_passed; /* grants that passed another, for each of these */
    uint32_t most_grants[EA_MONITOR_CLASSES]; /* the longest wait of each class, in grants of all */
} ea_monitor_wait_stats_t;

/* The line of a monitor; private, in the memory of ea_monitor_wait_init(). */
typedef struct eai_monitor_line {
    ea_monitor_t *monitor;
    eai_place_t *places;
    eai_want_t *wants;    /* n_together of each place */
    eai_watch_t *watches; /* of each book */
    uint32_t n_watches;
    const ea_account_t **closed; /* by this round: what comes back to them is kept */
    uint32_t n_closed;
    bool is_closed_for_slots;
    uint32_t n_places;
    uint32_t n_together;
    uint32_t patience;
    uint32_t max_passings;
    uint32_t round;
    eai_turn_t turns[2];
    /* In masked sections. */
    ea_waitq_t waiting;
    uint32_t tickets;
    uint32_t n_grants;
    uint16_t first_free;
    bool is_serving;
    bool is_called;
    ea_monitor_wait_stats_t stats;
} eai_monitor_line_t;

/* Bytes for ea_monitor_wait_init(); n_types as the monitor's. A constant expression if its
 * arguments are. */
#define EA_MONITOR_WAIT_BYTES(max_waiting, max_together, n_types)                                  \
    (2u * sizeof(uint64_t) + sizeof(eai_monitor_line_t) +                                          \
     (size_t)(n_types) * sizeof(eai_watch_t) +                                                     \
     (size_t)(max_waiting) *                                                                       \
         (sizeof(eai_place_t) + (size_t)(max_together) * (sizeof(eai_want_t) + sizeof(void *))))

/* Let tasks wait for resources of monitor, once.
 * Returns  EA_OK; EA_ERR_INVALID: something is NULL or outside its range; EA_ERR_NO_MEMORY: mem is
 *          too small (EA_MONITOR_WAIT_BYTES()); EA_ERR_BUSY: it has a line.
 * Owns     the monitor and its types' books use mem as long as they are used.
 * Context  any, before another one uses the monitor. Cost O(max_waiting). */
EA_NODISCARD ea_status_t ea_monitor_wait_init(ea_monitor_t *monitor, void *mem, size_t size_bytes,
                                              const ea_monitor_line_options_t *options);

/* --- waiting ---------------------------------------------------------------------------------- */

typedef struct {
    const ea_claimant_t *claimant; /* NULL: the accounts of the requests, with weight 1           */
    uint64_t timeout_us;           /* EA_WAIT_FOREVER: never over; 0: as ea_monitor_acquire_all() */
    uintptr_t id;                  /* for ea_monitor_cancel(); 0: none                            */
    uint8_t priority;              /* class; EA_MONITOR_CLASSES - 1 and all above are one         */
} ea_wait_options_t;

/* As ea_monitor_acquire_all(), and if that is not possible at once, or others wait, wait in line.
 * options NULL: of class 0, without end.
 * Returns  as that; EA_ERR_TIMEOUT; EA_ERR_CANCELLED: by ea_monitor_cancel(), or the monitor is
 *          closed; EA_ERR_TOO_LARGE: more than the limits could ever grant, as they are, to it
 *          beside what is guaranteed to others; EA_ERR_BUSY: max_waiting wait; EA_ERR_INVALID also:
 *          no line, or n is above max_together. The reason is counted with the type of the first
 *          request.
 * Context  task, outside masked sections and interrupts. The accounts must live until it returns.
 * Cost     where nobody waits and all is there, that of ea_monitor_acquire_all(). */
EA_NODISCARD ea_status_t ea_monitor_acquire_wait(ea_monitor_t *monitor,
                                                 const ea_resource_request_t *requests, size_t n,
                                                 const ea_wait_options_t *options,
                                                 ea_resource_t *resources);

/* The same in two parts, for who does something else meanwhile. Fields are private. */
typedef struct {
    ea_waiter_t eai_waiter;
    ea_monitor_t *eai_monitor;
    const ea_resource_request_t *eai_requests;
    eai_place_t *eai_place;
    size_t eai_n;
    const void *eai_caller;
} ea_monitor_wait_t;

/* Stand in line.
 * Returns  EA_OK: end it with ea_monitor_wait_end(), and with nothing else; else as
 *          ea_monitor_acquire_wait(): it does not stand there.
 * Owns     the line uses wait until ea_monitor_wait_end(); requests must be there so long as well.
 * Context  the task that ends it. Of options the timeout is not used. */
EA_NODISCARD ea_status_t ea_monitor_wait_begin(ea_monitor_wait_t *wait, ea_monitor_t *monitor,
                                               const ea_resource_request_t *requests, size_t n,
                                               const ea_wait_options_t *options);

/* Whether ea_monitor_wait_end() would return at once: granted, or cancelled. */
EA_NODISCARD bool ea_monitor_wait_is_over(const ea_monitor_wait_t *wait);

/* Wait for timeout_us more at most (0: not at all), then leave the line.
 * Returns  as ea_monitor_acquire_wait(). */
EA_NODISCARD ea_status_t ea_monitor_wait_end(ea_monitor_wait_t *wait, uint64_t timeout_us,
                                             ea_resource_t *resources);

/* End all waits with this id (0: all there are) without a grant: their calls return
 * EA_ERR_CANCELLED. Who is granted already is not cancelled any more.
 * Returns  how many. Cost O(max_waiting). */
size_t ea_monitor_cancel(ea_monitor_t *monitor, uintptr_t id);

/* Serve the line: for who gave something back that the monitor does not know of (units returned to
 * a book by another than a monitor). Cost: each that waits is tried once, and O(max_waiting^2). */
void ea_monitor_serve(ea_monitor_t *monitor);

/* Numbers; all zero without a line. Those of one moment. */
void ea_monitor_wait_stats(const ea_monitor_t *monitor, ea_monitor_wait_stats_t *stats);

#endif

#ifdef __cplusplus
}
#endif
#endif
