/* SPDX-License-Identifier: MIT
 *
 * Pool sets. The pools stand in an array by size of their blocks, and their blocks in one piece of
 * memory in the same order, so that a block's class is found by its address in a binary search:
 *
 *     pools   [tiny][small][medium] ...
 *     memory  [bits|tiny blocks][bits|small blocks][bits|medium blocks] ...
 *             ^ begin                                                     end ^
 *
 * S1  n_classes is 1 to EA_POOLSET_MAX_CLASSES, pools is aligned and pools_end = pools + n_classes.
 * S2  Block sizes ascend up to max_bytes: the search by size needs no other end.
 * S3  The pools' blocks lie between begin and end, in order, and do not overlap; a set has no slabs
 *     added.
 * S4  The strategy is one that init accepts.
 * What a damaged pointer would have to be to pass S1 and S3 is told by two fields, not by one.
 *
 * Waiting. Each class has its pool's wait queue. With EA_POOLSET_NEXT_LARGER a waiter of class c
 * can be served by a block of any class k >= c, so free in class k looks, after the pool has served
 * its own queue, at those of the smaller classes; and a waiter looks, after it has joined queue c,
 * at all classes from c up. Nobody sleeps beside a free block: as long as anybody waits in queue c,
 * there was a last time that one who joined it found every class from c up empty (else each who
 * joined had a block handed to the first, and the queue is empty); since then each block pushed in
 * class k was followed by a look at queue c that took a block of class k away or found none.
 *
 * Rejected: a hash of addresses (RAM for a search of three steps); one queue for the whole set (the
 * first that fits a freed block is then a search).
 */
#include "ealloc/poolset.h"

#include "base/mem.h"
#include "ealloc/pool_wait.h"
#include "stores/pool_internal.h"

typedef ea_poolset_t set_t;

/* --- counting --------------------------------------------------------------------------------- */

#define COUNT(set, counter)                                                                        \
    do {                                                                                           \
        EAI_ENTER(count_irq);                                                                      \
        EAI_COUNT(set, eai_counters.counter);                                                      \
        EAI_LEAVE(count_irq);                                                                      \
    } while (0)

/* --- finding ---------------------------------------------------------------------------------- */

/* The smallest class whose blocks hold size_bytes; NULL if there is none, or for 0 bytes. At most
 * EA_POOLSET_MAX_CLASSES steps of four instructions: most requests are small, and a binary search
 * takes twice as many a step. */
EA_INLINE ea_pool_t *pool_of_size(const set_t *set, size_t size_bytes)
{
    ea_pool_t *pool = set->eai_pools;

    if (EA_UNLIKELY(size_bytes - 1u >= set->eai_max_bytes))
        return NULL; /* 0 is the largest of all */
    while (ea_pool_block_bytes(pool) < size_bytes) pool++;
    return pool;
}

/* The class whose blocks ptr may point at: the last that begins at or below it. Whether a block
 * begins there its pool finds out. NULL if there is none. At most 4 steps. */
EA_INLINE ea_pool_t *pool_of_address(const set_t *set, const void *ptr)
{
    ea_pool_t *pool = set->eai_pools;
    uint32_t n = set->eai_n_classes;

    if (EA_UNLIKELY((uintptr_t)ptr - (uintptr_t)set->eai_begin >=
                    (uintptr_t)set->eai_end - (uintptr_t)set->eai_begin)) {
        return NULL;
    }
    while (n > 1) {
        uint32_t half = n / 2;
        if ((uintptr_t)pool[half].eai_base <= (uintptr_t)ptr) pool += half;
        n -= half;
    }
    return pool;
}

/* --- life ------------------------------------------------------------------------------------- */

static const ea_poolset_class_t default_classes[] = {
#define CLASS(name, label, size, n) {size, n},
    EA_POOLSET_DEFAULT_CLASSES(CLASS, )
#undef CLASS
};

/* What one class needs from an address aligned to EA_POOL_ALIGN on: no more, or one block more
 * would fit. 64 bits hold it. */
static uint64_t class_bytes(const ea_poolset_class_t *c)
{
    uint64_t bits = EA_CFG_POOL_VALIDATE ? ((uint64_t)c->n_blocks + 31u) / 32u * 4u : 0;
    uint64_t block = EAI_POOL_ROUND_UP((uint64_t)c->block_bytes, EAI_POOL_GRANULE);

    return EAI_POOL_ROUND_UP(bits, EA_POOL_ALIGN) + block * c->n_blocks;
}

size_t ea_poolset_bytes(const ea_poolset_class_t *classes, size_t n_classes)
{
    uint64_t sum =
        EA_POOL_ALIGN - 1u + EAI_POOL_ROUND_UP(n_classes * sizeof(ea_pool_t), EA_POOL_ALIGN);
    uint64_t below = 0;

    if (classes == NULL || n_classes == 0 || n_classes > EA_POOLSET_MAX_CLASSES) return 0;
    for (size_t i = 0; i < n_classes; i++) { /* at most EA_POOLSET_MAX_CLASSES steps */
        uint64_t block = EAI_POOL_ROUND_UP((uint64_t)classes[i].block_bytes, EAI_POOL_GRANULE);
        if (classes[i].n_blocks == 0 || block <= below) return 0;
        uint64_t bytes = EAI_POOL_ROUND_UP(class_bytes(&classes[i]), EA_POOL_ALIGN);
        if (bytes > SIZE_MAX - sum) return 0;
        sum += bytes;
        below = block;
    }
    return (size_t)sum;
}

static bool is_strategy(uint32_t strategy, const ea_poolset_heap_t *heap)
{
    const uint32_t known = EA_POOLSET_NEXT_LARGER | EA_POOLSET_WAIT | EA_POOLSET_HEAP;

    if ((strategy & ~known) != 0) return false;
    if ((strategy & EA_POOLSET_WAIT) != 0 && !EA_CFG_POOL_WAIT) return false;
    return (strategy & EA_POOLSET_HEAP) == 0 || heap != NULL;
}

static bool is_valid(const ea_poolset_options_t *options)
{
    const ea_poolset_heap_t *heap = options->heap;

    if (!is_strategy(options->strategy, heap)) return false;
    return (options->strategy & EA_POOLSET_HEAP) == 0 ||
           (heap->alloc != NULL && heap->free != NULL);
}

ea_status_t ea_poolset_init(set_t *set, void *mem, size_t size_bytes,
                            const ea_poolset_class_t *classes, size_t n_classes,
                            const ea_poolset_options_t *options)
{
    static const ea_poolset_options_t strict = {EA_POOLSET_STRICT, 0, NULL};

    if (classes == NULL && n_classes == 0) {
        classes = default_classes;
        n_classes = sizeof default_classes / sizeof default_classes[0];
    }
    if (options == NULL) options = &strict;
    size_t needed = ea_poolset_bytes(classes, n_classes);
    if (set == NULL || mem == NULL || needed == 0 || !is_valid(options)) return EA_ERR_INVALID;
    if (size_bytes > UINTPTR_MAX - (uintptr_t)mem) return EA_ERR_INVALID;
    if (size_bytes < needed) return EA_ERR_NO_MEMORY;

    memset(set, 0, sizeof *set);
    unsigned char *at = (unsigned char *)EAI_POOL_ROUND_UP((uintptr_t)mem, EA_POOL_ALIGN);
    ea_pool_t *pools = (ea_pool_t *)(void *)at;
    at += EAI_POOL_ROUND_UP(n_classes * sizeof(ea_pool_t), EA_POOL_ALIGN);
    set->eai_begin = at;
    for (size_t i = 0; i < n_classes; i++) { /* at most EA_POOLSET_MAX_CLASSES steps */
        size_t bytes = (size_t)class_bytes(&classes[i]);
        ea_status_t status = ea_pool_init(&pools[i], at, bytes, classes[i].block_bytes);
        if (status != EA_OK) return status;
        at += EAI_POOL_ROUND_UP(bytes, EA_POOL_ALIGN);
    }
    set->eai_end = at;
    set->eai_pools = pools;
    set->eai_pools_end = pools + n_classes;
    set->eai_strategy = options->strategy;
    set->eai_wait_us = options->wait_us;
    set->eai_heap = options->heap;
    set->eai_n_classes = (uint32_t)n_classes;
    set->eai_max_bytes = pools[n_classes - 1].eai_block_bytes;
    return EA_OK;
}

#if !EA_CFG_POOL_STATS
static void count_visit(void *context, void *block)
{
    (void)block;
    ++*(size_t *)context;
}
#endif

static size_t live_blocks(const ea_pool_t *pool)
{
#if EA_CFG_POOL_STATS
    ea_pool_stats_t stats;
    ea_pool_stats(pool, &stats);
    return stats.n_live;
#else
    ea_pool_cursor_t cursor = {0};
    size_t n = 0;
    /* Without counters and without validity bits nobody knows: taken for none. */
    return ea_pool_walk(pool, &cursor, SIZE_MAX, count_visit, &n) == EA_OK ? n : 0;
#endif
}

ea_status_t ea_poolset_deinit(set_t *set, size_t *n_live)
{
    size_t n = set->eai_counters.eai_n_heap_allocs - set->eai_counters.eai_n_heap_frees;

    for (uint32_t i = 0; i < set->eai_n_classes; i++) n += live_blocks(&set->eai_pools[i]);
    if (n_live != NULL) *n_live = n;
    if (n != 0) return EA_ERR_BUSY;
    for (uint32_t i = 0; i < set->eai_n_classes; i++) {
        (void)ea_pool_deinit(&set->eai_pools[i], NULL);
    }
    set->eai_n_classes = 0;
    set->eai_max_bytes = 0;
    set->eai_strategy = EA_POOLSET_STRICT;
    set->eai_end = set->eai_begin;
    return EA_OK;
}

/* --- alloc ------------------------------------------------------------------------------------ */

static bool takes_larger(const set_t *set)
{
    return (set->eai_strategy & EA_POOLSET_NEXT_LARGER) != 0;
}

#if EA_CFG_POOL_WAIT

/* Hand a block of `from`, if there is one, to the first that waits for one of `to`. Returns the
 * block if nobody waits any more. */
static EA_NOINLINE void *hand_over(set_t *set, ea_pool_t *from, ea_pool_t *to)
{
    void *block = eai_pool_take(from);
    if (block == NULL || !ea_waitq_hand_first(&to->eai_waiting, block)) return block;
    if (from != to) COUNT(set, eai_n_larger);
    return NULL;
}

/* A class below pool that somebody waits for, or NULL. */
EA_INLINE ea_pool_t *waited_for_below(set_t *set, ea_pool_t *pool)
{
    ea_pool_t *const first = set->eai_pools;
    while (pool != first) { /* at most EA_POOLSET_MAX_CLASSES steps */
        if (EA_UNLIKELY(is_waited_for(--pool))) return pool;
    }
    return NULL;
}

/* A block of pool was freed; its own class has been served. Repeats only when a task that had begun
 * to wait stopped before it was handed the block. */
static void serve_smaller(set_t *set, ea_pool_t *pool)
{
    ea_pool_t *to;
    while (EA_UNLIKELY((to = waited_for_below(set, pool)) != NULL)) {
        void *left = hand_over(set, pool, to);
        if (left == NULL) return;
        (void)ea_pool_free(pool, left);
    }
}

/* Join the queue of own, and see that those who wait there get what is free by now. */
static void *wait_for(set_t *set, ea_pool_t *own, uint64_t timeout_us)
{
    ea_pool_t *from = own, *end = takes_larger(set) ? set->eai_pools_end : own + 1;
    ea_waiter_t waiter;

    COUNT(set, eai_n_waits);
    ea_waiter_init(&waiter, ea_port_task_priority());
    ea_waitq_enter(&own->eai_waiting, &waiter);
    for (; from != end && is_waited_for(own); from++) { /* EA_POOLSET_MAX_CLASSES steps */
        void *left = hand_over(set, from, own);
        if (left == NULL) continue;
        (void)ea_pool_free(from, left); /* this task has been handed another by now */
        if (takes_larger(set)) serve_smaller(set, from);
        break;
    }
    return ea_waitq_sleep(&waiter, timeout_us) == EA_OK ? waiter.result : NULL;
}

#else

static void serve_smaller(set_t *set, ea_pool_t *pool)
{
    (void)set, (void)pool;
}

static void *wait_for(set_t *set, ea_pool_t *own, uint64_t timeout_us)
{
    (void)set, (void)own, (void)timeout_us;
    return NULL;
}

#endif

/* A block of pool, or, if the strategy says so, of a class above. */
static void *take_from(set_t *set, ea_pool_t *pool, const ea_pool_t *own)
{
    for (; pool <= own || (pool < set->eai_pools_end && takes_larger(set)); pool++) {
        void *block = ea_pool_alloc(pool); /* at most EA_POOLSET_MAX_CLASSES steps */
        if (block == NULL) continue;
        if (pool != own) COUNT(set, eai_n_larger);
        return block;
    }
    return NULL;
}

/* What alloc_slowly() is told. */
#define MAY_ASK_HEAP 1u
#define OWN_IS_EMPTY 2u /* the class was asked already */

static EA_NOINLINE void *alloc_slowly(set_t *set, ea_pool_t *own, size_t size_bytes, uint32_t how,
                                      uint64_t timeout_us)
{
    void *block = NULL;

    if (own != NULL) {
        /* Who is willing to wait does not overtake those who do. */
        if ((how & OWN_IS_EMPTY) != 0) {
            block = take_from(set, own + 1, own);
        } else if (timeout_us == 0) {
            block = take_from(set, own, own);
        }
        if (block == NULL && timeout_us != 0) block = wait_for(set, own, timeout_us);
    }
    if (block == NULL && (how & MAY_ASK_HEAP) != 0 && size_bytes != 0) {
        block = set->eai_heap->alloc(set->eai_heap->context, size_bytes);
        if (block != NULL) COUNT(set, eai_n_heap_allocs);
    }
    if (block == NULL) COUNT(set, eai_n_failures);
    return block;
}

/* The usual case: nobody waits for a block of the own class, and there is one. Else NULL, and *how
 * is what alloc_slowly() must know. */
EA_INLINE void *alloc_quickly(ea_pool_t *own, uint32_t *how)
{
    *how = 0;
    if (EA_UNLIKELY(own == NULL || is_waited_for(own))) return NULL;
    *how = OWN_IS_EMPTY;
    return ea_pool_alloc(own);
}

static uint32_t heap_flag(const set_t *set)
{
    return (set->eai_strategy & EA_POOLSET_HEAP) != 0 ? MAY_ASK_HEAP : 0;
}

void *ea_poolset_alloc(set_t *set, size_t size_bytes)
{
    ea_pool_t *own = pool_of_size(set, size_bytes);
    uint32_t how;
    void *block = alloc_quickly(own, &how);

    if (EA_LIKELY(block != NULL)) return block;
    bool waits = (set->eai_strategy & EA_POOLSET_WAIT) != 0;
    return alloc_slowly(set, own, size_bytes, how | heap_flag(set), waits ? set->eai_wait_us : 0);
}

void *ea_poolset_alloc_isr(set_t *set, size_t size_bytes)
{
    ea_pool_t *own = pool_of_size(set, size_bytes);
    uint32_t how;
    void *block = alloc_quickly(own, &how);

    if (EA_LIKELY(block != NULL)) return block;
    return alloc_slowly(set, own, size_bytes, how, 0);
}

#if EA_CFG_POOL_WAIT
void *ea_poolset_alloc_wait(set_t *set, size_t size_bytes, uint64_t timeout_us)
{
    ea_pool_t *own = pool_of_size(set, size_bytes);
    uint32_t how;
    void *block = alloc_quickly(own, &how);

    if (EA_LIKELY(block != NULL)) return block;
    return alloc_slowly(set, own, size_bytes, how | heap_flag(set), timeout_us);
}
#endif

/* --- free ------------------------------------------------------------------------------------- */

static EA_NOINLINE ea_status_t free_to_heap(set_t *set, void *ptr)
{
    if (ptr == NULL) return EA_OK;
    if ((set->eai_strategy & EA_POOLSET_HEAP) == 0) return EA_ERR_FOREIGN;
    ea_status_t status = set->eai_heap->free(set->eai_heap->context, ptr);
    if (status == EA_OK) COUNT(set, eai_n_heap_frees);
    return status;
}

/* pool: by the address; NULL: none. */
EA_INLINE ea_status_t free_to(set_t *set, ea_pool_t *pool, void *ptr)
{
    if (EA_UNLIKELY(pool == NULL)) return free_to_heap(set, ptr);
    if (!takes_larger(set)) return ea_pool_free(pool, ptr);
    ea_status_t status = ea_pool_free(pool, ptr);
    if (status == EA_OK) serve_smaller(set, pool);
    return status;
}

ea_status_t ea_poolset_free(set_t *set, void *ptr)
{
    return free_to(set, pool_of_address(set, ptr), ptr);
}

ea_status_t ea_poolset_free_sized(set_t *set, void *ptr, size_t size_bytes)
{
    ea_pool_t *pool = pool_of_address(set, ptr), *own;

    if (EA_LIKELY(pool != NULL)) {
        own = pool_of_size(set, size_bytes);
        if (own == NULL || own > pool || (own < pool && !takes_larger(set))) return EA_ERR_INVALID;
    }
    return free_to(set, pool, ptr);
}

/* --- numbers ---------------------------------------------------------------------------------- */

bool ea_poolset_owns(const set_t *set, const void *ptr)
{
    const ea_pool_t *pool = pool_of_address(set, ptr);

    return pool != NULL && ea_pool_owns(pool, ptr);
}

size_t ea_poolset_usable_bytes(const set_t *set, const void *ptr)
{
    const ea_pool_t *pool = pool_of_address(set, ptr);

    return pool != NULL && ea_pool_owns(pool, ptr) ? ea_pool_block_bytes(pool) : 0;
}

/* Without a division of 64 bits; part is at most whole. */
static uint32_t permille(size_t part, size_t whole)
{
    if (whole == 0) return 0;
    if (whole <= SIZE_MAX / 1000u) return (uint32_t)(part * 1000u / whole);
    return (uint32_t)(part / (whole / 1000u));
}

void ea_poolset_stats(const set_t *set, ea_poolset_stats_t *stats)
{
    const eai_poolset_counters_t *counters = &set->eai_counters;

    memset(stats, 0, sizeof *stats);
    stats->n_classes = set->eai_n_classes;
    for (uint32_t i = 0; i < set->eai_n_classes; i++) { /* at most EA_POOLSET_MAX_CLASSES steps */
        ea_pool_stats_t of_class;
        ea_pool_stats(&set->eai_pools[i], &of_class);
        stats->total_bytes += of_class.n_blocks * of_class.block_bytes;
        stats->live_bytes += of_class.n_live * of_class.block_bytes;
        stats->n_live += of_class.n_live;
        stats->n_allocs += of_class.n_allocs;
    }
    stats->n_larger = EAI_LOAD(&counters->eai_n_larger, EAI_RELAXED);
    stats->n_waits = EAI_LOAD(&counters->eai_n_waits, EAI_RELAXED);
    stats->n_failures = EAI_LOAD(&counters->eai_n_failures, EAI_RELAXED);
    /* Frees first: what is freed in between was allocated before. */
    size_t n_heap_frees = EAI_LOAD(&counters->eai_n_heap_frees, EAI_ACQUIRE);
    stats->n_heap_allocs = EAI_LOAD(&counters->eai_n_heap_allocs, EAI_RELAXED);
    stats->n_heap_live = stats->n_heap_allocs - n_heap_frees;
    stats->used_permille = permille(stats->live_bytes, stats->total_bytes);
}

ea_status_t ea_poolset_class_stats(const set_t *set, size_t class_index,
                                   ea_poolset_class_stats_t *stats)
{
    ea_pool_stats_t of_class;

    memset(stats, 0, sizeof *stats);
    if (class_index >= set->eai_n_classes) return EA_ERR_NOT_FOUND;
    ea_pool_stats(&set->eai_pools[class_index], &of_class);
    stats->block_bytes = of_class.block_bytes;
    stats->n_blocks = of_class.n_blocks;
    stats->n_live = of_class.n_live;
    stats->n_peak = of_class.n_peak;
    stats->n_allocs = of_class.n_allocs;
    stats->n_failures = of_class.n_failures;
    stats->used_permille = permille(of_class.n_live, of_class.n_blocks);
    return EA_OK;
}

/* --- check ------------------------------------------------------------------------------------ */

static ea_status_t report_broken(ea_pool_report_t *report, const char *invariant, const void *where)
{
    if (report != NULL) {
        report->invariant = invariant;
        report->where = where;
    }
    return EA_ERR_CORRUPT;
}

ea_status_t ea_poolset_check(const set_t *set, ea_pool_report_t *report)
{
    uintptr_t pools = (uintptr_t)set->eai_pools, at = (uintptr_t)set->eai_begin;
    uint32_t n = set->eai_n_classes, below = 0;

    if (report != NULL) memset(report, 0, sizeof *report);
    if (n == 0 || n > EA_POOLSET_MAX_CLASSES || pools == 0 || pools % _Alignof(ea_pool_t) != 0 ||
        (uintptr_t)set->eai_pools_end - pools != n * sizeof(ea_pool_t)) {
        return report_broken(report, "S1 the set has as many pools as it says", set);
    }
    for (uint32_t i = 0; i < n; i++) { /* at most EA_POOLSET_MAX_CLASSES steps */
        const ea_pool_t *pool = &set->eai_pools[i];
        uintptr_t base = (uintptr_t)pool->eai_base, end = (uintptr_t)set->eai_end;
        if (pool->eai_block_bytes <= below ||
            (i == n - 1 && pool->eai_block_bytes != set->eai_max_bytes)) {
            return report_broken(report, "S2 block sizes ascend to the largest", pool);
        }
        if (base < at || base > end || base % EA_POOL_ALIGN != 0 ||
            (uint64_t)pool->eai_n_blocks * pool->eai_block_bytes > end - base ||
            base - at < EAI_POOL_BITS_BYTES(pool->eai_n_blocks) || pool->eai_slabs != NULL) {
            return report_broken(report, "S3 the blocks of each class lie in the set's memory",
                                 pool);
        }
        below = pool->eai_block_bytes;
        at = base + (uintptr_t)pool->eai_n_blocks * pool->eai_block_bytes;
        ea_status_t status = ea_pool_check(pool, report);
        if (status != EA_OK) return status;
    }
    if (!is_strategy(set->eai_strategy, set->eai_heap)) {
        return report_broken(report, "S4 the strategy is one there is", set);
    }
    return EA_OK;
}
