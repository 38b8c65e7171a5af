/* SPDX-License-Identifier: MIT
 *
 * Status codes: every one has a name, no number outside them has one.
 */
#include <string.h>

#include "ealloc/ealloc.h"
#include "tap.h"

static bool name_is(int status, const char *want)
{
    return strcmp(ea_status_name((ea_status_t)status), want) == 0;
}

TEST(status_zero_is_ok, 0)
{
    EXPECT_EQ(EA_OK, 0);
    EXPECT(name_is(0, "EA_OK"));
}

TEST(status_numbers_and_names_are_stable, 0)
{
    static const char *const names[] = {
        "EA_ERR_INVALID", "EA_ERR_NO_MEMORY",  "EA_ERR_TOO_LARGE",   "EA_ERR_RANGE",
        "EA_ERR_BUSY",    "EA_ERR_AGAIN",      "EA_ERR_DOUBLE_FREE", "EA_ERR_CORRUPT",
        "EA_ERR_FOREIGN", "EA_ERR_NOT_FOUND",  "EA_ERR_TIMEOUT",     "EA_ERR_CANCELLED",
        "EA_ERR_LIMIT",   "EA_ERR_CAPABILITY", "EA_ERR_NOT_OWNER",
    };

    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++) {
        EXPECT(name_is(-1 - i, names[i]));
    }
}

TEST(status_name_of_a_number_that_is_none_is_marked, 0)
{
    EXPECT(name_is(1, "EA_ERR_?"));
    EXPECT(name_is(EA_ERR_NOT_OWNER - 1, "EA_ERR_?"));
    EXPECT(name_is(-128, "EA_ERR_?"));
}

TEST_MAIN(&status_zero_is_ok, &status_numbers_and_names_are_stable,
          &status_name_of_a_number_that_is_none_is_marked)
