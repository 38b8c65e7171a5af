/* SPDX-License-Identifier: MIT
 *
 * What looks at an arena and changes nothing: numbers, ownership, the checker. The invariants stand
 * on top of arena.c.
 */
#include "stores/arena_internal.h"

/* --- numbers ---------------------------------------------------------------------------------- */

void ea_arena_stats(const ea_arena_t *arena, ea_arena_stats_t *stats)
{
    size_t used = eai_arena_used(arena);
    stats->total_bytes = arena->eai_total;
    stats->low_bytes = stats->high_bytes = 0;
    for (const eai_arena_chunk_t *c = arena->eai_chunk; c; c = c->eai_prev) {
        eai_arena_ends_t ends = eai_arena_ends(arena, c);
        stats->low_bytes += (size_t)(ends.low - eai_arena_start(arena, c));
        stats->high_bytes += (size_t)(eai_arena_end(arena, c) - ends.high);
    }
    stats->free_bytes = arena->eai_room;
    stats->peak_bytes = used > arena->eai_peak ? used : arena->eai_peak;
    stats->upstream_bytes = arena->eai_upstream_bytes;
    stats->n_chunks = arena->eai_n_chunks;
    stats->n_failures = arena->eai_n_failures;
    stats->n_corruptions = arena->eai_n_corruptions;
}

void ea_arena_reset_peak(ea_arena_t *arena)
{
    arena->eai_peak = eai_arena_used(arena);
}

ea_arena_refusal_t ea_arena_last_refusal(const ea_arena_t *arena)
{
    return arena->eai_refusal;
}

bool ea_arena_owns(const ea_arena_t *arena, const void *ptr)
{
    const eai_arena_chunk_t *c = arena->eai_chunk;
    while (c && !eai_arena_is_taken(arena, c, EA_ARENA_LOW, ptr) &&
           !eai_arena_is_taken(arena, c, EA_ARENA_HIGH, ptr))
        c = c->eai_prev;
    return c != NULL;
}

/* --- check ------------------------------------------------------------------------------------ */

/* Could a guard stand here, in what the end of a chunk has taken before `inner`? */
static bool fits(const ea_arena_t *arena, const eai_arena_chunk_t *chunk, ea_arena_end_t end,
                 const char *inner, const char *guard)
{
    if ((uintptr_t)guard & (sizeof(void *) - 1u)) return false;
    const char *start = eai_arena_start(arena, chunk), *stop = eai_arena_end(arena, chunk);
    if (end == EA_ARENA_LOW)
        stop = inner;
    else
        start = inner;
    return guard >= start && guard < stop && (size_t)(stop - guard) >= sizeof(eai_arena_guard_t);
}

const void *eai_arena_damaged_guard(const ea_arena_t *arena, ea_arena_end_t end, const void *stop)
{
    const eai_arena_chunk_t *chunk = arena->eai_chunk;
    eai_arena_ends_t ends = eai_arena_ends(arena, chunk);
    const char *inner = end == EA_ARENA_LOW ? ends.low : ends.high;
    const void *from = &arena->eai_guard[end]; /* where the guard's address stands */
    const eai_arena_guard_t *guard = arena->eai_guard[end];
    while (guard != stop) {                                            /* at most as many as fit */
        while (!fits(arena, chunk, end, inner, (const char *)guard)) { /* at most n_chunks in all */
            chunk = chunk->eai_prev;
            if (!chunk) return from;
            if (!eai_arena_chunk_is_sealed(chunk)) return chunk;
            inner = end == EA_ARENA_LOW ? chunk->eai_low : chunk->eai_low + chunk->eai_room;
        }
        if (guard->seal != eai_arena_guard_seal(guard)) return guard;
        inner = (const char *)guard + (end == EA_ARENA_LOW ? 0 : sizeof *guard);
        from = guard;
        guard = guard->prev;
    }
    return NULL;
}

#define ARENA_BROKEN(text, place) return ((ea_arena_fault_t){(text), (place)})
#define ARENA_SOUND ((ea_arena_fault_t){NULL, NULL})

static bool is_aligned(const ea_arena_t *arena, const void *ptr)
{
    return ((uintptr_t)ptr & (arena->eai_align - 1u)) == 0;
}

/* One chunk, whose header is known to be whole. */
static ea_arena_fault_t check_ends(const ea_arena_t *arena, const eai_arena_chunk_t *chunk)
{
    const char *start = eai_arena_start(arena, chunk), *end = eai_arena_end(arena, chunk);
    eai_arena_ends_t ends = eai_arena_ends(arena, chunk);
    size_t room = chunk == arena->eai_chunk ? arena->eai_room : chunk->eai_room;
    if (ends.low < start || ends.low > end || room > (size_t)(end - ends.low) ||
        !is_aligned(arena, ends.low) || !is_aligned(arena, ends.high))
        ARENA_BROKEN("I3 the ends lie in their chunk, low below high, aligned", chunk);
    if (ends.floor < start || ends.floor > ends.low)
        ARENA_BROKEN("I4 the floor lies in what the low end has taken", chunk);
    return ARENA_SOUND;
}

static ea_arena_fault_t find_fault(const ea_arena_t *arena)
{
    if (!eai_arena_is_sealed(arena))
        ARENA_BROKEN("I1 the control structure's constants match their seal", arena);
    size_t total = 0, used = 0, upstream = 0, n_chunks = 0;
    for (const eai_arena_chunk_t *c = arena->eai_chunk; c; c = c->eai_prev) {
        if (!eai_arena_chunk_is_sealed(c)) ARENA_BROKEN("I2 chunk headers match their seals", c);
        ea_arena_fault_t fault = check_ends(arena, c);
        if (fault.invariant) return fault;
        total += eai_arena_capacity(arena, c);
        if (c != arena->eai_chunk) used += eai_arena_capacity(arena, c) - c->eai_room;
        if (c == &arena->eai_first) break;
        upstream += c->eai_size;
        n_chunks++;
    }
    if (EA_CFG_ARENA_GUARD) {
        for (int end = EA_ARENA_LOW; end <= EA_ARENA_HIGH; end++) {
            const void *where = eai_arena_damaged_guard(arena, (ea_arena_end_t)end, NULL);
            if (where) ARENA_BROKEN("I5 guards are whole and in what their end has taken", where);
        }
    }
    if (total != arena->eai_total || used != arena->eai_used_below ||
        upstream != arena->eai_upstream_bytes || n_chunks != arena->eai_n_chunks)
        ARENA_BROKEN("I6 the counters equal what the chunks say", arena);
    return ARENA_SOUND;
}

ea_status_t ea_arena_check(const ea_arena_t *arena, ea_arena_fault_t *fault)
{
    ea_arena_fault_t found = find_fault(arena);
    if (fault) *fault = found;
    return found.invariant ? EA_ERR_CORRUPT : EA_OK;
}
