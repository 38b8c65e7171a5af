/* SPDX-License-Identifier: MIT
 *
 * What an allocator tells whoever watches its blocks: see ea_allocator_add_hook().
 */
#ifndef EALLOC_HOOK_H
#define EALLOC_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What happened to a block. The number of each stays the same for ever. */
typedef enum {
    EA_BLOCK_ALLOCATED = 1,   /* handed out; the size is the one asked for                   */
    EA_BLOCK_FREED = 2,       /* given back; the size is what the block could hold           */
    EA_BLOCK_MOVED = 3,       /* realloc leaves this block; EA_BLOCK_RESIZED names the other */
    EA_BLOCK_RESIZED = 4,     /* realloc is done; the size is the new one                    */
    EA_BLOCK_REFUSED = 5,     /* a request got nothing; block is NULL                        */
    EA_BLOCK_TRANSFERRED = 6, /* has another owner: this one                                 */
    EA_BLOCK_BAD_FREE = 7     /* a free was refused; block is what it was given              */
} ea_block_event_t;

/* Told of every block by the context it happened in, task or interrupt, while no lock is held and
 * nothing is masked: several at once. A block that is freed is told of before another context can
 * be given it, one that is allocated after nobody else can have it; so what is told of one block is
 * in order. Must not use the allocator, and whatever time it takes every call takes more.
 * owner    account id; 0: nobody's, or owners are compiled out
 * site     return address of the call, or what the request named */
typedef void (*ea_alloc_hook_function_t)(void *context, ea_block_event_t what, uint16_t owner,
                                         const void *site, const void *block, size_t size_bytes);

/* One that is told; the caller's object, in use from add to remove. With by_capacity the size of
 * ALLOCATED and RESIZED is what the block can hold, and a realloc that leaves the block where it is
 * tells MOVED of it too: so what comes is what goes, to the byte. */
typedef struct ea_alloc_hook {
    ea_alloc_hook_function_t function;
    void *context;
    struct ea_alloc_hook *eai_next;
    bool by_capacity;
} ea_alloc_hook_t;

#ifdef __cplusplus
}
#endif
#endif
