/* SPDX-License-Identifier: MIT
 *
 * An allocator's blocks into the scopes. Apart, so that a program that feeds them by itself needs
 * no allocator.
 */
#include "ealloc/allocator.h"
#include "ealloc/scope.h"

#if EA_CFG_ALLOC_HOOK

static void count(void *context, ea_block_event_t what, uint16_t owner, const void *site,
                  const void *block, size_t size_bytes)
{
    (void)owner, (void)site, (void)block;
    ea_scopes_count((ea_scopes_t *)context, what, size_bytes);
}

ea_status_t ea_scopes_attach(ea_scopes_t *scopes, ea_allocator_t *allocator)
{
    if (!scopes || !allocator) return EA_ERR_INVALID;
    if (scopes->eai_hook.function) return EA_ERR_BUSY;
    scopes->eai_hook = (ea_alloc_hook_t){.function = count, .context = scopes, .by_capacity = true};
    ea_status_t status = ea_allocator_add_hook(allocator, &scopes->eai_hook);
    if (status != EA_OK) scopes->eai_hook.function = NULL;
    return status;
}

ea_status_t ea_scopes_detach(ea_scopes_t *scopes, ea_allocator_t *allocator)
{
    if (!scopes || !allocator) return EA_ERR_NOT_FOUND;
    ea_status_t status = ea_allocator_remove_hook(allocator, &scopes->eai_hook);
    if (status == EA_OK) scopes->eai_hook.function = NULL;
    return status;
}

#else

ea_status_t ea_scopes_attach(ea_scopes_t *scopes, ea_allocator_t *allocator)
{
    (void)scopes, (void)allocator;
    return EA_ERR_INVALID;
}

ea_status_t ea_scopes_detach(ea_scopes_t *scopes, ea_allocator_t *allocator)
{
    (void)scopes, (void)allocator;
    return EA_ERR_NOT_FOUND;
}

#endif
