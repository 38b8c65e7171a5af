/* SPDX-License-Identifier: MIT
 *
 * The allocator: who watches its blocks. The list is read by whoever allocates or frees, so what is
 * put on it is complete before it is seen; it is changed by one task at a time.
 */
#include "memory/allocator_internal.h"

#if EA_CFG_ALLOC_HOOK

EA_NOINLINE void eai_show(const alloc_t *a, ea_block_event_t what, uint16_t owner, const void *site,
                          const void *block, size_t size_bytes)
{
    const ea_alloc_hook_t *hook = __atomic_load_n(&a->eai_hooks, __ATOMIC_ACQUIRE); /* with add */
    for (; hook; hook = hook->eai_next) /* bound: hooks */
        hook->function(hook->context, what, owner, site, block, size_bytes);
}

EA_NOINLINE void eai_show_new(const alloc_t *a, ea_block_event_t what, uint16_t owner,
                              const void *site, const void *block, const eai_sizes_t *sizes)
{
    const ea_alloc_hook_t *hook = __atomic_load_n(&a->eai_hooks, __ATOMIC_ACQUIRE); /* with add */
    for (; hook; hook = hook->eai_next) { /* bound: hooks */
        if (hook->by_capacity && sizes->stayed_bytes != 0)
            hook->function(hook->context, EA_BLOCK_MOVED, owner, site, block, sizes->stayed_bytes);
        hook->function(hook->context, what, owner, site, block,
                       hook->by_capacity ? sizes->usable_bytes : sizes->size_bytes);
    }
}

/* Where hook's pointer stands in the list, or the end of it. Bound: hooks. */
static ea_alloc_hook_t **find_hook(alloc_t *a, const ea_alloc_hook_t *hook)
{
    ea_alloc_hook_t **at = &a->eai_hooks;
    while (*at && *at != hook) at = &(*at)->eai_next;
    return at;
}

ea_status_t ea_allocator_add_hook(alloc_t *a, ea_alloc_hook_t *hook)
{
    if (!a || !hook || !hook->function) return EA_ERR_INVALID;
    eai_lock(a);
    bool is_there = *find_hook(a, hook) != NULL;
    if (!is_there) {
        hook->eai_next = a->eai_hooks;
        __atomic_store_n(&a->eai_hooks, hook, __ATOMIC_RELEASE); /* pairs with eai_show */
    }
    eai_unlock(a);
    return is_there ? EA_ERR_BUSY : EA_OK;
}

ea_status_t ea_allocator_remove_hook(alloc_t *a, ea_alloc_hook_t *hook)
{
    if (!a || !hook) return EA_ERR_INVALID;
    eai_lock(a);
    ea_alloc_hook_t **at = find_hook(a, hook);
    bool is_there = *at != NULL;
    if (is_there) __atomic_store_n(at, hook->eai_next, __ATOMIC_RELEASE);
    eai_unlock(a);
    return is_there ? EA_OK : EA_ERR_NOT_FOUND;
}

#endif
