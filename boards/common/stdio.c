/* SPDX-License-Identifier: MIT
 *
 * printf() for programs that can afford it. The linker drops this from those that do not use it.
 */
#include <stdio.h>

#include "board.h"

static int put_character(char c, FILE *file)
{
    (void)file;
    board_write(&c, 1);
    return (unsigned char)c;
}

static FILE console = FDEV_SETUP_STREAM(put_character, NULL, NULL, _FDEV_SETUP_WRITE);
FILE *const stdout = &console;
