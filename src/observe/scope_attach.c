/* SPDX-License-Identifier: MIT
 *
 * An allocator's blocks into the scopes.
 */
#include "ealloc/scope.h"
#include "observe/attach.h"

static void count(void *context, ea_block_event_t what, uint16_t owner, const void *site,
                  const void *block, size_t size_bytes)
{
    (void)owner, (void)site, (void)block;
    ea_scopes_count((ea_scopes_t *)context, what, size_bytes);
}

ea_status_t ea_scopes_attach(ea_scopes_t *scopes, ea_allocator_t *allocator)
{
    if (!scopes) return EA_ERR_INVALID;
    const ea_alloc_hook_t hook = {.function = count, .context = scopes, .by_capacity = true};
    return eai_attach(&scopes->eai_hook, hook, allocator);
}

ea_status_t ea_scopes_detach(ea_scopes_t *scopes, ea_allocator_t *allocator)
{
    return scopes ? eai_detach(&scopes->eai_hook, allocator) : EA_ERR_NOT_FOUND;
}
