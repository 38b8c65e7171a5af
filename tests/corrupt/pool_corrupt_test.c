/* SPDX-License-Identifier: MIT
 *
 * Every bit of a pool's control structure, of its slab headers, of its validity bits and of the
 * links in free blocks is flipped, one at a time: ea_pool_check() must notice, and change nothing.
 * Left out is what means nothing to the lists: the counts of refusals and failures, the tag. And
 * control structures of random bytes: the check must survive them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/pool.h"
#include "tap.h"

#define N 20

static _Alignas(64) unsigned char memory[EA_POOL_BYTES(40, N)];
static _Alignas(64) unsigned char slab[EA_POOL_SLAB_BYTES(40, N / 2)];
static ea_pool_t pool;
EA_POOL_DEFINE_STATIC(defined, 40, N);
static unsigned n_flips, n_found;

/* 12 live blocks, some free ones on the list (and on that of the unlocked calls), some fresh. */
static bool make_pool(void)
{
    void *blocks[N + 5];
    if (ea_pool_init(&pool, memory, sizeof memory, 40) != EA_OK) return false;
    if (EA_CFG_POOL_SLABS > 1 && ea_pool_add_slab(&pool, slab, sizeof slab) != EA_OK) return false;
    unsigned n = EA_CFG_POOL_SLABS > 1 ? N + 5 : N - 2;
    for (unsigned i = 0; i < n; i++) blocks[i] = ea_pool_alloc(&pool);
    for (unsigned i = 12; i < n; i++) {
        ea_status_t status =
            i % 4 == 0 ? ea_pool_free_unlocked(&pool, blocks[i]) : ea_pool_free(&pool, blocks[i]);
        if (status != EA_OK) return false;
    }
    return ea_pool_check(&pool, NULL) == EA_OK;
}

static void flip_of(const ea_pool_t *checked, const char *what, void *where, size_t n_bits)
{
    unsigned char *bytes = where;
    for (size_t bit = 0; bit < n_bits; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        unsigned char damaged = bytes[bit / 8];
        ea_pool_report_t report;
        bool found = ea_pool_check(checked, &report) == EA_ERR_CORRUPT;
        EXPECT_EQ(bytes[bit / 8], damaged);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        n_flips++;
        n_found += found;
        if (!found) tap_fail(__FILE__, __LINE__, what, (long long)bit, -1);
        if (found && (report.invariant == NULL || report.invariant[0] != 'P')) {
            tap_fail(__FILE__, __LINE__, "no invariant is named", (long long)bit, -1);
        }
    }
    EXPECT_EQ(ea_pool_check(checked, NULL), EA_OK);
}

static void flip(const char *what, void *where, size_t n_bits)
{
    flip_of(&pool, what, where, n_bits);
}

#define FLIP(field) flip_of(damaged, #field, &damaged->field, sizeof damaged->field * 8)

static void flip_control(ea_pool_t *damaged)
{
    unsigned head_bits = sizeof damaged->eai_head * 8;
    FLIP(eai_no_link_bits);
    if (EAI_ATOMICS == EAI_ATOMICS_CAS) head_bits = 32u - damaged->eai_no_link_bits;
    /* little-endian, as every machine this runs on */
    flip_of(damaged, "head", &damaged->eai_head, head_bits);
    FLIP(eai_base);
    FLIP(eai_inverse);
    FLIP(eai_n_blocks);
    FLIP(eai_fresh);
    FLIP(eai_block_bytes);
    FLIP(eai_rotate);
    FLIP(eai_align_log2);
    FLIP(eai_seal);
    FLIP(eai_slabs);
#if EAI_POOL_LOCAL
    FLIP(eai_local);
    FLIP(eai_mask);
#endif
#if EA_CFG_POOL_STATS
    FLIP(eai_counters.eai_n_allocs);
    FLIP(eai_counters.eai_n_frees);
#endif
}

TEST(pool_check_notices_every_flipped_bit, 0)
{
    REQUIRE(make_pool());
    flip_control(&pool);
    if (EA_CFG_POOL_SLABS > 1) {
        flip("slab header", slab, (3 * sizeof(void *) + 12) * 8);
    }
    tap_note("bits flipped", n_flips);
    EXPECT_EQ(n_found, n_flips);
}

/* A pool that the linker laid out, and nobody ever sealed at run time. */
TEST(pool_check_notices_every_flipped_bit_of_a_defined_pool, 0)
{
    void *blocks[N - 2];
    for (unsigned i = 0; i < N - 2; i++) blocks[i] = ea_pool_alloc(&defined);
    for (unsigned i = 12; i < N - 2; i++) {
        EXPECT_EQ(i % 4 == 0 ? ea_pool_free_unlocked(&defined, blocks[i])
                             : ea_pool_free(&defined, blocks[i]),
                  EA_OK);
    }
    n_flips = n_found = 0;
    flip_control(&defined);
    EXPECT_EQ(n_found, n_flips);
}

TEST(pool_check_notices_every_flipped_bit_of_links_and_bits, 0)
{
    REQUIRE(make_pool());
    ea_pool_stats_t stats;
    ea_pool_stats(&pool, &stats);
    for (unsigned i = 0; i < N; i++) {
        unsigned char *block = pool.eai_base + i * stats.block_bytes;
#if EA_CFG_POOL_VALIDATE
        eai_pool_bits_t *word = eai_pool_bits(pool.eai_base, i);
        bool live = (*word & eai_pool_bit(i)) != 0;
        *word ^= eai_pool_bit(i);
        EXPECT_EQ(ea_pool_check(&pool, NULL), EA_ERR_CORRUPT);
        *word ^= eai_pool_bit(i);
        /* 12 live ones come first; a free block's link is 4 bytes, or a pointer for unlocked
         * calls */
        if (!live && i < stats.n_peak) flip("link", block, i % 4 == 0 ? sizeof(void *) * 8 : 32);
#else
        (void)block;
#endif
    }
}

TEST(pool_check_survives_random_bytes, 0)
{
    uint32_t random = 1;
    unsigned n_sound = 0;
    for (unsigned round = 0; round < 200000; round++) {
        REQUIRE(round % 1000 != 0 || make_pool());
        ea_pool_t wild = pool;
        unsigned char *bytes = (unsigned char *)&wild;
        size_t n = round % 2 == 0 ? sizeof wild : 1 + round % 7; /* all of it, or a few bytes */
        for (size_t i = 0; i < n; i++) {
            random = random * 1664525u + 1013904223u;
            size_t at = n == sizeof wild ? i : (random >> 8) % sizeof wild;
            bytes[at] = (unsigned char)(random >> 24);
        }
        n_sound += ea_pool_check(&wild, NULL) == EA_OK;
    }
    tap_note("found sound, of 200000", n_sound);
    EXPECT(n_sound < 30000);
}

TEST_MAIN(&pool_check_notices_every_flipped_bit,
          &pool_check_notices_every_flipped_bit_of_a_defined_pool,
          &pool_check_notices_every_flipped_bit_of_links_and_bits,
          &pool_check_survives_random_bytes)
