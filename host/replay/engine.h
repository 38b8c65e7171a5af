/* SPDX-License-Identifier: MIT
 *
 * The replay engine: runs a trace on a heap, in one of two ways. Checked, every block is filled
 * with a pattern of its own, verified when it is freed, moved and at the end, and every pointer and
 * status is looked at. Fast, the operations run as a program would issue them, for measuring time.
 */
#ifndef EALLOC_REPLAY_ENGINE_H
#define EALLOC_REPLAY_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bigmem.h"
#include "stores/heap_instance.h"
#include "trace.h"

/* --- the loop --------------------------------------------------------------------------------- */

/* Where a replay stands; all zero is the beginning. */
typedef struct {
    size_t op;
    size_t aligned; /* OP_ALIGNED operations so far        */
    int refused;    /* bits of every status but EA_OK that free returned */
} replay_cursor_t;

/* A host allocator to run the same trace on. */
typedef struct {
    void *(*malloc)(size_t size_bytes);
    void *(*calloc)(size_t n, size_t size_bytes);
    void *(*realloc)(void *ptr, size_t size_bytes);
    void *(*aligned_alloc)(size_t alignment_bytes, size_t size_bytes);
    void (*free)(void *ptr);
} replay_malloc_t;

/* Run operations from the cursor up to operation `to`, or through the first request that is
 * refused: then the result is false and cursor->op is that operation's successor. slots: one
 * pointer for each of the trace's slots, all NULL at the beginning. No content is checked or
 * touched. A slot whose request was refused stays empty: freeing it does nothing, resizing it asks
 * anew. */
bool replay_loop_heap(const trace_t *trace, replay_cursor_t *cursor, size_t to,
                      const eai_heap_ops_t *ops, ea_heap_t *heap, void **slots);
bool replay_loop_malloc(const trace_t *trace, replay_cursor_t *cursor, size_t to,
                        const replay_malloc_t *host, void **slots);

/* --- a whole replay --------------------------------------------------------------------------- */

typedef struct {
    const eai_heap_ops_t *ops;
    ea_heap_fit_t fit;
    size_t heap_bytes;
    bool check_contents;
    bool stop_at_failure;
    bool prefault;    /* touch the heap's pages before the clock starts */
    size_t n_samples; /* points of the timeline; 0: none                */
} replay_options_t;

typedef struct {
    size_t op;
    uint64_t time_us;
    uint64_t live_bytes; /* requested by the program, refused or not */
    uint64_t used_bytes; /* in the heap's used blocks                */
    uint64_t free_bytes;
    uint64_t largest_free_bytes;
    uint32_t frag_permille; /* of the free bytes, the share outside the largest free block */
} replay_sample_t;

typedef struct {
    uint64_t n_ops;      /* operations run */
    uint64_t elapsed_ns; /* processor time of the operations */
    uint64_t n_failures; /* requests refused */
    struct {
        uint64_t event, size_bytes, free_bytes, largest_free_bytes;
    } first_failure;
    uint64_t n_damaged; /* contents, pointers or statuses that were wrong     */
    char damage[160];   /* the first of them; "": none                        */
    uint64_t peak_used_bytes;
    ea_heap_stats_t stats; /* at the end                                      */
    size_t n_samples;
    replay_sample_t *samples; /* replay_result_release()                      */
} replay_result_t;

/* Memory that replays use one after the other; all zero at first. */
typedef struct {
    bigmem_array_t arena, slots;
} replay_memory_t;

typedef enum {
    REPLAY_DONE,
    REPLAY_NO_MEMORY, /* the host has none for the heap or the slots                          */
    REPLAY_NO_HEAP    /* heap_bytes is less than the heap's control structure takes, or more
                         than this instance's links reach                                     */
} replay_status_t;

replay_status_t replay_run(const trace_t *trace, const replay_options_t *options,
                           replay_memory_t *memory, replay_result_t *result);
void replay_result_release(replay_result_t *result);
void replay_memory_release(replay_memory_t *memory);

/* The control structure's bytes in a heap of heap_bytes; 0 if there can be no such heap. */
size_t replay_control_bytes(const eai_heap_ops_t *ops, ea_heap_fit_t fit, size_t heap_bytes);

/* The sizes that a heap of this kind can have; both 0: there is none (or no memory to try). */
void replay_heap_limits(const eai_heap_ops_t *ops, ea_heap_fit_t fit, size_t *least, size_t *most);

/* The size the heap would have without fragmentation: peak gross bytes plus the control structure
 * of a heap that large. */
size_t replay_perfect_bytes(const trace_t *trace, const eai_heap_ops_t *ops, ea_heap_fit_t fit);

/* permille of free_bytes that one request could not have, 0 when nothing is free. */
uint32_t replay_frag_permille(uint64_t free_bytes, uint64_t largest_free_bytes);

#endif
