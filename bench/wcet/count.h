/* SPDX-License-Identifier: MIT
 *
 * Counted calls: every operation with the instructions it took, gathered per operation
 * and scenario. A count is what the call executes beyond an empty function: neither the call nor
 * the return, but every instruction of the heap and of what it calls.
 */
#ifndef COUNT_H
#define COUNT_H

#include "board.h"
#include "ealloc/heap.h"

typedef enum {
    OP_INIT,
    OP_ALLOC,
    OP_ALLOC_FAIL,
    OP_FREE,
    OP_CALLOC_32, /* calloc of at most 32 bytes, their clearing included            */
    OP_ALIGNED_ALLOC,
    OP_REALLOC_SHRINK,   /* whole realloc, in place                                         */
    OP_REALLOC_FORWARD,  /* whole realloc, grown into the free block above                  */
    OP_REALLOC_BACKWARD, /* begin + finish where the block grew downwards: all but the copy */
    OP_REALLOC_MOVE,     /* begin + finish where the block moved: all but the copy          */
    OP_REALLOC_FAIL,
    OP_USABLE_SIZE,
    OP_LARGEST_FREE,
    OP_ADD_REGION,
    OP_REMOVE_REGION,
    OP_GROW,
    OP_SHRINK,
    OP_ARENA_ALLOC,
    OP_ARENA_ALLOC_HIGH,
    OP_ARENA_ALLOC_ALIGNED,
    OP_ARENA_ALLOC_FAIL,
    OP_ARENA_ALLOC_GROW, /* with a chunk taken, the upstream's own work not included */
    OP_ARENA_REALLOC,    /* the last block, in place                                 */
    OP_ARENA_FREE,
    OP_ARENA_MARK,
    OP_ARENA_REWIND, /* of the innermost mark, in one chunk */
    OP_ALLOC_LARGER, /* from a larger class than the request's own */
    OP_FREE_SIZED,
    OP_FREE_HAND_OVER,  /* while somebody waits                         */
    OP_WAIT_ENTER,      /* to join a wait queue                         */
    OP_WAIT_END,        /* to find out how the waiting ended, and leave */
    OP_ALLOC_OVER_HEAP, /* what an allocator adds to a heap's alloc */
    OP_FREE_OVER_HEAP,
    OP_GUARD_DRESS,
    OP_GUARD_CHECK,
    OP_GUARD_UNDRESS,
    OP_GUARD_RELABEL,
    OP_EMIT_UNHEARD, /* nobody listens to the kind                   */
    OP_EMIT,         /* one listener, itself an empty function       */
    OP_EMIT_ISR,     /* into the ring                                */
    OP_EMIT_LOST,    /* the ring is full                             */
    OP_LISTEN,
    OP_UNLISTEN,
    OP_UPDATE,        /* the level stays                              */
    OP_UPDATE_LEVEL,  /* the level changes                            */
    OP_UPDATE_TOTAL,  /* the total does                               */
    OP_PROGRESS_IDLE, /* nobody waits                                 */
    OP_STALL,         /* begin, end or progress within a period       */
    OP_STALL_PERIOD,  /* over the end of a period, or of ten thousand */
    OP_TRIGGER,
    OP_ACCOUNT_CHARGE_1, /* of the root itself */
    OP_ACCOUNT_RETURN_1,
    OP_ACCOUNT_REFUSE_1,
    OP_ACCOUNT_CHARGE_3, /* two levels below it */
    OP_ACCOUNT_RETURN_3,
    OP_ACCOUNT_REFUSE_3,
    OP_ACCOUNT_CHARGE_BATCH, /* two levels below it, with a batch at each */
    OP_ACCOUNT_RETURN_BATCH,
    OP_ACQUIRE,        /* a resource, two accounts deep: its hint, or a word of bits */
    OP_ACQUIRE_REFUSE, /* by an account's limit                                      */
    OP_RELEASE,        /* at once, without a destructor                              */
    OP_RELEASE_QUEUED,
    OP_CLEANUP,        /* of one entry                                               */
    OP_AUDIT_STEP,     /* 8 slots, or between two passes                             */
    OP_RECORD,         /* an event, with a clock of the application's         */
    OP_RECORD_SYNC,    /* the same over a step of the time's upper part       */
    OP_RECORD_SLOW,    /* with the port's clock                               */
    OP_RECORD_SAMPLED, /* with the port's clock and sampling                  */
    OP_READ,
    OP_SCOPE_BEGIN,
    OP_SCOPE_EVENT, /* inside of a scope */
    OP_SCOPE_IDLE,  /* nobody tracks */
    OP_SCOPE_END,
    OP_LINEAGE_ALLOC,
    OP_LINEAGE_SERVED, /* a block that comes while somebody is served */
    OP_LINEAGE_FREE,
    OP_LINEAGE_TRANSFER,
    OP_LINEAGE_MOVE, /* a realloc that moves: both events */
    OP_SERVING_BEGIN,
    OP_SERVING_END,
    OP_STACK_WALK,    /* of four frames */
    OP_STACK_KEEP,    /* those four, new or there */
    OP_PROFILE_ALLOC, /* at a site that has its row */
    OP_PROFILE_FREE,
    OP_PROFILE_ALLOC_MANY, /* among more sites than rows */
    OP_PROFILE_FREE_MANY,
    OP_DUMP_STEP, /* a block, or another record */
    OP_LOCK,
    OP_UNLOCK,
    OP_LOCK_IN_FLIGHT, /* a block of 1000 bytes of which nothing is copied */
    OP_STEP_64,        /* a budget of 64 bytes, and so on                    */
    OP_STEP_128,
    OP_STEP_256,
    OP_STEP_512,
    OP_STEP_1024,
    OP_ALLOC_MEAN, /* of all, noted once */
    OP_MOVABLE_RESIZE,
    N_OPS
} op_t;

/* Tell the scenario that the counts from here on belong to. */
void count_scenario(const char *name);
/* Print a line per operation of the scenario, "op scenario calls worst median", and forget them. */
void count_report(void);
/* The same over all scenarios so far, as scenario "all". */
void count_report_all(void);
/* Measure an empty call; ends the program if the counter is not exact. */
void count_calibrate(void);

/* --- any call, counted ------------------------------------------------------------------------ */

/* The result of function(a, b, c, d, e); *sum grows by the instructions it took. */
uintptr_t count_instructions(uint32_t *sum, board_function_t function, uintptr_t a, uintptr_t b,
                             uintptr_t c, uintptr_t d, uintptr_t e);
#define COUNTED(sum, function, a, b, c, d, e)                                                      \
    count_instructions((sum), (board_function_t)(function), (uintptr_t)(a), (uintptr_t)(b),        \
                       (uintptr_t)(c), (uintptr_t)(d), (uintptr_t)(e))
/* One call of op took so many. */
void count_note(op_t op, uint32_t instructions);

/* function(a, b), noted as an op, or as another where the result is 0. Returns the result. */
uintptr_t count_call(op_t op, op_t op_if_0, board_function_t function, const void *a,
                     const void *b);

/* --- the operations of the heap, counted ------------------------------------------------------ */

ea_heap_t *count_init(void *mem, size_t size_bytes, const ea_heap_options_t *options);
void *count_alloc(ea_heap_t *heap, size_t size_bytes);
void *count_calloc(ea_heap_t *heap, size_t size_bytes);
void *count_aligned_alloc(ea_heap_t *heap, size_t alignment_bytes, size_t size_bytes);
void count_free(ea_heap_t *heap, void *ptr);
/* By which path the block gets its new size decides the operation it counts for. */
void *count_realloc(ea_heap_t *heap, void *ptr, size_t size_bytes);
/* The same in three parts, of which the copy is not counted. */
void *count_realloc_parts(ea_heap_t *heap, void *ptr, size_t size_bytes);
void count_largest_free(ea_heap_t *heap);
void count_usable_size(ea_heap_t *heap, void *ptr);
void count_add_region(ea_heap_t *heap, void *mem, size_t size_bytes);
void count_remove_region(ea_heap_t *heap, void *mem);
void count_grow(ea_heap_t *heap, void *mem, size_t size_bytes);
void count_shrink(ea_heap_t *heap, void *mem, size_t size_bytes);

#endif
