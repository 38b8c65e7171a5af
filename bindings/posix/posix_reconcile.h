/* SPDX-License-Identifier: MIT
 *
 * What the reconciler's sources share. The scheme is explained in posix_reconcile.c.
 */
#ifndef EALLOC_POSIX_RECONCILE_H
#define EALLOC_POSIX_RECONCILE_H

#include "posix_internal.h"

/* One call of ea_posix_reconcile(). */
typedef struct {
    ea_posix_t *posix;
    eai_posix_pass_t *pass;
    uint32_t flags;
    size_t budget; /* what is left of it */
    ea_posix_tell_t tell;
    void *context;
} look_t;

/* --- posix_reconcile.c ------------------------------------------------------------------------ */

/* To the caller's function and as an event, with who made it. */
void eai_look_tell(look_t *look, ea_posix_finding_t *finding);
/* What is registered and gone is released. Its place says already that nothing is to be ended. */
void eai_look_forget(look_t *look, ea_resource_t resource);

static inline void eai_look_count(look_t *look, ea_posix_what_t what, ea_posix_kind_t kind)
{
    look->pass->now.n[what][kind]++;
}

/* --- phases: each goes on as far as the budget reaches and returns whether it is over --------- */

bool eai_scan_numbers(look_t *look);
bool eai_walk_numbers(look_t *look);
bool eai_scan_tasks(look_t *look);
bool eai_scan_maps(look_t *look);
bool eai_walk_entries(look_t *look);
bool eai_measure_disks(look_t *look);
bool eai_drop_suspects(look_t *look);

#endif
