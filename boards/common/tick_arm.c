/* SPDX-License-Identifier: MIT
 *
 * The board's periodic interrupt on Cortex-M: SysTick, which otherwise counts down freely.
 */
#include <stddef.h>

#include "board.h"
#include "start.h"

#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018u)
#define SYSTICK_CORE_CLOCK_ON 5u
#define SYSTICK_INTERRUPT 2u
#define SYSTICK_LONGEST 0xFFFFFFu

static void (*volatile tick_handler)(void);

void board_tick_interrupt(void)
{
    if (tick_handler != NULL) tick_handler();
}

void board_tick_start(uint32_t period_us, void (*handler)(void))
{
    tick_handler = handler;
    SYSTICK_RELOAD = (uint32_t)((uint64_t)period_us * 1000000u / BOARD_TICK_PS) - 1;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = SYSTICK_CORE_CLOCK_ON | SYSTICK_INTERRUPT;
    __asm volatile("cpsie i" : : : "memory");
}

void board_tick_stop(void)
{
    SYSTICK_CONTROL = SYSTICK_CORE_CLOCK_ON;
    tick_handler = NULL;
    SYSTICK_RELOAD = SYSTICK_LONGEST;
    SYSTICK_VALUE = 0;
}
