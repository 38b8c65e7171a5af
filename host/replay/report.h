/* SPDX-License-Identifier: MIT
 *
 * What a replay found, for people (text), for scripts (JSON) and for spreadsheets (CSV).
 */
#ifndef EALLOC_REPLAY_REPORT_H
#define EALLOC_REPLAY_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "engine.h"
#include "find_min.h"
#include "latency.h"
#include "trace.h"

typedef struct {
    const char *file;     /* the recording                                             */
    const char *manifest; /* that it was chosen from; NULL: none                      */
    const char *profile;  /* the heap's                                                */
    const trace_t *trace;
    const replay_options_t *options;
    const replay_result_t *result;
    const find_min_result_t *smallest; /* NULL: not asked for                         */
    const latency_t *latency;          /* NULL: there was no memory to measure it     */
    size_t perfect_bytes;
    bool heap_is_default; /* the size was chosen here, not by the user                */
} replay_report_t;

/* What report->file, manifest and trace say of the recording, a part of both reports. */
void report_recording(FILE *out, const replay_report_t *report);
json_t *report_recording_json(const replay_report_t *report);

void report_text(FILE *out, const replay_report_t *report);
/* Returns false when there is no memory or out cannot be written. */
bool report_json(FILE *out, const replay_report_t *report);
/* time_us,live,used,free,largest_free,fragmentation_permille, one line a sample. Closes out.
 * Returns false, with errno, if it cannot be written. */
bool report_timeline(FILE *out, const replay_report_t *report);

#endif
