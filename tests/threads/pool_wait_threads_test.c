/* SPDX-License-Identifier: MIT
 *
 * Tasks that wait for blocks, under load (rows A13, A14): what alloc_wait promises is that success
 * means a block, a timeout means none, and nothing is lost either way; that the more urgent is
 * served first, and equals in order of arrival. Threads here; `seed=N`, `rounds=N` on the command
 * line.
 */
#define _GNU_SOURCE /* pthread_barrier, nanosleep and signals in a strict C11 build */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "ealloc/pool_wait.h"
#include "ealloc/poolset.h"
#include "tap.h"

#if EA_CFG_POOL_WAIT

#define N_THREADS 6
#define N_BLOCKS 3
#define BLOCK_BYTES 32
#define LONG_US (60u * 1000 * 1000)

/* Threads of a test need no privilege to be urgent: this replaces the port's own function. */
static _Thread_local uint32_t my_priority;
uint32_t ea_port_task_priority(void)
{
    return my_priority;
}

static uint32_t random_below(uint32_t *state, uint32_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % n;
}

static void pause_us(long us)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = us * 1000};
    (void)nanosleep(&pause, NULL);
}

static unsigned n_rounds(void)
{
    return (unsigned)tap_arg("rounds", 1500);
}

/* --- load on one pool ------------------------------------------------------------------------- */

EA_POOL_DEFINE(pool, BLOCK_BYTES, N_BLOCKS);

static atomic_int n_held; /* blocks that threads hold: at most as many as there are */
static atomic_uint n_got, n_timeouts, n_wrong;

/* Own the block: nobody else writes into it meanwhile. */
static void use_block(unsigned char *block, unsigned char mine, uint32_t *random)
{
    memset(block, mine, BLOCK_BYTES);
    if (random_below(random, 4) == 0) pause_us((long)random_below(random, 50));
    for (int i = 0; i < BLOCK_BYTES; i++) {
        if (block[i] != mine) atomic_fetch_add(&n_wrong, 1);
    }
}

static void *load_pool(void *argument)
{
    uintptr_t id = (uintptr_t)argument;
    uint32_t random = (uint32_t)(tap_arg("seed", 1) * 2654435761u + id * 7919u + 1u);

    for (unsigned i = n_rounds(); i > 0; i--) {
        static const uint64_t timeouts[] = {0, 1, 20, 200, LONG_US};
        my_priority = random_below(&random, 3);
        uint64_t timeout_us = timeouts[random_below(&random, 5)];
        uint64_t begin_us = ea_port_time_us();
        unsigned char *block = ea_pool_alloc_wait(&pool, timeout_us);
        if (block == NULL) {
            if (ea_port_time_us() - begin_us < timeout_us) atomic_fetch_add(&n_wrong, 1);
            atomic_fetch_add(&n_timeouts, 1);
            continue;
        }
        if (atomic_fetch_add(&n_held, 1) >= N_BLOCKS) atomic_fetch_add(&n_wrong, 1);
        atomic_fetch_add(&n_got, 1);
        use_block(block, (unsigned char)id, &random);
        atomic_fetch_sub(&n_held, 1);
        if (ea_pool_free(&pool, block) != EA_OK) atomic_fetch_add(&n_wrong, 1);
    }
    return NULL;
}

static void run_threads(void *(*function)(void *), unsigned n)
{
    pthread_t threads[N_THREADS];
    for (uintptr_t i = 0; i < n; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, function, (void *)(i + 1)) == 0);
    }
    for (unsigned i = 0; i < n; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
}

/* All blocks are there, and no more. */
static void expect_all_blocks(void)
{
    void *blocks[N_BLOCKS];

    EXPECT_EQ(ea_pool_check(&pool, NULL), EA_OK);
    for (int i = 0; i < N_BLOCKS; i++) EXPECT((blocks[i] = ea_pool_alloc(&pool)) != NULL);
    EXPECT(ea_pool_alloc(&pool) == NULL);
    for (int i = 0; i < N_BLOCKS; i++) EXPECT_EQ(ea_pool_free(&pool, blocks[i]), EA_OK);
}

TEST(pool_wait_under_load_means_what_it_says_and_loses_nothing, 0)
{
    n_got = n_timeouts = n_wrong = 0;
    run_threads(load_pool, N_THREADS);
    tap_note("blocks", n_got);
    tap_note("timeouts", n_timeouts);
    EXPECT_EQ(n_wrong, 0);
    EXPECT(n_got > 0);
    EXPECT_EQ(n_got + n_timeouts, N_THREADS * n_rounds());
    expect_all_blocks();
}

/* Only waiting without end: if ever a waiter slept beside a free block, nobody would wake it. */
static void *load_without_end(void *argument)
{
    uintptr_t id = (uintptr_t)argument;
    uint32_t random = (uint32_t)(tap_arg("seed", 1) * 2654435761u + id * 104729u + 1u);

    for (unsigned i = n_rounds(); i > 0; i--) {
        my_priority = random_below(&random, EA_CFG_WAIT_LEVELS);
        unsigned char *block = ea_pool_alloc_wait(&pool, EA_WAIT_FOREVER);
        if (block == NULL) {
            atomic_fetch_add(&n_wrong, 1);
            continue;
        }
        use_block(block, (unsigned char)id, &random);
        if (ea_pool_free(&pool, block) != EA_OK) atomic_fetch_add(&n_wrong, 1);
    }
    return NULL;
}

TEST(pool_wait_without_end_always_ends_with_a_block, 0)
{
    n_wrong = 0;
    run_threads(load_without_end, N_THREADS);
    EXPECT_EQ(n_wrong, 0);
    expect_all_blocks();
}

/* --- order ------------------------------------------------------------------------------------ */

#define N_QUEUED 6

static atomic_uint n_served;
static unsigned order[N_QUEUED]; /* who was served as the n-th */
static uint32_t priorities[N_QUEUED];

static void *queue_up(void *argument)
{
    uintptr_t id = (uintptr_t)argument - 1;

    my_priority = priorities[id];
    void *block = ea_pool_alloc_wait(&pool, EA_WAIT_FOREVER);
    /* The next is served only when this one gives its block back: nobody else is here. */
    order[atomic_fetch_add(&n_served, 1)] = (unsigned)id;
    (void)ea_pool_free(&pool, block);
    return NULL;
}

/* Tasks in the pool's queue; counted under the mask, where nothing moves. */
static unsigned count_waiting(void)
{
    unsigned n = 0;
    ea_port_irq_t irq = ea_port_irq_mask();
    const eai_waitq_table_t *table = pool.eai_waiting.eai_table;
    uint32_t levels = table == NULL ? 0 : table->eai_levels;
    for (unsigned slot = 0; slot < EA_CFG_WAIT_LEVELS; slot++) {
        if ((levels & eai_bit(slot)) == 0) continue;
        const ea_waiter_t *first = table->eai_first[slot], *waiter = first;
        do n++;
        while ((waiter = waiter->eai_next) != first);
    }
    ea_port_irq_restore(irq);
    return n;
}

/* Queue the threads up one by one, then give one block and see it go round. */
static void serve_in_turn(const uint32_t *of)
{
    pthread_t threads[N_QUEUED];
    void *blocks[N_BLOCKS];

    n_served = 0;
    memcpy(priorities, of, sizeof priorities);
    for (int i = 0; i < N_BLOCKS; i++) blocks[i] = ea_pool_alloc(&pool);
    for (uintptr_t i = 0; i < N_QUEUED; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, queue_up, (void *)(i + 1)) == 0);
        while (count_waiting() != i + 1) (void)sched_yield();
    }
    EXPECT_EQ(ea_pool_free(&pool, blocks[0]), EA_OK);
    for (unsigned i = 0; i < N_QUEUED; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    for (int i = 1; i < N_BLOCKS; i++) EXPECT_EQ(ea_pool_free(&pool, blocks[i]), EA_OK);
    expect_all_blocks();
}

TEST(pool_wait_serves_equals_in_order_of_arrival, 0)
{
    static const uint32_t equal[N_QUEUED];

    serve_in_turn(equal);
    for (unsigned i = 0; i < N_QUEUED; i++) EXPECT_EQ(order[i], i);
}

TEST(pool_wait_serves_the_more_urgent_first, 0)
{
    static const uint32_t mixed[N_QUEUED] = {1, 0, 2, 1, 0, 2};
    static const unsigned want[N_QUEUED] = {2, 5, 0, 3, 1, 4};

    serve_in_turn(mixed);
    for (unsigned i = 0; i < N_QUEUED; i++) EXPECT_EQ(order[i], want[i]);
}

/* --- a signal handler frees ------------------------------------------------------------------- */

/* The handler runs in the thread that raised the signal. */
static _Thread_local void *_Atomic signalled_block;

static void free_in_handler(int number)
{
    (void)number;
    void *block = atomic_exchange(&signalled_block, NULL);
    if (block != NULL && ea_pool_free(&pool, block) != EA_OK) atomic_fetch_add(&n_wrong, 1);
}

static void *wait_for_blocks(void *argument)
{
    (void)argument;
    for (unsigned i = n_rounds(); i > 0; i--) {
        void *block = ea_pool_alloc_wait(&pool, LONG_US);
        if (block == NULL) atomic_fetch_add(&n_wrong, 1);
        atomic_store(&signalled_block, block);
        (void)raise(SIGUSR1); /* in this thread, which then waits or not */
    }
    return NULL;
}

TEST(pool_wait_and_frees_from_signal_handlers_lose_nothing, 0)
{
    struct sigaction action = {.sa_handler = free_in_handler}, before;

    REQUIRE(sigaction(SIGUSR1, &action, &before) == 0);
    n_wrong = 0;
    run_threads(wait_for_blocks, 3);
    EXPECT_EQ(n_wrong, 0);
    (void)sigaction(SIGUSR1, &before, NULL);
    expect_all_blocks();
}

/* --- load on a set ---------------------------------------------------------------------------- */

#define SET_CLASSES(CLASS, name) CLASS(name, a, 16, 2) CLASS(name, b, 32, 2) CLASS(name, c, 64, 2)
EA_POOLSET_DEFINE_CLASSES(set, SET_CLASSES, EA_POOLSET_NEXT_LARGER | EA_POOLSET_WAIT,
                          EA_WAIT_FOREVER, NULL);

static void *load_set(void *argument)
{
    uintptr_t id = (uintptr_t)argument;
    uint32_t random = (uint32_t)(tap_arg("seed", 1) * 2654435761u + id * 15485863u + 1u);

    for (unsigned i = n_rounds(); i > 0; i--) {
        size_t size = 1 + random_below(&random, 64);
        my_priority = random_below(&random, 3);
        bool endless = random_below(&random, 2) == 0;
        unsigned char *block =
            endless ? ea_poolset_alloc(&set, size) : ea_poolset_alloc_wait(&set, size, 30);
        if (block == NULL) {
            if (endless) atomic_fetch_add(&n_wrong, 1);
            atomic_fetch_add(&n_timeouts, 1);
            continue;
        }
        memset(block, (int)id, size);
        if (random_below(&random, 4) == 0) pause_us((long)random_below(&random, 50));
        for (size_t k = 0; k < size; k++) {
            if (block[k] != (unsigned char)id) atomic_fetch_add(&n_wrong, 1);
        }
        if (ea_poolset_free_sized(&set, block, size) != EA_OK) atomic_fetch_add(&n_wrong, 1);
    }
    return NULL;
}

/* Without a lost wake-up: who waits without end is served though a larger class was freed. */
TEST(poolset_wait_under_load_means_what_it_says_and_loses_nothing, 0)
{
    ea_poolset_stats_t stats;
    void *blocks[6];

    n_wrong = n_timeouts = 0;
    run_threads(load_set, N_THREADS);
    ea_poolset_stats(&set, &stats);
    tap_note("timeouts", n_timeouts);
    tap_note("waits", (long long)stats.n_waits);
    tap_note("from larger classes", (long long)stats.n_larger);
    EXPECT_EQ(n_wrong, 0);
    EXPECT_EQ(stats.n_live, 0);
    EXPECT_EQ(stats.n_failures, n_timeouts);
    EXPECT_EQ(ea_poolset_check(&set, NULL), EA_OK);
    for (int i = 0; i < 6; i++) EXPECT((blocks[i] = ea_poolset_alloc_isr(&set, 1)) != NULL);
    EXPECT(ea_poolset_alloc_isr(&set, 1) == NULL);
    for (int i = 0; i < 6; i++) EXPECT_EQ(ea_poolset_free(&set, blocks[i]), EA_OK);
}

/* --- a queue of one's own --------------------------------------------------------------------- */

static ea_waitq_t queue;
static atomic_bool was_cancelled;

static void *wait_in_queue(void *argument)
{
    ea_waiter_t waiter;

    ea_waiter_init(&waiter, 0);
    ea_waitq_enter(&queue, &waiter);
    atomic_store(&was_cancelled, ea_waitq_sleep(&waiter, LONG_US) == EA_ERR_CANCELLED);
    return argument;
}

TEST(waitq_cancel_wakes_a_task_that_sleeps, 0)
{
    pthread_t thread;

    REQUIRE(pthread_create(&thread, NULL, wait_in_queue, NULL) == 0);
    while (ea_waitq_is_empty(&queue)) (void)sched_yield();
    ea_port_irq_t irq = ea_port_irq_mask();
    ea_waiter_t *first = ea_waitq_first_locked(&queue);
    ea_waitq_cancel_locked(first);
    ea_port_irq_restore(irq);
    EXPECT_EQ(pthread_join(thread, NULL), 0);
    EXPECT(atomic_load(&was_cancelled));
    EXPECT(ea_waitq_is_empty(&queue));
}

TEST_MAIN(&pool_wait_under_load_means_what_it_says_and_loses_nothing,
          &pool_wait_without_end_always_ends_with_a_block,
          &pool_wait_serves_equals_in_order_of_arrival, &pool_wait_serves_the_more_urgent_first,
          &pool_wait_and_frees_from_signal_handlers_lose_nothing,
          &poolset_wait_under_load_means_what_it_says_and_loses_nothing,
          &waitq_cancel_wakes_a_task_that_sleeps)

#else

TEST(pool_wait_is_compiled_out, 0)
{
}

TEST_MAIN(&pool_wait_is_compiled_out)

#endif
