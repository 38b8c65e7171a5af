/* SPDX-License-Identifier: MIT
 *
 * How well ea_trend_t finds leaks: the device's code on made-up series with a label, some of which
 * leak. Prints confusion matrices and the figures that must be reached.
 *
 *     leaks_series [--seeds test|tune] [--scale N] [--json FILE] [--check]
 *
 * --seeds: the series it was tuned on, or those it never saw (default). --scale: tenths of the full
 * number of series (10). --check: status 1 unless every figure is reached.
 *
 * How it is counted. An alarm is a change of status to LEAK. Before a leak begins, and where there
 * is none, it is false; after, and before the capacity is reached, it finds the leak. An episode
 * that began before the leak does not count as having found it. False alarms that come back within
 * three days are one. Forecasts are taken at the first alarm and every six hours while there is one
 * (every half an hour of a fast leak), from when the last leak has begun; what they are held
 * against is when use, with its peaks, met the capacity.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/trend.h"
#include "usage_series.h"

#define CAPACITY (1u << 20)
#define STEP 5 /* minutes: alarms change at the end of a step */
#define MONTH (30.0 * DAY)
#define MAX_FORECASTS 200000

typedef enum { TOTAL_FULL, TOTAL_20, TOTAL_10, TOTAL_5, TOTAL_LESS, N_TOTALS } total_t;

static const char *const total_names[N_TOTALS] = {"reaches the capacity", "20 % and more",
                                                  "10 to 20 %", "5 to 10 %", "less"};

typedef struct {
    int n[2]; /* not found, found */
} cell_t;

typedef struct {
    int n_series, n_alarmed, n_alarms, n_cleared;
    double months;
} quiet_t;

typedef struct {
    double left, low, high, truth;
    bool is_first;
} forecast_t;

static struct {
    cell_t totals[N_LEAKS][N_TOTALS];
    quiet_t quiet[N_BACKGROUNDS];
    double *leads[N_LEAKS], *delays[N_LEAKS];
    int n_found[N_LEAKS], n_delays[N_LEAKS];
    forecast_t *forecasts;
    int n_forecasts;
    double months;
} all;

static void die(const char *what, const char *text)
{
    fprintf(stderr, "leaks_series: %s: %s\n", what, text);
    exit(2);
}

static void *must(void *memory)
{
    if (memory == NULL) die("memory", "none");
    return memory;
}

/* --- one series ------------------------------------------------------------------------------- */

static total_t total_of(const usage_series_t *s)
{
    if (s->full_minute >= 0) return TOTAL_FULL;
    if (s->leaked >= 0.20) return TOTAL_20;
    if (s->leaked >= 0.10) return TOTAL_10;
    return s->leaked >= 0.05 ? TOTAL_5 : TOTAL_LESS;
}

static void note_forecast(const usage_series_t *s, const ea_trend_report_t *report, bool is_first)
{
    if (all.n_forecasts == MAX_FORECASTS) die("forecasts", "too many");
    all.forecasts[all.n_forecasts++] =
        (forecast_t){report->left_s / 60.0, report->left_low_s / 60.0, report->left_high_s / 60.0,
                     s->minute, is_first};
}

static void run_series(uint64_t seed, background_t background, leak_t leak)
{
    static ea_trend_t trend;
    usage_series_t s;
    double used;
    bool was_leak = false, is_found = false;
    int quiet_since = -4 * DAY, n_alarms = 0, n_cleared = 0, found_minute = -1;
    int first_forecast = all.n_forecasts, next_forecast = 0;

    series_begin(&s, seed, background, leak);
    if (ea_trend_init(&trend, CAPACITY, 60) != EA_OK) die("trend", "refused");
    while (series_next(&s, &used)) {
        ea_trend_report_t report;
        ea_trend_sample(&trend, (size_t)(used * CAPACITY));
        if (s.minute % STEP != 0) continue;
        ea_trend_read(&trend, &report);
        bool is_leak = report.status == EA_TREND_LEAK;
        bool is_before = s.leak_minute < 0 || s.minute <= s.leak_minute;
        if (is_leak && !was_leak) {
            if (is_before) {
                n_alarms += s.minute - quiet_since > 3 * DAY;
            } else if (!is_found) {
                is_found = true;
                found_minute = s.minute;
            }
        }
        if (!is_leak && was_leak) quiet_since = s.minute;
        if (is_found && is_leak && s.minute > s.second_minute &&
            (s.minute == found_minute || s.minute >= next_forecast)) {
            note_forecast(&s, &report, s.minute == found_minute);
            next_forecast = s.minute + (leak == LEAK_FAST ? 30 : 360);
        }
        was_leak = is_leak;
    }
    if (n_alarms > 0 && !was_leak) n_cleared = 1;

    quiet_t *quiet = &all.quiet[background];
    double months = (s.leak_minute < 0 ? s.minute : fmin(s.leak_minute, s.minute)) / MONTH;
    quiet->months += months;
    quiet->n_alarms += n_alarms;
    if (leak == NO_LEAK) {
        quiet->n_series++;
        quiet->n_alarmed += n_alarms > 0;
        quiet->n_cleared += n_cleared;
    }
    all.months += s.minute / MONTH;

    /* Of what did not get full no truth is known. */
    if (s.full_minute < 0) all.n_forecasts = first_forecast;
    for (int i = first_forecast; i < all.n_forecasts; i++)
        all.forecasts[i].truth = s.full_minute - all.forecasts[i].truth;
    if (leak == NO_LEAK) return;
    all.totals[leak][total_of(&s)].n[is_found]++;
    if (is_found) all.delays[leak][all.n_delays[leak]++] = found_minute - s.leak_minute;
    if (is_found && s.full_minute >= 0)
        all.leads[leak][all.n_found[leak]++] = s.full_minute - found_minute;
}

static void run_all(uint64_t set, int scale)
{
    int n_plain = 6 * scale, n_filling = 6 * scale, n_leak = 40 * scale;
    uint64_t seed = set << 32;

    all.forecasts = must(malloc(MAX_FORECASTS * sizeof *all.forecasts));
    for (leak_t leak = LEAK_SLOW; leak < N_LEAKS; leak++) {
        all.leads[leak] = must(malloc((size_t)n_leak * sizeof(double)));
        all.delays[leak] = must(malloc((size_t)n_leak * sizeof(double)));
        for (int i = 0; i < n_leak; i++) {
            background_t plain = i % N_PLAIN, other = N_PLAIN + i / 7 % (N_BACKGROUNDS - N_PLAIN);
            run_series(++seed, i % 7 == 6 ? other : plain, leak);
        }
    }
    for (background_t b = 0; b < N_BACKGROUNDS; b++)
        for (int i = 0; i < (b < N_PLAIN ? n_plain : n_filling); i++)
            run_series(++seed, b, NO_LEAK);
}

/* --- figures ---------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(double *values, int n, double part)
{
    if (n == 0) return NAN;
    qsort(values, (size_t)n, sizeof *values, compare);
    return values[(int)(part * (n - 1) + 0.5)];
}

typedef struct {
    const char *name, *unit;
    double value, reach, stretch;
    bool is_more_better;
    double most; /* of a figure that must lie in a range; 0: none */
} figure_t;

#define MAX_FIGURES 32
static figure_t figures[MAX_FIGURES];
static int n_figures;

static void add(const char *name, const char *unit, double value, double reach, double stretch)
{
    figures[n_figures++] = (figure_t){name, unit, value, reach, stretch, stretch > reach, 0};
}

static double recall(total_t total)
{
    int found = 0, n = 0;
    for (leak_t leak = LEAK_SLOW; leak < N_LEAKS; leak++) {
        found += all.totals[leak][total].n[1];
        n += all.totals[leak][total].n[0] + all.totals[leak][total].n[1];
    }
    return (double)found / n;
}

static double false_alarms(background_t from, background_t end, double *months)
{
    int n = 0;
    *months = 0;
    for (background_t b = from; b < end; b++) {
        n += all.quiet[b].n_alarms;
        *months += all.quiet[b].months;
    }
    return n / *months;
}

static double coverage(bool first_only)
{
    int in = 0, n = 0;
    for (int i = 0; i < all.n_forecasts; i++) {
        const forecast_t *f = &all.forecasts[i];
        if (first_only && !f->is_first) continue;
        in += f->low <= f->truth && f->truth <= f->high;
        n++;
    }
    return (double)in / n;
}

static void add_forecasts(void)
{
    double *errors = must(malloc((size_t)(all.n_forecasts + 1) * sizeof *errors));
    double *widths = must(malloc((size_t)(all.n_forecasts + 1) * sizeof *widths));
    int within = 0, n_first = 0;

    for (int i = 0; i < all.n_forecasts; i++) {
        const forecast_t *f = &all.forecasts[i];
        double truth = fmax(f->truth, 1);
        errors[i] = 100 * fabs(f->left - f->truth) / truth;
        widths[i] = f->low > 0 ? f->high / f->low : INFINITY;
        n_first += f->is_first;
        within += f->is_first && f->left >= truth / 2 && f->left <= truth * 2;
    }
    add("band holds the truth, all forecasts", "", coverage(false), 0.88, 0.90);
    figures[n_figures - 1].most = 0.95;
    add("band holds the truth, first alarm", "", coverage(true), 0.86, 0.88);
    add("median error", "%", quantile(errors, all.n_forecasts, 0.5), 22, 18);
    add("within a factor of 2, first alarm", "%", 100.0 * within / n_first, 78, 82);
    add("high / low, median", "", quantile(widths, all.n_forecasts, 0.5), 8, 5);
    free(errors);
    free(widths);
}

static void add_figures(void)
{
    double months;
    add("recall, reaches the capacity", "", recall(TOTAL_FULL), 0.97, 0.99);
    add("recall, 10 to 20 %", "", recall(TOTAL_10), 0.60, 0.80);
    add("recall, 5 to 10 %", "", recall(TOTAL_5), 0.35, 0.50);
    add("false alarms a month, plain", "", false_alarms(STEADY, N_PLAIN, &months), 0.10, 0.05);
    add("false alarms a month, filling", "", false_alarms(N_PLAIN, N_BACKGROUNDS, &months), 0.6,
        0.3);
    static const struct {
        leak_t leak;
        const char *middle, *least;
    } kinds[] = {{LEAK_SLOW, "lead, slow, median", "lead, slow, least tenth"},
                 {LEAK_LATE, "lead, late, median", "lead, late, least tenth"},
                 {LEAK_LOAD, "lead, load, median", "lead, load, least tenth"},
                 {LEAK_FAST, "lead, fast, median", "lead, fast, least tenth"}};
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        leak_t leak = kinds[i].leak;
        bool is_fast = leak == LEAK_FAST;
        add(kinds[i].middle, "h", quantile(all.leads[leak], all.n_found[leak], 0.5) / 60,
            is_fast ? 3 : 48, is_fast ? 3.5 : 72);
        add(kinds[i].least, "h", quantile(all.leads[leak], all.n_found[leak], 0.1) / 60,
            is_fast ? 1 : 12, is_fast ? 1.1 : 20);
    }
    add_forecasts();
}

static bool is_reached(const figure_t *f, double bound)
{
    if (f->most > 0 && f->value > f->most) return false;
    return f->is_more_better ? f->value >= bound : f->value <= bound;
}

/* --- what is printed -------------------------------------------------------------------------- */

static void print_matrices(void)
{
    printf("%-22s", "leaks: found/missed");
    for (leak_t leak = LEAK_SLOW; leak < N_LEAKS; leak++) printf(" %9s", leak_names[leak]);
    printf("       all  recall\n");
    for (total_t total = 0; total < N_TOTALS; total++) {
        cell_t sum = {{0, 0}};
        char text[32];
        printf("%-22s", total_names[total]);
        for (leak_t leak = LEAK_SLOW; leak < N_LEAKS; leak++) {
            const cell_t *cell = &all.totals[leak][total];
            sum.n[0] += cell->n[0];
            sum.n[1] += cell->n[1];
            snprintf(text, sizeof text, "%d/%d", cell->n[1], cell->n[0]);
            printf(" %9s", text);
        }
        snprintf(text, sizeof text, "%d/%d", sum.n[1], sum.n[0]);
        printf(" %9s  %6.2f\n", text, (double)sum.n[1] / (sum.n[0] + sum.n[1]));
    }
    printf("%-22s", "delay, median, hours");
    for (leak_t leak = LEAK_SLOW; leak < N_LEAKS; leak++)
        printf(" %9.1f", quantile(all.delays[leak], all.n_delays[leak], 0.5) / 60);

    printf("\n\n%-16s %7s %8s %8s %8s %8s %8s\n", "no leak", "series", "alarmed", "of them",
           "months", "alarms", "a month");
    printf("%-16s %7s %8s %8s\n", "", "", "", "ended");
    for (background_t b = 0; b < N_BACKGROUNDS; b++) {
        const quiet_t *q = &all.quiet[b];
        if (b == N_PLAIN) printf("\n");
        printf("%-16s %7d %8d %8d %8.1f %8d %8.2f\n", background_names[b], q->n_series,
               q->n_alarmed, q->n_cleared, q->months, q->n_alarms, q->n_alarms / q->months);
    }
}

static const char *print_figures(void)
{
    const char *missed = NULL;
    printf("\n%-38s %8s %8s %8s\n", "figure", "here", "reach", "stretch");
    for (int i = 0; i < n_figures; i++) {
        const figure_t *f = &figures[i];
        char name[64];
        snprintf(name, sizeof name, "%s%s%s", f->name, f->unit[0] ? ", " : "", f->unit);
        bool is_good = is_reached(f, f->reach);
        printf("%-38s %8.3f %8.2f %8.2f  %s\n", name, f->value, f->reach, f->stretch,
               !is_good                    ? "MISSED"
               : is_reached(f, f->stretch) ? "stretch"
                                           : "reached");
        if (!is_good && missed == NULL) missed = f->name;
    }
    return missed;
}

static void write_json(const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) die(path, strerror(errno));
    fprintf(file, "[");
    for (int i = 0; i < n_figures; i++) {
        const figure_t *f = &figures[i];
        fprintf(file,
                "%s\n  {\"bench\": \"leaks_series\", \"subject\": \"%s\", \"unit\": \"%s\", "
                "\"value\": %.6g, \"reach\": %.6g, \"stretch\": %.6g}",
                i > 0 ? "," : "", f->name, f->unit, isfinite(f->value) ? f->value : -1, f->reach,
                f->stretch);
    }
    fprintf(file, "\n]\n");
    if (fclose(file) != 0) die(path, strerror(errno));
}

int main(int argc, char **argv)
{
    const char *json = NULL;
    bool checks = false;
    uint64_t set = 2;
    int scale = 10;

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--check") == 0) {
            checks = true;
            continue;
        } else if (strcmp(argv[i], "--json") == 0 && value[0] != '\0') {
            json = value;
        } else if (strcmp(argv[i], "--scale") == 0 && atoi(value) > 0) {
            scale = atoi(value);
        } else if (strcmp(argv[i], "--seeds") == 0 && strcmp(value, "tune") == 0) {
            set = 1;
        } else if (strcmp(argv[i], "--seeds") != 0 || strcmp(value, "test") != 0) {
            die(argv[i], "no such option, or its value is missing");
        }
        i++;
    }
    run_all(set, scale);
    printf("%s series, %.0f months; a trend is %zu bytes\n\n", set == 1 ? "tuning" : "test",
           all.months, sizeof(ea_trend_t));
    print_matrices();
    add_figures();
    printf("\n%d forecasts\n", all.n_forecasts);
    const char *missed = print_figures();
    if (json != NULL) write_json(json);
    if (checks && missed != NULL) {
        fprintf(stderr, "leaks_series: not reached: %s\n", missed);
        return 1;
    }
    return 0;
}
