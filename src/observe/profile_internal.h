/* SPDX-License-Identifier: MIT
 *
 * What counting and reading the profile share; profile.c tells the story.
 */
#ifndef EALLOC_OBSERVE_PROFILE_INTERNAL_H
#define EALLOC_OBSERVE_PROFILE_INTERNAL_H

#include "base/atomic.h"
#include "ealloc/profile.h"

typedef ea_profile_t profile_t;
typedef eai_profile_row_t row_t;
typedef eai_profile_rows_t rows_t;
typedef eai_profile_place_t place_t;

#define EAI_KEY_NONE 0u
#define EAI_KEY_BUSY 1u
#define EAI_KEY_FIRST 2u /* unknown site, nobody */

EA_INLINE uintptr_t eai_sum(const row_t *row, unsigned which)
{
    return EAI_LOAD(&row->eai_sums[which], EAI_RELAXED);
}

/* Blocks that came and are gone. */
EA_INLINE uintptr_t eai_n_freed(const row_t *row)
{
    uintptr_t n = eai_sum(row, EAI_PROFILE_N_ENDED);
    for (unsigned i = 0; i < EA_PROFILE_LIFETIMES; i++) n += eai_sum(row, EAI_PROFILE_LIFETIME + i);
    return n;
}

EA_INLINE uintptr_t eai_live_bytes(const row_t *row)
{
    uintptr_t freed = eai_sum(row, EAI_PROFILE_FREED_BYTES);
    return eai_sum(row, EAI_PROFILE_ALLOC_BYTES) - freed;
}

/* In units of the clock. */
uint32_t eai_profile_now(const profile_t *p);

/* Count every block in the table as freed. */
void eai_profile_forget_blocks(profile_t *p);

#endif
