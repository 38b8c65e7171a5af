/* SPDX-License-Identifier: MIT
 *
 * Random operations on allocators of random options against the model; `runs=N seed=N` on the
 * command line.
 */
#include "allocator_model.h"
#include "board.h"
#include "ealloc/config.h"
#include "tap.h"

#define STEPS 400u
#if EA_CFG_CHECK_LEVEL >= 3 /* every operation checks all */
#define RUNS 60u
#else
#define RUNS (EA_CFG_ALLOC_MOVABLE ? 150u : 300u)
#endif

static uint32_t random_draw(void *context, uint32_t limit)
{
    uint64_t *state = context; /* splitmix64 */
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)(((z >> 32) * limit) >> 32);
}

TEST(allocator_agrees_with_the_model, 0)
{
    unsigned long seed = tap_arg("seed", 1), runs = tap_arg("runs", RUNS);
    tap_note("seed", (long long)seed);
    for (unsigned long i = 0; i < runs; i++) {
        uint64_t state = (seed + i) * 0x9E3779B97F4A7C15u;
        unsigned at = 0;
        const char *complaint = allocator_model_run(random_draw, &state, STEPS, &at);
        if (complaint == NULL) continue;
        tap_note("seed of this run", (long long)(seed + i));
        tap_note("step", at);
        tap_fail(__FILE__, __LINE__, complaint, 1, 0);
        return;
    }
}

TEST_MAIN(&allocator_agrees_with_the_model)
