/* SPDX-License-Identifier: MIT */
#include "usage_series.h"

#include <math.h>

const char *const background_names[N_BACKGROUNDS] = {
    "steady",       "cycle",    "bursts",   "cycle+bursts", "sawtooth",   "wander",  "shifts",
    "log rotation", "job peak", "sessions", "cache",        "load cache", "warm-up", "ratchet",
};
const char *const leak_names[N_LEAKS] = {"none", "slow", "late", "load", "job", "two", "fast"};

/* --- random numbers --------------------------------------------------------------------------- */

static uint64_t next_random(usage_series_t *s)
{
    uint64_t z = s->random += 0x9E3779B97F4A7C15u; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static double uniform(usage_series_t *s, double from, double to)
{
    return from + (to - from) * (double)(next_random(s) >> 11) / 9007199254740992.0;
}

static double log_uniform(usage_series_t *s, double from, double to)
{
    return from * exp(uniform(s, 0, log(to / from)));
}

/* Mean 0, deviation 1: four uniform numbers are normal enough for noise. */
static double normal(usage_series_t *s)
{
    uint64_t r = next_random(s);
    double sum = (double)(r & 65535) + (double)(r >> 16 & 65535) + (double)(r >> 32 & 65535) +
                 (double)(r >> 48);
    return (sum / 65536.0 - 2.0) * 1.7320508;
}

static double exponential(usage_series_t *s, double mean)
{
    return -mean * log(1.0 - uniform(s, 0, 1));
}

/* --- backgrounds ------------------------------------------------------------------------------ */

/* The day's load, 0 to 1: low at night, less at weekends. */
static double load_at(const usage_series_t *s, int minute)
{
    double day = (double)minute / DAY + s->load_phase;
    double wave = 0.5 - 0.5 * cos(2 * M_PI * day);
    return (int)day % 7 >= 5 ? wave * s->weekend : wave;
}

static double cycle(usage_series_t *s)
{
    if (s->minute % DAY == 0) s->today = 1 + 0.07 * normal(s); /* no day is like the other */
    return s->amplitude * s->today * load_at(s, s->minute);
}

static double bursts(usage_series_t *s)
{
    if (s->burst_left > 0) {
        s->burst_left--;
    } else if (uniform(s, 0, s->burst_gap) < 1) {
        s->burst_now = fmin(exponential(s, s->burst_height), 0.3);
        s->burst_left = (int)log_uniform(s, 5, 240);
    } else {
        s->burst_now = 0;
    }
    return s->burst_now;
}

static double sawtooth(usage_series_t *s)
{
    if (s->minute >= s->until) {
        s->until = s->minute + (int)(s->period * uniform(s, 0.8, 1.2)) + 1;
        s->at = s->minute;
        s->target = s->amplitude * uniform(s, 0.9, 1.1);
    }
    return s->target * (s->minute - s->at) / (s->until - s->at);
}

static double log_rotation(usage_series_t *s)
{
    if (s->minute >= s->until) {
        s->until = s->minute + (int)(s->tau * uniform(s, 0.5, 1.5)) + 1;
        s->level += s->amplitude * s->tau / s->period * uniform(s, 0.7, 1.3);
    }
    if (s->minute - s->at >= s->period) {
        s->at = s->minute;
        s->level = 0;
    }
    return s->level;
}

static double job_peak(usage_series_t *s)
{
    int day = s->minute / DAY, minute = s->minute % DAY;
    if (minute < (int)s->at || minute >= (int)s->at + s->until) return 0;
    return s->amplitude + s->target * fmin(day, s->growth) / s->growth;
}

static double sessions(usage_series_t *s)
{
    double arrivals = load_at(s, s->minute) * (1 + 0.3 * normal(s));
    s->short_state += (arrivals - s->short_state) / 15.0;
    s->long_state += (arrivals - s->long_state) / s->long_tau;
    return s->amplitude * (0.5 * s->short_state + s->long_state);
}

static double shifts(usage_series_t *s)
{
    if (s->minute >= s->until) {
        if (s->minute > 0) s->level = fmax(-0.12, fmin(0.12, s->level + 0.04 * normal(s)));
        s->until = s->minute + (int)exponential(s, s->period) + 60;
    }
    return s->level;
}

static double filling(usage_series_t *s)
{
    double grown = s->minute - s->at;
    if (grown < 0) return 0;
    switch (s->background) {
    case CACHE: return s->target * fmin(1, grown / s->period);
    case LOAD_CACHE:
        s->level = fmin(s->target, s->level + s->target / s->period * 2 * load_at(s, s->minute));
        return s->level + s->amplitude * 0.5 * load_at(s, s->minute);
    case WARM_UP: return s->target * (1 - exp(-grown / s->tau));
    default: /* RATCHET: each record of the load leaves a hole that stays */
        if (uniform(s, 0, s->tau + grown * 0.3) < 1)
            s->level += exponential(s, s->target * 0.3 * (1 - s->level / s->target));
        s->level = fmin(s->level, s->target);
        return s->level;
    }
}

static double background(usage_series_t *s)
{
    switch (s->background) {
    case STEADY: return 0;
    case CYCLE: return cycle(s);
    case BURSTS: return bursts(s);
    case CYCLE_BURSTS: return cycle(s) + bursts(s);
    case SAWTOOTH: return sawtooth(s);
    case WANDER:
        s->level += -s->level / s->tau + s->amplitude * sqrt(2 / s->tau) * normal(s);
        return s->level;
    case SHIFTS: return shifts(s);
    case LOG_ROTATION: return log_rotation(s);
    case JOB_PEAK: return job_peak(s);
    case SESSIONS: return sessions(s);
    default: return filling(s);
    }
}

static void begin_background(usage_series_t *s)
{
    s->base = uniform(s, 0.15, 0.50);
    s->noise = log_uniform(s, 0.002, 0.02);
    s->noise_part = uniform(s, 0.5, 0.98);
    s->load_phase = uniform(s, 0, 7);
    s->weekend = uniform(s, 0.3, 1);
    s->amplitude = uniform(s, 0.03, 0.20);
    s->burst_gap = log_uniform(s, 120, DAY);
    s->burst_height = log_uniform(s, 0.03, 0.15);
    s->target = uniform(s, 0.05, 0.30);
    s->at = 0;
    switch (s->background) {
    case SAWTOOTH: s->period = log_uniform(s, 30, 3 * DAY); break;
    case WANDER:
        s->amplitude = uniform(s, 0.01, 0.03);
        s->tau = log_uniform(s, DAY / 2, 6 * DAY);
        break;
    case SHIFTS: s->period = uniform(s, 2 * DAY, 10 * DAY); break;
    case LOG_ROTATION:
        s->tau = log_uniform(s, 10, 360);
        s->period = uniform(s, DAY, 7 * DAY);
        s->amplitude = uniform(s, 0.03, 0.15);
        break;
    case JOB_PEAK:
        s->amplitude = uniform(s, 0.02, 0.10);
        s->target = uniform(s, 0.05, 0.20);
        s->growth = uniform(s, 3, 20);
        s->at = uniform(s, 0, DAY - 200);
        s->until = (int)uniform(s, 30, 180);
        break;
    case SESSIONS: s->long_tau = log_uniform(s, 360, 2 * DAY); break;
    case CACHE:
    case LOAD_CACHE:
        s->period = log_uniform(s, DAY / 4, 20 * DAY);
        s->at = uniform(s, 0, 0.2) * s->n_minutes;
        break;
    case WARM_UP:
        s->target = uniform(s, 0.05, 0.20);
        s->tau = log_uniform(s, 60, 2 * DAY);
        break;
    case RATCHET: s->tau = log_uniform(s, 60, DAY); break;
    default: break;
    }
}

/* --- leaks ------------------------------------------------------------------------------------ */

static void begin_leak(usage_series_t *s)
{
    double begin = uniform(s, 0, 0.1);

    s->leak_minute = s->second_minute = s->full_minute = -1;
    if (s->leak == NO_LEAK) return;
    s->rate = log_uniform(s, 0.004, 0.30) / DAY;
    s->step_hour = (int)uniform(s, 0, 24);
    if (s->leak == LEAK_LATE) begin = uniform(s, 0.3, 0.8);
    if (s->leak == LEAK_TWO) {
        s->rate = log_uniform(s, 0.004, 0.10) / DAY;
        s->second_rate = s->rate * log_uniform(s, 2, 10);
        s->second_minute = (int)(uniform(s, 0.4, 0.8) * s->n_minutes);
        begin = uniform(s, 0, 0.3);
    }
    if (s->leak == LEAK_FAST) {
        s->rate = (1 - s->base) / (60 * log_uniform(s, 2, 24));
        begin = uniform(s, 0.1, 0.9);
    }
    s->leak_minute = (int)(begin * s->n_minutes);
}

static void leak(usage_series_t *s)
{
    if (s->leak_minute < 0 || s->minute < s->leak_minute) return;
    if (s->leak == LEAK_JOB) {
        if (s->minute % DAY / 60 == s->step_hour) s->leaked += s->rate * 24;
        return;
    }
    s->leaked += s->leak == LEAK_LOAD ? s->rate * 2 * load_at(s, s->minute) : s->rate;
    if (s->second_minute >= 0 && s->minute >= s->second_minute) s->leaked += s->second_rate;
}

void series_begin(usage_series_t *s, uint64_t seed, background_t background, leak_t leak)
{
    *s = (usage_series_t){.random = seed, .background = background, .leak = leak};
    s->n_minutes = (int)(uniform(s, 2, 60) * DAY);
    begin_background(s);
    begin_leak(s);
}

bool series_next(usage_series_t *s, double *used)
{
    if (s->minute >= s->n_minutes || s->full_minute >= 0) return false;
    leak(s);
    s->noise_state = s->noise_part * s->noise_state +
                     sqrt(1 - s->noise_part * s->noise_part) * s->noise * normal(s);
    *used = s->base + background(s) + s->noise_state + s->leaked;
    if (*used < 0) *used = 0;
    if (*used >= 1) {
        if (s->leak_minute >= 0 && s->minute >= s->leak_minute) s->full_minute = s->minute;
        *used = 1;
    }
    s->minute++;
    return true;
}
