/* SPDX-License-Identifier: MIT
 *
 * The host as a board.
 */
#define _GNU_SOURCE /* setitimer and pthread_kill in a strict C11 build */
#include "board.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

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

/* --- the timer: a signal ---------------------------------------------------------------------- */

static void (*volatile tick_handler)(void);
static pthread_t ticked_thread;

/* The one that started it is interrupted, though the signal may go to any thread. */
static void tick(int number)
{
    if (!pthread_equal(pthread_self(), ticked_thread)) {
        (void)pthread_kill(ticked_thread, number);
    } else if (tick_handler != NULL) {
        tick_handler();
    }
}

static void set_timer(suseconds_t period_us)
{
    struct itimerval timer = {.it_interval = {.tv_usec = period_us},
                              .it_value = {.tv_usec = period_us}};
    (void)setitimer(ITIMER_REAL, &timer, NULL);
}

void board_tick_start(uint32_t period_us, void (*handler)(void))
{
    struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
    tick_handler = handler;
    ticked_thread = pthread_self();
    (void)sigaction(SIGALRM, &action, NULL);
    set_timer((suseconds_t)period_us);
}

void board_tick_stop(void)
{
    set_timer(0);
    tick_handler = NULL;
}
