/* SPDX-License-Identifier: MIT
 *
 * Writes a recording from lines of text, so that tests know what is in it:
 *
 *     replay_synth FILE [forked|unclosed|exec] [command=TEXT] [machine=TEXT] [start=USEC] < EVENTS
 *
 *     a PTR SIZE        malloc        c PTR SIZE        calloc
 *     m PTR SIZE ALIGN  memalign      r PTR SIZE OLD    realloc
 *     f PTR             free          u PTR             malloc_usable_size
 *     x PTR SIZE        a request that failed
 *     A PTR SIZE COUNT  so many mallocs, 4096 bytes apart
 *     t USEC            the next event comes at this time
 *     b                 a new frame begins
 *     M PATH            a module, and a site in it that the next events name; %XX is a byte
 *
 * Numbers are decimal; each event comes 10 us after the one before. "forked" says that the process
 * was forked and may free what it inherited; "unclosed" that it ended by a signal; "exec" that it
 * went on as another program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recording.h"

static rec_info_t info = {.version = REC_FORMAT_VERSION,
                          .pid = 100,
                          .ppid = 99,
                          .command = "synthetic program",
                          .machine = "x86_64"};
static rec_end_t end = {.closed = true, .exit_known = true};

static bool parse_argument(const char *text)
{
    if (strcmp(text, "forked") == 0) {
        info.forked_from = 99;
    } else if (strcmp(text, "unclosed") == 0) {
        end = (rec_end_t){.exit_known = true, .exit_status = 139};
    } else if (strcmp(text, "exec") == 0) {
        end = (rec_end_t){.exec = true};
    } else if (strncmp(text, "command=", 8) == 0) {
        info.command = text + 8;
    } else if (strncmp(text, "machine=", 8) == 0) {
        info.machine = text + 8;
    } else if (strncmp(text, "start=", 6) == 0) {
        info.start_unix_us = strtoull(text + 6, NULL, 10);
    } else {
        return false;
    }
    return true;
}

/* %XX becomes its byte, in place; the line's end goes. */
static char *decode(char *text)
{
    char *to = text;
    text[strcspn(text, "\n")] = '\0';
    for (const char *at = text; *at != '\0'; at++) {
        unsigned byte;
        if (*at == '%' && sscanf(at + 1, "%2x", &byte) == 1) {
            *to++ = (char)byte;
            at += 2;
        } else {
            *to++ = *at;
        }
    }
    *to = '\0';
    return text;
}

int main(int argc, char **argv)
{
    static const char letters[] = "acmrfux";
    static const rec_kind_t kinds[] = {REC_ALLOC, REC_CALLOC, REC_ALIGNED, REC_REALLOC,
                                       REC_FREE,  REC_USABLE, REC_FAIL};
    char letter, line[400];
    unsigned long long ptr, size, third;
    uint64_t time_us = 0;
    uint32_t site = 0;
    if (argc < 2) return 2;
    for (int i = 2; i < argc; i++)
        if (!parse_argument(argv[i])) return 2;
    rec_writer_t *writer = rec_writer_open(argv[1], &info);
    if (writer == NULL) return 1;
    while (fgets(line, sizeof line, stdin) != NULL) {
        size = third = ptr = 0;
        int n = sscanf(line, " %c %llu %llu %llu", &letter, &ptr, &size, &third);
        if (n >= 1 && letter == 'M') {
            rec_module_t module = {.path = decode(line + 2), .build_id = ""};
            if (rec_write_module(writer, &module) != 0) return 1;
            if (rec_write_site(writer, 0x1000, (int32_t)site++, 0x100) != 0) return 1;
            continue;
        }
        if (n >= 1 && letter == 'b') {
            if (rec_writer_flush(writer) != 0) return 1;
            continue;
        }
        if (n == 2 && letter == 't') {
            time_us = ptr - 10;
            continue;
        }
        if (n == 4 && letter == 'A') {
            for (; third > 0; third--, ptr += 4096) {
                rec_event_t event = {
                    .kind = REC_ALLOC, .time_us = time_us += 10, .ptr = ptr, .size = size};
                if (rec_write(writer, &event) != 0) return 1;
            }
            continue;
        }
        const char *at = n < 2 ? NULL : strchr(letters, letter);
        if (at == NULL) return 2;
        rec_event_t event = {.kind = kinds[at - letters], .time_us = time_us += 10, .site = site};
        event.size = size;
        event.align = letter == 'm' ? third : 0;
        event.ptr = letter == 'x' ? 0 : ptr;
        event.old_ptr = letter == 'r' ? third : 0;
        if (rec_write(writer, &event) != 0) return 1;
        if (letter == 'f' && ptr == 0 && rec_writer_flush(writer) != 0) return 1;
    }
    return rec_writer_close(writer, &end) != 0;
}
