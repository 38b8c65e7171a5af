/* SPDX-License-Identifier: MIT
 *
 * ea_poolset_check() on damaged sets. This test damages private fields on purpose: every bit of the
 * control structures, one at a time. The check must survive all, change nothing, and find what it
 * promises to; what it cannot know is named below.
 */
#include <string.h>

#include "ealloc/poolset.h"
#include "poolset_testing.h"
#include "tap.h"

#define SET_RAM 2048

static fake_heap_t fake;
static const ea_poolset_heap_t fake_ops = {fake_alloc, fake_free, &fake};
static ea_poolset_t set;
static size_t used_bytes;

static bool make(void)
{
    ea_poolset_options_t options = {.strategy = EA_POOLSET_HEAP, .heap = &fake_ops};
    used_bytes = ea_poolset_bytes(three_classes, 3);
    if (ea_poolset_init(&set, tap_ram(), SET_RAM, three_classes, 3, &options) != EA_OK)
        return false;
    return ea_poolset_alloc(&set, 1) != NULL && ea_poolset_alloc(&set, BIG_BYTES) != NULL;
}

/* Flip each bit of what lies at offset and see the check find it. Returns how many it did not. */
static unsigned flip_all(void *base, size_t offset, size_t n_bytes)
{
    unsigned char *at = (unsigned char *)base + offset;
    unsigned n_missed = 0;
    for (size_t bit = 0; bit < n_bytes * 8; bit++) {
        ea_pool_report_t report = {NULL, NULL};
        at[bit / 8] ^= (unsigned char)(1u << bit % 8);
        ea_status_t status = ea_poolset_check(&set, &report);
        at[bit / 8] ^= (unsigned char)(1u << bit % 8);
        EXPECT_EQ(status == EA_OK, report.invariant == NULL);
        n_missed += status == EA_OK;
    }
    return n_missed;
}

#define FLIP(field) flip_all(&set, offsetof(ea_poolset_t, field), sizeof set.field)

TEST(poolset_check_finds_every_bit_of_the_set_that_is_damaged, SET_RAM)
{
    static unsigned char before[sizeof set];

    REQUIRE(make());
    EXPECT_EQ(ea_poolset_check(&set, NULL), EA_OK);
    memcpy(before, &set, sizeof set);
    EXPECT_EQ(FLIP(eai_pools), 0);
    EXPECT_EQ(FLIP(eai_pools_end), 0);
    EXPECT_EQ(FLIP(eai_n_classes), 0);
    /* Undetected: the heap withdrawn from the strategy, larger classes or waiting allowed. */
    EXPECT_EQ(FLIP(eai_strategy), EA_CFG_POOL_WAIT ? 3 : 2);
    EXPECT(memcmp(before, &set, sizeof set) == 0);
    /* Where the memory begins and ends: not a bit that would let blocks be missed. */
    EXPECT(FLIP(eai_begin) < sizeof(void *) * 8);
    EXPECT(FLIP(eai_end) < sizeof(void *) * 8);
    (void)FLIP(eai_heap); /* any pointer but NULL may be one */
    (void)FLIP(eai_counters);
    EXPECT_EQ(ea_poolset_check(&set, NULL), EA_OK);
}

TEST(poolset_check_survives_every_bit_of_its_pools_that_is_damaged, SET_RAM)
{
    REQUIRE(make());
    unsigned n_missed = flip_all(set.eai_pools, 0, 3 * sizeof(ea_pool_t));
    tap_note("of bits", (long long)(3 * sizeof(ea_pool_t) * 8));
    tap_note("not noticed", n_missed);
    /* Sizes and places are noticed; counters, and what has no redundancy in a pool, are not. */
    for (unsigned i = 0; i < 3; i++) {
        size_t pool = i * sizeof(ea_pool_t);
        EXPECT_EQ(flip_all(set.eai_pools, pool + offsetof(ea_pool_t, eai_base), sizeof(void *)), 0);
        /* A smaller number is told by the pool's seal of 8 bits alone. */
        EXPECT(flip_all(set.eai_pools, pool + offsetof(ea_pool_t, eai_n_blocks), 4) <= 2);
        EXPECT_EQ(flip_all(set.eai_pools, pool + offsetof(ea_pool_t, eai_block_bytes), 4), 0);
    }
    EXPECT_EQ(ea_poolset_check(&set, NULL), EA_OK);
}

TEST(poolset_check_tells_which_invariant_is_broken, SET_RAM)
{
    ea_pool_report_t report;

    REQUIRE(make());
    set.eai_n_classes = 2;
    EXPECT_EQ(ea_poolset_check(&set, &report), EA_ERR_CORRUPT);
    EXPECT(memcmp(report.invariant, "S1", 2) == 0 && report.where == &set);
    set.eai_n_classes = 3;
    set.eai_end -= BIG_BYTES;
    EXPECT_EQ(ea_poolset_check(&set, &report), EA_ERR_CORRUPT);
    EXPECT(memcmp(report.invariant, "S3", 2) == 0 && report.where == &set.eai_pools[2]);
    set.eai_end += BIG_BYTES;
    set.eai_heap = NULL;
    EXPECT_EQ(ea_poolset_check(&set, &report), EA_ERR_CORRUPT);
    EXPECT(memcmp(report.invariant, "S4", 2) == 0);
    set.eai_heap = &fake_ops;
    ea_pool_t middle = set.eai_pools[1];
    set.eai_pools[1].eai_block_bytes = SMALL_BYTES;
    EXPECT_EQ(ea_poolset_check(&set, &report), EA_ERR_CORRUPT);
    EXPECT(memcmp(report.invariant, "S2", 2) == 0 && report.where == &set.eai_pools[1]);
    set.eai_pools[1] = middle;
    EXPECT_EQ(ea_poolset_check(&set, &report), EA_OK);
    EXPECT(report.invariant == NULL);
}

TEST(poolset_check_of_random_bytes_survives, SET_RAM)
{
    unsigned long seed = tap_arg("seed", 1);
    uint32_t random = (uint32_t)seed * 2654435761u + 12345u;

    tap_note("seed", (long long)seed);
    for (unsigned round = 0; round < 2000; round++) {
        unsigned char *bytes = (unsigned char *)&set;
        for (size_t i = 0; i < sizeof set; i++) {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            bytes[i] = (unsigned char)random;
        }
        EXPECT_EQ(ea_poolset_check(&set, NULL), EA_ERR_CORRUPT);
    }
    memset(&set, 0, sizeof set);
    EXPECT_EQ(ea_poolset_check(&set, NULL), EA_ERR_CORRUPT);
}

TEST_MAIN(&poolset_check_finds_every_bit_of_the_set_that_is_damaged,
          &poolset_check_survives_every_bit_of_its_pools_that_is_damaged,
          &poolset_check_tells_which_invariant_is_broken, &poolset_check_of_random_bytes_survives)
