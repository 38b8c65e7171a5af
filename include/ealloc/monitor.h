/* SPDX-License-Identifier: MIT
 *
 * The resource monitor (rows C1, C2, C3, C7, C8): whatever can be counted (sockets, tasks, buffers,
 * descriptors) is registered in slots of the caller's memory, charged to an account before it
 * exists, and found again: whose it is, since when, who took it, what it belongs to. No limit is
 * passed and nothing is lost, also where contexts are interrupted or die.
 *
 *     static const ea_resource_type_t types[] = {
 *         {.name = "socket", .unit = "sockets", .book = &sockets, .destroy = close_socket}};
 *     static unsigned char memory[EA_MONITOR_BYTES(64, 1, 8, 1, 0, 0)];
 *     static ea_monitor_t monitor;
 *     const ea_monitor_options_t options = {.types = types, .n_types = 1, .n_slots = 64};
 *     if (ea_monitor_init(&monitor, memory, sizeof memory, &options) != EA_OK) ...
 *
 *     ea_resource_t socket;
 *     if (ea_monitor_acquire(&monitor, &(ea_resource_request_t){.account = web, .object = fd},
 *                            &socket) != EA_OK) ...
 *     (void)ea_monitor_release(&monitor, socket);
 *
 * A resource is one slot, and one word of the slot says what it is: free, reserved, live, queued,
 * being released, idle. Whoever moves that word has done it, exactly one of all that try; all else
 * (counters, free slots, the queue) follows and can be found anew from the slots, which is what
 * ea_monitor_audit() does while others are at work. The argument stands on top of
 * src/monitor/monitor.c.
 *
 * Generations. A handle carries its slot's generation, which counts on with each release: a handle
 * that was released is refused, until the generation wraps: after 2^32 releases of that one slot on
 * 64-bit machines, 2^20 on 32-bit ones.
 *
 * Processes. A monitor may lie in memory that several processes share, at the same address in each
 * (as after fork): it keeps nothing elsewhere. Its types, their books and functions must be there
 * too.
 *
 * Context, unless said otherwise: any; thread, interrupt, signal handler, any number at once; where
 * a type's function is called, where that may be. Where the core has compare-and-swap (or
 * load-linked/store-conditional) a call never waits for another. Elsewhere (ARMv6-M) interrupts are
 * masked for a constant number of instructions.
 *
 * Sources: our own. The array of the release queue, in which whoever finds another half-way helps
 * it, follows Tsigas and Zhang (SPAA 2001); reading everything twice to see it at one moment is the
 * double collect of Afek et al. (JACM 1993).
 */
#ifndef EALLOC_MONITOR_H
#define EALLOC_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/account.h"
#include "ealloc/compiler.h"
#include "ealloc/config.h"
#include "ealloc/event.h"
#include "ealloc/hook.h"
#include "ealloc/status.h"
#include "ealloc/waitq.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A word that several contexts change; the model checker puts its own type here. */
#ifndef EAI_SHARED
#define EAI_SHARED(type) type
#endif

/* The knob that changes the monitor's memory is part of a function's name, so that a library built
 * with another value fails to link. */
#define EAI_MONITOR_PASTE(name, lifetimes) name##_h##lifetimes
#define EAI_MONITOR_EXPAND(name, lifetimes) EAI_MONITOR_PASTE(name, lifetimes)
#if !defined(DOXYGEN)
#define ea_monitor_init EAI_MONITOR_EXPAND(ea_monitor_init, EA_CFG_MONITOR_LIFETIMES)
#endif

/* Most slots of a monitor, most types, most that a queue holds. */
#define EA_MONITOR_SLOTS_MAX 0xFFFFFEu
#define EA_MONITOR_TYPES_MAX 255u
#define EA_MONITOR_QUEUE_MAX 0x8000u

/* --- types ------------------------------------------------------------------------------------ */

/* What release does with a resource whose last holder is done. */
typedef enum {
    EA_RELEASE_NOW,        /* destroys it, in the caller                                        */
    EA_RELEASE_QUEUED,     /* puts it into the release queue; in the caller if that is full     */
    EA_RELEASE_UNCONTENDED /* in the caller if nobody else is cleaning up and nothing is queued,
                              else queued: destructors run one at a time, and nobody waits      */
} ea_release_strategy_t;

struct ea_resource_request;
struct ea_monitor;

/* A kind of resource; constant while monitors use it. */
typedef struct {
    const char *name; /* e.g. "socket"; may be NULL                                          */
    const char *unit; /* what its amounts count, e.g. "sockets"; may be NULL                  */
    /* Its limits: amounts are charged to an account of this book, by monitors only. The root's max
     * is the capacity, each account's high a threshold. Types may share a book. */
    ea_accounts_t *book;
    /* Make an object, *object; NULL: the request brings it. Called after everything was granted;
     * what it returns other than EA_OK is what acquire returns, and nothing is held. */
    ea_status_t (*create)(void *context, const struct ea_resource_request *request,
                          uintptr_t *object);
    /* End an object; NULL: nothing to do. */
    void (*destroy)(void *context, uintptr_t object);
    /* Whether a released object may be handed out again; NULL: any may. Asked where max_idle is not
     * 0. */
    bool (*recycle)(void *context, uintptr_t object);
    void *context; /* for the three                                                        */
    /* The monitor that the parents of its resources are of; NULL: that of the resource itself. */
    struct ea_monitor *parents;
    uint16_t max_idle;
    uint8_t strategy;   /* ea_release_strategy_t                                          */
    bool is_idempotent; /* to destroy an object twice does no harm: audit may do it for one
                                 whose destroyer died                                           */
} ea_resource_type_t;

/* A resource somebody holds: its slot, type and generation. All zero names none. */
typedef struct {
    uint32_t eai_slot;
    uint32_t eai_generation;
} ea_resource_t;

#ifdef __cplusplus
#define EA_RESOURCE_NONE (ea_resource_t{0, 0})
#else
#define EA_RESOURCE_NONE ((ea_resource_t){0, 0})
#endif

EA_INLINE EA_NODISCARD bool ea_resource_is_none(ea_resource_t resource)
{
    return resource.eai_generation == 0;
}

/* The number of its type. */
EA_INLINE EA_NODISCARD uint8_t ea_resource_type(ea_resource_t resource)
{
    return (uint8_t)(resource.eai_slot >> 24);
}

typedef struct ea_resource_request {
    ea_account_t *account; /* of the type's book                                              */
    uintptr_t object;      /* what the application calls it: a descriptor, a pointer          */
    size_t units;          /* 0 means 1                                                       */
    ea_resource_t parent;  /* what it belongs to, which lives at least as long; or none. Of the
                              type's monitor of parents                                       */
    const void *caller;    /* the call site; NULL: the caller of ea_monitor_acquire()         */
    uint8_t type;          /* its number among the monitor's types                            */
    /* The units come out of this reservation of the account; NULL: they are charged. */
    ea_reservation_t *reservation;
    ea_resource_t slot; /* of ea_monitor_hold_slots(), used first; none, or one that is
                           held no more: any                                                   */
} ea_resource_request_t;

/* --- the monitor ------------------------------------------------------------------------------ */

/* One slot; every field is private. 28 bytes, 48 on a 64-bit machine. */
typedef struct {
    EAI_SHARED(uintptr_t) eai_state; /* generation, references, what it is */
    EAI_SHARED(uintptr_t) eai_units;
    EAI_SHARED(uintptr_t) eai_object;
    EAI_SHARED(uintptr_t) eai_caller;
    EAI_SHARED(uint32_t) eai_whose;  /* account 16 bits, type 8, the time's upper 8 */
    EAI_SHARED(uint32_t) eai_since;  /* in units of 1024 us */
    EAI_SHARED(uint32_t) eai_parent; /* seal 8 bits, the parent's slot + 1 24 bits */
} eai_slot_t;

typedef struct {
    EAI_SHARED(uintptr_t) n;
} eai_count_t;

/* What happened to the resources of one type in one stripe. Those released are the sum of the
 * lifetimes. */
typedef struct {
    eai_count_t acquired;
    eai_count_t lived[EA_CFG_MONITOR_LIFETIMES];
    eai_count_t failures[EA_REASON_IN_LINE + 1];
} eai_tally_t;

/* Slots that accounts with the same number modulo the stripes look at first. */
#if UINTPTR_MAX > 0xFFFFFFFFu
#define EAI_MONITOR_LINE 64u
#else
#define EAI_MONITOR_LINE 8u
#endif
typedef struct {
    EAI_SHARED(uint32_t) eai_hint; /* a slot that may be free                      */
    EAI_SHARED(uint32_t) eai_word; /* of the bits: where one that may be was last */
    uint32_t eai_first;            /* of its words                                */
    uint32_t eai_n;
#if UINTPTR_MAX > 0xFFFFFFFFu
    unsigned char eai_apart[EAI_MONITOR_LINE - 16u];
#endif
} eai_stripe_t;

typedef struct {
    eai_count_t recycled;
    EAI_SHARED(uintptr_t) idle_version; /* counts objects that became idle */
    EAI_SHARED(uintptr_t) * idle;       /* slots + 1 that may be idle      */
    uint32_t n_idle;
    uint32_t first_sum; /* of its book's accounts */
} eai_kind_t;

/* Told of every resource by the context it happened in, as ea_alloc_hook_t is of blocks: ALLOCATED
 * before anybody else can know of it, FREED before its slot can be another's (of a queued one: when
 * it is cleaned up), TRANSFERRED. What is told of one slot is in order. Must not use the monitor.
 * slot     which resource: ea_monitor_at(). */
typedef void (*ea_resource_hook_function_t)(void *context, ea_block_event_t what, uint8_t type,
                                            uint16_t owner, const void *site, const void *slot,
                                            size_t units);

/* One that is told; the caller's object, in use from add to remove. */
typedef struct ea_resource_hook {
    ea_resource_hook_function_t function;
    void *context;
    struct ea_resource_hook *eai_next;
} ea_resource_hook_t;

/* A sum of an audit: an account's units, or a type's slots. */
typedef struct {
    uintptr_t sure;
    uintptr_t open; /* slots on their way; of an account: the credit of those below */
    uintptr_t last; /* by how much it was wrong the round before                    */
} eai_sum_t;

typedef struct {
    const ea_resource_type_t *types; /* used as long as the monitor is                        */
    size_t n_types;
    size_t n_slots;      /* most resources at a time, idle and queued ones included             */
    size_t n_stripes;    /* a power of two; 0 means 1. As many as threads acquire at once       */
    size_t n_queue;      /* room of the release queue, a power of two; 0: no queue              */
    size_t batch;        /* so many queued releases call for the cleanup; 0 means 1             */
    uint64_t delay_us;   /* and so long one may wait for it                                     */
    ea_events_t *events; /* where findings and refusals are reported; may be NULL             */
} ea_monitor_options_t;

/* Findings of an audit, by kind. */
typedef enum {
    EA_AUDIT_STATE,     /* a slot's word is none: the slot is made free                        */
    EA_AUDIT_SEAL,      /* a resource's record is damaged: forgotten, its object is not touched */
    EA_AUDIT_OWNER,     /* its type or account is none: forgotten                              */
    EA_AUDIT_MISSING,   /* a free slot that acquire would not find: found again                */
    EA_AUDIT_RESERVED,  /* left by a context that died while it acquired: made free            */
    EA_AUDIT_RELEASING, /* ... while it released: destroyed again, where that does no harm, or
                           forgotten                                                          */
    EA_AUDIT_QUEUED,    /* waits for release but is not in the queue: put into it              */
    EA_AUDIT_IDLE,      /* idle, but acquire would not find it: found again                    */
    EA_AUDIT_QUEUE,     /* the queue itself is damaged: built anew                             */
    EA_AUDIT_COUNTER,   /* a type's counters disagree with the slots: set right                */
    EA_AUDIT_ACCOUNT,   /* an account's usage does: charged or returned                        */
    EA_AUDIT_N_KINDS
} ea_audit_kind_t;

/* Flags of an audit. */
#define EA_AUDIT_REPAIR 1u /* else it only reports                                             */
/* No other context is inside a call on the monitor, or will ever come back to one: what is on its
 * way is left over. */
#define EA_AUDIT_ALONE 2u

typedef struct {
    uint32_t n_found; /* since this audit began                                            */
    uint32_t n_repaired;
    uint32_t by_kind[EA_AUDIT_N_KINDS]; /* of n_found                                         */
    uint32_t n_in_flight; /* resources that were on their way: counters may differ from the slots by
                             so many, and no more                                             */
    uint32_t n_passes;    /* over the slots                                                   */
    bool is_exact;        /* all sums were compared: the slots stood still long enough, and no
                             other monitor charges the books                                   */
} ea_audit_report_t;

/* An audit under way. */
typedef struct {
    ea_audit_report_t report;
    uint32_t cursor;
    uintptr_t hash, first_hash;
    uint32_t flags;
    uint8_t phase;
    uint8_t n_rounds; /* of two passes each */
    bool is_confirming;
    bool is_unclear; /* units were on their way while the sums were read */
    EAI_SHARED(uint32_t) is_busy;
} eai_audit_t;

/* Every field is private. Must not be moved or copied. */
typedef struct ea_monitor {
    eai_slot_t *eai_slots;
    const ea_resource_type_t *eai_types;
    unsigned char *eai_tallies; /* of each stripe, each type's: eai_tally_t */
    eai_stripe_t *eai_stripes;
    eai_kind_t *eai_kinds;
    EAI_SHARED(uint32_t) * eai_bits; /* of slots that may be free */
    EAI_SHARED(uintptr_t) * eai_cells;
    eai_sum_t *eai_sums;      /* of each account */
    eai_sum_t *eai_type_sums; /* of each type    */
    ea_events_t *eai_events;
    ea_resource_hook_t *eai_hooks;
    uint32_t eai_n_slots;
    uint32_t eai_n_types;
    uint32_t eai_stripe_mask;
    uint32_t eai_n_cells;
    uint32_t eai_batch;
    uint32_t eai_n_sums;
    uint32_t eai_stride; /* bytes of a stripe's tallies */
    uint8_t eai_cell_shift;
    uint64_t eai_delay_us;
    uint64_t eai_waits_since_us; /* poll first met something in the queue then, + 1; 0: nothing */
    EAI_SHARED(uintptr_t) eai_tail; /* of the queue: producers' */
#if UINTPTR_MAX > 0xFFFFFFFFu
    unsigned char eai_apart[EAI_MONITOR_LINE];
#endif
    EAI_SHARED(uintptr_t) eai_head;   /* of the queue: the cleanup's */
    EAI_SHARED(uint32_t) eai_cleaner; /* incarnation of who cleans up now; 0: nobody */
    EAI_SHARED(uint32_t) eai_incarnation;
    EAI_SHARED(uint32_t) eai_is_closed;
    EAI_SHARED(uintptr_t)
    eai_n_begun;                       /* changes during which units are no slot's, or a seal is
                                          wrong */
    EAI_SHARED(uintptr_t) eai_n_ended; /* of them */
    EAI_SHARED(uintptr_t) eai_most_queued;
    uint64_t eai_peaks_since_us;
    eai_count_t eai_n_full;
    eai_count_t eai_n_queued;
    eai_count_t eai_n_refused;
    ea_waitq_t eai_cleanup_waits;
    uint32_t eai_expire_at;            /* slot that ea_monitor_expire_slots() looks at next */
    struct eai_monitor_line *eai_line; /* of those who wait (monitor_wait.h); NULL: none */
    eai_audit_t eai_audit;
} ea_monitor_t;

/* Bytes for ea_monitor_init(): n_accounts is the nodes of all books together, n_idle the sum of the
 * types' max_idle, the others as in the options. A constant expression if its arguments are. */
#define EA_MONITOR_BYTES(n_slots, n_types, n_accounts, n_stripes, n_queue, n_idle)                 \
    (EAI_MONITOR_LINE + 64u + sizeof(eai_slot_t) * (size_t)(n_slots) +                             \
     4u * EAI_MONITOR_WORDS(n_slots, n_stripes) +                                                  \
     ((n_stripes) == 0 ? 1u : (size_t)(n_stripes)) *                                               \
         (sizeof(eai_stripe_t) + EAI_MONITOR_TALLIES(n_types)) +                                   \
     (size_t)(n_types) * (sizeof(eai_kind_t) + sizeof(eai_sum_t)) +                                \
     (size_t)(n_accounts) * sizeof(eai_sum_t) +                                                    \
     ((size_t)(n_queue) + (size_t)(n_idle)) * sizeof(EAI_SHARED(uintptr_t)))
/* A stripe's slots are whole words of bits. */
#define EAI_MONITOR_WORDS(n_slots, n_stripes)                                                      \
    (((size_t)(n_slots) + 31u) / 32u + ((n_stripes) == 0 ? 1u : (size_t)(n_stripes)))
#define EAI_MONITOR_TALLIES(n_types)                                                               \
    ((sizeof(eai_tally_t) * (size_t)(n_types) + EAI_MONITOR_LINE - 1u) / EAI_MONITOR_LINE *        \
     EAI_MONITOR_LINE)

/* Make a monitor in mem.
 * Returns  EA_OK; EA_ERR_INVALID: something is NULL or outside its range, a type has no book;
 *          EA_ERR_NO_MEMORY: mem is too small (EA_MONITOR_BYTES()).
 * Owns     the monitor uses mem and the types as long as it is used.
 * Context  any, before the monitor is known to another one. Cost O(slots). */
EA_NODISCARD ea_status_t ea_monitor_init(ea_monitor_t *monitor, void *mem, size_t size_bytes,
                                         const ea_monitor_options_t *options);

/* --- resources -------------------------------------------------------------------------------- */

/* Charge request->account and register the resource; *resource is its handle. An idle object of
 * the type is handed out first; if there is none the type's create makes one, else it is
 * request->object. Between check and grant there is no gap: what was charged is this caller's.
 * Returns  EA_OK. Nothing is held after any other: EA_ERR_LIMIT: the account, or one above it,
 *          refused; EA_ERR_NO_MEMORY: no slot is free; EA_ERR_NOT_FOUND: the parent is not live, or
 *          has all the references there can be; EA_ERR_CANCELLED: the monitor is closed;
 *          EA_ERR_BUSY: others wait for it (monitor_wait.h); EA_ERR_INVALID: no such type, or
 *          account is NULL, of another book or not the reservation's; what ea_reservation_use()
 *          returned; or what create returned. Reservation and held slot are then as before.
 * Owns     the caller, until ea_monitor_release().
 * Cost     O(1), and a charge: where the hint or the word it lies in has no free slot, a look at
 *          one word for 32 slots. */
EA_NODISCARD ea_status_t ea_monitor_acquire(ea_monitor_t *monitor,
                                            const ea_resource_request_t *request,
                                            ea_resource_t *resource);

/* Give one reference up; with the last one the resource is released as its type says, and then its
 * parent, if that is waiting for it.
 * Returns  EA_OK; EA_ERR_DOUBLE_FREE: it is not live, so was released before; EA_ERR_INVALID: it is
 *          none of this monitor's; EA_ERR_CORRUPT: its record is damaged, for ea_monitor_audit().
 *          Nothing changed then, and of several that release the last reference exactly one
 *          succeeds.
 * Cost     O(1), a return and destroy; or O(1) and a place in the queue.
 * Checks   level >= 1: the seal of the record. Level >= 3: that the type's counters can be. */
ea_status_t ea_monitor_release(ea_monitor_t *monitor, ea_resource_t resource);

/* One more holder, who releases it like the first. It is never raised from nothing.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: it is not live; EA_ERR_LIMIT: there are 2^27 - 1 references
 *          (127 on 32-bit machines). Cost O(1). */
EA_NODISCARD ea_status_t ea_monitor_share(ea_monitor_t *monitor, ea_resource_t resource);

/* The object of a live resource of this type.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: not live, or of another type. Cost O(1). */
EA_NODISCARD ea_status_t ea_monitor_object(const ea_monitor_t *monitor, ea_resource_t resource,
                                           uint8_t type, uintptr_t *object);

/* Hand a live resource over: it is charged to `to`, then returned to the account it had.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: not live; EA_ERR_BUSY: it is being changed by another;
 *          EA_ERR_LIMIT: `to` may not; EA_ERR_INVALID: `to` is of another book.
 * Cost     a charge and a return. */
EA_NODISCARD ea_status_t ea_monitor_transfer(ea_monitor_t *monitor, ea_resource_t resource,
                                             ea_account_t *to);

/* Turn acquire away from now on (or no more), and those who wait. What is live stays. Cost O(1). */
void ea_monitor_close(ea_monitor_t *monitor, bool is_closed);

/* Destroy idle objects, of all types, max_n at most. Returns how many. Cost O(types * max_idle). */
size_t ea_monitor_trim(ea_monitor_t *monitor, size_t max_n);

/* --- reservations ----------------------------------------------------------------------------- */

/* A request with a reservation (ea_account_reserve()) cannot be refused for units as long as that
 * lasts. So that it is not for want of a slot either, slots are held beside it: n of them, whose
 * handles are written to slots, for requests that name one each. They count as nobody's.
 * Returns  EA_OK; EA_ERR_NO_MEMORY: so many are not free; then none is held.
 * Owns     the caller, until a request uses them, ea_monitor_drop_slot(), or after expires_us
 *          (rounded up to 1024 us) ea_monitor_expire_slots() when it comes by.
 * Cost     O(n), each as in ea_monitor_acquire(). */
EA_NODISCARD ea_status_t ea_monitor_hold_slots(ea_monitor_t *monitor, size_t n, uint64_t expires_us,
                                               ea_resource_t *slots);

/* Give a held slot up. Returns EA_OK; EA_ERR_NOT_FOUND: it is held no more. Cost O(1). */
ea_status_t ea_monitor_drop_slot(ea_monitor_t *monitor, ea_resource_t slot);

/* Give up held slots whose time is over, looking at max_steps slots at most; the next call goes on
 * behind them. What is reserved of units ends by ea_accounts_expire(). Returns how many it gave up.
 * Context  one at a time. Cost O(max_steps). */
size_t ea_monitor_expire_slots(ea_monitor_t *monitor, uint64_t now_us, size_t max_steps);

/* --- the release queue ------------------------------------------------------------------------ */

/* Release what is queued, in order, max_n at most.
 * Returns  how many; 0 also if another context is at it.
 * Context  that of the destructors. Cost O(max_n). */
size_t ea_monitor_cleanup(ea_monitor_t *monitor, size_t max_n);

/* The same if a batch is waiting or the delay is over, as far as can be seen: what was first met in
 * the queue delay_us ago. For a loop without a task of its own. */
size_t ea_monitor_poll(ea_monitor_t *monitor, uint64_t now_us, size_t max_n);

/* The same for a task of its own: wait for a batch, or delay_us at most, then clean up.
 * Context  task. */
size_t ea_monitor_cleanup_wait(ea_monitor_t *monitor, size_t max_n);

/* The task that cleaned up is dead (its process was killed): another one may, and what it had
 * begun is left over, for the next audit. Context: any; the dead one must be dead. Cost O(1). */
void ea_monitor_cleanup_died(ea_monitor_t *monitor);

/* --- looking ---------------------------------------------------------------------------------- */

typedef struct {
    const ea_monitor_t *monitor; /* of resource */
    const ea_monitor_t *parents; /* of parent   */
    ea_resource_t resource;
    ea_resource_t parent; /* none: it has none */
    uintptr_t object;
    size_t units;
    const void *caller;
    uint64_t since_us; /* by the coarse clock, rounded down to 1024 us */
    uint32_t n_references;
    uint16_t account; /* id */
    uint8_t type;
} ea_resource_info_t;

/* What is known of a live resource. Returns EA_OK; EA_ERR_NOT_FOUND. Cost O(1). */
EA_NODISCARD ea_status_t ea_monitor_info(const ea_monitor_t *monitor, ea_resource_t resource,
                                         ea_resource_info_t *info);

/* Returning false ends the walk. */
typedef bool (*ea_resource_visit_t)(void *context, const ea_resource_info_t *info);

/* Visit live resources, looking at max_steps slots from *cursor (0 at first) on. What lives
 * throughout is visited once.
 * Returns  EA_ERR_AGAIN: there are more; EA_OK: that was all, or visit ended it. Cost O(max_steps).
 */
EA_NODISCARD ea_status_t ea_monitor_walk(const ea_monitor_t *monitor, size_t *cursor,
                                         size_t max_steps, ea_resource_visit_t visit,
                                         void *context);

/* The live resource of a slot that a hook was told of. Returns EA_OK; EA_ERR_NOT_FOUND: none lives
 * there, or it is none of this monitor's. Cost O(1). */
EA_NODISCARD ea_status_t ea_monitor_at(const ea_monitor_t *monitor, const void *slot,
                                       ea_resource_t *resource);

/* Tell one more; no longer.
 * Returns  EA_OK; EA_ERR_BUSY: it is told already; EA_ERR_NOT_FOUND: it is not; EA_ERR_INVALID:
 *          NULL, or EA_CFG_MONITOR_HOOK is 0.
 * Context  any, while no other one is inside a call on the monitor. */
EA_NODISCARD ea_status_t ea_monitor_add_hook(ea_monitor_t *monitor, ea_resource_hook_t *hook);
ea_status_t ea_monitor_remove_hook(ea_monitor_t *monitor, ea_resource_hook_t *hook);

/* Visit a live resource, its parent, the parent's, and so on, max_links at most, from monitor to
 * monitor. Each is alive while it is read; all are if the caller holds the first.
 * Returns  EA_OK: that was the whole chain, or visit ended it; EA_ERR_AGAIN: it goes on;
 *          EA_ERR_NOT_FOUND: the first, or one that was to follow, is no longer live.
 * Cost     O(max_links). */
EA_NODISCARD ea_status_t ea_monitor_ancestry(const ea_monitor_t *monitor, ea_resource_t resource,
                                             size_t max_links, ea_resource_visit_t visit,
                                             void *context);

/* Visit the live resources of monitor whose parent is `parent`, of the monitor `parents`, as
 * ea_monitor_walk() does. */
EA_NODISCARD ea_status_t ea_monitor_children(const ea_monitor_t *monitor,
                                             const ea_monitor_t *parents, ea_resource_t parent,
                                             size_t *cursor, size_t max_steps,
                                             ea_resource_visit_t visit, void *context);

/* Compare everything with the slots, budget of them at a time, while others are at work.
 * Returns  EA_ERR_AGAIN: call again to go on, with the same flags; EA_OK: it is complete, and
 *          *report says what was found and repaired; EA_ERR_BUSY: another context audits;
 *          EA_ERR_INVALID: the budget is 0.
 * Cost     O(budget) a call, and once O(types * stripes + accounts * depth). At most 8 passes.
 * Findings are also reported as EA_EVENT_CORRUPTION: level is the kind, where the slot or account,
 * size_bytes the object or the difference, owner the account. */
EA_NODISCARD ea_status_t ea_monitor_audit(ea_monitor_t *monitor, uint32_t flags, size_t budget,
                                          ea_audit_report_t *report);

/* --- numbers ---------------------------------------------------------------------------------- */

typedef struct {
    size_t n_acquired; /* since the monitor was made; wraps                                    */
    size_t n_released; /* destroyed or idle again                                              */
    size_t n_live;     /* the difference: live, queued, on their way                           */
    size_t n_recycled; /* of n_acquired, handed out again                                      */
    size_t n_idle;
    size_t n_failures[EA_REASON_IN_LINE + 1];   /* of acquire, by ea_reason_t; NONE: others       */
    size_t lifetimes[EA_CFG_MONITOR_LIFETIMES]; /* released: [0] below 1024 us, [i] below 1024 us *
                                                   2^i, the last one all others                */
    size_t used;     /* units                                                                */
    size_t peak;     /* most units at a time                                                 */
    size_t capacity; /* EA_ACCOUNT_UNLIMITED: none                                           */
    uint32_t utilisation_permille;
} ea_resource_stats_t;

typedef struct {
    size_t n_slots;
    size_t n_queued;    /* in the queue now                                               */
    size_t most_queued; /* most at a time                                                 */
    size_t n_queued_total;
    size_t n_queue_full;     /* released at once because the queue was full                       */
    size_t n_refused;        /* releases that a check refused                                     */
    uint64_t peaks_since_us; /* ea_monitor_init() or ea_monitor_reset_peaks()                 */
} ea_monitor_stats_t;

/* Numbers of one type. Returns EA_OK; EA_ERR_INVALID: no such type. Cost O(stripes).
 * Where others are at work each number is right at some moment, not all at the same: n_released is
 * read before n_acquired, so n_live may be more than were at one moment, never less than 0. */
ea_status_t ea_monitor_type_stats(const ea_monitor_t *monitor, uint8_t type,
                                  ea_resource_stats_t *stats);

/* The same of one owner. They are counted where the stripes are more than the accounts of the book
 * (its nodes), so that each account has one of its own; idle objects and those handed out again are
 * nobody's. What is handed over is acquired by one account and released by another.
 * Returns  EA_OK; EA_ERR_INVALID: no such type, or the account is not of its book; EA_ERR_LIMIT:
 *          there are fewer stripes: only used, peak and capacity are filled in.
 * Cost     O(nodes). */
ea_status_t ea_monitor_owner_stats(const ea_monitor_t *monitor, uint8_t type,
                                   const ea_account_t *account, ea_resource_stats_t *stats);

void ea_monitor_stats(const ea_monitor_t *monitor, ea_monitor_stats_t *stats);

/* In which class the lifetime lies that permille of 1000 released did not outlive (500: the median;
 * 990: all but one in a hundred): from *least_us on, below *below_us (UINT64_MAX: the last class).
 * Returns  EA_OK; EA_ERR_NOT_FOUND: none was released; EA_ERR_INVALID: permille is above 1000. */
EA_NODISCARD ea_status_t ea_resource_lifetime(const ea_resource_stats_t *stats, uint32_t permille,
                                              uint64_t *least_us, uint64_t *below_us);

/* Begin anew: the queue's peak and those of the types' accounts become what is now.
 * Context  one at a time. Cost O(nodes). */
void ea_monitor_reset_peaks(ea_monitor_t *monitor, uint64_t now_us);

#ifdef __cplusplus
}
#endif
#endif
