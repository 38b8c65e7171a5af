/* SPDX-License-Identifier: MIT
 *
 * What the profile costs: a malloc and its free on an allocator, without it and with it, rounds
 * interleaved. Sizes and ages of blocks are mixed, from eight sites.
 *
 *     profile_time [--rounds N] [--ops N] [--json FILE] [--check]
 *     profile_time --only plain|profile|sampled [--ops N]     once, for an instruction counter
 *
 * --check: status 1 unless a pair with the profile needs at most twice the time of one without.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ealloc/allocator.h"
#include "ealloc/profile.h"

#define MAX_ROUNDS 101
#define N_HELD 256u
#define N_SITES 32u
#define N_BLOCKS 1024u
#define MOST 2.0

typedef enum { PLAIN, PROFILE, SAMPLED, N_SUBJECTS } subject_t;

static const char *const names[N_SUBJECTS] = {"plain", "profile", "sampled"};
static double ns[N_SUBJECTS][MAX_ROUNDS];
static size_t n_ops = 1u << 20;
static ea_allocator_t allocators[N_SUBJECTS];
static ea_profile_t profiles[N_SUBJECTS];

static void die(const char *what, const char *text)
{
    fprintf(stderr, "profile_time: %s: %s\n", what, text);
    exit(2);
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void begin(subject_t s)
{
    const ea_profile_options_t options = {.n_sites = N_SITES,
                                          .n_owners = 8,
                                          .n_blocks = N_BLOCKS,
                                          .sample_one_in = s == SAMPLED ? 16 : 1};
    size_t size_bytes = EA_PROFILE_BYTES(N_SITES, 8, N_BLOCKS);
    void *region = aligned_alloc(16, 1u << 20), *tables = malloc(size_bytes);
    if (!region || !tables) die("memory", "none");
    if (ea_allocator_init(&allocators[s], NULL) != EA_OK ||
        ea_allocator_add_region(&allocators[s], region, 1u << 20, NULL) != EA_OK)
        die("allocator", "refused");
    if (s != PLAIN && (ea_profile_init(&profiles[s], tables, size_bytes, &options) != EA_OK ||
                       ea_profile_attach(&profiles[s], &allocators[s]) != EA_OK))
        die("profile", "refused");
}

/* Nanoseconds of a malloc and its free. */
static double measure(subject_t s)
{
    static const uint16_t sizes[8] = {16, 24, 40, 64, 100, 160, 256, 700};
    void *held[N_HELD] = {NULL};
    ea_allocator_t *a = &allocators[s];
    uint32_t random = 1;
    double begin_ns = now_ns();
    for (size_t i = 0; i < n_ops; i++) {
        random = random * 1664525u + 1013904223u;
        unsigned site = random >> 29;
        const ea_request_t request = {.caller = (const char *)(uintptr_t)0x1000 + 16 * site};
        void **at = &held[(random >> 16) % N_HELD];
        (void)ea_free(a, *at);
        *at = ea_malloc_ex(a, sizes[site], &request);
    }
    double end_ns = now_ns();
    for (unsigned i = 0; i < N_HELD; i++) (void)ea_free(a, held[i]);
    return (end_ns - begin_ns) / (double)n_ops;
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
    bool checks = false, is_good = true;
    const char *separator = "", *only = NULL;
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--check") == 0) {
            checks = true;
        } else if (strcmp(argv[i], "--rounds") == 0 && has_value) {
            rounds = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--ops") == 0 && has_value) {
            n_ops = strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--only") == 0 && has_value) {
            only = argv[++i];
        } else if (strcmp(argv[i], "--json") == 0 && has_value) {
            json = fopen(argv[++i], "w");
            if (json == NULL) die(strerror(errno), argv[i]);
            fputc('[', json);
        } else {
            die(argv[i], "no such option, or its value is missing");
        }
    }
    if (rounds < 1 || rounds > MAX_ROUNDS || n_ops == 0) die("--rounds, --ops", "out of range");

    for (subject_t s = PLAIN; s < N_SUBJECTS; s++) begin(s);
    for (subject_t s = PLAIN; only != NULL && s < N_SUBJECTS; s++)
        if (strcmp(only, names[s]) == 0) return measure(s) >= 0 ? 0 : 1;
    if (only != NULL) die(only, "no such subject");

    double ratios[N_SUBJECTS][MAX_ROUNDS];
    for (int round = 0; round < rounds; round++) {
        for (subject_t s = PLAIN; s < N_SUBJECTS; s++) ns[s][round] = measure(s);
        /* What disturbs a round disturbs all of it. */
        for (subject_t s = PLAIN; s < N_SUBJECTS; s++)
            ratios[s][round] = ns[s][round] / ns[PLAIN][round];
    }
    for (subject_t s = PLAIN; s < N_SUBJECTS; s++) {
        double ratio = median(ratios[s], rounds), time = median(ns[s], rounds);
        printf("  malloc and free, %-8s %7.2f ns  %.2f\n", names[s], time, ratio);
        if (s == PROFILE) is_good = ratio <= MOST;
        if (json == NULL) continue;
        fprintf(json,
                "%s\n  {\"bench\": \"profile_time\", \"subject\": \"%s\", \"workload\": \"one "
                "thread\", \"median\": %.6g, \"ratio_to\": \"%s\", \"ratio\": %.6g}",
                separator, names[s], time, names[PLAIN], ratio);
        separator = ",";
    }
    if (json != NULL) {
        fputs("\n]\n", json);
        if (fclose(json) != 0) die(strerror(errno), "JSON");
    }
    if (checks && !is_good) die("too slow", "a pair needs more than twice the time");
    return 0;
}
