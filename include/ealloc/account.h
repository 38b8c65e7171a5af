/* SPDX-License-Identifier: MIT
 *
 * Accounts (rows A9, C4, C5, C9): a tree of budgets. Whoever takes n units of something (bytes,
 * handles, sockets) charges an account first; the account and each one above it allow it or refuse
 * it. Limits mean what they mean in Linux' cgroup v2:
 *     min   guaranteed: taken from the parent when the account is made, nobody else can have it
 *     low   protected: who reclaims takes from others first (ea_account_reclaimable())
 *     high  pressure begins above it (ea_account_is_high()); nothing is refused
 *     max   a charge that would pass it is refused
 *
 *     static ea_account_t nodes[8];
 *     static ea_accounts_t book;
 *     const ea_account_limits_t all = {.max = 65536};
 *     if (ea_accounts_init(&book, nodes, 8, &all) != EA_OK) ...
 *     ea_account_t *radio = ea_account_create(&book, ea_accounts_root(&book),
 *                                             &(ea_account_options_t){.name = "radio",
 *                                                                     .limits = {.max = 8192}});
 *     if (ea_account_charge(radio, 100, NULL) != EA_OK) ...
 *     (void)ea_account_return(radio, 100);
 *
 * What an account grants is credit taken from its parent, so no limit and no guarantee is broken at
 * any instant, also while calls are under way: the argument stands on top of
 * src/accounts/account.c. The other side: what is on its way counts at both ends, so a charge may
 * be refused for the sake of another that is refused itself, or of a return that is not complete.
 *
 * Batch. With batch 0 an account holds exactly what is used (and its min). With a batch it takes
 * that much more at a time and keeps up to twice as much when it is returned, so that the common
 * charge and return touch one word; before anybody is refused for want of it, it is called back.
 *
 * Context, unless said otherwise: any; thread, interrupt, signal handler, any number at once.
 * Functions marked "tree" change the tree: two of them on one book must be kept apart by the
 * caller, all others may be under way. Where the core has compare-and-swap (or
 * load-linked/store-conditional) a call never waits for another: it repeats a few instructions when
 * another call on the same account got through in between. Elsewhere (ARMv6-M) interrupts are
 * masked for a constant number of instructions.
 *
 * Sources: the meaning of the limits is that of the kernel's cgroup-v2 documentation; credit that
 * flows down a tree is the idea of its page counters' per-CPU stock, made exact.
 */
#ifndef EALLOC_ACCOUNT_H
#define EALLOC_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/config.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A word that several contexts change; the model checker puts its own type here. */
#ifndef EAI_SHARED
#define EAI_SHARED(type) type
#endif

/* No limit. */
#define EA_ACCOUNT_UNLIMITED SIZE_MAX

/* Most accounts of a book: ids have 16 bits. */
#define EA_ACCOUNTS_MAX 65535u

/* The knob that changes the accounts' layout is part of the names of two functions, so that a
 * library built with another value fails to link. */
#define EAI_ACCOUNT_PASTE(name, count) name##_c##count
#define EAI_ACCOUNT_EXPAND(name, count) EAI_ACCOUNT_PASTE(name, count)
#define EAI_ACCOUNT_NAME(name) EAI_ACCOUNT_EXPAND(name, EA_CFG_ACCOUNT_COUNT)
#if !defined(DOXYGEN)
#define ea_accounts_init EAI_ACCOUNT_NAME(ea_accounts_init)
#define ea_account_create EAI_ACCOUNT_NAME(ea_account_create)
#endif

/* In units; all zero: nothing guaranteed, nothing protected, no limit. */
typedef struct {
    size_t min;  /* 0: none. At most max. Of the root it is ignored: all of max is its own    */
    size_t low;  /* 0: none; EA_ACCOUNT_UNLIMITED: all of the usage                           */
    size_t high; /* 0 or EA_ACCOUNT_UNLIMITED: none                                           */
    size_t max;  /* 0 or EA_ACCOUNT_UNLIMITED: none but those of the accounts above           */
} ea_account_limits_t;

typedef struct {
    const char *name; /* not copied; may be NULL                                              */
    ea_account_limits_t limits;
    size_t batch;     /* units taken from the parent in advance; 0: none, exact               */
    uint8_t priority; /* the more, the more important; for who reclaims, nothing here reads it */
} ea_account_options_t;

typedef struct ea_accounts ea_accounts_t;

/* One account; every field is private. In memory the caller gave to ea_accounts_init(). */
typedef struct ea_account {
    EAI_SHARED(uintptr_t) eai_avail;  /* credit that is not in use                             */
    EAI_SHARED(uintptr_t) eai_credit; /* what the parent granted; of the root, what there is   */
    EAI_SHARED(uintptr_t) eai_floor;  /* credit below is never given back: min; the root's max */
    EAI_SHARED(uintptr_t) eai_max;
    EAI_SHARED(uintptr_t) eai_peak;
    uintptr_t eai_batch;
    struct ea_account *eai_parent; /* NULL: the root */
    ea_accounts_t *eai_book;
    EAI_SHARED(uintptr_t) eai_low;
    EAI_SHARED(uintptr_t) eai_high;
    EAI_SHARED(uintptr_t) eai_reserved; /* of the usage, by reservations                       */
    EAI_SHARED(uintptr_t) eai_n_refused;
    EAI_SHARED(uintptr_t) eai_n_limited;
    EAI_SHARED(uintptr_t) eai_n_overruns;
#if EA_CFG_ACCOUNT_COUNT
    EAI_SHARED(uintptr_t) eai_n_charges;
    EAI_SHARED(uintptr_t) eai_n_returns;
#endif
    const char *eai_name;
    uint16_t eai_id;
    uint8_t eai_depth; /* 0: the root */
    uint8_t eai_priority;
    EAI_SHARED(uint32_t) eai_state;
    uint32_t eai_seal; /* of what changes only with the tree */
} ea_account_t;

typedef struct ea_reservation ea_reservation_t;

/* Whoever lets others wait for units of a book is told when some may have become free, and asked
 * before somebody who does not wait takes some; private. */
typedef struct eai_line {
    struct eai_line *eai_next;
    void (*eai_tell)(struct eai_line *line);
    bool (*eai_may_take)(struct eai_line *line, const void *monitor, const ea_account_t *account,
                         uintptr_t n);
} eai_line_t;

/* The tree; every field is private. Must not be moved or copied. */
struct ea_accounts {
    ea_account_t *eai_nodes;
    uint32_t eai_n_nodes;
    EAI_SHARED(uint32_t) eai_n_used;    /* nodes behind have never been used                     */
    EAI_SHARED(uint32_t) eai_enforce;   /* 0: limits are counted, not enforced                   */
    EAI_SHARED(uint32_t) eai_holds;     /* some account has a batch or a min: idle credit exists */
    EAI_SHARED(uint32_t) eai_loose;     /* some credit may stand above its max                   */
    EAI_SHARED(uint32_t) eai_n_inside;  /* contexts that look at nodes of others                */
    EAI_SHARED(uint32_t) eai_n_waiting; /* tasks that may wait for units of it                 */
    eai_line_t *eai_lines;              /* in which they stand; only added to                  */
    const void *eai_charger;            /* the monitor that charges it; the book: several do   */
    ea_reservation_t *eai_first;        /* the reservations that have not ended, newest first   */
    ea_reservation_t *eai_cursor;       /* where the next expiry goes on; NULL: at the first    */
    uintptr_t eai_seal;
};

/* One reservation, in the caller's memory; every field is private. */
struct ea_reservation {
    ea_account_t *eai_account;
    size_t eai_n;
    uint64_t eai_expires_us;
    ea_reservation_t *eai_prev;
    ea_reservation_t *eai_next;
    uintptr_t eai_state; /* this and the links change in masked sections */
    uintptr_t eai_seal;
};

typedef struct {
    size_t used;       /* charged and not returned, by it and all accounts below it            */
    size_t idle;       /* held by it and those below it though not charged: mins and batches   */
    size_t own;        /* of used, charged to this very account                                */
    size_t reserved;   /* of own, by reservations that have not ended                          */
    size_t peak;       /* most of used at a time, plus the idle credit of the accounts below:
                          exact where none of these has a batch or a min, else more by what
                          they held                                                            */
    size_t credit;     /* granted by the parent: used + idle                                   */
    size_t n_live;     /* charges less returns; 0 where EA_CFG_ACCOUNT_COUNT is 0              */
    size_t n_refused;  /* charges of this very account that were refused, here or above        */
    size_t n_limited;  /* charges, of this account or below, that this one's limit refused     */
    size_t n_overruns; /* charges that this one's limit would have refused but for
                          ea_accounts_set_enforce()                                            */
    ea_account_limits_t limits; /* as set, with EA_ACCOUNT_UNLIMITED where there is none       */
    size_t batch;
    const char *name;
    uint16_t id;
    uint8_t depth; /* 0: the root */
    uint8_t priority;
} ea_account_stats_t;

/* What ea_accounts_check() found. */
typedef struct {
    const char *invariant; /* "C1".."C8" and its sentence; static storage; NULL: none broken */
    const void *where;     /* the account or reservation that breaks it                      */
} ea_accounts_fault_t;

/* --- the tree --------------------------------------------------------------------------------- */

/* Make a book of n_nodes accounts at most. Its root, with id 1, is made of root_limits (NULL: no
 * limit): what they call max is all there is to give.
 * Returns  EA_OK; EA_ERR_INVALID: book or nodes is NULL, n_nodes is 0 or above EA_ACCOUNTS_MAX.
 * Owns     the book uses nodes as long as it is used.
 * Context  any, before the book is known to another one. Cost O(nodes). */
EA_NODISCARD ea_status_t ea_accounts_init(ea_accounts_t *book, ea_account_t *nodes, size_t n_nodes,
                                          const ea_account_limits_t *root_limits);

/* Make an account below parent; options NULL: all defaults.
 * Returns  the account; NULL if book and parent do not belong together, parent is no account, the
 *          min is above the max, the parent or one above it cannot give the min, no node is free,
 *          or the account would be deeper than EA_CFG_ACCOUNT_DEPTH levels, the root's included.
 * Context  any; tree. Cost O(nodes). */
EA_NODISCARD ea_account_t *ea_account_create(ea_accounts_t *book, ea_account_t *parent,
                                             const ea_account_options_t *options);

/* Give an account up; its guarantee goes back to the parent. Nobody may use it any more, and its id
 * may become another's.
 * Returns  EA_OK; EA_ERR_BUSY: something is charged or reserved, an account stands below it, or a
 *          call on it is under way: nothing changed; EA_ERR_INVALID: it is the root, or none.
 * Context  any; tree. Cost O(nodes). */
EA_NODISCARD ea_status_t ea_account_delete(ea_account_t *account);

/* Change the limits, also while charges are under way. A higher min is taken from the parent. A max
 * below the usage is allowed: idle credit is called back, and nothing more is granted until the
 * usage has sunk, but from what accounts with a batch keep of what is returned meanwhile.
 * Returns  EA_OK; EA_ERR_LIMIT: the parent or one above it cannot give the min; EA_ERR_INVALID: the
 *          min is above the max, or account is none. Then nothing changed.
 * Context  any; tree. Cost that of a refused charge. */
EA_NODISCARD ea_status_t ea_account_set_limits(ea_account_t *account,
                                               const ea_account_limits_t *limits);

/* The root. Cost O(1). */
EA_INLINE EA_NODISCARD ea_account_t *ea_accounts_root(const ea_accounts_t *book)
{
    return book->eai_nodes;
}

/* The account with this id; NULL if there is none (0 never is one's). Cost O(1). */
EA_NODISCARD ea_account_t *ea_account_by_id(const ea_accounts_t *book, uint16_t id);

/* The id: never 0, and no other account's as long as this one lives. Cost O(1). */
EA_INLINE EA_NODISCARD uint16_t ea_account_id(const ea_account_t *account)
{
    return account->eai_id;
}

/* The priority it was made with. Cost O(1). */
EA_INLINE EA_NODISCARD uint8_t ea_account_priority(const ea_account_t *account)
{
    return account->eai_priority;
}

/* The parent; NULL of the root. Cost O(1). */
EA_INLINE EA_NODISCARD ea_account_t *ea_account_parent(const ea_account_t *account)
{
    return account->eai_parent;
}

/* The account with the next higher id, of the one whose id is the lowest if after is NULL; NULL
 * behind the last. Accounts made or deleted meanwhile may be met or not. Cost O(nodes) for a whole
 * walk. */
EA_NODISCARD ea_account_t *ea_accounts_next(const ea_accounts_t *book, const ea_account_t *after);

/* Whether account is below above, or above itself. Cost O(depth). */
EA_NODISCARD bool ea_account_is_below(const ea_account_t *account, const ea_account_t *above);

/* --- charging --------------------------------------------------------------------------------- */

/* Charge n units to account and so to all above it. 0 units count as a charge.
 * Returns  EA_OK; EA_ERR_LIMIT: nothing was charged, and *refuser (which may be NULL) is the
 *          account whose limit stood against it: account itself or one above it.
 * Cost     O(1) where the account holds the credit (bench/wcet: account_charge); else O(depth). A
 *          refusal O(nodes * depth^2) where some account has a batch or a min, since idle credit is
 *          called back first; else O(depth). */
EA_NODISCARD ea_status_t ea_account_charge(ea_account_t *account, size_t n, ea_account_t **refuser);

/* Return n units of what was charged to account.
 * Returns  EA_OK. EA_ERR_INVALID: that is more than account and those below it use; nothing
 *          changed.
 * Cost     as a charge that is not refused.
 * Checks   level >= 1: the above. Without it n must be right. */
ea_status_t ea_account_return(ea_account_t *account, size_t n);

/* Hand n units over: they are charged to `to` and returned to `from`, in that order, so the account
 * above both must have room for n more for the moment.
 * Returns  EA_OK; EA_ERR_LIMIT: a limit of `to` or above stands against it, *refuser (may be NULL)
 *          says which; EA_ERR_INVALID: from uses less than n, or they are of two books. Then
 *          nothing changed.
 * Cost     that of a charge and a return. */
EA_NODISCARD ea_status_t ea_account_transfer(ea_account_t *from, ea_account_t *to, size_t n,
                                             ea_account_t **refuser);

/* With false, what a limit stands against is granted all the same and counted in n_overruns of the
 * account whose limit it is: to try limits out before they bite. What the root grants beyond its
 * max is an overdraft, paid back by what is returned next; so it is when the limits are enforced
 * again (which the book does when it is made). Cost O(1). */
void ea_accounts_set_enforce(ea_accounts_t *book, bool enforce);

/* --- reservations ----------------------------------------------------------------------------- */

/* Charge n units now, to be used or not: until confirm, cancel, or the time expires_us, which
 * ends it when ea_accounts_expire() comes by.
 * Returns  as ea_account_charge(); EA_ERR_INVALID: n is 0.
 * Owns     the book uses *reservation until one of the three has ended it.
 * Cost     a charge, and interrupts masked for a constant number of instructions. */
EA_NODISCARD ea_status_t ea_account_reserve(ea_account_t *account, size_t n, uint64_t expires_us,
                                            ea_reservation_t *reservation);

/* End a reservation; of several that try at once exactly one succeeds.
 * Confirm  makes it an ordinary charge, to be returned with ea_account_return(). Returns EA_OK;
 *          EA_ERR_TIMEOUT: its time is over: it has ended, and the units are returned;
 *          EA_ERR_NOT_FOUND: it was confirmed or cancelled before.
 * Cancel   returns the units. Returns EA_OK; EA_ERR_NOT_FOUND: it has ended before.
 * Cost     interrupts masked for a constant number of instructions, and a return. */
EA_NODISCARD ea_status_t ea_reservation_confirm(ea_reservation_t *reservation, uint64_t now_us);
ea_status_t ea_reservation_cancel(ea_reservation_t *reservation);

/* Make n of its units an ordinary charge, to be returned with ea_account_return(); the others stay
 * reserved, and with the last one it has ended as by confirm. What is left is confirmed, cancelled
 * or expires as before.
 * Returns  EA_OK; EA_ERR_LIMIT: fewer are left; EA_ERR_TIMEOUT: its time is over: it has ended, and
 *          what was left is returned; EA_ERR_NOT_FOUND: it has ended before; EA_ERR_INVALID: n is
 *          0.
 * Cost     interrupts masked for a constant number of instructions. */
EA_NODISCARD ea_status_t ea_reservation_use(ea_reservation_t *reservation, size_t n,
                                            uint64_t now_us);

/* End the reservations whose time is over, looking at max_steps at most; the next call goes on
 * behind them, and begins anew at the end. Returns how many it ended. Cost O(max_steps). */
size_t ea_accounts_expire(ea_accounts_t *book, uint64_t now_us, size_t max_steps);

/* --- numbers ---------------------------------------------------------------------------------- */

/* Where other contexts are at work the numbers are each right at some moment, not all at the same.
 * Cost O(nodes * depth). */
void ea_account_stats(const ea_account_t *account, ea_account_stats_t *stats);

/* used + the idle credit of the accounts below: what is gone from this account. Cost O(1). */
EA_NODISCARD size_t ea_account_committed(const ea_account_t *account);

/* The credit. As long as it does not change, nothing was charged to or returned by the accounts
 * above on this one's behalf: pressure need be judged only after it did. Cost O(1). */
EA_NODISCARD size_t ea_account_credit(const ea_account_t *account);

/* Whether ea_account_committed() is above high. Cost O(1). */
EA_NODISCARD bool ea_account_is_high(const ea_account_t *account);

/* What may be taken from this account: its usage above what protects it, low or min if that is
 * more. Of the accounts above none protects more than its own low, and where the accounts below it
 * have more protected usage than that it is shared in proportion. An account directly below the
 * root is protected by what is its own. Cost O(nodes * depth). */
EA_NODISCARD size_t ea_account_reclaimable(const ea_account_t *account);

/* Begin anew: the peak of every account becomes what it is now. Cost O(nodes). */
void ea_accounts_reset_peaks(ea_accounts_t *book);

/* Check every invariant. Changes nothing and survives garbage: what is read is tested before it is
 * followed. Returns EA_OK, or EA_ERR_CORRUPT with *fault (may be NULL) filled in.
 * Context  any, while no other is inside a call on the book. Cost O(nodes^2 + reservations). */
EA_NODISCARD ea_status_t ea_accounts_check(const ea_accounts_t *book, ea_accounts_fault_t *fault);

#ifdef __cplusplus
}
#endif
#endif
