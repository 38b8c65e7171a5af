/* SPDX-License-Identifier: MIT
 *
 * A pool set and its model side by side: every operation is done on both, and they must agree. The
 * model is a table of the blocks a user holds; which class a request must be served from follows
 * from the number of free blocks of each. Where the operations come from is the caller's business:
 * a random number generator, or a fuzzer's input.
 */
#ifndef POOLSET_MODEL_H
#define POOLSET_MODEL_H

#include <stdint.h>

/* A number from 0 to limit - 1; limit is at most 2^16. */
typedef uint32_t poolset_model_draw_t(void *context, uint32_t limit);

/* A set of drawn classes and strategy, n_steps drawn operations on it, all blocks freed, deinit.
 * Returns NULL, or what they disagree about. */
const char *poolset_model_run(poolset_model_draw_t *draw, void *context, unsigned n_steps);

#endif
