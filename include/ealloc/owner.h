/* SPDX-License-Identifier: MIT
 *
 * Who is charged (row C5): each task has a stack of owners, of which the last one pays for what the
 * task takes. A stack lies in the frames of the functions that push; the port keeps its top.
 *
 *     EA_OWNER_SCOPE(radio) {
 *         packet_t *packet = make_packet(); // whatever that allocates is radio's
 *     }
 *
 * In an interrupt the interrupts' owner pays, not that of the task it came upon. An allocator with
 * another book of accounts takes no notice: there, its default owner pays.
 *
 * Context: the one whose stack it is. Cost of every function: O(1).
 */
#ifndef EALLOC_OWNER_H
#define EALLOC_OWNER_H

#include "ealloc/account.h"
#include "ealloc/compiler.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One owner on a stack, in the caller's memory; private. */
typedef struct ea_owner_frame {
    ea_account_t *eai_account;
    struct ea_owner_frame *eai_outer;
} ea_owner_frame_t;

/* account becomes the running context's owner; NULL: nobody is.
 * Owns     frame is the stack's until ea_owner_pop(). */
void ea_owner_push(ea_owner_frame_t *frame, ea_account_t *account);

/* The owner from before the push of frame is the owner again. Frames pushed since go with it.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: frame is not on this context's stack, nothing changed.
 * Cost     O(frames pushed since). */
ea_status_t ea_owner_pop(ea_owner_frame_t *frame);

/* The running context's owner; NULL if there is none. */
EA_NODISCARD ea_account_t *ea_owner_current(void);

/* account becomes the owner in interrupts, until the next call of this; NULL: nobody is.
 * Owns     frame is in use until the next call.
 * Context  a task, where no interrupt is under way that has pushed. */
void ea_owner_set_isr(ea_owner_frame_t *frame, ea_account_t *account);

/* A block in which account is the owner. By whatever way it is left (its end, return, goto, break
 * and continue, which both leave the scope and nothing else: it is a loop that runs once) the owner
 * from before is the owner again. longjmp() leaves it without a pop; the next pop of an outer frame
 * makes up for that.
 * It rests on the cleanup attribute of GCC and Clang. Where EA_HAS_CLEANUP is 0 a scope ends at its
 * end and on continue only. */
#define EA_OWNER_SCOPE(account) EAI_OWNER_SCOPE(account, __COUNTER__)

#if !defined(DOXYGEN)
/* What scopes are made of; private. */
typedef struct {
    ea_owner_frame_t eai_frame;
    int eai_steps; /* 0: not begun, 1: inside, 2: left */
} eai_owner_scope_t;

EA_INLINE int eai_owner_scope_begin(eai_owner_scope_t *scope)
{
    if (scope->eai_steps != 0) return 0;
    scope->eai_steps = 1;
    ea_owner_push(&scope->eai_frame, scope->eai_frame.eai_account);
    return 1;
}

EA_INLINE void eai_owner_scope_end(eai_owner_scope_t *scope)
{
    if (scope->eai_steps == 1) (void)ea_owner_pop(&scope->eai_frame);
    scope->eai_steps = 2;
}

#define EAI_OWNER_SCOPE(account, number) EAI_OWNER_SCOPE_(account, number)
#define EAI_OWNER_SCOPE_(account, number)                                                          \
    for (EAI_CLEANUP(eai_owner_scope_end)                                                          \
             eai_owner_scope_t eai_owner_##number = {{(account), NULL}, 0};                        \
         eai_owner_scope_begin(&eai_owner_##number); eai_owner_scope_end(&eai_owner_##number))
#endif

#ifdef __cplusplus
}
#endif
#endif
