/* SPDX-License-Identifier: MIT
 *
 * Who allocates, from where, and what would be cheaper. A radio takes a packet at each tick and
 * gives it back in the same one; a display builds a list that grows by realloc; a table stays for
 * ever. The profile says which is which, and what to do about it. Call sites are addresses in the
 * program: addr2line names them; here each request names itself.
 */
#include <ealloc/ealloc.h>
#include <stdio.h>

#define N_SITES 8
#define N_OWNERS 8
#define N_BLOCKS 32

static _Alignas(8) unsigned char tables[EA_PROFILE_BYTES(N_SITES, N_OWNERS, N_BLOCKS)];
static _Alignas(8) unsigned char ram[3072];
static ea_allocator_t memory;
static ea_profile_t profile;
static volatile uint32_t ms; /* what a system's tick interrupt counts */

static const char packets[] = "packets", table[] = "table", list[] = "list";

static void *take(const char *what, size_t size_bytes)
{
    return ea_malloc_ex(&memory, size_bytes, &(ea_request_t){.caller = what});
}

static void run(void)
{
    for (unsigned i = 0; i < 16; i++) (void)take(table, 20);
    for (ms = 0; ms < 1000; ms++) {
        void *first = take(packets, 48), *second = take(packets, 40);
        (void)ea_free(&memory, first);
        (void)ea_free(&memory, second);
    }
    void *items = take(list, 8);
    for (size_t n = 2; n < 20; n++) {
        void *larger = ea_realloc(&memory, items, 8 * n);
        if (larger) items = larger;
    }
    (void)ea_free(&memory, items);
}

static const char *name_of(const void *site)
{
    return site == packets || site == table || site == list ? (const char *)site : "a realloc";
}

int main(void)
{
    const ea_profile_options_t options = {.n_sites = N_SITES,
                                          .n_owners = N_OWNERS,
                                          .n_blocks = N_BLOCKS,
                                          .clock = &ms,
                                          .tick_us = 1000};
    static ea_profile_row_t rows[N_SITES];
    if (ea_allocator_init(&memory, NULL) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, NULL) != EA_OK ||
        ea_profile_init(&profile, tables, sizeof tables, &options) != EA_OK ||
        ea_profile_attach(&profile, &memory) != EA_OK)
        return 1;
    run();
    ea_profile_window(&profile);

    /* Who allocates most often comes first. */
    size_t n = ea_profile_top(&profile, EA_PROFILE_SITES, EA_PROFILE_BY_RATE, rows, N_SITES);
    for (const ea_profile_row_t *row = rows; row < rows + n; row++) {
        ea_advice_t advice;
        ea_profile_advise(row, &advice);
        if (row->n_allocs == 0 || advice.kind == EA_ADVICE_NONE) continue;
        printf("%-9s %5lu blocks, %4lu bytes live, %4lu a second: %s", name_of(row->site),
               (unsigned long)row->n_allocs, (unsigned long)row->live_bytes,
               (unsigned long)row->allocs_per_s, ea_advice_name((uint8_t)advice.kind));
        if (advice.kind == EA_ADVICE_POOL)
            printf(" of %lu bytes, freed within %lu ms", (unsigned long)advice.size_bytes,
                   (unsigned long)(advice.max_lifetime_us / 1000));
        printf("\n");
    }
    return ea_profile_detach(&profile, &memory) == EA_OK ? 0 : 1;
}
