/* SPDX-License-Identifier: MIT
 *
 * Scoped ownership in C (row A15).
 */
#include "ealloc/scoped.h"

#include "ealloc/upstream.h"
#include "heap_testing.h"

EA_POOL_DEFINE(packets, 24, 4);

static size_t pool_live(const ea_pool_t *pool)
{
    ea_pool_stats_t stats;
    ea_pool_stats(pool, &stats);
    return stats.n_live;
}

/* Leave a scope that owns a block in every way. Returns the block where it was handed on. */
static int *leave(int how)
{
    for (int i = 0; i < 2; i++) {
        EA_SCOPED(int *, number, &packets) = ea_pool_alloc(&packets);
        if (number == NULL) return NULL;
        *number = 42 + i;
        if (how == 1) return NULL;
        if (how == 2) break;
        if (how == 3) continue;
        if (how == 4) goto out;
        if (how == 5) return ea_release(number);
        if (how == 6) number = NULL; /* forgotten: a leak, as in plain C */
    }
out:
    return NULL;
}

TEST(scoped_block_is_freed_by_whatever_way_its_scope_is_left, 0)
{
    for (int how = 0; how < 5; how++) {
        EXPECT(leave(how) == NULL);
        if (EA_CFG_POOL_STATS) EXPECT_EQ(pool_live(&packets), 0);
    }
    for (int i = 0; i < 4; i++) { /* and all four blocks are there */
        EA_SCOPED(void *, a, &packets) = ea_pool_alloc(&packets);
        EA_SCOPED(void *, b, &packets) = ea_pool_alloc(&packets);
        EA_SCOPED(void *, c, &packets) = ea_pool_alloc(&packets);
        EA_SCOPED(void *, d, &packets) = ea_pool_alloc(&packets);
        EXPECT(a != NULL && b != NULL && c != NULL && d != NULL);
        EA_SCOPED(void *, none, &packets) = ea_pool_alloc(&packets);
        EXPECT(none == NULL);
    }
}

TEST(scoped_block_that_is_released_lives_on, 0)
{
    int *number = leave(5);
    REQUIRE(number != NULL);
    EXPECT_EQ(*number, 42);
    if (EA_CFG_POOL_STATS) EXPECT_EQ(pool_live(&packets), 1);
    EXPECT_EQ(ea_pool_free(&packets, number), EA_OK);
}

TEST(scoped_block_of_a_heap_is_freed_to_it, 2048)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), 2048, NULL);
    REQUIRE(heap != NULL);
    {
        EA_SCOPED(char *, text, heap) = ea_heap_alloc(heap, 20);
        REQUIRE(text != NULL);
        char *longer = ea_heap_realloc(heap, text, 600);
        REQUIRE(longer != NULL);
        text = longer; /* what the variable points to at the end is freed */
        EA_SCOPED(const char *, other, heap) = ea_heap_alloc(heap, 20);
        EXPECT(other != NULL && !is_whole(heap));
    }
    EXPECT(is_whole(heap));
    EXPECT_EQ(ea_heap_deinit(heap), 0);
}

#define CLASSES(CLASS, name) CLASS(name, small, 32, 4) CLASS(name, large, 256, 3)
EA_POOLSET_DEFINE_CLASSES(buffers, CLASSES, EA_POOLSET_STRICT, 0, NULL);

TEST(scoped_block_of_a_pool_set_is_freed_to_it, 0)
{
    for (int i = 0; i < 10; i++) {
        EA_SCOPED(char *, line, &buffers) = ea_poolset_alloc(&buffers, 200);
        EA_SCOPED(char *, word, &buffers) = ea_poolset_alloc(&buffers, 20);
        EXPECT(line != NULL && word != NULL);
    }
    ea_poolset_stats_t stats;
    ea_poolset_stats(&buffers, &stats);
    EXPECT_EQ(stats.n_live, 0);
}

/* The allocator's expression is evaluated once, when the scope begins. */
TEST(scoped_allocator_is_that_of_the_declaration, 2048)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), 2048, NULL), *allocator = heap;
    REQUIRE(heap != NULL);
    {
        EA_SCOPED(char *, text, allocator) = ea_heap_alloc(heap, 20);
        EXPECT(text != NULL);
        allocator = NULL;
    }
    EXPECT(is_whole(heap));
}

/* --- upstreams -------------------------------------------------------------------------------- */

/* Fill an arena that lives on an upstream, and see everything come back. */
static void use_upstream(ea_upstream_t upstream, size_t chunk_bytes, size_t at_least)
{
    ea_arena_t arena;
    ea_arena_options_t options = {
        .alignment_bytes = 8, .upstream = upstream, .chunk_bytes = chunk_bytes};
#if EA_CFG_ARENA_GROW
    REQUIRE(ea_arena_init(&arena, NULL, 0, &options) == EA_OK);
    size_t n = 0;
    char *block;
    while (n < 1000 && (block = ea_arena_alloc(&arena, 8)) != NULL) {
        memset(block, 0x11, 8);
        n++;
    }
    EXPECT(n >= at_least && n < 1000);
    EXPECT_EQ(ea_arena_last_refusal(&arena), EA_ARENA_UPSTREAM);
    EXPECT_EQ(ea_arena_check(&arena, NULL), EA_OK);
    EXPECT_EQ(ea_arena_deinit(&arena), EA_OK);
#else
    EXPECT_EQ(ea_arena_init(&arena, NULL, 0, &options), EA_ERR_INVALID);
    (void)at_least;
#endif
}

TEST(upstream_heap_lends_and_gets_back, 2048)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), 2048, NULL);
    REQUIRE(heap != NULL);
    use_upstream(ea_upstream_heap(heap), 256, 60);
    EXPECT(is_whole(heap));
}

EA_POOL_DEFINE(pages, 256, 3);

TEST(upstream_pool_lends_whole_blocks, 0)
{
    use_upstream(ea_upstream_pool(&pages), 256, 3 * ((256 - 10 * sizeof(void *)) / 8));
    if (EA_CFG_POOL_STATS) EXPECT_EQ(pool_live(&pages), 0);
    ea_upstream_t upstream = ea_upstream_pool(&pages);
    EXPECT(upstream.alloc(upstream.context, 257) == NULL);
    void *page = upstream.alloc(upstream.context, 256);
    EXPECT(page != NULL);
    upstream.free(upstream.context, page, 256);
    if (EA_CFG_POOL_STATS) EXPECT_EQ(pool_live(&pages), 0);
}

TEST(upstream_poolset_lends_by_its_classes, 0)
{
    use_upstream(ea_upstream_poolset(&buffers), 256, 3 * ((256 - 12 * sizeof(void *)) / 8));
    ea_poolset_stats_t stats;
    ea_poolset_stats(&buffers, &stats);
    EXPECT_EQ(stats.n_live, 0);
}

TEST(upstream_arena_lends_and_gets_the_last_chunk_back, 2048)
{
    ea_arena_t outer;
    REQUIRE(ea_arena_init(&outer, tap_ram(), 2048, NULL) == EA_OK);
    use_upstream(ea_upstream_arena(&outer), 256, 100);
    ea_arena_stats_t stats;
    ea_arena_stats(&outer, &stats);
    EXPECT_EQ(stats.low_bytes, 0); /* chunks come back in reverse order, so all of them do */
}

TEST_MAIN(&scoped_block_is_freed_by_whatever_way_its_scope_is_left,
          &scoped_block_that_is_released_lives_on, &scoped_block_of_a_heap_is_freed_to_it,
          &scoped_block_of_a_pool_set_is_freed_to_it, &upstream_poolset_lends_by_its_classes,
          &scoped_allocator_is_that_of_the_declaration, &upstream_heap_lends_and_gets_back,
          &upstream_pool_lends_whole_blocks, &upstream_arena_lends_and_gets_the_last_chunk_back)
