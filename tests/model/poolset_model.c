/* SPDX-License-Identifier: MIT
 *
 * The model: see poolset_model.h. The heap that sets fall back to is malloc with a budget, so that
 * it fails now and then and an address sanitizer watches it.
 */
#include "poolset_model.h"

#include <stdlib.h>
#include <string.h>

#include "ealloc/poolset.h"

#define MAX_CLASSES 6u
#define MAX_BLOCKS 12u
#define N_SLOTS 64u
#define HEAP_BUDGET 8u
#define HEAP_CLASS MAX_CLASSES

typedef struct {
    unsigned char *ptr; /* NULL: no block */
    size_t size;
    uint32_t class_index;
    unsigned char fill;
} slot_t;

typedef struct {
    ea_poolset_t set;
    ea_poolset_class_t classes[MAX_CLASSES];
    uint32_t n_classes, strategy;
    uint32_t n_free[MAX_CLASSES];
    ea_poolset_heap_t heap;
    unsigned n_heap; /* blocks of the heap that are out */
    slot_t slots[N_SLOTS];
    size_t n_larger, n_failures, n_heap_allocs;
    unsigned char *memory;
    size_t memory_bytes;
    unsigned char next_fill;
    poolset_model_draw_t *draw;
    void *context;
} model_t;

static uint32_t draw(model_t *model, uint32_t limit)
{
    return model->draw(model->context, limit);
}

static void *heap_alloc(void *context, size_t size_bytes)
{
    model_t *model = context;
    if (model->n_heap >= HEAP_BUDGET) return NULL;
    model->n_heap++;
    return malloc(size_bytes);
}

static ea_status_t heap_free(void *context, void *ptr)
{
    model_t *model = context;
    for (unsigned i = 0; i < N_SLOTS; i++) {
        if (model->slots[i].ptr != ptr || model->slots[i].class_index != HEAP_CLASS) continue;
        model->n_heap--;
        free(ptr);
        return EA_OK;
    }
    return EA_ERR_FOREIGN;
}

/* --- what must happen ------------------------------------------------------------------------- */

static uint32_t block_bytes(const model_t *model, uint32_t c)
{
    uint32_t word = (uint32_t)sizeof(void *);
    return (model->classes[c].block_bytes + word - 1) / word * word;
}

static uint32_t class_for(const model_t *model, size_t size)
{
    uint32_t c = 0;
    while (c < model->n_classes && block_bytes(model, c) < size) c++;
    return c;
}

/* The class a request must be served from: HEAP_CLASS: the heap; more: nobody. */
static uint32_t expected_class(const model_t *model, size_t size, bool pools_only)
{
    uint32_t c = class_for(model, size);
    if (size == 0) return HEAP_CLASS + 1;
    for (; c < model->n_classes; c++) {
        if (model->n_free[c] > 0) return c;
        if ((model->strategy & EA_POOLSET_NEXT_LARGER) == 0) break;
    }
    bool may = (model->strategy & EA_POOLSET_HEAP) != 0 && !pools_only;
    return may && model->n_heap < HEAP_BUDGET ? HEAP_CLASS : HEAP_CLASS + 1;
}

/* --- steps ------------------------------------------------------------------------------------ */

static slot_t *slot_of(model_t *model, const void *ptr)
{
    for (unsigned i = 0; i < N_SLOTS; i++) {
        if (model->slots[i].ptr == ptr) return &model->slots[i];
    }
    return NULL;
}

static const char *step_alloc(model_t *model, slot_t *slot)
{
    uint32_t largest = block_bytes(model, model->n_classes - 1);
    size_t size = draw(model, 8) == 0 ? draw(model, 2 * largest) : 1 + draw(model, largest);
    bool pools_only = draw(model, 4) == 0;
    uint32_t want = expected_class(model, size, pools_only);
    unsigned char *ptr =
        pools_only ? ea_poolset_alloc_isr(&model->set, size) : ea_poolset_alloc(&model->set, size);
    if ((ptr == NULL) != (want > HEAP_CLASS)) return "a request wrongly served or refused";
    if (ptr == NULL) {
        model->n_failures++;
        return NULL;
    }
    if (slot_of(model, ptr) != NULL) return "a block handed out twice";
    *slot = (slot_t){ptr, size, want, ++model->next_fill};
    memset(ptr, slot->fill, size);
    if (want == HEAP_CLASS) {
        model->n_heap_allocs++;
        return ea_poolset_owns(&model->set, ptr) ? "owns a block of the heap" : NULL;
    }
    model->n_free[want]--;
    if (want != class_for(model, size)) model->n_larger++;
    if (ea_poolset_usable_bytes(&model->set, ptr) != block_bytes(model, want)) {
        return "a block of another class than expected";
    }
    return NULL;
}

static const char *step_free(model_t *model, slot_t *slot)
{
    uint32_t c = slot->class_index, own;
    for (size_t i = 0; i < slot->size; i++) {
        if (slot->ptr[i] != slot->fill) return "a block's contents changed";
    }
    ea_status_t status;
    if (draw(model, 2) == 0 && c != HEAP_CLASS) {
        size_t size = draw(model, 2 * block_bytes(model, model->n_classes - 1));
        own = class_for(model, size);
        bool larger = (model->strategy & EA_POOLSET_NEXT_LARGER) != 0;
        bool right = size != 0 && (own == c || (own < c && larger));
        status = ea_poolset_free_sized(&model->set, slot->ptr, size);
        if ((status == EA_OK) != right) return "free_sized judged a size wrongly";
        if (!right) return status == EA_ERR_INVALID ? NULL : "free_sized gave another reason";
    } else {
        status = ea_poolset_free(&model->set, slot->ptr);
        if (status != EA_OK) return "a live block not freed";
    }
    if (c != HEAP_CLASS) {
        model->n_free[c]++;
        if (ea_poolset_free(&model->set, slot->ptr) != EA_ERR_DOUBLE_FREE) return "freed twice";
    }
    slot->ptr = NULL;
    return NULL;
}

/* Any address in the set's memory that is not a live block. */
static const char *step_free_wrong(model_t *model)
{
    unsigned char *ptr = model->memory + draw(model, (uint32_t)model->memory_bytes);
    if (slot_of(model, ptr) != NULL) return NULL;
    if (ea_poolset_free(&model->set, ptr) == EA_OK) return "freed what is no live block";
    return NULL;
}

static const char *verify(model_t *model)
{
    ea_poolset_stats_t stats;
    ea_poolset_class_stats_t of_class;
    size_t n_live = 0, live_bytes = 0;

    if (ea_poolset_check(&model->set, NULL) != EA_OK) return "the check finds damage";
    ea_poolset_stats(&model->set, &stats);
    for (uint32_t c = 0; c < model->n_classes; c++) {
        size_t live = model->classes[c].n_blocks - model->n_free[c];
        n_live += live;
        live_bytes += live * block_bytes(model, c);
        if (ea_poolset_class_stats(&model->set, c, &of_class) != EA_OK || of_class.n_live != live ||
            of_class.n_blocks != model->classes[c].n_blocks) {
            return "a class's numbers differ";
        }
    }
    if (stats.n_live != n_live || stats.live_bytes != live_bytes ||
        stats.n_larger != model->n_larger || stats.n_failures != model->n_failures ||
        stats.n_heap_allocs != model->n_heap_allocs || stats.n_heap_live != model->n_heap) {
        return "the set's numbers differ";
    }
    return NULL;
}

static const char *step(model_t *model)
{
    slot_t *slot = &model->slots[draw(model, N_SLOTS)];
    if (draw(model, 16) == 0) return step_free_wrong(model);
    return slot->ptr != NULL ? step_free(model, slot) : step_alloc(model, slot);
}

/* --- a run ------------------------------------------------------------------------------------ */

static bool begin(model_t *model)
{
    uint32_t size = 0;
    model->n_classes = 1 + draw(model, MAX_CLASSES);
    for (uint32_t c = 0; c < model->n_classes; c++) {
        size += 8 + draw(model, 100); /* at least a granule more */
        model->classes[c] = (ea_poolset_class_t){size, 1 + draw(model, MAX_BLOCKS)};
        model->n_free[c] = model->classes[c].n_blocks;
    }
    model->strategy = draw(model, 2) * EA_POOLSET_NEXT_LARGER + draw(model, 2) * EA_POOLSET_HEAP;
    model->heap = (ea_poolset_heap_t){heap_alloc, heap_free, model};
    ea_poolset_options_t options = {.strategy = model->strategy, .heap = &model->heap};
    model->memory_bytes = ea_poolset_bytes(model->classes, model->n_classes);
    model->memory = malloc(model->memory_bytes); /* exactly: a sanitizer sees what goes beyond */
    return model->memory != NULL &&
           ea_poolset_init(&model->set, model->memory, model->memory_bytes, model->classes,
                           model->n_classes, &options) == EA_OK;
}

static const char *end(model_t *model)
{
    for (unsigned i = 0; i < N_SLOTS; i++) {
        if (model->slots[i].ptr == NULL) continue;
        if (ea_poolset_deinit(&model->set, NULL) != EA_ERR_BUSY) return "deinit with live blocks";
        if (ea_poolset_free(&model->set, model->slots[i].ptr) != EA_OK)
            return "not freed at the end";
        model->slots[i].ptr = NULL;
    }
    return ea_poolset_deinit(&model->set, NULL) == EA_OK ? NULL : "deinit refused";
}

const char *poolset_model_run(poolset_model_draw_t *draw_function, void *context, unsigned n_steps)
{
    model_t *model = calloc(1, sizeof *model);
    if (model == NULL) return "out of memory";
    model->draw = draw_function;
    model->context = context;
    const char *complaint = begin(model) ? NULL : "init refused";
    for (unsigned i = 0; complaint == NULL && i < n_steps; i++) {
        complaint = step(model);
        if (complaint == NULL && i % 32 == 0) complaint = verify(model);
    }
    if (complaint == NULL) complaint = verify(model);
    if (complaint == NULL) complaint = end(model);
    free(model->memory);
    free(model);
    return complaint;
}
