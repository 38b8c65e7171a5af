/* SPDX-License-Identifier: MIT */
#include "pattern.h"

#include <string.h>

#define WORD sizeof(uint64_t)

/* Neighbouring ids and neighbouring words share no byte, but for chance. */
static uint64_t word_of(uint64_t id, size_t index)
{
    uint64_t key = (id + 1) * 0x9E3779B97F4A7C15u;
    return key + index * 0xD1B54A32D192ED03u;
}

static uint8_t byte_of(uint64_t id, size_t at)
{
    uint64_t word = word_of(id, at / WORD);
    uint8_t bytes[WORD];
    memcpy(bytes, &word, WORD);
    return bytes[at % WORD];
}

void pattern_fill(void *block, uint64_t id, size_t from, size_t to)
{
    uint8_t *bytes = block;
    size_t at = from;
    while (at < to && at % WORD != 0) {
        bytes[at] = byte_of(id, at);
        at++;
    }
    for (; to - at >= WORD; at += WORD) {
        uint64_t word = word_of(id, at / WORD);
        memcpy(bytes + at, &word, WORD);
    }
    for (; at < to; at++) bytes[at] = byte_of(id, at);
}

size_t pattern_verify(const void *block, uint64_t id, size_t to)
{
    const uint8_t *bytes = block;
    size_t at = 0;
    for (; to - at >= WORD; at += WORD) {
        uint64_t word = word_of(id, at / WORD);
        if (memcmp(bytes + at, &word, WORD) != 0) break;
    }
    for (; at < to; at++) {
        if (bytes[at] != byte_of(id, at)) return at;
    }
    return PATTERN_OK;
}
