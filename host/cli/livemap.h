/* SPDX-License-Identifier: MIT
 *
 * The live blocks of a recording by address: a hash table with open addressing and linear probing.
 */
#ifndef EALLOC_LIVEMAP_H
#define EALLOC_LIVEMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t ptr; /* 0: the slot is empty */
    uint64_t size, time_us;
    uint32_t site;
} live_block_t;

typedef struct {
    live_block_t *slots;
    size_t n_slots, n_used;
} livemap_t;

bool livemap_init(livemap_t *m);
void livemap_free(livemap_t *m);
/* Add a block; one at the same address is replaced and, if found is not NULL, stored there. Returns
 * false when memory ran out. */
bool livemap_put(livemap_t *m, const live_block_t *block, live_block_t *found);
/* Remove the block at ptr; false: there is none. */
bool livemap_take(livemap_t *m, uint64_t ptr, live_block_t *block);

#endif
