/* SPDX-License-Identifier: MIT
 *
 * Instructions of one step of a dump, what it writes going nowhere: a block or another record. The
 * longest is that of a region, whose heap is checked. Prints what scripts/wcet reads.
 */
#include "count.h"
#include "ealloc/dump.h"

static unsigned char ram[4096] __attribute__((aligned(16)));
static ea_allocator_t memory;
static ea_dump_t dump;

static bool drop(void *context, const void *bytes, size_t n_bytes)
{
    (void)context, (void)bytes, (void)n_bytes;
    return true;
}

int main(void)
{
    static const ea_dump_options_t options = {.write = drop};
    count_calibrate();
    count_scenario("uncontended");
    if (ea_allocator_init(&memory, NULL) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, NULL) != EA_OK)
        return 1;
    for (unsigned i = 0; i < 40; i++) {
        void *block = ea_malloc(&memory, 16 + i);
        if (i % 3 == 0) (void)ea_free(&memory, block);
    }
    if (ea_dump_begin(&dump, &memory, &options) != EA_OK) return 1;
    for (uintptr_t status = (uintptr_t)EA_ERR_AGAIN; status == (uintptr_t)EA_ERR_AGAIN;) {
        uint32_t n = 0;
        status = COUNTED(&n, ea_dump_step, &dump, 1, 0, 0, 0);
        count_note(OP_DUMP_STEP, n);
    }
    count_report();
    count_report_all();
    board_put("end\n");
    return 0;
}
