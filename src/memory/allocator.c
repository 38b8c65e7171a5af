/* SPDX-License-Identifier: MIT
 *
 * The allocator: requests and what serves them. allocator_free.c finds blocks and gives them back,
 * allocator_regions.c holds its life, regions and pools, allocator_resize.c the rest of the malloc
 * family, allocator_rescue.c the chain for when memory ends, allocator_movable.c regions of movable
 * blocks, allocator_wait.c those that wait, allocator_blocks.c what looks at blocks and owners.
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
 * Rejected: one heap over all regions (attributes, locks and spans differ); a queue of fixed length
 * for what interrupts free (it can be full); handing each region its own copy of the chain.
 */
#include "memory/allocator_internal.h"

#include "memory/guard_inline.h"
#if EAI_ALLOC_OWNERS
#include "ealloc/owner.h"
#endif

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
    want->raw_bytes = eai_raw_bytes(size_bytes, want->is_guarded);
#else
    want->raw_bytes = eai_raw_bytes(size_bytes, false);
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
#if EA_CFG_ALLOC_MOVABLE
    want->may_move = false;
    want->store = NULL;
#endif
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
    return eai_is_there(slot) && !(want->isr && eai_store_of(slot)) &&
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
#if EA_CFG_ALLOC_MOVABLE
    if (EA_UNLIKELY(slot->eai_store)) {
        void *payload = eai_take_fixed_locked(a, index, want);
        if (payload) dress(a, want, payload);
        return payload;
    }
#endif
    if (EA_UNLIKELY(slot->eai_line_log2)) {
        /* The payload begins and ends with a line; what is in front of it has one of its own. */
        size_t line = (size_t)1 << slot->eai_line_log2;
        if (alignment < line) alignment = line;
        raw_bytes += -want->size_bytes & (line - 1u);
    }
    if (EA_LIKELY(alignment == 0))
        raw = EA_UNLIKELY(want->long_lived) ? ea_heap_alloc_high(heap, raw_bytes)
                                            : ea_heap_alloc(heap, raw_bytes);
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
static void *take_from_region(alloc_t *a, uint8_t index, eai_want_t *want)
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
            void *payload = take_from_region(a, i, want);
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
    return best == EAI_NO_PLACE ? NULL : take_from_region(a, best, want);
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
        void *payload = take_from_region(a, EAI_PEEK(&a->eai_order[k]), want);
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
    return charge_up_to(want, eai_is_for_movable(want) ? want->gross_bytes
                                                       : eai_gross_of(want->raw_bytes));
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
#if EA_CFG_ALLOC_MOVABLE
    if (EA_UNLIKELY(want->store)) return eai_try_movable(a, want);
#endif
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
#if EA_CFG_ALLOC_MOVABLE
    if (want->store) {
        eai_drop_movable(a, want);
        charge_down_to(want, 0);
        return;
    }
#endif
#if EAI_TAGGED
    /* Nobody else knows the block: an interrupt may mark it without a lock. */
    bool locked = eai_lock_place(a, want->place, want->isr);
    bool poisons = eai_guard_mark(&a->eai_guard, eai_tag_of(a, payload, want->place), payload);
    if (locked) eai_unlock_place(a, want->place);
    if (poisons && eai_is_pool(want->place)) eai_guard_poison(payload, want->usable_bytes);
#endif
    (void)eai_give_up(a, &block, want->isr);
    charge_down_to(want, 0);
}

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

/* After something was taken. */
EA_INLINE void look_around(alloc_t *a, bool isr)
{
#if EA_CFG_ALLOC_ISR
    if (!isr && EA_UNLIKELY(EAI_PEEK(&a->eai_deferred) != 0) && eai_drain(a, 4) != 0 &&
        eai_is_awaited(a))
        eai_after_free(a);
#endif
    if (!isr && EA_UNLIKELY(eai_level_may_change(a))) eai_watch(a);
    if (!isr) eai_look_at_accounts(a);
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
#if EA_CFG_ALLOC_HOOK
    if (eai_is_watched(a)) {
        const eai_sizes_t sizes = {size_bytes, want.usable_bytes, 0};
        eai_show_new(a, EA_BLOCK_ALLOCATED, eai_owner_id(&want), want.caller, payload, &sizes);
    }
#endif
    look_around(a, want.isr);
    return payload;
}

/* --- the common way --------------------------------------------------------------------------- */

/* What most calls do, in one piece: an ordinary request of a task to the region asked first.
 * Whatever is not as usual is left to the general way, which begins anew. */
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
    bool is_guarded = false;
    (void)caller;
    if (eai_is_watched(a)) return NULL; /* the hooks are told in the general way */
#if EAI_TAGGED
    eai_label_t label = {.site = caller};
    is_guarded = eai_guard_picks(&a->eai_guard);
    if (is_guarded) label.flags = EAI_LABEL_GUARDED;
    if (EA_CFG_TAGS) label.birth = eai_birth_now();
#endif
    size_t raw_bytes = eai_raw_bytes(size_bytes, is_guarded);
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
            (void)eai_give_back(a, first, payload - EAI_FRONT_BYTES, false);
            (void)ea_account_return(owner, likely);
            payload = NULL;
        }
    }
#endif
    if (EA_UNLIKELY(payload == NULL)) return NULL;
    eai_add_used(a, gross);
#if EAI_TAGGED
    if (EA_CFG_GUARD >= 2 && is_guarded) eai_guard_freshen(payload, 0, size_bytes);
#endif
    look_around(a, false);
    return payload;
}

#endif

void *ea_malloc(alloc_t *a, size_t size_bytes)
{
    void *block;
#if EAI_PLAIN
    /* Nothing to do but to ask the first region, if an ordinary request may. */
    uint8_t first = a->eai_first;
    if (EA_CFG_CHECK_LEVEL < 2 && EA_LIKELY(first != EAI_NO_PLACE) && !eai_is_watched(a)) {
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
