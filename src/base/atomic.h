/* SPDX-License-Identifier: MIT
 *
 * What lock-free code may do with a word that several contexts change, in four forms behind the
 * same names:
 *
 *   EAI_ATOMICS 1  compare-and-swap: the compiler's atomics, any number of cores
 *   EAI_ATOMICS 2  load-linked/store-conditional: one Arm M-profile core, where taking an exception
 *                  clears the exclusive monitor. The barriers are the compiler's only: one core
 *                  sees its own writes in order.
 *   EAI_ATOMICS 3  plain accesses; the caller encloses them in EAI_ENTER and EAI_LEAVE, which mask
 *                  interrupts here and do nothing in the other forms
 *   EAI_ATOMIC_HEADER  a test's own form: the model checker's types, or a hook before every access
 *
 * EAI_LOAD_LINKED and EAI_STORE_COND are a pair: the store happens, and returns true, only if the
 * word still holds what the load returned; forms 2 and 3 promise more, that nothing was stored in
 * between (EAI_ABA_FREE is 1), form 1 does not. EAI_CAS compares the value in every form. Any store
 * may fail without cause.
 */
#ifndef EALLOC_BASE_ATOMIC_H
#define EALLOC_BASE_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"

#ifdef EAI_ATOMIC_HEADER
#include EAI_ATOMIC_HEADER
#else

#define EAI_RELAXED __ATOMIC_RELAXED
#define EAI_ACQUIRE __ATOMIC_ACQUIRE
#define EAI_RELEASE __ATOMIC_RELEASE
#define EAI_SEQ_CST __ATOMIC_SEQ_CST

#define EAI_LOAD(word, order) __atomic_load_n(word, order)
#define EAI_STORE(word, value, order) __atomic_store_n(word, value, order)

#if EAI_ATOMICS == 1

#define EAI_ABA_FREE 0
#define EAI_ENTER(irq)
#define EAI_LEAVE(irq)

EA_INLINE bool eai_cas_word(uintptr_t *word, uintptr_t seen, uintptr_t value, int order)
{
    return __atomic_compare_exchange_n(word, &seen, value, true, order, __ATOMIC_RELAXED);
}

EA_INLINE bool eai_cas_u32(uint32_t *word, uint32_t seen, uint32_t value)
{
    return __atomic_compare_exchange_n(word, &seen, value, true, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}

#define EAI_LOAD_LINKED(word) __atomic_load_n(word, __ATOMIC_ACQUIRE)
#define EAI_STORE_COND(word, seen, value) eai_cas_word(word, seen, value, __ATOMIC_ACQUIRE)
#define EAI_CAS(word, seen, value) eai_cas_word(word, seen, value, __ATOMIC_RELEASE)
#define EAI_CAS_SEQ_CST(word, seen, value) eai_cas_word(word, seen, value, __ATOMIC_SEQ_CST)
#define EAI_CAS_U32(word, seen, value) eai_cas_u32(word, seen, value)
#define EAI_FETCH_ADD(word, value) __atomic_fetch_add(word, value, __ATOMIC_RELAXED)
#define EAI_FETCH_OR(word, value) __atomic_fetch_or(word, value, __ATOMIC_RELAXED)
#define EAI_FETCH_AND(word, value) __atomic_fetch_and(word, value, __ATOMIC_RELAXED)

#elif EAI_ATOMICS == 2

#define EAI_ABA_FREE 1
#define EAI_ENTER(irq)
#define EAI_LEAVE(irq)

EA_INLINE uint32_t eai_ldrex(const volatile void *word)
{
    uint32_t value;
    __asm volatile("ldrex %0, [%1]" : "=r"(value) : "r"(word) : "memory");
    return value;
}

EA_INLINE bool eai_strex(volatile void *word, uint32_t value)
{
    uint32_t failed;
    __asm volatile("strex %0, %2, [%1]" : "=&r"(failed) : "r"(word), "r"(value) : "memory");
    return failed == 0;
}

EA_INLINE bool eai_cas(volatile void *word, uint32_t seen, uint32_t value)
{
    return eai_ldrex(word) == seen && eai_strex(word, value);
}

EA_INLINE uint32_t eai_fetch_add(volatile void *word, uint32_t value)
{
    uint32_t old;
    do old = eai_ldrex(word);
    while (!eai_strex(word, old + value));
    return old;
}

EA_INLINE uint32_t eai_fetch_or(volatile void *word, uint32_t bits)
{
    uint32_t old;
    do old = eai_ldrex(word);
    while (!eai_strex(word, old | bits));
    return old;
}

EA_INLINE uint32_t eai_fetch_and(volatile void *word, uint32_t bits)
{
    uint32_t old;
    do old = eai_ldrex(word);
    while (!eai_strex(word, old & bits));
    return old;
}

#define EAI_LOAD_LINKED(word) eai_ldrex(word)
#define EAI_STORE_COND(word, seen, value) eai_strex(word, value)
#define EAI_CAS(word, seen, value) eai_cas(word, seen, value)
#define EAI_CAS_SEQ_CST(word, seen, value) eai_cas(word, seen, value)
#define EAI_CAS_U32(word, seen, value) eai_cas(word, seen, value)
#define EAI_FETCH_ADD(word, value) eai_fetch_add(word, value)
#define EAI_FETCH_OR(word, value) eai_fetch_or(word, value)
#define EAI_FETCH_AND(word, value) eai_fetch_and(word, value)

#elif EAI_ATOMICS == 3

#include "ealloc/port.h"

#define EAI_ABA_FREE 1
#define EAI_ENTER(irq) ea_port_irq_t irq = ea_port_irq_mask()
#define EAI_LEAVE(irq) ea_port_irq_restore(irq)

EA_INLINE uint32_t eai_fetch_or(uint32_t *word, uint32_t bits)
{
    uint32_t old = *word;
    *word = old | bits;
    return old;
}

EA_INLINE uint32_t eai_fetch_and(uint32_t *word, uint32_t bits)
{
    uint32_t old = *word;
    *word = old & bits;
    return old;
}

#define EAI_LOAD_LINKED(word) (*(word))
#define EAI_STORE_COND(word, seen, value) (*(word) = (value), true)
#define EAI_CAS(word, seen, value) (*(word) = (value), true)
#define EAI_CAS_SEQ_CST(word, seen, value) (*(word) = (value), true)
#define EAI_CAS_U32(word, seen, value) (*(word) = (value), true)
#define EAI_FETCH_ADD(word, value) (*(word) += (value))
#define EAI_FETCH_OR(word, value) eai_fetch_or(word, value)
#define EAI_FETCH_AND(word, value) eai_fetch_and(word, value)

#else
#error "Whoever includes base/atomic.h says in EAI_ATOMICS which form it wants."
#endif
#endif

#endif
