/* SPDX-License-Identifier: MIT
 *
 * The rest of the heap's allocation family, on the primitives of heap.c: calloc, aligned blocks,
 * realloc.
 *
 * An aligned block is cut out of the middle of a free one:
 *
 *     before   [header free ......................................... size]
 *     after    [header free .. size][header aligned payload][header free size]
 *               `---- gap ----'                              `--- rest ---'
 *
 * realloc stays where it is if it can, then slides down over the free block below it, and only then
 * takes another block. Its three parts let a caller drop a lock while the contents move: begin only
 * merges, so the block is never smaller than it must be and its old contents stay readable; finish
 * gives back what was too much.
 */
#include "stores/heap_internal.h"

void *ea_heap_calloc(ea_heap_t *heap, size_t n, size_t size_bytes)
{
    size_t bytes;
    /* What overflows is too large for any heap: let alloc refuse and count it. */
    if (__builtin_mul_overflow(n, size_bytes, &bytes)) bytes = SIZE_MAX;
    void *block = ea_heap_alloc(heap, bytes);
    if (block) memset(block, 0, bytes);
    return block;
}

size_t ea_heap_usable_size_bytes(const ea_heap_t *heap, const void *ptr)
{
    (void)heap;
    return ptr ? size_of(*header(ptr)) - EA_HEAP_OVERHEAD_BYTES : 0;
}

ea_status_t ea_heap_probe(ea_heap_t *heap, void *ptr, size_t *usable_bytes)
{
    char *payload = ptr;
    const eai_region_t *r = &heap->region;
    /* The region it lies in, and room for what its header says, before anything behind it is
     * read. */
    while (r && (payload < region_first(heap, r) || payload >= region_end(heap, r)))
        r = region_next(heap, r); /* bound: regions */
    if (!r || ((uintptr_t)payload & EAI_MASK)) return EA_ERR_FOREIGN;
    uint32_t size = size_of(*header(payload));
    if (size < EAI_MIN_BLOCK || size > (uint32_t)(region_end(heap, r) - payload))
        return EA_ERR_CORRUPT;
    ea_status_t status = eai_heap_admit(heap, payload);
    if (status == EA_OK && usable_bytes) *usable_bytes = size - EA_HEAP_OVERHEAD_BYTES;
    return status;
}

size_t ea_heap_cost_bytes(const ea_heap_t *heap, size_t size_bytes)
{
    uint32_t size = eai_heap_size_for(heap, size_bytes);
    return size && eai_heap_can_serve(heap, size) ? size + (EAI_MIN_BLOCK - EA_HEAP_ALIGN) : 0;
}

size_t ea_heap_free_bytes(const ea_heap_t *heap)
{
    (void)heap;
#if EA_CFG_HEAP_STATS
    size_t quick_free_bytes;
    (void)eai_heap_quick_held(heap, &quick_free_bytes);
    return heap->usage.free_bytes + quick_free_bytes;
#else
    return 0;
#endif
}

/* --- aligned ---------------------------------------------------------------------------------- */

EA_INLINE bool is_power_of_two(size_t x)
{
    return x != 0 && (x & (x - 1u)) == 0;
}

/* Bytes from payload to the next address that is aligned offset bytes further on, and whose gap is
 * nothing or can be a block. */
static uint32_t aligned_gap(const char *payload, uint32_t alignment, size_t offset)
{
    uint32_t gap = (uint32_t)(-((uintptr_t)payload + offset)) & (alignment - 1u);
    return gap != 0 && gap < EAI_MIN_BLOCK ? gap + alignment : gap;
}

/* Refuse a request that has been looked at here, so that it is counted as alloc would. */
static void *refuse_resize(ea_heap_t *heap, size_t size_bytes)
{
    (void)heap, (void)size_bytes;
#if EA_CFG_HEAP_STATS
    return ea_heap_alloc(heap, size_bytes ? SIZE_MAX : 0);
#else
    return NULL;
#endif
}

void *ea_heap_alloc_high(ea_heap_t *heap, size_t size_bytes)
{
    uint32_t size = eai_heap_size_for(heap, size_bytes);
    if (!eai_heap_can_serve(heap, size)) return refuse_resize(heap, size_bytes);
    char *block = eai_heap_largest(heap);
#if EAI_QUICK
    if ((!block || *header(block) < size) && eai_heap_flush_quick(heap))
        block = eai_heap_largest(heap);
#endif
    if (!block || *header(block) < size) return refuse_resize(heap, size_bytes);
#if EA_CFG_CHECK_LEVEL >= 1
    /* Is it what it should be? A plain request finds out, and refuses. */
    if ((*header(block) & EAI_FLAGS) != EAI_FREE) return ea_heap_alloc(heap, size_bytes);
#endif
    uint32_t rest = eai_heap_claim(heap, block) - size;
    if (rest >= EAI_MIN_BLOCK) {
        *header(block + rest) = size;
        *header(block) = rest;
        eai_heap_release(heap, block);
        block += rest;
    }
#if EA_CFG_HEAP_STATS
    eai_usage_taken(&heap->usage, size_of(*header(block)));
#endif
    return block;
}

void *ea_heap_aligned_alloc(ea_heap_t *heap, size_t alignment_bytes, size_t size_bytes)
{
    return ea_heap_aligned_alloc_at(heap, alignment_bytes, 0, size_bytes);
}

void *ea_heap_aligned_alloc_at(ea_heap_t *heap, size_t alignment_bytes, size_t offset_bytes,
                               size_t size_bytes)
{
    if (!is_power_of_two(alignment_bytes) || offset_bytes & EAI_MASK) return NULL;
    /* Where that is not the shorter way in bytes: every block has the smallest alignment. */
    if (alignment_bytes <= EA_HEAP_ALIGN && !EAI_TINY_CODE) return ea_heap_alloc(heap, size_bytes);
    uint32_t size = eai_heap_size_for(heap, size_bytes), wide = size, gap;
    if (!eai_heap_can_serve(heap, size) || alignment_bytes > heap->span_bytes)
        return refuse_resize(heap, size_bytes);
    /* A block that just fits may happen to lie well; any block larger by the widest gap will do. */
    char *block;
    for (;;) { /* at most twice */
        block = eai_heap_take(heap, wide);
        if (!block) return refuse_resize(heap, size_bytes);
        gap = aligned_gap(block, (uint32_t)alignment_bytes, offset_bytes);
        if (gap <= *header(block) - size) break;
        eai_heap_release(heap, block);
        if (alignment_bytes > heap->span_bytes - size) return refuse_resize(heap, size_bytes);
        wide = size + (uint32_t)alignment_bytes + (EAI_MIN_BLOCK - EA_HEAP_ALIGN);
    }
    if (gap) {
        *header(block + gap) = *header(block) - gap;
        *header(block) = gap;
        eai_heap_release(heap, block);
        block += gap;
    }
    eai_heap_trim(heap, block, size);
#if EA_CFG_HEAP_STATS
    eai_usage_taken(&heap->usage, size_of(*header(block)));
#endif
    return block;
}

/* --- realloc ---------------------------------------------------------------------------------- */

/* A used block takes the free one above it. */
static void absorb_above(ea_heap_t *heap, char *payload)
{
    char *next = payload + size_of(*header(payload));
    uint32_t size = eai_heap_claim(heap, next);
#if EA_CFG_CHECK_LEVEL >= 1
    *header(next) = EAI_FREE; /* inside the block from now on: tells a second free */
#endif
    *header(payload) += size;
    eai_heap_adjust(heap, -(ptrdiff_t)size);
}

/* Give back what is too much of a block that a realloc merged. */
static void settle(ea_heap_t *heap, char *payload, uint32_t size)
{
    uint32_t merged = size_of(*header(payload));
    eai_heap_trim(heap, payload, size);
    (void)merged;
    eai_heap_adjust(heap, (ptrdiff_t)(merged - size_of(*header(payload))));
}

ea_status_t ea_heap_realloc_begin(ea_heap_t *heap, void *ptr, size_t alignment_bytes,
                                  size_t size_bytes, ea_heap_move_t *move)
{
    return ea_heap_realloc_begin_at(heap, ptr, alignment_bytes, 0, size_bytes, move);
}

ea_status_t ea_heap_realloc_begin_at(ea_heap_t *heap, void *ptr, size_t alignment_bytes,
                                     size_t offset_bytes, size_t size_bytes, ea_heap_move_t *move)
{
    char *payload = ptr;
    if (alignment_bytes == 0) alignment_bytes = 1;
    if (!payload || size_bytes == 0 || !is_power_of_two(alignment_bytes) || offset_bytes & EAI_MASK)
        return EA_ERR_INVALID;
    ea_status_t status = eai_heap_admit(heap, payload);
    if (status != EA_OK) return status;
    uint32_t size = eai_heap_size_for(heap, size_bytes);
    if (!eai_heap_can_serve(heap, size)) {
        (void)!refuse_resize(heap, size_bytes);
        return EA_ERR_TOO_LARGE;
    }
    uint32_t head = *header(payload), old = size_of(head), above = *header(payload + old);
    uint32_t with_above = old;
    if (above & EAI_FREE) {
        with_above += size_of(above);
        /* Tiny takes it in any case, and gives back what turns out to be too much. */
        if (EAI_TINY_CODE) absorb_above(heap, payload);
    }
    *move = (ea_heap_move_t){payload, payload, 0, size};

    if ((((uintptr_t)payload + offset_bytes) & (alignment_bytes - 1u)) == 0 && size <= with_above) {
        if (!EAI_TINY_CODE && size > old) absorb_above(heap, payload);
        return EA_OK;
    }
    move->copy_bytes = old - EA_HEAP_OVERHEAD_BYTES;
    if (move->copy_bytes > size_bytes) move->copy_bytes = size_bytes;
    if (head & EAI_PREV_FREE) {
        uint32_t below = *header(payload - 4);
        char *start = payload - below;
        if (size <= below + with_above &&
            (((uintptr_t)start + offset_bytes) & (alignment_bytes - 1u)) == 0) {
            if (!EAI_TINY_CODE && size > below + old) absorb_above(heap, payload);
#if EA_CFG_HEAP_STEPWISE
            if (!EAI_WALK_MARKS || head & EAI_MARK) eai_heap_move_cursor(heap, payload);
#endif
            eai_heap_claim(heap, start);
            *header(start) += *header(payload);
            eai_heap_adjust(heap, -(ptrdiff_t)below);
            move->to = start;
            return EA_OK;
        }
    }
    if (EAI_TINY_CODE) settle(heap, payload, old);
    move->eai_size = 0; /* it moves away */
    move->to = ea_heap_aligned_alloc_at(heap, alignment_bytes, offset_bytes, size_bytes);
    return move->to ? EA_OK : EA_ERR_NO_MEMORY;
}

void ea_heap_realloc_move(const ea_heap_move_t *move)
{
    if (move->copy_bytes) memmove(move->to, move->from, move->copy_bytes);
}

void *ea_heap_realloc_finish(ea_heap_t *heap, const ea_heap_move_t *move)
{
    if (!move->eai_size) {
        (void)ea_heap_free(heap, move->from);
    } else {
        settle(heap, move->to, (uint32_t)move->eai_size);
        eai_heap_settle(heap);
    }
    return move->to;
}

void *ea_heap_aligned_realloc(ea_heap_t *heap, void *ptr, size_t alignment_bytes, size_t size_bytes)
{
    ea_heap_move_t move;
    if (!is_power_of_two(alignment_bytes)) return NULL;
    if (!ptr) return ea_heap_aligned_alloc(heap, alignment_bytes, size_bytes);
    if (size_bytes == 0) {
        (void)ea_heap_free(heap, ptr);
        return NULL;
    }
    if (ea_heap_realloc_begin(heap, ptr, alignment_bytes, size_bytes, &move) != EA_OK) return NULL;
    ea_heap_realloc_move(&move);
    return ea_heap_realloc_finish(heap, &move);
}

void *ea_heap_realloc(ea_heap_t *heap, void *ptr, size_t size_bytes)
{
    return ea_heap_aligned_realloc(heap, ptr, 1, size_bytes);
}
