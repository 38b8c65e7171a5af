/* SPDX-License-Identifier: MIT
 *
 * preempt_atomic.h for the leaks. BROKEN: a conditional store that is none.
 */
#ifndef PREEMPT_LEAKS_H
#define PREEMPT_LEAKS_H

#include "preempt_profile.h"

#endif
