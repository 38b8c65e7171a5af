/* SPDX-License-Identifier: MIT
 *
 * The POSIX binding: the reconciler. A pass is a row of phases, each in bounded steps:
 *
 *     descriptors /proc has --> descriptors the table has --> threads and children /proc has -->
 *     memory maps --> entries --> directories --> suspects that are no more
 *
 * Why a stray is one. Whatever the bindings make is in flight until it is registered, and while it
 * is being ended its place says ENDING. What a pass sees and finds in no place is a suspect, with
 * the number of calls begun by then. If later all those calls have ended and the place is a
 * suspect's still, then none of them has made what was seen: it would have become LIVE. So seen in
 * two passes, the same thing each time, and judged after the second look, both were strays. A call
 * that never ends (accept) counts only until it is older than grace_us: what it made is registered
 * soon after, unless its thread stands still for so long.
 *
 * Why what is gone is gone: I3 in posix_core.c. For mappings, which /proc tells one after the other
 * and not at one moment, two passes in a row must find them wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <time.h>

#include "posix_reconcile.h"

#define BUDGET_NOW 4096u

enum {
    BEGIN,
    SCAN_NUMBERS,
    WALK_NUMBERS,
    SCAN_TASKS,
    SCAN_MAPS,
    WALK_ENTRIES,
    DISKS,
    SUSPECTS,
    END
};

static void next_phase(look_t *look)
{
    look->pass->phase++;
    look->pass->cursor = 0;
}

/* --- telling ---------------------------------------------------------------------------------- */

void eai_look_tell(look_t *look, ea_posix_finding_t *finding)
{
    ea_monitor_t *monitor = look->posix->eai_options.monitor;
    ea_resource_info_t info;
    if (!ea_resource_is_none(finding->resource) &&
        ea_monitor_info(monitor, finding->resource, &info) == EA_OK) {
        finding->account = info.account;
        finding->caller = info.caller;
        finding->since_us = info.since_us;
    }
    eai_lock(look->posix);
    look->posix->eai_report.n_told++;
    eai_unlock(look->posix);
    ea_events_emit(monitor->eai_events, &(ea_event_t){.kind = EA_EVENT_STRAY,
                                                      .level = (uint8_t)finding->what,
                                                      .n = (uint16_t)finding->kind,
                                                      .owner = finding->account,
                                                      .size_bytes = (size_t)finding->id,
                                                      .where = look->posix,
                                                      .caller = finding->caller});
    if (look->tell != NULL) look->tell(look->context, finding);
}

void eai_look_forget(look_t *look, ea_resource_t resource)
{
    (void)ea_monitor_release(look->posix->eai_options.monitor, resource);
    eai_lock(look->posix);
    look->posix->eai_report.n_forgotten++;
    eai_unlock(look->posix);
}

/* --- passes ----------------------------------------------------------------------------------- */

static void end_pass(look_t *look)
{
    ea_posix_report_t *report = &look->posix->eai_report;
    const ea_posix_report_t *now = &look->pass->now;
    eai_lock(look->posix);
    memcpy(report->n, now->n, sizeof report->n);
    report->n_suspects = now->n_suspects;
    report->n_left_out = now->n_left_out;
    report->is_incomplete = now->is_incomplete;
    report->n_passes++;
    eai_unlock(look->posix);
    look->pass->phase = BEGIN;
    look->pass->pass++;
    if (look->pass->pass == 0) look->pass->pass = 1;
}

static void begin_pass(look_t *look)
{
    memset(&look->pass->now, 0, sizeof look->pass->now);
}

/* Returns whether the pass is complete. */
static bool go_on(look_t *look)
{
    static bool (*const phases[])(look_t *) = {
        [SCAN_NUMBERS] = eai_scan_numbers, [WALK_NUMBERS] = eai_walk_numbers,
        [SCAN_TASKS] = eai_scan_tasks,     [SCAN_MAPS] = eai_scan_maps,
        [WALK_ENTRIES] = eai_walk_entries, [DISKS] = eai_measure_disks,
        [SUSPECTS] = eai_drop_suspects};
    while (look->budget > 0) {
        if (look->pass->phase == BEGIN) {
            begin_pass(look);
            next_phase(look);
        } else if (phases[look->pass->phase](look)) {
            next_phase(look);
        }
        if (look->pass->phase == END) {
            end_pass(look);
            return true;
        }
    }
    return false;
}

/* *is_whole is set if this call begins the pass. */
static ea_status_t go_on_alone(look_t *look, bool *is_whole)
{
    const int kept = errno;
    ea_posix_t *posix = look->posix;
    eai_lock(posix);
    bool is_busy = posix->eai_is_reconciling;
    posix->eai_is_reconciling = true;
    eai_unlock(posix);
    if (is_busy) return EA_ERR_BUSY;
    if (look->pass->phase == BEGIN) *is_whole = true;
    bool is_complete = go_on(look);
    eai_lock(posix);
    posix->eai_is_reconciling = false;
    eai_unlock(posix);
    errno = kept;
    return is_complete ? EA_OK : EA_ERR_AGAIN;
}

ea_status_t ea_posix_reconcile(ea_posix_t *posix, uint32_t flags, size_t budget,
                               ea_posix_tell_t tell_one, void *context)
{
    bool is_whole = false;
    look_t look = {posix, &posix->eai_pass, flags, budget, tell_one, context};
    return budget == 0 ? EA_ERR_INVALID : go_on_alone(&look, &is_whole);
}

/* From its beginning on: what others had begun is ended before. */
static ea_status_t complete_pass(const look_t *how)
{
    ea_status_t status;
    bool is_whole = false;
    do {
        look_t look = *how;
        status = go_on_alone(&look, &is_whole);
        if (status == EA_OK && !is_whole) status = EA_ERR_AGAIN;
    } while (status == EA_ERR_AGAIN);
    return status;
}

ea_status_t ea_posix_reconcile_now(ea_posix_t *posix, uint32_t flags, ea_posix_tell_t tell_one,
                                   void *context)
{
    const uint64_t grace_us = posix->eai_options.grace_us + 1u;
    const struct timespec grace = {(time_t)(grace_us / 1000000u),
                                   (long)(grace_us % 1000000u * 1000u)};
    const look_t look = {posix, &posix->eai_pass, flags, BUDGET_NOW, tell_one, context};
    ea_status_t status = complete_pass(&look);
    if (status != EA_OK || (flags & EA_POSIX_KNOWN) != 0) return status;
    (void)nanosleep(&grace, NULL);
    return complete_pass(&look);
}

void ea_posix_report(ea_posix_t *posix, ea_posix_report_t *report)
{
    eai_lock(posix);
    *report = posix->eai_report;
    eai_unlock(posix);
}
