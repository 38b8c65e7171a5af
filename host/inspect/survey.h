/* SPDX-License-Identifier: MIT
 *
 * The state of an allocator or a heap out of the memory of its program, as ea_dump() would have
 * dumped it: the same snapshot, so that all that is made of one is made of both.
 */
#ifndef EALLOC_INSPECT_SURVEY_H
#define EALLOC_INSPECT_SURVEY_H

#include "image.h"
#include "layout.h"
#include "snapshot.h"

typedef struct {
    const image_t *image;
    const layout_t *layout;
    uint64_t loaded;   /* where the ELF file's address 0 was */
    const char *which; /* name or address ("0x...") of the allocator or heap; NULL: the first */
} survey_options_t;

/* Returns  NULL: there is none, and error says so in a line without a file name; else what could be
 *          read: flaw says what is missing. The image must stay as long as the snapshot. */
snapshot_t *survey(const survey_options_t *options, char *error, size_t error_size);

#endif
