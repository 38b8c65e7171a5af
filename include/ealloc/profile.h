/* SPDX-License-Identifier: MIT
 *
 * The profile of allocations (row B3): who allocates, from where, how much, how often, for how
 * long, and what would be cheaper. Fed by an allocator's hook; the tables lie in memory the
 * application gives.
 *
 *     static _Alignas(8) unsigned char tables[EA_PROFILE_BYTES(32, 8, 256)];
 *     static ea_profile_t profile;
 *     const ea_profile_options_t options = {.n_sites = 32, .n_owners = 8, .n_blocks = 256};
 *     ea_profile_init(&profile, tables, sizeof tables, &options);
 *     ea_profile_attach(&profile, &memory);
 *     ... once a second: ea_profile_window(&profile);
 *     n = ea_profile_top(&profile, EA_PROFILE_SITES, EA_PROFILE_BY_RATE, rows, 5);
 *
 * A row is a call site or an owner; one more row, other, is for all that have none. Whatever
 * happens, the sums over all rows of a table are exact. A site without a row takes that of the
 * cheapest of eight sites once as many events of sites without a row came by as that one had
 * allocations, and one more for each 64 bytes it holds; what it counted goes to other.
 *
 * A block is looked up in a table by its address when it is freed: so lives, lifetimes and the
 * order of frees need a place of 20 bytes (32 on a 64-bit machine) a live block. A block that finds
 * none of its eight places free counts as freed at once, and in n_untracked: of its row the totals
 * and the sizes are exact, what is live is less by it. Twice as many places as live blocks are
 * enough. sample_one_in n tracks one block in n: then live times n is an estimate, whose standard
 * error is that of a sample: about sqrt(n / live blocks) of it.
 *
 * A realloc ends the block at its site, without a lifetime; what it returns is one that the call of
 * realloc allocated.
 *
 * Context, unless said otherwise: any. Where the core has compare-and-swap (or
 * load-linked/store-conditional) counters are added to without a lock; elsewhere interrupts are
 * masked for a constant number of instructions. An event that was under way in another context
 * while its site lost its row may count for the site that came instead, and a peak may miss what
 * two contexts had at the same moment; no sum is affected. Numbers are modulo the word size.
 */
#ifndef EALLOC_PROFILE_H
#define EALLOC_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/hook.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Classes of a histogram: 0 is 0, i is from 2^(i-1) to 2^i - 1, the last one has no end. Sizes are
 * in bytes, lifetimes in units of the profile's clock. */
#define EA_PROFILE_SIZES 16u
#define EA_PROFILE_LIFETIMES 24u

typedef enum { EA_PROFILE_SITES = 0, EA_PROFILE_OWNERS = 1 } ea_profile_table_t;

typedef enum {
    EA_PROFILE_BY_LIVE = 0, /* bytes now                              */
    EA_PROFILE_BY_PEAK = 1, /* the most there were                    */
    EA_PROFILE_BY_RATE = 2, /* allocations in the last whole window   */
    EA_PROFILE_BY_TOTAL = 3 /* bytes in all                           */
} ea_profile_order_t;

typedef struct {
    uint32_t n_sites; /* rows; each a power of two from 8 on */
    uint32_t n_owners;
    uint32_t n_blocks;              /* places for live blocks */
    uint32_t sample_one_in;         /* track one block in so many; 0, 1: all */
    const volatile uint32_t *clock; /* a counter of ticks that the application has anyhow; NULL:
                                       ea_port_time_coarse_us() */
    uint32_t tick_us; /* length of a tick of clock; without a clock the unit of lifetimes, 0: 64.
                         A lifetime of 2^32 units or more (76 h of 64 us) is taken modulo that. */
} ea_profile_options_t;

/* What a row counts, in this order; private. */
enum {
    EAI_PROFILE_N_ALLOCS,
    EAI_PROFILE_N_ENDED, /* without a lifetime */
    EAI_PROFILE_ALLOC_BYTES,
    EAI_PROFILE_FREED_BYTES,
    EAI_PROFILE_N_REALLOCS,
    EAI_PROFILE_N_REFUSED,
    EAI_PROFILE_MARK_N,
    EAI_PROFILE_MARK_BYTES,
    EAI_PROFILE_N_LIFO,
    EAI_PROFILE_N_FIFO,
    EAI_PROFILE_SIZE,
    EAI_PROFILE_LIFETIME = EAI_PROFILE_SIZE + EA_PROFILE_SIZES,
    EAI_PROFILE_N_SUMS = EAI_PROFILE_LIFETIME + EA_PROFILE_LIFETIMES
};

typedef struct {
    uintptr_t eai_key;        /* 0: free; 1: being given to another */
    uintptr_t eai_generation; /* how often it was                   */
    uintptr_t eai_sums[EAI_PROFILE_N_SUMS];
    uintptr_t eai_peak_bytes;
    uintptr_t eai_window_n; /* of the last whole window */
    uintptr_t eai_window_bytes;
    uintptr_t eai_most_n;     /* in any one window              */
    uintptr_t eai_n_spared;   /* events that would have had it  */
    uintptr_t eai_last_freed; /* the serial of the block        */
} eai_profile_row_t;

typedef struct {
    uintptr_t eai_block; /* 0: free */
    uintptr_t eai_size_bytes;
    uint32_t eai_birth;
    uint16_t eai_site, eai_owner; /* rows */
    uint16_t eai_serial;          /* of its site's allocations */
    uint16_t eai_generation;      /* of the site's row         */
} eai_profile_place_t;

typedef struct {
    eai_profile_row_t *eai_rows; /* other, and mask + 1 */
    uint32_t eai_mask;
    uint32_t eai_shift; /* of a hash */
} eai_profile_rows_t;

/* Every field is private. */
typedef struct {
    eai_profile_rows_t eai_tables[2];
    eai_profile_place_t *eai_places;
    uint32_t eai_places_mask;
    uint32_t eai_places_shift;
    uint32_t eai_most; /* of a block's hash, if it is tracked */
    uint32_t eai_unit_us;
    const volatile uint32_t *eai_clock;
    uintptr_t eai_is_evicting;
    uintptr_t eai_n_evicted;
    uintptr_t eai_n_untracked;
    uintptr_t eai_n_unknown;
    uintptr_t eai_n_windows;
    uint32_t eai_window_begin;
    uint64_t eai_window_us; /* length of the last whole one */
    ea_alloc_hook_t eai_hook;
} ea_profile_t;

/* Bytes of the tables. */
#define EA_PROFILE_BYTES(n_sites, n_owners, n_blocks)                                              \
    (((size_t)(n_sites) + (n_owners) + 2u) * sizeof(eai_profile_row_t) +                           \
     (size_t)(n_blocks) * sizeof(eai_profile_place_t))

/* A row as it is read. */
typedef struct {
    const void *site; /* of a site; NULL: unknown, or other */
    uint16_t owner;   /* of an owner: account id; 0: nobody, or other */
    bool is_other;    /* all that have no row of their own */
    size_t n_live, live_bytes, peak_bytes;
    size_t n_allocs, alloc_bytes; /* in all */
    size_t n_reallocs;            /* of n_allocs, by a realloc */
    size_t n_refused;
    size_t allocs_per_s, bytes_per_s; /* in the last whole window */
    size_t most_per_window, n_windows;
    size_t n_lifo;    /* frees of the block allocated last, or just before the one freed last */
    size_t n_fifo;    /* of the one allocated just behind it; both at once count for neither   */
    uint32_t unit_us; /* of lifetimes */
    uint32_t sizes[EA_PROFILE_SIZES];
    uint32_t lifetimes[EA_PROFILE_LIFETIMES];
} ea_profile_row_t;

typedef struct {
    size_t n_live, live_bytes, n_allocs, alloc_bytes, n_refused; /* sums over all rows */
    size_t n_evicted;   /* sites that lost their row                            */
    size_t n_untracked; /* blocks that found no place, or sampling passed over  */
    size_t n_unknown;   /* ends of blocks that had none                         */
} ea_profile_stats_t;

/* What would be cheaper. The number of each stays the same for ever. */
typedef enum {
    EA_ADVICE_NONE = 0,       /* nothing stands out, or there are less than 16 allocations */
    EA_ADVICE_GROWTH = 1,     /* most are reallocs: ask for more at a time, or chain parts */
    EA_ADVICE_LONG_LIVED = 2, /* hardly any is freed: an arena, or EA_LIFETIME_LONG        */
    EA_ADVICE_POOL = 3,       /* many, soon freed, of one size class: a pool               */
    EA_ADVICE_LIFO = 4,       /* freed last first: an arena with marks                     */
    EA_ADVICE_FIFO = 5,       /* freed first first: a ring of pool blocks                  */
    EA_ADVICE_BURSTS = 6,     /* come many at a time: an arena, emptied after each         */
    EA_ADVICE_SHORT_LIVED = 7 /* many, soon freed, of any size: an arena for each round    */
} ea_advice_kind_t;

typedef struct {
    ea_advice_kind_t kind;
    uint32_t permille;        /* of its allocations or frees of which that is true    */
    size_t size_bytes;        /* the largest of its commonest size class              */
    size_t allocs_per_s;      /* in the last whole window                             */
    uint64_t max_lifetime_us; /* within which nine of ten of those freed were freed   */
} ea_advice_t;

/* Make profile ready, with tables in mem.
 * Returns  EA_OK; EA_ERR_INVALID: NULL, mem is not aligned to a word or smaller than
 *          EA_PROFILE_BYTES(), a number is no power of two from 8 on or above 32768, or there is a
 *          clock and no tick_us. Then nothing was changed.
 * Owns     profile uses mem and options->clock as long as it is used; it must not be moved.
 * Context  any, alone. Cost O(size_bytes). */
EA_NODISCARD ea_status_t ea_profile_init(ea_profile_t *profile, void *mem, size_t size_bytes,
                                         const ea_profile_options_t *options);

/* Count one event; what attach does for every event of an allocator. profile is not NULL.
 * Cost     O(1): at most eight rows of each table and eight places are looked at; where a row is
 *          given to another site, its counters are added to other's. */
void ea_profile_record(ea_profile_t *profile, ea_block_event_t what, uint16_t owner,
                       const void *site, const void *block, size_t size_bytes);

/* Rates are those of the window that ends here; a new one begins. Call it at a steady pace, say
 * every second. Context: task, one at a time. Cost O(rows). */
void ea_profile_window(ea_profile_t *profile);

/* The next row of a table; *cursor begins with 0, which is other.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: there is none; EA_ERR_INVALID: NULL.
 * Cost     O(rows) for a whole walk. */
EA_NODISCARD ea_status_t ea_profile_next(const ea_profile_t *profile, ea_profile_table_t table,
                                         size_t *cursor, ea_profile_row_t *row);

/* The first of a table's rows in an order, the largest first; other is not among them.
 * Returns  how many: at most n; 0 where an argument is NULL.
 * Cost     O(rows * n). */
size_t ea_profile_top(const ea_profile_t *profile, ea_profile_table_t table,
                      ea_profile_order_t order, ea_profile_row_t *rows, size_t n);

/* What would be cheaper for a row. Cost O(1). */
void ea_profile_advise(const ea_profile_row_t *row, ea_advice_t *advice);

/* An advice's name, e.g. "POOL"; "?" for a number that is none. Never NULL. */
const char *ea_advice_name(uint8_t kind);

/* Cost O(rows). */
void ea_profile_stats(const ea_profile_t *profile, ea_profile_stats_t *stats);

/* Count what happens to the blocks of allocator from now on. Blocks from an earlier attach that are
 * still tracked count as freed.
 * Returns  EA_OK; EA_ERR_BUSY: it is attached already; EA_ERR_INVALID: NULL, or EA_CFG_ALLOC_HOOK
 *          is 0.
 * Context  task. Cost O(places). */
struct ea_allocator;
ea_status_t ea_profile_attach(ea_profile_t *profile, struct ea_allocator *allocator);

/* No longer. Returns EA_OK; EA_ERR_NOT_FOUND. Context: task, while no other context uses the
 * allocator. */
ea_status_t ea_profile_detach(ea_profile_t *profile, struct ea_allocator *allocator);

#ifdef __cplusplus
}
#endif
#endif
