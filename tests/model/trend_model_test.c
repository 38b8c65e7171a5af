/* SPDX-License-Identifier: MIT
 *
 * What the trend says against a reference in floating point that keeps every sample: the slope, the
 * floor now, the time left and its band, at every alarm of random series that leak.
 *
 *     trend_model_test [SERIES]
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "ealloc/trend.h"

#define CAPACITY 60000u
#define MINUTES (30 * 1440)

static ea_trend_t trend;
static double history[MINUTES]; /* parts of the capacity, 65535 all of it */
static uint32_t state;
static unsigned n_compared, n_failed;

static double uniform(double from, double to)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return from + (to - from) * state / 4294967296.0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void expect(const char *what, double got, double want, double part, double most, int minute)
{
    if (fabs(got - want) <= fmax(part * fabs(want), most)) return;
    n_failed++;
    printf("# minute %d, %s: got %g, want %g\n", minute, what, got, want);
}

/* The window's length in minutes: the span tells the scale. */
static int window_of(uint32_t span_s)
{
    if (span_s <= 80 * 60) return 5;
    if (span_s <= 24 * 3600) return 60;
    return span_s <= 96 * 3600 ? 360 : 1440;
}

static void compare_report(const ea_trend_report_t *r, int n_minutes)
{
    static const double low_widths[] = {0.4, 0.4, 0.4, 0.6}, high_widths[] = {12, 3, 3, 4};
    double ends[24], above[24], floors[4], mins[24], maxs[24];
    int width = window_of(r->span_s), n = (int)r->span_s / (60 * width);
    int end = n_minutes / width * width, scale = width == 5     ? 0
                                                 : width == 60  ? 1
                                                 : width == 360 ? 2
                                                                : 3;

    for (int i = 0; i < n; i++) {
        const double *window = &history[end - (n - i) * width];
        mins[i] = maxs[i] = window[0];
        for (int m = 1; m < width; m++) {
            mins[i] = fmin(mins[i], window[m]);
            maxs[i] = fmax(maxs[i], window[m]);
        }
    }
    for (int q = 0; q < 4; q++) {
        floors[q] = 65536;
        for (int i = q * n / 4; i < (q + 1) * n / 4; i++) floors[q] = fmin(floors[q], mins[i]);
    }
    double growth = floors[3] - floors[0], slope = growth / (0.75 * n);
    for (int i = 0; i < n; i++) ends[i] = mins[i] + slope * (n - i - 0.5);
    qsort(ends, (size_t)n, sizeof *ends, compare);
    double now = ends[n / 2];
    for (int i = 0; i < n; i++) above[i] = maxs[i] + slope * (n - i - 0.5) - now;
    qsort(above, (size_t)n, sizeof *above, compare);
    double left = fmax(0, (65535 - now - above[3 * n / 4]) / slope * width);
    double varies = (above[n - 1] - above[0]) / slope * width;
    double first = floors[1] - floors[0], second = floors[2] - floors[1],
           third = floors[3] - floors[2];
    double x = fmax(fabs(third - first), fabs(third - second)) * 1.5 / growth +
               0.15 * fmin(16, left / (n * width));
    double age = n_minutes - end;

    n_compared++;
    expect("growth an hour", (double)r->per_hour, slope * 60 / width * CAPACITY / 65535, 0.01, 1.5,
           n_minutes);
    expect("floor", (double)r->used, fmin(now, 65535) * CAPACITY / 65535, 0.001, 3, n_minutes);
    expect("left", r->left_s / 60.0, fmax(0, left - age), 0.01, 10, n_minutes);
    expect("low", r->left_low_s / 60.0, fmax(0, left / (1 + low_widths[scale] * x) - varies - age),
           0.02, 15, n_minutes);
    /* 0.15 is 38 / 256; left is in whole steps, of which one is lost so many times. */
    double stretched = 1 + high_widths[scale] * x;
    expect("high", r->left_high_s / 60.0, fmax(0, left * stretched + varies - age), 0.06,
           10 * stretched + 25, n_minutes);
}

static void run_series(void)
{
    double base = uniform(0.1, 0.5), noise = uniform(0, 0.02), rate = exp(uniform(-12.5, -6));
    int begin = (int)uniform(0, MINUTES / 2);

    if (ea_trend_init(&trend, CAPACITY, 60) != EA_OK) exit(1);
    for (int minute = 0; minute < MINUTES; minute++) {
        double leaked = minute > begin ? rate * (minute - begin) : 0;
        size_t used = (size_t)((base + leaked + uniform(0, noise)) * CAPACITY);
        ea_trend_report_t report;

        if (used > CAPACITY) return;
        history[minute] = (double)(used * 65535 / CAPACITY);
        ea_trend_sample(&trend, used);
        if (minute % 65 != 4) continue; /* the end of a step */
        ea_trend_read(&trend, &report);
        if (report.status == EA_TREND_LEAK) compare_report(&report, minute + 1);
    }
}

int main(int argc, char **argv)
{
    int n_series = argc > 1 ? atoi(argv[1]) : 40;
    for (int i = 1; i <= n_series && n_failed < 20; i++) {
        state = (uint32_t)i * 2654435761u;
        run_series();
    }
    printf("%u reports of %d series compared, %u numbers differ\n", n_compared, n_series, n_failed);
    return n_failed == 0 && n_compared > 200 ? 0 : 1;
}
