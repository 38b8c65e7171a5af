/* SPDX-License-Identifier: MIT
 *
 * Where a block comes from (row B5): who allocated it, by which calls, on behalf of which other
 * block, and through whose hands it went since. Fed by an allocator's hook; the table lies in
 * memory the application gives, and can be dumped as it is.
 *
 *     static uintptr_t table[EA_LINEAGE_BYTES(256, 4, 3) / sizeof(uintptr_t)];
 *     const ea_lineage_options_t options = {.n_blocks = 256, .n_tasks = 4, .n_hand_overs = 3};
 *     ea_lineage_t *lineage = ea_lineage_init(table, sizeof table, &options);
 *     ea_lineage_attach(lineage, &memory);
 *
 *     EA_SERVING(lineage, request) {
 *         ... what this task allocates here was allocated for request ...
 *     }
 *
 *     for (status = ea_lineage_of(lineage, block, &e); status == EA_OK;
 *          status = ea_lineage_parent(lineage, &e)) ... e.site, e.owner, e.hand_overs ...
 *
 * A block has one of eight places from a hash of its address on. A freed block keeps its place, so
 * that those allocated for it can be followed to it, until a block needs it: then the one allocated
 * first gives way, and is counted. A block that finds all eight taken by live ones has no lineage,
 * and is counted: the old blocks are those that leaks are made of.
 *
 * A realloc changes the size of a block and perhaps its address; its lineage goes with it.
 * ea_transfer() is a hand-over. Of a block's hand-overs the newest n_hand_overs are kept, and all
 * are counted.
 *
 * What is served is any address: a block of the allocator, known by its lineage though it moves or
 * is freed, or a request, connection or message of any other kind, known by its address.
 *
 * Context, unless said otherwise: any.
 */
#ifndef EALLOC_LINEAGE_H
#define EALLOC_LINEAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/config.h"
#include "ealloc/hook.h"
#include "ealloc/stack.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EA_LINEAGE_HAND_OVERS_MAX 8u

typedef struct {
    uint32_t n_blocks; /* places; a power of two from 8 to 2^20. Twice the live blocks are enough */
    uint32_t n_tasks;  /* that may be inside of EA_SERVING() at a time, interrupts counting for
                              one; a power of two */
    uint32_t n_hand_overs; /* of each block that are kept, 0 to EA_LINEAGE_HAND_OVERS_MAX */
    const volatile uint32_t *clock; /* a counter of ticks that the application has anyhow; NULL:
                                       ea_port_time_coarse_us(), in units of 1024 us */
    uint32_t tick_us;               /* length of a tick of clock */
    ea_stacks_t *stacks;            /* keeps the stack of each block; NULL: the call site alone */
} ea_lineage_options_t;

/* Words of a place without hand-overs, of one hand-over, and of a task's place; private. */
#define EAI_LINEAGE_WORDS 9u
#define EAI_LINEAGE_HOP_WORDS 3u
#define EAI_LINEAGE_TASK_WORDS 4u
#define EAI_LINEAGE_TRANSITS 4u

/* The table: these words, and behind them tasks and places; private. What lies in memory is written
 * down in docs/formats/lineage.md. */
typedef struct {
    uintptr_t eai_magic;
    uintptr_t eai_shape; /* version, bytes a word, log2 of the number of places */
    uintptr_t eai_n_tasks;
    uintptr_t eai_n_hand_overs;
    uintptr_t eai_unit_us;
    uintptr_t eai_serial; /* of the block that came last */
    uintptr_t eai_n_untracked;
    uintptr_t eai_n_forgotten;
    uintptr_t eai_n_severed;
    uintptr_t eai_n_serving;
    const volatile uint32_t *eai_clock;
    ea_stacks_t *eai_stacks;
    uintptr_t eai_transits[EAI_LINEAGE_TRANSITS][2];
    ea_alloc_hook_t eai_hook;
    uintptr_t eai_reserved[8];
} ea_lineage_t;

/* Bytes of a table. */
#define EA_LINEAGE_BYTES(n_blocks, n_tasks, n_hand_overs)                                          \
    (sizeof(ea_lineage_t) +                                                                        \
     ((size_t)(n_tasks)*EAI_LINEAGE_TASK_WORDS +                                                   \
      (size_t)(n_blocks) * (EAI_LINEAGE_WORDS + (n_hand_overs)*EAI_LINEAGE_HOP_WORDS)) *           \
         sizeof(uintptr_t))

/* Make a table in mem.
 * Returns  the table, which lies at mem; NULL if an argument is NULL, mem is not aligned to a word
 *          or smaller than EA_LINEAGE_BYTES(), a number is not as it should be, or there is a clock
 *          and no tick_us: nothing changed.
 * Owns     the table uses mem, options->clock and options->stacks as long as it is used.
 * Context  any, alone. Cost O(size_bytes). */
EA_NODISCARD ea_lineage_t *ea_lineage_init(void *mem, size_t size_bytes,
                                           const ea_lineage_options_t *options);

/* Record one event; what attach does for every event of an allocator. lineage is not NULL.
 * Cost     O(1): at most eight places are looked at, and a stack is walked if stacks are kept.
 *          bench/wcet: lineage_alloc, lineage_free, lineage_transfer. */
void ea_lineage_record(ea_lineage_t *lineage, ea_block_event_t what, uint16_t owner,
                       const void *site, const void *block, size_t size_bytes);

/* --- serving ---------------------------------------------------------------------------------- */

/* What a task serves, in the caller's frame; private. */
typedef struct {
    ea_lineage_t *eai_lineage;
    uintptr_t *eai_task; /* NULL: not noted, or ended */
    uintptr_t eai_before[EAI_LINEAGE_TASK_WORDS];
    bool eai_is_first; /* of its task */
} ea_serving_t;

/* From here on the running context allocates for served, until the end of this or the begin of
 * another one inside of it. NULL for lineage does nothing, NULL for served means for nobody. Where
 * more tasks than n_tasks are serving it is not noted.
 * Owns     *serving is in use until its end, which must come in the same task.
 * Cost     O(1). bench/wcet: serving_begin. */
void ea_serving_begin(ea_serving_t *serving, ea_lineage_t *lineage, const void *served);

/* What was served before is served again.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: it was not noted, has ended, or is another context's.
 * Cost     O(1). bench/wcet: serving_end. */
ea_status_t ea_serving_end(ea_serving_t *serving);

/* A block that serves. It ends by whatever way it is left, as EA_TRACK() does (ealloc/scope.h), and
 * with the same exceptions. */
#define EA_SERVING(lineage, served) EAI_SERVING(lineage, served, __COUNTER__)

/* --- reading ---------------------------------------------------------------------------------- */

typedef struct {
    const void *site; /* who called ea_transfer() */
    uint64_t time_us;
    uint16_t to; /* account id */
} ea_hand_over_t;

/* One generation; fields with eai_ are private. */
typedef struct {
    uint32_t generation; /* 0: the block that was asked for; 1: what it was allocated for; ... */
    bool is_known;       /* false: nothing but its address is: it is no block, or forgotten */
    bool is_live;
    const void *block; /* where it is, or was at the end */
    size_t size_bytes;
    const void *site;    /* of its allocation */
    uint16_t stack;      /* of its allocation, in the options' stacks; 0: none */
    uint16_t owner;      /* who allocated it */
    uint16_t owner_now;  /* whose hands it is in */
    uint64_t time_us;    /* of its allocation, by the clock, modulo 2^32 units */
    const void *parent;  /* what was served then; NULL: nothing */
    size_t n_handed;     /* how often it was handed over */
    size_t n_hand_overs; /* the newest of which these are, oldest first */
    ea_hand_over_t hand_overs[EA_LINEAGE_HAND_OVERS_MAX];
    uintptr_t eai_serial, eai_parent_serial;
} ea_lineage_entry_t;

/* The lineage of the live block at this address, or if there is none of the one freed there last.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: it has none; EA_ERR_AGAIN: it changed all the while;
 *          EA_ERR_INVALID: NULL.
 * Cost     O(1). */
EA_NODISCARD ea_status_t ea_lineage_of(const ea_lineage_t *lineage, const void *block,
                                       ea_lineage_entry_t *entry);

/* From an entry to that of what it was allocated for.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: it was allocated for nothing, or entry is not known;
 *          EA_ERR_INVALID: NULL.
 * Cost     O(1); O(blocks) where the parent has moved or is forgotten. The generations end: a block
 *          is older than those allocated for it. */
EA_NODISCARD ea_status_t ea_lineage_parent(const ea_lineage_t *lineage, ea_lineage_entry_t *entry);

/* The next block, live or freed, in no order; *cursor begins with 0. Those allocated for a block p
 * are those whose parent is p.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: there is none; EA_ERR_INVALID: NULL.
 * Cost     O(blocks) for a whole walk. */
EA_NODISCARD ea_status_t ea_lineage_next(const ea_lineage_t *lineage, size_t *cursor,
                                         ea_lineage_entry_t *entry);

typedef struct {
    size_t n_recorded;  /* blocks that came */
    size_t n_untracked; /* that found no place, or lost it in a realloc */
    size_t n_forgotten; /* freed ones that gave their place to others */
    size_t n_severed;   /* blocks that lost their lineage in a realloc: more of them at a time than
                           EAI_LINEAGE_TRANSITS */
} ea_lineage_stats_t;

/* Cost O(1). */
void ea_lineage_stats(const ea_lineage_t *lineage, ea_lineage_stats_t *stats);

/* Record what happens to the blocks of allocator from now on. To be attached before blocks are
 * allocated: those from before have no lineage.
 * Returns  EA_OK; EA_ERR_BUSY: it is attached already; EA_ERR_INVALID: NULL, or EA_CFG_ALLOC_HOOK
 *          is 0.
 * Context  task. */
struct ea_allocator;
ea_status_t ea_lineage_attach(ea_lineage_t *lineage, struct ea_allocator *allocator);

/* No longer. Returns EA_OK; EA_ERR_NOT_FOUND. Context: task, while no other context uses the
 * allocator. */
ea_status_t ea_lineage_detach(ea_lineage_t *lineage, struct ea_allocator *allocator);

#if !defined(DOXYGEN)
#define EAI_SERVING(lineage, served, number) EAI_SERVING_(lineage, served, number)
#if EA_CFG_TRACK
/* What EA_SERVING() is made of; private. */
typedef struct {
    ea_serving_t eai_serving;
    ea_lineage_t *eai_lineage;
    const void *eai_served;
    int eai_steps; /* 0: not begun, 1: inside, 2: left */
} eai_serving_block_t;

EA_INLINE int eai_serving_enter(eai_serving_block_t *block)
{
    if (block->eai_steps != 0) return 0;
    block->eai_steps = 1;
    ea_serving_begin(&block->eai_serving, block->eai_lineage, block->eai_served);
    return 1;
}

EA_INLINE void eai_serving_leave(eai_serving_block_t *block)
{
    if (block->eai_steps == 1) (void)ea_serving_end(&block->eai_serving);
    block->eai_steps = 2;
}

EA_INLINE eai_serving_block_t eai_serving_of(ea_lineage_t *lineage, const void *served)
{
    eai_serving_block_t block;
    block.eai_lineage = lineage;
    block.eai_served = served;
    block.eai_steps = 0;
    return block;
}

#define EAI_SERVING_(lineage, served, number)                                                      \
    for (EAI_CLEANUP(eai_serving_leave)                                                            \
             eai_serving_block_t eai_serving_##number = eai_serving_of(lineage, served);           \
         eai_serving_enter(&eai_serving_##number); eai_serving_leave(&eai_serving_##number))
#else
#define EAI_SERVING_(lineage, served, number)                                                      \
    for (unsigned char eai_serving_##number = sizeof(lineage) + sizeof(served) != 0;               \
         eai_serving_##number; eai_serving_##number = 0)
#endif
#endif

#ifdef __cplusplus
}
#endif
#endif
