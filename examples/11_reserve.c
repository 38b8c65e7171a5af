/* SPDX-License-Identifier: MIT
 *
 * A reserve for a critical task. Telemetry takes all the memory it can get; when there is none left
 * the alarm must be able to report that all the same. A critical request may use the reserve, which
 * fills up again by itself when memory comes back. Who is critical says the priority, of a single
 * request or, once and for all, of an account: here all that the alarm does is critical.
 */
#include <ealloc/ealloc.h>
#include <ealloc/owner.h>
#include <stdio.h>

#define RESERVE_BYTES 512u

static unsigned char ram[8192];
static ea_allocator_t memory;
static ea_account_t nodes[3];
static ea_accounts_t book;

EA_EVENTS_DEFINE_STATIC(events, 8);

static void on_reserve(void *context, const ea_event_t *event)
{
    (void)context;
    printf("    event: %s\n", ea_event_kind_name(event->kind));
}

typedef struct record record_t;
struct record {
    record_t *next;
    char text[52];
};

static record_t *telemetry;

static bool add_telemetry(void)
{
    record_t *record = ea_malloc(&memory, sizeof *record);
    if (record == NULL) return false;
    record->next = telemetry;
    telemetry = record;
    return true;
}

static void send_telemetry(void)
{
    record_t *record = telemetry;
    if (record == NULL) return;
    telemetry = record->next;
    (void)ea_free(&memory, record);
}

static size_t reserve_bytes(void)
{
    ea_allocator_stats_t stats;
    ea_allocator_stats(&memory, &stats);
    return stats.reserve_bytes;
}

/* Whatever it calls, and whatever that allocates, is critical. */
static void *raise_alarm(ea_account_t *alarm)
{
    void *message = NULL;
    EA_OWNER_SCOPE(alarm) message = ea_malloc(&memory, 100);
    return message;
}

int main(void)
{
    static ea_listener_t listener;
    static const ea_account_options_t critical = {.name = "alarm",
                                                  .priority = EA_PRIORITY_CRITICAL};
    if (ea_accounts_init(&book, nodes, 3, NULL) != EA_OK) return 1;
    ea_account_t *alarm = ea_account_create(&book, ea_accounts_root(&book), &critical);
    const ea_allocator_options_t options = {.accounts = &book, .events = &events};
    uint32_t kinds = EA_EVENT_BIT(EA_EVENT_RESERVE_USED) | EA_EVENT_BIT(EA_EVENT_RESERVE_REFILLED);
    if (alarm == NULL || ea_allocator_init(&memory, &options) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, NULL) != EA_OK ||
        ea_allocator_set_reserve(&memory, RESERVE_BYTES) != EA_OK ||
        ea_events_listen(&events, &listener, kinds, on_reserve, NULL) != EA_OK)
        return 1;

    while (add_telemetry()) continue;
    printf("telemetry has taken all it can get\n");
    void *message = raise_alarm(alarm);
    printf("alarm: %s\n", message ? "sent" : "lost");
    printf("telemetry may use the rest of the reserve: %s\n", add_telemetry() ? "yes" : "no");
    printf("reserve full: %s\n", reserve_bytes() >= RESERVE_BYTES ? "yes" : "no");

    printf("telemetry is sent\n");
    for (unsigned i = 0; i < 10; i++) send_telemetry();
    printf("reserve full: %s\n", reserve_bytes() >= RESERVE_BYTES ? "yes" : "no");

    (void)ea_free(&memory, message);
    while (telemetry) send_telemetry();
    return ea_allocator_deinit(&memory, NULL) == EA_OK ? 0 : 1;
}
