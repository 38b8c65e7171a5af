/* SPDX-License-Identifier: MIT
 *
 * Scoped ownership in C (row A15): a block that frees itself at the end of the scope it is declared
 * in, by whatever way that is left, unless it was handed on.
 *
 *     bool publish(ea_pool_t *packets)
 *     {
 *         EA_SCOPED(packet_t *, packet, packets) = ea_pool_alloc(packets);
 *         if (packet == NULL || !fill(packet)) return false;
 *         send(ea_release(packet));
 *         return true;
 *     }
 *
 * It rests on the cleanup attribute of GCC and Clang and on C11's _Generic. The name is an argument
 * because a cleanup function is told the address of its variable and nothing else: a second
 * variable ties the first to its allocator, and must name it. C++ has PooledPtr
 * (bindings/cpp/ealloc.hpp) instead. Where EA_HAS_CLEANUP is 0 using EA_SCOPED() does not compile:
 * free by hand before each return.
 */
#ifndef EALLOC_SCOPED_H
#define EALLOC_SCOPED_H

#include <stddef.h>

#include "ealloc/arena.h"
#include "ealloc/compiler.h"
#include "ealloc/heap.h"
#include "ealloc/pool.h"
#include "ealloc/poolset.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A pointer of any type, looked at as a pointer; private. */
typedef void *EA_MAY_ALIAS eai_any_ptr_t;

/* Who frees what a variable points to; private. */
typedef struct {
    eai_any_ptr_t *eai_variable;
    void *eai_allocator;
    ea_status_t (*eai_free)(void *allocator, void *ptr);
} ea_scoped_t;

/* Free what the variable points to now, NULL nothing. Called by EA_SCOPED() at the end of the
 * scope. What a refused free would have returned is counted by the allocator. */
void ea_scoped_end(const ea_scoped_t *scoped);

#ifndef __cplusplus

/* Declare the variable `name` of the pointer type `type`, to be freed to `allocator` (an ea_heap_t,
 * ea_pool_t or ea_poolset_t pointer, evaluated once) at the end of the scope. An assignment
 * follows; until then the variable is NULL. Whatever it points to at the end is freed, so after
 * ea_heap_realloc() assign the result to it. Two declarations and an expression: it cannot stand
 * where one statement is expected. An arena's blocks belong to their scope; for them it does not
 * compile.
 * Context  that of the allocator's free. Cost: that free, and a call. */
#if EA_HAS_CLEANUP
#define EA_SCOPED(type, name, allocator)                                                           \
    EA_STATIC_ASSERT(_Generic((allocator), ea_arena_t * : 0, default : 1),                         \
                     "EA_SCOPED: blocks of an arena belong to their EA_ARENA_SCOPE()");            \
    type name = NULL;                                                                              \
    EAI_CLEANUP(ea_scoped_end)                                                                     \
    const ea_scoped_t eai_scoped_##name = {(eai_any_ptr_t *)(void *)&name, (allocator),            \
                                           EAI_SCOPED_FREE(allocator)};                            \
    name
#else
#define EA_SCOPED(type, name, allocator)                                                           \
    EA_STATIC_ASSERT(0, "EA_SCOPED needs the cleanup attribute: free by hand");                    \
    type name
#endif

/* The pointer in a variable, which becomes NULL: the scope no longer owns the block. */
#define ea_release(name) ((__typeof__(name))eai_release((eai_any_ptr_t *)(void *)&(name)))

#if !defined(DOXYGEN)
/* A further allocator joins here. */
#define EAI_SCOPED_FREE(allocator)                                                                 \
    _Generic((allocator), ea_heap_t *                                                              \
             : eai_scoped_free_heap, ea_pool_t *                                                   \
             : eai_scoped_free_pool, ea_poolset_t *                                                \
             : eai_scoped_free_poolset, ea_arena_t *                                               \
             : NULL)

EA_INLINE ea_status_t eai_scoped_free_heap(void *allocator, void *ptr)
{
    return ea_heap_free((ea_heap_t *)allocator, ptr);
}

EA_INLINE ea_status_t eai_scoped_free_pool(void *allocator, void *ptr)
{
    return ea_pool_free((ea_pool_t *)allocator, ptr);
}

EA_INLINE ea_status_t eai_scoped_free_poolset(void *allocator, void *ptr)
{
    return ea_poolset_free((ea_poolset_t *)allocator, ptr);
}

EA_NODISCARD EA_INLINE void *eai_release(eai_any_ptr_t *variable)
{
    void *ptr = *variable;
    *variable = NULL;
    return ptr;
}
#endif

#endif

#ifdef __cplusplus
}
#endif
#endif
