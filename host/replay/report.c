/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "json_text.h"
#include "printable.h"

#define CHART_ROWS 8
#define FRAG_ROWS 4
#define LABEL_COLUMNS 8
#define NAME_BYTES 1024

static double percent_above(uint64_t value, uint64_t base)
{
    return base == 0 ? 0 : ((double)value / (double)base - 1) * 100;
}

static double ns_per_op(const replay_result_t *result)
{
    return result->n_ops == 0 ? 0 : (double)result->elapsed_ns / (double)result->n_ops;
}

static const char *fit_name(const replay_report_t *report)
{
    return report->options->fit == EA_FIT_HALF ? "half" : "good";
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static unsigned long long ull(uint64_t value)
{
    return value;
}

/* --- text ------------------------------------------------------------------------------------- */

void report_recording(FILE *out, const replay_report_t *report)
{
    const trace_t *trace = report->trace;
    char command[CHART_MAX_COLUMNS], name[NAME_BYTES];
    size_t room = chart_columns(out) - 18;
    fprintf(out, "  recording       %s%s\n", printable_to(name, sizeof name, report->file),
            trace->partial ? " (partial)" : "");
    if (report->manifest != NULL) {
        fprintf(out, "                  the process with the most events in %s\n",
                printable_to(name, sizeof name, report->manifest));
    }
    if (trace->command[0] != '\0') {
        bool cut = strlen(trace->command) > room;
        printable_to(command, cut ? room - 2 : room + 1, trace->command);
        fprintf(out, "  command         %s%s\n", command, cut ? "..." : "");
    }
    fprintf(
        out,
        "  operations      %llu: %llu allocation%s, %llu reallocation%s, %llu free%s; %u thread%s,"
        " %.2f s\n",
        ull(trace->n_ops), ull(trace->n_allocs), plural(trace->n_allocs), ull(trace->n_reallocs),
        plural(trace->n_reallocs), ull(trace->n_frees), plural(trace->n_frees), trace->n_threads,
        trace->n_threads == 1 ? "" : "s", (double)trace->duration_us / 1e6);
    if (trace->n_irregular > 0) {
        fprintf(out, "  irregular       %llu event%s those before\n", ull(trace->n_irregular),
                trace->n_irregular == 1 ? " contradicts" : "s contradict");
    }
    if (trace->n_inherited > 0) {
        fprintf(out, "  inherited       %llu free%s of blocks from before the fork, left out\n",
                ull(trace->n_inherited), plural(trace->n_inherited));
    }
    if (trace->n_lost > 0) {
        fprintf(out, "  lost            %llu event%s that the recorder missed\n",
                ull(trace->n_lost), plural(trace->n_lost));
    }
    fprintf(out, "  ended           %s\n", trace->end);
}

static void print_heap(FILE *out, const replay_report_t *report)
{
    const replay_result_t *result = report->result;
    const replay_options_t *options = report->options;
    char text[16];
    fprintf(out, "  heap            %zu bytes (%s)%s; %s profile, %s fit, alignment %u\n",
            options->heap_bytes, chart_bytes(text, options->heap_bytes),
            report->heap_is_default ? ", chosen because --heap was not given" : "", report->profile,
            fit_name(report), (unsigned)options->ops->align_bytes);
    if (result->n_failures == 0) {
        fprintf(out, "  failures        none\n");
    } else {
        fprintf(out,
                "  failures        %llu; the first at event %llu: %llu bytes, with %llu free, the"
                " largest piece %llu\n",
                ull(result->n_failures), ull(result->first_failure.event),
                ull(result->first_failure.size_bytes), ull(result->first_failure.free_bytes),
                ull(result->first_failure.largest_free_bytes));
    }
    if (result->n_damaged > 0) {
        fprintf(out, "  contents        DAMAGED %llu times; the first: %s\n",
                ull(result->n_damaged), result->damage);
    } else {
        fprintf(out, "  contents        %s\n",
                options->check_contents ? "every block written and verified: intact"
                                        : "not checked");
    }
}

static void print_figures(FILE *out, const replay_report_t *report)
{
    const replay_result_t *result = report->result;
    const trace_t *trace = report->trace;
    fprintf(out, "  peak live       %llu bytes requested, at most %llu block%s at once\n",
            ull(trace->peak_live_bytes), ull(trace->peak_live_blocks),
            plural(trace->peak_live_blocks));
    fprintf(out, "  peak used       %llu bytes in blocks", ull(result->peak_used_bytes));
    if (result->n_failures == 0) { /* otherwise it is less than what was asked for */
        fprintf(out, ": overhead %.2f %%",
                percent_above(result->peak_used_bytes, trace->peak_live_bytes));
    }
    fputc('\n', out);
    fprintf(out, "  perfect packing %zu bytes (control structure: %zu)\n", report->perfect_bytes,
            result->stats.control_bytes);
    const find_min_result_t *smallest = report->smallest;
    if (smallest != NULL) {
        fprintf(out,
                "  smallest heap   %zu bytes: excess %.2f %% over perfect packing (%zu replays)\n",
                smallest->smallest_bytes,
                percent_above(smallest->smallest_bytes, report->perfect_bytes), smallest->n_runs);
        if (smallest->n_exceptions == 0) {
            fprintf(out,
                    "                  verified: the next %zu sizes, to +%.1f %%, complete too\n",
                    smallest->n_verified, (double)smallest->n_verified / 10.0);
        } else {
            fprintf(out, "  exceptions      %zu of %zu larger sizes fail:", smallest->n_exceptions,
                    smallest->n_verified);
            for (size_t i = 0; i < smallest->n_exceptions; i++) {
                fprintf(out, " %zu", smallest->exceptions[i]);
            }
            fprintf(out, "\n");
            if (smallest->safe_bytes != 0) {
                fprintf(out, "                  take %zu: from there all sizes tried complete\n",
                        smallest->safe_bytes);
            }
        }
    }
    fprintf(out, "  time            %.1f ns an operation%s\n", ns_per_op(result),
            report->options->check_contents ? ", writing and verifying contents included" : "");
}

static const char *const latency_names[LATENCY_KINDS] = {"allocation", "zeroed", "free",
                                                         "reallocation"};

static void print_latency(FILE *out, const replay_report_t *report)
{
    const latency_t *latency = report->latency;
    if (latency == NULL || report->trace->n_ops == 0) return;
    fprintf(out, "\n  ns each            count     median       99 %%     99.9 %%      worst\n");
    for (int k = 0; k < LATENCY_KINDS; k++) {
        if (latency->kind[k].count == 0) continue;
        fprintf(out, "  %-12s %12llu %10u %10u %10u %10u\n", latency_names[k],
                ull(latency->kind[k].count), latency->kind[k].median_ns, latency->kind[k].p99_ns,
                latency->kind[k].p999_ns, latency->kind[k].worst_ns);
    }
    fprintf(out,
            "                  the least of %d runs without contents; the clock's own %.0f ns are"
            " taken off, its step is %.1f ns\n",
            LATENCY_PASSES, latency->clock_ns, latency->step_ns);
}

/* The samples as n columns, the largest of each column's samples. */
static void fold_samples(const replay_result_t *result, uint64_t *used, uint64_t *frag, size_t n)
{
    for (size_t i = 0; i < result->n_samples; i++) {
        const replay_sample_t *sample = &result->samples[i];
        size_t column = i * n / result->n_samples;
        if (sample->used_bytes > used[column]) used[column] = sample->used_bytes;
        if (sample->frag_permille > frag[column]) frag[column] = sample->frag_permille;
    }
}

static void print_charts(FILE *out, const replay_report_t *report)
{
    const replay_result_t *result = report->result;
    uint64_t used[CHART_MAX_COLUMNS] = {0}, frag[CHART_MAX_COLUMNS] = {0};
    size_t columns = chart_columns(out) - LABEL_COLUMNS - 4;
    if (columns > result->n_samples) columns = result->n_samples;
    if (columns < 2) return;
    bool unicode = chart_is_unicode();
    char top[16];
    fold_samples(result, used, frag, columns);
    fprintf(out, "\n  bytes used, over the operations; the top is the whole heap\n");
    chart_area(out, used, columns, report->options->heap_bytes, CHART_ROWS,
               chart_bytes(top, report->options->heap_bytes), LABEL_COLUMNS, unicode);
    fprintf(out, "  fragmentation: the share of the free bytes outside the largest free piece\n");
    chart_area(out, frag, columns, 1000, FRAG_ROWS, "100 %", LABEL_COLUMNS, unicode);
}

void report_text(FILE *out, const replay_report_t *report)
{
    report_recording(out, report);
    print_heap(out, report);
    print_figures(out, report);
    print_latency(out, report);
    print_charts(out, report);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *json_first_failure(const replay_result_t *result)
{
    if (result->n_failures == 0) return json_null();
    return json_pack("{s:I, s:I, s:I, s:I}", "event", (json_int_t)result->first_failure.event,
                     "size_bytes", (json_int_t)result->first_failure.size_bytes, "free_bytes",
                     (json_int_t)result->first_failure.free_bytes, "largest_free_bytes",
                     (json_int_t)result->first_failure.largest_free_bytes);
}

/* Only where everything was granted is what is used comparable with what was asked for. */
static json_t *json_overhead(const replay_report_t *report)
{
    if (report->result->n_failures > 0) return json_null();
    return json_real(
        percent_above(report->result->peak_used_bytes, report->trace->peak_live_bytes));
}

static json_t *json_smallest(const replay_report_t *report)
{
    const find_min_result_t *smallest = report->smallest;
    if (smallest == NULL) return json_null();
    json_t *exceptions = json_array();
    for (size_t i = 0; i < smallest->n_exceptions; i++) {
        json_array_append_new(exceptions, json_integer((json_int_t)smallest->exceptions[i]));
    }
    return json_pack("{s:I, s:I, s:f, s:o, s:I}", "smallest_bytes",
                     (json_int_t)smallest->smallest_bytes, "safe_bytes",
                     (json_int_t)smallest->safe_bytes, "excess_percent",
                     percent_above(smallest->smallest_bytes, report->perfect_bytes), "exceptions",
                     exceptions, "replays", (json_int_t)smallest->n_runs);
}

static json_t *json_fragmentation(const replay_result_t *result)
{
    uint64_t worst = 0, sum = 0;
    for (size_t i = 0; i < result->n_samples; i++) {
        uint64_t permille = result->samples[i].frag_permille;
        sum += permille;
        if (permille > worst) worst = permille;
    }
    uint64_t mean = result->n_samples != 0 ? sum / result->n_samples : 0;
    return json_pack("{s:I, s:I}", "mean_permille", (json_int_t)mean, "worst_permille",
                     (json_int_t)worst);
}

json_t *report_recording_json(const replay_report_t *report)
{
    const trace_t *trace = report->trace;
    json_t *found = json_object();
    json_object_set_new(found, "file", json_text(report->file));
    json_object_set_new(found, "manifest", json_text(report->manifest));
    json_object_set_new(found, "command", json_text(trace->command));
    json_object_set_new(found, "partial", json_boolean(trace->partial));
    json_object_set_new(found, "error", json_text(trace->error));
    json_object_set_new(found, "irregularity", json_text(trace->irregularity));
    json_object_set_new(found, "irregular", json_u64(trace->n_irregular));
    json_object_set_new(found, "inherited", json_u64(trace->n_inherited));
    json_object_set_new(found, "lost", json_u64(trace->n_lost));
    json_object_set_new(found, "events", json_u64(trace->n_events));
    json_object_set_new(found, "operations", json_u64(trace->n_ops));
    json_object_set_new(found, "allocations", json_u64(trace->n_allocs));
    json_object_set_new(found, "reallocations", json_u64(trace->n_reallocs));
    json_object_set_new(found, "frees", json_u64(trace->n_frees));
    json_object_set_new(found, "recorded_failures", json_u64(trace->n_recorded_failures));
    json_object_set_new(found, "unclosed", json_boolean(trace->unclosed));
    json_object_set_new(found, "ended", json_text(trace->end));
    json_object_set_new(found, "threads", json_u64(trace->n_threads));
    json_object_set_new(found, "duration_us", json_u64(trace->duration_us));
    return found;
}

static json_t *json_latency(const latency_t *latency)
{
    if (latency == NULL) return json_null();
    json_t *found = json_pack("{s:f, s:f, s:i}", "clock_ns", latency->clock_ns, "clock_step_ns",
                              latency->step_ns, "runs", LATENCY_PASSES);
    for (int k = 0; k < LATENCY_KINDS; k++) {
        json_object_set_new(found, latency_names[k],
                            json_pack("{s:o, s:o, s:o, s:o, s:o}", "count",
                                      json_u64(latency->kind[k].count), "median",
                                      json_u64(latency->kind[k].median_ns), "p99",
                                      json_u64(latency->kind[k].p99_ns), "p99_9",
                                      json_u64(latency->kind[k].p999_ns), "worst",
                                      json_u64(latency->kind[k].worst_ns)));
    }
    return found;
}

static json_t *json_heap(const replay_report_t *report)
{
    const replay_options_t *options = report->options;
    return json_pack("{s:I, s:b, s:s, s:s, s:i, s:i, s:I}", "heap_bytes",
                     (json_int_t)options->heap_bytes, "chosen", report->heap_is_default, "profile",
                     report->profile, "fit", fit_name(report), "align",
                     (int)options->ops->align_bytes, "link_bits", (int)options->ops->link_bits,
                     "control_bytes", (json_int_t)report->result->stats.control_bytes);
}

bool report_json(FILE *out, const replay_report_t *report)
{
    const replay_result_t *result = report->result;
    const trace_t *trace = report->trace;
    json_t *root = json_pack(
        "{s:o, s:o, s:I, s:o, s:b, s:I, s:s?, s:I, s:I, s:I, s:o, s:I, s:o, s:o, s:f, s:o}",
        "recording", report_recording_json(report), "heap", json_heap(report), "failures",
        (json_int_t)result->n_failures, "first_failure", json_first_failure(result),
        "contents_checked", report->options->check_contents, "damaged",
        (json_int_t)result->n_damaged, "damage", result->n_damaged > 0 ? result->damage : NULL,
        "peak_live_bytes", (json_int_t)trace->peak_live_bytes, "peak_live_blocks",
        (json_int_t)trace->peak_live_blocks, "peak_used_bytes", (json_int_t)result->peak_used_bytes,
        "overhead_percent", json_overhead(report), "perfect_packing_bytes",
        (json_int_t)report->perfect_bytes, "find_min", json_smallest(report), "fragmentation",
        json_fragmentation(result), "ns_per_operation", ns_per_op(result), "latency_ns",
        json_latency(report->latency));
    if (root == NULL) return false;
    bool ok = json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0;
    json_decref(root);
    return fputc('\n', out) != EOF && ok;
}

/* --- CSV -------------------------------------------------------------------------------------- */

bool report_timeline(FILE *out, const replay_report_t *report)
{
    fprintf(out, "time_us,live,used,free,largest_free,fragmentation_permille\n");
    for (size_t i = 0; i < report->result->n_samples; i++) {
        const replay_sample_t *sample = &report->result->samples[i];
        fprintf(out, "%llu,%llu,%llu,%llu,%llu,%u\n", ull(sample->time_us), ull(sample->live_bytes),
                ull(sample->used_bytes), ull(sample->free_bytes), ull(sample->largest_free_bytes),
                sample->frag_permille);
    }
    bool ok = ferror(out) == 0;
    return fclose(out) == 0 && ok;
}
