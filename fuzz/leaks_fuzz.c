/* SPDX-License-Identifier: MIT
 *
 * libFuzzer target: the first bytes are what the history of leaks finds in its RAM, by the very
 * first its head is made that of a sound one. The rest are events, with time that goes by; then the
 * tables agree with themselves.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/leaks.h"

#define N_SITES 8u
#define N_BLOCKS 32u

static volatile uint32_t ticks;
static ea_leaks_t leaks;
static ea_leaks_history_t history;
static _Alignas(16) unsigned char tables[EA_LEAKS_BYTES(N_SITES, N_BLOCKS)];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void begin(void)
{
    const ea_leaks_options_t options = {.n_sites = N_SITES,
                                        .n_blocks = N_BLOCKS,
                                        .clock = &ticks,
                                        .tick_us = 1000,
                                        .window_us = 96000,
                                        .survival_factor = 8,
                                        .history = &history,
                                        .image = 7};
    if (ea_leaks_init(&leaks, tables, sizeof tables, &options) != EA_OK) abort();
}

static void read_all(void)
{
    ea_leak_past_t past;
    ea_leak_block_t block;
    ea_leaks_stats_t stats;
    ea_leak_t found[N_SITES];
    size_t cursor = 0, n = 0;
    ea_leaks_stats(&leaks, &stats);
    while (ea_leaks_next_past(&leaks, &cursor, &past) == EA_OK)
        if (past.n_boots == 0 || past.last > stats.n_boots) abort();
    if (ea_leaks_top(&leaks, found, N_SITES) != stats.n_found) abort();
    cursor = 0;
    while (ea_leaks_next_block(&leaks, 0, &cursor, &block) == EA_OK) n++;
    if (n > stats.n_live) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + sizeof history) return 0;
    ea_leaks_history_t sound;
    ticks = 0;
    memset(&history, 0, sizeof history);
    begin();
    sound = history;
    memcpy(&history, data + 1, sizeof history);
    if (data[0] & 1) memcpy(&history, &sound, offsetof(ea_leaks_history_t, eai_past));
    begin();
    read_all();
    for (size_t i = 1 + sizeof history; i + 1 < size; i += 2) {
        const void *block = (const void *)(uintptr_t)(16u + 16u * (data[i + 1] & 63u));
        const void *site = (const void *)(uintptr_t)(64u + (data[i] >> 3));
        ea_leaks_record(&leaks, EA_BLOCK_MOVED, 1, site, block, 0);
        if (data[i] & 3) ea_leaks_record(&leaks, EA_BLOCK_ALLOCATED, 1, site, block, data[i + 1]);
        ticks += data[i] & 4 ? 16 : 1;
        (void)ea_leaks_poll(&leaks, 1 + data[i + 1]);
    }
    read_all();
    return 0;
}
