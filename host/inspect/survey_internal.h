/* SPDX-License-Identifier: MIT
 *
 * What the survey's sources share.
 */
#ifndef EALLOC_INSPECT_SURVEY_INTERNAL_H
#define EALLOC_INSPECT_SURVEY_INTERNAL_H

#include "label.h"
#include "survey.h"

enum { HEADER_BYTES = 4, MOST_MOVING = 64 };

typedef struct {
    snapshot_t *s;
    const image_t *image;
    const layout_t *layout;
    label_rules_t rules;
    unsigned check_level;
    bool pool_bits, pool_bits_turn;
    uint64_t align_bytes;
    uint64_t tags_of_pools; /* address; 0: none */
    uint64_t reserve;       /* address of a block; 0: none */
} survey_t;

void survey_trouble(survey_t *v, unsigned reason, uint64_t where, const char *text);
void survey_flaw(survey_t *v, const char *what, uint64_t where);
/* The image's bytes around where, for those who want to see them. */
void survey_raw(survey_t *v, uint64_t where, uint64_t begin, uint64_t end);
/* n bytes of memory from address on, of which *there are in the image; they stay with the
 * snapshot. NULL: none are. */
const uint8_t *survey_memory(survey_t *v, uint64_t address, uint64_t n, uint64_t *there);

/* The heap at address, whose memory ends at end at most, as the region that was added last.
 * moving: the first of a list of blocks between two parts of a realloc, or 0. */
void survey_heap(survey_t *v, uint64_t address, uint64_t end, uint64_t moving);
/* Could a heap begin there? Then where its last region's blocks end. */
bool survey_is_heap(const survey_t *v, uint64_t address, uint64_t *end);

/* The store at address, whose memory ends at end at most: that of the region that was added last,
 * whose owners of blocks stand at owners (0: nowhere); or one of this name that is no allocator's,
 * end being UINT64_MAX. */
void survey_store(survey_t *v, uint64_t address, uint64_t end, uint64_t owners, const char *name);
/* Could a store begin there? */
bool survey_is_store(const survey_t *v, uint64_t address);

/* The pool that this view is of: a set's class number, name ""; or a variable of this name, which
 * is no allocator's, so that its blocks are counted alone. tags_before: how many tags of the
 * allocator's array are those of classes before it; UINT64_MAX: it has none. */
void survey_pool(survey_t *v, view_t pool, uint64_t number, const char *name, uint64_t tags_before);

#endif
