/* SPDX-License-Identifier: MIT
 *
 * What follows from a snapshot: sums by owner and site, what is free, what is damaged and whose
 * block most likely did it.
 */
#ifndef EALLOC_INSPECT_JUDGE_H
#define EALLOC_INSPECT_JUDGE_H

#include "snapshot.h"

typedef struct {
    uint64_t key; /* owner's id or site */
    uint64_t n_blocks, bytes;
    uint64_t gross_bytes; /* with headers, guards and rounding */
    uint64_t oldest_s;    /* age of the oldest block, as exact as births are: 4 s */
} sum_t;

typedef struct {
    uint64_t n_used, used_bytes, requested_bytes, n_free, free_bytes, largest_free, n_waiting,
        waiting_bytes, n_internal, internal_bytes, unknown_bytes;
} totals_t;

/* A place that is damaged. */
typedef struct {
    const char *what;
    uint64_t where;
    const snap_block_t *block;   /* that is damaged; NULL: none in particular */
    const snap_block_t *culprit; /* whose user most likely did it; NULL: not known */
    const char *text;            /* more, or "" */
} wound_t;

enum { FREE_CLASSES = 33 }; /* class c: blocks of 2^c up to 2^(c+1) - 1 bytes */

typedef struct {
    const snapshot_t *s;
    totals_t totals;
    sum_t *owners, *sites; /* most bytes first */
    wound_t *wounds;
    size_t n_owners, n_sites, n_wounds;
    uint64_t n_free[FREE_CLASSES], free_bytes[FREE_CLASSES];
} judgement_t;

void judge(judgement_t *j, const snapshot_t *s);
/* Turn the call sites of j into addresses as the program of s has them, where it was loaded
 * elsewhere: for comparing the two. */
void judge_align(judgement_t *j, const snapshot_t *s);
void judgement_release(judgement_t *j);

/* The block that address lies in, of any state; NULL. */
const snap_block_t *find_block(const snapshot_t *s, uint64_t address);
/* The raw bytes that hold address; NULL. */
const snap_raw_t *find_raw(const snapshot_t *s, uint64_t address);

#endif
