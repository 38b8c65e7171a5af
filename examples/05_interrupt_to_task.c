/* SPDX-License-Identifier: MIT
 *
 * Interrupt-to-task hand-over: a timer interrupt samples into blocks of a pool and hands each full
 * one to a task; the task works on it in its own time and gives it back. Nothing is copied, nobody
 * polls, and the interrupt never waits: when the task falls behind and the pool is empty it drops
 * the sample and counts it. A block has one owner at a time:
 *
 *     free in the pool -> interrupt (fills it) -> channel -> task (reads it) -> free in the pool
 *
 * The interrupt is the timer's on a board and a signal on the host.
 */
#include <ealloc/ealloc.h>
#include <ealloc/port_baremetal.h>

#include "board.h"

#define TICK_US 1000u
#define SAMPLES_A_BLOCK 8u
#define N_BLOCKS 4u
#define BLOCKS_TO_SEE 40u

typedef struct block block_t;
struct block {
    block_t *next;
    uint32_t number;
    uint16_t samples[SAMPLES_A_BLOCK];
};

EA_POOL_DEFINE(blocks, sizeof(block_t), N_BLOCKS);

/* --- the channel: full blocks on their way, in order ------------------------------------------ */

typedef struct {
    block_t *oldest, *newest;
    ea_waitq_t waiting;
} channel_t;

static channel_t channel;

/* From the interrupt. A task that waits gets the block at once: the channel is empty then. */
static void channel_send(block_t *block)
{
    block->next = NULL;
    ea_port_irq_t irq = ea_port_irq_mask();
    ea_waiter_t *waiter = ea_waitq_first_locked(&channel.waiting);
    if (waiter != NULL) {
        ea_waitq_hand_locked(waiter, block);
    } else if (channel.oldest == NULL) {
        channel.oldest = channel.newest = block;
    } else {
        channel.newest->next = block;
        channel.newest = block;
    }
    ea_port_irq_restore(irq);
}

/* From the task: the oldest block, waited for if need be. NULL: none came in time. */
static block_t *channel_receive(uint64_t timeout_us)
{
    ea_waiter_t waiter;
    ea_waiter_init(&waiter, ea_port_task_priority());

    ea_port_irq_t irq = ea_port_irq_mask();
    block_t *block = channel.oldest;
    ea_waitq_enter_locked(&channel.waiting, &waiter);
    if (block != NULL) {
        channel.oldest = block->next;
        ea_waitq_hand_locked(&waiter, block); /* to ourselves: we need not sleep */
    }
    ea_port_irq_restore(irq);
    return ea_waitq_sleep(&waiter, timeout_us) == EA_OK ? waiter.result : NULL;
}

/* --- the interrupt ---------------------------------------------------------------------------- */

static volatile uint32_t n_dropped;
static uint32_t n_ticks, n_sent;
static block_t *filling; /* the interrupt's own */
static uint32_t n_filled;

static void tick(void)
{
#if !defined(__unix__)
    ea_baremetal_tick(TICK_US); /* time for the timeout */
#endif
    uint16_t sample = (uint16_t)n_ticks++;
    if (filling == NULL) {
        filling = ea_pool_alloc(&blocks);
        n_filled = 0;
    }
    if (filling == NULL) {
        n_dropped = n_dropped + 1;
        return;
    }
    filling->samples[n_filled++] = sample;
    if (n_filled < SAMPLES_A_BLOCK) return;
    filling->number = n_sent++;
    channel_send(filling);
    filling = NULL; /* it is the task's now */
}

/* --- the task --------------------------------------------------------------------------------- */

/* Samples of a block follow each other: the interrupt did not touch it after it was sent. */
static bool is_whole(const block_t *block)
{
    for (uint32_t i = 1; i < SAMPLES_A_BLOCK; i++) {
        if (block->samples[i] != (uint16_t)(block->samples[i - 1] + 1)) return false;
    }
    return true;
}

int main(void)
{
    uint32_t n_seen = 0, n_wrong = 0;

    board_tick_start(TICK_US, tick);
    while (n_seen < BLOCKS_TO_SEE) {
        block_t *block = channel_receive(10 * 1000 * 1000);
        if (block == NULL) break;
        if (block->number != n_seen || !is_whole(block)) n_wrong++;
        n_seen++;
        if (n_seen == BLOCKS_TO_SEE / 2) { /* once the task is busy for too long */
            uint32_t before = n_dropped;
            while (n_dropped < before + 3) continue;
        }
        if (ea_pool_free(&blocks, block) != EA_OK) n_wrong++;
    }
    board_tick_stop();
    for (block_t *block; (block = channel_receive(0)) != NULL;) (void)ea_pool_free(&blocks, block);
    (void)ea_pool_free(&blocks, filling);

    ea_pool_stats_t stats;
    ea_pool_stats(&blocks, &stats);
    board_put("blocks handed over       ");
    board_put_number(n_seen);
    board_put("\nout of order or damaged  ");
    board_put_number(n_wrong);
    board_put("\nsamples dropped          ");
    board_put_number(n_dropped);
    board_put("\nblocks leaked            ");
    board_put_number((long long)stats.n_live);
    board_put("\n");
    return n_wrong != 0;
}
