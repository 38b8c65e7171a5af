/* SPDX-License-Identifier: MIT
 *
 * What owners, guards and locks cost: real programs' allocations replayed on the allocator in
 * several configurations, relative to the bare heap in the same run.
 *
 *     allocator_traces [--rounds N] [--json FILE] DIR SUBJECT.so...
 *
 * The first subject is what the others are compared with. Every round runs each subject once over
 * each recording (DIR's *.rec), interleaved; a subject's figure is the median of its rounds but the
 * first. The loop's own cost is part of every figure. Exit status 1: usage or system error.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bigmem.h"
#include "engine.h"
#include "subject.h"
#include "trace.h"

#define MAX_ROUNDS 101
#define MAX_SUBJECTS 16
#define MAX_TRACES 64

static const allocator_subject_t *subjects[MAX_SUBJECTS];
static char *paths[MAX_TRACES];
static int n_subjects, n_traces;

static _Noreturn void die(const char *what, const char *which)
{
    fprintf(stderr, "allocator_traces: %s: %s\n", which, what);
    exit(1);
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double run(const allocator_subject_t *subject, const trace_t *trace, void *mem,
                  size_t mem_bytes, void **slots)
{
    const replay_malloc_t host = {subject->malloc, subject->calloc, subject->realloc,
                                  subject->memalign, subject->free};
    replay_cursor_t cursor = {0};
    if (!subject->begin(mem, mem_bytes)) die("no memory", subject->name);
    double start = now_ns();
    bool complete = replay_loop_malloc(trace, &cursor, trace->n_ops, &host, slots);
    double elapsed = now_ns() - start;
    if (!complete || cursor.refused) die("a request was refused", subject->name);
    for (uint32_t i = 0; i < trace->n_slots; i++) {
        subject->free(slots[i]);
        slots[i] = NULL;
    }
    if (subject->end() != 0) die("blocks were lost", subject->name);
    return elapsed / (double)trace->n_ops;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void find_traces(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) die(strerror(errno), folder);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, ".rec") != 0) continue;
        if (n_traces == MAX_TRACES) die("too many recordings", folder);
        if (asprintf(&paths[n_traces++], "%s/%s", folder, entry->d_name) < 0)
            die("no memory", folder);
    }
    closedir(dir);
    if (n_traces == 0) die("no recordings (*.rec) here: run bench/make-traces", folder);
    qsort(paths, (size_t)n_traces, sizeof *paths, compare_paths);
}

static void load_subject(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) die(dlerror(), path);
    if (n_subjects == MAX_SUBJECTS) die("too many subjects", path);
    subjects[n_subjects] = dlsym(library, "allocator_subject");
    if (subjects[n_subjects++] == NULL) die("is no subject", path);
}

int main(int argc, char **argv)
{
    static double ns[MAX_SUBJECTS][MAX_ROUNDS];
    double log_sum[MAX_SUBJECTS] = {0};
    int rounds = 9, i = 1;
    FILE *json = NULL;
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        if (strcmp(argv[i], "--rounds") == 0)
            rounds = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--json") == 0)
            json = fopen(argv[i + 1], "w");
        else
            die("unknown option", argv[i]);
        if (rounds < 2 || rounds > MAX_ROUNDS) die("2 to 101 rounds", argv[i + 1]);
    }
    if (argc - i < 2) die("a directory of recordings and at least one subject are needed", "usage");
    find_traces(argv[i++]);
    for (; i < argc; i++) load_subject(argv[i]);

    printf("%-16s", "ns (ratio)");
    for (int s = 0; s < n_subjects; s++) printf(" %15s", subjects[s]->name);
    printf("\n");
    if (json) fputc('[', json);
    for (int t = 0; t < n_traces; t++) {
        trace_t trace;
        if (!trace_load(&trace, paths[t], NULL) || trace.n_ops == 0) die("no trace", paths[t]);
        size_t mem_bytes = trace.peak_gross_bytes * 4 + ((size_t)1 << 20);
        void *mem = bigmem_map(mem_bytes, false);
        void **slots = bigmem_map((trace.n_slots + (size_t)1) * sizeof *slots, true);
        if (mem == NULL || slots == NULL) die("no memory", paths[t]);
        for (int r = 0; r < rounds; r++)
            for (int s = 0; s < n_subjects; s++)
                ns[s][r] = run(subjects[s], &trace, mem, mem_bytes, slots);
        char *name = strrchr(paths[t], '/') + 1;
        *strrchr(name, '.') = 0;
        printf("%-16s", name);
        double base = 0;
        for (int s = 0; s < n_subjects; s++) {
            qsort(ns[s] + 1, (size_t)rounds - 1, sizeof ns[s][0], compare_doubles);
            double median = ns[s][1 + (rounds - 1) / 2];
            if (s == 0) base = median;
            printf("  %6.2f (%5.3f)", median, median / base);
            log_sum[s] += log(median / base);
            if (json)
                fprintf(
                    json,
                    "%s\n  {\"bench\": \"allocator_traces\", \"subject\": \"%s\", \"workload\": "
                    "\"%s\", \"median\": %.6g, \"ratio_to\": \"%s\", \"ratio\": %.6g}",
                    t + s ? "," : "", subjects[s]->name, name, median, subjects[0]->name,
                    median / base);
        }
        printf("\n");
        bigmem_unmap(mem, mem_bytes);
        bigmem_unmap(slots, (trace.n_slots + (size_t)1) * sizeof *slots);
        trace_release(&trace);
    }
    printf("%-16s", "geomean");
    for (int s = 0; s < n_subjects; s++) {
        double ratio = exp(log_sum[s] / n_traces);
        printf(" %15.3f", ratio);
        if (json)
            fprintf(json,
                    ",\n  {\"bench\": \"allocator_traces\", \"subject\": \"%s\", \"workload\": "
                    "\"geomean\", \"median\": %.6g, \"ratio_to\": \"%s\", \"ratio\": %.6g}",
                    subjects[s]->name, ratio, subjects[0]->name, ratio);
    }
    printf("\n");
    if (json) {
        fputs("\n]\n", json);
        if (fclose(json) != 0) die(strerror(errno), "JSON");
    }
    return 0;
}
