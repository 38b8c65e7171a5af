/* SPDX-License-Identifier: MIT
 *
 * What newlib asks of the system, for a program on an emulated board. There is no _sbrk(): a
 * program that took libc's own heap would not link.
 */
#include <errno.h>
#include <sys/stat.h>

#include "board.h"

int _write(int file, const char *text, int n);
int _read(int file, char *text, int n);
int _close(int file);
int _lseek(int file, int to, int from);
int _fstat(int file, struct stat *about);
int _isatty(int file);
int _kill(int process, int number);
int _getpid(void);
void _exit(int code);

int _write(int file, const char *text, int n)
{
    (void)file;
    board_write(text, (size_t)n);
    return n;
}

int _read(int file, char *text, int n)
{
    (void)file, (void)text, (void)n;
    return 0;
}

int _close(int file)
{
    (void)file;
    return 0;
}

int _lseek(int file, int to, int from)
{
    (void)file, (void)to, (void)from;
    return 0;
}

int _fstat(int file, struct stat *about)
{
    (void)file;
    about->st_mode = S_IFCHR;
    return 0;
}

int _isatty(int file)
{
    (void)file;
    return 1;
}

int _kill(int process, int number)
{
    (void)process, (void)number;
    errno = EINVAL;
    return -1;
}

int _getpid(void)
{
    return 1;
}

void _exit(int code)
{
    board_exit(code);
}
