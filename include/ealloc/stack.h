/* SPDX-License-Identifier: MIT
 *
 * Call stacks of allocations (row B5): who called the one who allocates. A stack is a row of return
 * addresses, the innermost first; the host's tools turn them into file:line. Each different stack
 * is kept once, under a number, in memory the application gives.
 *
 *     static uintptr_t table[EA_STACKS_BYTES(64, 6) / sizeof(uintptr_t)];
 *     const ea_stacks_options_t options = {.n_stacks = 64, .depth = 6, .map = {...}};
 *     ea_stacks_t *stacks = ea_stacks_init(table, sizeof table, &options);
 *     ea_stacks_attach(stacks, &memory);
 *     ... of a profile's row: ea_stacks_next(stacks, row.site, &cursor, &stack) ...
 *
 * How deep a stack is known depends on the machine and on how the program was compiled:
 *     x86_64, i386, AArch64, RISC-V   -fno-omit-frame-pointer, for the library too
 *     Cortex-M, Clang                 the same
 *     Cortex-M, GCC                   the same; its frames do not form a chain, so the beginnings
 *     of
 *                                     the functions are read: map.code must say where code lies
 *     others; without that option     the call site alone
 * Nothing is read but the running stack, up to the end that map.find_end tells, and code; every
 * frame must lie above the one before. What makes no sense ends the stack: never a fault, at worst
 * fewer frames, or where the option is missing a wrong one.
 *
 * Context, unless said otherwise: any.
 */
#ifndef EALLOC_STACK_H
#define EALLOC_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/hook.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Frames of a stack at most. */
#define EA_STACK_DEPTH_MAX 16u

/* What may be read. All zero: call sites alone. */
typedef struct {
    /* The end (one behind the highest byte) of the stack that the address at lies on, from which up
     * to there may be read; NULL: not known, the call site alone. Called by every allocation. */
    const void *(*find_end)(const void *at);
    const void *code_begin; /* where return addresses lead; both NULL: anywhere, but on Cortex-M */
    const void *code_end;   /* with GCC then the call site alone                                 */
} ea_stack_map_t;

/* The running stack from the frame on whose return address is site (NULL: from the caller of this
 * function on): at most n return addresses into frames.
 * Returns  how many; 1, site alone, where the frame is not met, and 0 if site is NULL then.
 * Cost     O(n), and up to EA_STACK_DEPTH_MAX frames above site. bench/wcet: stack_walk. */
size_t ea_stack_walk(const ea_stack_map_t *map, const void *site, uintptr_t *frames, size_t n);

typedef struct {
    uint32_t n_stacks; /* different ones; a power of two from 8 to 32768 */
    uint32_t depth;    /* frames of each, 1 to EA_STACK_DEPTH_MAX; 0: 1, the call site alone */
    ea_stack_map_t map;
} ea_stacks_options_t;

/* The table: these words, and behind them the stacks; private. What lies in memory is written down
 * in docs/formats/lineage.md. */
typedef struct {
    uintptr_t eai_magic;
    uintptr_t eai_shape; /* version, bytes a word, log2 of the number of stacks */
    uintptr_t eai_depth;
    uintptr_t eai_n_dropped;
    ea_stack_map_t eai_map;
    ea_alloc_hook_t eai_hook;
    uintptr_t eai_reserved[5];
} ea_stacks_t;

/* Bytes of a table. */
#define EA_STACKS_BYTES(n_stacks, depth)                                                           \
    (sizeof(ea_stacks_t) + (size_t)(n_stacks) * ((depth) + 2u) * sizeof(uintptr_t))

/* Make a table in mem.
 * Returns  the table, which lies at mem; NULL if an argument is NULL, mem is not aligned to a word
 *          or smaller than EA_STACKS_BYTES(), or a number is not as it should be: nothing changed.
 * Owns     the table uses mem as long as it is used.
 * Context  any, alone. Cost O(size_bytes). */
EA_NODISCARD ea_stacks_t *ea_stacks_init(void *mem, size_t size_bytes,
                                         const ea_stacks_options_t *options);

/* The number of the running stack from site on, which is kept if it is new. Numbers stay as long as
 * the table does. Two contexts that bring one stack at the same moment may each get a number.
 * Returns  1 to n_stacks; 0: it found no place (each has eight), and was counted as dropped.
 * Cost     a walk, and at most eight comparisons. */
uint16_t ea_stacks_here(ea_stacks_t *stacks, const void *site);

/* The same of frames that the caller knows; n is at least 1, what is beyond depth is left out. */
uint16_t ea_stacks_add(ea_stacks_t *stacks, const uintptr_t *frames, size_t n);

/* A stack as it is read. */
typedef struct {
    uint16_t id;
    size_t n_seen; /* how often it came */
    size_t n_frames;
    const uintptr_t *frames; /* in the table, where they stay */
} ea_stack_t;

/* The stack of a number. Returns EA_OK; EA_ERR_NOT_FOUND; EA_ERR_INVALID: NULL. Cost O(1). */
EA_NODISCARD ea_status_t ea_stacks_get(const ea_stacks_t *stacks, uint16_t id, ea_stack_t *stack);

/* The next stack that begins with site; of any, if that is NULL. *cursor begins with 0.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: there is none; EA_ERR_INVALID: NULL.
 * Cost     O(n_stacks) for a whole walk. */
EA_NODISCARD ea_status_t ea_stacks_next(const ea_stacks_t *stacks, const void *site, size_t *cursor,
                                        ea_stack_t *stack);

/* How many stacks found no place. */
EA_NODISCARD size_t ea_stacks_dropped(const ea_stacks_t *stacks);

/* Keep the stack of every block that allocator hands out from now on. Not needed where a lineage
 * (ealloc/lineage.h) has the table.
 * Returns  EA_OK; EA_ERR_BUSY: it is attached already; EA_ERR_INVALID: NULL, or EA_CFG_ALLOC_HOOK
 *          is 0.
 * Context  task. */
struct ea_allocator;
ea_status_t ea_stacks_attach(ea_stacks_t *stacks, struct ea_allocator *allocator);

/* No longer. Returns EA_OK; EA_ERR_NOT_FOUND. Context: task, while no other context uses the
 * allocator. */
ea_status_t ea_stacks_detach(ea_stacks_t *stacks, struct ea_allocator *allocator);

#ifdef __cplusplus
}
#endif
#endif
