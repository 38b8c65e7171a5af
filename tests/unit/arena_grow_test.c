/* SPDX-License-Identifier: MIT
 *
 * Arenas that grow from an upstream (row A11): chunks come and go, refusals have reasons, nothing
 * is lost when the upstream refuses.
 */
#include "arena_testing.h"

#define ROOM 6144u

static ea_arena_t arena;

#if EA_CFG_ARENA_GROW

static lender_t lender;

/* An arena of own_bytes that grows by chunk_bytes from a heap in the test's RAM. */
static bool start(size_t own_bytes, size_t chunk_bytes, size_t limit_bytes)
{
    char *ram = tap_ram();
    memset(&lender, 0, sizeof lender);
    lender.heap = ea_heap_init(ram + own_bytes, ROOM - own_bytes, NULL);
    ea_arena_options_t options = {.alignment_bytes = 8,
                                  .guard = EA_CFG_ARENA_GUARD,
                                  .upstream = upstream_of(&lender),
                                  .chunk_bytes = chunk_bytes,
                                  .limit_bytes = limit_bytes};
    return lender.heap != NULL &&
           ea_arena_init(&arena, own_bytes ? ram : NULL, own_bytes, &options) == EA_OK;
}

static void expect_all_returned(void)
{
    EXPECT_EQ(lender.n_lent, 0);
    EXPECT(!lender.wrong);
    EXPECT_EQ(arena_stats(&arena).n_chunks, 0);
    EXPECT_EQ(arena_stats(&arena).upstream_bytes, 0);
    EXPECT(is_whole(lender.heap));
}

TEST(arena_grows_by_chunks_and_returns_them, ROOM)
{
    for (size_t own = 0; own <= 256; own += 256) {
        REQUIRE(start(own, 512, 0));
        EXPECT_EQ(lender.n_calls, 0);
        char *blocks[20];
        for (unsigned i = 0; i < 20; i++) {
            blocks[i] = i % 3 ? ea_arena_alloc(&arena, 100) : ea_arena_alloc_high(&arena, 100);
            REQUIRE(blocks[i] != NULL);
            EXPECT(is_aligned(blocks[i], 8));
            EXPECT(ea_arena_owns(&arena, blocks[i]));
            fill_with(blocks[i], 100, i);
            EXPECT_ARENA_SOUND(&arena);
        }
        ea_arena_stats_t stats = arena_stats(&arena);
        EXPECT(stats.n_chunks >= 4 && stats.n_chunks == lender.n_lent);
        EXPECT_EQ(stats.upstream_bytes, lender.lent_bytes);
        EXPECT_EQ(stats.low_bytes, 13 * 104);
        EXPECT_EQ(stats.high_bytes, 7 * 104);
        EXPECT_EQ(stats.peak_bytes, 20 * 104);
        for (unsigned i = 0; i < 20; i++) EXPECT(holds(blocks[i], 100, i));
        EXPECT_EQ(ea_arena_reset(&arena), EA_OK);
        EXPECT_ARENA_SOUND(&arena);
        expect_all_returned();
        EXPECT_EQ(arena_stats(&arena).total_bytes, own);
    }
}

TEST(arena_takes_a_larger_chunk_for_a_larger_block, ROOM)
{
    REQUIRE(start(0, 256, 0));
    char *block = ea_arena_alloc(&arena, 1000);
    REQUIRE(block != NULL);
    memset(block, 1, 1000);
    char *aligned = ea_arena_alloc_aligned(&arena, 512, 700);
    REQUIRE(aligned != NULL && is_aligned(aligned, 512));
    memset(aligned, 1, 700);
    aligned = ea_arena_alloc_high_aligned(&arena, 256, 600);
    REQUIRE(aligned != NULL && is_aligned(aligned, 256));
    memset(aligned, 1, 600);
    EXPECT_ARENA_SOUND(&arena);
    EXPECT_EQ(ea_arena_deinit(&arena), EA_OK);
    EXPECT_EQ(lender.n_lent, 0);
    EXPECT(!lender.wrong && is_whole(lender.heap));
}

TEST(arena_rewind_returns_the_chunks_above_the_mark, ROOM)
{
    REQUIRE(start(256, 512, 0));
    char *kept = ea_arena_alloc(&arena, 200);
    fill_with(kept, 200, 5);
    ea_arena_mark_t outer = ea_arena_mark(&arena, EA_ARENA_LOW);
    (void)!ea_arena_alloc(&arena, 300);
    char *second = ea_arena_alloc(&arena, 50);
    fill_with(second, 50, 6);
    size_t n_chunks = arena_stats(&arena).n_chunks, low = arena_stats(&arena).low_bytes;
    ea_arena_mark_t inner = ea_arena_mark(&arena, EA_ARENA_LOW);
    for (int i = 0; i < 6; i++) EXPECT(ea_arena_alloc(&arena, 300) != NULL);
    EXPECT(arena_stats(&arena).n_chunks >= n_chunks + 5);
    EXPECT_EQ(ea_arena_rewind(&arena, &inner), EA_OK);
    EXPECT_EQ(arena_stats(&arena).n_chunks, n_chunks);
    EXPECT_EQ(arena_stats(&arena).low_bytes, low);
    EXPECT(holds(second, 50, 6));
    EXPECT(ea_arena_realloc(&arena, second, 50, 60) == second);
    EXPECT_EQ(ea_arena_rewind(&arena, &outer), EA_OK);
    expect_all_returned();
    EXPECT(holds(kept, 200, 5));
    EXPECT(ea_arena_realloc(&arena, kept, 200, 240) == kept);
    EXPECT_ARENA_SOUND(&arena);
}

/* A chunk with scratch in it stays when the low end is rewound below it, and the other way
 * round. */
TEST(arena_chunk_in_use_at_one_end_stays, ROOM)
{
    REQUIRE(start(128, 512, 0));
    ea_arena_mark_t low = ea_arena_mark(&arena, EA_ARENA_LOW);
    ea_arena_mark_t high = ea_arena_mark(&arena, EA_ARENA_HIGH);
    (void)!ea_arena_alloc(&arena, 120);
    char *scratch = ea_arena_alloc_high(&arena, 120);
    REQUIRE(scratch != NULL);
    fill_with(scratch, 120, 7);
    EXPECT_EQ(arena_stats(&arena).n_chunks, 1);
    EXPECT_EQ(ea_arena_rewind(&arena, &low), EA_OK);
    EXPECT_EQ(arena_stats(&arena).n_chunks, 1);
    EXPECT_EQ(arena_stats(&arena).low_bytes, 0);
    EXPECT(holds(scratch, 120, 7));
    EXPECT_ARENA_SOUND(&arena);
    char *block = ea_arena_alloc(&arena, 16);
    EXPECT(ea_arena_realloc(&arena, block, 16, 64) == block);
    EXPECT_EQ(ea_arena_rewind(&arena, &high), EA_OK);
    EXPECT_EQ(arena_stats(&arena).n_chunks, 1); /* now the block holds it */
    EXPECT_EQ(ea_arena_free(&arena, block, 64), EA_OK);
    EXPECT_ARENA_SOUND(&arena);
    EXPECT_EQ(ea_arena_reset(&arena), EA_OK);
    expect_all_returned();
}

/* An empty chunk in which a mark of the other end stands: the mark must find it again. */
TEST(arena_chunk_in_which_a_mark_stands_stays, ROOM)
{
    REQUIRE(start(128, 512, 0));
    ea_arena_options_t no_guard = {.upstream = upstream_of(&lender), .chunk_bytes = 512};
    REQUIRE(ea_arena_init(&arena, tap_ram(), 128, &no_guard) == EA_OK);
    ea_arena_mark_t high = ea_arena_mark(&arena, EA_ARENA_HIGH);
    EXPECT(ea_arena_alloc_high(&arena, 200) != NULL);
    ea_arena_mark_t low = ea_arena_mark(&arena, EA_ARENA_LOW);
    EXPECT_EQ(ea_arena_rewind(&arena, &high), EA_OK);
    EXPECT_EQ(arena_stats(&arena).n_chunks, 1);
    EXPECT(ea_arena_alloc(&arena, 400) != NULL);
    EXPECT_EQ(ea_arena_rewind(&arena, &low), EA_OK);
    EXPECT_EQ(arena_stats(&arena).low_bytes, 0);
    EXPECT_ARENA_SOUND(&arena);
    EXPECT_EQ(ea_arena_reset(&arena), EA_OK);
    expect_all_returned();
}

TEST(arena_realloc_of_the_last_block_moves_to_a_new_chunk, ROOM)
{
    REQUIRE(start(128, 512, 0));
    char *block = ea_arena_alloc(&arena, 100);
    fill_with(block, 100, 2);
    char *moved = ea_arena_realloc(&arena, block, 100, 400);
    REQUIRE(moved != NULL && moved != block);
    EXPECT(holds(moved, 100, 2));
    EXPECT(ea_arena_realloc(&arena, moved, 400, 420) == moved);
    EXPECT_ARENA_SOUND(&arena);
}

/* --- refusals --------------------------------------------------------------------------------- */

TEST(arena_keeps_within_its_limit, ROOM)
{
    REQUIRE(start(0, 512, 1200));
    size_t n = 0;
    while (ea_arena_alloc(&arena, 40) != NULL) n++;
    EXPECT_EQ(ea_arena_last_refusal(&arena), EA_ARENA_LIMIT);
    EXPECT_EQ(lender.lent_bytes, 1200); /* the last chunk is what the limit leaves */
    EXPECT(n >= 22);
    EXPECT_ARENA_SOUND(&arena);
    EXPECT(ea_arena_alloc_high_aligned(&arena, 4096, 8) == NULL);
    EXPECT_EQ(ea_arena_last_refusal(&arena), EA_ARENA_LIMIT);
    EXPECT_EQ(ea_arena_reset(&arena), EA_OK);
    expect_all_returned();
}

TEST(arena_asks_a_second_time_for_the_least_that_will_do, ROOM)
{
    REQUIRE(start(0, 16384, 0)); /* more than there is */
    EXPECT(ea_arena_alloc(&arena, 100) != NULL);
    EXPECT_EQ(lender.n_calls, 2);
    EXPECT(lender.lent_bytes < 300);
    EXPECT(ea_arena_alloc(&arena, 8192) == NULL);
    EXPECT_EQ(ea_arena_last_refusal(&arena), EA_ARENA_UPSTREAM);
    EXPECT_ARENA_SOUND(&arena);
}

/* Fail the Nth call of the upstream for every N; what was there stays, and work goes on later. */
TEST(arena_loses_nothing_when_the_upstream_refuses, ROOM)
{
    for (size_t refuse_from = 1; refuse_from < 10; refuse_from++) {
        REQUIRE(start(128, 256, 0));
        lender.refuse_from = refuse_from;
        char *blocks[16];
        unsigned n = 0, n_refused = 0;
        ea_arena_mark_t mark = ea_arena_mark(&arena, EA_ARENA_HIGH);
        for (unsigned i = 0; i < 16; i++) {
            char *block = i % 4 == 3   ? ea_arena_alloc_high_aligned(&arena, 16, 90)
                          : i % 4 == 2 ? ea_arena_alloc_aligned(&arena, 32, 90)
                                       : ea_arena_alloc(&arena, 90);
            if (block == NULL) {
                EXPECT_EQ(ea_arena_last_refusal(&arena), EA_ARENA_UPSTREAM);
                n_refused++;
            } else {
                fill_with(block, 90, n);
                blocks[n++] = block;
            }
            EXPECT_ARENA_SOUND(&arena);
        }
        if (refuse_from < 4) EXPECT(n_refused > 0);
        EXPECT_EQ(arena_stats(&arena).n_failures, n_refused);
        for (unsigned i = 0; i < n; i++) EXPECT(holds(blocks[i], 90, i));
        char *moved = ea_arena_realloc(&arena, blocks[0], 90, 400);
        EXPECT(holds(moved != NULL ? moved : blocks[0], 90, 0));
        lender.refuse_from = 0;
        EXPECT(ea_arena_alloc(&arena, 300) != NULL);
        EXPECT_EQ(ea_arena_rewind(&arena, &mark), EA_OK);
        EXPECT_ARENA_SOUND(&arena);
        EXPECT_EQ(ea_arena_reset(&arena), EA_OK);
        expect_all_returned();
    }
}

#define GROW_TESTS                                                                                 \
    &arena_grows_by_chunks_and_returns_them, &arena_takes_a_larger_chunk_for_a_larger_block,       \
        &arena_rewind_returns_the_chunks_above_the_mark, &arena_chunk_in_use_at_one_end_stays,     \
        &arena_chunk_in_which_a_mark_stands_stays,                                                 \
        &arena_realloc_of_the_last_block_moves_to_a_new_chunk, &arena_keeps_within_its_limit,      \
        &arena_asks_a_second_time_for_the_least_that_will_do,                                      \
        &arena_loses_nothing_when_the_upstream_refuses
#else

TEST(arena_init_refuses_an_upstream_that_is_compiled_out, 512)
{
    lender_t lender;
    ea_arena_options_t options = {.upstream = upstream_of(&lender)};
    EXPECT_EQ(ea_arena_init(&arena, tap_ram(), 512, &options), EA_ERR_INVALID);
}

#define GROW_TESTS &arena_init_refuses_an_upstream_that_is_compiled_out
#endif

TEST_MAIN(GROW_TESTS)
