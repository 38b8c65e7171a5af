/* SPDX-License-Identifier: MIT
 *
 * What happens when a store of movable blocks refuses: the Nth request of a scripted run, for every
 * N, is refused in every way there is,
 *
 *     no budget       it may move nothing
 *     a small budget  of every size up to some hundred bytes: it ends anywhere
 *     no memory       fillers take what is free
 *     locks           every other block is locked, or every second one
 *     no entry        fillers take all of the table
 *
 * and then the run goes on. A refused request loses nothing: every block has its size and its
 * bytes, a refused resize leaves its block as it was, what is free is as much as before, the store
 * is sound, and the reason is the right one. When all is freed at the end one hole is left.
 */
#include <stdio.h>
#include <string.h>

#include "ealloc/movable.h"
#include "tap.h"

#ifndef N_SEEDS
#define N_SEEDS 4u
#endif
#define N_SLOTS 32u
#define N_OPERATIONS 240u
#define MAX_BYTES 300u
#define MAX_FILLERS 700u

typedef enum {
    NO_BUDGET,
    SMALL_BUDGET,
    NO_MEMORY,
    ALL_LOCKED,
    HALF_LOCKED,
    NO_ENTRY,
    N_WAYS
} way_t;
static const char *const way_names[] = {"refused: no budget",   "refused: small budget",
                                        "refused: no memory",   "refused: all locked",
                                        "refused: half locked", "refused: no entry"};

typedef struct {
    ea_movable_handle_t handle;
    size_t size;
    unsigned number;
    bool is_live, is_locked;
} block_t;

static _Alignas(16) unsigned char memory[4000];
static ea_movable_t *m;
static block_t blocks[N_SLOTS];
static ea_movable_handle_t fillers[MAX_FILLERS];
static unsigned n_fillers, n_asked, refuse_at, numbers;
static way_t way;
static size_t small_budget;
static uint32_t seed, random_state;
static unsigned long n_refused[N_WAYS], n_half_way;
static unsigned n_complaints;

#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond) && n_complaints++ < 5)                                                         \
            printf("# line %d: %s: request %u, way %u, budget %lu\n", __LINE__, #cond, refuse_at,  \
                   (unsigned)way, (unsigned long)small_budget);                                    \
    } while (0)

static uint32_t draw(uint32_t limit)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)random_state * limit >> 32);
}

static ea_movable_stats_t stats(void)
{
    ea_movable_stats_t s;
    ea_movable_stats(m, &s);
    return s;
}

/* --- contents --------------------------------------------------------------------------------- */

static void fill(block_t *b, size_t from)
{
    EA_MOVABLE_LOCKED(m, b->handle, unsigned char, bytes)
    {
        MUST(bytes != NULL);
        for (size_t i = from; bytes && i < b->size; i++)
            bytes[i] = (unsigned char)(b->number * 37u + i);
    }
}

static void verify(void)
{
    MUST(ea_movable_check(m, NULL) == EA_OK);
    for (unsigned i = 0; i < N_SLOTS; i++) {
        block_t *b = &blocks[i];
        void *address;
        if (!b->is_live) continue;
        ea_status_t status = ea_movable_try_lock(m, b->handle, &address);
        if (status == EA_ERR_BUSY) continue; /* in flight: looked at when it has arrived */
        MUST(status == EA_OK);
        if (status != EA_OK) continue;
        const unsigned char *bytes = address;
        for (size_t k = 0; k < b->size; k++) MUST(bytes[k] == (unsigned char)(b->number * 37u + k));
        MUST(ea_movable_unlock(m, b->handle) == EA_OK);
    }
}

/* --- ways to be refused ----------------------------------------------------------------------- */

static void add_fillers(bool of_entries)
{
    n_fillers = 0;
    while (n_fillers < MAX_FILLERS) {
        ea_movable_stats_t s = stats();
        size_t size = of_entries ? 1 : s.largest_bytes;
        ea_movable_handle_t h = ea_movable_alloc(m, size ? size : 1, EA_MOVABLE_UNLIMITED);
        if (ea_movable_is_none(h)) return;
        fillers[n_fillers++] = h;
    }
}

static void remove_fillers(void)
{
    while (n_fillers) MUST(ea_movable_free(m, fillers[--n_fillers]) == EA_OK);
}

static void lock_others(const block_t *but, unsigned step)
{
    for (unsigned i = 0; i < N_SLOTS; i += step) {
        block_t *b = &blocks[i];
        if (!b->is_live || b == but) continue;
        b->is_locked = ea_movable_lock(m, b->handle) != NULL;
        MUST(b->is_locked);
    }
}

static void unlock_all(void)
{
    for (unsigned i = 0; i < N_SLOTS; i++) {
        if (blocks[i].is_locked) MUST(ea_movable_unlock(m, blocks[i].handle) == EA_OK);
        blocks[i].is_locked = false;
    }
}

/* Make the request that comes next one that may be refused; its budget. */
static size_t prepare(const block_t *of)
{
    switch (way) {
    case NO_BUDGET: return 0;
    case SMALL_BUDGET: return small_budget;
    case NO_MEMORY: add_fillers(false); break;
    case ALL_LOCKED: lock_others(of, 1); break;
    case HALF_LOCKED: lock_others(of, 2); break;
    default: add_fillers(true); break;
    }
    return EA_MOVABLE_UNLIMITED;
}

static bool is_right_reason(ea_status_t status)
{
    switch (way) {
    case NO_BUDGET:
    case SMALL_BUDGET: return status == EA_ERR_AGAIN || status == EA_ERR_NO_MEMORY;
    case NO_MEMORY:
    case NO_ENTRY: return status == EA_ERR_NO_MEMORY || status == EA_ERR_LIMIT;
    default: return status == EA_ERR_BUSY || status == EA_ERR_NO_MEMORY;
    }
}

/* own: what was left to copy of a block in flight that the request resizes, at most; not
 * charged. */
static void after_refusal(const ea_movable_stats_t *before, ea_status_t status, size_t own)
{
    ea_movable_stats_t s = stats();
    n_refused[way]++;
    MUST(is_right_reason(status));
    MUST(ea_movable_last_refusal(m) == status);
    MUST(s.n_failures == before->n_failures + 1u);
    MUST(s.n_live == before->n_live);
    MUST(s.free_bytes + s.table_bytes == before->free_bytes + before->table_bytes);
    if (way == NO_BUDGET || way == SMALL_BUDGET)
        MUST(s.moved_bytes - before->moved_bytes <= small_budget + own);
    n_half_way += s.n_moves != before->n_moves;
    verify();
}

static bool is_in_flight(const block_t *b)
{
    void *address;
    if (ea_movable_try_lock(m, b->handle, &address) == EA_ERR_BUSY) return true;
    (void)ea_movable_unlock(m, b->handle);
    return false;
}

/* --- the run ---------------------------------------------------------------------------------- */

static size_t some_size(void)
{
    return 1u + (draw(4) ? draw(80) : draw(MAX_BYTES));
}

static void request(block_t *b)
{
    size_t size = some_size(), budget = EA_MOVABLE_UNLIMITED;
    bool is_it = ++n_asked == refuse_at;
    if (is_it) budget = prepare(b->is_live ? b : NULL);
    ea_movable_stats_t before = stats();
    ea_status_t status = EA_OK;
    size_t own = 0;
    if (b->is_live) {
        own = is_in_flight(b) ? b->size + EA_MOVABLE_ALIGN - 1u : 0;
        size_t old_size = b->size, old_usable = ea_movable_size_bytes(m, b->handle);
        status = ea_movable_resize(m, b->handle, size, budget);
        if (status == EA_OK) {
            b->size = size;
            fill(b, old_size < size ? old_size : size);
        } else {
            MUST(ea_movable_size_bytes(m, b->handle) == old_usable);
        }
    } else {
        b->handle = ea_movable_alloc(m, size, budget);
        if (ea_movable_is_none(b->handle)) {
            status = ea_movable_last_refusal(m);
        } else {
            *b = (block_t){b->handle, size, ++numbers, true, false};
            fill(b, 0);
        }
    }
    if (is_it) {
        if (status != EA_OK) after_refusal(&before, status, own);
        remove_fillers();
        unlock_all();
        verify();
    }
}

static void run(void)
{
    ea_movable_options_t options = {0, way == NO_ENTRY ? 32u : 0};
    memset(blocks, 0, sizeof blocks);
    random_state = seed;
    n_asked = n_fillers = numbers = 0;
    m = ea_movable_init(memory, EA_CFG_MOVABLE_LAYOUT == 2 ? 2800 : 2100, &options);
    MUST(m != NULL);
    if (m == NULL) return;
    for (unsigned i = 0; i < N_OPERATIONS; i++) {
        block_t *b = &blocks[draw(N_SLOTS)];
        unsigned what = draw(8);
        if (what == 0) {
            (void)ea_movable_step(m, 8u + draw(100));
        } else if (b->is_live && what < 4) {
            MUST(ea_movable_free(m, b->handle) == EA_OK);
            b->is_live = false;
        } else {
            request(b);
        }
    }
    verify();
    for (unsigned i = 0; i < N_SLOTS; i++) {
        if (blocks[i].is_live) MUST(ea_movable_free(m, blocks[i].handle) == EA_OK);
    }
    ea_movable_stats_t s = stats();
    MUST(s.free_bytes == s.total_bytes);
    MUST(s.largest_bytes + EA_MOVABLE_HEADER_BYTES == s.free_bytes);
}

TEST(movable_whatever_request_is_refused_nothing_is_lost, 0)
{
    for (seed = 7; seed < 7 + N_SEEDS; seed++) {
        refuse_at = 0;
        n_asked = 0;
        run();
        unsigned n_requests = n_asked;
        EXPECT(n_requests > 60);
        for (way = 0; way < N_WAYS; way++) {
            for (refuse_at = 1; refuse_at <= n_requests; refuse_at++) {
                size_t most = way == SMALL_BUDGET ? 400u : 0;
                for (small_budget = 0; small_budget <= most; small_budget += 50) run();
            }
        }
    }
    for (unsigned i = 0; i < N_WAYS; i++) {
        tap_note(way_names[i], (long long)n_refused[i]);
        EXPECT(4 * n_refused[i] > 10 * N_SEEDS);
    }
    tap_note("refused after blocks had moved", (long long)n_half_way);
    EXPECT(4 * n_half_way > 10 * N_SEEDS);
    EXPECT_EQ(n_complaints, 0);
}

TEST_MAIN(&movable_whatever_request_is_refused_nothing_is_lost)
