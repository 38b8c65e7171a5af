/* SPDX-License-Identifier: MIT
 *
 * What can be asked of accounts. Nothing here changes what is charged.
 */
#include "accounts/account_internal.h"

#define LOAD(account, member) EAI_LOAD(&((account_t *)(account))->member, EAI_RELAXED)

/* --- one word or two -------------------------------------------------------------------------- */

size_t ea_account_committed(const account_t *account)
{
    return eai_account_used(account);
}

size_t ea_account_credit(const account_t *account)
{
    return LOAD(account, eai_credit);
}

bool ea_account_is_high(const account_t *account)
{
    return eai_account_used(account) > LOAD(account, eai_high);
}

/* --- statistics ------------------------------------------------------------------------------- */

/* The sums over the accounts below. */
static void add_below(const account_t *account, ea_account_stats_t *stats)
{
    const book_t *book = account->eai_book;
    uint32_t n_used = EAI_LOAD(&((book_t *)book)->eai_n_used, EAI_ACQUIRE);
    for (uint32_t i = 1; i < n_used; i++) {
        const account_t *node = &book->eai_nodes[i];
        if (node == account || !eai_account_is_live(node)) continue;
        if (!ea_account_is_below(node, account)) continue;
        units_t avail = LOAD(node, eai_avail);
        stats->used = eai_difference(stats->used, avail);
        stats->idle += avail;
        if (node->eai_parent != account) continue;
        stats->own = eai_difference(stats->own, LOAD(node, eai_credit));
    }
}

void ea_account_stats(const account_t *account, ea_account_stats_t *stats)
{
    bool is_root = account->eai_parent == NULL;
    units_t used = eai_account_used(account);
    stats->used = stats->own = used;
    stats->idle = LOAD(account, eai_avail);
    eai_accounts_enter(account->eai_book);
    add_below(account, stats);
    eai_accounts_leave(account->eai_book);
    stats->reserved = LOAD(account, eai_reserved);
    stats->peak = LOAD(account, eai_peak);
    if (stats->peak < used) stats->peak = used; /* somebody is about to say so */
    stats->credit = LOAD(account, eai_credit);
#if EA_CFG_ACCOUNT_COUNT
    size_t n_returns = LOAD(account, eai_n_returns);
    stats->n_live = LOAD(account, eai_n_charges) - n_returns;
#else
    stats->n_live = 0;
#endif
    stats->n_refused = LOAD(account, eai_n_refused);
    stats->n_limited = LOAD(account, eai_n_limited);
    stats->n_overruns = LOAD(account, eai_n_overruns);
    stats->limits.min = is_root ? 0 : LOAD(account, eai_floor);
    stats->limits.low = LOAD(account, eai_low);
    stats->limits.high = LOAD(account, eai_high);
    stats->limits.max = LOAD(account, eai_max);
    stats->batch = account->eai_batch;
    stats->name = account->eai_name;
    stats->id = account->eai_id;
    stats->depth = account->eai_depth;
    stats->priority = account->eai_priority;
}

void ea_accounts_reset_peaks(book_t *book)
{
    eai_accounts_enter(book);
    uint32_t n_used = EAI_LOAD(&book->eai_n_used, EAI_ACQUIRE);
    /* The highest ids last made stand lower in the tree or beside: from the bottom, so that no
     * parent's peak is below a child's for long. */
    for (uint32_t i = n_used; i-- > 0;) {
        account_t *node = &book->eai_nodes[i];
        if (!eai_account_is_live(node)) continue;
        EAI_STORE(&node->eai_peak, eai_account_used(node), EAI_RELAXED);
    }
    eai_accounts_leave(book);
}

/* --- protection ------------------------------------------------------------------------------- */

/* Usage that the account's own limits protect. */
static units_t own_protection(const account_t *account)
{
    units_t used = eai_account_used(account), low = LOAD(account, eai_low);
    units_t min = account->eai_parent == NULL ? 0 : LOAD(account, eai_floor);
    units_t most = low > min ? low : min;
    return used < most ? used : most;
}

/* The same summed over the children of an account. */
static units_t sum_of_protections(const account_t *parent)
{
    const book_t *book = parent->eai_book;
    uint32_t n_used = EAI_LOAD(&((book_t *)book)->eai_n_used, EAI_ACQUIRE);
    units_t sum = 0;
    for (uint32_t i = 1; i < n_used; i++) {
        const account_t *node = &book->eai_nodes[i];
        if (!eai_account_is_live(node) || node->eai_parent != parent) continue;
        units_t more = own_protection(node);
        sum = more > UINTPTR_MAX - sum ? UINTPTR_MAX : sum + more;
    }
    return sum;
}

/* part * whole / sum, rounded down, for part and whole up to sum. Above 32 bits the last digits do
 * not matter. */
static units_t share(uint64_t part, uint64_t whole, uint64_t sum)
{
    unsigned shift = 0;
    while (sum >> shift > UINT32_MAX) shift++;
    return (units_t)((((part >> shift) * (whole >> shift)) / (sum >> shift)) << shift);
}

size_t ea_account_reclaimable(const account_t *account)
{
    const account_t *path[EA_CFG_ACCOUNT_DEPTH];
    unsigned n = 0;
    if (account->eai_parent == NULL) return eai_account_used(account) - own_protection(account);
    for (const account_t *a = account; a->eai_parent != NULL; a = a->eai_parent) path[n++] = a;

    eai_accounts_enter(account->eai_book);
    units_t protection = own_protection(path[n - 1u]);
    for (unsigned i = n - 1u; i-- > 0;) {
        units_t own = own_protection(path[i]), sum = sum_of_protections(path[i]->eai_parent);
        protection = sum > protection ? share(own < sum ? own : sum, protection, sum) : own;
    }
    eai_accounts_leave(account->eai_book);
    return eai_difference(eai_account_used(account), protection);
}
