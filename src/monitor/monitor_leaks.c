/* SPDX-License-Identifier: MIT
 *
 * A monitor's resources into the leak detector, and their room out of it. What the detector takes
 * for a block is the slot's address, which is one resource's as long as that lives, and its end is
 * told before the slot can be another's.
 */
#include "ealloc/monitor_leaks.h"

#include "monitor/monitor_internal.h"

#include "accounts/account_internal.h"

typedef ea_monitor_leaks_t watch_t;

static void record_resource(void *context, ea_block_event_t what, uint8_t type, uint16_t owner,
                            const void *site, const void *slot, size_t units)
{
    const watch_t *watch = context;
    if (type == watch->eai_type) {
        ea_leaks_record(watch->eai_leaks, what, owner, site, slot, units);
    }
}

/* What an account may still have, by its own limit. */
static size_t room_below(const ea_account_t *account)
{
    size_t max = EAI_LOAD(&((ea_account_t *)account)->eai_max, EAI_RELAXED);
    return max == EA_ACCOUNT_UNLIMITED ? SIZE_MAX : eai_difference(max, eai_account_used(account));
}

static size_t room_of_type(void *context, uint16_t owner)
{
    const watch_t *watch = context;
    const ea_accounts_t *book = watch->eai_monitor->eai_types[watch->eai_type].book;
    const ea_account_t *account = ea_account_by_id(book, owner);
    size_t all = room_below(ea_accounts_root(book));
    size_t own = account == NULL ? SIZE_MAX : room_below(account);
    return own < all ? own : all;
}

ea_status_t ea_monitor_leaks_rule(const monitor_t *monitor, uint8_t type,
                                  const ea_resource_leak_limits_t *limits, ea_leaks_rule_t *rule)
{
    if (type >= monitor->eai_n_types || limits->max_permille > 1000u) return EA_ERR_INVALID;
    ea_account_t *root = ea_accounts_root(monitor->eai_types[type].book);
    size_t capacity = EAI_LOAD(&root->eai_max, EAI_RELAXED);
    size_t most = limits->max_units == 0 ? SIZE_MAX : limits->max_units;
    if (limits->max_permille != 0 && capacity != EA_ACCOUNT_UNLIMITED) {
        size_t part = capacity / 1000u * limits->max_permille +
                      capacity % 1000u * limits->max_permille / 1000u;
        if (part < most) most = part;
    }
    *rule = (ea_leaks_rule_t){.max_age_us = limits->max_age_us,
                              .may_hold_bytes = limits->may_hold_units,
                              .max_hold_bytes = most == SIZE_MAX ? 0 : most};
    return EA_OK;
}

ea_status_t ea_monitor_watch_leaks(watch_t *watch, monitor_t *monitor, uint8_t type,
                                   ea_leaks_t *leaks)
{
    if (watch == NULL || monitor == NULL || leaks == NULL || type >= monitor->eai_n_types ||
        leaks->eai_options.n_sites == 0) {
        return EA_ERR_INVALID;
    }
    for (const ea_resource_hook_t *hook = monitor->eai_hooks; hook != NULL; hook = hook->eai_next) {
        if (hook == &watch->eai_hook) return EA_ERR_BUSY;
    }
    if (leaks->eai_hook.function || leaks->eai_room_bytes == room_of_type) return EA_ERR_BUSY;
    *watch = (watch_t){.eai_hook = {.function = record_resource, .context = watch},
                       .eai_monitor = monitor,
                       .eai_leaks = leaks,
                       .eai_type = type};
    ea_status_t status = ea_monitor_add_hook(monitor, &watch->eai_hook);
    if (status == EA_OK && leaks->eai_room_bytes == NULL) {
        leaks->eai_room_bytes = room_of_type;
        leaks->eai_room_context = watch;
    }
    return status;
}

ea_status_t ea_monitor_unwatch_leaks(watch_t *watch)
{
    if (watch == NULL || watch->eai_monitor == NULL) return EA_ERR_NOT_FOUND;
    ea_status_t status = ea_monitor_remove_hook(watch->eai_monitor, &watch->eai_hook);
    if (status != EA_OK) return status;
    ea_leaks_forget(watch->eai_leaks);
    if (watch->eai_leaks->eai_room_context == watch) watch->eai_leaks->eai_room_bytes = NULL;
    watch->eai_monitor = NULL;
    return EA_OK;
}
