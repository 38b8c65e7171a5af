/* SPDX-License-Identifier: MIT
 *
 * Prints the bytes of the control structure of a 64 KB heap.
 */
#include "board.h"
#include "ealloc/heap.h"

#define HEAP_BYTES 65536u

int main(void)
{
    static _Alignas(16) unsigned char memory[HEAP_BYTES];
    ea_heap_stats_t stats;
    ea_heap_t *heap = ea_heap_init(memory, sizeof memory, NULL);
    if (heap == NULL) return 1;
    ea_heap_stats(heap, &stats);
    board_put_number((long long)stats.control_bytes);
    board_put("\n");
    return 0;
}
