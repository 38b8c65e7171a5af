/* SPDX-License-Identifier: MIT
 *
 * A table that finds a block by its address, in one of eight places from its hash on, without a
 * lock. A place begins with a word: the block's address; 0: it is free; EAI_TAKEN: it belongs to a
 * context that is about to put a block there.
 */
#ifndef EALLOC_OBSERVE_PLACES_H
#define EALLOC_OBSERVE_PLACES_H

#include "base/tally.h"

#define EAI_N_WAYS 8u

/* Whether sampling takes the block: by other bits than those that say where its place is. */
EA_INLINE bool eai_is_sampled(uint32_t most, uint32_t hash)
{
    return EA_LIKELY(most == UINT32_MAX) || (hash ^ hash >> 15) * 0x85EBCA6Bu <= most;
}

/* How far a hash is shifted for a table of n, a power of two from 2 on. */
EA_INLINE uint32_t eai_shift_of(uint32_t n)
{
    return 1u + (uint32_t)__builtin_clz(n);
}

/* The bits of value. */
EA_INLINE unsigned eai_bits_of(uintptr_t value)
{
#if UINTPTR_MAX > 0xFFFFFFFFu
    return value ? 64u - (unsigned)__builtin_clzll((unsigned long long)value) : 0;
#else
    return value ? 32u - (unsigned)__builtin_clz((unsigned)value) : 0;
#endif
}

/* A table of mask + 1 places of stride bytes. */
typedef struct {
    void *places;
    uint32_t mask, shift;
} eai_places_t;

EA_INLINE uintptr_t *eai_nth_place(eai_places_t t, size_t stride, uint32_t hash, unsigned i)
{
    return (uintptr_t *)(void *)((char *)t.places +
                                 (size_t)(((hash >> t.shift) + i) & t.mask) * stride);
}

/* One that is the caller's now; NULL: there is none. */
EA_INLINE uintptr_t *eai_take_place(eai_places_t t, size_t stride, uint32_t hash)
{
    for (unsigned i = 0; i < EAI_N_WAYS; i++) {
        uintptr_t *place = eai_nth_place(t, stride, hash, i);
        while (EAI_LOAD(place, EAI_RELAXED) == 0) { /* bound: interrupts */
            EAI_ENTER(irq);
            bool is_ours =
                eai_claim(place, 0, EAI_TAKEN); /* pairs with the release that freed it */
            EAI_LEAVE(irq);
            if (is_ours) return place;
        }
    }
    return NULL;
}

/* The block's; NULL: it has none. */
EA_INLINE uintptr_t *eai_find_place(eai_places_t t, size_t stride, uintptr_t block)
{
    uint32_t hash = eai_hash_of(block);
    for (unsigned i = 0; i < EAI_N_WAYS; i++) {
        uintptr_t *place = eai_nth_place(t, stride, hash, i);
        if (EAI_LOAD(place, EAI_ACQUIRE) == block) return place; /* with the one who put it there */
    }
    return NULL;
}

#endif
