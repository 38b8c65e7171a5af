/* SPDX-License-Identifier: MIT
 *
 * Random operations on random stores of movable blocks against the model:  movable_model_test
 * [OPERATIONS [SEED]]
 */
#include "movable_model.h"
#include "seeds.h"

/* One store of its own. Returns false and says why. */
static bool run(uint32_t seed, unsigned n_steps)
{
    uint32_t state = state_of(seed);
    movable_model_t *model = movable_model_new(draw_random, &state);
    if (model == NULL) return false;
    bool ok = movable_model_complaint(model)[0] == '\0';
    unsigned step = 0;
    for (; ok && step < n_steps; step++) {
        ok = movable_model_step(model);
    }
    if (ok && movable_model_end(model)) return true;
    printf("# seed %lu, step %u: %s\n", (unsigned long)seed, step, movable_model_complaint(model));
    return false;
}

int main(int argc, char **argv)
{
    return run_seeds(argc, argv, 60000, run);
}
