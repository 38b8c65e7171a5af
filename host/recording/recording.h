/* SPDX-License-Identifier: MIT
 *
 * Recordings of a program's allocations: the reader's and the writer's interface. The format is
 * written down in docs/formats/recording.md.
 */
#ifndef EALLOC_RECORDING_H
#define EALLOC_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REC_FORMAT_VERSION 1

/* No recording lasts longer than 142 years, and no process has more memory than its processor has
 * addresses: what says otherwise is damaged or forged. */
#define REC_MAX_TIME_US (UINT64_C(1) << 52)
#define REC_MAX_LIVE_BYTES (UINT64_C(1) << 56)

typedef enum {
    REC_ALLOC = 1, /* malloc and what is built on it                          */
    REC_CALLOC,
    REC_ALIGNED, /* posix_memalign, aligned_alloc, memalign; align is set   */
    REC_REALLOC, /* old_ptr (0: none) became ptr                            */
    REC_FREE,    /* ptr                                                     */
    REC_USABLE,  /* malloc_usable_size(ptr)                                 */
    REC_FAIL     /* a request of size bytes (align) that returned NULL      */
} rec_kind_t;

typedef struct {
    rec_kind_t kind;
    uint32_t thread;  /* 0 for the first thread seen, then 1, 2 ...             */
    uint32_t site;    /* index for rec_site(); 0: unknown                       */
    uint64_t time_us; /* since the recording began, at most REC_MAX_TIME_US     */
    uint64_t size;    /* bytes asked for                                        */
    uint64_t align;   /* 0: the default                                         */
    uint64_t ptr;     /* the program's address: identity only                   */
    uint64_t old_ptr;
} rec_event_t;

typedef struct rec_reader rec_reader_t;

typedef struct {
    uint32_t version;
    uint32_t pid, ppid;
    uint64_t start_unix_us;
    const char *command;  /* the process's arguments, joined by spaces */
    const char *machine;  /* e.g. "x86_64"                              */
    uint32_t forked_from; /* 0, or the pid this process was forked from without exec: it may then
                           * free blocks of that process which this recording never saw allocated */
} rec_info_t;

typedef struct {
    bool closed;     /* the program ran to its exit handlers                        */
    bool exec;       /* the process went on as another program (exec)               */
    bool exit_known; /* exit_status holds: 0..255, or 128 + signal                  */
    uint32_t exit_status;
    uint64_t duration_us; /* from the start to the last event                            */
    uint64_t n_events;
    uint64_t n_lost; /* events the recorder knows it missed; 0 in a sound recording */
} rec_end_t;

typedef struct {
    const char *path;     /* of the program or library                                   */
    const char *build_id; /* lower-case hexadecimal, "" if it has none                   */
    uint64_t base;        /* where its first byte was mapped                             */
} rec_module_t;

/* Open a recording. On failure returns NULL and *error is one line naming the file and, where it
 * applies, the offset; free it. */
rec_reader_t *rec_open(const char *path, char **error);
/* The same for size bytes at data, which must outlive the reader; name stands for the file's. */
rec_reader_t *rec_open_memory(const void *data, size_t size, const char *name, char **error);
const rec_info_t *rec_info(const rec_reader_t *r);
/* The next event: 1, or 0 at a clean end, or -1: damaged or truncated here (see rec_error). What
 * was read before stays valid. */
int rec_next(rec_reader_t *r, rec_event_t *event);
/* After the first -1: one line naming file and byte offset, fit to be printed. NULL before. Owned
 * by the reader. */
const char *rec_error(const rec_reader_t *r);
/* After -1: go on behind the damage, with the next whole frame.
 * Returns  true: rec_next() gives what follows, and may say -1 again; false: nothing whole follows,
 *          memory ran out, or there are too many places (a crafted file must not take for ever).
 * What lies between is missing: blocks may seem to live on, frees to come from nowhere. Sites that
 * are defined after definitions may have been lost read as unknown. */
bool rec_resume(rec_reader_t *r);

typedef struct {
    uint32_t n_places;    /* where -1 was said: 0 for a sound recording       */
    bool n_missing_known; /* only if the end frame was read                  */
    uint64_t n_missing;   /* events that were written and could not be read   */
} rec_damage_t;

rec_damage_t rec_damage(const rec_reader_t *r);
/* True after the end if the program ended in the middle of its work: by crash, _exit or kill, not
 * by its exit handlers or exec. */
bool rec_unclosed(const rec_reader_t *r);
/* How the program ended, in words; "not known ..." before the end. Returns to. */
char *rec_describe_end(const rec_reader_t *r, char *to, size_t size);
/* Return address of a site and the file and offset in it that it maps to (NULL: unknown module).
 * Valid for every site that an event has named so far. */
uint64_t rec_site(const rec_reader_t *r, uint32_t site, const char **module,
                  uint64_t *module_offset);
uint32_t rec_n_sites(const rec_reader_t *r);
/* The program files named so far; a module_offset above is an offset in such a file. */
uint32_t rec_n_modules(const rec_reader_t *r);
rec_module_t rec_module(const rec_reader_t *r, uint32_t module);
/* How it ended; NULL before the end. */
const rec_end_t *rec_end(const rec_reader_t *r);
/* Bytes of the file consumed so far, and its size: for progress. */
void rec_progress(const rec_reader_t *r, uint64_t *done, uint64_t *total);
void rec_close(rec_reader_t *r);

/* Writing. Every call returns 0, or -1 once the file cannot be written (errno says why). */
typedef struct rec_writer rec_writer_t;

rec_writer_t *rec_writer_open(const char *path, const rec_info_t *info);
/* Define a module; the first is number 0, the next 1, ... */
int rec_write_module(rec_writer_t *w, const rec_module_t *module);
/* Define a site; the first is number 1, the next 2, ... module: its number, or -1 for unknown. */
int rec_write_site(rec_writer_t *w, uint64_t address, int32_t module, uint64_t module_offset);
/* Sites must be defined before an event names them; time never runs backwards nor too far. */
int rec_write(rec_writer_t *w, const rec_event_t *event);
/* Put what was gathered so far into the file. Frequent use costs compression. */
int rec_writer_flush(rec_writer_t *w);
uint64_t rec_writer_bytes(const rec_writer_t *w);
/* n_events and duration_us are filled in from what was written. Frees w in any case. */
int rec_writer_close(rec_writer_t *w, const rec_end_t *end);

#endif
