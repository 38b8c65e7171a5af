/* SPDX-License-Identifier: MIT
 *
 * Prints the bytes of one account.
 */
#include "board.h"
#include "ealloc/account.h"

int main(void)
{
    board_put_number((long long)sizeof(ea_account_t));
    board_put("\n");
    return 0;
}
