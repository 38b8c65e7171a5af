/* SPDX-License-Identifier: MIT
 *
 * Worst and median instructions of charge and return: of the root itself (depth 1), of an account
 * two levels below it (depth 3), of one with a batch.
 *
 *   exact     no batch, no guarantee: every level is charged
 *   min       guarantees at every level, so that a charge takes some here and some there
 *   batch     a batch at every level: mostly one word, sometimes all levels
 */
#include "count.h"
#include "ealloc/account.h"

#define N_ROUNDS 200u
#define MAX_LIVE 16u

static ea_account_t nodes[4];
static ea_accounts_t book;

static uint32_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % n;
}

static void stop(const char *what)
{
    board_put(what);
    board_exit(1);
}

/* The deepest account of a new tree. */
static ea_account_t *start(size_t min, size_t batch)
{
    const ea_account_limits_t limits = {.max = 1000};
    if (ea_accounts_init(&book, nodes, 4, &limits) != EA_OK) stop("init failed\n");
    ea_account_t *account = ea_accounts_root(&book);
    for (size_t depth = 1; depth < 3 && account != NULL; depth++) {
        const ea_account_options_t options = {.limits = {.min = min / depth}, .batch = batch};
        account = ea_account_create(&book, account, &options);
    }
    if (account == NULL) stop("create failed\n");
    return account;
}

static void charge(op_t op, ea_account_t *account, size_t n)
{
    uint32_t count = 0;
    if (COUNTED(&count, ea_account_charge, account, n, NULL, 0, 0) != EA_OK) stop("refused\n");
    count_note(op, count);
}

static void give_back(op_t op, ea_account_t *account, size_t n)
{
    uint32_t count = 0;
    if (COUNTED(&count, ea_account_return, account, n, 0, 0, 0) != EA_OK) stop("not returned\n");
    count_note(op, count);
}

static void refuse(op_t op, ea_account_t *account)
{
    uint32_t count = 0;
    if (COUNTED(&count, ea_account_charge, account, 2000, NULL, 0, 0) == EA_OK) stop("granted\n");
    count_note(op, count);
}

/* Up to 16 live charges, in no order. */
static void use(ea_account_t *account, op_t charging, op_t returning, op_t refusing)
{
    size_t live[MAX_LIVE], n_live = 0;
    for (unsigned round = 0; round < N_ROUNDS; round++) {
        if (n_live < MAX_LIVE && random_below(2)) {
            live[n_live] = random_below(40);
            charge(charging, account, live[n_live++]);
        } else if (n_live > 0) {
            size_t which = random_below((uint32_t)n_live);
            give_back(returning, account, live[which]);
            live[which] = live[--n_live];
        }
    }
    refuse(refusing, account);
}

int main(void)
{
    count_calibrate();
    count_scenario("exact");
    (void)start(0, 0);
    use(ea_accounts_root(&book), OP_ACCOUNT_CHARGE_1, OP_ACCOUNT_RETURN_1, OP_ACCOUNT_REFUSE_1);
    use(start(0, 0), OP_ACCOUNT_CHARGE_3, OP_ACCOUNT_RETURN_3, OP_ACCOUNT_REFUSE_3);
    count_report();
    count_scenario("min");
    use(start(100, 0), OP_ACCOUNT_CHARGE_3, OP_ACCOUNT_RETURN_3, OP_ACCOUNT_REFUSE_3);
    count_report();
    count_scenario("batch");
    use(start(0, 32), OP_ACCOUNT_CHARGE_BATCH, OP_ACCOUNT_RETURN_BATCH, OP_ACCOUNT_REFUSE_3);
    count_report();
    count_report_all();
    board_put("end\n");
    return 0;
}
