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
#include "movable_names.h" /* every function of the store's headers; CMakeLists.txt writes it */
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
