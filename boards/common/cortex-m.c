/* SPDX-License-Identifier: MIT
 *
 * Cortex-M: vectors, reset, semihosting trap. The boards use no interrupt but that of SysTick, and
 * a program may define board_software_interrupt() for PendSV; all other vectors are faults.
 */
#include "semihost.h"
#include "start.h"

#define SCB_CPACR (*(volatile uint32_t *)0xE000ED88u)
#define CPACR_FPU_FULL_ACCESS (0xFu << 20)
#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018u)
#define SYSTICK_CORE_CLOCK_ON 5u

extern uint32_t board_stack_end[];

static _Noreturn void reset(void)
{
#ifdef __ARM_FP
    SCB_CPACR |= CPACR_FPU_FULL_ACCESS;
    __asm volatile("dsb\n isb" ::: "memory");
#endif
    SYSTICK_RELOAD = 0xFFFFFFu;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = SYSTICK_CORE_CLOCK_ON;
    board_start();
}

/* A fault may come from a stack that has run over, so the handler takes the stack's top anew. The
 * seventh word of what the core pushed is the address it came from. */
static __attribute__((naked)) void fault(void)
{
    __asm volatile("mrs r0, msp\n"
                   "ldr r1, =board_stack_end\n"
                   "mov sp, r1\n"
                   "ldr r0, [r0, #24]\n"
                   "bl board_fault\n"
                   ".ltorg\n");
}

void board_software_interrupt(void) __attribute__((weak, alias("fault")));

typedef void (*vector_t)(void);
extern const vector_t board_vectors[16];
__attribute__((section(".vectors"), used)) const vector_t board_vectors[16] = {
    (vector_t)(uintptr_t)board_stack_end,
    reset,
    [2 ... 13] = fault,
    [14] = board_software_interrupt,
    [15] = board_tick_interrupt,
};

__attribute__((naked)) intptr_t semihost(uint32_t operation, void *block)
{
    (void)operation; /* in r0 and r1 already, by the calling convention */
    (void)block;
    __asm volatile("bkpt 0xAB\n"
                   "bx lr\n");
}
