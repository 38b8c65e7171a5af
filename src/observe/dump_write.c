/* SPDX-License-Identifier: MIT
 *
 * How a dump is written: CBOR through the dump's buffer; and what it may read.
 */
#include "base/mem.h"
#include "observe/dump_internal.h"

typedef ea_dump_t dump_t;

#define MAX_TEXT_BYTES 96u

/* --- CBOR ------------------------------------------------------------------------------------- */

/* The CRC-32 of zlib, four bits at a time. */
static uint32_t crc_of(uint32_t crc, const unsigned char *bytes, size_t n)
{
    static const uint32_t table[16] = {0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu,
                                       0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
                                       0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
                                       0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu};
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc = table[(crc ^ bytes[i]) & 15u] ^ crc >> 4;
        crc = table[(crc ^ (uint32_t)bytes[i] >> 4) & 15u] ^ crc >> 4;
    }
    return ~crc;
}

void eai_dump_flush(dump_t *d)
{
    size_t n = d->eai_n_buffered;
    d->eai_n_buffered = 0;
    if (n == 0 || d->eai_failed) return;
    d->eai_failed = !d->eai_options->write(d->eai_options->context, d->eai_buffer, n);
}

void eai_dump_put(dump_t *d, const void *bytes, size_t n)
{
    const unsigned char *from = bytes;
    d->eai_crc = crc_of(d->eai_crc, from, n);
    for (size_t i = 0; i < n; i++) {
        d->eai_buffer[d->eai_n_buffered++] = from[i];
        if (d->eai_n_buffered == EAI_DUMP_BUFFER_BYTES) eai_dump_flush(d);
    }
}

void eai_dump_put_head(dump_t *d, unsigned major, uint64_t value)
{
    unsigned char bytes[9];
    unsigned n = value < 24 ? 0 : value <= 0xFFu ? 1 : value <= 0xFFFFu ? 2 : value >> 32 ? 8 : 4;
    bytes[0] = (unsigned char)(major << 5 | (n == 0   ? (unsigned)value
                                             : n == 1 ? 24u
                                             : n == 2 ? 25u
                                             : n == 4 ? 26u
                                                      : 27u));
    for (unsigned i = 0; i < n; i++) bytes[1 + i] = (unsigned char)(value >> 8 * (n - 1 - i));
    eai_dump_put(d, bytes, 1 + n);
}

void eai_dump_put_u(dump_t *d, uint64_t value)
{
    eai_dump_put_head(d, EAI_CBOR_UINT, value);
}

void eai_dump_put_address(dump_t *d, const void *address)
{
    eai_dump_put_u(d, (uintptr_t)address);
}

void eai_dump_put_null(dump_t *d)
{
    static const unsigned char null = EAI_CBOR_NULL;
    eai_dump_put(d, &null, 1);
}

/* The next record: n_fields values follow. */
void eai_dump_open(dump_t *d, unsigned kind, unsigned n_fields)
{
    eai_dump_put_head(d, EAI_CBOR_ARRAY, 1u + n_fields);
    eai_dump_put_u(d, kind);
    d->eai_n_records++;
}

/* --- what may be read ------------------------------------------------------------------------- */

bool eai_dump_is_readable(const dump_t *d, const void *ptr, size_t n)
{
    const ea_dump_options_t *o = d->eai_options;
    uintptr_t at = (uintptr_t)ptr;
    if (at == 0 || n > UINTPTR_MAX - at) return false;
    if (o->readable == NULL) return true;
    for (size_t i = 0; i < o->n_readable; i++) { /* bound: the ranges given */
        size_t size = o->readable[i].size_bytes;
        uintptr_t offset = at - (uintptr_t)o->readable[i].begin;
        if (offset <= size && n <= size - offset) return true;
    }
    return false;
}

/* A pointer to an object that may be read, and is aligned as it must be. */
bool eai_dump_is_object(const dump_t *d, const void *ptr, size_t n)
{
    return (uintptr_t)ptr % sizeof(void *) == 0 && eai_dump_is_readable(d, ptr, n);
}

/* Text of the library or of the caller, which needs no leave to be read. */
void eai_dump_put_text(dump_t *d, const char *text)
{
    size_t n = 0;
    while (text != NULL && n < MAX_TEXT_BYTES && text[n] != '\0') n++;
    eai_dump_put_head(d, EAI_CBOR_TEXT, n);
    eai_dump_put(d, text, n);
}

void eai_dump_put_raw(dump_t *d, const char *begin, size_t n)
{
    eai_dump_open(d, EAI_RECORD_RAW, 2);
    eai_dump_put_address(d, begin);
    eai_dump_put_head(d, EAI_CBOR_BYTES, n);
    eai_dump_put(d, begin, n);
}

void eai_dump_put_trouble(dump_t *d, ea_dump_trouble_t what, const void *where, const char *text)
{
    eai_dump_open(d, EAI_RECORD_TROUBLE, 3);
    eai_dump_put_u(d, what);
    eai_dump_put_address(d, where);
    eai_dump_put_text(d, text);
}
