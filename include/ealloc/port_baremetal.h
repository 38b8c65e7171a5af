/* SPDX-License-Identifier: MIT
 *
 * What an application without an operating system tells the bare-metal port. Nothing here is needed
 * where no component asks for the time.
 */
#ifndef EALLOC_PORT_BAREMETAL_H
#define EALLOC_PORT_BAREMETAL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Advance the clock by elapsed_us. Call it from one periodic interrupt (SysTick, machine timer).
 * Both clocks stand still at 0 until the first call.
 * Cost     O(1), interrupts masked for a dozen instructions. */
void ea_baremetal_tick(uint32_t elapsed_us);

/* To be defined by the application that wants the precise clock finer than its tick: microseconds
 * since the tick last reported, a tick that is due but not yet reported included. Called with
 * interrupts masked. The port's own, weak, definition returns 0. */
uint32_t ea_baremetal_since_tick_us(void);

/* Say that an interrupt's handler begins and ends, so that ea_port_in_isr() can tell: for RISC-V,
 * whose cores do not say. Call them first and last in every handler that uses the library, masked
 * as the trap came. On Cortex-M, which does say, they do nothing. Cost: a few instructions. */
void ea_baremetal_isr_enter(void);
void ea_baremetal_isr_leave(void);

#ifdef __cplusplus
}
#endif
#endif
