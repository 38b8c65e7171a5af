/* SPDX-License-Identifier: MIT
 *
 * The contents of a block under check: a sequence of bytes that depends on the block's id and on
 * the position, so that a lost, shifted, swapped or overlapping block shows. A block that grows
 * keeps its pattern and only gets more of it.
 */
#ifndef EALLOC_REPLAY_PATTERN_H
#define EALLOC_REPLAY_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#define PATTERN_OK ((size_t)-1)

/* Write bytes [from, to) of the pattern of id at the same places of block. */
void pattern_fill(void *block, uint64_t id, size_t from, size_t to);
/* The first byte of [0, to) that is not as written, or PATTERN_OK. */
size_t pattern_verify(const void *block, uint64_t id, size_t to);

#endif
