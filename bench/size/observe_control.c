/* SPDX-License-Identifier: MIT
 *
 * Prints the bytes of an observer's object (CONTROL), its tables not counted.
 */
#include "board.h"
#include "ealloc/dump.h"
#include "ealloc/lineage.h"
#include "ealloc/monitor.h"
#include "ealloc/profile.h"
#include "ealloc/scope.h"
#include "ealloc/trace.h"

int main(void)
{
    board_put_number((long long)sizeof(CONTROL));
    board_put("\n");
    return 0;
}
