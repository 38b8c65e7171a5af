/* SPDX-License-Identifier: MIT
 *
 * ealloc replay: run a recording on the real heap code.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "heaps.h"
#include "printable.h"
#include "replay.h"
#include "report.h"
#include "sane.h"
#include "usage.h"

#define TIMELINE_SAMPLES 1000

static const char doc[] =
    "Run a recording on the real heap code and report what it needs."
    "\v"
    "Sizes take the suffixes K, M and G (1024). Without --heap the heap is a quarter larger than"
    " perfect packing, the least that any heap with a 4-byte header could do with, but at most half"
    " of the machine's memory; with --find-min it is the smallest that completes the recording.\n"
    "\n"
    "The heap has 4-byte headers here as on a 32-bit device, so its overhead is the device's. The"
    " requested sizes are those of the recorded program: if that is a 64-bit program, its"
    " structures with pointers in them are larger than they would be on the device.\n"
    "\n"
    "FILE may be a manifest of several processes: the one with the most events is replayed.\n"
    "\n"
    "Exit status: 0 all went well; 1 contents were damaged, output could not be written, there is"
    " no heap or no memory for it, or with --strict a request was refused or the recording is"
    " irregular; 2 wrong usage; 3 the recording cannot be read, is damaged (what was readable"
    " before the damage is still replayed), or frees a block it never allocated.\n"
    "\n"
    "Example: ealloc record -o app.rec -- ./app; ealloc replay --find-min app.rec;"
    " ealloc replay --movable=parse_ app.rec";

enum {
    KEY_FIT = 256,
    KEY_PROFILE,
    KEY_ALIGN,
    KEY_LINKS,
    KEY_QUICK,
    KEY_NO_CHECK,
    KEY_TIMELINE,
    KEY_MOVABLE,
    KEY_LAYOUT,
    KEY_DEMAND,
    KEY_IDLE,
    KEY_IDLE_EVERY
};

static const struct argp_option option_list[] = {
    {"heap", 'H', "BYTES", 0, "size of the heap", 0},
    {"find-min", 'm', NULL, 0, "find the smallest heap that completes the recording", 0},
    {"fit", KEY_FIT, "good|half", 0,
     "good: least memory in practice (default); half: blocks of powers of two, with a proven bound",
     1},
    {"profile", KEY_PROFILE, "NAME", 0, "default, fast, throughput or tiny", 1},
    {"quick", KEY_QUICK, NULL, 0, "with quick lists: the same as --profile throughput", 1},
    {"align", KEY_ALIGN, "8|16", 0, "alignment of blocks (default 8)", 1},
    {"links", KEY_LINKS, "16|32", 0,
     "bits of the free-list links (default 32; 16: heaps up to 256 K, default profile only)", 1},
    {"no-check", KEY_NO_CHECK, NULL, 0,
     "do not write and verify contents: the time is the heap's alone", 2},
    {"strict", 's', NULL, 0, "exit with 1 if a request is refused or the recording irregular", 2},
    {"jobs", 'j', "N", 0, "replays at a time in --find-min (default: one per core, at most 2)", 2},
    {"json", 'J', NULL, 0, "report as JSON", 3},
    {"timeline", KEY_TIMELINE, "FILE", 0,
     "write time_us, live, used, free, largest free and fragmentation as CSV", 3},
    {NULL, 0, NULL, 0, "What compaction would buy:", 4},
    {"movable", KEY_MOVABLE, "SITE", OPTION_ARG_OPTIONAL,
     "replay on a store of movable blocks, in the smallest region that completes the recording or"
     " in one of --heap bytes, and tell what the heap needs; with SITE only blocks of call sites"
     " that have it in their names, as ealloc info tells them (may be given again)",
     4},
    {"layout", KEY_LAYOUT, "LAYOUT", 0,
     "of the store: small, medium or large (default: the smallest that will do)", 4},
    {"demand", KEY_DEMAND, "BYTES", 0,
     "that one request may have moved: 0 moves nothing (default unlimited)", 4},
    {"idle", KEY_IDLE, "BYTES", 0, "of a compaction step now and then (default none)", 4},
    {"idle-every", KEY_IDLE_EVERY, "N", 0, "operations between steps (default 16)", 4},
    {0}};

static void check_wishes(struct argp_state *state, const wishes_t *wishes)
{
    if (wishes->file == NULL) argp_error(state, "a recording is needed");
    if (heaps_find(wishes->profile, wishes->align, wishes->link_bits) == NULL) {
        argp_error(state, "there is no %s profile with alignment %u and %u-bit links",
                   printable(wishes->profile), wishes->align, wishes->link_bits);
    }
    if (!wishes->movable && wishes->movable_option != NULL)
        argp_error(state, "--%s goes with --movable", wishes->movable_option);
    if (wishes->movable && wishes->timeline != NULL)
        argp_error(state, "--timeline is not made with --movable");
    if (wishes->heap == NULL) return;
    if (wishes->find_min) argp_error(state, "--find-min looks for what --heap gives: choose one");
    size_t least, most;
    if (wishes->movable) {
        const eai_movable_ops_t *layout = wishes->layout;
        least = movable_least_bytes(layout != NULL ? layout : movable_layouts[0]);
        most = (layout != NULL ? layout : movable_layouts[MOVABLE_LAYOUTS - 1])->most_bytes;
    } else {
        replay_heap_limits(heaps_find(wishes->profile, wishes->align, wishes->link_bits),
                           wishes->fit, &least, &most);
    }
    if (wishes->heap_bytes < least || wishes->heap_bytes > most) {
        argp_error(state, "--heap takes %zu to %zu bytes for this kind of %s, not '%s'", least,
                   most, wishes->movable ? "store" : "heap", printable(wishes->heap));
    }
}

/* As usage_bytes(), but 0 is a number; anything else is wrong usage. */
static size_t parse_budget(struct argp_state *state, const char *option, const char *text)
{
    uint64_t value = usage_bytes(text);
    if (value == 0 && strcmp(text, "0") != 0)
        argp_error(state, "--%s takes a number of bytes, not '%s'", option, printable(text));
    return (size_t)value;
}

static void add_site(struct argp_state *state, wishes_t *wishes, const char *site)
{
    wishes->movable = true;
    if (site == NULL) return;
    if (site[0] == '\0') argp_error(state, "--movable= takes a part of a call site's name");
    const char **grown = realloc(wishes->sites, (wishes->n_sites + 1) * sizeof *grown);
    if (grown == NULL) argp_failure(state, EXIT_FAILED, errno, "no memory");
    wishes->sites = grown;
    wishes->sites[wishes->n_sites++] = site;
}

/* Options that only go with --movable. */
static error_t parse_movable_option(int key, char *arg, struct argp_state *state)
{
    wishes_t *wishes = state->input;
    const char *option;
    switch (key) {
    case KEY_MOVABLE: add_site(state, wishes, arg); return 0;
    case KEY_LAYOUT:
        option = "layout";
        wishes->layout = usage_layout(state, arg);
        break;
    case KEY_DEMAND:
        option = "demand";
        wishes->demand_bytes =
            strcmp(arg, "unlimited") == 0 ? EA_MOVABLE_UNLIMITED : parse_budget(state, option, arg);
        break;
    case KEY_IDLE:
        option = "idle";
        wishes->idle_bytes = parse_budget(state, option, arg);
        break;
    case KEY_IDLE_EVERY:
        option = "idle-every";
        wishes->idle_every = parse_budget(state, option, arg);
        if (wishes->idle_every == 0) argp_error(state, "--idle-every takes 1 or more, not '0'");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    if (wishes->movable_option == NULL) wishes->movable_option = option;
    return 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    wishes_t *wishes = state->input;
    switch (key) {
    case 'H':
        wishes->heap = arg;
        wishes->heap_bytes = usage_bytes(arg);
        break;
    case 'j': {
        uint64_t n = usage_bytes(arg);
        if (n == 0 || n > FIND_MIN_MAX_JOBS) {
            argp_error(state, "--jobs takes 1 to %d, not '%s'", FIND_MIN_MAX_JOBS, printable(arg));
        }
        wishes->n_jobs = (unsigned)n;
        break;
    }
    case KEY_FIT:
        wishes->fit = usage_choose(state, "fit", arg, "good", "half") ? EA_FIT_HALF : EA_FIT_GOOD;
        break;
    case KEY_ALIGN: wishes->align = usage_choose(state, "align", arg, "8", "16") ? 16 : 8; break;
    case KEY_LINKS:
        wishes->link_bits = usage_choose(state, "links", arg, "16", "32") ? 32 : 16;
        break;
    case KEY_PROFILE: wishes->profile = arg; break;
    case KEY_QUICK: wishes->profile = "throughput"; break;
    case KEY_NO_CHECK: wishes->no_check = true; break;
    case KEY_TIMELINE: wishes->timeline = arg; break;
    case 'm': wishes->find_min = true; break;
    case 's': wishes->strict = true; break;
    case 'J': wishes->json = true; break;
    case ARGP_KEY_ARG:
        if (wishes->file != NULL) argp_error(state, "one recording at a time");
        wishes->file = arg;
        break;
    case ARGP_KEY_END: check_wishes(state, wishes); break;
    default: return parse_movable_option(key, arg, state);
    }
    return 0;
}

/* --- progress --------------------------------------------------------------------------------- */

void replay_clear_progress(void)
{
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
}

void replay_show_loading(uint64_t done, uint64_t total)
{
    if (!isatty(STDERR_FILENO) || total == 0) return;
    fprintf(stderr, "\rreading %3.0f %%", 100.0 * (double)done / (double)total);
}

void replay_show_search(const char *phase, size_t low, size_t high)
{
    if (!isatty(STDERR_FILENO)) return;
    replay_clear_progress();
    if (high == 0) {
        fprintf(stderr, "%s: more than %zu bytes ...", phase, low);
    } else {
        fprintf(stderr, "%s: %zu to %zu bytes ...", phase, low, high);
    }
}

/* --- the steps -------------------------------------------------------------------------------- */

unsigned replay_jobs(const wishes_t *wishes)
{
    if (wishes->n_jobs != 0) return wishes->n_jobs;
    return sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
}

void replay_complain(const char *file, const char *format, ...)
{
    char *name = printable(file);
    va_list args;
    va_start(args, format);
    fprintf(stderr, "ealloc replay: %s: ", name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    free(name);
}

static bool search_smallest(const wishes_t *wishes, const trace_t *trace,
                            const replay_options_t *options, find_min_result_t *smallest)
{
    find_min_status_t status =
        find_min(trace, options, replay_jobs(wishes), replay_show_search, smallest);
    replay_clear_progress();
    if (status == FIND_MIN_DONE) return true;
    replay_complain(wishes->file, "%s",
                    status == FIND_MIN_NONE ? "no heap of this kind completes the recording"
                                            : "not enough memory to search");
    return false;
}

/* A quarter more than perfect packing, and where blocks are coarser still more: in whole KB. */
static size_t default_heap_bytes(const wishes_t *wishes, size_t perfect_bytes)
{
    size_t percent = wishes->fit == EA_FIT_HALF ? 250 : wishes->align == 16 ? 150 : 125;
    return (perfect_bytes * percent / 100 / 1024 + 1) * 1024;
}

/* Without a size from the user the recording says how large the heap becomes: no larger than such a
 * heap can be, and no more than half of the memory that is there. */
static bool is_within_reason(const choice_t *choice, const trace_t *trace,
                             const replay_options_t *options, size_t heap_bytes)
{
    size_t least, most;
    uint64_t half = available_bytes() / 2;
    replay_heap_limits(options->ops, options->fit, &least, &most);
    if (heap_bytes <= most && heap_bytes <= half) return true;
    replay_complain(
        choice->path,
        "event %llu brings what is live to %llu bytes in blocks at offset %llu: more than %s"
        " (%llu); --heap SIZE replays it with refusals",
        (unsigned long long)trace->peak_event, (unsigned long long)trace->peak_gross_bytes,
        (unsigned long long)trace->peak_offset,
        heap_bytes > most ? "a heap of this kind can be" : "half of the machine's memory",
        heap_bytes > most ? (unsigned long long)most : (unsigned long long)half);
    return false;
}

static bool run_replay(const wishes_t *wishes, const trace_t *trace,
                       const replay_options_t *options, replay_report_t *report,
                       replay_result_t *result, latency_t *latency)
{
    replay_memory_t memory = {0};
    replay_status_t status = replay_run(trace, options, &memory, result);
    if (status == REPLAY_DONE && latency_measure(trace, options, &memory, latency))
        report->latency = latency;
    replay_memory_release(&memory);
    if (status == REPLAY_DONE) return true;
    replay_complain(wishes->file, "%s %zu bytes",
                    status == REPLAY_NO_HEAP ? "there can be no such heap of"
                                             : "this machine has no memory for a heap of",
                    options->heap_bytes);
    replay_result_release(result);
    return false;
}

int replay_verdict(const wishes_t *wishes, const trace_t *trace, uint64_t n_failures,
                   uint64_t n_damaged)
{
    if (n_damaged > 0) return EXIT_FAILED;
    if (trace->partial || trace->n_irregular > 0) return EXIT_BAD_INPUT;
    bool irregular = trace->unclosed || trace->n_lost > 0;
    if (wishes->strict && (n_failures > 0 || irregular)) return EXIT_FAILED;
    return EXIT_OK;
}

/* Do both paths lead to one file? */
static bool same_file(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

/* Where the timeline goes, opened before the work begins and emptied only when it is done. */
typedef struct {
    FILE *file; /* NULL: none was asked for */
    const char *path;
    bool is_new;
} timeline_t;

static int timeline_open(timeline_t *timeline, const wishes_t *wishes, const choice_t *choice)
{
    const char *path = timeline->path = wishes->timeline;
    if (path == NULL) return EXIT_OK;
    if (same_file(path, wishes->file) || same_file(path, choice->path)) {
        replay_complain(path, "--timeline would overwrite the input");
        return EXIT_USAGE;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    timeline->is_new = fd >= 0;
    if (fd < 0) fd = open(path, O_WRONLY | O_CLOEXEC);
    timeline->file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (timeline->file != NULL) return EXIT_OK;
    replay_complain(path, "cannot write the timeline: %s", strerror(errno));
    return EXIT_FAILED;
}

static bool timeline_write(timeline_t *timeline, const replay_report_t *report)
{
    if (timeline->file == NULL) return true;
    int ignored = ftruncate(fileno(timeline->file), 0); /* a device or a pipe has no length */
    (void)ignored;
    FILE *file = timeline->file;
    timeline->file = NULL;
    if (report_timeline(file, report)) return true;
    replay_complain(timeline->path, "cannot write the timeline: %s", strerror(errno));
    return false;
}

/* Nothing was written: what was made for it goes. */
static void timeline_drop(timeline_t *timeline)
{
    if (timeline->file == NULL) return;
    fclose(timeline->file);
    if (timeline->is_new) unlink(timeline->path);
}

static int replay_and_report(const wishes_t *wishes, const choice_t *choice, const trace_t *trace,
                             timeline_t *timeline)
{
    find_min_result_t smallest;
    replay_result_t result;
    latency_t latency;
    replay_options_t options = {
        .ops = heaps_find(wishes->profile, wishes->align, wishes->link_bits),
        .fit = wishes->fit,
        .check_contents = !wishes->no_check,
        .prefault = true,
        .n_samples = trace->n_ops < TIMELINE_SAMPLES ? trace->n_ops : TIMELINE_SAMPLES,
    };
    replay_report_t report = {
        .file = choice->path,
        .manifest = choice->from_manifest ? wishes->file : NULL,
        .profile = wishes->profile,
        .trace = trace,
        .options = &options,
        .result = &result,
        .perfect_bytes = replay_perfect_bytes(trace, options.ops, options.fit),
        .heap_is_default = wishes->heap_bytes == 0 && !wishes->find_min,
    };
    size_t likely_bytes =
        wishes->find_min ? report.perfect_bytes : default_heap_bytes(wishes, report.perfect_bytes);
    if (wishes->heap == NULL && !is_within_reason(choice, trace, &options, likely_bytes))
        return EXIT_FAILED;
    if (wishes->find_min) {
        if (!search_smallest(wishes, trace, &options, &smallest)) return EXIT_FAILED;
        report.smallest = &smallest;
    }
    options.heap_bytes = wishes->heap != NULL ? wishes->heap_bytes
                         : wishes->find_min   ? smallest.smallest_bytes
                                              : likely_bytes;
    if (!run_replay(wishes, trace, &options, &report, &result, &latency)) return EXIT_FAILED;
    int status = replay_verdict(wishes, trace, result.n_failures, result.n_damaged);
    if (!wishes->json) {
        report_text(stdout, &report);
    } else if (!report_json(stdout, &report) && ferror(stdout) == 0) {
        replay_complain(wishes->file, "no memory for the report");
        status = EXIT_FAILED;
    }
    if (!timeline_write(timeline, &report)) status = EXIT_FAILED;
    replay_result_release(&result);
    return status;
}

/* Who records a command that starts others often has the one that matters in another file. */
static void hint_at_larger(const char *file, const trace_t *trace)
{
    char *manifest = NULL;
    choice_t larger;
    if (asprintf(&manifest, "%s.manifest.json", file) < 0) return;
    bool exists = access(manifest, R_OK) == 0;
    if (exists && choice_make(&larger, manifest)) {
        if (larger.n_events > trace->n_events) {
            char *path = printable(larger.path), *list = printable(manifest);
            printf("\n  %s has more events (%llu): ealloc replay %s\n", path,
                   (unsigned long long)larger.n_events, list);
            free(path);
            free(list);
        }
        choice_release(&larger);
    }
    free(manifest);
}

static int replay_file(const wishes_t *wishes, const choice_t *choice)
{
    trace_t trace;
    timeline_t timeline = {0};
    int status = timeline_open(&timeline, wishes, choice);
    if (status != EXIT_OK) return status;
    bool loaded = trace_load(&trace, choice->path, replay_show_loading);
    replay_clear_progress();
    if (trace.error != NULL) fprintf(stderr, "ealloc replay: %s\n", trace.error);
    if (trace.irregularity != NULL) fprintf(stderr, "ealloc replay: %s\n", trace.irregularity);
    if (!loaded)
        status = EXIT_BAD_INPUT;
    else if (wishes->movable)
        status = replay_movable(wishes, choice, &trace);
    else
        status = replay_and_report(wishes, choice, &trace, &timeline);
    timeline_drop(&timeline);
    if (loaded && !wishes->json && !choice->from_manifest) hint_at_larger(choice->path, &trace);
    trace_release(&trace);
    return status;
}

int cmd_replay(int argc, char **argv)
{
    static const struct argp argp = {option_list, parse_option, "FILE", doc, NULL, NULL, NULL};
    wishes_t wishes = {.profile = "default",
                       .align = 8,
                       .link_bits = 32,
                       .demand_bytes = EA_MOVABLE_UNLIMITED,
                       .idle_every = 16};
    choice_t choice;
    setlocale(LC_CTYPE, "");
    argp_err_exit_status = EXIT_USAGE;
    if (argp_parse(&argp, argc, argv, 0, NULL, &wishes) != 0) return EXIT_USAGE;
    int status = EXIT_BAD_INPUT;
    if (choice_make(&choice, wishes.file)) {
        status = replay_file(&wishes, &choice);
    } else {
        fprintf(stderr, "ealloc replay: %s\n", choice.error != NULL ? choice.error : "no memory");
    }
    choice_release(&choice);
    free(wishes.sites);
    return status;
}
