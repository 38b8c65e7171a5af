/* SPDX-License-Identifier: MIT
 *
 * The stack of owners of the running context, whose top the port keeps:
 *
 *     slot -> [frame of the innermost scope] -> [frame of the scope around it] -> NULL
 */
#include "ealloc/owner.h"
#include "ealloc/port.h"

void ea_owner_push(ea_owner_frame_t *frame, ea_account_t *account)
{
    void **slot = ea_port_task_slot();
    frame->eai_account = account;
    frame->eai_outer = (ea_owner_frame_t *)*slot;
    *slot = frame;
}

ea_status_t ea_owner_pop(ea_owner_frame_t *frame)
{
    void **slot = ea_port_task_slot();
    const ea_owner_frame_t *found = (const ea_owner_frame_t *)*slot;
    while (found != NULL && found != frame) found = found->eai_outer;
    if (found == NULL) return EA_ERR_NOT_FOUND;
    *slot = frame->eai_outer;
    return EA_OK;
}

ea_account_t *ea_owner_current(void)
{
    const ea_owner_frame_t *frame = (const ea_owner_frame_t *)*ea_port_task_slot();
    return frame != NULL ? frame->eai_account : NULL;
}

/* The slot is written last, in one piece: an interrupt finds the old owner or the new one. */
void ea_owner_set_isr(ea_owner_frame_t *frame, ea_account_t *account)
{
    void **slot = ea_port_isr_slot();
    frame->eai_account = account;
    frame->eai_outer = NULL;
    __atomic_store_n(slot, (void *)frame, __ATOMIC_RELEASE);
}
