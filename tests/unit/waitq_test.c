/* SPDX-License-Identifier: MIT
 *
 * The wait queue in one context: who is first, what is handed to whom, who is in the queue. Nothing
 * here sleeps longer than 0, so it runs where nothing could wake it. Threads are in tests/threads.
 */
#include <string.h>

#include "ealloc/waitq.h"
#include "tap.h"

#define N_WAITERS (EA_CFG_WAIT_LEVELS + 16)

static ea_waitq_t queue;
static ea_waiter_t waiters[N_WAITERS];
static int things[N_WAITERS];

static void enter(ea_waiter_t *waiter, uint32_t priority)
{
    ea_waiter_init(waiter, priority);
    ea_waitq_enter(&queue, waiter);
}

static ea_waiter_t *first(void)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    ea_waiter_t *waiter = ea_waitq_first_locked(&queue);
    ea_port_irq_restore(irq);
    return waiter;
}

static void hand(ea_waiter_t *waiter, void *result)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    ea_waitq_hand_locked(waiter, result);
    ea_port_irq_restore(irq);
}

static void cancel(ea_waiter_t *waiter)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    ea_waitq_cancel_locked(waiter);
    ea_port_irq_restore(irq);
}

/* Hand a thing to the first and end its wait. */
static void serve(ea_waiter_t *expected)
{
    EXPECT(first() == expected);
    hand(expected, &things[0]);
    EXPECT_EQ(ea_waitq_sleep(expected, 0), EA_OK);
}

TEST(waitq_of_zeros_is_empty, 0)
{
    EXPECT(ea_waitq_is_empty(&queue));
    EXPECT(first() == NULL);
}

TEST(waitq_serves_equals_in_order_of_arrival, 0)
{
    for (int i = 0; i < 4; i++) enter(&waiters[i], 0);
    EXPECT(!ea_waitq_is_empty(&queue));
    for (int i = 0; i < 4; i++) serve(&waiters[i]);
    EXPECT(ea_waitq_is_empty(&queue));
}

TEST(waitq_serves_the_more_urgent_first, 0)
{
    for (uint32_t i = 0; i < EA_CFG_WAIT_LEVELS; i++) enter(&waiters[i], i);
    for (uint32_t i = EA_CFG_WAIT_LEVELS; i-- > 0;) serve(&waiters[i]);
    EXPECT(ea_waitq_is_empty(&queue));
}

TEST(waitq_treats_priorities_above_the_last_level_alike, 0)
{
    enter(&waiters[0], EA_CFG_WAIT_LEVELS - 1);
    enter(&waiters[1], EA_CFG_WAIT_LEVELS);
    enter(&waiters[2], UINT32_MAX);
    for (int i = 0; i < 3; i++) serve(&waiters[i]);
}

TEST(waitq_hands_over_the_result_it_was_given, 0)
{
    enter(&waiters[0], 0);
    enter(&waiters[1], 0);
    hand(&waiters[1], &things[1]); /* need not be the first */
    hand(&waiters[0], NULL);
    EXPECT_EQ(ea_waitq_sleep(&waiters[0], EA_WAIT_FOREVER), EA_OK);
    EXPECT_EQ(ea_waitq_sleep(&waiters[1], EA_WAIT_FOREVER), EA_OK);
    EXPECT(waiters[0].result == NULL);
    EXPECT(waiters[1].result == &things[1]);
}

TEST(waitq_timeout_leaves_the_queue_as_if_it_had_never_come, 0)
{
    for (int leaver = 0; leaver < 3; leaver++) { /* the first, one between, the last */
        for (int i = 0; i < 3; i++) enter(&waiters[i], 0);
        EXPECT_EQ(ea_waitq_sleep(&waiters[leaver], 0), EA_ERR_TIMEOUT);
        EXPECT(waiters[leaver].result == NULL);
        enter(&waiters[3], 0);
        for (int i = 0; i < 4; i++) {
            if (i != leaver) serve(&waiters[i]);
        }
        EXPECT(ea_waitq_is_empty(&queue));
    }
}

TEST(waitq_cancel_ends_a_wait_without_a_result, 0)
{
    enter(&waiters[0], 0);
    enter(&waiters[1], 0);
    cancel(&waiters[0]);
    EXPECT(first() == &waiters[1]);
    EXPECT_EQ(ea_waitq_sleep(&waiters[0], EA_WAIT_FOREVER), EA_ERR_CANCELLED);
    EXPECT(waiters[0].result == NULL);
    serve(&waiters[1]);
}

TEST(waitq_hand_first_says_whether_somebody_waited, 0)
{
    EXPECT(!ea_waitq_hand_first(&queue, &things[0]));
    enter(&waiters[0], 0);
    enter(&waiters[1], EA_CFG_WAIT_LEVELS - 1);
    EXPECT(ea_waitq_hand_first(&queue, &things[1]));
    EXPECT(ea_waitq_hand_first(&queue, &things[0]));
    EXPECT(!ea_waitq_hand_first(&queue, &things[2]));
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(ea_waitq_sleep(&waiters[i], 0), EA_OK);
        EXPECT(EA_CFG_WAIT_LEVELS == 1 || waiters[i].result == &things[i]);
    }
}

/* The first that comes keeps the table; others stay in it when that one's memory ends. */
TEST(waitq_survives_the_one_that_came_first, 0)
{
    for (int how = 0; how < 3; how++) {
        for (uint32_t i = 0; i < 6; i++) enter(&waiters[i], i / 2);
        if (how == 1) hand(&waiters[0], &things[0]);
        if (how == 2) cancel(&waiters[0]);
        enter(&waiters[6], 0); /* after it has left, if it has, but before it knows */
        static const ea_status_t ends[] = {EA_ERR_TIMEOUT, EA_OK, EA_ERR_CANCELLED};
        EXPECT_EQ(ea_waitq_sleep(&waiters[0], 0), ends[how]);
        memset(&waiters[0], 0xFF, sizeof waiters[0]);
        if (EA_CFG_WAIT_LEVELS >= 3) {
            static const int order[] = {4, 5, 2, 3, 1, 6};
            for (int i = 0; i < 6; i++) serve(&waiters[order[i]]);
        } else {
            while (first() != NULL) serve(first());
        }
        EXPECT(ea_waitq_is_empty(&queue));
    }
}

/* A keeper that nobody has told yet, while the queue empties and others come. */
TEST(waitq_begins_anew_while_its_old_keeper_sleeps, 0)
{
    enter(&waiters[0], 0);
    hand(&waiters[0], &things[0]);
    EXPECT(ea_waitq_is_empty(&queue));
    enter(&waiters[1], 0);
    EXPECT_EQ(ea_waitq_sleep(&waiters[0], 0), EA_OK);
    memset(&waiters[0], 0xFF, sizeof waiters[0]);
    serve(&waiters[1]);
    EXPECT(ea_waitq_is_empty(&queue));
}

/* --- against a table -------------------------------------------------------------------------- */

static struct {
    bool waits;
    uint32_t level, arrival;
} table[N_WAITERS];

static uint32_t random_below(uint32_t *state, uint32_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % n;
}

/* The one the table calls first, or N_WAITERS. */
static uint32_t first_of_table(void)
{
    uint32_t best = N_WAITERS;
    for (uint32_t i = 0; i < N_WAITERS; i++) {
        if (!table[i].waits) continue;
        if (best == N_WAITERS || table[i].level > table[best].level ||
            (table[i].level == table[best].level && table[i].arrival < table[best].arrival)) {
            best = i;
        }
    }
    return best;
}

TEST(waitq_agrees_with_a_table_after_any_sequence, 0)
{
    uint32_t seed = (uint32_t)tap_arg("seed", 1), state = seed * 2654435761u + 12345u;
    tap_note("seed", seed);
    for (uint32_t step = 0; step < 20000; step++) {
        uint32_t i = random_below(&state, N_WAITERS);
        uint32_t best = first_of_table();
        REQUIRE(first() == (best == N_WAITERS ? NULL : &waiters[best]));
        REQUIRE(ea_waitq_is_empty(&queue) == (best == N_WAITERS));
        if (!table[i].waits) {
            table[i].waits = true;
            table[i].level = random_below(&state, EA_CFG_WAIT_LEVELS);
            table[i].arrival = step;
            enter(&waiters[i], table[i].level);
            continue;
        }
        switch (random_below(&state, 5)) {
        case 0:
            REQUIRE(ea_waitq_sleep(&waiters[i], 0) == EA_ERR_TIMEOUT);
            table[i].waits = false;
            break;
        case 1:
            cancel(&waiters[i]);
            REQUIRE(ea_waitq_sleep(&waiters[i], 0) == EA_ERR_CANCELLED);
            table[i].waits = false;
            break;
        case 2:
            REQUIRE(ea_waitq_hand_first(&queue, &things[i]));
            REQUIRE(ea_waitq_sleep(&waiters[best], 0) == EA_OK);
            REQUIRE(waiters[best].result == &things[i]);
            table[best].waits = false;
            break;
        default:
            hand(&waiters[best], &things[i]);
            REQUIRE(ea_waitq_sleep(&waiters[best], 0) == EA_OK);
            REQUIRE(waiters[best].result == &things[i]);
            table[best].waits = false;
            break;
        }
    }
    for (uint32_t i = 0; i < N_WAITERS; i++) {
        if (table[i].waits) EXPECT_EQ(ea_waitq_sleep(&waiters[i], 0), EA_ERR_TIMEOUT);
    }
    EXPECT(ea_waitq_is_empty(&queue));
}

TEST(waitq_lets_one_return_to_the_beginning_of_its_level, 0)
{
    enter(&waiters[0], 1);
    enter(&waiters[1], 1);
    enter(&waiters[2], 0);
    ea_waiter_init(&waiters[3], 1);
    ea_port_irq_t irq = ea_port_irq_mask();
    ea_waitq_return_locked(&queue, &waiters[3]);
    ea_port_irq_restore(irq);
    serve(&waiters[3]);
    serve(&waiters[0]);
    serve(&waiters[1]);
    serve(&waiters[2]);
    EXPECT(ea_waitq_is_empty(&queue));
}

static void move(ea_waitq_t *to, ea_waiter_t *waiter, uint32_t priority)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    ea_waitq_move_locked(to, waiter, priority);
    ea_port_irq_restore(irq);
}

TEST(waitq_moves_waiters_between_levels_and_queues, 0)
{
    static ea_waitq_t other;
    for (unsigned i = 0; i < 3; i++) enter(&waiters[i], 0);
    move(&queue, &waiters[0], 0); /* to the end of its own level */
    EXPECT(first() == &waiters[1]);
    move(&other, &waiters[1], 0);
    EXPECT(first() == &waiters[2]);
    EXPECT(!ea_waitq_is_empty(&other));
    move(&other, &waiters[2], 0);
    move(&queue, &waiters[1], 0);
    serve(&waiters[0]);
    serve(&waiters[1]);
    EXPECT(ea_waitq_is_empty(&queue));
    move(&queue, &waiters[2], 0);
    EXPECT(ea_waitq_is_empty(&other));
    serve(&waiters[2]);
    EXPECT(ea_waitq_is_empty(&queue));
}

TEST_MAIN(&waitq_lets_one_return_to_the_beginning_of_its_level,
          &waitq_moves_waiters_between_levels_and_queues, &waitq_of_zeros_is_empty,
          &waitq_serves_equals_in_order_of_arrival, &waitq_serves_the_more_urgent_first,
          &waitq_treats_priorities_above_the_last_level_alike,
          &waitq_hands_over_the_result_it_was_given,
          &waitq_timeout_leaves_the_queue_as_if_it_had_never_come,
          &waitq_cancel_ends_a_wait_without_a_result,
          &waitq_hand_first_says_whether_somebody_waited, &waitq_survives_the_one_that_came_first,
          &waitq_begins_anew_while_its_old_keeper_sleeps,
          &waitq_agrees_with_a_table_after_any_sequence)
