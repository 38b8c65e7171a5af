/* SPDX-License-Identifier: MIT
 *
 * The state of an allocator, from a dump or from its memory (survey.h). docs/formats/dump.md
 * describes what the fields mean.
 */
#ifndef EALLOC_INSPECT_SNAPSHOT_H
#define EALLOC_INSPECT_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SNAP_CHAIN = 9, SNAP_REASONS = 16, SNAP_ID_BYTES = 64 };

/* States of a block. */
enum {
    SNAP_FREE,
    SNAP_USED,
    SNAP_WAITING,
    SNAP_INTERNAL,
    SNAP_CACHED,
    SNAP_MOVING,
    SNAP_DAMAGED,
    SNAP_ROOM, /* of a store: where a block moves to, or what the dump does not tell of */
    SNAP_STATES
};

typedef struct {
    uint32_t version, library;
    unsigned pointer_bytes, site_bits, guard, tags, check_level;
    uint64_t time_us, anchor, allocator, align_bytes, header_bytes, front_bytes, fault_at;
    uint8_t build_id[SNAP_ID_BYTES];
    size_t n_build_id;
    bool is_live;
    bool has_no_time; /* time_us is that of the youngest block: nothing else told the time */
    char cause[100];
} snap_head_t;

typedef struct {
    uint64_t n, reason, owner, limiter, size, alignment, capabilities, free_bytes, largest, caller,
        time_us;
} snap_failure_t;

typedef struct {
    uint64_t block, size, site, owner;
} snap_neighbour_t;

typedef struct {
    uint64_t kind, block, size, first_bad, site, birth, owner;
    snap_neighbour_t below, above;
} snap_report_t;

typedef struct {
    uint64_t level, used_bytes, total_bytes, n_damaged, quarantine_bytes;
    uint64_t chain[SNAP_CHAIN], by_reason[SNAP_REASONS];
} snap_counters_t;

typedef struct {
    uint64_t id, parent, used, peak, min, low, high, max, n_refused, n_limited;
    char name[40]; /* "": none */
} snap_account_t;

typedef struct {
    uint64_t number, begin, end, heap, capabilities, priority, policy, line_bytes, reserve_bytes;
    bool has_heap;
    uint64_t total, free_bytes, min_free, largest, n_live, n_allocs, n_frees, n_failures,
        n_corruptions, control_bytes;
    size_t first_block, n_blocks;
} snap_region_t;

typedef struct {
    uint64_t number, base, block_bytes, n_blocks, n_fresh, n_allocs, n_failures;
    size_t first_block, n_live;
    char name[40]; /* of the variable, as far as it is one; else "" */
} snap_pool_t;

typedef struct {
    uint64_t begin, bytes; /* of a pool's: what the user gets; else with the header */
    uint64_t user;         /* the address the user knows; of a free one 0           */
    uint64_t requested, site, birth, first_bad;
    uint32_t owner;
    uint32_t handle, n_locks; /* of a store's; handle 0: it has none */
    uint8_t state, finding;
    bool in_pool, in_store;
    bool is_alone; /* of a store that is no allocator's */
} snap_block_t;

/* A store of movable blocks, of a region or alone. Blocks leave no gap from first to end. */
typedef struct {
    char name[40]; /* "": a region's, or none */
    uint64_t address, layout, features, unit_bytes, header_bytes, first, end, table_end, n_handles,
        max_handles, free_bytes, n_live, n_fixed, moved_bytes, n_moves, max_demand_bytes,
        n_failures, n_again;
    uint64_t from, to, move_bytes, copied_bytes; /* of a move under way; from 0: there is none */
    bool in_region;
    size_t region; /* its index */
    size_t first_block, n_blocks;
} snap_store_t;

typedef struct {
    uint64_t address;
    const uint8_t *bytes; /* in the dump as given */
    size_t n;
} snap_raw_t;

typedef struct {
    uint64_t address, bytes;
    char name[40];
} snap_range_t;

typedef struct {
    uint64_t reason, where;
    char text[100];
} snap_trouble_t;

/* An event of the history of allocations. */
typedef struct {
    uint64_t number, time_us, site, block, size_bytes, max_size_bytes;
    uint16_t owner;
    uint8_t kind; /* ea_trace_kind_t */
} snap_event_t;

typedef enum { SNAP_OF_DUMP, SNAP_OF_CORE, SNAP_OF_RAM } snap_origin_t;

typedef struct {
    snap_origin_t origin;
    char subject[100]; /* what was looked at, where there was a choice; else "" */
    snap_head_t head;
    snap_failure_t failure;
    snap_report_t report;
    snap_counters_t counters;
    snap_account_t *accounts;
    snap_region_t *regions;
    snap_pool_t *pools;
    snap_store_t *stores;
    snap_block_t *blocks;
    snap_raw_t *raws;
    snap_range_t *ranges;
    snap_trouble_t *troubles;
    snap_event_t *events; /* in order */
    uint8_t **copies;     /* memory that raws lie in */
    size_t n_accounts, n_regions, n_pools, n_stores, n_blocks, n_raws, n_ranges, n_troubles,
        n_events, n_copies;
    size_t n_bytes, n_records;
    bool store_is_open; /* blocks of the last store are still being added */
    char flaw[160];     /* why the dump is not all there, or not to be trusted; "": it is sound */
} snapshot_t;

/* Read a dump of size bytes, which must stay as long as the snapshot.
 * Returns  NULL: nothing of it could be used, and error (of error_size bytes) says why in one line
 *          without a file name; else what was readable: see flaw. Free it with snapshot_free(). */
snapshot_t *snapshot_read(const uint8_t *data, size_t size, char *error, size_t error_size);
void snapshot_free(snapshot_t *s);

/* Room for one more in a list of n; what is there moves. */
void *snapshot_grown(void *list, size_t n, size_t size);
#define SNAP_ADD(s, list, n)                                                                       \
    ((s)->list = snapshot_grown((s)->list, (s)->n, sizeof *(s)->list), &(s)->list[(s)->n++])

/* The account of this id; NULL. */
const snap_account_t *snapshot_account(const snapshot_t *s, uint64_t id);

#endif
