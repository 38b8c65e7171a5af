/* SPDX-License-Identifier: MIT
 *
 * What writes to freed blocks do to a pool (row A8): whatever a stale pointer leaves there, no
 * block is handed out twice and none that is not the pool's. Built with encoded links and without.
 */
#include <string.h>

#include "ealloc/pool.h"
#include "tap.h"

#define N 16u

static _Alignas(16) unsigned char memory[EA_POOL_BYTES(32, N)];
static ea_pool_t pool;
static void *blocks[N];

static bool fill_and_free(bool unlocked)
{
    if (ea_pool_init(&pool, memory, sizeof memory, 32) != EA_OK) return false;
    if (ea_pool_set_secret(&pool, 0xC0FFEE11u) != EA_OK) return false;
    for (unsigned i = 0; i < N; i++) blocks[i] = ea_pool_alloc(&pool);
    for (unsigned i = 0; i < N; i++) {
        if ((unlocked ? ea_pool_free_unlocked(&pool, blocks[i]) : ea_pool_free(&pool, blocks[i])) !=
            EA_OK)
            return false;
    }
    return true;
}

/* Take all there is: each a block of the pool, each once. Returns how many. */
static unsigned take_all(bool unlocked)
{
    unsigned n = 0;
    bool is_taken[N] = {false};
    for (unsigned tries = 0; tries < 2 * N; tries++) {
        void *block = unlocked ? ea_pool_alloc_unlocked(&pool) : ea_pool_alloc(&pool);
        if (block == NULL) continue;
        unsigned i = 0;
        while (i < N && blocks[i] != block) i++;
        EXPECT(i < N && !is_taken[i]);
        if (i < N) is_taken[i] = true;
        n++;
    }
    return n;
}

TEST(pool_takes_a_secret_before_its_first_block, 0)
{
    REQUIRE(fill_and_free(false));
    EXPECT_EQ(ea_pool_set_secret(&pool, 1u), EA_ERR_BUSY);
    EXPECT_EQ(take_all(false), N);
}

TEST(pool_hides_its_links, 0)
{
    for (int unlocked = 0; unlocked < 2; unlocked++) {
        REQUIRE(fill_and_free(unlocked));
        unsigned n_small = 0, n_addresses = 0;
        for (unsigned i = 1; i < N; i++) {
            uint32_t link;
            void *pointer;
            memcpy(&link, blocks[i], sizeof link);
            memcpy(&pointer, blocks[i], sizeof pointer);
            n_small += link < sizeof memory;
            n_addresses += (uintptr_t)pointer - (uintptr_t)memory < sizeof memory;
        }
        if (EA_CFG_ENCODE_LINKS) EXPECT_EQ(n_small + n_addresses, 0);
        EXPECT_EQ(ea_pool_check(&pool, NULL), EA_OK);
        EXPECT_EQ(take_all(unlocked), N);
    }
}

TEST(pool_is_not_led_by_writes_to_freed_blocks, 0)
{
    const uintptr_t values[] = {0,           1,          32,
                                64,          0xFFFFFFFF, 0x20000000,
                                0xDFDFDFDFu, 0x41414141, (uintptr_t)memory + 64,
                                UINTPTR_MAX};
    for (unsigned v = 0; v < sizeof values / sizeof values[0]; v++) {
        for (unsigned at = 0; at < N; at++) {
            for (int unlocked = 0; unlocked < 2; unlocked++) {
                REQUIRE(fill_and_free(unlocked));
                memcpy(blocks[at], &values[v], sizeof values[v]);
                ea_status_t status = ea_pool_check(&pool, NULL);
                EXPECT(status != EA_OK || !EA_CFG_ENCODE_LINKS);
                if (!EA_CFG_POOL_VALIDATE) continue;
                /* The blocks freed after it, and itself, come first. */
                EXPECT(take_all(unlocked) >= (EA_CFG_ENCODE_LINKS ? N - at : 1u));
            }
        }
    }
}

TEST_MAIN(&pool_takes_a_secret_before_its_first_block, &pool_hides_its_links,
          &pool_is_not_led_by_writes_to_freed_blocks)
