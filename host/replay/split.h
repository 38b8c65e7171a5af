/* SPDX-License-Identifier: MIT
 *
 * A recording as two traces: the blocks that chosen call sites allocate, and the rest. A block
 * stays where it began, also when another site resizes it.
 */
#ifndef EALLOC_REPLAY_SPLIT_H
#define EALLOC_REPLAY_SPLIT_H

#include "trace.h"

/* Is this site chosen? Asked once for each site that allocates. */
typedef bool (*split_choose_t)(void *context, const rec_reader_t *reader, uint32_t site);

typedef struct {
    trace_t chosen, rest;
    uint32_t n_sites, n_chosen_sites; /* that allocate */
} split_t;

/* Events keep the numbers that they have in the whole recording, which must have been readable
 * before; what is irregular in it, its trace tells. False: there is no memory, or it has changed
 * since. In both cases split_release() it. */
bool split_load(split_t *split, const char *path, split_choose_t choose, void *context,
                trace_progress_t progress);
void split_release(split_t *split);

#endif
