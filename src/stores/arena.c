/* SPDX-License-Identifier: MIT
 *
 * The arena: taking blocks, marks, growth. arena_check.c holds what looks at it.
 *
 *     memory or chunk   [header] start                                     end
 *                                |blocks....|guard|blocks..| room |..blocks|
 *                                                          low    high
 *
 * The current chunk's low and room are kept in the control structure; high is their sum. When a
 * block does not fit, the current chunk is frozen (its ends are stored in its header) and a new one
 * from the upstream becomes the current chunk, of both ends: chunks are a stack. So a mark is a
 * chunk and an address, and a rewind empties its end of all chunks above that one. Those go back
 * from the top down to the first in which the other end has a block or a mark.
 *
 *     first <- prev [chunk] <- prev [chunk] <- current
 *
 * Invariants
 *   I1 the control structure's constants match their seal
 *   I2 the chunks' headers match their seals
 *   I3 in every chunk start <= low <= high <= end, all aligned
 *   I4 a chunk's floor lies between its start and its low end, or is NULL
 *   I5 every guard lies in what its end has taken, further in than the ones placed before it, and
 *      is whole
 *   I6 the counters equal what the chunks say
 *
 * The floor is the place of the innermost low mark in its chunk. What lies below it belongs to a
 * time before that mark: it must not grow in place, since the rewind would cut it, nor be given
 * back, since the mark would then point into free memory.
 *
 * Complexity: a block O(1); a rewind O(chunks and guards undone). The watermark costs taking a
 * block nothing: use can only have peaked when it is about to fall, so it is noted there.
 *
 * Rejected: a header a block, to know its size (the caller knows it); a search for room in frozen
 * chunks (no longer O(1), and marks would have to remember every chunk's ends); two stacks of
 * chunks, one an end (twice the memory lost at their ends).
 */
#include "base/mem.h"
#include "stores/arena_internal.h"

#define MOST_BYTES (SIZE_MAX / 4u) /* of a request: sums of a few of them cannot overflow */
#define DEFAULT_CHUNK_BYTES 1024u

/* --- chunks and seals ------------------------------------------------------------------------- */

char *eai_arena_start(const ea_arena_t *arena, const eai_arena_chunk_t *chunk)
{
    const void *start = chunk == &arena->eai_first ? chunk->eai_base : (const void *)(chunk + 1);
    return eai_arena_align_up(start, arena->eai_align);
}

char *eai_arena_end(const ea_arena_t *arena, const eai_arena_chunk_t *chunk)
{
    const void *end = (const void *)((uintptr_t)chunk->eai_base + chunk->eai_size);
    return eai_arena_align_down(end, arena->eai_align);
}

size_t eai_arena_capacity(const ea_arena_t *arena, const eai_arena_chunk_t *chunk)
{
    return (size_t)(eai_arena_end(arena, chunk) - eai_arena_start(arena, chunk));
}

size_t eai_arena_used(const ea_arena_t *arena)
{
    return arena->eai_used_below + eai_arena_capacity(arena, arena->eai_chunk) - arena->eai_room;
}

bool eai_arena_is_taken(const ea_arena_t *arena, const eai_arena_chunk_t *chunk, ea_arena_end_t end,
                        const void *ptr)
{
    eai_arena_ends_t ends = eai_arena_ends(arena, chunk);
    const char *p = (const char *)ptr;
    return end == EA_ARENA_LOW ? p >= eai_arena_start(arena, chunk) && p < ends.low
                               : p >= ends.high && p < eai_arena_end(arena, chunk);
}

/* Without checks nothing is sealed, and the compiler removes what would do it. */
static uintptr_t seal_words(uintptr_t seal, const void *words, size_t n)
{
    const uintptr_t EA_MAY_ALIAS *word = words;
    for (size_t i = 0; EA_CFG_CHECK_LEVEL && i < n; i++) seal = eai_arena_mix(seal, word[i]);
    return seal;
}

uintptr_t eai_arena_chunk_seal(const eai_arena_chunk_t *chunk)
{
    size_t n = offsetof(eai_arena_chunk_t, eai_seal) / sizeof(uintptr_t);
    return seal_words((uintptr_t)0xEA11C4C5u ^ (uintptr_t)chunk, chunk, n);
}

uintptr_t eai_arena_seal(const ea_arena_t *arena)
{
    uintptr_t seal = (uintptr_t)0xEA110CA7u ^ (uintptr_t)arena;
    size_t from = offsetof(ea_arena_t, eai_chunk), to = offsetof(ea_arena_t, eai_seal);
    seal = seal_words(seal, arena, offsetof(ea_arena_t, eai_low) / sizeof(uintptr_t));
    return seal_words(seal, &arena->eai_chunk, (to - from) / sizeof(uintptr_t));
}

/* --- helpers ---------------------------------------------------------------------------------- */

static bool is_power_of_two(size_t n)
{
    return n != 0 && (n & (n - 1u)) == 0;
}

static void *refuse(ea_arena_t *arena, ea_arena_refusal_t why)
{
    arena->eai_refusal = why;
    arena->eai_n_failures++;
    return NULL;
}

static ea_status_t damaged(ea_arena_t *arena)
{
    arena->eai_n_corruptions++;
    return EA_ERR_CORRUPT;
}

/* Use is about to fall. */
static void note_peak(ea_arena_t *arena)
{
    size_t used = eai_arena_used(arena);
    if (used > arena->eai_peak) arena->eai_peak = used;
}

/* --- the current chunk ------------------------------------------------------------------------ */

/* Chunks are frozen while they are not the current one, and all of them during a rewind. */
static void freeze(ea_arena_t *arena)
{
    eai_arena_chunk_t *chunk = arena->eai_chunk;
    chunk->eai_low = arena->eai_low;
    chunk->eai_room = arena->eai_room;
    chunk->eai_floor = arena->eai_floor;
    chunk->eai_seal = eai_arena_chunk_seal(chunk);
    arena->eai_used_below += eai_arena_capacity(arena, chunk) - chunk->eai_room;
}

static void thaw(ea_arena_t *arena, eai_arena_chunk_t *chunk)
{
    arena->eai_chunk = chunk;
    arena->eai_low = chunk->eai_low;
    arena->eai_room = chunk->eai_room;
    arena->eai_floor = chunk->eai_floor;
    arena->eai_used_below -= eai_arena_capacity(arena, chunk) - chunk->eai_room;
    arena->eai_seal = eai_arena_seal(arena);
}

/* An empty chunk of size_bytes at base, its header at chunk. */
static void set_up(const ea_arena_t *arena, eai_arena_chunk_t *chunk, eai_arena_chunk_t *prev,
                   void *base, size_t size_bytes)
{
    chunk->eai_prev = prev;
    chunk->eai_base = base;
    chunk->eai_size = size_bytes;
    chunk->eai_low = chunk->eai_floor = eai_arena_start(arena, chunk);
    chunk->eai_room = eai_arena_capacity(arena, chunk);
    for (int end = EA_ARENA_LOW; end <= EA_ARENA_HIGH; end++)
        chunk->eai_depth[end] = arena->eai_depth[end];
    chunk->eai_seal = eai_arena_chunk_seal(chunk);
}

/* An empty chunk goes back to the upstream. Returns the one below. */
static eai_arena_chunk_t *release(ea_arena_t *arena, eai_arena_chunk_t *chunk)
{
    eai_arena_chunk_t *below = chunk->eai_prev;
    arena->eai_total -= eai_arena_capacity(arena, chunk);
    arena->eai_upstream_bytes -= chunk->eai_size;
    arena->eai_n_chunks--;
    arena->eai_upstream.free(arena->eai_upstream.context, chunk->eai_base, chunk->eai_size);
    return below;
}

/* Does nothing hold the chunk on top: no block, and no mark of the end that is not rewound? */
static bool is_unused(const ea_arena_t *arena, const eai_arena_chunk_t *chunk, ea_arena_end_t end)
{
    ea_arena_end_t other = end == EA_ARENA_LOW ? EA_ARENA_HIGH : EA_ARENA_LOW;
    return chunk->eai_room == eai_arena_capacity(arena, chunk) &&
           arena->eai_depth[other] <= chunk->eai_depth[other];
}

/* A new current chunk in which a block of size_bytes fits at that alignment. Returns EA_ARENA_NONE,
 * or why there is none. */
static ea_arena_refusal_t grow(ea_arena_t *arena, size_t size_bytes, size_t alignment_bytes)
{
    if (!EA_CFG_ARENA_GROW || !arena->eai_upstream.alloc) return EA_ARENA_FULL;
    if (!eai_arena_is_sealed(arena) || !eai_arena_chunk_is_sealed(arena->eai_chunk)) {
        arena->eai_n_corruptions++;
        return EA_ARENA_DAMAGED;
    }
    /* The upstream's memory may begin and end anywhere: the header, the block and the end each may
     * have to be moved to their alignment. */
    size_t least = sizeof(eai_arena_chunk_t) + sizeof(void *) + alignment_bytes + size_bytes +
                   arena->eai_align;
    size_t wanted = least > arena->eai_chunk_bytes ? least : arena->eai_chunk_bytes;
    size_t allowed = arena->eai_limit - arena->eai_upstream_bytes;
    if (least > allowed) return EA_ARENA_LIMIT;
    if (wanted > allowed) wanted = allowed;
    const ea_upstream_t *from = &arena->eai_upstream;
    void *base = from->alloc(from->context, wanted);
    if (!base && wanted > least) base = from->alloc(from->context, wanted = least);
    if (!base) return EA_ARENA_UPSTREAM;

    freeze(arena);
    void *header = eai_arena_align_up(base, sizeof(void *));
    set_up(arena, header, arena->eai_chunk, base, wanted);
    arena->eai_total += eai_arena_capacity(arena, header);
    arena->eai_upstream_bytes += wanted;
    arena->eai_n_chunks++;
    thaw(arena, header);
    return EA_ARENA_NONE;
}

/* --- blocks ----------------------------------------------------------------------------------- */

/* No instruction: tells the compiler that these values are wanted in registers at this point, and
 * what was stored in memory. It then loads and stores neighbours in pairs and spills nothing, which
 * saves 5 of 20 instructions on Thumb-2. */
#define AT_ONCE(...) __asm__("" : __VA_ARGS__ : : "memory")

EA_INLINE size_t block_bytes(const ea_arena_t *arena, size_t size_bytes)
{
    size_t bytes = (size_bytes + arena->eai_mask) & ~arena->eai_mask;
    return bytes < arena->eai_min ? arena->eai_min : bytes;
}

static bool is_sound(const ea_arena_t *arena)
{
    return EA_CFG_CHECK_LEVEL < 3 || ea_arena_check(arena, NULL) == EA_OK;
}

/* A request of whole blocks that is not simply served: aligned, or there is no room. */
static EA_NOINLINE void *take(ea_arena_t *arena, size_t alignment_bytes, size_t bytes,
                              ea_arena_end_t end)
{
    if (!is_sound(arena)) return refuse(arena, EA_ARENA_DAMAGED);
    for (int round = 0; round < 2; round++) { /* at most 2: a new chunk has room */
        char *low = arena->eai_low, *high = low + arena->eai_room;
        if (end == EA_ARENA_LOW) {
            size_t pad = (size_t) - (uintptr_t)low & (alignment_bytes - 1u);
            if (pad <= arena->eai_room && bytes <= arena->eai_room - pad) {
                arena->eai_low = low + pad + bytes;
                arena->eai_room -= pad + bytes;
                return low + pad;
            }
        } else if (bytes <= arena->eai_room) {
            char *block = eai_arena_align_down(high - bytes, alignment_bytes);
            if (block >= low) {
                arena->eai_room = (size_t)(block - low);
                return block;
            }
        }
        ea_arena_refusal_t why = grow(arena, bytes, alignment_bytes);
        if (why != EA_ARENA_NONE) return refuse(arena, why);
    }
    return refuse(arena, EA_ARENA_DAMAGED);
}

/* Apart, so that the functions below end in a jump and save no register. */
static EA_NOINLINE void *take_low(ea_arena_t *arena, size_t bytes)
{
    return take(arena, arena->eai_align, bytes, EA_ARENA_LOW);
}

static EA_NOINLINE void *take_high(ea_arena_t *arena, size_t bytes)
{
    return take(arena, arena->eai_align, bytes, EA_ARENA_HIGH);
}

static EA_NOINLINE void *refuse_large(ea_arena_t *arena)
{
    return refuse(arena, EA_ARENA_TOO_LARGE);
}

void *ea_arena_alloc(ea_arena_t *arena, size_t size_bytes)
{
    if (EA_UNLIKELY(size_bytes > arena->eai_max)) return refuse_large(arena);
    size_t min = arena->eai_min, mask = arena->eai_mask;
    AT_ONCE("+r"(min), "+r"(mask));
    size_t bytes = (size_bytes + mask) & ~mask;
    if (bytes < min) bytes = min; /* itself a multiple of the quantum */
    char *block = arena->eai_low;
    size_t room = arena->eai_room;
    AT_ONCE("+r"(block), "+r"(room), "+r"(bytes));
    if (EA_UNLIKELY(EA_CFG_CHECK_LEVEL >= 3 || __builtin_sub_overflow(room, bytes, &room)))
        return take_low(arena, bytes);
    arena->eai_low = block + bytes;
    arena->eai_room = room;
    AT_ONCE("+r"(block));
    return block;
}

void *ea_arena_alloc_high(ea_arena_t *arena, size_t size_bytes)
{
    if (EA_UNLIKELY(size_bytes > arena->eai_max)) return refuse_large(arena);
    size_t min = arena->eai_min, mask = arena->eai_mask;
    AT_ONCE("+r"(min), "+r"(mask));
    size_t bytes = (size_bytes + mask) & ~mask;
    if (bytes < min) bytes = min;
    char *low = arena->eai_low;
    size_t room = arena->eai_room;
    AT_ONCE("+r"(low), "+r"(room), "+r"(bytes));
    if (EA_UNLIKELY(EA_CFG_CHECK_LEVEL >= 3 || __builtin_sub_overflow(room, bytes, &room)))
        return take_high(arena, bytes);
    arena->eai_room = room;
    return low + room;
}

static void *take_aligned(ea_arena_t *arena, size_t alignment_bytes, size_t size_bytes,
                          ea_arena_end_t end)
{
    if (size_bytes > arena->eai_max) return refuse(arena, EA_ARENA_TOO_LARGE);
    if (!is_power_of_two(alignment_bytes) || alignment_bytes > MOST_BYTES)
        return refuse(arena, EA_ARENA_ALIGNMENT);
    if (alignment_bytes < arena->eai_align) alignment_bytes = arena->eai_align;
    return take(arena, alignment_bytes, block_bytes(arena, size_bytes), end);
}

void *ea_arena_alloc_aligned(ea_arena_t *arena, size_t alignment_bytes, size_t size_bytes)
{
    return take_aligned(arena, alignment_bytes, size_bytes, EA_ARENA_LOW);
}

void *ea_arena_alloc_high_aligned(ea_arena_t *arena, size_t alignment_bytes, size_t size_bytes)
{
    return take_aligned(arena, alignment_bytes, size_bytes, EA_ARENA_HIGH);
}

void *ea_arena_alloc_array(ea_arena_t *arena, size_t alignment_bytes, size_t n, size_t size_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size_bytes, &bytes)) return refuse(arena, EA_ARENA_TOO_LARGE);
    return take_aligned(arena, alignment_bytes, bytes, EA_ARENA_LOW);
}

/* Is this low block the last one taken, and from after the last mark? */
static bool is_last(const ea_arena_t *arena, const char *block, size_t bytes)
{
    return (uintptr_t)block + bytes == (uintptr_t)arena->eai_low && block >= arena->eai_floor;
}

static void move_low(ea_arena_t *arena, char *low)
{
    arena->eai_room += (size_t)(arena->eai_low - low); /* wraps where low goes up: as meant */
    arena->eai_low = low;
}

/* O(chunks). */
static bool is_low(const ea_arena_t *arena, const void *ptr)
{
    const eai_arena_chunk_t *chunk = arena->eai_chunk;
    while (chunk && !eai_arena_is_taken(arena, chunk, EA_ARENA_LOW, ptr)) chunk = chunk->eai_prev;
    return chunk != NULL;
}

void *ea_arena_realloc(ea_arena_t *arena, void *ptr, size_t old_bytes, size_t new_bytes)
{
    if (!ptr) return ea_arena_alloc(arena, new_bytes);
    if (new_bytes > arena->eai_max) return refuse(arena, EA_ARENA_TOO_LARGE);
    if (old_bytes > arena->eai_max || (EA_CFG_CHECK_LEVEL >= 2 && !is_low(arena, ptr)))
        return refuse(arena, EA_ARENA_FOREIGN);
    size_t has = block_bytes(arena, old_bytes), wants = block_bytes(arena, new_bytes);
    if (is_last(arena, ptr, has) && (wants <= has || wants - has <= arena->eai_room)) {
        if (wants < has) note_peak(arena);
        move_low(arena, (char *)ptr + wants);
        return ptr;
    }
    if (wants <= has) return ptr;
    void *block = ea_arena_alloc(arena, new_bytes);
    if (block) memcpy(block, ptr, old_bytes);
    return block;
}

ea_status_t ea_arena_free(ea_arena_t *arena, void *ptr, size_t size_bytes)
{
    if (!ptr) return EA_OK;
    if (size_bytes > arena->eai_max) return EA_ERR_BUSY;
    if (!is_last(arena, ptr, block_bytes(arena, size_bytes))) return EA_ERR_BUSY;
    note_peak(arena);
    move_low(arena, ptr);
    return EA_OK;
}

/* --- marks ------------------------------------------------------------------------------------ */

/* A guard at an end, if there is room. */
static void place_guard(ea_arena_t *arena, ea_arena_end_t end)
{
    char *low = arena->eai_low, *high = low + arena->eai_room;
    size_t align = arena->eai_align > sizeof(void *) ? arena->eai_align : sizeof(void *);
    char *place = end == EA_ARENA_LOW ? eai_arena_align_up(low, sizeof(void *))
                                      : eai_arena_align_down(high, align);
    size_t size = sizeof(eai_arena_guard_t);
    if (arena->eai_room < size + 2u * align) return;
    if (end == EA_ARENA_HIGH) place = eai_arena_align_down(place - size, align);
    eai_arena_guard_t *guard = (eai_arena_guard_t *)(void *)place;
    guard->prev = arena->eai_guard[end];
    guard->seal = eai_arena_guard_seal(guard);
    arena->eai_guard[end] = guard;
    if (end == EA_ARENA_LOW)
        move_low(arena, eai_arena_align_up(place + size, arena->eai_align));
    else
        arena->eai_room = (size_t)(place - low);
}

ea_arena_mark_t ea_arena_mark(ea_arena_t *arena, ea_arena_end_t end)
{
    ea_arena_mark_t mark;
    mark.eai_chunk = arena->eai_chunk;
    mark.eai_at = arena->eai_low + (end == EA_ARENA_HIGH ? arena->eai_room : 0);
    mark.eai_floor = arena->eai_floor;
    mark.eai_guard = arena->eai_guard[end];
    mark.eai_depth = ++arena->eai_depth[end];
    mark.eai_end = end;
    if (EA_CFG_ARENA_GUARD && arena->eai_guarded) place_guard(arena, end);
    if (end == EA_ARENA_LOW) arena->eai_floor = arena->eai_low;
    return mark;
}

/* Does the mark still stand? Then EA_OK, and all it says is true, and so are the headers of the
 * chunks down to its own, if that is not the current one. O(chunks above it). */
static ea_status_t find_mark(const ea_arena_t *arena, const ea_arena_mark_t *mark)
{
    if ((unsigned)mark->eai_end > EA_ARENA_HIGH) return EA_ERR_INVALID;
    if (!mark->eai_depth || mark->eai_depth > arena->eai_depth[mark->eai_end])
        return EA_ERR_INVALID;
    const eai_arena_chunk_t *chunk = arena->eai_chunk;
    if (EA_CFG_CHECK_LEVEL >= 2 || chunk != mark->eai_chunk) {
        if (!eai_arena_is_sealed(arena)) return EA_ERR_CORRUPT;
        for (;; chunk = chunk->eai_prev) {
            if (!chunk) return EA_ERR_INVALID;
            if (!eai_arena_chunk_is_sealed(chunk)) return EA_ERR_CORRUPT;
            if (chunk == mark->eai_chunk) break;
        }
    }
    eai_arena_ends_t ends = eai_arena_ends(arena, chunk);
    char *from = mark->eai_end == EA_ARENA_LOW ? eai_arena_start(arena, chunk) : ends.high;
    char *to = mark->eai_end == EA_ARENA_LOW ? ends.low : eai_arena_end(arena, chunk);
    return mark->eai_at >= from && mark->eai_at <= to ? EA_OK : EA_ERR_INVALID;
}

/* Set one end of a frozen chunk back. */
static void set_back(ea_arena_t *arena, eai_arena_chunk_t *chunk, ea_arena_end_t end, char *at,
                     char *floor)
{
    size_t bytes;
    if (end == EA_ARENA_LOW) {
        bytes = (size_t)(chunk->eai_low - at);
        chunk->eai_low = at;
        chunk->eai_floor = floor;
    } else {
        bytes = (size_t)(at - (chunk->eai_low + chunk->eai_room));
    }
    chunk->eai_room += bytes;
    chunk->eai_seal = eai_arena_chunk_seal(chunk);
    arena->eai_used_below -= bytes;
}

/* Empty the mark's end of the chunks above it, and give back those that nothing holds. */
static void rewind_chunks(ea_arena_t *arena, const ea_arena_mark_t *mark)
{
    ea_arena_end_t end = mark->eai_end;
    freeze(arena);
    eai_arena_chunk_t *top = arena->eai_chunk;
    for (eai_arena_chunk_t *c = top; c != mark->eai_chunk; c = c->eai_prev) {
        char *start = eai_arena_start(arena, c);
        c->eai_depth[end] = mark->eai_depth - 1u; /* those that still stand are below */
        set_back(arena, c, end, end == EA_ARENA_LOW ? start : eai_arena_end(arena, c), start);
    }
    set_back(arena, mark->eai_chunk, end, mark->eai_at, mark->eai_floor);
    while (top != mark->eai_chunk && is_unused(arena, top, end)) top = release(arena, top);
    thaw(arena, top);
}

ea_status_t ea_arena_rewind(ea_arena_t *arena, const ea_arena_mark_t *mark)
{
    ea_status_t status = find_mark(arena, mark);
    if (status != EA_OK) return status == EA_ERR_CORRUPT ? damaged(arena) : status;
    ea_arena_end_t end = mark->eai_end;
    if (EA_CFG_ARENA_GUARD && arena->eai_guard[end] != mark->eai_guard &&
        eai_arena_damaged_guard(arena, end, mark->eai_guard))
        status = damaged(arena);
    note_peak(arena);
    if (EA_CFG_ARENA_GROW && mark->eai_chunk != arena->eai_chunk) {
        rewind_chunks(arena, mark);
    } else if (end == EA_ARENA_LOW) {
        move_low(arena, mark->eai_at);
        arena->eai_floor = mark->eai_floor;
    } else {
        arena->eai_room = (size_t)(mark->eai_at - arena->eai_low);
    }
    arena->eai_depth[end] = mark->eai_depth - 1u;
    arena->eai_guard[end] = mark->eai_guard;
    return is_sound(arena) ? status : damaged(arena);
}

/* --- life ------------------------------------------------------------------------------------- */

/* Fill in the options' defaults; false: one is out of its range. */
static bool take_options(ea_arena_t *arena, const ea_arena_options_t *given)
{
    ea_arena_options_t o = {0};
    if (given) o = *given;
    if (o.alignment_bytes == 0) o.alignment_bytes = EA_ARENA_ALIGN;
    if (o.quantum_bytes == 0) o.quantum_bytes = o.alignment_bytes;
    if (o.min_block_bytes == 0) o.min_block_bytes = 1;
    if (o.max_block_bytes == 0) o.max_block_bytes = MOST_BYTES;
    if (o.chunk_bytes == 0) o.chunk_bytes = DEFAULT_CHUNK_BYTES;
    if (o.limit_bytes == 0) o.limit_bytes = SIZE_MAX;
    if (!is_power_of_two(o.alignment_bytes) || !is_power_of_two(o.quantum_bytes)) return false;
    if (o.quantum_bytes < o.alignment_bytes || o.quantum_bytes > MOST_BYTES) return false;
    if (o.max_block_bytes > MOST_BYTES || o.min_block_bytes > o.max_block_bytes) return false;
    if (o.chunk_bytes > MOST_BYTES || (o.guard && !EA_CFG_ARENA_GUARD)) return false;
    if (!o.upstream.alloc != !o.upstream.free || (o.upstream.alloc && !EA_CFG_ARENA_GROW))
        return false;
    arena->eai_align = o.alignment_bytes;
    arena->eai_mask = o.quantum_bytes - 1u;
    arena->eai_max = o.max_block_bytes;
    arena->eai_min = (o.min_block_bytes + arena->eai_mask) & ~arena->eai_mask;
    arena->eai_upstream = o.upstream;
    arena->eai_chunk_bytes = o.chunk_bytes;
    arena->eai_limit = o.limit_bytes;
    arena->eai_guarded = o.guard;
    return true;
}

/* An arena that refuses everything, and whose seal is wrong. */
static void bury(ea_arena_t *arena)
{
    memset(arena, 0, sizeof *arena);
    arena->eai_align = arena->eai_min = 1;
    arena->eai_chunk = &arena->eai_first;
    set_up(arena, &arena->eai_first, NULL, arena, 0);
    arena->eai_low = arena->eai_floor = arena->eai_first.eai_low;
    arena->eai_seal = ~eai_arena_seal(arena);
}

ea_status_t ea_arena_init(ea_arena_t *arena, void *mem, size_t size_bytes,
                          const ea_arena_options_t *options)
{
    if (!arena) return EA_ERR_INVALID;
    bury(arena);
    if ((!mem && size_bytes) || size_bytes > (size_t)(UINTPTR_MAX - (uintptr_t)mem))
        return EA_ERR_INVALID;
    if (!take_options(arena, options)) {
        bury(arena);
        return EA_ERR_INVALID;
    }
    /* Too little for one aligned byte counts as none, which may lie anywhere. */
    const void *end = (const void *)((uintptr_t)mem + size_bytes);
    if (eai_arena_align_down(end, arena->eai_align) <= eai_arena_align_up(mem, arena->eai_align)) {
        mem = eai_arena_align_up(arena, arena->eai_align);
        size_bytes = 0;
    }
    set_up(arena, &arena->eai_first, NULL, mem, size_bytes);
    arena->eai_total = arena->eai_first.eai_room;
    if (arena->eai_total < arena->eai_min && !arena->eai_upstream.alloc) {
        bury(arena);
        return EA_ERR_INVALID;
    }
    thaw(arena, &arena->eai_first);
    return EA_OK;
}

ea_status_t ea_arena_reset(ea_arena_t *arena)
{
    eai_arena_chunk_t *first = &arena->eai_first, *chunk = arena->eai_chunk;
    if (!eai_arena_is_sealed(arena) || (chunk != first && !eai_arena_chunk_is_sealed(first)))
        return damaged(arena);
    if (eai_arena_chunk_is_sealed(chunk)) note_peak(arena);
    while (chunk != first && eai_arena_chunk_is_sealed(chunk)) chunk = release(arena, chunk);
    bool is_whole = eai_arena_chunk_is_sealed(chunk);
    set_up(arena, first, NULL, first->eai_base, first->eai_size);
    arena->eai_used_below = 0;
    arena->eai_total = first->eai_room;
    arena->eai_upstream_bytes = 0;
    arena->eai_n_chunks = 0;
    for (int end = EA_ARENA_LOW; end <= EA_ARENA_HIGH; end++) {
        arena->eai_depth[end] = 0;
        arena->eai_guard[end] = NULL;
    }
    thaw(arena, first);
    return is_whole ? EA_OK : damaged(arena);
}

ea_status_t ea_arena_deinit(ea_arena_t *arena)
{
    ea_status_t status = ea_arena_reset(arena);
    bury(arena);
    return status;
}
