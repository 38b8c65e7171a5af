/* SPDX-License-Identifier: MIT
 *
 * What a replay on a store of movable blocks found, beside what the heap needs for the same
 * recording.
 */
#ifndef EALLOC_REPLAY_MOVABLE_REPORT_H
#define EALLOC_REPLAY_MOVABLE_REPORT_H

#include "movable_run.h"
#include "report.h"

typedef struct {
    const replay_report_t *whole; /* the recording, the heap's profile and options, and its result
                                     where the size was given */
    const trace_t *trace;         /* of the movable blocks */
    const movable_options_t *options;
    const movable_result_t *result;
    const movable_need_t *need;
    const find_min_result_t *smallest; /* the region; NULL: its size was given             */
    const find_min_result_t *heap;     /* all of the recording in one heap; NULL: not asked for, or
                                          there is none                                        */
    const find_min_result_t *rest;     /* what is not movable in a heap; NULL as above      */
    const char *const *sites;          /* that are movable, as asked for                    */
    size_t n_sites;                    /* 0: all blocks are                                 */
    uint32_t n_chosen, n_allocating;   /* call sites of the recording                       */
} movable_report_t;

void movable_report_text(FILE *out, const movable_report_t *report);
/* Returns false when there is no memory or out cannot be written. */
bool movable_report_json(FILE *out, const movable_report_t *report);

#endif
