/* SPDX-License-Identifier: MIT
 *
 * The history of allocations through a thousand resets at random instructions (row B1). A program
 * records and allocates; SysTick interrupts it after a random number of instructions, under an
 * exact instruction counter; the handler records a little itself and resets the chip. What the ring
 * and a log of the calls that had returned hold lies in a section that neither the reset nor the
 * start-up code touches. After each reset every one of the last calls in the log must be in the
 * history, in order, with its block and its time. Whatever else is there must be an event too.
 *
 * BROKEN: a call is logged before it is made, so that a reset within it loses an event of the log;
 * the test passes if that is found out.
 */
#include <string.h>

#include "board.h"
#include "ealloc/allocator.h"
#include "ealloc/trace.h"
#include "tap.h"

#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018u)
#define SCB_AIRCR (*(volatile uint32_t *)0xE000ED0Cu)
#define WITH_INTERRUPT 7u
#define STOPPED 0u
#define RESET_REQUEST 0x05FA0004u

#define MAGIC 0x0BADB007u
#ifdef BROKEN
#define N_RESETS 100u
#else
#define N_RESETS 1000u
#endif
#define N_EVENTS 64u
#define N_LOG 32u /* so many fit, with all that may stand between them */
#define MAX_TICKS 60000u
#define OF_HANDLER 0x40000000u

/* A call that has returned. */
typedef struct {
    uint8_t kind;
    uint32_t site; /* 0: not known */
    const void *block;
    uint32_t begin_ticks, end_ticks;
} call_t;

/* Of one context: the newest is calls[(n - 1) % N_LOG]. */
typedef struct {
    volatile uint32_t n;
    call_t calls[N_LOG];
} log_t;

typedef struct {
    uint32_t magic, random, n_resets;
    log_t task, handler;
    uint32_t n_checked, n_lost, n_strange, n_cut, n_in_call;
    volatile uint32_t is_in_call;
} kept_t;

static kept_t kept EA_TRACE_NOINIT;
static _Alignas(8) unsigned char ring[EA_TRACE_BYTES(N_EVENTS)] EA_TRACE_NOINIT;

static ea_allocator_t memory;
static _Alignas(8) unsigned char region[4096];
static ea_trace_t *trace;
static volatile uint32_t ticks;
static uint32_t last_site;

static uint32_t random_below(uint32_t n)
{
    kept.random = kept.random * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)kept.random * n >> 32);
}

static void log_call(log_t *log, ea_trace_kind_t kind, uint32_t site, const void *block,
                     uint32_t begin_ticks)
{
    log->calls[log->n % N_LOG] = (call_t){(uint8_t)kind, site, block, begin_ticks, ticks};
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    log->n++;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* --- after a reset ---------------------------------------------------------------------------- */

static bool is_it(const ea_trace_event_t *e, const call_t *call)
{
    return e->kind == call->kind && (call->site == 0 || (uintptr_t)e->site == call->site) &&
           e->block == call->block && e->time_us >= (uint64_t)call->begin_ticks * 1000 &&
           e->time_us <= (uint64_t)call->end_ticks * 1000;
}

/* How many of the log's calls are not in the history, in their order. */
static uint32_t count_lost(const log_t *log)
{
    uint32_t n = log->n < N_LOG ? log->n : N_LOG, at = log->n - n;
    ea_trace_cursor_t cursor = {0};
    ea_trace_event_t e;
    while (ea_trace_read(trace, &cursor, &e) == EA_OK)
        if (at != log->n && is_it(&e, &log->calls[at % N_LOG])) at++;
    kept.n_checked += n;
    return log->n - at;
}

static void check_history(void)
{
    ea_trace_cursor_t cursor = {0};
    ea_trace_event_t e;
    while (ea_trace_read(trace, &cursor, &e) == EA_OK)
        if (e.kind != EA_TRACE_BOOT && e.kind != EA_TRACE_USER && e.kind != EA_TRACE_ALLOC &&
            e.kind != EA_TRACE_FREE)
            kept.n_strange++;
    kept.n_cut += cursor.n_void != 0;
    kept.n_in_call += kept.is_in_call;
    kept.n_lost += count_lost(&kept.task) + count_lost(&kept.handler);
}

/* --- until the next --------------------------------------------------------------------------- */

static void record_one(log_t *log, uint32_t site)
{
    uint32_t begin = ticks;
    const void *block = region + 8 * (site % 64);
#ifdef BROKEN
    log_call(log, EA_TRACE_USER, site, block, begin);
#endif
    ea_trace_record(trace, EA_TRACE_USER, 1, (const void *)(uintptr_t)site, block, site % 100);
#ifndef BROKEN
    log_call(log, EA_TRACE_USER, site, block, begin);
#endif
}

static void on_tick(void)
{
    SYSTICK_CONTROL = STOPPED;
    for (uint32_t n = random_below(4); n != 0; n--) record_one(&kept.handler, OF_HANDLER + n);
    SCB_AIRCR = RESET_REQUEST;
    for (;;) {
    }
}

static void *allocate_one(void)
{
    uint32_t begin = ticks, site = ++last_site;
    const ea_request_t request = {.caller = (const void *)(uintptr_t)site};
    void *block = ea_malloc_ex(&memory, 8 + random_below(100), &request);
    log_call(&kept.task, EA_TRACE_ALLOC, site, block, begin);
    return block;
}

static void free_one(void *block)
{
    uint32_t begin = ticks;
    if (ea_free(&memory, block) != EA_OK) kept.n_strange++;
    log_call(&kept.task, EA_TRACE_FREE, 0, block, begin);
}

static _Noreturn void run_until_reset(void)
{
    void *blocks[4] = {NULL};
    kept.task.n = kept.handler.n = 0;
    if (ea_allocator_init(&memory, NULL) != EA_OK ||
        ea_allocator_add_region(&memory, region, sizeof region, NULL) != EA_OK ||
        ea_trace_attach(trace, &memory) != EA_OK)
        board_exit(1);
    board_tick_start(1000, on_tick);
    SYSTICK_CONTROL = STOPPED;
    SYSTICK_RELOAD = 100 + random_below(MAX_TICKS);
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = WITH_INTERRUPT;
    for (uint32_t i = 0;; i++) {
        ticks += 0x0F01; /* over the step of the time's upper part now and then */
        kept.is_in_call = 1;
        if (i % 3 != 0) {
            record_one(&kept.task, ++last_site);
        } else if (blocks[i % 4] == NULL) {
            blocks[i % 4] = allocate_one();
        } else {
            free_one(blocks[i % 4]);
            blocks[i % 4] = NULL;
        }
        kept.is_in_call = 0;
    }
}

TEST(trace_keeps_every_event_whose_call_returned_through_1000_resets, 0)
{
    ea_trace_stats_t stats;
    ea_trace_stats(trace, &stats);
    tap_note("resets", kept.n_resets);
    tap_note("calls that had returned, looked for", kept.n_checked);
    tap_note("lost", kept.n_lost);
    tap_note("resets that cut an event off", kept.n_cut);
    tap_note("resets inside a call", kept.n_in_call);
#ifdef BROKEN
    EXPECT(kept.n_lost > 0);
#else
    EXPECT_EQ(kept.n_lost, 0);
    EXPECT_EQ(kept.n_strange, 0);
    EXPECT_EQ(stats.n_dropped, 0);
#endif
    EXPECT_EQ(stats.n_boots, N_RESETS + 1);
    EXPECT(kept.n_checked > 10 * N_RESETS);
    EXPECT(kept.n_cut > N_RESETS / 100);
}

int main(int argc, char **argv)
{
    static const tap_test_t *const all[] = {
        &trace_keeps_every_event_whose_call_returned_through_1000_resets};
    const ea_trace_options_t options = {.clock = &ticks, .tick_us = 1000};
    bool is_first = kept.magic != MAGIC;
    if (is_first) {
        memset(&kept, 0, sizeof kept);
        memset(ring, 0xA5, sizeof ring);
        kept.magic = MAGIC;
        kept.random = 1;
    }
    trace = ea_trace_open(ring, sizeof ring, &options);
    if (trace == NULL) return 1;
    if (!is_first) {
        kept.n_resets++;
        check_history();
    }
    if (kept.n_resets < N_RESETS) run_until_reset();
    return tap_main(argc, argv, all, 1);
}
