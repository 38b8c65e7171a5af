/* SPDX-License-Identifier: MIT
 *
 * Reading lineages while others record; lineage.c tells the story. A reader takes no lock: what it
 * copied counts if the place held the same block before and after.
 */
#include "observe/lineage_internal.h"

#define N_TRIES 4u

/* Acquires, so that what is read later is no older. */
EA_INLINE uintptr_t word_of(uintptr_t *place, unsigned which)
{
    return EAI_LOAD(&place[which], EAI_ACQUIRE);
}

static uint64_t time_of(const lineage_t *l, uintptr_t units)
{
    return (uint64_t)units * l->eai_unit_us;
}

static void copy_hand_overs(const lineage_t *l, uintptr_t *place, ea_lineage_entry_t *e)
{
    size_t n = e->n_handed < l->eai_n_hand_overs ? e->n_handed : l->eai_n_hand_overs;
    if (n > EA_LINEAGE_HAND_OVERS_MAX) n = 0; /* damaged */
    e->n_hand_overs = n;
    for (size_t i = 0; i < n; i++) {
        uintptr_t *hop = eai_nth_hop(place, (e->n_handed - n + i) % l->eai_n_hand_overs);
        e->hand_overs[i].site = (const void *)word_of(hop, EAI_H_SITE);
        e->hand_overs[i].time_us = time_of(l, word_of(hop, EAI_H_TIME));
        e->hand_overs[i].to = (uint16_t)word_of(hop, EAI_H_OWNER);
    }
    e->owner_now = n != 0 ? e->hand_overs[n - 1u].to : e->owner;
}

static ea_status_t fetch_once(const lineage_t *l, uintptr_t *place, ea_lineage_entry_t *e)
{
    uintptr_t block = word_of(place, EAI_L_BLOCK);
    if (block <= EAI_TAKEN) return EA_ERR_NOT_FOUND;
    e->is_known = true;
    e->is_live = (block & EAI_IS_FREED) == 0;
    e->block = (const void *)(block & ~EAI_IS_FREED);
    e->eai_serial = word_of(place, EAI_L_SERIAL);
    e->site = (const void *)word_of(place, EAI_L_SITE);
    e->parent = (const void *)word_of(place, EAI_L_PARENT);
    e->eai_parent_serial = word_of(place, EAI_L_PARENT_SERIAL);
    e->size_bytes = word_of(place, EAI_L_SIZE);
    e->time_us = time_of(l, word_of(place, EAI_L_TIME));
    uintptr_t owner = word_of(place, EAI_L_OWNER);
    e->owner = (uint16_t)owner;
    e->stack = (uint16_t)(owner >> 16);
    e->n_handed = word_of(place, EAI_L_N_HANDED);
    copy_hand_overs(l, place, e);
    bool is_same = word_of(place, EAI_L_BLOCK) == block &&
                   word_of(place, EAI_L_SERIAL) == e->eai_serial &&
                   word_of(place, EAI_L_N_HANDED) == e->n_handed;
    return is_same ? EA_OK : EA_ERR_AGAIN;
}

static ea_status_t fetch(const lineage_t *l, uintptr_t *place, ea_lineage_entry_t *e)
{
    ea_status_t status = EA_ERR_AGAIN;
    for (unsigned i = 0; i < N_TRIES && status == EA_ERR_AGAIN; i++)
        status = fetch_once(l, place, e);
    return status;
}

ea_status_t ea_lineage_of(const lineage_t *l, const void *block, ea_lineage_entry_t *e)
{
    if (!l || !block || !e) return EA_ERR_INVALID;
    uintptr_t address = (uintptr_t)block, newest = 0, *found = NULL;
    for (uint32_t i = 0; i < EAI_LINEAGE_WAYS; i++) {
        uintptr_t *place = eai_nth_way(l, address, i), word = word_of(place, EAI_L_BLOCK);
        if ((word & ~EAI_IS_FREED) != address) continue;
        uintptr_t serial = word_of(place, EAI_L_SERIAL);
        if (!found || word == address || serial - newest <= UINTPTR_MAX / 2u) {
            found = place;
            newest = serial;
        }
        if (word == address) break; /* the live one */
    }
    e->generation = 0;
    return found ? fetch(l, found, e) : EA_ERR_NOT_FOUND;
}

/* The block with this serial, wherever it is by now. */
static ea_status_t fetch_serial(const lineage_t *l, uintptr_t address, uintptr_t serial,
                                ea_lineage_entry_t *e)
{
    for (uint32_t i = 0; i < EAI_LINEAGE_WAYS + eai_n_places(l); i++) {
        uintptr_t *place = i < EAI_LINEAGE_WAYS ? eai_nth_way(l, address, i)
                                                : eai_nth_place(l, i - EAI_LINEAGE_WAYS);
        if (word_of(place, EAI_L_BLOCK) > EAI_TAKEN && word_of(place, EAI_L_SERIAL) == serial &&
            fetch(l, place, e) == EA_OK && e->eai_serial == serial)
            return EA_OK;
    }
    return EA_ERR_NOT_FOUND;
}

ea_status_t ea_lineage_parent(const lineage_t *l, ea_lineage_entry_t *e)
{
    if (!l || !e) return EA_ERR_INVALID;
    if (!e->is_known || !e->parent) return EA_ERR_NOT_FOUND;
    uintptr_t serial = e->eai_parent_serial, own = e->eai_serial;
    const void *parent = e->parent;
    uint32_t generation = e->generation + 1u;
    bool is_older = serial != 0 && own - serial - 1u < UINTPTR_MAX / 2u; /* L3 */
    if (!is_older || fetch_serial(l, (uintptr_t)parent, serial, e) != EA_OK) {
        *e = (ea_lineage_entry_t){0};
        e->block = parent;
    }
    e->generation = generation;
    return EA_OK;
}

ea_status_t ea_lineage_next(const lineage_t *l, size_t *cursor, ea_lineage_entry_t *e)
{
    if (!l || !cursor || !e) return EA_ERR_INVALID;
    e->generation = 0;
    while (*cursor < eai_n_places(l)) /* bound: places */
        if (fetch(l, eai_nth_place(l, (uint32_t)(*cursor)++), e) == EA_OK) return EA_OK;
    return EA_ERR_NOT_FOUND;
}

void ea_lineage_stats(const lineage_t *l, ea_lineage_stats_t *stats)
{
    lineage_t *words = (lineage_t *)(uintptr_t)l;
    stats->n_recorded = EAI_LOAD(&words->eai_serial, EAI_RELAXED);
    stats->n_untracked = EAI_LOAD(&words->eai_n_untracked, EAI_RELAXED);
    stats->n_forgotten = EAI_LOAD(&words->eai_n_forgotten, EAI_RELAXED);
    stats->n_severed = EAI_LOAD(&words->eai_n_severed, EAI_RELAXED);
}
