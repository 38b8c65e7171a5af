/* SPDX-License-Identifier: MIT
 *
 * Words that several contexts count in: each call is one step for whoever looks on. In the masked
 * form of base/atomic.h they belong between EAI_ENTER and EAI_LEAVE.
 */
#ifndef EALLOC_BASE_TALLY_H
#define EALLOC_BASE_TALLY_H

#include "base/atomic.h"

#define EAI_TAKEN ((uintptr_t)1) /* what eai_claim() leaves */

/* Returns the sum. bound: interrupts */
EA_INLINE uintptr_t eai_add(uintptr_t *word, uintptr_t n)
{
#if !defined(EAI_ATOMIC_HEADER) && EAI_ATOMICS == EAI_ATOMICS_CAS
    return __atomic_add_fetch(word, n, __ATOMIC_RELAXED);
#else
    uintptr_t old;
    do old = EAI_LOAD_LINKED(word);
    while (EA_UNLIKELY(!EAI_STORE_COND(word, old, old + n)));
    return old + n;
#endif
}

/* bound: interrupts */
EA_INLINE void eai_raise(uintptr_t *word, uintptr_t value)
{
    uintptr_t seen;
    while ((seen = EAI_LOAD(word, EAI_RELAXED)) < value)
        if (EAI_CAS(word, seen, value)) return;
}

/* A word that holds `from` becomes `to`, unless another context was first. Acquires, in the masked
 * form too, where whoever stored `from` did so outside of a section. May fail without cause. */
EA_INLINE bool eai_claim(uintptr_t *word, uintptr_t from, uintptr_t to)
{
    return EAI_LOAD_LINKED(word) == from && EAI_LOAD(word, EAI_ACQUIRE) == from &&
           EAI_STORE_COND(word, from, to);
}

/* The same as a section of its own. */
EA_INLINE void eai_tally(uintptr_t *word, uintptr_t n)
{
    EAI_ENTER(irq);
    (void)eai_add(word, n);
    EAI_LEAVE(irq);
}

/* Fibonacci hashing; the upper bits are the good ones. */
EA_INLINE uint32_t eai_hash_of(uintptr_t key)
{
#if UINTPTR_MAX > 0xFFFFFFFFu
    key ^= key >> 32;
#endif
    return (uint32_t)key * 0x9E3779B1u;
}

#endif
