/* SPDX-License-Identifier: MIT
 *
 * What the tests of an interrupted allocator share: the blocks that both sides hold, what is done
 * with them, and what must be so at the end. The first thing that is not is kept in wrong.
 */
#ifndef ALLOCATOR_INTERRUPTED_H
#define ALLOCATOR_INTERRUPTED_H

#include <string.h>

#include "ealloc/allocator.h"

typedef struct {
    unsigned char *bytes;
    unsigned size;
} held_t;

static ea_allocator_t a;
static held_t held[12];
static unsigned n_held;
static unsigned char *tasks_block;
static unsigned n_freed; /* how often the task's own block was freed */
static size_t all_bytes; /* free at the beginning */
static const char *wrong;

static inline void hold(void *block, unsigned size)
{
    if (block == NULL || n_held == sizeof held / sizeof held[0]) return;
    for (unsigned i = 0; i < n_held; i++)
        if (held[i].bytes == block) wrong = "a block handed out twice";
    memset(block, (int)size, size);
    held[n_held++] = (held_t){block, size};
}

static inline void drop(bool aside)
{
    if (n_held == 0) return;
    held_t h = held[0];
    for (unsigned i = 0; i < h.size; i++)
        if (h.bytes[i] != (unsigned char)h.size) wrong = "a block with somebody else's bytes";
    n_held--;
    for (unsigned i = 0; i < n_held; i++) held[i] = held[i + 1];
    if ((aside ? ea_free_isr(&a, h.bytes) : ea_free(&a, h.bytes)) != EA_OK)
        wrong = "a live block refused";
}

static inline void free_tasks_block(bool aside)
{
    ea_status_t status = aside ? ea_free_isr(&a, tasks_block) : ea_free(&a, tasks_block);
    if (status == EA_OK) n_freed++;
    if (status != EA_OK && status != EA_ERR_DOUBLE_FREE) wrong = "neither freed nor refused";
}

/* What an interrupt does, a letter an operation. a: allocate; f: free the oldest block held; i: the
 * same by ea_free_isr(); d: free the task's own block, never after a: that might have got it
 * anew. */
static inline void run_letters(const char *op)
{
    for (; *op != 0; op++) {
        if (*op == 'a') hold(ea_malloc(&a, 24), 24);
        if (*op == 'f') drop(false);
        if (*op == 'i') drop(true);
        if (*op == 'd') free_tasks_block(false);
    }
}

static inline void sweep(unsigned steps)
{
    ea_allocator_cursor_t cursor = {0};
    ea_status_t status;
    do status = ea_allocator_sweep(&a, &cursor, steps);
    while (status == EA_ERR_AGAIN);
    if (status != EA_OK) wrong = "a sweep reports what is no damage";
}

static inline size_t free_bytes(void)
{
    ea_allocator_stats_t stats;
    ea_allocator_stats(&a, &stats);
    return stats.free_bytes;
}

/* There is something to merge. */
static inline void put_two_aside(void)
{
    void *one = ea_malloc(&a, 20), *two = ea_malloc(&a, 60);
    if (ea_free_isr(&a, one) != EA_OK || ea_free_isr(&a, two) != EA_OK) wrong = "free_isr";
}

/* Nothing is held any more, nothing is damaged or lost; the allocator is given up. */
static inline void verify_end(void)
{
    while (n_held > 0) drop(false);
    (void)ea_allocator_poll(&a, 100);
    sweep(100);
    ea_guard_report_t damage;
    ea_allocator_last_damage(&a, &damage);
    if (wrong == NULL && damage.kind != EA_GUARD_NONE && damage.kind != EA_GUARD_DOUBLE_FREE)
        wrong = "damage was reported";
    if (wrong == NULL && free_bytes() != all_bytes) wrong = "memory lost";
    if (ea_allocator_deinit(&a, NULL) != EA_OK && wrong == NULL) wrong = "a block lost";
}

#endif
