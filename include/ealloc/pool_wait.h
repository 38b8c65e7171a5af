/* SPDX-License-Identifier: MIT
 *
 * Waiting for a block of a pool (EA_CFG_POOL_WAIT). A task that finds its pool empty joins the
 * pool's wait queue; each block that is freed, from whatever context, goes straight to the one that
 * is first. Nobody who waits can be overtaken by an equally urgent task that came later, and no
 * block lies free while somebody waits for it.
 */
#ifndef EALLOC_POOL_WAIT_H
#define EALLOC_POOL_WAIT_H

#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/config.h"
#include "ealloc/pool.h"
#include "ealloc/port.h"

#ifdef __cplusplus
extern "C" {
#endif

#if EA_CFG_POOL_WAIT

/* Take a block; if none is free wait for one, at most timeout_us (0: not at all, EA_WAIT_FOREVER:
 * until there is one). The most urgent task is served first (ea_port_task_priority()), equally
 * urgent ones in order of arrival; ea_pool_alloc() does not queue and may find a block in the
 * moment between free and its hand-over.
 * Returns  a block; NULL: none came in time, and none is lost. A block that is handed over while
 *          the time ends is returned.
 * Context  task. In an interrupt or a masked section it does not wait.
 * Cost     O(1) beside the waiting; interrupts are masked as bench/wcet's wait_enter, wait_end and
 *          free_hand_over of "masked" state. About 100 bytes of stack, see EA_CFG_WAIT_LEVELS. */
EA_NODISCARD void *ea_pool_alloc_wait(ea_pool_t *pool, uint64_t timeout_us);

#endif

#ifdef __cplusplus
}
#endif
#endif
