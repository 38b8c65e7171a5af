/* SPDX-License-Identifier: MIT
 *
 * Random operations on pools of random shapes against the model: `pool_model_test [STEPS [SEED]]`.
 */
#include <stdio.h>
#include <stdlib.h>

#include "pool_model.h"

static uint32_t draw_random(void *context, uint32_t limit)
{
    uint64_t *state = context;
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(((*state >> 32) * limit) >> 32);
}

int main(int argc, char **argv)
{
    unsigned long n_steps = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    uint64_t seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    printf("# seed %llu\n", (unsigned long long)seed);
    uint64_t state = seed;
    unsigned long n_pools = 0;
    for (unsigned long step = 0; step < n_steps; n_pools++) {
        pool_model_t *model = pool_model_new(draw_random, &state);
        if (model == NULL) {
            step++;
            continue;
        }
        bool ok = pool_model_complaint(model)[0] == '\0';
        for (uint32_t n = draw_random(&state, 4000); ok && n > 0; n--, step++) {
            ok = pool_model_step(model);
            if (ok && n % 64 == 0) ok = pool_model_verify(model);
        }
        if (!ok || !pool_model_end(model)) {
            printf("not ok 1 - pool %lu, step %lu: %s\n0 passed, 1 failed\n", n_pools, step,
                   pool_model_complaint(model));
            return 1;
        }
    }
    printf("ok 1 - %lu pools agree with their model\n1 passed, 0 failed\n", n_pools);
    return 0;
}
