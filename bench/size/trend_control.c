/* SPDX-License-Identifier: MIT
 *
 * Prints the bytes of a trend.
 */
#include "board.h"
#include "ealloc/trend.h"

int main(void)
{
    board_put_number((long long)sizeof(ea_trend_t));
    board_put("\n");
    return 0;
}
