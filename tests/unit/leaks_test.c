/* SPDX-License-Identifier: MIT
 *
 * Leaks (row B4): blocks that are old, sites that grow, owners that are gone, what may be held; a
 * finding is told, ranked, cleared, and remembered over boots.
 */
#include <string.h>

#include "ealloc/allocator.h"
#include "ealloc/leaks.h"
#include "tap.h"

#define N_SITES 8u
#define N_BLOCKS 256u
#define BYTES EA_LEAKS_BYTES(N_SITES, N_BLOCKS)
#define SITE(i) ((const void *)(uintptr_t)(0x1000 + 4 * (i)))
#define BLOCK(i) ((const void *)(uintptr_t)(0x20000 + 16 * (i)))
#define WINDOW 96u /* ticks, of 1 ms each */
#define PAUSE (WINDOW / 6u)

static volatile uint32_t ticks;
static ea_leaks_t l;
static ea_leaks_options_t options;
static ea_leak_t found;
static unsigned next_block;

static bool begin(void)
{
    ticks = 0;
    next_block = 1000;
    return ea_leaks_init(&l, tap_ram(), BYTES, &options) == EA_OK;
}

static void set_defaults(void)
{
    options = (ea_leaks_options_t){.n_sites = N_SITES,
                                   .n_blocks = N_BLOCKS,
                                   .clock = &ticks,
                                   .tick_us = 1000,
                                   .window_us = 1000 * WINDOW};
}

static void take_of(uint16_t owner, unsigned site, unsigned block, size_t size_bytes)
{
    ea_leaks_record(&l, EA_BLOCK_ALLOCATED, owner, SITE(site), BLOCK(block), size_bytes);
}

static void take(unsigned site, unsigned block)
{
    take_of(3, site, block, 10);
}

static void give(unsigned block)
{
    ea_leaks_record(&l, EA_BLOCK_FREED, 3, SITE(900), BLOCK(block), 100000);
}

/* Let time go by; the passes that are due are made. */
static void run(unsigned n_ticks)
{
    for (unsigned i = 0; i < n_ticks; i++) {
        ticks++;
        (void)ea_leaks_poll(&l, 40);
    }
}

static uint8_t kinds_of(unsigned site)
{
    (void)ea_leaks_of_site(&l, SITE(site), &found);
    return found.kinds;
}

/* Each window, so many stay of a site; four others come and go. */
static void leak(unsigned site, unsigned n_windows, unsigned a_window)
{
    for (unsigned w = 0; w < n_windows; w++) {
        for (unsigned i = 0; i < a_window; i++) take(site, next_block++);
        for (unsigned i = 0; i < 4; i++) take(site, i);
        run(2);
        for (unsigned i = 0; i < 4; i++) give(i);
        run(WINDOW - 2);
    }
}

static ea_event_t last_event;
static unsigned n_events;

static void hear(void *context, const ea_event_t *event)
{
    (void)context;
    last_event = *event;
    n_events++;
}

EA_EVENTS_DEFINE_STATIC(hub, 4);
static ea_listener_t listener;

static void listen(void)
{
    n_events = 0;
    options.events = &hub;
    REQUIRE(ea_events_listen(&hub, &listener,
                             EA_EVENT_BIT(EA_EVENT_LEAK) | EA_EVENT_BIT(EA_EVENT_LEAK_CLEARED),
                             hear, NULL) == EA_OK);
}

TEST(leaks_init_refuses_what_cannot_be_its_tables, BYTES)
{
    char *ram = tap_ram();
    set_defaults();
    ea_leaks_options_t o = options;
    EXPECT_EQ(ea_leaks_init(NULL, ram, BYTES, &o), EA_ERR_INVALID);
    EXPECT_EQ(ea_leaks_init(&l, NULL, BYTES, &o), EA_ERR_INVALID);
    EXPECT_EQ(ea_leaks_init(&l, ram, BYTES, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_leaks_init(&l, ram, BYTES - 1, &o), EA_ERR_INVALID);
    EXPECT_EQ(ea_leaks_init(&l, ram + 1, BYTES, &o), EA_ERR_INVALID);
    o.n_sites = 12;
    EXPECT_EQ(ea_leaks_init(&l, ram, BYTES, &o), EA_ERR_INVALID);
    o = options;
    o.n_blocks = 4;
    EXPECT_EQ(ea_leaks_init(&l, ram, BYTES, &o), EA_ERR_INVALID);
    o = options;
    o.tick_us = 0;
    EXPECT_EQ(ea_leaks_init(&l, ram, BYTES, &o), EA_ERR_INVALID);
    o = options;
    o.window_us = 1000 * WINDOW - 1;
    EXPECT_EQ(ea_leaks_init(&l, ram, BYTES, &o), EA_ERR_INVALID);
    o = options;
    o.n_rules = 1;
    EXPECT_EQ(ea_leaks_init(&l, ram, BYTES, &o), EA_ERR_INVALID);
    for (unsigned i = 0; i < BYTES; i++) EXPECT_EQ((unsigned char)ram[i], 0xA5);
    EXPECT_EQ(ea_leaks_init(&l, ram, BYTES, &options), EA_OK);
    EXPECT_EQ(ea_leaks_poll(NULL, 1), EA_ERR_INVALID);
    EXPECT_EQ(ea_leaks_detect(NULL, 0), 0);
    EXPECT_EQ(ea_leaks_top(&l, NULL, 1), 0);
}

TEST(leaks_detect_counts_the_blocks_that_are_older, BYTES)
{
    set_defaults();
    REQUIRE(begin());
    take(1, 1);
    ticks = 10;
    take(2, 2);
    take(1, 3);
    ticks = 12;
    EXPECT_EQ(ea_leaks_detect(&l, 0), 3);
    EXPECT_EQ(ea_leaks_detect(&l, 2000), 1);
    EXPECT_EQ(ea_leaks_detect(&l, 12000), 0);
    ea_leak_block_t block;
    size_t cursor = 0;
    EXPECT_EQ(ea_leaks_next_block(&l, 2000, &cursor, &block), EA_OK);
    EXPECT(block.block == BLOCK(1) && block.site == SITE(1));
    EXPECT_EQ(block.owner, 3);
    EXPECT_EQ(block.size_bytes, 10);
    EXPECT_EQ(block.age_us, 12000);
    EXPECT_EQ(ea_leaks_next_block(&l, 2000, &cursor, &block), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_leaks_next_block(&l, 2000, NULL, &block), EA_ERR_INVALID);
    give(1);
    EXPECT_EQ(ea_leaks_detect(&l, 0), 2);
    ea_leaks_record(&l, EA_BLOCK_RESIZED, 3, SITE(4), BLOCK(2), 50); /* begins anew */
    EXPECT_EQ(ea_leaks_detect(&l, 0), 1);
    ea_leaks_record(&l, EA_BLOCK_TRANSFERRED, 7, SITE(4), BLOCK(3), 16);
    cursor = 0;
    EXPECT_EQ(ea_leaks_next_block(&l, 0, &cursor, &block), EA_OK);
    EXPECT_EQ(block.owner, 7);
    ea_leaks_record(&l, EA_BLOCK_MOVED, 3, SITE(4), BLOCK(3), 16);
    give(77);
    ea_leaks_stats_t stats;
    ea_leaks_stats(&l, &stats);
    EXPECT_EQ(stats.n_live, 1);
    EXPECT_EQ(stats.live_bytes, 50);
    EXPECT_EQ(stats.n_unknown, 1);
}

TEST(leaks_a_site_that_keeps_some_is_found_told_and_cleared_when_it_stops, BYTES)
{
    set_defaults();
    listen();
    REQUIRE(begin());
    leak(1, 4, 2);
    EXPECT_EQ(kinds_of(1), 0);
    leak(1, 8, 2);
    EXPECT_EQ(kinds_of(1), EA_LEAK_GROWTH);
    EXPECT_EQ(found.n_live, 24);
    EXPECT(found.n_suspects >= 20 && found.n_suspects <= 24);
    EXPECT_EQ(found.suspect_bytes, 10 * found.n_suspects);
    EXPECT_EQ(found.severity, EA_LEAK_MINOR); /* no room is known */
    EXPECT(found.usual_us > 0);
    EXPECT(found.oldest_us > 10000u * WINDOW);
    /* 20 bytes a window of 96 ms */
    size_t a_day = 20u * (86400000u / WINDOW);
    EXPECT(found.bytes_per_day > a_day / 2 && found.bytes_per_day < 2 * a_day);
    EXPECT(found.room_ends_us == UINT64_MAX);
    EXPECT_EQ(n_events, 1);
    EXPECT_EQ(last_event.kind, EA_EVENT_LEAK);
    EXPECT(last_event.caller == SITE(1));
    EXPECT_EQ(last_event.level, EA_LEAK_MINOR);
    leak(1, 40, 0); /* the long span must forget it too */
    EXPECT_EQ(kinds_of(1), 0);
    EXPECT_EQ(n_events, 2);
    EXPECT_EQ(last_event.kind, EA_EVENT_LEAK_CLEARED);
    EXPECT_EQ(ea_events_unlisten(&hub, &listener), EA_OK);
}

TEST(leaks_what_comes_and_goes_is_no_finding, BYTES)
{
    set_defaults();
    REQUIRE(begin());
    for (unsigned w = 0; w < 40; w++) { /* more or less, by a saw of 13 windows */
        for (unsigned i = 0; i < 8 * (w % 13); i++) take(1, i);
        for (unsigned i = 100; i < 120; i++)
            if (w == 0) take(2, i); /* stays */
        run(WINDOW - 3);
        for (unsigned i = 0; i < 8 * (w % 13); i++) give(i);
        run(3);
    }
    EXPECT_EQ(ea_leaks_top(&l, &found, 1), 0);
    EXPECT_EQ(kinds_of(1), 0);
    EXPECT_EQ(kinds_of(2), 0);
    EXPECT_EQ(found.n_live, 20);
}

TEST(leaks_a_block_older_than_its_rule_allows_is_found, BYTES)
{
    static const ea_leaks_rule_t rules[] = {
        {.site = SITE(1), .max_age_us = 200000},
        {.owner = 5, .max_age_us = 100000},
        {.min_size_bytes = 64, .max_size_bytes = 128, .max_age_us = 50000},
    };
    set_defaults();
    options.rules = rules;
    options.n_rules = 3;
    REQUIRE(begin());
    take_of(5, 1, 1, 100); /* the first that fits holds */
    take_of(5, 2, 2, 100);
    take_of(3, 3, 3, 64);
    take_of(3, 4, 4, 129);
    take_of(3, 5, 5, 128);
    take_of(3, 6, 6, 63);
    run(90);
    EXPECT_EQ(kinds_of(3), EA_LEAK_AGE);
    EXPECT_EQ(kinds_of(5), EA_LEAK_AGE);
    EXPECT_EQ(kinds_of(6), 0);
    EXPECT_EQ(kinds_of(2), 0);
    run(60);
    EXPECT_EQ(kinds_of(2), EA_LEAK_AGE);
    EXPECT_EQ(found.owner, 5);
    EXPECT_EQ(kinds_of(1), 0);
    run(100);
    EXPECT_EQ(kinds_of(1), EA_LEAK_AGE);
    EXPECT_EQ(kinds_of(4), 0);
    give(1);
    run(2 * PAUSE);
    EXPECT_EQ(kinds_of(1), 0);
}

TEST(leaks_that_do_not_grow_are_ranked_by_their_bytes_and_counted, BYTES)
{
    static const ea_leaks_rule_t rules[] = {{.min_size_bytes = 20, .max_age_us = 1000}};
    static ea_leak_t top[4];
    ea_leaks_stats_t stats;
    set_defaults();
    options.rules = rules;
    options.n_rules = 1;
    REQUIRE(begin());
    take_of(3, 1, 1, 50);
    take_of(3, 2, 2, 40);
    take_of(3, 2, 3, 41);
    take_of(3, 3, 4, 80);
    take_of(3, 4, 5, 10);
    run(2 * PAUSE);
    REQUIRE(ea_leaks_top(&l, top, 4) == 3);
    EXPECT(top[0].site == SITE(2) && top[1].site == SITE(3) && top[2].site == SITE(1));
    EXPECT_EQ(top[0].suspect_bytes, 81);
    ea_leaks_stats(&l, &stats);
    EXPECT_EQ(stats.n_found, 3);
    EXPECT(ea_leaks_of_site(&l, SITE(1), &found));
    uint64_t age_us = found.found_us;
    EXPECT(age_us < 2u * PAUSE * 1000u);
    EXPECT(!ea_leaks_of_site(&l, SITE(4), &found));
    EXPECT(found.kinds == 0 && found.n_live == 1);
    run(3 * PAUSE);
    EXPECT(ea_leaks_of_site(&l, SITE(1), &found));
    EXPECT_EQ(found.found_us, age_us + 3u * PAUSE * 1000u);
}

TEST(leaks_of_an_unknown_site_have_none, BYTES)
{
    ea_leak_block_t block;
    size_t cursor = 0;
    set_defaults();
    REQUIRE(begin());
    ticks = 5;
    ea_leaks_record(&l, EA_BLOCK_ALLOCATED, 3, NULL, BLOCK(1), 10);
    ticks = 9;
    EXPECT_EQ(ea_leaks_next_block(&l, 0, &cursor, &block), EA_OK);
    EXPECT(block.block == BLOCK(1) && block.site == NULL);
    EXPECT(!ea_leaks_of_site(&l, NULL, &found));
    EXPECT(found.site == NULL && found.n_live == 1);
}

TEST(leaks_passes_that_nobody_polled_for_are_not_made_up_for, BYTES)
{
    ea_leaks_stats_t stats;
    set_defaults();
    REQUIRE(begin());
    ticks = 20 * WINDOW;
    EXPECT_EQ(ea_leaks_poll(&l, N_SITES + N_BLOCKS - 1), EA_ERR_AGAIN);
    for (unsigned i = 0; i < 30; i++) EXPECT_EQ(ea_leaks_poll(&l, 1000), EA_OK);
    ea_leaks_stats(&l, &stats);
    EXPECT_EQ(stats.n_passes, 1);
    ticks += PAUSE;
    EXPECT_EQ(ea_leaks_poll(&l, 1000), EA_OK);
    ea_leaks_stats(&l, &stats);
    EXPECT_EQ(stats.n_passes, 2);
}

static uint16_t gone_owner;
static size_t room;

static bool is_gone(void *context, uint16_t owner)
{
    return context == &l && owner == gone_owner;
}

static size_t room_bytes(void *context, uint16_t owner)
{
    (void)owner;
    return context == &l ? room : 0;
}

TEST(leaks_blocks_of_an_owner_that_is_gone_are_found, BYTES)
{
    set_defaults();
    listen();
    options.is_gone = is_gone;
    options.room_bytes = room_bytes;
    options.context = &l;
    gone_owner = 0;
    room = 10000;
    REQUIRE(begin());
    take_of(6, 1, 1, 100);
    take_of(7, 1, 2, 60);
    run(2 * PAUSE);
    EXPECT_EQ(kinds_of(1), 0);
    gone_owner = 6;
    run(2 * PAUSE);
    EXPECT_EQ(kinds_of(1), EA_LEAK_OWNER_GONE);
    EXPECT_EQ(found.owner, 6);
    EXPECT_EQ(found.n_suspects, 1);
    EXPECT_EQ(found.suspect_bytes, 100);
    EXPECT_EQ(found.severity, EA_LEAK_INFO);
    room = 6400; /* it is a 64th now, ... */
    run(2 * PAUSE);
    EXPECT_EQ(kinds_of(1), EA_LEAK_OWNER_GONE);
    EXPECT_EQ(found.severity, EA_LEAK_MINOR);
    room = 400;
    run(2 * PAUSE);
    (void)kinds_of(1);
    EXPECT_EQ(found.severity, EA_LEAK_MAJOR);
    room = 100;
    run(2 * PAUSE);
    (void)kinds_of(1);
    EXPECT_EQ(found.severity, EA_LEAK_CRITICAL);
    EXPECT_EQ(n_events, 4); /* each time it got worse */
    give(1);
    run(2 * PAUSE);
    EXPECT_EQ(kinds_of(1), 0);
    EXPECT_EQ(last_event.kind, EA_EVENT_LEAK_CLEARED);
    EXPECT_EQ(ea_events_unlisten(&hub, &listener), EA_OK);
}

TEST(leaks_growth_is_as_bad_as_the_room_ends_soon, BYTES)
{
    set_defaults();
    options.room_bytes = room_bytes;
    options.context = &l;
    /* A window of 1.6 h: about 300 bytes a day. */
    options.tick_us = 60000000;
    options.window_us = UINT64_C(60000000) * WINDOW;
    room = 1000000;
    REQUIRE(begin());
    leak(1, 12, 2);
    EXPECT_EQ(kinds_of(1), EA_LEAK_GROWTH);
    EXPECT_EQ(found.severity, EA_LEAK_INFO);
    EXPECT(found.bytes_per_day > 150 && found.bytes_per_day < 600);
    EXPECT(found.room_ends_us / 86400000000u > 1000000u / 600u);
    EXPECT(found.room_ends_us / 86400000000u < 1000000u / 150u);
    static const struct {
        unsigned tenths_of_days;
        uint8_t severity;
    } cases[] = {{1100, EA_LEAK_INFO}, {750, EA_LEAK_MINOR}, {170, EA_LEAK_MINOR},
                 {115, EA_LEAK_MAJOR}, {25, EA_LEAK_MAJOR},  {16, EA_LEAK_CRITICAL},
                 {0, EA_LEAK_CRITICAL}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        room = found.bytes_per_day * cases[i].tenths_of_days / 10u;
        leak(1, 1, 2);
        (void)kinds_of(1);
        EXPECT_EQ(found.severity, cases[i].severity);
        uint64_t tenths = found.room_ends_us / (86400000000u / 10u), is = cases[i].tenths_of_days;
        EXPECT(tenths * 100u >= is * 88u && tenths * 100u <= is * 112u);
    }
}

TEST(leaks_survival_is_found_of_what_outlives_its_site_by_far, BYTES)
{
    set_defaults();
    options.survival_factor = 4;
    REQUIRE(begin());
    take(1, 51); /* stays */
    take(2, 52); /* stays too, but nobody knows what is usual there */
    leak(1, 2, 0);
    EXPECT_EQ(kinds_of(1), EA_LEAK_SURVIVAL);
    EXPECT_EQ(found.n_suspects, 1);
    EXPECT_EQ(kinds_of(2), 0);
}

TEST(leaks_survival_takes_as_many_times_the_usual_life_as_is_said, BYTES)
{
    set_defaults();
    options.survival_factor = 4;
    REQUIRE(begin());
    for (unsigned i = 0; i < 20; i++) {
        take(1, 1);
        give(1);
    }
    take(1, 51);
    run(40); /* what is freed within 16 ticks is usual */
    EXPECT_EQ(kinds_of(1), 0);
    EXPECT_EQ(found.usual_us, 16000);
    run(60);
    EXPECT_EQ(kinds_of(1), EA_LEAK_SURVIVAL);
}

TEST(leaks_usual_is_what_99_of_100_do_not_outlive, BYTES)
{
    set_defaults();
    REQUIRE(begin());
    for (unsigned i = 0; i < 3; i++) take(1, 100 + i);
    for (unsigned i = 0; i < 197; i++) {
        take(1, 1);
        give(1);
    }
    run(100);
    (void)kinds_of(1);
    EXPECT_EQ(found.usual_us, 16000);
    give(100);
    run(2 * PAUSE);
    (void)kinds_of(1);
    EXPECT_EQ(found.usual_us, 16000); /* one of 198 */
    give(101);
    give(102);
    run(2 * PAUSE);
    (void)kinds_of(1);
    EXPECT_EQ(found.usual_us, 128000);
}

TEST(leaks_a_load_that_rises_is_no_finding, BYTES)
{
    set_defaults();
    REQUIRE(begin());
    for (unsigned w = 0; w < 20; w++) { /* each window more of them, that live as long as ever */
        for (unsigned i = 0; i < 10 + 2 * w; i++) take(1, 100 * (w & 1) + i);
        for (unsigned i = 0; w > 0 && i < 8 + 2 * w; i++) give(100 * (~w & 1) + i);
        run(WINDOW);
        EXPECT_EQ(kinds_of(1), 0);
    }
    EXPECT_EQ(found.n_live, 48);
}

TEST(leaks_a_site_whose_old_blocks_are_freed_is_no_finding, BYTES)
{
    set_defaults();
    REQUIRE(begin());
    for (unsigned w = 0; w < 16; w++) { /* four come, and two old ones go */
        for (unsigned i = 0; i < 4; i++) take(1, 100 + 4 * w + i);
        for (unsigned i = 0; w >= 2 && i < 2; i++) give(100 + 4 * (w - 2) + i);
        for (unsigned i = 0; i < 250; i++) {
            take(1, 1);
            give(1);
        }
        run(WINDOW);
        EXPECT_EQ(kinds_of(1), 0);
    }
    EXPECT_EQ(found.n_live, 36);
    EXPECT_EQ(found.usual_us, 16000);
}

TEST(leaks_growth_that_chance_would_make_of_so_many_is_no_finding, BYTES)
{
    set_defaults();
    REQUIRE(begin());
    for (unsigned i = 0; i < 60; i++) take(1, 100 + i);
    leak(1, 14, 1);
    EXPECT_EQ(kinds_of(1), 0);
    EXPECT_EQ(found.n_live, 74);
    leak(2, 14, 1); /* of few it is growth */
    EXPECT_EQ(kinds_of(2), EA_LEAK_GROWTH);
}

TEST(leaks_growth_too_slow_for_eight_windows_is_found_in_32, BYTES)
{
    set_defaults();
    REQUIRE(begin());
    for (unsigned w = 0; w < 24; w++) leak(1, 1, w & 1);
    EXPECT_EQ(kinds_of(1), 0);
    for (unsigned w = 0; w < 16; w++) leak(1, 1, w & 1);
    EXPECT_EQ(kinds_of(1), EA_LEAK_GROWTH);
    EXPECT_EQ(found.n_live, 20);
}

TEST(leaks_a_site_may_hold_what_a_rule_says, BYTES)
{
    static const ea_leaks_rule_t rules[] = {{.site = SITE(1), .may_hold_bytes = 300}};
    set_defaults();
    options.rules = rules;
    options.n_rules = 1;
    REQUIRE(begin());
    leak(1, 14, 2);
    EXPECT_EQ(kinds_of(1), 0); /* 280 bytes: a cache that fills */
    leak(1, 3, 2);
    EXPECT_EQ(kinds_of(1), EA_LEAK_GROWTH);
    options.is_gone = is_gone;
    options.context = &l;
    gone_owner = 6;
    REQUIRE(begin());
    take_of(6, 1, 1, 100);
    run(2 * PAUSE);
    EXPECT_EQ(kinds_of(1), EA_LEAK_OWNER_GONE); /* that is found however little it is */
}

TEST(leaks_are_ranked_by_growth, BYTES)
{
    set_defaults();
    REQUIRE(begin());
    for (unsigned w = 0; w < 12; w++) {
        for (unsigned site = 1; site <= 3; site++) leak(site, 0, 0);
        for (unsigned i = 0; i < 4; i++) {
            take(2, i);
            take(3, 10 + i);
        }
        for (unsigned i = 0; i < 4; i++) {
            give(i);
            give(10 + i);
        }
        take_of(3, 1, next_block++, 200); /* much, but it never frees: a store */
        take_of(3, 2, next_block++, 20);
        take_of(3, 3, next_block++, 40);
        run(WINDOW);
    }
    static ea_leak_t top[4];
    EXPECT_EQ(ea_leaks_top(&l, top, 4), 3);
    EXPECT(top[0].site == SITE(3));
    EXPECT(top[1].site == SITE(2) || top[1].site == SITE(1));
    EXPECT_EQ(ea_leaks_top(&l, top, 1), 1);
    EXPECT(top[0].site == SITE(3));
}

/* So many blocks a window stay, others from the 13th on. Returns the first site of the ranking. */
static const void *first_of_two(const unsigned (*rates)[2], const size_t *size_bytes)
{
    static ea_leak_t top[2];
    set_defaults();
    if (!begin()) return NULL;
    for (unsigned w = 0; w < 24; w++) {
        for (unsigned site = 0; site < 2; site++)
            for (unsigned i = 0; i < rates[site][w >= 12]; i++)
                take_of(3, site, next_block++, size_bytes[site]);
        run(WINDOW);
    }
    return ea_leaks_top(&l, top, 2) == 2 ? top[0].site : NULL;
}

TEST(leaks_that_slow_down_are_ranked_lower_those_that_speed_up_are_not_ranked_higher, BYTES)
{
    static const unsigned slower[][2] = {{4, 2}, {2, 2}}, faster[][2] = {{1, 2}, {2, 2}};
    EXPECT(first_of_two(slower, (const size_t[]){10, 8}) == SITE(1));
    (void)ea_leaks_of_site(&l, SITE(0), &found);
    EXPECT(found.steady_permille > 500 && found.steady_permille < 900);
    EXPECT(first_of_two(slower, (const size_t[]){100, 8}) == SITE(0));
    EXPECT(first_of_two(faster, (const size_t[]){8, 10}) == SITE(1));
    (void)ea_leaks_of_site(&l, SITE(0), &found);
    EXPECT(found.steady_permille > 1050);
}

TEST(leaks_of_more_sites_than_rows_are_watched_where_there_is_a_row, BYTES)
{
    ea_leaks_stats_t stats;
    set_defaults();
    REQUIRE(begin());
    for (unsigned i = 0; i < N_SITES; i++) take(i, i);
    take(100, 100); /* every row has a live block */
    ea_leaks_stats(&l, &stats);
    EXPECT_EQ(stats.n_unplaced, 1);
    EXPECT_EQ(stats.n_sites, N_SITES);
    EXPECT_EQ(stats.n_live, N_SITES);
    give(3);
    take(100, 100);
    ea_leaks_stats(&l, &stats);
    EXPECT_EQ(stats.n_unplaced, 1);
    EXPECT_EQ(stats.n_live, N_SITES);
    EXPECT_EQ(kinds_of(3), 0);
    EXPECT_EQ(found.n_live, 0);
    EXPECT_EQ(kinds_of(100), 0);
    EXPECT_EQ(found.n_live, 1);
    run(2 * PAUSE);
    give(100);
    ea_leaks_stats(&l, &stats);
    EXPECT_EQ(stats.n_live, N_SITES - 1u);
}

TEST(leaks_of_a_site_that_gets_anothers_row_begin_anew, BYTES)
{
    ea_leaks_stats_t stats;
    set_defaults();
    REQUIRE(begin());
    for (unsigned i = 0; i < N_SITES - 1u; i++) take(10 + i, 10 + i);
    leak(1, 12, 2);
    REQUIRE(kinds_of(1) == EA_LEAK_GROWTH);
    for (unsigned i = 0; i < 24; i++) give(1000 + i);
    for (unsigned i = 0; i < 26; i++) take(2, 200 + i);
    EXPECT(!ea_leaks_of_site(&l, SITE(2), &found)); /* before a pass has seen it */
    EXPECT_EQ(found.kinds, 0);
    EXPECT_EQ(found.n_live, 26);
    EXPECT_EQ(found.n_suspects, 0);
    EXPECT_EQ(found.usual_us, 0);
    EXPECT_EQ(ea_leaks_top(&l, &found, 1), 0);
    ea_leaks_stats(&l, &stats);
    EXPECT_EQ(stats.n_found, 0);
    for (unsigned w = 0; w < 6; w++) {
        leak(2, 1, 2);
        EXPECT_EQ(kinds_of(2), 0);
    }
    leak(2, 6, 2);
    EXPECT_EQ(kinds_of(2), EA_LEAK_GROWTH);
}

TEST(leaks_of_more_blocks_than_places_say_so_and_clear_nothing, BYTES)
{
    ea_leaks_stats_t stats;
    set_defaults();
    REQUIRE(begin());
    leak(1, 12, 2);
    REQUIRE(kinds_of(1) == EA_LEAK_GROWTH);
    for (unsigned w = 0; w < 16; w++) {
        for (unsigned i = 0; i < 2 * N_BLOCKS; i++) take(2, 2000 + i);
        run(WINDOW);
        for (unsigned i = 0; i < 2 * N_BLOCKS; i++) give(2000 + i);
    }
    ea_leaks_stats(&l, &stats);
    EXPECT(stats.n_untracked >= 16 * N_BLOCKS);
    EXPECT_EQ(stats.n_unknown, stats.n_untracked);
    EXPECT_EQ(stats.n_live, 24);
    EXPECT_EQ(kinds_of(1), EA_LEAK_GROWTH); /* for all anybody knows */
    leak(1, 40, 0);
    EXPECT_EQ(kinds_of(1), 0);
}

TEST(leaks_times_may_wrap, BYTES)
{
    set_defaults();
    REQUIRE(begin());
    take(1, 1);
    for (unsigned i = 0; i < 24; i++) { /* three times around */
        ticks += 0x20000000u;
        while (ea_leaks_poll(&l, 1000) == EA_ERR_AGAIN) {
        }
        take(2, 2);
        if (i >= 4) EXPECT_EQ(ea_leaks_detect(&l, UINT64_C(0x70000000) * 1000), 1);
        give(2);
    }
}

TEST(leaks_watch_one_block_in_n, BYTES)
{
    set_defaults();
    options.sample_one_in = 8;
    REQUIRE(begin());
    for (unsigned i = 0; i < 800; i++) take(1, i);
    (void)kinds_of(1);
    tap_note("estimated of 800", (long long)found.n_live);
    EXPECT(found.n_live > 600 && found.n_live < 1000);
    for (unsigned i = 0; i < 800; i++) give(i);
    ea_leaks_stats_t stats;
    ea_leaks_stats(&l, &stats);
    EXPECT_EQ(stats.n_live, 0);
    EXPECT_EQ(stats.n_unknown, 0);
}

/* --- over boots ------------------------------------------------------------------------------- */

static ea_leaks_history_t history;

static void boot(unsigned n_windows, unsigned site)
{
    set_defaults();
    options.history = &history;
    options.image = 0x1234;
    REQUIRE(begin());
    leak(site, n_windows, 2);
}

TEST(leaks_are_remembered_over_boots, BYTES)
{
    memset(&history, 0x5A, sizeof history);
    boot(12, 1);
    EXPECT_EQ(kinds_of(1), EA_LEAK_GROWTH);
    EXPECT_EQ(found.n_boots, 1);
    boot(2, 1);
    EXPECT_EQ(kinds_of(1), 0);
    EXPECT_EQ(found.n_boots, 1);
    boot(12, 1);
    EXPECT_EQ(kinds_of(1), EA_LEAK_GROWTH);
    EXPECT_EQ(found.n_boots, 2);
    ea_leaks_stats_t stats;
    ea_leaks_stats(&l, &stats);
    EXPECT_EQ(stats.n_boots, 3);
    ea_leak_past_t past;
    size_t cursor = 0;
    EXPECT_EQ(ea_leaks_next_past(&l, &cursor, &past), EA_OK);
    EXPECT(past.site == SITE(1));
    EXPECT_EQ(past.n_boots, 2);
    EXPECT_EQ(past.last, 3);
    EXPECT_EQ(past.kinds, EA_LEAK_GROWTH);
    EXPECT_EQ(ea_leaks_next_past(&l, &cursor, &past), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_leaks_next_past(NULL, &cursor, &past), EA_ERR_INVALID);
    for (unsigned site = 2; site < 2 + EA_LEAKS_HISTORY; site++) boot(12, site);
    cursor = 0; /* it was found most often: others make room */
    do EXPECT_EQ(ea_leaks_next_past(&l, &cursor, &past), EA_OK);
    while (past.site != SITE(1) && cursor < EA_LEAKS_HISTORY);
    EXPECT_EQ(past.n_boots, 2);
    size_t n = 0; /* of those that were found once the one longest ago made room */
    for (cursor = 0; ea_leaks_next_past(&l, &cursor, &past) == EA_OK; n++)
        EXPECT(past.site != SITE(2));
    EXPECT_EQ(n, EA_LEAKS_HISTORY);
    options.image = 0x1235; /* another program: its call sites are others */
    REQUIRE(begin());
    ea_leaks_stats(&l, &stats);
    EXPECT_EQ(stats.n_boots, 1);
    cursor = 0;
    EXPECT_EQ(ea_leaks_next_past(&l, &cursor, &past), EA_ERR_NOT_FOUND);
}

TEST(leaks_found_for_two_reasons_in_a_boot_are_remembered_as_one, BYTES)
{
    static const ea_leaks_rule_t rules[] = {{.max_age_us = 100000}};
    ea_leak_past_t past;
    size_t cursor = 0;
    memset(&history, 0, sizeof history);
    set_defaults();
    options.history = &history;
    options.rules = rules;
    options.n_rules = 1;
    REQUIRE(begin());
    leak(1, 3, 2);
    EXPECT_EQ(kinds_of(1), EA_LEAK_AGE);
    EXPECT_EQ(found.n_boots, 1);
    options.rules = NULL; /* too late: they are the ones of the beginning */
    leak(1, 9, 2);
    EXPECT_EQ(kinds_of(1), EA_LEAK_AGE | EA_LEAK_GROWTH);
    EXPECT_EQ(ea_leaks_next_past(&l, &cursor, &past), EA_OK);
    EXPECT_EQ(past.n_boots, 1);
    EXPECT_EQ(past.kinds, EA_LEAK_AGE | EA_LEAK_GROWTH);
    options.n_rules = 0;
    REQUIRE(begin());
    leak(1, 12, 2);
    cursor = 0;
    EXPECT_EQ(ea_leaks_next_past(&l, &cursor, &past), EA_OK);
    EXPECT_EQ(past.n_boots, 2);
    EXPECT_EQ(past.kinds, EA_LEAK_AGE | EA_LEAK_GROWTH);
}

TEST(leaks_history_with_any_byte_changed_loses_no_more_than_that_entry, BYTES)
{
    static ea_leaks_history_t sound;
    memset(&history, 0, sizeof history);
    for (unsigned i = 0; i < 2; i++) boot(12, 1 + i);
    sound = history;
    for (size_t at = 0; at < sizeof history; at++) {
        history = sound;
        ((unsigned char *)&history)[at] ^= 0x40;
        set_defaults();
        options.history = &history;
        options.image = 0x1234;
        REQUIRE(begin());
        ea_leaks_stats_t stats;
        ea_leak_past_t past;
        size_t cursor = 0, n = 0;
        ea_leaks_stats(&l, &stats);
        EXPECT(stats.n_boots == 3 ||
               (stats.n_boots == 1 && at < offsetof(ea_leaks_history_t, eai_past)));
        while (ea_leaks_next_past(&l, &cursor, &past) == EA_OK) {
            EXPECT(past.site == SITE(1) || past.site == SITE(2));
            EXPECT_EQ(past.n_boots, 1);
            EXPECT_EQ(past.kinds, EA_LEAK_GROWTH);
            EXPECT_EQ(past.last, past.site == SITE(1) ? 1 : 2);
            n++;
        }
        EXPECT(n >= (at < offsetof(ea_leaks_history_t, eai_past) ? 0u : 1u) && n <= 2);
    }
}

/* --- an allocator ----------------------------------------------------------------------------- */

TEST(leaks_attached_to_an_allocator_see_its_blocks_and_its_room, 8192)
{
#if EA_CFG_ALLOC_HOOK
    static ea_allocator_t a;
    char *ram = tap_ram();
    size_t tables_bytes = EA_LEAKS_BYTES(8, 64);
    ea_leak_block_t block;
    size_t cursor = 0;
    set_defaults();
    options.n_blocks = 64;
    ticks = 0;
    REQUIRE(ea_leaks_init(&l, ram, tables_bytes, &options) == EA_OK);
    REQUIRE(ea_allocator_init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, ram + tables_bytes, 8192 - tables_bytes, NULL) == EA_OK);
    EXPECT_EQ(ea_leaks_attach(NULL, &a), EA_ERR_INVALID);
    EXPECT_EQ(ea_leaks_attach(&l, &a), EA_OK);
    EXPECT_EQ(ea_leaks_attach(&l, &a), EA_ERR_BUSY);
    const ea_request_t request = {.caller = SITE(5)};
    next_block = 0;
    for (unsigned w = 0; w < 12; w++) {
        if (!ea_malloc_ex(&a, 24, &request)) break;
        for (unsigned i = 0; i < 2; i++) (void)ea_free(&a, ea_malloc_ex(&a, 24, &request));
        run(WINDOW);
    }
    EXPECT_EQ(kinds_of(5), EA_LEAK_GROWTH);
    EXPECT_EQ(found.n_live, 12);
    EXPECT_EQ(found.severity, EA_LEAK_CRITICAL); /* in minutes all is gone */
    EXPECT(found.room_ends_us < UINT64_C(3600) * 1000000u);
    EXPECT_EQ(ea_leaks_next_block(&l, 0, &cursor, &block), EA_OK);
    EXPECT(block.site == SITE(5));
    EXPECT_EQ(ea_leaks_detach(&l, &a), EA_OK);
    EXPECT_EQ(ea_leaks_detach(&l, &a), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_leaks_attach(&l, &a), EA_OK);
    EXPECT_EQ(ea_leaks_detect(&l, 0), 0); /* nobody knows what happened meanwhile */
    EXPECT_EQ(ea_leaks_detach(&l, &a), EA_OK);
#endif
}

TEST(leaks_names_are_words, 0)
{
    EXPECT(strcmp(ea_leak_kind_name(EA_LEAK_GROWTH), "GROWTH") == 0);
    EXPECT(strcmp(ea_leak_kind_name(EA_LEAK_AGE), "AGE") == 0);
    EXPECT(strcmp(ea_leak_kind_name(EA_LEAK_SURVIVAL), "SURVIVAL") == 0);
    EXPECT(strcmp(ea_leak_kind_name(EA_LEAK_OWNER_GONE), "OWNER_GONE") == 0);
    EXPECT(strcmp(ea_leak_kind_name(3), "?") == 0);
    EXPECT(strcmp(ea_leak_severity_name(EA_LEAK_CRITICAL), "CRITICAL") == 0);
    EXPECT(strcmp(ea_leak_severity_name(9), "?") == 0);
    EXPECT(strcmp(ea_event_kind_name(EA_EVENT_LEAK_CLEARED), "LEAK_CLEARED") == 0);
}

TEST_MAIN(
    &leaks_init_refuses_what_cannot_be_its_tables, &leaks_detect_counts_the_blocks_that_are_older,
    &leaks_a_site_that_keeps_some_is_found_told_and_cleared_when_it_stops,
    &leaks_what_comes_and_goes_is_no_finding, &leaks_a_block_older_than_its_rule_allows_is_found,
    &leaks_that_do_not_grow_are_ranked_by_their_bytes_and_counted,
    &leaks_of_an_unknown_site_have_none, &leaks_passes_that_nobody_polled_for_are_not_made_up_for,
    &leaks_blocks_of_an_owner_that_is_gone_are_found, &leaks_growth_is_as_bad_as_the_room_ends_soon,
    &leaks_survival_is_found_of_what_outlives_its_site_by_far,
    &leaks_survival_takes_as_many_times_the_usual_life_as_is_said,
    &leaks_usual_is_what_99_of_100_do_not_outlive, &leaks_a_load_that_rises_is_no_finding,
    &leaks_a_site_whose_old_blocks_are_freed_is_no_finding,
    &leaks_growth_that_chance_would_make_of_so_many_is_no_finding,
    &leaks_growth_too_slow_for_eight_windows_is_found_in_32,
    &leaks_a_site_may_hold_what_a_rule_says, &leaks_are_ranked_by_growth,
    &leaks_that_slow_down_are_ranked_lower_those_that_speed_up_are_not_ranked_higher,
    &leaks_of_more_sites_than_rows_are_watched_where_there_is_a_row,
    &leaks_of_a_site_that_gets_anothers_row_begin_anew,
    &leaks_of_more_blocks_than_places_say_so_and_clear_nothing, &leaks_times_may_wrap,
    &leaks_watch_one_block_in_n, &leaks_are_remembered_over_boots,
    &leaks_found_for_two_reasons_in_a_boot_are_remembered_as_one,
    &leaks_history_with_any_byte_changed_loses_no_more_than_that_entry,
    &leaks_attached_to_an_allocator_see_its_blocks_and_its_room, &leaks_names_are_words)
