/* SPDX-License-Identifier: MIT
 *
 * An allocator's blocks into the ring. Apart, so that a program that records by itself needs no
 * allocator.
 */
#include "ealloc/trace.h"
#include "observe/attach.h"

static void record_in_trace(void *context, ea_block_event_t what, uint16_t owner, const void *site,
                            const void *block, size_t size_bytes)
{
    ea_trace_record((ea_trace_t *)context, (ea_trace_kind_t)what, owner, site, block, size_bytes);
}

ea_status_t ea_trace_attach(ea_trace_t *trace, ea_allocator_t *allocator)
{
    if (!trace) return EA_ERR_INVALID;
    const ea_alloc_hook_t hook = {.function = record_in_trace, .context = trace};
    return eai_attach(&trace->eai_hook, hook, allocator);
}

ea_status_t ea_trace_detach(ea_trace_t *trace, ea_allocator_t *allocator)
{
    return trace ? eai_detach(&trace->eai_hook, allocator) : EA_ERR_NOT_FOUND;
}
