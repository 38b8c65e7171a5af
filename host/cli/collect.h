/* SPDX-License-Identifier: MIT
 *
 * Turns one image of a recording session (host/preload/session.h) into a recording file.
 */
#ifndef EALLOC_COLLECT_H
#define EALLOC_COLLECT_H

#include <stdbool.h>
#include <stdint.h>

#include "recording.h"
#include "session.h"

typedef struct collector collector_t;

/* Where the session's two clocks stood at its start; the ratio between them is taken from here
 * on. */
typedef struct {
    uint64_t ticks, ns;
} clock_anchor_t;

/* Take over the image in the session directory: its files are removed, its memory stays mapped.
 * NULL: not an image of this version, or no memory. */
collector_t *collector_open(const char *directory, const char *image, clock_anchor_t anchor);
const image_head_t *collector_head(const collector_t *c);

/* Write what the program has recorded since the last call into the file at path, which the first
 * call creates. dead: nothing more will come. -1: the file cannot be written (errno). */
int collector_run(collector_t *c, const char *path, bool dead);
/* Put everything read so far on disk. */
int collector_flush(collector_t *c);
/* The most bytes live at one time so far. */
uint64_t collector_peak_bytes(const collector_t *c);
/* Close the recording and free c. how: exec and the exit status, as far as they are known. */
int collector_close(collector_t *c, const rec_end_t *how, uint64_t *n_events);

#endif
