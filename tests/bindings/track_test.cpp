// SPDX-License-Identifier: MIT
//
// Scopes as objects (row B6): an operation ends with its object, by whatever way that is left.

#include "cpp_testing.hpp"

static ea_scope_record_t last;
static unsigned n_told;

static void tell(void *, const ea_scope_record_t *record)
{
    last = *record;
    n_told++;
}

static ea_scopes_t scopes;

static bool begin(void *ram)
{
    ea_scopes_options_t options = {};
    options.n_names = 8;
    options.n_tasks = 2;
    options.record = tell;
    n_told = 0;
    return ea_scopes_init(&scopes, ram, EA_SCOPES_BYTES(8, 2), &options) == EA_OK;
}

static int work(bool early)
{
    ealloc::Track track(scopes, "work");
    ea_scopes_count(&scopes, EA_BLOCK_ALLOCATED, 40);
    if (early) return 1;
    ea_scopes_count(&scopes, EA_BLOCK_FREED, 40);
    return 0;
}

TEST(track_ends_with_its_object, EA_SCOPES_BYTES(8, 2))
{
    REQUIRE(begin(tap_ram()));
    EXPECT_EQ(work(false), 0);
    EXPECT_EQ(last.delta_bytes, 0);
    EXPECT_EQ(last.peak_bytes, 40);
    EXPECT_EQ(work(true), 1);
    EXPECT_EQ(last.delta_bytes, 40);
    {
        ealloc::Track outer(scopes, "outer");
        (void)work(false);
        EXPECT_EQ(last.depth, 1);
    }
    EXPECT_EQ(n_told, 4);
    EXPECT_EQ(last.depth, 0);
}

TEST(track_of_c_is_that_of_cpp_too, EA_SCOPES_BYTES(8, 2))
{
    REQUIRE(begin(tap_ram()));
    EA_TRACK(&scopes, "c")
    {
        ea_scopes_count(&scopes, EA_BLOCK_ALLOCATED, 8);
        if (n_told == 0) break;
    }
    EXPECT_EQ(n_told, 1);
    EXPECT_EQ(last.delta_bytes, 8);
}

#if defined(__cpp_exceptions)
TEST(track_ends_by_an_exception, EA_SCOPES_BYTES(8, 2))
{
    REQUIRE(begin(tap_ram()));
    try {
        ealloc::Track track(scopes, "throws");
        throw 1;
    } catch (int) {
    }
    EXPECT_EQ(n_told, 1);
}
TEST_MAIN(&track_ends_with_its_object, &track_of_c_is_that_of_cpp_too, &track_ends_by_an_exception)
#else
TEST_MAIN(&track_ends_with_its_object, &track_of_c_is_that_of_cpp_too)
#endif
