/* SPDX-License-Identifier: MIT
 *
 * The allocator's life, its regions and its pools. A slot is published under its lock and the
 * allocator's; readers without a lock see whole words and ask again under the slot's lock.
 */
#include "ealloc/version.h"
#include "memory/allocator_internal.h"
#if EA_CFG_ALLOC_POOLS
#include "stores/pool_internal.h"
#endif

/* --- order ------------------------------------------------------------------------------------ */

/* How sorry we would be to spend this region on a request that asks for nothing special. */
static uint32_t scarcity(const slot_t *slot)
{
    uint32_t scarce = EAI_PEEK(&slot->eai_capabilities) & EA_CAPS_SCARCE;
    uint8_t policy = EAI_PEEK(&slot->eai_policy);
    uint32_t n = policy == EA_POLICY_FAST || policy == EA_POLICY_LOW_FRAGMENTATION ? 1u : 0u;
    while (scarce) { /* bound: 32 */
        scarce &= scarce - 1u;
        n++;
    }
    return n;
}

static bool comes_before(const slot_t *slot, const slot_t *other)
{
    uint32_t one = scarcity(slot), two = scarcity(other);
    if (one != two) return one < two;
    uint8_t high = EAI_PEEK(&slot->eai_priority), low = EAI_PEEK(&other->eai_priority);
    if (high != low) return high > low;
    return EAI_PEEK(&slot->eai_serial) < EAI_PEEK(&other->eai_serial);
}

/* A slot without a heap is for others again. Those that came later move up, so that the serials in
 * use are 1 to the number of slots in use. The allocator's lock is held. */
static void vacate(alloc_t *a, slot_t *slot)
{
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++) {
        uint8_t other = EAI_PEEK(&a->eai_slots[i].eai_serial);
        if (other > slot->eai_serial) EAI_POKE(&a->eai_slots[i].eai_serial, (uint8_t)(other - 1u));
    }
    EAI_POKE(&slot->eai_serial, (uint8_t)0);
    EAI_POKE(&slot->eai_end, slot->eai_begin);
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++) eai_seal_slot(&a->eai_slots[i]);
}

/* Write the order of the slots in use, and what hangs on it. The allocator's lock is held. */
static void reorder(alloc_t *a)
{
    uint8_t order[EA_CFG_ALLOC_REGIONS], n = 0;
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++) {
        const slot_t *slot = &a->eai_slots[i];
        uint8_t k = n;
        if (!eai_is_there(slot)) continue;
        while (k > 0 && comes_before(slot, &a->eai_slots[order[k - 1u]])) {
            order[k] = order[k - 1u];
            k--;
        }
        order[k] = i;
        n++;
    }
    for (uint8_t k = 0; k < n; k++) EAI_POKE(&a->eai_order[k], order[k]);
    EAI_POKE(&a->eai_n_regions, n);
    bool ordinary = n != 0 && EAI_PEEK(&a->eai_slots[order[0]].eai_is_ordinary);
    EAI_POKE(&a->eai_first, ordinary ? order[0] : (uint8_t)EAI_NO_PLACE);
    eai_seal_order(a);
}

/* The sum of what can be in use has changed. */
static void count_total(alloc_t *a)
{
    (void)a;
#if EA_CFG_ALLOC_PRESSURE
    size_t total = 0;
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++) {
        slot_t *slot = &a->eai_slots[i];
        ea_heap_stats_t stats = {0};
        (void)eai_lock_slot(a, slot, false);
        if (eai_is_there(slot)) eai_stats_of(slot, &stats);
        eai_unlock_slot(a, slot);
        total += stats.total_bytes;
    }
#if EA_CFG_ALLOC_POOLS
    if (a->eai_pools) {
        ea_poolset_stats_t stats;
        ea_poolset_stats(a->eai_pools, &stats);
        total += stats.total_bytes;
    }
#endif
    EAI_POKE(&a->eai_total_bytes, total);
    eai_watch(a);
#endif
}

#if EA_CFG_ALLOC_PRESSURE
void eai_watch(alloc_t *a)
{
    size_t used = EAI_PEEK(&a->eai_used_bytes), total = EAI_PEEK(&a->eai_total_bytes);
    uint64_t now = ea_port_time_us();
    if (!ea_pressure_update(&a->eai_pressure, used, total, now)) return;
#if EA_CFG_ALLOC_REPORT
    const ea_event_t event = {.time_us = now,
                              .kind = EA_EVENT_PRESSURE,
                              .level = (uint8_t)ea_pressure_level(&a->eai_pressure),
                              .size_bytes = used,
                              .where = &a->eai_pressure};
    eai_emit(a, false, &event);
#endif
}

ea_pressure_t *ea_allocator_pressure(alloc_t *a)
{
    return &a->eai_pressure;
}
#endif

/* --- life ------------------------------------------------------------------------------------- */

/* What `ealloc inspect` needs beside the types' debug information to make sense of a core. It
 * stands in the debug information alone. */
enum eai_layout {
    EAI_LAYOUT_LIBRARY = EA_VERSION_MAJOR << 16 | EA_VERSION_MINOR << 8 | EA_VERSION_PATCH,
    EAI_LAYOUT_ALIGN = EA_HEAP_ALIGN,
    EAI_LAYOUT_FRONT_BYTES = EAI_FRONT_BYTES,
    EAI_LAYOUT_TAGS = EA_CFG_TAGS,
    EAI_LAYOUT_GUARD = EA_CFG_GUARD,
    EAI_LAYOUT_GUARD_SAMPLED = EA_CFG_GUARD_SAMPLED,
    EAI_LAYOUT_CHECK_LEVEL = EA_CFG_CHECK_LEVEL,
    EAI_LAYOUT_POOL_BITS = EA_CFG_POOL_VALIDATE,
    EAI_LAYOUT_POOL_BITS_TURN = EAI_POOL_BITS_TURN
};

ea_status_t ea_allocator_init(alloc_t *a, const ea_allocator_options_t *options)
{
    static const ea_allocator_options_t none = {0};
    (void)(enum eai_layout)0; /* or the compiler would leave it out */
    if (!options) options = &none;
    if (!a || (unsigned)options->damage > EA_GUARD_CALL ||
        (options->damage == EA_GUARD_CALL && !options->on_damage))
        return EA_ERR_INVALID;
    if ((!EAI_ALLOC_OWNERS && (options->accounts || options->owner || options->isr_owner)) ||
        ((options->owner || options->isr_owner || options->strict_owner) && !options->accounts) ||
        (!EA_CFG_ALLOC_REPORT && options->events) ||
        (EA_CFG_GUARD < 3 && options->quarantine_bytes != 0))
        return EA_ERR_INVALID;
#if EAI_ALLOC_OWNERS
    if ((options->owner && options->owner->eai_book != options->accounts) ||
        (options->isr_owner && options->isr_owner->eai_book != options->accounts))
        return EA_ERR_INVALID;
#endif
#if EA_CFG_ALLOC_LOCKING == 3
    if (!options->lock_ops || !options->lock_ops->acquire || !options->lock_ops->try_acquire ||
        !options->lock_ops->release || !options->lock)
        return EA_ERR_INVALID;
#endif
    memset(a, 0, sizeof *a);
#if EA_CFG_ALLOC_PRESSURE
    if (ea_pressure_init(&a->eai_pressure, options->pressure, ea_port_time_us()) != EA_OK)
        return EA_ERR_INVALID;
#endif
#if EA_CFG_ALLOC_LOCKING == 3
    a->eai_lock_ops = options->lock_ops;
    a->eai_lock = options->lock;
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++) a->eai_slots[i].eai_lock = options->lock;
#elif EA_CFG_ALLOC_LOCKING != 0
    ea_port_lock_init(&a->eai_lock);
#if EA_CFG_ALLOC_LOCKING == 2
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++) ea_port_lock_init(&a->eai_slots[i].eai_lock);
#endif
#endif
    a->eai_first = EAI_NO_PLACE;
    a->eai_damage = options->damage;
    a->eai_on_damage = options->on_damage;
    a->eai_damage_context = options->damage_context;
#if EAI_TAGGED
    eai_guard_init(&a->eai_guard, (uint32_t)options->secret, (uint32_t)(uintptr_t)a);
#endif
#if EA_CFG_GUARD >= 3
    eai_quarantine_init(&a->eai_quarantine, options->quarantine_bytes < UINT32_MAX
                                                ? (uint32_t)options->quarantine_bytes
                                                : UINT32_MAX);
#endif
#if EAI_ALLOC_OWNERS
    a->eai_accounts = options->accounts;
    a->eai_owner = options->owner;
    a->eai_isr_owner = options->isr_owner ? options->isr_owner : options->owner;
    a->eai_strict_owner = options->strict_owner;
#endif
#if EA_CFG_ALLOC_REPORT
    a->eai_events = options->events;
#endif
#if EA_CFG_ALLOC_RESERVE
    a->eai_reserve_slot = EAI_NO_PLACE;
#endif
    eai_seal_all(a);
    return EA_OK;
}

/* Bring home what is on its way: deferred, quarantined. */
static void settle_all(alloc_t *a)
{
    (void)eai_drain(a, SIZE_MAX);
#if EA_CFG_GUARD >= 3
    (void)eai_discharge(a);
#endif
}

/* Blocks in use of a slot's heap, whose lock is held. */
static size_t live_in(const slot_t *slot)
{
    size_t n = 0;
#if EA_CFG_ALLOC_MOVABLE
    if (slot->eai_store) {
        ea_heap_stats_t numbers;
        eai_stats_of(slot, &numbers);
        return numbers.n_live;
    }
#endif
#if EA_CFG_HEAP_STATS
    ea_heap_stats_t stats;
    ea_heap_stats(slot->eai_heap, &stats);
    n = stats.n_live;
#else
    (void)!ea_heap_remove_region(slot->eai_heap, slot->eai_begin, &n); /* counts, and refuses */
#endif
    return n;
}

#if EA_CFG_ALLOC_POOLS
#if !EA_CFG_POOL_STATS
static void count_block(void *context, void *block)
{
    (void)block;
    ++*(size_t *)context;
}
#endif

/* Live blocks of the set's pools. Without counters the validity bits tell; without those,
 * nobody. */
static size_t live_in_pools(const ea_poolset_t *set)
{
#if EA_CFG_POOL_STATS
    ea_poolset_stats_t stats;
    ea_poolset_stats(set, &stats);
    return stats.n_live;
#else
    size_t n = 0;
    for (uint32_t k = 0; k < set->eai_n_classes; k++) {
        ea_pool_cursor_t cursor = {0};
        (void)!ea_pool_walk(&set->eai_pools[k], &cursor, SIZE_MAX, count_block, &n);
    }
    return n;
#endif
}
#endif

ea_status_t ea_allocator_deinit(alloc_t *a, size_t *n_live)
{
    size_t n = 0, inner = 0; /* inner: the allocator's own */
    bool waits = false;
    if (eai_verify_seals(a, false) != EA_OK) return EA_ERR_CORRUPT;
    settle_all(a);
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++)
        if (eai_is_there(&a->eai_slots[i])) n += live_in(&a->eai_slots[i]);
#if EA_CFG_ALLOC_POOLS
    if (a->eai_pools) n += live_in_pools(a->eai_pools);
#if EAI_TAGGED
    inner += a->eai_pool_tags != NULL;
#endif
#endif
#if EA_CFG_ALLOC_RESERVE
    inner += a->eai_reserve != NULL;
#endif
#if EA_CFG_ALLOC_WAIT
    waits = eai_has_waiters(a);
#endif
    if (n_live) *n_live = n - inner;
    if (n != inner || waits) return EA_ERR_BUSY;
#if EA_CFG_ALLOC_RESERVE
    (void)ea_allocator_set_reserve(a, 0);
#endif
#if EA_CFG_ALLOC_POOLS
    (void)!ea_allocator_set_pools(a, NULL);
#endif
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++) {
        slot_t *slot = &a->eai_slots[i];
        if (slot->eai_heap) (void)ea_heap_deinit(slot->eai_heap);
        slot->eai_heap = NULL;
#if EA_CFG_ALLOC_MOVABLE
        slot->eai_store = NULL;
#endif
        slot->eai_begin = slot->eai_end = NULL;
#if EA_CFG_ALLOC_LOCKING == 2
        ea_port_lock_deinit(&slot->eai_lock);
#endif
    }
    a->eai_n_regions = 0;
    a->eai_first = EAI_NO_PLACE;
    eai_seal_all(a);
#if EA_CFG_ALLOC_LOCKING == 1 || EA_CFG_ALLOC_LOCKING == 2
    ea_port_lock_deinit(&a->eai_lock);
#endif
    return EA_OK;
}

/* --- regions ---------------------------------------------------------------------------------- */

static bool is_possible(const ea_region_options_t *o, size_t size_bytes)
{
    if ((unsigned)o->policy > EA_POLICY_LOW_FRAGMENTATION) return false;
    if (o->line_bytes != 0 && (!eai_is_power_of_two(o->line_bytes) || o->line_bytes > size_bytes))
        return false;
    if (o->reserve_bytes != 0 && (!EA_CFG_HEAP_STATS || o->capabilities == 0)) return false;
#if EA_CFG_ALLOC_MOVABLE
    if (o->n_handles != 0 && (o->n_handles > EA_MOVABLE_MAX_HANDLES || o->line_bytes != 0 ||
                              o->reserve_bytes != 0 || o->span_bytes != 0))
        return false;
#endif
    return EA_CFG_ALLOC_LOCKING == 3 || !o->lock;
}

#if EA_CFG_ALLOC_MOVABLE
/* In front of the store stand the owners of its blocks. */
static char *aligned(char *mem)
{
    return mem + ((size_t)(0u - (uintptr_t)mem) & 7u);
}

static ea_movable_t *make_store(char *mem, size_t size_bytes, const ea_region_options_t *o)
{
    const ea_movable_options_t options = {o->n_handles, o->n_handles};
    size_t skipped = (size_t)(aligned(mem) - mem);
#if EAI_ALLOC_OWNERS
    /* The table has whole chunks of entries, 32 at most. */
    skipped += (o->n_handles + 31u) / 32u * 32u * sizeof(uint16_t);
#endif
    if (size_bytes < skipped) return NULL;
    return ea_movable_init(mem + skipped, size_bytes - skipped, &options);
}

static void publish_store(slot_t *slot, ea_movable_t *store, const ea_region_options_t *o)
{
#if EAI_ALLOC_OWNERS
    slot->eai_owners = (uint16_t *)(void *)aligned(slot->eai_begin);
#endif
    slot->eai_move_bytes = o->move_bytes;
    EAI_POKE(&slot->eai_is_slid, false);
    EAI_POKE(&slot->eai_store, store);
}
#endif

ea_status_t ea_allocator_add_region(alloc_t *a, void *mem, size_t size_bytes,
                                    const ea_region_options_t *options)
{
    static const ea_region_options_t ordinary = {0};
    if (!options) options = &ordinary;
    if (!a || !mem || size_bytes > UINTPTR_MAX - (uintptr_t)mem ||
        !is_possible(options, size_bytes))
        return EA_ERR_INVALID;
    char *begin = mem, *end = begin + size_bytes;
    ea_status_t status = EA_ERR_RANGE;
    uint8_t index = EAI_NO_PLACE, newest = 0;

    /* Claim a slot first: only then is mem ours to write to. */
    eai_lock(a);
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++) {
        const slot_t *slot = &a->eai_slots[i];
        char *from = EAI_PEEK(&slot->eai_begin), *to = EAI_PEEK(&slot->eai_end);
        uint8_t serial = EAI_PEEK(&slot->eai_serial);
        if (from == to && index == EAI_NO_PLACE) index = i;
        if (from == to) continue;
        if (begin < to && from < end) status = EA_ERR_INVALID;
        if (serial > newest) newest = serial;
    }
    if (index != EAI_NO_PLACE && status == EA_ERR_RANGE) {
        slot_t *slot = &a->eai_slots[index];
        EAI_POKE(&slot->eai_begin, begin);
        EAI_POKE(&slot->eai_end, end);
        EAI_POKE(&slot->eai_serial, (uint8_t)(newest + 1u));
        eai_seal_slot(slot);
        status = EA_OK;
    }
    eai_unlock(a);
    if (status != EA_OK) return status;

    slot_t *slot = &a->eai_slots[index];
    const ea_heap_options_t heap_options = {.span_bytes = options->span_bytes, .fit = options->fit};
    ea_heap_t *heap = NULL;
    bool is_made;
#if EA_CFG_ALLOC_MOVABLE
    ea_movable_t *store = NULL;
    if (options->n_handles != 0)
        store = make_store(mem, size_bytes, options);
    else
#endif
        heap = ea_heap_init(mem, size_bytes, &heap_options);
    is_made = heap != NULL;
#if EA_CFG_ALLOC_MOVABLE
    is_made |= store != NULL;
#endif
#if EA_CFG_ALLOC_LOCKING == 3
    (void)eai_lock_slot(a, slot, false);
    eai_relock_slot(a, slot, options->lock ? options->lock : a->eai_lock);
#endif
    (void)eai_lock_slot(a, slot, false);
    if (is_made) {
        EAI_POKE(&slot->eai_capabilities, options->capabilities);
        EAI_POKE(&slot->eai_policy, (uint8_t)options->policy);
        EAI_POKE(&slot->eai_priority, options->priority);
        slot->eai_reserve_bytes = options->reserve_bytes;
        slot->eai_line_log2 =
            options->line_bytes > EA_HEAP_ALIGN ? (uint8_t)__builtin_ctzl(options->line_bytes) : 0;
        EAI_POKE(&slot->eai_is_ordinary, heap && options->policy != EA_POLICY_CRITICAL &&
                                             options->reserve_bytes == 0 &&
                                             slot->eai_line_log2 == 0);
        EAI_POKE(&slot->eai_heap, heap);
#if EA_CFG_ALLOC_MOVABLE
        publish_store(slot, store, options);
#endif
    }
    eai_seal_slot(slot);
    eai_unlock_slot(a, slot);
    eai_lock(a);
    if (!is_made) vacate(a, slot);
    reorder(a);
    eai_unlock(a);
    if (!is_made) return EA_ERR_INVALID;
    count_total(a);
    eai_look_around(a);
    return EA_OK;
}

/* The slot whose memory begins at mem. */
static uint8_t slot_at(const alloc_t *a, const void *mem)
{
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++)
        if (eai_is_there(&a->eai_slots[i]) && EAI_PEEK(&a->eai_slots[i].eai_begin) == mem) return i;
    return EAI_NO_PLACE;
}

ea_status_t ea_allocator_remove_region(alloc_t *a, void *mem, size_t *n_live)
{
    if (eai_verify_seals(a, false) != EA_OK) return EA_ERR_CORRUPT;
    uint8_t index = slot_at(a, mem);
    ea_status_t status = EA_ERR_NOT_FOUND;
    if (n_live) *n_live = 0;
    if (index == EAI_NO_PLACE) return status;
#if EA_CFG_ALLOC_RESERVE
    size_t reserve = EAI_PEEK(&a->eai_reserve_bytes);
    bool holds = EAI_PEEK(&a->eai_reserve_slot) == index;
    if (holds) (void)ea_allocator_set_reserve(a, 0);
#endif
    settle_all(a);
    slot_t *slot = &a->eai_slots[index];
    (void)eai_lock_slot(a, slot, false);
    if (eai_is_there(slot) && slot->eai_begin == mem) {
        size_t n = live_in(slot);
        if (n_live) *n_live = n;
        status = EA_ERR_BUSY;
        if (n == 0) {
            if (slot->eai_heap) (void)ea_heap_deinit(slot->eai_heap);
            EAI_POKE(&slot->eai_is_ordinary, false);
            EAI_POKE(&slot->eai_heap, NULL);
#if EA_CFG_ALLOC_MOVABLE
            EAI_POKE(&slot->eai_store, NULL);
#endif
            eai_seal_slot(slot);
            status = EA_OK;
        }
    }
    eai_unlock_slot(a, slot);
    if (status == EA_OK) {
        eai_lock(a);
        vacate(a, slot);
        reorder(a);
        eai_unlock(a);
        count_total(a);
    }
#if EA_CFG_ALLOC_RESERVE
    if (holds) (void)ea_allocator_set_reserve(a, reserve);
#endif
    eai_look_around(a); /* what was settled is there, whatever became of the region */
    return status;
}

/* Does memory from begin to end meet that of a slot other than this one? */
static bool meets_another(alloc_t *a, uint8_t index, const char *begin, const char *end)
{
    bool meets = false;
    eai_lock(a);
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++) {
        const char *from = EAI_PEEK(&a->eai_slots[i].eai_begin);
        const char *to = EAI_PEEK(&a->eai_slots[i].eai_end);
        if (i != index && from < to && begin < to && from < end) meets = true;
    }
    eai_unlock(a);
    return meets;
}

static ea_status_t move_end(alloc_t *a, void *mem, size_t new_size_bytes, bool grows)
{
    if (eai_verify_seals(a, false) != EA_OK) return EA_ERR_CORRUPT;
    uint8_t index = slot_at(a, mem);
    ea_status_t status = EA_ERR_NOT_FOUND;
    if (index == EAI_NO_PLACE) return status;
    slot_t *slot = &a->eai_slots[index];
    char *end = (char *)mem + new_size_bytes;
    if (new_size_bytes > UINTPTR_MAX - (uintptr_t)mem) return EA_ERR_INVALID;
    if (grows && meets_another(a, index, mem, end)) return EA_ERR_INVALID;
    (void)eai_lock_slot(a, slot, false);
    if (eai_store_of(slot)) status = EA_ERR_INVALID;
    if (slot->eai_heap && slot->eai_begin == mem) {
        status = EA_ERR_INVALID;
        if (grows && end > slot->eai_end)
            status = ea_heap_grow(slot->eai_heap, mem, new_size_bytes);
        if (!grows && end < slot->eai_end)
            status = ea_heap_shrink(slot->eai_heap, mem, new_size_bytes);
        if (status == EA_OK) EAI_POKE(&slot->eai_end, end);
        eai_seal_slot(slot);
    }
    eai_unlock_slot(a, slot);
    if (status == EA_OK) count_total(a);
    eai_look_around(a);
    return status;
}

ea_status_t ea_allocator_grow_region(alloc_t *a, void *mem, size_t new_size_bytes)
{
    return move_end(a, mem, new_size_bytes, true);
}

ea_status_t ea_allocator_shrink_region(alloc_t *a, void *mem, size_t new_size_bytes)
{
    settle_all(a);
    return move_end(a, mem, new_size_bytes, false);
}

ea_status_t ea_allocator_region_stats(const alloc_t *a, const void *mem, ea_heap_stats_t *stats)
{
    /* The lock is not part of what const promises. */
    alloc_t *mutable_a = (alloc_t *)(uintptr_t)a;
    ea_status_t status = EA_ERR_NOT_FOUND;
    if (eai_unsound(mutable_a, false)) return EA_ERR_CORRUPT;
    uint8_t index = slot_at(a, mem);
    if (index == EAI_NO_PLACE) return status;
    slot_t *slot = &mutable_a->eai_slots[index];
    (void)eai_lock_slot(mutable_a, slot, false);
    if (eai_is_there(slot) && slot->eai_begin == mem) {
        eai_stats_of(slot, stats);
        status = EA_OK;
    }
    eai_unlock_slot(mutable_a, slot);
    return status;
}

void ea_allocator_stats(const alloc_t *a, ea_allocator_stats_t *stats)
{
    alloc_t *mutable_a = (alloc_t *)(uintptr_t)a;
    *stats = (ea_allocator_stats_t){0};
    bool sound = eai_unsound(mutable_a, false) == NULL;
    for (uint8_t i = 0; i < EA_CFG_ALLOC_REGIONS; i++) {
        slot_t *slot = &mutable_a->eai_slots[i];
        ea_heap_stats_t one;
        if (!eai_is_there(slot) || !sound) continue;
        (void)eai_lock_slot(mutable_a, slot, false);
        if (eai_is_there(slot)) {
            eai_stats_of(slot, &one);
            stats->n_regions++;
            stats->total_bytes += one.total_bytes;
            stats->free_bytes += one.free_bytes;
            stats->min_free_bytes += one.min_free_bytes;
            stats->n_live += one.n_live;
            if (one.largest_free_bytes > stats->largest_free_bytes)
                stats->largest_free_bytes = one.largest_free_bytes;
        }
        eai_unlock_slot(mutable_a, slot);
    }
#if EA_CFG_ALLOC_POOLS
    if (a->eai_pools && sound) {
        ea_poolset_stats_t pools;
        ea_poolset_stats(a->eai_pools, &pools);
        stats->total_bytes += pools.total_bytes;
        stats->free_bytes += pools.total_bytes - pools.live_bytes;
        stats->n_live += pools.n_live;
    }
#endif
    size_t inner = 0; /* what is in use but not handed out */
#if EA_CFG_ALLOC_POOLS && EAI_TAGGED
    inner += a->eai_pool_tags != NULL;
#endif
#if EA_CFG_ALLOC_ISR
    stats->n_deferred = eai_count_deferred(mutable_a);
    inner += stats->n_deferred;
#endif
#if EA_CFG_GUARD >= 3
    eai_lock(mutable_a);
    stats->quarantine_bytes = a->eai_quarantine.bytes;
    inner += a->eai_quarantine.n_blocks;
    eai_unlock(mutable_a);
#endif
#if EA_CFG_ALLOC_RESERVE
    stats->reserve_bytes = EAI_PEEK(&a->eai_reserve_held);
    inner += stats->reserve_bytes != 0;
#endif
    stats->n_live = EA_CFG_HEAP_STATS && stats->n_live > inner ? stats->n_live - inner : 0;
    size_t overhead = EAI_FRONT_BYTES + EAI_BACK_BYTES;
    stats->largest_free_bytes =
        stats->largest_free_bytes > overhead ? stats->largest_free_bytes - overhead : 0;
#if EA_CFG_ALLOC_REPORT
    const uint32_t *n = a->eai_n_chain;
    stats->n_reclaims = EAI_PEEK(&n[EAI_N_RECLAIMS]);
    stats->n_reclaimed = EAI_PEEK(&n[EAI_N_RECLAIMED]);
    stats->n_compactions = EAI_PEEK(&n[EAI_N_COMPACTIONS]);
    stats->n_compacted = EAI_PEEK(&n[EAI_N_COMPACTED]);
    stats->n_reserves = EAI_PEEK(&n[EAI_N_RESERVES]);
    stats->n_waits = EAI_PEEK(&n[EAI_N_WAITS]);
    stats->n_waited = EAI_PEEK(&n[EAI_N_WAITED]);
    stats->n_handler_calls = EAI_PEEK(&n[EAI_N_HANDLER_CALLS]);
    stats->n_handled = EAI_PEEK(&n[EAI_N_HANDLED]);
    stats->n_damaged = EAI_PEEK(&a->eai_n_damaged);
    for (unsigned i = 0; i < EAI_N_REASONS; i++) {
        stats->n_failures_by[i] = EAI_PEEK(&a->eai_n_failures_by[i]);
        stats->n_failures += stats->n_failures_by[i];
    }
#endif
}

/* --- pools ------------------------------------------------------------------------------------ */

#if EA_CFG_ALLOC_POOLS
#if EAI_TAGGED
static size_t blocks_of(const ea_poolset_t *set)
{
    size_t n = 0;
    for (uint32_t k = 0; k < set->eai_n_classes; k++) n += set->eai_pools[k].eai_n_blocks;
    return n;
}

/* Tags stand in the order of classes and blocks. payload is the beginning of a block. */
eai_tag_t *eai_pool_tag(const alloc_t *a, const void *payload)
{
    const ea_pool_t *pool = a->eai_pools->eai_pools;
    size_t before = 0;
    uintptr_t index;
    for (;;) { /* bound: classes */
        index = index_at(pool, (uintptr_t)payload - (uintptr_t)pool->eai_base);
        if (index < pool->eai_n_blocks) break;
        before += pool->eai_n_blocks;
        pool++;
    }
    return (eai_tag_t *)a->eai_pool_tags + before + index;
}

/* A block of a region for the tags of set; NULL: no room. */
static void *make_tags(alloc_t *a, const ea_poolset_t *set)
{
    const ea_request_t ordinary = {0};
    size_t bytes = blocks_of(set) * sizeof(eai_tag_t);
    eai_want_t want;
    if (!eai_want(a, &want, bytes, &ordinary, NULL)) return NULL;
#if EAI_ALLOC_OWNERS
    want.owner = NULL;
#endif
    want.is_internal = true;
    void *tags = eai_try(a, &want);
    if (!tags) tags = eai_rescue(a, &want);
    if (!tags) return NULL;
    (void)eai_hand_out(a, &want, tags);
    memset(tags, 0, bytes);
    return tags;
}

/* What was never handed out looks as if it had been given back. */
static void poison_pools(const alloc_t *a, const ea_poolset_t *set, eai_tag_t *tag)
{
    (void)a, (void)set, (void)tag;
#if EAI_POISONED_POOLS
    for (uint32_t k = 0; k < set->eai_n_classes; k++) {
        const ea_pool_t *pool = &set->eai_pools[k];
        for (uint32_t i = 0; i < pool->eai_n_blocks; i++, tag++) {
            unsigned char *payload = pool->eai_base + (size_t)i * pool->eai_block_bytes;
            (void)eai_guard_mark(&a->eai_guard, tag, payload);
            eai_guard_poison(payload + EAI_POOL_LINK_BYTES,
                             pool->eai_block_bytes - EAI_POOL_LINK_BYTES);
        }
    }
#endif
}

static void drop_tags(alloc_t *a, void *tags)
{
    eai_block_t block = {.payload = tags, .goes = true};
    if (tags) (void)eai_discard(a, &block, false, NULL);
}
#endif

static bool is_plain_set(const ea_poolset_t *set)
{
    for (uint32_t k = 0; k < set->eai_n_classes; k++)
        if (ea_pool_block_bytes(&set->eai_pools[k]) % EA_HEAP_ALIGN != 0) return false;
    return (set->eai_strategy & ~EA_POOLSET_NEXT_LARGER) == 0;
}

ea_status_t ea_allocator_set_pools(alloc_t *a, ea_poolset_t *set)
{
    ea_poolset_t *before = a->eai_pools;
    if (eai_verify_seals(a, false) != EA_OK) return EA_ERR_CORRUPT;
    if (set && !is_plain_set(set)) return EA_ERR_INVALID;
    if (before && live_in_pools(before) != 0) return EA_ERR_BUSY;
#if EAI_TAGGED
    void *old_tags = a->eai_pool_tags, *tags = NULL;
    a->eai_pools = NULL; /* the tags do not come from a pool */
    eai_seal_pools(a);
    if (set && (tags = make_tags(a, set)) == NULL) {
        a->eai_pools = before;
        eai_seal_pools(a);
        return EA_ERR_NO_MEMORY;
    }
    drop_tags(a, old_tags);
    if (set) poison_pools(a, set, tags);
    a->eai_pool_tags = tags;
#endif
    a->eai_pools = set;
    eai_seal_pools(a);
    count_total(a);
    return EA_OK;
}
#endif

#if EA_CFG_GUARD_SAMPLED
void ea_allocator_set_sampling(alloc_t *a, uint32_t n)
{
    eai_guard_sample(&a->eai_guard, n);
}
#endif
