/* SPDX-License-Identifier: MIT
 *
 * An allocator's blocks into the lineage.
 */
#include "ealloc/lineage.h"
#include "observe/attach.h"

static void record_in_lineage(void *context, ea_block_event_t what, uint16_t owner,
                              const void *site, const void *block, size_t size_bytes)
{
    ea_lineage_record((ea_lineage_t *)context, what, owner, site, block, size_bytes);
}

ea_status_t ea_lineage_attach(ea_lineage_t *lineage, ea_allocator_t *allocator)
{
    if (!lineage) return EA_ERR_INVALID;
    const ea_alloc_hook_t hook = {.function = record_in_lineage, .context = lineage};
    return eai_attach(&lineage->eai_hook, hook, allocator);
}

ea_status_t ea_lineage_detach(ea_lineage_t *lineage, ea_allocator_t *allocator)
{
    return lineage ? eai_detach(&lineage->eai_hook, allocator) : EA_ERR_NOT_FOUND;
}
