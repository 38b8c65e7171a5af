/* SPDX-License-Identifier: MIT
 *
 * Pool sets (row A14) in one context: classes, strategies, free with and without the size, numbers.
 * Waiting is in pool_wait_test.c.
 */
#include "ealloc/poolset.h"

#include <string.h>

#include "poolset_testing.h"
#include "tap.h"

#define SET_RAM 2048

EA_POOLSET_DEFINE_CLASSES_STATIC(fixed, CLASSES, EA_POOLSET_STRICT, 0, NULL);

static fake_heap_t fake;
static const ea_poolset_heap_t fake_ops = {fake_alloc, fake_free, &fake};

static bool make(ea_poolset_t *set, uint32_t strategy)
{
    ea_poolset_options_t options = {.strategy = strategy, .heap = &fake_ops};
    memset(&fake, 0, sizeof fake);
    return ea_poolset_init(set, tap_ram(), ea_poolset_bytes(three_classes, 3), three_classes, 3,
                           &options) == EA_OK;
}

static size_t n_live_of(const ea_poolset_t *set, size_t class_index)
{
    ea_poolset_class_stats_t stats;
    return ea_poolset_class_stats(set, class_index, &stats) == EA_OK ? stats.n_live : SIZE_MAX;
}

static void fill(ea_poolset_t *set, size_t size_bytes, unsigned n, void **blocks)
{
    for (unsigned i = 0; i < n; i++) {
        blocks[i] = ea_poolset_alloc(set, size_bytes);
        EXPECT(blocks[i] != NULL);
        if (blocks[i] != NULL) memset(blocks[i], 0x5A, size_bytes);
    }
}

static void free_all(ea_poolset_t *set, void **blocks, unsigned n)
{
    for (unsigned i = 0; i < n; i++) EXPECT_EQ(ea_poolset_free(set, blocks[i]), EA_OK);
}

static void expect_sound(const ea_poolset_t *set)
{
    ea_pool_report_t report;
    EXPECT_EQ(ea_poolset_check(set, &report), EA_OK);
}

/* --- definition and init ---------------------------------------------------------------------- */

TEST(poolset_defined_statically_works_without_init, 0)
{
    void *blocks[N_ALL];
    ea_poolset_stats_t stats;

    expect_sound(&fixed);
    fill(&fixed, SMALL_BYTES, N_SMALL, blocks);
    fill(&fixed, MIDDLE_BYTES, N_MIDDLE, blocks + N_SMALL);
    fill(&fixed, BIG_BYTES, N_BIG, blocks + N_SMALL + N_MIDDLE);
    expect_sound(&fixed);
    ea_poolset_stats(&fixed, &stats);
    EXPECT_EQ(stats.n_classes, 3);
    EXPECT_EQ(stats.n_live, N_ALL);
    EXPECT_EQ(stats.used_permille, 1000);
    EXPECT_EQ(stats.total_bytes,
              N_SMALL * SMALL_BYTES + N_MIDDLE * MIDDLE_BYTES + N_BIG * BIG_BYTES);
    free_all(&fixed, blocks, N_ALL);
    EXPECT_EQ(ea_poolset_deinit(&fixed, NULL), EA_OK);
    EXPECT(ea_poolset_alloc(&fixed, 1) == NULL);
    EXPECT_EQ(ea_poolset_free(&fixed, blocks[0]), EA_ERR_FOREIGN);
}

TEST(poolset_default_classes_are_those_of_the_configuration, 24 * 1024)
{
    static const uint32_t sizes[] = {EA_CFG_POOLSET_TINY_BYTES, EA_CFG_POOLSET_SMALL_BYTES,
                                     EA_CFG_POOLSET_MEDIUM_BYTES, EA_CFG_POOLSET_LARGE_BYTES,
                                     EA_CFG_POOLSET_XLARGE_BYTES};
    static const uint32_t counts[] = {EA_CFG_POOLSET_TINY_BLOCKS, EA_CFG_POOLSET_SMALL_BLOCKS,
                                      EA_CFG_POOLSET_MEDIUM_BLOCKS, EA_CFG_POOLSET_LARGE_BLOCKS,
                                      EA_CFG_POOLSET_XLARGE_BLOCKS};
    ea_poolset_t set;
    ea_poolset_class_stats_t stats;

    REQUIRE(ea_poolset_init(&set, tap_ram(), 24 * 1024, NULL, 0, NULL) == EA_OK);
    for (size_t i = 0; i < 5; i++) {
        REQUIRE(ea_poolset_class_stats(&set, i, &stats) == EA_OK);
        EXPECT_EQ(stats.block_bytes, sizes[i]);
        EXPECT_EQ(stats.n_blocks, counts[i]);
    }
    EXPECT_EQ(ea_poolset_class_stats(&set, 5, &stats), EA_ERR_NOT_FOUND);
    EXPECT_EQ(stats.n_blocks, 0);
    expect_sound(&set);
}

TEST(poolset_init_needs_no_alignment_and_exactly_the_bytes_it_says, SET_RAM)
{
    size_t needed = ea_poolset_bytes(three_classes, 3);
    unsigned char *ram = tap_ram();
    ea_poolset_t set;
    void *blocks[N_ALL];

    REQUIRE(needed != 0 && needed + EA_POOL_ALIGN <= SET_RAM);
    for (size_t offset = 0; offset < EA_POOL_ALIGN; offset++) {
        memset(ram, 0xA5, SET_RAM);
        REQUIRE(ea_poolset_init(&set, ram + offset, needed, three_classes, 3, NULL) == EA_OK);
        fill(&set, SMALL_BYTES, N_SMALL, blocks);
        fill(&set, MIDDLE_BYTES, N_MIDDLE, blocks + N_SMALL);
        fill(&set, BIG_BYTES, N_BIG, blocks + N_SMALL + N_MIDDLE);
        for (size_t size = 1; size <= BIG_BYTES; size++) {
            REQUIRE(ea_poolset_alloc(&set, size) == NULL);
        }
        EXPECT(offset == 0 || ram[offset - 1] == 0xA5);
        EXPECT_EQ(ram[offset + needed], 0xA5);
        expect_sound(&set);
    }
    EXPECT_EQ(ea_poolset_init(&set, ram, needed - 1, three_classes, 3, NULL), EA_ERR_NO_MEMORY);
}

TEST(poolset_init_refuses_what_makes_no_set, SET_RAM)
{
    static const ea_poolset_class_t descending[] = {{64, 1}, {32, 1}};
    static const ea_poolset_class_t alike[] = {{61, 1}, {64, 1}}; /* rounded up they are */
    static const ea_poolset_class_t empty[] = {{32, 1}, {64, 0}};
    static const ea_poolset_class_t no_size[] = {{0, 4}};
    static const ea_poolset_class_t huge[] = {{UINT32_MAX, UINT32_MAX}};
    static const ea_poolset_heap_t no_free = {fake_alloc, NULL, NULL};
    ea_poolset_class_t many[EA_POOLSET_MAX_CLASSES + 1];
    ea_poolset_options_t options = {.strategy = EA_POOLSET_HEAP};
    ea_poolset_t set;

    for (uint32_t i = 0; i <= EA_POOLSET_MAX_CLASSES; i++) {
        many[i] = (ea_poolset_class_t){16 * (i + 1), 1};
    }
    EXPECT_EQ(ea_poolset_init(&set, tap_ram(), SET_RAM, descending, 2, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_poolset_init(&set, tap_ram(), SET_RAM, alike, 2, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_poolset_init(&set, tap_ram(), SET_RAM, empty, 2, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_poolset_init(&set, tap_ram(), SET_RAM, no_size, 1, NULL), EA_ERR_INVALID);
    EXPECT(ea_poolset_init(&set, tap_ram(), SET_RAM, huge, 1, NULL) != EA_OK);
    EXPECT_EQ(ea_poolset_init(&set, tap_ram(), SET_RAM, many, EA_POOLSET_MAX_CLASSES + 1, NULL),
              EA_ERR_INVALID);
    EXPECT_EQ(ea_poolset_init(&set, tap_ram(), SET_RAM, three_classes, 0, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_poolset_init(&set, NULL, SET_RAM, three_classes, 3, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_poolset_init(&set, tap_ram(), SIZE_MAX, three_classes, 3, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_poolset_init(NULL, tap_ram(), SET_RAM, three_classes, 3, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_poolset_init(&set, tap_ram(), SET_RAM, three_classes, 3, &options),
              EA_ERR_INVALID); /* no heap */
    options.heap = &no_free;
    EXPECT_EQ(ea_poolset_init(&set, tap_ram(), SET_RAM, three_classes, 3, &options),
              EA_ERR_INVALID);
    options.strategy = 8;
    EXPECT_EQ(ea_poolset_init(&set, tap_ram(), SET_RAM, three_classes, 3, &options),
              EA_ERR_INVALID);
    options.strategy = EA_POOLSET_WAIT;
    EXPECT_EQ(ea_poolset_init(&set, tap_ram(), SET_RAM, three_classes, 3, &options),
              EA_CFG_POOL_WAIT ? EA_OK : EA_ERR_INVALID);
}

TEST(poolset_takes_as_many_classes_as_it_says, SET_RAM)
{
    ea_poolset_class_t many[EA_POOLSET_MAX_CLASSES];
    ea_poolset_t set;

    for (uint32_t i = 0; i < EA_POOLSET_MAX_CLASSES; i++) {
        many[i] = (ea_poolset_class_t){8 * (i + 1), 1};
    }
    for (uint32_t n = 1; n <= EA_POOLSET_MAX_CLASSES; n++) {
        void *blocks[EA_POOLSET_MAX_CLASSES];
        size_t bytes = ea_poolset_bytes(many, n);
        if (bytes > SET_RAM) break; /* pointers of 64 bits make large control structures */
        REQUIRE(ea_poolset_init(&set, tap_ram(), bytes, many, n, NULL) == EA_OK);
        for (uint32_t i = 0; i < n; i++) {
            blocks[i] = ea_poolset_alloc(&set, 8 * i + 1);
            REQUIRE(blocks[i] != NULL);
            EXPECT_EQ(n_live_of(&set, i), 1);
            EXPECT_EQ(ea_poolset_usable_bytes(&set, blocks[i]), 8 * (i + 1));
        }
        for (uint32_t i = 0; i < n; i++) {
            EXPECT_EQ(ea_poolset_free(&set, blocks[i]), EA_OK);
            EXPECT_EQ(n_live_of(&set, i), 0);
        }
    }
}

/* --- strategies ------------------------------------------------------------------------------- */

TEST(poolset_request_goes_to_the_smallest_class_that_holds_it, SET_RAM)
{
    ea_poolset_t set;

    REQUIRE(make(&set, EA_POOLSET_STRICT));
    for (size_t size = 1; size <= BIG_BYTES; size++) {
        size_t c = size <= SMALL_BYTES ? 0 : size <= MIDDLE_BYTES ? 1 : 2;
        void *block = ea_poolset_alloc(&set, size);
        REQUIRE(block != NULL);
        EXPECT_EQ(n_live_of(&set, c), 1);
        EXPECT(ea_poolset_owns(&set, block));
        EXPECT(ea_poolset_usable_bytes(&set, block) >= size);
        EXPECT_EQ(ea_poolset_free(&set, block), EA_OK);
    }
    EXPECT(ea_poolset_alloc(&set, 0) == NULL);
    EXPECT(ea_poolset_alloc(&set, BIG_BYTES + 1) == NULL);
    EXPECT(ea_poolset_alloc(&set, SIZE_MAX) == NULL);
    ea_poolset_stats_t stats;
    ea_poolset_stats(&set, &stats);
    EXPECT_EQ(stats.n_failures, 3);
}

TEST(poolset_strict_refuses_when_the_own_class_is_empty, SET_RAM)
{
    ea_poolset_t set;
    void *blocks[N_SMALL];

    REQUIRE(make(&set, EA_POOLSET_STRICT));
    fill(&set, SMALL_BYTES, N_SMALL, blocks);
    EXPECT(ea_poolset_alloc(&set, SMALL_BYTES) == NULL);
    EXPECT_EQ(n_live_of(&set, 1), 0);
    EXPECT_EQ(fake.n_calls, 0);
    free_all(&set, blocks, N_SMALL);
    EXPECT(ea_poolset_alloc(&set, SMALL_BYTES) != NULL);
}

TEST(poolset_next_larger_takes_the_nearest_class_that_has_a_block, SET_RAM)
{
    ea_poolset_t set;
    ea_poolset_stats_t stats;
    void *blocks[N_ALL];

    REQUIRE(make(&set, EA_POOLSET_NEXT_LARGER));
    for (unsigned i = 0; i < N_ALL; i++) {
        blocks[i] = ea_poolset_alloc(&set, 1);
        REQUIRE(blocks[i] != NULL);
        size_t want = i < N_SMALL ? SMALL_BYTES : i < N_SMALL + N_MIDDLE ? MIDDLE_BYTES : BIG_BYTES;
        EXPECT_EQ(ea_poolset_usable_bytes(&set, blocks[i]), want);
    }
    EXPECT(ea_poolset_alloc(&set, 1) == NULL);
    ea_poolset_stats(&set, &stats);
    EXPECT_EQ(stats.n_larger, N_MIDDLE + N_BIG);
    EXPECT_EQ(stats.n_failures, 1);
    EXPECT_EQ(fake.n_calls, 0);
    free_all(&set, blocks, N_ALL);
    expect_sound(&set);
}

TEST(poolset_falls_back_to_the_heap_last, SET_RAM)
{
    ea_poolset_t set;
    ea_poolset_stats_t stats;
    void *blocks[N_ALL + 2];

    REQUIRE(make(&set, EA_POOLSET_NEXT_LARGER | EA_POOLSET_HEAP));
    for (unsigned i = 0; i < N_ALL; i++) blocks[i] = ea_poolset_alloc(&set, 1);
    EXPECT_EQ(fake.n_calls, 0);
    blocks[N_ALL] = ea_poolset_alloc(&set, 1);
    blocks[N_ALL + 1] = ea_poolset_alloc(&set, BIG_BYTES + 1);
    EXPECT(blocks[N_ALL] == fake.blocks[0]);
    EXPECT(blocks[N_ALL + 1] == fake.blocks[1]);
    EXPECT(!ea_poolset_owns(&set, fake.blocks[0]));
    EXPECT_EQ(ea_poolset_usable_bytes(&set, fake.blocks[0]), 0);
    EXPECT(ea_poolset_alloc(&set, FAKE_BLOCK_BYTES + 1) == NULL);
    ea_poolset_stats(&set, &stats);
    EXPECT_EQ(stats.n_heap_live, 2);
    EXPECT_EQ(stats.n_failures, 1);
    free_all(&set, blocks, N_ALL + 1);
    size_t n_live = 0;
    EXPECT_EQ(ea_poolset_deinit(&set, &n_live), EA_ERR_BUSY); /* the heap's block lives */
    EXPECT_EQ(n_live, 1);
    EXPECT_EQ(ea_poolset_free(&set, blocks[N_ALL + 1]), EA_OK);
    EXPECT_EQ(ea_poolset_free(&set, blocks[N_ALL + 1]), EA_ERR_DOUBLE_FREE); /* the heap's word */
    EXPECT_EQ(ea_poolset_free(&set, &stats), EA_ERR_FOREIGN);
    ea_poolset_stats(&set, &stats);
    EXPECT_EQ(stats.n_heap_live, 0);
    EXPECT_EQ(stats.n_heap_allocs, 2);
    EXPECT_EQ(ea_poolset_deinit(&set, NULL), EA_OK);
}

TEST(poolset_survives_the_failure_of_any_heap_call, SET_RAM)
{
    for (unsigned fail = 1; fail <= FAKE_BLOCKS; fail++) {
        ea_poolset_t set;
        ea_poolset_stats_t stats;
        void *blocks[N_SMALL + FAKE_BLOCKS];
        unsigned n = 0;

        REQUIRE(make(&set, EA_POOLSET_HEAP));
        fake.fail_call = fail;
        for (unsigned i = 0; i < N_SMALL + FAKE_BLOCKS; i++) {
            void *block = ea_poolset_alloc(&set, SMALL_BYTES);
            EXPECT_EQ(block == NULL, i + 1 == N_SMALL + fail);
            if (block != NULL) blocks[n++] = block;
        }
        ea_poolset_stats(&set, &stats);
        EXPECT_EQ(stats.n_failures, 1);
        EXPECT_EQ(stats.n_heap_live, FAKE_BLOCKS - 1);
        free_all(&set, blocks, n);
        expect_sound(&set);
        EXPECT_EQ(ea_poolset_deinit(&set, NULL), EA_OK);
    }
}

TEST(poolset_alloc_isr_asks_the_pools_only, SET_RAM)
{
    ea_poolset_t set;

    REQUIRE(make(&set, EA_POOLSET_NEXT_LARGER | EA_POOLSET_HEAP));
    for (unsigned i = 0; i < N_ALL; i++) EXPECT(ea_poolset_alloc_isr(&set, 1) != NULL);
    EXPECT(ea_poolset_alloc_isr(&set, 1) == NULL);
    EXPECT(ea_poolset_alloc_isr(&set, BIG_BYTES + 1) == NULL);
    EXPECT_EQ(fake.n_calls, 0);
}

/* --- free ------------------------------------------------------------------------------------- */

TEST(poolset_free_refuses_what_is_no_live_block_and_changes_nothing, SET_RAM)
{
    ea_poolset_t set;
    ea_poolset_stats_t before, after;
    unsigned char outside;
    unsigned n_accepted = 0;

    REQUIRE(make(&set, EA_POOLSET_STRICT));
    unsigned char *block = ea_poolset_alloc(&set, MIDDLE_BYTES);
    unsigned char *ram = tap_ram();
    ea_poolset_stats(&set, &before);
    EXPECT_EQ(ea_poolset_free(&set, NULL), EA_OK);
    EXPECT_EQ(ea_poolset_free(&set, &outside), EA_ERR_FOREIGN);
    EXPECT_EQ(ea_poolset_free(&set, &set), EA_ERR_FOREIGN);
    for (size_t i = 0; i < SET_RAM; i++) { /* control structures, bits, blocks, beyond */
        if (ram + i == block) continue;
        ea_status_t status = ea_poolset_free(&set, ram + i);
        n_accepted += status == EA_OK;
        EXPECT_EQ(status == EA_ERR_DOUBLE_FREE, ea_poolset_owns(&set, ram + i));
    }
#if EA_CFG_POOL_VALIDATE
    EXPECT_EQ(n_accepted, 0);
#endif
    ea_poolset_stats(&set, &after);
    EXPECT(memcmp(&before, &after, sizeof before) == 0);
    expect_sound(&set);
    EXPECT_EQ(ea_poolset_free(&set, block), EA_OK);
    EXPECT_EQ(ea_poolset_free(&set, block), EA_ERR_DOUBLE_FREE);
}

TEST(poolset_free_sized_refuses_a_size_the_block_cannot_have, SET_RAM)
{
    for (unsigned larger = 0; larger <= 1; larger++) {
        ea_poolset_t set;
        REQUIRE(make(&set, larger ? EA_POOLSET_NEXT_LARGER : EA_POOLSET_STRICT));
        for (size_t size = 0; size <= BIG_BYTES + 1; size++) {
            void *block = ea_poolset_alloc(&set, MIDDLE_BYTES);
            REQUIRE(block != NULL);
            bool right = size != 0 && size <= MIDDLE_BYTES && (larger || size > SMALL_BYTES);
            EXPECT_EQ(ea_poolset_free_sized(&set, block, size), right ? EA_OK : EA_ERR_INVALID);
            EXPECT_EQ(n_live_of(&set, 1), right ? 0 : 1); /* refused: still live */
            if (!right) EXPECT_EQ(ea_poolset_free(&set, block), EA_OK);
        }
        EXPECT_EQ(ea_poolset_free_sized(&set, NULL, 1), EA_OK);
        EXPECT_EQ(ea_poolset_free_sized(&set, &set, 1), EA_ERR_FOREIGN);
    }
}

TEST(poolset_free_sized_gives_the_heap_its_blocks, SET_RAM)
{
    ea_poolset_t set;

    REQUIRE(make(&set, EA_POOLSET_HEAP));
    void *block = ea_poolset_alloc(&set, BIG_BYTES + 1);
    EXPECT_EQ(ea_poolset_free_sized(&set, block, BIG_BYTES + 1), EA_OK);
    EXPECT(!fake.used[0]);
}

/* --- numbers and life ------------------------------------------------------------------------- */

TEST(poolset_stats_tell_use_of_each_class_and_of_all, SET_RAM)
{
    ea_poolset_t set;
    ea_poolset_stats_t all;
    ea_poolset_class_stats_t small, big;
    void *blocks[N_SMALL];

    REQUIRE(make(&set, EA_POOLSET_STRICT));
    fill(&set, SMALL_BYTES, N_SMALL, blocks);
    void *block = ea_poolset_alloc(&set, BIG_BYTES);
    (void)!ea_poolset_alloc(&set, SMALL_BYTES);
    free_all(&set, blocks, N_SMALL / 2);
    EXPECT_EQ(ea_poolset_class_stats(&set, 0, &small), EA_OK);
    EXPECT_EQ(ea_poolset_class_stats(&set, 2, &big), EA_OK);
    ea_poolset_stats(&set, &all);
    EXPECT_EQ(small.n_live, N_SMALL / 2);
    EXPECT_EQ(small.n_peak, N_SMALL);
    EXPECT_EQ(small.n_allocs, N_SMALL);
    EXPECT_EQ(small.n_failures, 1);
    EXPECT_EQ(small.used_permille, 500);
    EXPECT_EQ(big.used_permille, 1000 / N_BIG);
    EXPECT_EQ(all.live_bytes, N_SMALL / 2 * SMALL_BYTES + BIG_BYTES);
    EXPECT_EQ(all.n_live, N_SMALL / 2 + 1);
    EXPECT_EQ(all.used_permille, all.live_bytes * 1000 / all.total_bytes);
    EXPECT_EQ(ea_poolset_free(&set, block), EA_OK);
}

TEST(poolset_deinit_refuses_while_blocks_live, SET_RAM)
{
    ea_poolset_t set;
    size_t n_live = 0;

    REQUIRE(make(&set, EA_POOLSET_STRICT));
    void *a = ea_poolset_alloc(&set, SMALL_BYTES), *b = ea_poolset_alloc(&set, BIG_BYTES);
    EXPECT_EQ(ea_poolset_deinit(&set, &n_live), EA_ERR_BUSY);
    EXPECT_EQ(n_live, 2);
    expect_sound(&set);
    EXPECT_EQ(ea_poolset_free(&set, a), EA_OK); /* it is as it was */
    EXPECT_EQ(ea_poolset_free(&set, b), EA_OK);
    EXPECT_EQ(ea_poolset_deinit(&set, &n_live), EA_OK);
    EXPECT_EQ(n_live, 0);
    EXPECT(ea_poolset_alloc(&set, 1) == NULL);
    EXPECT_EQ(ea_poolset_free(&set, a), EA_ERR_FOREIGN);
    EXPECT_EQ(ea_poolset_check(&set, NULL), EA_ERR_CORRUPT);
}

TEST_MAIN(&poolset_defined_statically_works_without_init,
          &poolset_default_classes_are_those_of_the_configuration,
          &poolset_init_needs_no_alignment_and_exactly_the_bytes_it_says,
          &poolset_init_refuses_what_makes_no_set, &poolset_takes_as_many_classes_as_it_says,
          &poolset_request_goes_to_the_smallest_class_that_holds_it,
          &poolset_strict_refuses_when_the_own_class_is_empty,
          &poolset_next_larger_takes_the_nearest_class_that_has_a_block,
          &poolset_falls_back_to_the_heap_last, &poolset_survives_the_failure_of_any_heap_call,
          &poolset_alloc_isr_asks_the_pools_only,
          &poolset_free_refuses_what_is_no_live_block_and_changes_nothing,
          &poolset_free_sized_refuses_a_size_the_block_cannot_have,
          &poolset_free_sized_gives_the_heap_its_blocks,
          &poolset_stats_tell_use_of_each_class_and_of_all,
          &poolset_deinit_refuses_while_blocks_live)
