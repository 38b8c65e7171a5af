/* SPDX-License-Identifier: MIT
 *
 * From the recorded program's addresses to dense slots: an open-addressing hash table with linear
 * probing; removal shifts the cluster back, so there are no tombstones and the table never
 * degrades. Address 0 is never a key. Cost O(1) expected for every call.
 */
#ifndef EALLOC_REPLAY_IDMAP_H
#define EALLOC_REPLAY_IDMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "bigmem.h"

#define IDMAP_NONE UINT32_MAX

typedef struct {
    uint64_t key;
    uint32_t value;
} idmap_entry_t;

/* All zero is an empty map. */
typedef struct {
    bigmem_array_t memory;
    idmap_entry_t *entries;
    uint32_t capacity_bits;
    uint32_t n_entries;
} idmap_t;

/* Insert a key that is not in the map. Returns false when there is no memory. */
bool idmap_put(idmap_t *map, uint64_t key, uint32_t value);
/* The key's value, or IDMAP_NONE. */
uint32_t idmap_get(const idmap_t *map, uint64_t key);
/* Remove the key and return its value, or IDMAP_NONE. */
uint32_t idmap_take(idmap_t *map, uint64_t key);
void idmap_release(idmap_t *map);

#endif
