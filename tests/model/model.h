/* SPDX-License-Identifier: MIT
 *
 * A heap and its model side by side: every operation is done on both, and they must agree. The
 * model is a table of the blocks a user holds, with what was written into each. Where the
 * operations come from is the caller's business: a random number generator, or a fuzzer's input.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "instances.h"

/* A number from 0 to limit - 1; limit is at most 2^24. */
typedef uint32_t model_draw_t(void *context, uint32_t limit);

typedef struct model model_t;

/* A heap of instance in memory of its own, of exactly the bytes it was given. Fit, size and place
 * of the memory are drawn. NULL: the system has no memory. */
model_t *model_new(const eai_heap_ops_t *instance, model_draw_t *draw, void *context);
/* One operation, drawn. Returns false if heap and model disagree; model_complaint() says how. */
bool model_step(model_t *model);
/* Compare everything: the heap's check, every block's contents, a walk against the table. */
bool model_verify(model_t *model);
/* Free all blocks, and find the heap whole and deinit without leaks; then free the model. False as
 * above, and then the model is not freed. */
bool model_end(model_t *model);
const char *model_complaint(const model_t *model);

#endif
