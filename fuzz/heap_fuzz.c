/* SPDX-License-Identifier: MIT
 *
 * libFuzzer target: the input is read as operations on a heap of the configuration its first byte
 * names, which must agree with the model of tests/model.
 */
#include <stdio.h>
#include <stdlib.h>

#include "input.h"
#include "model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    input_t input = {data + 1, data + size};
    const eai_heap_ops_t *instance = instances[data[0] % N_INSTANCES];
    model_t *model = model_new(instance, draw_from_input, &input);
    if (model == NULL) return 0;
    bool ok = model_complaint(model)[0] == '\0';
    for (unsigned step = 1; ok && input.at < input.end; step++) {
        ok = model_step(model);
        if (ok && step % 16 == 0) ok = model_verify(model);
    }
    if (ok && model_end(model)) return 0;
    fprintf(stderr, "heap %s: %s\n", instance->name, model_complaint(model));
    abort();
}
