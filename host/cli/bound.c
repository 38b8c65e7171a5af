/* SPDX-License-Identifier: MIT
 *
 * ealloc bound: the memory that suffices for any order of requests, policy by policy, each with its
 * formula and where that comes from.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bound.h"
#include "choice.h"
#include "commands.h"
#include "json_text.h"
#include "movable_run.h"
#include "printable.h"
#include "usage.h"

#define DIGITS 48
#define MOST_PERMILLE 1000000u

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_BAD_INPUT = 3 };

typedef struct {
    const char *file;
    uint64_t live_bytes, largest_bytes, smallest_bytes, n_blocks; /* 0: not given */
    uint64_t n_pinned, permille;
    uint32_t align_bytes;
    const eai_movable_ops_t *layout;
    bool json;
} wishes_t;

typedef enum {
    PROVED,    /* by an argument that the manual has     */
    PUBLISHED, /* by the paper that is named              */
    UNBOUNDED  /* no number: the source says why          */
} basis_t;

typedef struct {
    const char *name, *what;
    bound_units_t bytes;
    basis_t basis;
    const char *formula, *source;
} row_t;

#define MOST_ROWS 16

typedef struct {
    bound_program_t program;
    row_t rows[MOST_ROWS];
    size_t n_rows;
} table_t;

/* --- options ---------------------------------------------------------------------------------- */

enum { KEY_ALIGN = 256, KEY_LAYOUT, KEY_PINS, KEY_MOVED };

static const struct argp_option option_list[] = {
    {"live", 'l', "BYTES", 0, "most bytes that are live at one time", 0},
    {"largest", 'n', "BYTES", 0, "size of the largest block", 0},
    {"smallest", 's', "BYTES", 0, "size of the smallest block (default 1)", 0},
    {"blocks", 'b', "N", 0, "most blocks that are live at one time (default: as many as fit)", 0},
    {"align", KEY_ALIGN, "8|16", 0, "alignment of the heap's blocks (default 8)", 1},
    {"layout", KEY_LAYOUT, "LAYOUT", 0,
     "of the store of movable blocks: small, medium or large (default: the smallest that will do)",
     1},
    {"pins", KEY_PINS, "N", 0, "movable blocks that stay locked (default 0)", 1},
    {"moved", KEY_MOVED, "PERCENT", 0,
     "bytes moved for each 100 that are allocated, where that is limited (default 400)", 1},
    {"json", 'J', NULL, 0, "tell as JSON", 2},
    {0}};

static const char doc[] =
    "Tell how much memory suffices whatever the order of requests: for each fit policy, and for"
    " stores of movable blocks. What a program asks for is given by options, or taken from a"
    " recording FILE (or from a manifest of several: the process with the most events)."
    "\v"
    "Sizes are those that the program asks for; each allocator's headers and rounding are added."
    " From options that is the most that blocks of such sizes can take, from a recording what its"
    " blocks took. What is live includes the old block where one is resized by copying: a recording"
    " counts both whenever a block grows. Control structures come on top. Sizes take the suffixes"
    " K, M and G (1024).\n"
    "\n"
    "Every line says what it rests on: \"proved\", an argument of a few lines that the manual has,"
    " or the paper that is cited. Where no useful bound is known the trivial one is given.\n"
    "\n"
    "Exit status: 0 all went well; 1 output could not be written or there is no memory; 2 wrong"
    " usage; 3 the recording cannot be read, is damaged or allocates nothing.\n"
    "\n"
    "Example: ealloc bound --live 48K --largest 2K --smallest 16 --blocks 600";

static uint64_t parse_size(struct argp_state *state, const char *option, const char *text)
{
    uint64_t value = usage_bytes(text);
    if (value == 0 || value > BOUND_MAX_LIVE_BYTES)
        argp_error(state, "--%s takes 1 to %" PRIu64 " bytes, not '%s'", option,
                   BOUND_MAX_LIVE_BYTES, printable(text));
    return value;
}

static uint64_t parse_count(struct argp_state *state, const char *option, const char *text,
                            uint64_t from, uint64_t to)
{
    uint64_t value = usage_bytes(text);
    if ((value == 0 && strcmp(text, "0") != 0) || value < from || value > to)
        argp_error(state, "--%s takes %" PRIu64 " to %" PRIu64 ", not '%s'", option, from, to,
                   printable(text));
    return value;
}

static void check_wishes(struct argp_state *state, wishes_t *wishes)
{
    bool given = wishes->live_bytes != 0 || wishes->largest_bytes != 0 ||
                 wishes->smallest_bytes != 0 || wishes->n_blocks != 0;
    if (wishes->file != NULL) {
        if (given)
            argp_error(state, "a recording says what --live, --largest, --smallest and"
                              " --blocks do: choose one");
        return;
    }
    if (wishes->live_bytes == 0 || wishes->largest_bytes == 0)
        argp_error(state, "--live and --largest are needed, or a recording");
    if (wishes->smallest_bytes == 0) wishes->smallest_bytes = 1;
    if (wishes->largest_bytes > wishes->live_bytes)
        argp_error(state, "--largest is more than --live");
    if (wishes->n_blocks != 0 &&
        (bound_units_t)wishes->n_blocks * wishes->largest_bytes < wishes->live_bytes)
        argp_error(state, "--blocks of --largest are less than --live");
    if (wishes->smallest_bytes > wishes->largest_bytes)
        argp_error(state, "--smallest is more than --largest");
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    wishes_t *wishes = state->input;
    switch (key) {
    case 'l': wishes->live_bytes = parse_size(state, "live", arg); break;
    case 'n': wishes->largest_bytes = parse_size(state, "largest", arg); break;
    case 's': wishes->smallest_bytes = parse_size(state, "smallest", arg); break;
    case 'b': wishes->n_blocks = parse_count(state, "blocks", arg, 1, BOUND_MAX_LIVE_BYTES); break;
    case KEY_ALIGN:
        wishes->align_bytes = usage_choose(state, "align", arg, "8", "16") ? 16 : 8;
        break;
    case KEY_LAYOUT: wishes->layout = usage_layout(state, arg); break;
    case KEY_PINS:
        wishes->n_pinned = parse_count(state, "pins", arg, 0, BOUND_MAX_LIVE_BYTES);
        break;
    case KEY_MOVED:
        wishes->permille = 10 * parse_count(state, "moved", arg, 1, MOST_PERMILLE / 10);
        break;
    case 'J': wishes->json = true; break;
    case ARGP_KEY_ARG:
        if (wishes->file != NULL) argp_error(state, "one recording at a time");
        wishes->file = arg;
        break;
    case ARGP_KEY_END: check_wishes(state, wishes); break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* --- the rows --------------------------------------------------------------------------------- */

static void add(table_t *table, row_t row, uint64_t unit_bytes, uint64_t more_bytes)
{
    row.bytes = row.bytes * unit_bytes + more_bytes;
    table->rows[table->n_rows++] = row;
}

static void add_fits(table_t *table)
{
    const bound_program_t *p = &table->program;
    const bound_load_t *heap = &p->heap, *power = &p->power;
    bound_search_t search = bound_heap_search;
    uint64_t unit = p->align_bytes;
    if (unit != 8) search.waste = 0; /* what is left of a hole is one */
    add(table,
        (row_t){"least", "no allocator that moves nothing can do with less", bound_least(&p->sure),
                PUBLISHED,
                "M (1 + log2(n/m) / 2) - n + m; M at most k m, n/m rounded to a power of two",
                "Robson 1974, Bounds for some functions concerning dynamic storage allocation"},
        unit, 0);
    add(table,
        (row_t){"first_fit", "the lowest hole that fits", bound_first_fit(heap), PUBLISHED,
                "M (1 + ceil(log2 n)), or best fit's if that is less",
                "Robson 1977, Worst case fragmentation of first fit and best fit"},
        unit, 0);
    add(table,
        (row_t){"best_fit", "the smallest hole that fits", bound_any_fit(heap, &bound_exact_search),
                PROVED, "max over s <= n of M + min(k-1, (M-s)/m) (s-1)",
                "trivial; Robson 1977: best fit comes near M n, so that none much better exists"},
        unit, 0);
    add(table,
        (row_t){"good_fit",
                "a hole of the first bin that fits, of 4 for each doubling: ealloc's"
                " heap by default",
                bound_any_fit(heap, &search), PROVED,
                "max over s <= n of M + min(k-1, (M-s)/m) (5s/4 - 1 + w) + s/4",
                "trivial; none better is known for segregated fits such as this and TLSF"},
        unit, 0);
    add(table,
        (row_t){"half_fit", "blocks of powers of two: ealloc's heap with EA_FIT_HALF",
                bound_half_fit(power), PUBLISHED, "M' (1 + log2(n'/m')), of the rounded sizes",
                "Ogasawara 1995, An algorithm with constant execution time for dynamic storage"
                " allocation"},
        unit, 0);
    add(table,
        (row_t){"buddy", "powers of two at multiples of their sizes, the lowest first",
                bound_buddy(power), PROVED,
                "M' (1 + log2(n'/m')), M' rounded up to a multiple of n'",
                "Knowlton 1965, A fast storage allocator, with the lowest free buddy taken"},
        unit, 0);
    add(table,
        (row_t){"pools", "a pool for each power of two, none helping another", p->pools_bytes,
                PROVED, "sum over the classes of size times most blocks",
                "each class has its own blocks"},
        1, 0);
}

static void add_movable(table_t *table, const wishes_t *wishes)
{
    const bound_program_t *p = &table->program;
    const bound_load_t *store = &p->store;
    uint64_t unit = p->layout->unit_bytes, handles = p->table_bytes;
    if (!p->is_held) {
        add(table,
            (row_t){"movable", "movable blocks", 0, UNBOUNDED, "",
                    "no store of this layout has so many handles and so much memory"},
            1, 0);
        return;
    }
    add(table,
        (row_t){"movable", "movable blocks, a request may move whatever it takes",
                bound_compacting(&p->slid, wishes->n_pinned), PROVED,
                wishes->n_pinned != 0 ? "M + p (n - 1) + handles, p locked blocks" : "M + handles",
                "holes are slid into one"},
        unit, handles);
    add(table,
        (row_t){"movable_still", "movable blocks, demand budget 0, no steps, all handles at init",
                bound_any_fit(store, &bound_store_search), PROVED,
                "max over s <= n of M + min(k-1, (M-s)/m) 5s/4 + s/4 + 1; + handles",
                "trivial, as good fit; with steps no bound below it is known"},
        unit, handles);
    add(table,
        (row_t){"sliding", "allocated at the end; all slid down when that is reached",
                bound_sliding(store, wishes->permille), PROVED,
                "M + n + M/r + handles, r units moved for each one allocated",
                "as (c+1) M, with c = 1/r, of Bendersky and Petrank 2012 on partial compaction"},
        unit, handles);
    bound_units_t steps = bound_sliding_steps(store, wishes->permille);
    if (steps == 0)
        add(table,
            (row_t){"sliding_steps", "the same, in steps between requests", 0, UNBOUNDED,
                    "M + 2 (n + M/(r-1)) + handles", "with r <= 1 a sweep may never end"},
            1, 0);
    else
        add(table,
            (row_t){"sliding_steps", "the same, in steps between requests", steps, PROVED,
                    "M + 2 (n + M/(r-1)) + handles",
                    "a sweep ends before M/(r-1) + n are allocated"},
            unit, handles);
}

/* --- telling ---------------------------------------------------------------------------------- */

static const char *digits(char text[DIGITS], bound_units_t value)
{
    char *at = text + DIGITS - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value != 0);
    return at;
}

static json_t *json_bytes(bound_units_t value)
{
    if (value <= INT64_MAX) return json_u64((uint64_t)value);
    return json_real((double)value);
}

static double factor(const table_t *table, const row_t *row)
{
    return (double)row->bytes / (double)table->program.live_bytes;
}

static const char *const bases[] = {"proved", "published", "unbounded"};

static void print_load(const char *name, const bound_load_t *load, uint64_t unit_bytes,
                       uint64_t more_bytes)
{
    printf("  %-15s M %" PRIu64 " bytes, n %" PRIu64 ", m %" PRIu64 ", in units of %" PRIu64, name,
           load->live * unit_bytes, load->largest * unit_bytes, load->smallest * unit_bytes,
           unit_bytes);
    if (more_bytes != 0) printf("; handles %" PRIu64 " bytes", more_bytes);
    putchar('\n');
}

static void print_text(const table_t *table, const wishes_t *wishes)
{
    const bound_program_t *p = &table->program;
    char text[DIGITS];
    if (wishes->file != NULL) {
        char *name = printable(wishes->file);
        printf("  recording       %s\n", name);
        free(name);
    }
    printf("  live            %" PRIu64 " bytes at most, in at most %" PRIu64 " blocks of %" PRIu64
           " to %" PRIu64 " bytes\n",
           p->live_bytes, p->n_blocks, p->smallest_bytes, p->largest_bytes);
    print_load("in a heap", &p->heap, p->align_bytes, 0);
    print_load("powers of two", &p->power, p->align_bytes, 0);
    print_load("movable", &p->store, p->layout->unit_bytes, p->table_bytes);
    printf("                  %s layout; %" PRIu64 ".%" PRIu64
           " bytes moved for each allocated, where that is limited\n",
           p->layout->name, wishes->permille / 1000, wishes->permille / 100 % 10);
    for (size_t i = 0; i < table->n_rows; i++) {
        const row_t *row = &table->rows[i];
        if (row->basis == UNBOUNDED)
            printf("\n  %-15s no bound", row->name);
        else
            printf("\n  %-15s %s bytes, %.2f times what is live", row->name,
                   digits(text, row->bytes), factor(table, row));
        printf("\n                  %s\n", row->what);
        if (row->formula[0] != '\0') printf("                  %s\n", row->formula);
        printf("                  %s%s\n", row->basis == PROVED ? "proved: " : "", row->source);
    }
}

static json_t *json_load(const bound_load_t *load, uint64_t unit_bytes)
{
    json_t *found = json_object();
    json_object_set_new(found, "unit_bytes", json_u64(unit_bytes));
    json_object_set_new(found, "live_bytes", json_u64(load->live * unit_bytes));
    json_object_set_new(found, "largest_bytes", json_u64(load->largest * unit_bytes));
    json_object_set_new(found, "smallest_bytes", json_u64(load->smallest * unit_bytes));
    return found;
}

static bool print_json(const table_t *table, const wishes_t *wishes)
{
    const bound_program_t *p = &table->program;
    json_t *root = json_object(), *rows = json_array();
    json_object_set_new(root, "file", json_text(wishes->file));
    json_object_set_new(root, "live_bytes", json_u64(p->live_bytes));
    json_object_set_new(root, "largest_bytes", json_u64(p->largest_bytes));
    json_object_set_new(root, "smallest_bytes", json_u64(p->smallest_bytes));
    json_object_set_new(root, "blocks", json_u64(p->n_blocks));
    json_object_set_new(root, "pins", json_u64(wishes->n_pinned));
    json_object_set_new(root, "moved_percent", json_u64(wishes->permille / 10));
    json_object_set_new(root, "heap", json_load(&p->heap, p->align_bytes));
    json_object_set_new(root, "powers_of_two", json_load(&p->power, p->align_bytes));
    json_object_set_new(root, "movable", json_load(&p->store, p->layout->unit_bytes));
    json_object_set_new(root, "movable_in_place", json_load(&p->slid, p->layout->unit_bytes));
    json_object_set_new(root, "layout", json_text(p->layout->name));
    json_object_set_new(root, "handles_bytes", json_u64(p->table_bytes));
    for (size_t i = 0; i < table->n_rows; i++) {
        const row_t *row = &table->rows[i];
        bool is_number = row->basis != UNBOUNDED;
        json_t *found = json_object();
        json_object_set_new(found, "policy", json_text(row->name));
        json_object_set_new(found, "what", json_text(row->what));
        json_object_set_new(found, "bytes", is_number ? json_bytes(row->bytes) : json_null());
        json_object_set_new(found, "factor",
                            is_number ? json_real(factor(table, row)) : json_null());
        json_object_set_new(found, "basis", json_text(bases[row->basis]));
        json_object_set_new(found, "formula", json_text(row->formula));
        json_object_set_new(found, "source", json_text(row->source));
        json_array_append_new(rows, found);
    }
    json_object_set_new(root, "bounds", rows);
    bool ok =
        root != NULL && json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) == 0;
    json_decref(root);
    return fputc('\n', stdout) != EOF && ok;
}

/* --- a recording ------------------------------------------------------------------------------ */

static void complain(const char *file, const char *what)
{
    char *name = printable(file);
    fprintf(stderr, "ealloc bound: %s: %s\n", name, what);
    free(name);
}

/* The exit status; *is_known: there is a program to tell of. */
static int read_recording(const wishes_t *wishes, const char *path, bound_program_t *program,
                          bool *is_known)
{
    trace_t trace;
    int status = EXIT_BAD_INPUT;
    bool is_loaded = trace_load(&trace, path, NULL);
    if (trace.error != NULL) fprintf(stderr, "ealloc bound: %s\n", trace.error);
    if (trace.irregularity != NULL) fprintf(stderr, "ealloc bound: %s\n", trace.irregularity);
    if (is_loaded) {
        if (trace.n_allocs + trace.n_reallocs == 0) {
            complain(path, "it allocates nothing");
        } else if (trace.largest_bytes > UINT32_MAX) {
            complain(path, "a block of 4 GB or more is more than this reckons with");
            status = EXIT_FAILED;
        } else if (!bound_program_of_trace(program, &trace, wishes->align_bytes, wishes->layout)) {
            complain(path, "no memory");
            status = EXIT_FAILED;
        } else {
            *is_known = true;
            if (!trace.partial && trace.n_irregular == 0) status = 0;
        }
    }
    trace_release(&trace);
    return status;
}

static int learn_program(const wishes_t *wishes, bound_program_t *program, bool *is_known)
{
    if (wishes->file == NULL) {
        bound_program_of(program, wishes->live_bytes, wishes->largest_bytes, wishes->smallest_bytes,
                         wishes->n_blocks, wishes->align_bytes, wishes->layout);
        *is_known = true;
        return 0;
    }
    choice_t choice;
    int status = EXIT_BAD_INPUT;
    if (choice_make(&choice, wishes->file))
        status = read_recording(wishes, choice.path, program, is_known);
    else
        fprintf(stderr, "ealloc bound: %s\n", choice.error != NULL ? choice.error : "no memory");
    choice_release(&choice);
    return status;
}

int cmd_bound(int argc, char **argv)
{
    static const struct argp argp = {option_list, parse_option, "[FILE]", doc, NULL, NULL, NULL};
    wishes_t wishes = {.align_bytes = 8, .permille = 4000};
    table_t table = {0};
    bool is_known = false;
    argp_err_exit_status = EXIT_USAGE;
    if (argp_parse(&argp, argc, argv, 0, NULL, &wishes) != 0) return EXIT_USAGE;
    int status = learn_program(&wishes, &table.program, &is_known);
    if (!is_known) return status;
    add_fits(&table);
    add_movable(&table, &wishes);
    if (!wishes.json) {
        print_text(&table, &wishes);
    } else if (!print_json(&table, &wishes) && ferror(stdout) == 0) {
        fprintf(stderr, "ealloc bound: no memory for the report\n");
        status = EXIT_FAILED;
    }
    return status;
}
