/* SPDX-License-Identifier: MIT
 *
 * Our pool as a subject; compiled once bare (no validity bits, no counters, one slab) and once with
 * the defaults, beside the pool's own sources with the same knobs.
 */
#include "ealloc/pool.h"

#include "subject.h"

#define PASTE(name, suffix) name##_##suffix
#define EXPAND(name, suffix) PASTE(name, suffix)
#define NAME(name) EXPAND(name, SUFFIX)

EA_POOL_DEFINE_ALIGNED_STATIC(pool, BLOCK_BYTES, N_BLOCKS, 64);

#define ALLOC() ea_pool_alloc(HIDDEN(pool))
#define FREE(block) ((void)ea_pool_free(HIDDEN(pool), block))
LOOPS(locked, ALLOC, FREE)

#define ALLOC_UNLOCKED() ea_pool_alloc_unlocked(HIDDEN(pool))
#define FREE_UNLOCKED(block) ((void)ea_pool_free_unlocked(HIDDEN(pool), block))
LOOPS(unlocked, ALLOC_UNLOCKED, FREE_UNLOCKED)

const subject_t NAME(ealloc) = {SUBJECT, 1, locked_run};
const subject_t NAME(ealloc_unlocked) = {SUBJECT " unlocked", 0, unlocked_run};
