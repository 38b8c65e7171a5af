/* SPDX-License-Identifier: MIT
 *
 * libFuzzer target: the input is read as the options, owners, regions and pools of an allocator and
 * operations on it, which must agree with the model of tests/model.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "allocator_model.h"

#define MAX_STEPS 600u

typedef struct {
    const uint8_t *at, *end;
} input_t;

/* One byte for a small choice, two beyond; 0 when the input is used up. */
static uint32_t draw_from_input(void *context, uint32_t limit)
{
    input_t *input = context;
    uint32_t value = 0;
    for (uint32_t reach = 1; reach < limit; reach <<= 8) {
        if (input->at == input->end) return 0;
        value = value << 8 | *input->at++;
    }
    return value % limit;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_t input = {data, data + size};
    unsigned n_steps = size / 2 < MAX_STEPS ? (unsigned)(size / 2) : MAX_STEPS;
    const char *complaint = allocator_model_run(draw_from_input, &input, n_steps, NULL);
    if (complaint == NULL) return 0;
    fprintf(stderr, "allocator: %s\n", complaint);
    abort();
}
