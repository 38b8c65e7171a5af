/* SPDX-License-Identifier: MIT
 *
 * What the replay engine costs: the same operations on the same heap
 *     plain   by a plain C loop over an array in memory that calls the heap's functions by name,
 *     replay  by the engine without content checks, samples for the timeline included,
 *     checked by the engine with every block's contents written and verified,
 * and reading the recording into memory (load). Interleaved, the median of the rounds, ratios to
 * plain.
 *
 *     replay_cost [--rounds N] [--json FILE] RECORDING...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"
#include "trace.h"

#define MAX_ROUNDS 101
#define N_SAMPLES 1000

enum { PLAIN, REPLAY, CHECKED, LOAD, N_WAYS };
static const char *const way_names[N_WAYS] = {"plain", "replay", "checked", "load"};

/* The instance default8 by name, as a program that links the heap would call it. */
ea_heap_t *ea_heap_init_default8(void *mem, size_t size_bytes, const ea_heap_options_t *options);
void *ea_heap_alloc_default8(ea_heap_t *heap, size_t size_bytes);
void *ea_heap_calloc_default8(ea_heap_t *heap, size_t n, size_t size_bytes);
void *ea_heap_realloc_default8(ea_heap_t *heap, void *ptr, size_t size_bytes);
void *ea_heap_aligned_alloc_default8(ea_heap_t *heap, size_t alignment_bytes, size_t size_bytes);
ea_status_t ea_heap_free_default8(ea_heap_t *heap, void *ptr);

/* What somebody would write down who only wants to issue the operations. */
typedef struct {
    uint32_t kind, slot;
    size_t size_bytes, align_bytes;
} plain_op_t;

static _Noreturn void die(const char *what, const char *which)
{
    fprintf(stderr, "replay_cost: %s: %s\n", which, what);
    exit(1);
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static plain_op_t *write_down(const trace_t *trace)
{
    plain_op_t *ops = bigmem_map((trace->n_ops + 1) * sizeof *ops, true);
    size_t aligned = 0;
    if (ops == NULL) die("no memory", "plain");
    for (size_t i = 0; i < trace->n_ops; i++) {
        ops[i].kind = op_kind(trace->ops[i]);
        ops[i].slot = op_slot(trace->ops[i]);
        ops[i].size_bytes = op_request_bytes(trace->ops[i]);
        if (ops[i].kind == OP_ALIGNED)
            ops[i].align_bytes = (size_t)1 << trace->align_log2[aligned++];
    }
    return ops;
}

static double run_plain(const plain_op_t *ops, size_t n_ops, ea_heap_t *heap, void **slots)
{
    double start = now_ns();
    for (size_t i = 0; i < n_ops; i++) {
        void **slot = &slots[ops[i].slot];
        switch (ops[i].kind) {
        case OP_FREE: (void)ea_heap_free_default8(heap, *slot); break;
        case OP_ALLOC: *slot = ea_heap_alloc_default8(heap, ops[i].size_bytes); break;
        case OP_REALLOC: *slot = ea_heap_realloc_default8(heap, *slot, ops[i].size_bytes); break;
        case OP_CALLOC: *slot = ea_heap_calloc_default8(heap, 1, ops[i].size_bytes); break;
        default:
            *slot = ea_heap_aligned_alloc_default8(heap, ops[i].align_bytes, ops[i].size_bytes);
        }
    }
    return now_ns() - start;
}

static double run_engine(const trace_t *trace, size_t heap_bytes, bool check,
                         replay_memory_t *memory)
{
    replay_result_t result;
    replay_options_t options = {.ops = &eai_heap_ops_default8,
                                .heap_bytes = heap_bytes,
                                .check_contents = check,
                                .n_samples = N_SAMPLES};
    /* The result's own clock leaves out the preparation, as run_plain() does. */
    if (replay_run(trace, &options, memory, &result) != REPLAY_DONE || result.n_failures > 0) {
        die("the replay failed", "replay");
    }
    double elapsed = (double)result.elapsed_ns;
    replay_result_release(&result);
    return elapsed;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *path, int rounds, FILE *json, const char **separator)
{
    static double ns[N_WAYS][MAX_ROUNDS];
    replay_memory_t memory = {0}, plain_memory = {0};
    trace_t trace;
    if (!trace_load(&trace, path, NULL) || trace.n_ops == 0) die("no trace", path);
    size_t heap_bytes = trace.peak_gross_bytes * 2 + 65536;
    plain_op_t *ops = write_down(&trace);
    size_t slots_bytes = trace.n_slots * sizeof(void *);
    if (!bigmem_reserve(&plain_memory.arena, heap_bytes) ||
        !bigmem_reserve(&plain_memory.slots, slots_bytes)) {
        die("no memory", path);
    }
    for (int round = -1; round < rounds; round++) { /* the round -1 warms up */
        size_t at = round < 0 ? 0 : (size_t)round;
        trace_t again;
        double start = now_ns();
        if (!trace_load(&again, path, NULL)) die("no trace", path);
        ns[LOAD][at] = now_ns() - start;
        trace_release(&again);
        memset(plain_memory.slots.data, 0, slots_bytes);
        ea_heap_t *heap = ea_heap_init_default8(plain_memory.arena.data, heap_bytes, NULL);
        if (heap == NULL) die("no heap", path);
        ns[PLAIN][at] = run_plain(ops, trace.n_ops, heap, plain_memory.slots.data);
        ns[REPLAY][at] = run_engine(&trace, heap_bytes, false, &memory);
        ns[CHECKED][at] = run_engine(&trace, heap_bytes, true, &memory);
    }
    const char *name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    int stem = (int)strcspn(name, ".");
    double plain = 0;
    printf("%-12.*s", stem, name);
    for (int way = 0; way < N_WAYS; way++) {
        qsort(ns[way], (size_t)rounds, sizeof(double), compare_doubles);
        double median = ns[way][rounds / 2] / (double)trace.n_ops;
        if (way == PLAIN) plain = median;
        printf("  %7.2f (%5.2f)", median, median / plain);
        if (json == NULL) continue;
        fprintf(json,
                "%s\n  {\"bench\": \"replay_cost\", \"subject\": \"%s\", \"workload\": \"%.*s\", "
                "\"median\": %.6g, \"ratio_to\": \"plain\", \"ratio\": %.6g}",
                *separator, way_names[way], stem, name, median, median / plain);
        *separator = ",";
    }
    printf("\n");
    bigmem_unmap(ops, (trace.n_ops + 1) * sizeof *ops);
    replay_memory_release(&memory);
    replay_memory_release(&plain_memory);
    trace_release(&trace);
}

int main(int argc, char **argv)
{
    int rounds = 7, first = 1;
    FILE *json = NULL;
    const char *separator = "";
    for (; first + 1 < argc && argv[first][0] == '-'; first += 2) {
        if (strcmp(argv[first], "--rounds") == 0) {
            rounds = atoi(argv[first + 1]);
        } else if (strcmp(argv[first], "--json") == 0) {
            json = fopen(argv[first + 1], "w");
            if (json == NULL) die(strerror(errno), argv[first + 1]);
            fputc('[', json);
        } else {
            die("unknown option", argv[first]);
        }
    }
    if (first >= argc || rounds < 1 || rounds > MAX_ROUNDS) die("recordings are needed", "usage");
    printf("%-12s", "ns per op");
    for (int way = 0; way < N_WAYS; way++) printf("  %15s", way_names[way]);
    printf("\n");
    for (int i = first; i < argc; i++) measure(argv[i], rounds, json, &separator);
    if (json != NULL) {
        fputs("\n]\n", json);
        if (fclose(json) != 0) die(strerror(errno), "JSON");
    }
    return 0;
}
