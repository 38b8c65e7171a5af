/* SPDX-License-Identifier: MIT
 *
 * Finding an overflow. A string is copied into a block that is one byte too small for its end. The
 * program goes on as if nothing had happened, until a guard is looked at: when the block is freed,
 * or earlier by a sweep from the idle loop. The report says which byte, which block, whose it is,
 * where it was allocated and what lies next to it.
 */
#include <ealloc/ealloc.h>
#include <ealloc/owner.h>
#include <stdio.h>
#include <string.h>

static unsigned char ram[4096];
static ea_allocator_t memory;
static ea_account_t nodes[3];
static ea_accounts_t book;

EA_EVENTS_DEFINE_STATIC(events, 4);

static const char *name_of(uint16_t owner)
{
    ea_account_stats_t stats;
    const ea_account_t *account = ea_account_by_id(&book, owner);
    if (account == NULL) return "nobody";
    ea_account_stats(account, &stats);
    return stats.name;
}

static void on_overflow(void *context, const ea_event_t *event)
{
    ea_guard_report_t report;
    (void)context, (void)event;
    ea_allocator_last_damage(&memory, &report);
    printf("%s\n", ea_guard_kind_name(report.kind));
    printf("  first bad byte at offset %d\n",
           (int)((const char *)report.first_bad - (const char *)report.block));
    printf("  of a block of %u bytes, owner %s\n", (unsigned)report.size_bytes,
           name_of(report.owner));
    /* arm-none-eabi-addr2line -e program.elf ADDRESS names the line */
    printf("  allocated at 0x%lx\n", (unsigned long)(uintptr_t)report.site);
    if (report.below.block)
        printf("  below: a block of %u bytes, owner %s\n", (unsigned)report.below.size_bytes,
               name_of(report.below.owner));
    if (report.above.block)
        printf("  above: a block of %u bytes, owner %s\n", (unsigned)report.above.size_bytes,
               name_of(report.above.owner));
}

/* The bug: strlen() does not count the terminating zero. */
static char *copy_of(const char *text)
{
    char *copy = ea_malloc(&memory, strlen(text));
    if (copy != NULL) strcpy(copy, text);
    return copy;
}

/* A piece at a time: from an idle loop. */
static ea_status_t sweep(void)
{
    ea_allocator_cursor_t cursor = {0};
    ea_status_t status, worst = EA_OK;
    do {
        status = ea_allocator_sweep(&memory, &cursor, 16);
        if (status == EA_ERR_CORRUPT) worst = status;
    } while (status == EA_ERR_AGAIN || status == EA_ERR_CORRUPT);
    return worst;
}

int main(void)
{
    static ea_listener_t listener;
    static const ea_account_options_t named = {.name = "ui"};
    if (ea_accounts_init(&book, nodes, 3, NULL) != EA_OK) return 1;
    ea_account_t *ui = ea_account_create(&book, ea_accounts_root(&book), &named);
    const ea_allocator_options_t options = {
        .accounts = &book, .owner = ui, .events = &events, .secret = 0x5EC2E7};
    if (ui == NULL || ea_allocator_init(&memory, &options) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, NULL) != EA_OK ||
        ea_events_listen(&events, &listener, EA_EVENT_BIT(EA_EVENT_OVERFLOW), on_overflow, NULL) !=
            EA_OK)
        return 1;

    void *before = ea_malloc(&memory, 40);
    char *title = copy_of("pump station 7");
    void *after = ea_malloc(&memory, 60);
    printf("title is \"%s\"\n", title);

    printf("sweep: %s\n", ea_status_name(sweep()));
    printf("free:  %s\n", ea_status_name(ea_free(&memory, title)));
    printf("the neighbours are sound: %s\n",
           ea_free(&memory, before) == EA_OK && ea_free(&memory, after) == EA_OK ? "yes" : "no");
    return 0;
}
