/* SPDX-License-Identifier: MIT
 *
 * Threads that wait for resources of one monitor (row C6): several types at once, with and without
 * a time, while others acquire without waiting, end waits and change limits. Who is granted
 * something has all of it; no more is granted than there is; who waits without end is always
 * served; nothing is lost. `monitor_wait_threads seed=N rounds=N`.
 */
#define _GNU_SOURCE /* nanosleep and signals in a strict C11 build */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "ealloc/monitor_wait.h"
#include "tap.h"

#define N_THREADS 8u
#define N_LEAVES 4u
#define N_WAITING 6u /* fewer than threads: some find no place */
#define N_SLOTS 24u

enum { SOCKET, BUFFER, N_TYPES };
static const int capacity[N_TYPES] = {10, 24};
static ea_account_t nodes[N_TYPES][1 + N_LEAVES];
static ea_accounts_t books[N_TYPES];
static ea_account_t *leaves[N_LEAVES][N_TYPES];
static ea_claimant_t claimants[N_LEAVES];
static ea_account_t *const *accounts_of[N_LEAVES];
static const ea_resource_type_t types[N_TYPES] = {
    {.book = &books[SOCKET]}, {.book = &books[BUFFER], .strategy = EA_RELEASE_UNCONTENDED}};
static ea_monitor_t monitor;
static _Alignas(
    64) unsigned char memory[EA_MONITOR_BYTES(N_SLOTS, N_TYPES, N_TYPES *(1 + N_LEAVES), 2, 8, 0)];
static _Alignas(8) unsigned char line_memory[EA_MONITOR_WAIT_BYTES(N_WAITING, 2, N_TYPES)];
static atomic_int in_use[N_TYPES], n_wrong;
static atomic_uint n_granted, n_timeouts, n_cancelled, n_full, n_behind;
static atomic_bool stop;
static unsigned n_rounds;

static void expect(bool is_so)
{
    if (!is_so) atomic_fetch_add(&n_wrong, 1);
}

static unsigned draw(uint32_t *state, unsigned n)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 10) % n;
}

static void start(uint32_t passings)
{
    const ea_monitor_options_t options = {
        .types = types, .n_types = N_TYPES, .n_slots = N_SLOTS, .n_stripes = 2, .n_queue = 8};
    const ea_monitor_line_options_t line = {.max_waiting = N_WAITING,
                                            .max_together = 2,
                                            .patience_grants = 4,
                                            .max_passings = passings};
    for (unsigned t = 0; t < N_TYPES; t++) {
        const ea_account_limits_t all = {.max = (size_t)capacity[t]};
        EXPECT_EQ(ea_accounts_init(&books[t], nodes[t], 1 + N_LEAVES, &all), EA_OK);
        for (unsigned i = 0; i < N_LEAVES; i++) {
            leaves[i][t] = ea_account_create(&books[t], nodes[t], NULL);
            accounts_of[i] = leaves[i];
            claimants[i] = (ea_claimant_t){
                .accounts = accounts_of[i], .n_accounts = N_TYPES, .weight = (uint16_t)(1 + i)};
        }
    }
    EXPECT_EQ(ea_monitor_init(&monitor, memory, sizeof memory, &options), EA_OK);
    EXPECT_EQ(ea_monitor_wait_init(&monitor, line_memory, sizeof line_memory, &line), EA_OK);
    atomic_store(&stop, false);
    atomic_store(&n_wrong, 0);
}

static void use_and_release(const ea_resource_request_t *requests, const ea_resource_t *got,
                            size_t n, uint32_t *random)
{
    for (size_t i = 0; i < n; i++) {
        int units = (int)requests[i].units, type = requests[i].type;
        expect(atomic_fetch_add(&in_use[type], units) + units <= capacity[type]);
    }
    if (draw(random, 4) == 0) (void)sched_yield();
    for (size_t i = 0; i < n; i++) {
        atomic_fetch_sub(&in_use[requests[i].type], (int)requests[i].units);
        expect(ea_monitor_release(&monitor, got[i]) == EA_OK);
    }
}

static void *work(void *argument)
{
    uint32_t random = (uint32_t)(tap_arg("seed", 1) * 2654435761u + (uintptr_t)argument * 7919u);
    for (unsigned i = 0; i < n_rounds; i++) {
        static const uint64_t times[] = {0, 20, 300, EA_WAIT_FOREVER};
        unsigned leaf = draw(&random, N_LEAVES);
        size_t n = 1 + draw(&random, 2);
        ea_resource_request_t requests[2];
        ea_resource_t got[2];
        for (size_t k = 0; k < n; k++) {
            uint8_t type = (uint8_t)(n == 2 ? k : draw(&random, N_TYPES));
            unsigned most = draw(&random, 10) == 0 ? (unsigned)capacity[type] - 2u : 4u;
            requests[k] = (ea_resource_request_t){
                .account = leaves[leaf][type], .type = type, .units = 1 + draw(&random, most)};
        }
        uint64_t timeout_us = times[draw(&random, 4)];
        bool is_endless = timeout_us == EA_WAIT_FOREVER;
        ea_status_t status = ea_monitor_acquire_wait(
            &monitor, requests, n,
            &(ea_wait_options_t){.claimant = draw(&random, 2) ? &claimants[leaf] : NULL,
                                 .timeout_us = timeout_us,
                                 .id = is_endless ? 2 : 1,
                                 .priority = (uint8_t)draw(&random, EA_MONITOR_CLASSES)},
            got);
        switch (status) {
        case EA_OK:
            atomic_fetch_add(&n_granted, 1);
            use_and_release(requests, got, n, &random);
            break;
        case EA_ERR_TIMEOUT:
            atomic_fetch_add(&n_timeouts, 1);
            expect(!is_endless);
            break;
        case EA_ERR_CANCELLED:
            atomic_fetch_add(&n_cancelled, 1);
            expect(!is_endless);
            break;
        case EA_ERR_BUSY: atomic_fetch_add(timeout_us == 0 ? &n_behind : &n_full, 1); break;
        default:
            expect(timeout_us == 0 && (status == EA_ERR_LIMIT || status == EA_ERR_NO_MEMORY));
            break;
        }
    }
    return NULL;
}

/* Cleans up, ends waits that have an end, and lowers and raises a limit that nobody's request is
 * above. */
static void *disturb(void *argument)
{
    (void)argument;
    for (size_t i = 0; !atomic_load(&stop); i++) {
        const struct timespec pause = {.tv_sec = 0, .tv_nsec = 100000};
        (void)nanosleep(&pause, NULL);
        (void)ea_monitor_cleanup(&monitor, SIZE_MAX);
        (void)ea_monitor_cancel(&monitor, 1);
        const ea_account_limits_t limits = {.max = i % 2 == 0 ? (size_t)capacity[0] : 0};
        expect(ea_account_set_limits(leaves[i % N_LEAVES][0], &limits) == EA_OK);
    }
    return NULL;
}

static void run(uint32_t passings)
{
    pthread_t threads[N_THREADS], other;
    ea_audit_report_t report;
    ea_monitor_wait_stats_t stats;
    n_rounds = (unsigned)tap_arg("rounds", 1500);
    atomic_store(&n_granted, 0);
    start(passings);
    REQUIRE(pthread_create(&other, NULL, disturb, NULL) == 0);
    for (uintptr_t i = 0; i < N_THREADS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
    }
    for (unsigned i = 0; i < N_THREADS; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    atomic_store(&stop, true);
    EXPECT_EQ(pthread_join(other, NULL), 0);
    ea_monitor_wait_stats(&monitor, &stats);
    tap_note("granted", n_granted);
    tap_note("of them in line", (long long)stats.n_granted);
    tap_note("timeouts", n_timeouts);
    tap_note("cancelled", n_cancelled);
    tap_note("found no place", n_full);
    tap_note("behind others", n_behind);
    EXPECT_EQ(n_wrong, 0);
    EXPECT(stats.n_granted > 0);
    EXPECT_EQ(stats.n_waiting, 0);
    (void)ea_monitor_cleanup(&monitor, SIZE_MAX);
    EXPECT_EQ(ea_monitor_audit(&monitor, EA_AUDIT_ALONE, SIZE_MAX, &report), EA_OK);
    EXPECT_EQ(report.n_found, 0);
    for (unsigned t = 0; t < N_TYPES; t++) {
        EXPECT_EQ(ea_account_committed(nodes[t]), 0);
        EXPECT_EQ(books[t].eai_n_waiting, 0);
        EXPECT_EQ(ea_accounts_check(&books[t], NULL), EA_OK);
    }
}

TEST(monitor_waits_of_eight_threads_all_end_and_lose_nothing, 0)
{
    run(0);
}

TEST(monitor_waits_that_are_passed_all_end_and_lose_nothing, 0)
{
    run(3);
}

/* A handler releases what its thread holds, which another waits for. */
static _Thread_local ea_resource_t signalled;

static void release_in_handler(int number)
{
    (void)number;
    ea_resource_t resource = signalled;
    signalled = EA_RESOURCE_NONE;
    if (!ea_resource_is_none(resource)) expect(ea_monitor_release(&monitor, resource) == EA_OK);
}

static void *release_by_signal(void *argument)
{
    const ea_resource_request_t request = {.account = leaves[(uintptr_t)argument % N_LEAVES][0],
                                           .units = 6};
    for (unsigned i = 0; i < n_rounds; i++) {
        ea_resource_t got;
        expect(ea_monitor_acquire_wait(&monitor, &request, 1, NULL, &got) == EA_OK);
        signalled = got;
        (void)raise(SIGUSR1);
    }
    return NULL;
}

TEST(monitor_waits_end_with_releases_in_signal_handlers, 0)
{
    struct sigaction action = {.sa_handler = release_in_handler}, before;
    pthread_t threads[4];
    n_rounds = (unsigned)tap_arg("rounds", 1500);
    start(0);
    REQUIRE(sigaction(SIGUSR1, &action, &before) == 0);
    for (uintptr_t i = 0; i < 4; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, release_by_signal, (void *)i) == 0);
    }
    for (unsigned i = 0; i < 4; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    (void)sigaction(SIGUSR1, &before, NULL);
    EXPECT_EQ(n_wrong, 0);
    EXPECT_EQ(ea_account_committed(nodes[0]), 0);
}

TEST_MAIN(&monitor_waits_of_eight_threads_all_end_and_lose_nothing,
          &monitor_waits_that_are_passed_all_end_and_lose_nothing,
          &monitor_waits_end_with_releases_in_signal_handlers)
