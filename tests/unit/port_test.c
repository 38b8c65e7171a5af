/* SPDX-License-Identifier: MIT
 *
 * What every port promises, on the port this build has. How the clock is moved and how an
 * interruption is provoked differ, so those parts exist per port.
 */
#if defined(__unix__)
#define _GNU_SOURCE /* pthread_create, nanosleep and pipe in a strict C11 build */
#endif

#include "ealloc/port.h"
#include "tap.h"

#define CLOCK_READS 2000

TEST(port_clocks_never_go_backwards, 0)
{
    uint64_t precise_us = ea_port_time_us();
    uint64_t coarse_us = ea_port_time_coarse_us();

    for (int i = 0; i < CLOCK_READS; i++) {
        uint64_t next_precise_us = ea_port_time_us();
        uint64_t next_coarse_us = ea_port_time_coarse_us();

        if (next_precise_us < precise_us || next_coarse_us < coarse_us) {
            EXPECT_EQ(next_precise_us, precise_us);
            EXPECT_EQ(next_coarse_us, coarse_us);
            return;
        }
        precise_us = next_precise_us;
        coarse_us = next_coarse_us;
    }
}

TEST(port_coarse_clock_is_never_ahead_of_the_precise_one, 0)
{
    for (int i = 0; i < CLOCK_READS; i++) {
        uint64_t coarse_us = ea_port_time_coarse_us();
        uint64_t precise_us = ea_port_time_us();

        REQUIRE(coarse_us <= precise_us);
    }
}

#if defined(__unix__)

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define N_THREADS 4
#define INCREMENTS 20000

TEST(port_clocks_advance_with_real_time, 0)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = 50 * 1000 * 1000};
    uint64_t precise_us = ea_port_time_us();
    uint64_t coarse_us = ea_port_time_coarse_us();

    (void)nanosleep(&pause, NULL);
    precise_us = ea_port_time_us() - precise_us;
    coarse_us = ea_port_time_coarse_us() - coarse_us;
    EXPECT(precise_us >= 50 * 1000);
    EXPECT(precise_us < 60u * 1000 * 1000);
    EXPECT(coarse_us >= 30 * 1000); /* one tick of up to 10 ms may be missing at both ends */
    EXPECT(coarse_us < 60u * 1000 * 1000);
}

static volatile sig_atomic_t n_signals;

static void count_signal(int number)
{
    (void)number;
    n_signals = n_signals + 1;
}

TEST(port_mask_holds_signals_until_the_outermost_restore, 0)
{
    struct sigaction action = {.sa_handler = count_signal}, before;

    REQUIRE(sigaction(SIGUSR1, &action, &before) == 0);
    n_signals = 0;
    ea_port_irq_t outer = ea_port_irq_mask();
    ea_port_irq_t inner = ea_port_irq_mask();
    EXPECT_EQ(raise(SIGUSR1), 0);
    EXPECT_EQ(n_signals, 0);
    ea_port_irq_restore(inner);
    EXPECT_EQ(n_signals, 0);
    ea_port_irq_restore(outer);
    EXPECT_EQ(n_signals, 1);
    EXPECT_EQ(raise(SIGUSR1), 0);
    EXPECT_EQ(n_signals, 2);
    (void)sigaction(SIGUSR1, &before, NULL);
}

static long shared_count; /* plain on purpose: the mask is what makes it safe */

static void *count_in_sections(void *unused)
{
    (void)unused;
    for (int i = 0; i < INCREMENTS; i++) {
        ea_port_irq_t irq = ea_port_irq_mask();
        shared_count = shared_count + 1;
        ea_port_irq_restore(irq);
    }
    return NULL;
}

TEST(port_mask_shuts_out_other_threads, 0)
{
    pthread_t threads[N_THREADS];

    shared_count = 0;
    for (int i = 0; i < N_THREADS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, count_in_sections, NULL) == 0);
    }
    for (int i = 0; i < N_THREADS; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    EXPECT_EQ(shared_count, (long)N_THREADS * INCREMENTS);
}

TEST(port_panic_shows_its_reason_and_aborts, 0)
{
    char text[128] = {0};
    int ends[2], status = 0;
    size_t n_text = 0;

    REQUIRE(pipe(ends) == 0);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        /* A panic inside a masked section must end the program too. */
        ea_port_irq_t irq = ea_port_irq_mask();
        ea_port_panic("the reason");
        ea_port_irq_restore(irq);
    }
    (void)close(ends[1]);
    for (ssize_t n = 1; n > 0 && n_text < sizeof text - 1; n_text += (size_t)n) {
        n = read(ends[0], text + n_text, sizeof text - 1 - n_text);
        if (n < 0) break;
    }
    (void)close(ends[0]);
    REQUIRE(waitpid(child, &status, 0) == child);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    EXPECT(strstr(text, "the reason") != NULL);
}

TEST_MAIN(&port_clocks_never_go_backwards, &port_coarse_clock_is_never_ahead_of_the_precise_one,
          &port_clocks_advance_with_real_time, &port_mask_holds_signals_until_the_outermost_restore,
          &port_mask_shuts_out_other_threads, &port_panic_shows_its_reason_and_aborts)

#else

#include "ealloc/port_baremetal.h"

static uint32_t since_tick_us; /* the timer register of this test */

uint32_t ea_baremetal_since_tick_us(void)
{
    return since_tick_us;
}

TEST(port_clocks_advance_by_what_the_tick_reports, 0)
{
    uint64_t precise_us = ea_port_time_us();
    uint64_t coarse_us = ea_port_time_coarse_us();

    ea_baremetal_tick(1500);
    EXPECT_EQ(ea_port_time_us() - precise_us, 1500);
    EXPECT_EQ(ea_port_time_coarse_us() - coarse_us, 1500);
    ea_baremetal_tick(UINT32_MAX);
    ea_baremetal_tick(1);
    EXPECT_EQ(ea_port_time_coarse_us() - coarse_us, 1500 + (1ll << 32));
}

TEST(port_precise_clock_counts_between_ticks_and_survives_a_late_tick, 0)
{
    uint64_t start_us = ea_port_time_us();

    since_tick_us = 700;
    EXPECT_EQ(ea_port_time_us() - start_us, 700);
    since_tick_us = 10; /* the timer began anew but its tick was not reported yet */
    EXPECT_EQ(ea_port_time_us() - start_us, 700);
    ea_baremetal_tick(1000);
    EXPECT_EQ(ea_port_time_us() - start_us, 1010);
    since_tick_us = 0;
    ea_baremetal_tick(1000);
    EXPECT_EQ(ea_port_time_us() - start_us, 2000);
}

static bool interrupts_masked(void)
{
    uint32_t word;

#if defined(__arm__)
    __asm volatile("mrs %0, primask" : "=r"(word));
    return word & 1u;
#else
    __asm volatile(".option push\n\t.option arch, +zicsr\n\tcsrr %0, mstatus\n\t.option pop"
                   : "=r"(word));
    return !(word & 8u);
#endif
}

static void enable_interrupts(void)
{
#if defined(__arm__)
    __asm volatile("cpsie i" : : : "memory");
#else
    __asm volatile(".option push\n\t.option arch, +zicsr\n\tcsrsi mstatus, 8\n\t.option pop"
                   :
                   :
                   : "memory");
#endif
}

TEST(port_mask_nests_and_restores_what_it_found, 0)
{
    ea_port_irq_t before = ea_port_irq_mask();

    enable_interrupts(); /* start-up leaves them off on some cores */
    EXPECT(!interrupts_masked());
    ea_port_irq_t outer = ea_port_irq_mask();
    EXPECT(interrupts_masked());
    ea_port_irq_t inner = ea_port_irq_mask();
    EXPECT(interrupts_masked());
    ea_port_irq_restore(inner);
    EXPECT(interrupts_masked());
    ea_port_irq_restore(outer);
    EXPECT(!interrupts_masked());
    outer = ea_port_irq_mask(); /* restore opens, it does not close */
    ea_port_irq_restore(before);
}

TEST_MAIN(&port_clocks_never_go_backwards, &port_coarse_clock_is_never_ahead_of_the_precise_one,
          &port_clocks_advance_by_what_the_tick_reports,
          &port_precise_clock_counts_between_ticks_and_survives_a_late_tick,
          &port_mask_nests_and_restores_what_it_found)

#endif
