/* SPDX-License-Identifier: MIT
 *
 * Reads recordings as a stream: never seeks, holds one frame at a time. Nothing in the file is
 * trusted: a frame is used only when both its checksums hold, every length is tested against what
 * is there, and no allocation exceeds REC_MAX_RAW_BYTES whatever the file says. Damage ends the
 * reading with one line that names the file and the offset; what was read before stays valid.
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
    uint32_t stored_bytes, raw_bytes, n_events;
} frame_t;

struct rec_reader {
    FILE *file;          /* or: */
    const uint8_t *data; /* the whole recording in memory */
    uint64_t size, offset;
    char *name, *error;
    rec_info_t info;
    rec_end_t end;
    bool ended;
    uint32_t n_frames;
    uint64_t frame_offset;

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

static size_t read_bytes(rec_reader_t *r, void *to, size_t n)
{
    size_t got;
    if (r->file != NULL) {
        got = fread(to, 1, n, r->file);
    } else {
        got = r->size - r->offset < n ? (size_t)(r->size - r->offset) : n;
        if (got > 0) memcpy(to, r->data + r->offset, got);
    }
    r->offset += got;
    return got;
}

/* Why a read gave less than it should. */
static int fail_short(rec_reader_t *r)
{
    if (r->file != NULL && ferror(r->file)) return fail_at(r, r->offset, "read error (%m)");
    return fail_at(r, r->offset, "truncated");
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

/* 1: a frame's payload is in r->raw; 0: the file ended where a frame could begin; -1: damage. */
static int read_frame(rec_reader_t *r, frame_t *f)
{
    uint8_t header[REC_FRAME_HEADER_BYTES];
    uint64_t start = r->frame_offset = r->offset;
    size_t got = read_bytes(r, header, sizeof header);
    if (got == 0 && (r->file == NULL || !ferror(r->file))) return 0;
    if (got < sizeof header) return fail_short(r);
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    if (rec_get32(header + 28) != (uint32_t)crc32(0, header, 28))
        return fail_at(r, start, "damaged frame header");
#endif
    f->type = header[4];
    f->codec = header[5];
    f->stored_bytes = rec_get32(header + 12);
    f->raw_bytes = rec_get32(header + 16);
    f->n_events = rec_get32(header + 20);
    if (rec_get32(header) != REC_FRAME_MAGIC || header[6] != 0 || header[7] != 0 ||
        f->codec > REC_CODEC_ZSTD || f->raw_bytes > REC_MAX_RAW_BYTES ||
        f->stored_bytes > ZSTD_COMPRESSBOUND(REC_MAX_RAW_BYTES) ||
        f->n_events > REC_FRAME_EVENTS_MAX ||
        (f->codec == REC_CODEC_STORED && f->stored_bytes != f->raw_bytes))
        return fail_at(r, start, "impossible frame header");
    if (rec_get32(header + 8) != r->n_frames)
        return fail_at(r, start, "frame %" PRIu32 " where frame %" PRIu32 " belongs",
                       rec_get32(header + 8), r->n_frames);
    r->n_frames++;

    /* Not more memory than there are bytes: a header alone must not cost 16 MB. */
    if (r->file == NULL && f->stored_bytes > r->size - r->offset) {
        r->offset = r->size;
        return fail_short(r);
    }
    if (!reserve(&r->stored, &r->stored_capacity, f->stored_bytes))
        return fail_at(r, start, "out of memory");
    if (read_bytes(r, r->stored, f->stored_bytes) < f->stored_bytes) return fail_short(r);
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    if (rec_get32(header + 24) != (uint32_t)crc32(0, r->stored, f->stored_bytes))
        return fail_at(r, start, "damaged frame (checksum)");
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
    r->end.exit_status = get_u32(&c);
    r->end.duration_us = get_varint(&c);
    r->end.n_events = get_varint(&c);
    r->end.n_lost = get_varint(&c);
    if (c.short_read || c.at != c.end || flags > 3)
        return fail_at(r, r->frame_offset, "malformed end frame");
    if (r->end.n_events != r->n_events)
        return fail_at(r, r->frame_offset, "%" PRIu64 " events where %" PRIu64 " were written",
                       r->n_events, r->end.n_events);
    uint8_t more;
    uint64_t end = r->offset;
    if (read_bytes(r, &more, 1) != 0) return fail_at(r, end, "data after the end");
    r->ended = true;
    return 0;
}

/* Read frames until there are events: 1; 0 at the clean end; -1. */
static int next_frame(rec_reader_t *r)
{
    while (r->n_left == 0) {
        frame_t f;
        int got = read_frame(r, &f);
        if (got == 0) return fail_at(r, r->offset, "truncated (the end frame is missing)");
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
    if (r->error != NULL) return -1;
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
    if (e->site > r->n_sites)
        return fail_at(r, r->frame_offset, "event of an undefined site in the frame");
    r->n_left--;
    r->n_events++;
    return 1;
}

/* ---- opening and closing
 * ------------------------------------------------------------------------ */

static int read_head(rec_reader_t *r)
{
    uint8_t head[REC_HEAD_BYTES];
    size_t got = read_bytes(r, head, sizeof head);
    if (got == 0 && (r->file == NULL || !ferror(r->file))) return fail_at(r, 0, "empty file");
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
    if (status == 0) return fail_at(r, r->offset, "truncated");
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
        if (error != NULL && asprintf(error, "%s: %s", path, strerror(reason)) < 0) *error = NULL;
        return NULL;
    }
    r->file = file;
    r->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    r->name = strdup(path);
    return open_reader(r, error);
}

rec_reader_t *rec_open_memory(const void *data, size_t size, const char *name, char **error)
{
    rec_reader_t *r = calloc(1, sizeof *r);
    if (r == NULL) {
        if (error != NULL) *error = strdup("out of memory");
        return NULL;
    }
    r->data = data;
    r->size = size;
    r->name = strdup(name);
    return open_reader(r, error);
}

void rec_close(rec_reader_t *r)
{
    if (r == NULL) return;
    if (r->file != NULL) fclose(r->file);
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
    return r->ended && !r->end.closed;
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
    if (done != NULL) *done = r->offset;
    if (total != NULL) *total = r->size > r->offset ? r->size : r->offset;
}
