/* SPDX-License-Identifier: MIT
 *
 * What looks at blocks, live ones and damaged ones: damage and its policy, information, owners,
 * walks in steps.
 *
 * A walk takes a slot's lock for a handful of blocks, notes what it saw, lets the lock go and only
 * then calls or frees anything. The heap's own cursor survives changes in between.
 */
#include "memory/allocator_internal.h"
#if EAI_POISONED_POOLS
#include "base/atomic.h"
#include "stores/pool_internal.h"
#endif

/* --- damage ----------------------------------------------------------------------------------- */

#if EA_CFG_ALLOC_REPORT
static ea_event_kind_t event_of(ea_guard_kind_t kind)
{
    switch (kind) {
    case EA_GUARD_DOUBLE_FREE: return EA_EVENT_DOUBLE_FREE;
    case EA_GUARD_FOREIGN:
    case EA_GUARD_WRONG_ALLOCATOR: return EA_EVENT_FOREIGN_FREE;
    case EA_GUARD_WRONG_OWNER: return EA_EVENT_WRONG_OWNER;
    case EA_GUARD_HEAD:
    case EA_GUARD_TAIL: return EA_EVENT_OVERFLOW;
    default: return EA_EVENT_CORRUPTION;
    }
}
#endif

ea_status_t eai_damaged(alloc_t *a, bool isr, ea_guard_report_t *report, ea_status_t status,
                        const void *caller)
{
    (void)isr, (void)caller;
#if EA_CFG_ALLOC_REPORT
    ea_port_irq_t irq = ea_port_irq_mask(); /* from any context: one record of constant size */
    a->eai_last_damage = *report;
    EAI_POKE(&a->eai_n_damaged, EAI_PEEK(&a->eai_n_damaged) + 1u);
    ea_port_irq_restore(irq);
    eai_tell(a, isr, event_of(report->kind), EA_REASON_DAMAGED, report->owner, report->size_bytes,
             report->first_bad ? report->first_bad : report->block, caller);
#endif
    ea_guard_policy_t policy = a->eai_damage;
    if (policy == EA_GUARD_CALL) policy = a->eai_on_damage(a->eai_damage_context, report);
    if (policy == EA_GUARD_PANIC) ea_port_panic(ea_guard_kind_name(report->kind));
    return status;
}

#if EA_CFG_ALLOC_REPORT
void ea_allocator_last_damage(const alloc_t *a, ea_guard_report_t *report)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    *report = a->eai_last_damage;
    ea_port_irq_restore(irq);
}
#endif

/* Is there no tag yet in front of the block at raw? The slot's lock is held. */
static bool is_moving(const slot_t *slot, const void *raw)
{
    const eai_moving_t *moving = slot->eai_moving;
    while (moving && moving->eai_to != raw) moving = moving->eai_next; /* bound: as there are */
    return moving != NULL;
}

#if EAI_TAGGED
typedef struct {
    const char *below; /* the last used block seen before raw */
    const char *raw;
    bool passed;
} neighbour_search_t;

static void look_below(void *context, const ea_heap_block_t *block)
{
    neighbour_search_t *search = context;
    if ((const char *)block->payload >= search->raw)
        search->passed = true;
    else if (block->used)
        search->below = block->payload;
    else
        search->below = NULL;
}

static void name_neighbour(alloc_t *a, slot_t *slot, const char *raw,
                           ea_guard_neighbour_t *neighbour)
{
    size_t usable;
    if (!raw) return;
    char *payload = (char *)(uintptr_t)raw + EAI_FRONT_BYTES;
    if (is_moving(slot, raw) ||
        ea_heap_probe(slot->eai_heap, payload - EAI_FRONT_BYTES, &usable) != EA_OK ||
        usable <= EAI_FRONT_BYTES)
        return;
    eai_guard_describe_neighbour(&a->eai_guard, eai_guard_front_tag(payload), payload,
                                 usable - EAI_FRONT_BYTES, neighbour);
}
#endif

void eai_name_neighbours(alloc_t *a, const eai_block_t *block, ea_guard_report_t *report)
{
    (void)a, (void)block, (void)report;
#if EAI_TAGGED
    slot_t *slot = &a->eai_slots[block->place];
    const char *raw = block->payload - EAI_FRONT_BYTES;
    neighbour_search_t search = {.raw = raw};
    ea_heap_cursor_t cursor = {0};
    ea_status_t status;
    do { /* bound: blocks of the region */
        (void)eai_lock_slot(a, slot, false);
        status = slot->eai_heap ? ea_heap_walk(slot->eai_heap, &cursor, 8, look_below, &search)
                                : EA_ERR_NOT_FOUND;
        if (slot->eai_heap && (search.passed || status != EA_ERR_AGAIN)) {
            if (status != EA_ERR_BUSY) ea_heap_walk_end(slot->eai_heap);
            if (search.passed) name_neighbour(a, slot, search.below, &report->below);
            if (block->gross_bytes != 0)
                name_neighbour(a, slot, raw + block->gross_bytes, &report->above);
            status = EA_OK;
        }
        eai_unlock_slot(a, slot);
    } while (status == EA_ERR_AGAIN);
#endif
}

size_t eai_usable_locked(alloc_t *a, uint8_t place, void *raw)
{
    slot_t *slot = &a->eai_slots[place];
    (void)eai_lock_slot(a, slot, false);
    size_t usable = eai_usable_raw(slot, raw);
    eai_unlock_slot(a, slot);
    return usable;
}

/* --- the quarantine --------------------------------------------------------------------------- */

#if EA_CFG_GUARD >= 3
static void report_waiting(alloc_t *a, const void *payload, const eai_finding_t *finding)
{
    ea_guard_report_t report = {.kind = finding->kind, .first_bad = finding->first_bad};
    if (payload)
        eai_guard_describe(&a->eai_guard, eai_guard_front_tag(payload), payload, finding, &report);
    (void)eai_damaged(a, false, &report, EA_ERR_CORRUPT, NULL);
}

/* Take the oldest block out of quarantine, if only what is over the budget then if it is: was it
 * written to? Then back to its region. false: there is none. */
static bool let_go(alloc_t *a, bool only_over)
{
    eai_finding_t finding = {0};
    size_t usable;
    void *payload = NULL;
    eai_lock(a);
    if (!only_over || eai_quarantine_is_over(&a->eai_quarantine))
        payload = eai_quarantine_pop(&a->eai_quarantine, &a->eai_guard, &usable, &finding);
    eai_unlock(a);
    if (finding.kind != EA_GUARD_NONE) report_waiting(a, payload, &finding);
    if (!payload) return false;
    void *raw = (char *)payload - EAI_FRONT_BYTES;
    uint8_t place = eai_home_of(a, raw);
    ea_status_t status =
        place == EAI_NO_PLACE ? EA_ERR_CORRUPT : eai_give_back(a, place, raw, false);
    if (status != EA_OK) {
        ea_guard_report_t report = {.kind = eai_kind_of(status), .block = payload};
        (void)eai_damaged(a, false, &report, status, NULL);
    }
    return true;
}

bool eai_detain(alloc_t *a, void *payload, size_t usable_bytes)
{
    eai_lock(a);
    bool taken = eai_quarantine_push(&a->eai_quarantine, &a->eai_guard, payload, usable_bytes);
    eai_unlock(a);
    while (taken && let_go(a, true)) { /* bound: blocks of the budget */
    }
    return taken;
}

bool eai_discharge(alloc_t *a)
{
    bool any = false;
    while (let_go(a, false)) any = true; /* bound: blocks of the budget */
    return any;
}

#define EXAMINED_BYTES 256u

/* Look at a few bytes more of what waits, the oldest block first. */
static ea_status_t examine_some(alloc_t *a, ea_allocator_cursor_t *cursor)
{
    eai_finding_t finding;
    void *payload;
    eai_lock(a);
    eai_quarantine_t *q = &a->eai_quarantine;
    if (cursor->eai_index == 0) {
        q->swept = NULL;
        q->swept_bytes = 0;
    }
    ea_status_t status = eai_quarantine_sweep(q, &a->eai_guard, EXAMINED_BYTES, &payload, &finding);
    cursor->eai_index = q->swept != NULL; /* behind the last it would begin anew */
    eai_unlock(a);
    if (status == EA_ERR_CORRUPT) report_waiting(a, payload, &finding);
    return status;
}
#endif

/* --- information ------------------------------------------------------------------------------ */

size_t ea_usable_size_bytes(const alloc_t *a, const void *ptr)
{
    ea_block_info_t info;
    return ptr && ea_block_info(a, ptr, &info) == EA_OK ? info.size_bytes : 0;
}

/* What is known of a block that was found. */
static void inform(const alloc_t *a, const eai_block_t *block, ea_block_info_t *info)
{
    *info = (ea_block_info_t){.block = block->payload,
                              .size_bytes = block->usable_bytes,
                              .usable_bytes = block->usable_bytes};
    if (!eai_is_pool(block->place)) info->region = EAI_PEEK(&a->eai_slots[block->place].eai_begin);
#if EAI_TAGGED
    info->size_bytes =
        eai_guard_request_bytes(&a->eai_guard, block->tag, block->payload, block->usable_bytes);
    info->owner = block->label.owner;
    info->site = block->label.site;
    info->birth = block->label.birth;
#endif
}

ea_status_t ea_block_info(const alloc_t *a, const void *ptr, ea_block_info_t *info)
{
    eai_block_t block;
    *info = (ea_block_info_t){0};
    ea_status_t status = eai_look(a, ptr, &block);
    if (status == EA_OK) inform(a, &block, info);
    return status;
}

/* --- owners ----------------------------------------------------------------------------------- */

#if EAI_ALLOC_OWNERS
static ea_account_t *owner_of(const alloc_t *a, const eai_block_t *block)
{
    uint16_t owner = block->label.owner;
    return owner && a->eai_accounts ? ea_account_by_id(a->eai_accounts, owner) : NULL;
}

/* From one account to another, of which either may be nobody. */
static ea_status_t move_charge(ea_account_t *from, ea_account_t *to, size_t bytes,
                               ea_account_t **limiter)
{
    if (from == to) return EA_OK;
    if (from && to) return ea_account_transfer(from, to, bytes, limiter);
    if (to) return ea_account_charge(to, bytes, limiter);
    return ea_account_return(from, bytes);
}

ea_status_t ea_transfer(alloc_t *a, void *ptr, ea_account_t *to)
{
    eai_block_t block;
    if (!ptr || (to && !eai_is_ours(a, to))) return EA_ERR_INVALID;
    ea_status_t status = eai_find(a, ptr, &block, __builtin_return_address(0));
    if (status != EA_OK) return status;
    status = move_charge(owner_of(a, &block), to, block.gross_bytes, NULL);
    if (status != EA_OK) return status;
    block.label.owner = to ? ea_account_id(to) : 0;
    (void)eai_lock_place(a, block.place, false);
    eai_guard_relabel(&a->eai_guard, block.tag, ptr, block.usable_bytes, &block.label);
    eai_unlock_place(a, block.place);
    if (eai_is_watched(a))
        eai_show(a, EA_BLOCK_TRANSFERRED, block.label.owner, __builtin_return_address(0), ptr,
                 block.usable_bytes);
    eai_look_around(a); /* the one before has budget again */
    return EA_OK;
}
#endif

bool eai_pay_for(alloc_t *a, eai_want_t *want, const eai_block_t *block)
{
    (void)a, (void)want, (void)block;
#if EAI_ALLOC_OWNERS
    if (move_charge(owner_of(a, block), want->owner, block->gross_bytes, &want->limiter) != EA_OK)
        return false;
    want->charged = want->owner ? block->gross_bytes : 0;
#endif
    /* It is about to be dressed anew, as a block that was not there before. */
    eai_add_used(a, 0u - block->gross_bytes);
    return true;
}

/* --- walks ------------------------------------------------------------------------------------ */

#define AT_A_TIME 8u
/* The slots of a sweep that is behind regions and pools. */
#define IN_QUARANTINE (UINT32_MAX - 1u)
#define BEHIND_ALL UINT32_MAX

/* What a walk saw of a few blocks while it held the lock under which their tags change. */
typedef struct {
    const alloc_t *a;
    bool checks; /* the guards as well */
    uint8_t place;
    unsigned n, n_bad;
    ea_block_info_t blocks[AT_A_TIME];
    ea_guard_report_t bad[AT_A_TIME];
} note_t;

/* Note a block if it is live and an application's, or damaged. */
static void note_live(note_t *note, eai_block_t *block)
{
#if EAI_TAGGED
    const eai_guard_t *g = &note->a->eai_guard;
    eai_finding_t finding = {0};
    bool live = eai_guard_label(g, block->tag, block->payload, &block->label);
    if (note->checks) {
        /* An interrupt may free a block while it is looked at. Then its tag says so when the guards
         * look again for what is wrong, and nobody uses the block as long as the lock is held. */
        ea_guard_kind_t kind =
            eai_guard_check(g, block->tag, block->payload, block->usable_bytes, &finding);
        if (kind != EA_GUARD_NONE && kind != EA_GUARD_DOUBLE_FREE) {
            eai_guard_describe(g, block->tag, block->payload, &finding, &note->bad[note->n_bad++]);
            return;
        }
    }
    if (!live || block->label.flags & EAI_LABEL_INTERNAL) return;
#endif
    inform(note->a, block, &note->blocks[note->n++]);
}

static void note_block(void *context, const ea_heap_block_t *seen)
{
    note_t *note = context;
    if (!seen->used || note->n + note->n_bad == AT_A_TIME || seen->payload_bytes <= EAI_FRONT_BYTES)
        return;
#if EA_CFG_ALLOC_RESERVE
    if (seen->payload == EAI_PEEK(&note->a->eai_reserve)) return;
#endif
    if (is_moving(&note->a->eai_slots[note->place], seen->payload)) return;
    eai_block_t block = {.payload = (char *)seen->payload + EAI_FRONT_BYTES,
                         .place = note->place,
                         .usable_bytes = seen->payload_bytes - EAI_FRONT_BYTES,
                         .gross_bytes = seen->payload_bytes + EA_HEAP_OVERHEAD_BYTES};
#if EAI_TAGGED
    block.tag = eai_guard_front_tag(block.payload);
#endif
    note_live(note, &block);
}

#if EA_CFG_ALLOC_MOVABLE
/* The next few blocks with an address. Others move between the calls, so each begins at the start
 * and passes what was seen: bound: blocks of the region. */
static ea_status_t note_fixed(const ea_movable_t *store, ea_allocator_cursor_t *cursor,
                              note_t *note)
{
    ea_movable_block_t seen;
    size_t position = 0;
    while (ea_movable_walk(store, &position, &seen)) {
        if (!seen.is_fixed || seen.offset_bytes <= cursor->eai_index) continue;
        if (note->n + note->n_bad == AT_A_TIME) return EA_ERR_AGAIN;
        cursor->eai_index = (uint32_t)seen.offset_bytes; /* beyond 4 GB there are no regions */
        char *raw = (char *)(uintptr_t)store + seen.offset_bytes;
        if (seen.size_bytes <= EAI_FRONT_BYTES) continue;
        eai_block_t block = {.payload = raw + EAI_FRONT_BYTES,
                             .place = note->place,
                             .usable_bytes = seen.size_bytes - EAI_FRONT_BYTES,
                             .gross_bytes = seen.size_bytes + EA_MOVABLE_HEADER_BYTES};
#if EAI_TAGGED
        block.tag = eai_guard_front_tag(block.payload);
#endif
        note_live(note, &block);
    }
    return EA_OK;
}
#endif

#if EA_CFG_ALLOC_POOLS
static void note_pool_block(void *context, void *payload)
{
    note_t *note = context;
    if (note->n + note->n_bad == AT_A_TIME) return;
    size_t bytes = ea_poolset_usable_bytes(note->a->eai_pools, payload);
    eai_block_t block = {
        .payload = payload, .place = EAI_POOL_PLACE, .usable_bytes = bytes, .gross_bytes = bytes};
#if EAI_TAGGED
    block.tag = eai_pool_tag(note->a, payload);
    const eai_tag_t before = {{0}};
    if (memcmp(block.tag, &before, sizeof before) == 0) return; /* never handed out */
#endif
    note_live(note, &block);
}
#endif

#if EAI_POISONED_POOLS
/* A free block in which no poison is missing, or one that is not free. The lock of pools' tags is
 * held, so none is handed out meanwhile; what is being freed is not free yet. */
static bool is_left_alone(const alloc_t *a, const ea_pool_t *pool, uint32_t index,
                          eai_finding_t *finding)
{
    unsigned char *payload = pool->eai_base + (size_t)index * pool->eai_block_bytes;
    const uint32_t *bits = eai_pool_bits(pool->eai_base, index);
    if ((EAI_LOAD(bits, EAI_ACQUIRE) & eai_pool_bit(index)) != 0) return true; /* pairs with free */
    const void *bad = eai_guard_unpoisoned(payload, EAI_POOL_LINK_BYTES, pool->eai_block_bytes);
    ea_guard_kind_t kind = eai_guard_check(&a->eai_guard, eai_pool_tag(a, payload), payload,
                                           pool->eai_block_bytes, finding);
    *finding = (eai_finding_t){bad ? EA_GUARD_POISON : EA_GUARD_TAG, bad, 0};
    return !bad && kind == EA_GUARD_DOUBLE_FREE;
}

/* The bits of no block are none's to change: who writes before the first block meets them. */
static bool is_rest_of_bits_clear(const ea_pool_t *pool)
{
    uint32_t last = pool->eai_n_blocks - 1u, used = pool->eai_n_blocks % 32u;
    const uint32_t *bits = eai_pool_bits(pool->eai_base, last);
    uint32_t rest = 0;
    for (uint32_t i = used; used != 0 && i < 32u; i++) rest |= eai_pool_bit(i); /* bound: 31 */
    return (EAI_LOAD(bits, EAI_RELAXED) & rest) == 0;
}

/* Look at the free blocks of a pool among the next few. */
static void note_free(alloc_t *a, const ea_pool_t *pool, ea_allocator_cursor_t *cursor,
                      note_t *note)
{
    if (cursor->eai_index == 0 && !is_rest_of_bits_clear(pool))
        note->bad[note->n_bad++] = (ea_guard_report_t){
            .kind = EA_GUARD_STORE, .first_bad = eai_pool_bits(pool->eai_base, 0)};
    for (unsigned i = 0; note->n_bad < AT_A_TIME && cursor->eai_index < pool->eai_n_blocks; i++) {
        eai_finding_t finding = {0};
        if (i == AT_A_TIME) break;
        uint32_t index = cursor->eai_index++;
        void *payload = pool->eai_base + (size_t)index * pool->eai_block_bytes;
        eai_lock(a); /* for one block */
        bool left_alone = is_left_alone(a, pool, index, &finding);
        eai_unlock(a);
        if (left_alone) continue;
        eai_guard_describe(&a->eai_guard, eai_pool_tag(a, payload), payload, &finding,
                           &note->bad[note->n_bad++]);
    }
}
#endif

/* Note the next few blocks. EA_ERR_AGAIN: there may be more behind them. */
static ea_status_t note_some(alloc_t *a, ea_allocator_cursor_t *cursor, bool checks, note_t *note)
{
    ea_status_t status = EA_OK;
    note->a = a;
    note->checks = checks;
    note->n = note->n_bad = 0;
    if (cursor->eai_slot < EA_CFG_ALLOC_REGIONS) {
        slot_t *slot = &a->eai_slots[cursor->eai_slot];
        note->place = (uint8_t)cursor->eai_slot;
        (void)eai_lock_slot(a, slot, false);
        if (slot->eai_heap)
            status = ea_heap_walk(slot->eai_heap, &cursor->eai_heap, AT_A_TIME, note_block, note);
#if EA_CFG_ALLOC_MOVABLE
        if (slot->eai_store) status = note_fixed(slot->eai_store, cursor, note);
#endif
        eai_unlock_slot(a, slot);
        if (status == EA_ERR_AGAIN || status == EA_ERR_BUSY) return status;
        cursor->eai_slot++;
        cursor->eai_index = 0;
        cursor->eai_heap = (ea_heap_cursor_t){0};
        return status == EA_OK ? EA_ERR_AGAIN : status;
    }
#if EA_CFG_ALLOC_POOLS
    uint32_t k = cursor->eai_slot - EA_CFG_ALLOC_REGIONS;
    if (a->eai_pools && k < a->eai_pools->eai_n_classes) {
        ea_pool_cursor_t at = {cursor->eai_index};
        eai_lock(a);
        status = ea_pool_walk(&a->eai_pools->eai_pools[k], &at, AT_A_TIME, note_pool_block, note);
        eai_unlock(a);
        cursor->eai_index = at.eai_index;
        if (status == EA_ERR_AGAIN) return status;
        cursor->eai_slot++;
        cursor->eai_index = 0;
        return EA_ERR_AGAIN; /* without validity bits a pool has no walk, and no block is noted */
    }
#if EA_CFG_CHECK_LEVEL >= 3
    /* Level 3 checks all of them; that other contexts leave them alone meanwhile is part of it. */
    ea_pool_report_t found;
    if (checks && a->eai_pools && k == a->eai_pools->eai_n_classes && cursor->eai_index == 0 &&
        ea_poolset_check(a->eai_pools, &found) != EA_OK)
        note->bad[note->n_bad++] =
            (ea_guard_report_t){.kind = EA_GUARD_STORE, .first_bad = found.where};
#endif
#if EAI_POISONED_POOLS
    /* Behind them the same pools once more, for what is free. */
    if (checks && a->eai_pools && k - a->eai_pools->eai_n_classes < a->eai_pools->eai_n_classes) {
        const ea_pool_t *pool = &a->eai_pools->eai_pools[k - a->eai_pools->eai_n_classes];
        note_free(a, pool, cursor, note);
        if (cursor->eai_index < pool->eai_n_blocks) return EA_ERR_AGAIN;
        cursor->eai_slot++;
        cursor->eai_index = 0;
        return EA_ERR_AGAIN;
    }
#endif
#endif
    return EA_OK;
}

void ea_allocator_walk_end(alloc_t *a, ea_allocator_cursor_t *cursor)
{
    if (cursor->eai_slot < EA_CFG_ALLOC_REGIONS) {
        slot_t *slot = &a->eai_slots[cursor->eai_slot];
        (void)eai_lock_slot(a, slot, false);
        if (slot->eai_heap && cursor->eai_heap.eai_state != 0) ea_heap_walk_end(slot->eai_heap);
        eai_unlock_slot(a, slot);
    }
    *cursor = (ea_allocator_cursor_t){0};
}

/* Is it this owner's (0: anybody's)? */
static bool is_wanted(const ea_block_info_t *block, uint16_t owner)
{
    return owner == 0 || block->owner == owner;
}

ea_status_t ea_allocator_walk(alloc_t *a, uint16_t owner, ea_allocator_cursor_t *cursor,
                              size_t max_steps, ea_allocator_visit_t visit, void *context)
{
    if (eai_verify_seals(a, false) != EA_OK) return EA_ERR_CORRUPT;
    ea_status_t status = EA_ERR_AGAIN;
    for (size_t steps = 0; status == EA_ERR_AGAIN && (steps < max_steps || steps == 0);
         steps += AT_A_TIME) {
        note_t note;
        status = note_some(a, cursor, false, &note);
        for (unsigned i = 0; i < note.n; i++) {
            if (is_wanted(&note.blocks[i], owner)) visit(context, &note.blocks[i]);
        }
    }
    return status;
}

#if EA_CFG_TAGS
ea_status_t ea_free_all(alloc_t *a, uint16_t owner, ea_allocator_cursor_t *cursor, size_t max_steps,
                        size_t *n_freed)
{
    if (eai_verify_seals(a, false) != EA_OK) return EA_ERR_CORRUPT;
    ea_status_t status = owner == 0 ? EA_ERR_INVALID : EA_ERR_AGAIN;
    bool damaged = false;
    for (size_t steps = 0; status == EA_ERR_AGAIN && (steps < max_steps || steps == 0);
         steps += AT_A_TIME) {
        note_t note;
        status = note_some(a, cursor, false, &note);
        for (unsigned i = 0; i < note.n; i++) {
            if (!is_wanted(&note.blocks[i], owner)) continue;
            eai_block_t block = {.payload = note.blocks[i].block, .goes = true};
            if (eai_discard(a, &block, false, __builtin_return_address(0)) == EA_OK)
                cursor->eai_n_freed++;
            else
                damaged = true;
        }
    }
    if (n_freed) *n_freed = cursor->eai_n_freed;
    eai_look_around(a);
    return damaged ? EA_ERR_CORRUPT : status;
}
#endif

/* --- sweep ------------------------------------------------------------------------------------ */

static ea_status_t check_some(alloc_t *a, ea_allocator_cursor_t *cursor)
{
    slot_t *slot = &a->eai_slots[cursor->eai_slot];
    ea_heap_fault_t fault = {0};
    ea_status_t status = EA_OK;
    (void)eai_lock_slot(a, slot, false);
    if (slot->eai_heap)
        status = ea_heap_check_step(slot->eai_heap, &cursor->eai_heap, AT_A_TIME, &fault);
#if EA_CFG_ALLOC_MOVABLE
    ea_movable_fault_t found;
    if (slot->eai_store && (status = ea_movable_check(slot->eai_store, &found)) != EA_OK)
        fault.where = found.where;
#endif
    eai_unlock_slot(a, slot);
    if (status == EA_ERR_CORRUPT) {
        ea_guard_report_t report = {.kind = EA_GUARD_STORE, .first_bad = fault.where};
        (void)eai_damaged(a, false, &report, status, NULL);
    }
    return status;
}

/* The next few blocks with their guards, and behind the last the quarantine. */
static ea_status_t check_more(alloc_t *a, ea_allocator_cursor_t *cursor, bool *damaged)
{
    note_t note = {.n = 0};
    uint32_t slot = cursor->eai_slot;
    ea_status_t status = EA_OK;
    if (slot == BEHIND_ALL) return EA_OK;
    if (slot != IN_QUARANTINE) status = note_some(a, cursor, true, &note);
    if (cursor->eai_slot != slot) cursor->eai_is_checked = false;
    for (unsigned i = 0; i < note.n_bad; i++)
        (void)eai_damaged(a, false, &note.bad[i], EA_ERR_CORRUPT, NULL);
    *damaged |= note.n_bad != 0 || status == EA_ERR_CORRUPT;
    if (status == EA_ERR_CORRUPT) status = EA_ERR_AGAIN;
#if EA_CFG_GUARD >= 3
    if (status == EA_OK) {
        cursor->eai_slot = IN_QUARANTINE;
        status = examine_some(a, cursor);
        *damaged |= status == EA_ERR_CORRUPT;
        status = cursor->eai_index != 0 ? EA_ERR_AGAIN : EA_OK;
    }
#endif
    if (status == EA_OK) cursor->eai_slot = BEHIND_ALL;
    return status;
}

ea_status_t ea_allocator_sweep(alloc_t *a, ea_allocator_cursor_t *cursor, size_t max_steps)
{
    if (eai_verify_seals(a, false) != EA_OK) return EA_ERR_CORRUPT;
    ea_status_t status = EA_ERR_AGAIN;
    bool damaged = false;
    for (size_t steps = 0; status == EA_ERR_AGAIN && (steps < max_steps || steps == 0);
         steps += AT_A_TIME) {
        if (cursor->eai_slot < EA_CFG_ALLOC_REGIONS && !cursor->eai_is_checked) {
            /* First the heap of the slot, then its blocks; a damaged heap is not walked. */
            ea_status_t heap_status = check_some(a, cursor);
            if (heap_status == EA_ERR_BUSY) return heap_status;
            if (heap_status == EA_ERR_AGAIN) continue;
            cursor->eai_heap = (ea_heap_cursor_t){0};
            cursor->eai_is_checked = heap_status == EA_OK;
            if (heap_status != EA_OK) cursor->eai_slot++;
            damaged |= heap_status != EA_OK;
            continue;
        }
        status = check_more(a, cursor, &damaged);
    }
    return damaged ? EA_ERR_CORRUPT : status;
}
