/* SPDX-License-Identifier: MIT
 *
 * Events in one context (row A6): who hears what, in which order, what a listener may do while it
 * is called, and what happens when the ring is full. Threads are in tests/threads, interrupts in
 * tests/preempt.
 */
#include <string.h>

#include "ealloc/event.h"
#include "tap.h"

#define N_RING 8
#define N_HEARD 64

EA_EVENTS_DEFINE_STATIC(defined, 4);

static ea_event_t ring[N_RING];
static ea_events_t hub;

/* A listener that notes what it hears and may do something once it has. */
typedef struct {
    ea_listener_t listener;
    ea_event_t heard[N_HEARD];
    unsigned n_heard, depth, deepest;
    void (*then)(void);
} ear_t;

static ear_t a, b, c;
static char order[N_HEARD]; /* which ear heard, in order */
static unsigned n_order;

static void hear(void *context, const ea_event_t *event)
{
    ear_t *ear = (ear_t *)context;
    if (++ear->depth > ear->deepest) ear->deepest = ear->depth;
    if (ear->n_heard < N_HEARD) ear->heard[ear->n_heard++] = *event;
    if (n_order < N_HEARD - 1) order[n_order++] = ear == &a ? 'a' : ear == &b ? 'b' : 'c';
    if (ear->then != NULL) ear->then();
    ear->depth--;
}

static void reset(void)
{
    memset(&hub, 0, sizeof hub);
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&c, 0, sizeof c);
    memset(order, 0, sizeof order);
    n_order = 0;
    EXPECT_EQ(ea_events_init(&hub, ring, N_RING), EA_OK);
}

static void listen_for(ear_t *ear, uint32_t kinds)
{
    EXPECT_EQ(ea_events_listen(&hub, &ear->listener, kinds, hear, ear), EA_OK);
}

static void emit(uint16_t kind, uint16_t n)
{
    ea_events_emit(&hub, &(ea_event_t){.kind = kind, .n = n});
}

static void emit_isr(uint16_t kind, uint16_t n)
{
    ea_events_emit_isr(&hub, &(ea_event_t){.kind = kind, .n = n});
}

static ea_events_stats_t stats_of(const ea_events_t *of)
{
    ea_events_stats_t stats;
    ea_events_stats(of, &stats);
    return stats;
}

TEST(events_without_a_hub_or_a_listener_are_nothing, 0)
{
    reset();
    ea_events_emit(NULL, &(ea_event_t){.kind = EA_EVENT_LEAK});
    ea_events_emit_isr(NULL, &(ea_event_t){.kind = EA_EVENT_LEAK});
    emit(EA_EVENT_LEAK, 1);
    EXPECT(!ea_events_wanted(NULL, EA_EVENT_LEAK));
    EXPECT(!ea_events_wanted(&hub, EA_EVENT_LEAK));
    EXPECT_EQ(stats_of(&hub).n_emitted, 0);
    EXPECT_EQ(ea_events_poll(&hub), EA_OK);
}

TEST(events_refuse_what_is_outside_the_contract, 0)
{
    reset();
    EXPECT_EQ(ea_events_init(NULL, ring, N_RING), EA_ERR_INVALID);
    EXPECT_EQ(ea_events_init(&hub, NULL, N_RING), EA_ERR_INVALID);
    EXPECT_EQ(ea_events_init(&hub, ring, 0), EA_ERR_INVALID);
    EXPECT_EQ(ea_events_init(&hub, ring, 6), EA_ERR_INVALID);
    EXPECT_EQ(ea_events_init(&hub, ring, SIZE_MAX / 2 + 1),
              sizeof(size_t) > 4 ? EA_ERR_INVALID : EA_OK);
    reset();
    EXPECT_EQ(ea_events_listen(NULL, &a.listener, 1, hear, &a), EA_ERR_INVALID);
    EXPECT_EQ(ea_events_listen(&hub, NULL, 1, hear, &a), EA_ERR_INVALID);
    EXPECT_EQ(ea_events_listen(&hub, &a.listener, 1, NULL, &a), EA_ERR_INVALID);
    EXPECT_EQ(ea_events_unlisten(NULL, &a.listener), EA_ERR_INVALID);
    EXPECT_EQ(ea_events_unlisten(&hub, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_events_poll(NULL), EA_ERR_INVALID);
    listen_for(&a, EA_EVENTS_ALL);
    EXPECT_EQ(ea_events_listen(&hub, &a.listener, 1, hear, &a), EA_ERR_BUSY);
    EXPECT_EQ(ea_events_unlisten(&hub, &a.listener), EA_OK);
    EXPECT_EQ(ea_events_unlisten(&hub, &a.listener), EA_OK);
}

TEST(events_reach_the_listeners_of_their_kind_whole_and_at_once, 0)
{
    static const char thing = 0, call = 0;
    const ea_event_t event = {.time_us = 77,
                              .sequence = 99,
                              .kind = EA_EVENT_OVERFLOW,
                              .owner = 3,
                              .reason = EA_REASON_DAMAGED,
                              .level = 2,
                              .n = 5,
                              .size_bytes = 40,
                              .where = &thing,
                              .caller = &call};
    reset();
    listen_for(&a, EA_EVENT_BIT(EA_EVENT_OVERFLOW) | EA_EVENT_BIT(EA_EVENT_LEAK));
    listen_for(&b, EA_EVENT_BIT(EA_EVENT_LEAK));
    emit(EA_EVENT_LEAK, 1);
    ea_events_emit(&hub, &event);
    emit(EA_EVENT_HIGH, 1);
    REQUIRE(a.n_heard == 2);
    EXPECT_EQ(b.n_heard, 1);
    EXPECT_EQ(a.heard[0].kind, EA_EVENT_LEAK);
    EXPECT_EQ(a.heard[0].sequence, 0);
    const ea_event_t *got = &a.heard[1];
    EXPECT_EQ(got->time_us, 77);
    EXPECT_EQ(got->sequence, 1); /* the hub's own */
    EXPECT_EQ(got->kind, EA_EVENT_OVERFLOW);
    EXPECT_EQ(got->owner, 3);
    EXPECT_EQ(got->reason, EA_REASON_DAMAGED);
    EXPECT_EQ(got->level, 2);
    EXPECT_EQ(got->n, 5);
    EXPECT_EQ(got->size_bytes, 40);
    EXPECT(got->where == &thing && got->caller == &call);
}

TEST(events_call_the_latest_listener_first, 0)
{
    reset();
    listen_for(&a, EA_EVENTS_ALL);
    listen_for(&b, EA_EVENTS_ALL);
    listen_for(&c, EA_EVENTS_ALL);
    emit(EA_EVENT_LEAK, 1);
    EXPECT_EQ(ea_events_unlisten(&hub, &b.listener), EA_OK);
    emit(EA_EVENT_LEAK, 1);
    listen_for(&b, EA_EVENTS_ALL);
    emit(EA_EVENT_LEAK, 1);
    EXPECT(strcmp(order, "cbacabca") == 0);
}

TEST(events_of_the_application_have_bits_too, 0)
{
    reset();
    listen_for(&a, EA_EVENT_BIT(EA_EVENT_USER));
    listen_for(&b, EA_EVENT_BIT(1000));
    emit(EA_EVENT_USER, 1);
    emit(EA_EVENT_USER + 1, 2);
    emit(31, 3);
    emit(UINT16_MAX, 4);
    EXPECT_EQ(a.n_heard, 1);
    EXPECT_EQ(b.n_heard, 2); /* from 31 on they share one */
}

TEST(events_defined_statically_are_ready, 0)
{
    memset(&a, 0, sizeof a);
    EXPECT_EQ(ea_events_listen(&defined, &a.listener, EA_EVENTS_ALL, hear, &a), EA_OK);
    for (uint16_t i = 0; i < 10; i++) {
        ea_events_emit(&defined, &(ea_event_t){.kind = EA_EVENT_LEAK, .n = i});
    }
    EXPECT_EQ(a.n_heard, 10);
    for (uint16_t i = 0; i < 10; i++) EXPECT_EQ(a.heard[i].n, i);
    EXPECT_EQ(ea_events_unlisten(&defined, &a.listener), EA_OK);
}

/* --- the ring --------------------------------------------------------------------------------- */

TEST(events_of_an_interrupt_wait_for_the_next_task, 0)
{
    reset();
    listen_for(&a, EA_EVENTS_ALL);
    emit_isr(EA_EVENT_LEAK, 1);
    emit_isr(EA_EVENT_LEAK, 2);
    EXPECT_EQ(a.n_heard, 0);
    EXPECT_EQ(stats_of(&hub).n_queued, 2);
    emit(EA_EVENT_HIGH, 3);
    REQUIRE(a.n_heard == 3);
    for (unsigned i = 0; i < 3; i++) EXPECT_EQ(a.heard[i].n, i + 1);
    emit_isr(EA_EVENT_LEAK, 4);
    EXPECT_EQ(ea_events_poll(&hub), EA_OK);
    EXPECT_EQ(a.n_heard, 4);
    EXPECT_EQ(stats_of(&hub).n_queued, 0);
}

/* The ring is full after N_RING: each further one is lost, and one report says how many. */
TEST(events_that_find_no_room_are_counted_exactly, 0)
{
    for (uint16_t n_lost = 0; n_lost <= 20; n_lost++) {
        reset();
        listen_for(&a, EA_EVENTS_ALL);
        for (uint16_t i = 0; i < N_RING + n_lost; i++) emit_isr(EA_EVENT_LEAK, i);
        EXPECT_EQ(ea_events_poll(&hub), n_lost > 0 ? EA_ERR_AGAIN : EA_OK);
        EXPECT_EQ(ea_events_poll(&hub), EA_OK);
        REQUIRE(a.n_heard == N_RING + (n_lost > 0));
        for (uint16_t i = 0; i < N_RING; i++) EXPECT_EQ(a.heard[i].n, i);
        EXPECT_EQ(stats_of(&hub).n_emitted, N_RING + n_lost);
        EXPECT_EQ(stats_of(&hub).n_lost, n_lost);
        if (n_lost == 0) continue;
        EXPECT_EQ(a.heard[N_RING].kind, EA_EVENT_LOST);
        EXPECT_EQ(a.heard[N_RING].n, n_lost);
        EXPECT_EQ(a.heard[N_RING].sequence, N_RING); /* the first lost */
    }
}

TEST(events_lost_more_than_a_report_can_tell_are_reported_in_several, 0)
{
    reset();
    listen_for(&a, EA_EVENTS_ALL);
    for (uint32_t i = 0; i < N_RING + 140000u; i++) emit_isr(EA_EVENT_LEAK, 1);
    while (ea_events_poll(&hub) == EA_ERR_AGAIN) continue;
    REQUIRE(a.n_heard == N_RING + 3);
    EXPECT_EQ(a.heard[N_RING].n, UINT16_MAX);
    EXPECT_EQ(a.heard[N_RING + 1].n, UINT16_MAX);
    EXPECT_EQ(a.heard[N_RING + 2].n, 140000 - 2 * UINT16_MAX);
}

TEST(events_of_a_task_make_room_before_they_are_lost, 0)
{
    reset();
    listen_for(&a, EA_EVENTS_ALL);
    for (uint16_t i = 0; i < N_RING; i++) emit_isr(EA_EVENT_LEAK, i);
    emit(EA_EVENT_LEAK, N_RING);
    REQUIRE(a.n_heard == N_RING + 1);
    for (uint16_t i = 0; i <= N_RING; i++) EXPECT_EQ(a.heard[i].n, i);
    EXPECT_EQ(stats_of(&hub).n_lost, 0);
}

/* A report stands where the first of its events would have stood; the numbers tell of the rest. */
static void overflow_again(void)
{
    a.then = NULL;
    emit_isr(EA_EVENT_LEAK,
             100); /* the slot of the one being heard is not free yet: lost as well */
}

TEST(events_report_a_loss_in_its_place, 0)
{
    reset();
    listen_for(&a, EA_EVENTS_ALL);
    for (uint16_t i = 0; i < N_RING + 2; i++) emit_isr(EA_EVENT_LEAK, i);
    a.then = overflow_again;
    EXPECT_EQ(ea_events_poll(&hub), EA_ERR_AGAIN);
    emit(EA_EVENT_HIGH, 200); /* after the loss */
    REQUIRE(a.n_heard == N_RING + 2);
    EXPECT_EQ(a.heard[N_RING].kind, EA_EVENT_LOST);
    EXPECT_EQ(a.heard[N_RING].n, 3);
    EXPECT_EQ(a.heard[N_RING + 1].kind, EA_EVENT_HIGH);
    EXPECT_EQ(a.heard[N_RING + 1].sequence, a.heard[N_RING].sequence + 3);
}

/* --- what a listener may do ------------------------------------------------------------------- */

static unsigned n_more;

static void emit_more(void)
{
    if (n_more > 0) {
        n_more--;
        emit(EA_EVENT_HIGH, 1);
    }
    EXPECT_EQ(ea_events_poll(&hub), EA_ERR_BUSY);
}

TEST(events_of_a_listener_are_delivered_after_it_not_inside_it, 0)
{
    reset();
    listen_for(&a, EA_EVENTS_ALL);
    listen_for(&b, EA_EVENTS_ALL);
    a.then = emit_more;
    n_more = N_RING - 1;
    emit(EA_EVENT_LEAK, 1);
    EXPECT_EQ(a.n_heard, N_RING);
    EXPECT_EQ(b.n_heard, N_RING);
    EXPECT_EQ(a.deepest, 1);
}

TEST(events_delivered_by_one_call_are_at_most_as_many_as_the_ring_is_long, 0)
{
    reset();
    listen_for(&a, EA_EVENTS_ALL);
    a.then = emit_more;
    n_more = 30;
    emit(EA_EVENT_LEAK, 1);
    EXPECT_EQ(a.n_heard, N_RING);
    EXPECT_EQ(ea_events_poll(&hub), EA_ERR_AGAIN);
    EXPECT_EQ(a.n_heard, 2 * N_RING);
    emit(EA_EVENT_LEAK, 1); /* and the next emit goes on as well */
    EXPECT_EQ(a.n_heard, 3 * N_RING);
    EXPECT_EQ(ea_events_poll(&hub), EA_OK);
    EXPECT_EQ(a.n_heard, 32);
    EXPECT_EQ(stats_of(&hub).n_lost, 0);
}

static void stop_a(void)
{
    ea_status_t status = ea_events_unlisten(&hub, &a.listener);
    EXPECT_EQ(status, a.depth > 0 ? EA_ERR_BUSY : EA_OK);
    if (a.depth > 0) memset(&a.listener, 0xA5, sizeof a.listener); /* nobody reads it any more */
}

static void stop_b(void)
{
    EXPECT_EQ(ea_events_unlisten(&hub, &b.listener), b.depth > 0 ? EA_ERR_BUSY : EA_OK);
}

static void stop_all(void)
{
    stop_a();
    stop_b();
    EXPECT_EQ(ea_events_unlisten(&hub, &c.listener), c.depth > 0 ? EA_ERR_BUSY : EA_OK);
}

static void start_c(void)
{
    c.then = NULL;
    b.then = NULL;
    listen_for(&c, EA_EVENTS_ALL);
}

/* Called in the order c, b, a. */
static void three_ears(void)
{
    reset();
    listen_for(&a, EA_EVENTS_ALL);
    listen_for(&b, EA_EVENTS_ALL);
    listen_for(&c, EA_EVENTS_ALL);
}

TEST(events_listener_may_end_its_own_listening, 0)
{
    three_ears();
    a.then = stop_a;
    b.then = stop_b;
    emit(EA_EVENT_LEAK, 1);
    emit(EA_EVENT_LEAK, 2);
    EXPECT(strcmp(order, "cbac") == 0);
    EXPECT_EQ(ea_events_unlisten(&hub, &b.listener), EA_OK);
}

TEST(events_listener_may_end_the_listening_of_others, 0)
{
    three_ears();
    b.then = stop_a; /* who is next */
    emit(EA_EVENT_LEAK, 1);
    EXPECT(strcmp(order, "cb") == 0);

    three_ears();
    a.then = stop_b; /* who was before */
    emit(EA_EVENT_LEAK, 1);
    emit(EA_EVENT_LEAK, 2);
    EXPECT(strcmp(order, "cbaca") == 0);

    three_ears();
    c.then = stop_all;
    emit(EA_EVENT_LEAK, 1);
    EXPECT(strcmp(order, "c") == 0);
    EXPECT(!ea_events_wanted(&hub, EA_EVENT_LEAK));
}

TEST(events_listener_that_came_later_hears_what_is_emitted_later, 0)
{
    reset();
    listen_for(&b, EA_EVENTS_ALL);
    b.then = start_c;
    emit_isr(EA_EVENT_LEAK, 1);
    emit_isr(EA_EVENT_LEAK, 2); /* emitted before c listens, delivered after */
    emit(EA_EVENT_LEAK, 3);
    EXPECT(strcmp(order, "bbb") == 0);
    emit(EA_EVENT_LEAK, 4);
    EXPECT(strcmp(order, "bbbcb") == 0);
}

static void listen_anew(void)
{
    EXPECT_EQ(ea_events_unlisten(&hub, &a.listener), EA_ERR_BUSY);
    listen_for(&a, EA_EVENTS_ALL);
}

TEST(events_listener_that_listens_anew_does_not_hear_the_same_again, 0)
{
    reset();
    listen_for(&a, EA_EVENTS_ALL);
    a.then = listen_anew;
    emit(EA_EVENT_LEAK, 1);
    EXPECT_EQ(a.n_heard, 1);
    emit(EA_EVENT_LEAK, 2);
    EXPECT_EQ(a.n_heard, 2);
}

TEST(events_survive_the_wrap_of_their_numbers, 0)
{
    reset();
    hub.eai_sequence = hub.eai_n_put = hub.eai_n_taken = UINT32_MAX - 20;
    listen_for(&a, EA_EVENTS_ALL);
    for (uint16_t i = 0; i < 40; i++) emit(EA_EVENT_LEAK, i);
    REQUIRE(a.n_heard == 40);
    for (uint16_t i = 0; i < 40; i++) EXPECT_EQ(a.heard[i].n, i);
    EXPECT_EQ(a.heard[39].sequence, 18);
    EXPECT_EQ(stats_of(&hub).n_lost, 0);
}

/* --- any sequence ----------------------------------------------------------------------------- */

static uint32_t random_below(uint32_t *state, uint32_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % n;
}

/* What each ear must have heard, by a queue that has no bound. */
#define N_STEPS 400
typedef struct {
    bool listens;
    unsigned first;  /* the first event emitted since it listens            */
    uint32_t n, sum; /* of what it must have heard so far                     */
} expectation_t;

static expectation_t expectations[3];
static uint32_t heard_n[3], heard_sum[3];
static uint16_t queued[N_RING + 1];
static unsigned n_queued, n_emitted;
static uint32_t n_dropped, n_reported;

static void tally(void *context, const ea_event_t *event)
{
    uintptr_t i = (uintptr_t)context;
    if (event->kind == EA_EVENT_LOST) {
        if (i == 0) n_reported += event->n;
        return;
    }
    heard_n[i]++;
    heard_sum[i] = heard_sum[i] * 31u + event->n;
}

static void expect_delivery(const unsigned *numbers)
{
    for (unsigned q = 0; q < n_queued; q++) {
        for (unsigned i = 0; i < 3; i++) {
            if (!expectations[i].listens || numbers[q] < expectations[i].first) continue;
            expectations[i].n++;
            expectations[i].sum = expectations[i].sum * 31u + queued[q];
        }
    }
    n_queued = 0;
}

static void run_sequence(uint32_t *state)
{
    static unsigned numbers[N_RING + 1];
    static ea_listener_t listeners[3];
    memset(listeners, 0, sizeof listeners);
    memset(expectations, 0, sizeof expectations);
    memset(heard_n, 0, sizeof heard_n);
    memset(heard_sum, 0, sizeof heard_sum);
    n_queued = n_emitted = n_dropped = n_reported = 0;
    for (unsigned step = 0; step < N_STEPS; step++) {
        unsigned i = random_below(state, 3);
        uint16_t n = (uint16_t)random_below(state, 1000);
        switch (random_below(state, 8)) {
        case 0:
            if (!expectations[i].listens) {
                REQUIRE(ea_events_listen(&hub, &listeners[i], EA_EVENTS_ALL, tally,
                                         (void *)(uintptr_t)i) == EA_OK);
                expectations[i].listens = true;
                expectations[i].first = n_emitted;
            } else if (i != 0) { /* the first stays: it hears the reports */
                REQUIRE(ea_events_unlisten(&hub, &listeners[i]) == EA_OK);
                expectations[i].listens = false;
            }
            break;
        case 1:
            while (ea_events_poll(&hub) == EA_ERR_AGAIN) continue;
            expect_delivery(numbers);
            break;
        default:
            if (!expectations[0].listens) break;
            emit_isr(EA_EVENT_LEAK, n);
            if (n_queued < N_RING) {
                numbers[n_queued] = n_emitted;
                queued[n_queued++] = n;
            } else {
                n_dropped++;
            }
            n_emitted++;
            break;
        }
    }
    while (ea_events_poll(&hub) == EA_ERR_AGAIN) continue;
    expect_delivery(numbers);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQ(heard_n[i], expectations[i].n);
        EXPECT_EQ(heard_sum[i], expectations[i].sum);
    }
    EXPECT_EQ(n_reported, n_dropped);
    EXPECT_EQ(stats_of(&hub).n_lost, n_dropped);
}

TEST(events_agree_with_a_queue_after_any_sequence, 0)
{
    uint32_t seed = (uint32_t)tap_arg("seed", 1), state = seed * 2654435761u + 12345u;
    tap_note("seed", seed);
    for (unsigned round = 0; round < 50; round++) {
        reset();
        run_sequence(&state);
    }
}

TEST(events_have_names, 0)
{
    for (uint16_t kind = EA_EVENT_OUT_OF_MEMORY; kind <= EA_EVENT_LOST; kind++) {
        EXPECT(strcmp(ea_event_kind_name(kind), "?") != 0);
    }
    EXPECT(strcmp(ea_event_kind_name(EA_EVENT_WRONG_OWNER), "WRONG_OWNER") == 0);
    EXPECT(strcmp(ea_event_kind_name(0), "?") == 0);
    EXPECT(strcmp(ea_event_kind_name(EA_EVENT_USER - 1), "?") == 0);
    EXPECT(strcmp(ea_event_kind_name(EA_EVENT_USER), "USER") == 0);
    EXPECT(strcmp(ea_event_kind_name(UINT16_MAX), "USER") == 0);
    for (uint8_t reason = EA_REASON_NONE; reason <= EA_REASON_IN_LINE; reason++) {
        EXPECT(strcmp(ea_reason_name(reason), "?") != 0);
    }
    EXPECT(strcmp(ea_reason_name(EA_REASON_FRAGMENTED), "FRAGMENTED") == 0);
    EXPECT(strcmp(ea_reason_name(EA_REASON_IN_LINE + 1), "?") == 0);
}

TEST_MAIN(&events_without_a_hub_or_a_listener_are_nothing,
          &events_refuse_what_is_outside_the_contract,
          &events_reach_the_listeners_of_their_kind_whole_and_at_once,
          &events_call_the_latest_listener_first, &events_of_the_application_have_bits_too,
          &events_defined_statically_are_ready, &events_of_an_interrupt_wait_for_the_next_task,
          &events_that_find_no_room_are_counted_exactly,
          &events_lost_more_than_a_report_can_tell_are_reported_in_several,
          &events_of_a_task_make_room_before_they_are_lost, &events_report_a_loss_in_its_place,
          &events_of_a_listener_are_delivered_after_it_not_inside_it,
          &events_delivered_by_one_call_are_at_most_as_many_as_the_ring_is_long,
          &events_listener_may_end_its_own_listening,
          &events_listener_may_end_the_listening_of_others,
          &events_listener_that_came_later_hears_what_is_emitted_later,
          &events_listener_that_listens_anew_does_not_hear_the_same_again,
          &events_survive_the_wrap_of_their_numbers, &events_agree_with_a_queue_after_any_sequence,
          &events_have_names)
