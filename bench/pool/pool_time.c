/* SPDX-License-Identifier: MIT
 *
 * Time of a pool's alloc and free against other pools, in one run, rounds interleaved:
 * nanoseconds an operation with one thread, and with two on the same pool.
 *
 *     pool_time [--rounds N] [--ops N] [--json FILE]
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "rounds.h"
#include "subject.h"

/* What is compared with what: a subject, and those its ratios are to. */
typedef struct {
    const subject_t *subject;
    const subject_t *others[2];
} row_t;

static const row_t rows[] = {
    {&ealloc_unlocked_bare, {&boost_pool, &foonathan_pool}},
    {&ealloc_unlocked_full, {&ealloc_unlocked_bare, NULL}},
    {&boost_pool, {NULL, NULL}},
    {&foonathan_pool, {NULL, NULL}},
    {&ealloc_bare, {&boost_lockfree, NULL}},
    {&ealloc_full, {&ealloc_bare, NULL}},
    {&boost_lockfree, {NULL, NULL}},
};
#define N_ROWS (sizeof rows / sizeof rows[0])

static const char *const workload_names[N_WORKLOADS] = {"pairs", "batches", "churn"};

static double ns[N_ROWS][MAX_ROUNDS];
static size_t n_ops;
static rounds_t bench;

/* --- one measurement -------------------------------------------------------------------------- */

typedef struct {
    const subject_t *subject;
    workload_t workload;
    pthread_barrier_t *start;
    double begin_ns, end_ns;
} job_t;

static void *run_job(void *arg)
{
    job_t *job = arg;
    (void)pthread_barrier_wait(job->start);
    job->begin_ns = rounds_now_ns(CLOCK_MONOTONIC);
    job->subject->run(job->workload, n_ops);
    job->end_ns = rounds_now_ns(CLOCK_MONOTONIC);
    return NULL;
}

/* Nanoseconds an alloc or a free takes, each thread doing n_ops of both: of the thread's own time
 * if it is one, from the first one's begin to the last one's end if there are two. */
static double measure(const subject_t *subject, workload_t workload, unsigned n_threads)
{
    if (n_threads == 1) {
        double begin = rounds_now_ns(CLOCK_THREAD_CPUTIME_ID);
        subject->run(workload, n_ops);
        return (rounds_now_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)(2 * n_ops);
    }
    pthread_t threads[2];
    pthread_barrier_t start;
    job_t jobs[2];
    pthread_barrier_init(&start, NULL, 2);
    for (int i = 0; i < 2; i++) {
        jobs[i] = (job_t){subject, workload, &start, 0, 0};
        if (pthread_create(&threads[i], NULL, run_job, &jobs[i]) != 0)
            rounds_die(&bench, "thread", "refused");
    }
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    int first = jobs[0].begin_ns < jobs[1].begin_ns ? 0 : 1;
    int last = jobs[0].end_ns > jobs[1].end_ns ? 0 : 1;
    return (jobs[last].end_ns - jobs[first].begin_ns) / (double)(2 * n_ops);
}

/* --- report ----------------------------------------------------------------------------------- */

static size_t row_of(const subject_t *subject)
{
    size_t row = 0;
    while (rows[row].subject != subject) row++;
    return row;
}

static void report(size_t row, const char *workload)
{
    const subject_t *subject = rows[row].subject;
    double time = rounds_median(ns[row], bench.rounds);
    printf("  %-24s %-18s %7.2f ns", subject->name, workload, time);
    for (int i = 0; i < 2; i++) {
        const subject_t *other = rows[row].others[i];
        if (other == NULL && i > 0) break;
        if (other == NULL) other = subject; /* of itself */
        double ratio = rounds_ratio(ns[row], ns[row_of(other)], bench.rounds);
        if (other != subject) printf("  %.2f x %s", ratio, other->name);
        rounds_report(&bench, subject->name, workload, time, other->name, ratio);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    rounds_begin(&bench, "pool_time", 1u << 20, argc, argv);
    n_ops = bench.n_ops / BATCH * BATCH;
    if (n_ops == 0) rounds_die(&bench, "--ops", "less than a batch");
    for (unsigned n_threads = 1; n_threads <= 2; n_threads++) {
        for (workload_t w = 0; w < N_WORKLOADS; w++) {
            char workload[32];
            snprintf(workload, sizeof workload, "%s, %u thread%s", workload_names[w], n_threads,
                     n_threads > 1 ? "s" : "");
            for (int round = 0; round < bench.rounds; round++) {
                for (size_t row = 0; row < N_ROWS; row++) {
                    if (n_threads > 1 && !rows[row].subject->for_threads) continue;
                    ns[row][round] = measure(rows[row].subject, w, n_threads);
                }
            }
            for (size_t row = 0; row < N_ROWS; row++) {
                if (n_threads > 1 && !rows[row].subject->for_threads) continue;
                report(row, workload);
            }
        }
    }
    return rounds_end(&bench, NULL);
}
