/* SPDX-License-Identifier: MIT
 *
 * See arena_model.h.
 */
#include "arena_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/arena.h"

#define MAX_BLOCKS 512
#define MAX_MARKS 32

typedef struct {
    unsigned char *ptr;
    size_t size;
    uint8_t seed;
    ea_arena_end_t end;
    unsigned depth; /* of marks at its end when it was taken */
} block_t;

struct arena_model {
    ea_arena_t arena;
    ea_arena_options_t options; /* defaults filled in */
    arena_draw_t draw;
    void *context;
    unsigned char *memory;
    size_t memory_bytes;
    block_t blocks[MAX_BLOCKS];
    unsigned n_blocks;
    ea_arena_mark_t marks[2][MAX_MARKS];
    unsigned depth[2];
    size_t n_lent, lent_bytes, n_refused, peak_floor;
    bool stingy; /* the upstream refuses */
    bool wrong;
    uint8_t next_seed;
    char complaint[200];
};

#define FAIL(model, ...)                                                                           \
    return snprintf((model)->complaint, sizeof(model)->complaint, __VA_ARGS__), false

static uint32_t draw(arena_model_t *model, uint32_t limit)
{
    return model->draw(model->context, limit);
}

/* --- the upstream: AddressSanitizer sees every byte written beyond a chunk -------------------- */

static void *lend(void *context, size_t size_bytes)
{
    arena_model_t *model = context;
    if (model->stingy || size_bytes > 100000) return NULL;
    unsigned skew = (unsigned)draw(model, 16);
    unsigned char *base = malloc(size_bytes + 16);
    if (base == NULL) return NULL;
    memset(base, 0xEE, size_bytes + 16);
    base[skew] = (unsigned char)skew; /* found again below the pointer */
    model->n_lent++;
    model->lent_bytes += size_bytes;
    return base + skew + 1;
}

static void take_back(void *context, void *ptr, size_t size_bytes)
{
    arena_model_t *model = context;
    unsigned char *below = (unsigned char *)ptr - 1;
    if (*below >= 16 || model->n_lent == 0 || model->lent_bytes < size_bytes) {
        model->wrong = true;
        return;
    }
    model->n_lent--;
    model->lent_bytes -= size_bytes;
    free(below - *below);
}

/* --- blocks ----------------------------------------------------------------------------------- */

static void fill(block_t *block)
{
    for (size_t i = 0; i < block->size; i++) block->ptr[i] = (uint8_t)(i * 7 + block->seed);
}

static bool is_intact(const block_t *block, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        if (block->ptr[i] != (uint8_t)(i * 7 + block->seed)) return false;
    return true;
}

static size_t rounded(const arena_model_t *model, size_t size)
{
    size_t quantum = model->options.quantum_bytes;
    if (size < model->options.min_block_bytes) size = model->options.min_block_bytes;
    if (size == 0) size = 1;
    return (size + quantum - 1) / quantum * quantum;
}

static ea_arena_stats_t stats_of(const arena_model_t *model)
{
    ea_arena_stats_t stats;
    ea_arena_stats(&model->arena, &stats);
    return stats;
}

static bool overlaps_none(const arena_model_t *model, const block_t *block)
{
    for (unsigned i = 0; i < model->n_blocks; i++) {
        const block_t *other = &model->blocks[i];
        if (other != block && block->ptr < other->ptr + other->size &&
            other->ptr < block->ptr + block->size)
            return false;
    }
    return true;
}

static void forget(arena_model_t *model, unsigned i)
{
    model->blocks[i] = model->blocks[--model->n_blocks];
}

static size_t draw_size(arena_model_t *model)
{
    switch (draw(model, 8)) {
    case 0: return draw(model, 3000);
    case 1: return SIZE_MAX - draw(model, 300);
    case 2: return 0;
    default: return draw(model, 120);
    }
}

/* What was refused must have had a reason. */
static bool refused(arena_model_t *model, size_t size, size_t alignment, size_t room)
{
    size_t most = model->options.max_block_bytes;
    bool grows = model->options.upstream.alloc != NULL;
    model->n_refused++;
    switch (ea_arena_last_refusal(&model->arena)) {
    case EA_ARENA_TOO_LARGE:
        if (size <= most) FAIL(model, "%zu is not too large", size);
        return true;
    case EA_ARENA_FULL:
        if (grows || size > most) FAIL(model, "full, but there is an upstream");
        break;
    case EA_ARENA_UPSTREAM:
        if (!grows || (!model->stingy && size < 50000)) FAIL(model, "the upstream did not refuse");
        break;
    case EA_ARENA_LIMIT:
        if (!grows || model->options.limit_bytes == SIZE_MAX) FAIL(model, "there is no limit");
        break;
    default: FAIL(model, "refused for no reason");
    }
    if (rounded(model, size) + alignment - model->options.alignment_bytes <= room)
        FAIL(model, "refused %zu with %zu free", size, room);
    return true;
}

static bool do_alloc(arena_model_t *model)
{
    if (model->n_blocks == MAX_BLOCKS) return true;
    block_t *block = &model->blocks[model->n_blocks];
    size_t alignment = model->options.alignment_bytes, size = draw_size(model);
    size_t room = stats_of(model).free_bytes;
    uint32_t how = draw(model, 4);
    if (how >= 2) alignment = (size_t)1 << draw(model, 9);
    void *ptr = how == 0   ? ea_arena_alloc(&model->arena, size)
                : how == 1 ? ea_arena_alloc_high(&model->arena, size)
                : how == 2 ? ea_arena_alloc_aligned(&model->arena, alignment, size)
                           : ea_arena_alloc_high_aligned(&model->arena, alignment, size);
    if (alignment < model->options.alignment_bytes) alignment = model->options.alignment_bytes;
    if (ptr == NULL) return refused(model, size, alignment, room);
    if (size > model->options.max_block_bytes) FAIL(model, "granted more than the maximum");
    if (how < 2 && rounded(model, size) > room && model->n_lent == 0)
        FAIL(model, "granted %zu of %zu", size, room);
    ea_arena_end_t end = how % 2 ? EA_ARENA_HIGH : EA_ARENA_LOW;
    *block = (block_t){ptr, size, model->next_seed++, end, model->depth[end]};
    model->n_blocks++;
    if ((uintptr_t)ptr & (alignment - 1)) FAIL(model, "%p is not aligned to %zu", ptr, alignment);
    if (!overlaps_none(model, block)) FAIL(model, "a block overlaps another one");
    fill(block);
    return true;
}

static block_t *draw_low_block(arena_model_t *model)
{
    if (model->n_blocks == 0) return NULL;
    /* Mostly the newest, which is often the last. */
    unsigned i = draw(model, 3) ? model->n_blocks - 1 : draw(model, model->n_blocks);
    return model->blocks[i].end == EA_ARENA_LOW ? &model->blocks[i] : NULL;
}

static bool do_realloc(arena_model_t *model)
{
    block_t *block = draw_low_block(model);
    if (block == NULL) return true;
    size_t size = draw_size(model), room = stats_of(model).free_bytes;
    unsigned char *ptr = ea_arena_realloc(&model->arena, block->ptr, block->size, size);
    if (ptr == NULL) return refused(model, size, model->options.alignment_bytes, room);
    bool grew_in_place = ptr == block->ptr && rounded(model, size) > rounded(model, block->size);
    if (grew_in_place && block->depth < model->depth[EA_ARENA_LOW])
        FAIL(model, "grew across a mark");
    if (ptr != block->ptr) block->depth = model->depth[EA_ARENA_LOW];
    block->ptr = ptr;
    if (!is_intact(block, size < block->size ? size : block->size))
        FAIL(model, "realloc lost contents");
    block->size = size;
    if (!overlaps_none(model, block)) FAIL(model, "a resized block overlaps another one");
    fill(block);
    return true;
}

static bool do_free(arena_model_t *model)
{
    block_t *block = draw_low_block(model);
    if (block == NULL) return true;
    size_t before = stats_of(model).low_bytes;
    ea_status_t status = ea_arena_free(&model->arena, block->ptr, block->size);
    size_t gone = before - stats_of(model).low_bytes;
    if (status == EA_ERR_BUSY) {
        if (gone != 0) FAIL(model, "refused a free and did it");
        return true;
    }
    if (status != EA_OK) FAIL(model, "free says %d", status);
    if (block->depth < model->depth[EA_ARENA_LOW]) FAIL(model, "freed across a mark");
    if (gone != rounded(model, block->size)) FAIL(model, "freed %zu bytes", gone);
    forget(model, (unsigned)(block - model->blocks));
    return true;
}

/* --- marks ------------------------------------------------------------------------------------ */

static bool do_mark(arena_model_t *model)
{
    ea_arena_end_t end = draw(model, 2) ? EA_ARENA_HIGH : EA_ARENA_LOW;
    if (model->depth[end] == MAX_MARKS) return true;
    model->marks[end][model->depth[end]++] = ea_arena_mark(&model->arena, end);
    return true;
}

static bool do_rewind(arena_model_t *model)
{
    ea_arena_end_t end = draw(model, 2) ? EA_ARENA_HIGH : EA_ARENA_LOW;
    if (model->depth[end] == 0) return true;
    unsigned to = draw(model, 2) ? model->depth[end] - 1 : draw(model, model->depth[end]);
    ea_arena_mark_t *mark = &model->marks[end][to];
    ea_status_t status = ea_arena_rewind(&model->arena, mark);
    if (status != EA_OK) FAIL(model, "rewind says %d", status);
    model->depth[end] = to;
    for (unsigned i = model->n_blocks; i-- > 0;)
        if (model->blocks[i].end == end && model->blocks[i].depth > to) forget(model, i);
    if (ea_arena_rewind(&model->arena, mark) != EA_ERR_INVALID)
        FAIL(model, "a mark that was used up works");
    return true;
}

static bool do_reset(arena_model_t *model)
{
    if (draw(model, 16)) return true;
    if (ea_arena_reset(&model->arena) != EA_OK) FAIL(model, "reset failed");
    model->n_blocks = model->depth[0] = model->depth[1] = 0;
    if (model->n_lent != 0) FAIL(model, "reset kept chunks");
    return true;
}

/* --- life ------------------------------------------------------------------------------------- */

static void draw_options(arena_model_t *model)
{
    ea_arena_options_t *o = &model->options;
    o->alignment_bytes = (size_t)1 << draw(model, 7);
    o->quantum_bytes = o->alignment_bytes << draw(model, 3);
    o->min_block_bytes = draw(model, 4) ? 1 : draw(model, 200);
    o->max_block_bytes = draw(model, 4) ? SIZE_MAX / 4 : 200 + draw(model, 2000);
    o->guard = draw(model, 2) && EA_CFG_ARENA_GUARD;
    o->chunk_bytes = 64 + draw(model, 2000);
    o->limit_bytes = draw(model, 3) ? SIZE_MAX : draw(model, 20000);
    if (draw(model, 4) && EA_CFG_ARENA_GROW) o->upstream = (ea_upstream_t){lend, take_back, model};
}

arena_model_t *arena_model_new(arena_draw_t draw_next, void *context)
{
    arena_model_t *model = calloc(1, sizeof *model);
    if (model == NULL) return NULL;
    model->draw = draw_next;
    model->context = context;
    draw_options(model);
    model->memory_bytes = draw(model, 3) ? 1 + draw(model, 8000) : 0;
    if (model->memory_bytes == 0 && model->options.upstream.alloc == NULL)
        model->memory_bytes = 1000;
    model->memory = model->memory_bytes ? malloc(model->memory_bytes) : NULL;
    ea_arena_options_t options = model->options;
    if (options.limit_bytes == SIZE_MAX && draw(model, 2)) options.limit_bytes = 0;
    ea_status_t status = ea_arena_init(&model->arena, model->memory, model->memory_bytes, &options);
    /* Where the memory holds no block the reference has nothing to say: give it an ample one. */
    if (status == EA_ERR_INVALID) {
        free(model->memory);
        model->memory_bytes = 4096;
        model->memory = malloc(model->memory_bytes);
        status = ea_arena_init(&model->arena, model->memory, model->memory_bytes, &options);
    }
    if (model->options.limit_bytes == 0) model->options.limit_bytes = SIZE_MAX;
    if (status != EA_OK) snprintf(model->complaint, sizeof model->complaint, "init: %d", status);
    return model;
}

bool arena_model_step(arena_model_t *model)
{
    if (model->complaint[0]) return false;
    if (draw(model, 16) == 0) model->stingy = !model->stingy;
    bool ok = true;
    switch (draw(model, 10)) {
    case 0: ok = do_reset(model); break;
    case 1: ok = do_realloc(model); break;
    case 2: ok = do_free(model); break;
    case 3:
    case 4: ok = do_mark(model); break;
    case 5:
    case 6: ok = do_rewind(model); break;
    default: ok = do_alloc(model); break;
    }
    size_t used = stats_of(model).low_bytes + stats_of(model).high_bytes;
    if (used > model->peak_floor) model->peak_floor = used;
    return ok;
}

bool arena_model_verify(arena_model_t *model)
{
    ea_arena_fault_t fault;
    if (ea_arena_check(&model->arena, &fault) != EA_OK) FAIL(model, "check: %s", fault.invariant);
    size_t bytes[2] = {0, 0};
    for (unsigned i = 0; i < model->n_blocks; i++) {
        const block_t *block = &model->blocks[i];
        if (!is_intact(block, block->size)) FAIL(model, "a block's contents changed");
        if (block->size && !ea_arena_owns(&model->arena, block->ptr))
            FAIL(model, "a block is not owned");
        bytes[block->end] += rounded(model, block->size);
    }
    ea_arena_stats_t stats = stats_of(model);
    if (stats.low_bytes < bytes[EA_ARENA_LOW] || stats.high_bytes < bytes[EA_ARENA_HIGH])
        FAIL(model, "fewer bytes in use than blocks have");
    if (stats.low_bytes + stats.high_bytes + stats.free_bytes > stats.total_bytes)
        FAIL(model, "more bytes than there are");
    if (stats.n_chunks != model->n_lent || stats.upstream_bytes != model->lent_bytes)
        FAIL(model, "chunks: %zu, lent %zu", stats.n_chunks, model->n_lent);
    if (model->lent_bytes > model->options.limit_bytes) FAIL(model, "beyond the limit");
    if (stats.n_failures != model->n_refused) FAIL(model, "%zu failures", stats.n_failures);
    if (stats.peak_bytes < model->peak_floor) FAIL(model, "peak %zu", stats.peak_bytes);
    if (stats.n_corruptions != 0 || model->wrong) FAIL(model, "corruption");
    return true;
}

bool arena_model_end(arena_model_t *model)
{
    if (!arena_model_verify(model)) return false;
    if (ea_arena_deinit(&model->arena) != EA_OK || model->n_lent != 0 || model->lent_bytes != 0)
        FAIL(model, "chunks are missing after deinit");
    if (model->wrong) FAIL(model, "something came back that was not lent");
    free(model->memory);
    free(model);
    return true;
}

const char *arena_model_complaint(const arena_model_t *model)
{
    return model->complaint;
}
