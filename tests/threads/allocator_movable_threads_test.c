/* SPDX-License-Identifier: MIT
 *
 * A region of movable blocks used by many tasks at once (rows A4, A7): nobody sees another's bytes,
 * nothing is lost, and who waits is served by what steps in idle time bring together. `seed=N`,
 * `rounds=N`.
 */
#define _GNU_SOURCE /* nanosleep in a strict C11 build */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "ealloc/allocator.h"
#include "ealloc/owner.h"
#include "tap.h"

#define N_THREADS 4u
#define N_BLOCKS 12u
#define RAM 12000u

static ea_allocator_t a;
static _Alignas(16) unsigned char ram[RAM];
static ea_movable_t *store;
static ea_account_t nodes[N_THREADS + 1];
static ea_accounts_t book;
static ea_account_t *owners[N_THREADS];
static atomic_uint n_wrong, n_refused;
static uint32_t seed;
static unsigned n_rounds;

static bool begin(size_t move_bytes)
{
    const ea_region_options_t movable = {.n_handles = N_THREADS * N_BLOCKS,
                                         .move_bytes = move_bytes};
    const ea_allocator_options_t options = {.accounts = &book};
    n_wrong = n_refused = 0;
    if (ea_accounts_init(&book, nodes, N_THREADS + 1, NULL) != EA_OK) return false;
    for (unsigned i = 0; i < N_THREADS; i++) {
        owners[i] = ea_account_create(&book, ea_accounts_root(&book), NULL);
        if (owners[i] == NULL) return false;
    }
    if (ea_allocator_init(&a, &options) != EA_OK ||
        ea_allocator_add_region(&a, ram, sizeof ram, &movable) != EA_OK)
        return false;
    store = ea_allocator_store(&a, ram);
    return store != NULL;
}

static void expect_end(void)
{
    size_t n_live = 0;
    EXPECT_EQ(n_wrong, 0);
    EXPECT_EQ(ea_movable_check(store, NULL), EA_OK);
    for (unsigned i = 0; i < N_THREADS; i++) EXPECT_EQ(ea_account_committed(owners[i]), 0);
    EXPECT_EQ(ea_allocator_deinit(&a, &n_live), EA_OK);
    EXPECT_EQ(n_live, 0);
}

/* --- waiting ---------------------------------------------------------------------------------- */

#define LONG_US (20u * 1000 * 1000)

static ea_movable_handle_t low, awaited;

static void *wait_for_room(void *argument)
{
    const ea_request_t request = {.timeout_us = LONG_US};
    (void)argument;
    return ea_malloc_ex(&a, 3000, &request);
}

static void *wait_for_movable(void *argument)
{
    const ea_request_t request = {.timeout_us = LONG_US};
    awaited = ea_malloc_movable(&a, store, 3000, &request);
    return argument;
}

static void step_to_the_end(void)
{
    while (ea_allocator_step(&a, 1000) == EA_ERR_AGAIN) continue;
}

static void free_low(void)
{
    EXPECT_EQ(ea_free_movable(&a, store, low), EA_OK);
}

static void shrink_low(void)
{
    EXPECT_EQ(ea_resize_movable(&a, store, low, 100), EA_OK);
}

/* One waits, then room is made. Returns what it got. */
static void *serve(void *(*waiter)(void *), void (*make_room)(void))
{
    pthread_t thread;
    void *got = NULL;
    if (pthread_create(&thread, NULL, waiter, NULL) != 0) return NULL;
    ea_allocator_stats_t stats = {0};
    for (unsigned i = 0; i < 5000 && stats.n_waits == 0; i++) {
        const struct timespec pause = {.tv_nsec = 1000 * 1000};
        (void)nanosleep(&pause, NULL);
        ea_allocator_stats(&a, &stats);
    }
    (void)nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL); /* it sleeps by now */
    const uint64_t from_us = ea_port_time_us();
    make_room();
    EXPECT_EQ(pthread_join(thread, &got), 0);
    EXPECT(ea_port_time_us() - from_us < LONG_US / 2);
    return got;
}

TEST(allocator_steps_in_idle_time_serve_who_waits, 0)
{
    REQUIRE(begin(0)); /* nothing is moved for a request */
    low = ea_malloc_movable(&a, store, 6000, NULL);
    ea_movable_handle_t high = ea_malloc_movable(&a, store, 4000, NULL);
    free_low();
    void *block = serve(wait_for_room, step_to_the_end);
    EXPECT(block != NULL);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_EQ(ea_free_movable(&a, store, high), EA_OK);
    expect_end();
}

TEST(allocator_serves_who_waits_for_movable_blocks_when_others_go_or_shrink, 0)
{
    for (unsigned shrinks = 0; shrinks < 2; shrinks++) {
        REQUIRE(begin(0));
        low = ea_malloc_movable(&a, store, 6000, NULL);
        ea_movable_handle_t high = ea_malloc_movable(&a, store, 4000, NULL);
        (void)serve(wait_for_movable, shrinks ? shrink_low : free_low);
        EXPECT(!ea_movable_is_none(awaited));
        EXPECT_EQ(ea_free_movable(&a, store, awaited), EA_OK);
        EXPECT_EQ(ea_free_movable(&a, store, high), EA_OK);
        if (shrinks) free_low();
        expect_end();
    }
}

/* --- load ------------------------------------------------------------------------------------- */

typedef struct {
    ea_movable_handle_t handle;
    unsigned char *fixed;
    size_t size;
    unsigned char byte;
} block_t;

typedef struct {
    block_t blocks[N_BLOCKS];
    uint32_t random;
    unsigned number;
} worker_t;

static uint32_t random_below(worker_t *w, uint32_t n)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 17;
    w->random ^= w->random << 5;
    return w->random % n;
}

static void must(bool good)
{
    if (!good) atomic_fetch_add(&n_wrong, 1);
}

static bool is_full_of(const unsigned char *bytes, size_t n, unsigned char byte)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != byte) return false;
    return true;
}

/* With its address in hand for a while, or byte by byte. */
static void look_at(worker_t *w, const block_t *b)
{
    unsigned char bytes[64];
    if (random_below(w, 2)) {
        size_t n = b->size < sizeof bytes ? b->size : sizeof bytes;
        must(ea_movable_read(store, b->handle, b->size - n, bytes, n) == EA_OK);
        must(is_full_of(bytes, n, b->byte));
        return;
    }
    EA_MOVABLE_LOCKED(store, b->handle, unsigned char, address)
    {
        must(address != NULL && is_full_of(address, b->size, b->byte));
    }
}

static void fill(const block_t *b)
{
    EA_MOVABLE_LOCKED(store, b->handle, unsigned char, address)
    {
        if (address != NULL) memset(address, b->byte, b->size);
    }
}

static void drop(block_t *b)
{
    if (b->fixed != NULL) {
        must(is_full_of(b->fixed, b->size, b->byte));
        must(ea_free(&a, b->fixed) == EA_OK);
    } else if (!ea_movable_is_none(b->handle)) {
        must(ea_free_movable(&a, store, b->handle) == EA_OK);
    }
    *b = (block_t){.size = 0};
}

static void renew(worker_t *w, block_t *b)
{
    drop(b);
    size_t size = 1 + random_below(w, 400);
    if (random_below(w, 3) == 0)
        b->fixed = ea_malloc(&a, size);
    else
        b->handle =
            ea_malloc_movable(&a, store, size, &(ea_request_t){.timeout_us = random_below(w, 200)});
    if (b->fixed == NULL && ea_movable_is_none(b->handle)) {
        atomic_fetch_add(&n_refused, 1);
        return;
    }
    b->size = size;
    b->byte = (unsigned char)random_below(w, 256);
    if (b->fixed != NULL)
        memset(b->fixed, b->byte, size);
    else
        fill(b);
}

static void resize(worker_t *w, block_t *b)
{
    size_t size = 1 + random_below(w, 500);
    ea_status_t status = ea_resize_movable(&a, store, b->handle, size);
    must(status == EA_OK || status == EA_ERR_AGAIN || status == EA_ERR_NO_MEMORY ||
         status == EA_ERR_BUSY);
    if (status != EA_OK) return;
    size_t kept = size < b->size ? size : b->size;
    EA_MOVABLE_LOCKED(store, b->handle, unsigned char, address)
    {
        must(address != NULL && is_full_of(address, kept, b->byte));
    }
    b->size = size;
    fill(b);
}

static void *work(void *argument)
{
    worker_t *w = argument;
    EA_OWNER_SCOPE(owners[w->number])
    {
        for (unsigned i = 0; i < n_rounds; i++) {
            block_t *b = &w->blocks[random_below(w, N_BLOCKS)];
            bool is_movable = !ea_movable_is_none(b->handle);
            switch (random_below(w, 6)) {
            case 0:
                if (is_movable) resize(w, b);
                break;
            case 1:
                if (w->number == 0) (void)ea_allocator_step(&a, random_below(w, 500));
                break;
            case 2:
            case 3:
                if (is_movable) look_at(w, b);
                break;
            default: renew(w, b); break;
            }
        }
        for (unsigned i = 0; i < N_BLOCKS; i++) drop(&w->blocks[i]);
    }
    return NULL;
}

static void run(size_t move_bytes)
{
    static worker_t workers[N_THREADS];
    pthread_t threads[N_THREADS];
    REQUIRE(begin(move_bytes));
    for (unsigned i = 0; i < N_THREADS; i++) {
        workers[i] = (worker_t){.random = seed * 97u + i + 1u, .number = i};
        REQUIRE(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < N_THREADS; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    tap_note("refused", n_refused);
    expect_end();
}

TEST(allocator_movable_regions_serve_many_tasks_at_once, 0)
{
    seed = (uint32_t)tap_arg("seed", 1);
    n_rounds = (unsigned)tap_arg("rounds", 4000);
    run(EA_MOVABLE_UNLIMITED);
    run(300);
}

TEST_MAIN(&allocator_steps_in_idle_time_serve_who_waits,
          &allocator_serves_who_waits_for_movable_blocks_when_others_go_or_shrink,
          &allocator_movable_regions_serve_many_tasks_at_once)
