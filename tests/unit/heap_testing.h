/* SPDX-License-Identifier: MIT
 *
 * What the heap's tests share. The tests use the public interface only, so they hold for every
 * profile, alignment, link width and check level; where a contract depends on one they ask the
 * configuration.
 */
#ifndef HEAP_TESTING_H
#define HEAP_TESTING_H

#include <string.h>

#include "ealloc/heap.h"
#include "tap.h"

#define HAS_QUICK_LISTS (EA_CFG_HEAP_PROFILE == 2)

/* A request too large for quick lists: freed blocks of it merge at once in every profile. */
#define BIG (EA_HEAP_ALIGN * 70u)

/* The block a request costs, its overhead included, if it is split off a larger one. */
static inline size_t cost_of(size_t request)
{
    size_t size =
        (request + EA_HEAP_OVERHEAD_BYTES + EA_HEAP_ALIGN - 1) & ~(size_t)(EA_HEAP_ALIGN - 1);
    return size < EA_HEAP_MIN_BLOCK_BYTES ? EA_HEAP_MIN_BLOCK_BYTES : size;
}

static inline ea_heap_stats_t stats_of(const ea_heap_t *heap)
{
    ea_heap_stats_t stats;
    ea_heap_stats(heap, &stats);
    return stats;
}

static inline void expect_sound(const ea_heap_t *heap, const char *file, int line)
{
    ea_heap_fault_t fault = {NULL, NULL};
    ea_status_t status = ea_heap_check(heap, &fault);
    if (status != EA_OK) tap_fail(file, line, fault.invariant, status, EA_OK);
}
#define EXPECT_SOUND(heap) expect_sound((heap), __FILE__, __LINE__)

/* Nothing is allocated and nothing is lost: the largest request any state could grant is
 * granted. */
static inline bool is_whole(ea_heap_t *heap)
{
    void *all = ea_heap_alloc(heap, ea_heap_max_alloc_bytes(heap));
    if (all == NULL) return false;
    return ea_heap_free(heap, all) == EA_OK;
}

static inline bool is_aligned(const void *ptr, size_t alignment_bytes)
{
    return ((uintptr_t)ptr & (alignment_bytes - 1)) == 0;
}

/* A pattern that depends on the position and a seed. */
static inline void fill_with(void *ptr, size_t n_bytes, unsigned seed)
{
    for (size_t i = 0; i < n_bytes; i++) ((unsigned char *)ptr)[i] = (unsigned char)(i * 7 + seed);
}

static inline bool holds(const void *ptr, size_t n_bytes, unsigned seed)
{
    for (size_t i = 0; i < n_bytes; i++) {
        if (((const unsigned char *)ptr)[i] != (unsigned char)(i * 7 + seed)) return false;
    }
    return true;
}

static inline bool all_bytes_are(const void *ptr, size_t n_bytes, unsigned char value)
{
    for (size_t i = 0; i < n_bytes; i++) {
        if (((const unsigned char *)ptr)[i] != value) return false;
    }
    return true;
}

/* xorshift32; the state is never 0. */
static inline uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

#endif
