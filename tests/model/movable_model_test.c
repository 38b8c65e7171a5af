/* SPDX-License-Identifier: MIT
 *
 * Random operations on random stores of movable blocks against the model:  movable_model_test
 * [OPERATIONS [SEED]]
 */
#include <stdio.h>
#include <stdlib.h>

#include "movable_model.h"

static uint32_t draw_random(void *context, uint32_t limit)
{
    uint32_t *x = context;
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return (uint32_t)((uint64_t)*x * limit >> 32);
}

/* One store of its own. Returns false and says why. */
static bool run(uint32_t seed, unsigned n_steps)
{
    uint32_t state = seed * 2654435761u + 12345u;
    for (int i = 0; i < 8; i++) (void)draw_random(&state, 2);
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
    unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 60000;
    uint32_t seed = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1;
    const unsigned n_steps = 1000;
    unsigned n_passed = 0, n_failed = 0;
    printf("# %lu operations, seeds from %lu\n", n, (unsigned long)seed);
    for (unsigned long done = 0; done < n && n_failed < 5; done += n_steps) {
        if (run(seed++, n_steps))
            n_passed++;
        else
            n_failed++;
    }
    printf("%u passed, %u failed\n", n_passed, n_failed);
    return n_failed ? 1 : 0;
}
