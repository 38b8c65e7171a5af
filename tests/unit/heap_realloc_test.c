/* SPDX-License-Identifier: MIT
 *
 * The heap's contracts: aligned blocks, and reallocation in one call and in three.
 */
#include "heap_testing.h"

#define ROOM 12000u

static ea_heap_t *new_heap(void)
{
    return ea_heap_init(tap_ram(), ROOM, NULL);
}

/* Five large blocks in a row; the last one keeps the rest of the heap apart. */
typedef struct {
    ea_heap_t *heap;
    char *block[5];
} row_t;

static row_t new_row(void)
{
    row_t row = {new_heap(), {NULL}};
    if (row.heap == NULL) return row;
    for (int i = 0; i < 5; i++) {
        row.block[i] = ea_heap_alloc(row.heap, BIG);
        if (row.block[i] != NULL) fill_with(row.block[i], BIG, (unsigned)i);
    }
    return row;
}

/* Use up whatever lies behind the row. */
static void take_the_rest(ea_heap_t *heap)
{
    size_t largest;
    while ((largest = ea_heap_largest_free_bytes(heap)) > BIG * 7 / 2) {
        if (ea_heap_alloc(heap, largest) == NULL) return;
    }
}

/* --- aligned ---------------------------------------------------------------------------------- */

TEST(heap_aligned_alloc_aligns_and_loses_nothing, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    for (size_t alignment = 1; alignment <= 1024; alignment *= 2) {
        for (size_t n = 1; n < 1500; n += 1 + n / 3) {
            void *before = ea_heap_alloc(heap, n % 50 + 1);
            char *block = ea_heap_aligned_alloc(heap, alignment, n);
            REQUIRE(before != NULL && block != NULL);
            EXPECT(is_aligned(block, alignment));
            EXPECT(is_aligned(block, EA_HEAP_ALIGN));
            size_t usable = ea_heap_usable_size_bytes(heap, block);
            EXPECT(usable >= n && usable < n + EA_HEAP_ALIGN + EA_HEAP_MIN_BLOCK_BYTES);
            memset(block, 0xFF, usable);
            EXPECT_SOUND(heap);
            EXPECT_EQ(ea_heap_free(heap, before), EA_OK);
            EXPECT_EQ(ea_heap_free(heap, block), EA_OK);
        }
        EXPECT(is_whole(heap));
    }
    EXPECT_EQ(stats_of(heap).n_failures, 0);
}

TEST(heap_aligned_alloc_refuses_what_the_span_cannot_hold, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    size_t max = ea_heap_max_alloc_bytes(heap);
    for (size_t alignment = 1; alignment != 0; alignment <<= 1) {
        for (size_t n = max / 2; n <= 2 * max; n += max / 16) {
            void *block = ea_heap_aligned_alloc(heap, alignment, n);
            if (block == NULL) continue;
            EXPECT(n <= max && is_aligned(block, alignment));
            EXPECT_EQ(ea_heap_free(heap, block), EA_OK);
        }
    }
    EXPECT_SOUND(heap);
    EXPECT_EQ(ea_heap_largest_free_bytes(heap), max);
}

/* The first hole that is large enough lies badly; another is just large enough for any place. */
TEST(heap_aligned_alloc_takes_a_block_that_holds_it_wherever_it_lies, ROOM)
{
    enum { ALIGNMENT = 256 };
    size_t widest = BIG + ALIGNMENT + EA_HEAP_MIN_BLOCK_BYTES - EA_HEAP_ALIGN;
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    char *pad = ea_heap_alloc(heap, 1), *small;
    /* Move the small hole until it is not aligned itself. */
    do {
        pad = ea_heap_alloc(heap, 1);
        small = ea_heap_alloc(heap, BIG);
        REQUIRE(pad != NULL && small != NULL);
    } while (is_aligned(small, ALIGNMENT));
    char *fence = ea_heap_alloc(heap, 1), *wide = ea_heap_alloc(heap, widest);
    REQUIRE(fence != NULL && wide != NULL && ea_heap_alloc(heap, 1) != NULL);
    while (ea_heap_largest_free_bytes(heap) >= BIG)
        REQUIRE(ea_heap_alloc(heap, ea_heap_largest_free_bytes(heap)) != NULL);
    EXPECT_EQ(ea_heap_free(heap, small), EA_OK);
    EXPECT_EQ(ea_heap_free(heap, wide), EA_OK);
    char *block = ea_heap_aligned_alloc(heap, ALIGNMENT, BIG);
    EXPECT(block >= wide && block < wide + widest);
    EXPECT(is_aligned(block, ALIGNMENT));
    EXPECT_SOUND(heap);
}

TEST(heap_aligned_alloc_refuses_what_is_no_alignment, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    static const size_t bad[] = {0, 3, 6, 24, 100, SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2};
    void *block = ea_heap_alloc(heap, 10);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        EXPECT(ea_heap_aligned_alloc(heap, bad[i], 10) == NULL);
        EXPECT(ea_heap_aligned_realloc(heap, block, bad[i], 10) == NULL);
    }
    EXPECT(ea_heap_aligned_alloc(heap, SIZE_MAX / 2 + 1, 10) == NULL);
    EXPECT(ea_heap_aligned_alloc(heap, SIZE_MAX / 2 + 1, SIZE_MAX / 2) == NULL);
    EXPECT(ea_heap_aligned_realloc(heap, block, SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 1) == NULL);
    EXPECT_SOUND(heap);
    EXPECT_EQ(ea_heap_free(heap, block), EA_OK);
    EXPECT(is_whole(heap));
}

/* --- realloc in one call ---------------------------------------------------------------------- */

TEST(heap_realloc_of_null_allocates_and_to_zero_frees, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    void *block = ea_heap_realloc(heap, NULL, BIG);
    REQUIRE(block != NULL);
    EXPECT(ea_heap_realloc(heap, block, 0) == NULL);
    EXPECT(is_whole(heap));
    EXPECT(ea_heap_realloc(heap, NULL, 0) == NULL);
    block = ea_heap_aligned_realloc(heap, NULL, 256, BIG);
    EXPECT(block != NULL && is_aligned(block, 256));
    EXPECT(ea_heap_aligned_realloc(heap, block, 256, 0) == NULL);
    EXPECT(is_whole(heap));
    EXPECT_EQ(ea_heap_deinit(heap), 0);
}

TEST(heap_realloc_shrinks_in_place_and_gives_back_the_rest, ROOM)
{
    row_t row = new_row();
    REQUIRE(row.block[4] != NULL);
    for (size_t n = BIG; n > 0; n--) {
        EXPECT(ea_heap_realloc(row.heap, row.block[1], n) == row.block[1]);
        EXPECT(holds(row.block[1], n, 1));
        size_t usable = ea_heap_usable_size_bytes(row.heap, row.block[1]);
        EXPECT(usable >= n && usable < n + EA_HEAP_ALIGN + EA_HEAP_MIN_BLOCK_BYTES);
        EXPECT_SOUND(row.heap);
    }
    EXPECT_EQ(ea_heap_usable_size_bytes(row.heap, row.block[1]), cost_of(1) - 4);
    for (int i = 0; i < 5; i++) {
        if (i != 1) EXPECT(holds(row.block[i], BIG, (unsigned)i));
        EXPECT_EQ(ea_heap_free(row.heap, row.block[i]), EA_OK);
    }
    EXPECT(is_whole(row.heap));
}

TEST(heap_realloc_grows_forward_in_place, ROOM)
{
    row_t row = new_row();
    REQUIRE(row.block[4] != NULL);
    EXPECT_EQ(ea_heap_free(row.heap, row.block[2]), EA_OK);
    size_t most = 2 * cost_of(BIG) - EA_HEAP_OVERHEAD_BYTES;
    EXPECT(ea_heap_realloc(row.heap, row.block[1], BIG + 1) == row.block[1]);
    EXPECT(holds(row.block[1], BIG, 1));
    EXPECT_SOUND(row.heap);
    EXPECT(ea_heap_realloc(row.heap, row.block[1], most) == row.block[1]);
    EXPECT_EQ(ea_heap_usable_size_bytes(row.heap, row.block[1]), most);
    EXPECT(holds(row.block[1], BIG, 1));
    EXPECT(holds(row.block[3], BIG, 3));
    EXPECT_SOUND(row.heap);
}

TEST(heap_realloc_grows_backward_before_it_moves_away, ROOM)
{
    row_t row = new_row();
    REQUIRE(row.block[4] != NULL);
    EXPECT_EQ(ea_heap_free(row.heap, row.block[1]), EA_OK);
    size_t most = 2 * cost_of(BIG) - EA_HEAP_OVERHEAD_BYTES;
    EXPECT(ea_heap_realloc(row.heap, row.block[2], most) == row.block[1]);
    EXPECT(holds(row.block[1], BIG, 2));
    EXPECT_EQ(ea_heap_usable_size_bytes(row.heap, row.block[1]), most);
    EXPECT(holds(row.block[0], BIG, 0));
    EXPECT(holds(row.block[3], BIG, 3));
    EXPECT_SOUND(row.heap);
}

TEST(heap_realloc_grows_into_both_neighbours, ROOM)
{
    for (size_t extra = 1; extra <= 3; extra++) {
        row_t row = new_row();
        REQUIRE(row.block[4] != NULL);
        EXPECT_EQ(ea_heap_free(row.heap, row.block[1]), EA_OK);
        EXPECT_EQ(ea_heap_free(row.heap, row.block[3]), EA_OK);
        size_t most = 3 * cost_of(BIG) - EA_HEAP_OVERHEAD_BYTES;
        size_t want = extra == 1 ? 2 * cost_of(BIG) : extra == 2 ? most - 40 : most;
        EXPECT(ea_heap_realloc(row.heap, row.block[2], want) == row.block[1]);
        EXPECT(holds(row.block[1], BIG, 2));
        EXPECT(holds(row.block[4], BIG, 4));
        EXPECT_SOUND(row.heap);
    }
}

TEST(heap_realloc_moves_when_the_neighbours_do_not_suffice, ROOM)
{
    row_t row = new_row();
    REQUIRE(row.block[4] != NULL);
    char *moved = ea_heap_realloc(row.heap, row.block[1], BIG + BIG / 2);
    REQUIRE(moved != NULL && moved > row.block[4]);
    EXPECT(holds(moved, BIG, 1));
    EXPECT_SOUND(row.heap);
    /* The old place is free: it serves again. */
    take_the_rest(row.heap);
    for (int i = 0; i < 20; i++) {
        char *again = ea_heap_alloc(row.heap, BIG);
        if (again == row.block[1]) return;
        REQUIRE(again != NULL);
    }
    EXPECT(false);
}

TEST(heap_realloc_that_fails_leaves_the_block_alone, ROOM)
{
    row_t row = new_row();
    REQUIRE(row.block[4] != NULL);
    ea_heap_stats_t before = stats_of(row.heap);
    EXPECT(ea_heap_realloc(row.heap, row.block[1], ROOM - 1000) == NULL);
    EXPECT(ea_heap_aligned_realloc(row.heap, row.block[1], 2048, ROOM - 1000) == NULL);
    EXPECT(ea_heap_realloc(row.heap, row.block[1], SIZE_MAX) == NULL);
    EXPECT_EQ(ea_heap_usable_size_bytes(row.heap, row.block[1]), cost_of(BIG) - 4);
    for (int i = 0; i < 5; i++) EXPECT(holds(row.block[i], BIG, (unsigned)i));
    EXPECT_EQ(stats_of(row.heap).free_bytes, before.free_bytes);
    EXPECT_EQ(stats_of(row.heap).n_allocs, before.n_allocs);
    if (EA_CFG_HEAP_STATS) EXPECT_EQ(stats_of(row.heap).n_failures, before.n_failures + 3);
    EXPECT_SOUND(row.heap);
}

TEST(heap_realloc_keeps_contents_from_any_size_to_any_size, ROOM)
{
    static const size_t sizes[] = {1, 4, 8, 12, 13, 20, 28, 29, 60, 100, 124, 125, 300, 1000};
    enum { N = sizeof sizes / sizeof sizes[0] };
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    for (int holes = 0; holes < 4; holes++) {
        for (size_t from = 0; from < N; from++) {
            for (size_t to = 0; to < N; to++) {
                void *below = ea_heap_alloc(heap, 200), *lower = ea_heap_alloc(heap, 8);
                char *block = ea_heap_alloc(heap, sizes[from]);
                void *above = ea_heap_alloc(heap, 200), *upper = ea_heap_alloc(heap, 8);
                REQUIRE(upper != NULL);
                if (holes & 1) EXPECT_EQ(ea_heap_free(heap, lower), EA_OK);
                if (holes & 2) EXPECT_EQ(ea_heap_free(heap, above), EA_OK);
                fill_with(block, sizes[from], (unsigned)(from * N + to));
                block = ea_heap_realloc(heap, block, sizes[to]);
                REQUIRE(block != NULL);
                size_t kept = sizes[from] < sizes[to] ? sizes[from] : sizes[to];
                EXPECT(holds(block, kept, (unsigned)(from * N + to)));
                EXPECT_SOUND(heap);
                EXPECT_EQ(ea_heap_free(heap, block), EA_OK);
                EXPECT_EQ(ea_heap_free(heap, below), EA_OK);
                EXPECT_EQ(ea_heap_free(heap, upper), EA_OK);
                if (!(holes & 1)) EXPECT_EQ(ea_heap_free(heap, lower), EA_OK);
                if (!(holes & 2)) EXPECT_EQ(ea_heap_free(heap, above), EA_OK);
            }
        }
    }
    EXPECT(is_whole(heap));
}

/* --- realloc in three parts ------------------------------------------------------------------- */

TEST(heap_realloc_begin_says_why_not_and_changes_nothing, ROOM)
{
    row_t row = new_row();
    REQUIRE(row.block[4] != NULL);
    ea_heap_t *heap = row.heap;
    ea_heap_move_t move;
    size_t free_bytes = stats_of(heap).free_bytes;
    EXPECT_EQ(ea_heap_realloc_begin(heap, NULL, 0, 10, &move), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_realloc_begin(heap, row.block[1], 0, 0, &move), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_realloc_begin(heap, row.block[1], 24, 10, &move), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_realloc_begin(heap, row.block[1], 0, SIZE_MAX - 3, &move), EA_ERR_TOO_LARGE);
    EXPECT_EQ(ea_heap_realloc_begin(heap, row.block[1], 0, ROOM, &move), EA_ERR_TOO_LARGE);
    EXPECT_EQ(ea_heap_realloc_begin(heap, row.block[1], 0, ROOM - 1000, &move), EA_ERR_NO_MEMORY);
    EXPECT_EQ(stats_of(heap).free_bytes, free_bytes);
#if EA_CFG_CHECK_LEVEL >= 1
    EXPECT_EQ(ea_heap_realloc_begin(heap, row.block[1] + 4, 0, 10, &move), EA_ERR_FOREIGN);
    EXPECT_EQ(ea_heap_free(heap, row.block[1]), EA_OK);
    EXPECT_EQ(ea_heap_realloc_begin(heap, row.block[1], 0, 10, &move), EA_ERR_DOUBLE_FREE);
#endif
    EXPECT_SOUND(heap);
}

/* Between begin and finish another thread frees the blocks all around, allocates and checks. */
static void interrupted(bool below_free, bool above_free, size_t size, size_t alignment)
{
    row_t row = new_row();
    REQUIRE(row.block[4] != NULL);
    ea_heap_t *heap = row.heap;
    if (below_free) EXPECT_EQ(ea_heap_free(heap, row.block[1]), EA_OK);
    if (above_free) EXPECT_EQ(ea_heap_free(heap, row.block[3]), EA_OK);

    ea_heap_move_t move;
    ea_heap_reset_min_free(heap);
    REQUIRE(ea_heap_realloc_begin(heap, row.block[2], alignment, size, &move) == EA_OK);
    EXPECT(move.from == row.block[2]);
    EXPECT((move.copy_bytes == 0) == (move.to == move.from));
    EXPECT(move.copy_bytes <= (size < BIG ? size : cost_of(BIG)));
    EXPECT(holds(row.block[2], BIG, 2));
    EXPECT_SOUND(heap);
    EXPECT(ea_heap_usable_size_bytes(heap, move.to) >= size);
    EXPECT(stats_of(heap).min_free_bytes <= stats_of(heap).free_bytes);

    EXPECT_EQ(ea_heap_free(heap, row.block[0]), EA_OK);
    EXPECT_EQ(ea_heap_free(heap, row.block[4]), EA_OK);
    if (!below_free) EXPECT_EQ(ea_heap_free(heap, row.block[1]), EA_OK);
    char *other[4];
    for (int i = 0; i < 4; i++) {
        other[i] = ea_heap_alloc(heap, 40);
        REQUIRE(other[i] != NULL);
        fill_with(other[i], 40, (unsigned)i);
    }
    EXPECT_SOUND(heap);
    ea_heap_stats_t stats = stats_of(heap);
    EXPECT(stats.min_free_bytes <= stats.free_bytes);

    ea_heap_realloc_move(&move);
    EXPECT_SOUND(heap);
    if (!above_free) EXPECT_EQ(ea_heap_free(heap, row.block[3]), EA_OK);
    EXPECT_EQ(ea_heap_free(heap, other[3]), EA_OK);
    char *block = ea_heap_realloc_finish(heap, &move);
    EXPECT(block == move.to);
    EXPECT_SOUND(heap);
    size_t usable = ea_heap_usable_size_bytes(heap, block);
    EXPECT(usable >= size && usable < size + EA_HEAP_ALIGN + EA_HEAP_MIN_BLOCK_BYTES);
    EXPECT(is_aligned(block, alignment == 0 ? 1 : alignment));
    EXPECT(holds(block, size < BIG ? size : BIG, 2));
    for (int i = 0; i < 3; i++) {
        EXPECT(holds(other[i], 40, (unsigned)i));
        EXPECT_EQ(ea_heap_free(heap, other[i]), EA_OK);
    }
    EXPECT_EQ(ea_heap_free(heap, block), EA_OK);
    EXPECT(is_whole(heap));
    EXPECT_EQ(ea_heap_deinit(heap), 0);
}

/* esp8266/Arduino#6246: a copy inside the critical section stalls interrupts. */
TEST(heap_realloc_in_three_parts_leaves_the_heap_usable_between_them, ROOM)
{
    static const size_t sizes[] = {10, BIG, BIG + 1, BIG + BIG / 2, 2 * BIG, 2 * BIG + BIG / 2};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (int holes = 0; holes < 4; holes++) {
            interrupted(holes & 1, holes & 2, sizes[s], 0);
            if (sizes[s] < 2 * BIG) interrupted(holes & 1, holes & 2, sizes[s], 128);
        }
    }
}

TEST(heap_realloc_begin_does_not_lower_the_watermark_for_what_finish_gives_back, ROOM)
{
#if EA_CFG_HEAP_STATS
    row_t row = new_row();
    REQUIRE(row.block[4] != NULL);
    EXPECT_EQ(ea_heap_free(row.heap, row.block[2]), EA_OK);
    ea_heap_reset_min_free(row.heap);
    size_t before = stats_of(row.heap).free_bytes;
    EXPECT(ea_heap_realloc(row.heap, row.block[1], BIG + EA_HEAP_ALIGN) == row.block[1]);
    EXPECT_EQ(stats_of(row.heap).free_bytes, before - EA_HEAP_ALIGN);
    EXPECT_EQ(stats_of(row.heap).min_free_bytes, before - EA_HEAP_ALIGN);
#endif
}

TEST_MAIN(&heap_aligned_alloc_aligns_and_loses_nothing,
          &heap_aligned_alloc_refuses_what_the_span_cannot_hold,
          &heap_aligned_alloc_takes_a_block_that_holds_it_wherever_it_lies,
          &heap_aligned_alloc_refuses_what_is_no_alignment,
          &heap_realloc_of_null_allocates_and_to_zero_frees,
          &heap_realloc_shrinks_in_place_and_gives_back_the_rest,
          &heap_realloc_grows_forward_in_place, &heap_realloc_grows_backward_before_it_moves_away,
          &heap_realloc_grows_into_both_neighbours,
          &heap_realloc_moves_when_the_neighbours_do_not_suffice,
          &heap_realloc_that_fails_leaves_the_block_alone,
          &heap_realloc_keeps_contents_from_any_size_to_any_size,
          &heap_realloc_begin_says_why_not_and_changes_nothing,
          &heap_realloc_in_three_parts_leaves_the_heap_usable_between_them,
          &heap_realloc_begin_does_not_lower_the_watermark_for_what_finish_gives_back)
