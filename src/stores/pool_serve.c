/* SPDX-License-Identifier: MIT
 *
 * Pools: a block for those who wait. What is here gives; waiting itself is a floor above, in
 * memory/pool_wait.c. The protocol and its argument are in ealloc/waitq.h: free looks for waiters
 * after its push, a waiter looks for a block after it has joined the queue.
 */
#include "stores/pool_internal.h"

#if EA_CFG_POOL_WAIT

void eai_pool_count_failure(pool_t *pool)
{
    (void)pool;
#if EA_CFG_POOL_STATS
    EAI_ENTER(irq);
    EAI_COUNT(pool, eai_counters.eai_n_failures);
    EAI_LEAVE(irq);
#endif
}

static bool is_empty(const pool_t *pool)
{
#if EAI_POOL_LOCAL
    if (EAI_LOAD(&pool->eai_local, EAI_ACQUIRE) != NULL) return false;
#endif
    /* Fresh never sinks: if none is left now, the list alone can hold a block a moment later. */
    return EAI_LOAD(&pool->eai_fresh, EAI_SEQ_CST) >= eai_pool_total(pool) &&
           is_end(pool, link_of(pool, EAI_LOAD(&pool->eai_head, EAI_SEQ_CST)));
}

void *eai_pool_take(pool_t *pool)
{
    return is_empty(pool) ? NULL : ea_pool_alloc(pool);
}

void *eai_pool_offer(pool_t *pool)
{
    void *block = eai_pool_take(pool);
    return block == NULL || ea_waitq_hand_first(&pool->eai_waiting, block) ? NULL : block;
}

#endif
