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
        waiting_bytes, n_internal, internal_bytes, unknown_bytes, room_bytes;
} totals_t;

/* A place that is damaged. */
typedef struct {
    const char *what;
    uint64_t where;
    const snap_block_t *block;   /* that is damaged; NULL: none in particular */
    const snap_block_t *culprit; /* whose user most likely did it; NULL: not known */
    const char *text;            /* more, or "" */
} wound_t;

/* A call site whose blocks look like a leak. */
typedef struct {
    sum_t sum;
    uint64_t n_allocs, n_freed;  /* of the history: its blocks, and those of them that were freed */
    uint64_t kept_by_quarter[4]; /* the others, by the quarter of the history they are of */
    uint64_t by_quarter[4]; /* blocks by when they were allocated, from the oldest block of all to
                               the dump; all 0: that is too short, or not known */
    bool grows, is_kept;    /* the reasons: see judge.c */
} suspect_t;

enum { FREE_CLASSES = 33 }; /* class c: blocks of 2^c up to 2^(c+1) - 1 bytes */

typedef struct {
    const snapshot_t *s;
    totals_t totals;
    sum_t *owners, *sites; /* most bytes first */
    wound_t *wounds;
    suspect_t *suspects; /* most bytes first */
    size_t n_owners, n_sites, n_wounds, n_suspects;
    uint64_t n_free[FREE_CLASSES], free_bytes[FREE_CLASSES];
} judgement_t;

void judge(judgement_t *j, const snapshot_t *s);
/* Turn the call sites of j into addresses as the program of s has them, where it was loaded
 * elsewhere: for comparing the two. */
void judge_align(judgement_t *j, const snapshot_t *s);
void judgement_release(judgement_t *j);

/* The block that address lies in, of any state; NULL. */
const snap_block_t *find_block(const snapshot_t *s, uint64_t address);
/* Seconds since a block was allocated, as exact as births are: 4 s. 0 without tags. */
uint64_t judge_age(const snapshot_t *s, const snap_block_t *b);
/* Is the event about a block that held address? */
bool is_about(const snap_event_t *e, uint64_t address);
/* The raw bytes that hold address; NULL. */
const snap_raw_t *find_raw(const snapshot_t *s, uint64_t address);

#endif
