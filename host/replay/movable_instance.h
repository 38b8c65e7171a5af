/* SPDX-License-Identifier: MIT
 *
 * Stores of movable blocks of every layout in one program. The store's sources are compiled with
 * `-include movable_instance.h -DEA_MOVABLE_INSTANCE=name` and the layout wanted, so that every
 * symbol of the store ends in _name; movable_instance.c, compiled likewise, exports the instance as
 * a table.
 */
#ifndef EALLOC_REPLAY_MOVABLE_INSTANCE_H
#define EALLOC_REPLAY_MOVABLE_INSTANCE_H

#ifdef EA_MOVABLE_INSTANCE
#define EAI_PASTE2(a, b) a##_##b
#define EAI_PASTE(a, b) EAI_PASTE2(a, b)
#define EAI_NAMED(f) EAI_PASTE(f, EA_MOVABLE_INSTANCE)
#define ea_movable_init EAI_NAMED(ea_movable_init)
#define ea_movable_alloc EAI_NAMED(ea_movable_alloc)
#define ea_movable_last_refusal EAI_NAMED(ea_movable_last_refusal)
#define ea_movable_free EAI_NAMED(ea_movable_free)
#define ea_movable_resize EAI_NAMED(ea_movable_resize)
#define ea_movable_lock EAI_NAMED(ea_movable_lock)
#define ea_movable_try_lock EAI_NAMED(ea_movable_try_lock)
#define ea_movable_unlock EAI_NAMED(ea_movable_unlock)
#define ea_movable_read EAI_NAMED(ea_movable_read)
#define ea_movable_write EAI_NAMED(ea_movable_write)
#define ea_movable_size_bytes EAI_NAMED(ea_movable_size_bytes)
#define ea_movable_step EAI_NAMED(ea_movable_step)
#define ea_movable_pins EAI_NAMED(ea_movable_pins)
#define ea_movable_stats EAI_NAMED(ea_movable_stats)
#define ea_movable_walk EAI_NAMED(ea_movable_walk)
#define ea_movable_check EAI_NAMED(ea_movable_check)
#define ea_movable_alloc_fixed EAI_NAMED(ea_movable_alloc_fixed)
#define ea_movable_free_fixed EAI_NAMED(ea_movable_free_fixed)
#define ea_movable_probe_fixed EAI_NAMED(ea_movable_probe_fixed)
#define eai_movable_make_hole EAI_NAMED(eai_movable_make_hole)
#define eai_movable_unlink EAI_NAMED(eai_movable_unlink)
#define eai_movable_find EAI_NAMED(eai_movable_find)
#define eai_movable_take EAI_NAMED(eai_movable_take)
#define eai_movable_copy_chunk EAI_NAMED(eai_movable_copy_chunk)
#define eai_movable_finish_move EAI_NAMED(eai_movable_finish_move)
#define eai_movable_give_up_move EAI_NAMED(eai_movable_give_up_move)
#define eai_movable_move EAI_NAMED(eai_movable_move)
#define eai_movable_compact EAI_NAMED(eai_movable_compact)
#define eai_movable_compact_high EAI_NAMED(eai_movable_compact_high)
#define eai_movable_gather EAI_NAMED(eai_movable_gather)
#define eai_movable_grow_table EAI_NAMED(eai_movable_grow_table)
#define eai_movable_more_entries EAI_NAMED(eai_movable_more_entries)
#define eai_movable_wants_entries EAI_NAMED(eai_movable_wants_entries)
#define EAI_MOVABLE_OPS EAI_NAMED(eai_movable_ops)
#define EAI_STRING2(x) #x
#define EAI_STRING(x) EAI_STRING2(x)
#endif

#include "ealloc/movable.h"

typedef struct {
    const char *name; /* of the layout */
    size_t unit_bytes;
    size_t header_bytes;
    size_t least_block_bytes; /* header included                          */
    size_t control_bytes;     /* the control structure and the end header */
    size_t chunk_bytes;       /* of the table, which grows by a chunk at a time */
    size_t most_bytes;        /* of a region                              */
    uint32_t chunk_entries, max_handles;
    ea_movable_t *(*init)(void *, size_t, const ea_movable_options_t *);
    ea_movable_handle_t (*alloc)(ea_movable_t *, size_t, size_t);
    ea_status_t (*last_refusal)(const ea_movable_t *);
    ea_status_t (*free)(ea_movable_t *, ea_movable_handle_t);
    ea_status_t (*resize)(ea_movable_t *, ea_movable_handle_t, size_t, size_t);
    void *(*lock)(ea_movable_t *, ea_movable_handle_t);
    ea_status_t (*unlock)(ea_movable_t *, ea_movable_handle_t);
    size_t (*size_bytes)(ea_movable_t *, ea_movable_handle_t);
    ea_status_t (*step)(ea_movable_t *, size_t);
    void (*stats)(const ea_movable_t *, ea_movable_stats_t *);
    ea_status_t (*check)(const ea_movable_t *, ea_movable_fault_t *);
} eai_movable_ops_t;

extern const eai_movable_ops_t eai_movable_ops_small, eai_movable_ops_medium, eai_movable_ops_large;

#endif
