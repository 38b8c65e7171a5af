/* SPDX-License-Identifier: MIT
 *
 * Every component of ealloc. Include single headers to take single components.
 */
#ifndef EALLOC_EALLOC_H
#define EALLOC_EALLOC_H

#include "ealloc/account.h"
#include "ealloc/allocator.h"
#include "ealloc/arena.h"
#include "ealloc/config.h"
#include "ealloc/dump.h"
#include "ealloc/event.h"
#include "ealloc/guard.h"
#include "ealloc/heap.h"
#include "ealloc/hook.h"
#include "ealloc/leaks.h"
#include "ealloc/lineage.h"
#include "ealloc/metrics.h"
#include "ealloc/monitor.h"
#include "ealloc/monitor_leaks.h"
#include "ealloc/monitor_metrics.h"
#include "ealloc/monitor_shutdown.h"
#include "ealloc/monitor_wait.h"
#include "ealloc/movable.h"
#include "ealloc/owner.h"
#include "ealloc/pool.h"
#include "ealloc/pool_wait.h"
#include "ealloc/poolset.h"
#include "ealloc/pressure.h"
#include "ealloc/profile.h"
#include "ealloc/scope.h"
#include "ealloc/scoped.h"
#include "ealloc/stack.h"
#include "ealloc/status.h"
#include "ealloc/trace.h"
#include "ealloc/trend.h"
#include "ealloc/upstream.h"
#include "ealloc/version.h"
#include "ealloc/waitq.h"

#endif
