/* SPDX-License-Identifier: MIT
 *
 * libFuzzer target: the input is read as operations on a monitor, also wrong ones. A trivial
 * reference says what each must return, what is used and which objects exist; every few steps an
 * audit must find nothing.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/monitor.h"
#include "input.h"

#define N_SLOTS 12u
#define N_QUEUE 4u
#define N_LEAVES 2u
#define N_ENTRIES 16u
#define N_HELD 3u
#define ROOT_MAX 24u

enum { NOW, LATER, N_TYPES };

typedef struct {
    ea_resource_t resource;
    uintptr_t object;
    size_t units;
    unsigned leaf, n_references; /* with those of its children */
    int parent;                  /* -1: none */
    uint8_t type;
    bool is_used;  /* it has a slot */
    bool is_owned; /* a reference is the reference's own */
} entry_t;

static const size_t leaf_max[N_LEAVES] = {10, 20};
static ea_account_t nodes[1 + N_LEAVES];
static ea_accounts_t book;
static ea_account_t *leaves[N_LEAVES];
static ea_monitor_t monitor;
static _Alignas(
    16) unsigned char memory[EA_MONITOR_BYTES(N_SLOTS, N_TYPES, 1 + N_LEAVES, 2, N_QUEUE, 0)];
static entry_t entries[N_ENTRIES];
static unsigned queue[N_SLOTS], n_queue, n_slots_taken;
static ea_resource_t held[N_HELD];
static bool is_held[N_HELD];
static ea_reservation_t reservation;
static size_t n_reserved;
static unsigned reserving_leaf;
static bool is_reserving, is_late, is_closed;
static size_t used[N_LEAVES];
static uintptr_t next_object, n_ended, n_expected;

static void check(bool is_so, const char *what)
{
    if (is_so) return;
    fprintf(stderr, "monitor: %s\n", what);
    abort();
}

static void end_object(void *context, uintptr_t object)
{
    (void)context, (void)object;
    n_ended++;
}

static const ea_resource_type_t types[N_TYPES] = {
    {.book = &book, .destroy = end_object},
    {.book = &book, .destroy = end_object, .strategy = EA_RELEASE_QUEUED},
};

static void start(void)
{
    const ea_account_limits_t all = {.max = ROOT_MAX};
    const ea_monitor_options_t options = {
        .types = types, .n_types = N_TYPES, .n_slots = N_SLOTS, .n_stripes = 2, .n_queue = N_QUEUE};
    check(ea_accounts_init(&book, nodes, 1 + N_LEAVES, &all) == EA_OK, "book");
    for (unsigned i = 0; i < N_LEAVES; i++) {
        const ea_account_options_t of = {.limits = {.max = leaf_max[i]}};
        leaves[i] = ea_account_create(&book, nodes, &of);
    }
    check(ea_monitor_init(&monitor, memory, sizeof memory, &options) == EA_OK, "init");
    memset(entries, 0, sizeof entries);
    memset(is_held, 0, sizeof is_held);
    memset(used, 0, sizeof used);
    n_queue = n_slots_taken = 0;
    n_reserved = 0;
    is_reserving = is_late = is_closed = false;
    next_object = n_ended = n_expected = 0;
}

static bool is_allowed(unsigned leaf, size_t units)
{
    return used[leaf] + units <= leaf_max[leaf] && used[0] + used[1] + units <= ROOT_MAX;
}

/* The last reference of an entry goes, and so on. */
static void drop_entry(int at)
{
    while (at >= 0) {
        entry_t *entry = &entries[at];
        if (--entry->n_references > 0) return;
        if (entry->type == LATER && n_queue < N_QUEUE) {
            queue[n_queue++] = (unsigned)at;
            return;
        }
        used[entry->leaf] -= entry->units;
        n_slots_taken--;
        n_expected++;
        entry->is_used = false;
        at = entry->parent;
    }
}

static void end_reservation(void)
{
    used[reserving_leaf] -= n_reserved;
    n_reserved = 0;
    is_reserving = false;
}

static void acquire(input_t *input)
{
    unsigned at = 0;
    while (at < N_ENTRIES && entries[at].is_used) at++;
    if (at == N_ENTRIES) return;
    entry_t entry = {.type = (uint8_t)draw_from_input(input, N_TYPES),
                     .leaf = draw_from_input(input, N_LEAVES),
                     .units = 1 + draw_from_input(input, 4),
                     .n_references = 1,
                     .parent = -1,
                     .is_used = true,
                     .is_owned = true};
    ea_resource_request_t request = {.account = leaves[entry.leaf],
                                     .type = entry.type,
                                     .units = entry.units,
                                     .object = ++next_object};
    unsigned how = draw_from_input(input, 8), parent = draw_from_input(input, N_ENTRIES);
    unsigned slot = draw_from_input(input, N_HELD);
    if ((how & 1u) != 0) request.parent = entries[parent].resource;
    if ((how & 2u) != 0 && is_reserving) request.reservation = &reservation;
    if ((how & 4u) != 0) request.slot = held[slot];
    bool has_parent = !ea_resource_is_none(request.parent);
    bool uses_held = (how & 4u) != 0 && is_held[slot];
    ea_status_t expected = EA_OK;
    if (is_closed) {
        expected = EA_ERR_CANCELLED;
    } else if (has_parent && (!entries[parent].is_used || entries[parent].n_references == 0)) {
        expected = EA_ERR_NOT_FOUND;
    } else if (!uses_held && n_slots_taken == N_SLOTS) {
        expected = EA_ERR_NO_MEMORY;
    } else if (request.reservation == NULL) {
        expected = is_allowed(entry.leaf, entry.units) ? EA_OK : EA_ERR_LIMIT;
    } else if (reserving_leaf != entry.leaf) {
        expected = EA_ERR_INVALID;
    } else if (is_late) {
        expected = EA_ERR_TIMEOUT;
        end_reservation();
    } else if (entry.units > n_reserved) {
        expected = EA_ERR_LIMIT;
    }
    check(ea_monitor_acquire(&monitor, &request, &entry.resource) == expected, "acquire");
    if (expected != EA_OK) return;
    if (request.reservation != NULL) {
        n_reserved -= entry.units;
        if (n_reserved == 0) is_reserving = false;
    } else {
        used[entry.leaf] += entry.units;
    }
    if (uses_held) {
        is_held[slot] = false;
    } else {
        n_slots_taken++;
    }
    if (has_parent) {
        entry.parent = (int)parent;
        entries[parent].n_references++;
    }
    entry.object = request.object;
    entries[at] = entry;
}

static void release(input_t *input)
{
    unsigned at = draw_from_input(input, N_ENTRIES);
    entry_t *entry = &entries[at];
    if (ea_resource_is_none(entry->resource)) return;
    bool is_live = entry->is_used && entry->n_references > 0;
    if (is_live && !entry->is_owned) return; /* the references are its children's */
    ea_status_t status = ea_monitor_release(&monitor, entry->resource);
    check(status == (is_live ? EA_OK : EA_ERR_DOUBLE_FREE), "release");
    if (!is_live) return;
    entry->is_owned = false;
    drop_entry((int)at);
}

static void look(input_t *input)
{
    entry_t *entry = &entries[draw_from_input(input, N_ENTRIES)];
    if (ea_resource_is_none(entry->resource)) return;
    bool is_live = entry->is_used && entry->n_references > 0;
    ea_resource_info_t info;
    ea_status_t status = ea_monitor_info(&monitor, entry->resource, &info);
    check(status == (is_live ? EA_OK : EA_ERR_NOT_FOUND), "info");
    status = ea_monitor_share(&monitor, entry->resource);
    check(status == (is_live ? EA_OK : EA_ERR_NOT_FOUND), "share");
    if (!is_live) return;
    check(info.object == entry->object && info.units == entry->units &&
              info.n_references == entry->n_references && info.type == entry->type,
          "record");
    check(ea_monitor_release(&monitor, entry->resource) == EA_OK, "release of a share");
}

static void hand_over(input_t *input)
{
    entry_t *entry = &entries[draw_from_input(input, N_ENTRIES)];
    unsigned leaf = draw_from_input(input, N_LEAVES);
    if (ea_resource_is_none(entry->resource)) return;
    ea_status_t status = ea_monitor_transfer(&monitor, entry->resource, leaves[leaf]);
    if (!entry->is_used || entry->n_references == 0) {
        check(status == EA_ERR_NOT_FOUND, "hand over");
        return;
    }
    bool may = leaf == entry->leaf || is_allowed(leaf, entry->units);
    check(status == (may ? EA_OK : EA_ERR_LIMIT), "hand over");
    if (!may) return;
    used[entry->leaf] -= entry->units;
    used[leaf] += entry->units;
    entry->leaf = leaf;
}

static void clean(input_t *input)
{
    unsigned n = draw_from_input(input, 4);
    for (unsigned i = 0; i < n; i++) {
        bool is_there = n_queue > 0;
        check(ea_monitor_cleanup(&monitor, 1) == is_there, "cleanup");
        if (!is_there) return;
        entry_t *entry = &entries[queue[0]];
        memmove(queue, queue + 1, --n_queue * sizeof *queue);
        used[entry->leaf] -= entry->units;
        n_slots_taken--;
        n_expected++;
        entry->is_used = false;
        drop_entry(entry->parent);
    }
}

static void reserve(input_t *input)
{
    unsigned leaf = draw_from_input(input, N_LEAVES);
    size_t n = draw_from_input(input, 8);
    bool late = draw_from_input(input, 4) == 0;
    if (is_reserving) {
        check(ea_reservation_cancel(&reservation) == EA_OK, "cancel");
        end_reservation();
        return;
    }
    ea_status_t status = ea_account_reserve(leaves[leaf], n, late ? 0 : UINT64_MAX, &reservation);
    ea_status_t expected = n == 0 ? EA_ERR_INVALID : is_allowed(leaf, n) ? EA_OK : EA_ERR_LIMIT;
    check(status == expected, "reserve");
    if (status != EA_OK) return;
    is_reserving = true;
    is_late = late;
    reserving_leaf = leaf;
    n_reserved = n;
    used[leaf] += n;
}

static void hold(input_t *input)
{
    unsigned at = draw_from_input(input, N_HELD), how = draw_from_input(input, 3);
    if (is_held[at]) {
        if (how == 0) {
            check(ea_monitor_drop_slot(&monitor, held[at]) == EA_OK, "drop");
        } else {
            size_t n = 0;
            for (unsigned i = 0; i < N_HELD; i++) n += is_held[i];
            size_t n_expired = ea_monitor_expire_slots(&monitor, how == 1 ? 0 : 9999, N_SLOTS);
            check(n_expired == (how == 1 ? 0 : n), "expire");
            if (how == 1) return;
            n_slots_taken -= (unsigned)n - 1u;
            memset(is_held, 0, sizeof is_held);
        }
        is_held[at] = false;
        n_slots_taken--;
        return;
    }
    if (!ea_resource_is_none(held[at]) && how == 1) {
        check(ea_monitor_drop_slot(&monitor, held[at]) == EA_ERR_NOT_FOUND, "drop again");
        return;
    }
    ea_status_t status = ea_monitor_hold_slots(&monitor, 1, 5000, &held[at]);
    check(status == (n_slots_taken < N_SLOTS ? EA_OK : EA_ERR_NO_MEMORY), "hold");
    if (status != EA_OK) return;
    is_held[at] = true;
    n_slots_taken++;
}

static void verify(bool with_audit)
{
    for (unsigned i = 0; i < N_LEAVES; i++) {
        check(ea_account_committed(leaves[i]) == used[i], "units");
    }
    check(n_ended == n_expected, "objects");
    if (!with_audit) return;
    ea_audit_report_t report;
    check(ea_monitor_audit(&monitor, EA_AUDIT_ALONE, SIZE_MAX, &report) == EA_OK, "audit");
    check(report.n_found == 0 && report.is_exact, "an audit finds what is not");
    check(ea_accounts_check(&book, NULL) == EA_OK, "the book");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_t input = {data, data + size};
    memset(held, 0, sizeof held);
    start();
    for (unsigned step = 1; input.at < input.end; step++) {
        switch (draw_from_input(&input, 12)) {
        case 0:
        case 1:
        case 2: acquire(&input); break;
        case 3:
        case 4: release(&input); break;
        case 5: look(&input); break;
        case 6: hand_over(&input); break;
        case 7: clean(&input); break;
        case 8: reserve(&input); break;
        case 9: hold(&input); break;
        case 10: {
            ea_audit_report_t report; /* a step of one that goes on beside the rest */
            (void)!ea_monitor_audit(&monitor, EA_AUDIT_REPAIR, 1 + step % 9, &report);
            check(report.n_found == 0, "a step of an audit finds what is not");
            break;
        }
        default:
            is_closed = draw_from_input(&input, 4) == 0;
            ea_monitor_close(&monitor, is_closed);
            break;
        }
        verify(step % 8 == 0);
    }
    verify(true);
    return 0;
}
