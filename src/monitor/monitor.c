/* SPDX-License-Identifier: MIT
 *
 * The monitor: acquire and release.
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

#include "base/bits.h"
#include "base/mem.h"

#include "accounts/account_internal.h"

#include "ealloc/port.h"

EA_STATIC_ASSERT(sizeof(void *) > 4 || sizeof(slot_t) == 28, "what the header says");
EA_STATIC_ASSERT(sizeof(eai_stripe_t) % EAI_MONITOR_LINE == 0, "stripes share no cache line");

/* --- init ------------------------------------------------------------------------------------- */

static bool are_sound(const ea_monitor_options_t *options)
{
    size_t stripes = options->n_stripes, queue = options->n_queue;
    if (options->types == NULL || options->n_types == 0 ||
        options->n_types > EA_MONITOR_TYPES_MAX || options->n_slots == 0 ||
        options->n_slots > EA_MONITOR_SLOTS_MAX || (stripes & (stripes - 1u)) != 0 ||
        stripes > 0x8000u || (queue & (queue - 1u)) != 0 || queue == 1 ||
        queue > EA_MONITOR_QUEUE_MAX || options->batch > EA_MONITOR_QUEUE_MAX) {
        return false;
    }
    for (size_t i = 0; i < options->n_types; i++) {
        const type_t *type = &options->types[i];
        if (type->book == NULL || type->strategy > EA_RELEASE_UNCONTENDED) return false;
    }
    return true;
}

/* A piece of the memory, which is used up from the front. */
typedef struct {
    unsigned char *at;
    size_t left;
} rest_t;

static void *cut(rest_t *rest, size_t size_bytes, size_t align)
{
    size_t pad = (0u - (uintptr_t)rest->at) & (align - 1u);
    if (rest->left < pad || rest->left - pad < size_bytes) {
        rest->left = 0;
        return NULL;
    }
    void *piece = rest->at + pad;
    rest->at += pad + size_bytes;
    rest->left -= pad + size_bytes;
    return piece;
}

/* Types of one book share its sums. */
static void number_sums(monitor_t *monitor)
{
    for (uint32_t i = 0; i < monitor->eai_n_types; i++) {
        const ea_accounts_t *book = monitor->eai_types[i].book;
        uint32_t k = 0;
        while (k < i && monitor->eai_types[k].book != book) k++;
        monitor->eai_kinds[i].first_sum =
            k < i ? monitor->eai_kinds[k].first_sum : monitor->eai_n_sums;
        if (k == i) monitor->eai_n_sums += book->eai_n_nodes;
    }
}

/* What of a book's usage is this monitor's, nobody can tell any more if another one charges it. */
static void claim_books(const monitor_t *monitor)
{
    for (uint32_t i = 0; i < monitor->eai_n_types; i++) {
        ea_accounts_t *book = monitor->eai_types[i].book;
        if (book->eai_charger == NULL) book->eai_charger = monitor;
        if (book->eai_charger != monitor) book->eai_charger = book;
    }
}

static bool cut_kinds(monitor_t *monitor, rest_t *rest)
{
    for (uint32_t i = 0; i < monitor->eai_n_types; i++) {
        eai_kind_t *kind = &monitor->eai_kinds[i];
        kind->n_idle = monitor->eai_types[i].max_idle;
        if (kind->n_idle == 0) continue;
        kind->idle = cut(rest, kind->n_idle * sizeof *kind->idle, sizeof(word_t));
        if (kind->idle == NULL) return false;
        memset((void *)kind->idle, 0, kind->n_idle * sizeof *kind->idle);
    }
    return true;
}

static void share_out(monitor_t *monitor, uint32_t n_stripes)
{
    uint32_t n_words = (monitor->eai_n_slots + BITS_PER_WORD - 1u) / BITS_PER_WORD;
    for (uint32_t i = 0; i < n_stripes; i++) {
        eai_stripe_t *stripe = &monitor->eai_stripes[i];
        memset((void *)stripe, 0, sizeof *stripe);
        stripe->eai_first = (uint32_t)((uint64_t)n_words * i / n_stripes);
        stripe->eai_n = (uint32_t)((uint64_t)n_words * (i + 1u) / n_stripes) - stripe->eai_first;
        EAI_STORE(&stripe->eai_word, stripe->eai_first, EAI_RELAXED);
        EAI_STORE(&stripe->eai_hint, stripe->eai_first * BITS_PER_WORD, EAI_RELAXED);
    }
    for (uint32_t i = 0; i < n_words; i++) {
        uint32_t n = monitor->eai_n_slots - i * BITS_PER_WORD, bits = UINT32_MAX;
        for (uint32_t k = n; k < BITS_PER_WORD; k++) bits &= ~eai_bit(k);
        EAI_STORE(&monitor->eai_bits[i], bits, EAI_RELAXED);
    }
    memset((void *)monitor->eai_slots, 0, monitor->eai_n_slots * sizeof(slot_t));
    for (uint32_t i = 0; i < monitor->eai_n_slots; i++) {
        EAI_STORE(&monitor->eai_slots[i].eai_state, make_word(1, 0, SLOT_FREE), EAI_RELAXED);
    }
}

ea_status_t ea_monitor_init(monitor_t *monitor, void *mem, size_t size_bytes,
                            const ea_monitor_options_t *options)
{
    if (monitor == NULL || mem == NULL || options == NULL || !are_sound(options)) {
        return EA_ERR_INVALID;
    }
    const uint32_t n_stripes = options->n_stripes == 0 ? 1u : (uint32_t)options->n_stripes;
    const size_t n_words = (options->n_slots + BITS_PER_WORD - 1u) / BITS_PER_WORD;
    rest_t rest = {mem, size_bytes};

    memset((void *)monitor, 0, sizeof *monitor);
    monitor->eai_types = options->types;
    monitor->eai_n_types = (uint32_t)options->n_types;
    monitor->eai_n_slots = (uint32_t)options->n_slots;
    monitor->eai_stripe_mask = n_stripes - 1u;
    monitor->eai_n_cells = (uint32_t)options->n_queue;
    monitor->eai_batch = options->batch == 0 ? 1u : (uint32_t)options->batch;
    monitor->eai_delay_us = options->delay_us;
    monitor->eai_events = options->events;
    monitor->eai_peaks_since_us = ea_port_time_coarse_us();
    EAI_STORE(&monitor->eai_incarnation, 1u, EAI_RELAXED);
    monitor->eai_stride = (uint32_t)EAI_MONITOR_TALLIES(options->n_types);
    while ((uint32_t)1 << monitor->eai_cell_shift < monitor->eai_n_cells) monitor->eai_cell_shift++;

    monitor->eai_stripes = cut(&rest, n_stripes * sizeof(eai_stripe_t), EAI_MONITOR_LINE);
    monitor->eai_tallies = cut(&rest, n_stripes * (size_t)monitor->eai_stride, EAI_MONITOR_LINE);
    monitor->eai_slots = cut(&rest, options->n_slots * sizeof(slot_t), sizeof(word_t));
    size_t kinds_bytes = options->n_types * sizeof(eai_kind_t);
    monitor->eai_kinds = cut(&rest, kinds_bytes, sizeof(word_t));
    if (monitor->eai_kinds == NULL) return EA_ERR_NO_MEMORY;
    memset((void *)monitor->eai_kinds, 0, kinds_bytes);
    memset(monitor->eai_tallies, 0, n_stripes * (size_t)monitor->eai_stride);
    number_sums(monitor);

    size_t sum_bytes = sizeof(eai_sum_t);
    monitor->eai_type_sums = cut(&rest, options->n_types * sum_bytes, sizeof(word_t));
    monitor->eai_sums = cut(&rest, monitor->eai_n_sums * sum_bytes, sizeof(word_t));
    monitor->eai_cells =
        cut(&rest, monitor->eai_n_cells * sizeof *monitor->eai_cells, sizeof(word_t));
    if (!cut_kinds(monitor, &rest)) return EA_ERR_NO_MEMORY;
    monitor->eai_bits = cut(&rest, n_words * sizeof *monitor->eai_bits, sizeof(uint32_t));
    if (monitor->eai_bits == NULL) return EA_ERR_NO_MEMORY; /* nor was there for what is before */

    share_out(monitor, n_stripes);
    eai_queue_reset(monitor);
    claim_books(monitor);
    return EA_OK;
}

/* --- counters and refusals -------------------------------------------------------------------- */

void eai_monitor_refuse(monitor_t *monitor)
{
    count(&monitor->eai_n_refused);
}

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

void eai_monitor_free(monitor_t *monitor, slot_t *slot, word_t word, uint32_t stripe)
{
    word_t next = make_word(next_generation(word), 0, SLOT_FREE);
    EAI_STORE(&slot->eai_state, next, EAI_SEQ_CST); /* before the bit is looked at */
    eai_slots_offer(monitor, index_of(monitor, slot), stripe);
}

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

/* --- release ---------------------------------------------------------------------------------- */

/* The bucket of a lifetime, in units of 1024 us. */
EA_INLINE uint32_t bucket_of(uint64_t since, uint64_t now)
{
    uint64_t lived = (now - since) & (((uint64_t)1 << SINCE_BITS) - 1u);
    uint32_t bucket = 0;
    if (EA_LIKELY(lived == 0)) return 0;
    while (bucket + 1u < EA_CFG_MONITOR_LIFETIMES && lived >> bucket != 0) bucket++;
    return bucket;
}

/* An object that is released becomes idle, if it may. Its units are in nobody's slot for a moment,
 * and an audit must know. */
static EA_NOINLINE bool keep_idle(monitor_t *monitor, slot_t *slot, word_t word, const type_t *type,
                                  record_t *record, ea_account_t *account)
{
    uint8_t number = type_of(record->whose);
    word_t idle = make_word(next_generation(word), 0, SLOT_IDLE);
    uint32_t parent = record->parent;
    if (EAI_LOAD(&monitor->eai_is_closed, EAI_RELAXED)) return false;
    if (type->recycle != NULL && !type->recycle(type->context, record->object)) return false;
    add_word(&monitor->eai_n_begun, 1);
    record->parent = 0;
    write_seal(monitor, slot, idle, record);
    EAI_STORE(&slot->eai_state, idle, EAI_SEQ_CST);
    bool is_kept = eai_idle_offer(monitor, number, index_of(monitor, slot), idle) ||
                   !move_word(&slot->eai_state, idle, word);
    if (is_kept) (void)ea_account_return(account, record->units);
    record->parent = parent;
    add_word(&monitor->eai_n_ended, 1);
    return is_kept;
}

link_t eai_monitor_finish(monitor_t *monitor, slot_t *slot, word_t word)
{
    record_t record;
    (void)read_record(slot, &record);
    const uint8_t number = type_of(record.whose);
    const type_t *type = &monitor->eai_types[number];
    ea_account_t *account = &type->book->eai_nodes[account_of(record.whose) - 1u];
    const uint32_t stripe = stripe_of(monitor, account_of(record.whose));
    const uint64_t now = ea_port_time_coarse_us() >> 10;
    eai_tally_t *tally = tally_of(monitor, stripe, number);
    const link_t parent = {parents_of(monitor, type), record.parent};
    tell_hooks(monitor, EA_BLOCK_FREED, slot, &record);

    if (type->max_idle > 0) {
        count(&tally->lived[bucket_of(since_of(&record), now)]);
        if (keep_idle(monitor, slot, word, type, &record, account)) {
            eai_accounts_tell(type->book);
            return parent;
        }
        if (type->destroy != NULL) type->destroy(type->context, record.object);
    } else {
        if (type->destroy != NULL) type->destroy(type->context, record.object);
        count(&tally->lived[bucket_of(since_of(&record), now)]);
    }
    (void)ea_account_return(account, record.units);
    eai_monitor_free(monitor, slot, word, stripe);
    eai_accounts_tell(type->book);
    return parent;
}

/* Of the queue, if the type's strategy and the moment say so. Returns whether the word is no longer
 * the caller's. */
static bool put_off(monitor_t *monitor, slot_t *slot, word_t word, uint8_t strategy, link_t *parent,
                    bool *won)
{
    uint32_t index = index_of(monitor, slot);
    if (strategy == EA_RELEASE_UNCONTENDED &&
        EAI_LOAD(&monitor->eai_tail, EAI_RELAXED) == EAI_LOAD(&monitor->eai_head, EAI_RELAXED)) {
        uint32_t incarnation = eai_cleaner_enter(monitor);
        if (incarnation != 0) {
            word_t next = make_word(generation_of(word), incarnation, SLOT_CLEANING);
            *won = move_word(&slot->eai_state, word, next);
            if (*won) *parent = eai_monitor_finish(monitor, slot, next);
            eai_cleaner_leave(monitor);
            return true;
        }
    }
    word_t queued = with_state(word, SLOT_QUEUED);
    *won = move_word(&slot->eai_state, word, queued);
    if (!*won) return true;
    if (EA_LIKELY(eai_queue_put(monitor, index, queued))) return true;
    count(&monitor->eai_n_full);
    /* Unless an audit has found it meanwhile and put it there. */
    return !move_word(&slot->eai_state, queued, with_state(word, SLOT_RELEASING));
}

/* Give up one of the references of word, which is live. Returns false if the word has changed; else
 * *parent is what is to be dropped next. */
EA_INLINE bool drop(monitor_t *monitor, slot_t *slot, word_t word, link_t *parent)
{
    *parent = NO_LINK;
    if (EA_UNLIKELY(references_of(word) > 1u)) {
        word_t next = make_word(generation_of(word), references_of(word) - 1u, SLOT_LIVE);
        return move_word(&slot->eai_state, word, next);
    }
    word_t releasing = with_state(word, SLOT_RELEASING);
    uint8_t strategy = monitor->eai_types[type_of(READ(slot, eai_whose))].strategy;
    if (strategy != EA_RELEASE_NOW && monitor->eai_n_cells > 0) {
        bool won = false;
        if (put_off(monitor, slot, word, strategy, parent, &won)) return won;
    } else if (EA_UNLIKELY(!move_word(&slot->eai_state, word, releasing))) {
        return false;
    }
    *parent = eai_monitor_finish(monitor, slot, releasing);
    return true;
}

void eai_monitor_drop(link_t parent)
{
    while (parent.slot != 0 && parent.slot <= parent.monitor->eai_n_slots) {
        monitor_t *monitor = parent.monitor;
        slot_t *slot = &monitor->eai_slots[parent.slot - 1u];
        word_t word = word_of(slot);
        if (state_of(word) != SLOT_LIVE || references_of(word) == 0 ||
            (references_of(word) == 1u && EA_CFG_CHECK_LEVEL >= 1 &&
             !eai_monitor_is_sealed(monitor, slot, word))) {
            return; /* damaged: the audit's */
        }
        if (!drop(monitor, slot, word, &parent)) {
            parent = (link_t){monitor, index_of(monitor, slot) + 1u};
        }
    }
}

#if EA_CFG_CHECK_LEVEL >= 3
/* No more are released than were acquired, and no more live than there are slots. */
static bool can_be(const monitor_t *monitor, uint8_t type)
{
    ea_resource_stats_t stats;
    (void)ea_monitor_type_stats(monitor, type, &stats);
    return stats.n_live <= monitor->eai_n_slots;
}
#else
#define can_be(monitor, type) true
#endif

static EA_NOINLINE ea_status_t refuse(monitor_t *monitor, const slot_t *slot, ea_status_t status)
{
    eai_monitor_refuse(monitor);
    if (ea_events_wanted(monitor->eai_events, EA_EVENT_CORRUPTION) && status == EA_ERR_CORRUPT) {
        ea_events_emit_isr(monitor->eai_events, &(ea_event_t){.kind = EA_EVENT_CORRUPTION,
                                                              .reason = EA_REASON_DAMAGED,
                                                              .level = EA_AUDIT_SEAL,
                                                              .where = slot});
    }
    return status;
}

/* Repeats only when another reference was raised or dropped meanwhile. */
ea_status_t ea_monitor_release(monitor_t *monitor, ea_resource_t resource)
{
    slot_t *slot = slot_with(monitor, resource);
    link_t parent = NO_LINK;
    if (EA_UNLIKELY(slot == NULL)) return refuse(monitor, slot, EA_ERR_INVALID);
    for (;;) {
        word_t word = word_of(slot);
        if (EA_UNLIKELY(state_of(word) != SLOT_LIVE ||
                        generation_of(word) != resource.eai_generation)) {
            return refuse(monitor, slot, EA_ERR_DOUBLE_FREE);
        }
        /* Of the last reference: else it may be handed over right now. */
        if (EA_CFG_CHECK_LEVEL >= 1 && references_of(word) == 1u &&
            EA_UNLIKELY(!eai_monitor_is_sealed(monitor, slot, word) ||
                        !can_be(monitor, ea_resource_type(resource)))) {
            if (word_of(slot) != word) continue;
            return refuse(monitor, slot, EA_ERR_CORRUPT);
        }
        if (EA_LIKELY(drop(monitor, slot, word, &parent))) break;
    }
    if (EA_UNLIKELY(parent.slot != 0)) eai_monitor_drop(parent);
    return EA_OK;
}

/* --- share, hand over ------------------------------------------------------------------------- */

ea_status_t ea_monitor_share(monitor_t *monitor, ea_resource_t resource)
{
    slot_t *slot = slot_with(monitor, resource);
    if (slot == NULL) return EA_ERR_NOT_FOUND;
    for (;;) {
        word_t word = word_of(slot);
        if (state_of(word) != SLOT_LIVE || generation_of(word) != resource.eai_generation) {
            return EA_ERR_NOT_FOUND;
        }
        if (references_of(word) == REFERENCES_MAX) return EA_ERR_LIMIT;
        word_t next = make_word(generation_of(word), references_of(word) + 1u, SLOT_LIVE);
        if (move_word(&slot->eai_state, word, next)) return EA_OK;
    }
}

/* The caller holds a reference, and the seal is struck out: nobody else changes the record. */
static ea_status_t hand_over(monitor_t *monitor, slot_t *slot, word_t word, record_t *record,
                             ea_account_t *to)
{
    const type_t *type = &monitor->eai_types[type_of(record->whose)];
    ea_account_t *from = account_with(type, account_of(record->whose));
    ea_status_t status = EA_ERR_INVALID;
    if (from != NULL && to != NULL && to->eai_book == type->book) {
        status = ea_account_transfer(from, to, record->units, NULL);
    }
    if (status == EA_OK) {
        record->whose = (record->whose & 0xFFFFu) | (uint32_t)ea_account_id(to) << 16;
        WRITE(slot, eai_whose, record->whose);
    }
    if (status == EA_OK) tell_hooks(monitor, EA_BLOCK_TRANSFERRED, slot, record);
    write_seal(monitor, slot, word, record);
    return status;
}

ea_status_t ea_monitor_transfer(monitor_t *monitor, ea_resource_t resource, ea_account_t *to)
{
    ea_status_t status = ea_monitor_share(monitor, resource);
    if (status != EA_OK) return status == EA_ERR_LIMIT ? EA_ERR_BUSY : status;

    slot_t *slot = slot_with(monitor, resource);
    add_word(&monitor->eai_n_begun, 1);
    record_t record;
    word_t word = word_of(slot);
    uint32_t seal = read_record(slot, &record),
             good = seal_of(index_of(monitor, slot), word, &record);
    uint32_t sealed = good << 24 | record.parent;
    status = EA_ERR_BUSY;
    if (seal == good && type_of(record.whose) < monitor->eai_n_types &&
        move_u32(&slot->eai_parent, sealed, sealed ^ 0xFF000000u)) {
        status = hand_over(monitor, slot, word, &record, to);
    }
    add_word(&monitor->eai_n_ended, 1);
    eai_monitor_drop((link_t){monitor, index_of(monitor, slot) + 1u});
    tell_line(monitor);
    return status;
}

void ea_monitor_close(monitor_t *monitor, bool is_closed)
{
    EAI_STORE(&monitor->eai_is_closed, is_closed ? 1u : 0u, EAI_SEQ_CST);
    tell_line(monitor); /* those who wait are turned away */
}

size_t ea_monitor_trim(monitor_t *monitor, size_t max_n)
{
    size_t n = 0;
    for (uint32_t i = 0; i < monitor->eai_n_types && n < max_n; i++) {
        const type_t *type = &monitor->eai_types[i];
        for (uint32_t k = 0; k < type->max_idle && n < max_n; k++) {
            slot_t *slot = eai_idle_take(monitor, (uint8_t)i);
            if (slot == NULL) break;
            uint32_t stripe = stripe_of(monitor, account_of(READ(slot, eai_whose)));
            if (type->destroy != NULL) type->destroy(type->context, READ(slot, eai_object));
            eai_monitor_free(monitor, slot, word_of(slot), stripe);
            n++;
        }
    }
    if (n > 0) tell_line(monitor);
    return n;
}
