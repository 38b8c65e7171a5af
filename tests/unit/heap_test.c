/* SPDX-License-Identifier: MIT
 *
 * The heap's contracts: life, allocating and freeing, numbers.
 */
#include "heap_testing.h"

/* --- life ------------------------------------------------------------------------------------- */

TEST(heap_init_refuses_null_and_unknown_options, 1024)
{
    ea_heap_options_t fit = {0, (ea_heap_fit_t)7}, span = {512, EA_FIT_GOOD};
    EXPECT(ea_heap_init(NULL, 1024, NULL) == NULL);
    EXPECT(ea_heap_init(tap_ram(), 1024, &fit) == NULL);
    EXPECT(ea_heap_init(tap_ram(), 1024, &span) == NULL);
    EXPECT(ea_heap_init(tap_ram(), 0, NULL) == NULL);
    EXPECT(ea_heap_init(tap_ram(), SIZE_MAX, NULL) == NULL);
    EXPECT(all_bytes_are(tap_ram(), 1024, 0xA5));
}

TEST(heap_init_takes_the_least_memory_that_holds_a_block, 2048)
{
    char *ram = tap_ram();
    size_t first = SIZE_MAX;
    for (size_t size = 0; size < 1024; size++) {
        memset(ram, 0xA5, 2048);
        ea_heap_t *heap = ea_heap_init(ram, size, NULL);
        if (heap == NULL) {
            /* A larger heap may need one bin more, which can cost it the block. */
            EXPECT(size < first || size - first < sizeof(void *) * 4);
            EXPECT(all_bytes_are(ram, 2048, 0xA5));
            continue;
        }
        if (first == SIZE_MAX) first = size;
        EXPECT_SOUND(heap);
        EXPECT(ea_heap_max_alloc_bytes(heap) >= EA_HEAP_MIN_BLOCK_BYTES - EA_HEAP_OVERHEAD_BYTES);
        EXPECT(ea_heap_largest_free_bytes(heap) == ea_heap_max_alloc_bytes(heap));
        void *block = ea_heap_alloc(heap, ea_heap_max_alloc_bytes(heap));
        REQUIRE(block != NULL);
        memset(block, 0, ea_heap_usable_size_bytes(heap, block));
        EXPECT(all_bytes_are(ram + size, 2048 - size, 0xA5));
        EXPECT_EQ(ea_heap_free(heap, block), EA_OK);
    }
    EXPECT(first < 900);
}

TEST(heap_init_refuses_memory_smaller_than_its_alignment, 1024)
{
    char *ram = tap_ram();
    memset(ram, 0xA5, 1024);
    for (size_t offset = 0; offset < 2 * EA_HEAP_ALIGN; offset++) {
        for (size_t size = 0; size < 2 * EA_HEAP_ALIGN; size++) {
            ea_heap_options_t options = {4096, EA_FIT_GOOD};
            EXPECT(ea_heap_init(ram + offset, size, NULL) == NULL);
            EXPECT(ea_heap_init(ram + offset, size, &options) == NULL);
        }
    }
    EXPECT(all_bytes_are(ram, 1024, 0xA5));
}

TEST(heap_init_keeps_the_span_within_the_links, 2048)
{
    bool narrow =
        EA_CFG_HEAP_LINK_BITS == 16 || (EA_CFG_HEAP_LINK_BITS == 0 && UINTPTR_MAX <= 0xFFFFFFFFu);
    ea_heap_options_t options = {0x40000, EA_FIT_GOOD};
    EXPECT(ea_heap_init(tap_ram(), 2048, &options) != NULL);
    options.span_bytes = 0x40000 + 1;
    EXPECT((ea_heap_init(tap_ram(), 2048, &options) != NULL) == !narrow);
    options.span_bytes = 0x10000000;
    EXPECT((ea_heap_init(tap_ram(), 2048, &options) != NULL) == !narrow);
    options.span_bytes = SIZE_MAX;
    EXPECT(ea_heap_init(tap_ram(), 2048, &options) == NULL);
    options.span_bytes = 0xFFFFFFFFu;
    EXPECT(ea_heap_init(tap_ram(), 2048, &options) == NULL);
}

TEST(heap_works_in_misaligned_memory, 2048 + 64)
{
    char *ram = tap_ram();
    for (size_t offset = 0; offset < 17; offset++) {
        for (size_t size = 1500; size < 1517; size++) {
            memset(ram, 0xA5, 2048);
            ea_heap_t *heap = ea_heap_init(ram + offset, size, NULL);
            REQUIRE(heap != NULL);
            void *block;
            while ((block = ea_heap_alloc(heap, 30)) != NULL) {
                EXPECT(is_aligned(block, EA_HEAP_ALIGN));
                memset(block, 0, ea_heap_usable_size_bytes(heap, block));
            }
            EXPECT_SOUND(heap);
            EXPECT(all_bytes_are(ram, offset, 0xA5));
            EXPECT(all_bytes_are(ram + offset + size, 2048 - offset - size, 0xA5));
        }
    }
}

TEST(heap_deinit_reports_live_blocks, 2048)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), 2048, NULL);
    REQUIRE(heap != NULL);
    void *blocks[3];
    for (int i = 0; i < 3; i++) blocks[i] = ea_heap_alloc(heap, 40);
    EXPECT_EQ(ea_heap_free(heap, blocks[1]), EA_OK);
    EXPECT_EQ(ea_heap_deinit(heap), 2);

    heap = ea_heap_init(tap_ram(), 2048, NULL);
    EXPECT_EQ(ea_heap_deinit(heap), 0);
}

TEST(heap_refuses_requests_after_deinit, 2048)
{
    ea_heap_options_t options = {0x10000, EA_FIT_GOOD}; /* bins enough for several words of bits */
    ea_heap_t *heap = ea_heap_init(tap_ram(), 2048, &options);
    REQUIRE(heap != NULL);
    void *hole = ea_heap_alloc(heap, 1);
    REQUIRE(hole != NULL && ea_heap_alloc(heap, 1) != NULL);
    EXPECT_EQ(ea_heap_free(heap, hole), EA_OK);
    (void)ea_heap_deinit(heap);
    EXPECT(ea_heap_alloc(heap, 1) == NULL);
    EXPECT(ea_heap_alloc(heap, 500) == NULL);
    EXPECT(ea_heap_calloc(heap, 1, 8) == NULL);
    EXPECT(ea_heap_aligned_alloc(heap, 64, 8) == NULL);
    EXPECT_EQ(ea_heap_largest_free_bytes(heap), 0);
    EXPECT_EQ(ea_heap_check(heap, NULL), EA_ERR_CORRUPT);
}

TEST(heap_reset_frees_all_blocks_and_keeps_counting, 2048)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), 2048, NULL);
    REQUIRE(heap != NULL);
    size_t total = stats_of(heap).total_bytes, n = 0;
    while (ea_heap_alloc(heap, 20) != NULL) n++;
    size_t lowest = stats_of(heap).min_free_bytes;
    ea_heap_reset(heap);
    EXPECT_SOUND(heap);
    EXPECT_EQ(ea_heap_largest_free_bytes(heap), ea_heap_max_alloc_bytes(heap));
    ea_heap_stats_t stats = stats_of(heap);
    EXPECT_EQ(stats.total_bytes, total);
#if EA_CFG_HEAP_STATS
    EXPECT_EQ(stats.n_live, 0);
    EXPECT_EQ(stats.free_bytes, total);
    EXPECT_EQ(stats.n_allocs, n);
    EXPECT_EQ(stats.n_frees, n);
    EXPECT_EQ(stats.min_free_bytes, lowest);
#endif
    EXPECT(is_whole(heap));
    EXPECT_EQ(ea_heap_deinit(heap), 0);
    (void)lowest;
}

/* --- allocating and freeing ------------------------------------------------------------------- */

TEST(heap_alloc_of_nothing_is_null_and_no_failure, 1024)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), 1024, NULL);
    REQUIRE(heap != NULL);
    EXPECT(ea_heap_alloc(heap, 0) == NULL);
    EXPECT(ea_heap_aligned_alloc(heap, 64, 0) == NULL);
    EXPECT_EQ(stats_of(heap).n_failures, 0);
    EXPECT_EQ(ea_heap_free(heap, NULL), EA_OK);
    EXPECT_EQ(ea_heap_usable_size_bytes(heap, NULL), 0);
}

TEST(heap_alloc_serves_every_size_with_the_least_block, 6144)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), 6144, NULL);
    REQUIRE(heap != NULL);
    size_t max = ea_heap_max_alloc_bytes(heap);
    for (size_t n = 1; n <= max; n += 1 + n / 64) {
        char *block = ea_heap_alloc(heap, n);
        REQUIRE(block != NULL);
        EXPECT(is_aligned(block, EA_HEAP_ALIGN));
        size_t usable = ea_heap_usable_size_bytes(heap, block);
        /* The rest stays with the block only where it is too small to be one. */
        size_t least = cost_of(n) - EA_HEAP_OVERHEAD_BYTES;
        EXPECT(usable == least || (max - least < EA_HEAP_MIN_BLOCK_BYTES && usable == max));
        memset(block, 0xFF, usable);
        EXPECT_SOUND(heap);
        EXPECT_EQ(ea_heap_free(heap, block), EA_OK);
    }
    EXPECT(is_whole(heap));
}

TEST(heap_alloc_costs_four_bytes_a_block, 4096)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), 4096, NULL);
    REQUIRE(heap != NULL);
    EXPECT_EQ(EA_HEAP_OVERHEAD_BYTES, 4);
    char *first = ea_heap_alloc(heap, 10 * EA_HEAP_ALIGN - 4);
    char *second = ea_heap_alloc(heap, 1);
    REQUIRE(first != NULL && second != NULL);
    EXPECT_EQ(second - first, 10 * EA_HEAP_ALIGN);
}

/* Sizes at every boundary that arithmetic on a request could cross. */
TEST(heap_refuses_what_no_heap_could_grant, 2048)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), 2048, NULL);
    REQUIRE(heap != NULL);
    char *block = ea_heap_alloc(heap, 100);
    REQUIRE(block != NULL);
    fill_with(block, 100, 1);
    size_t max = ea_heap_max_alloc_bytes(heap), n_refused = 0;
    const size_t edges[] = {max + 1,          max + EA_HEAP_ALIGN, 0x7FFFFFFF,    0x80000000u,
                            0xFFFFFFE0u,      0xFFFFFFF0u,         0xFFFFFFFFu,   SIZE_MAX / 2,
                            SIZE_MAX / 2 + 1, SIZE_MAX - 64,       SIZE_MAX - 32, SIZE_MAX - 20};
    for (size_t e = 0; e < sizeof edges / sizeof edges[0] + 21; e++) {
        size_t n = e < sizeof edges / sizeof edges[0]
                       ? edges[e]
                       : SIZE_MAX - (e - sizeof edges / sizeof edges[0]);
        EXPECT(ea_heap_alloc(heap, n) == NULL);
        EXPECT(ea_heap_calloc(heap, 1, n) == NULL);
        EXPECT(ea_heap_calloc(heap, n, 1) == NULL);
        EXPECT(ea_heap_aligned_alloc(heap, 64, n) == NULL);
        EXPECT(ea_heap_realloc(heap, block, n) == NULL);
        EXPECT(ea_heap_aligned_realloc(heap, block, 64, n) == NULL);
        n_refused += 6;
    }
    EXPECT_SOUND(heap);
    EXPECT(holds(block, 100, 1));
    if (EA_CFG_HEAP_STATS) EXPECT_EQ(stats_of(heap).n_failures, n_refused);
    EXPECT_EQ(ea_heap_free(heap, block), EA_OK);
    EXPECT(ea_heap_alloc(heap, max) != NULL);
}

static void fill_and_free(size_t size, int order)
{
    enum { MAX = 512 };
    static void *blocks[MAX];
    ea_heap_t *heap = ea_heap_init(tap_ram(), 4096, NULL);
    REQUIRE(heap != NULL);
    size_t n = 0;
    while (n < MAX && (blocks[n] = ea_heap_alloc(heap, size)) != NULL) {
        memset(blocks[n], (int)n, ea_heap_usable_size_bytes(heap, blocks[n]));
        n++;
    }
    EXPECT(n >= stats_of(heap).total_bytes / cost_of(size));
    EXPECT_SOUND(heap);
    for (size_t i = 0; i < n; i++) {
        size_t half = (n + 1) / 2;
        size_t k = order == 0 ? i : order == 1 ? n - 1 - i : i < half ? 2 * i : 2 * (i - half) + 1;
        EXPECT(all_bytes_are(blocks[k], size, (unsigned char)k));
        EXPECT_EQ(ea_heap_free(heap, blocks[k]), EA_OK);
        if (i % 16 == 0) EXPECT_SOUND(heap);
    }
    EXPECT(is_whole(heap));
    EXPECT_EQ(ea_heap_deinit(heap), 0);
}

TEST(heap_is_whole_again_whatever_the_order_of_freeing, 4096)
{
    static const size_t sizes[] = {1, 12, 13, 20, 28, 36, 100, 500, 1000};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (int order = 0; order < 3; order++) fill_and_free(sizes[s], order);
    }
}

static size_t count_free_blocks(const ea_heap_t *heap)
{
    ea_heap_bin_t bins[EA_HEAP_MAX_BINS];
    size_t n = ea_heap_histogram(heap, bins, EA_HEAP_MAX_BINS), sum = 0;
    for (size_t i = 0; i < n; i++) sum += bins[i].n_blocks;
    return sum;
}

/* Frees the middle one of three blocks between guards, with the neighbours free or not. */
static void merge_case(bool below_free, bool above_free, size_t want_holes)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), 8192, NULL);
    REQUIRE(heap != NULL);
    void *block[4];
    for (int i = 0; i < 4; i++) block[i] = ea_heap_alloc(heap, BIG);
    REQUIRE(block[3] != NULL);
    if (below_free) EXPECT_EQ(ea_heap_free(heap, block[0]), EA_OK);
    if (above_free) EXPECT_EQ(ea_heap_free(heap, block[2]), EA_OK);
    EXPECT_EQ(ea_heap_free(heap, block[1]), EA_OK);
    EXPECT_SOUND(heap);
    EXPECT_EQ(count_free_blocks(heap), want_holes + 1); /* and the end of the heap */
    size_t hole = cost_of(BIG) * (1u + below_free + above_free) - EA_HEAP_OVERHEAD_BYTES;
    void *low = below_free ? block[0] : block[1];
    /* Take the rest, so that only the hole can serve. */
    while (ea_heap_largest_free_bytes(heap) > hole) {
        REQUIRE(ea_heap_alloc(heap, ea_heap_largest_free_bytes(heap)) != NULL);
    }
    EXPECT(ea_heap_alloc(heap, hole) == low);
}

TEST(heap_free_merges_with_free_neighbours, 8192)
{
    merge_case(false, false, 1);
    merge_case(true, false, 1);
    merge_case(false, true, 1);
    merge_case(true, true, 1);
}

TEST(heap_calloc_clears_and_detects_overflow, 2048)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), 2048, NULL);
    REQUIRE(heap != NULL);
    char *block = ea_heap_alloc(heap, 1000);
    REQUIRE(block != NULL);
    memset(block, 0xFF, 1000);
    EXPECT_EQ(ea_heap_free(heap, block), EA_OK);
    block = ea_heap_calloc(heap, 10, 100);
    REQUIRE(block != NULL);
    EXPECT(all_bytes_are(block, 1000, 0));

    EXPECT(ea_heap_calloc(heap, 0, 10) == NULL);
    EXPECT(ea_heap_calloc(heap, 10, 0) == NULL);
    EXPECT(ea_heap_calloc(heap, 0, SIZE_MAX) == NULL);
    EXPECT(ea_heap_calloc(heap, SIZE_MAX / 2 + 1, 2) == NULL); /* product 0 */
    EXPECT(ea_heap_calloc(heap, SIZE_MAX / 2 + 2, 2) == NULL); /* product 2 */
    EXPECT(ea_heap_calloc(heap, SIZE_MAX / 4 + 2, 4) == NULL); /* product 4 */
    EXPECT(ea_heap_calloc(heap, SIZE_MAX, SIZE_MAX) == NULL);  /* product 1 */
    EXPECT_SOUND(heap);
}

/* --- numbers ---------------------------------------------------------------------------------- */

TEST(heap_stats_follow_every_operation, 4096)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), 4096, NULL);
    REQUIRE(heap != NULL);
    ea_heap_stats_t start = stats_of(heap);
    EXPECT_EQ(start.n_regions, 1);
    EXPECT(start.total_bytes + start.control_bytes + 4 * EA_HEAP_ALIGN >= 4096);
    EXPECT(start.total_bytes + start.control_bytes <= 4096);
    EXPECT_EQ(start.largest_free_bytes, start.total_bytes - EA_HEAP_OVERHEAD_BYTES);
#if EA_CFG_HEAP_STATS
    EXPECT_EQ(start.free_bytes, start.total_bytes);
    EXPECT_EQ(start.min_free_bytes, start.total_bytes);

    void *a = ea_heap_alloc(heap, 100), *b = ea_heap_alloc(heap, 200);
    REQUIRE(a != NULL && b != NULL);
    ea_heap_stats_t now = stats_of(heap);
    size_t both = cost_of(100) + cost_of(200);
    EXPECT_EQ(now.free_bytes, start.free_bytes - both);
    EXPECT_EQ(now.min_free_bytes, now.free_bytes);
    EXPECT_EQ(now.n_live, 2);
    EXPECT_EQ(now.n_allocs, 2);
    EXPECT_EQ(now.n_frees, 0);

    EXPECT_EQ(ea_heap_free(heap, a), EA_OK);
    now = stats_of(heap);
    EXPECT_EQ(now.free_bytes, start.free_bytes - cost_of(200));
    EXPECT_EQ(now.min_free_bytes, start.free_bytes - both);
    EXPECT_EQ(now.n_live, 1);
    EXPECT_EQ(now.n_frees, 1);

    EXPECT(ea_heap_alloc(heap, 4000) == NULL);
    EXPECT_EQ(stats_of(heap).n_failures, 1);
    EXPECT_EQ(stats_of(heap).n_corruptions, 0);
    EXPECT_EQ(ea_heap_free(heap, b), EA_OK);
    EXPECT_EQ(stats_of(heap).free_bytes, start.free_bytes);
#else
    EXPECT_EQ(start.free_bytes, 0);
    EXPECT_EQ(start.min_free_bytes, 0);
#endif
    EXPECT_EQ(stats_of(heap).total_bytes, start.total_bytes);
}

TEST(heap_min_free_is_the_lowest_until_it_is_reset, 4096)
{
#if EA_CFG_HEAP_STATS
    ea_heap_t *heap = ea_heap_init(tap_ram(), 4096, NULL);
    REQUIRE(heap != NULL);
    size_t all = stats_of(heap).free_bytes;
    void *a = ea_heap_alloc(heap, BIG + 600), *b = ea_heap_alloc(heap, BIG);
    size_t low = all - cost_of(BIG + 600) - cost_of(BIG);
    EXPECT_EQ(ea_heap_free(heap, a), EA_OK);
    EXPECT_EQ(stats_of(heap).min_free_bytes, low);
    a = ea_heap_alloc(heap, 200);
    EXPECT_EQ(stats_of(heap).min_free_bytes, low);
    ea_heap_reset_min_free(heap);
    EXPECT_EQ(stats_of(heap).min_free_bytes, all - cost_of(BIG) - cost_of(200));
    EXPECT_EQ(ea_heap_free(heap, b), EA_OK);
    ea_heap_reset_min_free(heap);
    EXPECT_EQ(stats_of(heap).min_free_bytes, all - cost_of(200));
    /* Growing in place lowers the mark too; shrinking does not. */
    a = ea_heap_realloc(heap, a, 900);
    EXPECT_EQ(stats_of(heap).min_free_bytes, all - cost_of(900));
    a = ea_heap_realloc(heap, a, 10);
    EXPECT_EQ(stats_of(heap).min_free_bytes, all - cost_of(900));
    EXPECT_EQ(stats_of(heap).free_bytes, all - cost_of(10));
#endif
}

static void largest_in_random_states(ea_heap_fit_t fit, uint32_t seed)
{
    enum { SLOTS = 48 };
    static void *slots[SLOTS];
    ea_heap_options_t options = {0, fit};
    ea_heap_t *heap = ea_heap_init(tap_ram(), 8192, &options);
    REQUIRE(heap != NULL);
    memset(slots, 0, sizeof slots);
    for (int step = 0; step < 600; step++) {
        void **slot = &slots[next_random(&seed) % SLOTS];
        if (*slot != NULL) {
            EXPECT_EQ(ea_heap_free(heap, *slot), EA_OK);
            *slot = NULL;
        } else {
            *slot = ea_heap_alloc(heap, 1 + next_random(&seed) % (step % 8 == 0 ? 900 : 120));
        }
        size_t largest = ea_heap_largest_free_bytes(heap);
        EXPECT(largest <= ea_heap_max_alloc_bytes(heap));
        EXPECT_EQ(stats_of(heap).largest_free_bytes, largest);
        if (!HAS_QUICK_LISTS) EXPECT(ea_heap_alloc(heap, largest + 1) == NULL);
        if (largest == 0) continue;
        void *block = ea_heap_alloc(heap, largest);
        REQUIRE(block != NULL);
        EXPECT_EQ(ea_heap_free(heap, block), EA_OK);
    }
    EXPECT_SOUND(heap);
}

/* A reserve that a program believed in: esp8266/Arduino#7322 and #7328. */
TEST(heap_largest_free_is_exactly_what_alloc_grants, 8192)
{
    uint32_t seed = (uint32_t)tap_arg("seed", 1);
    tap_note("seed", (long long)seed);
    for (uint32_t i = 0; i < 4; i++) {
        largest_in_random_states(EA_FIT_GOOD, seed + i);
        largest_in_random_states(EA_FIT_HALF, seed + i);
    }
}

TEST(heap_half_fit_allocates_powers_of_two, 4096)
{
    ea_heap_options_t options = {0, EA_FIT_HALF};
    ea_heap_t *heap = ea_heap_init(tap_ram(), 4096, &options);
    REQUIRE(heap != NULL);
    for (size_t n = 1; n <= ea_heap_max_alloc_bytes(heap); n++) {
        char *block = ea_heap_alloc(heap, n);
        REQUIRE(block != NULL);
        size_t cost = ea_heap_usable_size_bytes(heap, block) + EA_HEAP_OVERHEAD_BYTES, want = 16;
        while (want < n + EA_HEAP_OVERHEAD_BYTES) want *= 2;
        EXPECT_EQ(cost, want);
        EXPECT_EQ(ea_heap_free(heap, block), EA_OK);
    }
    EXPECT(ea_heap_alloc(heap, ea_heap_max_alloc_bytes(heap) + 1) == NULL);
    EXPECT_SOUND(heap);
}

TEST_MAIN(&heap_init_refuses_null_and_unknown_options,
          &heap_init_takes_the_least_memory_that_holds_a_block,
          &heap_init_refuses_memory_smaller_than_its_alignment,
          &heap_init_keeps_the_span_within_the_links, &heap_works_in_misaligned_memory,
          &heap_deinit_reports_live_blocks, &heap_refuses_requests_after_deinit,
          &heap_reset_frees_all_blocks_and_keeps_counting,
          &heap_alloc_of_nothing_is_null_and_no_failure,
          &heap_alloc_serves_every_size_with_the_least_block, &heap_alloc_costs_four_bytes_a_block,
          &heap_refuses_what_no_heap_could_grant,
          &heap_is_whole_again_whatever_the_order_of_freeing,
          &heap_free_merges_with_free_neighbours, &heap_calloc_clears_and_detects_overflow,
          &heap_stats_follow_every_operation, &heap_min_free_is_the_lowest_until_it_is_reset,
          &heap_largest_free_is_exactly_what_alloc_grants, &heap_half_fit_allocates_powers_of_two)
