/* SPDX-License-Identifier: MIT
 *
 * What an operation costs in memory and time (row B6): give a piece of code a name, and at its end
 * know what it allocated, what it left, how much it had at most, and how long it took.
 *
 *     static uintptr_t tables[EA_SCOPES_BYTES(16, 4) / sizeof(uintptr_t)];
 *     static ea_scopes_t scopes;
 *     ea_scopes_init(&scopes, tables, sizeof tables, &options);
 *     ea_scopes_attach(&scopes, &memory);
 *
 *     EA_TRACK(&scopes, "parse") {
 *         ... whatever this task allocates and frees here counts ...
 *     }
 *
 * At its end a scope is told to options.record, if there is one, and counted in the row of its
 * name. Scopes nest; what an inner one does counts for those around it too. Each task has its own;
 * what an interrupt does counts for the scopes of that interrupt, not of the task it came upon.
 * Frees count where they happen, whoever allocated the block.
 *
 * Bytes are what blocks can hold: a request for 13 bytes counts as the 16 or 24 that its block has,
 * when it comes and when it goes. So an operation that gives everything back leaves 0.
 *
 * Context, unless said otherwise: any.
 */
#ifndef EALLOC_SCOPE_H
#define EALLOC_SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/config.h"
#include "ealloc/hook.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One operation that ended. */
typedef struct {
    const char *name;
    uint32_t depth;        /* scopes of this task around it, on the same tracker */
    ptrdiff_t delta_bytes; /* what it left; negative: it gave back more */
    size_t peak_bytes;     /* the most it had above what there was at its begin */
    size_t alloc_bytes, freed_bytes;
    size_t n_allocs, n_frees; /* blocks; a realloc is one of each */
    size_t n_refused;
    uint64_t duration_us;
} ea_scope_record_t;

typedef struct {
    uint32_t n_names; /* rows, and            */
    uint32_t n_tasks; /* tasks that may be inside of scopes at a time, interrupts counting for one:
                         each a power of two up to 32768; tasks from 1 on, names from 8 on */
    const volatile uint32_t *clock; /* a counter of ticks that the application has anyhow; NULL:
                                       ea_port_time_us() */
    uint32_t tick_us;               /* length of a tick of clock */
    /* Told of every scope at its end, by the context it ends in, with no lock held; NULL: nobody.
     * What it allocates counts for the scopes around. */
    void (*record)(void *context, const ea_scope_record_t *record);
    void *context;
} ea_scopes_options_t;

/* Words of a row and of a task's place; private. */
#define EAI_SCOPE_ROW_WORDS 16u
#define EAI_SCOPE_TASK_WORDS 8u

/* Bytes of the tables. */
#define EA_SCOPES_BYTES(n_names, n_tasks)                                                          \
    ((((size_t)(n_names) + 1u) * EAI_SCOPE_ROW_WORDS + (size_t)(n_tasks)*EAI_SCOPE_TASK_WORDS) *   \
     sizeof(uintptr_t))

/* Every field is private. */
typedef struct {
    uintptr_t *eai_rows; /* other, and those of names */
    uintptr_t *eai_tasks;
    ea_scopes_options_t eai_options;
    uintptr_t eai_n_open;
    uintptr_t eai_n_unmeasured;
    ea_alloc_hook_t eai_hook;
} ea_scopes_t;

/* One scope, in the caller's frame; private. */
typedef struct {
    ea_scopes_t *eai_scopes;
    const char *eai_name;
    uintptr_t *eai_task; /* NULL: not measured, or ended */
    bool eai_is_first;   /* of its task */
    uintptr_t eai_before[EAI_SCOPE_TASK_WORDS];
    uint64_t eai_begin_us;
} ea_scope_t;

/* A name's row as it is read. */
typedef struct {
    const char *name; /* NULL: other, all that found no row */
    size_t n_runs;
    ptrdiff_t last_delta_bytes, max_delta_bytes, total_delta_bytes;
    size_t max_peak_bytes;
    size_t alloc_bytes, freed_bytes, n_allocs, n_frees, n_refused; /* over all runs */
    uint32_t last_us, max_us;                                      /* at most 2^32 - 1: 71 min */
    uint64_t total_us;
} ea_scope_row_t;

/* Make scopes ready, with tables in mem.
 * Returns  EA_OK; EA_ERR_INVALID: NULL, mem is not aligned to a word or smaller than
 *          EA_SCOPES_BYTES(), a number is not as it should be, or there is a clock and no tick_us.
 *          Then nothing was changed.
 * Owns     scopes uses mem and options->clock as long as it is used; it must not be moved.
 * Context  any, alone. Cost O(size_bytes). */
EA_NODISCARD ea_status_t ea_scopes_init(ea_scopes_t *scopes, void *mem, size_t size_bytes,
                                        const ea_scopes_options_t *options);

/* Begin an operation. name is not copied; its address is its identity, so say it in one place. NULL
 * for scopes measures nothing. Where more tasks than n_tasks are inside of scopes this one is not
 * measured, and counted in ea_scopes_stats_t.
 * Owns     *scope is in use until its end, which must come in the same task.
 * Cost     O(1): at most eight places are looked at. bench/wcet: scope_begin. */
void ea_scope_begin(ea_scope_t *scope, ea_scopes_t *scopes, const char *name);

/* End it: it is told to options.record and counted in its name's row. record (may be NULL) is
 * filled in.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: it was not measured, has ended, or is another context's: then
 *          nothing is recorded.
 * Cost     O(1): at most eight rows are looked at, and the callback. bench/wcet: scope_end. */
ea_status_t ea_scope_end(ea_scope_t *scope, ea_scope_record_t *record);

/* Count one event of a block, for the scopes of the running context; what attach does for every
 * event of an allocator. size_bytes is what the block can hold. Cost O(1). bench/wcet:
 * scope_event. */
void ea_scopes_count(ea_scopes_t *scopes, ea_block_event_t what, size_t size_bytes);

/* The next name; *cursor begins with 0, which is other. Numbers of a row to which others add are
 * each right at some moment.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: there is none; EA_ERR_INVALID: NULL.
 * Cost     O(names) for a whole walk. */
EA_NODISCARD ea_status_t ea_scopes_next(const ea_scopes_t *scopes, size_t *cursor,
                                        ea_scope_row_t *row);

typedef struct {
    size_t n_open;       /* scopes that have begun and not ended */
    size_t n_unmeasured; /* that found no place for their task   */
} ea_scopes_stats_t;

/* Cost O(1). */
void ea_scopes_stats(const ea_scopes_t *scopes, ea_scopes_stats_t *stats);

/* Count what happens to the blocks of allocator from now on.
 * Returns  EA_OK; EA_ERR_BUSY: it is attached already; EA_ERR_INVALID: NULL, or EA_CFG_ALLOC_HOOK
 *          is 0.
 * Context  task. */
struct ea_allocator;
ea_status_t ea_scopes_attach(ea_scopes_t *scopes, struct ea_allocator *allocator);

/* No longer. Returns EA_OK; EA_ERR_NOT_FOUND. Context: task, while no other context uses the
 * allocator. */
ea_status_t ea_scopes_detach(ea_scopes_t *scopes, struct ea_allocator *allocator);

/* The block that follows is an operation. By whatever way it is left (its end, return, goto, break
 * and continue, which both leave the scope and nothing else: it is a loop that runs once) it ends
 * there. longjmp() leaves it without an end; the end of a scope around it makes up for that, but
 * for the peak before.
 * It rests on the cleanup attribute of GCC and Clang. Where EA_HAS_CLEANUP is 0 a scope ends at its
 * end and on continue only. With EA_CFG_TRACK 0 it is a block and nothing more; scopes and name are
 * not evaluated. */
#define EA_TRACK(scopes, name) EAI_TRACK(scopes, name, __COUNTER__)

#if !defined(DOXYGEN)
#define EAI_TRACK(scopes, name, number) EAI_TRACK_(scopes, name, number)
#if EA_CFG_TRACK
/* What EA_TRACK() is made of; private. */
typedef struct {
    ea_scope_t eai_scope;
    ea_scopes_t *eai_scopes;
    const char *eai_name;
    int eai_steps; /* 0: not begun, 1: inside, 2: left */
} eai_track_t;

EA_INLINE int eai_track_begin(eai_track_t *track)
{
    if (track->eai_steps != 0) return 0;
    track->eai_steps = 1;
    ea_scope_begin(&track->eai_scope, track->eai_scopes, track->eai_name);
    return 1;
}

EA_INLINE void eai_track_end(eai_track_t *track)
{
    if (track->eai_steps == 1) (void)ea_scope_end(&track->eai_scope, NULL);
    track->eai_steps = 2;
}

EA_INLINE eai_track_t eai_track_of(ea_scopes_t *scopes, const char *name)
{
    eai_track_t track;
    track.eai_scopes = scopes;
    track.eai_name = name;
    track.eai_steps = 0;
    return track;
}

#define EAI_TRACK_(scopes, name, number)                                                           \
    for (EAI_CLEANUP(eai_track_end) eai_track_t eai_track_##number = eai_track_of(scopes, name);   \
         eai_track_begin(&eai_track_##number); eai_track_end(&eai_track_##number))
#else
#define EAI_TRACK_(scopes, name, number)                                                           \
    for (unsigned char eai_track_##number = sizeof(scopes) + sizeof(name) != 0;                    \
         eai_track_##number; eai_track_##number = 0)
#endif
#endif

#ifdef __cplusplus
}
#endif
#endif
