/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "listing.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "printable.h"
#include "sane.h"

/* A stream for a regular file that begins as JSON does; NULL: it does not. */
static FILE *open_json(const char *path)
{
    int fd = open_regular(path), c;
    if (fd < 0) return NULL; /* whoever reads it as a recording will say why */
    FILE *file = fdopen(fd, "r");
    if (file == NULL) close(fd);
    if (file == NULL) return NULL;
    do c = fgetc(file);
    while (c != EOF && isspace(c));
    if (c == '{') {
        rewind(file);
        return file;
    }
    fclose(file);
    return NULL;
}

static bool refuse(listing_t *listing, const char *path, const char *what, int offset)
{
    char *name = printable(path);
    if (asprintf(&listing->error, "%s: %s at offset %d", name, what, offset < 0 ? 0 : offset) < 0)
        abort();
    free(name);
    return false;
}

static const char *json_fault(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_premature_end_of_input: return "truncated manifest";
    case json_error_invalid_utf8: return "damaged manifest (not UTF-8)";
    case json_error_out_of_memory: return "out of memory";
    default: return "damaged manifest (not JSON)";
    }
}

static char *beside(const char *manifest, const char *file)
{
    const char *folder_end = strrchr(manifest, '/'), *name = strrchr(file, '/');
    int folder = folder_end != NULL ? (int)(folder_end - manifest) + 1 : 0;
    char *path = NULL;
    if (asprintf(&path, "%.*s%s", folder, manifest, name != NULL ? name + 1 : file) < 0) abort();
    return path;
}

static void add(listing_t *listing, char *path, uint64_t n_events)
{
    listed_t *grown = realloc(listing->recordings, (listing->n + 1) * sizeof *grown);
    if (grown == NULL || path == NULL) abort();
    listing->recordings = grown;
    grown[listing->n++] = (listed_t){path, n_events};
}

static bool take_over(listing_t *listing, const char *path, const json_t *root)
{
    const json_t *process, *version = json_object_get(root, "manifest_version");
    size_t i;
    if (!json_is_integer(version))
        return refuse(listing, path, "this is JSON, but no manifest of recordings,", 0);
    if (json_integer_value(version) != 1)
        return refuse(listing, path, "a manifest of an unknown version", 0);
    json_array_foreach(json_object_get(root, "processes"), i, process)
    {
        const char *file = json_string_value(json_object_get(process, "file"));
        json_int_t n = json_integer_value(json_object_get(process, "events"));
        if (file != NULL) add(listing, beside(path, file), n > 0 ? (uint64_t)n : 0);
    }
    if (listing->n == 0) return refuse(listing, path, "the manifest names no recording", 0);
    return true;
}

bool listing_read(listing_t *listing, const char *path)
{
    *listing = (listing_t){0};
    FILE *file = open_json(path);
    if (file == NULL) {
        add(listing, strdup(path), 0);
        return true;
    }
    listing->is_manifest = true;
    json_error_t error;
    json_t *root = json_loadf(file, 0, &error);
    bool ok = root != NULL ? take_over(listing, path, root)
                           : refuse(listing, path, json_fault(&error), error.position);
    json_decref(root);
    fclose(file);
    return ok;
}

void listing_release(listing_t *listing)
{
    for (size_t i = 0; i < listing->n; i++) free(listing->recordings[i].path);
    free(listing->recordings);
    free(listing->error);
    *listing = (listing_t){0};
}
