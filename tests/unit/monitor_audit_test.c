/* SPDX-License-Identifier: MIT
 *
 * The audit (row C2): every inconsistency that is planted, in each field of a record, each state of
 * a slot, every counter, account and hint, is found and repaired by one audit; a second one finds
 * nothing, and everything can be acquired and released as before.
 */
#include <string.h>

#include "monitor/monitor_internal.h"
#include "tap.h"

#define N_SLOTS 40u
#define N_NODES 4u
#define N_QUEUE 8u
#define RAM EA_MONITOR_BYTES(N_SLOTS, 3, N_NODES, 2, N_QUEUE, 3)

static ea_account_t nodes[N_NODES];
static ea_accounts_t book;
static ea_account_t *top, *leaf, *other;
static ea_monitor_t monitor;
static unsigned n_ended;

static void end_object(void *context, uintptr_t object)
{
    (void)context;
    EXPECT(object >= 1000 && object < 2000); /* never a damaged one */
    n_ended++;
}

static const ea_resource_type_t types[3] = {
    {.book = &book, .destroy = end_object, .is_idempotent = true},
    {.book = &book, .destroy = end_object, .max_idle = 3},
    {.book = &book, .destroy = end_object, .strategy = EA_RELEASE_QUEUED},
};

static ea_resource_t acquire(uint8_t type, ea_account_t *account, uintptr_t object)
{
    ea_resource_t resource;
    const ea_resource_request_t request = {
        .account = account, .object = object, .type = type, .units = 1 + object % 3};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &resource), EA_OK);
    return resource;
}

/* Live, shared, idle, queued and free slots of three types and two accounts. */
static ea_resource_t live, shared, queued;
static bool start(void)
{
    const ea_account_limits_t all = {.max = 200};
    const ea_monitor_options_t options = {
        .types = types, .n_types = 3, .n_slots = N_SLOTS, .n_stripes = 2, .n_queue = N_QUEUE};
    if (ea_accounts_init(&book, nodes, N_NODES, &all) != EA_OK) return false;
    top = ea_account_create(&book, nodes, &(ea_account_options_t){.limits = {.min = 10}});
    leaf = ea_account_create(&book, top, &(ea_account_options_t){.batch = 4});
    other = ea_account_create(&book, nodes, NULL);
    if (ea_monitor_init(&monitor, tap_ram(), RAM, &options) != EA_OK || other == NULL) return false;
    n_ended = 0;
    live = acquire(0, leaf, 1000);
    shared = acquire(0, other, 1001);
    EXPECT_EQ(ea_monitor_share(&monitor, shared), EA_OK);
    queued = acquire(2, other, 1002);
    ea_resource_t idle = acquire(1, leaf, 1003);
    (void)acquire(1, leaf, 1004);
    EXPECT_EQ(ea_monitor_release(&monitor, queued), EA_OK);
    EXPECT_EQ(ea_monitor_release(&monitor, idle), EA_OK);
    return n_ended == 0;
}

static ea_audit_report_t audit(uint32_t flags)
{
    ea_audit_report_t report;
    EXPECT_EQ(ea_monitor_audit(&monitor, flags, SIZE_MAX, &report), EA_OK);
    return report;
}

/* What was planted is found without repair, repaired, and gone. In all, n_live are live then. */
static ea_audit_report_t expect_mended(const char *what, size_t n_live)
{
    ea_audit_report_t found = audit(EA_AUDIT_ALONE);
    ea_audit_report_t mended = audit(EA_AUDIT_ALONE | EA_AUDIT_REPAIR);
    ea_audit_report_t rest = audit(EA_AUDIT_ALONE);
    bool is_good = found.n_found > 0 && found.n_repaired == 0 && mended.n_found > 0 &&
                   mended.n_repaired == mended.n_found && rest.n_found == 0 && rest.is_exact &&
                   ea_accounts_check(&book, NULL) == EA_OK;
    if (!is_good) tap_fail(__FILE__, __LINE__, what, mended.n_repaired, mended.n_found);
    size_t n = 0;
    for (uint8_t i = 0; i < 3; i++) {
        ea_resource_stats_t stats;
        EXPECT_EQ(ea_monitor_type_stats(&monitor, i, &stats), EA_OK);
        n += stats.n_live;
    }
    if (n_live != SIZE_MAX) EXPECT_EQ(n, n_live);
    /* All slots but those can be had, and given back. */
    (void)ea_monitor_cleanup(&monitor, SIZE_MAX);
    (void)ea_monitor_trim(&monitor, SIZE_MAX);
    ea_resource_t held[N_SLOTS];
    unsigned n_held = 0;
    const ea_resource_request_t request = {.account = leaf, .object = 1500};
    while (n_held < N_SLOTS && ea_monitor_acquire(&monitor, &request, &held[n_held]) == EA_OK) {
        n_held++;
    }
    EXPECT(n_held >= N_SLOTS - 4);
    while (n_held > 0) EXPECT_EQ(ea_monitor_release(&monitor, held[--n_held]), EA_OK);
    if (audit(EA_AUDIT_ALONE).n_found != 0) tap_fail(__FILE__, __LINE__, what, 0, 0);
    return mended;
}

static slot_t *slot_of(ea_resource_t resource)
{
    return slot_with(&monitor, resource);
}

TEST(audit_finds_nothing_in_a_sound_monitor, RAM)
{
    REQUIRE(start());
    for (uint32_t flags = 0; flags < 4; flags++) {
        ea_audit_report_t report = audit(flags);
        EXPECT_EQ(report.n_found, 0);
        EXPECT_EQ(report.n_repaired, 0);
        EXPECT_EQ(report.n_in_flight, 0);
        EXPECT(report.is_exact);
        EXPECT_EQ(report.n_passes, 2);
    }
    EXPECT_EQ(ea_monitor_audit(&monitor, 0, 0, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_monitor_audit(&monitor, 0, SIZE_MAX, NULL), EA_OK);
}

/* What the other one's resources hold must not be taken from them. */
TEST(audit_leaves_the_accounts_of_a_book_that_two_monitors_charge, RAM)
{
    static _Alignas(64) unsigned char more[EA_MONITOR_BYTES(4, 1, N_NODES, 1, 0, 0)];
    static ea_monitor_t second;
    static const ea_resource_type_t of_second[1] = {{.book = &book}};
    const ea_monitor_options_t options = {.types = of_second, .n_types = 1, .n_slots = 4};
    ea_resource_t others;
    REQUIRE(start());
    const ea_resource_request_t request = {.account = leaf, .units = 5};
    EXPECT(audit(EA_AUDIT_REPAIR).is_exact);
    REQUIRE(ea_monitor_init(&second, more, sizeof more, &options) == EA_OK);
    REQUIRE(ea_monitor_acquire(&second, &request, &others) == EA_OK);
    size_t used = ea_account_committed(leaf);
    for (unsigned flags = 0; flags < 4; flags++) {
        ea_audit_report_t report = audit(flags);
        EXPECT_EQ(report.n_found, 0);
        EXPECT(!report.is_exact);
    }
    EXPECT_EQ(ea_account_committed(leaf), used);
    EXPECT_EQ(ea_monitor_release(&second, others), EA_OK);
}

TEST(audit_begins_anew_with_other_flags, RAM)
{
    REQUIRE(start());
    ea_audit_report_t report;
    EXPECT_EQ(ea_monitor_audit(&monitor, 0, N_SLOTS - 1, &report), EA_ERR_AGAIN);
    slot_t *slot = slot_of(live); /* which that one has passed */
    slot->eai_state = make_word(generation_of(slot->eai_state), 0, SLOT_RELEASING);
    EXPECT_EQ(audit(EA_AUDIT_ALONE).by_kind[EA_AUDIT_RELEASING], 1);
}

TEST(audit_gives_up_after_eight_passes_over_slots_that_change, RAM)
{
    REQUIRE(start());
    ea_audit_report_t report;
    unsigned n = 0;
    while (ea_monitor_audit(&monitor, 0, N_SLOTS / 2, &report) == EA_ERR_AGAIN && ++n < 100) {
        EXPECT_EQ(ea_monitor_release(&monitor, live), EA_OK);
        live = acquire(0, leaf, 1000);
    }
    EXPECT_EQ(report.n_passes, 8);
    EXPECT(!report.is_exact);
    EXPECT_EQ(report.n_found, 0);
    EXPECT(audit(0).is_exact);
}

TEST(audit_of_one_that_is_alone_takes_over_from_a_dead_one, RAM)
{
    REQUIRE(start());
    ea_audit_report_t report;
    monitor.eai_audit.is_busy = 1;
    EXPECT_EQ(ea_monitor_audit(&monitor, 0, SIZE_MAX, &report), EA_ERR_BUSY);
    EXPECT_EQ(audit(EA_AUDIT_ALONE).n_found, 0);
    EXPECT_EQ(audit(0).n_found, 0);
}

TEST(audit_goes_on_in_steps, RAM)
{
    REQUIRE(start());
    slot_of(live)->eai_units ^= 4u;
    ea_audit_report_t report;
    unsigned n = 1;
    while (ea_monitor_audit(&monitor, EA_AUDIT_ALONE | EA_AUDIT_REPAIR, 7, &report) ==
           EA_ERR_AGAIN) {
        n++;
    }
    EXPECT_EQ(n, (2 * N_SLOTS + 6) / 7);
    EXPECT_EQ(report.by_kind[EA_AUDIT_SEAL], 1);
    EXPECT_EQ(audit(EA_AUDIT_ALONE).n_found, 0);
}

/* Of a live, a queued and an idle slot. */
TEST(audit_finds_every_flipped_bit_of_a_record, RAM)
{
    for (unsigned which = 0; which < 3; which++) {
        for (size_t bit = 0; bit < sizeof(slot_t) * 8; bit++) {
            REQUIRE(start());
            slot_t *slot = slot_of(which == 0 ? live : queued);
            for (uint32_t i = 0; which == 2 && i < N_SLOTS; i++) {
                slot = &monitor.eai_slots[i];
                if (state_of(slot->eai_state) == SLOT_IDLE) break;
            }
            if (bit / 8 >= offsetof(slot_t, eai_parent) + sizeof slot->eai_parent) continue;
            ((unsigned char *)slot)[bit / 8] ^= (unsigned char)(1u << bit % 8);
            ea_audit_report_t report = expect_mended("bit", which == 2 ? 4 : 3);
            EXPECT_EQ(report.by_kind[EA_AUDIT_SEAL] + report.by_kind[EA_AUDIT_STATE], 1);
            if (which == 0) EXPECT_EQ(ea_monitor_release(&monitor, live), EA_ERR_DOUBLE_FREE);
        }
    }
}

/* Every slot's state is replaced by every other. */
TEST(audit_finds_every_wrong_state, RAM)
{
    static const word_t states[] = {SLOT_FREE,   SLOT_RESERVED, SLOT_LIVE, SLOT_RELEASING,
                                    SLOT_QUEUED, SLOT_CLEANING, SLOT_IDLE, 0};
    for (uint32_t i = 0; i < 8; i++) {
        for (size_t s = 0; s < sizeof states / sizeof *states; s++) {
            REQUIRE(start());
            slot_t *slot = &monitor.eai_slots[i < 4 ? i : 32 + i % 4];
            word_t word = slot->eai_state;
            if (state_of(word) == states[s]) continue;
            bool has_one = states[s] == SLOT_LIVE || states[s] == SLOT_CLEANING;
            slot->eai_state = make_word(generation_of(word), has_one, states[s]);
            /* An idle object that seems live was charged to somebody, so the sum is; and so on. */
            (void)expect_mended("state", SIZE_MAX);
        }
    }
}

TEST(audit_finds_words_that_no_step_makes, RAM)
{
    const word_t words[] = {
        make_word(0, 1, SLOT_LIVE),                      /* no generation */
        make_word(5, 0, SLOT_LIVE),                      /* nobody's */
        make_word(5, 1, SLOT_QUEUED),                    /* still somebody's */
        make_word(5, 1, SLOT_LIVE) ^ 1u << PARITY_SHIFT, /* a count that is damaged */
#if UINTPTR_MAX > 0xFFFFFFFFu
        make_word(5, INCARNATION_MAX + 1u, SLOT_CLEANING), /* no cleanup's */
#endif
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        REQUIRE(start());
        slot_of(live)->eai_state = words[i];
        ea_audit_report_t report = expect_mended("word", 3);
        EXPECT_EQ(report.by_kind[EA_AUDIT_STATE], 1);
    }
}

TEST(audit_finds_what_a_dead_context_left, RAM)
{
    static const word_t states[] = {SLOT_RESERVED, SLOT_RELEASING, SLOT_CLEANING};
    for (size_t s = 0; s < 3; s++) {
        REQUIRE(start());
        slot_t *slot = slot_of(live);
        word_t word = slot->eai_state;
        slot->eai_state = make_word(generation_of(word), states[s] == SLOT_CLEANING, states[s]);
        ea_audit_report_t report = expect_mended("left", 3);
        EXPECT_EQ(report.by_kind[s == 0 ? EA_AUDIT_RESERVED : EA_AUDIT_RELEASING], 1);
        EXPECT_EQ(report.by_kind[EA_AUDIT_COUNTER], 1);
        EXPECT_EQ(report.by_kind[EA_AUDIT_ACCOUNT], 1);
    }
}

/* Destroyed again only if that does no harm. */
TEST(audit_ends_what_a_dead_cleanup_had_begun_while_others_are_at_work, RAM)
{
    for (unsigned is_idempotent = 0; is_idempotent < 2; is_idempotent++) {
        REQUIRE(start());
        ea_resource_t it = is_idempotent ? live : acquire(2, leaf, 1234);
        slot_t *slot = slot_of(it);
        uint32_t incarnation = eai_cleaner_enter(&monitor);
        slot->eai_state = make_word(generation_of(slot->eai_state), incarnation, SLOT_CLEANING);
        EXPECT_EQ(ea_monitor_cleanup(&monitor, 10), 0); /* it is thought to be at it */
        EXPECT_EQ(audit(EA_AUDIT_REPAIR).n_found, 0);
        EXPECT_EQ(audit(EA_AUDIT_REPAIR).n_in_flight, 1);
        EXPECT(!audit(EA_AUDIT_REPAIR).is_exact); /* it may hold units of that book */
        ea_monitor_cleanup_died(&monitor);
        ea_audit_report_t report = audit(EA_AUDIT_REPAIR);
        EXPECT_EQ(report.by_kind[EA_AUDIT_RELEASING], 1);
        EXPECT_EQ(report.by_kind[EA_AUDIT_COUNTER], 1);
        EXPECT_EQ(report.by_kind[EA_AUDIT_ACCOUNT], 1);
        EXPECT_EQ(report.n_repaired, 3);
        EXPECT_EQ(n_ended, is_idempotent);
        EXPECT_EQ(audit(EA_AUDIT_ALONE).n_found, 0);
        EXPECT_EQ(ea_monitor_cleanup(&monitor, 10), 1); /* what was queued before */
    }
}

/* The number of a cleanup's incarnation fits a slot's word however many die. */
TEST(audit_knows_the_cleanup_that_is_at_it_after_many_that_died, RAM)
{
    REQUIRE(start());
    slot_t *slot = slot_of(live);
    word_t word = slot->eai_state;
    for (unsigned i = 0; i < 130; i++) {
        ea_monitor_cleanup_died(&monitor);
        uint32_t incarnation = eai_cleaner_enter(&monitor);
        REQUIRE(incarnation != 0);
        slot->eai_state = make_word(generation_of(word), incarnation, SLOT_CLEANING);
        EXPECT_EQ(audit(0).n_found, 0);
    }
    slot->eai_state = word;
    ea_monitor_cleanup_died(&monitor);
    EXPECT_EQ(audit(EA_AUDIT_ALONE).n_found, 0);
}

TEST(audit_lets_the_parent_of_what_was_left_go, RAM)
{
    REQUIRE(start());
    ea_resource_t child;
    const ea_resource_request_t request = {.account = leaf, .object = 1500, .parent = live};
    REQUIRE(ea_monitor_acquire(&monitor, &request, &child) == EA_OK);
    EXPECT_EQ(ea_monitor_release(&monitor, live), EA_OK);
    slot_t *slot = slot_of(child);
    slot->eai_state = make_word(generation_of(slot->eai_state), 0, SLOT_RELEASING);
    EXPECT_EQ(n_ended, 0);
    (void)audit(EA_AUDIT_ALONE | EA_AUDIT_REPAIR);
    EXPECT_EQ(n_ended, 2); /* the child, and with it the parent */
    EXPECT_EQ(ea_monitor_share(&monitor, live), EA_ERR_NOT_FOUND);
    EXPECT_EQ(audit(EA_AUDIT_ALONE).n_found, 0);
}

/* What no queue and no list of idle ones has room for. */
TEST(audit_ends_what_it_finds_no_place_for, RAM)
{
    REQUIRE(start());
    for (unsigned i = 1; i < N_QUEUE; i++) {
        EXPECT_EQ(ea_monitor_release(&monitor, acquire(2, leaf, 1010 + i)), EA_OK);
    }
    EXPECT_EQ(n_ended, 0);
    slot_t *slot = slot_of(live);
    slot->eai_state = make_word(generation_of(slot->eai_state), 0, SLOT_QUEUED);
    ea_audit_report_t report = expect_mended("queued", 3 + N_QUEUE - 1);
    EXPECT_EQ(report.by_kind[EA_AUDIT_QUEUED], 1);

    REQUIRE(start());
    ea_resource_t more[3];
    for (unsigned i = 0; i < 3; i++) more[i] = acquire(1, leaf, 1010 + i);
    for (unsigned i = 0; i < 3; i++) EXPECT_EQ(ea_monitor_release(&monitor, more[i]), EA_OK);
    slot = NULL;
    for (uint32_t i = 0; i < N_SLOTS; i++) { /* the one of type 1 that lives */
        word_t word = monitor.eai_slots[i].eai_state;
        if (state_of(word) == SLOT_LIVE && type_of(monitor.eai_slots[i].eai_whose) == 1)
            slot = &monitor.eai_slots[i];
    }
    REQUIRE(slot != NULL);
    slot->eai_state = make_word(generation_of(slot->eai_state), 0, SLOT_IDLE);
    n_ended = 0;
    (void)audit(EA_AUDIT_ALONE | EA_AUDIT_REPAIR);
    EXPECT_EQ(n_ended, 1);
    EXPECT_EQ(audit(EA_AUDIT_ALONE).n_found, 0);
}

TEST(audit_finds_damaged_counters, RAM)
{
    for (unsigned k = 0; k < 12; k++) {
        for (uint8_t type = 0; type < 3; type++) {
            REQUIRE(start());
            eai_tally_t *tally = tally_of(&monitor, k & 1u, type);
            eai_count_t *counter =
                k % 3 == 0 ? &tally->acquired : &tally->lived[k % 4 % EA_CFG_MONITOR_LIFETIMES];
            counter->n += k < 6 ? 1u : UINTPTR_MAX - 5u * k;
            ea_audit_report_t report = expect_mended("counter", 4);
            EXPECT_EQ(report.by_kind[EA_AUDIT_COUNTER], 1);
            EXPECT_EQ(report.n_found, 1);
        }
    }
}

TEST(audit_finds_wrong_accounts, RAM)
{
    for (unsigned k = 0; k < 4; k++) {
        for (unsigned i = 0; i < N_NODES; i++) {
            REQUIRE(start());
            if (k == 0 && ea_account_charge(&nodes[i], 5, NULL) != EA_OK) continue;
            if (k == 1 && ea_account_return(&nodes[i], 1) != EA_OK) continue;
            if (k == 2) nodes[i].eai_avail += 3;
            if (k == 3 && nodes[i].eai_avail == 0) continue;
            if (k == 3) nodes[i].eai_avail -= 1;
            ea_audit_report_t report = expect_mended("account", 4);
            EXPECT(report.by_kind[EA_AUDIT_ACCOUNT] >= 1);
            EXPECT_EQ(report.by_kind[EA_AUDIT_ACCOUNT], report.n_found);
        }
    }
}

TEST(audit_knows_reservations, RAM)
{
    ea_reservation_t reservation;
    REQUIRE(start());
    REQUIRE(ea_account_reserve(leaf, 7, 1000, &reservation) == EA_OK);
    EXPECT_EQ(audit(EA_AUDIT_ALONE).n_found, 0);
    EXPECT_EQ(ea_reservation_cancel(&reservation), EA_OK);
    EXPECT_EQ(audit(EA_AUDIT_ALONE).n_found, 0);
}

TEST(audit_finds_slots_and_idle_objects_that_are_not_known, RAM)
{
    REQUIRE(start());
    for (unsigned i = 0; i < 2; i++) monitor.eai_bits[i] = 0;
    ea_audit_report_t report = expect_mended("bits", 4);
    EXPECT_EQ(report.by_kind[EA_AUDIT_MISSING], N_SLOTS - 5);

    REQUIRE(start());
    for (unsigned i = 0; i < 3; i++) monitor.eai_kinds[1].idle[i] = 0;
    report = expect_mended("idle", 4);
    EXPECT_EQ(report.by_kind[EA_AUDIT_IDLE], 1);
}

TEST(audit_builds_a_damaged_queue_anew, RAM)
{
    for (unsigned k = 0; k < 6; k++) {
        REQUIRE(start());
        if (k == 0) monitor.eai_cells[0] = 0;
        if (k == 1) monitor.eai_cells[0] = UINTPTR_MAX;
        if (k == 2) monitor.eai_cells[3] = 2;
        if (k == 3) monitor.eai_tail += 100;
        if (k == 4) monitor.eai_head += 5;
        if (k == 5) monitor.eai_tail--;
        ea_audit_report_t report = expect_mended("queue", 4);
        EXPECT_EQ(report.by_kind[EA_AUDIT_QUEUE], 1);
        EXPECT_EQ(report.by_kind[EA_AUDIT_QUEUED], 1);
        EXPECT_EQ(n_ended >= 1, 1);
    }
}

TEST(audit_tells_a_full_queue_from_one_that_is_too_full, RAM)
{
    REQUIRE(start());
    for (unsigned i = 1; i < N_QUEUE; i++) {
        EXPECT_EQ(ea_monitor_release(&monitor, acquire(2, leaf, 1010 + i)), EA_OK);
    }
    EXPECT(eai_queue_is_sound(&monitor));
    monitor.eai_tail += N_QUEUE;
    EXPECT(!eai_queue_is_sound(&monitor));
}

/* An entry that leads far beyond the slots. */
TEST(cleanup_passes_over_an_entry_that_leads_nowhere, RAM)
{
    REQUIRE(start());
    monitor.eai_cells[0] = (word_t)0xFFFFFF << 1;
    EXPECT(!eai_queue_is_sound(&monitor));
    EXPECT_EQ(ea_monitor_cleanup(&monitor, 1), 0);
    EXPECT_EQ(n_ended, 0);
}

/* One that puts and stops half-way: the entry is there, tail is behind. */
TEST(release_helps_another_that_stopped_half_way, RAM)
{
    REQUIRE(start());
    monitor.eai_tail--;
    EXPECT_EQ(ea_monitor_release(&monitor, acquire(2, leaf, 1010)), EA_OK);
    EXPECT_EQ(n_ended, 0);
    EXPECT_EQ(ea_monitor_cleanup(&monitor, 10), 2);
    EXPECT_EQ(audit(EA_AUDIT_ALONE).n_found, 0);
}

/* A cleanup that died when it had emptied the cell, and not yet said so. */
TEST(cleanup_goes_on_after_one_that_died_half_way, RAM)
{
    REQUIRE(start());
    EXPECT_EQ(ea_monitor_cleanup(&monitor, 1), 1);
    monitor.eai_head--;
    EXPECT(eai_cleaner_enter(&monitor) != 0);
    ea_monitor_cleanup_died(&monitor);
    EXPECT_EQ(ea_monitor_release(&monitor, acquire(2, leaf, 1010)), EA_OK);
    EXPECT_EQ(ea_monitor_cleanup(&monitor, 10), 1);
    EXPECT_EQ(audit(EA_AUDIT_ALONE).n_found, 0);
}

TEST(release_wakes_the_cleanup_when_a_batch_is_complete, RAM)
{
    for (unsigned batch = 2; batch < 4; batch++) {
        REQUIRE(start()); /* one is queued */
        ea_waiter_t waiter;
        monitor.eai_batch = batch;
        ea_waiter_init(&waiter, 0);
        ea_waitq_enter(&monitor.eai_cleanup_waits, &waiter);
        EXPECT_EQ(ea_monitor_release(&monitor, acquire(2, leaf, 1010)), EA_OK);
        EXPECT_EQ(ea_waitq_sleep(&waiter, 0), batch == 2 ? EA_OK : EA_ERR_TIMEOUT);
    }
}

/* --- lifetimes and references ----------------------------------------------------------------- */

TEST(release_counts_a_lifetime_in_its_class, RAM)
{
    for (unsigned k = 6; k < 24; k++) { /* 2^k units and a few, if this is slow */
        REQUIRE(start());
        slot_t *slot = slot_of(live);
        record_t record;
        REQUIRE(slot != NULL);
        (void)read_record(slot, &record);
        uint64_t since = (ea_port_time_coarse_us() >> 10) - ((uint64_t)1 << k);
        record.since = (uint32_t)since;
        record.whose = (record.whose & ~0xFFu) | (uint32_t)(since >> 32 & 0xFFu);
        slot->eai_since = record.since;
        slot->eai_whose = record.whose;
        write_seal(&monitor, slot, slot->eai_state, &record);
        EXPECT_EQ(ea_monitor_release(&monitor, live), EA_OK);
        ea_resource_stats_t stats;
        EXPECT_EQ(ea_monitor_type_stats(&monitor, 0, &stats), EA_OK);
        unsigned last = EA_CFG_MONITOR_LIFETIMES - 1u;
        EXPECT_EQ(stats.lifetimes[k + 1 < last ? k + 1 : last], 1);
        EXPECT_EQ(stats.n_released, 1);
    }
}

TEST(share_refuses_one_reference_too_many, RAM)
{
    REQUIRE(start());
    slot_t *slot = slot_of(live);
    word_t word = slot->eai_state;
    slot->eai_state = make_word(generation_of(word), REFERENCES_MAX - 1u, SLOT_LIVE);
    EXPECT_EQ(ea_monitor_share(&monitor, live), EA_OK);
    EXPECT_EQ(ea_monitor_share(&monitor, live), EA_ERR_LIMIT);
    EXPECT_EQ(ea_monitor_transfer(&monitor, live, other), EA_ERR_BUSY);
    EXPECT_EQ(references_of(slot->eai_state), REFERENCES_MAX);
    slot->eai_state = word;
    EXPECT_EQ(ea_monitor_release(&monitor, live), EA_OK);
    EXPECT_EQ(audit(EA_AUDIT_ALONE).n_found, 0);
}

/* Hints may lead anywhere. */
TEST(monitor_survives_damaged_hints, RAM)
{
    REQUIRE(start());
    for (unsigned i = 0; i < 2; i++) {
        monitor.eai_stripes[i].eai_hint = 0xFFFFFFF0u;
        monitor.eai_stripes[i].eai_word = 77777;
        monitor.eai_bits[i] = UINT32_MAX;
    }
    for (unsigned i = 0; i < 3; i++) monitor.eai_kinds[1].idle[i] = 9999;
    (void)ea_monitor_trim(&monitor, 1);
    ea_resource_t a = acquire(0, leaf, 1100), b = acquire(1, other, 1101);
    EXPECT_EQ(ea_monitor_release(&monitor, a), EA_OK);
    EXPECT_EQ(ea_monitor_release(&monitor, b), EA_OK);
    (void)audit(EA_AUDIT_ALONE | EA_AUDIT_REPAIR);
    EXPECT_EQ(audit(EA_AUDIT_ALONE).n_found, 0);

    /* Bits of slots that there are not. */
    REQUIRE(start());
    ea_resource_t held[N_SLOTS], more;
    for (unsigned i = 0; i < 2; i++) monitor.eai_bits[i] = UINT32_MAX;
    for (unsigned i = 0; i < N_SLOTS - 4; i++) held[i] = acquire(0, other, 1000);
    const ea_resource_request_t request = {.account = other, .object = 1000};
    EXPECT_EQ(ea_monitor_acquire(&monitor, &request, &more), EA_ERR_NO_MEMORY);
    for (unsigned i = 0; i < N_SLOTS - 4; i++)
        EXPECT_EQ(ea_monitor_release(&monitor, held[i]), EA_OK);

    /* An idle object of another type. */
    REQUIRE(start());
    slot_t *slot = slot_of(live);
    slot->eai_state = make_word(generation_of(slot->eai_state), 0, SLOT_IDLE);
    for (unsigned i = 0; i < 3; i++) monitor.eai_kinds[1].idle[i] = 0;
    EXPECT(eai_idle_offer(&monitor, 1, index_of(&monitor, slot), slot->eai_state));
    EXPECT(eai_idle_take(&monitor, 1) == NULL);
}

TEST(release_refuses_a_damaged_record, RAM)
{
    REQUIRE(start());
    slot_of(live)->eai_object ^= 1u;
    ea_resource_info_t info;
    EXPECT_EQ(ea_monitor_info(&monitor, live, &info), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_monitor_transfer(&monitor, live, other), EA_ERR_BUSY);
    if (EA_CFG_CHECK_LEVEL >= 1) {
        static ea_event_t ring[4];
        static ea_events_t events;
        REQUIRE(ea_events_init(&events, ring, 4) == EA_OK);
        monitor.eai_events = &events;
        events.eai_kinds = EA_EVENTS_ALL;
        EXPECT_EQ(ea_monitor_release(&monitor, live), EA_ERR_CORRUPT);
        EXPECT_EQ(ring[0].kind, EA_EVENT_CORRUPTION);
        EXPECT_EQ(ring[0].level, EA_AUDIT_SEAL);
        EXPECT(ring[0].where == slot_of(live));
        monitor.eai_events = NULL;
        slot_of(queued)->eai_caller ^= 1u;
        EXPECT_EQ(ea_monitor_cleanup(&monitor, 10), 0);
        EXPECT_EQ(n_ended, 0);
    }
    (void)audit(EA_AUDIT_ALONE | EA_AUDIT_REPAIR);
    EXPECT_EQ(audit(EA_AUDIT_ALONE).n_found, 0);
}

TEST(audit_tells_what_it_found, RAM)
{
    static ea_event_t ring[8];
    static ea_events_t events;
    REQUIRE(start());
    REQUIRE(ea_events_init(&events, ring, 8) == EA_OK);
    monitor.eai_events = &events;
    events.eai_kinds = EA_EVENTS_ALL;
    slot_t *slot = slot_of(live);
    slot->eai_caller ^= 8u;
    (void)audit(EA_AUDIT_ALONE | EA_AUDIT_REPAIR);
    EXPECT_EQ(ring[0].kind, EA_EVENT_CORRUPTION);
    EXPECT_EQ(ring[0].level, EA_AUDIT_SEAL);
    EXPECT(ring[0].where == slot);
    EXPECT_EQ(ring[0].size_bytes, 1000);
    EXPECT_EQ(ring[0].owner, ea_account_id(leaf));
    EXPECT_EQ(ring[1].level, EA_AUDIT_COUNTER);
    EXPECT_EQ(ring[2].level, EA_AUDIT_ACCOUNT);
}

TEST_MAIN(&audit_finds_nothing_in_a_sound_monitor,
          &audit_leaves_the_accounts_of_a_book_that_two_monitors_charge,
          &audit_begins_anew_with_other_flags,
          &audit_gives_up_after_eight_passes_over_slots_that_change,
          &audit_of_one_that_is_alone_takes_over_from_a_dead_one, &audit_goes_on_in_steps,
          &audit_finds_every_flipped_bit_of_a_record, &audit_finds_every_wrong_state,
          &audit_finds_words_that_no_step_makes, &audit_finds_what_a_dead_context_left,
          &audit_ends_what_a_dead_cleanup_had_begun_while_others_are_at_work,
          &audit_knows_the_cleanup_that_is_at_it_after_many_that_died,
          &audit_lets_the_parent_of_what_was_left_go, &audit_ends_what_it_finds_no_place_for,
          &audit_finds_damaged_counters, &audit_finds_wrong_accounts, &audit_knows_reservations,
          &audit_finds_slots_and_idle_objects_that_are_not_known,
          &audit_builds_a_damaged_queue_anew, &audit_tells_a_full_queue_from_one_that_is_too_full,
          &cleanup_passes_over_an_entry_that_leads_nowhere,
          &release_helps_another_that_stopped_half_way,
          &cleanup_goes_on_after_one_that_died_half_way,
          &release_wakes_the_cleanup_when_a_batch_is_complete,
          &release_counts_a_lifetime_in_its_class, &share_refuses_one_reference_too_many,
          &monitor_survives_damaged_hints, &release_refuses_a_damaged_record,
          &audit_tells_what_it_found)
