/* SPDX-License-Identifier: MIT
 *
 * Pools: alloc and free. pool_slabs.c holds their life and their slabs, pool_check.c what looks at
 * them.
 *
 * A slab's blocks lie side by side; their bits, a word for 32 blocks, grow down from the first one:
 *
 *     [header, if added] [bits 63..32] [bits 31..0] [block 0] [block 1] ... [block n-1]
 *                                                   ^ base
 *
 * Blocks 0 to fresh-1 have been handed out before. Of these the free ones form a list: the head
 * word in the control structure holds a link to the first, and each one's first word a link to the
 * next. A link is the distance from the first slab's base, so an address is one addition away;
 * blocks of added slabs continue where the slab before them ends. All ones means the end. Alloc
 * takes from the list, and a fresh block only if the list is empty: creation touches no block, and
 * fresh is also the largest number of blocks ever live.
 *
 *     head    [tag ......... | link]      the tag only where compare-and-swap decides
 *
 * Invariants, while no call is under way
 *   P1 the constants agree with each other
 *   P2 slabs number their blocks without gaps
 *   P3 fresh is at most the number of blocks
 *   P4 every link leads to the beginning of a block with an index below fresh
 *   P5 the lists end
 *   P6 a block's bit is set exactly if the block is handed out; if not, and its index is below
 *      fresh, it is on a list once
 *   P7 the counters say what the bits say
 *
 * Why stale links do no harm. Alloc reads the head H, leading to block A; reads A's link L; and
 * stores a head that leads to L if the head is still H. In between others may have taken A, and its
 * owner may be writing to it, so L may be anything.
 *   - Nothing is done with L but building that head, and the store happens only if the head is H.
 *   - If anybody took A since H was read, the head is not H. With load-linked/store-conditional on
 *     one core: who took A stored to the head, and did so in an exception, which clears the
 *     monitor, or in a thread that ran after one. Masked: H is compared and L read in one section.
 *     With compare-and-swap: taking a block from the list counts the tag up, nothing ever counts it
 *     down, so H cannot come back until it has wrapped (see pool.h).
 *   - So if the store happens A was on the list all the time, nobody wrote to it, and L is the link
 *     its last owner stored in free before he published A with release; the head was read with
 *     acquire, and every store to it since is a read-modify-write, so L was visible.
 * Free needs none of this: it reads nothing in a block and its store is right whenever the head is
 * what it linked to, however often it changed. That is why only alloc counts.
 *
 * Why NULL is right. Alloc returns it after it found, in this order, no fresh block, nothing on the
 * list of the unlocked calls, and the list empty. The first two never come back while a call is
 * under way, so at the last of the three reads there was no free block.
 *
 * Why a block's bit is right. Alloc sets it after it won the block, free clears it before it
 * publishes it, both in one access that also tells what it was. Two contexts that free one block
 * both clear the bit, and only one finds it set.
 *
 * Complexity: constant; a call repeats only what another context's call between two of its accesses
 * undid, and each repetition means that one got through.
 *
 * Rejected: a count of free blocks in the head (bits of the tag); a tag in each link (a word a
 * block); indexes instead of distances (a multiplication before every access to a block); a list of
 * all blocks made by init (O(n), and a static pool would need init).
 */
#include "stores/pool_internal.h"

/* --- bits and counters ------------------------------------------------------------------------ */

static EA_NOINLINE void count_refusal(pool_t *pool)
{
    uint8_t n = EAI_LOAD(&pool->eai_n_refused, EAI_RELAXED);
    if (n < UINT8_MAX) EAI_STORE(&pool->eai_n_refused, (uint8_t)(n + 1u), EAI_RELAXED);
}

/* The block was taken: its bit and the counter say so. false: the bit did before, so what led to
 * the block is damaged. */
EA_INLINE bool mark_live(pool_t *pool, unsigned char *base, uintptr_t local)
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
EA_INLINE bool mark_free(pool_t *pool, unsigned char *base, uintptr_t local)
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

/* A block from the list of the unlocked calls; NULL if there is none. No tag is needed: while this
 * runs no unlocked call does, so blocks only leave that list, and no head comes back. */
static void *take_local(pool_t *pool)
{
#if EAI_POOL_LOCAL
    unsigned char *block = EAI_LOAD(&pool->eai_local, EAI_ACQUIRE);
    while (block != NULL) {
        uintptr_t local = index_at(pool, (uintptr_t)block - (uintptr_t)pool->eai_base);
        if (local >= pool->eai_n_blocks) break; /* damaged */
        unsigned char *next = eai_pool_read_pointer(pool, block);
        if (EAI_CAS_POINTER(&pool->eai_local, &block, next)) {
            return mark_live(pool, pool->eai_base, local) ? block : NULL;
        }
    }
#endif
    (void)pool;
    return NULL;
}

/* Nothing was found on the list and no block is fresh. Returns AGAIN if a block was given back
 * meanwhile: the pool itself, which is none of its blocks. */
#define AGAIN(pool) ((void *)(pool))
static EA_NOINLINE void *alloc_last(pool_t *pool)
{
    void *block = take_local(pool);
    if (block != NULL) return block;
    if (!is_end(pool, link_of(pool, EAI_LOAD(&pool->eai_head, EAI_SEQ_CST)))) return AGAIN(pool);
    count_failure(pool);
    return NULL;
}

/* Repeats only when another context's call got through in between. */
void *ea_pool_alloc(pool_t *pool)
{
    for (;;) {
        uintptr_t head = EAI_LOAD_LINKED(&pool->eai_head); /* pairs with release in free */
        pool_link_t link = link_of(pool, head);
        place_t place = {pool->eai_base, index_of_link(pool, link)};
        unsigned char *block = place.base + ((size_t)link << LINK_SHIFT);
        bool is_fresh = false, taken, sound, is_cut = false;
        index_t fresh = 0;
        if (EA_UNLIKELY(!is_in_first(pool, (uintptr_t)link << LINK_SHIFT, place.local) ||
                        (!EA_CFG_POOL_VALIDATE && is_end(pool, link)))) {
            is_fresh = is_end(pool, link);
            fresh = EAI_LOAD(&pool->eai_fresh, EAI_SEQ_CST);
            place = place_of(pool, is_fresh ? fresh : index_of_link(pool, link));
            if (place.base == NULL) {
                if (!is_fresh) break; /* the link leads nowhere */
                void *last = alloc_last(pool);
                if (last == AGAIN(pool)) continue;
                return last;
            }
            block = block_at(pool, place);
        }
        EAI_ENTER(irq);
        if (EA_UNLIKELY(is_fresh)) {
            taken = EAI_CAS_U32(&pool->eai_fresh, fresh, fresh + 1u);
            EAI_PAUSE(irq);
            if (EA_UNLIKELY(!taken)) goto lost;
        } else {
            pool_link_t link_below = eai_pool_read_link(pool, block);
            if (EA_CFG_ENCODE_LINKS && EA_UNLIKELY(link_below > link_mask(pool))) {
                /* Damaged: the list ends here, if the block is still ours. */
                link_below = link_mask(pool);
                is_cut = true;
            }
            uintptr_t next = head_after_pop(pool, head, link_below);
            if (EA_UNLIKELY(!EAI_STORE_COND(&pool->eai_head, head, next))) goto lost;
        }
        sound = mark_live(pool, place.base, place.local);
        EAI_LEAVE(irq);
        if (EA_UNLIKELY(!sound)) break;
        if (EA_UNLIKELY(is_cut)) count_refusal(pool);
        return block;
    lost:
        EAI_LEAVE(irq);
    }
    count_refusal(pool);
    return NULL;
}

/* --- free ------------------------------------------------------------------------------------- */

/* Repeats only when a task that had begun to wait stopped before it was handed the block. */
ea_status_t ea_pool_free(pool_t *pool, void *ptr)
{
    do {
        unsigned char *base = pool->eai_base, *block = (unsigned char *)ptr;
        uintptr_t distance = (uintptr_t)block - (uintptr_t)base, head;
        uintptr_t local = index_at(pool, distance);
        pool_link_t link = (pool_link_t)(distance >> LINK_SHIFT);
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
            const pool_link_t mask = link_mask(pool);
            do {
                head = EAI_LOAD(&pool->eai_head, EAI_RELAXED);
                eai_pool_write_link(pool, block, (pool_link_t)head & mask);
            } while (!PUSH(&pool->eai_head, head, head_after_push(mask, head, link)));
        }
        EAI_LEAVE(irq);
        if (EA_UNLIKELY(!was_live)) {
            count_refusal(pool);
            return EA_ERR_DOUBLE_FREE;
        }
    } while (EA_UNLIKELY(is_waited_for(pool)) && (ptr = eai_pool_offer(pool)) != NULL);
    return EA_OK;
}
