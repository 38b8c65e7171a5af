/* SPDX-License-Identifier: MIT
 *
 * What a recording says in sum: counts, live bytes, sizes, lifetimes, sites.
 */
#ifndef EALLOC_CENSUS_H
#define EALLOC_CENSUS_H

#include <stdint.h>

#include "livemap.h"
#include "recording.h"

enum {
    CENSUS_KINDS = 8,
    CENSUS_SIZE_CLASSES = 65, /* class c: sizes above 2^(c-1), up to 2^c; class 0: 0 and 1 */
    CENSUS_LIFETIMES = 7      /* below 100 us, 1 ms, 10 ms ... 10 s, and above          */
};

typedef struct {
    uint64_t n_allocs, n_bytes, n_live, live_bytes;
} site_census_t;

typedef struct {
    uint64_t n_events, n_by_kind[CENSUS_KINDS];
    uint64_t n_inherited;  /* frees of blocks that the recording never saw allocated */
    uint64_t n_duplicates; /* allocations at the address of a live block: an error   */
    uint64_t n_impossible; /* allocations of more than a process can hold: left out   */
    uint64_t n_threads, duration_us;
    uint64_t live_bytes, n_live, peak_bytes, peak_time_us, peak_blocks;
    uint64_t allocated_bytes;
    uint64_t n_by_size[CENSUS_SIZE_CLASSES], bytes_by_size[CENSUS_SIZE_CLASSES];
    uint64_t n_by_lifetime[CENSUS_LIFETIMES];
    site_census_t *sites; /* [0 .. n_sites] */
    uint32_t n_sites;
    livemap_t live;
} census_t;

/* Read r to its end, also behind damage. False: memory ran out; c holds what was read until
 * then. */
bool census_take(census_t *c, rec_reader_t *r);
void census_free(census_t *c);

#endif
