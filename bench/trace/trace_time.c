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
#include <stdlib.h>

#include "ealloc/port.h"
#include "ealloc/trace.h"
#include "rounds.h"

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
static rounds_t bench;
static volatile uint32_t ticks;
static ea_trace_t *traces[N_SUBJECTS];

static void open_traces(void)
{
    const ea_trace_options_t options[N_SUBJECTS] = {
        [COUNTER] = {.clock = &ticks, .tick_us = 1000}, [SAMPLED] = {.sample_one_in = 100}};
    for (subject_t s = COARSE; s <= SAMPLED; s++) {
        void *memory = calloc(1, EA_TRACE_BYTES(N_EVENTS));
        traces[s] = ea_trace_open(memory, EA_TRACE_BYTES(N_EVENTS), &options[s]);
        if (traces[s] == NULL) rounds_die(&bench, "ring", "refused");
    }
}

/* Nanoseconds of one. */
static double measure(subject_t subject)
{
    ea_trace_t *trace = traces[subject];
    uint64_t sum = 0;
    double begin = rounds_now_ns(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < bench.n_ops; i++) {
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
    return (rounds_now_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)bench.n_ops;
}

int main(int argc, char **argv)
{
    const char *too_slow = NULL;
    rounds_begin(&bench, "trace_time", 1u << 20, argc, argv);
    open_traces();
    for (int round = 0; round < bench.rounds; round++)
        for (subject_t s = MALLOC; s < N_SUBJECTS; s++) ns[s][round] = measure(s);
    for (subject_t s = MALLOC; s < N_SUBJECTS; s++) {
        double time = rounds_median(ns[s], bench.rounds);
        double ratio = rounds_ratio(ns[s], ns[MALLOC], bench.rounds);
        printf("  %-24s %7.2f ns  %.2f units\n", names[s], time, ratio);
        rounds_report(&bench, names[s], "one thread", time, names[MALLOC], ratio);
        if (s == COARSE && ratio > MOST) too_slow = "an event needs more than 1.5 units";
    }
    return rounds_end(&bench, too_slow);
}
