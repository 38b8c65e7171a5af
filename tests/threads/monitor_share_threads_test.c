/* SPDX-License-Identifier: MIT
 *
 * Two monitors and four threads (row C7): files that all threads see come and go, and each thread
 * holds mappings of some. A file ends exactly once, and not while a mapping of it is held; a walker
 * beside them sees every mapping's ancestry as it is.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "ealloc/monitor.h"
#include "tap.h"

#define N_THREADS 4u
#define N_ROUNDS 100000u
#define N_FILES 6u
#define N_HELD 5u
#define N_SLOTS 64u
#define N_QUEUE 8u
#define N_OBJECTS 4096u

static ea_account_t file_nodes[1], map_nodes[1];
static ea_accounts_t file_book, map_book;
static ea_monitor_t files, maps;
static _Alignas(64) unsigned char file_memory[EA_MONITOR_BYTES(N_SLOTS, 1, 1, 4, 0, 0)];
static _Alignas(64) unsigned char map_memory[EA_MONITOR_BYTES(N_SLOTS, 2, 1, 4, N_QUEUE, 0)];
static atomic_int exists[N_OBJECTS], n_maps_of[N_OBJECTS];
static atomic_uint next_object, n_ended, n_made, n_gone, n_chains;
static atomic_int n_wrong;
static atomic_bool stop;
static pthread_barrier_t begin;
static _Atomic uint64_t table[N_FILES]; /* handles of files */

static void expect(bool is_so)
{
    if (!is_so) atomic_fetch_add(&n_wrong, 1);
}

static void end_file(void *context, uintptr_t object)
{
    (void)context;
    expect(atomic_exchange(&exists[object % N_OBJECTS], 0) == 1);
    expect(atomic_load(&n_maps_of[object % N_OBJECTS]) == 0);
    atomic_fetch_add(&n_ended, 1);
}

static const ea_resource_type_t file_types[] = {{.book = &file_book, .destroy = end_file}};
static const ea_resource_type_t map_types[] = {
    {.book = &map_book, .parents = &files},
    {.book = &map_book, .parents = &files, .strategy = EA_RELEASE_QUEUED}};

static uint64_t packed(ea_resource_t resource)
{
    return (uint64_t)resource.eai_generation << 32 | resource.eai_slot;
}

static ea_resource_t unpacked(uint64_t handle)
{
    return (ea_resource_t){(uint32_t)handle, (uint32_t)(handle >> 32)};
}

static ea_resource_t make_file(void)
{
    uintptr_t object;
    do object = atomic_fetch_add(&next_object, 1) % N_OBJECTS;
    while (atomic_exchange(&exists[object], 1) != 0);
    ea_resource_t file;
    const ea_resource_request_t request = {.account = file_nodes, .object = object};
    expect(ea_monitor_acquire(&files, &request, &file) == EA_OK);
    atomic_fetch_add(&n_made, 1);
    return file;
}

typedef struct {
    ea_resource_t map;
    uintptr_t file;
} held_t;

typedef struct {
    uint32_t random;
    unsigned n_held;
    held_t held[N_HELD];
} worker_t;

static unsigned draw(worker_t *w, unsigned n)
{
    w->random = w->random * 1664525u + 1013904223u;
    return (w->random >> 10) % n;
}

static void map_one(worker_t *w)
{
    ea_resource_t file = unpacked(atomic_load(&table[draw(w, N_FILES)]));
    held_t *held = &w->held[w->n_held];
    if (w->n_held == N_HELD || ea_monitor_object(&files, file, 0, &held->file) != EA_OK) return;
    const ea_resource_request_t request = {
        .account = map_nodes, .object = held->file, .type = (uint8_t)draw(w, 2), .parent = file};
    ea_status_t status = ea_monitor_acquire(&maps, &request, &held->map);
    if (status != EA_OK) {
        expect(status == EA_ERR_NOT_FOUND);
        atomic_fetch_add(&n_gone, 1);
        return;
    }
    atomic_fetch_add(&n_maps_of[held->file], 1);
    uintptr_t object = N_OBJECTS;
    expect(ea_monitor_object(&files, file, 0, &object) == EA_OK && object == held->file);
    w->n_held++;
}

static void unmap_one(worker_t *w)
{
    if (w->n_held == 0) return;
    unsigned i = draw(w, w->n_held);
    held_t held = w->held[i];
    w->held[i] = w->held[--w->n_held];
    atomic_fetch_sub(&n_maps_of[held.file], 1);
    expect(ea_monitor_release(&maps, held.map) == EA_OK);
}

static void replace_file(worker_t *w)
{
    uint64_t old = atomic_exchange(&table[draw(w, N_FILES)], packed(make_file()));
    expect(ea_monitor_release(&files, unpacked(old)) == EA_OK);
}

static void *work(void *arg)
{
    worker_t w = {.random = (uint32_t)(uintptr_t)arg * 2654435761u + 1u};
    (void)pthread_barrier_wait(&begin);
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        switch (draw(&w, 8)) {
        case 0: replace_file(&w); break;
        case 1: (void)ea_monitor_cleanup(&maps, 3); break;
        case 2:
        case 3:
        case 4: unmap_one(&w); break;
        default: map_one(&w); break;
        }
    }
    while (w.n_held == 0) map_one(&w);
    while (atomic_load(&n_chains) == 0) (void)sched_yield(); /* the walker may have had no turn */
    while (w.n_held > 0) unmap_one(&w);
    return NULL;
}

static uintptr_t chain[3];
static unsigned n_links;
static bool note_link(void *context, const ea_resource_info_t *info)
{
    (void)context;
    if (n_links < 3) chain[n_links] = info->object;
    n_links++;
    return true;
}

/* A mapping's object is its file's. */
static bool follow(void *context, const ea_resource_info_t *info)
{
    (void)context;
    n_links = 0;
    ea_status_t status = ea_monitor_ancestry(info->monitor, info->resource, 4, note_link, NULL);
    expect(status == EA_OK || status == EA_ERR_NOT_FOUND);
    if (status != EA_OK) return true;
    expect(n_links == 2 && chain[0] == chain[1]);
    atomic_fetch_add(&n_chains, 1);
    return true;
}

static void *look(void *arg)
{
    (void)arg;
    (void)pthread_barrier_wait(&begin);
    while (!atomic_load(&stop)) {
        size_t cursor = 0;
        expect(ea_monitor_walk(&maps, &cursor, SIZE_MAX, follow, NULL) == EA_OK);
    }
    return NULL;
}

static bool start(void)
{
    ea_monitor_options_t options = {
        .types = file_types, .n_types = 1, .n_slots = N_SLOTS, .n_stripes = 4};
    if (ea_accounts_init(&file_book, file_nodes, 1, NULL) != EA_OK ||
        ea_accounts_init(&map_book, map_nodes, 1, NULL) != EA_OK ||
        ea_monitor_init(&files, file_memory, sizeof file_memory, &options) != EA_OK) {
        return false;
    }
    options.types = map_types;
    options.n_types = 2;
    options.n_queue = N_QUEUE;
    return ea_monitor_init(&maps, map_memory, sizeof map_memory, &options) == EA_OK;
}

TEST(references_across_two_monitors_are_released_exactly_once, 0)
{
    pthread_t threads[N_THREADS], walker;
    REQUIRE(start());
    for (unsigned i = 0; i < N_FILES; i++) atomic_store(&table[i], packed(make_file()));
    REQUIRE(pthread_barrier_init(&begin, NULL, N_THREADS + 1u) == 0);
    REQUIRE(pthread_create(&walker, NULL, look, NULL) == 0);
    for (uintptr_t i = 0; i < N_THREADS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    }
    for (unsigned i = 0; i < N_THREADS; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    atomic_store(&stop, true);
    EXPECT_EQ(pthread_join(walker, NULL), 0);
    for (unsigned i = 0; i < N_FILES; i++) {
        EXPECT_EQ(ea_monitor_release(&files, unpacked(atomic_load(&table[i]))), EA_OK);
    }
    (void)ea_monitor_cleanup(&maps, SIZE_MAX);
    tap_note("files", atomic_load(&n_made));
    tap_note("gone before they were mapped", atomic_load(&n_gone));
    tap_note("chains followed", atomic_load(&n_chains));
    EXPECT_EQ(atomic_load(&n_wrong), 0);
    EXPECT_EQ(atomic_load(&n_ended), atomic_load(&n_made));
    EXPECT(atomic_load(&n_chains) > 0);
    ea_audit_report_t report;
    EXPECT_EQ(ea_monitor_audit(&files, EA_AUDIT_ALONE, SIZE_MAX, &report), EA_OK);
    EXPECT_EQ(report.n_found, 0);
    EXPECT_EQ(ea_monitor_audit(&maps, EA_AUDIT_ALONE, SIZE_MAX, &report), EA_OK);
    EXPECT_EQ(report.n_found, 0);
    EXPECT_EQ(ea_account_committed(file_nodes), 0);
    EXPECT_EQ(ea_account_committed(map_nodes), 0);
}

TEST_MAIN(&references_across_two_monitors_are_released_exactly_once)
