/* SPDX-License-Identifier: MIT
 *
 * base/atomic.h for the model checker: the words are relacy's atomics, each access with the order
 * the library asks for. Form 1 (compare-and-swap) only.
 */
#ifndef RELACY_ATOMIC_H
#define RELACY_ATOMIC_H

extern uintptr_t model_keep_bits;      /* all ones; the link's bits alone take the tag away */
extern rl::memory_order model_release; /* of free */
extern rl::memory_order model_seq_cst; /* of what asks for it, if it is more than a load or store */

#define EAI_RELAXED rl::mo_relaxed
#define EAI_ACQUIRE rl::mo_acquire
#define EAI_RELEASE rl::mo_release
#define EAI_SEQ_CST rl::mo_seq_cst

#define EAI_LOAD(word, order) (word)->load(order, $)
#define EAI_STORE(word, value, order) (word)->store(value, order, $)
#define EAI_LOAD_RACY(word) (word)->load(rl::mo_relaxed, $)
#define EAI_STORE_RACY(word, value) (word)->store(value, rl::mo_relaxed, $)

static inline bool model_cas(rl::atomic<uintptr_t> *word, uintptr_t seen, uintptr_t value,
                             rl::memory_order order)
{
    return word->compare_exchange_weak(seen, value & model_keep_bits, order, $, rl::mo_relaxed, $);
}

static inline bool model_cas_u32(rl::atomic<uint32_t> *word, uint32_t seen, uint32_t value)
{
    return word->compare_exchange_weak(seen, value, rl::mo_seq_cst, $, rl::mo_relaxed, $);
}

#define EAI_ENTER(irq)
#define EAI_LEAVE(irq)
#define EAI_PAUSE(irq)
#define EAI_LOAD_LINKED(word) (word)->load(rl::mo_acquire, $)
#define EAI_STORE_COND(word, seen, value) model_cas(word, seen, value, rl::mo_acquire)
#define EAI_CAS(word, seen, value) model_cas(word, seen, value, model_release)
#define EAI_CAS_U32(word, seen, value) model_cas_u32(word, seen, value)
#define EAI_CAS_SEQ_CST(word, seen, value) model_cas(word, seen, value, model_seq_cst)
#define EAI_COUNT(object, member) ((void)(object)->member.fetch_add(1u, rl::mo_relaxed, $))
#define EAI_FETCH_SET(word, bits) (word)->fetch_or(bits, rl::mo_relaxed, $)
#define EAI_FETCH_CLEAR(word, bits) (word)->fetch_and(~(bits), rl::mo_relaxed, $)

#endif
