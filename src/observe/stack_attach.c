/* SPDX-License-Identifier: MIT
 *
 * The stacks of an allocator's blocks into the table.
 */
#include "ealloc/stack.h"
#include "observe/attach.h"

static void keep(void *context, ea_block_event_t what, uint16_t owner, const void *site,
                 const void *block, size_t size_bytes)
{
    (void)owner, (void)block, (void)size_bytes;
    if (what == EA_BLOCK_ALLOCATED || what == EA_BLOCK_RESIZED)
        (void)ea_stacks_here((ea_stacks_t *)context, site);
}

ea_status_t ea_stacks_attach(ea_stacks_t *stacks, ea_allocator_t *allocator)
{
    if (!stacks) return EA_ERR_INVALID;
    const ea_alloc_hook_t hook = {.function = keep, .context = stacks};
    return eai_attach(&stacks->eai_hook, hook, allocator);
}

ea_status_t ea_stacks_detach(ea_stacks_t *stacks, ea_allocator_t *allocator)
{
    return stacks ? eai_detach(&stacks->eai_hook, allocator) : EA_ERR_NOT_FOUND;
}
