/* SPDX-License-Identifier: MIT
 *
 * The profile from several threads (row B3): four allocate and free on one allocator from more
 * sites than there are rows, a fifth ends windows and reads all the time. In the end the sums are
 * those of what the threads did, and nothing is live. `rounds=N` on the command line for a longer
 * run.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "ealloc/allocator.h"
#include "ealloc/profile.h"
#include "tap.h"

#define N_WRITERS 4u
#define N_SITES 8u
#define N_BLOCKS 512u

static ea_profile_t profile;
static _Alignas(16) unsigned char tables[EA_PROFILE_BYTES(N_SITES, 8, N_BLOCKS)];
static ea_allocator_t a;
static _Alignas(16) unsigned char region[1 << 16];
static atomic_uint n_writing, n_wrong;
static atomic_size_t n_allocs, alloc_bytes;
static uint32_t n_rounds;

static void *allocate_many(void *argument)
{
    uint32_t random = (uint32_t)(uintptr_t)argument + 1;
    void *held[8] = {NULL};
    for (uint32_t i = 0; i < n_rounds; i++) {
        random = random * 1664525u + 1013904223u;
        const ea_request_t request = {.caller =
                                          (const char *)(uintptr_t)0x1000 + (random >> 8) % 40};
        size_t size_bytes = (random >> 16 & 127) + 1u;
        void **at = &held[random >> 29];
        if (ea_free(&a, *at) != EA_OK) n_wrong++;
        *at = random >> 28 & 1 ? ea_malloc_ex(&a, size_bytes, &request) : NULL;
        if (*at) {
            n_allocs++;
            alloc_bytes += size_bytes;
        }
        if (*at && random >> 27 & 1) {
            void *moved = ea_realloc(&a, *at, 2 * size_bytes);
            if (!moved) continue;
            *at = moved;
            n_allocs++;
            alloc_bytes += 2 * size_bytes;
        }
    }
    for (unsigned i = 0; i < 8; i++)
        if (ea_free(&a, held[i]) != EA_OK) n_wrong++;
    n_writing--;
    return NULL;
}

static void *read_always(void *argument)
{
    (void)argument;
    while (n_writing > 0) {
        ea_profile_row_t row;
        ea_profile_row_t rows[4];
        size_t cursor = 0;
        ea_profile_window(&profile);
        while (ea_profile_next(&profile, EA_PROFILE_SITES, &cursor, &row) == EA_OK) {
        }
        (void)ea_profile_top(&profile, EA_PROFILE_SITES, EA_PROFILE_BY_RATE, rows, 4);
        sched_yield();
    }
    return NULL;
}

TEST(profile_of_threads_has_exact_sums, 0)
{
#if EA_CFG_ALLOC_HOOK
    pthread_t threads[N_WRITERS + 1];
    const ea_profile_options_t options = {.n_sites = N_SITES, .n_owners = 8, .n_blocks = N_BLOCKS};
    n_rounds = (uint32_t)tap_arg("rounds", 20000);
    REQUIRE(ea_profile_init(&profile, tables, sizeof tables, &options) == EA_OK);
    REQUIRE(ea_allocator_init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region, sizeof region, NULL) == EA_OK);
    REQUIRE(ea_profile_attach(&profile, &a) == EA_OK);
    n_writing = N_WRITERS;
    for (uintptr_t i = 0; i <= N_WRITERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, i < N_WRITERS ? allocate_many : read_always,
                               (void *)i) == 0);
    for (unsigned i = 0; i <= N_WRITERS; i++) pthread_join(threads[i], NULL);
    ea_profile_stats_t stats;
    ea_profile_stats(&profile, &stats);
    EXPECT_EQ(n_wrong, 0);
    EXPECT_EQ(stats.n_allocs, n_allocs);
    EXPECT_EQ(stats.alloc_bytes, alloc_bytes);
    EXPECT_EQ(stats.n_live, 0);
    EXPECT_EQ(stats.live_bytes, 0);
    EXPECT_EQ(stats.n_unknown, stats.n_untracked);
    EXPECT(stats.n_evicted > 0);
    tap_note("sites that lost their row", (long long)stats.n_evicted);
    tap_note("blocks without a place", (long long)stats.n_untracked);
    ea_profile_row_t row;
    size_t cursor = 0, n = 0;
    while (ea_profile_next(&profile, EA_PROFILE_OWNERS, &cursor, &row) == EA_OK) n += row.n_allocs;
    EXPECT_EQ(n, n_allocs);
    EXPECT_EQ(ea_profile_detach(&profile, &a), EA_OK);
    EXPECT_EQ(ea_allocator_deinit(&a, NULL), EA_OK);
#endif
}

TEST_MAIN(&profile_of_threads_has_exact_sums)
