/* SPDX-License-Identifier: MIT */
#include "sizemap.h"

#include <stdlib.h>

#include "sane.h"

#define FIRST_SLOTS ((size_t)1 << 12)
#define MUCH_BYTES ((size_t)64 << 20)

bool sizemap_init(sizemap_t *m)
{
    *m = (sizemap_t){.slots = calloc(FIRST_SLOTS, sizeof *m->slots), .mask = FIRST_SLOTS - 1};
    return m->slots != NULL;
}

void sizemap_free(sizemap_t *m)
{
    free(m->slots);
    *m = (sizemap_t){0};
}

static inline size_t home(const sizemap_t *m, uint64_t ptr)
{
    return (size_t)((ptr * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & m->mask;
}

static inline sized_block_t *find(const sizemap_t *m, uint64_t ptr)
{
    size_t at = home(m, ptr);
    while (m->slots[at].ptr != 0 && m->slots[at].ptr != ptr) at = (at + 1) & m->mask;
    return &m->slots[at];
}

static __attribute__((noinline)) bool grow(sizemap_t *m)
{
    size_t n = (m->mask + 1) * 2, n_bytes = n * sizeof *m->slots;
    sizemap_t larger = {.mask = n - 1, .n_used = m->n_used};
    if (n_bytes <= MUCH_BYTES || n_bytes <= available_bytes())
        larger.slots = calloc(n, sizeof *larger.slots);
    if (larger.slots != NULL)
        for (size_t i = 0; i <= m->mask; i++)
            if (m->slots[i].ptr != 0) *find(&larger, m->slots[i].ptr) = m->slots[i];
    free(m->slots);
    *m = larger;
    return m->slots != NULL;
}

uint64_t sizemap_put(sizemap_t *m, uint64_t ptr, uint64_t size)
{
    if (m->n_used * 2 > m->mask && !grow(m)) return 0;
    sized_block_t *slot = find(m, ptr);
    uint64_t old = slot->ptr != 0 ? slot->size : 0;
    m->n_used += slot->ptr == 0;
    *slot = (sized_block_t){ptr, size};
    return old;
}

uint64_t sizemap_take(sizemap_t *m, uint64_t ptr)
{
    size_t hole = (size_t)(find(m, ptr) - m->slots), mask = m->mask;
    if (m->slots[hole].ptr == 0) return 0;
    uint64_t size = m->slots[hole].size;
    /* Close the gap: a follower moves into it unless its home lies behind the hole. */
    for (size_t at = (hole + 1) & mask; m->slots[at].ptr != 0; at = (at + 1) & mask) {
        if (((at - home(m, m->slots[at].ptr)) & mask) < ((at - hole) & mask)) continue;
        m->slots[hole] = m->slots[at];
        hole = at;
    }
    m->slots[hole].ptr = 0;
    m->n_used--;
    return size;
}
