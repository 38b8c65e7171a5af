/* SPDX-License-Identifier: MIT
 *
 * Who passed it to whom. The radio takes a packet in, and for it the decoder makes a text; the
 * radio hands the text to the display, the display to the log, and the log forgets it. Whoever
 * finds the text in a dump sees who holds it; the lineage says how it got there, and what it was
 * made for. Call sites are addresses in the program: addr2line names them; here each request names
 * itself.
 */
#include <ealloc/ealloc.h>
#include <stdio.h>

static uintptr_t table[EA_LINEAGE_BYTES(32, 2, 3) / sizeof(uintptr_t)];
static _Alignas(8) unsigned char ram[2048];
static ea_account_t nodes[4];
static ea_accounts_t book;
static ea_allocator_t memory;
static volatile uint32_t ms; /* what a system's tick interrupt counts */

static ea_account_t *account(const char *name)
{
    return ea_account_create(&book, ea_accounts_root(&book), &(ea_account_options_t){.name = name});
}

static const char *name_of(uint16_t id)
{
    ea_account_stats_t stats;
    const ea_account_t *owner = ea_account_by_id(&book, id);
    if (owner == NULL) return "nobody";
    ea_account_stats(owner, &stats);
    return stats.name;
}

static void *take(ea_account_t *owner, const char *what, size_t size_bytes)
{
    return ea_malloc_ex(&memory, size_bytes, &(ea_request_t){.owner = owner, .caller = what});
}

static void print_lineage(const ea_lineage_t *lineage, const void *block)
{
    ea_lineage_entry_t e;
    ea_status_t status = ea_lineage_of(lineage, block, &e);
    for (; status == EA_OK; status = ea_lineage_parent(lineage, &e)) {
        printf("%s%s, %lu bytes, by %s at %lu ms%s\n", e.generation ? "for a " : "a ",
               (const char *)e.site, (unsigned long)e.size_bytes, name_of(e.owner),
               (unsigned long)(e.time_us / 1000), e.is_live ? "" : ", freed");
        for (size_t i = 0; i < e.n_hand_overs; i++)
            printf("  to %s at %lu ms\n", name_of(e.hand_overs[i].to),
                   (unsigned long)(e.hand_overs[i].time_us / 1000));
    }
}

int main(void)
{
    const ea_lineage_options_t options = {
        .n_blocks = 32, .n_tasks = 2, .n_hand_overs = 3, .clock = &ms, .tick_us = 1000};
    ea_lineage_t *lineage = ea_lineage_init(table, sizeof table, &options);
    if (lineage == NULL || ea_accounts_init(&book, nodes, 4, NULL) != EA_OK) return 1;
    ea_account_t *radio = account("radio"), *display = account("display"), *log = account("log");
    const ea_allocator_options_t of_memory = {.accounts = &book};
    if (ea_allocator_init(&memory, &of_memory) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, NULL) != EA_OK ||
        ea_lineage_attach(lineage, &memory) != EA_OK)
        return 1;

    ms = 10;
    void *packet = take(radio, "packet", 64), *text = NULL;
    EA_SERVING(lineage, packet) text = take(radio, "text", 30);
    ms = 12;
    bool handed = text != NULL && ea_transfer(&memory, text, display) == EA_OK;
    text = ea_realloc(&memory, text, 200); /* it may move: its lineage goes with it */
    (void)ea_free(&memory, packet);
    ms = 40;
    handed = text != NULL && ea_transfer(&memory, text, log) == EA_OK && handed;

    print_lineage(lineage, text);
    return handed ? 0 : 1;
}
