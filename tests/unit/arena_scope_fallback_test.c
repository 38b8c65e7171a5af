/* SPDX-License-Identifier: MIT
 *
 * Scopes of the arena where the compiler has no cleanup attribute: what the header promises for
 * that case, and no more.
 */
#define EA_HAS_CLEANUP 0
#include "arena_testing.h"

static ea_arena_t arena;

TEST(arena_scope_without_cleanup_rewinds_at_its_end, 512)
{
    REQUIRE(ea_arena_init(&arena, tap_ram(), 512, NULL) == EA_OK);
    for (int i = 0; i < 4; i++) {
        EA_ARENA_SCOPE(&arena)
        {
            EXPECT(ea_arena_alloc(&arena, 400) != NULL);
            if (i & 1) continue;
            EXPECT(ea_arena_alloc(&arena, 16) != NULL);
        }
        EXPECT_EQ(arena_stats(&arena).low_bytes, 0);
    }
}

TEST(arena_scope_without_cleanup_is_caught_up_by_the_outer_one, 512)
{
    REQUIRE(ea_arena_init(&arena, tap_ram(), 512, NULL) == EA_OK);
    EA_ARENA_SCOPE(&arena)
    {
        EA_ARENA_SCOPE(&arena)
        {
            EXPECT(ea_arena_alloc(&arena, 16) != NULL);
            break;
        }
        EXPECT(arena_stats(&arena).low_bytes == 16);
    }
    EXPECT_EQ(arena_stats(&arena).low_bytes, 0);
    EXPECT_ARENA_SOUND(&arena);
}

TEST_MAIN(&arena_scope_without_cleanup_rewinds_at_its_end,
          &arena_scope_without_cleanup_is_caught_up_by_the_outer_one)
