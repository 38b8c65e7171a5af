/* SPDX-License-Identifier: MIT
 *
 * A program that dies must not pass: on a board the fault handler ends it with a code of its own.
 */
#include "tap.h"

TEST(dies, 0)
{
    __builtin_trap();
}

TEST_MAIN(&dies)
