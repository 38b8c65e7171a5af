/* SPDX-License-Identifier: MIT
 *
 * Where blocks come to lie, as docs/heap.md says of each profile. Fragmentation rests on it and no
 * other test would notice a change: every placement is a correct heap.
 */
#include "heap_testing.h"

#define ROOM 12000u

#define IS_DEFAULT (EA_CFG_HEAP_PROFILE == 0)
#define IS_TINY (EA_CFG_HEAP_PROFILE == 3)

/* Requests that quick lists serve lie where their own rules put them. */
#define GUARD (HAS_QUICK_LISTS ? BIG : 1u)

/* Blocks one above the other at the low end of a new heap, each with a guard above it that
 * keeps it from merging. */
#define MAX_HOLES 4
typedef struct {
    ea_heap_t *heap;
    char *at[MAX_HOLES];
} holes_t;

static holes_t new_blocks(const size_t *sizes, int n)
{
    holes_t h = {ea_heap_init(tap_ram(), ROOM, NULL), {NULL}};
    for (int i = 0; i < n && h.heap != NULL; i++) {
        h.at[i] = ea_heap_alloc(h.heap, sizes[i]);
        if (h.at[i] == NULL || ea_heap_alloc(h.heap, GUARD) == NULL) h.heap = NULL;
    }
    return h;
}

static void make_hole(holes_t *h, int i)
{
    EXPECT_EQ(ea_heap_free(h->heap, h->at[i]), EA_OK);
}

/* --- which of several that fit ---------------------------------------------------------------- */

/* The list of one bin as the profile keeps it, first to last. */
static void reference_insert(char **list, int n, char *block)
{
    bool last = IS_TINY || (IS_DEFAULT && n > 0 && block > list[0]);
    if (!last) memmove(&list[1], &list[0], (size_t)n * sizeof list[0]);
    list[last ? n : 0] = block;
}

TEST(heap_reuses_blocks_of_one_size_in_the_order_of_its_profile, ROOM)
{
    static const size_t sizes[] = {BIG, BIG, BIG, BIG};
    for (int order = 0; order < 4 * 4 * 4 * 4; order++) {
        int turn[4] = {order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6};
        unsigned all = 1u << turn[0] | 1u << turn[1] | 1u << turn[2] | 1u << turn[3];
        if (all != 15) continue; /* not a permutation */
        holes_t h = new_blocks(sizes, 4);
        REQUIRE(h.heap != NULL);
        char *want[4];
        for (int i = 0; i < 4; i++) {
            make_hole(&h, turn[i]);
            reference_insert(want, i, h.at[turn[i]]);
        }
        for (int i = 0; i < 4; i++) EXPECT(ea_heap_alloc(h.heap, BIG) == want[i]);
    }
}

/* The first block of the request's own bin is too small, the last is not, whoever came first. */
TEST(heap_looks_at_both_ends_of_the_bin_of_a_request, ROOM)
{
    static const size_t sizes[] = {66 * EA_HEAP_ALIGN - 4, 78 * EA_HEAP_ALIGN - 4};
    for (int first = 0; first < 2; first++) {
        holes_t h = new_blocks(sizes, 2);
        REQUIRE(h.heap != NULL);
        make_hole(&h, first);
        make_hole(&h, 1 - first);
        EXPECT(ea_heap_alloc(h.heap, BIG) == h.at[1]);
    }
}

/* --- what a split leaves over ----------------------------------------------------------------- */

/* A hole lies below another that is as large as its upper part. A request for its lower part, which
 * the other cannot serve, cuts it; what is left and the other are in one bin then. The hole is made
 * of several blocks, since a large one would not lie low. */
static void cut_below_a_whole_block(size_t part, int n_parts, size_t rest)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), ROOM, NULL);
    REQUIRE(heap != NULL);
    char *parts[8];
    for (int i = 0; i <= n_parts; i++) {
        parts[i] = ea_heap_alloc(heap, i < n_parts ? part : rest);
        REQUIRE(parts[i] != NULL);
    }
    REQUIRE(ea_heap_alloc(heap, GUARD) != NULL);
    char *whole = ea_heap_alloc(heap, rest);
    REQUIRE(whole != NULL && ea_heap_alloc(heap, GUARD) != NULL);
    for (int i = 0; i <= n_parts; i++) EXPECT_EQ(ea_heap_free(heap, parts[i]), EA_OK);
    EXPECT_EQ(ea_heap_free(heap, whole), EA_OK);

    size_t cut = (size_t)n_parts * cost_of(part);
    bool high = IS_DEFAULT && cut >= 2048;
    EXPECT(ea_heap_alloc(heap, cut - EA_HEAP_OVERHEAD_BYTES) ==
           parts[0] + (high ? cost_of(rest) : 0));
    EXPECT(ea_heap_alloc(heap, rest) == whole);
    EXPECT(ea_heap_alloc(heap, rest) == parts[0] + (high ? 0 : cut));
    EXPECT_SOUND(heap);
}

TEST(heap_uses_whole_blocks_before_what_a_split_left_over, ROOM)
{
    cut_below_a_whole_block(BIG + BIG / 2, 1, BIG);
    cut_below_a_whole_block(BIG, (int)(2048 / cost_of(BIG)) + 1, BIG); /* a large one */
}

/* --- small ones low, large ones high ---------------------------------------------------------- */

/* Where a request goes, given a hole of each size in ascending order of address. */
static int hole_for(size_t request, size_t low, size_t high)
{
    const size_t sizes[] = {low, high};
    holes_t h = new_blocks(sizes, 2);
    if (h.heap == NULL) return -1;
    make_hole(&h, 0);
    make_hole(&h, 1);
    char *block = ea_heap_alloc(h.heap, request);
    return block == h.at[0] ? 0 : block == h.at[1] ? 1 : -1;
}

TEST(heap_cuts_small_blocks_from_the_lower_of_two_holes, ROOM)
{
    if (HAS_QUICK_LISTS) return;
    /* The largest small block, and the smallest that is none, their overhead included. */
    size_t small = 128 - EA_HEAP_ALIGN - EA_HEAP_OVERHEAD_BYTES,
           other = 128 - EA_HEAP_OVERHEAD_BYTES;
    size_t tight = 70 * EA_HEAP_ALIGN - 4, wide = 90 * EA_HEAP_ALIGN - 4;
    EXPECT_EQ(hole_for(small, wide, tight), IS_DEFAULT ? 0 : 1);
    EXPECT_EQ(hole_for(other, wide, tight), 1);
    EXPECT_EQ(hole_for(small, tight, wide), 0);
    EXPECT_EQ(hole_for(other, tight, wide), 0);
    EXPECT_EQ(hole_for(1, wide, tight), IS_DEFAULT ? 0 : 1);
}

/* Holes one granule too large for the least block at the low end, n of them, and above them a
 * larger one: is that the one that a request for the least block cuts? */
static bool cuts_the_larger(int n, size_t larger)
{
    size_t sizes[MAX_HOLES] = {0};
    for (int i = 0; i <= n; i++) {
        sizes[i] =
            (i < n ? EA_HEAP_MIN_BLOCK_BYTES + EA_HEAP_ALIGN : larger) - EA_HEAP_OVERHEAD_BYTES;
    }
    holes_t h = new_blocks(sizes, n + 1);
    EXPECT(h.heap != NULL);
    if (h.heap == NULL) return false;
    for (int i = 0; i <= n; i++) make_hole(&h, i);
    return ea_heap_alloc(h.heap, 1) == h.at[n];
}

TEST(heap_spares_a_hole_whose_rest_would_be_lost, ROOM)
{
    if (HAS_QUICK_LISTS) return;
    bool spares = IS_DEFAULT && EA_HEAP_ALIGN < EA_HEAP_MIN_BLOCK_BYTES;
    EXPECT_EQ(cuts_the_larger(1, 40), spares); /* it is the last of its size */
    EXPECT_EQ(cuts_the_larger(2, 40), false);
    EXPECT_EQ(cuts_the_larger(1, 48), spares);
    EXPECT_EQ(cuts_the_larger(2, 48), spares); /* the other is large enough to cut */
    EXPECT_EQ(cuts_the_larger(2, 512), spares);
}

TEST(heap_takes_a_block_of_the_right_size_before_it_cuts_a_lower_one, ROOM)
{
    static const size_t small[] = {1, 28, 60, 100};
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) {
        EXPECT_EQ(hole_for(small[i], BIG, small[i]), 1);
        EXPECT_EQ(hole_for(small[i], small[i], BIG), 0);
    }
}

TEST(heap_cuts_large_blocks_from_the_high_end, ROOM)
{
    for (size_t size = 2048 - EA_HEAP_ALIGN; size <= 2048; size += EA_HEAP_ALIGN) {
        ea_heap_t *heap = ea_heap_init(tap_ram(), ROOM, NULL);
        REQUIRE(heap != NULL);
        char *lowest = ea_heap_alloc(heap, BIG);
        REQUIRE(lowest != NULL);
        EXPECT_EQ(ea_heap_free(heap, lowest), EA_OK);
        char *end = lowest + stats_of(heap).total_bytes;
        char *first = ea_heap_alloc(heap, size - EA_HEAP_OVERHEAD_BYTES);
        char *second = ea_heap_alloc(heap, size - EA_HEAP_OVERHEAD_BYTES);
        bool high = IS_DEFAULT && size >= 2048;
        EXPECT(first == (high ? end - size : lowest));
        EXPECT(second == (high ? end - 2 * size : lowest + size));
        EXPECT_SOUND(heap);
        EXPECT(ea_heap_alloc(heap, BIG) == (high ? lowest : lowest + 2 * size));
    }
}

TEST(heap_takes_what_lives_long_from_the_high_end_of_the_largest_block, ROOM)
{
    static const size_t sizes[] = {BIG, 3 * BIG, BIG};
    holes_t h = new_blocks(sizes, 3);
    REQUIRE(h.heap != NULL);
    size_t rest = ea_heap_largest_free_bytes(h.heap);
    if (rest > 2 * BIG) REQUIRE(ea_heap_alloc(h.heap, rest - 2 * BIG) != NULL);
    for (int i = 0; i < 3; i++) make_hole(&h, i);
    char *end = h.at[1] + ea_heap_largest_free_bytes(h.heap);
    char *one = ea_heap_alloc_high(h.heap, 40), *two = ea_heap_alloc_high(h.heap, BIG);
    REQUIRE(one && two);
    EXPECT(one + ea_heap_usable_size_bytes(h.heap, one) == end);
    EXPECT(two + ea_heap_usable_size_bytes(h.heap, two) + EA_HEAP_OVERHEAD_BYTES == one);
    EXPECT_SOUND(h.heap);
    EXPECT(ea_heap_alloc_high(h.heap, 0) == NULL);
    EXPECT(ea_heap_alloc_high(h.heap, SIZE_MAX) == NULL);
    size_t most = ea_heap_largest_free_bytes(h.heap);
    EXPECT(ea_heap_alloc_high(h.heap, most + EA_HEAP_ALIGN) == NULL);
    char *all = ea_heap_alloc_high(h.heap, most); /* the whole block */
    REQUIRE(all != NULL);
    EXPECT_SOUND(h.heap);
    EXPECT_EQ(ea_heap_free(h.heap, two), EA_OK);
    EXPECT_EQ(ea_heap_free(h.heap, one), EA_OK);
    EXPECT_EQ(ea_heap_free(h.heap, all), EA_OK);
    EXPECT_SOUND(h.heap);
}

TEST_MAIN(&heap_reuses_blocks_of_one_size_in_the_order_of_its_profile,
          &heap_looks_at_both_ends_of_the_bin_of_a_request,
          &heap_uses_whole_blocks_before_what_a_split_left_over,
          &heap_cuts_small_blocks_from_the_lower_of_two_holes,
          &heap_spares_a_hole_whose_rest_would_be_lost,
          &heap_takes_a_block_of_the_right_size_before_it_cuts_a_lower_one,
          &heap_cuts_large_blocks_from_the_high_end,
          &heap_takes_what_lives_long_from_the_high_end_of_the_largest_block)
