/* SPDX-License-Identifier: MIT
 *
 * A trace: a recording made ready for replay. Every block's address becomes a dense slot (a slot is
 * used again once its block is freed, so there are as many slots as blocks ever live at once),
 * every event becomes an 8-byte operation in memory, and everything that follows from the recording
 * alone is computed on the way: counts, peaks, perfect packing, irregularities.
 *
 * Perfect packing is what an allocator without fragmentation would need: the maximum over time of
 * the sum of gross block sizes (a 4-byte header, rounded up to 8, at least 16), to which the replay
 * adds the heap's control structure.
 */
#ifndef EALLOC_REPLAY_TRACE_H
#define EALLOC_REPLAY_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bigmem.h"
#include "idmap.h"
#include "recording.h"

typedef enum { OP_FREE, OP_ALLOC, OP_REALLOC, OP_CALLOC, OP_ALIGNED } trace_op_kind_t;

/* Operations that read usable sizes or failed in the recorded program are counted, not replayed. */
typedef struct {
    uint32_t slot_kind;  /* slot * 8 + trace_op_kind_t                            */
    uint32_t size_bytes; /* as asked for; 4 GB and more reads as UINT32_MAX       */
} trace_op_t;

#define TRACE_MAX_SLOTS ((uint32_t)1 << 28)

static inline uint32_t op_slot(trace_op_t op)
{
    return op.slot_kind >> 3;
}
static inline trace_op_kind_t op_kind(trace_op_t op)
{
    return (trace_op_kind_t)(op.slot_kind & 7);
}
/* malloc(0) gives a block of its own in every C library, so a replay asks for one byte. */
static inline uint32_t op_request_bytes(trace_op_t op)
{
    return op.size_bytes + (op.size_bytes == 0);
}

typedef struct {
    const trace_op_t *ops;
    size_t n_ops;
    const uint8_t *align_log2; /* of the OP_ALIGNED operations, in their order        */
    size_t n_aligned;
    uint32_t n_slots;

    uint64_t n_events; /* read from the recording                              */
    uint64_t n_allocs, n_reallocs, n_frees, n_usable_queries, n_recorded_failures;
    uint64_t n_inherited;     /* frees of blocks that the process had before a fork made it */
    uint64_t n_lost;          /* events the recorder says it missed                   */
    uint64_t n_irregular;     /* events that contradict the ones before them          */
    uint64_t peak_live_bytes; /* requested                                            */
    uint64_t peak_live_blocks;
    uint64_t peak_gross_bytes;        /* perfect packing without the control structure       */
    uint64_t peak_event, peak_offset; /* where in the recording peak_gross_bytes was reached  */
    uint64_t largest_bytes;           /* the largest request                                 */
    uint64_t requested_bytes;         /* of all requests                                     */
    uint64_t end_live_bytes, end_live_blocks;
    uint64_t duration_us;
    uint32_t n_threads;
    bool unclosed;      /* the program ended without closing its recording      */
    bool partial;       /* the recording is damaged or truncated: this is what was readable     */
    char end[96];       /* how the program ended, in words                              */
    char *error;        /* one line naming file and offset if partial, else NULL          */
    char *irregularity; /* the first one: one line naming file, event and offset, else NULL */
    char *command;      /* of the recorded program; "" if not known                    */

    /* private */
    bigmem_array_t eai_ops, eai_aligns, eai_marks, eai_skips, eai_slots;
    size_t eai_n_marks, eai_n_skips;
    idmap_t eai_map;
    uint32_t eai_free_slot; /* head of the list of free slots, through eai_slots; plus 1 */
    uint64_t eai_live_bytes, eai_live_blocks, eai_gross_bytes;
    bool eai_inherits;
} trace_t;

/* How trace_load() tells of its progress: bytes of the file read and in all. NULL: it does not. */
typedef void (*trace_progress_t)(uint64_t done, uint64_t total);

/* Load a recording.
 * Returns  true: the trace is filled in, if damaged (trace->partial) then up to the damage. false:
 *          nothing could be read, and trace->error says why. In both cases trace_release() it. */
bool trace_load(trace_t *trace, const char *path, trace_progress_t progress);
void trace_release(trace_t *trace);

/* The same in parts, for traces that come from elsewhere: begin with an all-zero trace, add events,
 * finish. add returns false when memory or slots run out; source names the origin in messages,
 * offset is what they say. */
bool trace_add(trace_t *trace, const rec_event_t *event, const char *source, uint64_t offset);
/* An event that this trace has no part in: it counts as one of the recording, no more. */
bool trace_skip(trace_t *trace, const rec_event_t *event);
bool trace_finish(trace_t *trace);

/* The number of the recorded event (from 1) that became operation i, and the time of it (exact
 * every 64 operations, interpolated between). Cost O(log n). */
uint64_t trace_event_of(const trace_t *trace, size_t i);
uint64_t trace_time_us(const trace_t *trace, size_t i);

/* Of a block that operation id made. */
typedef struct {
    uint64_t id;
    size_t size_bytes;
} trace_block_t;

/* What operation i met, as text: "event N: what (block of S bytes from event M)"; the rest only
 * where there is a block. */
void trace_describe(const trace_t *trace, size_t i, const char *what, const trace_block_t *block,
                    char *text, size_t text_bytes);

/* live[k] = bytes the program had requested and not freed after operation at[k]; at[] ascends.
 * Returns false when there is no memory. Cost O(operations). */
bool trace_live_bytes_at(const trace_t *trace, const size_t *at, size_t n, uint64_t *live);

/* A block's size in an allocator with a 4-byte header and 8-byte granules. */
static inline uint64_t trace_gross_bytes(uint64_t size_bytes)
{
    uint64_t gross = (size_bytes + 4 + 7) & ~(uint64_t)7;
    return gross < 16 ? 16 : gross;
}

#endif
