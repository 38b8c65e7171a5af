/* SPDX-License-Identifier: MIT
 *
 * What the heap's checks catch, by level. A refused call leaves the heap as it was and is counted.
 */
#include "heap_testing.h"

#define ROOM 8192u

static ea_heap_t *new_heap(void)
{
    return ea_heap_init(tap_ram(), ROOM, NULL);
}

#if EA_CFG_CHECK_LEVEL >= 1

/* The call was refused, and nothing but the count of refusals changed. */
static void expect_unchanged(ea_heap_t *heap, const ea_heap_stats_t *before)
{
    ea_heap_stats_t now = stats_of(heap);
    if (EA_CFG_HEAP_STATS) EXPECT_EQ(now.n_corruptions, before->n_corruptions + 1);
    EXPECT_EQ(now.free_bytes, before->free_bytes);
    EXPECT_EQ(now.n_live, before->n_live);
    EXPECT_EQ(now.n_frees, before->n_frees);
    EXPECT_EQ(now.largest_free_bytes, before->largest_free_bytes);
    EXPECT_SOUND(heap);
}

static void expect_free_refused(ea_heap_t *heap, void *ptr)
{
    ea_heap_stats_t before = stats_of(heap);
    ea_status_t status = ea_heap_free(heap, ptr);
    EXPECT(status == EA_ERR_DOUBLE_FREE || status == EA_ERR_CORRUPT);
    expect_unchanged(heap, &before);
    before = stats_of(heap);
    EXPECT(ea_heap_realloc(heap, ptr, 10) == NULL);
    expect_unchanged(heap, &before);
}

TEST(heap_free_refuses_a_block_freed_before, ROOM)
{
    static const size_t sizes[] = {1, 12, 40, 100, 300, BIG, 2 * BIG};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        ea_heap_t *heap = new_heap();
        REQUIRE(heap != NULL);
        void *lower = ea_heap_alloc(heap, 30), *block = ea_heap_alloc(heap, sizes[s]);
        void *upper = ea_heap_alloc(heap, 30);
        REQUIRE(lower != NULL && block != NULL && upper != NULL);
        EXPECT_EQ(ea_heap_free(heap, block), EA_OK);
        ea_heap_stats_t before = stats_of(heap);
        EXPECT_EQ(ea_heap_free(heap, block), EA_ERR_DOUBLE_FREE);
        expect_unchanged(heap, &before);
        expect_free_refused(heap, block);
    }
}

/* The header of a block that was merged is inside another block; it still says that it is free. */
static void freed_with_neighbours(bool below_first, bool above_first, bool below_last,
                                  bool above_last)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    char *block[5];
    for (int i = 0; i < 5; i++) block[i] = ea_heap_alloc(heap, BIG);
    REQUIRE(block[4] != NULL);
    if (below_first) EXPECT_EQ(ea_heap_free(heap, block[1]), EA_OK);
    if (above_first) EXPECT_EQ(ea_heap_free(heap, block[3]), EA_OK);
    EXPECT_EQ(ea_heap_free(heap, block[2]), EA_OK);
    if (below_last) EXPECT_EQ(ea_heap_free(heap, block[1]), EA_OK);
    if (above_last) EXPECT_EQ(ea_heap_free(heap, block[3]), EA_OK);
    expect_free_refused(heap, block[2]);
    if (below_first || below_last) expect_free_refused(heap, block[1]);
    if (above_first || above_last) expect_free_refused(heap, block[3]);
}

TEST(heap_free_refuses_a_block_freed_and_merged_before, ROOM)
{
    freed_with_neighbours(true, false, false, false);
    freed_with_neighbours(false, true, false, false);
    freed_with_neighbours(true, true, false, false);
    freed_with_neighbours(false, false, true, false);
    freed_with_neighbours(false, false, false, true);
    freed_with_neighbours(false, false, true, true);
    freed_with_neighbours(true, false, false, true);
    freed_with_neighbours(false, true, true, false);
}

TEST(heap_free_refuses_a_block_freed_and_grown_into_before, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    char *block = ea_heap_alloc(heap, BIG), *above = ea_heap_alloc(heap, BIG);
    REQUIRE(block != NULL && above != NULL && ea_heap_alloc(heap, BIG) != NULL);
    EXPECT_EQ(ea_heap_free(heap, above), EA_OK);
    EXPECT(ea_heap_realloc(heap, block, 2 * BIG) == block);
    expect_free_refused(heap, above);
}

TEST(heap_free_refuses_the_first_and_the_last_block_freed_before, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    void *all = ea_heap_alloc(heap, ea_heap_max_alloc_bytes(heap));
    REQUIRE(all != NULL);
    EXPECT_EQ(ea_heap_free(heap, all), EA_OK);
    expect_free_refused(heap, all);
    void *first = ea_heap_alloc(heap, 100);
    void *last = ea_heap_alloc(heap, ea_heap_largest_free_bytes(heap));
    REQUIRE(first != NULL && last != NULL);
    EXPECT_EQ(ea_heap_free(heap, last), EA_OK);
    expect_free_refused(heap, last);
}

TEST(heap_free_refuses_a_misaligned_pointer, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    char *block = ea_heap_alloc(heap, 100);
    REQUIRE(block != NULL);
    memset(block, 0, 100);
    for (size_t off = 1; off < EA_HEAP_ALIGN; off++) {
        ea_heap_stats_t before = stats_of(heap);
        EXPECT_EQ(ea_heap_free(heap, block + off), EA_ERR_FOREIGN);
        expect_unchanged(heap, &before);
        before = stats_of(heap);
        EXPECT(ea_heap_realloc(heap, block - off, 10) == NULL);
        expect_unchanged(heap, &before);
    }
    EXPECT_EQ(ea_heap_free(heap, block), EA_OK);
}

/* A block that overflows into the next header by a word of zeros or ones, the usual off-by-some. */
TEST(heap_free_refuses_a_block_whose_upper_header_is_overwritten, ROOM)
{
#if EA_CFG_CHECK_LEVEL >= 2
    static const unsigned char values[] = {0xFF, 0xEE, 0x41};
#else
    static const unsigned char values[] = {0xFF, 0xEE, 0x0A}; /* those with the flag PF set */
#endif
    for (size_t i = 0; i < sizeof values; i++) {
        ea_heap_t *heap = new_heap();
        REQUIRE(heap != NULL);
        char *block[3];
        for (int k = 0; k < 3; k++) block[k] = ea_heap_alloc(heap, BIG);
        REQUIRE(block[2] != NULL);
        size_t usable = ea_heap_usable_size_bytes(heap, block[0]);
        memset(block[0] + usable, values[i], 4);
        size_t n = stats_of(heap).n_corruptions;
        EXPECT_EQ(ea_heap_free(heap, block[0]), EA_ERR_CORRUPT);
        if (EA_CFG_HEAP_STATS) EXPECT_EQ(stats_of(heap).n_corruptions, n + 1);
        EXPECT_EQ(ea_heap_check(heap, NULL), EA_ERR_CORRUPT);
    }
}

#if EA_CFG_HEAP_STEPWISE
static void ignore(void *context, const ea_heap_block_t *block)
{
    (void)context, (void)block;
}

/* The mark of a walk does not stand in for the other checks. */
TEST(heap_free_refuses_a_damaged_block_that_a_walk_stands_on, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    char *block = ea_heap_alloc(heap, BIG);
    REQUIRE(block != NULL && ea_heap_alloc(heap, BIG) != NULL);
    ea_heap_cursor_t cursor = {0};
    EXPECT_EQ(ea_heap_walk(heap, &cursor, 0, ignore, NULL), EA_ERR_AGAIN);
    memset(block + ea_heap_usable_size_bytes(heap, block), 0xFF, 4);
    ea_heap_stats_t before = stats_of(heap);
    EXPECT_EQ(ea_heap_free(heap, block), EA_ERR_CORRUPT);
    EXPECT_EQ(stats_of(heap).free_bytes, before.free_bytes);
    if (EA_CFG_HEAP_STATS) EXPECT_EQ(stats_of(heap).n_corruptions, before.n_corruptions + 1);
}
#endif

TEST(heap_alloc_refuses_a_free_block_whose_header_is_damaged, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    char *block = ea_heap_alloc(heap, BIG);
    char *upper = ea_heap_alloc(heap, BIG);
    REQUIRE(block != NULL && upper != NULL);
    EXPECT_EQ(ea_heap_free(heap, upper), EA_OK); /* one free block up to the end */
    memset(upper - 4, 0xEE, 4);
    size_t n = stats_of(heap).n_corruptions;
    EXPECT(ea_heap_alloc(heap, BIG) == NULL);
    if (EA_CFG_HEAP_STATS) EXPECT_EQ(stats_of(heap).n_corruptions, n + 1);
    EXPECT_EQ(ea_heap_check(heap, NULL), EA_ERR_CORRUPT);
}

#else

TEST(heap_without_checks_still_frees_what_is_right, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    void *block = ea_heap_alloc(heap, 100);
    EXPECT_EQ(ea_heap_free(heap, block), EA_OK);
    EXPECT(is_whole(heap));
    EXPECT_EQ(stats_of(heap).n_corruptions, 0);
}

#endif

#if EA_CFG_CHECK_LEVEL >= 2

TEST(heap_free_refuses_a_foreign_pointer, ROOM)
{
    static _Alignas(16) char elsewhere[256];
    _Alignas(16) char on_stack[256];
    ea_heap_t *heap = ea_heap_init((char *)tap_ram() + 1024, ROOM - 2048, NULL);
    REQUIRE(heap != NULL);
    memset(on_stack, 0, sizeof on_stack);
    char *foreign[] = {elsewhere + 64, on_stack + 64, (char *)tap_ram() + 512,
                       (char *)tap_ram() + ROOM - 512, (char *)(uintptr_t)heap};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        ea_heap_stats_t before = stats_of(heap);
        EXPECT_EQ(ea_heap_free(heap, foreign[i]), EA_ERR_FOREIGN);
        expect_unchanged(heap, &before);
    }
}

/* A write through a pointer to a freed block hits its links. */
TEST(heap_refuses_a_free_block_whose_links_are_overwritten, ROOM)
{
    for (int what = 0; what < 3; what++) {
        ea_heap_t *heap = new_heap();
        REQUIRE(heap != NULL);
        char *block[5];
        for (int k = 0; k < 5; k++) block[k] = ea_heap_alloc(heap, BIG);
        REQUIRE(block[4] != NULL);
        EXPECT_EQ(ea_heap_free(heap, block[2]), EA_OK);
        memset(block[2], 0xEE, 8);
        if (what == 0) EXPECT_EQ(ea_heap_free(heap, block[1]), EA_ERR_CORRUPT);
        if (what == 1) EXPECT_EQ(ea_heap_free(heap, block[3]), EA_ERR_CORRUPT);
        if (what == 2) EXPECT(ea_heap_alloc(heap, BIG) == NULL);
        EXPECT_EQ(ea_heap_check(heap, NULL), EA_ERR_CORRUPT);
    }
}

/* A write beyond the end of a block hits the copy of the size that the free block below the next
 * used one carries, or the flag in that used one. */
TEST(heap_alloc_refuses_a_free_block_whose_upper_end_is_overwritten, ROOM)
{
    for (int what = 0; what < 2; what++) {
        ea_heap_t *heap = new_heap();
        REQUIRE(heap != NULL);
        char *block = ea_heap_alloc(heap, BIG), *upper = ea_heap_alloc(heap, BIG);
        REQUIRE(block != NULL && upper != NULL);
        EXPECT_EQ(ea_heap_free(heap, block), EA_OK);
        char *place = upper - (what == 0 ? 8 : 4);
        uint32_t word;
        memcpy(&word, place, sizeof word);
        word ^= what == 0 ? 16 : 2;
        memcpy(place, &word, sizeof word);
        size_t n = stats_of(heap).n_corruptions;
        EXPECT(ea_heap_alloc(heap, BIG) == NULL);
        if (EA_CFG_HEAP_STATS) EXPECT_EQ(stats_of(heap).n_corruptions, n + 1);
        word ^= what == 0 ? 16 : 2;
        memcpy(place, &word, sizeof word);
        EXPECT(ea_heap_alloc(heap, BIG) == block);
        EXPECT_SOUND(heap);
    }
}

#endif

/* A block in a quick list is free for its user, whatever the heap does with it. */
TEST(heap_hands_a_freed_block_of_any_size_out_again_only_once, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    for (size_t n = 1; n < 120; n += 3) {
        ea_heap_reset(heap);
        void *blocks[24];
        for (int i = 0; i < 24; i++) blocks[i] = ea_heap_alloc(heap, n);
        REQUIRE(blocks[23] != NULL);
        for (int i = 0; i < 24; i++) EXPECT_EQ(ea_heap_free(heap, blocks[i]), EA_OK);
        EXPECT_SOUND(heap);
        for (int i = 0; i < 24; i++) {
            blocks[i] = ea_heap_alloc(heap, n);
            REQUIRE(blocks[i] != NULL);
            memset(blocks[i], i, n);
        }
        for (int i = 0; i < 24; i++) EXPECT(all_bytes_are(blocks[i], n, (unsigned char)i));
        EXPECT_SOUND(heap);
    }
}

#if EA_CFG_HEAP_PROFILE == 2
TEST(heap_with_quick_lists_grants_what_their_blocks_are_needed_for, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    size_t max = ea_heap_max_alloc_bytes(heap);
    for (int round = 0; round < 3; round++) {
        void *blocks[256];
        int n = 0;
        while (n < 256 && (blocks[n] = ea_heap_alloc(heap, 24 + (size_t)n % 9 * 16)) != NULL) n++;
        for (int i = 0; i < n; i++) EXPECT_EQ(ea_heap_free(heap, blocks[i]), EA_OK);
        if (EA_CFG_HEAP_STATS) EXPECT_EQ(stats_of(heap).free_bytes, stats_of(heap).total_bytes);
        EXPECT(ea_heap_largest_free_bytes(heap) <= max);
        void *all =
            round % 2 == 0 ? ea_heap_alloc(heap, max) : ea_heap_aligned_alloc(heap, 32, max - 64);
        REQUIRE(all != NULL);
        EXPECT_SOUND(heap);
        EXPECT_EQ(ea_heap_free(heap, all), EA_OK);
    }
}
#else
TEST(heap_without_quick_lists_merges_at_once, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    void *blocks[20];
    for (int i = 0; i < 20; i++) blocks[i] = ea_heap_alloc(heap, 24);
    for (int i = 0; i < 20; i++) EXPECT_EQ(ea_heap_free(heap, blocks[i * 7 % 20]), EA_OK);
    EXPECT_EQ(ea_heap_largest_free_bytes(heap), ea_heap_max_alloc_bytes(heap));
}
#endif

TEST_MAIN(
#if EA_CFG_CHECK_LEVEL >= 1
    &heap_free_refuses_a_block_freed_before, &heap_free_refuses_a_block_freed_and_merged_before,
    &heap_free_refuses_a_block_freed_and_grown_into_before,
    &heap_free_refuses_the_first_and_the_last_block_freed_before,
    &heap_free_refuses_a_misaligned_pointer,
    &heap_free_refuses_a_block_whose_upper_header_is_overwritten,
    &heap_alloc_refuses_a_free_block_whose_header_is_damaged,
#if EA_CFG_HEAP_STEPWISE
    &heap_free_refuses_a_damaged_block_that_a_walk_stands_on,
#endif
#else
    &heap_without_checks_still_frees_what_is_right,
#endif
#if EA_CFG_CHECK_LEVEL >= 2
    &heap_free_refuses_a_foreign_pointer, &heap_refuses_a_free_block_whose_links_are_overwritten,
    &heap_alloc_refuses_a_free_block_whose_upper_end_is_overwritten,
#endif
#if EA_CFG_HEAP_PROFILE == 2
    &heap_with_quick_lists_grants_what_their_blocks_are_needed_for,
#else
    &heap_without_quick_lists_merges_at_once,
#endif
    &heap_hands_a_freed_block_of_any_size_out_again_only_once)
