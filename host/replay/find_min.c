/* SPDX-License-Identifier: MIT
 *
 * Every round tries as many sizes as there are jobs. The search starts at perfect packing, below
 * which nothing can succeed, walks up in growing strides until one succeeds, and then cuts the
 * bracket into jobs + 1 parts.
 */
#include "find_min.h"

#include <pthread.h>

#define GRANULE 8u
#define PRECISION 2000u /* stop when the bracket is 1/2000 of the size: 0.05 % */

typedef struct {
    const find_min_subject_t *subject;
    size_t size_bytes;
    replay_memory_t memory;
    replay_status_t status;
    bool completes;
} job_t;

typedef struct {
    job_t jobs[FIND_MIN_MAX_JOBS];
    unsigned n_jobs;
    find_min_result_t *result;
    size_t most_bytes;
} search_t;

static void *run_job(void *context)
{
    job_t *job = context;
    job->status =
        job->subject->run(job->subject->context, job->size_bytes, &job->memory, &job->completes);
    return NULL;
}

/* Try n sizes (at most n_jobs) at once. Returns false when the host has no memory. */
static bool try_sizes(search_t *search, const size_t *sizes, unsigned n, bool *completes)
{
    pthread_t threads[FIND_MIN_MAX_JOBS];
    bool started[FIND_MIN_MAX_JOBS] = {false};
    bool ok = true;
    for (unsigned i = 0; i < n; i++) {
        search->jobs[i].size_bytes = sizes[i];
        if (i > 0) {
            started[i] = pthread_create(&threads[i], NULL, run_job, &search->jobs[i]) == 0;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        if (started[i]) {
            pthread_join(threads[i], NULL);
        } else {
            run_job(&search->jobs[i]); /* the first, and any the system had no thread for */
        }
        if (search->jobs[i].status == REPLAY_NO_MEMORY) ok = false;
        completes[i] = search->jobs[i].completes;
    }
    search->result->n_runs += n;
    return ok;
}

static size_t round_up(size_t size_bytes)
{
    return (size_bytes + GRANULE - 1) / GRANULE * GRANULE;
}

static bool is_close(size_t low, size_t high)
{
    return high - low <= GRANULE || high - low <= high / PRECISION;
}

/* Find a size that completes: *low fails (or is nothing), *high completes. */
static find_min_status_t find_bracket(search_t *search, size_t from, size_t *low, size_t *high,
                                      find_min_progress_t progress)
{
    size_t stride = round_up(from / 256 + 1);
    *low = from - GRANULE;
    size_t most = search->most_bytes / GRANULE * GRANULE;
    for (size_t at = from; *low < most && from <= most;) {
        size_t sizes[FIND_MIN_MAX_JOBS];
        bool completes[FIND_MIN_MAX_JOBS];
        for (unsigned i = 0; i < search->n_jobs; i++) {
            sizes[i] = at < most ? at : most;
            at += stride;
            stride = round_up(stride + stride / 2);
        }
        if (progress != NULL) progress("search", *low, 0);
        if (!try_sizes(search, sizes, search->n_jobs, completes)) return FIND_MIN_NO_MEMORY;
        for (unsigned i = 0; i < search->n_jobs; i++) {
            if (completes[i]) {
                *high = sizes[i];
                return FIND_MIN_DONE;
            }
            *low = sizes[i];
        }
    }
    return FIND_MIN_NONE;
}

static find_min_status_t narrow(search_t *search, size_t *low, size_t *high,
                                find_min_progress_t progress)
{
    while (!is_close(*low, *high)) {
        size_t sizes[FIND_MIN_MAX_JOBS];
        bool completes[FIND_MIN_MAX_JOBS];
        unsigned n = 0;
        for (unsigned i = 0; i < search->n_jobs; i++) {
            size_t part = (*high - *low) / (search->n_jobs + 1) * (i + 1);
            size_t size = round_up(*low + (part != 0 ? part : 1));
            if (size < *high && (n == 0 || size > sizes[n - 1])) sizes[n++] = size;
        }
        if (progress != NULL) progress("search", *low, *high);
        if (!try_sizes(search, sizes, n, completes)) return FIND_MIN_NO_MEMORY;
        for (unsigned i = 0; i < n; i++) {
            if (completes[i]) {
                *high = sizes[i];
                break;
            }
            *low = sizes[i];
        }
    }
    return FIND_MIN_DONE;
}

static find_min_status_t verify(search_t *search, find_min_progress_t progress)
{
    find_min_result_t *result = search->result;
    result->safe_bytes = result->smallest_bytes;
    size_t size = result->smallest_bytes;
    for (unsigned step = 0; step < FIND_MIN_VERIFIED;) {
        size_t sizes[FIND_MIN_MAX_JOBS];
        bool completes[FIND_MIN_MAX_JOBS];
        unsigned n = 0;
        for (; n < search->n_jobs && step < FIND_MIN_VERIFIED; step++) {
            size += round_up(result->smallest_bytes / 1000 + 1);
            if (size <= search->most_bytes) sizes[n++] = size;
        }
        if (n == 0) break; /* there are no larger heaps of this kind */
        result->n_verified += n;
        if (progress != NULL) progress("verify", sizes[0], sizes[n - 1]);
        if (!try_sizes(search, sizes, n, completes)) return FIND_MIN_NO_MEMORY;
        for (unsigned i = 0; i < n; i++) {
            bool after_exception = result->safe_bytes == 0;
            if (!completes[i]) {
                result->exceptions[result->n_exceptions++] = sizes[i];
                result->safe_bytes = 0;
            } else if (after_exception) {
                result->safe_bytes = sizes[i];
            }
        }
    }
    return FIND_MIN_DONE;
}

find_min_status_t find_min_of(const find_min_subject_t *subject, unsigned n_jobs,
                              find_min_progress_t progress, find_min_result_t *result)
{
    search_t search = {.n_jobs = n_jobs > FIND_MIN_MAX_JOBS ? FIND_MIN_MAX_JOBS : n_jobs,
                       .result = result,
                       .most_bytes = subject->most_bytes};
    if (search.n_jobs == 0) search.n_jobs = 1;
    *result = (find_min_result_t){0};
    for (unsigned i = 0; i < search.n_jobs; i++) search.jobs[i].subject = subject;
    size_t low = 0, high = 0;
    find_min_status_t status =
        find_bracket(&search, round_up(subject->from_bytes), &low, &high, progress);
    if (status == FIND_MIN_DONE) status = narrow(&search, &low, &high, progress);
    result->smallest_bytes = high;
    if (status == FIND_MIN_DONE) status = verify(&search, progress);
    for (unsigned i = 0; i < search.n_jobs; i++) replay_memory_release(&search.jobs[i].memory);
    return status;
}

/* --- heaps ------------------------------------------------------------------------------------ */

typedef struct {
    const trace_t *trace;
    replay_options_t options;
} heap_t;

static replay_status_t try_heap(const void *context, size_t size_bytes, replay_memory_t *memory,
                                bool *completes)
{
    const heap_t *heap = context;
    replay_options_t options = heap->options;
    replay_result_t result;
    options.heap_bytes = size_bytes;
    replay_status_t status = replay_run(heap->trace, &options, memory, &result);
    *completes = status == REPLAY_DONE && result.n_failures == 0;
    replay_result_release(&result);
    return status;
}

find_min_status_t find_min(const trace_t *trace, const replay_options_t *options, unsigned n_jobs,
                           find_min_progress_t progress, find_min_result_t *result)
{
    heap_t heap = {trace, {.ops = options->ops, .fit = options->fit, .stop_at_failure = true}};
    find_min_subject_t subject = {.run = try_heap, .context = &heap};
    size_t least;
    replay_heap_limits(options->ops, options->fit, &least, &subject.most_bytes);
    subject.from_bytes = replay_perfect_bytes(trace, options->ops, options->fit);
    return find_min_of(&subject, n_jobs, progress, result);
}
