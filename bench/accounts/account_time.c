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
#include <pthread.h>
#include <stdatomic.h>

#include "ealloc/account.h"
#include "rounds.h"

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
static rounds_t bench;

/* root -> one account -> one for each thread. */
static void make_tree(subject_t subject)
{
    const ea_account_limits_t all = {.max = 1u << 30};
    const ea_account_options_t options = {.limits = {.min = subject == EXACT_MIN ? 4096 : 0},
                                          .batch = subject == BATCH ? 4096 : 0};
    if (ea_accounts_init(&book, nodes, 8, &all) != EA_OK) rounds_die(&bench, "tree", "refused");
    ea_account_t *middle = ea_account_create(&book, ea_accounts_root(&book), NULL);
    for (int i = 0; i < 2; i++) accounts[i] = ea_account_create(&book, middle, &options);
    if (accounts[1] == NULL) rounds_die(&bench, "tree", "refused");
}

static void run(subject_t subject, size_t thread)
{
    ea_account_t *account = accounts[thread];
    for (size_t i = 0; i < bench.n_ops; i++) {
        if (subject == BARE) {
            for (int k = 0; k < 6; k++) atomic_fetch_add(&bare[thread].words[k], AMOUNT);
        } else {
            if (ea_account_charge(account, AMOUNT, NULL) != EA_OK)
                rounds_die(&bench, "charge", "refused");
            if (ea_account_return(account, AMOUNT) != EA_OK)
                rounds_die(&bench, "return", "refused");
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
    double begin = rounds_now_ns(CLOCK_MONOTONIC);
    run(job->subject, job->thread);
    job->ns = rounds_now_ns(CLOCK_MONOTONIC) - begin;
    return NULL;
}

/* Nanoseconds of a charge and its return: of the thread's own time if there is one, else of the
 * slower one's. */
static double measure(subject_t subject, size_t n_threads)
{
    if (subject != BARE) make_tree(subject);
    if (n_threads == 1) {
        double begin = rounds_now_ns(CLOCK_THREAD_CPUTIME_ID);
        run(subject, 0);
        return (rounds_now_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)bench.n_ops;
    }
    pthread_t threads[2];
    pthread_barrier_t start;
    job_t jobs[2];
    pthread_barrier_init(&start, NULL, 2);
    for (size_t i = 0; i < 2; i++) {
        jobs[i] = (job_t){subject, i, &start, 0};
        if (pthread_create(&threads[i], NULL, run_job, &jobs[i]) != 0)
            rounds_die(&bench, "thread", "refused");
    }
    for (size_t i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    return (jobs[0].ns > jobs[1].ns ? jobs[0].ns : jobs[1].ns) / (double)bench.n_ops;
}

int main(int argc, char **argv)
{
    const char *too_slow = NULL;
    rounds_begin(&bench, "account_time", 1u << 20, argc, argv);
    for (size_t n_threads = 1; n_threads <= 2; n_threads++) {
        char workload[48];
        for (int round = 0; round < bench.rounds; round++)
            for (subject_t s = BARE; s < N_SUBJECTS; s++) ns[s][round] = measure(s, n_threads);
        snprintf(workload, sizeof workload, "charge and return, depth 3, %zu thread%s", n_threads,
                 n_threads > 1 ? "s" : "");
        for (subject_t s = BARE; s < N_SUBJECTS; s++) {
            double time = rounds_median(ns[s], bench.rounds);
            double ratio = rounds_ratio(ns[s], ns[BARE], bench.rounds);
            printf("  %-22s %zu thread%-2s %7.2f ns  %.2f units\n", names[s], n_threads,
                   n_threads > 1 ? "s" : "", time, ratio);
            rounds_report(&bench, names[s], workload, time, names[BARE], ratio);
            if (n_threads == 1 &&
                ((s == EXACT && ratio > MOST_EXACT) || (s == BATCH && ratio > MOST_WITH_BATCH)))
                too_slow = "more than 0.5 units with a batch or 2.2 without";
        }
    }
    return rounds_end(&bench, too_slow);
}
