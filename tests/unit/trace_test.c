/* SPDX-License-Identifier: MIT
 *
 * The history of allocations (row B1): what is recorded is read, oldest first; it is kept when the
 * ring is opened again; what is torn or damaged is no event; times and sizes are what they were.
 */
#include <string.h>

#include "ealloc/allocator.h"
#include "ealloc/owner.h"
#include "ealloc/trace.h"
#include "tap.h"

#define N 16u
#define RING_BYTES EA_TRACE_BYTES(N)
#define SITE(i) ((const void *)(uintptr_t)(i))

static volatile uint32_t ticks;
static const ea_trace_options_t with_clock = {.clock = &ticks, .tick_us = 1000};

static ea_trace_t *open_ring(void *mem)
{
    ticks = 0;
    return ea_trace_open(mem, RING_BYTES, &with_clock);
}

/* An empty ring, without its BOOT. */
static ea_trace_t *open_new(void *mem)
{
    memset(mem, 0xA5, RING_BYTES);
    ea_trace_t *t = open_ring(mem);
    if (t) ea_trace_clear(t);
    return t;
}

static void note(ea_trace_t *t, uintptr_t site)
{
    ea_trace_record(t, EA_TRACE_USER, 7, SITE(site), NULL, 0);
}

/* Reads on. Returns how many; *last is the last one. */
static unsigned read_all(const ea_trace_t *t, ea_trace_cursor_t *cursor, ea_trace_event_t *last)
{
    unsigned n = 0;
    ea_status_t status;
    while ((status = ea_trace_read(t, cursor, last)) == EA_OK) n++;
    EXPECT_EQ(status, EA_ERR_NOT_FOUND);
    return n;
}

TEST(trace_open_refuses_what_cannot_be_a_ring, RING_BYTES)
{
    char *ram = tap_ram();
    static const ea_trace_options_t no_tick = {.clock = &ticks};
    EXPECT(ea_trace_open(NULL, RING_BYTES, NULL) == NULL);
    EXPECT(ea_trace_open(ram + 1, RING_BYTES - 16, NULL) == NULL);
    EXPECT(ea_trace_open(ram, EA_TRACE_BYTES(EA_TRACE_MIN_EVENTS) - 1, NULL) == NULL);
    EXPECT(ea_trace_open(ram, RING_BYTES, &no_tick) == NULL);
    for (unsigned i = 0; i < RING_BYTES; i++) EXPECT_EQ((unsigned char)ram[i], 0xA5);
    EXPECT(ea_trace_open(ram, EA_TRACE_BYTES(EA_TRACE_MIN_EVENTS), NULL) != NULL);
}

TEST(trace_reads_events_oldest_first, RING_BYTES)
{
    ea_trace_t *t = open_new(tap_ram());
    REQUIRE(t != NULL);
    ea_trace_cursor_t cursor = {0};
    ea_trace_event_t e;
    EXPECT_EQ(ea_trace_read(t, &cursor, &e), EA_ERR_NOT_FOUND);
    for (unsigned i = 0; i < 5; i++) {
        ticks = 10 + i;
        ea_trace_record(t, EA_TRACE_ALLOC, (uint16_t)(i + 65530), SITE(1000 + i),
                        (char *)tap_ram() + 32 * i, i);
    }
    for (unsigned i = 0; i < 5; i++) {
        REQUIRE(ea_trace_read(t, &cursor, &e) == EA_OK);
        EXPECT_EQ(e.kind, EA_TRACE_ALLOC);
        EXPECT_EQ(e.owner, i + 65530);
        EXPECT(e.site == SITE(1000 + i));
        EXPECT(e.block == (char *)tap_ram() + 32 * i);
        EXPECT_EQ(e.size_bytes, i);
        EXPECT_EQ(e.max_size_bytes, i);
        EXPECT_EQ(e.time_us, (10 + i) * 1000);
        EXPECT_EQ(e.number, N + 1 + i); /* BOOT was first */
    }
    EXPECT_EQ(ea_trace_read(t, &cursor, &e), EA_ERR_NOT_FOUND);
    note(t, 1);
    EXPECT_EQ(read_all(t, &cursor, &e), 1);
    EXPECT(e.site == SITE(1) && e.block == NULL);
    EXPECT_EQ(ea_trace_read(NULL, &cursor, &e), EA_ERR_INVALID);
    EXPECT_EQ(ea_trace_read(t, NULL, &e), EA_ERR_INVALID);
    EXPECT_EQ(ea_trace_read(t, &cursor, NULL), EA_ERR_INVALID);
}

TEST(trace_keeps_the_newest_events, RING_BYTES)
{
    ea_trace_t *t = open_new(tap_ram());
    REQUIRE(t != NULL);
    for (unsigned n = 1; n < 5 * N; n++) {
        ea_trace_cursor_t cursor = {0};
        ea_trace_event_t e;
        note(t, n);
        unsigned first = n > N ? n - N + 1 : 1;
        for (unsigned i = first; i <= n; i++) {
            REQUIRE(ea_trace_read(t, &cursor, &e) == EA_OK);
            EXPECT(e.site == SITE(i));
        }
        EXPECT_EQ(ea_trace_read(t, &cursor, &e), EA_ERR_NOT_FOUND);
        EXPECT_EQ(cursor.n_void, 0);
    }
}

TEST(trace_reader_that_is_overtaken_says_by_how_many, RING_BYTES)
{
    ea_trace_t *t = open_new(tap_ram());
    REQUIRE(t != NULL);
    ea_trace_cursor_t cursor = {0};
    ea_trace_event_t e;
    for (unsigned n = 1; n <= 4; n++) note(t, n);
    REQUIRE(ea_trace_read(t, &cursor, &e) == EA_OK);
    for (unsigned n = 5; n <= 3 * N; n++) note(t, n);
    REQUIRE(ea_trace_read(t, &cursor, &e) == EA_OK);
    EXPECT(e.site == SITE(2 * N + 1));
    EXPECT_EQ(cursor.n_overwritten, 2 * N - 1);
}

TEST(trace_forgets_when_it_is_cleared, RING_BYTES)
{
    ea_trace_t *t = open_new(tap_ram());
    REQUIRE(t != NULL);
    for (unsigned n = 1; n <= 2 * N; n++) note(t, n);
    ea_trace_clear(t);
    ea_trace_cursor_t cursor = {0};
    ea_trace_event_t e;
    EXPECT_EQ(read_all(t, &cursor, &e), 0);
    note(t, 99);
    EXPECT_EQ(read_all(t, &cursor, &e), 1);
    EXPECT(e.site == SITE(99));
}

/* --- a reset ---------------------------------------------------------------------------------- */

TEST(trace_survives_being_opened_again, RING_BYTES)
{
    ea_trace_t *t = open_new(tap_ram());
    REQUIRE(t != NULL);
    ticks = 5;
    for (unsigned n = 1; n <= 6; n++) note(t, n);
    ea_trace_options_t options = with_clock;
    options.image = 0x1234;
    ticks = 0;
    t = ea_trace_open(tap_ram(), RING_BYTES, &options);
    REQUIRE(t == tap_ram());
    ea_trace_cursor_t cursor = {0};
    ea_trace_event_t e;
    for (unsigned n = 1; n <= 6; n++) {
        REQUIRE(ea_trace_read(t, &cursor, &e) == EA_OK);
        EXPECT(e.site == SITE(n));
        EXPECT_EQ(e.time_us, 5000);
    }
    REQUIRE(ea_trace_read(t, &cursor, &e) == EA_OK);
    EXPECT_EQ(e.kind, EA_TRACE_BOOT);
    EXPECT(e.site == SITE(0x1234));
    EXPECT_EQ(e.size_bytes, 2);
    EXPECT_EQ(e.time_us, 0);
    EXPECT_EQ(ea_trace_read(t, &cursor, &e), EA_ERR_NOT_FOUND);
    ea_trace_stats_t stats;
    ea_trace_stats(t, &stats);
    EXPECT_EQ(stats.n_boots, 2);
    EXPECT_EQ(stats.n_events, N);
    EXPECT_EQ(stats.n_recorded, 8);
    EXPECT_EQ(stats.unit_us, 1000);
}

static size_t boots(const ea_trace_t *t)
{
    ea_trace_stats_t stats;
    ea_trace_stats(t, &stats);
    return stats.n_boots;
}

TEST(trace_of_another_shape_is_made_anew, RING_BYTES)
{
    const ea_trace_options_t other[] = {
        {.clock = &ticks, .tick_us = 1001},
        {.clock = &ticks, .tick_us = 1000, .base = SITE(64)},
        {0},
    };
    for (unsigned i = 0; i < sizeof other / sizeof other[0]; i++) {
        REQUIRE(open_new(tap_ram()) != NULL);
        ea_trace_t *t = ea_trace_open(tap_ram(), RING_BYTES, &other[i]);
        REQUIRE(t != NULL);
        EXPECT_EQ(boots(t), 1);
    }
    REQUIRE(open_new(tap_ram()) != NULL);
    EXPECT_EQ(boots(ea_trace_open(tap_ram(), RING_BYTES - 1, &with_clock)), 1);
    EXPECT_EQ(boots(ea_trace_open(tap_ram(), RING_BYTES / 2 + 100, &with_clock)),
              2); /* as before */
}

TEST(trace_with_damaged_control_words_is_made_anew, RING_BYTES)
{
    uintptr_t *words = tap_ram();
    for (unsigned word = 1; word <= 5; word++) {
        for (unsigned bit = 0; bit < 8 * sizeof *words; bit++) {
            REQUIRE(open_new(words) != NULL);
            words[word] ^= (uintptr_t)1 << bit;
            ea_trace_t *t = open_ring(words);
            REQUIRE(t != NULL);
            EXPECT_EQ(boots(t), 1);
        }
    }
}

/* What is not sealed may be anything: nothing is read that is none. */
TEST(trace_with_damaged_counters_reads_no_event_that_is_none, RING_BYTES)
{
    uintptr_t *words = tap_ram();
    static const unsigned counters[] = {0, 6, 7};
    for (unsigned i = 0; i < 3 * 8 * sizeof *words; i++) {
        ea_trace_t *t = open_new(words);
        REQUIRE(t != NULL);
        for (unsigned n = 1; n <= N; n++) note(t, n);
        words[counters[i % 3]] ^= (uintptr_t)1 << i / 3;
        t = open_ring(words);
        note(t, 77);
        ea_trace_cursor_t cursor = {0};
        ea_trace_event_t e;
        unsigned n = 0;
        while (ea_trace_read(t, &cursor, &e) == EA_OK) {
            n++;
            EXPECT(e.kind == EA_TRACE_BOOT || (uintptr_t)e.site <= 77);
        }
        EXPECT(n >= 1 && n <= N);
        EXPECT(e.site == SITE(77));
    }
}

/* --- torn events ------------------------------------------------------------------------------ */

static unsigned count_events(const ea_trace_t *t, size_t *n_void)
{
    ea_trace_cursor_t cursor = {0};
    ea_trace_event_t e;
    unsigned n = read_all(t, &cursor, &e);
    *n_void = cursor.n_void;
    return n;
}

TEST(trace_event_with_any_bit_wrong_is_not_read, RING_BYTES)
{
    ea_trace_t *t = open_new(tap_ram());
    REQUIRE(t != NULL);
    for (unsigned n = 0; n < 2 * N; n++)
        ea_trace_record(t, EA_TRACE_ALLOC, 3, SITE(0x8000123 * n), (char *)tap_ram() + 16 * n, n);
    uintptr_t *words = (uintptr_t *)(t + 1);
    for (unsigned i = 0; i < 4 * N * 8 * sizeof *words; i++) {
        size_t n_void;
        uintptr_t bit = (uintptr_t)1 << i % (8 * sizeof *words);
        uintptr_t *word = &words[i / (8 * sizeof *words)];
        *word ^= bit;
        EXPECT_EQ(count_events(t, &n_void), N - 1);
        EXPECT_EQ(n_void, 1);
        *word ^= bit;
    }
    size_t n_void;
    EXPECT_EQ(count_events(t, &n_void), N);
}

/* A reset between any two words of an event, the words being written in order; and with the words
 * of the lap before in any mixture. */
TEST(trace_event_that_was_cut_is_not_read, RING_BYTES)
{
    static uintptr_t before[4];
    for (unsigned mixture = 0; mixture < 15; mixture++) {
        ea_trace_t *t = open_new(tap_ram());
        REQUIRE(t != NULL);
        uintptr_t *slot = (uintptr_t *)(t + 1) + 4 * ((2 * N) % N);
        for (unsigned n = 1; n < N; n++) note(t, n);
        note(t, 100);
        memcpy(before, slot, sizeof before);
        for (unsigned n = 1; n < N; n++) note(t, n);
        ticks = 77;
        ea_trace_record(t, EA_TRACE_FREE, 9, SITE(200), (char *)tap_ram() + 64, 5000);
        size_t n_void;
        EXPECT_EQ(count_events(t, &n_void), N);
        for (unsigned i = 0; i < 4; i++)
            if ((mixture & 1u << i) == 0) slot[i] = before[i];
        EXPECT_EQ(count_events(t, &n_void), N - 1);
        slot[0] = 1; /* somebody is writing */
        EXPECT_EQ(count_events(t, &n_void), N - 1);
        t = open_ring(tap_ram());
        for (unsigned n = 1; n < 2 * N; n++) note(t, n); /* and does not go on: the slot serves */
        EXPECT_EQ(count_events(t, &n_void), N);
        EXPECT_EQ(n_void, 0);
    }
}

/* A writer that was interrupted for ever keeps its slot; the others take the next. */
TEST(trace_goes_around_a_slot_whose_writer_sleeps, RING_BYTES)
{
    ea_trace_t *t = open_new(tap_ram());
    REQUIRE(t != NULL);
    uintptr_t *words = (uintptr_t *)(t + 1);
    words[4 * 3] = 1;
    for (unsigned n = 1; n <= 3 * N; n++) note(t, n);
    size_t n_void;
    EXPECT_EQ(count_events(t, &n_void), N - 1);
    EXPECT_EQ(n_void, 1);
    for (unsigned i = 0; i < N; i++) words[4 * i] = 1;
    note(t, 5);
    ea_trace_stats_t stats;
    ea_trace_stats(t, &stats);
    EXPECT_EQ(stats.n_dropped, 1);
}

/* Whatever stands in RAM, with and without control words that are sound. */
TEST(trace_of_random_bytes_is_opened_and_read, RING_BYTES)
{
    uintptr_t *words = tap_ram();
    uint32_t random = (uint32_t)tap_arg("seed", 1);
    for (unsigned i = 0; i < 300; i++) {
        ea_trace_t sound = *open_new(words);
        unsigned char *bytes = tap_ram();
        for (unsigned k = 0; k < RING_BYTES; k++) {
            random = random * 1664525u + 1013904223u;
            bytes[k] = (unsigned char)(random >> 24);
        }
        if (i % 3 != 0) memcpy(words + 1, &sound.eai_magic, 5 * sizeof *words);
        ea_trace_t *t = open_ring(words);
        REQUIRE(t != NULL);
        size_t n_void;
        EXPECT_EQ(count_events(t, &n_void), 1); /* BOOT */
        for (unsigned n = 1; n < N; n++) note(t, n);
        EXPECT_EQ(count_events(t, &n_void), N);
    }
}

/* --- time ------------------------------------------------------------------------------------- */

#define N_TIMES 64u

/* Gaps in ticks, the longest just below half of the clock's range. */
static const uint32_t gaps[] = {0,       1,       2,        0x3FFF,    0x4000,    0x4001,  0x7FFF,
                                0x8000,  0x8001,  0xBFFF,   0xC000,    0xFFFF,    0x10000, 0x10001,
                                0x18000, 0x20000, 86400000, 604800000, 0x7FFF7FFF};

static void expect_times(const ea_trace_t *t, const uint64_t *times, unsigned n_times)
{
    ea_trace_cursor_t cursor = {0};
    ea_trace_event_t e;
    unsigned n = 0;
    while (ea_trace_read(t, &cursor, &e) == EA_OK) {
        if (e.kind != EA_TRACE_USER) continue;
        unsigned i = (unsigned)(uintptr_t)e.site;
        EXPECT(e.time_us == times[i % N_TIMES] * 1000);
        n++;
    }
    EXPECT(n >= 1 && n <= n_times);
}

TEST(trace_times_are_right_over_gaps_and_wraps_of_years, RING_BYTES)
{
    uint64_t times[N_TIMES] = {0}, now = 0;
    uint32_t random = 1;
    ea_trace_t *t = open_new(tap_ram());
    REQUIRE(t != NULL);
    for (unsigned i = 0; i < 3000; i++) {
        random = random * 1664525u + 1013904223u;
        unsigned n_gaps = sizeof gaps / sizeof gaps[0];
        /* In order, then in any. */
        now += gaps[i < n_gaps ? i : (random >> 8) % n_gaps];
        if (random >> 30 != 0) now += random % 100;
        ticks = (uint32_t)now;
        times[i % N_TIMES] = now;
        note(t, i);
        expect_times(t, times, i + 1);
    }
    tap_note("years", (long long)(now / 86400000 / 365));
    EXPECT(now / 86400000 / 365 > 10);
}

/* A context that read the clock, and records only when others have recorded later times. */
TEST(trace_times_are_right_where_contexts_overtake_each_other, RING_BYTES)
{
    for (uint32_t step = 1; step < 6; step++) {
        for (uint32_t late = 1; late < 0x4000; late += 331) {
            uint64_t times[N_TIMES] = {0};
            ea_trace_t *t = open_new(tap_ram());
            REQUIRE(t != NULL);
            ticks = step * 0x8000 - 1;
            times[0] = ticks;
            note(t, 0);
            ticks += 1;
            times[1] = ticks;
            note(t, 1); /* with its SYNC */
            /* What a late one writes: the gate was open for it when it looked. */
            uintptr_t gate = t->eai_gate;
            ticks -= late;
            times[2] = ticks;
            t->eai_gate = ticks >> 15;
            note(t, 2);
            t->eai_gate = gate;
            ticks += late + 1;
            times[3] = ticks;
            note(t, 3);
            expect_times(t, times, 4);
        }
    }
}

TEST(trace_takes_the_ports_clock_without_one, RING_BYTES)
{
    ea_trace_t *t = ea_trace_open(tap_ram(), RING_BYTES, NULL);
    REQUIRE(t != NULL);
    uint64_t before = ea_port_time_coarse_us();
    note(t, 1);
    uint64_t after = ea_port_time_us();
    ea_trace_cursor_t cursor = {0};
    ea_trace_event_t e = {0};
    EXPECT_EQ(read_all(t, &cursor, &e), 2);
    EXPECT(e.time_us + 1024 > before && e.time_us <= after);
}

/* --- sizes and addresses ---------------------------------------------------------------------- */

static void expect_size(ea_trace_t *t, size_t size)
{
    ea_trace_cursor_t cursor = {0};
    ea_trace_event_t e;
    ea_trace_clear(t);
    ea_trace_record(t, EA_TRACE_ALLOC, 1, SITE(1), t, size);
    REQUIRE(ea_trace_read(t, &cursor, &e) == EA_OK);
    EXPECT(e.size_bytes <= size && size <= e.max_size_bytes);
    EXPECT(e.max_size_bytes - e.size_bytes <= (e.size_bytes >= 8 ? e.size_bytes / 4 - 1 : 0));
    EXPECT(e.block == t);
    EXPECT_EQ(e.kind, EA_TRACE_ALLOC);
}

TEST(trace_sizes_are_exact_to_8_and_then_to_a_quarter, RING_BYTES)
{
    ea_trace_t *t = open_new(tap_ram());
    REQUIRE(t != NULL);
    for (size_t size = 0; size < 3000; size++) expect_size(t, size);
    for (unsigned bit = 12; bit < 8 * sizeof(size_t); bit++) {
        size_t doubling = (size_t)1 << bit;
        expect_size(t, doubling - 1);
        expect_size(t, doubling);
        expect_size(t, doubling + doubling / 4 - 1);
        expect_size(t, doubling + doubling / 4);
        expect_size(t, doubling + doubling / 2 + doubling / 4);
    }
    expect_size(t, SIZE_MAX);
}

static const void *address_read(ea_trace_t *t, const void *block)
{
    ea_trace_cursor_t cursor = {0};
    ea_trace_event_t e = {0};
    ea_trace_clear(t);
    ea_trace_record(t, EA_TRACE_ALLOC, 1, SITE(1), block, 9);
    EXPECT_EQ(ea_trace_read(t, &cursor, &e), EA_OK);
    EXPECT_EQ(e.size_bytes, 8);
    return e.block;
}

TEST(trace_addresses_are_those_from_the_base_on, RING_BYTES)
{
    ea_trace_options_t options = with_clock;
    options.base = SITE(0x2F800000);
    ea_trace_t *t = ea_trace_open(tap_ram(), RING_BYTES, &options);
    REQUIRE(t != NULL);
    EXPECT(address_read(t, SITE(0x2F800010)) == SITE(0x2F800010));
    EXPECT(address_read(t, SITE(0x307FFFF0)) == SITE(0x307FFFF0));
    EXPECT(address_read(t, SITE(0x2F8FFFF3)) == SITE(0x2F8FFFF0)); /* no block of ours */
    EXPECT(address_read(t, NULL) == NULL);
}

/* --- sampling --------------------------------------------------------------------------------- */

TEST(trace_sampling_takes_all_of_one_block_in_n, RING_BYTES)
{
    ea_trace_t *t = open_new(tap_ram());
    REQUIRE(t != NULL);
    static const unsigned one_in[] = {0, 1, 2, 4, 16, 100};
    for (unsigned k = 0; k < 6; k++) {
        unsigned n_blocks = 3200, n_taken = 0, n_calls = 2 * n_blocks;
        ea_trace_stats_t before, after;
        ea_trace_set_sampling(t, one_in[k]);
        ea_trace_stats(t, &before);
        for (unsigned i = 0; i < n_blocks; i++) {
            size_t n_void;
            ea_trace_clear(t);
            ea_trace_record(t, EA_TRACE_ALLOC, 1, SITE(1), SITE(0x20000000 + 48 * i), 40);
            ea_trace_record(t, EA_TRACE_FREE, 1, SITE(1), SITE(0x20000000 + 48 * i), 40);
            unsigned n = count_events(t, &n_void);
            EXPECT(n == 0 || n == 2);
            n_taken += n;
        }
        ea_trace_stats(t, &after);
        EXPECT_EQ(after.n_unsampled - before.n_unsampled, n_calls - n_taken);
        unsigned n = one_in[k] ? one_in[k] : 1;
        EXPECT(n_taken <= n_calls / n + n_calls / 20 && n_taken + n_calls / 20 >= n_calls / n);
        size_t n_void;
        ea_trace_clear(t);
        note(t, 1); /* what has no block */
        EXPECT_EQ(count_events(t, &n_void), 1);
    }
}

/* --- an allocator ----------------------------------------------------------------------------- */

#if EA_CFG_ALLOC_HOOK
#define ALLOCATOR_BYTES 4096u

static ea_allocator_t a;

static void expect_next(ea_trace_t *t, ea_trace_cursor_t *cursor, ea_trace_kind_t kind,
                        const void *block, size_t size_bytes, unsigned owner)
{
    ea_trace_event_t e = {0};
    EXPECT_EQ(ea_trace_read(t, cursor, &e), EA_OK);
    EXPECT_EQ(e.kind, kind);
    EXPECT(e.block == block);
    EXPECT(size_bytes == 0 || (e.size_bytes <= size_bytes && size_bytes <= e.max_size_bytes));
    if (EAI_ALLOC_OWNERS) EXPECT_EQ(e.owner, owner);
    EXPECT(e.site != NULL);
}

TEST(trace_hears_everything_of_an_allocators_blocks, RING_BYTES + ALLOCATOR_BYTES)
{
    char *ram = tap_ram();
    static ea_account_t nodes[3];
    static ea_accounts_t book;
    ea_trace_t *t = open_new(ram + ALLOCATOR_BYTES);
    REQUIRE(t != NULL && ea_accounts_init(&book, nodes, 3, NULL) == EA_OK);
    ea_account_t *radio = ea_account_create(&book, ea_accounts_root(&book), NULL);
    ea_account_t *display = ea_account_create(&book, ea_accounts_root(&book), NULL);
    const ea_allocator_options_t options = {.accounts = &book, .owner = radio};
    REQUIRE(ea_allocator_init(&a, &options) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, ram, ALLOCATOR_BYTES, NULL) == EA_OK);
    void *unheard = ea_malloc(&a, 20);
    EXPECT_EQ(ea_trace_attach(t, &a), EA_OK);
    EXPECT_EQ(ea_trace_attach(t, &a), EA_ERR_BUSY);
    ea_trace_cursor_t cursor = {0};
    unsigned r = ea_account_id(radio), d = ea_account_id(display);

    EXPECT_EQ(ea_free(&a, unheard), EA_OK);
    expect_next(t, &cursor, EA_TRACE_FREE, unheard, 0, r);
    char *one = ea_malloc(&a, 100), *two = ea_calloc(&a, 3, 20);
    expect_next(t, &cursor, EA_TRACE_ALLOC, one, 100, r);
    expect_next(t, &cursor, EA_TRACE_ALLOC, two, 60, r);
    char *same = ea_realloc(&a, two, 30); /* stays */
    EXPECT(same == two);
    expect_next(t, &cursor, EA_TRACE_REALLOC, two, 30, r);
    char *moved = ea_realloc(&a, one, 500);
    EXPECT(moved != NULL && moved != one);
    expect_next(t, &cursor, EA_TRACE_MOVE, one, 0, r);
    expect_next(t, &cursor, EA_TRACE_REALLOC, moved, 500, r);
    EXPECT(ea_malloc(&a, 100000) == NULL);
    expect_next(t, &cursor, EA_TRACE_FAIL, NULL, 100000, r);
    EXPECT_EQ(ea_transfer(&a, moved, display), EA_OK);
    expect_next(t, &cursor, EA_TRACE_TRANSFER, moved, 0, d);
    EXPECT_EQ(ea_free(&a, moved), EA_OK);
    expect_next(t, &cursor, EA_TRACE_FREE, moved, 500, d);
    EXPECT(ea_free(&a, moved) != EA_OK);
    expect_next(t, &cursor, EA_TRACE_BAD_FREE, moved, 0, 0);
    EXPECT_EQ(ea_free_isr(&a, two), EA_OK);
    expect_next(t, &cursor, EA_TRACE_FREE, two, 0, r);
    EXPECT_EQ(ea_trace_detach(t, &a), EA_OK);
    EXPECT_EQ(ea_trace_detach(t, &a), EA_ERR_NOT_FOUND);
    EXPECT(ea_malloc(&a, 8) != NULL);
    ea_trace_event_t e;
    EXPECT_EQ(ea_trace_read(t, &cursor, &e), EA_ERR_NOT_FOUND);
}

/* Two that watch: who came last is told first. */
static unsigned order[2], n_told;
static void tell(void *context, ea_block_event_t what, uint16_t owner, const void *site,
                 const void *block, size_t size_bytes)
{
    (void)what, (void)owner, (void)site, (void)block, (void)size_bytes;
    if (n_told < 2) order[n_told] = *(unsigned *)context;
    n_told++;
}

TEST(allocator_tells_every_hook, ALLOCATOR_BYTES)
{
    static unsigned names[2] = {1, 2};
    static ea_alloc_hook_t hooks[2] = {{.function = tell, .context = &names[0]},
                                       {.function = tell, .context = &names[1]}};
    static ea_alloc_hook_t nothing;
    REQUIRE(ea_allocator_init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, tap_ram(), ALLOCATOR_BYTES, NULL) == EA_OK);
    EXPECT_EQ(ea_allocator_add_hook(&a, &nothing), EA_ERR_INVALID);
    EXPECT_EQ(ea_allocator_add_hook(&a, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_allocator_add_hook(&a, &hooks[0]), EA_OK);
    EXPECT_EQ(ea_allocator_add_hook(&a, &hooks[1]), EA_OK);
    EXPECT_EQ(ea_allocator_add_hook(&a, &hooks[0]), EA_ERR_BUSY);
    void *block = ea_malloc(&a, 10);
    EXPECT_EQ(n_told, 2);
    EXPECT(order[0] == 2 && order[1] == 1);
    EXPECT_EQ(ea_allocator_remove_hook(&a, &hooks[0]), EA_OK);
    EXPECT_EQ(ea_allocator_remove_hook(&a, &hooks[0]), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_EQ(n_told, 3);
}
#define OF_ALLOCATOR &trace_hears_everything_of_an_allocators_blocks, &allocator_tells_every_hook,
#else
#define OF_ALLOCATOR
#endif

TEST(trace_names_its_kinds, 0)
{
    EXPECT(strcmp(ea_trace_kind_name(EA_TRACE_ALLOC), "ALLOC") == 0);
    EXPECT(strcmp(ea_trace_kind_name(EA_TRACE_BAD_FREE), "BAD_FREE") == 0);
    EXPECT(strcmp(ea_trace_kind_name(15), "USER") == 0);
    EXPECT(strcmp(ea_trace_kind_name(0), "?") == 0);
    EXPECT(strcmp(ea_trace_kind_name(200), "?") == 0);
}

TEST_MAIN(OF_ALLOCATOR &trace_open_refuses_what_cannot_be_a_ring, &trace_reads_events_oldest_first,
          &trace_keeps_the_newest_events, &trace_reader_that_is_overtaken_says_by_how_many,
          &trace_forgets_when_it_is_cleared, &trace_survives_being_opened_again,
          &trace_of_another_shape_is_made_anew, &trace_with_damaged_control_words_is_made_anew,
          &trace_with_damaged_counters_reads_no_event_that_is_none,
          &trace_event_with_any_bit_wrong_is_not_read, &trace_event_that_was_cut_is_not_read,
          &trace_goes_around_a_slot_whose_writer_sleeps, &trace_of_random_bytes_is_opened_and_read,
          &trace_times_are_right_over_gaps_and_wraps_of_years,
          &trace_times_are_right_where_contexts_overtake_each_other,
          &trace_takes_the_ports_clock_without_one,
          &trace_sizes_are_exact_to_8_and_then_to_a_quarter,
          &trace_addresses_are_those_from_the_base_on, &trace_sampling_takes_all_of_one_block_in_n,
          &trace_names_its_kinds)
