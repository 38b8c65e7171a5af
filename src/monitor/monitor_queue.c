/* SPDX-License-Identifier: MIT
 *
 * The release queue and the cleanup. An array of cells; tail counts what was put, head what was
 * taken, cell i of lap l holds
 *
 *     l << 1 | 1                              nothing, for the one that puts number l * cells + i
 *     [generation 32 or 7 | slot + 1 24 | 0]  that slot
 *
 * To put is one compare-and-swap of the cell from the lap's nothing; tail is counted on by whoever
 * comes next if the one that put it does not. A context that stops anywhere keeps nobody from
 * putting or taking. Only the one that cleans up takes: it looks, releases, and takes the entry
 * away last, so that nothing is in its hands alone when it dies.
 *
 * Why a cell that holds a slot at tail holds what was put there in this lap: head is past what it
 * held the lap before, and head moves after the cell was emptied. Where head is not, the queue is
 * full. A tail that was read long ago fails in the compare-and-swap, of the cell by its lap (which
 * wraps after 2^31 laps on 32-bit machines) or of tail itself.
 */
#include "monitor/monitor_internal.h"

/* The slot of an entry, + 1. */
#define SLOT_OF(content) ((uint32_t)((content) >> 1 & 0xFFFFFFu))
#define IS_SLOT(content) (((content)&1u) == 0 && SLOT_OF(content) != 0)

/* The generation that counts is the slot's; the entry's tells an audit that it is not left over. */
EA_INLINE word_t queue_entry(uint32_t index, word_t word)
{
    return (generation_of(word) << 24 | (index + 1u)) << 1;
}

EA_INLINE word_t nothing_at(const monitor_t *monitor, word_t position)
{
    return position >> monitor->eai_cell_shift << 1 | 1u;
}

EA_INLINE EAI_SHARED(word_t) * cell_at(const monitor_t *monitor, word_t position)
{
    return &monitor->eai_cells[position & (monitor->eai_n_cells - 1u)];
}

void eai_queue_reset(monitor_t *monitor)
{
    for (uint32_t i = 0; i < monitor->eai_n_cells; i++) {
        EAI_STORE(&monitor->eai_cells[i], nothing_at(monitor, i), EAI_RELAXED);
    }
    EAI_STORE(&monitor->eai_tail, 0, EAI_RELAXED);
    EAI_STORE(&monitor->eai_head, 0, EAI_RELEASE);
}

/* Tail stands behind an entry that was put: nobody need wait for the one that did. */
EA_INLINE void help(monitor_t *monitor, word_t tail)
{
    (void)move_word(&monitor->eai_tail, tail, tail + 1u);
}

/* Repeats only when another context's call got through. */
static bool put(monitor_t *monitor, word_t entry, word_t *n_queued)
{
    for (;;) {
        word_t tail = EAI_LOAD(&monitor->eai_tail, EAI_SEQ_CST);
        word_t head = EAI_LOAD(&monitor->eai_head, EAI_ACQUIRE), n = tail - head;
        EAI_SHARED(word_t) *cell = cell_at(monitor, tail);
        word_t content = EAI_LOAD(cell, EAI_ACQUIRE);
        *n_queued = n + 1u;
        if (EA_LIKELY(n < monitor->eai_n_cells && content == nothing_at(monitor, tail))) {
            if (!move_word(cell, content, entry)) continue;
            help(monitor, tail);
            return true;
        }
        if (EAI_LOAD(&monitor->eai_tail, EAI_SEQ_CST) != tail) continue;
        if (n > UINTPTR_MAX / 2u || (n < monitor->eai_n_cells && IS_SLOT(content))) {
            help(monitor, tail);
            continue;
        }
        return false; /* full; or damaged */
    }
}

/* Repeats only when another context raised it. */
static EA_NOINLINE void raise_most_queued(monitor_t *monitor, word_t n)
{
    word_t most = EAI_LOAD(&monitor->eai_most_queued, EAI_RELAXED);
    while (n > most && !move_word(&monitor->eai_most_queued, most, n)) {
        most = EAI_LOAD(&monitor->eai_most_queued, EAI_RELAXED);
    }
}

bool eai_queue_put(monitor_t *monitor, uint32_t index, word_t word)
{
    word_t n_queued;
    if (EA_UNLIKELY(!put(monitor, queue_entry(index, word), &n_queued))) return false;
    if (EA_UNLIKELY(n_queued > EAI_LOAD(&monitor->eai_most_queued, EAI_RELAXED))) {
        raise_most_queued(monitor, n_queued);
    }
    if (EA_UNLIKELY(n_queued >= monitor->eai_batch) &&
        EA_UNLIKELY(!ea_waitq_is_empty(&monitor->eai_cleanup_waits))) {
        (void)!ea_waitq_hand_first(&monitor->eai_cleanup_waits, monitor);
    }
    return true;
}

bool eai_queue_knows(const monitor_t *monitor, uint32_t index, word_t word)
{
    for (uint32_t i = 0; i < monitor->eai_n_cells; i++) {
        word_t content = EAI_LOAD(&monitor->eai_cells[i], EAI_ACQUIRE);
        if (content == queue_entry(index, word)) return true;
    }
    return false;
}

/* Whether an entry's slot is what the entry says. One that is left over, of an earlier generation
 * or put twice, does no harm; but what is in the queue, and of this generation, is not live. */
static bool is_right(const monitor_t *monitor, word_t content)
{
    uint32_t index = SLOT_OF(content) - 1u;
    if (index >= monitor->eai_n_slots) return false;
    word_t word = word_of(&monitor->eai_slots[index]);
    return state_of(word) != SLOT_LIVE || queue_entry(index, word) != content;
}

/* What is between head and tail is slots, and what is not is nothing. */
bool eai_queue_is_sound(const monitor_t *monitor)
{
    monitor_t *of = (monitor_t *)monitor;
    word_t head = EAI_LOAD(&of->eai_head, EAI_RELAXED), tail = EAI_LOAD(&of->eai_tail, EAI_RELAXED);
    if (tail - head > monitor->eai_n_cells) return false;
    for (uint32_t i = 0; i < monitor->eai_n_cells; i++) {
        word_t content = EAI_LOAD(cell_at(monitor, head + i), EAI_RELAXED);
        bool is_entry = IS_SLOT(content) && is_right(monitor, content);
        if (i < tail - head ? !is_entry : content != nothing_at(monitor, head + i)) return false;
    }
    return true;
}

/* --- the cleanup ------------------------------------------------------------------------------ */

uint32_t eai_cleaner_enter(monitor_t *monitor)
{
    uint32_t incarnation = EAI_LOAD(&monitor->eai_incarnation, EAI_SEQ_CST);
    return move_u32(&monitor->eai_cleaner, 0, incarnation) ? incarnation : 0;
}

void eai_cleaner_leave(monitor_t *monitor)
{
    EAI_STORE(&monitor->eai_cleaner, 0, EAI_RELEASE);
}

/* The entry at head is done. */
static void take_away(monitor_t *monitor, word_t head)
{
    word_t nothing = nothing_at(monitor, head + monitor->eai_n_cells);
    EAI_STORE(cell_at(monitor, head), nothing, EAI_RELEASE);
    EAI_STORE(&monitor->eai_head, head + 1u, EAI_SEQ_CST);
}

/* A slot that an entry names is released, unless it is released already or damaged. Returns
 * whether it was. */
static bool clean(monitor_t *monitor, word_t content, uint32_t incarnation, link_t *parent)
{
    *parent = NO_LINK;
    if (SLOT_OF(content) > monitor->eai_n_slots) return false;
    slot_t *slot = &monitor->eai_slots[SLOT_OF(content) - 1u];
    word_t word = word_of(slot), next = make_word(generation_of(word), incarnation, SLOT_CLEANING);
    if (state_of(word) != SLOT_QUEUED) return false;
    if (EA_CFG_CHECK_LEVEL >= 1 && !eai_monitor_is_sealed(monitor, slot, word)) return false;
    if (!move_word(&slot->eai_state, word, next)) return false;
    *parent = eai_monitor_finish(monitor, slot, next);
    return true;
}

size_t ea_monitor_cleanup(monitor_t *monitor, size_t max_n)
{
    size_t n = 0;
    if (monitor->eai_n_cells == 0) return 0;
    uint32_t incarnation = eai_cleaner_enter(monitor);
    if (incarnation == 0) return 0;
    while (n < max_n) {
        word_t head = EAI_LOAD(&monitor->eai_head, EAI_RELAXED);
        word_t content = EAI_LOAD(cell_at(monitor, head), EAI_ACQUIRE);
        if (!IS_SLOT(content)) break;
        link_t parent;
        n += clean(monitor, content, incarnation, &parent);
        take_away(monitor, head);
        if (parent.slot != 0) eai_monitor_drop(parent);
    }
    eai_cleaner_leave(monitor);
    return n;
}

static word_t n_queued(const monitor_t *monitor)
{
    monitor_t *of = (monitor_t *)monitor;
    word_t head = EAI_LOAD(&of->eai_head, EAI_SEQ_CST);
    word_t n = EAI_LOAD(&of->eai_tail, EAI_SEQ_CST) - head;
    return n > UINTPTR_MAX / 2u ? 0 : n;
}

size_t ea_monitor_poll(monitor_t *monitor, uint64_t now_us, size_t max_n)
{
    word_t n = n_queued(monitor);
    if (n == 0) {
        monitor->eai_waits_since_us = 0;
        return 0;
    }
    if (monitor->eai_waits_since_us == 0) monitor->eai_waits_since_us = now_us + 1u;
    uint64_t waited_us = now_us + 1u - monitor->eai_waits_since_us;
    if (n < monitor->eai_batch && waited_us < monitor->eai_delay_us) return 0;
    monitor->eai_waits_since_us = 0;
    return ea_monitor_cleanup(monitor, max_n);
}

size_t ea_monitor_cleanup_wait(monitor_t *monitor, size_t max_n)
{
    ea_waiter_t waiter;
    ea_waiter_init(&waiter, ea_port_task_priority());
    ea_waitq_enter(&monitor->eai_cleanup_waits, &waiter);
    /* A batch that came before it was in the line wakes nobody any more. */
    uint64_t delay_us = n_queued(monitor) >= monitor->eai_batch ? 0 : monitor->eai_delay_us;
    (void)!ea_waitq_sleep(&waiter, delay_us);
    return ea_monitor_cleanup(monitor, max_n);
}

/* The dead one may have left the entry that it was at: with its cell already empty, or not. */
void ea_monitor_cleanup_died(monitor_t *monitor)
{
    if (monitor->eai_n_cells > 0) {
        word_t head = EAI_LOAD(&monitor->eai_head, EAI_RELAXED);
        word_t content = EAI_LOAD(cell_at(monitor, head), EAI_ACQUIRE);
        uint32_t index = SLOT_OF(content) - 1u;
        bool is_slot = IS_SLOT(content) && index < monitor->eai_n_slots;
        if (content == nothing_at(monitor, head + monitor->eai_n_cells) ||
            (is_slot && state_of(word_of(&monitor->eai_slots[index])) != SLOT_QUEUED)) {
            take_away(monitor, head);
        }
    }
    uint32_t incarnation = EAI_LOAD(&monitor->eai_incarnation, EAI_RELAXED);
    EAI_STORE(&monitor->eai_incarnation, incarnation % INCARNATION_MAX + 1u, EAI_SEQ_CST);
    EAI_STORE(&monitor->eai_cleaner, 0, EAI_SEQ_CST);
}
