/* SPDX-License-Identifier: MIT
 *
 * What lock-free code may do with a word that several contexts change, in four forms behind the
 * same names; EAI_ATOMICS comes from EA_CFG_ATOMICS by way of ealloc/atomics.h:
 *
 *   EAI_ATOMICS 1  compare-and-swap: the compiler's atomics, any number of cores
 *   EAI_ATOMICS 2  load-linked/store-conditional: one Arm M-profile core, where taking an exception
 *                  clears the exclusive monitor. The barriers are the compiler's only: one core
 *                  sees its own writes in order.
 *   EAI_ATOMICS 3  plain stores between EAI_ENTER and EAI_LEAVE, which mask interrupts here and do
 *                  nothing in the other forms
 *   EAI_ATOMIC_HEADER  a test's own form: the model checker's types, or a hook before every access
 *
 * EAI_LOAD_LINKED and EAI_STORE_COND are a pair: the store happens, and returns true, only if the
 * word still holds what the load returned. Form 2 promises more: that nothing was stored in
 * between. Form 3 promises that for what was read since EAI_ENTER. EAI_CAS compares the value in
 * every form. In form 3 the conditional stores, the fetches and EAI_COUNT belong between EAI_ENTER
 * and EAI_LEAVE; loads may be outside. Any conditional store may fail without cause. EAI_COUNT adds
 * 1 to a member of an object. EAI_LOAD_RACY and EAI_STORE_RACY are for a word that its reader may
 * not own any more when the value arrives.
 */
#ifndef EALLOC_BASE_ATOMIC_H
#define EALLOC_BASE_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/atomics.h"
#include "ealloc/compiler.h"

/* Of a static function whose one access is meant to race: ThreadSanitizer is told, and it must then
 * not be inlined. */
#if defined(__SANITIZE_THREAD__)
#define EAI_RACY static EA_NOINLINE __attribute__((no_sanitize("thread"), unused))
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define EAI_RACY static EA_NOINLINE __attribute__((no_sanitize("thread"), unused))
#endif
#endif
#ifndef EAI_RACY
#define EAI_RACY EA_INLINE
#endif

#ifdef EAI_ATOMIC_HEADER
#include EAI_ATOMIC_HEADER
#else

#define EAI_RELAXED __ATOMIC_RELAXED
#define EAI_ACQUIRE __ATOMIC_ACQUIRE
#define EAI_RELEASE __ATOMIC_RELEASE
#define EAI_SEQ_CST __ATOMIC_SEQ_CST

#define EAI_LOAD_RACY(word) (*(const volatile __typeof__(*(word)) *)(word))
#define EAI_STORE_RACY(word, value) (*(volatile __typeof__(*(word)) *)(word) = (value))

#if EAI_ATOMICS == EAI_ATOMICS_CAS

#define EAI_LOAD(word, order) __atomic_load_n(word, order)
#define EAI_STORE(word, value, order) __atomic_store_n(word, value, order)

#define EAI_ENTER(irq)
#define EAI_LEAVE(irq)
#define EAI_PAUSE(irq)

EA_INLINE bool eai_cas_word(uintptr_t *word, uintptr_t seen, uintptr_t value, int order)
{
    return __atomic_compare_exchange_n(word, &seen, value, true, order, __ATOMIC_RELAXED);
}

EA_INLINE bool eai_cas_u32(uint32_t *word, uint32_t seen, uint32_t value)
{
    return __atomic_compare_exchange_n(word, &seen, value, true, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}

#if defined(__riscv)
/* Which has no compare-and-swap of half a word, and the compiler would call a library for it. A
 * change of the other half makes it fail, as it may without cause. */
EA_INLINE bool eai_cas_u16(uint16_t *word, uint16_t seen, uint16_t value)
{
    typedef uint32_t EA_MAY_ALIAS both_t;
    both_t *both = (both_t *)((uintptr_t)word & ~(uintptr_t)3u);
    unsigned shift = ((uintptr_t)word & 2u) != 0 ? 16u : 0;
    uint32_t there = __atomic_load_n(both, __ATOMIC_RELAXED), mask = (uint32_t)UINT16_MAX << shift;
    if ((there & mask) != (uint32_t)seen << shift) return false;
    return __atomic_compare_exchange_n(both, &there, (there & ~mask) | (uint32_t)value << shift,
                                       true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}
#else
EA_INLINE bool eai_cas_u16(uint16_t *word, uint16_t seen, uint16_t value)
{
    return __atomic_compare_exchange_n(word, &seen, value, true, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}
#endif

#define EAI_LOAD_LINKED(word) __atomic_load_n(word, __ATOMIC_ACQUIRE)
#define EAI_LOAD_LINKED_U16(word) EAI_LOAD_LINKED(word)
#define EAI_STORE_COND(word, seen, value) eai_cas_word(word, seen, value, __ATOMIC_ACQUIRE)
#define EAI_STORE_COND_U32(word, seen, value) eai_cas_u32(word, seen, value)
#define EAI_STORE_COND_U16(word, seen, value) eai_cas_u16(word, seen, value)
#define EAI_CAS(word, seen, value) eai_cas_word(word, seen, value, __ATOMIC_RELEASE)
#define EAI_CAS_SEQ_CST(word, seen, value) eai_cas_word(word, seen, value, __ATOMIC_SEQ_CST)
#define EAI_CAS_U32(word, seen, value) eai_cas_u32(word, seen, value)
#define EAI_CAS_POINTER(word, seen, value)                                                         \
    __atomic_compare_exchange_n(word, seen, value, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
#define EAI_COUNT(object, member)                                                                  \
    ((void)__atomic_fetch_add(&(object)->member, 1u, __ATOMIC_RELAXED))
#define EAI_FETCH_SET(word, bits) __atomic_fetch_or(word, bits, __ATOMIC_RELAXED)
/* Releases: who sees the bit gone sees what was written before. Pairs with acquire loads of it. */
#define EAI_FETCH_CLEAR(word, bits) __atomic_fetch_and(word, ~(bits), __ATOMIC_RELEASE)

#elif EAI_ATOMICS == EAI_ATOMICS_LLSC

/* One core needs no barrier instruction, only the compiler's obedience. */
#define EAI_LOAD(word, order) __atomic_load_n(word, __ATOMIC_RELAXED)
#define EAI_STORE(word, value, order)                                                              \
    (__atomic_signal_fence(order), __atomic_store_n(word, value, __ATOMIC_RELAXED))
#define EAI_ENTER(irq)
#define EAI_LEAVE(irq)
#define EAI_PAUSE(irq)

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

EA_INLINE uint16_t eai_ldrexh(const volatile void *word)
{
    uint32_t value;
    __asm volatile("ldrexh %0, [%1]" : "=r"(value) : "r"(word) : "memory");
    return (uint16_t)value;
}

EA_INLINE bool eai_strexh(volatile void *word, uint16_t value)
{
    uint32_t failed;
    __asm volatile("strexh %0, %2, [%1]" : "=&r"(failed) : "r"(word), "r"(value) : "memory");
    return failed == 0;
}

EA_INLINE bool eai_cas(volatile void *word, uint32_t seen, uint32_t value)
{
    return eai_ldrex(word) == seen && eai_strex(word, value);
}

/* The offset stays in the instructions. */
#define EAI_COUNT(object, member)                                                                  \
    do {                                                                                           \
        uint32_t eai_n, eai_failed;                                                                \
        do {                                                                                       \
            __asm volatile("ldrex %0, [%2, %3]\n\tadds %0, %0, #1\n\tstrex %1, %0, [%2, %3]"       \
                           : "=&l"(eai_n), "=&r"(eai_failed)                                       \
                           : "r"(object), "i"(offsetof(__typeof__(*(object)), member))             \
                           : "cc", "memory");                                                      \
        } while (eai_failed != 0);                                                                 \
    } while (0)

EA_INLINE uint32_t eai_fetch_set(volatile void *word, uint32_t bits)
{
    uint32_t old;
    do old = eai_ldrex(word);
    while (!eai_strex(word, old | bits));
    return old;
}

EA_INLINE uint32_t eai_fetch_clear(volatile void *word, uint32_t bits)
{
    uint32_t old;
    do old = eai_ldrex(word);
    while (!eai_strex(word, old & ~bits));
    return old;
}

#define EAI_LOAD_LINKED(word) eai_ldrex(word)
#define EAI_LOAD_LINKED_U16(word) eai_ldrexh(word)
#define EAI_STORE_COND(word, seen, value) eai_strex(word, value)
#define EAI_STORE_COND_U32(word, seen, value) eai_strex(word, value)
#define EAI_STORE_COND_U16(word, seen, value) eai_strexh(word, value)
#define EAI_CAS(word, seen, value) eai_cas(word, seen, value)
#define EAI_CAS_SEQ_CST(word, seen, value) eai_cas(word, seen, value)
#define EAI_CAS_U32(word, seen, value) eai_cas(word, seen, value)
#define EAI_FETCH_SET(word, bits) eai_fetch_set(word, bits)
#define EAI_FETCH_CLEAR(word, bits) eai_fetch_clear(word, bits)

#elif EAI_ATOMICS == EAI_ATOMICS_MASK

#include "ealloc/port.h"

#define EAI_LOAD(word, order) __atomic_load_n(word, order)
#define EAI_STORE(word, value, order) __atomic_store_n(word, value, order)
#define EAI_ENTER(irq) ea_port_irq_t irq = ea_port_irq_mask()
#define EAI_LEAVE(irq) ea_port_irq_restore(irq)
#define EAI_PAUSE(irq) (ea_port_irq_restore(irq), (irq) = ea_port_irq_mask())

/* Whole words, so that a load outside a section sees the old or the new value. */
EA_INLINE bool eai_cas_word(uintptr_t *word, uintptr_t seen, uintptr_t value)
{
    if (__atomic_load_n(word, __ATOMIC_RELAXED) != seen) return false;
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
    return true;
}

EA_INLINE bool eai_cas_u32(uint32_t *word, uint32_t seen, uint32_t value)
{
    if (__atomic_load_n(word, __ATOMIC_RELAXED) != seen) return false;
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
    return true;
}

EA_INLINE uint32_t eai_fetch_set(uint32_t *word, uint32_t bits)
{
    uint32_t old = *word;
    __atomic_store_n(word, old | bits, __ATOMIC_RELAXED);
    return old;
}

EA_INLINE uint32_t eai_fetch_clear(uint32_t *word, uint32_t bits)
{
    uint32_t old = *word;
    __atomic_store_n(word, old & ~bits, __ATOMIC_RELAXED);
    return old;
}

EA_INLINE bool eai_cas_u16(uint16_t *word, uint16_t seen, uint16_t value)
{
    if (__atomic_load_n(word, __ATOMIC_RELAXED) != seen) return false;
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
    return true;
}

#define EAI_LOAD_LINKED(word) __atomic_load_n(word, __ATOMIC_RELAXED)
#define EAI_LOAD_LINKED_U16(word) EAI_LOAD_LINKED(word)
#define EAI_STORE_COND(word, seen, value) eai_cas_word(word, seen, value)
#define EAI_STORE_COND_U32(word, seen, value) eai_cas_u32(word, seen, value)
#define EAI_STORE_COND_U16(word, seen, value) eai_cas_u16(word, seen, value)
#define EAI_CAS(word, seen, value) eai_cas_word(word, seen, value)
#define EAI_CAS_SEQ_CST(word, seen, value) eai_cas_word(word, seen, value)
#define EAI_CAS_U32(word, seen, value) eai_cas_u32(word, seen, value)
#define EAI_COUNT(object, member)                                                                  \
    __atomic_store_n(&(object)->member, (object)->member + 1u, __ATOMIC_RELAXED)
#define EAI_FETCH_SET(word, bits) eai_fetch_set(word, bits)
#define EAI_FETCH_CLEAR(word, bits) eai_fetch_clear(word, bits)

#endif
#endif

#endif
