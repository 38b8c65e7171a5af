/* SPDX-License-Identifier: MIT
 *
 * The monitor: the scheme, and acquire.
 *
 *     free(g) --taken--> reserved(g) --charged, counted, record written--> live(g)
 *     live(g) --one winner--> releasing(g) --destroyed, counted, returned--> free(g+1)
 *     live(g) --one winner--> queued(g) --the cleanup--> cleaning(g) ------> free(g+1)
 *                             releasing(g) --to be handed out again--> idle(g+1) --> reserved(g+1)
 *     free(g) --taken for a reservation--> held(g) --> reserved(g), or free(g+1) when that is over
 *
 *     memory   [stripes][tallies][slots][kinds][sums][queue][idle][bits]
 *
 * Invariants, at every instant, whatever is under way
 *   M1 A slot is what its word says. Every step from one state to another that two contexts could
 *      try is a compare-and-swap of the whole word, generation included; so exactly one of them
 *      does it, and a handle of an earlier generation does nothing.
 *   M2 What lives is charged. The account is charged and the type's tally counts while the slot is
 *      reserved; the account is returned to, and the tally counts, while it is releasing or
 *      cleaning. So units and counts that no live slot explains belong to slots that say that they
 *      are on their way: where no slot is, both agree with the slots exactly.
 *   M3 Bits, hints, idle cells and the queue's entries only say where to look. Who finds a slot by
 *      them moves its word or looks on. One too many is harmless, one too few makes a slot that is
 *      not found, for an audit.
 *   M4 No limit is passed: accounts see to that (accounts/account.c), and nothing is made before
 *      its charge was granted. Idle objects are charged to nobody, yet live and idle ones together
 *      are no more than the capacity: see below.
 *   M5 A record of a slot that is live, queued or idle fits its seal; while a change is under way
 *      (more were begun than ended) one may not.
 *
 * Why no slot is lost. A slot that becomes free has its bit set: either its word is free before the
 * bit is looked at, or whoever clears the bit looks at the word again afterwards; both in one order
 * that all agree on, so one of the two sees what the other did. A context that dies in between
 * leaves a free slot without a bit, which an audit finds.
 *
 * Why idle objects do not pass the limit. Of those who were charged, D hold an object or will make
 * one; I objects are idle. Only who was charged takes an idle one or, after a moment without any,
 * makes one. To make one: D + 1 <= charged <= capacity and I = 0. To take an idle one is D + 1, I -
 * 1; to give one back, before the charge is returned, D - 1, I + 1. So D + I never passes the
 * capacity.
 *
 * The release queue holds slots, not pointers, and what counts is that the slot says queued. The
 * cleanup moves it to cleaning and takes the entry away after it is done: if it dies before, the
 * next one finds the entry; if it dies within, the slot says cleaning, with the number of an
 * incarnation that is no more. Released is each at most once.
 *
 * Complexity: constant, but where a stripe has no free slot at its hint: a look at a word for each
 * 32 slots. Repetitions mean that another context's call got through.
 *
 * Rejected: a list of free slots (a context that dies between taking from it and saying so loses
 * the slot for good, and nobody can tell; a list cannot be checked while others use it); counting
 * first and telling later, or the other way round (what is on its way could not be told from what
 * is wrong); a queue of objects (released twice, or never, when the cleanup dies).
 */
#include "monitor/monitor_internal.h"

#include "accounts/account_internal.h"

#include "ealloc/port.h"

/* --- counters and refusals -------------------------------------------------------------------- */

static ea_reason_t reason_of(ea_status_t status)
{
    switch (status) {
    case EA_ERR_NO_MEMORY: return EA_REASON_EXHAUSTED;
    case EA_ERR_LIMIT: return EA_REASON_OVER_LIMIT;
    case EA_ERR_TIMEOUT: return EA_REASON_TIMEOUT;
    case EA_ERR_INVALID: return EA_REASON_INVALID;
    case EA_ERR_TOO_LARGE: return EA_REASON_TOO_LARGE;
    case EA_ERR_CORRUPT: return EA_REASON_DAMAGED;
    case EA_ERR_BUSY: return EA_REASON_IN_LINE;
    default: return EA_REASON_NONE;
    }
}

static EA_NOINLINE ea_status_t fail(monitor_t *monitor, const ea_resource_request_t *request,
                                    ea_status_t status)
{
    ea_reason_t reason = reason_of(status);
    if (request->type < monitor->eai_n_types) {
        const ea_account_t *account = request->account;
        bool is_known =
            account != NULL && account->eai_book == monitor->eai_types[request->type].book;
        uint32_t stripe = is_known ? stripe_of(monitor, ea_account_id(account)) : 0;
        count(&tally_of(monitor, stripe, request->type)->failures[reason]);
    }
    if (ea_events_wanted(monitor->eai_events, EA_EVENT_LIMIT)) {
        ea_events_emit_isr(
            monitor->eai_events,
            &(ea_event_t){.kind = EA_EVENT_LIMIT,
                          .owner = request->account == NULL ? 0 : ea_account_id(request->account),
                          .reason = (uint8_t)reason,
                          .n = request->type,
                          .size_bytes = request->units,
                          .where = monitor,
                          .caller = request->caller});
    }
    return status;
}

ea_status_t eai_monitor_fail(monitor_t *monitor, const ea_resource_request_t *request,
                             ea_status_t status)
{
    return fail(monitor, request, status);
}

/* --- acquire ---------------------------------------------------------------------------------- */

/* No slot is free: one that an idle object holds is. */
static EA_NOINLINE slot_t *take_last(monitor_t *monitor, uint32_t stripe)
{
    return ea_monitor_trim(monitor, 1) == 0 ? NULL : eai_slots_take(monitor, stripe);
}

/* A reference of the parent, for the child. */
EA_INLINE bool hold_parent(monitor_t *monitor, const type_t *type, ea_resource_t parent)
{
    return EA_LIKELY(ea_resource_is_none(parent)) ||
           ea_monitor_share(parents_of(monitor, type), parent) == EA_OK;
}

static EA_NOINLINE void let_parent_go(monitor_t *monitor, const type_t *type, ea_resource_t parent)
{
    if (ea_resource_is_none(parent)) return;
    uint32_t slot = (parent.eai_slot & 0xFFFFFFu) + 1u;
    eai_monitor_drop((link_t){parents_of(monitor, type), slot});
}

/* Everything was refused but this. */
static EA_NOINLINE void give_slot_back(monitor_t *monitor, const ea_resource_request_t *request,
                                       slot_t *slot, uint32_t stripe)
{
    if (eai_held_is(monitor, request->slot, slot)) {
        eai_held_put_back(monitor, slot);
    } else {
        eai_monitor_free(monitor, slot, word_of(slot), stripe);
    }
}

static EA_NOINLINE slot_t *take_held(monitor_t *monitor, ea_resource_t held, uint32_t stripe)
{
    slot_t *slot = eai_held_take(monitor, held);
    return slot != NULL ? slot : eai_slots_take(monitor, stripe);
}

static EA_NOINLINE ea_status_t take_reserved(const ea_resource_request_t *request, word_t units,
                                             uint64_t now_us)
{
    if (request->reservation->eai_account != request->account) return EA_ERR_INVALID;
    return eai_reservation_take(request->reservation, units, now_us);
}

static EA_NOINLINE void give_units_back(const ea_resource_request_t *request, word_t units)
{
    if (request->reservation != NULL) {
        eai_reservation_put_back(request->reservation, units);
    } else {
        (void)ea_account_return(request->account, units);
    }
}

/* Whether anything but a free slot and an object that the request brings is wanted. */
EA_INLINE bool is_plain(const type_t *type)
{
    return type->create == NULL && type->max_idle == 0;
}

/* The slot is reserved and charged: its object, from an idle slot, which then is the slot, or by
 * create. Not before the charge: who holds an object counts. */
static EA_NOINLINE ea_status_t find_object(monitor_t *monitor, const type_t *type,
                                           const ea_resource_request_t *request, slot_t **slot,
                                           uint32_t stripe, record_t *record)
{
    slot_t *idle = type->max_idle > 0 ? eai_idle_take(monitor, request->type) : NULL;
    if (idle == NULL) {
        return type->create == NULL ? EA_OK : type->create(type->context, request, &record->object);
    }
    /* Whose units are meant is clear at any moment: it is the same account. */
    WRITE(idle, eai_units, record->units);
    WRITE(idle, eai_whose, record->whose);
    eai_monitor_free(monitor, *slot, word_of(*slot), stripe);
    eai_accounts_tell(type->book); /* who waits may have missed that slot */
    *slot = idle;
    record->object = READ(idle, eai_object);
    count(&monitor->eai_kinds[request->type].recycled);
    return EA_OK;
}

/* Everything was granted. */
EA_INLINE ea_resource_t go_live(monitor_t *monitor, slot_t *slot, uint8_t type, uint32_t stripe,
                                const record_t *record)
{
    word_t word = EAI_LOAD(&slot->eai_state, EAI_RELAXED);
    WRITE(slot, eai_object, record->object);
    WRITE(slot, eai_caller, record->caller);
    WRITE(slot, eai_since, record->since);
    write_seal(monitor, slot, word, record);
    count(&tally_of(monitor, stripe, type)->acquired);
    tell_hooks(monitor, EA_BLOCK_ALLOCATED, slot, record);
    EAI_STORE(&slot->eai_state, with_state(word, SLOT_LIVE) | ONE_REFERENCE, EAI_RELEASE);
    return handle_of(index_of(monitor, slot), type, word);
}

/* Whether nobody waits for what a request would take: units that are reserved, and a slot that is
 * held, it has already. */
#if EA_CFG_MONITOR_WAIT
static EA_NOINLINE bool ask(const monitor_t *monitor, const ea_accounts_t *book,
                            const ea_resource_request_t *request)
{
    size_t units = request->units == 0 ? 1u : request->units;
    return eai_accounts_ask_all(book, ea_resource_is_none(request->slot) ? monitor : NULL,
                                request->account, request->reservation != NULL ? 0 : units);
}
#endif

EA_INLINE bool may_take(const monitor_t *monitor, const ea_accounts_t *book,
                        const ea_resource_request_t *request)
{
#if EA_CFG_MONITOR_WAIT
    return EA_LIKELY(!eai_accounts_are_waited_for(book)) || ask(monitor, book, request);
#else
    (void)monitor, (void)book, (void)request;
    return true;
#endif
}

ea_status_t ea_monitor_acquire(monitor_t *monitor, const ea_resource_request_t *request,
                               ea_resource_t *resource)
{
    const uint8_t number = request->type;
    ea_account_t *account = request->account;
    *resource = EA_RESOURCE_NONE;
    if (EA_UNLIKELY(number >= monitor->eai_n_types || account == NULL)) {
        return fail(monitor, request, EA_ERR_INVALID);
    }
    const type_t *type = &monitor->eai_types[number];
    if (EA_UNLIKELY(account->eai_book != type->book)) return fail(monitor, request, EA_ERR_INVALID);
    if (EA_UNLIKELY(EAI_LOAD(&monitor->eai_is_closed, EAI_RELAXED))) {
        return fail(monitor, request, EA_ERR_CANCELLED);
    }
    if (EA_UNLIKELY(!may_take(monitor, type->book, request))) {
        return fail(monitor, request, EA_ERR_BUSY);
    }
    if (EA_UNLIKELY(!hold_parent(monitor, type, request->parent))) {
        return fail(monitor, request, EA_ERR_NOT_FOUND);
    }

    const uint64_t now_us = ea_port_time_coarse_us(), now = now_us >> 10;
    const uint32_t stripe = stripe_of(monitor, ea_account_id(account));
    const void *caller = request->caller != NULL ? request->caller : __builtin_return_address(0);
    record_t record = {
        .units = request->units == 0 ? 1u : request->units,
        .object = request->object,
        .caller = (word_t)caller,
        .whose = (uint32_t)ea_account_id(account) << 16 | (uint32_t)number << 8 |
                 (uint32_t)(now >> 32 & 0xFFu),
        .since = (uint32_t)now,
        .parent =
            ea_resource_is_none(request->parent) ? 0u : (request->parent.eai_slot & 0xFFFFFFu) + 1u,
    };
    ea_status_t status = EA_ERR_NO_MEMORY;
    slot_t *slot = EA_LIKELY(ea_resource_is_none(request->slot))
                       ? eai_slots_take(monitor, stripe)
                       : take_held(monitor, request->slot, stripe);
    if (EA_UNLIKELY(slot == NULL)) slot = take_last(monitor, stripe);
    if (EA_UNLIKELY(slot == NULL)) goto none;
    WRITE(slot, eai_units, record.units);
    WRITE(slot, eai_whose, record.whose);
    status = EA_LIKELY(request->reservation == NULL)
                 ? ea_account_charge(account, record.units, NULL)
                 : take_reserved(request, record.units, now_us);
    if (EA_UNLIKELY(status != EA_OK)) {
        give_slot_back(monitor, request, slot, stripe);
        goto none;
    }
    if (EA_UNLIKELY(!is_plain(type))) {
        status = find_object(monitor, type, request, &slot, stripe, &record);
        if (EA_UNLIKELY(status != EA_OK)) {
            give_units_back(request, record.units);
            give_slot_back(monitor, request, slot, stripe);
            goto none;
        }
    }
    *resource = go_live(monitor, slot, number, stripe, &record);
    if (EA_UNLIKELY(request->reservation != NULL)) eai_reservation_settle(request->reservation);
    eai_accounts_tell_charged(type->book);
    return EA_OK;
none:
    let_parent_go(monitor, type, request->parent);
    tell_line(monitor); /* who waits may have been refused what this one held */
    return fail(monitor, request, status);
}

/* --- acquire in steps, for several at once and for those who wait ----------------------------- */

ea_status_t eai_monitor_look_at(const monitor_t *monitor, const ea_resource_request_t *request)
{
    if (request->type >= monitor->eai_n_types || request->account == NULL ||
        request->account->eai_book != monitor->eai_types[request->type].book ||
        request->reservation != NULL || !ea_resource_is_none(request->slot)) {
        return EA_ERR_INVALID;
    }
    return EAI_LOAD(&((monitor_t *)monitor)->eai_is_closed, EAI_SEQ_CST) ? EA_ERR_CANCELLED : EA_OK;
}

bool eai_monitor_may_take(const monitor_t *monitor, const ea_resource_request_t *request)
{
    return may_take(monitor, monitor->eai_types[request->type].book, request);
}

bool eai_monitor_hold_parent(monitor_t *monitor, const ea_resource_request_t *request)
{
    return hold_parent(monitor, &monitor->eai_types[request->type], request->parent);
}

void eai_monitor_let_parent_go(monitor_t *monitor, const ea_resource_request_t *request)
{
    let_parent_go(monitor, &monitor->eai_types[request->type], request->parent);
}

ea_status_t eai_monitor_reserve(monitor_t *monitor, uint8_t type, ea_account_t *account,
                                word_t units, uint32_t *index, ea_account_t **refuser)
{
    const uint64_t now = ea_port_time_coarse_us() >> 10;
    const uint32_t stripe = stripe_of(monitor, ea_account_id(account));
    slot_t *slot = eai_slots_take(monitor, stripe);
    if (slot == NULL) slot = take_last(monitor, stripe);
    if (slot == NULL) return EA_ERR_NO_MEMORY;
    WRITE(slot, eai_units, units);
    WRITE(slot, eai_whose,
          (uint32_t)ea_account_id(account) << 16 | (uint32_t)type << 8 |
              (uint32_t)(now >> 32 & 0xFFu));
    WRITE(slot, eai_since, (uint32_t)now);
    if (ea_account_charge(account, units, refuser) != EA_OK) {
        eai_monitor_free(monitor, slot, word_of(slot), stripe);
        return EA_ERR_LIMIT;
    }
    *index = index_of(monitor, slot);
    return EA_OK;
}

void eai_monitor_unreserve(monitor_t *monitor, uint32_t index)
{
    slot_t *slot = &monitor->eai_slots[index];
    uint32_t whose = READ(slot, eai_whose);
    const type_t *type = &monitor->eai_types[type_of(whose)];
    (void)ea_account_return(account_with(type, account_of(whose)), READ(slot, eai_units));
    eai_monitor_free(monitor, slot, word_of(slot), stripe_of(monitor, account_of(whose)));
}

ea_status_t eai_monitor_equip(monitor_t *monitor, const ea_resource_request_t *request,
                              uint32_t *index, bool *is_ours)
{
    const type_t *type = &monitor->eai_types[request->type];
    slot_t *const reserved = &monitor->eai_slots[*index], *slot = reserved;
    record_t record;
    (void)read_record(slot, &record);
    record.object = request->object;
    if (!is_plain(type)) {
        ea_status_t status =
            find_object(monitor, type, request, &slot,
                        stripe_of(monitor, ea_account_id(request->account)), &record);
        if (status != EA_OK) return status;
        WRITE(slot, eai_since, record.since); /* an idle object's slot has its own */
    }
    WRITE(slot, eai_object, record.object);
    *index = index_of(monitor, slot);
    *is_ours = type->create != NULL || slot != reserved;
    return EA_OK;
}

void eai_monitor_unequip(const monitor_t *monitor, uint8_t number, uint32_t index)
{
    const type_t *type = &monitor->eai_types[number];
    word_t object = READ(&monitor->eai_slots[index], eai_object);
    if (type->destroy != NULL) type->destroy(type->context, object);
}

ea_resource_t eai_monitor_go_live(monitor_t *monitor, const ea_resource_request_t *request,
                                  uint32_t index, const void *caller)
{
    slot_t *slot = &monitor->eai_slots[index];
    record_t record;
    (void)read_record(slot, &record);
    record.caller = (word_t)(request->caller != NULL ? request->caller : caller);
    record.parent =
        ea_resource_is_none(request->parent) ? 0u : (request->parent.eai_slot & 0xFFFFFFu) + 1u;
    return go_live(monitor, slot, request->type,
                   stripe_of(monitor, ea_account_id(request->account)), &record);
}
