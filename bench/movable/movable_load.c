/* SPDX-License-Identifier: MIT
 *
 * A device that runs day and night (the workload "controller", sizes counted gross) on one
 * allocator in 48 KB: how many requests fail, and when the first one does.
 *
 *     movable_load SUBJECT LOAD SEED HOURS
 *
 * Gross: a block counts with its rounding and what the allocator itself needs for it, so that every
 * subject has the same free memory at the same LOAD; LOAD is the peak in percent. A SUBJECT with a
 * slash is a shared object that brings one (movable_load.h). Prints one line of JSON. Exit status
 * 2: no such subject.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/heap.h"
#include "ealloc/movable.h"
#include "movable_load.h"
#include "workloads.h"

static _Alignas(16) unsigned char memory[WL_CONTROLLER_ARENA_BYTES];

/* --- a store of movable blocks ---------------------------------------------------------------- */

static ea_movable_t *store;
static size_t demand_bytes;
static unsigned n_idle_steps;

/* Where a request may not pay for entries of the table they are there from the beginning. */
#define N_HANDLES 800u

static bool movable_init(void *mem, size_t size_bytes)
{
    const ea_movable_options_t options = {demand_bytes ? 0 : N_HANDLES, 0};
    store = ea_movable_init(mem, size_bytes, &options);
    return store != NULL;
}

static bool hybrid_init(void *mem, size_t size_bytes)
{
    n_idle_steps = 16, demand_bytes = 4096;
    return movable_init(mem, size_bytes);
}

static bool idle_init(void *mem, size_t size_bytes)
{
    n_idle_steps = 16, demand_bytes = 0;
    return movable_init(mem, size_bytes);
}

static bool still_init(void *mem, size_t size_bytes)
{
    n_idle_steps = 0, demand_bytes = 0;
    return movable_init(mem, size_bytes);
}

static void *movable_alloc(void *context, size_t size_bytes)
{
    (void)context;
    return (void *)(uintptr_t)ea_movable_alloc(store, size_bytes, demand_bytes).eai_word;
}

static void movable_free(void *context, void *ptr)
{
    ea_movable_handle_t handle = {(uint32_t)(uintptr_t)ptr};
    (void)context;
    if (ea_movable_free(store, handle) != EA_OK) abort();
}

static void movable_idle(void)
{
    for (unsigned i = 0; i < n_idle_steps; i++)
        if (ea_movable_step(store, 256) == EA_OK) break;
}

/* --- our heap --------------------------------------------------------------------------------- */

static ea_heap_t *heap;

static bool heap_init(void *mem, size_t size_bytes)
{
    heap = ea_heap_init(mem, size_bytes, NULL);
    return heap != NULL;
}

static void *heap_alloc(void *context, size_t size_bytes)
{
    (void)context;
    return ea_heap_alloc(heap, size_bytes);
}

static void heap_free(void *context, void *ptr)
{
    (void)context;
    if (ea_heap_free(heap, ptr) != EA_OK) abort();
}

static const load_subject_t ours[] = {
    {"movable", "4 KB moved in idle time a second, 4 KB within a request", EA_MOVABLE_ALIGN,
     EA_MOVABLE_HEADER_BYTES + 4u, hybrid_init, movable_alloc, movable_free, movable_idle},
    {"movable, idle only", "4 KB a second, nothing within a request", EA_MOVABLE_ALIGN,
     EA_MOVABLE_HEADER_BYTES + 4u, idle_init, movable_alloc, movable_free, movable_idle},
    {"movable, never moved", "", EA_MOVABLE_ALIGN, EA_MOVABLE_HEADER_BYTES + 4u, still_init,
     movable_alloc, movable_free, movable_idle},
    {"heap", "the default profile", EA_HEAP_ALIGN, EA_HEAP_OVERHEAD_BYTES, heap_init, heap_alloc,
     heap_free, NULL},
};

static const load_subject_t *find(const char *name)
{
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (!strcmp(ours[i].name, name)) return &ours[i];
#if HAS_PEERS
    for (size_t i = 0; i < n_load_peers; i++)
        if (!strcmp(load_peers[i].name, name)) return &load_peers[i];
#endif
    if (strchr(name, '/')) {
        void *object = dlopen(name, RTLD_NOW | RTLD_LOCAL);
        const load_subject_t *peer = object ? dlsym(object, "load_peer") : NULL;
        if (peer == NULL) fprintf(stderr, "movable_load: %s\n", dlerror());
        return peer;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const load_subject_t *subject = argc == 5 ? find(argv[1]) : NULL;
    if (subject == NULL) {
        fprintf(stderr, "usage: movable_load SUBJECT LOAD SEED HOURS\n");
        return 2;
    }
    uint32_t load = (uint32_t)atoi(argv[2]), seed = (uint32_t)atoi(argv[3]);
    uint32_t hours = (uint32_t)atoi(argv[4]);
    static wl_controller_t controller;
    wl_ops_t ops = {subject->alloc, subject->free, NULL};
    if (!subject->init(memory, sizeof memory)) return 1;
    wl_controller_init_gross(&controller, &ops, seed, load, subject->unit_bytes,
                             subject->overhead_bytes);
    uint64_t n_refused = 0, n_requests = 0;
    double first = hours;
    for (uint32_t second = 0; second < hours * 3600u; second++) {
        wl_controller_step(&controller);
        if (n_refused == 0 && controller.n_refused != 0) first = second / 3600.0;
        n_refused += controller.n_refused;
        n_requests += controller.n_requests;
        controller.n_refused = controller.n_requests = 0;
        if (subject->idle) subject->idle();
    }
    printf("{\"subject\": \"%s\", \"load\": %u, \"seed\": %u, \"hours\": %u, ", subject->name, load,
           seed, hours);
    printf("\"requests\": %" PRIu64 ", \"failures\": %" PRIu64 ", \"first_hours\": %.4f}\n",
           n_requests, n_refused, first);
    return 0;
}
