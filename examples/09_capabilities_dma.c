/* SPDX-License-Identifier: MIT
 *
 * A chip with four kinds of memory behind one allocator: ordinary RAM, a little fast RAM beside the
 * core, RAM that the DMA controller reaches, and a large slow RAM outside the chip. A request says
 * what it needs; one that needs nothing special gets the scarce kinds last. The DMA region gives
 * each block cache lines of its own and keeps a kilobyte for those who ask for DMA.
 */
#include <ealloc/ealloc.h>
#include <stdio.h>

#define LINE_BYTES 32u
#define KEPT_FOR_DMA_BYTES 1024u

static unsigned char ram[2048], fast[1024], dma[4096], external[4096];
static ea_allocator_t memory;

static const char *where(const void *block)
{
    ea_block_info_t info;
    if (block == NULL) return "nowhere";
    if (ea_block_info(&memory, block, &info) != EA_OK) return "?";
    return info.region == ram    ? "ram"
           : info.region == fast ? "fast"
           : info.region == dma  ? "dma"
                                 : "external";
}

static bool add_regions(void)
{
    static const ea_region_options_t as_fast = {.capabilities = EA_CAP_FAST};
    static const ea_region_options_t as_dma = {
        .capabilities = EA_CAP_DMA, .line_bytes = LINE_BYTES, .reserve_bytes = KEPT_FOR_DMA_BYTES};
    static const ea_region_options_t as_ram = {.priority = 1}; /* before the external one */
    static const ea_region_options_t as_external = {.capabilities = EA_CAP_EXTERNAL};
    return ea_allocator_init(&memory, NULL) == EA_OK &&
           ea_allocator_add_region(&memory, fast, sizeof fast, &as_fast) == EA_OK &&
           ea_allocator_add_region(&memory, dma, sizeof dma, &as_dma) == EA_OK &&
           ea_allocator_add_region(&memory, external, sizeof external, &as_external) == EA_OK &&
           ea_allocator_add_region(&memory, ram, sizeof ram, &as_ram) == EA_OK;
}

int main(void)
{
    const ea_request_t needs_fast = {.capabilities = EA_CAP_FAST};
    const ea_request_t needs_dma = {.capabilities = EA_CAP_DMA};
    const ea_request_t needs_code = {.capabilities = EA_CAP_EXEC};
    ea_failure_t failure;
    if (!add_regions()) return 1;

    printf("anything         %s\n", where(ea_malloc(&memory, 100)));
    printf("fast             %s\n", where(ea_malloc_ex(&memory, 100, &needs_fast)));
    char *one = ea_malloc_ex(&memory, 100, &needs_dma);
    char *two = ea_malloc_ex(&memory, 100, &needs_dma);
    printf("DMA              %s, at the beginning of a line: %s\n", where(one),
           (uintptr_t)one % LINE_BYTES == 0 ? "yes" : "no");
    printf("                 two blocks in one line: %s\n",
           (uintptr_t)one / LINE_BYTES == (uintptr_t)two / LINE_BYTES ? "yes" : "no");

    /* Somebody who never has enough: one kind of memory after the other. */
    const char *last = "";
    void *block;
    printf("greedy           ");
    while ((block = ea_malloc(&memory, 200)) != NULL) {
        if (where(block) != last) printf("%s%s", *last ? ", then " : "", where(block));
        last = where(block);
    }
    ea_allocator_last_failure(&memory, &failure);
    printf("\n                 refused: %s\n", ea_reason_name(failure.reason));
    printf("DMA all the same %s\n", where(ea_malloc_ex(&memory, 500, &needs_dma)));

    if (ea_malloc_ex(&memory, 100, &needs_code) != NULL) return 1;
    ea_allocator_last_failure(&memory, &failure);
    printf("to run code from refused: %s\n", ea_reason_name(failure.reason));
    return 0;
}
