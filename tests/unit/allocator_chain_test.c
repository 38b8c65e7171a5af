/* SPDX-License-Identifier: MIT
 *
 * What happens when memory ends (row A7), owners and their budgets (A9, C4), guards and damage
 * (A8), events (A6), pressure (C9) of the allocator, on one task.
 */
#include "allocator_testing.h"

#define RAM 4096u

static ea_allocator_t a;

#if EA_CFG_ALLOC_REPORT
static ea_event_t ring[16], last_event;
static ea_events_t events;
static ea_listener_t listener;
static unsigned n_events[32];

static void note_event(void *context, const ea_event_t *event)
{
    (void)context;
    last_event = *event;
    n_events[event->kind % 32u]++;
}
#endif

static bool begin(const ea_allocator_options_t *options)
{
    ea_allocator_options_t o = options ? *options : (ea_allocator_options_t){0};
#if EA_CFG_ALLOC_REPORT
    memset(n_events, 0, sizeof n_events);
    memset(&listener, 0, sizeof listener);
    if (ea_events_init(&events, ring, 16) != EA_OK ||
        ea_events_listen(&events, &listener, EA_EVENTS_ALL, note_event, NULL) != EA_OK)
        return false;
    o.events = &events;
#endif
    o.secret = 0x1234567u;
    return init(&a, &o) == EA_OK && ea_allocator_add_region(&a, tap_ram(), RAM, NULL) == EA_OK;
}

/* Fill memory with blocks of so many bytes, chained through themselves. */
typedef struct stone {
    struct stone *next;
} stone_t;
static stone_t *stones;
static unsigned fill_memory(size_t bytes)
{
    unsigned n = 0;
    stone_t *stone;
    while ((stone = ea_malloc(&a, bytes)) != NULL) {
        stone->next = stones;
        stones = stone;
        n++;
    }
    return n;
}
static bool drop_stone(void)
{
    stone_t *stone = stones;
    if (stone == NULL) return false;
    stones = stone->next;
    return ea_free(&a, stone) == EA_OK;
}
static void drop_stones(void)
{
    while (stones) EXPECT(drop_stone());
}

/* --- reasons ---------------------------------------------------------------------------------- */

#if EA_CFG_ALLOC_REPORT && EA_CFG_HEAP_STATS
TEST(allocator_says_why_it_refused, RAM)
{
    ea_failure_t f;
    REQUIRE(begin(NULL));
    EXPECT(ea_malloc(&a, 100000) == NULL);
    ea_allocator_last_failure(&a, &f);
    EXPECT_EQ(f.reason, EA_REASON_TOO_LARGE);
    EXPECT(ea_malloc_ex(&a, 10, &(ea_request_t){.alignment_bytes = 3}) == NULL);
    ea_allocator_last_failure(&a, &f);
    EXPECT_EQ(f.reason, EA_REASON_INVALID);

    unsigned n = fill_memory(100);
    ea_allocator_last_failure(&a, &f);
    EXPECT_EQ(f.reason, EA_REASON_EXHAUSTED);
    EXPECT_EQ(f.size_bytes, 100);
    EXPECT(f.largest_free_bytes < 100);
    EXPECT(n > 8);
    /* Every second one goes: enough is free, but not in one piece. */
    stone_t *stone = stones;
    while (stone && stone->next) {
        stone_t *gone = stone->next;
        stone->next = gone->next;
        stone = stone->next;
        EXPECT_EQ(ea_free(&a, gone), EA_OK);
    }
    (void)ea_allocator_poll(&a, 100);
    EXPECT(ea_malloc(&a, 400) == NULL);
    ea_allocator_last_failure(&a, &f);
    if (EA_CFG_GUARD < 3) EXPECT_EQ(f.reason, EA_REASON_FRAGMENTED);
    EXPECT(f.caller != NULL);
    EXPECT_EQ(n_events[EA_EVENT_OUT_OF_MEMORY], 4);
    EXPECT_EQ(last_event.reason, f.reason);
    drop_stones();
    EXPECT_EQ(stats_of(&a).n_failures, 4);
    EXPECT_EQ(stats_of(&a).n_failures_by[EA_REASON_INVALID], 1);
    EXPECT_END(&a);
}
#endif

/* --- reclaimers ------------------------------------------------------------------------------- */

#if EA_CFG_ALLOC_RECLAIM
static unsigned calls[8], n_calls, gives;
static size_t reclaim(void *context, size_t wanted_bytes)
{
    unsigned which = (unsigned)(uintptr_t)context;
    (void)wanted_bytes;
    if (n_calls < 8) calls[n_calls++] = which;
    if (gives != which) return 0;
    size_t n = 0;
    for (unsigned i = 0; i < 4 && drop_stone(); i++) n += 100;
    return n;
}
static size_t has_nothing(void *context)
{
    (void)context;
    return 0;
}

TEST(allocator_asks_reclaimers_cheapest_first, RAM)
{
    ea_reclaimer_t dear = {.reclaim = reclaim, .context = (void *)3, .cost = 30};
    ea_reclaimer_t cheap = {.reclaim = reclaim, .context = (void *)1, .cost = 10};
    ea_reclaimer_t middle = {.reclaim = reclaim, .context = (void *)2, .cost = 20};
    ea_reclaimer_t empty = {.reclaim = reclaim, .estimate = has_nothing, .context = (void *)4};
    REQUIRE(begin(NULL));
    EXPECT_EQ(ea_allocator_add_reclaimer(&a, &dear), EA_OK);
    EXPECT_EQ(ea_allocator_add_reclaimer(&a, &cheap), EA_OK);
    EXPECT_EQ(ea_allocator_add_reclaimer(&a, &middle), EA_OK);
    EXPECT_EQ(ea_allocator_add_reclaimer(&a, &empty), EA_OK);
    EXPECT_EQ(ea_allocator_add_reclaimer(&a, &dear), EA_ERR_INVALID);
    EXPECT_EQ(ea_allocator_add_reclaimer(&a, &(ea_reclaimer_t){.cost = 1}), EA_ERR_INVALID);
    n_calls = gives = 0;
    fill_memory(100);
    EXPECT_EQ(n_calls, 3);
    EXPECT(calls[0] == 1 && calls[1] == 2 && calls[2] == 3);
    n_calls = 0;
    gives = 2;
    void *block = ea_malloc(&a, 100);
    EXPECT(block != NULL);
    EXPECT_EQ(n_calls, 2);
    EXPECT_EQ(stats_of(&a).n_reclaimed, EA_CFG_ALLOC_REPORT);
    EXPECT_EQ(ea_allocator_remove_reclaimer(&a, &middle), EA_OK);
    EXPECT_EQ(ea_allocator_remove_reclaimer(&a, &middle), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    drop_stones();
    EXPECT_END(&a);
}

static unsigned depth, deepest;
static size_t reclaim_by_allocating(void *context, size_t wanted_bytes)
{
    (void)context;
    if (++depth > deepest) deepest = depth;
    EXPECT(ea_malloc(&a, wanted_bytes) == NULL); /* does not come here again */
    depth--;
    return 0;
}

TEST(allocator_reclaimer_that_allocates_is_not_called_within_itself, RAM)
{
    ea_reclaimer_t r = {.reclaim = reclaim_by_allocating};
    REQUIRE(begin(NULL));
    EXPECT_EQ(ea_allocator_add_reclaimer(&a, &r), EA_OK);
    depth = deepest = 0;
    fill_memory(100);
    EXPECT_EQ(deepest, 1);
    drop_stones();
    EXPECT_END(&a);
}

static bool compact_by_freeing(void *context, size_t wanted_bytes)
{
    ++*(unsigned *)context;
    (void)wanted_bytes;
    return drop_stone();
}

TEST(allocator_asks_for_a_step_of_compaction, RAM)
{
    unsigned n = 0;
    REQUIRE(begin(NULL));
    fill_memory(100);
    ea_allocator_set_compact(&a, compact_by_freeing, &n);
    void *block = ea_malloc(&a, 100);
    EXPECT(block != NULL || EA_CFG_GUARD >= 3);
    EXPECT_EQ(n, 1);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    drop_stones();
    EXPECT_END(&a);
}
#endif

/* --- reserve ---------------------------------------------------------------------------------- */

#if EA_CFG_ALLOC_RESERVE
TEST(allocator_reserve_serves_critical_requests_and_fills_up_again, RAM)
{
    const ea_request_t critical = {.priority = EA_PRIORITY_CRITICAL};
    REQUIRE(begin(NULL));
    EXPECT_EQ(ea_allocator_set_reserve(&a, 1 << 20), EA_ERR_INVALID);
    EXPECT_EQ(ea_allocator_set_reserve(&a, 500), EA_OK);
    EXPECT(stats_of(&a).reserve_bytes >= 500);
    EXPECT_EQ(stats_of(&a).n_live, 0);
    fill_memory(60);
    EXPECT(ea_malloc(&a, 60) == NULL);
    void *first = ea_malloc_ex(&a, 100, &critical), *second = ea_malloc_ex(&a, 100, &critical);
    EXPECT(first != NULL && second != NULL);
    EXPECT(stats_of(&a).reserve_bytes < 500);
    EXPECT(ea_malloc(&a, 60) == NULL); /* what is left of it is still the reserve's */
    EXPECT(ea_malloc_ex(&a, 600, &critical) == NULL);
    EXPECT_EQ(ea_free(&a, first), EA_OK);
    EXPECT_EQ(ea_free(&a, second), EA_OK);
    for (unsigned i = 0; i < 12; i++) (void)drop_stone();
    EXPECT(stats_of(&a).reserve_bytes >= 500);
#if EA_CFG_ALLOC_REPORT
    EXPECT_EQ(n_events[EA_EVENT_RESERVE_USED], 2);
    EXPECT_EQ(n_events[EA_EVENT_RESERVE_REFILLED], 1);
#endif
    drop_stones();
    EXPECT_SOUND(&a);
    EXPECT_EQ(ea_allocator_set_reserve(&a, 0), EA_OK);
    EXPECT_EQ(stats_of(&a).reserve_bytes, 0);
    EXPECT_EQ(ea_allocator_set_reserve(&a, 300), EA_OK);
    EXPECT_END(&a);
}
#endif

/* --- handler ---------------------------------------------------------------------------------- */

#if EA_CFG_ALLOC_HANDLER
static void *handler_block;
static ea_handler_verdict_t handler(void *context, const ea_failure_t *failure, void **block)
{
    unsigned *n = context;
    EXPECT_EQ(failure->size_bytes, 100);
    ++*n;
    *block = handler_block;
    if (handler_block) return EA_HANDLER_BLOCK;
    if (*n == 2) (void)drop_stone();
    return EA_HANDLER_RETRY;
}

TEST(allocator_handler_may_free_and_ask_for_a_retry, RAM)
{
    unsigned n = 0;
    REQUIRE(begin(NULL));
    fill_memory(100);
    handler_block = NULL;
    ea_allocator_set_handler(&a, handler, &n);
    void *block = ea_malloc(&a, 100);
    EXPECT(block != NULL);
    EXPECT_EQ(n, 2);
    n = 10;
    EXPECT(ea_malloc(&a, 100) == NULL); /* it asks for ever, and is not heard for ever */
    EXPECT_EQ(n, 10 + EA_ALLOCATOR_HANDLER_CALLS);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    drop_stones();
    EXPECT_END(&a);
}

TEST(allocator_handler_may_give_a_block_of_this_allocator_and_no_other, RAM)
{
    static long long foreign[40];
    unsigned n = 0;
    REQUIRE(begin(NULL));
    void *small = ea_malloc(&a, 20), *large = ea_malloc(&a, 180);
    fill_memory(100);
    ea_allocator_set_handler(&a, handler, &n);
    handler_block = foreign;
    EXPECT(ea_malloc(&a, 100) == NULL);
    handler_block = small;
    EXPECT(ea_malloc(&a, 100) == NULL);
    handler_block = large;
    EXPECT(ea_malloc(&a, 100) == large);
    EXPECT_EQ(n, 3);
    fill_with(large, 100, 4);
    EXPECT_SOUND(&a);
    if (EA_CFG_GUARD >= 1) EXPECT_EQ(ea_usable_size_bytes(&a, large), 100);
    EXPECT_EQ(ea_free(&a, large), EA_OK);
    EXPECT_EQ(ea_free(&a, small), EA_OK);
    drop_stones();
    EXPECT_END(&a);
}
#endif

/* --- interrupts ------------------------------------------------------------------------------- */

#if EA_CFG_ALLOC_ISR
TEST(allocator_merges_later_what_an_interrupt_frees, RAM)
{
    REQUIRE(begin(NULL));
    char *one = ea_malloc(&a, 12), *two = ea_malloc(&a, 200), *three = ea_malloc(&a, 1);
    REQUIRE(one && two && three);
    EXPECT_EQ(ea_free_isr(&a, two), EA_OK);
    EXPECT_EQ(ea_free_isr(&a, one), EA_OK);
    EXPECT_EQ(stats_of(&a).n_deferred, 2);
    EXPECT_EQ(stats_of(&a).n_live, EA_CFG_HEAP_STATS ? 1 : 0);
    EXPECT_EQ(ea_free_isr(&a, one), EA_ERR_DOUBLE_FREE);
    EXPECT_EQ(ea_free_isr(&a, two), EA_ERR_DOUBLE_FREE);
    if (EA_CFG_TAGS) EXPECT_EQ(ea_free(&a, two), EA_ERR_DOUBLE_FREE);
    EXPECT_EQ(ea_free(&a, three), EA_OK); /* merges them on its way */
    EXPECT_EQ(stats_of(&a).n_deferred, 0);
    EXPECT_EQ(ea_allocator_poll(&a, 10), 0);
    EXPECT_END(&a);
}

/* What the list wrote into the smallest block reached into the next one's header on 32 bits. */
TEST(allocator_smallest_blocks_that_are_deferred_harm_no_neighbour, RAM)
{
    char *blocks[24];
    REQUIRE(begin(NULL));
    for (unsigned i = 0; i < 24; i++) {
        REQUIRE((blocks[i] = ea_malloc(&a, 1)) != NULL);
        *blocks[i] = (char)i;
    }
    for (unsigned i = 0; i < 24; i += 2) EXPECT_EQ(ea_free_isr(&a, blocks[i]), EA_OK);
    for (unsigned i = 1; i < 24; i += 2) {
        EXPECT_EQ(*blocks[i], (char)i);
        EXPECT_EQ(ea_free_isr(&a, blocks[i]), EA_OK);
    }
    EXPECT_EQ(stats_of(&a).n_deferred, 24);
    EXPECT_EQ(ea_allocator_poll(&a, 100), 24);
    EXPECT_END(&a);
}

TEST(allocator_merges_all_that_is_deferred_before_it_refuses, RAM)
{
    REQUIRE(begin(NULL));
    unsigned n = fill_memory(100);
    while (stones) {
        stone_t *stone = stones;
        stones = stone->next;
        EXPECT_EQ(ea_free_isr(&a, stone), EA_OK);
    }
    EXPECT_EQ(stats_of(&a).n_deferred, n);
    void *block = ea_malloc(&a, 1500);
    EXPECT(block != NULL);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_END(&a);
}
#endif

/* --- owners ----------------------------------------------------------------------------------- */

#if HAS_OWNERS
static ea_account_t nodes[5];
static ea_accounts_t book;

static ea_account_t *account(const char *name, size_t min, size_t max)
{
    const ea_account_options_t o = {.name = name, .limits = {.min = min, .max = max}};
    return ea_account_create(&book, ea_accounts_root(&book), &o);
}
static size_t used_by(const ea_account_t *who)
{
    ea_account_stats_t stats;
    ea_account_stats(who, &stats);
    return stats.used;
}

TEST(allocator_charges_who_allocates_and_keeps_budgets, RAM)
{
    REQUIRE(ea_accounts_init(&book, nodes, 5, NULL) == EA_OK);
    ea_account_t *radio = account("radio", 0, 400), *log = account("log", 0, 0);
    const ea_allocator_options_t o = {.accounts = &book, .owner = log};
    REQUIRE(radio && log && begin(&o));
    void *mine = ea_malloc(&a, 100), *theirs = NULL, *more = NULL;
    EXPECT(used_by(log) >= 100);
    EA_OWNER_SCOPE(radio) theirs = ea_malloc(&a, 100);
    EXPECT(theirs != NULL && used_by(radio) >= 100 && used_by(radio) <= 100 + 48);
    more = ea_malloc_ex(&a, 350, &(ea_request_t){.owner = radio});
    EXPECT(more == NULL);
#if EA_CFG_ALLOC_REPORT
    ea_failure_t f;
    ea_allocator_last_failure(&a, &f);
    EXPECT_EQ(f.reason, EA_REASON_OVER_LIMIT);
    EXPECT_EQ(f.limiter, ea_account_id(radio));
    EXPECT_EQ(f.owner, ea_account_id(radio));
    EXPECT_EQ(n_events[EA_EVENT_LIMIT], 1);
#endif
    size_t before = used_by(radio);
    theirs = ea_realloc(&a, theirs, 150); /* by whoever: its owner pays */
    EXPECT(theirs != NULL && used_by(radio) > before);
    EXPECT(ea_realloc(&a, theirs, 390) == NULL);
    EXPECT(used_by(radio) >= 150 && used_by(radio) <= 150 + 48);
    EXPECT_EQ(ea_free(&a, theirs), EA_OK);
    EXPECT_EQ(used_by(radio), 0);
    EXPECT_EQ(ea_free(&a, mine), EA_OK);
    EXPECT_EQ(used_by(log), 0);
    EXPECT_EQ(ea_accounts_check(&book, NULL), EA_OK);
    EXPECT_END(&a);
}

#if EA_CFG_ALLOC_RECLAIM && EA_CFG_ALLOC_REPORT
static size_t give_one_up(void *context, size_t wanted_bytes)
{
    void **block = context;
    size_t n = *block ? wanted_bytes : 0;
    EXPECT_EQ(ea_free(&a, *block), EA_OK);
    *block = NULL;
    return n;
}

TEST(allocator_names_the_last_reason_and_not_one_that_was_overcome, RAM)
{
    ea_failure_t f;
    REQUIRE(ea_accounts_init(&book, nodes, 5, NULL) == EA_OK);
    ea_account_t *radio = account("radio", 0, 600);
    const ea_allocator_options_t o = {.accounts = &book};
    REQUIRE(radio && begin(&o));
    void *cached = ea_malloc_ex(&a, 200, &(ea_request_t){.owner = radio});
    ea_reclaimer_t r = {.reclaim = give_one_up, .context = &cached};
    fill_memory(100);
    REQUIRE(cached && ea_allocator_add_reclaimer(&a, &r) == EA_OK);
    /* The budget refuses it, the reclaimer makes room there, and memory does not do. */
    EXPECT(ea_malloc_ex(&a, 500, &(ea_request_t){.owner = radio}) == NULL);
    EXPECT(cached == NULL);
    ea_allocator_last_failure(&a, &f);
    EXPECT(f.reason == EA_REASON_EXHAUSTED || f.reason == EA_REASON_FRAGMENTED);
    EXPECT_EQ(f.limiter, 0);
    drop_stones();
    EXPECT_END(&a);
}
#endif

#if EA_CFG_ALLOC_POOLS
#define CLASSES(CLASS, name) CLASS(name, only, 96, 4)
EA_POOLSET_DEFINE_CLASSES_STATIC(pools, CLASSES, EA_POOLSET_STRICT, 0, NULL);

TEST(allocator_gives_a_pool_block_back_that_the_budget_refuses, RAM)
{
    REQUIRE(ea_accounts_init(&book, nodes, 5, NULL) == EA_OK);
    ea_account_t *radio = account("radio", 0, 90); /* for the request, not for the block */
    const ea_allocator_options_t o = {.accounts = &book};
    REQUIRE(radio && begin(&o));
    REQUIRE(ea_allocator_set_pools(&a, &pools) == EA_OK);
    EXPECT(ea_malloc_ex(&a, 8, &(ea_request_t){.owner = radio}) == NULL);
    EXPECT_EQ(used_by(radio), 0);
    EXPECT_SOUND(&a);
    void *block = ea_malloc(&a, 8);
    EXPECT(ea_poolset_owns(&pools, block));
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_EQ(stats_of(&a).n_damaged, 0);
    EXPECT_EQ(ea_allocator_set_pools(&a, NULL), EA_OK);
    EXPECT_END(&a);
}
#endif

TEST(allocator_hands_blocks_over, RAM)
{
    REQUIRE(ea_accounts_init(&book, nodes, 5, NULL) == EA_OK);
    ea_account_t *from = account("from", 0, 0), *to = account("to", 0, 300);
    const ea_allocator_options_t o = {.accounts = &book, .owner = from, .strict_owner = true};
    REQUIRE(from && to && begin(&o));
    void *block = ea_malloc(&a, 100), *large = ea_malloc(&a, 400);
    ea_block_info_t info;
    size_t used = used_by(from);
    EXPECT_EQ(ea_transfer(&a, large, to), EA_ERR_LIMIT);
    EXPECT_EQ(used_by(from), used);
    EXPECT_EQ(ea_transfer(&a, block, to), EA_OK);
    EXPECT_EQ(used_by(from) + used_by(to), used);
    EXPECT_EQ(ea_block_info(&a, block, &info), EA_OK);
    EXPECT_EQ(info.owner, ea_account_id(to));
    EXPECT(info.site != NULL);
    EA_OWNER_SCOPE(from) EXPECT_EQ(ea_free(&a, block), EA_ERR_NOT_OWNER);
    EA_OWNER_SCOPE(to) EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_EQ(ea_transfer(&a, large, NULL), EA_OK);
    EXPECT_EQ(used_by(from), 0);
    EA_OWNER_SCOPE(to) EXPECT_EQ(ea_free(&a, large), EA_OK); /* nobody's: anybody may */
    EXPECT_END(&a);
}

static unsigned n_visited;
static void count_visit(void *context, const ea_block_info_t *info)
{
    EXPECT_EQ(info->owner, *(const uint16_t *)context);
    n_visited++;
}

TEST(allocator_reports_and_frees_all_of_an_owner, RAM)
{
    REQUIRE(ea_accounts_init(&book, nodes, 5, NULL) == EA_OK);
    ea_account_t *gone = account("gone", 0, 0), *stays = account("stays", 0, 0);
    const ea_allocator_options_t o = {.accounts = &book, .owner = stays};
    REQUIRE(gone && stays && begin(&o));
    uint16_t id = ea_account_id(gone);
    void *kept[10];
    for (unsigned i = 0; i < 10; i++) {
        kept[i] = ea_malloc(&a, 20);
        EXPECT(ea_malloc_ex(&a, 30 + i, &(ea_request_t){.owner = gone}) != NULL);
    }
    EXPECT_EQ(ea_account_delete(gone), EA_ERR_BUSY);
    ea_allocator_cursor_t cursor = {0};
    ea_status_t status;
    n_visited = 0;
    do status = ea_allocator_walk(&a, id, &cursor, 8, count_visit, &id);
    while (status == EA_ERR_AGAIN);
    EXPECT_EQ(status, EA_OK);
    EXPECT_EQ(n_visited, 10);
    size_t n_freed = 0;
    cursor = (ea_allocator_cursor_t){0};
    do status = ea_free_all(&a, id, &cursor, 8, &n_freed);
    while (status == EA_ERR_AGAIN);
    EXPECT_EQ(status, EA_OK);
    EXPECT_EQ(n_freed, 10);
    EXPECT_EQ(ea_account_delete(gone), EA_OK);
    for (unsigned i = 0; i < 10; i++) EXPECT_EQ(ea_free(&a, kept[i]), EA_OK);
    EXPECT_END(&a);
}
#endif

/* --- damage ----------------------------------------------------------------------------------- */

#if EA_CFG_GUARD >= 1
TEST(allocator_names_the_first_bad_byte_and_the_neighbours, RAM)
{
    REQUIRE(begin(NULL));
    char *below = ea_malloc(&a, 40), *block = ea_malloc(&a, 41), *above = ea_malloc(&a, 42);
    REQUIRE(below && block && above);
    char saved = block[41];
    block[41] ^= 1; /* one too many */
    EXPECT_EQ(ea_free(&a, block), EA_ERR_CORRUPT);
    EXPECT_EQ(ea_free(&a, block), EA_ERR_CORRUPT); /* it is not freed */
#if EA_CFG_ALLOC_REPORT
    ea_guard_report_t report;
    ea_allocator_last_damage(&a, &report);
    EXPECT_EQ(report.kind, EA_GUARD_TAIL);
    EXPECT(report.block == block && report.first_bad == block + 41);
    EXPECT_EQ(report.size_bytes, 41);
    EXPECT(report.below.block == below && report.above.block == above);
    EXPECT_EQ(report.below.size_bytes, 40);
    if (EA_CFG_TAGS) EXPECT(report.site != NULL && report.above.site != NULL);
    EXPECT_EQ(n_events[EA_EVENT_OVERFLOW], 2);
    EXPECT(last_event.where == block + 41);
#endif
    ea_allocator_cursor_t cursor = {0};
    ea_status_t status;
    do status = ea_allocator_sweep(&a, &cursor, 100);
    while (status == EA_ERR_AGAIN);
    EXPECT_EQ(status, EA_ERR_CORRUPT);
    block[41] = saved;
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_EQ(ea_free(&a, below), EA_OK);
    EXPECT_EQ(ea_free(&a, above), EA_OK);
    EXPECT_END(&a);
}

TEST(allocator_reports_damage_of_a_block_without_neighbours, RAM)
{
    REQUIRE(begin(NULL));
    char *block = ea_malloc(&a, 41);
    REQUIRE(block != NULL);
    block[41] ^= 1;
    EXPECT_EQ(ea_free(&a, block), EA_ERR_CORRUPT);
#if EA_CFG_ALLOC_REPORT
    ea_guard_report_t report;
    ea_allocator_last_damage(&a, &report);
    EXPECT(report.block == block && report.below.block == NULL && report.above.block == NULL);
#endif
    block[41] ^= 1;
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_END(&a);
}

static ea_guard_policy_t on_damage(void *context, const ea_guard_report_t *report)
{
    *(ea_guard_kind_t *)context = report->kind;
    return EA_GUARD_REFUSE;
}

TEST(allocator_asks_the_application_what_to_do_about_damage, RAM)
{
    ea_guard_kind_t kind = EA_GUARD_NONE;
    const ea_allocator_options_t o = {
        .damage = EA_GUARD_CALL, .on_damage = on_damage, .damage_context = &kind};
    REQUIRE(begin(&o));
    char *block = ea_malloc(&a, 30);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_EQ(ea_free(&a, block), EA_ERR_DOUBLE_FREE);
    EXPECT_EQ(kind, EA_GUARD_DOUBLE_FREE);
    EXPECT_END(&a);
}
#endif

#if EA_CFG_GUARD >= 3
TEST(allocator_holds_freed_blocks_back_and_finds_writes_to_them, RAM)
{
    const ea_allocator_options_t o = {.quarantine_bytes = 600};
    REQUIRE(begin(&o));
    char *first = ea_malloc(&a, 100), *second = ea_malloc(&a, 120), *large = ea_malloc(&a, 900);
    REQUIRE(first && second && large);
    EXPECT_EQ(ea_free(&a, first), EA_OK);
    EXPECT_EQ(ea_free(&a, second), EA_OK);
    EXPECT_EQ(ea_free(&a, large), EA_OK); /* more than may wait */
    EXPECT(stats_of(&a).quarantine_bytes >= 220 && stats_of(&a).quarantine_bytes <= 600);
    EXPECT_EQ(stats_of(&a).n_live, 0);
    char *other = ea_malloc(&a, 100);
    EXPECT(other != first);
    EXPECT_EQ(ea_free(&a, first), EA_ERR_DOUBLE_FREE);
    EXPECT_SOUND(&a);
    second[119] ^= 1;
    ea_allocator_cursor_t cursor = {0};
    ea_status_t status;
    unsigned n_corrupt = 0;
    do {
        status = ea_allocator_sweep(&a, &cursor, 8);
        n_corrupt += status == EA_ERR_CORRUPT;
    } while (status != EA_OK && n_corrupt < 3);
    EXPECT_EQ(n_corrupt, 1);
#if EA_CFG_ALLOC_REPORT
    ea_guard_report_t report;
    ea_allocator_last_damage(&a, &report);
    EXPECT_EQ(report.kind, EA_GUARD_POISON);
    EXPECT(report.block == second && report.first_bad == second + 119);
    EXPECT_EQ(stats_of(&a).n_damaged, 2);
#endif
    /* What waits is there before a request is refused; what was written is told once more. */
    EXPECT_EQ(ea_free(&a, other), EA_OK);
    unsigned n = fill_memory(100);
    EXPECT(n > 15);
    EXPECT_EQ(stats_of(&a).quarantine_bytes, 0);
    EXPECT_EQ(stats_of(&a).n_damaged, EA_CFG_ALLOC_REPORT ? 3 : 0);
    drop_stones();
    EXPECT_END(&a);
}
#endif

/* --- accounts that are watched ---------------------------------------------------------------- */

#if HAS_OWNERS && EA_CFG_ALLOC_PRESSURE && EA_CFG_ALLOC_REPORT && EA_CFG_ALLOC_RECLAIM
static size_t reclaim_a_stone(void *context, size_t wanted_bytes)
{
    ++*(unsigned *)context;
    EXPECT(wanted_bytes > 0);
    return drop_stone() ? 1 : 0;
}

TEST(allocator_watches_an_account_and_relieves_it_above_its_high_mark, RAM)
{
    unsigned n = 0, n_elsewhere = 0;
    REQUIRE(ea_accounts_init(&book, nodes, 5, NULL) == EA_OK);
    const ea_account_options_t limits = {.limits = {.high = 600, .max = 1000}};
    ea_account_t *cache = ea_account_create(&book, ea_accounts_root(&book), &limits);
    ea_account_t *other = account("other", 0, 0);
    const ea_allocator_options_t o = {.accounts = &book, .owner = cache};
    REQUIRE(cache && other && begin(&o));
    static ea_account_watch_t watch;
    ea_reclaimer_t mine = {.reclaim = reclaim_a_stone, .context = &n, .cost = 2, .owner = cache};
    ea_reclaimer_t theirs = {
        .reclaim = reclaim_a_stone, .context = &n_elsewhere, .cost = 1, .owner = other};
    EXPECT_EQ(ea_allocator_add_reclaimer(&a, &mine), EA_OK);
    EXPECT_EQ(ea_allocator_add_reclaimer(&a, &theirs), EA_OK);
    EXPECT_EQ(ea_allocator_watch(&a, &watch, NULL, NULL), EA_ERR_INVALID);
    REQUIRE(ea_allocator_watch(&a, &watch, cache, NULL) == EA_OK);
    stone_t *stone;
    for (unsigned i = 0; i < 12 && n == 0 && (stone = ea_malloc(&a, 60)) != NULL; i++) {
        stone->next = stones; /* the reclaimer finds those from before */
        stones = stone;
    }
    EXPECT_EQ(n, 1);
    EXPECT_EQ(n_elsewhere, 0);
    EXPECT_EQ(n_events[EA_EVENT_HIGH], 1);
    EXPECT(!ea_account_is_high(cache));
    EXPECT(n_events[EA_EVENT_PRESSURE] >= 1);
    drop_stones();
    EXPECT_EQ(ea_pressure_level(ea_account_watch_pressure(&watch)), EA_PRESSURE_NONE);
    EXPECT_EQ(ea_allocator_unwatch(&a, &watch), EA_OK);
    EXPECT_EQ(ea_allocator_unwatch(&a, &watch), EA_ERR_NOT_FOUND);
    EXPECT_END(&a);
}
#endif

/* --- pressure --------------------------------------------------------------------------------- */

#if EA_CFG_ALLOC_PRESSURE && EA_CFG_ALLOC_REPORT
TEST(allocator_tells_when_pressure_changes, RAM)
{
    REQUIRE(begin(NULL));
    EXPECT_EQ(ea_pressure_level(ea_allocator_pressure(&a)), EA_PRESSURE_NONE);
    fill_memory(60);
    EXPECT_EQ(ea_pressure_level(ea_allocator_pressure(&a)), EA_PRESSURE_CRITICAL);
    EXPECT_EQ(n_events[EA_EVENT_PRESSURE], 3);
    drop_stones();
    EXPECT_EQ(ea_pressure_level(ea_allocator_pressure(&a)), EA_PRESSURE_NONE);
    EXPECT_EQ(n_events[EA_EVENT_PRESSURE], 6);
    EXPECT_END(&a);
}
#endif

TEST(allocator_survives_being_filled_and_emptied, RAM)
{
    REQUIRE(begin(NULL));
    for (unsigned i = 0; i < 3; i++) {
        EXPECT(fill_memory(sizeof(stone_t) + 7 * i) > 10);
        drop_stones();
        EXPECT_SOUND(&a);
    }
    EXPECT_END(&a);
}

TEST_MAIN(
#if EA_CFG_ALLOC_REPORT && EA_CFG_HEAP_STATS
    &allocator_says_why_it_refused,
#endif
#if EA_CFG_ALLOC_RECLAIM
    &allocator_asks_reclaimers_cheapest_first,
    &allocator_reclaimer_that_allocates_is_not_called_within_itself,
    &allocator_asks_for_a_step_of_compaction,
#endif
#if EA_CFG_ALLOC_RESERVE
    &allocator_reserve_serves_critical_requests_and_fills_up_again,
#endif
#if EA_CFG_ALLOC_HANDLER
    &allocator_handler_may_free_and_ask_for_a_retry,
    &allocator_handler_may_give_a_block_of_this_allocator_and_no_other,
#endif
#if EA_CFG_ALLOC_ISR
    &allocator_merges_later_what_an_interrupt_frees,
    &allocator_smallest_blocks_that_are_deferred_harm_no_neighbour,
    &allocator_merges_all_that_is_deferred_before_it_refuses,
#endif
#if HAS_OWNERS
#if EA_CFG_ALLOC_POOLS
    &allocator_gives_a_pool_block_back_that_the_budget_refuses,
#endif
#if EA_CFG_ALLOC_RECLAIM && EA_CFG_ALLOC_REPORT
    &allocator_names_the_last_reason_and_not_one_that_was_overcome,
#endif
    &allocator_charges_who_allocates_and_keeps_budgets, &allocator_hands_blocks_over,
    &allocator_reports_and_frees_all_of_an_owner,
#endif
#if EA_CFG_GUARD >= 3
    &allocator_holds_freed_blocks_back_and_finds_writes_to_them,
#endif
#if HAS_OWNERS && EA_CFG_ALLOC_PRESSURE && EA_CFG_ALLOC_REPORT && EA_CFG_ALLOC_RECLAIM
    &allocator_watches_an_account_and_relieves_it_above_its_high_mark,
#endif
#if EA_CFG_GUARD >= 1
    &allocator_names_the_first_bad_byte_and_the_neighbours,
    &allocator_reports_damage_of_a_block_without_neighbours,
    &allocator_asks_the_application_what_to_do_about_damage,
#endif
#if EA_CFG_ALLOC_PRESSURE && EA_CFG_ALLOC_REPORT
    &allocator_tells_when_pressure_changes,
#endif
    &allocator_survives_being_filled_and_emptied)
