/* SPDX-License-Identifier: MIT
 *
 * Waiting for a block of one pool; the protocol and its argument are in ealloc/waitq.h. "Serve" is
 * eai_pool_offer(), which ea_pool_free() calls as well when somebody waits.
 */
#include "ealloc/pool_wait.h"

#include "stores/pool_internal.h"

#if EA_CFG_POOL_WAIT

void *ea_pool_alloc_wait(ea_pool_t *pool, uint64_t timeout_us)
{
    ea_waiter_t waiter;

    if (timeout_us == 0) return ea_pool_alloc(pool);
    /* Those who wait already come first. */
    if (ea_waitq_is_empty(&pool->eai_waiting)) {
        void *block = eai_pool_take(pool);
        if (block != NULL) return block;
    }

    ea_waiter_init(&waiter, ea_port_task_priority());
    ea_waitq_enter(&pool->eai_waiting, &waiter);
    (void)ea_pool_free(pool,
                       eai_pool_offer(pool)); /* a block is left if this task has one by now */
    if (ea_waitq_sleep(&waiter, timeout_us) == EA_OK) return waiter.result;
    eai_pool_count_failure(pool);
    return NULL;
}

#endif
