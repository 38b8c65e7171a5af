/* SPDX-License-Identifier: MIT
 *
 * The history of allocations after a crash. A logger forgets to free its lines until memory ends
 * and the watchdog resets the device. The ring of events lies in a section that start-up code
 * leaves alone, so the next run reads what led to it: who asked, for how much, from where, when.
 * Here the reset is played: the program runs twice over the same ring.
 */
#include <ealloc/ealloc.h>
#include <ealloc/owner.h>
#include <stdio.h>
#include <string.h>

static _Alignas(8) unsigned char ring[EA_TRACE_BYTES(16)] EA_TRACE_NOINIT;
static _Alignas(8) unsigned char ram[2048];
static volatile uint32_t tick; /* counted by the timer's interrupt, 1000 a second */

static void tell_history(const ea_trace_t *trace)
{
    ea_trace_cursor_t cursor = {0};
    ea_trace_event_t e;
    while (ea_trace_read(trace, &cursor, &e) == EA_OK) {
        printf("  %5lu ms %-5s", (unsigned long)(e.time_us / 1000), ea_trace_kind_name(e.kind));
        if (e.kind == EA_TRACE_BOOT)
            printf(" number %lu\n", (unsigned long)e.size_bytes);
        else
            printf(" %lu to %lu bytes, owner %u\n", (unsigned long)e.size_bytes,
                   (unsigned long)e.max_size_bytes, e.owner);
    }
    printf("  overwritten before: %lu\n", (unsigned long)cursor.n_overwritten);
}

/* Runs until memory ends; a device would never return. */
static ea_trace_t *run(void)
{
    static ea_allocator_t memory;
    static ea_accounts_t book;
    static ea_account_t nodes[3];
    const ea_trace_options_t options = {.clock = &tick, .tick_us = 1000, .image = 0xC0FFEE};

    tick = 0;
    ea_trace_t *trace = ea_trace_open(ring, sizeof ring, &options);
    if (trace == NULL || ea_accounts_init(&book, nodes, 3, NULL) != EA_OK) return NULL;
    ea_account_t *logger = ea_account_create(&book, ea_accounts_root(&book), NULL);
    const ea_allocator_options_t owned = {.accounts = &book, .owner = logger};
    if (ea_allocator_init(&memory, &owned) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, NULL) != EA_OK ||
        ea_trace_attach(trace, &memory) != EA_OK)
        return NULL;
    for (void *line = ram; line != NULL;) {
        tick += 250;
        line = ea_malloc(&memory, 100); /* and nobody frees it */
        if (line != NULL) strcpy(line, "door open");
    }
    return trace;
}

int main(void)
{
    ea_trace_t *trace = run();
    if (trace == NULL) return 1;
    printf("reset; what the last run left:\n");
    tick = 0;
    const ea_trace_options_t same = {.clock = &tick, .tick_us = 1000, .image = 0xC0FFEE};
    trace = ea_trace_open(ring, sizeof ring, &same);
    if (trace == NULL) return 1;
    tell_history(trace);
    return 0;
}
