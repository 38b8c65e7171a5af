/* SPDX-License-Identifier: MIT
 *
 * The line of those who wait for a monitor's resources (row C6), case by case: whose share is how
 * large, when one is overdue, who has been passed and what is kept for it then, what could never be
 * granted. monitor_wait_test.c has the calls; waits are begun and ended one by one here as well.
 */
#include "ealloc/monitor_wait.h"

#include "tap.h"

#if EA_CFG_MONITOR_WAIT

#define N_SLOTS 8u
#define N_NODES 7u
#define N_WAITING 6u
#define TOGETHER 2u
#define MONITOR_BYTES EA_MONITOR_BYTES(N_SLOTS, N_TYPES, 2 * N_NODES, 1, 0, 0)
#define WAIT_BYTES EA_MONITOR_WAIT_BYTES(N_WAITING, TOGETHER, N_TYPES)
#define RAM (MONITOR_BYTES + WAIT_BYTES)
enum { SOCKET, BUFFER, N_TYPES };

static ea_account_t nodes[N_NODES], ram_nodes[N_NODES];
static ea_accounts_t book, ram_book;
static ea_account_t *web, *log_, *third, *web_ram, *log_ram;
static ea_monitor_t monitor;
static const ea_resource_type_t types[N_TYPES] = {{.book = &book}, {.book = &ram_book}};

/* One that waits, with memory of its own. */
typedef struct {
    ea_monitor_wait_t wait;
    ea_resource_request_t requests[TOGETHER];
    ea_resource_t got[TOGETHER];
    size_t n;
} task_t;

static task_t tasks[N_WAITING];

static ea_account_t *account(ea_account_t *parent, size_t min)
{
    return ea_account_create(parent->eai_book, parent,
                             &(ea_account_options_t){.limits = {.min = min}});
}

/* So many sockets and bytes there are; bytes 0: as many as one wants. */
static bool start(size_t sockets, size_t bytes, uint32_t patience, uint32_t passings)
{
    const ea_monitor_options_t options = {.types = types, .n_types = N_TYPES, .n_slots = N_SLOTS};
    const ea_monitor_line_options_t line = {.max_waiting = N_WAITING,
                                            .max_together = TOGETHER,
                                            .patience_grants = patience,
                                            .max_passings = passings};
    if (ea_accounts_init(&book, nodes, N_NODES, &(ea_account_limits_t){.max = sockets}) != EA_OK ||
        ea_accounts_init(&ram_book, ram_nodes, N_NODES, &(ea_account_limits_t){.max = bytes}) !=
            EA_OK) {
        return false;
    }
    web = account(nodes, 0);
    log_ = account(nodes, 0);
    third = account(nodes, 0);
    web_ram = account(ram_nodes, 0);
    log_ram = account(ram_nodes, 0);
    return ea_monitor_init(&monitor, tap_ram(), MONITOR_BYTES, &options) == EA_OK &&
           ea_monitor_wait_init(&monitor, (unsigned char *)tap_ram() + MONITOR_BYTES, WAIT_BYTES,
                                &line) == EA_OK;
}

static ea_resource_request_t want(uint8_t type, ea_account_t *of, size_t units)
{
    return (ea_resource_request_t){.account = of, .type = type, .units = units};
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

static ea_status_t begin_two(task_t *task, ea_resource_request_t first,
                             ea_resource_request_t second, const ea_wait_options_t *options)
{
    task->n = second.account == NULL ? 1 : 2;
    task->requests[0] = first;
    task->requests[1] = second;
    return ea_monitor_wait_begin(&task->wait, &monitor, task->requests, task->n, options);
}

static void begin(task_t *task, uint8_t type, ea_account_t *of, size_t units,
                  const ea_wait_options_t *options)
{
    EXPECT_EQ(begin_two(task, want(type, of, units), (ea_resource_request_t){0}, options), EA_OK);
}

static bool is_over(const task_t *task)
{
    return ea_monitor_wait_is_over(&task->wait);
}

static ea_status_t end(task_t *task)
{
    return ea_monitor_wait_end(&task->wait, 0, task->got);
}

/* Take what was granted, and give it back. */
static void take_and_drop(task_t *task)
{
    REQUIRE(end(task) == EA_OK);
    for (size_t i = 0; i < task->n; i++) drop(task->got[i]);
}

static ea_monitor_wait_stats_t waits(void)
{
    ea_monitor_wait_stats_t stats;
    ea_monitor_wait_stats(&monitor, &stats);
    return stats;
}

static void expect_no_line(void)
{
    ea_audit_report_t report;
    EXPECT_EQ(waits().n_waiting, 0);
    EXPECT_EQ(book.eai_n_waiting, 0);
    EXPECT_EQ(ram_book.eai_n_waiting, 0);
    EXPECT_EQ(ea_account_committed(nodes), 0);
    EXPECT_EQ(ea_account_committed(ram_nodes), 0);
    EXPECT_EQ(ea_monitor_audit(&monitor, EA_AUDIT_ALONE, SIZE_MAX, &report), EA_OK);
    EXPECT_EQ(report.n_found, 0);
}

/* --- shares ----------------------------------------------------------------------------------- */

/* Each of two claimants holds so many bytes, and both want the only socket: whether the second is
 * served first. The capacity is set when they have what they hold. */
static bool is_second_first(size_t capacity, size_t first, size_t second)
{
    static ea_account_t *web_accounts[2], *log_accounts[2];
    static ea_claimant_t of_web, of_log;
    if (!start(1, 0, 0, 0)) return false;
    web_accounts[0] = web, web_accounts[1] = web_ram;
    log_accounts[0] = log_, log_accounts[1] = log_ram;
    of_web = (ea_claimant_t){.accounts = web_accounts, .n_accounts = 2};
    of_log = (ea_claimant_t){.accounts = log_accounts, .n_accounts = 2};
    ea_resource_t held = must(SOCKET, third, 1), of_first = must(BUFFER, web_ram, first),
                  of_second = must(BUFFER, log_ram, second);
    EXPECT_EQ(ea_account_set_limits(ram_nodes, &(ea_account_limits_t){.max = capacity}), EA_OK);
    begin(&tasks[0], SOCKET, web, 1, &(ea_wait_options_t){.claimant = &of_web});
    begin(&tasks[1], SOCKET, log_, 1, &(ea_wait_options_t){.claimant = &of_log});
    drop(held);
    bool is_second = is_over(&tasks[1]);
    EXPECT(is_over(&tasks[0]) != is_second);
    take_and_drop(&tasks[is_second]);
    take_and_drop(&tasks[!is_second]);
    drop(of_first);
    drop(of_second);
    expect_no_line();
    return is_second;
}

TEST(line_compares_shares_of_any_capacity, RAM)
{
    static const size_t capacities[] = {1000,     0xFFFF,   0x10000,      0x1FFFF,     0x20000,
                                        0xFFFFFF, 12345678, SIZE_MAX / 3, SIZE_MAX - 1};
    for (unsigned i = 0; i < sizeof capacities / sizeof *capacities; i++) {
        const size_t capacity = capacities[i], part = capacity / 16u;
        EXPECT(is_second_first(capacity, 9 * part, 6 * part));
        EXPECT(!is_second_first(capacity, 6 * part, 9 * part));
        EXPECT(!is_second_first(capacity, 7 * part, 7 * part));
        EXPECT(is_second_first(capacity, 15 * part, 1));
    }
}

/* What is nearly all is never above what is more than all. */
TEST(line_sees_no_share_above_the_whole, RAM)
{
    EXPECT(!is_second_first(0x1FFFF, 0x1FFFE, 0x30000));
    EXPECT(!is_second_first(0x1FFFF, 0x30000, 0x1FFFE));
}

TEST(line_counts_nothing_of_what_is_unlimited, RAM)
{
    EXPECT(!is_second_first(0, SIZE_MAX / 2, 1));
}

/* Without a claimant it is the greatest share of the accounts that the requests name. */
TEST(line_takes_the_greatest_share_of_the_requests, RAM)
{
    REQUIRE(start(5, 100, 0, 0));
    ea_resource_t held = must(SOCKET, third, 1), sockets = must(SOCKET, log_, 4),
                  bytes = must(BUFFER, web_ram, 90);
    ea_resource_t log_bytes = must(BUFFER, log_ram, 5);
    EXPECT_EQ(begin_two(&tasks[0], want(SOCKET, web, 1), want(BUFFER, web_ram, 1), NULL), EA_OK);
    EXPECT_EQ(begin_two(&tasks[1], want(SOCKET, log_, 1), want(BUFFER, log_ram, 1), NULL), EA_OK);
    drop(held); /* 0 and 0.9 against 0.8 and 0.05 */
    EXPECT(is_over(&tasks[1]) && !is_over(&tasks[0]));
    take_and_drop(&tasks[1]);
    take_and_drop(&tasks[0]);
    drop(sockets);
    drop(bytes);
    drop(log_bytes);
    expect_no_line();
}

/* --- numbers that wrap ------------------------------------------------------------------------ */

TEST(line_keeps_its_order_when_tickets_and_rounds_wrap, RAM)
{
    for (uint32_t before = 0; before < 4; before++) {
        REQUIRE(start(1, 100, 0, 0));
        ea_resource_t held = must(SOCKET, third, 1);
        monitor.eai_line->tickets = UINT32_MAX - before;
        monitor.eai_line->round = UINT32_MAX - before;
        for (unsigned i = 0; i < 3; i++) begin(&tasks[i], SOCKET, i % 2 ? web : log_, 1, NULL);
        drop(held);
        for (unsigned i = 0; i < 3; i++) {
            EXPECT(is_over(&tasks[i]));
            take_and_drop(&tasks[i]);
        }
        expect_no_line();
    }
    REQUIRE(start(1, 100, 0, 0));
    monitor.eai_line->round = UINT32_MAX;
    begin(&tasks[0], SOCKET, web, 1, NULL); /* its first round is the one after the last */
    EXPECT(is_over(&tasks[0]));
    take_and_drop(&tasks[0]);
    expect_no_line();
}

/* --- patience --------------------------------------------------------------------------------- */

#define PATIENCE 3u
#define UNTIL_OVERDUE (PATIENCE * EA_MONITOR_CLASSES)

/* A grant to `first`, then as many as others get, of the highest class, until `waits_long` is
 * granted: how many. */
static unsigned grants_before(ea_account_t *of_first, const ea_wait_options_t *first,
                              const ea_wait_options_t *waits_long)
{
    const ea_wait_options_t highest = {.priority = EA_MONITOR_CLASSES - 1u};
    task_t *subject = &tasks[0], *high = &tasks[1], *other = &tasks[3];
    unsigned n = 0;
    if (!start(1, 100, PATIENCE, 0)) return 0;
    ea_resource_t held = must(SOCKET, third, 1);
    begin(other, SOCKET, of_first, 1, first);
    begin(subject, SOCKET, log_, 1, waits_long);
    drop(held);
    EXPECT_EQ(end(other), EA_OK);
    held = other->got[0];
    begin(&high[0], SOCKET, web, 1, &highest);
    while (n < 100) {
        begin(&high[(n + 1) % 2], SOCKET, web, 1, &highest);
        drop(held);
        if (is_over(subject)) break;
        EXPECT_EQ(end(&high[n % 2]), EA_OK);
        held = high[n++ % 2].got[0];
    }
    /* What counts here is all grants since it came. */
    EXPECT_EQ(waits().most_grants[0], n + 1);
    EXPECT_EQ(waits().most_grants[EA_MONITOR_CLASSES - 1u], n > 1 ? 1 : 0);
    take_and_drop(subject);
    for (unsigned i = 0; i < 2; i++) take_and_drop(&high[(n + i) % 2]);
    expect_no_line();
    return n;
}

TEST(patience_begins_anew_with_a_grant_to_its_own_claimant_and_class, RAM)
{
    static ea_account_t *accounts[1];
    const ea_claimant_t claimant = {.accounts = accounts, .n_accounts = 1}, another = claimant;
    const ea_wait_options_t none = {0}, higher = {.priority = 1},
                            by_claimant = {&claimant, 0, 0, 0}, by_another = {&another, 0, 0, 0};
    REQUIRE(start(1, 100, 0, 0)); /* the accounts are the same each time */
    accounts[0] = third;
    EXPECT_EQ(grants_before(log_, &none, &none), UNTIL_OVERDUE);
    EXPECT_EQ(grants_before(third, &none, &none), UNTIL_OVERDUE - 1);
    EXPECT_EQ(grants_before(log_, &higher, &none), UNTIL_OVERDUE - 1);
    EXPECT_EQ(grants_before(third, &by_claimant, &by_claimant), UNTIL_OVERDUE);
    EXPECT_EQ(grants_before(log_, &by_another, &by_claimant), UNTIL_OVERDUE - 1);
    EXPECT_EQ(grants_before(log_, &by_claimant, &none), UNTIL_OVERDUE - 1);
    EXPECT_EQ(grants_before(log_, &none, &by_claimant), UNTIL_OVERDUE - 1);
}

/* The longest wait is that of the class, and stays when shorter ones follow. */
TEST(longest_wait_is_kept_by_class, RAM)
{
    REQUIRE(start(1, 100, 0, 0));
    for (unsigned round = 0; round < 2; round++) {
        ea_resource_t held = must(SOCKET, third, 1);
        for (unsigned i = 0; i < 3 - round; i++) {
            begin(&tasks[i], SOCKET, web, 1, &(ea_wait_options_t){.priority = 1});
        }
        drop(held);
        for (unsigned i = 0; i < 3 - round; i++) take_and_drop(&tasks[i]);
        EXPECT_EQ(waits().most_grants[1], 2);
    }
    EXPECT_EQ(waits().most_grants[0], 0);
    expect_no_line();
}

/* --- what is kept ----------------------------------------------------------------------------- */

/* In one round, with room for both of two small ones before a large one. */
TEST(passings_are_counted_within_a_round, RAM)
{
    for (uint32_t passings = 0; passings < 3; passings++) {
        REQUIRE(start(10, 100, 0, passings));
        ea_resource_t held[2] = {must(SOCKET, web, 4), must(SOCKET, web, 6)};
        begin(&tasks[0], SOCKET, log_, 8, NULL);
        for (unsigned i = 1; i < 3; i++) begin(&tasks[i], SOCKET, web, 2, NULL);
        drop(held[0]);
        EXPECT(!is_over(&tasks[0]));
        EXPECT_EQ(is_over(&tasks[1]), passings >= 1);
        EXPECT_EQ(is_over(&tasks[2]), passings >= 2);
        EXPECT_EQ(waits().n_passed, passings);
        if (passings >= 1) take_and_drop(&tasks[1]);
        if (passings >= 2) take_and_drop(&tasks[2]);
        drop(held[1]);
        take_and_drop(&tasks[0]);
        if (passings < 1) take_and_drop(&tasks[1]);
        if (passings < 2) take_and_drop(&tasks[2]);
        expect_no_line();
    }
}

TEST(who_waits_for_slots_is_passed_as_well, RAM)
{
    REQUIRE(start(100, 100, 0, 1));
    ea_resource_t held[N_SLOTS];
    for (unsigned i = 0; i < N_SLOTS; i++) held[i] = must(SOCKET, web, 1);
    EXPECT_EQ(begin_two(&tasks[0], want(SOCKET, log_, 1), want(BUFFER, log_ram, 1), NULL), EA_OK);
    begin(&tasks[1], SOCKET, web, 1, NULL);
    drop(held[0]);
    EXPECT(is_over(&tasks[1]) && !is_over(&tasks[0]));
    EXPECT_EQ(waits().n_passed, 1);
    EXPECT_EQ(end(&tasks[1]), EA_OK);
    held[0] = tasks[1].got[0];
    begin(&tasks[1], SOCKET, web, 1, NULL);
    drop(held[0]);
    EXPECT(!is_over(&tasks[0]) && !is_over(&tasks[1]));
    drop(held[1]);
    EXPECT(is_over(&tasks[0]));
    take_and_drop(&tasks[0]);
    take_and_drop(&tasks[1]);
    for (unsigned i = 2; i < N_SLOTS; i++) drop(held[i]);
    expect_no_line();
}

/* What refused both of its wants is kept once; who was passed more often than can be counted has
 * not been passed less. */
TEST(what_is_kept_is_kept_once, RAM)
{
    REQUIRE(start(4, 100, 0, 0));
    ea_resource_t held = must(SOCKET, third, 4);
    EXPECT_EQ(begin_two(&tasks[0], want(SOCKET, web, 1), want(SOCKET, log_, 1), NULL), EA_OK);
    EXPECT_EQ(monitor.eai_line->n_closed, 1);
    drop(held);
    take_and_drop(&tasks[0]);
    expect_no_line();

    REQUIRE(start(4, 100, 0, 1));
    ea_account_t *guarded = account(nodes, 1);
    ea_resource_t own = must(SOCKET, guarded, 1);
    held = must(SOCKET, third, 3);
    begin(&tasks[0], SOCKET, log_, 3, NULL);
    tasks[0].wait.eai_place->eai_n_passed = UINT16_MAX;
    begin(&tasks[1], SOCKET, guarded, 1, NULL);
    drop(own); /* which is nobody else's, but below what refused the first */
    EXPECT(is_over(&tasks[1]) && !is_over(&tasks[0]));
    EXPECT_EQ(tasks[0].wait.eai_place->eai_n_passed, UINT16_MAX);
    take_and_drop(&tasks[1]);
    drop(held);
    take_and_drop(&tasks[0]);
    EXPECT_EQ(ea_account_delete(guarded), EA_OK);
    expect_no_line();
}

/* Who was not passed too often keeps only what refused it at the last try. */
TEST(who_waits_keeps_what_refused_it_last, RAM)
{
    REQUIRE(start(2, 10, 0, 100));
    ea_resource_t socket = must(SOCKET, web, 2), bytes = must(BUFFER, web_ram, 10), other;
    EXPECT_EQ(begin_two(&tasks[0], want(SOCKET, log_, 1), want(BUFFER, log_ram, 5), NULL), EA_OK);
    const ea_resource_request_t request = want(BUFFER, web_ram, 1);
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &other), EA_ERR_BUSY);
    drop(bytes);
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &other), EA_OK);
    drop(other);
    drop(socket);
    take_and_drop(&tasks[0]);
    expect_no_line();
}

/* --- what could be granted -------------------------------------------------------------------- */

static void expect_too_large(ea_resource_request_t first, ea_resource_request_t second)
{
    EXPECT_EQ(begin_two(&tasks[0], first, second, NULL), EA_ERR_TOO_LARGE);
    EXPECT_EQ(begin_two(&tasks[0], second.account != NULL ? second : first,
                        second.account != NULL ? first : second, NULL),
              EA_ERR_TOO_LARGE);
}

static void expect_granted(ea_resource_request_t first, ea_resource_request_t second)
{
    for (unsigned i = 0; i < 2; i++) {
        EXPECT_EQ(begin_two(&tasks[0], second.account == NULL || i == 0 ? first : second,
                            second.account == NULL || i == 0 ? second : first, NULL),
                  EA_OK);
        EXPECT(is_over(&tasks[0]));
        take_and_drop(&tasks[0]);
    }
}

TEST(wait_is_refused_for_what_is_guaranteed_to_others, RAM)
{
    const ea_resource_request_t nothing = {0};
    REQUIRE(start(100, 100, 0, 0));
    ea_account_t *one = account(nodes, 30), *two = account(nodes, 20), *below = account(two, 15);
    REQUIRE(below != NULL);
    expect_too_large(want(SOCKET, log_, 51), nothing);
    expect_granted(want(SOCKET, log_, 50), nothing);
    expect_granted(want(SOCKET, one, 80), nothing);
    expect_too_large(want(SOCKET, one, 81), nothing);
    expect_granted(want(SOCKET, log_, 50), want(SOCKET, one, 30));
    expect_granted(want(SOCKET, log_, 50), want(SOCKET, one, 10));
    expect_granted(want(SOCKET, below, 20), want(SOCKET, log_, 50));
    expect_granted(want(SOCKET, below, 10), want(SOCKET, two, 10));
    /* What of its guarantee the one does not ask for, the other cannot have. */
    expect_too_large(want(SOCKET, log_, 51), want(SOCKET, one, 29));
    expect_too_large(want(SOCKET, one, 31), want(SOCKET, log_, 50));
    EXPECT_EQ(ea_account_delete(one), EA_OK);
    expect_granted(want(SOCKET, log_, 80), nothing);
    EXPECT_EQ(ea_account_delete(below), EA_OK);
    EXPECT_EQ(ea_account_delete(two), EA_OK);
    expect_no_line();
}

TEST(wait_may_be_for_all_slots, RAM)
{
    const ea_monitor_options_t options = {.types = types, .n_types = N_TYPES, .n_slots = TOGETHER};
    const ea_monitor_line_options_t line = {.max_waiting = 1, .max_together = TOGETHER};
    REQUIRE(start(100, 100, 0, 0));
    REQUIRE(ea_monitor_init(&monitor, tap_ram(), MONITOR_BYTES, &options) == EA_OK);
    REQUIRE(ea_monitor_wait_init(&monitor, (unsigned char *)tap_ram() + MONITOR_BYTES, WAIT_BYTES,
                                 &line) == EA_OK);
    expect_granted(want(SOCKET, web, 1), want(BUFFER, web_ram, 1));
    expect_no_line();
}

TEST_MAIN(&line_compares_shares_of_any_capacity, &line_sees_no_share_above_the_whole,
          &line_counts_nothing_of_what_is_unlimited, &line_takes_the_greatest_share_of_the_requests,
          &line_keeps_its_order_when_tickets_and_rounds_wrap,
          &patience_begins_anew_with_a_grant_to_its_own_claimant_and_class,
          &longest_wait_is_kept_by_class, &passings_are_counted_within_a_round,
          &who_waits_for_slots_is_passed_as_well, &what_is_kept_is_kept_once,
          &who_waits_keeps_what_refused_it_last, &wait_is_refused_for_what_is_guaranteed_to_others,
          &wait_may_be_for_all_slots)

#else

TEST(line_needs_waiting, 0)
{
    tap_note("EA_CFG_MONITOR_WAIT", EA_CFG_MONITOR_WAIT);
}

TEST_MAIN(&line_needs_waiting)

#endif
