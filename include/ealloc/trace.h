/* SPDX-License-Identifier: MIT
 *
 * The history of allocations (row B1): a ring of events in RAM that a reset leaves alone, so that
 * after a crash the last few hundred allocations, frees and refusals can be read: what, when,
 * whose, from where, how large.
 *
 *     static EA_TRACE_NOINIT _Alignas(8) unsigned char ring[EA_TRACE_BYTES(256)];
 *     ea_trace_t *trace = ea_trace_open(ring, sizeof ring, NULL);
 *     ... read what the last run left ...
 *     ea_trace_attach(trace, &memory);
 *
 * An event is four words: 16 bytes on a 32-bit machine, 32 on a 64-bit one. The sizes in it are
 * classes, four per doubling: exact up to 8 bytes, above that from below by less than a quarter.
 * Times are in ticks of a clock. What lies in memory is written down in docs/formats/trace.md.
 *
 * The number of an event is its place in the history. Recording is lock-free: a writer that is
 * interrupted for however long never spoils another's event, and one event whose call had returned
 * is never lost before a ring's length of newer ones was recorded. A reset in the middle of a call
 * costs that call's event alone. Where the core has a data cache, the ring must lie in memory that
 * is not cached or written through: a reset drops what is only in the cache.
 *
 * Times are exact unless a context is held up for more than 2^14 ticks (16 s of ticks of 1024 us)
 * between reading the clock and getting its number, a few instructions later.
 */
#ifndef EALLOC_TRACE_H
#define EALLOC_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/hook.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* For the ring: a section that start-up code leaves alone. Its name is the usual one of linker
 * scripts; another one is a definition before this header. */
#ifndef EA_TRACE_NOINIT
#define EA_TRACE_NOINIT __attribute__((section(".noinit")))
#endif

/* Kinds of event; the first ones are those of ea_block_event_t. */
typedef enum {
    EA_TRACE_ALLOC = EA_BLOCK_ALLOCATED,
    EA_TRACE_FREE = EA_BLOCK_FREED,
    EA_TRACE_MOVE = EA_BLOCK_MOVED,
    EA_TRACE_REALLOC = EA_BLOCK_RESIZED,
    EA_TRACE_FAIL = EA_BLOCK_REFUSED,
    EA_TRACE_TRANSFER = EA_BLOCK_TRANSFERRED,
    EA_TRACE_BAD_FREE = EA_BLOCK_BAD_FREE,
    EA_TRACE_BOOT = 8, /* the ring was opened; the site is options.image, the size how often */
    EA_TRACE_SYNC = 9, /* the upper part of the time; readers do not see it */
    EA_TRACE_USER = 12 /* 12 to 15 are the application's */
} ea_trace_kind_t;

/* NULL, or all zero: the port's coarse clock, every event. */
typedef struct {
    const volatile uint32_t *clock; /* a counter of ticks that the application has anyhow; NULL:
                                       ea_port_time_coarse_us(), in units of 1024 us */
    uint32_t tick_us; /* length of a tick of clock; about 1000 is best: every 2^15 ticks cost an
                               event. A clock of 32 bits wraps; that is noticed if no gap
                               between events is longer than half of its range. */
    uint32_t sample_one_in; /* as ea_trace_set_sampling(); 0: all */
    uintptr_t image;        /* names the program in the event BOOT, say by its build id: call sites
                               are addresses in it */
    const void *base; /* 32-bit machines keep the low 24 bits of a block's address, the rest is
                               that of the next address from here on; NULL: the start of the 16 MB
                               that the ring is in */
} ea_trace_options_t;

/* The control words, and behind them the events; private. */
typedef struct ea_trace {
    uintptr_t eai_next; /* twice the number of the next event */
    /* Constant, under the seal. */
    uintptr_t eai_magic;
    uintptr_t eai_shape;   /* version, bytes a word, log2 of the number of events */
    uintptr_t eai_unit_us; /* of the times                                        */
    uintptr_t eai_base;
    uintptr_t eai_seal;
    /* Survive a reset. */
    uintptr_t eai_first; /* events before this one were cleared; twice its number */
    uintptr_t eai_upper; /* of the time: what SYNC said last */
    uintptr_t eai_n_boots;
    uintptr_t eai_n_dropped;
    uintptr_t eai_n_skipped;
    /* Of this run. */
    uintptr_t eai_mask; /* twice the largest index */
    uintptr_t eai_gate; /* the upper part of the clock's ticks for which nothing is to be done */
    uintptr_t eai_most; /* of a block's hash, if it is to be recorded */
    const volatile uint32_t *eai_clock;
    ea_alloc_hook_t eai_hook;
    uintptr_t eai_reserved[1];
} ea_trace_t;

typedef struct {
    uintptr_t eai_words[4];
} eai_trace_slot_t;

/* Bytes of a ring of n events, a power of two from EA_TRACE_MIN_EVENTS on. */
#define EA_TRACE_MIN_EVENTS 8u
#define EA_TRACE_BYTES(n_events) (sizeof(ea_trace_t) + (n_events) * sizeof(eai_trace_slot_t))

/* An event as it is read. */
typedef struct {
    uint64_t time_us;      /* of the run's own clock: it starts anew with a reset */
    uintptr_t number;      /* in the history; those that are missing were lost */
    const void *site;      /* the call, or what the application named          */
    const void *block;     /* NULL: none                                       */
    size_t size_bytes;     /* at least so many */
    size_t max_size_bytes; /* and at most      */
    uint16_t owner;        /* account id       */
    uint8_t kind;          /* ea_trace_kind_t  */
} ea_trace_event_t;

/* How far a reader is; fields with eai_ are private. All zero begins with the oldest event. */
typedef struct {
    uintptr_t eai_next;
    uintptr_t eai_upper;
    bool eai_has_begun, eai_is_timed;
    size_t n_overwritten; /* events that were overwritten before they could be read            */
    size_t n_void;        /* numbers under which there is no event: its writer is not done, was
                             stopped by a reset, or the event is damaged                    */
} ea_trace_cursor_t;

typedef struct {
    size_t n_events;    /* that the ring holds                              */
    size_t n_recorded;  /* numbers given out since the ring was made, modulo the word size;
                           those of the times are among them */
    size_t n_dropped;   /* calls that found no place, each of eight times   */
    size_t n_unsampled; /* calls that sampling passed over                  */
    size_t n_boots;     /* how often the ring was opened                    */
    uint32_t unit_us;   /* of the times                                     */
} ea_trace_stats_t;

/* Open the ring in mem: one that is sound and of the same shape (as many events, the same unit and
 * base) keeps its events, their numbers go on, and BOOT is recorded; anything else is made anew,
 * with BOOT as its first event. The largest power of two of events that fits is used.
 * Returns  the ring, which lies at mem; NULL if mem is NULL or not aligned to a word, is too small
 *          for EA_TRACE_MIN_EVENTS, or there is a clock and no tick_us: then nothing was changed.
 * Owns     the ring uses mem and options->clock as long as anybody records.
 * Context  task, alone. Cost O(events).
 * Errors   never relies on what mem holds: random bytes at worst read as n_void. */
EA_NODISCARD ea_trace_t *ea_trace_open(void *mem, size_t size_bytes,
                                       const ea_trace_options_t *options);

/* Record an event. Where sampling is on it may be passed over; see below. trace is not NULL.
 * Context  any, several at once, inside masked sections too.
 * Cost     O(1); a retry where another context came in between, at most eight. bench/wcet: record,
 *          record_slow (the port's clock, sampling), record_sync (every 2^15 ticks). */
void ea_trace_record(ea_trace_t *trace, ea_trace_kind_t kind, uint16_t owner, const void *site,
                     const void *block, size_t size_bytes);

/* Read the next event, oldest first, while others write.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: there is none after the last one, for now; EA_ERR_AGAIN: a
 *          ring's length of numbers without an event was passed, call again; EA_ERR_INVALID: NULL.
 * Context  any. Cost O(1) an event, and O(events) where the time's upper part must be looked for:
 *          at the first event and after numbers that were void. */
EA_NODISCARD ea_status_t ea_trace_read(const ea_trace_t *trace, ea_trace_cursor_t *cursor,
                                       ea_trace_event_t *event);

/* Forget the events so far; their memory is not touched. Context: any. Cost O(1). */
void ea_trace_clear(ea_trace_t *trace);

/* Record one block in n: 0 or 1 all. Which ones is decided by a hash of the address, so that what
 * is recorded of one block is all of it, from alloc to free; what has no block is always recorded.
 * A clock of the application in use with sampling costs as much as the port's. Context: any. */
void ea_trace_set_sampling(ea_trace_t *trace, uint32_t n);

/* Context: any. Cost O(1). */
void ea_trace_stats(const ea_trace_t *trace, ea_trace_stats_t *stats);

/* A kind's name, e.g. "ALLOC"; "?" for a number that is none. Never NULL. Context: any. */
const char *ea_trace_kind_name(uint8_t kind);

/* Record what happens to the blocks of allocator from now on, as ea_allocator_add_hook().
 * Returns  EA_OK; EA_ERR_BUSY: the ring is attached already; EA_ERR_INVALID: NULL, or
 *          EA_CFG_ALLOC_HOOK is 0.
 * Context  task. */
struct ea_allocator;
ea_status_t ea_trace_attach(ea_trace_t *trace, struct ea_allocator *allocator);

/* No longer. Returns EA_OK; EA_ERR_NOT_FOUND. Context: task, while no other context uses the
 * allocator. */
ea_status_t ea_trace_detach(ea_trace_t *trace, struct ea_allocator *allocator);

#ifdef __cplusplus
}
#endif
#endif
