/* SPDX-License-Identifier: MIT
 *
 * A pool beside a trivial model of it: which blocks are live and what is in them. Each step is one
 * random operation, also a wrong one, on both; what they disagree about is the complaint.
 */
#ifndef POOL_MODEL_H
#define POOL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

/* A number below limit; where the numbers come from an input that is used up, 0. */
typedef uint32_t (*pool_draw_t)(void *context, uint32_t limit);

typedef struct pool_model pool_model_t;

/* A pool of a drawn block size, alignment and number of blocks; there is one model at a time. */
pool_model_t *pool_model_new(pool_draw_t draw, void *context);
/* false: see the complaint. */
bool pool_model_step(pool_model_t *model);
bool pool_model_verify(pool_model_t *model);
bool pool_model_end(pool_model_t *model);
const char *pool_model_complaint(const pool_model_t *model);

#endif
