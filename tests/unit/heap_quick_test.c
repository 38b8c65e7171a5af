/* SPDX-License-Identifier: MIT
 *
 * Quick lists: what is counted, how they fill themselves, and how they empty. In other profiles the
 * same calls have the same results, but for the watermark.
 */
#include "heap_testing.h"

#define ROOM 4096
#define FAR_ROOM (40 * 1024)
#define DEPTH 32 /* frees that one list takes */

static ea_heap_t *new_heap(size_t size_bytes)
{
    return ea_heap_init(tap_ram(), size_bytes, NULL);
}

/* Free memory outside the quick lists. */
static size_t bytes_in_bins(const ea_heap_t *heap)
{
    ea_heap_bin_t bins[EA_HEAP_MAX_BINS];
    size_t n = ea_heap_histogram(heap, bins, EA_HEAP_MAX_BINS), bytes = 0;
    for (size_t i = 0; i < n; i++) bytes += bins[i].bytes;
    return bytes;
}

TEST(heap_counts_are_exact_with_blocks_in_quick_lists, ROOM)
{
#if EA_CFG_HEAP_STATS
    ea_heap_t *heap = new_heap(ROOM);
    REQUIRE(heap != NULL);
    size_t all = stats_of(heap).free_bytes, n_allocs = 0;
    for (size_t n = 1; n < 200; n += 7) {
        void *a = ea_heap_alloc(heap, n), *b = ea_heap_alloc(heap, n);
        REQUIRE(a != NULL && b != NULL);
        n_allocs += 2;
        ea_heap_stats_t now = stats_of(heap);
        EXPECT_EQ(now.n_live, 2);
        EXPECT_EQ(now.n_allocs, n_allocs);
        EXPECT_EQ(now.n_frees, n_allocs - 2);
        EXPECT_EQ(now.free_bytes, all - ea_heap_usable_size_bytes(heap, a) -
                                      ea_heap_usable_size_bytes(heap, b) -
                                      2 * EA_HEAP_OVERHEAD_BYTES);
        EXPECT_EQ(ea_heap_free(heap, a), EA_OK);
        EXPECT_EQ(stats_of(heap).n_live, 1);
        EXPECT_EQ(ea_heap_free(heap, b), EA_OK);
        now = stats_of(heap);
        EXPECT_EQ(now.n_live, 0);
        EXPECT_EQ(now.n_frees, n_allocs);
        EXPECT_EQ(now.free_bytes, all);
    }
    EXPECT_SOUND(heap);
    ea_heap_reset(heap);
    EXPECT_EQ(stats_of(heap).n_allocs, n_allocs);
    EXPECT_EQ(stats_of(heap).n_frees, n_allocs);
    EXPECT_EQ(stats_of(heap).free_bytes, all);
    EXPECT(is_whole(heap));
#endif
}

/* What the lists keep counts as taken in the watermark, and as free in free_bytes. */
TEST(heap_watermark_is_the_least_that_was_free_outside_quick_lists, ROOM)
{
#if EA_CFG_HEAP_STATS
    ea_heap_t *heap = new_heap(ROOM);
    REQUIRE(heap != NULL);
    size_t all = stats_of(heap).free_bytes, small = cost_of(100), other = cost_of(200);
    void *a = ea_heap_alloc(heap, 100), *b = ea_heap_alloc(heap, 100);
    EXPECT_EQ(stats_of(heap).min_free_bytes, all - 2 * small);
    EXPECT_EQ(ea_heap_free(heap, a), EA_OK);
    EXPECT_EQ(ea_heap_free(heap, b), EA_OK);
    a = ea_heap_alloc(heap, 200);
    EXPECT_EQ(stats_of(heap).free_bytes, all - other);
    EXPECT_EQ(stats_of(heap).min_free_bytes,
              HAS_QUICK_LISTS ? all - 2 * small - other : all - 2 * small);
    ea_heap_reset_min_free(heap);
    EXPECT_EQ(stats_of(heap).min_free_bytes, bytes_in_bins(heap));
    b = ea_heap_alloc(heap, 100);
    EXPECT_EQ(stats_of(heap).min_free_bytes, bytes_in_bins(heap));
    EXPECT_EQ(ea_heap_free(heap, a), EA_OK);
    EXPECT_EQ(ea_heap_free(heap, b), EA_OK);
#endif
}

#if EA_CFG_CHECK_LEVEL >= 1
TEST(heap_finds_a_second_free_of_every_block_in_a_quick_list, ROOM)
{
    ea_heap_t *heap = new_heap(ROOM);
    REQUIRE(heap != NULL);
    unsigned char *blocks[DEPTH];
    for (int i = 0; i < DEPTH; i++) blocks[i] = ea_heap_alloc(heap, 40);
    REQUIRE(blocks[DEPTH - 1] != NULL);
    for (int i = 0; i < DEPTH; i++) {
        EXPECT_EQ(ea_heap_free(heap, blocks[i]), EA_OK);
        for (int k = 0; k <= i; k++) EXPECT_EQ(ea_heap_free(heap, blocks[k]), EA_ERR_DOUBLE_FREE);
    }
    EXPECT(ea_heap_realloc(heap, blocks[0], 20) == NULL);
    unsigned char *used = ea_heap_alloc(heap, 60);
    REQUIRE(used != NULL);
    uint32_t header = 32; /* what would pass for one, in a place that is none */
    for (size_t at = 0; at < 60; at += sizeof header) memcpy(used + at, &header, sizeof header);
    for (size_t at = 1; at < EA_HEAP_ALIGN; at++)
        EXPECT_EQ(ea_heap_free(heap, used + at), EA_ERR_FOREIGN);
    EXPECT_SOUND(heap);
    if (EA_CFG_HEAP_STATS) EXPECT_EQ(stats_of(heap).n_frees, DEPTH);
}
#endif

/* More frees than a list takes go to the bins, and all of them merge when memory is needed. */
TEST(heap_empties_its_quick_lists_when_a_request_needs_it, ROOM)
{
    ea_heap_t *heap = new_heap(ROOM);
    REQUIRE(heap != NULL);
    void *blocks[2 * DEPTH];
    int n = 0;
    while (n < 2 * DEPTH && (blocks[n] = ea_heap_alloc(heap, 20)) != NULL) n++;
    REQUIRE(n == 2 * DEPTH);
    for (int i = 0; i < n; i++) EXPECT_EQ(ea_heap_free(heap, blocks[i]), EA_OK);
    EXPECT_SOUND(heap);
#if EA_CFG_HEAP_STATS
    EXPECT_EQ(stats_of(heap).free_bytes - bytes_in_bins(heap),
              HAS_QUICK_LISTS ? DEPTH * cost_of(20) : 0);
#endif
    EXPECT(is_whole(heap));
    EXPECT_EQ(bytes_in_bins(heap), ea_heap_max_alloc_bytes(heap) + EA_HEAP_OVERHEAD_BYTES);
    EXPECT_SOUND(heap);
    for (int i = 0; i < 10; i++) blocks[i] = ea_heap_alloc(heap, 20);
    for (int i = 0; i < 10; i++) EXPECT_EQ(ea_heap_free(heap, blocks[i]), EA_OK);
    ea_heap_reset(heap); /* so does a reset */
    EXPECT_SOUND(heap);
    EXPECT_EQ(bytes_in_bins(heap), ea_heap_max_alloc_bytes(heap) + EA_HEAP_OVERHEAD_BYTES);
    for (int i = 0; i < 10; i++) EXPECT_EQ(ea_heap_free(heap, ea_heap_alloc(heap, 20)), EA_OK);
    EXPECT_EQ(ea_heap_deinit(heap), 0);
}

/* A small block cut from much free memory brings others of its size along: they are free to all
 * who look, and no one's until they are asked for. */
TEST(heap_fills_a_quick_list_from_a_large_block, FAR_ROOM)
{
    ea_heap_t *heap = new_heap(FAR_ROOM);
    REQUIRE(heap != NULL);
    size_t in_bins = bytes_in_bins(heap);
    for (size_t n = 1; n < 300; n += 20) {
        ea_heap_reset(heap);
        ea_heap_stats_t before = stats_of(heap);
        char *first = ea_heap_alloc(heap, n);
        REQUIRE(first != NULL);
        size_t size = ea_heap_usable_size_bytes(heap, first) + EA_HEAP_OVERHEAD_BYTES;
        size_t run = HAS_QUICK_LISTS && size <= 256 ? 2048 / size * size : size;
        EXPECT_EQ(size, cost_of(n));
        EXPECT_EQ(in_bins - bytes_in_bins(heap), run);
#if EA_CFG_HEAP_STATS
        ea_heap_stats_t after = stats_of(heap);
        EXPECT_EQ(after.n_allocs, before.n_allocs + 1);
        EXPECT_EQ(after.n_frees, before.n_frees);
        EXPECT_EQ(after.n_live, 1);
        EXPECT_EQ(after.free_bytes, before.free_bytes - size);
#else
        (void)before;
#endif
        EXPECT_SOUND(heap);
        if (run > size) {
            if (EA_CFG_CHECK_LEVEL >= 1)
                EXPECT_EQ(ea_heap_free(heap, first + size), EA_ERR_DOUBLE_FREE);
            for (size_t at = size; at < run; at += size)
                EXPECT(ea_heap_alloc(heap, n) == first + at); /* upwards */
        }
        EXPECT_SOUND(heap);
    }
    ea_heap_reset(heap);
    EXPECT(is_whole(heap));
}

TEST_MAIN(&heap_counts_are_exact_with_blocks_in_quick_lists,
          &heap_watermark_is_the_least_that_was_free_outside_quick_lists,
#if EA_CFG_CHECK_LEVEL >= 1
          &heap_finds_a_second_free_of_every_block_in_a_quick_list,
#endif
          &heap_empties_its_quick_lists_when_a_request_needs_it,
          &heap_fills_a_quick_list_from_a_large_block)
