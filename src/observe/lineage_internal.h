/* SPDX-License-Identifier: MIT
 *
 * What recording and reading lineages share; lineage.c tells the story.
 */
#ifndef EALLOC_OBSERVE_LINEAGE_INTERNAL_H
#define EALLOC_OBSERVE_LINEAGE_INTERNAL_H

#include "base/tally.h"
#include "ealloc/lineage.h"

typedef ea_lineage_t lineage_t;

/* A place; behind these words its hand-overs. */
enum {
    EAI_L_BLOCK,
    EAI_L_SERIAL,
    EAI_L_SITE,
    EAI_L_PARENT,
    EAI_L_PARENT_SERIAL,
    EAI_L_SIZE,
    EAI_L_TIME,
    EAI_L_OWNER, /* and the stack, from bit 16 on */
    EAI_L_N_HANDED,
    EAI_L_N
};
EA_STATIC_ASSERT((unsigned)EAI_L_N == EAI_LINEAGE_WORDS, "lineage.h says how large a place is");

/* A hand-over. */
enum { EAI_H_SITE, EAI_H_TIME, EAI_H_OWNER };

#define EAI_LINEAGE_WAYS 8u
#define EAI_IS_FREED ((uintptr_t)1) /* of a block's address */

EA_INLINE uint32_t eai_n_places(const lineage_t *l)
{
    return (uint32_t)1 << (l->eai_shape & 0xFFu);
}

EA_INLINE size_t eai_place_words(const lineage_t *l)
{
    return EAI_LINEAGE_WORDS + l->eai_n_hand_overs * EAI_LINEAGE_HOP_WORDS;
}

EA_INLINE uintptr_t *eai_nth_place(const lineage_t *l, uint32_t i)
{
    uintptr_t *tasks = (uintptr_t *)(uintptr_t)(l + 1);
    return tasks + l->eai_n_tasks * EAI_LINEAGE_TASK_WORDS + i * eai_place_words(l);
}

EA_INLINE uintptr_t *eai_nth_way(const lineage_t *l, uintptr_t block, uint32_t i)
{
    return eai_nth_place(l, ((eai_hash_of(block) >> 12) + i) & (eai_n_places(l) - 1u));
}

/* The place that holds this word; NULL: none does. */
EA_INLINE uintptr_t *eai_find_place(const lineage_t *l, uintptr_t block, uintptr_t word)
{
    for (uint32_t i = 0; i < EAI_LINEAGE_WAYS; i++) {
        uintptr_t *place = eai_nth_way(l, block, i);
        if (EAI_LOAD(place, EAI_ACQUIRE) == word) return place;
    }
    return NULL;
}

EA_INLINE uintptr_t *eai_nth_hop(uintptr_t *place, size_t i)
{
    return place + EAI_LINEAGE_WORDS + i * EAI_LINEAGE_HOP_WORDS;
}

#endif
