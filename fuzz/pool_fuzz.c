/* SPDX-License-Identifier: MIT
 *
 * libFuzzer target: the input is read as the shape of a pool and operations on it, also wrong ones,
 * which must agree with the model of tests/model.
 */
#include <stdio.h>
#include <stdlib.h>

#include "input.h"
#include "pool_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_t input = {data, data + size};
    pool_model_t *model = pool_model_new(draw_from_input, &input);
    if (model == NULL) return 0;
    bool ok = pool_model_complaint(model)[0] == '\0';
    for (unsigned step = 1; ok && input.at < input.end; step++) {
        ok = pool_model_step(model);
        if (ok && step % 16 == 0) ok = pool_model_verify(model);
    }
    if (ok && pool_model_end(model)) return 0;
    fprintf(stderr, "pool: %s\n", pool_model_complaint(model));
    abort();
}
