/* SPDX-License-Identifier: MIT
 *
 * A monitor's numbers (row C8): by type and owner, failures by reason, lifetimes and their
 * quantiles, peaks that begin anew, rates, and all of them as metrics.
 */
#include <string.h>

#include "ealloc/monitor_metrics.h"
#include "monitor/monitor_internal.h"
#include "tap.h"

#define N_SLOTS 40u
#define N_NODES 3u
#define N_STRIPES 4u
#define N_QUEUE 8u
#define BYTES EA_MONITOR_BYTES(N_SLOTS, N_TYPES, N_NODES, N_STRIPES, N_QUEUE, 2)
#define RATES_BYTES EA_MONITOR_METRICS_BYTES(N_TYPES, N_STRIPES)
#define RAM (BYTES + RATES_BYTES + 16u)

enum { SOCKET, BUFFER, N_TYPES };

static ea_account_t nodes[N_NODES], other_node[1];
static ea_accounts_t book, other_book;
static ea_account_t *web, *log_;
static ea_monitor_t monitor;
static ea_monitor_metrics_t numbers;

static const ea_resource_type_t types[N_TYPES] = {
    {.name = "socket", .book = &book, .strategy = EA_RELEASE_QUEUED},
    {.name = "buffer", .book = &book, .max_idle = 2}};

static void *rates_memory(void)
{
    return (void *)(((uintptr_t)tap_ram() + BYTES + 7u) & ~(uintptr_t)7u);
}

static bool start(size_t n_stripes, const ea_monitor_metrics_options_t *options)
{
    const ea_account_limits_t all = {.max = 20};
    const ea_monitor_options_t of_monitor = {.types = types,
                                             .n_types = N_TYPES,
                                             .n_slots = N_SLOTS,
                                             .n_stripes = n_stripes,
                                             .n_queue = N_QUEUE};
    if (ea_accounts_init(&other_book, other_node, 1, NULL) != EA_OK ||
        ea_accounts_init(&book, nodes, N_NODES, &all) != EA_OK) {
        return false;
    }
    web = ea_account_create(&book, nodes,
                            &(ea_account_options_t){.name = "web", .limits = {.max = 5}});
    log_ = ea_account_create(&book, nodes, NULL);
    return log_ != NULL && ea_monitor_init(&monitor, tap_ram(), BYTES, &of_monitor) == EA_OK &&
           ea_monitor_metrics_init(&numbers, rates_memory(), RATES_BYTES, &monitor, options) ==
               EA_OK;
}

static ea_resource_t acquire(uint8_t type, ea_account_t *account)
{
    ea_resource_t resource;
    const ea_resource_request_t request = {.account = account, .type = type};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &resource), EA_OK);
    return resource;
}

static void churn(uint8_t type, ea_account_t *account, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        EXPECT_EQ(ea_monitor_release(&monitor, acquire(type, account)), EA_OK);
        (void)ea_monitor_cleanup(&monitor, 9);
    }
}

TEST(numbers_of_an_owner_are_its_own, RAM)
{
    ea_resource_stats_t stats;
    REQUIRE(start(N_STRIPES, NULL));
    churn(SOCKET, web, 3);
    churn(BUFFER, web, 1);
    churn(SOCKET, log_, 7);
    ea_resource_t more;
    for (unsigned i = 0; i < 5; i++) (void)acquire(SOCKET, web);
    ea_resource_request_t request = {.account = web};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &more), EA_ERR_LIMIT);
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &more), EA_ERR_LIMIT);
    request.parent = (ea_resource_t){1, 1000};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &more), EA_ERR_NOT_FOUND);
    request = (ea_resource_request_t){.account = other_node};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &more), EA_ERR_INVALID);

    EXPECT_EQ(ea_monitor_owner_stats(&monitor, SOCKET, web, &stats), EA_OK);
    EXPECT_EQ(stats.n_acquired, 8);
    EXPECT_EQ(stats.n_released, 3);
    EXPECT_EQ(stats.n_live, 5);
    size_t n_lifetimes = 0; /* of real time, on a machine as busy as may be */
    for (unsigned k = 0; k < EA_CFG_MONITOR_LIFETIMES; k++) n_lifetimes += stats.lifetimes[k];
    EXPECT_EQ(n_lifetimes, 3);
    EXPECT_EQ(stats.n_failures[EA_REASON_OVER_LIMIT], 2);
    EXPECT_EQ(stats.n_failures[EA_REASON_NONE], 1);
    EXPECT_EQ(stats.n_failures[EA_REASON_INVALID], 0); /* of a stranger */
    EXPECT_EQ(stats.used, 5);
    EXPECT_EQ(stats.capacity, 5);
    EXPECT_EQ(stats.peak, 5);
    EXPECT_EQ(stats.utilisation_permille, 1000);
    EXPECT_EQ(ea_monitor_owner_stats(&monitor, SOCKET, log_, &stats), EA_OK);
    EXPECT_EQ(stats.n_acquired, 7);
    EXPECT_EQ(stats.n_live, 0);
    EXPECT_EQ(ea_monitor_owner_stats(&monitor, BUFFER, web, &stats), EA_OK);
    EXPECT_EQ(stats.n_acquired, 1);
    EXPECT_EQ(ea_monitor_type_stats(&monitor, SOCKET, &stats), EA_OK);
    EXPECT_EQ(stats.n_acquired, 15);
    EXPECT_EQ(stats.n_failures[EA_REASON_OVER_LIMIT], 2);
    EXPECT_EQ(stats.n_failures[EA_REASON_INVALID], 1);

    EXPECT_EQ(ea_monitor_owner_stats(&monitor, N_TYPES, web, &stats), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_owner_stats(&monitor, SOCKET, NULL, &stats), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_owner_stats(&monitor, SOCKET, other_node, &stats), EA_ERR_INVALID);
    REQUIRE(start(2, NULL));
    (void)acquire(SOCKET, web);
    EXPECT_EQ(ea_monitor_owner_stats(&monitor, SOCKET, web, &stats), EA_ERR_LIMIT);
    EXPECT_EQ(stats.used, 1);
    EXPECT_EQ(stats.n_acquired, 0);
}

TEST(lifetime_quantiles_are_those_of_the_classes, RAM)
{
    ea_resource_stats_t stats = {0};
    uint64_t least, below;
    EXPECT_EQ(ea_resource_lifetime(&stats, 500, &least, &below), EA_ERR_NOT_FOUND);
    stats.lifetimes[0] = 50;
    stats.lifetimes[3] = 40;
    stats.lifetimes[5] = 9;
    stats.lifetimes[EA_CFG_MONITOR_LIFETIMES - 1u] = 1;
    static const struct {
        uint32_t permille;
        unsigned class;
    } cases[] = {{0, 0},
                 {500, 0},
                 {501, 3},
                 {900, 3},
                 {901, 5},
                 {990, 5},
                 {991, EA_CFG_MONITOR_LIFETIMES - 1u},
                 {1000, EA_CFG_MONITOR_LIFETIMES - 1u}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned class = cases[i].class;
        EXPECT_EQ(ea_resource_lifetime(&stats, cases[i].permille, &least, &below), EA_OK);
        EXPECT_EQ(least, class == 0 ? 0 : (uint64_t)512u << class);
        EXPECT_EQ(below, i >= 6 ? UINT64_MAX : (uint64_t)1024u << class);
    }
    EXPECT_EQ(ea_resource_lifetime(&stats, 1001, &least, &below), EA_ERR_INVALID);
    stats.lifetimes[0] = 0;
    EXPECT_EQ(ea_resource_lifetime(&stats, 0, &least, &below), EA_OK);
    EXPECT_EQ(least, 4096); /* of those there are */
}

TEST(peaks_begin_anew, RAM)
{
    REQUIRE(start(N_STRIPES, NULL));
    ea_monitor_stats_t of_monitor;
    ea_resource_stats_t stats;
    ea_resource_t held[6];
    for (unsigned i = 0; i < 6; i++) held[i] = acquire(SOCKET, log_);
    for (unsigned i = 0; i < 5; i++) EXPECT_EQ(ea_monitor_release(&monitor, held[i]), EA_OK);
    ea_monitor_stats(&monitor, &of_monitor);
    EXPECT_EQ(of_monitor.most_queued, 5);
    EXPECT_EQ(ea_monitor_cleanup(&monitor, 3), 3);
    ea_monitor_stats(&monitor, &of_monitor);
    EXPECT_EQ(of_monitor.most_queued, 5);
    EXPECT_EQ(of_monitor.n_queued, 2);
    EXPECT_EQ(ea_monitor_type_stats(&monitor, SOCKET, &stats), EA_OK);
    EXPECT_EQ(stats.peak, 6);
    ea_monitor_reset_peaks(&monitor, 77777);
    ea_monitor_stats(&monitor, &of_monitor);
    EXPECT_EQ(of_monitor.most_queued, 2);
    EXPECT_EQ(of_monitor.peaks_since_us, 77777);
    EXPECT_EQ(ea_monitor_type_stats(&monitor, SOCKET, &stats), EA_OK);
    EXPECT_EQ(stats.peak, 3); /* two that wait, one that lives */
    EXPECT_EQ(ea_monitor_release(&monitor, held[5]), EA_OK);
    ea_monitor_stats(&monitor, &of_monitor);
    EXPECT_EQ(of_monitor.most_queued, 3);
}

static ea_resource_rates_t rates_of(uint8_t type, const ea_account_t *account)
{
    ea_resource_rates_t rates = {0, 0};
    EXPECT_EQ(ea_monitor_rates(&numbers, type, account, &rates), EA_OK);
    return rates;
}

TEST(rates_follow_what_happens, RAM)
{
    const ea_monitor_metrics_options_t options = {.settle_us = 4000000};
    ea_resource_rates_t rates;
    REQUIRE(start(N_STRIPES, &options));
    churn(SOCKET, web, 100); /* before anybody looked */
    EXPECT_EQ(ea_monitor_rates(&numbers, SOCKET, NULL, &rates), EA_ERR_AGAIN);
    ea_monitor_metrics_poll(&numbers, 5000000);
    EXPECT_EQ(ea_monitor_rates(&numbers, SOCKET, NULL, &rates), EA_ERR_AGAIN);
    churn(SOCKET, web, 3);
    (void)acquire(SOCKET, log_);
    ea_monitor_metrics_poll(&numbers, 5000000); /* no time: nothing */
    ea_monitor_metrics_poll(&numbers, 7000000); /* the first is taken as it is */
    EXPECT_EQ(rates_of(SOCKET, NULL).acquired, 2000);
    EXPECT_EQ(rates_of(SOCKET, NULL).released, 1500);
    EXPECT_EQ(rates_of(SOCKET, web).acquired, 1500);
    EXPECT_EQ(rates_of(SOCKET, log_).acquired, 500);
    EXPECT_EQ(rates_of(SOCKET, log_).released, 0);
    EXPECT_EQ(rates_of(BUFFER, NULL).acquired, 0);
    ea_monitor_metrics_poll(&numbers, 11000000); /* a time constant later: half of it is gone */
    EXPECT_EQ(rates_of(SOCKET, NULL).acquired, 1000);
    churn(SOCKET, web, 4);
    ea_monitor_metrics_poll(&numbers, 12000000); /* 4 a second, a fifth of the way */
    EXPECT(rates_of(SOCKET, NULL).acquired > 1590 && rates_of(SOCKET, NULL).acquired <= 1600);

    /* Steady, in steps of any length: that rate. */
    uint64_t now_us = 12000000;
    for (unsigned i = 0; i < 200; i++) {
        unsigned n = 1 + i % 3;
        churn(SOCKET, web, n);
        now_us += 100000 * n;
        ea_monitor_metrics_poll(&numbers, now_us);
    }
    EXPECT(rates_of(SOCKET, web).acquired > 9980 && rates_of(SOCKET, web).acquired <= 10000);
    EXPECT(rates_of(SOCKET, web).released > 9980 && rates_of(SOCKET, web).released <= 10000);
    ea_monitor_metrics_poll(&numbers, UINT64_MAX - 5); /* ages */
    EXPECT(rates_of(SOCKET, web).acquired <= 1);

    EXPECT_EQ(ea_monitor_rates(&numbers, N_TYPES, NULL, &rates), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_rates(&numbers, SOCKET, other_node, &rates), EA_ERR_INVALID);
    REQUIRE(start(2, NULL));
    EXPECT_EQ(ea_monitor_rates(&numbers, SOCKET, web, &rates), EA_ERR_LIMIT);
}

/* As many as a word counts: nothing overflows. */
TEST(rates_of_very_many_are_right, RAM)
{
    REQUIRE(start(N_STRIPES, NULL));
    ea_monitor_metrics_poll(&numbers, 0);
    const uint64_t n = UINTPTR_MAX / 4096u;
    tally_of(&monitor, 2, SOCKET)->acquired.n = (uintptr_t)n;
    ea_monitor_metrics_poll(&numbers, 1000000);
    uint64_t rate = rates_of(SOCKET, NULL).acquired, expected = n * 1000u;
    EXPECT(rate <= expected && rate >= expected - expected / 1000u);
    ea_monitor_metrics_poll(&numbers, 11000000); /* a time constant later */
    uint64_t half = rates_of(SOCKET, NULL).acquired;
    EXPECT(half >= rate / 2 - rate / 1000u && half <= rate / 2 + rate / 1000u);
}

TEST(metrics_need_the_memory_they_say, RAM)
{
    REQUIRE(start(N_STRIPES, NULL));
    unsigned char *memory = rates_memory();
    EXPECT_EQ(ea_monitor_metrics_init(NULL, memory, RATES_BYTES, &monitor, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_metrics_init(&numbers, NULL, RATES_BYTES, &monitor, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_metrics_init(&numbers, memory, RATES_BYTES, NULL, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_metrics_init(&numbers, memory + 4, RATES_BYTES, &monitor, NULL),
              EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_metrics_init(&numbers, memory, RATES_BYTES - 1u, &monitor, NULL),
              EA_ERR_NO_MEMORY);
}

/* --- as metrics ------------------------------------------------------------------------------- */

static const char *label_of(const ea_metric_t *metric, const char *name)
{
    for (unsigned i = 0; i < metric->n_labels; i++) {
        if (strcmp(metric->labels[i].name, name) != 0) continue;
        return metric->labels[i].text != NULL ? metric->labels[i].text : "by number";
    }
    return "";
}

typedef struct {
    uint64_t value; /* of the last */
    unsigned n;
    unsigned n_labels;
} seen_t;

/* The numbers of that name whose labels are these; NULL: whatever they are. */
static seen_t look_for(const char *name, const char *resource, const char *account,
                       const char *reason)
{
    ea_metrics_t metrics = {0};
    ea_metric_cursor_t cursor = {0};
    ea_metric_t metric;
    seen_t seen = {0};
    EXPECT_EQ(ea_metrics_add(&metrics, ea_monitor_metrics_source(&numbers)), EA_OK);
    while (ea_metrics_next(&metrics, &cursor, &metric) == EA_OK) {
        if (strcmp(metric.family.name, name) != 0) continue;
        EXPECT(strcmp(label_of(&metric, "monitor"), "main") == 0);
        if (resource != NULL && strcmp(label_of(&metric, "resource"), resource) != 0) continue;
        if (account != NULL && strcmp(label_of(&metric, "account"), account) != 0) continue;
        if (reason != NULL && strcmp(label_of(&metric, "reason"), reason) != 0) continue;
        seen.n++;
        seen.value = metric.value;
        seen.n_labels = metric.n_labels;
    }
    return seen;
}

static void expect_one(const char *name, const char *resource, const char *account,
                       const char *reason, uint64_t value)
{
    seen_t seen = look_for(name, resource, account, reason);
    unsigned n_labels = 1u + (resource != NULL) + (account != NULL) + (reason != NULL);
    if (seen.n != 1 || seen.value != value || seen.n_labels != n_labels) {
        tap_fail(__FILE__, __LINE__, name, seen.n == 1 ? (intptr_t)seen.value : -1,
                 (intptr_t)value);
    }
}

static const ea_monitor_metrics_options_t named = {.name = "main"};

TEST(metrics_tell_every_number, RAM)
{
    REQUIRE(start(N_STRIPES, &named));
    ea_reservation_t r;
    REQUIRE(ea_account_reserve(log_, 4, UINT64_MAX, &r) == EA_OK);
    ea_monitor_metrics_poll(&numbers, 0);
    ea_resource_t held[5], more;
    churn(BUFFER, log_, 2);
    for (unsigned i = 0; i < 5; i++) held[i] = acquire(SOCKET, web);
    ea_resource_request_t request = {.account = web};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &more), EA_ERR_LIMIT);
    EXPECT_EQ(ea_monitor_release(&monitor, held[0]), EA_OK);
    EXPECT_EQ(ea_monitor_release(&monitor, held[0]), EA_ERR_DOUBLE_FREE);
    EXPECT_EQ(ea_monitor_release(&monitor, held[1]), EA_OK);
    EXPECT_EQ(ea_monitor_cleanup(&monitor, 1), 1);
    ea_monitor_metrics_poll(&numbers, 2000000);

    expect_one("ealloc_resource_acquired_total", "socket", NULL, NULL, 5);
    expect_one("ealloc_resource_acquired_total", "buffer", NULL, NULL, 2);
    expect_one("ealloc_resource_released_total", "socket", NULL, NULL, 1);
    expect_one("ealloc_resource_recycled_total", "buffer", NULL, NULL, 1);
    expect_one("ealloc_resource_failures_total", "socket", NULL, "limit", 1);
    expect_one("ealloc_resource_failures_total", "socket", NULL, "other", 0);
    expect_one("ealloc_resource_live", "socket", NULL, NULL, 4);
    expect_one("ealloc_resource_idle", "buffer", NULL, NULL, 1);
    expect_one("ealloc_resource_acquisitions_per_second", "socket", NULL, NULL, 2500);
    expect_one("ealloc_resource_releases_per_second", "socket", NULL, NULL, 500);
    expect_one("ealloc_resource_utilisation_ratio", "socket", NULL, NULL, 400);
    expect_one("ealloc_resource_used", "socket", "web", NULL, 4);
    expect_one("ealloc_resource_peak", "socket", "web", NULL, 5);
    expect_one("ealloc_resource_limit", "socket", "web", NULL, 5);
    EXPECT_EQ(look_for("ealloc_resource_used", NULL, NULL, NULL).n, 3); /* once each */
    EXPECT_EQ(look_for("ealloc_resource_limit", NULL, NULL, NULL).n, 2);
    EXPECT_EQ(look_for("ealloc_resource_reserved", "socket", "by number", NULL).value, 4);
    expect_one("ealloc_resource_denials_total", "socket", "web", NULL, 1);
    expect_one("ealloc_resource_owner_acquired_total", "socket", "web", NULL, 5);
    expect_one("ealloc_resource_owner_acquired_total", "buffer", "web", NULL, 0);
    expect_one("ealloc_resource_owner_released_total", "socket", "web", NULL, 1);
    expect_one("ealloc_resource_owner_failures_total", "socket", "web", "limit", 1);
    expect_one("ealloc_resource_owner_live", "socket", "web", NULL, 4);
    expect_one("ealloc_resource_owner_acquisitions_per_second", "socket", "web", NULL, 2500);
    expect_one("ealloc_resource_owner_releases_per_second", "socket", "web", NULL, 500);
    expect_one("ealloc_monitor_slots", NULL, NULL, NULL, N_SLOTS);
    expect_one("ealloc_release_queue_depth", NULL, NULL, NULL, 1);
    expect_one("ealloc_release_queue_peak", NULL, NULL, NULL, 2);
    expect_one("ealloc_release_queue_entries_total", NULL, NULL, NULL, 2);
    expect_one("ealloc_release_queue_full_total", NULL, NULL, NULL, 0);
    expect_one("ealloc_release_refusals_total", NULL, NULL, NULL, 1);
    EXPECT_EQ(look_for("ealloc_resource_owner_live", NULL, NULL, NULL).n, N_TYPES * N_NODES);
    const unsigned n_reasons = EA_REASON_IN_LINE + 1u - 2u;
    EXPECT_EQ(look_for("ealloc_resource_failures_total", NULL, NULL, NULL).n, N_TYPES * n_reasons);
    EXPECT_EQ(look_for("ealloc_resource_owner_failures_total", NULL, NULL, NULL).n,
              N_TYPES * N_NODES * n_reasons);
    EXPECT_EQ(look_for("ealloc_resource_owner_lifetime_seconds", NULL, NULL, NULL).n,
              N_TYPES * N_NODES * (EA_CFG_MONITOR_LIFETIMES + 1u));
    EXPECT_EQ(ea_reservation_cancel(&r), EA_OK);
}

TEST(metrics_that_are_not_known_are_not_told, RAM)
{
    static const ea_account_limits_t unlimited = {0};
    REQUIRE(start(2, &named));
    REQUIRE(ea_account_set_limits(nodes, &unlimited) == EA_OK);
    EXPECT_EQ(look_for("ealloc_resource_acquisitions_per_second", NULL, NULL, NULL).n, 0);
    EXPECT_EQ(look_for("ealloc_resource_utilisation_ratio", NULL, NULL, NULL).n, 0);
    EXPECT_EQ(look_for("ealloc_resource_owner_live", NULL, NULL, NULL).n, 0);
    EXPECT_EQ(look_for("ealloc_resource_limit", NULL, NULL, NULL).n, 1);
    EXPECT_EQ(look_for("ealloc_resource_live", NULL, NULL, NULL).n, N_TYPES);
}

TEST(histogram_is_whole_and_its_buckets_add_up, RAM)
{
    REQUIRE(start(N_STRIPES, &named));
    eai_tally_t *tally = tally_of(&monitor, 2, BUFFER);
    for (unsigned i = 0; i < EA_CFG_MONITOR_LIFETIMES; i++) tally->lived[i].n = i + 1u;
    ea_metrics_t metrics = {0};
    ea_metric_cursor_t cursor = {0};
    ea_metric_t metric;
    EXPECT_EQ(ea_metrics_add(&metrics, ea_monitor_metrics_source(&numbers)), EA_OK);
    unsigned n = 0;
    uint64_t sum = 0;
    while (ea_metrics_next(&metrics, &cursor, &metric) == EA_OK) {
        if (strcmp(metric.family.name, "ealloc_resource_lifetime_seconds") != 0 ||
            strcmp(label_of(&metric, "resource"), "buffer") != 0) {
            continue;
        }
        EXPECT_EQ(metric.family.kind, EA_METRIC_HISTOGRAM);
        EXPECT_EQ(metric.family.decimals, 6);
        if (n < EA_CFG_MONITOR_LIFETIMES) {
            bool is_last = n == EA_CFG_MONITOR_LIFETIMES - 1u;
            EXPECT_EQ(metric.part, EA_METRIC_BUCKET);
            EXPECT_EQ(metric.bound, is_last ? UINT64_MAX : (1024u << n) - 1u);
            sum += ++n;
            tally->lived[0].n++; /* others are at work */
            EXPECT_EQ(metric.value, sum + n - 1u);
        } else {
            EXPECT_EQ(metric.part, EA_METRIC_COUNT);
            EXPECT_EQ(metric.value, sum + n - 1u); /* as the last bucket said */
            n++;
        }
    }
    EXPECT_EQ(n, EA_CFG_MONITOR_LIFETIMES + 1u);
}

TEST_MAIN(&numbers_of_an_owner_are_its_own, &lifetime_quantiles_are_those_of_the_classes,
          &peaks_begin_anew, &rates_follow_what_happens, &rates_of_very_many_are_right,
          &metrics_need_the_memory_they_say, &metrics_tell_every_number,
          &metrics_that_are_not_known_are_not_told, &histogram_is_whole_and_its_buckets_add_up)
