/* SPDX-License-Identifier: MIT
 *
 * What the parts of the leak detector share; leaks.c tells the story.
 */
#ifndef EALLOC_OBSERVE_LEAKS_INTERNAL_H
#define EALLOC_OBSERVE_LEAKS_INTERNAL_H

#include "ealloc/leaks.h"
#include "ealloc/port.h"
#include "observe/places.h"

typedef ea_leaks_t leaks_t;
typedef eai_leaks_row_t row_t;
typedef eai_leaks_place_t place_t;
typedef eai_leaks_span_t span_t;

EA_STATIC_ASSERT(sizeof(row_t) == (sizeof(uintptr_t) == 4 ? 196 : 240), "as leaks.h says");
EA_STATIC_ASSERT(sizeof(place_t) == (sizeof(uintptr_t) == 4 ? 16 : 24), "as leaks.h says");

#define EAI_KEY_NONE 0u
#define EAI_KEY_BUSY 1u
#define EAI_KEY_FIRST 2u /* unknown site */

#define EAI_LEAKS_PASSES 6u      /* a window */
#define EAI_LEAKS_PARTS 16u      /* units between two passes */
#define EAI_LEAKS_LONG 4u        /* windows in one of the long span */
#define EAI_LEAKS_LEAST_CLASS 4u /* 16 units: nothing younger is old */
#define EAI_LEAKS_FEW 8u         /* lifetimes say nothing */

/* Words of less than a machine word that several contexts change: two at once may lose one. */
#define EAI_ROUGH_LOAD(word) __atomic_load_n(word, __ATOMIC_RELAXED)
#define EAI_ROUGH_STORE(word, value) __atomic_store_n(word, value, __ATOMIC_RELAXED)

EA_INLINE uintptr_t eai_leaks_key(const void *site)
{
    return (uintptr_t)site > EAI_KEY_FIRST ? (uintptr_t)site : EAI_KEY_FIRST;
}

EA_INLINE uint32_t eai_leaks_now(const leaks_t *l)
{
    if (l->eai_options.clock) return *l->eai_options.clock;
    uint64_t us = ea_port_time_coarse_us();
    return (uint32_t)(us / l->eai_options.tick_us);
}

EA_INLINE row_t *eai_leaks_nth_way(const leaks_t *l, uint32_t hash, unsigned i)
{
    return &l->eai_rows[((hash >> l->eai_rows_shift) + i) & (l->eai_options.n_sites - 1u)];
}

EA_INLINE eai_places_t eai_leaks_places(const leaks_t *l)
{
    return (eai_places_t){l->eai_places, l->eai_options.n_blocks - 1u, l->eai_places_shift};
}

/* The age above which a block of row is old. */
EA_INLINE uint32_t eai_leaks_old_age(const leaks_t *l, const row_t *row)
{
    return l->eai_unit << EAI_ROUGH_LOAD(&row->eai_old_class);
}

/* A place as it is read beside those who write it; false: no block is there. */
EA_INLINE bool eai_leaks_look(const place_t *place, place_t *seen)
{
    seen->eai_block = EAI_LOAD(&place->eai_block, EAI_ACQUIRE); /* with arrive */
    if (seen->eai_block <= EAI_TAKEN) return false;
    seen->eai_size_bytes = EAI_LOAD(&place->eai_size_bytes, EAI_RELAXED);
    seen->eai_birth = EAI_ROUGH_LOAD(&place->eai_birth);
    seen->eai_site = EAI_ROUGH_LOAD(&place->eai_site);
    seen->eai_owner = EAI_ROUGH_LOAD(&place->eai_owner);
    return EAI_LOAD(&place->eai_block, EAI_RELAXED) == seen->eai_block;
}

/* What was born after now is of age 0. */
EA_INLINE uint32_t eai_leaks_age(uint32_t now, uint32_t birth)
{
    uint32_t age = now - birth;
    return age < UINT32_MAX - UINT32_MAX / 4u ? age : 0;
}

/* Bytes a day by which row grows, by the span whose rule holds; 0: it does not. */
uint64_t eai_leaks_bytes_per_day(const leaks_t *l, const row_t *row);

uint32_t eai_leaks_steady_permille(const row_t *row);

/* SIZE_MAX: not known. */
EA_INLINE size_t eai_leaks_room_bytes(const leaks_t *l, const row_t *row)
{
    return l->eai_room_bytes ? l->eai_room_bytes(l->eai_room_context, row->eai_owner) : SIZE_MAX;
}

/* When the room ends, if so many bytes come each day; UINT64_MAX: never, or it is not known. */
uint64_t eai_leaks_room_ends_us(uint64_t room_bytes, uint64_t bytes_per_day);

/* Begin a boot in the history; note a finding. l has one. */
void eai_leaks_open_history(ea_leaks_history_t *history, uintptr_t image);
void eai_leaks_note(ea_leaks_history_t *history, uintptr_t site, uint8_t kinds);
const eai_leaks_past_t *eai_leaks_past(const ea_leaks_history_t *history, uintptr_t site);
bool eai_leaks_is_past(const eai_leaks_past_t *past);

/* Every block in the table is gone. */
void eai_leaks_forget_blocks(leaks_t *l);

#endif
