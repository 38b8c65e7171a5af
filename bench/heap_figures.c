/* SPDX-License-Identifier: MIT
 *
 * Fragmentation figures of the heap, on the host: refused requests of w2 (mean of 40 seeds) and
 * hours of the controller until its first refused request (median of 25 seeds, at most 300 h).
 * Seeds are divided among one process per processor. Definitions: workloads/workloads.c. Build with
 * -m32 for the layout of a microcontroller.
 *
 *     heap_figures [--subject NAME] [--w2] [--controller LOAD] [--seeds N] [--json FILE]
 *
 * Without --w2 and --controller it runs all. Exit status 1: usage or system error.
 */
#define _GNU_SOURCE
#include "workloads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap_subjects.h"

#define MAX_SEEDS 1000
#define MAX_HOURS 300u

typedef double figure_t(const subject_t *subject, uint32_t seed, uint32_t load_percent);

static _Alignas(64) unsigned char arena[WL_ARENA_BYTES];
static FILE *json;
static const char *json_separator = "";

static wl_ops_t fresh(const subject_t *subject, size_t size_bytes)
{
    static subject_heap_t heap;
    heap.ops = subject->ops;
    heap.heap = subject->ops->init(arena, size_bytes, NULL);
    if (heap.heap == NULL) {
        fprintf(stderr, "heap_figures: %s: init refused %zu bytes\n", subject->name, size_bytes);
        exit(1);
    }
    return (wl_ops_t){subject_alloc, subject_free, &heap};
}

static double w2_refused(const subject_t *subject, uint32_t seed, uint32_t load_percent)
{
    static wl_scratch_t scratch;
    wl_ops_t ops = fresh(subject, WL_ARENA_BYTES);
    (void)load_percent;
    return wl_run(WL_W2, &ops, seed, &scratch).n_refused;
}

static double controller_hours(const subject_t *subject, uint32_t seed, uint32_t load_percent)
{
    static wl_controller_t controller;
    wl_ops_t ops = fresh(subject, WL_CONTROLLER_ARENA_BYTES);
    wl_controller_init(&controller, &ops, seed, load_percent);
    return wl_controller_run(&controller, MAX_HOURS * 3600u) / 3600.0;
}

/* Fill values[] with the figure of seeds 1 to n. */
static void for_all_seeds(figure_t *figure, const subject_t *subject, uint32_t load_percent,
                          double *values, long n)
{
    long n_workers = sysconf(_SC_NPROCESSORS_ONLN);
    if (n_workers < 1) n_workers = 1;
    fflush(NULL);
    for (long w = 0; w < n_workers; w++) {
        pid_t pid = fork();
        if (pid < 0) {
            perror("heap_figures: fork");
            exit(1);
        }
        if (pid == 0) {
            for (long i = w; i < n; i += n_workers) {
                values[i] = figure(subject, (uint32_t)i + 1, load_percent);
            }
            _exit(0);
        }
    }
    int status = 0, bad = 0;
    while (wait(&status) > 0) bad |= status;
    if (bad != 0) {
        fprintf(stderr, "heap_figures: %s: a worker failed\n", subject->name);
        exit(1);
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double mean(const double *values, long n)
{
    double sum = 0;
    for (long i = 0; i < n; i++) sum += values[i];
    return sum / (double)n;
}

static void report(const char *subject, const char *workload, double value, double target)
{
    if (json == NULL) return;
    fprintf(json,
            "%s{\"bench\": \"heap_figures\", \"subject\": \"%s-%d\", \"workload\": \"%s\", "
            "\"median\": %.3f, \"ratio_to\": \"target\", \"ratio\": %.3f}",
            json_separator, subject, (int)(8 * sizeof(void *)), workload, value, value / target);
    json_separator = ",\n ";
}

static void run_w2(const subject_t *subject, double *values, long n)
{
    for_all_seeds(w2_refused, subject, 0, values, n);
    double m = mean(values, n);
    qsort(values, (size_t)n, sizeof values[0], compare);
    printf("%-16s w2             %7.2f refused of 20200, mean of %ld seeds (%.0f to %.0f)\n",
           subject->name, m, n, values[0], values[n - 1]);
    report(subject->name, "w2 refused", m, 9.5);
}

static void run_controller(const subject_t *subject, int load, double *values, long n)
{
    double target = load <= 65 ? 250 : load <= 70 ? 32 : 9.5;
    char workload[40];
    for_all_seeds(controller_hours, subject, (uint32_t)load, values, n);
    qsort(values, (size_t)n, sizeof values[0], compare);
    printf("%-16s controller %2d%% %7.2f h to the first refused request, median of %ld seeds "
           "(%.2f to %.2f)\n",
           subject->name, load, values[n / 2], n, values[0], values[n - 1]);
    snprintf(workload, sizeof workload, "controller %d%% hours", load);
    report(subject->name, workload, values[n / 2], target);
}

static int usage(void)
{
    fprintf(stderr, "usage: heap_figures [--subject NAME] [--w2] [--controller LOAD] [--seeds N] "
                    "[--json FILE]\n");
    return 1;
}

int main(int argc, char **argv)
{
    const char *only = NULL, *json_path = NULL;
    int loads[8] = {65, 70, 75}, n_loads = 0;
    long n_seeds = 0;
    bool w2 = false;

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--w2") == 0) {
            w2 = true;
            continue;
        }
        if (value == NULL) return usage();
        i++;
        if (strcmp(argv[i - 1], "--subject") == 0) {
            only = value;
        } else if (strcmp(argv[i - 1], "--seeds") == 0) {
            n_seeds = strtol(value, NULL, 10);
            if (n_seeds < 1 || n_seeds > MAX_SEEDS) return usage();
        } else if (strcmp(argv[i - 1], "--json") == 0) {
            json_path = value;
        } else if (strcmp(argv[i - 1], "--controller") == 0 && n_loads < 8) {
            loads[n_loads] = atoi(value);
            if (loads[n_loads] < 20 || loads[n_loads] > 95) return usage();
            n_loads++;
        } else {
            return usage();
        }
    }
    if (!w2 && n_loads == 0) {
        w2 = true;
        n_loads = 3;
    }
    double *values = mmap(NULL, MAX_SEEDS * sizeof *values, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (values == MAP_FAILED) {
        perror("heap_figures: mmap");
        return 1;
    }
    if (json_path != NULL) {
        json = fopen(json_path, "w");
        if (json == NULL) {
            perror(json_path);
            return 1;
        }
        fputc('[', json);
    }
    bool found = false;
    for (size_t s = 0; s < N_SUBJECTS; s++) {
        if (only != NULL && strcmp(only, subjects[s].name) != 0) continue;
        found = true;
        if (w2) run_w2(&subjects[s], values, n_seeds != 0 ? n_seeds : 40);
        for (int l = 0; l < n_loads; l++) {
            run_controller(&subjects[s], loads[l], values, n_seeds != 0 ? n_seeds : 25);
        }
    }
    if (json != NULL) {
        fputs("]\n", json);
        if (fclose(json) != 0) {
            perror(json_path);
            return 1;
        }
    }
    if (!found) {
        fprintf(stderr, "heap_figures: no subject %s in this build\n", only);
        return 1;
    }
    return 0;
}
