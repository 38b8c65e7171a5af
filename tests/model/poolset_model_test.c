/* SPDX-License-Identifier: MIT
 *
 * Random operations on pool sets of random classes and strategies against the model; `runs=N
 * seed=N` on the command line.
 */
#include "board.h"
#include "poolset_model.h"
#include "tap.h"

#define STEPS 500u

static uint32_t random_draw(void *context, uint32_t limit)
{
    uint64_t *state = context; /* splitmix64 */
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)(((z >> 32) * limit) >> 32);
}

TEST(poolset_agrees_with_the_model, 0)
{
    unsigned long seed = tap_arg("seed", 1), runs = tap_arg("runs", 1000);
    tap_note("seed", (long long)seed);
    for (unsigned long i = 0; i < runs; i++) {
        uint64_t state = seed + i;
        const char *complaint = poolset_model_run(random_draw, &state, STEPS);
        if (complaint == NULL) continue;
        tap_note("seed of this run", (long long)(seed + i));
        tap_fail(__FILE__, __LINE__, complaint, 1, 0);
        return;
    }
}

TEST_MAIN(&poolset_agrees_with_the_model)
