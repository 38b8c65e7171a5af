/* SPDX-License-Identifier: MIT
 *
 * The monitor: acquire, release, references, idle objects, the release queue (rows C1, C3, C7, C8).
 */
#include <string.h>

#include "ealloc/monitor.h"
#include "tap.h"

#define N_SLOTS 40u
#define N_NODES 6u
#define N_IDLE 3u
#define N_QUEUE 4u
#define RAM EA_MONITOR_BYTES(N_SLOTS, N_TYPES, N_NODES, 2, N_QUEUE, N_IDLE)

enum { SOCKET, BUFFER, LATER, CAREFUL, N_TYPES };

static ea_account_t nodes[N_NODES];
static ea_accounts_t book;
static ea_account_t *web, *log_;
static ea_monitor_t monitor;

/* What happened to objects, in order. */
static uintptr_t ended[N_SLOTS];
static unsigned n_ended, n_made;
static ea_status_t create_says;
static bool recycle_says;

static void end_object(void *context, uintptr_t object)
{
    (void)context;
    if (n_ended < N_SLOTS) ended[n_ended] = object;
    n_ended++;
}

static ea_status_t make_object(void *context, const ea_resource_request_t *request,
                               uintptr_t *object)
{
    (void)context, (void)request;
    if (create_says == EA_OK) *object = 100u + n_made++;
    return create_says;
}

static bool may_recycle(void *context, uintptr_t object)
{
    (void)context, (void)object;
    return recycle_says;
}

static const ea_resource_type_t types[N_TYPES] = {
    [SOCKET] = {.name = "socket", .book = &book, .destroy = end_object},
    [BUFFER] = {.name = "buffer",
                .book = &book,
                .create = make_object,
                .destroy = end_object,
                .recycle = may_recycle,
                .max_idle = N_IDLE},
    [LATER] = {.name = "later",
               .book = &book,
               .destroy = end_object,
               .strategy = EA_RELEASE_QUEUED},
    [CAREFUL] = {.name = "careful",
                 .book = &book,
                 .destroy = end_object,
                 .strategy = EA_RELEASE_UNCONTENDED},
};

static bool start(size_t max)
{
    const ea_account_limits_t all = {.max = max};
    const ea_monitor_options_t options = {.types = types,
                                          .n_types = N_TYPES,
                                          .n_slots = N_SLOTS,
                                          .n_stripes = 2,
                                          .n_queue = N_QUEUE,
                                          .batch = 3,
                                          .delay_us = 1000};
    n_ended = n_made = 0;
    create_says = EA_OK;
    recycle_says = true;
    if (ea_accounts_init(&book, nodes, N_NODES, &all) != EA_OK) return false;
    web = ea_account_create(&book, nodes, &(ea_account_options_t){.limits = {.max = 20}});
    log_ = ea_account_create(&book, nodes, NULL);
    return ea_monitor_init(&monitor, tap_ram(), RAM, &options) == EA_OK && log_ != NULL;
}

static ea_status_t acquire(uint8_t type, ea_account_t *account, uintptr_t object,
                           ea_resource_t *resource)
{
    const ea_resource_request_t request = {.account = account, .object = object, .type = type};
    return ea_monitor_acquire(&monitor, &request, resource);
}

static ea_resource_t must(uint8_t type, ea_account_t *account, uintptr_t object)
{
    ea_resource_t resource;
    EXPECT_EQ(acquire(type, account, object, &resource), EA_OK);
    return resource;
}

static ea_resource_stats_t stats_of(uint8_t type)
{
    ea_resource_stats_t stats;
    EXPECT_EQ(ea_monitor_type_stats(&monitor, type, &stats), EA_OK);
    return stats;
}

/* Nothing is live, and an audit of a monitor at rest finds nothing. */
static void expect_rest(void)
{
    ea_audit_report_t report;
    EXPECT_EQ(ea_monitor_audit(&monitor, EA_AUDIT_ALONE, SIZE_MAX, &report), EA_OK);
    EXPECT_EQ(report.n_found, 0);
    EXPECT(report.is_exact);
    EXPECT_EQ(report.n_in_flight, 0);
    EXPECT_EQ(ea_account_committed(nodes), 0);
    EXPECT_EQ(ea_accounts_check(&book, NULL), EA_OK);
    for (uint8_t i = 0; i < N_TYPES; i++) EXPECT_EQ(stats_of(i).n_live, 0);
}

TEST(monitor_registers_what_is_acquired, RAM)
{
    REQUIRE(start(30));
    ea_resource_t socket;
    const ea_resource_request_t request = {
        .account = web, .object = 7, .units = 3, .caller = &book};
    REQUIRE(ea_monitor_acquire(&monitor, &request, &socket) == EA_OK);
    EXPECT(!ea_resource_is_none(socket));
    EXPECT_EQ(ea_resource_type(socket), SOCKET);
    EXPECT_EQ(ea_account_committed(web), 3);

    ea_resource_info_t info;
    REQUIRE(ea_monitor_info(&monitor, socket, &info) == EA_OK);
    EXPECT_EQ(info.object, 7);
    EXPECT_EQ(info.units, 3);
    EXPECT_EQ(info.type, SOCKET);
    EXPECT_EQ(info.account, ea_account_id(web));
    EXPECT(info.caller == &book);
    EXPECT(ea_resource_is_none(info.parent));
    EXPECT_EQ(info.n_references, 1);
    uintptr_t object = 0;
    EXPECT_EQ(ea_monitor_object(&monitor, socket, SOCKET, &object), EA_OK);
    EXPECT_EQ(object, 7);
    EXPECT_EQ(ea_monitor_object(&monitor, socket, BUFFER, &object), EA_ERR_NOT_FOUND);

    EXPECT_EQ(ea_monitor_release(&monitor, socket), EA_OK);
    EXPECT_EQ(n_ended, 1);
    EXPECT_EQ(ended[0], 7);
    EXPECT_EQ(ea_monitor_info(&monitor, socket, &info), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_monitor_object(&monitor, socket, SOCKET, &object), EA_ERR_NOT_FOUND);
    expect_rest();
}

TEST(monitor_notes_the_call_site_and_the_time, RAM)
{
    REQUIRE(start(30));
    uint64_t before = ea_port_time_us();
    ea_resource_t socket = must(SOCKET, web, 1);
    ea_resource_info_t info;
    REQUIRE(ea_monitor_info(&monitor, socket, &info) == EA_OK);
    EXPECT(info.caller != NULL);
    EXPECT(info.since_us <= ea_port_time_us());
    EXPECT(info.since_us + 100000 >= before);
    EXPECT_EQ(ea_monitor_release(&monitor, socket), EA_OK);
    size_t n_lifetimes = 0;
    for (unsigned k = 0; k < EA_CFG_MONITOR_LIFETIMES; k++)
        n_lifetimes += stats_of(SOCKET).lifetimes[k];
    EXPECT_EQ(n_lifetimes, 1);
}

TEST(monitor_refuses_beyond_a_limit_and_holds_nothing_then, RAM)
{
    REQUIRE(start(22));
    ea_resource_t held[22], more;
    for (unsigned i = 0; i < 20; i++) held[i] = must(SOCKET, web, i);
    EXPECT_EQ(acquire(SOCKET, web, 99, &more), EA_ERR_LIMIT); /* web's */
    EXPECT(ea_resource_is_none(more));
    for (unsigned i = 20; i < 22; i++) held[i] = must(SOCKET, log_, i);
    EXPECT_EQ(acquire(SOCKET, log_, 99, &more), EA_ERR_LIMIT); /* the root's */
    EXPECT_EQ(stats_of(SOCKET).n_failures[EA_REASON_OVER_LIMIT], 2);
    EXPECT_EQ(stats_of(SOCKET).n_live, 22);
    EXPECT_EQ(stats_of(SOCKET).peak, 22);
    EXPECT_EQ(stats_of(SOCKET).capacity, 22);
    EXPECT_EQ(stats_of(SOCKET).utilisation_permille, 1000);
    for (unsigned i = 0; i < 22; i++) EXPECT_EQ(ea_monitor_release(&monitor, held[i]), EA_OK);
    EXPECT_EQ(n_ended, 22);
    expect_rest();
}

TEST(monitor_tells_how_full_a_large_book_is, RAM)
{
    const size_t max = (size_t)3000 * 1000 * 1000;
    REQUIRE(start(max));
    EXPECT_EQ(stats_of(SOCKET).utilisation_permille, 0);
    ea_resource_t resource;
    const ea_resource_request_t request = {.account = log_, .units = max / 4 * 3};
    REQUIRE(ea_monitor_acquire(&monitor, &request, &resource) == EA_OK);
    EXPECT_EQ(stats_of(SOCKET).used, max / 4 * 3);
    EXPECT_EQ(stats_of(SOCKET).utilisation_permille, 750);
    EXPECT_EQ(ea_monitor_release(&monitor, resource), EA_OK);
    expect_rest();
}

TEST(monitor_finds_every_slot_and_refuses_without_one, RAM)
{
    REQUIRE(start(1000));
    ea_resource_t held[N_SLOTS], more;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < N_SLOTS; i++) {
            held[i] = must(SOCKET, log_, i);
            for (unsigned k = 0; k < i; k++) EXPECT(held[k].eai_slot != held[i].eai_slot);
        }
        EXPECT_EQ(acquire(SOCKET, log_, 99, &more), EA_ERR_NO_MEMORY);
        EXPECT_EQ(ea_account_committed(log_), N_SLOTS);
        for (unsigned i = 0; i < N_SLOTS; i++) {
            EXPECT_EQ(ea_monitor_release(&monitor, held[(i * 7) % N_SLOTS]), EA_OK);
        }
    }
    EXPECT_EQ(stats_of(SOCKET).n_failures[EA_REASON_EXHAUSTED], 3);
    expect_rest();
}

/* Slots of several words of bits. */
#define N_MANY 100u
TEST(monitor_finds_slots_in_every_word, EA_MONITOR_BYTES(N_MANY, N_TYPES, N_NODES, 1, 0, N_IDLE))
{
    static ea_resource_t held[N_MANY];
    const ea_monitor_options_t options = {.types = types, .n_types = N_TYPES, .n_slots = N_MANY};
    REQUIRE(start(1000));
    const size_t bytes = EA_MONITOR_BYTES(N_MANY, N_TYPES, N_NODES, 1, 0, N_IDLE);
    REQUIRE(ea_monitor_init(&monitor, tap_ram(), bytes, &options) == EA_OK);
    for (unsigned i = 0; i < N_MANY; i++) held[i] = must(SOCKET, log_, 1);
    for (unsigned first = 0; first < N_MANY; first += 11) {
        unsigned both[2] = {first, (first * 7 + 50) % N_MANY};
        if (both[0] == both[1]) continue;
        for (unsigned i = 0; i < 2; i++)
            EXPECT_EQ(ea_monitor_release(&monitor, held[both[i]]), EA_OK);
        for (unsigned i = 0; i < 2; i++) held[both[i]] = must(SOCKET, log_, 1);
    }
    for (unsigned i = 0; i < N_MANY; i++) EXPECT_EQ(ea_monitor_release(&monitor, held[i]), EA_OK);
    expect_rest();
}

TEST(monitor_refuses_a_handle_that_was_released, RAM)
{
    REQUIRE(start(30));
    ea_resource_t first = must(SOCKET, web, 1);
    EXPECT_EQ(ea_monitor_release(&monitor, first), EA_OK);
    EXPECT_EQ(ea_monitor_release(&monitor, first), EA_ERR_DOUBLE_FREE);
    ea_resource_t second = must(SOCKET, web, 2);
    EXPECT_EQ(first.eai_slot, second.eai_slot); /* the slot is used again */
    EXPECT_EQ(ea_monitor_release(&monitor, first), EA_ERR_DOUBLE_FREE);
    EXPECT_EQ(ea_monitor_share(&monitor, first), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_monitor_transfer(&monitor, first, log_), EA_ERR_NOT_FOUND);
    ea_resource_info_t info;
    EXPECT_EQ(ea_monitor_info(&monitor, first, &info), EA_ERR_NOT_FOUND);
    uintptr_t object;
    EXPECT_EQ(ea_monitor_object(&monitor, first, SOCKET, &object), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_monitor_release(&monitor, EA_RESOURCE_NONE), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_release(&monitor, (ea_resource_t){N_SLOTS, 1}), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_release(&monitor, (ea_resource_t){0xFF000000u, 1}), EA_ERR_INVALID);
    EXPECT_EQ(n_ended, 1);
    EXPECT_EQ(ea_monitor_release(&monitor, second), EA_OK);
    ea_monitor_stats_t stats;
    ea_monitor_stats(&monitor, &stats);
    EXPECT_EQ(stats.n_refused, 5);
    expect_rest();
}

TEST(monitor_refuses_what_makes_no_sense, RAM)
{
    static ea_account_t other_nodes[2];
    static ea_accounts_t other;
    ea_resource_t resource;
    REQUIRE(start(30));
    REQUIRE(ea_accounts_init(&other, other_nodes, 2, NULL) == EA_OK);
    EXPECT_EQ(acquire(N_TYPES, web, 1, &resource), EA_ERR_INVALID);
    EXPECT_EQ(acquire(SOCKET, NULL, 1, &resource), EA_ERR_INVALID);
    EXPECT_EQ(acquire(SOCKET, other_nodes, 1, &resource), EA_ERR_INVALID);
    EXPECT_EQ(stats_of(SOCKET).n_failures[EA_REASON_INVALID], 2);
    resource = must(SOCKET, web, 1);
    EXPECT_EQ(ea_monitor_transfer(&monitor, resource, other_nodes), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_transfer(&monitor, resource, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_account_committed(web), 1);
    EXPECT_EQ(ea_monitor_release(&monitor, resource), EA_OK);
    ea_resource_stats_t stats;
    EXPECT_EQ(ea_monitor_type_stats(&monitor, N_TYPES, &stats), EA_ERR_INVALID);
    expect_rest();
}

TEST(monitor_that_is_closed_turns_acquire_away_and_keeps_nothing_idle, RAM)
{
    ea_resource_t resource;
    REQUIRE(start(30));
    ea_resource_t live = must(BUFFER, web, 0);
    ea_monitor_close(&monitor, true);
    EXPECT_EQ(acquire(BUFFER, web, 1, &resource), EA_ERR_CANCELLED);
    EXPECT(ea_resource_is_none(resource));
    EXPECT_EQ(ea_monitor_share(&monitor, live), EA_OK);
    EXPECT_EQ(ea_monitor_release(&monitor, live), EA_OK);
    EXPECT_EQ(ea_monitor_release(&monitor, live), EA_OK);
    EXPECT_EQ(n_ended, 1);
    EXPECT_EQ(stats_of(BUFFER).n_idle, 0);
    ea_monitor_close(&monitor, false);
    EXPECT_EQ(ea_monitor_release(&monitor, must(BUFFER, web, 1)), EA_OK);
    EXPECT_EQ(stats_of(BUFFER).n_idle, 1);
    EXPECT_EQ(ea_monitor_trim(&monitor, 1), 1);
    expect_rest();
}

TEST(monitor_init_refuses_what_is_outside_its_range, RAM)
{
    REQUIRE(start(30));
    const ea_resource_type_t without_book = {.name = "x"},
                             without_strategy = {.book = &book, .strategy = 3};
    for (unsigned k = 0; k < 8; k++) {
        ea_monitor_options_t options = {.types = types, .n_types = N_TYPES, .n_slots = 4};
        switch (k) {
        case 0: options.types = NULL; break;
        case 1: options.n_types = EA_MONITOR_TYPES_MAX + 1u; break;
        case 2: options.n_queue = 2 * EA_MONITOR_QUEUE_MAX; break;
        case 3: options.n_queue = 3; break;
        case 4: options.batch = EA_MONITOR_QUEUE_MAX + 1u; break;
        case 5: options.n_stripes = 0x10000u; break;
        case 6: options.types = &without_book, options.n_types = 1; break;
        default: options.types = &without_strategy, options.n_types = 1; break;
        }
        EXPECT_EQ(ea_monitor_init(&monitor, tap_ram(), RAM, &options), EA_ERR_INVALID);
    }
}

TEST(monitor_needs_the_bytes_it_says, RAM)
{
    REQUIRE(start(30));
    ea_monitor_options_t options = {.types = types, .n_types = N_TYPES, .n_slots = N_SLOTS};
    EXPECT_EQ(ea_monitor_init(NULL, tap_ram(), RAM, &options), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_init(&monitor, NULL, RAM, &options), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_init(&monitor, tap_ram(), RAM, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_init(&monitor, tap_ram(), RAM / 2, &options), EA_ERR_NO_MEMORY);
    for (size_t n = 0; n < 64; n++) {
        EXPECT_EQ(ea_monitor_init(&monitor, tap_ram(), n, &options), EA_ERR_NO_MEMORY);
    }
    options.n_slots = 0;
    EXPECT_EQ(ea_monitor_init(&monitor, tap_ram(), RAM, &options), EA_ERR_INVALID);
    options.n_slots = EA_MONITOR_SLOTS_MAX + (size_t)1;
    EXPECT_EQ(ea_monitor_init(&monitor, tap_ram(), RAM, &options), EA_ERR_INVALID);
    options.n_slots = N_SLOTS;
    options.n_stripes = 3;
    EXPECT_EQ(ea_monitor_init(&monitor, tap_ram(), RAM, &options), EA_ERR_INVALID);
    options.n_stripes = 1;
    options.n_queue = 1;
    EXPECT_EQ(ea_monitor_init(&monitor, tap_ram(), RAM, &options), EA_ERR_INVALID);
    options.n_queue = 0;
    options.n_types = 0;
    EXPECT_EQ(ea_monitor_init(&monitor, tap_ram(), RAM, &options), EA_ERR_INVALID);
    options.n_types = N_TYPES;
    /* Wherever it begins. */
    for (size_t shift = 0; shift < 4; shift++) {
        size_t bytes = EA_MONITOR_BYTES(N_SLOTS, N_TYPES, N_NODES, 1, 0, N_IDLE);
        EXPECT_EQ(ea_monitor_init(&monitor, (char *)tap_ram() + shift, bytes, &options), EA_OK);
        EXPECT_EQ(ea_monitor_release(&monitor, must(SOCKET, web, 1)), EA_OK);
    }
    if (sizeof(void *) == 4) { /* 28 and two bits */
        size_t a = EA_MONITOR_BYTES(6400, 1, 2, 1, 0, 0), b = EA_MONITOR_BYTES(3200, 1, 2, 1, 0, 0);
        EXPECT((a - b) * 10 <= 3200 * 282);
    }
}

TEST(monitor_returns_everything_when_create_fails, RAM)
{
    ea_resource_t resource;
    REQUIRE(start(30));
    create_says = EA_ERR_NO_MEMORY;
    EXPECT_EQ(acquire(BUFFER, web, 0, &resource), EA_ERR_NO_MEMORY);
    create_says = EA_ERR_TIMEOUT;
    EXPECT_EQ(acquire(BUFFER, web, 0, &resource), EA_ERR_TIMEOUT);
    EXPECT(ea_resource_is_none(resource));
    EXPECT_EQ(stats_of(BUFFER).n_failures[EA_REASON_EXHAUSTED], 1);
    EXPECT_EQ(stats_of(BUFFER).n_failures[EA_REASON_TIMEOUT], 1);
    create_says = EA_ERR_CORRUPT;
    EXPECT_EQ(acquire(BUFFER, web, 0, &resource), EA_ERR_CORRUPT);
    EXPECT_EQ(stats_of(BUFFER).n_failures[EA_REASON_DAMAGED], 1);
    create_says = EA_ERR_TOO_LARGE;
    EXPECT_EQ(acquire(BUFFER, web, 0, &resource), EA_ERR_TOO_LARGE);
    EXPECT_EQ(stats_of(BUFFER).n_failures[EA_REASON_TOO_LARGE], 1);
    EXPECT_EQ(n_ended, 0);
    expect_rest();
}

TEST(monitor_hands_an_idle_object_out_again, RAM)
{
    REQUIRE(start(30));
    ea_resource_t a = must(BUFFER, web, 0), b = must(BUFFER, log_, 0);
    EXPECT_EQ(n_made, 2);
    EXPECT_EQ(ea_monitor_release(&monitor, a), EA_OK);
    EXPECT_EQ(ea_account_committed(web), 0);
    EXPECT_EQ(stats_of(BUFFER).n_idle, 1);
    EXPECT_EQ(ea_monitor_release(&monitor, a), EA_ERR_DOUBLE_FREE);
    ea_resource_t c = must(BUFFER, log_, 0);
    uintptr_t object = 0;
    EXPECT_EQ(ea_monitor_object(&monitor, c, BUFFER, &object), EA_OK);
    EXPECT_EQ(object, 100);
    EXPECT_EQ(n_made, 2);
    EXPECT_EQ(n_ended, 0);
    EXPECT_EQ(stats_of(BUFFER).n_recycled, 1);
    EXPECT_EQ(stats_of(BUFFER).n_idle, 0);
    recycle_says = false;
    EXPECT_EQ(ea_monitor_release(&monitor, b), EA_OK);
    EXPECT_EQ(n_ended, 1);
    recycle_says = true;
    EXPECT_EQ(ea_monitor_release(&monitor, c), EA_OK);
    EXPECT_EQ(ea_monitor_trim(&monitor, 10), 1);
    EXPECT_EQ(n_ended, 2);
    EXPECT_EQ(stats_of(BUFFER).n_idle, 0);
    expect_rest();
}

TEST(monitor_keeps_no_more_idle_objects_than_it_may, RAM)
{
    ea_resource_t held[5], more;
    REQUIRE(start(5));
    for (unsigned i = 0; i < 5; i++) held[i] = must(BUFFER, log_, 0);
    for (unsigned i = 0; i < 5; i++) EXPECT_EQ(ea_monitor_release(&monitor, held[i]), EA_OK);
    EXPECT_EQ(stats_of(BUFFER).n_idle, N_IDLE);
    EXPECT_EQ(n_ended, 5 - N_IDLE);
    for (unsigned i = 0; i < 5; i++) held[i] = must(BUFFER, log_, 0);
    EXPECT_EQ(n_made, 5 + 5 - N_IDLE); /* live and idle together never were more than 5 */
    EXPECT_EQ(acquire(BUFFER, web, 0, &more), EA_ERR_LIMIT);
    for (unsigned i = 0; i < 5; i++) EXPECT_EQ(ea_monitor_release(&monitor, held[i]), EA_OK);
    /* A refusal gives the idle object back that it had found. */
    ea_resource_t others[5];
    for (unsigned i = 0; i < 5; i++) others[i] = must(SOCKET, log_, i);
    EXPECT_EQ(acquire(BUFFER, web, 0, &more), EA_ERR_LIMIT);
    EXPECT_EQ(stats_of(BUFFER).n_idle, N_IDLE);
    for (unsigned i = 0; i < 5; i++) EXPECT_EQ(ea_monitor_release(&monitor, others[i]), EA_OK);
    expect_rest();
}

TEST(monitor_takes_an_idle_objects_slot_when_no_other_is_free, RAM)
{
    ea_resource_t held[N_SLOTS];
    REQUIRE(start(1000));
    EXPECT_EQ(ea_monitor_release(&monitor, must(BUFFER, log_, 0)), EA_OK);
    for (unsigned i = 0; i < N_SLOTS; i++) held[i] = must(SOCKET, log_, i);
    EXPECT_EQ(n_ended, 1);
    EXPECT_EQ(ended[0], 100);
    for (unsigned i = 0; i < N_SLOTS; i++) EXPECT_EQ(ea_monitor_release(&monitor, held[i]), EA_OK);
    expect_rest();
}

TEST(monitor_releases_with_the_last_reference, RAM)
{
    REQUIRE(start(30));
    ea_resource_t socket = must(SOCKET, web, 5);
    ea_resource_info_t info;
    EXPECT_EQ(ea_monitor_share(&monitor, socket), EA_OK);
    EXPECT_EQ(ea_monitor_share(&monitor, socket), EA_OK);
    EXPECT_EQ(ea_monitor_info(&monitor, socket, &info), EA_OK);
    EXPECT_EQ(info.n_references, 3);
    EXPECT_EQ(ea_monitor_release(&monitor, socket), EA_OK);
    EXPECT_EQ(ea_monitor_release(&monitor, socket), EA_OK);
    EXPECT_EQ(n_ended, 0);
    EXPECT_EQ(ea_monitor_release(&monitor, socket), EA_OK);
    EXPECT_EQ(n_ended, 1);
    EXPECT_EQ(ea_monitor_share(&monitor, socket), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_monitor_release(&monitor, socket), EA_ERR_DOUBLE_FREE);
    if (sizeof(void *) == 4) {
        socket = must(SOCKET, web, 6);
        for (unsigned i = 1; i < 127; i++) EXPECT_EQ(ea_monitor_share(&monitor, socket), EA_OK);
        EXPECT_EQ(ea_monitor_share(&monitor, socket), EA_ERR_LIMIT);
        for (unsigned i = 0; i < 127; i++) EXPECT_EQ(ea_monitor_release(&monitor, socket), EA_OK);
    }
    expect_rest();
}

static ea_resource_t child_of(ea_resource_t parent, uint8_t type, uintptr_t object)
{
    ea_resource_t child;
    const ea_resource_request_t request = {
        .account = web, .object = object, .type = type, .parent = parent};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &child), EA_OK);
    return child;
}

TEST(monitor_keeps_parents_as_long_as_their_children, RAM)
{
    REQUIRE(start(30));
    ea_resource_t parent = must(SOCKET, web, 1), child = child_of(parent, SOCKET, 2),
                  grandchild = child_of(child, LATER, 3);
    ea_resource_info_t info;
    EXPECT_EQ(ea_monitor_info(&monitor, grandchild, &info), EA_OK);
    EXPECT_EQ(info.parent.eai_slot, child.eai_slot);
    EXPECT_EQ(info.parent.eai_generation, child.eai_generation);
    EXPECT_EQ(ea_monitor_release(&monitor, parent), EA_OK);
    EXPECT_EQ(ea_monitor_release(&monitor, child), EA_OK);
    EXPECT_EQ(n_ended, 0);
    EXPECT_EQ(ea_monitor_release(&monitor, grandchild), EA_OK);
    EXPECT_EQ(ea_monitor_cleanup(&monitor, 5), 1);
    EXPECT_EQ(n_ended, 3);
    EXPECT_EQ(ended[0], 3);
    EXPECT_EQ(ended[1], 2);
    EXPECT_EQ(ended[2], 1);
    ea_resource_t orphan;
    const ea_resource_request_t request = {.account = web, .parent = parent};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &orphan), EA_ERR_NOT_FOUND);
    expect_rest();
}

TEST(monitor_lets_go_of_the_parent_when_it_refuses, RAM)
{
    ea_resource_t more;
    REQUIRE(start(1));
    ea_resource_t parent = must(SOCKET, log_, 1);
    const ea_resource_request_t request = {.account = web, .parent = parent};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &more), EA_ERR_LIMIT);
    EXPECT_EQ(ea_monitor_release(&monitor, parent), EA_OK);
    EXPECT_EQ(n_ended, 1);
    expect_rest();
}

TEST(monitor_hands_a_resource_over, RAM)
{
    REQUIRE(start(30));
    ea_resource_t socket = must(SOCKET, log_, 1), held[20];
    ea_resource_info_t info;
    EXPECT_EQ(ea_monitor_transfer(&monitor, socket, web), EA_OK);
    EXPECT_EQ(ea_account_committed(log_), 0);
    EXPECT_EQ(ea_account_committed(web), 1);
    EXPECT_EQ(ea_monitor_info(&monitor, socket, &info), EA_OK);
    EXPECT_EQ(info.account, ea_account_id(web));
    EXPECT_EQ(info.n_references, 1);
    EXPECT_EQ(ea_monitor_transfer(&monitor, socket, log_), EA_OK);
    for (unsigned i = 0; i < 20; i++) held[i] = must(SOCKET, web, 1);
    EXPECT_EQ(ea_monitor_transfer(&monitor, socket, web), EA_ERR_LIMIT);
    EXPECT_EQ(ea_account_committed(log_), 1);
    for (unsigned i = 0; i < 20; i++) EXPECT_EQ(ea_monitor_release(&monitor, held[i]), EA_OK);
    EXPECT_EQ(ea_monitor_release(&monitor, socket), EA_OK);
    EXPECT_EQ(ea_monitor_transfer(&monitor, socket, web), EA_ERR_NOT_FOUND);
    ea_audit_report_t report;
    EXPECT_EQ(ea_monitor_audit(&monitor, 0, SIZE_MAX, &report), EA_OK);
    EXPECT(report.is_exact); /* no change is open */
    expect_rest();
}

TEST(monitor_releases_queued_resources_in_order, RAM)
{
    REQUIRE(start(30));
    ea_resource_t held[3];
    for (unsigned round = 0; round < 20; round++) {
        n_ended = 0;
        for (unsigned i = 0; i < 3; i++) held[i] = must(LATER, web, 10 + i);
        for (unsigned i = 0; i < 3; i++) EXPECT_EQ(ea_monitor_release(&monitor, held[i]), EA_OK);
        EXPECT_EQ(n_ended, 0);
        EXPECT_EQ(ea_account_committed(web), 3); /* what waits still counts */
        EXPECT_EQ(ea_monitor_release(&monitor, held[0]), EA_ERR_DOUBLE_FREE);
        EXPECT_EQ(ea_monitor_cleanup(&monitor, 2), 2);
        EXPECT_EQ(ea_monitor_cleanup(&monitor, 2), 1);
        EXPECT_EQ(ea_monitor_cleanup(&monitor, 2), 0);
        for (unsigned i = 0; i < 3; i++) EXPECT_EQ(ended[i], 10 + i);
    }
    ea_monitor_stats_t stats;
    ea_monitor_stats(&monitor, &stats);
    EXPECT_EQ(stats.n_queued, 0);
    EXPECT_EQ(stats.n_queued_total, 60);
    EXPECT_EQ(stats.n_queue_full, 0);
    expect_rest();
}

TEST(monitor_releases_at_once_when_the_queue_is_full, RAM)
{
    REQUIRE(start(30));
    ea_resource_t held[N_QUEUE + 2];
    for (unsigned i = 0; i < N_QUEUE + 2; i++) held[i] = must(LATER, web, i);
    for (unsigned i = 0; i < N_QUEUE + 2; i++)
        EXPECT_EQ(ea_monitor_release(&monitor, held[i]), EA_OK);
    EXPECT_EQ(n_ended, 2);
    EXPECT_EQ(ended[0], N_QUEUE);
    ea_monitor_stats_t stats;
    ea_monitor_stats(&monitor, &stats);
    EXPECT_EQ(stats.n_queue_full, 2);
    EXPECT_EQ(stats.n_queued, N_QUEUE);
    EXPECT_EQ(stats.n_queued_total, N_QUEUE);
    EXPECT_EQ(stats.n_slots, N_SLOTS);
    EXPECT_EQ(ea_monitor_cleanup(&monitor, SIZE_MAX), N_QUEUE);
    EXPECT_EQ(n_ended, N_QUEUE + 2);
    expect_rest();
}

TEST(monitor_cleans_up_when_a_batch_waits_or_the_delay_is_over, RAM)
{
    REQUIRE(start(30));
    EXPECT_EQ(ea_monitor_poll(&monitor, 0, 10), 0);
    EXPECT_EQ(ea_monitor_release(&monitor, must(LATER, web, 1)), EA_OK);
    EXPECT_EQ(ea_monitor_poll(&monitor, 5000, 10), 0);
    EXPECT_EQ(ea_monitor_poll(&monitor, 5999, 10), 0);
    EXPECT_EQ(ea_monitor_poll(&monitor, 6000, 10), 1); /* 1000 us after it was first seen */
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQ(ea_monitor_poll(&monitor, 7000, 10), 0);
        EXPECT_EQ(ea_monitor_release(&monitor, must(LATER, web, 1)), EA_OK);
    }
    EXPECT_EQ(ea_monitor_poll(&monitor, 7000, 10), 3);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQ(ea_monitor_release(&monitor, must(LATER, web, 1)), EA_OK);
    }
    EXPECT_EQ(ea_monitor_cleanup_wait(&monitor, 10), 3); /* without waiting */
    expect_rest();
}

TEST(monitor_poll_counts_the_delay_anew_for_what_comes_later, RAM)
{
    REQUIRE(start(30));
    EXPECT_EQ(ea_monitor_release(&monitor, must(LATER, web, 1)), EA_OK);
    EXPECT_EQ(ea_monitor_poll(&monitor, 0, 10), 0); /* at time 0 too it has been met */
    EXPECT_EQ(ea_monitor_poll(&monitor, 1001, 10), 1);
    EXPECT_EQ(ea_monitor_release(&monitor, must(LATER, web, 2)), EA_OK);
    EXPECT_EQ(ea_monitor_poll(&monitor, 1500, 10), 0);
    EXPECT_EQ(ea_monitor_cleanup(&monitor, 10), 1);
    EXPECT_EQ(ea_monitor_poll(&monitor, 1600, 10), 0);
    EXPECT_EQ(ea_monitor_release(&monitor, must(LATER, web, 3)), EA_OK);
    EXPECT_EQ(ea_monitor_poll(&monitor, 2550, 10), 0);
    EXPECT_EQ(ea_monitor_poll(&monitor, 3550, 10), 1);
    expect_rest();
}

/* By the clock, which needs a timer on a board. */
#if defined(__unix__)
TEST(monitor_cleanup_waits_for_the_delay_but_not_with_a_batch, RAM)
{
    ea_monitor_options_t options = {.types = types,
                                    .n_types = N_TYPES,
                                    .n_slots = N_SLOTS,
                                    .n_queue = N_QUEUE,
                                    .batch = 2,
                                    .delay_us = 20000};
    REQUIRE(start(30));
    REQUIRE(ea_monitor_init(&monitor, tap_ram(), RAM, &options) == EA_OK);
    EXPECT_EQ(ea_monitor_release(&monitor, must(LATER, web, 1)), EA_OK);
    uint64_t before = ea_port_time_us();
    EXPECT_EQ(ea_monitor_cleanup_wait(&monitor, 10), 1);
    EXPECT(ea_port_time_us() - before >= 20000);
    options.delay_us = 5000000;
    REQUIRE(ea_monitor_init(&monitor, tap_ram(), RAM, &options) == EA_OK);
    for (unsigned i = 0; i < 2; i++) {
        EXPECT_EQ(ea_monitor_release(&monitor, must(LATER, web, 1)), EA_OK);
    }
    before = ea_port_time_us();
    EXPECT_EQ(ea_monitor_cleanup_wait(&monitor, 10), 2);
    EXPECT(ea_port_time_us() - before < 4000000);
}
#endif

TEST(monitor_releases_at_once_where_nobody_is_at_it, RAM)
{
    REQUIRE(start(30));
    EXPECT_EQ(ea_monitor_release(&monitor, must(CAREFUL, web, 1)), EA_OK);
    EXPECT_EQ(n_ended, 1);
    EXPECT_EQ(ea_monitor_release(&monitor, must(LATER, web, 2)), EA_OK);
    EXPECT_EQ(ea_monitor_release(&monitor, must(CAREFUL, web, 3)), EA_OK); /* behind what waits */
    EXPECT_EQ(n_ended, 1);
    EXPECT_EQ(ea_monitor_cleanup(&monitor, 10), 2);
    EXPECT_EQ(ended[2], 3);
    expect_rest();
}

/* A destructor that releases another resource: it is queued behind. */
static ea_resource_t inner;
static void release_inner(void *context, uintptr_t object)
{
    (void)context;
    end_object(NULL, object);
    if (!ea_resource_is_none(inner)) {
        ea_resource_t once = inner;
        inner = EA_RESOURCE_NONE;
        EXPECT_EQ(ea_monitor_release(&monitor, once), EA_OK);
        EXPECT_EQ(ea_monitor_cleanup(&monitor, 1), 0); /* it is being cleaned up */
    }
}

TEST(monitor_lets_a_destructor_release, RAM)
{
    static const ea_resource_type_t nested[] = {
        {.book = &book, .destroy = release_inner, .strategy = EA_RELEASE_UNCONTENDED}};
    const ea_monitor_options_t options = {
        .types = nested, .n_types = 1, .n_slots = 4, .n_queue = 2};
    REQUIRE(start(30));
    REQUIRE(ea_monitor_init(&monitor, tap_ram(), RAM, &options) == EA_OK);
    ea_resource_t outer = must(0, web, 1);
    inner = must(0, web, 2);
    EXPECT_EQ(ea_monitor_release(&monitor, outer), EA_OK);
    EXPECT_EQ(n_ended, 1);
    EXPECT_EQ(ea_monitor_cleanup(&monitor, 1), 1);
    EXPECT_EQ(n_ended, 2);
    EXPECT_EQ(ea_account_committed(nodes), 0);
}

static unsigned n_visited;
static bool visit(void *context, const ea_resource_info_t *info)
{
    EXPECT(info->object < N_SLOTS);
    n_visited++;
    return n_visited < *(unsigned *)context;
}

TEST(monitor_walks_in_steps, RAM)
{
    REQUIRE(start(1000));
    unsigned most = 1000;
    size_t cursor = 0;
    ea_resource_t held[10];
    for (unsigned i = 0; i < 10; i++) held[i] = must(SOCKET, i < 5 ? web : log_, i);
    n_visited = 0;
    unsigned n_steps = 1;
    while (ea_monitor_walk(&monitor, &cursor, 7, visit, &most) == EA_ERR_AGAIN) n_steps++;
    EXPECT_EQ(n_steps, (N_SLOTS + 6) / 7);
    EXPECT_EQ(n_visited, 10);
    n_visited = 0;
    most = 3;
    cursor = 0;
    EXPECT_EQ(ea_monitor_walk(&monitor, &cursor, 1000, visit, &most), EA_OK);
    EXPECT_EQ(n_visited, 3);
    for (unsigned i = 0; i < 10; i++) EXPECT_EQ(ea_monitor_release(&monitor, held[i]), EA_OK);
    expect_rest();
}

static ea_event_t last_event;
static void note_event(void *context, const ea_event_t *event)
{
    (void)context;
    last_event = *event;
}

TEST(monitor_tells_of_refusals, RAM)
{
    static ea_event_t ring[4];
    static ea_events_t events;
    static ea_listener_t listener;
    ea_resource_t more;
    const ea_monitor_options_t options = {
        .types = types, .n_types = N_TYPES, .n_slots = 4, .events = &events};
    REQUIRE(start(0 + 1));
    REQUIRE(ea_events_init(&events, ring, 4) == EA_OK);
    memset(&listener, 0, sizeof listener);
    REQUIRE(ea_events_listen(&events, &listener, EA_EVENTS_ALL, note_event, NULL) == EA_OK);
    REQUIRE(ea_monitor_init(&monitor, tap_ram(), RAM, &options) == EA_OK);
    ea_resource_t only = must(SOCKET, web, 1);
    const ea_resource_request_t request = {
        .account = web, .type = LATER, .units = 5, .caller = &book};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &more), EA_ERR_LIMIT);
    EXPECT_EQ(ea_events_poll(&events), EA_OK);
    EXPECT_EQ(last_event.kind, EA_EVENT_LIMIT);
    EXPECT_EQ(last_event.n, LATER);
    EXPECT_EQ(last_event.size_bytes, 5);
    EXPECT(last_event.where == &monitor);
    EXPECT(last_event.caller == &book);
    EXPECT_EQ(last_event.reason, EA_REASON_OVER_LIMIT);
    EXPECT_EQ(last_event.owner, ea_account_id(web));
    EXPECT_EQ(ea_monitor_release(&monitor, only), EA_OK);
    last_event.kind = EA_EVENT_LIMIT;
    EXPECT_EQ(ea_monitor_release(&monitor, only), EA_ERR_DOUBLE_FREE);
    (void)ea_events_poll(&events);
    EXPECT_EQ(last_event.kind, EA_EVENT_LIMIT); /* nothing is damaged */
}

#if defined(__unix__)
#define BY_THE_CLOCK &monitor_cleanup_waits_for_the_delay_but_not_with_a_batch,
#else
#define BY_THE_CLOCK
#endif

TEST_MAIN(&monitor_registers_what_is_acquired, &monitor_notes_the_call_site_and_the_time,
          &monitor_refuses_beyond_a_limit_and_holds_nothing_then,
          &monitor_tells_how_full_a_large_book_is,
          &monitor_finds_every_slot_and_refuses_without_one, &monitor_finds_slots_in_every_word,
          &monitor_refuses_a_handle_that_was_released, &monitor_refuses_what_makes_no_sense,
          &monitor_that_is_closed_turns_acquire_away_and_keeps_nothing_idle,
          &monitor_init_refuses_what_is_outside_its_range, &monitor_needs_the_bytes_it_says,
          &monitor_returns_everything_when_create_fails, &monitor_hands_an_idle_object_out_again,
          &monitor_keeps_no_more_idle_objects_than_it_may,
          &monitor_takes_an_idle_objects_slot_when_no_other_is_free,
          &monitor_releases_with_the_last_reference,
          &monitor_keeps_parents_as_long_as_their_children,
          &monitor_lets_go_of_the_parent_when_it_refuses, &monitor_hands_a_resource_over,
          &monitor_releases_queued_resources_in_order,
          &monitor_releases_at_once_when_the_queue_is_full,
          &monitor_cleans_up_when_a_batch_waits_or_the_delay_is_over,
          &monitor_poll_counts_the_delay_anew_for_what_comes_later,
          BY_THE_CLOCK &monitor_releases_at_once_where_nobody_is_at_it,
          &monitor_lets_a_destructor_release, &monitor_walks_in_steps, &monitor_tells_of_refusals)
