/* SPDX-License-Identifier: MIT
 *
 * The wait queue. The waiters of a level form a circle in order of arrival; a table has the first
 * of each level, and a bit for each level that somebody waits on, the most urgent first. The queue
 * itself is one pointer: the table is in one of the waiters, its keeper, so whoever has many queues
 * pays for waiting only while somebody waits.
 *
 *     queue --> table, in one of the waiters' memory
 *                 level 3 --> a <-> b <-> c <-> a      a came first, c last
 *                 level 1 --> d <-> d
 *
 * I1  The queue points to a table exactly while somebody waits. The table's bits say which levels
 *     are not empty; an empty level's pointer means nothing.
 * I2  A waiter is in a queue exactly while its status is EA_ERR_AGAIN, from enter on.
 * I3  Queue, table and waiters' links, status and result change in masked sections only. The
 *     queue's pointer is also read outside of them: whether it is NULL.
 * I4  ea_port_wake() is called once per waiter at most, in the section that takes it out of its
 *     queue. ea_waitq_sleep() passes through a masked section of its own before it returns: only
 *     when the one that woke it has left its section does the waiter's memory end.
 * I5  A keeper that is out of the queue stays keeper until ea_waitq_sleep() gives the table to the
 *     most urgent waiter, in one more masked section. Others may put an end to the table before,
 *     when the last waiter leaves; nobody makes it a keeper again.
 *
 * All is O(1); every masked section is a handful of instructions (bench/wcet, "masked"). Rejected:
 * a list of the levels that are not empty, for which to enter meant up to a step per level under
 * the mask; a table in every queue, 36 bytes of each pool on a 32-bit machine at 8 levels; one list
 * in order of urgency, O(tasks) under the mask; waking outside of the section, after which a waiter
 * whose time ends would have to wait for who woke it.
 */
#include "ealloc/waitq.h"

#include "base/atomic.h"
#include "base/bits.h"

/* In no queue, of that priority. */
EA_INLINE void place(ea_waiter_t *waiter, uint32_t priority)
{
    const uint32_t most = EA_CFG_WAIT_LEVELS - 1;
    uint32_t slot = priority < most ? most - priority : 0;

    waiter->eai_next = waiter->eai_prev = waiter;
    waiter->eai_slot = slot;
    /* The table as it is if nobody else waits; a level's pointer counts only with its bit. */
    waiter->eai_table.eai_levels = eai_bit(slot);
    waiter->eai_table.eai_first[slot] = waiter;
}

void ea_waiter_init(ea_waiter_t *waiter, uint32_t priority)
{
    place(waiter, priority);
    waiter->result = NULL;
    waiter->eai_status = EA_ERR_AGAIN;
    ea_port_waiter_init(&waiter->eai_port);
}

EA_INLINE void enter(ea_waitq_t *queue, ea_waiter_t *waiter)
{
    eai_waitq_table_t *table = queue->eai_table;
    uint32_t slot = waiter->eai_slot, bit = eai_bit(slot);

    waiter->eai_queue = queue;
    if (table == NULL) {
        EAI_STORE(&queue->eai_table, &waiter->eai_table, EAI_SEQ_CST); /* pairs with is_empty() */
    } else if ((table->eai_levels & bit) == 0) {
        table->eai_levels |= bit;
        table->eai_first[slot] = waiter;
    } else {
        ea_waiter_t *first = table->eai_first[slot], *last = first->eai_prev;
        waiter->eai_next = first;
        waiter->eai_prev = last;
        last->eai_next = waiter;
        first->eai_prev = waiter;
    }
}

void ea_waitq_enter_locked(ea_waitq_t *queue, ea_waiter_t *waiter)
{
    enter(queue, waiter);
}

void ea_waitq_enter(ea_waitq_t *queue, ea_waiter_t *waiter)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    enter(queue, waiter);
    ea_port_irq_restore(irq);
}

ea_waiter_t *ea_waitq_first_locked(const ea_waitq_t *queue)
{
    const eai_waitq_table_t *table = queue->eai_table;
    return table == NULL ? NULL : table->eai_first[eai_bits_first(table->eai_levels)];
}

/* Take waiter, of that slot, out of queue and its table. is_first: it is known to be the first. */
EA_INLINE void leave_line(ea_waitq_t *queue, eai_waitq_table_t *table, uint32_t slot,
                          ea_waiter_t *waiter, bool is_first)
{
    ea_waiter_t *next = waiter->eai_next, *prev = waiter->eai_prev;

    if (EA_LIKELY(next == waiter)) {
        uint32_t levels = table->eai_levels, bit = eai_bit(slot);
        if (levels == bit) { /* nobody waits any more, and the table is forgotten */
            EAI_STORE(&queue->eai_table, NULL, EAI_RELAXED);
        } else {
            table->eai_levels = levels ^ bit;
        }
    } else {
        prev->eai_next = next;
        next->eai_prev = prev;
        if (is_first || table->eai_first[slot] == waiter) table->eai_first[slot] = next;
    }
}

static void end_wait(ea_waiter_t *waiter, ea_status_t status)
{
    ea_waitq_t *queue = waiter->eai_queue;
    waiter->eai_status = status;
    leave_line(queue, queue->eai_table, waiter->eai_slot, waiter, false);
}

/* Entered last, it stands before the first: the circle need only begin with it. */
void ea_waitq_return_locked(ea_waitq_t *queue, ea_waiter_t *waiter)
{
    enter(queue, waiter);
    queue->eai_table->eai_first[waiter->eai_slot] = waiter;
}

/* A keeper leaves its table to the most urgent of those that stay, since it may have to keep
 * another. */
void ea_waitq_move_locked(ea_waitq_t *queue, ea_waiter_t *waiter, uint32_t priority)
{
    ea_waitq_t *from = waiter->eai_queue;
    eai_waitq_table_t *table = from->eai_table;

    leave_line(from, table, waiter->eai_slot, waiter, false);
    if (from->eai_table == &waiter->eai_table) {
        ea_waiter_t *heir = table->eai_first[eai_bits_first(table->eai_levels)];
        heir->eai_table = *table;
        EAI_STORE(&from->eai_table, &heir->eai_table, EAI_RELAXED);
    }
    place(waiter, priority);
    enter(queue, waiter);
}

void ea_waitq_hand_locked(ea_waiter_t *waiter, void *result)
{
    waiter->result = result;
    end_wait(waiter, EA_OK);
    ea_port_wake(&waiter->eai_port);
}

bool ea_waitq_hand_first(ea_waitq_t *queue, void *result)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    eai_waitq_table_t *table = queue->eai_table;
    if (EA_UNLIKELY(table == NULL)) {
        ea_port_irq_restore(irq);
        return false;
    }
    uint32_t slot = eai_bits_first(table->eai_levels);
    ea_waiter_t *waiter = table->eai_first[slot];
    waiter->result = result;
    waiter->eai_status = EA_OK;
    leave_line(queue, table, slot, waiter, true);
    ea_port_wake(&waiter->eai_port);
    ea_port_irq_restore(irq);
    return true;
}

void ea_waitq_cancel_locked(ea_waiter_t *waiter)
{
    end_wait(waiter, EA_ERR_CANCELLED);
    ea_port_wake(&waiter->eai_port);
}

/* In a masked section: who put an end to the table has then left the one in which it read it. */
EA_INLINE bool is_keeper(const ea_waiter_t *waiter)
{
    return waiter->eai_queue->eai_table == &waiter->eai_table;
}

/* Give the table to the most urgent waiter, if it is still kept here. */
static void hand_table_on(ea_waiter_t *waiter)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    if (is_keeper(waiter)) {
        eai_waitq_table_t *table = &waiter->eai_table;
        ea_waiter_t *heir = table->eai_first[eai_bits_first(table->eai_levels)];
        heir->eai_table = *table;
        EAI_STORE(&waiter->eai_queue->eai_table, &heir->eai_table, EAI_RELAXED);
    }
    ea_port_irq_restore(irq);
}

ea_status_t ea_waitq_sleep(ea_waiter_t *waiter, uint64_t timeout_us)
{
    /* Whether the token came does not matter: between its absence and the section below something
     * may have been handed over. */
    (void)!ea_port_wait(&waiter->eai_port, timeout_us);

    ea_port_irq_t irq = ea_port_irq_mask();
    if (waiter->eai_status == EA_ERR_AGAIN) end_wait(waiter, EA_ERR_TIMEOUT);
    bool keeps = is_keeper(waiter);
    ea_port_irq_restore(irq);
    if (keeps) hand_table_on(waiter);
    ea_port_waiter_deinit(&waiter->eai_port);
    return waiter->eai_status;
}
