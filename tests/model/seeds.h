/* SPDX-License-Identifier: MIT
 *
 * A model test's random numbers, and its runs: one object and 1000 operations a seed.
 */
#ifndef EALLOC_MODEL_SEEDS_H
#define EALLOC_MODEL_SEEDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Below limit; context: a state that is not 0. */
static uint32_t draw_random(void *context, uint32_t limit)
{
    uint32_t *x = context;
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return (uint32_t)((uint64_t)*x * limit >> 32);
}

/* The state that a seed stands for. */
static uint32_t state_of(uint32_t seed)
{
    uint32_t state = seed * 2654435761u + 12345u;
    for (int i = 0; i < 8; i++) (void)draw_random(&state, 2);
    return state;
}

/* The main of a test: [OPERATIONS [SEED]]. run: false if a seed's object is wrong, and it said
 * why. */
static int run_seeds(int argc, char **argv, unsigned long n, bool (*run)(uint32_t, unsigned))
{
    const unsigned n_steps = 1000;
    uint32_t seed = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1;
    unsigned n_passed = 0, n_failed = 0;
    if (argc > 1) n = strtoul(argv[1], NULL, 10);
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

#endif
