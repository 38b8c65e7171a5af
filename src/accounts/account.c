/* SPDX-License-Identifier: MIT
 *
 * Accounts: charge and return. account_tree.c holds the life of accounts, account_reserve.c
 * reservations, account_stats.c numbers, account_check.c the check.
 *
 * An account hands out credit that its parent granted:
 *
 *     root    credit 100 = [ 60 in use: a's credit, b's credit, its own charges | 40 avail ]
 *     a         credit 40 = [ 32 in use | 8 avail ]        floor (min) 10
 *     b         credit 20 = [ 20 in use | 0 avail ]        floor 20
 *
 * avail is one word: who takes n from it has been charged, whatever stands above. Only when it does
 * not suffice the parent is asked, and only what is not wanted any more goes back to it. What is in
 * use, credit - avail, is not stored.
 *
 * Invariants, at every instant, whatever is under way
 *   C1 what the units of an account are in use for (its own charges and the credit of its children)
 *      is at most credit - avail. The difference is what is on its way, in the hands of calls.
 *   C2 credit is raised to max at most, and given back down to floor at most
 * so
 *   C3 what is charged to an account and all below it never exceeds max. By C1, applied from the
 *      bottom to the top, it is at most the account's credit - avail.
 *   C4 floor units are an account's own: it can always have them, since its credit never falls
 *      below and each unit of it is counted at its parent as in use.
 *
 * Why C1 holds. There are five steps, each one access to one word:
 *     take   avail -= n   if it is there: n units are in the caller's hands
 *     put    avail += n   with n units that are in the caller's hands
 *     raise  credit += n  with n units taken from the parent that are in the caller's hands; they
 *                         stay there, as the account's
 *     lower  credit -= n  n units of the account in the caller's hands are now the parent's
 *     use    nothing      units in the caller's hands are charged, or were until now
 * Each keeps C1 for the account, since credit - avail moves by what passes through the caller's
 * hands, and for the parent, for which raise and lower move units between the caller's hands and
 * the child. A charge is: take what is there; for what is missing do the same at the parent, and
 * raise. A return: lower as far as floor allows and do the same at the parent; put the rest.
 *
 * The order matters. Credit is raised after the parent was charged for it. The other order (raise,
 * ask the parent, lower again if it refuses) looks the same and is wrong, even when it never lowers
 * below floor: while the parent is asked the credit is up without cover, and a return that comes in
 * between sees credit above floor and gives the parent units that the parent never granted. It
 * then grants them twice. The same is wrong with "add at every level, take back if one refuses":
 * floor 10, used 8. A charges 4 and is to be refused: used 12, the parent will be asked for 2. B
 * returns 4: used 8, and 2 go back to the parent. A is refused: used 4. The parent has 2 of the 10
 * that are this account's to give to others.
 *
 * Limits are looked at on the way up, where refusing costs nothing, and decided by the
 * compare-and-swap that raises. Where that fails because another charge took the room the units go
 * back as by a return. Until then they count at the parents: a charge that is about to be refused
 * can be the reason why another one is.
 *
 * Idle credit. With a batch an account raises more than it needs and puts the rest. A min is put by
 * ea_account_create(). With batch 0 and a min a return that meets a charge may leave avail above
 * zero while credit is above floor; the next return or refusal collects it. Before a charge is
 * refused for good the idle credit below the account that refused is called back, from the bottom
 * up, and the charge is tried once more.
 *
 * The root. Nobody grants it anything: its floor is its max, so returns are put. Where limits are
 * not enforced it is raised without a parent; that is an overdraft, which returns lower first, as
 * they lower any credit above floor.
 *
 * Order of accesses. Take and raise are acquire, put and lower are release, and all are
 * read-modify-writes: who takes units has seen all that was done before they were returned.
 *
 * Complexity: a call repeats only what another context's call between two of its accesses undid,
 * and each repetition means that one got through. Up and down; where that is refused once more
 * without batches, and once for each level that refuses, with a walk over the nodes before.
 *
 * Rejected: adding at every level (see above; and 6 accesses even where it could be 2); a lock or a
 * masked section around the walk up (not constant); a word with used and credit side by side (half
 * the range, or 64-bit accesses where the machine has none).
 */
#include "accounts/account_internal.h"

/* A put that was prepared by EAI_LOAD_LINKED, or not. Who puts looks afterwards whether somebody
 * waits (eai_accounts_are_waited_for()), and who waits looks at what was put: in one order. */
#if EAI_ATOMICS == 2
#define RELEASE_COND EAI_STORE_COND
#elif EA_CFG_MONITOR_WAIT
#define RELEASE_COND EAI_CAS_SEQ_CST
#else
#define RELEASE_COND EAI_CAS
#endif

/* --- counters --------------------------------------------------------------------------------- */

/* member is atomic and has no other writers than this. */
#define COUNT(account, member)                                                                     \
    do {                                                                                           \
        EAI_ENTER(masked);                                                                         \
        EAI_COUNT(account, member);                                                                \
        EAI_LEAVE(masked);                                                                         \
    } while (0)

#if EA_CFG_ACCOUNT_COUNT
#define COUNT_LIVE(account, member) COUNT(account, member)
#else
#define COUNT_LIVE(account, member) (void)(account)
#endif

static EA_NOINLINE void raise_peak(account_t *account, units_t credit, units_t avail)
{
    units_t used = eai_difference(credit, avail);
    for (bool done = false; !done;) {
        EAI_ENTER(irq);
        units_t peak = EAI_LOAD_LINKED(&account->eai_peak);
        done = peak >= used || EAI_STORE_COND(&account->eai_peak, peak, used);
        EAI_LEAVE(irq);
    }
}

/* Of credit so much was idle at some moment. The word that was not stored is loaded after the one
 * that was: of two contexts at least one sees what both have done. */
EA_INLINE void note_use(account_t *account, units_t credit, units_t avail)
{
    units_t peak = EAI_LOAD(&account->eai_peak, EAI_RELAXED);
    if (EA_UNLIKELY(credit - avail > peak)) raise_peak(account, credit, avail);
}

/* How hard to try: with batches, without, against all limits. */
typedef enum { WITH_BATCH, EXACTLY, BY_FORCE } effort_t;

EA_INLINE units_t max_of(account_t *account, effort_t effort)
{
    return effort == BY_FORCE ? UINTPTR_MAX : EAI_LOAD(&account->eai_max, EAI_RELAXED);
}

/* --- the steps -------------------------------------------------------------------------------- */

/* n units out of avail, or as many as there are. */
EA_INLINE units_t take(account_t *account, units_t n)
{
    for (;;) {
        EAI_ENTER(irq);
        units_t avail = EAI_LOAD_LINKED(&account->eai_avail), taken = avail < n ? avail : n;
        bool done = taken == 0 || EAI_STORE_COND(&account->eai_avail, avail, avail - taken);
        EAI_LEAVE(irq);
        if (EA_UNLIKELY(!done)) continue;
        if (taken == n) {
            note_use(account, EAI_LOAD(&account->eai_credit, EAI_RELAXED), avail - taken);
        }
        return taken;
    }
}

/* n units or none: the whole of a charge where credit is held. */
EA_INLINE bool take_all(account_t *account, units_t n)
{
    for (;;) {
        EAI_ENTER(irq);
        units_t avail = EAI_LOAD_LINKED(&account->eai_avail);
        bool enough = avail >= n;
        bool done = enough && EAI_STORE_COND(&account->eai_avail, avail, avail - n);
        EAI_LEAVE(irq);
        if (EA_UNLIKELY(!done)) {
            if (enough) continue;
            return false;
        }
        note_use(account, EAI_LOAD(&account->eai_credit, EAI_RELAXED), avail - n);
        return true;
    }
}

/* Returns what is there then. */
EA_INLINE units_t put(account_t *account, units_t n)
{
    for (;;) {
        EAI_ENTER(irq);
        units_t avail = EAI_LOAD_LINKED(&account->eai_avail) + n;
        bool done = RELEASE_COND(&account->eai_avail, avail - n, avail);
        EAI_LEAVE(irq);
        if (EA_LIKELY(done)) return avail;
    }
}

/* By n, of which `rest` will be put. Returns whether max allowed it. */
EA_INLINE bool raise_credit(account_t *account, units_t n, units_t rest, effort_t effort)
{
    for (;;) {
        EAI_ENTER(irq);
        units_t credit = EAI_LOAD_LINKED(&account->eai_credit);
        bool allowed = n <= eai_difference(max_of(account, effort), credit);
        bool done = allowed && EAI_STORE_COND(&account->eai_credit, credit, credit + n);
        EAI_LEAVE(irq);
        if (done) {
            units_t avail = EAI_LOAD(&account->eai_avail, EAI_RELAXED);
            note_use(account, credit + n - rest, avail);
        }
        if (EA_LIKELY(done) || !allowed) return done;
    }
}

/* By n, or as far as floor allows. Returns by how much. */
EA_INLINE units_t lower_credit(account_t *account, units_t n)
{
    for (;;) {
        EAI_ENTER(irq);
        units_t credit = EAI_LOAD_LINKED(&account->eai_credit);
        units_t room = eai_difference(credit, EAI_LOAD(&account->eai_floor, EAI_RELAXED));
        units_t lowered = room < n ? room : n;
        bool done = lowered == 0 || RELEASE_COND(&account->eai_credit, credit, credit - lowered);
        EAI_LEAVE(irq);
        if (EA_LIKELY(done)) return lowered;
    }
}

units_t eai_account_shed(account_t *account, units_t keep)
{
    units_t avail = EAI_LOAD(&account->eai_avail, EAI_RELAXED);
    units_t credit = EAI_LOAD(&account->eai_credit, EAI_RELAXED);
    units_t surplus = eai_difference(avail, keep);
    units_t room = eai_difference(credit, EAI_LOAD(&account->eai_floor, EAI_RELAXED));
    if (surplus > room) surplus = room;
    if (surplus == 0) return 0;
    units_t taken = take(account, surplus);
    units_t lowered = lower_credit(account, taken);
    if (lowered < taken) (void)put(account, taken - lowered);
    return lowered;
}

/* --- return ----------------------------------------------------------------------------------- */

/* At most EA_CFG_ACCOUNT_DEPTH levels. */
void eai_account_give(account_t *account, units_t n)
{
    for (; account != NULL && n > 0; account = account->eai_parent) {
        units_t batch = account->eai_batch;
        if (batch == 0) {
            units_t lowered = lower_credit(account, n);
            if (lowered < n) (void)put(account, n - lowered);
            n = lowered;
        } else {
            units_t avail = put(account, n);
            n = EA_UNLIKELY(avail > 2u * batch) ? eai_account_shed(account, batch) : 0;
        }
    }
}

/* What is in use is n at least as long as n are the caller's to return. But avail and credit are
 * two words, and between the two loads both may have changed: so only what is seen the same
 * several times in a row counts. */
static EA_NOINLINE bool uses_less(account_t *account, units_t n)
{
    units_t avail = EAI_LOAD(&account->eai_avail, EAI_SEQ_CST);
    units_t credit = EAI_LOAD(&account->eai_credit, EAI_SEQ_CST);
    for (int i = 0; i < 4; i++) {
        if (avail <= credit && credit - avail >= n) return false;
        units_t avail_now = EAI_LOAD(&account->eai_avail, EAI_SEQ_CST);
        units_t credit_now = EAI_LOAD(&account->eai_credit, EAI_SEQ_CST);
        if (avail_now != avail || credit_now != credit) i = -1; /* another got through */
        avail = avail_now;
        credit = credit_now;
    }
    return true;
}

/* credit was loaded after avail. */
EA_INLINE bool is_too_much(account_t *account, units_t credit, units_t avail, units_t n)
{
    return EA_CFG_CHECK_LEVEL >= 1 && EA_UNLIKELY(credit - avail < n) && uses_less(account, n);
}

/* The units a return put are more than a batch wants. */
static EA_NOINLINE ea_status_t give_surplus(account_t *account)
{
    eai_account_give(account->eai_parent, eai_account_shed(account, account->eai_batch));
    return EA_OK;
}

static EA_NOINLINE ea_status_t return_exactly(account_t *account, units_t n)
{
    units_t avail = EAI_LOAD(&account->eai_avail, EAI_ACQUIRE);
    units_t credit = EAI_LOAD(&account->eai_credit, EAI_RELAXED);
    if (is_too_much(account, credit, avail, n)) return EA_ERR_INVALID;
    COUNT_LIVE(account, eai_n_returns);
    eai_account_give(account, n);
    return EA_OK;
}

ea_status_t ea_account_return(account_t *account, size_t n)
{
    units_t batch = account->eai_batch;
    if (batch == 0) return return_exactly(account, n);
    for (;;) {
        EAI_ENTER(irq);
        units_t avail = EAI_LOAD_LINKED(&account->eai_avail);
        units_t credit = EAI_LOAD(&account->eai_credit, EAI_RELAXED);
        bool is_sound = EA_CFG_CHECK_LEVEL == 0 || EA_LIKELY(credit - avail >= n);
        bool done = is_sound && RELEASE_COND(&account->eai_avail, avail, avail + n);
        EAI_LEAVE(irq);
        if (EA_UNLIKELY(!done)) {
            if (is_sound || !uses_less(account, n)) continue;
            return EA_ERR_INVALID;
        }
        COUNT_LIVE(account, eai_n_returns);
        return EA_UNLIKELY(avail + n > 2u * batch) ? give_surplus(account) : EA_OK;
    }
}

/* --- charge ----------------------------------------------------------------------------------- */

/* A level whose avail did not suffice. */
typedef struct {
    account_t *account;
    units_t need;  /* asked of it      */
    units_t taken; /* found in avail   */
} step_t;

static void put_back(const step_t *steps, unsigned n_steps)
{
    for (unsigned i = 0; i < n_steps; i++) {
        if (steps[i].taken > 0) (void)put(steps[i].account, steps[i].taken);
    }
}

/* What a level asks its parent for, which is not less than it needs; false: its max is in the way.
 */
EA_INLINE bool ask(account_t *account, units_t *need, effort_t effort)
{
    units_t credit = EAI_LOAD(&account->eai_credit, EAI_RELAXED);
    units_t room = eai_difference(max_of(account, effort), credit);
    if (EA_UNLIKELY(*need > room)) return false;
    units_t batch = account->eai_batch;
    if (effort == WITH_BATCH) *need += batch < room - *need ? batch : room - *need;
    return true;
}

/* Charge n units. NULL, or who refused. */
static account_t *charge(account_t *account, units_t n, effort_t effort)
{
    step_t steps[EA_CFG_ACCOUNT_DEPTH];
    unsigned n_steps = 0;
    units_t need = n;

    /* Up: to the first that has what is needed, or past the root if limits do not count. */
    for (; account != NULL; account = account->eai_parent) {
        units_t taken = take(account, need);
        if (taken == need) break;
        step_t *step = &steps[n_steps++];
        step->account = account;
        step->need = need;
        step->taken = taken;
        need -= taken;
        if (EA_UNLIKELY(!ask(account, &need, effort))) {
            put_back(steps, n_steps);
            return account;
        }
    }
    /* Down: need units are in our hands. */
    while (n_steps > 0) {
        step_t *step = &steps[--n_steps];
        units_t rest = need + step->taken - step->need;
        account = step->account;
        if (EA_UNLIKELY(!raise_credit(account, need, rest, effort))) {
            eai_account_give(account->eai_parent, need);
            put_back(steps, n_steps + 1u);
            return account;
        }
        if (EA_UNLIKELY(effort == BY_FORCE) && EAI_LOAD(&account->eai_credit, EAI_RELAXED) >
                                                   EAI_LOAD(&account->eai_max, EAI_RELAXED)) {
            COUNT(account, eai_n_overruns);
        }
        if (rest > 0) (void)put(account, rest);
        need = step->need;
    }
    return NULL;
}

/* The same where the accounts on the way hold nothing, want no more than n, and allow it: most
 * charges without a batch, in half the instructions. account's avail did not suffice. Returns
 * false if it is not so, or another context came in between; then nothing is charged. */
static bool charge_straight(account_t *account, units_t n)
{
    account_t *path[EA_CFG_ACCOUNT_DEPTH];
    unsigned n_path = 0;
    do {
        units_t held = EAI_LOAD(&account->eai_avail, EAI_RELAXED) | account->eai_batch;
        units_t credit = EAI_LOAD(&account->eai_credit, EAI_RELAXED);
        units_t room = EAI_LOAD(&account->eai_max, EAI_RELAXED) - credit; /* below 0: raise looks */
        path[n_path++] = account;
        account = account->eai_parent;
        if (held != 0 || n > room || account == NULL) return false;
    } while (!take_all(account, n));
    while (n_path > 0) {
        account = path[--n_path];
        if (EA_UNLIKELY(!raise_credit(account, n, 0, EXACTLY))) {
            eai_account_give(account->eai_parent, n);
            return false;
        }
    }
    return true;
}

/* The deepest first, so that what is called back meets what is called back later. */
bool eai_account_recall(account_t *above)
{
    book_t *book = above->eai_book;
    bool any = false;
    eai_accounts_enter(book);
    uint32_t n_used = EAI_LOAD(&book->eai_n_used, EAI_ACQUIRE);
    for (unsigned depth = EA_CFG_ACCOUNT_DEPTH; --depth > above->eai_depth;) {
        for (uint32_t i = 1; i < n_used; i++) {
            account_t *node = &book->eai_nodes[i];
            if (!eai_account_is_live(node) || node->eai_depth != depth) continue;
            if (!ea_account_is_below(node, above)) continue;
            units_t n = eai_account_shed(node, 0);
            if (n == 0) continue;
            (void)put(node->eai_parent, n);
            any = true;
        }
    }
    eai_accounts_leave(book);
    return any;
}

static account_t *obtain_above(account_t *account, units_t n)
{
    if (EA_LIKELY(charge_straight(account, n))) return NULL;
    book_t *book = account->eai_book;
    account_t *refuser = charge(account, n, WITH_BATCH);
    if (refuser == NULL) return NULL;
    if (EAI_LOAD(&book->eai_holds, EAI_RELAXED)) {
        refuser = charge(account, n, EXACTLY);
        /* What is called back for one level can bring the next one to refuse. */
        for (int i = 0; i < EA_CFG_ACCOUNT_DEPTH && refuser != NULL; i++) {
            if (!eai_account_recall(refuser)) break;
            refuser = charge(account, n, EXACTLY);
        }
        if (refuser == NULL) return NULL;
    }
    if (!EAI_LOAD(&book->eai_enforce, EAI_RELAXED)) return charge(account, n, BY_FORCE);
    COUNT(refuser, eai_n_limited);
    return refuser;
}

account_t *eai_account_obtain(account_t *account, units_t n)
{
    return take_all(account, n) ? NULL : obtain_above(account, n);
}

void eai_account_put(account_t *account, units_t n)
{
    (void)put(account, n);
}

static EA_NOINLINE ea_status_t charge_above(account_t *account, units_t n, account_t **refuser)
{
    account_t *who = obtain_above(account, n);
    if (EA_UNLIKELY(who != NULL)) {
        COUNT(account, eai_n_refused);
        if (refuser != NULL) *refuser = who;
        return EA_ERR_LIMIT;
    }
    COUNT_LIVE(account, eai_n_charges);
    return EA_OK;
}

void eai_account_count_charge(account_t *account)
{
    COUNT_LIVE(account, eai_n_charges);
}

ea_status_t ea_account_charge(account_t *account, size_t n, account_t **refuser)
{
    if (EA_UNLIKELY(!take_all(account, n))) return charge_above(account, n, refuser);
    COUNT_LIVE(account, eai_n_charges);
    return EA_OK;
}

ea_status_t ea_account_transfer(account_t *from, account_t *to, size_t n, account_t **refuser)
{
    if (from->eai_book != to->eai_book) return EA_ERR_INVALID;
    if (EA_CFG_CHECK_LEVEL >= 1 && uses_less(from, n)) return EA_ERR_INVALID;
    if (from == to) return EA_OK;
    ea_status_t status = ea_account_charge(to, n, refuser);
    if (status != EA_OK) return status;
    COUNT_LIVE(from, eai_n_returns);
    eai_account_give(from, n);
    return EA_OK;
}

/* --- other nodes than one's own --------------------------------------------------------------- */

static void count_inside(book_t *book, uint32_t n)
{
    for (bool done = false; !done;) {
        EAI_ENTER(irq);
        uint32_t inside = EAI_LOAD(&book->eai_n_inside, EAI_RELAXED);
        done = EAI_CAS_U32(&book->eai_n_inside, inside, inside + n);
        EAI_LEAVE(irq);
    }
}

/* Sequentially consistent, as the store and the look of ea_account_delete(): one sees the other. */
void eai_accounts_enter(book_t *book)
{
    count_inside(book, 1);
}

void eai_accounts_leave(book_t *book)
{
    count_inside(book, 0u - 1u);
}

bool ea_account_is_below(const account_t *account, const account_t *above)
{
    while (account != NULL && account != above) account = account->eai_parent;
    return account != NULL;
}
