/* SPDX-License-Identifier: MIT
 *
 * base/atomic.h for the preempt test: plain accesses with a hook before each, where an "interrupt"
 * may come. Form 1 compares values; form 2 has the exclusive monitor that taking an interrupt
 * clears; in form 3 no interrupt comes between EAI_ENTER and EAI_LEAVE.
 */
#ifndef PREEMPT_ATOMIC_H
#define PREEMPT_ATOMIC_H

void preempt_hook(void); /* between two steps: the interrupt may run here */
extern bool preempt_monitor;
extern bool preempt_masked;
extern uintptr_t preempt_keep_bits; /* all ones; the link's bits alone take the tag away */

#define EAI_RELAXED 0
#define EAI_ACQUIRE 0
#define EAI_RELEASE 0
#define EAI_SEQ_CST 0

#define EAI_LOAD(word, order) (preempt_hook(), *(word))
#define EAI_STORE(word, value, order) (preempt_hook(), (void)(*(word) = (value)))
#define EAI_LOAD_RACY(word) (preempt_hook(), *(word))
#define EAI_STORE_RACY(word, value) (preempt_hook(), (void)(*(word) = (value)))

static inline bool preempt_store(uintptr_t *word, bool allowed, uintptr_t value)
{
    if (allowed) *word = value & preempt_keep_bits;
    return allowed;
}

static inline bool preempt_cond_u32(uint32_t *word, bool allowed, uint32_t value)
{
    if (allowed) *word = value;
    return allowed;
}

static inline bool preempt_cond_u16(uint16_t *word, bool allowed, uint16_t value)
{
    if (allowed) *word = value;
    return allowed;
}

static inline bool preempt_cas_u32(uint32_t *word, uint32_t seen, uint32_t value)
{
    if (*word != seen) return false;
    *word = value;
    return true;
}

static inline bool preempt_cas_pointer(unsigned char **word, unsigned char **seen,
                                       unsigned char *value)
{
    bool same = *word == *seen;
    *(same ? word : seen) = same ? value : *word;
    return same;
}

static inline uint32_t preempt_set(uint32_t *word, uint32_t bits)
{
    uint32_t old = *word;
    *word = old | bits;
    return old;
}

static inline uint32_t preempt_clear(uint32_t *word, uint32_t bits)
{
    uint32_t old = *word;
    *word = old & ~bits;
    return old;
}

#if EAI_ATOMICS == 2
#define EAI_LOAD_LINKED(word) (preempt_hook(), preempt_monitor = true, *(word))
#define EAI_STORE_COND(word, seen, value)                                                          \
    ((void)(seen), preempt_hook(), preempt_store(word, preempt_monitor, value))
#define EAI_STORE_COND_U32(word, seen, value)                                                      \
    ((void)(seen), preempt_hook(), preempt_cond_u32(word, preempt_monitor, value))
#define EAI_STORE_COND_U16(word, seen, value)                                                      \
    ((void)(seen), preempt_hook(), preempt_cond_u16(word, preempt_monitor, value))
#else
#define EAI_LOAD_LINKED(word) (preempt_hook(), *(word))
#define EAI_STORE_COND(word, seen, value)                                                          \
    (preempt_hook(), preempt_store(word, *(word) == (seen), value))
#define EAI_STORE_COND_U32(word, seen, value)                                                      \
    (preempt_hook(), preempt_cond_u32(word, *(word) == (seen), value))
#define EAI_STORE_COND_U16(word, seen, value)                                                      \
    (preempt_hook(), preempt_cond_u16(word, *(word) == (seen), value))
#endif
#define EAI_LOAD_LINKED_U16(word) EAI_LOAD_LINKED(word)
#define EAI_CAS(word, seen, value) (preempt_hook(), preempt_store(word, *(word) == (seen), value))
#define EAI_CAS_SEQ_CST EAI_CAS
#define EAI_CAS_U32(word, seen, value) (preempt_hook(), preempt_cas_u32(word, seen, value))
#define EAI_CAS_POINTER(word, seen, value) (preempt_hook(), preempt_cas_pointer(word, seen, value))
#define EAI_FETCH_SET(word, bits) (preempt_hook(), preempt_set(word, bits))
#define EAI_FETCH_CLEAR(word, bits) (preempt_hook(), preempt_clear(word, bits))
#define EAI_COUNT(object, member) (preempt_hook(), (void)(object)->member++)

#if EAI_ATOMICS == 3
#define EAI_ENTER(irq)                                                                             \
    preempt_hook();                                                                                \
    bool irq = preempt_masked;                                                                     \
    preempt_masked = true
#define EAI_LEAVE(irq) (preempt_masked = (irq), preempt_hook())
#define EAI_PAUSE(irq) (preempt_masked = (irq), preempt_hook(), preempt_masked = true)
#else
#define EAI_ENTER(irq)
#define EAI_LEAVE(irq)
#define EAI_PAUSE(irq)
#endif

#endif
