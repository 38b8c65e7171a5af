/* SPDX-License-Identifier: MIT
 *
 * One recording in words, or as JSON.
 */
#define _GNU_SOURCE
#include "describe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "census.h"
#include "json_text.h"
#include "printable.h"
#include "recording.h"
#include "sane.h"
#include "symbols.h"

#define NAME_BYTES 1024

typedef struct {
    const char *file;
    uint32_t n_sites; /* to show at most */
    rec_reader_t *reader;
    census_t census;
    rec_damage_t damage;
    bool complete;
    uint32_t *top; /* sites by bytes allocated, most first */
    uint32_t n_top;
    symbols_t *symbols;
} report_t;

static const char *const kind_names[CENSUS_KINDS] = {
    "", "malloc", "calloc", "aligned", "realloc", "free", "usable_size", "failed",
};
static const char *const lifetime_names[CENSUS_LIFETIMES] = {
    "< 100 us", "< 1 ms", "< 10 ms", "< 100 ms", "< 1 s", "< 10 s", ">= 10 s",
};

static const census_t *sorted_census; /* qsort has no argument for it */

static int by_bytes(const void *a, const void *b)
{
    uint64_t x = sorted_census->sites[*(const uint32_t *)a].n_bytes;
    uint64_t y = sorted_census->sites[*(const uint32_t *)b].n_bytes;
    return x > y ? -1 : x < y;
}

static void choose_sites(report_t *r)
{
    uint32_t n = r->census.n_sites;
    r->top = calloc(n + 1u, sizeof *r->top);
    if (r->top == NULL) abort();
    for (uint32_t i = 0; i < n; i++)
        if (r->census.sites[i].n_allocs > 0) r->top[r->n_top++] = i;
    sorted_census = &r->census;
    qsort(r->top, r->n_top, sizeof *r->top, by_bytes);
    if (r->n_top > r->n_sites) r->n_top = r->n_sites;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* Local time, or "not known" for what no clock has shown. */
static void describe_start(const report_t *r, char *to, size_t size)
{
    struct tm tm;
    uint64_t us = rec_info(r->reader)->start_unix_us;
    time_t start = (time_t)(us / 1000000u);
    if (us > REC_MAX_TIME_US || localtime_r(&start, &tm) == NULL ||
        strftime(to, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        snprintf(to, size, "not known");
}

static void print_bytes_line(const char *label, uint64_t bytes, const char *rest)
{
    const char *unit = "";
    double shown = (double)bytes;
    if (bytes >= 10u << 20)
        shown /= 1 << 20, unit = " M";
    else if (bytes >= 10u << 10)
        shown /= 1 << 10, unit = " K";
    if (unit[0] != '\0')
        printf("%-12s%" PRIu64 " bytes (%.1f%s)%s\n", label, bytes, shown, unit, rest);
    else
        printf("%-12s%" PRIu64 " bytes%s\n", label, bytes, rest);
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0.0;
}

static void print_process(const report_t *r)
{
    const rec_info_t *info = rec_info(r->reader);
    char start[64], line[NAME_BYTES];
    char *file = printable(r->file), *command = printable(info->command);
    describe_start(r, start, sizeof start);
    printf("recording   %s, format version %" PRIu32 "\n", file, info->version);
    printf("command     %s\n", command);
    printf("process     %" PRIu32 ", parent %" PRIu32 ", %s, started %s\n", info->pid, info->ppid,
           printable_to(line, sizeof line, info->machine), start);
    if (info->forked_from != 0)
        printf("            forked from %" PRIu32
               " without exec: may free blocks of that process\n",
               info->forked_from);
    printf("ended       %s\n", rec_describe_end(r->reader, line, sizeof line));
    free(file);
    free(command);
}

/* What makes the figures below less than the truth. */
static void print_doubts(const report_t *r)
{
    const census_t *c = &r->census;
    if (r->damage.n_places > 0) {
        printf("damaged     %" PRIu32 " place%s, ", r->damage.n_places, plural(r->damage.n_places));
        if (r->damage.n_missing_known)
            printf("%" PRIu64 " event%s missing\n", r->damage.n_missing,
                   plural(r->damage.n_missing));
        else
            printf("it is not known how many events are missing\n");
    }
    if (c->n_inherited == 1)
        printf("            1 free of a block allocated before the recording began\n");
    else if (c->n_inherited > 0)
        printf("            %" PRIu64 " frees of blocks allocated before the recording began\n",
               c->n_inherited);
    if (c->n_duplicates > 0)
        printf("            %" PRIu64
               " allocation%s at the address of a live block: releases are missing\n",
               c->n_duplicates, plural(c->n_duplicates));
    if (c->n_impossible > 0)
        printf("            %" PRIu64 " allocation%s of impossible size, left out\n",
               c->n_impossible, plural(c->n_impossible));
}

static void print_tables(report_t *r)
{
    const census_t *c = &r->census;
    char line[NAME_BYTES], shown[NAME_BYTES];
    uint64_t n_allocs = 0, n_freed = 0;
    for (int i = 0; i < CENSUS_SIZE_CLASSES; i++) n_allocs += c->n_by_size[i];
    printf("\nsizes             allocations            bytes\n");
    for (int i = 0; i < CENSUS_SIZE_CLASSES; i++) {
        if (c->n_by_size[i] == 0) continue;
        uint64_t most = i == 64 ? UINT64_MAX : UINT64_C(1) << i;
        printf("<= %-14" PRIu64 " %10" PRIu64 " %5.1f %% %12" PRIu64 "\n", most, c->n_by_size[i],
               percent(c->n_by_size[i], n_allocs), c->bytes_by_size[i]);
    }
    for (int i = 0; i < CENSUS_LIFETIMES; i++) n_freed += c->n_by_lifetime[i];
    printf("\nlifetimes           blocks\n");
    for (int i = 0; i < CENSUS_LIFETIMES; i++)
        if (c->n_by_lifetime[i] > 0)
            printf("%-12s %13" PRIu64 " %5.1f %%\n", lifetime_names[i], c->n_by_lifetime[i],
                   percent(c->n_by_lifetime[i], n_freed + c->n_live));
    printf("%-12s %13" PRIu64 " %5.1f %%\n", "never freed", c->n_live,
           percent(c->n_live, n_freed + c->n_live));

    if (r->n_top > 0) printf("\nsites  allocations            bytes  live at end\n");
    for (uint32_t i = 0; i < r->n_top; i++) {
        const site_census_t *s = &c->sites[r->top[i]];
        symbols_site(r->symbols, r->reader, r->top[i], line, sizeof line);
        printf("  %16" PRIu64 " %16" PRIu64 " %12" PRIu64 "  %s\n", s->n_allocs, s->n_bytes,
               s->live_bytes, printable_to(shown, sizeof shown, line));
    }
}

static void print_text(report_t *r)
{
    const census_t *c = &r->census;
    char line[NAME_BYTES];
    print_process(r);
    printf("duration    %.3f s, %" PRIu64 " thread%s, %" PRIu32 " call site%s\n",
           (double)c->duration_us / 1e6, c->n_threads, plural(c->n_threads), rec_n_sites(r->reader),
           plural(rec_n_sites(r->reader)));
    printf("events      %" PRIu64 ":", c->n_events);
    for (int k = 1; k < CENSUS_KINDS; k++)
        if (c->n_by_kind[k] > 0) printf(" %" PRIu64 " %s", c->n_by_kind[k], kind_names[k]);
    printf("\n");
    print_doubts(r);
    snprintf(line, sizeof line, " after %.3f s; at most %" PRIu64 " block%s at once",
             (double)c->peak_time_us / 1e6, c->peak_blocks, plural(c->peak_blocks));
    print_bytes_line("peak live", c->peak_bytes, line);
    snprintf(line, sizeof line, " in %" PRIu64 " block%s", c->n_live, plural(c->n_live));
    print_bytes_line("live at end", c->live_bytes, line);
    print_bytes_line("allocated", c->allocated_bytes, " in all");
    print_tables(r);
}

static json_t *to_json(report_t *r)
{
    const rec_info_t *info = rec_info(r->reader);
    const rec_end_t *end = rec_end(r->reader);
    const census_t *c = &r->census;
    char name[NAME_BYTES];
    json_t *kinds = json_object(), *sizes = json_array(), *lifetimes = json_object(),
           *sites = json_array();
    for (int k = 1; k < CENSUS_KINDS; k++)
        json_object_set_new(kinds, kind_names[k], json_u64(c->n_by_kind[k]));
    for (int i = 0; i < CENSUS_SIZE_CLASSES; i++) {
        if (c->n_by_size[i] == 0) continue;
        uint64_t most = i == 64 ? UINT64_MAX : UINT64_C(1) << i;
        json_array_append_new(sizes, json_pack("{s:o, s:o, s:o}", "up_to", json_u64(most),
                                               "allocations", json_u64(c->n_by_size[i]), "bytes",
                                               json_u64(c->bytes_by_size[i])));
    }
    for (int i = 0; i < CENSUS_LIFETIMES; i++)
        json_object_set_new(lifetimes, lifetime_names[i], json_u64(c->n_by_lifetime[i]));
    json_object_set_new(lifetimes, "never freed", json_u64(c->n_live));
    for (uint32_t i = 0; i < r->n_top; i++) {
        const site_census_t *s = &c->sites[r->top[i]];
        const char *module;
        uint64_t offset;
        rec_site(r->reader, r->top[i], &module, &offset);
        symbols_site(r->symbols, r->reader, r->top[i], name, sizeof name);
        json_array_append_new(sites, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "name",
                                               json_text(name), "module", json_text(module),
                                               "module_offset", json_u64(offset), "allocations",
                                               json_u64(s->n_allocs), "bytes", json_u64(s->n_bytes),
                                               "live_bytes", json_u64(s->live_bytes)));
    }
    json_t *root = json_object();
    json_object_set_new(root, "file", json_text(r->file));
    json_object_set_new(root, "format_version", json_u64(info->version));
    json_object_set_new(root, "command", json_text(info->command));
    json_object_set_new(root, "pid", json_u64(info->pid));
    json_object_set_new(root, "ppid", json_u64(info->ppid));
    json_object_set_new(root, "forked_from", json_u64(info->forked_from));
    json_object_set_new(root, "machine", json_text(info->machine));
    json_object_set_new(root, "start_unix_us", json_u64(info->start_unix_us));
    json_object_set_new(root, "complete", json_boolean(r->complete));
    json_object_set_new(root, "closed", end != NULL ? json_boolean(end->closed) : json_null());
    json_object_set_new(root, "exec", end != NULL ? json_boolean(end->exec) : json_null());
    json_object_set_new(root, "exit_status",
                        end != NULL && end->exit_known ? json_u64(end->exit_status) : json_null());
    json_object_set_new(root, "error", json_text(rec_error(r->reader)));
    json_object_set_new(root, "damaged_places", json_u64(r->damage.n_places));
    json_object_set_new(root, "missing_events",
                        r->damage.n_missing_known ? json_u64(r->damage.n_missing) : json_null());
    json_object_set_new(root, "duration_us", json_u64(c->duration_us));
    json_object_set_new(root, "threads", json_u64(c->n_threads));
    json_object_set_new(root, "call_sites", json_u64(rec_n_sites(r->reader)));
    json_object_set_new(root, "events", json_u64(c->n_events));
    json_object_set_new(root, "events_by_kind", kinds);
    json_object_set_new(root, "inherited_frees", json_u64(c->n_inherited));
    json_object_set_new(root, "duplicate_addresses", json_u64(c->n_duplicates));
    json_object_set_new(root, "impossible_sizes", json_u64(c->n_impossible));
    json_object_set_new(root, "peak_live_bytes", json_u64(c->peak_bytes));
    json_object_set_new(root, "peak_live_blocks", json_u64(c->peak_blocks));
    json_object_set_new(root, "live_at_end_bytes", json_u64(c->live_bytes));
    json_object_set_new(root, "live_at_end_blocks", json_u64(c->n_live));
    json_object_set_new(root, "allocated_bytes", json_u64(c->allocated_bytes));
    json_object_set_new(root, "sizes", sizes);
    json_object_set_new(root, "lifetimes", lifetimes);
    json_object_set_new(root, "sites", sites);
    return root;
}

bool describe(const char *file, uint32_t n_sites, json_t **json)
{
    char *error = NULL;
    report_t r = {.file = file, .n_sites = n_sites, .reader = rec_open(file, &error)};
    if (r.reader == NULL) {
        fprintf(stderr, "ealloc info: %s\n", error != NULL ? error : "out of memory");
        if (json != NULL) {
            *json = json_object();
            json_object_set_new(*json, "file", json_text(file));
            json_object_set_new(*json, "error", json_text(error));
        }
        free(error);
        return false;
    }
    r.symbols = symbols_new();
    bool read = census_take(&r.census, r.reader);
    r.damage = rec_damage(r.reader);
    r.complete = read && r.damage.n_places == 0;
    choose_sites(&r);
    if (json != NULL)
        *json = to_json(&r);
    else
        print_text(&r);
    fflush(stdout);
    char name[NAME_BYTES];
    if (rec_error(r.reader) != NULL)
        fprintf(stderr, "ealloc info: %s\n", rec_error(r.reader));
    else if (!read)
        fprintf(stderr, "ealloc info: %s: no memory for what is live at event %" PRIu64 "\n",
                printable_to(name, sizeof name, file), r.census.n_events);
    bool complete = r.complete;
    free(r.top);
    symbols_free(r.symbols);
    census_free(&r.census);
    rec_close(r.reader);
    return complete;
}
