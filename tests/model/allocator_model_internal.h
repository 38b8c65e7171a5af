/* SPDX-License-Identifier: MIT
 *
 * What the parts of the allocator's model share: see allocator_model.h.
 */
#ifndef ALLOCATOR_MODEL_INTERNAL_H
#define ALLOCATOR_MODEL_INTERNAL_H

#include "allocator_model.h"
#include "ealloc/allocator.h"
#include "memory/allocator_internal.h"

#define N_BLOCKS 48u
#define N_AREAS 6u
#define N_MOVABLES 40u
#define N_OWNERS 4u
#define N_RECLAIMERS 2u
#define LARGEST 700u

typedef struct model model_t;

typedef struct {
    unsigned char *ptr; /* NULL: no block */
    size_t size;        /* bytes that are filled: all that may be used */
    size_t usable;      /* to the end of the block */
    size_t gross;       /* what its owner pays */
    uint16_t owner;
    uint8_t fill;
    bool is_busy; /* in the hands of a realloc: nobody may free it */
    bool in_pool;
    unsigned born; /* step at which it came to where it is */
    bool seen;     /* by the walk */
} block_t;

typedef struct {
    unsigned char *mem; /* NULL: not in use */
    size_t size, span;
    ea_region_options_t options;
    unsigned serial;
    size_t largest; /* before the operation */
    size_t free_bytes;
#if EA_CFG_ALLOC_MOVABLE
    ea_movable_t *store; /* NULL: it is a heap */
    size_t high_bytes;   /* the largest hole below a fixed block or the end, before the operation */
    size_t run_bytes;    /* most that is free between blocks that stay where they are */
#endif
} area_t;

#if EA_CFG_ALLOC_MOVABLE
typedef struct {
    ea_movable_handle_t handle; /* none: no block */
    area_t *area;
    size_t size, gross; /* as above */
    uint16_t owner;
    uint8_t fill;
    unsigned n_locks;
    const unsigned char *address; /* while it is locked */
    const void *home;             /* where the store has said that it is */
} movable_t;
#endif

struct model {
    ea_allocator_t a;
    block_t blocks[N_BLOCKS];
    area_t areas[N_AREAS];
#if EA_CFG_ALLOC_MOVABLE
    movable_t movables[N_MOVABLES];
    ea_movable_handle_t stale; /* the one freed last */
    area_t *stale_area;
#endif
    unsigned serial, step, n_regions;
    uint8_t next_fill;
    size_t n_deferred; /* at most */
#if EAI_ALLOC_OWNERS
    ea_accounts_t book;
    ea_account_t nodes[N_OWNERS + 1];
    ea_account_t *owners[N_OWNERS];
    ea_account_t *default_owner;
    bool strict;
#endif
#if EA_CFG_ALLOC_POOLS
    ea_poolset_t set;
    bool has_pools;
    void *set_memory;
#endif
#if EA_CFG_ALLOC_RECLAIM
    ea_reclaimer_t reclaimers[N_RECLAIMERS];
    bool is_reclaiming[N_RECLAIMERS];
#endif
    block_t *offered; /* by the handler */
    bool asked;       /* a callback ran: the state from before the call is gone */
    ea_allocator_cursor_t walk;
    bool is_walking;
    unsigned walk_began;
    const char *complaint;
    allocator_model_draw_t *draw;
    void *context;
};

static inline uint32_t draw(model_t *m, uint32_t limit)
{
    return m->draw(m->context, limit);
}

void model_complain(model_t *m, const char *what);
#define MUST(m, cond, what)                                                                        \
    do {                                                                                           \
        if (!(cond)) model_complain((m), (what));                                                  \
    } while (0)

typedef struct {
    size_t size, alignment;
    uint32_t capabilities;
    uint8_t policy;
    bool critical, long_lived;
#if EAI_ALLOC_OWNERS
    ea_account_t *owner;
#endif
} wish_t;

#if EAI_ALLOC_OWNERS
/* May a budget stand against the wish? */
bool model_is_tight(const wish_t *wish);
#endif

/* --- movable blocks: allocator_model_movable.c ------------------------------------------------ */

#if EA_CFG_ALLOC_MOVABLE
/* Options of a region of movable blocks. */
void model_draw_store(model_t *m, ea_region_options_t *options);
/* The region is there. */
void model_begin_store(model_t *m, area_t *area);
/* What a request for a block with an address could have there. */
void model_look_at_store(area_t *area);
/* Enough for the wish there, whatever the addresses. */
size_t model_most_fixed(const wish_t *wish);
size_t model_movables_in(const model_t *m, const area_t *area);
/* One operation. */
void model_step_movable(model_t *m);
/* The same inside a callback. Returns the bytes that came free. */
size_t model_drop_movable(model_t *m);
void model_try_movable(model_t *m);
/* Every byte of every block, and the stores. */
void model_verify_movables(model_t *m, size_t *n_live, size_t *gross);
size_t model_charged_for_movables(const model_t *m, uint16_t owner);
void model_end_movables(model_t *m);
#endif

#endif
