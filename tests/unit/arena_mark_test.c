/* SPDX-License-Identifier: MIT
 *
 * Marks, scopes and guards of the arena (row A11). Guard tests write past their blocks on purpose.
 */
#include "arena_testing.h"

static ea_arena_t arena;

static bool start(size_t size_bytes, const ea_arena_options_t *options)
{
    return ea_arena_init(&arena, tap_ram(), size_bytes, options) == EA_OK;
}

static size_t used(void)
{
    return arena_stats(&arena).low_bytes + arena_stats(&arena).high_bytes;
}

/* --- marks ------------------------------------------------------------------------------------ */

TEST(arena_rewind_gives_back_what_came_after_the_mark, 512)
{
    for (ea_arena_end_t end = EA_ARENA_LOW; end <= EA_ARENA_HIGH; end++) {
        REQUIRE(start(512, &(ea_arena_options_t){.alignment_bytes = 8}));
        void *(*alloc)(ea_arena_t *, size_t) = end ? ea_arena_alloc_high : ea_arena_alloc;
        char *kept = alloc(&arena, 24);
        fill_with(kept, 24, 1);
        ea_arena_mark_t mark = ea_arena_mark(&arena, end);
        char *block = alloc(&arena, 40);
        (void)!alloc(&arena, 80);
        EXPECT_EQ(used(), 144);
        EXPECT_EQ(ea_arena_rewind(&arena, &mark), EA_OK);
        EXPECT_EQ(used(), 24);
        EXPECT(alloc(&arena, 40) == block);
        EXPECT(holds(kept, 24, 1));
        EXPECT_ARENA_SOUND(&arena);
    }
}

TEST(arena_marks_of_the_two_ends_are_independent, 512)
{
    REQUIRE(start(512, &(ea_arena_options_t){.alignment_bytes = 8}));
    ea_arena_mark_t low = ea_arena_mark(&arena, EA_ARENA_LOW);
    (void)!ea_arena_alloc_high(&arena, 8);
    ea_arena_mark_t high = ea_arena_mark(&arena, EA_ARENA_HIGH);
    (void)!ea_arena_alloc(&arena, 16);
    (void)!ea_arena_alloc_high(&arena, 32);
    EXPECT_EQ(ea_arena_rewind(&arena, &low), EA_OK);
    EXPECT_EQ(arena_stats(&arena).low_bytes, 0);
    EXPECT_EQ(arena_stats(&arena).high_bytes, 40);
    EXPECT_EQ(ea_arena_rewind(&arena, &high), EA_OK);
    EXPECT_EQ(arena_stats(&arena).high_bytes, 8);
    EXPECT_ARENA_SOUND(&arena);
}

TEST(arena_rewind_of_an_outer_mark_undoes_the_inner_ones, 512)
{
    REQUIRE(start(512, &(ea_arena_options_t){.alignment_bytes = 8, .guard = EA_CFG_ARENA_GUARD}));
    ea_arena_mark_t marks[4];
    for (int i = 0; i < 4; i++) {
        marks[i] = ea_arena_mark(&arena, EA_ARENA_LOW);
        (void)!ea_arena_alloc(&arena, 8);
    }
    EXPECT_EQ(ea_arena_rewind(&arena, &marks[1]), EA_OK);
    size_t n = used();
    for (int i = 1; i < 4; i++) EXPECT_EQ(ea_arena_rewind(&arena, &marks[i]), EA_ERR_INVALID);
    EXPECT_EQ(used(), n);
    EXPECT_EQ(ea_arena_rewind(&arena, &marks[0]), EA_OK);
    EXPECT_EQ(used(), 0);
    EXPECT_EQ(ea_arena_rewind(&arena, &marks[0]), EA_ERR_INVALID);
    EXPECT_ARENA_SOUND(&arena);
}

TEST(arena_rewind_refuses_a_mark_that_is_none, 512)
{
    REQUIRE(start(512, NULL));
    ea_arena_mark_t none, mark = ea_arena_mark(&arena, EA_ARENA_LOW);
    memset(&none, 0, sizeof none);
    (void)!ea_arena_alloc(&arena, 8);
    size_t n = used();
    EXPECT_EQ(ea_arena_rewind(&arena, &none), EA_ERR_INVALID);
    memset(&none, 0xFF, sizeof none);
    EXPECT_EQ(ea_arena_rewind(&arena, &none), EA_ERR_INVALID);
    none = mark;
    none.eai_chunk = NULL;
    EXPECT_EQ(ea_arena_rewind(&arena, &none), EA_ERR_INVALID);
    none = mark;
    none.eai_at += 4096;
    EXPECT_EQ(ea_arena_rewind(&arena, &none), EA_ERR_INVALID);
    EXPECT_EQ(used(), n);
    EXPECT_EQ(ea_arena_reset(&arena), EA_OK);
    EXPECT_EQ(ea_arena_rewind(&arena, &mark), EA_ERR_INVALID);
}

/* --- scopes ----------------------------------------------------------------------------------- */

/* Leaves scopes by every way there is; how decides which. */
static int leave(int how)
{
    EA_ARENA_SCOPE(&arena)
    {
        EXPECT(ea_arena_alloc(&arena, 8) != NULL);
        EA_ARENA_SCRATCH(&arena)
        {
            EXPECT(ea_arena_alloc_high(&arena, 8) != NULL);
            EXPECT_EQ(used() % 32, 16);
            if (how == 1) return 1;
            if (how == 2) break;
            if (how == 3) continue;
            if (how == 4) goto out;
            EA_ARENA_SCOPE (&arena)(void) !ea_arena_alloc(&arena, 8);
        }
        EXPECT_EQ(arena_stats(&arena).high_bytes, 0);
        EXPECT_EQ(arena_stats(&arena).low_bytes, 8);
        if (how == 5) break;
    }
out:
    EXPECT_EQ(used(), 0);
    return 0;
}

TEST(arena_scope_rewinds_by_whatever_way_it_is_left, 512)
{
    for (int how = 0; how <= 5; how++) {
        REQUIRE(start(512, &(ea_arena_options_t){.alignment_bytes = 8}));
        EXPECT_EQ(leave(how), how == 1);
        EXPECT_EQ(used(), 0);
        EXPECT_ARENA_SOUND(&arena);
    }
}

TEST(arena_scope_runs_once_in_each_round_of_a_loop, 512)
{
    REQUIRE(start(512, &(ea_arena_options_t){.alignment_bytes = 8}));
    int n = 0, n_scopes = 0;
    ea_arena_t *arenas[] = {&arena, NULL}, **next = arenas;
    for (; n < 100; n++, next = arenas) {
        EA_ARENA_SCOPE(*next++) /* evaluated once */
        {
            n_scopes++;
            EXPECT(ea_arena_alloc(&arena, 400) != NULL);
            if (n % 3 == 0) break;
        }
        EXPECT(*next == NULL);
    }
    EXPECT_EQ(n_scopes, 100);
    EXPECT_EQ(arena_stats(&arena).n_failures, 0);
}

/* --- guards ----------------------------------------------------------------------------------- */

#if EA_CFG_ARENA_GUARD

static const ea_arena_options_t guarded = {.alignment_bytes = 8, .guard = true};

TEST(arena_guard_finds_a_block_that_was_overrun, 512)
{
    for (int byte = 0; byte < 2 * (int)sizeof(void *); byte++) {
        REQUIRE(start(512, &guarded));
        char *block = ea_arena_alloc(&arena, 16);
        ea_arena_mark_t mark = ea_arena_mark(&arena, EA_ARENA_LOW);
        (void)!ea_arena_alloc(&arena, 16);
        EXPECT_ARENA_SOUND(&arena);
        block[16 + byte] ^= 1;
        ea_arena_fault_t fault;
        EXPECT_EQ(ea_arena_check(&arena, &fault), EA_ERR_CORRUPT);
        EXPECT(fault.invariant != NULL && fault.invariant[1] == '5');
        EXPECT(fault.where == block + 16);
        EXPECT_EQ(arena_stats(&arena).n_corruptions, 0);
        EXPECT_EQ(ea_arena_rewind(&arena, &mark), EA_ERR_CORRUPT);
        EXPECT(arena_stats(&arena).n_corruptions >= 1);
        EXPECT_EQ(used(), 16); /* rewound all the same */
        EXPECT_ARENA_SOUND(&arena);
    }
}

TEST(arena_guard_of_the_high_end_protects_older_scratch, 512)
{
    REQUIRE(start(512, &guarded));
    char *older = ea_arena_alloc_high(&arena, 16);
    ea_arena_mark_t mark = ea_arena_mark(&arena, EA_ARENA_HIGH);
    char *newer = ea_arena_alloc_high(&arena, 16);
    EXPECT(newer + 16 < older);
    newer[16] ^= 0x10;
    ea_arena_fault_t fault;
    EXPECT_EQ(ea_arena_check(&arena, &fault), EA_ERR_CORRUPT);
    EXPECT(fault.where == newer + 16);
    EXPECT_EQ(ea_arena_rewind(&arena, &mark), EA_ERR_CORRUPT);
    EXPECT(ea_arena_alloc_high(&arena, 16) == older - 16);
}

TEST(arena_rewind_looks_at_every_guard_it_undoes, 512)
{
    REQUIRE(start(512, &guarded));
    char *outside = ea_arena_alloc(&arena, 8);
    ea_arena_mark_t outer = ea_arena_mark(&arena, EA_ARENA_LOW);
    char *middle = ea_arena_alloc(&arena, 8);
    ea_arena_mark_t between = ea_arena_mark(&arena, EA_ARENA_LOW);
    (void)between;
    (void)!ea_arena_alloc(&arena, 8);
    ea_arena_mark_t inner = ea_arena_mark(&arena, EA_ARENA_LOW);
    outside[8] ^= 1;
    if (EA_CFG_CHECK_LEVEL < 3) EXPECT_EQ(ea_arena_rewind(&arena, &inner), EA_OK);
    outside[8] ^= 1;
    EXPECT_ARENA_SOUND(&arena);
    middle[8] ^= 1;
    EXPECT_EQ(ea_arena_rewind(&arena, &outer), EA_ERR_CORRUPT);
    EXPECT_EQ(used(), 8);
    EXPECT_ARENA_SOUND(&arena);
}

TEST(arena_scope_counts_a_damaged_guard, 512)
{
    REQUIRE(start(512, &guarded));
    char *block = ea_arena_alloc(&arena, 8);
    EA_ARENA_SCOPE(&arena) block[8] = 'x';
    EXPECT_EQ(arena_stats(&arena).n_corruptions, 1);
    EXPECT_EQ(used(), 8);
}

TEST(arena_mark_without_room_has_no_guard, 512)
{
    for (ea_arena_end_t end = EA_ARENA_LOW; end <= EA_ARENA_HIGH; end++) {
        for (size_t left = 0; left < 64; left += 8) {
            REQUIRE(start(512, &guarded));
            void *(*alloc)(ea_arena_t *, size_t) = end ? ea_arena_alloc_high : ea_arena_alloc;
            REQUIRE(alloc(&arena, 512 - left) != NULL);
            ea_arena_mark_t mark = ea_arena_mark(&arena, end);
            size_t room = arena_stats(&arena).free_bytes;
            EXPECT(room == left || left - room == 2 * sizeof(void *));
            EXPECT(left < 32 || room < left);
            if (room > 0) EXPECT(alloc(&arena, room) != NULL);
            EXPECT_ARENA_SOUND(&arena);
            EXPECT_EQ(ea_arena_rewind(&arena, &mark), EA_OK);
            EXPECT_EQ(used(), 512 - left);
        }
    }
    EXPECT(all_bytes_are((char *)tap_ram() + 512, 16, 0xA5));
}

/* Alignments below and above that of the guard. */
TEST(arena_guards_work_at_every_alignment, 2048)
{
    for (size_t alignment = 1; alignment <= 128; alignment *= 2) {
        for (ea_arena_end_t end = EA_ARENA_LOW; end <= EA_ARENA_HIGH; end++) {
            REQUIRE(
                start(2048, &(ea_arena_options_t){.alignment_bytes = alignment, .guard = true}));
            void *(*alloc)(ea_arena_t *, size_t) = end ? ea_arena_alloc_high : ea_arena_alloc;
            ea_arena_mark_t marks[4];
            for (size_t i = 0; i < 4; i++) {
                char *block = alloc(&arena, 3);
                REQUIRE(block != NULL && is_aligned(block, alignment));
                memset(block, 0, 3);
                marks[i] = ea_arena_mark(&arena, end);
            }
            EXPECT_ARENA_SOUND(&arena);
            EXPECT_EQ(ea_arena_rewind(&arena, &marks[2]), EA_OK);
            EXPECT_EQ(ea_arena_rewind(&arena, &marks[0]), EA_OK);
            EXPECT_EQ(used(),
                      alignment < 4 ? (3 + alignment - 1) / alignment * alignment : alignment);
        }
    }
}
#define GUARD_TESTS                                                                                \
    , &arena_guard_finds_a_block_that_was_overrun,                                                 \
        &arena_guard_of_the_high_end_protects_older_scratch,                                       \
        &arena_rewind_looks_at_every_guard_it_undoes, &arena_scope_counts_a_damaged_guard,         \
        &arena_mark_without_room_has_no_guard, &arena_guards_work_at_every_alignment
#else
#define GUARD_TESTS
#endif

TEST_MAIN(&arena_rewind_gives_back_what_came_after_the_mark,
          &arena_marks_of_the_two_ends_are_independent,
          &arena_rewind_of_an_outer_mark_undoes_the_inner_ones,
          &arena_rewind_refuses_a_mark_that_is_none,
          &arena_scope_rewinds_by_whatever_way_it_is_left,
          &arena_scope_runs_once_in_each_round_of_a_loop GUARD_TESTS)
