/* SPDX-License-Identifier: MIT
 *
 * leak_sites: how well the leak detector tells sites that leak from those that do not. Each run is
 * a program of 30 sites over 30 simulated days, its blocks fed to the device's own code with a
 * simulated clock, which polls once a minute. Tuning seeds and test seeds are apart.
 *
 *     leak_sites [--runs N] [--tuning] [--json FILE] [--check] [--verbose]
 */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/leaks.h"

#define N_SITES 30
#define DAYS 30
#define MINUTES_PER_DAY 1440
#define MINUTES (DAYS * MINUTES_PER_DAY)
#define TICK_US 65536u
#define N_ROWS 64u
#define N_PLACES 32768u
#define MAX_BLOCKS (1 << 20)
#define NEVER (-1)

typedef enum {
    REQUEST,  /* lives for seconds or minutes                                     */
    SESSION,  /* for hours                                                        */
    STATIC,   /* comes at the start and stays                                     */
    WARM_UP,  /* grows for a day or two, then turns over slowly                   */
    CYCLE,    /* follows the load of the day and the week                         */
    BATCH,    /* gathers for hours or a day, then all goes                        */
    BURSTS,   /* many come at once and go over the next hours                     */
    LEVELS,   /* a number of long-lived ones that is now this, now that           */
    WANDER,   /* a population that wanders slowly                                 */
    TURNOVER, /* lives for days: becomes more until the first of them go          */
    CACHE,    /* fills in a quarter of a day to 20 days, then the oldest goes     */
    INTERN,   /* every new word stays; new ones become rarer                      */
    WEEKLY,   /* gathers for up to a week, then all goes                          */
    STEADY,   /* leaks now and then                                               */
    LATE,     /* begins to leak after days                                        */
    LOAD,     /* leaks as the load is                                             */
    ERRORS,   /* leaks in storms                                                  */
    SLOPPY,   /* of those that live for hours a few stay                          */
    N_KINDS
} kind_t;
#define FIRST_FILLING TURNOVER
#define FIRST_LEAK STEADY

static const char *const kind_names[N_KINDS] = {
    "request",  "session", "static", "warm-up", "cycle",  "batch", "bursts", "levels", "wander",
    "turnover", "cache",   "intern", "weekly",  "steady", "late",  "load",   "errors", "sloppy"};

typedef struct {
    kind_t kind, base; /* of a leak: what it does besides */
    double rate;       /* blocks a minute                 */
    double life;       /* minutes                         */
    double spread;
    double target; /* population; leaked blocks in all */
    double phase, period;
    double level, storm_until;
    int leaks_from;
    size_t size_bytes;
    int oldest, newest; /* a queue of blocks, linked by next */
    long n_held, n_leaked;
    /* What the detector said. */
    bool is_found, was_found;
    int found_at, n_episodes, n_early;
} site_t;

typedef struct {
    int next; /* in a bucket of deaths, or a site's queue, or the free ones */
    int site;
} block_t;

static site_t sites[N_SITES];
static block_t blocks[MAX_BLOCKS];
static int first_free, deaths[MINUTES + 1];
static uint64_t random_state;
static volatile uint32_t clock_ticks;
static ea_leaks_t leaks;
static _Alignas(16) unsigned char tables[EA_LEAKS_BYTES(N_ROWS, N_PLACES)];

/* --- random numbers --------------------------------------------------------------------------- */

static uint64_t draw(void)
{
    uint64_t z = (random_state += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static double uniform(double low, double high)
{
    return low + (high - low) * ((double)(draw() >> 11) * 0x1p-53);
}

static double log_uniform(double low, double high)
{
    return exp(uniform(log(low), log(high)));
}

static double exponential(double mean)
{
    return -mean * log(1.0 - uniform(0, 1));
}

static double normal(void)
{
    return sqrt(exponential(2)) * cos(uniform(0, 6.283185307));
}

static int poisson(double mean)
{
    if (mean > 30) {
        double n = mean + sqrt(mean) * normal();
        return n > 0 ? (int)(n + 0.5) : 0;
    }
    int n = 0;
    for (double p = uniform(0, 1), limit = exp(-mean); p > limit; p *= uniform(0, 1)) n++;
    return n;
}

/* --- blocks ----------------------------------------------------------------------------------- */

static void tell(ea_block_event_t what, int site, int block)
{
    ea_leaks_record(
        &leaks, what, (uint16_t)(1 + site % 5), (const void *)(uintptr_t)(0x8000 + 4 * site),
        (const void *)(uintptr_t)(0x20000000 + 32 * (uintptr_t)block), sites[site].size_bytes);
}

static int take(int site)
{
    int block = first_free;
    if (block == NEVER) abort();
    first_free = blocks[block].next;
    blocks[block] = (block_t){.next = NEVER, .site = site};
    tell(EA_BLOCK_ALLOCATED, site, block);
    return block;
}

static void give(int block)
{
    tell(EA_BLOCK_FREED, blocks[block].site, block);
    blocks[block].next = first_free;
    first_free = block;
}

/* It goes after so many minutes. */
static void take_for(int site, int now, double life)
{
    int block = take(site);
    double end = now + life;
    if (life < 1) {
        give(block);
    } else if (end < MINUTES) {
        blocks[block].next = deaths[(int)end];
        deaths[(int)end] = block;
    }
}

static void push(int site)
{
    site_t *s = &sites[site];
    int block = take(site);
    if (s->newest != NEVER)
        blocks[s->newest].next = block;
    else
        s->oldest = block;
    s->newest = block;
    s->n_held++;
}

static void pop(int site)
{
    site_t *s = &sites[site];
    int block = s->oldest;
    if (block == NEVER) return;
    s->oldest = blocks[block].next;
    if (s->oldest == NEVER) s->newest = NEVER;
    s->n_held--;
    give(block);
}

static void hold(int site, double n)
{
    while (sites[site].n_held < (long)n) push(site);
    while (sites[site].n_held > (long)n) pop(site);
}

/* --- kinds ------------------------------------------------------------------------------------ */

/* About 1: the load of the minute. */
static double load_at(const site_t *s, int now)
{
    double day = (double)now / MINUTES_PER_DAY + s->phase;
    double load = 1 + 0.7 * sin(6.283185307 * day);
    return fmod(day, 7) < 5 ? load : 0.5 * load;
}

static void draw_site(site_t *s, kind_t kind)
{
    *s = (site_t){.kind = kind,
                  .base = kind,
                  .oldest = NEVER,
                  .newest = NEVER,
                  .found_at = NEVER,
                  .leaks_from = NEVER};
    s->size_bytes = (size_t)log_uniform(16, 2048);
    s->phase = uniform(0, 7);
    if (kind >= FIRST_LEAK) {
        static const kind_t bases[] = {REQUEST, SESSION, CYCLE, BURSTS, STATIC};
        s->base = kind == SLOPPY ? SESSION : bases[draw() % 5];
        s->leaks_from = kind == LATE ? (int)uniform(1440, 20 * 1440) : 0;
    }
    switch (s->base) {
    case REQUEST:
        s->rate = log_uniform(0.02, 2);
        s->life = log_uniform(0.02, 20);
        break;
    case SESSION:
        s->life = log_uniform(30, 600);
        s->spread = uniform(0.4, 1.0);
        s->rate = log_uniform(5, 300) / s->life;
        break;
    case STATIC: s->target = log_uniform(5, 500); break;
    case WARM_UP:
        s->target = log_uniform(20, 1000);
        s->period = log_uniform(60, 2 * 1440);
        break;
    case CYCLE:
        s->life = log_uniform(5, 300);
        s->rate = log_uniform(5, 300) / s->life;
        break;
    case BATCH:
        s->period = log_uniform(60, 1440 * 1.5);
        s->rate = log_uniform(20, 1000) / s->period;
        break;
    case WEEKLY:
        s->period = uniform(2, 7) * 1440;
        s->rate = log_uniform(20, 1000) / s->period;
        break;
    case BURSTS:
        s->rate = 1 / log_uniform(6 * 60, 72 * 60);
        s->target = log_uniform(20, 500);
        s->life = log_uniform(60, 720);
        break;
    case LEVELS:
        s->target = s->level = log_uniform(20, 400);
        s->rate = 1 / (uniform(1, 10) * 1440);
        break;
    case TURNOVER:
        s->life = uniform(1, 8) * 1440;
        s->spread = uniform(0.3, 0.8);
        s->rate = log_uniform(20, 500) / s->life;
        break;
    case WANDER:
        s->target = s->level = log_uniform(30, 500);
        s->spread = uniform(0.05, 0.3);
        s->period = uniform(0.5, 5) * 1440;
        break;
    case CACHE:
        s->target = log_uniform(50, 2000);
        s->period = log_uniform(0.25, 20) * 1440;
        break;
    case INTERN:
        s->target = log_uniform(50, 2000);
        s->spread = uniform(0.3, 0.8);
        break;
    default: break;
    }
    if (kind >= FIRST_LEAK) s->target = s->base == STATIC || s->base == BURSTS ? s->target : 0;
}

/* Blocks that leak in the whole run, and of storms how many there are. */
static double n_to_leak[N_SITES], n_storms[N_SITES];

static void draw_run(uint64_t seed)
{
    random_state = seed * 0x2545F4914F6CDD1Du + 1;
    int n_leaks = (int)(draw() % 4); /* 0: a program without a leak */
    for (int i = 0; i < N_SITES; i++) {
        bool is_leak = i < n_leaks;
        kind_t kind = is_leak ? (kind_t)(FIRST_LEAK + (int)(draw() % (N_KINDS - FIRST_LEAK)))
                              : (kind_t)(draw() % FIRST_LEAK);
        draw_site(&sites[i], kind);
        n_to_leak[i] = is_leak ? log_uniform(10, 3000) : 0;
        n_storms[i] = uniform(20, 120);
    }
    for (int i = 0; i < MAX_BLOCKS; i++) blocks[i] = (block_t){.next = i + 1};
    blocks[MAX_BLOCKS - 1].next = NEVER;
    first_free = 0;
    for (int i = 0; i <= MINUTES; i++) deaths[i] = NEVER;
}

static void leak(int i, int now)
{
    site_t *s = &sites[i];
    if (s->leaks_from == NEVER || now < s->leaks_from) return;
    double rate = n_to_leak[i] / (MINUTES - s->leaks_from);
    if (s->kind == LOAD) rate *= load_at(s, now) / 0.86;
    if (s->kind == ERRORS) {
        if (now >= s->storm_until && uniform(0, 1) < n_storms[i] / MINUTES)
            s->storm_until = now + 10;
        rate = now < s->storm_until ? n_to_leak[i] / n_storms[i] / 10 : 0;
    }
    for (int n = poisson(rate); n > 0; n--) {
        (void)take(i);
        s->n_leaked++;
    }
}

static void act(int i, int now)
{
    site_t *s = &sites[i];
    switch (s->base) {
    case REQUEST:
        for (int n = poisson(s->rate); n > 0; n--) take_for(i, now, exponential(s->life));
        break;
    case SESSION:
    case TURNOVER:
        for (int n = poisson(s->rate); n > 0; n--)
            take_for(i, now, s->life * exp(s->spread * normal()));
        break;
    case CYCLE:
        for (int n = poisson(s->rate * load_at(s, now)); n > 0; n--)
            take_for(i, now, exponential(s->life));
        break;
    case STATIC:
        if (now == 0) hold(i, s->target);
        break;
    case WARM_UP:
        hold(i, s->target * (1 - exp(-now / s->period)));
        if (s->n_held > 0 && uniform(0, 1) < 1e-4 * s->target) {
            pop(i);
            push(i);
        }
        break;
    case BATCH:
    case WEEKLY:
        for (int n = poisson(s->rate); n > 0; n--) push(i);
        if (fmod(now + s->phase * 1440, s->period) < 1) hold(i, 0);
        break;
    case BURSTS:
        if (uniform(0, 1) < s->rate)
            for (int n = poisson(s->target); n > 0; n--) take_for(i, now, exponential(s->life));
        break;
    case LEVELS:
        if (uniform(0, 1) < s->rate) s->level = s->target * uniform(0.5, 1.5);
        hold(i, s->level);
        if (uniform(0, 1) < s->level / (5 * 1440)) {
            pop(i);
            push(i);
        }
        break;
    case WANDER:
        s->level += (s->target - s->level) / s->period +
                    s->target * s->spread * sqrt(2 / s->period) * normal();
        hold(i, s->level > 0 ? s->level : 0);
        if (uniform(0, 1) < s->target / (2 * 1440)) {
            pop(i);
            push(i);
        }
        break;
    case CACHE:
        for (int n = poisson(s->target / s->period); n > 0; n--) {
            push(i);
            if (s->n_held > (long)s->target) pop(i);
        }
        break;
    case INTERN: hold(i, s->target * pow((double)now / MINUTES, s->spread)); break;
    default: break;
    }
    leak(i, now);
}

/* --- the detector ----------------------------------------------------------------------------- */

static void ask(int now)
{
    for (int i = 0; i < N_SITES; i++) {
        site_t *s = &sites[i];
        ea_leak_t found;
        s->was_found = s->is_found;
        (void)ea_leaks_of_site(&leaks, (const void *)(uintptr_t)(0x8000 + 4 * i), &found);
        s->is_found = (found.kinds & EA_LEAK_GROWTH) != 0;
        if (!s->is_found || s->was_found) continue;
        s->n_episodes++;
        if (s->kind < FIRST_LEAK) continue;
        if (now < s->leaks_from)
            s->n_early++;
        else if (s->found_at == NEVER)
            s->found_at = now;
    }
}

/* The place of site i among the findings, from 1; 0: it is not among the first 10. */
static int rank_of(int i)
{
    ea_leak_t top[10];
    size_t n = ea_leaks_top(&leaks, top, 10);
    for (size_t at = 0; at < n; at++)
        if (top[at].site == (const void *)(uintptr_t)(0x8000 + 4 * i)) return (int)at + 1;
    return 0;
}

/* --- figures ---------------------------------------------------------------------------------- */

typedef struct {
    long n, n_alarmed, n_standing, n_episodes;
} tally_t;

static tally_t by_kind[N_KINDS];
static const long least_leaked[] = {1, 10, 30, 100, 1000};
enum { N_CLASSES = sizeof least_leaked / sizeof least_leaked[0] };
static tally_t by_leaked[N_CLASSES];
static long n_early, n_ranked, n_top_1, n_top_3;
static double delays[1 << 14];
static int n_delays;

static void judge(void)
{
    for (int i = 0; i < N_SITES; i++) {
        site_t *s = &sites[i];
        bool is_leak = s->kind >= FIRST_LEAK;
        bool is_alarmed = is_leak ? s->found_at != NEVER : s->n_episodes > 0;
        tally_t *tallies[2] = {&by_kind[s->kind], NULL};
        for (int c = 0; is_leak && c < N_CLASSES; c++)
            if (s->n_leaked >= least_leaked[c]) tallies[1] = &by_leaked[c];
        for (int t = 0; t < 2 && tallies[t] != NULL; t++) {
            tallies[t]->n++;
            tallies[t]->n_alarmed += is_alarmed;
            tallies[t]->n_standing += s->is_found;
            tallies[t]->n_episodes += s->n_episodes;
        }
        n_early += s->n_early;
        if (!is_leak || s->n_leaked < 30 || !is_alarmed) continue;
        delays[n_delays++] = (s->found_at - s->leaks_from) / 60.0;
    }
}

/* Of the first site that leaks much, when it is found. */
static void rank(void)
{
    for (int i = 0; i < N_SITES; i++) {
        if (sites[i].kind < FIRST_LEAK || !sites[i].is_found || sites[i].n_leaked < 30) continue;
        int at = rank_of(i);
        n_ranked++;
        n_top_1 += at == 1;
        n_top_3 += at >= 1 && at <= 3;
    }
}

static bool run(uint64_t seed)
{
    const ea_leaks_options_t options = {
        .n_sites = N_ROWS, .n_blocks = N_PLACES, .clock = &clock_ticks, .tick_us = TICK_US};
    clock_ticks = 0;
    if (ea_leaks_init(&leaks, tables, sizeof tables, &options) != EA_OK) return false;
    draw_run(seed);
    for (int now = 0; now < MINUTES; now++) {
        clock_ticks = (uint32_t)((uint64_t)now * 60000000 / TICK_US);
        for (int b = deaths[now], next; b != NEVER; b = next) {
            next = blocks[b].next;
            give(b);
        }
        for (int i = 0; i < N_SITES; i++) act(i, now);
        (void)ea_leaks_poll(&leaks, 4096);
        if (now % 60 == 59) ask(now);
    }
    ea_leaks_stats_t stats;
    ea_leaks_stats(&leaks, &stats);
    if (stats.n_untracked + stats.n_unplaced > 0)
        fprintf(stderr, "seed %llu: %zu blocks unwatched\n", (unsigned long long)seed,
                stats.n_untracked + stats.n_unplaced);
    judge();
    rank();
    return true;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double ratio(long part, long whole)
{
    return whole ? (double)part / (double)whole : 0;
}

static FILE *json;
static const char *separator = "[";
static int n_missed;

static void report(const char *what, double value, bool is_least, double bound)
{
    bool is_missed = is_least ? value < bound : value > bound;
    printf("%-58s %7.4f   %s %g%s\n", what, value, is_least ? ">=" : "<=", bound,
           is_missed ? "   MISSED" : "");
    n_missed += is_missed;
    if (json == NULL) return;
    fprintf(json,
            "%s\n  {\"bench\": \"leak_sites\", \"what\": \"%s\", \"value\": %.6g, "
            "\"bound\": %g}",
            separator, what, value, bound);
    separator = ",";
}

static void print_kinds(void)
{
    printf("%-10s %6s %9s %9s %9s %9s\n", "kind", "sites", "silent", "cleared", "standing",
           "episodes");
    for (int k = 0; k < N_KINDS; k++) {
        const tally_t *t = &by_kind[k];
        if (k == FIRST_FILLING || k == FIRST_LEAK) printf("\n");
        printf("%-10s %6ld %9ld %9ld %9ld %9ld\n", kind_names[k], t->n, t->n - t->n_alarmed,
               t->n_alarmed - t->n_standing, t->n_standing, t->n_episodes);
    }
    printf("\n%-10s %6s %9s %9s\n", "leaked", "sites", "missed", "found");
    for (int c = 0; c < N_CLASSES; c++)
        printf("%5ld and up %4ld %9ld %9ld\n", least_leaked[c], by_leaked[c].n,
               by_leaked[c].n - by_leaked[c].n_alarmed, by_leaked[c].n_alarmed);
    printf("\n");
}

static void print_figures(void)
{
    tally_t plain = {0}, all = {0}, much = {0};
    for (int k = 0; k < FIRST_LEAK; k++) {
        all.n += by_kind[k].n;
        all.n_episodes += by_kind[k].n_episodes;
        if (k == FIRST_FILLING - 1) plain = all;
    }
    for (int c = 2; c < N_CLASSES; c++) {
        much.n += by_leaked[c].n;
        much.n_alarmed += by_leaked[c].n_alarmed;
    }
    qsort(delays, (size_t)n_delays, sizeof delays[0], compare);
    report("recall, sites with 30 leaked blocks and more", ratio(much.n_alarmed, much.n), true,
           0.88);
    report("of those found, among the first three", ratio(n_top_3, n_ranked), true, 0.95);
    report("false alarms per site-month, not filling", ratio(plain.n_episodes + n_early, plain.n),
           false, 0.01);
    report("false alarms per site-month, filling ones included",
           ratio(all.n_episodes + n_early, all.n), false, 0.30);
    printf("%-58s %7.4f\n", "of those found, first", ratio(n_top_1, n_ranked));
    printf("%-58s %7.0f h\n", "delay from the leak's beginning, median",
           n_delays ? delays[n_delays / 2] : 0);
    printf("%-58s %7ld\n", "alarms at a leaking site before it leaked", n_early);
}

int main(int argc, char **argv)
{
    int n_runs = 200;
    bool checks = false, is_tuning = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--check") == 0) {
            checks = true;
        } else if (strcmp(argv[i], "--tuning") == 0) {
            is_tuning = true;
        } else if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc) {
            n_runs = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
            json = fopen(argv[++i], "w");
            if (json == NULL) {
                fprintf(stderr, "leak_sites: %s: %s\n", argv[i], strerror(errno));
                return 2;
            }
        } else {
            fprintf(stderr, "usage: leak_sites [--runs N] [--tuning] [--json FILE] [--check]\n");
            return 2;
        }
    }
    for (int i = 0; i < n_runs; i++)
        if (!run((is_tuning ? 1u : 1000000u) + (uint64_t)i)) return 2;
    printf("%d runs of %d sites and %d days, %s seeds\n\n", n_runs, N_SITES, DAYS,
           is_tuning ? "tuning" : "test");
    print_kinds();
    print_figures();
    if (json != NULL) {
        fputs("\n]\n", json);
        if (fclose(json) != 0) return 2;
    }
    return checks && n_missed > 0 ? 1 : 0;
}
