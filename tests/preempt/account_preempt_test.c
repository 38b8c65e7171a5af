/* SPDX-License-Identifier: MIT
 *
 * Accounts interrupted at every step (rows C4, C5): short programs of charges, returns, transfers
 * and changed limits, interrupted by others before each atomic access of theirs, in all
 * combinations; and interrupts that are interrupted. The sources are compiled here with a hook in
 * every atomic access. At no instant more is charged below an account than its max; after each run
 * the tree is sound, what is charged is what the programs hold, a guarantee can be taken, and all
 * the rest as well.
 *
 * OBVIOUS: the same programs on the obvious scheme (add at every level, take back if one refuses),
 * which breaks guarantees. EARLY: on accounts that raise their credit before the parent was charged
 * for it, which breaks them too. The test passes if that is found out.
 */
#include <string.h>

#define EAI_ATOMIC_HEADER "preempt_atomic.h"
#include "accounts/account.c"
#include "accounts/account_check.c"
#undef LOAD
#include "accounts/account_stats.c"
#include "accounts/account_tree.c"

#if defined(OBVIOUS) || defined(EARLY)
#define FOUND_OUT 1
#else
#define FOUND_OUT 0
#endif
#include "verdict.h"

#define MAX_LEVELS 3
#define MAX_OPS 3
#define MAX_HELD 12

typedef enum {
    CHARGE_MORE,
    CHARGE_LESS,
    CHARGE_OTHER,
    RETURN_OLDEST,
    RETURN_NEWEST,
    HAND_OVER,
    CHANGE_MIN,
    N_KINDS
} op_t;

#include "programs.h"

typedef struct {
    ea_account_t *account;
    units_t n;
} held_t;

/* Level 0 is the thread, 1 interrupts it, 2 interrupts that. */
typedef struct {
    program_t program;
    unsigned step;      /* accesses so far                                  */
    unsigned interrupt; /* the next level runs before the access of this no. */
    held_t held[MAX_HELD];
    unsigned n_held;
} actor_t;

/* root -> top -> leaf, root -> other. */
typedef struct {
    units_t root_max, top_max, top_min, leaf_min, leaf_max, leaf_batch, other_batch;
} shape_t;

static const shape_t shapes[] = {
    {12, 0, 10, 10, 20, 0, 0}, {14, 12, 0, 4, 9, 0, 0}, {16, 14, 0, 4, 10, 3, 2},
    {9, 0, 0, 0, 0, 2, 4},     {10, 0, 0, 0, 0, 0, 0},
};
#define N_SHAPES (sizeof shapes / sizeof shapes[0])
#define N_PRELUDES 3 /* how much is charged before */

bool preempt_monitor, preempt_masked;
uintptr_t preempt_keep_bits = UINTPTR_MAX;

static ea_account_t nodes[4];
static ea_accounts_t book;
static ea_account_t *root, *top, *leaf, *other;
static units_t shadow[4]; /* what is charged below each node, counted after and before */
static actor_t levels[MAX_LEVELS];
static unsigned n_levels, current;

/* --- the scheme under test -------------------------------------------------------------------- */

#ifdef OBVIOUS
static units_t above_min(const ea_account_t *account, units_t n)
{
    return n > account->eai_floor && account->eai_parent ? n - account->eai_floor : 0;
}

/* What a level owes its parent follows from its usage: that above min. eai_credit is the usage. */
static units_t add(ea_account_t *account, units_t n)
{
    units_t was;
    do was = EAI_LOAD(&account->eai_credit, EAI_RELAXED);
    while (!EAI_CAS(&account->eai_credit, was, was + n));
    return above_min(account, was + n) - above_min(account, was);
}

static ea_status_t do_charge(ea_account_t *account, units_t n)
{
    units_t added[4];
    unsigned depth = 0;
    for (ea_account_t *a = account; a != NULL; a = a->eai_parent) {
        added[depth++] = n;
        units_t owed = add(a, n);
        if (a->eai_credit > a->eai_max) {
            unsigned i = 0;
            for (ea_account_t *b = account; i < depth; b = b->eai_parent) add(b, 0 - added[i++]);
            return EA_ERR_LIMIT;
        }
        n = owed;
    }
    return EA_OK;
}

static ea_status_t do_return(ea_account_t *account, units_t n)
{
    for (; account != NULL; account = account->eai_parent) n = 0 - add(account, 0 - n);
    return EA_OK;
}
#elif defined(EARLY)
static ea_status_t do_charge(ea_account_t *account, units_t n)
{
    step_t raised[4];
    unsigned n_raised = 0;
    for (; account != NULL; account = account->eai_parent) {
        units_t taken = take(account, n);
        if (taken == n) return EA_OK;
        bool is_allowed = raise_credit(account, n - taken, 0, EXACTLY);
        if (!is_allowed) {
            (void)put(account, taken);
            while (n_raised-- > 0) {
                account = raised[n_raised].account;
                (void)lower_credit(account, raised[n_raised].need - raised[n_raised].taken);
                (void)put(account, raised[n_raised].taken);
            }
            return EA_ERR_LIMIT;
        }
        raised[n_raised++] = (step_t){account, n, taken};
        n -= taken;
    }
    return EA_ERR_LIMIT;
}
static ea_status_t do_return(ea_account_t *account, units_t n)
{
    return ea_account_return(account, n);
}
#else
static ea_status_t do_charge(ea_account_t *account, units_t n)
{
    return ea_account_charge(account, n, NULL);
}
static ea_status_t do_return(ea_account_t *account, units_t n)
{
    return ea_account_return(account, n);
}
#endif

/* --- programs --------------------------------------------------------------------------------- */

static void count(ea_account_t *account, units_t n)
{
    for (; account != NULL; account = account->eai_parent) {
        units_t *sum = &shadow[account - nodes];
        *sum += n;
        if (*sum > account->eai_max) wrong = "more is charged than max";
    }
}

static void charge_for(actor_t *level, ea_account_t *account, units_t n)
{
    if (level->n_held == MAX_HELD || do_charge(account, n) != EA_OK) return;
    count(account, n);
    level->held[level->n_held++] = (held_t){account, n};
}

static void return_one(actor_t *level, unsigned which)
{
    if (level->n_held == 0) return;
    held_t held = level->held[which];
    for (unsigned i = which + 1; i < level->n_held; i++) level->held[i - 1] = level->held[i];
    level->n_held--;
    count(held.account, 0 - held.n);
    if (do_return(held.account, held.n) != EA_OK) wrong = "a return refused";
}

static void hand_over(actor_t *level)
{
#ifndef OBVIOUS
    if (level->n_held == 0) return;
    held_t *held = &level->held[0];
    ea_account_t *to = held->account == leaf ? other : leaf;
    count(held->account, 0 - held->n); /* from when on it counts there no more is not known */
    ea_status_t status = ea_account_transfer(held->account, to, held->n, NULL);
    if (status == EA_ERR_INVALID) wrong = "a transfer refused as invalid";
    if (status == EA_OK) held->account = to;
    count(held->account, held->n);
#else
    (void)level;
#endif
}

/* To another value and back. Only one context may. */
static void change_min(const actor_t *level)
{
#ifndef OBVIOUS
    if (level != &levels[1]) return;
    ea_account_limits_t limits = {leaf->eai_floor, 0, 0, leaf->eai_max};
    ea_account_limits_t changed = limits;
    changed.min += 2;
    if (changed.min <= limits.max && ea_account_set_limits(leaf, &changed) == EA_OK &&
        ea_account_set_limits(leaf, &limits) != EA_OK) {
        wrong = "a lower min refused";
    }
#else
    (void)level;
#endif
}

static void run_program(actor_t *level)
{
    for (unsigned i = 0; i < level->program.n_ops && wrong == NULL; i++) {
        switch (level->program.ops[i]) {
        case CHARGE_MORE: charge_for(level, leaf, 4); break;
        case CHARGE_LESS: charge_for(level, leaf, 1); break;
        case CHARGE_OTHER: charge_for(level, other, 3); break;
        case RETURN_OLDEST: return_one(level, 0); break;
        case HAND_OVER: hand_over(level); break;
        case CHANGE_MIN: change_min(level); break;
        default: return_one(level, level->n_held - 1); break;
        }
    }
}

void preempt_hook(void)
{
    if (current >= MAX_LEVELS || preempt_masked) return;
    actor_t *level = &levels[current];
    if (level->step++ != level->interrupt || current + 1 >= n_levels || wrong != NULL) return;
    preempt_monitor = false; /* as taking an exception does */
    current++;
    run_program(&levels[current]);
    current--;
    preempt_monitor = false; /* and returning from it */
}

/* --- one run ---------------------------------------------------------------------------------- */

static ea_account_t *make(ea_account_t *parent, units_t min, units_t max, units_t batch)
{
    const ea_account_options_t options = {NULL, {min, 0, 0, max}, batch, 0};
    return ea_account_create(&book, parent, &options);
}

static void start(const shape_t *shape, unsigned prelude)
{
    const ea_account_limits_t limits = {0, 0, 0, shape->root_max};
    wrong = ea_accounts_init(&book, nodes, 4, &limits) == EA_OK ? NULL : "init";
    root = ea_accounts_root(&book);
    top = make(root, shape->top_min, shape->top_max, 0);
    leaf = make(top, shape->leaf_min, shape->leaf_max, shape->leaf_batch);
    other = make(root, 0, 0, shape->other_batch);
    if (leaf == NULL || other == NULL) wrong = "create";
    memset(shadow, 0, sizeof shadow);
#ifdef OBVIOUS
    for (int i = 0; i < 4; i++) nodes[i].eai_credit = 0;
    top->eai_floor = 0; /* one guarantee is enough to break it */
    root->eai_credit = shape->leaf_min;
#endif
    /* The last level holds what was there before; the thread and its interrupts may not touch
     * it. */
    for (unsigned i = 0; i < 2 * prelude; i++) charge_for(&levels[0], leaf, 4);
    if (prelude == 2) charge_for(&levels[0], other, 3);
}

static void verify_numbers(void)
{
#ifdef OBVIOUS
    /* What the root counts is what others use and what the leaf uses, at least its min. */
    units_t use = leaf->eai_credit < leaf->eai_floor ? leaf->eai_floor : leaf->eai_credit;
    if (root->eai_credit != use + other->eai_credit) wrong = "a guarantee is lost";
#else
    ea_accounts_fault_t fault;
    if (ea_accounts_check(&book, &fault) != EA_OK) wrong = fault.invariant;
    for (unsigned i = 0; i < 4 && wrong == NULL; i++) {
        ea_account_stats_t stats;
        ea_account_stats(&nodes[i], &stats);
        if (stats.used != shadow[i]) wrong = "what is charged is not what is held";
    }
#endif
}

/* All that is promised can be had, one after the other. */
static void verify_promises(const shape_t *shape)
{
#ifndef OBVIOUS
    for (unsigned l = 0; l < MAX_LEVELS; l++) {
        while (levels[l].n_held > 0) return_one(&levels[l], 0);
    }
    if (wrong != NULL) return;
    if (ea_account_charge(leaf, shape->leaf_min, NULL) != EA_OK) wrong = "a guarantee is lost";
    (void)ea_account_return(leaf, shape->leaf_min);
    units_t kept = shape->top_min > shape->leaf_min ? shape->top_min : shape->leaf_min;
    if (ea_account_charge(other, shape->root_max - kept, NULL) != EA_OK) wrong = "units are lost";
    if (ea_account_charge(other, 1, NULL) != EA_ERR_LIMIT) wrong = "units from nowhere";
    if (ea_accounts_check(&book, NULL) != EA_OK) wrong = "the tree is not sound at the end";
#else
    (void)shape;
#endif
}

/* Returns the number of steps of the deepest level that can be interrupted. */
static unsigned run_once(const shape_t *shape, unsigned prelude)
{
    for (unsigned l = 0; l < MAX_LEVELS; l++) levels[l].n_held = levels[l].step = 0;
    current = MAX_LEVELS; /* no interrupts yet */
    start(shape, prelude);
    current = 0;
    run_program(&levels[0]);
    unsigned steps = levels[n_levels - 2].step;
    current = MAX_LEVELS;
    if (wrong == NULL) verify_numbers();
    if (wrong == NULL) verify_promises(shape);
    return steps;
}

#ifndef EARLY
TEST(accounts_survive_an_interrupt_at_every_step, 0)
{
    n_levels = 2;
    for (unsigned s = 0; s < N_SHAPES * N_PRELUDES; s++) {
        levels[0].program.n_ops = 0;
        while (next_program(&levels[0].program, 2)) {
            levels[1].program.n_ops = 0;
            while (next_program(&levels[1].program, 3 - levels[0].program.n_ops)) {
                unsigned steps = 1;
                for (levels[0].interrupt = 0; levels[0].interrupt < steps; levels[0].interrupt++) {
                    steps = run_once(&shapes[s / N_PRELUDES], s % N_PRELUDES);
                    note_run();
                }
            }
        }
    }
    EXPECT(n_runs > 50000);
    expect_verdict();
}

#endif

/* Both interrupts at every step of what they interrupt. */
TEST(accounts_survive_an_interrupted_interrupt_at_every_step, 0)
{
    n_levels = 3;
    for (unsigned s = 0; s < N_SHAPES * N_PRELUDES; s++) {
        levels[0].program.n_ops = 0;
        while (next_program(&levels[0].program, 1)) {
            levels[1].program.n_ops = 0;
            while (next_program(&levels[1].program, 1)) {
                levels[2].program.n_ops = 0;
                while (next_program(&levels[2].program, 1)) {
                    for (levels[0].interrupt = 0; levels[0].interrupt < 24; levels[0].interrupt++) {
                        unsigned steps = 1;
                        levels[1].interrupt = 0;
                        for (; levels[1].interrupt < steps; levels[1].interrupt++) {
                            steps = run_once(&shapes[s / N_PRELUDES], s % N_PRELUDES);
                            note_run();
                        }
                    }
                }
            }
        }
    }
    EXPECT(n_runs > 50000);
    expect_verdict();
}

TEST_MAIN(
#ifndef EARLY /* it takes two interrupts to show it */
    &accounts_survive_an_interrupt_at_every_step,
#endif
    &accounts_survive_an_interrupted_interrupt_at_every_step)
