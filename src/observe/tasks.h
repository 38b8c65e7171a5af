/* SPDX-License-Identifier: MIT
 *
 * A table of the contexts that are inside of something: a place of a few words for each task, found
 * by the address of its slot (ea_port_task_slot()), which no two tasks that live share. Interrupts
 * have one between them.
 *
 *     place  [slot, 0: free][words of the component's ...]
 *
 * Whoever takes a place gives it back; what comes in between in the same context (a nested
 * interrupt, a signal handler) finds it and puts back what it changes before it returns. So after
 * taking it nobody else writes to it.
 */
#ifndef EALLOC_OBSERVE_TASKS_H
#define EALLOC_OBSERVE_TASKS_H

#include "base/tally.h"
#include "ealloc/port.h"

#define EAI_TASK_WAYS 8u

typedef struct {
    uintptr_t *places;
    uint32_t n;     /* a power of two */
    uint32_t words; /* of a place */
} eai_tasks_t;

EA_INLINE uintptr_t *eai_task_way(const eai_tasks_t *tasks, uintptr_t slot, uint32_t i)
{
    return tasks->places + (((eai_hash_of(slot) >> 24) + i) & (tasks->n - 1u)) * tasks->words;
}

EA_INLINE uint32_t eai_task_ways(const eai_tasks_t *tasks)
{
    return tasks->n < EAI_TASK_WAYS ? tasks->n : EAI_TASK_WAYS;
}

/* The running context's place; NULL: it has none. Bound: the ways. */
EA_INLINE uintptr_t *eai_task_find(const eai_tasks_t *tasks)
{
    uintptr_t slot = (uintptr_t)ea_port_task_slot();
    for (uint32_t i = 0; i < eai_task_ways(tasks); i++) {
        uintptr_t *place = eai_task_way(tasks, slot, i);
        if (EAI_LOAD(place, EAI_RELAXED) == slot) return place;
    }
    return NULL;
}

/* A free place, which is the running context's from now on; NULL: there is none. */
EA_INLINE uintptr_t *eai_task_take(const eai_tasks_t *tasks)
{
    uintptr_t slot = (uintptr_t)ea_port_task_slot();
    for (uint32_t i = 0; i < eai_task_ways(tasks); i++) {
        uintptr_t *place = eai_task_way(tasks, slot, i);
        while (EAI_LOAD(place, EAI_RELAXED) == 0) { /* bound: interrupts */
            EAI_ENTER(irq);
            bool is_ours = eai_claim(place, 0, slot); /* with leave */
            EAI_LEAVE(irq);
            if (is_ours) return place;
        }
    }
    return NULL;
}

EA_INLINE void eai_task_leave(uintptr_t *place)
{
    EAI_STORE(place, 0, EAI_RELEASE); /* pairs with take */
}

#endif
