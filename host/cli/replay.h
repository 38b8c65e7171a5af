/* SPDX-License-Identifier: MIT
 *
 * What the two halves of ealloc replay share: replay.c, the heap's, and replay_movable.c.
 */
#ifndef EALLOC_CLI_REPLAY_H
#define EALLOC_CLI_REPLAY_H

#include "choice.h"
#include "find_min.h"
#include "movable_run.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_BAD_INPUT = 3 };

typedef struct {
    const char *file;
    const char *profile;
    const char *timeline;
    const char *heap;    /* as given; NULL: it was not */
    uint64_t heap_bytes; /* 0: not given */
    ea_heap_fit_t fit;
    unsigned align, link_bits, n_jobs;
    bool no_check, strict, find_min, json;

    bool movable;
    const char *movable_option; /* the first option that only goes with --movable; NULL: none */
    const char **sites;         /* whose blocks are movable                                   */
    size_t n_sites;             /* 0: all are */
    const eai_movable_ops_t *layout; /* NULL: the smallest that will do */
    size_t demand_bytes, idle_bytes, idle_every;
} wishes_t;

/* One line about the recording; paths may hold anything. */
void replay_complain(const char *file, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void replay_clear_progress(void);
void replay_show_loading(uint64_t done, uint64_t total);
void replay_show_search(const char *phase, size_t low, size_t high);
unsigned replay_jobs(const wishes_t *wishes);
/* Of damage, the recording's faults and, if strict, refusals. */
int replay_verdict(const wishes_t *wishes, const trace_t *trace, uint64_t n_failures,
                   uint64_t n_damaged);

/* Replay on a store of movable blocks and report. Returns the exit status. */
int replay_movable(const wishes_t *wishes, const choice_t *choice, const trace_t *trace);

#endif
