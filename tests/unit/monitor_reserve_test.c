/* SPDX-License-Identifier: MIT
 *
 * Reservations and guarantees of resources (row C5): what was reserved can be acquired whatever
 * others do, until its time is over; what is guaranteed is nobody else's.
 */
#include "monitor/monitor_internal.h"
#include "tap.h"

#define N_SLOTS 12u
#define N_NODES 5u
#define RAM EA_MONITOR_BYTES(N_SLOTS, N_TYPES, N_NODES, 1, 0, 2)

enum { PLAIN, MADE, N_TYPES };

static ea_account_t nodes[N_NODES];
static ea_accounts_t book;
static ea_account_t *web, *updater;
static ea_monitor_t monitor;
static ea_status_t create_says;
static unsigned n_made, n_ended;

static ea_status_t make_object(void *context, const ea_resource_request_t *request,
                               uintptr_t *object)
{
    (void)context, (void)request;
    if (create_says == EA_OK) *object = ++n_made;
    return create_says;
}

static void end_object(void *context, uintptr_t object)
{
    (void)context, (void)object;
    n_ended++;
}

static const ea_resource_type_t types[N_TYPES] = {
    {.book = &book, .destroy = end_object},
    {.book = &book, .create = make_object, .destroy = end_object, .max_idle = 2},
};

static bool start(size_t max)
{
    const ea_account_limits_t all = {.max = max};
    const ea_monitor_options_t options = {.types = types, .n_types = N_TYPES, .n_slots = N_SLOTS};
    create_says = EA_OK;
    n_made = n_ended = 0;
    if (ea_accounts_init(&book, nodes, N_NODES, &all) != EA_OK) return false;
    web = ea_account_create(&book, nodes, &(ea_account_options_t){.batch = 3});
    updater = ea_account_create(&book, nodes, NULL);
    return ea_monitor_init(&monitor, tap_ram(), RAM, &options) == EA_OK && updater != NULL;
}

static void expect_sound(void)
{
    ea_audit_report_t report;
    EXPECT_EQ(ea_monitor_audit(&monitor, EA_AUDIT_ALONE, SIZE_MAX, &report), EA_OK);
    EXPECT_EQ(report.n_found, 0);
    EXPECT_EQ(ea_accounts_check(&book, NULL), EA_OK);
}

static size_t used(void)
{
    ea_account_stats_t stats;
    ea_account_stats(nodes, &stats);
    return stats.used;
}

/* As many as there are. */
static unsigned take_all(ea_account_t *account, uint8_t type, ea_resource_t *held)
{
    unsigned n = 0;
    const ea_resource_request_t request = {.account = account, .type = type};
    while (n < N_SLOTS && ea_monitor_acquire(&monitor, &request, &held[n]) == EA_OK) n++;
    return n;
}

static void release_all(const ea_resource_t *held, unsigned n)
{
    for (unsigned i = 0; i < n; i++) EXPECT_EQ(ea_monitor_release(&monitor, held[i]), EA_OK);
}

TEST(reserved_units_are_acquired_while_others_are_refused, RAM)
{
    ea_resource_t held[N_SLOTS], mine[3], more;
    ea_reservation_t r;
    REQUIRE(start(10));
    REQUIRE(ea_account_reserve(updater, 4, UINT64_MAX, &r) == EA_OK);
    unsigned n = take_all(web, PLAIN, held);
    EXPECT_EQ(n, 6);
    for (unsigned i = 0; i < 3; i++) {
        const ea_resource_request_t request = {
            .account = updater, .units = i == 2 ? 2 : 1, .reservation = &r};
        REQUIRE(ea_monitor_acquire(&monitor, &request, &mine[i]) == EA_OK);
        expect_sound();
    }
    const ea_resource_request_t request = {.account = updater, .reservation = &r};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &more), EA_ERR_NOT_FOUND); /* used up */
    release_all(mine, 3);
    release_all(held, n);
    EXPECT_EQ(used(), 0);
    expect_sound();
}

TEST(reservation_serves_its_own_account_and_no_more_than_it_has, RAM)
{
    ea_resource_t more;
    ea_reservation_t r;
    REQUIRE(start(10));
    REQUIRE(ea_account_reserve(updater, 2, UINT64_MAX, &r) == EA_OK);
    ea_resource_request_t request = {.account = web, .reservation = &r};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &more), EA_ERR_INVALID);
    request.account = updater;
    request.units = 3;
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &more), EA_ERR_LIMIT);
    EXPECT_EQ(used(), 2);
    EXPECT_EQ(ea_reservation_cancel(&r), EA_OK);
    expect_sound();
}

TEST(reservation_that_is_over_serves_nobody, RAM)
{
    ea_resource_t more;
    ea_reservation_t r;
    REQUIRE(start(10));
    REQUIRE(ea_account_reserve(updater, 2, 0, &r) == EA_OK);
    const ea_resource_request_t request = {.account = updater, .reservation = &r};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &more), EA_ERR_TIMEOUT);
    EXPECT_EQ(used(), 0);
    ea_resource_stats_t stats;
    EXPECT_EQ(ea_monitor_type_stats(&monitor, PLAIN, &stats), EA_OK);
    EXPECT_EQ(stats.n_failures[EA_REASON_TIMEOUT], 1);
    REQUIRE(ea_account_reserve(updater, 2, 0, &r) == EA_OK);
    EXPECT_EQ(ea_accounts_expire(&book, 1, 5), 1);
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &more), EA_ERR_TIMEOUT);
    expect_sound();
}

/* Of all slots two are held. */
TEST(held_slots_are_nobody_elses, RAM)
{
    ea_resource_t held[N_SLOTS], slots[2], mine[2], more;
    ea_reservation_t r;
    REQUIRE(start(100));
    REQUIRE(ea_account_reserve(updater, 2, UINT64_MAX, &r) == EA_OK);
    EXPECT_EQ(ea_monitor_hold_slots(&monitor, 2, UINT64_MAX, slots), EA_OK);
    expect_sound();
    unsigned n = take_all(web, PLAIN, held);
    EXPECT_EQ(n, N_SLOTS - 2);
    EXPECT_EQ(ea_monitor_expire_slots(&monitor, UINT64_MAX - 1u, N_SLOTS), 0); /* for ever */
    for (unsigned i = 0; i < 2; i++) {
        const ea_resource_request_t request = {
            .account = updater, .reservation = &r, .slot = slots[i]};
        EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &mine[i]), EA_OK);
        expect_sound();
    }
    const ea_resource_request_t again = {.account = updater, .slot = slots[0]};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &again, &more), EA_ERR_NO_MEMORY);
    EXPECT_EQ(ea_monitor_drop_slot(&monitor, slots[0]), EA_ERR_NOT_FOUND);
    release_all(mine, 2);
    EXPECT_EQ(ea_monitor_acquire(&monitor, &again, &more), EA_OK); /* any will do */
    release_all(&more, 1);
    release_all(held, n);
    expect_sound();
}

TEST(slots_are_held_all_or_none, RAM)
{
    ea_resource_t held[N_SLOTS], slots[N_SLOTS + 1];
    REQUIRE(start(100));
    EXPECT_EQ(ea_monitor_hold_slots(&monitor, N_SLOTS + 1, UINT64_MAX, slots), EA_ERR_NO_MEMORY);
    unsigned n = take_all(web, PLAIN, held);
    EXPECT_EQ(n, N_SLOTS);
    release_all(held, n);
    EXPECT_EQ(ea_monitor_hold_slots(&monitor, N_SLOTS, UINT64_MAX, slots), EA_OK);
    for (unsigned i = 0; i < N_SLOTS; i++) {
        EXPECT_EQ(ea_monitor_drop_slot(&monitor, slots[i]), EA_OK);
    }
    EXPECT_EQ(ea_monitor_drop_slot(&monitor, slots[0]), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_monitor_drop_slot(&monitor, EA_RESOURCE_NONE), EA_ERR_NOT_FOUND);
    EXPECT_EQ(take_all(web, PLAIN, held), N_SLOTS);
    release_all(held, N_SLOTS);
    /* An idle object's slot is one that can be held. */
    EXPECT_EQ(take_all(web, MADE, held), N_SLOTS);
    release_all(held, N_SLOTS);
    EXPECT_EQ(ea_monitor_hold_slots(&monitor, N_SLOTS, UINT64_MAX, slots), EA_OK);
    EXPECT_EQ(n_ended, 3 * N_SLOTS);
    expect_sound();
}

TEST(held_slots_expire_in_bounded_steps, RAM)
{
    ea_resource_t slots[6];
    REQUIRE(start(100));
    EXPECT_EQ(ea_monitor_hold_slots(&monitor, 4, (uint64_t)5 << 42, slots), EA_OK);
    EXPECT_EQ(ea_monitor_hold_slots(&monitor, 2, 9999, &slots[4]), EA_OK);
    EXPECT_EQ(ea_monitor_expire_slots(&monitor, 9999, N_SLOTS), 0);
    EXPECT_EQ(ea_monitor_expire_slots(&monitor, 9999 + 1024, 1), 0);
    EXPECT_EQ(ea_monitor_expire_slots(&monitor, 9999 + 1024, N_SLOTS - 1), 2);
    EXPECT_EQ(ea_monitor_expire_slots(&monitor, (uint64_t)5 << 42, 100 * N_SLOTS), 0);
    EXPECT_EQ(ea_monitor_expire_slots(&monitor, ((uint64_t)5 << 42) + 1024, N_SLOTS), 4);
    for (unsigned i = 0; i < 6; i++) {
        EXPECT_EQ(ea_monitor_drop_slot(&monitor, slots[i]), EA_ERR_NOT_FOUND);
    }
    expect_sound();
}

TEST(refused_request_leaves_reservation_and_slot_as_they_were, RAM)
{
    ea_resource_t slot, made;
    ea_reservation_t r;
    REQUIRE(start(1));
    REQUIRE(ea_account_reserve(updater, 1, UINT64_MAX, &r) == EA_OK);
    REQUIRE(ea_monitor_hold_slots(&monitor, 1, 5000, &slot) == EA_OK);
    const ea_resource_request_t request = {
        .account = updater, .type = MADE, .reservation = &r, .slot = slot};
    create_says = EA_ERR_TIMEOUT;
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &made), EA_ERR_TIMEOUT);
    ea_account_stats_t stats;
    ea_account_stats(updater, &stats);
    EXPECT_EQ(stats.reserved, 1);
    expect_sound();
    ea_resource_request_t greedy = request;
    greedy.units = 2;
    EXPECT_EQ(ea_monitor_acquire(&monitor, &greedy, &made), EA_ERR_LIMIT);
    greedy.reservation = NULL;
    EXPECT_EQ(ea_monitor_acquire(&monitor, &greedy, &made), EA_ERR_LIMIT);
    EXPECT_EQ(ea_monitor_expire_slots(&monitor, 5000, N_SLOTS), 0); /* the same time */
    create_says = EA_OK;
    REQUIRE(ea_monitor_acquire(&monitor, &request, &made) == EA_OK);
    EXPECT_EQ(made.eai_slot & 0xFFFFFFu, slot.eai_slot);
    release_all(&made, 1);
    expect_sound();
}

static ea_reservation_t *to_cancel;
static ea_status_t cancel_meanwhile(void *context, const ea_resource_request_t *request,
                                    uintptr_t *object)
{
    (void)context, (void)request, (void)object;
    EXPECT_EQ(ea_reservation_cancel(to_cancel), EA_OK);
    return EA_ERR_BUSY;
}

TEST(units_of_a_reservation_that_ends_meanwhile_are_returned, RAM)
{
    static const ea_resource_type_t hasty[] = {{.book = &book, .create = cancel_meanwhile}};
    const ea_monitor_options_t options = {.types = hasty, .n_types = 1, .n_slots = N_SLOTS};
    ea_resource_t more;
    ea_reservation_t r;
    REQUIRE(start(5));
    REQUIRE(ea_monitor_init(&monitor, tap_ram(), RAM, &options) == EA_OK);
    REQUIRE(ea_account_reserve(updater, 5, UINT64_MAX, &r) == EA_OK);
    to_cancel = &r;
    const ea_resource_request_t request = {.account = updater, .units = 2, .reservation = &r};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &more), EA_ERR_BUSY);
    EXPECT_EQ(used(), 0);
    expect_sound();
}

/* Each field of a held slot's record, and the word. */
TEST(audit_finds_a_damaged_held_slot, RAM)
{
    for (size_t bit = 0; bit < sizeof(slot_t) * 8; bit++) {
        ea_resource_t held;
        ea_audit_report_t report;
        REQUIRE(start(10));
        REQUIRE(ea_monitor_hold_slots(&monitor, 1, 777777, &held) == EA_OK);
        if (bit / 8 >= offsetof(slot_t, eai_parent) + sizeof(uint32_t)) continue;
        ((unsigned char *)slot_with(&monitor, held))[bit / 8] ^= (unsigned char)(1u << bit % 8);
        EXPECT_EQ(ea_monitor_audit(&monitor, EA_AUDIT_REPAIR, SIZE_MAX, &report), EA_OK);
        EXPECT_EQ(report.n_found, 1);
        EXPECT_EQ(report.n_repaired, 1);
        EXPECT_EQ(ea_monitor_drop_slot(&monitor, held), EA_ERR_NOT_FOUND);
        expect_sound();
    }
}

/* A free slot that seems held, whatever it was before. */
TEST(audit_finds_a_slot_that_seems_held, RAM)
{
    for (unsigned before = 0; before < 3; before++) {
        for (uint32_t i = 0; i < N_SLOTS; i++) {
            ea_resource_t held[N_SLOTS];
            ea_audit_report_t report;
            REQUIRE(start(100));
            if (before == 1) {
                release_all(held, take_all(web, PLAIN, held));
            } else if (before == 2) {
                REQUIRE(ea_monitor_hold_slots(&monitor, N_SLOTS, 0, held) == EA_OK);
                EXPECT_EQ(ea_monitor_expire_slots(&monitor, 2000, N_SLOTS), N_SLOTS);
            }
            slot_t *slot = &monitor.eai_slots[i];
            slot->eai_state = with_state(slot->eai_state, SLOT_HELD);
            EXPECT_EQ(ea_monitor_audit(&monitor, EA_AUDIT_REPAIR, SIZE_MAX, &report), EA_OK);
            EXPECT_EQ(report.by_kind[EA_AUDIT_SEAL], 1);
            expect_sound();
        }
    }
}

/* Whatever others take, and in whatever order they return it. */
TEST(guarantee_is_there_at_any_moment, RAM)
{
    ea_resource_t held[N_SLOTS], sure[3];
    unsigned n = 0, n_refused = 0;
    uint32_t random = 7;
    REQUIRE(start(10));
    const ea_account_options_t with_min = {.limits = {.min = 3}};
    ea_account_t *log = ea_account_create(&book, nodes, &with_min);
    REQUIRE(log != NULL);
    for (unsigned i = 0; i < 3000; i++) {
        random = random * 1664525u + 1013904223u;
        ea_account_t *account = (random >> 20 & 1u) != 0 ? web : updater;
        const ea_resource_request_t request = {.account = account};
        if ((random >> 16) % 3 != 0) {
            ea_status_t status =
                n == N_SLOTS ? EA_ERR_LIMIT : ea_monitor_acquire(&monitor, &request, &held[n]);
            n += status == EA_OK;
            n_refused += status != EA_OK;
        } else if (n > 0) {
            unsigned k = (random >> 10) % n;
            release_all(&held[k], 1);
            held[k] = held[--n];
        }
        EXPECT(n <= 7);
        const ea_resource_request_t of_log = {.account = log};
        for (unsigned k = 0; k < 3; k++) {
            REQUIRE(ea_monitor_acquire(&monitor, &of_log, &sure[k]) == EA_OK);
        }
        release_all(sure, 3);
    }
    EXPECT(n_refused > 100);
    release_all(held, n);
    expect_sound();
}

TEST_MAIN(&reserved_units_are_acquired_while_others_are_refused,
          &reservation_serves_its_own_account_and_no_more_than_it_has,
          &reservation_that_is_over_serves_nobody, &held_slots_are_nobody_elses,
          &slots_are_held_all_or_none, &held_slots_expire_in_bounded_steps,
          &refused_request_leaves_reservation_and_slot_as_they_were,
          &units_of_a_reservation_that_ends_meanwhile_are_returned,
          &audit_finds_a_damaged_held_slot, &audit_finds_a_slot_that_seems_held,
          &guarantee_is_there_at_any_moment)
