/* SPDX-License-Identifier: MIT
 *
 * Twelve connections for two tenants and an alarm, who want more than there are. The one that paid
 * twice as much gets twice as many; the alarm comes before both; a large request of the cheaper one
 * is not passed for ever; and who only asks is not served before those who wait. One loop plays all
 * of them, so it waits in two parts.
 */
#include <ealloc/ealloc.h>
#include <stdio.h>

#define N_CONNECTIONS 12u
#define N_JOBS 40u

enum { GOLD, BASIC, N_TENANTS };
static ea_account_t nodes[4];
static ea_accounts_t budget;
static ea_account_t *accounts[N_TENANTS], *alarm_account;
static ea_account_t *const gold_accounts[] = {nodes + 1}, *const basic_accounts[] = {nodes + 2};
static const ea_claimant_t claimants[N_TENANTS] = {
    [GOLD] = {.accounts = gold_accounts, .n_accounts = 1, .weight = 2},
    [BASIC] = {.accounts = basic_accounts, .n_accounts = 1, .weight = 1}};
static const ea_resource_type_t types[] = {{.name = "connection", .book = &budget}};
static _Alignas(8) unsigned char memory[EA_MONITOR_BYTES(N_CONNECTIONS, 1, 4, 1, 0, 0)];
static _Alignas(8) unsigned char places[EA_MONITOR_WAIT_BYTES(4, 1, 1)];
static ea_monitor_t monitor;

/* One job that wants so many connections at once. */
typedef struct {
    ea_monitor_wait_t wait;
    ea_resource_request_t request;
    ea_resource_t got;
} job_t;

static bool line_up(job_t *job, ea_account_t *account, const ea_claimant_t *claimant, size_t n,
                    uint8_t priority)
{
    job->request = (ea_resource_request_t){.account = account, .units = n};
    const ea_wait_options_t options = {.claimant = claimant, .priority = priority};
    return ea_monitor_wait_begin(&job->wait, &monitor, &job->request, 1, &options) == EA_OK;
}

static bool is_served(job_t *job)
{
    return ea_monitor_wait_is_over(&job->wait) &&
           ea_monitor_wait_end(&job->wait, 0, &job->got) == EA_OK;
}

/* Both always have a job in line; the connection that is oldest is given back. Returns whether all
 * went well. */
static bool run_tenants(ea_resource_t *held)
{
    job_t jobs[N_TENANTS];
    for (unsigned i = 0; i < N_TENANTS; i++) {
        if (!line_up(&jobs[i], accounts[i], &claimants[i], 1, 0)) return false;
    }
    for (unsigned round = 0; round < N_JOBS; round++) {
        if (ea_monitor_release(&monitor, held[round % N_CONNECTIONS]) != EA_OK) return false;
        for (unsigned i = 0; i < N_TENANTS; i++) {
            if (!is_served(&jobs[i])) continue;
            held[round % N_CONNECTIONS] = jobs[i].got;
            if (!line_up(&jobs[i], accounts[i], &claimants[i], 1, 0)) return false;
            break;
        }
    }
    printf("gold has %u of %u, basic %u\n", (unsigned)ea_account_committed(accounts[GOLD]),
           N_CONNECTIONS, (unsigned)ea_account_committed(accounts[BASIC]));

    /* An alarm comes before both, as soon as one connection is given back. */
    job_t alarm;
    if (!line_up(&alarm, alarm_account, NULL, 1, EA_MONITOR_CLASSES - 1)) return false;
    const ea_resource_request_t ask = {.account = accounts[BASIC]};
    ea_resource_t none;
    printf("who only asks: %s\n", ea_status_name(ea_monitor_acquire(&monitor, &ask, &none)));
    if (ea_monitor_release(&monitor, held[0]) != EA_OK) return false;
    printf("alarm served: %s\n", is_served(&alarm) ? "yes" : "no");
    held[0] = alarm.got;
    for (unsigned i = 0; i < N_TENANTS; i++) {
        if (ea_monitor_wait_end(&jobs[i].wait, 0, &jobs[i].got) != EA_ERR_TIMEOUT) return false;
    }
    return true;
}

int main(void)
{
    const ea_account_limits_t all = {.max = N_CONNECTIONS};
    if (ea_accounts_init(&budget, nodes, 4, &all) != EA_OK) return 1;
    for (unsigned i = 0; i < N_TENANTS; i++) {
        accounts[i] = ea_account_create(&budget, nodes, NULL);
    }
    alarm_account = ea_account_create(&budget, nodes, NULL);
    const ea_monitor_options_t options = {.types = types, .n_types = 1, .n_slots = N_CONNECTIONS};
    const ea_monitor_line_options_t line = {.max_waiting = 4, .max_together = 1};
    if (ea_monitor_init(&monitor, memory, sizeof memory, &options) != EA_OK ||
        ea_monitor_wait_init(&monitor, places, sizeof places, &line) != EA_OK) {
        return 1;
    }

    /* At first basic is alone and has all. */
    ea_resource_t held[N_CONNECTIONS];
    for (unsigned i = 0; i < N_CONNECTIONS; i++) {
        const ea_resource_request_t request = {.account = accounts[BASIC]};
        if (ea_monitor_acquire(&monitor, &request, &held[i]) != EA_OK) return 1;
    }
    if (!run_tenants(held)) return 1;

    /* A large request, and one small one behind it that would fit earlier. */
    job_t large, small;
    if (!line_up(&large, accounts[BASIC], NULL, 6, 1) ||
        !line_up(&small, accounts[GOLD], NULL, 1, 0)) {
        return 1;
    }
    unsigned n_returned = 0;
    while (!is_served(&large)) {
        if (ea_monitor_release(&monitor, held[n_returned++]) != EA_OK) return 1;
    }
    printf("6 together after %u were given back, the small one waits: %s\n", n_returned,
           ea_monitor_wait_is_over(&small.wait) ? "no" : "yes");
    if (ea_monitor_release(&monitor, large.got) != EA_OK || !is_served(&small)) return 1;

    ea_monitor_wait_stats_t stats;
    ea_monitor_wait_stats(&monitor, &stats);
    printf("granted in line %u, refused behind it %u, waiting %u\n", (unsigned)stats.n_granted,
           (unsigned)stats.n_behind, (unsigned)stats.n_waiting);
    return 0;
}
