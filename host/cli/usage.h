/* SPDX-License-Identifier: MIT
 *
 * Values of options that several commands take.
 */
#ifndef EALLOC_USAGE_H
#define EALLOC_USAGE_H

#include <argp.h>
#include <stdint.h>

#include "movable_run.h"

/* The number that follows --option; anything else is wrong usage: one line, and the process
 * ends. */
uint32_t usage_count(struct argp_state *state, const char *option, const char *argument);

/* Which of two words text is: 0 or 1; anything else is wrong usage. */
int usage_choose(struct argp_state *state, const char *option, const char *text, const char *zero,
                 const char *one);

/* The layout of stores of movable blocks that follows --layout; anything else is wrong usage. */
const eai_movable_ops_t *usage_layout(struct argp_state *state, const char *name);

/* A number of bytes with an optional suffix K, M or G; 0 if it is none or does not fit. */
uint64_t usage_bytes(const char *text);

#endif
