/* SPDX-License-Identifier: MIT
 *
 * What the small benches share: their options, rounds, medians and JSON records. A program is
 *
 *     rounds_t r;
 *     rounds_begin(&r, "trace_time", n_ops, argc, argv);
 *     for every subject and round: a time into an array of its own
 *     rounds_report(&r, subject, workload, median, ratio_to, ratio);
 *     return rounds_end(&r, NULL);
 */
#ifndef BENCH_ROUNDS_H
#define BENCH_ROUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#define MAX_ROUNDS 101

typedef struct {
    const char *program;
    int rounds;
    size_t n_ops;
    bool checks;      /* --check */
    const char *only; /* --only: a subject; NULL: all */
    FILE *json;       /* NULL: nobody wants it */
    const char *separator;
} rounds_t;

/* One line to stderr; status 2. */
void rounds_die(const rounds_t *r, const char *what, const char *text) __attribute__((noreturn));

/* Read --rounds N, --ops N, --json FILE, --check and --only SUBJECT; dies of anything else. */
void rounds_begin(rounds_t *r, const char *program, size_t n_ops, int argc, char **argv);

/* Write a record, if there is a file for it. */
void rounds_report(rounds_t *r, const char *subject, const char *workload, double median,
                   const char *ratio_to, double ratio);

/* Close the file. too_slow: not NULL, and what to die with, if a bound was missed; it matters with
 * --check only. Returns the exit status. */
int rounds_end(rounds_t *r, const char *too_slow);

double rounds_now_ns(clockid_t clock);

/* Of n values, at most MAX_ROUNDS, which stay as they are. */
double rounds_median(const double *values, int n);

/* The median of the rounds' ratios: what disturbs a round disturbs both. */
double rounds_ratio(const double *values, const double *others, int n);

#endif
