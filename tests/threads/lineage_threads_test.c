/* SPDX-License-Identifier: MIT
 *
 * Lineages of several threads (row B5): each allocates blocks that serve and are served, hands them
 * over, resizes and frees them, and finds them as it made them, while another thread walks the
 * whole table. `rounds=N` on the command line for a longer run.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "ealloc/allocator.h"
#include "ealloc/lineage.h"
#include "tap.h"

#define N_WRITERS 4u
#define N_BLOCKS 256u

static uintptr_t table[EA_LINEAGE_BYTES(N_BLOCKS, 8, 2) / sizeof(uintptr_t)];
static uintptr_t stack_table[EA_STACKS_BYTES(64, 1) / sizeof(uintptr_t)];
static ea_lineage_t *lineage;
static ea_allocator_t a;
static _Alignas(16) unsigned char region[1 << 16];
static atomic_uint n_writing, n_wrong, n_lost;
static uint32_t n_rounds;

#define SITE(thread, i) ((const char *)(uintptr_t)(0x1000 + 64 * (thread) + 4 * (i)))

static void *work_often(void *argument)
{
    uintptr_t thread = (uintptr_t)argument;
    const ea_request_t first = {.caller = SITE(thread, 1)}, second = {.caller = SITE(thread, 2)};
    for (uint32_t i = 0; i < n_rounds; i++) {
        ea_lineage_entry_t e;
        void *request = ea_malloc_ex(&a, 16 + i % 64, &first), *reply = NULL;
        EA_SERVING(lineage, request) reply = ea_malloc_ex(&a, 24, &second);
        if (!request || !reply) { /* another thread's realloc has the rest for the moment */
            if (ea_free(&a, request) != EA_OK || ea_free(&a, reply) != EA_OK) n_wrong++;
            continue;
        }
        void *larger = ea_realloc(&a, request, 100 + i % 50);
        if (larger) request = larger;
        if (ea_lineage_of(lineage, reply, &e) == EA_OK) {
            if (!e.is_live || e.site != SITE(thread, 2) || e.block != reply) n_wrong++;
            if (ea_lineage_parent(lineage, &e) != EA_OK) n_wrong++;
            if (!e.is_known)
                n_lost++; /* no place */
            else if (!e.is_live || e.site != SITE(thread, 1) || e.block != request)
                n_wrong++;
        } else {
            n_lost++;
        }
        if (ea_free(&a, request) != EA_OK || ea_free(&a, reply) != EA_OK) n_wrong++;
    }
    n_writing--;
    return NULL;
}

static void *read_always(void *argument)
{
    (void)argument;
    while (n_writing > 0) {
        ea_lineage_entry_t e;
        size_t cursor = 0;
        while (ea_lineage_next(lineage, &cursor, &e) == EA_OK) {
            uintptr_t site = (uintptr_t)e.site;
            if (site < (uintptr_t)SITE(0, 0) || site > (uintptr_t)SITE(N_WRITERS, 0)) n_wrong++;
            if (e.parent && site != (uintptr_t)SITE((site - 0x1000) / 64, 2)) n_wrong++;
        }
        sched_yield();
    }
    return NULL;
}

TEST(lineages_of_threads_are_those_of_each, 0)
{
#if EA_CFG_ALLOC_HOOK
    pthread_t threads[N_WRITERS + 1];
    const ea_stacks_options_t of_stacks = {.n_stacks = 64};
    ea_stacks_t *stacks = ea_stacks_init(stack_table, sizeof stack_table, &of_stacks);
    const ea_lineage_options_t options = {
        .n_blocks = N_BLOCKS, .n_tasks = 8, .n_hand_overs = 2, .stacks = stacks};
    n_rounds = (uint32_t)tap_arg("rounds", 5000);
    lineage = ea_lineage_init(table, sizeof table, &options);
    REQUIRE(lineage != NULL && stacks != NULL);
    REQUIRE(ea_allocator_init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region, sizeof region, NULL) == EA_OK);
    REQUIRE(ea_lineage_attach(lineage, &a) == EA_OK);
    n_writing = N_WRITERS;
    for (uintptr_t i = 0; i <= N_WRITERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, i < N_WRITERS ? work_often : read_always,
                               (void *)i) == 0);
    for (unsigned i = 0; i <= N_WRITERS; i++) pthread_join(threads[i], NULL);
    ea_lineage_stats_t stats;
    ea_lineage_stats(lineage, &stats);
    EXPECT_EQ(n_wrong, 0);
    EXPECT(n_lost <= stats.n_untracked + stats.n_severed);
    EXPECT(stats.n_recorded > N_WRITERS * n_rounds);
    EXPECT(stats.n_forgotten > 0);
    tap_note("without a place", (long long)stats.n_untracked);
    tap_note("severed", (long long)stats.n_severed);
    size_t cursor = 0, n_stacks = 0;
    ea_stack_t stack;
    while (ea_stacks_next(stacks, NULL, &cursor, &stack) == EA_OK) n_stacks++;
    EXPECT(n_stacks >= 2 * N_WRITERS && n_stacks <= 3 * N_WRITERS);
    EXPECT_EQ(ea_lineage_detach(lineage, &a), EA_OK);
    EXPECT_EQ(ea_allocator_deinit(&a, NULL), EA_OK);
#endif
}

TEST_MAIN(&lineages_of_threads_are_those_of_each)
