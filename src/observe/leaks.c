/* SPDX-License-Identifier: MIT
 *
 * Leaks: what happens to blocks. leaks_poll.c judges, leaks_read.c tells, leaks_history.c keeps
 * what was found over boots, leaks_attach.c joins it to an allocator.
 *
 *     rows    [row 0] ... [row n - 1]        one for each site
 *     places  [place 0] ... [place n - 1]    one for each live block that is watched: when it was
 *                                            born, whose it is, at which site
 *
 * A key's row is one of eight from its hash on, a block's place likewise (places.h).
 *
 * L1  A row's n_live is the number of places that name it, and of contexts between the two.
 * L2  A row is given to another site only while its n_live is 0: the evictor first makes the key
 *     BUSY, then looks at n_live; who brings a block first adds to n_live, then looks at the key.
 *     In the one order of these four accesses one of the two sees the other, and withdraws.
 * L3  No key has two rows: who finds a BUSY one among the eight takes no empty one, there is one
 *     evictor at a time, and it looks for the key again first.
 * L4  A place belongs to the context that put its block there until that has stored the block's
 *     address again; after that to the one that frees the block.
 * L5  Lifetimes, floors and the number of old blocks freed may lose one where two contexts write
 *     them at once: they are for statistics.
 *
 * Rejected: to stand on the profile's tables, because a leak is seldom a costly site, and loses its
 * row there; to keep the birth in the block's tag, which has no room for it; to count the old
 * blocks of a site as they age, which needs a list by age.
 */
#include "base/mem.h"
#include "ealloc/port.h"
#include "observe/leaks_internal.h"

#define LEAST 8u
#define MOST_SITES 32768u
#define MOST_BLOCKS (1u << 30)
#define TICK_US 65536u
#define WINDOW_US (UINT64_C(6) * 3600u * 1000000u)
#define PLACE_BYTES sizeof(place_t)

/* --- rows ------------------------------------------------------------------------------------- */

/* In a section. bound: interrupts */
EA_INLINE void add_in_order(uintptr_t *word, uintptr_t n)
{
#if !defined(EAI_ATOMIC_HEADER) && EAI_ATOMICS == EAI_ATOMICS_CAS
    (void)__atomic_add_fetch(word, n, __ATOMIC_SEQ_CST);
#else
    (void)eai_add(word, n);
#endif
}

/* The row with this key, or an empty one that now has it; NULL: neither is there. */
EA_INLINE row_t *find_row(const leaks_t *l, uintptr_t key)
{
    uint32_t hash = eai_hash_of(key);
    row_t *empty = NULL;
    bool is_busy = false;
    for (unsigned i = 0; i < EAI_N_WAYS; i++) {
        row_t *row = eai_leaks_nth_way(l, hash, i);
        uintptr_t seen = EAI_LOAD(&row->eai_key, EAI_ACQUIRE); /* with evict */
        if (EA_LIKELY(seen == key)) return row;
        if (seen == EAI_KEY_BUSY) is_busy = true;
        if (seen == EAI_KEY_NONE) {
            empty = row;
            break; /* keys fill their ways in order, and none is ever empty again */
        }
    }
    if (!empty || is_busy) return NULL;                              /* L3 */
    while (EAI_LOAD(&empty->eai_key, EAI_RELAXED) == EAI_KEY_NONE) { /* bound: interrupts */
        EAI_ENTER(irq);
        (void)EAI_CAS(&empty->eai_key, EAI_KEY_NONE, key);
        EAI_LEAVE(irq);
    }
    return EAI_LOAD(&empty->eai_key, EAI_ACQUIRE) == key ? empty : NULL;
}

static bool make_busy(row_t *row, uintptr_t seen)
{
    bool is_ours = false;
    while (!is_ours && EAI_LOAD(&row->eai_key, EAI_RELAXED) == seen) { /* bound: interrupts */
        EAI_ENTER(irq);
        is_ours = EAI_CAS_SEQ_CST(&row->eai_key, seen, EAI_KEY_BUSY);
        EAI_LEAVE(irq);
    }
    return is_ours;
}

/* Of the key's rows, one without a live block. */
static row_t *evict(leaks_t *l, uintptr_t key)
{
    uint32_t hash = eai_hash_of(key);
    row_t *idle = NULL;
    for (unsigned i = 0; i < EAI_N_WAYS; i++) {
        row_t *row = eai_leaks_nth_way(l, hash, i);
        if (EAI_LOAD(&row->eai_key, EAI_RELAXED) == key) return row; /* L3 */
        if (EAI_LOAD(&row->eai_n_live, EAI_RELAXED) == 0) idle = row;
    }
    if (!idle) return NULL;
    uintptr_t seen = EAI_LOAD(&idle->eai_key, EAI_RELAXED);
    if (seen == EAI_KEY_NONE || !make_busy(idle, seen)) return NULL;
    if (EAI_LOAD(&idle->eai_n_live, EAI_SEQ_CST) != 0) { /* L2 */
        EAI_STORE(&idle->eai_key, seen, EAI_RELEASE);
        return NULL;
    }
    for (unsigned i = 0; i < EAI_LEAKS_LIFETIMES; i++) EAI_ROUGH_STORE(&idle->eai_lifetimes[i], 0);
    EAI_ROUGH_STORE(&idle->eai_n_old_freed, 0);
    EAI_ROUGH_STORE(&idle->eai_old_class, EAI_LEAKS_LEAST_CLASS);
    EAI_STORE(&idle->eai_floor, 0, EAI_RELAXED);
    EAI_ROUGH_STORE(&idle->eai_generation, (uint16_t)(idle->eai_generation + 1u));
    EAI_STORE(&idle->eai_key, key, EAI_RELEASE);
    return idle;
}

static EA_NOINLINE row_t *row_by_force(leaks_t *l, uintptr_t key)
{
    EAI_ENTER(irq);
    bool is_ours = eai_claim(&l->eai_is_evicting, 0, EAI_TAKEN);
    EAI_LEAVE(irq);
    if (!is_ours) return NULL;
    row_t *row = evict(l, key);
    EAI_STORE(&l->eai_is_evicting, 0, EAI_RELEASE); /* pairs with the claim */
    return row;
}

static void give_up(row_t *row)
{
    EAI_ENTER(irq);
    add_in_order(&row->eai_n_live, (uintptr_t)0 - 1u);
    EAI_LEAVE(irq);
}

/* One more block of this key. NULL: it has no row. */
EA_INLINE row_t *join_row(leaks_t *l, uintptr_t key)
{
    row_t *row = find_row(l, key);
    if (EA_UNLIKELY(!row)) row = row_by_force(l, key);
    if (EA_UNLIKELY(!row)) return NULL;
    EAI_ENTER(irq);
    add_in_order(&row->eai_n_live, 1);
    EAI_LEAVE(irq);
    if (EA_LIKELY(EAI_LOAD(&row->eai_key, EAI_SEQ_CST) == key)) return row; /* L2 */
    give_up(row);
    return NULL;
}

/* --- blocks ----------------------------------------------------------------------------------- */

static void arrive(leaks_t *l, uint16_t owner, const void *site, uintptr_t block,
                   uintptr_t size_bytes)
{
    uint32_t hash = eai_hash_of(block);
    if (!eai_is_sampled(l->eai_most, hash)) return;
    row_t *row = join_row(l, eai_leaks_key(site));
    if (EA_UNLIKELY(!row)) {
        eai_tally(&l->eai_n_unplaced, 1);
        return;
    }
    place_t *place = (place_t *)(void *)eai_take_place(eai_leaks_places(l), PLACE_BYTES, hash);
    if (EA_UNLIKELY(!place)) {
        give_up(row);
        eai_tally(&l->eai_n_untracked, 1);
        return;
    }
    EAI_ENTER(irq);
    (void)eai_add(&row->eai_live_bytes, size_bytes);
    EAI_LEAVE(irq);
    EAI_STORE(&place->eai_size_bytes, size_bytes, EAI_RELAXED);
    EAI_ROUGH_STORE(&place->eai_birth, eai_leaks_now(l));
    EAI_ROUGH_STORE(&place->eai_site, (uint16_t)(row - l->eai_rows));
    EAI_ROUGH_STORE(&place->eai_owner, owner);
    EAI_STORE(&place->eai_block, block, EAI_RELEASE); /* pairs with whoever finds or looks */
}

EA_INLINE void count_roughly(uint16_t *word)
{
    uint16_t n = EAI_ROUGH_LOAD(word);
    if (n < UINT16_MAX) EAI_ROUGH_STORE(word, (uint16_t)(n + 1u));
}

/* Class i of lifetimes is below 2^i units. */
EA_INLINE void note_lifetime(const leaks_t *l, row_t *row, uint32_t age)
{
    unsigned bits = eai_bits_of(age), of_unit = eai_bits_of(l->eai_unit);
    unsigned class = bits > of_unit ? bits - of_unit : 0;
    if (age >= l->eai_unit << class) class ++;
    if (class >= EAI_LEAKS_LIFETIMES) class = EAI_LEAKS_LIFETIMES - 1u;
    count_roughly(&row->eai_lifetimes[class]);
    if (age > eai_leaks_old_age(l, row)) count_roughly(&row->eai_n_old_freed);
}

/* The block of place is gone: freed, or moved by a realloc. */
EA_INLINE void leave(leaks_t *l, place_t *place, bool is_freed)
{
    row_t *row = &l->eai_rows[place->eai_site];
    uintptr_t size_bytes = place->eai_size_bytes;
    uint32_t birth = EAI_ROUGH_LOAD(&place->eai_birth);
    EAI_STORE(&place->eai_block, 0, EAI_RELEASE); /* L4; pairs with eai_take_place */
    if (is_freed) note_lifetime(l, row, eai_leaks_age(eai_leaks_now(l), birth));
    uintptr_t n_left = EAI_LOAD(&row->eai_n_live, EAI_RELAXED) - 1u;
    if (n_left < EAI_LOAD(&row->eai_floor, EAI_RELAXED))
        EAI_STORE(&row->eai_floor, n_left, EAI_RELAXED);
    EAI_ENTER(irq);
    (void)eai_add(&row->eai_live_bytes, (uintptr_t)0 - size_bytes);
    add_in_order(&row->eai_n_live, (uintptr_t)0 - 1u); /* last: L2 */
    EAI_LEAVE(irq);
}

EA_INLINE place_t *find_place(const leaks_t *l, uintptr_t block)
{
    return (place_t *)(void *)eai_find_place(eai_leaks_places(l), PLACE_BYTES, block);
}

static void depart(leaks_t *l, uintptr_t block, bool is_freed)
{
    place_t *place = find_place(l, block);
    if (EA_LIKELY(place != NULL))
        leave(l, place, is_freed);
    else if (eai_is_sampled(l->eai_most, eai_hash_of(block)))
        eai_tally(&l->eai_n_unknown, 1);
}

void eai_leaks_forget_blocks(leaks_t *l)
{
    for (uint32_t i = 0; i < l->eai_options.n_blocks; i++)
        if (l->eai_places[i].eai_block != 0) leave(l, &l->eai_places[i], false);
}

void ea_leaks_forget(leaks_t *l)
{
    if (l) eai_leaks_forget_blocks(l);
}

void ea_leaks_record(leaks_t *l, ea_block_event_t what, uint16_t owner, const void *site,
                     const void *block, size_t size_bytes)
{
    uintptr_t address = (uintptr_t)block;
    switch (what) {
    case EA_BLOCK_ALLOCATED: arrive(l, owner, site, address, size_bytes); break;
    case EA_BLOCK_FREED: depart(l, address, true); break;
    case EA_BLOCK_MOVED: depart(l, address, false); break;
    case EA_BLOCK_RESIZED: {
        place_t *place = find_place(l, address); /* it stayed where it was */
        if (place) leave(l, place, false);
        arrive(l, owner, site, address, size_bytes);
        break;
    }
    case EA_BLOCK_TRANSFERRED: {
        place_t *place = find_place(l, address);
        if (place) EAI_ROUGH_STORE(&place->eai_owner, owner);
        break;
    }
    case EA_BLOCK_REFUSED:
    case EA_BLOCK_BAD_FREE: break;
    }
}

/* --- beginning -------------------------------------------------------------------------------- */

static bool is_size(uint32_t n, uint32_t most)
{
    return n >= LEAST && n <= most && (n & (n - 1u)) == 0;
}

static bool are_right(const ea_leaks_options_t *o, size_t size_bytes, uint64_t window_ticks)
{
    return is_size(o->n_sites, MOST_SITES) && is_size(o->n_blocks, MOST_BLOCKS) &&
           size_bytes >= EA_LEAKS_BYTES(o->n_sites, o->n_blocks) &&
           window_ticks >= (uint64_t)EAI_LEAKS_PASSES * EAI_LEAKS_PARTS &&
           window_ticks < UINT32_MAX / 32u && (o->n_rules == 0 || o->rules);
}

ea_status_t ea_leaks_init(leaks_t *l, void *mem, size_t size_bytes,
                          const ea_leaks_options_t *options)
{
    if (!l || !mem || !options || ((uintptr_t)mem & (sizeof(uintptr_t) - 1u)) != 0 ||
        (options->clock && options->tick_us == 0))
        return EA_ERR_INVALID;
    ea_leaks_options_t o = *options;
    if (o.tick_us == 0) o.tick_us = TICK_US;
    if (o.window_us == 0) o.window_us = WINDOW_US;
    uint64_t window_ticks = o.window_us / o.tick_us;
    if (!are_right(&o, size_bytes, window_ticks)) return EA_ERR_INVALID;
    memset(mem, 0, size_bytes);
    row_t *rows = (row_t *)mem;
    for (uint32_t i = 0; i < o.n_sites; i++) rows[i].eai_old_class = EAI_LEAKS_LEAST_CLASS;
    *l = (leaks_t){
        .eai_options = o,
        .eai_rows = rows,
        .eai_places = (place_t *)(void *)(rows + o.n_sites),
        .eai_rows_shift = eai_shift_of(o.n_sites),
        .eai_places_shift = eai_shift_of(o.n_blocks),
        .eai_most = o.sample_one_in > 1 ? UINT32_MAX / o.sample_one_in : UINT32_MAX,
        .eai_unit = (uint32_t)window_ticks / (EAI_LEAKS_PASSES * EAI_LEAKS_PARTS),
        .eai_room_bytes = o.room_bytes,
        .eai_room_context = o.context,
    };
    l->eai_due = l->eai_now = eai_leaks_now(l);
    if (o.history) eai_leaks_open_history(o.history, o.image);
    return EA_OK;
}
