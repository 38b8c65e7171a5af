/* SPDX-License-Identifier: MIT
 *
 * The heaps that heap_figures compares: the four profiles with the links of a microcontroller and
 * with 32-bit links.
 */
#ifndef HEAP_SUBJECTS_H
#define HEAP_SUBJECTS_H

#include "instances.h"
#include "workloads.h"

typedef struct {
    const char *name;
    const eai_heap_ops_t *ops;
} subject_t;

typedef struct {
    const eai_heap_ops_t *ops;
    ea_heap_t *heap;
} subject_heap_t;

static void *subject_alloc(void *context, size_t size_bytes)
{
    const subject_heap_t *h = context;
    return h->ops->alloc(h->heap, size_bytes);
}

static void subject_free(void *context, void *ptr)
{
    const subject_heap_t *h = context;
    (void)h->ops->free(h->heap, ptr);
}

static const subject_t subjects[] = {
    {"default-l16", &eai_heap_ops_d8l16},    {"fast-l16", &eai_heap_ops_f8l16},
    {"throughput-l16", &eai_heap_ops_q8l16}, {"tiny-l16", &eai_heap_ops_t8l16},
    {"default-l32", &eai_heap_ops_d8l32},    {"fast-l32", &eai_heap_ops_f8l32},
};
#define N_SUBJECTS (sizeof subjects / sizeof subjects[0])

#endif
