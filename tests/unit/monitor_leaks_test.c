/* SPDX-License-Identifier: MIT
 *
 * Leaks of resources (rows B4, C8): the site that forgets sockets is found and named, a pool that
 * only fills is not; thresholds of a type; what is remembered over boots.
 */
#include <string.h>

#include "ealloc/monitor_leaks.h"
#include "monitor/monitor_internal.h"
#include "tap.h"

#if EA_CFG_MONITOR_HOOK

#define N_SLOTS 200u
#define N_SITES 8u
#define N_BLOCKS 256u
#define MONITOR_BYTES EA_MONITOR_BYTES(N_SLOTS, N_TYPES, 3, 1, 4, 2)
#define RAM (MONITOR_BYTES + EA_LEAKS_BYTES(N_SITES, N_BLOCKS) + 16u)
#define SITE(i) ((const void *)(uintptr_t)(0x1000 + 4 * (i)))
#define WINDOW 96u /* ticks, of 1 ms each */

enum { SOCKET, BUFFER, N_TYPES };

static volatile uint32_t ticks;
static ea_account_t nodes[3];
static ea_accounts_t book;
static ea_account_t *web, *log_;
static ea_monitor_t monitor;
static ea_leaks_t leaks;
static ea_leaks_history_t history;
static ea_monitor_leaks_t watch;
static ea_leaks_rule_t rule;

static const ea_resource_type_t types[N_TYPES] = {{.name = "socket", .book = &book},
                                                  {.name = "buffer", .book = &book, .max_idle = 2}};

static bool start(const ea_resource_leak_limits_t *limits)
{
    const ea_account_limits_t all = {.max = 400};
    const ea_monitor_options_t of_monitor = {
        .types = types, .n_types = N_TYPES, .n_slots = N_SLOTS, .n_queue = 4};
    ticks = 0;
    if (ea_accounts_init(&book, nodes, 3, &all) != EA_OK ||
        ea_monitor_init(&monitor, tap_ram(), MONITOR_BYTES, &of_monitor) != EA_OK) {
        return false;
    }
    web = ea_account_create(&book, nodes, NULL);
    log_ = ea_account_create(&book, nodes, &(ea_account_options_t){.limits = {.max = 120}});
    ea_leaks_options_t options = {.n_sites = N_SITES,
                                  .n_blocks = N_BLOCKS,
                                  .clock = &ticks,
                                  .tick_us = 1000,
                                  .window_us = 1000 * WINDOW,
                                  .history = &history,
                                  .image = 7};
    if (limits != NULL) {
        if (ea_monitor_leaks_rule(&monitor, SOCKET, limits, &rule) != EA_OK) return false;
        options.rules = &rule;
        options.n_rules = 1;
    }
    void *tables = (void *)(((uintptr_t)tap_ram() + MONITOR_BYTES + 15u) & ~(uintptr_t)15u);
    size_t bytes = EA_LEAKS_BYTES(N_SITES, N_BLOCKS);
    return log_ != NULL && ea_leaks_init(&leaks, tables, bytes, &options) == EA_OK &&
           ea_monitor_watch_leaks(&watch, &monitor, SOCKET, &leaks) == EA_OK;
}

static ea_resource_t acquire(uint8_t type, ea_account_t *account, unsigned site, size_t units)
{
    ea_resource_t resource;
    const ea_resource_request_t request = {
        .account = account, .type = type, .units = units, .caller = SITE(site)};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &resource), EA_OK);
    return resource;
}

static void release(ea_resource_t resource)
{
    EXPECT_EQ(ea_monitor_release(&monitor, resource), EA_OK);
}

static void run(unsigned n_ticks)
{
    for (unsigned i = 0; i < n_ticks; i++) {
        ticks++;
        (void)ea_leaks_poll(&leaks, 40);
    }
}

static ea_leak_t found;
static uint8_t kinds_of(unsigned site)
{
    (void)ea_leaks_of_site(&leaks, SITE(site), &found);
    return found.kinds;
}

/* Each window two sockets of site 1 are forgotten, and others come and go at site 2; at site 3 a
 * pool fills up to 30 and stays. */
static void serve(unsigned n_windows, unsigned *n_pooled)
{
    for (unsigned w = 0; w < n_windows; w++) {
        ea_resource_t passing[5];
        for (unsigned i = 0; i < 2; i++) (void)acquire(SOCKET, web, 1, 1);
        for (unsigned i = 0; i < 8 && *n_pooled < 30; i++, ++*n_pooled) {
            (void)acquire(SOCKET, log_, 3, 1);
        }
        for (unsigned i = 0; i < 5; i++) passing[i] = acquire(SOCKET, web, i < 3 ? 2 : 1, 1);
        (void)acquire(BUFFER, web, 4, 1); /* another type, which is another detector's */
        run(2);
        for (unsigned i = 0; i < 5; i++) release(passing[i]);
        run(WINDOW - 2);
    }
}

TEST(leaked_socket_is_found_at_its_site_and_a_pool_that_fills_is_not, RAM)
{
    REQUIRE(start(NULL));
    unsigned n_pooled = 0;
    serve(12, &n_pooled);
    ea_leak_t top[N_SITES];
    REQUIRE(ea_leaks_top(&leaks, top, N_SITES) == 1);
    EXPECT(top[0].site == SITE(1));
    EXPECT_EQ(top[0].kinds, EA_LEAK_GROWTH);
    EXPECT_EQ(top[0].owner, ea_account_id(web));
    EXPECT_EQ(top[0].n_live, 24);
    EXPECT_EQ(top[0].live_bytes, 24);
    EXPECT(top[0].usual_us > 0);
    EXPECT_EQ(top[0].severity, EA_LEAK_CRITICAL); /* 334 units of room at 2 in 96 ms */
    EXPECT(top[0].room_ends_us > 10000000 && top[0].room_ends_us < 25000000);
    ea_leaks_stats_t stats;
    ea_leaks_stats(&leaks, &stats);
    EXPECT_EQ(stats.n_live, 54);
    EXPECT_EQ(stats.n_unknown, 0);
    EXPECT_EQ(kinds_of(4), 0);
    EXPECT_EQ(found.n_live, 0);

    /* Which sockets: the oldest are. */
    ea_leak_block_t block;
    size_t cursor = 0;
    unsigned n = 0;
    ea_resource_t resource;
    ea_resource_info_t info;
    while (ea_leaks_next_block(&leaks, 1000 * WINDOW, &cursor, &block) == EA_OK) {
        REQUIRE(ea_monitor_at(&monitor, block.block, &resource) == EA_OK);
        REQUIRE(ea_monitor_info(&monitor, resource, &info) == EA_OK);
        EXPECT(info.caller == block.site && info.account == block.owner && info.type == SOCKET);
        n += block.site == SITE(1);
    }
    EXPECT(n >= 20);
    EXPECT_EQ(ea_monitor_at(&monitor, (const char *)block.block + 1, &resource), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_monitor_at(&monitor, &monitor, &resource), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_monitor_at(&monitor, &monitor.eai_slots[N_SLOTS], &resource), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_monitor_at(&monitor, &monitor.eai_slots[N_SLOTS - 1], &resource),
              EA_ERR_NOT_FOUND);
}

TEST(leaks_are_remembered_over_boots, RAM)
{
    memset(&history, 0, sizeof history);
    for (uint32_t boot = 1; boot <= 3; boot++) {
        unsigned n_pooled = 0;
        REQUIRE(start(NULL));
        if (boot != 2) serve(12, &n_pooled);
        ea_leak_past_t past;
        size_t cursor = 0;
        REQUIRE(ea_leaks_next_past(&leaks, &cursor, &past) == EA_OK);
        EXPECT(past.site == SITE(1));
        EXPECT_EQ(past.n_boots, boot == 3 ? 2 : 1);
        EXPECT_EQ(past.last, boot == 2 ? 1 : boot);
        EXPECT_EQ(ea_leaks_next_past(&leaks, &cursor, &past), EA_ERR_NOT_FOUND);
    }
    EXPECT_EQ(kinds_of(1), EA_LEAK_GROWTH);
    EXPECT_EQ(found.n_boots, 2);
}

TEST(resource_older_than_its_type_allows_is_found, RAM)
{
    const ea_resource_leak_limits_t limits = {.max_age_us = 200000};
    REQUIRE(start(&limits));
    ea_resource_t old = acquire(SOCKET, web, 5, 1);
    run(150);
    (void)acquire(SOCKET, log_, 6, 1);
    EXPECT_EQ(kinds_of(5), 0);
    run(100);
    EXPECT_EQ(kinds_of(5), EA_LEAK_AGE);
    EXPECT_EQ(found.owner, ea_account_id(web));
    EXPECT_EQ(found.severity, EA_LEAK_INFO); /* one of 398 */
    EXPECT_EQ(kinds_of(6), 0);
    release(old);
    run(2 * WINDOW);
    EXPECT_EQ(kinds_of(5), 0);
}

TEST(site_that_holds_more_than_its_type_allows_is_found, RAM)
{
    for (unsigned by_permille = 0; by_permille < 2; by_permille++) {
        const ea_resource_leak_limits_t limits = {.max_units = by_permille ? 300 : 40,
                                                  .max_permille = by_permille ? 100 : 900};
        REQUIRE(start(&limits));
        ea_resource_t one = EA_RESOURCE_NONE;
        for (unsigned i = 0; i < 20; i++) (void)acquire(SOCKET, log_, 5, 2);
        run(WINDOW);
        EXPECT_EQ(kinds_of(5), 0);
        one = acquire(SOCKET, log_, 5, 1);
        run(WINDOW);
        EXPECT_EQ(kinds_of(5), EA_LEAK_EXCESS);
        EXPECT_EQ(found.n_live, 21);
        EXPECT_EQ(found.suspect_bytes, 41);
        EXPECT_EQ(found.severity, EA_LEAK_MAJOR); /* 41 of the 79 that log_ may still have */
        release(one);
        run(WINDOW);
        EXPECT_EQ(kinds_of(5), 0);
    }
}

TEST(pool_that_is_declared_may_fill, RAM)
{
    for (unsigned is_declared = 0; is_declared < 2; is_declared++) {
        const ea_resource_leak_limits_t limits = {.may_hold_units = is_declared ? 100 : 0};
        REQUIRE(start(&limits));
        for (unsigned w = 0; w < 14; w++) {
            for (unsigned i = 0; i < 3; i++) (void)acquire(SOCKET, web, 5, 1);
            run(WINDOW);
        }
        EXPECT_EQ(kinds_of(5), is_declared ? 0 : EA_LEAK_GROWTH);
    }
}

TEST(thresholds_must_make_sense, RAM)
{
    ea_resource_leak_limits_t limits = {.max_permille = 1001};
    REQUIRE(start(NULL));
    EXPECT_EQ(ea_monitor_leaks_rule(&monitor, SOCKET, &limits, &rule), EA_ERR_INVALID);
    limits.max_permille = 1000;
    EXPECT_EQ(ea_monitor_leaks_rule(&monitor, N_TYPES, &limits, &rule), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_leaks_rule(&monitor, SOCKET, &limits, &rule), EA_OK);
    EXPECT_EQ(rule.max_hold_bytes, 400);
    const ea_account_limits_t unlimited = {0}, huge = {.max = SIZE_MAX - 1u};
    REQUIRE(ea_account_set_limits(nodes, &unlimited) == EA_OK);
    EXPECT_EQ(ea_monitor_leaks_rule(&monitor, SOCKET, &limits, &rule), EA_OK);
    EXPECT_EQ(rule.max_hold_bytes, 0);
    REQUIRE(ea_account_set_limits(nodes, &huge) == EA_OK);
    limits.max_permille = 500;
    EXPECT_EQ(ea_monitor_leaks_rule(&monitor, SOCKET, &limits, &rule), EA_OK);
    EXPECT(rule.max_hold_bytes > SIZE_MAX / 2u - 1000u && rule.max_hold_bytes <= SIZE_MAX / 2u);
}

/* --- what is told ----------------------------------------------------------------------------- */

static struct {
    ea_block_event_t what;
    uint16_t owner;
    const void *site, *slot;
    size_t units;
} last;
static unsigned n_told;

static void note(void *context, ea_block_event_t what, uint8_t type, uint16_t owner,
                 const void *site, const void *slot, size_t units)
{
    EXPECT(context == &last && type == BUFFER);
    last.what = what;
    last.owner = owner;
    last.site = site;
    last.slot = slot;
    last.units = units;
    n_told++;
}

TEST(hook_is_told_of_every_resource, RAM)
{
    static ea_resource_hook_t hook, without;
    REQUIRE(start(NULL));
    hook = (ea_resource_hook_t){.function = note, .context = &last};
    EXPECT_EQ(ea_monitor_add_hook(&monitor, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_add_hook(&monitor, &without), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_remove_hook(&monitor, &hook), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_monitor_add_hook(&monitor, &hook), EA_OK);
    EXPECT_EQ(ea_monitor_add_hook(&monitor, &hook), EA_ERR_BUSY);
    n_told = 0;
    ea_resource_t buffer = acquire(BUFFER, web, 9, 3);
    EXPECT_EQ(n_told, 1);
    EXPECT_EQ(last.what, EA_BLOCK_ALLOCATED);
    EXPECT_EQ(last.owner, ea_account_id(web));
    EXPECT(last.site == SITE(9));
    EXPECT_EQ(last.units, 3);
    EXPECT(last.slot == slot_with(&monitor, buffer));
    EXPECT_EQ(ea_monitor_transfer(&monitor, buffer, log_), EA_OK);
    EXPECT_EQ(last.what, EA_BLOCK_TRANSFERRED);
    EXPECT_EQ(last.owner, ea_account_id(log_));
    EXPECT_EQ(ea_monitor_share(&monitor, buffer), EA_OK);
    release(buffer);
    EXPECT_EQ(n_told, 2);
    release(buffer); /* it becomes idle, which is no resource */
    EXPECT_EQ(n_told, 3);
    EXPECT_EQ(last.what, EA_BLOCK_FREED);
    buffer = acquire(BUFFER, web, 9, 1);
    EXPECT_EQ(n_told, 4);
    EXPECT(last.slot == slot_with(&monitor, buffer));
    slot_with(&monitor, buffer)->eai_units = 7; /* what an audit forgets is gone too */
    ea_audit_report_t report;
    EXPECT_EQ(ea_monitor_audit(&monitor, EA_AUDIT_REPAIR, SIZE_MAX, &report), EA_OK);
    EXPECT_EQ(n_told, 5);
    EXPECT_EQ(last.what, EA_BLOCK_FREED);
    EXPECT_EQ(ea_monitor_remove_hook(&monitor, &hook), EA_OK);
    release(acquire(BUFFER, web, 9, 1));
    EXPECT_EQ(n_told, 5);
}

TEST(watch_is_one_at_a_time, RAM)
{
    static ea_monitor_leaks_t second;
    REQUIRE(start(NULL));
    (void)acquire(SOCKET, web, 1, 1);
    EXPECT_EQ(ea_monitor_watch_leaks(&watch, &monitor, SOCKET, &leaks), EA_ERR_BUSY);
    EXPECT_EQ(ea_monitor_watch_leaks(&second, &monitor, SOCKET, &leaks), EA_ERR_BUSY);
    EXPECT_EQ(ea_monitor_watch_leaks(&second, &monitor, N_TYPES, &leaks), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_watch_leaks(NULL, &monitor, SOCKET, &leaks), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_watch_leaks(&second, NULL, SOCKET, &leaks), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_watch_leaks(&second, &monitor, SOCKET, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_leaks_detect(&leaks, 0), 0);
    run(1);
    EXPECT_EQ(ea_leaks_detect(&leaks, 0), 1);
    EXPECT_EQ(ea_monitor_unwatch_leaks(&watch), EA_OK);
    EXPECT_EQ(ea_monitor_unwatch_leaks(&watch), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_monitor_unwatch_leaks(NULL), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_leaks_detect(&leaks, 0), 0); /* forgotten */
    (void)acquire(SOCKET, web, 1, 1);
    run(1);
    EXPECT_EQ(ea_leaks_detect(&leaks, 0), 0);
    EXPECT_EQ(ea_monitor_watch_leaks(&second, &monitor, SOCKET, &leaks), EA_OK);
    ea_leaks_forget(NULL);
}

TEST_MAIN(&leaked_socket_is_found_at_its_site_and_a_pool_that_fills_is_not,
          &leaks_are_remembered_over_boots, &resource_older_than_its_type_allows_is_found,
          &site_that_holds_more_than_its_type_allows_is_found, &pool_that_is_declared_may_fill,
          &thresholds_must_make_sense, &hook_is_told_of_every_resource, &watch_is_one_at_a_time)

#else

TEST(leaks_of_resources_need_hooks, 0)
{
    ea_monitor_t monitor = {0};
    ea_leaks_t leaks = {0};
    ea_monitor_leaks_t watch;
    EXPECT_EQ(ea_monitor_watch_leaks(&watch, &monitor, 0, &leaks), EA_ERR_INVALID);
}

TEST_MAIN(&leaks_of_resources_need_hooks)

#endif
