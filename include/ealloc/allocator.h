/* SPDX-License-Identifier: MIT
 *
 * The allocator: what an application calls (rows A2, A3, A6 to A10, A12, C4, C9). It joins regions
 * of memory, each a heap of its own with attributes, and a pool set for small requests; it knows
 * whose each block is and keeps every owner to its budget; it guards blocks; and when memory ends
 * it goes through an ordered chain before it refuses, with a reason.
 *
 *     static ea_allocator_t memory;
 *     ea_allocator_init(&memory, NULL);
 *     ea_allocator_add_region(&memory, ram, sizeof ram, NULL);
 *     char *line = ea_malloc(&memory, 80);
 *     ...
 *     ea_free(&memory, line);
 *
 * A request asks, in this order, whatever of it is there and allowed:
 *
 *     1  the pool set, if the request fits a class and asks for nothing special
 *     2  regions whose policy is the one asked for
 *     3  the other regions that have every capability asked for: those with the fewest scarce
 *        capabilities that were not asked for first, among equals the higher priority, then the
 *        one added first. Regions for critical requests are open to those only.
 *     4  what was freed in interrupts and waits to be merged, and the quarantine
 *     5  reclaimers, cheapest first, each once; those of owners who use no more than their low mark
 *        only after all others (one whose owner comes under that mark meanwhile may be asked again)
 *     6  one step of compaction, if there is a hook for it; then regions of movable blocks, where
 *        blocks are moved out of the way, from here on
 *     7  a critical request: the reserve
 *     8  waiting, as long as the request says
 *     9  the application's handler, at most EA_ALLOCATOR_HANDLER_CALLS times
 *     10 refusal: NULL, with the reason in ea_allocator_last_failure() and in an event
 *
 * After each of 4, 5, 6, 8 and 9 that brought something, 1 to 3 are tried again. Requests of an
 * interrupt take 1 to 3 and 7 only.
 *
 * Context. With EA_CFG_ALLOC_LOCKING any number of tasks may call everything here, and an interrupt
 * may call ea_malloc(), ea_malloc_ex(), ea_free() and the functions that only read; a region that
 * is locked by the interrupted task is passed over, and so are pools whose blocks have tags if the
 * allocator is. Without it (0) one context at a time may use an
 * allocator; an interrupt then frees with ea_free_isr(). No lock is held for longer than one
 * constant-time operation of a heap, and none while a callback runs or contents are copied; but
 * that of a region of movable blocks is, while a request of a task looks for a place there or moves
 * blocks: give it a lock of its own (EA_CFG_ALLOC_LOCKING 2 or 3).
 */
#ifndef EALLOC_ALLOCATOR_H
#define EALLOC_ALLOCATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/account.h"
#include "ealloc/compiler.h"
#include "ealloc/config.h"
#include "ealloc/event.h"
#include "ealloc/guard.h"
#include "ealloc/heap.h"
#include "ealloc/hook.h"
#if EA_CFG_ALLOC_MOVABLE
#include "ealloc/movable.h"
#endif
#include "ealloc/poolset.h"
#include "ealloc/port.h"
#include "ealloc/pressure.h"
#include "ealloc/status.h"
#include "ealloc/waitq.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Owners are written in tags. */
#define EAI_ALLOC_OWNERS (EA_CFG_ALLOC_OWNERS && EA_CFG_TAGS)

/* What an application built with other knobs than the library does not link with. */
#define EAI_ALLOC_PASTE(n, r, l, o, p, i, c, w, s, h, e, u, v, m, t, g, q, k)                      \
    n##_r##r##l##l##o##o##p##p##i##i##c##c##w##w##s##s##h##e##e##u##u##v##m##t##t##g##g##q##q##k##k
#define EAI_ALLOC_EXPAND(n, r, l, o, p, i, c, w, s, h, e, u, v, m, t, g, q, k)                     \
    EAI_ALLOC_PASTE(n, r, l, o, p, i, c, w, s, h, e, u, v, m, t, g, q, k)
#ifndef DOXYGEN
#define ea_allocator_init                                                                          \
    EAI_ALLOC_EXPAND(ea_allocator_init, EA_CFG_ALLOC_REGIONS, EA_CFG_ALLOC_LOCKING,                \
                     EA_CFG_ALLOC_OWNERS, EA_CFG_ALLOC_POOLS, EA_CFG_ALLOC_ISR,                    \
                     EA_CFG_ALLOC_RECLAIM, EA_CFG_ALLOC_WAIT, EA_CFG_ALLOC_RESERVE,                \
                     EA_CFG_ALLOC_HANDLER, EA_CFG_ALLOC_REPORT, EA_CFG_ALLOC_PRESSURE,             \
                     EA_CFG_ALLOC_HOOK, EA_CFG_ALLOC_MOVABLE, EA_CFG_TAGS, EA_CFG_GUARD,           \
                     EA_CFG_GUARD_SAMPLED, EA_CFG_CHECK_LEVEL)
#endif

/* Is there nothing between a request and its region: no lock, owner, tag, guard, pool or count? */
#define EAI_PLAIN                                                                                  \
    (!EA_CFG_ALLOC_LOCKING && !EAI_ALLOC_OWNERS && !EA_CFG_TAGS && EA_CFG_GUARD == 0 &&            \
     !EA_CFG_ALLOC_POOLS && !EA_CFG_ALLOC_ISR && !EA_CFG_ALLOC_WAIT && !EA_CFG_ALLOC_RESERVE &&    \
     !EA_CFG_ALLOC_PRESSURE && !EA_CFG_ALLOC_MOVABLE)

/* --- what a region is, and what a request wants ----------------------------------------------- */

/* Capabilities. A request names those it needs; 0 is ordinary memory. Those marked scarce are spent
 * last on requests that did not ask for them. Bits 16 to 31 are the application's, and scarce. */
#define EA_CAP_DMA 1u       /* a device can reach it; scarce                          */
#define EA_CAP_EXEC 2u      /* code can run from it; scarce                           */
#define EA_CAP_FAST 4u      /* tightly coupled or on chip; scarce                     */
#define EA_CAP_RETAINED 8u  /* keeps its contents through sleep or reset; scarce      */
#define EA_CAP_EXTERNAL 16u /* outside the chip: large and slow; not scarce          */
#define EA_CAP_USER(n) (1u << (16 + (n)))
#define EA_CAPS_SCARCE (0xFFFF0000u | EA_CAP_DMA | EA_CAP_EXEC | EA_CAP_FAST | EA_CAP_RETAINED)

/* Of a region: which requests it is for. Of a request: which regions it likes best. */
typedef enum {
    EA_POLICY_DEFAULT = 0,
    EA_POLICY_CRITICAL = 1,          /* region: only critical requests. Request: it is critical */
    EA_POLICY_FAST = 2,              /* region: spent last on others. Request: these first      */
    EA_POLICY_LOW_FRAGMENTATION = 3, /* likewise; request: then the region whose largest free
                                        block is the smallest that will do                      */
} ea_policy_t;

/* A request of this priority or more is critical: it may use critical regions and the reserve. */
#define EA_PRIORITY_CRITICAL 192u

/* NULL, or all zero, means ordinary memory. */
typedef struct {
    uint32_t capabilities; /* EA_CAP_* */
    uint8_t priority;      /* among equals the higher is asked first */
    ea_policy_t policy;
    size_t reserve_bytes; /* kept free for requests that name one of the capabilities; needs
                             EA_CFG_HEAP_STATS */
    size_t line_bytes;    /* a power of two: no two blocks share a line of so many bytes, as a
                             cache or a device demands; 0: do not care. Costs up to two lines a
                             block. */
    size_t span_bytes;    /* as in ea_heap_options_t: how far the region may grow; 0: not at all */
    ea_heap_fit_t fit;
    void *lock; /* EA_CFG_ALLOC_LOCKING 3: the application's lock object of this region, which lives
                   as long as the allocator; NULL: the allocator's own */
#if EA_CFG_ALLOC_MOVABLE
    uint32_t
        n_handles; /* not 0: a region of movable blocks, so many at most, see ea_malloc_movable().
                           Not with line_bytes, reserve_bytes, span_bytes */
    size_t move_bytes; /* what one request may have moved there: see ea_movable_alloc() */
#endif
} ea_region_options_t;

/* How long a block will live, if the caller knows: long-lived ones do not come from pools, and from
 * regions whose policy is low fragmentation first. */
typedef enum { EA_LIFETIME_ANY = 0, EA_LIFETIME_LONG = 1 } ea_lifetime_t;

/* NULL, or all zero, means as ea_malloc(). */
typedef struct {
    size_t alignment_bytes; /* a power of two; 0: any */
    uint64_t timeout_us;    /* wait so long for memory or budget; EA_WAIT_FOREVER has no end. Budget
                               that comes back by other ways than a free or a transfer here, such
                               as a higher limit, is noticed at the next free */
    ea_account_t *owner;    /* NULL: the current owner of the task */
    uint32_t capabilities;
    uint8_t priority; /* 0 to 255; see EA_PRIORITY_CRITICAL. 0: as the owner's account has */
    ea_policy_t policy;
    ea_lifetime_t lifetime;
    bool zeroed;
    const void *caller; /* the call site to note; NULL: where the function was called */
} ea_request_t;

/* --- when memory ends ------------------------------------------------------------------------- */

#define EA_ALLOCATOR_HANDLER_CALLS 4u

#define EAI_N_REASONS ((unsigned)EA_REASON_DAMAGED + 1u)

/* The last request that was refused. Sequence 0: none was. */
typedef struct {
    uint32_t sequence; /* counts refusals; in a handler: how often it was asked before */
    ea_reason_t reason;
    uint16_t owner;   /* account id; 0: none */
    uint16_t limiter; /* EA_REASON_OVER_LIMIT: the account whose limit it was */
    size_t size_bytes;
    size_t alignment_bytes;
    uint32_t capabilities;
    size_t free_bytes;         /* in the regions that the request could have used */
    size_t largest_free_bytes; /* what they would have granted                    */
    const void *caller;        /* return address of the call                      */
    uint64_t time_us;
} ea_failure_t;

/* Memory that its holder can do without for a while: a cache. The caller's object, in use from add
 * to remove; fields but eai_ are set before. reclaim is called by a task whose request failed, with
 * no lock held; it frees what it can, into this allocator, and says how many bytes: 0, and nothing
 * is tried for its sake. It may allocate; a request that fails inside it does not come here again.
 */
typedef struct ea_reclaimer ea_reclaimer_t;
struct ea_reclaimer {
    size_t (*reclaim)(void *context, size_t wanted_bytes);
    size_t (*estimate)(void *context); /* bytes it could free now; 0: passed over. NULL: unknown */
    void *context;
    uint32_t cost;       /* the cheapest are asked first */
    ea_account_t *owner; /* whose memory it is; NULL: not known */
    ea_reclaimer_t *eai_next;
    uint32_t eai_serial;
    uint32_t eai_n_busy;
};

/* What the application's handler makes of a refusal. A block it returns must be one of this
 * allocator's, live, large enough, aligned and of a capable region: it is handed out. Any other
 * pointer is reported and refused. */
typedef enum {
    EA_HANDLER_FAIL = 0,
    EA_HANDLER_RETRY = 1,
    EA_HANDLER_BLOCK = 2
} ea_handler_verdict_t;
typedef ea_handler_verdict_t (*ea_handler_t)(void *context, const ea_failure_t *failure,
                                             void **block);

/* A step of compaction for the chain. Returns whether anything was gained. */
typedef bool (*ea_compact_t)(void *context, size_t wanted_bytes);

/* Lock objects of the application, EA_CFG_ALLOC_LOCKING 3. try returns false instead of waiting; it
 * is what interrupts use. They are called with the region's lock object, or with options.lock. */
typedef struct {
    void (*acquire)(void *lock);
    bool (*try_acquire)(void *lock);
    void (*release)(void *lock);
} ea_lock_ops_t;

/* --- the allocator ---------------------------------------------------------------------------- */

/* NULL, or all zero: no owners, no listeners, damage is reported and refused. */
typedef struct {
    ea_accounts_t *accounts;  /* the book of the owners; EAI_ALLOC_OWNERS */
    ea_account_t *owner;      /* of requests by tasks that have no current owner, or one of another
                                 book; NULL: nobody's, which no budget limits */
    ea_account_t *isr_owner;  /* the same for interrupts; NULL: as owner */
    ea_events_t *events;      /* where events go; NULL: nowhere. EA_CFG_ALLOC_REPORT */
    uintptr_t secret;         /* random at each boot: canaries and tags are made of it */
    ea_guard_policy_t damage; /* what to do when damage is found */
    ea_guard_callback_t on_damage; /* for EA_GUARD_CALL */
    void *damage_context;
    size_t quarantine_bytes;       /* budget of freed blocks held back; EA_CFG_GUARD 3 */
    const ea_lock_ops_t *lock_ops; /* EA_CFG_ALLOC_LOCKING 3 */
    void *lock;
    const ea_pressure_options_t *pressure; /* thresholds; NULL: the defaults */
    bool strict_owner; /* refuse to free what another owner allocated; otherwise it is reported */
} ea_allocator_options_t;

typedef struct {
    size_t n_regions;
    size_t total_bytes; /* sums over the regions: see ea_heap_stats_t */
    size_t free_bytes;
    size_t min_free_bytes; /* of these, the least ever, summed: each region's at its own moment */
    size_t largest_free_bytes;
    size_t n_live;     /* blocks handed out and not freed; 0 without EA_CFG_HEAP_STATS, and those of
                      pools are not counted without EA_CFG_POOL_STATS */
    size_t n_deferred; /* freed in an interrupt and not merged yet */
    size_t quarantine_bytes;
    size_t reserve_bytes; /* what the reserve holds now */
    /* The chain: how often each link was asked, and how often a request was served right after. */
    uint32_t n_reclaims, n_reclaimed;
    uint32_t n_compactions, n_compacted;
    uint32_t n_reserves;
    uint32_t n_waits, n_waited;
    uint32_t n_handler_calls, n_handled;
    uint32_t n_failures; /* requests refused in the end */
    uint32_t n_failures_by[EAI_N_REASONS];
    uint32_t n_damaged; /* calls that a guard or a store refused */
} ea_allocator_stats_t;

/* A walk under way; private. All zero before the first call. */
typedef struct {
    uint32_t eai_slot; /* regions, then classes of the pool set */
    uint32_t eai_index;
    ea_heap_cursor_t eai_heap;
    bool eai_is_checked; /* sweep: the slot's heap was, its blocks are next */
    size_t eai_n_freed;
} ea_allocator_cursor_t;

typedef struct {
    void *block;
    size_t size_bytes;   /* requested, where guards know it; else usable */
    size_t usable_bytes; /* up to the end of the block; guards may forbid using them */
    uint16_t owner;      /* account id */
    const void *site; /* return address of the call that allocated it, as far as the tag keeps it */
    uint32_t birth;   /* see ea_guard_tick_us */
    const void *region; /* memory of the region as given to add; NULL: the pool set's */
} ea_block_info_t;

/* A block in the middle of a realloc, on the stack of the task that does it; private. */
typedef struct eai_moving {
    struct eai_moving *eai_next;
    const void *eai_to; /* where its tag will be, and is not yet */
} eai_moving_t;

/* One region; private. A slot that is free has begin == end. */
typedef struct {
    char *eai_begin; /* first byte of its memory */
    char *eai_end;   /* one behind the last      */
    ea_heap_t *eai_heap;
    uint32_t eai_capabilities;
    uint8_t eai_priority;
    uint8_t eai_policy;
    uint8_t eai_line_log2;         /* 0: none */
    uint8_t eai_serial;            /* order of adding */
    bool eai_is_ordinary;          /* any request may have any of it, as it is */
    struct eai_moving *eai_moving; /* blocks between two parts of a realloc */
    size_t eai_reserve_bytes;
#if EA_CFG_ALLOC_MOVABLE
    ea_movable_t *eai_store; /* instead of a heap */
    size_t eai_move_bytes;
#if EAI_ALLOC_OWNERS
    uint16_t *eai_owners; /* of its movable blocks, by the number of the handle */
#endif
#endif
#if EA_CFG_CHECK_LEVEL >= 2
    uint32_t eai_seal; /* of all above */
#endif
#if EA_CFG_ALLOC_MOVABLE
    bool eai_is_slid; /* nothing was left to move there, this time */
#endif
#if EA_CFG_ALLOC_LOCKING == 2
    ea_port_lock_t eai_lock;
#elif EA_CFG_ALLOC_LOCKING == 3
    void *eai_lock;
#endif
} eai_region_slot_t;

/* A task inside a callback of the chain, on its stack; private. */
typedef struct eai_helping {
    struct eai_helping *eai_next;
    const void *eai_task;
} eai_helping_t;

#if EA_CFG_ALLOC_PRESSURE && EAI_ALLOC_OWNERS
/* An account that is watched, in the caller's memory; private. */
typedef struct ea_account_watch {
    struct ea_account_watch *eai_next;
    ea_account_t *eai_account;
    ea_pressure_t eai_pressure;
    bool eai_is_high;
} ea_account_watch_t;
#endif

/* The caller's object; every field is private. Must not be moved or copied once in use. */
typedef struct ea_allocator {
    uint8_t eai_n_regions;
    uint8_t eai_first; /* the slot asked first, if it is ordinary; else 0xFF */
    uint8_t eai_order[EA_CFG_ALLOC_REGIONS]; /* slots, the one to ask first comes first */
    eai_region_slot_t eai_slots[EA_CFG_ALLOC_REGIONS];
#if EA_CFG_CHECK_LEVEL >= 2
    uint32_t eai_seal; /* of the order */
    uint32_t eai_set_seal, eai_pools_seal;
    uintptr_t eai_pools_mirror; /* the set's address, inverted */
#endif
#if EA_CFG_ALLOC_POOLS
    ea_poolset_t *eai_pools;
#if EAI_TAGGED
    void *eai_pool_tags; /* one for each block of the set, in a block of a region */
#endif
#endif
    ea_guard_policy_t eai_damage;
    ea_guard_callback_t eai_on_damage;
    void *eai_damage_context;
#if EAI_TAGGED
    eai_guard_t eai_guard;
#endif
#if EA_CFG_GUARD >= 3
    eai_quarantine_t eai_quarantine;
#endif
#if EAI_ALLOC_OWNERS
    ea_accounts_t *eai_accounts;
    ea_account_t *eai_owner;
    ea_account_t *eai_isr_owner;
    bool eai_strict_owner;
#endif
#if EA_CFG_ALLOC_ISR
    uintptr_t eai_deferred; /* blocks freed in interrupts: a list through them */
#endif
#if EA_CFG_ALLOC_RECLAIM
    ea_reclaimer_t *eai_reclaimers; /* by cost */
    uint32_t eai_reclaimer_serial;
    ea_compact_t eai_compact;
    void *eai_compact_context;
#endif
#if EA_CFG_ALLOC_WAIT
    ea_waitq_t eai_waiting; /* for memory */
#if EAI_ALLOC_OWNERS
    ea_waitq_t eai_short; /* for their owners' budget */
    uint32_t eai_n_short;
#endif
    uint32_t eai_tickets;
    uint32_t eai_n_serving; /* tasks that serve */
    bool eai_is_crossed;    /* two of them did at the same time */
#endif
#if EA_CFG_ALLOC_RESERVE
    void *eai_reserve;
    size_t eai_reserve_bytes; /* what it should be */
    size_t eai_reserve_held;  /* what it is        */
    uint8_t eai_reserve_slot; /* its region; 0xFF: none */
#endif
#if EA_CFG_ALLOC_HOOK
    ea_alloc_hook_t *eai_hooks;
#endif
#if EA_CFG_ALLOC_HANDLER
    ea_handler_t eai_handler;
    void *eai_handler_context;
#endif
#if EA_CFG_ALLOC_REPORT
    ea_events_t *eai_events;
    ea_failure_t eai_failure;
    uint32_t eai_n_failures_by[EAI_N_REASONS];
    ea_guard_report_t eai_last_damage;
    uint32_t eai_n_damaged;
    uint32_t eai_n_chain[9];
#endif
#if EA_CFG_ALLOC_PRESSURE
    ea_pressure_t eai_pressure;
    uintptr_t eai_used_bytes; /* in blocks handed out */
    size_t eai_total_bytes;   /* of all regions */
#if EAI_ALLOC_OWNERS
    ea_account_watch_t *eai_watches;
#endif
#endif
#if EA_CFG_ALLOC_RECLAIM || EA_CFG_ALLOC_HANDLER
    eai_helping_t *eai_helping; /* tasks inside a callback of the chain */
#endif
#if EA_CFG_ALLOC_LOCKING == 1 || EA_CFG_ALLOC_LOCKING == 2
    ea_port_lock_t eai_lock;
#elif EA_CFG_ALLOC_LOCKING == 3
    const ea_lock_ops_t *eai_lock_ops;
    void *eai_lock;
#endif
} ea_allocator_t;

/* --- life ------------------------------------------------------------------------------------- */

/* Make an allocator without memory: add regions, and a pool set if you like.
 * Returns  EA_OK; EA_ERR_INVALID if allocator is NULL or an option is compiled out or inconsistent.
 * Owns     the allocator keeps what options point to. Context: task, alone. Cost O(1). */
EA_NODISCARD ea_status_t ea_allocator_init(ea_allocator_t *allocator,
                                           const ea_allocator_options_t *options);

/* Give it up; regions return to the caller.
 * Returns  EA_OK; EA_ERR_BUSY if blocks are live, their number in *n_live (may be NULL), or
 *          somebody waits: nothing changed but that deferred and quarantined blocks are merged.
 * Context  task, alone. Cost O(regions) and what is deferred. */
ea_status_t ea_allocator_deinit(ea_allocator_t *allocator, size_t *n_live);

/* --- regions and pools ------------------------------------------------------------------------ */

/* Add memory; it becomes a heap of its own. The allocator may be in use.
 * Returns  EA_OK; EA_ERR_INVALID if mem is NULL, overlaps a region, is too small for a heap, or an
 *          option is not possible; EA_ERR_RANGE if there are EA_CFG_ALLOC_REGIONS already. Then
 *          nothing changed.
 * Owns     the allocator uses mem until it is removed. No alignment is asked of mem.
 * Context  task. Cost O(regions). */
EA_NODISCARD ea_status_t ea_allocator_add_region(ea_allocator_t *allocator, void *mem,
                                                 size_t size_bytes,
                                                 const ea_region_options_t *options);

/* Take the region at mem (as given to add) out. The allocator may be in use.
 * Returns  EA_OK; EA_ERR_NOT_FOUND; EA_ERR_BUSY if blocks live in it, their number in *n_live (may
 *          be NULL): nothing changed.
 * Context  task. Cost O(regions) and what is deferred. */
EA_NODISCARD ea_status_t ea_allocator_remove_region(ea_allocator_t *allocator, void *mem,
                                                    size_t *n_live);

/* Move the end of the region at mem up or down.
 * Returns  as ea_heap_grow(), ea_heap_shrink(); EA_ERR_NOT_FOUND: no region begins at mem;
 *          EA_ERR_INVALID: it would grow into another one (calls that add or grow regions see each
 *          other's when they come one after the other). Then nothing changed.
 * Context  task. Cost O(regions). */
EA_NODISCARD ea_status_t ea_allocator_grow_region(ea_allocator_t *allocator, void *mem,
                                                  size_t new_size_bytes);
EA_NODISCARD ea_status_t ea_allocator_shrink_region(ea_allocator_t *allocator, void *mem,
                                                    size_t new_size_bytes);

#if EA_CFG_ALLOC_POOLS
/* Serve small requests from set, or (NULL) no longer. The set's strategy may be strict or next
 * larger; the allocator does the rest. Where blocks are tagged, their tags take a block of a
 * region.
 * Returns  EA_OK; EA_ERR_INVALID if the set waits or has a heap, or the blocks of a class are no
 *          multiple of EA_HEAP_ALIGN; EA_ERR_NO_MEMORY if there is no room for tags; EA_ERR_BUSY if
 *          blocks of the set before are live, as far as pools know (EA_CFG_POOL_STATS,
 *          EA_CFG_POOL_VALIDATE): nothing changed.
 * Owns     the allocator uses set until another one, or NULL, is set.
 * Context  task, while no other context allocates or frees. */
EA_NODISCARD ea_status_t ea_allocator_set_pools(ea_allocator_t *allocator, ea_poolset_t *set);
#endif

/* --- blocks ----------------------------------------------------------------------------------- */

/* Allocate at least size_bytes, going through the chain described above.
 * Returns  a block aligned to EA_HEAP_ALIGN, contents indeterminate; NULL if size_bytes is 0, or
 *          the request is refused: see ea_allocator_last_failure().
 * Owns     the caller, until ea_free() on this allocator.
 * Context  task or interrupt, see above. Cost O(regions) while memory is there; then the chain. */
EA_NODISCARD void *ea_malloc(ea_allocator_t *allocator, size_t size_bytes);

/* The same with wishes. Returns NULL also if alignment_bytes is not 0 nor a power of two, or the
 * owner is of another book. An interrupt does not wait. */
EA_NODISCARD void *ea_malloc_ex(ea_allocator_t *allocator, size_t size_bytes,
                                const ea_request_t *request);

/* As ea_malloc() for n * size_bytes bytes, all zero. Returns NULL also if the product overflows. */
EA_NODISCARD void *ea_calloc(ea_allocator_t *allocator, size_t n, size_t size_bytes);

/* As ea_malloc(), aligned to alignment_bytes, a power of two. */
EA_NODISCARD void *ea_aligned_alloc(ea_allocator_t *allocator, size_t alignment_bytes,
                                    size_t size_bytes);

/* Change a block's size; contents are kept up to the smaller of both sizes. Where its region cannot
 * grow it, another one that has the same capabilities may. The block's owner stays, and pays.
 * Returns  the block, perhaps at a new address; NULL if it cannot be done, and then the old block
 *          is untouched. ptr NULL: as ea_malloc(). size_bytes 0 with a block: frees it, returns
 *          NULL.
 * Context  task. Cost O(regions) plus the copy, during which no lock is held. */
EA_NODISCARD void *ea_realloc(ea_allocator_t *allocator, void *ptr, size_t size_bytes);

/* The same, the result aligned to alignment_bytes, a power of two, also when it stays. */
EA_NODISCARD void *ea_aligned_realloc(ea_allocator_t *allocator, void *ptr, size_t alignment_bytes,
                                      size_t size_bytes);

/* Free a block; ptr NULL does nothing. In an interrupt that finds the block's region locked the
 * block is put aside (nothing is lost) and merged by the next task that allocates or frees,
 * or by one that waits, which the interrupt wakes.
 * Returns  EA_OK; EA_ERR_DOUBLE_FREE, EA_ERR_CORRUPT, EA_ERR_FOREIGN as far as checks and guards
 *          can tell, EA_ERR_NOT_OWNER if options.strict_owner forbids it: nothing is freed then.
 * Context  task or interrupt, see above. Cost O(regions). */
ea_status_t ea_free(ea_allocator_t *allocator, void *ptr);

#if EA_CFG_ALLOC_ISR
/* The same without touching a region: for interrupts where EA_CFG_ALLOC_LOCKING is 0. */
ea_status_t ea_free_isr(ea_allocator_t *allocator, void *ptr);
#endif

/* Merge what was freed in interrupts, at most max_steps blocks. Allocating and freeing do so too, a
 * few at a time. Requests that wait are served if they can be: to be called after an account's
 * limit was raised or its charge returned by other means than a free.
 * Returns the number merged. Context: task. Cost O(max_steps), and each request served. */
size_t ea_allocator_poll(ea_allocator_t *allocator, size_t max_steps);

/* Bytes the caller may use in ptr: what was asked for where the block is guarded, else all of it. 0
 * for NULL and for what is no block of a region or pool. Context: any. Cost O(regions). */
EA_NODISCARD size_t ea_usable_size_bytes(const ea_allocator_t *allocator, const void *ptr);

/* --- regions of movable blocks ---------------------------------------------------------------- */

#if EA_CFG_ALLOC_MOVABLE
/* Such a region serves two kinds of requests: ea_malloc_movable() from its low end, and, as other
 * regions do, those for blocks with an address from its high end (not those of interrupts). The
 * latter move nobody before link 6 of the chain. */

/* The store of the region at mem (as given to add), to lock, unlock, read and write with: from any
 * context, as ealloc/movable.h says; the allocator is its owner. NULL: it has none. Context:
 * any. Cost O(regions). */
EA_NODISCARD ea_movable_t *ea_allocator_store(const ea_allocator_t *allocator, const void *mem);

/* A movable block of at least size_bytes (0 counts as 1) of a store of the allocator's, by way of
 * the chain; of request (NULL: none) its owner, priority, timeout and caller matter. Others may be
 * moved for it as the region's move_bytes says. Neither guards, hooks nor walks know it.
 * Returns  its handle; none: refused, see ea_allocator_last_failure() and
 *          ea_movable_last_refusal(); or the store is none of the allocator's.
 * Owns     the caller, until ea_free_movable(); the owner is charged its size, rounded up, and
 *          EA_MOVABLE_HEADER_BYTES.
 * Context  task. Cost as ea_movable_alloc(), with the region's lock held; then the chain. */
EA_NODISCARD ea_movable_handle_t ea_malloc_movable(ea_allocator_t *allocator, ea_movable_t *store,
                                                   size_t size_bytes, const ea_request_t *request);

/* Returns EA_OK; what ea_movable_free() says; EA_ERR_NOT_FOUND also: no store of the allocator's;
 * EA_ERR_NOT_OWNER if options.strict_owner forbids it: nothing is freed then. Context: task. Cost:
 * O(1). */
ea_status_t ea_free_movable(ea_allocator_t *allocator, ea_movable_t *store,
                            ea_movable_handle_t handle);

/* As ea_movable_resize() within the region's move_bytes; its owner pays. It does not go through the
 * chain. Returns also EA_ERR_LIMIT: the owner's budget refuses; EA_ERR_NOT_FOUND: no store of the
 * allocator's. Nothing changed then. Context: task. Cost as ea_movable_resize(), with the region's
 * lock held. */
ea_status_t ea_resize_movable(ea_allocator_t *allocator, ea_movable_t *store,
                              ea_movable_handle_t handle, size_t size_bytes);

/* ea_movable_step() in every such region that has not said EA_OK since they all have, for idle
 * time. Who waits is served if that made room.
 * Returns EA_OK: there is nothing left to move in any; EA_ERR_AGAIN; EA_ERR_CORRUPT. Context: task.
 * Cost as ea_movable_step() for each, with the region's lock held. */
ea_status_t ea_allocator_step(ea_allocator_t *allocator, size_t budget_bytes);
#endif

/* --- owners ----------------------------------------------------------------------------------- */

#if EAI_ALLOC_OWNERS
/* Hand the block over to another account, which is charged before the old one gets its own back.
 * Returns  EA_OK; EA_ERR_LIMIT if to's budget refuses; EA_ERR_INVALID if ptr is NULL or to of
 *          another book; what ea_free() says of a damaged or foreign block: nothing changed. to
 *          NULL: nobody's.
 * Context  task. */
EA_NODISCARD ea_status_t ea_transfer(ea_allocator_t *allocator, void *ptr, ea_account_t *to);
#endif

#if EA_CFG_TAGS
/* Free every block of an owner (account id), a piece at a time: looks at no more than about
 * max_steps blocks a call. All zero in cursor begins.
 * Returns  EA_ERR_AGAIN: call again with the same cursor; EA_OK: done, their number in *n_freed
 *          (may be NULL), which counts on through the calls; EA_ERR_BUSY: another walk is under
 *          way; EA_ERR_CORRUPT: damage on the way, go on with the same cursor; EA_ERR_INVALID:
 *          owner is 0.
 * Context  task; others may use the allocator meanwhile, but not that owner's blocks. */
EA_NODISCARD ea_status_t ea_free_all(ea_allocator_t *allocator, uint16_t owner,
                                     ea_allocator_cursor_t *cursor, size_t max_steps,
                                     size_t *n_freed);
#endif

/* Everything known of the live block at ptr.
 * Returns  EA_OK; EA_ERR_FOREIGN: no such block; EA_ERR_CORRUPT; EA_ERR_DOUBLE_FREE: it is free.
 * Context  any. Cost O(regions). */
EA_NODISCARD ea_status_t ea_block_info(const ea_allocator_t *allocator, const void *ptr,
                                       ea_block_info_t *info);

/* Visit live blocks, at most about max_steps a call; owner 0 means every owner's. For reports such
 * as "owner gone": what an account that cannot be deleted still holds. The visitor is called with
 * no lock held and must not free. Where others are at work it may hear of a block that was freed
 * since, and not of one that is just being resized.
 * Returns  as ea_free_all(). Context: task. */
typedef void (*ea_allocator_visit_t)(void *context, const ea_block_info_t *info);
EA_NODISCARD ea_status_t ea_allocator_walk(ea_allocator_t *allocator, uint16_t owner,
                                           ea_allocator_cursor_t *cursor, size_t max_steps,
                                           ea_allocator_visit_t visit, void *context);

/* Give a walk, free_all or sweep up before it is done, so that another may begin. Context: task. */
void ea_allocator_walk_end(ea_allocator_t *allocator, ea_allocator_cursor_t *cursor);

/* Check the heaps, every block's guards and the quarantine, a piece at a time; damage is treated as
 * when it is found in a call. Returns as ea_free_all(), EA_ERR_CORRUPT if anything was damaged in
 * this call (go on with the same cursor). Context: task. */
EA_NODISCARD ea_status_t ea_allocator_sweep(ea_allocator_t *allocator,
                                            ea_allocator_cursor_t *cursor, size_t max_steps);

/* --- the chain -------------------------------------------------------------------------------- */

#if EA_CFG_ALLOC_RECLAIM
/* Returns EA_OK; EA_ERR_INVALID without a reclaim function or if it is there already. Context:
 * task. Cost O(reclaimers). */
EA_NODISCARD ea_status_t ea_allocator_add_reclaimer(ea_allocator_t *allocator,
                                                    ea_reclaimer_t *reclaimer);
/* Returns EA_OK; EA_ERR_NOT_FOUND; EA_ERR_BUSY: it is being called just now. Context: task. */
EA_NODISCARD ea_status_t ea_allocator_remove_reclaimer(ea_allocator_t *allocator,
                                                       ea_reclaimer_t *reclaimer);
/* The hook for compaction; NULL: none. Context: task, while no request fails. */
void ea_allocator_set_compact(ea_allocator_t *allocator, ea_compact_t compact, void *context);
#endif

#if EA_CFG_ALLOC_RESERVE
/* Keep reserve_bytes of the ordinary region asked first that has them, for critical requests. It is
 * filled again by itself when memory comes back. 0: none.
 * Returns  EA_OK; EA_ERR_NO_MEMORY: it is not there in one piece now, and filled up later, or what
 *          another task just set is; EA_ERR_INVALID: no region could ever hold it, and there is no
 *          reserve now.
 * Context  task. */
ea_status_t ea_allocator_set_reserve(ea_allocator_t *allocator, size_t reserve_bytes);
#endif

#if EA_CFG_ALLOC_HANDLER
/* The last link before refusal; NULL: none. Called by the task whose request fails, no lock held;
 * it may do whatever a task may, and a request that fails inside it does not come here again.
 * Context  task. */
void ea_allocator_set_handler(ea_allocator_t *allocator, ea_handler_t handler, void *context);
#endif

#if EA_CFG_ALLOC_REPORT
/* The last refusal. Context: any. Cost O(1). */
void ea_allocator_last_failure(const ea_allocator_t *allocator, ea_failure_t *failure);
#endif

#if EA_CFG_ALLOC_REPORT
/* The last damage that was found, with what is known of the block and its neighbours; kind
 * EA_GUARD_NONE: none was. Context: any. Cost O(1). */
void ea_allocator_last_damage(const ea_allocator_t *allocator, ea_guard_report_t *report);
#endif

/* --- numbers and switches --------------------------------------------------------------------- */

/* Sums over regions and pools; largest_free_bytes is that of the best region for a request that may
 * use it. Context: task. Cost O(regions), and what is deferred. */
void ea_allocator_stats(const ea_allocator_t *allocator, ea_allocator_stats_t *stats);

/* One region's heap statistics, by its memory as given to add. Returns EA_OK; EA_ERR_NOT_FOUND.
 * Context: task. Cost O(regions). */
ea_status_t ea_allocator_region_stats(const ea_allocator_t *allocator, const void *mem,
                                      ea_heap_stats_t *stats);

#if EA_CFG_ALLOC_PRESSURE
/* Pressure of all memory, and the stall times of those who waited. Context: any. */
ea_pressure_t *ea_allocator_pressure(ea_allocator_t *allocator);
#endif

#if EA_CFG_ALLOC_PRESSURE && EAI_ALLOC_OWNERS
/* Watch an account of the allocator's book and all below it, as tasks allocate and free: pressure
 * is what is charged of its max (EA_EVENT_PRESSURE with its id; an account without a max has none),
 * and above its high mark (EA_EVENT_HIGH, once each time it is passed) reclaimers whose owner it
 * is, or one below it, are asked until it is below again. options NULL: the defaults.
 * Returns  EA_OK; EA_ERR_INVALID: NULL, options are not possible, or the account is of another
 *          book.
 * Owns     the allocator uses watch, and *options, until unwatch.
 * Context  task. Cost of a watch: about 50 instructions an operation. */
EA_NODISCARD ea_status_t ea_allocator_watch(ea_allocator_t *allocator, ea_account_watch_t *watch,
                                            ea_account_t *account,
                                            const ea_pressure_options_t *options);

/* Returns EA_OK; EA_ERR_NOT_FOUND. Context: task, while no other context allocates or frees. */
ea_status_t ea_allocator_unwatch(ea_allocator_t *allocator, ea_account_watch_t *watch);

/* The pressure of a watched account. Context: any. */
EA_INLINE ea_pressure_t *ea_account_watch_pressure(ea_account_watch_t *watch)
{
    return &watch->eai_pressure;
}
#endif

#if EA_CFG_ALLOC_HOOK
/* Tell hook of every block that is handed out, given back, resized, refused or handed over from now
 * on: see ealloc/hook.h. The one that came last is told first.
 * Returns  EA_OK; EA_ERR_BUSY: it is told already; EA_ERR_INVALID: NULL, or it has no function.
 * Owns     the allocator uses hook until it is removed. While there is one, ea_free() goes the
 *          general way.
 * Context  task. Cost O(hooks). */
EA_NODISCARD ea_status_t ea_allocator_add_hook(ea_allocator_t *allocator, ea_alloc_hook_t *hook);

/* No longer. Returns EA_OK; EA_ERR_NOT_FOUND; EA_ERR_INVALID: NULL. Context: task, while no other
 * context uses the allocator. */
ea_status_t ea_allocator_remove_hook(ea_allocator_t *allocator, ea_alloc_hook_t *hook);
#endif

#if EA_CFG_GUARD_SAMPLED
/* Guard one allocation in n: 1 all, 0 none. Context: any. */
void ea_allocator_set_sampling(ea_allocator_t *allocator, uint32_t n);
#endif

#ifdef __cplusplus
}
#endif
#endif
