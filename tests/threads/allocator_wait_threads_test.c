/* SPDX-License-Identifier: MIT
 *
 * Requests that wait, under load (rows A7, C4): success means a block and a timeout none; nothing
 * is lost; nobody sleeps beside memory and budget that would do; who waits for memory is served in
 * order of arrival within a priority, and who waits for budget stands in nobody's way. `seed=N`,
 * `rounds=N`.
 */
#define _GNU_SOURCE /* nanosleep in a strict C11 build */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/bits.h" /* the lines are counted by looking at them */
#include "ealloc/allocator.h"
#include "tap.h"

#if EA_CFG_ALLOC_WAIT && EA_CFG_ALLOC_OWNERS && EA_CFG_TAGS

#define N_THREADS 6
#define BLOCK 700u
#define LONG_US (60u * 1000 * 1000)

static ea_allocator_t a;
static _Alignas(16) unsigned char ram[4000];
static ea_account_t nodes[4];
static ea_accounts_t book;
static ea_account_t *owners[3]; /* with room for everything, for two blocks, for one */
static atomic_uint n_wrong, n_got, n_timeouts;

#if EA_CFG_ALLOC_LOCKING == 3
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void acquire(void *object)
{
    (void)pthread_mutex_lock(object);
}
static bool try_acquire(void *object)
{
    return pthread_mutex_trylock(object) == 0;
}
static void release(void *object)
{
    (void)pthread_mutex_unlock(object);
}
static const ea_lock_ops_t lock_ops = {acquire, try_acquire, release};
#endif

static uint32_t random_below(uint32_t *state, uint32_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % n;
}

static void pause_us(long us)
{
    const struct timespec pause = {.tv_nsec = us * 1000};
    (void)nanosleep(&pause, NULL);
}

static bool begin(size_t batch)
{
    static const size_t most[] = {1u << 20, 2 * BLOCK + 150, BLOCK + 150};
    ea_allocator_options_t options = {.accounts = &book};
#if EA_CFG_ALLOC_LOCKING == 3
    options.lock_ops = &lock_ops;
    options.lock = &lock;
#endif
    n_wrong = n_got = n_timeouts = 0;
    if (ea_accounts_init(&book, nodes, 4, NULL) != EA_OK) return false;
    for (unsigned i = 0; i < 3; i++) {
        const ea_account_options_t o = {.limits = {.max = most[i]}, .batch = batch};
        owners[i] = ea_account_create(&book, ea_accounts_root(&book), &o);
        if (owners[i] == NULL) return false;
    }
    return ea_allocator_init(&a, &options) == EA_OK &&
           ea_allocator_add_region(&a, ram, sizeof ram, NULL) == EA_OK;
}

static void expect_end(void)
{
    size_t n_live = 0;
    ea_accounts_fault_t fault;
    EXPECT_EQ(n_wrong, 0);
    EXPECT_EQ(ea_accounts_check(&book, &fault), EA_OK);
    for (unsigned i = 0; i < 3; i++) {
        ea_account_stats_t stats;
        ea_account_stats(owners[i], &stats);
        EXPECT_EQ(stats.used, 0);
    }
    EXPECT_EQ(ea_allocator_deinit(&a, &n_live), EA_OK);
    EXPECT_EQ(n_live, 0);
}

static void *request(ea_account_t *owner, size_t bytes, uint8_t priority, uint64_t timeout_us)
{
    return ea_malloc_ex(
        &a, bytes, &(ea_request_t){.owner = owner, .priority = priority, .timeout_us = timeout_us});
}

static void give(void *block)
{
    if (ea_free(&a, block) != EA_OK) atomic_fetch_add(&n_wrong, 1);
}

static unsigned count_line(const ea_waitq_t *line)
{
    unsigned n = 0;
    ea_port_irq_t irq = ea_port_irq_mask();
    const eai_waitq_table_t *table = line->eai_table;
    uint32_t levels = table == NULL ? 0 : table->eai_levels;
    for (unsigned slot = 0; slot < EA_CFG_WAIT_LEVELS; slot++) {
        if ((levels & eai_bit(slot)) == 0) continue;
        const ea_waiter_t *first = table->eai_first[slot], *waiter = first;
        do n++;
        while ((waiter = waiter->eai_next) != first);
    }
    ea_port_irq_restore(irq);
    return n;
}

static void await(const ea_waitq_t *line, unsigned n)
{
    while (count_line(line) != n) (void)sched_yield();
}

/* --- load ------------------------------------------------------------------------------------- */

static bool without_end; /* every wait has no end: whoever is forgotten hangs the test */

static void *load(void *argument)
{
    uintptr_t id = (uintptr_t)argument;
    uint32_t random = (uint32_t)(tap_arg("seed", 1) * 2654435761u + id * 7919u + 1u);
    for (unsigned i = (unsigned)tap_arg("rounds", 1500); i > 0; i--) {
        static const uint64_t timeouts[] = {0, 1, 20, 200, LONG_US};
        uint64_t timeout_us = without_end ? EA_WAIT_FOREVER : timeouts[random_below(&random, 5)];
        size_t bytes = random_below(&random, 4) ? BLOCK : 1 + random_below(&random, BLOCK);
        uint64_t begin_us = ea_port_time_us();
        unsigned char *block = request(owners[random_below(&random, 3)], bytes,
                                       (uint8_t)(random_below(&random, 5) * 32), timeout_us);
        if (block == NULL) {
            if (without_end || ea_port_time_us() - begin_us < timeout_us)
                atomic_fetch_add(&n_wrong, 1);
            atomic_fetch_add(&n_timeouts, 1);
            continue;
        }
        atomic_fetch_add(&n_got, 1);
        memset(block, (int)id, bytes);
        if (random_below(&random, 4) == 0) pause_us((long)random_below(&random, 50));
        for (size_t k = 0; k < bytes; k++)
            if (block[k] != id) atomic_fetch_add(&n_wrong, 1);
        give(block);
    }
    return NULL;
}

static void run_load(size_t batch, bool forever)
{
    pthread_t threads[N_THREADS];
    REQUIRE(begin(batch));
    without_end = forever;
    for (uintptr_t i = 0; i < N_THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, load, (void *)(i + 1)) == 0);
    for (unsigned i = 0; i < N_THREADS; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    tap_note("blocks", n_got);
    tap_note("timeouts", n_timeouts);
    EXPECT(n_got > 0);
    expect_end();
}

TEST(allocator_wait_under_load_means_what_it_says_and_loses_nothing, 0)
{
    run_load(0, false);
    run_load(100, false);
}

TEST(allocator_wait_without_end_always_ends_with_a_block, 0)
{
    run_load(0, true);
}

/* --- order ------------------------------------------------------------------------------------ */

#define N_QUEUED 6
static atomic_uint n_served;
static unsigned order[N_QUEUED];
static const uint8_t *priorities;

static void *queue_up(void *argument)
{
    uintptr_t id = (uintptr_t)argument;
    void *block = request(owners[0], 3000, priorities[id], EA_WAIT_FOREVER);
    order[atomic_fetch_add(&n_served, 1)] = (unsigned)id;
    give(block);
    return NULL;
}

static void serve_in_turn(const uint8_t *of, const unsigned *want)
{
    pthread_t threads[N_QUEUED];
    REQUIRE(begin(0));
    n_served = 0;
    priorities = of;
    void *block = ea_malloc(&a, 3000);
    for (uintptr_t i = 0; i < N_QUEUED; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, queue_up, (void *)i) == 0);
        await(&a.eai_waiting, (unsigned)i + 1);
    }
    give(block);
    for (unsigned i = 0; i < N_QUEUED; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < N_QUEUED; i++) EXPECT_EQ(order[i], want[i]);
    expect_end();
}

TEST(allocator_wait_serves_by_priority_and_equals_in_order_of_arrival, 0)
{
    static const uint8_t equal[N_QUEUED], mixed[N_QUEUED] = {32, 0, 64, 32, 0, 64};
    serve_in_turn(equal, (const unsigned[]){0, 1, 2, 3, 4, 5});
    serve_in_turn(mixed, (const unsigned[]){2, 5, 0, 3, 1, 4});
}

/* --- budget ----------------------------------------------------------------------------------- */

typedef struct {
    ea_account_t *owner;
    size_t bytes;
    void *volatile block;
} wish_t;

static void *wish_for(void *argument)
{
    wish_t *wish = argument;
    wish->block = request(wish->owner, wish->bytes, 128, LONG_US);
    if (wish->block == NULL) atomic_fetch_add(&n_wrong, 1);
    return NULL;
}

TEST(allocator_wait_for_budget_stands_in_nobodys_way, 0)
{
    pthread_t poor_thread, poorer_thread, rich_thread;
    REQUIRE(begin(0));
    void *of_poor[2] = {request(owners[1], BLOCK, 0, 0), request(owners[1], BLOCK, 0, 0)};
    void *of_poorer = request(owners[2], BLOCK, 0, 0);
    void *of_rich = request(owners[0], 1000, 0, 0);
    REQUIRE(of_poor[0] && of_poor[1] && of_poorer && of_rich);
    wish_t poor = {owners[1], 200, NULL}, poorer = {owners[2], 200, NULL};
    wish_t rich = {owners[0], 900, NULL};
    REQUIRE(pthread_create(&poor_thread, NULL, wish_for, &poor) == 0);
    await(&a.eai_short, 1);
    REQUIRE(pthread_create(&poorer_thread, NULL, wish_for, &poorer) == 0);
    await(&a.eai_short, 2);
    REQUIRE(pthread_create(&rich_thread, NULL, wish_for, &rich) == 0);
    await(&a.eai_waiting, 1);
    /* Memory for the rich one, who came last. */
    give(of_rich);
    EXPECT_EQ(pthread_join(rich_thread, NULL), 0);
    EXPECT_EQ(count_line(&a.eai_short), 2);
    /* Budget for the second of the other two, who wants no more than was freed. */
    give(of_poorer);
    EXPECT_EQ(pthread_join(poorer_thread, NULL), 0);
    EXPECT_EQ(count_line(&a.eai_short), 1);
    give(of_poor[0]);
    EXPECT_EQ(pthread_join(poor_thread, NULL), 0);
    give(of_poor[1]);
    give(poor.block);
    give(poorer.block);
    give(rich.block);
    expect_end();
}

/* Whose budget is used up while it waits for memory lets those behind it pass. */
TEST(allocator_wait_for_memory_turns_into_one_for_budget, 0)
{
    pthread_t first_thread, second_thread;
    REQUIRE(begin(0));
    void *block = request(owners[0], 2200, 0, 0);
    wish_t first = {owners[2], BLOCK, NULL}, second = {owners[0], BLOCK, NULL};
    void *rest = request(owners[0], 900, 0, 0);
    REQUIRE(block && rest);
    REQUIRE(pthread_create(&first_thread, NULL, wish_for, &first) == 0);
    await(&a.eai_waiting, 1);
    REQUIRE(pthread_create(&second_thread, NULL, wish_for, &second) == 0);
    await(&a.eai_waiting, 2);
    ea_account_t *refuser;
    EXPECT_EQ(ea_account_charge(owners[2], BLOCK, &refuser), EA_OK);
    give(block);
    EXPECT_EQ(pthread_join(second_thread, NULL), 0);
    EXPECT_EQ(count_line(&a.eai_short), 1);
    EXPECT_EQ(ea_account_return(owners[2], BLOCK), EA_OK);
    (void)ea_allocator_poll(&a, 0); /* nothing was freed: who returned budget says so */
    EXPECT_EQ(pthread_join(first_thread, NULL), 0);
    give(rest);
    give(first.block);
    give(second.block);
    expect_end();
}

TEST_MAIN(&allocator_wait_under_load_means_what_it_says_and_loses_nothing,
          &allocator_wait_without_end_always_ends_with_a_block,
          &allocator_wait_serves_by_priority_and_equals_in_order_of_arrival,
          &allocator_wait_for_budget_stands_in_nobodys_way,
          &allocator_wait_for_memory_turns_into_one_for_budget)
#else
TEST(allocator_wait_is_not_built, 0)
{
}
TEST_MAIN(&allocator_wait_is_not_built)
#endif
