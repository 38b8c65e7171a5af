/* SPDX-License-Identifier: MIT
 *
 * Prints the bytes of the control structures of a pool set of five classes.
 */
#include "board.h"
#include "ealloc/poolset.h"

int main(void)
{
    board_put_number((long long)(sizeof(ea_poolset_t) + 5 * sizeof(ea_pool_t)));
    board_put("\n");
    return 0;
}
