/* SPDX-License-Identifier: MIT
 *
 * The monitor: release, references, hand-over, the end of idle objects. The scheme, and why no
 * object is lost or ended twice, is explained in monitor.c.
 */
#include "monitor/monitor_internal.h"

#include "accounts/account_internal.h"

#include "ealloc/port.h"

/* --- release ---------------------------------------------------------------------------------- */

/* The bucket of a lifetime, in units of 1024 us. */
EA_INLINE uint32_t bucket_of(uint64_t since, uint64_t now)
{
    uint64_t lived = (now - since) & (((uint64_t)1 << SINCE_BITS) - 1u);
    uint32_t bucket = 0;
    if (EA_LIKELY(lived == 0)) return 0;
    while (bucket + 1u < EA_CFG_MONITOR_LIFETIMES && lived >> bucket != 0) bucket++;
    return bucket;
}

/* An object that is released becomes idle, if it may. Its units are in nobody's slot for a moment,
 * and an audit must know. */
static EA_NOINLINE bool keep_idle(monitor_t *monitor, slot_t *slot, word_t word, const type_t *type,
                                  record_t *record, ea_account_t *account)
{
    uint8_t number = type_of(record->whose);
    word_t idle = make_word(next_generation(word), 0, SLOT_IDLE);
    uint32_t parent = record->parent;
    if (EAI_LOAD(&monitor->eai_is_closed, EAI_RELAXED)) return false;
    if (type->recycle != NULL && !type->recycle(type->context, record->object)) return false;
    add_word(&monitor->eai_n_begun, 1);
    record->parent = 0;
    write_seal(monitor, slot, idle, record);
    EAI_STORE(&slot->eai_state, idle, EAI_SEQ_CST);
    bool is_kept = eai_idle_offer(monitor, number, index_of(monitor, slot), idle) ||
                   !move_word(&slot->eai_state, idle, word);
    if (is_kept) (void)ea_account_return(account, record->units);
    record->parent = parent;
    add_word(&monitor->eai_n_ended, 1);
    return is_kept;
}

link_t eai_monitor_finish(monitor_t *monitor, slot_t *slot, word_t word)
{
    record_t record;
    (void)read_record(slot, &record);
    const uint8_t number = type_of(record.whose);
    const type_t *type = &monitor->eai_types[number];
    ea_account_t *account = &type->book->eai_nodes[account_of(record.whose) - 1u];
    const uint32_t stripe = stripe_of(monitor, account_of(record.whose));
    const uint64_t now = ea_port_time_coarse_us() >> 10;
    eai_tally_t *tally = tally_of(monitor, stripe, number);
    const link_t parent = {parents_of(monitor, type), record.parent};
    tell_hooks(monitor, EA_BLOCK_FREED, slot, &record);

    if (type->max_idle > 0) {
        count(&tally->lived[bucket_of(since_of(&record), now)]);
        if (keep_idle(monitor, slot, word, type, &record, account)) {
            eai_accounts_tell(type->book);
            return parent;
        }
        if (type->destroy != NULL) type->destroy(type->context, record.object);
    } else {
        if (type->destroy != NULL) type->destroy(type->context, record.object);
        count(&tally->lived[bucket_of(since_of(&record), now)]);
    }
    (void)ea_account_return(account, record.units);
    eai_monitor_free(monitor, slot, word, stripe);
    eai_accounts_tell(type->book);
    return parent;
}

/* Of the queue, if the type's strategy and the moment say so. Returns whether the word is no longer
 * the caller's. */
static bool put_off(monitor_t *monitor, slot_t *slot, word_t word, uint8_t strategy, link_t *parent,
                    bool *won)
{
    uint32_t index = index_of(monitor, slot);
    if (strategy == EA_RELEASE_UNCONTENDED &&
        EAI_LOAD(&monitor->eai_tail, EAI_RELAXED) == EAI_LOAD(&monitor->eai_head, EAI_RELAXED)) {
        uint32_t incarnation = eai_cleaner_enter(monitor);
        if (incarnation != 0) {
            word_t next = make_word(generation_of(word), incarnation, SLOT_CLEANING);
            *won = move_word(&slot->eai_state, word, next);
            if (*won) *parent = eai_monitor_finish(monitor, slot, next);
            eai_cleaner_leave(monitor);
            return true;
        }
    }
    word_t queued = with_state(word, SLOT_QUEUED);
    *won = move_word(&slot->eai_state, word, queued);
    if (!*won) return true;
    if (EA_LIKELY(eai_queue_put(monitor, index, queued))) return true;
    count(&monitor->eai_n_full);
    /* Unless an audit has found it meanwhile and put it there. */
    return !move_word(&slot->eai_state, queued, with_state(word, SLOT_RELEASING));
}

/* Give up one of the references of word, which is live. Returns false if the word has changed; else
 * *parent is what is to be dropped next. */
EA_INLINE bool drop(monitor_t *monitor, slot_t *slot, word_t word, link_t *parent)
{
    *parent = NO_LINK;
    if (EA_UNLIKELY(references_of(word) > 1u)) {
        word_t next = make_word(generation_of(word), references_of(word) - 1u, SLOT_LIVE);
        return move_word(&slot->eai_state, word, next);
    }
    word_t releasing = with_state(word, SLOT_RELEASING);
    uint8_t strategy = monitor->eai_types[type_of(READ(slot, eai_whose))].strategy;
    if (strategy != EA_RELEASE_NOW && monitor->eai_n_cells > 0) {
        bool won = false;
        if (put_off(monitor, slot, word, strategy, parent, &won)) return won;
    } else if (EA_UNLIKELY(!move_word(&slot->eai_state, word, releasing))) {
        return false;
    }
    *parent = eai_monitor_finish(monitor, slot, releasing);
    return true;
}

void eai_monitor_drop(link_t parent)
{
    while (parent.slot != 0 && parent.slot <= parent.monitor->eai_n_slots) {
        monitor_t *monitor = parent.monitor;
        slot_t *slot = &monitor->eai_slots[parent.slot - 1u];
        word_t word = word_of(slot);
        if (state_of(word) != SLOT_LIVE || references_of(word) == 0 ||
            (references_of(word) == 1u && EA_CFG_CHECK_LEVEL >= 1 &&
             !eai_monitor_is_sealed(monitor, slot, word))) {
            return; /* damaged: the audit's */
        }
        if (!drop(monitor, slot, word, &parent)) {
            parent = (link_t){monitor, index_of(monitor, slot) + 1u};
        }
    }
}

#if EA_CFG_CHECK_LEVEL >= 3
/* No more are released than were acquired, and no more live than there are slots. */
static bool can_be(const monitor_t *monitor, uint8_t type)
{
    ea_resource_stats_t stats;
    (void)ea_monitor_type_stats(monitor, type, &stats);
    return stats.n_live <= monitor->eai_n_slots;
}
#else
#define can_be(monitor, type) true
#endif

void eai_monitor_refuse(monitor_t *monitor)
{
    count(&monitor->eai_n_refused);
}

static EA_NOINLINE ea_status_t refuse(monitor_t *monitor, const slot_t *slot, ea_status_t status)
{
    eai_monitor_refuse(monitor);
    if (ea_events_wanted(monitor->eai_events, EA_EVENT_CORRUPTION) && status == EA_ERR_CORRUPT) {
        ea_events_emit_isr(monitor->eai_events, &(ea_event_t){.kind = EA_EVENT_CORRUPTION,
                                                              .reason = EA_REASON_DAMAGED,
                                                              .level = EA_AUDIT_SEAL,
                                                              .where = slot});
    }
    return status;
}

/* Repeats only when another reference was raised or dropped meanwhile. */
ea_status_t ea_monitor_release(monitor_t *monitor, ea_resource_t resource)
{
    slot_t *slot = slot_with(monitor, resource);
    link_t parent = NO_LINK;
    if (EA_UNLIKELY(slot == NULL)) return refuse(monitor, slot, EA_ERR_INVALID);
    for (;;) {
        word_t word = word_of(slot);
        if (EA_UNLIKELY(state_of(word) != SLOT_LIVE ||
                        generation_of(word) != resource.eai_generation)) {
            return refuse(monitor, slot, EA_ERR_DOUBLE_FREE);
        }
        /* Of the last reference: else it may be handed over right now. */
        if (EA_CFG_CHECK_LEVEL >= 1 && references_of(word) == 1u &&
            EA_UNLIKELY(!eai_monitor_is_sealed(monitor, slot, word) ||
                        !can_be(monitor, ea_resource_type(resource)))) {
            if (word_of(slot) != word) continue;
            return refuse(monitor, slot, EA_ERR_CORRUPT);
        }
        if (EA_LIKELY(drop(monitor, slot, word, &parent))) break;
    }
    if (EA_UNLIKELY(parent.slot != 0)) eai_monitor_drop(parent);
    return EA_OK;
}

/* --- share, hand over ------------------------------------------------------------------------- */

ea_status_t ea_monitor_share(monitor_t *monitor, ea_resource_t resource)
{
    slot_t *slot = slot_with(monitor, resource);
    if (slot == NULL) return EA_ERR_NOT_FOUND;
    for (;;) {
        word_t word = word_of(slot);
        if (state_of(word) != SLOT_LIVE || generation_of(word) != resource.eai_generation) {
            return EA_ERR_NOT_FOUND;
        }
        if (references_of(word) == REFERENCES_MAX) return EA_ERR_LIMIT;
        word_t next = make_word(generation_of(word), references_of(word) + 1u, SLOT_LIVE);
        if (move_word(&slot->eai_state, word, next)) return EA_OK;
    }
}

/* The caller holds a reference, and the seal is struck out: nobody else changes the record. */
static ea_status_t hand_over(monitor_t *monitor, slot_t *slot, word_t word, record_t *record,
                             ea_account_t *to)
{
    const type_t *type = &monitor->eai_types[type_of(record->whose)];
    ea_account_t *from = account_with(type, account_of(record->whose));
    ea_status_t status = EA_ERR_INVALID;
    if (from != NULL && to != NULL && to->eai_book == type->book) {
        status = ea_account_transfer(from, to, record->units, NULL);
    }
    if (status == EA_OK) {
        record->whose = (record->whose & 0xFFFFu) | (uint32_t)ea_account_id(to) << 16;
        WRITE(slot, eai_whose, record->whose);
    }
    if (status == EA_OK) tell_hooks(monitor, EA_BLOCK_TRANSFERRED, slot, record);
    write_seal(monitor, slot, word, record);
    return status;
}

ea_status_t ea_monitor_transfer(monitor_t *monitor, ea_resource_t resource, ea_account_t *to)
{
    ea_status_t status = ea_monitor_share(monitor, resource);
    if (status != EA_OK) return status == EA_ERR_LIMIT ? EA_ERR_BUSY : status;

    slot_t *slot = slot_with(monitor, resource);
    add_word(&monitor->eai_n_begun, 1);
    record_t record;
    word_t word = word_of(slot);
    uint32_t seal = read_record(slot, &record),
             good = seal_of(index_of(monitor, slot), word, &record);
    uint32_t sealed = good << 24 | record.parent;
    status = EA_ERR_BUSY;
    if (seal == good && type_of(record.whose) < monitor->eai_n_types &&
        move_u32(&slot->eai_parent, sealed, sealed ^ 0xFF000000u)) {
        status = hand_over(monitor, slot, word, &record, to);
    }
    add_word(&monitor->eai_n_ended, 1);
    eai_monitor_drop((link_t){monitor, index_of(monitor, slot) + 1u});
    tell_line(monitor);
    return status;
}

void ea_monitor_close(monitor_t *monitor, bool is_closed)
{
    EAI_STORE(&monitor->eai_is_closed, is_closed ? 1u : 0u, EAI_SEQ_CST);
    tell_line(monitor); /* those who wait are turned away */
}

size_t ea_monitor_trim(monitor_t *monitor, size_t max_n)
{
    size_t n = 0;
    for (uint32_t i = 0; i < monitor->eai_n_types && n < max_n; i++) {
        const type_t *type = &monitor->eai_types[i];
        for (uint32_t k = 0; k < type->max_idle && n < max_n; k++) {
            slot_t *slot = eai_idle_take(monitor, (uint8_t)i);
            if (slot == NULL) break;
            uint32_t stripe = stripe_of(monitor, account_of(READ(slot, eai_whose)));
            if (type->destroy != NULL) type->destroy(type->context, READ(slot, eai_object));
            eai_monitor_free(monitor, slot, word_of(slot), stripe);
            n++;
        }
    }
    if (n > 0) tell_line(monitor);
    return n;
}
