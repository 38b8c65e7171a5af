/* SPDX-License-Identifier: MIT
 *
 * Accounts (rows A9, C4, C9): limits, guarantees, batches, transfers, report-only, numbers, check;
 * one context. Reservations are in account_reserve_test.c.
 */
#include "ealloc/account.h"
#include "tap.h"

#define N_NODES 12u
#define FULL EA_ACCOUNT_UNLIMITED

static ea_account_t nodes[N_NODES];
static ea_accounts_t book;

static ea_account_t *make(ea_account_t *parent, size_t min, size_t max, size_t batch)
{
    ea_account_options_t options = {.limits = {.min = min, .max = max}, .batch = batch};
    return ea_account_create(&book, parent, &options);
}

/* The root of a new book with so much to give. */
static ea_account_t *start(size_t max)
{
    const ea_account_limits_t limits = {.max = max};
    return ea_accounts_init(&book, nodes, N_NODES, &limits) == EA_OK ? ea_accounts_root(&book)
                                                                     : NULL;
}

static ea_account_stats_t stats_of(const ea_account_t *account)
{
    ea_account_stats_t stats;
    ea_account_stats(account, &stats);
    return stats;
}

static size_t used(const ea_account_t *account)
{
    return stats_of(account).used;
}

static void expect_sound(void)
{
    ea_accounts_fault_t fault;
    ea_status_t status = ea_accounts_check(&book, &fault);
    if (status != EA_OK) tap_fail(__FILE__, __LINE__, fault.invariant, status, EA_OK);
}

/* --- the tree --------------------------------------------------------------------------------- */

TEST(accounts_begin_with_a_root_that_has_all_there_is, 0)
{
    ea_account_t *root = start(100);
    REQUIRE(root != NULL);
    EXPECT_EQ(ea_account_id(root), 1);
    EXPECT(ea_account_by_id(&book, 1) == root);
    EXPECT(ea_account_by_id(&book, 0) == NULL);
    EXPECT(ea_account_by_id(&book, 2) == NULL);
    EXPECT(ea_account_by_id(&book, UINT16_MAX) == NULL);
    EXPECT(ea_account_parent(root) == NULL);
    EXPECT_EQ(used(root), 0);
    EXPECT_EQ(stats_of(root).idle, 100);
    EXPECT_EQ(stats_of(root).limits.max, 100);
    expect_sound();
    EXPECT_EQ(ea_accounts_init(NULL, nodes, 1, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_accounts_init(&book, NULL, 1, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_accounts_init(&book, nodes, 0, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_accounts_init(&book, nodes, 65536, NULL), EA_ERR_INVALID);
}

TEST(accounts_grant_without_limit_where_none_is_set, 0)
{
    REQUIRE(ea_accounts_init(&book, nodes, N_NODES, NULL) == EA_OK);
    ea_account_t *a = ea_account_create(&book, ea_accounts_root(&book), NULL);
    REQUIRE(a != NULL);
    EXPECT_EQ(ea_account_charge(a, SIZE_MAX, NULL), EA_OK);
    EXPECT_EQ(used(a), SIZE_MAX);
    EXPECT_EQ(ea_account_charge(a, 1, NULL), EA_ERR_LIMIT);
    EXPECT_EQ(ea_account_return(a, SIZE_MAX), EA_OK);
    EXPECT_EQ(stats_of(a).limits.max, FULL);
    EXPECT_EQ(stats_of(a).limits.high, FULL);
    expect_sound();
}

TEST(account_is_made_with_what_its_options_say, 0)
{
    ea_account_t *root = start(1000);
    const ea_account_options_t options = {
        .name = "radio", .limits = {10, 20, 30, 40}, .batch = 4, .priority = 7};
    ea_account_t *a = ea_account_create(&book, root, &options);
    REQUIRE(a != NULL);
    ea_account_stats_t stats = stats_of(a);
    EXPECT(stats.name == options.name);
    EXPECT_EQ(stats.limits.min, 10);
    EXPECT_EQ(stats.limits.low, 20);
    EXPECT_EQ(stats.limits.high, 30);
    EXPECT_EQ(stats.limits.max, 40);
    EXPECT_EQ(stats.batch, 4);
    EXPECT_EQ(stats.priority, 7);
    EXPECT_EQ(stats.depth, 1);
    EXPECT_EQ(stats.id, ea_account_id(a));
    EXPECT(ea_account_parent(a) == root);
    EXPECT(ea_account_by_id(&book, stats.id) == a);
    expect_sound();
}

TEST(account_is_not_made_where_it_cannot_be, 0)
{
    ea_account_t *root = start(100), *a = root;
    EXPECT(ea_account_create(&book, NULL, NULL) == NULL);
    EXPECT(make(root, 11, 10, 0) == NULL);   /* min above max      */
    EXPECT(make(root, 101, 200, 0) == NULL); /* nobody can give it */
    EXPECT_EQ(ea_account_committed(root), 0);
    unsigned depth = 1;
    while ((a = make(a, 0, 0, 0)) != NULL) depth++;
    EXPECT_EQ(depth, EA_CFG_ACCOUNT_DEPTH);
    while (make(root, 0, 0, 0) != NULL) depth++;
    EXPECT_EQ(depth, N_NODES);
    static ea_account_t other_node;
    ea_accounts_t other;
    REQUIRE(ea_accounts_init(&other, &other_node, 1, NULL) == EA_OK);
    EXPECT(ea_account_create(&book, &other_node, NULL) == NULL);
    expect_sound();
}

TEST(account_is_deleted_only_when_nothing_stands_on_it, 0)
{
    ea_account_t *root = start(100);
    ea_account_t *a = make(root, 10, 0, 8), *b = make(a, 4, 0, 0);
    ea_reservation_t reservation;
    REQUIRE(b != NULL);
    EXPECT_EQ(ea_account_delete(root), EA_ERR_INVALID);
    EXPECT_EQ(ea_account_delete(NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_account_delete(a), EA_ERR_BUSY); /* b */
    REQUIRE(ea_account_charge(b, 7, NULL) == EA_OK);
    EXPECT_EQ(ea_account_delete(b), EA_ERR_BUSY);
    EXPECT(ea_account_by_id(&book, ea_account_id(b)) == b);
    expect_sound();
    REQUIRE(ea_account_return(b, 7) == EA_OK);
    REQUIRE(ea_account_reserve(b, 1, 10, &reservation) == EA_OK);
    EXPECT_EQ(ea_account_delete(b), EA_ERR_BUSY);
    REQUIRE(ea_reservation_cancel(&reservation) == EA_OK);
    uint16_t id = ea_account_id(b);
    EXPECT_EQ(ea_account_delete(b), EA_OK);
    EXPECT(ea_account_by_id(&book, id) == NULL);
    EXPECT_EQ(ea_account_delete(b), EA_ERR_INVALID);
    EXPECT_EQ(ea_account_delete(a), EA_OK);
    EXPECT_EQ(ea_account_committed(root), 0); /* guarantee and batch went back */
    expect_sound();
    EXPECT(make(root, 100, 0, 0) == a); /* and the node is another's */
}

TEST(accounts_are_walked_in_the_order_of_their_ids, 0)
{
    ea_account_t *root = start(100), *a = make(root, 0, 0, 0), *b = make(root, 0, 0, 0);
    ea_account_t *c = make(b, 0, 0, 0);
    REQUIRE(ea_account_delete(a) == EA_OK);
    EXPECT(ea_accounts_next(&book, NULL) == root);
    EXPECT(ea_accounts_next(&book, root) == b);
    EXPECT(ea_accounts_next(&book, b) == c);
    EXPECT(ea_accounts_next(&book, c) == NULL);
    EXPECT(ea_account_is_below(c, root) && ea_account_is_below(c, c));
    EXPECT(!ea_account_is_below(b, c));
}

/* --- charging --------------------------------------------------------------------------------- */

TEST(account_charge_counts_at_every_level_and_return_gives_it_back, 0)
{
    ea_account_t *root = start(100), *a = make(root, 0, 0, 0), *b = make(a, 0, 0, 0);
    ea_account_t *c = make(a, 0, 0, 0);
    EXPECT_EQ(ea_account_charge(b, 10, NULL), EA_OK);
    EXPECT_EQ(ea_account_charge(c, 20, NULL), EA_OK);
    EXPECT_EQ(ea_account_charge(a, 5, NULL), EA_OK);
    EXPECT_EQ(used(b), 10);
    EXPECT_EQ(used(c), 20);
    EXPECT_EQ(used(a), 35);
    EXPECT_EQ(stats_of(a).own, 5);
    EXPECT_EQ(used(root), 35);
    EXPECT_EQ(stats_of(root).own, 0);
    expect_sound();
    EXPECT_EQ(ea_account_return(c, 20), EA_OK);
    EXPECT_EQ(ea_account_return(a, 5), EA_OK);
    EXPECT_EQ(ea_account_return(b, 4), EA_OK);
    EXPECT_EQ(used(root), 6);
    EXPECT_EQ(ea_account_return(b, 6), EA_OK);
    EXPECT_EQ(used(root), 0);
    EXPECT_EQ(stats_of(b).peak, 10);
    EXPECT_EQ(stats_of(a).peak, 35);
    EXPECT_EQ(stats_of(root).peak, 35);
    expect_sound();
}

TEST(account_max_refuses_at_the_level_it_is_set_at, 0)
{
    ea_account_t *root = start(100), *a = make(root, 0, 50, 0), *b = make(a, 0, 30, 0);
    ea_account_t *c = make(a, 0, 0, 0), *refuser = NULL;
    EXPECT_EQ(ea_account_charge(b, 31, &refuser), EA_ERR_LIMIT);
    EXPECT(refuser == b);
    EXPECT_EQ(ea_account_charge(b, 30, &refuser), EA_OK);
    EXPECT_EQ(ea_account_charge(b, 1, NULL), EA_ERR_LIMIT);
    EXPECT_EQ(ea_account_charge(c, 21, &refuser), EA_ERR_LIMIT);
    EXPECT(refuser == a);
    EXPECT_EQ(ea_account_charge(c, 20, &refuser), EA_OK);
    EXPECT_EQ(ea_account_charge(root, 51, &refuser), EA_ERR_LIMIT);
    EXPECT(refuser == root);
    EXPECT_EQ(ea_account_charge(c, SIZE_MAX, &refuser), EA_ERR_LIMIT);
    EXPECT_EQ(used(root), 50); /* refusals leave nothing behind */
    EXPECT_EQ(stats_of(b).n_refused, 2);
    EXPECT_EQ(stats_of(b).n_limited, 2);
    EXPECT_EQ(stats_of(c).n_refused, 2);
    EXPECT_EQ(stats_of(a).n_limited, 1);
    EXPECT_EQ(stats_of(c).n_limited, 1); /* SIZE_MAX more is no number */
    EXPECT_EQ(stats_of(a).n_refused, 0);
    expect_sound();
}

TEST(account_charge_of_nothing_is_granted_to_anybody, 0)
{
    ea_account_t *root = start(10), *a = make(root, 0, 0, 0);
    REQUIRE(ea_account_charge(a, 10, NULL) == EA_OK);
    EXPECT_EQ(ea_account_charge(a, 0, NULL), EA_OK);
    EXPECT_EQ(ea_account_return(a, 0), EA_OK);
    EXPECT_EQ(used(a), 10);
    expect_sound();
}

TEST(account_min_is_kept_from_everybody_else, 0)
{
    ea_account_t *root = start(100), *a = make(root, 30, 0, 0), *b = make(root, 0, 0, 0);
    ea_account_t *refuser = NULL;
    EXPECT_EQ(ea_account_charge(b, 71, &refuser), EA_ERR_LIMIT);
    EXPECT(refuser == root);
    EXPECT_EQ(ea_account_charge(b, 70, NULL), EA_OK);
    EXPECT_EQ(ea_account_charge(a, 30, NULL), EA_OK); /* there, though the root is full */
    EXPECT_EQ(ea_account_charge(a, 1, NULL), EA_ERR_LIMIT);
    EXPECT_EQ(ea_account_return(a, 30), EA_OK);
    EXPECT_EQ(ea_account_charge(b, 1, NULL), EA_ERR_LIMIT); /* and stays there */
    EXPECT_EQ(used(root), 70);
    EXPECT_EQ(ea_account_committed(root), 100);
    expect_sound();
}

TEST(account_takes_from_its_guarantee_first_and_only_what_is_missing_from_above, 0)
{
    ea_account_t *root = start(12), *a = make(root, 10, 0, 0);
    REQUIRE(ea_account_charge(a, 8, NULL) == EA_OK);
    EXPECT_EQ(ea_account_charge(a, 5, NULL), EA_ERR_LIMIT);
    EXPECT_EQ(used(a), 8);
    EXPECT_EQ(ea_account_charge(a, 4, NULL), EA_OK); /* 2 of its own, 2 of the root's */
    EXPECT_EQ(ea_account_credit(a), 12);
    EXPECT_EQ(ea_account_return(a, 5), EA_OK);
    EXPECT_EQ(ea_account_credit(a), 10);
    EXPECT_EQ(stats_of(a).idle, 3);
    expect_sound();
}

TEST(account_return_of_more_than_was_charged_is_refused, 0)
{
    ea_account_t *root = start(100), *a = make(root, 10, 0, 0), *b = make(root, 0, 0, 8);
    REQUIRE(ea_account_charge(a, 12, NULL) == EA_OK && ea_account_charge(b, 3, NULL) == EA_OK);
#if EA_CFG_CHECK_LEVEL >= 1
    EXPECT_EQ(ea_account_return(a, 13), EA_ERR_INVALID);
    EXPECT_EQ(ea_account_return(b, 4), EA_ERR_INVALID);
    EXPECT_EQ(ea_account_return(b, SIZE_MAX), EA_ERR_INVALID);
    EXPECT_EQ(ea_account_transfer(b, a, 4, NULL), EA_ERR_INVALID);
#endif
    EXPECT_EQ(used(a), 12);
    EXPECT_EQ(used(b), 3);
    EXPECT_EQ(ea_account_return(a, 12), EA_OK);
    EXPECT_EQ(ea_account_return(b, 3), EA_OK);
    EXPECT_EQ(used(root), 0);
    expect_sound();
}

/* What the obvious scheme does wrong: a charge of 4 that is to be refused, and a return of 4 in the
 * middle of it, at every step. tests/preempt does the same with everything. Here step by step as it
 * would go, by hand: whatever the order, the guarantee stays. */
TEST(account_guarantee_survives_a_refusal_that_meets_a_return, 0)
{
    ea_account_t *root = start(10), *leaf = make(root, 10, 0, 0), *other = make(root, 0, 0, 0);
    REQUIRE(ea_account_charge(leaf, 8, NULL) == EA_OK);
    EXPECT_EQ(ea_account_charge(leaf, 4, NULL), EA_ERR_LIMIT);
    EXPECT_EQ(ea_account_return(leaf, 4), EA_OK);
    EXPECT_EQ(ea_account_charge(other, 1, NULL), EA_ERR_LIMIT);
    EXPECT_EQ(ea_account_charge(leaf, 6, NULL), EA_OK);
    EXPECT_EQ(ea_account_committed(root), 10);
    expect_sound();
}

/* --- batches ---------------------------------------------------------------------------------- */

TEST(account_with_a_batch_asks_its_parent_less_often, 0)
{
    ea_account_t *root = start(1000), *a = make(root, 0, 0, 16);
    REQUIRE(ea_account_charge(a, 1, NULL) == EA_OK);
    size_t credit = ea_account_credit(a);
    EXPECT_EQ(credit, 17);
    for (int i = 0; i < 16; i++) EXPECT_EQ(ea_account_charge(a, 1, NULL), EA_OK);
    EXPECT_EQ(ea_account_credit(a), credit); /* all from the batch */
    EXPECT_EQ(used(a), 17);
    EXPECT_EQ(used(root), 17);
    for (int i = 0; i < 17; i++) {
        EXPECT_EQ(ea_account_return(a, 1), EA_OK);
        EXPECT(stats_of(a).idle <= 32);
    }
    EXPECT_EQ(used(root), 0);
    EXPECT_EQ(stats_of(a).peak, 17);
    expect_sound();
}

TEST(account_idle_credit_is_called_back_before_anybody_is_refused, 0)
{
    ea_account_t *root = start(100), *a = make(root, 0, 0, 0), *b = make(a, 0, 0, 30);
    ea_account_t *c = make(root, 0, 0, 30), *d = make(root, 0, 0, 0);
    REQUIRE(ea_account_charge(b, 1, NULL) == EA_OK && ea_account_charge(c, 1, NULL) == EA_OK);
    EXPECT_EQ(ea_account_committed(root), 62);
    EXPECT_EQ(ea_account_charge(d, 98, NULL), EA_OK); /* all that nobody uses */
    EXPECT_EQ(used(root), 100);
    EXPECT_EQ(ea_account_credit(b), 1);
    EXPECT_EQ(ea_account_charge(d, 1, NULL), EA_ERR_LIMIT);
    EXPECT_EQ(ea_account_charge(c, 1, NULL), EA_ERR_LIMIT);
    expect_sound();
}

TEST(account_batch_stops_at_max_and_at_what_the_parent_has, 0)
{
    ea_account_t *root = start(50), *a = make(root, 0, 20, 16), *b = make(root, 0, 0, 64);
    EXPECT_EQ(ea_account_charge(a, 10, NULL), EA_OK);
    EXPECT_EQ(ea_account_credit(a), 20);
    EXPECT_EQ(ea_account_charge(a, 10, NULL), EA_OK);
    EXPECT_EQ(ea_account_charge(a, 1, NULL), EA_ERR_LIMIT);
    EXPECT_EQ(ea_account_charge(b, 30, NULL), EA_OK);
    EXPECT_EQ(ea_account_credit(b), 30);
    EXPECT_EQ(ea_account_charge(b, 1, NULL), EA_ERR_LIMIT);
    expect_sound();
}

/* --- limits that change ----------------------------------------------------------------------- */

TEST(account_max_may_go_below_the_usage, 0)
{
    ea_account_t *root = start(100), *a = make(root, 0, 50, 0);
    REQUIRE(ea_account_charge(a, 40, NULL) == EA_OK);
    EXPECT_EQ(ea_account_set_limits(a, &(ea_account_limits_t){.max = 10}), EA_OK);
    EXPECT_EQ(ea_account_charge(a, 1, NULL), EA_ERR_LIMIT);
    EXPECT_EQ(ea_account_return(a, 31), EA_OK);
    EXPECT_EQ(ea_account_charge(a, 1, NULL), EA_OK);
    EXPECT_EQ(ea_account_charge(a, 1, NULL), EA_ERR_LIMIT);
    EXPECT_EQ(used(root), 10);
    expect_sound();
}

TEST(account_min_rises_by_what_the_parent_gives_and_sinks_back, 0)
{
    ea_account_t *root = start(100), *a = make(root, 10, 0, 0), *b = make(root, 0, 0, 0);
    REQUIRE(ea_account_charge(b, 50, NULL) == EA_OK);
    EXPECT_EQ(ea_account_set_limits(a, &(ea_account_limits_t){.min = 51}), EA_ERR_LIMIT);
    EXPECT_EQ(stats_of(a).limits.min, 10);
    EXPECT_EQ(ea_account_credit(a), 10);
    EXPECT_EQ(ea_account_set_limits(a, &(ea_account_limits_t){.min = 50}), EA_OK);
    EXPECT_EQ(ea_account_charge(b, 1, NULL), EA_ERR_LIMIT);
    EXPECT_EQ(ea_account_set_limits(a, &(ea_account_limits_t){.min = 9, .max = 8}), EA_ERR_INVALID);
    EXPECT_EQ(ea_account_charge(a, 20, NULL), EA_OK);
    EXPECT_EQ(ea_account_set_limits(a, &(ea_account_limits_t){.min = 5}), EA_OK);
    EXPECT_EQ(ea_account_credit(a), 20);
    EXPECT_EQ(ea_account_charge(b, 30, NULL), EA_OK);
    expect_sound();
}

TEST(account_root_may_grow_and_shrink, 0)
{
    ea_account_t *root = start(100), *a = make(root, 0, 0, 0);
    REQUIRE(ea_account_charge(a, 80, NULL) == EA_OK);
    EXPECT_EQ(ea_account_set_limits(root, &(ea_account_limits_t){.max = 50}), EA_OK);
    EXPECT_EQ(ea_account_charge(a, 1, NULL), EA_ERR_LIMIT);
    EXPECT_EQ(ea_account_return(a, 40), EA_OK);
    EXPECT_EQ(ea_account_credit(root), 50);
    EXPECT_EQ(ea_account_charge(a, 11, NULL), EA_ERR_LIMIT);
    EXPECT_EQ(ea_account_charge(a, 10, NULL), EA_OK);
    EXPECT_EQ(ea_account_set_limits(root, &(ea_account_limits_t){.max = 60}), EA_OK);
    EXPECT_EQ(ea_account_charge(a, 10, NULL), EA_OK);
    EXPECT_EQ(ea_account_charge(a, 1, NULL), EA_ERR_LIMIT);
    EXPECT_EQ(ea_account_set_limits(root, &(ea_account_limits_t){.max = 0}), EA_OK);
    EXPECT_EQ(ea_account_charge(a, 1000, NULL), EA_OK);
    expect_sound();
}

/* --- report only ------------------------------------------------------------------------------ */

TEST(account_limits_that_are_not_enforced_are_counted, 0)
{
    ea_account_t *root = start(100), *a = make(root, 0, 50, 0), *b = make(root, 20, 0, 0);
    ea_accounts_set_enforce(&book, false);
    EXPECT_EQ(ea_account_charge(a, 60, NULL), EA_OK); /* a's max */
    EXPECT_EQ(ea_account_charge(a, 60, NULL), EA_OK); /* a's max and the root's */
    EXPECT_EQ(stats_of(a).n_overruns, 2);
    EXPECT_EQ(stats_of(root).n_overruns, 1);
    EXPECT_EQ(stats_of(a).n_refused, 0);
    EXPECT_EQ(used(root), 120);
    EXPECT_EQ(ea_account_credit(root), 140); /* b's guarantee stands: an overdraft of 40 */
    EXPECT_EQ(ea_account_charge(a, SIZE_MAX - 10, NULL), EA_ERR_LIMIT); /* no number for it */
    expect_sound();
    ea_accounts_set_enforce(&book, true);
    EXPECT_EQ(ea_account_charge(b, 21, NULL), EA_ERR_LIMIT);
    EXPECT_EQ(ea_account_charge(b, 20, NULL), EA_OK);
    EXPECT_EQ(ea_account_return(a, 30), EA_OK);
    EXPECT_EQ(ea_account_credit(root), 110);
    EXPECT_EQ(ea_account_return(a, 30), EA_OK);
    EXPECT_EQ(ea_account_credit(root), 100); /* paid back */
    EXPECT_EQ(used(root), 80);
    EXPECT_EQ(ea_account_charge(b, 20, NULL), EA_OK);
    EXPECT_EQ(ea_account_charge(b, 1, NULL), EA_ERR_LIMIT);
    expect_sound();
}

/* --- transfer --------------------------------------------------------------------------------- */

TEST(account_transfer_hands_units_over, 0)
{
    ea_account_t *root = start(100), *a = make(root, 0, 0, 0), *b = make(a, 0, 0, 0);
    ea_account_t *c = make(root, 0, 30, 0), *refuser = NULL;
    REQUIRE(ea_account_charge(b, 40, NULL) == EA_OK);
    EXPECT_EQ(ea_account_transfer(b, c, 31, &refuser), EA_ERR_LIMIT);
    EXPECT(refuser == c);
    EXPECT_EQ(used(b), 40);
    EXPECT_EQ(ea_account_transfer(b, c, 30, NULL), EA_OK);
    EXPECT_EQ(used(b), 10);
    EXPECT_EQ(used(a), 10);
    EXPECT_EQ(used(c), 30);
    EXPECT_EQ(used(root), 40);
    EXPECT_EQ(ea_account_transfer(b, a, 10, NULL), EA_OK);
    EXPECT_EQ(stats_of(a).own, 10);
    EXPECT_EQ(ea_account_transfer(a, a, 10, NULL), EA_OK);
    EXPECT_EQ(stats_of(a).own, 10);
    expect_sound();
}

/* --- marks ------------------------------------------------------------------------------------ */

TEST(account_is_high_above_its_mark, 0)
{
    ea_account_t *root = start(100);
    ea_account_t *a =
        ea_account_create(&book, root, &(ea_account_options_t){.limits = {.high = 10}});
    REQUIRE(ea_account_charge(a, 10, NULL) == EA_OK);
    EXPECT(!ea_account_is_high(a));
    REQUIRE(ea_account_charge(a, 1, NULL) == EA_OK);
    EXPECT(ea_account_is_high(a));
    EXPECT(!ea_account_is_high(root)); /* none set */
}

static ea_account_t *make_low(ea_account_t *parent, size_t low, size_t n)
{
    ea_account_t *a =
        ea_account_create(&book, parent, &(ea_account_options_t){.limits = {.low = low}});
    if (ea_account_charge(a, n, NULL) != EA_OK) return NULL;
    return a;
}

TEST(account_low_protects_usage_from_being_reclaimed, 0)
{
    ea_account_t *root = start(1000);
    ea_account_t *a = make_low(root, 0, 50), *b = make_low(root, 30, 50);
    ea_account_t *c = make_low(root, FULL, 50), *d = make(root, 20, 0, 0);
    REQUIRE(ea_account_charge(d, 50, NULL) == EA_OK);
    EXPECT_EQ(ea_account_reclaimable(a), 50);
    EXPECT_EQ(ea_account_reclaimable(b), 20);
    EXPECT_EQ(ea_account_reclaimable(c), 0);
    EXPECT_EQ(ea_account_reclaimable(d), 30); /* below min nobody else gains by it */
    EXPECT_EQ(ea_account_reclaimable(root), 200);
}

TEST(account_low_is_capped_by_the_accounts_above_and_shared_by_usage, 0)
{
    ea_account_t *root = start(1000), *top = make_low(root, 60, 0);
    ea_account_t *a = make_low(top, 80, 100), *b = make_low(top, 40, 100);
    ea_account_t *c = make_low(top, 40, 0); /* uses nothing: protects nothing */
    REQUIRE(a != NULL && b != NULL && c != NULL);
    EXPECT_EQ(ea_account_reclaimable(a), 60); /* 60 of 120 is a half */
    EXPECT_EQ(ea_account_reclaimable(b), 80);
    EXPECT_EQ(ea_account_reclaimable(c), 0);
    EXPECT_EQ(ea_account_set_limits(top, &(ea_account_limits_t){.low = 200}), EA_OK);
    EXPECT_EQ(ea_account_reclaimable(a), 20); /* enough for both */
    EXPECT_EQ(ea_account_reclaimable(b), 60);
    EXPECT_EQ(ea_account_set_limits(top, &(ea_account_limits_t){.low = 0}), EA_OK);
    EXPECT_EQ(ea_account_reclaimable(a), 100);
}

TEST(account_shares_of_large_numbers_do_not_overflow, 0)
{
    size_t unit = SIZE_MAX / 16;
    ea_account_t *root = start(0), *top = make_low(root, 4 * unit, 0);
    ea_account_t *a = make_low(top, FULL, 6 * unit), *b = make_low(top, FULL, 2 * unit);
    REQUIRE(a != NULL && b != NULL);
    EXPECT(ea_account_reclaimable(a) - 3 * unit <= unit / 1000);
    EXPECT(ea_account_reclaimable(b) - unit <= unit / 1000);
}

/* --- numbers ---------------------------------------------------------------------------------- */

TEST(account_peaks_begin_anew, 0)
{
    ea_account_t *root = start(100), *a = make(root, 0, 0, 4);
    REQUIRE(ea_account_charge(a, 50, NULL) == EA_OK && ea_account_return(a, 40) == EA_OK);
    EXPECT_EQ(stats_of(a).peak, 50);
    ea_accounts_reset_peaks(&book);
    EXPECT_EQ(stats_of(a).peak, 10);
    EXPECT(stats_of(root).peak >= 10 && stats_of(root).peak <= 18);
    expect_sound();
}

TEST(account_live_charges_are_counted_where_that_is_wanted, 0)
{
    ea_account_t *root = start(100), *a = make(root, 0, 50, 0), *b = make(root, 0, 0, 8);
    for (int i = 0; i < 5; i++) (void)(ea_account_charge(a, 10, NULL) == EA_OK);
    EXPECT_EQ(ea_account_charge(a, 1, NULL), EA_ERR_LIMIT);
    EXPECT_EQ(ea_account_return(a, 10), EA_OK);
    EXPECT_EQ(ea_account_transfer(a, b, 10, NULL), EA_OK);
    EXPECT_EQ(stats_of(a).n_live, EA_CFG_ACCOUNT_COUNT ? 3 : 0);
    EXPECT_EQ(stats_of(b).n_live, EA_CFG_ACCOUNT_COUNT ? 1 : 0);
}

/* --- check ------------------------------------------------------------------------------------ */

TEST(accounts_check_names_what_is_broken, 0)
{
    ea_account_t *root = start(100), *a = make(root, 10, 50, 0);
    ea_accounts_fault_t fault;
    REQUIRE(ea_account_charge(a, 20, NULL) == EA_OK);
    expect_sound();
    a->eai_avail = 21;
    EXPECT_EQ(ea_accounts_check(&book, &fault), EA_ERR_CORRUPT);
    EXPECT(fault.where == a && fault.invariant[1] == '1');
    a->eai_avail = 0;
    root->eai_avail += 10; /* as if somebody had returned the same twice */
    EXPECT_EQ(ea_accounts_check(&book, &fault), EA_ERR_CORRUPT);
    EXPECT(fault.where == root && fault.invariant[1] == '1');
    root->eai_avail -= 10;
    a->eai_credit = 9;
    EXPECT_EQ(ea_accounts_check(&book, NULL), EA_ERR_CORRUPT);
    a->eai_credit = 20;
    a->eai_parent = NULL;
    EXPECT_EQ(ea_accounts_check(&book, &fault), EA_ERR_CORRUPT);
    EXPECT(fault.invariant[1] == '6');
    a->eai_parent = root;
    expect_sound();
}

TEST_MAIN(
    &accounts_begin_with_a_root_that_has_all_there_is,
    &accounts_grant_without_limit_where_none_is_set, &account_is_made_with_what_its_options_say,
    &account_is_not_made_where_it_cannot_be, &account_is_deleted_only_when_nothing_stands_on_it,
    &accounts_are_walked_in_the_order_of_their_ids,
    &account_charge_counts_at_every_level_and_return_gives_it_back,
    &account_max_refuses_at_the_level_it_is_set_at,
    &account_charge_of_nothing_is_granted_to_anybody, &account_min_is_kept_from_everybody_else,
    &account_takes_from_its_guarantee_first_and_only_what_is_missing_from_above,
    &account_return_of_more_than_was_charged_is_refused,
    &account_guarantee_survives_a_refusal_that_meets_a_return,
    &account_with_a_batch_asks_its_parent_less_often,
    &account_idle_credit_is_called_back_before_anybody_is_refused,
    &account_batch_stops_at_max_and_at_what_the_parent_has, &account_max_may_go_below_the_usage,
    &account_min_rises_by_what_the_parent_gives_and_sinks_back, &account_root_may_grow_and_shrink,
    &account_limits_that_are_not_enforced_are_counted, &account_transfer_hands_units_over,
    &account_is_high_above_its_mark, &account_low_protects_usage_from_being_reclaimed,
    &account_low_is_capped_by_the_accounts_above_and_shared_by_usage,
    &account_shares_of_large_numbers_do_not_overflow, &account_peaks_begin_anew,
    &account_live_charges_are_counted_where_that_is_wanted, &accounts_check_names_what_is_broken)
