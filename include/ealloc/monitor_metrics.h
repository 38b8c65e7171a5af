/* SPDX-License-Identifier: MIT
 *
 * A monitor's numbers as metrics (row C8), and its rates, which need somebody to look now and then:
 * how many resources of a type, and of an owner, are acquired and released a second.
 *
 *     static _Alignas(8) unsigned char rates[EA_MONITOR_METRICS_BYTES(N_TYPES, N_STRIPES)];
 *     static ea_monitor_metrics_t numbers;
 *     ea_monitor_metrics_init(&numbers, rates, sizeof rates, &monitor, NULL);
 *     ea_metrics_add(&metrics, ea_monitor_metrics_source(&numbers));
 *     ... now and then: ea_monitor_metrics_poll(&numbers, ea_port_time_us());
 *
 * A rate is an exponentially weighted mean: what happened since the last poll weighs by how long
 * that was, and fades with the time constant. It is computed where it is polled; acquire and
 * release do nothing for it.
 *
 * Families, with the labels monitor (if it has a name), resource (the type's name), account and
 * reason where they apply. Of an owner only where the stripes are enough
 * (ea_monitor_owner_stats()).
 *     ealloc_resource_{acquired,released,recycled}_total, _failures_total{reason}, _live, _idle,
 *     _{acquisitions,releases}_per_second, _lifetime_seconds, _utilisation_ratio   of a type
 *     ealloc_resource_{used,limit,reserved,peak}, _denials_total                   of an account
 *     ealloc_resource_owner_{acquired,released}_total, _failures_total{reason}, _live,
 *     _{acquisitions,releases}_per_second, _lifetime_seconds                       of both
 *     ealloc_monitor_slots, ealloc_release_queue_{depth,peak}, _{entries,full}_total,
 *     ealloc_release_refusals_total                                                of a monitor
 * Accounts of a book that several types share are told once, under the first one's name; accounts
 * and types without a name by their number.
 *
 * Context: a task, one at a time on one object; the monitor is at work meanwhile.
 */
#ifndef EALLOC_MONITOR_METRICS_H
#define EALLOC_MONITOR_METRICS_H

#include "ealloc/metrics.h"
#include "ealloc/monitor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Private. */
typedef struct {
    uint64_t eai_acquired_rate; /* 1/1000 a second */
    uint64_t eai_released_rate;
    uintptr_t eai_n_acquired; /* at the last poll */
    uintptr_t eai_n_released;
} eai_monitor_rate_t;

typedef struct {
    const char *name;   /* of the monitor, not copied; NULL: no label tells monitors apart        */
    uint64_t settle_us; /* time constant of the rates: after so long a change is seen by 63 %; 0:
                           10 s                                                              */
} ea_monitor_metrics_options_t;

/* Every field is private. Must not be moved or copied. */
typedef struct {
    const ea_monitor_t *eai_monitor;
    eai_monitor_rate_t *eai_rates; /* of each type: of all, then of each stripe */
    ea_monitor_metrics_options_t eai_options;
    uint64_t eai_polled_us;
    uint8_t eai_n_polls; /* 0, 1, or more */
    ea_metric_source_t eai_source;
} ea_monitor_metrics_t;

/* Bytes of the rates, as in the monitor's options; n_stripes 0 means 1. */
#define EA_MONITOR_METRICS_BYTES(n_types, n_stripes)                                               \
    (sizeof(eai_monitor_rate_t) * (size_t)(n_types) *                                              \
     (1u + ((n_stripes) == 0 ? 1u : (size_t)(n_stripes))))

/* What a type or an owner acquires and releases, in 1/1000 a second. */
typedef struct {
    uint64_t acquired, released;
} ea_resource_rates_t;

/* Make ready; options NULL: all defaults.
 * Returns  EA_OK; EA_ERR_INVALID: NULL, or mem is not aligned to 8 bytes; EA_ERR_NO_MEMORY: it is
 *          smaller than EA_MONITOR_METRICS_BYTES().
 * Owns     uses mem, monitor and name as long as it is used. Cost O(types * stripes). */
EA_NODISCARD ea_status_t ea_monitor_metrics_init(ea_monitor_metrics_t *metrics, void *mem,
                                                 size_t size_bytes, const ea_monitor_t *monitor,
                                                 const ea_monitor_metrics_options_t *options);

/* Look at the counters: about as often as ten times a time constant; the first time rates begin,
 * the second time they are known. Cost O(types * stripes). */
void ea_monitor_metrics_poll(ea_monitor_metrics_t *metrics, uint64_t now_us);

/* The rates as of the last poll; account NULL: of the type.
 * Returns  EA_OK; EA_ERR_INVALID: no such type or account; EA_ERR_LIMIT: there are too few stripes;
 *          EA_ERR_AGAIN: it was polled less than twice. Cost O(1). */
EA_NODISCARD ea_status_t ea_monitor_rates(const ea_monitor_metrics_t *metrics, uint8_t type,
                                          const ea_account_t *account, ea_resource_rates_t *rates);

/* For ea_metrics_add(). */
EA_INLINE ea_metric_source_t *ea_monitor_metrics_source(ea_monitor_metrics_t *metrics)
{
    return &metrics->eai_source;
}

#ifdef __cplusplus
}
#endif
#endif
