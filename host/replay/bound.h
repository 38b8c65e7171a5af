/* SPDX-License-Identifier: MIT
 *
 * How much memory suffices for any order of requests, policy by policy. Counted in units, which
 * every size is a multiple of: M are live at most, headers and rounding included, no block has more
 * than n or less than m, at most k live at once.
 */
#ifndef EALLOC_REPLAY_BOUND_H
#define EALLOC_REPLAY_BOUND_H

#include <stdbool.h>
#include <stdint.h>

#include "movable_instance.h"
#include "trace.h"

/* The worst are products of two sizes. */
typedef unsigned __int128 bound_units_t;

#define BOUND_MAX_LIVE_BYTES (UINT64_C(1) << 56)

typedef struct {
    uint64_t live, largest, smallest; /* M, n, m: 1 <= m <= n <= M */
    uint64_t n_blocks;                /* k, at least 1; more than M / m counts as that */
} bound_load_t;

/* What a policy leaves lie that would have served: it may overlook a hole of less than
 * s * numerator / denominator + more units for a request of s, and let a block keep up to waste
 * units beyond its size. */
typedef struct {
    uint32_t numerator, denominator, more, waste;
} bound_search_t;

extern const bound_search_t bound_exact_search, bound_heap_search, bound_store_search;

/* --- no policy ------------------------------------------------------------------------------- */

/* The least that any allocator needs that moves nothing: there is a program for each that makes it
 * need that much. Robson 1974, with sizes m, 2m, 4m up to n; with larger ones than m where k says
 * so.
 */
bound_units_t bound_least(const bound_load_t *load);

/* --- policies that move nothing --------------------------------------------------------------- */

/* Any policy that takes a hole if it sees one that fits: when it refuses s units all holes are
 * smaller than it overlooks, and there is one more of them than of live blocks. */
bound_units_t bound_any_fit(const bound_load_t *load, const bound_search_t *search);
/* The lowest hole that fits: M (1 + ceil(log2 n)), Robson 1977; or bound_any_fit() if less. */
bound_units_t bound_first_fit(const bound_load_t *load);
/* Blocks of powers of two; M, n and m are those of such blocks: M (1 + log2(n/m)), Ogasawara 1995;
 * or bound_any_fit() if less. */
bound_units_t bound_half_fit(const bound_load_t *load);
/* The same, at multiples of their sizes, the lowest place first: each of log2(n/m) + 1 sizes needs
 * at most M more, rounded up to n, than the smaller ones, as every such place that it passes is
 * full. */
bound_units_t bound_buddy(const bound_load_t *load);

/* --- policies that move ----------------------------------------------------------------------- */

/* Blocks are moved as far as it takes; n_pinned of them cannot be: each splits the memory, and each
 * part may keep a hole smaller than a request. */
bound_units_t bound_compacting(const bound_load_t *load, uint64_t n_pinned);
/* Allocation at the end; when that is reached all blocks slide down. permille units moved for every
 * 1000 allocated suffice: M + n + M / rate. */
bound_units_t bound_sliding(const bound_load_t *load, uint64_t permille);
/* The same in steps, so many units moved as soon as as many are allocated: M + 2 (n + M / (rate -
 * 1)), or 0: the rate is not more than 1, so that a sweep never ends. */
bound_units_t bound_sliding_steps(const bound_load_t *load, uint64_t permille);

/* --- a program -------------------------------------------------------------------------------- */

/* What a program asks for, and what that is with each allocator's header and rounding. */
typedef struct {
    uint64_t live_bytes, largest_bytes, smallest_bytes, n_blocks;
    uint32_t align_bytes;
    bound_load_t heap;  /* in units of align_bytes; 4-byte headers  */
    bound_load_t sure;  /* the same, with M no more than some such program really reaches */
    bound_load_t power; /* the same rounded up to powers of two     */
    bound_load_t store; /* in units of the layout                   */
    bound_load_t slid;  /* the same, with blocks that grow in place however that is done */
    const eai_movable_ops_t *layout; /* the smallest that holds it, or the one asked for */
    bool is_held;                    /* that layout has enough handles and memory        */
    uint64_t table_bytes;
    uint64_t pools_bytes; /* a pool for each power of two from the smallest block's on */
} bound_program_t;

/* From what is known of it: whatever blocks of such sizes there are. n_blocks 0: as many as fit.
 * layout NULL: the smallest that will do. live_bytes at most BOUND_MAX_LIVE_BYTES. */
void bound_program_of(bound_program_t *program, uint64_t live_bytes, uint64_t largest_bytes,
                      uint64_t smallest_bytes, uint64_t n_blocks, uint32_t align_bytes,
                      const eai_movable_ops_t *layout);
/* From a recording: the most at one time of each sum, with old and new block at once where one
 * grows. False: the host has no memory, or nothing was
 * allocated. */
bool bound_program_of_trace(bound_program_t *program, const trace_t *trace, uint32_t align_bytes,
                            const eai_movable_ops_t *layout);

#endif
