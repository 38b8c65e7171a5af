/* SPDX-License-Identifier: MIT
 *
 * The allocator's requests, regions and fallback order (rows A1, A2, A3, A10, A12).
 */
#include "allocator_testing.h"

static ea_allocator_t a;

/* --- life ------------------------------------------------------------------------------------- */

TEST(allocator_init_refuses_what_is_not_possible, 0)
{
    EXPECT_EQ(ea_allocator_init(NULL, NULL), EA_ERR_INVALID);
    const ea_allocator_options_t call_nobody = {.damage = EA_GUARD_CALL};
    EXPECT_EQ(init(&a, &call_nobody), EA_ERR_INVALID);
    const ea_allocator_options_t no_book = {.strict_owner = true};
    EXPECT_EQ(init(&a, &no_book), EA_ERR_INVALID);
#if EA_CFG_ALLOC_LOCKING == 3
    EXPECT_EQ(ea_allocator_init(&a, NULL), EA_ERR_INVALID);
    const ea_allocator_options_t no_lock = {.lock_ops = &lock_ops_of_tests};
    EXPECT_EQ(ea_allocator_init(&a, &no_lock), EA_ERR_INVALID);
#endif
}

TEST(allocator_without_memory_refuses_with_a_reason, 0)
{
    REQUIRE(init(&a, NULL) == EA_OK);
    EXPECT(ea_malloc(&a, 1) == NULL);
#if EA_CFG_ALLOC_REPORT
    ea_failure_t failure;
    ea_allocator_last_failure(&a, &failure);
    EXPECT_EQ(failure.reason, EA_REASON_NO_CAPABILITY);
    EXPECT_EQ(failure.sequence, 1);
    EXPECT_EQ(failure.size_bytes, 1);
#endif
    EXPECT_END(&a);
}

TEST(allocator_deinit_reports_live_blocks_and_changes_nothing, 4096)
{
    size_t n = 0;
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, tap_ram(), 4096, NULL) == EA_OK);
    char *block = ea_malloc(&a, 100);
    REQUIRE(block != NULL);
    fill_with(block, 100, 1);
    EXPECT_EQ(ea_allocator_deinit(&a, &n), EA_ERR_BUSY);
    EXPECT_EQ(n, 1);
    EXPECT(is_filled_with(block, 100, 1));
#if EA_CFG_ALLOC_RESERVE
    EXPECT_EQ(ea_allocator_set_reserve(&a, 400), EA_OK);
    EXPECT_EQ(ea_allocator_deinit(&a, &n), EA_ERR_BUSY);
    EXPECT_EQ(n, 1);
    EXPECT(stats_of(&a).reserve_bytes >= 400);
#endif
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_END(&a);
}

/* --- blocks ----------------------------------------------------------------------------------- */

TEST(allocator_serves_every_size_and_takes_it_back, 8192)
{
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, tap_ram(), 8192, NULL) == EA_OK);
    size_t free_bytes = stats_of(&a).free_bytes;
    for (size_t n = 1; n < 700; n += n < 80 ? 1 : 37) {
        char *block = ea_malloc(&a, n);
        REQUIRE(block != NULL);
        EXPECT(is_aligned(block, EA_HEAP_ALIGN));
        EXPECT(ea_usable_size_bytes(&a, block) >= n);
        fill_with(block, n, (unsigned)n);
        char *other = ea_malloc(&a, 24);
        EXPECT(is_filled_with(block, n, (unsigned)n));
        EXPECT_SOUND(&a);
        EXPECT_EQ(ea_free(&a, block), EA_OK);
        EXPECT_EQ(ea_free(&a, other), EA_OK);
    }
    if (EA_CFG_GUARD < 3) EXPECT_EQ(stats_of(&a).free_bytes, free_bytes);
    EXPECT_EQ(stats_of(&a).n_live, 0);
    EXPECT_END(&a);
}

TEST(allocator_zero_bytes_are_no_block_and_no_failure, 2048)
{
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, tap_ram(), 2048, NULL) == EA_OK);
    EXPECT(ea_malloc(&a, 0) == NULL);
    EXPECT(ea_calloc(&a, 0, 5) == NULL);
    EXPECT(ea_calloc(&a, 5, 0) == NULL);
    EXPECT_EQ(ea_free(&a, NULL), EA_OK);
    EXPECT_EQ(stats_of(&a).n_failures, 0);
    EXPECT_END(&a);
}

TEST(allocator_calloc_clears_and_detects_overflow, 2048)
{
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, tap_ram(), 2048, NULL) == EA_OK);
    unsigned char *block = ea_calloc(&a, 9, 11);
    REQUIRE(block != NULL);
    for (unsigned i = 0; i < 99; i++) EXPECT_EQ(block[i], 0);
    EXPECT(ea_calloc(&a, SIZE_MAX / 2, 4) == NULL);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_END(&a);
}

TEST(allocator_aligns_and_realloc_keeps_it, 8192)
{
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, tap_ram(), 8192, NULL) == EA_OK);
    for (size_t alignment = 1; alignment <= 512; alignment *= 2) {
        char *low = ea_malloc(&a, 40), *block = ea_aligned_alloc(&a, alignment, 100);
        REQUIRE(low != NULL && block != NULL);
        EXPECT(is_aligned(block, alignment));
        fill_with(block, 100, 3);
        EXPECT_EQ(ea_free(&a, low), EA_OK); /* room to slide down into */
        char *larger = ea_aligned_realloc(&a, block, alignment, 300);
        REQUIRE(larger != NULL);
        EXPECT(is_aligned(larger, alignment));
        EXPECT(is_filled_with(larger, 100, 3));
        EXPECT_SOUND(&a);
        EXPECT_EQ(ea_free(&a, larger), EA_OK);
    }
    EXPECT(ea_aligned_alloc(&a, 24, 8) == NULL);
    EXPECT(ea_aligned_alloc(&a, 0, 8) == NULL);
    EXPECT(ea_aligned_alloc(&a, SIZE_MAX / 2 + 1, 8) == NULL);
    EXPECT_END(&a);
}

TEST(allocator_realloc_keeps_contents_wherever_it_goes, 6144)
{
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, tap_ram(), 6144, NULL) == EA_OK);
    char *block = ea_realloc(&a, NULL, 10);
    REQUIRE(block != NULL);
    fill_with(block, 10, 5);
    size_t had = 10;
    static const size_t sizes[] = {11, 60, 61, 200, 100, 13, 1200, 30, 31, 32, 33, 500, 1};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        void *stone = ea_malloc(&a, 20); /* in the way of growth, now and then */
        char *moved = ea_realloc(&a, block, sizes[i]);
        REQUIRE(moved != NULL);
        block = moved;
        EXPECT(is_filled_with(block, had < sizes[i] ? had : sizes[i], 5));
        fill_with(block, sizes[i], 5);
        had = sizes[i];
        EXPECT_SOUND(&a);
        EXPECT_EQ(ea_free(&a, stone), EA_OK);
    }
    EXPECT(ea_realloc(&a, block, 1u << 20) == NULL);
    EXPECT(is_filled_with(block, had, 5));
    EXPECT(ea_realloc(&a, block, 0) == NULL); /* frees it */
    EXPECT_END(&a);
}

TEST(allocator_refuses_what_it_did_not_give, 4096)
{
    static long long elsewhere[8];
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, tap_ram(), 4096, NULL) == EA_OK);
    char *block = ea_malloc(&a, 64);
    REQUIRE(block != NULL);
    EXPECT_EQ(ea_free(&a, elsewhere), EA_ERR_FOREIGN);
    if (!EAI_PLAIN || EA_CFG_CHECK_LEVEL >= 2) EXPECT_EQ(ea_free(&a, tap_ram()), EA_ERR_FOREIGN);
    EXPECT_EQ(ea_usable_size_bytes(&a, elsewhere), 0);
    if (EA_CFG_CHECK_LEVEL >= 1) EXPECT_EQ(ea_free(&a, block + 1), EA_ERR_FOREIGN);
    if (EA_CFG_GUARD >= 1) EXPECT(ea_free(&a, block + EA_HEAP_ALIGN) != EA_OK);
    EXPECT(ea_realloc(&a, elsewhere, 10) == NULL);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    if (EA_CFG_CHECK_LEVEL >= 1) EXPECT_EQ(ea_free(&a, block), EA_ERR_DOUBLE_FREE);
    EXPECT_END(&a);
}

/* --- regions ---------------------------------------------------------------------------------- */

/* Where a block lies: the number of its region, which are 2048 bytes each. */
#define REGION_BYTES 2048u
#if EA_CFG_ALLOC_REGIONS >= 3
static unsigned region_of(const void *ptr)
{
    return (unsigned)(((const char *)ptr - (const char *)tap_ram()) / REGION_BYTES);
}
#endif
static void *region(unsigned i)
{
    return (char *)tap_ram() + i * REGION_BYTES;
}

#if EA_CFG_ALLOC_REGIONS >= 3
TEST(allocator_spends_scarce_memory_last, 3 * REGION_BYTES)
{
    static const ea_region_options_t dma = {.capabilities = EA_CAP_DMA};
    static const ea_region_options_t tight = {.capabilities = EA_CAP_DMA | EA_CAP_FAST};
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(0), REGION_BYTES, &tight) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(1), REGION_BYTES, &dma) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(2), REGION_BYTES, NULL) == EA_OK);

    const ea_request_t for_dma = {.capabilities = EA_CAP_DMA};
    const ea_request_t for_both = {.capabilities = EA_CAP_DMA | EA_CAP_FAST};
    void *plain = ea_malloc(&a, 700), *device = ea_malloc_ex(&a, 700, &for_dma);
    void *both = ea_malloc_ex(&a, 700, &for_both);
    REQUIRE(plain && device && both);
    EXPECT_EQ(region_of(plain), 2);
    EXPECT_EQ(region_of(device), 1);
    EXPECT_EQ(region_of(both), 0);

    /* Each region holds one more of this size: the ordinary one fills up first. */
    ea_heap_stats_t left;
    EXPECT_EQ(ea_allocator_region_stats(&a, region(0), &left), EA_OK);
    size_t size = left.largest_free_bytes - 64;
    void *second = ea_malloc(&a, size), *spill = ea_malloc(&a, size), *last = ea_malloc(&a, size);
    REQUIRE(second && spill && last);
    EXPECT_EQ(region_of(second), 2);
    EXPECT_EQ(region_of(spill), 1);
    EXPECT_EQ(region_of(last), 0);
    EXPECT(ea_malloc(&a, size) == NULL);
    const ea_request_t nowhere = {.capabilities = EA_CAP_USER(3)};
    EXPECT(ea_malloc_ex(&a, 1, &nowhere) == NULL);
#if EA_CFG_ALLOC_REPORT
    ea_failure_t failure;
    ea_allocator_last_failure(&a, &failure);
    EXPECT_EQ(failure.reason, EA_REASON_NO_CAPABILITY);
    EXPECT_EQ(failure.capabilities, EA_CAP_USER(3));
#endif
    void *all[] = {plain, device, both, second, spill, last};
    for (unsigned i = 0; i < 6; i++) EXPECT_EQ(ea_free(&a, all[i]), EA_OK);
    EXPECT_END(&a);
}

TEST(allocator_asks_regions_by_priority_then_in_order, 3 * REGION_BYTES)
{
    static const ea_region_options_t low = {.priority = 1}, high = {.priority = 9};
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(2), REGION_BYTES, &low) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(0), REGION_BYTES, &low) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(1), REGION_BYTES, &high) == EA_OK);
    void *blocks[3];
    static const unsigned order[] = {1, 2, 0};
    for (unsigned i = 0; i < 3; i++) {
        blocks[i] = ea_malloc(&a, 1200);
        REQUIRE(blocks[i] != NULL);
        EXPECT_EQ(region_of(blocks[i]), order[i]);
    }
    for (unsigned i = 0; i < 3; i++) EXPECT_EQ(ea_free(&a, blocks[i]), EA_OK);
    EXPECT_END(&a);
}

TEST(allocator_policies_choose_regions, 3 * REGION_BYTES)
{
    static const ea_region_options_t fast = {.policy = EA_POLICY_FAST};
    static const ea_region_options_t critical = {.policy = EA_POLICY_CRITICAL};
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(0), REGION_BYTES, &critical) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(1), REGION_BYTES, &fast) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(2), REGION_BYTES, NULL) == EA_OK);
    void *plain = ea_malloc(&a, 1200);
    void *quick = ea_malloc_ex(&a, 500, &(ea_request_t){.policy = EA_POLICY_FAST});
    void *urgent = ea_malloc_ex(&a, 1200, &(ea_request_t){.policy = EA_POLICY_CRITICAL});
    REQUIRE(plain && quick && urgent);
    EXPECT_EQ(region_of(plain), 2);
    EXPECT_EQ(region_of(quick), 1);
    EXPECT_EQ(region_of(urgent), 0);
    void *second = ea_malloc(&a, 800); /* ordinary spills to fast, never to critical */
    REQUIRE(second != NULL);
    EXPECT_EQ(region_of(second), 1);
    EXPECT(ea_malloc(&a, 800) == NULL);
    /* A high priority is critical as well. */
    void *third = ea_malloc_ex(&a, 100, &(ea_request_t){.priority = EA_PRIORITY_CRITICAL});
    REQUIRE(third != NULL);
    void *all[] = {plain, quick, urgent, second, third};
    for (unsigned i = 0; i < 5; i++) EXPECT_EQ(ea_free(&a, all[i]), EA_OK);
    EXPECT_END(&a);
}

TEST(allocator_low_fragmentation_takes_the_smallest_region_that_will_do, 3 * REGION_BYTES)
{
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(0), REGION_BYTES, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(1), REGION_BYTES / 2, NULL) == EA_OK);
    const ea_request_t careful = {.policy = EA_POLICY_LOW_FRAGMENTATION};
    void *small = ea_malloc_ex(&a, 100, &careful), *large = ea_malloc_ex(&a, 1100, &careful);
    REQUIRE(small && large);
    EXPECT_EQ(region_of(small), 1);
    EXPECT_EQ(region_of(large), 0);
    EXPECT_EQ(ea_free(&a, small), EA_OK);
    EXPECT_EQ(ea_free(&a, large), EA_OK);
    EXPECT_END(&a);
}
#endif

#if EA_CFG_HEAP_STATS
TEST(allocator_region_keeps_its_reserve_for_its_capability, REGION_BYTES)
{
    static const ea_region_options_t dma = {.capabilities = EA_CAP_DMA, .reserve_bytes = 1000};
    void *blocks[20], *kept;
    unsigned n = 0;
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(0), REGION_BYTES, &dma) == EA_OK);
    while (n < 20 && (blocks[n] = ea_malloc(&a, 60)) != NULL) n++;
    EXPECT(n > 2 && n < 20);
    EXPECT(stats_of(&a).free_bytes >= 1000);
    kept = ea_malloc_ex(&a, 800, &(ea_request_t){.capabilities = EA_CAP_DMA});
    EXPECT(kept != NULL);
    EXPECT_EQ(ea_free(&a, kept), EA_OK);
    while (n > 0) EXPECT_EQ(ea_free(&a, blocks[--n]), EA_OK);
    EXPECT_END(&a);
}
#endif

TEST(allocator_blocks_share_no_line, REGION_BYTES)
{
    static const ea_region_options_t lines = {.line_bytes = 64};
    char *blocks[6];
    unsigned n = 0;
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(0), REGION_BYTES, &lines) == EA_OK);
    while (n < 6 && (blocks[n] = ea_malloc(&a, 20 + 30 * n)) != NULL) {
        EXPECT(is_aligned(blocks[n], 64));
        memset(blocks[n], (int)n,
               (20 + 30 * n + 63) / 64 * 64 * (EA_CFG_GUARD == 0) +
                   (20 + 30 * n) * (EA_CFG_GUARD != 0));
        n++;
    }
    EXPECT(n >= 3);
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < n; k++) {
            char *end = blocks[i] + (20 + 30 * i + 63) / 64 * 64; /* of its last line */
            EXPECT(i == k || blocks[k] >= end || blocks[k] + 20 + 30 * k <= blocks[i]);
        }
    }
    char *grown = ea_realloc(&a, blocks[0], 150);
    if (grown != NULL) {
        EXPECT(is_aligned(grown, 64));
        blocks[0] = grown;
    }
    EXPECT_SOUND(&a);
    while (n > 0) EXPECT_EQ(ea_free(&a, blocks[--n]), EA_OK);
    EXPECT_END(&a);
}

TEST(allocator_region_in_use_is_not_removed, 2 * REGION_BYTES)
{
    size_t n = 0;
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(0), REGION_BYTES, NULL) == EA_OK);
    char *block = ea_malloc(&a, 100);
    REQUIRE(block != NULL);
    fill_with(block, 100, 9);
    EXPECT_EQ(ea_allocator_remove_region(&a, region(1), NULL), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_allocator_remove_region(&a, region(0), &n), EA_ERR_BUSY);
    EXPECT_EQ(n, 1);
    EXPECT(is_filled_with(block, 100, 9));
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_EQ(ea_allocator_remove_region(&a, region(0), &n), EA_OK);
    EXPECT(ea_malloc(&a, 1) == NULL);
    REQUIRE(ea_allocator_add_region(&a, region(0), REGION_BYTES, NULL) == EA_OK);
    block = ea_malloc(&a, 100);
    EXPECT(block != NULL);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_END(&a);
}

TEST(allocator_refuses_regions_that_overlap_or_are_too_many, REGION_BYTES + 4 * 680)
{
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(0), REGION_BYTES, NULL) == EA_OK);
    EXPECT_EQ(ea_allocator_add_region(&a, (char *)region(0) + 512, 1024, NULL),
              EA_CFG_ALLOC_REGIONS > 1 ? EA_ERR_INVALID : EA_ERR_INVALID);
    EXPECT_EQ(ea_allocator_add_region(&a, NULL, 1024, NULL), EA_ERR_INVALID);
    const ea_region_options_t odd = {.line_bytes = 24};
    EXPECT_EQ(ea_allocator_add_region(&a, region(1), REGION_BYTES, &odd), EA_ERR_INVALID);
    EXPECT(ea_allocator_add_region(&a, region(1), 20, NULL) != EA_OK);
    EXPECT_EQ(stats_of(&a).n_regions, 1);
    char *at = region(1);
    unsigned n = 1;
    while (n < EA_CFG_ALLOC_REGIONS && n < 4) {
        EXPECT_EQ(ea_allocator_add_region(&a, at, 680, NULL), EA_OK);
        at += 680;
        n++;
    }
    if (n == EA_CFG_ALLOC_REGIONS && n < 5)
        EXPECT_EQ(ea_allocator_add_region(&a, (char *)region(1) + 3 * 680, 680, NULL),
                  EA_ERR_RANGE);
    EXPECT_END(&a);
}

TEST(allocator_region_grows_and_shrinks, 2 * REGION_BYTES)
{
    const ea_region_options_t growing = {.span_bytes = 2 * REGION_BYTES};
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(0), REGION_BYTES, &growing) == EA_OK);
    EXPECT(ea_malloc(&a, 2400) == NULL);
    EXPECT_EQ(ea_allocator_grow_region(&a, region(0), 2 * REGION_BYTES), EA_OK);
    void *block = ea_malloc(&a, 2400);
    EXPECT(block != NULL);
    EXPECT_EQ(ea_allocator_shrink_region(&a, region(0), REGION_BYTES), EA_ERR_BUSY);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_EQ(ea_allocator_shrink_region(&a, region(0), REGION_BYTES), EA_OK);
    EXPECT_EQ(ea_allocator_grow_region(&a, region(1), 10000), EA_ERR_NOT_FOUND);
    EXPECT(ea_malloc(&a, 2400) == NULL);
    EXPECT_END(&a);
}

/* Growing saw a removed region still standing there, and shrank instead. */
TEST(allocator_region_grows_over_where_another_was, 2 * REGION_BYTES)
{
    const ea_region_options_t growing = {.span_bytes = 2 * REGION_BYTES};
    char *mem = region(0);
    if (EA_CFG_ALLOC_REGIONS < 2) return;
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, mem + REGION_BYTES, REGION_BYTES, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, mem, REGION_BYTES, &growing) == EA_OK);
    EXPECT_EQ(ea_allocator_grow_region(&a, mem, REGION_BYTES + 100), EA_ERR_INVALID);
    REQUIRE(ea_allocator_remove_region(&a, mem + REGION_BYTES, NULL) == EA_OK);
    size_t before = stats_of(&a).total_bytes;
    EXPECT_EQ(ea_allocator_grow_region(&a, mem, 2 * REGION_BYTES + 1), EA_ERR_RANGE);
    EXPECT_EQ(ea_allocator_grow_region(&a, mem, 2 * REGION_BYTES), EA_OK);
    EXPECT_EQ(ea_allocator_grow_region(&a, mem, 2 * REGION_BYTES), EA_ERR_INVALID);
    EXPECT_EQ(ea_allocator_grow_region(&a, mem, REGION_BYTES), EA_ERR_INVALID);
    EXPECT_EQ(stats_of(&a).total_bytes, before + REGION_BYTES);
    EXPECT_EQ(ea_allocator_shrink_region(&a, mem, 2 * REGION_BYTES), EA_ERR_INVALID);
    EXPECT_EQ(ea_allocator_shrink_region(&a, mem, REGION_BYTES), EA_OK);
    EXPECT_EQ(stats_of(&a).total_bytes, before);
    EXPECT_END(&a);
}

/* --- pools ------------------------------------------------------------------------------------ */

#if EA_CFG_ALLOC_POOLS
#define CLASSES(CLASS, name) CLASS(name, small, 32, 4) CLASS(name, large, 96, 2)
EA_POOLSET_DEFINE_CLASSES_STATIC(pools, CLASSES, EA_POOLSET_STRICT, 0, NULL);

TEST(allocator_serves_small_requests_from_pools, REGION_BYTES)
{
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, region(0), REGION_BYTES, NULL) == EA_OK);
    REQUIRE(ea_allocator_set_pools(&a, &pools) == EA_OK);
    char *blocks[5];
    for (unsigned i = 0; i < 5; i++) {
        blocks[i] = ea_malloc(&a, 20);
        REQUIRE(blocks[i] != NULL);
        fill_with(blocks[i], 20, i);
        EXPECT_EQ(ea_poolset_owns(&pools, blocks[i]), i < 4);
    }
    if (EA_CFG_HEAP_STATS) EXPECT_EQ(stats_of(&a).n_live, EA_CFG_POOL_STATS ? 5 : 1);
    EXPECT_SOUND(&a);
    EXPECT_EQ(ea_allocator_set_pools(&a, NULL), EA_ERR_BUSY);
    size_t n = 0;
    EXPECT_EQ(ea_allocator_deinit(&a, &n), EA_ERR_BUSY);
    EXPECT_EQ(n, 5);
    blocks[0] = ea_realloc(&a, blocks[0], 25); /* fits where it is */
    EXPECT(ea_poolset_owns(&pools, blocks[0]));
    blocks[0] = ea_realloc(&a, blocks[0], 300); /* does not */
    REQUIRE(blocks[0] != NULL);
    EXPECT(!ea_poolset_owns(&pools, blocks[0]));
    for (unsigned i = 0; i < 5; i++) {
        EXPECT(is_filled_with(blocks[i], 20, i));
        EXPECT_EQ(ea_free(&a, blocks[i]), EA_OK);
    }
    EXPECT_EQ(ea_free(&a, blocks[1]), EA_ERR_DOUBLE_FREE);
    void *aligned = ea_aligned_alloc(&a, 64, 16);
    EXPECT(!ea_poolset_owns(&pools, aligned));
    EXPECT_EQ(ea_free(&a, aligned), EA_OK);
    EXPECT_EQ(stats_of(&a).n_live, 0);
    EXPECT_EQ(ea_allocator_set_pools(&a, NULL), EA_OK);
    EXPECT_END(&a);
}
#endif

TEST_MAIN(&allocator_init_refuses_what_is_not_possible,
          &allocator_without_memory_refuses_with_a_reason,
          &allocator_deinit_reports_live_blocks_and_changes_nothing,
          &allocator_serves_every_size_and_takes_it_back,
          &allocator_zero_bytes_are_no_block_and_no_failure,
          &allocator_calloc_clears_and_detects_overflow, &allocator_aligns_and_realloc_keeps_it,
          &allocator_realloc_keeps_contents_wherever_it_goes,
          &allocator_refuses_what_it_did_not_give,
#if EA_CFG_ALLOC_REGIONS >= 3
          &allocator_spends_scarce_memory_last, &allocator_asks_regions_by_priority_then_in_order,
          &allocator_policies_choose_regions,
          &allocator_low_fragmentation_takes_the_smallest_region_that_will_do,
#endif
#if EA_CFG_HEAP_STATS
          &allocator_region_keeps_its_reserve_for_its_capability,
#endif
          &allocator_blocks_share_no_line, &allocator_region_in_use_is_not_removed,
          &allocator_refuses_regions_that_overlap_or_are_too_many,
#if EA_CFG_ALLOC_POOLS
          &allocator_serves_small_requests_from_pools,
#endif
          &allocator_region_grows_and_shrinks, &allocator_region_grows_over_where_another_was)
