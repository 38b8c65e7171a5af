/* SPDX-License-Identifier: MIT
 *
 * The life of accounts and their limits. Functions that change the tree are kept apart by the
 * caller; charges, returns and walks go on meanwhile.
 */
#include "accounts/account_internal.h"
#include "base/mem.h"

#define MOST_BATCH (UINTPTR_MAX / 4u) /* twice as much is still a number */

static bool is_unlimited(size_t limit)
{
    return limit == 0 || limit == EA_ACCOUNT_UNLIMITED;
}

static units_t limit_of(size_t limit)
{
    return is_unlimited(limit) ? EA_ACCOUNT_UNLIMITED : limit;
}

static bool are_sound(const ea_account_limits_t *limits)
{
    return limits->min <= limit_of(limits->max);
}

static void store_marks(account_t *account, const ea_account_limits_t *limits)
{
    EAI_STORE(&account->eai_low, limits->low, EAI_RELAXED);
    EAI_STORE(&account->eai_high, limit_of(limits->high), EAI_RELAXED);
}

/* n units more of credit, all of it idle. */
static void add_credit(account_t *account, units_t n)
{
    for (bool done = false; !done;) {
        EAI_ENTER(irq);
        units_t credit = EAI_LOAD_LINKED(&account->eai_credit);
        done = EAI_STORE_COND(&account->eai_credit, credit, credit + n);
        EAI_LEAVE(irq);
    }
    eai_account_put(account, n);
}

/* --- making ----------------------------------------------------------------------------------- */

static void fill_node(book_t *book, account_t *node, account_t *parent,
                      const ea_account_options_t *options)
{
    memset(node, 0, sizeof *node);
    node->eai_batch = options->batch < MOST_BATCH ? options->batch : MOST_BATCH;
    node->eai_parent = parent;
    node->eai_book = book;
    node->eai_name = options->name;
    node->eai_id = (uint16_t)(node - book->eai_nodes + 1);
    node->eai_depth = parent == NULL ? 0 : (uint8_t)(parent->eai_depth + 1u);
    node->eai_priority = options->priority;
    store_marks(node, &options->limits);
    EAI_STORE(&node->eai_max, limit_of(options->limits.max), EAI_RELAXED);
}

/* floor units are its credit. */
static void begin_node(account_t *node, units_t floor)
{
    EAI_STORE(&node->eai_floor, floor, EAI_RELAXED);
    EAI_STORE(&node->eai_credit, floor, EAI_RELAXED);
    EAI_STORE(&node->eai_avail, floor, EAI_RELAXED);
    node->eai_seal = eai_account_seal(node);
    EAI_STORE(&node->eai_state, STATE_LIVE, EAI_SEQ_CST);
}

ea_status_t ea_accounts_init(book_t *book, account_t *nodes, size_t n_nodes,
                             const ea_account_limits_t *root_limits)
{
    ea_account_options_t options = {NULL, {0, 0, 0, 0}, 0, 0};
    if (book == NULL || nodes == NULL || n_nodes == 0 || n_nodes > EA_ACCOUNTS_MAX) {
        return EA_ERR_INVALID;
    }
    if (root_limits != NULL) options.limits = *root_limits;
    memset(book, 0, sizeof *book);
    memset(nodes, 0, n_nodes * sizeof *nodes);
    book->eai_nodes = nodes;
    book->eai_n_nodes = (uint32_t)n_nodes;
    EAI_STORE(&book->eai_enforce, 1u, EAI_RELAXED);
    EAI_STORE(&book->eai_n_used, 1u, EAI_RELAXED);
    fill_node(book, nodes, NULL, &options);
    begin_node(nodes, limit_of(options.limits.max));
    book->eai_seal = eai_accounts_seal(book);
    return EA_OK;
}

static account_t *find_free(book_t *book)
{
    for (uint32_t i = 1; i < book->eai_n_nodes; i++) {
        account_t *node = &book->eai_nodes[i];
        if (EAI_LOAD(&node->eai_state, EAI_RELAXED) == STATE_FREE) return node;
    }
    return NULL;
}

account_t *ea_account_create(book_t *book, account_t *parent, const ea_account_options_t *options)
{
    static const ea_account_options_t defaults = {NULL, {0, 0, 0, 0}, 0, 0};
    if (options == NULL) options = &defaults;
    if (parent == NULL || parent->eai_book != book || !eai_account_is_live(parent)) return NULL;
    if (parent->eai_depth + 1u >= EA_CFG_ACCOUNT_DEPTH || !are_sound(&options->limits)) return NULL;
    account_t *node = find_free(book);
    if (node == NULL) return NULL;
    bool is_granted = eai_account_obtain(parent, options->limits.min) == NULL;
    eai_accounts_tell(book); /* what it held for a moment */
    if (!is_granted) return NULL;

    fill_node(book, node, parent, options);
    if (options->batch > 0 || options->limits.min > 0) {
        EAI_STORE(&book->eai_holds, 1u, EAI_RELAXED);
    }
    uint32_t n_used = (uint32_t)(node - book->eai_nodes) + 1u;
    if (n_used > EAI_LOAD(&book->eai_n_used, EAI_RELAXED)) {
        EAI_STORE(&book->eai_n_used, n_used, EAI_RELEASE);
    }
    begin_node(node, options->limits.min);
    return node;
}

/* --- deleting --------------------------------------------------------------------------------- */

static bool has_children(const account_t *account)
{
    const book_t *book = account->eai_book;
    uint32_t n_used = EAI_LOAD(&((book_t *)book)->eai_n_used, EAI_RELAXED);
    for (uint32_t i = 1; i < n_used; i++) {
        const account_t *node = &book->eai_nodes[i];
        if (eai_account_is_live(node) && node->eai_parent == account) return true;
    }
    return false;
}

ea_status_t ea_account_delete(account_t *account)
{
    if (account == NULL || account->eai_parent == NULL || !eai_account_is_live(account)) {
        return EA_ERR_INVALID;
    }
    if (has_children(account)) return EA_ERR_BUSY;
    /* Who comes later does not look at it; who looks at it already is seen. */
    EAI_STORE(&account->eai_state, STATE_ENDING, EAI_SEQ_CST);
    units_t floor = EAI_LOAD(&account->eai_floor, EAI_RELAXED);
    bool busy = EAI_LOAD(&account->eai_book->eai_n_inside, EAI_SEQ_CST) != 0 ||
                eai_account_used(account) != 0;
    if (!busy) {
        /* Nothing is in use: all can be shed, unless somebody uses it now. */
        EAI_STORE(&account->eai_floor, 0, EAI_RELAXED);
        units_t n = eai_account_shed(account, 0);
        busy = EAI_LOAD(&account->eai_credit, EAI_RELAXED) != 0;
        if (busy) {
            add_credit(account, n);
            EAI_STORE(&account->eai_floor, floor, EAI_RELAXED);
        } else {
            eai_account_give(account->eai_parent, n);
        }
    }
    EAI_STORE(&account->eai_state, busy ? STATE_LIVE : STATE_FREE, EAI_SEQ_CST);
    eai_accounts_tell(account->eai_book);
    return busy ? EA_ERR_BUSY : EA_OK;
}

/* --- limits ----------------------------------------------------------------------------------- */

/* Credit up to a higher floor; false: the parent refuses. The floor is stored first, so that no
 * return lowers what was raised. Each repetition had its floor missed because of a return. */
static bool raise_to_floor(account_t *account, units_t floor)
{
    for (;;) {
        units_t missing = eai_difference(floor, EAI_LOAD(&account->eai_credit, EAI_ACQUIRE));
        if (missing == 0) return true;
        if (account->eai_parent != NULL &&
            eai_account_obtain(account->eai_parent, missing) != NULL) {
            return false;
        }
        add_credit(account, missing);
    }
}

ea_status_t ea_account_set_limits(account_t *account, const ea_account_limits_t *limits)
{
    if (account == NULL || limits == NULL || !eai_account_is_live(account)) return EA_ERR_INVALID;
    bool is_root = account->eai_parent == NULL;
    if (!is_root && !are_sound(limits)) return EA_ERR_INVALID;
    units_t max = limit_of(limits->max), floor = is_root ? max : limits->min;
    units_t old_floor = EAI_LOAD(&account->eai_floor, EAI_RELAXED);
    units_t old_max = EAI_LOAD(&account->eai_max, EAI_RELAXED);

    if (max > old_max) EAI_STORE(&account->eai_max, max, EAI_SEQ_CST);
    EAI_STORE(&account->eai_floor, floor, EAI_RELAXED);
    bool granted = raise_to_floor(account, floor);
    if (granted) {
        if (floor > 0) EAI_STORE(&account->eai_book->eai_holds, 1u, EAI_RELAXED);
        EAI_STORE(&account->eai_max, max, EAI_SEQ_CST);
        store_marks(account, limits);
    } else {
        EAI_STORE(&account->eai_floor, old_floor, EAI_RELAXED);
        EAI_STORE(&account->eai_max, old_max, EAI_RELAXED);
    }
    bool is_above = EAI_LOAD(&account->eai_credit, EAI_RELAXED) > max;
    if (granted && is_above) {
        EAI_STORE(&account->eai_book->eai_loose, 1u, EAI_RELAXED);
        (void)eai_account_recall(account);
    }
    account->eai_seal = eai_account_seal(account);
    /* What is guaranteed no longer, or came twice, goes back. */
    units_t n = eai_account_shed(account, is_above ? 0 : account->eai_batch);
    if (n > 0) eai_account_give(account->eai_parent, n);
    eai_accounts_tell(account->eai_book);
    return granted ? EA_OK : EA_ERR_LIMIT;
}

void ea_accounts_set_enforce(book_t *book, bool enforce)
{
    if (!enforce) EAI_STORE(&book->eai_loose, 1u, EAI_RELAXED);
    EAI_STORE(&book->eai_enforce, enforce ? 1u : 0u, EAI_SEQ_CST);
    eai_accounts_tell(book);
}

/* --- finding ---------------------------------------------------------------------------------- */

account_t *ea_account_by_id(const book_t *book, uint16_t id)
{
    if (id == 0 || id > book->eai_n_nodes) return NULL;
    account_t *node = &book->eai_nodes[id - 1u];
    return eai_account_is_live(node) ? node : NULL;
}

account_t *ea_accounts_next(const book_t *book, const account_t *after)
{
    uint32_t n_used = EAI_LOAD(&((book_t *)book)->eai_n_used, EAI_ACQUIRE);
    uint32_t i = after == NULL ? 0 : (uint32_t)(after - book->eai_nodes) + 1u;
    while (i < n_used && !eai_account_is_live(&book->eai_nodes[i])) i++;
    return i < n_used ? &book->eai_nodes[i] : NULL;
}
