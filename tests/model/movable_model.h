/* SPDX-License-Identifier: MIT
 *
 * A store of movable blocks against a trivial reference: a list of blocks with their contents and
 * locks. Decisions are drawn from the caller, so that the same model serves a random test and a
 * fuzzer.
 */
#ifndef MOVABLE_MODEL_H
#define MOVABLE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

/* A number below limit; 0 when there are no more. */
typedef uint32_t (*movable_draw_t)(void *context, uint32_t limit);
typedef struct movable_model movable_model_t;

/* A store of drawn size and options. NULL: no memory for the model. */
movable_model_t *movable_model_new(movable_draw_t draw, void *context);
/* One operation, checked against the reference; then every byte of every block that is not in
 * flight. False: they disagree, movable_model_complaint(). */
bool movable_model_step(movable_model_t *model);
/* Everything is unlocked and freed: one hole must be left. Frees the model where it returns true.
 */
bool movable_model_end(movable_model_t *model);
const char *movable_model_complaint(const movable_model_t *model);

#endif
