/* SPDX-License-Identifier: MIT */
#include "rounds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void rounds_die(const rounds_t *r, const char *what, const char *text)
{
    fprintf(stderr, "%s: %s: %s\n", r->program, what, text);
    exit(2);
}

void rounds_begin(rounds_t *r, const char *program, size_t n_ops, int argc, char **argv)
{
    *r = (rounds_t){.program = program, .rounds = 15, .n_ops = n_ops, .separator = ""};
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--check") == 0) {
            r->checks = true;
        } else if (strcmp(argv[i], "--rounds") == 0 && has_value) {
            r->rounds = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--ops") == 0 && has_value) {
            r->n_ops = strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--only") == 0 && has_value) {
            r->only = argv[++i];
        } else if (strcmp(argv[i], "--json") == 0 && has_value) {
            r->json = fopen(argv[++i], "w");
            if (r->json == NULL) rounds_die(r, argv[i], strerror(errno));
            fputc('[', r->json);
        } else {
            rounds_die(r, argv[i], "no such option, or its value is missing");
        }
    }
    if (r->rounds < 1 || r->rounds > MAX_ROUNDS || r->n_ops == 0)
        rounds_die(r, "--rounds, --ops", "out of range");
}

void rounds_report(rounds_t *r, const char *subject, const char *workload, double median,
                   const char *ratio_to, double ratio)
{
    if (r->json == NULL) return;
    fprintf(
        r->json,
        "%s\n  {\"bench\": \"%s\", \"subject\": \"%s\", \"workload\": \"%s\", \"median\": %.6g, "
        "\"ratio_to\": \"%s\", \"ratio\": %.6g}",
        r->separator, r->program, subject, workload, median, ratio_to, ratio);
    r->separator = ",";
}

int rounds_end(rounds_t *r, const char *too_slow)
{
    if (r->json != NULL) {
        fputs("\n]\n", r->json);
        if (fclose(r->json) != 0) rounds_die(r, "JSON", strerror(errno));
    }
    if (r->checks && too_slow != NULL) rounds_die(r, "too slow", too_slow);
    return 0;
}

double rounds_now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double rounds_median(const double *values, int n)
{
    double sorted[MAX_ROUNDS];
    memcpy(sorted, values, (size_t)n * sizeof *values);
    qsort(sorted, (size_t)n, sizeof *sorted, compare);
    return sorted[n / 2];
}

double rounds_ratio(const double *values, const double *others, int n)
{
    double ratios[MAX_ROUNDS];
    for (int i = 0; i < n; i++) ratios[i] = values[i] / others[i];
    return rounds_median(ratios, n);
}
