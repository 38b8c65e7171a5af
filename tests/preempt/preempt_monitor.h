/* SPDX-License-Identifier: MIT
 *
 * preempt_atomic.h for the monitor. BROKEN: a compare-and-swap of a word does not compare.
 */
#ifndef PREEMPT_MONITOR_H
#define PREEMPT_MONITOR_H

#include "preempt_atomic.h"

#ifdef BROKEN
#undef EAI_CAS_SEQ_CST
#define EAI_CAS_SEQ_CST(word, seen, value)                                                         \
    ((void)(seen), preempt_hook(), preempt_store(word, true, value))
#endif

#endif
