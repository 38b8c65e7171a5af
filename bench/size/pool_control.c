/* SPDX-License-Identifier: MIT
 *
 * Prints the bytes of a pool's control structure.
 */
#include "board.h"
#include "ealloc/pool.h"

int main(void)
{
    board_put_number((long long)sizeof(ea_pool_t));
    board_put("\n");
    return 0;
}
