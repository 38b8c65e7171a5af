/* SPDX-License-Identifier: MIT
 *
 * Prints the bytes of a hub for events; each slot of its ring is 32 more (64-bit: 48).
 */
#include "board.h"
#include "ealloc/event.h"

int main(void)
{
    board_put_number((long long)sizeof(ea_events_t));
    board_put("\n");
    return 0;
}
