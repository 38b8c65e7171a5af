/* SPDX-License-Identifier: MIT
 *
 * An allocator's blocks into the ring. Apart, so that a program that records by itself needs no
 * allocator.
 */
#include "ealloc/allocator.h"
#include "ealloc/trace.h"

#if EA_CFG_ALLOC_HOOK

static void record_in_trace(void *context, ea_block_event_t what, uint16_t owner, const void *site,
                            const void *block, size_t size_bytes)
{
    ea_trace_record((ea_trace_t *)context, (ea_trace_kind_t)what, owner, site, block, size_bytes);
}

ea_status_t ea_trace_attach(ea_trace_t *trace, ea_allocator_t *allocator)
{
    if (!trace || !allocator) return EA_ERR_INVALID;
    if (trace->eai_hook.function) return EA_ERR_BUSY;
    trace->eai_hook = (ea_alloc_hook_t){.function = record_in_trace, .context = trace};
    ea_status_t status = ea_allocator_add_hook(allocator, &trace->eai_hook);
    if (status != EA_OK) trace->eai_hook.function = NULL;
    return status;
}

ea_status_t ea_trace_detach(ea_trace_t *trace, ea_allocator_t *allocator)
{
    if (!trace || !allocator) return EA_ERR_NOT_FOUND;
    ea_status_t status = ea_allocator_remove_hook(allocator, &trace->eai_hook);
    if (status == EA_OK) trace->eai_hook.function = NULL;
    return status;
}

#else

ea_status_t ea_trace_attach(ea_trace_t *trace, ea_allocator_t *allocator)
{
    (void)trace, (void)allocator;
    return EA_ERR_INVALID;
}

ea_status_t ea_trace_detach(ea_trace_t *trace, ea_allocator_t *allocator)
{
    (void)trace, (void)allocator;
    return EA_ERR_NOT_FOUND;
}

#endif
