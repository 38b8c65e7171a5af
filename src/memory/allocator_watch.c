/* SPDX-License-Identifier: MIT
 *
 * Accounts that are watched: their pressure, and their high mark. Every task that has allocated or
 * freed looks at each watched account on its way out, with no lock held; of several that see a
 * level change, or the mark passed, one tells.
 *
 * The list is only added to while others walk along it: a watch is whole before it is on it.
 */
#include "memory/allocator_internal.h"

#if EA_CFG_ALLOC_PRESSURE && EAI_ALLOC_OWNERS

ea_status_t ea_allocator_watch(alloc_t *a, ea_account_watch_t *watch, ea_account_t *account,
                               const ea_pressure_options_t *options)
{
    if (!watch || !account || !a->eai_accounts ||
        ea_account_by_id(a->eai_accounts, ea_account_id(account)) != account)
        return EA_ERR_INVALID;
    *watch = (ea_account_watch_t){.eai_account = account};
    ea_status_t status = ea_pressure_init(&watch->eai_pressure, options, ea_port_time_us());
    if (status != EA_OK) return status;
    eai_lock(a);
    watch->eai_next = a->eai_watches;
    __atomic_store_n(&a->eai_watches, watch, __ATOMIC_RELEASE); /* pairs with the look at it */
    eai_unlock(a);
    eai_watch_accounts(a);
    return EA_OK;
}

ea_status_t ea_allocator_unwatch(alloc_t *a, ea_account_watch_t *watch)
{
    ea_account_watch_t **at = &a->eai_watches;
    while (*at && *at != watch) at = &(*at)->eai_next; /* bound: watches */
    if (!*at) return EA_ERR_NOT_FOUND;
    *at = watch->eai_next;
    return EA_OK;
}

/* Note whether the mark is passed. Returns whether this call is the one to tell so. */
static bool changes_to(ea_account_watch_t *watch, bool is_high)
{
    if (EAI_PEEK(&watch->eai_is_high) == is_high) return false;
    ea_port_irq_t irq = ea_port_irq_mask();
    bool changes = watch->eai_is_high != is_high;
    EAI_POKE(&watch->eai_is_high, is_high);
    ea_port_irq_restore(irq);
    return changes;
}

void eai_watch_accounts(alloc_t *a)
{
    ea_account_watch_t *watch = __atomic_load_n(&a->eai_watches, __ATOMIC_ACQUIRE);
    for (; watch; watch = watch->eai_next) { /* bound: watches */
        ea_account_t *account = watch->eai_account;
        size_t used = ea_account_committed(account), max = EAI_PEEK(&account->eai_max);
        uint16_t id = ea_account_id(account);
        bool is_high = ea_account_is_high(account);
        if (max != EA_ACCOUNT_UNLIMITED &&
            ea_pressure_update(&watch->eai_pressure, used, max, ea_port_time_coarse_us())) {
#if EA_CFG_ALLOC_REPORT
            const ea_event_t event = {.time_us = ea_port_time_coarse_us(),
                                      .kind = EA_EVENT_PRESSURE,
                                      .owner = id,
                                      .level = (uint8_t)ea_pressure_level(&watch->eai_pressure),
                                      .size_bytes = used,
                                      .where = &watch->eai_pressure};
            eai_emit(a, false, &event);
#endif
        }
        if (!changes_to(watch, is_high) || !is_high) continue;
        eai_tell(a, false, EA_EVENT_HIGH, EA_REASON_NONE, id, used, account, NULL);
#if EA_CFG_ALLOC_RECLAIM
        eai_relieve(a, account);
#endif
        (void)id;
    }
}

#else

typedef int eai_no_watches_t; /* C wants something in every source */

#endif
