/* SPDX-License-Identifier: MIT
 *
 * Movable blocks: life, holes, allocation, freeing, resizing. movable_move.c holds what moves
 * blocks, movable_lock.c what any context may call, movable_check.c what looks at a store.
 *
 *     [control][block][hole][block][block] ... [hole][end][entries] top
 *
 *     block  [units|index|PF]   payload ............
 *     fixed  [units|0|PF]       payload ............    a block without an entry, at the high end
 *     hole   [units|F] next prev ........ [units|F]     the header again, in its last unit
 *     end    [0|PF]
 *
 * A block is found by its entry and knows its index, so that whoever walks the headers finds the
 * entry to change. Holes of one and two units are too small for links: they are in no list, but
 * their neighbours find them, and compaction squeezes them out. Only the table's end grows, into a
 * hole at the end of the memory.
 *
 * Invariants
 *   I1 the control structure's numbers lie in the store's memory
 *   I2 blocks and holes tile the memory from first to end
 *   I3 a header has PF set exactly when what is below is a hole, whose header stands in its last
 *      unit too; no two holes touch
 *   I4 a block's entry names its payload, except while it is being moved
 *   I5 a hole of 3 units or more is linked into the bin of its size, its neighbours point back
 *   I6 a bin's bit is set exactly when its list is not empty
 *   I7 entries that are not of a block are free, each once in the list (small: their bits are set)
 *   I8 the counters equal what the blocks say
 *   Of the move under way: its composite is one block, of the size of the block and the hole that
 *   it moves into (I2); its bytes stand where eai_move_t says.
 *
 * Complexity: alloc looks at no more than EAI_LOOKS holes of the request's own bin, then at one of
 * a larger one; free does at most two unlinks and an insert. What moves blocks walks the headers
 * up to four times.
 *
 * Rejected: sliding at every operation (moves far more); size-class pages (half empty ones cost
 * more than moving saves below some 100 KB); a table at the start (it grows where blocks gather).
 */
#include "stores/movable_internal.h"

#define EAI_LOOKS 8u

/* --- holes ------------------------------------------------------------------------------------ */

EAI_QUICK void unlink_hole(ea_movable_t *m, units_t hole, units_t units)
{
    if (units < EAI_LISTED) return;
    links_t links = *links_at(m, hole);
    if (links.next) links_at(m, links.next)->prev = links.prev;
    if (links.prev) {
        links_at(m, links.prev)->next = links.next;
        return;
    }
    uint32_t bin = bin_of(units);
    m->bins[bin] = links.next;
    if (!links.next) m->words[bin >> 5] &= ~eai_bit(bin);
}

/* A hole of so many units; what is above it knows already, what is below is a block. */
EAI_QUICK void put_hole(ea_movable_t *m, units_t hole, units_t units)
{
    *at(m, hole) = *at(m, hole + units - 1u) = resized(EAI_HOLE, units);
    if (hole < m->lowest) m->lowest = hole;
    if (units < EAI_LISTED) return;
    uint32_t bin = bin_of(units);
    links_t links = {m->bins[bin], 0};
    *links_at(m, hole) = links;
    if (links.next) links_at(m, links.next)->prev = (link_t)hole;
    m->bins[bin] = (link_t)hole;
    m->words[bin >> 5] |= eai_bit(bin);
}

units_t eai_movable_make_hole(ea_movable_t *m, units_t place, units_t units)
{
    units_t above = place + units;
    head_t head = *at(m, above);
    if (head & EAI_HOLE) {
        unlink_hole(m, above, units_of(head));
        units += units_of(head);
    } else {
        put_head(m, above, head | EAI_PREV_FREE);
    }
    if (*at(m, place) & EAI_PREV_FREE) {
        units_t below = units_of(*at(m, place - 1u));
        place -= below;
        unlink_hole(m, place, below);
        units += below;
    }
    put_hole(m, place, units);
    keep_cursor(m, place, units);
    return place;
}

void eai_movable_unlink(ea_movable_t *m, units_t hole, units_t units)
{
    unlink_hole(m, hole, units);
}

EAI_QUICK void take(ea_movable_t *m, units_t hole, units_t units)
{
    units_t hole_units = units_of(*at(m, hole)), above = hole + units;
    unlink_hole(m, hole, hole_units);
    m->free_units -= units;
    if (hole_units != units)
        put_hole(m, above, hole_units - units);
    else
        put_head(m, above, *at(m, above) & ~(head_t)EAI_PREV_FREE);
}

EAI_QUICK units_t find(const ea_movable_t *m, units_t units)
{
    uint32_t bin = bin_of(units < EAI_LISTED ? EAI_LISTED : units);
    units_t hole = m->bins[bin];
    for (uint32_t i = 0; hole && i < EAI_LOOKS; i++) {
        if (units_of(*at(m, hole)) >= units) return hole;
        hole = links_at(m, hole)->next;
    }
    uint32_t word = ++bin >> 5;
    if (word >= EAI_BIN_WORDS) return 0;
    uint32_t bits = eai_bits_from(m->words[word], bin & 31u);
    if (bits) return m->bins[bin + eai_bits_first(bits)];
    while (++word < EAI_BIN_WORDS) {
        if (m->words[word]) return m->bins[word * 32u + eai_bits_first(m->words[word])];
    }
    return 0;
}

void eai_movable_take(ea_movable_t *m, units_t hole, units_t units)
{
    take(m, hole, units);
}

units_t eai_movable_find(const ea_movable_t *m, units_t units)
{
    return find(m, units);
}

/* --- entries ---------------------------------------------------------------------------------- */

#if EAI_SMALL

static uint32_t take_entry(ea_movable_t *m)
{
    /* From where the last one was taken on, so that one that was given back rests longest. */
    uint32_t chunk = m->next_entry >> 5, bits = 0;
    bits = *free_word(m, chunk) & ~0u << (m->next_entry & 31u);
    if (!bits) {
        uint32_t half = chunk >> 5;
        uint32_t rest = m->chunks[half] & ((~0u << (chunk & 31u)) << 1);
        if (!rest) {
            half ^= 1u;
            rest = m->chunks[half];
            if (!rest) rest = m->chunks[half ^= 1u];
        }
        chunk = half * 32u + 31u - eai_clz32(rest & (0u - rest));
        bits = *free_word(m, chunk);
    }
    uint32_t bit = bits & (0u - bits);
    uint32_t index = chunk * 32u + 31u - eai_clz32(bit);
    if (!(*free_word(m, chunk) &= ~bit)) m->chunks[chunk >> 5] &= ~(1u << (chunk & 31u));
    m->next_entry = index;
    return index;
}

static void give_entry(ea_movable_t *m, uint32_t index)
{
    uint32_t chunk = index >> 5;
    *free_word(m, chunk) |= 1u << (index & 31u);
    m->chunks[chunk >> 5] |= 1u << (chunk & 31u);
}

EA_INLINE state_t free_state(uint32_t gen)
{
    return (state_t)(gen << 2);
}

static void fill_entry(ea_movable_t *m, uint32_t index, uint32_t gen, units_t place)
{
    (void)gen;
    EAI_SET_STATE(entry(m, index), place << 2);
}

#else

static uint32_t take_entry(ea_movable_t *m)
{
    uint32_t index = m->free_head;
    m->free_head = place_of(m, index, *entry(m, index));
    return index;
}

static void give_entry(ea_movable_t *m, uint32_t index)
{
    if (m->n_handles == m->n_live) {
        m->free_head = index;
    } else {
#if EAI_LARGE
        entry_at(m, m->free_tail)->place = index;
#else
        state_t *tail = entry(m, m->free_tail);
        EAI_SET_STATE(tail, (*tail & 0xFFFFu) | index << 16);
#endif
    }
    m->free_tail = index;
}

EA_INLINE state_t free_state(uint32_t gen)
{
    return gen << EAI_GEN_SHIFT | EAI_FREE_ENTRY;
}

static void fill_entry(ea_movable_t *m, uint32_t index, uint32_t gen, units_t place)
{
#if EAI_LARGE
    entry_at(m, index)->place = place;
    EAI_SET_STATE(entry(m, index), gen << EAI_GEN_SHIFT);
#else
    EAI_SET_STATE(entry(m, index), place << 16 | gen << EAI_GEN_SHIFT);
#endif
}

#endif

/* A chunk of new entries below the others; the memory is the table's already. */
static void add_entries(ea_movable_t *m)
{
    uint32_t first = m->first_entry - EAI_CHUNK_ENTRIES;
#if EAI_SMALL
    *free_word(m, first >> 5) = 0;
#endif
    for (uint32_t i = EAI_CHUNK_ENTRIES; i--;) { /* a constant */
        *entry(m, first + i) = free_state(1);
        give_entry(m, first + i);
        m->n_handles++;
    }
    EAI_PUBLISH(&m->first_entry, first); /* whoever tries a handle of these finds them free */
}

bool eai_movable_grow_table(ea_movable_t *m)
{
    const units_t chunk = EAI_TABLE_CHUNK_BYTES >> EAI_UNIT_SHIFT;
    if (m->n_handles + EAI_CHUNK_ENTRIES > m->max_handles) return false;
    if (!(*at(m, m->end) & EAI_PREV_FREE)) return false;
    units_t hole = units_of(*at(m, m->end - 1u));
    if (hole < chunk) return false;
    units_t place = m->end - hole;
    eai_movable_unlink(m, place, hole);
    m->end -= chunk;
    m->free_units -= chunk;
    *at(m, m->end) = *at(m, place) = 0;
    keep_headers(m, m->end, chunk + 1u);
    if (hole > chunk) eai_movable_make_hole(m, place, hole - chunk);
    add_entries(m);
    return true;
}

/* Entries taken in idle time, when a sweep has brought its hole to the end, save a request the
 * search for them. */
#define EAI_SPARE_ENTRIES 16u

bool eai_movable_wants_entries(const ea_movable_t *m)
{
    return m->n_handles - m->n_live < EAI_SPARE_ENTRIES;
}

/* --- alloc and free --------------------------------------------------------------------------- */

static EA_NOINLINE ea_status_t refuse(ea_movable_t *m, ea_status_t status)
{
    m->refusal = (int8_t)status;
    m->n_failures++;
    if (status == EA_ERR_AGAIN) m->n_again++;
    return status;
}

ea_status_t ea_movable_last_refusal(const ea_movable_t *m)
{
    return (ea_status_t)m->refusal;
}

/* The note of a request's charge. */
static void note_charge(ea_movable_t *m, size_t charged)
{
    if (charged > m->max_demand_bytes) m->max_demand_bytes = charged;
}

/* A hole for a request that no hole or no entry serves as it is; 0: refused. */
static EA_NOINLINE units_t make_room(ea_movable_t *m, units_t units, size_t budget_bytes)
{
    size_t left = budget_bytes;
    units_t hole = 0;
    ea_status_t status = EA_OK;
    if (m->n_live == m->n_handles) status = eai_movable_more_entries(m, units, &left);
    if (status == EA_OK) {
        /* Without this test hopeless requests would move blocks. */
        if (units > m->free_units)
            status = units > m->end - m->first ? EA_ERR_TOO_LARGE : EA_ERR_NO_MEMORY;
        else
            hole = eai_movable_compact(m, units, &left, &status);
    }
    note_charge(m, budget_bytes - left);
    if (!hole) (void)refuse(m, status);
    return hole;
}

ea_movable_handle_t ea_movable_alloc(ea_movable_t *m, size_t size_bytes, size_t budget_bytes)
{
    ea_movable_handle_t handle = {0};
    units_t units = units_for(size_bytes), hole = 0;
    if (EA_LIKELY(m->n_live != m->n_handles && units <= m->free_units)) hole = find(m, units);
    if (EA_UNLIKELY(!hole)) {
        hole = make_room(m, units, budget_bytes);
        if (!hole) return handle;
    }
    take(m, hole, units);
    uint32_t index = take_entry(m);
    uint32_t gen = gen_of(m, index, *entry(m, index));
    m->n_live++;
    put_head(m, hole, resized(tag(index, gen), units));
    fill_entry(m, index, gen, hole + 1u);
    handle.eai_word = handle_word(index, gen);
    return handle;
}

/* The handle is of a live block, whose state is in *state. */
EAI_QUICK bool look_up(const ea_movable_t *m, ea_movable_handle_t handle, state_t *state)
{
    uint32_t index = handle.eai_word >> EAI_HANDLE_SHIFT;
    if (index < m->first_entry) return false;
    *state = EAI_STATE(entry(m, index));
    return !is_free_entry(*state) && gen_of(m, index, *state) == gen_in_handle(handle.eai_word);
}

/* Does the header at place agree with its entry and with what is above? */
EAI_QUICK bool is_whole(const ea_movable_t *m, uint32_t index, units_t place)
{
    if (place - m->first >= m->end - m->first) return false;
    head_t head = *at(m, place);
    units_t units = units_of(head);
    if ((head & EAI_HOLE) || index_of(head) != index || units < EAI_MIN_UNITS) return false;
    return units <= m->end - place && !(*at(m, place + units) & EAI_PREV_FREE);
}

/* Is the move under way, or yet to be settled, one of this block? */
EAI_QUICK bool is_of_move(const ea_movable_t *m, uint32_t index)
{
    return m->move.n && index_of(m->move.head) == index;
}

/* The entry becomes free, unless it has changed. */
static bool retire(ea_movable_t *m, uint32_t index, uint32_t gen, state_t state)
{
    gen = gen == EAI_MAX_GEN ? 1u : gen + 1u;
    EAI_ENTER(irq);
    bool done =
        EAI_LINKED(entry(m, index)) == state && EAI_COND(entry(m, index), state, free_state(gen));
    EAI_LEAVE(irq);
    return done;
}

ea_status_t ea_movable_free(ea_movable_t *m, ea_movable_handle_t handle)
{
    uint32_t index = handle.eai_word >> EAI_HANDLE_SHIFT;
    uint32_t gen = gen_in_handle(handle.eai_word);
    units_t place;
    bool done;
    do { /* again if it was locked and unlocked meanwhile */
        state_t state;
        if (!look_up(m, handle, &state)) return EA_ERR_NOT_FOUND;
        if (locks_of(state)) return EA_ERR_BUSY;
        if (EA_UNLIKELY(is_moving(state))) {
            /* What was copied is forgotten; the block is free with the hole it moved into. */
            EAI_MASK_BEGIN(irq);
            place = m->move.to - 1u;
            done = retire(m, index, gen, state);
            if (done) {
                m->free_units -= m->move.from - m->move.to;
                m->move.n = m->move.k = 0;
            }
            EAI_MASK_END(irq);
        } else {
            /* Who locked it in flight finished the move: what is around it has to be settled. */
            if (EA_UNLIKELY(is_of_move(m, index))) eai_movable_finish_move(m);
            place = place_of(m, index, state) - 1u;
            if (EA_CFG_CHECK_LEVEL && !is_whole(m, index, place)) return EA_ERR_CORRUPT;
            done = retire(m, index, gen, state);
        }
    } while (!done);
    give_entry(m, index);
    m->n_live--;
    units_t units = units_of(*at(m, place));
    m->free_units += units;
    (void)eai_movable_make_hole(m, place, units);
    return EA_OK;
}

/* --- blocks that stay ------------------------------------------------------------------------- */

#if EA_CFG_MOVABLE_FIXED
/* Take units from the end of a hole. Returns the block's place. */
static units_t take_end(ea_movable_t *m, units_t hole, units_t units)
{
    units_t hole_units = units_of(*at(m, hole)), above = hole + hole_units;
    head_t head = resized(0, units);
    unlink_hole(m, hole, hole_units);
    m->free_units -= units;
    if (hole_units != units) {
        put_hole(m, hole, hole_units - units);
        head |= EAI_PREV_FREE;
    }
    put_head(m, above - units, head);
    put_head(m, above, *at(m, above) & ~(head_t)EAI_PREV_FREE);
    return above - units;
}

void *ea_movable_alloc_fixed(ea_movable_t *m, size_t size_bytes, size_t align_bytes,
                             size_t budget_bytes)
{
    return eai_movable_alloc_fixed_at(m, size_bytes, align_bytes, 0, budget_bytes);
}

void *eai_movable_alloc_fixed_at(ea_movable_t *m, size_t size_bytes, size_t align_bytes,
                                 size_t offset_bytes, size_t budget_bytes)
{
    units_t units = units_for(size_bytes), most = m->end - m->first, hole = 0;
    ea_status_t status = EA_ERR_TOO_LARGE;
    size_t left = budget_bytes, spare = align_bytes >> EAI_UNIT_SHIFT; /* at most one less */
    if (spare) spare--;
    if (align_bytes & (align_bytes - 1u)) {
        status = EA_ERR_INVALID;
    } else if (units <= most && spare <= most - units) {
        units += (units_t)spare;
        status = EA_ERR_NO_MEMORY;
        if (units <= m->free_units) hole = eai_movable_compact_high(m, units, &left, &status);
    }
    note_charge(m, budget_bytes - left);
    if (!hole) {
        (void)refuse(m, status);
        return NULL;
    }
    /* What is left over for the alignment is the block's, if it is in front of it, a hole's. */
    units_t above = hole + units_of(*at(m, hole));
    units_t place = above - (units - (units_t)spare);
    uintptr_t address = (uintptr_t)at(m, place + 1u) + offset_bytes;
    place -= (units_t)(address >> EAI_UNIT_SHIFT) & (units_t)spare;
    m->n_fixed++;
    return at(m, take_end(m, hole, above - place) + 1u);
}

ea_status_t ea_movable_probe_fixed(const ea_movable_t *m, const void *address, size_t *size_bytes)
{
    size_t offset = (size_t)((uintptr_t)address - (uintptr_t)m);
    if (offset % EAI_UNIT_BYTES || offset >> EAI_UNIT_SHIFT <= m->first ||
        offset >> EAI_UNIT_SHIFT >= m->end)
        return EA_ERR_FOREIGN;
    units_t place = (units_t)(offset >> EAI_UNIT_SHIFT) - 1u;
    head_t head = *at(m, place);
    units_t units = units_of(head);
    if (head & EAI_HOLE) return EA_ERR_DOUBLE_FREE;
    if (!is_fixed(head)) return EA_ERR_FOREIGN;
    if (units < EAI_MIN_UNITS || units > m->end - place || *at(m, place + units) & EAI_PREV_FREE)
        return EA_ERR_CORRUPT;
    *size_bytes = (size_t)(units - 1u) << EAI_UNIT_SHIFT;
    return EA_OK;
}

ea_status_t ea_movable_free_fixed(ea_movable_t *m, void *address)
{
    size_t size_bytes;
    ea_status_t status = ea_movable_probe_fixed(m, address, &size_bytes);
    if (status != EA_OK) return status;
    units_t place = (units_t)(((uintptr_t)address - (uintptr_t)m) >> EAI_UNIT_SHIFT) - 1u;
    units_t units = (units_t)(size_bytes >> EAI_UNIT_SHIFT) + 1u;
    m->n_fixed--;
    m->free_units += units;
    *at(m, place) |= EAI_HOLE; /* who frees it again finds that, also inside a larger hole */
    (void)eai_movable_make_hole(m, place, units);
    return EA_OK;
}
#endif

/* --- resize ----------------------------------------------------------------------------------- */

static void shrink(ea_movable_t *m, units_t place, units_t old_units, units_t units)
{
    put_head(m, place, resized(*at(m, place), units));
    m->free_units += old_units - units;
    *at(m, place + units) = 0;
    (void)eai_movable_make_hole(m, place + units, old_units - units);
}

/* Grow into the hole above, if that suffices. */
static bool grow(ea_movable_t *m, units_t place, units_t old_units, units_t units)
{
    units_t above = place + old_units;
    head_t head = *at(m, above);
    if (!(head & EAI_HOLE) || units_of(head) < units - old_units) return false;
    eai_movable_take(m, above, units - old_units);
    keep_headers(m, place, units);
    put_head(m, place, resized(*at(m, place), units));
    return true;
}

/* Away to a hole, which exists. */
static ea_status_t go(ea_movable_t *m, units_t place, units_t hole, units_t units)
{
    units_t old_units = units_of(*at(m, place)), gone = place;
    eai_movable_take(m, hole, units);
    bool went =
        eai_movable_move(m, place, hole, resized(*at(m, place) & ~(head_t)EAI_PREV_FREE, units));
    if (!went) gone = hole, old_units = units, *at(m, hole) = 0;
    m->free_units += old_units;
    (void)eai_movable_make_hole(m, gone, old_units);
    return went ? EA_OK : EA_ERR_BUSY;
}

ea_status_t ea_movable_resize(ea_movable_t *m, ea_movable_handle_t handle, size_t size_bytes,
                              size_t budget_bytes)
{
    uint32_t index = handle.eai_word >> EAI_HANDLE_SHIFT;
    units_t units = units_for(size_bytes);
    size_t left = budget_bytes;
    state_t state;
    if (!look_up(m, handle, &state)) return EA_ERR_NOT_FOUND;
    if (is_of_move(m, index)) {
        eai_movable_finish_move(m);
        state = EAI_STATE(entry(m, index));
    }
    units_t place = place_of(m, index, state) - 1u, old_units;
    if (EA_CFG_CHECK_LEVEL && !is_whole(m, index, place)) return EA_ERR_CORRUPT;
    old_units = units_of(*at(m, place));
    if (units < old_units) shrink(m, place, old_units, units);
    if (units <= old_units || grow(m, place, old_units, units)) return EA_OK;

    ea_status_t status = EA_ERR_BUSY;
    if (!locks_of(state)) {
        units_t hole = 0;
        status = EA_ERR_AGAIN;
        if (units - old_units > m->free_units)
            status = units > m->end - m->first ? EA_ERR_TOO_LARGE : EA_ERR_NO_MEMORY;
        else if (units <= m->free_units)
            hole = eai_movable_compact(m, units, &left, &status);
        place = place_of(m, index, EAI_STATE(entry(m, index))) - 1u; /* it may have moved itself */
        if (hole) {
            status = go(m, place, hole, units);
        } else if (left && (status == EA_ERR_AGAIN || status == EA_ERR_BUSY)) {
            status = eai_movable_gather(m, index, units - old_units, &left);
            place = place_of(m, index, EAI_STATE(entry(m, index))) - 1u;
            if (status == EA_OK && !grow(m, place, old_units, units)) status = EA_ERR_BUSY;
        }
        note_charge(m, budget_bytes - left);
    }
    return status == EA_OK ? EA_OK : refuse(m, status);
}

#if EA_CFG_MOVABLE_RELOCATE
void ea_movable_set_relocate(ea_movable_t *m, ea_movable_relocate_t relocate, void *context)
{
    eai_movable_finish_move(m);
    m->relocate = relocate;
    m->relocate_context = context;
}
#endif

/* --- life ------------------------------------------------------------------------------------- */

/* What `ealloc inspect` needs beside the types' debug information to make sense of a core. It
 * stands in the debug information alone. */
enum eai_movable_layout {
    EAI_LAYOUT_MOVABLE = EA_CFG_MOVABLE_LAYOUT,
    EAI_LAYOUT_MOVABLE_FEATURES =
        EA_CFG_MOVABLE_ISR | EA_CFG_MOVABLE_FIXED << 1 | EA_CFG_MOVABLE_RELOCATE << 2
};

ea_movable_t *ea_movable_init(void *mem, size_t size_bytes, const ea_movable_options_t *options)
{
    (void)(enum eai_movable_layout)0; /* or the compiler would leave it out */
    ea_movable_options_t o = {0, 0};
    size_t skipped = (size_t)(0u - (uintptr_t)mem) & (EAI_STORE_ALIGN - 1u);
    if (options) o = *options;
    if (o.max_handles == 0) o.max_handles = EA_MOVABLE_MAX_HANDLES;
    if (o.max_handles > EA_MOVABLE_MAX_HANDLES || o.n_handles > o.max_handles) return NULL;
    if (o.n_handles == 0) o.n_handles = 1;
    /* Whole chunks, as the table grows. */
    o.n_handles = (o.n_handles + EAI_CHUNK_ENTRIES - 1u) / EAI_CHUNK_ENTRIES * EAI_CHUNK_ENTRIES;
    if (o.max_handles < o.n_handles) o.max_handles = o.n_handles;
    size_t table = table_bytes(o.n_handles);
    if (!mem || size_bytes < skipped) return NULL;
    size_bytes = whole_bytes(size_bytes - skipped);
    if (size_bytes < ((size_t)(EAI_CONTROL_UNITS + EAI_MIN_UNITS + 1u) << EAI_UNIT_SHIFT) + table)
        return NULL;

    ea_movable_t *m = (ea_movable_t *)(void *)((char *)mem + skipped);
    memset(m, 0, sizeof *m);
    m->table = (uintptr_t)m + size_bytes - EAI_TABLE_SPAN;
    m->first_entry = EAI_INDEXES;
#if EAI_SMALL
    m->next_entry = EAI_INDEXES - 1u;
#endif
    m->first = m->cursor = m->lowest = EAI_CONTROL_UNITS;
    m->end = (units_t)((size_bytes - table) >> EAI_UNIT_SHIFT) - 1u;
    m->max_handles = o.max_handles;
    while (m->n_handles < o.n_handles) add_entries(m);
    m->free_units = m->end - m->first;
    *at(m, m->end) = *at(m, m->first) = 0;
    (void)eai_movable_make_hole(m, m->first, m->free_units);
    return m;
}
