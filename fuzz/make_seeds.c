/* SPDX-License-Identifier: MIT
 *
 * Writes the fuzzers' first inputs:  make_seeds HEAP_FOLDER RECORDING_FOLDER DUMP_FOLDER
 * ALLOCATOR_FOLDER...
 *
 * Recordings come as the writer makes them and with their frames stored plainly, so that a mutation
 * of a byte is a mutation of the content.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "ealloc/dump.h"
#include "format.h"
#include "recording.h"

static uint32_t rnd = 12345;

static uint32_t next_random(uint32_t limit)
{
    rnd ^= rnd << 13;
    rnd ^= rnd >> 17;
    rnd ^= rnd << 5;
    return rnd % limit;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void write_file(const char *folder, const char *name, int number, const void *data,
                       size_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s%d", folder, name, number);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) fail(path);
}

static void write_recording(const char *path, int n_events)
{
    rec_info_t info;
    memset(&info, 0, sizeof info);
    info.version = REC_FORMAT_VERSION;
    info.pid = 42;
    info.command = "sh -c true";
    info.machine = "x86_64";
    rec_module_t module;
    memset(&module, 0, sizeof module);
    module.path = "/bin/sh";
    module.build_id = "";
    rec_writer_t *writer = rec_writer_open(path, &info);
    if (writer == NULL || rec_write_module(writer, &module) != 0) fail(path);
    for (uint32_t site = 0; site < 4; site++) {
        if (rec_write_site(writer, 0x1000 + site, site % 2 ? 0 : -1, site * 16) != 0) fail(path);
    }
    for (int i = 0; i < n_events; i++) {
        rec_event_t event;
        memset(&event, 0, sizeof event);
        event.kind = (rec_kind_t)(1 + i % 7);
        event.thread = next_random(3);
        event.site = next_random(5);
        event.time_us = (uint64_t)i * 3;
        event.size = 1 + next_random(5000);
        event.align = event.kind == REC_ALIGNED ? 64 : 0;
        event.ptr = event.kind == REC_FAIL ? 0 : 0x10000 + 16 * next_random(64) + i % 9;
        event.old_ptr = event.kind == REC_REALLOC ? 0x10000 + 16 * next_random(64) : 0;
        if (rec_write(writer, &event) != 0) fail(path);
        if (i % 50 == 49 && rec_writer_flush(writer) != 0) fail(path);
    }
    rec_end_t end;
    memset(&end, 0, sizeof end);
    if (rec_writer_close(writer, &end) != 0) fail(path);
}

/* The same recording with no frame compressed. Checksums are left wrong: the target puts them
 * right. */
static size_t store_plainly(const uint8_t *from, size_t size, uint8_t *to, size_t room)
{
    memcpy(to, from, REC_HEAD_BYTES);
    size_t at = REC_HEAD_BYTES, out = REC_HEAD_BYTES;
    while (size - at >= REC_FRAME_HEADER_BYTES && room - out > REC_FRAME_HEADER_BYTES) {
        const uint8_t *header = from + at, *payload = header + REC_FRAME_HEADER_BYTES;
        size_t stored = rec_get32(header + 12), raw = rec_get32(header + 16);
        uint8_t *body = to + out + REC_FRAME_HEADER_BYTES;
        memcpy(to + out, header, REC_FRAME_HEADER_BYTES);
        if (raw > room - out - REC_FRAME_HEADER_BYTES) break;
        if (header[5] == REC_CODEC_ZSTD) {
            if (ZSTD_decompress(body, raw, payload, stored) != raw) break;
        } else {
            memcpy(body, payload, stored);
            raw = stored;
        }
        to[out + 5] = REC_CODEC_STORED;
        rec_put32(to + out + 12, (uint32_t)raw);
        at += REC_FRAME_HEADER_BYTES + stored;
        out += REC_FRAME_HEADER_BYTES + raw;
    }
    return out;
}

static void write_noise(const char *folder, int number, size_t size)
{
    static uint8_t data[1 << 12];
    for (size_t k = 0; k < size; k++) data[k] = (uint8_t)next_random(256);
    data[0] = (uint8_t)number;
    write_file(folder, "ops", number, data, size);
}

/* --- dumps ------------------------------------------------------------------------------------ */

static uint8_t dumped[1 << 12];
static size_t n_dumped;

static bool keep(void *context, const void *bytes, size_t n_bytes)
{
    (void)context;
    if (n_bytes > sizeof dumped - n_dumped) return false;
    memcpy(dumped + n_dumped, bytes, n_bytes);
    n_dumped += n_bytes;
    return true;
}

static _Alignas(8) unsigned char movable[2048];

/* A store with holes, a lock and a move under way, for every second dump. */
static void fill_store(int number)
{
    ea_movable_t *store = ea_movable_init(movable, sizeof movable, NULL);
    ea_movable_handle_t handles[6];
    if (store == NULL) fail("ea_movable_init");
    for (unsigned i = 0; i < 6; i++) handles[i] = ea_movable_alloc(store, 30u + 20u * i, 0);
    (void)ea_movable_free(store, handles[0]);
    (void)ea_movable_free(store, handles[3]);
    if (number > 2) (void)!ea_movable_lock(store, handles[4]);
    (void)!ea_movable_alloc_fixed(store, 50, 8, 0);
    (void)ea_movable_step(store, 40);
    if (number > 4) memset(movable + 600, 0xA5, 40);
}

/* An allocator with a few blocks, of which damage is done to one but the first time. */
static void write_dump(const char *folder, int number)
{
    static unsigned char ram[4096];
    static ea_allocator_t memory;
    static ea_dump_t dump;
    const ea_dump_range_t store = {movable, sizeof movable, "seed"};
    const ea_dump_options_t options = {
        .write = keep, .cause = "a seed", .stores = EA_DUMP_STORES(&store, number % 2 != 0)};
    if (ea_allocator_init(&memory, NULL) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, NULL) != EA_OK)
        fail("ea_allocator_init");
    char *block = NULL;
    for (int i = 0; i <= number; i++) block = ea_malloc(&memory, 20u + 30u * (unsigned)i);
    if (block != NULL && number > 0) memset(block, 0, 60u + 30u * (unsigned)number);
    fill_store(number);
    n_dumped = 0;
    (void)ea_dump(&dump, &memory, &options);
    write_file(folder, "dump", number, dumped, n_dumped);
}

int main(int argc, char **argv)
{
    static uint8_t data[1 << 16], plain[1 << 18];
    if (argc < 4) {
        fprintf(stderr,
                "usage: make_seeds HEAP_FOLDER RECORDING_FOLDER DUMP_FOLDER ALLOCATOR_FOLDER...\n");
        return 1;
    }
    for (int i = 0; i < 48; i++) write_noise(argv[1], i, 64 + 40u * (unsigned)i);
    for (int i = 0; i < 8; i++) write_dump(argv[3], i);
    for (int folder = 4; folder < argc; folder++)
        for (int i = 0; i < 48; i++) write_noise(argv[folder], i, 200 + 75u * (unsigned)i);
    for (int i = 0; i < 4; i++) {
        static const int n_events[] = {0, 7, 40, 300};
        char path[4096];
        snprintf(path, sizeof path, "%s/recording%d", argv[2], i);
        write_recording(path, n_events[i]);
        FILE *file = fopen(path, "rb");
        if (file == NULL) fail(path);
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        write_file(argv[2], "plain", i, plain, store_plainly(data, size, plain, sizeof plain));
        write_file(argv[2], "cut", i, data, size / 2);
    }
    return 0;
}
