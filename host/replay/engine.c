/* SPDX-License-Identifier: MIT
 *
 * A whole replay: the heap in mapped memory, a loop that runs to the next sample or the next
 * refused request, and what is known at the end. The checked loop has the shape of the fast one in
 * loop.c.
 */
#define _GNU_SOURCE
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pattern.h"

#define PROBE_BYTES ((size_t)64 * 1024)

/* A slot under check. */
typedef struct {
    void *block;
    uint64_t id; /* the operation that made the block */
    size_t size_bytes;
} checked_slot_t;

typedef struct {
    const trace_t *trace;
    const replay_options_t *options;
    replay_result_t *result;
    replay_cursor_t cursor;
    ea_heap_t *heap;
    const uint8_t *arena;
    void *slots; /* checked_slot_t[] or void *[] */
} run_t;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* whatever else runs here */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint32_t replay_frag_permille(uint64_t free_bytes, uint64_t largest_free_bytes)
{
    uint64_t largest = largest_free_bytes != 0 ? largest_free_bytes + EA_HEAP_OVERHEAD_BYTES : 0;
    if (free_bytes == 0 || largest >= free_bytes) return 0;
    return (uint32_t)(1000 - largest * 1000 / free_bytes);
}

/* --- the checked loop ------------------------------------------------------------------------- */

static void note_damage(run_t *run, const checked_slot_t *slot, const char *what)
{
    replay_result_t *result = run->result;
    if (result->n_damaged++ > 0) return;
    trace_block_t block = {slot != NULL ? slot->id : 0, slot != NULL ? slot->size_bytes : 0};
    trace_describe(run->trace, run->cursor.op, what, slot != NULL ? &block : NULL, result->damage,
                   sizeof result->damage);
}

static void verify_block(run_t *run, const checked_slot_t *slot, size_t size_bytes)
{
    size_t at = pattern_verify(slot->block, slot->id, size_bytes);
    if (at == PATTERN_OK) return;
    char what[64];
    snprintf(what, sizeof what, "contents damaged at byte %zu", at);
    note_damage(run, slot, what);
}

/* The pointer lies in the heap, is aligned, and its block holds what was asked for. Otherwise
 * false, and the block is not to be written to. */
static bool block_is_sound(run_t *run, const checked_slot_t *slot, size_t align)
{
    uintptr_t at = (uintptr_t)slot->block, arena = (uintptr_t)run->arena;
    size_t heap_bytes = run->options->heap_bytes;
    if (at < arena || at - arena > heap_bytes || slot->size_bytes > heap_bytes - (at - arena)) {
        note_damage(run, slot, "block outside the heap");
        return false;
    }
    if (at % align != 0) note_damage(run, slot, "block not aligned");
    if (run->options->ops->usable_size_bytes(run->heap, slot->block) < slot->size_bytes) {
        note_damage(run, slot, "usable size smaller than requested");
        return false;
    }
    return true;
}

static void free_checked(run_t *run, checked_slot_t *slot)
{
    if (slot->block == NULL) return; /* its request was refused */
    verify_block(run, slot, slot->size_bytes);
    if (run->options->ops->free(run->heap, slot->block) != EA_OK) {
        note_damage(run, slot, "free refused");
    }
    slot->block = NULL;
}

static bool resize_checked(run_t *run, checked_slot_t *slot, size_t size_bytes)
{
    const eai_heap_ops_t *ops = run->options->ops;
    void *block = ops->realloc(run->heap, slot->block, size_bytes);
    if (block == NULL) return false;
    size_t kept = slot->block == NULL ? 0 : slot->size_bytes;
    if (slot->block == NULL) slot->id = run->cursor.op;
    slot->block = block;
    slot->size_bytes = size_bytes;
    if (!block_is_sound(run, slot, ops->align_bytes)) {
        slot->block = NULL;
        return true;
    }
    if (kept > size_bytes) kept = size_bytes;
    verify_block(run, slot, kept);
    pattern_fill(slot->block, slot->id, kept, size_bytes);
    return true;
}

static bool allocate_checked(run_t *run, checked_slot_t *slot, trace_op_kind_t kind, size_t size)
{
    const eai_heap_ops_t *ops = run->options->ops;
    size_t align = ops->align_bytes;
    *slot = (checked_slot_t){.id = run->cursor.op, .size_bytes = size};
    if (kind == OP_ALIGNED) {
        align = (size_t)1 << run->trace->align_log2[run->cursor.aligned++];
        slot->block = ops->aligned_alloc(run->heap, align, size);
    } else if (kind == OP_CALLOC) {
        slot->block = ops->calloc(run->heap, 1, size);
    } else {
        slot->block = ops->alloc(run->heap, size);
    }
    if (slot->block == NULL) return false;
    if (!block_is_sound(run, slot, align)) {
        slot->block = NULL;
        return true;
    }
    if (kind == OP_CALLOC) {
        const uint8_t *bytes = slot->block;
        if (bytes[0] != 0 || memcmp(bytes, bytes + 1, size - 1) != 0) {
            note_damage(run, slot, "calloc gave memory that is not zero");
        }
    }
    pattern_fill(slot->block, slot->id, 0, size);
    return true;
}

/* As replay_loop_heap(). */
static bool loop_checked(run_t *run, size_t to)
{
    checked_slot_t *slots = run->slots;
    bool granted = true;
    while (run->cursor.op < to && granted) {
        trace_op_t op = run->trace->ops[run->cursor.op];
        checked_slot_t *slot = &slots[op_slot(op)];
        size_t size = op_request_bytes(op);
        if (op_kind(op) == OP_FREE) {
            free_checked(run, slot);
        } else if (op_kind(op) == OP_REALLOC) {
            granted = resize_checked(run, slot, size);
        } else {
            granted = allocate_checked(run, slot, op_kind(op), size);
        }
        run->cursor.op++;
    }
    return granted;
}

static void check_at_end(run_t *run)
{
    const checked_slot_t *slots = run->slots;
    size_t n_live = 0;
    for (uint32_t i = 0; i < run->trace->n_slots; i++) {
        if (slots[i].block == NULL) continue;
        verify_block(run, &slots[i], slots[i].size_bytes);
        n_live++;
    }
    if (run->result->stats.n_live != n_live)
        note_damage(run, NULL, "count of live blocks is wrong");
    ea_heap_fault_t fault;
    if (run->options->ops->check(run->heap, &fault) != EA_OK)
        note_damage(run, NULL, fault.invariant);
}

/* --- a whole replay --------------------------------------------------------------------------- */

static bool run_to(run_t *run, size_t to)
{
    if (run->options->check_contents) return loop_checked(run, to);
    return replay_loop_heap(run->trace, &run->cursor, to, run->options->ops, run->heap, run->slots);
}

static void note_failure(run_t *run)
{
    replay_result_t *result = run->result;
    if (result->n_failures++ > 0) return;
    ea_heap_stats_t stats;
    run->options->ops->stats(run->heap, &stats);
    result->first_failure.event = trace_event_of(run->trace, run->cursor.op - 1);
    result->first_failure.size_bytes = run->trace->ops[run->cursor.op - 1].size_bytes;
    result->first_failure.free_bytes = stats.free_bytes;
    result->first_failure.largest_free_bytes = stats.largest_free_bytes;
}

static void take_sample(run_t *run)
{
    ea_heap_stats_t stats;
    run->options->ops->stats(run->heap, &stats);
    size_t op = run->cursor.op;
    run->result->samples[run->result->n_samples++] = (replay_sample_t){
        .op = op,
        .time_us = trace_time_us(run->trace, op),
        .used_bytes = stats.total_bytes - stats.free_bytes,
        .free_bytes = stats.free_bytes,
        .largest_free_bytes = stats.largest_free_bytes,
        .frag_permille = replay_frag_permille(stats.free_bytes, stats.largest_free_bytes),
    };
}

/* The operation after which sample i of n is taken. */
static size_t sample_at(const trace_t *trace, size_t i, size_t n)
{
    return (size_t)((unsigned __int128)trace->n_ops * (i + 1) / n);
}

static void run_all(run_t *run)
{
    size_t n_samples = run->options->n_samples, n_ops = run->trace->n_ops;
    for (size_t i = 0; i < (n_samples != 0 ? n_samples : 1); i++) {
        size_t to = n_samples != 0 ? sample_at(run->trace, i, n_samples) : n_ops;
        uint64_t start = now_ns();
        while (!run_to(run, to)) {
            note_failure(run);
            if (run->options->stop_at_failure) break;
        }
        run->result->elapsed_ns += now_ns() - start;
        if (n_samples != 0) take_sample(run);
        if (run->options->stop_at_failure && run->result->n_failures > 0) break;
    }
}

static bool fill_live_bytes(run_t *run)
{
    replay_result_t *result = run->result;
    size_t *at = malloc(result->n_samples * sizeof *at);
    uint64_t *live = malloc(result->n_samples * sizeof *live);
    bool ok = at != NULL && live != NULL;
    for (size_t i = 0; ok && i < result->n_samples; i++) {
        at[i] = result->samples[i].op > 0 ? result->samples[i].op - 1 : 0;
    }
    ok = ok && trace_live_bytes_at(run->trace, at, result->n_samples, live);
    for (size_t i = 0; ok && i < result->n_samples; i++) result->samples[i].live_bytes = live[i];
    free(at);
    free(live);
    return ok;
}

/* Slots and arena, as new: the arena's contents do not matter, the slots are empty. */
static bool prepare_memory(run_t *run, replay_memory_t *memory)
{
    const replay_options_t *options = run->options;
    size_t slot_bytes = options->check_contents ? sizeof(checked_slot_t) : sizeof(void *);
    size_t slots_bytes = (run->trace->n_slots + (size_t)1) * slot_bytes;
    if (!bigmem_reserve(&memory->slots, slots_bytes)) return false;
    if (!bigmem_reserve(&memory->arena, options->heap_bytes)) return false;
    memset(memory->slots.data, 0, slots_bytes);
    if (options->prefault) memset(memory->arena.data, 0, options->heap_bytes);
    run->slots = memory->slots.data;
    run->arena = memory->arena.data;
    return true;
}

replay_status_t replay_run(const trace_t *trace, const replay_options_t *options,
                           replay_memory_t *memory, replay_result_t *result)
{
    run_t run = {.trace = trace, .options = options, .result = result};
    ea_heap_options_t heap_options = {.fit = options->fit};
    *result = (replay_result_t){0};
    if (!prepare_memory(&run, memory)) return REPLAY_NO_MEMORY;
    run.heap = options->ops->init(memory->arena.data, options->heap_bytes, &heap_options);
    if (run.heap == NULL) return REPLAY_NO_HEAP;
    if (options->n_samples != 0) {
        result->samples = calloc(options->n_samples, sizeof *result->samples);
        if (result->samples == NULL) return REPLAY_NO_MEMORY;
    }
    run_all(&run);
    result->n_ops = run.cursor.op;
    options->ops->stats(run.heap, &result->stats);
    result->peak_used_bytes = result->stats.total_bytes - result->stats.min_free_bytes;
    if (run.cursor.refused != 0) note_damage(&run, NULL, "free refused");
    if (options->check_contents) check_at_end(&run);
    return fill_live_bytes(&run) ? REPLAY_DONE : REPLAY_NO_MEMORY;
}

void replay_result_release(replay_result_t *result)
{
    free(result->samples);
    result->samples = NULL;
    result->n_samples = 0;
}

void replay_memory_release(replay_memory_t *memory)
{
    bigmem_release(&memory->arena);
    bigmem_release(&memory->slots);
}

/* A heap's control structure serves a span: a small heap that may grow that far has it, too. */
static size_t control_bytes(const eai_heap_ops_t *ops, ea_heap_fit_t fit, void *mem,
                            size_t size_bytes, size_t span_bytes)
{
    ea_heap_options_t options = {.fit = fit, .span_bytes = span_bytes};
    ea_heap_stats_t stats = {0};
    ea_heap_t *heap = ops->init(mem, size_bytes, &options);
    if (heap != NULL) ops->stats(heap, &stats);
    return stats.control_bytes;
}

size_t replay_control_bytes(const eai_heap_ops_t *ops, ea_heap_fit_t fit, size_t heap_bytes)
{
    void *mem = bigmem_map(PROBE_BYTES, false);
    if (mem == NULL) return 0;
    size_t size = heap_bytes < PROBE_BYTES ? heap_bytes : PROBE_BYTES;
    size_t control = control_bytes(ops, fit, mem, size, heap_bytes);
    bigmem_unmap(mem, PROBE_BYTES);
    return control;
}

void replay_heap_limits(const eai_heap_ops_t *ops, ea_heap_fit_t fit, size_t *least, size_t *most)
{
    *least = *most = 0;
    void *mem = bigmem_map(PROBE_BYTES, false);
    if (mem == NULL) return;
    for (size_t size = 1; size <= PROBE_BYTES && *least == 0; size++)
        if (control_bytes(ops, fit, mem, size, size) != 0) *least = size;
    size_t low = PROBE_BYTES, high = (size_t)1 << 40; /* low can be, high cannot */
    while (*least != 0 && high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (control_bytes(ops, fit, mem, PROBE_BYTES, middle) != 0)
            low = middle;
        else
            high = middle;
    }
    *most = *least != 0 ? low : 0;
    bigmem_unmap(mem, PROBE_BYTES);
}

size_t replay_perfect_bytes(const trace_t *trace, const eai_heap_ops_t *ops, ea_heap_fit_t fit)
{
    /* Below one smallest block there is no heap to ask for its control structure. */
    size_t blocks = trace->peak_gross_bytes > 64 ? trace->peak_gross_bytes : 64;
    return trace->peak_gross_bytes + replay_control_bytes(ops, fit, blocks + 1024);
}
