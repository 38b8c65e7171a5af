/* SPDX-License-Identifier: MIT
 *
 * The history of allocations from several threads (row B1): four record, one reads all the time.
 * Every event that is read is whole and those of one thread come in its order; where the ring holds
 * all of them, each is there once. Four allocate and free on one allocator: no block is told to be
 * allocated twice without a free in between. `rounds=N` on the command line for a longer run.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/allocator.h"
#include "ealloc/trace.h"
#include "tap.h"

#define N_WRITERS 4u
#define N_LARGE 65536u
#define N_SMALL 16u

static ea_trace_t *trace;
static atomic_uint n_writing, n_wrong;
static uint32_t n_rounds;

static size_t size_of(uint32_t i)
{
    return i % 8;
}

static const void *block_of(unsigned thread, uint32_t i)
{
    return (const void *)((uintptr_t)trace + 32 * (16 * (i % 1000) + thread));
}

static void *record_many(void *argument)
{
    unsigned self = (unsigned)(uintptr_t)argument;
    for (uint32_t i = 1; i <= n_rounds; i++) {
        ea_trace_record(trace, EA_TRACE_USER, (uint16_t)self, (const void *)(uintptr_t)i,
                        block_of(self, i), size_of(i));
        if (i % 64 == 0) sched_yield();
    }
    n_writing--;
    return NULL;
}

typedef struct {
    uint32_t last[N_WRITERS];
    size_t n;
} seen_t;

static void look(const ea_trace_event_t *e, seen_t *seen)
{
    if (e->kind == EA_TRACE_BOOT) return;
    uint32_t i = (uint32_t)(uintptr_t)e->site;
    if (e->kind != EA_TRACE_USER || e->owner >= N_WRITERS || i == 0 || i > n_rounds ||
        e->block != block_of(e->owner, i) || e->size_bytes != size_of(i)) {
        n_wrong++;
        return;
    }
    if (i <= seen->last[e->owner]) n_wrong++;
    seen->last[e->owner] = i;
    seen->n++;
}

static void read_on(ea_trace_cursor_t *cursor, seen_t *seen)
{
    ea_trace_event_t e;
    ea_status_t status;
    while ((status = ea_trace_read(trace, cursor, &e)) != EA_ERR_NOT_FOUND)
        if (status == EA_OK) look(&e, seen);
}

static void *read_always(void *argument)
{
    seen_t seen = {{0}, 0};
    ea_trace_cursor_t cursor = {0};
    (void)argument;
    while (n_writing > 0) {
        read_on(&cursor, &seen);
        sched_yield();
    }
    return NULL;
}

/* Returns how many events were there in the end. */
static size_t run(size_t n_events, size_t *n_void)
{
    pthread_t threads[N_WRITERS + 1];
    void *memory = calloc(1, EA_TRACE_BYTES(n_events));
    seen_t seen = {{0}, 0};
    ea_trace_cursor_t cursor = {0};
    trace = ea_trace_open(memory, EA_TRACE_BYTES(n_events), NULL);
    n_writing = N_WRITERS;
    n_wrong = 0;
    for (uintptr_t i = 0; i <= N_WRITERS; i++)
        if (pthread_create(&threads[i], NULL, i < N_WRITERS ? record_many : read_always,
                           (void *)i) != 0)
            abort();
    for (unsigned i = 0; i <= N_WRITERS; i++) pthread_join(threads[i], NULL);
    read_on(&cursor, &seen);
    *n_void = cursor.n_void;
    ea_trace_stats_t stats;
    ea_trace_stats(trace, &stats);
    tap_note("calls that found no place", (long long)stats.n_dropped);
    tap_note("numbers without an event at the end", (long long)cursor.n_void);
    EXPECT_EQ(n_wrong, 0);
    seen.n += stats.n_dropped;
    free(memory);
    return seen.n;
}

TEST(trace_of_threads_holds_every_event_once, 0)
{
    size_t n_void;
    n_rounds = N_LARGE / N_WRITERS - 64;
    EXPECT_EQ(run(N_LARGE, &n_void), N_WRITERS * n_rounds);
}

TEST(trace_of_threads_that_lap_each_other_holds_whole_events, 0)
{
    size_t n_void;
    n_rounds = (uint32_t)tap_arg("rounds", 50000);
    size_t n = run(N_SMALL, &n_void);
    EXPECT(n + n_void + 1 >= N_SMALL);
}

/* --- an allocator ----------------------------------------------------------------------------- */

#if EA_CFG_ALLOC_HOOK
static ea_allocator_t a;
static _Alignas(16) unsigned char region[1 << 16];
static bool is_live[sizeof region / 16];

static void *allocate_many(void *argument)
{
    uint32_t random = (uint32_t)(uintptr_t)argument + 1;
    void *held[8] = {NULL};
    for (uint32_t i = 0; i < n_rounds; i++) {
        random = random * 1664525u + 1013904223u;
        void **at = &held[random >> 29];
        if (*at && ea_free(&a, *at) != EA_OK) n_wrong++;
        *at = random >> 28 & 1 ? ea_malloc(&a, random >> 16 & 255) : NULL;
    }
    for (unsigned i = 0; i < 8; i++)
        if (ea_free(&a, held[i]) != EA_OK) n_wrong++;
    return NULL;
}

TEST(trace_tells_of_a_free_before_the_block_is_given_to_another, 0)
{
    pthread_t threads[N_WRITERS];
    const ea_trace_options_t options = {.base = region};
    void *memory = calloc(1, EA_TRACE_BYTES(N_LARGE));
    trace = ea_trace_open(memory, EA_TRACE_BYTES(N_LARGE), &options);
    REQUIRE(ea_allocator_init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region, sizeof region, NULL) == EA_OK);
    REQUIRE(ea_trace_attach(trace, &a) == EA_OK);
    n_rounds = N_LARGE / N_WRITERS / 2;
    n_wrong = 0;
    for (uintptr_t i = 0; i < N_WRITERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, allocate_many, (void *)i) == 0);
    for (unsigned i = 0; i < N_WRITERS; i++) pthread_join(threads[i], NULL);
    ea_trace_cursor_t cursor = {0};
    ea_trace_event_t e;
    size_t n_allocated = 0, n_freed = 0;
    while (ea_trace_read(trace, &cursor, &e) == EA_OK) {
        if (e.kind != EA_TRACE_ALLOC && e.kind != EA_TRACE_FREE) continue;
        bool *live = &is_live[((uintptr_t)e.block - (uintptr_t)region) / 16 % (sizeof region / 16)];
        EXPECT_EQ(*live, e.kind == EA_TRACE_FREE);
        *live = e.kind == EA_TRACE_ALLOC;
        n_allocated += e.kind == EA_TRACE_ALLOC;
        n_freed += e.kind == EA_TRACE_FREE;
    }
    EXPECT_EQ(n_wrong, 0);
    EXPECT_EQ(n_allocated, n_freed);
    EXPECT(n_allocated > n_rounds / 2);
    free(memory);
}
#else
TEST(trace_tells_of_a_free_before_the_block_is_given_to_another, 0)
{
}
#endif

TEST_MAIN(&trace_of_threads_holds_every_event_once,
          &trace_of_threads_that_lap_each_other_holds_whole_events,
          &trace_tells_of_a_free_before_the_block_is_given_to_another)
