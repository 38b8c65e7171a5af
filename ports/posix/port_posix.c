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
#define _GNU_SOURCE /* CLOCK_MONOTONIC_COARSE, sem_clockwait */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ealloc/config.h"
#include "ealloc/port.h"

#ifdef CLOCK_MONOTONIC_COARSE
#define COARSE_CLOCK CLOCK_MONOTONIC_COARSE
#else
#define COARSE_CLOCK CLOCK_MONOTONIC
#endif

/* A semaphore is waited for on the clock that nobody sets, where libc can. */
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 30)
#define WAIT_CLOCK CLOCK_MONOTONIC
#define wait_until(semaphore, end) sem_clockwait((semaphore), WAIT_CLOCK, (end))
#else
#define WAIT_CLOCK CLOCK_REALTIME
#define wait_until(semaphore, end) sem_timedwait((semaphore), (end))
#endif

#define SPINS_BEFORE_YIELD 64
#define LONGEST_WAIT_S 1000000000u /* thirty years; a sum with it fits 31 bits for as long again */

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

/* --- waiting ---------------------------------------------------------------------------------- */

_Static_assert(sizeof(sem_t) <= sizeof(ea_port_waiter_t), "a waiter has room for a semaphore");
_Static_assert(_Alignof(sem_t) <= _Alignof(ea_port_waiter_t), "and lies where one may");

static sem_t *semaphore_of(ea_port_waiter_t *waiter)
{
    return (sem_t *)(void *)waiter->eai_words;
}

void ea_port_waiter_init(ea_port_waiter_t *waiter)
{
    /* Cannot fail: private to the process, and 0 is a value every semaphore takes. */
    (void)sem_init(semaphore_of(waiter), 0, 0);
}

void ea_port_waiter_deinit(ea_port_waiter_t *waiter)
{
    (void)sem_destroy(semaphore_of(waiter));
}

/* timeout_us from now; false if that is so late that it is never. */
static bool find_end(uint64_t timeout_us, struct timespec *end)
{
    uint64_t ns;

    if (timeout_us / 1000000u >= LONGEST_WAIT_S) return false;
    (void)clock_gettime(WAIT_CLOCK, end);
    ns = (uint64_t)end->tv_nsec + timeout_us % 1000000u * 1000u;
    end->tv_sec += (time_t)(timeout_us / 1000000u + ns / 1000000000u);
    end->tv_nsec = (long)(ns % 1000000000u);
    return true;
}

bool ea_port_wait(ea_port_waiter_t *waiter, uint64_t timeout_us)
{
    sem_t *semaphore = semaphore_of(waiter);
    struct timespec end;

    if (timeout_us == 0 || depth > 0) return sem_trywait(semaphore) == 0;
    bool has_end = find_end(timeout_us, &end);
    /* What is handed to a waiter that was cancelled (pthread_cancel) would be lost, and its memory
     * may be gone: it is cancelled afterwards. */
    int cancel_state, result;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    /* A signal's handler ends the call, not the waiting. */
    do result = has_end ? wait_until(semaphore, &end) : sem_wait(semaphore);
    while (result != 0 && errno == EINTR);
    (void)pthread_setcancelstate(cancel_state, &cancel_state);
    return result == 0;
}

void ea_port_wake(ea_port_waiter_t *waiter)
{
    (void)sem_post(semaphore_of(waiter));
}

/* Threads of the ordinary scheduler are all as urgent as the next; those of the real-time
 * schedulers stand above them. Weak: a program that knows better replaces it. */
EA_WEAK uint32_t ea_port_task_priority(void)
{
    struct sched_param parameters;
    int policy;

    if (pthread_getschedparam(pthread_self(), &policy, &parameters) != 0) return 0;
    if (policy != SCHED_FIFO && policy != SCHED_RR) return 0;
    int lowest = sched_get_priority_min(policy), highest = sched_get_priority_max(policy);
    int levels = EA_CFG_WAIT_LEVELS - 1; /* above the ordinary one */
    return (uint32_t)((parameters.sched_priority - lowest) * levels / (highest - lowest + 1)) +
           (levels > 0);
}

/* --- one pointer for each context ------------------------------------------------------------- */

static _Thread_local void *task_slot;
static void *isr_slot; /* there are no interrupts: nobody reads it */

bool ea_port_in_isr(void)
{
    return false;
}

void **ea_port_task_slot(void)
{
    return &task_slot;
}

void **ea_port_isr_slot(void)
{
    return &isr_slot;
}

/* --- locks ------------------------------------------------------------------------------------ */

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(ea_port_lock_t), "a lock has room for a mutex");
_Static_assert(_Alignof(pthread_mutex_t) <= _Alignof(ea_port_lock_t), "and lies where one may");

static pthread_mutex_t *mutex_of(ea_port_lock_t *port_lock)
{
    return (pthread_mutex_t *)(void *)port_lock->eai_words;
}

void ea_port_lock_init(ea_port_lock_t *port_lock)
{
    pthread_mutexattr_t attributes;

    (void)pthread_mutexattr_init(&attributes);
    /* Where the system cannot, the mutex is an ordinary one. */
    (void)pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    (void)pthread_mutex_init(mutex_of(port_lock), &attributes);
    (void)pthread_mutexattr_destroy(&attributes);
}

void ea_port_lock_deinit(ea_port_lock_t *port_lock)
{
    (void)pthread_mutex_destroy(mutex_of(port_lock));
}

/* Neither can fail for a lock that was made and is used as port.h says. */
void ea_port_lock_acquire(ea_port_lock_t *port_lock)
{
    (void)pthread_mutex_lock(mutex_of(port_lock));
}

bool ea_port_lock_try_acquire(ea_port_lock_t *port_lock)
{
    return pthread_mutex_trylock(mutex_of(port_lock)) == 0;
}

void ea_port_lock_release(ea_port_lock_t *port_lock)
{
    (void)pthread_mutex_unlock(mutex_of(port_lock));
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
