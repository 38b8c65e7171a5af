/* SPDX-License-Identifier: MIT
 *
 * The cleanup is a process of its own, on memory that it shares, and is killed at any instruction
 * (row C3). Eight threads acquire and release all the while; a third process kills, starts the next
 * one, and audits. No limit is ever passed; no object is ended twice unless that does no harm; at
 * the end an audit leaves nothing over: no slot, no unit, no count is lost.
 *
 *     monitor_kill ops=100000000      operations of all threads together
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ealloc/monitor.h"
#include "tap.h"

#define N_THREADS 8u
#define N_OPS 400000u
#define N_LEAVES 4u
#define N_NODES (1u + N_LEAVES)
#define N_SLOTS 256u
#define N_QUEUE 64u
#define ROOT_MAX 100u
#define N_HELD 16u
#define N_KILLS 60u
#define N_OBJECTS 65536u

enum { ONCE, AGAIN, AT_ONCE, N_TYPES }; /* to destroy an object of AGAIN twice does no harm */

/* What the processes share. */
static struct shared {
    _Alignas(64) unsigned char memory[EA_MONITOR_BYTES(N_SLOTS, N_TYPES, N_NODES, 4, N_QUEUE, 0)];
    ea_monitor_t monitor;
    ea_account_t nodes[N_NODES];
    ea_accounts_t book;
    ea_resource_type_t types[N_TYPES];
    ea_account_t *leaves[N_LEAVES];
    atomic_int exists[N_OBJECTS];
    atomic_uint next_object;
    atomic_int live, n_over, n_twice;
    atomic_bool stop, is_within;
    atomic_ulong n_granted, n_refused, n_kills, n_left, n_repaired, n_exact, n_audits;
} * shm;

/* Of the cleanup's process: a destructor that takes its time is killed within more often. */
static bool is_slow;

static void take_time(void)
{
    for (volatile unsigned i = 0; is_slow && i < 500; i++) {
    }
}

static void end_object(void *context, uintptr_t object)
{
    if (is_slow) atomic_store(&shm->is_within, true);
    take_time();
    int was = atomic_exchange(&shm->exists[object % N_OBJECTS], 0);
    if (context == NULL && was == 0) atomic_fetch_add(&shm->n_twice, 1);
    take_time();
    if (is_slow) atomic_store(&shm->is_within, false);
}

/* --- the threads ------------------------------------------------------------------------------ */

static unsigned long n_ops;

static void *work(void *arg)
{
    uint32_t random = (uint32_t)(uintptr_t)arg * 2654435761u + 1u;
    ea_resource_t held[N_HELD];
    unsigned n_held = 0;
    for (unsigned long i = 0; i < n_ops || n_held > 0; i++) {
        /* On a machine that is busy. */
        if (i + 1 == n_ops && (shm->n_kills < N_KILLS || shm->n_left == 0) && shm->n_kills < 5000) {
            i = 0;
        }
        random = random * 1664525u + 1013904223u;
        unsigned draw = random >> 12;
        if (i < n_ops && (draw & 1u) && n_held < N_HELD) {
            uintptr_t object = atomic_fetch_add(&shm->next_object, 1) % N_OBJECTS;
            uint8_t type = (uint8_t)(draw / 2 % N_TYPES);
            const ea_resource_request_t request = {
                .account = shm->leaves[draw / 8 % N_LEAVES], .type = type, .object = object};
            /* One whose number is in use still, or was forgotten, is not taken. */
            if (atomic_exchange(&shm->exists[object], 1) != 0) continue;
            if (ea_monitor_acquire(&shm->monitor, &request, &held[n_held]) == EA_OK) {
                n_held++;
                atomic_fetch_add_explicit(&shm->n_granted, 1, memory_order_relaxed);
                if (atomic_fetch_add(&shm->live, 1) >= (int)ROOT_MAX) shm->n_over++;
            } else {
                atomic_store(&shm->exists[object], 0);
                atomic_fetch_add_explicit(&shm->n_refused, 1, memory_order_relaxed);
                (void)sched_yield();
            }
        } else if (n_held > 0) {
            unsigned which = draw % n_held;
            atomic_fetch_sub(&shm->live, 1);
            if (ea_monitor_release(&shm->monitor, held[which]) != EA_OK) shm->n_twice++;
            held[which] = held[--n_held];
        }
    }
    return NULL;
}

/* --- the processes ---------------------------------------------------------------------------- */

static void clean_forever(void)
{
    is_slow = true;
    for (;;) {
        if (ea_monitor_cleanup(&shm->monitor, 16) == 0) (void)sched_yield();
    }
}

static void sleep_us(long us)
{
    struct timespec time = {us / 1000000, us % 1000000 * 1000};
    (void)nanosleep(&time, NULL);
}

static void audit_once(void)
{
    ea_audit_report_t report;
    ea_status_t status;
    do status = ea_monitor_audit(&shm->monitor, EA_AUDIT_REPAIR, 64, &report);
    while (status == EA_ERR_AGAIN);
    if (status != EA_OK) return;
    shm->n_audits++;
    shm->n_exact += report.is_exact;
    shm->n_left += report.by_kind[EA_AUDIT_RELEASING];
    shm->n_repaired += report.n_repaired;
}

/* Kills and starts anew until told to stop. */
static void supervise(unsigned seed)
{
    srand(seed);
    while (!atomic_load(&shm->stop)) {
        pid_t cleaner = fork();
        if (cleaner == 0) clean_forever();
        sleep_us(200 + rand() % 3000);
        /* Every other time within a destructor, if one comes. */
        for (int i = rand() % 2 * 50; i > 0 && !atomic_load(&shm->is_within); i--) sched_yield();
        (void)kill(cleaner, SIGKILL);
        (void)waitpid(cleaner, NULL, 0);
        ea_monitor_cleanup_died(&shm->monitor);
        shm->n_kills++;
        atomic_store(&shm->is_within, false);
        audit_once();
    }
    _exit(0);
}

static bool start(void)
{
    shm = mmap(NULL, sizeof *shm, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shm == MAP_FAILED) return false;
    for (unsigned i = 0; i < N_TYPES; i++) {
        shm->types[i] =
            (ea_resource_type_t){.book = &shm->book,
                                 .destroy = end_object,
                                 .strategy = i == AT_ONCE ? EA_RELEASE_NOW : EA_RELEASE_QUEUED,
                                 .is_idempotent = i == AGAIN,
                                 .context = i == AGAIN ? shm : NULL};
    }
    const ea_account_limits_t limits = {.max = ROOT_MAX};
    const ea_monitor_options_t options = {.types = shm->types,
                                          .n_types = N_TYPES,
                                          .n_slots = N_SLOTS,
                                          .n_stripes = 4,
                                          .n_queue = N_QUEUE,
                                          .batch = 8};
    if (ea_accounts_init(&shm->book, shm->nodes, N_NODES, &limits) != EA_OK) return false;
    for (unsigned i = 0; i < N_LEAVES; i++) {
        shm->leaves[i] = ea_account_create(&shm->book, shm->nodes, NULL);
    }
    return ea_monitor_init(&shm->monitor, shm->memory, sizeof shm->memory, &options) == EA_OK;
}

static void expect_nothing_left(void)
{
    ea_audit_report_t report;
    while (ea_monitor_cleanup(&shm->monitor, SIZE_MAX) > 0) {
    }
    const uint32_t flags = EA_AUDIT_ALONE | EA_AUDIT_REPAIR;
    EXPECT_EQ(ea_monitor_audit(&shm->monitor, flags, SIZE_MAX, &report), EA_OK);
    shm->n_left += report.by_kind[EA_AUDIT_RELEASING];
    tap_note("left for the last audit", report.n_found);
    EXPECT_EQ(report.n_repaired, report.n_found);
    (void)ea_monitor_cleanup(&shm->monitor, SIZE_MAX);
    EXPECT_EQ(ea_monitor_audit(&shm->monitor, EA_AUDIT_ALONE, SIZE_MAX, &report), EA_OK);
    EXPECT_EQ(report.n_found, 0);
    EXPECT(report.is_exact);
    EXPECT_EQ(ea_account_committed(shm->nodes), 0);
    EXPECT_EQ(ea_accounts_check(&shm->book, NULL), EA_OK);
    unsigned long n_exist = 0;
    for (unsigned i = 0; i < N_OBJECTS; i++) n_exist += atomic_load(&shm->exists[i]) != 0;
    EXPECT(n_exist <= shm->n_left); /* not ended: only what was forgotten */
    /* Every slot can be had. */
    ea_account_limits_t limits = {.max = N_SLOTS};
    EXPECT_EQ(ea_account_set_limits(shm->nodes, &limits), EA_OK);
    for (unsigned i = 0; i < N_SLOTS; i++) {
        ea_resource_t resource;
        const ea_resource_request_t request = {.account = shm->leaves[0], .type = AT_ONCE};
        EXPECT_EQ(ea_monitor_acquire(&shm->monitor, &request, &resource), EA_OK);
    }
}

TEST(monitor_survives_a_cleanup_that_is_killed, 0)
{
    pthread_t threads[N_THREADS];
    n_ops = tap_arg("ops", N_OPS) / N_THREADS;
    unsigned long seed = tap_arg("seed", 1);
    REQUIRE(start());
    pid_t supervisor = fork(); /* before there are threads */
    if (supervisor == 0) supervise((unsigned)seed);
    for (uintptr_t i = 0; i < N_THREADS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, work, (void *)(i + seed * N_THREADS)) == 0);
    }
    for (unsigned i = 0; i < N_THREADS; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    atomic_store(&shm->stop, true);
    int status = -1;
    EXPECT_EQ(waitpid(supervisor, &status, 0), supervisor);
    EXPECT_EQ(status, 0);

    tap_note("granted", (long long)shm->n_granted);
    tap_note("refused", (long long)shm->n_refused);
    tap_note("killed", (long long)shm->n_kills);
    tap_note("audits", (long long)shm->n_audits);
    tap_note("of them exact", (long long)shm->n_exact);
    tap_note("left over by the killed", (long long)shm->n_left);
    EXPECT_EQ(shm->n_over, 0);
    EXPECT_EQ(shm->n_twice, 0);
    EXPECT(shm->n_kills >= N_KILLS);
    EXPECT(shm->n_left > 0);
    expect_nothing_left();
}

TEST_MAIN(&monitor_survives_a_cleanup_that_is_killed)
