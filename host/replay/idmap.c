/* SPDX-License-Identifier: MIT */
#include "idmap.h"

#include <stddef.h>

#define FIRST_BITS 12
#define LAST_BITS 31

/* Addresses differ in their middle bits: multiply and keep the top. */
static uint32_t home_of(const idmap_t *map, uint64_t key)
{
    return (uint32_t)((key * 0x9E3779B97F4A7C15u) >> (64 - map->capacity_bits));
}

static uint32_t mask_of(const idmap_t *map)
{
    return (1u << map->capacity_bits) - 1;
}

static void place(idmap_t *map, uint64_t key, uint32_t value)
{
    uint32_t at = home_of(map, key);
    while (map->entries[at].key != 0) at = (at + 1) & mask_of(map);
    map->entries[at] = (idmap_entry_t){key, value};
}

static bool grow(idmap_t *map)
{
    idmap_t bigger = {.capacity_bits = map->capacity_bits ? map->capacity_bits + 1 : FIRST_BITS,
                      .n_entries = map->n_entries};
    if (bigger.capacity_bits > LAST_BITS) return false;
    if (!bigmem_reserve(&bigger.memory, sizeof(idmap_entry_t) << bigger.capacity_bits))
        return false;
    bigger.entries = bigger.memory.data;
    for (uint32_t i = 0; map->entries != NULL && i <= mask_of(map); i++) {
        if (map->entries[i].key != 0) place(&bigger, map->entries[i].key, map->entries[i].value);
    }
    idmap_release(map);
    *map = bigger;
    return true;
}

bool idmap_put(idmap_t *map, uint64_t key, uint32_t value)
{
    bool half_full = map->entries == NULL || map->n_entries >= (1u << (map->capacity_bits - 1));
    if (half_full && !grow(map)) return false;
    place(map, key, value);
    map->n_entries++;
    return true;
}

static uint32_t find(const idmap_t *map, uint64_t key)
{
    if (map->entries == NULL || key == 0) return IDMAP_NONE;
    uint32_t at = home_of(map, key);
    while (map->entries[at].key != key) {
        if (map->entries[at].key == 0) return IDMAP_NONE;
        at = (at + 1) & mask_of(map);
    }
    return at;
}

uint32_t idmap_get(const idmap_t *map, uint64_t key)
{
    uint32_t at = find(map, key);
    return at == IDMAP_NONE ? IDMAP_NONE : map->entries[at].value;
}

uint32_t idmap_take(idmap_t *map, uint64_t key)
{
    uint32_t hole = find(map, key);
    if (hole == IDMAP_NONE) return IDMAP_NONE;
    uint32_t value = map->entries[hole].value;
    uint32_t mask = mask_of(map);
    for (uint32_t at = (hole + 1) & mask; map->entries[at].key != 0; at = (at + 1) & mask) {
        /* An entry may fill the hole unless its home lies behind the hole. */
        uint32_t from_home = (at - home_of(map, map->entries[at].key)) & mask;
        if (from_home >= ((at - hole) & mask)) {
            map->entries[hole] = map->entries[at];
            hole = at;
        }
    }
    map->entries[hole] = (idmap_entry_t){0, 0};
    map->n_entries--;
    return value;
}

void idmap_release(idmap_t *map)
{
    bigmem_release(&map->memory);
    *map = (idmap_t){0};
}
