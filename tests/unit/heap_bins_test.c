/* SPDX-License-Identifier: MIT
 *
 * The bin of a block size, an internal mapping that cores without a scan instruction compute in
 * another way and that depends on alignment and link width: built once for each of them.
 */
#include "stores/heap_internal.h"

#include "heap_testing.h"

/* The bin by definition: one a granule, then four equal steps a doubling. */
static uint32_t bin_by_steps(uint32_t size)
{
    uint32_t granules = size / EA_HEAP_ALIGN, bin = 0, step = 1, from = 0;
    for (;;) {
        uint32_t n = from == 0 ? 8 : 4; /* bins of this step */
        if (granules < from + n * step) return bin + (granules - from) / step;
        from += n * step;
        bin += n;
        step *= 2;
    }
}

static void compare(uint32_t size)
{
    uint32_t bin = bin_of(size);
    EXPECT_EQ(bin, bin_by_steps(size));
    EXPECT(bin_floor(bin) <= size);
    EXPECT_EQ(bin_of(bin_floor(bin)), bin);
}

TEST(heap_bins_are_one_a_granule_then_four_a_doubling, 0)
{
    for (uint32_t size = EA_HEAP_MIN_BLOCK_BYTES; size <= 0x4000; size += EA_HEAP_ALIGN)
        compare(size);
    /* Both sides of each bin's lower bound, as far as the links reach. */
    uint32_t last = EAI_MAX_SPAN_BYTES & ~EAI_MASK;
    for (uint32_t bin = EAI_FIRST_BIN + 1; bin <= bin_of(last); bin++) {
        uint32_t floor = bin_floor(bin);
        compare(floor);
        compare(floor - EA_HEAP_ALIGN);
        EXPECT_EQ(bin_of(floor - EA_HEAP_ALIGN), bin - 1);
    }
    compare(last);
}

TEST(heap_bins_of_the_largest_span_fit_the_bitmap, 0)
{
    uint32_t guard = bin_of(EAI_MAX_SPAN_BYTES & ~EAI_MASK) + 2;
    EXPECT(guard < EAI_WORDS * 32);
    EXPECT(guard - 1 - EAI_FIRST_BIN <= EA_HEAP_MAX_BINS);
}

TEST_MAIN(&heap_bins_are_one_a_granule_then_four_a_doubling,
          &heap_bins_of_the_largest_span_fit_the_bitmap)
