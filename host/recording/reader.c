/* SPDX-License-Identifier: MIT
 *
 * Reads recordings as a stream: never seeks, holds one frame at a time. Nothing in the file is
 * trusted: a frame is used only when both its checksums hold, every length is tested against what
 * is there, and no allocation exceeds REC_MAX_RAW_BYTES whatever the file says. Damage stops the
 * reading with one line that names the file and the offset; what was read before stays valid.
 *
 * To go on behind damage (rec_resume), the bytes of the frame that failed are given back to the
 * stream and searched for the next header whose checksum holds and whose index is still to come. An
 * EVENTS frame refers to nothing but definitions, so only lost definitions do harm beyond their
 * own frame: sites are numbered by counting, and the count is not known any more.
 */
#define _GNU_SOURCE
#include "recording.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

#include "format.h"
#include "printable.h"
#include "source.h"

#define MAX_DAMAGED_PLACES 100

typedef struct {
    const uint8_t *at, *end;
    bool short_read; /* something was asked for that was not there */
} cursor_t;

typedef struct {
    uint64_t address, module_offset;
    uint32_t module; /* number + 1; 0: unknown */
} site_t;

typedef struct {
    uint8_t type, codec;
    uint32_t index;
    uint32_t stored_bytes, raw_bytes, n_events;
} frame_t;

struct rec_reader {
    source_t source;
    char *name, *error; /* the first error's line */
    bool failed;        /* nothing more is read until rec_resume() */
    bool ended;
    rec_info_t info;
    rec_end_t end;
    uint32_t n_frames; /* the next frame's index */
    uint64_t frame_offset;

    uint32_t n_places;
    bool sites_lost;   /* definitions may be missing: the numbers of further ones are not known */
    uint8_t lost_type; /* of the frame read last; 0: not known                                  */

    uint8_t *stored, *raw; /* the frame, and its payload */
    size_t stored_capacity, raw_capacity, raw_bytes;
    ZSTD_DCtx *zstd;

    cursor_t column[REC_N_COLUMNS];
    uint32_t n_left; /* events of this frame not read yet */
    uint64_t time_us, last_ptr, last_freed, n_events;
    uint32_t thread;

    site_t *sites;
    rec_module_t *modules;
    uint32_t n_sites, site_capacity, n_modules, module_capacity;
};

/* ---- errors
 * ------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static int fail_at(rec_reader_t *r, uint64_t offset,
                                                         const char *format, ...)
{
    r->failed = true;
    if (r->error != NULL) return -1;
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (asprintf(&r->error, "%s: %s at offset %" PRIu64, r->name, what, offset) < 0)
        r->error = NULL;
    return -1;
}

/* ---- bytes
 * -------------------------------------------------------------------------------------- */

/* Why a read gave less than it should. */
static int fail_short(rec_reader_t *r)
{
    if (r->source.file != NULL && ferror(r->source.file))
        return fail_at(r, r->source.offset, "read error (%m)");
    return fail_at(r, r->source.offset, "truncated");
}

static bool reserve(uint8_t **buffer, size_t *capacity, size_t n)
{
    if (n <= *capacity) return true;
    uint8_t *grown = realloc(*buffer, n);
    if (grown == NULL) return false;
    *buffer = grown;
    *capacity = n;
    return true;
}

static inline uint64_t get_varint(cursor_t *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (c->at == c->end) break;
        uint8_t byte = *c->at++;
        if (shift == 63 && byte > 1) break;
        v |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return v;
    }
    c->short_read = true;
    return 0;
}

static uint32_t get_u32(cursor_t *c)
{
    uint64_t v = get_varint(c);
    if (v > UINT32_MAX) c->short_read = true;
    return (uint32_t)v;
}

/* A string of the payload as a copy of its own; NULL if it is not there. */
static char *get_string(cursor_t *c)
{
    uint64_t n = get_varint(c);
    if (c->short_read || n > (uint64_t)(c->end - c->at)) {
        c->short_read = true;
        return NULL;
    }
    char *s = strndup((const char *)c->at, (size_t)n);
    c->at += n;
    if (s == NULL) c->short_read = true;
    return s;
}

/* ---- frames
 * ------------------------------------------------------------------------------------- */

/* Is this a frame's header, and what does it say? "": nothing is wrong with it. */
static const char *parse_header(const uint8_t *header, frame_t *f)
{
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    if (rec_get32(header + 28) != (uint32_t)crc32(0, header, 28)) return "damaged frame header";
#endif
    f->type = header[4];
    f->codec = header[5];
    f->index = rec_get32(header + 8);
    f->stored_bytes = rec_get32(header + 12);
    f->raw_bytes = rec_get32(header + 16);
    f->n_events = rec_get32(header + 20);
    if (rec_get32(header) != REC_FRAME_MAGIC || header[6] != 0 || header[7] != 0 ||
        f->codec > REC_CODEC_ZSTD || f->raw_bytes > REC_MAX_RAW_BYTES ||
        f->stored_bytes > ZSTD_COMPRESSBOUND(REC_MAX_RAW_BYTES) ||
        f->n_events > REC_FRAME_EVENTS_MAX ||
        (f->codec == REC_CODEC_STORED && f->stored_bytes != f->raw_bytes))
        return "impossible frame header";
    return "";
}

/* 1: the payload of f is in r->raw; -1: damage; *got bytes of it as stored were read. */
static int read_payload(rec_reader_t *r, const uint8_t *header, const frame_t *f, size_t *got)
{
    uint64_t start = r->frame_offset;
    /* Not more memory than there are bytes: a header alone must not cost 16 MB. */
    size_t want = f->stored_bytes;
    if (r->source.file == NULL && want > r->source.size - r->source.offset)
        want = (size_t)(r->source.size - r->source.offset);
    if (!reserve(&r->stored, &r->stored_capacity, want)) return fail_at(r, start, "out of memory");
    *got = source_read(&r->source, r->stored, want);
    if (*got < f->stored_bytes) return fail_short(r);
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    if (rec_get32(header + 24) != (uint32_t)crc32(0, r->stored, f->stored_bytes))
        return fail_at(r, start, "damaged frame (checksum)");
#else
    (void)header;
#endif
    if (!reserve(&r->raw, &r->raw_capacity, f->raw_bytes))
        return fail_at(r, start, "out of memory");
    r->raw_bytes = f->raw_bytes;
    if (f->codec == REC_CODEC_STORED) {
        if (f->raw_bytes > 0) memcpy(r->raw, r->stored, f->raw_bytes);
        return 1;
    }
    size_t n = ZSTD_decompressDCtx(r->zstd, r->raw, f->raw_bytes, r->stored, f->stored_bytes);
    if (ZSTD_isError(n) || n != f->raw_bytes)
        return fail_at(r, start, "damaged frame (compression)");
    return 1;
}

/* 1: a frame's payload is in r->raw; 0: the file ended where a frame could begin; -1: damage. Of a
 * frame that failed all but the first byte is given back, for rec_resume() to search. */
static int read_frame(rec_reader_t *r, frame_t *f)
{
    uint8_t header[REC_FRAME_HEADER_BYTES];
    uint64_t start = r->frame_offset = r->source.offset;
    size_t got = source_read(&r->source, header, sizeof header), got_stored = 0;
    r->lost_type = 0;
    if (got == 0 && (r->source.file == NULL || !ferror(r->source.file))) return 0;
    const char *wrong = got < sizeof header ? NULL : parse_header(header, f);
    if (wrong == NULL) {
        fail_short(r);
    } else if (wrong[0] != '\0') {
        fail_at(r, start, "%s", wrong);
    } else if (f->index != r->n_frames) {
        fail_at(r, start, "frame %" PRIu32 " where frame %" PRIu32 " belongs", f->index,
                r->n_frames);
        /* Frames are missing and this one may be sound: let the search find it. */
        source_give_back(&r->source, header, got, NULL, 0);
        return -1;
    } else {
        r->n_frames++;
        r->lost_type = f->type;
        if (read_payload(r, header, f, &got_stored) == 1) return 1;
    }
    if (got > 0) source_give_back(&r->source, header + 1, got - 1, r->stored, got_stored);
    return -1;
}

static cursor_t payload(const rec_reader_t *r)
{
    /* Nothing was read yet into an empty frame's buffer, which may not exist. */
    return (cursor_t){r->raw, r->raw_bytes > 0 ? r->raw + r->raw_bytes : r->raw, false};
}

static int read_process(rec_reader_t *r)
{
    cursor_t c = payload(r);
    r->info.pid = get_u32(&c);
    r->info.ppid = get_u32(&c);
    r->info.forked_from = get_u32(&c);
    r->info.start_unix_us = get_varint(&c);
    r->info.machine = get_string(&c);
    r->info.command = get_string(&c);
    if (c.short_read || c.at != c.end)
        return fail_at(r, r->frame_offset, "malformed process frame");
    return 1;
}

static int read_modules(rec_reader_t *r)
{
    cursor_t c = payload(r);
    if (r->sites_lost) return 1;
    for (uint32_t n = get_u32(&c); n > 0 && !c.short_read; n--) {
        if (r->n_modules == r->module_capacity) {
            uint32_t capacity = r->module_capacity * 2 + 16;
            bool few = capacity <= 2 * REC_MAX_MODULES;
            void *grown = few ? realloc(r->modules, capacity * sizeof *r->modules) : NULL;
            if (grown == NULL) return fail_at(r, r->frame_offset, "too many modules");
            r->modules = grown;
            r->module_capacity = capacity;
        }
        rec_module_t *m = &r->modules[r->n_modules];
        m->base = get_varint(&c);
        m->path = get_string(&c);
        m->build_id = get_string(&c);
        if (!c.short_read) {
            r->n_modules++;
            continue;
        }
        free((char *)m->path);
        free((char *)m->build_id);
    }
    if (c.short_read || c.at != c.end)
        return fail_at(r, r->frame_offset, "malformed modules frame");
    return 1;
}

static int read_sites(rec_reader_t *r)
{
    cursor_t c = payload(r);
    if (r->sites_lost) return 1;
    for (uint32_t n = get_u32(&c); n > 0 && !c.short_read; n--) {
        if (r->n_sites == r->site_capacity) {
            uint32_t capacity = r->site_capacity * 2 + 256;
            bool few = capacity <= 2 * REC_MAX_SITES;
            void *grown = few ? realloc(r->sites, capacity * sizeof *r->sites) : NULL;
            if (grown == NULL) return fail_at(r, r->frame_offset, "too many sites");
            r->sites = grown;
            r->site_capacity = capacity;
        }
        site_t *s = &r->sites[r->n_sites];
        s->address = get_varint(&c);
        s->module = get_u32(&c);
        s->module_offset = get_varint(&c);
        if (c.short_read) break;
        if (s->module > r->n_modules)
            return fail_at(r, r->frame_offset, "site of an undefined module");
        r->n_sites++;
    }
    if (c.short_read || c.at != c.end) return fail_at(r, r->frame_offset, "malformed sites frame");
    return 1;
}

static int read_events(rec_reader_t *r, const frame_t *f)
{
    cursor_t c = payload(r);
    uint64_t time_us = get_varint(&c);
    uint32_t thread = get_u32(&c);
    uint64_t length[REC_N_COLUMNS];
    for (int i = 0; i < REC_N_COLUMNS; i++) length[i] = get_varint(&c);
    for (int i = 0; i < REC_N_COLUMNS && !c.short_read; i++) {
        if (length[i] > (uint64_t)(c.end - c.at)) {
            c.short_read = true;
            break;
        }
        r->column[i] = (cursor_t){c.at, c.at + length[i], false};
        c.at += length[i];
    }
    if (c.short_read || c.at != c.end || length[REC_COL_OPS] != f->n_events ||
        thread >= REC_MAX_THREADS || time_us < r->time_us)
        return fail_at(r, r->frame_offset, "malformed events frame");
    if (time_us > REC_MAX_TIME_US)
        return fail_at(r, r->frame_offset, "impossible time in the frame");
    r->n_left = f->n_events;
    r->time_us = time_us;
    r->thread = thread;
    r->last_ptr = r->last_freed = 0;
    return 1;
}

static int read_end(rec_reader_t *r)
{
    cursor_t c = payload(r);
    uint64_t flags = get_varint(&c);
    r->end.closed = (flags & 1) != 0;
    r->end.exit_known = (flags & 2) != 0;
    r->end.exec = (flags & 4) != 0;
    r->end.exit_status = get_u32(&c);
    r->end.duration_us = get_varint(&c);
    r->end.n_events = get_varint(&c);
    r->end.n_lost = get_varint(&c);
    if (c.short_read || c.at != c.end || flags > 7)
        return fail_at(r, r->frame_offset, "malformed end frame");
    if (r->end.n_events != r->n_events && r->n_places == 0)
        return fail_at(r, r->frame_offset, "%" PRIu64 " events where %" PRIu64 " were written",
                       r->n_events, r->end.n_events);
    uint8_t more;
    uint64_t end = r->source.offset;
    if (source_read(&r->source, &more, 1) != 0) return fail_at(r, end, "data after the end");
    r->ended = true;
    return 0;
}

/* Read frames until there are events: 1; 0 at the clean end; -1. */
static int next_frame(rec_reader_t *r)
{
    while (r->n_left == 0) {
        frame_t f;
        int got = read_frame(r, &f);
        if (got == 0) return fail_at(r, r->source.offset, "truncated (the end frame is missing)");
        if (got < 0) return -1;
        switch (f.type) {
        case REC_FRAME_MODULES: got = read_modules(r); break;
        case REC_FRAME_SITES: got = read_sites(r); break;
        case REC_FRAME_EVENTS: got = read_events(r, &f); break;
        case REC_FRAME_END: return read_end(r);
        default: return fail_at(r, r->frame_offset, "unexpected frame of type %u", f.type);
        }
        if (got < 0) return -1;
    }
    return 1;
}

/* ---- events
 * ------------------------------------------------------------------------------------- */

static inline uint64_t get_address(cursor_t *c, uint64_t *last, bool unaligned)
{
    uint64_t difference = (uint64_t)rec_unzigzag(get_varint(c));
    uint64_t ptr = *last + (unaligned ? difference : difference * 16);
    *last = ptr & ~(uint64_t)15;
    return ptr;
}

int rec_next(rec_reader_t *r, rec_event_t *e)
{
    if (r->failed) return -1;
    if (r->n_left == 0) {
        int got = r->ended ? 0 : next_frame(r);
        if (got <= 0) return got;
    }
    cursor_t *column = r->column;
    uint8_t op = *column[REC_COL_OPS].at++;
    *e = (rec_event_t){.kind = (rec_kind_t)(op & REC_OP_KIND)};
    if ((op & REC_OP_THREAD) != 0) r->thread = get_u32(&column[REC_COL_THREADS]);
    if ((op & REC_OP_TIME) != 0) r->time_us += get_varint(&column[REC_COL_TIMES]);
    bool unaligned = (op & REC_OP_UNALIGNED) != 0;
    e->thread = r->thread;
    e->time_us = r->time_us;
    e->site = get_u32(&column[REC_COL_SITES]);
    switch (e->kind) {
    case REC_ALLOC:
    case REC_CALLOC:
    case REC_ALIGNED:
    case REC_REALLOC:
        e->size = get_varint(&column[REC_COL_SIZES]);
        if (e->kind == REC_ALIGNED) e->align = get_varint(&column[REC_COL_ALIGNS]);
        e->ptr = get_address(&column[REC_COL_PTRS], &r->last_ptr, unaligned);
        if (e->kind == REC_REALLOC)
            e->old_ptr = get_address(&column[REC_COL_FREED], &r->last_freed, unaligned);
        break;
    case REC_FREE:
    case REC_USABLE: e->ptr = get_address(&column[REC_COL_FREED], &r->last_freed, unaligned); break;
    case REC_FAIL:
        e->size = get_varint(&column[REC_COL_SIZES]);
        e->align = get_varint(&column[REC_COL_ALIGNS]);
        break;
    default: return fail_at(r, r->frame_offset, "event of unknown kind in the frame");
    }
    bool short_read = false;
    for (int i = 0; i < REC_N_COLUMNS; i++) short_read |= column[i].short_read;
    if (short_read || (op & REC_OP_UNUSED) != 0 || e->thread >= REC_MAX_THREADS)
        return fail_at(r, r->frame_offset, "malformed event in the frame");
    if (r->time_us > REC_MAX_TIME_US)
        return fail_at(r, r->frame_offset, "impossible time in the frame");
    if (e->site > r->n_sites) {
        if (!r->sites_lost)
            return fail_at(r, r->frame_offset, "event of an undefined site in the frame");
        e->site = 0;
    }
    r->n_left--;
    r->n_events++;
    return 1;
}

/* ---- behind damage
 * ------------------------------------------------------------------------------ */

/* Skip to the next header of a frame that is still to come. False: there is none. */
static bool find_frame(rec_reader_t *r, frame_t *f)
{
    static const uint8_t first = (uint8_t)REC_FRAME_MAGIC;
    const uint8_t *at, *found;
    size_t n;
    while ((n = source_peek(&r->source, &at, REC_FRAME_HEADER_BYTES)) > 0) {
        found = memchr(at, first, n);
        size_t before = found != NULL ? (size_t)(found - at) : n;
        source_skip(&r->source, before);
        if (found == NULL) continue;
        if (source_peek(&r->source, &at, REC_FRAME_HEADER_BYTES) < REC_FRAME_HEADER_BYTES) break;
        if (parse_header(at, f)[0] == '\0' && f->index >= r->n_frames) return true;
        source_skip(&r->source, 1);
    }
    return false;
}

bool rec_resume(rec_reader_t *r)
{
    frame_t f;
    if (!r->failed) return true;
    if (r->ended || r->n_places > MAX_DAMAGED_PLACES) return false;
    if (++r->n_places > MAX_DAMAGED_PLACES || !find_frame(r, &f)) return false;
    bool only_events = r->lost_type == REC_FRAME_EVENTS || r->lost_type == REC_FRAME_END;
    if (!only_events || f.index != r->n_frames) r->sites_lost = true;
    r->n_frames = f.index;
    r->n_left = 0;
    r->failed = false;
    return true;
}

rec_damage_t rec_damage(const rec_reader_t *r)
{
    bool known = r->ended && r->end.n_events >= r->n_events;
    return (rec_damage_t){.n_places = r->n_places + (r->failed && r->n_places == 0),
                          .n_missing_known = known,
                          .n_missing = known ? r->end.n_events - r->n_events : 0};
}

/* ---- opening and closing
 * ------------------------------------------------------------------------ */

static int read_head(rec_reader_t *r)
{
    uint8_t head[REC_HEAD_BYTES];
    size_t got = source_read(&r->source, head, sizeof head);
    if (got == 0 && (r->source.file == NULL || !ferror(r->source.file)))
        return fail_at(r, 0, "empty file");
    size_t n_magic = got < sizeof rec_magic ? got : sizeof rec_magic;
    if (memcmp(head, rec_magic, n_magic) != 0) return fail_at(r, 0, "not a recording");
    if (got < sizeof head) return fail_short(r);
    uint32_t version = rec_get32(head + 8);
    if (rec_get32(head + 12) != (uint32_t)crc32(0, head, 12))
        return fail_at(r, 8, "damaged file header");
    if (version != REC_FORMAT_VERSION)
        return fail_at(r, 8, "format version %" PRIu32 ", this program reads version %d", version,
                       REC_FORMAT_VERSION);
    r->info.version = version;
    frame_t f;
    got = 0;
    int status = read_frame(r, &f);
    if (status == 0) return fail_at(r, r->source.offset, "truncated");
    if (status < 0) return -1;
    if (f.type != REC_FRAME_PROCESS)
        return fail_at(r, r->frame_offset, "frame of type %u where the process frame belongs",
                       f.type);
    return read_process(r);
}

static rec_reader_t *open_reader(rec_reader_t *r, char **error)
{
    r->zstd = ZSTD_createDCtx();
    if (r->name != NULL && r->zstd != NULL && read_head(r) > 0) return r;
    if (error != NULL) {
        *error = r->error;
        r->error = NULL;
        if (*error == NULL && asprintf(error, "%s: out of memory", r->name) < 0) *error = NULL;
    }
    rec_close(r);
    return NULL;
}

rec_reader_t *rec_open(const char *path, char **error)
{
    rec_reader_t *r = calloc(1, sizeof *r);
    FILE *file = fopen(path, "rbe");
    struct stat st = {0};
    bool is_directory = file != NULL && fstat(fileno(file), &st) == 0 && S_ISDIR(st.st_mode);
    if (r == NULL || file == NULL || is_directory) {
        int reason = is_directory ? EISDIR : errno;
        if (file != NULL) fclose(file);
        free(r);
        char *name = printable(path);
        if (error != NULL && asprintf(error, "%s: %s", name, strerror(reason)) < 0) *error = NULL;
        free(name);
        return NULL;
    }
    r->source.file = file;
    r->source.size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    r->name = printable(path);
    return open_reader(r, error);
}

rec_reader_t *rec_open_memory(const void *data, size_t size, const char *name, char **error)
{
    rec_reader_t *r = calloc(1, sizeof *r);
    if (r == NULL) {
        if (error != NULL) *error = strdup("out of memory");
        return NULL;
    }
    r->source.data = data;
    r->source.size = size;
    r->name = printable(name);
    return open_reader(r, error);
}

void rec_close(rec_reader_t *r)
{
    if (r == NULL) return;
    source_release(&r->source);
    for (uint32_t i = 0; i < r->n_modules; i++) {
        free((char *)r->modules[i].path);
        free((char *)r->modules[i].build_id);
    }
    free((char *)r->info.machine);
    free((char *)r->info.command);
    ZSTD_freeDCtx(r->zstd);
    free(r->modules);
    free(r->sites);
    free(r->stored);
    free(r->raw);
    free(r->error);
    free(r->name);
    free(r);
}

/* ---- what it says of itself
 * --------------------------------------------------------------------- */

const rec_info_t *rec_info(const rec_reader_t *r)
{
    return &r->info;
}
const char *rec_error(const rec_reader_t *r)
{
    return r->error;
}
bool rec_unclosed(const rec_reader_t *r)
{
    return r->ended && !r->end.closed && !r->end.exec;
}

char *rec_describe_end(const rec_reader_t *r, char *to, size_t size)
{
    const rec_end_t *end = &r->end;
    if (!r->ended)
        snprintf(to, size, "not known: the recording is damaged or incomplete");
    else if (end->exec)
        snprintf(to, size, "the process went on as another program (exec)");
    else if (end->exit_known && end->exit_status > 128 && !end->closed)
        snprintf(to, size, "killed by signal %" PRIu32 " (%s)", end->exit_status - 128,
                 strsignal((int)end->exit_status - 128));
    else if (end->exit_known)
        snprintf(to, size, "exit status %" PRIu32 "%s", end->exit_status,
                 end->closed ? "" : ", without its exit handlers (_exit)");
    else
        snprintf(to, size, "without its exit handlers: killed, crashed or _exit");
    return to;
}

const rec_end_t *rec_end(const rec_reader_t *r)
{
    return r->ended ? &r->end : NULL;
}
uint32_t rec_n_sites(const rec_reader_t *r)
{
    return r->n_sites;
}
uint32_t rec_n_modules(const rec_reader_t *r)
{
    return r->n_modules;
}

uint64_t rec_site(const rec_reader_t *r, uint32_t site, const char **module,
                  uint64_t *module_offset)
{
    static const site_t unknown = {0};
    const site_t *s = site == 0 || site > r->n_sites ? &unknown : &r->sites[site - 1];
    if (module != NULL) *module = s->module == 0 ? NULL : r->modules[s->module - 1].path;
    if (module_offset != NULL) *module_offset = s->module_offset;
    return s->address;
}

rec_module_t rec_module(const rec_reader_t *r, uint32_t module)
{
    return module < r->n_modules ? r->modules[module] : (rec_module_t){"", "", 0};
}

void rec_progress(const rec_reader_t *r, uint64_t *done, uint64_t *total)
{
    if (done != NULL) *done = r->source.offset;
    if (total != NULL)
        *total = r->source.size > r->source.offset ? r->source.size : r->source.offset;
}
