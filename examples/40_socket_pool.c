/* SPDX-License-Identifier: MIT
 *
 * Sixteen sockets for three modules: the server may have twelve, the log is sure of two, and the
 * updater reserves four before it begins, units and slots, so that neither the others' sockets nor
 * a full registry stop it half-way (opening a socket still may). What it has not taken after a
 * minute is anybody's again. Sockets that are closed are handed out again.
 */
#include <ealloc/ealloc.h>
#include <stdio.h>

#define N_SOCKETS 16
#define N_UPDATE 4
#define MINUTE_US 60000000u

static ea_account_t nodes[4];
static ea_accounts_t budget;
static unsigned n_opened;

/* Stands for socket(). */
static ea_status_t open_socket(void *context, const ea_resource_request_t *request,
                               uintptr_t *socket)
{
    (void)context, (void)request;
    *socket = 100u + n_opened++;
    return EA_OK;
}

static const ea_resource_type_t types[] = {
    {.name = "socket", .unit = "sockets", .book = &budget, .create = open_socket, .max_idle = 8}};
static _Alignas(8) unsigned char memory[EA_MONITOR_BYTES(N_SOCKETS + 4, 1, 4, 1, 0, 8)];
static ea_monitor_t monitor;

/* Returns how many the updater got of what it had reserved. */
static unsigned take_reserved(ea_account_t *who, ea_reservation_t *units,
                              const ea_resource_t *slots, ea_resource_t *sockets)
{
    unsigned got = 0;
    while (got < N_UPDATE) {
        const ea_resource_request_t request = {
            .account = who, .reservation = units, .slot = slots[got]};
        if (ea_monitor_acquire(&monitor, &request, &sockets[got]) != EA_OK) break;
        got++;
    }
    return got;
}

/* Returns how many it got of n. */
static unsigned take(ea_account_t *who, unsigned n, ea_resource_t *sockets)
{
    unsigned got = 0;
    const ea_resource_request_t request = {.account = who};
    while (got < n && ea_monitor_acquire(&monitor, &request, &sockets[got]) == EA_OK) got++;
    return got;
}

int main(void)
{
    const ea_account_limits_t all = {.max = N_SOCKETS};
    if (ea_accounts_init(&budget, nodes, 4, &all) != EA_OK) return 1;
    ea_account_t *server = ea_account_create(
        &budget, nodes, &(ea_account_options_t){.name = "server", .limits = {.max = 12}});
    ea_account_t *log = ea_account_create(
        &budget, nodes, &(ea_account_options_t){.name = "log", .limits = {.min = 2}});
    ea_account_t *updater =
        ea_account_create(&budget, nodes, &(ea_account_options_t){.name = "updater"});
    const ea_monitor_options_t options = {.types = types, .n_types = 1, .n_slots = N_SOCKETS + 4};
    if (ea_monitor_init(&monitor, memory, sizeof memory, &options) != EA_OK) return 1;

    ea_reservation_t update;
    ea_resource_t slots[N_UPDATE], for_server[16], for_log[2], for_update[N_UPDATE];
    const uint64_t until_us = ea_port_time_us() + MINUTE_US;
    if (ea_account_reserve(updater, N_UPDATE, until_us, &update) != EA_OK) return 1;
    if (ea_monitor_hold_slots(&monitor, N_UPDATE, until_us, slots) != EA_OK) return 1;
    printf("server got %u of 16\n", take(server, 16, for_server));
    printf("log got %u of 2\n", take(log, 2, for_log));

    printf("updater got %u of 4\n", take_reserved(updater, &update, slots, for_update));
    (void)ea_reservation_cancel(&update); /* what it did not take; here nothing is left */

    for (unsigned i = 0; i < N_UPDATE; i++) {
        if (ea_monitor_release(&monitor, for_update[i]) != EA_OK) return 1;
    }
    printf("updater got %u of 4 again\n", take(updater, 4, for_update));
    ea_resource_stats_t stats;
    if (ea_monitor_type_stats(&monitor, 0, &stats) != EA_OK) return 1;
    printf("opened %u, handed out again %u, refused %u, in use %u permille\n", n_opened,
           (unsigned)stats.n_recycled, (unsigned)stats.n_failures[EA_REASON_OVER_LIMIT],
           (unsigned)stats.utilisation_permille);
    return 0;
}
