/* SPDX-License-Identifier: MIT
 *
 * Threads on one allocator (rows A2, A9, A12, C4): workers do whatever the malloc family does, with
 * owners, and hand blocks to each other, while others add, grow, shrink and remove regions, move
 * the reserve, register and remove reclaimers, sweep, walk and read every number there is. No limit
 * is exceeded at any instant, a sweep reports nothing, contents are whole, and at the end nothing
 * is lost. `seed=N`, `rounds=N`.
 */
#define _GNU_SOURCE /* pthread_barrier in a strict C11 build */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "ealloc/allocator.h"
#include "ealloc/owner.h"
#include "tap.h"

#define N_WORKERS 5
#define N_HELD 24
#define N_OWNERS 4
#define KB 1024u

static ea_allocator_t a;
static unsigned n_rounds;
static atomic_bool is_over;

/* What went wrong: the line of the first, and how often. */
static atomic_uint n_wrong, first_wrong;
static void note_wrong(unsigned line)
{
    unsigned none = 0;
    (void)atomic_compare_exchange_strong(&first_wrong, &none, line);
    atomic_fetch_add(&n_wrong, 1);
}
#define SHOULD(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) note_wrong(__LINE__);                                                    \
    } while (0)

static uint32_t random_below(uint32_t *state, uint32_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % n;
}

static uint32_t seed_of(unsigned id)
{
    return (uint32_t)(tap_arg("seed", 1) * 2654435761u + id * 7919u + 1u);
}

/* --- locks ------------------------------------------------------------------------------------ */

static bool one_lock_per_region;
#if EA_CFG_ALLOC_LOCKING == 3
#define N_LOCKS 3
static pthread_mutex_t locks[N_LOCKS];
static void acquire(void *lock)
{
    SHOULD(pthread_mutex_lock(lock) == 0);
}
static bool try_acquire(void *lock)
{
    return pthread_mutex_trylock(lock) == 0;
}
static void release(void *lock)
{
    SHOULD(pthread_mutex_unlock(lock) == 0);
}
static const ea_lock_ops_t lock_ops = {acquire, try_acquire, release};
#endif

/* The lock object of the region with this number. */
static void *lock_of(unsigned region)
{
    (void)region;
#if EA_CFG_ALLOC_LOCKING == 3
    if (one_lock_per_region) return &locks[1 + region % 2];
#endif
    return NULL;
}

/* --- memory and owners ------------------------------------------------------------------------ */

static _Alignas(64) unsigned char main_ram[48 * KB], dma_ram[16 * KB], guest_ram[2][24 * KB];
#define CLASSES(CLASS, name) CLASS(name, small, 48, 40) CLASS(name, medium, 112, 20)
EA_POOLSET_DEFINE_CLASSES_STATIC(pools, CLASSES, EA_POOLSET_NEXT_LARGER, 0, NULL);

/* 0: nobody; the rest one account each. The shadow of an account is what is certainly charged: it
 * is added to after a success and subtracted from before a return. Number 0 is the root's. */
typedef struct {
    ea_account_t *account;
    size_t max;
    atomic_size_t shadow;
} owner_t;
static owner_t owners[N_OWNERS + 1];
static ea_account_t nodes[N_OWNERS + 1];
static ea_accounts_t book;
static const size_t batches[N_OWNERS] = {0, 64, 0, 512};
static size_t region_extra; /* gross minus usable bytes of a block of a region */

static size_t gross_of(const void *ptr)
{
    ea_block_info_t info;
    if (ea_block_info(&a, ptr, &info) != EA_OK) {
        note_wrong(__LINE__);
        return 0;
    }
    return info.usable_bytes + (info.region ? region_extra : 0);
}

static void add_shadow(unsigned owner, size_t bytes)
{
    if (owner == 0) return;
    for (unsigned i = owner;; i = 0) {
        size_t sum = atomic_fetch_add(&owners[i].shadow, bytes) + bytes;
        SHOULD(sum <= owners[i].max);
        if (i == 0) break;
    }
}

static void subtract_shadow(unsigned owner, size_t bytes)
{
    if (owner == 0) return;
    atomic_fetch_sub(&owners[owner].shadow, bytes);
    atomic_fetch_sub(&owners[0].shadow, bytes);
}

static atomic_uint n_reports;
static ea_guard_policy_t on_damage(void *context, const ea_guard_report_t *report)
{
    (void)context, (void)report;
    atomic_fetch_add(&n_reports, 1);
    return EA_GUARD_REFUSE;
}

static bool begin(void)
{
    const ea_account_limits_t all = {.max = 60 * KB};
    ea_allocator_options_t options = {
        .secret = 0x5EC4E7u, .damage = EA_GUARD_CALL, .on_damage = on_damage};
    options.quarantine_bytes = EA_CFG_GUARD >= 3 ? 4 * KB : 0;
    n_wrong = first_wrong = n_reports = 0;
    is_over = false;
#if EA_CFG_ALLOC_LOCKING == 3
    for (unsigned i = 0; i < N_LOCKS; i++) (void)pthread_mutex_init(&locks[i], NULL);
    options.lock_ops = &lock_ops;
    options.lock = &locks[0];
#endif
    if (ea_accounts_init(&book, nodes, N_OWNERS + 1, &all) != EA_OK) return false;
    owners[0].account = ea_accounts_root(&book);
    owners[0].max = all.max;
    for (unsigned i = 1; i <= N_OWNERS; i++) {
        owners[i].max = i == N_OWNERS ? all.max : 14 * KB;
        owners[i].account = ea_account_create(
            &book, owners[0].account,
            &(ea_account_options_t){.limits = {.max = owners[i].max}, .batch = batches[i - 1]});
        if (owners[i].account == NULL) return false;
    }
    options.accounts = &book;
    if (ea_allocator_init(&a, &options) != EA_OK ||
        ea_allocator_add_region(&a, main_ram, sizeof main_ram,
                                &(ea_region_options_t){.lock = lock_of(0)}) != EA_OK ||
        ea_allocator_add_region(
            &a, dma_ram, sizeof dma_ram,
            &(ea_region_options_t){.capabilities = EA_CAP_DMA,
                                   .line_bytes = 32,
                                   .reserve_bytes = EA_CFG_HEAP_STATS ? 2 * KB : 0,
                                   .lock = lock_of(1)}) != EA_OK)
        return false;
    /* How much more than its usable bytes does a block of a region cost? */
    ea_account_stats_t stats;
    void *probe = ea_malloc_ex(&a, 100, &(ea_request_t){.owner = owners[1].account});
    if (probe == NULL) return false;
    region_extra = 0;
    ea_account_stats(owners[1].account, &stats);
    region_extra = stats.used - gross_of(probe);
    return ea_free(&a, probe) == EA_OK && ea_allocator_set_pools(&a, &pools) == EA_OK;
}

/* --- workers ---------------------------------------------------------------------------------- */

typedef struct {
    unsigned char *bytes;
    size_t size;
    size_t gross;
    unsigned owner;
    unsigned char mark;
} held_t;

typedef struct {
    uint32_t random;
    unsigned n_held;
    held_t held[N_HELD];
} worker_t;

/* What one hands to another: a place for one block with a description in its first bytes. */
static _Atomic(void *) mailboxes[N_WORKERS];
static atomic_uint n_served, n_refused, n_moved, n_transfers;

static void fill(held_t *h, size_t from)
{
    memset(h->bytes + from, h->mark, h->size - from);
}

static bool is_whole(const held_t *h, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        if (h->bytes[i] != h->mark) return false;
    return true;
}

static void forget(worker_t *w, unsigned which)
{
    w->held[which] = w->held[--w->n_held];
}

static void give_back(held_t *h)
{
    SHOULD(is_whole(h, h->size));
    subtract_shadow(h->owner, h->gross);
    SHOULD(ea_free(&a, h->bytes) == EA_OK);
}

static void take(worker_t *w)
{
    uint32_t *r = &w->random;
    held_t h = {.size = 1 + random_below(r, random_below(r, 4) == 0 ? 3000 : 150),
                .owner = random_below(r, N_OWNERS + 1),
                .mark = (unsigned char)random_below(r, 256)};
    ea_request_t request = {.owner = owners[h.owner].account};
    ea_owner_frame_t frame;
    unsigned how = random_below(r, 8);
    if (h.owner == 0) request.owner = NULL;
    if (how < 4) {
        ea_owner_push(&frame, request.owner);
        if (how < 2) h.bytes = ea_malloc(&a, h.size);
        if (how == 2) h.bytes = ea_calloc(&a, 1, h.size);
        if (how == 3) h.bytes = ea_aligned_alloc(&a, (size_t)8 << random_below(r, 5), h.size);
        SHOULD(ea_owner_pop(&frame) == EA_OK);
    } else {
        request.alignment_bytes = random_below(r, 4) == 0 ? 64 : 0;
        request.capabilities = random_below(r, 4) == 0 ? EA_CAP_DMA : 0;
        request.policy = (ea_policy_t)random_below(r, 4);
        request.priority = (uint8_t)random_below(r, 256);
        request.lifetime = (ea_lifetime_t)random_below(r, 2);
        request.zeroed = random_below(r, 4) == 0;
#if EA_CFG_ALLOC_WAIT
        request.timeout_us = random_below(r, 4) == 0 ? random_below(r, 300) : 0;
#endif
        h.bytes = ea_malloc_ex(&a, h.size, &request);
    }
    if (h.bytes == NULL) {
        atomic_fetch_add(&n_refused, 1);
        return;
    }
    atomic_fetch_add(&n_served, 1);
    if (how == 2 || (how >= 4 && request.zeroed))
        for (size_t i = 0; i < h.size; i++) SHOULD(h.bytes[i] == 0);
    if (how >= 4 && request.alignment_bytes) SHOULD((uintptr_t)h.bytes % 64 == 0);
    h.gross = gross_of(h.bytes);
    add_shadow(h.owner, h.gross);
    fill(&h, 0);
    w->held[w->n_held++] = h;
}

static void change(worker_t *w)
{
    held_t *h = &w->held[random_below(&w->random, w->n_held)];
    size_t size = 1 + random_below(&w->random, random_below(&w->random, 4) == 0 ? 3000 : 300);
    size_t least = size < h->size ? size : h->size;
    unsigned char *bytes;
    subtract_shadow(h->owner, h->gross);
    if (random_below(&w->random, 4) == 0)
        bytes = ea_aligned_realloc(&a, h->bytes, 32, size);
    else
        bytes = ea_realloc(&a, h->bytes, size);
    if (bytes != NULL) {
        atomic_fetch_add(&n_moved, bytes != h->bytes);
        h->bytes = bytes;
        h->gross = gross_of(bytes);
        SHOULD(is_whole(h, least));
        h->size = size;
        fill(h, least);
    }
    add_shadow(h->owner, h->gross);
}

static void transfer(worker_t *w)
{
    held_t *h = &w->held[random_below(&w->random, w->n_held)];
    unsigned to = random_below(&w->random, N_OWNERS + 1);
    subtract_shadow(h->owner, h->gross);
    ea_status_t status = ea_transfer(&a, h->bytes, to ? owners[to].account : NULL);
    SHOULD(status == EA_OK || status == EA_ERR_LIMIT);
    if (status == EA_OK) {
        h->owner = to;
        atomic_fetch_add(&n_transfers, 1);
    }
    add_shadow(h->owner, h->gross);
}

/* A block travels with what is known of it in its own bytes. */
static void post(worker_t *w, unsigned to)
{
    held_t h = w->held[w->n_held - 1];
    if (h.size < sizeof h) return;
    forget(w, w->n_held - 1);
    SHOULD(is_whole(&h, h.size));
    memcpy(h.bytes, &h, sizeof h);
    void *before = atomic_exchange(&mailboxes[to], h.bytes);
    if (before == NULL) return;
    memcpy(&h, before, sizeof h);
    memset(before, h.mark, sizeof h);
    give_back(&h);
}

static void empty_mailbox(unsigned i)
{
    held_t h;
    void *got = atomic_exchange(&mailboxes[i], NULL);
    if (got == NULL) return;
    memcpy(&h, got, sizeof h);
    memset(got, h.mark, sizeof h);
    give_back(&h);
}

static void *work(void *argument)
{
    unsigned id = (unsigned)(uintptr_t)argument;
    worker_t w = {.random = seed_of(id)};
    for (unsigned round = 0; round < n_rounds; round++) {
        unsigned choice = random_below(&w.random, 16);
        if (choice < 7 && w.n_held < N_HELD) {
            take(&w);
        } else if (w.n_held > 0) {
            unsigned which = random_below(&w.random, w.n_held);
            if (choice < 10) {
                give_back(&w.held[which]);
                forget(&w, which);
            } else if (choice < 13) {
                change(&w);
            } else if (choice < 14) {
                transfer(&w);
            } else {
                post(&w, (id + 1) % N_WORKERS);
            }
        }
        empty_mailbox(id);
    }
    while (w.n_held > 0) give_back(&w.held[--w.n_held]);
    return NULL;
}

/* --- those who disturb ------------------------------------------------------------------------ */

static atomic_uint n_added, n_grown, n_removed, n_sweeps, n_walked;

static void *move_regions(void *argument)
{
    unsigned id = (unsigned)(uintptr_t)argument;
    uint32_t random = seed_of(100 + id);
    unsigned char *ram = guest_ram[id];
    bool is_there = false;
    while (!is_over || is_there) {
        size_t size = 4 * KB + random_below(&random, 20) * KB, n_live;
        if (!is_there) {
            const ea_region_options_t options = {.span_bytes = sizeof guest_ram[0],
                                                 .policy = (ea_policy_t)random_below(&random, 4),
                                                 .priority = (uint8_t)random_below(&random, 3),
                                                 .lock = lock_of(random_below(&random, 2))};
            is_there = ea_allocator_add_region(&a, ram, size, &options) == EA_OK;
            SHOULD(is_there);
            atomic_fetch_add(&n_added, 1);
        } else if (random_below(&random, 3) != 0 && !is_over) {
            ea_status_t status = random_below(&random, 2)
                                     ? ea_allocator_grow_region(&a, ram, size)
                                     : ea_allocator_shrink_region(&a, ram, size);
            if (status == EA_OK) atomic_fetch_add(&n_grown, 1);
        } else {
            ea_status_t status = ea_allocator_remove_region(&a, ram, &n_live);
            SHOULD(status == EA_OK || (status == EA_ERR_BUSY && n_live > 0));
            if (status == EA_OK) {
                is_there = false;
                memset(ram, 0xEE, sizeof guest_ram[0]);
                atomic_fetch_add(&n_removed, 1);
            }
        }
        (void)sched_yield();
    }
    return NULL;
}

#if EA_CFG_ALLOC_RECLAIM
static atomic_uint n_reclaims;
static size_t reclaim(void *context, size_t wanted_bytes)
{
    (void)context, (void)wanted_bytes;
    atomic_fetch_add(&n_reclaims, 1);
    /* It may allocate. */
    void *block = ea_malloc(&a, 20);
    if (block != NULL) SHOULD(ea_free(&a, block) == EA_OK);
    return 0;
}
static bool compact(void *context, size_t wanted_bytes)
{
    (void)context, (void)wanted_bytes;
    return true;
}
#endif

#if EA_CFG_ALLOC_HANDLER
static ea_handler_verdict_t handle(void *context, const ea_failure_t *failure, void **block)
{
    (void)context, (void)block;
    SHOULD(failure->size_bytes != 0);
    return failure->sequence == 0 ? EA_HANDLER_RETRY : EA_HANDLER_FAIL;
}
#endif

static void *turn_knobs(void *argument)
{
    uint32_t random = seed_of(200 + (unsigned)(uintptr_t)argument);
    while (!is_over) {
#if EA_CFG_ALLOC_RECLAIM
        static ea_reclaimer_t reclaimers[2][3];
        ea_reclaimer_t *mine = reclaimers[(uintptr_t)argument];
        bool added[3];
        for (unsigned i = 0; i < 3; i++) {
            mine[i].reclaim = reclaim;
            mine[i].cost = random_below(&random, 3);
            added[i] = random_below(&random, 4) != 0;
            if (added[i]) SHOULD(ea_allocator_add_reclaimer(&a, &mine[i]) == EA_OK);
        }
        ea_allocator_set_compact(&a, random_below(&random, 2) ? compact : NULL, NULL);
#endif
#if EA_CFG_ALLOC_RESERVE
        ea_status_t reserved = ea_allocator_set_reserve(&a, random_below(&random, 3) * KB);
        SHOULD(reserved == EA_OK || reserved == EA_ERR_NO_MEMORY);
#endif
#if EA_CFG_ALLOC_HANDLER
        ea_allocator_set_handler(&a, random_below(&random, 2) ? handle : NULL, NULL);
#endif
        (void)sched_yield();
#if EA_CFG_ALLOC_RECLAIM
        for (unsigned i = 0; i < 3; i++) {
            while (added[i] && ea_allocator_remove_reclaimer(&a, &mine[i]) == EA_ERR_BUSY)
                (void)sched_yield();
        }
#endif
    }
    return NULL;
}

static void visit(void *context, const ea_block_info_t *info)
{
    (void)context;
    SHOULD(info->size_bytes <= info->usable_bytes);
    SHOULD(info->owner <= N_OWNERS + 1);
    atomic_fetch_add(&n_walked, 1);
}

static void *watch(void *argument)
{
    bool sweeps = (uintptr_t)argument == 0;
    uint32_t random = seed_of(300 + (unsigned)(uintptr_t)argument);
    while (!is_over) {
        ea_allocator_cursor_t cursor = {0};
        ea_status_t status;
        do {
            unsigned steps = 1 + random_below(&random, 64);
            status = sweeps ? ea_allocator_sweep(&a, &cursor, steps)
                            : ea_allocator_walk(&a, (uint16_t)random_below(&random, N_OWNERS + 1),
                                                &cursor, steps, visit, NULL);
            SHOULD(status == EA_OK || status == EA_ERR_AGAIN || status == EA_ERR_BUSY);
            if (random_below(&random, 50) == 0) break;
        } while (status == EA_ERR_AGAIN);
        if (status != EA_OK) ea_allocator_walk_end(&a, &cursor);
        atomic_fetch_add(&n_sweeps, status == EA_OK && sweeps);

        ea_allocator_stats_t stats;
        ea_heap_stats_t heap;
        ea_allocator_stats(&a, &stats);
        SHOULD(stats.free_bytes <= stats.total_bytes);
        (void)ea_allocator_region_stats(&a, main_ram, &heap);
        (void)ea_allocator_region_stats(&a, guest_ram[0], &heap);
        (void)ea_allocator_poll(&a, 10);
#if EA_CFG_ALLOC_REPORT
        ea_failure_t failure;
        ea_guard_report_t damage;
        ea_allocator_last_failure(&a, &failure);
        SHOULD((failure.sequence == 0) == (failure.reason == EA_REASON_NONE));
        ea_allocator_last_damage(&a, &damage);
        SHOULD(damage.kind == EA_GUARD_NONE);
#endif
#if EA_CFG_ALLOC_PRESSURE
        (void)ea_pressure_level(ea_allocator_pressure(&a));
#endif
        ea_account_stats_t account;
        ea_account_stats(owners[1].account, &account);
        SHOULD(account.own <= owners[1].max);
        (void)sched_yield();
    }
    return NULL;
}

/* --- the test --------------------------------------------------------------------------------- */

static void expect_nothing_left(void)
{
    ea_allocator_cursor_t cursor = {0};
    ea_allocator_stats_t stats;
    ea_status_t status;
    for (unsigned i = 0; i < N_WORKERS; i++) empty_mailbox(i);
#if EA_CFG_ALLOC_RESERVE
    EXPECT_EQ(ea_allocator_set_reserve(&a, 0), EA_OK);
#endif
    do status = ea_allocator_sweep(&a, &cursor, 100);
    while (status == EA_ERR_AGAIN);
    EXPECT_EQ(status, EA_OK);
    ea_allocator_stats(&a, &stats);
    EXPECT_EQ(stats.n_live, 0);
    for (unsigned i = 0; i <= N_OWNERS; i++) {
        ea_account_stats_t account;
        ea_account_stats(owners[i].account, &account);
        EXPECT_EQ(account.used, 0);
        EXPECT_EQ(atomic_load(&owners[i].shadow), 0);
    }
    ea_accounts_fault_t fault;
    EXPECT_EQ(ea_accounts_check(&book, &fault), EA_OK);
    EXPECT_EQ(atomic_load(&n_reports), 0);
    EXPECT_EQ(atomic_load(&n_wrong), 0);
    if (first_wrong) tap_note("first wrong at line", first_wrong);
    size_t n_live = 0;
    EXPECT_EQ(ea_allocator_set_pools(&a, NULL), EA_OK);
    EXPECT_EQ(ea_allocator_deinit(&a, &n_live), EA_OK);
    EXPECT_EQ(n_live, 0);
}

static void run_all(void)
{
    pthread_t workers[N_WORKERS], others[6];
    void *(*const functions[6])(void *) = {move_regions, move_regions, turn_knobs,
                                           turn_knobs,   watch,        watch};
    n_rounds = (unsigned)tap_arg("rounds", 6000);
    tap_note("seed", (long long)tap_arg("seed", 1));
    REQUIRE(begin());
    for (uintptr_t i = 0; i < 6; i++)
        REQUIRE(pthread_create(&others[i], NULL, functions[i], (void *)(i % 2)) == 0);
    for (uintptr_t i = 0; i < N_WORKERS; i++)
        REQUIRE(pthread_create(&workers[i], NULL, work, (void *)i) == 0);
    const ea_request_t beyond = {.owner = owners[1].account};
    EXPECT(ea_malloc_ex(&a, owners[1].max + 1, &beyond) == NULL); /* refused in the middle of it */
    for (unsigned i = 0; i < N_WORKERS; i++) EXPECT_EQ(pthread_join(workers[i], NULL), 0);
    for (unsigned i = 0; i < N_WORKERS; i++) empty_mailbox(i);
    /* A scheduler that ran the workers first leaves the others their turn: the blocks are gone, so
       that a region is removed and a sweep comes to its end. */
    while (n_removed == 0 || n_sweeps == 0) (void)sched_yield();
    is_over = true;
    for (unsigned i = 0; i < 6; i++) EXPECT_EQ(pthread_join(others[i], NULL), 0);
    tap_note("served", n_served);
    tap_note("refused", n_refused);
    tap_note("moved by realloc", n_moved);
    tap_note("transfers", n_transfers);
    tap_note("regions added", n_added);
    tap_note("ends moved", n_grown);
    tap_note("regions removed", n_removed);
    tap_note("whole sweeps", n_sweeps);
    tap_note("blocks walked", n_walked);
    EXPECT(n_served > 0 && n_removed > 0 && n_sweeps > 0);
    expect_nothing_left();
}

TEST(allocator_of_many_threads_loses_nothing_and_keeps_every_limit, 0)
{
    one_lock_per_region = false;
    run_all();
}

TEST(allocator_with_a_lock_object_for_each_region_does_so_too, 0)
{
    if (EA_CFG_ALLOC_LOCKING != 3) return;
    one_lock_per_region = true;
    run_all();
}

TEST_MAIN(&allocator_of_many_threads_loses_nothing_and_keeps_every_limit,
          &allocator_with_a_lock_object_for_each_region_does_so_too)
