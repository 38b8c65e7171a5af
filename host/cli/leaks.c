/* SPDX-License-Identifier: MIT
 *
 * ealloc leaks: which call sites of a recorded program leak. The recording's events go through the
 * device's own detector; its clock counts events, and runs so that they last 48 windows.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "census.h"
#include "choice.h"
#include "commands.h"
#include "ealloc/leaks.h"
#include "json_text.h"
#include "printable.h"
#include "recording.h"
#include "symbols.h"
#include "usage.h"

#define NAME_BYTES 1024
#define N_WINDOWS 48u       /* of a recording: the long span is 32 of them */
#define TICKS_A_WINDOW 960u /* so many that a pass falls between events    */
#define MOST_SITES 32768u
#define MOST_BLOCKS (1u << 30)

typedef struct {
    const char *file;
    uint32_t n_top;
    bool json;
} options_t;

typedef struct {
    options_t options;
    choice_t choice; /* of the processes of a manifest */
    rec_reader_t *reader;
    symbols_t *symbols;
    uint64_t duration_us, n_events, n_blocks;
    uint32_t n_sites, n_rows;
    bool is_damaged;
    volatile uint32_t clock;
    ea_leaks_t leaks;
    void *tables;
    ea_leak_t *found; /* the worst first */
    size_t n_found, n_shown;
} run_t;

static const struct argp_option option_table[] = {
    {"top", 't', "N", 0, "Show the first N suspects (10)", 0},
    {"json", 'j', NULL, 0, "Tell as JSON", 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    options_t *options = state->input;
    switch (key) {
    case 't': options->n_top = usage_count(state, "top", argument); return 0;
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
        "Name the call sites of a recorded program that leak: whose blocks become more from "
        "quarter to quarter of the recording, and of which hardly any that is old is freed. The "
        "recording should hold a while of steady work: of a program that only starts up, and of "
        "one that fills a cache, what grows looks like a leak. FILE may be a manifest of several "
        "processes: the one with the most events is judged.\v"
        "The exit status is 0 if no site is suspected, 1 if one is, 2 if the recording cannot be "
        "read or is damaged; what was readable is judged all the same.\n\n"
        "Example: ealloc record -o server.rec -- ./server && ealloc leaks server.rec",
};

static void *allocate(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (p == NULL) {
        fprintf(stderr, "ealloc leaks: out of memory\n");
        exit(2);
    }
    return p;
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool choose(run_t *run)
{
    bool ok = choice_make(&run->choice, run->options.file);
    if (!ok) fprintf(stderr, "ealloc leaks: %s\n", run->choice.error);
    return ok;
}

static bool open_recording(run_t *run)
{
    char *error;
    run->reader = rec_open(run->choice.path, &error);
    if (run->reader == NULL) {
        fprintf(stderr, "ealloc leaks: %s\n", error);
        free(error);
    }
    return run->reader != NULL;
}

/* How long, how many blocks at a time, how many sites. */
static bool measure(run_t *run)
{
    census_t census;
    if (!open_recording(run)) return false;
    bool is_whole = census_take(&census, run->reader);
    run->duration_us = census.duration_us;
    run->n_blocks = census.peak_blocks;
    run->n_events = census.n_events;
    run->n_sites = rec_n_sites(run->reader) + 1;
    run->is_damaged = rec_error(run->reader) != NULL || !is_whole;
    if (rec_error(run->reader) != NULL)
        fprintf(stderr, "ealloc leaks: %s\n", rec_error(run->reader));
    census_free(&census);
    rec_close(run->reader);
    return true;
}

static uint32_t power_of_two(uint64_t least, uint32_t most)
{
    uint32_t n = 8;
    while (n < least && n < most) n *= 2;
    return n;
}

static void begin(run_t *run)
{
    run->n_rows = power_of_two(4 * (uint64_t)run->n_sites, MOST_SITES);
    ea_leaks_options_t options = {
        .n_sites = run->n_rows,
        .n_blocks = power_of_two(4 * run->n_blocks, MOST_BLOCKS),
        .clock = &run->clock,
        .tick_us = 1,
        .window_us = TICKS_A_WINDOW,
    };
    size_t size_bytes = EA_LEAKS_BYTES(options.n_sites, options.n_blocks);
    run->tables = allocate(1, size_bytes);
    if (ea_leaks_init(&run->leaks, run->tables, size_bytes, &options) != EA_OK) abort();
}

/* The clock counts events, not time: so a program that is held up or idle for a while does not seem
 * to have leaked less in that while. All of them are N_WINDOWS windows. */
static uint32_t ticks_at(const run_t *run, uint64_t event)
{
    const uint64_t all = (uint64_t)N_WINDOWS * TICKS_A_WINDOW;
    return (uint32_t)((double)event / (double)(run->n_events + 1) * (double)all);
}

/* Every pass that is due up to now is made when it is due. */
static void go_to(run_t *run, uint32_t tick)
{
    const uint32_t step = TICKS_A_WINDOW / 12;
    while (run->clock < tick) {
        run->clock = tick - run->clock > step ? run->clock + step : tick;
        while (ea_leaks_poll(&run->leaks, UINT32_MAX) == EA_ERR_AGAIN) {
        }
    }
}

static void tell(run_t *run, ea_block_event_t what, uint32_t site, uint64_t block, uint64_t size)
{
    /* A site's number stands for its address; 0 and 1 mean something else there. */
    ea_leaks_record(&run->leaks, what, 0, (const void *)((uintptr_t)site + 16),
                    (const void *)(uintptr_t)block, (size_t)size);
}

static void take_event(run_t *run, const rec_event_t *e)
{
    switch (e->kind) {
    case REC_ALLOC:
    case REC_CALLOC:
    case REC_ALIGNED:
        if (e->ptr == 0) break;
        tell(run, EA_BLOCK_MOVED, e->site, e->ptr, 0); /* what was there, if its free was missed */
        tell(run, EA_BLOCK_ALLOCATED, e->site, e->ptr, e->size);
        break;
    case REC_REALLOC:
        if (e->old_ptr != 0) tell(run, EA_BLOCK_MOVED, e->site, e->old_ptr, 0);
        if (e->ptr != 0) tell(run, EA_BLOCK_RESIZED, e->site, e->ptr, e->size);
        break;
    case REC_FREE:
        if (e->ptr != 0) tell(run, EA_BLOCK_FREED, e->site, e->ptr, 0);
        break;
    default: break;
    }
}

static void feed(run_t *run)
{
    rec_event_t e;
    int status;
    uint64_t n = 0;
    while ((status = rec_next(run->reader, &e)) != 0) {
        if (status < 0 && !rec_resume(run->reader)) break;
        if (status < 0) continue;
        go_to(run, ticks_at(run, n++));
        take_event(run, &e);
    }
}

/* --- telling ---------------------------------------------------------------------------------- */

static void name_site(run_t *run, const void *key, char *to, size_t size)
{
    symbols_site(run->symbols, run->reader, (uint32_t)((uintptr_t)key - 16), to, size);
}

/* The detector's times are in ticks of which the recording has so many: seconds in the mean. */
static double seconds(const run_t *run, uint64_t ticks)
{
    return (double)ticks * (double)run->duration_us / 1e6 / (N_WINDOWS * TICKS_A_WINDOW);
}

static double bytes_per_s(const run_t *run, const ea_leak_t *leak)
{
    double per_tick = (double)leak->bytes_per_day / 86400e6;
    return per_tick / (seconds(run, 1) > 0 ? seconds(run, 1) : 1);
}

/* Of seconds that somebody reads: microseconds are the recording's. */
static int decimals(double s)
{
    return s >= 1 ? 1 : s >= 1e-3 ? 4 : 6;
}

static void print_text(run_t *run)
{
    char name[NAME_BYTES];
    double duration_s = (double)run->duration_us / 1e6;
    printf("%zu suspect%s in %.*f s\n", run->n_found, run->n_found == 1 ? "" : "s",
           decimals(duration_s), duration_s);
    if (run->choice.from_manifest) {
        char *shown = printable(run->choice.path);
        printf("%s, the process with the most events\n", shown);
        free(shown);
    }
    for (size_t i = 0; i < run->n_shown; i++) {
        const ea_leak_t *leak = &run->found[i];
        name_site(run, leak->site, name, sizeof name);
        char *shown = printable(name);
        printf("\n%zu. %s\n", i + 1, shown);
        free(shown);
        double oldest_s = seconds(run, leak->oldest_us), usual_s = seconds(run, leak->usual_us);
        printf("   old     %zu blocks, %zu bytes, of %zu live; the oldest lived about %.*f s\n",
               leak->n_suspects, leak->suspect_bytes, leak->n_live, decimals(oldest_s), oldest_s);
        printf("   grows   %.0f bytes a second\n", bytes_per_s(run, leak));
        if (leak->usual_us != 0)
            printf("   usual   99 of 100 that are freed are within %.*f s\n", decimals(usual_s),
                   usual_s);
        else
            printf("   usual   none is freed\n");
    }
}

static json_t *json_of(run_t *run, const ea_leak_t *leak)
{
    char name[NAME_BYTES];
    name_site(run, leak->site, name, sizeof name);
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:f, s:f, s:o}", "site", json_text(name),
                     "suspects", (json_int_t)leak->n_suspects, "suspect_bytes",
                     (json_int_t)leak->suspect_bytes, "live", (json_int_t)leak->n_live,
                     "live_bytes", (json_int_t)leak->live_bytes, "bytes_per_s",
                     bytes_per_s(run, leak), "oldest_s", seconds(run, leak->oldest_us), "usual_s",
                     leak->usual_us != 0 ? json_real(seconds(run, leak->usual_us)) : json_null());
}

static void print_json(run_t *run)
{
    json_t *suspects = json_array();
    for (size_t i = 0; i < run->n_shown; i++)
        json_array_append_new(suspects, json_of(run, &run->found[i]));
    json_t *root =
        json_pack("{s:o, s:b, s:f, s:I, s:o}", "file", json_text(run->choice.path), "complete",
                  !run->is_damaged, "duration_s", (double)run->duration_us / 1e6, "n_suspects",
                  (json_int_t)run->n_found, "suspects", suspects);
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(root);
}

/* All suspects, however many are shown. What has grown, and was freed in the end, is no leak of a
 * program that ran to its end. */
static void find(run_t *run)
{
    run->found = allocate(run->n_rows, sizeof *run->found);
    size_t n = ea_leaks_top(&run->leaks, run->found, run->n_rows);
    for (size_t i = 0; i < n; i++)
        if (run->found[i].n_suspects > 0) run->found[run->n_found++] = run->found[i];
    run->n_shown = run->n_found < run->options.n_top ? run->n_found : run->options.n_top;
}

int cmd_leaks(int argc, char **argv)
{
    run_t run = {.options = {.n_top = 10}};
    argp_err_exit_status = 2;
    argp_parse(&parser, argc, argv, 0, NULL, &run.options);
    if (!choose(&run) || !measure(&run) || !open_recording(&run)) {
        choice_release(&run.choice);
        return 2;
    }
    begin(&run);
    feed(&run);
    go_to(&run, N_WINDOWS * TICKS_A_WINDOW);
    find(&run);
    run.symbols = symbols_new();
    if (run.options.json)
        print_json(&run);
    else
        print_text(&run);
    symbols_free(run.symbols);
    rec_close(run.reader);
    free(run.found);
    free(run.tables);
    choice_release(&run.choice);
    if (run.is_damaged) return 2;
    return run.n_found > 0 ? 1 : 0;
}
