/* SPDX-License-Identifier: MIT
 *
 * Prints the bytes of a pressure object.
 */
#include "board.h"
#include "ealloc/pressure.h"

int main(void)
{
    board_put_number((long long)sizeof(ea_pressure_t));
    board_put("\n");
    return 0;
}
