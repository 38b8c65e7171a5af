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

static void fill_in(const monitor_t *monitor, uint32_t index, word_t word, const record_t *record,
                    ea_resource_info_t *info)
{
    info->resource = handle_of(index, type_of(record->whose), word);
    info->parent = EA_RESOURCE_NONE;
    if (record->parent != 0 && record->parent <= monitor->eai_n_slots) {
        const slot_t *parent = &monitor->eai_slots[record->parent - 1u];
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
}

ea_status_t ea_monitor_info(const monitor_t *monitor, ea_resource_t resource,
                            ea_resource_info_t *info)
{
    record_t record;
    const slot_t *slot = slot_with(monitor, resource);
    word_t word = slot == NULL ? 0 : read_live(monitor, slot, &record);
    if (word == 0 || generation_of(word) != resource.eai_generation) return EA_ERR_NOT_FOUND;
    fill_in(monitor, index_of(monitor, slot), word, &record, info);
    return EA_OK;
}

ea_status_t ea_monitor_walk(const monitor_t *monitor, size_t *cursor, size_t max_steps,
                            ea_resource_visit_t visit, void *context)
{
    for (; *cursor < monitor->eai_n_slots && max_steps > 0; max_steps--) {
        record_t record;
        ea_resource_info_t info;
        uint32_t index = (uint32_t)(*cursor)++;
        word_t word = read_live(monitor, &monitor->eai_slots[index], &record);
        if (word == 0) continue;
        fill_in(monitor, index, word, &record, &info);
        if (!visit(context, &info)) return EA_OK;
    }
    return *cursor < monitor->eai_n_slots ? EA_ERR_AGAIN : EA_OK;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static void add_tallies(const monitor_t *monitor, uint8_t type, ea_resource_stats_t *stats)
{
    for (uint32_t i = 0; i <= monitor->eai_stripe_mask; i++) {
        const eai_tally_t *tally = tally_of(monitor, i, type);
        for (unsigned k = 0; k < EA_CFG_MONITOR_LIFETIMES; k++) {
            stats->lifetimes[k] += counted(&tally->lived[k]);
            stats->n_released += counted(&tally->lived[k]);
        }
    }
    /* Read afterwards: what was released by then was acquired before. */
    for (uint32_t i = 0; i <= monitor->eai_stripe_mask; i++) {
        stats->n_acquired += counted(&tally_of(monitor, i, type)->acquired);
    }
    stats->n_live = stats->n_acquired - stats->n_released;
}

ea_status_t ea_monitor_type_stats(const monitor_t *monitor, uint8_t type,
                                  ea_resource_stats_t *stats)
{
    if (type >= monitor->eai_n_types) return EA_ERR_INVALID;
    const eai_kind_t *kind = &monitor->eai_kinds[type];
    const ea_account_t *root = ea_accounts_root(monitor->eai_types[type].book);
    *stats = (ea_resource_stats_t){0};
    add_tallies(monitor, type, stats);
    stats->n_recycled = counted(&kind->recycled);
    for (unsigned i = 0; i <= EA_REASON_IN_LINE; i++) {
        stats->n_failures[i] = counted(&kind->failures[i]);
    }
    for (uint32_t i = 0; i < kind->n_idle; i++) {
        stats->n_idle += EAI_LOAD(&kind->idle[i], EAI_RELAXED) != 0;
    }
    stats->used = eai_account_used(root);
    stats->peak = EAI_LOAD(&((ea_account_t *)root)->eai_peak, EAI_RELAXED);
    stats->capacity = EAI_LOAD(&((ea_account_t *)root)->eai_max, EAI_RELAXED);
    if (stats->capacity != EA_ACCOUNT_UNLIMITED && stats->capacity > 0) {
        /* Without overflow, and without 64-bit division where 32 bits do. */
        size_t unit = stats->capacity / 1000u;
        stats->utilisation_permille =
            (uint32_t)(unit >= 1000u ? stats->used / unit
                                     : stats->used * (size_t)1000u / stats->capacity);
    }
    return EA_OK;
}

void ea_monitor_stats(const monitor_t *monitor, ea_monitor_stats_t *stats)
{
    monitor_t *of = (monitor_t *)monitor;
    word_t head = EAI_LOAD(&of->eai_head, EAI_SEQ_CST), tail = EAI_LOAD(&of->eai_tail, EAI_SEQ_CST);
    stats->n_slots = monitor->eai_n_slots;
    stats->n_queued = tail - head <= monitor->eai_n_cells ? tail - head : 0;
    stats->n_queued_total = tail;
    stats->n_queue_full = counted(&monitor->eai_n_full);
    stats->n_refused = counted(&monitor->eai_n_refused);
}
