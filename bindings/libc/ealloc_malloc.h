/* SPDX-License-Identifier: MIT
 *
 * The allocator behind malloc, new and delete of a program that links ealloc_malloc.c.
 */
#ifndef EALLOC_MALLOC_H
#define EALLOC_MALLOC_H

#include "ealloc/allocator.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The allocator that malloc uses. ealloc_malloc.c has a definition of its own, a weak one, which
 * makes an allocator at the first call, over the memory that its macros name. An application that
 * brings its own allocator defines this function instead.
 * Returns  NULL: there is no memory (yet); malloc then fails with ENOMEM.
 * Context  as ea_malloc(). The first call, and so the first malloc, of the definition that is there
 *          comes before other tasks allocate: what they ask for meanwhile is refused. */
ea_allocator_t *ealloc_malloc_allocator(void);

#ifdef __cplusplus
}
#endif
#endif
