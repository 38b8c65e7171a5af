/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "manifest.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Arguments are bytes, JSON strings are UTF-8: what is not becomes question marks. */
static json_t *text(const char *s)
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

static json_t *arguments(const process_t *p)
{
    json_t *list = json_array();
    for (uint32_t at = 0; at < p->arguments_bytes; at += (uint32_t)strlen(p->arguments + at) + 1)
        json_array_append_new(list, text(p->arguments + at));
    return list;
}

static json_t *build(char **command, const process_t *processes, size_t n, uint32_t exit_status)
{
    json_t *argv = json_array(), *list = json_array();
    for (; *command != NULL; command++) json_array_append_new(argv, text(*command));
    for (size_t i = 0; i < n; i++) {
        const process_t *p = &processes[i];
        json_t *status = p->exit_known ? json_integer((json_int_t)p->exit_status) : json_null();
        json_t *from = p->forked_from != 0 ? json_integer((json_int_t)p->forked_from) : json_null();
        json_array_append_new(
            list, json_pack("{s:o, s:i, s:i, s:o, s:o, s:s, s:o, s:I, s:I}", "file", text(p->file),
                            "pid", (int)p->pid, "ppid", (int)p->ppid, "forked_from", from, "argv",
                            arguments(p), "ended", p->ended, "exit_status", status, "events",
                            (json_int_t)p->n_events, "bytes", (json_int_t)p->n_bytes));
    }
    return json_pack("{s:i, s:o, s:i, s:o}", "manifest_version", 1, "command", argv, "exit_status",
                     (int)exit_status, "processes", list);
}

int manifest_write(const char *path, char **command, const process_t *processes, size_t n,
                   uint32_t exit_status)
{
    json_t *manifest = build(command, processes, n, exit_status);
    int failed = json_dump_file(manifest, path, JSON_INDENT(2));
    json_decref(manifest);
    return failed;
}

void manifest_print(FILE *to, char **command, const process_t *processes, size_t n,
                    uint32_t exit_status)
{
    json_t *manifest = build(command, processes, n, exit_status);
    json_dumpf(manifest, to, JSON_INDENT(2));
    fputc('\n', to);
    json_decref(manifest);
}

void manifest_summary(FILE *to, const process_t *processes, size_t n)
{
    uint64_t n_events = 0, n_bytes = 0;
    size_t most = 0;
    for (size_t i = 0; i < n; i++) {
        n_events += processes[i].n_events;
        n_bytes += processes[i].n_bytes;
        if (processes[i].n_events > processes[most].n_events) most = i;
    }
    fprintf(to,
            "ealloc: recorded %zu process%s, %" PRIu64 " events in %" PRIu64
            " bytes (%.2f an event)\n",
            n, n == 1 ? "" : "es", n_events, n_bytes,
            n_events > 0 ? (double)n_bytes / (double)n_events : 0);
    if (n > 1)
        fprintf(to, "ealloc: most events: %s, %" PRIu64 " (%s)\n", processes[most].file,
                processes[most].n_events, processes[most].arguments);
}
