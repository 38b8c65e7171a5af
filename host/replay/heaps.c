/* SPDX-License-Identifier: MIT */
#include "heaps.h"

#include <string.h>

static const struct {
    const char *profile;
    unsigned align, link_bits;
    const eai_heap_ops_t *ops;
} heaps[] = {
    {"default", 8, 32, &eai_heap_ops_default8},         {"fast", 8, 32, &eai_heap_ops_fast8},
    {"throughput", 8, 32, &eai_heap_ops_throughput8},   {"tiny", 8, 32, &eai_heap_ops_tiny8},
    {"default", 16, 32, &eai_heap_ops_default16},       {"fast", 16, 32, &eai_heap_ops_fast16},
    {"throughput", 16, 32, &eai_heap_ops_throughput16}, {"tiny", 16, 32, &eai_heap_ops_tiny16},
    {"default", 8, 16, &eai_heap_ops_default8l16},
};

const eai_heap_ops_t *heaps_find(const char *profile, unsigned align, unsigned link_bits)
{
    for (size_t i = 0; i < sizeof heaps / sizeof heaps[0]; i++) {
        if (strcmp(heaps[i].profile, profile) == 0 && heaps[i].align == align &&
            heaps[i].link_bits == link_bits) {
            return heaps[i].ops;
        }
    }
    return NULL;
}
