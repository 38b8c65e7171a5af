/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "movable_run.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "pattern.h"

#define PROGRESS_EVERY 4096

const eai_movable_ops_t *const movable_layouts[MOVABLE_LAYOUTS] = {
    &eai_movable_ops_small, &eai_movable_ops_medium, &eai_movable_ops_large};

size_t movable_least_bytes(const eai_movable_ops_t *ops)
{
    return ops->control_bytes + ops->least_block_bytes + ops->chunk_bytes;
}

typedef struct {
    ea_movable_handle_t handle;
    uint64_t id; /* the operation that made the block */
    size_t size_bytes;
} slot_t;

typedef struct {
    const trace_t *trace;
    const movable_options_t *options;
    const eai_movable_ops_t *ops;
    movable_result_t *result;
    ea_movable_t *store;
    const uint8_t *region;
    slot_t *slots;
    size_t op, aligned;
    size_t moved_bytes; /* before the request at hand */
} run_t;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* whatever else runs here */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --- contents --------------------------------------------------------------------------------- */

static void note_damage(run_t *run, const slot_t *slot, const char *what)
{
    movable_result_t *result = run->result;
    if (result->n_damaged++ > 0) return;
    trace_block_t block = {slot != NULL ? slot->id : 0, slot != NULL ? slot->size_bytes : 0};
    trace_describe(run->trace, run->op, what, slot != NULL ? &block : NULL, result->damage,
                   sizeof result->damage);
}

/* Verify the first bytes of a block, and write the rest of it. */
static void look_at(run_t *run, const slot_t *slot, size_t kept_bytes)
{
    if (!run->options->check_contents) return;
    uint8_t *block = run->ops->lock(run->store, slot->handle);
    size_t at = (uintptr_t)block - (uintptr_t)run->region, all = run->options->region_bytes;
    if (block == NULL) {
        note_damage(run, slot, "a live block cannot be locked");
        return;
    }
    if (at > all || slot->size_bytes > all - at) {
        note_damage(run, slot, "block outside the region");
    } else if (at % run->ops->unit_bytes != 0) {
        note_damage(run, slot, "block not aligned");
    } else if (run->ops->size_bytes(run->store, slot->handle) < slot->size_bytes) {
        note_damage(run, slot, "usable size smaller than requested");
    } else {
        size_t wrong = pattern_verify(block, slot->id, kept_bytes);
        char what[64];
        snprintf(what, sizeof what, "contents damaged at byte %zu", wrong);
        if (wrong != PATTERN_OK) note_damage(run, slot, what);
        pattern_fill(block, slot->id, kept_bytes, slot->size_bytes);
    }
    if (run->ops->unlock(run->store, slot->handle) != EA_OK)
        note_damage(run, slot, "unlock refused");
}

static void check_at_end(run_t *run)
{
    ea_movable_fault_t fault = {0};
    size_t n_live = 0;
    for (uint32_t i = 0; i < run->trace->n_slots; i++) {
        if (ea_movable_is_none(run->slots[i].handle)) continue;
        look_at(run, &run->slots[i], run->slots[i].size_bytes);
        n_live++;
    }
    if (run->result->stats.n_live != n_live)
        note_damage(run, NULL, "count of live blocks is wrong");
    if (run->ops->check(run->store, &fault) != EA_OK) note_damage(run, NULL, fault.invariant);
}

/* --- operations ------------------------------------------------------------------------------- */

static movable_reason_t reason_of(ea_status_t status)
{
    switch (status) {
    case EA_ERR_AGAIN: return MOVABLE_AGAIN;
    case EA_ERR_NO_MEMORY: return MOVABLE_NO_MEMORY;
    case EA_ERR_BUSY: return MOVABLE_BUSY;
    case EA_ERR_LIMIT: return MOVABLE_LIMIT;
    case EA_ERR_TOO_LARGE: return MOVABLE_TOO_LARGE;
    default: return MOVABLE_OTHER;
    }
}

static void refuse(run_t *run, ea_status_t status, size_t size_bytes)
{
    movable_result_t *result = run->result;
    movable_reason_t reason = reason_of(status);
    result->n_refused[reason]++;
    if (result->n_failures++ > 0) return;
    ea_movable_stats_t stats;
    run->ops->stats(run->store, &stats);
    result->first_failure.event = trace_event_of(run->trace, run->op);
    result->first_failure.size_bytes = size_bytes;
    result->first_failure.free_bytes = stats.free_bytes;
    result->first_failure.largest_bytes = stats.largest_bytes;
    result->first_failure.reason = reason;
}

/* What the request moved. A search does not ask. */
static void note_moved(run_t *run)
{
    if (run->options->stop_at_failure) return;
    ea_movable_stats_t stats;
    run->ops->stats(run->store, &stats);
    size_t moved = stats.moved_bytes - run->moved_bytes;
    if (moved > run->result->most_moved_bytes) run->result->most_moved_bytes = moved;
    run->moved_bytes = stats.moved_bytes;
}

static void release(run_t *run, slot_t *slot)
{
    if (ea_movable_is_none(slot->handle)) return; /* its request was refused */
    look_at(run, slot, slot->size_bytes);
    if (run->ops->free(run->store, slot->handle) != EA_OK) note_damage(run, slot, "free refused");
    slot->handle.eai_word = 0;
}

static void resize(run_t *run, slot_t *slot, size_t size_bytes)
{
    ea_status_t status =
        run->ops->resize(run->store, slot->handle, size_bytes, run->options->demand_bytes);
    if (status != EA_OK) {
        refuse(run, status, size_bytes);
        return;
    }
    size_t kept = slot->size_bytes < size_bytes ? slot->size_bytes : size_bytes;
    slot->size_bytes = size_bytes;
    look_at(run, slot, kept);
}

static void allocate(run_t *run, slot_t *slot, trace_op_kind_t kind, size_t size_bytes)
{
    slot->id = run->op;
    slot->size_bytes = size_bytes;
    slot->handle = run->ops->alloc(run->store, size_bytes, run->options->demand_bytes);
    if (ea_movable_is_none(slot->handle)) {
        refuse(run, run->ops->last_refusal(run->store), size_bytes);
        return;
    }
    if (kind == OP_CALLOC && !run->options->stop_at_failure) {
        void *block = run->ops->lock(run->store, slot->handle);
        if (block != NULL) memset(block, 0, size_bytes);
        (void)run->ops->unlock(run->store, slot->handle);
    }
    look_at(run, slot, 0);
}

static void run_op(run_t *run, trace_op_t op)
{
    slot_t *slot = &run->slots[op_slot(op)];
    trace_op_kind_t kind = op_kind(op);
    if (kind == OP_ALIGNED) {
        size_t align = (size_t)1 << run->trace->align_log2[run->aligned++];
        if (align > run->ops->unit_bytes) run->result->n_aligned++;
    }
    if (kind == OP_FREE) {
        release(run, slot);
        return;
    }
    if (kind == OP_REALLOC && !ea_movable_is_none(slot->handle))
        resize(run, slot, op_request_bytes(op));
    else
        allocate(run, slot, kind, op_request_bytes(op));
    note_moved(run);
}

static void run_all(run_t *run)
{
    const movable_options_t *options = run->options;
    size_t until_idle = options->idle_every;
    for (; run->op < run->trace->n_ops; run->op++) {
        if (options->progress != NULL && run->op % PROGRESS_EVERY == 0)
            options->progress(run->op, run->trace->n_ops);
        run_op(run, run->trace->ops[run->op]);
        if (options->stop_at_failure && run->result->n_failures > 0) break;
        if (options->idle_bytes == 0 || --until_idle > 0) continue;
        until_idle = options->idle_every;
        (void)run->ops->step(run->store, options->idle_bytes);
        run->result->n_steps++;
        ea_movable_stats_t stats;
        run->ops->stats(run->store, &stats);
        run->moved_bytes = stats.moved_bytes;
    }
}

replay_status_t movable_run(const trace_t *trace, const movable_options_t *options,
                            replay_memory_t *memory, movable_result_t *result)
{
    run_t run = {.trace = trace, .options = options, .ops = options->ops, .result = result};
    size_t slots_bytes = (trace->n_slots + (size_t)1) * sizeof(slot_t);
    *result = (movable_result_t){0};
    if (!bigmem_reserve(&memory->slots, slots_bytes)) return REPLAY_NO_MEMORY;
    if (!bigmem_reserve(&memory->arena, options->region_bytes)) return REPLAY_NO_MEMORY;
    memset(memory->slots.data, 0, slots_bytes);
    run.slots = memory->slots.data;
    run.region = memory->arena.data;
    run.store = run.ops->init(memory->arena.data, options->region_bytes, NULL);
    if (run.store == NULL) return REPLAY_NO_HEAP;
    uint64_t start = now_ns();
    run_all(&run);
    result->elapsed_ns = now_ns() - start;
    result->n_ops = run.op;
    run.ops->stats(run.store, &result->stats);
    if (options->check_contents) check_at_end(&run);
    return REPLAY_DONE;
}

/* --- what it needs ---------------------------------------------------------------------------- */

uint64_t movable_block_bytes(const eai_movable_ops_t *ops, uint64_t size_bytes)
{
    uint64_t bytes = (size_bytes + ops->header_bytes + ops->unit_bytes - 1) / ops->unit_bytes;
    bytes *= ops->unit_bytes;
    return bytes < ops->least_block_bytes ? ops->least_block_bytes : bytes;
}

uint64_t movable_table_bytes(const eai_movable_ops_t *ops, uint64_t n_blocks)
{
    uint64_t chunks = (n_blocks + ops->chunk_entries - 1) / ops->chunk_entries;
    return (chunks != 0 ? chunks : 1) * ops->chunk_bytes;
}

bool movable_need(const trace_t *trace, const eai_movable_ops_t *ops, movable_need_t *need)
{
    bigmem_array_t memory = {0};
    uint64_t bytes = 0, n = 0, most = 0, peak = 0, total = 0;
    if (!bigmem_reserve(&memory, ((size_t)trace->n_slots + 1) * sizeof(uint64_t))) return false;
    uint64_t *sizes = memory.data;
    for (size_t i = 0; i < trace->n_ops; i++) {
        trace_op_t op = trace->ops[i];
        uint64_t *size = &sizes[op_slot(op)];
        bytes -= *size; /* 0 before an allocation */
        n -= *size != 0;
        *size = op_kind(op) == OP_FREE ? 0 : movable_block_bytes(ops, op_request_bytes(op));
        bytes += *size;
        n += *size != 0;
        if (n > most) most = n;
        if (bytes > peak) peak = bytes;
        if (bytes + movable_table_bytes(ops, most) > total)
            total = bytes + movable_table_bytes(ops, most);
    }
    bigmem_release(&memory);
    total += ops->control_bytes;
    if (total < movable_least_bytes(ops)) total = movable_least_bytes(ops);
    *need = (movable_need_t){total, peak, movable_table_bytes(ops, most), ops->control_bytes};
    return true;
}

typedef struct {
    const trace_t *trace;
    movable_options_t options;
} subject_t;

static replay_status_t try_region(const void *context, size_t size_bytes, replay_memory_t *memory,
                                  bool *completes)
{
    const subject_t *subject = context;
    movable_options_t options = subject->options;
    movable_result_t result;
    options.region_bytes = size_bytes;
    replay_status_t status = movable_run(subject->trace, &options, memory, &result);
    *completes = status == REPLAY_DONE && result.n_failures == 0;
    return status;
}

find_min_status_t movable_find_min(const trace_t *trace, movable_options_t *options,
                                   const movable_need_t *need, unsigned n_jobs,
                                   find_min_progress_t progress, replay_memory_t *memory,
                                   find_min_result_t *found, movable_result_t *result)
{
    subject_t context = {trace, *options};
    replay_status_t status;
    context.options.check_contents = false;
    context.options.stop_at_failure = true;
    context.options.progress = NULL;
    *found = (find_min_result_t){0};
    if (need->total_bytes > options->ops->most_bytes) return FIND_MIN_NONE;
    if (options->demand_bytes == EA_MOVABLE_UNLIMITED) {
        options->region_bytes = (size_t)need->total_bytes;
        status = movable_run(trace, options, memory, result);
        if (status == REPLAY_NO_MEMORY) return FIND_MIN_NO_MEMORY;
        found->smallest_bytes = found->safe_bytes = options->region_bytes;
        found->n_runs = 1;
        if (status == REPLAY_DONE && result->n_failures == 0) return FIND_MIN_DONE;
    }
    find_min_subject_t subject = {.run = try_region,
                                  .context = &context,
                                  .from_bytes = (size_t)need->total_bytes,
                                  .most_bytes = options->ops->most_bytes};
    find_min_status_t searched = find_min_of(&subject, n_jobs, progress, found);
    if (searched != FIND_MIN_DONE) return searched;
    options->region_bytes = found->smallest_bytes;
    status = movable_run(trace, options, memory, result);
    return status == REPLAY_DONE ? FIND_MIN_DONE : FIND_MIN_NO_MEMORY;
}
