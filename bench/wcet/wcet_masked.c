/* SPDX-License-Identifier: MIT
 *
 * For how many instructions at a stretch pools mask interrupts: the longest section of every
 * operation, beyond an empty section. Prints what scripts/wcet reads; an operation that masks
 * nothing counts 0.
 */
#include "ealloc/pool_wait.h"
#include "sections.h"

#define N 40u
#define N_WAITERS (EA_CFG_WAIT_LEVELS * 3u)

EA_POOL_DEFINE_STATIC(pool, 64, N);
static ea_waiter_t waiters[N_WAITERS], *ends_next[N_WAITERS];
static void *blocks[N];

/* --- operations ------------------------------------------------------------------------------- */

static void use_all(void)
{
    for (unsigned i = 0; i < N; i++) {
        blocks[i] = ea_pool_alloc(&pool);
        note(OP_ALLOC);
    }
    if (ea_pool_alloc(&pool) != NULL) board_exit(1);
    note(OP_ALLOC_FAIL);
    for (unsigned i = 0; i < N; i++) {
        if (ea_pool_free(&pool, blocks[i * 7 % N]) != EA_OK) board_exit(1);
        note(OP_FREE);
    }
}

static void enter(ea_waiter_t *waiter, uint32_t priority)
{
    ea_waiter_init(waiter, priority);
    longest = 0;
    ea_waitq_enter(&pool.eai_waiting, waiter);
    note(OP_WAIT_ENTER);
}

static void end_wait(ea_waiter_t *waiter)
{
    longest = 0;
    bool got = ea_waitq_sleep(waiter, 0) == EA_OK;
    note(OP_WAIT_END);
    if (got && ea_pool_free(&pool, waiter->result) != EA_OK) board_exit(1);
    longest = 0;
}

/* Tasks of all levels come in any order; they are served, or their time ends, in any order too. */
static void wait_and_serve(uint32_t seed)
{
    unsigned n_left = N_WAITERS, n_blocks = N;
    for (unsigned i = 0; i < N; i++) blocks[i] = ea_pool_alloc(&pool);
    for (unsigned i = 0; i < N_WAITERS; i++) {
        seed = seed * 1664525u + 1013904223u;
        ends_next[i] = &waiters[i];
        enter(&waiters[i], seed % 4 == 0 ? i : (seed >> 8) % EA_CFG_WAIT_LEVELS);
    }
    while (n_left > 0) {
        seed = seed * 1664525u + 1013904223u;
        if ((seed >> 16) % 2 == 0 && n_blocks > 0) {
            longest = 0;
            if (ea_pool_free(&pool, blocks[--n_blocks]) != EA_OK) board_exit(1);
            note(OP_FREE_HAND_OVER);
        } else {
            unsigned i = (seed >> 8) % n_left;
            ea_waiter_t *waiter = ends_next[i];
            ends_next[i] = ends_next[--n_left];
            end_wait(waiter);
        }
    }
    while (n_blocks > 0) (void)ea_pool_free(&pool, blocks[--n_blocks]);
}

int main(void)
{
    count_calibrate();
    ea_port_irq_restore(ea_port_irq_mask());
    empty_section = longest;
    longest = 0;
    count_scenario("alone");
    use_all();
    use_all();
    count_report();
    count_scenario("waiting");
    for (uint32_t seed = 1; seed < 50; seed++) wait_and_serve(seed);
    count_report();
    count_report_all();
    board_put("end\n");
    return 0;
}
