/* SPDX-License-Identifier: MIT */
#include "census.h"

#include <stdlib.h>
#include <string.h>

#include "sane.h"

static unsigned size_class(uint64_t size)
{
    return size <= 1 ? 0 : 64u - (unsigned)__builtin_clzll(size - 1);
}

static unsigned lifetime_class(uint64_t us)
{
    unsigned c = 0;
    for (uint64_t limit = 100; c < CENSUS_LIFETIMES - 1 && us >= limit; limit *= 10) c++;
    return c;
}

static site_census_t *site_of(census_t *c, uint32_t site)
{
    if (site >= c->n_sites) {
        uint32_t n = site * 2 + 256;
        site_census_t *grown = realloc(c->sites, n * sizeof *grown);
        if (grown == NULL) abort();
        memset(grown + c->n_sites, 0, (n - c->n_sites) * sizeof *grown);
        c->sites = grown;
        c->n_sites = n;
    }
    return &c->sites[site];
}

static void forget(census_t *c, const live_block_t *block, uint64_t now_us)
{
    c->live_bytes -= block->size;
    c->n_live--;
    site_census_t *site = site_of(c, block->site);
    site->n_live--;
    site->live_bytes -= block->size;
    c->n_by_lifetime[lifetime_class(now_us - block->time_us)]++;
}

static void release(census_t *c, uint64_t ptr, uint64_t now_us)
{
    live_block_t block;
    if (livemap_take(&c->live, ptr, &block))
        forget(c, &block, now_us);
    else
        c->n_inherited++;
}

/* False without memory. */
static bool acquire(census_t *c, const rec_event_t *e)
{
    if (e->ptr == 0) return true; /* nobody got a block there */
    if (e->size > REC_MAX_LIVE_BYTES - c->live_bytes) {
        c->n_impossible++;
        return true;
    }
    live_block_t block = {.ptr = e->ptr, .size = e->size, .time_us = e->time_us, .site = e->site},
                 old;
    if (!livemap_put(&c->live, &block, &old)) return false;
    if (old.ptr != 0) {
        c->n_duplicates++;
        forget(c, &old, e->time_us);
    }
    c->allocated_bytes = add_saturating(c->allocated_bytes, e->size);
    c->live_bytes += e->size;
    c->n_live++;
    if (c->live_bytes > c->peak_bytes) {
        c->peak_bytes = c->live_bytes;
        c->peak_time_us = e->time_us;
    }
    if (c->n_live > c->peak_blocks) c->peak_blocks = c->n_live;
    unsigned class = size_class(e->size);
    c->n_by_size[class]++;
    c->bytes_by_size[class] = add_saturating(c->bytes_by_size[class], e->size);
    site_census_t *site = site_of(c, e->site);
    site->n_allocs++;
    site->n_bytes = add_saturating(site->n_bytes, e->size);
    site->n_live++;
    site->live_bytes += e->size;
    return true;
}

static bool take_event(census_t *c, const rec_event_t *e)
{
    c->n_events++;
    c->n_by_kind[e->kind]++;
    c->duration_us = e->time_us;
    if (e->thread >= c->n_threads) c->n_threads = (uint64_t)e->thread + 1;
    switch (e->kind) {
    case REC_FREE: release(c, e->ptr, e->time_us); return true;
    case REC_REALLOC:
        if (e->old_ptr != 0) release(c, e->old_ptr, e->time_us);
        return acquire(c, e);
    case REC_ALLOC:
    case REC_CALLOC:
    case REC_ALIGNED: return acquire(c, e);
    default: return true;
    }
}

bool census_take(census_t *c, rec_reader_t *r)
{
    *c = (census_t){0};
    if (!livemap_init(&c->live)) abort();
    rec_event_t e;
    int status;
    while ((status = rec_next(r, &e)) != 0) {
        if (status > 0) {
            if (!take_event(c, &e)) return false;
        } else if (!rec_resume(r)) {
            break;
        }
    }
    return true;
}

void census_free(census_t *c)
{
    livemap_free(&c->live);
    free(c->sites);
}
