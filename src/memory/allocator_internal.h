/* SPDX-License-Identifier: MIT
 *
 * What the allocator's sources share; allocator.c tells the story.
 */
#ifndef EALLOC_MEMORY_ALLOCATOR_INTERNAL_H
#define EALLOC_MEMORY_ALLOCATOR_INTERNAL_H

#include "base/atomic.h"
#include "base/mem.h"
#include "ealloc/allocator.h"
#include "memory/guard.h"
#include "memory/quarantine.h"

typedef ea_allocator_t alloc_t;
typedef eai_region_slot_t slot_t;

/* The place of a block that is no region's but the pool set's, and of none. */
#define EAI_POOL_PLACE 0xFEu
#define EAI_NO_PLACE 0xFFu
EA_INLINE bool eai_is_pool(uint8_t place)
{
    return EA_CFG_ALLOC_POOLS && place == EAI_POOL_PLACE;
}

/* --- a request and what serves it ------------------------------------------------------------- */

typedef struct {
    size_t size_bytes; /* as asked */
    size_t raw_bytes;  /* what the heap is asked for */
    size_t alignment_bytes;
    uint64_t timeout_us;
    const void *caller;
#if EAI_ALLOC_OWNERS
    ea_account_t *owner;
    ea_account_t *limiter; /* who refused the charge; NULL: nobody did */
    size_t charged;
    size_t short_bytes; /* the charge that was refused */
#endif
    uint32_t capabilities;
    uint8_t policy;
    uint8_t priority;
    bool critical;
    bool isr;
    bool long_lived;
    bool is_guarded;
    bool is_internal; /* the library's own */
#if EA_CFG_ALLOC_MOVABLE
    bool may_move;              /* others, in regions of movable blocks */
    ea_movable_t *store;        /* of a movable block; NULL: it is one with an address */
    ea_movable_handle_t handle; /* of the movable block */
#endif
    uint8_t place;       /* of the block: a slot, or EAI_POOL_PLACE */
    size_t usable_bytes; /* of the block, from its payload on */
    size_t gross_bytes;  /* what the block costs */
} eai_want_t;

/* A block, found by its address. */
typedef struct {
    char *payload;
    size_t usable_bytes; /* from the payload on */
    size_t gross_bytes;
#if EAI_TAGGED
    eai_tag_t *tag;
    eai_label_t label;
#endif
    uint16_t freer; /* account id of who frees it; 0: nobody in particular */
    uint8_t place;
    bool goes;    /* it is looked at in order to be freed */
    bool aside;   /* no region's lock may be taken for that */
    bool poisons; /* it is marked, and its payload shall be poisoned */
    bool is_free; /* it is in its heap again */
    bool moves;   /* goes, because a realloc found it another place */
} eai_block_t;

#if EAI_ALLOC_OWNERS
/* Is the account one of the allocator's book? Any other could be charged, but a block that is freed
 * names its owner by a number of this book. */
EA_INLINE bool eai_is_ours(const alloc_t *a, const ea_account_t *account)
{
    return account->eai_book == a->eai_accounts;
}
#endif

/* --- locks ------------------------------------------------------------------------------------ */

/* A slot's lock guards its heap; the allocator's guards the chain's lists, the order of slots and
 * the quarantine. They may be one and the same, so nobody holds two. In an interrupt only try. */
#if EA_CFG_ALLOC_LOCKING == 0
#define EAI_ISR_AWARE 0
EA_INLINE bool eai_lock_slot(alloc_t *a, slot_t *slot, bool isr)
{
    (void)a, (void)slot, (void)isr;
    return true;
}
EA_INLINE void eai_unlock_slot(alloc_t *a, slot_t *slot)
{
    (void)a, (void)slot;
}
EA_INLINE void eai_lock(alloc_t *a)
{
    (void)a;
}
EA_INLINE bool eai_try_lock(alloc_t *a)
{
    (void)a;
    return true;
}
EA_INLINE void eai_unlock(alloc_t *a)
{
    (void)a;
}
#else
#define EAI_ISR_AWARE 1
#if EA_CFG_ALLOC_LOCKING == 3
EA_INLINE bool eai_lock_slot(alloc_t *a, slot_t *slot, bool isr)
{
    for (;;) { /* bound: the slot's region came or went in between */
        void *lock = __atomic_load_n(&slot->eai_lock, __ATOMIC_ACQUIRE);
        if (!EA_UNLIKELY(isr))
            a->eai_lock_ops->acquire(lock);
        else if (!a->eai_lock_ops->try_acquire(lock))
            return false;
        /* Whose the slot is changes under the lock it had. */
        if (EA_LIKELY(__atomic_load_n(&slot->eai_lock, __ATOMIC_RELAXED) == lock)) return true;
        a->eai_lock_ops->release(lock);
    }
}
/* The slot has another lock from now on; its present one is held, and then not any more. */
EA_INLINE void eai_relock_slot(alloc_t *a, slot_t *slot, void *lock)
{
    void *before = slot->eai_lock;
    __atomic_store_n(&slot->eai_lock, lock, __ATOMIC_RELEASE); /* pairs with acquire above */
    a->eai_lock_ops->release(before);
}
EA_INLINE void eai_unlock_slot(alloc_t *a, slot_t *slot)
{
    a->eai_lock_ops->release(slot->eai_lock);
}
EA_INLINE void eai_lock(alloc_t *a)
{
    a->eai_lock_ops->acquire(a->eai_lock);
}
EA_INLINE bool eai_try_lock(alloc_t *a)
{
    return a->eai_lock_ops->try_acquire(a->eai_lock);
}
EA_INLINE void eai_unlock(alloc_t *a)
{
    a->eai_lock_ops->release(a->eai_lock);
}
#else
EA_INLINE ea_port_lock_t *eai_lock_of(alloc_t *a, slot_t *slot)
{
#if EA_CFG_ALLOC_LOCKING == 2
    (void)a;
    return &slot->eai_lock;
#else
    (void)slot;
    return &a->eai_lock;
#endif
}
EA_INLINE bool eai_lock_slot(alloc_t *a, slot_t *slot, bool isr)
{
    if (EA_UNLIKELY(isr)) return ea_port_lock_try_acquire(eai_lock_of(a, slot));
    ea_port_lock_acquire(eai_lock_of(a, slot));
    return true;
}
EA_INLINE void eai_unlock_slot(alloc_t *a, slot_t *slot)
{
    ea_port_lock_release(eai_lock_of(a, slot));
}
EA_INLINE void eai_lock(alloc_t *a)
{
    ea_port_lock_acquire(&a->eai_lock);
}
EA_INLINE bool eai_try_lock(alloc_t *a)
{
    return ea_port_lock_try_acquire(&a->eai_lock);
}
EA_INLINE void eai_unlock(alloc_t *a)
{
    ea_port_lock_release(&a->eai_lock);
}
#endif
#endif

/* Under which lock a block's tag changes: its slot's; for the pools', whose blocks come and go
 * without one, the allocator's. In an interrupt only try. */
EA_INLINE bool eai_lock_place(alloc_t *a, uint8_t place, bool isr)
{
    if (!eai_is_pool(place)) return eai_lock_slot(a, &a->eai_slots[place], isr);
    if (EA_UNLIKELY(isr)) return eai_try_lock(a);
    eai_lock(a);
    return true;
}
EA_INLINE void eai_unlock_place(alloc_t *a, uint8_t place)
{
    if (!eai_is_pool(place))
        eai_unlock_slot(a, &a->eai_slots[place]);
    else
        eai_unlock(a);
}

/* Where the public function was called from; where nobody would keep it nothing is spent on it. */
#define EAI_CALLER()                                                                               \
    (EA_CFG_ALLOC_REPORT || EA_CFG_TAGS || EA_CFG_ALLOC_HOOK ? __builtin_return_address(0) : NULL)

/* Is this an interrupt? Without locks the caller says so by the function it calls. */
EA_INLINE bool eai_in_isr(void)
{
#if EAI_ISR_AWARE && EA_CFG_ALLOC_ISR
    return ea_port_in_isr();
#else
    return false;
#endif
}

/* Bytes of a region that are not for such a request: kept for those that name a capability. */
EA_INLINE size_t eai_kept_bytes(const slot_t *slot, const eai_want_t *want)
{
    return (want->capabilities & slot->eai_capabilities) != 0 ? 0 : slot->eai_reserve_bytes;
}

/* --- what a heap is asked for ----------------------------------------------------------------- */

/* What the deferred list writes behind the front of a block, and the payload of the block that a
 * request for one byte gets. */
#define EAI_DEFERRED_BYTES (sizeof(uintptr_t) + (EAI_TAGGED ? 0u : sizeof(uint32_t)))
#define EAI_SURE_BACK_BYTES (EA_CFG_GUARD > 0 && !EA_CFG_GUARD_SAMPLED ? EAI_BACK_BYTES : 0u)
#define EAI_ROUNDED_BYTES                                                                          \
    ((EAI_FRONT_BYTES + 1u + EAI_SURE_BACK_BYTES + EA_HEAP_OVERHEAD_BYTES + EA_HEAP_ALIGN - 1u) /  \
     EA_HEAP_ALIGN * EA_HEAP_ALIGN)
#define EAI_SMALLEST_BYTES                                                                         \
    ((EAI_ROUNDED_BYTES > EA_HEAP_MIN_BLOCK_BYTES ? EAI_ROUNDED_BYTES : EA_HEAP_MIN_BLOCK_BYTES) - \
     EA_HEAP_OVERHEAD_BYTES)
/* Where that is too small for the list, requests are made larger. */
#define EAI_LEAST_BYTES                                                                            \
    (EA_CFG_ALLOC_ISR && EAI_FRONT_BYTES + EAI_DEFERRED_BYTES > EAI_SMALLEST_BYTES                 \
         ? EAI_DEFERRED_BYTES                                                                      \
         : 1u)

EA_INLINE size_t eai_raw_bytes(size_t size_bytes, bool is_guarded)
{
    (void)is_guarded;
    if (EAI_LEAST_BYTES > 1u && size_bytes < EAI_LEAST_BYTES) size_bytes = EAI_LEAST_BYTES;
#if EAI_TAGGED
    size_bytes += eai_guard_extra_bytes(is_guarded);
#endif
    return size_bytes;
}

/* --- words that are read without the lock under which they change ----------------------------- */

#ifndef EAI_PEEK /* a test's own */
#define EAI_PEEK(word) __atomic_load_n(word, __ATOMIC_RELAXED)
#define EAI_POKE(word, value) __atomic_store_n(word, value, __ATOMIC_RELAXED)
#endif

/* --- what a region is made of ----------------------------------------------------------------- */

#if EA_CFG_ALLOC_MOVABLE
#define eai_store_of(slot) EAI_PEEK(&(slot)->eai_store)
#define eai_is_for_movable(want) ((want)->store != NULL)
#else
#define eai_store_of(slot) ((void)(slot), (void *)NULL)
#define eai_is_for_movable(want) ((void)(want), false)
#endif

/* A heap, or a store of movable blocks: is the region there? */
EA_INLINE bool eai_is_there(const slot_t *slot)
{
    return EAI_PEEK(&slot->eai_heap) != NULL || eai_store_of(slot) != NULL;
}

/* Of a raw block of the region; its lock is held. */
EA_INLINE ea_status_t eai_probe_raw(const slot_t *slot, void *raw, size_t *usable)
{
#if EA_CFG_ALLOC_MOVABLE
    if (EA_UNLIKELY(slot->eai_store)) return ea_movable_probe_fixed(slot->eai_store, raw, usable);
#endif
    return ea_heap_probe(slot->eai_heap, raw, usable);
}

EA_INLINE size_t eai_usable_raw(const slot_t *slot, const void *raw)
{
#if EA_CFG_ALLOC_MOVABLE
    size_t usable = 0;
    if (EA_UNLIKELY(slot->eai_store))
        return ea_movable_probe_fixed(slot->eai_store, raw, &usable) == EA_OK ? usable : 0;
#endif
    return ea_heap_usable_size_bytes(slot->eai_heap, raw);
}

EA_INLINE ea_status_t eai_free_raw(const slot_t *slot, void *raw)
{
#if EA_CFG_ALLOC_MOVABLE
    if (EA_UNLIKELY(slot->eai_store)) return ea_movable_free_fixed(slot->eai_store, raw);
#endif
    return ea_heap_free(slot->eai_heap, raw);
}

EA_INLINE size_t eai_overhead_of(const slot_t *slot)
{
#if EA_CFG_ALLOC_MOVABLE
    if (EA_UNLIKELY(slot->eai_store)) return EA_MOVABLE_HEADER_BYTES;
#endif
    (void)slot;
    return EA_HEAP_OVERHEAD_BYTES;
}

/* Numbers of the region, those that its kind has. */
EA_INLINE void eai_stats_of(const slot_t *slot, ea_heap_stats_t *stats)
{
#if EA_CFG_ALLOC_MOVABLE
    if (EA_UNLIKELY(slot->eai_store)) {
        ea_movable_stats_t s;
        ea_movable_stats(slot->eai_store, &s);
        *stats = (ea_heap_stats_t){.total_bytes = s.total_bytes,
                                   .free_bytes = s.free_bytes,
                                   .min_free_bytes = s.free_bytes,
                                   .largest_free_bytes = s.largest_bytes,
                                   .control_bytes = s.control_bytes + s.table_bytes,
                                   .n_live = (size_t)s.n_live + s.n_fixed,
                                   .n_failures = s.n_failures,
                                   .n_regions = 1};
        return;
    }
#endif
    ea_heap_stats(slot->eai_heap, stats);
}

/* The first slot from number first on that ptr seems to lie in; EAI_NO_PLACE. A block keeps its
 * region where it is, so its own slot is always met; but a slot whose region just comes or goes may
 * seem to cover it as well: only under the slot's lock, where it has a heap, the answer is right.
 * Bound: EA_CFG_ALLOC_REGIONS. */
EA_INLINE uint8_t eai_slot_from(const alloc_t *a, unsigned first, const void *ptr)
{
    for (uint8_t i = (uint8_t)first; i < EA_CFG_ALLOC_REGIONS; i++) {
        const slot_t *slot = &a->eai_slots[i];
        uintptr_t begin = (uintptr_t)EAI_PEEK(&slot->eai_begin);
        if ((uintptr_t)ptr - begin < (uintptr_t)EAI_PEEK(&slot->eai_end) - begin) return i;
    }
    return EAI_NO_PLACE;
}

/* The slot of a block that is in use, or in the library's hands. */
EA_INLINE uint8_t eai_home_of(alloc_t *a, const void *ptr)
{
    uint8_t i = eai_slot_from(a, 0, ptr);
#if EA_CFG_ALLOC_LOCKING != 0
    while (i != EAI_NO_PLACE) { /* bound: EA_CFG_ALLOC_REGIONS */
        slot_t *slot = &a->eai_slots[i];
        (void)eai_lock_slot(a, slot, false);
        bool covers = eai_is_there(slot) && (uintptr_t)ptr - (uintptr_t)slot->eai_begin <
                                                (size_t)(slot->eai_end - slot->eai_begin);
        eai_unlock_slot(a, slot);
        if (covers) break;
        i = eai_slot_from(a, i + 1u, ptr);
    }
#endif
    return i;
}

/* --- counters and events ---------------------------------------------------------------------- */

typedef enum {
    EAI_N_RECLAIMS,
    EAI_N_RECLAIMED,
    EAI_N_COMPACTIONS,
    EAI_N_COMPACTED,
    EAI_N_RESERVES,
    EAI_N_WAITS,
    EAI_N_WAITED,
    EAI_N_HANDLER_CALLS,
    EAI_N_HANDLED,
    EAI_N_CHAIN
} eai_chain_counter_t;

#if EA_CFG_ALLOC_REPORT
/* Not atomic: a count may be lost where two tasks meet. */
EA_INLINE void eai_count(alloc_t *a, eai_chain_counter_t which)
{
    EAI_POKE(&a->eai_n_chain[which], EAI_PEEK(&a->eai_n_chain[which]) + 1u);
}
EA_INLINE bool eai_wants(const alloc_t *a, ea_event_kind_t kind)
{
    return ea_events_wanted(a->eai_events, (uint16_t)kind);
}
void eai_emit(alloc_t *a, bool isr, const ea_event_t *event);
/* What needs no more than these. */
void eai_tell(alloc_t *a, bool isr, ea_event_kind_t kind, ea_reason_t reason, uint16_t owner,
              size_t size_bytes, const void *where, const void *caller);
#else
#define eai_count(a, which) ((void)(a))
#define eai_wants(a, kind) ((void)(a), false)
#define eai_tell(a, isr, kind, reason, owner, size, where, caller) ((void)(a), (void)(isr))
#endif

/* --- who watches ------------------------------------------------------------------------------ */

#if EA_CFG_ALLOC_HOOK
EA_INLINE bool eai_is_watched(const alloc_t *a)
{
    return EA_UNLIKELY(EAI_PEEK(&a->eai_hooks) != NULL);
}
/* Tell the hooks. Outside locks. */
void eai_show(const alloc_t *a, ea_block_event_t what, uint16_t owner, const void *site,
              const void *block, size_t size_bytes);
/* The same of a block that has a size from now on. */
typedef struct {
    size_t size_bytes;   /* as asked */
    size_t usable_bytes; /* what it can hold */
    size_t stayed_bytes; /* what it could, if a realloc left it where it was; else 0 */
} eai_sizes_t;
void eai_show_new(const alloc_t *a, ea_block_event_t what, uint16_t owner, const void *site,
                  const void *block, const eai_sizes_t *sizes);
#else
#define eai_is_watched(a) ((void)(a), false)
#define eai_show(a, what, owner, site, block, size)                                                \
    ((void)(a), (void)(owner), (void)(site), (void)(block), (void)(size))
#endif
EA_INLINE uint16_t eai_owner_id(const eai_want_t *want)
{
    (void)want;
#if EAI_ALLOC_OWNERS
    if (want->owner) return ea_account_id(want->owner);
#endif
    return 0;
}

/* --- across the sources ----------------------------------------------------------------------- */

/* Fill want from a request (NULL: none). false: it is not valid, and has been refused. */
bool eai_want(alloc_t *a, eai_want_t *want, size_t size_bytes, const ea_request_t *request,
              const void *caller);
/* Charge and take a block, without the chain; NULL: nothing changed. The block is dressed. */
void *eai_try(alloc_t *a, eai_want_t *want);
/* Its parts: charge what the block will cost; take it out of a slot whose lock is held; charge or
 * give back the difference. payload NULL: give the charge back. */
bool eai_charge(eai_want_t *want);
void *eai_take_locked(alloc_t *a, uint8_t index, eai_want_t *want);
void *eai_settle_charge(alloc_t *a, eai_want_t *want, void *payload);
/* Give back what eai_try() brought, with its charge. */
void eai_untake(alloc_t *a, eai_want_t *want, void *payload);
/* The live block changes hands: who wants it pays, and its owner gets its own back. */
bool eai_pay_for(alloc_t *a, eai_want_t *want, const eai_block_t *block);
/* The chain, after eai_try() found nothing. NULL: refused, counted and reported. */
void *eai_rescue(alloc_t *a, eai_want_t *want);
void eai_refuse(alloc_t *a, const eai_want_t *want, ea_reason_t reason);
/* What eai_try() or eai_rescue() brought goes to the user. Returns payload. */
void *eai_hand_out(alloc_t *a, const eai_want_t *want, void *payload);

#if EA_CFG_ALLOC_MOVABLE
/* A block with an address of a store whose slot's lock is held; NULL. */
void *eai_take_fixed_locked(alloc_t *a, uint8_t index, eai_want_t *want);
/* The movable block that is wanted, charged; NULL: none. Else what comes back is no block's. */
void *eai_try_movable(alloc_t *a, eai_want_t *want);
/* Undo that, but for the charge. */
void eai_drop_movable(alloc_t *a, const eai_want_t *want);
#endif

/* ea_malloc() and its kin. */
void *eai_allocate(alloc_t *a, size_t size_bytes, const ea_request_t *request, const void *caller);
/* Find and test the live block at ptr. Returns EA_OK, or what is wrong with it, reported. Task. */
ea_status_t eai_find(alloc_t *a, void *ptr, eai_block_t *block, const void *caller);
/* The same without a report, from any context. */
ea_status_t eai_look(const alloc_t *a, const void *ptr, eai_block_t *block);
/* Find it, test it and free it: block says what and how (payload, goes, aside, freer). */
ea_status_t eai_discard(alloc_t *a, eai_block_t *block, bool isr, const void *caller);
/* Return a raw block to its region or pool; only that. EA_ERR_BUSY: an interrupt found the region
 * locked. */
ea_status_t eai_give_back(alloc_t *a, uint8_t place, void *raw, bool isr);
/* A claimed block goes where it belongs: to its pool or region, aside, or into quarantine. */
ea_status_t eai_give_up(alloc_t *a, const eai_block_t *block, bool isr);
/* The same for a block of a region, by way of the quarantine if it is poisoned. Task only. */
ea_status_t eai_settle(alloc_t *a, uint8_t place, void *raw, bool is_poisoned);
/* What is due when memory has come back: waiters, the reserve, pressure. Task only. */
void eai_after_free(alloc_t *a);
#if EA_CFG_ALLOC_WAIT
/* Wait as long as the request says. NULL: the time is over. */
void *eai_wait(alloc_t *a, eai_want_t *want);
/* Serve those that wait, as far as that is possible. Task only. */
void eai_serve(alloc_t *a);
/* An interrupt freed something: let one of those that wait look. */
void eai_rouse_isr(alloc_t *a);
/* Whether the owner of a request that waits for its budget could pay now. */
bool eai_could_pay(eai_want_t *want);
EA_INLINE bool eai_has_waiters(const alloc_t *a)
{
    bool waits = !ea_waitq_is_empty(&a->eai_waiting);
#if EAI_ALLOC_OWNERS
    waits |= !ea_waitq_is_empty(&a->eai_short);
#endif
    return waits;
}
#endif
/* Is there anything for eai_after_free() to do but pressure? */
EA_INLINE bool eai_is_awaited(const alloc_t *a)
{
    (void)a;
    bool awaited = false;
#if EA_CFG_ALLOC_WAIT
    awaited |= eai_has_waiters(a);
#endif
#if EA_CFG_ALLOC_RESERVE
    awaited |= EAI_PEEK(&a->eai_reserve_held) < EAI_PEEK(&a->eai_reserve_bytes);
#endif
    return awaited;
}
/* What a task does on its way out of a call: merge, serve, refill, watch, as far as is due. */
void eai_look_around(alloc_t *a);
/* Merge at most max_steps deferred blocks. */
size_t eai_drain(alloc_t *a, size_t max_steps);
#if EA_CFG_ALLOC_ISR
size_t eai_count_deferred(alloc_t *a);
#endif
#if EA_CFG_ALLOC_PRESSURE
/* So many bytes more (modulo the word size) are in blocks handed out. */
EA_INLINE void eai_add_used(alloc_t *a, size_t bytes)
{
    EAI_ENTER(irq);
    uintptr_t seen;
    do seen = EAI_LOAD(&a->eai_used_bytes, EAI_RELAXED);
    while (!EAI_CAS(&a->eai_used_bytes, seen, seen + bytes));
    EAI_LEAVE(irq);
}
/* Has the use left the range within which the level stays? */
EA_INLINE bool eai_level_may_change(const alloc_t *a)
{
    const ea_pressure_t *p = &a->eai_pressure;
    uintptr_t used = EAI_PEEK(&a->eai_used_bytes);
    uint8_t level = EAI_PEEK(&p->eai_level);
    return used >= EAI_PEEK(&p->eai_enter[level]) || used < EAI_PEEK(&p->eai_leave[level]);
}
/* The level of pressure may have changed. Task only. */
void eai_watch(alloc_t *a);
#if EAI_ALLOC_OWNERS
/* The same of the accounts that are watched. Task only, outside locks. */
void eai_watch_accounts(alloc_t *a);
/* Ask the reclaimers of account and of those below it, until it is not above its high mark. */
void eai_relieve(alloc_t *a, ea_account_t *account);
#endif
#else
EA_INLINE void eai_add_used(alloc_t *a, size_t bytes)
{
    (void)a, (void)bytes;
}
EA_INLINE bool eai_level_may_change(const alloc_t *a)
{
    (void)a;
    return false;
}
EA_INLINE void eai_watch(alloc_t *a)
{
    (void)a;
}
#endif
EA_INLINE void eai_look_at_accounts(alloc_t *a)
{
    (void)a;
#if EA_CFG_ALLOC_PRESSURE && EAI_ALLOC_OWNERS
    if (EA_UNLIKELY(__atomic_load_n(&a->eai_watches, __ATOMIC_ACQUIRE) != NULL)) /* with watch */
        eai_watch_accounts(a);
#endif
}
#if EAI_TAGGED
/* The tag of the block at payload: in front of it, or in the pools' array. */
eai_tag_t *eai_pool_tag(const alloc_t *a, const void *payload);
EA_INLINE eai_tag_t *eai_tag_of(const alloc_t *a, void *payload, uint8_t place)
{
#if EA_CFG_ALLOC_POOLS
    if (eai_is_pool(place)) return eai_pool_tag(a, payload);
#endif
    (void)a, (void)place;
    return eai_guard_front_tag(payload);
}
#endif
#if EA_CFG_GUARD >= 3
/* Hold a poisoned block back, and let go what the budget does not allow any more. false: the block
 * is too large for that. Task only. */
bool eai_detain(alloc_t *a, void *payload, size_t usable_bytes);
/* Let go of everything. Returns whether there was anything. */
bool eai_discharge(alloc_t *a);
#endif
/* Usable bytes of a raw block that is in use, read under its slot's lock. */
size_t eai_usable_locked(alloc_t *a, uint8_t place, void *raw);
/* Fill in the neighbours of a report. Cold: walks the region. */
void eai_name_neighbours(alloc_t *a, const eai_block_t *block, ea_guard_report_t *report);
/* Report damage and do as the policy says; returns status. */
ea_status_t eai_damaged(alloc_t *a, bool isr, ea_guard_report_t *report, ea_status_t status,
                        const void *caller);

/* Seals, level 2 of checks: see allocator_seal.c. Verify reports what is not as it was written and
 * returns EA_ERR_CORRUPT; unsound only tells where. A slot is sealed under the lock under which it
 * was changed, the order under the allocator's. */
#if EA_CFG_CHECK_LEVEL >= 2
void eai_seal_slot(slot_t *slot);
void eai_seal_order(alloc_t *a);
void eai_seal_pools(alloc_t *a);
void eai_seal_all(alloc_t *a);
const void *eai_unsound(alloc_t *a, bool isr);
ea_status_t eai_verify_seals(alloc_t *a, bool isr);
#else
#define eai_seal_slot(slot) ((void)(slot))
#define eai_seal_order(a) ((void)(a))
#define eai_seal_pools(a) ((void)(a))
#define eai_seal_all(a) ((void)(a))
#define eai_unsound(a, isr) ((void)(a), (const void *)NULL)
#define eai_verify_seals(a, isr) ((void)(a), EA_OK)
#endif

/* Free blocks of pools hold poison from behind their link on, where guards poison and validity bits
 * tell which blocks are free. */
#define EAI_POISONED_POOLS                                                                         \
    (EA_CFG_ALLOC_POOLS && EA_CFG_GUARD >= 2 && !EA_CFG_GUARD_SAMPLED && EA_CFG_POOL_VALIDATE)
#define EAI_POOL_LINK_BYTES sizeof(uintptr_t)

/* What a store's refusal of a block is called. */
EA_INLINE ea_guard_kind_t eai_kind_of(ea_status_t status)
{
    return status == EA_ERR_DOUBLE_FREE ? EA_GUARD_DOUBLE_FREE
           : status == EA_ERR_FOREIGN   ? EA_GUARD_FOREIGN
                                        : EA_GUARD_STORE;
}

/* What the heap makes of a request, if it is good fit and no hole is a granule too large. */
EA_INLINE size_t eai_gross_of(size_t raw_bytes)
{
    size_t gross =
        (raw_bytes + EA_HEAP_OVERHEAD_BYTES + EA_HEAP_ALIGN - 1u) & ~(size_t)(EA_HEAP_ALIGN - 1u);
    return gross < EA_HEAP_MIN_BLOCK_BYTES ? EA_HEAP_MIN_BLOCK_BYTES : gross;
}

EA_INLINE void *eai_raw_of(const eai_block_t *block)
{
    return eai_is_pool(block->place) ? block->payload : block->payload - EAI_FRONT_BYTES;
}

/* Ticks of about four seconds: what a tag keeps of the time. */
EA_INLINE uint32_t eai_birth_now(void)
{
    if (!EA_CFG_TAGS) return 0; /* nobody keeps it */
    return (uint32_t)(ea_port_time_coarse_us() >> 22);
}

EA_INLINE bool eai_is_power_of_two(size_t x)
{
    return x != 0 && (x & (x - 1u)) == 0;
}

#endif
