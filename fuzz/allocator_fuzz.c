/* SPDX-License-Identifier: MIT
 *
 * libFuzzer target: the input is read as the options, owners, regions and pools of an allocator and
 * operations on it, which must agree with the model of tests/model.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "allocator_model.h"
#include "input.h"

#define MAX_STEPS 600u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_t input = {data, data + size};
    unsigned n_steps = size / 2 < MAX_STEPS ? (unsigned)(size / 2) : MAX_STEPS;
    const char *complaint = allocator_model_run(draw_from_input, &input, n_steps, NULL);
    if (complaint == NULL) return 0;
    fprintf(stderr, "allocator: %s\n", complaint);
    abort();
}
