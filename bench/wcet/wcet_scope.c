/* SPDX-License-Identifier: MIT
 *
 * Instructions of a scope: its begin, an event inside of it (the hook included) and while nobody
 * tracks, its end with a name's row. Prints what scripts/wcet reads.
 */
#include "ealloc/scope.h"
#include "hooked.h"

static uintptr_t tables[EA_SCOPES_BYTES(8, 4) / sizeof(uintptr_t)];
static ea_scopes_t scopes;
static volatile uint32_t ticks;

static void count(void *context, ea_block_event_t what, uint16_t owner, const void *site,
                  const void *block, size_t size_bytes)
{
    (void)owner, (void)site, (void)block;
    ea_scopes_count((ea_scopes_t *)context, what, size_bytes);
}

int main(void)
{
    const ea_scopes_options_t options = {
        .n_names = 8, .n_tasks = 4, .clock = &ticks, .tick_us = 1000};
    static const char names[12];
    count_calibrate();
    count_scenario("uncontended");
    if (ea_scopes_init(&scopes, tables, sizeof tables, &options) != EA_OK) return 1;
    hooked_note(OP_SCOPE_IDLE, (void *)count, &scopes, EA_BLOCK_ALLOCATED, 0, 8);
    for (unsigned i = 0; i < 12; i++) { /* rows that are there, that are new, and other */
        ea_scope_t outer, inner;
        uint32_t n = 0;
        (void)COUNTED(&n, ea_scope_begin, &outer, &scopes, names, 0, 0);
        count_note(OP_SCOPE_BEGIN, n);
        hooked_note(OP_SCOPE_EVENT, (void *)count, &scopes, EA_BLOCK_ALLOCATED, 0, 8);
        n = 0;
        (void)COUNTED(&n, ea_scope_begin, &inner, &scopes, names + i, 0, 0);
        count_note(OP_SCOPE_BEGIN, n);
        hooked_note(OP_SCOPE_EVENT, (void *)count, &scopes, EA_BLOCK_ALLOCATED, 0, 8);
        hooked_note(OP_SCOPE_EVENT, (void *)count, &scopes, EA_BLOCK_FREED, 0, 8);
        ticks += 1000;
        n = 0;
        (void)COUNTED(&n, ea_scope_end, &inner, NULL, 0, 0, 0);
        count_note(OP_SCOPE_END, n);
        n = 0;
        (void)COUNTED(&n, ea_scope_end, &outer, NULL, 0, 0, 0);
        count_note(OP_SCOPE_END, n);
    }
    count_report();
    count_report_all();
    board_put("end\n");
    return 0;
}
