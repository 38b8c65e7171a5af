/* SPDX-License-Identifier: MIT
 *
 * What the sources of accounts share. The scheme is explained in account.c.
 */
#ifndef EALLOC_ACCOUNTS_ACCOUNT_INTERNAL_H
#define EALLOC_ACCOUNTS_ACCOUNT_INTERNAL_H

#include "ealloc/account.h"

#include "base/atomic.h"

typedef ea_account_t account_t;
typedef ea_accounts_t book_t;
typedef uintptr_t units_t;

/* States of a node. Far from each other, so that a flipped bit makes none of the others. */
#define STATE_FREE 0u
#define STATE_LIVE 0xACC07A11u
#define STATE_ENDING 0x5A3D91C4u

/* --- charge and return without the counters of who asked -------------------------------------- */

/* NULL: n units are account's; else who refused. */
account_t *eai_account_obtain(account_t *account, units_t n);
/* n units that were account's go back. */
void eai_account_give(account_t *account, units_t n);
/* n units in the caller's hands are account's, idle. */
void eai_account_put(account_t *account, units_t n);
/* What account holds idle beyond keep, and may give: taken out, no longer its credit, and the
 * caller's to give to the parent. */
units_t eai_account_shed(account_t *account, units_t keep);

/* One charge more was made of another. */
void eai_account_count_charge(account_t *account);

/* --- reservations in two steps ---------------------------------------------------------------- */

/* n units of a reservation are the caller's, as ea_reservation_use() says; it has not ended. */
ea_status_t eai_reservation_take(ea_reservation_t *reservation, units_t n, uint64_t now_us);
/* They are an ordinary charge from now on. */
void eai_reservation_settle(ea_reservation_t *reservation);
/* They are not: the reservation's again, or returned if it has ended meanwhile. */
void eai_reservation_put_back(ea_reservation_t *reservation, units_t n);

/* Call the idle credit below an account back to it. Returns whether there was any. */
bool eai_account_recall(account_t *above);

/* --- walks ------------------------------------------------------------------------------------ */

/* A context that looks at other nodes than those it was given announces itself, and
 * ea_account_delete() refuses while one is inside: or a node could become another's under its eyes.
 */
void eai_accounts_enter(book_t *book);
void eai_accounts_leave(book_t *book);

EA_INLINE bool eai_account_is_live(const account_t *account)
{
    return EAI_LOAD(&((account_t *)account)->eai_state, EAI_SEQ_CST) == STATE_LIVE;
}

/* --- who waits for units (account_wait.c) ----------------------------------------------------- */

/* Tell line of book from now on. */
void eai_accounts_add_line(book_t *book, eai_line_t *line);
void eai_accounts_tell_all(const book_t *book);
bool eai_accounts_ask_all(const book_t *book, const void *monitor, const account_t *account,
                          units_t n);

/* Whether somebody may wait for units. What was given back before is seen by who comes later: the
 * accesses that give back are sequentially consistent read-modify-writes, as this is. */
EA_INLINE bool eai_accounts_are_waited_for(const book_t *book)
{
#if EA_CFG_MONITOR_WAIT
    return EA_UNLIKELY(EAI_LOAD(&((book_t *)book)->eai_n_waiting, EAI_SEQ_CST) != 0);
#else
    (void)book;
    return false;
#endif
}

/* Units of book, or what else a request wants, may have become free. */
EA_INLINE void eai_accounts_tell(const book_t *book)
{
#if EA_CFG_MONITOR_WAIT
    if (eai_accounts_are_waited_for(book)) eai_accounts_tell_all(book);
#else
    (void)book;
#endif
}

/* The same after a charge that was granted: where accounts keep idle credit it may have had more in
 * its hands for a moment, which somebody was refused. */
EA_INLINE void eai_accounts_tell_charged(const book_t *book)
{
#if EA_CFG_MONITOR_WAIT
    if (eai_accounts_are_waited_for(book) &&
        EAI_LOAD(&((book_t *)book)->eai_holds, EAI_RELAXED) != 0) {
        eai_accounts_tell_all(book);
    }
#else
    (void)book;
#endif
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* b is read after a, so it may be less. */
EA_INLINE units_t eai_difference(units_t a, units_t b)
{
    return a > b ? a - b : 0;
}

/* Credit that is in use, here or below. */
EA_INLINE units_t eai_account_used(const account_t *account)
{
    units_t avail = EAI_LOAD(&((account_t *)account)->eai_avail, EAI_ACQUIRE);
    return eai_difference(EAI_LOAD(&((account_t *)account)->eai_credit, EAI_ACQUIRE), avail);
}

/* --- seals (account_check.c) ------------------------------------------------------------------ */

uint32_t eai_account_seal(const account_t *account);
uintptr_t eai_accounts_seal(const book_t *book);
uintptr_t eai_reservation_seal(const ea_reservation_t *reservation);

#define STATE_PENDING 0x9E51u
#define STATE_CONFIRMED 0x61AEu
#define STATE_CANCELLED 0xA57Cu
#define STATE_EXPIRED 0x5A83u

#endif
