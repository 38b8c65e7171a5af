/* SPDX-License-Identifier: MIT
 *
 * Real programs' allocations on our heap and on the mallocs of Debian's packages: time per
 * operation in the host's replay loop, and the smallest heap against perfect packing.
 *
 *     heap_traces [--rounds N] [--only SUBJECT,...] [--no-time] [--no-size] [--json FILE] DIR...
 *
 * Every *.rec of a directory is a workload; those of a second directory are named DIR/NAME. A
 * subject runs in a process of its own, peers by LD_PRELOAD (and it is checked that they really are
 * what answers), one process after the other, all subjects of a workload in every round. A process
 * runs the trace PASSES times and frees what is left in between; its figure is the least processor
 * time of all passes but the first (what disturbs a pass only ever adds), the subject's the median
 * over the rounds. The loop's own cost (the floor) is part of both sides of every ratio. Exit
 * status 1: usage or system error.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"
#include "find_min.h"
#include "heaps.h"
#include "trace.h"

#define PASSES 6
#define MAX_ROUNDS 101
#define MAX_WORKLOADS 64
#define EXIT_ABSENT 77

typedef struct {
    const char *name;
    const char *profile; /* of our heap; NULL: a malloc            */
    unsigned align;      /* of our heap                            */
    const char *library; /* preloaded; NULL: the C library's malloc */
} subject_t;

/* The first one is what the others are compared with. */
static const subject_t subjects[] = {
    {"glibc", NULL, 0, NULL},
    {"default", "default", 8, NULL},
    {"fast", "fast", 8, NULL},
    {"throughput", "throughput", 8, NULL},
    {"default16", "default", 16, NULL},
    {"mimalloc", NULL, 0, "libmimalloc.so.2.0"},
    {"jemalloc", NULL, 0, "libjemalloc.so.2"},
    {"tcmalloc", NULL, 0, "libtcmalloc_minimal.so.4"},
    {"floor", NULL, 0, NULL}, /* the loop with calls that do nothing */
};
#define N_SUBJECTS (sizeof subjects / sizeof subjects[0])

typedef struct {
    char *name;
    char *path;
    size_t set; /* which directory */
    double ns[N_SUBJECTS][MAX_ROUNDS];
    double median[N_SUBJECTS]; /* 0: not measured */
} workload_t;

static workload_t workloads[MAX_WORKLOADS];
static size_t n_workloads;
static bool wanted[N_SUBJECTS];
static FILE *json;
static const char *json_separator = "";

static _Noreturn void die(const char *what, const char *which)
{
    fprintf(stderr, "heap_traces: %s: %s\n", which, what);
    exit(1);
}

static void put_json(const char *bench, const char *subject, const char *workload, double median,
                     const char *ratio_to, double ratio)
{
    if (json == NULL) return;
    fprintf(
        json,
        "%s\n  {\"bench\": \"%s\", \"subject\": \"%s\", \"workload\": \"%s\", \"median\": %.6g, "
        "\"ratio_to\": \"%s\", \"ratio\": %.6g}",
        json_separator, bench, subject, workload, median, ratio_to, ratio);
    json_separator = ",";
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare_doubles);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* --- one process: one subject on one trace ---------------------------------------------------- */

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The malloc that answers is the one that was asked for. */
static void require_library(const subject_t *subject)
{
    Dl_info info;
    void *address = dlsym(RTLD_DEFAULT, "malloc");
    const char *expected = subject->library != NULL ? subject->library : "libc.so";
    if (address == NULL || dladdr(address, &info) == 0 || !strstr(info.dli_fname, expected)) {
        exit(EXIT_ABSENT);
    }
}

static char nothing[64];

static void *give_nothing(size_t size)
{
    (void)size;
    return nothing;
}

static void *give_nothing_of_two(size_t a, size_t b)
{
    (void)a;
    (void)b;
    return nothing;
}

static void *keep_nothing(void *ptr, size_t size)
{
    (void)size;
    return ptr != NULL ? ptr : nothing;
}

static void take_nothing(void *ptr)
{
    (void)ptr;
}

static double run_pass(const trace_t *trace, const subject_t *subject, const eai_heap_ops_t *ops,
                       ea_heap_t *heap, void **slots)
{
    static const replay_malloc_t libc = {malloc, calloc, realloc, memalign, free};
    static const replay_malloc_t floor = {give_nothing, give_nothing_of_two, keep_nothing,
                                          give_nothing_of_two, take_nothing};
    bool is_floor = strcmp(subject->name, "floor") == 0;
    const replay_malloc_t *host = is_floor ? &floor : &libc;
    replay_cursor_t cursor = {0};
    double start = now_ns();
    bool complete = ops != NULL ? replay_loop_heap(trace, &cursor, trace->n_ops, ops, heap, slots)
                                : replay_loop_malloc(trace, &cursor, trace->n_ops, host, slots);
    double elapsed = now_ns() - start;
    if (!complete || cursor.refused) die("a request was refused", subject->name);
    for (uint32_t i = 0; i < trace->n_slots; i++) {
        if (ops == NULL) {
            host->free(slots[i]);
        } else if (ops->free(heap, slots[i]) != EA_OK) {
            die("free refused", subject->name);
        }
        slots[i] = NULL;
    }
    return elapsed;
}

static int run_child(const char *path, const subject_t *subject)
{
    trace_t trace;
    double least = INFINITY;
    require_library(subject);
    if (!trace_load(&trace, path, NULL) || trace.n_ops == 0) die("no trace", path);
    const eai_heap_ops_t *ops = NULL;
    ea_heap_t *heap = NULL;
    void **slots = bigmem_map((trace.n_slots + (size_t)1) * sizeof *slots, true);
    if (subject->profile != NULL) {
        size_t heap_bytes = trace.peak_gross_bytes * 2 + 65536;
        void *arena = bigmem_map(heap_bytes, false);
        ops = heaps_find(subject->profile, subject->align, 32);
        heap = ops != NULL && arena != NULL ? ops->init(arena, heap_bytes, NULL) : NULL;
        if (heap == NULL) die("no heap", subject->name);
    }
    if (slots == NULL) die("no memory", subject->name);
    for (int i = 0; i < PASSES; i++) {
        double elapsed = run_pass(&trace, subject, ops, heap, slots);
        if (i > 0 && elapsed < least) least = elapsed;
    }
    printf("%.4f\n", least / (double)trace.n_ops);
    return 0;
}

/* --- the rounds ------------------------------------------------------------------------------- */

/* Nanoseconds an operation, or 0 if the subject is not installed. */
static double run_subject(const char *path, const subject_t *subject)
{
    int ends[2], status;
    char text[64] = "";
    if (pipe(ends) != 0) die(strerror(errno), "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        if (subject->library != NULL) {
            setenv("LD_PRELOAD", subject->library, 1);
            close(STDERR_FILENO); /* the loader's word on a library that is not there */
        } else {
            unsetenv("LD_PRELOAD");
        }
        execl("/proc/self/exe", "heap_traces", "--child", path, subject->name, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    if (pid < 0 || waitpid(pid, &status, 0) < 0) die(strerror(errno), "fork");
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_ABSENT) return 0;
    if (n <= 0 || status != 0) die("its process failed", subject->name);
    return strtod(text, NULL);
}

static void measure_times(int rounds)
{
    for (size_t w = 0; w < n_workloads; w++) {
        for (int round = 0; round < rounds; round++) {
            for (size_t s = 0; s < N_SUBJECTS; s++) {
                if (!wanted[s]) continue;
                workloads[w].ns[s][round] = run_subject(workloads[w].path, &subjects[s]);
                if (workloads[w].ns[s][round] == 0) {
                    wanted[s] = false;
                    fprintf(stderr, "heap_traces: %s is not installed: left out\n",
                            subjects[s].name);
                }
            }
            if (isatty(STDERR_FILENO)) {
                fprintf(stderr, "\r\033[K%s: round %d of %d", workloads[w].name, round + 1, rounds);
            }
        }
        for (size_t s = 0; s < N_SUBJECTS; s++) {
            if (wanted[s]) workloads[w].median[s] = median_of(workloads[w].ns[s], (size_t)rounds);
        }
    }
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
}

static void report_times(size_t set)
{
    double log_sum[N_SUBJECTS] = {0};
    size_t n = 0;
    printf("%-20s", "ns per operation");
    for (size_t s = 0; s < N_SUBJECTS; s++) {
        if (wanted[s]) printf(" %14s", subjects[s].name);
    }
    printf("\n");
    for (size_t w = 0; w < n_workloads; w++) {
        const workload_t *load = &workloads[w];
        if (load->set != set) continue;
        printf("%-20s", load->name);
        for (size_t s = 0; s < N_SUBJECTS; s++) {
            if (!wanted[s]) continue;
            double ratio = load->median[s] / load->median[0];
            printf("  %6.2f (%5.3f)", load->median[s], ratio);
            put_json("heap_traces", subjects[s].name, load->name, load->median[s], subjects[0].name,
                     ratio);
            log_sum[s] += log(ratio);
        }
        printf("\n");
        n++;
    }
    printf("%-20s", "geomean ratio");
    for (size_t s = 0; s < N_SUBJECTS; s++) {
        if (!wanted[s]) continue;
        double ratio = exp(log_sum[s] / (double)n);
        printf(" %14.3f", ratio);
        put_json("heap_traces", subjects[s].name, set == 0 ? "geomean" : "heldout/geomean", ratio,
                 subjects[0].name, ratio);
    }
    printf("\n\n");
}

/* --- the smallest heaps ----------------------------------------------------------------------- */

static void report_sizes(size_t set)
{
    double log_sum = 0;
    size_t n = 0;
    printf("%-20s %14s %14s %9s %s\n", "default, align 8", "smallest heap", "perfect", "excess",
           "exceptions");
    for (size_t w = 0; w < n_workloads; w++) {
        trace_t trace;
        find_min_result_t smallest;
        replay_options_t options = {.ops = heaps_find("default", 8, 32)};
        if (workloads[w].set != set) continue;
        if (!trace_load(&trace, workloads[w].path, NULL)) die(trace.error, "trace");
        if (find_min(&trace, &options, 2, NULL, &smallest) != FIND_MIN_DONE) {
            die("no smallest heap", workloads[w].name);
        }
        size_t perfect = replay_perfect_bytes(&trace, options.ops, options.fit);
        double ratio = (double)smallest.smallest_bytes / (double)perfect;
        printf("%-20s %14zu %14zu %7.2f %% %zu\n", workloads[w].name, smallest.smallest_bytes,
               perfect, (ratio - 1) * 100, smallest.n_exceptions);
        put_json("heap_smallest", "default", workloads[w].name, (double)smallest.smallest_bytes,
                 "perfect packing", ratio);
        log_sum += log(ratio);
        n++;
        trace_release(&trace);
    }
    double ratio = exp(log_sum / (double)n);
    printf("%-20s %14s %14s %7.2f %%\n\n", "geomean", "", "", (ratio - 1) * 100);
    put_json("heap_smallest", "default", set == 0 ? "geomean" : "heldout/geomean", ratio,
             "perfect packing", ratio);
}

/* --- arguments -------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const workload_t *)a)->name, ((const workload_t *)b)->name);
}

static void add_directory(const char *path, size_t set)
{
    DIR *dir = opendir(path);
    if (dir == NULL) die(strerror(errno), path);
    size_t first = n_workloads;
    const char *base = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, ".rec") != 0) continue;
        if (n_workloads == MAX_WORKLOADS) die("too many recordings", path);
        workload_t *load = &workloads[n_workloads++];
        int stem = (int)(dot - entry->d_name);
        int ok = set == 0 ? asprintf(&load->name, "%.*s", stem, entry->d_name)
                          : asprintf(&load->name, "%s/%.*s", base, stem, entry->d_name);
        if (ok < 0 || asprintf(&load->path, "%s/%s", path, entry->d_name) < 0)
            die("no memory", path);
        load->set = set;
    }
    closedir(dir);
    if (n_workloads == first) die("no recordings (*.rec) here: run bench/make-traces", path);
    qsort(workloads + first, n_workloads - first, sizeof *workloads, compare_names);
}

static const subject_t *find_subject(const char *name)
{
    for (size_t s = 0; s < N_SUBJECTS; s++) {
        if (strcmp(subjects[s].name, name) == 0) return &subjects[s];
    }
    die("no such subject", name);
}

int main(int argc, char **argv)
{
    int rounds = 7;
    bool times = true, sizes = true;
    size_t n_sets = 0;
    if (argc == 4 && strcmp(argv[1], "--child") == 0) {
        return run_child(argv[2], find_subject(argv[3]));
    }
    for (size_t s = 0; s < N_SUBJECTS; s++) wanted[s] = true;
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--no-time") == 0) {
            times = false;
        } else if (strcmp(argv[i], "--no-size") == 0) {
            sizes = false;
        } else if (strcmp(argv[i], "--rounds") == 0 && has_value) {
            rounds = atoi(argv[++i]);
            if (rounds < 1 || rounds > MAX_ROUNDS) die("1 to 101 rounds", argv[i]);
        } else if (strcmp(argv[i], "--only") == 0 && has_value) {
            for (size_t s = 1; s < N_SUBJECTS; s++) wanted[s] = false;
            for (char *name = strtok(argv[++i], ","); name != NULL; name = strtok(NULL, ",")) {
                wanted[find_subject(name) - subjects] = true;
            }
        } else if (strcmp(argv[i], "--json") == 0 && has_value) {
            json = fopen(argv[++i], "w");
            if (json == NULL) die(strerror(errno), argv[i]);
            fputc('[', json);
        } else if (argv[i][0] == '-') {
            die("unknown option, or its value is missing", argv[i]);
        } else {
            add_directory(argv[i], n_sets++);
        }
    }
    if (n_sets == 0) die("a directory of recordings is needed", "usage");
    if (times) measure_times(rounds);
    for (size_t set = 0; set < n_sets; set++) {
        if (times) report_times(set);
        if (sizes) report_sizes(set);
    }
    if (json != NULL) {
        fputs("\n]\n", json);
        if (fclose(json) != 0) die(strerror(errno), "JSON");
    }
    return 0;
}
