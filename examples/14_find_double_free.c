/* SPDX-License-Identifier: MIT
 *
 * Finding a double free. A message is put into two queues by mistake, and both of those who take it
 * out free it. The second free is refused before it can harm anything, and the application is asked
 * what shall happen; it prints what is known and goes on. A test would answer EA_GUARD_PANIC.
 */
#include <ealloc/ealloc.h>
#include <ealloc/owner.h>
#include <stdio.h>

static unsigned char ram[4096];
static ea_allocator_t memory;
static ea_account_t nodes[4];
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

/* The event knows who called; the report below knows the block. */
static void on_event(void *context, const ea_event_t *event)
{
    (void)context;
    printf("  event %s, called from 0x%lx\n", ea_event_kind_name(event->kind),
           (unsigned long)(uintptr_t)event->caller);
}

static ea_guard_policy_t on_damage(void *context, const ea_guard_report_t *report)
{
    unsigned *n = context;
    ++*n;
    printf("  %s, owner %s, allocated at 0x%lx\n", ea_guard_kind_name(report->kind),
           name_of(report->owner), (unsigned long)(uintptr_t)report->site);
    return EA_GUARD_REFUSE;
}

static void free_and_tell(const char *who, void *block)
{
    printf("%s frees:\n", who);
    ea_status_t status = ea_free(&memory, block);
    printf("  %s\n", ea_status_name(status));
}

int main(void)
{
    static ea_listener_t listener;
    static const ea_account_options_t named[2] = {{.name = "radio"}, {.name = "display"}};
    unsigned n_damaged = 0;
    if (ea_accounts_init(&book, nodes, 4, NULL) != EA_OK) return 1;
    ea_account_t *radio = ea_account_create(&book, ea_accounts_root(&book), &named[0]);
    ea_account_t *display = ea_account_create(&book, ea_accounts_root(&book), &named[1]);
    const ea_allocator_options_t options = {
        .accounts = &book,
        .events = &events,
        .secret = 0x5EC2E7, /* random at each boot */
        .damage = EA_GUARD_CALL,
        .on_damage = on_damage,
        .damage_context = &n_damaged,
        .strict_owner = true,
    };
    uint32_t kinds = EA_EVENT_BIT(EA_EVENT_DOUBLE_FREE) | EA_EVENT_BIT(EA_EVENT_WRONG_OWNER);
    if (!radio || !display || ea_allocator_init(&memory, &options) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, NULL) != EA_OK ||
        ea_events_listen(&events, &listener, kinds, on_event, NULL) != EA_OK)
        return 1;

    void *message = NULL;
    EA_OWNER_SCOPE(radio) message = ea_malloc(&memory, 48);
    EA_OWNER_SCOPE(display) free_and_tell("display", message); /* it is the radio's */
    EA_OWNER_SCOPE(radio) free_and_tell("radio", message);
    EA_OWNER_SCOPE(radio) free_and_tell("radio", message); /* out of the second queue */
    printf("refused: %u, blocks leaked: %u\n", n_damaged,
           ea_allocator_deinit(&memory, NULL) == EA_OK ? 0u : 1u);
    return n_damaged == 2 ? 0 : 1;
}
