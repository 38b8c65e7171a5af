/* SPDX-License-Identifier: MIT
 *
 * What every port promises, on the port this build has. How the clock is moved and how an
 * interruption is provoked differ, so those parts exist per port.
 */
#if defined(__unix__)
#define _GNU_SOURCE /* pthread_create, nanosleep and pipe in a strict C11 build */
#endif

#include "ealloc/config.h"
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

TEST(port_wait_takes_a_token_that_is_there_already, 0)
{
    ea_port_waiter_t waiter;

    ea_port_waiter_init(&waiter);
    EXPECT(!ea_port_wait(&waiter, 0));
    ea_port_irq_t irq = ea_port_irq_mask();
    ea_port_wake(&waiter);
    ea_port_irq_restore(irq);
    EXPECT(ea_port_wait(&waiter, EA_WAIT_FOREVER));
    EXPECT(!ea_port_wait(&waiter, 0)); /* it was taken */
    ea_port_waiter_deinit(&waiter);
}

TEST(port_waiter_is_ready_again_after_init, 0)
{
    ea_port_waiter_t waiter;

    ea_port_waiter_init(&waiter);
    ea_port_irq_t irq = ea_port_irq_mask();
    ea_port_wake(&waiter);
    ea_port_irq_restore(irq);
    ea_port_waiter_deinit(&waiter);
    ea_port_waiter_init(&waiter); /* forgets the token nobody took */
    EXPECT(!ea_port_wait(&waiter, 0));
    ea_port_waiter_deinit(&waiter);
}

TEST(port_wait_inside_a_masked_section_only_looks, 0)
{
    ea_port_waiter_t waiter;

    ea_port_waiter_init(&waiter);
    ea_port_irq_t irq = ea_port_irq_mask();
    EXPECT(!ea_port_wait(&waiter, EA_WAIT_FOREVER)); /* nobody could ever wake it */
    ea_port_wake(&waiter);
    EXPECT(ea_port_wait(&waiter, EA_WAIT_FOREVER));
    ea_port_irq_restore(irq);
    ea_port_waiter_deinit(&waiter);
}

TEST(port_task_priority_is_a_level, 0)
{
    EXPECT(ea_port_task_priority() < EA_CFG_WAIT_LEVELS);
}

TEST(port_task_is_not_an_interrupt_and_has_a_slot_of_its_own, 0)
{
    int mine;

    EXPECT(!ea_port_in_isr());
    REQUIRE(ea_port_task_slot() != NULL && ea_port_isr_slot() != NULL);
    EXPECT(ea_port_task_slot() != ea_port_isr_slot());
    EXPECT(*ea_port_task_slot() == NULL);
    *ea_port_task_slot() = &mine;
    EXPECT(*ea_port_task_slot() == &mine);
    EXPECT(*ea_port_isr_slot() == NULL);
    *ea_port_task_slot() = NULL;
}

TEST(port_lock_can_be_taken_again_after_it_was_let_go, 0)
{
    ea_port_lock_t lock[2];

    ea_port_lock_init(&lock[0]);
    ea_port_lock_init(&lock[1]);
    for (int i = 0; i < 3; i++) {
        ea_port_lock_acquire(&lock[0]);
        EXPECT(!ea_port_lock_try_acquire(&lock[0]));
        EXPECT(ea_port_lock_try_acquire(&lock[1])); /* another one */
        ea_port_lock_release(&lock[1]);
        ea_port_lock_acquire(&lock[1]);
        ea_port_lock_release(&lock[0]);
        ea_port_lock_release(&lock[1]);
    }
    ea_port_lock_deinit(&lock[0]);
    ea_port_lock_deinit(&lock[1]);
}

#define TESTS_OF_EVERY_PORT                                                                        \
    &port_clocks_never_go_backwards, &port_coarse_clock_is_never_ahead_of_the_precise_one,         \
        &port_wait_takes_a_token_that_is_there_already, &port_waiter_is_ready_again_after_init,    \
        &port_wait_inside_a_masked_section_only_looks, &port_task_priority_is_a_level,             \
        &port_task_is_not_an_interrupt_and_has_a_slot_of_its_own,                                  \
        &port_lock_can_be_taken_again_after_it_was_let_go

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

static void *wake_after_a_while(void *waiter)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = 20 * 1000 * 1000};

    (void)nanosleep(&pause, NULL);
    ea_port_irq_t irq = ea_port_irq_mask();
    ea_port_wake(waiter);
    ea_port_irq_restore(irq);
    return NULL;
}

TEST(port_wait_ends_when_another_thread_wakes_it, 0)
{
    const uint64_t timeouts[] = {EA_WAIT_FOREVER, 60u * 1000 * 1000};
    ea_port_waiter_t waiter;
    pthread_t thread;

    for (int i = 0; i < 2; i++) {
        ea_port_waiter_init(&waiter);
        uint64_t begin_us = ea_port_time_us();
        REQUIRE(pthread_create(&thread, NULL, wake_after_a_while, &waiter) == 0);
        EXPECT(ea_port_wait(&waiter, timeouts[i]));
        EXPECT(ea_port_time_us() - begin_us >= 20 * 1000);
        EXPECT_EQ(pthread_join(thread, NULL), 0);
        ea_port_waiter_deinit(&waiter);
    }
}

TEST(port_wait_never_ends_before_its_time, 0)
{
    ea_port_waiter_t waiter;

    ea_port_waiter_init(&waiter);
    for (uint64_t timeout_us = 1; timeout_us <= 30000; timeout_us *= 5) {
        uint64_t begin_us = ea_port_time_us();
        EXPECT(!ea_port_wait(&waiter, timeout_us));
        EXPECT(ea_port_time_us() - begin_us >= timeout_us);
    }
    ea_port_waiter_deinit(&waiter);
}

static ea_port_waiter_t signalled_waiter;
static volatile sig_atomic_t signals_before_waking;

static void wake_from_handler(int number)
{
    (void)number;
    if (--signals_before_waking > 0) return; /* interrupted, and nothing to wake for */
    ea_port_irq_t irq = ea_port_irq_mask();
    ea_port_wake(&signalled_waiter);
    ea_port_irq_restore(irq);
}

static void *send_signals(void *thread)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = 10 * 1000 * 1000};

    for (int i = 0; i < 3; i++) {
        (void)nanosleep(&pause, NULL);
        (void)pthread_kill(*(pthread_t *)thread, SIGUSR1);
    }
    return NULL;
}

TEST(port_wait_goes_on_after_a_signal_and_ends_when_a_handler_wakes_it, 0)
{
    struct sigaction action = {.sa_handler = wake_from_handler}, before;
    pthread_t self = pthread_self(), thread;

    REQUIRE(sigaction(SIGUSR1, &action, &before) == 0);
    signals_before_waking = 3;
    ea_port_waiter_init(&signalled_waiter);
    REQUIRE(pthread_create(&thread, NULL, send_signals, &self) == 0);
    EXPECT(ea_port_wait(&signalled_waiter, EA_WAIT_FOREVER));
    EXPECT_EQ(signals_before_waking, 0);
    EXPECT_EQ(pthread_join(thread, NULL), 0);
    ea_port_waiter_deinit(&signalled_waiter);
    (void)sigaction(SIGUSR1, &before, NULL);
}

static ea_port_lock_t counting_lock;
static void **slots[N_THREADS];

static void *count_under_lock(void *number)
{
    void ***slot = &slots[*(int *)number];

    *slot = ea_port_task_slot();
    if (**slot != NULL) return NULL; /* as every thread begins; the sum will be wrong */
    **slot = number;
    for (int i = 0; i < INCREMENTS; i++) {
        ea_port_lock_acquire(&counting_lock);
        shared_count = shared_count + 1;
        ea_port_lock_release(&counting_lock);
        if (*ea_port_task_slot() != number) return NULL;
    }
    return NULL;
}

TEST(port_lock_shuts_out_other_threads_and_each_has_its_slot, 0)
{
    pthread_t threads[N_THREADS];
    int numbers[N_THREADS];

    shared_count = 0;
    ea_port_lock_init(&counting_lock);
    for (int i = 0; i < N_THREADS; i++) {
        numbers[i] = i;
        REQUIRE(pthread_create(&threads[i], NULL, count_under_lock, &numbers[i]) == 0);
    }
    for (int i = 0; i < N_THREADS; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    EXPECT_EQ(shared_count, (long)N_THREADS * INCREMENTS);
    EXPECT(*ea_port_task_slot() == NULL);
    ea_port_lock_deinit(&counting_lock);
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

TEST_MAIN(TESTS_OF_EVERY_PORT, &port_clocks_advance_with_real_time,
          &port_mask_holds_signals_until_the_outermost_restore, &port_mask_shuts_out_other_threads,
          &port_wait_ends_when_another_thread_wakes_it, &port_wait_never_ends_before_its_time,
          &port_wait_goes_on_after_a_signal_and_ends_when_a_handler_wakes_it,
          &port_lock_shuts_out_other_threads_and_each_has_its_slot,
          &port_panic_shows_its_reason_and_aborts)

#else

#include "board.h"
#include "ealloc/port_baremetal.h"

#define TICK_US 500

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

static ea_port_waiter_t tick_waiter;
static volatile int ticks_before_waking, n_looks_in_handler;

static void tick(void)
{
    ea_baremetal_tick(TICK_US);
    if (ticks_before_waking > 0 && --ticks_before_waking == 0) ea_port_wake(&tick_waiter);
}

TEST(port_wait_sleeps_until_an_interrupt_wakes_it, 0)
{
    const uint64_t timeouts[] = {EA_WAIT_FOREVER, 1000 * TICK_US};

    for (int i = 0; i < 2; i++) {
        ea_port_waiter_init(&tick_waiter);
        uint64_t begin_us = ea_port_time_us();
        ticks_before_waking = 3;
        board_tick_start(TICK_US, tick);
        EXPECT(ea_port_wait(&tick_waiter, timeouts[i]));
        board_tick_stop();
        EXPECT_EQ(ticks_before_waking, 0);
        EXPECT(ea_port_time_us() - begin_us >= 3 * TICK_US);
        ea_port_waiter_deinit(&tick_waiter);
    }
}

TEST(port_wait_never_ends_before_its_time, 0)
{
    ea_port_waiter_t waiter;

    ea_port_waiter_init(&waiter);
    board_tick_start(TICK_US, tick);
    for (uint64_t timeout_us = 1; timeout_us < 10 * TICK_US; timeout_us += TICK_US / 2) {
        uint64_t begin_us = ea_port_time_us();
        EXPECT(!ea_port_wait(&waiter, timeout_us));
        EXPECT(ea_port_time_us() - begin_us >= timeout_us);
    }
    board_tick_stop();
}

static void wait_in_handler(void)
{
    ea_port_waiter_t waiter;

    ea_port_waiter_init(&waiter);
    if (!ea_port_wait(&waiter, EA_WAIT_FOREVER)) n_looks_in_handler = n_looks_in_handler + 1;
    ea_port_wake(&tick_waiter);
}

TEST(port_wait_in_an_interrupt_only_looks, 0)
{
    n_looks_in_handler = 0;
    ea_port_waiter_init(&tick_waiter);
    board_tick_start(TICK_US, wait_in_handler);
    EXPECT(ea_port_wait(&tick_waiter, EA_WAIT_FOREVER));
    board_tick_stop();
    EXPECT(n_looks_in_handler > 0);
}

static bool was_in_isr;
static void **slot_in_isr;

static void look_in_handler(void)
{
    ea_baremetal_isr_enter();
    was_in_isr = ea_port_in_isr();
    slot_in_isr = ea_port_task_slot();
    ea_port_wake(&tick_waiter);
    ea_baremetal_isr_leave();
}

TEST(port_interrupt_is_known_and_has_the_interrupts_slot, 0)
{
    was_in_isr = false;
    ea_port_waiter_init(&tick_waiter);
    board_tick_start(TICK_US, look_in_handler);
    EXPECT(ea_port_wait(&tick_waiter, EA_WAIT_FOREVER));
    board_tick_stop();
    EXPECT(was_in_isr);
    EXPECT(slot_in_isr == ea_port_isr_slot());
    EXPECT(!ea_port_in_isr());
    EXPECT(ea_port_task_slot() != slot_in_isr);
}

TEST_MAIN(TESTS_OF_EVERY_PORT, &port_interrupt_is_known_and_has_the_interrupts_slot,
          &port_wait_sleeps_until_an_interrupt_wakes_it, &port_wait_never_ends_before_its_time,
          &port_wait_in_an_interrupt_only_looks, &port_clocks_advance_by_what_the_tick_reports,
          &port_precise_clock_counts_between_ticks_and_survives_a_late_tick,
          &port_mask_nests_and_restores_what_it_found)

#endif
