/* SPDX-License-Identifier: MIT
 *
 * preempt_atomic.h for the profile. BROKEN: a conditional store that is none.
 */
#ifndef PREEMPT_PROFILE_H
#define PREEMPT_PROFILE_H

#include "preempt_atomic.h"

#ifdef BROKEN
#undef EAI_STORE_COND
#define EAI_STORE_COND(word, seen, value)                                                          \
    ((void)(seen), preempt_hook(), preempt_store(word, true, value))
#endif

#endif
