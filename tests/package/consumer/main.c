/* SPDX-License-Identifier: MIT
 *
 * An application that uses the installed library: takes a block, gives it back, and says what it
 * was built with. Exit status 0 if all of that went as the headers promise.
 */
#include <ealloc/ealloc.h>
#include <ealloc/port.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static unsigned char memory[4096];

int main(void)
{
    ea_heap_t *heap = ea_heap_init(memory, sizeof memory, NULL);
    void *block = heap != NULL ? ea_heap_alloc(heap, 100) : NULL;

    if (block == NULL || (uintptr_t)block % EA_HEAP_ALIGN != 0) return 1;
    memset(block, 0x5A, 100);
    if (ea_heap_check(heap, NULL) != EA_OK || ea_heap_free(heap, block) != EA_OK) return 2;
    if (ea_heap_deinit(heap) != 0 || ea_port_time_us() == 0) return 3;
    printf("ealloc %d.%d.%d, alignment %d, check level %d: %s\n", EA_VERSION_MAJOR,
           EA_VERSION_MINOR, EA_VERSION_PATCH, (int)EA_HEAP_ALIGN, EA_CFG_CHECK_LEVEL,
           ea_status_name(EA_OK));
    return 0;
}
