/* SPDX-License-Identifier: MIT
 *
 * Chunks from another arena. A file of its own, so that a program takes no allocator along that it
 * does not use.
 */
#include "ealloc/upstream.h"

static void *take_from_arena(void *context, size_t size_bytes)
{
    return ea_arena_alloc(context, size_bytes);
}

static void give_back_to_arena(void *context, void *ptr, size_t size_bytes)
{
    (void)ea_arena_free(context, ptr, size_bytes);
}

ea_upstream_t ea_upstream_arena(ea_arena_t *arena)
{
    ea_upstream_t upstream = {take_from_arena, give_back_to_arena, arena};
    return upstream;
}
