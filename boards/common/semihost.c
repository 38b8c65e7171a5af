/* SPDX-License-Identifier: MIT
 *
 * Output, exit and command line of the emulated boards.
 */
#include "semihost.h"

#include "board.h"

#define REASON_APPLICATION_EXIT 0x20026u
#define MODE_WRITE 4u /* of fopen's modes in the specification's table: "w" */

void board_write(const char *text, size_t n_bytes)
{
    static uintptr_t stdout_handle_plus_one; /* 0: not open yet */
    if (stdout_handle_plus_one == 0) {
        static const char console[] = ":tt";
        uintptr_t block[3] = {(uintptr_t)console, MODE_WRITE, sizeof console - 1};
        stdout_handle_plus_one = (uintptr_t)semihost(SEMIHOST_OPEN, block) + 1;
    }
    uintptr_t block[3] = {stdout_handle_plus_one - 1, (uintptr_t)text, n_bytes};
    semihost(SEMIHOST_WRITE, block);
}

_Noreturn void board_exit(int code)
{
    uintptr_t block[2] = {REASON_APPLICATION_EXIT, (uintptr_t)code};
    semihost(SEMIHOST_EXIT_EXTENDED, block);
    for (;;) {
    }
}

int board_args(char **argv, int max_args)
{
    static char line[160];
    uintptr_t block[2] = {(uintptr_t)line, sizeof line};
    if (semihost(SEMIHOST_GET_CMDLINE, block) != 0) return 0;
    int n = 0;
    char *at = line;
    while (*at != '\0' && n < max_args) {
        argv[n++] = at;
        while (*at != '\0' && *at != ' ') at++;
        while (*at == ' ') *at++ = '\0';
    }
    return n;
}
