/* SPDX-License-Identifier: MIT
 *
 * The reference knows of each block its handle, its bytes (made from a number of the block's own),
 * how often it is locked and where it was seen last. See movable_model.h.
 */
#include "movable_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/movable.h"

#define MAX_BLOCKS 96u
#define MAX_STALE 64u
#define MAX_FIXED 24u
#define MAX_BYTES 8192u
#define COMPLAIN(text) return complain(model, __LINE__, (text))

typedef struct {
    ea_movable_handle_t handle;
    size_t size;
    uint32_t number;
    unsigned n_locks;
    const unsigned char *address; /* while it is locked */
    const void *home;             /* where the store has said that it is */
} block_t;

struct movable_model {
    movable_draw_t draw;
    void *context;
    ea_movable_t *store;
    block_t blocks[MAX_BLOCKS];
    unsigned n_blocks, n_stale, next_stale, n_locked;
    block_t fixed[MAX_FIXED]; /* by their address */
    unsigned n_fixed;
    bool has_fixed;
    ea_movable_handle_t stale[MAX_STALE];
    unsigned stale_age[MAX_STALE];
    unsigned n_allocs;
    uint32_t numbers;
    size_t largest;
    char complaint[160];
    _Alignas(16) unsigned char memory[MAX_BYTES + 32];
};

static bool complain(movable_model_t *model, int line, const char *text)
{
    if (!model->complaint[0])
        snprintf(model->complaint, sizeof model->complaint, "movable: line %d: %s", line, text);
    return false;
}

const char *movable_model_complaint(const movable_model_t *model)
{
    return model->complaint;
}

static uint32_t draw(movable_model_t *model, uint32_t limit)
{
    return model->draw(model->context, limit);
}

static ea_movable_stats_t stats_of(const movable_model_t *model)
{
    ea_movable_stats_t stats;
    ea_movable_stats(model->store, &stats);
    return stats;
}

#if EA_CFG_MOVABLE_RELOCATE
static bool are_right(const block_t *block, const unsigned char *bytes, size_t n);

/* It is told of a live block, that it left where it was; its bytes are there, and nobody can have
 * it. */
static void relocate(void *context, ea_movable_handle_t handle, void *from, void *to,
                     size_t size_bytes)
{
    movable_model_t *model = context;
    block_t *block = NULL;
    void *address;
    for (unsigned i = 0; i < model->n_blocks; i++) {
        if (model->blocks[i].handle.eai_word == handle.eai_word) block = &model->blocks[i];
    }
    if (!block || block->n_locks)
        complain(model, __LINE__, "another block was relocated");
    else if (block->home != from || size_bytes < block->size)
        complain(model, __LINE__, "relocated from elsewhere");
    else if (!are_right(block, to, block->size))
        complain(model, __LINE__, "bytes when relocated");
    else if (ea_movable_try_lock(model->store, handle, &address) != EA_ERR_BUSY ||
             ea_movable_lock(model->store, handle))
        complain(model, __LINE__, "locked when relocated");
    if (block) block->home = to;
}
#endif

movable_model_t *movable_model_new(movable_draw_t draw_function, void *context)
{
    movable_model_t *model = calloc(1, sizeof *model);
    if (!model) return NULL;
    model->draw = draw_function;
    model->context = context;
    ea_movable_options_t options = {draw(model, 3) * 16u, 0};
    if (draw(model, 2)) options.max_handles = options.n_handles + draw(model, 80);
    size_t offset = draw(model, 16), size = 1500u + draw(model, MAX_BYTES - 1500u);
    memset(model->memory, 0xA5, sizeof model->memory);
    model->store = ea_movable_init(model->memory + offset, size, &options);
    if (!model->store) complain(model, __LINE__, "init refused");
#if EA_CFG_MOVABLE_RELOCATE
    if (model->store) ea_movable_set_relocate(model->store, relocate, model);
#endif
    model->largest = size / (2u + draw(model, 60));
    model->has_fixed = draw(model, 2) != 0;
    return model;
}

/* --- contents --------------------------------------------------------------------------------- */

static unsigned char byte_of(uint32_t number, size_t i)
{
    return (unsigned char)(number * 31u + i * 7u + (i >> 6));
}

static void fill(block_t *block, unsigned char *bytes, size_t from)
{
    for (size_t i = from; i < block->size; i++) bytes[i] = byte_of(block->number, i);
}

static bool are_right(const block_t *block, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != byte_of(block->number, i)) return false;
    }
    return true;
}

/* Every byte of every block that can be had without finishing a move. */
static bool verify(movable_model_t *model)
{
    ea_movable_fault_t fault;
    if (ea_movable_check(model->store, &fault) != EA_OK) COMPLAIN(fault.invariant);
    for (unsigned i = 0; i < model->n_blocks; i++) {
        block_t *block = &model->blocks[i];
        void *address = NULL;
        if (block->n_locks == EA_MOVABLE_MAX_LOCKS) {
            if (!are_right(block, block->address, block->size)) COMPLAIN("a locked block's bytes");
            continue;
        }
        ea_status_t status = ea_movable_try_lock(model->store, block->handle, &address);
        if (status == EA_ERR_BUSY && block->n_locks == 0 && !EA_CFG_MOVABLE_RELOCATE) continue;
        if (status != EA_OK) COMPLAIN("a live block cannot be locked");
        if (block->n_locks && address != block->address) COMPLAIN("a locked block moved");
        if ((uintptr_t)address % EA_MOVABLE_ALIGN) COMPLAIN("alignment");
        if (EA_CFG_MOVABLE_RELOCATE && address != block->home) COMPLAIN("moved without a word");
        if (!are_right(block, address, block->size)) COMPLAIN("a block's bytes");
        if (ea_movable_unlock(model->store, block->handle) != EA_OK) COMPLAIN("unlock");
    }
    for (unsigned i = 0; i < model->n_fixed; i++) {
        const block_t *block = &model->fixed[i];
        if (!are_right(block, block->address, block->size)) COMPLAIN("a fixed block's bytes");
    }
    ea_movable_stats_t stats = stats_of(model);
    if (stats.n_live != model->n_blocks) COMPLAIN("n_live");
#if EA_CFG_MOVABLE_FIXED
    if (stats.n_fixed != model->n_fixed) COMPLAIN("n_fixed");
#endif
    return true;
}

/* --- operations ------------------------------------------------------------------------------- */

static size_t draw_budget(movable_model_t *model)
{
    switch (draw(model, 4)) {
    case 0: return 0;
    case 1: return draw(model, 600);
    default: return EA_MOVABLE_UNLIMITED;
    }
}

static size_t gross(size_t size)
{
    size_t units = (size + EA_MOVABLE_ALIGN - 1u) / EA_MOVABLE_ALIGN;
    return (units ? units : 1u) * EA_MOVABLE_ALIGN + EA_MOVABLE_HEADER_BYTES;
}

static bool alloc(movable_model_t *model)
{
    size_t size = draw(model, (uint32_t)model->largest), budget = draw_budget(model);
    ea_movable_stats_t before = stats_of(model);
    if (model->n_blocks == MAX_BLOCKS) return true;
    ea_movable_handle_t handle = ea_movable_alloc(model->store, size, budget);
    ea_movable_stats_t after = stats_of(model);
    if (budget == 0 && after.moved_bytes != before.moved_bytes) COMPLAIN("moved without a budget");
    if (after.moved_bytes - before.moved_bytes > budget) COMPLAIN("moved beyond the budget");
    if (ea_movable_is_none(handle)) {
        ea_status_t why = ea_movable_last_refusal(model->store);
        if (after.n_failures != before.n_failures + 1) COMPLAIN("failures are not counted");
        if (why == EA_ERR_AGAIN && budget == EA_MOVABLE_UNLIMITED) COMPLAIN("again, unlimited");
        if (why == EA_ERR_NO_MEMORY && before.n_live < before.n_handles &&
            gross(size) <= before.free_bytes)
            COMPLAIN("no memory, but there is");
        if (why == EA_ERR_BUSY && model->n_locked + model->n_fixed == 0)
            COMPLAIN("busy, but nothing is locked");
        if (why == EA_ERR_LIMIT && before.n_live < before.n_handles) COMPLAIN("a limit too early");
        return true;
    }
    if (after.free_bytes + gross(size) + after.table_bytes !=
        before.free_bytes + before.table_bytes)
        COMPLAIN("free_bytes after alloc");
    for (unsigned i = 0; i < model->n_blocks; i++) {
        if (model->blocks[i].handle.eai_word == handle.eai_word) COMPLAIN("a handle given twice");
    }
    for (unsigned i = 0; i < model->n_stale; i++) {
        if (model->stale[i].eai_word == handle.eai_word &&
            model->n_allocs - model->stale_age[i] < 31)
            COMPLAIN("a handle again too early");
        if (model->stale[i].eai_word == handle.eai_word) model->stale[i].eai_word = 0;
    }
    block_t *block = &model->blocks[model->n_blocks++];
    *block = (block_t){.handle = handle, .size = size, .number = ++model->numbers};
    model->n_allocs++;
    if (ea_movable_size_bytes(model->store, handle) < size) COMPLAIN("size_bytes");
    EA_MOVABLE_LOCKED(model->store, handle, unsigned char, bytes)
    {
        if (!bytes) COMPLAIN("a new block cannot be locked");
        block->home = bytes;
        fill(block, bytes, 0);
    }
    return true;
}

static block_t *some_block(movable_model_t *model)
{
    return model->n_blocks ? &model->blocks[draw(model, model->n_blocks)] : NULL;
}

static bool free_block(movable_model_t *model)
{
    block_t *block = some_block(model);
    if (!block) return true;
    ea_status_t status = ea_movable_free(model->store, block->handle);
    if (block->n_locks) {
        if (status != EA_ERR_BUSY) COMPLAIN("a locked block was freed");
        return true;
    }
    if (status != EA_OK) COMPLAIN("free refused");
    model->stale[model->next_stale] = block->handle;
    model->stale_age[model->next_stale] = model->n_allocs;
    model->next_stale = (model->next_stale + 1u) % MAX_STALE;
    if (model->n_stale < MAX_STALE) model->n_stale++;
    *block = model->blocks[--model->n_blocks];
    return true;
}

static bool resize(movable_model_t *model)
{
    block_t *block = some_block(model);
    size_t size = draw(model, (uint32_t)model->largest), budget = draw_budget(model);
    if (!block) return true;
    ea_movable_stats_t before = stats_of(model);
    ea_status_t status = ea_movable_resize(model->store, block->handle, size, budget);
    if (status != EA_OK) {
        bool grows = gross(size) > gross(block->size);
        if (!grows) COMPLAIN("a block cannot shrink");
        if (status != ea_movable_last_refusal(model->store)) COMPLAIN("another reason");
        if (model->n_locked + model->n_fixed == 0 && status == EA_ERR_BUSY)
            COMPLAIN("busy, but nothing is locked");
        if (status == EA_ERR_AGAIN && budget == EA_MOVABLE_UNLIMITED) COMPLAIN("again, unlimited");
        if (status == EA_ERR_NO_MEMORY && gross(size) - gross(block->size) <= before.free_bytes)
            COMPLAIN("no memory, but there is");
        return true;
    }
    size_t kept = size < block->size ? size : block->size;
    if (block->n_locks) {
        if (!are_right(block, block->address, kept)) COMPLAIN("bytes of a locked block resized");
        block->size = kept;
        return true;
    }
    EA_MOVABLE_LOCKED(model->store, block->handle, unsigned char, bytes)
    {
        if (!bytes || !are_right(block, bytes, kept)) COMPLAIN("bytes after resize");
        block->size = size;
        fill(block, bytes, kept);
    }
    return true;
}

static bool lock(movable_model_t *model)
{
    block_t *block = some_block(model);
    if (!block) return true;
    const unsigned char *address = ea_movable_lock(model->store, block->handle);
    if ((address == NULL) != (block->n_locks == EA_MOVABLE_MAX_LOCKS)) COMPLAIN("lock");
    if (!address) return true;
    if (block->n_locks && address != block->address) COMPLAIN("a locked block is elsewhere");
    block->address = address;
    model->n_locked += block->n_locks++ == 0;
    return true;
}

static bool unlock(movable_model_t *model)
{
    block_t *block = some_block(model);
    for (unsigned i = 0; block && i < model->n_blocks && !block->n_locks; i++)
        block = &model->blocks[i];
    if (!block || !block->n_locks) return true;
    if (ea_movable_unlock(model->store, block->handle) != EA_OK) COMPLAIN("unlock refused");
    model->n_locked -= --block->n_locks == 0;
    return true;
}

static bool step(movable_model_t *model)
{
    size_t budget = draw(model, 4) ? 4u * draw(model, 200) : EA_MOVABLE_UNLIMITED;
    ea_movable_stats_t before = stats_of(model);
    unsigned n_steps = draw(model, 8) + 1u;
    unsigned n_sweeps = 0; /* that found nothing, the first with what was locked before */
    for (unsigned i = 0; i < n_steps; i++)
        n_sweeps += ea_movable_step(model->store, budget) == EA_OK;
    ea_movable_stats_t after = stats_of(model);
    /* A hole too small for a block is nobody's largest, and what is relocated has to fit a
     * budget. */
    bool is_one = after.largest_bytes + EA_MOVABLE_HEADER_BYTES >= after.free_bytes ||
                  after.largest_bytes == 0 || EA_CFG_MOVABLE_RELOCATE;
    if (n_sweeps > 1 && model->n_locked == 0 && after.n_fixed == 0 && !is_one)
        COMPLAIN("there was more to do");
    if (after.free_bytes + after.table_bytes != before.free_bytes + before.table_bytes)
        COMPLAIN("a step changed free_bytes");
    return true;
}

static bool read_and_write(movable_model_t *model)
{
    block_t *block = some_block(model);
    unsigned char bytes[16] = {0};
    if (!block || block->n_locks == EA_MOVABLE_MAX_LOCKS) return true;
    size_t size = ea_movable_size_bytes(model->store, block->handle);
    size_t offset = draw(model, (uint32_t)size + 4u), n = draw(model, 17);
    bool fits = offset <= size && n <= size - offset;
    ea_status_t status = ea_movable_read(model->store, block->handle, offset, bytes, n);
    if ((status == EA_OK) != fits) COMPLAIN("read's range");
    if (!fits) return status == EA_ERR_RANGE;
    for (size_t i = 0; i < n && offset + i < block->size; i++) {
        if (bytes[i] != byte_of(block->number, offset + i)) COMPLAIN("read");
    }
    if (ea_movable_write(model->store, block->handle, offset, bytes, n) != EA_OK) COMPLAIN("write");
    return true;
}

static bool use_stale(movable_model_t *model)
{
    if (!model->n_stale) return true;
    ea_movable_handle_t handle = model->stale[draw(model, model->n_stale)];
    unsigned char byte = 0;
    void *address;
    if (ea_movable_is_none(handle)) return true;
    if (ea_movable_lock(model->store, handle)) COMPLAIN("a stale handle was locked");
    if (ea_movable_try_lock(model->store, handle, &address) != EA_ERR_NOT_FOUND)
        COMPLAIN("a stale handle was tried");
    if (ea_movable_free(model->store, handle) != EA_ERR_NOT_FOUND) COMPLAIN("freed twice");
    if (ea_movable_resize(model->store, handle, 1, 0) != EA_ERR_NOT_FOUND) COMPLAIN("resized");
    if (ea_movable_read(model->store, handle, 0, &byte, 1) != EA_ERR_NOT_FOUND) COMPLAIN("read");
    if (ea_movable_size_bytes(model->store, handle)) COMPLAIN("a stale handle has a size");
    if (EA_CFG_CHECK_LEVEL && ea_movable_unlock(model->store, handle) == EA_OK)
        COMPLAIN("a stale handle was unlocked");
    return true;
}

/* --- blocks that stay ------------------------------------------------------------------------- */

#if EA_CFG_MOVABLE_FIXED
/* Does it stand right below the end, or below another fixed or a locked block? */
static bool is_below_something(const movable_model_t *model, const unsigned char *address)
{
    size_t position = 0;
    ea_movable_block_t block;
    bool is_next = false;
    while (ea_movable_walk(model->store, &position, &block)) {
        if (is_next) return block.is_fixed || block.n_locks;
        is_next = (const unsigned char *)model->store + block.offset_bytes == address;
    }
    return is_next;
}

static bool alloc_fixed(movable_model_t *model)
{
    size_t size = draw(model, (uint32_t)model->largest), budget = draw_budget(model), usable = 0;
    size_t align = (size_t)1 << draw(model, 7), most;
    ea_movable_stats_t before = stats_of(model);
    if (model->n_fixed == MAX_FIXED) return true;
    unsigned char *address = ea_movable_alloc_fixed(model->store, size, align, budget);
    ea_movable_stats_t after = stats_of(model);
    if (after.moved_bytes - before.moved_bytes > budget) COMPLAIN("moved beyond the budget");
    most = gross(size) + (align > EA_MOVABLE_ALIGN ? align - EA_MOVABLE_ALIGN : 0);
    if (!address) {
        ea_status_t why = ea_movable_last_refusal(model->store);
        if (after.n_failures != before.n_failures + 1) COMPLAIN("failures are not counted");
        if (why == EA_ERR_AGAIN && budget == EA_MOVABLE_UNLIMITED) COMPLAIN("again, unlimited");
        if (why == EA_ERR_NO_MEMORY && most <= before.free_bytes) COMPLAIN("there is memory");
        if (why == EA_ERR_BUSY && model->n_locked + model->n_fixed == 0)
            COMPLAIN("busy, but nothing is locked");
        return true;
    }
    block_t *block = &model->fixed[model->n_fixed++];
    *block = (block_t){.size = size, .number = ++model->numbers, .address = address};
    if ((uintptr_t)address % align || (uintptr_t)address % EA_MOVABLE_ALIGN) COMPLAIN("alignment");
    if (ea_movable_probe_fixed(model->store, address, &usable) != EA_OK || usable < size)
        COMPLAIN("probe");
    if (before.free_bytes - after.free_bytes != gross(usable) || gross(usable) > most)
        COMPLAIN("free_bytes after alloc_fixed");
    if (!is_below_something(model, address)) COMPLAIN("a fixed block in the middle");
    fill(block, address, 0);
    return true;
}

static bool free_fixed(movable_model_t *model)
{
    if (!model->n_fixed) return true;
    block_t *block = &model->fixed[draw(model, model->n_fixed)];
    void *address = (void *)(uintptr_t)block->address;
    if (ea_movable_free_fixed(model->store, (char *)address + 1) == EA_OK) COMPLAIN("odd address");
    if (ea_movable_free_fixed(model->store, address) != EA_OK) COMPLAIN("free_fixed refused");
    if (ea_movable_free_fixed(model->store, address) == EA_OK) COMPLAIN("freed twice");
    *block = model->fixed[--model->n_fixed];
    return true;
}
#else
static bool alloc_fixed(movable_model_t *model)
{
    (void)model;
    return true;
}
#define free_fixed alloc_fixed
#endif

bool movable_model_step(movable_model_t *model)
{
    bool good;
    switch (draw(model, model->has_fixed ? 20 : 16)) {
    case 16:
    case 17: good = alloc_fixed(model); break;
    case 18:
    case 19: good = free_fixed(model); break;
    case 0:
    case 1:
    case 2:
    case 3:
    case 4: good = alloc(model); break;
    case 5:
    case 6:
    case 7: good = free_block(model); break;
    case 8:
    case 9: good = resize(model); break;
    case 10: good = lock(model); break;
    case 11:
    case 12: good = unlock(model); break;
    case 13: good = step(model); break;
    case 14: good = read_and_write(model); break;
    default: good = use_stale(model); break;
    }
    return good && verify(model);
}

bool movable_model_end(movable_model_t *model)
{
    while (model->n_blocks) {
        block_t *block = &model->blocks[--model->n_blocks];
        while (block->n_locks--) (void)ea_movable_unlock(model->store, block->handle);
        if (ea_movable_free(model->store, block->handle) != EA_OK) COMPLAIN("free at the end");
    }
#if EA_CFG_MOVABLE_FIXED
    while (model->n_fixed) {
        const block_t *block = &model->fixed[--model->n_fixed];
        if (ea_movable_free_fixed(model->store, (void *)(uintptr_t)block->address) != EA_OK)
            COMPLAIN("free_fixed at the end");
    }
#endif
    ea_movable_stats_t stats = stats_of(model);
    if (stats.free_bytes != stats.total_bytes ||
        stats.largest_bytes + EA_MOVABLE_HEADER_BYTES != stats.free_bytes)
        COMPLAIN("something is left");
    free(model);
    return true;
}
