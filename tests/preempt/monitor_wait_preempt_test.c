/* SPDX-License-Identifier: MIT
 *
 * Waiting for resources of a monitor, interrupted at every step (row C6): tasks that acquire,
 * release, wait, give up, cancel and change limits, interrupted before each atomic access and
 * around each masked section by another that does the same, while a third stands in line. The
 * sources are compiled here with a hook in every access and a port of the test's own. Wherever it
 * comes:
 *
 *   - a task never falls asleep, and a run never ends, while somebody who waits could be granted;
 *   - who is granted something has it, also in the moment its time ends, and has it once;
 *   - no more is granted than there is, nothing is lost, nobody is left in the line.
 *
 * BROKEN: the word that an interrupt leaves for the one that serves is lost; the test passes if
 * that is found out.
 */
#include <string.h>

#include "monitor/monitor_line.h"

#ifdef BROKEN
#define FOUND_OUT 1
#else
#define FOUND_OUT 0
#endif
#include "verdict.h"

#define MAX_LEVELS 3u
#define MAX_OPS 2u
#define MAX_HELD 8u
#define N_SLOTS 6u
#define N_WAITING 3u
#define ROOT_MAX 4u
#define LEAF_MAX 3u

typedef enum {
    RELEASE,
    ACQUIRE,
    WAIT_ONE,
    WAIT_TWO,
    END_STANDING,
    CANCEL_ALL,
    CHANGE_LIMIT,
    N_KINDS
} op_t;

#include "programs.h"

typedef struct {
    program_t program;
    unsigned step;      /* accesses so far                                  */
    unsigned interrupt; /* the next level runs before the access of this no. */
    ea_resource_t held[MAX_HELD];
    unsigned n_held;
} actor_t;

bool preempt_monitor, preempt_masked;
uintptr_t preempt_keep_bits = UINTPTR_MAX;

static ea_account_t nodes[3];
static ea_accounts_t book;
static ea_account_t *leaf, *other;
static const ea_resource_type_t types[2] = {{.book = &book},
                                            {.book = &book, .strategy = EA_RELEASE_UNCONTENDED}};
static ea_monitor_t monitor;
static _Alignas(64) unsigned char memory[EA_MONITOR_BYTES(N_SLOTS, 2, 3, 1, 2, 0)];
static _Alignas(8) unsigned char line_memory[EA_MONITOR_WAIT_BYTES(N_WAITING, 2, 2)];
static actor_t levels[MAX_LEVELS];
static unsigned n_levels, current;
static unsigned n_live; /* units, by those who hold them */
static ea_monitor_wait_t standing;
static ea_resource_request_t standing_requests[2];
static bool does_stand;
static size_t leaf_max;

/* --- the port --------------------------------------------------------------------------------- */

/* Whether somebody in line could be granted something, while nobody is at it. */
static bool is_neglected(void)
{
    unsigned was = current;
    size_t before = monitor.eai_line->stats.n_granted;
    current = MAX_LEVELS; /* no interrupts */
    if (!monitor.eai_line->is_serving) ea_monitor_serve(&monitor);
    current = was;
    return monitor.eai_line->stats.n_granted != before;
}

/* One that is interrupted may be about to serve. */
static void look_asleep(void)
{
    if (current == 0 && is_neglected()) wrong = "asleep beside what it could have";
}

#include "waiting_port.h"

/* --- programs --------------------------------------------------------------------------------- */

static void hold(actor_t *level, ea_resource_t resource)
{
    ea_resource_info_t info;
    if (ea_monitor_info(&monitor, resource, &info) != EA_OK)
        wrong = "what was granted is not there";
    n_live += wrong == NULL ? (unsigned)info.units : 0;
    if (n_live > ROOT_MAX) wrong = "more granted than there is";
    level->held[level->n_held++] = resource;
}

static void release(actor_t *level)
{
    ea_resource_info_t info;
    if (level->n_held == 0) return;
    ea_resource_t resource = level->held[--level->n_held];
    if (ea_monitor_info(&monitor, resource, &info) != EA_OK) wrong = "what is held is not there";
    n_live -= wrong == NULL ? (unsigned)info.units : 0;
    if (ea_monitor_release(&monitor, resource) != EA_OK) wrong = "a release is refused";
}

static void acquire(actor_t *level)
{
    ea_resource_t resource;
    const ea_resource_request_t request = {.account = other, .units = 1};
    if (level->n_held == MAX_HELD) return;
    ea_status_t status = ea_monitor_acquire(&monitor, &request, &resource);
    if (status == EA_OK) hold(level, resource);
    if (status != EA_OK && status != EA_ERR_LIMIT && status != EA_ERR_BUSY &&
        status != EA_ERR_NO_MEMORY) {
        wrong = "refused";
    }
}

static void wait_for(actor_t *level, size_t n)
{
    ea_resource_t got[2];
    const ea_resource_request_t requests[2] = {{.account = other, .units = n == 1 ? 2 : 1},
                                               {.account = leaf, .units = 1, .type = 1}};
    if (level->n_held + n > MAX_HELD) return;
    ea_status_t status =
        ea_monitor_acquire_wait(&monitor, requests, n, &(ea_wait_options_t){.timeout_us = 1}, got);
    if (status == EA_OK) {
        for (size_t i = 0; i < n; i++) hold(level, got[i]);
    } else if (status != EA_ERR_TIMEOUT && status != EA_ERR_CANCELLED && status != EA_ERR_BUSY &&
               status != EA_ERR_TOO_LARGE) {
        wrong = "a wait is refused";
    }
}

/* The task that stands in line goes on: its time is over, or it was granted. */
static void end_standing(actor_t *level)
{
    ea_resource_t got[2];
    if (!does_stand || level->n_held + 2 > MAX_HELD) return;
    does_stand = false;
    if (ea_monitor_wait_end(&standing, 0, got) != EA_OK) return;
    hold(level, got[0]);
    hold(level, got[1]);
}

static void change_limit(void)
{
    leaf_max = LEAF_MAX + 1 - leaf_max;
    if (ea_account_set_limits(leaf, &(ea_account_limits_t){.max = leaf_max}) != EA_OK) {
        wrong = "a limit is refused";
    }
}

static void run_program(actor_t *level)
{
    for (unsigned i = 0; i < level->program.n_ops && wrong == NULL; i++) {
        switch (level->program.ops[i]) {
        case RELEASE: release(level); break;
        case ACQUIRE: acquire(level); break;
        case WAIT_ONE: wait_for(level, 1); break;
        case WAIT_TWO: wait_for(level, 2); break;
        case END_STANDING: end_standing(level); break;
        case CANCEL_ALL: (void)ea_monitor_cancel(&monitor, 0); break;
        default: change_limit(); break;
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
    if (FOUND_OUT) monitor.eai_line->is_called = false;
}

/* --- one run ---------------------------------------------------------------------------------- */

/* Both hold something, nothing is left, and one stands in line for two. */
static void start(uint32_t passings, size_t batch)
{
    const ea_account_limits_t all = {.max = ROOT_MAX};
    const ea_monitor_options_t options = {
        .types = types, .n_types = 2, .n_slots = N_SLOTS, .n_queue = 2};
    const ea_monitor_line_options_t line = {
        .max_waiting = N_WAITING, .max_together = 2, .max_passings = passings};
    wrong = NULL;
    n_live = 0;
    leaf_max = LEAF_MAX;
    if (ea_accounts_init(&book, nodes, 3, &all) != EA_OK) wrong = "book";
    leaf = ea_account_create(&book, nodes,
                             &(ea_account_options_t){.limits = {.max = LEAF_MAX}, .batch = batch});
    other = ea_account_create(&book, nodes, &(ea_account_options_t){.batch = batch});
    if (ea_monitor_init(&monitor, memory, sizeof memory, &options) != EA_OK ||
        ea_monitor_wait_init(&monitor, line_memory, sizeof line_memory, &line) != EA_OK) {
        wrong = "init";
    }
    for (unsigned i = 0; i < 2; i++) {
        acquire(&levels[0]);
        acquire(&levels[1]);
    }
    standing_requests[0] = (ea_resource_request_t){.account = leaf, .units = 1};
    standing_requests[1] = (ea_resource_request_t){.account = leaf, .units = 1, .type = 1};
    if (ea_monitor_wait_begin(&standing, &monitor, standing_requests, 2, NULL) != EA_OK) {
        wrong = "begin";
    }
    does_stand = true;
}

static void verify(void)
{
    ea_audit_report_t report;
    if (is_neglected()) wrong = "somebody left beside what it could have";
    end_standing(&levels[2]);
    for (unsigned l = 0; l < MAX_LEVELS; l++) {
        while (levels[l].n_held > 0 && wrong == NULL) release(&levels[l]);
    }
    (void)ea_monitor_cleanup(&monitor, 10);
    if (wrong != NULL) return;
    if (monitor.eai_line->stats.n_waiting != 0 || book.eai_n_waiting != 0) {
        wrong = "somebody left in the line";
    }
    ea_account_stats_t stats;
    ea_account_stats(nodes, &stats);
    if (stats.used != 0) wrong = "units are lost";
    if (ea_monitor_audit(&monitor, EA_AUDIT_ALONE, 1000, &report) != EA_OK || report.n_found > 0) {
        wrong = "not everything agrees with the slots";
    }
}

/* Returns the number of steps of the deepest level that can be interrupted. */
static unsigned run_once(uint32_t passings, size_t batch)
{
    for (unsigned l = 0; l < MAX_LEVELS; l++) levels[l].n_held = levels[l].step = 0;
    current = MAX_LEVELS; /* no interrupts yet */
    start(passings, batch);
    current = 0;
    if (wrong == NULL) run_program(&levels[0]);
    unsigned steps = levels[n_levels - 2].step;
    current = MAX_LEVELS;
    if (wrong == NULL) verify();
    return steps;
}

TEST(monitor_wait_survives_an_interrupt_at_every_step, 0)
{
    n_levels = 2;
    for (unsigned variant = 0; variant < 3; variant++) { /* passings, or a batch */
        levels[0].program.n_ops = 0;
        while (next_program(&levels[0].program, variant < 2 ? 2 : 1)) {
            levels[1].program.n_ops = 0;
            while (next_program(&levels[1].program, levels[0].program.n_ops == 1 ? 2 : 1)) {
                unsigned steps = 1;
                for (levels[0].interrupt = 0; levels[0].interrupt < steps; levels[0].interrupt++) {
                    steps = run_once(variant == 1 ? 1 : 0, variant == 2 ? 2 : 0);
                    note_run();
                }
            }
        }
    }
    EXPECT(n_runs > 20000);
    expect_verdict();
}

/* Both interrupts at every fifth step of what they interrupt. */
TEST(monitor_wait_survives_an_interrupted_interrupt, 0)
{
    n_levels = 3;
    levels[0].program.n_ops = 0;
    while (next_program(&levels[0].program, 1)) {
        levels[1].program.n_ops = 0;
        while (next_program(&levels[1].program, 1)) {
            levels[2].program.n_ops = 0;
            while (next_program(&levels[2].program, 1)) {
                for (levels[0].interrupt = 0; levels[0].interrupt < 240; levels[0].interrupt += 5) {
                    unsigned steps = 1;
                    levels[1].interrupt = levels[0].interrupt / 5 % 5;
                    for (; levels[1].interrupt < steps; levels[1].interrupt += 5) {
                        steps = run_once(0, 0);
                        note_run();
                    }
                }
            }
        }
    }
    EXPECT(n_runs > 20000);
    expect_verdict();
}

TEST_MAIN(&monitor_wait_survives_an_interrupt_at_every_step,
          &monitor_wait_survives_an_interrupted_interrupt)
