/* SPDX-License-Identifier: MIT
 *
 * preempt_atomic.h for the history of allocations. BROKEN: a compare-and-swap does not compare.
 */
#ifndef PREEMPT_TRACE_H
#define PREEMPT_TRACE_H

#include "preempt_atomic.h"

#ifdef BROKEN
#undef EAI_CAS
#define EAI_CAS(word, seen, value) ((void)(seen), preempt_hook(), preempt_store(word, true, value))
#endif

#endif
