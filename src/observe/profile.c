/* SPDX-License-Identifier: MIT
 *
 * The profile of allocations: counting. profile_read.c reads it, profile_attach.c joins it to an
 * allocator.
 *
 *     rows    [other][row 0][row 1] ... [row n - 1]     one table of sites, one of owners
 *     places  [place 0] ... [place n - 1]               one for each live block
 *
 * A key's row is one of eight from its hash on, a block's place likewise.
 *
 * P1  Every counter is only added to, so the sum of two rows is the same before and after one is
 *     poured into the other, whoever adds to either meanwhile.
 * P2  A row whose key is neither 0 nor 1 keeps its key until an evictor takes it; there is one
 *     evictor at a time, and it looks for the key again first. So no key has two rows.
 * P3  A place belongs to the context that put its block there until that has stored the block's
 *     address again; after that to the one that frees the block. The allocator tells of a free
 *     before the block can be given to another.
 * P4  What a block added to its rows when it came is what it adds to the freed side of them when it
 *     goes; of a site's row that was given to another site meanwhile (its generation differs), to
 *     other, which has the first half too.
 *
 * Cost: two probes, one place and six additions to come, a look and four to go.
 *
 * Rejected: masking interrupts around an event, because on a host that is two system calls;
 * counters of what is live, which need one addition more than the difference of two that are needed
 * anyhow; a chain of blocks a row, which cannot be cut without a lock; the tag as the place of a
 * birth time: it has no room for one of useful length, and untagged blocks have no tag.
 */
#include "observe/profile_internal.h"

#include "base/mem.h"
#include "base/tally.h"
#include "ealloc/port.h"

#define N_WAYS 8u
#define LEAST 8u
#define MOST 32768u
#define UNIT_US 64u
#define BYTES_LOG2 6u /* so many bytes held are worth an allocation */

#define N_ALLOCS EAI_PROFILE_N_ALLOCS
#define N_ENDED EAI_PROFILE_N_ENDED
#define ALLOC_BYTES EAI_PROFILE_ALLOC_BYTES
#define FREED_BYTES EAI_PROFILE_FREED_BYTES
#define SIZE EAI_PROFILE_SIZE
#define LIFETIME EAI_PROFILE_LIFETIME

EA_STATIC_ASSERT(LIFETIME + EA_PROFILE_LIFETIMES == EAI_PROFILE_N_SUMS, "lifetimes come last");

/* --- words ------------------------------------------------------------------------------------ */

/* What only the advice rests on: two contexts at once may lose one. */
EA_INLINE void count_roughly(row_t *row, unsigned which)
{
    EAI_STORE(&row->eai_sums[which], eai_sum(row, which) + 1u, EAI_RELAXED);
}

/* --- hashes and classes ----------------------------------------------------------------------- */

/* Of other bits than those that say where its place is. */
EA_INLINE bool is_tracked(const profile_t *p, uint32_t hash)
{
    return EA_LIKELY(p->eai_most == UINT32_MAX) || (hash ^ hash >> 15) * 0x85EBCA6Bu <= p->eai_most;
}

EA_INLINE unsigned class_of(uintptr_t value, unsigned n_classes)
{
#if UINTPTR_MAX > 0xFFFFFFFFu
    unsigned bits = value ? 64u - (unsigned)__builtin_clzll((unsigned long long)value) : 0;
#else
    unsigned bits = value ? 32u - (unsigned)__builtin_clz((unsigned)value) : 0;
#endif
    return bits < n_classes ? bits : n_classes - 1u;
}

uint32_t eai_profile_now(const profile_t *p)
{
    if (p->eai_clock) return *p->eai_clock;
    uint64_t us = ea_port_time_coarse_us();
    return p->eai_unit_us == UNIT_US ? (uint32_t)(us / UNIT_US) : (uint32_t)(us / p->eai_unit_us);
}

/* --- rows ------------------------------------------------------------------------------------- */

EA_INLINE row_t *nth_way(const rows_t *rows, uint32_t hash, unsigned i)
{
    return &rows->eai_rows[1u + (((hash >> rows->eai_shift) + i) & rows->eai_mask)];
}

/* The row with this key, or an empty one that now has it; NULL: neither is there. */
EA_INLINE row_t *find_row(const rows_t *rows, uintptr_t key)
{
    uint32_t hash = eai_hash_of(key);
    for (unsigned i = 0; i < N_WAYS; i++) {
        row_t *row = nth_way(rows, hash, i);
        uintptr_t seen = EAI_LOAD(&row->eai_key, EAI_ACQUIRE); /* with evict */
        if (EA_LIKELY(seen == key)) return row;
        if (seen != EAI_KEY_NONE) continue;
        while (EAI_LOAD(&row->eai_key, EAI_RELAXED) == EAI_KEY_NONE) { /* bound: interrupts */
            EAI_ENTER(irq);
            (void)EAI_CAS(&row->eai_key, EAI_KEY_NONE, key);
            EAI_LEAVE(irq);
        }
        if (EAI_LOAD(&row->eai_key, EAI_ACQUIRE) == key) return row;
    }
    return NULL;
}

static uintptr_t cost_of(const row_t *row)
{
    return eai_sum(row, N_ALLOCS) + (eai_live_bytes(row) >> BYTES_LOG2);
}

/* All that row counted is other's (P1). */
static void pour(row_t *row, row_t *other)
{
    for (unsigned i = 0; i < EAI_PROFILE_N_SUMS; i++) {
        EAI_ENTER(irq);
        uintptr_t n = eai_sum(row, i);
        if (n != 0) {
            (void)eai_add(&other->eai_sums[i], n);
            (void)eai_add(&row->eai_sums[i], (uintptr_t)0 - n);
        }
        EAI_LEAVE(irq);
    }
    EAI_ENTER(irq);
    eai_raise(&other->eai_peak_bytes, eai_live_bytes(other));
    EAI_LEAVE(irq);
    EAI_STORE(&row->eai_peak_bytes, 0, EAI_RELAXED);
    EAI_STORE(&row->eai_window_n, 0, EAI_RELAXED);
    EAI_STORE(&row->eai_window_bytes, 0, EAI_RELAXED);
    EAI_STORE(&row->eai_most_n, 0, EAI_RELAXED);
    EAI_STORE(&row->eai_n_spared, 0, EAI_RELAXED);
}

/* The cheapest of the key's rows, if it is cheaper than what came by without one. */
static row_t *evict(profile_t *p, const rows_t *rows, uintptr_t key)
{
    uint32_t hash = eai_hash_of(key);
    row_t *cheapest = NULL;
    uintptr_t least = UINTPTR_MAX;
    for (unsigned i = 0; i < N_WAYS; i++) {
        row_t *row = nth_way(rows, hash, i);
        if (EAI_LOAD(&row->eai_key, EAI_RELAXED) == key) return row; /* P2 */
        uintptr_t cost = cost_of(row);
        if (cost < least || !cheapest) {
            cheapest = row;
            least = cost;
        }
    }
    uintptr_t n_spared = EAI_LOAD(&cheapest->eai_n_spared, EAI_RELAXED) + 1u;
    EAI_STORE(&cheapest->eai_n_spared, n_spared, EAI_RELAXED);
    if (n_spared <= least) return NULL;
    EAI_STORE(&cheapest->eai_key, EAI_KEY_BUSY, EAI_RELAXED);
    EAI_STORE(&cheapest->eai_generation, cheapest->eai_generation + 1u, EAI_SEQ_CST); /* P4 */
    pour(cheapest, rows->eai_rows);
    EAI_STORE(&cheapest->eai_key, key, EAI_RELEASE);
    eai_tally(&p->eai_n_evicted, 1);
    return cheapest;
}

static EA_NOINLINE row_t *row_by_force(profile_t *p, const rows_t *rows, uintptr_t key)
{
    row_t *row = NULL;
    if (rows == &p->eai_tables[EA_PROFILE_SITES]) {
        EAI_ENTER(irq);
        bool is_ours = eai_claim(&p->eai_is_evicting, 0, EAI_TAKEN);
        EAI_LEAVE(irq);
        if (is_ours) {
            row = evict(p, rows, key);
            EAI_STORE(&p->eai_is_evicting, 0, EAI_RELEASE); /* pairs with the above */
        }
    }
    return row ? row : rows->eai_rows;
}

/* Never NULL: other, where the key has no row. */
EA_INLINE row_t *row_of(profile_t *p, ea_profile_table_t table, uintptr_t key)
{
    row_t *row = find_row(&p->eai_tables[table], key);
    return EA_LIKELY(row != NULL) ? row : row_by_force(p, &p->eai_tables[table], key);
}

EA_INLINE row_t *site_row(profile_t *p, const void *site)
{
    uintptr_t key = (uintptr_t)site;
    return row_of(p, EA_PROFILE_SITES, key > EAI_KEY_FIRST ? key : EAI_KEY_FIRST);
}

EA_INLINE row_t *owner_row(profile_t *p, uint16_t owner)
{
    return row_of(p, EA_PROFILE_OWNERS, (uintptr_t)owner + EAI_KEY_FIRST);
}

/* In a section. Returns the number of the allocation. */
EA_INLINE uintptr_t come(row_t *row, uintptr_t size_bytes)
{
    uintptr_t serial = eai_add(&row->eai_sums[N_ALLOCS], 1);
    uintptr_t in_all = eai_add(&row->eai_sums[ALLOC_BYTES], size_bytes);
    uintptr_t live = in_all - eai_sum(row, FREED_BYTES);
    (void)eai_add(&row->eai_sums[SIZE + class_of(size_bytes, EA_PROFILE_SIZES)], 1);
    if (live <= UINTPTR_MAX / 2u) eai_raise(&row->eai_peak_bytes, live);
    return serial;
}

/* In a section. how: LIFETIME + its class, or N_ENDED. */
EA_INLINE void go(row_t *row, unsigned how, uintptr_t size_bytes)
{
    (void)eai_add(&row->eai_sums[how], 1);
    (void)eai_add(&row->eai_sums[FREED_BYTES], size_bytes);
}

/* --- blocks ----------------------------------------------------------------------------------- */

EA_INLINE place_t *nth_place(const profile_t *p, uint32_t hash, unsigned i)
{
    return &p->eai_places[((hash >> p->eai_places_shift) + i) & p->eai_places_mask];
}

/* NULL: there is none. */
EA_INLINE place_t *take_place(profile_t *p, uint32_t hash)
{
    for (unsigned i = 0; i < N_WAYS; i++) {
        place_t *place = nth_place(p, hash, i);
        while (EAI_LOAD(&place->eai_block, EAI_RELAXED) == 0) { /* bound: interrupts */
            EAI_ENTER(irq);
            bool is_ours = eai_claim(&place->eai_block, 0, EAI_TAKEN); /* with leave */
            EAI_LEAVE(irq);
            if (is_ours) return place;
        }
    }
    return NULL;
}

EA_INLINE place_t *find_place(const profile_t *p, uintptr_t block)
{
    uint32_t hash = eai_hash_of(block);
    for (unsigned i = 0; i < N_WAYS; i++) {
        place_t *place = nth_place(p, hash, i);
        if (EAI_LOAD(&place->eai_block, EAI_ACQUIRE) == block) return place; /* with arrive */
    }
    return NULL;
}

EA_INLINE uint16_t index_of(const profile_t *p, ea_profile_table_t table, const row_t *row)
{
    return (uint16_t)(row - p->eai_tables[table].eai_rows);
}

static void arrive(profile_t *p, bool is_realloc, uint16_t owner_id, const void *site_address,
                   uintptr_t block, uintptr_t size_bytes)
{
    row_t *site = site_row(p, site_address), *owner = owner_row(p, owner_id);
    uint16_t generation = (uint16_t)EAI_LOAD(&site->eai_generation, EAI_RELAXED);
    uint32_t hash = eai_hash_of(block);
    EAI_ENTER(irq);
    uintptr_t serial = come(site, size_bytes);
    (void)come(owner, size_bytes);
    if (is_realloc) {
        (void)eai_add(&site->eai_sums[EAI_PROFILE_N_REALLOCS], 1);
        (void)eai_add(&owner->eai_sums[EAI_PROFILE_N_REALLOCS], 1);
    }
    EAI_LEAVE(irq);
    place_t *place = is_tracked(p, hash) ? take_place(p, hash) : NULL;
    if (EA_UNLIKELY(!place)) {
        EAI_ENTER(irq2);
        go(site, N_ENDED, size_bytes);
        go(owner, N_ENDED, size_bytes);
        (void)eai_add(&p->eai_n_untracked, 1);
        EAI_LEAVE(irq2);
        return;
    }
    place->eai_size_bytes = size_bytes;
    place->eai_birth = eai_profile_now(p);
    place->eai_site = index_of(p, EA_PROFILE_SITES, site);
    place->eai_owner = index_of(p, EA_PROFILE_OWNERS, owner);
    place->eai_serial = (uint16_t)serial;
    place->eai_generation = generation;
    EAI_STORE(&place->eai_block, block, EAI_RELEASE); /* pairs with find_place */
}

/* Was it the one allocated last, or just before the one freed last? Or just behind that? */
EA_INLINE void note_order(row_t *site, uint16_t serial)
{
    uint16_t last = (uint16_t)EAI_LOAD(&site->eai_last_freed, EAI_RELAXED);
    bool is_lifo = (uint16_t)eai_sum(site, N_ALLOCS) == serial || (uint16_t)(serial + 1u) == last;
    bool is_fifo = (uint16_t)(last + 1u) == serial;
    if (is_lifo && !is_fifo) count_roughly(site, EAI_PROFILE_N_LIFO);
    if (is_fifo && !is_lifo) count_roughly(site, EAI_PROFILE_N_FIFO);
    EAI_STORE(&site->eai_last_freed, serial, EAI_RELAXED);
}

/* The block of place is gone: freed, or moved by a realloc. */
EA_INLINE void leave(profile_t *p, place_t *place, bool is_freed)
{
    place_t was = *place;
    EAI_STORE(&place->eai_block, 0, EAI_RELEASE); /* P3; pairs with take_place */
    row_t *site = &p->eai_tables[EA_PROFILE_SITES].eai_rows[was.eai_site];
    row_t *owner = &p->eai_tables[EA_PROFILE_OWNERS].eai_rows[was.eai_owner];
    if ((uint16_t)EAI_LOAD(&site->eai_generation, EAI_RELAXED) != was.eai_generation)
        site = p->eai_tables[EA_PROFILE_SITES].eai_rows; /* P4 */
    unsigned how = N_ENDED;
    if (is_freed) {
        note_order(site, was.eai_serial);
        how = LIFETIME + class_of(eai_profile_now(p) - was.eai_birth, EA_PROFILE_LIFETIMES);
    }
    EAI_ENTER(irq);
    go(site, how, was.eai_size_bytes);
    go(owner, how, was.eai_size_bytes);
    EAI_LEAVE(irq);
}

static void depart(profile_t *p, uintptr_t block, bool is_freed)
{
    place_t *place = find_place(p, block);
    if (EA_LIKELY(place != NULL))
        leave(p, place, is_freed);
    else
        eai_tally(&p->eai_n_unknown, 1);
}

static void hand_over(profile_t *p, uintptr_t block, uint16_t to)
{
    place_t *place = find_place(p, block);
    if (!place) return;
    row_t *from = &p->eai_tables[EA_PROFILE_OWNERS].eai_rows[place->eai_owner];
    row_t *owner = owner_row(p, to);
    place->eai_owner = index_of(p, EA_PROFILE_OWNERS, owner);
    EAI_ENTER(irq);
    go(from, N_ENDED, place->eai_size_bytes);
    (void)come(owner, place->eai_size_bytes);
    EAI_LEAVE(irq);
}

void eai_profile_forget_blocks(profile_t *p)
{
    for (uint32_t i = 0; i <= p->eai_places_mask; i++)
        if (p->eai_places[i].eai_block != 0) leave(p, &p->eai_places[i], false);
}

/* --- events ----------------------------------------------------------------------------------- */

static void refuse(profile_t *p, uint16_t owner, const void *site)
{
    eai_tally(&site_row(p, site)->eai_sums[EAI_PROFILE_N_REFUSED], 1);
    eai_tally(&owner_row(p, owner)->eai_sums[EAI_PROFILE_N_REFUSED], 1);
}

void ea_profile_record(profile_t *p, ea_block_event_t what, uint16_t owner, const void *site,
                       const void *block, size_t size_bytes)
{
    uintptr_t address = (uintptr_t)block;
    switch (what) {
    case EA_BLOCK_ALLOCATED: arrive(p, false, owner, site, address, size_bytes); break;
    case EA_BLOCK_FREED: depart(p, address, true); break;
    case EA_BLOCK_MOVED: depart(p, address, false); break;
    case EA_BLOCK_RESIZED: {
        place_t *place = find_place(p, address); /* it stayed where it was */
        if (place) leave(p, place, false);
        arrive(p, true, owner, site, address, size_bytes);
        break;
    }
    case EA_BLOCK_REFUSED: refuse(p, owner, site); break;
    case EA_BLOCK_TRANSFERRED: hand_over(p, address, owner); break;
    case EA_BLOCK_BAD_FREE: break;
    }
}

/* --- beginning -------------------------------------------------------------------------------- */

static bool is_size(uint32_t n)
{
    return n >= LEAST && n <= MOST && (n & (n - 1u)) == 0;
}

static uint32_t shift_of(uint32_t n)
{
    return 1u + (uint32_t)__builtin_clz(n);
}

ea_status_t ea_profile_init(profile_t *p, void *mem, size_t size_bytes,
                            const ea_profile_options_t *options)
{
    if (!p || !mem || !options || ((uintptr_t)mem & (sizeof(uintptr_t) - 1u)) != 0 ||
        !is_size(options->n_sites) || !is_size(options->n_owners) || !is_size(options->n_blocks) ||
        size_bytes < EA_PROFILE_BYTES(options->n_sites, options->n_owners, options->n_blocks) ||
        (options->clock && options->tick_us == 0))
        return EA_ERR_INVALID;
    memset(mem, 0, size_bytes);
    row_t *sites = (row_t *)mem, *owners = sites + options->n_sites + 1u;
    uint32_t n = options->sample_one_in;
    *p = (profile_t){
        .eai_tables = {{sites, options->n_sites - 1u, shift_of(options->n_sites)},
                       {owners, options->n_owners - 1u, shift_of(options->n_owners)}},
        .eai_places = (place_t *)(void *)(owners + options->n_owners + 1u),
        .eai_places_mask = options->n_blocks - 1u,
        .eai_places_shift = shift_of(options->n_blocks),
        .eai_most = n > 1 ? UINT32_MAX / n : UINT32_MAX,
        .eai_unit_us = options->tick_us ? options->tick_us : UNIT_US,
        .eai_clock = options->clock,
    };
    p->eai_window_begin = eai_profile_now(p);
    return EA_OK;
}
