/* SPDX-License-Identifier: MIT
 *
 * What the tests of regions of movable blocks share: an allocator, the store of its region, blocks
 * full of a byte.
 */
#ifndef MOVABLE_REGION_TESTING_H
#define MOVABLE_REGION_TESTING_H

#include "allocator_testing.h"

static ea_allocator_t a;
static ea_movable_t *store;

/* It may be refused. */
static inline ea_movable_handle_t try_make(size_t size_bytes, int byte)
{
    ea_movable_handle_t handle = ea_malloc_movable(&a, store, size_bytes, NULL);
    EA_MOVABLE_LOCKED(store, handle, char, bytes)
    {
        if (bytes) memset(bytes, byte, size_bytes);
    }
    return handle;
}

static inline ea_movable_handle_t make(size_t size_bytes, int byte)
{
    ea_movable_handle_t handle = try_make(size_bytes, byte);
    EXPECT(!ea_movable_is_none(handle));
    return handle;
}

static inline bool is_full_of(ea_movable_handle_t handle, size_t size_bytes, int byte)
{
    bool good = false;
    EA_MOVABLE_LOCKED(store, handle, char, bytes)
    {
        good = bytes != NULL;
        for (size_t i = 0; good && i < size_bytes; i++) good = bytes[i] == (char)byte;
    }
    return good;
}

#endif
