/* SPDX-License-Identifier: MIT
 *
 * What allocator_traces asks of a subject: a malloc family over memory it is given. Each subject is
 * a shared object of the library in one configuration, so that all of them run in one process.
 */
#ifndef ALLOCATOR_SUBJECT_H
#define ALLOCATOR_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    const char *name;
    bool (*begin)(void *mem, size_t size_bytes);
    size_t (*end)(void); /* blocks that were left */
    void *(*malloc)(size_t size_bytes);
    void *(*calloc)(size_t n, size_t size_bytes);
    void *(*realloc)(void *ptr, size_t size_bytes);
    void *(*memalign)(size_t alignment_bytes, size_t size_bytes);
    void (*free)(void *ptr);
} allocator_subject_t;

#endif
