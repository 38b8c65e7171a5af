/* SPDX-License-Identifier: MIT
 *
 * Leaks (row B4): which call site's blocks only ever become more, which blocks are older than they
 * should be, whose owner is gone, how bad it is, and when memory will end. Fed by an allocator's
 * hook; the tables lie in memory the application gives.
 *
 *     static _Alignas(8) unsigned char tables[EA_LEAKS_BYTES(32, 512)];
 *     static ea_leaks_t leaks;
 *     const ea_leaks_options_t options = {.n_sites = 32, .n_blocks = 512};
 *     ea_leaks_init(&leaks, tables, sizeof tables, &options);
 *     ea_leaks_attach(&leaks, &memory);
 *     ... in the idle task: ea_leaks_poll(&leaks, 64);
 *     ... whenever somebody asks: n = ea_leaks_top(&leaks, found, 5);
 *
 * A site grows if, over 2 days or over 8, the least number of its live blocks rose in each of three
 * steps by about as much, the number of old ones rose with it, and hardly any old one was freed.
 * Old is what outlived 99 of 100 of the site's freed blocks. Two days are eight windows of 6 h; one
 * that runs faster, say in a test, sets a shorter window.
 *
 * A cache that fills looks like a leak until it is full: the finding is cleared when the growth
 * stops, and a rule that says how much a site may hold avoids it.
 *
 * A live block takes a place of 16 bytes (24 on a 64-bit machine), a site a row of 196 (240). Twice
 * as many places as live blocks are enough; a block that finds none of its eight places free is not
 * watched and counted in n_untracked, and while that happens no finding is cleared. A row is given
 * to another site only while none of its blocks lives. sample_one_in watches one block in n.
 *
 * A realloc ends the block, and begins another at its own call site.
 *
 * Context: ea_leaks_record() any, several at once, without a lock as the profile; all other
 * functions a task, one at a time.
 */
#ifndef EALLOC_LEAKS_H
#define EALLOC_LEAKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/event.h"
#include "ealloc/hook.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Why a site is suspected: a set of these. The numbers stay the same for ever. */
typedef enum {
    EA_LEAK_GROWTH = 1,     /* its blocks become more                           */
    EA_LEAK_AGE = 2,        /* blocks older than a rule allows                  */
    EA_LEAK_OWNER_GONE = 4, /* blocks whose owner is no more                    */
    EA_LEAK_SURVIVAL = 8,   /* blocks that lived survival_factor times as long as 99 of 100 do */
    EA_LEAK_EXCESS = 16     /* the site holds more than a rule allows           */
} ea_leak_kind_t;

/* How bad. The numbers stay the same for ever.
 *            growth: room is used up within    else: of the room, the blocks are
 *   MINOR    90 days, or room is not known     1/64, or room is not known
 *   MAJOR    14 days                           1/4
 *   CRITICAL 2 days                            all of it or more */
typedef enum {
    EA_LEAK_NONE = 0,
    EA_LEAK_INFO = 1,
    EA_LEAK_MINOR = 2,
    EA_LEAK_MAJOR = 3,
    EA_LEAK_CRITICAL = 4
} ea_leak_severity_t;

/* What some blocks may do; the first rule that fits a block holds for it. */
typedef struct {
    const void *site;      /* NULL: any                         */
    uint16_t owner;        /* 0: any                            */
    size_t min_size_bytes; /* of a block; its type, so to speak */
    size_t max_size_bytes; /* 0: any                            */
    uint64_t max_age_us;   /* 0: any                            */
    size_t may_hold_bytes; /* nothing but OWNER_GONE is found at a site whose blocks are no more;
                               0: nothing is declared            */
    size_t max_hold_bytes; /* of a site, all its blocks together; 0: any */
} ea_leaks_rule_t;

/* What was found over boots, in a section that start-up code leaves alone (EA_TRACE_NOINIT).
 * Private. */
#define EA_LEAKS_HISTORY 8u /* sites */
typedef struct {
    uintptr_t eai_site;
    uint32_t eai_n_boots; /* in which it was found */
    uint32_t eai_last;    /* of them               */
    uint32_t eai_kinds;
    uint32_t eai_check;
} eai_leaks_past_t;

typedef struct {
    uint32_t eai_magic;
    uint32_t eai_n_boots;
    uintptr_t eai_image;
    uint32_t eai_check;
    eai_leaks_past_t eai_past[EA_LEAKS_HISTORY];
} ea_leaks_history_t;

typedef struct {
    uint32_t n_sites;               /* rows: a power of two from 8 to 32768    */
    uint32_t n_blocks;              /* places for live blocks: likewise, to 2^30 */
    uint32_t sample_one_in;         /* watch one block in so many; 0, 1: all   */
    const volatile uint32_t *clock; /* a counter of ticks that the application has anyhow; NULL:
                                       ea_port_time_coarse_us() */
    uint32_t tick_us;   /* length of a tick of clock; without a clock the unit of ages, 0: 65536. An
                           age is no more than 2^31 ticks: what is older is that old. */
    uint64_t window_us; /* at least 96 ticks; 0: 6 h */
    const ea_leaks_rule_t *rules; /* n_rules; each is looked at for each block in turn */
    uint32_t n_rules;
    uint32_t survival_factor;    /* 0: survival is no finding */
    ea_events_t *events;         /* EA_EVENT_LEAK, EA_EVENT_LEAK_CLEARED go there; NULL: nowhere */
    ea_leaks_history_t *history; /* NULL: none */
    uintptr_t image;             /* names the program, say by its build id: call sites are addresses
                                    in it, and the history of another one is void */
    /* Asked by ea_leaks_poll(); NULL: nobody is gone, the room is not known. */
    bool (*is_gone)(void *context, uint16_t owner);
    size_t (*room_bytes)(void *context,
                         uint16_t owner); /* what owner could still get; 0: anybody */
    void *context;
} ea_leaks_options_t;

/* --- private ---------------------------------------------------------------------------------- */

#define EAI_LEAKS_LIFETIMES 16u
#define EAI_LEAKS_WINDOWS 8u

/* Eight windows of one span, the oldest first. */
typedef struct {
    uint16_t eai_live[EAI_LEAKS_WINDOWS]; /* floors, as eai_leaks_pack() */
    uint16_t eai_old[EAI_LEAKS_WINDOWS];
    uint8_t eai_freed[EAI_LEAKS_WINDOWS]; /* of the old ones */
} eai_leaks_span_t;

/* Blocks that a pass counts at a site. */
typedef struct {
    uintptr_t eai_bytes;
    uint32_t eai_n;
} eai_leaks_sum_t;

typedef struct {
    /* Of all contexts. */
    uintptr_t eai_key; /* 0: free; 1: being given to another */
    uintptr_t eai_n_live;
    uintptr_t eai_live_bytes;
    uintptr_t eai_floor; /* the least n_live of the window */
    uint16_t eai_lifetimes[EAI_LEAKS_LIFETIMES];
    uint16_t eai_n_old_freed; /* in the window */
    uint16_t eai_generation;  /* how often it was given to another */
    uint16_t eai_old_class;   /* of lifetimes: older than that is old */
    /* Of the poll. */
    uint16_t eai_seen;                                  /* generation */
    eai_leaks_sum_t eai_old, eai_flagged, eai_suspects; /* of the pass; of the last one */
    uintptr_t eai_may_hold;
    uint32_t eai_oldest, eai_suspect_age; /* age of the oldest in the pass; in the last one */
    uint32_t eai_old_floor;               /* least of the passes of the window */
    uint32_t eai_since;                   /* the finding; ticks */
    eai_leaks_span_t eai_spans[2];
    uint16_t eai_owner;
    uint8_t eai_kinds; /* of the pass */
    uint8_t eai_found; /* kinds */
    uint8_t eai_fires; /* spans whose rule holds now */
    uint8_t eai_severity;
    uint8_t eai_n_quiet;        /* windows without growth */
    uint8_t eai_n_of_long;      /* windows of the long span's next one */
    uint8_t eai_is_usual_known; /* enough were freed */
    uint16_t eai_n_windows;     /* closed                                     */
    uint16_t eai_base;          /* the floor when the short span was full first */
} eai_leaks_row_t;

typedef struct {
    uintptr_t eai_block; /* 0: free */
    uintptr_t eai_size_bytes;
    uint32_t eai_birth;
    uint16_t eai_site; /* row */
    uint16_t eai_owner;
} eai_leaks_place_t;

/* Every field is private. */
typedef struct {
    ea_leaks_options_t eai_options;
    eai_leaks_row_t *eai_rows;
    eai_leaks_place_t *eai_places;
    uint32_t eai_rows_shift, eai_places_shift; /* of a hash */
    uint32_t eai_most;                         /* of a block's hash, if it is watched */
    uint32_t eai_unit; /* ticks of the first class of lifetimes: 1/16 of 1/6 of a window */
    uint32_t eai_at;   /* what the pass looks at next: places, then rows */
    uint32_t eai_due;  /* when the last one should have begun; ticks */
    uint32_t eai_now;  /* when it did */
    uint32_t eai_n_passes;
    uint32_t eai_n_windows;
    uintptr_t eai_n_lost; /* blocks that went unwatched, until the last window */
    bool eai_is_passing;
    bool eai_is_closing; /* a window ends with this pass */
    bool eai_is_lossy;   /* blocks went unwatched in it */
    uintptr_t eai_is_evicting;
    uintptr_t eai_n_untracked, eai_n_unplaced, eai_n_unknown;
    size_t (*eai_room_bytes)(void *context, uint16_t owner);
    void *eai_room_context;
    ea_alloc_hook_t eai_hook;
} ea_leaks_t;

/* Bytes of the tables. */
#define EA_LEAKS_BYTES(n_sites, n_blocks)                                                          \
    ((size_t)(n_sites) * sizeof(eai_leaks_row_t) + (size_t)(n_blocks) * sizeof(eai_leaks_place_t))

/* --- public ----------------------------------------------------------------------------------- */

/* A finding, with its site as it is now. Where one block in n is watched, numbers are estimates. */
typedef struct {
    const void *site; /* NULL: unknown */
    uint16_t owner;   /* of one of the suspects, the last one looked at */
    uint8_t kinds;    /* set of ea_leak_kind_t */
    uint8_t severity;
    size_t n_live, live_bytes;
    size_t n_suspects, suspect_bytes; /* old where it grows; else those that were found */
    size_t bytes_per_day;             /* by which it grows */
    uint32_t steady_permille;         /* of the mean growth since its first span: below 1000 it
                                         slows down, as what fills does; above it is faster */
    uint64_t oldest_us;               /* age of the oldest suspect */
    uint64_t usual_us;                /* within which 99 of 100 are freed; 0: too few were */
    uint64_t found_us;                /* how long ago */
    uint64_t room_ends_us;            /* when growth will have used up the room; UINT64_MAX: never,
                                         or the room is not known */
    uint32_t n_boots; /* in which it was found, with this one; 0: there is no history */
} ea_leak_t;

/* A live block. */
typedef struct {
    const void *block, *site;
    size_t size_bytes;
    uint64_t age_us;
    uint16_t owner;
} ea_leak_block_t;

typedef struct {
    size_t n_live, live_bytes; /* watched */
    size_t n_sites;            /* rows in use */
    size_t n_found;            /* findings */
    size_t n_untracked;        /* blocks that found no place */
    size_t n_unplaced;         /* blocks whose site found no row */
    size_t n_unknown;          /* frees of blocks that were not watched */
    uint32_t n_passes;         /* over all blocks, so far */
    uint32_t n_boots;          /* of the history; 0: there is none */
} ea_leaks_stats_t;

/* A site's finding of a former boot. */
typedef struct {
    const void *site;
    uint32_t n_boots; /* in which it was found */
    uint32_t last;    /* the number of the last of them */
    uint8_t kinds;
} ea_leak_past_t;

/* Make leaks ready, with tables in mem. A history that is sound and of the same image is kept and
 * its number of boots goes on; anything else is made anew.
 * Returns  EA_OK; EA_ERR_INVALID: leaks, mem or options is NULL, mem is not aligned to a word or
 *          smaller than EA_LEAKS_BYTES(), a number is outside its range, or there is a clock and no
 *          tick_us. Then nothing was changed.
 * Owns     leaks uses mem and what options points at as long as it is used; it must not be moved.
 * Context  any, alone. Cost O(size_bytes).
 * Errors   never relies on what the history holds: each part has a check word of 32 bits. */
EA_NODISCARD ea_status_t ea_leaks_init(ea_leaks_t *leaks, void *mem, size_t size_bytes,
                                       const ea_leaks_options_t *options);

/* Take one event; what attach does for every event of an allocator. leaks is not NULL.
 * Context  any, several at once. Cost O(1): at most eight rows and eight places are looked at. */
void ea_leaks_record(ea_leaks_t *leaks, ea_block_event_t what, uint16_t owner, const void *site,
                     const void *block, size_t size_bytes);

/* Go on with the work: a sixth of a window after the last pass over the places and rows began, the
 * next one begins; n_steps of them are looked at in this call. Findings are as fresh as the last
 * pass. Events are emitted here.
 * Returns  EA_OK: nothing to do for now; EA_ERR_AGAIN: the pass is not at its end; EA_ERR_INVALID:
 *          NULL.
 * Cost     O(n_steps), times the rules for a block. */
ea_status_t ea_leaks_poll(ea_leaks_t *leaks, uint32_t n_steps);

/* Forget all blocks, as if each had moved: whoever fed them will tell of them no more. What was
 * found is cleared by the next passes. Context: alone. Cost O(places). */
void ea_leaks_forget(ea_leaks_t *leaks);

/* How many watched blocks have lived longer than threshold_us. 0 for NULL.
 * Cost     O(places). */
EA_NODISCARD size_t ea_leaks_detect(const ea_leaks_t *leaks, uint64_t threshold_us);

/* The next of these blocks, in the order of the places; *cursor begins with 0.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: there is none; EA_ERR_INVALID: NULL.
 * Cost     O(places) for a whole walk. */
EA_NODISCARD ea_status_t ea_leaks_next_block(const ea_leaks_t *leaks, uint64_t threshold_us,
                                             size_t *cursor, ea_leak_block_t *block);

/* The first findings: those that grow, by bytes a day, less where growth slows down; then the
 * others, by the bytes of their suspects; the largest first.
 * Returns  how many: at most n; 0 where an argument is NULL.
 * Cost     O(sites * n). */
size_t ea_leaks_top(const ea_leaks_t *leaks, ea_leak_t *found, size_t n);

/* What site is found of; all zero but the site if it has no row.
 * Returns  whether something is found. Cost O(1). */
bool ea_leaks_of_site(const ea_leaks_t *leaks, const void *site, ea_leak_t *found);

/* The next entry of the history; *cursor begins with 0.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: there is none, or no history; EA_ERR_INVALID: NULL. */
EA_NODISCARD ea_status_t ea_leaks_next_past(const ea_leaks_t *leaks, size_t *cursor,
                                            ea_leak_past_t *past);

/* Cost O(sites). */
void ea_leaks_stats(const ea_leaks_t *leaks, ea_leaks_stats_t *stats);

/* A kind's or severity's name, e.g. "GROWTH", "MAJOR"; "?" for a number that is none. Never NULL.
 * Context: any. */
const char *ea_leak_kind_name(uint8_t kind);
const char *ea_leak_severity_name(uint8_t severity);

/* Watch the blocks of allocator from now on. Where options name no room_bytes, it is what is free
 * in the allocator, or less where the owner's budget is. Blocks from an earlier attach count as
 * freed.
 * Returns  EA_OK; EA_ERR_BUSY: it is attached already; EA_ERR_INVALID: NULL, or EA_CFG_ALLOC_HOOK
 *          is 0.
 * Cost     O(places). */
struct ea_allocator;
ea_status_t ea_leaks_attach(ea_leaks_t *leaks, struct ea_allocator *allocator);

/* No longer. Returns EA_OK; EA_ERR_NOT_FOUND. While no other context uses the allocator. */
ea_status_t ea_leaks_detach(ea_leaks_t *leaks, struct ea_allocator *allocator);

#ifdef __cplusplus
}
#endif
#endif
