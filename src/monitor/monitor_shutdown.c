/* SPDX-License-Identifier: MIT
 *
 * Emergency shutdown: phases, one after the other, each in bounded steps.
 *
 *     begin --> handlers, by priority --> queue --> idle objects --> what is live --> over
 *
 * I1  The handlers form a list, the highest priority first. Those before `next` were called for the
 *     last time or skipped; `next` was called if its n_calls is not 0.
 * I2  The phase only rises, and nothing is done before `begun` is seen.
 * I3  The monitor is closed before the first step: after the walk only who was inside acquire at
 *     that moment can have added something.
 *
 * Each phase ends: handlers by their limits, the queue by its own, idle objects and slots because
 * they become fewer and are passed. Only the clock has to tick.
 *
 * Rejected: a thread that kills handlers that overrun (the state they leave is what shutdown is to
 * prevent; no such thing on small systems); a limit that counts only the time in calls (the power
 * that is failing does not wait for the main loop).
 */
#include "ealloc/monitor_shutdown.h"

#include "monitor/monitor_internal.h"

#include "base/mem.h"

#include "ealloc/port.h"

#define DRAIN_US 1000000u
#define REST_US 1000u
#define RUN_BUDGET 16u

enum { PHASE_READY, PHASE_HANDLERS, PHASE_QUEUE, PHASE_IDLE, PHASE_LIVE, PHASE_OVER };

typedef ea_shutdown_t shutdown_t;
typedef ea_shutdown_handler_t handler_t;

/* --- helpers ---------------------------------------------------------------------------------- */

static uint64_t read_clock(const shutdown_t *shutdown)
{
    return shutdown->eai_options.clock_us != NULL ? shutdown->eai_options.clock_us()
                                                  : ea_port_time_us();
}

static uint64_t later_by(uint64_t from_us, uint64_t by_us)
{
    return by_us > UINT64_MAX - from_us ? UINT64_MAX : from_us + by_us;
}

static size_t at_most(uint64_t n, size_t most)
{
    return n < most ? (size_t)n : most;
}

static void announce(const shutdown_t *shutdown, ea_shutdown_event_t what, const void *where,
                     size_t n, size_t size_bytes, uint16_t owner)
{
    ea_events_emit(shutdown->eai_options.monitor->eai_events,
                   &(ea_event_t){.kind = EA_EVENT_SHUTDOWN,
                                 .level = (uint8_t)what,
                                 .where = where,
                                 .n = (uint16_t)at_most(n, UINT16_MAX),
                                 .size_bytes = size_bytes,
                                 .owner = owner});
}

static bool is_begun(const shutdown_t *shutdown)
{
    return EAI_LOAD(&((shutdown_t *)shutdown)->eai_is_begun, EAI_ACQUIRE) != 0;
}

static void enter_phase(shutdown_t *shutdown, uint8_t phase, uint64_t now_us)
{
    shutdown->eai_phase = phase;
    shutdown->eai_phase_us = now_us;
}

/* --- before ----------------------------------------------------------------------------------- */

ea_status_t ea_shutdown_init(shutdown_t *shutdown, const ea_shutdown_options_t *options)
{
    if (shutdown == NULL || options == NULL || options->monitor == NULL) return EA_ERR_INVALID;
    memset((void *)shutdown, 0, sizeof *shutdown);
    shutdown->eai_options = *options;
    if (options->holdings == NULL) shutdown->eai_options.n_holdings = 0;
    return EA_OK;
}

ea_status_t ea_shutdown_add(shutdown_t *shutdown, handler_t *handler)
{
    if (handler == NULL || handler->call == NULL || handler->limit_us == 0) return EA_ERR_INVALID;
    if (is_begun(shutdown)) return EA_ERR_BUSY;
    handler_t **place = NULL, **link = &shutdown->eai_first;
    for (; *link != NULL; link = &(*link)->eai_next) {
        if (*link == handler) return EA_ERR_BUSY;
        if (place == NULL && (*link)->priority < handler->priority) place = link;
    }
    if (place == NULL) place = link;
    handler->is_late = false;
    handler->result = EA_ERR_AGAIN;
    handler->n_calls = 0;
    handler->took_us = 0;
    handler->eai_next = *place;
    *place = handler;
    return EA_OK;
}

ea_status_t ea_shutdown_remove(shutdown_t *shutdown, handler_t *handler)
{
    if (is_begun(shutdown)) return EA_ERR_BUSY;
    for (handler_t **link = &shutdown->eai_first; *link != NULL; link = &(*link)->eai_next) {
        if (*link != handler) continue;
        *link = handler->eai_next;
        return EA_OK;
    }
    return EA_ERR_NOT_FOUND;
}

void ea_shutdown_begin(shutdown_t *shutdown)
{
    ea_monitor_close(shutdown->eai_options.monitor, true);
    EAI_STORE(&shutdown->eai_is_begun, 1u, EAI_RELEASE);
}

/* --- handlers --------------------------------------------------------------------------------- */

static uint64_t end_of_all(const shutdown_t *shutdown)
{
    uint64_t limit_us = shutdown->eai_options.limit_us;
    return limit_us == 0 ? UINT64_MAX : later_by(shutdown->eai_started_us, limit_us);
}

static void skip_handler(shutdown_t *shutdown, handler_t *handler)
{
    handler->result = EA_ERR_CANCELLED;
    shutdown->eai_report.n_skipped++;
    announce(shutdown, EA_SHUTDOWN_SKIPPED, handler, 0, 0, 0);
}

/* The last call of handler returned status. */
static void conclude_handler(shutdown_t *shutdown, handler_t *handler, ea_status_t status)
{
    ea_shutdown_report_t *report = &shutdown->eai_report;
    bool is_unfinished = status == EA_ERR_AGAIN || status == EA_ERR_BUSY;
    handler->result = is_unfinished ? EA_ERR_TIMEOUT : status;
    report->n_done += status == EA_OK;
    if (is_unfinished || handler->is_late) {
        report->n_overruns++;
        announce(shutdown, EA_SHUTDOWN_OVERRUN, handler, 0, at_most(handler->took_us, SIZE_MAX), 0);
    }
    if (status != EA_OK && !is_unfinished) {
        report->n_failed++;
        announce(shutdown, EA_SHUTDOWN_FAILED, handler, (size_t)-status, 0, 0);
    }
}

static void call_next(shutdown_t *shutdown, uint64_t now_us)
{
    handler_t *handler = shutdown->eai_next;
    if (handler == NULL) {
        enter_phase(shutdown, PHASE_QUEUE, now_us);
        return;
    }
    if (handler->n_calls == 0) {
        if (now_us >= end_of_all(shutdown)) {
            skip_handler(shutdown, handler);
            shutdown->eai_next = handler->eai_next;
            return;
        }
        shutdown->eai_phase_us = now_us;
    }
    uint64_t deadline_us = later_by(shutdown->eai_phase_us, handler->limit_us);
    if (end_of_all(shutdown) < deadline_us) deadline_us = end_of_all(shutdown);
    /* Its time may have ended between two steps, but then it has been told so by none of its calls:
     * it is called for the last time. */
    handler->n_calls++;
    ea_status_t status = handler->call(handler->context, deadline_us);
    now_us = read_clock(shutdown);
    handler->took_us = now_us - shutdown->eai_phase_us;
    handler->is_late = now_us > deadline_us;
    if ((status == EA_ERR_AGAIN || status == EA_ERR_BUSY) && now_us < deadline_us) {
        shutdown->eai_waits = status == EA_ERR_BUSY;
        return;
    }
    conclude_handler(shutdown, handler, status);
    shutdown->eai_next = handler->eai_next;
}

/* --- queue and idle objects ------------------------------------------------------------------- */

static void drain_queue(shutdown_t *shutdown, size_t budget)
{
    ea_monitor_t *monitor = shutdown->eai_options.monitor;
    ea_shutdown_report_t *report = &shutdown->eai_report;
    uint64_t limit_us = shutdown->eai_options.drain_us;
    size_t n = ea_monitor_cleanup(monitor, budget);
    report->n_released += n;

    ea_monitor_stats_t stats;
    ea_monitor_stats(monitor, &stats);
    uint64_t now_us = read_clock(shutdown);
    if (stats.n_queued > 0 &&
        now_us < later_by(shutdown->eai_phase_us, limit_us == 0 ? DRAIN_US : limit_us)) {
        shutdown->eai_waits = n == 0; /* another is at it */
        return;
    }
    report->n_queued = stats.n_queued;
    if (stats.n_queued > 0) announce(shutdown, EA_SHUTDOWN_STUCK, monitor, stats.n_queued, 0, 0);
    enter_phase(shutdown, PHASE_IDLE, now_us);
}

static void end_idle(shutdown_t *shutdown, size_t budget)
{
    size_t n = ea_monitor_trim(shutdown->eai_options.monitor, budget);
    shutdown->eai_report.n_trimmed += n;
    if (n < budget) enter_phase(shutdown, PHASE_LIVE, 0);
}

/* --- what is live ----------------------------------------------------------------------------- */

static ea_shutdown_holding_t *holding_of(shutdown_t *shutdown, uint8_t type, uint16_t account)
{
    ea_shutdown_report_t *report = &shutdown->eai_report;
    for (size_t i = 0; i < report->n_holdings; i++) {
        ea_shutdown_holding_t *holding = &shutdown->eai_options.holdings[i];
        if (holding->type == type && holding->account == account) return holding;
    }
    if (report->n_holdings == shutdown->eai_options.n_holdings) return NULL;
    ea_shutdown_holding_t *holding = &shutdown->eai_options.holdings[report->n_holdings++];
    *holding = (ea_shutdown_holding_t){.type = type, .account = account, .oldest_us = UINT64_MAX};
    return holding;
}

static bool note_live(void *context, const ea_resource_info_t *info)
{
    shutdown_t *shutdown = context;
    shutdown->eai_report.n_live++;
    ea_shutdown_holding_t *holding = holding_of(shutdown, info->type, info->account);
    if (holding == NULL) {
        shutdown->eai_report.n_untold++;
        return true;
    }
    holding->n++;
    holding->units += info->units;
    if (info->since_us < holding->oldest_us) {
        holding->oldest_us = info->since_us;
        holding->caller = info->caller;
        holding->example = info->resource;
    }
    return true;
}

static void tell_holdings(const shutdown_t *shutdown)
{
    const ea_shutdown_options_t *options = &shutdown->eai_options;
    for (size_t i = 0; i < shutdown->eai_report.n_holdings; i++) {
        const ea_shutdown_holding_t *holding = &options->holdings[i];
        announce(shutdown, EA_SHUTDOWN_HELD, &options->monitor->eai_types[holding->type],
                 holding->n, holding->units, holding->account);
    }
    announce(shutdown, EA_SHUTDOWN_OVER, options->monitor, shutdown->eai_report.n_live, 0, 0);
}

static void look_at_live(shutdown_t *shutdown, size_t budget)
{
    if (ea_monitor_walk(shutdown->eai_options.monitor, &shutdown->eai_cursor, budget, note_live,
                        shutdown) == EA_ERR_AGAIN) {
        return;
    }
    shutdown->eai_report.took_us = read_clock(shutdown) - shutdown->eai_started_us;
    shutdown->eai_phase = PHASE_OVER;
    tell_holdings(shutdown);
}

/* --- steps ------------------------------------------------------------------------------------ */

ea_status_t ea_shutdown_step(shutdown_t *shutdown, size_t budget)
{
    if (budget == 0 || !is_begun(shutdown)) return EA_ERR_INVALID;
    uint64_t now_us = read_clock(shutdown);
    shutdown->eai_waits = false;
    switch (shutdown->eai_phase) {
    case PHASE_READY:
        shutdown->eai_started_us = now_us;
        shutdown->eai_next = shutdown->eai_first;
        enter_phase(shutdown, PHASE_HANDLERS, now_us);
        announce(shutdown, EA_SHUTDOWN_BEGUN, shutdown->eai_options.monitor, 0, 0, 0);
        break;
    case PHASE_HANDLERS: call_next(shutdown, now_us); break;
    case PHASE_QUEUE: drain_queue(shutdown, budget); break;
    case PHASE_IDLE: end_idle(shutdown, budget); break;
    case PHASE_LIVE: look_at_live(shutdown, budget); break;
    default: break;
    }
    return shutdown->eai_phase == PHASE_OVER ? EA_OK : EA_ERR_AGAIN;
}

static void rest_a_little(void)
{
    ea_port_waiter_t waiter;
    ea_port_waiter_init(&waiter);
    (void)!ea_port_wait(&waiter, REST_US);
    ea_port_waiter_deinit(&waiter);
}

/* Each phase ends, see above. */
const ea_shutdown_report_t *ea_shutdown_run(shutdown_t *shutdown)
{
    ea_shutdown_begin(shutdown);
    while (ea_shutdown_step(shutdown, RUN_BUDGET) != EA_OK) {
        if (shutdown->eai_waits) rest_a_little();
    }
    return &shutdown->eai_report;
}
