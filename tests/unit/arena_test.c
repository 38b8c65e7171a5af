/* SPDX-License-Identifier: MIT
 *
 * The arena's contracts (row A11): life, options, blocks of both ends, resizing, numbers.
 */
#include "arena_testing.h"

static ea_arena_t arena;

static bool start(size_t size_bytes, const ea_arena_options_t *options)
{
    return ea_arena_init(&arena, tap_ram(), size_bytes, options) == EA_OK;
}

/* --- life ------------------------------------------------------------------------------------- */

static void expect_refused(const ea_arena_options_t *options)
{
    EXPECT_EQ(ea_arena_init(&arena, tap_ram(), 256, options), EA_ERR_INVALID);
    EXPECT(ea_arena_alloc(&arena, 0) == NULL);
    EXPECT(ea_arena_alloc(&arena, 8) == NULL);
    EXPECT(ea_arena_alloc_high_aligned(&arena, 64, 8) == NULL);
}

static void *no_memory(void *context, size_t size_bytes)
{
    (void)context, (void)size_bytes;
    return NULL;
}

TEST(arena_init_refuses_options_out_of_range, 256)
{
    EXPECT_EQ(ea_arena_init(NULL, tap_ram(), 256, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_arena_init(&arena, NULL, 256, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_arena_init(&arena, tap_ram(), SIZE_MAX, NULL), EA_ERR_INVALID);
    expect_refused(&(ea_arena_options_t){.alignment_bytes = 24});
    expect_refused(&(ea_arena_options_t){.quantum_bytes = 48});
    expect_refused(&(ea_arena_options_t){.alignment_bytes = 32, .quantum_bytes = 16});
    expect_refused(&(ea_arena_options_t){.alignment_bytes = SIZE_MAX / 2 + 1});
    expect_refused(&(ea_arena_options_t){.min_block_bytes = 65, .max_block_bytes = 64});
    expect_refused(&(ea_arena_options_t){.max_block_bytes = SIZE_MAX / 2});
    expect_refused(&(ea_arena_options_t){.chunk_bytes = SIZE_MAX / 2});
    expect_refused(&(ea_arena_options_t){.upstream = {no_memory, NULL, NULL}});
    EXPECT(all_bytes_are(tap_ram(), 256, 0xA5));
    ea_arena_options_t guard = {.guard = true};
    EXPECT_EQ(ea_arena_init(&arena, tap_ram(), 256, &guard) == EA_OK, EA_CFG_ARENA_GUARD);
}

TEST(arena_init_refuses_memory_that_holds_no_block, 256)
{
    char *ram = tap_ram();
    EXPECT_EQ(ea_arena_init(&arena, NULL, 0, NULL), EA_ERR_INVALID);
    for (size_t offset = 0; offset < 2 * EA_ARENA_ALIGN; offset++) {
        for (size_t size = 0; size < 3 * EA_ARENA_ALIGN; size++) {
            size_t skipped = (size_t)(0 - offset) % EA_ARENA_ALIGN;
            bool has_room = size >= skipped + EA_ARENA_ALIGN;
            EXPECT_EQ(ea_arena_init(&arena, ram + offset, size, NULL) == EA_OK, has_room);
            EXPECT_EQ(ea_arena_alloc(&arena, 1) != NULL, has_room);
        }
    }
    EXPECT(!start(64, &(ea_arena_options_t){.min_block_bytes = 65}));
    EXPECT(start(64, &(ea_arena_options_t){.alignment_bytes = 1, .min_block_bytes = 63}));
}

TEST(arena_works_in_misaligned_memory, 512)
{
    char *ram = tap_ram();
    for (size_t offset = 0; offset < 17; offset++) {
        memset(ram, 0xA5, 512);
        REQUIRE(ea_arena_init(&arena, ram + offset, 301, NULL) == EA_OK);
        for (unsigned i = 0;; i++) {
            char *block = i % 2 ? ea_arena_alloc(&arena, 9) : ea_arena_alloc_high(&arena, 9);
            if (block == NULL) break;
            EXPECT(is_aligned(block, EA_ARENA_ALIGN));
            memset(block, 0, 9);
        }
        EXPECT(arena_stats(&arena).free_bytes < 16);
        EXPECT_ARENA_SOUND(&arena);
        EXPECT(all_bytes_are(ram, offset, 0xA5));
        EXPECT(all_bytes_are(ram + offset + 301, 512 - offset - 301, 0xA5));
    }
}

TEST(arena_refuses_requests_after_deinit, 256)
{
    REQUIRE(start(256, NULL));
    EXPECT(ea_arena_alloc(&arena, 10) != NULL);
    EXPECT_EQ(ea_arena_deinit(&arena), EA_OK);
    EXPECT(ea_arena_alloc(&arena, 0) == NULL);
    EXPECT(ea_arena_alloc(&arena, 1) == NULL);
    EXPECT(ea_arena_alloc_high(&arena, 1) == NULL);
    EXPECT(ea_arena_alloc_aligned(&arena, 8, 1) == NULL);
    EXPECT_EQ(arena_stats(&arena).total_bytes, 0);
    if (EA_CFG_CHECK_LEVEL) EXPECT_EQ(ea_arena_check(&arena, NULL), EA_ERR_CORRUPT);
    if (EA_CFG_CHECK_LEVEL) EXPECT_EQ(ea_arena_reset(&arena), EA_ERR_CORRUPT);
    ea_arena_mark_t mark = ea_arena_mark(&arena, EA_ARENA_HIGH);
    EXPECT(ea_arena_alloc(&arena, 1) == NULL);
    (void)ea_arena_rewind(&arena, &mark);
    EXPECT(!ea_arena_owns(&arena, tap_ram()));
}

TEST(arena_reset_gives_everything_back, 256)
{
    REQUIRE(start(256, NULL));
    char *first = ea_arena_alloc(&arena, 1);
    EXPECT(ea_arena_alloc_high(&arena, 100) != NULL);
    ea_arena_mark_t between = ea_arena_mark(&arena, EA_ARENA_LOW);
    (void)between;
    EXPECT(ea_arena_alloc(&arena, 1000) == NULL);
    EXPECT_EQ(ea_arena_reset(&arena), EA_OK);
    EXPECT_ARENA_SOUND(&arena);
    ea_arena_stats_t stats = arena_stats(&arena);
    EXPECT_EQ(stats.free_bytes, 256);
    EXPECT_EQ(stats.low_bytes + stats.high_bytes, 0);
    EXPECT(stats.peak_bytes >= 100);
    EXPECT_EQ(stats.n_failures, 1);
    EXPECT(ea_arena_alloc(&arena, 256) == first);
}

/* --- blocks ----------------------------------------------------------------------------------- */

TEST(arena_blocks_cost_nothing_but_rounding, 1024)
{
    REQUIRE(start(1024, NULL));
    char *before = ea_arena_alloc(&arena, EA_ARENA_ALIGN);
    for (int i = 0; i < 10; i++) {
        char *block = ea_arena_alloc(&arena, EA_ARENA_ALIGN);
        EXPECT_EQ(block - before, EA_ARENA_ALIGN);
        before = block;
    }
    char *upper = ea_arena_alloc_high(&arena, 1);
    EXPECT(upper + EA_ARENA_ALIGN == (char *)tap_ram() + 1024);
    EXPECT(ea_arena_alloc_high(&arena, EA_ARENA_ALIGN + 1) == upper - 2 * EA_ARENA_ALIGN);
}

TEST(arena_grants_every_byte, 1024)
{
    REQUIRE(start(1024, &(ea_arena_options_t){.alignment_bytes = 1}));
    size_t n = 0;
    char *block;
    while ((block = ea_arena_alloc(&arena, 3)) != NULL) {
        EXPECT(block == (char *)tap_ram() + 3 * n);
        n++;
    }
    EXPECT_EQ(n, 341);
    EXPECT(ea_arena_alloc_high(&arena, 1) == (char *)tap_ram() + 1023);
    EXPECT(ea_arena_alloc(&arena, 1) == NULL);
    EXPECT(ea_arena_alloc_high(&arena, 1) == NULL);
    EXPECT_EQ(ea_arena_last_refusal(&arena), EA_ARENA_FULL);
    EXPECT_ARENA_SOUND(&arena);
}

TEST(arena_alloc_of_nothing_counts_as_one_byte, 256)
{
    REQUIRE(start(256, &(ea_arena_options_t){.alignment_bytes = 1}));
    char *block = ea_arena_alloc(&arena, 0);
    EXPECT(ea_arena_alloc(&arena, 0) == block + 1);
    EXPECT(ea_arena_alloc_high(&arena, 0) == block + 255);
    EXPECT(ea_arena_alloc_aligned(&arena, 1, 0) == block + 2);
    EXPECT_EQ(ea_arena_last_refusal(&arena), EA_ARENA_NONE);
}

TEST(arena_blocks_obey_minimum_maximum_and_quantum, 1024)
{
    ea_arena_options_t options = {
        .alignment_bytes = 8, .quantum_bytes = 32, .min_block_bytes = 40, .max_block_bytes = 100};
    REQUIRE(start(1024, &options));
    static const size_t asked[] = {0, 1, 39, 40, 64, 65, 96, 97, 100};
    static const size_t got[] = {64, 64, 64, 64, 64, 96, 96, 128, 128};
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        size_t before = arena_stats(&arena).free_bytes;
        void *block =
            i % 2 ? ea_arena_alloc(&arena, asked[i]) : ea_arena_alloc_high(&arena, asked[i]);
        EXPECT(block != NULL && is_aligned(block, 8));
        EXPECT_EQ(before - arena_stats(&arena).free_bytes, got[i]);
    }
    EXPECT(ea_arena_alloc(&arena, 101) == NULL);
    EXPECT_EQ(ea_arena_last_refusal(&arena), EA_ARENA_TOO_LARGE);
    EXPECT(ea_arena_alloc_high(&arena, 101) == NULL);
    EXPECT(ea_arena_alloc_aligned(&arena, 16, 101) == NULL);
    EXPECT(ea_arena_alloc_array(&arena, 8, 13, 8) == NULL);
    EXPECT(ea_arena_realloc(&arena, tap_ram(), 8, 101) == NULL);
    EXPECT_EQ(ea_arena_last_refusal(&arena), EA_ARENA_TOO_LARGE);
    EXPECT_EQ(arena_stats(&arena).n_failures, 5);
}

/* Sizes at every boundary that arithmetic on a request could cross. */
TEST(arena_refuses_what_no_arena_could_grant, 512)
{
    REQUIRE(start(512, &(ea_arena_options_t){.quantum_bytes = 64}));
    size_t n = 0;
    const size_t edges[] = {513, SIZE_MAX / 4, SIZE_MAX / 2, SIZE_MAX / 2 + 2, SIZE_MAX - 600};
    (void)!ea_arena_alloc(&arena, 64);
    for (size_t e = 0; e < 5 + 600; e++) {
        size_t size = e < 5 ? edges[e] : SIZE_MAX - (e - 5);
        EXPECT(ea_arena_alloc(&arena, size) == NULL);
        EXPECT(ea_arena_alloc_high(&arena, size) == NULL);
        EXPECT(ea_arena_alloc_aligned(&arena, 256, size) == NULL);
        EXPECT(ea_arena_alloc_high_aligned(&arena, 256, size) == NULL);
        EXPECT(ea_arena_alloc_array(&arena, 1, size, 3) == NULL);
        EXPECT(ea_arena_realloc(&arena, tap_ram(), 64, size) == NULL);
        n += 6;
    }
    EXPECT_EQ(arena_stats(&arena).n_failures, n);
    EXPECT_EQ(arena_stats(&arena).free_bytes, 448);
    EXPECT_ARENA_SOUND(&arena);
}

TEST(arena_aligns_blocks_at_both_ends, 4096)
{
    for (size_t alignment = 1; alignment <= 512; alignment *= 2) {
        REQUIRE(start(4096, &(ea_arena_options_t){.alignment_bytes = 1}));
        for (int i = 0; i < 3; i++) {
            char *low = ea_arena_alloc_aligned(&arena, alignment, 5);
            char *high = ea_arena_alloc_high_aligned(&arena, alignment, 5);
            REQUIRE(low != NULL && high != NULL);
            EXPECT(is_aligned(low, alignment) && is_aligned(high, alignment));
            EXPECT(low + 5 <= high);
            memset(low, 1, 5);
            memset(high, 1, 5);
        }
        EXPECT_ARENA_SOUND(&arena);
    }
    EXPECT(ea_arena_alloc_aligned(&arena, 0, 1) == NULL);
    EXPECT_EQ(ea_arena_last_refusal(&arena), EA_ARENA_ALIGNMENT);
    EXPECT(ea_arena_alloc_high_aligned(&arena, 3, 1) == NULL);
    EXPECT(ea_arena_alloc_aligned(&arena, SIZE_MAX / 2 + 1, 1) == NULL);
    EXPECT(ea_arena_alloc_aligned(&arena, SIZE_MAX / 8 + 1, 1) == NULL); /* no room, no overflow */
    EXPECT_EQ(ea_arena_last_refusal(&arena), EA_ARENA_FULL);
}

TEST(arena_refuses_an_aligned_block_that_only_padding_keeps_out, 256 + 64)
{
    char *mem = tap_ram();
    while (!is_aligned(mem, 64)) mem += 16;
    REQUIRE(ea_arena_init(&arena, mem, 256, &(ea_arena_options_t){.alignment_bytes = 1}) == EA_OK);
    EXPECT(ea_arena_alloc(&arena, 130) != NULL); /* 126 left, 64 of them from a multiple of 64 */
    EXPECT(ea_arena_alloc_aligned(&arena, 64, 65) == NULL);
    EXPECT(ea_arena_alloc_high_aligned(&arena, 64, 100) == NULL);
    EXPECT_EQ(arena_stats(&arena).free_bytes, 126);
    EXPECT(ea_arena_alloc_aligned(&arena, 64, 64) == mem + 192);
    EXPECT_EQ(arena_stats(&arena).free_bytes, 0);
}

typedef struct {
    char tag;
    uint64_t value;
} sample_t;

TEST(arena_new_uses_the_types_own_alignment, 256)
{
    REQUIRE(start(256, &(ea_arena_options_t){.alignment_bytes = 1}));
    char *byte = EA_ARENA_NEW(&arena, char);
    sample_t *sample = EA_ARENA_NEW(&arena, sample_t);
    uint32_t *numbers = EA_ARENA_NEW_ARRAY(&arena, uint32_t, 5);
    REQUIRE(byte != NULL && sample != NULL && numbers != NULL);
    EXPECT(is_aligned(sample, _Alignof(sample_t)));
    EXPECT((char *)(sample + 1) == (char *)numbers);
    EXPECT_EQ(arena_stats(&arena).low_bytes, (size_t)((char *)(numbers + 5) - byte));
    EXPECT(EA_ARENA_NEW_ARRAY(&arena, uint64_t, SIZE_MAX / 8 + 2) == NULL);
    EXPECT_EQ(ea_arena_last_refusal(&arena), EA_ARENA_TOO_LARGE);
}

TEST(arena_owns_what_it_handed_out, 256)
{
    REQUIRE(start(256, &(ea_arena_options_t){.alignment_bytes = 1}));
    char *low = ea_arena_alloc(&arena, 10), *high = ea_arena_alloc_high(&arena, 10);
    for (int i = -1; i < 257; i++) {
        char *ptr = (char *)tap_ram() + i;
        bool is_inside = (ptr >= low && ptr < low + 10) || (ptr >= high && ptr < high + 10);
        EXPECT_EQ(ea_arena_owns(&arena, ptr), is_inside);
    }
    EXPECT(!ea_arena_owns(&arena, NULL));
}

/* --- resizing --------------------------------------------------------------------------------- */

TEST(arena_realloc_grows_and_shrinks_the_last_block_in_place, 512)
{
    REQUIRE(start(512, &(ea_arena_options_t){.alignment_bytes = 8}));
    (void)!ea_arena_alloc(&arena, 8);
    char *block = ea_arena_realloc(&arena, NULL, 0, 20);
    REQUIRE(block != NULL);
    fill_with(block, 20, 3);
    EXPECT(ea_arena_realloc(&arena, block, 20, 200) == block);
    EXPECT_EQ(arena_stats(&arena).low_bytes, 208);
    EXPECT(ea_arena_realloc(&arena, block, 200, 504) == block);
    EXPECT_EQ(arena_stats(&arena).free_bytes, 0);
    EXPECT(ea_arena_realloc(&arena, block, 504, 505) == NULL);
    EXPECT(ea_arena_realloc(&arena, block, 504, 17) == block);
    EXPECT_EQ(arena_stats(&arena).low_bytes, 32);
    EXPECT_EQ(arena_stats(&arena).peak_bytes, 512);
    EXPECT(ea_arena_realloc(&arena, block, 17, 0) == block);
    EXPECT_EQ(arena_stats(&arena).low_bytes, 16);
    EXPECT(holds(block, 8, 3));
    EXPECT_ARENA_SOUND(&arena);
}

TEST(arena_realloc_copies_a_block_that_is_not_the_last, 512)
{
    REQUIRE(start(512, NULL));
    char *block = ea_arena_alloc(&arena, 40), *last = ea_arena_alloc(&arena, 1);
    REQUIRE(block != NULL && last != NULL);
    fill_with(block, 40, 9);
    EXPECT(ea_arena_realloc(&arena, block, 40, 8) == block); /* shrinks, and nothing is free */
    EXPECT_EQ(arena_stats(&arena).low_bytes, (last - block) + EA_ARENA_ALIGN);
    char *moved = ea_arena_realloc(&arena, block, 40, 100);
    EXPECT(moved > last);
    EXPECT(holds(moved, 40, 9));
    size_t n = arena_stats(&arena).low_bytes;
    EXPECT(ea_arena_realloc(&arena, block, 40, 400) == NULL);
    EXPECT_EQ(ea_arena_last_refusal(&arena), EA_ARENA_FULL);
    EXPECT_EQ(arena_stats(&arena).low_bytes, n);
    EXPECT(holds(block, 40, 9));
    /* An impossible old size is noticed at every level, a foreign pointer from level 2. */
    EXPECT(ea_arena_realloc(&arena, moved, SIZE_MAX, 10) == NULL);
    EXPECT_EQ(ea_arena_last_refusal(&arena), EA_ARENA_FOREIGN);
    if (EA_CFG_CHECK_LEVEL >= 2) {
        EXPECT(ea_arena_realloc(&arena, &n, 4, 10) == NULL);
        EXPECT(ea_arena_realloc(&arena, ea_arena_alloc_high(&arena, 8), 8, 10) == NULL);
    }
}

TEST(arena_realloc_does_not_grow_across_a_mark, 512)
{
    REQUIRE(start(512, NULL));
    char *outer = ea_arena_alloc(&arena, 16);
    REQUIRE(outer != NULL);
    fill_with(outer, 16, 1);
    ea_arena_mark_t mark = ea_arena_mark(&arena, EA_ARENA_LOW);
    EXPECT(ea_arena_realloc(&arena, outer, 16, 1) == outer);
    EXPECT_EQ(ea_arena_free(&arena, outer, 16), EA_ERR_BUSY);
    char *inner = ea_arena_realloc(&arena, outer, 16, 64);
    EXPECT(inner != outer && inner != NULL && holds(inner, 16, 1));
    EXPECT_EQ(ea_arena_rewind(&arena, &mark), EA_OK);
    EXPECT_EQ(arena_stats(&arena).low_bytes, 16);
    EXPECT(ea_arena_realloc(&arena, outer, 16, 64) == outer); /* the mark is gone */
    EXPECT(holds(outer, 16, 1));
}

TEST(arena_free_gives_the_last_block_back, 256)
{
    REQUIRE(start(256, NULL));
    char *a = ea_arena_alloc(&arena, 30), *b = ea_arena_alloc(&arena, 30);
    EXPECT_EQ(ea_arena_free(&arena, NULL, 10), EA_OK);
    EXPECT_EQ(ea_arena_free(&arena, a, 30), EA_ERR_BUSY);
    EXPECT_EQ(ea_arena_free(&arena, b, SIZE_MAX - 8), EA_ERR_BUSY);
    EXPECT_EQ(ea_arena_free(&arena, b, 30), EA_OK);
    EXPECT_EQ(ea_arena_free(&arena, b, 30), EA_ERR_BUSY);
    EXPECT_EQ(ea_arena_free(&arena, a, 30), EA_OK);
    EXPECT_EQ(arena_stats(&arena).low_bytes, 0);
    EXPECT_EQ(arena_stats(&arena).peak_bytes, 64);
    /* Whatever ends where the arena begins is not its last block. */
    EXPECT_EQ(ea_arena_free(&arena, a - EA_ARENA_ALIGN, 1), EA_ERR_BUSY);
    EXPECT_ARENA_SOUND(&arena);
}

/* --- numbers ---------------------------------------------------------------------------------- */

TEST(arena_peak_is_the_most_ever_in_use, 512)
{
    REQUIRE(start(512, &(ea_arena_options_t){.alignment_bytes = 1}));
    (void)!ea_arena_alloc(&arena, 100);
    ea_arena_mark_t mark = ea_arena_mark(&arena, EA_ARENA_HIGH);
    (void)!ea_arena_alloc_high(&arena, 50);
    EXPECT_EQ(arena_stats(&arena).peak_bytes, 150);
    EXPECT_EQ(ea_arena_rewind(&arena, &mark), EA_OK);
    (void)!ea_arena_alloc(&arena, 20);
    EXPECT_EQ(arena_stats(&arena).peak_bytes, 150);
    ea_arena_reset_peak(&arena);
    EXPECT_EQ(arena_stats(&arena).peak_bytes, 120);
    (void)!ea_arena_alloc_high(&arena, 7);
    ea_arena_stats_t stats = arena_stats(&arena);
    EXPECT_EQ(stats.peak_bytes, 127);
    EXPECT_EQ(stats.low_bytes, 120);
    EXPECT_EQ(stats.high_bytes, 7);
    EXPECT_EQ(stats.free_bytes, 385);
    EXPECT_EQ(stats.total_bytes, 512);
    EXPECT_EQ(stats.n_failures + stats.n_corruptions + stats.n_chunks + stats.upstream_bytes, 0);
}

TEST_MAIN(&arena_init_refuses_options_out_of_range, &arena_init_refuses_memory_that_holds_no_block,
          &arena_works_in_misaligned_memory, &arena_refuses_requests_after_deinit,
          &arena_reset_gives_everything_back, &arena_blocks_cost_nothing_but_rounding,
          &arena_grants_every_byte, &arena_alloc_of_nothing_counts_as_one_byte,
          &arena_blocks_obey_minimum_maximum_and_quantum, &arena_refuses_what_no_arena_could_grant,
          &arena_aligns_blocks_at_both_ends,
          &arena_refuses_an_aligned_block_that_only_padding_keeps_out,
          &arena_new_uses_the_types_own_alignment, &arena_owns_what_it_handed_out,
          &arena_realloc_grows_and_shrinks_the_last_block_in_place,
          &arena_realloc_copies_a_block_that_is_not_the_last,
          &arena_realloc_does_not_grow_across_a_mark, &arena_free_gives_the_last_block_back,
          &arena_peak_is_the_most_ever_in_use)
