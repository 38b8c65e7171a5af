/* SPDX-License-Identifier: MIT
 *
 * base/atomic.h broken on purpose: plain accesses where exclusive ones belong, and no mask. An
 * interrupt between a load and its store goes unnoticed.
 */
#ifndef PLAIN_ATOMIC_H
#define PLAIN_ATOMIC_H

#define EAI_RELAXED 0
#define EAI_ACQUIRE 0
#define EAI_RELEASE 0
#define EAI_SEQ_CST 0
#define EAI_ENTER(irq)
#define EAI_LEAVE(irq)
#define EAI_PAUSE(irq)

#define PLAIN_WORD(word) (*(volatile __typeof__(*(word)) *)(word))
#define EAI_LOAD(word, order) PLAIN_WORD(word)
#define EAI_STORE(word, value, order) (PLAIN_WORD(word) = (value))
#define EAI_LOAD_RACY(word) PLAIN_WORD(word)
#define EAI_STORE_RACY(word, value) (PLAIN_WORD(word) = (value))
#define EAI_LOAD_LINKED(word) PLAIN_WORD(word)
#define EAI_STORE_COND(word, seen, value) ((void)(seen), PLAIN_WORD(word) = (value), true)
#define EAI_CAS(word, seen, value) ((void)(seen), PLAIN_WORD(word) = (value), true)
#define EAI_CAS_U32(word, seen, value) ((void)(seen), PLAIN_WORD(word) = (value), true)
#define EAI_COUNT(object, member) ((void)PLAIN_WORD(&(object)->member)++)

static inline uint32_t plain_set(uint32_t *word, uint32_t bits)
{
    uint32_t old = *word;
    *word = old | bits;
    return old;
}
static inline uint32_t plain_clear(uint32_t *word, uint32_t bits)
{
    uint32_t old = *word;
    *word = old & ~bits;
    return old;
}
#define EAI_FETCH_SET(word, bits) plain_set(word, bits)
#define EAI_FETCH_CLEAR(word, bits) plain_clear(word, bits)

#endif
