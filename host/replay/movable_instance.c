/* SPDX-License-Identifier: MIT
 *
 * One layout of the store of movable blocks as a table. See movable_instance.h.
 */
#include "movable_instance.h"

#include "stores/movable_internal.h"

const eai_movable_ops_t EAI_MOVABLE_OPS = {
    .name = EAI_STRING(EA_MOVABLE_INSTANCE),
    .unit_bytes = EAI_UNIT_BYTES,
    .header_bytes = EA_MOVABLE_HEADER_BYTES,
    .least_block_bytes = (size_t)EAI_MIN_UNITS << EAI_UNIT_SHIFT,
    .control_bytes = (size_t)(EAI_CONTROL_UNITS + 1u) << EAI_UNIT_SHIFT,
    .chunk_bytes = EAI_TABLE_CHUNK_BYTES,
    .most_bytes = ((size_t)EAI_MAX_UNITS << EAI_UNIT_SHIFT) + EAI_UNIT_BYTES,
    .chunk_entries = EAI_CHUNK_ENTRIES,
    .max_handles = EA_MOVABLE_MAX_HANDLES,
    .init = ea_movable_init,
    .alloc = ea_movable_alloc,
    .last_refusal = ea_movable_last_refusal,
    .free = ea_movable_free,
    .resize = ea_movable_resize,
    .lock = ea_movable_lock,
    .unlock = ea_movable_unlock,
    .size_bytes = ea_movable_size_bytes,
    .step = ea_movable_step,
    .stats = ea_movable_stats,
    .check = ea_movable_check,
};
