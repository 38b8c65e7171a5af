/* SPDX-License-Identifier: MIT
 *
 * What the tests of pool sets share: small classes that fit every board, and a heap to fall back to
 * that counts, and fails when told to.
 */
#ifndef POOLSET_TESTING_H
#define POOLSET_TESTING_H

#include "ealloc/poolset.h"

#define SMALL_BYTES 16u
#define MIDDLE_BYTES 40u
#define BIG_BYTES 128u
#define N_SMALL 4u
#define N_MIDDLE 3u
#define N_BIG 2u
#define N_ALL (N_SMALL + N_MIDDLE + N_BIG)

#define CLASSES(CLASS, name)                                                                       \
    CLASS(name, small, SMALL_BYTES, N_SMALL)                                                       \
    CLASS(name, middle, MIDDLE_BYTES, N_MIDDLE)                                                    \
    CLASS(name, big, BIG_BYTES, N_BIG)

static const ea_poolset_class_t three_classes[] = {
    {SMALL_BYTES, N_SMALL}, {MIDDLE_BYTES, N_MIDDLE}, {BIG_BYTES, N_BIG}};

#define FAKE_BLOCKS 4u
#define FAKE_BLOCK_BYTES 512u

typedef struct {
    _Alignas(16) unsigned char blocks[FAKE_BLOCKS][FAKE_BLOCK_BYTES];
    bool used[FAKE_BLOCKS];
    unsigned n_calls;
    unsigned fail_call; /* this call fails, counted from 1; 0: none does */
} fake_heap_t;

static inline void *fake_alloc(void *context, size_t size_bytes)
{
    fake_heap_t *heap = context;
    if (++heap->n_calls == heap->fail_call || size_bytes > FAKE_BLOCK_BYTES) return NULL;
    for (unsigned i = 0; i < FAKE_BLOCKS; i++) {
        if (heap->used[i]) continue;
        heap->used[i] = true;
        return heap->blocks[i];
    }
    return NULL;
}

static inline ea_status_t fake_free(void *context, void *ptr)
{
    fake_heap_t *heap = context;
    for (unsigned i = 0; i < FAKE_BLOCKS; i++) {
        if (ptr != heap->blocks[i]) continue;
        if (!heap->used[i]) return EA_ERR_DOUBLE_FREE;
        heap->used[i] = false;
        return EA_OK;
    }
    return EA_ERR_FOREIGN;
}

#endif
