/* SPDX-License-Identifier: MIT
 *
 * ealloc replay --movable: the recording on a store of movable blocks, and what the heap needs for
 * it.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heaps.h"
#include "movable_report.h"
#include "printable.h"
#include "replay.h"
#include "sane.h"
#include "split.h"
#include "symbols.h"

#define NAME_BYTES 1024
#define MOST_BYTES (UINT64_C(1) << 32) /* of a region that nobody asked for: what a heap can have */

typedef struct {
    const wishes_t *wishes;
    const choice_t *choice;
    const trace_t *whole;
    const trace_t *movable;
    split_t split;
    symbols_t *symbols;
    bool *is_met; /* of wishes->sites: there is such a call site */
    replay_memory_t memory;
    movable_options_t options;
    movable_result_t result;
    movable_need_t need;
    find_min_result_t smallest, heap, rest;
    replay_options_t heap_options;
    replay_result_t heap_result;
    replay_report_t heap_report;
    movable_report_t report;
} run_t;

/* --- which blocks ----------------------------------------------------------------------------- */

static bool is_chosen(void *context, const rec_reader_t *reader, uint32_t site)
{
    run_t *run = context;
    char name[NAME_BYTES];
    bool is_any = false;
    symbols_site(run->symbols, reader, site, name, sizeof name);
    for (size_t i = 0; i < run->wishes->n_sites; i++) {
        if (strstr(name, run->wishes->sites[i]) == NULL) continue;
        run->is_met[i] = is_any = true;
    }
    return is_any;
}

/* The recording's blocks of the sites asked for, and the rest. */
static bool choose_blocks(run_t *run)
{
    const wishes_t *wishes = run->wishes;
    run->symbols = symbols_new();
    run->is_met = calloc(wishes->n_sites, sizeof *run->is_met);
    bool ok = run->symbols != NULL && run->is_met != NULL &&
              split_load(&run->split, run->choice->path, is_chosen, run, replay_show_loading);
    replay_clear_progress();
    if (!ok) {
        replay_complain(run->choice->path, "no memory to choose blocks by their call sites");
        return false;
    }
    for (size_t i = 0; i < wishes->n_sites; i++) {
        if (run->is_met[i]) continue;
        char *site = printable(wishes->sites[i]);
        replay_complain(run->choice->path,
                        "no call site has '%s' in its name; ealloc info --sites lists them", site);
        free(site);
        return false;
    }
    run->movable = &run->split.chosen;
    return true;
}

/* --- the store -------------------------------------------------------------------------------- */

static void show_replay(uint64_t done, uint64_t total)
{
    if (!isatty(STDERR_FILENO) || total == 0) return;
    fprintf(stderr, "\rmovable blocks: %3.0f %%", 100.0 * (double)done / (double)total);
}

static bool is_wide_enough(const run_t *run, const eai_movable_ops_t *layout)
{
    uint64_t bytes = run->wishes->heap != NULL ? run->wishes->heap_bytes : run->need.total_bytes;
    return run->movable->peak_live_blocks <= layout->max_handles && bytes <= layout->most_bytes;
}

/* In a region of the size that was given. */
static bool run_given(run_t *run)
{
    run->options.region_bytes = (size_t)run->wishes->heap_bytes;
    replay_status_t status = movable_run(run->movable, &run->options, &run->memory, &run->result);
    replay_clear_progress();
    if (status == REPLAY_DONE) return true;
    replay_complain(run->choice->path, "%s %zu bytes",
                    status == REPLAY_NO_HEAP ? "there can be no such store of"
                                             : "this machine has no memory for a region of",
                    run->options.region_bytes);
    return false;
}

/* The smallest region; *is_last: no other layout is left to try. */
static bool run_smallest(run_t *run, bool is_last, bool *next)
{
    uint64_t half = available_bytes() / 2, most = half < MOST_BYTES ? half : MOST_BYTES;
    *next = false;
    if (run->need.total_bytes > most && is_wide_enough(run, run->options.ops)) {
        replay_complain(run->choice->path,
                        "event %llu brings what is live to more than %s: a region of %llu bytes"
                        " (%llu); --heap SIZE replays it with refusals",
                        (unsigned long long)run->whole->peak_event,
                        most == half ? "half of the machine's memory" : "a replay takes unasked",
                        (unsigned long long)run->need.total_bytes, (unsigned long long)most);
        return false;
    }
    find_min_status_t status = FIND_MIN_NONE;
    if (is_wide_enough(run, run->options.ops))
        status = movable_find_min(run->movable, &run->options, &run->need, replay_jobs(run->wishes),
                                  replay_show_search, &run->memory, &run->smallest, &run->result);
    replay_clear_progress();
    if (status == FIND_MIN_DONE) {
        run->report.smallest = &run->smallest;
        return true;
    }
    *next = status == FIND_MIN_NONE && !is_last;
    if (*next) return false;
    if (status == FIND_MIN_NONE)
        replay_complain(run->choice->path,
                        "no store of the %s layout completes it: %llu bytes and %llu blocks at"
                        " least, and it goes to %zu and %u",
                        run->options.ops->name, (unsigned long long)run->need.total_bytes,
                        (unsigned long long)run->movable->peak_live_blocks,
                        run->options.ops->most_bytes, run->options.ops->max_handles);
    else
        replay_complain(run->choice->path, "not enough memory to search");
    return false;
}

/* The smallest layout that will do, or the one that was asked for. */
static bool run_store(run_t *run)
{
    const wishes_t *wishes = run->wishes;
    for (int i = 0; i < MOVABLE_LAYOUTS; i++) {
        bool is_last = i + 1 == MOVABLE_LAYOUTS || wishes->layout != NULL, next;
        run->options.ops = wishes->layout != NULL ? wishes->layout : movable_layouts[i];
        if (!movable_need(run->movable, run->options.ops, &run->need)) {
            replay_complain(run->choice->path, "no memory");
            return false;
        }
        if (wishes->heap == NULL) {
            if (run_smallest(run, is_last, &next)) return true;
            if (!next) return false;
        } else if (is_last || is_wide_enough(run, run->options.ops)) {
            return run_given(run);
        }
    }
    return false;
}

/* --- the heap --------------------------------------------------------------------------------- */

/* NULL: there is none of this kind. */
static const find_min_result_t *search_heap(run_t *run, const trace_t *trace,
                                            find_min_result_t *found)
{
    find_min_status_t status = FIND_MIN_NONE;
    if (replay_perfect_bytes(trace, run->heap_options.ops, run->heap_options.fit) <=
        available_bytes() / 2)
        status = find_min(trace, &run->heap_options, replay_jobs(run->wishes), replay_show_search,
                          found);
    replay_clear_progress();
    return status == FIND_MIN_DONE ? found : NULL;
}

/* What it takes without compaction. */
static void run_heap(run_t *run)
{
    const wishes_t *wishes = run->wishes;
    if (wishes->heap != NULL && wishes->n_sites == 0) {
        run->heap_options.heap_bytes = (size_t)wishes->heap_bytes;
        replay_memory_release(&run->memory);
        if (replay_run(run->whole, &run->heap_options, &run->memory, &run->heap_result) ==
            REPLAY_DONE)
            run->heap_report.result = &run->heap_result;
        return;
    }
    run->report.heap = search_heap(run, run->whole, &run->heap);
    if (wishes->n_sites != 0) run->report.rest = search_heap(run, &run->split.rest, &run->rest);
}

/* ---------------------------------------------------------------------------------------------- */

static void prepare(run_t *run)
{
    const wishes_t *wishes = run->wishes;
    run->movable = run->whole;
    run->options = (movable_options_t){.demand_bytes = wishes->demand_bytes,
                                       .idle_bytes = wishes->idle_bytes,
                                       .idle_every = wishes->idle_every,
                                       .check_contents = !wishes->no_check,
                                       .progress = show_replay};
    run->heap_options = (replay_options_t){
        .ops = heaps_find(wishes->profile, wishes->align, wishes->link_bits), .fit = wishes->fit};
    run->heap_report = (replay_report_t){
        .file = run->choice->path,
        .manifest = run->choice->from_manifest ? wishes->file : NULL,
        .profile = wishes->profile,
        .trace = run->whole,
        .options = &run->heap_options,
        .perfect_bytes =
            replay_perfect_bytes(run->whole, run->heap_options.ops, run->heap_options.fit),
    };
}

static int tell(run_t *run)
{
    const wishes_t *wishes = run->wishes;
    int status = replay_verdict(wishes, run->whole, run->result.n_failures, run->result.n_damaged);
    run->report.whole = &run->heap_report;
    run->report.trace = run->movable;
    run->report.options = &run->options;
    run->report.result = &run->result;
    run->report.need = &run->need;
    run->report.sites = wishes->sites;
    run->report.n_sites = wishes->n_sites;
    run->report.n_chosen = run->split.n_chosen_sites;
    run->report.n_allocating = run->split.n_sites;
    if (!wishes->json) {
        movable_report_text(stdout, &run->report);
    } else if (!movable_report_json(stdout, &run->report) && ferror(stdout) == 0) {
        replay_complain(wishes->file, "no memory for the report");
        status = EXIT_FAILED;
    }
    return status;
}

int replay_movable(const wishes_t *wishes, const choice_t *choice, const trace_t *trace)
{
    run_t run = {.wishes = wishes, .choice = choice, .whole = trace};
    int status = EXIT_FAILED;
    prepare(&run);
    if ((wishes->n_sites == 0 || choose_blocks(&run)) && run_store(&run)) {
        run_heap(&run);
        status = tell(&run);
    }
    replay_result_release(&run.heap_result);
    replay_memory_release(&run.memory);
    if (wishes->n_sites != 0) split_release(&run.split);
    symbols_free(run.symbols);
    free(run.is_met);
    return status;
}
