/* SPDX-License-Identifier: MIT
 *
 * Trend: the way of a sample, and the judgement.
 *
 *     sample -> step (5 min) -> scale 0   16 windows of   5 min   80 minutes
 *                            -> scale 1   24 windows of   1 h     a day
 *                            -> scale 2   16 windows of   6 h     four days
 *                            -> scale 3   14 windows of   1 d     two weeks
 *
 * Of each window its minimum and maximum are kept. When one closes, its scale is judged:
 *
 *   1. the floors of the row of minima rise, evenly and by 0.6 % or more of the capacity;
 *   2. the line through them reaches the capacity within the scale's horizon;
 *   3. on all scales but the longest the last floor is above what use ever was before, as far as
 *      the longer ones remember: or every cycle's morning would be an alarm. While there is nothing
 *      to remember, the line has to reach the capacity soon.
 *
 * An alarm of one scale is an alarm, until that scale is judged again. Scale 0, which rises in
 * every burst that happens to be even, must do so for a part of the time that is left; its newer
 * half is judged too, for what is over within two hours.
 *
 * I1  The windows of a scale lie in its part of the two rows, the oldest first; min <= max in each.
 * I2  Behind the seal nothing changes but at the end of a step, and then the seal follows.
 *
 * No one scale does: with an hour's windows alone a leak that is over in four hours is missed, with
 * five minutes' alone one that takes a month. Rejected: rank tests and medians of slopes (O(n^2),
 * and no better than the quarters), change detectors and exponential smoothing (they find under a
 * third of the leaks at the same number of false alarms), regression (a cycle bends it).
 */
#include "base/mem.h"
#include "series/trend_internal.h"

#define VALUE_ALL 65535u
#define HOUR EAI_TREND_STEPS_AN_HOUR
#define DAY (24u * HOUR)
#define MIN_GROWTH 400u
#define QUIET_STEPS (3u * DAY)

const eai_trend_shape_t eai_trend_shapes[EAI_TREND_N_SCALES] = {
    {16, 0, 1, 8, 65, 12 * HOUR},
    {24, 16, HOUR, 12, 65, 7 * DAY},
    {16, 40, 6 * HOUR, 12, 60, 60 * DAY},
    {14, 56, DAY, 6, 60, 240 * DAY},
};

/* Rule 3 of a scale. The newest windows of a longer scale are the row itself, or so near to it that
 * a slow leak is in both: they are skipped. */
typedef struct {
    uint8_t skips[EAI_TREND_N_SCALES]; /* so many of each; NOT_LOOKED_AT: all         */
    uint8_t memory;     /* the scale that must have more than it skips, or nothing is remembered */
    uint8_t part;       /* the last floor less this part of the growth must be above all          */
    uint16_t sure_left; /* steps: what is over that soon need not                                 */
    uint16_t
        young_left; /* steps: while nothing is remembered only what is over that soon counts  */
} record_t;

#define NOT_LOOKED_AT 255
static const record_t records[] = {
    {{NOT_LOOKED_AT, 2, 4, 1}, 2, 2, 0, 2 * HOUR},
    {{NOT_LOOKED_AT, NOT_LOOKED_AT, 5, 2}, 2, 4, 0, 12 * HOUR},
    {{NOT_LOOKED_AT, NOT_LOOKED_AT, NOT_LOOKED_AT, 5}, 3, 4, 10 * DAY, 15 * DAY},
};
#define N_RECORDS (sizeof records / sizeof records[0])

/* What scale 0 says is believed after one part in so many of the time that is left. */
#define PATIENCE_ALL 36u
#define PATIENCE_HALF 12u
#define MAX_LEFT_HALF (2 * HOUR)

const char *ea_trend_status_name(ea_trend_status_t status)
{
    switch (status) {
    case EA_TREND_NONE: return "NONE";
    case EA_TREND_SUSPECT: return "SUSPECT";
    case EA_TREND_LEAK: return "LEAK";
    }
    return "?";
}

/* --- the line --------------------------------------------------------------------------------- */

/* At most 24 values. */
void eai_trend_sort(int32_t *values, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        int32_t value = values[i];
        uint32_t j = i;
        for (; j > 0 && values[j - 1] > value; j--) values[j] = values[j - 1];
        values[j] = value;
    }
}

bool eai_trend_line(const ea_trend_t *trend, unsigned k, unsigned which, eai_trend_line_t *line)
{
    const eai_trend_shape_t *shape = &eai_trend_shapes[k];
    int32_t ends[EAI_TREND_MAX_WINDOWS];

    line->at = shape->at;
    line->n = eai_trend_n(trend, k);
    if (line->n < shape->min_windows) return false;
    if (which == EAI_TREND_HALF) {
        line->at += line->n - line->n / 2;
        line->n /= 2;
    }
    const uint16_t *mins = &trend->eai_mins[line->at];
    eai_floors_read(&line->floors, mins, line->n);
    if (!eai_floors_rise(&line->floors, MIN_GROWTH, shape->even_percent)) return false;

    /* The floors of the first and the last quarter are three quarters of the row apart. */
    line->slope_64 = 256u * line->floors.growth / (3u * line->n);
    for (uint32_t i = 0; i < line->n; i++) ends[i] = mins[i] + eai_trend_growth_since(line, i);
    eai_trend_sort(ends, line->n);
    line->now = ends[line->n / 2];
    line->left = line->now >= (int32_t)VALUE_ALL
                     ? 0
                     : eai_trend_steps_for(line, k, VALUE_ALL - (uint32_t)line->now);
    return true;
}

/* --- the judgement ---------------------------------------------------------------------------- */

/* The greatest maximum among a scale's windows but its newest ones; 0 where there is no other. */
static uint32_t most_before(const ea_trend_t *trend, unsigned k, uint32_t n_newest)
{
    const uint16_t *maxs = &trend->eai_maxs[eai_trend_shapes[k].at];
    uint32_t n = eai_trend_n(trend, k), most = 0;
    for (uint32_t i = 0; i + n_newest < n; i++) {
        if (maxs[i] > most) most = maxs[i];
    }
    return most;
}

static bool has_memory(const ea_trend_t *trend, unsigned k)
{
    unsigned memory = records[k].memory;
    return eai_trend_n(trend, memory) > records[k].skips[memory];
}

static bool is_record(const ea_trend_t *trend, unsigned k, const eai_trend_line_t *line)
{
    const record_t *record = &records[k];
    uint32_t floor = line->floors.floors[3] - line->floors.growth / record->part;

    if (line->left <= record->sure_left) return true;
    for (unsigned longer = k + 1; longer < EAI_TREND_N_SCALES; longer++) {
        if (floor <= most_before(trend, longer, record->skips[longer])) return false;
    }
    return has_memory(trend, k) || line->left <= record->young_left;
}

/* The three rules. */
static bool is_leak(const ea_trend_t *trend, unsigned k, unsigned which, uint32_t max_left,
                    eai_trend_line_t *line)
{
    return eai_trend_line(trend, k, which, line) && line->left <= max_left &&
           (k >= N_RECORDS || is_record(trend, k, line));
}

/* What is alarming about a scale: EAI_TREND_ALL of it, EAI_TREND_HALF, or 0. */
static unsigned judge(ea_trend_t *trend, unsigned k)
{
    unsigned which = 0;
    eai_trend_line_t line;

    if (is_leak(trend, k, EAI_TREND_ALL, eai_trend_shapes[k].max_left, &line)) {
        which = EAI_TREND_ALL;
    } else if (k == 0 && has_memory(trend, k) &&
               is_leak(trend, k, EAI_TREND_HALF, MAX_LEFT_HALF, &line)) {
        which = EAI_TREND_HALF;
    }
    if (k > 0) return which;
    if (which == 0) {
        trend->eai_n_rising = 0;
    } else if (trend->eai_n_rising < UINT16_MAX) {
        trend->eai_n_rising++;
    }
    uint32_t patience = which == EAI_TREND_HALF ? PATIENCE_HALF : PATIENCE_ALL;
    return which > 0 && trend->eai_n_rising * patience >= line.left ? which : 0;
}

/* --- the way of a sample ---------------------------------------------------------------------- */

static void clear_window(eai_trend_scale_t *scale)
{
    scale->eai_min = UINT16_MAX;
    scale->eai_max = 0;
    scale->eai_n_steps = 0;
}

static void add_window(ea_trend_t *trend, unsigned k, uint16_t min, uint16_t max)
{
    const eai_trend_shape_t *shape = &eai_trend_shapes[k];
    uint16_t *mins = &trend->eai_mins[shape->at], *maxs = &trend->eai_maxs[shape->at];
    uint32_t n = eai_trend_n(trend, k);

    if (n == shape->n_windows) {
        n--;
        memmove(mins, mins + 1, n * sizeof *mins);
        memmove(maxs, maxs + 1, n * sizeof *maxs);
    }
    mins[n] = min;
    maxs[n] = max;
    trend->eai_scales[k].eai_n = (uint8_t)(n + 1);
}

/* n_steps of one scale went by, in the first of which use was from min to max, and then at last.
 * Returns whether a window closed. */
static bool pass_steps(ea_trend_t *trend, unsigned k, uint32_t n_steps, uint16_t min, uint16_t max)
{
    const eai_trend_shape_t *shape = &eai_trend_shapes[k];
    eai_trend_scale_t *scale = &trend->eai_scales[k];
    uint32_t total = scale->eai_n_steps + n_steps;
    uint32_t n_closed = total / shape->steps;

    if (min < scale->eai_min) scale->eai_min = min;
    if (max > scale->eai_max) scale->eai_max = max;
    if (n_closed > 0) {
        add_window(trend, k, scale->eai_min, scale->eai_max);
        for (uint32_t i = 1; i < n_closed && i <= shape->n_windows; i++) {
            add_window(trend, k, trend->eai_last, trend->eai_last);
        }
        clear_window(scale);
        if (total % shape->steps > 0) scale->eai_min = scale->eai_max = trend->eai_last;
    }
    scale->eai_n_steps = (uint16_t)(total % shape->steps);
    return n_closed > 0;
}

static uint32_t add_capped(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

/* The step is over, and n_steps - 1 more like its last sample. */
static void end_steps(ea_trend_t *trend, uint32_t n_steps)
{
    bool is_closed[EAI_TREND_N_SCALES], is_alarm = false;

    for (unsigned k = 0; k < EAI_TREND_N_SCALES; k++) {
        is_closed[k] = pass_steps(trend, k, n_steps, trend->eai_min, trend->eai_max);
    }
    for (unsigned k = 0; k < EAI_TREND_N_SCALES; k++) {
        if (is_closed[k]) trend->eai_scales[k].eai_is_alarm = (uint8_t)judge(trend, k);
        is_alarm |= trend->eai_scales[k].eai_is_alarm != 0;
    }

    trend->eai_age_steps = add_capped(trend->eai_age_steps, n_steps);
    trend->eai_quiet_steps = add_capped(trend->eai_quiet_steps, n_steps);
    if (is_alarm) {
        if (trend->eai_n_alarms == 0 || trend->eai_quiet_steps > QUIET_STEPS) {
            if (trend->eai_n_alarms < UINT16_MAX) trend->eai_n_alarms++;
            trend->eai_age_steps = 0;
        }
        trend->eai_quiet_steps = 0;
    }
    trend->eai_min = UINT16_MAX;
    trend->eai_max = 0;
    trend->eai_seal = eai_trend_seal(trend);
}

void ea_trend_sample(ea_trend_t *trend, size_t used)
{
    uint32_t part =
        used >= trend->eai_capacity ? trend->eai_divisor : (uint32_t)(used >> trend->eai_shift);
    uint16_t value = (uint16_t)(part * VALUE_ALL / trend->eai_divisor);

    trend->eai_last = value;
    if (value < trend->eai_min) trend->eai_min = value;
    if (value > trend->eai_max) trend->eai_max = value;
    if (++trend->eai_n_samples < trend->eai_samples_a_step) return;
    trend->eai_n_samples = 0;
    end_steps(trend, 1);
}

void ea_trend_skip(ea_trend_t *trend, uint32_t n_periods)
{
    bool is_fresh = trend->eai_n_samples == 0 && trend->eai_scales[0].eai_n == 0;
    uint32_t a_step = trend->eai_samples_a_step;
    uint32_t n = add_capped(n_periods, trend->eai_n_samples);

    if (is_fresh || n_periods == 0) return;
    trend->eai_n_samples = (uint16_t)(n % a_step);
    if (trend->eai_last < trend->eai_min) trend->eai_min = trend->eai_last;
    if (trend->eai_last > trend->eai_max) trend->eai_max = trend->eai_last;
    if (n < a_step) return;
    end_steps(trend, n / a_step);
    if (trend->eai_n_samples > 0) trend->eai_min = trend->eai_max = trend->eai_last;
}

ea_status_t ea_trend_init(ea_trend_t *trend, size_t capacity, uint32_t period_s)
{
    if (period_s == 0) period_s = 60;
    if (trend == NULL || capacity == 0 || period_s > 300) return EA_ERR_INVALID;

    memset(trend, 0, sizeof *trend);
    trend->eai_samples_a_step = (uint16_t)(300 / period_s);
    trend->eai_step_s = (uint16_t)(trend->eai_samples_a_step * period_s);
    trend->eai_capacity = capacity;
    while (capacity >> trend->eai_shift > VALUE_ALL) trend->eai_shift++; /* at most 48 times */
    trend->eai_divisor = (uint16_t)(capacity >> trend->eai_shift);
    trend->eai_min = UINT16_MAX;
    for (unsigned k = 0; k < EAI_TREND_N_SCALES; k++) clear_window(&trend->eai_scales[k]);
    trend->eai_seal = eai_trend_seal(trend);
    return EA_OK;
}
