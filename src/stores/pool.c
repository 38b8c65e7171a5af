/* SPDX-License-Identifier: MIT
 *
 * Pools: alloc and free. pool_slabs.c holds their life and their slabs, pool_check.c what looks at
 * them.
 *
 * A slab's blocks lie side by side; their bits, a word for 32 blocks, grow down from the first one:
 *
 *     [.. header of an added slab] [bits 63..32] [bits 31..0] [block 0] [block 1] ... [block n-1]
 *                                                             ^ base
 *
 * Blocks 0 to fresh-1 have been handed out at least once. Of these the free ones form a list: the
 * head word in the control structure holds a link to the first, and each one's first word a link to
 * the next. A link is the distance from the first slab's base in granules (words), that of an added
 * slab's block continues where the slab before it ends; all ones within the mask means the end. So
 * an address is one addition away from its link, and creation touches no block.
 *
 *     head    [tag ............ | link]      the tag where compare-and-swap decides, else only the
 *             link
 */
#include "stores/pool_internal.h"

/* --- bits and counters ------------------------------------------------------------------------ */

EA_INLINE void count_refusal(pool_t *pool)
{
    uint8_t n = EAI_LOAD(&pool->eai_n_refused, EAI_RELAXED);
    if (n < UINT8_MAX) EAI_STORE(&pool->eai_n_refused, (uint8_t)(n + 1u), EAI_RELAXED);
}

/* The block is taken: its bit and the counter say so. Returns whether the bit did not say so
 * before.
 */
EA_INLINE bool mark_live(pool_t *pool, unsigned char *base, index_t local)
{
#if EA_CFG_POOL_VALIDATE
    uint32_t bit = bit_of(local);
    if (EA_UNLIKELY((EAI_FETCH_OR(bits_of(base, local), bit) & bit) != 0)) return false;
#else
    (void)base, (void)local;
#endif
#if EA_CFG_POOL_STATS
    (void)EAI_FETCH_ADD(&pool->eai_counters.eai_n_allocs, 1u);
#else
    (void)pool;
#endif
    return true;
}

EA_INLINE bool mark_free(pool_t *pool, unsigned char *base, index_t local)
{
#if EA_CFG_POOL_VALIDATE
    uint32_t bit = bit_of(local);
    if (EA_UNLIKELY((EAI_FETCH_AND(bits_of(base, local), ~bit) & bit) == 0)) return false;
#else
    (void)base, (void)local;
#endif
#if EA_CFG_POOL_STATS
    (void)EAI_FETCH_ADD(&pool->eai_counters.eai_n_frees, 1u);
#else
    (void)pool;
#endif
    return true;
}

/* --- alloc ------------------------------------------------------------------------------------ */

static void *refuse_alloc(pool_t *pool)
{
    count_refusal(pool);
    return NULL;
}

/* The first free block lies outside the first slab, or no block is on the list. Repeats only when
 * another context took a block or gave one back meanwhile. */
static EA_NOINLINE void *alloc_elsewhere(pool_t *pool)
{
    for (;;) {
        uintptr_t head = EAI_LOAD_LINKED(&pool->eai_head);
        link_t link = link_of(pool, head);
        place_t place;
        if (!is_end(pool, link)) {
            place = eai_pool_find_index(pool, index_of_link(pool, link));
            if (place.base == NULL) return refuse_alloc(pool);
            link_t next = eai_pool_read_link(block_at(pool, place));
            if (!EAI_STORE_COND(&pool->eai_head, head, head_after_pop(pool, head, next))) continue;
        } else {
            index_t fresh = EAI_LOAD(&pool->eai_fresh, EAI_SEQ_CST);
            place = eai_pool_find_index(pool, fresh);
            if (place.base == NULL) {
                if (!is_end(pool, link_of(pool, EAI_LOAD(&pool->eai_head, EAI_SEQ_CST)))) continue;
#if EA_CFG_POOL_STATS
                (void)EAI_FETCH_ADD(&pool->eai_counters.eai_n_failures, 1u);
#endif
                return NULL;
            }
            if (!EAI_CAS_U32(&pool->eai_fresh, fresh, fresh + 1u)) continue;
        }
        if (!mark_live(pool, place.base, place.local)) return refuse_alloc(pool);
        return block_at(pool, place);
    }
}

/* Pop. Sets *link; false: there is nothing in the first slab. */
void *ea_pool_alloc(pool_t *pool)
{
    uintptr_t head, index = 0;
    unsigned char *block;
    link_t link, next;
    EAI_ENTER(irq);
    do {
        head = EAI_LOAD_LINKED(&pool->eai_head); /* pairs with release in free */
        link = link_of(pool, head);
        index = index_of_link(pool, link);
        if (EA_UNLIKELY(is_end(pool, link) || index >= pool->eai_n_blocks)) {
            block = (unsigned char *)alloc_elsewhere(pool);
            EAI_LEAVE(irq);
            return block;
        }
        block = pool->eai_base + ((size_t)link << GRANULE_SHIFT);
        next = eai_pool_read_link(block);
    } while (!EAI_STORE_COND(&pool->eai_head, head, head_after_pop(pool, head, next)));
    if (EA_UNLIKELY(!mark_live(pool, pool->eai_base, (index_t)index))) {
        block = (unsigned char *)refuse_alloc(pool);
    }
    EAI_LEAVE(irq);
    return block;
}

/* --- waiting ---------------------------------------------------------------------------------- */

#if EA_CFG_POOL_WAIT
/* Free looks for waiters after its store, in the one order that all cores agree on; see waitq.h. */
#define PUSH EAI_CAS_SEQ_CST

void eai_pool_count_failure(pool_t *pool)
{
#if EA_CFG_POOL_STATS
    EAI_ENTER(irq);
    (void)EAI_FETCH_ADD(&pool->eai_counters.eai_n_failures, 1u);
    EAI_LEAVE(irq);
#else
    (void)pool;
#endif
}

void *eai_pool_take(pool_t *pool)
{
    /* Fresh never sinks: if none is left now, the list alone can hold a block a moment later. */
    if (EAI_LOAD(&pool->eai_fresh, EAI_SEQ_CST) >= eai_pool_total(pool) &&
        is_end(pool, link_of(pool, EAI_LOAD(&pool->eai_head, EAI_SEQ_CST)))) {
        return NULL;
    }
    return ea_pool_alloc(pool);
}

bool eai_pool_serve(pool_t *pool)
{
    void *block = NULL;
    ea_port_irq_t irq = ea_port_irq_mask();
    ea_waiter_t *waiter = ea_waitq_first_locked(&pool->eai_waiting);
    if (waiter != NULL) block = eai_pool_take(pool);
    if (block != NULL) ea_waitq_hand_locked(waiter, block);
    ea_port_irq_restore(irq);
    return block != NULL;
}
#else
#define PUSH EAI_CAS
#endif

/* --- free ------------------------------------------------------------------------------------- */

EA_INLINE ea_status_t give_back(pool_t *pool, unsigned char *base, index_t local, link_t link,
                                unsigned char *block)
{
    uintptr_t head;
    EAI_ENTER(irq);
    if (EA_UNLIKELY(!mark_free(pool, base, local))) {
        count_refusal(pool);
        EAI_LEAVE(irq);
        return EA_ERR_DOUBLE_FREE;
    }
    do {
        head = EAI_LOAD(&pool->eai_head, EAI_RELAXED);
        eai_pool_write_link(block, link_of(pool, head));
    } while (!PUSH(&pool->eai_head, head, head_after_push(pool, head, link)));
    EAI_LEAVE(irq);
#if EA_CFG_POOL_WAIT
    if (EA_UNLIKELY(!ea_waitq_is_empty(&pool->eai_waiting))) (void)eai_pool_serve(pool);
#endif
    return EA_OK;
}

static EA_NOINLINE ea_status_t free_elsewhere(pool_t *pool, void *ptr)
{
    if (ptr == NULL) return EA_OK;
    place_t place = eai_pool_find(pool, ptr);
    if (place.base == NULL) {
        count_refusal(pool);
        return EA_ERR_FOREIGN;
    }
    return give_back(pool, place.base, place.local, link_at(pool, place.index),
                     (unsigned char *)ptr);
}

ea_status_t ea_pool_free(pool_t *pool, void *ptr)
{
    uintptr_t distance = (uintptr_t)ptr - (uintptr_t)pool->eai_base;
    uintptr_t index = index_at(pool, distance);
    if (EA_UNLIKELY(index >= pool->eai_n_blocks)) return free_elsewhere(pool, ptr);
    return give_back(pool, pool->eai_base, (index_t)index, (link_t)(distance >> GRANULE_SHIFT),
                     (unsigned char *)ptr);
}
