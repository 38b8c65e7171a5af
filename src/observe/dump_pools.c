/* SPDX-License-Identifier: MIT
 *
 * What a dump says of pools, and of a block's tag. The set's arrays are followed where they may be
 * read, a pool where its constants match its seal; which blocks live their validity bits say or,
 * without them, their tags.
 */
#include "memory/allocator_internal.h"
#include "observe/dump_internal.h"
#include "stores/pool_internal.h"

typedef ea_dump_t dump_t;
typedef eai_dump_sight_t sight_t;

#if EAI_TAGGED
void eai_dump_look_at_tag(const alloc_t *a, const void *where, const char *payload, size_t usable,
                          sight_t *sight)
{
    const eai_tag_t *tag = where;
    eai_label_t label;
    eai_finding_t finding = {EA_GUARD_NONE, NULL, 0};
    bool live = eai_guard_label(&a->eai_guard, tag, payload, &label);
    sight->eai_owner = label.owner;
    sight->eai_site = label.site;
    sight->eai_birth = label.birth;
    if (live && (label.flags & EAI_LABEL_INTERNAL) != 0) sight->eai_state = EA_DUMP_INTERNAL;
    ea_guard_kind_t kind = eai_guard_check(&a->eai_guard, tag, payload, usable, &finding);
    if (kind == EA_GUARD_NONE) {
        sight->eai_requested = eai_guard_request_bytes(&a->eai_guard, tag, payload, usable);
    } else if (kind == EA_GUARD_DOUBLE_FREE) {
        sight->eai_state = EA_DUMP_WAITING;
    } else {
        sight->eai_finding = (uint8_t)kind;
        sight->eai_requested = finding.request;
        sight->eai_first_bad = finding.first_bad;
    }
}
#endif

/* --- pools ------------------------------------------------------------------------------------ */

#if EA_CFG_ALLOC_POOLS
/* Do the constants of a pool match its seal, and lie its first blocks where may be read? */
static ea_dump_trouble_t trouble_of_pool(const dump_t *d, const ea_pool_t *pool)
{
    uintptr_t seal = (uintptr_t)pool->eai_seal, base = (uintptr_t)pool->eai_base;
    uint64_t bytes = (uint64_t)pool->eai_n_blocks * pool->eai_block_bytes;
    bool as_defined = seal == base + (uintptr_t)bytes - pool->eai_align_log2 &&
                      pool->eai_slabs == NULL && pool->eai_align_log2 < 31;
    if (seal != eai_pool_seal(pool) && !as_defined) return EA_DUMP_SEAL;
    size_t below = EAI_POOL_BITS_BYTES((size_t)pool->eai_n_blocks);
    if (base < below || bytes > SIZE_MAX - below || base % sizeof(uint32_t) != 0 ||
        pool->eai_block_bytes == 0 ||
        !eai_dump_is_readable(d, (const char *)base - below, (size_t)bytes + below))
        return EA_DUMP_RANGE;
    return (ea_dump_trouble_t)0;
}

static const ea_pool_t *pool_number(const dump_t *d, uint32_t k)
{
    return &d->eai_allocator->eai_pools->eai_pools[k];
}

eai_dump_pool_t eai_dump_pool(dump_t *d)
{
    const ea_poolset_t *set = d->eai_allocator->eai_pools;
    uint32_t k = d->eai_index;
    if (set == NULL) return EAI_DUMP_NO_POOL;
    if (!eai_dump_is_object(d, set, sizeof *set) || set->eai_n_classes > EA_POOLSET_MAX_CLASSES ||
        !eai_dump_is_object(d, set->eai_pools, set->eai_n_classes * sizeof(ea_pool_t))) {
        eai_dump_put_trouble(d, EA_DUMP_RANGE, set, "pool set");
        return EAI_DUMP_NO_POOL;
    }
    if (k >= set->eai_n_classes) return EAI_DUMP_NO_POOL;
    const ea_pool_t *pool = pool_number(d, k);
    ea_dump_trouble_t trouble = trouble_of_pool(d, pool);
    eai_dump_open(d, EAI_RECORD_POOL, 7);
    eai_dump_put_u(d, k);
    eai_dump_put_address(d, pool->eai_base);
    eai_dump_put_u(d, pool->eai_block_bytes);
    eai_dump_put_u(d, pool->eai_n_blocks);
    eai_dump_put_u(d, EAI_LOAD(&((ea_pool_t *)pool)->eai_fresh, EAI_RELAXED));
#if EA_CFG_POOL_STATS
    eai_dump_put_u(d, pool->eai_counters.eai_n_allocs);
    eai_dump_put_u(d, pool->eai_counters.eai_n_failures);
#else
    eai_dump_put_null(d);
    eai_dump_put_null(d);
#endif
    d->eai_index++;
    d->eai_inner = 0;
    if (trouble == 0) return EAI_DUMP_ITS_BLOCKS;
    eai_dump_put_trouble(d, trouble, pool, "pool");
    d->eai_tags_before = UINT32_MAX; /* where those of later classes stand is not known */
    return EAI_DUMP_NEXT_POOL;
}

#if EAI_TAGGED
/* The tag of a block; NULL: it may not be read, or is one of a block never handed out. */
static const eai_tag_t *tag_of_pool_block(const dump_t *d, uint32_t index)
{
    const eai_tag_t *tags = d->eai_allocator->eai_pool_tags, *tag;
    const eai_tag_t before = {{0}};
    if (d->eai_tags_before == UINT32_MAX) return NULL;
    tag = (const eai_tag_t *)((uintptr_t)tags +
                              ((uintptr_t)d->eai_tags_before + index) * sizeof(eai_tag_t));
    if (!eai_dump_is_object(d, tags, sizeof *tags) || !eai_dump_is_object(d, tag, sizeof *tag))
        return NULL;
    return memcmp(tag, &before, sizeof before) == 0 ? NULL : tag;
}
#endif

/* Is the block handed out? Where pools keep no bits, its tag says so. */
static bool look_at_pool_block(const dump_t *d, const ea_pool_t *pool, uint32_t index,
                               sight_t *sight)
{
    char *payload = (char *)pool->eai_base + (size_t)index * pool->eai_block_bytes;
    bool live = false;
    (void)d;
    *sight = (sight_t){.eai_begin = payload,
                       .eai_bytes = pool->eai_block_bytes,
                       .eai_requested = pool->eai_block_bytes,
                       .eai_state = EA_DUMP_USED};
#if EA_CFG_POOL_VALIDATE
    const uint32_t *bits = (const uint32_t *)eai_pool_bits(pool->eai_base, index);
    live = (EAI_LOAD((uint32_t *)bits, EAI_ACQUIRE) & eai_pool_bit(index)) != 0; /* with alloc */
    if (!live) return false;
#endif
#if EAI_TAGGED
    const eai_tag_t *tag = tag_of_pool_block(d, index);
    if (tag == NULL) return live;
    eai_dump_look_at_tag(d->eai_allocator, tag, payload, pool->eai_block_bytes, sight);
    live |= sight->eai_state == EA_DUMP_USED && sight->eai_finding == 0;
#endif
    return live;
}

#define POOL_BLOCKS_A_STEP 8u

bool eai_dump_pool_blocks(dump_t *d)
{
    const ea_pool_t *pool = pool_number(d, d->eai_index - 1u);
    uint32_t fresh = EAI_LOAD(&((ea_pool_t *)pool)->eai_fresh, EAI_RELAXED);
    uint32_t n = fresh < pool->eai_n_blocks ? fresh : pool->eai_n_blocks;
    for (unsigned i = 0; i < POOL_BLOCKS_A_STEP && d->eai_inner < n; i++) {
        sight_t *s = &d->eai_sights[0];
        if (d->eai_options->is_live) eai_lock((alloc_t *)d->eai_allocator);
        bool live = look_at_pool_block(d, pool, d->eai_inner++, s);
        if (d->eai_options->is_live) eai_unlock((alloc_t *)d->eai_allocator);
        if (!live) continue;
        eai_dump_open(d, EAI_RECORD_POOL_BLOCK, s->eai_finding != 0 ? 8 : 6);
        eai_dump_put_address(d, s->eai_begin);
        eai_dump_put_u(d, s->eai_state);
        eai_dump_put_u(d, s->eai_requested);
        eai_dump_put_u(d, s->eai_owner);
        eai_dump_put_address(d, s->eai_site);
        eai_dump_put_u(d, s->eai_birth);
        if (s->eai_finding == 0) continue;
        eai_dump_put_u(d, s->eai_finding);
        eai_dump_put_address(d, s->eai_first_bad);
    }
    if (d->eai_inner < n) return true;
    if (d->eai_tags_before != UINT32_MAX) d->eai_tags_before += pool->eai_n_blocks;
    return false;
}
#endif
