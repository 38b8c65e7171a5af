/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *guard_name;
static int guard_status;

void output_open(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) continue;
        /* The lowest free number is fd; opened for what it is not meant for. */
        int got = open("/dev/null", (fd == 0 ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
        if (got != fd && got >= 0) close(got);
    }
}

static void check_output(void)
{
    bool lost = ferror(stdout) != 0;
    if (lost) { /* what was wrong then is most likely wrong still, and says what it is */
        clearerr(stdout);
        errno = 0;
        fputc('\n', stdout);
    }
    if (fclose(stdout) == 0 && !lost) return;
    fprintf(stderr, "%s: cannot write to standard output%s%s\n", guard_name, errno != 0 ? ": " : "",
            errno != 0 ? strerror(errno) : "");
    fflush(stderr);
    _exit(guard_status);
}

void output_guard(const char *name, int status)
{
    if (guard_name == NULL) atexit(check_output);
    guard_name = name;
    guard_status = status;
}
