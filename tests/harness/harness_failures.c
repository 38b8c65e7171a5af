/* SPDX-License-Identifier: MIT
 *
 * Every test here fails; a harness that passes one of them is broken.
 */
#include "tap.h"

TEST(expect_fails, 0)
{
    EXPECT(1 == 2);
}

TEST(expect_eq_fails, 0)
{
    EXPECT_EQ(-2, 2);
}

TEST(require_returns, 0)
{
    REQUIRE(1 == 2);
    tap_note("REQUIRE did not return", 0);
}

TEST(writing_behind_the_ram_fails, 32)
{
    unsigned char *ram = tap_ram();
    ram[32] = 0;
}

TEST_MAIN(&expect_fails, &expect_eq_fails, &require_returns, &writing_behind_the_ram_fails)
