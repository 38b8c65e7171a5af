/* SPDX-License-Identifier: MIT
 *
 * The monitor interrupted at every step (rows C1, C2, C3, C7): short programs of acquire, release,
 * share, hand-over, cleanup and audit, interrupted by others before each atomic access of theirs,
 * in all combinations, and interrupts that are interrupted. The sources are compiled here with a
 * hook in every access. No object is ended twice or lost, no more live than the limit allows, nor
 * are live and idle ones together; no audit that comes in between finds anything, and afterwards
 * everything agrees with the slots.
 *
 * BROKEN: a compare-and-swap that does not compare; the test passes if that is found out.
 */
#include <string.h>

#include "monitor/monitor_internal.h"

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
#define N_QUEUE 2u
#define N_NODES 3u
#define ROOT_MAX 4u
#define N_OBJECTS 64u

typedef enum {
    ACQUIRE,
    ACQUIRE_LATER,
    ACQUIRE_AGAIN,
    ACQUIRE_SINGLE,
    RELEASE_OLDEST,
    RELEASE_SHARED,
    SHARE,
    HAND_OVER,
    CLEAN,
    AUDIT,
    N_KINDS
} op_t;

#include "programs.h"

typedef struct {
    program_t program;
    unsigned step;      /* accesses so far                                  */
    unsigned interrupt; /* the next level runs before the access of this no. */
    ea_resource_t held[MAX_HELD];
    unsigned n_held;
    unsigned n_common; /* references of the common one, which only their holder gives up */
} actor_t;

bool preempt_monitor, preempt_masked;
uintptr_t preempt_keep_bits = UINTPTR_MAX;

static ea_account_t nodes[N_NODES];
static ea_accounts_t book;
static ea_account_t single_node[1]; /* of a type of which one may be */
static ea_accounts_t single_book;
static unsigned n_singles; /* live, idle, or being handed out */
static ea_account_t *leaf, *other;
static ea_monitor_t monitor;
static _Alignas(64) unsigned char memory[EA_MONITOR_BYTES(N_SLOTS, 4, N_NODES + 1, 2, N_QUEUE, 3)];
static ea_resource_t common; /* each level holds a reference of it */
static unsigned n_common;    /* of all levels */
static bool exists[N_OBJECTS];
static unsigned n_objects, n_live;
static actor_t levels[MAX_LEVELS];
static unsigned n_levels, current;

static void end_object(void *context, uintptr_t object)
{
    (void)context;
    if (object >= N_OBJECTS || !exists[object]) {
        wrong = "an object is ended that does not exist";
    } else {
        exists[object] = false;
    }
}

static ea_status_t make_single(void *context, const ea_resource_request_t *request,
                               uintptr_t *object)
{
    (void)context;
    *object = request->object;
    if (++n_singles > 1) wrong = "live and idle ones are more than the limit";
    return EA_OK;
}

static void end_single(void *context, uintptr_t object)
{
    n_singles--;
    end_object(context, object);
}

static const ea_resource_type_t types[4] = {
    {.book = &book, .destroy = end_object},
    {.book = &book, .destroy = end_object, .strategy = EA_RELEASE_QUEUED},
    {.book = &book, .destroy = end_object, .max_idle = 2},
    {.book = &single_book, .create = make_single, .destroy = end_single, .max_idle = 1},
};

/* --- programs --------------------------------------------------------------------------------- */

static void acquire(actor_t *level, uint8_t type, ea_account_t *account)
{
    if (level->n_held == MAX_HELD || n_objects == N_OBJECTS) return;
    uintptr_t object = n_objects++;
    ea_resource_t resource;
    const ea_resource_request_t request = {.account = account, .object = object, .type = type};
    exists[object] = true;
    ea_status_t status = ea_monitor_acquire(&monitor, &request, &resource);
    if (status != EA_OK) {
        exists[object] = false;
        if (status != EA_ERR_LIMIT && status != EA_ERR_NO_MEMORY) wrong = "refused";
        return;
    }
    uintptr_t got;
    if (ea_monitor_object(&monitor, resource, type, &got) != EA_OK) wrong = "what is held is not";
    if (wrong == NULL && got != object) exists[object] = false; /* an idle one is used instead */
    if (type != 3 && ++n_live > ROOT_MAX) wrong = "more live than the limit";
    level->held[level->n_held++] = resource;
}

static void release(actor_t *level)
{
    if (level->n_held == 0) return;
    ea_resource_t resource = level->held[--level->n_held];
    if (ea_resource_type(resource) != 3) n_live--;
    if (ea_monitor_release(&monitor, resource) != EA_OK) wrong = "a release is refused";
}

static void release_common(actor_t *level)
{
    if (level->n_common == 0) return;
    level->n_common--;
    if (--n_common == 0) n_live--;
    if (ea_monitor_release(&monitor, common) != EA_OK) wrong = "a release is refused";
}

static void share_common(actor_t *level)
{
    if (level->n_common == 0) return;
    if (ea_monitor_share(&monitor, common) != EA_OK) wrong = "a live one is not shared";
    level->n_common++;
    n_common++;
}

static void hand_over(const actor_t *level)
{
    if (level->n_common == 0) return;
    ea_status_t status = ea_monitor_transfer(&monitor, common, other);
    if (status != EA_OK && status != EA_ERR_BUSY && status != EA_ERR_LIMIT) {
        wrong = "a live one is not handed over";
    }
}

static void audit(void)
{
    ea_audit_report_t report;
    ea_status_t status = ea_monitor_audit(&monitor, EA_AUDIT_REPAIR, 1000, &report);
    if (status == EA_OK && report.n_found > 0) wrong = "an audit finds what is not";
}

static void run_program(actor_t *level)
{
    for (unsigned i = 0; i < level->program.n_ops && wrong == NULL; i++) {
        switch (level->program.ops[i]) {
        case ACQUIRE: acquire(level, 0, leaf); break;
        case ACQUIRE_LATER: acquire(level, 1, other); break;
        case ACQUIRE_AGAIN: acquire(level, 2, leaf); break;
        case ACQUIRE_SINGLE: acquire(level, 3, single_node); break;
        case RELEASE_OLDEST: release(level); break;
        case RELEASE_SHARED: release_common(level); break;
        case SHARE: share_common(level); break;
        case HAND_OVER: hand_over(level); break;
        case CLEAN: (void)ea_monitor_cleanup(&monitor, 4); break;
        default: audit(); break;
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

/* One of each type but the last, the first shared; one idle, and without batches one of the last
 * type too. */
static void start(size_t batch)
{
    const ea_account_limits_t all = {.max = ROOT_MAX};
    const ea_monitor_options_t options = {
        .types = types, .n_types = 4, .n_slots = N_SLOTS, .n_stripes = 2, .n_queue = N_QUEUE};
    wrong = NULL;
    n_objects = n_live = n_common = n_singles = 0;
    memset(exists, 0, sizeof exists);
    if (ea_accounts_init(&book, nodes, N_NODES, &all) != EA_OK) wrong = "book";
    if (ea_accounts_init(&single_book, single_node, 1, &(ea_account_limits_t){.max = 1}) != EA_OK) {
        wrong = "book";
    }
    leaf = ea_account_create(&book, nodes, &(ea_account_options_t){.batch = batch});
    other = ea_account_create(&book, nodes, NULL);
    if (ea_monitor_init(&monitor, memory, sizeof memory, &options) != EA_OK) wrong = "init";
    actor_t *first = &levels[0];
    acquire(first, 0, leaf);
    common = first->held[--first->n_held];
    for (unsigned l = 0; l < MAX_LEVELS; l++) {
        if (l > 0 && ea_monitor_share(&monitor, common) != EA_OK) wrong = "share";
        levels[l].n_common = 1;
    }
    n_common = MAX_LEVELS;
    acquire(first, 2, leaf);
    release(first);
    if (batch == 0) {
        acquire(first, 3, single_node);
        release(first);
    }
    acquire(first, 1, leaf);
}

static void verify(void)
{
    ea_audit_report_t report;
    for (unsigned l = 0; l < MAX_LEVELS; l++) {
        while (levels[l].n_held > 0 && wrong == NULL) release(&levels[l]);
        while (levels[l].n_common > 0 && wrong == NULL) release_common(&levels[l]);
    }
    while (ea_monitor_cleanup(&monitor, 100) > 0) {
    }
    if (wrong != NULL) return;
    if (ea_monitor_audit(&monitor, EA_AUDIT_ALONE, 1000, &report) != EA_OK || report.n_found > 0) {
        wrong = "not everything agrees with the slots";
    }
    (void)ea_monitor_trim(&monitor, 100);
    ea_account_stats_t stats;
    ea_account_stats(nodes, &stats);
    if (stats.used != 0) wrong = "units are lost";
    for (unsigned i = 0; i < N_OBJECTS; i++) {
        if (exists[i]) wrong = "an object is lost";
    }
}

/* Returns the number of steps of the deepest level that can be interrupted. */
static unsigned run_once(size_t batch)
{
    for (unsigned l = 0; l < MAX_LEVELS; l++) levels[l].n_held = levels[l].step = 0;
    current = MAX_LEVELS; /* no interrupts yet */
    start(batch);
    current = 0;
    if (wrong == NULL) run_program(&levels[0]);
    unsigned steps = levels[n_levels - 2].step;
    current = MAX_LEVELS;
    if (wrong == NULL) verify();
    return steps;
}

TEST(monitor_survives_an_interrupt_at_every_step, 0)
{
    n_levels = 2;
    for (size_t batch = 0; batch < 3; batch += 2) {
        levels[0].program.n_ops = 0;
        while (next_program(&levels[0].program, batch == 0 ? 2 : 1)) {
            levels[1].program.n_ops = 0;
            while (next_program(&levels[1].program, levels[0].program.n_ops == 1 ? 2 : 1)) {
                unsigned steps = 1;
                for (levels[0].interrupt = 0; levels[0].interrupt < steps; levels[0].interrupt++) {
                    steps = run_once(batch);
                    note_run();
                }
            }
        }
    }
    EXPECT(n_runs > 20000);
    expect_verdict();
}

/* Both interrupts at every step of what they interrupt. */
TEST(monitor_survives_an_interrupted_interrupt, 0)
{
    n_levels = 3;
    levels[0].program.n_ops = 0;
    while (next_program(&levels[0].program, 1)) {
        levels[1].program.n_ops = 0;
        while (next_program(&levels[1].program, 1)) {
            levels[2].program.n_ops = 0;
            while (next_program(&levels[2].program, 1)) {
                for (levels[0].interrupt = 0; levels[0].interrupt < 60; levels[0].interrupt += 3) {
                    unsigned steps = 1;
                    levels[1].interrupt = levels[0].interrupt / 3 % 4;
                    for (; levels[1].interrupt < steps; levels[1].interrupt += 4) {
                        steps = run_once(0);
                        note_run();
                    }
                }
            }
        }
    }
    EXPECT(n_runs > 20000);
    expect_verdict();
}

TEST_MAIN(&monitor_survives_an_interrupt_at_every_step, &monitor_survives_an_interrupted_interrupt)
