/* SPDX-License-Identifier: MIT
 *
 * Random operations on every configuration of the heap against the model.
 *
 *     model_test [OPERATIONS] [SEED] [INSTANCE]     2000000 and 1, all instances
 *
 * The operations are divided over the instances and run in stretches, each on a new heap with a
 * seed of its own, which is printed when something is wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

#define STRETCH 4000u
#define VERIFY_EVERY 64u

static uint32_t random_draw(void *context, uint32_t limit)
{
    uint64_t *state = context; /* splitmix64 */
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)(((z >> 32) * limit) >> 32);
}

static bool run_stretch(const eai_heap_ops_t *instance, uint64_t seed)
{
    uint64_t state = seed;
    model_t *model = model_new(instance, random_draw, &state);
    if (model == NULL) {
        fprintf(stderr, "model_test: out of memory\n");
        exit(1);
    }
    unsigned step = 0;
    bool ok = model_complaint(model)[0] == '\0';
    while (ok && step < STRETCH) {
        ok = model_step(model);
        step++;
        if (ok && step % VERIFY_EVERY == 0) ok = model_verify(model);
    }
    if (ok && model_end(model)) return true;
    printf("# instance %s, seed %llu, step %u: %s\n", instance->name, (unsigned long long)seed,
           step, model_complaint(model));
    return false;
}

int main(int argc, char **argv)
{
    unsigned long long n_operations = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    const char *only = argc > 3 ? argv[3] : NULL;
    unsigned long long each = n_operations / (only == NULL ? N_INSTANCES : 1) / STRETCH + 1;
    unsigned n_passed = 0, n_failed = 0;
    printf("# seed %llu, %llu operations on each instance\n", (unsigned long long)seed,
           each * STRETCH);
    for (size_t i = 0; i < N_INSTANCES; i++) {
        if (only != NULL && strcmp(only, instances[i]->name) != 0) continue;
        bool ok = true;
        for (unsigned long long k = 0; ok && k < each; k++)
            ok = run_stretch(instances[i], seed + k);
        printf("%s %u - heap_agrees_with_the_model_%s\n", ok ? "ok" : "not ok",
               n_passed + n_failed + 1, instances[i]->name);
        fflush(stdout);
        n_passed += ok;
        n_failed += !ok;
    }
    printf("1..%u\n%u passed, %u failed, 0 skipped\n", n_passed + n_failed, n_passed, n_failed);
    return n_failed != 0 || n_passed == 0;
}
