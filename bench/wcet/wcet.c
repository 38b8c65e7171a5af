/* SPDX-License-Identifier: MIT
 *
 * Worst and median instructions of every heap operation, over the workloads and over scenarios made
 * to hurt. Runs on an emulated board under an exact instruction counter; scripts/wcet builds it in
 * every configuration, runs it and reads what it prints.
 *
 * Scenarios, all on 64 KB:
 *   w1 ... a3  the workloads of bench/workloads; seeds 1 to N_SEEDS where they take one
 *   huge       small requests from one huge free block
 *   exact      requests whose exact size is free
 *   between    free of a block whose two neighbours are free
 *   failing    requests nobody can grant: heap full or full of holes, own bin's blocks too small
 *   holes      requests of every size while every second small block is free
 *   churn      random sizes from 8 to 8191, log-uniform, on all operations
 *   regions    memory added, grown, shrunk and removed
 */
#include "board.h"
#include "count.h"
#include "workloads.h"

#define ARENA_BYTES WL_ARENA_BYTES
#define N_SEEDS 3u
#define N_TRIALS 300u /* of the scenarios that set up a heap anew for each call */
#define N_BLOCKS 256u

static _Alignas(16) unsigned char arena[ARENA_BYTES];
static wl_scratch_t scratch;
static void *blocks[WL_MAX_SLOTS];

static uint32_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % n;
}

/* 8 to 8191, every doubling as likely as the next. */
static size_t random_size(void)
{
    uint32_t doubling = random_below(10);
    return (8u << doubling) + random_below(8u << doubling);
}

/* A heap to work on whose own set-up does not count. */
static ea_heap_t *fresh_heap(void)
{
    ea_heap_t *heap = ea_heap_init(arena, ARENA_BYTES, NULL);
    if (heap == NULL) {
        board_put("no heap\n");
        board_exit(1);
    }
    return heap;
}

/* A random handful of free blocks, each fenced in by used ones, so that bins are neither all empty
 * nor all full. */
static void scatter_free_blocks(ea_heap_t *heap)
{
    void *holes[24];
    uint32_t n = random_below(sizeof holes / sizeof holes[0]);
    for (uint32_t i = 0; i < n; i++) {
        holes[i] = ea_heap_alloc(heap, random_size() / 4 + 1);
        (void)!ea_heap_alloc(heap, 1);
    }
    for (uint32_t i = 0; i < n; i++) (void)ea_heap_free(heap, holes[i]);
}

/* Fill the heap with blocks of size_bytes, not counted. Returns how many. */
static uint32_t fill(ea_heap_t *heap, size_t size_bytes)
{
    uint32_t n = 0;
    while (n < WL_MAX_SLOTS && (blocks[n] = ea_heap_alloc(heap, size_bytes)) != NULL) n++;
    return n;
}

/* --- workloads -------------------------------------------------------------------------------- */

static void *workload_alloc(void *context, size_t size_bytes)
{
    void *ptr = count_alloc(context, size_bytes);
    count_largest_free(context);
    return ptr;
}

static void workload_free(void *context, void *ptr)
{
    count_usable_size(context, ptr);
    count_free(context, ptr);
    count_largest_free(context);
}

static void run_workload(wl_kind_t kind)
{
    bool is_random = kind == WL_W1 || kind == WL_W2 || kind == WL_A2R || kind == WL_A3;
    count_scenario(wl_name(kind));
    for (uint32_t seed = 1; seed <= (is_random ? N_SEEDS : 1); seed++) {
        ea_heap_t *heap = count_init(arena, ARENA_BYTES, NULL);
        wl_ops_t ops = {workload_alloc, workload_free, heap};
        (void)wl_run(kind, &ops, seed, &scratch);
    }
    count_report();
}

/* --- named scenarios -------------------------------------------------------------------------- */

static void small_from_huge_block(void)
{
    count_scenario("huge");
    for (size_t size = 1; size <= 1024; size += 3) {
        ea_heap_t *heap = fresh_heap();
        count_largest_free(heap);
        void *ptr = count_alloc(heap, size);
        count_usable_size(heap, ptr);
        count_free(heap, ptr);
    }
    count_report();
}

static void exact_hit(void)
{
    count_scenario("exact");
    for (uint32_t i = 0; i < N_TRIALS; i++) {
        ea_heap_t *heap = fresh_heap();
        size_t size = random_size();
        scatter_free_blocks(heap);
        void *ptr = ea_heap_alloc(heap, size);
        void *fence = ea_heap_alloc(heap, 1);
        if (ptr == NULL || fence == NULL) continue;
        count_free(heap, ptr);
        ptr = count_alloc(heap, size);
    }
    count_report();
}

static void free_between_two_free_neighbours(void)
{
    count_scenario("between");
    for (uint32_t i = 0; i < N_TRIALS; i++) {
        ea_heap_t *heap = fresh_heap();
        scatter_free_blocks(heap);
        void *below = ea_heap_alloc(heap, random_size());
        void *ptr = ea_heap_alloc(heap, random_size());
        void *above = ea_heap_alloc(heap, random_size());
        void *fence = ea_heap_alloc(heap, 1);
        if (below == NULL || ptr == NULL || above == NULL || fence == NULL) continue;
        (void)ea_heap_free(heap, below);
        (void)ea_heap_free(heap, above);
        count_free(heap, ptr);
        count_largest_free(heap);
    }
    count_report();
}

static void failing_requests(void)
{
    count_scenario("failing");
    ea_heap_t *heap = fresh_heap();
    for (size_t size = ARENA_BYTES; size < ARENA_BYTES * 64u; size *= 2) {
        (void)count_alloc(heap, size - 1);
    }
    uint32_t n = fill(heap, 1);
    for (size_t size = 1; size <= 1024; size += 5) (void)count_alloc(heap, size);
    for (uint32_t i = 0; i < n; i += 2) (void)ea_heap_free(heap, blocks[i]);
    for (size_t size = 16; size <= 2048; size += 4) (void)count_alloc(heap, size);

    /* Blocks free in the request's own bin, all a little too small. */
    for (uint32_t i = 0; i < N_TRIALS; i++) {
        heap = fresh_heap();
        size_t size = random_size() / 2 + 64;
        n = fill(heap, size - size / 16 - 1);
        for (uint32_t k = 0; k < n; k += 2) (void)ea_heap_free(heap, blocks[k]);
        void *ptr = count_alloc(heap, size); /* perhaps the block left over at the end fits */
        if (ptr != NULL) (void)!count_alloc(heap, size);
    }
    count_report();
}

static void hole_riddled_heap(void)
{
    count_scenario("holes");
    ea_heap_t *heap = fresh_heap();
    uint32_t n = fill(heap, 1);
    for (uint32_t i = n - 512; i < n; i++) (void)ea_heap_free(heap, blocks[i]);
    for (uint32_t i = 0; i < n - 512; i += 2) count_free(heap, blocks[i]);
    for (size_t size = 1; size <= 4096; size += 4) {
        void *ptr = count_alloc(heap, size);
        count_largest_free(heap);
        if (ptr != NULL) count_free(heap, ptr);
    }
    count_report();
}

/* --- churn on all operations ------------------------------------------------------------------ */

static void churn_alloc(ea_heap_t *heap, void **slot)
{
    size_t size = random_size();
    switch (random_below(4)) {
    case 0: *slot = count_calloc(heap, 1 + size % 32); break;
    case 1: *slot = count_aligned_alloc(heap, 8u << random_below(7), size); break;
    default: *slot = count_alloc(heap, size); break;
    }
}

static void churn_realloc(ea_heap_t *heap, void **slot)
{
    size_t size = random_size();
    bool whole = random_below(2) == 0;
    void *to = (whole ? count_realloc : count_realloc_parts)(heap, *slot, size);
    if (to != NULL) *slot = to;
}

static void random_churn(void)
{
    count_scenario("churn");
    for (uint32_t seed = 1; seed <= N_SEEDS; seed++) {
        random_state = seed * 2654435761u + 12345u;
        ea_heap_t *heap = fresh_heap();
        for (uint32_t i = 0; i < N_BLOCKS; i++) blocks[i] = NULL;
        for (uint32_t i = 0; i < 20000; i++) {
            void **slot = &blocks[random_below(N_BLOCKS)];
            if (*slot == NULL) {
                churn_alloc(heap, slot);
            } else if (random_below(3) == 0) {
                churn_realloc(heap, slot);
            } else {
                count_free(heap, *slot);
                *slot = NULL;
            }
            count_largest_free(heap);
        }
    }
    count_report();
}

/* --- regions ---------------------------------------------------------------------------------- */

#define REGION_BYTES 4096u

static void regions(void)
{
    static const ea_heap_options_t options = {.span_bytes = ARENA_BYTES};
    count_scenario("regions");
    for (uint32_t n_regions = 1; n_regions <= 4; n_regions++) {
        ea_heap_t *heap = count_init(arena, 2 * REGION_BYTES, &options);
        for (uint32_t i = 1; i <= n_regions; i++) {
            count_add_region(heap, arena + 3 * i * REGION_BYTES, REGION_BYTES);
        }
        unsigned char *last = arena + 3 * n_regions * REGION_BYTES;
        count_grow(heap, last, 2 * REGION_BYTES); /* its last block is free */
        void *all = ea_heap_alloc(heap, 2 * REGION_BYTES - 512);
        count_grow(heap, last, 3 * REGION_BYTES);
        count_shrink(heap, last, 2 * REGION_BYTES + 512);
        if (all != NULL) (void)ea_heap_free(heap, all);
        for (uint32_t i = n_regions; i >= 1; i--) {
            count_remove_region(heap, arena + 3 * i * REGION_BYTES);
        }
    }
    count_report();
}

int main(void)
{
    count_calibrate();
    for (wl_kind_t kind = 0; kind < WL_N_KINDS; kind++) run_workload(kind);
    small_from_huge_block();
    exact_hit();
    free_between_two_free_neighbours();
    failing_requests();
    hole_riddled_heap();
    random_churn();
    regions();
    count_report_all();
    board_put("end\n");
    return 0;
}
