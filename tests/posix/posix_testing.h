/* SPDX-License-Identifier: MIT
 *
 * What the tests of the POSIX binding share: a monitor with all six kinds, an owner of each.
 */
#ifndef POSIX_TESTING_H
#define POSIX_TESTING_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ealloc_posix.h"
#include "tap.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#else
#define HAS_SANITIZER 0
#endif

#define N_SLOTS 256u
#define N_NUMBERS 256u
#define N_ENTRIES 64u
#define N_SUSPECTS 32u
#define PAGE 4096u

static ea_account_t nodes[EA_POSIX_N_KINDS][2];
static ea_accounts_t books[EA_POSIX_N_KINDS];
static ea_account_t *owners[EA_POSIX_N_KINDS];
static ea_posix_t posix;
static const ea_resource_type_t types[] = {
    {.name = "other", .book = &books[0]},
    EA_POSIX_TYPES(&posix, &books[0], &books[1], &books[2], &books[3], &books[4], &books[5])};
static _Alignas(64) unsigned char memory[EA_MONITOR_BYTES(N_SLOTS, 7, 12, 2, 0, 0)];
static ea_monitor_t monitor;
static ea_posix_number_t numbers[N_NUMBERS];
static ea_posix_entry_t entries[N_ENTRIES];
static ea_posix_suspect_t suspects[N_SUSPECTS];

EA_EVENTS_DEFINE_STATIC(events, 64);
static ea_listener_t listener;
static unsigned n_heard[EA_POSIX_N_FINDINGS]; /* EA_EVENT_STRAY, by finding */
static ea_event_t last_event;

static void hear(void *context, const ea_event_t *event)
{
    (void)context;
    last_event = *event;
    if (event->level < EA_POSIX_N_FINDINGS) n_heard[event->level]++;
}

static bool start_with(size_t n_entries, bool verifies)
{
    const ea_account_limits_t limits[EA_POSIX_N_KINDS] = {
        {.max = 100}, {.max = 100}, {.max = 20}, {.max = 1u << 30}, {.max = 20}, {.max = 1u << 30}};
    const ea_monitor_options_t options = {
        .types = types, .n_types = 7, .n_slots = N_SLOTS, .n_stripes = 2, .events = &events};
    for (unsigned i = 0; i < EA_POSIX_N_KINDS; i++) {
        if (ea_accounts_init(&books[i], nodes[i], 2, &limits[i]) != EA_OK) return false;
        owners[i] = ea_account_create(&books[i], nodes[i], NULL);
    }
    const ea_posix_options_t how = {.monitor = &monitor,
                                    .first_type = 1,
                                    .numbers = numbers,
                                    .n_numbers = N_NUMBERS,
                                    .entries = entries,
                                    .n_entries = n_entries,
                                    .suspects = suspects,
                                    .n_suspects = N_SUSPECTS,
                                    .grace_us = 20000,
                                    .verifies_close = verifies};
    memset(n_heard, 0, sizeof n_heard);
    return ea_events_unlisten(&events, &listener) == EA_OK &&
           ea_events_listen(&events, &listener, EA_EVENT_BIT(EA_EVENT_STRAY), hear, NULL) ==
               EA_OK &&
           ea_monitor_init(&monitor, memory, sizeof memory, &options) == EA_OK &&
           ea_posix_init(&posix, &how) == EA_OK;
}

static inline bool start(void)
{
    return start_with(N_ENTRIES, false);
}

static inline void set_max(ea_posix_kind_t kind, size_t max)
{
    const ea_account_limits_t limits = {.max = max};
    EXPECT_EQ(ea_account_set_limits(owners[kind], &limits), EA_OK);
}

static inline size_t used(ea_posix_kind_t kind)
{
    ea_account_stats_t stats;
    ea_account_stats(owners[kind], &stats);
    return stats.used;
}

static inline size_t n_live(ea_posix_kind_t kind)
{
    ea_resource_stats_t stats;
    EXPECT_EQ(ea_monitor_type_stats(&monitor, (uint8_t)(1 + kind), &stats), EA_OK);
    return stats.n_live;
}

/* No call is under way, in any thread. */
static inline bool is_quiet(void)
{
    (void)pthread_mutex_lock(&posix.eai_lock);
    bool is_none = posix.eai_flights.next == &posix.eai_flights;
    (void)pthread_mutex_unlock(&posix.eai_lock);
    return is_none;
}

/* Nothing is registered, nothing in flight, and an audit agrees. */
static void expect_rest(void)
{
    ea_audit_report_t report;
    for (unsigned i = 0; i < EA_POSIX_N_KINDS; i++) {
        EXPECT_EQ(used((ea_posix_kind_t)i), 0);
        EXPECT_EQ(n_live((ea_posix_kind_t)i), 0);
    }
    EXPECT(is_quiet());
    for (unsigned i = 0; i < N_ENTRIES; i++) EXPECT_EQ(entries[i].eai_state, 0);
    EXPECT_EQ(ea_monitor_audit(&monitor, EA_AUDIT_ALONE, SIZE_MAX, &report), EA_OK);
    EXPECT_EQ(report.n_found, 0);
}

#endif
