/* SPDX-License-Identifier: MIT
 *
 * The smallest heap that completes a trace. Success is not monotone in the size, so the answer of a
 * bisection is verified: the next 16 sizes in steps of 0.1 % must succeed too, and those that do
 * not are reported.
 */
#ifndef EALLOC_REPLAY_FIND_MIN_H
#define EALLOC_REPLAY_FIND_MIN_H

#include "engine.h"

#define FIND_MIN_VERIFIED 16
#define FIND_MIN_MAX_JOBS 16

typedef struct {
    size_t
        smallest_bytes; /* the trace completes in it; what is 0.05 % (or 8 bytes) smaller failed  */
    size_t safe_bytes;  /* from here all sizes tried succeed: smallest_bytes without exceptions   */
    size_t
        n_exceptions; /* larger sizes that fail                                                 */
    size_t exceptions[FIND_MIN_VERIFIED];
    size_t n_verified; /* larger sizes tried: fewer than 16 only at the limit of the heap      */
    size_t n_runs;     /* replays it took */
} find_min_result_t;

/* phase is "search" or "verify"; low and high bracket the answer so far (high 0: not yet). */
typedef void (*find_min_progress_t)(const char *phase, size_t low, size_t high);

typedef enum {
    FIND_MIN_DONE,
    FIND_MIN_NONE,     /* no heap that this instance can make completes the trace */
    FIND_MIN_NO_MEMORY /* the host has none                                       */
} find_min_status_t;

/* What a size is searched for. */
typedef struct {
    /* Does it complete in size_bytes? Called from several threads, each with a memory of its own.
     */
    replay_status_t (*run)(const void *context, size_t size_bytes, replay_memory_t *memory,
                           bool *completes);
    const void *context;
    size_t from_bytes; /* no smaller size can complete */
    size_t most_bytes; /* there is no larger one       */
} find_min_subject_t;

/* The search; the rest is as find_min(). */
find_min_status_t find_min_of(const find_min_subject_t *subject, unsigned n_jobs,
                              find_min_progress_t progress, find_min_result_t *result);

/* Search with n_jobs replays at a time (1 to FIND_MIN_MAX_JOBS), each in a thread and memory of its
 * own. options->heap_bytes, n_samples and the flags are ignored: candidates run in the fast way and
 * stop at the first refused request. progress may be NULL.
 * Cost     about 12 / log2(jobs + 1) rounds of replays, and 16 / jobs more. */
find_min_status_t find_min(const trace_t *trace, const replay_options_t *options, unsigned n_jobs,
                           find_min_progress_t progress, find_min_result_t *result);

#endif
