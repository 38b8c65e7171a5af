/* SPDX-License-Identifier: MIT
 *
 * libFuzzer target: the input is read as a store's options and operations on it, which must agree
 * with the model of tests/model.
 */
#include <stdio.h>
#include <stdlib.h>

#include "input.h"
#include "movable_model.h"

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
