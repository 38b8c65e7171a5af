/* SPDX-License-Identifier: MIT
 *
 * Prints the bytes of the control structure of a store of movable blocks; its first chunk of the
 * table and the end's header are not counted.
 */
#include "board.h"
#include "ealloc/movable.h"

static _Alignas(8) unsigned char memory[1024];

int main(void)
{
    ea_movable_stats_t stats = {0};
    ea_movable_t *store = ea_movable_init(memory, sizeof memory, NULL);
    if (store == NULL) return 1;
    ea_movable_stats(store, &stats);
    board_put_number((long long)stats.control_bytes);
    board_put("\n");
    return 0;
}
