/* SPDX-License-Identifier: MIT
 *
 * An allocator's blocks into the profile. Apart, so that a program that feeds it by itself needs no
 * allocator.
 */
#include "observe/profile_internal.h"

#include "ealloc/allocator.h"

#if EA_CFG_ALLOC_HOOK

static void record_in_profile(void *context, ea_block_event_t what, uint16_t owner,
                              const void *site, const void *block, size_t size_bytes)
{
    ea_profile_record((ea_profile_t *)context, what, owner, site, block, size_bytes);
}

ea_status_t ea_profile_attach(ea_profile_t *profile, ea_allocator_t *allocator)
{
    if (!profile || !allocator) return EA_ERR_INVALID;
    if (profile->eai_hook.function) return EA_ERR_BUSY;
    eai_profile_forget_blocks(profile); /* nobody told of what happened to them since */
    profile->eai_hook = (ea_alloc_hook_t){.function = record_in_profile, .context = profile};
    ea_status_t status = ea_allocator_add_hook(allocator, &profile->eai_hook);
    if (status != EA_OK) profile->eai_hook.function = NULL;
    return status;
}

ea_status_t ea_profile_detach(ea_profile_t *profile, ea_allocator_t *allocator)
{
    if (!profile || !allocator) return EA_ERR_NOT_FOUND;
    ea_status_t status = ea_allocator_remove_hook(allocator, &profile->eai_hook);
    if (status == EA_OK) profile->eai_hook.function = NULL;
    return status;
}

#else

ea_status_t ea_profile_attach(ea_profile_t *profile, ea_allocator_t *allocator)
{
    (void)profile, (void)allocator;
    return EA_ERR_INVALID;
}

ea_status_t ea_profile_detach(ea_profile_t *profile, ea_allocator_t *allocator)
{
    (void)profile, (void)allocator;
    return EA_ERR_NOT_FOUND;
}

#endif
