/* SPDX-License-Identifier: MIT
 *
 * How an allocator of your own takes part: a shared object with a load_peer. This one is libc's
 * malloc, which does not keep to the memory that it is given.
 *
 *     cc -m32 -O2 -shared -fPIC -I bench/movable bench/movable/peer_example.c -o peer.so
 *     bench/movable/loads --peer peer.so
 */
#include <stdlib.h>

#include "movable_load.h"

static bool peer_init(void *mem, size_t size_bytes)
{
    (void)mem, (void)size_bytes;
    return true;
}

static void *peer_alloc(void *context, size_t size_bytes)
{
    (void)context;
    return malloc(size_bytes);
}

static void peer_free(void *context, void *ptr)
{
    (void)context;
    free(ptr);
}

const load_subject_t load_peer = {
    .name = "libc",
    .unit_bytes = 2 * sizeof(void *), /* a block's size is a multiple of it */
    .overhead_bytes = sizeof(size_t), /* and so much more than its payload  */
    .init = peer_init,
    .alloc = peer_alloc,
    .free = peer_free,
};
