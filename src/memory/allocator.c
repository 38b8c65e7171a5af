/* SPDX-License-Identifier: MIT
 *
 * The allocator: requests and what serves them. allocator_regions.c holds its life, regions and
 * pools, allocator_resize.c the rest of the malloc family, allocator_rescue.c the chain for when
 * memory ends, allocator_wait.c those that wait, allocator_blocks.c what looks at blocks and
 * owners.
 *
 *     request -> owner charged -> pool set or region -> block dressed -> pointer
 *     pointer -> region or pool found by address -> guards tested -> undressed -> owner paid back
 *             -> quarantine -> region -> whoever waits, the reserve, pressure
 *
 * Invariants
 *   A1 a slot's heap changes only under the slot's lock; its begin, end, heap and attributes are
 *      whole words that may be read without it, and are read again under it before they are used
 *   A2 while a block lives in a region the region stays in its slot and covers the block
 *   A3 nobody holds two locks, and no lock is held over a callback, a copy or a loop
 *   A4 an owner is charged what its live blocks cost (gross bytes), and what its requests under way
 *      may cost; the charge comes before the block and goes back after it
 *   A5 a block freed in an interrupt is in the deferred list, in its region, or not freed: the list
 *      runs through the blocks themselves, so it is never full
 *   A6 from the moment a task waits until it is served or gives up, whoever frees tries to serve
 *      those that wait: nobody sleeps beside memory that would do (allocator_wait.c)
 *
 * The deferred list is pushed to by any context and taken as a whole by a task, so a push that
 * finds the head it read is right whatever happened in between.
 *
 * Rejected: one heap over all regions (attributes, locks and spans differ); a queue of fixed length
 * for what interrupts free (it can be full); handing each region its own copy of the chain.
 */
#include "memory/allocator_internal.h"

#include "base/atomic.h"
#include "memory/guard_inline.h"
#if EAI_ALLOC_OWNERS
#include "ealloc/owner.h"
#endif

static ea_status_t give_up(alloc_t *a, const eai_block_t *block, bool isr);

/* --- what a request needs --------------------------------------------------------------------- */

/* What cannot be a size once dressed: half the address space is more than any heap has. */
#define MOST_BYTES (SIZE_MAX / 2u)

#if EAI_ALLOC_OWNERS
EA_INLINE ea_account_t *owner_of_call(const alloc_t *a, bool isr)
{
    ea_account_t *owner = ea_owner_current(); /* in an interrupt that of interrupts */
    if (owner && eai_is_ours(a, owner)) return owner;
    return isr ? a->eai_isr_owner : a->eai_owner;
}
#endif

EA_INLINE void want_ordinary(alloc_t *a, eai_want_t *want, size_t size_bytes, const void *caller)
{
    (void)a;
    want->size_bytes = size_bytes;
#if EAI_TAGGED
    want->is_guarded = eai_guard_picks(&a->eai_guard);
    want->raw_bytes = size_bytes + eai_guard_extra_bytes(want->is_guarded);
#else
    want->raw_bytes = size_bytes;
#endif
    want->alignment_bytes = 0;
    want->timeout_us = 0;
    want->caller = caller;
    want->isr = eai_in_isr();
#if EAI_ALLOC_OWNERS
    want->owner = owner_of_call(a, want->isr);
    want->limiter = NULL;
    want->charged = 0;
    want->priority = want->owner ? ea_account_priority(want->owner) : 0;
#else
    want->priority = 0;
#endif
    want->capabilities = 0;
    want->policy = EA_POLICY_DEFAULT;
    want->critical = want->priority >= EA_PRIORITY_CRITICAL;
    want->long_lived = false;
    want->is_internal = false;
}

bool eai_want(alloc_t *a, eai_want_t *want, size_t size_bytes, const ea_request_t *request,
              const void *caller)
{
    want_ordinary(a, want, size_bytes, caller);
    if (request) {
        want->alignment_bytes = request->alignment_bytes;
        want->timeout_us = want->isr ? 0 : request->timeout_us;
        want->capabilities = request->capabilities;
        want->policy = (uint8_t)request->policy;
        want->long_lived = request->lifetime == EA_LIFETIME_LONG;
        if (request->caller) want->caller = request->caller;
        if (request->priority) want->priority = request->priority;
#if EAI_ALLOC_OWNERS
        if (request->owner) {
            want->owner = request->owner;
            if (!request->priority) want->priority = ea_account_priority(request->owner);
        }
#endif
        want->critical =
            want->priority >= EA_PRIORITY_CRITICAL || want->policy == EA_POLICY_CRITICAL;
        bool invalid = (want->alignment_bytes && !eai_is_power_of_two(want->alignment_bytes)) ||
                       want->policy > EA_POLICY_LOW_FRAGMENTATION;
#if EAI_ALLOC_OWNERS
        if (request->owner && !eai_is_ours(a, request->owner)) {
            want->owner = NULL;
            invalid = true;
        }
#endif
        if (invalid) {
            eai_refuse(a, want, EA_REASON_INVALID);
            return false;
        }
        if (want->alignment_bytes <= EA_HEAP_ALIGN) want->alignment_bytes = 0;
    }
    if (size_bytes > MOST_BYTES || want->alignment_bytes > MOST_BYTES) {
        eai_refuse(a, want, EA_REASON_TOO_LARGE);
        return false;
    }
    return true;
}

/* --- regions ---------------------------------------------------------------------------------- */

/* Is this region for such a request? Without the slot's lock the answer is a hint. */
EA_INLINE bool suits(const slot_t *slot, const eai_want_t *want)
{
    return EAI_PEEK(&slot->eai_heap) != NULL &&
           (want->capabilities & ~EAI_PEEK(&slot->eai_capabilities)) == 0 &&
           (EAI_PEEK(&slot->eai_policy) != EA_POLICY_CRITICAL || want->critical);
}

/* Whose it is, where it was asked for, when. */
EA_INLINE void dress(const alloc_t *a, const eai_want_t *want, char *payload)
{
    (void)a, (void)want, (void)payload;
#if EAI_TAGGED
    eai_label_t label = {.site = want->caller,
                         .birth = eai_birth_now(),
                         .flags = (uint8_t)((want->is_guarded ? EAI_LABEL_GUARDED : 0u) |
                                            (want->is_internal ? EAI_LABEL_INTERNAL : 0u))};
#if EAI_ALLOC_OWNERS
    label.owner = want->owner ? ea_account_id(want->owner) : 0;
#endif
    /* The payload is filled later, with no lock held: eai_hand_out(). */
    eai_guard_resize(&a->eai_guard, eai_tag_of(a, payload, want->place), payload, want->size_bytes,
                     want->size_bytes, want->usable_bytes, &label);
#endif
}

void *eai_take_locked(alloc_t *a, uint8_t index, eai_want_t *want)
{
    const slot_t *slot = &a->eai_slots[index];
    ea_heap_t *heap = slot->eai_heap;
    size_t alignment = want->alignment_bytes, raw_bytes = want->raw_bytes;
    char *raw;
    if (EA_UNLIKELY(slot->eai_line_log2)) {
        /* The payload begins and ends with a line; what is in front of it has one of its own. */
        size_t line = (size_t)1 << slot->eai_line_log2;
        if (alignment < line) alignment = line;
        raw_bytes += -want->size_bytes & (line - 1u);
    }
    if (EA_LIKELY(alignment == 0))
        raw = ea_heap_alloc(heap, raw_bytes);
    else
        raw = ea_heap_aligned_alloc_at(heap, alignment, EAI_FRONT_BYTES, raw_bytes);
    if (EA_UNLIKELY(!raw)) return NULL;
    want->place = index;
    want->gross_bytes = eai_heap_payload_bytes(raw) + EA_HEAP_OVERHEAD_BYTES;
    want->usable_bytes = want->gross_bytes - EA_HEAP_OVERHEAD_BYTES - EAI_FRONT_BYTES;
    dress(a, want, raw + EAI_FRONT_BYTES);
    return raw + EAI_FRONT_BYTES;
}

/* May the request not have what is kept for those that name a capability? */
EA_INLINE bool is_kept(const slot_t *slot, const eai_want_t *want)
{
    size_t kept = eai_kept_bytes(slot, want);
    size_t free = kept ? ea_heap_free_bytes(slot->eai_heap) : 0;
    return kept != 0 && (free < kept || free - kept < eai_gross_of(want->raw_bytes));
}

/* Take a block out of one region. */
static void *take_from(alloc_t *a, uint8_t index, eai_want_t *want)
{
    slot_t *slot = &a->eai_slots[index];
    void *payload = NULL;
    if (!suits(slot, want) || !eai_lock_slot(a, slot, want->isr)) return NULL;
    if (EA_LIKELY(suits(slot, want)) /* still */ && !EA_UNLIKELY(is_kept(slot, want)))
        payload = eai_take_locked(a, index, want);
    eai_unlock_slot(a, slot);
    return payload;
}

/* The regions whose policy is policy; the one with the smallest largest block that will do, if
 * closest. */
static void *take_preferred(alloc_t *a, eai_want_t *want, uint8_t policy, bool closest)
{
    uint8_t n = EAI_PEEK(&a->eai_n_regions), best = EAI_NO_PLACE;
    size_t least = SIZE_MAX;
    for (uint8_t k = 0; k < n; k++) {
        uint8_t i = EAI_PEEK(&a->eai_order[k]);
        slot_t *slot = &a->eai_slots[i];
        if (!suits(slot, want)) continue;
        if (!closest) {
            if (EAI_PEEK(&slot->eai_policy) != policy) continue;
            void *payload = take_from(a, i, want);
            if (payload) return payload;
            continue;
        }
        if (!eai_lock_slot(a, slot, want->isr)) continue;
        size_t largest = slot->eai_heap ? ea_heap_largest_free_bytes(slot->eai_heap) : 0;
        eai_unlock_slot(a, slot);
        if (largest >= want->raw_bytes && largest < least) {
            least = largest;
            best = i;
        }
    }
    return best == EAI_NO_PLACE ? NULL : take_from(a, best, want);
}

static EA_NOINLINE void *take_by_policy(alloc_t *a, eai_want_t *want)
{
    uint8_t policy = want->policy;
    if (want->long_lived && policy == EA_POLICY_DEFAULT) policy = EA_POLICY_LOW_FRAGMENTATION;
    void *payload = take_preferred(a, want, policy, false);
    if (!payload && want->policy == EA_POLICY_LOW_FRAGMENTATION)
        payload = take_preferred(a, want, policy, true);
    return payload;
}

/* A block of the regions, in the order that the header states. */
static void *take(alloc_t *a, eai_want_t *want)
{
    if (EA_UNLIKELY(want->policy != EA_POLICY_DEFAULT || want->long_lived)) {
        void *payload = take_by_policy(a, want);
        if (payload) return payload;
    }
    uint8_t n = EAI_PEEK(&a->eai_n_regions);
    for (uint8_t k = 0; k < n; k++) { /* bound: EA_CFG_ALLOC_REGIONS */
        void *payload = take_from(a, EAI_PEEK(&a->eai_order[k]), want);
        if (EA_LIKELY(payload != NULL)) return payload;
    }
    return NULL;
}

/* --- charging --------------------------------------------------------------------------------- */

#if EAI_ALLOC_OWNERS
#define want_no_limiter(want) ((want)->limiter = NULL)
/* Charge up to bytes in all. */
EA_INLINE bool charge_up_to(eai_want_t *want, size_t bytes)
{
    if (!want->owner || bytes <= want->charged) return true;
    if (ea_account_charge(want->owner, bytes - want->charged, &want->limiter) != EA_OK) {
        want->short_bytes = bytes;
        return false;
    }
    want->charged = bytes;
    return true;
}

EA_INLINE void charge_down_to(eai_want_t *want, size_t bytes)
{
    if (!want->owner || want->charged <= bytes) return;
    (void)ea_account_return(want->owner, want->charged - bytes);
    want->charged = bytes;
}
#else
#define want_no_limiter(want) ((void)(want))
#define charge_up_to(want, bytes) ((void)(want), true)
#define charge_down_to(want, bytes) ((void)(want))
#endif

#if EAI_ALLOC_OWNERS && EA_CFG_ALLOC_WAIT
bool eai_could_pay(eai_want_t *want)
{
    bool could = charge_up_to(want, want->short_bytes);
    charge_down_to(want, 0);
    return could;
}
#endif

bool eai_charge(eai_want_t *want)
{
    want_no_limiter(want);
    return charge_up_to(want, eai_gross_of(want->raw_bytes));
}

void *eai_settle_charge(alloc_t *a, eai_want_t *want, void *payload)
{
    (void)a;
    if (EA_UNLIKELY(!payload)) {
        charge_down_to(want, 0);
#if EAI_ALLOC_OWNERS
        want->limiter = NULL; /* it was not the budget, this time */
#endif
        return NULL;
    }
#if EAI_ALLOC_OWNERS
    if (EA_UNLIKELY(want->owner && want->charged != want->gross_bytes)) {
        if (!charge_up_to(want, want->gross_bytes)) {
            eai_untake(a, want, payload);
            return NULL;
        }
        charge_down_to(want, want->gross_bytes);
    }
#endif
    return payload;
}

#if EA_CFG_ALLOC_POOLS
/* Was a block of a pool written to since it was freed? Then it is told, and used all the same. */
EA_INLINE bool is_poison_gone(const alloc_t *a, const eai_want_t *want, void *payload,
                              ea_guard_report_t *report)
{
    (void)a, (void)want, (void)payload, (void)report;
#if EAI_POISONED_POOLS
    const void *bad = eai_guard_unpoisoned(payload, EAI_POOL_LINK_BYTES, want->usable_bytes);
    if (EA_LIKELY(!bad)) return false;
    const eai_finding_t finding = {.kind = EA_GUARD_POISON, .first_bad = bad};
    eai_guard_describe(&a->eai_guard, eai_pool_tag(a, payload), payload, &finding, report);
    return true;
#else
    return false;
#endif
}

/* A block of the pool set. Only its tag needs a lock; an interrupt that cannot have that takes no
 * block. */
static void *take_from_pools(alloc_t *a, eai_want_t *want)
{
    ea_poolset_t *pools = a->eai_pools;
    ea_guard_report_t report;
    bool is_damaged = false;
    if (EAI_TAGGED && !eai_lock_place(a, EAI_POOL_PLACE, want->isr)) return NULL;
    void *payload = ea_poolset_alloc_isr(pools, want->raw_bytes - EAI_FRONT_BYTES);
    if (payload) {
        want->place = EAI_POOL_PLACE;
        want->gross_bytes = want->usable_bytes = ea_poolset_usable_bytes(pools, payload);
        is_damaged = is_poison_gone(a, want, payload, &report);
        dress(a, want, payload);
    }
    if (EAI_TAGGED) eai_unlock_place(a, EAI_POOL_PLACE);
    if (EA_UNLIKELY(is_damaged))
        (void)eai_damaged(a, want->isr, &report, EA_ERR_CORRUPT, want->caller);
    return payload;
}
#endif

void *eai_try(alloc_t *a, eai_want_t *want)
{
    void *payload = NULL;
    if (EA_UNLIKELY(!eai_charge(want))) return NULL;
#if EA_CFG_ALLOC_POOLS
    if (a->eai_pools && !want->capabilities && !want->alignment_bytes && !want->long_lived &&
        want->policy == EA_POLICY_DEFAULT)
        payload = take_from_pools(a, want);
#endif
    if (!payload) payload = take(a, want);
    return eai_settle_charge(a, want, payload);
}

void eai_untake(alloc_t *a, eai_want_t *want, void *payload)
{
    eai_block_t block = {.payload = payload, .place = want->place};
#if EAI_TAGGED
    /* Nobody else knows the block: an interrupt may mark it without a lock. */
    bool locked = eai_lock_place(a, want->place, want->isr);
    bool poisons = eai_guard_mark(&a->eai_guard, eai_tag_of(a, payload, want->place), payload);
    if (locked) eai_unlock_place(a, want->place);
    if (poisons && eai_is_pool(want->place)) eai_guard_poison(payload, want->usable_bytes);
#endif
    (void)give_up(a, &block, want->isr);
    charge_down_to(want, 0);
}

/* --- used bytes ------------------------------------------------------------------------------- */

#if EA_CFG_ALLOC_PRESSURE
void eai_add_used(alloc_t *a, size_t bytes)
{
    EAI_ENTER(irq);
    uintptr_t seen;
    do seen = EAI_LOAD(&a->eai_used_bytes, EAI_RELAXED);
    while (!EAI_CAS(&a->eai_used_bytes, seen, seen + bytes));
    EAI_LEAVE(irq);
}

/* Has the use left the range within which the level stays? */
EA_INLINE bool level_may_change(const alloc_t *a)
{
    const ea_pressure_t *p = &a->eai_pressure;
    uintptr_t used = EAI_PEEK(&a->eai_used_bytes);
    uint8_t level = EAI_PEEK(&p->eai_level);
    return used >= EAI_PEEK(&p->eai_enter[level]) || used < EAI_PEEK(&p->eai_leave[level]);
}
#else
#define level_may_change(a) false
#endif

/* --- public: alloc ---------------------------------------------------------------------------- */

void *eai_hand_out(alloc_t *a, const eai_want_t *want, void *payload)
{
    eai_add_used(a, want->gross_bytes);
#if EAI_TAGGED
    if (want->is_guarded) eai_guard_freshen(payload, 0, want->size_bytes);
#else
    (void)a, (void)want;
#endif
    return payload;
}

/* After something was given back. */
EA_INLINE void look_at_accounts(alloc_t *a)
{
    (void)a;
#if EA_CFG_ALLOC_PRESSURE && EAI_ALLOC_OWNERS
    if (EA_UNLIKELY(__atomic_load_n(&a->eai_watches, __ATOMIC_ACQUIRE) != NULL)) /* with watch */
        eai_watch_accounts(a);
#endif
}

EA_INLINE void look_around_after_free(alloc_t *a)
{
    look_at_accounts(a);
#if EA_CFG_ALLOC_ISR
    if (EA_UNLIKELY(EAI_PEEK(&a->eai_deferred) != 0)) (void)eai_drain(a, 4);
#endif
    if (EA_UNLIKELY(eai_is_awaited(a) || level_may_change(a))) eai_after_free(a);
}

/* After something was taken. */
EA_INLINE void look_around(alloc_t *a, bool isr)
{
#if EA_CFG_ALLOC_ISR
    if (!isr && EA_UNLIKELY(EAI_PEEK(&a->eai_deferred) != 0) && eai_drain(a, 4) != 0 &&
        eai_is_awaited(a))
        eai_after_free(a);
#endif
    if (!isr && EA_UNLIKELY(level_may_change(a))) eai_watch(a);
    if (!isr) look_at_accounts(a);
}

void *eai_allocate(alloc_t *a, size_t size_bytes, const ea_request_t *request, const void *caller)
{
    eai_want_t want;
    if (size_bytes == 0 || eai_verify_seals(a, eai_in_isr()) != EA_OK) return NULL;
    if (!eai_want(a, &want, size_bytes, request, caller)) return NULL;
    void *payload = eai_try(a, &want);
    if (EA_UNLIKELY(!payload)) payload = eai_rescue(a, &want);
    if (EA_UNLIKELY(!payload)) return NULL;
    (void)eai_hand_out(a, &want, payload);
    if (request && request->zeroed) memset(payload, 0, size_bytes);
    look_around(a, want.isr);
    return payload;
}

/* --- the common way --------------------------------------------------------------------------- */

/* What most calls do, in one piece: an ordinary request of a task to the region asked first, and a
 * block of a region freed by a task. Whatever is not as usual is left to the general way, which
 * begins anew. */
#if !EAI_PLAIN
EA_INLINE void *take_quickly(alloc_t *a, size_t size_bytes, const void *caller)
{
    uint8_t first = EAI_PEEK(&a->eai_first);
    if (EA_CFG_CHECK_LEVEL >= 2) return NULL; /* seals come first */
    if (EA_UNLIKELY(size_bytes - 1u >= MOST_BYTES || first == EAI_NO_PLACE || eai_in_isr()))
        return NULL;
#if EA_CFG_ALLOC_POOLS
    if (a->eai_pools) return NULL;
#endif
    slot_t *slot = &a->eai_slots[first];
    size_t raw_bytes = size_bytes;
    (void)caller;
#if EAI_TAGGED
    eai_label_t label = {.site = caller};
    if (eai_guard_picks(&a->eai_guard)) label.flags = EAI_LABEL_GUARDED;
    raw_bytes += eai_guard_extra_bytes(label.flags != 0);
    if (EA_CFG_TAGS) label.birth = eai_birth_now();
#endif
#if EAI_ALLOC_OWNERS
    size_t likely = eai_gross_of(raw_bytes);
    ea_account_t *owner = owner_of_call(a, false);
    if (owner) {
        if (EA_UNLIKELY(ea_account_charge(owner, likely, NULL) != EA_OK)) return NULL;
        label.owner = ea_account_id(owner);
    }
#endif
    (void)eai_lock_slot(a, slot, false);
    char *payload = slot->eai_is_ordinary ? ea_heap_alloc(slot->eai_heap, raw_bytes) : NULL;
    size_t gross = 0;
    if (EA_LIKELY(payload != NULL)) {
        size_t usable = eai_heap_payload_bytes(payload);
        gross = usable + EA_HEAP_OVERHEAD_BYTES;
        payload += EAI_FRONT_BYTES;
#if EAI_TAGGED
        eai_guard_write(&a->eai_guard, eai_guard_front_tag(payload), payload, size_bytes,
                        size_bytes, usable - EAI_FRONT_BYTES, &label);
#endif
    }
    eai_unlock_slot(a, slot);
#if EAI_ALLOC_OWNERS
    if (EA_UNLIKELY(owner && gross != likely)) {
        if (gross < likely) {
            (void)ea_account_return(owner, likely - gross);
        } else if (ea_account_charge(owner, gross - likely, NULL) != EA_OK) {
            (void)eai_guard_mark(&a->eai_guard, eai_guard_front_tag(payload), payload);
            (void)eai_release(a, first, payload - EAI_FRONT_BYTES, false);
            (void)ea_account_return(owner, likely);
            payload = NULL;
        }
    }
#endif
    if (EA_UNLIKELY(payload == NULL)) return NULL;
    eai_add_used(a, gross);
#if EAI_TAGGED
    if (EA_CFG_GUARD >= 2 && label.flags) eai_guard_freshen(payload, 0, size_bytes);
#endif
    look_around(a, false);
    return payload;
}

/* Has the block been given back? false: nothing has happened. */
EA_INLINE bool give_quickly(alloc_t *a, char *payload)
{
    slot_t *slot = a->eai_slots, *const end = slot + EA_CFG_ALLOC_REGIONS;
    char *raw = payload - EAI_FRONT_BYTES;
    bool done = false;
    if (EA_CFG_GUARD >= 2 || EA_CFG_CHECK_LEVEL >= 2 || EA_UNLIKELY(eai_in_isr())) return false;
    if (EA_UNLIKELY((uintptr_t)raw & (EA_HEAP_ALIGN - 1u))) return false; /* no block's: not read */
    for (;; slot++) { /* bound: EA_CFG_ALLOC_REGIONS */
        uintptr_t begin = (uintptr_t)EAI_PEEK(&slot->eai_begin);
        if (EA_LIKELY((uintptr_t)raw - begin < (uintptr_t)EAI_PEEK(&slot->eai_end) - begin)) break;
        if (EA_UNLIKELY(slot + 1 == end)) return false;
    }
    size_t usable = 0;
#if EAI_ALLOC_OWNERS
    uint16_t freer = 0, owner = 0;
    if (a->eai_strict_owner || eai_wants(a, EA_EVENT_WRONG_OWNER)) {
        const ea_account_t *current = ea_owner_current();
        if (current && eai_is_ours(a, current)) freer = ea_account_id(current);
    }
#endif
    (void)eai_lock_slot(a, slot, false);
    ea_heap_t *heap = slot->eai_heap;
    if (EA_LIKELY(heap != NULL && raw != slot->eai_begin)) {
        usable = eai_heap_payload_bytes(raw);
        /* What it reads is inside the region, whatever payload is. */
        if (EA_LIKELY(usable - EAI_FRONT_BYTES - 1u < (size_t)(slot->eai_end - payload))) {
#if EAI_TAGGED
            eai_tag_t *tag = eai_guard_front_tag(payload), t;
            uint32_t veil;
            bool may = eai_guard_is_intact(&a->eai_guard, tag, payload, usable - EAI_FRONT_BYTES,
                                           &t, &veil);
#if EAI_ALLOC_OWNERS
            owner = eai_tag_owner(&t);
            may = may && (freer == 0 || owner == 0 || freer == owner);
#endif
#if EA_CFG_ALLOC_ISR /* who frees it too, past the lock, finds out */
            bool poisons;
            may = may && eai_guard_claim(&a->eai_guard, tag, payload, &poisons);
#else
            if (EA_LIKELY(may)) (void)eai_guard_write_mark(tag, t, veil);
#endif
            if (EA_LIKELY(may)) {
                done = ea_heap_free(heap, raw) == EA_OK;
                if (EA_UNLIKELY(!done)) write_tag(tag, t, veil);
            }
#else
            done = ea_heap_free(heap, raw) == EA_OK;
#endif
        }
    }
    eai_unlock_slot(a, slot);
    if (EA_UNLIKELY(!done)) return false;
#if EAI_ALLOC_OWNERS
    if (owner != 0 && a->eai_accounts) {
        ea_account_t *account = ea_account_by_id(a->eai_accounts, owner);
        if (EA_LIKELY(account != NULL))
            (void)ea_account_return(account, usable + EA_HEAP_OVERHEAD_BYTES);
    }
#endif
    eai_add_used(a, 0u - (usable + EA_HEAP_OVERHEAD_BYTES));
    look_around_after_free(a);
    return true;
}
#endif

void *ea_malloc(alloc_t *a, size_t size_bytes)
{
    void *block;
#if EAI_PLAIN
    /* Nothing to do but to ask the first region, if an ordinary request may. */
    uint8_t first = a->eai_first;
    if (EA_CFG_CHECK_LEVEL < 2 && EA_LIKELY(first != EAI_NO_PLACE)) {
        block = ea_heap_alloc(a->eai_slots[first].eai_heap, size_bytes);
        if (EA_LIKELY(block != NULL)) return block;
    }
#else
    block = take_quickly(a, size_bytes, EAI_CALLER());
    if (EA_LIKELY(block != NULL)) return block;
#endif
    return eai_allocate(a, size_bytes, NULL, EAI_CALLER());
}

void *ea_malloc_ex(alloc_t *a, size_t size_bytes, const ea_request_t *request)
{
    return eai_allocate(a, size_bytes, request, EAI_CALLER());
}

void *ea_calloc(alloc_t *a, size_t n, size_t size_bytes)
{
    static const ea_request_t zeroed = {.zeroed = true};
    size_t bytes;
    /* What overflows is too large for any region: let it be refused and counted. */
    if (__builtin_mul_overflow(n, size_bytes, &bytes)) bytes = SIZE_MAX;
    return eai_allocate(a, bytes, &zeroed, EAI_CALLER());
}

void *ea_aligned_alloc(alloc_t *a, size_t alignment_bytes, size_t size_bytes)
{
    const ea_request_t aligned = {.alignment_bytes = alignment_bytes ? alignment_bytes : SIZE_MAX};
    return eai_allocate(a, size_bytes, &aligned, EAI_CALLER());
}

/* --- free ------------------------------------------------------------------------------------- */

ea_status_t eai_release(alloc_t *a, uint8_t place, void *raw, bool isr)
{
#if EA_CFG_ALLOC_POOLS
    if (eai_is_pool(place)) return ea_poolset_free(a->eai_pools, raw);
#endif
    if (place == EAI_NO_PLACE) return EA_ERR_FOREIGN;
    slot_t *slot = &a->eai_slots[place];
    if (!eai_lock_slot(a, slot, isr)) return EA_ERR_BUSY;
    ea_status_t status = ea_heap_free(slot->eai_heap, raw);
    eai_unlock_slot(a, slot);
    return status;
}

#if EA_CFG_ALLOC_ISR
/* A block on the deferred list: the next one and, where no tag tells it, a word that tells whether
 * a block is on it. The list holds raw blocks; the words are in the payload, where the guards have
 * had their look: the smallest block that the user got has room for them behind the front. */
typedef uintptr_t EA_MAY_ALIAS link_word_t;
typedef uint32_t EA_MAY_ALIAS sign_word_t;
#define DEFERRED_BYTES (sizeof(link_word_t) + (EAI_TAGGED ? 0 : sizeof(sign_word_t)))
/* The block of a request for one byte. */
#define LEAST_BYTES                                                                                \
    ((EAI_FRONT_BYTES + 1u + EAI_BACK_BYTES + EA_HEAP_OVERHEAD_BYTES + EA_HEAP_ALIGN - 1u) &       \
     ~(EA_HEAP_ALIGN - 1u))
EA_STATIC_ASSERT(EAI_FRONT_BYTES + DEFERRED_BYTES + EA_HEAP_OVERHEAD_BYTES <= LEAST_BYTES ||
                     EAI_FRONT_BYTES + DEFERRED_BYTES + EA_HEAP_OVERHEAD_BYTES <=
                         EA_HEAP_MIN_BLOCK_BYTES,
                 "the smallest block holds what the deferred list writes");

EA_INLINE link_word_t *link_in(void *raw)
{
    return (link_word_t *)(void *)((char *)raw + EAI_FRONT_BYTES);
}

#if !EAI_TAGGED
EA_INLINE sign_word_t *sign_in(void *raw)
{
    return (sign_word_t *)(void *)((char *)raw + EAI_FRONT_BYTES + sizeof(link_word_t));
}

EA_INLINE uint32_t sign_of(const void *raw, uintptr_t link)
{
    return (uint32_t)link ^ (uint32_t)(uintptr_t)raw ^ 0xDEFE44EDu;
}

/* A block that bears the sign may be on the list already: look. */
static bool is_deferred(const alloc_t *a, void *raw)
{
    if (*sign_in(raw) != sign_of(raw, *link_in(raw))) return false;
    uintptr_t at = EAI_LOAD(&a->eai_deferred, EAI_ACQUIRE);            /* pairs with the push */
    while (at != 0 && at != (uintptr_t)raw) at = *link_in((void *)at); /* bound: blocks deferred */
    return at != 0;
}
#endif

static void defer(alloc_t *a, void *raw)
{
    EAI_ENTER(irq);
    uintptr_t first;
    do {
        first = EAI_LOAD(&a->eai_deferred, EAI_RELAXED);
        *link_in(raw) = first;
#if !EAI_TAGGED
        *sign_in(raw) = sign_of(raw, first);
#endif
    } while (!EAI_CAS(&a->eai_deferred, first, (uintptr_t)raw)); /* releases; pairs with drain */
    EAI_LEAVE(irq);
}

/* The block pushed last; NULL: none. One task at a time takes, under the allocator's lock, so the
 * head that is read cannot go and come back: its link stays right while others push. */
static void *take_deferred(alloc_t *a)
{
    eai_lock(a);
    EAI_ENTER(irq);
    uintptr_t first;
    do first = EAI_LOAD(&a->eai_deferred, EAI_ACQUIRE); /* pairs with defer */
    while (first != 0 && !EAI_CAS(&a->eai_deferred, first, *link_in((void *)first)));
    EAI_LEAVE(irq);
    eai_unlock(a);
    return (void *)first;
}
#endif

size_t eai_drain(alloc_t *a, size_t max_steps)
{
    size_t n = 0;
#if EA_CFG_ALLOC_ISR
    for (; n < max_steps; n++) {
        void *raw = take_deferred(a);
        if (!raw) break;
#if !EAI_TAGGED
        *sign_in(raw) = 0;
#endif
        ea_status_t status = eai_settle(a, eai_home_of(a, raw), raw, false);
        if (EA_LIKELY(status == EA_OK)) continue;
        ea_guard_report_t report = {.kind = eai_kind_of(status),
                                    .block = (char *)raw + EAI_FRONT_BYTES};
        (void)eai_damaged(a, false, &report, status, NULL);
    }
#else
    (void)a, (void)max_steps;
#endif
    return n;
}

#if EA_CFG_ALLOC_ISR
size_t eai_count_deferred(alloc_t *a)
{
    size_t n = 0;
    eai_lock(a);
    uintptr_t at = EAI_LOAD(&a->eai_deferred, EAI_ACQUIRE); /* pairs with defer */
    for (; at != 0; at = *link_in((void *)at)) n++;         /* bound: blocks deferred */
    eai_unlock(a);
    return n;
}
#endif

size_t ea_allocator_poll(alloc_t *a, size_t max_steps)
{
    if (eai_verify_seals(a, false) != EA_OK) return 0;
    size_t n = eai_drain(a, max_steps);
    if (n != 0) eai_after_free(a);
    return n;
}

/* A block of a region that its user has given up: into quarantine or its heap. Task. */
ea_status_t eai_settle(alloc_t *a, uint8_t place, void *raw, bool is_poisoned)
{
    (void)is_poisoned;
#if EA_CFG_GUARD >= 3
    if (is_poisoned) {
        size_t usable = eai_usable_locked(a, place, raw) - EAI_FRONT_BYTES;
        if (eai_detain(a, (char *)raw + EAI_FRONT_BYTES, usable)) return EA_OK;
    }
#endif
    return eai_release(a, place, raw, false);
}

/* --- finding ---------------------------------------------------------------------------------- */

#if EAI_TAGGED
/* May who calls free a block of this owner? */
static bool may_free(const alloc_t *a, const eai_block_t *block)
{
    (void)a, (void)block;
#if EAI_ALLOC_OWNERS
    return !block->freer || block->label.owner == 0 || block->freer == block->label.owner ||
           !a->eai_strict_owner;
#else
    return true;
#endif
}
#endif

/* Look at a block's tag and guards; if it is to be freed mark it, so that of two that free it one
 * succeeds. */
static ea_status_t inspect(alloc_t *a, eai_block_t *block, eai_finding_t *finding)
{
#if EAI_TAGGED
    finding->kind =
        eai_guard_check(&a->eai_guard, block->tag, block->payload, block->usable_bytes, finding);
    if (EA_UNLIKELY(finding->kind != EA_GUARD_NONE)) return EA_ERR_CORRUPT;
    (void)eai_guard_label(&a->eai_guard, block->tag, block->payload, &block->label);
    if (!block->goes) return EA_OK;
    if (!may_free(a, block)) {
        finding->kind = EA_GUARD_WRONG_OWNER;
        return EA_ERR_NOT_OWNER;
    }
    if (!eai_guard_claim(&a->eai_guard, block->tag, block->payload, &block->poisons)) {
        finding->kind = EA_GUARD_DOUBLE_FREE; /* an interrupt was faster */
        return EA_ERR_DOUBLE_FREE;
    }
#else
    (void)a, (void)block, (void)finding;
#endif
    return EA_OK;
}

/* What stands in the slot's heap under payload. locked: else only what no other context can be
 * changing is looked at, which is enough to tell a live block from most others. */
static ea_status_t look_at(alloc_t *a, slot_t *slot, bool locked, eai_block_t *block,
                           eai_finding_t *finding)
{
    char *raw = block->payload - EAI_FRONT_BYTES;
    size_t usable = 0;
    const char *begin = EAI_PEEK(&slot->eai_begin), *end = EAI_PEEK(&slot->eai_end);
    if (EA_UNLIKELY(EAI_PEEK(&slot->eai_heap) == NULL ||
                    ((uintptr_t)raw & (EA_HEAP_ALIGN - 1u)) != 0 ||
                    (uintptr_t)raw - (uintptr_t)begin >= (size_t)(end - begin)))
        return EA_ERR_FOREIGN;
    if (EA_LIKELY(locked)) {
        ea_status_t status = ea_heap_probe(slot->eai_heap, raw, &usable);
#if EAI_TAGGED
        /* Links have been written over the tag, but not over all of it. */
        if (EA_UNLIKELY(status == EA_ERR_DOUBLE_FREE))
            (void)eai_guard_label(&a->eai_guard, eai_guard_front_tag(block->payload),
                                  block->payload, &block->label);
#endif
        if (EA_UNLIKELY(status != EA_OK)) return status;
    } else {
        usable = ea_heap_usable_size_bytes(slot->eai_heap, raw);
        if (usable > (size_t)(end - raw)) return EA_ERR_CORRUPT;
    }
    if (EA_UNLIKELY(usable <= EAI_FRONT_BYTES)) return EA_ERR_CORRUPT;
    block->gross_bytes = usable + EA_HEAP_OVERHEAD_BYTES;
    block->usable_bytes = usable - EAI_FRONT_BYTES;
#if EAI_TAGGED
    block->tag = eai_guard_front_tag(block->payload);
#endif
    ea_status_t status = inspect(a, block, finding);
    if (EA_UNLIKELY(status != EA_OK) || !block->goes || !locked || block->aside || block->poisons ||
        EA_CFG_GUARD >= 3)
        return status;
    /* Nothing takes long from here on: free it while the lock is held. */
    status = ea_heap_free(slot->eai_heap, raw);
    block->is_free = status == EA_OK;
    return status;
}

static EA_NOINLINE ea_status_t not_live(alloc_t *a, bool isr, const eai_block_t *block,
                                        eai_finding_t *finding, ea_status_t status,
                                        const void *caller)
{
    ea_guard_report_t report = {.block = block->payload};
    if (finding->kind == EA_GUARD_NONE)
        finding->kind = eai_kind_of(status);
    else if (finding->kind == EA_GUARD_DOUBLE_FREE)
        status = EA_ERR_DOUBLE_FREE;
#if EAI_TAGGED
    if (block->tag)
        eai_guard_describe(&a->eai_guard, block->tag, block->payload, finding, &report);
    else if (sizeof(uintptr_t) > 4) /* what links leave: see guard.c */
        report.owner = block->label.owner;
    else
        report.site = block->label.site;
#endif
    report.kind = finding->kind;
    if (!isr && block->place < EA_CFG_ALLOC_REGIONS && status != EA_ERR_NOT_OWNER)
        eai_name_neighbours(a, block, &report);
    return eai_damaged(a, isr, &report, status, caller);
}

static ea_status_t locate(alloc_t *a, bool isr, eai_block_t *block, eai_finding_t *finding)
{
    ea_status_t status = EA_ERR_FOREIGN;
    uint8_t i = eai_slot_from(a, 0, block->payload);
    block->place = i;
    while (EA_LIKELY(i != EAI_NO_PLACE)) { /* bound: EA_CFG_ALLOC_REGIONS */
        slot_t *slot = &a->eai_slots[i];
        bool locked = !block->aside && eai_lock_slot(a, slot, isr);
        status = look_at(a, slot, locked, block, finding);
        if (locked) eai_unlock_slot(a, slot);
        if (EA_LIKELY(status != EA_ERR_FOREIGN)) {
            block->place = i;
            return status;
        }
        i = eai_slot_from(a, i + 1u, block->payload); /* the slot's region just came or went? */
    }
#if EA_CFG_ALLOC_POOLS
    if (a->eai_pools && ea_poolset_owns(a->eai_pools, block->payload)) {
        block->place = EAI_POOL_PLACE;
        block->gross_bytes = block->usable_bytes =
            ea_poolset_usable_bytes(a->eai_pools, block->payload);
#if EAI_TAGGED
        block->tag = eai_pool_tag(a, block->payload);
        bool locked = !block->aside && eai_lock_place(a, EAI_POOL_PLACE, isr);
        status = inspect(a, block, finding);
        if (locked) eai_unlock_place(a, EAI_POOL_PLACE);
#else
        status = inspect(a, block, finding);
#endif
    }
#endif
    return status;
}

static ea_status_t find(alloc_t *a, bool isr, eai_block_t *block, const void *caller)
{
    eai_finding_t finding = {0};
    if (eai_verify_seals(a, isr) != EA_OK) return EA_ERR_CORRUPT;
    ea_status_t status = locate(a, isr, block, &finding);
    if (EA_UNLIKELY(status != EA_OK)) return not_live(a, isr, block, &finding, status, caller);
    return EA_OK;
}

ea_status_t eai_look(const alloc_t *a, const void *ptr, eai_block_t *block)
{
    eai_finding_t finding = {0};
    *block = (eai_block_t){.payload = (char *)(uintptr_t)ptr};
    /* The lock is not part of what const promises. */
    alloc_t *mutable_a = (alloc_t *)(uintptr_t)a;
    if (eai_unsound(mutable_a, eai_in_isr())) return EA_ERR_CORRUPT;
    ea_status_t status = locate(mutable_a, eai_in_isr(), block, &finding);
    return finding.kind == EA_GUARD_DOUBLE_FREE ? EA_ERR_DOUBLE_FREE : status;
}

ea_status_t eai_find(alloc_t *a, void *ptr, eai_block_t *block, const void *caller)
{
    *block = (eai_block_t){.payload = ptr};
    return find(a, false, block, caller);
}

/* --- public: free ----------------------------------------------------------------------------- */

/* A claimed block goes where it belongs: to its pool or region, aside, or into quarantine. */
static ea_status_t give_up(alloc_t *a, const eai_block_t *block, bool isr)
{
    void *raw = eai_raw_of(block);
    if (block->is_free) return EA_OK;
#if EA_CFG_ALLOC_ISR
    if (EA_UNLIKELY(isr) && !eai_is_pool(block->place)) {
        ea_status_t status = block->aside ? EA_ERR_BUSY : eai_release(a, block->place, raw, true);
        if (status != EA_ERR_BUSY) return status;
#if !EAI_TAGGED
        if (is_deferred(a, raw)) return EA_ERR_DOUBLE_FREE;
#endif
        defer(a, raw);
        return EA_OK;
    }
#endif
#if EAI_TAGGED
    if (block->poisons) eai_guard_poison(block->payload, block->usable_bytes);
#endif
    if (eai_is_pool(block->place)) return eai_release(a, block->place, raw, isr);
    return eai_settle(a, block->place, raw, block->poisons);
}

ea_status_t eai_discard(alloc_t *a, eai_block_t *block, bool isr, const void *caller)
{
    ea_status_t status = find(a, isr, block, caller);
    if (EA_UNLIKELY(status != EA_OK)) return status;
    status = give_up(a, block, isr);
    if (EA_UNLIKELY(status != EA_OK)) {
        ea_guard_report_t report = {.kind = eai_kind_of(status), .block = block->payload};
        return eai_damaged(a, isr, &report, status, caller);
    }
#if EAI_ALLOC_OWNERS
    if (block->label.owner != 0 && a->eai_accounts) {
        ea_account_t *owner = ea_account_by_id(a->eai_accounts, block->label.owner);
        if (EA_LIKELY(owner != NULL)) (void)ea_account_return(owner, block->gross_bytes);
    }
    if (EA_UNLIKELY(block->freer && block->label.owner && block->freer != block->label.owner))
        eai_tell(a, isr, EA_EVENT_WRONG_OWNER, EA_REASON_NONE, block->label.owner,
                 block->usable_bytes, block->payload, caller);
#endif
    eai_add_used(a, 0u - block->gross_bytes);
    return EA_OK;
}

void eai_look_around(alloc_t *a)
{
    look_around_after_free(a);
}

static EA_NOINLINE ea_status_t free_block(alloc_t *a, void *ptr, bool isr, bool aside,
                                          const void *caller)
{
    eai_block_t block = {.payload = ptr, .goes = true, .aside = aside};
#if EAI_ALLOC_OWNERS
    const ea_account_t *freer = isr ? NULL : ea_owner_current();
    block.freer = freer && eai_is_ours(a, freer) ? ea_account_id(freer) : 0;
#endif
    ea_status_t status = eai_discard(a, &block, isr, caller);
    if (status == EA_OK && !isr) eai_look_around(a);
#if EA_CFG_ALLOC_ISR && EA_CFG_ALLOC_WAIT
    if (EA_UNLIKELY(isr) && status == EA_OK && eai_has_waiters(a)) eai_rouse_isr(a);
#endif
    return status;
}

ea_status_t ea_free(alloc_t *a, void *ptr)
{
    if (!ptr) return EA_OK;
#if EAI_PLAIN
    /* Nothing to do but to find the region. */
    uint8_t place = eai_slot_from(a, 0, ptr);
    if (EA_CFG_CHECK_LEVEL < 2 && EA_LIKELY(place != EAI_NO_PLACE)) {
        ea_status_t status = ea_heap_free(a->eai_slots[place].eai_heap, ptr);
        if (EA_LIKELY(status == EA_OK)) return EA_OK;
    }
#else
    if (EA_LIKELY(give_quickly(a, ptr))) return EA_OK;
#endif
    return free_block(a, ptr, eai_in_isr(), false, EAI_CALLER());
}

#if EA_CFG_ALLOC_ISR
ea_status_t ea_free_isr(alloc_t *a, void *ptr)
{
    if (!ptr) return EA_OK;
    return free_block(a, ptr, true, true, EAI_CALLER());
}
#endif
