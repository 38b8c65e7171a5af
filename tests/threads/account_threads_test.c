/* SPDX-License-Identifier: MIT
 *
 * Threads on one tree of accounts (rows C4, C5), 8 on three levels with guarantees. Each adds what
 * it was granted to a shadow counter of every account above, after the charge and before the
 * return: no sum it sees there may exceed that account's max. In the end every number is what the
 * tree says. With others at work: one thread changes limits, makes and deletes accounts, the others
 * also transfer and reserve. `account_threads rounds=N seed=N` for a longer run.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "ealloc/account.h"
#include "ealloc/config.h"
#include "tap.h"

/* The mask of the POSIX port takes system calls. */
#if EA_CFG_ATOMICS == 3
#define N_ROUNDS 4000
#else
#define N_ROUNDS 30000
#endif
#define N_THREADS 8
#define N_TOPS 4
#define N_LEAVES 16
#define N_NODES (1 + N_TOPS + N_LEAVES + 4)
#define N_HELD 24
#define ROOT_MAX 400u
#define TOP_MAX 140u
#define LEAF_MAX 50u

typedef struct {
    ea_account_t *account;
    size_t n;
} held_t;

static ea_account_t nodes[N_NODES];
static ea_accounts_t book;
static ea_account_t *leaves[N_LEAVES];
static atomic_size_t shadow[N_NODES];
static atomic_uint n_wrong, n_granted, n_refused, n_expired;
static atomic_bool stop;
static unsigned n_rounds;
static bool with_others; /* transfers, reservations, changes of the tree */

static void fail(void)
{
    atomic_fetch_add(&n_wrong, 1);
}

static size_t max_of(const ea_account_t *account)
{
    if (account == nodes) return ROOT_MAX;
    return ea_account_parent(account) == nodes ? TOP_MAX : LEAF_MAX;
}

static void count_in(const ea_account_t *account, size_t n)
{
    for (const ea_account_t *a = account; a != NULL; a = ea_account_parent(a)) {
        size_t now = atomic_fetch_add_explicit(&shadow[a - nodes], n, memory_order_relaxed) + n;
        if (now > max_of(a)) fail();
    }
}

static void count_out(const ea_account_t *account, size_t n)
{
    for (const ea_account_t *a = account; a != NULL; a = ea_account_parent(a)) {
        atomic_fetch_sub_explicit(&shadow[a - nodes], n, memory_order_relaxed);
    }
}

static void give_back(const held_t *held)
{
    count_out(held->account, held->n);
    if (ea_account_return(held->account, held->n) != EA_OK) fail();
}

static void hand_over(held_t *held, ea_account_t *to)
{
    count_out(held->account, held->n); /* from when on it counts there no more is not known */
    ea_status_t status = ea_account_transfer(held->account, to, held->n, NULL);
    if (status == EA_OK) held->account = to;
    if (status == EA_ERR_INVALID) fail();
    count_in(held->account, held->n);
}

/* Reserved, swept by whoever comes by, and confirmed or cancelled: it ends once. */
static void reserve(ea_account_t *account, size_t n, uint32_t random)
{
    ea_reservation_t reservation;
    if (ea_account_reserve(account, n, random % 8, &reservation) != EA_OK) return;
    size_t n_swept = ea_accounts_expire(&book, random / 8 % 8, 4);
    atomic_fetch_add(&n_expired, (unsigned)n_swept);
    if (random & 64) {
        ea_status_t status = ea_reservation_confirm(&reservation, 4);
        if (status == EA_OK) {
            held_t held = {account, n};
            count_in(account, n);
            give_back(&held);
        } else if (status != EA_ERR_TIMEOUT) {
            fail();
        }
    } else {
        ea_status_t status = ea_reservation_cancel(&reservation);
        if (status != EA_OK && status != EA_ERR_NOT_FOUND) fail();
    }
    if (ea_reservation_cancel(&reservation) != EA_ERR_NOT_FOUND) fail();
}

static void *work(void *arg)
{
    held_t held[N_HELD];
    unsigned n_held = 0;
    uint32_t random = (uint32_t)(uintptr_t)arg * 2654435761u + 1u;
    for (unsigned round = 0; round < n_rounds; round++) {
        random = random * 1664525u + 1013904223u;
        ea_account_t *account = leaves[random >> 28];
        size_t n = (random >> 20) % 24;
        unsigned choice = (random >> 8) % 16;
        if (choice < 8 && n_held < N_HELD) {
            if (ea_account_charge(account, n, NULL) == EA_OK) {
                count_in(account, n);
                held[n_held++] = (held_t){account, n};
                atomic_fetch_add(&n_granted, 1);
            } else {
                atomic_fetch_add(&n_refused, 1);
            }
        } else if (choice < 13 || !with_others) {
            if (n_held > 0) give_back(&held[--n_held]);
        } else if (choice == 13) {
            if (n_held > 0) hand_over(&held[n_held - 1], account);
        } else {
            reserve(account, n + 1, random);
        }
    }
    while (n_held > 0) give_back(&held[--n_held]);
    return NULL;
}

/* The one that changes the tree; no max, for the others' sums count on them. */
static void *change(void *arg)
{
    uint32_t random = 7;
    ea_account_t *made = NULL;
    (void)arg;
    while (!atomic_load(&stop)) {
        random = random * 1664525u + 1013904223u;
        ea_account_t *leaf = leaves[random >> 28];
        const ea_account_limits_t limits = {(random >> 16) % 20, random % 50, 60, LEAF_MAX};
        if (ea_account_set_limits(leaf, &limits) == EA_ERR_INVALID) fail();
        if (made == NULL) {
            made = ea_account_create(&book, leaf, &(ea_account_options_t){.limits = {.min = 2}});
        } else if (ea_account_delete(made) != EA_ERR_BUSY) { /* a walk may be under way */
            made = NULL;
        }
        ea_account_stats_t stats;
        ea_account_stats(nodes, &stats);
        if (ea_account_reclaimable(leaf) > LEAF_MAX) fail();
    }
    while (made != NULL && ea_account_delete(made) == EA_ERR_BUSY) continue;
    return NULL;
}

static bool start(size_t batch, size_t min)
{
    const ea_account_limits_t limits = {.max = ROOT_MAX};
    if (ea_accounts_init(&book, nodes, N_NODES, &limits) != EA_OK) return false;
    memset(shadow, 0, sizeof shadow);
    for (unsigned i = 0; i < N_TOPS; i++) {
        ea_account_t *top = ea_account_create(
            &book, nodes,
            &(ea_account_options_t){.limits = {.min = 8 * min, .max = TOP_MAX}, .batch = batch});
        for (unsigned k = 0; top != NULL && k < N_LEAVES / N_TOPS; k++) {
            leaves[i * N_LEAVES / N_TOPS + k] = ea_account_create(
                &book, top,
                &(ea_account_options_t){.limits = {.min = min, .max = LEAF_MAX}, .batch = batch});
        }
    }
    return leaves[N_LEAVES - 1] != NULL;
}

static void expect_rest(void)
{
    ea_accounts_fault_t fault;
    ea_status_t status = ea_accounts_check(&book, &fault);
    if (status != EA_OK) tap_fail(__FILE__, __LINE__, fault.invariant, status, EA_OK);
    for (ea_account_t *a = NULL; (a = ea_accounts_next(&book, a)) != NULL;) {
        ea_account_stats_t stats;
        ea_account_stats(a, &stats);
        EXPECT_EQ(stats.used, 0);
        EXPECT_EQ(stats.reserved, 0);
        if (a != nodes) EXPECT(stats.peak <= max_of(a) + LEAF_MAX);
    }
    EXPECT_EQ(atomic_load(&n_wrong), 0);
}

static void run(size_t batch, size_t min, bool others)
{
    pthread_t threads[N_THREADS], changer;
    n_rounds = (unsigned)tap_arg("rounds", N_ROUNDS);
    with_others = others;
    atomic_store(&stop, false);
    atomic_store(&n_granted, 0);
    atomic_store(&n_refused, 0);
    REQUIRE(start(batch, min));
    unsigned long seed = tap_arg("seed", 1);
    for (uintptr_t i = 0; i < N_THREADS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, work, (void *)(i + seed * N_THREADS)) == 0);
    }
    if (others) REQUIRE(pthread_create(&changer, NULL, change, NULL) == 0);
    for (unsigned i = 0; i < N_THREADS; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    atomic_store(&stop, true);
    if (others) EXPECT_EQ(pthread_join(changer, NULL), 0);
    tap_note("granted", atomic_load(&n_granted));
    tap_note("refused", atomic_load(&n_refused));
    EXPECT(atomic_load(&n_granted) > 0 && atomic_load(&n_refused) > 0);
    expect_rest();
}

TEST(accounts_of_eight_threads_exceed_no_limit_exactly, 0)
{
    run(0, 0, false);
    run(0, 10, false);
}

TEST(accounts_of_eight_threads_exceed_no_limit_with_batches, 0)
{
    run(4, 0, false);
    run(16, 10, false);
}

TEST(accounts_of_eight_threads_survive_transfers_reservations_and_changes_of_the_tree, 0)
{
    run(0, 10, true);
    run(8, 5, true);
}

TEST_MAIN(&accounts_of_eight_threads_exceed_no_limit_exactly,
          &accounts_of_eight_threads_exceed_no_limit_with_batches,
          &accounts_of_eight_threads_survive_transfers_reservations_and_changes_of_the_tree)
