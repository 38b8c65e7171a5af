/* SPDX-License-Identifier: MIT
 *
 * libFuzzer target: the input is read as a store's options and operations on it, which must agree
 * with the model of tests/model.
 */
#include <stdio.h>
#include <stdlib.h>

#include "movable_model.h"

typedef struct {
    const uint8_t *at, *end;
} input_t;

/* As many bytes as the limit needs; 0 when the input is used up. */
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
    movable_model_t *model = movable_model_new(draw_from_input, &input);
    if (model == NULL) return 0;
    bool ok = movable_model_complaint(model)[0] == '\0';
    while (ok && input.at < input.end) ok = movable_model_step(model);
    if (ok && movable_model_end(model)) return 0;
    fprintf(stderr, "%s\n", movable_model_complaint(model));
    abort();
}
