/* SPDX-License-Identifier: MIT
 *
 * Writes recordings. Events are gathered in columns (all sizes together, all addresses together
 * ...) because like next to like compresses best; a full set of columns becomes one frame. All
 * state that the coding of an event refers to is reset with every frame, so a frame needs only the
 * definitions of modules and sites before it, never the events.
 */
#define _GNU_SOURCE
#include "recording.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "format.h"

/* Level 1 packs the columns within a few per cent of level 3 at twice the speed, and the recorder
 * competes with the recorded program for the machine. */
#define ZSTD_LEVEL 1

/* Events of one frame. What is cut off or damaged costs whole frames; frames of this size take a
 * few per cent more bytes than frames eight times as long, and some programs' fewer. */
#define FRAME_EVENTS (1u << 14)
#define COLUMN_BYTES ((size_t)FRAME_EVENTS * 10) /* a varint an event at most */
_Static_assert(FRAME_EVENTS <= REC_FRAME_EVENTS_MAX, "readers know the limit");

typedef struct {
    uint8_t *data;
    size_t used, capacity;
} buffer_t;

struct rec_writer {
    FILE *file;
    uint64_t n_bytes, n_events;
    uint32_t n_frames, n_sites, n_modules;
    ZSTD_CCtx *zstd;
    buffer_t column[REC_N_COLUMNS], modules, sites, raw, packed;
    uint32_t n_frame_events, n_new_modules, n_new_sites;
    uint32_t first_thread, thread;
    uint64_t first_time_us, time_us;
    uint64_t last_ptr, last_freed;
};

static void put_reserve(buffer_t *b, size_t more)
{
    if (b->capacity - b->used >= more) return;
    size_t capacity = b->capacity != 0 ? b->capacity * 2 : 4096;
    while (capacity - b->used < more) capacity *= 2;
    uint8_t *data = realloc(b->data, capacity);
    if (data == NULL) abort();
    b->data = data;
    b->capacity = capacity;
}

/* Where there is room: a column has it for all events of a frame. */
static inline void put_within(buffer_t *b, uint64_t v)
{
    uint8_t *at = b->data + b->used;
    while (v >= 0x80) {
        *at++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *at++ = (uint8_t)v;
    b->used = (size_t)(at - b->data);
}

static void put_varint(buffer_t *b, uint64_t v)
{
    put_reserve(b, 10);
    put_within(b, v);
}

static void put_bytes(buffer_t *b, const void *data, size_t n)
{
    put_reserve(b, n);
    if (n > 0) memcpy(b->data + b->used, data, n);
    b->used += n;
}

static void put_string(buffer_t *b, const char *s)
{
    put_varint(b, strlen(s));
    put_bytes(b, s, strlen(s));
}

static int write_bytes(rec_writer_t *w, const void *data, size_t n)
{
    if (n > 0 && fwrite(data, 1, n, w->file) != n) return -1;
    w->n_bytes += n;
    return 0;
}

static int write_frame(rec_writer_t *w, rec_frame_type_t type, const buffer_t *raw,
                       uint32_t n_events)
{
    const uint8_t *payload = raw->data;
    size_t stored = raw->used;
    uint8_t codec = REC_CODEC_STORED;
    w->packed.used = 0;
    put_reserve(&w->packed, ZSTD_compressBound(raw->used));
    size_t packed = ZSTD_compressCCtx(w->zstd, w->packed.data, w->packed.capacity, raw->data,
                                      raw->used, ZSTD_LEVEL);
    if (!ZSTD_isError(packed) && packed < raw->used) {
        payload = w->packed.data;
        stored = packed;
        codec = REC_CODEC_ZSTD;
    }
    uint8_t header[REC_FRAME_HEADER_BYTES] = {0};
    rec_put32(header, REC_FRAME_MAGIC);
    header[4] = (uint8_t)type;
    header[5] = codec;
    rec_put32(header + 8, w->n_frames++);
    rec_put32(header + 12, (uint32_t)stored);
    rec_put32(header + 16, (uint32_t)raw->used);
    rec_put32(header + 20, n_events);
    rec_put32(header + 24, (uint32_t)crc32(0, payload, (uInt)stored));
    rec_put32(header + 28, (uint32_t)crc32(0, header, 28));
    if (write_bytes(w, header, sizeof header) != 0 || write_bytes(w, payload, stored) != 0)
        return -1;
    return fflush(w->file) == 0 ? 0 : -1;
}

rec_writer_t *rec_writer_open(const char *path, const rec_info_t *info)
{
    rec_writer_t *w = calloc(1, sizeof *w);
    if (w == NULL) return NULL;
    w->file = fopen(path, "wbe");
    w->zstd = ZSTD_createCCtx();
    if (w->file == NULL || w->zstd == NULL) goto fail;

    for (int c = 0; c < REC_N_COLUMNS; c++) put_reserve(&w->column[c], COLUMN_BYTES);

    uint8_t head[REC_HEAD_BYTES];
    memcpy(head, rec_magic, sizeof rec_magic);
    rec_put32(head + 8, REC_FORMAT_VERSION);
    rec_put32(head + 12, (uint32_t)crc32(0, head, 12));
    if (write_bytes(w, head, sizeof head) != 0) goto fail;

    buffer_t *raw = &w->raw;
    put_varint(raw, info->pid);
    put_varint(raw, info->ppid);
    put_varint(raw, info->forked_from);
    put_varint(raw, info->start_unix_us);
    put_string(raw, info->machine);
    put_string(raw, info->command);
    if (write_frame(w, REC_FRAME_PROCESS, raw, 0) != 0) goto fail;
    return w;

fail:;
    int reason = errno;
    if (w->file != NULL) fclose(w->file);
    ZSTD_freeCCtx(w->zstd);
    for (int c = 0; c < REC_N_COLUMNS; c++) free(w->column[c].data);
    free(w->raw.data);
    free(w->packed.data);
    free(w);
    errno = reason;
    return NULL;
}

static int flush_modules(rec_writer_t *w)
{
    if (w->n_new_modules == 0) return 0;
    w->raw.used = 0;
    put_varint(&w->raw, w->n_new_modules);
    put_bytes(&w->raw, w->modules.data, w->modules.used);
    w->modules.used = 0;
    w->n_new_modules = 0;
    return write_frame(w, REC_FRAME_MODULES, &w->raw, 0);
}

static int flush_sites(rec_writer_t *w)
{
    if (w->n_new_sites == 0) return 0;
    if (flush_modules(w) != 0) return -1;
    w->raw.used = 0;
    put_varint(&w->raw, w->n_new_sites);
    put_bytes(&w->raw, w->sites.data, w->sites.used);
    w->sites.used = 0;
    w->n_new_sites = 0;
    return write_frame(w, REC_FRAME_SITES, &w->raw, 0);
}

int rec_writer_flush(rec_writer_t *w)
{
    if (flush_modules(w) != 0 || flush_sites(w) != 0) return -1;
    if (w->n_frame_events == 0) return 0;
    w->raw.used = 0;
    put_varint(&w->raw, w->first_time_us);
    put_varint(&w->raw, w->first_thread);
    for (int c = 0; c < REC_N_COLUMNS; c++) put_varint(&w->raw, w->column[c].used);
    for (int c = 0; c < REC_N_COLUMNS; c++) {
        put_bytes(&w->raw, w->column[c].data, w->column[c].used);
        w->column[c].used = 0;
    }
    uint32_t n = w->n_frame_events;
    w->n_frame_events = 0;
    return write_frame(w, REC_FRAME_EVENTS, &w->raw, n);
}

int rec_write_module(rec_writer_t *w, const rec_module_t *module)
{
    put_varint(&w->modules, module->base);
    put_string(&w->modules, module->path);
    put_string(&w->modules, module->build_id);
    w->n_new_modules++;
    w->n_modules++;
    return w->modules.used < (1u << 20) ? 0 : flush_modules(w);
}

int rec_write_site(rec_writer_t *w, uint64_t address, int32_t module, uint64_t module_offset)
{
    put_varint(&w->sites, address);
    put_varint(&w->sites, (uint64_t)(module + 1));
    put_varint(&w->sites, module_offset);
    w->n_new_sites++;
    w->n_sites++;
    return w->sites.used < (1u << 20) ? 0 : flush_sites(w);
}

static inline void put_address(buffer_t *b, uint64_t *last, uint64_t ptr, bool unaligned)
{
    int64_t difference = (int64_t)(ptr - *last);
    *last = ptr & ~(uint64_t)15;
    put_within(b, rec_zigzag(unaligned ? difference : difference / 16));
}

int rec_write(rec_writer_t *w, const rec_event_t *e)
{
    if (w->n_frame_events == 0) {
        w->first_time_us = w->time_us = e->time_us > w->time_us ? e->time_us : w->time_us;
        w->first_thread = w->thread = e->thread;
        w->last_ptr = w->last_freed = 0;
    }
    uint8_t op = (uint8_t)e->kind;
    if (e->thread != w->thread) {
        op |= REC_OP_THREAD;
        put_within(&w->column[REC_COL_THREADS], e->thread);
        w->thread = e->thread;
    }
    if (e->time_us > w->time_us) {
        op |= REC_OP_TIME;
        put_within(&w->column[REC_COL_TIMES], e->time_us - w->time_us);
        w->time_us = e->time_us;
    }
    bool unaligned = ((e->ptr | e->old_ptr) & 15) != 0;
    if (unaligned) op |= REC_OP_UNALIGNED;
    w->column[REC_COL_OPS].data[w->column[REC_COL_OPS].used++] = op;
    put_within(&w->column[REC_COL_SITES], e->site);
    if (e->kind != REC_FREE && e->kind != REC_USABLE)
        put_within(&w->column[REC_COL_SIZES], e->size);
    if (e->kind == REC_ALIGNED || e->kind == REC_FAIL)
        put_within(&w->column[REC_COL_ALIGNS], e->align);
    if (e->kind == REC_FREE || e->kind == REC_USABLE)
        put_address(&w->column[REC_COL_FREED], &w->last_freed, e->ptr, unaligned);
    else if (e->kind != REC_FAIL)
        put_address(&w->column[REC_COL_PTRS], &w->last_ptr, e->ptr, unaligned);
    if (e->kind == REC_REALLOC)
        put_address(&w->column[REC_COL_FREED], &w->last_freed, e->old_ptr, unaligned);
    w->n_events++;
    return ++w->n_frame_events < FRAME_EVENTS ? 0 : rec_writer_flush(w);
}

uint64_t rec_writer_bytes(const rec_writer_t *w)
{
    return w->n_bytes;
}

int rec_writer_close(rec_writer_t *w, const rec_end_t *end)
{
    int failed = rec_writer_flush(w);
    if (failed == 0) {
        w->raw.used = 0;
        put_varint(&w->raw,
                   (end->closed ? 1u : 0u) | (end->exit_known ? 2u : 0u) | (end->exec ? 4u : 0u));
        put_varint(&w->raw, end->exit_status);
        put_varint(&w->raw, w->time_us);
        put_varint(&w->raw, w->n_events);
        put_varint(&w->raw, end->n_lost);
        failed = write_frame(w, REC_FRAME_END, &w->raw, 0);
    }
    if (fclose(w->file) != 0) failed = -1;
    int reason = errno;
    ZSTD_freeCCtx(w->zstd);
    for (int c = 0; c < REC_N_COLUMNS; c++) free(w->column[c].data);
    free(w->modules.data);
    free(w->sites.data);
    free(w->raw.data);
    free(w->packed.data);
    free(w);
    errno = reason;
    return failed;
}
