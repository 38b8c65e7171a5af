/* SPDX-License-Identifier: MIT
 *
 * A small server that forgets to close a descriptor on one of its paths. The monitor knows every
 * descriptor's owner, age and call site, so the leak has a name long before the last descriptor is
 * gone.
 */
#include <ealloc/ealloc.h>
#include <stdio.h>

#define N_DESCRIPTORS 64

static ea_account_t nodes[2];
static ea_accounts_t budget;
static unsigned n_closed;

/* Stands for close(). */
static void close_descriptor(void *context, uintptr_t descriptor)
{
    (void)context, (void)descriptor;
    n_closed++;
}

static const ea_resource_type_t types[] = {
    {.name = "descriptor", .book = &budget, .destroy = close_descriptor}};
static _Alignas(8) unsigned char memory[EA_MONITOR_BYTES(N_DESCRIPTORS, 1, 2, 1, 0, 0)];
static ea_monitor_t monitor;
static ea_account_t *server;
static const char in_serve[] = "serve()", in_error_page[] = "error_page()";

/* What a call site is: an address; here that of a name, so that it reads the same everywhere. */
static ea_resource_t open_descriptor(unsigned number, const char *site)
{
    ea_resource_t descriptor;
    const ea_resource_request_t request = {.account = server, .object = number, .caller = site};
    return ea_monitor_acquire(&monitor, &request, &descriptor) == EA_OK ? descriptor
                                                                        : EA_RESOURCE_NONE;
}

static void serve(unsigned request)
{
    ea_resource_t page = open_descriptor(request, in_serve);
    if (request % 10 == 0) {
        ea_resource_t error = open_descriptor(request, in_error_page);
        (void)error; /* and here it is forgotten */
    }
    (void)ea_monitor_release(&monitor, page);
}

typedef struct {
    const char *site;
    unsigned n;
} census_t;

static bool count_site(void *context, const ea_resource_info_t *info)
{
    census_t *census = context;
    census->site = info->caller;
    census->n++;
    return true;
}

int main(void)
{
    const ea_account_limits_t all = {.max = N_DESCRIPTORS};
    if (ea_accounts_init(&budget, nodes, 2, &all) != EA_OK) return 1;
    server = ea_account_create(&budget, nodes,
                               &(ea_account_options_t){.name = "server", .limits = {.high = 16}});
    const ea_monitor_options_t options = {.types = types, .n_types = 1, .n_slots = N_DESCRIPTORS};
    if (ea_monitor_init(&monitor, memory, sizeof memory, &options) != EA_OK) return 1;

    unsigned request = 0;
    while (!ea_account_is_high(server)) serve(++request);

    census_t census = {0};
    size_t cursor = 0;
    if (ea_monitor_walk(&monitor, &cursor, N_DESCRIPTORS, count_site, &census) != EA_OK) return 1;
    printf("after %u requests, %u closed: %u descriptors of %s are open, all from %s\n", request,
           n_closed, census.n, "server", census.site);
    return 0;
}
