/* SPDX-License-Identifier: MIT
 *
 * The check of a tree at rest, and the seals of what changes only with it. At rest nothing is on
 * its way, so what account.c says with "at most" is said here with "exactly" as far as it can be
 * known: what was charged to an account itself is counted nowhere but in credit - avail, unless
 * EA_CFG_ACCOUNT_COUNT tells that there is none.
 */
#include "accounts/account_internal.h"

#define LOAD(account, member) EAI_LOAD(&((account_t *)(account))->member, EAI_RELAXED)

/* --- seals ------------------------------------------------------------------------------------ */

/* Multiplying by an odd number loses no bit, so any one changed word changes the seal. */
static uint32_t mix(uint32_t seal, uint64_t word)
{
    seal = (seal ^ (uint32_t)word) * 0x9E3779B1u;
    seal = (seal ^ seal >> 15 ^ (uint32_t)(word >> 32)) * 0x85EBCA77u;
    return seal ^ seal >> 13;
}

uint32_t eai_account_seal(const account_t *account)
{
    uint32_t seal = mix(0xACC0u, (uintptr_t)account);
    seal = mix(seal, LOAD(account, eai_floor));
    seal = mix(seal, LOAD(account, eai_max));
    seal = mix(seal, LOAD(account, eai_low));
    seal = mix(seal, LOAD(account, eai_high));
    seal = mix(seal, account->eai_batch);
    seal = mix(seal, (uintptr_t)account->eai_parent);
    seal = mix(seal, (uintptr_t)account->eai_book);
    seal = mix(seal, (uintptr_t)account->eai_name);
    return mix(seal, (uint32_t)account->eai_id << 16 | (uint32_t)account->eai_depth << 8 |
                         account->eai_priority);
}

uintptr_t eai_accounts_seal(const book_t *book)
{
    return mix(mix(mix(0xB00Cu, (uintptr_t)book), (uintptr_t)book->eai_nodes), book->eai_n_nodes);
}

/* A sum without carry: it is made in masked sections. */
uintptr_t eai_reservation_seal(const ea_reservation_t *reservation)
{
    return ~((uintptr_t)reservation->eai_account ^ reservation->eai_n ^
             (uintptr_t)reservation->eai_expires_us ^
             (uintptr_t)(reservation->eai_expires_us >> 32) ^ (uintptr_t)reservation->eai_prev ^
             (uintptr_t)reservation->eai_next ^ reservation->eai_state);
}

/* --- the check -------------------------------------------------------------------------------- */

static ea_status_t broken(ea_accounts_fault_t *fault, const char *invariant, const void *where)
{
    if (fault != NULL) {
        fault->invariant = invariant;
        fault->where = where;
    }
    return EA_ERR_CORRUPT;
}

static bool is_node(const book_t *book, const void *ptr)
{
    uintptr_t distance = (uintptr_t)ptr - (uintptr_t)book->eai_nodes;
    return distance % sizeof(account_t) == 0 && distance / sizeof(account_t) < book->eai_n_nodes;
}

/* What changes only with the tree. */
static ea_status_t check_shape(const book_t *book, uint32_t i, ea_accounts_fault_t *fault)
{
    const account_t *node = &book->eai_nodes[i];
    uint32_t state = LOAD(node, eai_state);
    if (state == STATE_FREE && i != 0) return EA_OK;
    if (state != STATE_LIVE) return broken(fault, "C5 an account lives or is free", node);
    if (i >= EAI_LOAD(&((book_t *)book)->eai_n_used, EAI_RELAXED)) {
        return broken(fault, "C5 an account lives or is free", book);
    }
    if (node->eai_seal != eai_account_seal(node) || node->eai_book != book ||
        node->eai_id != i + 1u) {
        return broken(fault, "C6 what changes only with the tree matches its seal", node);
    }
    const account_t *parent = node->eai_parent;
    bool sound = i == 0 ? parent == NULL && node->eai_depth == 0
                        : parent != NULL && is_node(book, parent) &&
                              LOAD(parent, eai_state) == STATE_LIVE &&
                              node->eai_depth == parent->eai_depth + 1u &&
                              node->eai_depth < EA_CFG_ACCOUNT_DEPTH;
    return sound ? EA_OK : broken(fault, "C7 a parent lives, one level higher", node);
}

/* C1 to C4: its own numbers, and those of its children. */
static ea_status_t check_numbers(const book_t *book, const account_t *node,
                                 ea_accounts_fault_t *fault)
{
    units_t avail = LOAD(node, eai_avail), credit = LOAD(node, eai_credit);
    units_t children = 0, reserved = LOAD(node, eai_reserved);
    if (avail > credit) return broken(fault, "C1 avail is at most credit", node);
    units_t used = credit - avail;
    for (uint32_t i = 1; i < book->eai_n_nodes; i++) {
        const account_t *child = &book->eai_nodes[i];
        if (LOAD(child, eai_state) != STATE_LIVE || child->eai_parent != node) continue;
        units_t part = LOAD(child, eai_credit);
        if (part > used - children) {
            return broken(fault, "C1 the children's credit is part of what is in use", node);
        }
        children += part;
    }
    if (reserved > used - children) {
        return broken(fault, "C1 what is reserved is part of what is in use", node);
    }
    if (credit < LOAD(node, eai_floor)) {
        return broken(fault, "C4 credit is at least what is guaranteed", node);
    }
    bool is_loose = EAI_LOAD(&((book_t *)book)->eai_loose, EAI_RELAXED) != 0;
    if (credit > LOAD(node, eai_max) && !is_loose) {
        return broken(fault, "C2 credit is at most max", node);
    }
    return EA_OK;
}

/* The reservations that have not ended: a link is followed if the seal covers it. Where a link led
 * to another one's place the way back shows it. */
static ea_status_t check_reservations(const book_t *book, ea_accounts_fault_t *fault)
{
    const char *const text = "C8 reservations are linked and match their seals";
    const ea_reservation_t *prev = NULL;
    uintptr_t sum = 0, reserved = 0;
    for (const ea_reservation_t *r = book->eai_first; r != NULL; prev = r, r = r->eai_next) {
        if ((uintptr_t)r % _Alignof(ea_reservation_t) != 0) return broken(fault, text, prev);
        if (r->eai_seal != eai_reservation_seal(r) || r->eai_state != STATE_PENDING ||
            r->eai_prev != prev || !is_node(book, r->eai_account)) {
            return broken(fault, text, r);
        }
        sum += r->eai_n;
    }
    for (uint32_t i = 0; i < book->eai_n_nodes; i++) {
        if (LOAD(&book->eai_nodes[i], eai_state) == STATE_LIVE) {
            reserved += LOAD(&book->eai_nodes[i], eai_reserved);
        }
    }
    return sum == reserved ? EA_OK : broken(fault, "C8 what is reserved adds up", book);
}

ea_status_t ea_accounts_check(const book_t *book, ea_accounts_fault_t *fault)
{
    if (fault != NULL) *fault = (ea_accounts_fault_t){NULL, NULL};
    if (book->eai_seal != eai_accounts_seal(book)) {
        return broken(fault, "C6 what changes only with the tree matches its seal", book);
    }
    for (uint32_t i = 0; i < book->eai_n_nodes; i++) {
        ea_status_t status = check_shape(book, i, fault);
        if (status != EA_OK) return status;
    }
    for (uint32_t i = 0; i < book->eai_n_nodes; i++) {
        const account_t *node = &book->eai_nodes[i];
        if (LOAD(node, eai_state) == STATE_FREE) continue;
        ea_status_t status = check_numbers(book, node, fault);
        if (status != EA_OK) return status;
    }
    return check_reservations(book, fault);
}
