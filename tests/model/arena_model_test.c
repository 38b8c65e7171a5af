/* SPDX-License-Identifier: MIT
 *
 * Random operations on random arenas against the model:  arena_model_test [OPERATIONS [SEED]]
 */
#include "arena_model.h"
#include "seeds.h"

/* One arena of its own. Returns false and says why. */
static bool run(uint32_t seed, unsigned n_steps)
{
    uint32_t state = state_of(seed);
    arena_model_t *model = arena_model_new(draw_random, &state);
    if (model == NULL) return false;
    bool ok = arena_model_complaint(model)[0] == '\0';
    unsigned step = 0;
    for (; ok && step < n_steps; step++) {
        ok = arena_model_step(model);
        if (ok && step % 16 == 0) ok = arena_model_verify(model);
    }
    if (ok && arena_model_end(model)) return true;
    printf("# seed %lu, step %u: %s\n", (unsigned long)seed, step, arena_model_complaint(model));
    return false;
}

int main(int argc, char **argv)
{
    return run_seeds(argc, argv, 300000, run);
}
