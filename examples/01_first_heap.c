/* SPDX-License-Identifier: MIT */
#include <ealloc/ealloc.h>
#include <stdio.h>

static unsigned char memory[4096];

int main(void)
{
    ea_heap_t *heap = ea_heap_init(memory, sizeof memory, NULL);
    char *name = ea_heap_alloc(heap, 16);
    if (name == NULL) return 1;
    snprintf(name, 16, "sensor %d", 7);

    ea_heap_stats_t stats;
    ea_heap_stats(heap, &stats);
    printf("%s: %u bytes free, the largest request would get %u\n", name,
           (unsigned)stats.free_bytes, (unsigned)stats.largest_free_bytes);

    ea_heap_free(heap, name);
    printf("%u blocks leaked\n", (unsigned)ea_heap_deinit(heap));
    return 0;
}
