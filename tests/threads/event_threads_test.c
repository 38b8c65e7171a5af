/* SPDX-License-Identifier: MIT
 *
 * Events and pressure from several threads (rows A6, C9): four emit, listeners come and go, and
 * each is called by one thread at a time and never after its unlisten said EA_OK; what was emitted
 * was heard or reported lost. `rounds=N` on the command line for a longer run.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/event.h"
#include "ealloc/pressure.h"
#include "tap.h"

#define N_EMITTERS 4
#define N_VISITORS 3
#define N_RING 16

EA_EVENTS_DEFINE_STATIC(hub, N_RING);

static atomic_uint n_wrong, n_visits, n_calls, n_emitting;

static uint32_t n_rounds(void)
{
    return (uint32_t)tap_arg("rounds", 20000);
}

/* --- those that listen all the time ----------------------------------------------------------- */

static uint32_t n_heard, n_lost, next_of[N_EMITTERS], last_sequence; /* by the one who delivers */

static void hear_all(void *context, const ea_event_t *event)
{
    (void)context;
    if (event->kind == EA_EVENT_LOST) {
        n_lost += event->n;
        return;
    }
    if (n_heard > 0 && event->sequence - last_sequence > UINT32_MAX / 2) n_wrong++;
    last_sequence = event->sequence;
    n_heard++;
    /* The events of one thread come in its order. */
    if (event->size_bytes < next_of[event->owner]) n_wrong++;
    next_of[event->owner] = (uint32_t)event->size_bytes + 1;
}

static void *emit_many(void *argument)
{
    unsigned self = (unsigned)(uintptr_t)argument;
    for (uint32_t i = 0; i < n_rounds(); i++) {
        const ea_event_t event = {.kind = EA_EVENT_USER, .owner = (uint16_t)self, .size_bytes = i};
        if (i % 3 == 0) {
            ea_events_emit_isr(&hub, &event);
        } else {
            ea_events_emit(&hub, &event);
        }
    }
    n_emitting--;
    return NULL;
}

/* --- those that come and go ------------------------------------------------------------------- */

typedef struct {
    ea_listener_t listener;
    bool is_called; /* plain: two calls at once are a race that ThreadSanitizer finds */
    uint32_t n_calls;
} visitor_t;

static void visit(void *context, const ea_event_t *event)
{
    visitor_t *visitor = (visitor_t *)context;
    if (visitor->is_called) n_wrong++;
    visitor->is_called = true;
    visitor->n_calls++;
    if (event->size_bytes % 64 == 0) sched_yield();
    visitor->is_called = false;
}

static void *come_and_go(void *argument)
{
    (void)argument;
    while (n_emitting > 0) {
        visitor_t *visitor = (visitor_t *)calloc(1, sizeof *visitor);
        if (visitor == NULL) break;
        if (ea_events_listen(&hub, &visitor->listener, EA_EVENTS_ALL, visit, visitor) != EA_OK) {
            n_wrong++;
        }
        for (unsigned i = 0; i < 4; i++) sched_yield();
        while (ea_events_unlisten(&hub, &visitor->listener) == EA_ERR_BUSY) sched_yield();
        n_calls += visitor->n_calls;
        n_visits++;
        memset(visitor, 0xA5, sizeof *visitor); /* nobody reads it any more */
        free(visitor);
    }
    return NULL;
}

TEST(events_of_threads_are_heard_or_reported_while_listeners_come_and_go, 0)
{
    static ea_listener_t all;
    pthread_t threads[N_EMITTERS + N_VISITORS];

    REQUIRE(ea_events_listen(&hub, &all, EA_EVENTS_ALL, hear_all, NULL) == EA_OK);
    n_emitting = N_EMITTERS;
    for (uintptr_t i = 0; i < N_EMITTERS + N_VISITORS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, i < N_EMITTERS ? emit_many : come_and_go,
                               (void *)i) == 0);
    }
    for (unsigned i = 0; i < N_EMITTERS + N_VISITORS; i++) {
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    }
    while (ea_events_poll(&hub) == EA_ERR_AGAIN) continue;
    EXPECT_EQ(ea_events_unlisten(&hub, &all), EA_OK);

    ea_events_stats_t stats;
    ea_events_stats(&hub, &stats);
    tap_note("heard", n_heard);
    tap_note("lost", n_lost);
    tap_note("visits", n_visits);
    tap_note("calls of visitors", n_calls);
    EXPECT_EQ(n_heard + n_lost, N_EMITTERS * n_rounds());
    EXPECT_EQ(stats.n_emitted, N_EMITTERS * n_rounds());
    EXPECT_EQ(stats.n_lost, n_lost);
    EXPECT_EQ(stats.n_queued, 0);
    EXPECT_EQ(n_wrong, 0);
    EXPECT(n_visits > 0);
}

/* --- pressure --------------------------------------------------------------------------------- */

static ea_pressure_t pressure;
static atomic_uint n_changes;

static void *press(void *argument)
{
    uint32_t random = (uint32_t)(uintptr_t)argument * 2654435761u + 1u;
    for (uint32_t i = 0; i < n_rounds(); i++) {
        random = random * 1664525u + 1013904223u;
        if (ea_pressure_update(&pressure, (random >> 8) % 1001, 1000, i)) n_changes++;
        if (random >> 31 == 0) continue;
        ea_pressure_stall_begin(&pressure, i);
        ea_pressure_progress(&pressure, i);
        ea_pressure_stall_end(&pressure, i + 1);
    }
    return NULL;
}

TEST(pressure_of_threads_notifies_one_of_them_once_a_change, 0)
{
    pthread_t threads[N_EMITTERS];
    ea_pressure_stats_t stats;
    uint32_t n_entered = 0;

    REQUIRE(ea_pressure_init(&pressure, NULL, 0) == EA_OK);
    for (uintptr_t i = 0; i < N_EMITTERS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, press, (void *)i) == 0);
    }
    for (unsigned i = 0; i < N_EMITTERS; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    ea_pressure_stats(&pressure, n_rounds() + 1, &stats);
    for (unsigned i = 0; i < EA_PRESSURE_N_LEVELS; i++) n_entered += stats.n_entered[i];
    tap_note("changes", n_changes);
    EXPECT_EQ(n_entered, n_changes);
    EXPECT_EQ(stats.n_waiting, 0);
    EXPECT(stats.some.total_us > 0 && stats.some.total_us <= n_rounds());
}

TEST_MAIN(&events_of_threads_are_heard_or_reported_while_listeners_come_and_go,
          &pressure_of_threads_notifies_one_of_them_once_a_change)
