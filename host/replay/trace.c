/* SPDX-License-Identifier: MIT
 *
 * Loading: one pass over the events. A live block is an entry of the address map that names its
 * slot; a slot holds the block's size, or while free the next free slot.
 *
 * Times and event numbers are kept sparse, because only samples and messages ask for them: a mark
 * every 64 operations holds the time, and a list of gaps holds where events did not become
 * operations.
 */
#define _GNU_SOURCE
#include "trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "printable.h"
#include "sane.h"

#define MARK_EVERY 64
#define PROGRESS_EVERY 65536

typedef struct {
    size_t op;       /* from this operation on ...                                    */
    int64_t skipped; /* ... so many events became no operation, less those that became two */
} gap_t;

typedef union {
    uint64_t size_bytes;
    uint64_t next_free; /* plus 1; 0: the last */
} slot_t;

static char *format(const char *text, ...) __attribute__((format(printf, 1, 2)));
static char *format(const char *text, ...)
{
    char *line = NULL;
    va_list args;
    va_start(args, text);
    if (vasprintf(&line, text, args) < 0) line = NULL;
    va_end(args);
    return line;
}

/* --- what an operation is made of ------------------------------------------------------------- */

static bool append_op(trace_t *t, trace_op_kind_t kind, uint32_t slot, uint64_t size_bytes,
                      uint64_t time_us)
{
    if (!bigmem_reserve(&t->eai_ops, (t->n_ops + 1) * sizeof(trace_op_t))) return false;
    if (t->n_ops % MARK_EVERY == 0) {
        if (!bigmem_reserve(&t->eai_marks, (t->eai_n_marks + 1) * sizeof(uint64_t))) return false;
        ((uint64_t *)t->eai_marks.data)[t->eai_n_marks++] = time_us;
    }
    uint32_t size = size_bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)size_bytes;
    ((trace_op_t *)t->eai_ops.data)[t->n_ops++] = (trace_op_t){slot << 3 | kind, size};
    return true;
}

static bool append_alignment(trace_t *t, uint64_t align)
{
    if (!bigmem_reserve(&t->eai_aligns, t->n_aligned + 1)) return false;
    uint8_t log2 = 0;
    while (log2 < 63 && (uint64_t)1 << log2 < align) log2++;
    ((uint8_t *)t->eai_aligns.data)[t->n_aligned++] = log2;
    return true;
}

/* This event became no operation (change 1), or one more (change -1). */
static bool shift_events(trace_t *t, int change)
{
    gap_t *gaps = t->eai_skips.data;
    if (t->eai_n_skips > 0 && gaps[t->eai_n_skips - 1].op == t->n_ops) {
        gaps[t->eai_n_skips - 1].skipped += change;
        return true;
    }
    if (!bigmem_reserve(&t->eai_skips, (t->eai_n_skips + 1) * sizeof(gap_t))) return false;
    gaps = t->eai_skips.data;
    int64_t before = t->eai_n_skips > 0 ? gaps[t->eai_n_skips - 1].skipped : 0;
    gaps[t->eai_n_skips++] = (gap_t){t->n_ops, before + change};
    return true;
}

static slot_t *slot_of(const trace_t *t, uint32_t slot)
{
    return (slot_t *)t->eai_slots.data + slot;
}

static uint32_t take_slot(trace_t *t)
{
    if (t->eai_free_slot != 0) {
        uint32_t slot = t->eai_free_slot - 1;
        t->eai_free_slot = (uint32_t)slot_of(t, slot)->next_free;
        return slot;
    }
    if (t->n_slots == TRACE_MAX_SLOTS) return IDMAP_NONE;
    if (!bigmem_reserve(&t->eai_slots, ((size_t)t->n_slots + 1) * sizeof(slot_t)))
        return IDMAP_NONE;
    return t->n_slots++;
}

static void count_block(trace_t *t, uint64_t size_bytes)
{
    t->eai_live_bytes += size_bytes;
    t->eai_gross_bytes += trace_gross_bytes(size_bytes);
    t->eai_live_blocks++;
    if (t->eai_live_bytes > t->peak_live_bytes) t->peak_live_bytes = t->eai_live_bytes;
    if (t->eai_gross_bytes > t->peak_gross_bytes) t->peak_gross_bytes = t->eai_gross_bytes;
    if (t->eai_live_blocks > t->peak_live_blocks) t->peak_live_blocks = t->eai_live_blocks;
}

static void uncount_block(trace_t *t, uint32_t slot)
{
    t->eai_live_bytes -= slot_of(t, slot)->size_bytes;
    t->eai_gross_bytes -= trace_gross_bytes(slot_of(t, slot)->size_bytes);
    t->eai_live_blocks--;
}

static void note_irregular(trace_t *t, const rec_event_t *e, const char *what, uint64_t ptr,
                           const char *source, uint64_t offset)
{
    t->n_irregular++;
    if (t->irregularity != NULL) return;
    t->irregularity = format("%s: event %llu (thread %u): %s 0x%llx at offset %llu", source,
                             (unsigned long long)t->n_events, e->thread, what,
                             (unsigned long long)ptr, (unsigned long long)offset);
}

/* More than a process can hold: no allocation that ever was. Taken as one that failed. */
static bool is_impossible(trace_t *t, const rec_event_t *e, const char *source, uint64_t offset)
{
    if (e->size <= REC_MAX_LIVE_BYTES - t->eai_live_bytes) return false;
    t->n_irregular++;
    if (t->irregularity == NULL)
        t->irregularity = format("%s: event %llu (thread %u): allocation of an impossible size, "
                                 "%llu bytes, at offset %llu",
                                 source, (unsigned long long)t->n_events, e->thread,
                                 (unsigned long long)e->size, (unsigned long long)offset);
    return true;
}

/* --- events ----------------------------------------------------------------------------------- */

static bool drop_block(trace_t *t, uint32_t slot, uint64_t time_us)
{
    uncount_block(t, slot);
    slot_of(t, slot)->next_free = t->eai_free_slot;
    t->eai_free_slot = slot + 1;
    return append_op(t, OP_FREE, slot, 0, time_us);
}

static bool add_block(trace_t *t, const rec_event_t *e, trace_op_kind_t kind)
{
    uint32_t slot = take_slot(t);
    if (slot == IDMAP_NONE || !idmap_put(&t->eai_map, e->ptr, slot)) return false;
    slot_of(t, slot)->size_bytes = e->size;
    count_block(t, e->size);
    if (kind == OP_ALIGNED && !append_alignment(t, e->align)) return false;
    return append_op(t, kind, slot, e->size, e->time_us);
}

/* An address handed out while its block still lives: its free went unseen. Free it first. */
static bool free_if_live(trace_t *t, const rec_event_t *e, const char *source, uint64_t offset)
{
    uint32_t stale = idmap_take(&t->eai_map, e->ptr);
    if (stale == IDMAP_NONE) return true;
    note_irregular(t, e, "allocation at the address of a live block", e->ptr, source, offset);
    return drop_block(t, stale, e->time_us) && shift_events(t, -1);
}

static bool add_alloc(trace_t *t, const rec_event_t *e, const char *source, uint64_t offset)
{
    trace_op_kind_t kind = e->kind == REC_CALLOC                     ? OP_CALLOC
                           : e->kind == REC_ALIGNED && e->align != 0 ? OP_ALIGNED
                                                                     : OP_ALLOC;
    if (e->ptr == 0) return shift_events(t, 1); /* nobody got a block there */
    t->n_allocs++;
    return free_if_live(t, e, source, offset) && add_block(t, e, kind);
}

/* ptr is not the address of a live block. */
static bool unknown_block(trace_t *t, const rec_event_t *e, const char *what, uint64_t ptr,
                          const char *source, uint64_t offset)
{
    if (t->eai_inherits) {
        t->n_inherited++;
    } else {
        note_irregular(t, e, what, ptr, source, offset);
    }
    return true;
}

static bool add_free(trace_t *t, const rec_event_t *e, uint64_t ptr, const char *source,
                     uint64_t offset)
{
    if (ptr == 0) return shift_events(t, 1);
    uint32_t slot = idmap_take(&t->eai_map, ptr);
    if (slot == IDMAP_NONE) {
        unknown_block(t, e, "free of an unknown block", ptr, source, offset);
        return shift_events(t, 1);
    }
    t->n_frees++;
    return drop_block(t, slot, e->time_us);
}

static bool add_realloc(trace_t *t, const rec_event_t *e, const char *source, uint64_t offset)
{
    if (e->ptr == 0) return add_free(t, e, e->old_ptr, source, offset); /* realloc(p, 0) */
    if (e->old_ptr == 0) return add_alloc(t, e, source, offset);
    uint32_t slot = idmap_take(&t->eai_map, e->old_ptr);
    if (slot == IDMAP_NONE) {
        unknown_block(t, e, "realloc of an unknown block", e->old_ptr, source, offset);
        return add_alloc(t, e, source, offset);
    }
    t->n_reallocs++;
    if (!free_if_live(t, e, source, offset) || !idmap_put(&t->eai_map, e->ptr, slot)) return false;
    uncount_block(t, slot);
    slot_of(t, slot)->size_bytes = e->size;
    count_block(t, e->size);
    return append_op(t, OP_REALLOC, slot, e->size, e->time_us);
}

static void count_event(trace_t *t, const rec_event_t *e)
{
    t->n_events++;
    if (e->time_us > t->duration_us) t->duration_us = e->time_us;
    if (e->thread >= t->n_threads) t->n_threads = e->thread + 1;
}

bool trace_skip(trace_t *t, const rec_event_t *e)
{
    count_event(t, e);
    return shift_events(t, 1);
}

bool trace_add(trace_t *t, const rec_event_t *e, const char *source, uint64_t offset)
{
    count_event(t, e);
    if (e->kind == REC_USABLE) {
        t->n_usable_queries++;
        return shift_events(t, 1);
    }
    if (e->kind == REC_FAIL) {
        t->n_recorded_failures++;
        return shift_events(t, 1);
    }
    if (e->kind == REC_FREE) return add_free(t, e, e->ptr, source, offset);
    if (is_impossible(t, e, source, offset)) {
        uint64_t gone = e->kind == REC_REALLOC ? e->old_ptr : 0;
        return gone != 0 ? add_free(t, e, gone, source, offset) : shift_events(t, 1);
    }
    uint64_t peak = t->peak_gross_bytes;
    if (e->size > t->largest_bytes) t->largest_bytes = e->size;
    t->requested_bytes = add_saturating(t->requested_bytes, e->size);
    bool ok = e->kind == REC_REALLOC ? add_realloc(t, e, source, offset)
                                     : add_alloc(t, e, source, offset);
    if (t->peak_gross_bytes > peak) {
        t->peak_event = t->n_events;
        t->peak_offset = offset;
    }
    return ok;
}

bool trace_finish(trace_t *t)
{
    t->ops = t->eai_ops.data;
    t->align_log2 = t->eai_aligns.data;
    t->end_live_bytes = t->eai_live_bytes;
    t->end_live_blocks = t->eai_live_blocks;
    idmap_release(&t->eai_map);
    bigmem_release(&t->eai_slots);
    if (t->command == NULL) t->command = strdup("");
    return t->command != NULL;
}

static bool fail(trace_t *t, char *line)
{
    t->error = line;
    return false;
}

bool trace_load(trace_t *t, const char *path, trace_progress_t progress)
{
    char *error = NULL;
    uint64_t done = 0, total = 0;
    *t = (trace_t){0};
    rec_reader_t *reader = rec_open(path, &error);
    if (reader == NULL) return fail(t, error);
    t->command = strdup(rec_info(reader)->command != NULL ? rec_info(reader)->command : "");
    t->eai_inherits = rec_info(reader)->forked_from != 0;
    rec_event_t event;
    char *name = printable(path);
    int more;
    while ((more = rec_next(reader, &event)) == 1) {
        rec_progress(reader, &done, &total);
        if (progress != NULL && t->n_events % PROGRESS_EVERY == 0) progress(done, total);
        if (!trace_add(t, &event, name, done)) {
            fail(t, format("%s: no memory for event %llu at offset %llu", name,
                           (unsigned long long)t->n_events, (unsigned long long)done));
            rec_close(reader);
            free(name);
            return false;
        }
    }
    rec_describe_end(reader, t->end, sizeof t->end);
    if (more < 0) {
        t->partial = true;
        t->error = strdup(rec_error(reader));
    }
    t->unclosed = more == 0 && rec_unclosed(reader);
    if (more == 0 && rec_end(reader) != NULL) t->n_lost = rec_end(reader)->n_lost;
    rec_close(reader);
    bool finished = trace_finish(t) || fail(t, format("%s: no memory", name));
    free(name);
    return finished;
}

void trace_release(trace_t *t)
{
    bigmem_release(&t->eai_ops);
    bigmem_release(&t->eai_aligns);
    bigmem_release(&t->eai_marks);
    bigmem_release(&t->eai_skips);
    bigmem_release(&t->eai_slots);
    idmap_release(&t->eai_map);
    free(t->error);
    free(t->irregularity);
    free(t->command);
    *t = (trace_t){0};
}

/* --- questions -------------------------------------------------------------------------------- */

uint64_t trace_event_of(const trace_t *t, size_t i)
{
    const gap_t *gaps = t->eai_skips.data;
    size_t low = 0, high = t->eai_n_skips; /* gaps before low begin at or before operation i */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (gaps[mid].op <= i) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return i + 1 + (uint64_t)(low > 0 ? gaps[low - 1].skipped : 0);
}

uint64_t trace_time_us(const trace_t *t, size_t i)
{
    const uint64_t *marks = t->eai_marks.data;
    size_t mark = i / MARK_EVERY;
    if (mark >= t->eai_n_marks) return t->duration_us;
    uint64_t from = marks[mark];
    uint64_t to = mark + 1 < t->eai_n_marks ? marks[mark + 1] : t->duration_us;
    size_t span = mark + 1 < t->eai_n_marks ? MARK_EVERY : t->n_ops - mark * MARK_EVERY;
    return to <= from ? from : from + (to - from) * (i % MARK_EVERY) / span;
}

void trace_describe(const trace_t *t, size_t i, const char *what, const trace_block_t *block,
                    char *text, size_t text_bytes)
{
    uint64_t event = i < t->n_ops ? trace_event_of(t, i) : t->n_events;
    int n = snprintf(text, text_bytes, "event %llu: %s", (unsigned long long)event, what);
    if (block != NULL && n > 0 && (size_t)n < text_bytes) {
        snprintf(text + n, text_bytes - (size_t)n, " (block of %zu bytes from event %llu)",
                 block->size_bytes, (unsigned long long)trace_event_of(t, block->id));
    }
}

bool trace_live_bytes_at(const trace_t *t, const size_t *at, size_t n, uint64_t *live)
{
    bigmem_array_t memory = {0};
    if (!bigmem_reserve(&memory, ((size_t)t->n_slots + 1) * sizeof(uint32_t))) return false;
    uint32_t *sizes = memory.data;
    uint64_t now = 0;
    size_t next = 0;
    for (size_t i = 0; i < t->n_ops && next < n; i++) {
        uint32_t slot = op_slot(t->ops[i]);
        now += t->ops[i].size_bytes;
        now -= sizes[slot]; /* 0 before an allocation, the old size before realloc and free */
        sizes[slot] = t->ops[i].size_bytes;
        while (next < n && at[next] == i) live[next++] = now;
    }
    while (next < n) live[next++] = now;
    bigmem_release(&memory);
    return true;
}
