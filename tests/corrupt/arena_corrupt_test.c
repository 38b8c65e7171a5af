/* SPDX-License-Identifier: MIT
 *
 * Damaged arenas: every bit of the control structure, of the chunks' headers and of the guards
 * flipped, one at a time. The checker must survive each, and see all that a seal covers; no
 * operation may give the upstream what is not its own. Prints the share that is seen. Damages
 * memory on purpose, and knows the private fields.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/arena.h"

#define MEMORY_BYTES 512u
#define MAX_LENT 8

static _Alignas(16) unsigned char memory[MEMORY_BYTES];
static ea_arena_t arena;
static ea_arena_mark_t outer;
static unsigned n_failed;

static struct {
    void *ptr;
    size_t size;
} lent[MAX_LENT];
static unsigned n_lent, n_foreign;

static void fail(const char *what, size_t where)
{
    printf("# %s at %zu\n", what, where);
    n_failed++;
}

static void *lend(void *context, size_t size_bytes)
{
    (void)context;
    if (n_lent == MAX_LENT) return NULL;
    lent[n_lent].size = size_bytes;
    return lent[n_lent++].ptr = malloc(size_bytes);
}

static void take_back(void *context, void *ptr, size_t size_bytes)
{
    (void)context;
    for (unsigned i = 0; i < n_lent; i++) {
        if (lent[i].ptr != ptr || lent[i].size != size_bytes) continue;
        free(ptr);
        lent[i] = lent[--n_lent];
        return;
    }
    n_foreign++;
}

/* Three chunks, blocks at both ends, marks with guards in each. */
static void start(void)
{
    ea_arena_options_t options = {.guard = EA_CFG_ARENA_GUARD,
                                  .chunk_bytes = 512,
                                  .limit_bytes = 4096,
                                  .upstream = {lend, take_back, NULL}};
    while (n_lent > 0) free(lent[--n_lent].ptr);
    n_foreign = 0;
    if (ea_arena_init(&arena, memory, sizeof memory, &options) != EA_OK) fail("init", 0);
    for (int i = 0; i < 6; i++) {
        if (ea_arena_alloc(&arena, 100) == NULL) fail("alloc", 0);
        ea_arena_mark_t mark = ea_arena_mark(&arena, EA_ARENA_LOW);
        if (i == 0) outer = mark;
        if (ea_arena_alloc_high(&arena, 60) == NULL) fail("alloc_high", 0);
        mark = ea_arena_mark(&arena, EA_ARENA_HIGH);
        (void)mark;
    }
    if (n_lent != 2 && n_lent != 3) fail("chunks", n_lent);
    if (ea_arena_check(&arena, NULL) != EA_OK) fail("check of a sound arena", 0);
}

/* Flip each bit of an object of each fresh arena. find returns the object. */
typedef void *(*find_t)(void);

static void *find_arena(void)
{
    return &arena;
}
static void *find_chunk(void)
{
    return arena.eai_chunk;
}
static void *find_middle_chunk(void)
{
    return arena.eai_chunk->eai_prev;
}
static void *find_first_chunk(void)
{
    return &arena.eai_first;
}
static void *find_guard(void)
{
    return arena.eai_guard[EA_ARENA_LOW];
}
static void *find_high_guard(void)
{
    return arena.eai_guard[EA_ARENA_HIGH];
}

/* After a damage: work must go on or be refused, and nothing foreign may be given back. */
static void operate(size_t at, int how)
{
    bool refused = true;
    if (how == 0) refused = ea_arena_reset(&arena) == EA_ERR_CORRUPT;
    if (how == 1) refused = ea_arena_rewind(&arena, &outer) == EA_ERR_CORRUPT;
    if (how == 2) refused = ea_arena_alloc(&arena, 700) == NULL; /* needs a chunk */
    if (n_foreign) fail("gave back what was not lent", at);
    if (!refused) fail("went on", at);
}

static void flip(const char *name, find_t find, size_t from, size_t to, bool all, int how)
{
    unsigned n = 0, n_seen = 0;
    for (size_t at = from; at < to; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            start();
            unsigned char *byte = (unsigned char *)find() + at;
            *byte ^= (unsigned char)(1u << bit);
            n++;
            bool seen = ea_arena_check(&arena, NULL) == EA_ERR_CORRUPT;
            n_seen += seen;
            if (all && !seen) fail(name, at);
            if (how >= 0) operate(at, how);
        }
    }
    printf("# %s: %u of %u flips seen\n", name, n_seen, n);
}

/* Random bytes instead of the control structure. */
static void garbage(void)
{
    uint32_t x = 2463534242u;
    for (int round = 0; round < 20000; round++) {
        start();
        ea_arena_t before = arena;
        size_t from = round % 4 ? x % sizeof arena : 0;
        for (size_t i = from; i < sizeof arena; i++) {
            x ^= x << 13, x ^= x >> 17, x ^= x << 5;
            ((unsigned char *)&arena)[i] = (unsigned char)(x >> 8);
        }
        if (from < offsetof(ea_arena_t, eai_seal) && ea_arena_check(&arena, NULL) == EA_OK)
            fail("garbage passed the check", from);
        arena = before;
    }
    printf("# 20000 arenas of garbage survived\n");
}

int main(void)
{
    const size_t sealed = offsetof(ea_arena_t, eai_seal) + sizeof(uintptr_t);
    const size_t header = sizeof(eai_arena_chunk_t), guard = 2 * sizeof(void *);
    const size_t hot = offsetof(ea_arena_t, eai_low), rest = offsetof(ea_arena_t, eai_chunk);
    flip("options", find_arena, 0, hot, true, 0);
    flip("ends", find_arena, hot, rest, false, -1);
    flip("constants", find_arena, rest, sealed, true, 1);
    flip("counters", find_arena, sealed, offsetof(ea_arena_t, eai_first), false, -1);
    flip("first header", find_first_chunk, 0, header, true, -1);
    flip("top header", find_chunk, 0, header, true, 0);
    flip("top header, growing", find_chunk, 0, header, true, 2);
    flip("middle header", find_middle_chunk, 0, header, true, 0);
    flip("middle header, rewound", find_middle_chunk, 0, header, true, 1);
    if (EA_CFG_ARENA_GUARD) {
        flip("low guard", find_guard, 0, guard, true, 1);
        flip("high guard", find_high_guard, 0, guard, true, -1);
    }
    garbage();
    while (n_lent > 0) free(lent[--n_lent].ptr);
    printf("%u passed, %u failed\n", n_failed ? 0u : 12u, n_failed);
    return n_failed ? 1 : 0;
}
