/* SPDX-License-Identifier: MIT
 *
 * What arena.c and arena_check.c share: chunk bounds, seals, guards.
 */
#ifndef EALLOC_STORES_ARENA_INTERNAL_H
#define EALLOC_STORES_ARENA_INTERNAL_H

#include "ealloc/arena.h"

/* Stands at a mark. The seal binds it to its place and to the guard before it, so one changed bit
 * is always seen. */
typedef struct eai_arena_guard {
    struct eai_arena_guard *prev; /* the one placed before it at the same end; NULL: none */
    uintptr_t seal;
} EA_MAY_ALIAS eai_arena_guard_t;

EA_INLINE uintptr_t eai_arena_guard_seal(const eai_arena_guard_t *guard)
{
    return ~((uintptr_t)guard->prev ^ (uintptr_t)guard * 3u ^ (uintptr_t)0x5A17C0DEu);
}

/* --- chunks ----------------------------------------------------------------------------------- */

EA_INLINE char *eai_arena_align_up(const void *ptr, size_t alignment_bytes)
{
    return (char *)(((uintptr_t)ptr + (alignment_bytes - 1u)) & ~(uintptr_t)(alignment_bytes - 1u));
}

EA_INLINE char *eai_arena_align_down(const void *ptr, size_t alignment_bytes)
{
    return (char *)((uintptr_t)ptr & ~(uintptr_t)(alignment_bytes - 1u));
}

/* What blocks of a chunk can be made of: from start to end, both aligned. */
char *eai_arena_start(const ea_arena_t *arena, const eai_arena_chunk_t *chunk);
char *eai_arena_end(const ea_arena_t *arena, const eai_arena_chunk_t *chunk);
size_t eai_arena_capacity(const ea_arena_t *arena, const eai_arena_chunk_t *chunk);

/* The chunk's ends, wherever they are kept. */
typedef struct {
    char *low, *high, *floor;
} eai_arena_ends_t;

EA_INLINE eai_arena_ends_t eai_arena_ends(const ea_arena_t *arena, const eai_arena_chunk_t *chunk)
{
    eai_arena_ends_t ends;
    bool current = chunk == arena->eai_chunk;
    ends.low = current ? arena->eai_low : chunk->eai_low;
    size_t room = current ? arena->eai_room : chunk->eai_room;
    ends.high = (char *)((uintptr_t)ends.low + room); /* in a damaged arena it may wrap */
    ends.floor = current ? arena->eai_floor : chunk->eai_floor;
    return ends;
}

/* Bytes taken in all chunks. */
size_t eai_arena_used(const ea_arena_t *arena);

/* --- seals ------------------------------------------------------------------------------------ */

/* Multiplying by an odd number loses no bit, so any one changed word changes the seal. */
EA_INLINE uintptr_t eai_arena_mix(uintptr_t seal, uintptr_t word)
{
    return (seal ^ word) * (uintptr_t)0x01000193u;
}

uintptr_t eai_arena_chunk_seal(const eai_arena_chunk_t *chunk);

/* Over everything that init decides, and the chunk that all others are reached from. */
uintptr_t eai_arena_seal(const ea_arena_t *arena);

/* --- across the arena's sources --------------------------------------------------------------- */

/* Without checks nothing is sealed, and everything is taken for granted. */
EA_INLINE bool eai_arena_is_sealed(const ea_arena_t *arena)
{
    return !EA_CFG_CHECK_LEVEL || arena->eai_seal == eai_arena_seal(arena);
}

EA_INLINE bool eai_arena_chunk_is_sealed(const eai_arena_chunk_t *chunk)
{
    return !EA_CFG_CHECK_LEVEL || chunk->eai_seal == eai_arena_chunk_seal(chunk);
}

/* What is damaged among the guards of an end, from the newest back to, and without, stop: a guard,
 * what should lead to one, or a chunk's header; NULL: nothing. Every address is tested before it is
 * read. O(chunks + guards). */
const void *eai_arena_damaged_guard(const ea_arena_t *arena, ea_arena_end_t end, const void *stop);

/* Does ptr lie in what one end of a chunk has taken? */
bool eai_arena_is_taken(const ea_arena_t *arena, const eai_arena_chunk_t *chunk, ea_arena_end_t end,
                        const void *ptr);

#endif
