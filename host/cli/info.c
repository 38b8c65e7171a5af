/* SPDX-License-Identifier: MIT
 *
 * ealloc info: describes a recording.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "census.h"
#include "commands.h"
#include "recording.h"
#include "symbols.h"

#define NAME_BYTES 512

typedef struct {
    const char *file;
    uint32_t n_sites;
    bool json;
} options_t;

typedef struct {
    const options_t *options;
    rec_reader_t *reader;
    census_t census;
    int status;    /* rec_next's last */
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
    if (r->n_top > r->options->n_sites) r->n_top = r->options->n_sites;
}

static void name_site(report_t *r, uint32_t site, char *to)
{
    const char *path, *build_id = "";
    uint64_t offset, address = rec_site(r->reader, site, &path, &offset);
    if (path == NULL) {
        snprintf(to, NAME_BYTES, site == 0 ? "unknown" : "0x%" PRIx64, address);
        return;
    }
    for (uint32_t i = 0; i < rec_n_modules(r->reader); i++) {
        rec_module_t module = rec_module(r->reader, i);
        if (module.path == path) build_id = module.build_id;
    }
    symbols_name(r->symbols, path, build_id, offset, to, NAME_BYTES);
}

/* How the program ended, in words. */
static void describe_end(const report_t *r, char *to, size_t size)
{
    const rec_end_t *end = rec_end(r->reader);
    if (end == NULL)
        snprintf(to, size, "not known: the recording is damaged or incomplete");
    else if (end->exit_known && end->exit_status > 128 && !end->closed)
        snprintf(to, size, "killed by signal %" PRIu32 " (%s)", end->exit_status - 128,
                 strsignal((int)end->exit_status - 128));
    else if (end->exit_known)
        snprintf(to, size, "exit status %" PRIu32 "%s", end->exit_status,
                 end->closed ? "" : ", without its exit handlers (unclosed)");
    else
        snprintf(to, size, "unclosed: exec, _exit or killed");
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

static void print_text(report_t *r)
{
    const rec_info_t *info = rec_info(r->reader);
    const census_t *c = &r->census;
    char line[NAME_BYTES];
    time_t start = (time_t)(info->start_unix_us / 1000000u);
    struct tm tm;
    strftime(line, sizeof line, "%Y-%m-%d %H:%M:%S", localtime_r(&start, &tm));
    printf("recording   %s, format version %" PRIu32 "\n", r->options->file, info->version);
    printf("command     %s\n", info->command);
    printf("process     %" PRIu32 ", parent %" PRIu32 ", %s, started %s\n", info->pid, info->ppid,
           info->machine, line);
    if (info->forked_from != 0)
        printf("            forked from %" PRIu32
               " without exec: may free blocks of that process\n",
               info->forked_from);
    describe_end(r, line, sizeof line);
    printf("ended       %s\n", line);
    printf("duration    %.3f s, %" PRIu64 " thread%s, %" PRIu32 " call sites\n",
           (double)c->duration_us / 1e6, c->n_threads, c->n_threads == 1 ? "" : "s",
           rec_n_sites(r->reader));
    printf("events      %" PRIu64 ":", c->n_events);
    for (int k = 1; k < CENSUS_KINDS; k++)
        if (c->n_by_kind[k] > 0) printf(" %" PRIu64 " %s", c->n_by_kind[k], kind_names[k]);
    printf("\n");
    if (c->n_inherited > 0)
        printf("            %" PRIu64 " frees of blocks allocated before the recording began\n",
               c->n_inherited);
    if (c->n_duplicates > 0)
        printf("            %" PRIu64
               " allocations at the address of a live block: releases are missing\n",
               c->n_duplicates);
    snprintf(line, sizeof line, " after %.3f s; at most %" PRIu64 " blocks at once",
             (double)c->peak_time_us / 1e6, c->peak_blocks);
    print_bytes_line("peak live", c->peak_bytes, line);
    snprintf(line, sizeof line, " in %" PRIu64 " blocks", c->n_live);
    print_bytes_line("live at end", c->live_bytes, line);
    print_bytes_line("allocated", c->allocated_bytes, " in all");

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
        name_site(r, r->top[i], line);
        printf("  %16" PRIu64 " %16" PRIu64 " %12" PRIu64 "  %s\n", s->n_allocs, s->n_bytes,
               s->live_bytes, line);
    }
}

static json_t *json_u64(uint64_t v)
{
    return v > INT64_MAX ? json_real((double)v) : json_integer((json_int_t)v);
}

/* JSON strings are UTF-8; what is not becomes question marks. */
static json_t *json_text(const char *s)
{
    json_t *value = json_string(s);
    if (value != NULL) return value;
    char *copy = strdup(s);
    if (copy == NULL) abort();
    for (char *at = copy; *at != '\0'; at++)
        if ((unsigned char)*at >= 0x80) *at = '?';
    value = json_string(copy);
    free(copy);
    return value;
}

static void print_json(report_t *r)
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
        name_site(r, r->top[i], name);
        json_array_append_new(
            sites, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "name", json_text(name), "module",
                             module != NULL ? json_text(module) : json_null(), "module_offset",
                             json_u64(offset), "allocations", json_u64(s->n_allocs), "bytes",
                             json_u64(s->n_bytes), "live_bytes", json_u64(s->live_bytes)));
    }
    json_t *root = json_pack(
        "{s:o, s:I, s:o, s:I, s:I, s:I, s:s, s:I, s:b, s:o, s:o}", "file",
        json_text(r->options->file), "format_version", (json_int_t)info->version, "command",
        json_text(info->command), "pid", (json_int_t)info->pid, "ppid", (json_int_t)info->ppid,
        "forked_from", (json_int_t)info->forked_from, "machine", info->machine, "start_unix_us",
        (json_int_t)info->start_unix_us, "complete", r->status == 0, "closed",
        end != NULL ? json_boolean(end->closed) : json_null(), "exit_status",
        end != NULL && end->exit_known ? json_integer(end->exit_status) : json_null());
    json_object_set_new(root, "error",
                        r->status < 0 ? json_text(rec_error(r->reader)) : json_null());
    json_object_set_new(root, "duration_us", json_u64(c->duration_us));
    json_object_set_new(root, "threads", json_u64(c->n_threads));
    json_object_set_new(root, "call_sites", json_integer(rec_n_sites(r->reader)));
    json_object_set_new(root, "events", json_u64(c->n_events));
    json_object_set_new(root, "events_by_kind", kinds);
    json_object_set_new(root, "inherited_frees", json_u64(c->n_inherited));
    json_object_set_new(root, "duplicate_addresses", json_u64(c->n_duplicates));
    json_object_set_new(root, "peak_live_bytes", json_u64(c->peak_bytes));
    json_object_set_new(root, "peak_live_blocks", json_u64(c->peak_blocks));
    json_object_set_new(root, "live_at_end_bytes", json_u64(c->live_bytes));
    json_object_set_new(root, "live_at_end_blocks", json_u64(c->n_live));
    json_object_set_new(root, "allocated_bytes", json_u64(c->allocated_bytes));
    json_object_set_new(root, "sizes", sizes);
    json_object_set_new(root, "lifetimes", lifetimes);
    json_object_set_new(root, "sites", sites);
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

static const struct argp_option option_table[] = {
    {"sites", 's', "N", 0, "How many call sites to name (10)", 0},
    {"json", 'j', NULL, 0, "Print JSON", 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    options_t *options = state->input;
    char *end;
    switch (key) {
    case 's': {
        unsigned long n = strtoul(argument, &end, 10);
        if (*argument < '0' || *argument > '9' || *end != '\0' || n > UINT32_MAX)
            argp_error(state, "--sites takes a number, not '%s'", argument);
        options->n_sites = (uint32_t)n;
        return 0;
    }
    case 'j': options->json = true; return 0;
    case ARGP_KEY_ARG:
        if (options->file != NULL) argp_error(state, "one recording at a time");
        options->file = argument;
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "no recording given"); return EINVAL;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {
    .options = option_table,
    .parser = parse_option,
    .args_doc = "FILE",
    .doc =
        "Describe a recording: its program, events, live bytes, sizes, lifetimes and call sites.\v"
        "The exit status is 1 if the recording is damaged; what was readable is described all the "
        "same.\n\nExample: ealloc info --sites 20 ealloc.rec",
};

int cmd_info(int argc, char **argv)
{
    options_t options = {.n_sites = 10};
    argp_err_exit_status = 2;
    argp_parse(&parser, argc, argv, 0, NULL, &options);

    char *error = NULL;
    report_t report = {.options = &options, .reader = rec_open(options.file, &error)};
    if (report.reader == NULL) {
        fprintf(stderr, "ealloc info: %s\n", error != NULL ? error : "out of memory");
        free(error);
        return 1;
    }
    report.symbols = symbols_new();
    report.status = census_take(&report.census, report.reader);
    choose_sites(&report);
    if (options.json)
        print_json(&report);
    else
        print_text(&report);
    fflush(stdout);
    if (report.status < 0) fprintf(stderr, "ealloc info: %s\n", rec_error(report.reader));
    free(report.top);
    symbols_free(report.symbols);
    census_free(&report.census);
    rec_close(report.reader);
    return report.status < 0 || ferror(stdout) ? 1 : 0;
}
