/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "manifest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "printable.h"

static json_t *arguments(const process_t *p)
{
    json_t *list = json_array();
    for (uint32_t at = 0; at < p->arguments_bytes; at += (uint32_t)strlen(p->arguments + at) + 1)
        json_array_append_new(list, json_text(p->arguments + at));
    return list;
}

static json_t *build(char **command, const process_t *processes, size_t n, uint32_t exit_status)
{
    json_t *argv = json_array(), *list = json_array();
    for (; *command != NULL; command++) json_array_append_new(argv, json_text(*command));
    for (size_t i = 0; i < n; i++) {
        const process_t *p = &processes[i];
        json_t *status = p->exit_known ? json_integer((json_int_t)p->exit_status) : json_null();
        json_t *from = p->forked_from != 0 ? json_integer((json_int_t)p->forked_from) : json_null();
        json_array_append_new(
            list, json_pack("{s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "file",
                            json_text(p->file), "pid", json_u64(p->pid), "ppid", json_u64(p->ppid),
                            "forked_from", from, "argv", arguments(p), "ended", p->ended,
                            "exit_status", status, "events", json_u64(p->n_events), "bytes",
                            json_u64(p->n_bytes), "peak_live_bytes", json_u64(p->peak_bytes)));
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
            "ealloc: recorded %zu process%s, %" PRIu64 " event%s in %" PRIu64
            " bytes (%.2f an event)",
            n, n == 1 ? "" : "es", n_events, n_events == 1 ? "" : "s", n_bytes,
            n_events > 0 ? (double)n_bytes / (double)n_events : 0);
    if (n == 1) {
        fprintf(to, ", peak live %" PRIu64 " bytes\n", processes[0].peak_bytes);
    } else if (n > 1) {
        char *file = printable(processes[most].file), *name = printable(processes[most].arguments);
        fprintf(to, "\nealloc: most events: %s, %" PRIu64 ", peak live %" PRIu64 " bytes (%s)\n",
                file, processes[most].n_events, processes[most].peak_bytes, name);
        free(file);
        free(name);
    }
}
