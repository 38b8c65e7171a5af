/* SPDX-License-Identifier: MIT
 *
 * Writes a recording from lines of text, so that tests know what is in it:
 *
 *     replay_synth FILE [forked|unclosed] < EVENTS
 *
 *     a PTR SIZE        malloc        c PTR SIZE        calloc
 *     m PTR SIZE ALIGN  memalign      r PTR SIZE OLD    realloc
 *     f PTR             free          u PTR             malloc_usable_size
 *     x PTR SIZE        a request that failed
 *
 * Numbers are decimal; each event comes 10 us after the one before. "forked" says that the process
 * was forked and may free what it inherited; "unclosed" that it ended by a signal.
 */
#include <stdio.h>
#include <string.h>

#include "recording.h"

int main(int argc, char **argv)
{
    static const char letters[] = "acmrfux";
    static const rec_kind_t kinds[] = {REC_ALLOC, REC_CALLOC, REC_ALIGNED, REC_REALLOC,
                                       REC_FREE,  REC_USABLE, REC_FAIL};
    bool forked = argc == 3 && strcmp(argv[2], "forked") == 0;
    bool unclosed = argc == 3 && strcmp(argv[2], "unclosed") == 0;
    char letter;
    unsigned long long ptr, size, third;
    char line[200];
    uint64_t time_us = 0;
    if (argc < 2) return 2;
    rec_info_t info = {.version = REC_FORMAT_VERSION,
                       .pid = 100,
                       .ppid = 99,
                       .command = "synthetic program",
                       .machine = "x86_64",
                       .forked_from = forked ? 99 : 0};
    rec_writer_t *writer = rec_writer_open(argv[1], &info);
    if (writer == NULL) return 1;
    while (fgets(line, sizeof line, stdin) != NULL) {
        size = third = 0;
        if (sscanf(line, " %c %llu %llu %llu", &letter, &ptr, &size, &third) < 2) return 2;
        const char *at = strchr(letters, letter);
        if (at == NULL) return 2;
        rec_event_t event = {.kind = kinds[at - letters], .time_us = time_us += 10};
        event.size = size;
        event.align = letter == 'm' ? third : 0;
        event.ptr = letter == 'x' ? 0 : ptr;
        event.old_ptr = letter == 'r' ? third : 0;
        if (rec_write(writer, &event) != 0) return 1;
        if (letter == 'f' && ptr == 0 && rec_writer_flush(writer) != 0) return 1;
    }
    rec_end_t end = {.closed = !unclosed, .exit_known = true, .exit_status = unclosed ? 139 : 0};
    return rec_writer_close(writer, &end) != 0;
}
