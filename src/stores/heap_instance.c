/* SPDX-License-Identifier: MIT
 *
 * One configuration of the heap as a table of functions. See heap_instance.h.
 */
#include "stores/heap_instance.h"

#include "stores/heap_internal.h"

const eai_heap_ops_t EAI_HEAP_OPS = {
    .name = EAI_STRING(EA_HEAP_INSTANCE),
    .profile = EA_CFG_HEAP_PROFILE,
    .align_bytes = EA_HEAP_ALIGN,
    .link_bits = EAI_LINK_BITS,
    .check_level = EA_CFG_CHECK_LEVEL,
    .has_stats = EA_CFG_HEAP_STATS,
    .init = ea_heap_init,
    .deinit = ea_heap_deinit,
    .reset = ea_heap_reset,
    .alloc = ea_heap_alloc,
    .calloc = ea_heap_calloc,
    .realloc = ea_heap_realloc,
    .aligned_alloc = ea_heap_aligned_alloc,
    .alloc_high = ea_heap_alloc_high,
    .aligned_realloc = ea_heap_aligned_realloc,
    .free = ea_heap_free,
    .usable_size_bytes = ea_heap_usable_size_bytes,
    .realloc_begin = ea_heap_realloc_begin,
    .realloc_move = ea_heap_realloc_move,
    .realloc_finish = ea_heap_realloc_finish,
    .add_region = ea_heap_add_region,
    .remove_region = ea_heap_remove_region,
    .grow = ea_heap_grow,
    .shrink = ea_heap_shrink,
    .stats = ea_heap_stats,
    .reset_min_free = ea_heap_reset_min_free,
    .largest_free_bytes = ea_heap_largest_free_bytes,
    .max_alloc_bytes = ea_heap_max_alloc_bytes,
    .histogram = ea_heap_histogram,
    .walk = ea_heap_walk,
    .walk_end = ea_heap_walk_end,
    .check = ea_heap_check,
    .check_step = ea_heap_check_step,
};
