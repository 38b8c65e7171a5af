/* SPDX-License-Identifier: MIT
 *
 * A general heap with a constant worst case (rows A1, A2, A5): segregated good fit over flat
 * linear-log bins, immediate coalescing, 4 bytes of overhead a block. A heap is a single-threaded
 * mechanism on memory the caller gives: no lock, no global, no clock, no hook. It may be used from
 * a thread or an interrupt, but never by two contexts at once; unless said otherwise that is the
 * context of every function here.
 *
 * Sources: the bin mapping follows the two-level idea of TLSF (Masmano, Ripoll, Crespo, Real, ECRTS
 * 2004) flattened to one level; boundary tags are Knuth's (TAOCP 1, 2.5); half fit is Ogasawara's
 * (RTCSA 1995).
 */
#ifndef EALLOC_HEAP_H
#define EALLOC_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/config.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#if EA_CFG_HEAP_ALIGN != 0
#define EA_HEAP_ALIGN EA_CFG_HEAP_ALIGN
#elif UINTPTR_MAX > 0xFFFFFFFFu
#define EA_HEAP_ALIGN 16
#else
#define EA_HEAP_ALIGN 8
#endif

/* The alignment callers compile in is part of a symbol's name, so that a library built with another
 * one fails to link instead of handing out misaligned blocks. */
#if !defined(EA_HEAP_INSTANCE) && !defined(DOXYGEN)
#if EA_HEAP_ALIGN == 8
#define ea_heap_init ea_heap_init_align8
#else
#define ea_heap_init ea_heap_init_align16
#endif
#endif

/* Bytes a block costs beyond its payload, and the smallest block with its overhead. Payloads are
 * EA_HEAP_ALIGN * k - EA_HEAP_OVERHEAD_BYTES: 12, 20, 28 ... at an alignment of 8. */
#define EA_HEAP_OVERHEAD_BYTES 4u
#define EA_HEAP_MIN_BLOCK_BYTES 16u

/* The control structure's largest number of bins, the guard not counted. */
#define EA_HEAP_MAX_BINS 112

typedef struct ea_heap ea_heap_t;

typedef enum {
    EA_FIT_GOOD = 0, /* least memory in practice; the allocated size is never rounded to a bin */
    EA_FIT_HALF = 1  /* power-of-two blocks: a proven bound on fragmentation, more memory       */
} ea_heap_fit_t;

/* NULL, or all zero, means the defaults. */
typedef struct {
    size_t span_bytes; /* bytes of address space, counted from the heap, that later regions and
                          growth may reach; 0 = the memory given to ea_heap_init(). Costs 2 bytes
                          of control structure per bin and link: 4 bins per doubling. */
    ea_heap_fit_t fit;
} ea_heap_options_t;

/* With quick lists (throughput) min_free_bytes counts what they hold as taken: it is at most the
 * smallest free_bytes. */
typedef struct {
    size_t total_bytes;        /* bytes in all regions that blocks can be made of               */
    size_t free_bytes;         /* of these, bytes in free blocks, their overhead included       */
    size_t min_free_bytes;     /* smallest free_bytes since init or ea_heap_reset_min_free()    */
    size_t largest_free_bytes; /* largest request ea_heap_alloc() would grant now; O(1)         */
    size_t control_bytes;      /* bytes of the control structure                                */
    size_t n_live;             /* blocks allocated and not freed                                */
    size_t n_allocs;           /* successful allocations since init                             */
    size_t n_frees;            /* blocks freed since init                                       */
    size_t n_failures;         /* requests refused for lack of memory since init                */
    size_t n_corruptions;      /* calls refused by a check since init                           */
    size_t n_regions;
} ea_heap_stats_t;

typedef struct {
    size_t min_block_bytes; /* smallest block, overhead included, that belongs in this bin */
    size_t n_blocks;
    size_t bytes;
} ea_heap_bin_t;

/* One block as a walk sees it. */
typedef struct {
    void *payload;        /* first byte the user owns (or would own)   */
    size_t payload_bytes; /* bytes usable by the user                  */
    bool used;
    const void *region; /* the region's first byte                   */
} ea_heap_block_t;

/* What ea_heap_check() found. */
typedef struct {
    const char *invariant; /* "I1".."I9" and its sentence; static storage; NULL: none broken */
    const void *where;     /* the block or structure that breaks it                          */
} ea_heap_fault_t;

/* A realloc under way; fields are private except the three that say what move does. */
typedef struct {
    void *from;
    void *to;
    size_t copy_bytes; /* 0: nothing to move */
    size_t eai_size;   /* 0: away from where it is */
} ea_heap_move_t;

/* A walk under way; private. All zero before the first call. */
typedef struct {
    uint32_t eai_state;
} ea_heap_cursor_t;

/* --- life ------------------------------------------------------------------------------------- */

/* Make a heap inside mem. The control structure stands at the first aligned address, the rest is
 * one free block.
 * Returns  the heap; NULL if mem is NULL, an option is invalid, size_bytes cannot hold the control
 *          structure and one smallest block, or the span exceeds what the link width reaches
 *          (256 KB for 16-bit links, just under 4 GB for 32-bit links).
 * Owns     the heap uses mem until ea_heap_deinit(). No alignment is asked of mem.
 * Cost     O(bins): a constant per configuration. */
EA_NODISCARD ea_heap_t *ea_heap_init(void *mem, size_t size_bytes,
                                     const ea_heap_options_t *options);

/* Give the heap up. The memory returns to the caller, live blocks and all; afterwards allocating
 * returns NULL and ea_heap_check() says EA_ERR_CORRUPT, until ea_heap_init() makes a new heap.
 * Returns  the number of blocks still allocated (0: nothing leaked).
 * Cost     O(1) with counters, O(blocks) without. */
size_t ea_heap_deinit(ea_heap_t *heap);

/* Free every block of every region at once; regions stay. Counters of calls go on, n_live becomes
 * 0. A walk under way ends. Pointers from before are void: checks of level 1 need not notice one
 *    that
 * is freed afterwards. Cost O(bins + regions). */
void ea_heap_reset(ea_heap_t *heap);

/* --- blocks ----------------------------------------------------------------------------------- */

/* Allocate at least size_bytes.
 * Returns  a block aligned to EA_HEAP_ALIGN, contents indeterminate; NULL if size_bytes is 0,
 *          exceeds ea_heap_max_alloc_bytes(), or no free block is found: one is always found if a
 *          block exists whose bin lies above the request's own, or if the first or the last block
 *          of its own bin fits.
 * Owns     the caller, until ea_heap_free() on this heap.
 * Cost     O(1): at most two bin searches of at most 4 words, one unlink, one insert. Tiny: a look
 *          at each bin from the request's own upward, at most EA_HEAP_MAX_BINS. Throughput: where
 *          nothing else fits, a merge of all quick lists, at most 2224 blocks (alignment 16: 2183).
 * Checks   level 1: the chosen block's header. Level 2: also its links and its right neighbour. */
EA_NODISCARD void *ea_heap_alloc(ea_heap_t *heap, size_t size_bytes);

/* As ea_heap_alloc() for n * size_bytes bytes, all zero.
 * Returns  NULL also if the product overflows or is 0. Cost O(bytes) for the clearing. */
EA_NODISCARD void *ea_heap_calloc(ea_heap_t *heap, size_t n, size_t size_bytes);

/* As ea_heap_alloc(), but from the high end of the largest free block: for what will live long, so
 * that it lies out of the way of what comes and goes. It only gains where that is true: blocks that
 * live shorter than others break the largest hole up (docs/allocator.md has figures). Half fit as
 * well. Cost O(1). */
EA_NODISCARD void *ea_heap_alloc_high(ea_heap_t *heap, size_t size_bytes);

/* As ea_heap_alloc(), the block aligned to alignment_bytes, a power of two (up to EA_HEAP_ALIGN it
 * is plain ea_heap_alloc()).
 * Returns  NULL also if alignment_bytes is not a power of two or size plus alignment overflows.
 * Cost     O(1). */
EA_NODISCARD void *ea_heap_aligned_alloc(ea_heap_t *heap, size_t alignment_bytes,
                                         size_t size_bytes);

/* As ea_heap_aligned_alloc(), but it is the address offset_bytes into the block that is aligned:
 * for a layer that keeps something of its own in front of what it hands out.
 * Returns  NULL also if offset_bytes is no multiple of EA_HEAP_ALIGN. Cost O(1). */
EA_NODISCARD void *ea_heap_aligned_alloc_at(ea_heap_t *heap, size_t alignment_bytes,
                                            size_t offset_bytes, size_t size_bytes);

/* Change a block's size; contents are kept up to the smaller of both sizes. Shrinks in place; grows
 * forward, backward or both into free neighbours before it moves elsewhere.
 * Returns  the block, perhaps at a new address; NULL if it cannot be done, and then the old block
 *          is untouched. ptr NULL: as ea_heap_alloc(). size_bytes 0 with a block: frees it, returns
 *          NULL.
 * Cost     O(1) plus the copy when the address changes. */
EA_NODISCARD void *ea_heap_realloc(ea_heap_t *heap, void *ptr, size_t size_bytes);

/* As ea_heap_realloc(), the result aligned to alignment_bytes (also when it stays in place). */
EA_NODISCARD void *ea_heap_aligned_realloc(ea_heap_t *heap, void *ptr, size_t alignment_bytes,
                                           size_t size_bytes);

/* Free a block; ptr NULL does nothing.
 * Returns  EA_OK. With checks: EA_ERR_DOUBLE_FREE, EA_ERR_CORRUPT (header damaged), EA_ERR_FOREIGN
 *          (level 2: not of this heap; level 1: misaligned); the heap is then as it was before.
 * Cost     O(1): at most two unlinks and one insert. */
ea_status_t ea_heap_free(ea_heap_t *heap, void *ptr);

/* Bytes the caller may use in ptr: at least what was asked for. 0 for NULL. Cost O(1). */
EA_NODISCARD size_t ea_heap_usable_size_bytes(const ea_heap_t *heap, const void *ptr);

/* The same of a block that is known to be live, for layers above: the header says its size. */
typedef uint32_t EA_MAY_ALIAS eai_heap_header_t;
EA_INLINE size_t eai_heap_payload_bytes(const void *ptr)
{
    const void *header = (const char *)ptr - EA_HEAP_OVERHEAD_BYTES;
    return (*(const eai_heap_header_t *)header & ~(size_t)7u) - EA_HEAP_OVERHEAD_BYTES;
}

/* Test a pointer as ea_heap_free() would, and free nothing.
 * Returns  EA_OK: as far as the checks can tell a live block, *usable_bytes (may be NULL) as
 *          ea_heap_usable_size_bytes(); else what ea_heap_free() would say, counted. Cost O(1). */
EA_NODISCARD ea_status_t ea_heap_probe(ea_heap_t *heap, void *ptr, size_t *usable_bytes);

/* What a block for such a request costs at most, its overhead included: what it needs, and what is
 * too little to be a block of its own. 0 if no state of this heap could grant it. Cost O(1). */
EA_NODISCARD size_t ea_heap_cost_bytes(const ea_heap_t *heap, size_t size_bytes);

/* --- realloc in three parts, so that the copy can happen outside a lock ----------------------- */

/* Part 1, under the caller's lock: find room for size_bytes aligned to alignment_bytes (0: any).
 * Merges, never splits: between begin and finish the block may be larger than asked.
 * Returns  EA_OK: *move is filled in, ptr and its contents are untouched, and the caller must go on
 *          to finish. EA_ERR_NO_MEMORY, EA_ERR_TOO_LARGE, EA_ERR_INVALID (ptr NULL, size 0), or an
 *          error of ea_heap_free(): nothing changed.
 * Cost     O(1). */
EA_NODISCARD ea_status_t ea_heap_realloc_begin(ea_heap_t *heap, void *ptr, size_t alignment_bytes,
                                               size_t size_bytes, ea_heap_move_t *move);
/* The same, with the address offset_bytes into the block aligned (EA_ERR_INVALID if that is no
 * multiple of EA_HEAP_ALIGN). */
EA_NODISCARD ea_status_t ea_heap_realloc_begin_at(ea_heap_t *heap, void *ptr,
                                                  size_t alignment_bytes, size_t offset_bytes,
                                                  size_t size_bytes, ea_heap_move_t *move);
/* Part 2, no lock needed: other threads may use the heap, none may touch the block. Cost
 * O(bytes). */
void ea_heap_realloc_move(const ea_heap_move_t *move);
/* Part 3, under the lock: gives back what is left over. Returns the block; never NULL. Cost
 * O(1). */
EA_NODISCARD void *ea_heap_realloc_finish(ea_heap_t *heap, const ea_heap_move_t *move);

/* --- regions ---------------------------------------------------------------------------------- */

/* Add memory to the heap. Returns EA_OK; EA_ERR_RANGE if it lies below the heap or beyond its span;
 * EA_ERR_INVALID if NULL, too small, or overlapping a region. Cost O(regions). */
EA_NODISCARD ea_status_t ea_heap_add_region(ea_heap_t *heap, void *mem, size_t size_bytes);

/* Take the region that begins at mem (as given to add) out of the heap.
 * Returns  EA_OK; EA_ERR_NOT_FOUND; EA_ERR_BUSY if blocks live in it (their number in *n_live,
 *          which may be NULL), or if it holds the control structure (*n_live is then 0 or more):
 *          nothing changed.
 * Cost     O(regions); O(blocks of the region) when refused, to count them. */
EA_NODISCARD ea_status_t ea_heap_remove_region(ea_heap_t *heap, void *mem, size_t *n_live);

/* Move the end of the region that begins at mem (the heap's own memory: mem as given to init) up or
 * down to new_size_bytes counted from mem. The heap's last whole granule below that is its end;
 * when it shrinks, so is the beginning of a free piece too small to be a block, and growth counts
 * from there.
 * Returns  EA_OK; EA_ERR_NOT_FOUND; EA_ERR_INVALID if it is no growth (no shrinking) or overlaps;
 *          EA_ERR_RANGE beyond the span; shrink: EA_ERR_BUSY if a block lives in what would go.
 * Cost     O(regions). */
EA_NODISCARD ea_status_t ea_heap_grow(ea_heap_t *heap, void *mem, size_t new_size_bytes);
EA_NODISCARD ea_status_t ea_heap_shrink(ea_heap_t *heap, void *mem, size_t new_size_bytes);

/* --- numbers ---------------------------------------------------------------------------------- */

/* Cost O(regions). Counters read 0 where EA_CFG_HEAP_STATS is 0 (free_bytes and min_free_bytes
 * too). */
void ea_heap_stats(const ea_heap_t *heap, ea_heap_stats_t *stats);

/* Start a new watermark: min_free_bytes becomes free_bytes (throughput: less what quick lists
 * hold). Cost O(1). */
void ea_heap_reset_min_free(ea_heap_t *heap);

/* Bytes in free blocks, their overhead included; 0 where EA_CFG_HEAP_STATS is 0. Cost O(1):
 * throughput adds up its quick lists. */
EA_NODISCARD size_t ea_heap_free_bytes(const ea_heap_t *heap);

/* The largest request ea_heap_alloc() would grant now: exact, in O(1); tiny: a look at each bin. 0:
 * none. With quick lists (throughput) the lists are not searched and the answer is a lower
 * bound. */
EA_NODISCARD size_t ea_heap_largest_free_bytes(const ea_heap_t *heap);

/* The largest request any state of this heap could ever grant. Cost O(1). */
EA_NODISCARD size_t ea_heap_max_alloc_bytes(const ea_heap_t *heap);

/* Fill bins[0] to bins[n_bins - 1] with the free blocks by bin. Returns the number of bins the heap
 * has (at most EA_HEAP_MAX_BINS); entries beyond n_bins are not written. Cost O(bins + free
 * blocks). */
size_t ea_heap_histogram(const ea_heap_t *heap, ea_heap_bin_t *bins, size_t n_bins);

/* --- walking and checking --------------------------------------------------------------------- */

/* Visit blocks in address order, calling visit for each: at most max_steps of them a call, and the
 * free one that follows (those, where a run of blocks is in quick lists). The heap may be used
 * between calls (not inside visit): the walk resumes behind the last block visited and sees every
 * block that lives throughout exactly once.
 * Returns  EA_ERR_AGAIN: call again with the same cursor; EA_OK: the walk is complete; EA_ERR_BUSY:
 *          another walk or check is under way (end it with ea_heap_walk_end()); EA_ERR_CORRUPT;
 *          EA_ERR_INVALID: max_steps were too few where EA_CFG_HEAP_STEPWISE is 0.
 * Cost     O(max_steps). One walk or check at a time on one heap. */
typedef void (*ea_heap_visit_t)(void *context, const ea_heap_block_t *block);
EA_NODISCARD ea_status_t ea_heap_walk(ea_heap_t *heap, ea_heap_cursor_t *cursor, size_t max_steps,
                                      ea_heap_visit_t visit, void *context);
/* Abandon whatever walk is under way. Cost O(1). */
void ea_heap_walk_end(ea_heap_t *heap);

/* Check every invariant. Changes nothing and survives garbage: every address is tested before it is
 * read. Returns EA_OK, or EA_ERR_CORRUPT with *fault (may be NULL) filled in. Where
 * EA_CFG_CHECK_LEVEL is 0 nothing seals the control structure, and it is taken for granted.
 * Cost     O(blocks + bins). */
EA_NODISCARD ea_status_t ea_heap_check(const ea_heap_t *heap, ea_heap_fault_t *fault);

/* The same check of blocks, max_steps at a time, resumable as ea_heap_walk(). */
EA_NODISCARD ea_status_t ea_heap_check_step(ea_heap_t *heap, ea_heap_cursor_t *cursor,
                                            size_t max_steps, ea_heap_fault_t *fault);

#ifdef __cplusplus
}
#endif
#endif
