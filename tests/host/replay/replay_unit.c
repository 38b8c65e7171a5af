/* SPDX-License-Identifier: MIT
 *
 * The replay engine against traces with known answers and against heaps that are broken on purpose.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"
#include "find_min.h"
#include "heaps.h"
#include "histogram.h"
#include "idmap.h"
#include "latency.h"
#include "movable_run.h"
#include "pattern.h"
#include "tap.h"
#include "trace.h"

/* --- building traces -------------------------------------------------------------------------- */

static bool add(trace_t *trace, rec_kind_t kind, uint64_t ptr, uint64_t size, uint64_t old_ptr)
{
    rec_event_t event = {.kind = kind, .ptr = ptr, .size = size, .old_ptr = old_ptr};
    event.time_us = trace->n_events * 10;
    if (kind == REC_ALIGNED) event.align = 256;
    return trace_add(trace, &event, "test", trace->n_events);
}

/* Blocks of many sizes, kept in a table, made, resized and freed in no order. */
static void build_churn(trace_t *trace, uint32_t n_events, uint32_t n_blocks)
{
    uint32_t seed = 12345;
    bool *live = calloc(n_blocks, sizeof *live);
    for (uint32_t i = 0; i < n_events; i++) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t k = (seed >> 8) % n_blocks, size = (seed >> 20) % 500;
        uint64_t ptr = (k + 1) * 4096;
        if (!live[k]) {
            add(trace,
                i % 7 == 0    ? REC_CALLOC
                : i % 11 == 0 ? REC_ALIGNED
                              : REC_ALLOC,
                ptr, size, 0);
        } else if (i % 5 == 0) {
            add(trace, REC_REALLOC, ptr, size + 1, ptr);
        } else {
            add(trace, REC_FREE, ptr, 0, 0);
        }
        if (i % 5 != 0 || !live[k]) live[k] = !live[k];
    }
    free(live);
    trace_finish(trace);
}

static replay_status_t replay(const trace_t *trace, const eai_heap_ops_t *ops, size_t heap_bytes,
                              bool check, replay_result_t *result)
{
    replay_options_t options = {.ops = ops, .heap_bytes = heap_bytes, .check_contents = check};
    replay_memory_t memory = {0};
    options.n_samples = 10;
    replay_status_t status = replay_run(trace, &options, &memory, result);
    replay_memory_release(&memory);
    return status;
}

/* --- the parts -------------------------------------------------------------------------------- */

TEST(idmap_agrees_with_a_table, 0)
{
    enum { N = 3000 };
    static uint32_t table[N];
    idmap_t map = {0};
    uint32_t seed = 1, wrong = 0;
    memset(table, 0xff, sizeof table);
    for (uint32_t i = 0; i < 60000; i++) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t k = (seed >> 8) % N;
        uint64_t key = (uint64_t)(k + 1) << 44 | (k + 1) * 16; /* many collide */
        if (table[k] == IDMAP_NONE) {
            wrong += idmap_get(&map, key) != IDMAP_NONE;
            wrong += !idmap_put(&map, key, i);
            table[k] = i;
        } else {
            wrong += idmap_get(&map, key) != table[k];
            wrong += idmap_take(&map, key) != table[k];
            wrong += idmap_take(&map, key) != IDMAP_NONE;
            table[k] = IDMAP_NONE;
        }
    }
    EXPECT_EQ(wrong, 0);
    idmap_release(&map);
}

TEST(pattern_sees_every_byte_and_every_shift, 0)
{
    unsigned char block[100], moved[100];
    pattern_fill(block, 7, 0, 33);
    pattern_fill(block, 7, 33, sizeof block); /* in two parts, as a block that grew */
    EXPECT(pattern_verify(block, 7, sizeof block) == PATTERN_OK);
    EXPECT(pattern_verify(block, 8, sizeof block) == 0);
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] ^= 1;
        EXPECT_EQ(pattern_verify(block, 7, sizeof block), i);
        block[i] ^= 1;
    }
    memcpy(moved, block + 8, 92);
    EXPECT(pattern_verify(moved, 7, 92) != PATTERN_OK);
}

TEST(trace_computes_peaks_and_perfect_packing, 0)
{
    trace_t t = {0};
    add(&t, REC_ALLOC, 0x1000, 100, 0);         /* gross 104 */
    add(&t, REC_CALLOC, 0x2000, 0, 0);          /* gross 16  */
    add(&t, REC_USABLE, 0x1000, 0, 0);          /* not an operation */
    add(&t, REC_ALIGNED, 0x3000, 13, 0);        /* gross 24  */
    add(&t, REC_REALLOC, 0x4000, 1000, 0x1000); /* gross 1008 */
    add(&t, REC_FREE, 0x2000, 0, 0);
    add(&t, REC_FAIL, 0, 1 << 30, 0);
    add(&t, REC_FREE, 0, 0, 0);
    add(&t, REC_ALLOC, 0x1000, 1, 0); /* in a slot used before */
    trace_finish(&t);
    EXPECT_EQ(t.n_events, 9);
    EXPECT_EQ(t.n_ops, 6);
    EXPECT_EQ(t.n_slots, 3);
    EXPECT_EQ(t.n_aligned, 1);
    EXPECT_EQ(t.align_log2[0], 8);
    EXPECT_EQ(t.peak_live_bytes, 1014);
    EXPECT_EQ(t.peak_live_blocks, 3);
    EXPECT_EQ(t.peak_gross_bytes, 1008 + 24 + 16);
    EXPECT_EQ(t.end_live_bytes, 1014);
    EXPECT_EQ(t.largest_bytes, 1000);
    EXPECT_EQ(t.n_usable_queries, 1);
    EXPECT_EQ(t.n_recorded_failures, 1);
    EXPECT_EQ(t.n_irregular, 0);
    EXPECT_EQ(trace_event_of(&t, 1), 2);
    EXPECT_EQ(trace_event_of(&t, 2), 4);
    EXPECT_EQ(trace_event_of(&t, 5), 9);
    size_t at[] = {0, 3, 4, 5};
    uint64_t live[4];
    EXPECT(trace_live_bytes_at(&t, at, 4, live));
    EXPECT_EQ(live[0], 100);
    EXPECT_EQ(live[1], 1013);
    EXPECT_EQ(live[2], 1013);
    EXPECT_EQ(live[3], 1014);
    trace_release(&t);
}

TEST(trace_names_the_first_irregular_event, 0)
{
    trace_t t = {0};
    add(&t, REC_ALLOC, 0x1000, 100, 0);
    add(&t, REC_FREE, 0x2000, 0, 0);
    add(&t, REC_ALLOC, 0x1000, 50, 0); /* its free went unseen */
    add(&t, REC_REALLOC, 0x5000, 60, 0x3000);
    add(&t, REC_FREE, 0x5000, 0, 0);
    trace_finish(&t);
    EXPECT_EQ(t.n_irregular, 3);
    EXPECT_EQ(t.peak_live_bytes, 110);
    EXPECT(t.irregularity != NULL && strstr(t.irregularity, "event 2") != NULL);
    EXPECT(t.irregularity != NULL && strstr(t.irregularity, "unknown block 0x2000") != NULL);
    EXPECT_EQ(t.n_ops, 5);
    EXPECT_EQ(trace_event_of(&t, 1), 3); /* the free that was made up */
    EXPECT_EQ(trace_event_of(&t, 2), 3);
    EXPECT_EQ(trace_event_of(&t, 3), 4);
    EXPECT_EQ(trace_event_of(&t, 4), 5);
    trace_release(&t);
}

TEST(trace_of_a_forked_process_may_free_what_it_inherited, 0)
{
    trace_t t = {.eai_inherits = true};
    add(&t, REC_FREE, 0x2000, 0, 0);
    add(&t, REC_REALLOC, 0x5000, 60, 0x3000);
    trace_finish(&t);
    EXPECT_EQ(t.n_irregular, 0);
    EXPECT_EQ(t.n_inherited, 2);
    EXPECT_EQ(t.n_ops, 1);
    trace_release(&t);
}

/* --- whole replays ---------------------------------------------------------------------------- */

TEST(replay_of_churn_is_intact_on_every_instance, 0)
{
    static const char *const profiles[] = {"default", "fast", "throughput", "tiny"};
    trace_t t = {0};
    build_churn(&t, 20000, 300);
    EXPECT_EQ(t.n_irregular, 0);
    for (int i = 0; i < 8; i++) {
        replay_result_t checked, fast;
        const eai_heap_ops_t *ops = heaps_find(profiles[i / 2], i % 2 ? 16 : 8, 32);
        EXPECT_EQ(replay(&t, ops, 400000, true, &checked), REPLAY_DONE);
        EXPECT_EQ(replay(&t, ops, 400000, false, &fast), REPLAY_DONE);
        EXPECT_EQ(checked.n_failures, 0);
        EXPECT_EQ(checked.n_damaged, 0);
        EXPECT_EQ(checked.n_ops, t.n_ops);
        EXPECT_EQ(checked.stats.n_live, t.end_live_blocks);
        EXPECT(checked.peak_used_bytes >= t.peak_gross_bytes);
        EXPECT_EQ(checked.peak_used_bytes, fast.peak_used_bytes); /* the same calls, both ways */
        EXPECT_EQ(checked.stats.n_allocs, fast.stats.n_allocs);
        EXPECT_EQ(checked.n_samples, 10);
        EXPECT_EQ(checked.samples[9].op, t.n_ops);
        EXPECT_EQ(checked.samples[9].live_bytes, t.end_live_bytes);
        replay_result_release(&checked);
        replay_result_release(&fast);
    }
    trace_release(&t);
}

TEST(replay_counts_failures_and_describes_the_first, 0)
{
    trace_t t = {0};
    add(&t, REC_ALLOC, 0x1000, 500, 0);
    add(&t, REC_USABLE, 0x1000, 0, 0);
    add(&t, REC_ALLOC, 0x2000, 5000, 0);        /* event 3: refused      */
    add(&t, REC_REALLOC, 0x3000, 40, 0x2000);   /* asks anew             */
    add(&t, REC_REALLOC, 0x4000, 7000, 0x1000); /* refused, block stays */
    add(&t, REC_ALLOC, 0x5000, 6000, 0);        /* refused               */
    add(&t, REC_FREE, 0x5000, 0, 0);            /* does nothing          */
    add(&t, REC_FREE, 0x4000, 0, 0);
    trace_finish(&t);
    for (int check = 0; check < 2; check++) {
        replay_result_t r;
        REQUIRE(replay(&t, heaps_find("default", 8, 32), 2048, check, &r) == REPLAY_DONE);
        EXPECT_EQ(r.n_failures, 3);
        EXPECT_EQ(r.first_failure.event, 3);
        EXPECT_EQ(r.first_failure.size_bytes, 5000);
        EXPECT(r.first_failure.free_bytes > 500 && r.first_failure.free_bytes < 1600);
        EXPECT(r.first_failure.largest_free_bytes <= r.first_failure.free_bytes);
        EXPECT_EQ(r.n_damaged, 0);
        EXPECT_EQ(r.stats.n_live, 1);
        replay_result_release(&r);
    }
    replay_result_t r;
    EXPECT_EQ(replay(&t, heaps_find("default", 8, 32), 40, true, &r), REPLAY_NO_HEAP);
    trace_release(&t);
}

TEST(replay_of_nothing_is_nothing, 0)
{
    trace_t t = {0};
    replay_result_t r;
    trace_finish(&t);
    REQUIRE(replay(&t, heaps_find("default", 8, 32), 2048, true, &r) == REPLAY_DONE);
    EXPECT_EQ(r.n_ops, 0);
    EXPECT_EQ(r.n_damaged, 0);
    EXPECT_EQ(r.peak_used_bytes, 0);
    replay_result_release(&r);
    trace_release(&t);
}

/* --- heaps that are broken on purpose --------------------------------------------------------- */

static const eai_heap_ops_t *const good = &eai_heap_ops_default8;
static void *victim;

static void *alloc_twice(ea_heap_t *heap, size_t size)
{
    if (size == 24 && victim != NULL) return victim; /* hands out a live block */
    void *block = good->alloc(heap, size);
    if (size == 24) victim = block;
    return block;
}

static void *alloc_outside(ea_heap_t *heap, size_t size)
{
    static _Alignas(16) char elsewhere[64];
    return size == 24 ? elsewhere : good->alloc(heap, size);
}

static void *alloc_short(ea_heap_t *heap, size_t size)
{
    return good->alloc(heap, size > 16 ? size - 16 : size);
}

static void *alloc_askew(ea_heap_t *heap, size_t size)
{
    char *block = good->alloc(heap, size + 16);
    return block == NULL ? NULL : block + 4;
}

static void *alloc_plain(ea_heap_t *heap, size_t align, size_t size)
{
    (void)align;
    return good->alloc(heap, size);
}

static void *calloc_dirty(ea_heap_t *heap, size_t n, size_t size)
{
    char *block = good->calloc(heap, n, size);
    if (block != NULL) block[n * size - 1] = 1;
    return block;
}

static void *realloc_forgets(ea_heap_t *heap, void *ptr, size_t size)
{
    void *block = good->alloc(heap, size);
    if (ptr != NULL) (void)good->free(heap, ptr);
    return block;
}

static ea_status_t free_nothing(ea_heap_t *heap, void *ptr)
{
    (void)heap;
    (void)ptr;
    return EA_OK;
}

static ea_status_t free_refuses(ea_heap_t *heap, void *ptr)
{
    (void)good->free(heap, ptr);
    return EA_ERR_CORRUPT;
}

static void *alloc_remembers(ea_heap_t *heap, size_t size)
{
    return victim = good->alloc(heap, size);
}

static ea_status_t free_scribbles(ea_heap_t *heap, void *ptr)
{
    ((char *)victim)[23] ^= 1; /* in the block that was made last, which lives to the end */
    return good->free(heap, ptr);
}

static ea_status_t check_complains(const ea_heap_t *heap, ea_heap_fault_t *fault)
{
    *fault = (ea_heap_fault_t){"I0 broken on purpose", heap};
    return EA_ERR_CORRUPT;
}

static void expect_damage(const char *what, eai_heap_ops_t broken, const char *message)
{
    trace_t t = {0};
    replay_result_t r;
    victim = NULL;
    for (uint64_t i = 1; i <= 20; i++) {
        add(&t, i % 4 == 0 ? REC_CALLOC : i % 4 == 1 ? REC_ALIGNED : REC_ALLOC, i << 12, 24, 0);
    }
    for (uint64_t i = 1; i <= 10; i++) add(&t, REC_REALLOC, i << 12, 200, i << 12);
    for (uint64_t i = 1; i <= 18; i += 2) add(&t, REC_FREE, i << 12, 0, 0);
    trace_finish(&t);
    REQUIRE(replay(&t, &broken, 65536, true, &r) == REPLAY_DONE);
    if (r.n_damaged == 0 || strstr(r.damage, message) == NULL) {
        tap_fail(__FILE__, __LINE__, what, (long long)r.n_damaged, 1);
    }
    replay_result_release(&r);
    trace_release(&t);
}

TEST(replay_catches_every_kind_of_broken_heap, 0)
{
    eai_heap_ops_t ops;
#define BREAK(member, with, message)                                                               \
    ops = *good;                                                                                   \
    ops.member = with;                                                                             \
    expect_damage(#with, ops, message)
    BREAK(alloc, alloc_twice, "contents damaged");
    BREAK(alloc, alloc_outside, "outside the heap");
    BREAK(alloc, alloc_short, "usable size");
    BREAK(alloc, alloc_askew, "not aligned");
    BREAK(aligned_alloc, alloc_plain, "not aligned");
    BREAK(calloc, calloc_dirty, "not zero");
    BREAK(realloc, realloc_forgets, "contents damaged");
    BREAK(free, free_nothing, "count of live blocks");
    BREAK(free, free_refuses, "free refused");
    BREAK(check, check_complains, "I0 broken on purpose");
#undef BREAK
    ops = *good;
    ops.alloc = alloc_remembers;
    ops.free = free_scribbles;
    expect_damage("free_scribbles", ops, "contents damaged at byte 23");
}

TEST(replay_without_checks_still_sees_a_refused_free, 0)
{
    trace_t t = {0};
    replay_result_t r;
    eai_heap_ops_t ops = *good;
    ops.free = free_refuses;
    add(&t, REC_ALLOC, 0x1000, 10, 0);
    add(&t, REC_FREE, 0x1000, 0, 0);
    trace_finish(&t);
    REQUIRE(replay(&t, &ops, 2048, false, &r) == REPLAY_DONE);
    EXPECT_EQ(r.n_damaged, 1);
    replay_result_release(&r);
    trace_release(&t);
}

/* --- the smallest heap ------------------------------------------------------------------------ */

TEST(find_min_is_exact_without_fragmentation, 0)
{
    for (unsigned jobs = 1; jobs <= 3; jobs++) {
        trace_t t = {0};
        find_min_result_t found;
        replay_options_t options = {.ops = good};
        for (uint64_t i = 1; i <= 100; i++) add(&t, REC_ALLOC, i << 12, 100, 0);
        trace_finish(&t);
        size_t perfect = replay_perfect_bytes(&t, good, EA_FIT_GOOD);
        EXPECT_EQ(perfect, 104 * 100 + replay_control_bytes(good, EA_FIT_GOOD, 11000));
        EXPECT_EQ(find_min(&t, &options, jobs, NULL, &found), FIND_MIN_DONE);
        EXPECT(found.smallest_bytes >= perfect && found.smallest_bytes <= perfect + 24);
        EXPECT_EQ(found.n_exceptions, 0);
        EXPECT_EQ(found.safe_bytes, found.smallest_bytes);
        trace_release(&t);
    }
}

static size_t gap_from, gap_to;

static ea_heap_t *init_with_a_gap(void *mem, size_t size, const ea_heap_options_t *options)
{
    return size >= gap_from && size < gap_to ? NULL : good->init(mem, size, options);
}

TEST(find_min_reports_larger_sizes_that_fail, 0)
{
    trace_t t = {0};
    find_min_result_t plain, found;
    eai_heap_ops_t ops = *good;
    replay_options_t options = {.ops = good};
    for (uint64_t i = 1; i <= 2000; i++) add(&t, REC_ALLOC, i << 12, 100, 0);
    trace_finish(&t);
    REQUIRE(find_min(&t, &options, 2, NULL, &plain) == FIND_MIN_DONE);
    gap_from = plain.smallest_bytes / 1000 * 1004;
    gap_to = plain.smallest_bytes / 1000 * 1007;
    ops.init = init_with_a_gap;
    options.ops = &ops;
    REQUIRE(find_min(&t, &options, 2, NULL, &found) == FIND_MIN_DONE);
    EXPECT(found.smallest_bytes < gap_from);
    EXPECT_EQ(found.n_exceptions, 3);
    EXPECT(found.exceptions[0] >= gap_from && found.exceptions[2] < gap_to);
    EXPECT(found.safe_bytes >= gap_to && found.safe_bytes < gap_to + plain.smallest_bytes / 500);
    trace_release(&t);
}

TEST(find_min_says_when_no_heap_will_do, 0)
{
    trace_t t = {0};
    find_min_result_t found;
    replay_options_t options = {.ops = heaps_find("default", 8, 16)}; /* reaches 256 KB */
    add(&t, REC_ALLOC, 0x1000, 300000, 0);
    trace_finish(&t);
    EXPECT_EQ(find_min(&t, &options, 2, NULL, &found), FIND_MIN_NONE);
    trace_release(&t);
}

/* --- the time of each operation --------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

TEST(histogram_tells_quantiles_to_one_in_sixty_four, 0)
{
    enum { N = 5000 };
    static histogram_t h;
    static uint32_t values[N];
    uint32_t seed = 3, wrong = 0;
    h = (histogram_t){0};
    EXPECT_EQ(histogram_quantile(&h, 5000), 0);
    for (uint32_t i = 0; i < N; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = i < 40 ? UINT32_MAX - i : seed >> (seed >> 8) % 32;
        histogram_add(&h, values[i]);
    }
    qsort(values, N, sizeof values[0], by_value);
    for (unsigned q = 0; q <= 10000; q += 25) {
        uint64_t rank = ((uint64_t)N * q + 9999) / 10000;
        uint32_t truth = values[rank > 0 ? rank - 1 : 0], told = histogram_quantile(&h, q);
        wrong += told < truth || told - truth > truth / 64 || (truth < 128 && told != truth);
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(histogram_quantile(&h, 10000), UINT32_MAX);
}

/* A heap whose every allocation of 77 bytes takes its time. */
static const eai_heap_ops_t *quick_ops;

static void *alloc_slowly(ea_heap_t *heap, size_t size)
{
    struct timespec now, start;
    if (size == 77) {
        clock_gettime(CLOCK_MONOTONIC, &start);
        do clock_gettime(CLOCK_MONOTONIC, &now);
        while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < 300000);
    }
    return quick_ops->alloc(heap, size);
}

TEST(latency_counts_every_operation_and_finds_the_slow_ones, 0)
{
    trace_t t = {0};
    latency_t latency;
    replay_memory_t memory = {0};
    for (uint64_t i = 1; i <= 1000; i++) add(&t, REC_ALLOC, i * 4096, i % 100 == 0 ? 77 : 50, 0);
    for (uint64_t i = 1; i <= 300; i++) add(&t, REC_REALLOC, i * 4096, 60, i * 4096);
    for (uint64_t i = 1; i <= 500; i++) add(&t, REC_FREE, i * 4096, 0, 0);
    add(&t, REC_ALLOC, 8000000, 500000, 0); /* refused: an operation all the same */
    add(&t, REC_FREE, 8000000, 0, 0);       /* and this is none */
    trace_finish(&t);
    quick_ops = heaps_find("default", 8, 32);
    eai_heap_ops_t ops = *quick_ops;
    ops.alloc = alloc_slowly;
    replay_options_t options = {.ops = &ops, .heap_bytes = 200000};
    REQUIRE(latency_measure(&t, &options, &memory, &latency));
    EXPECT_EQ(latency.kind[LATENCY_ALLOC].count, 1001);
    EXPECT_EQ(latency.kind[LATENCY_REALLOC].count, 300);
    EXPECT_EQ(latency.kind[LATENCY_FREE].count, 500);
    EXPECT(latency.kind[LATENCY_ALLOC].median_ns < 100000);
    EXPECT(latency.kind[LATENCY_ALLOC].p999_ns >= 290000); /* 10 in 1001 */
    EXPECT(latency.kind[LATENCY_ALLOC].worst_ns >= latency.kind[LATENCY_ALLOC].p999_ns);
    EXPECT(latency.kind[LATENCY_FREE].median_ns <= latency.kind[LATENCY_FREE].p99_ns);
    EXPECT(latency.clock_ns > 0 && latency.clock_ns < 100000 && latency.step_ns > 0);
    replay_memory_release(&memory);
    trace_release(&t);
}

TEST(find_min_stays_within_what_the_heap_can_be, 0)
{
    trace_t t = {0};
    find_min_result_t found;
    replay_options_t options = {.ops = heaps_find("default", 8, 16)}; /* reaches 256 KB */
    size_t least, most;
    replay_heap_limits(options.ops, options.fit, &least, &most);
    EXPECT(least > 100 && least < 1000 && most >= 1 << 18 && most < (1 << 18) + 8);
    add(&t, REC_ALLOC, 0x1000, most - 700, 0); /* only the largest heaps hold it */
    trace_finish(&t);
    EXPECT_EQ(find_min(&t, &options, 2, NULL, &found), FIND_MIN_DONE);
    EXPECT(found.smallest_bytes <= most);
    EXPECT(found.n_verified < FIND_MIN_VERIFIED);
    EXPECT_EQ(found.n_exceptions, 0);
    trace_release(&t);
}

/* --- movable blocks --------------------------------------------------------------------------- */

static const eai_movable_ops_t *const movable_good = &eai_movable_ops_medium;

static movable_result_t run_movable(const trace_t *t, const eai_movable_ops_t *ops,
                                    size_t region_bytes, size_t demand_bytes)
{
    replay_memory_t memory = {0};
    movable_result_t result;
    movable_options_t options = {.ops = ops,
                                 .region_bytes = region_bytes,
                                 .demand_bytes = demand_bytes,
                                 .check_contents = true};
    EXPECT_EQ(movable_run(t, &options, &memory, &result), REPLAY_DONE);
    replay_memory_release(&memory);
    return result;
}

TEST(movable_need_is_what_blocks_and_table_take, 0)
{
    trace_t t = {0};
    movable_need_t need;
    add(&t, REC_ALLOC, 0x1000, 100, 0);         /* 104 bytes; large: 112 */
    add(&t, REC_CALLOC, 0x2000, 0, 0);          /* 8; 16                 */
    add(&t, REC_ALIGNED, 0x3000, 13, 0);        /* 20; 24                */
    add(&t, REC_REALLOC, 0x4000, 1001, 0x1000); /* 1008; 1016            */
    for (uint64_t i = 0; i < 33; i++) add(&t, REC_ALLOC, 0x5000 + i * 16, 4, 0); /* 8; 16 each */
    trace_finish(&t);
    REQUIRE(movable_need(&t, &eai_movable_ops_small, &need));
    EXPECT_EQ(need.blocks_bytes, 1008 + 8 + 20 + 33 * 8);
    EXPECT_EQ(need.table_bytes, 2 * 68); /* 36 handles, 32 a chunk */
    EXPECT_EQ(need.total_bytes, need.blocks_bytes + need.table_bytes + need.control_bytes);
    REQUIRE(movable_need(&t, &eai_movable_ops_medium, &need));
    EXPECT_EQ(need.blocks_bytes, 1008 + 8 + 20 + 33 * 8);
    EXPECT_EQ(need.table_bytes, 5 * 32);
    REQUIRE(movable_need(&t, &eai_movable_ops_large, &need));
    EXPECT_EQ(need.blocks_bytes, 1016 + 16 + 24 + 33 * 16);
    EXPECT_EQ(need.table_bytes, 5 * 64);
    trace_release(&t);
}

/* Handles may be most numerous when bytes are not: then both peaks together are too much. */
TEST(movable_need_is_of_one_time, 0)
{
    trace_t t = {0};
    movable_need_t need;
    add(&t, REC_ALLOC, 0x1000, 10000, 0);
    add(&t, REC_FREE, 0x1000, 0, 0);
    for (uint64_t i = 0; i < 80; i++) add(&t, REC_ALLOC, 0x5000 + i * 16, 4, 0);
    trace_finish(&t);
    REQUIRE(movable_need(&t, movable_good, &need));
    EXPECT_EQ(need.table_bytes, 10 * 32);
    EXPECT_EQ(need.total_bytes, 10004 + 32 + need.control_bytes);
    EXPECT_EQ(
        run_movable(&t, movable_good, (size_t)need.total_bytes, EA_MOVABLE_UNLIMITED).n_failures,
        0);
    trace_release(&t);
}

TEST(movable_need_keeps_the_table_as_large_as_it_was, 0)
{
    trace_t t = {0};
    movable_need_t need;
    for (uint64_t i = 0; i < 80; i++) add(&t, REC_ALLOC, 0x5000 + i * 16, 4, 0);
    for (uint64_t i = 0; i < 80; i++) add(&t, REC_FREE, 0x5000 + i * 16, 0, 0);
    add(&t, REC_ALLOC, 0x1000, 10000, 0);
    trace_finish(&t);
    REQUIRE(movable_need(&t, movable_good, &need));
    EXPECT_EQ(need.total_bytes, 10004 + 320 + need.control_bytes);
    EXPECT_EQ(
        run_movable(&t, movable_good, (size_t)need.total_bytes, EA_MOVABLE_UNLIMITED).n_failures,
        0);
    EXPECT(run_movable(&t, movable_good, (size_t)need.total_bytes - 4, EA_MOVABLE_UNLIMITED)
               .n_failures > 0);
    trace_release(&t);
}

TEST(movable_replay_completes_in_the_least_memory_there_can_be, 0)
{
    trace_t t = {0};
    build_churn(&t, 20000, 200);
    for (int i = 0; i < MOVABLE_LAYOUTS; i++) {
        const eai_movable_ops_t *ops = movable_layouts[i];
        movable_need_t need;
        REQUIRE(movable_need(&t, ops, &need));
        movable_result_t r = run_movable(&t, ops, (size_t)need.total_bytes, EA_MOVABLE_UNLIMITED);
        EXPECT_EQ(r.n_failures, 0);
        EXPECT_EQ(r.n_damaged, 0);
        EXPECT_EQ(r.n_ops, t.n_ops);
        EXPECT_EQ(r.n_aligned, t.n_aligned);
        EXPECT_EQ(r.stats.n_live, t.end_live_blocks);
        EXPECT(r.stats.moved_bytes > 0 && r.most_moved_bytes > 0);
        EXPECT(r.most_moved_bytes <= r.stats.moved_bytes);
        r = run_movable(&t, ops, (size_t)need.total_bytes - ops->unit_bytes, EA_MOVABLE_UNLIMITED);
        EXPECT(r.n_failures > 0);
        EXPECT_EQ(r.n_refused[MOVABLE_NO_MEMORY], r.n_failures);
        EXPECT_EQ(r.n_damaged, 0);
        r = run_movable(&t, ops, (size_t)need.total_bytes, 0);
        EXPECT(r.n_refused[MOVABLE_AGAIN] > 0);
        EXPECT_EQ(r.n_damaged, 0);
    }
    trace_release(&t);
}

TEST(movable_find_min_finds_it_with_and_without_a_budget, 0)
{
    trace_t t = {0};
    movable_need_t need;
    find_min_result_t found;
    movable_result_t result;
    replay_memory_t memory = {0};
    build_churn(&t, 5000, 100);
    REQUIRE(movable_need(&t, movable_good, &need));
    movable_options_t options = {.ops = movable_good, .demand_bytes = EA_MOVABLE_UNLIMITED};
    EXPECT_EQ(movable_find_min(&t, &options, &need, 2, NULL, &memory, &found, &result),
              FIND_MIN_DONE);
    EXPECT_EQ(found.smallest_bytes, need.total_bytes);
    EXPECT_EQ(found.n_runs, 1);
    options.demand_bytes = 700;
    options.idle_bytes = 64;
    options.idle_every = 3;
    EXPECT_EQ(movable_find_min(&t, &options, &need, 2, NULL, &memory, &found, &result),
              FIND_MIN_DONE);
    EXPECT(found.smallest_bytes > need.total_bytes);
    EXPECT_EQ(options.region_bytes, found.smallest_bytes);
    EXPECT_EQ(result.n_failures, 0);
    EXPECT_EQ(result.n_steps, t.n_ops / 3);
    EXPECT(result.stats.max_demand_bytes <= 700);
    options.ops = &eai_movable_ops_small;
    need.total_bytes = options.ops->most_bytes + 1;
    EXPECT_EQ(movable_find_min(&t, &options, &need, 2, NULL, &memory, &found, &result),
              FIND_MIN_NONE);
    replay_memory_release(&memory);
    trace_release(&t);
}

TEST(movable_replay_tells_why_it_was_refused, 0)
{
    trace_t t = {0};
    for (uint64_t i = 1; i <= 3000; i++) add(&t, REC_ALLOC, i << 12, 4, 0); /* 2048 handles */
    add(&t, REC_FREE, 2500 << 12, 0, 0);                                    /* does nothing */
    add(&t, REC_REALLOC, 2600 << 12, 60, 2600 << 12);                       /* asks anew    */
    add(&t, REC_ALLOC, 0x10, 70000, 0);
    add(&t, REC_FREE, 1 << 12, 0, 0);
    add(&t, REC_ALLOC, 0x20, 70000, 0);
    add(&t, REC_FREE, 3 << 12, 0, 0);
    add(&t, REC_ALLOC, 0x30, 45000, 0);
    trace_finish(&t);
    movable_result_t r = run_movable(&t, &eai_movable_ops_small, 60000, 0);
    EXPECT_EQ(r.n_refused[MOVABLE_LIMIT], 3000 - 2048 + 1 + 1);
    EXPECT_EQ(r.n_refused[MOVABLE_TOO_LARGE], 1);
    EXPECT_EQ(r.n_refused[MOVABLE_NO_MEMORY], 1);
    EXPECT_EQ(r.n_failures, 3000 - 2048 + 4);
    EXPECT_EQ(r.first_failure.event, 2049);
    EXPECT_EQ(r.first_failure.size_bytes, 4);
    EXPECT_EQ(r.first_failure.reason, MOVABLE_LIMIT);
    trace_release(&t);
}

static uint64_t n_locks;

static void *lock_askew(ea_movable_t *m, ea_movable_handle_t handle)
{
    return (char *)movable_good->lock(m, handle) + 2;
}

static void *lock_elsewhere(ea_movable_t *m, ea_movable_handle_t handle)
{
    static _Alignas(8) char elsewhere[256];
    return movable_good->lock(m, handle) ? elsewhere : NULL;
}

static void *lock_none(ea_movable_t *m, ea_movable_handle_t handle)
{
    (void)m, (void)handle;
    return NULL;
}

static void *lock_scribbles(ea_movable_t *m, ea_movable_handle_t handle)
{
    char *block = movable_good->lock(m, handle);
    if (++n_locks == 80) block[23] ^= 1;
    return block;
}

static size_t size_short(ea_movable_t *m, ea_movable_handle_t handle)
{
    return movable_good->size_bytes(m, handle) - 8;
}

static ea_status_t unlock_refuses(ea_movable_t *m, ea_movable_handle_t handle)
{
    (void)movable_good->unlock(m, handle);
    return EA_ERR_INVALID;
}

static ea_status_t movable_free_nothing(ea_movable_t *m, ea_movable_handle_t handle)
{
    (void)m, (void)handle;
    return EA_OK;
}

static ea_status_t movable_free_refuses(ea_movable_t *m, ea_movable_handle_t handle)
{
    (void)movable_good->free(m, handle);
    return EA_ERR_BUSY;
}

static ea_status_t resize_nothing(ea_movable_t *m, ea_movable_handle_t handle, size_t size_bytes,
                                  size_t budget_bytes)
{
    (void)m, (void)handle, (void)size_bytes, (void)budget_bytes;
    return EA_OK;
}

static ea_status_t movable_check_complains(const ea_movable_t *m, ea_movable_fault_t *fault)
{
    *fault = (ea_movable_fault_t){"I0 broken on purpose", m};
    return EA_ERR_CORRUPT;
}

static void expect_movable_damage(const char *what, eai_movable_ops_t broken, const char *message)
{
    trace_t t = {0};
    n_locks = 0;
    for (uint64_t i = 1; i <= 60; i++) add(&t, i % 4 ? REC_ALLOC : REC_CALLOC, i << 12, 24, 0);
    for (uint64_t i = 1; i <= 10; i++) add(&t, REC_REALLOC, i << 12, 200, i << 12);
    for (uint64_t i = 1; i <= 58; i += 2) add(&t, REC_FREE, i << 12, 0, 0);
    trace_finish(&t);
    movable_result_t r = run_movable(&t, &broken, 65536, EA_MOVABLE_UNLIMITED);
    if (r.n_damaged == 0 || strstr(r.damage, message) == NULL)
        tap_fail(__FILE__, __LINE__, what, (long long)r.n_damaged, 1);
    trace_release(&t);
}

TEST(movable_replay_catches_every_kind_of_broken_store, 0)
{
    eai_movable_ops_t ops;
#define BREAK(member, with, message)                                                               \
    ops = *movable_good;                                                                           \
    ops.member = with;                                                                             \
    expect_movable_damage(#with, ops, message)
    BREAK(lock, lock_askew, "not aligned");
    BREAK(lock, lock_elsewhere, "outside the region");
    BREAK(lock, lock_none, "cannot be locked");
    BREAK(lock, lock_scribbles, "contents damaged at byte 23");
    BREAK(size_bytes, size_short, "usable size");
    BREAK(unlock, unlock_refuses, "unlock refused");
    BREAK(free, movable_free_nothing, "count of live blocks");
    BREAK(free, movable_free_refuses, "free refused");
    BREAK(resize, resize_nothing, "usable size");
    BREAK(check, movable_check_complains, "I0 broken on purpose");
#undef BREAK
}

TEST_MAIN(&idmap_agrees_with_a_table, &pattern_sees_every_byte_and_every_shift,
          &trace_computes_peaks_and_perfect_packing, &trace_names_the_first_irregular_event,
          &trace_of_a_forked_process_may_free_what_it_inherited,
          &replay_of_churn_is_intact_on_every_instance,
          &replay_counts_failures_and_describes_the_first, &replay_of_nothing_is_nothing,
          &replay_catches_every_kind_of_broken_heap,
          &replay_without_checks_still_sees_a_refused_free,
          &find_min_is_exact_without_fragmentation, &find_min_reports_larger_sizes_that_fail,
          &find_min_says_when_no_heap_will_do, &histogram_tells_quantiles_to_one_in_sixty_four,
          &latency_counts_every_operation_and_finds_the_slow_ones,
          &find_min_stays_within_what_the_heap_can_be, &movable_need_is_what_blocks_and_table_take,
          &movable_need_is_of_one_time, &movable_need_keeps_the_table_as_large_as_it_was,
          &movable_replay_completes_in_the_least_memory_there_can_be,
          &movable_find_min_finds_it_with_and_without_a_budget,
          &movable_replay_tells_why_it_was_refused,
          &movable_replay_catches_every_kind_of_broken_store)
