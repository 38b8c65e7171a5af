/* SPDX-License-Identifier: MIT
 *
 * What a block's tag and guards say, read from a copy of its memory: src/memory/guard.c for a
 * machine of another width and another configuration than the tool's own.
 */
#ifndef EALLOC_INSPECT_LABEL_H
#define EALLOC_INSPECT_LABEL_H

#include "snapshot.h"

/* Of the program that wrote the tags. */
typedef struct {
    unsigned tag_bytes;   /* 8, on 64-bit machines 16; 0: there are no tags */
    unsigned front_bytes; /* between header and payload */
    unsigned tags, guard, sampled;
    uint32_t key;
} label_rules_t;

/* Fill in what is known of the block b whose payload of usable bytes begins at b->user: requested,
 * owner, site, birth, finding, and the state of one that is used. payload is its memory; tag is its
 * tag's, which in_front stands before it: front_bytes lie there then.
 * Returns  whether the tag is that of a live block. */
bool label_read(const label_rules_t *rules, snap_block_t *b, const uint8_t *tag,
                const uint8_t *payload, uint64_t usable, bool in_front);

#endif
