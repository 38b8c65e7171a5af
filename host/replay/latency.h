/* SPDX-License-Identifier: MIT
 *
 * How long each operation takes: every one by itself, not their sum divided.
 */
#ifndef EALLOC_REPLAY_LATENCY_H
#define EALLOC_REPLAY_LATENCY_H

#include "engine.h"

#define LATENCY_PASSES 3

/* Allocations that are zeroed (calloc), and reallocations that move, take time by the byte. */
typedef enum {
    LATENCY_ALLOC,
    LATENCY_ZEROED,
    LATENCY_FREE,
    LATENCY_REALLOC,
    LATENCY_KINDS
} latency_kind_t;

typedef struct {
    double clock_ns; /* what reading the clock twice takes; it is taken off below */
    double step_ns;  /* what the clock moves by: no figure is more exact than that */
    struct {
        uint64_t count;
        uint32_t median_ns, p99_ns, p999_ns, worst_ns;
    } kind[LATENCY_KINDS];
} latency_t;

/* Run the trace LATENCY_PASSES times on a fresh heap of options->heap_bytes and time every
 * operation by itself, contents not touched. The passes do the same work, so the least time of an
 * operation is the heap's own; what is above it came from the machine around. Frees of blocks whose
 * request was refused do not count.
 * Returns  false, and nothing in *latency, without memory or heap.
 * Cost     4 bytes and LATENCY_PASSES times the operation plus some 20 ns, an operation. */
bool latency_measure(const trace_t *trace, const replay_options_t *options, replay_memory_t *memory,
                     latency_t *latency);

#endif
