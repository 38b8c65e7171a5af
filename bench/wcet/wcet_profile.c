/* SPDX-License-Identifier: MIT
 *
 * Instructions of the profile: a block that comes and goes, at sites that have their rows and at
 * sites that have none, or take another's. Prints what scripts/wcet reads.
 */
#include "ealloc/profile.h"
#include "hooked.h"

static uintptr_t tables[EA_PROFILE_BYTES(8, 8, 32) / sizeof(uintptr_t)];
static ea_profile_t profile;
static volatile uint32_t ticks;

static void measure(op_t op_alloc, op_t op_free, unsigned n_sites)
{
    for (unsigned i = 0; i < 200; i++) {
        uintptr_t site = 0x1000 + 4 * (i % n_sites), block = 0x20000 + 8 * (i % 16);
        ticks++;
        hooked_note(op_alloc, (void *)ea_profile_record, &profile, EA_BLOCK_ALLOCATED, site, block);
        hooked_note(op_free, (void *)ea_profile_record, &profile, EA_BLOCK_FREED, site, block);
    }
}

int main(void)
{
    const ea_profile_options_t options = {
        .n_sites = 8, .n_owners = 8, .n_blocks = 32, .clock = &ticks, .tick_us = 1000};
    count_calibrate();
    count_scenario("uncontended");
    if (ea_profile_init(&profile, tables, sizeof tables, &options) != EA_OK) return 1;
    measure(OP_PROFILE_ALLOC, OP_PROFILE_FREE, 4);
    measure(OP_PROFILE_ALLOC_MANY, OP_PROFILE_FREE_MANY, 40);
    count_report();
    count_report_all();
    board_put("end\n");
    return 0;
}
