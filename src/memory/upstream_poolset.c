/* SPDX-License-Identifier: MIT
 *
 * Chunks from a pool set. A file of its own, so that a program takes no allocator along that it
 * does not use.
 */
#include "ealloc/upstream.h"

static void *take_from_poolset(void *context, size_t size_bytes)
{
    return ea_poolset_alloc(context, size_bytes);
}

static void give_back_to_poolset(void *context, void *ptr, size_t size_bytes)
{
    (void)ea_poolset_free_sized(context, ptr, size_bytes);
}

ea_upstream_t ea_upstream_poolset(ea_poolset_t *set)
{
    ea_upstream_t upstream = {take_from_poolset, give_back_to_poolset, set};
    return upstream;
}
