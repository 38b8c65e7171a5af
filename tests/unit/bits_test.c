/* SPDX-License-Identifier: MIT
 *
 * The bit scans under every bitmap, against references that try one bit after the other. An
 * internal header: the machine chooses which end of a word is first, and so does the reference. The
 * host builds this test twice, the second time as for a core without a scan instruction.
 */
#include "base/bits.h"

#include "heap_testing.h"

/* Bit i of a word, counted from the machine's first. */
static uint32_t mask_of(uint32_t i)
{
    return EAI_FIRST_IS_TOP ? (uint32_t)1 << (31 - i) : (uint32_t)1 << i;
}

static uint32_t clz_of(uint32_t word)
{
    uint32_t n = 0;
    while (n < 32 && !(word >> (31 - n))) n++;
    return n;
}

static uint32_t first_of(uint32_t word)
{
    uint32_t i = 0;
    while (!(word & mask_of(i))) i++;
    return i;
}

static uint32_t last_of(uint32_t word)
{
    uint32_t i = 31;
    while (!(word & mask_of(i))) i--;
    return i;
}

static void compare(uint32_t word)
{
    if (word != 0) {
        EXPECT_EQ(eai_clz32(word), clz_of(word));
        EXPECT_EQ(eai_bits_first(word), first_of(word));
        EXPECT_EQ(eai_bits_last(word), last_of(word));
    }
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t want = 0;
        for (uint32_t k = i; k < 32; k++) {
            if (word & mask_of(k)) want |= mask_of(k - i);
        }
        EXPECT_EQ(eai_bits_from(word, i), want);
    }
}

TEST(bits_of_one_two_and_runs_of_bits_are_found, 0)
{
    compare(0);
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t below = ((uint32_t)1 << i) - 1;
        compare((uint32_t)1 << i);
        compare(below);
        compare(~below);
        for (uint32_t k = 0; k < i; k++) compare((uint32_t)1 << i | (uint32_t)1 << k);
    }
}

TEST(bits_of_random_words_are_found, 0)
{
    uint32_t seed = (uint32_t)tap_arg("seed", 1), word = seed;
    tap_note("seed", (long long)seed);
    for (int i = 0; i < 500; i++) {
        uint32_t dense = next_random(&word);
        compare(dense);
        compare(dense & next_random(&word) & next_random(&word));
    }
}

/* Callers pass bin numbers: the bit within the word is the number modulo 32. A constant and a
 * variable number take different ways. */
TEST(bits_masks_have_one_bit_each_and_repeat_after_32, 0)
{
    for (uint32_t bin = 0; bin < 256; bin++) {
        volatile uint32_t unknown = bin;
        EXPECT_EQ(eai_bit(unknown), mask_of(bin % 32));
    }
    EXPECT_EQ(eai_bit(0), mask_of(0));
    EXPECT_EQ(eai_bit(31), mask_of(31));
    EXPECT_EQ(eai_bit(32), mask_of(0));
    EXPECT_EQ(eai_bit(127), mask_of(31));
}

TEST_MAIN(&bits_of_one_two_and_runs_of_bits_are_found, &bits_of_random_words_are_found,
          &bits_masks_have_one_bit_each_and_repeat_after_32)
