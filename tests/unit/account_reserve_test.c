/* SPDX-License-Identifier: MIT
 *
 * Reservations (row C5): charged at once, ended exactly once. One context.
 */
#include "ealloc/account.h"
#include "tap.h"

#define N_NODES 4u

static ea_account_t nodes[N_NODES];
static ea_accounts_t book;
static ea_account_t *root, *a;

static bool start(size_t max)
{
    const ea_account_limits_t limits = {.max = max};
    if (ea_accounts_init(&book, nodes, N_NODES, &limits) != EA_OK) return false;
    root = ea_accounts_root(&book);
    a = ea_account_create(&book, root, NULL);
    return a != NULL;
}

static size_t reserved(void)
{
    ea_account_stats_t stats;
    ea_account_stats(a, &stats);
    return stats.reserved;
}

static void expect_sound(void)
{
    ea_accounts_fault_t fault;
    ea_status_t status = ea_accounts_check(&book, &fault);
    if (status != EA_OK) tap_fail(__FILE__, __LINE__, fault.invariant, status, EA_OK);
}

TEST(reservation_is_charged_at_once, 0)
{
    ea_reservation_t r, s;
    REQUIRE(start(100));
    EXPECT_EQ(ea_account_reserve(a, 60, 1000, &r), EA_OK);
    EXPECT_EQ(ea_account_committed(root), 60);
    EXPECT_EQ(reserved(), 60);
    EXPECT_EQ(ea_account_reserve(a, 41, 1000, &s), EA_ERR_LIMIT);
    EXPECT_EQ(ea_account_reserve(a, 0, 1000, &s), EA_ERR_INVALID);
    EXPECT_EQ(ea_account_reserve(a, 40, 1000, &s), EA_OK);
    expect_sound();
    EXPECT_EQ(ea_reservation_cancel(&r), EA_OK);
    EXPECT_EQ(ea_reservation_cancel(&s), EA_OK);
    EXPECT_EQ(ea_account_committed(root), 0);
    expect_sound();
}

TEST(reservation_confirmed_is_an_ordinary_charge, 0)
{
    ea_reservation_t r;
    REQUIRE(start(100));
    REQUIRE(ea_account_reserve(a, 60, 1000, &r) == EA_OK);
    EXPECT_EQ(ea_reservation_confirm(&r, 999), EA_OK);
    EXPECT_EQ(reserved(), 0);
    EXPECT_EQ(ea_account_committed(a), 60);
    EXPECT_EQ(ea_reservation_confirm(&r, 999), EA_ERR_NOT_FOUND); /* once */
    EXPECT_EQ(ea_reservation_cancel(&r), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_accounts_expire(&book, 5000, 10), 0);
    EXPECT_EQ(ea_account_return(a, 60), EA_OK);
    expect_sound();
}

TEST(reservation_confirmed_too_late_is_returned, 0)
{
    ea_reservation_t r;
    REQUIRE(start(100));
    REQUIRE(ea_account_reserve(a, 60, 1000, &r) == EA_OK);
    EXPECT_EQ(ea_reservation_confirm(&r, 1000), EA_ERR_TIMEOUT);
    EXPECT_EQ(ea_account_committed(root), 0);
    EXPECT_EQ(ea_reservation_confirm(&r, 1000), EA_ERR_TIMEOUT); /* and nothing more happens */
    EXPECT_EQ(ea_reservation_cancel(&r), EA_ERR_NOT_FOUND);
    expect_sound();
}

TEST(reservations_expire_in_bounded_steps, 0)
{
    ea_reservation_t r[6];
    REQUIRE(start(100));
    for (unsigned i = 0; i < 6; i++) {
        REQUIRE(ea_account_reserve(a, 10, i % 2 ? 1000 : 2000, &r[i]) == EA_OK);
    }
    EXPECT_EQ(ea_accounts_expire(&book, 999, 100), 0);
    EXPECT_EQ(ea_accounts_expire(&book, 1000, 2), 1); /* looks at two, one of which is over */
    EXPECT_EQ(ea_accounts_expire(&book, 1000, 2), 1);
    EXPECT_EQ(ea_accounts_expire(&book, 1000, 2), 1);
    EXPECT_EQ(ea_accounts_expire(&book, 1000, 2), 0); /* begins anew */
    EXPECT_EQ(ea_account_committed(a), 30);
    expect_sound();
    EXPECT_EQ(ea_reservation_confirm(&r[1], 0), EA_ERR_TIMEOUT);
    EXPECT_EQ(ea_reservation_cancel(&r[2]), EA_OK);     /* in the middle of a sweep */
    EXPECT_EQ(ea_accounts_expire(&book, 2000, 100), 1); /* to the end */
    EXPECT_EQ(ea_accounts_expire(&book, 2000, 100), 1); /* all */
    EXPECT_EQ(ea_accounts_expire(&book, 2000, 100), 0);
    EXPECT_EQ(ea_account_committed(root), 0);
    expect_sound();
}

TEST(reservations_check_finds_a_damaged_one, 0)
{
    ea_reservation_t r, s;
    REQUIRE(start(100));
    REQUIRE(ea_account_reserve(a, 10, 1000, &r) == EA_OK);
    REQUIRE(ea_account_reserve(a, 10, 1000, &s) == EA_OK);
    expect_sound();
    r.eai_n ^= 4;
    EXPECT_EQ(ea_accounts_check(&book, NULL), EA_ERR_CORRUPT);
    r.eai_n ^= 4;
    s.eai_next = NULL;
    EXPECT_EQ(ea_accounts_check(&book, NULL), EA_ERR_CORRUPT);
    s.eai_next = &r;
    expect_sound();
}

TEST(reservation_is_used_in_parts, 0)
{
    ea_reservation_t r;
    REQUIRE(start(100));
    REQUIRE(ea_account_reserve(a, 60, 1000, &r) == EA_OK);
    EXPECT_EQ(ea_reservation_use(&r, 0, 0), EA_ERR_INVALID);
    EXPECT_EQ(ea_reservation_use(&r, 61, 0), EA_ERR_LIMIT);
    EXPECT_EQ(ea_reservation_use(&r, 20, 999), EA_OK);
    EXPECT_EQ(reserved(), 40);
    EXPECT_EQ(ea_account_committed(root), 60);
    expect_sound();
    EXPECT_EQ(ea_account_return(a, 20), EA_OK);
    EXPECT_EQ(ea_reservation_use(&r, 40, 999), EA_OK); /* with the last it has ended */
    EXPECT_EQ(reserved(), 0);
    EXPECT_EQ(ea_reservation_cancel(&r), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_reservation_use(&r, 1, 999), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_account_return(a, 40), EA_OK);
    EXPECT_EQ(ea_account_committed(root), 0);
    ea_account_stats_t stats;
    ea_account_stats(a, &stats);
    EXPECT_EQ(stats.n_live, 0);
    expect_sound();
}

TEST(reservation_used_too_late_is_returned, 0)
{
    ea_reservation_t r, s;
    REQUIRE(start(100));
    REQUIRE(ea_account_reserve(a, 60, 1000, &r) == EA_OK);
    REQUIRE(ea_account_reserve(a, 10, 1000, &s) == EA_OK);
    EXPECT_EQ(ea_reservation_use(&r, 20, 999), EA_OK);
    EXPECT_EQ(ea_reservation_use(&r, 20, 1000), EA_ERR_TIMEOUT);
    EXPECT_EQ(ea_account_committed(root), 30); /* what was used, and the other */
    EXPECT_EQ(ea_reservation_use(&r, 1, 0), EA_ERR_TIMEOUT);
    EXPECT_EQ(ea_reservation_use(&s, 4, 0), EA_OK);
    EXPECT_EQ(ea_accounts_expire(&book, 1000, 10), 1);
    EXPECT_EQ(ea_account_committed(root), 24);
    EXPECT_EQ(ea_account_return(a, 24), EA_OK);
    expect_sound();
}

TEST_MAIN(&reservation_is_charged_at_once, &reservation_confirmed_is_an_ordinary_charge,
          &reservation_confirmed_too_late_is_returned, &reservations_expire_in_bounded_steps,
          &reservations_check_finds_a_damaged_one, &reservation_is_used_in_parts,
          &reservation_used_too_late_is_returned)
