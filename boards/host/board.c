/* SPDX-License-Identifier: MIT
 *
 * The host as a board.
 */
#include "board.h"

#include <stdio.h>
#include <stdlib.h>

void board_write(const char *text, size_t n_bytes)
{
    fwrite(text, 1, n_bytes, stdout);
    fflush(stdout); /* a test that crashes must not take the lines before it along */
}

_Noreturn void board_exit(int code)
{
    exit(code);
}

void *board_free_ram(size_t *size_bytes)
{
    static _Alignas(16) unsigned char ram[4u << 20];
    *size_bytes = sizeof ram;
    return ram;
}

size_t board_stack_used_bytes(void)
{
    return 0; /* not known */
}

size_t board_stack_size_bytes(void)
{
    return 0;
}
