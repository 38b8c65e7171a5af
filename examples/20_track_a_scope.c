/* SPDX-License-Identifier: MIT
 *
 * What an operation costs. A device boots, parses messages and keeps what it learned; one message
 * in ten leaves 40 bytes behind. Each operation has a name; at its end it says what it left, what
 * it had at most and how long it took, and in the end there is a row of sums for each name.
 */
#include <ealloc/ealloc.h>
#include <stdio.h>

static uintptr_t tables[EA_SCOPES_BYTES(8, 2) / sizeof(uintptr_t)];
static _Alignas(8) unsigned char ram[4096];
static ea_allocator_t memory;
static ea_scopes_t scopes;
static void *volatile kept;
static volatile uint32_t ms; /* what a system's tick interrupt counts */

static void tell(void *context, const ea_scope_record_t *r)
{
    (void)context;
    if (r->depth == 0 && r->delta_bytes != 0)
        printf("%s left %ld bytes, peak %lu, %lu ms\n", r->name, (long)r->delta_bytes,
               (unsigned long)r->peak_bytes, (unsigned long)(r->duration_us / 1000));
}

static void parse(unsigned n)
{
    EA_TRACK(&scopes, "parse")
    {
        void *text = ea_malloc(&memory, 120);
        EA_TRACK(&scopes, "decode")
        {
            void *scratch = ea_malloc(&memory, 200);
            ms += 2;
            (void)ea_free(&memory, scratch);
        }
        if (n % 10 == 7) {
            kept = ea_malloc(&memory, 40); /* and forgotten */
            ms += 30;
        }
        (void)ea_free(&memory, text);
    }
}

int main(void)
{
    const ea_scopes_options_t options = {
        .n_names = 8, .n_tasks = 2, .clock = &ms, .tick_us = 1000, .record = tell};
    if (ea_allocator_init(&memory, NULL) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, NULL) != EA_OK ||
        ea_scopes_init(&scopes, tables, sizeof tables, &options) != EA_OK ||
        ea_scopes_attach(&scopes, &memory) != EA_OK)
        return 1;
    EA_TRACK(&scopes, "boot") kept = ea_malloc(&memory, 500);
    for (unsigned i = 0; i < 20; i++) parse(i);

    ea_scope_row_t row;
    for (size_t cursor = 0; ea_scopes_next(&scopes, &cursor, &row) == EA_OK;)
        if (row.name)
            printf("%-6s %2lu runs: left %ld bytes, peak %lu, longest %lu ms\n", row.name,
                   (unsigned long)row.n_runs, (long)row.total_delta_bytes,
                   (unsigned long)row.max_peak_bytes, (unsigned long)(row.max_us / 1000));
    return ea_scopes_detach(&scopes, &memory) == EA_OK ? 0 : 1;
}
