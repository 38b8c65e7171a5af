/* SPDX-License-Identifier: MIT
 *
 * The allocator: regions of movable blocks (rows A4, A7). Such a region is a store instead of a
 * heap. Blocks with an address come from its high end, as from other regions: tagged, guarded,
 * found by their address. Movable ones come from its low end and are known by their handle; whose
 * they are stands in an array in front of the store.
 *
 *     region: [owners, by number of the handle][store: movable blocks ->   <- fixed blocks][table]
 *
 * The table does not grow, for fixed blocks stand below it. The slot's lock makes whoever holds it
 * the store's owner; locks of blocks need none.
 */
#include "memory/allocator_internal.h"

#if EA_CFG_ALLOC_MOVABLE
#if EAI_ALLOC_OWNERS
#include "ealloc/owner.h"
#endif

/* --- blocks with an address ------------------------------------------------------------------- */

void *eai_take_fixed_locked(alloc_t *a, uint8_t index, eai_want_t *want)
{
    const slot_t *slot = &a->eai_slots[index];
    const size_t least = EAI_FRONT_BYTES + EAI_DEFERRED_BYTES;
    size_t usable = 0, alignment = want->alignment_bytes;
    if (alignment < EA_HEAP_ALIGN) alignment = EA_HEAP_ALIGN;
    char *raw = eai_movable_alloc_fixed_at(
        slot->eai_store, want->raw_bytes < least ? least : want->raw_bytes, alignment,
        EAI_FRONT_BYTES, want->may_move ? slot->eai_move_bytes : 0);
    if (!raw || ea_movable_probe_fixed(slot->eai_store, raw, &usable) != EA_OK) return NULL;
    want->place = index;
    want->gross_bytes = usable + EA_MOVABLE_HEADER_BYTES;
    want->usable_bytes = usable - EAI_FRONT_BYTES;
    return raw + EAI_FRONT_BYTES;
}

/* --- movable blocks --------------------------------------------------------------------------- */

/* What a block of so many bytes costs. */
EA_INLINE size_t gross_of_movable(size_t size_bytes)
{
    size_t rounded = (size_bytes + EA_MOVABLE_ALIGN - 1u) & ~(size_t)(EA_MOVABLE_ALIGN - 1u);
    return (rounded ? rounded : EA_MOVABLE_ALIGN) + EA_MOVABLE_HEADER_BYTES;
}

/* The slot of a store, locked. NULL: it is none of the allocator's. */
static slot_t *lock_store(alloc_t *a, const ea_movable_t *store)
{
    for (uint8_t i = 0; store && i < EA_CFG_ALLOC_REGIONS; i++) {
        slot_t *slot = &a->eai_slots[i];
        if (EAI_PEEK(&slot->eai_store) != store) continue;
        (void)eai_lock_slot(a, slot, false);
        if (slot->eai_store == store) return slot;
        eai_unlock_slot(a, slot);
    }
    return NULL;
}

ea_movable_t *ea_allocator_store(const alloc_t *a, const void *mem)
{
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++)
        if (EAI_PEEK(&a->eai_slots[i].eai_begin) == mem)
            return EAI_PEEK(&a->eai_slots[i].eai_store);
    return NULL;
}

void *eai_try_movable(alloc_t *a, eai_want_t *want)
{
    want->handle = (ea_movable_handle_t){0};
    if (!eai_charge(want)) return NULL;
    slot_t *slot = lock_store(a, want->store);
    if (slot) {
        want->handle = ea_movable_alloc(slot->eai_store, want->size_bytes, slot->eai_move_bytes);
#if EAI_ALLOC_OWNERS
        if (!ea_movable_is_none(want->handle))
            slot->eai_owners[eai_movable_number(want->handle)] = eai_owner_id(want);
#endif
        eai_unlock_slot(a, slot);
    }
    return eai_settle_charge(a, want, ea_movable_is_none(want->handle) ? NULL : want->store);
}

void eai_drop_movable(alloc_t *a, const eai_want_t *want)
{
    slot_t *slot = lock_store(a, want->store);
    if (!slot) return;
    (void)ea_movable_free(slot->eai_store, want->handle);
    eai_unlock_slot(a, slot);
}

ea_movable_handle_t ea_malloc_movable(alloc_t *a, ea_movable_t *store, size_t size_bytes,
                                      const ea_request_t *request)
{
    const ea_movable_handle_t none = {0};
    eai_want_t want;
    ea_request_t wish = {0};
    if (request) wish = *request;
    wish.alignment_bytes = wish.capabilities = 0;
    wish.policy = EA_POLICY_DEFAULT;
    if (eai_verify_seals(a, false) != EA_OK) return none;
    slot_t *slot = lock_store(a, store);
    if (!slot) return none;
    eai_unlock_slot(a, slot);
    if (!eai_want(a, &want, size_bytes, &wish, EAI_CALLER())) return none;
    want.store = store;
    want.raw_bytes = size_bytes; /* what reclaimers hear */
    want.gross_bytes = gross_of_movable(size_bytes);
    void *found = eai_try(a, &want);
    if (!found) found = eai_rescue(a, &want);
    if (!found) return none;
    eai_add_used(a, want.gross_bytes);
    eai_look_around(a);
    return want.handle;
}

#if EAI_ALLOC_OWNERS
static ea_account_t *account_of(const alloc_t *a, uint16_t owner)
{
    return owner && a->eai_accounts ? ea_account_by_id(a->eai_accounts, owner) : NULL;
}

/* May who calls free a block of this owner? */
static bool may_free_movable(const alloc_t *a, uint16_t owner)
{
    const ea_account_t *freer = ea_owner_current();
    return !a->eai_strict_owner || !owner || !freer || !eai_is_ours(a, freer) ||
           ea_account_id(freer) == owner;
}
#endif

/* Why a block has no size. */
static ea_status_t why_none(ea_movable_t *store, ea_movable_handle_t handle)
{
    char none;
    return ea_movable_read(store, handle, 0, &none, 0) == EA_ERR_NOT_FOUND ? EA_ERR_NOT_FOUND
                                                                           : EA_ERR_BUSY;
}

ea_status_t ea_free_movable(alloc_t *a, ea_movable_t *store, ea_movable_handle_t handle)
{
    if (eai_verify_seals(a, false) != EA_OK) return EA_ERR_CORRUPT;
    slot_t *slot = lock_store(a, store);
    if (!slot) return EA_ERR_NOT_FOUND;
    size_t size = ea_movable_size_bytes(store, handle);
    ea_status_t status = size ? EA_OK : why_none(store, handle);
#if EAI_ALLOC_OWNERS
    /* A handle that is not live may have a number beyond the table. */
    uint16_t owner = size ? slot->eai_owners[eai_movable_number(handle)] : 0;
    if (status == EA_OK && !may_free_movable(a, owner)) status = EA_ERR_NOT_OWNER;
#endif
    if (status == EA_OK) status = ea_movable_free(store, handle);
    eai_unlock_slot(a, slot);
    if (status != EA_OK) return status;
    size_t gross = gross_of_movable(size);
#if EAI_ALLOC_OWNERS
    ea_account_t *account = account_of(a, owner);
    if (account) (void)ea_account_return(account, gross);
#endif
    eai_add_used(a, 0u - gross);
    eai_look_around(a);
    return EA_OK;
}

ea_status_t ea_resize_movable(alloc_t *a, ea_movable_t *store, ea_movable_handle_t handle,
                              size_t size_bytes)
{
    if (eai_verify_seals(a, false) != EA_OK) return EA_ERR_CORRUPT;
    slot_t *slot = lock_store(a, store);
    if (!slot) return EA_ERR_NOT_FOUND;
    size_t size = ea_movable_size_bytes(store, handle);
    if (size_bytes > SIZE_MAX / 2u) size_bytes = SIZE_MAX / 2u; /* as impossible */
    size_t had = gross_of_movable(size), has = gross_of_movable(size_bytes);
    ea_status_t status = size ? EA_OK : why_none(store, handle);
#if EAI_ALLOC_OWNERS
    ea_account_t *account =
        size ? account_of(a, slot->eai_owners[eai_movable_number(handle)]) : NULL;
    if (status == EA_OK && account && has > had)
        status = ea_account_charge(account, has - had, NULL);
#endif
    if (status == EA_OK) {
        status = ea_movable_resize(store, handle, size_bytes, slot->eai_move_bytes);
#if EAI_ALLOC_OWNERS
        if (account && status != EA_OK && has > had) (void)ea_account_return(account, has - had);
        if (account && status == EA_OK && has < had) (void)ea_account_return(account, had - has);
#endif
    }
    eai_unlock_slot(a, slot);
    if (status != EA_OK) return status;
    eai_add_used(a, has - had);
    eai_look_around(a);
    return EA_OK;
}

/* Regions are done at different calls: each is left alone until all are. */
ea_status_t ea_allocator_step(alloc_t *a, size_t budget_bytes)
{
    ea_status_t status = EA_OK;
    if (eai_verify_seals(a, false) != EA_OK) return EA_ERR_CORRUPT;
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++) {
        slot_t *slot = &a->eai_slots[i];
        if (!EAI_PEEK(&slot->eai_store)) continue;
        (void)eai_lock_slot(a, slot, false);
        if (slot->eai_store && !slot->eai_is_slid)
            slot->eai_is_slid = ea_movable_step(slot->eai_store, budget_bytes) == EA_OK;
        if (slot->eai_store && !slot->eai_is_slid) status = EA_ERR_AGAIN;
        eai_unlock_slot(a, slot);
    }
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS && status == EA_OK; i++)
        EAI_POKE(&a->eai_slots[i].eai_is_slid, false);
    eai_look_around(a); /* there may be room for somebody who waits */
    return status;
}
#endif
