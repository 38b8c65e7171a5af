/* SPDX-License-Identifier: MIT
 *
 * An allocator's blocks into the leak detector, and its room out of it. Apart, so that a program
 * that feeds it by itself needs no allocator.
 */
#include "observe/attach.h"
#include "observe/leaks_internal.h"

static void record_in_leaks(void *context, ea_block_event_t what, uint16_t owner, const void *site,
                            const void *block, size_t size_bytes)
{
    ea_leaks_record((ea_leaks_t *)context, what, owner, site, block, size_bytes);
}

#if EAI_ALLOC_OWNERS
/* What the owner's own budget leaves; those above it are not asked. */
static size_t budget_of(const ea_allocator_t *a, uint16_t owner)
{
    const ea_account_t *account = a->eai_accounts ? ea_account_by_id(a->eai_accounts, owner) : NULL;
    if (!account) return SIZE_MAX;
    ea_account_stats_t stats;
    ea_account_stats(account, &stats);
    if (stats.limits.max == EA_ACCOUNT_UNLIMITED) return SIZE_MAX;
    return stats.limits.max > stats.used ? stats.limits.max - stats.used : 0;
}
#else
static size_t budget_of(const ea_allocator_t *a, uint16_t owner)
{
    (void)a, (void)owner;
    return SIZE_MAX;
}
#endif

static size_t room_of(void *context, uint16_t owner)
{
    const ea_allocator_t *a = (const ea_allocator_t *)context;
    ea_allocator_stats_t stats;
    ea_allocator_stats(a, &stats);
    size_t budget = budget_of(a, owner);
    return budget < stats.free_bytes ? budget : stats.free_bytes;
}

ea_status_t ea_leaks_attach(ea_leaks_t *leaks, ea_allocator_t *allocator)
{
    if (!leaks || !eai_can_attach(allocator)) return EA_ERR_INVALID;
    if (leaks->eai_hook.function) return EA_ERR_BUSY;
    eai_leaks_forget_blocks(leaks); /* nobody told of what happened to them since */
    const ea_alloc_hook_t hook = {.function = record_in_leaks, .context = leaks};
    ea_status_t status = eai_attach(&leaks->eai_hook, hook, allocator);
    if (status == EA_OK && !leaks->eai_room_bytes) {
        leaks->eai_room_bytes = room_of;
        leaks->eai_room_context = allocator;
    }
    return status;
}

ea_status_t ea_leaks_detach(ea_leaks_t *leaks, ea_allocator_t *allocator)
{
    if (!leaks) return EA_ERR_NOT_FOUND;
    ea_status_t status = eai_detach(&leaks->eai_hook, allocator);
    if (status == EA_OK && leaks->eai_room_bytes == room_of) leaks->eai_room_bytes = NULL;
    return status;
}
