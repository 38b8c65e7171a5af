/* SPDX-License-Identifier: MIT
 *
 * libFuzzer target: the input is the RAM in which a ring of events is opened. By the first byte its
 * control words are made those of a sound ring, or left as they are. Then it is read, recorded to,
 * opened again and read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/trace.h"

#define MAX_BYTES 8192u

static volatile uint32_t ticks;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const ea_trace_t *trace)
{
    ea_trace_cursor_t cursor = {0};
    ea_trace_event_t event;
    ea_trace_stats_t stats;
    size_t n = 0;
    ea_trace_stats(trace, &stats);
    for (;;) {
        ea_status_t status = ea_trace_read(trace, &cursor, &event);
        if (status == EA_ERR_NOT_FOUND) break;
        if (status == EA_ERR_AGAIN) continue;
        if (++n > stats.n_events || event.size_bytes > event.max_size_bytes) abort();
    }
    if (n + cursor.n_void > stats.n_events) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    const ea_trace_options_t options = {
        .clock = data[0] & 2 ? &ticks : NULL, .tick_us = 1000, .sample_one_in = data[0] >> 4};
    uint8_t first = data[0];
    data++;
    size--;
    if (size > MAX_BYTES) size = MAX_BYTES;
    uintptr_t *memory = malloc(size);
    if (memory == NULL) return 0;
    ticks = (uint32_t)size * 2654435761u;
    ea_trace_t *trace = ea_trace_open(memory, size, &options);
    if (trace != NULL && first & 1) {
        ea_trace_t sound = *trace;
        memcpy(memory, data, size);
        ea_trace_t *image = (ea_trace_t *)memory;
        image->eai_magic = sound.eai_magic;
        image->eai_shape = sound.eai_shape;
        image->eai_unit_us = sound.eai_unit_us;
        image->eai_base = sound.eai_base;
        image->eai_seal = sound.eai_seal;
        trace = ea_trace_open(memory, size, &options);
    } else {
        memcpy(memory, data, size);
        trace = ea_trace_open(memory, size, &options);
    }
    if (trace != NULL) {
        read_all(trace);
        for (size_t i = 0; i < size / 2; i++) {
            ticks += data[i] * 977u;
            ea_trace_record(trace, (ea_trace_kind_t)(data[i] & 15), data[i],
                            (const void *)(uintptr_t)i, memory + data[i], i);
            if (data[i] == 77) ea_trace_clear(trace);
        }
        read_all(trace);
        trace = ea_trace_open(memory, size, &options);
        if (trace == NULL) abort();
        read_all(trace);
    }
    free(memory);
    return 0;
}
