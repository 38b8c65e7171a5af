/* SPDX-License-Identifier: MIT
 *
 * What the arena's tests share: an upstream that counts, can refuse, and hands out memory of no
 * alignment at all.
 */
#ifndef ARENA_TESTING_H
#define ARENA_TESTING_H

#include "ealloc/arena.h"
#include "heap_testing.h"

static inline ea_arena_stats_t arena_stats(const ea_arena_t *arena)
{
    ea_arena_stats_t stats;
    ea_arena_stats(arena, &stats);
    return stats;
}

static inline void expect_arena_sound(const ea_arena_t *arena, const char *file, int line)
{
    ea_arena_fault_t fault = {NULL, NULL};
    ea_status_t status = ea_arena_check(arena, &fault);
    if (status != EA_OK) tap_fail(file, line, fault.invariant, status, EA_OK);
}
#define EXPECT_ARENA_SOUND(arena) expect_arena_sound((arena), __FILE__, __LINE__)

#define MAX_LENT 16

typedef struct {
    ea_heap_t *heap;
    size_t refuse_from; /* the number of the first call that is refused; 0: none */
    size_t n_calls, n_lent, lent_bytes;
    struct {
        char *ptr;
        size_t size;
    } lent[MAX_LENT];
    bool wrong; /* something came back that was not lent so */
} lender_t;

static inline void *lend(void *context, size_t size_bytes)
{
    lender_t *lender = context;
    if (++lender->n_calls >= lender->refuse_from && lender->refuse_from) return NULL;
    char *ptr = lender->n_lent < MAX_LENT ? ea_heap_alloc(lender->heap, size_bytes + 1) : NULL;
    if (ptr == NULL) return NULL;
    lender->lent[lender->n_lent].ptr = ptr + 1;
    lender->lent[lender->n_lent++].size = size_bytes;
    lender->lent_bytes += size_bytes;
    return ptr + 1;
}

static inline void take_back(void *context, void *ptr, size_t size_bytes)
{
    lender_t *lender = context;
    for (size_t i = 0; i < lender->n_lent; i++) {
        if (lender->lent[i].ptr != ptr || lender->lent[i].size != size_bytes) continue;
        lender->lent[i] = lender->lent[--lender->n_lent];
        lender->lent_bytes -= size_bytes;
        if (ea_heap_free(lender->heap, (char *)ptr - 1) != EA_OK) lender->wrong = true;
        return;
    }
    lender->wrong = true;
}

static inline ea_upstream_t upstream_of(lender_t *lender)
{
    ea_upstream_t upstream = {lend, take_back, lender};
    return upstream;
}

#endif
