/* SPDX-License-Identifier: MIT
 *
 * Leaks against a trivial reference: every block and every window that ever was is kept in plain
 * lists, and the rule of growth is asked of them in words of its own. After each pass both must say
 * the same of each site: how many are live, how many old, how large, whether it grows.
 *
 *     leaks_model_test [SEEDS [FIRST]]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/leaks.h"

#define N_SITES 6u
#define N_WINDOWS 60u
#define WINDOW 192u /* ticks */
#define PAUSE (WINDOW / 6u)
#define UNIT (PAUSE / 16u)
#define MAX_BLOCKS 1024u
#define MAX_LIVES 4000u

typedef struct {
    bool is_live, is_kept;
    unsigned site;
    uint32_t birth;
    size_t size_bytes;
} block_t;

typedef struct {
    uint32_t lives[MAX_LIVES]; /* of those that were freed */
    unsigned n_lives;
    uint32_t old_age;
    unsigned live[N_WINDOWS], old[N_WINDOWS], freed[N_WINDOWS]; /* of each window */
    unsigned n_windows, n_quiet;
    unsigned n_live, floor, old_floor, n_old_freed;
    bool short_grows, long_grows, is_found;
    /* What it does. */
    unsigned keeps_one_in, rate;
} site_t;

static volatile uint32_t ticks;
static ea_leaks_t leaks;
static _Alignas(16) unsigned char tables[EA_LEAKS_BYTES(32, 8192)];
static block_t blocks[MAX_BLOCKS];
static site_t sites[N_SITES];
static uint32_t random_state;

static uint32_t draw(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return (uint32_t)((uint64_t)random_state * limit >> 32);
}

/* --- the reference ---------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The age that 99 of 100 did not reach, as the power of two of units above it. */
static uint32_t old_age_of(site_t *s)
{
    uint32_t age = 16 * UNIT;
    if (s->n_lives < 8) return age;
    qsort(s->lives, s->n_lives, sizeof s->lives[0], compare);
    uint32_t usual = s->lives[(s->n_lives * 99 + 99) / 100 - 1];
    while (usual >= age) age *= 2;
    return age;
}

static unsigned least(const unsigned *values, unsigned n)
{
    unsigned found = values[0];
    for (unsigned i = 1; i < n; i++)
        if (values[i] < found) found = values[i];
    return found;
}

/* Quarters of eight spans of so many windows each, the last of which is the last window. */
static bool rises(const unsigned *values, unsigned n_windows, unsigned width, unsigned *all)
{
    unsigned q[4];
    for (unsigned i = 0; i < 4; i++)
        q[i] = least(values + n_windows - 8 * width + 2 * width * i, 2 * width);
    *all = q[3] > q[0] ? q[3] - q[0] : 0;
    for (unsigned i = 0; i < 3; i++)
        if (q[i + 1] <= q[i] || 3000 * (q[i + 1] - q[i]) < 350 * *all) return false;
    return *all >= 6 && *all * *all >= q[3];
}

static bool grows(const site_t *s, unsigned width)
{
    unsigned n_freed = 0, live, old;
    for (unsigned i = s->n_windows - 8 * width; i < s->n_windows; i += width) {
        unsigned of_window = 0;
        for (unsigned j = 0; j < width; j++) of_window += s->freed[i + j];
        n_freed += of_window < 255 ? of_window : 255;
    }
    bool live_rises = rises(s->live, s->n_windows, width, &live);
    bool old_rises = rises(s->old, s->n_windows, width, &old);
    if (live_rises && 2 * old >= live && 2 * n_freed <= old) return true;
    return width > 1 && old_rises && live > 0 && n_freed <= 2 * old;
}

static void end_window(site_t *s)
{
    s->live[s->n_windows] = s->floor < s->n_live ? s->floor : s->n_live;
    s->old[s->n_windows] = s->old_floor;
    s->freed[s->n_windows++] = s->n_old_freed;
    s->floor = s->n_live;
    s->old_floor = UINT32_MAX;
    s->n_old_freed = 0;
    s->short_grows = s->n_windows >= 8 && grows(s, 1);
    if (s->n_windows >= 32 && s->n_windows % 4 == 0) s->long_grows = grows(s, 4);
    if (s->short_grows || s->long_grows) {
        s->is_found = true;
        s->n_quiet = 0;
    } else if (s->is_found && ++s->n_quiet >= 12) {
        s->is_found = false;
    }
}

/* --- both ------------------------------------------------------------------------------------- */

static const void *address_of(unsigned site)
{
    return (const void *)(uintptr_t)(0x4000 + 4 * site);
}

static void take(unsigned site)
{
    unsigned i = 0;
    while (i < MAX_BLOCKS && blocks[i].is_live) i++;
    if (i == MAX_BLOCKS) return;
    unsigned one_in = sites[site].keeps_one_in;
    blocks[i] = (block_t){true, one_in != 0 && draw(one_in) == 0, site, ticks, 1 + draw(100)};
    sites[site].n_live++;
    ea_leaks_record(&leaks, EA_BLOCK_ALLOCATED, 1, address_of(site),
                    (const void *)(uintptr_t)(64 + 64 * i), blocks[i].size_bytes);
}

static void give(unsigned i)
{
    site_t *s = &sites[blocks[i].site];
    uint32_t life = ticks - blocks[i].birth;
    if (s->n_lives == MAX_LIVES) return;
    s->lives[s->n_lives++] = life;
    if (life > s->old_age) s->n_old_freed++;
    if (--s->n_live < s->floor) s->floor = s->n_live;
    blocks[i].is_live = false;
    ea_leaks_record(&leaks, EA_BLOCK_FREED, 1, NULL, (const void *)(uintptr_t)(64 + 64 * i), 0);
}

static bool agree(unsigned site, unsigned n_old, size_t old_bytes, size_t bytes)
{
    const site_t *s = &sites[site];
    ea_leak_t found;
    bool is_found = ea_leaks_of_site(&leaks, address_of(site), &found);
    if (is_found == s->is_found && found.n_live == s->n_live && found.live_bytes == bytes &&
        found.n_suspects == n_old && found.suspect_bytes == old_bytes)
        return true;
    printf("# window %u, site %u: found %d, %zu live of %zu bytes, %zu old of %zu; not %d, %u of "
           "%zu, %u of %zu\n",
           s->n_windows, site, is_found, found.n_live, found.live_bytes, found.n_suspects,
           found.suspect_bytes, s->is_found, s->n_live, bytes, n_old, old_bytes);
    return false;
}

static bool end_pass(unsigned pass)
{
    while (ea_leaks_poll(&leaks, 1 + draw(5000)) == EA_ERR_AGAIN) {
    }
    for (unsigned site = 0; site < N_SITES; site++) {
        site_t *s = &sites[site];
        unsigned n_old = 0;
        size_t old_bytes = 0, bytes = 0;
        for (unsigned i = 0; i < MAX_BLOCKS; i++) {
            if (!blocks[i].is_live || blocks[i].site != site) continue;
            bool is_old = ticks - blocks[i].birth > s->old_age;
            bytes += blocks[i].size_bytes;
            n_old += is_old;
            old_bytes += is_old ? blocks[i].size_bytes : 0;
        }
        if (n_old < s->old_floor) s->old_floor = n_old;
        if (pass % 6 == 0) end_window(s);
        s->old_age = old_age_of(s);
        if (!agree(site, n_old, old_bytes, bytes)) return false;
    }
    size_t n = 0;
    uint32_t threshold = draw(10 * WINDOW);
    for (unsigned i = 0; i < MAX_BLOCKS; i++)
        n += blocks[i].is_live && ticks - blocks[i].birth > threshold;
    return ea_leaks_detect(&leaks, (uint64_t)threshold * 1000) == n;
}

static void work(void)
{
    for (unsigned site = 0; site < N_SITES; site++)
        if (draw(100) < sites[site].rate) take(site);
    for (unsigned n = 0; n < 3 * N_SITES; n++) {
        unsigned i = draw(MAX_BLOCKS);
        if (blocks[i].is_live && !blocks[i].is_kept) give(i);
    }
}

static bool run(uint32_t seed, unsigned *n_found)
{
    const ea_leaks_options_t options = {.n_sites = 32,
                                        .n_blocks = 8192,
                                        .clock = &ticks,
                                        .tick_us = 1000,
                                        .window_us = 1000 * WINDOW};
    random_state = seed * 2654435761u + 12345u;
    ticks = draw(UINT32_MAX);
    if (ea_leaks_init(&leaks, tables, sizeof tables, &options) != EA_OK) return false;
    memset(blocks, 0, sizeof blocks);
    memset(sites, 0, sizeof sites);
    for (unsigned site = 0; site < N_SITES; site++) {
        sites[site].old_age = 16 * UNIT;
        sites[site].rate = 1 + draw(12);
        sites[site].keeps_one_in = draw(2) ? 0 : 2 + draw(12);
        take(site); /* both begin here */
    }
    for (unsigned pass = 1; pass <= 6 * N_WINDOWS; pass++) {
        for (unsigned i = 0; i < PAUSE; i++) {
            work();
            ticks++;
        }
        if (!end_pass(pass)) return false;
    }
    for (unsigned site = 0; site < N_SITES; site++) *n_found += sites[site].is_found;
    return true;
}

int main(int argc, char **argv)
{
    unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 40;
    uint32_t seed = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1;
    unsigned n_passed = 0, n_failed = 0, n_found = 0;
    for (unsigned long i = 0; i < n && n_failed < 5; i++, seed++) {
        if (run(seed, &n_found)) {
            n_passed++;
        } else {
            n_failed++;
            printf("# seed %lu\n", (unsigned long)seed);
        }
    }
    printf("# %u sites were found at the end\n", n_found);
    printf("%u passed, %u failed\n", n_passed, n_failed);
    return n_failed || (n >= 40 && n_found == 0) ? 1 : 0;
}
