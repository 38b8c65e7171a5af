/* SPDX-License-Identifier: MIT
 *
 * What the two sides of a monitor's line share: monitor_wait.c, the tasks that wait, and
 * monitor_line.c, those who serve them.
 */
#ifndef EALLOC_MONITOR_MONITOR_LINE_H
#define EALLOC_MONITOR_MONITOR_LINE_H

#include "monitor/monitor_internal.h"

#if EA_CFG_MONITOR_WAIT
#include "ealloc/port.h"

typedef eai_monitor_line_t line_t;
typedef eai_place_t place_t;
typedef eai_want_t want_t;

/* What a want was refused by at the last try: an account, or one of these. */
#define BY_NOBODY ((uintptr_t)0)
#define BY_SLOTS ((uintptr_t)1)

/* Try all that wait, in order, and grant what can be granted; or leave it to the one that is at it.
 */
void eai_line_serve(line_t *line);
/* End the waits with this id; 0: all. Returns how many. */
size_t eai_line_cancel(line_t *line, uintptr_t id);
/* Whether the limits as they are could ever grant all n wants. */
bool eai_line_could_grant(const monitor_t *monitor, const want_t *wants, uint32_t n);
/* The operations of a line at a book. */
void eai_line_tell(eai_line_t *watch);
bool eai_line_may_take(eai_line_t *watch, const void *monitor, const ea_account_t *account,
                       uintptr_t n);

EA_INLINE want_t *wants_of(const line_t *line, const place_t *place)
{
    return &line->wants[(size_t)(place - line->places) * line->n_together];
}

/* In a masked section. */
EA_INLINE bool is_waiting(const place_t *place)
{
    return place->eai_ticket != 0 && place->eai_waiter->eai_status == EA_ERR_AGAIN;
}
#endif

#endif
