/* SPDX-License-Identifier: MIT
 *
 * The board's periodic interrupt on RISC-V: the machine timer, whose compare register moves on.
 */
#include <stddef.h>

#include "board.h"
#include "start.h"

/* Each is 64 bits wide, its low word first. */
#define TIME ((volatile uint32_t *)0x0200BFF8u)
#define TIME_COMPARE ((volatile uint32_t *)0x02004000u)
#define TICKS_PER_US 10u
#define MIE_TIMER 0x80u
#define MSTATUS_ENABLE 8u

static void (*volatile tick_handler)(void);
static uint64_t next;
static uint32_t period;

static uint64_t read_time(void)
{
    uint32_t high, low;
    do { /* again when the low word wrapped in between */
        high = TIME[1];
        low = TIME[0];
    } while (TIME[1] != high);
    return (uint64_t)high << 32 | low;
}

/* No value in between may be due. */
static void set_compare(uint64_t when)
{
    TIME_COMPARE[1] = UINT32_MAX;
    TIME_COMPARE[0] = (uint32_t)when;
    TIME_COMPARE[1] = (uint32_t)(when >> 32);
}

void board_tick_interrupt(void)
{
    next += period;
    set_compare(next);
    if (tick_handler != NULL) tick_handler();
}

void board_tick_start(uint32_t period_us, void (*handler)(void))
{
    tick_handler = handler;
    period = period_us * TICKS_PER_US;
    next = read_time() + period;
    set_compare(next);
    __asm volatile(".option push\n\t.option arch, +zicsr\n\tcsrs mie, %0\n\tcsrs mstatus, %1\n\t"
                   ".option pop"
                   :
                   : "r"(MIE_TIMER), "r"(MSTATUS_ENABLE)
                   : "memory");
}

void board_tick_stop(void)
{
    __asm volatile(".option push\n\t.option arch, +zicsr\n\tcsrc mie, %0\n\t.option pop"
                   :
                   : "r"(MIE_TIMER)
                   : "memory");
    tick_handler = NULL;
}
