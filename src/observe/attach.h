/* SPDX-License-Identifier: MIT
 *
 * Joining a component to an allocator. In a source of its own for each, so that a program that
 * feeds the component by itself needs no allocator.
 */
#ifndef EALLOC_OBSERVE_ATTACH_H
#define EALLOC_OBSERVE_ATTACH_H

#include "ealloc/allocator.h"

/* Whether there is an allocator that tells; for a component that gets ready first. */
EA_INLINE bool eai_can_attach(const ea_allocator_t *a)
{
    return EA_CFG_ALLOC_HOOK && a != NULL;
}

/* The component's hook becomes `as` and is added. */
EA_INLINE ea_status_t eai_attach(ea_alloc_hook_t *hook, ea_alloc_hook_t as, ea_allocator_t *a)
{
#if EA_CFG_ALLOC_HOOK
    if (!eai_can_attach(a)) return EA_ERR_INVALID;
    if (hook->function) return EA_ERR_BUSY;
    *hook = as;
    ea_status_t status = ea_allocator_add_hook(a, hook);
    if (status != EA_OK) hook->function = NULL;
    return status;
#else
    (void)hook, (void)as, (void)a;
    return EA_ERR_INVALID;
#endif
}

EA_INLINE ea_status_t eai_detach(ea_alloc_hook_t *hook, ea_allocator_t *a)
{
#if EA_CFG_ALLOC_HOOK
    if (!a) return EA_ERR_NOT_FOUND;
    ea_status_t status = ea_allocator_remove_hook(a, hook);
    if (status == EA_OK) hook->function = NULL;
    return status;
#else
    (void)hook, (void)a;
    return EA_ERR_NOT_FOUND;
#endif
}

#endif
