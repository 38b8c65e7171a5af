/* SPDX-License-Identifier: MIT
 *
 * A store of movable blocks (row A4): memory that does not fragment. A block is known by a handle;
 * who wants its bytes locks it, gets an address, and unlocks it. Between locks the store may slide
 * blocks together, so that free memory becomes one piece again: in steps with a budget when the
 * system is idle, and within the budget of a request that would otherwise fail.
 *
 *     handle -> table entry (offset, generation, pins) -> block
 *
 * One context at a time allocates, frees, resizes, steps, walks and checks (the owner). lock,
 * try_lock, unlock, read, write and size_bytes may come from any context at any time, interrupts
 * among them, also while the very block is being moved: who locks it then finishes the move.
 *
 * Sources: Craciunas et al., A Compacting Real-Time Memory Management System (USENIX ATC 2008);
 * Masmano et al., TLSF (ECRTS 2004) for the bins that holes are kept in.
 */
#ifndef EALLOC_MOVABLE_H
#define EALLOC_MOVABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/config.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The layout (EA_CFG_MOVABLE_LAYOUT) decides what a store can hold and what a block costs:
 *
 *   layout   unit and alignment   largest region   most blocks   bytes a block   most locks of one
 *   small     4                    64 KB             2048          6.1             3
 *   medium    4                   256 KB            16376          8             125
 *   large     8                    32 GB         16777208         16             125
 *
 * A block takes its size rounded up to units, and what the table says. */
#if EA_CFG_MOVABLE_LAYOUT == 0
#define EA_MOVABLE_ALIGN 4u
#define EA_MOVABLE_HEADER_BYTES 4u
#define EA_MOVABLE_MAX_HANDLES 2048u
#define EA_MOVABLE_MAX_LOCKS 3u
#elif EA_CFG_MOVABLE_LAYOUT == 1
#define EA_MOVABLE_ALIGN 4u
#define EA_MOVABLE_HEADER_BYTES 4u
#define EA_MOVABLE_MAX_HANDLES 16376u
#define EA_MOVABLE_MAX_LOCKS 125u
#else
#define EA_MOVABLE_ALIGN 8u
#define EA_MOVABLE_HEADER_BYTES 8u
#define EA_MOVABLE_MAX_HANDLES 16777208u
#define EA_MOVABLE_MAX_LOCKS 125u
#endif

/* The layout, whether interrupts may lock, whether blocks may be fixed and relocated are part of a
 * symbol's name. */
#if !defined(EA_MOVABLE_INSTANCE) && !defined(DOXYGEN)
#define EAI_MOVABLE_NAME2(l, i, f, r) ea_movable_init_layout##l##_isr##i##_fixed##f##_relocate##r
#define EAI_MOVABLE_NAME(l, i, f, r) EAI_MOVABLE_NAME2(l, i, f, r)
#define ea_movable_init                                                                            \
    EAI_MOVABLE_NAME(EA_CFG_MOVABLE_LAYOUT, EA_CFG_MOVABLE_ISR, EA_CFG_MOVABLE_FIXED,              \
                     EA_CFG_MOVABLE_RELOCATE)
#endif

/* The control structure stands at the start of the memory; its content is private. */
typedef struct ea_movable ea_movable_t;

/* Names a block. A copy is as good as the original; all zero names none. */
typedef struct {
    uint32_t eai_word;
} ea_movable_handle_t;

EA_INLINE bool ea_movable_is_none(ea_movable_handle_t handle)
{
    return handle.eai_word == 0;
}

/* A budget that never ends. */
#define EA_MOVABLE_UNLIMITED SIZE_MAX
/* What moving a block charges to a budget beyond its bytes. */
#define EA_MOVABLE_MOVE_CHARGE_BYTES 32u

/* NULL, or all zero, means the defaults. */
typedef struct {
    uint32_t n_handles;   /* table entries at init; 0 = as many as one chunk holds        */
    uint32_t max_handles; /* the table grows up to it, downwards from the end of the memory, a
                             chunk at a time; 0 = what the layout allows. Equal to n_handles:
                             never. Both are rounded up to chunks: 8 entries (small: 32)    */
} ea_movable_options_t;

typedef struct {
    size_t total_bytes;   /* of the memory, that blocks can be made of now                 */
    size_t free_bytes;    /* of these, in holes of any size                                */
    size_t largest_bytes; /* largest request served now without moving anything, but for the
                              search's own bound: O(holes of one bin)                       */
    size_t control_bytes; /* the control structure                                         */
    size_t table_bytes;   /* the table of handles                                          */
    uint32_t n_live;      /* blocks with a handle                                          */
#if EA_CFG_MOVABLE_FIXED
    uint32_t n_fixed; /* blocks without: see ea_movable_alloc_fixed()                          */
#endif
    uint32_t n_handles;      /* entries of the table                                          */
    size_t moved_bytes;      /* copied by compaction since init                               */
    size_t max_demand_bytes; /* most charged to one request                                 */
    size_t n_moves;          /* blocks moved since init                                       */
    size_t n_failures;       /* requests refused since init, for whatever reason              */
    size_t n_again;          /* of these, for want of budget alone                            */
} ea_movable_stats_t;

/* One block as a walk sees it. */
typedef struct {
    ea_movable_handle_t handle; /* none: a hole, or a fixed block              */
    size_t offset_bytes;        /* of the payload, from the store's first byte */
    size_t size_bytes;          /* payload; of a hole all of it                */
    uint32_t n_locks;
    bool moving;
#if EA_CFG_MOVABLE_FIXED
    bool is_fixed;
#endif
} ea_movable_block_t;

/* A pin and what it costs: the hole right below it that cannot be closed. */
typedef struct {
    ea_movable_handle_t handle;
    size_t size_bytes;
    size_t hole_bytes;
    uint32_t n_locks;
} ea_movable_pin_t;

/* What ea_movable_check() found. */
typedef struct {
    const char *invariant; /* "I1".."I8" and its sentence; static storage; NULL: none broken */
    const void *where;     /* the block or structure that breaks it                          */
} ea_movable_fault_t;

/* --- life ------------------------------------------------------------------------------------- */

/* Make a store of mem.
 * Returns  the store, at the first aligned address of mem; NULL: mem is NULL or too small or larger
 *          than the layout's largest region, or an option is out of range.
 * Owns     mem is the store's for as long as it is used; there is nothing to give back.
 * Cost     O(handles at init). */
EA_NODISCARD ea_movable_t *ea_movable_init(void *mem, size_t size_bytes,
                                           const ea_movable_options_t *options);

/* --- blocks: the owner's ---------------------------------------------------------------------- */

/* A block of at least size_bytes (0 counts as 1). Contents indeterminate. At most budget_bytes are
 * charged for moving other blocks: 0 moves nothing, EA_MOVABLE_UNLIMITED whatever it takes.
 * Returns  its handle; none: refused, and ea_movable_last_refusal() says why: EA_ERR_AGAIN: moving
 *          blocks would make room, beyond this budget; EA_ERR_NO_MEMORY: there is too little free
 *          memory; EA_ERR_BUSY: there is enough, divided by locked blocks; EA_ERR_LIMIT: the table
 *          of handles is full; EA_ERR_TOO_LARGE: it could never be; EA_ERR_CORRUPT.
 * Owns     the caller, until ea_movable_free().
 * Context  owner.
 * Cost     O(1) where a hole fits; else at most four walks over the headers, and the budget. */
EA_NODISCARD ea_movable_handle_t ea_movable_alloc(ea_movable_t *m, size_t size_bytes,
                                                  size_t budget_bytes);

/* Why the last request was refused: EA_OK if none was. Context: owner. Cost: O(1). */
EA_NODISCARD ea_status_t ea_movable_last_refusal(const ea_movable_t *m);

/* Give a block back.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: the handle names no live block; EA_ERR_BUSY: it is locked;
 *          EA_ERR_CORRUPT: its header is damaged. Then nothing changed.
 * Context  owner.
 * Cost     O(1). */
ea_status_t ea_movable_free(ea_movable_t *m, ea_movable_handle_t handle);

/* Change a block's size; its handle and its first bytes stay. In place where a hole follows it;
 * else to a hole that fits; else, within budget_bytes, other blocks are moved, and at last all of
 * its neighbours up and down. What is copied of the block itself is not charged.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: stale; EA_ERR_BUSY: it is locked and cannot grow where it is,
 *          or locked blocks are in the way; else as ea_movable_alloc(). Then nothing changed.
 * Context  owner.
 * Cost     O(its size) plus that of ea_movable_alloc(). */
ea_status_t ea_movable_resize(ea_movable_t *m, ea_movable_handle_t handle, size_t size_bytes,
                              size_t budget_bytes);

/* --- blocks that stay: the owner's ------------------------------------------------------------ */

#if EA_CFG_MOVABLE_FIXED
/* A block that is known by its address and stays where it is until it is freed, at the high end of
 * the memory, while the others gather at the low end. It needs no handle, but a header. Contents
 * indeterminate. Up to budget_bytes are charged for moving blocks out of its place, which is
 *     the highest one right below another such block, or below the end of the memory, that the
 *     budget reaches; if locks leave none whatever the budget,
 *     the highest one right below a locked block.
 * The table of handles does not grow past a fixed block: give n_handles at init.
 * Returns  its address, a multiple of align_bytes (a power of two; 0 and less than EA_MOVABLE_ALIGN
 *          count as that; more may cost as many bytes more); NULL: refused for a reason that
 *          ea_movable_alloc() could have. EA_ERR_BUSY: divided by locked or fixed blocks;
 *          EA_ERR_INVALID: align_bytes is no power of two.
 * Owns     the caller, until ea_movable_free_fixed().
 * Context  owner.
 * Cost     one to four walks over the headers, and the budget. */
EA_NODISCARD void *ea_movable_alloc_fixed(ea_movable_t *m, size_t size_bytes, size_t align_bytes,
                                          size_t budget_bytes);

/* Give it back.
 * Returns  EA_OK; as far as its header tells: EA_ERR_FOREIGN: no fixed block begins there;
 *          EA_ERR_DOUBLE_FREE: it is free; EA_ERR_CORRUPT: its header is damaged. Then nothing
 *          changed.
 * Context  owner. Cost: O(1). */
ea_status_t ea_movable_free_fixed(ea_movable_t *m, void *address);

/* Is there a fixed block, of how many bytes? As ea_movable_free_fixed(); *size_bytes is what may be
 * used, at least what was asked for. Context: owner. Cost: O(1). */
EA_NODISCARD ea_status_t ea_movable_probe_fixed(const ea_movable_t *m, const void *address,
                                                size_t *size_bytes);
#endif

/* --- blocks: anybody's ------------------------------------------------------------------------ */

/* Pin a block: until it is unlocked as often as it was locked, it stays where it is.
 * Returns  its address; NULL: the handle names no live block, or it is locked
 *          EA_MOVABLE_MAX_LOCKS times, or it is being relocated: ea_movable_set_relocate().
 * Context  any.
 * Cost     O(1); of a block being moved O(its size), masked for one chunk of 32 bytes at a time.
 * Checks   level >= 1: any handle that was not given out is told from a live one, but for bits that
 *          no handle has, which are not looked at, and for handles of other stores; level 0: any
 *          that this store ever gave out. */
EA_NODISCARD void *ea_movable_lock(ea_movable_t *m, ea_movable_handle_t handle);

/* The same in constant time.
 * Returns  EA_OK and the address in *address; EA_ERR_BUSY: it is being moved; EA_ERR_LIMIT: locked
 *          EA_MOVABLE_MAX_LOCKS times; EA_ERR_NOT_FOUND: the handle names no live block. */
EA_NODISCARD ea_status_t ea_movable_try_lock(ea_movable_t *m, ea_movable_handle_t handle,
                                             void **address);

/* Undo one lock.
 * Returns  EA_OK; EA_ERR_INVALID: the handle names no locked block; EA_ERR_NOT_FOUND: not even an
 *          entry of the table. At level 0 it must name a live block.
 * Context  any. Cost: O(1). */
ea_status_t ea_movable_unlock(ea_movable_t *m, ea_movable_handle_t handle);

/* Copy n_bytes out of, or into, a block, from offset_bytes on; it is locked meanwhile.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: stale; EA_ERR_LIMIT: locked too often; EA_ERR_RANGE: beyond the
 *          block's end. Then nothing was copied.
 * Context  any. Cost: O(n_bytes) and that of ea_movable_lock(). */
ea_status_t ea_movable_read(ea_movable_t *m, ea_movable_handle_t handle, size_t offset_bytes,
                            void *to, size_t n_bytes);
ea_status_t ea_movable_write(ea_movable_t *m, ea_movable_handle_t handle, size_t offset_bytes,
                             const void *from, size_t n_bytes);

/* Bytes that may be used, at least what was asked for; 0: stale, or locked too often. Context: any.
 * Cost: as ea_movable_lock(). */
EA_NODISCARD size_t ea_movable_size_bytes(ea_movable_t *m, ea_movable_handle_t handle);

/* A block of code with a block of the store locked: address is a pointer to type, NULL where
 * ea_movable_lock() says so. It is unlocked by whatever way the block of code is left:
 *
 *     EA_MOVABLE_LOCKED(m, handle, char, text) {
 *         if (text == NULL) return false;
 *         puts(text);
 *     }
 *
 * break and continue leave it and nothing else. Where EA_HAS_CLEANUP is 0 only its end and continue
 * unlock. */
#define EA_MOVABLE_LOCKED(m, handle, type, address)                                                \
    for (EAI_CLEANUP(eai_movable_leave)                                                            \
             eai_movable_scope_t eai_scope_##address = eai_movable_enter((m), (handle));           \
         !eai_scope_##address.eai_left; eai_movable_leave(&eai_scope_##address))                   \
        for (type *address = (type *)eai_scope_##address.eai_address;                              \
             !eai_scope_##address.eai_left; eai_movable_leave(&eai_scope_##address))

/* --- compaction: the owner's ------------------------------------------------------------------ */

/* Slide blocks down into the holes below them, as far as budget_bytes reach: for idle time, and for
 * a task that wakes up now and then. A hole passes blocks of sixteen times its size, all together,
 * before it has to meet another one; more of them when there is nothing else to do. A block larger
 * than what is left of the budget is moved in several steps.
 * Returns  EA_OK: a whole sweep found nothing to move; EA_ERR_AGAIN: call again to go on, also
 *          where the budget was not used up: a call ends with its sweep. A budget below
 *          EA_MOVABLE_ALIGN does nothing and says EA_ERR_AGAIN.
 * Context  owner.
 * Cost     at most budget_bytes copied; a header looked at is charged 3 bytes, a block moved
 *          EA_MOVABLE_MOVE_CHARGE_BYTES beyond its own, a hole that is taken up 24. */
ea_status_t ea_movable_step(ea_movable_t *m, size_t budget_bytes);

#if EA_CFG_MOVABLE_RELOCATE
/* A block has moved: the first size_bytes of it stand at to, and no longer at from, which may be
 * overwritten. What in it points into it has to be changed by (char *)to - (char *)from.
 * Context  the owner's, inside the call that moves. It may lock, unlock, read and write other
 *          blocks, and nothing else of this store. */
typedef void (*ea_movable_relocate_t)(void *context, ea_movable_handle_t handle, void *from,
                                      void *to, size_t size_bytes);

/* Call relocate(context, ...) after each move of a block from now on; NULL: of none. For blocks
 * that hold pointers to themselves; a store has one such function, which knows by the handle or by
 * the contents what kind of block it is.
 *
 * Until it has returned the block is being moved, and nobody helps: ea_movable_lock() answers NULL,
 * ea_movable_size_bytes() 0, the others EA_ERR_BUSY. But it is so only inside the owner's calls: a
 * step does not begin to move a block that its budget does not pay as a whole, so give it at least
 * the largest block's bytes and EA_MOVABLE_MOVE_CHARGE_BYTES.
 * Context  owner, while nobody else uses the store. Cost: O(1), and what is left of a move. */
void ea_movable_set_relocate(ea_movable_t *m, ea_movable_relocate_t relocate, void *context);
#endif

/* The pins that cost most, costliest first. Returns how many it wrote, at most n. Context: owner.
 * Cost: O(blocks * n). */
size_t ea_movable_pins(const ea_movable_t *m, ea_movable_pin_t *pins, size_t n);

/* --- numbers ---------------------------------------------------------------------------------- */

/* Context: owner. */
void ea_movable_stats(const ea_movable_t *m, ea_movable_stats_t *stats);

/* The block or hole at *position, a number of the walk's own that begins at 0; *position moves on.
 * Returns  false: there are no more. A walk is void once anything was allocated, freed, resized or
 *          moved.
 * Context  owner. Cost: O(1). */
bool ea_movable_walk(const ea_movable_t *m, size_t *position, ea_movable_block_t *block);

/* Check every invariant. Changes nothing and survives garbage: nothing outside the store's memory,
 * of size_bytes as at init, is read. Returns EA_OK, or EA_ERR_CORRUPT with *fault (may be NULL)
 * naming the first broken one. Context: owner. Cost: O(blocks + handles). */
EA_NODISCARD ea_status_t ea_movable_check(const ea_movable_t *m, ea_movable_fault_t *fault);

/* --- private ---------------------------------------------------------------------------------- */

#if EA_CFG_MOVABLE_FIXED
/* As ea_movable_alloc_fixed(), but it is the byte at offset_bytes, a multiple of EA_MOVABLE_ALIGN,
 * that is aligned. */
void *eai_movable_alloc_fixed_at(ea_movable_t *m, size_t size_bytes, size_t align_bytes,
                                 size_t offset_bytes, size_t budget_bytes);
#endif

/* Of the handles that a table of n entries knows: 0 to n - 1, each live one's own. */
EA_INLINE uint32_t eai_movable_number(ea_movable_handle_t handle)
{
#if EA_CFG_MOVABLE_LAYOUT == 0
    return 0x7FFu - (handle.eai_word >> 21);
#elif EA_CFG_MOVABLE_LAYOUT == 1
    return 0x3FFFu - (handle.eai_word >> 18);
#else
    return 0xFFFFFFu - (handle.eai_word >> 8);
#endif
}

/* A look at a store that may be damaged, for dumps. Places count units from the store. */
typedef struct {
    const ea_movable_t *eai_store;
    uintptr_t eai_table;                 /* where the entry of index 0 would stand            */
    uint32_t eai_end;                    /* of its blocks and holes                           */
    uint32_t eai_first_entry, eai_entry; /* of the table, and which comes next                */
    uint32_t eai_at;                     /* the header that comes next                        */
    uint32_t eai_lost; /* where headers ended to make sense and one that does is looked for; 0 */
    bool eai_is_live;  /* other contexts lock blocks meanwhile                                */
    uint8_t eai_unit_bytes;
} eai_movable_look_t;

typedef struct {
    ea_movable_t *eai_store;
    ea_movable_handle_t eai_handle;
    void *eai_address;
    bool eai_left;
} eai_movable_scope_t;

EA_INLINE eai_movable_scope_t eai_movable_enter(ea_movable_t *m, ea_movable_handle_t handle)
{
    eai_movable_scope_t scope;
    scope.eai_store = m;
    scope.eai_handle = handle;
    scope.eai_address = ea_movable_lock(m, handle);
    scope.eai_left = false;
    return scope;
}

EA_INLINE void eai_movable_leave(eai_movable_scope_t *scope)
{
    if (!scope->eai_left && scope->eai_address)
        (void)ea_movable_unlock(scope->eai_store, scope->eai_handle);
    scope->eai_left = true;
}

#ifdef __cplusplus
}
#endif
#endif
