/* SPDX-License-Identifier: MIT
 *
 * Upstreams: what an arena grows from (rows A11, A14). Each function makes one of an allocator,
 * which the caller keeps alive, and whose contexts and locks are the caller's concern as ever.
 */
#ifndef EALLOC_UPSTREAM_H
#define EALLOC_UPSTREAM_H

#include "ealloc/arena.h"
#include "ealloc/heap.h"
#include "ealloc/pool.h"
#include "ealloc/poolset.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Chunks are blocks of a heap. */
EA_NODISCARD ea_upstream_t ea_upstream_heap(ea_heap_t *heap);

/* Chunks are blocks of a pool; larger ones are refused. Set chunk_bytes to the pool's block size:
 * an arena then takes whole blocks. */
EA_NODISCARD ea_upstream_t ea_upstream_pool(ea_pool_t *pool);

/* Chunks are what a pool set gives by its strategy; sizes are checked when they come back. */
EA_NODISCARD ea_upstream_t ea_upstream_poolset(ea_poolset_t *set);

/* Chunks are low blocks of another arena, so arenas nest. A chunk that is not its last block comes
 * back to it only with its next rewind or reset. */
EA_NODISCARD ea_upstream_t ea_upstream_arena(ea_arena_t *arena);

#ifdef __cplusplus
}
#endif
#endif
