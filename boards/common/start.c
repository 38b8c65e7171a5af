/* SPDX-License-Identifier: MIT
 *
 * From reset to main, the part that is C on every emulated board: paint the stack, fill .data and
 * .bss, call main, exit with its result.
 */
#include "start.h"

#include <string.h>

#include "board.h"

#define STACK_PAINT 0xC5C5C5C5u

extern uint32_t board_stack_begin[], board_stack_end[];
extern char board_data_load[], board_data_begin[], board_data_end[];
extern char board_bss_begin[], board_bss_end[];
extern char board_free_begin[], board_free_end[];

int main(int argc, char **argv);

_Noreturn void board_start(void)
{
    /* Everything below this frame, less what the loop itself may push, is unused as yet. */
    uint32_t *stop = (uint32_t *)__builtin_frame_address(0) - 16;
    for (uint32_t *word = board_stack_begin; word < stop; word++)
        *(volatile uint32_t *)word = STACK_PAINT;
    memcpy(board_data_begin, board_data_load, (size_t)(board_data_end - board_data_begin));
    memset(board_bss_begin, 0, (size_t)(board_bss_end - board_bss_begin));
    static char *argv[BOARD_MAX_ARGS + 1];
    int argc = board_args(argv, BOARD_MAX_ARGS);
    board_exit(main(argc, argv));
}

void *board_free_ram(size_t *size_bytes)
{
    *size_bytes = (size_t)(board_free_end - board_free_begin);
    return board_free_begin;
}

size_t board_stack_size_bytes(void)
{
    return (size_t)(board_stack_end - board_stack_begin) * sizeof(uint32_t);
}

size_t board_stack_used_bytes(void)
{
    const uint32_t *word = board_stack_begin;
    while (word < board_stack_end && *word == STACK_PAINT) word++;
    return (size_t)(board_stack_end - word) * sizeof(uint32_t);
}

_Noreturn void board_fault(uintptr_t where)
{
    char text[] = "Bail out! fault at 0x00000000\n";
    char *digit = text + sizeof "Bail out! fault at 0x" - 1;
    for (int shift = 28; shift >= 0; shift -= 4)
        *digit++ = "0123456789abcdef"[(where >> shift) & 15u];
    board_write(text, sizeof text - 1);
    board_exit(BOARD_FAULT_EXIT_CODE);
}
