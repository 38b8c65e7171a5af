/* SPDX-License-Identifier: MIT
 *
 * A small reader of dumps, of the tests' own.
 */
#ifndef DUMP_TESTING_H
#define DUMP_TESTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MAX_FIELDS 23u

enum {
    HEAD,
    FAILURE,
    DAMAGE,
    COUNTERS,
    ACCOUNT,
    REGION,
    HEAP,
    BLOCK,
    POOL,
    POOL_BLOCK,
    RANGE,
    RAW,
    TROUBLE,
    END,
    STORE,
    STORE_BLOCK,
    N_KINDS
};

typedef struct {
    const unsigned char *at, *end;
    bool bad;
} reader_t;

typedef struct {
    unsigned kind, n_fields;
    uint64_t field[MAX_FIELDS]; /* of text and bytes the length; of null and arrays 0 */
    const unsigned char *text[MAX_FIELDS];
} record_t;

static inline uint64_t read_head(reader_t *r, unsigned *major)
{
    if (r->at >= r->end) {
        r->bad = true;
        return 0;
    }
    unsigned first = *r->at++, low = first & 31u;
    *major = first >> 5;
    if (low < 24) return low;
    unsigned n = low < 28 ? 1u << (low - 24) : 0;
    if (n == 0 || n > (size_t)(r->end - r->at)) {
        r->bad = true;
        return 0;
    }
    uint64_t value = 0;
    while (n-- > 0) value = value << 8 | *r->at++;
    return value;
}

static inline void read_field(reader_t *r, uint64_t *value, const unsigned char **text)
{
    unsigned major = 9;
    *value = read_head(r, &major);
    *text = NULL;
    if (major == 2 || major == 3) {
        if (*value > (size_t)(r->end - r->at)) r->bad = true;
        if (r->bad) return;
        *text = r->at;
        r->at += *value;
    } else if (major == 4) {
        uint64_t n = *value, inner;
        const unsigned char *none;
        unsigned inner_major;
        for (; n > 0 && !r->bad; n--) inner = read_head(r, &inner_major);
        (void)inner, (void)none;
        *value = 0;
    } else if (major == 7) {
        *value = 0;
    } else if (major != 0) {
        r->bad = true;
    }
}

/* The next record; false: the end, or it is bad. */
static inline bool read_record(reader_t *r, record_t *record)
{
    unsigned major;
    if (r->at < r->end && *r->at == 0xFF) return false;
    memset(record, 0, sizeof *record);
    uint64_t n = read_head(r, &major);
    if (r->bad || major != 4 || n == 0 || n > MAX_FIELDS + 1u) {
        r->bad = true;
        return false;
    }
    record->kind = (unsigned)read_head(r, &major);
    record->n_fields = (unsigned)n - 1u;
    for (unsigned i = 0; i < record->n_fields; i++)
        read_field(r, &record->field[i], &record->text[i]);
    if (record->kind >= N_KINDS) r->bad = true;
    return !r->bad;
}

static inline uint32_t crc_of(const unsigned char *bytes, size_t n)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (unsigned bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1u ? 0xEDB88320u : 0);
    }
    return ~crc;
}

#endif
