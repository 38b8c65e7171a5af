/* SPDX-License-Identifier: MIT
 *
 * The profile of allocations (row B3): every event is counted at its site and its owner, the sums
 * are exact whatever happens, costly sites keep their rows, and the advice fits the pattern.
 */
#include <string.h>

#include "ealloc/allocator.h"
#include "ealloc/owner.h"
#include "ealloc/profile.h"
#include "tap.h"

#define N_SITES 8u
#define N_OWNERS 8u
#define N_BLOCKS 32u
#define BYTES EA_PROFILE_BYTES(N_SITES, N_OWNERS, N_BLOCKS)
#define SITE(i) ((const void *)(uintptr_t)(0x1000 + 4 * (i)))
#define BLOCK(i) ((const void *)(uintptr_t)(0x20000 + 16 * (i)))

static volatile uint32_t ticks;
static const ea_profile_options_t options = {.n_sites = N_SITES,
                                             .n_owners = N_OWNERS,
                                             .n_blocks = N_BLOCKS,
                                             .clock = &ticks,
                                             .tick_us = 1000};
static ea_profile_t p;

static bool begin(void)
{
    ticks = 0;
    return ea_profile_init(&p, tap_ram(), BYTES, &options) == EA_OK;
}

static void take(unsigned site, unsigned block, size_t size_bytes)
{
    ea_profile_record(&p, EA_BLOCK_ALLOCATED, 3, SITE(site), BLOCK(block), size_bytes);
}

static void give(unsigned block)
{
    ea_profile_record(&p, EA_BLOCK_FREED, 3, SITE(900), BLOCK(block), 100000);
}

/* The row of a site or an owner, until the next call; all zero: it has none. A small board's stack
 * holds few rows. */
static const ea_profile_row_t *find(ea_profile_table_t table, bool is_other, const void *site,
                                    uint16_t owner)
{
    static ea_profile_row_t row;
    size_t cursor = 0;
    while (ea_profile_next(&p, table, &cursor, &row) == EA_OK)
        if (row.is_other == is_other && row.site == site && row.owner == owner) return &row;
    memset(&row, 0, sizeof row);
    return &row;
}

static const ea_profile_row_t *row_of(ea_profile_table_t table, const void *site, uint16_t owner)
{
    return find(table, false, site, owner);
}

static const ea_profile_row_t *other(ea_profile_table_t table)
{
    return find(table, true, NULL, 0);
}

static ea_advice_kind_t advice_for(unsigned site)
{
    const ea_profile_row_t *row = row_of(EA_PROFILE_SITES, SITE(site), 0);
    ea_advice_t advice;
    ea_profile_advise(row, &advice);
    return advice.kind;
}

TEST(profile_init_refuses_what_cannot_be_its_tables, BYTES)
{
    char *ram = tap_ram();
    ea_profile_options_t o = options;
    EXPECT_EQ(ea_profile_init(NULL, ram, BYTES, &o), EA_ERR_INVALID);
    EXPECT_EQ(ea_profile_init(&p, NULL, BYTES, &o), EA_ERR_INVALID);
    EXPECT_EQ(ea_profile_init(&p, ram, BYTES, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_profile_init(&p, ram, BYTES - 1, &o), EA_ERR_INVALID);
    EXPECT_EQ(ea_profile_init(&p, ram + 1, BYTES, &o), EA_ERR_INVALID);
    o.n_sites = 4;
    EXPECT_EQ(ea_profile_init(&p, ram, BYTES, &o), EA_ERR_INVALID);
    o.n_sites = 12;
    EXPECT_EQ(ea_profile_init(&p, ram, BYTES, &o), EA_ERR_INVALID);
    o = options;
    o.n_owners = 0;
    EXPECT_EQ(ea_profile_init(&p, ram, BYTES, &o), EA_ERR_INVALID);
    o = options;
    o.n_blocks = 65536;
    EXPECT_EQ(ea_profile_init(&p, ram, BYTES, &o), EA_ERR_INVALID);
    o = options;
    o.tick_us = 0;
    EXPECT_EQ(ea_profile_init(&p, ram, BYTES, &o), EA_ERR_INVALID);
    for (unsigned i = 0; i < BYTES; i++) EXPECT_EQ((unsigned char)ram[i], 0xA5);
    EXPECT_EQ(ea_profile_init(&p, ram, BYTES, &options), EA_OK);
}

TEST(profile_counts_a_block_from_its_alloc_to_its_free, BYTES)
{
    REQUIRE(begin());
    take(1, 1, 100);
    take(1, 2, 0);
    take(2, 3, 70000);
    ticks = 5;
    give(1); /* whoever frees it, it was site 1's */
    const ea_profile_row_t *row = row_of(EA_PROFILE_SITES, SITE(1), 0);
    EXPECT_EQ(row->n_allocs, 2);
    EXPECT_EQ(row->n_live, 1);
    EXPECT_EQ(row->alloc_bytes, 100);
    EXPECT_EQ(row->live_bytes, 0);
    EXPECT_EQ(row->peak_bytes, 100);
    EXPECT_EQ(row->sizes[7], 1); /* 64 to 127 */
    EXPECT_EQ(row->sizes[0], 1);
    EXPECT_EQ(row->lifetimes[3], 1); /* 4 to 7 ms */
    EXPECT_EQ(row->unit_us, 1000);
    row = row_of(EA_PROFILE_SITES, SITE(2), 0);
    EXPECT_EQ(row->live_bytes, 70000);
    EXPECT_EQ(row->sizes[EA_PROFILE_SIZES - 1], 1); /* the last class has no end */
    row = row_of(EA_PROFILE_OWNERS, NULL, 3);
    EXPECT_EQ(row->n_live, 2);
    EXPECT_EQ(row->live_bytes, 70000);
    EXPECT_EQ(row->peak_bytes, 70100);
    EXPECT_EQ(row->lifetimes[3], 1);
    EXPECT_EQ(row_of(EA_PROFILE_SITES, SITE(900), 0)->n_allocs, 0);
}

TEST(profile_counts_reallocs_refusals_and_hand_overs, BYTES)
{
    REQUIRE(begin());
    take(1, 1, 10);
    ea_profile_record(&p, EA_BLOCK_RESIZED, 3, SITE(2), BLOCK(1), 20); /* in place */
    const ea_profile_row_t *row = row_of(EA_PROFILE_SITES, SITE(1), 0);
    EXPECT_EQ(row->n_live, 0);
    for (unsigned i = 0; i < EA_PROFILE_LIFETIMES; i++) EXPECT_EQ(row->lifetimes[i], 0);
    ea_profile_record(&p, EA_BLOCK_MOVED, 3, SITE(2), BLOCK(1), 32);
    ea_profile_record(&p, EA_BLOCK_RESIZED, 3, SITE(2), BLOCK(2), 40);
    row = row_of(EA_PROFILE_SITES, SITE(2), 0);
    EXPECT_EQ(row->n_reallocs, 2);
    EXPECT_EQ(row->n_allocs, 2);
    EXPECT_EQ(row->live_bytes, 40);
    EXPECT_EQ(row->peak_bytes, 40);
    ea_profile_record(&p, EA_BLOCK_TRANSFERRED, 5, SITE(7), BLOCK(2), 48);
    EXPECT_EQ(row_of(EA_PROFILE_OWNERS, NULL, 3)->live_bytes, 0);
    EXPECT_EQ(row_of(EA_PROFILE_OWNERS, NULL, 5)->live_bytes, 40);
    EXPECT_EQ(row_of(EA_PROFILE_SITES, SITE(2), 0)->live_bytes, 40);
    give(2);
    EXPECT_EQ(row_of(EA_PROFILE_OWNERS, NULL, 5)->live_bytes, 0);
    ea_profile_record(&p, EA_BLOCK_REFUSED, 0, SITE(2), NULL, 1000);
    ea_profile_record(&p, EA_BLOCK_BAD_FREE, 0, SITE(2), BLOCK(2), 0);
    EXPECT_EQ(row_of(EA_PROFILE_SITES, SITE(2), 0)->n_refused, 1);
    EXPECT_EQ(row_of(EA_PROFILE_OWNERS, NULL, 0)->n_refused, 1);
    give(2);
    ea_profile_stats_t stats;
    ea_profile_stats(&p, &stats);
    EXPECT_EQ(stats.n_unknown, 1);
    EXPECT_EQ(stats.n_live, 0);
    EXPECT_EQ(stats.n_refused, 1);
}

TEST(profile_keeps_the_costly_sites_and_sums_up_the_others, BYTES)
{
    REQUIRE(begin());
    for (unsigned n = 0; n < 100; n++) /* four that cost, among hundreds that come once */
        for (unsigned site = 0; site < 8; site++) {
            unsigned of = site < 4 ? site : 10 + 4 * n + site;
            take(of, site, 64);
            give(site);
        }
    for (unsigned site = 0; site < 4; site++)
        EXPECT(row_of(EA_PROFILE_SITES, SITE(site), 0)->n_allocs >= 90);
    ea_profile_stats_t stats;
    ea_profile_stats(&p, &stats);
    EXPECT_EQ(stats.n_allocs, 800);
    EXPECT_EQ(stats.n_live, 0);
    EXPECT(stats.n_evicted > 0);
    EXPECT(other(EA_PROFILE_SITES)->n_allocs >= 390);
    EXPECT_EQ(row_of(EA_PROFILE_OWNERS, NULL, 3)->n_allocs, 800);
}

TEST(profile_frees_a_block_whose_site_lost_its_row_from_other, BYTES)
{
    REQUIRE(begin());
    for (unsigned site = 0; site < N_SITES; site++) take(site, site, 8);
    take(100, 20, 8); /* one event: each site has one allocation and is spared */
    give(20);
    EXPECT_EQ(row_of(EA_PROFILE_SITES, SITE(100), 0)->n_allocs, 0);
    for (unsigned n = 0; n < 2 * N_SITES; n++) { /* as many events as there are to be spared */
        take(100, 20, 8);
        give(20);
    }
    EXPECT(row_of(EA_PROFILE_SITES, SITE(100), 0)->n_allocs > 0);
    EXPECT_EQ(row_of(EA_PROFILE_SITES, SITE(100), 0)->n_live, 0);
    EXPECT_EQ(other(EA_PROFILE_SITES)->n_live, 1);
    for (unsigned site = 0; site < N_SITES; site++) give(site);
    EXPECT_EQ(other(EA_PROFILE_SITES)->n_live, 0);
    EXPECT_EQ(other(EA_PROFILE_SITES)->live_bytes, 0);
}

TEST(profile_of_more_blocks_than_places_says_how_many_it_does_not_track, BYTES)
{
    REQUIRE(begin());
    for (unsigned i = 0; i < 2 * N_BLOCKS; i++) take(1, i, 10);
    ea_profile_stats_t stats;
    ea_profile_stats(&p, &stats);
    const ea_profile_row_t *row = row_of(EA_PROFILE_SITES, SITE(1), 0);
    EXPECT_EQ(row->n_allocs, 2 * N_BLOCKS);
    EXPECT(stats.n_untracked >= N_BLOCKS);
    EXPECT_EQ(row->n_live, 2 * N_BLOCKS - stats.n_untracked);
    EXPECT_EQ(row->live_bytes, 10 * row->n_live);
    EXPECT_EQ(row_of(EA_PROFILE_OWNERS, NULL, 3)->n_live, 2 * N_BLOCKS - stats.n_untracked);
    for (unsigned i = 0; i < 2 * N_BLOCKS; i++) give(i);
    ea_profile_stats(&p, &stats);
    EXPECT_EQ(stats.n_unknown, stats.n_untracked);
    EXPECT_EQ(row_of(EA_PROFILE_SITES, SITE(1), 0)->n_live, 0);
}

TEST(profile_tracks_one_block_in_n, BYTES)
{
    ea_profile_options_t o = options;
    unsigned n_tracked = 0;
    o.sample_one_in = 8;
    REQUIRE(ea_profile_init(&p, tap_ram(), BYTES, &o) == EA_OK);
    for (unsigned i = 0; i < 8000; i++) {
        take(1, i, 10);
        n_tracked += (unsigned)row_of(EA_PROFILE_SITES, SITE(1), 0)->n_live;
        give(i);
    }
    tap_note("tracked of 8000", n_tracked);
    EXPECT(n_tracked > 900 && n_tracked < 1100);
    EXPECT_EQ(row_of(EA_PROFILE_SITES, SITE(1), 0)->n_allocs, 8000);
}

TEST(profile_ranks_sites_by_what_is_asked_for, BYTES)
{
    REQUIRE(begin());
    take(1, 1, 5000); /* peak, total */
    give(1);
    take(2, 2, 300); /* live */
    ea_profile_window(&p);
    for (unsigned i = 0; i < 20; i++) {
        take(3, 3, 16); /* rate */
        give(3);
    }
    ticks += 500;
    ea_profile_window(&p);
    static ea_profile_row_t rows[2];
    EXPECT_EQ(ea_profile_top(&p, EA_PROFILE_SITES, EA_PROFILE_BY_LIVE, rows, 2), 2);
    EXPECT(rows[0].site == SITE(2));
    EXPECT_EQ(ea_profile_top(&p, EA_PROFILE_SITES, EA_PROFILE_BY_PEAK, rows, 2), 2);
    EXPECT(rows[0].site == SITE(1) && rows[1].site == SITE(2));
    EXPECT_EQ(ea_profile_top(&p, EA_PROFILE_SITES, EA_PROFILE_BY_TOTAL, rows, 1), 1);
    EXPECT(rows[0].site == SITE(1));
    EXPECT_EQ(ea_profile_top(&p, EA_PROFILE_SITES, EA_PROFILE_BY_RATE, rows, 2), 2);
    EXPECT(rows[0].site == SITE(3));
    EXPECT_EQ(rows[0].allocs_per_s, 40);
    EXPECT_EQ(rows[0].bytes_per_s, 640);
    EXPECT_EQ(rows[1].allocs_per_s, 0);
    EXPECT_EQ(ea_profile_top(&p, EA_PROFILE_OWNERS, EA_PROFILE_BY_RATE, rows, 2), 1);
    EXPECT_EQ(rows[0].owner, 3);
    EXPECT_EQ(ea_profile_top(NULL, EA_PROFILE_SITES, EA_PROFILE_BY_RATE, rows, 2), 0);
    EXPECT_EQ(ea_profile_top(&p, EA_PROFILE_SITES, EA_PROFILE_BY_RATE, rows, 0), 0);
}

TEST(profile_advises_by_pattern, BYTES)
{
    REQUIRE(begin());
    take(9, 31, 64);
    EXPECT_EQ(advice_for(9), EA_ADVICE_NONE); /* one says nothing */
    ea_profile_window(&p);
    for (unsigned i = 0; i < 200; i++) { /* 48 bytes, 2000 times a second, for a millisecond */
        take(1, 1, 48);
        ticks += i % 2;
        give(1);
    }
    for (unsigned i = 0; i < 200; i++) {
        take(2, 1, 1u << i % 7);
        give(1);
    }
    ea_profile_window(&p);
    EXPECT_EQ(advice_for(1), EA_ADVICE_POOL);
    EXPECT_EQ(advice_for(2), EA_ADVICE_SHORT_LIVED);
    const ea_profile_row_t *row = row_of(EA_PROFILE_SITES, SITE(1), 0);
    ea_advice_t advice;
    ea_profile_advise(row, &advice);
    EXPECT_EQ(advice.allocs_per_s, 2000);
    EXPECT_EQ(advice.size_bytes, 63);
    EXPECT_EQ(advice.max_lifetime_us, 2000);
    EXPECT_EQ(advice.permille, 1000);
    EXPECT(strcmp(ea_advice_name((uint8_t)advice.kind), "POOL") == 0);
    EXPECT(strcmp(ea_advice_name(200), "?") == 0);

    for (unsigned n = 0; n < 8; n++) {
        for (unsigned i = 0; i < 6; i++) take(3, i, 8 + 30 * i);
        ticks += 500;
        for (unsigned i = 6; i > 0; i--) give(i - 1);
        for (unsigned i = 0; i < 6; i++) take(4, i, 8 + 30 * i);
        ticks += 500;
        for (unsigned i = 0; i < 6; i++) give(i);
    }
    EXPECT_EQ(advice_for(3), EA_ADVICE_LIFO);
    EXPECT_EQ(advice_for(4), EA_ADVICE_FIFO);
    for (unsigned i = 0; i < 20; i++)
        ea_profile_record(&p, EA_BLOCK_RESIZED, 3, SITE(5), BLOCK(1), 10 + 10 * i);
    EXPECT_EQ(advice_for(5), EA_ADVICE_GROWTH);
    give(1);
    for (unsigned i = 0; i < 16; i++) take(6, i, 30);
    EXPECT_EQ(advice_for(6), EA_ADVICE_LONG_LIVED);
    for (unsigned i = 0; i < 16; i++) give(i);
    static const unsigned order[] = {3, 0, 5, 1, 7, 4, 2, 6}; /* none */
    for (unsigned n = 0; n < 40; n++) {
        if (n % 10 == 0) {
            for (unsigned i = 0; i < 8; i++) take(7, i, 30u << i % 3);
            for (unsigned i = 0; i < 8; i++) give(order[i]);
        }
        ticks += 1000;
        ea_profile_window(&p);
    }
    EXPECT_EQ(advice_for(7), EA_ADVICE_BURSTS);
}

/* --- model ------------------------------------------------------------------------------------ */

#define N_MODEL_SITES 24u
#define N_MODEL_BLOCKS 24u

typedef struct {
    size_t n_allocs, n_live, alloc_bytes, live_bytes, peak_bytes;
} counts_t;

static void model_come(counts_t *c, size_t size_bytes)
{
    c->n_allocs++;
    c->n_live++;
    c->alloc_bytes += size_bytes;
    c->live_bytes += size_bytes;
    if (c->live_bytes > c->peak_bytes) c->peak_bytes = c->live_bytes;
}

static void model_go(counts_t *c, size_t size_bytes)
{
    c->n_live--;
    c->live_bytes -= size_bytes;
}

static size_t n_handed, handed_bytes; /* owners' totals count those again */

/* Sums over rows are those of the model, and no row is more than its model. */
static bool is_like(const counts_t *all, const counts_t *owners, const counts_t *sites)
{
    counts_t sum[2] = {{0, 0, 0, 0, 0}, {0, 0, 0, 0, 0}};
    for (unsigned table = 0; table < 2; table++) {
        static ea_profile_row_t row;
        size_t cursor = 0;
        while (ea_profile_next(&p, (ea_profile_table_t)table, &cursor, &row) == EA_OK) {
            size_t n_sizes = 0;
            for (unsigned i = 0; i < EA_PROFILE_SIZES; i++) n_sizes += row.sizes[i];
            if (n_sizes != row.n_allocs) return false;
            sum[table].n_allocs += row.n_allocs;
            sum[table].n_live += row.n_live;
            sum[table].alloc_bytes += row.alloc_bytes;
            sum[table].live_bytes += row.live_bytes;
            if (row.is_other) continue;
            const counts_t *c = table == 1 ? &owners[row.owner]
                                           : &sites[((uintptr_t)row.site - (uintptr_t)SITE(0)) / 4];
            if (row.n_allocs > c->n_allocs || row.live_bytes > c->live_bytes ||
                row.peak_bytes > c->peak_bytes)
                return false;
            if (table == 1 && (row.n_allocs != c->n_allocs || row.peak_bytes != c->peak_bytes ||
                               row.n_live != c->n_live))
                return false;
        }
    }
    sum[1].n_allocs -= n_handed;
    sum[1].alloc_bytes -= handed_bytes;
    for (unsigned table = 0; table < 2; table++)
        if (sum[table].n_allocs != all->n_allocs || sum[table].n_live != all->n_live ||
            sum[table].alloc_bytes != all->alloc_bytes || sum[table].live_bytes != all->live_bytes)
            return false;
    return true;
}

TEST(profile_of_random_events_is_that_of_the_model, BYTES)
{
    static struct {
        size_t size_bytes;
        uint8_t is_live, site, owner;
    } blocks[N_MODEL_BLOCKS];
    static counts_t sites[N_MODEL_SITES], owners[4];
    counts_t all = {0, 0, 0, 0, 0};
    ea_profile_stats_t stats = {0, 0, 0, 0, 0, 0, 0, 0};
    uint32_t random = (uint32_t)tap_arg("seed", 1);
    tap_note("seed", random);
    REQUIRE(begin());
    n_handed = handed_bytes = 0;
    memset(blocks, 0, sizeof blocks);
    memset(sites, 0, sizeof sites);
    memset(owners, 0, sizeof owners);
    for (unsigned step = 0; step < 3000; step++) {
        random = random * 1664525u + 1013904223u;
        unsigned i = (random >> 8) % N_MODEL_BLOCKS;
        unsigned site = (random >> 13) % N_MODEL_SITES, owner = random >> 30;
        size_t size = random >> 20 & 511;
        ticks += random >> 29;
        if (blocks[i].is_live) {
            unsigned to = (random >> 27) & 3u;
            if ((random >> 24 & 7u) == 0) { /* handed over */
                ea_profile_record(&p, EA_BLOCK_TRANSFERRED, (uint16_t)to, SITE(site), BLOCK(i), 0);
                model_go(&owners[blocks[i].owner], blocks[i].size_bytes);
                model_come(&owners[to], blocks[i].size_bytes);
                blocks[i].owner = (uint8_t)to;
                n_handed++;
                handed_bytes += blocks[i].size_bytes;
                continue;
            }
            give(i);
            model_go(&all, blocks[i].size_bytes);
            model_go(&sites[blocks[i].site], blocks[i].size_bytes);
            model_go(&owners[blocks[i].owner], blocks[i].size_bytes);
            blocks[i].is_live = 0;
        } else {
            if (random >> 28 > 2) site %= 4; /* a few are costly */
            ea_profile_record(&p, EA_BLOCK_ALLOCATED, (uint16_t)owner, SITE(site), BLOCK(i), size);
            ea_profile_stats(&p, &stats);
            REQUIRE(stats.n_untracked == 0);
            model_come(&all, size);
            model_come(&sites[site], size);
            model_come(&owners[owner], size);
            blocks[i].size_bytes = size;
            blocks[i].site = (uint8_t)site;
            blocks[i].owner = (uint8_t)owner;
            blocks[i].is_live = 1;
        }
        if (step % 100 == 99) ea_profile_window(&p);
        REQUIRE(is_like(&all, owners, sites));
    }
    tap_note("sites that lost their row", (long long)stats.n_evicted);
    EXPECT(stats.n_evicted > 0);
}

/* --- an allocator ----------------------------------------------------------------------------- */

TEST(profile_of_an_allocator_counts_its_blocks, BYTES + 4096)
{
    static ea_allocator_t a;
    REQUIRE(begin());
    REQUIRE(ea_allocator_init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, (char *)tap_ram() + (BYTES + 15) / 16 * 16, 4000, NULL) ==
            EA_OK);
#if EA_CFG_ALLOC_HOOK
    static ea_profile_row_t rows[2];
    REQUIRE(ea_profile_attach(&p, &a) == EA_OK);
    EXPECT_EQ(ea_profile_attach(&p, &a), EA_ERR_BUSY);
    void *blocks[8];
    for (unsigned i = 0; i < 8; i++) blocks[i] = ea_malloc(&a, 24);
    REQUIRE(ea_profile_top(&p, EA_PROFILE_SITES, EA_PROFILE_BY_LIVE, rows, 2) == 1);
    EXPECT_EQ(rows[0].n_live, 8);
    EXPECT_EQ(rows[0].live_bytes, 192);
    blocks[0] = ea_realloc(&a, blocks[0], 40);
    blocks[0] = ea_realloc(&a, blocks[0], 400);
    for (unsigned i = 0; i < 8; i++) EXPECT_EQ(ea_free(&a, blocks[i]), EA_OK);
    EXPECT(ea_malloc(&a, 100000) == NULL);
    ea_profile_stats_t stats;
    ea_profile_stats(&p, &stats);
    EXPECT_EQ(stats.n_live, 0);
    EXPECT_EQ(stats.live_bytes, 0);
    EXPECT_EQ(stats.n_allocs, 10);
    EXPECT_EQ(stats.n_refused, 1);
    EXPECT_EQ(stats.n_unknown, 0);
    blocks[0] = ea_malloc(&a, 24);
    EXPECT_EQ(ea_profile_detach(&p, &a), EA_OK);
    EXPECT_EQ(ea_profile_detach(&p, &a), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_free(&a, blocks[0]), EA_OK);
    EXPECT_EQ(ea_profile_attach(&p, &a), EA_OK); /* what it did not see go is not there */
    ea_profile_stats(&p, &stats);
    EXPECT_EQ(stats.n_live, 0);
    EXPECT_EQ(ea_profile_detach(&p, &a), EA_OK);
#else
    EXPECT_EQ(ea_profile_attach(&p, &a), EA_ERR_INVALID);
    EXPECT_EQ(ea_profile_detach(&p, &a), EA_ERR_NOT_FOUND);
#endif
    EXPECT_EQ(ea_profile_attach(NULL, &a), EA_ERR_INVALID);
    EXPECT_EQ(ea_allocator_deinit(&a, NULL), EA_OK);
}

TEST_MAIN(&profile_init_refuses_what_cannot_be_its_tables,
          &profile_counts_a_block_from_its_alloc_to_its_free,
          &profile_counts_reallocs_refusals_and_hand_overs,
          &profile_keeps_the_costly_sites_and_sums_up_the_others,
          &profile_frees_a_block_whose_site_lost_its_row_from_other,
          &profile_of_more_blocks_than_places_says_how_many_it_does_not_track,
          &profile_tracks_one_block_in_n, &profile_ranks_sites_by_what_is_asked_for,
          &profile_advises_by_pattern, &profile_of_random_events_is_that_of_the_model,
          &profile_of_an_allocator_counts_its_blocks)
