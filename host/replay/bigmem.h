/* SPDX-License-Identifier: MIT
 *
 * Memory straight from the kernel, for everything that is large or lives while an allocator is
 * being measured: arrays taken from malloc would warm up, grow and tune the very allocator under
 * test.
 */
#ifndef EALLOC_REPLAY_BIGMEM_H
#define EALLOC_REPLAY_BIGMEM_H

#include <stdbool.h>
#include <stddef.h>

/* Map size_bytes of zeroed memory, page aligned; its pages are touched now if prefault is true,
 * else on first use. Returns NULL when the kernel refuses. */
void *bigmem_map(size_t size_bytes, bool prefault);
void bigmem_unmap(void *mem, size_t size_bytes);

/* An array that grows by doubling; all zero is an empty one. */
typedef struct {
    void *data;
    size_t mapped_bytes;
} bigmem_array_t;

/* Make room for at least size_bytes; contents are kept, what is new is zero, and array->data may
 * change. Returns false, and changes nothing, when there is no memory: also what the kernel would
 * promise, but the machine does not have. */
bool bigmem_reserve(bigmem_array_t *array, size_t size_bytes);
void bigmem_release(bigmem_array_t *array);

#endif
