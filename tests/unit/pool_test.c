/* SPDX-License-Identifier: MIT
 *
 * Pools: allocation, freeing, numbers (rows A10, A13).
 */
#include <string.h>

#include "ealloc/pool.h"
#include "tap.h"

#define N 40

EA_POOL_DECLARE(defined);
EA_POOL_DEFINE(defined, 24, N);
EA_POOL_DEFINE_ALIGNED(lines, 70, 3, 64);

static void expect_sound(const ea_pool_t *pool)
{
    ea_pool_report_t report;
    EXPECT_EQ(ea_pool_check(pool, &report), EA_OK);
}

/* Take every block twice, the second time from the list, and see that none is handed out twice. */
static void use_all(ea_pool_t *pool, unsigned n_blocks)
{
    static unsigned char *blocks[256];
    size_t bytes = ea_pool_block_bytes(pool);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < n_blocks; i++) {
            blocks[i] = ea_pool_alloc(pool);
            REQUIRE(blocks[i] != NULL);
            EXPECT(ea_pool_owns(pool, blocks[i]));
            memset(blocks[i], (int)i, bytes);
        }
        EXPECT(ea_pool_alloc(pool) == NULL);
        expect_sound(pool);
        for (unsigned i = 0; i < n_blocks; i++) {
            for (size_t k = 0; k < bytes; k++) EXPECT_EQ(blocks[i][k], i);
        }
        for (unsigned i = 0; i < n_blocks; i++) {
            EXPECT_EQ(ea_pool_free(pool, blocks[i * 7 % n_blocks]), EA_OK);
        }
        expect_sound(pool);
    }
}

TEST(pool_defined_statically_gives_every_block_once, 0)
{
    use_all(&defined, N);
    ea_pool_stats_t s;
    ea_pool_stats(&defined, &s);
    EXPECT_EQ(s.block_bytes, 24);
    EXPECT_EQ(s.n_blocks, N);
    EXPECT_EQ(s.n_peak, N);
    EXPECT_EQ(s.n_slabs, 1);
    EXPECT_EQ(s.n_live, 0);
    if (EA_CFG_POOL_STATS) {
        EXPECT_EQ(s.n_allocs, 2 * N);
        EXPECT_EQ(s.n_frees, 2 * N);
        EXPECT_EQ(s.n_failures, 2);
    }
}

TEST(pool_aligned_to_lines_shares_none, 0)
{
    EXPECT_EQ(ea_pool_block_bytes(&lines), 128);
    for (int i = 0; i < 3; i++) EXPECT_EQ((uintptr_t)ea_pool_alloc(&lines) % 64, 0);
    EXPECT(ea_pool_alloc(&lines) == NULL);
}

TEST(pool_init_finds_room_for_the_promised_blocks, 2048)
{
    unsigned char *ram = tap_ram();
    for (size_t n = 1; n < 70; n += n < 4 ? 1 : 13) {
        for (size_t bytes = 1; bytes < 24; bytes += 3) {
            for (size_t offset = 0; offset < 2 * EA_POOL_ALIGN; offset += 5) {
                ea_pool_t pool;
                ea_pool_stats_t s;
                size_t size = EA_POOL_BYTES(bytes, n);
                if (offset + size > 2048) continue;
                EXPECT_EQ(ea_pool_init(&pool, ram + offset, size, bytes), EA_OK);
                ea_pool_stats(&pool, &s);
                EXPECT(s.n_blocks >= n);
                EXPECT(s.block_bytes >= bytes);
                expect_sound(&pool);
            }
        }
    }
}

TEST(pool_init_writes_nothing_outside_its_memory, 2048)
{
    unsigned char *ram = tap_ram();
    for (size_t bytes = 1; bytes < 40; bytes += 3) {
        for (size_t size = 8; size < 600; size += 37) {
            ea_pool_t pool;
            memset(ram, 0xA5, 1024);
            if (ea_pool_init(&pool, ram + 67, size, bytes) != EA_OK) continue;
            size_t n = 0;
            for (unsigned char *block; (block = ea_pool_alloc(&pool)) != NULL; n++) {
                EXPECT(block >= ram + 67 && block + ea_pool_block_bytes(&pool) <= ram + 67 + size);
                memset(block, 0, ea_pool_block_bytes(&pool));
            }
            EXPECT(n > 0);
            for (size_t i = 0; i < 67; i++) EXPECT_EQ(ram[i], 0xA5);
            for (size_t i = 67 + size; i < 1024; i++) EXPECT_EQ(ram[i], 0xA5);
        }
    }
}

TEST(pool_init_refuses_what_cannot_be, 256)
{
    ea_pool_t pool;
    EXPECT_EQ(ea_pool_init(NULL, tap_ram(), 256, 8), EA_ERR_INVALID);
    EXPECT_EQ(ea_pool_init(&pool, NULL, 256, 8), EA_ERR_INVALID);
    EXPECT_EQ(ea_pool_init(&pool, tap_ram(), 256, 0), EA_ERR_INVALID);
    EXPECT_EQ(ea_pool_init(&pool, tap_ram(), 256, 257), EA_ERR_NO_MEMORY);
    EXPECT_EQ(ea_pool_init(&pool, tap_ram(), 256, SIZE_MAX), EA_ERR_NO_MEMORY);
    EXPECT_EQ(ea_pool_init(&pool, tap_ram(), 0, 8), EA_ERR_NO_MEMORY);
    EXPECT_EQ(ea_pool_init(&pool, tap_ram(), SIZE_MAX, 8), EA_ERR_INVALID);
    EXPECT_EQ(ea_pool_init_aligned(&pool, tap_ram(), 256, 8, 24), EA_ERR_INVALID);
}

TEST(pool_deinit_refuses_while_blocks_live, 512)
{
    ea_pool_t pool;
    size_t n_live = 9;
    REQUIRE(ea_pool_init(&pool, tap_ram(), 512, 32) == EA_OK);
    void *a = ea_pool_alloc(&pool), *b = ea_pool_alloc(&pool);
    EXPECT_EQ(ea_pool_free(&pool, a), EA_OK);
    EXPECT_EQ(ea_pool_deinit(&pool, &n_live), EA_ERR_BUSY);
    EXPECT_EQ(n_live, 1);
    EXPECT_EQ(ea_pool_free(&pool, b), EA_OK);
    EXPECT_EQ(ea_pool_deinit(&pool, &n_live), EA_OK);
    EXPECT_EQ(n_live, 0);
    EXPECT(ea_pool_alloc(&pool) == NULL);
    EXPECT_EQ(ea_pool_check(&pool, NULL), EA_ERR_CORRUPT);
}

TEST(pool_unlocked_and_locked_calls_mix, 1024)
{
    ea_pool_t pool;
    void *blocks[64];
    REQUIRE(ea_pool_init(&pool, tap_ram(), 1024, 20) == EA_OK);
    for (int round = 0; round < 4; round++) {
        int n = 0;
        for (; n < 64; n++) {
            blocks[n] = (n + round) % 2 ? ea_pool_alloc(&pool) : ea_pool_alloc_unlocked(&pool);
            if (blocks[n] == NULL) break;
            memset(blocks[n], 0xEE, 20);
        }
        EXPECT(n > 30);
        expect_sound(&pool);
        for (int i = 0; i < n; i++) {
            void *block = blocks[(i * 7 + round) % n];
            if (n % 7 == 0) block = blocks[i];
            EXPECT_EQ((i + round) % 3 ? ea_pool_free(&pool, block)
                                      : ea_pool_free_unlocked(&pool, block),
                      EA_OK);
        }
        expect_sound(&pool);
    }
    EXPECT_EQ(ea_pool_free_unlocked(&pool, NULL), EA_OK);
}

#if EA_CFG_POOL_VALIDATE
TEST(pool_refuses_what_is_no_live_block, 1024)
{
    ea_pool_t pool;
    REQUIRE(ea_pool_init(&pool, tap_ram(), 1024, 44) == EA_OK);
    char *a = ea_pool_alloc(&pool), *b = ea_pool_alloc(&pool);
    REQUIRE(a != NULL && b != NULL);
    for (int i = 1; i < 44; i++) EXPECT_EQ(ea_pool_free(&pool, a + i), EA_ERR_FOREIGN);
    EXPECT_EQ(ea_pool_free(&pool, a - 1), EA_ERR_FOREIGN);
    EXPECT_EQ(ea_pool_free(&pool, &pool), EA_ERR_FOREIGN);
    EXPECT_EQ(ea_pool_free(&pool, (char *)tap_ram() + 1024), EA_ERR_FOREIGN);
    EXPECT_EQ(ea_pool_free(&pool, a), EA_OK);
    EXPECT_EQ(ea_pool_free(&pool, a), EA_ERR_DOUBLE_FREE);
    EXPECT_EQ(ea_pool_free_unlocked(&pool, a), EA_ERR_DOUBLE_FREE);
    EXPECT_EQ(ea_pool_free_unlocked(&pool, b + 4), EA_ERR_FOREIGN);
    EXPECT_EQ(ea_pool_free(&pool, b + ea_pool_block_bytes(&pool)),
              EA_ERR_DOUBLE_FREE); /* never handed out */
    EXPECT_EQ(ea_pool_free(&pool, NULL), EA_OK);
    expect_sound(&pool);
    ea_pool_stats_t s;
    ea_pool_stats(&pool, &s);
    EXPECT_EQ(s.n_refused, 50);
}
#endif

#if EA_CFG_POOL_SLABS >= 3
TEST(pool_grows_by_slabs_and_gives_them_back, 2048)
{
    ea_pool_t pool;
    size_t n_live;
    char *ram = tap_ram(), *second = ram + 1024, *third = ram + 1401;
    REQUIRE(ea_pool_init(&pool, ram + 512, EA_POOL_BYTES(20, 20), 20) == EA_OK);
    REQUIRE(ea_pool_add_slab(&pool, second, EA_POOL_SLAB_BYTES(20, 10)) == EA_OK);
    use_all(&pool, 30);
    size_t slab_bytes = EA_POOL_SLAB_BYTES(20, 10);
    EXPECT_EQ(ea_pool_add_slab(&pool, second, slab_bytes), EA_ERR_INVALID); /* twice the same */
    EXPECT_EQ(ea_pool_add_slab(&pool, second - slab_bytes + 1, slab_bytes), EA_ERR_INVALID);
    EXPECT_EQ(ea_pool_add_slab(&pool, ram, 560), EA_ERR_INVALID); /* into the first one */
    REQUIRE(ea_pool_add_slab(&pool, third, EA_POOL_SLAB_BYTES(20, 3)) == EA_OK);
    use_all(&pool, 33);

    void *all[33];
    for (int i = 0; i < 33; i++) all[i] = ea_pool_alloc(&pool);
    int in_second = 0;
    for (int i = 0; i < 33; i++) in_second += (char *)all[i] > second && (char *)all[i] < third;
    EXPECT_EQ(in_second, 10);
    EXPECT_EQ(ea_pool_remove_slab(&pool, second, &n_live), EA_ERR_BUSY);
    EXPECT_EQ(n_live, 10);
    EXPECT_EQ(ea_pool_remove_slab(&pool, ram, &n_live), EA_ERR_NOT_FOUND);
    for (int i = 0; i < 33; i++) EXPECT_EQ(ea_pool_free(&pool, all[i * 7 % 33]), EA_OK);
    EXPECT_EQ(ea_pool_remove_slab(&pool, second, &n_live), EA_OK);
    expect_sound(&pool);
    use_all(&pool, 23);
    EXPECT_EQ(ea_pool_remove_slab(&pool, third, NULL), EA_OK);
    use_all(&pool, 20);
}
#endif

TEST_MAIN(&pool_defined_statically_gives_every_block_once, &pool_aligned_to_lines_shares_none,
          &pool_init_finds_room_for_the_promised_blocks,
          &pool_init_writes_nothing_outside_its_memory, &pool_init_refuses_what_cannot_be,
          &pool_deinit_refuses_while_blocks_live, &pool_unlocked_and_locked_calls_mix,
#if EA_CFG_POOL_VALIDATE
          &pool_refuses_what_is_no_live_block,
#endif
#if EA_CFG_POOL_SLABS >= 3
          &pool_grows_by_slabs_and_gives_them_back,
#endif
)
