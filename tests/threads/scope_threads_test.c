/* SPDX-License-Identifier: MIT
 *
 * Scopes of several threads (row B6): each allocates and frees inside nested scopes of its own, and
 * each scope tells exactly what its thread did, while another thread reads the rows. `rounds=N` on
 * the command line for a longer run.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "ealloc/allocator.h"
#include "ealloc/scope.h"
#include "tap.h"

#define N_WRITERS 4u

static ea_scopes_t scopes;
static uintptr_t tables[EA_SCOPES_BYTES(8, 8) / sizeof(uintptr_t)];
static ea_allocator_t a;
static _Alignas(16) unsigned char region[1 << 16];
static atomic_uint n_writing, n_wrong;
static uint32_t n_rounds;
static const char names[N_WRITERS];

static void *work_often(void *argument)
{
    const char *name = &names[(uintptr_t)argument];
    for (uint32_t i = 0; i < n_rounds; i++) {
        ea_scope_t outer, inner;
        ea_scope_record_t r;
        ea_scope_begin(&outer, &scopes, name);
        void *first = ea_malloc(&a, 16 + i % 64);
        ea_scope_begin(&inner, &scopes, name);
        void *second = ea_malloc(&a, 100);
        if (ea_free(&a, second) != EA_OK) n_wrong++;
        if (ea_scope_end(&inner, &r) != EA_OK || r.n_allocs != 1 || r.n_frees != 1 ||
            r.delta_bytes != 0 || r.peak_bytes < 100 || r.depth != 1)
            n_wrong++;
        if (ea_free(&a, first) != EA_OK) n_wrong++;
        if (ea_scope_end(&outer, &r) != EA_OK || r.n_allocs != 2 || r.n_frees != 2 ||
            r.delta_bytes != 0 || r.peak_bytes < 116 || r.depth != 0)
            n_wrong++;
    }
    n_writing--;
    return NULL;
}

static void *read_always(void *argument)
{
    (void)argument;
    while (n_writing > 0) {
        ea_scope_row_t row;
        size_t cursor = 0;
        while (ea_scopes_next(&scopes, &cursor, &row) == EA_OK) {
        }
        sched_yield();
    }
    return NULL;
}

TEST(scopes_of_threads_tell_what_each_did, 0)
{
#if EA_CFG_ALLOC_HOOK
    pthread_t threads[N_WRITERS + 1];
    const ea_scopes_options_t options = {.n_names = 8, .n_tasks = 8};
    n_rounds = (uint32_t)tap_arg("rounds", 5000);
    REQUIRE(ea_scopes_init(&scopes, tables, sizeof tables, &options) == EA_OK);
    REQUIRE(ea_allocator_init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region, sizeof region, NULL) == EA_OK);
    REQUIRE(ea_scopes_attach(&scopes, &a) == EA_OK);
    n_writing = N_WRITERS;
    for (uintptr_t i = 0; i <= N_WRITERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, i < N_WRITERS ? work_often : read_always,
                               (void *)i) == 0);
    for (unsigned i = 0; i <= N_WRITERS; i++) pthread_join(threads[i], NULL);
    EXPECT_EQ(n_wrong, 0);
    ea_scopes_stats_t stats;
    ea_scopes_stats(&scopes, &stats);
    EXPECT_EQ(stats.n_open, 0);
    EXPECT_EQ(stats.n_unmeasured, 0);
    ea_scope_row_t row;
    size_t cursor = 0, n = 0;
    while (ea_scopes_next(&scopes, &cursor, &row) == EA_OK) n += row.n_runs;
    EXPECT_EQ(n, 2 * N_WRITERS * n_rounds);
    EXPECT_EQ(ea_scopes_detach(&scopes, &a), EA_OK);
    EXPECT_EQ(ea_allocator_deinit(&a, NULL), EA_OK);
#endif
}

TEST_MAIN(&scopes_of_threads_tell_what_each_did)
