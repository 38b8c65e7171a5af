/* SPDX-License-Identifier: MIT
 *
 * What the library asks of the system it runs on. A port is one file that defines every function
 * declared here; ports/posix and ports/baremetal are complete ones. A program that uses none of the
 * components above the stores needs no port at all.
 *
 * Unless said otherwise every function may be called from any context: thread, interrupt or signal
 * handler, before the scheduler runs and inside a masked section.
 */
#ifndef EALLOC_PORT_H
#define EALLOC_PORT_H

#include <stdint.h>

#include "ealloc/compiler.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- time ------------------------------------------------------------------------------------- */

/* Microseconds since some fixed moment. Never goes backwards, never wraps (64 bits last 584 000
 * years), goes on while interrupts are masked as far as the hardware allows.
 * Cost     whatever the best clock costs; a call may reach a timer's register. */
uint64_t ea_port_time_us(void);

/* The same clock, read as cheaply as possible: at most one scheduler tick behind ea_port_time_us()
 * and never ahead of a later call of it. For stamps on every event. */
uint64_t ea_port_time_coarse_us(void);

/* --- interrupt mask --------------------------------------------------------------------------- */

/* What ea_port_irq_mask() found, to be put back; its meaning is the port's own. */
typedef struct {
    uintptr_t eai_state;
} ea_port_irq_t;

/* Shut out whatever could interrupt this context and use the same data: interrupts on a single
 * core, signals and the other threads on a POSIX system. Sections may nest within one context and
 * must be closed in reverse order. Between mask and restore only a constant number of instructions
 * may run: no loop over data, no callback, no blocking call.
 * Returns  the state to hand to ea_port_irq_restore(). */
EA_NODISCARD ea_port_irq_t ea_port_irq_mask(void);

/* Close the section that returned state. Writes made inside it are visible to the next section in
 * any context. */
void ea_port_irq_restore(ea_port_irq_t state);

/* --- the end ---------------------------------------------------------------------------------- */

/* Stop: the program's own data can no longer be trusted. Shows reason (may be NULL) where there is
 * somewhere to show it. Does not return, allocates nothing, takes no lock. */
EA_NORETURN void ea_port_panic(const char *reason);

#ifdef __cplusplus
}
#endif
#endif
