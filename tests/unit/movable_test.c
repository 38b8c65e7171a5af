/* SPDX-License-Identifier: MIT
 *
 * The contracts of stores of movable blocks (row A4): life, handles, locks, steps, budgets, the
 * reasons of refusals, reports.
 */
#include <string.h>

#include "ealloc/movable.h"
#include "tap.h"

#define RAM 2048

static ea_movable_t *m;

static void start(uint32_t n_handles, uint32_t max_handles)
{
    ea_movable_options_t options = {n_handles, max_handles};
    m = ea_movable_init(tap_ram(), RAM, &options);
}

static ea_movable_stats_t stats(void)
{
    ea_movable_stats_t s;
    ea_movable_stats(m, &s);
    return s;
}

static void expect_sound(void)
{
    ea_movable_fault_t fault;
    EXPECT_EQ(ea_movable_check(m, &fault), EA_OK);
    EXPECT(fault.invariant == NULL);
}

/* A block full of a byte. */
static ea_movable_handle_t make(size_t size_bytes, int byte)
{
    ea_movable_handle_t h = ea_movable_alloc(m, size_bytes, 0);
    EA_MOVABLE_LOCKED(m, h, char, bytes)
    {
        if (bytes) memset(bytes, byte, size_bytes);
    }
    return h;
}

static bool is_full_of(ea_movable_handle_t h, size_t size_bytes, int byte)
{
    const unsigned char *bytes = ea_movable_lock(m, h);
    bool good = bytes != NULL;
    for (size_t i = 0; good && i < size_bytes; i++) good = bytes[i] == byte;
    if (bytes) EXPECT_EQ(ea_movable_unlock(m, h), EA_OK);
    return good;
}

static uintptr_t address_of(ea_movable_handle_t h)
{
    uintptr_t address = (uintptr_t)ea_movable_lock(m, h);
    if (address) (void)ea_movable_unlock(m, h);
    return address;
}

static void step_until_done(size_t budget)
{
    for (unsigned i = 0; i < 4000 && ea_movable_step(m, budget) == EA_ERR_AGAIN; i++) continue;
}

/* Blocks a and c with a hole between, and all the rest in one more block. */
static ea_movable_handle_t a, c, rest;
static size_t hole_bytes;

static void make_holes(void)
{
    start(8, 8);
    a = make(100, 'a');
    ea_movable_handle_t b = make(200, 'b');
    c = make(100, 'c');
    rest = make(stats().largest_bytes - 200, 'r');
    hole_bytes = 200;
    EXPECT_EQ(ea_movable_free(m, b), EA_OK);
}

/* --- life ------------------------------------------------------------------------------------- */

TEST(movable_init_refuses_too_little_memory_and_wrong_options, RAM)
{
    EXPECT(ea_movable_init(NULL, RAM, NULL) == NULL);
    for (size_t n = 0; n < 200; n += 7) EXPECT(ea_movable_init(tap_ram(), n, NULL) == NULL);
    ea_movable_options_t options = {9, 8};
    EXPECT(ea_movable_init(tap_ram(), RAM, &options) == NULL);
    options.n_handles = options.max_handles = EA_MOVABLE_MAX_HANDLES + 1u;
    EXPECT(ea_movable_init(tap_ram(), RAM, &options) == NULL);
    options.n_handles = EA_MOVABLE_MAX_HANDLES, options.max_handles = 0;
    EXPECT(ea_movable_init(tap_ram(), RAM, &options) == NULL);
    m = ea_movable_init(tap_ram(), RAM, NULL);
    REQUIRE(m != NULL);
    expect_sound();
    EXPECT_EQ(stats().free_bytes, stats().total_bytes);
}

TEST(movable_works_in_misaligned_memory, RAM)
{
    for (size_t offset = 0; offset < 16; offset++) {
        m = ea_movable_init((char *)tap_ram() + offset, RAM - 16 - offset, NULL);
        REQUIRE(m != NULL);
        ea_movable_handle_t h = make(40, 'x');
        EXPECT_EQ(address_of(h) % EA_MOVABLE_ALIGN, 0);
        EXPECT(is_full_of(h, 40, 'x'));
        expect_sound();
    }
}

/* --- handles ---------------------------------------------------------------------------------- */

TEST(movable_stale_handles_are_found_out_by_every_call, RAM)
{
    start(0, 0);
    void *address = NULL;
    char byte = 0;
    ea_movable_handle_t h = make(10, 'x'), none = {0};
    EXPECT_EQ(ea_movable_free(m, h), EA_OK);
    for (int i = 0; i < 2; i++, h = none) {
        EXPECT(ea_movable_lock(m, h) == NULL);
        EXPECT_EQ(ea_movable_try_lock(m, h, &address), EA_ERR_NOT_FOUND);
        EXPECT_EQ(ea_movable_free(m, h), EA_ERR_NOT_FOUND);
        EXPECT_EQ(ea_movable_resize(m, h, 5, 0), EA_ERR_NOT_FOUND);
        EXPECT_EQ(ea_movable_read(m, h, 0, &byte, 1), EA_ERR_NOT_FOUND);
        EXPECT_EQ(ea_movable_write(m, h, 0, &byte, 1), EA_ERR_NOT_FOUND);
        EXPECT_EQ(ea_movable_size_bytes(m, h), 0);
        EXPECT(!EA_CFG_CHECK_LEVEL || ea_movable_unlock(m, h) != EA_OK);
    }
    EXPECT(address == NULL);
    expect_sound();
}

TEST(movable_a_handle_does_not_come_back_in_a_full_round_of_generations, RAM)
{
    start(1, 1); /* a chunk of entries, one of which is used at a time */
    unsigned n = EA_CFG_MOVABLE_LAYOUT == 0 ? 31 : 255;
    ea_movable_handle_t first = make(8, 'x'), h = first;
    for (unsigned i = 1; i < n; i++) {
        EXPECT_EQ(ea_movable_free(m, h), EA_OK);
        h = make(8, 'x');
        if (h.eai_word == first.eai_word) EXPECT(!"the first handle again");
    }
    EXPECT(ea_movable_lock(m, first) == NULL);
}

TEST(movable_garbage_handles_are_refused, RAM)
{
    if (!EA_CFG_CHECK_LEVEL) return;
    start(0, 0);
    (void)make(10, 'x');
    uint32_t x = 1;
    for (unsigned i = 0; i < 2000; i++) {
        x ^= x << 13, x ^= x >> 17, x ^= x << 5;
        ea_movable_handle_t h = {x | 0x40000000u};
        EXPECT(ea_movable_lock(m, h) == NULL);
        EXPECT_EQ(ea_movable_free(m, h), EA_ERR_NOT_FOUND);
    }
}

/* --- locks ------------------------------------------------------------------------------------ */

TEST(movable_a_locked_block_neither_moves_nor_is_freed, RAM)
{
    make_holes();
    void *address = ea_movable_lock(m, c);
    step_until_done(256);
    EXPECT_EQ(ea_movable_free(m, c), EA_ERR_BUSY);
    EXPECT(is_full_of(c, 100, 'c'));
    EXPECT_EQ(address_of(c), (uintptr_t)address);
    EXPECT_EQ(ea_movable_unlock(m, c), EA_OK);
    step_until_done(256);
    EXPECT_EQ(address_of(c), (uintptr_t)address - 200 - EA_MOVABLE_HEADER_BYTES);
    EXPECT(is_full_of(c, 100, 'c') && is_full_of(a, 100, 'a'));
    EXPECT_EQ(ea_movable_free(m, c), EA_OK);
    expect_sound();
}

TEST(movable_locks_are_counted_up_to_the_layouts_most, RAM)
{
    start(0, 0);
    void *address;
    ea_movable_handle_t h = make(10, 'x');
    for (unsigned i = 0; i < EA_MOVABLE_MAX_LOCKS; i++) EXPECT(ea_movable_lock(m, h) != NULL);
    EXPECT(ea_movable_lock(m, h) == NULL);
    EXPECT_EQ(ea_movable_try_lock(m, h, &address), EA_ERR_LIMIT);
    for (unsigned i = 0; i < EA_MOVABLE_MAX_LOCKS; i++) EXPECT_EQ(ea_movable_unlock(m, h), EA_OK);
    EXPECT_EQ(ea_movable_unlock(m, h), EA_ERR_INVALID);
    EXPECT_EQ(ea_movable_free(m, h), EA_OK);
}

TEST(movable_lock_finishes_a_move_and_try_lock_says_busy, RAM)
{
    for (int by_lock = 0; by_lock < 2; by_lock++) {
        make_holes();
        void *address = NULL;
        (void)ea_movable_step(m, 48);
        EXPECT_EQ(ea_movable_try_lock(m, c, &address), EA_ERR_BUSY);
        expect_sound();
        if (by_lock) {
            address = ea_movable_lock(m, c);
        } else {
            char byte = 0;
            EXPECT_EQ(ea_movable_read(m, c, 99, &byte, 1), EA_OK);
            EXPECT_EQ(byte, 'c');
            EXPECT_EQ(ea_movable_read(m, c, 100, &byte, 1),
                      100 % EA_MOVABLE_ALIGN ? EA_OK : EA_ERR_RANGE);
            EXPECT_EQ(ea_movable_try_lock(m, c, &address), EA_OK);
        }
        REQUIRE(address != NULL);
        EXPECT(ea_movable_size_bytes(m, c) < 100 + EA_MOVABLE_ALIGN);
        expect_sound();
        /* The owner goes on and must not wipe out the lock. */
        step_until_done(256);
        EXPECT_EQ(address_of(c), (uintptr_t)address);
        EXPECT_EQ(ea_movable_free(m, c), EA_ERR_BUSY);
        EXPECT_EQ(ea_movable_unlock(m, c), EA_OK);
        EXPECT(is_full_of(c, 100, 'c') && is_full_of(rest, 1, 'r'));
        expect_sound();
    }
}

TEST(movable_a_block_in_flight_can_be_freed_and_resized, RAM)
{
    for (int frees = 0; frees < 2; frees++) {
        make_holes();
        size_t free_bytes = stats().free_bytes;
        (void)ea_movable_step(m, 48);
        if (frees) {
            EXPECT_EQ(ea_movable_free(m, c), EA_OK);
            EXPECT_EQ(stats().free_bytes,
                      free_bytes +
                          (100 + EA_MOVABLE_ALIGN - 1) / EA_MOVABLE_ALIGN * EA_MOVABLE_ALIGN +
                          EA_MOVABLE_HEADER_BYTES);
        } else {
            EXPECT_EQ(ea_movable_resize(m, c, 250, 0), EA_OK);
            EXPECT(is_full_of(c, 100, 'c'));
        }
        expect_sound();
        step_until_done(64);
        EXPECT(is_full_of(a, 100, 'a') && is_full_of(rest, 500, 'r'));
        expect_sound();
    }
}

TEST(movable_a_request_that_may_move_nothing_gets_the_hole_of_a_move_that_was_begun, RAM)
{
    start(8, 8);
    a = make(400, 'a');
    ea_movable_handle_t b = make(120, 'b');
    ea_movable_stats_t s = stats();
    rest = make(s.largest_bytes, 'r');
    EXPECT_EQ(ea_movable_free(m, a), EA_OK);
    void *unused;
    for (unsigned i = 0; i < 20 && ea_movable_try_lock(m, b, &unused) == EA_OK; i++) {
        EXPECT_EQ(ea_movable_unlock(m, b), EA_OK);
        EXPECT_EQ(ea_movable_step(m, 16), EA_ERR_AGAIN);
    }
    EXPECT_EQ(ea_movable_try_lock(m, b, &unused), EA_ERR_BUSY);
    size_t moved = stats().moved_bytes;
    a = make(400, 'A');
    EXPECT(!ea_movable_is_none(a));
    EXPECT_EQ(stats().moved_bytes, moved);
    expect_sound();
    EXPECT(is_full_of(a, 400, 'A') && is_full_of(b, 120, 'b'));
    EXPECT_EQ(ea_movable_free(m, a), EA_OK);
    step_until_done(256);
    EXPECT(is_full_of(b, 120, 'b'));
    expect_sound();
}

TEST(movable_a_block_hops_out_of_the_way_where_sliding_would_not_do, RAM)
{
    start(16, 16);
    ea_movable_handle_t low = make(40, 'l'), below = make(8, '.');
    a = make(200, 'a');
    ea_movable_handle_t b = make(36, 'b');
    c = make(200, 'c');
    ea_movable_handle_t above = make(8, '.');
    rest = make(stats().largest_bytes, 'r');
    EXPECT(ea_movable_free(m, low) == EA_OK && ea_movable_free(m, a) == EA_OK &&
           ea_movable_free(m, c) == EA_OK);
    EXPECT(ea_movable_lock(m, below) && ea_movable_lock(m, above));
    /* More than both holes beside b have together. */
    a = ea_movable_alloc(m, 424, EA_MOVABLE_UNLIMITED);
    EXPECT(!ea_movable_is_none(a));
    EXPECT_EQ(stats().n_moves, 1);
    EXPECT_EQ(stats().max_demand_bytes, ea_movable_size_bytes(m, b) + EA_MOVABLE_MOVE_CHARGE_BYTES);
    EXPECT(address_of(b) < address_of(below));
    EXPECT(is_full_of(b, 36, 'b'));
    expect_sound();
}

TEST(movable_a_scope_unlocks_by_whatever_way_it_is_left, RAM)
{
    start(0, 0);
    ea_movable_handle_t h = make(10, 'x');
    for (int way = 0; way < 3; way++) {
        EA_MOVABLE_LOCKED(m, h, char, bytes)
        {
            EXPECT_EQ(bytes[0], 'x');
            EXPECT_EQ(ea_movable_free(m, h), EA_ERR_BUSY);
            if (way == 1 && EA_HAS_CLEANUP) break;
            if (way == 2) continue;
        }
        EXPECT_EQ(ea_movable_unlock(m, h), EA_ERR_INVALID);
    }
    EXPECT_EQ(ea_movable_free(m, h), EA_OK);
}

TEST(movable_read_and_write_know_the_blocks_end, RAM)
{
    start(0, 0);
    char bytes[8] = "abcdefg";
    ea_movable_handle_t h = make(16, 'x');
    EXPECT_EQ(ea_movable_write(m, h, 8, bytes, 8), EA_OK);
    EXPECT_EQ(ea_movable_write(m, h, 9, bytes, 8), EA_ERR_RANGE);
    EXPECT_EQ(ea_movable_write(m, h, SIZE_MAX, bytes, 8), EA_ERR_RANGE);
    EXPECT_EQ(ea_movable_read(m, h, 10, bytes, 4), EA_OK);
    EXPECT(memcmp(bytes, "cdefefg", 8) == 0);
    EXPECT_EQ(ea_movable_read(m, h, 16, bytes, 0), EA_OK);
    EXPECT_EQ(ea_movable_free(m, h), EA_OK);
}

TEST(movable_a_resize_without_a_budget_does_not_finish_a_move_of_another_block, RAM)
{
    start(8, 8);
    a = make(400, 'a');
    ea_movable_handle_t b = make(120, 'b');
    c = make(100, 'c');
    rest = make(stats().largest_bytes, 'r');
    EXPECT_EQ(ea_movable_free(m, a), EA_OK);
    (void)ea_movable_step(m, 16);
    void *unused;
    EXPECT_EQ(ea_movable_try_lock(m, b, &unused), EA_ERR_BUSY);
    size_t moved = stats().moved_bytes, own = ea_movable_size_bytes(m, c);
    EXPECT_EQ(ea_movable_resize(m, c, 300, 0), EA_OK);
    EXPECT_EQ(stats().moved_bytes, moved + own);
    EXPECT(is_full_of(b, 120, 'b') && is_full_of(c, 100, 'c'));
    expect_sound();
}

/* Bits that no handle has are not looked at; whoever has made it up, nothing hangs or breaks. */
TEST(movable_a_made_up_handle_names_the_block_or_none, RAM)
{
    start(8, 8);
    a = make(100, 'a');
    void *address = ea_movable_lock(m, a), *other;
    for (unsigned n_locks = 1; n_locks <= EA_MOVABLE_MAX_LOCKS; n_locks++) {
        for (unsigned bit = 0; bit < 32; bit++) {
            const ea_movable_handle_t made_up = {a.eai_word ^ (uint32_t)1 << bit};
            void *found = ea_movable_lock(m, made_up);
            EXPECT(found == NULL || found == address);
            if (found) EXPECT_EQ(ea_movable_unlock(m, a), EA_OK);
            ea_status_t status = ea_movable_try_lock(m, made_up, &other);
            EXPECT(status == EA_ERR_NOT_FOUND || status == (found ? EA_OK : EA_ERR_LIMIT));
            if (status == EA_OK) EXPECT_EQ(ea_movable_unlock(m, made_up), EA_OK);
        }
        if (n_locks < EA_MOVABLE_MAX_LOCKS) EXPECT(ea_movable_lock(m, a) == address);
    }
    for (unsigned n = EA_MOVABLE_MAX_LOCKS; n > 0; n--) EXPECT_EQ(ea_movable_unlock(m, a), EA_OK);
    for (unsigned bit = 0; bit < 32; bit++) {
        const ea_movable_handle_t made_up = {a.eai_word ^ (uint32_t)1 << bit};
        EXPECT(ea_movable_unlock(m, made_up) != EA_OK);
    }
    expect_sound();
    EXPECT(is_full_of(a, 100, 'a'));
    EXPECT_EQ(ea_movable_unlock(m, a), EA_ERR_INVALID);
    EXPECT_EQ(ea_movable_free(m, a), EA_OK);
    EXPECT(ea_movable_unlock(m, a) != EA_OK);
    EXPECT_EQ(ea_movable_read(m, make(8, 'x'), 0, NULL, 0), EA_OK);
}

/* --- compaction ------------------------------------------------------------------------------- */

TEST(movable_a_step_copies_no_more_than_its_budget_and_ends, RAM)
{
    static const size_t budgets[] = {12, 36, 100, 256};
    for (unsigned i = 0; i < 4; i++) {
        make_holes();
        size_t n_steps = 0;
        for (ea_status_t status = EA_ERR_AGAIN; status == EA_ERR_AGAIN && n_steps < 4000;
             n_steps++) {
            size_t before = stats().moved_bytes;
            status = ea_movable_step(m, budgets[i]);
            EXPECT(stats().moved_bytes - before <= budgets[i]);
            expect_sound();
        }
        EXPECT(n_steps < 4000);
        EXPECT_EQ(stats().largest_bytes + EA_MOVABLE_HEADER_BYTES, stats().free_bytes);
        EXPECT(is_full_of(a, 100, 'a') && is_full_of(c, 100, 'c') && is_full_of(rest, 500, 'r'));
    }
}

TEST(movable_a_step_moves_as_many_blocks_as_it_is_charged_for, RAM)
{
    /* At once, of which the last is begun with as much as it copies left; a chunk at a time. */
    static const size_t sizes[] = {8, 40}, n_moves[] = {7, 3};
    for (unsigned i = 0; i < 2; i++) {
        start(16, 16);
        ea_movable_handle_t low = make(80, 'l');
        for (unsigned k = 0; k < 14; k++) EXPECT(!ea_movable_is_none(make(sizes[i], '.')));
        EXPECT_EQ(ea_movable_free(m, low), EA_OK);
        EXPECT_EQ(ea_movable_step(m, 256), EA_ERR_AGAIN);
        EXPECT_EQ(stats().n_moves, n_moves[i]);
        expect_sound();
    }
}

/* A small hole with much above it waits at sixteen times its size; a larger one further up, which
 * is worth more, is taken up before anything beyond that moves. In the end all are one. */
TEST(movable_a_hole_passes_sixteen_times_its_size_before_others_have_their_turn, RAM)
{
    enum { N = 10, WAITS = 7 };
    ea_movable_handle_t blocks[N];
    uintptr_t before[N];
    start(16, 16);
    ea_movable_handle_t small = make(12, 's');
    for (unsigned i = 0; i < N; i++) {
        if (i == N - 1) rest = make(200, 'x');
        blocks[i] = make(60, (int)('0' + i));
        before[i] = address_of(blocks[i]);
    }
    EXPECT_EQ(ea_movable_free(m, small), EA_OK);
    EXPECT_EQ(ea_movable_free(m, rest), EA_OK);
    for (unsigned i = 0; i < 100 && address_of(blocks[N - 1]) == before[N - 1]; i++)
        (void)ea_movable_step(m, 256);
    EXPECT(address_of(blocks[N - 1]) < before[N - 1]);
    EXPECT(address_of(blocks[0]) < before[0]);
    for (unsigned i = WAITS; i < N - 1; i++) EXPECT_EQ(address_of(blocks[i]), before[i]);
    step_until_done(256);
    EXPECT_EQ(stats().largest_bytes + EA_MOVABLE_HEADER_BYTES, stats().free_bytes);
    for (unsigned i = 0; i < N; i++) EXPECT(is_full_of(blocks[i], 60, (int)('0' + i)));
    expect_sound();
}

TEST(movable_a_step_is_charged_what_it_looks_at, RAM)
{
    start(32, 32);
    for (unsigned i = 0; i < 30; i++) EXPECT(!ea_movable_is_none(make(8, '.')));
    rest = make(stats().largest_bytes, 'r');
    unsigned n_steps = 1;
    while (ea_movable_step(m, 30) == EA_ERR_AGAIN && n_steps < 100) n_steps++;
    EXPECT(n_steps >= 31 * 3 / 30 && n_steps < 20);
}

TEST(movable_a_request_moves_within_its_budget_or_says_again, RAM)
{
    make_holes();
    size_t wanted = stats().free_bytes - EA_MOVABLE_HEADER_BYTES;
    EXPECT(ea_movable_is_none(ea_movable_alloc(m, wanted, 0)));
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_AGAIN);
    EXPECT(ea_movable_is_none(ea_movable_alloc(m, wanted, 64)));
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_AGAIN);
    EXPECT_EQ(stats().moved_bytes, 0);
    EXPECT(ea_movable_is_none(ea_movable_alloc(m, wanted + 8, EA_MOVABLE_UNLIMITED)));
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_NO_MEMORY);
    EXPECT(ea_movable_is_none(ea_movable_alloc(m, RAM, EA_MOVABLE_UNLIMITED)));
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_TOO_LARGE);
    EXPECT(ea_movable_is_none(ea_movable_alloc(m, SIZE_MAX, EA_MOVABLE_UNLIMITED)));
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_TOO_LARGE);
    EXPECT(ea_movable_lock(m, c) && ea_movable_lock(m, rest));
    EXPECT(ea_movable_is_none(ea_movable_alloc(m, wanted, EA_MOVABLE_UNLIMITED)));
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_BUSY);
    EXPECT_EQ(ea_movable_unlock(m, c), EA_OK);
    EXPECT_EQ(ea_movable_unlock(m, rest), EA_OK);
    EXPECT_EQ(stats().n_failures, 6);
    EXPECT_EQ(stats().n_again, 2);
    EXPECT(!ea_movable_is_none(ea_movable_alloc(m, wanted, EA_MOVABLE_UNLIMITED)));
    EXPECT_EQ(stats().free_bytes, 0);
    EXPECT(is_full_of(a, 100, 'a') && is_full_of(c, 100, 'c') && is_full_of(rest, 500, 'r'));
    expect_sound();
}

/* Below a large block is a hole, above it too little: a request for both together is refused until
 * steps have moved that block, however often it comes in between. */
static unsigned steps_until(bool (*is_served)(size_t budget_bytes), size_t budget_bytes)
{
    unsigned n = 0;
    start(8, 8);
    ea_movable_handle_t low = make(400, 'l');
    a = make(600, 'a');
    rest = make(40, 'r');
    while (!ea_movable_is_none(make(100, 'x'))) continue; /* and at the end a hole of less */
    EXPECT_EQ(ea_movable_free(m, low), EA_OK);
    while (!is_served(budget_bytes) && n < 100) {
        expect_sound();
        (void)ea_movable_step(m, 40);
        n++;
    }
    EXPECT(is_full_of(a, 600, 'a'));
    expect_sound();
    return n;
}

static bool is_allocated(size_t budget_bytes)
{
    return !ea_movable_is_none(ea_movable_alloc(m, 420, budget_bytes));
}

static bool is_grown(size_t budget_bytes)
{
    return ea_movable_resize(m, rest, 420, budget_bytes) == EA_OK;
}

TEST(movable_requests_between_steps_do_not_undo_them, RAM)
{
    for (size_t budget = 0; budget <= 60; budget += 20) {
        unsigned n = steps_until(is_allocated, budget);
        EXPECT(n > 10 && n < 60);
        n = steps_until(is_grown, budget);
        EXPECT(n > 10 && n < 60);
    }
}

#if EA_CFG_MOVABLE_FIXED
static bool is_fixed_allocated(size_t budget_bytes)
{
    return ea_movable_alloc_fixed(m, 420, 0, budget_bytes) != NULL;
}

TEST(movable_requests_for_fixed_blocks_do_not_undo_steps_either, RAM)
{
    for (size_t budget = 0; budget <= 60; budget += 20) {
        unsigned n = steps_until(is_fixed_allocated, budget);
        EXPECT(n > 10 && n < 60);
    }
}

/* [hole][locked][block][hole]: where it could stand if the block hopped over the locked one, it is
 * the budget that refuses. */
TEST(movable_a_fixed_block_is_refused_for_the_budget_where_another_could_hop, RAM)
{
    start(8, 8);
    ea_movable_handle_t low = make(340, 'l');
    a = make(stats().largest_bytes - 300 - 200 - 2 * EA_MOVABLE_HEADER_BYTES, 'p');
    rest = make(300, 'x');
    EXPECT_EQ(ea_movable_free(m, low), EA_OK);
    EXPECT(ea_movable_lock(m, a) != NULL);
    EXPECT(ea_movable_alloc_fixed(m, 450, 0, 100) == NULL);
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_AGAIN);
    EXPECT(ea_movable_alloc_fixed(m, 800, 0, 100) == NULL); /* more than can ever come together */
    EXPECT(ea_movable_last_refusal(m) == EA_ERR_BUSY ||
           ea_movable_last_refusal(m) == EA_ERR_NO_MEMORY);
    expect_sound();
    EXPECT(ea_movable_alloc_fixed(m, 450, 0, 400) != NULL);
    EXPECT(is_full_of(rest, 300, 'x'));
    expect_sound();
}

#if EA_CFG_MOVABLE_LAYOUT == 0
/* The lowest entry, which a fixed block's header seems to name, exists. */
TEST(movable_a_fixed_block_is_told_from_that_of_the_lowest_entry, 6144)
{
    const ea_movable_options_t options = {EA_MOVABLE_MAX_HANDLES, 0};
    size_t position = 0;
    unsigned n_fixed = 0;
    ea_movable_block_t block;
    m = ea_movable_init(tap_ram(), 6144, &options);
    REQUIRE(m != NULL);
    ea_movable_handle_t h = make(40, 'm');
    char *fixed = ea_movable_alloc_fixed(m, 60, 0, 0);
    EXPECT(fixed != NULL);
    while (ea_movable_walk(m, &position, &block)) {
        if (!block.is_fixed) continue;
        n_fixed++;
        EXPECT(ea_movable_is_none(block.handle));
        EXPECT(!block.moving && block.n_locks == 0);
    }
    EXPECT_EQ(n_fixed, 1);
    expect_sound();
    EXPECT_EQ(ea_movable_free_fixed(m, fixed), EA_OK);
    EXPECT_EQ(ea_movable_free(m, h), EA_OK);
}
#define LOWEST_ENTRY_TEST , &movable_a_fixed_block_is_told_from_that_of_the_lowest_entry
#else
#define LOWEST_ENTRY_TEST
#endif

TEST(movable_a_fixed_block_is_served_while_another_moves, RAM)
{
    start(8, 8);
    ea_movable_handle_t low = make(40, 'l');
    a = make(600, 'a');
    EXPECT_EQ(ea_movable_free(m, low), EA_OK);
    void *address;
    for (unsigned i = 0; i < 9 && ea_movable_try_lock(m, a, &address) == EA_OK; i++) {
        EXPECT_EQ(ea_movable_unlock(m, a), EA_OK);
        (void)ea_movable_step(m, 100);
    }
    EXPECT_EQ(ea_movable_try_lock(m, a, &address), EA_ERR_BUSY); /* too far to be given up */
    char *high = ea_movable_alloc_fixed(m, 80, 0, 0);
    EXPECT(high != NULL);
    while (ea_movable_alloc_fixed(m, 30, 0, 0) != NULL) continue;
    expect_sound();
    EXPECT_EQ(ea_movable_try_lock(m, a, &address), EA_ERR_BUSY);
    step_until_done(100);
    EXPECT(is_full_of(a, 600, 'a'));
    EXPECT_EQ(ea_movable_free_fixed(m, high), EA_OK);
    expect_sound();
}
#endif

TEST(movable_resize_grows_in_a_full_store_by_moving_its_neighbours, RAM)
{
    for (int which = 0; which < 3; which++) {
        make_holes();
        ea_movable_handle_t h = which == 0 ? a : which == 1 ? c : rest;
        size_t old = which == 2 ? ea_movable_size_bytes(m, h) : 100;
        size_t wanted = ea_movable_size_bytes(m, h) + stats().free_bytes;
        EXPECT_EQ(ea_movable_resize(m, h, wanted + 8, EA_MOVABLE_UNLIMITED),
                  which == 2 && wanted + 8 > RAM ? EA_ERR_TOO_LARGE : EA_ERR_NO_MEMORY);
        EXPECT_EQ(ea_movable_resize(m, h, wanted, which == 2 ? 100 : 0), EA_ERR_AGAIN);
        EXPECT_EQ(ea_movable_resize(m, h, wanted, EA_MOVABLE_UNLIMITED), EA_OK);
        EXPECT_EQ(stats().free_bytes, 0);
        EXPECT(is_full_of(a, 100, 'a') && is_full_of(c, 100, 'c'));
        EXPECT(is_full_of(rest, which == 2 ? old - 8 : 500, 'r'));
        expect_sound();
        EXPECT_EQ(ea_movable_resize(m, h, 10, 0), EA_OK);
        EXPECT(ea_movable_size_bytes(m, h) < 20);
        expect_sound();
    }
}

/* Blocks a and c and the rest between two holes: what it is charged to bring the holes together. */
static size_t charge_of_all(void)
{
    return ea_movable_size_bytes(m, c) + ea_movable_size_bytes(m, rest) +
           2u * EA_MOVABLE_MOVE_CHARGE_BYTES;
}

TEST(movable_a_request_is_charged_exactly_what_it_moves, RAM)
{
    make_holes();
    size_t charge = charge_of_all(), wanted = stats().free_bytes - EA_MOVABLE_HEADER_BYTES;
    EXPECT(ea_movable_is_none(ea_movable_alloc(m, wanted, charge - 1)));
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_AGAIN);
    EXPECT_EQ(stats().moved_bytes, 0);
    EXPECT_EQ(stats().max_demand_bytes, 0);
    EXPECT(!ea_movable_is_none(ea_movable_alloc(m, wanted, charge)));
    EXPECT_EQ(stats().n_moves, 2);
    EXPECT_EQ(stats().moved_bytes, charge - 2u * EA_MOVABLE_MOVE_CHARGE_BYTES);
    EXPECT_EQ(stats().max_demand_bytes, charge);
    EXPECT(ea_movable_is_none(ea_movable_alloc(m, 8, 0))); /* charged nothing */
    EXPECT_EQ(stats().max_demand_bytes, charge);
}

TEST(movable_a_resize_is_charged_exactly_the_neighbours_it_moves, RAM)
{
    for (int which = 0; which < 3; which++) {
        make_holes();
        ea_movable_handle_t h = which == 0 ? a : which == 1 ? c : rest;
        size_t charge = charge_of_all(), old = ea_movable_size_bytes(m, h);
        size_t wanted = old + stats().free_bytes;
        EXPECT_EQ(ea_movable_resize(m, h, wanted, charge - 1), EA_ERR_AGAIN);
        EXPECT_EQ(stats().moved_bytes, 0);
        EXPECT_EQ(stats().max_demand_bytes, 0);
        EXPECT_EQ(ea_movable_resize(m, h, wanted, charge), EA_OK);
        EXPECT_EQ(stats().max_demand_bytes, charge);
        expect_sound();
    }
}

TEST(movable_a_block_grows_between_pins_by_moving_its_neighbour_alone, RAM)
{
    start(8, 8);
    a = make(100, 'a');
    ea_movable_handle_t b = make(40, 'b'), gap = make(60, '.');
    ea_movable_handle_t pin = make(8, '.'), other_gap = make(80, '.');
    c = make(8, 'c');
    rest = make(stats().largest_bytes, 'r');
    EXPECT(ea_movable_free(m, gap) == EA_OK && ea_movable_free(m, other_gap) == EA_OK);
    EXPECT(ea_movable_lock(m, pin) && ea_movable_lock(m, c) && ea_movable_lock(m, rest));
    /* No hole of that size can be made. */
    EXPECT(ea_movable_is_none(ea_movable_alloc(m, 136, EA_MOVABLE_UNLIMITED)));
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_BUSY);
    EXPECT_EQ(ea_movable_resize(m, a, 136, EA_MOVABLE_UNLIMITED), EA_OK);
    EXPECT(is_full_of(a, 100, 'a') && is_full_of(b, 40, 'b'));
    expect_sound();
    /* Where nothing may be moved nobody looks for what is in the way. */
    EXPECT_EQ(ea_movable_resize(m, a, 200, EA_MOVABLE_UNLIMITED), EA_ERR_BUSY);
    EXPECT_EQ(ea_movable_resize(m, a, 200, 0), EA_ERR_AGAIN);
}

TEST(movable_the_table_grows_down_into_free_memory_up_to_its_most, RAM)
{
    start(0, 0);
    unsigned n = 0;
    uint32_t n_handles = stats().n_handles;
    while (!ea_movable_is_none(ea_movable_alloc(m, 4, EA_MOVABLE_UNLIMITED))) n++;
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_NO_MEMORY);
    EXPECT(stats().n_handles > n_handles);
    EXPECT_EQ(stats().n_live, n);
    expect_sound();
    start(1, 1);
    for (n = 0; !ea_movable_is_none(ea_movable_alloc(m, 4, EA_MOVABLE_UNLIMITED));) n++;
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_LIMIT);
    EXPECT_EQ(n, stats().n_handles);
    expect_sound();
}

TEST(movable_a_table_grows_into_a_hole_of_just_its_size, RAM)
{
    start(1, 0);
    uint32_t n = stats().n_handles;
    size_t chunk_bytes = stats().table_bytes;
    ea_movable_handle_t low = make(200, 'l');
    for (uint32_t i = 2; i < n; i++) EXPECT(!ea_movable_is_none(make(4, '.')));
    rest = make(stats().largest_bytes - chunk_bytes, 'r');
    EXPECT_EQ(stats().free_bytes, chunk_bytes);
    EXPECT_EQ(ea_movable_free(m, low), EA_OK);
    EXPECT(!ea_movable_is_none(make(chunk_bytes, '.'))); /* not in the hole at the end */
    EXPECT_EQ(stats().n_live, n);
    EXPECT(!ea_movable_is_none(make(4, '.')));
    EXPECT_EQ(stats().n_handles, 2u * n);
    expect_sound();
}

TEST(movable_a_table_grows_without_a_budget_when_a_lock_has_finished_the_move, RAM)
{
    start(1, 0);
    uint32_t n = stats().n_handles;
    ea_movable_handle_t low = make(60, 'l');
    c = make(100, 'c');
    for (uint32_t i = 2; i < n; i++) EXPECT(!ea_movable_is_none(make(4, '.')));
    EXPECT_EQ(ea_movable_free(m, low), EA_OK);
    EXPECT(!ea_movable_is_none(make(100, '.'))); /* not in the hole */
    (void)ea_movable_step(m, 48);
    void *unused;
    EXPECT_EQ(ea_movable_try_lock(m, c, &unused), EA_ERR_BUSY);
    EXPECT(is_full_of(c, 100, 'c'));
    EXPECT_EQ(stats().n_live, n);
    EXPECT(!ea_movable_is_none(make(4, '.')));
    expect_sound();
}

TEST(movable_idle_time_makes_entries_before_a_request_wants_them, RAM)
{
    start(1, 0);
    uint32_t n = stats().n_handles;
    for (uint32_t i = 0; i < n; i++) EXPECT(!ea_movable_is_none(make(4, '.')));
    for (unsigned i = 0; i < 20; i++) (void)ea_movable_step(m, 64); /* too little for entries */
    EXPECT_EQ(stats().n_handles, n);
    step_until_done(256);
    EXPECT(stats().n_handles >= n + 16);
    expect_sound();
    for (unsigned i = 0; i < 20; i++) (void)ea_movable_step(m, 256); /* that is enough */
    EXPECT(stats().n_handles - n < 16u + n);
}

/* --- reports ---------------------------------------------------------------------------------- */

TEST(movable_walk_shows_every_block_and_hole_in_order, RAM)
{
    make_holes();
    size_t position = 0, n = 0, sum = 0, last = 0;
    ea_movable_block_t block;
    while (ea_movable_walk(m, &position, &block)) {
        EXPECT(block.offset_bytes > last);
        last = block.offset_bytes;
        sum += block.size_bytes + EA_MOVABLE_HEADER_BYTES;
        if (n == 0) EXPECT_EQ(block.handle.eai_word, a.eai_word);
        if (n == 1) EXPECT(ea_movable_is_none(block.handle));
        if (n == 2) EXPECT_EQ(block.handle.eai_word, c.eai_word);
        n++;
    }
    EXPECT_EQ(n, 5);
    EXPECT_EQ(sum, stats().total_bytes);
}

TEST(movable_pins_are_reported_costliest_first, RAM)
{
    make_holes();
    ea_movable_pin_t pins[3];
    EXPECT_EQ(ea_movable_pins(m, pins, 3), 0);
    EXPECT(ea_movable_lock(m, a) && ea_movable_lock(m, c) && ea_movable_lock(m, c));
    EXPECT_EQ(ea_movable_pins(m, pins, 3), 2);
    EXPECT_EQ(pins[0].handle.eai_word, c.eai_word);
    EXPECT_EQ(pins[0].hole_bytes, hole_bytes + EA_MOVABLE_HEADER_BYTES);
    EXPECT_EQ(pins[0].n_locks, 2);
    EXPECT_EQ(pins[1].handle.eai_word, a.eai_word);
    EXPECT_EQ(pins[1].hole_bytes, 0);
    EXPECT_EQ(ea_movable_pins(m, pins, 1), 1);
    EXPECT_EQ(pins[0].handle.eai_word, c.eai_word);
    EXPECT_EQ(ea_movable_pins(m, pins, 0), 0);
}

/* --- blocks that stay ------------------------------------------------------------------------- */

#if EA_CFG_MOVABLE_FIXED
/* The first byte behind the last block there can be. */
static char *end_of_blocks(void)
{
    ea_movable_block_t block;
    size_t position = 0, end = 0;
    while (ea_movable_walk(m, &position, &block)) end = block.offset_bytes + block.size_bytes;
    return (char *)m + end;
}

static char *make_fixed(size_t size_bytes, int byte)
{
    char *bytes = ea_movable_alloc_fixed(m, size_bytes, 0, EA_MOVABLE_UNLIMITED);
    if (bytes) memset(bytes, byte, size_bytes);
    return bytes;
}

static bool holds(const char *bytes, size_t size_bytes, int byte)
{
    bool good = bytes != NULL;
    for (size_t i = 0; good && i < size_bytes; i++) good = bytes[i] == byte;
    return good;
}

TEST(movable_fixed_blocks_stand_at_the_high_end_and_stay, RAM)
{
    start(8, 8);
    char *end = end_of_blocks();
    a = make(40, 'a');
    char *high = make_fixed(96, 'h'), *next = make_fixed(40, 'n');
    EXPECT_EQ(end - high, 96);
    EXPECT_EQ(high - next, 40 + (int)EA_MOVABLE_HEADER_BYTES);
    EXPECT_EQ(stats().n_fixed, 2);
    EXPECT_EQ(stats().n_live, 1);
    ea_movable_handle_t b = make(stats().largest_bytes, 'b');
    EXPECT(!ea_movable_is_none(b));
    EXPECT_EQ(ea_movable_free(m, a), EA_OK);
    step_until_done(256);
    EXPECT(holds(high, 96, 'h') && holds(next, 40, 'n'));
    size_t size = 0;
    EXPECT_EQ(ea_movable_probe_fixed(m, high, &size), EA_OK);
    EXPECT_EQ(size, 96);
    expect_sound();
    EXPECT_EQ(ea_movable_free_fixed(m, high), EA_OK);
    EXPECT_EQ(ea_movable_free_fixed(m, next), EA_OK);
    EXPECT_EQ(ea_movable_free(m, b), EA_OK);
    EXPECT_EQ(stats().free_bytes, stats().total_bytes);
    expect_sound();
}

TEST(movable_blocks_go_out_of_the_way_of_a_fixed_one, RAM)
{
    start(8, 8);
    char *end = end_of_blocks();
    a = make(300, 'a');
    ea_movable_handle_t b = make(200, 'b');
    c = make(stats().largest_bytes - 40, 'c'); /* up to the end, nearly */
    EXPECT_EQ(ea_movable_free(m, a), EA_OK);
    EXPECT(ea_movable_alloc_fixed(m, 200, 0, 0) == NULL);
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_AGAIN);
    EXPECT_EQ(stats().n_again, 1);
    EXPECT_EQ(stats().moved_bytes, 0);
    size_t size = ea_movable_size_bytes(m, c);
    EXPECT(ea_movable_alloc_fixed(m, 200, 0, size) == NULL); /* and what the move itself costs */
    EXPECT_EQ(stats().moved_bytes, 0);
    char *fixed = ea_movable_alloc_fixed(m, 200, 0, 200 + size + 2 * EA_MOVABLE_MOVE_CHARGE_BYTES);
    REQUIRE(fixed != NULL);
    EXPECT_EQ(end - fixed, 200);
    memset(fixed, 'f', 200);
    EXPECT(is_full_of(b, 200, 'b') && is_full_of(c, size, 'c'));
    expect_sound();
}

TEST(movable_a_fixed_block_takes_the_highest_gap_that_its_budget_reaches, RAM)
{
    start(8, 8);
    a = make(20, 'a');
    char *first = make_fixed(120, '1'), *second = make_fixed(200, '2'),
         *third = make_fixed(40, '3');
    EXPECT(first > second && second > third);
    EXPECT_EQ(ea_movable_free_fixed(m, second), EA_OK);
    char *again = make_fixed(200, '4');
    EXPECT(again == second); /* not below the third, where there is room too */
    EXPECT_EQ(ea_movable_free_fixed(m, again), EA_OK);
    rest = make(200, 'r'); /* the best hole for it is the gap */
    EXPECT(address_of(rest) == (uintptr_t)second);
    char *low = ea_movable_alloc_fixed(m, 200, 0, 0); /* nothing may be moved for it */
    EXPECT(low != NULL && low < third);
    EXPECT_EQ(ea_movable_free_fixed(m, low), EA_OK);
    again = make_fixed(200, '5');
    EXPECT(again == second); /* what had settled there went away */
    EXPECT(is_full_of(rest, 200, 'r') && holds(first, 120, '1') && holds(third, 40, '3'));
    expect_sound();
}

TEST(movable_a_fixed_block_goes_below_what_is_locked_if_it_must, RAM)
{
    start(8, 8);
    a = make(60, 'a');
    ea_movable_handle_t low = make(stats().largest_bytes / 3 * 2, 'l');
    c = make(stats().largest_bytes, 'c'); /* up to the end */
    EXPECT_EQ(ea_movable_free(m, low), EA_OK);
    EXPECT(ea_movable_lock(m, c) != NULL);
    char *fixed = make_fixed(104, 'f');
    REQUIRE(fixed != NULL);
    EXPECT_EQ(address_of(c) - (uintptr_t)fixed, 104 + EA_MOVABLE_HEADER_BYTES);
    EXPECT_EQ(ea_movable_unlock(m, c), EA_OK);
    char *high = make_fixed(104, 'h');
    EXPECT_EQ(end_of_blocks() - high, 104); /* the other has gone below */
    EXPECT(holds(fixed, 104, 'f'));
    expect_sound();
}

TEST(movable_locked_blocks_are_no_better_place_for_want_of_budget, RAM)
{
    start(8, 8);
    ea_movable_handle_t low = make(200, 'l');
    a = make(40, 'a');
    rest = make(stats().largest_bytes, 'r'); /* up to the end, and larger than any hole */
    EXPECT(ea_movable_lock(m, a) != NULL);
    EXPECT_EQ(ea_movable_free(m, low), EA_OK); /* a hole right below what is locked */
    EXPECT_EQ(ea_movable_resize(m, rest, ea_movable_size_bytes(m, rest) - 56, 0), EA_OK);
    EXPECT(ea_movable_alloc_fixed(m, 104, 0, EA_MOVABLE_UNLIMITED) != NULL); /* no other way */
    start(8, 8);
    char *high = make_fixed(104, 'h'), *below = make_fixed(40, 'b');
    EXPECT_EQ(ea_movable_free_fixed(m, high), EA_OK);
    rest = make(40, 'r'); /* the best hole for it is that above the lower one, and it stays there */
    c = make(stats().largest_bytes - 200, 'c');
    REQUIRE(address_of(rest) > (uintptr_t)below);
    EXPECT(ea_movable_lock(m, rest) != NULL);
    char *fixed = ea_movable_alloc_fixed(m, 40, 0, 0);
    EXPECT(fixed != NULL && fixed + 40 + EA_MOVABLE_HEADER_BYTES != (char *)address_of(rest));
    ea_movable_pin_t pin;
    EXPECT_EQ(ea_movable_pins(m, &pin, 1), 1);
    EXPECT_EQ(pin.hole_bytes, 0); /* a fixed block is below it, and a hole only below that */
    expect_sound();
}

TEST(movable_a_fixed_block_is_aligned_as_asked, RAM)
{
    start(8, 8);
    size_t size;
    for (size_t align = 1; align <= 128; align *= 2) {
        char *fixed = ea_movable_alloc_fixed(m, 36, align, 0);
        REQUIRE(fixed != NULL);
        EXPECT_EQ((uintptr_t)fixed % align, 0);
        EXPECT_EQ(ea_movable_probe_fixed(m, fixed, &size), EA_OK);
        EXPECT(size >= 36 && size < 36 + 4 + align);
        expect_sound();
    }
    EXPECT(ea_movable_alloc_fixed(m, 36, ~(SIZE_MAX >> 1), 0) == NULL);
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_TOO_LARGE);
}

/* A place below a locked block is the last resort, be it higher or cheaper. */
TEST(movable_a_fixed_block_prefers_a_fixed_one_to_a_locked_one, RAM)
{
    start(8, 8);
    char *top = make_fixed(100, 't'), *fixed = make_fixed(40, 'f');
    EXPECT_EQ(ea_movable_free_fixed(m, top), EA_OK);
    a = make(40, 'a');
    c = make(52, 'c');
    EXPECT(address_of(a) > (uintptr_t)fixed && address_of(c) > address_of(a));
    EXPECT(ea_movable_lock(m, c) != NULL);
    EXPECT_EQ(ea_movable_free(m, a), EA_OK);
    char *next = ea_movable_alloc_fixed(m, 36, 0, 0);
    EXPECT(next != NULL && next < fixed);

    start(8, 8);
    ea_movable_handle_t low = make(60, 'l'), locked = make(8, '.'), below = make(28, 'b');
    a = make(8, 'a');
    ea_movable_handle_t above = make(28, '.');
    fixed = make_fixed(stats().largest_bytes, 'f');
    EXPECT(ea_movable_lock(m, locked) != NULL);
    EXPECT_EQ(ea_movable_free(m, low), EA_OK);
    EXPECT_EQ(ea_movable_free(m, below), EA_OK);
    EXPECT_EQ(ea_movable_free(m, above), EA_OK);
    EXPECT(ea_movable_alloc_fixed(m, 40, 0, 0) == NULL);
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_AGAIN);
    next = ea_movable_alloc_fixed(m, 40, 0, EA_MOVABLE_UNLIMITED);
    EXPECT(next != NULL && next + 40 + EA_MOVABLE_HEADER_BYTES == fixed);
    expect_sound();
}

TEST(movable_a_fixed_block_is_refused_for_a_reason, RAM)
{
    start(8, 8);
    EXPECT(ea_movable_alloc_fixed(m, SIZE_MAX, 0, 0) == NULL);
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_TOO_LARGE);
    EXPECT(ea_movable_alloc_fixed(m, RAM, 0, EA_MOVABLE_UNLIMITED) == NULL);
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_TOO_LARGE);
    EXPECT(ea_movable_alloc_fixed(m, 8, 3, EA_MOVABLE_UNLIMITED) == NULL);
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_INVALID);
    size_t all = stats().largest_bytes;
    char *first = make_fixed(200, '1'), *second = make_fixed(all - 600, '2');
    EXPECT(ea_movable_alloc_fixed(m, 500, 0, EA_MOVABLE_UNLIMITED) == NULL);
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_NO_MEMORY);
    EXPECT_EQ(ea_movable_free_fixed(m, first), EA_OK);
    EXPECT(ea_movable_alloc_fixed(m, 500, 0, EA_MOVABLE_UNLIMITED) == NULL);
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_BUSY); /* the second one divides it */
    EXPECT(ea_movable_is_none(ea_movable_alloc(m, 500, EA_MOVABLE_UNLIMITED)));
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_BUSY);
    EXPECT_EQ(ea_movable_free_fixed(m, second), EA_OK);
    EXPECT(ea_movable_alloc_fixed(m, 500, 0, 0) != NULL);
}

TEST(movable_free_fixed_tells_what_is_no_fixed_block, RAM)
{
    start(8, 8);
    size_t size = 0;
    a = make(40, 'a');
    char *below = make_fixed(60, 'b'), *fixed = make_fixed(60, 'f');
    (void)below;
    EXPECT_EQ(ea_movable_free_fixed(m, fixed + 1), EA_ERR_FOREIGN);
    EXPECT_EQ(ea_movable_free_fixed(m, m), EA_ERR_FOREIGN);
    EXPECT_EQ(ea_movable_free_fixed(m, NULL), EA_ERR_FOREIGN);
    EXPECT_EQ(ea_movable_free_fixed(m, (char *)m + RAM), EA_ERR_FOREIGN);
    EXPECT_EQ(ea_movable_free_fixed(m, (void *)address_of(a)), EA_ERR_FOREIGN);
    EXPECT_EQ(ea_movable_probe_fixed(m, (void *)address_of(a), &size), EA_ERR_FOREIGN);
    EXPECT_EQ(size, 0);
    EXPECT_EQ(ea_movable_free_fixed(m, fixed), EA_OK);
    EXPECT_EQ(ea_movable_free_fixed(m, fixed), EA_ERR_DOUBLE_FREE); /* inside a larger hole now */
    EXPECT_EQ(ea_movable_free_fixed(m, end_of_blocks()), EA_ERR_FOREIGN);
    EXPECT_EQ(stats().n_fixed, 1);
    expect_sound();
}

TEST(movable_the_table_does_not_grow_past_a_fixed_block, RAM)
{
    start(1, 0);
    uint32_t n = stats().n_handles;
    char *fixed = make_fixed(24, 'f');
    for (uint32_t i = 0; i < n; i++) EXPECT(!ea_movable_is_none(ea_movable_alloc(m, 4, 0)));
    EXPECT(ea_movable_is_none(ea_movable_alloc(m, 4, EA_MOVABLE_UNLIMITED)));
    EXPECT_EQ(ea_movable_last_refusal(m), EA_ERR_BUSY);
    EXPECT_EQ(ea_movable_free_fixed(m, fixed), EA_OK);
    while (stats().largest_bytes < 100) make_fixed(1, 'x');
    EXPECT(!ea_movable_is_none(ea_movable_alloc(m, 4, EA_MOVABLE_UNLIMITED)));
    expect_sound();
}

TEST(movable_walk_and_pins_tell_fixed_blocks_from_holes, RAM)
{
    make_holes();
    EXPECT_EQ(ea_movable_free(m, rest), EA_OK);
    rest = make(60, 'r');
    char *fixed = make_fixed(64, 'f');
    ea_movable_block_t block;
    ea_movable_pin_t pin;
    size_t position = 0;
    unsigned n = 0;
    while (ea_movable_walk(m, &position, &block)) {
        bool is_it = (char *)m + block.offset_bytes == fixed;
        EXPECT_EQ(block.is_fixed, is_it);
        if (is_it) EXPECT(ea_movable_is_none(block.handle) && block.size_bytes == 64);
        n += is_it;
    }
    EXPECT_EQ(n, 1);
    EXPECT_EQ(ea_movable_pins(m, &pin, 1), 0);
}
#define FIXED_TESTS                                                                                \
    , &movable_fixed_blocks_stand_at_the_high_end_and_stay,                                        \
        &movable_blocks_go_out_of_the_way_of_a_fixed_one,                                          \
        &movable_a_fixed_block_takes_the_highest_gap_that_its_budget_reaches,                      \
        &movable_a_fixed_block_goes_below_what_is_locked_if_it_must,                               \
        &movable_locked_blocks_are_no_better_place_for_want_of_budget,                             \
        &movable_a_fixed_block_prefers_a_fixed_one_to_a_locked_one,                                \
        &movable_a_fixed_block_is_aligned_as_asked,                                                \
        &movable_a_fixed_block_is_refused_for_a_reason,                                            \
        &movable_free_fixed_tells_what_is_no_fixed_block,                                          \
        &movable_the_table_does_not_grow_past_a_fixed_block,                                       \
        &movable_walk_and_pins_tell_fixed_blocks_from_holes,                                       \
        &movable_requests_for_fixed_blocks_do_not_undo_steps_either,                               \
        &movable_a_fixed_block_is_refused_for_the_budget_where_another_could_hop,                  \
        &movable_a_fixed_block_is_served_while_another_moves LOWEST_ENTRY_TEST
#else
#define FIXED_TESTS
#endif

/* --- blocks that point into themselves -------------------------------------------------------- */

#if EA_CFG_MOVABLE_RELOCATE
static unsigned n_relocated;
static uintptr_t last_from, last_to;
static size_t last_size;
static ea_movable_handle_t last_handle;

static void note_move(void *context, ea_movable_handle_t handle, void *from, void *to,
                      size_t size_bytes)
{
    char byte;
    void *address;
    ea_movable_handle_t other = handle.eai_word == c.eai_word ? rest : c;
    EXPECT(context == (void *)&n_relocated);
    EXPECT(ea_movable_lock(m, handle) == NULL);
    EXPECT_EQ(ea_movable_try_lock(m, handle, &address), EA_ERR_BUSY);
    EXPECT_EQ(ea_movable_read(m, handle, 0, &byte, 1), EA_ERR_BUSY);
    EXPECT_EQ(ea_movable_write(m, handle, 0, &byte, 1), EA_ERR_BUSY);
    EXPECT_EQ(ea_movable_size_bytes(m, handle), 0);
    EXPECT(ea_movable_lock(m, other) != NULL && ea_movable_unlock(m, other) == EA_OK);
    n_relocated++;
    last_handle = handle;
    last_from = (uintptr_t)from;
    last_to = (uintptr_t)to;
    last_size = size_bytes;
}

TEST(movable_a_block_is_relocated_before_anybody_can_have_it, RAM)
{
    make_holes();
    n_relocated = 0;
    uintptr_t before = address_of(c);
    ea_movable_set_relocate(m, note_move, &n_relocated);
    for (unsigned i = 0; i < 40 && n_relocated == 0; i++) (void)ea_movable_step(m, 200);
    EXPECT_EQ(n_relocated, 1);
    EXPECT_EQ(last_handle.eai_word, c.eai_word);
    EXPECT_EQ(last_from, before);
    EXPECT_EQ(last_to, address_of(c));
    EXPECT(last_to < last_from);
    EXPECT_EQ(last_size, ea_movable_size_bytes(m, c));
    EXPECT(is_full_of(c, 100, 'c'));
    expect_sound();
    ea_movable_set_relocate(m, NULL, NULL);
    step_until_done(2000);
    EXPECT_EQ(n_relocated, 1);
}

TEST(movable_a_step_leaves_no_relocated_block_in_flight, RAM)
{
    make_holes();
    n_relocated = 0;
    ea_movable_set_relocate(m, note_move, &n_relocated);
    for (unsigned i = 0; i < 100; i++) {
        (void)ea_movable_step(m, 100); /* not enough for one of them */
        EXPECT(address_of(c) != 0 && address_of(rest) != 0);
    }
    EXPECT_EQ(n_relocated, 0);
    EXPECT_EQ(ea_movable_resize(m, c, 280, EA_MOVABLE_UNLIMITED), EA_OK); /* down, and it grows */
    EXPECT(n_relocated != 0);
    EXPECT(is_full_of(c, 100, 'c'));
    expect_sound();
}

TEST(movable_a_move_that_was_begun_is_finished_without_a_call, RAM)
{
    void *address = NULL;
    bool is_in_flight = false;
    make_holes();
    n_relocated = 0;
    for (unsigned i = 0; i < 40 && !is_in_flight; i++) {
        (void)ea_movable_step(m, 44);
        is_in_flight = ea_movable_try_lock(m, c, &address) == EA_ERR_BUSY;
        if (!is_in_flight) EXPECT_EQ(ea_movable_unlock(m, c), EA_OK);
    }
    EXPECT(is_in_flight);
    ea_movable_set_relocate(m, note_move, &n_relocated);
    EXPECT_EQ(ea_movable_try_lock(m, c, &address), EA_OK);
    EXPECT_EQ(n_relocated, 0);
    EXPECT(is_full_of(c, 100, 'c'));
    expect_sound();
}
#define RELOCATE_TESTS                                                                             \
    , &movable_a_block_is_relocated_before_anybody_can_have_it,                                    \
        &movable_a_step_leaves_no_relocated_block_in_flight,                                       \
        &movable_a_move_that_was_begun_is_finished_without_a_call
#else
#define RELOCATE_TESTS
#endif

TEST_MAIN(&movable_init_refuses_too_little_memory_and_wrong_options,
          &movable_works_in_misaligned_memory, &movable_stale_handles_are_found_out_by_every_call,
          &movable_a_handle_does_not_come_back_in_a_full_round_of_generations,
          &movable_garbage_handles_are_refused, &movable_a_locked_block_neither_moves_nor_is_freed,
          &movable_locks_are_counted_up_to_the_layouts_most,
          &movable_lock_finishes_a_move_and_try_lock_says_busy,
          &movable_a_block_in_flight_can_be_freed_and_resized,
          &movable_a_request_that_may_move_nothing_gets_the_hole_of_a_move_that_was_begun,
          &movable_a_resize_without_a_budget_does_not_finish_a_move_of_another_block,
          &movable_a_block_hops_out_of_the_way_where_sliding_would_not_do,
          &movable_a_scope_unlocks_by_whatever_way_it_is_left,
          &movable_read_and_write_know_the_blocks_end,
          &movable_a_made_up_handle_names_the_block_or_none,
          &movable_a_step_copies_no_more_than_its_budget_and_ends,
          &movable_a_step_moves_as_many_blocks_as_it_is_charged_for,
          &movable_a_step_is_charged_what_it_looks_at,
          &movable_a_hole_passes_sixteen_times_its_size_before_others_have_their_turn,
          &movable_a_request_moves_within_its_budget_or_says_again,
          &movable_resize_grows_in_a_full_store_by_moving_its_neighbours,
          &movable_a_request_is_charged_exactly_what_it_moves,
          &movable_a_resize_is_charged_exactly_the_neighbours_it_moves,
          &movable_a_block_grows_between_pins_by_moving_its_neighbour_alone,
          &movable_the_table_grows_down_into_free_memory_up_to_its_most,
          &movable_a_table_grows_into_a_hole_of_just_its_size,
          &movable_a_table_grows_without_a_budget_when_a_lock_has_finished_the_move,
          &movable_idle_time_makes_entries_before_a_request_wants_them,
          &movable_walk_shows_every_block_and_hole_in_order,
          &movable_pins_are_reported_costliest_first,
          &movable_requests_between_steps_do_not_undo_them FIXED_TESTS RELOCATE_TESTS)
