/* SPDX-License-Identifier: MIT
 *
 * The arena against a trivial reference: a list of blocks with their contents, a list of marks, and
 * an upstream that is malloc. Decisions are drawn from the caller, so that the same model serves a
 * random test and a fuzzer.
 */
#ifndef ARENA_MODEL_H
#define ARENA_MODEL_H

#include <stdbool.h>
#include <stdint.h>

/* A number below limit; 0 when there are no more. */
typedef uint32_t (*arena_draw_t)(void *context, uint32_t limit);
typedef struct arena_model arena_model_t;

/* An arena with drawn options. NULL: no memory for the model. */
arena_model_t *arena_model_new(arena_draw_t draw, void *context);
/* One operation, checked against the reference. False: they disagree, arena_model_complaint(). */
bool arena_model_step(arena_model_t *model);
/* Contents of every block, the checker, and the numbers. */
bool arena_model_verify(arena_model_t *model);
/* Deinit: everything must be back. Frees the model where it returns true. */
bool arena_model_end(arena_model_t *model);
const char *arena_model_complaint(const arena_model_t *model);

#endif
