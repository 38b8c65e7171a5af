/* SPDX-License-Identifier: MIT
 *
 * What the allocator's tests share. They use the public interface only, and ask the configuration
 * where a contract depends on it.
 */
#ifndef ALLOCATOR_TESTING_H
#define ALLOCATOR_TESTING_H

#include <string.h>

#include "ealloc/allocator.h"
#include "ealloc/owner.h"
#include "tap.h"

#define HAS_OWNERS (EA_CFG_ALLOC_OWNERS && EA_CFG_TAGS)

static inline bool is_aligned(const void *ptr, size_t alignment_bytes)
{
    return ((uintptr_t)ptr & (alignment_bytes - 1)) == 0;
}

static inline void fill_with(void *ptr, size_t n_bytes, unsigned seed)
{
    for (size_t i = 0; i < n_bytes; i++) ((unsigned char *)ptr)[i] = (unsigned char)(i * 7 + seed);
}

static inline bool is_filled_with(const void *ptr, size_t n_bytes, unsigned seed)
{
    for (size_t i = 0; i < n_bytes; i++)
        if (((const unsigned char *)ptr)[i] != (unsigned char)(i * 7 + seed)) return false;
    return true;
}

static inline ea_allocator_stats_t stats_of(const ea_allocator_t *a)
{
    ea_allocator_stats_t stats;
    ea_allocator_stats(a, &stats);
    return stats;
}

#if EA_CFG_ALLOC_LOCKING == 3
/* Lock objects as an application may bring them. They know that nobody holds two. */
static int locks_of_tests[1 + EA_CFG_ALLOC_REGIONS], n_locks_held;

static inline bool try_lock(void *lock)
{
    EXPECT(*(int *)lock == 0 && n_locks_held == 0);
    n_locks_held += ++*(int *)lock;
    return true;
}
static inline void take_lock(void *lock)
{
    (void)try_lock(lock);
}
static inline void drop_lock(void *lock)
{
    EXPECT_EQ(*(int *)lock, 1);
    n_locks_held -= (*(int *)lock)--;
}
static const ea_lock_ops_t lock_ops_of_tests = {take_lock, try_lock, drop_lock};
#endif

/* ea_allocator_init() with the lock objects it may need. */
static inline ea_status_t init(ea_allocator_t *a, const ea_allocator_options_t *options)
{
    ea_allocator_options_t o = options ? *options : (ea_allocator_options_t){0};
#if EA_CFG_ALLOC_LOCKING == 3
    o.lock_ops = &lock_ops_of_tests;
    o.lock = &locks_of_tests[EA_CFG_ALLOC_REGIONS];
    memset(locks_of_tests, 0, sizeof locks_of_tests);
    n_locks_held = 0;
#endif
    return ea_allocator_init(a, &o);
}

/* All heaps and blocks are sound. */
static inline void expect_sound(ea_allocator_t *a, const char *file, int line)
{
    ea_allocator_cursor_t cursor = {0};
    ea_status_t status;
    do status = ea_allocator_sweep(a, &cursor, 1000);
    while (status == EA_ERR_AGAIN);
    if (status != EA_OK) tap_fail(file, line, "the allocator is sound", status, EA_OK);
}
#define EXPECT_SOUND(a) expect_sound((a), __FILE__, __LINE__)

/* Nothing is allocated: the allocator can be given up. */
static inline void expect_end(ea_allocator_t *a, const char *file, int line)
{
    size_t n = 0;
    expect_sound(a, file, line);
    ea_status_t status = ea_allocator_deinit(a, &n);
    if (status != EA_OK) tap_fail(file, line, "nothing is left", (long long)n, 0);
}
#define EXPECT_END(a) expect_end((a), __FILE__, __LINE__)

#endif
