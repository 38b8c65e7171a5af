/* SPDX-License-Identifier: MIT
 *
 * How a dump looks at a store of movable blocks that may be damaged or in the middle of a step.
 * Nothing here depends on the layout.
 */
#ifndef EALLOC_STORES_MOVABLE_LOOK_H
#define EALLOC_STORES_MOVABLE_LOOK_H

#include "ealloc/movable.h"

typedef enum {
    EAI_SEEN_NOTHING, /* a step on the way to the next block */
    EAI_SEEN_HOLE,
    EAI_SEEN_BLOCK,
    EAI_SEEN_FIXED,
    EAI_SEEN_MOVING, /* a block at its old place */
    EAI_SEEN_LOST    /* from an impossible header up to the next one that makes sense */
} eai_movable_what_t;

typedef enum {
    EAI_SEEN_SOUND,
    EAI_SEEN_HEADER, /* a header is impossible, or its entry says something else */
    EAI_SEEN_FLAGS,  /* a header disagrees with what is below about its being free */
    EAI_SEEN_TAIL    /* a hole's header does not stand at its end */
} eai_movable_trouble_t;

typedef struct {
    eai_movable_what_t what;
    eai_movable_trouble_t trouble;
    const char *begin;        /* of its header */
    size_t bytes;             /* header included; 0: the block's header is damaged, so not known */
    const void *where;        /* of trouble */
    uint32_t handle, n_locks; /* of a block that has an entry */
} eai_movable_seen_t;

/* What the control structure says, as it is: nothing of it was tested. Bytes and addresses. */
typedef struct {
    const char *first, *end, *table_end;
    size_t free_bytes, moved_bytes, n_moves, max_demand_bytes;
    uint32_t layout;
    uint32_t features; /* EA_CFG_MOVABLE_ISR 1, _FIXED 2, _RELOCATE 4 */
    uint32_t n_handles, max_handles, n_live, n_fixed, n_failures, n_again;
    const char *from, *to; /* of a move under way, if it is possible; else NULL */
    size_t move_bytes, copied_bytes;
} eai_movable_facts_t;

/* Look at the store that ea_movable_init() made of mem, whose memory up to end may be read.
 * checks: see that it is sound, O(blocks + handles); *fault says what is not.
 * Returns  false: what the control structure says of the table and of where blocks end is so
 *          contradictory that nothing can be looked at. Damage to one word of it is no obstacle. */
bool eai_movable_look_begin(eai_movable_look_t *look, const void *mem, const void *end, bool checks,
                            ea_movable_fault_t *fault);

void eai_movable_look_facts(const eai_movable_look_t *look, eai_movable_facts_t *facts);

/* What comes next: first the blocks that entries know, in the order of the entries, then what else
 * headers tell of, in the order of addresses. While the store changes between calls, each block
 * that lives all along is seen once.
 * Returns  false: that was all; *seen may hold trouble then too. Cost O(1). */
bool eai_movable_look_next(eai_movable_look_t *look, eai_movable_seen_t *seen);

#endif
