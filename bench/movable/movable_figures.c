/* SPDX-License-Identifier: MIT
 *
 * A device that runs day and night (the workload "controller") on a store of movable blocks: how
 * many requests fail, and what compaction moves.
 *
 *     movable_figures LOAD SEED HOURS IDLE_BYTES DEMAND_BYTES [payload] [fixed PERCENT HANDLES]
 *
 * LOAD percent of the memory is the peak of all live blocks, counted gross (rounding, header, table
 * entry), or, with payload, what was asked for. After each simulated second IDLE_BYTES / 256 steps
 * of 256 bytes; a request may move DEMAND_BYTES. Of PERCENT of the requests, drawn at random, the
 * blocks stay at their address (alignment: 8), and the table has HANDLES entries from the start.
 * Prints one line of JSON.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/movable.h"
#include "workloads.h"

#if EA_CFG_MOVABLE_LAYOUT == 0
#define ENTRY_BYTES 2u
#elif EA_CFG_MOVABLE_LAYOUT == 1
#define ENTRY_BYTES 4u
#else
#define ENTRY_BYTES 8u
#endif

static _Alignas(16) unsigned char memory[WL_CONTROLLER_ARENA_BYTES];
static ea_movable_t *store;
static size_t demand_bytes;
static uint64_t n_no_memory, n_again, n_other;
static uint32_t fixed_percent, random_state = 2463534242u, n_fixed, max_fixed, max_movable;

static void note_refusal(void)
{
    ea_status_t why = ea_movable_last_refusal(store);
    *(why == EA_ERR_NO_MEMORY ? &n_no_memory : why == EA_ERR_AGAIN ? &n_again : &n_other) += 1;
}

static bool is_to_be_fixed(void)
{
    if (fixed_percent == 0) return false;
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % 100u < fixed_percent;
}

static void *alloc(void *context, size_t size_bytes)
{
    (void)context;
    if (is_to_be_fixed()) {
        void *address = ea_movable_alloc_fixed(store, size_bytes, 8, demand_bytes);
        if (!address) note_refusal();
        if (address && ++n_fixed > max_fixed) max_fixed = n_fixed;
        return address;
    }
    ea_movable_handle_t handle = ea_movable_alloc(store, size_bytes, demand_bytes);
    if (ea_movable_is_none(handle)) {
        note_refusal();
        return NULL;
    }
    return (void *)(uintptr_t)handle.eai_word;
}

static void give_back(void *context, void *ptr)
{
    (void)context;
    if ((uintptr_t)ptr - (uintptr_t)memory < sizeof memory) { /* else a handle's word */
        if (ea_movable_free_fixed(store, ptr) != EA_OK) abort();
        n_fixed--;
        return;
    }
    ea_movable_handle_t handle = {(uint32_t)(uintptr_t)ptr};
    if (ea_movable_free(store, handle) != EA_OK) abort();
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "usage: movable_figures LOAD SEED HOURS IDLE_BYTES DEMAND_BYTES [payload] "
                        "[fixed PERCENT HANDLES]\n");
        return 2;
    }
    uint32_t load = (uint32_t)atoi(argv[1]), seed = (uint32_t)atoi(argv[2]);
    uint32_t hours = (uint32_t)atoi(argv[3]), n_steps = (uint32_t)atoi(argv[4]) / 256u;
    bool payload = argc > 6 && !strcmp(argv[6], "payload");
    ea_movable_options_t options = {0, 0};
    if (argc > 8 && !strcmp(argv[argc - 3], "fixed")) {
        fixed_percent = (uint32_t)atoi(argv[argc - 2]);
        options.n_handles = options.max_handles = (uint32_t)atoi(argv[argc - 1]);
    }
    demand_bytes = (size_t)strtoul(argv[5], NULL, 10);

    static wl_controller_t controller;
    wl_ops_t ops = {alloc, give_back, NULL};
    store = ea_movable_init(memory, sizeof memory, &options);
    if (!store) return 1;
    if (payload)
        wl_controller_init(&controller, &ops, seed, load);
    else
        wl_controller_init_gross(&controller, &ops, seed, load, EA_MOVABLE_ALIGN,
                                 EA_MOVABLE_HEADER_BYTES + ENTRY_BYTES);
    uint64_t n_refused = 0, n_requests = 0;
    size_t most_in_step = 0;
    ea_movable_stats_t stats;
    for (uint64_t second = 0; second < (uint64_t)hours * 3600u; second++) {
        wl_controller_step(&controller);
        n_refused += controller.n_refused;
        n_requests += controller.n_requests;
        controller.n_refused = controller.n_requests = 0;
        if (second % 16u == 0) {
            ea_movable_stats(store, &stats);
            if (stats.n_live > max_movable) max_movable = stats.n_live;
        }
        for (uint32_t i = 0; i < n_steps; i++) {
            if (second % 64u == 0) {
                ea_movable_stats(store, &stats);
                size_t before = stats.moved_bytes;
                if (ea_movable_step(store, 256) == EA_OK) i = n_steps;
                ea_movable_stats(store, &stats);
                if (stats.moved_bytes - before > most_in_step)
                    most_in_step = stats.moved_bytes - before;
            } else if (ea_movable_step(store, 256) == EA_OK) {
                break;
            }
        }
    }
    ea_movable_stats(store, &stats);
    printf("{\"load\": %u, \"payload\": %d, \"seed\": %u, \"hours\": %u, \"idle\": %u, ", load,
           payload, seed, hours, n_steps * 256u);
    printf("\"demand\": %zu, \"requests\": %" PRIu64 ", \"failures\": %" PRIu64 ", ", demand_bytes,
           n_requests, n_refused);
    printf("\"no_memory\": %" PRIu64 ", \"again\": %" PRIu64 ", \"max_demand\": %zu, ", n_no_memory,
           n_again, stats.max_demand_bytes);
    printf("\"max_step\": %zu, \"handles\": %u, \"control\": %zu, \"fixed\": %u, ", most_in_step,
           stats.n_handles, stats.control_bytes, fixed_percent);
    printf("\"other\": %" PRIu64 ", \"max_fixed\": %u, \"max_movable\": %u}\n", n_other, max_fixed,
           max_movable);
    return n_refused ? 1 : 0;
}
