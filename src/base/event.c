/* SPDX-License-Identifier: MIT
 *
 * Events: a ring that any context puts into and one context at a time takes from, and a list of
 * listeners.
 *
 *     ring      ... | free | taken | next | next | next | free | ...
 *                             n_taken ^                    ^ n_put
 *     first --> listener <-> listener <-> listener
 *                               ^ next: the current event goes on from here
 *
 * I1  The ring holds the events numbered n_taken to n_put - 1 (modulo 2^32), at most its length;
 *     number i lies at ring[i & mask]. A slot is written only while its number is not among them.
 * I2  Everything here changes in masked sections only. Outside of them kinds is read by those who
 *     emit, and the slot of n_taken by the one who delivers.
 * I3  is_delivering is true exactly while one context is between its take-over and the section that
 *     ends it; that context alone moves n_taken. It ends in the very section that finds the ring
 *     empty: who puts an event and finds is_delivering has it delivered (but for the bound on what
 *     one call delivers).
 * I4  A listener listens exactly while its up is not NULL; then *up is the listener.
 * I5  next is NULL or listens: who takes a listener out of the list moves next on.
 * I6  calling is set in the section that reads what to call from the listener, before the call, and
 *     cleared in the next section of the same context, after it.
 *
 * Why unlisten is final: its section takes the listener out, so (I5) no later section can find it;
 * if an earlier one found it, calling says so until that call is over (I6). EA_OK means neither.
 * Nobody reads the listener after that: what is called was copied.
 *
 * Why a walk ends: new listeners come in before the first, so next only meets those that were there
 * when the event's turn came.
 *
 * Rejected: a lock-free ring of slots with a state each, which spares the mask but must deal with a
 * producer that is preempted in the middle of its slot, where all later events wait for a task of
 * any priority; delivery by every emitter at once, where a listener must be reentrant and order is
 * lost; reading the list under a count of readers, where unlisten has to wait.
 */
#include "ealloc/event.h"
#include "ealloc/port.h"

EA_STATIC_ASSERT(sizeof(ea_event_t) == (sizeof(void *) > 4 ? 48 : 32), "an event is that small");

/* A switch, not a table: the compiler warns when a kind is added and its name is not. */
const char *ea_event_kind_name(uint16_t kind)
{
    switch ((ea_event_kind_t)(kind > EA_EVENT_USER ? EA_EVENT_USER : kind)) {
    case EA_EVENT_OUT_OF_MEMORY: return "OUT_OF_MEMORY";
    case EA_EVENT_LIMIT: return "LIMIT";
    case EA_EVENT_CORRUPTION: return "CORRUPTION";
    case EA_EVENT_DOUBLE_FREE: return "DOUBLE_FREE";
    case EA_EVENT_FOREIGN_FREE: return "FOREIGN_FREE";
    case EA_EVENT_WRONG_OWNER: return "WRONG_OWNER";
    case EA_EVENT_OVERFLOW: return "OVERFLOW";
    case EA_EVENT_PRESSURE: return "PRESSURE";
    case EA_EVENT_HIGH: return "HIGH";
    case EA_EVENT_RECLAIM: return "RECLAIM";
    case EA_EVENT_RESERVE_USED: return "RESERVE_USED";
    case EA_EVENT_RESERVE_REFILLED: return "RESERVE_REFILLED";
    case EA_EVENT_HANDLER: return "HANDLER";
    case EA_EVENT_WAIT: return "WAIT";
    case EA_EVENT_LEAK: return "LEAK";
    case EA_EVENT_LOST: return "LOST";
    case EA_EVENT_LEAK_CLEARED: return "LEAK_CLEARED";
    case EA_EVENT_COMPACT: return "COMPACT";
    case EA_EVENT_SHUTDOWN: return "SHUTDOWN";
    case EA_EVENT_STRAY: return "STRAY";
    case EA_EVENT_USER: return "USER";
    }
    return "?";
}

const char *ea_reason_name(uint8_t reason)
{
    switch ((ea_reason_t)reason) {
    case EA_REASON_NONE: return "NONE";
    case EA_REASON_EXHAUSTED: return "EXHAUSTED";
    case EA_REASON_FRAGMENTED: return "FRAGMENTED";
    case EA_REASON_OVER_LIMIT: return "OVER_LIMIT";
    case EA_REASON_NO_CAPABILITY: return "NO_CAPABILITY";
    case EA_REASON_TOO_LARGE: return "TOO_LARGE";
    case EA_REASON_TIMEOUT: return "TIMEOUT";
    case EA_REASON_INVALID: return "INVALID";
    case EA_REASON_DAMAGED: return "DAMAGED";
    case EA_REASON_IN_LINE: return "IN_LINE";
    }
    return "?";
}

ea_status_t ea_events_init(ea_events_t *hub, ea_event_t *ring, size_t n_ring)
{
    if (hub == NULL || ring == NULL || n_ring == 0) return EA_ERR_INVALID;
    if ((n_ring & (n_ring - 1)) != 0 || n_ring > UINT32_MAX / 2 + 1) return EA_ERR_INVALID;
    *hub = (ea_events_t){.eai_ring = ring, .eai_mask = (uint32_t)n_ring - 1};
    return EA_OK;
}

/* --- who listens ------------------------------------------------------------------------------ */

static void set_kinds(ea_events_t *hub, uint32_t kinds)
{
    __atomic_store_n(&hub->eai_kinds, kinds, __ATOMIC_RELAXED); /* read by ea_events_wanted() */
}

ea_status_t ea_events_listen(ea_events_t *hub, ea_listener_t *listener, uint32_t kinds,
                             ea_event_callback_t callback, void *context)
{
    if (hub == NULL || listener == NULL || callback == NULL) return EA_ERR_INVALID;

    ea_port_irq_t irq = ea_port_irq_mask();
    bool listens = listener->eai_up != NULL;
    if (!listens) {
        listener->eai_callback = callback;
        listener->eai_context = context;
        listener->eai_kinds = kinds;
        listener->eai_since = hub->eai_sequence;
        listener->eai_next = hub->eai_first;
        listener->eai_up = &hub->eai_first;
        if (hub->eai_first != NULL) hub->eai_first->eai_up = &listener->eai_next;
        hub->eai_first = listener;
        set_kinds(hub, hub->eai_kinds | kinds);
    }
    ea_port_irq_restore(irq);
    return listens ? EA_ERR_BUSY : EA_OK;
}

/* Take listener, which listens, out of the list. */
static void leave(ea_events_t *hub, ea_listener_t *listener)
{
    if (hub->eai_next == listener) hub->eai_next = listener->eai_next;
    *listener->eai_up = listener->eai_next;
    if (listener->eai_next != NULL) listener->eai_next->eai_up = listener->eai_up;
    listener->eai_up = NULL;
    /* What the others want stays as it is, too much perhaps: to find out takes a walk. */
    if (hub->eai_first == NULL) set_kinds(hub, 0);
}

ea_status_t ea_events_unlisten(ea_events_t *hub, ea_listener_t *listener)
{
    if (hub == NULL || listener == NULL) return EA_ERR_INVALID;

    ea_port_irq_t irq = ea_port_irq_mask();
    if (listener->eai_up != NULL) leave(hub, listener);
    bool is_called = hub->eai_calling == listener;
    ea_port_irq_restore(irq);
    return is_called ? EA_ERR_BUSY : EA_OK;
}

/* --- emit ------------------------------------------------------------------------------------- */

/* Give *event its number and a slot. If there is none it is lost, which is counted, or, where it
 * may not be lost, nothing happens. */
static bool put(ea_events_t *hub, const ea_event_t *event, bool may_lose)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    bool has_room = hub->eai_n_put - hub->eai_n_taken <= hub->eai_mask;
    if (has_room) {
        ea_event_t *slot = &hub->eai_ring[hub->eai_n_put++ & hub->eai_mask];
        *slot = *event;
        slot->sequence = hub->eai_sequence++;
    } else if (may_lose) {
        if (hub->eai_n_lost == 0) {
            hub->eai_lost_at = hub->eai_n_put;
            hub->eai_first_lost = hub->eai_sequence;
        }
        if (hub->eai_n_lost < UINT32_MAX) hub->eai_n_lost++;
        hub->eai_sequence++;
    }
    ea_port_irq_restore(irq);
    return has_room;
}

void ea_events_emit_isr(ea_events_t *hub, const ea_event_t *event)
{
    if (ea_events_wanted(hub, event->kind)) (void)put(hub, event, true);
}

/* --- deliver ---------------------------------------------------------------------------------- */

/* Become the one who delivers, unless somebody is. */
static bool take_over(ea_events_t *hub)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    bool is_ours = !hub->eai_is_delivering;
    hub->eai_is_delivering = true;
    ea_port_irq_restore(irq);
    return is_ours;
}

/* The report of as many lost events as one can tell of. */
static ea_event_t take_lost(ea_events_t *hub)
{
    uint32_t n = hub->eai_n_lost < UINT16_MAX ? hub->eai_n_lost : UINT16_MAX;
    ea_event_t report = {.sequence = hub->eai_first_lost, .kind = EA_EVENT_LOST, .n = (uint16_t)n};

    hub->eai_n_lost -= n;
    return report;
}

/* The event whose turn it is, after done (NULL: none was before it); *lost is room for one. NULL if
 * there is none, or too many were delivered: then this context delivers no longer, and *is_left
 * says which it is. */
static const ea_event_t *next_event(ea_events_t *hub, const ea_event_t *done, bool may_go_on,
                                    ea_event_t *lost, bool *is_left)
{
    const ea_event_t *event = NULL;

    ea_port_irq_t irq = ea_port_irq_mask();
    if (done != NULL && done != lost) hub->eai_n_taken++;
    bool has_lost = hub->eai_n_lost > 0 && hub->eai_lost_at == hub->eai_n_taken;
    *is_left = has_lost || hub->eai_n_put != hub->eai_n_taken;
    if (*is_left && may_go_on) {
        if (has_lost) *lost = take_lost(hub);
        event = has_lost ? lost : &hub->eai_ring[hub->eai_n_taken & hub->eai_mask];
        hub->eai_next = hub->eai_first;
    } else {
        hub->eai_is_delivering = false;
    }
    ea_port_irq_restore(irq);
    return event;
}

/* What to call: the callback is NULL where the listener does not want the event. */
typedef struct {
    ea_event_callback_t callback;
    void *context;
} call_t;

/* Whether there is a listener that event has not passed yet; *call is what to call for it. */
static bool next_call(ea_events_t *hub, const ea_event_t *event, call_t *call)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    const ea_listener_t *listener = hub->eai_next;
    hub->eai_calling = NULL;
    call->callback = NULL;
    if (listener != NULL) {
        hub->eai_next = listener->eai_next;
        /* Modulo 2^32; a report of lost events is for whoever wants it. */
        bool is_for_it =
            event->kind == EA_EVENT_LOST || event->sequence - listener->eai_since <= UINT32_MAX / 2;
        if (is_for_it && (listener->eai_kinds & EA_EVENT_BIT(event->kind)) != 0) {
            hub->eai_calling = listener;
            call->callback = listener->eai_callback;
            call->context = listener->eai_context;
        }
    }
    ea_port_irq_restore(irq);
    return listener != NULL;
}

ea_status_t ea_events_poll(ea_events_t *hub)
{
    const ea_event_t *event = NULL;
    ea_event_t lost;
    call_t call;
    bool is_left;

    if (hub == NULL) return EA_ERR_INVALID;
    if (!take_over(hub)) return EA_ERR_BUSY;
    /* At most as many turns as the ring has slots. */
    for (uint32_t n = 0;; n++) {
        event = next_event(hub, event, n <= hub->eai_mask, &lost, &is_left);
        if (event == NULL) return is_left ? EA_ERR_AGAIN : EA_OK;
        while (next_call(hub, event, &call)) {
            if (call.callback != NULL) call.callback(call.context, event);
        }
    }
}

/* Apart, so that an event that nobody wants saves no register. */
static EA_NOINLINE void put_and_deliver(ea_events_t *hub, const ea_event_t *event)
{
    if (!put(hub, event, false)) { /* make room */
        (void)ea_events_poll(hub);
        (void)put(hub, event, true);
    }
    (void)ea_events_poll(hub);
}

void ea_events_emit(ea_events_t *hub, const ea_event_t *event)
{
    if (ea_events_wanted(hub, event->kind)) put_and_deliver(hub, event);
}

void ea_events_stats(const ea_events_t *hub, ea_events_stats_t *stats)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    stats->n_emitted = hub->eai_sequence;
    stats->n_lost = hub->eai_sequence - hub->eai_n_put;
    stats->n_queued = hub->eai_n_put - hub->eai_n_taken;
    ea_port_irq_restore(irq);
}
