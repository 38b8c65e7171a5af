/* SPDX-License-Identifier: MIT
 *
 * Every bit of the accounts of a tree at rest, of the book and of a reservation is flipped, one at
 * a time; ea_accounts_check() changes nothing, names an invariant, and finds
 *   - every flip in what changes only with the tree, and in reservations;
 *   - of the numbers that charges change what contradicts others: the rate is printed.
 * Left out are counters that mean nothing to the tree. And random bytes: the check must survive
 * them.
 */
#include <stdlib.h>
#include <string.h>

#include "ealloc/account.h"
#include "tap.h"

#define N_NODES 8u

static ea_account_t nodes[N_NODES];
static ea_accounts_t book;
static ea_reservation_t reservations[3];
static unsigned long n_flips, n_found;

static ea_account_t *make(ea_account_t *parent, size_t min, size_t batch)
{
    ea_account_options_t options = {
        .name = "name", .limits = {min, 10, 5000, 9000}, .batch = batch, .priority = 3};
    return ea_account_create(&book, parent, &options);
}

/* Two levels below the root, guarantees and batches, charges at every level. */
static bool make_tree(void)
{
    const ea_account_limits_t all = {.max = 20000};
    if (ea_accounts_init(&book, nodes, N_NODES, &all) != EA_OK) return false;
    ea_account_t *a = make(nodes, 100, 0), *b = make(nodes, 0, 64);
    ea_account_t *c = make(a, 50, 0), *d = make(a, 0, 16), *gone = make(a, 0, 0);
    if (gone == NULL || ea_account_delete(gone) != EA_OK) return false;
    ea_account_t *const charged[] = {b, c, d};
    for (size_t i = 0; i < 3; i++) {
        if (ea_account_charge(charged[i], 333 + i, NULL) != EA_OK) return false;
        if (ea_account_reserve(charged[i], 40, 1000 + i, &reservations[i]) != EA_OK) return false;
    }
    return ea_accounts_check(&book, NULL) == EA_OK;
}

/* Flips n bytes' bits; returns how many the check finds. */
static unsigned long flip(const char *what, void *where, size_t n_bytes, bool all)
{
    unsigned char *bytes = where;
    unsigned long found = 0;
    for (size_t bit = 0; bit < 8 * n_bytes; bit++) {
        ea_accounts_fault_t fault;
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        unsigned char damaged = bytes[bit / 8];
        bool is_found = ea_accounts_check(&book, &fault) == EA_ERR_CORRUPT;
        EXPECT_EQ(bytes[bit / 8], damaged);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        found += is_found;
        if (all && !is_found) tap_fail(__FILE__, __LINE__, what, (long long)bit, -1);
        if (is_found && fault.invariant[0] != 'C') tap_fail(__FILE__, __LINE__, what, 0, 1);
    }
    n_flips += 8 * n_bytes;
    n_found += found;
    EXPECT_EQ(ea_accounts_check(&book, NULL), EA_OK);
    return found;
}
#define FLIP(object, member) flip(#member, &(object)->member, sizeof(object)->member, true)

TEST(accounts_check_finds_every_flipped_bit_of_the_tree, 0)
{
    REQUIRE(make_tree());
    n_flips = n_found = 0;
    FLIP(&book, eai_nodes);
    FLIP(&book, eai_n_nodes);
    FLIP(&book, eai_seal);
    for (ea_account_t *a = NULL; (a = ea_accounts_next(&book, a)) != NULL;) {
        FLIP(a, eai_floor);
        FLIP(a, eai_max);
        FLIP(a, eai_low);
        FLIP(a, eai_high);
        FLIP(a, eai_batch);
        FLIP(a, eai_parent);
        FLIP(a, eai_book);
        FLIP(a, eai_name);
        FLIP(a, eai_id);
        FLIP(a, eai_depth);
        FLIP(a, eai_priority);
        FLIP(a, eai_state);
        FLIP(a, eai_seal);
        FLIP(a, eai_reserved);
    }
    for (size_t i = 0; i < 3; i++) {
        FLIP(&reservations[i], eai_account);
        FLIP(&reservations[i], eai_n);
        FLIP(&reservations[i], eai_expires_us);
        FLIP(&reservations[i], eai_next);
        FLIP(&reservations[i], eai_prev);
        FLIP(&reservations[i], eai_state);
        FLIP(&reservations[i], eai_seal);
    }
    tap_note("flips", (long long)n_flips);
}

/* avail and credit are what there is; nothing else says what was charged. */
TEST(accounts_check_finds_flipped_numbers_that_contradict_others, 0)
{
    REQUIRE(make_tree());
    n_flips = n_found = 0;
    for (ea_account_t *a = NULL; (a = ea_accounts_next(&book, a)) != NULL;) {
        (void)flip("avail", &a->eai_avail, sizeof a->eai_avail, false);
        (void)flip("credit", &a->eai_credit, sizeof a->eai_credit, false);
    }
    tap_note("flips", (long long)n_flips);
    tap_note("found, permille", (long long)(n_found * 1000 / n_flips));
    EXPECT(n_found * 100 >= n_flips * (sizeof(size_t) == 8 ? 90 : 80));
}

TEST(accounts_check_survives_random_bytes, 0)
{
    uint32_t random = (uint32_t)tap_arg("seed", 1);
    tap_note("seed", random);
    for (unsigned round = 0; round < 20000; round++) {
        REQUIRE(make_tree());
        for (unsigned i = 0; i < 1 + round % 16; i++) {
            random = random * 1664525u + 1013904223u;
            ((unsigned char *)nodes)[(random >> 8) % sizeof nodes] = (unsigned char)random;
        }
        ea_status_t status = ea_accounts_check(&book, NULL);
        if (status != EA_OK && status != EA_ERR_CORRUPT) EXPECT_EQ(status, EA_ERR_CORRUPT);
    }
}

TEST_MAIN(&accounts_check_finds_every_flipped_bit_of_the_tree,
          &accounts_check_finds_flipped_numbers_that_contradict_others,
          &accounts_check_survives_random_bytes)
