/* SPDX-License-Identifier: MIT
 *
 * Accounts against a trivial reference (rows A9, C4): random trees, random calls; the reference
 * adds up what is charged and what is guaranteed, node by node, and says what must be granted. One
 * context, so both must always agree: whatever idle credit is spread over the tree, a charge is
 * granted if and only if no limit stands against it. `account_model_test OPERATIONS [SEED]`.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/account.h"

#define N_NODES 14
#define N_CHARGES 64
#define N_RESERVATIONS 6

/* The reference's account. */
typedef struct {
    bool lives;
    int parent;
    size_t own, min, max;
} model_t;

typedef struct {
    int node;
    size_t n;
} charge_t;

typedef struct {
    int node; /* -1: none */
    size_t n;
    uint64_t expires_us;
    ea_reservation_t reservation;
} reserved_t;

static ea_account_t nodes[N_NODES];
static ea_accounts_t book;
static model_t model[N_NODES];
static charge_t charges[N_CHARGES];
static reserved_t reserved[N_RESERVATIONS];
static unsigned n_charges;
static bool has_batches;
static uint64_t random_state, now_us;
static unsigned long operation;
static const char *doing = "";

static size_t random_below(size_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state >> 16) % n;
}

static void wrong(const char *what)
{
    printf("not ok 1 - operation %lu, %s: %s\n0 passed, 1 failed\n", operation, doing, what);
    exit(1);
}

static void expect(bool so, const char *what)
{
    if (!so) wrong(what);
}

/* --- the reference ---------------------------------------------------------------------------- */

static size_t size_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What must be taken from the parent for a node: its usage, its min at least, of each below as
 * well.
 */
static size_t needed(int node, bool with_min)
{
    size_t sum = model[node].own;
    for (int i = 1; i < N_NODES; i++) {
        if (model[i].lives && model[i].parent == node) sum += needed(i, with_min);
    }
    return with_min ? size_max(sum, node == 0 ? 0 : model[node].min) : sum;
}

/* Whether a node may hold n more, and its min be another: no account above passes its max. */
static bool is_allowed(int node, size_t n, size_t min)
{
    model_t before = model[node];
    size_t was[N_NODES];
    bool allowed = true;
    for (int i = 0; i < N_NODES; i++) was[i] = model[i].lives ? needed(i, true) : 0;
    model[node].own += n;
    model[node].min = min;
    for (int i = node; i >= 0 && allowed; i = model[i].parent) {
        size_t now = needed(i, true);
        allowed = now <= model[i].max || now <= was[i]; /* what does not rise is not asked */
    }
    model[node] = before;
    return allowed;
}

/* --- comparing -------------------------------------------------------------------------------- */

static void compare(void)
{
    ea_accounts_fault_t fault;
    if (ea_accounts_check(&book, &fault) != EA_OK) wrong(fault.invariant);
    for (int i = 0; i < N_NODES; i++) {
        ea_account_t *account = ea_account_by_id(&book, (uint16_t)(i + 1));
        expect((account != NULL) == model[i].lives, "an account lives");
        if (account == NULL) continue;
        ea_account_stats_t stats;
        ea_account_stats(account, &stats);
        expect(stats.used == needed(i, false), "used");
        expect(stats.own == model[i].own, "own");
        expect(stats.credit == stats.used + stats.idle, "credit");
        expect(stats.peak >= stats.used, "peak");
        expect(i == 0 || stats.credit >= model[i].min, "min");
    }
}

/* --- operations ------------------------------------------------------------------------------- */

static int random_node(void)
{
    int node;
    do node = (int)random_below(N_NODES);
    while (!model[node].lives);
    return node;
}

static void do_charge(void)
{
    int node = random_node();
    size_t n = random_below(60);
    if (n_charges == N_CHARGES) return;
    bool allowed = n == 0 || is_allowed(node, n, model[node].min);
    ea_account_t *refuser = NULL;
    ea_status_t status = ea_account_charge(&nodes[node], n, &refuser);
    expect((status == EA_OK) == allowed, allowed ? "refused" : "granted");
    expect((status == EA_OK) == (refuser == NULL), "refuser");
    if (status != EA_OK) {
        expect(ea_account_is_below(&nodes[node], refuser), "the refuser stands above");
        return;
    }
    model[node].own += n;
    charges[n_charges++] = (charge_t){node, n};
}

static void do_return(void)
{
    if (n_charges == 0) return;
    size_t which = random_below(n_charges);
    charge_t charge = charges[which];
    if (random_below(4) == 0 && charge.n > 1) { /* a part */
        size_t part = 1 + random_below(charge.n - 1);
        charges[which].n -= part;
        charge.n = part;
    } else {
        charges[which] = charges[--n_charges];
    }
    expect(ea_account_return(&nodes[charge.node], charge.n) == EA_OK, "refused");
    model[charge.node].own -= charge.n;
}

static void do_return_too_much(void)
{
    int node = random_node();
    size_t used = ea_account_committed(&nodes[node]);
    expect(ea_account_return(&nodes[node], used + 1 + random_below(100)) == EA_ERR_INVALID,
           "granted");
}

static void do_transfer(void)
{
    if (n_charges == 0) return;
    charge_t *charge = &charges[random_below(n_charges)];
    int to = random_node();
    bool allowed = charge->n == 0 || to == charge->node || is_allowed(to, charge->n, model[to].min);
    ea_status_t status = ea_account_transfer(&nodes[charge->node], &nodes[to], charge->n, NULL);
    expect((status == EA_OK) == allowed, allowed ? "refused" : "granted");
    if (status != EA_OK) return;
    model[charge->node].own -= charge->n;
    model[to].own += charge->n;
    charge->node = to;
}

static void do_create(void)
{
    int parent = random_node();
    ea_account_options_t options = {.limits = {.min = random_below(3) ? 0 : random_below(30),
                                               .max = random_below(3) ? 0 : random_below(150)},
                                    .batch = has_batches ? random_below(20) : 0};
    size_t max = options.limits.max == 0 ? SIZE_MAX : options.limits.max;
    bool is_sound = options.limits.min <= max, has_room = false;
    for (int i = 0; i < N_NODES; i++) has_room = has_room || !model[i].lives;
    int depth = 0;
    for (int i = parent; i >= 0; i = model[i].parent) depth++;
    bool allowed =
        is_sound && has_room && depth < EA_CFG_ACCOUNT_DEPTH &&
        (options.limits.min == 0 || is_allowed(parent, options.limits.min, model[parent].min));
    ea_account_t *account = ea_account_create(&book, &nodes[parent], &options);
    expect((account != NULL) == allowed, allowed ? "refused" : "granted");
    if (account == NULL) return;
    model[account - nodes] = (model_t){true, parent, 0, options.limits.min, max};
}

static void do_delete(void)
{
    int node = random_node();
    bool busy = needed(node, false) > 0;
    for (int i = 1; i < N_NODES; i++) busy = busy || (model[i].lives && model[i].parent == node);
    for (unsigned i = 0; i < n_charges; i++) {
        if (charges[i].node == node && charges[i].n == 0) return; /* a charge of nothing */
    }
    ea_status_t status = ea_account_delete(&nodes[node]);
    expect(status == (node == 0 ? EA_ERR_INVALID : busy ? EA_ERR_BUSY : EA_OK), "status");
    if (status == EA_OK) model[node].lives = false;
}

static void do_set_limits(void)
{
    int node = random_node();
    ea_account_limits_t limits = {.min = random_below(3) ? 0 : random_below(40),
                                  .max = random_below(3) ? 0 : random_below(200)};
    /* Below the usage only where no account keeps what is returned. */
    size_t least = has_batches ? size_max(needed(node, true), limits.min) : 1;
    if (limits.max != 0 && limits.max < least) limits.max = least;
    size_t max = limits.max == 0 ? SIZE_MAX : limits.max;
    if (node == 0) {
        limits = (ea_account_limits_t){.max = size_max(least, 100 + random_below(400))};
        expect(ea_account_set_limits(nodes, &limits) == EA_OK, "root");
        model[0].max = limits.max;
        return;
    }
    /* The min is asked of the accounts above: this one's own max is not in its way. */
    bool allowed = limits.min <= max;
    size_t old_max = model[node].max;
    model[node].max = SIZE_MAX;
    allowed = allowed && is_allowed(node, 0, limits.min);
    model[node].max = old_max;
    ea_status_t status = ea_account_set_limits(&nodes[node], &limits);
    expect((status == EA_OK) == allowed, allowed ? "refused" : "granted");
    if (status != EA_OK) return;
    model[node].min = limits.min;
    model[node].max = max;
}

static void end_reserved(reserved_t *r)
{
    model[r->node].own -= r->n;
    r->node = -1;
}

static void do_reserve(void)
{
    reserved_t *r = &reserved[random_below(N_RESERVATIONS)];
    if (r->node < 0) {
        int node = random_node();
        size_t n = 1 + random_below(40);
        uint64_t expires_us = now_us + random_below(10);
        bool allowed = is_allowed(node, n, model[node].min);
        ea_status_t status = ea_account_reserve(&nodes[node], n, expires_us, &r->reservation);
        expect((status == EA_OK) == allowed, allowed ? "refused" : "granted");
        if (status != EA_OK) return;
        r->node = node;
        r->n = n;
        r->expires_us = expires_us;
        model[node].own += n;
        return;
    }
    if (random_below(2)) {
        expect(ea_reservation_cancel(&r->reservation) == EA_OK, "cancel");
        end_reserved(r);
    } else {
        ea_status_t status = ea_reservation_confirm(&r->reservation, now_us);
        expect(status == (now_us >= r->expires_us ? EA_ERR_TIMEOUT : EA_OK), "confirm");
        if (status == EA_OK && n_charges < N_CHARGES) {
            charges[n_charges++] = (charge_t){r->node, r->n};
            r->node = -1;
        } else {
            if (status == EA_OK) (void)ea_account_return(&nodes[r->node], r->n);
            end_reserved(r);
        }
    }
}

/* A sweep from its beginning to its end finds all whose time is over. */
static void do_expire(void)
{
    size_t n_over = 0, n_ended = 0;
    now_us += random_below(4);
    for (int i = 0; i < N_RESERVATIONS; i++) {
        reserved_t *r = &reserved[i];
        if (r->node < 0 || now_us < r->expires_us) continue;
        end_reserved(r);
        n_over++;
    }
    for (int i = 0; i < 2; i++) n_ended += ea_accounts_expire(&book, now_us, N_RESERVATIONS + 1);
    expect(n_ended == n_over, "number");
}

static void step(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
        unsigned weight;
    } operations[] = {
        {"charge", do_charge, 40},
        {"return", do_return, 30},
        {"too much", do_return_too_much, 2},
        {"transfer", do_transfer, 8},
        {"create", do_create, 6},
        {"delete", do_delete, 6},
        {"limits", do_set_limits, 4},
        {"reserve", do_reserve, 8},
        {"expire", do_expire, 2},
    };
    size_t choice = random_below(106), i = 0;
    while (choice >= operations[i].weight) choice -= operations[i++].weight;
    doing = operations[i].name;
    operations[i].run();
    compare();
}

int main(int argc, char **argv)
{
    unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000;
    unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    printf("# seed %lu\n", seed);
    random_state = seed * 0x9E3779B97F4A7C15u | 1u;
    for (operation = 0; operation < n; operation++) {
        if (operation % 5000 == 0) {
            const ea_account_limits_t all = {.max = 300};
            if (ea_accounts_init(&book, nodes, N_NODES, &all) != EA_OK) wrong("init");
            memset(model, 0, sizeof model);
            model[0] = (model_t){true, -1, 0, 0, 300};
            n_charges = 0;
            has_batches = operation % 10000 != 0;
            for (int i = 0; i < N_RESERVATIONS; i++) reserved[i].node = -1;
        }
        step();
    }
    printf("ok 1 - accounts agree with their model over %lu operations\n1 passed, 0 failed\n", n);
    return 0;
}
