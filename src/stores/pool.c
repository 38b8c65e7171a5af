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

/* Where speed counts the paths that are usual hold everything inline. */
#if defined(__OPTIMIZE_SIZE__)
#define HOT static
#else
#define HOT EA_INLINE
#endif

/* --- bits and counters ------------------------------------------------------------------------ */

static EA_NOINLINE void count_refusal(pool_t *pool)
{
    uint8_t n = EAI_LOAD(&pool->eai_n_refused, EAI_RELAXED);
    if (n < UINT8_MAX) EAI_STORE(&pool->eai_n_refused, (uint8_t)(n + 1u), EAI_RELAXED);
}

/* The block was taken. false: it is live already, so what led to it is damaged. */
HOT bool mark_live(pool_t *pool, unsigned char *base, uintptr_t local)
{
#if EA_CFG_POOL_VALIDATE
    uint32_t bit = eai_pool_bit(local);
    if (EA_UNLIKELY((EAI_FETCH_SET(eai_pool_bits(base, local), bit) & bit) != 0)) return false;
#endif
#if EA_CFG_POOL_STATS
    EAI_COUNT(pool, eai_counters.eai_n_allocs);
#endif
    (void)pool, (void)base, (void)local;
    return true;
}

/* The block is about to be put on the list. false: it is not live. */
HOT bool mark_free(pool_t *pool, unsigned char *base, uintptr_t local)
{
#if EA_CFG_POOL_VALIDATE
    uint32_t bit = eai_pool_bit(local);
    if (EA_UNLIKELY((EAI_FETCH_CLEAR(eai_pool_bits(base, local), bit) & bit) == 0)) return false;
#endif
#if EA_CFG_POOL_STATS
    EAI_COUNT(pool, eai_counters.eai_n_frees);
#endif
    (void)pool, (void)base, (void)local;
    return true;
}

static void count_failure(pool_t *pool)
{
    (void)pool;
#if EA_CFG_POOL_STATS
    EAI_ENTER(irq);
    EAI_COUNT(pool, eai_counters.eai_n_failures);
    EAI_LEAVE(irq);
#endif
}

/* --- alloc ------------------------------------------------------------------------------------ */

/* The next block that was never handed out; NULL if there is none. Repeats when another context
 * took one meanwhile: at most as often as there are blocks. */
static EA_NOINLINE void *take_fresh(pool_t *pool)
{
    for (;;) {
        index_t fresh = EAI_LOAD(&pool->eai_fresh, EAI_SEQ_CST);
        place_t place = place_of(pool, fresh);
        if (place.base == NULL) return NULL;
        EAI_ENTER(irq);
        bool taken = EAI_CAS_U32(&pool->eai_fresh, fresh, fresh + 1u);
        if (taken) (void)mark_live(pool, place.base, place.local);
        EAI_LEAVE(irq);
        if (taken) return block_at(pool, place);
    }
}

void *ea_pool_alloc(pool_t *pool)
{
    for (;;) {
        uintptr_t head = EAI_LOAD_LINKED(&pool->eai_head); /* pairs with release in free */
        link_t link = link_of(pool, head);
        unsigned char *base = pool->eai_base, *block = base + ((size_t)link << GRANULE_SHIFT);
        uintptr_t local = index_of_link(pool, link);
        if (EA_UNLIKELY(!is_in_first(pool, (uintptr_t)link << GRANULE_SHIFT, local) ||
                        (!EA_CFG_POOL_VALIDATE && is_end(pool, link)))) {
            if (is_end(pool, link)) {
                void *fresh = take_fresh(pool);
                if (fresh != NULL) return fresh;
                if (!is_end(pool, link_of(pool, EAI_LOAD(&pool->eai_head, EAI_SEQ_CST)))) continue;
                count_failure(pool);
                return NULL;
            }
            const eai_pool_slab_t *slab = eai_pool_slab_with(pool, index_of_link(pool, link));
            if (slab == NULL) break;
            base = slab->base;
            local = index_of_link(pool, link) - slab->first;
            block = base + local * pool->eai_block_bytes;
        }
        EAI_ENTER(irq);
        uintptr_t next = head_after_pop(pool, head, eai_pool_read_link(block));
        bool taken = EAI_STORE_COND(&pool->eai_head, head, next), sound = true;
        if (EA_LIKELY(taken)) sound = mark_live(pool, base, local);
        EAI_LEAVE(irq);
        if (EA_UNLIKELY(!sound)) break;
        if (EA_LIKELY(taken)) return block;
    }
    count_refusal(pool);
    return NULL;
}

/* --- free ------------------------------------------------------------------------------------- */

ea_status_t ea_pool_free(pool_t *pool, void *ptr)
{
    unsigned char *base = pool->eai_base, *block = (unsigned char *)ptr;
    uintptr_t distance = (uintptr_t)block - (uintptr_t)base, head;
    uintptr_t local = index_at(pool, distance);
    link_t link = (link_t)(distance >> GRANULE_SHIFT);
    if (EA_UNLIKELY(!is_in_first(pool, distance, local) ||
                    (!EA_CFG_POOL_VALIDATE && ptr == NULL))) {
        if (ptr == NULL) return EA_OK;
        const eai_pool_slab_t *slab = eai_pool_slab_around(pool, ptr);
        if (slab == NULL) {
            count_refusal(pool);
            return EA_ERR_FOREIGN;
        }
        base = slab->base;
        local = index_at(pool, (uintptr_t)block - (uintptr_t)base);
        link = link_at(pool, slab->first + (index_t)local);
    }
    EAI_ENTER(irq);
    bool was_live = mark_free(pool, base, local);
    if (EA_LIKELY(was_live)) {
        do {
            head = EAI_LOAD(&pool->eai_head, EAI_RELAXED);
            eai_pool_write_link(block, link_of(pool, head));
        } while (!EAI_CAS(&pool->eai_head, head, head_after_push(pool, head, link)));
    }
    EAI_LEAVE(irq);
    if (EA_LIKELY(was_live)) return EA_OK;
    count_refusal(pool);
    return EA_ERR_DOUBLE_FREE;
}
