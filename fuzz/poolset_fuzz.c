/* SPDX-License-Identifier: MIT
 *
 * libFuzzer target: the input is read as the classes and strategy of a pool set and operations on
 * it, which must agree with the model of tests/model.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "input.h"
#include "poolset_model.h"

#define MAX_STEPS 400u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_t input = {data, data + size};
    unsigned n_steps = size / 2 < MAX_STEPS ? (unsigned)(size / 2) : MAX_STEPS;
    const char *complaint = poolset_model_run(draw_from_input, &input, n_steps);
    if (complaint == NULL) return 0;
    fprintf(stderr, "pool set: %s\n", complaint);
    abort();
}
