/* SPDX-License-Identifier: MIT
 *
 * The monitor against a trivial reference (rows C1, C2, C3, C7): random acquires, releases, shares,
 * hand-overs and cleanups of three types; the reference counts units by account and says what must
 * be granted, which objects exist, and in which order queued ones end. Every so often an audit,
 * which must find nothing. `monitor_model_test operations=N seed=N`.
 */
#include <string.h>

#include "ealloc/monitor.h"
#include "tap.h"

#define N_SLOTS 50u
#define N_HELD 60u
#define N_QUEUE 8u
#define N_LEAVES 3u
#define ROOT_MAX 60u
#define N_OPERATIONS 200000u

enum { NOW, LATER, AGAIN, N_TYPES };

typedef struct {
    ea_resource_t resource;
    uintptr_t object;
    size_t units;
    unsigned leaf, n_references;
    uint8_t type;
    int parent; /* its place; -1: none */
    bool is_used, is_held;
} entry_t;

static const size_t leaf_max[N_LEAVES] = {20, 25, 60};
static ea_account_t nodes[1 + N_LEAVES];
static ea_accounts_t book;
static ea_account_t *leaves[N_LEAVES];
static ea_monitor_t monitor;
static _Alignas(
    64) unsigned char memory[EA_MONITOR_BYTES(N_SLOTS, N_TYPES, 1 + N_LEAVES, 2, N_QUEUE, 4)];
static uint32_t random_state;
static entry_t entries[N_HELD];
static uintptr_t queue[N_SLOTS];
static unsigned n_queue, n_idle, n_live_slots;
static size_t used[N_LEAVES];
static uintptr_t next_object;
static unsigned n_ended;

static unsigned draw(unsigned n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 10) % n;
}

static void end_object(void *context, uintptr_t object)
{
    (void)context, (void)object;
    n_ended++;
}

static ea_status_t make_object(void *context, const ea_resource_request_t *request,
                               uintptr_t *object)
{
    (void)context, (void)request;
    *object = ++next_object;
    return EA_OK;
}

static const ea_resource_type_t types[N_TYPES] = {
    {.book = &book, .destroy = end_object},
    {.book = &book, .destroy = end_object, .strategy = EA_RELEASE_QUEUED},
    {.book = &book, .create = make_object, .destroy = end_object, .max_idle = 4},
};

/* The last reference of an entry goes. */
static void end_entry(int at)
{
    while (at >= 0) {
        entry_t *entry = &entries[at];
        if (--entry->n_references > 0) return;
        int parent = entry->parent;
        if (entry->type == LATER && n_queue < N_QUEUE) {
            queue[n_queue++] = (uintptr_t)at; /* it still counts, and holds its parent */
            return;
        }
        used[entry->leaf] -= entry->units;
        n_live_slots--;
        if (entry->type == AGAIN && n_idle < 4) n_idle++;
        entry->is_used = false;
        at = parent;
    }
}

static void acquire(void)
{
    unsigned at = 0;
    while (at < N_HELD && entries[at].is_used) at++;
    if (at == N_HELD) return;
    entry_t entry = {.type = (uint8_t)draw(N_TYPES),
                     .leaf = draw(N_LEAVES),
                     .units = 1 + draw(4),
                     .n_references = 1,
                     .parent = -1,
                     .is_used = true,
                     .is_held = true};
    ea_resource_request_t request = {.account = leaves[entry.leaf],
                                     .units = entry.units,
                                     .type = entry.type,
                                     .object = ++next_object};
    unsigned parent = draw(N_HELD);
    if (draw(3) == 0 && entries[parent].is_held) {
        entry.parent = (int)parent;
        request.parent = entries[parent].resource;
    }
    size_t all = used[0] + used[1] + used[2];
    bool has_slot = n_live_slots + n_idle < N_SLOTS || n_idle > 0;
    bool is_allowed =
        used[entry.leaf] + entry.units <= leaf_max[entry.leaf] && all + entry.units <= ROOT_MAX;
    ea_status_t status = ea_monitor_acquire(&monitor, &request, &entry.resource);
    if (!has_slot) {
        EXPECT_EQ(status, EA_ERR_NO_MEMORY);
    } else {
        EXPECT_EQ(status, is_allowed ? EA_OK : EA_ERR_LIMIT);
    }
    /* Without a free slot it took an idle object's, whether it was allowed or not. */
    if (n_live_slots + n_idle == N_SLOTS && n_idle > 0) n_idle--;
    if (status != EA_OK) return;
    if (entry.type == AGAIN && n_idle > 0) n_idle--;
    n_live_slots++;
    used[entry.leaf] += entry.units;
    if (entry.parent >= 0) entries[entry.parent].n_references++;
    EXPECT_EQ(ea_monitor_object(&monitor, entry.resource, entry.type, &entry.object), EA_OK);
    if (entry.type != AGAIN) EXPECT_EQ(entry.object, request.object);
    entries[at] = entry;
}

/* What a queued entry had held goes when it is cleaned up. */
static void clean(void)
{
    unsigned n = draw(4), n_cleaned = n < n_queue ? n : n_queue;
    unsigned before = n_ended;
    /* Parents that are let go of may be queued in turn, behind. */
    for (unsigned i = 0; i < n_cleaned; i++) {
        entry_t *entry = &entries[queue[0]];
        EXPECT_EQ(ea_monitor_cleanup(&monitor, 1), 1);
        EXPECT(n_ended > before);
        memmove(queue, queue + 1, --n_queue * sizeof *queue);
        used[entry->leaf] -= entry->units;
        n_live_slots--;
        entry->is_used = false;
        end_entry(entry->parent);
    }
}

static void release_or_share(void)
{
    unsigned at = draw(N_HELD);
    entry_t *entry = &entries[at];
    if (!entry->is_held) return;
    switch (draw(6)) {
    case 0:
        if (entry->n_references < 100) {
            EXPECT_EQ(ea_monitor_share(&monitor, entry->resource), EA_OK);
            EXPECT_EQ(ea_monitor_release(&monitor, entry->resource), EA_OK);
        }
        break;
    case 1: {
        unsigned leaf = draw(N_LEAVES);
        size_t all = used[0] + used[1] + used[2];
        bool is_allowed = leaf == entry->leaf || (used[leaf] + entry->units <= leaf_max[leaf] &&
                                                  all + entry->units <= ROOT_MAX);
        ea_status_t status = ea_monitor_transfer(&monitor, entry->resource, leaves[leaf]);
        EXPECT_EQ(status, is_allowed ? EA_OK : EA_ERR_LIMIT);
        if (status != EA_OK) break;
        used[entry->leaf] -= entry->units;
        used[leaf] += entry->units;
        entry->leaf = leaf;
        break;
    }
    default:
        entry->is_held = false;
        EXPECT_EQ(ea_monitor_release(&monitor, entry->resource), EA_OK);
        end_entry((int)at);
        if (!entry->is_used) {
            EXPECT_EQ(ea_monitor_release(&monitor, entry->resource), EA_ERR_DOUBLE_FREE);
        }
        break;
    }
}

static void verify(bool with_audit)
{
    for (unsigned i = 0; i < N_LEAVES; i++) {
        EXPECT_EQ(ea_account_committed(leaves[i]), used[i]);
    }
    size_t n_live = 0;
    for (uint8_t i = 0; i < N_TYPES; i++) {
        ea_resource_stats_t stats;
        EXPECT_EQ(ea_monitor_type_stats(&monitor, i, &stats), EA_OK);
        n_live += stats.n_live;
    }
    EXPECT_EQ(n_live, n_live_slots);
    if (!with_audit) return;
    ea_audit_report_t report;
    EXPECT_EQ(ea_monitor_audit(&monitor, EA_AUDIT_ALONE, SIZE_MAX, &report), EA_OK);
    EXPECT_EQ(report.n_found, 0);
}

TEST(monitor_agrees_with_a_reference, 0)
{
    const ea_account_limits_t all = {.max = ROOT_MAX};
    const ea_monitor_options_t options = {
        .types = types, .n_types = N_TYPES, .n_slots = N_SLOTS, .n_stripes = 2, .n_queue = N_QUEUE};
    random_state = (uint32_t)tap_arg("seed", 1);
    tap_note("seed", random_state);
    REQUIRE(ea_accounts_init(&book, nodes, 1 + N_LEAVES, &all) == EA_OK);
    for (unsigned i = 0; i < N_LEAVES; i++) {
        const ea_account_options_t of = {.limits = {.max = leaf_max[i]}};
        leaves[i] = ea_account_create(&book, nodes, &of);
    }
    REQUIRE(ea_monitor_init(&monitor, memory, sizeof memory, &options) == EA_OK);
    unsigned long n = tap_arg("operations", N_OPERATIONS);
    for (unsigned long i = 0; i < n; i++) {
        switch (draw(5)) {
        case 0:
        case 1: acquire(); break;
        case 2:
        case 3: release_or_share(); break;
        default: clean(); break;
        }
        if (i % 16 == 0) verify(i % 256 == 0);
    }
}

TEST_MAIN(&monitor_agrees_with_a_reference)
