/* SPDX-License-Identifier: MIT
 *
 * Waiting interrupted at every step (rows A13, A14). The sources are compiled here with a hook in
 * every atomic access, and with a port of this test's own whose masked sections begin and end with
 * one and whose sleep looks around. At each of these steps in turn an "interrupt" runs a short
 * program of frees and allocs. Whatever it does and wherever it comes:
 *
 *   - a task never falls asleep while a block is free;
 *   - a block that was freed while a task waited is handed to it, in time or in the very moment its
 *     time ends;
 *   - no block is lost, and none has two owners.
 */
#include <string.h>

#define EAI_ATOMIC_HEADER "preempt_atomic.h"
#include "base/waitq.c"
#include "memory/pool_wait.c"
#include "memory/poolset.c"
#include "stores/pool.c"
#include "stores/pool_check.c"
#include "stores/pool_serve.c"
#include "stores/pool_slabs.c"

#include "tap.h"

#define N_CLASSES 2
#define N_BLOCKS 2 /* of each class */
#define MAX_OPS 3

bool preempt_monitor, preempt_masked;
uintptr_t preempt_keep_bits = UINTPTR_MAX;

/* What the interrupt does. SMALL and LARGE: of which class. */
typedef enum { FREE_SMALL, FREE_LARGE, ALLOC_SMALL, ALLOC_LARGE, N_KINDS } op_t;

#include "programs.h"

static const ea_poolset_class_t classes[N_CLASSES] = {{16, N_BLOCKS}, {32, N_BLOCKS}};
static _Alignas(16) unsigned char memory[2048];
static ea_poolset_t set;
static bool larger;                         /* the set's strategy */
static void *held[N_CLASSES][2 * N_BLOCKS]; /* by the interrupt */
static unsigned n_held[N_CLASSES];
static program_t program;
static unsigned steps, interrupt_at;
static bool in_interrupt, has_interrupted;
static bool task_frees; /* else it waits */
static const char *wrong;

/* --- what must hold --------------------------------------------------------------------------- */

static bool has_free_block(unsigned c)
{
    const ea_pool_t *pool = &set.eai_pools[c];
    return pool->eai_fresh < pool->eai_n_blocks || !is_end(pool, link_of(pool, pool->eai_head));
}

/* Somebody waits in class c while a block that would do is free. */
static bool is_neglected(unsigned c)
{
    if (ea_waitq_is_empty(&set.eai_pools[c].eai_waiting)) return false;
    return has_free_block(c) || (larger && c == 0 && has_free_block(1));
}

/* --- the interrupt ---------------------------------------------------------------------------- */

static void run_op(op_t op)
{
    unsigned c = op == FREE_LARGE || op == ALLOC_LARGE;
    if (op == FREE_SMALL || op == FREE_LARGE) {
        if (n_held[c] == 0) return;
        if (ea_poolset_free(&set, held[c][--n_held[c]]) != EA_OK) wrong = "a live block refused";
        /* The one that waits has been handed it: nobody else is there to wait. (A task that is
         * about to serve still has to.) */
        if (!task_frees && (is_neglected(0) || is_neglected(1)))
            wrong = "a block freed beside one who waits";
    } else {
        void *block = ea_pool_alloc(&set.eai_pools[c]);
        if (block != NULL) held[c][n_held[c]++] = block;
    }
}

static void interrupt(void)
{
    bool monitor_was_masked = preempt_masked;
    in_interrupt = has_interrupted = true;
    preempt_monitor = false;
    for (unsigned i = 0; i < program.n_ops && wrong == NULL; i++) run_op(program.ops[i]);
    preempt_monitor = false;
    preempt_masked = monitor_was_masked;
    in_interrupt = false;
}

void preempt_hook(void)
{
    if (in_interrupt || preempt_masked || has_interrupted) return;
    if (steps++ == interrupt_at) interrupt();
}

static void look_asleep(void)
{
    if (is_neglected(0) || is_neglected(1)) wrong = "asleep beside a free block";
}

#include "waiting_port.h"

/* --- one run ---------------------------------------------------------------------------------- */

/* A fresh set of which the interrupt holds so many small and large blocks. */
static void begin(unsigned n_small, unsigned n_large)
{
    ea_poolset_options_t options = {
        .strategy = EA_POOLSET_WAIT | (larger ? EA_POOLSET_NEXT_LARGER : 0), .wait_us = 1000};
    wrong = NULL;
    has_interrupted = true; /* not yet */
    n_held[0] = n_held[1] = 0;
    if (ea_poolset_init(&set, memory, sizeof memory, classes, N_CLASSES, &options) != EA_OK) {
        wrong = "init";
    }
    for (unsigned i = 0; i < n_small; i++) run_op(ALLOC_SMALL);
    for (unsigned i = 0; i < n_large; i++) run_op(ALLOC_LARGE);
    steps = 0;
    has_interrupted = false;
}

/* The task has `mine` (or NULL): every block is there once, the pools are sound. */
static void verify(void *mine)
{
    has_interrupted = true;
    for (unsigned c = 0; c < N_CLASSES && wrong == NULL; c++) {
        const ea_pool_t *pool = &set.eai_pools[c];
        unsigned n = n_held[c] + (mine != NULL && ea_pool_owns(pool, mine));
        for (unsigned i = 0; i < n_held[c]; i++) {
            if (held[c][i] == mine) wrong = "a block with two owners";
        }
        if (!ea_waitq_is_empty(&pool->eai_waiting)) wrong = "somebody left in the queue";
        if (ea_pool_check(pool, NULL) != EA_OK) wrong = "the pool is not sound";
        while (wrong == NULL && ea_pool_alloc(&set.eai_pools[c]) != NULL) n++;
        if (wrong == NULL && n != N_BLOCKS) wrong = "a block lost or invented";
    }
}

static unsigned long n_runs, n_got, n_timeouts;

/* Run `once` for every state before, every program, and every step there is. */
static void interrupt_everywhere(void (*once)(void), unsigned n_strategies)
{
    n_runs = n_got = n_timeouts = 0;
    for (unsigned before = 0; before < 9 * n_strategies; before++) {
        larger = before >= 9;
        for (program.n_ops = 0; next_program(&program, MAX_OPS);) {
            bool was_reached = true;
            for (interrupt_at = 0; was_reached; interrupt_at++) {
                begin(before % 3, before % 9 / 3);
                once();
                was_reached = has_interrupted;
                n_runs++;
                if (wrong == NULL) continue;
                tap_fail(__FILE__, __LINE__, wrong, 1, 0);
                tap_note("state", before);
                tap_note("step", interrupt_at);
                for (unsigned i = 0; i < program.n_ops; i++) tap_note("op", program.ops[i]);
                return;
            }
        }
    }
    tap_note("runs", (long long)n_runs);
}

static void note(void *block)
{
    *(block != NULL ? &n_got : &n_timeouts) += 1;
    bool interrupted = has_interrupted;
    verify(block);
    has_interrupted = interrupted;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void wait_in_pool(void)
{
    note(ea_pool_alloc_wait(&set.eai_pools[0], 1000));
}

TEST(pool_wait_survives_an_interrupt_at_every_step, 0)
{
    interrupt_everywhere(wait_in_pool, 1);
    EXPECT(n_runs > 5000);
    EXPECT(n_got > 0);
    EXPECT(n_timeouts > 0);
}

static void wait_in_set(void)
{
    note(ea_poolset_alloc(&set, 1));
}

TEST(poolset_wait_survives_an_interrupt_at_every_step, 0)
{
    interrupt_everywhere(wait_in_set, 2);
    EXPECT(n_runs > 5000);
    EXPECT(n_got > 0);
    EXPECT(n_timeouts > 0);
}

/* A task waits for a small block while another one, interrupted, frees a block. */
static void free_for_waiter(void)
{
    ea_waiter_t waiter;
    bool was_interrupted = has_interrupted;

    has_interrupted = true; /* until the stage is set */
    while (n_held[0] < N_BLOCKS) run_op(ALLOC_SMALL);
    while (n_held[1] < N_BLOCKS) run_op(ALLOC_LARGE);
    void *block = larger ? held[1][--n_held[1]] : held[0][--n_held[0]];
    ea_waiter_init(&waiter, 0);
    ea_waitq_enter(&set.eai_pools[0].eai_waiting, &waiter);
    has_interrupted = was_interrupted;
    if (ea_poolset_free(&set, block) != EA_OK) wrong = "a live block refused";
    if (is_neglected(0)) wrong = "a free block beside one who waits";
    bool interrupted = has_interrupted;
    has_interrupted = true;
    void *got = ea_waitq_sleep(&waiter, 0) == EA_OK ? waiter.result : NULL;
    has_interrupted = interrupted;
    note(got);
}

TEST(pool_free_for_one_who_waits_survives_an_interrupt_at_every_step, 0)
{
    task_frees = true;
    interrupt_everywhere(free_for_waiter, 2);
    task_frees = false;
    EXPECT(n_runs > 1000);
    EXPECT(n_got > 0);
    EXPECT(n_timeouts > 0); /* the interrupt took the block before it was handed over */
}

TEST_MAIN(&pool_wait_survives_an_interrupt_at_every_step,
          &poolset_wait_survives_an_interrupt_at_every_step,
          &pool_free_for_one_who_waits_survives_an_interrupt_at_every_step)
