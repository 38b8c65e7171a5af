/* SPDX-License-Identifier: MIT
 *
 * For a program of one thread that no signal interrupts: what masks interrupts on the host, two
 * system calls a section, has nothing to do there, and tests of millions of sections spend their
 * time in it.
 */
#include <signal.h>
#include <stddef.h>

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    (void)how;
    (void)set;
    if (old != NULL) (void)sigemptyset(old);
    return 0;
}
