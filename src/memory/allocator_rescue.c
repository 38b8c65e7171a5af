/* SPDX-License-Identifier: MIT
 *
 * When memory ends: the chain (row A7). A request comes here when its owner's budget, the pools and
 * the regions as they are have refused it. allocator.h states the order of the links; each is a
 * function here that brings a block or nothing, and is compiled out with its knob.
 *
 * A request that fails inside a callback of the chain, in the same task, goes through the chain
 * without callbacks and without waiting: so the chain has no recursion, and a reclaimer may
 * allocate. Tasks inside callbacks are on a list; each node is on its task's stack.
 *
 * The reserve is a block of a region like any other. A critical request frees it and takes its own
 * block in one locked section, and what is left becomes the reserve again.
 */
#include "memory/allocator_internal.h"

#if EA_CFG_ALLOC_REPORT
/* --- why -------------------------------------------------------------------------------------- */

/* What the regions that suit the request could do. */
typedef struct {
    bool any;
    size_t max_bytes; /* the largest request any of them could ever grant */
    size_t free_bytes;
    size_t largest_bytes;
} prospect_t;

static prospect_t look_for(alloc_t *a, const eai_want_t *want)
{
    prospect_t p = {false, 0, 0, 0};
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++) {
        slot_t *slot = &a->eai_slots[i];
        if (!eai_is_there(slot) || (want->isr && eai_store_of(slot)) ||
            (want->capabilities & ~EAI_PEEK(&slot->eai_capabilities)) != 0 ||
            (EAI_PEEK(&slot->eai_policy) == EA_POLICY_CRITICAL && !want->critical) ||
            !eai_lock_slot(a, slot, want->isr))
            continue;
#if EA_CFG_ALLOC_MOVABLE
        if (slot->eai_store && (!want->store || want->store == slot->eai_store)) {
            ea_heap_stats_t stats;
            eai_stats_of(slot, &stats);
            p.any = true;
            p.free_bytes += stats.free_bytes;
            if (stats.largest_free_bytes > p.largest_bytes)
                p.largest_bytes = stats.largest_free_bytes;
            if (stats.total_bytes - EA_MOVABLE_HEADER_BYTES > p.max_bytes)
                p.max_bytes = stats.total_bytes - EA_MOVABLE_HEADER_BYTES;
        }
#endif
        if (slot->eai_heap && !eai_is_for_movable(want)) {
            size_t largest = ea_heap_largest_free_bytes(slot->eai_heap);
            size_t max = ea_heap_max_alloc_bytes(slot->eai_heap);
            size_t free = ea_heap_free_bytes(slot->eai_heap), kept = eai_kept_bytes(slot, want);
            free -= free < kept ? free : kept;
            if (largest > free) largest = free;
            p.any = true;
            p.free_bytes += free;
            if (largest > p.largest_bytes) p.largest_bytes = largest;
            if (max > p.max_bytes) p.max_bytes = max;
        }
        eai_unlock_slot(a, slot);
    }
    return p;
}

static ea_reason_t reason_of(const eai_want_t *want, const prospect_t *p)
{
#if EAI_ALLOC_OWNERS
    if (want->limiter) return EA_REASON_OVER_LIMIT;
#endif
    if (!p->any) return EA_REASON_NO_CAPABILITY;
    if (want->raw_bytes > p->max_bytes) return EA_REASON_TOO_LARGE;
    return p->free_bytes > want->raw_bytes ? EA_REASON_FRAGMENTED : EA_REASON_EXHAUSTED;
}

static void describe(alloc_t *a, const eai_want_t *want, ea_reason_t reason, ea_failure_t *f)
{
    prospect_t p = look_for(a, want);
    *f = (ea_failure_t){
        .reason = reason != EA_REASON_NONE ? reason : reason_of(want, &p),
        .size_bytes = want->size_bytes,
        .alignment_bytes = want->alignment_bytes ? want->alignment_bytes : EA_HEAP_ALIGN,
        .capabilities = want->capabilities,
        .free_bytes = p.free_bytes,
        .largest_free_bytes = p.largest_bytes > EAI_FRONT_BYTES + EAI_BACK_BYTES
                                  ? p.largest_bytes - EAI_FRONT_BYTES - EAI_BACK_BYTES
                                  : 0,
        .caller = want->caller,
        .time_us = ea_port_time_coarse_us(),
    };
#if EAI_ALLOC_OWNERS
    f->owner = want->owner ? ea_account_id(want->owner) : 0;
    f->limiter = want->limiter ? ea_account_id(want->limiter) : 0;
#endif
}
#endif

/* Refuse, with a reason; EA_REASON_NONE: find out. */
void eai_refuse(alloc_t *a, const eai_want_t *want, ea_reason_t reason)
{
    (void)a, (void)want, (void)reason;
#if EA_CFG_ALLOC_REPORT
    ea_failure_t f;
    describe(a, want, reason, &f);
    ea_port_irq_t irq = ea_port_irq_mask(); /* from any context: one record of constant size */
    f.sequence = a->eai_failure.sequence + 1u;
    a->eai_failure = f;
    EAI_POKE(&a->eai_n_failures_by[f.reason], EAI_PEEK(&a->eai_n_failures_by[f.reason]) + 1u);
    ea_port_irq_restore(irq);
    if (f.reason == EA_REASON_OVER_LIMIT)
        eai_tell(a, want->isr, EA_EVENT_LIMIT, f.reason, f.limiter, f.size_bytes, NULL, f.caller);
    eai_tell(a, want->isr, EA_EVENT_OUT_OF_MEMORY, f.reason, f.owner, f.size_bytes, NULL, f.caller);
#endif
    if (eai_is_watched(a))
        eai_show(a, EA_BLOCK_REFUSED, eai_owner_id(want), want->caller, NULL, want->size_bytes);
}

#if EA_CFG_ALLOC_REPORT
void ea_allocator_last_failure(const alloc_t *a, ea_failure_t *failure)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    *failure = a->eai_failure;
    ea_port_irq_restore(irq);
}

void eai_emit(alloc_t *a, bool isr, const ea_event_t *event)
{
    if (isr)
        ea_events_emit_isr(a->eai_events, event);
    else
        ea_events_emit(a->eai_events, event);
}

void eai_tell(alloc_t *a, bool isr, ea_event_kind_t kind, ea_reason_t reason, uint16_t owner,
              size_t size_bytes, const void *where, const void *caller)
{
    if (!ea_events_wanted(a->eai_events, (uint16_t)kind)) return;
    const ea_event_t event = {.time_us = ea_port_time_coarse_us(),
                              .kind = (uint16_t)kind,
                              .owner = owner,
                              .reason = (uint8_t)reason,
                              .size_bytes = size_bytes,
                              .where = where,
                              .caller = caller};
    eai_emit(a, isr, &event);
}
#endif

/* --- who is inside a callback ----------------------------------------------------------------- */

#define HAS_CALLBACKS (EA_CFG_ALLOC_RECLAIM || EA_CFG_ALLOC_HANDLER)

#if HAS_CALLBACKS
/* A task is told by where it keeps its pointer. */
static bool begin_callbacks(alloc_t *a, eai_helping_t *node)
{
    node->eai_task = ea_port_task_slot();
    eai_lock(a);
    const eai_helping_t *other = a->eai_helping;
    /* Bound: tasks inside a callback of this allocator. */
    while (other && other->eai_task != node->eai_task) other = other->eai_next;
    if (!other) {
        node->eai_next = a->eai_helping;
        a->eai_helping = node;
    }
    eai_unlock(a);
    return !other;
}

static void end_callbacks(alloc_t *a, eai_helping_t *node)
{
    eai_lock(a);
    eai_helping_t **at = &a->eai_helping;
    while (*at != node) at = &(*at)->eai_next; /* bound: as above */
    *at = node->eai_next;
    eai_unlock(a);
}
#endif

/* --- compaction, counted and told ------------------------------------------------------------- */

#if EA_CFG_ALLOC_RECLAIM || EA_CFG_ALLOC_MOVABLE
/* So far, in all regions. */
static size_t moved_bytes(alloc_t *a)
{
    size_t bytes = 0;
#if EA_CFG_ALLOC_MOVABLE && EA_CFG_ALLOC_REPORT
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++) {
        slot_t *slot = &a->eai_slots[i];
        ea_movable_stats_t stats = {0};
        (void)eai_lock_slot(a, slot, false);
        if (slot->eai_store) ea_movable_stats(slot->eai_store, &stats);
        eai_unlock_slot(a, slot);
        bytes += stats.moved_bytes;
    }
#endif
    return (void)a, bytes;
}

static void note_compaction(alloc_t *a, const eai_want_t *want, size_t before, const void *payload)
{
    eai_count(a, EAI_N_COMPACTIONS);
    if (payload) eai_count(a, EAI_N_COMPACTED);
    eai_tell(a, false, EA_EVENT_COMPACT, EA_REASON_NONE, eai_owner_id(want),
             moved_bytes(a) - before, payload, want->caller);
    (void)want, (void)before;
}
#endif

/* --- what was freed but is not there yet ------------------------------------------------------ */

static void *gather(alloc_t *a, eai_want_t *want)
{
    bool any = eai_drain(a, SIZE_MAX) != 0;
#if EA_CFG_GUARD >= 3
    any |= eai_discharge(a);
#endif
    return any ? eai_try(a, want) : NULL;
}

/* --- reclaimers ------------------------------------------------------------------------------- */

#if EA_CFG_ALLOC_RECLAIM
ea_status_t ea_allocator_add_reclaimer(alloc_t *a, ea_reclaimer_t *reclaimer)
{
    ea_status_t status = EA_OK;
    if (!reclaimer || !reclaimer->reclaim) return EA_ERR_INVALID;
    eai_lock(a);
    ea_reclaimer_t **at = &a->eai_reclaimers;
    for (const ea_reclaimer_t *r = *at; r; r = r->eai_next)
        if (r == reclaimer) status = EA_ERR_INVALID;
    if (status == EA_OK) {
        while (*at && (*at)->cost <= reclaimer->cost) at = &(*at)->eai_next;
        reclaimer->eai_serial = a->eai_reclaimer_serial + 1u;
        EAI_POKE(&a->eai_reclaimer_serial, reclaimer->eai_serial);
        reclaimer->eai_n_busy = 0;
        reclaimer->eai_next = *at;
        *at = reclaimer;
    }
    eai_unlock(a);
    return status;
}

ea_status_t ea_allocator_remove_reclaimer(alloc_t *a, ea_reclaimer_t *reclaimer)
{
    ea_status_t status = EA_ERR_NOT_FOUND;
    eai_lock(a);
    ea_reclaimer_t **at = &a->eai_reclaimers;
    while (*at && *at != reclaimer) at = &(*at)->eai_next;
    if (*at && reclaimer->eai_n_busy != 0) {
        status = EA_ERR_BUSY;
    } else if (*at) {
        *at = reclaimer->eai_next;
        status = EA_OK;
    }
    eai_unlock(a);
    return status;
}

void ea_allocator_set_compact(alloc_t *a, ea_compact_t compact, void *context)
{
    eai_lock(a);
    a->eai_compact = compact;
    a->eai_compact_context = context;
    eai_unlock(a);
}

/* The reclaimer after the one of such a cost and serial, kept from removal; NULL: none. Those added
 * after the one with serial newest are not asked: they may be old ones added anew, without end. */
static ea_reclaimer_t *next_reclaimer(alloc_t *a, uint32_t cost, uint32_t serial, uint32_t newest)
{
    eai_lock(a);
    ea_reclaimer_t *r = a->eai_reclaimers;
    while (r && (r->cost < cost || (r->cost == cost && r->eai_serial <= serial) ||
                 r->eai_serial > newest))
        r = r->eai_next;
    if (r) r->eai_n_busy++;
    eai_unlock(a);
    return r;
}

static bool is_protected(const ea_reclaimer_t *r)
{
#if EAI_ALLOC_OWNERS
    return r->owner && ea_account_reclaimable(r->owner) == 0;
#else
    (void)r;
    return false;
#endif
}

/* Each reclaimer at most once, those whose owner is protected after the others. */
static void *reclaim(alloc_t *a, eai_want_t *want)
{
    uint32_t newest = EAI_PEEK(&a->eai_reclaimer_serial);
    for (unsigned pass = 0; pass < 2; pass++) {
        uint32_t cost = 0, serial = 0;
        ea_reclaimer_t *r;
        void *payload = NULL;
        while (!payload && (r = next_reclaimer(a, cost, serial, newest)) != NULL) {
            /* bound: reclaimers */
            cost = r->cost;
            serial = r->eai_serial;
            size_t freed = 0;
            if (is_protected(r) == (pass == 1) && (!r->estimate || r->estimate(r->context) != 0)) {
                freed = r->reclaim(r->context, want->raw_bytes);
                eai_count(a, EAI_N_RECLAIMS);
                eai_tell(a, false, EA_EVENT_RECLAIM, EA_REASON_NONE, 0, freed, r, want->caller);
            }
            eai_lock(a);
            r->eai_n_busy--;
            eai_unlock(a);
            if (freed != 0) {
                payload = gather(a, want);
                if (!payload) payload = eai_try(a, want);
            }
        }
        if (payload) {
            eai_count(a, EAI_N_RECLAIMED);
            return payload;
        }
    }
    return NULL;
}

#if EA_CFG_ALLOC_PRESSURE && EAI_ALLOC_OWNERS
void eai_relieve(alloc_t *a, ea_account_t *account)
{
    eai_helping_t helping;
    uint32_t newest = EAI_PEEK(&a->eai_reclaimer_serial), cost = 0, serial = 0;
    ea_reclaimer_t *r;
    if (newest == 0 || !begin_callbacks(a, &helping)) return;
    while (ea_account_is_high(account) &&
           (r = next_reclaimer(a, cost, serial, newest)) != NULL) { /* bound: reclaimers */
        cost = r->cost;
        serial = r->eai_serial;
        if (r->owner && ea_account_is_below(r->owner, account) &&
            (!r->estimate || r->estimate(r->context) != 0)) {
            size_t freed = r->reclaim(r->context,
                                      ea_account_committed(account) - EAI_PEEK(&account->eai_high));
            eai_count(a, EAI_N_RECLAIMS);
            eai_tell(a, false, EA_EVENT_RECLAIM, EA_REASON_NONE, ea_account_id(account), freed, r,
                     NULL);
            (void)freed;
        }
        eai_lock(a);
        r->eai_n_busy--;
        eai_unlock(a);
    }
    end_callbacks(a, &helping);
}
#endif

static void *compact(alloc_t *a, eai_want_t *want)
{
    eai_lock(a);
    ea_compact_t step = a->eai_compact;
    void *context = a->eai_compact_context;
    eai_unlock(a);
    if (!step) return NULL;
    const size_t before = moved_bytes(a);
    void *payload = step(context, want->raw_bytes) ? eai_try(a, want) : NULL;
    note_compaction(a, want, before, payload);
    return payload;
}
#endif

/* --- regions of movable blocks ---------------------------------------------------------------- */

#if EA_CFG_ALLOC_MOVABLE
/* As before, but blocks there may be moved out of the way: now, and whenever the request is tried
 * again. */
static void *move_others(alloc_t *a, eai_want_t *want)
{
    bool any = false;
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++)
        any |= eai_store_of(&a->eai_slots[i]) != NULL;
    if (!any || want->isr || want->store) return NULL; /* what is movable did so at once */
    const size_t before = moved_bytes(a);
    want->may_move = true;
    void *payload = eai_try(a, want);
    note_compaction(a, want, before, payload);
    return payload;
}
#endif

/* --- the reserve ------------------------------------------------------------------------------ */

#if EA_CFG_ALLOC_RESERVE
/* Take as much as there is for the reserve, up to what it should be: at once, or what is left of
 * it, or nothing. The slot's lock is held. */
static void fill_reserve(alloc_t *a, slot_t *slot, size_t at_most)
{
    void *block = ea_heap_alloc(slot->eai_heap, at_most);
    EAI_POKE(&a->eai_reserve, block);
    EAI_POKE(&a->eai_reserve_held,
             block ? ea_heap_usable_size_bytes(slot->eai_heap, block) : (size_t)0);
}

/* The ordinary region asked first that could ever hold the reserve. */
static uint8_t reserve_slot(alloc_t *a, size_t bytes)
{
    uint8_t n = EAI_PEEK(&a->eai_n_regions);
    for (uint8_t k = 0; k < n; k++) {
        uint8_t i = EAI_PEEK(&a->eai_order[k]);
        slot_t *slot = &a->eai_slots[i];
        if (!eai_lock_slot(a, slot, false)) continue;
        bool fits = slot->eai_heap && slot->eai_policy != EA_POLICY_CRITICAL &&
                    bytes <= ea_heap_max_alloc_bytes(slot->eai_heap);
        eai_unlock_slot(a, slot);
        if (fits) return i;
    }
    return EAI_NO_PLACE;
}

/* Bring the reserve to what it should be, if its region can. true: it did, and had not been. */
static bool refill_reserve(alloc_t *a)
{
    bool filled = false;
    uint8_t i = EAI_PEEK(&a->eai_reserve_slot);
    if (i == EAI_NO_PLACE) return false;
    slot_t *slot = &a->eai_slots[i];
    if (!eai_lock_slot(a, slot, false)) return false;
    size_t bytes = EAI_PEEK(&a->eai_reserve_bytes);
    if (slot->eai_heap && EAI_PEEK(&a->eai_reserve_slot) == i && a->eai_reserve_held < bytes) {
        void *old = a->eai_reserve;
        void *block = ea_heap_alloc(slot->eai_heap, bytes);
        if (!block && old) {
            /* With what is held given back, there may be room in one piece. */
            size_t held = a->eai_reserve_held;
            (void)ea_heap_free(slot->eai_heap, old);
            old = NULL;
            block = ea_heap_alloc(slot->eai_heap, bytes);
            if (!block) fill_reserve(a, slot, held);
        }
        if (block) {
            if (old) (void)ea_heap_free(slot->eai_heap, old);
            EAI_POKE(&a->eai_reserve, block);
            EAI_POKE(&a->eai_reserve_held, ea_heap_usable_size_bytes(slot->eai_heap, block));
            filled = true;
        }
    }
    eai_unlock_slot(a, slot);
    return filled;
}

/* A block out of the reserve's region, the reserve given back to it for that moment. */
static void *spend_reserve(alloc_t *a, eai_want_t *want)
{
    uint8_t i = EAI_PEEK(&a->eai_reserve_slot);
    if (i == EAI_NO_PLACE || EAI_PEEK(&a->eai_reserve_held) == 0) return NULL;
    slot_t *slot = &a->eai_slots[i];
    if ((want->capabilities & ~EAI_PEEK(&slot->eai_capabilities)) != 0) return NULL;
    if (!eai_charge(want)) return NULL;
    void *payload = NULL;
    if (eai_lock_slot(a, slot, want->isr)) {
        if (slot->eai_heap && EAI_PEEK(&a->eai_reserve_slot) == i && a->eai_reserve) {
            size_t held = a->eai_reserve_held;
            (void)ea_heap_free(slot->eai_heap, a->eai_reserve);
            payload = eai_take_locked(a, i, want);
            size_t used = payload ? want->gross_bytes : 0;
            fill_reserve(a, slot, held);
            if (!a->eai_reserve && held > used + EA_HEAP_MIN_BLOCK_BYTES)
                fill_reserve(a, slot, held - used);
        }
        eai_unlock_slot(a, slot);
    }
    payload = eai_settle_charge(a, want, payload);
    if (payload) {
        eai_count(a, EAI_N_RESERVES);
        eai_tell(a, want->isr, EA_EVENT_RESERVE_USED, EA_REASON_NONE, 0, want->gross_bytes, payload,
                 want->caller);
    }
    return payload;
}

/* Give the reserve back to its slot's heap. */
static void drop_reserve(alloc_t *a)
{
    uint8_t i = EAI_PEEK(&a->eai_reserve_slot);
    if (i == EAI_NO_PLACE) return;
    slot_t *slot = &a->eai_slots[i];
    (void)eai_lock_slot(a, slot, false);
    if (EAI_PEEK(&a->eai_reserve_slot) == i) {
        if (a->eai_reserve) (void)ea_heap_free(slot->eai_heap, a->eai_reserve);
        EAI_POKE(&a->eai_reserve, NULL);
        EAI_POKE(&a->eai_reserve_held, 0);
        EAI_POKE(&a->eai_reserve_bytes, 0);
        EAI_POKE(&a->eai_reserve_slot, EAI_NO_PLACE);
    }
    eai_unlock_slot(a, slot);
}

/* The reserve is between two states only under its slot's lock; from no slot to one it goes under
 * the allocator's. */
ea_status_t ea_allocator_set_reserve(alloc_t *a, size_t reserve_bytes)
{
    drop_reserve(a);
    eai_look_around(a); /* it may do for somebody who waits */
    if (reserve_bytes == 0) return EA_OK;
    uint8_t i = reserve_slot(a, reserve_bytes);
    if (i == EAI_NO_PLACE) return EA_ERR_INVALID;
    eai_lock(a);
    bool is_first = EAI_PEEK(&a->eai_reserve_slot) == EAI_NO_PLACE;
    if (is_first) { /* else another task was faster */
        EAI_POKE(&a->eai_reserve_bytes, reserve_bytes);
        EAI_POKE(&a->eai_reserve_slot, i);
    }
    eai_unlock(a);
    return is_first && refill_reserve(a) ? EA_OK : EA_ERR_NO_MEMORY;
}
#endif

/* --- the handler ------------------------------------------------------------------------------ */

#if EA_CFG_ALLOC_HANDLER
void ea_allocator_set_handler(alloc_t *a, ea_handler_t handler, void *context)
{
    eai_lock(a);
    a->eai_handler = handler;
    a->eai_handler_context = context;
    eai_unlock(a);
}

/* The block that the handler gives up for the request: it must be good enough for it. */
static void *adopt(alloc_t *a, eai_want_t *want, void *ptr)
{
    eai_block_t block;
    if (!ptr || eai_is_for_movable(want) || eai_find(a, ptr, &block, want->caller) != EA_OK)
        return NULL;
    size_t alignment = want->alignment_bytes ? want->alignment_bytes : EA_HEAP_ALIGN;
    uint32_t capabilities =
        eai_is_pool(block.place) ? 0 : EAI_PEEK(&a->eai_slots[block.place].eai_capabilities);
    if (block.usable_bytes < want->size_bytes + EAI_BACK_BYTES ||
        ((uintptr_t)ptr & (alignment - 1u)) != 0 || (want->capabilities & ~capabilities) != 0) {
        ea_guard_report_t report = {.kind = EA_GUARD_FOREIGN, .block = ptr};
        (void)eai_damaged(a, false, &report, EA_ERR_INVALID, want->caller);
        return NULL;
    }
    want->place = block.place;
    want->gross_bytes = block.gross_bytes;
    want->usable_bytes = block.usable_bytes;
    if (!eai_pay_for(a, want, &block)) return NULL;
#if EAI_TAGGED
    eai_label_t label = block.label;
    label.site = want->caller;
    label.birth = eai_birth_now();
    if (want->is_internal) label.flags |= EAI_LABEL_INTERNAL;
#if EAI_ALLOC_OWNERS
    label.owner = want->owner ? ea_account_id(want->owner) : 0;
#endif
    (void)eai_lock_place(a, block.place, false);
    eai_guard_resize(&a->eai_guard, block.tag, ptr, want->size_bytes, want->size_bytes,
                     block.usable_bytes, &label);
    eai_unlock_place(a, block.place);
#endif
    return ptr;
}

static void *ask_handler(alloc_t *a, eai_want_t *want)
{
    for (unsigned i = 0; i < EA_ALLOCATOR_HANDLER_CALLS; i++) {
        eai_lock(a);
        ea_handler_t handler = a->eai_handler;
        void *context = a->eai_handler_context;
        eai_unlock(a);
        if (!handler) return NULL;
        ea_failure_t failure;
        void *ptr = NULL;
#if EA_CFG_ALLOC_REPORT
        describe(a, want, EA_REASON_NONE, &failure);
        failure.sequence = i;
#else
        failure = (ea_failure_t){.size_bytes = want->size_bytes, .caller = want->caller};
#endif
        eai_count(a, EAI_N_HANDLER_CALLS);
        eai_tell(a, false, EA_EVENT_HANDLER, failure.reason, 0, want->size_bytes, NULL,
                 want->caller);
        ea_handler_verdict_t verdict = handler(context, &failure, &ptr);
        void *payload = NULL;
        if (verdict == EA_HANDLER_RETRY) {
            payload = gather(a, want);
            if (!payload) payload = eai_try(a, want);
        } else if (verdict == EA_HANDLER_BLOCK) {
            payload = adopt(a, want, ptr);
            if (!payload) return NULL;
        } else {
            return NULL;
        }
        if (payload) {
            eai_count(a, EAI_N_HANDLED);
            return payload;
        }
    }
    return NULL;
}
#endif

/* --- the chain -------------------------------------------------------------------------------- */

void *eai_rescue(alloc_t *a, eai_want_t *want)
{
    void *payload = NULL;
    ea_reason_t reason = EA_REASON_NONE;
    if (!want->isr) payload = gather(a, want);
#if HAS_CALLBACKS
    eai_helping_t helping;
    bool may_call = !payload && !want->isr && begin_callbacks(a, &helping);
#endif
#if EA_CFG_ALLOC_RECLAIM
    if (!payload && may_call) payload = reclaim(a, want);
    if (!payload && may_call) payload = compact(a, want);
#endif
#if EA_CFG_ALLOC_MOVABLE
    if (!payload) payload = move_others(a, want);
#endif
#if EA_CFG_ALLOC_RESERVE
    if (!payload && want->critical && !eai_is_for_movable(want)) payload = spend_reserve(a, want);
#endif
#if HAS_CALLBACKS
    if (may_call) end_callbacks(a, &helping);
#endif
#if EA_CFG_ALLOC_WAIT
#if HAS_CALLBACKS
    if (!may_call) want->timeout_us = 0;
#endif
    if (!payload && want->timeout_us != 0) {
        payload = eai_wait(a, want);
        if (!payload) reason = EA_REASON_TIMEOUT;
    }
#endif
#if EA_CFG_ALLOC_HANDLER
    if (!payload && may_call && begin_callbacks(a, &helping)) {
        payload = ask_handler(a, want);
        end_callbacks(a, &helping);
    }
#endif
    if (!payload) eai_refuse(a, want, reason);
#if EA_CFG_ALLOC_WAIT
    /* What this request gathered, or charged and gave back, may do for another. */
    if (!want->isr && EA_UNLIKELY(eai_has_waiters(a))) eai_serve(a);
#endif
    return payload;
}

void eai_after_free(alloc_t *a)
{
    eai_watch(a);
#if EA_CFG_ALLOC_WAIT
    if (eai_has_waiters(a)) {
        eai_serve(a);
#if EA_CFG_ALLOC_PRESSURE
        ea_pressure_progress(&a->eai_pressure, ea_port_time_us());
#endif
    }
#endif
#if EA_CFG_ALLOC_RESERVE
    size_t bytes = EAI_PEEK(&a->eai_reserve_bytes);
    if (EAI_PEEK(&a->eai_reserve_held) < bytes && refill_reserve(a))
        eai_tell(a, false, EA_EVENT_RESERVE_REFILLED, EA_REASON_NONE, 0, bytes, NULL, NULL);
#endif
}
