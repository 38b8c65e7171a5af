/* SPDX-License-Identifier: MIT
 *
 * How long a program masks interrupts: two functions stand in for the port's (see --wrap in
 * CMakeLists.txt) and read the counter as a section begins and ends; an inner one is part of the
 * outer one. For one source a program.
 */
#ifndef EALLOC_WCET_SECTIONS_H
#define EALLOC_WCET_SECTIONS_H

#include "board.h"
#include "count.h"
#include "ealloc/port.h"

ea_port_irq_t __real_ea_port_irq_mask(void);
void __real_ea_port_irq_restore(ea_port_irq_t state);
ea_port_irq_t __wrap_ea_port_irq_mask(void);
void __wrap_ea_port_irq_restore(ea_port_irq_t state);

static unsigned depth;
static uint32_t begin, longest, empty_section;

ea_port_irq_t __wrap_ea_port_irq_mask(void)
{
    ea_port_irq_t state = __real_ea_port_irq_mask();
    if (depth++ == 0) begin = board_counter();
    return state;
}

void __wrap_ea_port_irq_restore(ea_port_irq_t state)
{
    uint32_t end = board_counter();
    if (--depth == 0) {
        uint32_t n = board_instructions_between(begin, end);
        if (n > longest) longest = n;
    }
    __real_ea_port_irq_restore(state);
}

/* Note the longest section since the last call as one of op. */
static void note(op_t op)
{
    count_note(op, longest > empty_section ? longest - empty_section : 0);
    longest = 0;
}

#endif
