/* SPDX-License-Identifier: MIT
 *
 * The layouts of a store of movable blocks and what its sources share. movable.c tells the story.
 */
#ifndef EALLOC_STORES_MOVABLE_INTERNAL_H
#define EALLOC_STORES_MOVABLE_INTERNAL_H

#include "base/atomic.h"
#include "base/bits.h"
#include "base/mem.h"
#include "ealloc/movable.h"
#include "ealloc/port.h"

/* Of what a request goes through: a copy at each place where speed is asked for, one where size is
 * (a tenth of the code at -Os). */
#ifdef __OPTIMIZE_SIZE__
#define EAI_QUICK static inline
#else
#define EAI_QUICK EA_INLINE
#endif

/* --- units ------------------------------------------------------------------------------------ */

/* Bytes are counted in units: of a block's size, header included, and of its place, from the store.
 */
typedef uint32_t units_t;

#define EAI_SMALL (EA_CFG_MOVABLE_LAYOUT == 0)
#define EAI_LARGE (EA_CFG_MOVABLE_LAYOUT == 2)

#if EAI_SMALL
typedef uint32_t EA_MAY_ALIAS head_t; /* units:14 idx:11 gen:5 PF F */
typedef uint16_t EA_MAY_ALIAS state_t;
typedef uint16_t EA_MAY_ALIAS link_t;
#define EAI_UNIT_SHIFT 2
#define EAI_UNITS_SHIFT 18
#define EAI_INDEX_SHIFT 7
#define EAI_INDEX_BITS 11
#define EAI_MAX_UNITS 0x3FFFu
#define EAI_GEN_SHIFT 2
#define EAI_MAX_GEN 31u
#define EAI_HANDLE_SHIFT 21
#define EAI_MAX_LOCKS 3u
#elif !EAI_LARGE
typedef uint32_t EA_MAY_ALIAS head_t; /* units:16 idx:14 PF F */
typedef uint32_t EA_MAY_ALIAS state_t;
typedef uint16_t EA_MAY_ALIAS link_t;
#define EAI_UNIT_SHIFT 2
#define EAI_UNITS_SHIFT 16
#define EAI_INDEX_SHIFT 2
#define EAI_INDEX_BITS 14
#define EAI_MAX_UNITS 0xFFFFu
#define EAI_GEN_SHIFT 8
#define EAI_MAX_GEN 255u
#define EAI_HANDLE_SHIFT 18
#define EAI_MAX_LOCKS 125u
#else
typedef uint64_t EA_MAY_ALIAS head_t; /* units:32 0:6 idx:24 PF F */
typedef uint32_t EA_MAY_ALIAS state_t;
typedef uint32_t EA_MAY_ALIAS link_t;
#define EAI_UNIT_SHIFT 3
#define EAI_UNITS_SHIFT 32
#define EAI_INDEX_SHIFT 2
#define EAI_INDEX_BITS 24
#define EAI_MAX_UNITS 0xFFFFFFF0u
#define EAI_GEN_SHIFT 8
#define EAI_MAX_GEN 255u
#define EAI_HANDLE_SHIFT 8
#define EAI_MAX_LOCKS 125u
#endif

#define EAI_UNIT_BYTES (1u << EAI_UNIT_SHIFT)
#define EAI_MIN_UNITS 2u /* a header and one unit of payload      */
#define EAI_LISTED 3u    /* a hole of as many units is in a bin   */
#define EAI_INDEX_MASK ((1u << EAI_INDEX_BITS) - 1u)
#define EAI_CHUNK_UNITS (32u >> EAI_UNIT_SHIFT)
EA_STATIC_ASSERT(EAI_MAX_LOCKS == EA_MOVABLE_MAX_LOCKS, "as the header says");
EA_STATIC_ASSERT(sizeof(head_t) == EAI_UNIT_BYTES, "a header is a unit");
EA_STATIC_ASSERT(sizeof(head_t) == EA_MOVABLE_HEADER_BYTES, "as the header says");

/* Header flags. A hole never has PREV_FREE: neighbours that are both free are one. */
#define EAI_HOLE 1u
#define EAI_PREV_FREE 2u

typedef struct {
    link_t next, prev; /* holes, by their place; 0: none */
} EA_MAY_ALIAS links_t;

/* What one context writes and another reads at the same time, a word at a time; a header's two
 * words of a large layout on a small machine too, of which one is ever read. */
#if EA_CFG_MOVABLE_ISR
#define EAI_PEEK(word) EAI_LOAD(word, EAI_RELAXED)
#define EAI_POKE(word, value) EAI_STORE(word, value, EAI_RELAXED)
#define EAI_PUBLISH(word, value) EAI_STORE(word, value, EAI_RELEASE)
#else
#define EAI_PEEK(word) (*(word))
#define EAI_POKE(word, value) ((void)(*(word) = (value)))
#define EAI_PUBLISH(word, value) ((void)(*(word) = (value)))
#endif
#if EAI_LARGE && UINTPTR_MAX <= UINT32_MAX
#define EAI_PEEK_HEAD(head) (*(head))
#define EAI_POKE_HEAD(head, value) ((void)(*(head) = (value)))
#else
#define EAI_PEEK_HEAD(head) EAI_PEEK(head)
#define EAI_POKE_HEAD(head, value) EAI_POKE(head, value)
#endif

/* --- bins: one for each size up to 15 units, then 4 per doubling ------------------------------ */

#if EAI_SMALL
#define EAI_BINS 56u
#elif !EAI_LARGE
#define EAI_BINS 64u
#else
#define EAI_BINS 128u
#endif
#define EAI_BIN_WORDS ((EAI_BINS + 31u) / 32u)
#define EAI_EXACT 16u /* below it a bin's holes are of one size */

EAI_QUICK uint32_t bin_of(units_t units)
{
    if (units < EAI_EXACT) return units;
    uint32_t e = 29u - eai_clz32(units);
    return (e << 2) + (units >> e) + 4u;
}

/* --- the store -------------------------------------------------------------------------------- */

/* The one move under way. Bytes that are copied are at their new place, the rest at the old one,
 * whenever nobody is inside a masked section; n and k change only there. n 0: none is under way,
 * and k is 0. k == n: the entry names the new place, and the owner has yet to settle what is around
 * it. Only a slide outlives a call: its header counts the hole that it moves into. */
typedef struct {
    units_t from, to; /* the payload's first unit */
    units_t n, k;     /* units to copy, and copied */
    head_t head;      /* at the new place          */
} eai_move_t;

struct ea_movable {
    uintptr_t table;      /* where entry 0 would stand: the last one stands at the memory's end */
    uint32_t first_entry; /* a lower index names none */
    units_t first;        /* the first block or hole  */
    units_t end;          /* the end header           */
    units_t free_units;
    units_t cursor; /* of the sweep: a header                              */
    units_t lowest; /* hole known to the next sweep, which begins there: a header, too */
    units_t passed; /* by the hole that the sweep carries, since it grew */
    eai_move_t move;
    uint32_t n_handles, max_handles, n_live;
#if EA_CFG_MOVABLE_RELOCATE
    ea_movable_relocate_t relocate;
    void *relocate_context;
#endif
#if EA_CFG_MOVABLE_FIXED
    uint32_t n_fixed;
#endif
#if EAI_SMALL
    uint32_t chunks[2]; /* a bit for each chunk of the table with a free entry */
    uint32_t next_entry;
#else
    uint32_t free_head, free_tail; /* of the free entries: first in, first out; none: n_live says */
#endif
    size_t moved_units, n_moves, max_demand_bytes;
    uint32_t n_failures, n_again;
    int8_t refusal;
    bool has_moved; /* in this sweep                            */
    bool is_strict; /* it passes no hole, however small         */
    bool is_kept;   /* the next move is not given up so easily  */
    uint32_t words[EAI_BIN_WORDS];
    link_t bins[EAI_BINS];
};

#define EAI_CONTROL_UNITS                                                                          \
    ((uint32_t)((sizeof(struct ea_movable) + EAI_UNIT_BYTES - 1u) >> EAI_UNIT_SHIFT))

/* --- conversions, each in one place ----------------------------------------------------------- */

EA_INLINE head_t *at(const ea_movable_t *m, units_t place)
{
    return (head_t *)(void *)((char *)(uintptr_t)m + ((size_t)place << EAI_UNIT_SHIFT));
}

EA_INLINE links_t *links_at(const ea_movable_t *m, units_t hole)
{
    return (links_t *)(void *)at(m, hole + 1u);
}

EA_INLINE units_t units_of(head_t head)
{
    return (units_t)(head >> EAI_UNITS_SHIFT);
}

EA_INLINE uint32_t index_of(head_t head)
{
    return (uint32_t)(head >> EAI_INDEX_SHIFT) & EAI_INDEX_MASK;
}

/* The same header with another size. */
EA_INLINE head_t resized(head_t head, units_t units)
{
    return (head & (((head_t)1 << EAI_UNITS_SHIFT) - 1u)) | (head_t)units << EAI_UNITS_SHIFT;
}

#if EA_CFG_MOVABLE_FIXED
/* A fixed block has no entry: its header names the lowest one, of no generation, which could only
 * name another block. So does the end's, and a header that is not written yet. */
EA_INLINE bool is_fixed(head_t head)
{
    return !(resized(head, 0) & ~(head_t)EAI_PREV_FREE);
}
#else
#define is_fixed(head) ((void)(head), false)
#endif

EA_INLINE void put_head(const ea_movable_t *m, units_t place, head_t head)
{
    EAI_POKE_HEAD(at(m, place), head);
}

/* Bytes in units; more than EAI_MAX_UNITS: too many. */
EA_INLINE units_t units_for(size_t size_bytes)
{
    if (size_bytes > ((size_t)(EAI_MAX_UNITS - 1u) << EAI_UNIT_SHIFT)) return EAI_MAX_UNITS + 1u;
    units_t payload = (units_t)((size_bytes + EAI_UNIT_BYTES - 1u) >> EAI_UNIT_SHIFT);
    return payload ? payload + 1u : EAI_MIN_UNITS;
}

/* --- the table: the entry of the highest index stands at the memory's end, the others below --- */

#define EAI_INDEXES (1u << EAI_INDEX_BITS)
#define EAI_TABLE_SPAN ((size_t)(EAI_INDEXES / EAI_CHUNK_ENTRIES) * EAI_TABLE_CHUNK_BYTES)

#if EAI_SMALL

/* Chunks of 32 entries and a word with a bit for each that is free. An entry: place:14 locks:2 of a
 * live block; its place is 0 while the block is being moved, and of a free entry it is the next
 * generation: both are places within the control structure. */
#define EAI_ENTRY_BYTES 2u
#define EAI_CHUNK_ENTRIES 32u
#define EAI_TABLE_CHUNK_BYTES 68u
#define EAI_FIRST_PLACE 32u
#define EAI_STATE_MOVING 0u
EA_STATIC_ASSERT(EAI_CONTROL_UNITS >= EAI_FIRST_PLACE, "no block has a free entry's place");

/* A chunk: the word, then its entries. */
EA_INLINE uint32_t *free_word(const ea_movable_t *m, uint32_t chunk)
{
    return (uint32_t *)(m->table + (size_t)chunk * EAI_TABLE_CHUNK_BYTES);
}
EA_INLINE state_t *entry_in(uintptr_t table, uint32_t index)
{
    return (state_t *)(table + 4u + (index >> 5) * 4u + index * 2u);
}
EA_INLINE state_t *entry(const ea_movable_t *m, uint32_t index)
{
    return entry_in(m->table, index);
}
EA_INLINE uint32_t locks_of(state_t state)
{
    return state & 3u;
}
EA_INLINE bool is_moving(state_t state)
{
    return state == EAI_STATE_MOVING;
}
EA_INLINE bool is_free_entry(state_t state)
{
    return state >> 2 < EAI_FIRST_PLACE && state != EAI_STATE_MOVING;
}
EA_INLINE units_t place_of(const ea_movable_t *m, uint32_t index, state_t state)
{
    (void)index;
    return is_moving(state) ? m->move.from : state >> 2;
}
EA_INLINE state_t moving(state_t state)
{
    (void)state;
    return EAI_STATE_MOVING;
}
/* Of a handle and of a header. */
EA_INLINE uint32_t gen_in_handle(uint32_t handle)
{
    return handle >> 2 & EAI_MAX_GEN;
}
/* What stands there may be no header any more, but bytes of a block that somebody writes to: the
 * value is then void, and the store that it is read for fails. */
EAI_RACY uint32_t head_gen(const ea_movable_t *m, units_t place)
{
    return (uint32_t)EAI_LOAD_RACY(at(m, place)) >> EAI_GEN_SHIFT & EAI_MAX_GEN;
}
EA_INLINE uint32_t gen_of(const ea_movable_t *m, uint32_t index, state_t state)
{
    (void)index;
    if (is_free_entry(state)) return state >> 2;
    if (is_moving(state)) return (uint32_t)(m->move.head >> EAI_GEN_SHIFT) & EAI_MAX_GEN;
    return head_gen(m, (state >> 2) - 1u);
}
EA_INLINE uint32_t handle_word(uint32_t index, uint32_t gen)
{
    return index << EAI_HANDLE_SHIFT | gen << 2;
}
/* Is the block live, of that handle, not in flight, and may it be locked once more? */
EA_INLINE bool can_lock(const ea_movable_t *m, uint32_t handle, state_t state)
{
    units_t place = state >> 2;
    return place >= EAI_FIRST_PLACE && locks_of(state) < EAI_MAX_LOCKS &&
           head_gen(m, place - 1u) == gen_in_handle(handle);
}
EA_INLINE bool can_unlock(const ea_movable_t *m, uint32_t handle, state_t state)
{
    if (!EA_CFG_CHECK_LEVEL) return locks_of(state) != 0;
    units_t place = state >> 2;
    return place >= EAI_FIRST_PLACE && locks_of(state) != 0 &&
           head_gen(m, place - 1u) == gen_in_handle(handle);
}
EA_INLINE head_t tag(uint32_t index, uint32_t gen)
{
    return index << EAI_INDEX_SHIFT | gen << EAI_GEN_SHIFT;
}
#define EAI_LINKED(word) EAI_LOAD_LINKED_U16(word)
#define EAI_COND(word, seen, value) EAI_STORE_COND_U16(word, seen, (state_t)(value))

#else

/* An entry's state: place:16 (medium) gen:8 locks:8. */
#define EAI_ENTRY_BYTES ((uint32_t)sizeof(entry_t))
#define EAI_CHUNK_ENTRIES 8u
#define EAI_FREE_ENTRY 126u
#define EAI_MOVING 127u

#if EAI_LARGE
typedef struct {
    state_t state;
    uint32_t place; /* of a free entry: the next one */
} EA_MAY_ALIAS entry_t;
#define EAI_GEN_OF_HANDLE(handle) ((handle) << 8 & 0xFFFFu)
#else
typedef state_t entry_t;
#define EAI_GEN_OF_HANDLE(handle) ((handle)&0xFF00u)
#endif
#define EAI_TABLE_CHUNK_BYTES ((uint32_t)(EAI_CHUNK_ENTRIES * sizeof(entry_t)))

EA_INLINE state_t *entry_in(uintptr_t table, uint32_t index)
{
    return (state_t *)(table + (size_t)index * sizeof(entry_t));
}
EA_INLINE entry_t *entry_at(const ea_movable_t *m, uint32_t index)
{
    return (entry_t *)(void *)entry_in(m->table, index);
}
EA_INLINE state_t *entry(const ea_movable_t *m, uint32_t index)
{
    return entry_in(m->table, index);
}
EA_INLINE uint32_t locks_of(state_t state)
{
    return (state & 127u) <= EAI_MAX_LOCKS ? state & 127u : 0;
}
EA_INLINE bool is_moving(state_t state)
{
    return (state & 127u) == EAI_MOVING;
}
EA_INLINE bool is_free_entry(state_t state)
{
    return (state & 127u) == EAI_FREE_ENTRY;
}
EA_INLINE units_t place_of(const ea_movable_t *m, uint32_t index, state_t state)
{
#if EAI_LARGE
    (void)state;
    return entry_at(m, index)->place;
#else
    (void)m, (void)index;
    return state >> 16;
#endif
}
EA_INLINE state_t moving(state_t state)
{
    return state | EAI_MOVING;
}
EA_INLINE uint32_t gen_of(const ea_movable_t *m, uint32_t index, state_t state)
{
    (void)m, (void)index;
    return state >> EAI_GEN_SHIFT & EAI_MAX_GEN;
}
EA_INLINE uint32_t gen_in_handle(uint32_t handle)
{
    return EAI_GEN_OF_HANDLE(handle) >> 8;
}
EA_INLINE uint32_t handle_word(uint32_t index, uint32_t gen)
{
    return index << EAI_HANDLE_SHIFT | (EAI_LARGE ? gen : gen << 8);
}
/* One compare for all: where the generations differ the difference is 256 or more. */
EA_INLINE bool can_lock(const ea_movable_t *m, uint32_t handle, state_t state)
{
    (void)m;
    return ((state ^ EAI_GEN_OF_HANDLE(handle)) & 0xFFFFu) < EAI_MAX_LOCKS;
}
EA_INLINE bool can_unlock(const ea_movable_t *m, uint32_t handle, state_t state)
{
    (void)m;
    if (!EA_CFG_CHECK_LEVEL) return (state & 127u) != 0;
    return ((state ^ EAI_GEN_OF_HANDLE(handle)) & 0xFFFFu) - 1u < EAI_MAX_LOCKS;
}
EA_INLINE head_t tag(uint32_t index, uint32_t gen)
{
    (void)gen;
    return (head_t)index << EAI_INDEX_SHIFT;
}
#define EAI_LINKED(word) EAI_LOAD_LINKED(word)
#define EAI_COND(word, seen, value) EAI_STORE_COND_U32(word, seen, value)
#endif

/* Where a store's memory ends from which so many bytes may be had from its first on: a multiple of
 * units; 0: the layout cannot hold so much. */
EA_INLINE size_t whole_bytes(size_t size_bytes)
{
    size_t most = (size_t)EAI_MAX_UNITS << EAI_UNIT_SHIFT;
    if (size_bytes >> EAI_UNIT_SHIFT > EAI_MAX_UNITS)
        size_bytes = size_bytes - most <= EAI_UNIT_BYTES ? most : 0;
    return size_bytes & ~(size_t)(EAI_UNIT_BYTES - 1u);
}

/* Bytes of a table of so many entries. */
EA_INLINE size_t table_bytes(uint32_t n_handles)
{
    return (size_t)(n_handles / EAI_CHUNK_ENTRIES) * EAI_TABLE_CHUNK_BYTES;
}

/* What the store's first byte is aligned to. */
#define EAI_STORE_ALIGN (EAI_LARGE ? 8u : sizeof(void *) > 4 ? 8u : 4u)

/* --- who else uses the store ------------------------------------------------------------------ */

/* With EA_CFG_MOVABLE_ISR other contexts lock and unlock: an entry's state changes by a conditional
 * store, moves in masked sections. */
#if EA_CFG_MOVABLE_ISR
#define EAI_MASK_BEGIN(irq) ea_port_irq_t irq = ea_port_irq_mask()
#define EAI_MASK_END(irq) ea_port_irq_restore(irq)
#define EAI_STATE(word) EAI_LOAD(word, EAI_ACQUIRE)
#define EAI_SET_STATE(word, value) EAI_STORE(word, (state_t)(value), EAI_RELEASE)
#else
#undef EAI_LINKED
#undef EAI_COND
#undef EAI_ENTER
#undef EAI_LEAVE
#define EAI_LINKED(word) (*(word))
#define EAI_COND(word, seen, value) (*(word) = (state_t)(value), true)
#define EAI_ENTER(irq)
#define EAI_LEAVE(irq)
#define EAI_MASK_BEGIN(irq)
#define EAI_MASK_END(irq)
#define EAI_STATE(word) (*(word))
#define EAI_SET_STATE(word, value) (*(word) = (state_t)(value))
#endif

/* Does the owner alone finish moves, with a call? */
#if EA_CFG_MOVABLE_RELOCATE
#define EAI_RELOCATES(m) EA_UNLIKELY((m)->relocate != NULL)
#else
#define EAI_RELOCATES(m) false
#endif

/* A handle beyond the table; without checks none is ever asked for. */
EA_INLINE bool is_beyond(const ea_movable_t *m, uint32_t handle)
{
    return EA_CFG_CHECK_LEVEL && handle >> EAI_HANDLE_SHIFT < EAI_PEEK(&m->first_entry);
}

/* What the cursor of the sweep may stand on: not the inside of this. */
EA_INLINE void keep_cursor(ea_movable_t *m, units_t place, units_t units)
{
    if (m->cursor - place < units) m->cursor = place;
}

/* What a block that moves is charged to a budget. */
EA_INLINE size_t charge_for(units_t units)
{
    return ((size_t)(units - 1u) << EAI_UNIT_SHIFT) + EA_MOVABLE_MOVE_CHARGE_BYTES;
}

/* Nor what the next sweep begins at. */
EA_INLINE void keep_headers(ea_movable_t *m, units_t place, units_t units)
{
    keep_cursor(m, place, units);
    if (m->lowest - place < units) m->lowest = place;
}

/* --- across the store's sources --------------------------------------------------------------- */

/* As many units from place on, used by nobody and in no list, become a hole, one with its
 * neighbours; *at(place) says whether one is below. Returns its place. */
units_t eai_movable_make_hole(ea_movable_t *m, units_t place, units_t units);
void eai_movable_unlink(ea_movable_t *m, units_t hole, units_t units);
/* A hole of at least so many units; 0: none found. */
units_t eai_movable_find(const ea_movable_t *m, units_t units);
/* Take units from the start of a hole; the header is the caller's to write. */
void eai_movable_take(ea_movable_t *m, units_t hole, units_t units);

/* Copy a chunk of the move under way, if there is one. */
void eai_movable_copy_chunk(ea_movable_t *m, units_t most);
/* Finish it and settle what is around; nothing without one. */
void eai_movable_finish_move(ea_movable_t *m);
/* The block at place moves to a place whose header is to be head. False: somebody holds it. */
bool eai_movable_move(ea_movable_t *m, units_t place, units_t to, head_t head);
/* Make a hole of so many units within a budget. Its place; 0: *status says why not. */
units_t eai_movable_compact(ea_movable_t *m, units_t units, size_t *budget_bytes,
                            ea_status_t *status);
#if EA_CFG_MOVABLE_FIXED
/* The same for a block that stays: the hole ends where a fixed block, the memory or a locked block
 * bounds it. */
units_t eai_movable_compact_high(ea_movable_t *m, units_t units, size_t *budget_bytes,
                                 ea_status_t *status);
#endif
/* Bring a hole of so many units to the end of a block that nobody holds, within a budget. */
ea_status_t eai_movable_gather(ea_movable_t *m, uint32_t index, units_t units,
                               size_t *budget_bytes);
/* Entries in a hole at the end of the memory. False: there is none, or the table is at its limit.
 */
bool eai_movable_grow_table(ea_movable_t *m);
/* More entries for a request of so many units, within a budget. */
ea_status_t eai_movable_more_entries(ea_movable_t *m, units_t units, size_t *budget_bytes);
bool eai_movable_wants_entries(const ea_movable_t *m);

#endif
