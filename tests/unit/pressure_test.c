/* SPDX-License-Identifier: MIT
 *
 * Pressure (row C9): levels that do not flap, against their definition after any walk; stall time
 * and its averages, against a reference in floating point that goes through time period by period;
 * triggers.
 */
#include <string.h>

#include "ealloc/heap.h"
#include "ealloc/pressure.h"
#include "tap.h"

#define S 1000000ull
#define PERIOD_US (1u << 21)

static ea_pressure_t pressure;

static uint32_t random_below(uint32_t *state, uint32_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % n;
}

static uint32_t seeded(void)
{
    uint32_t seed = (uint32_t)tap_arg("seed", 1);
    tap_note("seed", seed);
    return seed * 2654435761u + 12345u;
}

static bool update(size_t used, size_t total)
{
    return ea_pressure_update(&pressure, used, total, 0);
}

static ea_pressure_stats_t stats_at(uint64_t now_us)
{
    ea_pressure_stats_t stats;
    ea_pressure_stats(&pressure, now_us, &stats);
    return stats;
}

/* --- levels ----------------------------------------------------------------------------------- */

static void expect_refused(const ea_pressure_options_t *options)
{
    EXPECT_EQ(ea_pressure_init(&pressure, options, 0), EA_ERR_INVALID);
}

TEST(pressure_refuses_thresholds_that_do_not_ascend, 0)
{
    expect_refused(&(ea_pressure_options_t){{{600, 500}, {600, 550}, {950, 850}}, 0});
    expect_refused(&(ea_pressure_options_t){{{600, 500}, {800, 499}, {950, 850}}, 0});
    expect_refused(&(ea_pressure_options_t){{{600, 600}, {800, 700}, {950, 850}}, 0});
    expect_refused(&(ea_pressure_options_t){{{600, 500}, {800, 700}, {1001, 850}}, 0});
    expect_refused(&(ea_pressure_options_t){{{0, 0}, {800, 700}, {950, 850}}, 0});
    EXPECT_EQ(ea_pressure_init(NULL, NULL, 0), EA_ERR_INVALID);
    EXPECT_EQ(ea_pressure_init(&pressure, NULL, 0), EA_OK);
}

TEST(pressure_level_follows_the_table_up_and_down, 0)
{
    REQUIRE(ea_pressure_init(&pressure, NULL, 0) == EA_OK);
    EXPECT(!update(0, 1000));
    EXPECT(!update(599, 1000));
    EXPECT(update(600, 1000));
    EXPECT_EQ(ea_pressure_level(&pressure), EA_PRESSURE_LOW);
    EXPECT(!update(799, 1000));
    EXPECT(update(800, 1000));
    EXPECT_EQ(ea_pressure_level(&pressure), EA_PRESSURE_MEDIUM);
    EXPECT(update(950, 1000));
    EXPECT_EQ(ea_pressure_level(&pressure), EA_PRESSURE_CRITICAL);
    EXPECT(!update(1000, 1000));
    EXPECT(!update(850, 1000));
    EXPECT(update(849, 1000));
    EXPECT_EQ(ea_pressure_level(&pressure), EA_PRESSURE_MEDIUM);
    EXPECT(!update(600, 1000));
    EXPECT(update(599, 1000));
    EXPECT_EQ(ea_pressure_level(&pressure), EA_PRESSURE_LOW);
    EXPECT(!update(500, 1000));
    EXPECT(update(499, 1000));
    EXPECT_EQ(ea_pressure_level(&pressure), EA_PRESSURE_NONE);
}

TEST(pressure_that_jumps_levels_notifies_once, 0)
{
    REQUIRE(ea_pressure_init(&pressure, NULL, 5) == EA_OK);
    EXPECT_EQ(stats_at(5).level_since_us, 5);
    EXPECT(ea_pressure_update(&pressure, 990, 1000, 70));
    EXPECT_EQ(ea_pressure_level(&pressure), EA_PRESSURE_CRITICAL);
    EXPECT(!ea_pressure_update(&pressure, 990, 1000, 80));
    EXPECT(ea_pressure_update(&pressure, 10, 1000, 90));
    EXPECT(ea_pressure_update(&pressure, 1000, 1000, 95));
    ea_pressure_stats_t stats = stats_at(100);
    EXPECT_EQ(stats.level, EA_PRESSURE_CRITICAL);
    EXPECT_EQ(stats.level_since_us, 95);
    EXPECT_EQ(stats.n_entered[EA_PRESSURE_NONE], 1);
    EXPECT_EQ(stats.n_entered[EA_PRESSURE_LOW], 0);
    EXPECT_EQ(stats.n_entered[EA_PRESSURE_CRITICAL], 2);
}

TEST(pressure_of_nothing_is_none, 0)
{
    REQUIRE(ea_pressure_init(&pressure, NULL, 0) == EA_OK);
    EXPECT(!update(0, 0));
    EXPECT(!update(5, 0));
    EXPECT(update(100, 100));
    EXPECT(update(100, 0)); /* the last region is gone */
    EXPECT_EQ(ea_pressure_level(&pressure), EA_PRESSURE_NONE);
    EXPECT(update(SIZE_MAX, SIZE_MAX));
    EXPECT_EQ(ea_pressure_level(&pressure), EA_PRESSURE_CRITICAL);
    EXPECT(!update(SIZE_MAX, SIZE_MAX));
    EXPECT(!update(SIZE_MAX, 1)); /* more used than there is */
}

TEST(pressure_takes_another_total_into_account, 0)
{
    REQUIRE(ea_pressure_init(&pressure, NULL, 0) == EA_OK);
    EXPECT(update(900, 1000));
    EXPECT(update(900, 2000)); /* 45 %: from medium to none at once */
    EXPECT_EQ(ea_pressure_level(&pressure), EA_PRESSURE_NONE);
    EXPECT(update(900, 940));
    EXPECT_EQ(ea_pressure_level(&pressure), EA_PRESSURE_CRITICAL);
}

/* Where the level must be, by the definition, in arithmetic of its own. */
static unsigned level_by_definition(const ea_pressure_options_t *o, unsigned level, uint64_t used,
                                    uint64_t total)
{
    for (unsigned up = EA_PRESSURE_N_LEVELS - 1; up > level; up--) {
        if (used * 1000 >= total * o->levels[up - 1].enter_permille) return up;
    }
    while (level > 0 && used * 1000 < total * o->levels[level - 1].leave_permille) level--;
    return level;
}

TEST(pressure_on_any_walk_notifies_only_when_both_thresholds_were_crossed, 0)
{
    static const ea_pressure_options_t others[] = {EA_PRESSURE_DEFAULTS,
                                                   {{{1, 0}, {2, 1}, {1000, 999}}, 0},
                                                   {{{300, 0}, {400, 0}, {500, 0}}, 0}};
    uint32_t state = seeded();
    unsigned n_changes = 0;

    for (unsigned round = 0; round < 60; round++) {
        const ea_pressure_options_t *options = &others[round % 3];
        uint32_t total = 1 + random_below(&state, round % 2 ? 100000 : 50), used = 0;
        unsigned level = 0, entered[EA_PRESSURE_N_LEVELS] = {0};
        REQUIRE(ea_pressure_init(&pressure, options, 0) == EA_OK);
        for (unsigned step = 0; step < 400; step++) {
            uint32_t stride = 1 + random_below(&state, 1 + total / (1 + random_below(&state, 50)));
            if (random_below(&state, 2) == 0) {
                used = used + stride < total ? used + stride : total;
            } else {
                used = used > stride ? used - stride : 0;
            }
            if (random_below(&state, 40) == 0) {
                total = total / 2 + 1 + random_below(&state, total);
                if (used > total) used = total;
            }
            unsigned want = level_by_definition(options, level, used, total);
            REQUIRE(update(used, total) == (want != level));
            REQUIRE(ea_pressure_level(&pressure) == want);
            /* A level once left is entered again only after its other threshold was crossed. */
            for (unsigned i = level + 1; i <= want; i++) {
                REQUIRE(entered[i] == 0 && ++entered[i] == 1);
            }
            for (unsigned i = want + 1; i <= level; i++) REQUIRE(entered[i]-- == 1);
            n_changes += want != level;
            level = want;
        }
    }
    tap_note("changes", n_changes);
    EXPECT(n_changes > 500);
}

TEST(pressure_that_swings_about_a_threshold_does_not_flap, 0)
{
    unsigned n_changes = 0;
    REQUIRE(ea_pressure_init(&pressure, NULL, 0) == EA_OK);
    for (unsigned i = 0; i < 1000; i++) n_changes += update(790 + i % 20, 1000);
    EXPECT_EQ(n_changes, 2); /* low, and medium once */
    for (unsigned i = 0; i < 1000; i++) n_changes += update(600 + i % 350, 1000);
    EXPECT_EQ(n_changes, 2);
}

TEST(pressure_has_names, 0)
{
    EXPECT(strcmp(ea_pressure_level_name(EA_PRESSURE_NONE), "none") == 0);
    EXPECT(strcmp(ea_pressure_level_name(EA_PRESSURE_CRITICAL), "critical") == 0);
    EXPECT(strcmp(ea_pressure_level_name(EA_PRESSURE_N_LEVELS), "?") == 0);
}

/* --- a mode for low memory, on a heap --------------------------------------------------------- */

#define N_CACHED 48
#define CACHED_BYTES 56

static ea_heap_t *heap;
static void *cached[N_CACHED];
static unsigned n_cached, n_entered, n_left;
static bool is_low_memory;

static unsigned used_permille(void)
{
    ea_heap_stats_t stats;
    ea_heap_stats(heap, &stats);
    size_t used = stats.total_bytes - stats.free_bytes;
    if (ea_pressure_update(&pressure, used, stats.total_bytes, 0)) {
        bool should = ea_pressure_level(&pressure) >= EA_PRESSURE_MEDIUM;
        n_entered += should && !is_low_memory;
        n_left += !should && is_low_memory;
        is_low_memory = should;
    }
    return (unsigned)(used * 1000 / stats.total_bytes);
}

/* The application: it caches what it meets, and in low memory gives up a little each time. */
static void drop_one(void)
{
    EXPECT_EQ(ea_heap_free(heap, cached[--n_cached]), EA_OK);
}

TEST(pressure_gives_a_heap_a_low_memory_mode_entered_at_80_and_left_at_60_percent, 3072)
{
    heap = ea_heap_init(tap_ram(), 3072, NULL);
    REQUIRE(heap != NULL && ea_pressure_init(&pressure, NULL, 0) == EA_OK);
    n_cached = n_entered = n_left = 0;
    is_low_memory = false;
    for (unsigned step = 0; step < 400; step++) {
        bool was_low = is_low_memory;
        unsigned permille;
        if (was_low) {
            drop_one();
            permille = used_permille();
            EXPECT_EQ(is_low_memory, permille >= 600);
        } else {
            REQUIRE(n_cached < N_CACHED);
            cached[n_cached++] = ea_heap_alloc(heap, CACHED_BYTES);
            REQUIRE(cached[n_cached - 1] != NULL); /* the mode came before the end */
            permille = used_permille();
            EXPECT_EQ(is_low_memory, permille >= 800);
        }
    }
    tap_note("times in low memory", n_entered);
    EXPECT(n_entered > 10 && n_entered < 100); /* not at every step */
    EXPECT(n_left + 1 == n_entered || n_left == n_entered);
    while (n_cached > 0) drop_one();
}

/* --- stall ------------------------------------------------------------------------------------ */

#define GRACE_US 10000u

TEST(stall_counts_the_time_in_which_one_waits_or_more, 0)
{
    REQUIRE(ea_pressure_init(&pressure, NULL, 1000) == EA_OK);
    ea_pressure_stall_end(&pressure, 1500); /* without a begin */
    ea_pressure_stall_begin(&pressure, 2000);
    ea_pressure_stall_begin(&pressure, 3000); /* a second one, at the same time */
    ea_pressure_stall_end(&pressure, 4000);
    EXPECT_EQ(stats_at(4500).n_waiting, 1);
    EXPECT_EQ(stats_at(4500).some.total_us, 2500);
    ea_pressure_stall_end(&pressure, 5000);
    EXPECT_EQ(stats_at(9000).some.total_us, 3000);
    EXPECT_EQ(stats_at(9000).n_waiting, 0);
    EXPECT_EQ(stats_at(9000).full.total_us, 0);
    ea_pressure_stall_begin(&pressure, 100); /* a clock read before: counts as 9000 */
    ea_pressure_stall_end(&pressure, 9001);
    EXPECT_EQ(stats_at(9001).some.total_us, 3001);
}

TEST(stall_is_full_while_nobody_succeeds, 0)
{
    REQUIRE(ea_pressure_init(&pressure, NULL, 0) == EA_OK);
    ea_pressure_progress(&pressure, 5); /* nobody waits: nothing */
    ea_pressure_stall_begin(&pressure, 100000);
    EXPECT_EQ(stats_at(100000 + GRACE_US).full.total_us, 0);
    EXPECT_EQ(stats_at(100000 + GRACE_US + 7).full.total_us, 7);
    for (uint64_t t = 120000; t <= 200000; t += GRACE_US) ea_pressure_progress(&pressure, t);
    EXPECT_EQ(stats_at(200000).full.total_us, 10000);
    EXPECT_EQ(stats_at(230000).full.total_us, 30000);
    ea_pressure_stall_end(&pressure, 230000);
    EXPECT_EQ(stats_at(900000).full.total_us, 30000);
    EXPECT_EQ(stats_at(900000).some.total_us, 130000);
}

TEST(stall_averages_rise_and_fall_as_their_windows_say, 0)
{
    REQUIRE(ea_pressure_init(&pressure, NULL, 0) == EA_OK);
    ea_pressure_stall_begin(&pressure, 0);
    /* After one window of stall 1 - 1/e is reached; 10.5 s are 5 periods. */
    EXPECT_EQ(stats_at(5 * PERIOD_US).some.average_permyriad[EA_STALL_10_S], 6496);
    EXPECT_EQ(stats_at(3600 * S).some.average_permyriad[EA_STALL_300_S], 10000);
    EXPECT_EQ(stats_at(3600 * S).full.average_permyriad[EA_STALL_10_S], 10000);
    ea_pressure_stall_end(&pressure, 3600 * S);
    /* A day later nothing is left of it, though nobody called. */
    ea_pressure_stats_t stats = stats_at(90000 * S);
    for (unsigned w = 0; w < EA_STALL_N_WINDOWS; w++) {
        EXPECT_EQ(stats.some.average_permyriad[w], 0);
        EXPECT_EQ(stats.full.average_permyriad[w], 0);
    }
    EXPECT_EQ(stats.some.total_us, 3600 * S);
}

/* What one window loses in a period: exp(-2.097152 s / window). */
static const double forgets[EA_STALL_N_WINDOWS] = {0.810815133240, 0.965651251416, 0.993033870090};

/* The reference: it goes through time from edge to edge, and from period to period. */
typedef struct {
    uint64_t now_us, last_success_us, total_us[2], period_us[2];
    unsigned n_waiting;
    double average[2][EA_STALL_N_WINDOWS];
} reference_t;

static reference_t reference;

static void reference_go_to(uint64_t now_us)
{
    while (reference.now_us < now_us) {
        uint64_t period_end_us = (reference.now_us / PERIOD_US + 1) * PERIOD_US;
        uint64_t full_us = reference.last_success_us + GRACE_US;
        uint64_t next_us = now_us < period_end_us ? now_us : period_end_us;
        if (full_us > reference.now_us && full_us < next_us) next_us = full_us;
        bool lost[2] = {reference.n_waiting > 0,
                        reference.n_waiting > 0 && reference.now_us >= full_us};
        for (unsigned k = 0; k < 2; k++) {
            reference.total_us[k] += lost[k] ? next_us - reference.now_us : 0;
            reference.period_us[k] += lost[k] ? next_us - reference.now_us : 0;
            if (next_us != period_end_us) continue;
            double share = (double)reference.period_us[k] / PERIOD_US;
            for (unsigned w = 0; w < EA_STALL_N_WINDOWS; w++) {
                reference.average[k][w] = share + (reference.average[k][w] - share) * forgets[w];
            }
            reference.period_us[k] = 0;
        }
        reference.now_us = next_us;
    }
}

static void expect_reference(const ea_stall_t *stall, unsigned k)
{
    EXPECT_EQ(stall->total_us, reference.total_us[k]);
    for (unsigned w = 0; w < EA_STALL_N_WINDOWS; w++) {
        double want = reference.average[k][w] * 10000, got = stall->average_permyriad[w];
        if (got < want - 1 || got > want + 1) EXPECT_EQ(got * 1000, want * 1000);
    }
}

/* A time that may be short, about a period, or very long. */
static uint64_t random_gap_us(uint32_t *state)
{
    switch (random_below(state, 8)) {
    case 0: return random_below(state, 10) * (uint64_t)PERIOD_US;
    case 1: return random_below(state, 2000) * S;
    case 2: return random_below(state, 10 * PERIOD_US);
    case 3: return random_below(state, 3);
    default: return random_below(state, 3 * GRACE_US);
    }
}

TEST(stall_agrees_with_a_reference_after_any_sequence, 0)
{
    uint32_t state = seeded();
    for (unsigned round = 0; round < 6; round++) {
        uint64_t now_us = random_gap_us(&state);
        memset(&reference, 0, sizeof reference);
        reference.now_us = now_us;
        REQUIRE(ea_pressure_init(&pressure, NULL, now_us) == EA_OK);
        for (unsigned step = 0; step < 300; step++) {
            now_us += random_gap_us(&state);
            reference_go_to(now_us);
            switch (random_below(&state, 4)) {
            case 0:
                if (reference.n_waiting > 5) break;
                ea_pressure_stall_begin(&pressure, now_us);
                if (reference.n_waiting++ == 0) reference.last_success_us = now_us;
                break;
            case 1:
                ea_pressure_stall_end(&pressure, now_us);
                if (reference.n_waiting > 0) reference.n_waiting--;
                break;
            case 2:
                ea_pressure_progress(&pressure, now_us);
                reference.last_success_us = now_us;
                break;
            default: {
                ea_pressure_stats_t stats = stats_at(now_us);
                expect_reference(&stats.some, 0);
                expect_reference(&stats.full, 1);
                EXPECT_EQ(stats.n_waiting, reference.n_waiting);
                break;
            }
            }
        }
    }
}

/* --- triggers --------------------------------------------------------------------------------- */

static ea_pressure_trigger_t trigger;

static void begin_trigger(uint32_t stall_us, uint32_t window_us)
{
    EXPECT_EQ(ea_pressure_init(&pressure, NULL, 0), EA_OK);
    EXPECT_EQ(ea_pressure_trigger_init(&trigger, &pressure, EA_STALL_SOME, stall_us, window_us, 0),
              EA_OK);
}

static bool poll_at(uint64_t now_us)
{
    return ea_pressure_trigger_poll(&trigger, &pressure, now_us);
}

/* lost_us of each interval_us, from *now_us for n intervals. Returns how often the trigger
 * fired. */
static unsigned run_stalls(uint64_t *now_us, unsigned n, uint32_t lost_us, uint32_t interval_us)
{
    unsigned n_fired = 0;
    for (unsigned i = 0; i < n; i++) {
        ea_pressure_stall_begin(&pressure, *now_us);
        ea_pressure_stall_end(&pressure, *now_us + lost_us);
        *now_us += interval_us;
        n_fired += poll_at(*now_us);
    }
    return n_fired;
}

TEST(trigger_refuses_what_is_outside_the_contract, 0)
{
    REQUIRE(ea_pressure_init(&pressure, NULL, 0) == EA_OK);
    const uint32_t most = EA_PRESSURE_MAX_WINDOW_US;
    EXPECT_EQ(ea_pressure_trigger_init(NULL, &pressure, EA_STALL_SOME, 1, 2, 0), EA_ERR_INVALID);
    EXPECT_EQ(ea_pressure_trigger_init(&trigger, NULL, EA_STALL_SOME, 1, 2, 0), EA_ERR_INVALID);
    EXPECT_EQ(ea_pressure_trigger_init(&trigger, &pressure, EA_STALL_N_KINDS, 1, 2, 0),
              EA_ERR_INVALID);
    EXPECT_EQ(ea_pressure_trigger_init(&trigger, &pressure, EA_STALL_SOME, 0, 2, 0),
              EA_ERR_INVALID);
    EXPECT_EQ(ea_pressure_trigger_init(&trigger, &pressure, EA_STALL_SOME, 3, 2, 0),
              EA_ERR_INVALID);
    EXPECT_EQ(ea_pressure_trigger_init(&trigger, &pressure, EA_STALL_SOME, 1, most + 1, 0),
              EA_ERR_INVALID);
    EXPECT_EQ(ea_pressure_trigger_init(&trigger, &pressure, EA_STALL_FULL, most, most, 0), EA_OK);
}

TEST(trigger_fires_when_so_much_was_lost_and_once_a_window, 0)
{
    uint64_t now_us = 0;
    begin_trigger(150000, 1000000);
    EXPECT_EQ(run_stalls(&now_us, 100, 14000, 100000), 0); /* 140 ms in each second */
    EXPECT_EQ(run_stalls(&now_us, 100, 30000, 100000), 10);
    (void)run_stalls(&now_us, 10, 0, 100000); /* the last window may still tell */
    EXPECT_EQ(run_stalls(&now_us, 20, 0, 100000), 0);
    /* A burst is told of at the next poll, not at the end of the window. */
    EXPECT_EQ(run_stalls(&now_us, 1, 150000, 200000), 1);
}

TEST(trigger_of_full_stall_hears_full_stall_only, 0)
{
    REQUIRE(ea_pressure_init(&pressure, NULL, 0) == EA_OK);
    REQUIRE(ea_pressure_trigger_init(&trigger, &pressure, EA_STALL_FULL, 50000, 1000000, 0) ==
            EA_OK);
    ea_pressure_stall_begin(&pressure, 0);
    for (uint64_t t = 0; t < 500000; t += 5000) ea_pressure_progress(&pressure, t);
    EXPECT(!poll_at(500000));
    EXPECT(!poll_at(500000 + 50000));
    EXPECT(poll_at(500000 + 60000));
}

TEST(trigger_polled_after_a_long_silence_takes_the_average_of_it, 0)
{
    uint64_t now_us = 0;
    begin_trigger(500000, 1000000);
    ea_pressure_stall_begin(&pressure, 0);
    ea_pressure_stall_end(&pressure, 2 * S);
    EXPECT(!poll_at(1000 * S));
    begin_trigger(500000, 1000000);
    ea_pressure_stall_begin(&pressure, now_us);
    ea_pressure_stall_end(&pressure, 600000 * S);
    EXPECT(!poll_at(2000000 * S)); /* three tenths, of 23 days */
    begin_trigger(15000000, 16000000);
    ea_pressure_stall_begin(&pressure, 0);
    EXPECT(poll_at(4000000 * S)); /* all of 46 days */
}

/* Whatever the pattern: it fires only if so much was lost in two windows, and does if it was lost
 * since the window began. */
TEST(trigger_is_true_to_what_was_lost_after_any_sequence, 0)
{
    enum { N = 400, WINDOW = 10 }; /* polls; of them in a window */
    static uint32_t lost[N];
    uint32_t state = seeded();
    unsigned n_fired = 0;
    for (unsigned round = 0; round < 20; round++) {
        uint32_t threshold_us = 10000 + random_below(&state, 500000);
        uint64_t now_us = 0;
        begin_trigger(threshold_us, 1000000);
        for (unsigned i = 0; i < N; i++) {
            uint64_t two_windows = 0;
            lost[i] = random_below(&state, 4) ? 0 : random_below(&state, 100000);
            bool fired = run_stalls(&now_us, 1, lost[i], 100000) == 1;
            for (unsigned j = i < 2 * WINDOW ? 0 : i - 2 * WINDOW; j <= i; j++) {
                two_windows += lost[j];
            }
            if (fired) REQUIRE(two_windows >= threshold_us);
            if (lost[i] >= threshold_us) REQUIRE(fired || now_us < trigger.eai_quiet_us);
            n_fired += fired;
        }
    }
    tap_note("fired", n_fired);
    EXPECT(n_fired > 100);
}

TEST_MAIN(&pressure_refuses_thresholds_that_do_not_ascend,
          &pressure_level_follows_the_table_up_and_down, &pressure_that_jumps_levels_notifies_once,
          &pressure_of_nothing_is_none, &pressure_takes_another_total_into_account,
          &pressure_on_any_walk_notifies_only_when_both_thresholds_were_crossed,
          &pressure_that_swings_about_a_threshold_does_not_flap,
          &pressure_gives_a_heap_a_low_memory_mode_entered_at_80_and_left_at_60_percent,
          &pressure_has_names, &stall_counts_the_time_in_which_one_waits_or_more,
          &stall_is_full_while_nobody_succeeds, &stall_averages_rise_and_fall_as_their_windows_say,
          &stall_agrees_with_a_reference_after_any_sequence,
          &trigger_refuses_what_is_outside_the_contract,
          &trigger_fires_when_so_much_was_lost_and_once_a_window,
          &trigger_of_full_stall_hears_full_stall_only,
          &trigger_polled_after_a_long_silence_takes_the_average_of_it,
          &trigger_is_true_to_what_was_lost_after_any_sequence)
