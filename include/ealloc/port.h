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

#include <stdbool.h>
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

/* --- waiting ---------------------------------------------------------------------------------- */

/* A timeout that never comes. */
#define EA_WAIT_FOREVER UINT64_MAX

/* Words a port may use to make one task wait: eight are room for a semaphore of most systems. */
#define EA_PORT_WAITER_WORDS 8

/* One task that waits once: a token that is not there yet. It lives on the stack of the task that
 * waits; its content is the port's own. */
typedef struct {
    EA_MAY_ALIAS uintptr_t eai_words[EA_PORT_WAITER_WORDS];
} ea_port_waiter_t;

/* Make waiter ready, without its token. Context: the task that will wait, outside masked sections.
 */
void ea_port_waiter_init(ea_port_waiter_t *waiter);

/* Give back whatever init took of the system. Nobody may wake waiter any more. Context: as init. */
void ea_port_waiter_deinit(ea_port_waiter_t *waiter);

/* Wait for the token of waiter, at least timeout_us and at most one tick of the clock longer; 0
 * looks whether it is there, EA_WAIT_FOREVER never gives up.
 * Returns  true if the token was there or came (it is gone now), false if the time is over. Inside
 *          a masked section, and in an interrupt where the port can tell, sleeping could not end:
 *          it looks and does not wait.
 * Context  the task that called ea_port_waiter_init(). On bare metal the clock must tick for the
 *          time to end. */
EA_NODISCARD bool ea_port_wait(ea_port_waiter_t *waiter, uint64_t timeout_us);

/* Put the token of waiter there and let its task run. Once per ea_port_waiter_init(), in a masked
 * section, from a task, interrupt or signal handler.
 * Cost     O(1), never blocks: it counts as part of the masked section. */
void ea_port_wake(ea_port_waiter_t *waiter);

/* How urgent the running task is, by its scheduler: 0 least. A port whose system has more
 * priorities than EA_CFG_WAIT_LEVELS maps them onto 0 to EA_CFG_WAIT_LEVELS - 1 in order; 0 where
 * there is only one task. Context: task. */
uint32_t ea_port_task_priority(void);

/* Whether the running context is an interrupt's. A signal handler is part of the thread it runs on.
 */
EA_NODISCARD bool ea_port_in_isr(void);

/* --- one pointer for each context ------------------------------------------------------------- */

/* Where the running context keeps one pointer of the library's: each task has its own, NULL when
 * the task begins; in an interrupt it is ea_port_isr_slot(). Only the context itself uses it, and
 * an interrupt that comes in between leaves it as it found it.
 * Returns  never NULL. Before the scheduler runs: that of the one context there is.
 * Cost     O(1). */
EA_NODISCARD void **ea_port_task_slot(void);

/* The same pointer for all interrupts, which a task may set before they run. Interrupts that
 * interrupt each other share it: each puts back what it found before it returns.
 * Returns  never NULL; where there are no interrupts, a pointer that nobody reads. */
EA_NODISCARD void **ea_port_isr_slot(void);

/* --- locks ------------------------------------------------------------------------------------ */

/* Words a port may use for a lock. */
#define EA_PORT_LOCK_WORDS 8

/* A lock that tasks sleep for. Its content is the port's own; it must not be moved or copied. */
typedef struct {
    EA_MAY_ALIAS uintptr_t eai_words[EA_PORT_LOCK_WORDS];
} ea_port_lock_t;

/* Make lock ready, not taken. Context: task. */
void ea_port_lock_init(ea_port_lock_t *lock);

/* Give back whatever init took of the system. Nobody may hold lock. Context: task. */
void ea_port_lock_deinit(ea_port_lock_t *lock);

/* Take lock, and sleep until that is possible; it need not be fair. Where the system can, a holder
 * inherits the urgency of those that wait.
 * Context  task, outside masked sections, not holding lock. */
void ea_port_lock_acquire(ea_port_lock_t *lock);

/* Take lock if that is possible at once. For interrupts, and for tasks that will not sleep.
 * Returns  false: somebody holds it, also if that is the interrupted task.
 * Context  any, outside masked sections. Whoever took it lets it go before it returns. */
EA_NODISCARD bool ea_port_lock_try_acquire(ea_port_lock_t *lock);

/* Let lock go. What the holder wrote is visible to the next one. Context: the one that holds it.
 */
void ea_port_lock_release(ea_port_lock_t *lock);

/* --- the end ---------------------------------------------------------------------------------- */

/* Stop: the program's own data can no longer be trusted. Shows reason (may be NULL) where there is
 * somewhere to show it. Does not return, allocates nothing, takes no lock. */
EA_NORETURN void ea_port_panic(const char *reason);

#ifdef __cplusplus
}
#endif
#endif
