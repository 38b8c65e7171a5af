/* SPDX-License-Identifier: MIT
 *
 * The allocator: from a pointer to its block, and back to what it came from. The invariants stand
 * in allocator.c.
 *
 * Blocks that an interrupt could not free at once are on a list that runs through them. It is
 * pushed to by any context and taken from by one task at a time, so a push that finds the head it
 * read is right whatever happened in between.
 */
#include "memory/allocator_internal.h"

#include "memory/guard_inline.h"
#if EAI_ALLOC_OWNERS
#include "ealloc/owner.h"
#endif

/* --- giving back ------------------------------------------------------------------------------ */

ea_status_t eai_give_back(alloc_t *a, uint8_t place, void *raw, bool isr)
{
#if EA_CFG_ALLOC_POOLS
    if (eai_is_pool(place)) return ea_poolset_free(a->eai_pools, raw);
#endif
    if (place == EAI_NO_PLACE) return EA_ERR_FOREIGN;
    slot_t *slot = &a->eai_slots[place];
    if (!eai_lock_slot(a, slot, isr)) return EA_ERR_BUSY;
    ea_status_t status = eai_free_raw(slot, raw);
    eai_unlock_slot(a, slot);
    return status;
}

#if EA_CFG_ALLOC_ISR
/* A block on the deferred list: the next one and, where no tag tells it, a word that tells whether
 * a block is on it. The list holds raw blocks; the words are in the payload, where the guards have
 * had their look. Every block has room for them: EAI_LEAST_BYTES. */
typedef uintptr_t EA_MAY_ALIAS link_word_t;
typedef uint32_t EA_MAY_ALIAS sign_word_t;
EA_STATIC_ASSERT(sizeof(link_word_t) + (EAI_TAGGED ? 0 : sizeof(sign_word_t)) <= EAI_DEFERRED_BYTES,
                 "every block holds what the deferred list writes");

EA_INLINE link_word_t *link_in(void *raw)
{
    return (link_word_t *)(void *)((char *)raw + EAI_FRONT_BYTES);
}

#if !EAI_TAGGED
EA_INLINE sign_word_t *sign_in(void *raw)
{
    return (sign_word_t *)(void *)((char *)raw + EAI_FRONT_BYTES + sizeof(link_word_t));
}

EA_INLINE uint32_t sign_of(const void *raw, uintptr_t link)
{
    return (uint32_t)link ^ (uint32_t)(uintptr_t)raw ^ 0xDEFE44EDu;
}

/* A block that bears the sign may be on the list already: look. */
static bool is_deferred(const alloc_t *a, void *raw)
{
    if (*sign_in(raw) != sign_of(raw, *link_in(raw))) return false;
    uintptr_t at = EAI_LOAD(&a->eai_deferred, EAI_ACQUIRE);            /* pairs with the push */
    while (at != 0 && at != (uintptr_t)raw) at = *link_in((void *)at); /* bound: blocks deferred */
    return at != 0;
}
#endif

static void defer(alloc_t *a, void *raw)
{
    EAI_ENTER(irq);
    uintptr_t first;
    do {
        first = EAI_LOAD(&a->eai_deferred, EAI_RELAXED);
        *link_in(raw) = first;
#if !EAI_TAGGED
        *sign_in(raw) = sign_of(raw, first);
#endif
    } while (!EAI_CAS(&a->eai_deferred, first, (uintptr_t)raw)); /* releases; pairs with drain */
    EAI_LEAVE(irq);
}

/* The block pushed last; NULL: none. One task at a time takes, under the allocator's lock, so the
 * head that is read cannot go and come back: its link stays right while others push. */
static void *take_deferred(alloc_t *a)
{
    eai_lock(a);
    EAI_ENTER(irq);
    uintptr_t first;
    do first = EAI_LOAD(&a->eai_deferred, EAI_ACQUIRE); /* pairs with defer */
    while (first != 0 && !EAI_CAS(&a->eai_deferred, first, *link_in((void *)first)));
    EAI_LEAVE(irq);
    eai_unlock(a);
    return (void *)first;
}
#endif

size_t eai_drain(alloc_t *a, size_t max_steps)
{
    size_t n = 0;
#if EA_CFG_ALLOC_ISR
    for (; n < max_steps; n++) {
        void *raw = take_deferred(a);
        if (!raw) break;
#if !EAI_TAGGED
        *sign_in(raw) = 0;
#endif
        ea_status_t status = eai_settle(a, eai_home_of(a, raw), raw, false);
        if (EA_LIKELY(status == EA_OK)) continue;
        ea_guard_report_t report = {.kind = eai_kind_of(status),
                                    .block = (char *)raw + EAI_FRONT_BYTES};
        (void)eai_damaged(a, false, &report, status, NULL);
    }
#else
    (void)a, (void)max_steps;
#endif
    return n;
}

#if EA_CFG_ALLOC_ISR
size_t eai_count_deferred(alloc_t *a)
{
    size_t n = 0;
    eai_lock(a);
    uintptr_t at = EAI_LOAD(&a->eai_deferred, EAI_ACQUIRE); /* pairs with defer */
    for (; at != 0; at = *link_in((void *)at)) n++;         /* bound: blocks deferred */
    eai_unlock(a);
    return n;
}
#endif

size_t ea_allocator_poll(alloc_t *a, size_t max_steps)
{
    if (eai_verify_seals(a, false) != EA_OK) return 0;
    size_t n = eai_drain(a, max_steps);
    if (n != 0 || eai_is_awaited(a)) eai_after_free(a);
    return n;
}

/* A block of a region that its user has given up: into quarantine or its heap. Task. */
ea_status_t eai_settle(alloc_t *a, uint8_t place, void *raw, bool is_poisoned)
{
    (void)is_poisoned;
#if EA_CFG_GUARD >= 3
    if (is_poisoned) {
        size_t usable = eai_usable_locked(a, place, raw) - EAI_FRONT_BYTES;
        if (eai_detain(a, (char *)raw + EAI_FRONT_BYTES, usable)) return EA_OK;
    }
#endif
    return eai_give_back(a, place, raw, false);
}

/* --- finding ---------------------------------------------------------------------------------- */

#if EAI_TAGGED
/* May who calls free a block of this owner? */
static bool may_free(const alloc_t *a, const eai_block_t *block)
{
    (void)a, (void)block;
#if EAI_ALLOC_OWNERS
    return !block->freer || block->label.owner == 0 || block->freer == block->label.owner ||
           !a->eai_strict_owner;
#else
    return true;
#endif
}
#endif

/* Look at a block's tag and guards; if it is to be freed mark it, so that of two that free it one
 * succeeds. */
static ea_status_t inspect(alloc_t *a, eai_block_t *block, eai_finding_t *finding)
{
#if EAI_TAGGED
    finding->kind =
        eai_guard_check(&a->eai_guard, block->tag, block->payload, block->usable_bytes, finding);
    if (EA_UNLIKELY(finding->kind != EA_GUARD_NONE)) return EA_ERR_CORRUPT;
    (void)eai_guard_label(&a->eai_guard, block->tag, block->payload, &block->label);
    if (!block->goes) return EA_OK;
    if (!may_free(a, block)) {
        finding->kind = EA_GUARD_WRONG_OWNER;
        return EA_ERR_NOT_OWNER;
    }
    if (!eai_guard_claim(&a->eai_guard, block->tag, block->payload, &block->poisons)) {
        finding->kind = EA_GUARD_DOUBLE_FREE; /* an interrupt was faster */
        return EA_ERR_DOUBLE_FREE;
    }
#else
    (void)a, (void)block, (void)finding;
#endif
    return EA_OK;
}

/* What stands in the slot's heap under payload. locked: else only what no other context can be
 * changing is looked at, which is enough to tell a live block from most others. */
static ea_status_t look_at(alloc_t *a, slot_t *slot, bool locked, eai_block_t *block,
                           eai_finding_t *finding)
{
    char *raw = block->payload - EAI_FRONT_BYTES;
    size_t usable = 0;
    const char *begin = EAI_PEEK(&slot->eai_begin), *end = EAI_PEEK(&slot->eai_end);
    if (EA_UNLIKELY(!eai_is_there(slot) || ((uintptr_t)raw & (EA_HEAP_ALIGN - 1u)) != 0 ||
                    (uintptr_t)raw - (uintptr_t)begin >= (size_t)(end - begin)))
        return EA_ERR_FOREIGN;
    if (EA_LIKELY(locked)) {
        ea_status_t status = eai_probe_raw(slot, raw, &usable);
#if EAI_TAGGED
        /* Links have been written over the tag, but not over all of it. */
        if (EA_UNLIKELY(status == EA_ERR_DOUBLE_FREE))
            (void)eai_guard_label(&a->eai_guard, eai_guard_front_tag(block->payload),
                                  block->payload, &block->label);
#endif
        if (EA_UNLIKELY(status != EA_OK)) return status;
    } else {
        usable = eai_usable_raw(slot, raw);
        if (usable > (size_t)(end - raw)) return EA_ERR_CORRUPT;
    }
    if (EA_UNLIKELY(usable <= EAI_FRONT_BYTES)) return EA_ERR_CORRUPT;
    block->gross_bytes = usable + eai_overhead_of(slot);
    block->usable_bytes = usable - EAI_FRONT_BYTES;
#if EAI_TAGGED
    block->tag = eai_guard_front_tag(block->payload);
#endif
    ea_status_t status = inspect(a, block, finding);
    if (EA_UNLIKELY(status != EA_OK) || !block->goes || !locked || block->aside || block->poisons ||
        EA_CFG_GUARD >= 3 || eai_is_watched(a))
        return status;
    /* Nothing takes long from here on: free it while the lock is held. */
    status = eai_free_raw(slot, raw);
    block->is_free = status == EA_OK;
    return status;
}

static EA_NOINLINE ea_status_t not_live(alloc_t *a, bool isr, const eai_block_t *block,
                                        eai_finding_t *finding, ea_status_t status,
                                        const void *caller)
{
    ea_guard_report_t report = {.block = block->payload};
    if (finding->kind == EA_GUARD_NONE)
        finding->kind = eai_kind_of(status);
    else if (finding->kind == EA_GUARD_DOUBLE_FREE)
        status = EA_ERR_DOUBLE_FREE;
#if EAI_TAGGED
    if (block->tag)
        eai_guard_describe(&a->eai_guard, block->tag, block->payload, finding, &report);
    else if (sizeof(uintptr_t) > 4) /* what links leave: see guard.c */
        report.owner = block->label.owner;
    else
        report.site = block->label.site;
#endif
    report.kind = finding->kind;
    if (!isr && block->place < EA_CFG_ALLOC_REGIONS && status != EA_ERR_NOT_OWNER)
        eai_name_neighbours(a, block, &report);
    return eai_damaged(a, isr, &report, status, caller);
}

static ea_status_t locate(alloc_t *a, bool isr, eai_block_t *block, eai_finding_t *finding)
{
    ea_status_t status = EA_ERR_FOREIGN;
    uint8_t i = eai_slot_from(a, 0, block->payload);
    block->place = i;
    while (EA_LIKELY(i != EAI_NO_PLACE)) { /* bound: EA_CFG_ALLOC_REGIONS */
        slot_t *slot = &a->eai_slots[i];
        bool locked = !block->aside && eai_lock_slot(a, slot, isr);
        status = look_at(a, slot, locked, block, finding);
        if (locked) eai_unlock_slot(a, slot);
        if (EA_LIKELY(status != EA_ERR_FOREIGN)) {
            block->place = i;
            return status;
        }
        i = eai_slot_from(a, i + 1u, block->payload); /* the slot's region just came or went? */
    }
#if EA_CFG_ALLOC_POOLS
    if (a->eai_pools && ea_poolset_owns(a->eai_pools, block->payload)) {
        block->place = EAI_POOL_PLACE;
        block->gross_bytes = block->usable_bytes =
            ea_poolset_usable_bytes(a->eai_pools, block->payload);
#if EAI_TAGGED
        block->tag = eai_pool_tag(a, block->payload);
        bool locked = !block->aside && eai_lock_place(a, EAI_POOL_PLACE, isr);
        status = inspect(a, block, finding);
        if (locked) eai_unlock_place(a, EAI_POOL_PLACE);
#else
        status = inspect(a, block, finding);
#endif
    }
#endif
    return status;
}

static ea_status_t find(alloc_t *a, bool isr, eai_block_t *block, const void *caller)
{
    eai_finding_t finding = {0};
    if (eai_verify_seals(a, isr) != EA_OK) return EA_ERR_CORRUPT;
    ea_status_t status = locate(a, isr, block, &finding);
    if (EA_UNLIKELY(status != EA_OK)) return not_live(a, isr, block, &finding, status, caller);
    return EA_OK;
}

ea_status_t eai_look(const alloc_t *a, const void *ptr, eai_block_t *block)
{
    eai_finding_t finding = {0};
    *block = (eai_block_t){.payload = (char *)(uintptr_t)ptr};
    /* The lock is not part of what const promises. */
    alloc_t *mutable_a = (alloc_t *)(uintptr_t)a;
    if (eai_unsound(mutable_a, eai_in_isr())) return EA_ERR_CORRUPT;
    ea_status_t status = locate(mutable_a, eai_in_isr(), block, &finding);
    return finding.kind == EA_GUARD_DOUBLE_FREE ? EA_ERR_DOUBLE_FREE : status;
}

ea_status_t eai_find(alloc_t *a, void *ptr, eai_block_t *block, const void *caller)
{
    *block = (eai_block_t){.payload = ptr};
    return find(a, false, block, caller);
}

/* --- public: free ----------------------------------------------------------------------------- */

ea_status_t eai_give_up(alloc_t *a, const eai_block_t *block, bool isr)
{
    void *raw = eai_raw_of(block);
    if (block->is_free) return EA_OK;
#if EA_CFG_ALLOC_ISR
    if (EA_UNLIKELY(isr) && !eai_is_pool(block->place)) {
        ea_status_t status = block->aside ? EA_ERR_BUSY : eai_give_back(a, block->place, raw, true);
        if (status != EA_ERR_BUSY) return status;
#if !EAI_TAGGED
        if (is_deferred(a, raw)) return EA_ERR_DOUBLE_FREE;
#endif
        defer(a, raw);
        return EA_OK;
    }
#endif
#if EAI_TAGGED
    if (block->poisons) eai_guard_poison(block->payload, block->usable_bytes);
#endif
    if (eai_is_pool(block->place)) return eai_give_back(a, block->place, raw, isr);
    return eai_settle(a, block->place, raw, block->poisons);
}

static EA_NOINLINE void show_going(const alloc_t *a, const eai_block_t *block, const void *caller)
{
    uint16_t owner = 0;
#if EAI_TAGGED
    owner = block->label.owner;
    if (block->label.flags & EAI_LABEL_INTERNAL) return;
#endif
    eai_show(a, block->moves ? EA_BLOCK_MOVED : EA_BLOCK_FREED, owner, caller, block->payload,
             block->usable_bytes);
}

ea_status_t eai_discard(alloc_t *a, eai_block_t *block, bool isr, const void *caller)
{
    ea_status_t status = find(a, isr, block, caller);
    if (EA_UNLIKELY(status != EA_OK)) return status;
    /* Before anybody else can have it. */
    if (eai_is_watched(a)) show_going(a, block, caller);
    status = eai_give_up(a, block, isr);
    if (EA_UNLIKELY(status != EA_OK)) {
        ea_guard_report_t report = {.kind = eai_kind_of(status), .block = block->payload};
        return eai_damaged(a, isr, &report, status, caller);
    }
#if EAI_ALLOC_OWNERS
    if (block->label.owner != 0 && a->eai_accounts) {
        ea_account_t *owner = ea_account_by_id(a->eai_accounts, block->label.owner);
        if (EA_LIKELY(owner != NULL)) (void)ea_account_return(owner, block->gross_bytes);
    }
    if (EA_UNLIKELY(block->freer && block->label.owner && block->freer != block->label.owner))
        eai_tell(a, isr, EA_EVENT_WRONG_OWNER, EA_REASON_NONE, block->label.owner,
                 block->usable_bytes, block->payload, caller);
#endif
    eai_add_used(a, 0u - block->gross_bytes);
    return EA_OK;
}

static EA_NOINLINE ea_status_t free_block(alloc_t *a, void *ptr, bool isr, bool aside,
                                          const void *caller)
{
    eai_block_t block = {.payload = ptr, .goes = true, .aside = aside};
#if EAI_ALLOC_OWNERS
    const ea_account_t *freer = isr ? NULL : ea_owner_current();
    block.freer = freer && eai_is_ours(a, freer) ? ea_account_id(freer) : 0;
#endif
    ea_status_t status = eai_discard(a, &block, isr, caller);
    if (EA_UNLIKELY(status != EA_OK) && eai_is_watched(a))
        eai_show(a, EA_BLOCK_BAD_FREE, block.freer, caller, ptr, 0);
    if (status == EA_OK && !isr) eai_look_around(a);
#if EA_CFG_ALLOC_ISR && EA_CFG_ALLOC_WAIT
    if (EA_UNLIKELY(isr) && status == EA_OK && eai_has_waiters(a)) eai_rouse_isr(a);
#endif
    return status;
}

/* After something was given back. */
EA_INLINE void look_around_after_free(alloc_t *a)
{
    eai_look_at_accounts(a);
#if EA_CFG_ALLOC_ISR
    if (EA_UNLIKELY(EAI_PEEK(&a->eai_deferred) != 0)) (void)eai_drain(a, 4);
#endif
    if (EA_UNLIKELY(eai_is_awaited(a) || eai_level_may_change(a))) eai_after_free(a);
}

void eai_look_around(alloc_t *a)
{
    look_around_after_free(a);
}

/* --- the common way --------------------------------------------------------------------------- */

#if !EAI_PLAIN
/* A task gives a block of a region back, in one piece; whatever is not as usual is left to the
 * general way. Has the block been given back? false: nothing has happened. */
EA_INLINE bool give_quickly(alloc_t *a, char *payload)
{
    slot_t *slot = a->eai_slots, *const end = slot + EA_CFG_ALLOC_REGIONS;
    char *raw = payload - EAI_FRONT_BYTES;
    bool done = false;
    if (EA_CFG_GUARD >= 2 || EA_CFG_CHECK_LEVEL >= 2 || EA_UNLIKELY(eai_in_isr())) return false;
    if (EA_UNLIKELY((uintptr_t)raw & (EA_HEAP_ALIGN - 1u))) return false; /* no block's: not read */
    for (;; slot++) { /* bound: EA_CFG_ALLOC_REGIONS */
        uintptr_t begin = (uintptr_t)EAI_PEEK(&slot->eai_begin);
        if (EA_LIKELY((uintptr_t)raw - begin < (uintptr_t)EAI_PEEK(&slot->eai_end) - begin)) break;
        if (EA_UNLIKELY(slot + 1 == end)) return false;
    }
    size_t usable = 0;
#if EAI_ALLOC_OWNERS
    uint16_t freer = 0, owner = 0;
    if (a->eai_strict_owner || eai_wants(a, EA_EVENT_WRONG_OWNER)) {
        const ea_account_t *current = ea_owner_current();
        if (current && eai_is_ours(a, current)) freer = ea_account_id(current);
    }
#endif
    if (eai_is_watched(a)) return false; /* the hooks are told in the general way */
    (void)eai_lock_slot(a, slot, false);
    ea_heap_t *heap = slot->eai_heap;
    if (EA_LIKELY(heap != NULL && raw != slot->eai_begin)) {
        usable = eai_heap_payload_bytes(raw);
        /* What it reads is inside the region, whatever payload is. */
        if (EA_LIKELY(usable - EAI_FRONT_BYTES - 1u < (size_t)(slot->eai_end - payload))) {
#if EAI_TAGGED
            eai_tag_t *tag = eai_guard_front_tag(payload), t;
            uint32_t veil;
            bool may = eai_guard_is_intact(&a->eai_guard, tag, payload, usable - EAI_FRONT_BYTES,
                                           &t, &veil);
#if EAI_ALLOC_OWNERS
            owner = eai_tag_owner(&t);
            may = may && (freer == 0 || owner == 0 || freer == owner);
#endif
#if EA_CFG_ALLOC_ISR /* who frees it too, past the lock, finds out */
            bool poisons;
            may = may && eai_guard_claim(&a->eai_guard, tag, payload, &poisons);
#else
            if (EA_LIKELY(may)) (void)eai_guard_write_mark(tag, t, veil);
#endif
            if (EA_LIKELY(may)) {
                done = ea_heap_free(heap, raw) == EA_OK;
                if (EA_UNLIKELY(!done)) write_tag(tag, t, veil);
            }
#else
            done = ea_heap_free(heap, raw) == EA_OK;
#endif
        }
    }
    eai_unlock_slot(a, slot);
    if (EA_UNLIKELY(!done)) return false;
#if EAI_ALLOC_OWNERS
    if (owner != 0 && a->eai_accounts) {
        ea_account_t *account = ea_account_by_id(a->eai_accounts, owner);
        if (EA_LIKELY(account != NULL))
            (void)ea_account_return(account, usable + EA_HEAP_OVERHEAD_BYTES);
    }
#endif
    eai_add_used(a, 0u - (usable + EA_HEAP_OVERHEAD_BYTES));
    look_around_after_free(a);
    return true;
}
#endif

ea_status_t ea_free(alloc_t *a, void *ptr)
{
    if (!ptr) return EA_OK;
#if EAI_PLAIN
    /* Nothing to do but to find the region. */
    uint8_t place = eai_slot_from(a, 0, ptr);
    if (EA_CFG_CHECK_LEVEL < 2 && EA_LIKELY(place != EAI_NO_PLACE) && !eai_is_watched(a)) {
        ea_status_t status = ea_heap_free(a->eai_slots[place].eai_heap, ptr);
        if (EA_LIKELY(status == EA_OK)) return EA_OK;
    }
#else
    if (EA_LIKELY(give_quickly(a, ptr))) return EA_OK;
#endif
    return free_block(a, ptr, eai_in_isr(), false, EAI_CALLER());
}

#if EA_CFG_ALLOC_ISR
ea_status_t ea_free_isr(alloc_t *a, void *ptr)
{
    if (!ptr) return EA_OK;
    return free_block(a, ptr, true, true, EAI_CALLER());
}
#endif
