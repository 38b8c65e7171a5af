/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "choice.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool looks_like_json(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) return false; /* rec_open() will say why */
    int c = fgetc(file);
    while (c != EOF && isspace(c)) c = fgetc(file);
    fclose(file);
    return c == '{';
}

static bool refuse(choice_t *choice, const char *path, int offset, const char *what)
{
    if (asprintf(&choice->error, "%s: offset %d: %s", path, offset, what) < 0) choice->error = NULL;
    return false;
}

/* A recording lies beside its manifest, wherever the two are now: of the path that the manifest was
 * given, only the last part counts. */
static char *beside(const char *manifest, const char *file)
{
    const char *folder_end = strrchr(manifest, '/'), *name = strrchr(file, '/');
    int folder = folder_end != NULL ? (int)(folder_end - manifest) + 1 : 0;
    char *path = NULL;
    return asprintf(&path, "%.*s%s", folder, manifest, name != NULL ? name + 1 : file) < 0 ? NULL
                                                                                           : path;
}

static bool choose(choice_t *choice, const char *path, const json_t *root)
{
    const json_t *list = json_object_get(root, "processes"), *process;
    const char *best = NULL;
    size_t i;
    if (!json_is_integer(json_object_get(root, "manifest_version"))) {
        return refuse(choice, path, 0, "not a manifest of recordings");
    }
    if (json_integer_value(json_object_get(root, "manifest_version")) != 1) {
        return refuse(choice, path, 0, "a manifest of an unknown version");
    }
    json_array_foreach(list, i, process)
    {
        const char *file = json_string_value(json_object_get(process, "file"));
        json_int_t n = json_integer_value(json_object_get(process, "events"));
        if (file == NULL || n < 0 || (best != NULL && (uint64_t)n <= choice->n_events)) continue;
        best = file;
        choice->n_events = (uint64_t)n;
    }
    if (best == NULL) return refuse(choice, path, 0, "the manifest names no recording");
    choice->from_manifest = true;
    choice->n_processes = json_array_size(list);
    choice->path = beside(path, best);
    return choice->path != NULL;
}

bool choice_make(choice_t *choice, const char *path)
{
    json_error_t error;
    *choice = (choice_t){0};
    if (!looks_like_json(path)) return (choice->path = strdup(path)) != NULL;
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL) return refuse(choice, path, error.position, error.text);
    bool ok = choose(choice, path, root);
    json_decref(root);
    return ok;
}

void choice_release(choice_t *choice)
{
    free(choice->path);
    free(choice->error);
    *choice = (choice_t){0};
}
