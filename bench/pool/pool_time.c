/* SPDX-License-Identifier: MIT
 *
 * Time of a pool's alloc and free against other pools, in one run, rounds interleaved:
 * nanoseconds an operation with one thread, and with two on the same pool.
 *
 *     pool_time [--rounds N] [--ops N] [--json FILE]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "subject.h"

#define MAX_ROUNDS 101

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
static size_t n_ops = 1u << 20;

static void die(const char *what, const char *text)
{
    fprintf(stderr, "pool_time: %s: %s\n", what, text);
    exit(2);
}

static double now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

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
    job->begin_ns = now_ns(CLOCK_MONOTONIC);
    job->subject->run(job->workload, n_ops);
    job->end_ns = now_ns(CLOCK_MONOTONIC);
    return NULL;
}

/* Nanoseconds an alloc or a free takes, each thread doing n_ops of both: of the thread's own time
 * if it is one, from the first one's begin to the last one's end if there are two. */
static double measure(const subject_t *subject, workload_t workload, unsigned n_threads)
{
    if (n_threads == 1) {
        double begin = now_ns(CLOCK_THREAD_CPUTIME_ID);
        subject->run(workload, n_ops);
        return (now_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)(2 * n_ops);
    }
    pthread_t threads[2];
    pthread_barrier_t start;
    job_t jobs[2];
    pthread_barrier_init(&start, NULL, 2);
    for (int i = 0; i < 2; i++) {
        jobs[i] = (job_t){subject, workload, &start, 0, 0};
        if (pthread_create(&threads[i], NULL, run_job, &jobs[i]) != 0) die("thread", "refused");
    }
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    int first = jobs[0].begin_ns < jobs[1].begin_ns ? 0 : 1;
    int last = jobs[0].end_ns > jobs[1].end_ns ? 0 : 1;
    return (jobs[last].end_ns - jobs[first].begin_ns) / (double)(2 * n_ops);
}

/* --- report ----------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *values, int n)
{
    double sorted[MAX_ROUNDS];
    memcpy(sorted, values, (size_t)n * sizeof *values);
    qsort(sorted, (size_t)n, sizeof *sorted, compare);
    return sorted[n / 2];
}

static size_t row_of(const subject_t *subject)
{
    size_t row = 0;
    while (rows[row].subject != subject) row++;
    return row;
}

/* The median of the rounds' ratios: what disturbs a round disturbs both. */
static double ratio(size_t row, size_t other, int rounds)
{
    double ratios[MAX_ROUNDS];
    for (int i = 0; i < rounds; i++) ratios[i] = ns[row][i] / ns[other][i];
    return median(ratios, rounds);
}

static void report(FILE *json, const char **separator, size_t row, const char *workload, int rounds)
{
    const subject_t *subject = rows[row].subject;
    double value = median(ns[row], rounds);
    printf("  %-24s %-18s %7.2f ns", subject->name, workload, value);
    for (int i = 0; i < 2; i++) {
        const subject_t *other = rows[row].others[i];
        if (other == NULL && i > 0) break;
        double to = other == NULL ? 1.0 : ratio(row, row_of(other), rounds);
        if (other != NULL) printf("  %.2f x %s", to, other->name);
        if (json == NULL) continue;
        fprintf(json,
                "%s\n  {\"bench\": \"pool_time\", \"subject\": \"%s\", \"workload\": \"%s\", "
                "\"median\": %.6g, \"ratio_to\": \"%s\", \"ratio\": %.6g}",
                *separator, subject->name, workload, value,
                other == NULL ? subject->name : other->name, to);
        *separator = ",";
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    int rounds = 15;
    FILE *json = NULL;
    const char *separator = "";
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) die(argv[i], "takes a value");
        if (strcmp(argv[i], "--rounds") == 0) {
            rounds = atoi(argv[i + 1]);
        } else if (strcmp(argv[i], "--ops") == 0) {
            n_ops = strtoul(argv[i + 1], NULL, 10) / BATCH * BATCH;
        } else if (strcmp(argv[i], "--json") == 0) {
            json = fopen(argv[i + 1], "w");
            if (json == NULL) die(strerror(errno), argv[i + 1]);
            fputc('[', json);
        } else {
            die(argv[i], "no such option");
        }
    }
    if (rounds < 1 || rounds > MAX_ROUNDS || n_ops == 0) die("--rounds, --ops", "out of range");

    for (unsigned n_threads = 1; n_threads <= 2; n_threads++) {
        for (workload_t w = 0; w < N_WORKLOADS; w++) {
            char workload[32];
            snprintf(workload, sizeof workload, "%s, %u thread%s", workload_names[w], n_threads,
                     n_threads > 1 ? "s" : "");
            for (int round = 0; round < rounds; round++) {
                for (size_t row = 0; row < N_ROWS; row++) {
                    if (n_threads > 1 && !rows[row].subject->for_threads) continue;
                    ns[row][round] = measure(rows[row].subject, w, n_threads);
                }
            }
            for (size_t row = 0; row < N_ROWS; row++) {
                if (n_threads > 1 && !rows[row].subject->for_threads) continue;
                report(json, &separator, row, workload, rounds);
            }
        }
    }
    if (json != NULL) {
        fputs("\n]\n", json);
        if (fclose(json) != 0) die(strerror(errno), "JSON");
    }
    return 0;
}
