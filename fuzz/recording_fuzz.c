/* SPDX-License-Identifier: MIT
 *
 * libFuzzer target: the reader of recordings. The input is read twice: as it is, and with every
 * checksum put right, since otherwise no mutation gets past them; behind damage the reading goes
 * on.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "format.h"
#include "recording.h"

static void put_crc(uint8_t *at, const uint8_t *data, size_t size)
{
    rec_put32(at, (uint32_t)crc32(0, data, (unsigned)size));
}

static void repair(uint8_t *data, size_t size)
{
    if (size < REC_HEAD_BYTES) return;
    put_crc(data + REC_HEAD_BYTES - 4, data, REC_HEAD_BYTES - 4);
    size_t at = REC_HEAD_BYTES;
    while (size - at >= REC_FRAME_HEADER_BYTES) {
        uint8_t *header = data + at;
        size_t left = size - at - REC_FRAME_HEADER_BYTES, stored = rec_get32(header + 12);
        if (stored > left) {
            stored = left;
            rec_put32(header + 12, (uint32_t)stored);
        }
        put_crc(header + 24, header + REC_FRAME_HEADER_BYTES, stored);
        put_crc(header + 28, header, 28);
        at += REC_FRAME_HEADER_BYTES + stored;
    }
}

static void read_all(const uint8_t *data, size_t size)
{
    char *error = NULL;
    rec_reader_t *reader = rec_open_memory(data, size, "input", &error);
    if (reader == NULL) {
        if (error == NULL || strlen(error) == 0 || strchr(error, '\n') != NULL) abort();
        free(error);
        return;
    }
    rec_event_t event;
    int got;
    uint64_t done = 0, total = 0, n_events = 0;
    while (n_events < 2000000 && (got = rec_next(reader, &event)) != 0) {
        if (got < 0 && rec_error(reader) == NULL) abort();
        if (got < 0 && !rec_resume(reader)) break;
        if (got < 0) continue;
        const char *module = NULL;
        uint64_t offset = 0;
        n_events++;
        if (event.kind < REC_ALLOC || event.kind > REC_FAIL) abort();
        if (event.site > rec_n_sites(reader)) abort();
        (void)rec_site(reader, event.site, &module, &offset);
        if (module != NULL && strlen(module) > size * 4096) abort();
    }
    rec_progress(reader, &done, &total);
    if (total != size || done > total) abort();
    rec_damage_t damage = rec_damage(reader);
    if ((damage.n_places > 0) != (rec_error(reader) != NULL)) abort();
    char end[200];
    if (strlen(rec_describe_end(reader, end, sizeof end)) == 0) abort();
    if (strlen(rec_info(reader)->command) > size * 4096) abort();
    if (rec_unclosed(reader) && rec_end(reader) == NULL) abort();
    for (uint32_t i = 0; i <= rec_n_modules(reader); i++) { /* one more than there are */
        rec_module_t module = rec_module(reader, i);
        if (strlen(module.path) + strlen(module.build_id) > size * 4096) abort();
    }
    rec_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 20) return 0;
    uint8_t *copy =
        malloc(size != 0 ? size : 1); /* of exactly this size: to see a read beyond it */
    if (copy == NULL) return 0;
    memcpy(copy, data, size);
    read_all(copy, size);
    repair(copy, size);
    read_all(copy, size);
    free(copy);
    return 0;
}
