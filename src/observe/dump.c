/* SPDX-License-Identifier: MIT
 *
 * The dump: one record after the other, each of them made of what one look at the allocator found.
 *
 *     head -> last failure -> last damage -> counters -> accounts -> regions and their blocks
 *          -> pools and their blocks -> stores that are no allocator's and their blocks
 *          -> ranges of the application -> end with a checksum
 *
 * First what is short and dear, in case the power goes before the end. A record is written after
 * the look, without a lock, through a buffer of a few bytes.
 *
 * Rule of every look: a pointer is followed if what it leads to lies in memory that may be read, a
 * number bounds a loop if a seal or the memory's size bounds it. Steps are bounded by the bytes of
 * the regions and stores, the accounts of the book and the blocks of the pools.
 *
 * Rejected: a copy of all memory for the host to make sense of (the formats of tags and heaps would
 * be the host's to know, for every configuration; and UARTs are slow).
 */
#include "ealloc/dump.h"

#include "accounts/account_internal.h"
#include "ealloc/version.h"
#include "memory/allocator_internal.h"
#include "observe/dump_internal.h"

typedef ea_dump_t dump_t;
typedef eai_dump_sight_t sight_t;

enum {
    AT_HEAD,
    AT_FAILURE,
    AT_DAMAGE,
    AT_COUNTERS,
    AT_ACCOUNTS,
    AT_REGION,
    AT_HEAP,
    AT_BLOCKS,
    AT_POOLS,
    AT_POOL_BLOCKS,
    AT_STORES,
    AT_STORE_BLOCKS,
    AT_RANGES,
    AT_RANGE_BYTES,
    AT_END,
    IS_DONE
};

#define MAX_NAME_BYTES 32u
#define MAX_BUILD_ID_BYTES 64u
#define RAW_BYTES 128u /* of a range, a step */
#define RAW_BEFORE 32u /* around damage */
#define RAW_BEHIND 64u

/* --- the small records ------------------------------------------------------------------------ */

/* Bits of a call site and of a time of birth that tags keep, and where the site's begin. */
#if UINTPTR_MAX > 0xFFFFFFFFu
#define SITE_BITS 48u
#else
#define SITE_BITS 21u
#endif

static void dump_head(dump_t *d)
{
    static const unsigned char self_described[] = {0xD9, 0xD9, 0xF7, 0x9F};
    const ea_dump_options_t *o = d->eai_options;
    size_t n_id = o->build_id == NULL                      ? 0
                  : o->build_id_bytes > MAX_BUILD_ID_BYTES ? MAX_BUILD_ID_BYTES
                                                           : o->build_id_bytes;
    eai_dump_put(d, self_described, sizeof self_described);
    eai_dump_open(d, EAI_RECORD_HEAD, 17);
    eai_dump_put_u(d, EA_DUMP_VERSION);
    eai_dump_put_u(d, sizeof(void *));
    eai_dump_put_u(d, (uint32_t)EA_VERSION_MAJOR << 16 | EA_VERSION_MINOR << 8 | EA_VERSION_PATCH);
    eai_dump_put_u(d, ea_port_time_coarse_us());
    eai_dump_put_head(d, EAI_CBOR_BYTES, n_id);
    eai_dump_put(d, o->build_id, n_id);
    eai_dump_put_u(d, (uintptr_t)ea_dump);
    eai_dump_put_address(d, d->eai_allocator);
    eai_dump_put_u(d, EA_HEAP_ALIGN);
    eai_dump_put_u(d, EA_HEAP_OVERHEAD_BYTES);
    eai_dump_put_u(d, EAI_FRONT_BYTES);
    eai_dump_put_u(d, EA_CFG_GUARD);
    eai_dump_put_u(d, EA_CFG_TAGS);
    eai_dump_put_u(d, EA_CFG_CHECK_LEVEL);
    eai_dump_put_u(d, SITE_BITS);
    eai_dump_put_u(d, o->is_live);
    eai_dump_put_text(d, o->cause);
    eai_dump_put_address(d, o->fault_at);
}

#if EA_CFG_ALLOC_REPORT
static void dump_failure(dump_t *d)
{
    const ea_failure_t *f = &d->eai_allocator->eai_failure;
    eai_dump_open(d, EAI_RECORD_FAILURE, 11);
    eai_dump_put_u(d, f->sequence);
    eai_dump_put_u(d, (unsigned)f->reason);
    eai_dump_put_u(d, f->owner);
    eai_dump_put_u(d, f->limiter);
    eai_dump_put_u(d, f->size_bytes);
    eai_dump_put_u(d, f->alignment_bytes);
    eai_dump_put_u(d, f->capabilities);
    eai_dump_put_u(d, f->free_bytes);
    eai_dump_put_u(d, f->largest_free_bytes);
    eai_dump_put_address(d, f->caller);
    eai_dump_put_u(d, f->time_us);
}

static void dump_neighbour(dump_t *d, const ea_guard_neighbour_t *n)
{
    eai_dump_put_address(d, n->block);
    eai_dump_put_u(d, n->size_bytes);
    eai_dump_put_address(d, n->site);
    eai_dump_put_u(d, n->owner);
}

static void dump_damage(dump_t *d)
{
    const ea_guard_report_t *r = &d->eai_allocator->eai_last_damage;
    eai_dump_open(d, EAI_RECORD_DAMAGE, 15);
    eai_dump_put_u(d, (unsigned)r->kind);
    eai_dump_put_address(d, r->block);
    eai_dump_put_u(d, r->size_bytes);
    eai_dump_put_address(d, r->first_bad);
    eai_dump_put_address(d, r->site);
    eai_dump_put_u(d, r->birth);
    eai_dump_put_u(d, r->owner);
    dump_neighbour(d, &r->below);
    dump_neighbour(d, &r->above);
}
#endif

static void dump_counters(dump_t *d)
{
    const alloc_t *a = d->eai_allocator;
    (void)a;
    eai_dump_open(d, EAI_RECORD_COUNTERS, 7);
#if EA_CFG_ALLOC_PRESSURE
    eai_dump_put_u(d, a->eai_pressure.eai_level);
    eai_dump_put_u(d, a->eai_used_bytes);
    eai_dump_put_u(d, a->eai_total_bytes);
#else
    for (unsigned i = 0; i < 3; i++) eai_dump_put_null(d);
#endif
#if EA_CFG_ALLOC_REPORT
    eai_dump_put_u(d, a->eai_n_damaged);
    eai_dump_put_head(d, EAI_CBOR_ARRAY, EAI_N_CHAIN);
    for (unsigned i = 0; i < EAI_N_CHAIN; i++) eai_dump_put_u(d, a->eai_n_chain[i]);
    eai_dump_put_head(d, EAI_CBOR_ARRAY, EAI_N_REASONS);
    for (unsigned i = 0; i < EAI_N_REASONS; i++) eai_dump_put_u(d, a->eai_n_failures_by[i]);
#else
    for (unsigned i = 0; i < 3; i++) eai_dump_put_null(d);
#endif
#if EA_CFG_GUARD >= 3
    eai_dump_put_u(d, a->eai_quarantine.bytes);
#else
    eai_dump_put_null(d);
#endif
}

/* --- accounts --------------------------------------------------------------------------------- */

#if EAI_ALLOC_OWNERS
/* Text of at most max bytes; printable ASCII only, other bytes read '?'. */
static void put_text(dump_t *d, const char *text, size_t max)
{
    size_t n = 0;
    while (n < max && eai_dump_is_readable(d, text + n, 1) && text[n] != '\0') n++;
    if (text == NULL || !eai_dump_is_readable(d, text, 1)) {
        eai_dump_put_null(d);
        return;
    }
    eai_dump_put_head(d, EAI_CBOR_TEXT, n);
    for (size_t i = 0; i < n; i++) {
        char c = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
        eai_dump_put(d, &c, 1);
    }
}

static bool is_node(const book_t *book, const account_t *node)
{
    uintptr_t offset = (uintptr_t)node - (uintptr_t)book->eai_nodes;
    return offset % sizeof *node == 0 && offset / sizeof *node < book->eai_n_nodes;
}

static void dump_account(dump_t *d, const book_t *book, uint32_t i)
{
    const account_t *node = &book->eai_nodes[i];
    bool sound = node->eai_seal == eai_account_seal(node);
    if (!sound) eai_dump_put_trouble(d, EA_DUMP_SEAL, node, "account");
    const account_t *parent = sound ? node->eai_parent : NULL;
    if (parent != NULL && !is_node(book, parent)) parent = NULL;
    eai_dump_open(d, EAI_RECORD_ACCOUNT, 11);
    eai_dump_put_u(d, i + 1u);
    if (sound)
        put_text(d, node->eai_name, MAX_NAME_BYTES);
    else
        eai_dump_put_null(d);
    eai_dump_put_u(d, parent != NULL ? (uint32_t)(parent - book->eai_nodes) + 1u : 0u);
    eai_dump_put_u(d, eai_account_used(node));
    eai_dump_put_u(d, EAI_LOAD(&((account_t *)node)->eai_peak, EAI_RELAXED));
    eai_dump_put_u(d, EAI_LOAD(&((account_t *)node)->eai_floor, EAI_RELAXED));
    eai_dump_put_u(d, EAI_LOAD(&((account_t *)node)->eai_low, EAI_RELAXED));
    eai_dump_put_u(d, EAI_LOAD(&((account_t *)node)->eai_high, EAI_RELAXED));
    eai_dump_put_u(d, EAI_LOAD(&((account_t *)node)->eai_max, EAI_RELAXED));
    eai_dump_put_u(d, EAI_LOAD(&((account_t *)node)->eai_n_refused, EAI_RELAXED));
    eai_dump_put_u(d, EAI_LOAD(&((account_t *)node)->eai_n_limited, EAI_RELAXED));
}

/* The next account. false: there is none. */
static bool dump_next_account(dump_t *d)
{
    const book_t *book = d->eai_allocator->eai_accounts;
    if (book == NULL) return false;
    if (d->eai_index == 0) {
        bool readable = eai_dump_is_object(d, book, sizeof *book);
        if (!readable || book->eai_seal != eai_accounts_seal(book) ||
            !eai_dump_is_object(d, book->eai_nodes,
                                (size_t)book->eai_n_nodes * sizeof(account_t))) {
            eai_dump_put_trouble(d, readable ? EA_DUMP_SEAL : EA_DUMP_RANGE, book,
                                 "book of accounts");
            return false;
        }
    }
    uint32_t i = d->eai_index;
    if (i >= book->eai_n_nodes) return false;
    uint32_t state = EAI_LOAD(&book->eai_nodes[i].eai_state, EAI_RELAXED);
    if (state == STATE_LIVE)
        dump_account(d, book, i);
    else if (state != STATE_FREE && state != STATE_ENDING)
        eai_dump_put_trouble(d, EA_DUMP_SEAL, &book->eai_nodes[i], "account");
    d->eai_index++;
    return true;
}
#endif

/* --- regions ---------------------------------------------------------------------------------- */

static alloc_t *locks_of(const dump_t *d)
{
    return (alloc_t *)d->eai_allocator;
}

void eai_dump_lock(const dump_t *d, const slot_t *slot)
{
    if (d->eai_options->is_live && slot != NULL)
        (void)eai_lock_slot(locks_of(d), (slot_t *)slot, false);
}

void eai_dump_unlock(const dump_t *d, const slot_t *slot)
{
    if (d->eai_options->is_live && slot != NULL) eai_unlock_slot(locks_of(d), (slot_t *)slot);
}

/* May the slot's memory be read, all of it? */
static bool is_slot_readable(const dump_t *d, const slot_t *slot)
{
    return (uintptr_t)slot->eai_begin < (uintptr_t)slot->eai_end &&
           eai_dump_is_readable(d, slot->eai_begin, (size_t)(slot->eai_end - slot->eai_begin));
}

static void put_sight_trouble(dump_t *d, const sight_t *sight)
{
    if (sight->eai_trouble != 0)
        eai_dump_put_trouble(d, (ea_dump_trouble_t)sight->eai_trouble, sight->eai_where,
                             sight->eai_text);
}

#if EA_CFG_ALLOC_MOVABLE
/* That of its store. */
static uint8_t dump_store_of(dump_t *d, const slot_t *slot, const slot_t *seen)
{
    const char *begin = (const char *)seen->eai_store;
    bool is_inside = is_slot_readable(d, seen) && (uintptr_t)begin >= (uintptr_t)seen->eai_begin &&
                     (uintptr_t)begin <= (uintptr_t)seen->eai_end;
    d->eai_in_region = true;
    if (is_inside)
        return eai_dump_store(d, slot, begin, seen->eai_end, NULL) ? AT_STORE_BLOCKS : AT_REGION;
    eai_dump_put_trouble(d, EA_DUMP_RANGE, slot, "region");
    return AT_REGION;
}
#endif

/* The region's own record. Returns the phase to go on with. */
static uint8_t dump_region(dump_t *d)
{
    if (d->eai_index == EA_CFG_ALLOC_REGIONS) {
        d->eai_index = d->eai_tags_before = 0;
        return AT_POOLS;
    }
    const slot_t *slot = &d->eai_allocator->eai_slots[d->eai_index];
    eai_dump_lock(d, slot);
    slot_t seen = *slot;
    eai_dump_unlock(d, slot);
    d->eai_index++;
    if (seen.eai_begin == seen.eai_end) return AT_REGION;
    eai_dump_open(d, EAI_RECORD_REGION, 9);
    eai_dump_put_u(d, d->eai_index - 1u);
    eai_dump_put_address(d, seen.eai_begin);
    eai_dump_put_address(d, seen.eai_end);
    eai_dump_put_address(d, seen.eai_heap);
    eai_dump_put_u(d, seen.eai_capabilities);
    eai_dump_put_u(d, seen.eai_priority);
    eai_dump_put_u(d, seen.eai_policy);
    eai_dump_put_u(d, seen.eai_line_log2 < 32u ? (uint32_t)1 << seen.eai_line_log2 : 0u);
    eai_dump_put_u(d, seen.eai_reserve_bytes);
#if EA_CFG_ALLOC_MOVABLE
    if (seen.eai_store != NULL) return dump_store_of(d, slot, &seen);
#endif
    if (is_slot_readable(d, &seen)) return AT_HEAP;
    eai_dump_put_trouble(d, EA_DUMP_RANGE, slot, "region");
    return AT_REGION;
}

/* Control structure and numbers of the region that was dumped last. */
static uint8_t dump_heap(dump_t *d)
{
    const slot_t *slot = &d->eai_allocator->eai_slots[d->eai_index - 1u];
    sight_t sight = {.eai_state = EAI_DUMP_NOTHING};
    ea_heap_stats_t stats;
    bool possible = false;
    const ea_heap_t *heap;
    d->eai_cursor = (ea_heap_cursor_t){0};
    eai_dump_lock(d, slot);
    heap = slot->eai_heap;
    possible = is_slot_readable(d, slot) &&
               eai_dump_heap_begin(&d->eai_heap, heap, slot->eai_begin, slot->eai_end, &sight);
    if (possible) eai_dump_heap_stats(&d->eai_heap, !d->eai_options->is_live, &stats, &sight);
    eai_dump_unlock(d, slot);
    put_sight_trouble(d, &sight);
    if (!possible) return AT_REGION;
    eai_dump_open(d, EAI_RECORD_HEAP, 10);
    eai_dump_put_u(d, stats.total_bytes);
    eai_dump_put_u(d, stats.free_bytes);
    eai_dump_put_u(d, stats.min_free_bytes);
    eai_dump_put_u(d, stats.largest_free_bytes);
    eai_dump_put_u(d, stats.n_live);
    eai_dump_put_u(d, stats.n_allocs);
    eai_dump_put_u(d, stats.n_frees);
    eai_dump_put_u(d, stats.n_failures);
    eai_dump_put_u(d, stats.n_corruptions);
    eai_dump_put_u(d, stats.control_bytes);
    return AT_BLOCKS;
}

/* --- blocks ----------------------------------------------------------------------------------- */

/* Bound of what is followed through the stacks of tasks. */
#define MOST_MOVING 16u

static bool is_moving(const dump_t *d, const slot_t *slot, const char *raw)
{
    const eai_moving_t *moving = slot->eai_moving;
    for (unsigned i = 0; i < MOST_MOVING && moving != NULL; i++) {
        if (!eai_dump_is_object(d, moving, sizeof *moving)) break;
        if (moving->eai_to == raw) return true;
        moving = moving->eai_next;
    }
    return false;
}

void eai_dump_look_closer(const dump_t *d, const slot_t *slot, const char *raw, size_t usable,
                          sight_t *sight)
{
    const alloc_t *a = d->eai_allocator;
    (void)a;
    sight->eai_requested = usable;
    if (is_moving(d, slot, raw)) {
        sight->eai_state = EA_DUMP_MOVING;
        return;
    }
#if EA_CFG_ALLOC_RESERVE
    if (raw == a->eai_reserve) {
        sight->eai_state = EA_DUMP_INTERNAL;
        return;
    }
#endif
#if EAI_TAGGED
    if (usable <= EAI_FRONT_BYTES)
        sight->eai_finding = EA_GUARD_TAG;
    else
        eai_dump_look_at_tag(a, eai_guard_front_tag(raw + EAI_FRONT_BYTES), raw + EAI_FRONT_BYTES,
                             usable - EAI_FRONT_BYTES, sight);
#endif
}

/* Of a block of a heap. */
static void look_closer(const dump_t *d, const slot_t *slot, sight_t *sight)
{
    eai_dump_look_closer(d, slot, sight->eai_begin + EA_HEAP_OVERHEAD_BYTES,
                         sight->eai_bytes - EA_HEAP_OVERHEAD_BYTES, sight);
}

void eai_dump_put_whose(dump_t *d, const sight_t *s)
{
    eai_dump_put_u(d, s->eai_requested);
    eai_dump_put_u(d, s->eai_owner);
    eai_dump_put_address(d, s->eai_site);
    eai_dump_put_u(d, s->eai_birth);
    if (s->eai_finding == 0) return;
    eai_dump_put_u(d, s->eai_finding);
    eai_dump_put_address(d, s->eai_first_bad);
}

static void put_block(dump_t *d, const sight_t *s)
{
    if (s->eai_state == EAI_DUMP_NOTHING) return;
    bool brief = s->eai_state == EA_DUMP_FREE || s->eai_state == EA_DUMP_CACHED ||
                 s->eai_state == EA_DUMP_DAMAGED;
    eai_dump_open(d, EAI_RECORD_BLOCK, brief ? 3 : s->eai_finding != 0 ? 9 : 7);
    eai_dump_put_address(d, s->eai_begin);
    eai_dump_put_u(d, s->eai_bytes);
    eai_dump_put_u(d, s->eai_state);
    if (!brief) eai_dump_put_whose(d, s);
}

/* The bytes around a damaged place, as far as they are of this memory. */
static void put_around(dump_t *d, const char *first, const char *behind, const void *where)
{
    uintptr_t begin = (uintptr_t)first, end = (uintptr_t)behind, at = (uintptr_t)where;
    if (at < begin || at >= end || !eai_dump_is_readable(d, first, end - begin)) return;
    if (at - begin > RAW_BEFORE) begin = at - RAW_BEFORE;
    if (end - at > RAW_BEHIND) end = at + RAW_BEHIND;
    eai_dump_put_raw(d, (const char *)begin, end - begin);
}

void eai_dump_put_wounds(dump_t *d, const sight_t *sight, const char *begin, const char *end)
{
    put_sight_trouble(d, sight);
    if (sight->eai_finding != 0) put_around(d, begin, end, sight->eai_first_bad);
    if (sight->eai_trouble != 0) put_around(d, begin, end, sight->eai_where);
}

/* Called by the walk of a live heap, its lock held. Where a run of blocks is longer than there is
 * room for, the last one noted grows: that is a run in quick lists. */
static void note(void *context, const ea_heap_block_t *block)
{
    dump_t *d = context;
    const slot_t *slot = &d->eai_allocator->eai_slots[d->eai_index - 1u];
    const char *begin = (const char *)block->payload - EA_HEAP_OVERHEAD_BYTES;
    size_t bytes = block->payload_bytes + EA_HEAP_OVERHEAD_BYTES;
    d->eai_heap.eai_at =
        (uint32_t)((uintptr_t)block->payload + bytes - (uintptr_t)d->eai_heap.eai_heap);
    if (d->eai_n_sights == EAI_DUMP_SIGHTS) {
        d->eai_sights[EAI_DUMP_SIGHTS - 1u].eai_bytes += bytes;
        return;
    }
    sight_t *s = &d->eai_sights[d->eai_n_sights++];
    *s = (sight_t){.eai_begin = begin,
                   .eai_bytes = bytes,
                   .eai_state = block->used ? EA_DUMP_USED : EA_DUMP_FREE};
    if (block->used) look_closer(d, slot, s);
}

/* Look at the next blocks of a heap in use. false: there are none. */
static bool look_live(dump_t *d)
{
    slot_t *slot = &locks_of(d)->eai_slots[d->eai_index - 1u];
    ea_status_t status = EA_OK;
    (void)eai_lock_slot(locks_of(d), slot, false);
    bool there = slot->eai_heap != NULL && slot->eai_heap == d->eai_heap.eai_heap;
    if (there) status = ea_heap_walk(slot->eai_heap, &d->eai_cursor, 1, note, d);
    eai_unlock_slot(locks_of(d), slot);
    sight_t trouble = {.eai_state = EAI_DUMP_NOTHING};
    if (status == EA_ERR_BUSY || status == EA_ERR_INVALID) /* a walk in steps is not built in */
        trouble.eai_trouble = EA_DUMP_BUSY;
    else if (status != EA_OK && status != EA_ERR_AGAIN)
        trouble.eai_trouble = EA_DUMP_HEADER;
    trouble.eai_where = slot->eai_heap;
    put_sight_trouble(d, &trouble);
    return status == EA_ERR_AGAIN;
}

static bool dump_blocks(dump_t *d)
{
    const slot_t *slot = &d->eai_allocator->eai_slots[d->eai_index - 1u];
    bool more;
    d->eai_n_sights = 0;
    if (d->eai_options->is_live) {
        more = look_live(d);
    } else {
        more = eai_dump_heap_next(&d->eai_heap, &d->eai_sights[0]);
        if (d->eai_sights[0].eai_state == EA_DUMP_USED) look_closer(d, slot, &d->eai_sights[0]);
        d->eai_n_sights = 1;
    }
    for (unsigned i = 0; i < d->eai_n_sights; i++) {
        put_block(d, &d->eai_sights[i]);
        eai_dump_put_wounds(d, &d->eai_sights[i], slot->eai_begin, slot->eai_end);
    }
    return more;
}

/* --- stores that are no allocator's ----------------------------------------------------------- */

static uint8_t dump_store(dump_t *d)
{
    const ea_dump_stores_t *stores = &d->eai_options->stores;
    if (stores->eai_how == NULL || d->eai_index >= stores->eai_n) return AT_RANGES;
    const ea_dump_range_t *range = &stores->eai_list[d->eai_index++];
    const char *begin = range->begin;
    d->eai_in_region = false;
    if (!eai_dump_is_readable(d, begin, range->size_bytes)) {
        eai_dump_put_trouble(d, EA_DUMP_RANGE, begin, "store");
        return AT_STORES;
    }
    bool possible = stores->eai_how->begin(d, NULL, begin, begin + range->size_bytes, range->name);
    return possible ? AT_STORE_BLOCKS : AT_STORES;
}

static uint8_t dump_store_block(dump_t *d)
{
#if EA_CFG_ALLOC_MOVABLE
    if (d->eai_in_region) {
        const slot_t *slot = &d->eai_allocator->eai_slots[d->eai_index - 1u];
        return eai_dump_store_block(d, slot) ? AT_STORE_BLOCKS : AT_REGION;
    }
#endif
    return d->eai_options->stores.eai_how->next(d, NULL) ? AT_STORE_BLOCKS : AT_STORES;
}

/* --- ranges and end --------------------------------------------------------------------------- */

static uint8_t dump_range(dump_t *d)
{
    const ea_dump_options_t *o = d->eai_options;
    if (d->eai_index >= o->n_extra || o->extra == NULL) return AT_END;
    const ea_dump_range_t *range = &o->extra[d->eai_index++];
    eai_dump_open(d, EAI_RECORD_RANGE, 3);
    eai_dump_put_text(d, range->name);
    eai_dump_put_address(d, range->begin);
    eai_dump_put_u(d, range->size_bytes);
    d->eai_raw = range->begin;
    d->eai_raw_bytes = range->begin != NULL ? range->size_bytes : 0;
    return AT_RANGE_BYTES;
}

static bool dump_range_bytes(dump_t *d)
{
    size_t n = d->eai_raw_bytes < RAW_BYTES ? d->eai_raw_bytes : RAW_BYTES;
    if (n != 0) eai_dump_put_raw(d, d->eai_raw, n);
    d->eai_raw += n;
    d->eai_raw_bytes -= n;
    return d->eai_raw_bytes != 0;
}

static void dump_end(dump_t *d)
{
    static const unsigned char stop = 0xFF;
    uint32_t crc = d->eai_crc;
    eai_dump_open(d, EAI_RECORD_END, 2);
    eai_dump_put_u(d, d->eai_n_records);
    eai_dump_put_u(d, crc);
    eai_dump_put(d, &stop, 1);
    eai_dump_flush(d);
}

/* --- steps ------------------------------------------------------------------------------------ */

static void go_to(dump_t *d, uint8_t phase)
{
    bool begins = phase == AT_RANGES && d->eai_phase != AT_RANGE_BYTES;
    begins |= phase == AT_STORES && d->eai_phase < AT_STORES;
    if (begins) d->eai_index = 0;
    d->eai_phase = phase;
}

/* The first records, of which there is one each. */
static uint8_t dump_once(dump_t *d)
{
    switch (d->eai_phase) {
    case AT_HEAD: dump_head(d); break;
#if EA_CFG_ALLOC_REPORT
    case AT_FAILURE: dump_failure(d); break;
    case AT_DAMAGE: dump_damage(d); break;
#endif
    case AT_COUNTERS: dump_counters(d); break;
    default: break;
    }
    return d->eai_allocator != NULL ? (uint8_t)(d->eai_phase + 1u) : AT_STORES;
}

static void step(dump_t *d)
{
    uint8_t next = d->eai_phase;
    switch (d->eai_phase) {
    case AT_ACCOUNTS:
#if EAI_ALLOC_OWNERS
        if (dump_next_account(d)) break;
#endif
        d->eai_index = 0;
        next = AT_REGION;
        break;
    case AT_REGION: next = dump_region(d); break;
    case AT_HEAP: next = dump_heap(d); break;
    case AT_BLOCKS:
        if (!dump_blocks(d)) next = AT_REGION;
        break;
#if EA_CFG_ALLOC_POOLS
    case AT_POOLS: {
        eai_dump_pool_t then = eai_dump_pool(d);
        next = then == EAI_DUMP_NO_POOL      ? AT_STORES
               : then == EAI_DUMP_ITS_BLOCKS ? AT_POOL_BLOCKS
                                             : AT_POOLS;
        break;
    }
    case AT_POOL_BLOCKS:
        if (!eai_dump_pool_blocks(d)) next = AT_POOLS;
        break;
#else
    case AT_POOLS: next = AT_STORES; break;
#endif
    case AT_STORES: next = dump_store(d); break;
    case AT_STORE_BLOCKS: next = dump_store_block(d); break;
    case AT_RANGES: next = dump_range(d); break;
    case AT_RANGE_BYTES:
        if (!dump_range_bytes(d)) next = AT_RANGES;
        break;
    case AT_END:
        dump_end(d);
        next = IS_DONE;
        break;
    default: next = dump_once(d); break;
    }
    go_to(d, next);
}

ea_status_t ea_dump_begin(dump_t *dump, const alloc_t *allocator, const ea_dump_options_t *options)
{
    if (dump == NULL || options == NULL || options->write == NULL) return EA_ERR_INVALID;
    if (allocator == NULL && options->stores.eai_how == NULL) return EA_ERR_INVALID;
    memset(dump, 0, sizeof *dump);
    dump->eai_allocator = allocator;
    dump->eai_options = options;
    return EA_OK;
}

ea_status_t ea_dump_step(dump_t *dump, size_t max_steps)
{
    if (dump == NULL || dump->eai_options == NULL) return EA_ERR_INVALID;
    for (size_t i = 0; (i < max_steps || i == 0) && dump->eai_phase != IS_DONE; i++) {
        step(dump);
        if (!dump->eai_failed) continue;
        ea_dump_end(dump);
        return EA_ERR_CANCELLED;
    }
    if (dump->eai_failed) return EA_ERR_CANCELLED;
    return dump->eai_phase == IS_DONE ? EA_OK : EA_ERR_AGAIN;
}

ea_status_t ea_dump(dump_t *dump, const alloc_t *allocator, const ea_dump_options_t *options)
{
    ea_status_t status = ea_dump_begin(dump, allocator, options);
    if (status != EA_OK) return status;
    do status = ea_dump_step(dump, SIZE_MAX); /* bound: see the top */
    while (status == EA_ERR_AGAIN);
    return status;
}

void ea_dump_end(dump_t *dump)
{
    if (dump == NULL || dump->eai_options == NULL) return;
    if (dump->eai_phase == AT_BLOCKS && dump->eai_options->is_live &&
        dump->eai_cursor.eai_state != 0) {
        slot_t *slot = &locks_of(dump)->eai_slots[dump->eai_index - 1u];
        (void)eai_lock_slot(locks_of(dump), slot, false);
        if (slot->eai_heap != NULL && slot->eai_heap == dump->eai_heap.eai_heap)
            ea_heap_walk_end(slot->eai_heap);
        eai_unlock_slot(locks_of(dump), slot);
    }
    dump->eai_phase = IS_DONE;
}
