/* SPDX-License-Identifier: MIT
 *
 * The processor's own counter, fenced so that an operation is done before its end is read and not
 * begun before its start was.
 */
#define _GNU_SOURCE
#include "latency.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "histogram.h"

#define CLOCK_TRIES 1001
#define CALIBRATION_NS 2000000u
#define NOT_RUN UINT32_MAX

typedef struct {
    const trace_t *trace;
    const eai_heap_ops_t *ops;
    ea_heap_t *heap;
    void **slots;
    uint32_t *least; /* ticks of each operation in its quickest pass */
} pass_t;

static inline uint64_t stamp(void)
{
#if defined(__x86_64__)
    _mm_lfence();
    uint64_t ticks = __rdtsc();
    _mm_lfence();
    return ticks;
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(ticks)::"memory");
    return ticks;
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
#endif
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Ticks between two stamps with nothing in between: the median of many; and the steps that they
 * come in, since some processors count their ticks by the dozen. */
static uint64_t clock_cost(uint64_t *step)
{
    static uint64_t ticks[CLOCK_TRIES];
    for (int i = 0; i < CLOCK_TRIES; i++) {
        uint64_t start = stamp();
        ticks[i] = stamp() - start;
    }
    qsort(ticks, CLOCK_TRIES, sizeof ticks[0], compare);
    *step = ticks[0] != 0 ? ticks[0] : 1;
    for (int i = 1; i < CLOCK_TRIES; i++) {
        uint64_t between = ticks[i] - ticks[i - 1];
        if (between != 0 && between < *step) *step = between;
    }
    return ticks[CLOCK_TRIES / 2];
}

/* One operation; its ticks, or NOT_RUN. */
static uint32_t run_op(pass_t *pass, trace_op_t op, size_t align)
{
    const eai_heap_ops_t *ops = pass->ops;
    void **slot = &pass->slots[op_slot(op)], *block = *slot;
    size_t size = op_request_bytes(op);
    uint64_t start, end;
    if (op_kind(op) == OP_FREE) {
        if (block == NULL) return NOT_RUN;
        start = stamp();
        ea_status_t status = ops->free(pass->heap, block);
        end = stamp();
        (void)status; /* looked at in the pass that measures nothing */
        *slot = NULL;
    } else if (op_kind(op) == OP_REALLOC) {
        start = stamp();
        void *moved = ops->realloc(pass->heap, block, size);
        end = stamp();
        if (moved != NULL) *slot = moved;
    } else if (op_kind(op) == OP_CALLOC) {
        start = stamp();
        *slot = ops->calloc(pass->heap, 1, size);
        end = stamp();
    } else if (op_kind(op) == OP_ALIGNED) {
        start = stamp();
        *slot = ops->aligned_alloc(pass->heap, align, size);
        end = stamp();
    } else {
        start = stamp();
        *slot = ops->alloc(pass->heap, size);
        end = stamp();
    }
    return end - start < NOT_RUN ? (uint32_t)(end - start) : NOT_RUN - 1;
}

static void run_pass(pass_t *pass, bool first)
{
    const trace_t *trace = pass->trace;
    size_t aligned = 0;
    for (size_t i = 0; i < trace->n_ops; i++) {
        trace_op_t op = trace->ops[i];
        size_t align = op_kind(op) == OP_ALIGNED ? (size_t)1 << trace->align_log2[aligned++] : 0;
        uint32_t ticks = run_op(pass, op, align);
        if (first || ticks < pass->least[i]) pass->least[i] = ticks;
    }
}

static latency_kind_t kind_of(trace_op_t op)
{
    return op_kind(op) == OP_FREE      ? LATENCY_FREE
           : op_kind(op) == OP_REALLOC ? LATENCY_REALLOC
           : op_kind(op) == OP_CALLOC  ? LATENCY_ZEROED
                                       : LATENCY_ALLOC;
}

static bool summarize(const pass_t *pass, uint64_t cost, double ns_per_tick, latency_t *latency)
{
    histogram_t *all = calloc(LATENCY_KINDS, sizeof *all);
    if (all == NULL) return false;
    for (size_t i = 0; i < pass->trace->n_ops; i++) {
        uint32_t ticks = pass->least[i];
        if (ticks == NOT_RUN) continue;
        double ns = ticks > cost ? (double)(ticks - cost) * ns_per_tick : 0;
        histogram_add(&all[kind_of(pass->trace->ops[i])],
                      ns < UINT32_MAX ? (uint32_t)(ns + 0.5) : UINT32_MAX);
    }
    latency->clock_ns = (double)cost * ns_per_tick;
    for (int k = 0; k < LATENCY_KINDS; k++) {
        latency->kind[k].count = all[k].n;
        latency->kind[k].median_ns = histogram_quantile(&all[k], 5000);
        latency->kind[k].p99_ns = histogram_quantile(&all[k], 9900);
        latency->kind[k].p999_ns = histogram_quantile(&all[k], 9990);
        latency->kind[k].worst_ns = all[k].most;
    }
    free(all);
    return true;
}

bool latency_measure(const trace_t *trace, const replay_options_t *options, replay_memory_t *memory,
                     latency_t *latency)
{
    ea_heap_options_t heap_options = {.fit = options->fit};
    size_t slots_bytes = (trace->n_slots + (size_t)1) * sizeof(void *);
    bigmem_array_t least = {0};
    *latency = (latency_t){0};
    if (!bigmem_reserve(&memory->slots, slots_bytes) ||
        !bigmem_reserve(&memory->arena, options->heap_bytes) ||
        !bigmem_reserve(&least, (trace->n_ops + 1) * sizeof(uint32_t)))
        return false;
    pass_t pass = {
        .trace = trace, .ops = options->ops, .slots = memory->slots.data, .least = least.data};
    uint64_t start_ns = now_ns(), start = stamp();
    uint64_t step, cost = clock_cost(&step);
    bool ok = true;
    for (int i = 0; i < LATENCY_PASSES && ok; i++) {
        memset(pass.slots, 0, slots_bytes);
        pass.heap = options->ops->init(memory->arena.data, options->heap_bytes, &heap_options);
        ok = pass.heap != NULL;
        if (ok) run_pass(&pass, i == 0);
    }
    while (now_ns() - start_ns < CALIBRATION_NS) continue;
    double ns_per_tick = (double)(now_ns() - start_ns) / (double)(stamp() - start);
    ok = ok && summarize(&pass, cost, ns_per_tick, latency);
    latency->step_ns = (double)step * ns_per_tick;
    bigmem_release(&least);
    return ok;
}
