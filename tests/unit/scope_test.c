/* SPDX-License-Identifier: MIT
 *
 * What operations cost (row B6): a scope tells what came and went in it, to the byte, its highest
 * level and its time, however scopes are nested and left; each name has a row of sums.
 */
#include <string.h>

#include "ealloc/allocator.h"
#include "ealloc/port.h"
#include "ealloc/scope.h"
#include "tap.h"

#define N_NAMES 8u
#define BYTES EA_SCOPES_BYTES(N_NAMES, 2)

static volatile uint32_t ticks;
static ea_scope_record_t last;
static unsigned n_told;

static void tell(void *context, const ea_scope_record_t *record)
{
    (void)context;
    last = *record;
    n_told++;
}

static const ea_scopes_options_t options = {
    .n_names = N_NAMES, .n_tasks = 2, .clock = &ticks, .tick_us = 100, .record = tell};
static ea_scopes_t s;

static bool begin(void)
{
    ticks = n_told = 0;
    return ea_scopes_init(&s, tap_ram(), BYTES, &options) == EA_OK;
}

static void take(size_t size_bytes)
{
    ea_scopes_count(&s, EA_BLOCK_ALLOCATED, size_bytes);
}

static void give(size_t size_bytes)
{
    ea_scopes_count(&s, EA_BLOCK_FREED, size_bytes);
}

static ea_scope_row_t row_of(const char *name)
{
    ea_scope_row_t row;
    size_t cursor = 0;
    while (ea_scopes_next(&s, &cursor, &row) == EA_OK)
        if (row.name == name) return row;
    memset(&row, 0, sizeof row);
    return row;
}

TEST(scopes_init_refuses_what_cannot_be_its_tables, BYTES)
{
    char *ram = tap_ram();
    ea_scopes_options_t o = options;
    EXPECT_EQ(ea_scopes_init(NULL, ram, BYTES, &o), EA_ERR_INVALID);
    EXPECT_EQ(ea_scopes_init(&s, NULL, BYTES, &o), EA_ERR_INVALID);
    EXPECT_EQ(ea_scopes_init(&s, ram, BYTES, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_scopes_init(&s, ram, BYTES - 1, &o), EA_ERR_INVALID);
    EXPECT_EQ(ea_scopes_init(&s, ram + 1, BYTES, &o), EA_ERR_INVALID);
    o.n_names = 4;
    EXPECT_EQ(ea_scopes_init(&s, ram, BYTES, &o), EA_ERR_INVALID);
    o.n_names = 12;
    EXPECT_EQ(ea_scopes_init(&s, ram, BYTES, &o), EA_ERR_INVALID);
    o = options;
    o.n_tasks = 0;
    EXPECT_EQ(ea_scopes_init(&s, ram, BYTES, &o), EA_ERR_INVALID);
    o.n_tasks = 65536;
    EXPECT_EQ(ea_scopes_init(&s, ram, SIZE_MAX, &o), EA_ERR_INVALID);
    o = options;
    o.tick_us = 0;
    EXPECT_EQ(ea_scopes_init(&s, ram, BYTES, &o), EA_ERR_INVALID);
    for (unsigned i = 0; i < BYTES; i++) EXPECT_EQ((unsigned char)ram[i], 0xA5);
    EXPECT_EQ(ea_scopes_init(&s, ram, BYTES, &options), EA_OK);
}

TEST(scope_tells_delta_peak_and_time, BYTES)
{
    REQUIRE(begin());
    ea_scope_t scope;
    ea_scope_record_t r;
    take(1000); /* outside of any scope */
    ea_scope_begin(&scope, &s, "op");
    take(100);
    take(40);
    give(100);
    take(16);
    ea_scopes_count(&s, EA_BLOCK_REFUSED, 5000);
    ea_scopes_count(&s, EA_BLOCK_BAD_FREE, 0);
    ea_scopes_count(&s, EA_BLOCK_TRANSFERRED, 16);
    ea_scopes_count(&s, EA_BLOCK_MOVED, 16);
    ea_scopes_count(&s, EA_BLOCK_RESIZED, 24);
    ticks = 7;
    EXPECT_EQ(ea_scope_end(&scope, &r), EA_OK);
    EXPECT_EQ(ea_scope_end(&scope, &r), EA_ERR_NOT_FOUND);
    take(1000);
    EXPECT_EQ(n_told, 1);
    EXPECT(memcmp(&last, &r, sizeof r) == 0);
    EXPECT(strcmp(r.name, "op") == 0);
    EXPECT_EQ(r.depth, 0);
    EXPECT_EQ(r.delta_bytes, 64);
    EXPECT_EQ(r.peak_bytes, 140);
    EXPECT_EQ(r.alloc_bytes, 180);
    EXPECT_EQ(r.freed_bytes, 116);
    EXPECT_EQ(r.n_allocs, 4);
    EXPECT_EQ(r.n_frees, 2);
    EXPECT_EQ(r.n_refused, 1);
    EXPECT_EQ(r.duration_us, 700);
}

TEST(scope_that_frees_what_was_there_before_is_below_zero, BYTES)
{
    REQUIRE(begin());
    ea_scope_t scope;
    ea_scope_record_t r;
    static const char name[] = "free";
    ea_scope_begin(&scope, &s, name);
    give(500);
    take(100);
    EXPECT_EQ(ea_scope_end(&scope, &r), EA_OK);
    EXPECT_EQ(r.delta_bytes, -400);
    EXPECT_EQ(r.peak_bytes, 0);
    EXPECT_EQ(row_of(name).max_delta_bytes, -400);
    EXPECT_EQ(row_of(name).total_delta_bytes, -400);
}

TEST(scopes_nest_and_the_outer_one_has_it_all, BYTES)
{
    REQUIRE(begin());
    ea_scope_t outer, inner;
    ea_scope_record_t r;
    ea_scope_begin(&outer, &s, "outer");
    take(100);
    give(100);
    take(10);
    for (unsigned i = 0; i < 2; i++) {
        ea_scope_begin(&inner, &s, "inner");
        take(70);
        give(60);
        EXPECT_EQ(ea_scope_end(&inner, &r), EA_OK);
        EXPECT_EQ(r.depth, 1);
        EXPECT_EQ(r.delta_bytes, 10);
        EXPECT_EQ(r.peak_bytes, 70);
    }
    EXPECT_EQ(ea_scope_end(&outer, &r), EA_OK);
    EXPECT_EQ(r.delta_bytes, 30);
    EXPECT_EQ(r.peak_bytes, 100); /* before the inner ones, which came to 90 */
    EXPECT_EQ(r.n_allocs, 4);
    ea_scopes_stats_t stats;
    ea_scopes_stats(&s, &stats);
    EXPECT_EQ(stats.n_open, 0);
    EXPECT_EQ(stats.n_unmeasured, 0);
}

TEST(scopes_that_were_jumped_over_end_with_the_one_around, BYTES)
{
    REQUIRE(begin());
    ea_scope_t outer, lost;
    ea_scope_record_t r;
    ea_scope_begin(&outer, &s, "outer");
    take(10);
    ea_scope_begin(&lost, &s, "lost");
    memset(&lost, 0xA5, sizeof lost); /* longjmp, and its frame was used again */
    take(20);
    EXPECT_EQ(ea_scope_end(&outer, &r), EA_OK);
    EXPECT_EQ(r.delta_bytes, 30);
    EXPECT_EQ(r.peak_bytes, 30);
    EXPECT_EQ(r.depth, 0);
}

TEST(scope_rows_sum_up_by_name, BYTES)
{
    static const char a[] = "a", b[] = "b";
    ea_scope_t scope;
    REQUIRE(begin());
    for (unsigned i = 1; i <= 4; i++) {
        ea_scope_begin(&scope, &s, i % 2 ? a : b);
        take(i == 4 ? 15 : 10 * i);
        if (i == 3) give(25);
        ea_scopes_count(&s, EA_BLOCK_REFUSED, 500);
        ticks += 10 * (5 - i);
        EXPECT_EQ(ea_scope_end(&scope, NULL), EA_OK);
    }
    ea_scope_row_t row = row_of(a);
    EXPECT_EQ(row.n_runs, 2);
    EXPECT_EQ(row.last_delta_bytes, 5);
    EXPECT_EQ(row.max_delta_bytes, 10);
    EXPECT_EQ(row.total_delta_bytes, 15);
    EXPECT_EQ(row.max_peak_bytes, 30);
    EXPECT_EQ(row.alloc_bytes, 40);
    EXPECT_EQ(row.freed_bytes, 25);
    EXPECT_EQ(row.n_allocs, 2);
    EXPECT_EQ(row.n_frees, 1);
    EXPECT_EQ(row.n_refused, 2);
    EXPECT_EQ(row.last_us, 2000);
    EXPECT_EQ(row.max_us, 4000);
    EXPECT_EQ(row.total_us, 6000);
    EXPECT_EQ(row_of(b).n_runs, 2);
    EXPECT_EQ(row_of(b).max_peak_bytes, 20);
    EXPECT_EQ(row_of(NULL).n_runs, 0);
    EXPECT_EQ(row_of(NULL).max_delta_bytes, 0);
    size_t cursor = 0;
    EXPECT_EQ(ea_scopes_next(NULL, &cursor, &row), EA_ERR_INVALID);
    EXPECT_EQ(ea_scopes_next(&s, NULL, &row), EA_ERR_INVALID);
    EXPECT_EQ(ea_scopes_next(&s, &cursor, NULL), EA_ERR_INVALID);
}

TEST(scopes_of_more_names_than_rows_count_for_other, BYTES)
{
    static const char names[3 * N_NAMES];
    ea_scope_t scope;
    REQUIRE(begin());
    for (unsigned i = 0; i < 3 * N_NAMES; i++) {
        ea_scope_begin(&scope, &s, &names[i]);
        take(8);
        EXPECT_EQ(ea_scope_end(&scope, NULL), EA_OK);
    }
    ea_scope_row_t row;
    size_t cursor = 0, n = 0, bytes = 0, n_rows = 0;
    for (; ea_scopes_next(&s, &cursor, &row) == EA_OK; n_rows++) {
        n += row.n_runs;
        bytes += row.alloc_bytes;
    }
    EXPECT_EQ(n_rows, N_NAMES + 1);
    EXPECT_EQ(n, 3 * N_NAMES);
    EXPECT_EQ(bytes, 8 * 3 * N_NAMES);
    EXPECT_EQ(row_of(NULL).n_runs, 2 * N_NAMES);
}

TEST(scopes_total_time_outlasts_a_word, BYTES)
{
    static const char name[] = "long";
    ea_scope_t scope;
    REQUIRE(begin());
    for (unsigned i = 0; i < 3; i++) {
        ea_scope_begin(&scope, &s, name);
        ticks += 40000000u; /* 4000 s: past 2^32 us in the second, and the clock wraps in none */
        EXPECT_EQ(ea_scope_end(&scope, NULL), EA_OK);
    }
    EXPECT_EQ(row_of(name).total_us, (uint64_t)3 * 4000000000u);
    ticks = UINT32_MAX - 2;
    ea_scope_begin(&scope, &s, name);
    ticks += 5; /* it wraps */
    ea_scope_record_t r;
    EXPECT_EQ(ea_scope_end(&scope, &r), EA_OK);
    EXPECT_EQ(r.duration_us, 500);
    ticks = 0;
    ea_scope_begin(&scope, &s, name);
    ticks = 43000000; /* 4300 s: more than a row's times can say */
    EXPECT_EQ(ea_scope_end(&scope, &r), EA_OK);
    EXPECT_EQ(r.duration_us, 4300000000);
    EXPECT_EQ(row_of(name).last_us, UINT32_MAX);
    EXPECT_EQ(row_of(name).max_us, UINT32_MAX);
}

TEST(scopes_without_a_clock_are_timed_by_the_port, BYTES)
{
    ea_scopes_options_t o = options;
    ea_scope_t scope;
    ea_scope_record_t r;
    o.clock = NULL;
    REQUIRE(ea_scopes_init(&s, tap_ram(), BYTES, &o) == EA_OK);
    uint64_t begin_us = ea_port_time_us();
    ea_scope_begin(&scope, &s, "port");
    for (unsigned i = 0; i < 1000000 && ea_port_time_us() - begin_us < 50; i++) take(8);
    uint64_t inside_us = ea_port_time_us();
    EXPECT_EQ(ea_scope_end(&scope, &r), EA_OK);
    EXPECT(r.duration_us <= ea_port_time_us() - begin_us);
    EXPECT(inside_us - begin_us < 50 || r.duration_us > 0);
}

TEST(scope_is_not_ended_by_another_context, BYTES)
{
    REQUIRE(begin());
    uintptr_t *places = (uintptr_t *)tap_ram() + (N_NAMES + 1) * EAI_SCOPE_ROW_WORDS;
    ea_scope_t scope;
    ea_scope_begin(&scope, &s, "op");
    uintptr_t *place = places[0] ? places : places + EAI_SCOPE_TASK_WORDS, slot = *place;
    *place = 4; /* now it is another task's */
    EXPECT_EQ(ea_scope_end(&scope, NULL), EA_ERR_NOT_FOUND);
    EXPECT_EQ(n_told, 0);
    *place = slot;
    EXPECT_EQ(ea_scope_end(&scope, NULL), EA_OK);
    EXPECT_EQ(n_told, 1);
    EXPECT_EQ(*place, 0); /* for another task */
}

TEST(scopes_without_a_place_for_their_task_are_not_measured, BYTES)
{
    REQUIRE(begin());
    uintptr_t *places = (uintptr_t *)tap_ram() + (N_NAMES + 1) * EAI_SCOPE_ROW_WORDS;
    places[0] = places[EAI_SCOPE_TASK_WORDS] = 4; /* two other tasks are inside */
    ea_scope_t scope;
    ea_scope_begin(&scope, &s, "op");
    take(10);
    EXPECT_EQ(ea_scope_end(&scope, NULL), EA_ERR_NOT_FOUND);
    EXPECT_EQ(n_told, 0);
    ea_scopes_stats_t stats;
    ea_scopes_stats(&s, &stats);
    EXPECT_EQ(stats.n_unmeasured, 1);
    EXPECT_EQ(stats.n_open, 0);
    places[0] = 0;
    ea_scope_begin(&scope, &s, "op");
    EXPECT_EQ(ea_scope_end(&scope, NULL), EA_OK);
}

static int leave_by(int how)
{
    EA_TRACK(&s, "track")
    {
        take(8);
        if (how == 1) break;
        if (how == 2) continue;
        if (how == 3) return 3;
        if (how == 4) goto out;
        take(8);
    }
out:
    return 0;
}

TEST(track_ends_by_whatever_way_it_is_left, BYTES)
{
    REQUIRE(begin());
    for (int how = 0; how < 5; how++) {
        (void)leave_by(how);
        EXPECT_EQ(n_told, how + 1);
        EXPECT_EQ(last.delta_bytes, how ? 8 : 16);
    }
    EA_TRACK((ea_scopes_t *)NULL, "nothing") take(1);
    EA_TRACK(&s, "outer") EA_TRACK(&s, "inner") take(3);
    EXPECT_EQ(last.delta_bytes, 3);
    EXPECT_EQ(n_told, 7);
}

TEST(scope_of_an_allocator_is_right_to_the_byte, BYTES + 4096)
{
    static ea_allocator_t a;
    REQUIRE(begin());
    REQUIRE(ea_allocator_init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, (char *)tap_ram() + (BYTES + 15) / 16 * 16, 4000, NULL) ==
            EA_OK);
#if EA_CFG_ALLOC_HOOK
    static ea_poolset_t pools;
    static _Alignas(16) unsigned char blocks[1500];
    const ea_poolset_class_t classes[] = {{48, 8}, {96, 4}};
    REQUIRE(ea_scopes_attach(&s, &a) == EA_OK);
    EXPECT_EQ(ea_scopes_attach(&s, &a), EA_ERR_BUSY);
    REQUIRE(ea_poolset_init(&pools, blocks, sizeof blocks, classes, 2, NULL) == EA_OK);
    void *kept = ea_malloc(&a, 13);
    for (size_t size = 1; size < 200; size += 7) {
#if EA_CFG_ALLOC_POOLS
        if (size == 8) REQUIRE(ea_allocator_set_pools(&a, &pools) == EA_OK);
#endif
        EA_TRACK(&s, "all goes")
        {
            void *p = ea_malloc(&a, size);
            p = ea_realloc(&a, p, size + 3); /* where it is, or elsewhere */
            void *wall = ea_malloc(&a, 30);
            p = ea_realloc(&a, p, 3 * size);
            p = ea_realloc(&a, p, size / 2 + 1);
            (void)ea_free(&a, p);
            (void)ea_free(&a, wall);
        }
        EXPECT_EQ(last.delta_bytes, 0);
        EXPECT_EQ(last.n_allocs, last.n_frees);
        EXPECT(last.peak_bytes >= 3 * size && last.peak_bytes <= 4 * size + 130);
    }
    EA_TRACK(&s, "one stays") kept = ea_realloc(&a, kept, 100);
    EXPECT_EQ(last.n_allocs, 1);
    EXPECT_EQ(last.n_frees, 1);
    EXPECT(last.delta_bytes >= 80);
    ptrdiff_t grown = last.delta_bytes;
    EA_TRACK(&s, "it goes")(void) ea_free(&a, kept);
    EXPECT(last.delta_bytes <= -100 && last.delta_bytes < -grown);
    EA_TRACK(&s, "refused") EXPECT(ea_malloc(&a, 100000) == NULL);
    EXPECT_EQ(last.n_refused, 1);
    EXPECT_EQ(last.n_allocs, 0);
    EXPECT_EQ(ea_scopes_detach(&s, &a), EA_OK);
    EXPECT_EQ(ea_scopes_detach(&s, &a), EA_ERR_NOT_FOUND);
#else
    EXPECT_EQ(ea_scopes_attach(&s, &a), EA_ERR_INVALID);
    EXPECT_EQ(ea_scopes_detach(&s, &a), EA_ERR_NOT_FOUND);
#endif
    EXPECT_EQ(ea_scopes_attach(NULL, &a), EA_ERR_INVALID);
    EXPECT_EQ(ea_scopes_detach(NULL, &a), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_allocator_deinit(&a, NULL), EA_OK);
}

/* --- model ------------------------------------------------------------------------------------ */

TEST(scopes_of_random_events_are_those_of_the_model, BYTES)
{
    static struct {
        ea_scope_t scope;
        ptrdiff_t level, peak;
        size_t n_allocs;
    } stack[6];
    uint32_t random = (uint32_t)tap_arg("seed", 1);
    tap_note("seed", random);
    REQUIRE(begin());
    unsigned depth = 0;
    for (unsigned step = 0; step < 20000; step++) {
        random = random * 1664525u + 1013904223u;
        ptrdiff_t size = (ptrdiff_t)(random >> 16 & 255) + 1;
        unsigned what = random >> 29;
        if (what == 0 && depth < 6) {
            stack[depth].level = stack[depth].peak = 0;
            stack[depth].n_allocs = 0;
            ea_scope_begin(&stack[depth++].scope, &s, "model");
        } else if (what == 1 && depth > 0) {
            ea_scope_record_t r;
            depth--;
            REQUIRE(ea_scope_end(&stack[depth].scope, &r) == EA_OK);
            REQUIRE(r.delta_bytes == stack[depth].level);
            REQUIRE((ptrdiff_t)r.peak_bytes == stack[depth].peak);
            REQUIRE(r.n_allocs == stack[depth].n_allocs);
            REQUIRE(r.depth == depth);
        } else if (what & 1) {
            take((size_t)size);
            for (unsigned i = 0; i < depth; i++) {
                stack[i].level += size;
                stack[i].n_allocs++;
                if (stack[i].level > stack[i].peak) stack[i].peak = stack[i].level;
            }
        } else {
            give((size_t)size);
            for (unsigned i = 0; i < depth; i++) stack[i].level -= size;
        }
    }
}

TEST_MAIN(&scopes_init_refuses_what_cannot_be_its_tables, &scope_tells_delta_peak_and_time,
          &scope_that_frees_what_was_there_before_is_below_zero,
          &scopes_nest_and_the_outer_one_has_it_all,
          &scopes_that_were_jumped_over_end_with_the_one_around, &scope_rows_sum_up_by_name,
          &scopes_of_more_names_than_rows_count_for_other, &scopes_total_time_outlasts_a_word,
          &scopes_without_a_clock_are_timed_by_the_port, &scope_is_not_ended_by_another_context,
          &scopes_without_a_place_for_their_task_are_not_measured,
          &track_ends_by_whatever_way_it_is_left, &scope_of_an_allocator_is_right_to_the_byte,
          &scopes_of_random_events_are_those_of_the_model)
