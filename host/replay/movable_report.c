/* SPDX-License-Identifier: MIT */
#include "movable_report.h"

#include <stdlib.h>

#include "chart.h"
#include "json_text.h"
#include "printable.h"

#define NAME_BYTES 1024

static const char *const reasons[MOVABLE_REASONS] = {
    "again", "no_memory", "busy", "limit", "too_large", "other",
};
static const char *const reason_words[MOVABLE_REASONS] = {
    "for want of budget",   "for want of memory", "for locked blocks",
    "for want of a handle", "too large",          "for another reason",
};

static unsigned long long ull(uint64_t value)
{
    return value;
}

static double ratio(uint64_t value, uint64_t base)
{
    return base == 0 ? 0 : (double)value / (double)base;
}

static double percent_above(uint64_t value, uint64_t base)
{
    return base == 0 ? 0 : (ratio(value, base) - 1) * 100;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* What the blocks take that are not asked for. */
static uint64_t metadata_bytes(const movable_report_t *report)
{
    return report->need->total_bytes - report->trace->peak_live_bytes;
}

/* --- text ------------------------------------------------------------------------------------- */

static void print_store(FILE *out, const movable_report_t *report)
{
    const movable_options_t *options = report->options;
    char text[16], name[NAME_BYTES];
    if (report->n_sites == 0) {
        fprintf(out, "  movable         every block\n");
    } else {
        fprintf(out, "  movable         blocks of %u of %u call sites:", report->n_chosen,
                report->n_allocating);
        for (size_t i = 0; i < report->n_sites; i++)
            fprintf(out, " %s", printable_to(name, sizeof name, report->sites[i]));
        fprintf(out, "; %llu of %llu allocations\n", ull(report->trace->n_allocs),
                ull(report->whole->trace->n_allocs));
    }
    fprintf(out, "  layout          %s: units of %zu bytes, up to %s\n", options->ops->name,
            options->ops->unit_bytes, chart_bytes(text, options->ops->most_bytes));
    fprintf(out, "  budgets         ");
    if (options->demand_bytes == EA_MOVABLE_UNLIMITED)
        fprintf(out, "a request may move whatever it takes");
    else
        fprintf(out, "a request may move %zu bytes", options->demand_bytes);
    if (options->idle_bytes != 0)
        fprintf(out, "; a step of %zu bytes after every %zu operation%s", options->idle_bytes,
                options->idle_every, plural(options->idle_every));
    fprintf(out, "\n  region          %zu bytes (%s)", options->region_bytes,
            chart_bytes(text, options->region_bytes));
    if (report->smallest != NULL)
        fprintf(out, ", the smallest that completes (%zu replay%s)", report->smallest->n_runs,
                plural(report->smallest->n_runs));
    fputc('\n', out);
    if (report->smallest != NULL && report->smallest->n_exceptions > 0) {
        fprintf(out, "  exceptions      %zu of %zu larger sizes fail",
                report->smallest->n_exceptions, report->smallest->n_verified);
        if (report->smallest->safe_bytes != 0)
            fprintf(out, "; take %zu: from there all sizes tried complete",
                    report->smallest->safe_bytes);
        fputc('\n', out);
    }
}

static void print_outcome(FILE *out, const movable_report_t *report)
{
    const movable_result_t *result = report->result;
    if (result->n_failures == 0) {
        fprintf(out, "  failures        none\n");
    } else {
        const char *separator = ": ";
        fprintf(out, "  failures        %llu", ull(result->n_failures));
        for (int i = 0; i < MOVABLE_REASONS; i++) {
            if (result->n_refused[i] == 0) continue;
            fprintf(out, "%s%llu %s", separator, ull(result->n_refused[i]), reason_words[i]);
            separator = ", ";
        }
        fprintf(
            out,
            "\n                  the first at event %llu: %llu bytes, with %llu free, the largest"
            " piece %llu\n",
            ull(result->first_failure.event), ull(result->first_failure.size_bytes),
            ull(result->first_failure.free_bytes), ull(result->first_failure.largest_bytes));
    }
    if (result->n_damaged > 0) {
        fprintf(out, "  contents        DAMAGED %llu times; the first: %s\n",
                ull(result->n_damaged), result->damage);
    } else {
        fprintf(out, "  contents        %s\n",
                report->options->check_contents ? "every block written and verified: intact"
                                                : "not checked");
    }
    if (result->n_aligned > 0)
        fprintf(out, "  alignment       %llu request%s for more than %zu bytes of it got that\n",
                ull(result->n_aligned), plural(result->n_aligned),
                report->options->ops->unit_bytes);
}

static void print_needs(FILE *out, const movable_report_t *report)
{
    const movable_need_t *need = report->need;
    const movable_result_t *result = report->result;
    const trace_t *trace = report->trace;
    fprintf(out, "  peak live       %llu bytes requested, at most %llu block%s at once\n",
            ull(trace->peak_live_bytes), ull(trace->peak_live_blocks),
            plural(trace->peak_live_blocks));
    fprintf(out,
            "  with metadata   %llu bytes: blocks %llu with headers and rounding, table %llu,"
            " control structure %llu\n",
            ull(need->total_bytes), ull(need->blocks_bytes), ull(need->table_bytes),
            ull(need->control_bytes));
    fprintf(out, "  region above it %.3f %%\n",
            percent_above(report->options->region_bytes, need->total_bytes));
    fprintf(out,
            "  moved           %zu bytes in %zu move%s: %.3f a byte requested; at most %llu in one"
            " request",
            result->stats.moved_bytes, result->stats.n_moves, plural(result->stats.n_moves),
            ratio(result->stats.moved_bytes, trace->requested_bytes),
            ull(result->most_moved_bytes));
    fprintf(out, ", %zu charged\n", result->stats.max_demand_bytes);
}

static void print_comparison(FILE *out, const movable_report_t *report)
{
    const replay_report_t *whole = report->whole;
    size_t region = report->options->region_bytes, total = region;
    fprintf(out, "\n  without it, %s profile, %s fit:\n", whole->profile,
            whole->options->fit == EA_FIT_HALF ? "half" : "good");
    if (whole->result != NULL) {
        fprintf(out, "  heap            %zu bytes: %llu failure%s\n", whole->options->heap_bytes,
                ull(whole->result->n_failures), plural(whole->result->n_failures));
        return;
    }
    if (report->n_sites != 0) {
        if (report->rest == NULL) {
            fprintf(out, "  rest            no heap of this kind completes it\n");
        } else {
            total += report->rest->smallest_bytes;
            fprintf(out, "  rest            %zu bytes, the smallest heap; with the region %zu\n",
                    report->rest->smallest_bytes, total);
        }
    }
    if (report->heap == NULL) {
        fprintf(out, "  heap            no heap of this kind completes the recording\n");
        return;
    }
    size_t heap = report->heap->smallest_bytes;
    fprintf(out, "  heap            %zu bytes, the smallest: excess %.2f %% over perfect packing\n",
            heap, percent_above(heap, whole->perfect_bytes));
    if (report->n_sites != 0 && report->rest == NULL) return;
    fprintf(out, "  compaction      %s %zu bytes: %.2f %% of the heap\n",
            total <= heap ? "saves" : "costs", total <= heap ? heap - total : total - heap,
            100 * ratio(total <= heap ? heap - total : total - heap, heap));
}

void movable_report_text(FILE *out, const movable_report_t *report)
{
    report_recording(out, report->whole);
    print_store(out, report);
    print_outcome(out, report);
    print_needs(out, report);
    print_comparison(out, report);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *json_sites(const movable_report_t *report)
{
    if (report->n_sites == 0) return json_null();
    json_t *texts = json_array(), *found = json_object();
    for (size_t i = 0; i < report->n_sites; i++)
        json_array_append_new(texts, json_text(report->sites[i]));
    json_object_set_new(found, "asked_for", texts);
    json_object_set_new(found, "chosen", json_u64(report->n_chosen));
    json_object_set_new(found, "allocating", json_u64(report->n_allocating));
    return found;
}

static json_t *json_store(const movable_report_t *report)
{
    const movable_options_t *options = report->options;
    json_t *found = json_object();
    json_object_set_new(found, "layout", json_text(options->ops->name));
    json_object_set_new(found, "unit_bytes", json_u64(options->ops->unit_bytes));
    json_object_set_new(found, "region_bytes", json_u64(options->region_bytes));
    json_object_set_new(found, "demand_bytes",
                        options->demand_bytes == EA_MOVABLE_UNLIMITED
                            ? json_null()
                            : json_u64(options->demand_bytes));
    json_object_set_new(found, "idle_bytes", json_u64(options->idle_bytes));
    json_object_set_new(found, "idle_every",
                        options->idle_bytes != 0 ? json_u64(options->idle_every) : json_null());
    json_object_set_new(found, "sites", json_sites(report));
    return found;
}

static json_t *json_refused(const movable_result_t *result)
{
    json_t *found = json_object();
    for (int i = 0; i < MOVABLE_REASONS; i++)
        json_object_set_new(found, reasons[i], json_u64(result->n_refused[i]));
    return found;
}

static json_t *json_first_failure(const movable_result_t *result)
{
    if (result->n_failures == 0) return json_null();
    json_t *found = json_object();
    json_object_set_new(found, "event", json_u64(result->first_failure.event));
    json_object_set_new(found, "reason", json_text(reasons[result->first_failure.reason]));
    json_object_set_new(found, "size_bytes", json_u64(result->first_failure.size_bytes));
    json_object_set_new(found, "free_bytes", json_u64(result->first_failure.free_bytes));
    json_object_set_new(found, "largest_bytes", json_u64(result->first_failure.largest_bytes));
    return found;
}

static json_t *json_moved(const movable_report_t *report)
{
    const movable_result_t *result = report->result;
    json_t *found = json_object();
    json_object_set_new(found, "bytes", json_u64(result->stats.moved_bytes));
    json_object_set_new(found, "blocks", json_u64(result->stats.n_moves));
    json_object_set_new(
        found, "per_requested_byte",
        json_real(ratio(result->stats.moved_bytes, report->trace->requested_bytes)));
    json_object_set_new(found, "most_in_one_request", json_u64(result->most_moved_bytes));
    json_object_set_new(found, "most_charged", json_u64(result->stats.max_demand_bytes));
    json_object_set_new(found, "steps", json_u64(result->n_steps));
    return found;
}

static json_t *json_need(const movable_report_t *report)
{
    const movable_need_t *need = report->need;
    json_t *found = json_object();
    json_object_set_new(found, "peak_live_bytes", json_u64(report->trace->peak_live_bytes));
    json_object_set_new(found, "peak_live_blocks", json_u64(report->trace->peak_live_blocks));
    json_object_set_new(found, "metadata_bytes", json_u64(metadata_bytes(report)));
    json_object_set_new(found, "total_bytes", json_u64(need->total_bytes));
    json_object_set_new(found, "blocks_bytes", json_u64(need->blocks_bytes));
    json_object_set_new(found, "table_bytes", json_u64(need->table_bytes));
    json_object_set_new(found, "control_bytes", json_u64(need->control_bytes));
    json_object_set_new(found, "region_ratio",
                        json_real(ratio(report->options->region_bytes, need->total_bytes)));
    return found;
}

static json_t *json_smallest(const find_min_result_t *smallest)
{
    if (smallest == NULL) return json_null();
    json_t *found = json_object();
    json_object_set_new(found, "smallest_bytes", json_u64(smallest->smallest_bytes));
    json_object_set_new(found, "safe_bytes", json_u64(smallest->safe_bytes));
    json_object_set_new(found, "exceptions", json_u64(smallest->n_exceptions));
    json_object_set_new(found, "replays", json_u64(smallest->n_runs));
    return found;
}

static json_t *json_comparison(const movable_report_t *report)
{
    const replay_report_t *whole = report->whole;
    json_t *found = json_object();
    json_object_set_new(found, "profile", json_text(whole->profile));
    json_object_set_new(found, "fit",
                        json_text(whole->options->fit == EA_FIT_HALF ? "half" : "good"));
    json_object_set_new(found, "perfect_packing_bytes", json_u64(whole->perfect_bytes));
    json_object_set_new(found, "all_in_heap", json_smallest(report->heap));
    json_object_set_new(found, "rest_in_heap", json_smallest(report->rest));
    json_object_set_new(found, "heap_bytes",
                        whole->result != NULL ? json_u64(whole->options->heap_bytes) : json_null());
    json_object_set_new(found, "heap_failures",
                        whole->result != NULL ? json_u64(whole->result->n_failures) : json_null());
    return found;
}

bool movable_report_json(FILE *out, const movable_report_t *report)
{
    const movable_result_t *result = report->result;
    json_t *root = json_object();
    json_object_set_new(root, "recording", report_recording_json(report->whole));
    json_object_set_new(root, "movable", json_store(report));
    json_object_set_new(root, "failures", json_u64(result->n_failures));
    json_object_set_new(root, "refused", json_refused(result));
    json_object_set_new(root, "first_failure", json_first_failure(result));
    json_object_set_new(root, "contents_checked", json_boolean(report->options->check_contents));
    json_object_set_new(root, "damaged", json_u64(result->n_damaged));
    json_object_set_new(root, "damage", json_text(result->n_damaged > 0 ? result->damage : NULL));
    json_object_set_new(root, "less_aligned", json_u64(result->n_aligned));
    json_object_set_new(root, "need", json_need(report));
    json_object_set_new(root, "find_min", json_smallest(report->smallest));
    json_object_set_new(root, "moved", json_moved(report));
    json_object_set_new(root, "comparison", json_comparison(report));
    bool ok = root != NULL && json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(7)) == 0;
    json_decref(root);
    return fputc('\n', out) != EOF && ok;
}
