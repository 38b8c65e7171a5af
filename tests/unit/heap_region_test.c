/* SPDX-License-Identifier: MIT
 *
 * The heap's contracts: regions that come, grow, shrink and go.
 */
#include "heap_testing.h"

#define ROOM 10240u
#define OWN 2048u  /* the heap's own memory                      */
#define SPAN 9216u /* ROOM beyond it is out of the heap's reach  */
#define A_AT 3072u /* two places for regions                     */
#define B_AT 6144u
#define REGION 2048u

static ea_heap_t *new_heap(void)
{
    ea_heap_options_t options = {SPAN, EA_FIT_GOOD};
    return ea_heap_init(tap_ram(), OWN, &options);
}

static char *ram(size_t offset)
{
    return (char *)tap_ram() + offset;
}

static size_t take_all(ea_heap_t *heap, size_t size)
{
    size_t n = 0;
    char *block;
    while ((block = ea_heap_alloc(heap, size)) != NULL) {
        memset(block, 0, ea_heap_usable_size_bytes(heap, block));
        n++;
    }
    return n;
}

TEST(heap_add_region_makes_its_memory_available, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    size_t alone = stats_of(heap).total_bytes, max = ea_heap_max_alloc_bytes(heap);
    EXPECT(ea_heap_alloc(heap, max + 1) == NULL);
    REQUIRE(ea_heap_add_region(heap, ram(A_AT), REGION) == EA_OK);
    EXPECT_SOUND(heap);
    ea_heap_stats_t stats = stats_of(heap);
    EXPECT_EQ(stats.n_regions, 2);
    EXPECT(stats.total_bytes > alone + REGION - 64 && stats.total_bytes <= alone + REGION);
    if (EA_CFG_HEAP_STATS) EXPECT_EQ(stats.free_bytes, stats.total_bytes);
    EXPECT(ea_heap_max_alloc_bytes(heap) > max);
    char *block = ea_heap_alloc(heap, ea_heap_max_alloc_bytes(heap));
    EXPECT(block >= ram(A_AT) && block < ram(A_AT + REGION));
    (void)take_all(heap, 20);
    EXPECT_SOUND(heap);
    EXPECT(all_bytes_are(ram(OWN), A_AT - OWN, 0xA5));
    EXPECT(all_bytes_are(ram(A_AT + REGION), ROOM - A_AT - REGION, 0xA5));
}

TEST(heap_add_region_refuses_what_is_out_of_range, ROOM)
{
    /* The heap does not begin where the test's memory does, so that there is a below. */
    ea_heap_options_t options = {SPAN - 1024, EA_FIT_GOOD};
    ea_heap_t *heap = ea_heap_init(ram(1024), OWN, &options);
    REQUIRE(heap != NULL);
    EXPECT_EQ(ea_heap_add_region(heap, ram(0), 1024), EA_ERR_RANGE);
    EXPECT_EQ(ea_heap_add_region(heap, ram(B_AT), SPAN - B_AT + EA_HEAP_ALIGN), EA_ERR_RANGE);
    EXPECT_EQ(ea_heap_add_region(heap, ram(SPAN), 1024), EA_ERR_RANGE);
    EXPECT_EQ(ea_heap_add_region(heap, NULL, 1024), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_add_region(heap, ram(B_AT), 0), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_add_region(heap, ram(B_AT), 16), EA_ERR_INVALID);
    ea_status_t status = ea_heap_add_region(heap, ram(B_AT), SIZE_MAX);
    EXPECT(status == EA_ERR_RANGE || status == EA_ERR_INVALID);
    status = ea_heap_add_region(heap, ram(B_AT), SIZE_MAX - (uintptr_t)ram(B_AT));
    EXPECT(status == EA_ERR_RANGE || status == EA_ERR_INVALID);
    EXPECT_SOUND(heap);
    EXPECT_EQ(stats_of(heap).n_regions, 1);
    EXPECT(all_bytes_are(ram(0), 1024, 0xA5));
    EXPECT(all_bytes_are(ram(1024 + OWN), ROOM - 1024 - OWN, 0xA5));
    EXPECT_EQ(ea_heap_add_region(heap, ram(B_AT), SPAN - B_AT), EA_OK);
}

TEST(heap_add_region_refuses_overlap, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    REQUIRE(ea_heap_add_region(heap, ram(A_AT), REGION) == EA_OK);
    EXPECT_EQ(ea_heap_add_region(heap, ram(OWN - 512), 512), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_add_region(heap, ram(OWN - 512), 1024), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_add_region(heap, ram(A_AT), REGION), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_add_region(heap, ram(A_AT - 64), 128), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_add_region(heap, ram(A_AT - 64), REGION + 256), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_add_region(heap, ram(A_AT + 64), 64), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_add_region(heap, ram(A_AT + REGION - 64), 128), EA_ERR_INVALID);
    EXPECT_SOUND(heap);
    EXPECT_EQ(stats_of(heap).n_regions, 2);
}

TEST(heap_regions_that_touch_stay_apart, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    REQUIRE(ea_heap_add_region(heap, ram(OWN + REGION), REGION) == EA_OK);
    REQUIRE(ea_heap_add_region(heap, ram(OWN), REGION) == EA_OK);
    EXPECT_SOUND(heap);
    EXPECT_EQ(stats_of(heap).n_regions, 3);
    EXPECT(ea_heap_max_alloc_bytes(heap) < REGION);
    (void)take_all(heap, 50);
    EXPECT_SOUND(heap);
    ea_heap_reset(heap);
    EXPECT_SOUND(heap);
    EXPECT_EQ(stats_of(heap).n_regions, 3);
    EXPECT_EQ(ea_heap_remove_region(heap, ram(OWN), NULL), EA_OK);
    EXPECT_SOUND(heap);
    EXPECT_EQ(stats_of(heap).n_regions, 2);
    EXPECT_EQ(ea_heap_remove_region(heap, ram(OWN + REGION), NULL), EA_OK);
    EXPECT_EQ(stats_of(heap).n_regions, 1);
    EXPECT_SOUND(heap);
}

TEST(heap_remove_region_in_use_says_how_many_blocks_live_there, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    size_t alone = stats_of(heap).total_bytes, n_live = 99;
    REQUIRE(ea_heap_add_region(heap, ram(A_AT), REGION) == EA_OK);
    void *in_a[64];
    size_t n = 0;
    for (char *block; (block = ea_heap_alloc(heap, 60)) != NULL;) {
        if (block > ram(A_AT)) in_a[n++] = block;
    }
    REQUIRE(n > 3);
    for (size_t left = n; left > 0; left--) {
        ea_heap_stats_t before = stats_of(heap);
        EXPECT_EQ(ea_heap_remove_region(heap, ram(A_AT), &n_live), EA_ERR_BUSY);
        EXPECT_EQ(n_live, left);
        EXPECT_EQ(ea_heap_remove_region(heap, ram(A_AT), NULL), EA_ERR_BUSY);
        EXPECT_EQ(stats_of(heap).free_bytes, before.free_bytes);
        EXPECT_SOUND(heap);
        size_t victim = left * 5 / 7 % left;
        EXPECT_EQ(ea_heap_free(heap, in_a[victim]), EA_OK);
        in_a[victim] = in_a[left - 1];
    }
    EXPECT_EQ(ea_heap_remove_region(heap, ram(A_AT), &n_live), EA_OK);
    EXPECT_EQ(n_live, 0);
    EXPECT_EQ(stats_of(heap).total_bytes, alone);
    ea_heap_reset(heap);
    if (EA_CFG_HEAP_STATS) EXPECT_EQ(stats_of(heap).free_bytes, alone);
    EXPECT(stats_of(heap).min_free_bytes <= stats_of(heap).free_bytes);
    EXPECT_EQ(ea_heap_remove_region(heap, ram(A_AT), &n_live), EA_ERR_NOT_FOUND);
    memset(ram(A_AT), 0x5A, REGION);
    EXPECT_SOUND(heap);
    (void)take_all(heap, 30);
    EXPECT(all_bytes_are(ram(A_AT), REGION, 0x5A));
    EXPECT_SOUND(heap);
}

TEST(heap_remove_region_never_takes_the_control_structure, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    size_t n_live = 99;
    EXPECT_EQ(ea_heap_remove_region(heap, ram(0), &n_live), EA_ERR_BUSY);
    EXPECT_EQ(n_live, 0);
    EXPECT(ea_heap_alloc(heap, 10) != NULL);
    EXPECT_EQ(ea_heap_remove_region(heap, ram(0), &n_live), EA_ERR_BUSY);
    EXPECT_EQ(n_live, 1);
    EXPECT_EQ(ea_heap_remove_region(heap, ram(64), &n_live), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_heap_remove_region(heap, ram(A_AT), &n_live), EA_ERR_NOT_FOUND);
    EXPECT_SOUND(heap);
}

TEST(heap_regions_come_and_go_in_any_order_at_any_address, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    size_t alone = stats_of(heap).total_bytes;
    for (size_t offset = 0; offset < 17; offset++) {
        for (int order = 0; order < 4; order++) {
            char *low = ram(A_AT + offset), *high = ram(B_AT + offset);
            REQUIRE(ea_heap_add_region(heap, order & 1 ? low : high, 999) == EA_OK);
            REQUIRE(ea_heap_add_region(heap, order & 1 ? high : low, 999) == EA_OK);
            EXPECT_SOUND(heap);
            (void)take_all(heap, 100);
            EXPECT(all_bytes_are(ram(OWN), A_AT + offset - OWN, 0xA5));
            EXPECT(all_bytes_are(low + 999, B_AT - A_AT - 999, 0xA5));
            EXPECT(all_bytes_are(high + 999, ROOM - B_AT - offset - 999, 0xA5));
            ea_heap_reset(heap);
            EXPECT_EQ(ea_heap_remove_region(heap, order & 2 ? low : high, NULL), EA_OK);
            EXPECT_SOUND(heap);
            EXPECT_EQ(ea_heap_remove_region(heap, order & 2 ? high : low, NULL), EA_OK);
            EXPECT_SOUND(heap);
            memset(ram(A_AT), 0xA5, ROOM - A_AT);
        }
    }
    EXPECT_EQ(stats_of(heap).total_bytes, alone);
    EXPECT(is_whole(heap));
}

TEST(heap_grow_adds_to_the_end_of_a_region, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    REQUIRE(ea_heap_add_region(heap, ram(B_AT), 512) == EA_OK);
    size_t total = stats_of(heap).total_bytes;
    char *last = ea_heap_alloc(heap, ea_heap_max_alloc_bytes(heap));
    REQUIRE(last != NULL);
    /* Behind a used block, where 8 bytes more are no block; then merging with the free one that
     * made. */
    EXPECT_EQ(ea_heap_grow(heap, ram(0), OWN + 8), EA_ERR_INVALID);
    EXPECT_SOUND(heap);
    EXPECT_EQ(ea_heap_grow(heap, ram(0), OWN + 256), EA_OK);
    EXPECT_SOUND(heap);
    EXPECT_EQ(stats_of(heap).total_bytes, total + 256);
    EXPECT_EQ(ea_heap_grow(heap, ram(0), OWN + 264), EA_HEAP_ALIGN == 8 ? EA_OK : EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_grow(heap, ram(0), OWN + 1024), EA_OK);
    EXPECT_SOUND(heap);
    EXPECT_EQ(stats_of(heap).total_bytes, total + 1024);
    if (EA_CFG_HEAP_STATS) EXPECT(stats_of(heap).free_bytes >= 1024 && stats_of(heap).n_live == 1);
    char *block = ea_heap_alloc(heap, 1024 - EA_HEAP_OVERHEAD_BYTES);
    EXPECT(block > last && block < ram(OWN + 1024));
    EXPECT(all_bytes_are(ram(OWN + 1024), B_AT - OWN - 1024, 0xA5));

    EXPECT_EQ(ea_heap_grow(heap, ram(B_AT), 1024), EA_OK);
    EXPECT_EQ(ea_heap_grow(heap, ram(B_AT), SPAN - B_AT), EA_OK);
    EXPECT_SOUND(heap);
    block = ea_heap_alloc(heap, SPAN - B_AT - 64);
    EXPECT(block > ram(B_AT));
    EXPECT(all_bytes_are(ram(SPAN), ROOM - SPAN, 0xA5));
}

TEST(heap_grow_refuses_what_is_no_growth_or_out_of_range, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    REQUIRE(ea_heap_add_region(heap, ram(A_AT), REGION) == EA_OK);
    EXPECT_EQ(ea_heap_grow(heap, ram(64), OWN + 64), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_heap_grow(heap, ram(0), OWN), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_grow(heap, ram(0), OWN - 512), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_grow(heap, ram(0), 0), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_grow(heap, ram(0), A_AT + 64), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_grow(heap, ram(A_AT), SPAN - A_AT + EA_HEAP_ALIGN), EA_ERR_RANGE);
    EXPECT_EQ(ea_heap_grow(heap, ram(A_AT), SPAN - A_AT + 1), EA_ERR_RANGE); /* rounds to nothing */
    ea_status_t status = ea_heap_grow(heap, ram(A_AT), SIZE_MAX);
    EXPECT(status == EA_ERR_RANGE || status == EA_ERR_INVALID);
    EXPECT_SOUND(heap);
    EXPECT(all_bytes_are(ram(OWN), A_AT - OWN, 0xA5));
    EXPECT(all_bytes_are(ram(A_AT + REGION), ROOM - A_AT - REGION, 0xA5));
    EXPECT_EQ(ea_heap_grow(heap, ram(0), A_AT), EA_OK);
    EXPECT_SOUND(heap);
}

TEST(heap_shrink_refuses_while_a_block_lives_in_what_would_go, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    size_t total = stats_of(heap).total_bytes;
    char *low = ea_heap_alloc(heap, 100), *middle = ea_heap_alloc(heap, BIG);
    REQUIRE(low != NULL && middle != NULL);
    size_t keep = (size_t)(middle - ram(0)) + BIG;
    EXPECT_EQ(ea_heap_shrink(heap, ram(0), keep - BIG / 2), EA_ERR_BUSY);
    EXPECT_EQ(ea_heap_shrink(heap, ram(0), OWN), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_shrink(heap, ram(0), OWN + 64), EA_ERR_INVALID);
    EXPECT_EQ(ea_heap_shrink(heap, ram(64), OWN - 128), EA_ERR_NOT_FOUND);
    EXPECT(ea_heap_shrink(heap, ram(0), 0) != EA_OK);
    EXPECT(ea_heap_shrink(heap, ram(0), 64) != EA_OK);
    EXPECT_EQ(stats_of(heap).total_bytes, total);
    EXPECT_SOUND(heap);

    EXPECT_EQ(ea_heap_shrink(heap, ram(0), keep + 64), EA_OK);
    EXPECT_SOUND(heap);
    EXPECT(stats_of(heap).total_bytes < total);
    memset(ram(keep + 64), 0x5A, ROOM - keep - 64);
    EXPECT_EQ(ea_heap_free(heap, middle), EA_OK);
    EXPECT_EQ(ea_heap_shrink(heap, ram(0), keep - BIG / 2), EA_OK);
    EXPECT_SOUND(heap);
    (void)take_all(heap, 12);
    EXPECT_SOUND(heap);
    EXPECT(all_bytes_are(ram(keep + 64), ROOM - keep - 64, 0x5A));
    EXPECT_EQ(ea_heap_grow(heap, ram(0), OWN), EA_OK);
    EXPECT_SOUND(heap);
    EXPECT_EQ(stats_of(heap).total_bytes, total);
}

TEST(heap_shrinks_and_grows_by_every_amount, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    size_t total = stats_of(heap).total_bytes;
    for (int used_end = 0; used_end < 2; used_end++) {
        /* With used_end the free end begins right behind a block. */
        void *block = NULL;
        if (used_end) block = ea_heap_alloc(heap, ea_heap_largest_free_bytes(heap) - 150);
        size_t refused = 0;
        for (size_t by = 1; by < 256; by++) {
            if (ea_heap_shrink(heap, ram(0), OWN - by) != EA_OK) refused++;
            EXPECT_SOUND(heap);
            if (stats_of(heap).total_bytes != total) {
                EXPECT_EQ(ea_heap_grow(heap, ram(0), OWN), EA_OK);
            }
            EXPECT_SOUND(heap);
            EXPECT_EQ(stats_of(heap).total_bytes, total);
        }
        EXPECT(refused < (used_end ? 150u : 2 * EA_HEAP_ALIGN));
        EXPECT_EQ(ea_heap_free(heap, block), EA_OK);
    }
    EXPECT(is_whole(heap));
}

TEST(heap_shrinks_to_a_region_of_one_block_and_no_further, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    size_t alone = stats_of(heap).total_bytes;
    REQUIRE(ea_heap_add_region(heap, ram(A_AT), REGION) == EA_OK);
    char *first = ea_heap_alloc(heap, ea_heap_max_alloc_bytes(heap));
    REQUIRE(first > ram(A_AT) && first < ram(A_AT + 64));
    EXPECT_EQ(ea_heap_free(heap, first), EA_OK);
    size_t least = (size_t)(first - ram(A_AT)) + EA_HEAP_MIN_BLOCK_BYTES;
    EXPECT_EQ(ea_heap_shrink(heap, ram(A_AT), least - 1), EA_ERR_INVALID);
    EXPECT_EQ(stats_of(heap).total_bytes, alone + REGION - (size_t)(first - ram(A_AT)));
    EXPECT_EQ(ea_heap_shrink(heap, ram(A_AT), least), EA_OK);
    EXPECT_EQ(stats_of(heap).total_bytes, alone + EA_HEAP_MIN_BLOCK_BYTES);
    EXPECT_SOUND(heap);
    ea_heap_reset(heap);
    EXPECT_SOUND(heap);
    EXPECT_EQ(ea_heap_grow(heap, ram(A_AT), REGION), EA_OK);
    EXPECT_EQ(ea_heap_remove_region(heap, ram(A_AT), NULL), EA_OK);
    EXPECT(is_whole(heap));
}

TEST(heap_min_free_counts_memory_that_left, ROOM)
{
#if EA_CFG_HEAP_STATS
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    void *block[2];
    for (int i = 0; i < 2; i++) block[i] = ea_heap_alloc(heap, 200);
    REQUIRE(block[1] != NULL && ea_heap_add_region(heap, ram(A_AT), REGION) == EA_OK);
    ea_heap_reset_min_free(heap);
    for (int i = 0; i < 2; i++) {
        size_t before = stats_of(heap).free_bytes;
        EXPECT_EQ(i == 0 ? ea_heap_remove_region(heap, ram(A_AT), NULL)
                         : ea_heap_shrink(heap, ram(0), OWN - 512),
                  EA_OK);
        size_t lowest = stats_of(heap).free_bytes;
        EXPECT(lowest < before);
        EXPECT_EQ(stats_of(heap).min_free_bytes, lowest);
        EXPECT_EQ(ea_heap_free(heap, block[i]), EA_OK);
        EXPECT_EQ(stats_of(heap).free_bytes, lowest + cost_of(200));
        EXPECT_EQ(stats_of(heap).min_free_bytes, lowest);
    }
#endif
}

TEST_MAIN(&heap_add_region_makes_its_memory_available,
          &heap_add_region_refuses_what_is_out_of_range, &heap_add_region_refuses_overlap,
          &heap_regions_that_touch_stay_apart,
          &heap_remove_region_in_use_says_how_many_blocks_live_there,
          &heap_remove_region_never_takes_the_control_structure,
          &heap_regions_come_and_go_in_any_order_at_any_address,
          &heap_grow_adds_to_the_end_of_a_region,
          &heap_grow_refuses_what_is_no_growth_or_out_of_range,
          &heap_shrink_refuses_while_a_block_lives_in_what_would_go,
          &heap_shrinks_and_grows_by_every_amount,
          &heap_shrinks_to_a_region_of_one_block_and_no_further,
          &heap_min_free_counts_memory_that_left)
