/* SPDX-License-Identifier: MIT */
#include "source.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)64 * 1024)

static size_t least(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

size_t source_read(source_t *s, void *to, size_t n)
{
    size_t got;
    if (s->file == NULL) {
        got = least(s->size - s->offset, n);
        if (got > 0) memcpy(to, s->data + s->offset, got);
    } else {
        got = least(s->back_bytes - s->back_at, n);
        if (got > 0) memcpy(to, s->back + s->back_at, got);
        s->back_at += got;
        if (got < n) got += fread((uint8_t *)to + got, 1, n - got, s->file);
    }
    s->offset += got;
    return got;
}

/* A new buffer of what is given back, with room for more behind it. */
static bool rebuild(source_t *s, const uint8_t *one, size_t n_one, const uint8_t *two, size_t n_two,
                    size_t more)
{
    size_t rest = s->back_bytes - s->back_at;
    uint8_t *back = malloc(n_one + n_two + rest + more + 1);
    if (back == NULL) return false;
    if (n_one > 0) memcpy(back, one, n_one);
    if (n_two > 0) memcpy(back + n_one, two, n_two);
    if (rest > 0) memcpy(back + n_one + n_two, s->back + s->back_at, rest);
    free(s->back);
    s->back = back;
    s->back_at = 0;
    s->back_bytes = n_one + n_two + rest;
    return true;
}

bool source_give_back(source_t *s, const uint8_t *one, size_t n_one, const uint8_t *two,
                      size_t n_two)
{
    if (s->file != NULL && !rebuild(s, one, n_one, two, n_two, 0)) return false;
    s->offset -= n_one + n_two;
    return true;
}

size_t source_peek(source_t *s, const uint8_t **at, size_t want)
{
    if (s->file == NULL) {
        *at = s->data + s->offset;
        return (size_t)(s->size - s->offset);
    }
    if (s->back_bytes - s->back_at < want && rebuild(s, NULL, 0, NULL, 0, CHUNK_BYTES))
        s->back_bytes += fread(s->back + s->back_bytes, 1, CHUNK_BYTES, s->file);
    *at = s->back + s->back_at;
    return s->back_bytes - s->back_at;
}

void source_skip(source_t *s, size_t n)
{
    s->offset += n;
    if (s->file != NULL) s->back_at += n;
}

void source_release(source_t *s)
{
    if (s->file != NULL) fclose(s->file);
    free(s->back);
    *s = (source_t){0};
}
