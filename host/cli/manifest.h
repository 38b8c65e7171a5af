/* SPDX-License-Identifier: MIT
 *
 * The list of a session's recordings: FILE.manifest.json and the closing summary.
 */
#ifndef EALLOC_MANIFEST_H
#define EALLOC_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
    char *file;
    char *arguments; /* each ended by a zero byte */
    uint32_t arguments_bytes;
    uint32_t pid, ppid, forked_from;
    const char *ended; /* "exit", "signal", "exec", "unknown", "still running" */
    bool exit_known;
    uint32_t exit_status;
    uint64_t n_events, n_bytes, peak_bytes;
} process_t;

int manifest_write(const char *path, char **command, const process_t *processes, size_t n,
                   uint32_t exit_status);
void manifest_print(FILE *to, char **command, const process_t *processes, size_t n,
                    uint32_t exit_status);
void manifest_summary(FILE *to, const process_t *processes, size_t n);

#endif
