/* SPDX-License-Identifier: MIT
 *
 * Emergency shutdown: order, limits, what is drained and what is told (row C5). The clock is the
 * test's: it moves when a handler says so.
 */
#include "ealloc/monitor_shutdown.h"

#include <string.h>

#include "board.h"
#include "ealloc/port.h"
#include "tap.h"
#if !defined(__unix__)
#include "ealloc/port_baremetal.h"
#endif

#define N_SLOTS 40u
#define N_NODES 4u
#define N_QUEUE 8u
#define N_IDLE 3u
#define N_HANDLERS 4u
#define RAM EA_MONITOR_BYTES(N_SLOTS, N_TYPES, N_NODES, 1, N_QUEUE, N_IDLE)

enum { SOCKET, LATER, BUFFER, N_TYPES };

static ea_account_t nodes[N_NODES];
static ea_accounts_t book;
static ea_account_t *web, *log_;
static ea_monitor_t monitor;
static ea_shutdown_t shut;
static ea_shutdown_holding_t holdings[3];
static uint64_t now_us;
static unsigned n_ended;
static bool steps_inside;

static uint64_t test_clock(void)
{
    return now_us;
}

static void end_object(void *context, uintptr_t object)
{
    (void)context, (void)object;
    n_ended++;
    if (!steps_inside) return;
    steps_inside = false; /* the queue is being emptied by somebody else: by who called this */
    now_us = 0;
    while (ea_shutdown_step(&shut, 100) == EA_ERR_AGAIN) now_us += 100;
}

static const ea_resource_type_t types[N_TYPES] = {
    [SOCKET] = {.name = "socket", .book = &book, .destroy = end_object},
    [LATER] = {.name = "later",
               .book = &book,
               .destroy = end_object,
               .strategy = EA_RELEASE_QUEUED},
    [BUFFER] = {.name = "buffer", .book = &book, .destroy = end_object, .max_idle = N_IDLE}};

/* --- events ----------------------------------------------------------------------------------- */

EA_EVENTS_DEFINE_STATIC(events, 16);
static ea_listener_t listener;
static unsigned n_heard[EA_SHUTDOWN_OVER + 1];
static ea_event_t last[EA_SHUTDOWN_OVER + 1];

static void hear(void *context, const ea_event_t *event)
{
    (void)context;
    if (event->level > EA_SHUTDOWN_OVER) return;
    n_heard[event->level]++;
    last[event->level] = *event;
}

/* --- handlers --------------------------------------------------------------------------------- */

/* What a handler does: so many calls, each of so many microseconds, then it returns that. */
typedef struct {
    unsigned n_calls;
    uint64_t each_us;
    ea_status_t meanwhile, at_last;
    uint64_t deadline_us; /* what it was told */
} plan_t;

static plan_t plans[N_HANDLERS];
static ea_shutdown_handler_t handlers[N_HANDLERS];
static unsigned order[32], n_order;

static ea_status_t follow_plan(void *context, uint64_t deadline_us)
{
    plan_t *plan = context;
    if (n_order < 32) order[n_order++] = (unsigned)(plan - plans);
    now_us += plan->each_us;
    plan->deadline_us = deadline_us;
    if (plan->n_calls > 1) {
        plan->n_calls--;
        return plan->meanwhile;
    }
    return plan->at_last;
}

static void add(unsigned i, uint8_t priority, uint64_t limit_us, plan_t plan)
{
    plans[i] = plan;
    handlers[i] = (ea_shutdown_handler_t){.name = "handler",
                                          .call = follow_plan,
                                          .context = &plans[i],
                                          .limit_us = limit_us,
                                          .priority = priority};
    EXPECT_EQ(ea_shutdown_add(&shut, &handlers[i]), EA_OK);
}

/* --- set up ----------------------------------------------------------------------------------- */

static bool start_with(uint64_t limit_us, uint64_t drain_us, size_t n_holdings)
{
    const ea_account_limits_t all = {.max = N_SLOTS};
    const ea_monitor_options_t options = {.types = types,
                                          .n_types = N_TYPES,
                                          .n_slots = N_SLOTS,
                                          .n_queue = N_QUEUE,
                                          .batch = N_QUEUE,
                                          .events = &events};
    const ea_shutdown_options_t how = {.monitor = &monitor,
                                       .limit_us = limit_us,
                                       .drain_us = drain_us,
                                       .holdings = n_holdings > 0 ? holdings : NULL,
                                       .n_holdings = n_holdings,
                                       .clock_us = test_clock};
    n_ended = n_order = 0;
    now_us = 1000;
    steps_inside = false;
    memset(n_heard, 0, sizeof n_heard);
    if (ea_events_unlisten(&events, &listener) != EA_OK ||
        ea_events_listen(&events, &listener, EA_EVENT_BIT(EA_EVENT_SHUTDOWN), hear, NULL) !=
            EA_OK ||
        ea_accounts_init(&book, nodes, N_NODES, &all) != EA_OK) {
        return false;
    }
    web = ea_account_create(&book, nodes, &(ea_account_options_t){.name = "web"});
    log_ = ea_account_create(&book, nodes, &(ea_account_options_t){.name = "log"});
    return ea_monitor_init(&monitor, tap_ram(), RAM, &options) == EA_OK && log_ != NULL &&
           ea_shutdown_init(&shut, &how) == EA_OK;
}

static ea_resource_t take_from(uint8_t type, ea_account_t *account, size_t units,
                               const void *caller)
{
    ea_resource_t resource;
    const ea_resource_request_t request = {
        .account = account, .units = units, .type = type, .object = 1, .caller = caller};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &resource), EA_OK);
    return resource;
}

static unsigned run_steps(size_t budget)
{
    unsigned n = 1;
    while (n < 10000 && ea_shutdown_step(&shut, budget) == EA_ERR_AGAIN) n++;
    return n;
}

/* --- tests ------------------------------------------------------------------------------------ */

TEST(shutdown_refuses_what_it_cannot_use, RAM)
{
    REQUIRE(start_with(0, 0, 0));
    const ea_shutdown_options_t nothing = {0};
    const ea_shutdown_options_t some = {.monitor = &monitor};
    ea_shutdown_handler_t bad = {.call = follow_plan};
    EXPECT_EQ(ea_shutdown_init(NULL, &some), EA_ERR_INVALID);
    EXPECT_EQ(ea_shutdown_init(&shut, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_shutdown_init(&shut, &nothing), EA_ERR_INVALID);
    EXPECT_EQ(ea_shutdown_add(&shut, &bad), EA_ERR_INVALID); /* no limit */
    bad = (ea_shutdown_handler_t){.limit_us = 1};
    EXPECT_EQ(ea_shutdown_add(&shut, &bad), EA_ERR_INVALID); /* no call */
    add(0, 1, 10, (plan_t){0});
    add(1, 0, 10, (plan_t){0});
    EXPECT_EQ(ea_shutdown_add(&shut, &handlers[1]), EA_ERR_BUSY);
    EXPECT_EQ(ea_shutdown_remove(&shut, &bad), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_shutdown_step(&shut, 1), EA_ERR_INVALID); /* not begun */
    ea_shutdown_begin(&shut);
    EXPECT_EQ(ea_shutdown_step(&shut, 0), EA_ERR_INVALID);
    EXPECT_EQ(ea_shutdown_remove(&shut, &handlers[0]), EA_ERR_BUSY);
    EXPECT_EQ(ea_shutdown_add(&shut, &bad), EA_ERR_INVALID);
    bad = handlers[0];
    EXPECT_EQ(ea_shutdown_add(&shut, &bad), EA_ERR_BUSY);
}

TEST(shutdown_turns_acquire_away_and_release_works, RAM)
{
    REQUIRE(start_with(0, 0, 0));
    ea_resource_t socket = take_from(SOCKET, web, 1, NULL), other;
    ea_shutdown_begin(&shut);
    ea_shutdown_begin(&shut);
    const ea_resource_request_t request = {.account = web};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &other), EA_ERR_CANCELLED);
    EXPECT_EQ(ea_monitor_release(&monitor, socket), EA_OK);
    (void)run_steps(8);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_live, 0);
    EXPECT_EQ(ea_shutdown_step(&shut, 1), EA_OK); /* stays so */
    EXPECT_EQ(n_heard[EA_SHUTDOWN_OVER], 1);
}

TEST(shutdown_calls_by_priority_and_equals_in_order, RAM)
{
    REQUIRE(start_with(0, 0, 0));
    add(0, 5, 100, (plan_t){.each_us = 1});
    add(1, 9, 100, (plan_t){.each_us = 1});
    add(2, 5, 100, (plan_t){.each_us = 1});
    add(3, 7, 100, (plan_t){.each_us = 1});
    EXPECT_EQ(ea_shutdown_remove(&shut, &handlers[3]), EA_OK);
    EXPECT_EQ(ea_shutdown_remove(&shut, &handlers[3]), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_shutdown_add(&shut, &handlers[3]), EA_OK);
    ea_shutdown_begin(&shut);
    (void)run_steps(8);
    EXPECT_EQ(n_order, 4);
    EXPECT_EQ(order[0], 1);
    EXPECT_EQ(order[1], 3);
    EXPECT_EQ(order[2], 0);
    EXPECT_EQ(order[3], 2);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_done, 4);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_overruns, 0);
    EXPECT_EQ(ea_shutdown_report(&shut)->took_us, 4);
    EXPECT_EQ(plans[1].deadline_us, 1100);
    EXPECT_EQ(plans[3].deadline_us, 1101);
    EXPECT_EQ(n_heard[EA_SHUTDOWN_BEGUN], 1);
}

/* In steps of 30: back before the end, back at the very end, back after it. */
TEST(shutdown_calls_again_until_the_limit, RAM)
{
    REQUIRE(start_with(0, 0, 0));
    add(0, 9, 100, (plan_t){.n_calls = 3, .each_us = 30, .meanwhile = EA_ERR_AGAIN});
    add(1, 8, 90, (plan_t){.n_calls = 9, .each_us = 30, .meanwhile = EA_ERR_AGAIN});
    add(2, 7, 90, (plan_t){.n_calls = 3, .each_us = 30, .meanwhile = EA_ERR_BUSY});
    add(3, 6, 80, (plan_t){.n_calls = 3, .each_us = 30, .meanwhile = EA_ERR_BUSY});
    ea_shutdown_begin(&shut);
    (void)run_steps(8);
    EXPECT_EQ(handlers[0].result, EA_OK);
    EXPECT_EQ(handlers[0].n_calls, 3);
    EXPECT_EQ(handlers[0].took_us, 90);
    EXPECT_EQ(handlers[1].result, EA_ERR_TIMEOUT);
    EXPECT_EQ(handlers[1].n_calls, 3);
    EXPECT(!handlers[1].is_late);
    EXPECT_EQ(handlers[2].result, EA_OK);
    EXPECT(!handlers[2].is_late);
    EXPECT_EQ(handlers[3].result, EA_OK);
    EXPECT(handlers[3].is_late);
    EXPECT_EQ(handlers[3].took_us, 90);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_done, 3);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_overruns, 2);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_failed, 0);
    EXPECT_EQ(n_heard[EA_SHUTDOWN_OVERRUN], 2);
    EXPECT(last[EA_SHUTDOWN_OVERRUN].where == &handlers[3]);
    EXPECT_EQ(last[EA_SHUTDOWN_OVERRUN].size_bytes, 90);
}

TEST(shutdown_goes_on_after_one_that_fails_or_overruns, RAM)
{
    REQUIRE(start_with(0, 0, 0));
    add(0, 9, 10, (plan_t){.each_us = 1, .at_last = EA_ERR_CORRUPT});
    add(1, 8, 10, (plan_t){.each_us = 5000, .at_last = EA_ERR_AGAIN});
    add(2, 7, 10, (plan_t){.each_us = 11, .at_last = EA_ERR_NO_MEMORY});
    add(3, 6, 10, (plan_t){.each_us = 1});
    ea_shutdown_begin(&shut);
    (void)run_steps(8);
    EXPECT_EQ(n_order, 4);
    EXPECT_EQ(handlers[0].result, EA_ERR_CORRUPT);
    EXPECT_EQ(handlers[1].result, EA_ERR_TIMEOUT);
    EXPECT(handlers[1].is_late);
    EXPECT_EQ(handlers[2].result, EA_ERR_NO_MEMORY);
    EXPECT_EQ(handlers[3].result, EA_OK);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_failed, 2);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_overruns, 2);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_done, 1);
    EXPECT_EQ(n_heard[EA_SHUTDOWN_FAILED], 2);
    EXPECT_EQ(last[EA_SHUTDOWN_FAILED].n, 2);
    EXPECT(last[EA_SHUTDOWN_FAILED].where == &handlers[2]);
}

TEST(shutdown_skips_handlers_when_the_time_of_all_is_over, RAM)
{
    REQUIRE(start_with(100, 0, 0));
    add(0, 9, 1000, (plan_t){.each_us = 60});
    add(1, 8, UINT64_MAX, (plan_t){.each_us = 40});
    add(2, 7, 1000, (plan_t){.each_us = 1});
    add(3, 6, 1000, (plan_t){.each_us = 1});
    ea_shutdown_begin(&shut);
    (void)run_steps(8);
    EXPECT_EQ(n_order, 2);
    EXPECT_EQ(plans[0].deadline_us, 1100); /* the earlier of both */
    EXPECT_EQ(plans[1].deadline_us, 1100);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_done, 2);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_overruns, 0);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_skipped, 2);
    EXPECT_EQ(handlers[2].result, EA_ERR_CANCELLED);
    EXPECT_EQ(handlers[2].n_calls, 0);
    EXPECT_EQ(n_heard[EA_SHUTDOWN_SKIPPED], 2);
    EXPECT(last[EA_SHUTDOWN_SKIPPED].where == &handlers[3]);
}

TEST(shutdown_drains_the_queue_and_ends_idle_objects, RAM)
{
    REQUIRE(start_with(0, 0, 0));
    ea_resource_t held[6];
    for (unsigned i = 0; i < 4; i++) held[i] = take_from(LATER, web, 1, NULL);
    for (unsigned i = 4; i < 6; i++) held[i] = take_from(BUFFER, web, 1, NULL);
    for (unsigned i = 0; i < 6; i++) EXPECT_EQ(ea_monitor_release(&monitor, held[i]), EA_OK);
    EXPECT_EQ(n_ended, 0);
    ea_shutdown_begin(&shut);
    /* begin, no handler, 4 entries, 3 looks for idle ones of which the last finds none, the
     * slots */
    EXPECT_EQ(run_steps(1), 1 + 1 + 4 + 3 + N_SLOTS);
    EXPECT_EQ(n_ended, 6);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_released, 4);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_trimmed, 2);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_queued, 0);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_live, 0);
    EXPECT_EQ(n_heard[EA_SHUTDOWN_STUCK], 0);
    EXPECT_EQ(ea_account_committed(nodes), 0);
}

/* Another context empties the queue and does not come to an end. */
TEST(shutdown_gives_a_stuck_queue_up_after_its_time, RAM)
{
    REQUIRE(start_with(0, 5000, 0));
    ea_resource_t held[2];
    for (unsigned i = 0; i < 2; i++) held[i] = take_from(LATER, web, 1, NULL);
    for (unsigned i = 0; i < 2; i++) EXPECT_EQ(ea_monitor_release(&monitor, held[i]), EA_OK);
    ea_shutdown_begin(&shut);
    steps_inside = true;
    EXPECT_EQ(ea_monitor_cleanup(&monitor, 2), 2);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_queued, 2);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_released, 0);
    EXPECT_EQ(n_heard[EA_SHUTDOWN_STUCK], 1);
    EXPECT_EQ(last[EA_SHUTDOWN_STUCK].n, 2);
    EXPECT(now_us >= 5000 && now_us < 6000);
    EXPECT_EQ(n_heard[EA_SHUTDOWN_OVER], 1);
}

TEST(shutdown_tells_who_holds_what, RAM)
{
    static const char first[] = "first", second[] = "second";
    REQUIRE(start_with(0, 0, 3));
    ea_resource_t oldest = take_from(SOCKET, web, 2, first);
    (void)take_from(SOCKET, log_, 7, second);
    uint64_t before = ea_port_time_coarse_us() >> 10;
#if !defined(__unix__)
    ea_baremetal_tick(5000);
#else
    while (ea_port_time_coarse_us() >> 10 == before) {
    }
#endif
    EXPECT(ea_port_time_coarse_us() >> 10 != before);
    (void)take_from(SOCKET, web, 3, second);
    (void)take_from(BUFFER, web, 4, second);
    ea_shutdown_begin(&shut);
    (void)run_steps(7);
    const ea_shutdown_report_t *report = ea_shutdown_report(&shut);
    EXPECT_EQ(report->n_live, 4);
    EXPECT_EQ(report->n_holdings, 3);
    EXPECT_EQ(report->n_untold, 0);
    unsigned n_seen = 0;
    for (size_t i = 0; i < report->n_holdings; i++) {
        const ea_shutdown_holding_t *holding = &holdings[i];
        if (holding->account != ea_account_id(web) || holding->type != SOCKET) continue;
        n_seen++;
        EXPECT_EQ(holding->n, 2);
        EXPECT_EQ(holding->units, 5);
        EXPECT(holding->caller == first);
        EXPECT_EQ(holding->example.eai_slot, oldest.eai_slot);
        EXPECT_EQ(holding->oldest_us >> 10, before);
    }
    EXPECT_EQ(n_seen, 1);
    EXPECT_EQ(n_heard[EA_SHUTDOWN_HELD], 3);
    EXPECT_EQ(n_heard[EA_SHUTDOWN_OVER], 1);
    EXPECT_EQ(last[EA_SHUTDOWN_OVER].n, 4);
}

TEST(shutdown_counts_what_finds_no_entry, RAM)
{
    REQUIRE(start_with(0, 0, 1));
    (void)take_from(SOCKET, web, 1, NULL);
    (void)take_from(SOCKET, log_, 1, NULL);
    (void)take_from(BUFFER, log_, 1, NULL);
    ea_shutdown_begin(&shut);
    (void)run_steps(100);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_live, 3);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_holdings, 1);
    EXPECT_EQ(ea_shutdown_report(&shut)->n_untold, 2);
    EXPECT_EQ(n_heard[EA_SHUTDOWN_HELD], 1);
    EXPECT_EQ(last[EA_SHUTDOWN_HELD].n, 1);
    EXPECT(last[EA_SHUTDOWN_HELD].where == &types[SOCKET]);
}

/* A handler that releases, and waits for an interrupt before. */
static volatile bool is_asked, is_flushed;
static ea_resource_t to_release;

static void tick(void)
{
#if !defined(__unix__)
    ea_baremetal_tick(1000);
#endif
    if (is_asked) is_flushed = true;
}

static ea_status_t wait_and_release(void *context, uint64_t deadline_us)
{
    (void)deadline_us, (void)context;
    is_asked = true;
    if (!is_flushed) return EA_ERR_BUSY;
    return ea_monitor_release(&monitor, to_release);
}

TEST(shutdown_in_one_call_rests_while_a_handler_waits, RAM)
{
    REQUIRE(start_with(0, 0, 3));
    const ea_shutdown_options_t how = {.monitor = &monitor}; /* by the port's clock */
    ea_shutdown_handler_t handler = {.call = wait_and_release, .limit_us = 60u * 1000 * 1000};
    REQUIRE(ea_shutdown_init(&shut, &how) == EA_OK);
    REQUIRE(ea_shutdown_add(&shut, &handler) == EA_OK);
    to_release = take_from(LATER, web, 1, NULL);
    is_asked = is_flushed = false;
    board_tick_start(1000, tick);
    const ea_shutdown_report_t *report = ea_shutdown_run(&shut);
    board_tick_stop();
    EXPECT_EQ(handler.result, EA_OK);
    EXPECT(handler.n_calls > 1 && handler.n_calls < 1000);
    EXPECT_EQ(report->n_done, 1);
    EXPECT_EQ(report->n_released, 1);
    EXPECT_EQ(report->n_live, 0);
    EXPECT(report->took_us > 0);
}

TEST_MAIN(&shutdown_refuses_what_it_cannot_use, &shutdown_turns_acquire_away_and_release_works,
          &shutdown_calls_by_priority_and_equals_in_order, &shutdown_calls_again_until_the_limit,
          &shutdown_goes_on_after_one_that_fails_or_overruns,
          &shutdown_skips_handlers_when_the_time_of_all_is_over,
          &shutdown_drains_the_queue_and_ends_idle_objects,
          &shutdown_gives_a_stuck_queue_up_after_its_time, &shutdown_tells_who_holds_what,
          &shutdown_counts_what_finds_no_entry, &shutdown_in_one_call_rests_while_a_handler_waits)
