/* SPDX-License-Identifier: MIT
 *
 * Time of recording an event, in units of a glibc malloc(64) and its free in the same run, rounds
 * interleaved; with the port's coarse clock, which is the default, and with a counter of the
 * application's. What the coarse and the precise clock cost is measured apart.
 *
 *     trace_time [--rounds N] [--ops N] [--json FILE] [--check]
 *
 * --check: status 1 unless an event with the coarse clock needs at most 1.5 units.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ealloc/port.h"
#include "ealloc/trace.h"

#define MAX_ROUNDS 101
#define N_EVENTS 1024
#define MOST 1.5

typedef enum {
    MALLOC,
    COARSE,
    COUNTER,
    SAMPLED,
    COARSE_CLOCK,
    PRECISE_CLOCK,
    N_SUBJECTS
} subject_t;

static const char *const names[N_SUBJECTS] = {"malloc(64) and free",    "event, coarse clock",
                                              "event, a counter",       "event, 1 block in 100",
                                              "the coarse clock alone", "the precise clock alone"};
static double ns[N_SUBJECTS][MAX_ROUNDS];
static size_t n_ops = 1u << 20;
static volatile uint32_t ticks;
static ea_trace_t *traces[N_SUBJECTS];

static void die(const char *what, const char *text)
{
    fprintf(stderr, "trace_time: %s: %s\n", what, text);
    exit(2);
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void open_traces(void)
{
    const ea_trace_options_t options[N_SUBJECTS] = {
        [COUNTER] = {.clock = &ticks, .tick_us = 1000}, [SAMPLED] = {.sample_one_in = 100}};
    for (subject_t s = COARSE; s <= SAMPLED; s++) {
        void *memory = calloc(1, EA_TRACE_BYTES(N_EVENTS));
        traces[s] = ea_trace_open(memory, EA_TRACE_BYTES(N_EVENTS), &options[s]);
        if (traces[s] == NULL) die("ring", "refused");
    }
}

/* Nanoseconds of one. */
static double measure(subject_t subject)
{
    ea_trace_t *trace = traces[subject];
    uint64_t sum = 0;
    double begin = now_ns();
    for (size_t i = 0; i < n_ops; i++) {
        if (subject == MALLOC) {
            void *block = malloc(64);
            __asm volatile("" : "+r"(block)::"memory");
            free(block);
        } else if (trace != NULL) {
            ea_trace_record(trace, EA_TRACE_ALLOC, 1, (void *)(i * 4), (void *)(i * 64), 64);
        } else {
            sum += subject == COARSE_CLOCK ? ea_port_time_coarse_us() : ea_port_time_us();
        }
    }
    __asm volatile("" ::"r"(sum));
    return (now_ns() - begin) / (double)n_ops;
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

    double ratios[N_SUBJECTS][MAX_ROUNDS];
    open_traces();
    for (int round = 0; round < rounds; round++) {
        for (subject_t s = MALLOC; s < N_SUBJECTS; s++) ns[s][round] = measure(s);
        /* What disturbs a round disturbs all of it. */
        for (subject_t s = MALLOC; s < N_SUBJECTS; s++)
            ratios[s][round] = ns[s][round] / ns[MALLOC][round];
    }
    for (subject_t s = MALLOC; s < N_SUBJECTS; s++) {
        double ratio = median(ratios[s], rounds), time = median(ns[s], rounds);
        printf("  %-24s %7.2f ns  %.2f units\n", names[s], time, ratio);
        if (s == COARSE) good = ratio <= MOST;
        if (json == NULL) continue;
        fprintf(
            json,
            "%s\n  {\"bench\": \"trace_time\", \"subject\": \"%s\", \"workload\": \"one thread\", "
            "\"median\": %.6g, \"ratio_to\": \"%s\", \"ratio\": %.6g}",
            separator, names[s], time, names[MALLOC], ratio);
        separator = ",";
    }
    if (json != NULL) {
        fputs("\n]\n", json);
        if (fclose(json) != 0) die(strerror(errno), "JSON");
    }
    if (checks && !good) die("too slow", "an event needs more than 1.5 units");
    return 0;
}
