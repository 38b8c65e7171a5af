/* SPDX-License-Identifier: MIT
 *
 * The heaps that heap_figures compares. Until there is a table of instances: the one ea_heap_* that
 * the program is linked with, named by -DSUBJECT_NAME.
 */
#ifndef HEAP_SUBJECTS_H
#define HEAP_SUBJECTS_H

#include "ealloc/heap.h"
#include "workloads.h"

#ifndef SUBJECT_NAME
#define SUBJECT_NAME "default"
#endif

typedef struct {
    const char *name;
    void *(*init)(void *mem, size_t size_bytes);
    wl_ops_t ops;
} subject_t;

static void *subject_init(void *mem, size_t size_bytes)
{
    return ea_heap_init(mem, size_bytes, NULL);
}

static void *subject_alloc(void *context, size_t size_bytes)
{
    return ea_heap_alloc(context, size_bytes);
}

static void subject_free(void *context, void *ptr)
{
    (void)ea_heap_free(context, ptr);
}

static const subject_t subjects[] = {
    {SUBJECT_NAME, subject_init, {subject_alloc, subject_free, NULL}},
};
#define N_SUBJECTS (sizeof subjects / sizeof subjects[0])

#endif
