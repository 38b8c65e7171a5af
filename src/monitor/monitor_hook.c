/* SPDX-License-Identifier: MIT
 *
 * Who is told of every resource. Apart, so that it is not linked where nobody asks; but for the
 * loop, which acquire and release call where there is a hook.
 */
#include "monitor/monitor_internal.h"

#if EA_CFG_MONITOR_HOOK

void eai_monitor_tell(monitor_t *monitor, ea_block_event_t what, const slot_t *slot,
                      const record_t *record)
{
    for (const ea_resource_hook_t *hook = monitor->eai_hooks; hook != NULL; hook = hook->eai_next) {
        hook->function(hook->context, what, type_of(record->whose), account_of(record->whose),
                       (const void *)record->caller, slot, record->units);
    }
}

ea_status_t ea_monitor_add_hook(monitor_t *monitor, ea_resource_hook_t *hook)
{
    if (monitor == NULL || hook == NULL || hook->function == NULL) return EA_ERR_INVALID;
    for (const ea_resource_hook_t *at = monitor->eai_hooks; at != NULL; at = at->eai_next) {
        if (at == hook) return EA_ERR_BUSY;
    }
    hook->eai_next = monitor->eai_hooks;
    monitor->eai_hooks = hook;
    return EA_OK;
}

ea_status_t ea_monitor_remove_hook(monitor_t *monitor, ea_resource_hook_t *hook)
{
    ea_resource_hook_t **at = &monitor->eai_hooks;
    while (*at != NULL && *at != hook) at = &(*at)->eai_next;
    if (*at == NULL) return EA_ERR_NOT_FOUND;
    *at = hook->eai_next;
    return EA_OK;
}

#else

ea_status_t ea_monitor_add_hook(monitor_t *monitor, ea_resource_hook_t *hook)
{
    (void)monitor, (void)hook;
    return EA_ERR_INVALID;
}

ea_status_t ea_monitor_remove_hook(monitor_t *monitor, ea_resource_hook_t *hook)
{
    (void)monitor, (void)hook;
    return EA_ERR_NOT_FOUND;
}

#endif

ea_status_t ea_monitor_at(const monitor_t *monitor, const void *slot, ea_resource_t *resource)
{
    uintptr_t offset = (uintptr_t)slot - (uintptr_t)monitor->eai_slots;
    if (offset % sizeof(slot_t) != 0 || offset / sizeof(slot_t) >= monitor->eai_n_slots) {
        return EA_ERR_NOT_FOUND;
    }
    uint32_t index = (uint32_t)(offset / sizeof(slot_t));
    const slot_t *at = &monitor->eai_slots[index];
    word_t word = word_of(at);
    uint32_t whose = READ(at, eai_whose);
    if (state_of(word) != SLOT_LIVE || word_of(at) != word) return EA_ERR_NOT_FOUND;
    *resource = handle_of(index, type_of(whose), word);
    return EA_OK;
}
