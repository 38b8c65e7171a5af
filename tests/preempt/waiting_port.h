/* SPDX-License-Identifier: MIT
 *
 * A port for tests of tasks that wait, interrupted at every step: a masked section and a wait are
 * steps as well. The test defines preempt_hook(), preempt_masked, `wrong`, and look_asleep(), which
 * is called where the task is about to sleep and says so if it could have had something.
 */
#ifndef EALLOC_PREEMPT_WAITING_PORT_H
#define EALLOC_PREEMPT_WAITING_PORT_H

#include "ealloc/port.h"

static void look_asleep(void);

ea_port_irq_t ea_port_irq_mask(void)
{
    ea_port_irq_t state = {preempt_masked};
    if (!preempt_masked) preempt_hook();
    preempt_masked = true;
    return state;
}

void ea_port_irq_restore(ea_port_irq_t state)
{
    preempt_masked = state.eai_state != 0;
    if (!preempt_masked) preempt_hook();
}

void ea_port_waiter_init(ea_port_waiter_t *waiter)
{
    waiter->eai_words[0] = 0;
}

void ea_port_waiter_deinit(ea_port_waiter_t *waiter)
{
    waiter->eai_words[0] = 2; /* whoever wakes it now is found out */
}

bool ea_port_wait(ea_port_waiter_t *waiter, uint64_t timeout_us)
{
    (void)timeout_us;
    preempt_hook();
    if (waiter->eai_words[0] == 0) {
        look_asleep();
        preempt_hook(); /* while it sleeps */
    }
    if (waiter->eai_words[0] != 0) return true;
    preempt_hook(); /* the time is over, and the task does not know yet */
    return false;
}

void ea_port_wake(ea_port_waiter_t *waiter)
{
    if (!preempt_masked) wrong = "woken outside a masked section";
    if (waiter->eai_words[0] != 0) wrong = "woken twice, or when it was gone";
    waiter->eai_words[0] = 1;
}

uint32_t ea_port_task_priority(void)
{
    return 0;
}

uint64_t ea_port_time_us(void)
{
    return 0;
}

uint64_t ea_port_time_coarse_us(void)
{
    return 0;
}

void ea_port_panic(const char *reason)
{
    (void)reason;
    __builtin_trap();
}

#endif
