/* SPDX-License-Identifier: MIT
 *
 * Those who wait for resources of a monitor (row C6), against two trivial references: one that says
 * exactly who must have been granted after each step, and progressive filling, which says what
 * share each claimant should have where all want more than there is. `monitor_wait_model_test
 * operations=N seed=N`; figures are notes.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/monitor_wait.h"
#include "tap.h"

#define N_TYPES 3u
#define MOST_CLAIMANTS 16u
#define MOST_TASKS 1024u
#define MOST_LINE 64u
#define N_SLOTS 2048u
#define TOGETHER 3u

static ea_account_t nodes[N_TYPES][1 + MOST_CLAIMANTS];
static ea_accounts_t books[N_TYPES];
static const ea_resource_type_t types[N_TYPES] = {
    {.book = &books[0]}, {.book = &books[1]}, {.book = &books[2]}};
static ea_account_t *leaves[MOST_CLAIMANTS][N_TYPES];
static ea_account_t *const *leaves_of[MOST_CLAIMANTS];
static ea_claimant_t claimants[MOST_CLAIMANTS];
static ea_monitor_t monitor;
static _Alignas(64) unsigned char memory[EA_MONITOR_BYTES(N_SLOTS, N_TYPES,
                                                          N_TYPES *(1 + MOST_CLAIMANTS), 1, 0, 0)];
static _Alignas(8) unsigned char line_memory[EA_MONITOR_WAIT_BYTES(MOST_LINE, TOGETHER, N_TYPES)];
static uint32_t random_state;

static unsigned draw(unsigned n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 10) % n;
}

/* --- a port for one context, whose masked sections cost nothing ------------------------------- */

ea_port_irq_t ea_port_irq_mask(void)
{
    return (ea_port_irq_t){0};
}

void ea_port_irq_restore(ea_port_irq_t state)
{
    (void)state;
}

void ea_port_waiter_init(ea_port_waiter_t *waiter)
{
    waiter->eai_words[0] = 0;
}

void ea_port_waiter_deinit(ea_port_waiter_t *waiter)
{
    (void)waiter;
}

bool ea_port_wait(ea_port_waiter_t *waiter, uint64_t timeout_us)
{
    (void)timeout_us;
    return waiter->eai_words[0] != 0;
}

void ea_port_wake(ea_port_waiter_t *waiter)
{
    waiter->eai_words[0] = 1;
}

uint32_t ea_port_task_priority(void)
{
    return 0;
}

uint64_t ea_port_time_us(void)
{
    return 0;
}

uint64_t ea_port_time_coarse_us(void)
{
    return 0;
}

void ea_port_panic(const char *reason)
{
    (void)reason;
    abort();
}

/* leaf_max 0: none. */
static bool start(unsigned n_claimants, const size_t *capacity, size_t leaf_max, size_t max_waiting,
                  uint32_t patience, uint32_t passings, const uint16_t *weights)
{
    const ea_monitor_options_t options = {.types = types, .n_types = N_TYPES, .n_slots = N_SLOTS};
    const ea_monitor_line_options_t line = {.max_waiting = max_waiting,
                                            .max_together = TOGETHER,
                                            .patience_grants = patience,
                                            .max_passings = passings};
    for (unsigned t = 0; t < N_TYPES; t++) {
        const ea_account_limits_t all = {.max = capacity[t]};
        if (ea_accounts_init(&books[t], nodes[t], 1 + n_claimants, &all) != EA_OK) return false;
        for (unsigned i = 0; i < n_claimants; i++) {
            leaves[i][t] = ea_account_create(
                &books[t], nodes[t],
                &(ea_account_options_t){.limits = {.max = i % 3 == 0 ? leaf_max : 0}});
        }
    }
    for (unsigned i = 0; i < n_claimants; i++) {
        leaves_of[i] = leaves[i];
        claimants[i] = (ea_claimant_t){.accounts = leaves_of[i],
                                       .n_accounts = N_TYPES,
                                       .weight = weights == NULL ? 1 : weights[i]};
    }
    return ea_monitor_init(&monitor, memory, sizeof memory, &options) == EA_OK &&
           ea_monitor_wait_init(&monitor, line_memory, sizeof line_memory, &line) == EA_OK;
}

static void expect_clean(void)
{
    ea_audit_report_t report;
    EXPECT_EQ(ea_monitor_audit(&monitor, EA_AUDIT_ALONE, SIZE_MAX, &report), EA_OK);
    EXPECT_EQ(report.n_found, 0);
    for (unsigned t = 0; t < N_TYPES; t++) {
        EXPECT_EQ(ea_account_committed(nodes[t]), 0);
        EXPECT_EQ(books[t].eai_n_waiting, 0);
    }
}

/* --- exactly ---------------------------------------------------------------------------------- */

#define N_JOBS 40u
#define N_WHO 6u
#define LINE_MAX 10u
#define CAPACITY 256u /* a power of two: shares are exact */
#define LEAF_MAX 96u

typedef enum { UNUSED, WAITING, GRANTED, HELD } stage_t;

/* One job, as the reference sees it. */
typedef struct {
    stage_t stage;
    unsigned who, n_passed, since, ticket, class_;
    size_t units[N_TYPES];                   /* 0: none of this type */
    bool by_leaf[N_TYPES], by_root[N_TYPES]; /* what refused it */
    bool is_tried;
    bool is_closed; /* in this round: what it was refused by is kept */
    ea_monitor_wait_t wait;
    ea_resource_request_t requests[N_TYPES];
    ea_resource_t got[N_TYPES];
    size_t n;
} job_t;

static job_t jobs[N_JOBS];
static size_t used[N_WHO][N_TYPES], in_use[N_TYPES];
static unsigned n_grants, n_tickets, patience_now, passings_now;
static const uint16_t weights_now[N_WHO] = {1, 2, 1, 3, 1, 1};

static size_t leaf_limit(unsigned who)
{
    return who % 3 == 0 ? LEAF_MAX : SIZE_MAX;
}

/* With half of what it asks for. */
static size_t dominant(const job_t *job)
{
    size_t most = 0;
    for (unsigned t = 0; t < N_TYPES; t++) {
        size_t half = job->units[t] / 2, most_half = CAPACITY / 128;
        size_t share = used[job->who][t] + (half < most_half ? half : most_half);
        most = share > most ? share : most;
    }
    return most;
}

static bool is_overdue(const job_t *job)
{
    return n_grants - job->since >= patience_now * (EA_MONITOR_CLASSES - job->class_);
}

static bool comes_before(const job_t *a, const job_t *b)
{
    if (is_overdue(a) != is_overdue(b)) return is_overdue(a);
    if (!is_overdue(a)) {
        if (a->class_ != b->class_) return a->class_ > b->class_;
        size_t share_a = dominant(a) * weights_now[b->who],
               share_b = dominant(b) * weights_now[a->who];
        if (share_a != share_b) return share_a < share_b;
    }
    return a->ticket < b->ticket;
}

/* Whether a grant to job takes from what other was refused by. */
static bool takes_what_refused(const job_t *job, const job_t *other)
{
    for (unsigned t = 0; t < N_TYPES; t++) {
        if (job->units[t] == 0) continue;
        if (other->by_root[t] || (other->by_leaf[t] && job->who == other->who)) return true;
    }
    return false;
}

static bool try_job(job_t *job)
{
    bool all = true, is_exhausted = job->n_passed >= passings_now;
    for (unsigned t = 0; t < N_TYPES; t++) {
        bool leaf = used[job->who][t] + job->units[t] > leaf_limit(job->who);
        bool root = !leaf && in_use[t] + job->units[t] > CAPACITY;
        leaf = leaf && job->units[t] > 0;
        root = root && job->units[t] > 0;
        all = all && !leaf && !root;
        if (!leaf && !root && is_exhausted) continue; /* as before */
        job->by_leaf[t] = leaf;
        job->by_root[t] = root;
    }
    return all;
}

static void grant_job(job_t *job)
{
    n_grants++;
    job->stage = GRANTED;
    for (unsigned t = 0; t < N_TYPES; t++) {
        used[job->who][t] += job->units[t];
        in_use[t] += job->units[t];
    }
    for (unsigned i = 0; i < N_JOBS; i++) {
        job_t *other = &jobs[i];
        if (other->stage != WAITING) continue;
        if (other->who == job->who && other->class_ == job->class_ && other->ticket > job->ticket) {
            other->since = n_grants;
        }
        if (other->is_tried && takes_what_refused(job, other)) {
            other->is_closed = ++other->n_passed >= passings_now;
        }
    }
}

/* Those that must be granted are. */
static void serve_all(void)
{
    for (unsigned i = 0; i < N_JOBS; i++) jobs[i].is_tried = jobs[i].is_closed = false;
    for (;;) {
        job_t *best = NULL;
        for (unsigned i = 0; i < N_JOBS; i++) {
            job_t *job = &jobs[i];
            if (job->stage != WAITING || job->is_tried) continue;
            bool is_behind = false;
            for (unsigned k = 0; k < N_JOBS; k++) {
                is_behind |= jobs[k].is_closed && takes_what_refused(job, &jobs[k]);
            }
            if (is_behind) {
                job->is_tried = true;
                continue;
            }
            if (best == NULL || comes_before(job, best)) best = job;
        }
        if (best == NULL) return;
        best->is_tried = true;
        if (try_job(best)) {
            grant_job(best);
        } else if (best->n_passed >= passings_now) {
            best->is_closed = true;
        }
    }
}

static void compare(void)
{
    for (unsigned i = 0; i < N_JOBS; i++) {
        const job_t *job = &jobs[i];
        if (job->stage != WAITING && job->stage != GRANTED) continue;
        EXPECT_EQ(ea_monitor_wait_is_over(&job->wait), job->stage == GRANTED);
    }
    for (unsigned who = 0; who < N_WHO; who++) {
        for (unsigned t = 0; t < N_TYPES; t++) {
            EXPECT_EQ(ea_account_committed(leaves[who][t]), used[who][t]);
        }
    }
}

static unsigned n_waiting(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < N_JOBS; i++) {
        n += jobs[i].stage == WAITING || jobs[i].stage == GRANTED;
    }
    return n;
}

static void begin_job(job_t *job)
{
    memset(job, 0, sizeof *job);
    job->who = draw(N_WHO);
    job->class_ = draw(10) == 0 ? draw(EA_MONITOR_CLASSES) : 1;
    for (unsigned t = 0; t < N_TYPES; t++) {
        if (draw(3) == 0 && (t < 2 || job->n > 0)) continue;
        job->units[t] = draw(20) == 0 ? 1 + draw(LEAF_MAX) : 1 + draw(16);
        job->requests[job->n++] = (ea_resource_request_t){
            .account = leaves[job->who][t], .type = (uint8_t)t, .units = job->units[t]};
    }
    if (job->n == 0) return;
    bool is_full = n_waiting() == LINE_MAX;
    ea_status_t status = ea_monitor_wait_begin(
        &job->wait, &monitor, job->requests, job->n,
        &(ea_wait_options_t){.claimant = &claimants[job->who], .priority = (uint8_t)job->class_});
    EXPECT_EQ(status, is_full ? EA_ERR_BUSY : EA_OK);
    if (status != EA_OK) return;
    job->stage = WAITING;
    job->ticket = ++n_tickets;
    job->since = n_grants;
    serve_all();
}

/* Take the grant, give up, or release. */
static void go_on_with(job_t *job)
{
    if (job->stage == GRANTED) {
        EXPECT_EQ(ea_monitor_wait_end(&job->wait, 0, job->got), EA_OK);
        job->stage = HELD;
    } else if (job->stage == WAITING && draw(8) == 0) {
        EXPECT_EQ(ea_monitor_wait_end(&job->wait, 0, job->got), EA_ERR_TIMEOUT);
        job->stage = UNUSED;
        serve_all();
    } else if (job->stage == HELD) {
        job->stage = UNUSED;
        size_t i = 0;
        for (unsigned t = 0; t < N_TYPES; t++) {
            if (job->units[t] == 0) continue;
            used[job->who][t] -= job->units[t];
            in_use[t] -= job->units[t];
            EXPECT_EQ(ea_monitor_release(&monitor, job->got[i++]), EA_OK);
            serve_all();
        }
    }
}

/* At once, if nobody waits for it. */
static void newcomer(void)
{
    unsigned who = draw(N_WHO), t = draw(N_TYPES);
    size_t units = 1 + draw(16);
    const ea_resource_request_t request = {
        .account = leaves[who][t], .type = (uint8_t)t, .units = units};
    bool is_behind = false;
    for (unsigned i = 0; i < N_JOBS; i++) {
        const job_t *job = &jobs[i];
        is_behind |=
            job->stage == WAITING && (job->by_root[t] || (job->by_leaf[t] && job->who == who));
    }
    bool fits = used[who][t] + units <= leaf_limit(who) && in_use[t] + units <= CAPACITY;
    ea_resource_t got;
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &got), is_behind ? EA_ERR_BUSY
                                                            : fits    ? EA_OK
                                                                      : EA_ERR_LIMIT);
    if (!is_behind && !fits) serve_all(); /* it may have held something for a moment */
    if (is_behind || !fits) return;
    EXPECT_EQ(ea_monitor_release(&monitor, got), EA_OK);
    serve_all();
}

static void run_exactly(unsigned patience, unsigned passings, unsigned long n_operations)
{
    static const size_t capacity[N_TYPES] = {CAPACITY, CAPACITY, CAPACITY};
    memset(jobs, 0, sizeof jobs);
    memset(used, 0, sizeof used);
    memset(in_use, 0, sizeof in_use);
    n_grants = n_tickets = 0;
    patience_now = patience;
    passings_now = passings;
    REQUIRE(start(N_WHO, capacity, LEAF_MAX, LINE_MAX, patience, passings, weights_now));
    for (unsigned long i = 0; i < n_operations; i++) {
        job_t *job = &jobs[draw(N_JOBS)];
        if (job->stage == UNUSED) {
            begin_job(job);
        } else if (draw(3) != 0) {
            go_on_with(job);
        } else {
            newcomer();
        }
        compare();
    }
    ea_monitor_wait_stats_t stats;
    ea_monitor_wait_stats(&monitor, &stats);
    EXPECT_EQ(stats.n_granted, n_grants);
    for (unsigned i = 0; i < N_JOBS; i++) {
        while (jobs[i].stage != UNUSED) go_on_with(&jobs[i]);
    }
    expect_clean();
}

TEST(monitor_line_grants_exactly_what_a_reference_does, 0)
{
    random_state = (uint32_t)tap_arg("seed", 1);
    tap_note("seed", random_state);
    unsigned long n = tap_arg("operations", 20000);
    run_exactly(64, 0, n);
    run_exactly(64, 3, n);
    run_exactly(2, 0, n);
    run_exactly(3, 1, n);
}

/* --- progressive filling ---------------------------------------------------------------------- */

/* What one claimant does: runs as many tasks as it gets, each of so many units, at most demand of
 * them. */
typedef struct {
    size_t units[N_TYPES];
    unsigned demand;
    uint16_t weight; /* 0: 1 */
} profile_t;

typedef struct {
    unsigned who;
    bool is_waiting, is_held;
    ea_monitor_wait_t wait;
    ea_resource_request_t requests[N_TYPES];
    ea_resource_t got[N_TYPES];
    size_t n;
} run_t;

static run_t runs[MOST_TASKS];
static unsigned running[MOST_CLAIMANTS], lined_up[MOST_CLAIMANTS];

static double weight_of(const profile_t *profile)
{
    return profile->weight == 0 ? 1 : profile->weight;
}

/* Of one task: the dominant part of a capacity. */
static double share_of_task(const profile_t *profile, const size_t *capacity)
{
    double most = 0;
    for (unsigned t = 0; t < N_TYPES; t++) {
        most = fmax(most, (double)profile->units[t] / (double)capacity[t]);
    }
    return most;
}

/* Raise all dominant shares together, in proportion to weights, in small steps; who has all it
 * wants, or wants what is used up, stays where it is. */
static void fill(const profile_t *profiles, unsigned n, const size_t *capacity, double *share)
{
    double tasks[MOST_CLAIMANTS] = {0}, left[N_TYPES];
    bool goes_on = true;
    for (unsigned t = 0; t < N_TYPES; t++) left[t] = (double)capacity[t];
    while (goes_on) {
        goes_on = false;
        for (unsigned i = 0; i < n; i++) {
            double step = 1e-5 * weight_of(&profiles[i]) / share_of_task(&profiles[i], capacity);
            bool fits = tasks[i] + step <= profiles[i].demand;
            for (unsigned t = 0; t < N_TYPES; t++) {
                fits = fits && step * (double)profiles[i].units[t] <= left[t];
            }
            if (!fits) continue;
            for (unsigned t = 0; t < N_TYPES; t++) left[t] -= step * (double)profiles[i].units[t];
            tasks[i] += step;
            goes_on = true;
        }
    }
    for (unsigned i = 0; i < n; i++) share[i] = tasks[i] * share_of_task(&profiles[i], capacity);
}

/* Each claimant has n_ahead tasks in line as long as it wants more. */
static void line_up(const profile_t *profiles, unsigned n, unsigned n_ahead)
{
    for (unsigned i = 0; i < n; i++) {
        while (lined_up[i] < n_ahead && running[i] + lined_up[i] < profiles[i].demand) {
            run_t *run = runs;
            while (run->is_waiting || run->is_held) run++;
            run->who = i;
            run->n = 0;
            for (unsigned t = 0; t < N_TYPES; t++) {
                if (profiles[i].units[t] == 0) continue;
                run->requests[run->n++] = (ea_resource_request_t){
                    .account = leaves[i][t], .type = (uint8_t)t, .units = profiles[i].units[t]};
            }
            EXPECT_EQ(ea_monitor_wait_begin(&run->wait, &monitor, run->requests, run->n,
                                            &(ea_wait_options_t){.claimant = &claimants[i]}),
                      EA_OK);
            run->is_waiting = true;
            lined_up[i]++;
        }
    }
}

static void collect(void)
{
    for (unsigned i = 0; i < MOST_TASKS; i++) {
        run_t *run = &runs[i];
        if (!run->is_waiting || !ea_monitor_wait_is_over(&run->wait)) continue;
        EXPECT_EQ(ea_monitor_wait_end(&run->wait, 0, run->got), EA_OK);
        run->is_waiting = false;
        run->is_held = true;
        lined_up[run->who]--;
        running[run->who]++;
    }
}

static void finish(run_t *run)
{
    for (size_t i = 0; i < run->n; i++) EXPECT_EQ(ea_monitor_release(&monitor, run->got[i]), EA_OK);
    run->is_held = false;
    running[run->who]--;
}

static void end_all(void)
{
    for (unsigned i = 0; i < MOST_TASKS; i++) {
        run_t *run = &runs[i];
        if (run->is_waiting) {
            if (ea_monitor_wait_end(&run->wait, 0, run->got) != EA_OK) {
                lined_up[run->who]--;
            } else {
                running[run->who]++;
                lined_up[run->who]--;
                run->is_held = true;
            }
            run->is_waiting = false;
        }
        if (run->is_held) finish(run);
    }
    expect_clean();
}

/* Tasks end at random, one at a time. Returns the worst deviation of a claimant's average dominant
 * share from the reference, in permille of that. */
static long deviation(const profile_t *profiles, unsigned n, const size_t *capacity,
                      uint32_t passings, unsigned n_ahead)
{
    const unsigned n_warm = 2000, n_steps = 10000;
    uint16_t weights[MOST_CLAIMANTS];
    double should[MOST_CLAIMANTS], sum[MOST_CLAIMANTS] = {0};
    long worst = 0;
    for (unsigned i = 0; i < n; i++) weights[i] = profiles[i].weight;
    memset(running, 0, sizeof running);
    memset(lined_up, 0, sizeof lined_up);
    if (!start(n, capacity, 0, MOST_LINE, 256, passings, weights)) return 1000000;
    fill(profiles, n, capacity, should);
    line_up(profiles, n, n_ahead);
    for (unsigned step = 0; step < n_warm + n_steps; step++) {
        collect();
        line_up(profiles, n, n_ahead);
        collect();
        unsigned at = draw(MOST_TASKS);
        while (!runs[at].is_held) at = (at + 1) % MOST_TASKS;
        if (step >= n_warm) {
            for (unsigned i = 0; i < n; i++) {
                sum[i] += running[i] * share_of_task(&profiles[i], capacity);
            }
        }
        finish(&runs[at]);
    }
    for (unsigned i = 0; i < n; i++) {
        long permille = lround((sum[i] / n_steps / should[i] - 1) * 1000);
        if (labs(permille) > labs(worst)) worst = permille;
    }
    end_all();
    return worst;
}

#define MANY 1000000u /* more than there is */

static long note(const char *what, const profile_t *profiles, unsigned n, const size_t *capacity,
                 uint32_t passings, unsigned n_ahead)
{
    long worst = deviation(profiles, n, capacity, passings, n_ahead);
    tap_note(what, worst);
    return labs(worst);
}

/* One bottleneck, requests of at most 1 % of it: 5 % is what must be reached. */
TEST(monitor_line_shares_one_bottleneck_as_progressive_filling_does, 0)
{
    static const size_t capacity[N_TYPES] = {10000, 1000000, 1000000};
    static const profile_t equal[4] = {{{100, 0, 0}, MANY, 0},
                                       {{100, 0, 0}, MANY, 0},
                                       {{100, 0, 0}, MANY, 0},
                                       {{100, 0, 0}, MANY, 0}};
    static const profile_t sizes[8] = {{{100, 0, 0}, MANY, 0}, {{90, 0, 0}, MANY, 0},
                                       {{70, 0, 0}, MANY, 0},  {{50, 0, 0}, MANY, 0},
                                       {{33, 0, 0}, MANY, 0},  {{20, 0, 0}, MANY, 0},
                                       {{11, 0, 0}, MANY, 0},  {{10, 0, 0}, MANY, 0}};
    static const profile_t weights[5] = {{{100, 0, 0}, MANY, 1},
                                         {{70, 0, 0}, MANY, 2},
                                         {{40, 0, 0}, MANY, 3},
                                         {{90, 0, 0}, MANY, 4},
                                         {{20, 0, 0}, MANY, 2}};
    static const profile_t some_want_little[6] = {{{100, 0, 0}, MANY, 0}, {{50, 0, 0}, MANY, 0},
                                                  {{25, 0, 0}, MANY, 0},  {{100, 0, 0}, 5, 0},
                                                  {{30, 0, 0}, 20, 0},    {{80, 0, 0}, MANY, 0}};
    static const profile_t two_types[4] = {{{100, 5000, 0}, MANY, 0},
                                           {{60, 100, 0}, MANY, 0},
                                           {{30, 3000, 10}, MANY, 0},
                                           {{100, 0, 0}, MANY, 0}};
    profile_t many[MOST_CLAIMANTS];
    for (unsigned i = 0; i < MOST_CLAIMANTS; i++) {
        many[i] = (profile_t){{i % 2 == 0 ? 100 : 20, 0, 0}, MANY, 0};
    }
    random_state = (uint32_t)tap_arg("seed", 1);
    EXPECT(note("equal, permille", equal, 4, capacity, 0, 2) <= 50);
    EXPECT(note("of different sizes", sizes, 8, capacity, 0, 2) <= 50);
    EXPECT(note("the same, passed 4 times", sizes, 8, capacity, 4, 2) <= 50);
    EXPECT(note("with weights", weights, 5, capacity, 0, 2) <= 50);
    EXPECT(note("the same, 8 in line each", weights, 5, capacity, 0, 8) <= 50);
    EXPECT(note("some want little", some_want_little, 6, capacity, 0, 2) <= 50);
    EXPECT(note("other types beside", two_types, 4, capacity, 0, 2) <= 50);
    EXPECT(note("sixteen claimants", many, MOST_CLAIMANTS, capacity, 0, 2) <= 50);
}

/* Several types and bottlenecks; the first is that of the paper, a hundred times as large. */
TEST(monitor_line_shares_several_types_as_progressive_filling_does, 0)
{
    static const size_t paper_capacity[N_TYPES] = {900, 1800, 1000000};
    static const profile_t paper[2] = {{{1, 4, 0}, MANY, 0}, {{3, 1, 0}, MANY, 0}};
    static const size_t capacity[N_TYPES] = {10000, 10000, 10000};
    static const profile_t two_bottlenecks[4] = {{{100, 20, 0}, MANY, 0},
                                                 {{30, 90, 0}, MANY, 0},
                                                 {{0, 100, 10}, MANY, 0},
                                                 {{70, 0, 50}, MANY, 0}};
    static const profile_t apart[5] = {{{100, 0, 0}, MANY, 0},
                                       {{60, 0, 0}, MANY, 0},
                                       {{0, 80, 0}, MANY, 0},
                                       {{0, 30, 10}, MANY, 2},
                                       {{0, 0, 100}, MANY, 0}};
    random_state = (uint32_t)tap_arg("seed", 1);
    EXPECT(note("of the paper, permille", paper, 2, paper_capacity, 0, 2) <= 50);
    EXPECT(note("two bottlenecks", two_bottlenecks, 4, capacity, 0, 2) <= 100);
    EXPECT(note("the same, passed 4 times", two_bottlenecks, 4, capacity, 4, 2) <= 250);
    EXPECT(note("three bottlenecks", apart, 5, capacity, 0, 2) <= 50);
}

/* --- the longest wait ------------------------------------------------------------------------- */

#define BOUND_LINE 24u

/* All classes, all sizes, one bottleneck, never enough: no wait is longer than stated, counted by
 * its own claimant's that came before it. */
static void run_bound(unsigned patience, unsigned passings)
{
    static const size_t capacity[N_TYPES] = {100, 1000000, 1000000};
    static unsigned entered[MOST_TASKS], n_before[MOST_TASKS], class_of[MOST_TASKS];
    unsigned n_in_line = 0, granted = 0;
    long nearest[EA_MONITOR_CLASSES] = {0};
    REQUIRE(start(8, capacity, 0, BOUND_LINE, patience, passings, NULL));
    for (unsigned step = 0; step < 10000; step++) {
        while (n_in_line < BOUND_LINE) {
            unsigned at = 0;
            while (runs[at].is_waiting || runs[at].is_held) at++;
            run_t *run = &runs[at];
            run->who = draw(8);
            /* Mostly the highest, as mean as can be. */
            class_of[at] = draw(12) == 0 ? draw(EA_MONITOR_CLASSES) : EA_MONITOR_CLASSES - 1;
            run->n = 1;
            run->requests[0] = (ea_resource_request_t){.account = leaves[run->who][0],
                                                       .units = draw(30) == 0 ? 60 : 1 + draw(9)};
            n_before[at] = 0;
            for (unsigned i = 0; i < MOST_TASKS; i++) {
                n_before[at] +=
                    runs[i].is_waiting && runs[i].who == run->who && class_of[i] == class_of[at];
            }
            entered[at] = granted;
            run->is_waiting = true;
            n_in_line++;
            EXPECT_EQ(
                ea_monitor_wait_begin(&run->wait, &monitor, run->requests, 1,
                                      &(ea_wait_options_t){.claimant = &claimants[run->who],
                                                           .priority = (uint8_t)class_of[at]}),
                EA_OK);
            ea_monitor_wait_stats_t stats;
            ea_monitor_wait_stats(&monitor, &stats);
            granted = (unsigned)stats.n_granted;
        }
        unsigned at = draw(MOST_TASKS), n_looked = 0;
        while (!runs[at].is_held && n_looked++ < MOST_TASKS) at = (at + 1) % MOST_TASKS;
        if (runs[at].is_held) {
            running[runs[at].who]++;
            finish(&runs[at]);
        }
        ea_monitor_wait_stats_t stats;
        ea_monitor_wait_stats(&monitor, &stats);
        for (unsigned i = 0; i < MOST_TASKS; i++) {
            run_t *run = &runs[i];
            if (!run->is_waiting || !ea_monitor_wait_is_over(&run->wait)) continue;
            EXPECT_EQ(ea_monitor_wait_end(&run->wait, 0, run->got), EA_OK);
            run->is_waiting = false;
            run->is_held = true;
            n_in_line--;
            long waited = (long)(granted - entered[i]);
            long bound = (long)EA_MONITOR_GRANTS_MAX(class_of[i], n_before[i], patience, BOUND_LINE,
                                                     passings);
            EXPECT(waited <= bound);
            if (waited * 1000 / bound > nearest[class_of[i]]) {
                nearest[class_of[i]] = waited * 1000 / bound;
            }
        }
        granted = (unsigned)stats.n_granted;
    }
    ea_monitor_wait_stats_t stats;
    ea_monitor_wait_stats(&monitor, &stats);
    for (unsigned c = 0; c < EA_MONITOR_CLASSES; c++) {
        tap_note("class", c);
        tap_note("  longest wait, grants", stats.most_grants[c]);
        tap_note("  the one nearest to its bound, permille of it", nearest[c]);
    }
    memset(running, 0, sizeof running);
    for (unsigned i = 0; i < MOST_TASKS; i++) {
        if (runs[i].is_held) running[runs[i].who]++;
    }
    end_all();
}

TEST(monitor_line_lets_nobody_wait_longer_than_stated, 0)
{
    random_state = (uint32_t)tap_arg("seed", 1);
    run_bound(8, 0);
    run_bound(8, 5);
    run_bound(1, 2);
}

TEST_MAIN(&monitor_line_grants_exactly_what_a_reference_does,
          &monitor_line_shares_one_bottleneck_as_progressive_filling_does,
          &monitor_line_shares_several_types_as_progressive_filling_does,
          &monitor_line_lets_nobody_wait_longer_than_stated)
