/* SPDX-License-Identifier: MIT
 *
 * Where a recording's bytes come from: a file that is read as a stream, or memory. What was read
 * can be given back and looked at again, which is how a reader finds its way behind damage in a
 * stream that cannot seek.
 */
#ifndef EALLOC_RECORDING_SOURCE_H
#define EALLOC_RECORDING_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
    FILE *file;          /* or: */
    const uint8_t *data; /* the whole recording in memory                    */
    uint64_t size;       /* 0: not known                                     */
    uint64_t offset;     /* of the byte that is read next                    */
    uint8_t *back;       /* bytes of the file that stand before its next one */
    size_t back_at, back_bytes;
} source_t;

/* Read up to n bytes; less only at the end or after an error (ferror(file)). */
size_t source_read(source_t *s, void *to, size_t n);
/* Bytes that were the last ones read, in one or two pieces, are to be read again. False without
 * memory. */
bool source_give_back(source_t *s, const uint8_t *one, size_t n_one, const uint8_t *two,
                      size_t n_two);
/* The bytes that come next, at least `want` of them (up to 64 KB) unless the end comes before: how
 * many are at *at. Nothing is read by that. */
size_t source_peek(source_t *s, const uint8_t **at, size_t want);
/* Skip n of the bytes that were peeked at. */
void source_skip(source_t *s, size_t n);
void source_release(source_t *s);

#endif
