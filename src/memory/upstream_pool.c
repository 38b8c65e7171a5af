/* SPDX-License-Identifier: MIT
 *
 * Chunks from a pool. A file of its own, so that a program takes no allocator along that it does
 * not use.
 */
#include "ealloc/upstream.h"

static void *take_from_pool(void *context, size_t size_bytes)
{
    ea_pool_t *pool = context;
    return size_bytes <= ea_pool_block_bytes(pool) ? ea_pool_alloc(pool) : NULL;
}

static void give_back_to_pool(void *context, void *ptr, size_t size_bytes)
{
    (void)size_bytes;
    (void)ea_pool_free(context, ptr); /* what goes wrong is counted there */
}

ea_upstream_t ea_upstream_pool(ea_pool_t *pool)
{
    ea_upstream_t upstream = {take_from_pool, give_back_to_pool, pool};
    return upstream;
}
