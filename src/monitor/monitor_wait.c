/* SPDX-License-Identifier: MIT
 *
 * The monitor: several resources at once, and the tasks that wait for them. Whoever is granted
 * something in line finds slots reserved and accounts charged, and does the rest itself: the
 * objects, the record. Order and serving are in monitor_line.c.
 */
#include "monitor/monitor_line.h"

#include "base/mem.h"

typedef ea_resource_request_t request_t;

/* Of each request. */
typedef struct {
    uint32_t slots[EA_MONITOR_TOGETHER_MAX];
    bool are_ours[EA_MONITOR_TOGETHER_MAX]; /* objects that the request did not bring */
} grant_t;

EA_INLINE word_t units_of(const request_t *request)
{
    return request->units == 0 ? 1u : request->units;
}

/* --- all or nothing --------------------------------------------------------------------------- */

/* *which: the first request that is refused. */
static ea_status_t look_at_all(const monitor_t *monitor, const request_t *requests, size_t n,
                               size_t *which)
{
    ea_status_t status = EA_OK;
    for (*which = 0; *which < n && status == EA_OK; *which += status == EA_OK) {
        status = eai_monitor_look_at(monitor, &requests[*which]);
    }
    return status;
}

static void let_parents_go(monitor_t *monitor, const request_t *requests, size_t n)
{
    while (n > 0) eai_monitor_let_parent_go(monitor, &requests[--n]);
}

static ea_status_t hold_parents(monitor_t *monitor, const request_t *requests, size_t n,
                                size_t *which)
{
    for (*which = 0; *which < n; (*which)++) {
        if (eai_monitor_hold_parent(monitor, &requests[*which])) continue;
        let_parents_go(monitor, requests, *which);
        return EA_ERR_NOT_FOUND;
    }
    return EA_OK;
}

static void unreserve(monitor_t *monitor, const grant_t *grant, size_t n)
{
    while (n > 0) eai_monitor_unreserve(monitor, grant->slots[--n]);
}

/* Slots and units, at once, behind those who wait. */
static ea_status_t reserve_all(monitor_t *monitor, const request_t *requests, size_t n,
                               grant_t *grant, size_t *which)
{
    for (*which = 0; *which < n; (*which)++) {
        if (!eai_monitor_may_take(monitor, &requests[*which])) return EA_ERR_BUSY;
    }
    for (*which = 0; *which < n; (*which)++) {
        const request_t *request = &requests[*which];
        ea_status_t status = eai_monitor_reserve(monitor, request->type, request->account,
                                                 units_of(request), &grant->slots[*which], NULL);
        if (status == EA_OK) continue;
        unreserve(monitor, grant, *which);
        tell_line(monitor);
        return status;
    }
    return EA_OK;
}

static ea_status_t equip_all(monitor_t *monitor, const request_t *requests, size_t n,
                             grant_t *grant, size_t *which)
{
    for (*which = 0; *which < n; (*which)++) {
        ea_status_t status = eai_monitor_equip(monitor, &requests[*which], &grant->slots[*which],
                                               &grant->are_ours[*which]);
        if (status == EA_OK) continue;
        for (size_t i = *which; i-- > 0;) {
            if (grant->are_ours[i]) {
                eai_monitor_unequip(monitor, requests[i].type, grant->slots[i]);
            }
        }
        return status;
    }
    return EA_OK;
}

/* Everything is reserved, and the parents are held: the objects, and make it live. */
static ea_status_t complete(monitor_t *monitor, const request_t *requests, size_t n,
                            const void *caller, grant_t *grant, ea_resource_t *resources)
{
    size_t which;
    ea_status_t status = equip_all(monitor, requests, n, grant, &which);
    if (status != EA_OK) {
        unreserve(monitor, grant, n);
        let_parents_go(monitor, requests, n);
        tell_line(monitor);
        return eai_monitor_fail(monitor, &requests[which], status);
    }
    for (size_t i = 0; i < n; i++) {
        resources[i] = eai_monitor_go_live(monitor, &requests[i], grant->slots[i], caller);
    }
    for (size_t i = 0; i < n; i++) eai_accounts_tell_charged(requests[i].account->eai_book);
    return EA_OK;
}

/* is_refused: only because something is not there, or others wait for it; then, if that is not the
 * last word, it is not counted. */
static ea_status_t acquire_now(monitor_t *monitor, const request_t *requests, size_t n,
                               const void *caller, bool is_last_word, bool *is_refused,
                               ea_resource_t *resources)
{
    grant_t grant;
    size_t which = 0;
    *is_refused = false;
    if (requests == NULL || n == 0 || n > EA_MONITOR_TOGETHER_MAX) return EA_ERR_INVALID;
    for (size_t i = 0; i < n; i++) resources[i] = EA_RESOURCE_NONE;
    ea_status_t status = look_at_all(monitor, requests, n, &which);
    if (status == EA_OK) status = hold_parents(monitor, requests, n, &which);
    if (status != EA_OK) return eai_monitor_fail(monitor, &requests[which], status);
    status = reserve_all(monitor, requests, n, &grant, &which);
    if (status == EA_OK) return complete(monitor, requests, n, caller, &grant, resources);
    let_parents_go(monitor, requests, n);
    *is_refused = true;
    return is_last_word ? eai_monitor_fail(monitor, &requests[which], status) : status;
}

ea_status_t ea_monitor_acquire_all(monitor_t *monitor, const request_t *requests, size_t n,
                                   ea_resource_t *resources)
{
    bool is_refused;
    return acquire_now(monitor, requests, n, __builtin_return_address(0), true, &is_refused,
                       resources);
}

#if EA_CFG_MONITOR_WAIT

#define LEAST_PATIENCE 64u
#define MOST_PATIENCE (1u << 20)
#define MOST_PLACES 0x7FFFu
#define NO_PLACE UINT16_MAX

/* --- the line --------------------------------------------------------------------------------- */

static void *cut_piece(unsigned char **at, size_t size_bytes)
{
    unsigned char *piece = *at;
    *at += size_bytes;
    return piece;
}

/* Each book of the monitor once. */
static void watch_books(monitor_t *monitor, line_t *line)
{
    for (uint32_t i = 0; i < monitor->eai_n_types; i++) {
        ea_accounts_t *book = monitor->eai_types[i].book;
        uint32_t k = 0;
        while (k < line->n_watches && line->watches[k].eai_book != book) k++;
        if (k < line->n_watches) continue;
        eai_watch_t *watch = &line->watches[line->n_watches++];
        watch->eai_line.eai_tell = eai_line_tell;
        watch->eai_line.eai_may_take = eai_line_may_take;
        watch->eai_monitor = monitor;
        watch->eai_book = book;
        eai_accounts_add_line(book, &watch->eai_line);
    }
}

ea_status_t ea_monitor_wait_init(monitor_t *monitor, void *mem, size_t size_bytes,
                                 const ea_monitor_line_options_t *options)
{
    if (monitor == NULL || mem == NULL || options == NULL) return EA_ERR_INVALID;
    const size_t n = options->max_waiting, together = options->max_together;
    if (n == 0 || n > MOST_PLACES || together == 0 || together > EA_MONITOR_TOGETHER_MAX ||
        options->patience_grants > MOST_PATIENCE || options->max_passings > INT16_MAX) {
        return EA_ERR_INVALID;
    }
    if (monitor->eai_line != NULL) return EA_ERR_BUSY;
    if (size_bytes < EA_MONITOR_WAIT_BYTES(n, together, monitor->eai_n_types)) {
        return EA_ERR_NO_MEMORY;
    }
    unsigned char *at = (unsigned char *)mem + (-(uintptr_t)mem & (sizeof(uint64_t) - 1u));
    memset(mem, 0, size_bytes);
    line_t *line = cut_piece(&at, (sizeof *line + 7u) & ~(size_t)7u);
    line->watches = cut_piece(&at, monitor->eai_n_types * sizeof *line->watches);
    line->places = cut_piece(&at, n * sizeof *line->places);
    line->wants = cut_piece(&at, n * together * sizeof *line->wants);
    line->closed = cut_piece(&at, n * together * sizeof(void *));
    line->monitor = monitor;
    line->n_places = (uint32_t)n;
    line->n_together = (uint32_t)together;
    line->patience = options->patience_grants == 0 ? LEAST_PATIENCE : options->patience_grants;
    line->max_passings = options->max_passings;
    for (uint32_t i = 0; i < n; i++) {
        line->places[i].eai_next = i + 1u < n ? (uint16_t)(i + 1u) : NO_PLACE;
    }
    monitor->eai_line = line;
    watch_books(monitor, line);
    return EA_OK;
}

/* --- coming and going ------------------------------------------------------------------------- */

/* Repeats only when another's call came in between. */
static void add_to(EAI_SHARED(uint32_t) * word, uint32_t n)
{
    uint32_t seen;
    do seen = EAI_LOAD(word, EAI_RELAXED);
    while (!move_u32(word, seen, seen + n));
}

/* Who looks at any of the monitor's books sees that somebody waits. */
static void announce_wants(const line_t *line, uint32_t n)
{
    for (uint32_t i = 0; i < line->n_watches; i++) {
        add_to(&line->watches[i].eai_book->eai_n_waiting, n);
    }
}

/* NULL: all are taken. */
static place_t *take_place(line_t *line)
{
    place_t *place = NULL;
    ea_port_irq_t irq = ea_port_irq_mask();
    if (line->first_free == NO_PLACE) {
        line->stats.n_full++;
    } else {
        place = &line->places[line->first_free];
        line->first_free = place->eai_next;
        size_t n = ++line->stats.n_waiting;
        if (n > line->stats.most_waiting) line->stats.most_waiting = n;
    }
    ea_port_irq_restore(irq);
    return place;
}

/* Masked. */
static void leave_place(line_t *line, place_t *place)
{
    EAI_STORE(&place->eai_ticket, 0u, EAI_RELAXED);
    place->eai_waiter = NULL;
    place->eai_next = line->first_free;
    line->first_free = (uint16_t)(place - line->places);
    line->stats.n_waiting--;
}

static void describe(const line_t *line, place_t *place, const request_t *requests, size_t n,
                     const ea_wait_options_t *options)
{
    want_t *wants = wants_of(line, place);
    uint8_t most = EA_MONITOR_CLASSES - 1u;
    place->eai_claimant = options->claimant;
    place->eai_id = options->id;
    place->eai_class = options->priority < most ? options->priority : most;
    place->eai_n = (uint8_t)n;
    place->eai_n_passed = 0;
    place->eai_round = 0;
    for (size_t i = 0; i < n; i++) {
        wants[i].eai_account = requests[i].account;
        wants[i].eai_units = units_of(&requests[i]);
        wants[i].eai_type = requests[i].type;
    }
}

/* From here on it is served. */
static void enter(line_t *line, place_t *place, ea_waiter_t *waiter)
{
    ea_waiter_init(waiter, 0);
    place->eai_waiter = waiter;
    ea_port_irq_t irq = ea_port_irq_mask();
    place->eai_entered = place->eai_since = line->n_grants;
    line->tickets += line->tickets == UINT32_MAX ? 2u : 1u;
    EAI_STORE(&place->eai_ticket, line->tickets, EAI_RELAXED);
    line->stats.n_entered++;
    ea_waitq_enter_locked(&line->waiting, waiter);
    ea_port_irq_restore(irq);
}

static bool could_grant(const monitor_t *monitor, const request_t *requests, size_t n)
{
    want_t wants[EA_MONITOR_TOGETHER_MAX];
    for (size_t i = 0; i < n; i++) {
        wants[i].eai_account = requests[i].account;
        wants[i].eai_units = units_of(&requests[i]);
    }
    for (size_t i = 0; i < n; i++) eai_accounts_enter(requests[i].account->eai_book);
    bool could = eai_line_could_grant(monitor, wants, (uint32_t)n);
    for (size_t i = 0; i < n; i++) eai_accounts_leave(requests[i].account->eai_book);
    return could;
}

static bool is_claimant(const ea_claimant_t *claimant)
{
    if (claimant == NULL) return true;
    if (claimant->accounts == NULL || claimant->n_accounts == 0 ||
        claimant->n_accounts > EA_MONITOR_TOGETHER_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < claimant->n_accounts; i++) {
        if (claimant->accounts[i] == NULL) return false;
    }
    return true;
}

/* Whether so many may wait together in a line that there is. */
static bool may_wait(const monitor_t *monitor, const request_t *requests, size_t n,
                     const ea_wait_options_t *options)
{
    const line_t *line = monitor->eai_line;
    return line != NULL && requests != NULL && n > 0 && n <= line->n_together &&
           (options == NULL || is_claimant(options->claimant));
}

static ea_status_t begin_wait(ea_monitor_wait_t *wait, monitor_t *monitor,
                              const request_t *requests, size_t n, const ea_wait_options_t *options,
                              const void *caller)
{
    static const ea_wait_options_t defaults = {NULL, EA_WAIT_FOREVER, 0, 0};
    line_t *line = monitor->eai_line;
    size_t which = 0;
    wait->eai_monitor = NULL;
    if (n == 0 || !may_wait(monitor, requests, n, options)) return EA_ERR_INVALID;
    if (options == NULL) options = &defaults;
    ea_status_t status = look_at_all(monitor, requests, n, &which);
    if (status != EA_OK) return eai_monitor_fail(monitor, &requests[which], status);
    if (!could_grant(monitor, requests, n)) {
        return eai_monitor_fail(monitor, requests, EA_ERR_TOO_LARGE);
    }
    status = hold_parents(monitor, requests, n, &which);
    if (status != EA_OK) return eai_monitor_fail(monitor, &requests[which], status);
    place_t *place = take_place(line);
    if (place == NULL) {
        let_parents_go(monitor, requests, n);
        return eai_monitor_fail(monitor, requests, EA_ERR_BUSY);
    }
    wait->eai_monitor = monitor;
    wait->eai_requests = requests;
    wait->eai_n = n;
    wait->eai_place = place;
    wait->eai_caller = caller;
    describe(line, place, requests, n, options);
    announce_wants(line, 1u);
    enter(line, place, &wait->eai_waiter);
    if (ea_events_wanted(monitor->eai_events, EA_EVENT_WAIT)) {
        ea_events_emit_isr(monitor->eai_events,
                           &(ea_event_t){.kind = EA_EVENT_WAIT,
                                         .owner = ea_account_id(requests->account),
                                         .n = requests->type,
                                         .size_bytes = units_of(requests),
                                         .where = monitor,
                                         .caller = caller});
    }
    eai_line_serve(line);
    return EA_OK;
}

ea_status_t ea_monitor_wait_begin(ea_monitor_wait_t *wait, monitor_t *monitor,
                                  const request_t *requests, size_t n,
                                  const ea_wait_options_t *options)
{
    return begin_wait(wait, monitor, requests, n, options, __builtin_return_address(0));
}

bool ea_monitor_wait_is_over(const ea_monitor_wait_t *wait)
{
    if (wait->eai_monitor == NULL) return true;
    ea_port_irq_t irq = ea_port_irq_mask();
    bool is_over = wait->eai_waiter.eai_status != EA_ERR_AGAIN;
    ea_port_irq_restore(irq);
    return is_over;
}

ea_status_t ea_monitor_wait_end(ea_monitor_wait_t *wait, uint64_t timeout_us,
                                ea_resource_t *resources)
{
    monitor_t *monitor = wait->eai_monitor;
    if (monitor == NULL) return EA_ERR_INVALID;
    wait->eai_monitor = NULL;
    line_t *line = monitor->eai_line;
    want_t *wants = wants_of(line, wait->eai_place);
    const request_t *requests = wait->eai_requests;
    const size_t n = wait->eai_n;
    grant_t grant;

    for (size_t i = 0; i < n; i++) resources[i] = EA_RESOURCE_NONE;
    ea_status_t status = ea_waitq_sleep(&wait->eai_waiter, timeout_us);
    ea_port_irq_t irq = ea_port_irq_mask();
    for (size_t i = 0; i < n; i++) {
        grant.slots[i] = wants[i].eai_slot;
        EAI_STORE(&wants[i].eai_refused_by, BY_NOBODY, EAI_RELAXED);
    }
    leave_place(line, wait->eai_place);
    line->stats.n_timeouts += status == EA_ERR_TIMEOUT;
    line->stats.n_cancelled += status == EA_ERR_CANCELLED;
    ea_port_irq_restore(irq);
    announce_wants(line, 0u - 1u);

    if (status == EA_OK) {
        return complete(monitor, requests, n, wait->eai_caller, &grant, resources);
    }
    let_parents_go(monitor, requests, n);
    tell_line(monitor); /* what was kept for it no longer is */
    return eai_monitor_fail(monitor, requests, status);
}

ea_status_t ea_monitor_acquire_wait(monitor_t *monitor, const request_t *requests, size_t n,
                                    const ea_wait_options_t *options, ea_resource_t *resources)
{
    const void *caller = __builtin_return_address(0);
    const uint64_t timeout_us = options == NULL ? EA_WAIT_FOREVER : options->timeout_us;
    ea_monitor_wait_t wait;
    bool is_refused;
    if (!may_wait(monitor, requests, n, options)) return EA_ERR_INVALID;
    ea_status_t status =
        acquire_now(monitor, requests, n, caller, timeout_us == 0, &is_refused, resources);
    if (!is_refused || timeout_us == 0) return status;
    status = begin_wait(&wait, monitor, requests, n, options, caller);
    return status == EA_OK ? ea_monitor_wait_end(&wait, timeout_us, resources) : status;
}

/* --- others ----------------------------------------------------------------------------------- */

size_t ea_monitor_cancel(monitor_t *monitor, uintptr_t id)
{
    return monitor->eai_line == NULL ? 0 : eai_line_cancel(monitor->eai_line, id);
}

void ea_monitor_serve(monitor_t *monitor)
{
    if (monitor->eai_line != NULL) eai_line_serve(monitor->eai_line);
}

void ea_monitor_wait_stats(const monitor_t *monitor, ea_monitor_wait_stats_t *stats)
{
    *stats = (ea_monitor_wait_stats_t){0};
    if (monitor->eai_line == NULL) return;
    ea_port_irq_t irq = ea_port_irq_mask();
    *stats = monitor->eai_line->stats;
    ea_port_irq_restore(irq);
}

#endif
