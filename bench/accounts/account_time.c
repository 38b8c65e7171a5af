/* SPDX-License-Identifier: MIT
 *
 * Time of a charge and its return, three levels deep, in units of six bare atomic additions (one
 * for each level, there and back) in the same run, rounds interleaved: what the obvious scheme
 * would cost at least. One thread, and two on accounts of one tree.
 *
 *     account_time [--rounds N] [--ops N] [--json FILE] [--check]
 *
 * --check: status 1 unless one thread needs at most 0.5 units with a batch and 2.2 without.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ealloc/account.h"

#define MAX_ROUNDS 101
#define AMOUNT 64
#define MOST_WITH_BATCH 0.5
#define MOST_EXACT 2.2

typedef enum { BARE, EXACT, EXACT_MIN, BATCH, N_SUBJECTS } subject_t;

static const char *const names[N_SUBJECTS] = {"six atomic additions", "exact", "exact, within min",
                                              "batch of 4096"};
static ea_account_t nodes[8];
static ea_accounts_t book;
static ea_account_t *accounts[2]; /* of each thread */
static struct {
    _Alignas(64) atomic_size_t words[6];
} bare[2];
static double ns[N_SUBJECTS][MAX_ROUNDS];
static size_t n_ops = 1u << 20;

static void die(const char *what, const char *text)
{
    fprintf(stderr, "account_time: %s: %s\n", what, text);
    exit(2);
}

static double now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* root -> one account -> one for each thread. */
static void make_tree(subject_t subject)
{
    const ea_account_limits_t all = {.max = 1u << 30};
    const ea_account_options_t options = {.limits = {.min = subject == EXACT_MIN ? 4096 : 0},
                                          .batch = subject == BATCH ? 4096 : 0};
    if (ea_accounts_init(&book, nodes, 8, &all) != EA_OK) die("tree", "refused");
    ea_account_t *middle = ea_account_create(&book, ea_accounts_root(&book), NULL);
    for (int i = 0; i < 2; i++) accounts[i] = ea_account_create(&book, middle, &options);
    if (accounts[1] == NULL) die("tree", "refused");
}

static void run(subject_t subject, size_t thread)
{
    ea_account_t *account = accounts[thread];
    for (size_t i = 0; i < n_ops; i++) {
        if (subject == BARE) {
            for (int k = 0; k < 6; k++) atomic_fetch_add(&bare[thread].words[k], AMOUNT);
        } else {
            if (ea_account_charge(account, AMOUNT, NULL) != EA_OK) die("charge", "refused");
            if (ea_account_return(account, AMOUNT) != EA_OK) die("return", "refused");
        }
    }
}

typedef struct {
    subject_t subject;
    size_t thread;
    pthread_barrier_t *start;
    double ns;
} job_t;

static void *run_job(void *arg)
{
    job_t *job = arg;
    (void)pthread_barrier_wait(job->start);
    double begin = now_ns(CLOCK_MONOTONIC);
    run(job->subject, job->thread);
    job->ns = now_ns(CLOCK_MONOTONIC) - begin;
    return NULL;
}

/* Nanoseconds of a charge and its return: of the thread's own time if there is one, else of the
 * slower one's. */
static double measure(subject_t subject, size_t n_threads)
{
    if (subject != BARE) make_tree(subject);
    if (n_threads == 1) {
        double begin = now_ns(CLOCK_THREAD_CPUTIME_ID);
        run(subject, 0);
        return (now_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)n_ops;
    }
    pthread_t threads[2];
    pthread_barrier_t start;
    job_t jobs[2];
    pthread_barrier_init(&start, NULL, 2);
    for (size_t i = 0; i < 2; i++) {
        jobs[i] = (job_t){subject, i, &start, 0};
        if (pthread_create(&threads[i], NULL, run_job, &jobs[i]) != 0) die("thread", "refused");
    }
    for (size_t i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    return (jobs[0].ns > jobs[1].ns ? jobs[0].ns : jobs[1].ns) / (double)n_ops;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare);
    return values[n / 2];
}

int main(int argc, char **argv)
{
    int rounds = 15;
    FILE *json = NULL;
    bool checks = false, good = true;
    const char *separator = "";
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--check") == 0) {
            checks = true;
        } else if (strcmp(argv[i], "--rounds") == 0 && has_value) {
            rounds = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--ops") == 0 && has_value) {
            n_ops = strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--json") == 0 && has_value) {
            json = fopen(argv[++i], "w");
            if (json == NULL) die(strerror(errno), argv[i]);
            fputc('[', json);
        } else {
            die(argv[i], "no such option, or its value is missing");
        }
    }
    if (rounds < 1 || rounds > MAX_ROUNDS || n_ops == 0) die("--rounds, --ops", "out of range");

    for (size_t n_threads = 1; n_threads <= 2; n_threads++) {
        double ratios[N_SUBJECTS][MAX_ROUNDS];
        for (int round = 0; round < rounds; round++) {
            for (subject_t s = BARE; s < N_SUBJECTS; s++) ns[s][round] = measure(s, n_threads);
            /* What disturbs a round disturbs all of it. */
            for (subject_t s = BARE; s < N_SUBJECTS; s++) {
                ratios[s][round] = ns[s][round] / ns[BARE][round];
            }
        }
        for (subject_t s = BARE; s < N_SUBJECTS; s++) {
            double ratio = median(ratios[s], rounds), time = median(ns[s], rounds);
            const char *plural = n_threads > 1 ? "s" : "";
            printf("  %-22s %zu thread%-2s %7.2f ns  %.2f units\n", names[s], n_threads, plural,
                   time, ratio);
            if (n_threads == 1 && s == EXACT) good = good && ratio <= MOST_EXACT;
            if (n_threads == 1 && s == BATCH) good = good && ratio <= MOST_WITH_BATCH;
            if (json == NULL) continue;
            fprintf(json,
                    "%s\n  {\"bench\": \"account_time\", \"subject\": \"%s\", \"workload\": "
                    "\"charge and return, depth 3, %zu thread%s\", \"median\": %.6g, "
                    "\"ratio_to\": \"%s\", \"ratio\": %.6g}",
                    separator, names[s], n_threads, plural, time, names[BARE], ratio);
            separator = ",";
        }
    }
    if (json != NULL) {
        fputs("\n]\n", json);
        if (fclose(json) != 0) die(strerror(errno), "JSON");
    }
    if (checks && !good) die("too slow", "more than 0.5 units with a batch or 2.2 without");
    return 0;
}
