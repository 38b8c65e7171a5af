/* SPDX-License-Identifier: MIT
 *
 * The sizes of live blocks by address, as small and quick as it goes, since every event of a
 * recording under way passes through it. (livemap.h knows more of each block.)
 */
#ifndef EALLOC_SIZEMAP_H
#define EALLOC_SIZEMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t ptr; /* 0: the slot is empty */
    uint64_t size;
} sized_block_t;

/* Open addressing, linear probing, at most half full. */
typedef struct {
    sized_block_t *slots; /* NULL: given up, nothing is kept */
    size_t mask, n_used;
} sizemap_t;

bool sizemap_init(sizemap_t *m);
void sizemap_free(sizemap_t *m);
/* Add a block (ptr not 0). Returns the size of one that was at the same address and is replaced,
 * else 0. Without memory the map is given up. */
uint64_t sizemap_put(sizemap_t *m, uint64_t ptr, uint64_t size);
/* Remove the block at ptr. Returns its size; 0 if there is none. */
uint64_t sizemap_take(sizemap_t *m, uint64_t ptr);

#endif
