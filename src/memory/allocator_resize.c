/* SPDX-License-Identifier: MIT
 *
 * Changing a block's size. The heap's realloc has three parts, so that the copy in the middle runs
 * with no lock held:
 *
 *     budget for what is more -> begin, under the slot's lock -> move -> finish, under it -> guards
 *
 * What the region cannot do another may: a new block by the whole chain, a copy, the old one freed.
 * Nothing has happened to the old block until the new one is there.
 */
#include "memory/allocator_internal.h"

typedef struct {
    size_t size_bytes;
    size_t alignment_bytes; /* 0: any */
    size_t request_bytes;   /* what the block was asked for */
    size_t usable_bytes;    /* of the new block, once it is there */
    const void *caller;
#if EAI_TAGGED
    eai_label_t label;
#endif
} resize_t;

#if EAI_ALLOC_OWNERS
static ea_account_t *owner_of_resized(const alloc_t *a, const resize_t *r)
{
    return r->label.owner && a->eai_accounts ? ea_account_by_id(a->eai_accounts, r->label.owner)
                                             : NULL;
}

/* The owner pays for what a block of so many bytes costs, instead of for so many. */
static bool repay(const alloc_t *a, const resize_t *r, size_t had, size_t has)
{
    ea_account_t *owner = owner_of_resized(a, r);
    if (!owner || had == has) return true;
    if (has < had) return ea_account_return(owner, had - has) == EA_OK;
    return ea_account_charge(owner, has - had, NULL) == EA_OK;
}
#else
#define repay(a, r, had, has) ((void)(a), (void)(r), (void)(had), (void)(has), true)
#endif

EA_INLINE uint16_t owner_id(const resize_t *r)
{
    (void)r;
#if EAI_TAGGED
    return r->label.owner;
#else
    return 0;
#endif
}

/* stayed_bytes: what the block could hold, if it is still where it was; else 0. */
static void show_resized(const alloc_t *a, const resize_t *r, const void *payload,
                         size_t stayed_bytes)
{
#if EA_CFG_ALLOC_HOOK
    const eai_sizes_t sizes = {r->size_bytes, r->usable_bytes, stayed_bytes};
    eai_show_new(a, EA_BLOCK_RESIZED, owner_id(r), r->caller, payload, &sizes);
#else
    (void)a, (void)r, (void)payload, (void)stayed_bytes;
#endif
}

/* In its own region, by the heap's realloc. NULL: not there; nothing changed. */
static void *resize_in_region(alloc_t *a, const eai_block_t *block, resize_t *r)
{
    slot_t *slot = &a->eai_slots[block->place];
    size_t line = (size_t)1 << slot->eai_line_log2;
    size_t alignment = r->alignment_bytes > line ? r->alignment_bytes : line;
    size_t paid = block->gross_bytes;
    bool is_guarded = false;
    ea_heap_move_t move;
    if (alignment <= EA_HEAP_ALIGN) alignment = 1;
#if EAI_TAGGED
    is_guarded = (r->label.flags & EAI_LABEL_GUARDED) != 0;
#endif
    size_t raw_bytes = eai_raw_bytes(r->size_bytes + (-r->size_bytes & (line - 1u)), is_guarded);
    (void)eai_lock_slot(a, slot, false);
    size_t cost = ea_heap_cost_bytes(slot->eai_heap, raw_bytes);
    eai_unlock_slot(a, slot);
    if (cost == 0) return NULL;
    /* A block that stays or shrinks costs no more than before; else the budget comes first. */
    bool stays =
        eai_gross_of(raw_bytes) <= paid && ((uintptr_t)block->payload & (alignment - 1u)) == 0;
    if (!stays && cost > paid) {
        if (!repay(a, r, paid, cost)) return NULL;
        paid = cost;
    }
    (void)eai_lock_slot(a, slot, false);
    ea_status_t status = ea_heap_realloc_begin_at(slot->eai_heap, eai_raw_of(block), alignment,
                                                  EAI_FRONT_BYTES, raw_bytes, &move);
    /* Until finish its tag is where nobody expects it. */
    eai_moving_t moving = {slot->eai_moving, status == EA_OK ? move.to : NULL};
    if (status == EA_OK) slot->eai_moving = &moving;
    eai_seal_slot(slot);
    eai_unlock_slot(a, slot);
    if (status != EA_OK) {
        (void)repay(a, r, paid, block->gross_bytes);
        return NULL;
    }
    ea_heap_realloc_move(&move);
    if (eai_is_watched(a) && move.to != eai_raw_of(block)) /* before anybody else can have it */
        eai_show(a, EA_BLOCK_MOVED, owner_id(r), r->caller, block->payload, block->usable_bytes);
    (void)eai_lock_slot(a, slot, false);
    char *raw = ea_heap_realloc_finish(slot->eai_heap, &move);
    size_t gross = ea_heap_usable_size_bytes(slot->eai_heap, raw) + EA_HEAP_OVERHEAD_BYTES;
    char *payload = raw + EAI_FRONT_BYTES;
    r->usable_bytes = gross - EA_HEAP_OVERHEAD_BYTES - EAI_FRONT_BYTES;
#if EAI_TAGGED
    eai_guard_resize(&a->eai_guard, eai_guard_front_tag(payload), payload, r->size_bytes,
                     r->size_bytes, r->usable_bytes, &r->label);
#endif
    eai_moving_t **at = &slot->eai_moving;
    while (*at != &moving) at = &(*at)->eai_next; /* bound: tasks in a realloc in this region */
    *at = moving.eai_next;
    eai_seal_slot(slot);
    eai_unlock_slot(a, slot);
    (void)repay(a, r, paid, gross);
    eai_add_used(a, gross - block->gross_bytes);
#if EAI_TAGGED
    if (is_guarded) eai_guard_freshen(payload, r->request_bytes, r->size_bytes);
#endif
    return payload;
}

/* It is large enough as it is. */
static void *stay(alloc_t *a, const eai_block_t *block, const resize_t *r)
{
    (void)a, (void)r;
#if EAI_TAGGED
    (void)eai_lock_place(a, block->place, false);
    eai_guard_resize(&a->eai_guard, block->tag, block->payload, r->size_bytes, r->size_bytes,
                     block->usable_bytes, &r->label);
    eai_unlock_place(a, block->place);
    if (r->label.flags & EAI_LABEL_GUARDED)
        eai_guard_freshen(block->payload, r->request_bytes, r->size_bytes);
#endif
    return block->payload;
}

/* A new block, by the whole chain if need be, a copy, and the old one goes. NULL: refused, nothing
 * changed. */
static void *move_elsewhere(alloc_t *a, eai_block_t *block, resize_t *r, bool must)
{
    ea_request_t request = {.alignment_bytes = r->alignment_bytes};
    eai_want_t want;
    if (!eai_is_pool(block->place)) {
        const slot_t *slot = &a->eai_slots[block->place];
        request.capabilities = EAI_PEEK(&slot->eai_capabilities);
        request.policy = (ea_policy_t)EAI_PEEK(&slot->eai_policy);
    }
    if (!eai_want(a, &want, r->size_bytes, &request, r->caller)) return NULL;
#if EAI_ALLOC_OWNERS
    want.owner = owner_of_resized(a, r); /* nobody's stays nobody's */
#endif
    void *payload = eai_try(a, &want);
    if (!payload && must) payload = eai_rescue(a, &want);
    if (!payload) return NULL;
    (void)eai_hand_out(a, &want, payload);
    r->usable_bytes = want.usable_bytes;
    memcpy(payload, block->payload,
           r->request_bytes < r->size_bytes ? r->request_bytes : r->size_bytes);
    block->goes = block->moves = true;
    (void)eai_discard(a, block, false, r->caller);
    return payload;
}

static void *resize(alloc_t *a, void *ptr, size_t alignment_bytes, size_t size_bytes,
                    const void *caller)
{
    const ea_request_t request = {.alignment_bytes = alignment_bytes};
    eai_block_t block;
    eai_want_t want;
    void *payload = NULL;
    if (!ptr) return eai_allocate(a, size_bytes, &request, caller);
    if (size_bytes == 0) {
        (void)ea_free(a, ptr);
        return NULL;
    }
    if (eai_verify_seals(a, false) != EA_OK) return NULL;
    /* Refused for what no block could have; for what this one is. */
    if (!eai_want(a, &want, size_bytes, &request, caller)) return NULL;
    if (eai_find(a, ptr, &block, caller) != EA_OK) return NULL;
    resize_t r = {.size_bytes = size_bytes,
                  .alignment_bytes = want.alignment_bytes,
                  .request_bytes = block.usable_bytes,
                  .usable_bytes = block.usable_bytes,
                  .caller = caller};
#if EAI_TAGGED
    r.label = block.label;
    r.request_bytes = eai_guard_request_bytes(&a->eai_guard, block.tag, ptr, block.usable_bytes);
#endif
    const bool is_pool = eai_is_pool(block.place);
    const size_t needed = size_bytes + EAI_BACK_BYTES;
    const size_t mask = r.alignment_bytes ? r.alignment_bytes - 1u : 0;
    bool fits = needed <= block.usable_bytes && ((uintptr_t)ptr & mask) == 0;
    if (!is_pool && !eai_store_of(&a->eai_slots[block.place])) {
        payload = resize_in_region(a, &block, &r);
        fits = false; /* or it would have */
    } else if (fits && (is_pool || needed >= block.usable_bytes / 2u)) {
        payload = stay(a, &block, &r);
    }
    if (!payload) payload = move_elsewhere(a, &block, &r, !fits);
    if (!payload && fits) payload = stay(a, &block, &r); /* much too large, but there it is */
    if (payload && eai_is_watched(a))
        show_resized(a, &r, payload, payload == ptr ? block.usable_bytes : 0);
    if (payload) eai_look_around(a);
    return payload;
}

void *ea_realloc(alloc_t *a, void *ptr, size_t size_bytes)
{
    return resize(a, ptr, 0, size_bytes, __builtin_return_address(0));
}

void *ea_aligned_realloc(alloc_t *a, void *ptr, size_t alignment_bytes, size_t size_bytes)
{
    return resize(a, ptr, alignment_bytes ? alignment_bytes : SIZE_MAX, size_bytes,
                  __builtin_return_address(0));
}
