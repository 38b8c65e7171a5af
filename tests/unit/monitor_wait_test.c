/* SPDX-License-Identifier: MIT
 *
 * The monitor: several resources at once, and those who wait for them (row C6). One task stands for
 * all: waits are begun and ended one by one. The interrupt is the timer's on a board, a signal on
 * the host.
 */
#include "ealloc/monitor_wait.h"

#include "board.h"
#if !defined(__unix__)
#include "ealloc/port_baremetal.h"
#endif
#include "tap.h"

#define N_SLOTS 24u
#define N_NODES 8u
#define N_WAITING 6u
#define TOGETHER 3u
#define MONITOR_BYTES EA_MONITOR_BYTES(N_SLOTS, N_TYPES, 2 * N_NODES, 1, 4, 2)
enum { SOCKET, BUFFER, MADE, LATER, N_TYPES };

static ea_account_t nodes[N_NODES], ram_nodes[N_NODES];
static ea_accounts_t book, ram_book;
static ea_account_t *web, *log_, *web_ram, *log_ram;
static ea_monitor_t monitor;
static unsigned n_made, n_ended;
static uintptr_t last_ended;
static ea_status_t create_says;

static ea_status_t make_object(void *context, const ea_resource_request_t *request,
                               uintptr_t *object)
{
    (void)context, (void)request;
    if (create_says == EA_OK) *object = 100u + n_made++;
    return create_says;
}

static void end_object(void *context, uintptr_t object)
{
    (void)context;
    last_ended = object;
    n_ended++;
}

static const ea_resource_type_t types[N_TYPES] = {
    [SOCKET] = {.name = "socket", .book = &book, .destroy = end_object},
    [BUFFER] = {.name = "buffer", .book = &ram_book, .destroy = end_object},
    [MADE] = {.name = "made",
              .book = &book,
              .create = make_object,
              .destroy = end_object,
              .max_idle = 2},
    [LATER] = {.name = "later",
               .book = &book,
               .destroy = end_object,
               .strategy = EA_RELEASE_QUEUED},
};

static ea_account_t *account(ea_accounts_t *of, size_t min, size_t max)
{
    return ea_account_create(of, ea_accounts_root(of),
                             &(ea_account_options_t){.limits = {.min = min, .max = max}});
}

static bool start_monitor(void *ram, size_t n_slots)
{
    const ea_monitor_options_t options = {
        .types = types, .n_types = N_TYPES, .n_slots = n_slots, .n_queue = 4, .batch = 4};
    return ea_monitor_init(&monitor, ram, MONITOR_BYTES, &options) == EA_OK;
}

#if EA_CFG_MONITOR_WAIT
#define WAIT_BYTES EA_MONITOR_WAIT_BYTES(N_WAITING, TOGETHER, N_TYPES)
#else
#define WAIT_BYTES 16u
#endif
#define RAM (MONITOR_BYTES + WAIT_BYTES)

/* So many sockets and bytes there are. */
static bool start(size_t sockets, size_t bytes)
{
    n_made = n_ended = 0;
    create_says = EA_OK;
    if (ea_accounts_init(&book, nodes, N_NODES, &(ea_account_limits_t){.max = sockets}) != EA_OK ||
        ea_accounts_init(&ram_book, ram_nodes, N_NODES, &(ea_account_limits_t){.max = bytes}) !=
            EA_OK) {
        return false;
    }
    web = account(&book, 0, 0);
    log_ = account(&book, 0, 0);
    web_ram = account(&ram_book, 0, 0);
    log_ram = account(&ram_book, 0, 0);
    return start_monitor(tap_ram(), N_SLOTS);
}

static ea_resource_request_t want(uint8_t type, ea_account_t *of, size_t units)
{
    return (ea_resource_request_t){.account = of, .type = type, .units = units, .object = 7};
}

static ea_resource_t must(uint8_t type, ea_account_t *of, size_t units)
{
    ea_resource_t resource;
    const ea_resource_request_t request = want(type, of, units);
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &resource), EA_OK);
    return resource;
}

static void drop(ea_resource_t resource)
{
    EXPECT_EQ(ea_monitor_release(&monitor, resource), EA_OK);
}

static size_t failures(uint8_t type, ea_reason_t reason)
{
    ea_resource_stats_t stats;
    EXPECT_EQ(ea_monitor_type_stats(&monitor, type, &stats), EA_OK);
    return stats.n_failures[reason];
}

static size_t live(uint8_t type)
{
    ea_resource_stats_t stats;
    EXPECT_EQ(ea_monitor_type_stats(&monitor, type, &stats), EA_OK);
    return stats.n_live;
}

static void expect_rest(void)
{
    ea_audit_report_t report;
    EXPECT_EQ(ea_monitor_audit(&monitor, EA_AUDIT_ALONE, SIZE_MAX, &report), EA_OK);
    EXPECT_EQ(report.n_found, 0);
    for (uint8_t i = 0; i < N_TYPES; i++) EXPECT_EQ(live(i), 0);
    EXPECT_EQ(ea_accounts_check(&book, NULL), EA_OK);
    EXPECT_EQ(ea_accounts_check(&ram_book, NULL), EA_OK);
}

/* --- all or nothing --------------------------------------------------------------------------- */

TEST(acquire_all_holds_all_or_nothing, RAM)
{
    REQUIRE(start(4, 100));
    ea_resource_t got[3];
    const ea_resource_request_t fits[3] = {want(SOCKET, web, 2), want(BUFFER, web_ram, 60),
                                           want(MADE, web, 1)};
    REQUIRE(ea_monitor_acquire_all(&monitor, fits, 3, got) == EA_OK);
    EXPECT_EQ(ea_account_committed(web), 3);
    EXPECT_EQ(ea_account_committed(web_ram), 60);
    uintptr_t object = 0;
    EXPECT_EQ(ea_monitor_object(&monitor, got[2], MADE, &object), EA_OK);
    EXPECT_EQ(object, 100);
    ea_resource_info_t info;
    REQUIRE(ea_monitor_info(&monitor, got[1], &info) == EA_OK);
    EXPECT_EQ(info.units, 60);
    EXPECT_EQ(info.object, 7);
    EXPECT(info.caller != NULL);
    EXPECT(info.since_us <= ea_port_time_us());
    EXPECT(info.since_us + 1000000 > ea_port_time_us());

    const ea_resource_request_t too_many[2] = {want(SOCKET, log_, 1), want(BUFFER, log_ram, 41)};
    EXPECT_EQ(ea_monitor_acquire_all(&monitor, too_many, 2, got + 1), EA_ERR_LIMIT);
    EXPECT(ea_resource_is_none(got[1]) && ea_resource_is_none(got[2]));
    EXPECT_EQ(failures(BUFFER, EA_REASON_OVER_LIMIT), 1);
    EXPECT_EQ(failures(SOCKET, EA_REASON_OVER_LIMIT), 0);
    EXPECT_EQ(ea_account_committed(log_), 0);
    EXPECT_EQ(n_ended, 0);
}

TEST(acquire_all_ends_what_it_made_and_not_what_was_brought, RAM)
{
    REQUIRE(start(8, 100));
    ea_resource_t got[3];
    /* One of the made ones is idle, and handed out first; the second cannot be made. */
    drop(must(MADE, web, 1));
    EXPECT_EQ(n_ended, 0);
    create_says = EA_ERR_FOREIGN;
    const ea_resource_request_t requests[3] = {want(SOCKET, web, 1), want(MADE, web, 1),
                                               want(MADE, web, 1)};
    EXPECT_EQ(ea_monitor_acquire_all(&monitor, requests, 3, got), EA_ERR_FOREIGN);
    EXPECT_EQ(n_ended, 1);
    EXPECT_EQ(last_ended, 100);
    EXPECT_EQ(ea_account_committed(web), 0);
    expect_rest();
}

TEST(acquire_all_refuses_what_is_outside_the_contract, RAM)
{
    REQUIRE(start(4, 100));
    ea_resource_t got[EA_MONITOR_TOGETHER_MAX + 1];
    ea_resource_request_t requests[EA_MONITOR_TOGETHER_MAX + 1];
    for (unsigned i = 0; i <= EA_MONITOR_TOGETHER_MAX; i++) requests[i] = want(SOCKET, web, 1);
    EXPECT_EQ(ea_monitor_acquire_all(&monitor, requests, 0, got), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_acquire_all(&monitor, requests, EA_MONITOR_TOGETHER_MAX + 1, got),
              EA_ERR_INVALID);
    requests[1].account = web_ram;
    EXPECT_EQ(ea_monitor_acquire_all(&monitor, requests, 2, got), EA_ERR_INVALID);
    requests[1].account = NULL;
    EXPECT_EQ(ea_monitor_acquire_all(&monitor, requests, 2, got), EA_ERR_INVALID);
    requests[1] = want(N_TYPES, web, 1);
    EXPECT_EQ(ea_monitor_acquire_all(&monitor, requests, 2, got), EA_ERR_INVALID);
    expect_rest();
}

TEST(acquire_all_holds_parents_as_long_as_it_holds_the_rest, RAM)
{
    REQUIRE(start(3, 100));
    ea_resource_t parent = must(SOCKET, web, 1), got[2];
    ea_resource_request_t requests[2] = {want(SOCKET, web, 1), want(BUFFER, web_ram, 101)};
    requests[0].parent = requests[1].parent = parent;
    ea_resource_info_t info;
    EXPECT_EQ(ea_monitor_acquire_all(&monitor, requests, 2, got), EA_ERR_LIMIT);
    REQUIRE(ea_monitor_info(&monitor, parent, &info) == EA_OK);
    EXPECT_EQ(info.n_references, 1);
    requests[1].units = 100;
    REQUIRE(ea_monitor_acquire_all(&monitor, requests, 2, got) == EA_OK);
    REQUIRE(ea_monitor_info(&monitor, parent, &info) == EA_OK);
    EXPECT_EQ(info.n_references, 3);
    drop(got[0]);
    drop(got[1]);
    drop(parent);
    EXPECT_EQ(ea_monitor_acquire_all(&monitor, requests, 2, got), EA_ERR_NOT_FOUND);
    expect_rest();
}

#if EA_CFG_MONITOR_WAIT

/* --- waiting ---------------------------------------------------------------------------------- */

static bool start_line(size_t sockets, size_t bytes, uint32_t patience, uint32_t passings)
{
    const ea_monitor_line_options_t options = {.max_waiting = N_WAITING,
                                               .max_together = TOGETHER,
                                               .patience_grants = patience,
                                               .max_passings = passings};
    return start(sockets, bytes) &&
           ea_monitor_wait_init(&monitor, (unsigned char *)tap_ram() + MONITOR_BYTES, WAIT_BYTES,
                                &options) == EA_OK;
}

/* One that waits, with memory of its own. */
typedef struct {
    ea_monitor_wait_t wait;
    ea_resource_request_t requests[TOGETHER];
    ea_resource_t got[TOGETHER];
    size_t n;
} task_t;

static ea_status_t begin_as(task_t *task, const ea_wait_options_t *options)
{
    return ea_monitor_wait_begin(&task->wait, &monitor, task->requests, task->n, options);
}

static void begin_many(task_t *task, size_t n, const ea_resource_request_t *requests,
                       const ea_wait_options_t *options)
{
    task->n = n;
    for (size_t i = 0; i < n; i++) task->requests[i] = requests[i];
    EXPECT_EQ(begin_as(task, options), EA_OK);
}

static void begin(task_t *task, uint8_t type, ea_account_t *of, size_t units,
                  const ea_wait_options_t *options)
{
    const ea_resource_request_t request = want(type, of, units);
    begin_many(task, 1, &request, options);
}

static bool is_over(const task_t *task)
{
    return ea_monitor_wait_is_over(&task->wait);
}

static ea_status_t end(task_t *task)
{
    return ea_monitor_wait_end(&task->wait, 0, task->got);
}

static ea_monitor_wait_stats_t waits(void)
{
    ea_monitor_wait_stats_t stats;
    ea_monitor_wait_stats(&monitor, &stats);
    return stats;
}

static void expect_no_line(void)
{
    EXPECT_EQ(waits().n_waiting, 0);
    EXPECT_EQ(book.eai_n_waiting, 0);
    EXPECT_EQ(ram_book.eai_n_waiting, 0);
    expect_rest();
}

#define TICK_US 1000u
static ea_resource_t to_release;
static volatile int ticks_before_release;

static void tick(void)
{
#if !defined(__unix__)
    ea_baremetal_tick(TICK_US);
#endif
    /* A slow machine's first ticks may come before the task stands in line. */
    if (ticks_before_release > 0 && waits().n_waiting != 0 && --ticks_before_release == 0) {
        (void)ea_monitor_release(&monitor, to_release);
    }
}

TEST(wait_init_refuses_what_is_outside_the_contract, RAM)
{
    static _Alignas(8) unsigned char other[WAIT_BYTES];
    ea_monitor_line_options_t options = {.max_waiting = N_WAITING, .max_together = TOGETHER};
    REQUIRE(start(4, 100));
    ea_resource_t got;
    const ea_resource_request_t request = want(SOCKET, web, 5);
    EXPECT_EQ(ea_monitor_acquire_wait(&monitor, &request, 1, NULL, &got), EA_ERR_INVALID);
    EXPECT_EQ(waits().n_entered, 0);
    EXPECT_EQ(ea_monitor_cancel(&monitor, 0), 0);
    ea_monitor_serve(&monitor);
    EXPECT_EQ(ea_monitor_wait_init(NULL, other, WAIT_BYTES, &options), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_wait_init(&monitor, NULL, WAIT_BYTES, &options), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_wait_init(&monitor, other, WAIT_BYTES, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_wait_init(&monitor, other, WAIT_BYTES - 1, &options), EA_ERR_NO_MEMORY);
    options.max_waiting = 0;
    EXPECT_EQ(ea_monitor_wait_init(&monitor, other, WAIT_BYTES, &options), EA_ERR_INVALID);
    options.max_waiting = 0x8000;
    EXPECT_EQ(ea_monitor_wait_init(&monitor, other, WAIT_BYTES, &options), EA_ERR_INVALID);
    options.max_waiting = 1;
    options.max_together = EA_MONITOR_TOGETHER_MAX + 1;
    EXPECT_EQ(ea_monitor_wait_init(&monitor, other, WAIT_BYTES, &options), EA_ERR_INVALID);
    options.max_together = 0;
    EXPECT_EQ(ea_monitor_wait_init(&monitor, other, WAIT_BYTES, &options), EA_ERR_INVALID);
    options.max_together = 1;
    options.patience_grants = (1u << 20) + 1;
    EXPECT_EQ(ea_monitor_wait_init(&monitor, other, WAIT_BYTES, &options), EA_ERR_INVALID);
    options.patience_grants = 0;
    options.max_passings = 0x8000;
    EXPECT_EQ(ea_monitor_wait_init(&monitor, other, WAIT_BYTES, &options), EA_ERR_INVALID);
    options.max_passings = 0;
    EXPECT_EQ(ea_monitor_wait_init(&monitor, other + 1, WAIT_BYTES - 1, &options), EA_OK);
    EXPECT_EQ(ea_monitor_wait_init(&monitor, other, WAIT_BYTES, &options), EA_ERR_BUSY);
}

TEST(wait_ends_with_what_a_release_gives_back, RAM)
{
    REQUIRE(start_line(2, 100, 0, 0));
    ea_resource_t held = must(SOCKET, web, 2);
    task_t task;
    begin(&task, SOCKET, log_, 2, NULL);
    EXPECT(!is_over(&task));
    EXPECT_EQ(waits().n_waiting, 1);
    drop(held);
    EXPECT(is_over(&task));
    EXPECT_EQ(ea_account_committed(log_), 2); /* it is its own already */
    EXPECT_EQ(end(&task), EA_OK);
    ea_resource_info_t info;
    REQUIRE(ea_monitor_info(&monitor, task.got[0], &info) == EA_OK);
    EXPECT_EQ(info.account, ea_account_id(log_));
    EXPECT_EQ(info.object, 7);
    EXPECT_EQ(info.units, 2);
    EXPECT(info.caller != NULL);
    drop(task.got[0]);
    EXPECT_EQ(waits().n_granted, 1);
    EXPECT_EQ(waits().n_entered, 1);
    expect_no_line();
}

TEST(wait_is_over_at_once_where_all_is_there, RAM)
{
    REQUIRE(start_line(2, 100, 0, 0));
    task_t task;
    begin(&task, SOCKET, web, 1, NULL);
    EXPECT(is_over(&task));
    EXPECT_EQ(end(&task), EA_OK);
    ea_resource_t got;
    const ea_resource_request_t request = want(SOCKET, web, 1);
    EXPECT_EQ(ea_monitor_acquire_wait(&monitor, &request, 1, NULL, &got), EA_OK);
    EXPECT_EQ(waits().n_entered, 1); /* the second stood in no line */
    drop(task.got[0]);
    drop(got);
    expect_no_line();
}

TEST(wait_ends_when_its_time_is_over_with_nothing, RAM)
{
    REQUIRE(start_line(2, 100, 0, 0));
    ea_resource_t held = must(SOCKET, web, 2), got[2];
    const ea_resource_request_t both[2] = {want(BUFFER, log_ram, 5), want(SOCKET, log_, 1)};
    const ea_wait_options_t brief = {.timeout_us = 3000}, none = {.timeout_us = 0};
    board_tick_start(TICK_US, tick);
    uint64_t begin_us = ea_port_time_us();
    EXPECT_EQ(ea_monitor_acquire_wait(&monitor, both, 2, &brief, got), EA_ERR_TIMEOUT);
    board_tick_stop();
    EXPECT(ea_port_time_us() - begin_us >= 3000);
    EXPECT_EQ(failures(BUFFER, EA_REASON_TIMEOUT), 1);
    EXPECT_EQ(ea_account_committed(log_ram), 0);
    EXPECT_EQ(ea_monitor_acquire_wait(&monitor, both, 2, &none, got), EA_ERR_LIMIT);
    EXPECT_EQ(waits().n_entered, 1);
    EXPECT_EQ(waits().n_timeouts, 1);
    drop(held);
    expect_no_line();
}

TEST(wait_ends_with_what_an_interrupt_releases, RAM)
{
    REQUIRE(start_line(2, 100, 0, 0));
    const ea_resource_request_t request = want(SOCKET, log_, 2);
    const ea_wait_options_t times[2] = {{.timeout_us = EA_WAIT_FOREVER},
                                        {.timeout_us = 60u * 1000 * 1000}};
    for (int i = 0; i < 4; i++) {
        ea_resource_t got;
        to_release = must(SOCKET, web, 1 + i % 2);
        ticks_before_release = 1 + i % 3;
        board_tick_start(TICK_US, tick);
        EXPECT_EQ(ea_monitor_acquire_wait(&monitor, &request, 1, &times[i % 2], &got), EA_OK);
        board_tick_stop();
        drop(got);
    }
    EXPECT_EQ(waits().n_granted, 4);
    expect_no_line();
}

TEST(wait_has_several_types_granted_together, RAM)
{
    REQUIRE(start_line(2, 100, 0, 0));
    ea_resource_t socket = must(SOCKET, web, 2), bytes = must(BUFFER, web_ram, 100);
    const ea_resource_request_t both[2] = {want(SOCKET, log_, 1), want(BUFFER, log_ram, 50)};
    task_t task;
    begin_many(&task, 2, both, NULL);
    drop(socket);
    EXPECT(!is_over(&task));
    EXPECT_EQ(ea_account_committed(log_), 0); /* nothing is held meanwhile */
    drop(bytes);
    EXPECT(is_over(&task));
    EXPECT_EQ(end(&task), EA_OK);
    drop(task.got[0]);
    drop(task.got[1]);
    expect_no_line();
}

TEST(wait_is_cancelled_by_id_and_all_by_closing, RAM)
{
    REQUIRE(start_line(1, 100, 0, 0));
    ea_resource_t held = must(SOCKET, web, 1);
    static task_t tasks[4];
    for (unsigned i = 0; i < 4; i++) {
        begin(&tasks[i], SOCKET, web, 1, &(ea_wait_options_t){.id = i < 2 ? 5 : i});
    }
    EXPECT_EQ(ea_monitor_cancel(&monitor, 77), 0);
    EXPECT_EQ(ea_monitor_cancel(&monitor, 5), 2);
    EXPECT_EQ(ea_monitor_cancel(&monitor, 5), 0);
    EXPECT(is_over(&tasks[0]) && is_over(&tasks[1]) && !is_over(&tasks[2]));
    EXPECT_EQ(end(&tasks[0]), EA_ERR_CANCELLED);
    EXPECT_EQ(end(&tasks[1]), EA_ERR_CANCELLED);
    ea_monitor_close(&monitor, true);
    EXPECT_EQ(end(&tasks[2]), EA_ERR_CANCELLED);
    EXPECT_EQ(end(&tasks[3]), EA_ERR_CANCELLED);
    EXPECT_EQ(begin_as(&tasks[3], NULL), EA_ERR_CANCELLED);
    EXPECT_EQ(waits().n_cancelled, 4);
    ea_monitor_close(&monitor, false);
    drop(held);
    expect_no_line();
}

TEST(wait_that_was_granted_is_not_cancelled_any_more, RAM)
{
    REQUIRE(start_line(1, 100, 0, 0));
    task_t task;
    begin(&task, SOCKET, web, 1, &(ea_wait_options_t){.id = 9});
    EXPECT(is_over(&task));
    EXPECT_EQ(ea_monitor_cancel(&monitor, 9), 0);
    EXPECT_EQ(end(&task), EA_OK);
    drop(task.got[0]);
    expect_no_line();
}

TEST(wait_that_cannot_be_is_refused_before_anybody_waits, RAM)
{
    ea_resource_t got[TOGETHER + 1];
    ea_resource_request_t requests[TOGETHER + 1];
    ea_account_t *const some[2] = {nodes, NULL};
    const ea_claimant_t wrong[] = {{.accounts = NULL, .n_accounts = 1},
                                   {.accounts = some, .n_accounts = 0},
                                   {.accounts = some, .n_accounts = 2},
                                   {.accounts = some, .n_accounts = EA_MONITOR_TOGETHER_MAX + 1}};
    REQUIRE(start_line(20, 100, 0, 0));
    for (unsigned i = 0; i <= TOGETHER; i++) requests[i] = want(SOCKET, web, 1);
    EXPECT_EQ(ea_monitor_acquire_wait(&monitor, requests, TOGETHER + 1, NULL, got), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_acquire_wait(&monitor, NULL, 1, NULL, got), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_acquire_all(&monitor, NULL, 1, got), EA_ERR_INVALID);
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const ea_wait_options_t options = {.claimant = &wrong[i]};
        EXPECT_EQ(ea_monitor_acquire_wait(&monitor, requests, 1, &options, got), EA_ERR_INVALID);
        ea_monitor_wait_t wait;
        EXPECT_EQ(ea_monitor_wait_begin(&wait, &monitor, requests, 1, &options), EA_ERR_INVALID);
        EXPECT(ea_monitor_wait_is_over(&wait));
        EXPECT_EQ(ea_monitor_wait_end(&wait, 0, got), EA_ERR_INVALID);
    }
    expect_no_line();
}

TEST(wait_ends_once, RAM)
{
    REQUIRE(start_line(1, 100, 0, 0));
    ea_resource_t held = must(SOCKET, web, 1);
    task_t task, second;
    begin(&task, SOCKET, web, 1, NULL);
    EXPECT_EQ(end(&task), EA_ERR_TIMEOUT);
    EXPECT_EQ(end(&task), EA_ERR_INVALID);
    EXPECT(is_over(&task));
    begin(&second, SOCKET, web, 1, NULL);
    EXPECT_EQ(end(&task), EA_ERR_INVALID);
    drop(held);
    EXPECT_EQ(end(&second), EA_OK);
    drop(second.got[0]);
    expect_no_line();
}

/* Who has it already takes nothing from those who wait. */
TEST(wait_does_not_hold_up_who_has_a_reservation, RAM)
{
    REQUIRE(start_line(3, 100, 0, 0));
    ea_reservation_t reserved;
    ea_resource_t held = must(SOCKET, web, 2), slot, got;
    REQUIRE(ea_account_reserve(web, 1, UINT64_MAX, &reserved) == EA_OK);
    REQUIRE(ea_monitor_hold_slots(&monitor, 1, UINT64_MAX, &slot) == EA_OK);
    task_t task;
    begin(&task, SOCKET, web, 1, NULL);
    ea_resource_request_t request = want(SOCKET, web, 1);
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &got), EA_ERR_BUSY);
    request.reservation = &reserved;
    EXPECT_EQ(ea_monitor_acquire_all(&monitor, &request, 1, &got), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &got), EA_OK);
    drop(got); /* which the one that waits gets */
    EXPECT(is_over(&task));
    EXPECT_EQ(end(&task), EA_OK);
    drop(task.got[0]);
    request.reservation = NULL;
    request.slot = slot;
    EXPECT_EQ(ea_monitor_acquire_all(&monitor, &request, 1, &got), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &got), EA_OK);
    drop(got);
    drop(held);
    expect_no_line();
}

TEST(wait_for_a_slot_ends_when_a_held_one_is_given_up, RAM)
{
    REQUIRE(start_line(100, 100, 0, 0));
    static ea_resource_t slots[N_SLOTS];
    size_t n = 0;
    while (n < N_SLOTS && ea_monitor_hold_slots(&monitor, 1, UINT64_MAX, &slots[n]) == EA_OK) n++;
    REQUIRE(n > 1);
    task_t task;
    begin(&task, SOCKET, web, 1, NULL);
    EXPECT(!is_over(&task));
    ea_resource_t got; /* the second of those held is not refused for the sake of who waits */
    ea_resource_request_t request = want(SOCKET, web, 1);
    request.slot = slots[1];
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &got), EA_OK);
    EXPECT_EQ(ea_monitor_drop_slot(&monitor, slots[0]), EA_OK);
    EXPECT(is_over(&task));
    EXPECT_EQ(end(&task), EA_OK);
    drop(task.got[0]);
    drop(got);
    for (size_t i = 2; i < n; i++) EXPECT_EQ(ea_monitor_drop_slot(&monitor, slots[i]), EA_OK);
    expect_no_line();
}

TEST(wait_is_refused_where_too_many_wait_or_it_could_never_end, RAM)
{
    REQUIRE(start_line(2, 100, 0, 0));
    ea_resource_t held = must(SOCKET, web, 2);
    static task_t tasks[N_WAITING + 1];
    for (unsigned i = 0; i < N_WAITING; i++) begin(&tasks[i], SOCKET, web, 1, NULL);
    task_t *last = &tasks[N_WAITING];
    last->n = 1;
    last->requests[0] = last->requests[1] = want(SOCKET, web, 1);
    EXPECT_EQ(begin_as(last, NULL), EA_ERR_BUSY);
    EXPECT_EQ(waits().n_full, 1);
    EXPECT_EQ(waits().most_waiting, N_WAITING);
    EXPECT_EQ(failures(SOCKET, EA_REASON_IN_LINE), 1);
    EXPECT_EQ(ea_monitor_cancel(&monitor, 0), N_WAITING);
    for (unsigned i = 0; i < N_WAITING; i++) EXPECT_EQ(end(&tasks[i]), EA_ERR_CANCELLED);
    drop(held);

    last->requests[0].units = 3;
    EXPECT_EQ(begin_as(last, NULL), EA_ERR_TOO_LARGE);
    EXPECT_EQ(failures(SOCKET, EA_REASON_TOO_LARGE), 1);
    last->n = 2;
    last->requests[0] = want(BUFFER, web_ram, 51);
    last->requests[1] = want(BUFFER, log_ram, 51);
    EXPECT_EQ(begin_as(last, NULL), EA_ERR_TOO_LARGE); /* together */
    ea_account_t *guarded = account(&ram_book, 60, 0);
    last->n = 1;
    last->requests[0].units = 41;
    EXPECT_EQ(begin_as(last, NULL), EA_ERR_TOO_LARGE); /* beside what is guaranteed */
    last->requests[0].account = guarded;
    EXPECT_EQ(begin_as(last, NULL), EA_OK);
    EXPECT_EQ(end(last), EA_OK);
    drop(last->got[0]);
    last->n = TOGETHER + 1;
    EXPECT_EQ(begin_as(last, NULL), EA_ERR_INVALID);
    last->n = 0;
    EXPECT_EQ(begin_as(last, NULL), EA_ERR_INVALID);
    expect_no_line();
}

/* --- who is next ------------------------------------------------------------------------------ */

/* The only one that is over; it is ended. */
static int next_of(task_t *tasks, unsigned n, const bool *is_done)
{
    int found = -1;
    for (unsigned i = 0; i < n; i++) {
        if (is_done[i] || !is_over(&tasks[i])) continue;
        if (found >= 0) return -2;
        found = (int)i;
    }
    if (found >= 0) EXPECT_EQ(end(&tasks[found]), EA_OK);
    return found;
}

/* One socket goes round: in this order. */
static void expect_order(ea_resource_t held, task_t *tasks, unsigned n, const int *order)
{
    bool is_done[N_WAITING] = {false};
    for (unsigned i = 0; i < n; i++) {
        drop(held);
        int next = next_of(tasks, n, is_done);
        EXPECT_EQ(next, order[i]);
        if (next < 0) return;
        is_done[next] = true;
        held = tasks[next].got[0];
    }
    drop(held);
    expect_no_line();
}

TEST(wait_serves_equals_as_they_came, RAM)
{
    REQUIRE(start_line(1, 100, 0, 0));
    ea_resource_t held = must(SOCKET, web, 1);
    static task_t tasks[4];
    for (unsigned i = 0; i < 4; i++) begin(&tasks[i], SOCKET, i % 2 ? web : log_, 1, NULL);
    /* Whoever gives back holds nothing: all shares are 0 then. */
    expect_order(held, tasks, 4, (const int[]){0, 1, 2, 3});
}

TEST(wait_serves_the_higher_class_first, RAM)
{
    REQUIRE(start_line(1, 100, 0, 0));
    ea_resource_t held = must(SOCKET, web, 1);
    static const uint8_t classes[5] = {0, 2, 1, 200, 2};
    static task_t tasks[5];
    for (unsigned i = 0; i < 5; i++) {
        begin(&tasks[i], SOCKET, web, 1, &(ea_wait_options_t){.priority = classes[i]});
    }
    expect_order(held, tasks, 5, (const int[]){3, 1, 4, 2, 0});
}

TEST(wait_serves_who_has_the_smaller_share_first, RAM)
{
    REQUIRE(start_line(10, 100, 0, 0));
    ea_resource_t held = must(SOCKET, web, 1), webs = must(SOCKET, web, 5),
                  logs = must(SOCKET, log_, 4);
    static task_t tasks[2];
    begin(&tasks[0], SOCKET, web, 1, NULL);
    begin(&tasks[1], SOCKET, log_, 1, NULL);
    drop(held); /* 5 against 4 */
    EXPECT(is_over(&tasks[1]) && !is_over(&tasks[0]));
    EXPECT_EQ(end(&tasks[1]), EA_OK);
    drop(tasks[1].got[0]);
    EXPECT_EQ(end(&tasks[0]), EA_OK);
    drop(tasks[0].got[0]);
    drop(webs);
    drop(logs);
    expect_no_line();
}

TEST(wait_divides_a_share_by_its_weight, RAM)
{
    REQUIRE(start_line(10, 100, 0, 0));
    ea_resource_t held = must(SOCKET, web, 1), webs = must(SOCKET, web, 6),
                  logs = must(SOCKET, log_, 3);
    ea_account_t *const heavy_accounts[] = {web}, *const light_accounts[] = {log_};
    const ea_claimant_t heavy = {.accounts = heavy_accounts, .n_accounts = 1, .weight = 3},
                        light = {.accounts = light_accounts, .n_accounts = 1};
    static task_t tasks[2];
    begin(&tasks[0], SOCKET, log_, 1, &(ea_wait_options_t){.claimant = &light});
    begin(&tasks[1], SOCKET, web, 1, &(ea_wait_options_t){.claimant = &heavy});
    drop(held); /* 3 against 6 / 3 */
    EXPECT(is_over(&tasks[1]) && !is_over(&tasks[0]));
    EXPECT_EQ(end(&tasks[1]), EA_OK);
    drop(tasks[1].got[0]);
    EXPECT_EQ(end(&tasks[0]), EA_OK);
    drop(tasks[0].got[0]);
    drop(webs);
    drop(logs);
    expect_no_line();
}

/* Few sockets but much memory: memory is what counts. */
TEST(wait_takes_the_greatest_share_of_several_types, RAM)
{
    REQUIRE(start_line(10, 70000, 0, 0));
    ea_resource_t held = must(SOCKET, log_, 4), more = must(SOCKET, web, 5),
                  bytes = must(BUFFER, log_ram, 42000); /* 0.4 and 0.6 against 0.5 */
    ea_account_t *const web_accounts[] = {web, web_ram}, *const log_accounts[] = {log_, log_ram};
    const ea_claimant_t of_web = {.accounts = web_accounts, .n_accounts = 2},
                        of_log = {.accounts = log_accounts, .n_accounts = 2};
    ea_resource_t last = must(SOCKET, web, 1);
    static task_t tasks[2];
    begin(&tasks[0], SOCKET, log_, 1, &(ea_wait_options_t){.claimant = &of_log});
    begin(&tasks[1], SOCKET, web, 1, &(ea_wait_options_t){.claimant = &of_web});
    drop(last);
    EXPECT(is_over(&tasks[1]) && !is_over(&tasks[0]));
    EXPECT_EQ(end(&tasks[1]), EA_OK);
    drop(tasks[1].got[0]);
    EXPECT_EQ(end(&tasks[0]), EA_OK);
    drop(tasks[0].got[0]);
    drop(held);
    drop(more);
    drop(bytes);
    expect_no_line();
}

/* A limit was lowered below what one of them holds: its share is whole, however much that is. */
TEST(wait_sees_a_share_above_the_capacity_as_whole, RAM)
{
    REQUIRE(start_line(1, 70000, 0, 0));
    ea_resource_t held = must(SOCKET, web, 1), most = must(BUFFER, web_ram, 66000),
                  some = must(BUFFER, log_ram, 3000);
    EXPECT_EQ(ea_account_set_limits(ram_nodes, &(ea_account_limits_t){.max = 60000}), EA_OK);
    ea_account_t *const web_accounts[] = {web, web_ram}, *const log_accounts[] = {log_, log_ram};
    const ea_claimant_t of_web = {.accounts = web_accounts, .n_accounts = 2},
                        of_log = {.accounts = log_accounts, .n_accounts = 2};
    static task_t tasks[2];
    begin(&tasks[0], SOCKET, web, 1, &(ea_wait_options_t){.claimant = &of_web});
    begin(&tasks[1], SOCKET, log_, 1, &(ea_wait_options_t){.claimant = &of_log});
    drop(held);
    EXPECT(is_over(&tasks[1]) && !is_over(&tasks[0]));
    EXPECT_EQ(end(&tasks[1]), EA_OK);
    drop(tasks[1].got[0]);
    EXPECT_EQ(end(&tasks[0]), EA_OK);
    drop(tasks[0].got[0]);
    drop(most);
    drop(some);
    expect_no_line();
}

/* The higher class has always somebody there: who waits below is served when it is overdue, within
 * the bound and not before. */
TEST(wait_of_the_lowest_class_ends_within_the_bound, RAM)
{
    enum { PATIENCE = 3 };
    REQUIRE(start_line(1, 100, PATIENCE, 0));
    ea_resource_t held = must(SOCKET, web, 1);
    task_t low, high[2];
    begin(&low, SOCKET, log_, 1, NULL);
    unsigned n = 0;
    begin(&high[0], SOCKET, web, 1, &(ea_wait_options_t){.priority = 3});
    while (n < 100) {
        begin(&high[(n + 1) % 2], SOCKET, web, 1, &(ea_wait_options_t){.priority = 3});
        drop(held);
        if (is_over(&low)) break;
        EXPECT_EQ(end(&high[n % 2]), EA_OK);
        held = high[n++ % 2].got[0];
    }
    EXPECT_EQ(n, PATIENCE * EA_MONITOR_CLASSES);
    EXPECT_EQ(waits().most_grants[0], n);
    EXPECT(n <= EA_MONITOR_GRANTS_MAX(0u, 0u, PATIENCE, N_WAITING, 0u));
    EXPECT_EQ(end(&low), EA_OK);
    drop(low.got[0]);
    for (unsigned i = 0; i < 2; i++) {
        EXPECT_EQ(end(&high[(n + i) % 2]), EA_OK);
        drop(high[(n + i) % 2].got[0]);
    }
    expect_no_line();
}

/* --- what is kept ----------------------------------------------------------------------------- */

TEST(wait_for_much_is_passed_so_often_and_then_it_is_kept, RAM)
{
    enum { PASSINGS = 2 };
    REQUIRE(start_line(10, 100, 0, PASSINGS));
    ea_resource_t held[5];
    for (unsigned i = 0; i < 5; i++) held[i] = must(SOCKET, web, 2);
    task_t large, small;
    begin(&large, SOCKET, log_, 8, NULL);
    for (unsigned i = 0; i < PASSINGS; i++) {
        begin(&small, SOCKET, web, 2, NULL);
        drop(held[i]);
        EXPECT(!is_over(&large));
        EXPECT(is_over(&small));
        EXPECT_EQ(end(&small), EA_OK);
        held[i] = small.got[0];
    }
    EXPECT_EQ(waits().n_passed, PASSINGS);
    begin(&small, SOCKET, web, 2, NULL);
    for (unsigned i = 0; i < 4; i++) {
        EXPECT(!is_over(&large) && !is_over(&small));
        drop(held[i]);
    }
    EXPECT(is_over(&large) && !is_over(&small));
    EXPECT_EQ(end(&large), EA_OK);
    drop(held[4]);
    EXPECT_EQ(end(&small), EA_OK);
    drop(large.got[0]);
    drop(small.got[0]);
    expect_no_line();
}

/* Refused by one book now, by the other then: both are kept once it was passed often enough. */
TEST(wait_for_two_types_is_not_passed_by_turns, RAM)
{
    REQUIRE(start_line(2, 10, 0, 0));
    ea_resource_t socket = must(SOCKET, web, 2), bytes = must(BUFFER, web_ram, 10), other;
    const ea_resource_request_t both[2] = {want(SOCKET, log_, 2), want(BUFFER, log_ram, 10)};
    task_t large;
    begin_many(&large, 2, both, NULL);
    drop(socket);
    const ea_resource_request_t one_socket = want(SOCKET, web, 1);
    EXPECT_EQ(ea_monitor_acquire(&monitor, &one_socket, &other), EA_ERR_BUSY);
    task_t small;
    begin(&small, SOCKET, web, 1, NULL);
    EXPECT(!is_over(&small));
    drop(bytes);
    EXPECT_EQ(end(&large), EA_OK);
    EXPECT(!is_over(&small));
    drop(large.got[0]);
    EXPECT_EQ(end(&small), EA_OK);
    drop(large.got[1]);
    drop(small.got[0]);
    expect_no_line();
}

TEST(wait_that_ends_lets_those_behind_it_go_on, RAM)
{
    REQUIRE(start_line(10, 100, 0, 0));
    ea_resource_t held = must(SOCKET, web, 5);
    task_t large, small;
    begin(&large, SOCKET, log_, 8, &(ea_wait_options_t){.id = 1});
    begin(&small, SOCKET, web, 2, NULL);
    EXPECT(!is_over(&small)); /* kept for the first */
    EXPECT_EQ(end(&large), EA_ERR_TIMEOUT);
    EXPECT(is_over(&small));
    EXPECT_EQ(end(&small), EA_OK);
    drop(small.got[0]);
    drop(held);
    expect_no_line();
}

TEST(who_does_not_wait_takes_nothing_that_somebody_waits_for, RAM)
{
    REQUIRE(start_line(10, 100, 0, 0));
    ea_account_t *guarded = account(&book, 2, 0);
    ea_resource_t held = must(SOCKET, web, 6), other, more[2];
    task_t task;
    begin(&task, SOCKET, web, 4, NULL);
    const ea_resource_request_t small = want(SOCKET, log_, 1), own = want(SOCKET, guarded, 2),
                                beyond = want(SOCKET, guarded, 3);
    EXPECT_EQ(ea_monitor_acquire(&monitor, &small, &other), EA_ERR_BUSY);
    EXPECT_EQ(ea_monitor_acquire_all(&monitor, &small, 1, &other), EA_ERR_BUSY);
    EXPECT_EQ(ea_monitor_acquire(&monitor, &beyond, &other), EA_ERR_BUSY);
    EXPECT_EQ(waits().n_behind, 3);
    EXPECT_EQ(failures(SOCKET, EA_REASON_IN_LINE), 3);
    EXPECT_EQ(ea_monitor_acquire(&monitor, &own, &more[0]), EA_OK); /* what is guaranteed to it */
    more[1] = must(BUFFER, web_ram, 100);                           /* nobody waits for that */
    EXPECT_EQ(end(&task), EA_ERR_TIMEOUT);
    EXPECT_EQ(ea_monitor_acquire(&monitor, &small, &other), EA_OK);
    drop(other);
    drop(held);
    drop(more[0]);
    drop(more[1]);
    expect_no_line();
}

TEST(who_waits_for_its_own_limit_keeps_nothing_from_others, RAM)
{
    REQUIRE(start_line(10, 100, 0, 0));
    ea_account_t *bounded = account(&book, 0, 3);
    ea_resource_t held = must(SOCKET, bounded, 3), other;
    task_t task, second;
    begin(&task, SOCKET, bounded, 1, &(ea_wait_options_t){.priority = 3});
    other = must(SOCKET, web, 1);
    begin(&second, SOCKET, log_, 2, NULL);
    EXPECT(is_over(&second));
    EXPECT_EQ(end(&second), EA_OK);
    drop(held);
    EXPECT_EQ(end(&task), EA_OK);
    drop(task.got[0]);
    drop(second.got[0]);
    drop(other);
    expect_no_line();
}

TEST(who_waits_for_more_than_there_can_be_now_keeps_nothing_either, RAM)
{
    REQUIRE(start_line(10, 100, 0, 0));
    ea_resource_t held = must(SOCKET, web, 7), other;
    task_t task, second;
    begin(&task, SOCKET, log_, 8, NULL);
    EXPECT_EQ(ea_account_set_limits(nodes, &(ea_account_limits_t){.max = 7}), EA_OK);
    begin(&second, SOCKET, log_, 1, NULL);
    drop(held);
    EXPECT(!is_over(&task));
    EXPECT(is_over(&second));
    EXPECT_EQ(end(&second), EA_OK);
    const ea_resource_request_t small = want(SOCKET, web, 1);
    EXPECT_EQ(ea_monitor_acquire(&monitor, &small, &other), EA_OK);
    drop(other);
    drop(second.got[0]);
    EXPECT_EQ(ea_account_set_limits(nodes, &(ea_account_limits_t){.max = 8}), EA_OK);
    EXPECT_EQ(end(&task), EA_OK);
    drop(task.got[0]);
    expect_no_line();
}

/* --- what wakes ------------------------------------------------------------------------------- */

TEST(wait_ends_with_a_raised_limit, RAM)
{
    REQUIRE(start_line(3, 100, 0, 0));
    ea_account_t *bounded = account(&book, 0, 1);
    ea_resource_t held = must(SOCKET, bounded, 1);
    task_t task;
    begin(&task, SOCKET, bounded, 1, NULL);
    EXPECT_EQ(ea_account_set_limits(bounded, &(ea_account_limits_t){.max = 2}), EA_OK);
    EXPECT_EQ(end(&task), EA_OK);
    drop(task.got[0]);
    ea_resource_t third = must(SOCKET, bounded, 1);
    begin(&task, SOCKET, bounded, 1, NULL);
    ea_accounts_set_enforce(&book, false);
    EXPECT_EQ(end(&task), EA_OK);
    task_t much;
    begin(&much, SOCKET, bounded, 50, NULL); /* which no limit could grant */
    EXPECT_EQ(end(&much), EA_OK);
    drop(much.got[0]);
    ea_accounts_set_enforce(&book, true);
    drop(held);
    drop(third);
    drop(task.got[0]);
    expect_no_line();
}

TEST(wait_ends_with_a_reservation_or_a_guarantee_given_up, RAM)
{
    REQUIRE(start_line(4, 100, 0, 0));
    ea_account_t *guarded = account(&book, 2, 0);
    ea_reservation_t reservation;
    EXPECT_EQ(ea_account_reserve(web, 2, 1000, &reservation), EA_OK);
    task_t task;
    begin(&task, SOCKET, log_, 2, NULL);
    EXPECT_EQ(ea_reservation_cancel(&reservation), EA_OK);
    EXPECT_EQ(end(&task), EA_OK);
    drop(task.got[0]);
    EXPECT_EQ(ea_account_reserve(web, 2, 1000, &reservation), EA_OK);
    begin(&task, SOCKET, log_, 2, NULL);
    EXPECT_EQ(ea_accounts_expire(&book, 2000, 10), 1);
    EXPECT_EQ(end(&task), EA_OK);
    drop(task.got[0]);
    EXPECT_EQ(ea_account_reserve(web, 2, 1000, &reservation), EA_OK);
    begin(&task, SOCKET, log_, 2, NULL);
    EXPECT_EQ(ea_reservation_confirm(&reservation, 3000), EA_ERR_TIMEOUT);
    EXPECT_EQ(end(&task), EA_OK);
    ea_resource_t held = task.got[0];
    begin(&task, SOCKET, log_, 2, NULL);
    EXPECT(!is_over(&task));
    EXPECT_EQ(ea_account_delete(guarded), EA_OK);
    EXPECT_EQ(end(&task), EA_OK);
    drop(task.got[0]);
    drop(held);
    expect_no_line();
}

TEST(wait_ends_with_a_hand_over_and_with_the_cleanup, RAM)
{
    REQUIRE(start_line(3, 100, 0, 0));
    ea_account_t *bounded = account(&book, 0, 1);
    ea_resource_t held = must(LATER, bounded, 1);
    task_t task;
    begin(&task, SOCKET, bounded, 1, NULL);
    EXPECT_EQ(ea_monitor_transfer(&monitor, held, web), EA_OK);
    EXPECT_EQ(end(&task), EA_OK);
    drop(task.got[0]);
    begin(&task, SOCKET, log_, 3, NULL);
    drop(held); /* queued */
    EXPECT(!is_over(&task));
    EXPECT_EQ(ea_monitor_cleanup(&monitor, 10), 1);
    EXPECT_EQ(end(&task), EA_OK);
    drop(task.got[0]);
    expect_no_line();
}

TEST(wait_ends_with_an_object_that_becomes_idle, RAM)
{
    REQUIRE(start_line(1, 100, 0, 0));
    ea_resource_t held = must(MADE, web, 1);
    task_t task;
    begin(&task, MADE, log_, 1, NULL);
    drop(held);
    EXPECT_EQ(end(&task), EA_OK);
    uintptr_t object = 0;
    EXPECT_EQ(ea_monitor_object(&monitor, task.got[0], MADE, &object), EA_OK);
    EXPECT_EQ(object, 100); /* the same again */
    EXPECT_EQ(n_made, 1);
    drop(task.got[0]);
    expect_no_line();
}

TEST(wait_ends_when_a_slot_is_free, RAM)
{
    REQUIRE(start_line(100, 100, 0, 0));
    ea_resource_t held[N_SLOTS], other;
    for (unsigned i = 0; i < N_SLOTS; i++) held[i] = must(SOCKET, web, 1);
    task_t task, second;
    begin(&task, BUFFER, log_ram, 1, NULL);
    EXPECT(!is_over(&task));
    begin(&second, SOCKET, log_, 1, NULL);
    drop(held[0]);
    EXPECT_EQ(end(&task), EA_OK);
    EXPECT(!is_over(&second));
    const ea_resource_request_t request = want(BUFFER, log_ram, 1);
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &other), EA_ERR_BUSY);
    drop(held[1]);
    EXPECT_EQ(end(&second), EA_OK);
    drop(task.got[0]);
    drop(second.got[0]);
    for (unsigned i = 2; i < N_SLOTS; i++) drop(held[i]);
    expect_no_line();
}

TEST(wait_for_two_slots_keeps_the_first_that_is_free, RAM)
{
    REQUIRE(start_line(100, 100, 0, 0));
    ea_resource_t held[N_SLOTS];
    for (unsigned i = 0; i < N_SLOTS; i++) held[i] = must(SOCKET, web, 1);
    const ea_resource_request_t both[2] = {want(SOCKET, log_, 1), want(BUFFER, log_ram, 1)};
    task_t task, second;
    begin_many(&task, 2, both, NULL);
    begin(&second, SOCKET, log_, 1, NULL);
    drop(held[0]);
    EXPECT(!is_over(&task) && !is_over(&second));
    drop(held[1]);
    EXPECT(!is_over(&second));
    EXPECT_EQ(end(&task), EA_OK);
    drop(held[2]);
    EXPECT_EQ(end(&second), EA_OK);
    drop(task.got[0]);
    drop(task.got[1]);
    drop(second.got[0]);
    for (unsigned i = 3; i < N_SLOTS; i++) drop(held[i]);
    expect_no_line();
}

TEST(wait_for_more_than_the_slots_is_refused, RAM)
{
    REQUIRE(start_line(100, 100, 0, 0));
    REQUIRE(start_monitor(tap_ram(), 2));
    const ea_monitor_line_options_t options = {.max_waiting = 1, .max_together = TOGETHER};
    REQUIRE(ea_monitor_wait_init(&monitor, (unsigned char *)tap_ram() + MONITOR_BYTES, WAIT_BYTES,
                                 &options) == EA_OK);
    task_t task = {.n = 3};
    for (unsigned i = 0; i < 3; i++) task.requests[i] = want(SOCKET, web, 1);
    EXPECT_EQ(begin_as(&task, NULL), EA_ERR_TOO_LARGE);
}

TEST(wait_whose_object_cannot_be_made_holds_nothing, RAM)
{
    REQUIRE(start_line(1, 100, 0, 0));
    ea_resource_t held = must(SOCKET, web, 1);
    task_t task, second;
    begin(&task, MADE, log_, 1, NULL);
    begin(&second, SOCKET, log_, 1, NULL);
    drop(held);
    EXPECT(!is_over(&second));
    create_says = EA_ERR_FOREIGN;
    EXPECT_EQ(end(&task), EA_ERR_FOREIGN);
    EXPECT(ea_resource_is_none(task.got[0]));
    EXPECT_EQ(end(&second), EA_OK); /* what the first could not use */
    drop(second.got[0]);
    expect_no_line();
}

TEST(wait_holds_its_parent_meanwhile, RAM)
{
    REQUIRE(start_line(2, 100, 0, 0));
    ea_resource_t parent = must(SOCKET, web, 1), held = must(SOCKET, web, 1);
    task_t task;
    task.n = 1;
    task.requests[0] = want(SOCKET, log_, 1);
    task.requests[0].parent = parent;
    ea_resource_info_t info;
    EXPECT_EQ(begin_as(&task, NULL), EA_OK);
    REQUIRE(ea_monitor_info(&monitor, parent, &info) == EA_OK);
    EXPECT_EQ(info.n_references, 2);
    EXPECT_EQ(end(&task), EA_ERR_TIMEOUT);
    REQUIRE(ea_monitor_info(&monitor, parent, &info) == EA_OK);
    EXPECT_EQ(info.n_references, 1);
    EXPECT_EQ(begin_as(&task, NULL), EA_OK);
    drop(parent); /* lives on */
    drop(held);
    EXPECT_EQ(end(&task), EA_OK);
    REQUIRE(ea_monitor_info(&monitor, task.got[0], &info) == EA_OK);
    EXPECT_EQ(info.parent.eai_slot, parent.eai_slot);
    drop(task.got[0]);
    EXPECT_EQ(begin_as(&task, NULL), EA_ERR_NOT_FOUND);
    expect_no_line();
}

/* Units of one book, registered in two monitors. */
TEST(wait_ends_with_a_release_in_another_monitor_of_the_book, RAM)
{
    static _Alignas(8) unsigned char memory[EA_MONITOR_BYTES(4, 1, N_NODES, 1, 0, 0)];
    static ea_monitor_t other;
    static const ea_resource_type_t other_types[1] = {{.name = "socket", .book = &book}};
    const ea_monitor_options_t options = {.types = other_types, .n_types = 1, .n_slots = 4};
    REQUIRE(start_line(1, 100, 0, 0));
    REQUIRE(ea_monitor_init(&other, memory, sizeof memory, &options) == EA_OK);
    ea_resource_t held, more;
    const ea_resource_request_t request = want(SOCKET, web, 1);
    REQUIRE(ea_monitor_acquire(&other, &request, &held) == EA_OK);
    task_t task;
    begin(&task, SOCKET, log_, 1, NULL);
    EXPECT_EQ(ea_monitor_release(&other, held), EA_OK);
    EXPECT_EQ(end(&task), EA_OK);
    task_t second;
    begin(&second, SOCKET, log_, 1, NULL);
    drop(task.got[0]);
    EXPECT_EQ(end(&second), EA_OK);
    begin(&task, SOCKET, log_, 1, NULL);
    EXPECT_EQ(ea_monitor_acquire(&other, &request, &more), EA_ERR_BUSY);
    EXPECT_EQ(end(&task), EA_ERR_TIMEOUT);
    drop(second.got[0]);
    expect_no_line();
}

static uint16_t n_heard;
static void hear(void *context, const ea_event_t *event)
{
    (void)context;
    n_heard++;
    EXPECT_EQ(event->kind, EA_EVENT_WAIT);
    EXPECT_EQ(event->owner, ea_account_id(web));
    EXPECT_EQ(event->n, SOCKET);
    EXPECT_EQ(event->size_bytes, 3);
}

TEST(wait_is_an_event, RAM)
{
    EA_EVENTS_DEFINE_STATIC(events, 4);
    static ea_listener_t listener;
    REQUIRE(start_line(3, 100, 0, 0));
    ea_resource_t held = must(SOCKET, log_, 1);
    monitor.eai_events = &events;
    REQUIRE(ea_events_listen(&events, &listener, EA_EVENT_BIT(EA_EVENT_WAIT), hear, NULL) == EA_OK);
    task_t task;
    begin(&task, SOCKET, web, 3, NULL);
    (void)ea_events_poll(&events);
    EXPECT_EQ(n_heard, 1);
    EXPECT_EQ(ea_events_unlisten(&events, &listener), EA_OK);
    drop(held);
    EXPECT_EQ(end(&task), EA_OK);
    drop(task.got[0]);
    expect_no_line();
}

#define WAITING_TESTS                                                                              \
    , &wait_init_refuses_what_is_outside_the_contract, &wait_ends_with_what_a_release_gives_back,  \
        &wait_is_over_at_once_where_all_is_there, &wait_ends_when_its_time_is_over_with_nothing,   \
        &wait_has_several_types_granted_together, &wait_is_cancelled_by_id_and_all_by_closing,     \
        &wait_that_was_granted_is_not_cancelled_any_more,                                          \
        &wait_does_not_hold_up_who_has_a_reservation,                                              \
        &wait_that_cannot_be_is_refused_before_anybody_waits, &wait_ends_once,                     \
        &wait_for_a_slot_ends_when_a_held_one_is_given_up,                                         \
        &wait_is_refused_where_too_many_wait_or_it_could_never_end,                                \
        &wait_serves_equals_as_they_came, &wait_serves_the_higher_class_first,                     \
        &wait_serves_who_has_the_smaller_share_first, &wait_divides_a_share_by_its_weight,         \
        &wait_takes_the_greatest_share_of_several_types,                                           \
        &wait_sees_a_share_above_the_capacity_as_whole,                                            \
        &wait_for_two_slots_keeps_the_first_that_is_free,                                          \
        &wait_for_more_than_the_slots_is_refused, &wait_ends_with_what_an_interrupt_releases,      \
        &wait_of_the_lowest_class_ends_within_the_bound,                                           \
        &wait_for_much_is_passed_so_often_and_then_it_is_kept,                                     \
        &wait_for_two_types_is_not_passed_by_turns, &wait_that_ends_lets_those_behind_it_go_on,    \
        &who_does_not_wait_takes_nothing_that_somebody_waits_for,                                  \
        &who_waits_for_its_own_limit_keeps_nothing_from_others,                                    \
        &who_waits_for_more_than_there_can_be_now_keeps_nothing_either,                            \
        &wait_ends_with_a_raised_limit, &wait_ends_with_a_reservation_or_a_guarantee_given_up,     \
        &wait_ends_with_a_hand_over_and_with_the_cleanup,                                          \
        &wait_ends_with_an_object_that_becomes_idle, &wait_ends_when_a_slot_is_free,               \
        &wait_whose_object_cannot_be_made_holds_nothing, &wait_holds_its_parent_meanwhile,         \
        &wait_ends_with_a_release_in_another_monitor_of_the_book, &wait_is_an_event
#else
#define WAITING_TESTS
#endif

TEST_MAIN(&acquire_all_holds_all_or_nothing,
          &acquire_all_ends_what_it_made_and_not_what_was_brought,
          &acquire_all_refuses_what_is_outside_the_contract,
          &acquire_all_holds_parents_as_long_as_it_holds_the_rest WAITING_TESTS)
