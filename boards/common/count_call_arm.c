/* SPDX-License-Identifier: MIT
 *
 * Instructions from SysTick ticks: under `-icount shift=8` an instruction lasts 256 ns and a tick
 * BOARD_TICK_PS picoseconds. One of the two reads is inside the interval.
 */
#include "board.h"

#define INSTRUCTION_PS (1000u << 8)

uint32_t board_count_ticks(board_function_t function, const uintptr_t *args, uintptr_t *result);

board_call_t board_count_call(board_function_t function, const uintptr_t args[BOARD_CALL_ARGS])
{
    board_call_t call;
    uint64_t ps = (uint64_t)board_count_ticks(function, args, &call.result) * BOARD_TICK_PS;
    call.instructions = (uint32_t)((ps + INSTRUCTION_PS / 2) / INSTRUCTION_PS) - 1;
    return call;
}
