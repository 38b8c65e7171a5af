/* SPDX-License-Identifier: MIT
 *
 * Trend: what can be said now, and when the capacity will be reached.
 *
 * The slope is that of the floors, but what meets the capacity first are the peaks: so the line is
 * lifted by how far the maxima lie above it, three quarters of them. Only a scale with an alarm
 * forecasts. Of these the shortest whose line is at its end within three times what it has seen,
 * else the longest: a short one knows best how it goes now, and least how it goes on.
 *
 * The band. What makes a forecast wrong is that the growth is not even (rel: how far the rises of
 * the quarters are apart, as a part of the mean one) and that the way to go is long beside the way
 * seen (r); and peaks come when they come (lev: the time the line needs for what the maxima vary
 * by).
 *
 *     low  = T / (1 + a x) - lev        x = rel + 0.15 r, r at most 16
 *     high = T * (1 + b x) + lev
 *
 * The numbers make a band that held nine of ten forecasts of bench/leaks, half of which are not
 * those they were chosen with. Rejected: the interval of Sen's slope (holds half of them, not nine
 * tenths), the error of a regression (less), and a slope less its error below the line (never, half
 * of the time).
 */
#include "series/trend_internal.h"

#define VALUE_ALL 65535u
#define MAX_STEPS (1u << 18) /* two and a half years */

typedef struct {
    uint32_t left, low, high; /* steps */
} forecast_t;

/* a and b of each scale, in tenths. */
static const uint8_t low_widths[EAI_TREND_N_SCALES] = {4, 4, 4, 6};
static const uint8_t high_widths[EAI_TREND_N_SCALES] = {120, 30, 30, 40};

static uint32_t less(uint32_t a, uint32_t b)
{
    return a > b ? a - b : 0;
}

static void forecast(const ea_trend_t *trend, unsigned k, const eai_trend_line_t *line,
                     forecast_t *f)
{
    const eai_trend_shape_t *shape = &eai_trend_shapes[k];
    const uint16_t *maxs = &trend->eai_maxs[line->at], *floors = line->floors.floors;
    int32_t above[EAI_TREND_MAX_WINDOWS];
    uint32_t n = line->n, growth = line->floors.growth, span = n * shape->steps;

    for (uint32_t i = 0; i < n; i++) {
        above[i] = maxs[i] + eai_trend_growth_since(line, i) - line->now;
    }
    eai_trend_sort(above, n);
    int32_t peak = line->now + above[3 * n / 4];
    uint32_t lift = (uint32_t)(above[n - 1] - above[0]);
    if (lift > VALUE_ALL) lift = VALUE_ALL;
    uint32_t varies = eai_trend_steps_for(line, k, lift);
    uint32_t left = peak >= (int32_t)VALUE_ALL
                        ? 0
                        : eai_trend_steps_for(line, k, VALUE_ALL - (uint32_t)(peak > 0 ? peak : 0));
    if (left > MAX_STEPS) left = MAX_STEPS;

    int32_t first = floors[1] - floors[0], second = floors[2] - floors[1],
            third = floors[3] - floors[2];
    uint32_t apart = (uint32_t)(third > first ? third - first : first - third);
    uint32_t apart_2 = (uint32_t)(third > second ? third - second : second - third);
    if (apart_2 > apart) apart = apart_2;
    uint32_t rel_256 = apart * 384u / growth;
    uint32_t r_256 = left >= 16 * span ? 4096u : left * 256u / span;
    uint32_t x_256 = rel_256 + 38u * r_256 / 256u;

    uint32_t age = trend->eai_scales[k].eai_n_steps; /* of the judgement */
    f->left = less(left, age);
    f->low = less(left * 2560u / (2560u + low_widths[k] * x_256), varies + age);
    f->high = less(left + left * (high_widths[k] * x_256 / 10u) / 256u + varies, age);
}

/* The scale that forecasts; its number is returned, or EAI_TREND_N_SCALES. */
static unsigned choose(const ea_trend_t *trend, eai_trend_line_t *line)
{
    unsigned chosen = EAI_TREND_N_SCALES;
    for (unsigned k = 0; k < EAI_TREND_N_SCALES; k++) {
        eai_trend_line_t other;
        if (!trend->eai_scales[k].eai_is_alarm ||
            !eai_trend_line(trend, k, trend->eai_scales[k].eai_is_alarm, &other))
            continue;
        chosen = k;
        *line = other;
        if (other.left <= 3u * other.n * eai_trend_shapes[k].steps) break;
    }
    return chosen;
}

static uint32_t seconds(const ea_trend_t *trend, uint32_t steps)
{
    return steps >= EA_TREND_NEVER / 300u ? EA_TREND_NEVER : steps * trend->eai_step_s;
}

/* A value, in 64ths, as what is counted. 65535 divides like 65536, but for a 65536th of it. */
static size_t amount(const ea_trend_t *trend, uint32_t value_64)
{
    uint64_t product = (uint64_t)value_64 * trend->eai_divisor;
    return (size_t)((product + (product >> 16) + 64) >> 22) << trend->eai_shift;
}

void ea_trend_read(const ea_trend_t *trend, ea_trend_report_t *report)
{
    eai_trend_line_t line = {.slope_64 = 0};
    forecast_t f;
    uint32_t an_hour;
    unsigned k = choose(trend, &line);

    *report = (ea_trend_report_t){.status = EA_TREND_NONE,
                                  .left_s = EA_TREND_NEVER,
                                  .left_low_s = EA_TREND_NEVER,
                                  .left_high_s = EA_TREND_NEVER,
                                  .n_alarms = trend->eai_n_alarms};
    report->used = amount(trend, 64u * trend->eai_last);
    if (k < EAI_TREND_N_SCALES) {
        const eai_trend_shape_t *shape = &eai_trend_shapes[k];
        forecast(trend, k, &line, &f);
        report->status = EA_TREND_LEAK;
        report->used = amount(trend, 64u * (uint32_t)(line.now < 65535 ? line.now : 65535));
        report->per_hour = amount(trend, line.slope_64 * EAI_TREND_STEPS_AN_HOUR / shape->steps);
        report->left_s = seconds(trend, f.left);
        report->left_low_s = seconds(trend, f.low);
        report->left_high_s = seconds(trend, f.high);
        report->since_s = seconds(trend, trend->eai_age_steps);
        report->span_s = seconds(trend, line.n * shape->steps);
    } else if (eai_trend_boots_grow(trend, &an_hour)) {
        report->status = EA_TREND_SUSPECT;
        report->per_hour = amount(trend, 64u * an_hour);
        report->left_low_s = 0;
        report->left_s =
            seconds(trend, (VALUE_ALL - trend->eai_last) * EAI_TREND_STEPS_AN_HOUR / an_hour);
    }
}
