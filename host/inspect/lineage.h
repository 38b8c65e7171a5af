/* SPDX-License-Identifier: MIT
 *
 * Lineages and call stacks among the ranges of a dump: docs/formats/lineage.md says what the fields
 * mean.
 */
#ifndef EALLOC_INSPECT_LINEAGE_H
#define EALLOC_INSPECT_LINEAGE_H

#include "snapshot.h"

enum { LINEAGE_HOPS = 8, LINEAGE_FRAMES = 16 };

typedef struct {
    uint64_t site, time_us, to;
} lineage_hop_t;

typedef struct {
    uint64_t block, serial, site, parent, parent_serial, size, time_us, n_handed;
    unsigned owner, stack;
    bool is_live;
    size_t n_hops, n_frames; /* that are known, the oldest and the innermost first */
    lineage_hop_t hops[LINEAGE_HOPS];
    uint64_t frames[LINEAGE_FRAMES];
} lineage_t;

typedef struct {
    lineage_t *entries; /* in the order of allocation */
    size_t n;
    uint64_t n_untracked, n_forgotten, n_severed;
} lineages_t;

/* What the snapshot's ranges hold; NULL: no lineages. Free it with lineages_free(). */
lineages_t *lineages_read(const snapshot_t *s);
void lineages_free(lineages_t *l);

/* What an entry was allocated for; NULL: nothing, or it is not known any more. */
const lineage_t *lineages_parent(const lineages_t *l, const lineage_t *of);

#endif
