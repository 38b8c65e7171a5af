/* SPDX-License-Identifier: MIT
 *
 * The workloads behind the project's figures: portable C without malloc and floating point, so that
 * the same code runs on the host (heap_figures) and on a microcontroller, where the caller wraps
 * the two operations with instruction counters.
 *
 * Random numbers: xorshift32, its state set to seed * 2654435761 + 12345, the first 8 discarded;
 * r(a, b) = a + rnd mod (b - a + 1). Every workload starts on an empty allocator and may leave
 * blocks allocated; set the allocator up again (or free what it says is live) before the next.
 */
#ifndef WORKLOADS_H
#define WORKLOADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The allocator under test. free is never called with NULL. */
typedef struct {
    void *(*alloc)(void *context, size_t size_bytes);
    void (*free)(void *context, void *ptr);
    void *context;
} wl_ops_t;

#define WL_ARENA_BYTES 65536u            /* memory of every workload but the controller */
#define WL_CONTROLLER_ARENA_BYTES 49152u /* memory of the controller                    */
#define WL_MAX_SLOTS 4096u               /* blocks of 16 bytes in WL_ARENA_BYTES        */

typedef struct {
    void *slots[WL_MAX_SLOTS];
} wl_scratch_t;

typedef struct {
    uint32_t n_requests; /* calls of alloc              */
    uint32_t n_refused;  /* of these, answered by NULL  */
} wl_result_t;

typedef enum {
    WL_W1,  /* 200 slots toggled                                        */
    WL_W2,  /* 200 slots kept full: the fragmentation figure            */
    WL_A1,  /* holes, freed in ascending order                          */
    WL_A1D, /* holes, freed in descending order                         */
    WL_A2A, /* near-equal blocks of one bin, freed ascending            */
    WL_A2D, /* the same, freed descending                               */
    WL_A2R, /* near-equal blocks of random size, freed ascending        */
    WL_A3,  /* churn of small blocks, now and then a larger one         */
    WL_N_KINDS
} wl_kind_t;

/* Short name: "w1" ... "a3"; "?" for a number that is none. */
const char *wl_name(wl_kind_t kind);

/* Run one workload. Only WL_W1, WL_W2, WL_A2R and WL_A3 depend on the seed. */
wl_result_t wl_run(wl_kind_t kind, const wl_ops_t *ops, uint32_t seed, wl_scratch_t *scratch);

/* --- the controller: a device that runs day and night, one step a second ---------------------- */

#define WL_CALENDAR_SECONDS 4096u
#define WL_MAX_PENDING 2048u
#define WL_MAX_STATE 1024u
#define WL_MAX_QUEUE 16u

/* Private; about 60 KB on a 32-bit machine. */
typedef struct {
    wl_ops_t ops;
    uint32_t rnd;
    uint32_t second;
    uint32_t budget_bytes; /* of the long-lived state                  */
    uint32_t cap_bytes;    /* the application sheds what would pass it */
    uint32_t live_bytes;   /* requested bytes                          */
    uint32_t state_bytes;
    uint32_t n_state;
    uint32_t n_queued, queue_head;
    uint32_t outage_end;
    uint32_t n_requests, n_refused, n_shed;
    uint32_t unit_bytes, overhead_bytes;    /* of a block, where sizes are counted gross */
    uint16_t free_entry;                    /* entries not in use, by next        */
    uint16_t calendar[WL_CALENDAR_SECONDS]; /* newest entry of a second; 0: none  */
    struct {
        void *ptr;
        uint16_t size_bytes;
        uint16_t next;
    } pending[WL_MAX_PENDING + 1]; /* entry 0 is "none" */
    struct {
        void *ptr;
        uint16_t size_bytes;
    } state[WL_MAX_STATE], queue[WL_MAX_QUEUE];
} wl_controller_t;

/* load_percent: 20 to 95, of an arena of WL_CONTROLLER_ARENA_BYTES. */
void wl_controller_init(wl_controller_t *c, const wl_ops_t *ops, uint32_t seed,
                        uint32_t load_percent);
/* The same with sizes counted gross: rounded up to units, and what else a block costs. load_percent
 * is the cap, of all but 256 bytes of the arena. */
void wl_controller_init_gross(wl_controller_t *c, const wl_ops_t *ops, uint32_t seed,
                              uint32_t load_percent, uint32_t unit_bytes, uint32_t overhead_bytes);
/* One second. c->n_refused counts the requests below the cap that the allocator refused. */
void wl_controller_step(wl_controller_t *c);
/* Steps until the first refused request or max_seconds. Returns the seconds completed before it. */
uint32_t wl_controller_run(wl_controller_t *c, uint32_t max_seconds);

#endif
