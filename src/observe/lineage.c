/* SPDX-License-Identifier: MIT
 *
 * Where blocks come from: recording. lineage_read.c reads it, lineage_attach.c joins it to an
 * allocator, stack.c keeps the call stacks.
 *
 *     mem    control words | task 0 ... | place 0 | place 1 | ... | place n - 1
 *     task   [slot][what it serves][the serial of that][-]          tasks.h
 *     place  [block][serial][site][parent][its serial][size][time][owner, stack][hand-overs in all]
 *            [hand-over 0: site, time, to] ...                      a ring of the newest
 *
 * L1  A place's first word is 0 (free), 1 (being filled, or under way in a realloc), a live block's
 *     address, or a freed one's with bit 0 set. The other words are written while it is 1; of a
 *     live block's only size and hand-overs change later.
 * L2  A live block has one place at most: the allocator tells of a free before the block can be
 *     given to another, and of a block that moves before another can have its old address.
 * L3  Serials are given in the order in which blocks came, and a block keeps its own through every
 *     realloc. What is served is kept with its serial: so a parent is older than its children, and
 *     an address that is another's by now is not taken for it.
 * L4  Between MOVED and RESIZED the task that reallocs keeps its block's place in a transit, found
 *     by the task's slot; the place is 1 meanwhile, so nobody else takes it.
 *
 * Cost: a probe of eight places; a new block writes nine words.
 *
 * Rejected: the lineage in the block itself, which changes every block's size and is lost with it;
 * a chain of hand-overs in one table for all blocks, which needs a lock or loses the beginning of a
 * chain to others; giving up the oldest live block, which is the one somebody will ask for.
 */
#include "observe/lineage_internal.h"

#include "base/mem.h"
#include "observe/tasks.h"

#define MAGIC ((uintptr_t)0x45414C4Eu) /* EALN */
#define VERSION 1u
#define MOST ((uint32_t)1 << 20)
#define MOST_TASKS 32768u
#define PORT_UNIT_LOG2 10u

EA_STATIC_ASSERT(sizeof(ea_lineage_t) == 32 * sizeof(uintptr_t),
                 "the control words are as described");

/* A task's place; the first word is its slot. */
enum { T_SLOT, T_SERVED, T_SERIAL };

EA_INLINE eai_tasks_t tasks_of(const lineage_t *l)
{
    eai_tasks_t tasks = {(uintptr_t *)(uintptr_t)(l + 1), (uint32_t)l->eai_n_tasks,
                         EAI_LINEAGE_TASK_WORDS};
    return tasks;
}

static uintptr_t now(const lineage_t *l)
{
    if (l->eai_clock) return *l->eai_clock;
    return (uint32_t)(ea_port_time_coarse_us() >> PORT_UNIT_LOG2);
}

/* --- places ----------------------------------------------------------------------------------- */

EA_INLINE bool is_freed(uintptr_t word)
{
    return (word & EAI_IS_FREED) != 0 && word != EAI_TAKEN;
}

/* The best of a block's ways: a free one, else that of the freed block that came first. NULL: all
 * are live. */
static uintptr_t *choose_place(const lineage_t *l, uintptr_t block, uintptr_t *word)
{
    uintptr_t *best = NULL, oldest = 0,
              newest = EAI_LOAD(&((lineage_t *)(uintptr_t)l)->eai_serial, EAI_RELAXED);
    for (uint32_t i = 0; i < EAI_LINEAGE_WAYS; i++) {
        uintptr_t *place = eai_nth_way(l, block, i), seen = EAI_LOAD(place, EAI_RELAXED);
        if (seen == 0) {
            *word = 0;
            return place;
        }
        uintptr_t age = newest - EAI_LOAD(&place[EAI_L_SERIAL], EAI_RELAXED);
        if (is_freed(seen) && (!best || age > oldest)) {
            best = place;
            oldest = age;
            *word = seen;
        }
    }
    return best;
}

/* A place that is the caller's to fill (L1); NULL: there is none, and it was counted. Tries anew
 * where another context was first, as often as there are ways. */
static uintptr_t *take_place(lineage_t *l, uintptr_t block)
{
    uintptr_t word = 0;
    for (uint32_t i = 0; i < EAI_LINEAGE_WAYS; i++) {
        uintptr_t *place = choose_place(l, block, &word);
        if (!place) break;
        bool is_ours = false;
        while (!is_ours && EAI_LOAD(place, EAI_RELAXED) == word) { /* bound: interrupts */
            EAI_ENTER(irq);
            is_ours = eai_claim(place, word, EAI_TAKEN); /* with publish and forget */
            EAI_LEAVE(irq);
        }
        if (!is_ours) continue;
        if (word != 0) eai_tally(&l->eai_n_forgotten, 1);
        return place;
    }
    eai_tally(&l->eai_n_untracked, 1);
    return NULL;
}

/* Pairs with find_place and readers. */
EA_INLINE void publish(uintptr_t *place, uintptr_t word)
{
    EAI_STORE(place, word, EAI_RELEASE);
}

EA_INLINE void write(uintptr_t *place, unsigned which, uintptr_t value)
{
    EAI_STORE(&place[which], value, EAI_RELAXED);
}

/* --- events ----------------------------------------------------------------------------------- */

static void arrive(lineage_t *l, uint16_t owner, const void *site, uintptr_t block,
                   size_t size_bytes)
{
    EAI_ENTER(irq);
    uintptr_t serial = eai_add(&l->eai_serial, 1);
    EAI_LEAVE(irq);
    uintptr_t stack = l->eai_stacks ? ea_stacks_here(l->eai_stacks, site) : 0;
    uintptr_t *place = eai_find_place(l, block, block); /* handed on by an out-of-memory handler */
    if (EA_LIKELY(!place))
        place = take_place(l, block);
    else
        publish(place, EAI_TAKEN);
    if (EA_UNLIKELY(!place)) return;
    uintptr_t parent = 0, parent_serial = 0;
    if (EAI_LOAD(&l->eai_n_serving, EAI_RELAXED) != 0) {
        const eai_tasks_t tasks = tasks_of(l);
        uintptr_t *task = eai_task_find(&tasks);
        if (task) {
            parent = EAI_LOAD(&task[T_SERVED], EAI_RELAXED);
            parent_serial = EAI_LOAD(&task[T_SERIAL], EAI_RELAXED);
        }
    }
    write(place, EAI_L_SERIAL, serial);
    write(place, EAI_L_SITE, (uintptr_t)site);
    write(place, EAI_L_PARENT, parent);
    write(place, EAI_L_PARENT_SERIAL, parent_serial);
    write(place, EAI_L_SIZE, size_bytes);
    write(place, EAI_L_TIME, now(l));
    write(place, EAI_L_OWNER, owner | stack << 16);
    write(place, EAI_L_N_HANDED, 0);
    publish(place, block);
}

/* MOVED (L4). */
static void set_out(lineage_t *l, uintptr_t block)
{
    uintptr_t slot = (uintptr_t)ea_port_task_slot(), *place = eai_find_place(l, block, block);
    if (!place) return;
    publish(place, EAI_TAKEN);
    for (uint32_t i = 0; i < EAI_LINEAGE_TRANSITS; i++) {
        uintptr_t *transit = l->eai_transits[i];
        while (EAI_LOAD(transit, EAI_RELAXED) == 0) { /* bound: interrupts */
            EAI_ENTER(irq);
            bool is_ours = eai_claim(transit, 0, slot); /* with leave_transit */
            EAI_LEAVE(irq);
            if (!is_ours) continue;
            EAI_STORE(&transit[1], (uintptr_t)place, EAI_RELAXED);
            return;
        }
    }
    publish(place, 0);
    eai_tally(&l->eai_n_severed, 1);
}

/* The place that set_out kept for this task; NULL: none. */
static uintptr_t *leave_transit(lineage_t *l)
{
    uintptr_t slot = (uintptr_t)ea_port_task_slot();
    for (uint32_t i = 0; i < EAI_LINEAGE_TRANSITS; i++) {
        uintptr_t *transit = l->eai_transits[i];
        if (EAI_LOAD(transit, EAI_RELAXED) != slot) continue;
        uintptr_t *place = (uintptr_t *)EAI_LOAD(&transit[1], EAI_RELAXED);
        publish(transit, 0); /* pairs with set_out */
        return place;
    }
    return NULL;
}

/* RESIZED: of a block that moved, is where it was, or has no lineage yet. */
static void settle(lineage_t *l, uint16_t owner, const void *site, uintptr_t block,
                   size_t size_bytes)
{
    uintptr_t *from = leave_transit(l);
    if (!from) {
        uintptr_t *place = eai_find_place(l, block, block);
        if (place)
            write(place, EAI_L_SIZE, size_bytes);
        else
            arrive(l, owner, site, block, size_bytes);
        return;
    }
    uintptr_t *to = take_place(l, block);
    if (to) {
        for (unsigned i = 1; i < eai_place_words(l); i++)
            write(to, i, EAI_LOAD(&from[i], EAI_RELAXED));
        write(to, EAI_L_SIZE, size_bytes);
        publish(to, block);
    }
    publish(from, 0);
}

static void hand_over(lineage_t *l, uint16_t owner, const void *site, uintptr_t block)
{
    uintptr_t *place = eai_find_place(l, block, block);
    if (!place) return;
    uintptr_t n = EAI_LOAD(&place[EAI_L_N_HANDED], EAI_RELAXED);
    if (l->eai_n_hand_overs != 0) {
        uintptr_t *hop = eai_nth_hop(place, n % l->eai_n_hand_overs);
        write(hop, EAI_H_SITE, (uintptr_t)site);
        write(hop, EAI_H_TIME, now(l));
        write(hop, EAI_H_OWNER, owner);
    }
    EAI_STORE(&place[EAI_L_N_HANDED], n + 1u, EAI_RELEASE); /* pairs with readers */
}

void ea_lineage_record(lineage_t *l, ea_block_event_t what, uint16_t owner, const void *site,
                       const void *block, size_t size_bytes)
{
    uintptr_t address = (uintptr_t)block;
    switch (what) {
    case EA_BLOCK_ALLOCATED: arrive(l, owner, site, address, size_bytes); break;
    case EA_BLOCK_FREED: {
        uintptr_t *place = eai_find_place(l, address, address);
        if (place) publish(place, address | EAI_IS_FREED);
        break;
    }
    case EA_BLOCK_MOVED: set_out(l, address); break;
    case EA_BLOCK_RESIZED: settle(l, owner, site, address, size_bytes); break;
    case EA_BLOCK_TRANSFERRED: hand_over(l, owner, site, address); break;
    case EA_BLOCK_REFUSED:
    case EA_BLOCK_BAD_FREE: break;
    }
}

/* --- serving ---------------------------------------------------------------------------------- */

void ea_serving_begin(ea_serving_t *serving, lineage_t *l, const void *served)
{
    serving->eai_lineage = l;
    serving->eai_task = NULL;
    if (!l) return;
    const eai_tasks_t tasks = tasks_of(l);
    uintptr_t address = (uintptr_t)served, *place = eai_find_place(l, address, address);
    uintptr_t *task = eai_task_find(&tasks);
    serving->eai_is_first = task == NULL;
    if (!task) task = eai_task_take(&tasks);
    if (!task) return;
    eai_tally(&l->eai_n_serving, 1);
    serving->eai_before[T_SERVED] = EAI_LOAD(&task[T_SERVED], EAI_RELAXED);
    serving->eai_before[T_SERIAL] = EAI_LOAD(&task[T_SERIAL], EAI_RELAXED);
    EAI_STORE(&task[T_SERIAL], place ? EAI_LOAD(&place[EAI_L_SERIAL], EAI_RELAXED) : 0,
              EAI_RELAXED);
    EAI_STORE(&task[T_SERVED], address, EAI_RELAXED);
    serving->eai_task = task;
}

ea_status_t ea_serving_end(ea_serving_t *serving)
{
    lineage_t *l = serving->eai_lineage;
    uintptr_t *task = serving->eai_task;
    if (!l || !task) return EA_ERR_NOT_FOUND;
    const eai_tasks_t tasks = tasks_of(l);
    if (task != eai_task_find(&tasks)) return EA_ERR_NOT_FOUND;
    serving->eai_task = NULL;
    EAI_STORE(&task[T_SERVED], serving->eai_before[T_SERVED], EAI_RELAXED);
    EAI_STORE(&task[T_SERIAL], serving->eai_before[T_SERIAL], EAI_RELAXED);
    eai_tally(&l->eai_n_serving, (uintptr_t)0 - 1u);
    if (serving->eai_is_first) eai_task_leave(task);
    return EA_OK;
}

/* --- beginning -------------------------------------------------------------------------------- */

static bool is_size(uint32_t n, uint32_t least, uint32_t most)
{
    return n >= least && n <= most && (n & (n - 1u)) == 0;
}

lineage_t *ea_lineage_init(void *mem, size_t size_bytes, const ea_lineage_options_t *o)
{
    if (!mem || !o || ((uintptr_t)mem & (sizeof(uintptr_t) - 1u)) != 0 ||
        !is_size(o->n_blocks, EAI_LINEAGE_WAYS, MOST) || !is_size(o->n_tasks, 1, MOST_TASKS) ||
        o->n_hand_overs > EA_LINEAGE_HAND_OVERS_MAX || (o->clock && o->tick_us == 0) ||
        size_bytes < EA_LINEAGE_BYTES(o->n_blocks, o->n_tasks, o->n_hand_overs))
        return NULL;
    memset(mem, 0, EA_LINEAGE_BYTES(o->n_blocks, o->n_tasks, o->n_hand_overs));
    lineage_t *l = (lineage_t *)mem;
    l->eai_shape =
        VERSION << 16 | sizeof(uintptr_t) << 8 | (31u - (unsigned)__builtin_clz(o->n_blocks));
    l->eai_n_tasks = o->n_tasks;
    l->eai_n_hand_overs = o->n_hand_overs;
    l->eai_unit_us = o->clock ? o->tick_us : (uintptr_t)1 << PORT_UNIT_LOG2;
    l->eai_clock = o->clock;
    l->eai_stacks = o->stacks;
    l->eai_magic = MAGIC;
    return l;
}
