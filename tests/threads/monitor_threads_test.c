/* SPDX-License-Identifier: MIT
 *
 * Eight threads on one monitor, a cleanup and an auditor beside them (rows C1, C2, C3, C7). Every
 * object carries a flag that says whether it exists: it is made once and ended once. No more live
 * than the limits allow at any instant, live and idle objects together no more than the capacity;
 * while all are at work no audit finds anything; at the end nothing is left.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/monitor.h"
#include "tap.h"

#define N_THREADS 8u
#define N_ROUNDS 8000u
#define N_LEAVES 4u
#define N_SLOTS 48u
#define N_QUEUE 8u
#define N_IDLE 4u
#define ROOT_MAX 30u
#define LEAF_MAX 12u
#define N_HELD 6u
#define N_OBJECTS 4096u
#define N_TYPES 4u

static ea_account_t nodes[1 + N_LEAVES];
static ea_accounts_t book;
static ea_account_t *leaves[N_LEAVES];
static ea_monitor_t monitor;
static _Alignas(
    64) unsigned char memory[EA_MONITOR_BYTES(N_SLOTS, N_TYPES, 1 + N_LEAVES, 4, N_QUEUE, N_IDLE)];
static atomic_int exists[N_OBJECTS];
static atomic_uint next_object;
static atomic_int n_wrong, live_of[N_LEAVES], live_all, n_recyclable;
static atomic_uint n_granted, n_refused;
static atomic_bool stop;
static bool with_others;
static unsigned n_rounds;

static void expect(bool is_so)
{
    if (!is_so) atomic_fetch_add(&n_wrong, 1);
}

/* One that does not exist: there are many times as many as can live. */
static uintptr_t new_object(void)
{
    for (;;) {
        unsigned i = atomic_fetch_add(&next_object, 1) % N_OBJECTS;
        if (atomic_exchange(&exists[i], 1) == 0) return i;
    }
}

static void end_object(void *context, uintptr_t object)
{
    expect(object < N_OBJECTS && atomic_exchange(&exists[object % N_OBJECTS], 0) == 1);
    if (context != NULL) atomic_fetch_sub(&n_recyclable, 1);
}

static ea_status_t make_object(void *context, const ea_resource_request_t *request,
                               uintptr_t *object)
{
    (void)context, (void)request;
    expect(atomic_fetch_add(&n_recyclable, 1) < (int)ROOT_MAX);
    *object = new_object();
    return EA_OK;
}

static const ea_resource_type_t types[N_TYPES] = {
    {.book = &book, .destroy = end_object},
    {.book = &book, .destroy = end_object, .strategy = EA_RELEASE_QUEUED},
    {.book = &book,
     .create = make_object,
     .destroy = end_object,
     .context = &n_recyclable,
     .max_idle = N_IDLE},
    {.book = &book, .destroy = end_object, .strategy = EA_RELEASE_UNCONTENDED},
};

typedef struct {
    ea_resource_t resource;
    unsigned leaf;
    unsigned n_references;
    uintptr_t object;
    int parent; /* held, and a parent of another: -1 none */
} held_t;

typedef struct {
    uint32_t random;
    held_t held[N_HELD];
    unsigned n_held;
} worker_t;

static unsigned draw(worker_t *w, unsigned n)
{
    w->random = w->random * 1664525u + 1013904223u;
    return (w->random >> 10) % n;
}

static void acquire_one(worker_t *w)
{
    if (w->n_held == N_HELD) return;
    unsigned leaf = draw(w, N_LEAVES);
    held_t *held = &w->held[w->n_held];
    uint8_t type = (uint8_t)draw(w, N_TYPES);
    ea_resource_request_t request = {.account = leaves[leaf], .type = type};
    if (type != 2) request.object = new_object();
    if (w->n_held > 0 && draw(w, 4) == 0) request.parent = w->held[0].resource;
    ea_status_t status = ea_monitor_acquire(&monitor, &request, &held->resource);
    if (status != EA_OK) {
        expect(status == EA_ERR_LIMIT || status == EA_ERR_NO_MEMORY);
        atomic_fetch_add(&n_refused, 1);
        if (type != 2) atomic_store(&exists[request.object], 0);
        return;
    }
    atomic_fetch_add(&n_granted, 1);
    expect(ea_monitor_object(&monitor, held->resource, type, &held->object) == EA_OK);
    expect(type == 2 || held->object == request.object);
    expect(atomic_load(&exists[held->object]) == 1);
    /* A child may outlive our count of its parent, so only those without are counted. */
    held->leaf = leaf;
    held->n_references = 1;
    expect(atomic_fetch_add(&live_all, 1) < (int)ROOT_MAX);
    if (!with_others) expect(atomic_fetch_add(&live_of[leaf], 1) < (int)LEAF_MAX);
    w->n_held++;
}

static void release_one(worker_t *w)
{
    if (w->n_held == 0) return;
    unsigned i = draw(w, w->n_held);
    held_t *held = &w->held[i];
    ea_resource_t resource = held->resource;
    if (--held->n_references > 0) {
        expect(ea_monitor_release(&monitor, resource) == EA_OK);
        return;
    }
    unsigned leaf = held->leaf;
    *held = w->held[--w->n_held];
    atomic_fetch_sub(&live_all, 1);
    if (!with_others) atomic_fetch_sub(&live_of[leaf], 1);
    expect(ea_monitor_release(&monitor, resource) == EA_OK);
}

static void other_things(worker_t *w)
{
    if (w->n_held == 0) return;
    held_t *held = &w->held[draw(w, w->n_held)];
    ea_resource_info_t info;
    switch (draw(w, 4)) {
    case 0:
        if (held->n_references < 4 && ea_monitor_share(&monitor, held->resource) == EA_OK) {
            held->n_references++;
        }
        break;
    case 1: {
        if (!with_others) break;
        ea_status_t status =
            ea_monitor_transfer(&monitor, held->resource, leaves[draw(w, N_LEAVES)]);
        expect(status == EA_OK || status == EA_ERR_LIMIT || status == EA_ERR_BUSY);
        break;
    }
    case 2: {
        uintptr_t object;
        expect(ea_monitor_object(&monitor, held->resource, ea_resource_type(held->resource),
                                 &object) == EA_OK &&
               object == held->object);
        break;
    }
    default: {
        ea_resource_t stale = held->resource;
        stale.eai_generation ^= 0x8000u;
        expect(ea_monitor_release(&monitor, stale) != EA_OK);
        (void)!ea_monitor_info(&monitor, held->resource, &info);
        break;
    }
    }
}

static void *work(void *arg)
{
    worker_t w = {.random = (uint32_t)(uintptr_t)arg * 2654435761u + 1u};
    for (unsigned i = 0; i < n_rounds; i++) {
        switch (draw(&w, 5)) {
        case 0:
        case 1: acquire_one(&w); break;
        case 2:
        case 3: release_one(&w); break;
        default: other_things(&w); break;
        }
        if (draw(&w, 16) == 0) (void)sched_yield(); /* with what it holds */
    }
    while (w.n_held > 0) release_one(&w);
    return NULL;
}

static void *clean(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) (void)ea_monitor_cleanup_wait(&monitor, 5);
    while (ea_monitor_cleanup(&monitor, SIZE_MAX) > 0) {
    }
    return NULL;
}

static atomic_uint n_audits, n_exact, n_findings;
static void *look(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        ea_audit_report_t report = {0};
        ea_status_t status = ea_monitor_audit(&monitor, EA_AUDIT_REPAIR, 20, &report);
        if (status != EA_OK) continue;
        atomic_fetch_add(&n_audits, 1);
        atomic_fetch_add(&n_exact, report.is_exact);
        atomic_fetch_add(&n_findings, report.n_found);
    }
    return NULL;
}

static bool start(size_t batch, size_t min)
{
    const ea_account_limits_t all = {.max = ROOT_MAX};
    const ea_monitor_options_t options = {.types = types,
                                          .n_types = N_TYPES,
                                          .n_slots = N_SLOTS,
                                          .n_stripes = 4,
                                          .n_queue = N_QUEUE,
                                          .batch = 4,
                                          .delay_us = 500};
    for (unsigned i = 0; i < N_OBJECTS; i++) atomic_store(&exists[i], 0);
    if (ea_accounts_init(&book, nodes, 1 + N_LEAVES, &all) != EA_OK) return false;
    for (unsigned i = 0; i < N_LEAVES; i++) {
        const ea_account_options_t of = {.limits = {.min = min, .max = LEAF_MAX}, .batch = batch};
        leaves[i] = ea_account_create(&book, nodes, &of);
    }
    return leaves[N_LEAVES - 1] != NULL &&
           ea_monitor_init(&monitor, memory, sizeof memory, &options) == EA_OK;
}

static void run(size_t batch, size_t min, bool others)
{
    pthread_t threads[N_THREADS], cleaner, auditor;
    with_others = others;
    n_rounds = (unsigned)tap_arg("rounds", N_ROUNDS);
    unsigned long seed = tap_arg("seed", 1);
    atomic_store(&stop, false);
    atomic_store(&n_granted, 0);
    atomic_store(&n_refused, 0);
    REQUIRE(start(batch, min));
    REQUIRE(pthread_create(&cleaner, NULL, clean, NULL) == 0);
    REQUIRE(pthread_create(&auditor, NULL, look, NULL) == 0);
    for (uintptr_t i = 0; i < N_THREADS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, work, (void *)(i + seed * N_THREADS)) == 0);
    }
    for (unsigned i = 0; i < N_THREADS; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    atomic_store(&stop, true);
    EXPECT_EQ(pthread_join(cleaner, NULL), 0);
    EXPECT_EQ(pthread_join(auditor, NULL), 0);

    tap_note("granted", atomic_load(&n_granted));
    tap_note("refused", atomic_load(&n_refused));
    tap_note("audits", atomic_load(&n_audits));
    tap_note("of them exact", atomic_load(&n_exact));
    EXPECT(atomic_load(&n_granted) > 0 && atomic_load(&n_refused) > 0);
    EXPECT_EQ(atomic_load(&n_wrong), 0);
    EXPECT_EQ(atomic_load(&n_findings), 0);

    (void)ea_monitor_trim(&monitor, SIZE_MAX);
    ea_audit_report_t report;
    EXPECT_EQ(ea_monitor_audit(&monitor, EA_AUDIT_ALONE, SIZE_MAX, &report), EA_OK);
    EXPECT_EQ(report.n_found, 0);
    for (unsigned i = 0; i < EA_AUDIT_N_KINDS; i++) {
        if (report.by_kind[i] != 0) tap_note("finding of kind", i);
    }
    EXPECT(report.is_exact);
    EXPECT_EQ(ea_account_committed(nodes) - (min * N_LEAVES), 0);
    EXPECT_EQ(ea_accounts_check(&book, NULL), EA_OK);
    for (unsigned i = 0; i < N_OBJECTS; i++) EXPECT_EQ(atomic_load(&exists[i]), 0);
    for (uint8_t i = 0; i < N_TYPES; i++) {
        ea_resource_stats_t stats;
        EXPECT_EQ(ea_monitor_type_stats(&monitor, i, &stats), EA_OK);
        EXPECT_EQ(stats.n_live, 0);
    }
}

TEST(monitor_of_eight_threads_passes_no_limit_and_loses_nothing, 0)
{
    run(0, 0, false);
}

TEST(monitor_of_eight_threads_does_so_with_guarantees, 0)
{
    run(0, 3, false);
}

TEST(monitor_of_eight_threads_does_so_with_hand_over, 0)
{
    run(0, 0, true);
}

TEST_MAIN(&monitor_of_eight_threads_passes_no_limit_and_loses_nothing,
          &monitor_of_eight_threads_does_so_with_guarantees,
          &monitor_of_eight_threads_does_so_with_hand_over)
