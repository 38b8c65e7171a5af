/* SPDX-License-Identifier: MIT
 *
 * A fuzzer's input as the random numbers of a model.
 */
#ifndef EALLOC_FUZZ_INPUT_H
#define EALLOC_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *at, *end;
} input_t;

/* As many bytes as the limit needs: one for a small choice, two for a size; 0 when the input is
 * used up. */
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

#endif
