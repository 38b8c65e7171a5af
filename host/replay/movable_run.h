/* SPDX-License-Identifier: MIT
 *
 * A trace on a store of movable blocks: a handle instead of each address, a resize for each
 * reallocation. Checked, every block is filled with a pattern of its own, verified when it is
 * freed, resized and at the end.
 */
#ifndef EALLOC_REPLAY_MOVABLE_RUN_H
#define EALLOC_REPLAY_MOVABLE_RUN_H

#include "engine.h"
#include "find_min.h"
#include "movable_instance.h"

#define MOVABLE_LAYOUTS 3
/* From the smallest to the largest. */
extern const eai_movable_ops_t *const movable_layouts[MOVABLE_LAYOUTS];

typedef struct {
    const eai_movable_ops_t *ops;
    size_t region_bytes;
    size_t demand_bytes; /* a request may have moved; EA_MOVABLE_UNLIMITED: any                */
    size_t idle_bytes;   /* of a step, one after so many operations; 0: none                  */
    size_t idle_every;
    bool check_contents;
    bool stop_at_failure;
    void (*progress)(uint64_t done, uint64_t total); /* of the operations; NULL: none */
} movable_options_t;

/* Of the smallest store of a layout. */
size_t movable_least_bytes(const eai_movable_ops_t *ops);

/* Why requests were refused. */
typedef enum {
    MOVABLE_AGAIN,     /* moving blocks would have made room, beyond the budget */
    MOVABLE_NO_MEMORY, /* there was too little free memory                     */
    MOVABLE_BUSY,      /* locked blocks were in the way                        */
    MOVABLE_LIMIT,     /* the table of handles was full                        */
    MOVABLE_TOO_LARGE, /* no region of this size can serve it                  */
    MOVABLE_OTHER,
    MOVABLE_REASONS
} movable_reason_t;

typedef struct {
    uint64_t n_ops, n_steps;
    uint64_t elapsed_ns; /* processor time, contents included if they were checked */
    uint64_t n_failures, n_refused[MOVABLE_REASONS];
    struct {
        uint64_t event, size_bytes, free_bytes, largest_bytes;
        movable_reason_t reason;
    } first_failure;
    uint64_t n_damaged;        /* contents, pointers or statuses that were wrong               */
    char damage[160];          /* the first of them; "": none                                  */
    uint64_t n_aligned;        /* requests for more alignment than blocks of the store have     */
    uint64_t most_moved_bytes; /* within one request, its own block's included           */
    ea_movable_stats_t stats;  /* at the end                                             */
} movable_result_t;

/* REPLAY_NO_HEAP: no store of this layout is of that size. */
replay_status_t movable_run(const trace_t *trace, const movable_options_t *options,
                            replay_memory_t *memory, movable_result_t *result);

/* The least memory that any store of a layout could serve a trace with, and what it is made of. */
typedef struct {
    uint64_t total_bytes;  /* the most at one time, of blocks and the table as it is then   */
    uint64_t blocks_bytes; /* payload rounded up and headers: the most at one time          */
    uint64_t table_bytes;  /* of as many entries as blocks ever live at once                */
    uint64_t control_bytes;
} movable_need_t;

/* A block with its header, rounded up to units; the table of so many entries. */
uint64_t movable_block_bytes(const eai_movable_ops_t *ops, uint64_t size_bytes);
uint64_t movable_table_bytes(const eai_movable_ops_t *ops, uint64_t n_blocks);

/* False: the host has no memory. Cost O(operations). */
bool movable_need(const trace_t *trace, const eai_movable_ops_t *ops, movable_need_t *need);

/* The smallest region that completes a trace, as find_min(), and what happens in it; region_bytes
 * of the options is set to it. With an unlimited demand budget nothing is refused for which there
 * is memory: the first try is the least memory there can be, and where that completes larger
 * regions do as well. */
find_min_status_t movable_find_min(const trace_t *trace, movable_options_t *options,
                                   const movable_need_t *need, unsigned n_jobs,
                                   find_min_progress_t progress, replay_memory_t *memory,
                                   find_min_result_t *found, movable_result_t *result);

#endif
