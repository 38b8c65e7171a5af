/* SPDX-License-Identifier: MIT
 *
 * An allocator's blocks into the profile. Apart, so that a program that feeds it by itself needs no
 * allocator.
 */
#include "observe/attach.h"
#include "observe/profile_internal.h"

static void record_in_profile(void *context, ea_block_event_t what, uint16_t owner,
                              const void *site, const void *block, size_t size_bytes)
{
    ea_profile_record((ea_profile_t *)context, what, owner, site, block, size_bytes);
}

ea_status_t ea_profile_attach(ea_profile_t *profile, ea_allocator_t *allocator)
{
    if (!profile || !eai_can_attach(allocator)) return EA_ERR_INVALID;
    if (profile->eai_hook.function) return EA_ERR_BUSY;
    eai_profile_forget_blocks(profile); /* nobody told of what happened to them since */
    const ea_alloc_hook_t hook = {.function = record_in_profile, .context = profile};
    return eai_attach(&profile->eai_hook, hook, allocator);
}

ea_status_t ea_profile_detach(ea_profile_t *profile, ea_allocator_t *allocator)
{
    return profile ? eai_detach(&profile->eai_hook, allocator) : EA_ERR_NOT_FOUND;
}
