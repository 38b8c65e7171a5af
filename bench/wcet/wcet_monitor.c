/* SPDX-License-Identifier: MIT
 *
 * Worst and median instructions of acquire and release of a resource, at once and through the
 * queue, of the cleanup and of a step of an audit, with 60 slots and accounts two levels deep.
 *
 *   pairs     one is released before the next is acquired: the stripe's hint is free
 *   mixed     up to 60 live, in no order: free slots are looked for
 *   batch     the same with accounts that have a batch
 */
#include "count.h"
#include "ealloc/monitor.h"

#define N_ROUNDS 400u
#define N_SLOTS 60u
#define N_QUEUE 8u
#define AUDIT_BUDGET 8u

static ea_account_t nodes[2];
static ea_accounts_t book;
static ea_account_t *leaf;
static const ea_resource_type_t types[2] = {{.book = &book},
                                            {.book = &book, .strategy = EA_RELEASE_QUEUED}};
static ea_monitor_t monitor;
static _Alignas(8) unsigned char memory[EA_MONITOR_BYTES(N_SLOTS, 2, 2, 1, N_QUEUE, 0)];
static uint32_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % n;
}

static void stop(const char *what)
{
    board_put(what);
    board_exit(1);
}

static void start(size_t batch)
{
    const ea_account_limits_t limits = {.max = 1000};
    const ea_account_options_t of_leaf = {.limits = {.max = 90}, .batch = batch};
    const ea_monitor_options_t options = {
        .types = types, .n_types = 2, .n_slots = N_SLOTS, .n_queue = N_QUEUE, .batch = N_QUEUE};
    if (ea_accounts_init(&book, nodes, 2, &limits) != EA_OK) stop("init failed\n");
    leaf = ea_account_create(&book, nodes, &of_leaf);
    if (leaf == NULL || ea_monitor_init(&monitor, memory, sizeof memory, &options) != EA_OK) {
        stop("init failed\n");
    }
}

static ea_status_t acquire(op_t op, uint8_t type, size_t units, ea_resource_t *resource)
{
    uint32_t count = 0;
    const ea_resource_request_t request = {
        .account = leaf, .type = type, .units = units, .caller = nodes};
    ea_status_t status =
        (ea_status_t)COUNTED(&count, ea_monitor_acquire, &monitor, &request, resource, 0, 0);
    count_note(op, count);
    return status;
}

static void cleanup(void)
{
    uint32_t count = 0;
    if (COUNTED(&count, ea_monitor_cleanup, &monitor, 1, 0, 0, 0) == 1)
        count_note(OP_CLEANUP, count);
}

/* A handle is passed as its two words where that is how it is passed, so the call itself is written
 * out. */
static ea_status_t release_it(const ea_resource_t *resource)
{
    return ea_monitor_release(&monitor, *resource);
}

static void release(const ea_resource_t *resource)
{
    uint32_t count = 0;
    op_t op = ea_resource_type(*resource) == 0 ? OP_RELEASE : OP_RELEASE_QUEUED;
    if (COUNTED(&count, release_it, resource, 0, 0, 0, 0) != EA_OK) stop("not released\n");
    count_note(op, count);
    if (op == OP_RELEASE_QUEUED && random_below(3) == 0) {
        for (int i = 0; i < 3; i++) cleanup();
    }
}

static void audit(void)
{
    ea_audit_report_t report;
    ea_status_t status = EA_ERR_AGAIN;
    while (status == EA_ERR_AGAIN) {
        uint32_t count = 0;
        status = (ea_status_t)COUNTED(&count, ea_monitor_audit, &monitor, EA_AUDIT_REPAIR,
                                      AUDIT_BUDGET, &report, 0);
        count_note(OP_AUDIT_STEP, count);
    }
    if (status != EA_OK || report.n_found != 0) stop("audit\n");
}

static void use(unsigned most)
{
    ea_resource_t live[N_SLOTS];
    unsigned n_live = 0;
    for (unsigned round = 0; round < N_ROUNDS; round++) {
        /* Full or nearly so for a while, then empty. */
        unsigned target = (round / 100u & 1u) != 0 ? most / 4u : most;
        if (n_live < most && (n_live < target || random_below(2) != 0)) {
            ea_status_t status = acquire(OP_ACQUIRE, (uint8_t)random_below(2), 1, &live[n_live]);
            if (status == EA_OK) {
                n_live++;
            } else if (status != EA_ERR_NO_MEMORY) {
                stop("refused\n");
            }
        } else if (n_live > 0) {
            unsigned which = random_below(n_live);
            release(&live[which]);
            live[which] = live[--n_live];
        }
    }
    ea_resource_t more;
    (void)ea_monitor_cleanup(&monitor, N_QUEUE);
    audit();
    if (n_live == N_SLOTS) release(&live[--n_live]);
    if (acquire(OP_ACQUIRE_REFUSE, 0, 91, &more) != EA_ERR_LIMIT) stop("granted\n");
}

int main(void)
{
    count_calibrate();
    count_scenario("pairs");
    start(0);
    use(1);
    count_report();
    count_scenario("mixed");
    start(0);
    use(N_SLOTS);
    count_report();
    count_scenario("batch");
    start(8);
    use(N_SLOTS);
    count_report();
    count_report_all();
    board_put("end\n");
    return 0;
}
