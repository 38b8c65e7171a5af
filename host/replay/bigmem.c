/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "bigmem.h"

#include <sys/mman.h>

#include "sane.h"

#define FIRST_BYTES ((size_t)64 * 1024)
#define MUCH_BYTES ((size_t)64 << 20)

void *bigmem_map(size_t size_bytes, bool prefault)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (prefault ? MAP_POPULATE : 0);
    void *mem = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    return mem == MAP_FAILED ? NULL : mem;
}

void bigmem_unmap(void *mem, size_t size_bytes)
{
    if (mem != NULL) munmap(mem, size_bytes);
}

bool bigmem_reserve(bigmem_array_t *array, size_t size_bytes)
{
    if (size_bytes <= array->mapped_bytes) return true;
    /* The kernel promises any amount and kills who uses it. */
    size_t more = size_bytes - array->mapped_bytes;
    if (more > MUCH_BYTES && more > available_bytes()) return false;
    size_t want = array->mapped_bytes != 0 ? array->mapped_bytes : FIRST_BYTES;
    while (want < size_bytes) {
        if (want > (size_t)-1 / 2) return false;
        want *= 2;
    }
    void *data = array->data == NULL
                     ? bigmem_map(want, false)
                     : mremap(array->data, array->mapped_bytes, want, MREMAP_MAYMOVE);
    if (data == NULL || data == MAP_FAILED) return false;
    array->data = data;
    array->mapped_bytes = want;
    return true;
}

void bigmem_release(bigmem_array_t *array)
{
    bigmem_unmap(array->data, array->mapped_bytes);
    array->data = NULL;
    array->mapped_bytes = 0;
}
