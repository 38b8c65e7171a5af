/* SPDX-License-Identifier: MIT
 *
 * What writing and reading the ring share; trace.c tells the story.
 */
#ifndef EALLOC_OBSERVE_TRACE_INTERNAL_H
#define EALLOC_OBSERVE_TRACE_INTERNAL_H

#include "base/atomic.h"
#include "ealloc/trace.h"

typedef ea_trace_t trace_t;
typedef eai_trace_slot_t slot_t;

/* Twice the number of an event: so bit 0 of word 0 is left for the mark that somebody is writing
 * the rest. Modulo the word size. */
typedef uintptr_t ticket_t;
#define EAI_VOID ((uintptr_t)1)

/* Bits of an event's time, all but one of which SYNC's are above. */
#define EAI_TIME_BITS 16u
#define EAI_UPPER_SHIFT (EAI_TIME_BITS - 1u)
#define EAI_SIZE_SHIFT 4u
#define EAI_BLOCK_SHIFT 8u
#define EAI_BLOCK_ALIGN (2u * sizeof(uintptr_t))
#define EAI_KINDS 16u
#define EAI_NO_EVENT 0u /* a kind that readers pass over */

/* Of words 1 to 3: their polynomial in an odd K, so that another value of one word is always
 * another sum, with its high half folded onto the low one, so that none of the changes that matter
 * shows in the highest bit alone, for which there is no room. K is short where a core has to load
 * it. */
#define EAI_K ((uintptr_t)(sizeof(uintptr_t) > 4 ? 0x9E3779B97F4A7C15u : 0x9E3Bu))
EA_INLINE uintptr_t eai_check_of(uintptr_t w1, uintptr_t w2, uintptr_t w3)
{
    uintptr_t sum = (w1 * EAI_K + w2) * EAI_K + w3;
    return sum ^ sum >> (sizeof(uintptr_t) * 4u - 1u);
}

/* Word 0 of a whole event. */
EA_INLINE uintptr_t eai_commit_of(ticket_t ticket, uintptr_t check)
{
    return ticket ^ check << 1;
}

EA_INLINE slot_t *eai_slot(const trace_t *t, ticket_t ticket)
{
    uintptr_t offset = (ticket & t->eai_mask) * (sizeof(slot_t) / 2u);
    return (slot_t *)((uintptr_t)(t + 1) + offset);
}

/* How many tickets there are to the events of a ring. */
EA_INLINE uintptr_t eai_lap(const trace_t *t)
{
    return t->eai_mask + 2u;
}

/* The oldest that may still be read, if next is the next one. */
EA_INLINE ticket_t eai_oldest(const trace_t *t, ticket_t next)
{
    ticket_t first = EAI_LOAD(&t->eai_first, EAI_RELAXED);
    return next - first <= t->eai_mask ? first : next - eai_lap(t);
}

#endif
