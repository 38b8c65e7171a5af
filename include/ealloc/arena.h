/* SPDX-License-Identifier: MIT
 *
 * An arena (row A11): blocks are taken one after the other and given back together. Long-lived
 * blocks grow from the low end of its memory, scratch from the high end; a mark remembers an end,
 * and a rewind gives back all that was taken there since. No header, no list, no search: taking a
 * block adds to a pointer. When its memory is full an arena may take more from an upstream
 * allocator, in chunks.
 *
 *     low end -> [long-lived][long-lived]          room          [scratch][scratch] <- high end
 *
 * An arena is a single-threaded mechanism on memory the caller gives: no lock, no global, no clock.
 * It may be used from a thread or an interrupt, but never by two contexts at once; unless said
 * otherwise that is the context of every function here. Where it takes chunks, the context must
 * suit the upstream too.
 *
 * Sources: the obstacks of GNU libc; Hanson, Fast allocation and deallocation of memory based on
 * object lifetimes (Software: Practice and Experience 1990).
 */
#ifndef EALLOC_ARENA_H
#define EALLOC_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/config.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The alignment of blocks unless an option or a call says otherwise: what malloc would promise. */
#if UINTPTR_MAX > 0xFFFFFFFFu
#define EA_ARENA_ALIGN 16
#else
#define EA_ARENA_ALIGN 8
#endif

/* Where an arena gets more memory: two functions and what they work on. alloc returns NULL when it
 * has none, and else memory of any alignment that stays the arena's until free gets it back with
 * the size it was asked for. ealloc/upstream.h makes one of a heap, a pool or another arena. */
typedef struct {
    void *(*alloc)(void *context, size_t size_bytes);
    void (*free)(void *context, void *ptr, size_t size_bytes);
    void *context;
} ea_upstream_t;

/* NULL, or all zero, means the defaults. */
typedef struct {
    size_t alignment_bytes; /* of every block, a power of two; 0 = EA_ARENA_ALIGN. 1 packs bytes,
                               and blocks that need more take ea_arena_alloc_aligned()         */
    size_t quantum_bytes;   /* sizes are rounded up to a multiple of it: a power of two, at
                               least the alignment; 0 = the alignment                          */
    size_t min_block_bytes; /* a smaller request gets as much; 0 = the quantum. Rounded up to it */
    size_t max_block_bytes; /* a larger request is refused; 0 = a quarter of the address space,
                               which is also the most                                          */
    bool guard;             /* a guard word at every mark: a block that was overrun up to it is
                               found by rewind and check. EA_CFG_ARENA_GUARD                    */
    ea_upstream_t upstream; /* alloc NULL: the arena never grows. EA_CFG_ARENA_GROW             */
    size_t chunk_bytes;     /* taken from the upstream at once, unless a block needs more; 0 =
                               1024                                                            */
    size_t limit_bytes;     /* most bytes held from the upstream at a time; 0 = no limit        */
} ea_arena_options_t;

/* Why a request was refused. */
typedef enum {
    EA_ARENA_NONE = 0,      /* none was, since init                                           */
    EA_ARENA_FULL = 1,      /* it does not fit, and there is no upstream                      */
    EA_ARENA_TOO_LARGE = 2, /* more than max_block_bytes                                      */
    EA_ARENA_LIMIT = 3,     /* the chunk it needs would pass limit_bytes                      */
    EA_ARENA_UPSTREAM = 4,  /* the upstream has no chunk for it                               */
    EA_ARENA_ALIGNMENT = 5, /* the alignment is no power of two, or beyond max_block_bytes    */
    EA_ARENA_DAMAGED = 6,   /* the arena's own metadata is damaged                            */
    EA_ARENA_FOREIGN = 7    /* what is to be resized is no low block of this arena            */
} ea_arena_refusal_t;

typedef enum {
    EA_ARENA_LOW = 0, /* ea_arena_alloc()      */
    EA_ARENA_HIGH = 1 /* ea_arena_alloc_high() */
} ea_arena_end_t;

typedef struct {
    size_t total_bytes;    /* bytes of the memory and of all chunks that blocks can be made of  */
    size_t low_bytes;      /* of these, taken at the low end, rounding and guards included      */
    size_t high_bytes;     /* taken at the high end                                             */
    size_t free_bytes;     /* between the ends: what a request gets without a new chunk         */
    size_t peak_bytes;     /* most of low_bytes + high_bytes, since init or reset_peak          */
    size_t upstream_bytes; /* held from the upstream, chunk headers included                    */
    size_t n_chunks;       /* held from the upstream                                            */
    size_t n_failures;     /* requests refused since init                                       */
    size_t n_corruptions;  /* damaged guards and headers met since init; check does not count   */
} ea_arena_stats_t;

/* What ea_arena_check() found. */
typedef struct {
    const char *invariant; /* "I1".."I6" and its sentence; static storage; NULL: none broken */
    const void *where;     /* the guard or structure that breaks it                          */
} ea_arena_fault_t;

/* A chunk's header, at its begin; that of the caller's memory is in the arena. Private. */
typedef struct eai_arena_chunk {
    struct eai_arena_chunk *eai_prev; /* the chunk that was full before; NULL: the first       */
    void *eai_base;                   /* as the upstream returned it                           */
    size_t eai_size;
    char *eai_low; /* the ends, while it is not the current chunk          */
    size_t eai_room;
    char *eai_floor;
    uint32_t eai_depth[2]; /* marks of each end that stand in chunks below         */
    uintptr_t eai_seal;
} eai_arena_chunk_t;

/* The control structure: the caller's, its fields private. It must not be copied or moved. */
typedef struct {
    size_t eai_max;
    size_t eai_min;
    size_t eai_mask; /* quantum - 1                                            */
    char *eai_low;   /* first free byte of the current chunk                   */
    size_t eai_room; /* bytes between the ends                                 */
    char *eai_floor; /* blocks below it were there before the last mark        */
    eai_arena_chunk_t *eai_chunk;
    size_t eai_align;
    ea_upstream_t eai_upstream;
    size_t eai_chunk_bytes;
    size_t eai_limit;
    size_t eai_guarded;
    uintptr_t eai_seal;
    size_t eai_used_below; /* taken in all chunks but the current one              */
    size_t eai_peak;
    size_t eai_total;
    size_t eai_upstream_bytes;
    size_t eai_n_chunks;
    size_t eai_n_failures;
    size_t eai_n_corruptions;
    ea_arena_refusal_t eai_refusal;
    uint32_t eai_depth[2]; /* marks that stand at each end                           */
    void *eai_guard[2];    /* the newest guard at each end                           */
    eai_arena_chunk_t eai_first;
} ea_arena_t;

/* A mark; private. A copy is as good as the original. */
typedef struct {
    eai_arena_chunk_t *eai_chunk;
    char *eai_at;
    char *eai_floor;
    void *eai_guard; /* the newest guard before this mark's own */
    uint32_t eai_depth;
    ea_arena_end_t eai_end;
} ea_arena_mark_t;

/* --- life ------------------------------------------------------------------------------------- */

/* Make an arena of mem. mem NULL with size_bytes 0 makes one that lives on its upstream alone.
 * Returns  EA_OK; EA_ERR_INVALID: arena NULL, an option is outside its range or compiled out, or
 *          the arena could grant no block: mem too small and no upstream. Then *arena is unusable.
 * Owns     the arena uses mem until ea_arena_deinit(). No alignment is asked of mem.
 * Cost     O(1). */
EA_NODISCARD ea_status_t ea_arena_init(ea_arena_t *arena, void *mem, size_t size_bytes,
                                       const ea_arena_options_t *options);

/* Give the arena up: every chunk goes back to the upstream, the memory to the caller; afterwards
 * requests are refused and ea_arena_check() says EA_ERR_CORRUPT, until the next init.
 * Returns  as ea_arena_reset().
 * Cost     O(chunks). */
ea_status_t ea_arena_deinit(ea_arena_t *arena);

/* Give back every block of both ends at once, and every chunk to the upstream. Marks are void.
 * Guards are not looked at.
 * Returns  EA_OK; EA_ERR_CORRUPT: a chunk's header is damaged: that chunk and those taken before it
 *          are lost to the upstream, and the arena goes on with its own memory; or the control
 *          structure is: nothing changed.
 * Cost     O(chunks). */
ea_status_t ea_arena_reset(ea_arena_t *arena);

/* --- blocks ----------------------------------------------------------------------------------- */

/* Take at least size_bytes from the low end; 0 counts as 1. Contents indeterminate.
 * Returns  a block of the arena's alignment; NULL: refused, and ea_arena_last_refusal() says why.
 * Owns     the caller, until the end is rewound to a mark from before, or the arena reset.
 * Cost     O(1): 15 instructions on Cortex-M3 (bench/wcet: arena_alloc); where a chunk is needed,
 *          what the upstream costs and 450 instructions. */
EA_NODISCARD void *ea_arena_alloc(ea_arena_t *arena, size_t size_bytes);

/* The same from the high end. */
EA_NODISCARD void *ea_arena_alloc_high(ea_arena_t *arena, size_t size_bytes);

/* The same aligned to alignment_bytes, a power of two, or to the arena's alignment if that is more.
 * Cost     O(1). */
EA_NODISCARD void *ea_arena_alloc_aligned(ea_arena_t *arena, size_t alignment_bytes,
                                          size_t size_bytes);
EA_NODISCARD void *ea_arena_alloc_high_aligned(ea_arena_t *arena, size_t alignment_bytes,
                                               size_t size_bytes);

/* An array of n elements from the low end. Returns NULL also if the product overflows. */
EA_NODISCARD void *ea_arena_alloc_array(ea_arena_t *arena, size_t alignment_bytes, size_t n,
                                        size_t size_bytes);

/* Room for one object of a type at the type's own alignment. */
#define EA_ARENA_NEW(arena, type)                                                                  \
    ((type *)ea_arena_alloc_aligned((arena), EAI_ALIGNOF(type), sizeof(type)))

/* Room for n of them. */
#define EA_ARENA_NEW_ARRAY(arena, type, n)                                                         \
    ((type *)ea_arena_alloc_array((arena), EAI_ALIGNOF(type), (n), sizeof(type)))

#if defined(__cplusplus)
#define EAI_ALIGNOF(type) alignof(type)
#else
#define EAI_ALIGNOF(type) _Alignof(type)
#endif

/* Change the size of a low block from old_bytes, as it was asked for, to new_bytes. The last block
 * taken grows and shrinks in place; any other one stays where it is to shrink, and is copied to a
 * new block of the arena's alignment to grow. A block from before the last mark that stands never
 * grows in place, since the rewind would take its new end.
 * Returns  the block; NULL: refused, the old block is untouched. ptr NULL: as ea_arena_alloc().
 * Cost     O(1) plus the copy.
 * Checks   level >= 2: a ptr that lies in no low block is refused. */
EA_NODISCARD void *ea_arena_realloc(ea_arena_t *arena, void *ptr, size_t old_bytes,
                                    size_t new_bytes);

/* Give a low block of size_bytes, as it was asked for, back before its time: works for the last
 * one taken, unless a mark stands behind it. ptr NULL does nothing.
 * Returns  EA_OK: the memory is free; EA_ERR_BUSY: it is not the last one, and stays until rewind
 *          or reset; nothing changed.
 * Cost     O(1). */
ea_status_t ea_arena_free(ea_arena_t *arena, void *ptr, size_t size_bytes);

/* --- marks ------------------------------------------------------------------------------------ */

/* Remember where an end stands. With option guard a guard is placed there, unless there is no room
 * for it: a mark never takes a chunk and never fails. Marks of one end are undone in reverse order;
 * the two ends know nothing of each other. Cost O(1). */
EA_NODISCARD ea_arena_mark_t ea_arena_mark(ea_arena_t *arena, ea_arena_end_t end);

/* Give back all that was taken at the mark's end since, marks included, and to the upstream the
 * chunks taken since in which the other end has neither block nor mark. It uses the mark up.
 * Returns  EA_OK. EA_ERR_INVALID: the mark has been used up, by itself or with an outer one, and
 *          nothing changed; noticed unless as many marks stand at that end again. EA_ERR_CORRUPT,
 *          counted in n_corruptions: a guard placed since is damaged, and the end is rewound all
 *          the same; or metadata is, and nothing changed (ea_arena_check() tells which).
 * Cost     O(chunks and guards undone).
 * Checks   guards always; level 1: metadata where chunks are undone; level 2: always. */
ea_status_t ea_arena_rewind(ea_arena_t *arena, const ea_arena_mark_t *mark);

/* --- scopes ----------------------------------------------------------------------------------- */

/* A block whose allocations at the low end (EA_ARENA_SCRATCH: at the high end) are given back when
 * it is left:
 *
 *     EA_ARENA_SCOPE(&arena) {
 *         char *text = ea_arena_alloc(&arena, 100);
 *         if (!parse(text)) return false;
 *     }
 *
 * By whatever way it is left: its end, return, goto, break and continue (which both leave the scope
 * and nothing else: it is a loop that runs once). longjmp() leaves it without a rewind; the next
 * rewind of an outer mark makes up for that. A damaged guard is counted in n_corruptions.
 * It rests on the cleanup attribute of GCC and Clang. Where EA_HAS_CLEANUP is 0 a scope rewinds at
 * its end and on continue only: leave it by break, goto or return only where an outer scope or mark
 * is rewound. */
#define EA_ARENA_SCOPE(arena) EAI_ARENA_SCOPE(arena, EA_ARENA_LOW, __COUNTER__)
#define EA_ARENA_SCRATCH(arena) EAI_ARENA_SCOPE(arena, EA_ARENA_HIGH, __COUNTER__)

/* --- numbers ---------------------------------------------------------------------------------- */

/* Cost O(chunks). */
void ea_arena_stats(const ea_arena_t *arena, ea_arena_stats_t *stats);

/* Start a new watermark: peak_bytes becomes what is in use now. Cost O(1). */
void ea_arena_reset_peak(ea_arena_t *arena);

/* Why the last refused request was refused. Cost O(1). */
EA_NODISCARD ea_arena_refusal_t ea_arena_last_refusal(const ea_arena_t *arena);

/* Does ptr lie in what has been taken from the arena, at either end? Cost O(chunks). */
EA_NODISCARD bool ea_arena_owns(const ea_arena_t *arena, const void *ptr);

/* Check every invariant and every guard. Changes nothing and survives garbage: no address is read
 * that the seals and the chunks' bounds do not cover. Returns EA_OK, or EA_ERR_CORRUPT with *fault
 * (may be NULL) filled in. Where EA_CFG_CHECK_LEVEL is 0 nothing seals the control structure and
 * the chunks' headers, and they are taken for granted.
 * Cost     O(chunks + guards). */
EA_NODISCARD ea_status_t ea_arena_check(const ea_arena_t *arena, ea_arena_fault_t *fault);

#if !defined(DOXYGEN)
/* What scopes are made of; private. */
typedef struct {
    ea_arena_t *eai_arena; /* NULL: the scope has been left */
    ea_arena_mark_t eai_mark;
} eai_arena_scope_t;

EA_INLINE eai_arena_scope_t eai_arena_scope_begin(ea_arena_t *arena, ea_arena_end_t end)
{
    eai_arena_scope_t scope = {arena, ea_arena_mark(arena, end)};
    return scope;
}

EA_INLINE void eai_arena_scope_end(eai_arena_scope_t *scope)
{
    if (scope->eai_arena) (void)ea_arena_rewind(scope->eai_arena, &scope->eai_mark);
    scope->eai_arena = NULL;
}

#define EAI_ARENA_SCOPE(arena, end, number) EAI_ARENA_SCOPE_(arena, end, number)
#define EAI_ARENA_SCOPE_(arena, end, number)                                                       \
    for (EAI_CLEANUP(eai_arena_scope_end)                                                          \
             eai_arena_scope_t eai_scope_##number = eai_arena_scope_begin((arena), (end));         \
         eai_scope_##number.eai_arena; eai_arena_scope_end(&eai_scope_##number))
#endif

#ifdef __cplusplus
}
#endif
#endif
