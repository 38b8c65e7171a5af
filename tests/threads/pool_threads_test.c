/* SPDX-License-Identifier: MIT
 *
 * Threads on one pool (row A13): each takes blocks, fills them with its mark, hands some to the
 * next thread, looks whether the marks of what it got are whole, and gives back. At the end nothing
 * is lost. `pool_threads rounds=N` for a longer run.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "ealloc/pool.h"
#include "tap.h"

#define N_THREADS 4
#define N_BLOCKS 24
#define N_HELD 8
#define WORDS 8

typedef struct {
    uint32_t words[WORDS];
} block_t;

EA_POOL_DEFINE(shared, sizeof(block_t), N_BLOCKS);

/* What a thread hands to the next one: a place for one block. */
static _Atomic(block_t *) mailboxes[N_THREADS];
static atomic_uint n_wrong, n_empty;
static unsigned n_rounds;

static void fill(block_t *block, uint32_t mark)
{
    for (unsigned i = 0; i < WORDS; i++) block->words[i] = mark + i;
}

static void give_back(block_t *block)
{
    for (unsigned i = 1; i < WORDS; i++) {
        if (block->words[i] != block->words[0] + i) atomic_fetch_add(&n_wrong, 1);
    }
    if (ea_pool_free(&shared, block) != EA_OK) atomic_fetch_add(&n_wrong, 1);
}

static void *work(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg, n_held = 0;
    block_t *held[N_HELD];
    uint32_t random = self * 2654435761u + 1u;
    for (unsigned round = 0; round < n_rounds; round++) {
        random = random * 1664525u + 1013904223u;
        unsigned choice = random >> 29;
        if (choice < 4 && n_held < N_HELD) {
            block_t *block = ea_pool_alloc(&shared);
            if (block == NULL) {
                atomic_fetch_add(&n_empty, 1);
                sched_yield();
            } else {
                fill(block, random);
                held[n_held++] = block;
            }
        } else if (choice < 7 && n_held > 0) {
            give_back(held[--n_held]);
        } else if (n_held > 0) {
            block_t *got = atomic_exchange(&mailboxes[(self + 1) % N_THREADS], held[--n_held]);
            if (got != NULL) give_back(got);
        }
        block_t *mail = atomic_exchange(&mailboxes[self], NULL);
        if (mail != NULL) give_back(mail);
    }
    while (n_held > 0) give_back(held[--n_held]);
    return NULL;
}

TEST(pool_of_four_threads_loses_and_doubles_nothing, 0)
{
    pthread_t threads[N_THREADS];
    n_rounds = (unsigned)tap_arg("rounds", 50000);
    for (uintptr_t i = 0; i < N_THREADS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    }
    for (unsigned i = 0; i < N_THREADS; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < N_THREADS; i++) {
        block_t *left = atomic_exchange(&mailboxes[i], NULL);
        if (left != NULL) give_back(left);
    }
    tap_note("times the pool was empty", atomic_load(&n_empty));
    EXPECT_EQ(atomic_load(&n_wrong), 0);
    EXPECT_EQ(ea_pool_check(&shared, NULL), EA_OK);
    ea_pool_stats_t stats;
    ea_pool_stats(&shared, &stats);
    EXPECT_EQ(stats.n_live, 0);
    EXPECT_EQ(stats.n_refused, 0);
}

/* Two threads free the same block again and again: each time one succeeds. */
static pthread_barrier_t barrier;
static block_t *common;
static atomic_uint n_freed;

static void *free_common(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 2000; i++) {
        (void)pthread_barrier_wait(&barrier);
        if (ea_pool_free(&shared, common) == EA_OK) atomic_fetch_add(&n_freed, 1);
        (void)pthread_barrier_wait(&barrier);
    }
    return NULL;
}

TEST(pool_lets_one_of_two_threads_free_a_block, 0)
{
    pthread_t threads[2];
    if (!EA_CFG_POOL_VALIDATE) return;
    REQUIRE(pthread_barrier_init(&barrier, NULL, 3) == 0);
    for (int i = 0; i < 2; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, free_common, NULL) == 0);
    }
    for (unsigned i = 0; i < 2000; i++) {
        common = ea_pool_alloc(&shared);
        EXPECT(common != NULL);
        (void)pthread_barrier_wait(&barrier);
        (void)pthread_barrier_wait(&barrier);
    }
    for (int i = 0; i < 2; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    EXPECT_EQ(atomic_load(&n_freed), 2000);
    EXPECT_EQ(ea_pool_check(&shared, NULL), EA_OK);
}

/* A slab is added while another thread uses the pool. */
static _Alignas(16) unsigned char slab[EA_POOL_SLAB_BYTES(sizeof(block_t), N_BLOCKS)];

TEST(pool_grows_while_threads_use_it, 0)
{
    pthread_t threads[N_THREADS];
    if (EA_CFG_POOL_SLABS < 2) return;
    n_rounds = 20000;
    for (uintptr_t i = 0; i < N_THREADS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    }
    EXPECT_EQ(ea_pool_add_slab(&shared, slab, sizeof slab), EA_OK);
    for (unsigned i = 0; i < N_THREADS; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < N_THREADS; i++) {
        block_t *left = atomic_exchange(&mailboxes[i], NULL);
        if (left != NULL) give_back(left);
    }
    EXPECT_EQ(atomic_load(&n_wrong), 0);
    EXPECT_EQ(ea_pool_check(&shared, NULL), EA_OK);
    void *blocks[2 * N_BLOCKS];
    for (int i = 0; i < 2 * N_BLOCKS; i++) EXPECT((blocks[i] = ea_pool_alloc(&shared)) != NULL);
    EXPECT(ea_pool_alloc(&shared) == NULL);
    for (int i = 0; i < 2 * N_BLOCKS; i++) EXPECT_EQ(ea_pool_free(&shared, blocks[i]), EA_OK);
}

TEST_MAIN(&pool_of_four_threads_loses_and_doubles_nothing,
          &pool_lets_one_of_two_threads_free_a_block, &pool_grows_while_threads_use_it)
