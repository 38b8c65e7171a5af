/* SPDX-License-Identifier: MIT
 *
 * The heap instances that the tool is linked with.
 */
#ifndef EALLOC_REPLAY_HEAPS_H
#define EALLOC_REPLAY_HEAPS_H

#include "stores/heap_instance.h"

/* The instance of a profile ("default", "fast", "throughput", "tiny") with that alignment and width
 * of the free-list links, or NULL. */
const eai_heap_ops_t *heaps_find(const char *profile, unsigned align, unsigned link_bits);

#endif
