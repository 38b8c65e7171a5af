/* SPDX-License-Identifier: MIT
 *
 * The harness tests itself: what must pass. What must fail is in harness_failures.c.
 */
#include "tap.h"

TEST(ram_is_aligned_and_filled, 4096)
{
    const unsigned char *ram = tap_ram();
    EXPECT_EQ((uintptr_t)ram % 16, 0);
    for (size_t i = 0; i < 4096; i++) REQUIRE(ram[i] == 0xA5);
}

TEST(ram_is_filled_anew, 64)
{
    unsigned char *ram = tap_ram();
    EXPECT_EQ(ram[63], 0xA5);
    ram[63] = 0;
}

TEST(argument_not_given_is_the_default, 0)
{
    EXPECT_EQ(tap_arg("no-such-argument", 17), 17);
}

/* No board has this much: skipped everywhere, and the skip is no failure. */
TEST(too_large_is_skipped, 64u << 20)
{
    EXPECT(false);
}

TEST_MAIN(&ram_is_filled_anew, &ram_is_aligned_and_filled, &argument_not_given_is_the_default,
          &too_large_is_skipped)
