/* SPDX-License-Identifier: MIT
 *
 * The monitor: looking. What is read of a slot counts if its word is the same before and after.
 */
#include "monitor/monitor_internal.h"

#include "accounts/account_internal.h"

/* Returns the slot's word; 0: it changed, or the record is being changed. */
static word_t read_live(const monitor_t *monitor, const slot_t *slot, record_t *record)
{
    word_t word = word_of(slot);
    if (state_of(word) != SLOT_LIVE) return 0;
    uint8_t seal = read_record(slot, record);
    bool is_sound = seal == seal_of(index_of(monitor, slot), word, record);
    return is_sound && generation_of(word_of(slot)) == generation_of(word) ? word : 0;
}

ea_status_t ea_monitor_object(const monitor_t *monitor, ea_resource_t resource, uint8_t type,
                              uintptr_t *object)
{
    const slot_t *slot = slot_with(monitor, resource);
    if (slot == NULL || ea_resource_type(resource) != type) return EA_ERR_NOT_FOUND;
    word_t word = word_of(slot);
    if (state_of(word) != SLOT_LIVE || generation_of(word) != resource.eai_generation) {
        return EA_ERR_NOT_FOUND;
    }
    *object = READ(slot, eai_object);
    word = word_of(slot);
    return state_of(word) == SLOT_LIVE && generation_of(word) == resource.eai_generation
               ? EA_OK
               : EA_ERR_NOT_FOUND;
}

/* Returns whether all of it was so: the resource was live to the end, and so its parent was. */
static bool fill_in(const monitor_t *monitor, uint32_t index, word_t word, const record_t *record,
                    ea_resource_info_t *info)
{
    const type_t *type = &monitor->eai_types[type_of(record->whose)];
    const monitor_t *parents = parents_of((monitor_t *)monitor, type);
    info->monitor = monitor;
    info->parents = parents;
    info->resource = handle_of(index, type_of(record->whose), word);
    info->parent = EA_RESOURCE_NONE;
    if (record->parent != 0 && record->parent <= parents->eai_n_slots) {
        const slot_t *parent = &parents->eai_slots[record->parent - 1u];
        info->parent =
            handle_of(record->parent - 1u, type_of(READ(parent, eai_whose)), word_of(parent));
    }
    info->object = record->object;
    info->units = record->units;
    info->caller = (const void *)record->caller;
    info->since_us = since_of(record) << 10;
    info->n_references = (uint32_t)references_of(word);
    info->account = account_of(record->whose);
    info->type = type_of(record->whose);
    word_t now = word_of(&monitor->eai_slots[index]);
    return state_of(now) == SLOT_LIVE && generation_of(now) == generation_of(word);
}

ea_status_t ea_monitor_info(const monitor_t *monitor, ea_resource_t resource,
                            ea_resource_info_t *info)
{
    record_t record;
    const slot_t *slot = slot_with(monitor, resource);
    word_t word = slot == NULL ? 0 : read_live(monitor, slot, &record);
    if (word == 0 || generation_of(word) != resource.eai_generation) return EA_ERR_NOT_FOUND;
    bool is_so = fill_in(monitor, index_of(monitor, slot), word, &record, info);
    return is_so ? EA_OK : EA_ERR_NOT_FOUND;
}

ea_status_t ea_monitor_walk(const monitor_t *monitor, size_t *cursor, size_t max_steps,
                            ea_resource_visit_t visit, void *context)
{
    for (; *cursor < monitor->eai_n_slots && max_steps > 0; max_steps--) {
        record_t record;
        ea_resource_info_t info;
        uint32_t index = (uint32_t)(*cursor)++;
        word_t word = read_live(monitor, &monitor->eai_slots[index], &record);
        if (word == 0 || !fill_in(monitor, index, word, &record, &info)) continue;
        if (!visit(context, &info)) return EA_OK;
    }
    return *cursor < monitor->eai_n_slots ? EA_ERR_AGAIN : EA_OK;
}

/* --- ancestry --------------------------------------------------------------------------------- */

ea_status_t ea_monitor_ancestry(const monitor_t *monitor, ea_resource_t resource, size_t max_links,
                                ea_resource_visit_t visit, void *context)
{
    while (max_links > 0) {
        ea_resource_info_t info;
        ea_status_t status = ea_monitor_info(monitor, resource, &info);
        if (status != EA_OK) return status;
        if (!visit(context, &info) || ea_resource_is_none(info.parent)) return EA_OK;
        monitor = info.parents;
        resource = info.parent;
        max_links--;
    }
    return EA_ERR_AGAIN;
}

typedef struct {
    const monitor_t *parents;
    ea_resource_t parent;
    ea_resource_visit_t visit;
    void *context;
} kinship_t;

static bool visit_child(void *context, const ea_resource_info_t *info)
{
    const kinship_t *of = context;
    bool is_child = info->parents == of->parents && info->parent.eai_slot == of->parent.eai_slot &&
                    info->parent.eai_generation == of->parent.eai_generation;
    return !is_child || of->visit(of->context, info);
}

ea_status_t ea_monitor_children(const monitor_t *monitor, const monitor_t *parents,
                                ea_resource_t parent, size_t *cursor, size_t max_steps,
                                ea_resource_visit_t visit, void *context)
{
    kinship_t of = {parents, parent, visit, context};
    if (ea_resource_is_none(parent)) return EA_OK;
    return ea_monitor_walk(monitor, cursor, max_steps, visit_child, &of);
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* Of the stripes from first to last. */
static void add_tallies(const monitor_t *monitor, uint8_t type, uint32_t first, uint32_t last,
                        ea_resource_stats_t *stats)
{
    for (uint32_t i = first; i <= last; i++) {
        const eai_tally_t *tally = tally_of(monitor, i, type);
        for (unsigned k = 0; k < EA_CFG_MONITOR_LIFETIMES; k++) {
            size_t n = counted(&tally->lived[k]);
            stats->lifetimes[k] += n;
            stats->n_released += n;
        }
        for (unsigned k = 0; k <= EA_REASON_IN_LINE; k++) {
            stats->n_failures[k] += counted(&tally->failures[k]);
        }
    }
    /* Read afterwards: what was released by then was acquired before. */
    for (uint32_t i = first; i <= last; i++) {
        stats->n_acquired += counted(&tally_of(monitor, i, type)->acquired);
    }
    stats->n_live = stats->n_acquired - stats->n_released;
}

static void add_budget(const ea_account_t *account, ea_resource_stats_t *stats)
{
    stats->peak = EAI_LOAD(&((ea_account_t *)account)->eai_peak, EAI_RELAXED);
    stats->capacity = EAI_LOAD(&((ea_account_t *)account)->eai_max, EAI_RELAXED);
    if (stats->capacity != EA_ACCOUNT_UNLIMITED && stats->capacity > 0) {
        /* Without overflow, and without 64-bit division where 32 bits do. */
        size_t unit = stats->capacity / 1000u;
        stats->utilisation_permille =
            (uint32_t)(unit >= 1000u ? stats->used / unit
                                     : stats->used * (size_t)1000u / stats->capacity);
    }
}

ea_status_t ea_monitor_type_stats(const monitor_t *monitor, uint8_t type,
                                  ea_resource_stats_t *stats)
{
    if (type >= monitor->eai_n_types) return EA_ERR_INVALID;
    const eai_kind_t *kind = &monitor->eai_kinds[type];
    const ea_account_t *root = ea_accounts_root(monitor->eai_types[type].book);
    *stats = (ea_resource_stats_t){0};
    add_tallies(monitor, type, 0, monitor->eai_stripe_mask, stats);
    stats->n_recycled = counted(&kind->recycled);
    for (uint32_t i = 0; i < kind->n_idle; i++) {
        stats->n_idle += EAI_LOAD(&kind->idle[i], EAI_RELAXED) != 0;
    }
    stats->used = eai_account_used(root);
    add_budget(root, stats);
    return EA_OK;
}

ea_status_t ea_monitor_owner_stats(const monitor_t *monitor, uint8_t type,
                                   const ea_account_t *account, ea_resource_stats_t *stats)
{
    if (type >= monitor->eai_n_types || account == NULL ||
        account->eai_book != monitor->eai_types[type].book) {
        return EA_ERR_INVALID;
    }
    ea_account_stats_t of_account;
    ea_account_stats(account, &of_account);
    *stats = (ea_resource_stats_t){.used = of_account.used};
    add_budget(account, stats);
    if (!eai_monitor_knows_owners(monitor, type)) return EA_ERR_LIMIT;
    uint32_t stripe = stripe_of(monitor, ea_account_id(account));
    add_tallies(monitor, type, stripe, stripe, stats);
    return EA_OK;
}

ea_status_t ea_resource_lifetime(const ea_resource_stats_t *stats, uint32_t permille,
                                 uint64_t *least_us, uint64_t *below_us)
{
    uint64_t n = 0, below = 0;
    if (permille > 1000u) return EA_ERR_INVALID;
    for (unsigned i = 0; i < EA_CFG_MONITOR_LIFETIMES; i++) n += stats->lifetimes[i];
    if (n == 0) return EA_ERR_NOT_FOUND;
    for (unsigned i = 0; i < EA_CFG_MONITOR_LIFETIMES; i++) {
        below += stats->lifetimes[i];
        if (below == 0 || below * 1000u < n * permille) continue;
        *least_us = i == 0 ? 0 : (uint64_t)1024u << (i - 1u);
        *below_us = i + 1u < EA_CFG_MONITOR_LIFETIMES ? (uint64_t)1024u << i : UINT64_MAX;
        break;
    }
    return EA_OK;
}

void ea_monitor_reset_peaks(monitor_t *monitor, uint64_t now_us)
{
    ea_monitor_stats_t stats;
    for (uint32_t i = 0; i < monitor->eai_n_types; i++) {
        ea_accounts_reset_peaks(monitor->eai_types[i].book);
    }
    ea_monitor_stats(monitor, &stats);
    EAI_STORE(&monitor->eai_most_queued, stats.n_queued, EAI_RELAXED);
    monitor->eai_peaks_since_us = now_us;
}

void ea_monitor_stats(const monitor_t *monitor, ea_monitor_stats_t *stats)
{
    monitor_t *of = (monitor_t *)monitor;
    word_t head = EAI_LOAD(&of->eai_head, EAI_SEQ_CST), tail = EAI_LOAD(&of->eai_tail, EAI_SEQ_CST);
    stats->n_slots = monitor->eai_n_slots;
    stats->n_queued = tail - head <= monitor->eai_n_cells ? tail - head : 0;
    stats->most_queued = EAI_LOAD(&of->eai_most_queued, EAI_RELAXED);
    stats->n_queued_total = tail;
    stats->n_queue_full = counted(&monitor->eai_n_full);
    stats->n_refused = counted(&monitor->eai_n_refused);
    stats->peaks_since_us = monitor->eai_peaks_since_us;
}
