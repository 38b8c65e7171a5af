/* SPDX-License-Identifier: MIT
 *
 * Several heaps of different configuration in one program. Compile the heap's sources with
 * `-include stores/heap_instance.h -DEA_HEAP_INSTANCE=name` and the knobs wanted, and every symbol
 * of the heap ends in _name; heap_instance.c, compiled likewise, exports the instance as a table.
 */
#ifndef EALLOC_STORES_HEAP_INSTANCE_H
#define EALLOC_STORES_HEAP_INSTANCE_H

#ifdef EA_HEAP_INSTANCE
#define EAI_PASTE2(a, b) a##_##b
#define EAI_PASTE(a, b) EAI_PASTE2(a, b)
#define EAI_NAMED(f) EAI_PASTE(f, EA_HEAP_INSTANCE)
#define ea_heap_init EAI_NAMED(ea_heap_init)
#define ea_heap_deinit EAI_NAMED(ea_heap_deinit)
#define ea_heap_reset EAI_NAMED(ea_heap_reset)
#define ea_heap_alloc EAI_NAMED(ea_heap_alloc)
#define ea_heap_calloc EAI_NAMED(ea_heap_calloc)
#define ea_heap_realloc EAI_NAMED(ea_heap_realloc)
#define ea_heap_aligned_alloc EAI_NAMED(ea_heap_aligned_alloc)
#define ea_heap_aligned_alloc_at EAI_NAMED(ea_heap_aligned_alloc_at)
#define ea_heap_aligned_realloc EAI_NAMED(ea_heap_aligned_realloc)
#define ea_heap_free EAI_NAMED(ea_heap_free)
#define ea_heap_usable_size_bytes EAI_NAMED(ea_heap_usable_size_bytes)
#define ea_heap_probe EAI_NAMED(ea_heap_probe)
#define ea_heap_alloc_high EAI_NAMED(ea_heap_alloc_high)
#define eai_heap_largest EAI_NAMED(eai_heap_largest)
#define ea_heap_free_bytes EAI_NAMED(ea_heap_free_bytes)
#define ea_heap_cost_bytes EAI_NAMED(ea_heap_cost_bytes)
#define ea_heap_realloc_begin EAI_NAMED(ea_heap_realloc_begin)
#define ea_heap_realloc_begin_at EAI_NAMED(ea_heap_realloc_begin_at)
#define ea_heap_realloc_move EAI_NAMED(ea_heap_realloc_move)
#define ea_heap_realloc_finish EAI_NAMED(ea_heap_realloc_finish)
#define ea_heap_add_region EAI_NAMED(ea_heap_add_region)
#define ea_heap_remove_region EAI_NAMED(ea_heap_remove_region)
#define ea_heap_grow EAI_NAMED(ea_heap_grow)
#define ea_heap_shrink EAI_NAMED(ea_heap_shrink)
#define ea_heap_stats EAI_NAMED(ea_heap_stats)
#define ea_heap_reset_min_free EAI_NAMED(ea_heap_reset_min_free)
#define ea_heap_largest_free_bytes EAI_NAMED(ea_heap_largest_free_bytes)
#define ea_heap_max_alloc_bytes EAI_NAMED(ea_heap_max_alloc_bytes)
#define ea_heap_histogram EAI_NAMED(ea_heap_histogram)
#define ea_heap_walk EAI_NAMED(ea_heap_walk)
#define ea_heap_walk_end EAI_NAMED(ea_heap_walk_end)
#define ea_heap_check EAI_NAMED(ea_heap_check)
#define ea_heap_check_step EAI_NAMED(ea_heap_check_step)
#define eai_heap_bin_of EAI_NAMED(eai_heap_bin_of)
#define eai_heap_size_for EAI_NAMED(eai_heap_size_for)
#define eai_heap_take EAI_NAMED(eai_heap_take)
#define eai_heap_trim EAI_NAMED(eai_heap_trim)
#define eai_heap_admit EAI_NAMED(eai_heap_admit)
#define eai_heap_release EAI_NAMED(eai_heap_release)
#define eai_heap_claim EAI_NAMED(eai_heap_claim)
#define eai_heap_leave_region EAI_NAMED(eai_heap_leave_region)
#define eai_heap_vouch EAI_NAMED(eai_heap_vouch)
#define eai_heap_move_cursor EAI_NAMED(eai_heap_move_cursor)
#define eai_heap_flush_quick EAI_NAMED(eai_heap_flush_quick)
#define eai_heap_quick_held EAI_NAMED(eai_heap_quick_held)
#define EAI_HEAP_OPS EAI_NAMED(eai_heap_ops)
#define EAI_STRING2(x) #x
#define EAI_STRING(x) EAI_STRING2(x)
#endif

#include "ealloc/heap.h"

typedef struct {
    const char *name; /* the instance's suffix, e.g. "default8" */
    unsigned profile, align_bytes, link_bits, check_level;
    bool has_stats;
    ea_heap_t *(*init)(void *, size_t, const ea_heap_options_t *);
    size_t (*deinit)(ea_heap_t *);
    void (*reset)(ea_heap_t *);
    void *(*alloc)(ea_heap_t *, size_t);
    void *(*calloc)(ea_heap_t *, size_t, size_t);
    void *(*realloc)(ea_heap_t *, void *, size_t);
    void *(*aligned_alloc)(ea_heap_t *, size_t, size_t);
    void *(*alloc_high)(ea_heap_t *, size_t);
    void *(*aligned_realloc)(ea_heap_t *, void *, size_t, size_t);
    ea_status_t (*free)(ea_heap_t *, void *);
    size_t (*usable_size_bytes)(const ea_heap_t *, const void *);
    ea_status_t (*realloc_begin)(ea_heap_t *, void *, size_t, size_t, ea_heap_move_t *);
    void (*realloc_move)(const ea_heap_move_t *);
    void *(*realloc_finish)(ea_heap_t *, const ea_heap_move_t *);
    ea_status_t (*add_region)(ea_heap_t *, void *, size_t);
    ea_status_t (*remove_region)(ea_heap_t *, void *, size_t *);
    ea_status_t (*grow)(ea_heap_t *, void *, size_t);
    ea_status_t (*shrink)(ea_heap_t *, void *, size_t);
    void (*stats)(const ea_heap_t *, ea_heap_stats_t *);
    void (*reset_min_free)(ea_heap_t *);
    size_t (*largest_free_bytes)(const ea_heap_t *);
    size_t (*max_alloc_bytes)(const ea_heap_t *);
    size_t (*histogram)(const ea_heap_t *, ea_heap_bin_t *, size_t);
    ea_status_t (*walk)(ea_heap_t *, ea_heap_cursor_t *, size_t, ea_heap_visit_t, void *);
    void (*walk_end)(ea_heap_t *);
    ea_status_t (*check)(const ea_heap_t *, ea_heap_fault_t *);
    ea_status_t (*check_step)(ea_heap_t *, ea_heap_cursor_t *, size_t, ea_heap_fault_t *);
} eai_heap_ops_t;

/* The instances the host tools link (CMake target ealloc_heap_instances). */
extern const eai_heap_ops_t eai_heap_ops_default8, eai_heap_ops_fast8, eai_heap_ops_throughput8,
    eai_heap_ops_tiny8, eai_heap_ops_default16, eai_heap_ops_fast16, eai_heap_ops_throughput16,
    eai_heap_ops_tiny16, eai_heap_ops_default8l16;

#endif
