/* SPDX-License-Identifier: MIT
 *
 * Counting what a hook does with an event. A hook takes six words, of which the counter passes
 * five: what is counted is a call of a function that calls it, and the same with an empty one is
 * taken off.
 */
#ifndef HOOKED_H
#define HOOKED_H

#include "count.h"
#include "ealloc/hook.h"

static EA_NOINLINE void hooked_call(ea_alloc_hook_function_t function, void *context,
                                    ea_block_event_t what, const void *site, const void *block)
{
    function(context, what, 12, site, block, 40);
}

static EA_NOINLINE void hooked_nothing(void *context, ea_block_event_t what, uint16_t owner,
                                       const void *site, const void *block, size_t size_bytes)
{
    (void)context, (void)what, (void)owner, (void)site, (void)block, (void)size_bytes;
    __asm volatile("");
}

static void hooked_note(op_t op, void *function, void *context, ea_block_event_t what,
                        uintptr_t site, uintptr_t block)
{
    uint32_t whole = 0, rest = 0;
    (void)COUNTED(&rest, hooked_call, hooked_nothing, context, what, site, block);
    (void)COUNTED(&whole, hooked_call, function, context, what, site, block);
    count_note(op, whole - rest);
}

#endif
