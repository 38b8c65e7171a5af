/* SPDX-License-Identifier: MIT
 *
 * The audit: everything that can be derived from the slots is compared with them, and set right;
 * the slots are trusted, never the counters. It goes over them in rounds of two passes, in steps of
 * the caller's budget, while others are at work.
 *
 * A slot by itself. A word that is none, or a record that does not fit its seal, is forgotten: the
 * slot is made free with a new generation, its object is left alone and reported, for what is
 * damaged must not be handed to a destructor. Its units and its count are then without a slot, and
 * the comparison of the sums gives them back to the account that has them, whatever the damaged
 * record said. What says that it is on its way is left over if its cleanup is dead (its incarnation
 * is no more) or nobody else is there; how far it had come is not known, so it is made free without
 * counting, and the sums tell.
 *
 * The sums. The first pass adds up what lives, by type and by account; then counters and accounts
 * are read; the second pass looks whether every slot's word is what it was. If so all were so at
 * the moment between, since a word never comes back: its generation counts on. What is on its way
 * explains a count of one each (M2 in monitor.c) and, where it is of a book, anything of that
 * book's accounts: those are compared only where nothing is. An account may be read while a
 * reservation is half made, so unless nobody else is there only what is wrong by as much in two
 * rounds is wrong. A book whose accounts several monitors charge (eai_charger) is not compared at
 * all: none of them knows what the others hold.
 *
 * If the words were not the same the round is made again, a few times, and then the sums are left:
 * the report says so.
 *
 * Complexity: a step is O(budget); between two passes all counters and accounts are read once.
 */
#include "monitor/monitor_internal.h"

#include "accounts/account_internal.h"

#define MAX_ROUNDS 4

typedef enum { AT_REST, COLLECT, VERIFY } phase_t;

/* --- findings --------------------------------------------------------------------------------- */

static bool may_repair(const monitor_t *monitor)
{
    return (monitor->eai_audit.flags & EA_AUDIT_REPAIR) != 0;
}

static bool is_alone(const monitor_t *monitor)
{
    return (monitor->eai_audit.flags & EA_AUDIT_ALONE) != 0;
}

static void find(monitor_t *monitor, ea_audit_kind_t kind, const void *where, word_t what,
                 uint16_t owner)
{
    ea_audit_report_t *report = &monitor->eai_audit.report;
    report->n_found++;
    report->by_kind[kind]++;
    if (ea_events_wanted(monitor->eai_events, EA_EVENT_CORRUPTION)) {
        ea_events_emit_isr(monitor->eai_events, &(ea_event_t){.kind = EA_EVENT_CORRUPTION,
                                                              .reason = EA_REASON_DAMAGED,
                                                              .level = (uint8_t)kind,
                                                              .owner = owner,
                                                              .size_bytes = what,
                                                              .where = where});
    }
}

/* --- one slot --------------------------------------------------------------------------------- */

static bool is_word(word_t word)
{
    bool has_none = references_of(word) == 0 && (word >> PARITY_SHIFT & 1u) == 0;
    bool has_some =
        references_of(word) != 0 && (word >> PARITY_SHIFT & 1u) == parity(references_of(word));
    if (generation_of(word) == 0) return false;
    switch (state_of(word)) {
    case SLOT_LIVE: return has_some;
    case SLOT_CLEANING: return has_some && references_of(word) <= INCARNATION_MAX;
    case SLOT_HELD:
    case SLOT_FREE:
    case SLOT_RESERVED:
    case SLOT_RELEASING:
    case SLOT_QUEUED:
    case SLOT_IDLE: return has_none;
    default: return false;
    }
}

/* The slot becomes free, if it still is what was seen. Returns its word then. */
static word_t forget(monitor_t *monitor, slot_t *slot, word_t word, ea_audit_kind_t kind)
{
    record_t record;
    (void)read_record(slot, &record);
    find(monitor, kind, slot, record.object, account_of(record.whose));
    if (!may_repair(monitor)) return word;
    word_t next = make_word(next_generation(word), 0, SLOT_FREE);
    tell_hooks(monitor, EA_BLOCK_FREED, slot, &record); /* before it can be another's */
    if (!move_word(&slot->eai_state, word, next)) return word_of(slot);
    eai_slots_offer(monitor, index_of(monitor, slot), stripe_of(monitor, account_of(record.whose)));
    monitor->eai_audit.report.n_repaired++;
    return next;
}

/* Left over by one that died while it released. It had not come to its parent yet. */
static word_t end_left_over(monitor_t *monitor, slot_t *slot, word_t word)
{
    record_t record;
    (void)read_record(slot, &record);
    word_t claimed = with_state(word, SLOT_RELEASING);
    if (!may_repair(monitor) || !eai_monitor_is_sealed(monitor, slot, word)) {
        return forget(monitor, slot, word, EA_AUDIT_RELEASING);
    }
    const type_t *type = &monitor->eai_types[type_of(record.whose)];
    if (word != claimed && !move_word(&slot->eai_state, word, claimed)) return word_of(slot);
    if (type->is_idempotent && type->destroy != NULL) type->destroy(type->context, record.object);
    word = forget(monitor, slot, claimed, EA_AUDIT_RELEASING);
    eai_monitor_drop((link_t){parents_of(monitor, type), record.parent});
    return word;
}

static bool is_left_over(const monitor_t *monitor, word_t word)
{
    if (is_alone(monitor)) return is_on_its_way(word);
    uint32_t now = EAI_LOAD(&((monitor_t *)monitor)->eai_incarnation, EAI_SEQ_CST);
    return state_of(word) == SLOT_CLEANING && references_of(word) != now;
}

/* An idle object or a queued resource has no place to be found in: it is ended here. */
static void end_here(monitor_t *monitor, slot_t *slot, word_t word)
{
    word_t next = with_state(word, SLOT_RELEASING);
    if (state_of(word) == SLOT_QUEUED) {
        if (move_word(&slot->eai_state, word, next)) {
            eai_monitor_drop(eai_monitor_finish(monitor, slot, next));
        }
        return;
    }
    next = with_state(word, SLOT_RESERVED);
    if (!move_word(&slot->eai_state, word, next)) return;
    uint32_t whose = READ(slot, eai_whose);
    const type_t *type = &monitor->eai_types[type_of(whose)];
    if (type->destroy != NULL) type->destroy(type->context, READ(slot, eai_object));
    eai_monitor_free(monitor, slot, next, stripe_of(monitor, account_of(whose)));
}

/* What leads to a free, queued or idle slot is missing: it is put there. Where others are at work
 * they may be about to, so that is no finding then. Returns the slot's word. */
static word_t mend_hint(monitor_t *monitor, slot_t *slot, word_t word)
{
    const uint32_t index = index_of(monitor, slot), whose = READ(slot, eai_whose);
    ea_audit_kind_t kind = EA_AUDIT_MISSING;
    bool is_known = true, is_mended = true;
    switch (state_of(word)) {
    case SLOT_FREE: is_known = eai_slots_knows(monitor, index); break;
    case SLOT_QUEUED:
        is_known = eai_queue_knows(monitor, index, word);
        kind = EA_AUDIT_QUEUED;
        break;
    case SLOT_IDLE:
        is_known = eai_idle_knows(monitor, type_of(whose), index, word);
        kind = EA_AUDIT_IDLE;
        break;
    default: break;
    }
    if (is_known) return word;
    if (is_alone(monitor)) find(monitor, kind, slot, READ(slot, eai_object), account_of(whose));
    if (!may_repair(monitor)) return word;
    if (kind == EA_AUDIT_MISSING) {
        eai_slots_offer(monitor, index, stripe_of(monitor, account_of(whose)));
    } else if (kind == EA_AUDIT_QUEUED) {
        is_mended = monitor->eai_n_cells > 0 && eai_queue_put(monitor, index, word);
    } else {
        is_mended = eai_idle_offer(monitor, type_of(whose), index, word);
    }
    if (!is_mended) end_here(monitor, slot, word);
    if (is_alone(monitor)) monitor->eai_audit.report.n_repaired++;
    return word_of(slot);
}

/* Whether no change is under way; if so *n is how many there were. If that is so before and after
 * and they are as many, none was in between. */
static bool is_quiet(const monitor_t *monitor, word_t *n)
{
    monitor_t *of = (monitor_t *)monitor;
    word_t ended = EAI_LOAD(&of->eai_n_ended, EAI_SEQ_CST);
    *n = EAI_LOAD(&of->eai_n_begun, EAI_SEQ_CST);
    return ended == *n;
}

static bool is_sealed(const monitor_t *monitor, const slot_t *slot, word_t word)
{
    return state_of(word) == SLOT_HELD ? eai_held_is_sealed(monitor, slot, word)
                                       : eai_monitor_is_sealed(monitor, slot, word);
}

/* The seal of a live, queued, idle or held slot is wrong, and not because it is being handed over
 * or put back. */
static bool is_damaged(const monitor_t *monitor, const slot_t *slot, word_t word)
{
    word_t before, after;
    if (is_sealed(monitor, slot, word)) return false;
    if (is_alone(monitor)) return true;
    return is_quiet(monitor, &before) && !is_sealed(monitor, slot, word) && word_of(slot) == word &&
           is_quiet(monitor, &after) && before == after;
}

/* Set one slot right. Returns its word. */
static word_t mend(monitor_t *monitor, slot_t *slot)
{
    word_t word = word_of(slot), state = state_of(word);
    if (!is_word(word)) return forget(monitor, slot, word, EA_AUDIT_STATE);
    if (state == SLOT_LIVE || state == SLOT_QUEUED || state == SLOT_IDLE || state == SLOT_HELD) {
        if (is_damaged(monitor, slot, word)) return forget(monitor, slot, word, EA_AUDIT_SEAL);
    }
    if (state == SLOT_RESERVED && is_alone(monitor)) {
        return forget(monitor, slot, word, EA_AUDIT_RESERVED);
    }
    if (is_left_over(monitor, word)) return end_left_over(monitor, slot, word);
    return mend_hint(monitor, slot, word);
}

static void add_up(monitor_t *monitor, const slot_t *slot, word_t word)
{
    uint32_t whose = READ(slot, eai_whose);
    word_t units = READ(slot, eai_units);
    uint8_t type = type_of(whose);
    word_t state = state_of(word);
    if (!is_word(word) || state == SLOT_FREE || state == SLOT_IDLE || state == SLOT_HELD) return;
    if (type >= monitor->eai_n_types) return;
    if (is_on_its_way(word)) {
        monitor->eai_type_sums[type].open++;
        monitor->eai_audit.report.n_in_flight++;
        return;
    }
    if (account_with(&monitor->eai_types[type], account_of(whose)) == NULL) return;
    if (!may_repair(monitor) && !eai_monitor_is_sealed(monitor, slot, word)) return;
    monitor->eai_type_sums[type].sure++;
    monitor->eai_sums[monitor->eai_kinds[type].first_sum + account_of(whose) - 1u].sure += units;
}

/* --- sums ------------------------------------------------------------------------------------- */

static bool is_first_of_book(const monitor_t *monitor, uint32_t type)
{
    for (uint32_t i = 0; i < type; i++) {
        if (monitor->eai_kinds[i].first_sum == monitor->eai_kinds[type].first_sum) return false;
    }
    return true;
}

static bool has_open(const monitor_t *monitor, uint32_t type)
{
    for (uint32_t i = 0; i < monitor->eai_n_types; i++) {
        if (monitor->eai_kinds[i].first_sum == monitor->eai_kinds[type].first_sum &&
            monitor->eai_type_sums[i].open != 0) {
            return true;
        }
    }
    return false;
}

/* sure becomes what the account has more than its slots explain. */
static void read_accounts(monitor_t *monitor, uint32_t type)
{
    const ea_accounts_t *book = monitor->eai_types[type].book;
    eai_sum_t *sums = &monitor->eai_sums[monitor->eai_kinds[type].first_sum];
    for (uint32_t i = 0; i < book->eai_n_nodes; i++) sums[i].open = 0;
    for (uint32_t i = 0; i < book->eai_n_nodes; i++) {
        ea_account_t *node = &book->eai_nodes[i];
        if (!eai_account_is_live(node) || node->eai_parent == NULL) continue;
        sums[node->eai_parent - book->eai_nodes].open += EAI_LOAD(&node->eai_credit, EAI_ACQUIRE);
    }
    for (uint32_t i = 0; i < book->eai_n_nodes; i++) {
        ea_account_t *node = &book->eai_nodes[i];
        if (!eai_account_is_live(node)) {
            sums[i].sure = 0;
            continue;
        }
        word_t used =
            EAI_LOAD(&node->eai_credit, EAI_ACQUIRE) - EAI_LOAD(&node->eai_avail, EAI_ACQUIRE);
        word_t reserved = EAI_LOAD(&node->eai_reserved, EAI_ACQUIRE);
        sums[i].sure = used - sums[i].open - reserved - sums[i].sure;
    }
}

/* sure becomes what the counters say more than slots explain: 0 if what is on its way may be it. */
static void read_counters(monitor_t *monitor, uint32_t type)
{
    eai_sum_t *sum = &monitor->eai_type_sums[type];
    ea_resource_stats_t stats;
    (void)ea_monitor_type_stats(monitor, (uint8_t)type, &stats);
    word_t more = stats.n_live - sum->sure;
    if (more <= sum->open) {
        more = 0;
    } else if (more <= UINTPTR_MAX / 2u) {
        more -= sum->open;
    }
    sum->sure = more;
}

static void read_sums(monitor_t *monitor)
{
    word_t before, after;
    bool was_quiet = is_quiet(monitor, &before);
    for (uint32_t i = 0; i < monitor->eai_n_types; i++) {
        read_counters(monitor, i);
        if (is_first_of_book(monitor, i)) read_accounts(monitor, i);
    }
    monitor->eai_audit.is_unclear = !was_quiet || !is_quiet(monitor, &after) || before != after;
}

/* Whether a difference is one: nobody else is there, or it was the same the round before. */
static bool is_certain(const monitor_t *monitor, eai_sum_t *sum, bool *again)
{
    if (sum->sure == 0) {
        sum->last = 0;
        return false;
    }
    if (is_alone(monitor) || (monitor->eai_audit.is_confirming && sum->last == sum->sure)) {
        return true;
    }
    sum->last = sum->sure;
    *again = true;
    return false;
}

static bool mend_account(ea_account_t *node, word_t more)
{
    if (more <= UINTPTR_MAX / 2u) {
        eai_account_give(node, more);
        return true;
    }
    return eai_account_obtain(node, 0u - more) == NULL;
}

/* The deepest first: what an account gives back changes its parent's usage and its own alike. */
static void judge_accounts(monitor_t *monitor, uint32_t type, bool *again)
{
    const ea_accounts_t *book = monitor->eai_types[type].book;
    eai_sum_t *sums = &monitor->eai_sums[monitor->eai_kinds[type].first_sum];
    for (unsigned depth = EA_CFG_ACCOUNT_DEPTH; depth-- > 0;) {
        for (uint32_t i = 0; i < book->eai_n_nodes; i++) {
            ea_account_t *node = &book->eai_nodes[i];
            if (!eai_account_is_live(node) || node->eai_depth != depth) continue;
            if (!is_certain(monitor, &sums[i], again)) continue;
            find(monitor, EA_AUDIT_ACCOUNT, node, sums[i].sure, ea_account_id(node));
            if (may_repair(monitor) && mend_account(node, sums[i].sure)) {
                monitor->eai_audit.report.n_repaired++;
            }
        }
    }
}

/* Returns whether another round is needed to be certain. */
static bool judge(monitor_t *monitor)
{
    bool again = false;
    monitor->eai_audit.report.is_exact = true;
    for (uint32_t i = 0; i < monitor->eai_n_types; i++) {
        eai_sum_t *sum = &monitor->eai_type_sums[i];
        if (is_certain(monitor, sum, &again)) {
            find(monitor, EA_AUDIT_COUNTER, &monitor->eai_types[i], sum->sure, 0);
            if (may_repair(monitor)) {
                add_word(&tally_of(monitor, 0, (uint8_t)i)->acquired.n, 0u - sum->sure);
                monitor->eai_audit.report.n_repaired++;
            }
        }
        if (!is_first_of_book(monitor, i)) continue;
        if (has_open(monitor, i) || monitor->eai_types[i].book->eai_charger != monitor ||
            (monitor->eai_audit.is_unclear && !is_alone(monitor))) {
            monitor->eai_audit.report.is_exact = false;
        } else {
            judge_accounts(monitor, i, &again);
        }
    }
    monitor->eai_audit.is_confirming = again;
    return again;
}

/* --- rounds ----------------------------------------------------------------------------------- */

static void start_pass(monitor_t *monitor, phase_t phase)
{
    monitor->eai_audit.phase = (uint8_t)phase;
    monitor->eai_audit.cursor = 0;
    monitor->eai_audit.hash = 0;
    monitor->eai_audit.report.n_passes++;
}

static void start_round(monitor_t *monitor)
{
    for (uint32_t i = 0; i < monitor->eai_n_types; i++) {
        monitor->eai_type_sums[i].sure = monitor->eai_type_sums[i].open = 0;
    }
    for (uint32_t i = 0; i < monitor->eai_n_sums; i++) monitor->eai_sums[i].sure = 0;
    monitor->eai_audit.n_rounds++;
    monitor->eai_audit.report.n_in_flight = 0;
    start_pass(monitor, COLLECT);
}

static void start_audit(monitor_t *monitor, uint32_t flags)
{
    eai_audit_t *audit = &monitor->eai_audit;
    audit->report = (ea_audit_report_t){0};
    audit->flags = flags;
    audit->n_rounds = 0;
    audit->is_confirming = false;
    if (is_alone(monitor) && !eai_queue_is_sound(monitor)) {
        find(monitor, EA_AUDIT_QUEUE, monitor, 0, 0);
        if (may_repair(monitor)) {
            eai_queue_reset(monitor);
            audit->report.n_repaired++;
        }
    }
    if (is_alone(monitor) && may_repair(monitor)) {
        EAI_STORE(&monitor->eai_cleaner, 0, EAI_SEQ_CST);
        EAI_STORE(&monitor->eai_n_ended, EAI_LOAD(&monitor->eai_n_begun, EAI_RELAXED), EAI_SEQ_CST);
    }
    start_round(monitor);
}

/* A pass is over. Returns whether the audit is. */
static bool end_pass(monitor_t *monitor)
{
    eai_audit_t *audit = &monitor->eai_audit;
    if (audit->phase == COLLECT) {
        audit->first_hash = audit->hash;
        read_sums(monitor);
        start_pass(monitor, VERIFY);
        return false;
    }
    bool again = true;
    if (audit->hash == audit->first_hash) {
        again = judge(monitor);
    } else {
        audit->is_confirming = false;
    }
    if (again && audit->n_rounds < MAX_ROUNDS) {
        start_round(monitor);
        return false;
    }
    if (again) audit->report.is_exact = false;
    audit->phase = AT_REST;
    return true;
}

/* Returns whether the audit is over. */
static bool step(monitor_t *monitor, size_t budget)
{
    eai_audit_t *audit = &monitor->eai_audit;
    while (budget > 0) {
        for (; budget > 0 && audit->cursor < monitor->eai_n_slots; budget--) {
            slot_t *slot = &monitor->eai_slots[audit->cursor++];
            word_t word = audit->phase == COLLECT ? mend(monitor, slot) : word_of(slot);
            if (audit->phase == COLLECT) add_up(monitor, slot, word);
            /* An odd factor loses no bit: any one word that differs makes another hash. */
            audit->hash = (audit->hash ^ word) * (word_t)0x9E3779B97F4A7C15u;
        }
        if (audit->cursor >= monitor->eai_n_slots && end_pass(monitor)) return true;
    }
    return false;
}

ea_status_t ea_monitor_audit(monitor_t *monitor, uint32_t flags, size_t budget,
                             ea_audit_report_t *report)
{
    eai_audit_t *audit = &monitor->eai_audit;
    if (budget == 0) return EA_ERR_INVALID;
    if (!move_u32(&audit->is_busy, 0, 1) && (flags & EA_AUDIT_ALONE) == 0) return EA_ERR_BUSY;

    if (audit->phase == AT_REST || audit->flags != flags) start_audit(monitor, flags);
    bool is_over = step(monitor, budget);
    const bool has_repaired = is_over && audit->report.n_repaired > 0;
    if (report != NULL) *report = audit->report;
    EAI_STORE(&audit->is_busy, 0, EAI_RELEASE);
    if (has_repaired) tell_line(monitor); /* what was lost is free */
    return is_over ? EA_OK : EA_ERR_AGAIN;
}
