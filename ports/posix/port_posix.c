/* SPDX-License-Identifier: MIT
 *
 * The POSIX port. There are no interrupts to mask but there are signals and other threads: a masked
 * section blocks this thread's signals and holds one process-wide spin lock. The sections are a few
 * instructions long, so spinning beats sleeping; the holder can be preempted, so it yields.
 *
 * I1  The spin lock is taken only with all signals blocked: no handler of its holder can wait for
 *     it.
 * I2  depth counts this thread's open sections; the lock is held exactly while depth > 0.
 *
 * Not covered: a child forked while another thread is inside a section inherits the lock taken.
 */
#define _GNU_SOURCE /* CLOCK_MONOTONIC_COARSE */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ealloc/port.h"

#ifdef CLOCK_MONOTONIC_COARSE
#define COARSE_CLOCK CLOCK_MONOTONIC_COARSE
#else
#define COARSE_CLOCK CLOCK_MONOTONIC
#endif

#define SPINS_BEFORE_YIELD 64

/* --- time ------------------------------------------------------------------------------------- */

static uint64_t read_clock_us(clockid_t clock)
{
    struct timespec t;

    /* Cannot fail for these clocks: both arguments are right by construction. */
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

uint64_t ea_port_time_us(void)
{
    return read_clock_us(CLOCK_MONOTONIC);
}

uint64_t ea_port_time_coarse_us(void)
{
    return read_clock_us(COARSE_CLOCK);
}

/* --- interrupt mask --------------------------------------------------------------------------- */

static atomic_flag lock = ATOMIC_FLAG_INIT;
static _Thread_local unsigned depth;
static _Thread_local sigset_t outer_signals; /* as found by the outermost section */

ea_port_irq_t ea_port_irq_mask(void)
{
    sigset_t all, found;
    unsigned spins = 0;

    if (depth == 0) {
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &found);
        while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire)) { /* pairs with */
            if (++spins % SPINS_BEFORE_YIELD == 0) (void)sched_yield(); /* release in restore */
        }
        outer_signals = found;
    }
    return (ea_port_irq_t){.eai_state = depth++};
}

void ea_port_irq_restore(ea_port_irq_t state)
{
    depth = (unsigned)state.eai_state;
    if (depth > 0) return;
    sigset_t found = outer_signals;
    atomic_flag_clear_explicit(&lock, memory_order_release); /* pairs with acquire in mask */
    (void)pthread_sigmask(SIG_SETMASK, &found, NULL);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void write_stderr(const char *text)
{
    /* Nothing is left to do if this fails. */
    if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
}

void ea_port_panic(const char *reason)
{
    write_stderr("ealloc: panic: ");
    write_stderr(reason != NULL ? reason : "no reason given");
    write_stderr("\n");
    abort();
}
