/* SPDX-License-Identifier: MIT
 *
 * How ealloc inspect tells what it found. firmware may be NULL.
 */
#ifndef EALLOC_INSPECT_H
#define EALLOC_INSPECT_H

#include "firmware.h"
#include "judge.h"

void inspect_text(const judgement_t *j, firmware_t *firmware, const char *file, uint32_t n_rows);
/* What is known of an address. */
void inspect_address(const judgement_t *j, firmware_t *firmware, uint64_t address);
/* address: that too; NULL: of none in particular. */
void inspect_json(const judgement_t *j, firmware_t *firmware, const uint64_t *address);
/* Sites of b are those of a, as judge_align() makes them. */
void inspect_diff_text(const judgement_t *a, const judgement_t *b, firmware_t *firmware,
                       uint32_t n_rows);
void inspect_diff_json(const judgement_t *a, const judgement_t *b, firmware_t *firmware);

/* The lineages among the dump's ranges, if there are any. */
void inspect_lineages(const snapshot_t *s, firmware_t *firmware, uint32_t n_rows);

/* The owner's name, or "account N", or "nobody" for 0. Returns to. */
char *inspect_owner(const snapshot_t *s, uint64_t id, char *to, size_t size);

/* The last block below address, or the first one above it, of the same region or pool; NULL: there
 * is none. Not the one that holds it. */
const snap_block_t *inspect_next_to(const snapshot_t *s, const snap_block_t *b, int step);

/* What changed of one owner or site. */
typedef struct {
    uint64_t key;
    uint64_t blocks_a, bytes_a, blocks_b, bytes_b;
} change_t;

/* Changes from a to b, the largest growth first. *n of them; free() the list. */
change_t *inspect_changes(const sum_t *a, size_t n_a, const sum_t *b, size_t n_b, size_t *n);

#endif
