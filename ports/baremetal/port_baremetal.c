/* SPDX-License-Identifier: MIT
 *
 * The port without an operating system: one core, ARMv6-M to ARMv8-M or RISC-V machine mode. The
 * clock is what the application's tick interrupt adds up; the mask is the core's global interrupt
 * enable.
 *
 * I1  latest_us >= ticks_us, and neither ever decreases.
 * I2  Both are touched with interrupts masked only: 64 bits are two loads on these cores.
 */
#include "ealloc/port_baremetal.h"
#include "ealloc/port.h"

static uint64_t ticks_us;  /* the sum of all ticks                        */
static uint64_t latest_us; /* the largest value the precise clock returned */

/* --- interrupt mask: the "memory" clobbers keep the section's accesses inside it -------------- */

#if defined(__arm__)

ea_port_irq_t ea_port_irq_mask(void)
{
    uint32_t primask;

    __asm volatile("mrs %0, primask\n\tcpsid i" : "=r"(primask) : : "memory");
    return (ea_port_irq_t){.eai_state = primask};
}

void ea_port_irq_restore(ea_port_irq_t state)
{
    __asm volatile("msr primask, %0" : : "r"(state.eai_state) : "memory");
}

bool ea_port_in_isr(void)
{
    uint32_t exception;

    __asm volatile("mrs %0, ipsr" : "=r"(exception));
    return exception != 0;
}

void ea_baremetal_isr_enter(void)
{
}

void ea_baremetal_isr_leave(void)
{
}

/* In a handler, or with interrupts masked, nobody could end a sleep. */
static bool can_sleep(void)
{
    uint32_t primask;

    __asm volatile("mrs %0, primask" : "=r"(primask));
    return (primask & 1u) == 0 && !ea_port_in_isr();
}

#elif defined(__riscv)

#define MSTATUS_MIE 8u

ea_port_irq_t ea_port_irq_mask(void)
{
    uintptr_t mstatus;

    /* .option: the toolchains of before and after the split of zicsr out of the base set both
     * agree */
    __asm volatile(".option push\n\t"
                   ".option arch, +zicsr\n\t"
                   "csrrci %0, mstatus, 8\n\t"
                   ".option pop"
                   : "=r"(mstatus)
                   :
                   : "memory");
    return (ea_port_irq_t){.eai_state = mstatus & MSTATUS_MIE};
}

void ea_port_irq_restore(ea_port_irq_t state)
{
    __asm volatile(".option push\n\t"
                   ".option arch, +zicsr\n\t"
                   "csrs mstatus, %0\n\t"
                   ".option pop"
                   :
                   : "r"(state.eai_state)
                   : "memory");
}

static volatile uint32_t n_handlers; /* that began and did not end; masked whenever it changes */

bool ea_port_in_isr(void)
{
    return n_handlers != 0;
}

void ea_baremetal_isr_enter(void)
{
    n_handlers = n_handlers + 1;
}

void ea_baremetal_isr_leave(void)
{
    n_handlers = n_handlers - 1;
}

/* Traps mask interrupts as they are taken: in a handler, or masked, nobody could end a sleep. */
static bool can_sleep(void)
{
    uintptr_t mstatus;

    __asm volatile(".option push\n\t"
                   ".option arch, +zicsr\n\t"
                   "csrr %0, mstatus\n\t"
                   ".option pop"
                   : "=r"(mstatus));
    return (mstatus & MSTATUS_MIE) != 0;
}

#else
#error "The bare-metal port knows Cortex-M and RISC-V; write a port for this core against port.h."
#endif

/* --- time ------------------------------------------------------------------------------------- */

EA_WEAK uint32_t ea_baremetal_since_tick_us(void)
{
    return 0;
}

void ea_baremetal_tick(uint32_t elapsed_us)
{
    ea_port_irq_t irq = ea_port_irq_mask();

    ticks_us += elapsed_us;
    ea_port_irq_restore(irq);
}

uint64_t ea_port_time_coarse_us(void)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    uint64_t now_us = ticks_us;

    ea_port_irq_restore(irq);
    return now_us;
}

uint64_t ea_port_time_us(void)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    uint64_t now_us = ticks_us + ea_baremetal_since_tick_us();

    /* A tick reported late, or a timer a little faster than its tick, must not turn time back. */
    if (now_us < latest_us) now_us = latest_us;
    latest_us = now_us;
    ea_port_irq_restore(irq);
    return now_us;
}

/* --- waiting ---------------------------------------------------------------------------------- */

/* The waiter's first word is its token. There is one task, so waiting is sleeping until an
 * interrupt has put it there. */
#define TOKEN(waiter) (*(volatile uintptr_t *)(waiter)->eai_words)

void ea_port_waiter_init(ea_port_waiter_t *waiter)
{
    TOKEN(waiter) = 0;
}

void ea_port_waiter_deinit(ea_port_waiter_t *waiter)
{
    (void)waiter;
}

bool ea_port_wait(ea_port_waiter_t *waiter, uint64_t timeout_us)
{
    uint64_t begin_us = ea_port_time_us();
    bool has_token;

    if (!can_sleep()) timeout_us = 0;
    for (;;) {
        /* Masked, so that no interrupt comes between the look and the sleep. A pending one ends the
         * sleep though masked, and is taken at the restore. */
        ea_port_irq_t irq = ea_port_irq_mask();
        has_token = TOKEN(waiter) != 0;
        bool is_over = timeout_us != EA_WAIT_FOREVER && ea_port_time_us() - begin_us >= timeout_us;
        if (!has_token && !is_over) __asm volatile("wfi" : : : "memory");
        if (has_token) TOKEN(waiter) = 0;
        ea_port_irq_restore(irq);
        if (has_token || is_over) return has_token;
    }
}

void ea_port_wake(ea_port_waiter_t *waiter)
{
    TOKEN(waiter) = 1;
}

uint32_t ea_port_task_priority(void)
{
    return 0;
}

/* --- one pointer for each context ------------------------------------------------------------- */

static void *task_slot; /* of the one task */
static void *isr_slot;

void **ea_port_isr_slot(void)
{
    return &isr_slot;
}

void **ea_port_task_slot(void)
{
    return ea_port_in_isr() ? &isr_slot : &task_slot;
}

/* --- locks ------------------------------------------------------------------------------------ */

/* One task has nobody to wait for: the first word says whether it holds the lock. Whoever takes it
 * twice, or in an interrupt, would wait for ever. */
#define IS_HELD(lock) (*(volatile uintptr_t *)(lock)->eai_words)

void ea_port_lock_init(ea_port_lock_t *lock)
{
    IS_HELD(lock) = 0;
}

void ea_port_lock_deinit(ea_port_lock_t *lock)
{
    (void)lock;
}

void ea_port_lock_acquire(ea_port_lock_t *lock)
{
    if (ea_port_in_isr()) ea_port_panic("a lock was taken in an interrupt");
    if (IS_HELD(lock) != 0) ea_port_panic("a lock was taken twice");
    IS_HELD(lock) = 1;
    __asm volatile("" : : : "memory");
}

/* What interrupts this one finds it taken, or has let it go again: no more is needed on one
 * core. */
bool ea_port_lock_try_acquire(ea_port_lock_t *lock)
{
    if (IS_HELD(lock) != 0) return false;
    IS_HELD(lock) = 1;
    __asm volatile("" : : : "memory");
    return true;
}

void ea_port_lock_release(ea_port_lock_t *lock)
{
    __asm volatile("" : : : "memory");
    IS_HELD(lock) = 0;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* The fault handler, and with it the application's dump, runs with the reason in the first
 * register. Weak: a product that must reset replaces it. */
EA_WEAK EA_NORETURN void ea_port_panic(const char *reason)
{
    __asm volatile("" : : "r"(reason));
    __builtin_trap();
}
