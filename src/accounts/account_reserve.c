/* SPDX-License-Identifier: MIT
 *
 * Reservations: charges that wait to be used. They stand in a list, newest first, in the memory of
 * those who made them; the list and a reservation's state change in masked sections of a constant
 * number of instructions. A reservation ends where its state leaves PENDING, so it ends once; what
 * follows (the return) is done outside, by who ended it, and touches the reservation no more.
 *
 * Units are used in two steps, so that who needs more than units (a slot, an object) can put them
 * back: taken, they are neither reserved nor anybody's charge in the counters; then they are
 * settled, which ends a reservation of which nothing is left, or put back.
 */
#include "accounts/account_internal.h"
#include "ealloc/port.h"

typedef ea_reservation_t reservation_t;

EA_INLINE void seal(reservation_t *reservation)
{
    if (reservation != NULL) reservation->eai_seal = eai_reservation_seal(reservation);
}

/* Masked. */
static void add_reserved(account_t *account, units_t n)
{
    EAI_STORE(&account->eai_reserved, EAI_LOAD(&account->eai_reserved, EAI_RELAXED) + n,
              EAI_RELAXED);
}

/* Masked. */
static void end(book_t *book, reservation_t *reservation, uintptr_t state)
{
    reservation_t *prev = reservation->eai_prev, *next = reservation->eai_next;
    *(prev != NULL ? &prev->eai_next : &book->eai_first) = next;
    if (next != NULL) next->eai_prev = prev;
    if (book->eai_cursor == reservation) book->eai_cursor = next;
    reservation->eai_state = state;
    add_reserved(reservation->eai_account, (units_t)0 - reservation->eai_n);
    seal(prev);
    seal(next);
    seal(reservation);
}

static void give_back(account_t *account, units_t n)
{
    (void)ea_account_return(account, n);
    eai_accounts_tell(account->eai_book);
}

ea_status_t ea_account_reserve(account_t *account, size_t n, uint64_t expires_us,
                               reservation_t *reservation)
{
    if (n == 0) return EA_ERR_INVALID;
    ea_status_t status = ea_account_charge(account, n, NULL);
    eai_accounts_tell(account->eai_book); /* what it held for a moment */
    if (status != EA_OK) return status;
    book_t *book = account->eai_book;
    reservation->eai_account = account;
    reservation->eai_n = n;
    reservation->eai_expires_us = expires_us;
    reservation->eai_prev = NULL;

    ea_port_irq_t irq = ea_port_irq_mask();
    reservation->eai_next = book->eai_first;
    if (book->eai_first != NULL) book->eai_first->eai_prev = reservation;
    book->eai_first = reservation;
    reservation->eai_state = STATE_PENDING;
    add_reserved(account, n);
    seal(reservation->eai_next);
    seal(reservation);
    ea_port_irq_restore(irq);
    return EA_OK;
}

ea_status_t ea_reservation_confirm(reservation_t *reservation, uint64_t now_us)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    account_t *account = reservation->eai_account;
    units_t n = reservation->eai_n;
    uintptr_t found = reservation->eai_state;
    bool is_late = now_us >= reservation->eai_expires_us;
    if (found == STATE_PENDING) {
        end(account->eai_book, reservation, is_late ? STATE_EXPIRED : STATE_CONFIRMED);
    }
    ea_port_irq_restore(irq);

    if (found == STATE_EXPIRED) return EA_ERR_TIMEOUT;
    if (found != STATE_PENDING) return EA_ERR_NOT_FOUND;
    if (!is_late) return EA_OK;
    give_back(account, n);
    return EA_ERR_TIMEOUT;
}

ea_status_t ea_reservation_cancel(reservation_t *reservation)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    account_t *account = reservation->eai_account;
    units_t n = reservation->eai_n;
    bool is_pending = reservation->eai_state == STATE_PENDING;
    if (is_pending) end(account->eai_book, reservation, STATE_CANCELLED);
    ea_port_irq_restore(irq);

    if (!is_pending) return EA_ERR_NOT_FOUND;
    give_back(account, n);
    return EA_OK;
}

ea_status_t eai_reservation_take(reservation_t *reservation, units_t n, uint64_t now_us)
{
    if (n == 0) return EA_ERR_INVALID;
    ea_port_irq_t irq = ea_port_irq_mask();
    account_t *account = reservation->eai_account;
    units_t left = reservation->eai_n;
    uintptr_t found = reservation->eai_state;
    bool is_pending = found == STATE_PENDING, is_late = now_us >= reservation->eai_expires_us;
    if (is_pending && is_late) {
        end(account->eai_book, reservation, STATE_EXPIRED);
    } else if (is_pending && n <= left) {
        reservation->eai_n = left - n;
        add_reserved(account, (units_t)0 - n);
        seal(reservation);
    }
    ea_port_irq_restore(irq);

    if (found == STATE_EXPIRED) return EA_ERR_TIMEOUT;
    if (!is_pending) return EA_ERR_NOT_FOUND;
    if (!is_late) return n <= left ? EA_OK : EA_ERR_LIMIT;
    give_back(account, left);
    return EA_ERR_TIMEOUT;
}

void eai_reservation_settle(reservation_t *reservation)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    account_t *account = reservation->eai_account;
    bool is_last = reservation->eai_state == STATE_PENDING && reservation->eai_n == 0;
    if (is_last) end(account->eai_book, reservation, STATE_CONFIRMED);
    ea_port_irq_restore(irq);
    /* The last part is what was counted when the reservation was made. */
    if (!is_last) eai_account_count_charge(account);
}

void eai_reservation_put_back(reservation_t *reservation, units_t n)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    account_t *account = reservation->eai_account;
    bool is_pending = reservation->eai_state == STATE_PENDING;
    if (is_pending) {
        reservation->eai_n += n;
        add_reserved(account, n);
        seal(reservation);
    }
    ea_port_irq_restore(irq);
    if (!is_pending) eai_account_give(account, n);
}

ea_status_t ea_reservation_use(reservation_t *reservation, size_t n, uint64_t now_us)
{
    ea_status_t status = eai_reservation_take(reservation, n, now_us);
    if (status == EA_OK) eai_reservation_settle(reservation);
    return status;
}

size_t ea_accounts_expire(book_t *book, uint64_t now_us, size_t max_steps)
{
    size_t n_ended = 0;
    bool begins = true, goes_on = true;
    for (size_t i = 0; goes_on && i < max_steps; i++) {
        account_t *account = NULL;
        units_t n = 0;
        ea_port_irq_t irq = ea_port_irq_mask();
        reservation_t *reservation = book->eai_cursor;
        if (begins && reservation == NULL) reservation = book->eai_first;
        if (reservation != NULL) {
            book->eai_cursor = reservation->eai_next;
            if (now_us >= reservation->eai_expires_us) {
                account = reservation->eai_account;
                n = reservation->eai_n;
                end(book, reservation, STATE_EXPIRED);
            }
        }
        goes_on = book->eai_cursor != NULL;
        ea_port_irq_restore(irq);
        begins = false;
        if (account == NULL) continue;
        give_back(account, n);
        n_ended++;
    }
    return n_ended;
}
