/* SPDX-License-Identifier: MIT
 *
 * Instructions from SysTick ticks: under `-icount shift=8` an instruction lasts 256 ns and a tick
 * BOARD_TICK_PS picoseconds. One of the two reads is inside the interval.
 */
#include "board.h"

#define INSTRUCTION_PS (1000u << 8)

uint32_t board_count_ticks(board_function_t function, const uintptr_t *args, uintptr_t *result);

uint32_t board_counter(void)
{
    return *(
        const volatile uint32_t *)0xE000E018u; /* SysTick current value: counts down, 24 bits */
}

static uint32_t instructions_of(uint32_t ticks)
{
    return (uint32_t)(((uint64_t)ticks * BOARD_TICK_PS + INSTRUCTION_PS / 2) / INSTRUCTION_PS);
}

uint32_t board_instructions_between(uint32_t begin, uint32_t end)
{
    return instructions_of((begin - end) & 0xFFFFFFu);
}

board_call_t board_count_call(board_function_t function, const uintptr_t args[BOARD_CALL_ARGS])
{
    board_call_t call;
    call.instructions = instructions_of(board_count_ticks(function, args, &call.result)) - 1;
    return call;
}
