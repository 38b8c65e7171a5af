/* SPDX-License-Identifier: MIT
 *
 * ealloc info: describes a recording, or every recording of a manifest.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "describe.h"
#include "json_text.h"
#include "listing.h"
#include "printable.h"
#include "sane.h"
#include "usage.h"

typedef struct {
    const char *file;
    uint32_t n_sites;
    bool json;
} options_t;

static const struct argp_option option_table[] = {
    {"sites", 's', "N", 0, "Show the N call sites that allocated most (10)", 0},
    {"json", 'j', NULL, 0, "Describe as JSON", 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    options_t *options = state->input;
    switch (key) {
    case 's': options->n_sites = usage_count(state, "sites", argument); return 0;
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
        "Describe a recording: program, events, live bytes, sizes, lifetimes, call sites. FILE "
        "may be a manifest: every process in it is described.\v"
        "The exit status is 1 if a recording is damaged or the output cannot be written; what was "
        "readable is described all the same, also behind the damage.\n\n"
        "Example: ealloc info --sites 20 ealloc.rec",
};

/* A manifest's recordings are files: it does not get the tool to wait for anything else. */
static bool describe_listed(const listing_t *listing, size_t i, uint32_t n_sites, json_t **json)
{
    const char *path = listing->recordings[i].path;
    if (!listing->is_manifest || !is_special(path)) return describe(path, n_sites, json);
    char *name = printable(path);
    fprintf(stderr, "ealloc info: %s: not a regular file\n", name);
    free(name);
    if (json == NULL) return false;
    *json = json_pack("{s:o, s:s}", "file", json_text(path), "error", "not a regular file");
    return false;
}

static void print_json(const listing_t *listing, const char *file, json_t *list)
{
    json_t *root = !listing->is_manifest
                       ? json_incref(json_array_get(list, 0))
                       : json_pack("{s:o, s:O}", "manifest", json_text(file), "processes", list);
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

int cmd_info(int argc, char **argv)
{
    options_t options = {.n_sites = 10};
    argp_err_exit_status = 2;
    argp_parse(&parser, argc, argv, 0, NULL, &options);

    listing_t listing;
    bool complete = listing_read(&listing, options.file);
    if (!complete) fprintf(stderr, "ealloc info: %s\n", listing.error);
    json_t *list = json_array(), *one = NULL;
    for (size_t i = 0; i < listing.n; i++) {
        if (i > 0 && !options.json) printf("\n");
        complete &= describe_listed(&listing, i, options.n_sites, options.json ? &one : NULL);
        if (options.json) json_array_append_new(list, one);
    }
    if (options.json && (complete || listing.n > 0)) {
        bool opened = json_object_get(json_array_get(list, 0), "events") != NULL;
        if (listing.is_manifest || opened) print_json(&listing, options.file, list);
    }
    json_decref(list);
    listing_release(&listing);
    return complete ? 0 : 1;
}
