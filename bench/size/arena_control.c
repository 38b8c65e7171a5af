/* SPDX-License-Identifier: MIT
 *
 * Prints the bytes of an arena's control structure.
 */
#include "board.h"
#include "ealloc/arena.h"

int main(void)
{
    board_put_number((long long)sizeof(ea_arena_t));
    board_put("\n");
    return 0;
}
