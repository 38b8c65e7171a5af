/* SPDX-License-Identifier: MIT
 *
 * Owners (row C5): the stack of a task, scopes left in every way, interrupts.
 */
#include "ealloc/owner.h"
#include "ealloc/port.h"
#include "tap.h"

#if !defined(__unix__)
#include "board.h"
#include "ealloc/port_baremetal.h"
#endif

static ea_account_t nodes[4];
static ea_accounts_t book;
static ea_account_t *a, *b;

static bool start(void)
{
    if (ea_accounts_init(&book, nodes, 4, NULL) != EA_OK) return false;
    a = ea_account_create(&book, ea_accounts_root(&book), NULL);
    b = ea_account_create(&book, ea_accounts_root(&book), NULL);
    return a != NULL && b != NULL;
}

TEST(owner_is_nobody_until_one_is_pushed, 0)
{
    ea_owner_frame_t outer, inner;
    REQUIRE(start());
    EXPECT(ea_owner_current() == NULL);
    ea_owner_push(&outer, a);
    EXPECT(ea_owner_current() == a);
    ea_owner_push(&inner, NULL);
    EXPECT(ea_owner_current() == NULL);
    EXPECT_EQ(ea_owner_pop(&inner), EA_OK);
    EXPECT(ea_owner_current() == a);
    EXPECT_EQ(ea_owner_pop(&inner), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_owner_pop(&outer), EA_OK);
    EXPECT_EQ(ea_owner_pop(&outer), EA_ERR_NOT_FOUND);
    EXPECT(ea_owner_current() == NULL);
}

TEST(owner_pop_of_an_outer_frame_takes_those_inside_with_it, 0)
{
    ea_owner_frame_t outer, middle, inner;
    REQUIRE(start());
    ea_owner_push(&outer, a);
    ea_owner_push(&middle, b);
    ea_owner_push(&inner, a);
    EXPECT_EQ(ea_owner_pop(&middle), EA_OK); /* as after longjmp() */
    EXPECT(ea_owner_current() == a);
    EXPECT_EQ(ea_owner_pop(&inner), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_owner_pop(&outer), EA_OK);
    EXPECT(ea_owner_current() == NULL);
}

static unsigned n_evaluated;

static ea_account_t *evaluate(ea_account_t *account)
{
    n_evaluated++;
    return account;
}

static int leave_by_return(void)
{
    EA_OWNER_SCOPE(b)
    {
        if (ea_owner_current() == b) return 1;
    }
    return 0;
}

TEST(owner_scope_ends_however_it_is_left, 0)
{
    unsigned n_runs = 0;
    REQUIRE(start());
    n_evaluated = 0;
    EA_OWNER_SCOPE(evaluate(a))
    {
        n_runs++;
        EXPECT(ea_owner_current() == a);
        EA_OWNER_SCOPE(evaluate(b)) EXPECT(ea_owner_current() == b);
        EXPECT(ea_owner_current() == a);
#if EA_HAS_CLEANUP
        EXPECT_EQ(leave_by_return(), 1);
        EXPECT(ea_owner_current() == a);
        EA_OWNER_SCOPE(b) break;
        EXPECT(ea_owner_current() == a);
#endif
        EA_OWNER_SCOPE(b) continue;
        EXPECT(ea_owner_current() == a);
    }
    EXPECT(ea_owner_current() == NULL);
    EXPECT_EQ(n_runs, 1);
    EXPECT_EQ(n_evaluated, 2); /* once each */
#if EA_HAS_CLEANUP
    EA_OWNER_SCOPE(b) goto out;
out:
    EXPECT(ea_owner_current() == NULL);
#endif
}

static volatile bool has_fired;
static ea_account_t *owner_seen, *owner_in_scope;

static void look(void)
{
    owner_seen = ea_owner_current();
    EA_OWNER_SCOPE(a) owner_in_scope = ea_owner_current();
    has_fired = true;
}

#if !defined(__unix__)
static void on_tick(void)
{
    ea_baremetal_isr_enter();
    look();
    ea_baremetal_isr_leave();
}

TEST(owner_in_an_interrupt_is_the_interrupts_own, 0)
{
    static ea_owner_frame_t frame, other;
    REQUIRE(start());
    EA_OWNER_SCOPE(a)
    {
        for (int i = 0; i < 3; i++) {
            if (i == 1) ea_owner_set_isr(&frame, b);
            if (i == 2) ea_owner_set_isr(&other, NULL);
            has_fired = false;
            board_tick_start(1000, on_tick);
            while (!has_fired) continue;
            board_tick_stop();
            EXPECT(owner_seen == (i == 1 ? b : NULL));
            EXPECT(owner_in_scope == a);
            EXPECT(ea_owner_current() == a);
        }
    }
    EXPECT(ea_owner_current() == NULL);
}
#else
TEST(owner_in_a_signal_handler_is_that_of_its_thread, 0)
{
    static ea_owner_frame_t frame;
    REQUIRE(start());
    ea_owner_set_isr(&frame, b); /* nobody looks at it */
    EA_OWNER_SCOPE(a) look();
    EXPECT(has_fired && owner_seen == a && owner_in_scope == a);
    EXPECT(ea_owner_current() == NULL);
}
#endif

TEST_MAIN(&owner_is_nobody_until_one_is_pushed,
          &owner_pop_of_an_outer_frame_takes_those_inside_with_it,
          &owner_scope_ends_however_it_is_left,
#if !defined(__unix__)
          &owner_in_an_interrupt_is_the_interrupts_own
#else
          &owner_in_a_signal_handler_is_that_of_its_thread
#endif
)
