/* SPDX-License-Identifier: MIT
 *
 * Stores of movable blocks: their blocks put in order, where the bytes of a block being moved are,
 * what locked blocks cost.
 */
#ifndef EALLOC_INSPECT_STORE_H
#define EALLOC_INSPECT_STORE_H

#include "snapshot.h"

/* All blocks of the snapshot's last store are there, the last ones of all: put them in the order of
 * addresses, without gaps and overlaps whatever they say. Nothing if it is done. */
void store_close(snapshot_t *s);

typedef struct {
    uint64_t address, bytes;
} piece_t;

/* Where the bytes of a block are, in order: pieces[0], then pieces[1], either of which may be
 * empty. Together they are as long as what the user gets. */
void store_pieces(const snap_store_t *store, const snap_block_t *b, piece_t pieces[2]);

/* A locked block, and the free memory around it that cannot be joined. */
typedef struct {
    const snap_block_t *block;
    uint64_t below, above;
} pin_t;

/* Bytes with headers; all of them together are total. */
typedef struct {
    uint64_t total;
    uint64_t n_used, used_bytes;   /* with a handle                       */
    uint64_t n_fixed, fixed_bytes; /* without                             */
    uint64_t n_free, free_bytes, largest_free;
    uint64_t rest_bytes; /* freed and not free yet, room of a move, damaged, not told of */
    uint64_t n_locked, locked_bytes; /* of the used ones */
    uint64_t compactable;            /* the largest hole that compaction can make as it is */
    uint64_t compactable_unlocked;   /* if nothing were locked                             */
    pin_t *pins;                     /* of the locked ones, those with most around them first */
    size_t n_pins;
} store_sums_t;

/* Free the pins with store_sums_release(). */
void store_sums(const snapshot_t *s, const snap_store_t *store, store_sums_t *sums);
void store_sums_release(store_sums_t *sums);

/* How much of the free memory is not in the largest hole. */
unsigned store_frag_permille(const store_sums_t *sums);
/* "small", "medium", "large" or "unknown". */
const char *store_layout_name(const snap_store_t *store);

#endif
