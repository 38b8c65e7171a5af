/* SPDX-License-Identifier: MIT
 *
 * Pools: what looks at them and changes nothing. The invariants P1 to P7 stand on top of pool.c.
 */
#include "stores/pool_internal.h"

void ea_pool_stats(const pool_t *pool, ea_pool_stats_t *stats)
{
    ea_pool_stats_t s = {0};
    s.block_bytes = pool->eai_block_bytes;
    s.n_blocks = eai_pool_total(pool);
    s.n_peak = EAI_LOAD(&pool->eai_fresh, EAI_RELAXED);
    s.n_refused = EAI_LOAD(&pool->eai_n_refused, EAI_RELAXED);
    s.n_slabs = pool->eai_n_blocks != 0;
    const eai_pool_slab_t *slab = EAI_LOAD(&pool->eai_slabs, EAI_ACQUIRE); /* pairs with add_slab */
    for (; slab != NULL; slab = EAI_LOAD(&slab->next, EAI_ACQUIRE)) s.n_slabs++;
#if EA_CFG_POOL_STATS
    /* Frees first: each was preceded by an alloc, so the difference is not negative. */
    s.n_frees = EAI_LOAD(&pool->eai_counters.eai_n_frees, EAI_ACQUIRE);
    s.n_allocs = EAI_LOAD(&pool->eai_counters.eai_n_allocs, EAI_RELAXED);
    s.n_failures = EAI_LOAD(&pool->eai_counters.eai_n_failures, EAI_RELAXED);
    s.n_live = s.n_allocs - s.n_frees;
#endif
    *stats = s;
}

ea_status_t ea_pool_walk(const pool_t *pool, ea_pool_cursor_t *cursor, size_t max_steps,
                         ea_pool_visit_t visit, void *context)
{
    if (!EA_CFG_POOL_VALIDATE) return EA_ERR_INVALID;
    for (; max_steps > 0; max_steps--) {
        if (cursor->eai_index >= EAI_LOAD(&pool->eai_fresh, EAI_RELAXED)) return EA_OK;
        place_t place = place_of(pool, cursor->eai_index);
        if (place.base == NULL) return EA_OK;
        uint32_t bits = EAI_LOAD(eai_pool_bits(place.base, place.local), EAI_ACQUIRE);
        cursor->eai_index++;
        if ((bits & eai_pool_bit(place.local)) != 0) visit(context, block_at(pool, place));
    }
    return EA_ERR_AGAIN;
}

/* --- check ------------------------------------------------------------------------------------ */

static ea_status_t broken(ea_pool_report_t *report, const char *invariant, const void *where)
{
    if (report != NULL) {
        report->invariant = invariant;
        report->where = where;
    }
    return EA_ERR_CORRUPT;
}

/* P1: the constants agree with each other, so that addresses made of them lie in the slab. */
static bool constants_agree(const pool_t *pool)
{
    uint32_t block = pool->eai_block_bytes;
    if (pool->eai_base == NULL || pool->eai_n_blocks == 0 || block == 0) return false;
    if (block % EAI_POOL_GRANULE != 0 || pool->eai_align_log2 >= 31) return false;
    if ((uintptr_t)pool->eai_base % ((uintptr_t)1 << pool->eai_align_log2) != 0) return false;
    if (pool->eai_rotate != EAI_POOL_ROTATE(block)) return false;
    if (pool->eai_inverse * (link_at(pool, 1) >> pool->eai_rotate) != 1u) return false;
    if ((uint64_t)block * pool->eai_n_blocks > EAI_POOL_MAX_BYTES) return false;
    if (pool->eai_no_link_bits != EAI_POOL_NO_LINK_BITS(block, pool->eai_n_blocks)) return false;
#if EAI_POOL_LOCAL
    if (pool->eai_mask != UINT32_MAX >> pool->eai_no_link_bits) return false;
#endif
    uintptr_t seal = (uintptr_t)pool->eai_seal;
    if (seal == eai_pool_seal(pool)) return true;
    uintptr_t end = (uintptr_t)pool->eai_base + (uintptr_t)pool->eai_n_blocks * block;
    return seal == end - pool->eai_align_log2 && pool->eai_slabs == NULL; /* as it was defined */
}

/* P2: the slabs number their blocks without gaps. */
static bool slabs_are_sound(const pool_t *pool, const void **where)
{
    uintptr_t first = pool->eai_n_blocks, align = (uintptr_t)1 << pool->eai_align_log2;
    unsigned n_slabs = 1;
    for (const eai_pool_slab_t *slab = pool->eai_slabs; slab != NULL; slab = slab->next) {
        *where = slab;
        if ((uintptr_t)slab % sizeof(void *) != 0 || ++n_slabs > EA_CFG_POOL_SLABS) return false;
        if (slab->seal != eai_pool_slab_seal(slab)) return false;
        if (slab->first != first || slab->n_blocks == 0) return false;
        if ((uintptr_t)slab->base % align != 0) return false;
        first += slab->n_blocks;
        if ((uint64_t)first * link_at(pool, 1) > link_mask(pool)) return false;
    }
    return true;
}

/* P4 to P6 for one block of a list, the one after n_free others. NULL: they hold. */
static const char *broken_on_list(const pool_t *pool, uintptr_t index, uint32_t n_free)
{
    uint32_t fresh = pool->eai_fresh;
    place_t place = place_of(pool, index);
    if (place.base == NULL || index >= fresh) return "P4 links lead to blocks handed out before";
    if (n_free >= fresh) return "P5 the lists end";
#if EA_CFG_POOL_VALIDATE
    uint32_t bits = *eai_pool_bits(place.base, place.local);
    if ((bits & eai_pool_bit(place.local)) != 0) return "P6 no block on a list is live";
#endif
    return NULL;
}

ea_status_t ea_pool_check(const pool_t *pool, ea_pool_report_t *report)
{
    const void *where = pool;
    if (report != NULL) *report = (ea_pool_report_t){NULL, NULL};
    if (!constants_agree(pool)) return broken(report, "P1 the constants agree", pool);
    if (!slabs_are_sound(pool, &where)) return broken(report, "P2 slabs follow each other", where);
    uint32_t fresh = pool->eai_fresh, n_free = 0;
    if (fresh > eai_pool_total(pool)) return broken(report, "P3 fresh is within the slabs", pool);

    const char *what;
    pool_link_t link = link_of(pool, pool->eai_head);
    for (; !is_end(pool, link); n_free++) {
        uintptr_t index = index_of_link(pool, link);
        if ((what = broken_on_list(pool, index, n_free)) != NULL)
            return broken(report, what, where);
        unsigned char *block = block_at(pool, place_of(pool, index));
        where = block;
        link = eai_pool_read_link(pool, block);
    }
#if EAI_POOL_LOCAL
    unsigned char *block = pool->eai_local;
    for (; block != NULL; n_free++) {
        uintptr_t index = index_at(pool, (uintptr_t)block - (uintptr_t)pool->eai_base);
        if (index >= pool->eai_n_blocks) index = UINTPTR_MAX;
        if ((what = broken_on_list(pool, index, n_free)) != NULL)
            return broken(report, what, where);
        where = block;
        block = eai_pool_read_pointer(pool, block);
    }
#endif
#if EA_CFG_POOL_VALIDATE
    size_t n_bits = 0;
    for (index_t i = 0; i < eai_pool_total(pool); i++) {
        place_t place = place_of(pool, i);
        if ((*eai_pool_bits(place.base, place.local) & eai_pool_bit(place.local)) != 0) n_bits++;
    }
    if (n_bits + n_free != fresh)
        return broken(report, "P6 every block is live or on the list", pool);
#endif
#if EA_CFG_POOL_STATS
    if (pool->eai_counters.eai_n_allocs - pool->eai_counters.eai_n_frees != fresh - n_free) {
        return broken(report, "P7 the counters agree with the blocks", pool);
    }
#endif
    return EA_OK;
}
