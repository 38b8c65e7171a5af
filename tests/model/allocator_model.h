/* SPDX-License-Identifier: MIT
 *
 * An allocator and its model side by side: operations over the whole interface, and after each of
 * them what the contracts promise is compared with a plain list of live blocks. Where the
 * operations come from is the caller's business: a random number generator, or a fuzzer's input.
 *
 * What is compared: contents, alignment, capabilities and order of regions, that no two blocks
 * overlap, what each owner is charged, the numbers of ea_allocator_stats(), what walks visit, that
 * sweeps find no damage, and that a request is refused only if no region that suits it has room and
 * no budget stands against it.
 */
#ifndef ALLOCATOR_MODEL_H
#define ALLOCATOR_MODEL_H

#include <stdint.h>

/* A number from 0 to limit - 1; limit is at most 2^16. */
typedef uint32_t allocator_model_draw_t(void *context, uint32_t limit);

/* An allocator with drawn options, regions, pools and owners, n_steps drawn operations on it, all
 * blocks freed, deinit. Returns NULL, or what they disagree about; *n_steps_done (may be NULL) is
 * the step. */
const char *allocator_model_run(allocator_model_draw_t *draw, void *context, unsigned n_steps,
                                unsigned *n_steps_done);

#endif
