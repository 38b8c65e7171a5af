/* SPDX-License-Identifier: MIT
 *
 * The recording format's constants and byte helpers, shared by the writer and the reader. What they
 * mean is written down in docs/formats/recording.md.
 *
 *     file   = head frame*            frame = header payload
 *     head   = magic[8] version32 crc32
 *     header = magic32 type8 codec8 zero16 index32 stored32 raw32 events32 crc32(payload)
 *     crc32(header)
 *
 * Everything is little-endian. Every byte of a file is covered by one of the three checksums.
 */
#ifndef EALLOC_RECORDING_FORMAT_H
#define EALLOC_RECORDING_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define REC_HEAD_BYTES 16u
#define REC_FRAME_HEADER_BYTES 32u
#define REC_FRAME_MAGIC 0x52464145u /* "EAFR" */

/* A frame's payload before compression never exceeds this: the reader's memory is bounded by it. */
#define REC_MAX_RAW_BYTES (16u << 20)
#define REC_MAX_SITES (1u << 24)
#define REC_MAX_MODULES (1u << 16)
#define REC_MAX_THREADS (1u << 31)

/* PNG's trick: the first byte and the line ends betray a transfer that thought this was text. */
static const uint8_t rec_magic[8] = {0x89, 'E', 'A', 'R', '\r', '\n', 0x1a, '\n'};

typedef enum {
    REC_FRAME_PROCESS = 1, /* whose recording this is: always the first frame     */
    REC_FRAME_MODULES,     /* program files that sites lie in                     */
    REC_FRAME_SITES,       /* return addresses that later events name             */
    REC_FRAME_EVENTS,      /* the events, in columns                              */
    REC_FRAME_END          /* how it ended; without it the file is truncated      */
} rec_frame_type_t;

enum { REC_CODEC_STORED = 0, REC_CODEC_ZSTD = 1 };

/* An event's op byte: its kind in the low three bits, and what follows in the columns. */
enum {
    REC_OP_KIND = 0x07,
    REC_OP_THREAD = 0x08,    /* another thread than the event before: column THREADS  */
    REC_OP_TIME = 0x10,      /* time went on: column TIMES                            */
    REC_OP_UNALIGNED = 0x20, /* an address is not a multiple of 16: coded in bytes    */
    REC_OP_UNUSED = 0xC0
};

typedef enum {
    REC_COL_OPS,
    REC_COL_THREADS,
    REC_COL_TIMES,
    REC_COL_SITES,
    REC_COL_SIZES,
    REC_COL_ALIGNS,
    REC_COL_PTRS,  /* addresses that blocks got      */
    REC_COL_FREED, /* addresses that blocks gave up  */
    REC_N_COLUMNS
} rec_column_t;

/* Events of one frame; a frame is cut earlier if its columns grow large. */
#define REC_FRAME_EVENTS_MAX (1u << 17)

static inline void rec_put32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(v >> (8 * i));
}

static inline uint32_t rec_get32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Signed differences as unsigned numbers that are small when the difference is. */
static inline uint64_t rec_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}
static inline int64_t rec_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

#endif
