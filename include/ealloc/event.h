/* SPDX-License-Identifier: MIT
 *
 * Events (row A6): what happened, as fixed-size records, to any number of listeners. Whatever needs
 * to tell somebody something emits here and knows nobody by name; whoever wants to know listens.
 *
 *     EA_EVENTS_DEFINE_STATIC(events, 16);
 *     static ea_listener_t logger;
 *     ea_events_listen(&events, &logger, EA_EVENT_BIT(EA_EVENT_CORRUPTION), log_event, NULL);
 *     ea_events_emit(&events, &(ea_event_t){.kind = EA_EVENT_CORRUPTION, .where = block});
 *
 * An emitted event goes into a ring. The context that emits then delivers, outside of every masked
 * section and lock: event after event, each to every listener that wants its kind. One context
 * delivers at a time; what is emitted meanwhile, by others, by an interrupt or by a listener that
 * is being called, is delivered by that one. So a listener is never called twice at once, never
 * inside itself, and it may allocate, emit, listen and unlisten. One call delivers at most as many
 * events as the ring is long, so that no task delivers for the others forever; what is left then is
 * delivered by the next emit or poll.
 *
 * An interrupt puts its event into the ring and does not deliver: the next task that emits does, or
 * one that polls. When the ring is full the event is lost and counted; EA_EVENT_LOST, delivered in
 * the place of the first one lost, says how many. Every event has a number of its own, so a gap in
 * the numbers is exactly where some were lost.
 *
 * A listener hears the events emitted between its listen and its unlisten, in order. Of two
 * listeners the one that came later is called first.
 *
 * Masked sections are of constant length: the longest copies one event. Source: our own.
 */
#ifndef EALLOC_EVENT_H
#define EALLOC_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What happened. The numbers are stable across versions; 0 is none. */
typedef enum {
    EA_EVENT_OUT_OF_MEMORY = 1, /* a request failed: reason, size_bytes, owner, caller     */
    EA_EVENT_LIMIT,             /* a budget refused: owner, size_bytes                     */
    EA_EVENT_CORRUPTION,        /* metadata disagrees with itself: where                   */
    EA_EVENT_DOUBLE_FREE,
    EA_EVENT_FOREIGN_FREE, /* freed where it does not belong: where                   */
    EA_EVENT_WRONG_OWNER,  /* freed or used by another than its owner                 */
    EA_EVENT_OVERFLOW,     /* a guard was overwritten: where is the first bad byte    */
    EA_EVENT_PRESSURE,     /* the level changed: level, where is what is watched      */
    EA_EVENT_HIGH,         /* an owner went above its high limit                      */
    EA_EVENT_RECLAIM,      /* reclaimers were asked: size_bytes is what they gave     */
    EA_EVENT_RESERVE_USED,
    EA_EVENT_RESERVE_REFILLED,
    EA_EVENT_HANDLER,       /* the application's handler was called                    */
    EA_EVENT_WAIT,          /* a request began to wait                                 */
    EA_EVENT_LEAK,          /* found, or worse: caller is the site, owner, level, n blocks */
    EA_EVENT_LOST,          /* n events found no room; sequence is the first one's     */
    EA_EVENT_LEAK_CLEARED,  /* no longer: as LEAK                                      */
    EA_EVENT_COMPACT = 20,  /* compaction was tried for a request: size_bytes were moved meanwhile,
                               where is the block, if there is one now                   */
    EA_EVENT_SHUTDOWN = 21, /* a monitor is shut down: level is ea_shutdown_event_t     */
    EA_EVENT_STRAY = 22,    /* a system resource and the registry disagree: ealloc_posix.h     */
    EA_EVENT_USER = 24      /* the first number for applications                       */
} ea_event_kind_t;

/* Why a request failed. The numbers are stable across versions. */
typedef enum {
    EA_REASON_NONE,
    EA_REASON_EXHAUSTED,     /* less is free than was asked for                         */
    EA_REASON_FRAGMENTED,    /* enough is free, but not in one piece                    */
    EA_REASON_OVER_LIMIT,    /* the owner's budget, or one above it                     */
    EA_REASON_NO_CAPABILITY, /* no region has what was asked for                        */
    EA_REASON_TOO_LARGE,     /* more than could ever be granted                         */
    EA_REASON_TIMEOUT,       /* waited as long as it was to                             */
    EA_REASON_INVALID,       /* an argument is outside its contract                     */
    EA_REASON_DAMAGED,       /* a check refused                                         */
    EA_REASON_IN_LINE        /* others wait for it, or too many wait                    */
} ea_reason_t;

/* One event: 32 bytes, 48 on a 64-bit machine. What a field means depends on the kind; those
 * without a meaning are 0. */
typedef struct {
    uint64_t time_us;   /* the emitter's clock; 0: it has none                     */
    uint32_t sequence;  /* number of the event among all of its hub: the hub's own */
    uint16_t kind;      /* ea_event_kind_t, or the application's number            */
    uint16_t owner;     /* id of the account; 0: none                              */
    uint8_t reason;     /* ea_reason_t                                             */
    uint8_t level;      /* ea_pressure_level_t, or the kind's own                  */
    uint16_t n;         /* a number of things, e.g. of lost events                 */
    size_t size_bytes;  /* what was asked for, or is missing                       */
    const void *where;  /* the block, region, account it is about                  */
    const void *caller; /* the return address of the call that led to it           */
} ea_event_t;

/* Kinds as a set, for listeners. The application's kinds from 31 on share one bit. */
#define EA_EVENT_BIT(kind) (1u << ((kind) < 31 ? (kind) : 31))
#define EA_EVENTS_ALL UINT32_MAX

/* What a listener does. event is valid until it returns. It may call everything that a task may,
 * including every function below. */
typedef void (*ea_event_callback_t)(void *context, const ea_event_t *event);

/* One listener, in the caller's memory, zeroed before its first listen. Fields are private. */
typedef struct ea_listener {
    struct ea_listener *eai_next;
    struct ea_listener **eai_up; /* what points at it; NULL: it does not listen */
    ea_event_callback_t eai_callback;
    void *eai_context;
    uint32_t eai_kinds;
    uint32_t eai_since; /* the first event that is for it */
} ea_listener_t;

/* Where events go: listeners and a ring, both in the caller's memory. Fields are private. */
typedef struct {
    uint32_t eai_kinds; /* at least those that somebody wants */
    uint32_t eai_mask;  /* events of the ring - 1             */
    ea_event_t *eai_ring;
    ea_listener_t *eai_first;
    ea_listener_t *eai_next;          /* the one the current event goes to next                 */
    const ea_listener_t *eai_calling; /* the one that is being called                           */
    uint32_t eai_sequence;            /* events emitted                                         */
    uint32_t eai_n_put;               /* of them, put into the ring                             */
    uint32_t eai_n_taken;             /* of those, delivered                                    */
    uint32_t eai_n_lost;              /* not yet reported                                       */
    uint32_t eai_lost_at;             /* eai_n_put when the first of those was lost, ...        */
    uint32_t eai_first_lost;          /* ... and its number                                     */
    bool eai_is_delivering;
} ea_events_t;

typedef struct {
    uint32_t n_emitted; /* events emitted while somebody listened; wraps            */
    uint32_t n_lost;    /* of them, lost because the ring was full; wraps           */
    uint32_t n_queued;  /* in the ring now                                          */
} ea_events_stats_t;

/* A hub with a ring for n events, a power of two, ready before main(). */
#define EA_EVENTS_DEFINE(name, n) EAI_EVENTS_DEFINE(, name, n)
#define EA_EVENTS_DEFINE_STATIC(name, n) EAI_EVENTS_DEFINE(static, name, n)
#define EA_EVENTS_DECLARE(name) extern ea_events_t name
#define EAI_EVENTS_DEFINE(storage, name, n)                                                        \
    EA_STATIC_ASSERT((n) > 0 && ((n) & ((n)-1)) == 0, "a ring's length is a power of two");        \
    static ea_event_t name##_eai_ring[n];                                                          \
    storage ea_events_t name = {0, (n)-1, name##_eai_ring, NULL, NULL, NULL, 0, 0, 0, 0, 0,        \
                                0, false}

/* The constant's name without its prefix, e.g. "OUT_OF_MEMORY"; "USER" from EA_EVENT_USER on; "?"
 * for a number that is none. Never NULL, static storage. Context: any. */
const char *ea_event_kind_name(uint16_t kind);
const char *ea_reason_name(uint8_t reason);

/* Make hub ready, without listeners. ring: n_ring events, a power of two.
 * Returns  EA_OK; EA_ERR_INVALID: NULL, or n_ring is no power of two.
 * Owns     hub and ring stay the caller's and must live as long as somebody may emit.
 * Context  any, alone. */
EA_NODISCARD ea_status_t ea_events_init(ea_events_t *hub, ea_event_t *ring, size_t n_ring);

/* From now on call callback(context, event) for every event of kinds (EA_EVENT_BIT()s).
 * Returns  EA_OK; EA_ERR_INVALID: NULL (context may be); EA_ERR_BUSY: listener listens already.
 * Owns     listener is the hub's until unlisten returns EA_OK.
 * Context  any, an interrupt and a listener being called included. Cost O(1). */
EA_NODISCARD ea_status_t ea_events_listen(ea_events_t *hub, ea_listener_t *listener, uint32_t kinds,
                                          ea_event_callback_t callback, void *context);

/* Listen no more.
 * Returns  EA_OK: it is not being called and never will be again; also if it did not listen.
 *          EA_ERR_BUSY: it listens no more, but one call of it is under way or about to begin. From
 *          within the listener that is its own call, and its memory is the caller's at once. Else
 *          call again, later, until it is EA_OK. EA_ERR_INVALID: NULL.
 * Context  any. Cost O(1), never waits. */
EA_NODISCARD ea_status_t ea_events_unlisten(ea_events_t *hub, ea_listener_t *listener);

/* --- emit ------------------------------------------------------------------------------------- */

/* Whether anybody may want kind: false is certain. For emitters whose event is dear to make. hub
 * may be NULL. Context: any. Cost: one load. */
EA_INLINE bool ea_events_wanted(const ea_events_t *hub, uint16_t kind)
{
    return hub != NULL &&
           (__atomic_load_n(&hub->eai_kinds, __ATOMIC_RELAXED) & EA_EVENT_BIT(kind)) != 0;
}

/* Tell the listeners of hub about *event, now unless another context is delivering. hub may be
 * NULL. Nobody listens to the kind: nothing happens.
 * Context  task, outside of masked sections and of locks that a listener may take.
 * Cost     O(1) and the listeners; delivers at most as many events as the ring is long, or twice
 *          as many if it was full: it makes room before it gives the event up for lost, which it
 *          does only where another context, or the caller's own, is delivering. */
void ea_events_emit(ea_events_t *hub, const ea_event_t *event);

/* As ea_events_emit(), but never delivers. Context: any. Cost O(1). */
void ea_events_emit_isr(ea_events_t *hub, const ea_event_t *event);

/* Deliver what is in the ring.
 * Returns  EA_OK: nothing is left; EA_ERR_AGAIN: a ring's length was delivered and something is
 *          left; EA_ERR_BUSY: another context, or the caller's own, is delivering; EA_ERR_INVALID:
 *          NULL.
 * Context  as ea_events_emit(). */
ea_status_t ea_events_poll(ea_events_t *hub);

/* Context: any. Cost O(1). */
void ea_events_stats(const ea_events_t *hub, ea_events_stats_t *stats);

#ifdef __cplusplus
}
#endif
#endif
