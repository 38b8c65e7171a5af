/* SPDX-License-Identifier: MIT
 *
 * Seals of what an allocator follows blindly: its slots, their order, the pool set and its pools'
 * constants. From level 2 of checks on every call that follows them looks at the seals first, and
 * refuses where one does not match: a damaged address is not followed.
 *
 * Level 3 also checks every heap.
 *
 * A slot's seal changes with the slot, under one of two locks: what was being added or resized
 * meanwhile is looked at again under each before it counts as damage.
 */
#include "memory/allocator_internal.h"

#if EA_CFG_CHECK_LEVEL >= 2

/* Multiplying by an odd number loses no bit, so any one changed word changes the seal. */
static uint32_t mix(uint32_t seal, uintptr_t word)
{
    seal = (seal ^ (uint32_t)word) * 0x9E3779B1u;
    seal ^= seal >> 15;
    if (sizeof word > 4) {
        seal = (seal ^ (uint32_t)((uint64_t)word >> 32)) * 0x85EBCA77u;
        seal ^= seal >> 13;
    }
    return seal;
}

static uint32_t seal_of_slot(const slot_t *slot)
{
    uint32_t seal = mix(0x5107u, (uintptr_t)EAI_PEEK(&slot->eai_begin));
    seal = mix(seal, (uintptr_t)EAI_PEEK(&slot->eai_end));
    seal = mix(seal, (uintptr_t)EAI_PEEK(&slot->eai_heap));
#if EA_CFG_ALLOC_MOVABLE
    seal = mix(seal, (uintptr_t)EAI_PEEK(&slot->eai_store));
    seal = mix(seal, EAI_PEEK(&slot->eai_move_bytes));
#if EAI_ALLOC_OWNERS
    seal = mix(seal, (uintptr_t)EAI_PEEK(&slot->eai_owners));
#endif
#endif
    seal = mix(seal, (uintptr_t)EAI_PEEK(&slot->eai_moving));
    seal = mix(seal, EAI_PEEK(&slot->eai_capabilities));
    seal = mix(seal, EAI_PEEK(&slot->eai_reserve_bytes));
    seal =
        mix(seal, (uint32_t)EAI_PEEK(&slot->eai_priority) << 24 |
                      (uint32_t)EAI_PEEK(&slot->eai_policy) << 16 |
                      (uint32_t)EAI_PEEK(&slot->eai_line_log2) << 8 | EAI_PEEK(&slot->eai_serial));
    /* As a byte: damage makes a bool what no bool is. */
    return mix(seal, EAI_PEEK((const uint8_t *)&slot->eai_is_ordinary));
}

static uint32_t seal_of_order(const alloc_t *a)
{
    uint32_t seal =
        mix(0x0DE4u, (uint32_t)EAI_PEEK(&a->eai_n_regions) << 8 | EAI_PEEK(&a->eai_first));
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++) seal = mix(seal, EAI_PEEK(&a->eai_order[i]));
    return seal;
}

#if EA_CFG_ALLOC_POOLS
static uint32_t seal_of_pool(uint32_t seal, const ea_pool_t *pool)
{
    seal = mix(seal, (uintptr_t)pool->eai_base);
    seal = mix(seal, pool->eai_inverse);
    seal = mix(seal, pool->eai_n_blocks);
    seal = mix(seal, pool->eai_block_bytes);
    seal = mix(seal, (uint32_t)pool->eai_rotate << 16 | (uint32_t)pool->eai_no_link_bits << 8 |
                         pool->eai_align_log2);
    seal = mix(seal, (uintptr_t)pool->eai_slabs);
#if EA_CFG_POOL_WAIT
    seal = mix(seal, !ea_waitq_is_empty(&pool->eai_waiting)); /* nobody waits for an allocator's */
#endif
    return mix(seal, (uintptr_t)pool->eai_seal);
}

/* Bound: classes, of a set whose own words are sound. */
static uint32_t seal_of_pools(const alloc_t *a, bool *are_followed)
{
    const ea_poolset_t *set = a->eai_pools;
    uint32_t seal = mix(0x9001u, (uintptr_t)set);
#if EAI_TAGGED
    seal = mix(seal, (uintptr_t)a->eai_pool_tags);
#endif
    *are_followed = false;
    if (!set || (uintptr_t)set != ~a->eai_pools_mirror) return seal;
    seal = mix(seal, (uintptr_t)set->eai_pools);
    seal = mix(seal, (uintptr_t)set->eai_pools_end);
    seal = mix(seal, (uintptr_t)set->eai_begin);
    seal = mix(seal, (uintptr_t)set->eai_end);
    seal = mix(seal, set->eai_n_classes);
    seal = mix(seal, set->eai_max_bytes);
    seal = mix(seal, set->eai_strategy);
    *are_followed = seal == a->eai_set_seal;
    return seal;
}

static uint32_t seal_of_classes(const ea_poolset_t *set)
{
    uint32_t seal = 0xC1A5u;
    for (uint32_t k = 0; k < set->eai_n_classes; k++) seal = seal_of_pool(seal, &set->eai_pools[k]);
    return seal;
}

static bool are_pools_sound(const alloc_t *a)
{
    bool are_followed;
    if (seal_of_pools(a, &are_followed) != a->eai_set_seal) return false;
    return !are_followed || seal_of_classes(a->eai_pools) == a->eai_pools_seal;
}
#endif

void eai_seal_slot(slot_t *slot)
{
    EAI_POKE(&slot->eai_seal, seal_of_slot(slot));
}

void eai_seal_order(alloc_t *a)
{
    EAI_POKE(&a->eai_seal, seal_of_order(a));
}

void eai_seal_pools(alloc_t *a)
{
    (void)a;
#if EA_CFG_ALLOC_POOLS
    bool are_followed;
    a->eai_pools_mirror = ~(uintptr_t)a->eai_pools;
    a->eai_set_seal = seal_of_pools(a, &are_followed);
    a->eai_pools_seal = a->eai_pools ? seal_of_classes(a->eai_pools) : 0;
#endif
}

void eai_seal_all(alloc_t *a)
{
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++) eai_seal_slot(&a->eai_slots[i]);
    eai_seal_order(a);
    eai_seal_pools(a);
}

/* Where no lock says otherwise a mismatch may be a change under way. */
static bool is_slot_sound(alloc_t *a, slot_t *slot, bool isr)
{
    bool sound = EAI_PEEK(&slot->eai_seal) == seal_of_slot(slot);
    for (unsigned i = 0; !sound && i < 4; i++) {
        if (!eai_lock_slot(a, slot, isr)) return true; /* an interrupt: it is being changed */
        sound = slot->eai_seal == seal_of_slot(slot);
        eai_unlock_slot(a, slot);
        if (sound || isr) break;
        eai_lock(a);
        sound = slot->eai_seal == seal_of_slot(slot);
        eai_unlock(a);
    }
    return sound;
}

#if EA_CFG_CHECK_LEVEL >= 3
/* Level 3 looks at every region on every call; an interrupt at those that are not locked. */
static const void *damaged_region(alloc_t *a, bool isr)
{
    const void *where = NULL;
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS && !where; i++) {
        slot_t *slot = &a->eai_slots[i];
        ea_heap_fault_t fault = {0};
        if (!eai_lock_slot(a, slot, isr)) continue;
        if (slot->eai_heap) (void)!ea_heap_check(slot->eai_heap, &fault);
        where = fault.where;
#if EA_CFG_ALLOC_MOVABLE
        ea_movable_fault_t found = {0};
        if (slot->eai_store) (void)!ea_movable_check(slot->eai_store, &found);
        if (!where) where = found.where;
#endif
        eai_unlock_slot(a, slot);
    }
    return where;
}
#endif

const void *eai_unsound(alloc_t *a, bool isr)
{
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++)
        if (EA_UNLIKELY(!is_slot_sound(a, &a->eai_slots[i], isr))) return &a->eai_slots[i];
    if (EA_UNLIKELY(EAI_PEEK(&a->eai_seal) != seal_of_order(a)) && !isr) {
        eai_lock(a);
        bool sound = a->eai_seal == seal_of_order(a);
        eai_unlock(a);
        if (!sound) return &a->eai_order;
    }
#if EA_CFG_ALLOC_POOLS
    if (EA_UNLIKELY(!are_pools_sound(a))) return a->eai_pools ? (const void *)a->eai_pools : a;
#endif
#if EA_CFG_CHECK_LEVEL >= 3
    return damaged_region(a, isr);
#else
    return NULL;
#endif
}

ea_status_t eai_verify_seals(alloc_t *a, bool isr)
{
    const void *where = eai_unsound(a, isr);
    if (EA_LIKELY(!where)) return EA_OK;
    ea_guard_report_t report = {.kind = EA_GUARD_STORE, .first_bad = where};
    return eai_damaged(a, isr, &report, EA_ERR_CORRUPT, NULL);
}

#else

typedef int eai_no_seals_t; /* C wants something in every source */

#endif
