/* SPDX-License-Identifier: MIT
 *
 * Threads on one store of movable blocks (row A4): one, the owner, allocates, frees, resizes and
 * steps without pause; three lock, read, write and unlock. A block that all may lock says itself
 * what it must hold; each thread has a block of its own that it writes anew; some blocks have a
 * counter that all add to while they hold it. At the end no addition is lost, no lock is left, the
 * store is sound. `movable_threads rounds=N` for a longer run.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "ealloc/movable.h"
#include "tap.h"

#define N_THREADS 3
#define N_SLOTS 40
#define N_COUNTERS 4
#define N_OWN 24 /* words of a thread's own block */
#define MAX_WORDS 60

static _Alignas(16) unsigned char memory[EA_CFG_MOVABLE_LAYOUT == 2 ? 8000 : 6000];
static ea_movable_t *store;
static _Atomic uint32_t slots[N_SLOTS]; /* the words of handles; 0: none */
static ea_movable_handle_t counters[N_COUNTERS], own[N_THREADS];
static atomic_uint n_added[N_COUNTERS], n_wrong, n_locked, n_busy, n_stale;
static atomic_int first_wrong_line;
static atomic_bool is_over;
static unsigned n_rounds;

#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond) && atomic_fetch_add(&n_wrong, 1) == 0)                                         \
            atomic_store(&first_wrong_line, __LINE__);                                             \
    } while (0)

static uint32_t draw(uint32_t *state, uint32_t limit)
{
    *state = *state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)*state * limit >> 32);
}

/* --- blocks that all may lock: the handle, the number of words, and words made of both -------- */

static void fill(ea_movable_handle_t handle, uint32_t n_words)
{
    uint32_t *words;
    do words = ea_movable_lock(store, handle); /* small: while all of its locks are taken */
    while (words == NULL);
    words[0] = handle.eai_word;
    words[1] = n_words;
    for (uint32_t i = 2; i < n_words; i++) words[i] = handle.eai_word * 2654435761u + i;
    MUST(ea_movable_unlock(store, handle) == EA_OK);
}

static bool is_right(ea_movable_handle_t handle, const uint32_t *words)
{
    bool good = words[0] == handle.eai_word && words[1] <= MAX_WORDS;
    for (uint32_t i = 2; good && i < words[1]; i++)
        good = words[i] == handle.eai_word * 2654435761u + i;
    return good;
}

/* --- who locks -------------------------------------------------------------------------------- */

static void look_at_one(uint32_t *random)
{
    ea_movable_handle_t handle = {atomic_load(&slots[draw(random, N_SLOTS)])};
    if (ea_movable_is_none(handle)) return;
    void *words = NULL;
    if (draw(random, 4)) {
        words = ea_movable_lock(store, handle);
        if (words == NULL) atomic_fetch_add(&n_stale, 1);
    } else {
        ea_status_t status = ea_movable_try_lock(store, handle, &words);
        if (status == EA_ERR_BUSY) atomic_fetch_add(&n_busy, 1);
        MUST(status == EA_OK || status == EA_ERR_BUSY || status == EA_ERR_NOT_FOUND ||
             status == EA_ERR_LIMIT);
    }
    if (words == NULL) return;
    atomic_fetch_add(&n_locked, 1);
    if (draw(random, 8) == 0) sched_yield(); /* keep it a while */
    MUST(is_right(handle, words));
    size_t size = ea_movable_size_bytes(store, handle); /* small: 0 while all locks are taken */
    MUST(size >= 12u || (size == 0 && EA_MOVABLE_MAX_LOCKS == 3));
    MUST(ea_movable_unlock(store, handle) == EA_OK);
}

static void add_to_one(uint32_t *random)
{
    unsigned i = draw(random, N_COUNTERS);
    uint32_t *words = ea_movable_lock(store, counters[i]);
    if (words == NULL) return; /* small: locked by all the others */
    atomic_fetch_add_explicit((_Atomic uint32_t *)&words[5], 1, memory_order_relaxed);
    atomic_fetch_add(&n_added[i], 1);
    MUST(ea_movable_unlock(store, counters[i]) == EA_OK);
}

static void write_own(unsigned self, uint32_t number)
{
    uint32_t words[N_OWN], back[N_OWN];
    for (unsigned i = 0; i < N_OWN; i++) words[i] = number * 31u + i;
    MUST(ea_movable_write(store, own[self], 0, words, sizeof words) == EA_OK);
    if (number % 4 == 0) sched_yield();
    MUST(ea_movable_read(store, own[self], 0, back, sizeof back) == EA_OK);
    MUST(memcmp(words, back, sizeof words) == 0);
}

static void *lock_and_unlock(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;
    uint32_t random = self * 7919u + 1u;
    for (uint32_t number = 0; !atomic_load(&is_over); number++) {
        look_at_one(&random);
        if (number % 3 == 0) add_to_one(&random);
        if (number % 5 == 0) write_own(self, number);
    }
    return NULL;
}

/* --- the owner -------------------------------------------------------------------------------- */

static void own_one(uint32_t *random)
{
    _Atomic uint32_t *slot = &slots[draw(random, N_SLOTS)];
    ea_movable_handle_t handle = {atomic_load(slot)};
    uint32_t n_words = 3u + draw(random, draw(random, 4) ? 20 : MAX_WORDS - 3u);
    size_t budget = draw(random, 3) ? draw(random, 1000) : EA_MOVABLE_UNLIMITED;
    if (ea_movable_is_none(handle)) {
        handle = ea_movable_alloc(store, n_words * 4u, budget);
        if (ea_movable_is_none(handle)) return;
        fill(handle, n_words);
        atomic_store(slot, handle.eai_word);
    } else if (draw(random, 3)) {
        ea_status_t status = ea_movable_free(store, handle);
        MUST(status == EA_OK || status == EA_ERR_BUSY);
        if (status == EA_OK) atomic_store(slot, 0);
    } else {
        /* What it holds stays, so that nobody sees it change. */
        uint32_t *words = ea_movable_lock(store, handle), held = 0;
        if (words == NULL) return;
        held = words[1];
        MUST(ea_movable_unlock(store, handle) == EA_OK);
        ea_status_t status =
            ea_movable_resize(store, handle, (held + draw(random, 20)) * 4u, budget);
        MUST(status == EA_OK || status == EA_ERR_BUSY || status == EA_ERR_AGAIN ||
             status == EA_ERR_NO_MEMORY);
    }
}

static ea_movable_handle_t make(uint32_t n_words)
{
    ea_movable_handle_t handle = ea_movable_alloc(store, n_words * 4u, 0);
    EA_MOVABLE_LOCKED(store, handle, uint32_t, words)
    {
        if (words != NULL) memset(words, 0, n_words * 4u);
    }
    return handle;
}

static void check_counters(void)
{
    for (unsigned i = 0; i < N_COUNTERS; i++) {
        uint32_t words[6];
        MUST(ea_movable_read(store, counters[i], 0, words, sizeof words) == EA_OK);
        MUST(words[5] == atomic_load(&n_added[i]));
        MUST(ea_movable_free(store, counters[i]) == EA_OK);
    }
    for (unsigned i = 0; i < N_THREADS; i++) MUST(ea_movable_free(store, own[i]) == EA_OK);
}

TEST(movable_threads_that_lock_see_every_block_whole_while_the_owner_moves_them, 0)
{
    pthread_t threads[N_THREADS];
    uint32_t random = 5;
    ea_movable_stats_t stats;
    n_rounds = (unsigned)tap_arg("rounds", 30000);
    store = ea_movable_init(memory, sizeof memory, NULL);
    REQUIRE(store != NULL);
    for (unsigned i = 0; i < N_COUNTERS; i++) counters[i] = make(6 + 8 * i);
    for (unsigned i = 0; i < N_THREADS; i++) own[i] = make(N_OWN);
    for (uintptr_t i = 0; i < N_THREADS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, lock_and_unlock, (void *)i) == 0);
    }
    for (unsigned round = 0; round < n_rounds && !atomic_load(&n_wrong); round++) {
        own_one(&random);
        for (unsigned i = 0; i < 4; i++) (void)ea_movable_step(store, 16u + draw(&random, 200));
        if (round % 64 == 0) sched_yield();
    }
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < N_THREADS; i++) EXPECT(pthread_join(threads[i], NULL) == 0);
    MUST(ea_movable_check(store, NULL) == EA_OK);
    check_counters();
    for (unsigned i = 0; i < N_SLOTS; i++) {
        ea_movable_handle_t handle = {atomic_load(&slots[i])};
        if (ea_movable_is_none(handle)) continue;
        uint32_t *words = ea_movable_lock(store, handle);
        MUST(words != NULL && is_right(handle, words));
        MUST(ea_movable_unlock(store, handle) == EA_OK);
        MUST(ea_movable_free(store, handle) == EA_OK);
    }
    ea_movable_stats(store, &stats);
    MUST(stats.free_bytes == stats.total_bytes && stats.n_live == 0);
    tap_note("blocks moved", (long long)stats.n_moves);
    tap_note("locks", (long long)atomic_load(&n_locked));
    tap_note("found in flight by a try", (long long)atomic_load(&n_busy));
    tap_note("found stale", (long long)atomic_load(&n_stale));
    EXPECT(stats.n_moves > 100);
    EXPECT(atomic_load(&n_locked) > 1000);
    EXPECT_EQ(atomic_load(&n_wrong), 0);
    if (atomic_load(&n_wrong))
        tap_fail(__FILE__, atomic_load(&first_wrong_line), "what must be so", 0, 1);
}

TEST_MAIN(&movable_threads_that_lock_see_every_block_whole_while_the_owner_moves_them)
