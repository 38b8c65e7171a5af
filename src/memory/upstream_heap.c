/* SPDX-License-Identifier: MIT
 *
 * Chunks from a heap. A file of its own, so that a program takes no allocator along that it does
 * not use.
 */
#include "ealloc/upstream.h"

static void *take_from_heap(void *context, size_t size_bytes)
{
    return ea_heap_alloc(context, size_bytes);
}

static void give_back_to_heap(void *context, void *ptr, size_t size_bytes)
{
    (void)size_bytes;
    (void)ea_heap_free(context, ptr); /* what goes wrong is counted there */
}

ea_upstream_t ea_upstream_heap(ea_heap_t *heap)
{
    ea_upstream_t upstream = {take_from_heap, give_back_to_heap, heap};
    return upstream;
}
