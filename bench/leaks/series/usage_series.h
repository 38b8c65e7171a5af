/* SPDX-License-Identifier: MIT
 *
 * Made-up series of use with a label: what the background is, whether there is a leak, since when,
 * and how long until the capacity is reached. A sample is a minute; use is a part of the capacity.
 *
 *     series_begin(&series, seed, background, leak);
 *     while (series_next(&series, &used)) ...
 *     series.leaked, series.full_minute
 */
#ifndef BENCH_USAGE_SERIES_H
#define BENCH_USAGE_SERIES_H

#include <stdbool.h>
#include <stdint.h>

#define DAY 1440

typedef enum {
    /* plain: what goes up comes down */
    STEADY,
    CYCLE,        /* days and weeks                                                  */
    BURSTS,       /*                                                                 */
    CYCLE_BURSTS, /*                                                                 */
    SAWTOOTH,     /* grows and is collected, half an hour to three days              */
    WANDER,       /* slowly about its mean                                           */
    SHIFTS,       /* of level, up and down, every few days                           */
    LOG_ROTATION, /* grows in steps, hours apart, and is cut after one to seven days */
    JOB_PEAK,     /* a daily job whose peak grows for days, and then no more         */
    SESSIONS,     /* short and long ones, after the day's load                       */
    /* filling: grows, and stops by itself */
    CACHE,      /* evenly, in six hours to twenty days */
    LOAD_CACHE, /* as fast as there is load            */
    WARM_UP,    /* fast and then ever slower           */
    RATCHET,    /* fragmentation: steps, ever rarer    */
    N_BACKGROUNDS
} background_t;

#define N_PLAIN CACHE

typedef enum {
    NO_LEAK,
    LEAK_SLOW, /* 0.4 to 30 % of the capacity a day, from the beginning */
    LEAK_LATE, /* the same, from the middle on                          */
    LEAK_LOAD, /* as fast as there is load                              */
    LEAK_JOB,  /* a daily job's: a step a day                           */
    LEAK_TWO,  /* a second one, two to ten times as fast, joins later   */
    LEAK_FAST, /* all in 2 to 24 hours                                  */
    N_LEAKS
} leak_t;

typedef struct {
    uint64_t random;
    background_t background;
    leak_t leak;
    int minute, n_minutes;
    double base, noise, noise_part, noise_state;
    double load_phase, weekend, amplitude, today;
    double burst_gap, burst_height, burst_now;
    int burst_left;
    double level, target, tau, period, at, growth;
    int until;
    double short_state, long_state, long_tau;
    double rate, second_rate, step_hour;
    /* the label */
    int leak_minute;   /* when it begins; -1: never                  */
    int second_minute; /* when the second one does; -1: never        */
    int full_minute;   /* when use first met the capacity; -1: never */
    double leaked;     /* so far, of the capacity                    */
} usage_series_t;

extern const char *const background_names[N_BACKGROUNDS];
extern const char *const leak_names[N_LEAKS];

void series_begin(usage_series_t *series, uint64_t seed, background_t background, leak_t leak);

/* The next minute's use. False: the series is over, or was full. */
bool series_next(usage_series_t *series, double *used);

#endif
