/* SPDX-License-Identifier: MIT */
#include "livemap.h"

#include <stdlib.h>

#include "sane.h"

#define MUCH_BYTES ((size_t)64 << 20)

bool livemap_init(livemap_t *m)
{
    *m = (livemap_t){.n_slots = 1u << 12};
    m->slots = calloc(m->n_slots, sizeof *m->slots);
    return m->slots != NULL;
}

void livemap_free(livemap_t *m)
{
    free(m->slots);
    *m = (livemap_t){0};
}

static size_t home(const livemap_t *m, uint64_t ptr)
{
    return (size_t)((ptr * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (m->n_slots - 1);
}

static size_t find(const livemap_t *m, uint64_t ptr)
{
    size_t at = home(m, ptr);
    while (m->slots[at].ptr != 0 && m->slots[at].ptr != ptr) at = (at + 1) & (m->n_slots - 1);
    return at;
}

static bool grow(livemap_t *m)
{
    livemap_t larger = {.n_slots = m->n_slots * 2, .n_used = m->n_used};
    size_t n_bytes = larger.n_slots * sizeof *larger.slots;
    if (n_bytes > MUCH_BYTES && n_bytes > available_bytes()) return false;
    larger.slots = calloc(larger.n_slots, sizeof *larger.slots);
    if (larger.slots == NULL) return false;
    for (size_t i = 0; i < m->n_slots; i++)
        if (m->slots[i].ptr != 0) larger.slots[find(&larger, m->slots[i].ptr)] = m->slots[i];
    free(m->slots);
    *m = larger;
    return true;
}

bool livemap_put(livemap_t *m, const live_block_t *block, live_block_t *found)
{
    if (m->n_used * 2 >= m->n_slots && !grow(m)) return false;
    live_block_t *slot = &m->slots[find(m, block->ptr)];
    if (found != NULL) *found = *slot;
    if (slot->ptr == 0) m->n_used++;
    *slot = *block;
    return true;
}

bool livemap_take(livemap_t *m, uint64_t ptr, live_block_t *block)
{
    size_t hole = find(m, ptr), mask = m->n_slots - 1;
    if (m->slots[hole].ptr == 0) return false;
    *block = m->slots[hole];
    /* Close the gap: a follower moves into it unless its home lies behind the hole. */
    for (size_t at = (hole + 1) & mask; m->slots[at].ptr != 0; at = (at + 1) & mask) {
        size_t distance = (at - home(m, m->slots[at].ptr)) & mask;
        if (distance < ((at - hole) & mask)) continue;
        m->slots[hole] = m->slots[at];
        hole = at;
    }
    m->slots[hole] = (live_block_t){0};
    m->n_used--;
    return true;
}
