/* SPDX-License-Identifier: MIT
 *
 * The monitor's numbers as metrics, and its rates. A family has a shape: what its numbers are of.
 * A place counts from the outside in: type, then account, then reason or class; one that has
 * nothing to say is passed over.
 *
 * Rates are polled: each is moved towards what the counters say of the time since the last poll, by
 * that time's part of itself and the time constant, which needs no exponential and is right for
 * whatever steps somebody polls in.
 */
#include "ealloc/monitor_metrics.h"

#include "base/mem.h"
#include "monitor/monitor_internal.h"

typedef ea_monitor_metrics_t metrics_t;
typedef eai_monitor_rate_t rate_t;

#define SETTLE_US 10000000u
#define WEIGHT_SHIFT 16u

EA_STATIC_ASSERT(sizeof(rate_t) == 16u + 2u * sizeof(word_t), "no holes");

/* --- rates ------------------------------------------------------------------------------------ */

static uint32_t n_stripes(const monitor_t *monitor)
{
    return monitor->eai_stripe_mask + 1u;
}

/* stripe UINT32_MAX: of all. */
static rate_t *rate_at(const metrics_t *metrics, uint32_t type, uint32_t stripe)
{
    return &metrics->eai_rates[type * (n_stripes(metrics->eai_monitor) + 1u) + stripe + 1u];
}

static uint64_t per_second(word_t n, uint64_t elapsed_us)
{
    const uint64_t scale = (uint64_t)1000u * 1000000u;
    return n < UINT64_MAX / scale ? n * scale / elapsed_us : n / elapsed_us * scale;
}

static uint64_t moved(uint64_t rate, uint64_t towards, uint32_t weight)
{
    uint64_t most = UINT64_MAX >> WEIGHT_SHIFT;
    uint64_t by = towards > rate ? towards - rate : rate - towards;
    by = by < most ? by * weight >> WEIGHT_SHIFT : (by >> WEIGHT_SHIFT) * weight;
    return towards > rate ? rate + by : rate - by;
}

static void update(rate_t *rate, word_t n_acquired, word_t n_released, uint64_t elapsed_us,
                   uint32_t weight)
{
    if (weight > 0) {
        rate->eai_acquired_rate =
            moved(rate->eai_acquired_rate,
                  per_second(n_acquired - rate->eai_n_acquired, elapsed_us), weight);
        rate->eai_released_rate =
            moved(rate->eai_released_rate,
                  per_second(n_released - rate->eai_n_released, elapsed_us), weight);
    }
    rate->eai_n_acquired = n_acquired;
    rate->eai_n_released = n_released;
}

static void update_type(metrics_t *metrics, uint8_t type, uint64_t elapsed_us, uint32_t weight)
{
    word_t all_acquired = 0, all_released = 0;
    for (uint32_t i = 0; i < n_stripes(metrics->eai_monitor); i++) {
        const eai_tally_t *tally = tally_of(metrics->eai_monitor, i, type);
        word_t n_released = 0;
        for (unsigned k = 0; k < EA_CFG_MONITOR_LIFETIMES; k++) {
            n_released += counted(&tally->lived[k]);
        }
        word_t n_acquired = counted(&tally->acquired);
        update(rate_at(metrics, type, i), n_acquired, n_released, elapsed_us, weight);
        all_acquired += n_acquired;
        all_released += n_released;
    }
    update(rate_at(metrics, type, UINT32_MAX), all_acquired, all_released, elapsed_us, weight);
}

/* Of 2^16. The first rate that is known is taken as it is. */
static uint32_t weight_of(const metrics_t *metrics, uint64_t elapsed_us)
{
    if (metrics->eai_n_polls == 0) return 0;
    if (metrics->eai_n_polls == 1) return 1u << WEIGHT_SHIFT;
    uint64_t settle_us = metrics->eai_options.settle_us;
    uint64_t most = (UINT64_MAX >> WEIGHT_SHIFT) - settle_us;
    if (elapsed_us > most) return 1u << WEIGHT_SHIFT;
    return (uint32_t)((elapsed_us << WEIGHT_SHIFT) / (settle_us + elapsed_us));
}

void ea_monitor_metrics_poll(metrics_t *metrics, uint64_t now_us)
{
    uint64_t elapsed_us = now_us - metrics->eai_polled_us;
    if (metrics->eai_n_polls > 0 && elapsed_us == 0) return;
    uint32_t weight = weight_of(metrics, elapsed_us);
    for (uint32_t i = 0; i < metrics->eai_monitor->eai_n_types; i++) {
        update_type(metrics, (uint8_t)i, elapsed_us, weight);
    }
    metrics->eai_polled_us = now_us;
    if (metrics->eai_n_polls < 2) metrics->eai_n_polls++;
}

ea_status_t ea_monitor_rates(const metrics_t *metrics, uint8_t type, const ea_account_t *account,
                             ea_resource_rates_t *rates)
{
    const monitor_t *monitor = metrics->eai_monitor;
    uint32_t stripe = UINT32_MAX;
    if (type >= monitor->eai_n_types) return EA_ERR_INVALID;
    if (account != NULL) {
        if (account->eai_book != monitor->eai_types[type].book) return EA_ERR_INVALID;
        if (!eai_monitor_knows_owners(monitor, type)) return EA_ERR_LIMIT;
        stripe = stripe_of(monitor, ea_account_id(account));
    }
    if (metrics->eai_n_polls < 2) return EA_ERR_AGAIN;
    const rate_t *rate = rate_at(metrics, type, stripe);
    *rates = (ea_resource_rates_t){rate->eai_acquired_rate, rate->eai_released_rate};
    return EA_OK;
}

/* --- families --------------------------------------------------------------------------------- */

typedef enum {
    ACQUIRED,
    RELEASED,
    RECYCLED,
    FAILURES,
    LIVE,
    IDLE,
    ACQUISITIONS,
    RELEASES,
    LIFETIMES,
    UTILISATION,
    USED,
    LIMIT,
    RESERVED,
    PEAK,
    DENIALS,
    OWNER_ACQUIRED,
    OWNER_RELEASED,
    OWNER_FAILURES,
    OWNER_LIVE,
    OWNER_ACQUISITIONS,
    OWNER_RELEASES,
    OWNER_LIFETIMES,
    SLOTS,
    DEPTH,
    QUEUE_PEAK,
    ENTRIES,
    FULL,
    REFUSALS,
    N_FAMILIES
} family_t;

#define COUNTER(name_, help_)                                                                      \
    {                                                                                              \
        .name = name_, .help = help_, .unit = "", .kind = EA_METRIC_COUNTER                        \
    }
#define GAUGE(name_, help_, unit_, decimals_)                                                      \
    {                                                                                              \
        .name = name_, .help = help_, .unit = unit_, .kind = EA_METRIC_GAUGE,                      \
        .decimals = decimals_                                                                      \
    }
#define HISTOGRAM(name_, help_)                                                                    \
    {                                                                                              \
        .name = name_, .help = help_, .unit = "seconds", .kind = EA_METRIC_HISTOGRAM,              \
        .decimals = 6                                                                              \
    }

static const ea_metric_family_t families[N_FAMILIES] = {
    [ACQUIRED] = COUNTER("ealloc_resource_acquired_total", "Resources acquired."),
    [RELEASED] = COUNTER("ealloc_resource_released_total", "Resources released."),
    [RECYCLED] = COUNTER("ealloc_resource_recycled_total", "Idle objects handed out again."),
    [FAILURES] = COUNTER("ealloc_resource_failures_total", "Requests refused, by reason."),
    [LIVE] = GAUGE("ealloc_resource_live", "Resources that live.", "", 0),
    [IDLE] = GAUGE("ealloc_resource_idle", "Objects kept to be handed out again.", "", 0),
    [ACQUISITIONS] = GAUGE("ealloc_resource_acquisitions_per_second",
                           "Rate of acquisitions, weighted towards the present.", "", 3),
    [RELEASES] = GAUGE("ealloc_resource_releases_per_second",
                       "Rate of releases, weighted towards the present.", "", 3),
    [LIFETIMES] = HISTOGRAM("ealloc_resource_lifetime_seconds", "How long those released lived."),
    [UTILISATION] =
        GAUGE("ealloc_resource_utilisation_ratio", "Units used of the capacity.", "ratio", 3),
    [USED] = GAUGE("ealloc_resource_used", "Units an account uses.", "", 0),
    [LIMIT] = GAUGE("ealloc_resource_limit", "Units an account may use.", "", 0),
    [RESERVED] = GAUGE("ealloc_resource_reserved", "Units reserved by an account.", "", 0),
    [PEAK] = GAUGE("ealloc_resource_peak", "Most units of an account at a time.", "", 0),
    [DENIALS] = COUNTER("ealloc_resource_denials_total",
                        "Charges of an account that a limit, its own or one above, refused."),
    [OWNER_ACQUIRED] =
        COUNTER("ealloc_resource_owner_acquired_total", "Resources an account acquired."),
    [OWNER_RELEASED] =
        COUNTER("ealloc_resource_owner_released_total", "Resources an account released."),
    [OWNER_FAILURES] = COUNTER("ealloc_resource_owner_failures_total",
                               "Requests of an account refused, by reason."),
    [OWNER_LIVE] = GAUGE("ealloc_resource_owner_live",
                         "Resources an account acquired and did not "
                         "release.",
                         "", 0),
    [OWNER_ACQUISITIONS] = GAUGE("ealloc_resource_owner_acquisitions_per_second",
                                 "Rate of an account's acquisitions.", "", 3),
    [OWNER_RELEASES] =
        GAUGE("ealloc_resource_owner_releases_per_second", "Rate of an account's releases.", "", 3),
    [OWNER_LIFETIMES] = HISTOGRAM("ealloc_resource_owner_lifetime_seconds",
                                  "How long what an account released lived."),
    [SLOTS] = GAUGE("ealloc_monitor_slots", "Resources there can be, idle ones included.", "", 0),
    [DEPTH] = GAUGE("ealloc_release_queue_depth", "Resources that wait for release.", "", 0),
    [QUEUE_PEAK] = GAUGE("ealloc_release_queue_peak", "Most that waited at a time.", "", 0),
    [ENTRIES] = COUNTER("ealloc_release_queue_entries_total", "Resources put into the queue."),
    [FULL] = COUNTER("ealloc_release_queue_full_total",
                     "Resources released at once because the queue was full."),
    [REFUSALS] = COUNTER("ealloc_release_refusals_total", "Releases that a check refused."),
};

/* As labels call them; their order is that of ea_reason_t. */
static const char *reason_label(uint32_t reason)
{
    switch ((ea_reason_t)reason) {
    case EA_REASON_NONE: return "other";
    case EA_REASON_EXHAUSTED: return "exhausted";
    case EA_REASON_FRAGMENTED: return "fragmented";
    case EA_REASON_OVER_LIMIT: return "limit";
    case EA_REASON_NO_CAPABILITY: return "capability";
    case EA_REASON_TOO_LARGE: return "too_large";
    case EA_REASON_TIMEOUT: return "timeout";
    case EA_REASON_INVALID: return "invalid";
    case EA_REASON_DAMAGED: return "damaged";
    case EA_REASON_IN_LINE: return "in_line";
    }
    return "other";
}

/* No request of a resource is refused for these. */
static bool is_of_memory(uint32_t reason)
{
    return reason == EA_REASON_FRAGMENTED || reason == EA_REASON_NO_CAPABILITY;
}

/* --- places ----------------------------------------------------------------------------------- */

enum { AT_TYPE, AT_ACCOUNT, AT_REASON, AT_CLASS = AT_REASON };

static void add_label(ea_metric_t *metric, const char *name, const char *text, uint32_t number)
{
    metric->labels[metric->n_labels++] = (ea_metric_label_t){name, text, number};
}

static void label_type(const metrics_t *metrics, ea_metric_t *metric, uint32_t type)
{
    const char *name = metrics->eai_options.name;
    metric->n_labels = 0;
    if (name != NULL) add_label(metric, "monitor", name, 0);
    add_label(metric, "resource", metrics->eai_monitor->eai_types[type].name, type);
}

/* The account at a place, or the next one that lives; NULL: the book has no more. */
static const ea_account_t *account_at(const ea_accounts_t *book, ea_metric_place_t *place)
{
    for (; place->at[AT_ACCOUNT] < book->eai_n_nodes; place->at[AT_ACCOUNT]++) {
        const ea_account_t *account =
            ea_account_by_id(book, (uint16_t)(place->at[AT_ACCOUNT] + 1u));
        if (account != NULL) return account;
    }
    return NULL;
}

static void next_type(ea_metric_place_t *place)
{
    *place = (ea_metric_place_t){.at = {place->at[AT_TYPE] + 1u}};
}

static void next_account(ea_metric_place_t *place)
{
    *place = (ea_metric_place_t){.at = {place->at[AT_TYPE], place->at[AT_ACCOUNT] + 1u}};
}

/* Of one number after the other of `stats` that a family has several of: the failures by reason, or
 * the classes of lifetimes and their sum. Returns false: there are no more. */
static bool one_of(bool is_histogram, const ea_resource_stats_t *stats, ea_metric_place_t *place,
                   ea_metric_t *metric)
{
    uint32_t *at = &place->at[AT_REASON];
    if (!is_histogram) {
        while (*at <= EA_REASON_IN_LINE && is_of_memory(*at)) ++*at;
        if (*at > EA_REASON_IN_LINE) return false;
        add_label(metric, "reason", reason_label(*at), *at);
        metric->value = stats->n_failures[(*at)++];
        return true;
    }
    if (*at > EA_CFG_MONITOR_LIFETIMES) return false;
    metric->part = *at < EA_CFG_MONITOR_LIFETIMES ? EA_METRIC_BUCKET : EA_METRIC_COUNT;
    metric->value = place->carry; /* of the last bucket: they are as many */
    if (metric->part == EA_METRIC_BUCKET) {
        metric->bound =
            *at + 1u < EA_CFG_MONITOR_LIFETIMES ? ((uint64_t)1024u << *at) - 1u : UINT64_MAX;
        place->carry = 0;
        for (uint32_t i = 0; i <= *at; i++) place->carry += stats->lifetimes[i];
        metric->value = place->carry;
    }
    ++*at;
    return true;
}

static uint64_t plain_number(family_t family, const ea_resource_stats_t *stats)
{
    switch (family) {
    case ACQUIRED:
    case OWNER_ACQUIRED: return stats->n_acquired;
    case RELEASED:
    case OWNER_RELEASED: return stats->n_released;
    case RECYCLED: return stats->n_recycled;
    case IDLE: return stats->n_idle;
    case UTILISATION: return stats->utilisation_permille;
    default: return stats->n_live;
    }
}

/* --- by what a family is of ------------------------------------------------------------------- */

static bool is_rate(family_t family)
{
    return family == ACQUISITIONS || family == RELEASES || family == OWNER_ACQUISITIONS ||
           family == OWNER_RELEASES;
}

static bool is_several(family_t family)
{
    return family == FAILURES || family == OWNER_FAILURES || family == LIFETIMES ||
           family == OWNER_LIFETIMES;
}

static bool is_histogram(family_t family)
{
    return families[family].kind == EA_METRIC_HISTOGRAM;
}

/* Of a type, or of a type and an account. Returns false: it has no (more) numbers of the family. */
static bool number_of(const metrics_t *metrics, family_t family, const ea_account_t *account,
                      ea_metric_place_t *place, ea_metric_t *metric)
{
    const monitor_t *monitor = metrics->eai_monitor;
    uint8_t type = (uint8_t)place->at[AT_TYPE];
    label_type(metrics, metric, type);
    if (account != NULL) {
        add_label(metric, "account", account->eai_name, ea_account_id(account));
    }
    if (is_rate(family)) {
        ea_resource_rates_t rates;
        if (ea_monitor_rates(metrics, type, account, &rates) != EA_OK) return false;
        bool is_acquired = family == ACQUISITIONS || family == OWNER_ACQUISITIONS;
        metric->value = is_acquired ? rates.acquired : rates.released;
        return true;
    }
    ea_resource_stats_t stats;
    ea_status_t status = account == NULL ? ea_monitor_type_stats(monitor, type, &stats)
                                         : ea_monitor_owner_stats(monitor, type, account, &stats);
    if (status != EA_OK) return false;
    if (is_several(family)) return one_of(is_histogram(family), &stats, place, metric);
    if (family == UTILISATION && stats.capacity == EA_ACCOUNT_UNLIMITED) return false;
    metric->value = plain_number(family, &stats);
    return true;
}

static bool next_of_type(const metrics_t *metrics, family_t family, ea_metric_place_t *place,
                         ea_metric_t *metric)
{
    while (place->at[AT_TYPE] < metrics->eai_monitor->eai_n_types) {
        bool is_there = number_of(metrics, family, NULL, place, metric);
        if (!is_there || !is_several(family)) next_type(place);
        if (is_there) return true;
    }
    return false;
}

static bool next_of_owner(const metrics_t *metrics, family_t family, ea_metric_place_t *place,
                          ea_metric_t *metric)
{
    const monitor_t *monitor = metrics->eai_monitor;
    while (place->at[AT_TYPE] < monitor->eai_n_types) {
        const ea_accounts_t *book = monitor->eai_types[place->at[AT_TYPE]].book;
        bool is_known = eai_monitor_knows_owners(monitor, (uint8_t)place->at[AT_TYPE]);
        const ea_account_t *account = is_known ? account_at(book, place) : NULL;
        if (account == NULL) {
            next_type(place);
            continue;
        }
        bool is_there = number_of(metrics, family, account, place, metric);
        if (!is_there || !is_several(family)) next_account(place);
        if (is_there) return true;
    }
    return false;
}

static bool is_told_before(const monitor_t *monitor, uint32_t type)
{
    for (uint32_t i = 0; i < type; i++) {
        if (monitor->eai_types[i].book == monitor->eai_types[type].book) return true;
    }
    return false;
}

static uint64_t number_of_account(family_t family, const ea_account_stats_t *stats)
{
    switch (family) {
    case USED: return stats->used;
    case LIMIT: return stats->limits.max;
    case RESERVED: return stats->reserved;
    case PEAK: return stats->peak;
    default: return stats->n_refused;
    }
}

static bool next_of_account(const metrics_t *metrics, family_t family, ea_metric_place_t *place,
                            ea_metric_t *metric)
{
    const monitor_t *monitor = metrics->eai_monitor;
    while (place->at[AT_TYPE] < monitor->eai_n_types) {
        uint32_t type = place->at[AT_TYPE];
        const ea_account_t *account =
            is_told_before(monitor, type) ? NULL : account_at(monitor->eai_types[type].book, place);
        if (account == NULL) {
            next_type(place);
            continue;
        }
        ea_account_stats_t stats;
        ea_account_stats(account, &stats);
        next_account(place);
        if (family == LIMIT && stats.limits.max == EA_ACCOUNT_UNLIMITED) continue;
        label_type(metrics, metric, type);
        add_label(metric, "account", account->eai_name, ea_account_id(account));
        metric->value = number_of_account(family, &stats);
        return true;
    }
    return false;
}

static bool next_of_monitor(const metrics_t *metrics, family_t family, ea_metric_place_t *place,
                            ea_metric_t *metric)
{
    if (place->at[AT_TYPE]++ > 0) return false;
    ea_monitor_stats_t stats;
    ea_monitor_stats(metrics->eai_monitor, &stats);
    const char *name = metrics->eai_options.name;
    if (name != NULL) add_label(metric, "monitor", name, 0);
    switch (family) {
    case SLOTS: metric->value = stats.n_slots; break;
    case DEPTH: metric->value = stats.n_queued; break;
    case QUEUE_PEAK: metric->value = stats.most_queued; break;
    case ENTRIES: metric->value = stats.n_queued_total; break;
    case FULL: metric->value = stats.n_queue_full; break;
    default: metric->value = stats.n_refused; break;
    }
    return true;
}

static bool next_metric(void *context, uint32_t number, ea_metric_place_t *place,
                        ea_metric_t *metric)
{
    const metrics_t *metrics = context;
    const family_t family = (family_t)number;
    if (family <= UTILISATION) return next_of_type(metrics, family, place, metric);
    if (family <= DENIALS) return next_of_account(metrics, family, place, metric);
    if (family <= OWNER_LIFETIMES) return next_of_owner(metrics, family, place, metric);
    return next_of_monitor(metrics, family, place, metric);
}

/* --- beginning -------------------------------------------------------------------------------- */

ea_status_t ea_monitor_metrics_init(metrics_t *metrics, void *mem, size_t size_bytes,
                                    const monitor_t *monitor,
                                    const ea_monitor_metrics_options_t *options)
{
    if (metrics == NULL || mem == NULL || monitor == NULL || ((uintptr_t)mem & 7u) != 0) {
        return EA_ERR_INVALID;
    }
    size_t needed = EA_MONITOR_METRICS_BYTES(monitor->eai_n_types, n_stripes(monitor));
    if (size_bytes < needed) return EA_ERR_NO_MEMORY;
    memset(mem, 0, needed);
    *metrics = (metrics_t){.eai_monitor = monitor,
                           .eai_rates = mem,
                           .eai_source = {.families = families,
                                          .n_families = N_FAMILIES,
                                          .next = next_metric,
                                          .context = metrics}};
    if (options != NULL) metrics->eai_options = *options;
    if (metrics->eai_options.settle_us == 0) metrics->eai_options.settle_us = SETTLE_US;
    return EA_OK;
}
