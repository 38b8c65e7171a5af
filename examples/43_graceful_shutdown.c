/* SPDX-License-Identifier: MIT
 *
 * The power is failing and there are 20 ms left. Nothing new is opened; what matters most is done
 * first, each within its time; what waited for its release is released; and who still holds
 * something is named, for the log that the next start will read.
 */
#include <ealloc/ealloc.h>
#include <stdio.h>

enum { SOCKET, FILE_HANDLE, N_TYPES };
#define N_SLOTS 32
#define N_QUEUE 8

static ea_account_t socket_nodes[3], file_nodes[3];
static ea_accounts_t sockets, files;
static ea_account_t *radio, *logger;
static unsigned n_closed;

static void close_object(void *context, uintptr_t object)
{
    (void)context, (void)object;
    n_closed++;
}

static const ea_resource_type_t types[N_TYPES] = {
    [SOCKET] = {.name = "socket", .book = &sockets, .destroy = close_object},
    [FILE_HANDLE] = {
        .name = "file", .book = &files, .destroy = close_object, .strategy = EA_RELEASE_QUEUED}};
static _Alignas(8) unsigned char memory[EA_MONITOR_BYTES(N_SLOTS, N_TYPES, 6, 1, N_QUEUE, 0)];
static ea_monitor_t monitor;

/* The clock of this example: it goes on as handlers take their time. */
static uint64_t now_us;
static uint64_t clock_us(void)
{
    return now_us;
}

static ea_resource_t take_one(uint8_t type, ea_account_t *account)
{
    ea_resource_t resource;
    const ea_resource_request_t request = {.account = account, .type = type};
    return ea_monitor_acquire(&monitor, &request, &resource) == EA_OK ? resource : EA_RESOURCE_NONE;
}

/* --- who does something ----------------------------------------------------------------------- */

/* Writes page after page, a page a call, as long as there is time for one more. */
static ea_status_t flush_log(void *context, uint64_t deadline_us)
{
    unsigned *n_pages = context;
    if (*n_pages == 0) return EA_OK;
    if (now_us + 2000 > deadline_us) return EA_ERR_TIMEOUT; /* better none than half a page */
    now_us += 2000;
    --*n_pages;
    return *n_pages == 0 ? EA_OK : EA_ERR_AGAIN;
}

/* Does not look at its deadline. */
static ea_status_t say_goodbye(void *context, uint64_t deadline_us)
{
    (void)context, (void)deadline_us;
    now_us += 9000;
    return EA_OK;
}

static ea_status_t close_files(void *context, uint64_t deadline_us)
{
    ea_resource_t *file = context;
    (void)deadline_us;
    now_us += 100;
    return ea_monitor_release(&monitor, *file);
}

static unsigned n_pages = 3;
static ea_resource_t file;
static ea_shutdown_handler_t handlers[] = {
    {.name = "goodbye", .call = say_goodbye, .limit_us = 5000, .priority = 1},
    {.name = "log", .call = flush_log, .context = &n_pages, .limit_us = 8000, .priority = 9},
    {.name = "files", .call = close_files, .context = &file, .limit_us = 1000, .priority = 5},
};
#define N_HANDLERS (sizeof handlers / sizeof handlers[0])

static bool make_budgets(void)
{
    const ea_account_limits_t all = {.max = N_SLOTS};
    if (ea_accounts_init(&sockets, socket_nodes, 3, &all) != EA_OK) return false;
    if (ea_accounts_init(&files, file_nodes, 3, &all) != EA_OK) return false;
    radio = ea_account_create(&sockets, socket_nodes, &(ea_account_options_t){.name = "radio"});
    logger = ea_account_create(&files, file_nodes, &(ea_account_options_t){.name = "logger"});
    const ea_monitor_options_t options = {.types = types,
                                          .n_types = N_TYPES,
                                          .n_slots = N_SLOTS,
                                          .n_queue = N_QUEUE,
                                          .batch = N_QUEUE};
    return radio != NULL && logger != NULL &&
           ea_monitor_init(&monitor, memory, sizeof memory, &options) == EA_OK;
}

int main(void)
{
    static ea_shutdown_t shutdown;
    static ea_shutdown_holding_t held[4];
    const ea_shutdown_options_t options = {.monitor = &monitor,
                                           .limit_us = 20000,
                                           .holdings = held,
                                           .n_holdings = 4,
                                           .clock_us = clock_us};
    if (!make_budgets() || ea_shutdown_init(&shutdown, &options) != EA_OK) return 1;
    for (unsigned i = 0; i < N_HANDLERS; i++) {
        if (ea_shutdown_add(&shutdown, &handlers[i]) != EA_OK) return 1;
    }

    file = take_one(FILE_HANDLE, logger);
    (void)take_one(SOCKET, radio); /* nobody will close these two */
    (void)take_one(SOCKET, radio);

    ea_shutdown_begin(&shutdown); /* from the interrupt of the brown-out detector */
    printf("a socket now? %s\n",
           ea_resource_is_none(take_one(SOCKET, radio)) ? "refused" : "granted");
    while (ea_shutdown_step(&shutdown, 4) == EA_ERR_AGAIN) {
    } /* the main loop goes on */

    for (unsigned i = 0; i < N_HANDLERS; i++) {
        printf("%-7s %s after %u us, calls %u%s\n", handlers[i].name,
               ea_status_name(handlers[i].result), (unsigned)handlers[i].took_us,
               (unsigned)handlers[i].n_calls, handlers[i].is_late ? ", late" : "");
    }
    const ea_shutdown_report_t *report = ea_shutdown_report(&shutdown);
    printf("released from the queue %u, closed %u\n", (unsigned)report->n_released, n_closed);
    for (size_t i = 0; i < report->n_holdings; i++) {
        const ea_resource_type_t *type = &types[held[i].type];
        ea_account_stats_t owner;
        ea_account_stats(ea_account_by_id(type->book, held[i].account), &owner);
        printf("%s still holds %u of type %s\n", owner.name, (unsigned)held[i].n, type->name);
    }
    return 0;
}
