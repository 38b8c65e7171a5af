/* SPDX-License-Identifier: MIT
 *
 * A task that waits for a block and an interrupt that frees one: the timer's on a board, a signal
 * on the host. Several tasks are in tests/threads.
 */
#include "ealloc/pool_wait.h"

#include <string.h>

#include "board.h"
#include "ealloc/poolset.h"
#if !defined(__unix__)
#include "ealloc/port_baremetal.h"
#endif
#include "poolset_testing.h"
#include "tap.h"

#if EA_CFG_POOL_WAIT

#define TICK_US 1000u
#define N_BLOCKS 3
#define LONG_US (60u * 1000 * 1000)

EA_POOL_DEFINE(pool, 24, N_BLOCKS);
EA_POOLSET_DEFINE_CLASSES(set, CLASSES, EA_POOLSET_NEXT_LARGER | EA_POOLSET_WAIT, LONG_US, NULL);
static ea_pool_t small_pool;

static void *volatile to_free;
static volatile ea_status_t free_status;
static volatile int ticks_before_free, which;
static unsigned char *slab;

enum { FREE_POOL, FREE_SET, ADD_SLAB, NOTHING };

static void tick(void)
{
#if !defined(__unix__)
    ea_baremetal_tick(TICK_US);
#endif
    if (ticks_before_free == 0 || --ticks_before_free != 0) return;
    switch (which) {
    case FREE_POOL: free_status = ea_pool_free(&pool, to_free); break;
    case FREE_SET: free_status = ea_poolset_free(&set, to_free); break;
    case ADD_SLAB:
        free_status = ea_pool_add_slab(&small_pool, slab, EA_POOL_SLAB_BYTES(24, 2));
        break;
    default: break;
    }
}

/* From now on; action after n ticks. */
static void start(int n, int action, void *block)
{
    to_free = block;
    which = action;
    free_status = EA_ERR_AGAIN;
    ticks_before_free = n;
    board_tick_start(TICK_US, tick);
}

TEST(pool_wait_takes_a_free_block_at_once, 0)
{
    void *block = ea_pool_alloc_wait(&pool, EA_WAIT_FOREVER);

    EXPECT(block != NULL);
    EXPECT_EQ(ea_pool_free(&pool, block), EA_OK);
    block = ea_pool_alloc_wait(&pool, 0);
    EXPECT(block != NULL);
    EXPECT_EQ(ea_pool_free(&pool, block), EA_OK);
}

TEST(pool_wait_gets_the_block_that_an_interrupt_frees, 0)
{
    const uint64_t timeouts[] = {EA_WAIT_FOREVER, LONG_US};
    void *blocks[N_BLOCKS];
    ea_pool_stats_t before, after;

    for (int i = 0; i < N_BLOCKS; i++) blocks[i] = ea_pool_alloc(&pool);
    ea_pool_stats(&pool, &before);
    for (int i = 0; i < 6; i++) {
        start(1 + i % 3, FREE_POOL, blocks[i % N_BLOCKS]);
        void *block = ea_pool_alloc_wait(&pool, timeouts[i % 2]);
        board_tick_stop();
        EXPECT_EQ(free_status, EA_OK);
        EXPECT(block == blocks[i % N_BLOCKS]);
    }
    ea_pool_stats(&pool, &after);
    EXPECT_EQ(after.n_failures, before.n_failures); /* who waited was not refused */
    EXPECT_EQ(after.n_live, N_BLOCKS);
    for (int i = 0; i < N_BLOCKS; i++) EXPECT_EQ(ea_pool_free(&pool, blocks[i]), EA_OK);
    EXPECT_EQ(ea_pool_check(&pool, NULL), EA_OK);
}

TEST(pool_wait_gives_up_not_before_its_time_and_loses_nothing, 0)
{
    void *blocks[N_BLOCKS];
    ea_pool_stats_t before, after;

    for (int i = 0; i < N_BLOCKS; i++) blocks[i] = ea_pool_alloc(&pool);
    ea_pool_stats(&pool, &before);
    start(0, NOTHING, NULL);
    uint64_t begin_us = ea_port_time_us();
    EXPECT(ea_pool_alloc_wait(&pool, 3 * TICK_US) == NULL);
    EXPECT(ea_port_time_us() - begin_us >= 3 * TICK_US);
    EXPECT(ea_pool_alloc_wait(&pool, 0) == NULL);
    board_tick_stop();
    ea_pool_stats(&pool, &after);
    EXPECT_EQ(after.n_failures, before.n_failures + 2);
    for (int i = 0; i < N_BLOCKS; i++) EXPECT_EQ(ea_pool_free(&pool, blocks[i]), EA_OK);
    for (int i = 0; i < N_BLOCKS; i++) EXPECT((blocks[i] = ea_pool_alloc(&pool)) != NULL);
    for (int i = 0; i < N_BLOCKS; i++) EXPECT_EQ(ea_pool_free(&pool, blocks[i]), EA_OK);
}

TEST(pool_wait_inside_a_masked_section_does_not_wait, 0)
{
    void *blocks[N_BLOCKS];

    for (int i = 0; i < N_BLOCKS; i++) blocks[i] = ea_pool_alloc(&pool);
    ea_port_irq_t irq = ea_port_irq_mask();
    EXPECT(ea_pool_alloc_wait(&pool, EA_WAIT_FOREVER) == NULL);
    ea_port_irq_restore(irq);
    for (int i = 0; i < N_BLOCKS; i++) EXPECT_EQ(ea_pool_free(&pool, blocks[i]), EA_OK);
}

TEST(pool_wait_takes_a_block_that_was_freed_unlocked, 0)
{
    void *blocks[N_BLOCKS];

    for (int i = 0; i < N_BLOCKS; i++) blocks[i] = ea_pool_alloc(&pool);
    EXPECT_EQ(ea_pool_free_unlocked(&pool, blocks[0]), EA_OK);
    start(0, NOTHING, NULL);
    EXPECT(ea_pool_alloc_wait(&pool, 2 * TICK_US) == blocks[0]);
    board_tick_stop();
    for (int i = 0; i < N_BLOCKS; i++) EXPECT_EQ(ea_pool_free(&pool, blocks[i]), EA_OK);
}

/* Somebody has joined the queue and has not been served yet; the one block there is is for him. */
static void *first_is_served(ea_waitq_t *queue, void *(*alloc)(void))
{
    ea_waiter_t waiter;

    ea_waiter_init(&waiter, 0);
    ea_port_irq_t irq = ea_port_irq_mask();
    ea_waitq_enter_locked(queue, &waiter);
    ea_port_irq_restore(irq);
    start(0, NOTHING, NULL);
    EXPECT(alloc() == NULL);
    board_tick_stop();
    EXPECT_EQ(ea_waitq_sleep(&waiter, 0), EA_OK);
    return waiter.result;
}

static void *alloc_from_pool(void)
{
    return ea_pool_alloc_wait(&pool, 2 * TICK_US);
}

static void *alloc_from_set(void)
{
    return ea_poolset_alloc_wait(&set, BIG_BYTES, 2 * TICK_US);
}

TEST(pool_wait_does_not_overtake_who_waits_already, 0)
{
    void *blocks[N_BLOCKS];

    for (int i = 0; i < N_BLOCKS; i++) blocks[i] = ea_pool_alloc(&pool);
    EXPECT_EQ(ea_pool_free(&pool, blocks[0]), EA_OK);
    EXPECT(first_is_served(&pool.eai_waiting, alloc_from_pool) == blocks[0]);
    for (int i = 0; i < N_BLOCKS; i++) EXPECT_EQ(ea_pool_free(&pool, blocks[i]), EA_OK);
}

TEST(poolset_wait_does_not_overtake_who_waits_already, 0)
{
    void *blocks[N_BIG];

    for (unsigned i = 0; i < N_BIG; i++) blocks[i] = ea_poolset_alloc(&set, BIG_BYTES);
    EXPECT_EQ(ea_poolset_free(&set, blocks[0]), EA_OK);
    EXPECT(first_is_served(&set.eai_pools[2].eai_waiting, alloc_from_set) == blocks[0]);
    for (unsigned i = 0; i < N_BIG; i++) EXPECT_EQ(ea_poolset_free(&set, blocks[i]), EA_OK);
}

TEST(pool_wait_gets_a_block_of_a_slab_that_is_added, 1024)
{
    unsigned char *ram = tap_ram();

    slab = ram + 512;
    REQUIRE(ea_pool_init(&small_pool, ram, EA_POOL_BYTES(24, 1), 24) == EA_OK);
    void *first = ea_pool_alloc(&small_pool);
    start(2, ADD_SLAB, NULL);
    void *second = ea_pool_alloc_wait(&small_pool, LONG_US);
    board_tick_stop();
    EXPECT_EQ(free_status, EA_OK);
    EXPECT(second != NULL && second != first);
    EXPECT_EQ(ea_pool_free(&small_pool, first), EA_OK);
    EXPECT_EQ(ea_pool_free(&small_pool, second), EA_OK);
}

TEST(poolset_wait_gets_the_block_an_interrupt_frees_in_its_own_or_a_larger_class, 0)
{
    void *blocks[N_ALL];
    ea_poolset_stats_t stats;

    for (unsigned i = 0; i < N_ALL; i++) blocks[i] = ea_poolset_alloc_isr(&set, 1);
    ea_poolset_stats(&set, &stats);
    EXPECT_EQ(stats.n_larger, N_MIDDLE + N_BIG);
    for (unsigned i = 0; i < N_ALL; i++) {
        start(2, FREE_SET, blocks[i]);
        void *block = ea_poolset_alloc(&set, 1);
        board_tick_stop();
        EXPECT_EQ(free_status, EA_OK);
        EXPECT(block == blocks[i]);
    }
    ea_poolset_stats(&set, &stats);
    EXPECT_EQ(stats.n_waits, N_ALL);
    EXPECT_EQ(stats.n_larger, 2 * (N_MIDDLE + N_BIG));
    EXPECT_EQ(stats.n_failures, 0);
    /* What is too small is of no use to who waits for more. */
    start(2, FREE_SET, blocks[0]);
    EXPECT(ea_poolset_alloc_wait(&set, MIDDLE_BYTES, 20 * TICK_US) == NULL);
    while (free_status == EA_ERR_AGAIN) continue; /* a busy host's timer may be late */
    board_tick_stop();
    EXPECT_EQ(free_status, EA_OK);
    ea_poolset_stats(&set, &stats);
    EXPECT_EQ(stats.n_failures, 1);
    EXPECT_EQ(stats.n_live, N_ALL - 1);
    for (unsigned i = 1; i < N_ALL; i++) EXPECT_EQ(ea_poolset_free(&set, blocks[i]), EA_OK);
    EXPECT_EQ(ea_poolset_check(&set, NULL), EA_OK);
}

TEST_MAIN(&pool_wait_takes_a_free_block_at_once, &pool_wait_gets_the_block_that_an_interrupt_frees,
          &pool_wait_gives_up_not_before_its_time_and_loses_nothing,
          &pool_wait_inside_a_masked_section_does_not_wait,
          &pool_wait_gets_a_block_of_a_slab_that_is_added,
          &pool_wait_takes_a_block_that_was_freed_unlocked,
          &pool_wait_does_not_overtake_who_waits_already,
          &poolset_wait_gets_the_block_an_interrupt_frees_in_its_own_or_a_larger_class,
          &poolset_wait_does_not_overtake_who_waits_already)

#else

TEST(pool_wait_is_compiled_out, 0)
{
    ea_poolset_t none;
    EXPECT_EQ(ea_poolset_init(&none, NULL, 0, NULL, 0, NULL), EA_ERR_INVALID);
}

TEST_MAIN(&pool_wait_is_compiled_out)

#endif
