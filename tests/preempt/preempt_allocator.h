/* SPDX-License-Identifier: MIT
 *
 * preempt_atomic.h for the allocator's sources, whose reads and writes of words that other contexts
 * look at without a lock are steps too. BROKEN: a compare-and-swap does not compare.
 */
#ifndef PREEMPT_ALLOCATOR_H
#define PREEMPT_ALLOCATOR_H

#include "preempt_atomic.h"

#define EAI_PEEK(word) (preempt_hook(), *(word))
#define EAI_POKE(word, value) (preempt_hook(), (void)(*(word) = (value)))

#ifdef BROKEN
#undef EAI_CAS
#define EAI_CAS(word, seen, value) ((void)(seen), preempt_hook(), preempt_store(word, true, value))
#undef EAI_CAS_U32
#define EAI_CAS_U32(word, seen, value)                                                             \
    ((void)(seen), preempt_hook(), (void)(*(word) = (value)), true)
#endif

#endif
