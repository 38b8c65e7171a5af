/* SPDX-License-Identifier: MIT
 *
 * The pool interrupted at every step (row A13): short programs of allocs and frees, interrupted by
 * short programs of allocs and frees before each atomic access of theirs, in all combinations; and
 * interrupts that are interrupted. The pool's own sources are compiled here, with a hook in every
 * atomic access. After each run every block was owned by one program at a time, the pool is sound,
 * and it gives out exactly as many blocks as nobody holds.
 *
 * TAGLESS: the same programs with the tag taken away; the test passes if that is found out.
 */
#include <string.h>

#define EAI_ATOMIC_HEADER "preempt_atomic.h"
#include "stores/pool.c"
#include "stores/pool_check.c"
#include "stores/pool_serve.c"
#include "stores/pool_slabs.c"

#ifdef TAGLESS
#define FOUND_OUT 1
#else
#define FOUND_OUT 0
#endif
#include "verdict.h"

#define N_BLOCKS 3
#define BLOCK_BYTES 16
#define MAX_LEVELS 3
#define MAX_OPS 5

typedef enum { ALLOC, FREE_OLDEST, FREE_NEWEST, N_KINDS, FREE_SHARED } op_t;

#include "programs.h"

/* Level 0 is the thread, 1 interrupts it, 2 interrupts that. */
typedef struct {
    program_t program;
    unsigned step;      /* accesses so far                                  */
    unsigned interrupt; /* the next level runs before the access of this no. */
    unsigned char *held[MAX_OPS + N_BLOCKS];
    unsigned n_held;
} level_t;

bool preempt_monitor, preempt_masked;
uintptr_t preempt_keep_bits;

static ea_pool_t pool;
static _Alignas(16) unsigned char memory[EA_POOL_BYTES(BLOCK_BYTES, N_BLOCKS)];
static level_t levels[MAX_LEVELS];
static unsigned n_levels, current;

/* --- programs --------------------------------------------------------------------------------- */

static bool is_held(const unsigned char *block)
{
    for (unsigned l = 0; l < MAX_LEVELS; l++) {
        for (unsigned i = 0; i < levels[l].n_held; i++) {
            if (levels[l].held[i] == block) return true;
        }
    }
    return false;
}

/* The owner writes into the block: also what could be a link. */
static void scribble(unsigned char *block, unsigned value)
{
    memset(block, 0, BLOCK_BYTES);
    memcpy(block, &value, sizeof value);
}

static void do_alloc(level_t *level)
{
    unsigned char *block = (unsigned char *)ea_pool_alloc(&pool);
    if (block == NULL) return;
    if (block < memory || block >= memory + sizeof memory) wrong = "a block from nowhere";
    if (is_held(block)) wrong = "a block handed out twice";
    if (wrong != NULL) return;
    scribble(block, level->n_held * 2);
    level->held[level->n_held++] = block;
}

static void do_free(level_t *level, unsigned which)
{
    if (level->n_held == 0) return;
    unsigned char *block = level->held[which];
    for (unsigned i = which + 1; i < level->n_held; i++) level->held[i - 1] = level->held[i];
    level->n_held--;
    if (ea_pool_free(&pool, block) != EA_OK) wrong = "a live block refused";
}

/* A block that every program may free, and how often that succeeded. */
static unsigned char *shared_block;
static unsigned n_shared_frees;

static void free_shared(void)
{
    ea_status_t status = ea_pool_free(&pool, shared_block);
    if (status == EA_OK) n_shared_frees++;
    if (status != EA_OK && status != EA_ERR_DOUBLE_FREE) wrong = "neither freed nor refused";
}

static void run_program(level_t *level)
{
    for (unsigned i = 0; i < level->program.n_ops && wrong == NULL; i++) {
        switch (level->program.ops[i]) {
        case ALLOC: do_alloc(level); break;
        case FREE_OLDEST: do_free(level, 0); break;
        case FREE_SHARED: free_shared(); break;
        default: do_free(level, level->n_held - 1); break;
        }
    }
}

void preempt_hook(void)
{
    if (current >= MAX_LEVELS || preempt_masked) return;
    level_t *level = &levels[current];
    if (level->step++ != level->interrupt || current + 1 >= n_levels || wrong != NULL) return;
    preempt_monitor = false; /* as taking an exception does */
    current++;
    run_program(&levels[current]);
    current--;
    preempt_monitor = false; /* and returning from it */
}

/* --- one run ---------------------------------------------------------------------------------- */

/* How many blocks were allocated and freed, and in which order, before the run. */
#define N_PRELUDES 6

static void prelude(unsigned which)
{
    unsigned char *blocks[N_BLOCKS];
    unsigned n = which == 0 ? 0 : which == 1 ? 1 : which == 2 ? 2 : N_BLOCKS;
    for (unsigned i = 0; i < n; i++) blocks[i] = (unsigned char *)ea_pool_alloc(&pool);
    for (unsigned i = 0; i < n; i++) {
        unsigned char *block = blocks[which == 4 ? i : n - 1 - i];
        scribble(block, 1);
        ea_status_t status =
            which == 5 ? ea_pool_free_unlocked(&pool, block) : ea_pool_free(&pool, block);
        if (status != EA_OK) wrong = "prelude";
    }
}

static void verify(void)
{
    unsigned n_held = 0, n_got = 0;
    if (wrong != NULL) return;
    for (unsigned l = 0; l < MAX_LEVELS; l++) n_held += levels[l].n_held;
    if (ea_pool_check(&pool, NULL) != EA_OK) wrong = "the pool is not sound";
    level_t *level = &levels[0];
    unsigned before = level->n_held;
    for (; wrong == NULL && n_got <= N_BLOCKS; n_got++) {
        do_alloc(level);
        if (level->n_held == before + n_got) break;
    }
    if (wrong == NULL && n_got + n_held != N_BLOCKS) wrong = "a block lost";
}

/* Returns the number of steps of the deepest level that can be interrupted. */
static unsigned run_once(unsigned which_prelude)
{
    wrong = NULL;
    for (unsigned l = 0; l < MAX_LEVELS; l++) levels[l].n_held = levels[l].step = 0;
    current = MAX_LEVELS; /* no interrupts yet */
    if (ea_pool_init(&pool, memory, sizeof memory, BLOCK_BYTES) != EA_OK) wrong = "init";
    pool.eai_n_blocks = N_BLOCKS;
    preempt_keep_bits = UINTPTR_MAX;
#ifdef TAGLESS
    preempt_keep_bits = link_mask(&pool);
#endif
    prelude(which_prelude);
    current = 0;
    run_program(&levels[0]);
    unsigned steps = levels[n_levels - 2].step;
    current = MAX_LEVELS;
    verify();
    return steps;
}

/* Every program of level 1 at every step of level 0's, which is set. */
static void interrupt_everywhere(unsigned which_prelude, unsigned n_max)
{
    levels[1].program.n_ops = 0;
    while (next_program(&levels[1].program, n_max)) {
        unsigned steps = 1;
        for (levels[0].interrupt = 0; levels[0].interrupt < steps; levels[0].interrupt++) {
            steps = run_once(which_prelude);
            note_run();
        }
    }
}

TEST(pool_survives_an_interrupt_at_every_step, 0)
{
    n_levels = 2;
    for (unsigned p = 0; p < N_PRELUDES; p++) {
        levels[0].program.n_ops = 0;
        while (next_program(&levels[0].program, 4)) interrupt_everywhere(p, MAX_OPS);
    }
    EXPECT(n_runs > 100000);
    expect_verdict();
}

/* Both interrupts at every step of what they interrupt. */
TEST(pool_survives_an_interrupted_interrupt_at_every_step, 0)
{
    n_levels = 3;
    for (unsigned p = 0; p < N_PRELUDES; p++) {
        levels[0].program = (program_t){1, {ALLOC}};
        levels[1].program.n_ops = 0;
        while (next_program(&levels[1].program, 3)) {
            levels[2].program.n_ops = 0;
            while (next_program(&levels[2].program, 4)) {
                for (levels[0].interrupt = 0; levels[0].interrupt < 10; levels[0].interrupt++) {
                    unsigned steps = 1;
                    levels[1].interrupt = 0;
                    for (; levels[1].interrupt < steps; levels[1].interrupt++) {
                        steps = run_once(p);
                        note_run();
                    }
                }
            }
        }
    }
    EXPECT(n_runs > 100000);
    expect_verdict();
}

#ifndef TAGLESS
/* The interrupt frees the block that level 0 is freeing. */
TEST(pool_lets_exactly_one_of_two_frees_succeed, 0)
{
    static const program_t program = {1, {FREE_SHARED}};
    unsigned steps = 1;
    n_levels = 2;
    for (unsigned at = 0; at < steps; at++) {
        wrong = NULL;
        n_shared_frees = 0;
        current = MAX_LEVELS;
        preempt_keep_bits = UINTPTR_MAX;
        REQUIRE(ea_pool_init(&pool, memory, sizeof memory, BLOCK_BYTES) == EA_OK);
        shared_block = (unsigned char *)ea_pool_alloc(&pool);
        levels[0].program = levels[1].program = program;
        levels[0].step = 0;
        levels[0].interrupt = at;
        current = 0;
        run_program(&levels[0]);
        steps = levels[0].step;
        current = MAX_LEVELS;
        EXPECT(wrong == NULL);
        EXPECT_EQ(n_shared_frees, 1);
        EXPECT_EQ(ea_pool_check(&pool, NULL), EA_OK);
    }
    EXPECT(steps > 1);
}
#endif

TEST_MAIN(
#ifndef TAGLESS
    &pool_lets_exactly_one_of_two_frees_succeed,
#endif
    &pool_survives_an_interrupt_at_every_step,
    &pool_survives_an_interrupted_interrupt_at_every_step)
