/* SPDX-License-Identifier: MIT
 *
 * Quarantine: freed blocks of a heap wait in order of their freeing before their memory is used
 * again, and their poison is looked at while they wait and when they go. Only blocks with a front
 * (eai_guard_front_tag()) that eai_guard_undress() poisoned. One state is used by one call at a
 * time: the allocator's lock.
 *
 * The link of a waiting block stands in its front, where the canary was: a write through a stale
 * pointer meets poison, not links. It is encoded and vouches for itself; if one is damaged all the
 * same, the blocks behind it cannot be found any more: they stay allocated, never used again, and
 * are counted.
 */
#ifndef EALLOC_MEMORY_QUARANTINE_H
#define EALLOC_MEMORY_QUARANTINE_H

#include "memory/guard.h"

#if EA_CFG_GUARD >= 3

/* budget_bytes: what may wait, fronts included; 0: nothing. May be set anew at any time. */
void eai_quarantine_init(eai_quarantine_t *q, uint32_t budget_bytes);
EA_INLINE void eai_quarantine_set_budget(eai_quarantine_t *q, uint32_t budget_bytes)
{
    q->budget_bytes = budget_bytes;
}

/* Let a block wait.
 * Returns  false: it alone exceeds the budget, and nothing is done.
 * Cost     O(1). */
EA_NODISCARD bool eai_quarantine_push(eai_quarantine_t *q, const eai_guard_t *g, void *payload,
                                      size_t usable);

/* Whether more waits than the budget allows: pop while this is so. */
EA_INLINE EA_NODISCARD bool eai_quarantine_is_over(const eai_quarantine_t *q)
{
    return q->bytes > q->budget_bytes;
}

/* Take the block that has waited longest; also when memory is short.
 * Returns  its payload, *usable as it was pushed; NULL: none waits, or its link is damaged:
 *          *finding says EA_GUARD_STORE, and nothing waits any more. finding->kind is
 *          EA_GUARD_POISON or EA_GUARD_TAG if the block was written since it was freed.
 * Cost     O(usable). */
EA_NODISCARD void *eai_quarantine_pop(eai_quarantine_t *q, const eai_guard_t *g, size_t *usable,
                                      eai_finding_t *finding);

/* Look at max_bytes more of what waits, and at no more than one block to its end.
 * Returns  EA_ERR_AGAIN: there is more; EA_OK: this was the youngest, the next call begins with the
 *          oldest; EA_ERR_CORRUPT: *finding says what was found, in the block at *payload; the next
 *          call goes on behind it.
 * Cost     O(max_bytes). */
EA_NODISCARD ea_status_t eai_quarantine_sweep(eai_quarantine_t *q, const eai_guard_t *g,
                                              size_t max_bytes, void **payload,
                                              eai_finding_t *finding);

#else

EA_INLINE void eai_quarantine_init(eai_quarantine_t *q, uint32_t budget_bytes)
{
    (void)q, (void)budget_bytes;
}
EA_INLINE void eai_quarantine_set_budget(eai_quarantine_t *q, uint32_t budget_bytes)
{
    (void)q, (void)budget_bytes;
}
EA_INLINE EA_NODISCARD bool eai_quarantine_push(eai_quarantine_t *q, const eai_guard_t *g,
                                                void *payload, size_t usable)
{
    (void)q, (void)g, (void)payload, (void)usable;
    return false;
}
EA_INLINE EA_NODISCARD bool eai_quarantine_is_over(const eai_quarantine_t *q)
{
    (void)q;
    return false;
}
EA_INLINE EA_NODISCARD void *eai_quarantine_pop(eai_quarantine_t *q, const eai_guard_t *g,
                                                size_t *usable, eai_finding_t *finding)
{
    (void)q, (void)g, (void)usable;
    finding->kind = EA_GUARD_NONE;
    return NULL;
}
EA_INLINE EA_NODISCARD ea_status_t eai_quarantine_sweep(eai_quarantine_t *q, const eai_guard_t *g,
                                                        size_t max_bytes, void **payload,
                                                        eai_finding_t *finding)
{
    (void)q, (void)g, (void)max_bytes, (void)payload;
    finding->kind = EA_GUARD_NONE;
    return EA_OK;
}

#endif

#endif
