/* SPDX-License-Identifier: MIT
 *
 * The trend (row B4): leaks fast and slow are found and forecast, what comes and goes is not; what
 * time, resets, garbage and odd capacities do to it. How often it is right over many kinds of use
 * is bench/leaks/series; its arithmetic against a reference is tests/model.
 */
#include <string.h>

#include "ealloc/trend.h"
#include "tap.h"

#define HOUR 60u /* samples */
#define DAY (24u * HOUR)
#define CAPACITY 1000000u

static ea_trend_t trend;
static uint32_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % n;
}

static void begin(size_t capacity)
{
    random_state = (uint32_t)tap_arg("seed", 1) * 2654435761u + 12345u;
    tap_note("seed", (long long)tap_arg("seed", 1));
    EXPECT_EQ(ea_trend_init(&trend, capacity, 0), EA_OK);
}

static ea_trend_report_t report(void)
{
    ea_trend_report_t now;
    EXPECT_EQ(ea_trend_check(&trend), EA_OK);
    ea_trend_read(&trend, &now);
    return now;
}

/* Half a percent of noise. */
static uint32_t noise(void)
{
    return random_below(CAPACITY / 200);
}

/* A day's wave without a sine: up for twelve hours, down for twelve. */
static uint32_t wave(uint32_t minute, uint32_t height)
{
    uint32_t at = minute % DAY;
    return (at < DAY / 2 ? at : DAY - at) * height / (DAY / 2);
}

/* Minutes until it is a leak; at most n. */
static uint32_t feed(uint32_t n, uint32_t base, uint32_t wave_height, uint32_t leak_a_day)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t leaked = (uint32_t)((uint64_t)leak_a_day * i / DAY);
        ea_trend_sample(&trend, base + noise() + wave(i, wave_height) + leaked);
        if (i % 5 == 4 && report().status == EA_TREND_LEAK) return i;
    }
    return n;
}

TEST(trend_refuses_what_it_cannot_watch, 0)
{
    EXPECT_EQ(ea_trend_init(NULL, 1, 60), EA_ERR_INVALID);
    EXPECT_EQ(ea_trend_init(&trend, 0, 60), EA_ERR_INVALID);
    EXPECT_EQ(ea_trend_init(&trend, 1, 301), EA_ERR_INVALID);
    EXPECT_EQ(ea_trend_restart(NULL, 1, 60), EA_ERR_INVALID);
    EXPECT_EQ(ea_trend_restart(&trend, 0, 60), EA_ERR_INVALID);
    EXPECT_EQ(ea_trend_check(NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_trend_init(&trend, 1, 300), EA_OK);
    EXPECT_EQ(report().status, EA_TREND_NONE);
    EXPECT_EQ(report().left_s, EA_TREND_NEVER);
}

TEST(trend_says_nothing_of_what_is_steady_or_comes_and_goes, 0)
{
    begin(CAPACITY);
    EXPECT_EQ(feed(30 * DAY, 300000, 0, 0), 30 * DAY);
    EXPECT_EQ(report().n_alarms, 0);
    begin(CAPACITY);
    EXPECT_EQ(feed(30 * DAY, 300000, 200000, 0), 30 * DAY);
    EXPECT_EQ(report().n_alarms, 0);
}

TEST(trend_finds_a_slow_leak_under_a_daily_cycle_and_forecasts_it, 0)
{
    begin(CAPACITY);
    /* 2 % a day from 30 %; with the wave's 10 % it is full after 30 days. */
    uint32_t minute = feed(30 * DAY, 300000, 100000, 20000);
    EXPECT(minute < 12 * DAY);
    ea_trend_report_t r = report();
    uint32_t truth_s = 60 * (30 * DAY - minute);
    EXPECT(r.left_low_s <= truth_s && truth_s <= r.left_high_s);
    EXPECT(r.left_low_s <= r.left_s && r.left_s <= r.left_high_s);
    EXPECT(r.left_s >= truth_s / 2 && r.left_s <= truth_s * 2);
    EXPECT(r.per_hour >= 600 && r.per_hour <= 1100); /* 833 */
    EXPECT_EQ(r.n_alarms, 1);
    EXPECT_EQ(r.since_s, 0);
    EXPECT(r.used >= 300000 && r.used <= 310000 + 20000 * minute / DAY);
}

TEST(trend_finds_a_fast_leak_within_two_hours, 0)
{
    begin(CAPACITY);
    EXPECT_EQ(feed(2 * DAY, 400000, 0, 0), 2 * DAY);
    uint32_t minute = feed(DAY, 400000, 0, 24 * 150000); /* full in four hours */
    EXPECT(minute < 2 * HOUR);
    ea_trend_report_t r = report();
    EXPECT(r.per_hour > 120000 && r.per_hour < 180000);
    EXPECT(r.left_low_s < 60 * (4 * HOUR - minute) && 60 * (4 * HOUR - minute) < r.left_high_s);
}

TEST(trend_alarm_ends_when_the_growth_ends_and_its_age_is_told, 0)
{
    begin(CAPACITY);
    uint32_t minute = feed(30 * DAY, 300000, 0, 30000);
    REQUIRE(minute < 10 * DAY);
    for (uint32_t i = 1; i <= HOUR; i++)
        ea_trend_sample(&trend, 300000 + 30000 * (minute + i) / DAY);
    EXPECT_EQ(report().status, EA_TREND_LEAK);
    EXPECT_EQ(report().since_s, 3600);
    for (uint32_t i = 0; i < 20 * DAY; i++) ea_trend_sample(&trend, 400000);
    EXPECT_EQ(report().status, EA_TREND_NONE);
    EXPECT_EQ(report().n_alarms, 1);
    EXPECT_EQ(report().left_low_s, EA_TREND_NEVER);
    EXPECT_EQ(report().since_s, 0);
}

/* The same use, in capacities of every size; 64 KB and less lose nothing to the scale. */
TEST(trend_works_for_any_capacity, 0)
{
    const size_t capacities[] = {400, 65535, 65536, 1u << 20, 1u << 31, SIZE_MAX};
    for (unsigned c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
        size_t percent = capacities[c] / 100;
        begin(capacities[c]);
        for (uint32_t i = 0; i < 10 * DAY; i++) {
            size_t tenths = 300 + i / (DAY / 40);
            ea_trend_sample(&trend, percent < 1000 ? percent * tenths / 10 : percent / 10 * tenths);
        }
        EXPECT_EQ(report().status, EA_TREND_LEAK); /* 4 % a day, 70 % by now */
        size_t per_hour = report().per_hour;
        EXPECT(per_hour >= percent / 8 && per_hour <= percent / 5 + 1);
        EXPECT(report().left_s > 3 * 86400 && report().left_s < 12 * 86400);
    }
}

TEST(trend_of_one_that_is_always_full_is_none, 0)
{
    begin(1);
    for (uint32_t i = 0; i < 3 * DAY; i++) ea_trend_sample(&trend, i);
    EXPECT_EQ(report().status, EA_TREND_NONE);
    EXPECT_EQ(report().used, 1);
    EXPECT_EQ(report().per_hour, 0);
}

TEST(trend_does_not_depend_on_the_period, 0)
{
    const uint32_t periods_s[] = {1, 7, 60, 300};
    ea_trend_report_t first = {.status = EA_TREND_NONE};
    for (unsigned p = 0; p < 4; p++) {
        EXPECT_EQ(ea_trend_init(&trend, CAPACITY, periods_s[p]), EA_OK);
        uint32_t a_step = 300 / periods_s[p];
        for (uint32_t step = 0; step < 12 * 48; step++) /* two days, full after 2.9 */
            for (uint32_t i = 0; i < a_step; i++) ea_trend_sample(&trend, 300000 + 850 * step);
        EXPECT_EQ(report().status, EA_TREND_LEAK);
        if (p == 0) first = report();
        /* Of seven seconds the step is 294 s. */
        EXPECT_EQ(report().left_s / (a_step * periods_s[p]), first.left_s / 300);
        EXPECT_EQ(report().used, first.used);
    }
}

/* --- time that jumps -------------------------------------------------------------------------- */

TEST(trend_skip_is_as_if_use_had_stayed, 0)
{
    ea_trend_t other;
    begin(CAPACITY);
    EXPECT_EQ(ea_trend_init(&other, CAPACITY, 0), EA_OK);
    ea_trend_skip(&trend, 1000); /* nothing is known yet */
    for (unsigned round = 0; round < 300; round++) {
        uint32_t used = 300000 + 100 * round + noise(), n_samples = random_below(40);
        uint32_t n_skipped = random_below(round % 8 == 0 ? 5000 : 90);
        for (uint32_t i = 0; i <= n_samples; i++) {
            ea_trend_sample(&trend, used);
            ea_trend_sample(&other, used);
        }
        ea_trend_skip(&trend, n_skipped);
        for (uint32_t i = 0; i < n_skipped; i++) ea_trend_sample(&other, used);
        ea_trend_report_t a = report(), b;
        ea_trend_read(&other, &b);
        /* An alarm that came and went within a skip is not told. */
        if (a.status == b.status && a.since_s == b.since_s && a.left_s == b.left_s) continue;
        EXPECT(n_skipped > 300 / 60);
        EXPECT_EQ(a.used, b.used);
    }
    /* Both are still in the same step, and see the same from here on. */
    ea_trend_skip(&trend, 20 * DAY);
    for (uint32_t i = 0; i < 20 * DAY; i++) ea_trend_sample(&other, 300000);
    for (uint32_t i = 0; i < 3 * DAY; i++) {
        ea_trend_sample(&trend, 400000 + 100 * i);
        ea_trend_sample(&other, 400000 + 100 * i);
    }
    ea_trend_report_t a = report(), b;
    ea_trend_read(&other, &b);
    EXPECT_EQ(a.status, EA_TREND_LEAK);
    EXPECT_EQ(b.status, EA_TREND_LEAK);
    EXPECT_EQ(a.left_s, b.left_s);
    EXPECT_EQ(a.per_hour, b.per_hour);
}

TEST(trend_survives_the_longest_sleep_again_and_again, 0)
{
    begin(CAPACITY);
    for (uint32_t i = 0; i < 10 * DAY; i++) ea_trend_sample(&trend, 300000 + 2 * i);
    for (unsigned i = 0; i < 12; i++) {
        ea_trend_skip(&trend, UINT32_MAX);
        EXPECT_EQ(report().status, EA_TREND_NONE);
    }
    uint32_t minute = feed(3 * DAY, 300000, 0, 24 * 20000); /* a day and a half */
    EXPECT(minute < DAY);
    EXPECT_EQ(report().n_alarms, 2);
    EXPECT_EQ(report().since_s, 0);
}

/* --- resets ----------------------------------------------------------------------------------- */

/* A boot of n minutes in which use grows by `grown` of 1000000, evenly or as a warm-up. */
static void boot(uint32_t n, uint32_t grown, bool is_warm_up)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = is_warm_up && i > n / 3 ? n / 3 : i;
        ea_trend_sample(&trend, 200000 + noise() / 10 + grown * at / n);
    }
}

TEST(trend_suspects_what_every_boot_leaks_and_not_what_it_warms_up, 0)
{
    begin(CAPACITY);
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_EQ(report().status, EA_TREND_NONE);
        boot(8 * HOUR, 40000, false);
        EXPECT_EQ(ea_trend_restart(&trend, CAPACITY, 0), EA_OK);
    }
    EXPECT_EQ(report().status, EA_TREND_SUSPECT);
    EXPECT(report().per_hour > 3500 && report().per_hour < 6500); /* 5000 */
    EXPECT_EQ(report().left_low_s, 0);
    EXPECT_EQ(report().left_high_s, EA_TREND_NEVER);
    for (unsigned i = 0; i < 6; i++) { /* cured: those before are outvoted, then forgotten */
        boot(8 * HOUR, 40000, true);
        EXPECT_EQ(ea_trend_restart(&trend, CAPACITY, 0), EA_OK);
    }
    EXPECT_EQ(report().status, EA_TREND_NONE);
    for (unsigned i = 0; i < 20; i++) { /* too short to tell: nothing is noted */
        boot(30, 40000, false);
        EXPECT_EQ(ea_trend_restart(&trend, CAPACITY, 0), EA_OK);
    }
    EXPECT_EQ(report().status, EA_TREND_NONE);
}

TEST(trend_restart_knows_garbage_and_another_shape, 0)
{
    begin(CAPACITY);
    for (unsigned round = 0; round < 200; round++) {
        unsigned char *bytes = (unsigned char *)&trend;
        for (size_t i = 0; i < sizeof trend; i++) bytes[i] = (unsigned char)random_below(256);
        EXPECT_EQ(ea_trend_check(&trend), EA_ERR_CORRUPT);
        EXPECT_EQ(ea_trend_restart(&trend, CAPACITY, 0), EA_ERR_CORRUPT);
        EXPECT_EQ(report().status, EA_TREND_NONE);
    }
    memset(&trend, 0, sizeof trend);
    EXPECT_EQ(ea_trend_restart(&trend, CAPACITY, 0), EA_ERR_CORRUPT);
    EXPECT_EQ(ea_trend_restart(&trend, CAPACITY, 0), EA_OK);
    EXPECT_EQ(ea_trend_restart(&trend, CAPACITY + 1, 0), EA_ERR_CORRUPT);
    EXPECT_EQ(ea_trend_restart(&trend, CAPACITY + 1, 30), EA_ERR_CORRUPT);
    EXPECT_EQ(ea_trend_restart(&trend, CAPACITY + 1, 30), EA_OK);
}

TEST(trend_check_finds_every_flipped_bit_of_what_outlives_a_reset, 0)
{
    begin(CAPACITY);
    for (uint32_t i = 0; i < 3 * DAY + 7; i++) ea_trend_sample(&trend, 300000 + 2 * i);
    REQUIRE(ea_trend_check(&trend) == EA_OK);
    unsigned char *bytes = (unsigned char *)&trend;
    for (size_t i = offsetof(ea_trend_t, eai_seal); i < sizeof trend; i++) {
        for (unsigned bit = 1; bit < 256; bit <<= 1) {
            bytes[i] ^= (unsigned char)bit;
            EXPECT_EQ(ea_trend_check(&trend), EA_ERR_CORRUPT);
            bytes[i] ^= (unsigned char)bit;
        }
    }
    EXPECT_EQ(ea_trend_check(&trend), EA_OK);
}

TEST(trend_status_names, 0)
{
    EXPECT(strcmp(ea_trend_status_name(EA_TREND_NONE), "NONE") == 0);
    EXPECT(strcmp(ea_trend_status_name(EA_TREND_SUSPECT), "SUSPECT") == 0);
    EXPECT(strcmp(ea_trend_status_name(EA_TREND_LEAK), "LEAK") == 0);
    EXPECT(strcmp(ea_trend_status_name((ea_trend_status_t)9), "?") == 0);
}

TEST_MAIN(&trend_refuses_what_it_cannot_watch,
          &trend_says_nothing_of_what_is_steady_or_comes_and_goes,
          &trend_finds_a_slow_leak_under_a_daily_cycle_and_forecasts_it,
          &trend_finds_a_fast_leak_within_two_hours,
          &trend_alarm_ends_when_the_growth_ends_and_its_age_is_told, &trend_works_for_any_capacity,
          &trend_of_one_that_is_always_full_is_none, &trend_does_not_depend_on_the_period,
          &trend_skip_is_as_if_use_had_stayed, &trend_survives_the_longest_sleep_again_and_again,
          &trend_suspects_what_every_boot_leaks_and_not_what_it_warms_up,
          &trend_restart_knows_garbage_and_another_shape,
          &trend_check_finds_every_flipped_bit_of_what_outlives_a_reset, &trend_status_names)
