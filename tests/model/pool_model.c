/* SPDX-License-Identifier: MIT
 *
 * The model of a pool; see pool_model.h.
 */
#include "pool_model.h"

#include <string.h>

#include "ealloc/pool.h"

#define FIRST_BYTES 6000u
#define SLAB_BYTES 1200u
#define MAX_SLABS 6u /* more than EA_CFG_POOL_SLABS by default: adding the last ones is refused */
#define MAX_BLOCKS 2048u

typedef struct {
    unsigned char *block;
    unsigned char mark;
} live_t;

struct pool_model {
    ea_pool_t pool;
    pool_draw_t draw;
    void *context;
    const char *complaint;
    size_t block_bytes, alignment, n_blocks, n_refused;
    live_t live[MAX_BLOCKS];
    size_t n_live;
    unsigned char *slabs[MAX_SLABS]; /* as given to the pool; NULL: not in it */
    size_t slab_blocks[MAX_SLABS];
    unsigned char next_mark;
};

static pool_model_t the_model;
static _Alignas(64) unsigned char first_memory[FIRST_BYTES + 64];
static _Alignas(64) unsigned char slab_memory[MAX_SLABS][SLAB_BYTES + 64];

static bool complain(pool_model_t *model, const char *text)
{
    model->complaint = text;
    return false;
}

static size_t total_blocks(const pool_model_t *model)
{
    ea_pool_stats_t stats;
    ea_pool_stats(&model->pool, &stats);
    return stats.n_blocks;
}

pool_model_t *pool_model_new(pool_draw_t draw, void *context)
{
    pool_model_t *model = &the_model;
    memset(model, 0, sizeof *model);
    model->draw = draw;
    model->context = context;
    model->complaint = "";
    size_t wanted = 1 + draw(context, 150);
    model->alignment = (size_t)1 << draw(context, 7);
    size_t bytes = 64 + draw(context, FIRST_BYTES - 64);
    ea_status_t status = ea_pool_init_aligned(&model->pool, first_memory + draw(context, 64), bytes,
                                              wanted, model->alignment);
    if (status != EA_OK) {
        if (status != EA_ERR_NO_MEMORY || bytes > EA_POOL_BYTES_ALIGNED(wanted, 1, 64)) {
            complain(model, "init refused");
            return model;
        }
        return NULL;
    }
    model->block_bytes = ea_pool_block_bytes(&model->pool);
    model->n_blocks = total_blocks(model);
    if (model->block_bytes < wanted) complain(model, "blocks are too small");
    return model;
}

/* --- operations ------------------------------------------------------------------------------- */

static bool overlaps(const pool_model_t *model, const unsigned char *block)
{
    for (size_t i = 0; i < model->n_live; i++) {
        if (block < model->live[i].block + model->block_bytes &&
            model->live[i].block < block + model->block_bytes) {
            return true;
        }
    }
    return false;
}

static bool step_alloc(pool_model_t *model)
{
    unsigned char *block = model->draw(model->context, 3) == 0
                               ? ea_pool_alloc_unlocked(&model->pool)
                               : ea_pool_alloc(&model->pool);
    if (block == NULL) {
        return model->n_live == model->n_blocks || complain(model, "refused with blocks free");
    }
    if (model->n_live == model->n_blocks) return complain(model, "more blocks than there are");
    if ((uintptr_t)block % model->alignment != 0) return complain(model, "misaligned");
    if (!ea_pool_owns(&model->pool, block)) return complain(model, "owns does not know its block");
    if (overlaps(model, block)) return complain(model, "handed out twice");
    live_t *live = &model->live[model->n_live++];
    live->block = block;
    live->mark = model->next_mark++;
    memset(block, live->mark, model->block_bytes);
    return true;
}

static bool step_free(pool_model_t *model)
{
    if (model->n_live == 0) return true;
    live_t *live = &model->live[model->draw(model->context, (uint32_t)model->n_live)];
    for (size_t i = 0; i < model->block_bytes; i++) {
        if (live->block[i] != live->mark) return complain(model, "contents changed");
    }
    ea_status_t status = model->draw(model->context, 3) == 0
                             ? ea_pool_free_unlocked(&model->pool, live->block)
                             : ea_pool_free(&model->pool, live->block);
    if (status != EA_OK) return complain(model, "a live block refused");
    *live = model->live[--model->n_live];
    return true;
}

/* Frees what is no live block. */
static bool step_wrong_free(pool_model_t *model)
{
    if (!EA_CFG_POOL_VALIDATE) return true;
    unsigned char *wrong = first_memory + model->draw(model->context, sizeof first_memory);
    for (size_t i = 0; i < model->n_live; i++) {
        if (model->live[i].block == wrong) return true;
    }
    bool owns = ea_pool_owns(&model->pool, wrong);
    ea_status_t status = model->draw(model->context, 2) == 0
                             ? ea_pool_free(&model->pool, wrong)
                             : ea_pool_free_unlocked(&model->pool, wrong);
    model->n_refused++;
    return status == (owns ? EA_ERR_DOUBLE_FREE : EA_ERR_FOREIGN) ||
           complain(model, "a wrong free not refused as it should");
}

static bool step_add_slab(pool_model_t *model)
{
    uint32_t which = model->draw(model->context, MAX_SLABS), n_slabs = 1;
    if (model->slabs[which] != NULL) return true;
    for (uint32_t i = 0; i < MAX_SLABS; i++) n_slabs += model->slabs[i] != NULL;
    unsigned char *memory = slab_memory[which] + model->draw(model->context, 64);
    size_t bytes = model->draw(model->context, SLAB_BYTES);
    ea_status_t status = ea_pool_add_slab(&model->pool, memory, bytes);
    size_t n_blocks = total_blocks(model);
    if (status == EA_OK) {
        if (n_slabs >= EA_CFG_POOL_SLABS) return complain(model, "too many slabs");
        model->slabs[which] = memory;
        model->slab_blocks[which] = n_blocks - model->n_blocks;
        model->n_blocks = n_blocks;
        return model->slab_blocks[which] > 0 || complain(model, "a slab without blocks");
    }
    return (n_blocks == model->n_blocks &&
            (status == EA_ERR_RANGE || status == EA_ERR_NO_MEMORY)) ||
           complain(model, "add_slab refused wrongly");
}

static bool step_remove_slab(pool_model_t *model)
{
    uint32_t which = model->draw(model->context, MAX_SLABS);
    unsigned char *memory = model->slabs[which];
    size_t n_live, expected = 0;
    if (memory == NULL) {
        return ea_pool_remove_slab(&model->pool, slab_memory[which], NULL) == EA_ERR_NOT_FOUND ||
               complain(model, "removed what is not there");
    }
    for (size_t i = 0; i < model->n_live; i++) {
        unsigned char *block = model->live[i].block;
        expected += block >= memory && block < memory + SLAB_BYTES;
    }
    ea_status_t status = ea_pool_remove_slab(&model->pool, memory, &n_live);
    if (n_live != expected) return complain(model, "remove_slab counts wrongly");
    if (status == (expected == 0 ? EA_OK : EA_ERR_BUSY)) {
        if (expected == 0) {
            model->n_blocks -= model->slab_blocks[which];
            model->slabs[which] = NULL;
        }
        return total_blocks(model) == model->n_blocks || complain(model, "blocks lost with a slab");
    }
    return complain(model, "remove_slab refused wrongly");
}

bool pool_model_step(pool_model_t *model)
{
    switch (model->draw(model->context, 16)) {
    case 0: return step_wrong_free(model);
    case 1: return step_add_slab(model);
    case 2: return step_remove_slab(model);
    case 3: return ea_pool_free(&model->pool, NULL) == EA_OK || complain(model, "free of NULL");
    case 4:
    case 5:
    case 6:
    case 7:
    case 8: return step_free(model);
    default: return step_alloc(model);
    }
}

/* --- verification ----------------------------------------------------------------------------- */

static void visit(void *context, void *block)
{
    pool_model_t *model = context;
    for (size_t i = 0; i < model->n_live; i++) {
        if (model->live[i].block == block) return;
    }
    complain(model, "a walk visits a block that is not live");
}

bool pool_model_verify(pool_model_t *model)
{
    ea_pool_report_t report;
    if (ea_pool_check(&model->pool, &report) != EA_OK) return complain(model, report.invariant);
    ea_pool_stats_t stats;
    ea_pool_stats(&model->pool, &stats);
    if (EA_CFG_POOL_STATS && stats.n_live != model->n_live) return complain(model, "n_live");
    if (stats.n_peak < model->n_live || stats.n_peak > stats.n_blocks) {
        return complain(model, "n_peak");
    }
    if (stats.n_refused != (model->n_refused < 255 ? model->n_refused : 255)) {
        return complain(model, "n_refused");
    }
    ea_pool_cursor_t cursor = {0};
    ea_status_t status;
    do {
        status =
            ea_pool_walk(&model->pool, &cursor, 1 + model->draw(model->context, 9), visit, model);
    } while (status == EA_ERR_AGAIN);
    if (status != (EA_CFG_POOL_VALIDATE ? EA_OK : EA_ERR_INVALID)) return complain(model, "walk");
    return model->complaint[0] == '\0';
}

bool pool_model_end(pool_model_t *model)
{
    size_t n_live = 0;
    bool ok = pool_model_verify(model);
    bool known = EA_CFG_POOL_STATS || EA_CFG_POOL_VALIDATE || model->n_live == 0;
    ea_status_t status = ea_pool_deinit(&model->pool, &n_live);
    if (ok && known && status != (model->n_live == 0 ? EA_OK : EA_ERR_BUSY)) {
        ok = complain(model, "deinit");
    }
    return ok && (!known || n_live == model->n_live || complain(model, "deinit counts wrongly"));
}

const char *pool_model_complaint(const pool_model_t *model)
{
    return model->complaint;
}
