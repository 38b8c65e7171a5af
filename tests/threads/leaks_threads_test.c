/* SPDX-License-Identifier: MIT
 *
 * Leaks from several threads (row B4): four allocate and free on one allocator from more sites than
 * there are rows, a fifth polls and reads all the time, with a clock that runs fast. In the end
 * nothing is live, and what was not watched was counted. `rounds=N` for a longer run.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "ealloc/allocator.h"
#include "ealloc/leaks.h"
#include "tap.h"

#define N_WRITERS 4u
#define N_SITES 8u
#define N_BLOCKS 64u

static ea_leaks_t leaks;
static _Alignas(16) unsigned char tables[EA_LEAKS_BYTES(N_SITES, N_BLOCKS)];
static ea_allocator_t a;
static _Alignas(16) unsigned char region[1 << 16];
static atomic_uint n_writing, n_wrong;
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
        if (*at && random >> 27 & 1) {
            void *moved = ea_realloc(&a, *at, 2 * size_bytes);
            if (moved) *at = moved;
        }
    }
    for (unsigned i = 0; i < 8; i++)
        if (ea_free(&a, held[i]) != EA_OK) n_wrong++;
    n_writing--;
    return NULL;
}

static void *poll_always(void *argument)
{
    (void)argument;
    while (n_writing > 0) {
        ea_leak_t found[4];
        (void)ea_leaks_poll(&leaks, 100);
        (void)ea_leaks_top(&leaks, found, 4);
        if (ea_leaks_detect(&leaks, 100) > N_BLOCKS) n_wrong++;
        sched_yield();
    }
    return NULL;
}

TEST(leaks_of_threads_lose_no_block, 0)
{
#if EA_CFG_ALLOC_HOOK
    pthread_t threads[N_WRITERS + 1];
    const ea_leaks_options_t options = {
        .n_sites = N_SITES, .n_blocks = N_BLOCKS, .tick_us = 1, .window_us = 2000};
    n_rounds = (uint32_t)tap_arg("rounds", 20000);
    REQUIRE(ea_leaks_init(&leaks, tables, sizeof tables, &options) == EA_OK);
    REQUIRE(ea_allocator_init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region, sizeof region, NULL) == EA_OK);
    REQUIRE(ea_leaks_attach(&leaks, &a) == EA_OK);
    n_writing = N_WRITERS;
    for (uintptr_t i = 0; i <= N_WRITERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, i < N_WRITERS ? allocate_many : poll_always,
                               (void *)i) == 0);
    for (unsigned i = 0; i <= N_WRITERS; i++) pthread_join(threads[i], NULL);
    ea_leaks_stats_t stats;
    ea_leaks_stats(&leaks, &stats);
    EXPECT_EQ(n_wrong, 0);
    EXPECT_EQ(stats.n_live, 0);
    EXPECT_EQ(stats.live_bytes, 0);
    EXPECT(stats.n_unknown <= stats.n_untracked + stats.n_unplaced); /* a realloc counts anew */
    EXPECT_EQ(ea_leaks_detect(&leaks, 0), 0);
    EXPECT(stats.n_passes > 0);
    tap_note("blocks without a place", (long long)stats.n_untracked);
    tap_note("blocks without a row", (long long)stats.n_unplaced);
    tap_note("passes", stats.n_passes);
    EXPECT_EQ(ea_leaks_detach(&leaks, &a), EA_OK);
    EXPECT_EQ(ea_allocator_deinit(&a, NULL), EA_OK);
#endif
}

TEST_MAIN(&leaks_of_threads_lose_no_block)
