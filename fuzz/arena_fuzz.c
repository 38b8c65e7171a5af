/* SPDX-License-Identifier: MIT
 *
 * libFuzzer target: the input is read as an arena's options and operations on it, which must agree
 * with the model of tests/model.
 */
#include <stdio.h>
#include <stdlib.h>

#include "arena_model.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_t input = {data, data + size};
    arena_model_t *model = arena_model_new(draw_from_input, &input);
    if (model == NULL) return 0;
    bool ok = arena_model_complaint(model)[0] == '\0';
    for (unsigned step = 1; ok && input.at < input.end; step++) {
        ok = arena_model_step(model);
        if (ok && step % 16 == 0) ok = arena_model_verify(model);
    }
    if (ok && arena_model_end(model)) return 0;
    fprintf(stderr, "arena: %s\n", arena_model_complaint(model));
    abort();
}
