/* SPDX-License-Identifier: MIT
 *
 * When memory ends in an allocator with a region of movable blocks (rows A4, A7): the links of the
 * chain, in their order, with compaction present, absent, out of budget and in vain.
 */
#include "movable_region_testing.h"

#define RAM 7168u
#define STORE 5120u /* of these the region of movable blocks; then one with a heap */
#define N_HANDLES 16u
#define WANTED 700u /* bytes of the block with an address that is asked for */

static char *ram;

/* What was heard, a letter each: r reclaimer, c compaction, s reserve spent, w wait, h handler,
 * l limit, o refused. */
static char heard[32];
static unsigned n_heard;
static ea_event_t compaction; /* the last one */

static ea_event_t ring[16];
static ea_events_t events;
static ea_listener_t listener;
static void (*at_wait)(void);

static void note_event(void *context, const ea_event_t *event)
{
    static const struct {
        uint16_t kind;
        char letter;
    } letters[] = {{EA_EVENT_RECLAIM, 'r'},      {EA_EVENT_COMPACT, 'c'},
                   {EA_EVENT_RESERVE_USED, 's'}, {EA_EVENT_WAIT, 'w'},
                   {EA_EVENT_HANDLER, 'h'},      {EA_EVENT_LIMIT, 'l'},
                   {EA_EVENT_OUT_OF_MEMORY, 'o'}};
    (void)context;
    for (unsigned i = 0; i < sizeof letters / sizeof *letters; i++)
        if (letters[i].kind == event->kind && n_heard + 1u < sizeof heard)
            heard[n_heard++] = letters[i].letter;
    if (event->kind == EA_EVENT_COMPACT) compaction = *event;
    if (event->kind == EA_EVENT_WAIT && at_wait) at_wait();
}

static void expect_heard(const char *letters, const char *file, int line)
{
    heard[n_heard] = 0;
    if (strcmp(heard, letters) != 0) {
        tap_note(heard, n_heard);
        tap_fail(file, line, letters, n_heard, (long long)strlen(letters));
    }
    n_heard = 0;
}
#define EXPECT_HEARD(letters) expect_heard((letters), __FILE__, __LINE__)

static bool begin_with(const ea_allocator_options_t *options, size_t move_bytes, bool has_heap)
{
    ea_allocator_options_t o = options ? *options : (ea_allocator_options_t){0};
    const ea_region_options_t movable = {
        .n_handles = N_HANDLES, .move_bytes = move_bytes, .priority = 1};
    n_heard = 0;
    at_wait = NULL;
    memset(&listener, 0, sizeof listener);
    if (ea_events_init(&events, ring, 16) != EA_OK ||
        ea_events_listen(&events, &listener, EA_EVENTS_ALL, note_event, NULL) != EA_OK)
        return false;
    o.events = &events;
    ram = tap_ram();
    if (init(&a, &o) != EA_OK || ea_allocator_add_region(&a, ram, STORE, &movable) != EA_OK)
        return false;
    store = ea_allocator_store(&a, ram);
    return !has_heap || ea_allocator_add_region(&a, ram + STORE, RAM - STORE, NULL) == EA_OK;
}

static bool begin(size_t move_bytes)
{
    return begin_with(NULL, move_bytes, false);
}

/* Two movable blocks fill the store; where a gap of gap_bytes is freed below the upper one, a block
 * with an address has room if that one moves. */
static ea_movable_handle_t high;
static const size_t high_bytes = 1200;
static void fill(size_t gap_bytes)
{
    ea_movable_stats_t stats;
    ea_movable_stats(store, &stats);
    size_t above = gap_bytes + high_bytes + 3 * EA_MOVABLE_HEADER_BYTES;
    (void)make(stats.free_bytes - above, 'r');
    ea_movable_handle_t gap = make(gap_bytes, 'g');
    high = make(high_bytes, 'h');
    EXPECT_EQ(ea_free_movable(&a, store, gap), EA_OK);
    n_heard = 0;
}

static size_t moved_bytes(void)
{
    ea_movable_stats_t stats;
    ea_movable_stats(store, &stats);
    return stats.moved_bytes;
}

static void expect_whole(void)
{
    EXPECT_EQ(ea_movable_check(store, NULL), EA_OK);
    expect_sound(&a, __FILE__, __LINE__);
}

/* --- callbacks -------------------------------------------------------------------------------- */

static bool reclaim_frees;
static size_t reclaim(void *context, size_t wanted_bytes)
{
    (void)context, (void)wanted_bytes;
    if (!reclaim_frees) return 0;
    EXPECT_EQ(ea_free_movable(&a, store, high), EA_OK);
    return high_bytes;
}

static unsigned n_hook_calls;
static bool hook(void *context, size_t wanted_bytes)
{
    EXPECT_EQ(wanted_bytes >= WANTED, true);
    n_hook_calls++;
    return context != NULL;
}

static ea_handler_verdict_t fail(void *context, const ea_failure_t *failure, void **block)
{
    (void)context, (void)failure, (void)block;
    return EA_HANDLER_FAIL;
}

static ea_reclaimer_t reclaimer;
static void listen_to_all_links(void)
{
    reclaimer = (ea_reclaimer_t){.reclaim = reclaim};
    reclaim_frees = false;
    n_hook_calls = 0;
    EXPECT_EQ(ea_allocator_add_reclaimer(&a, &reclaimer), EA_OK);
    ea_allocator_set_handler(&a, fail, NULL);
}

static const ea_request_t patient = {.timeout_us = 1, .priority = EA_PRIORITY_CRITICAL};

/* --- order ------------------------------------------------------------------------------------ */

TEST(allocator_compacts_after_reclaimers_and_before_all_that_is_dearer, RAM)
{
    REQUIRE(begin(STORE));
    listen_to_all_links();
    ea_movable_handle_t one = make(16, '1'), two = make(100, '2');
    EXPECT_EQ(ea_free_movable(&a, store, one), EA_OK);
    while (ea_allocator_step(&a, 500) == EA_ERR_AGAIN) continue;
    EXPECT_EQ(ea_free_movable(&a, store, two), EA_OK);
    const size_t before = moved_bytes();
    EXPECT(before >= 100);
    fill(1000);
    char *block = ea_malloc_ex(&a, WANTED, &patient);
    REQUIRE(block != NULL);
    EXPECT_HEARD("rc");
    EXPECT(compaction.where == block);
    EXPECT_EQ(compaction.size_bytes, moved_bytes() - before);
    EXPECT(moved_bytes() - before >= high_bytes);
    EXPECT_EQ(stats_of(&a).n_compactions, 1);
    EXPECT_EQ(stats_of(&a).n_compacted, 1);
    EXPECT(is_full_of(high, high_bytes, 'h'));
    expect_whole();
}

TEST(allocator_goes_on_when_compaction_may_move_nothing, RAM)
{
    REQUIRE(begin(0));
    listen_to_all_links();
    fill(1000);
    ea_allocator_stats_t before = stats_of(&a);
    EXPECT(ea_malloc_ex(&a, WANTED, &patient) == NULL);
    EXPECT_HEARD("rcwho");
    EXPECT(compaction.where == NULL && compaction.size_bytes == 0);
    EXPECT_EQ(ea_movable_last_refusal(store), EA_ERR_AGAIN); /* moving would make room */
    ea_failure_t failure;
    ea_allocator_last_failure(&a, &failure);
    EXPECT_EQ(failure.reason, EA_REASON_TIMEOUT);
    EXPECT(ea_malloc(&a, WANTED) == NULL);
    EXPECT_HEARD("rcho");
    ea_allocator_last_failure(&a, &failure);
    EXPECT_EQ(failure.reason, EA_REASON_FRAGMENTED);
    EXPECT_EQ(moved_bytes(), 0);
    ea_allocator_stats_t after = stats_of(&a);
    EXPECT_EQ(after.free_bytes, before.free_bytes);
    EXPECT_EQ(after.n_live, before.n_live);
    EXPECT_EQ(after.n_compactions, before.n_compactions + 2);
    EXPECT_EQ(after.n_compacted, 0);
    expect_whole();
}

TEST(allocator_goes_on_when_there_is_too_little_to_compact, RAM)
{
    REQUIRE(begin(STORE));
    listen_to_all_links();
    fill(400);
    EXPECT(ea_malloc(&a, WANTED) == NULL);
    EXPECT_HEARD("rcho");
    EXPECT_EQ(ea_movable_last_refusal(store), EA_ERR_NO_MEMORY);
    EXPECT_EQ(moved_bytes(), 0);
    ea_failure_t failure;
    ea_allocator_last_failure(&a, &failure);
    EXPECT_EQ(failure.reason, EA_REASON_EXHAUSTED);
    EXPECT(ea_malloc(&a, STORE) == NULL);
    ea_allocator_last_failure(&a, &failure);
    EXPECT_EQ(failure.reason, EA_REASON_TOO_LARGE);
    expect_whole();
}

TEST(allocator_goes_on_when_what_stays_is_in_the_way, RAM)
{
    REQUIRE(begin(STORE));
    listen_to_all_links();
    fill(1000);
    EA_MOVABLE_LOCKED(store, high, char, bytes)
    {
        EXPECT(bytes != NULL);
        char *block = ea_malloc(&a, WANTED); /* below it */
        EXPECT(block != NULL && block < bytes);
        EXPECT_HEARD("");
        EXPECT(ea_malloc(&a, WANTED) == NULL);
        EXPECT_HEARD("rcho");
    }
    expect_whole();
}

TEST(allocator_does_not_compact_where_nothing_is_movable, RAM)
{
    REQUIRE(begin_with(NULL, STORE, true));
    EXPECT_EQ(ea_allocator_remove_region(&a, ram, NULL), EA_OK);
    listen_to_all_links();
    EXPECT(ea_malloc(&a, RAM - STORE) == NULL);
    EXPECT_HEARD("rho");
    EXPECT_EQ(stats_of(&a).n_compactions, 0);
}

TEST(allocator_asks_its_hook_before_it_moves_blocks_itself, RAM)
{
    REQUIRE(begin(STORE));
    listen_to_all_links();
    fill(1000);
    ea_allocator_set_compact(&a, hook, NULL);
    EXPECT(ea_malloc(&a, WANTED) != NULL);
    EXPECT_HEARD("rcc");
    EXPECT_EQ(n_hook_calls, 1);
    EXPECT_EQ(stats_of(&a).n_compactions, 2);
    EXPECT_EQ(stats_of(&a).n_compacted, 1);
}

TEST(allocator_movable_requests_move_at_once_and_not_in_the_chain, RAM)
{
    REQUIRE(begin(0));
    listen_to_all_links();
    fill(1000);
    EXPECT(ea_movable_is_none(ea_malloc_movable(&a, store, 1500, &patient)));
    EXPECT_HEARD("rwho");
    EXPECT_EQ(ea_movable_last_refusal(store), EA_ERR_NO_MEMORY);
    EXPECT_EQ(stats_of(&a).n_compactions, 0);
    ea_failure_t failure;
    ea_allocator_last_failure(&a, &failure);
    EXPECT_EQ(failure.size_bytes, 1500);
    EXPECT(failure.free_bytes >= 1000 && failure.largest_free_bytes < 1500);
    /* Another region of movable blocks is none that the request could have used. */
    const ea_region_options_t movable = {.n_handles = N_HANDLES};
    const size_t free_bytes = failure.free_bytes;
    REQUIRE(ea_allocator_add_region(&a, ram + STORE, RAM - STORE, &movable) == EA_OK);
    EXPECT(ea_movable_is_none(ea_malloc_movable(&a, store, 1500, NULL)));
    ea_allocator_last_failure(&a, &failure);
    EXPECT_EQ(failure.free_bytes, free_bytes);
    /* For a block with an address it is, and the larger of both holes is told. */
    ea_movable_t *other = ea_allocator_store(&a, ram + STORE);
    ea_movable_handle_t most = ea_malloc_movable(&a, other, 600, NULL);
    EXPECT(!ea_movable_is_none(most));
    EXPECT(ea_malloc(&a, 1500) == NULL);
    ea_allocator_last_failure(&a, &failure);
    EXPECT(failure.free_bytes > free_bytes);
    EXPECT(failure.largest_free_bytes > 800);
    EXPECT_EQ(ea_free_movable(&a, other, most), EA_OK);
    /* Nor is a heap. */
    EXPECT_EQ(ea_allocator_remove_region(&a, ram + STORE, NULL), EA_OK);
    REQUIRE(ea_allocator_add_region(&a, ram + STORE, RAM - STORE, NULL) == EA_OK);
    EXPECT(ea_movable_is_none(ea_malloc_movable(&a, store, 1500, NULL)));
    ea_allocator_last_failure(&a, &failure);
    EXPECT_EQ(failure.free_bytes, free_bytes);
    expect_whole();
}

static unsigned n_pressure_events;
static void note_pressure(void *context, const ea_event_t *event)
{
    (void)context, (void)event;
    n_pressure_events++;
}

TEST(allocator_movable_blocks_count_for_pressure, RAM)
{
    static ea_listener_t pressure_listener;
    REQUIRE(begin(0));
    memset(&pressure_listener, 0, sizeof pressure_listener);
    REQUIRE(ea_events_listen(&events, &pressure_listener, EA_EVENT_BIT(EA_EVENT_PRESSURE),
                             note_pressure, NULL) == EA_OK);
    n_pressure_events = 0;
    ea_movable_stats_t stats;
    ea_movable_stats(store, &stats);
    const size_t much = stats.total_bytes * 7 / 8;
    ea_movable_handle_t most = make(much, 'p');
    EXPECT_EQ(n_pressure_events, 1);
    EXPECT_EQ(ea_resize_movable(&a, store, most, 100), EA_OK);
    EXPECT_EQ(n_pressure_events, 2);
    EXPECT_EQ(ea_resize_movable(&a, store, most, much), EA_OK);
    EXPECT_EQ(n_pressure_events, 3);
    EXPECT_EQ(ea_free_movable(&a, store, most), EA_OK);
    EXPECT_EQ(n_pressure_events, 4);
}

/* --- what callbacks free ---------------------------------------------------------------------- */

TEST(allocator_reclaimers_may_free_movable_blocks, RAM)
{
    REQUIRE(begin(0));
    listen_to_all_links();
    fill(16);
    reclaim_frees = true;
    char *block = ea_malloc(&a, WANTED); /* right there where the high block was */
    EXPECT(block != NULL);
    EXPECT_HEARD("r");
    EXPECT_EQ(stats_of(&a).n_reclaimed, 1);
    expect_whole();
}

TEST(allocator_compacts_what_reclaimers_freed, RAM)
{
    REQUIRE(begin(STORE));
    listen_to_all_links();
    fill(16);
    ea_movable_handle_t freed = high;
    EXPECT_EQ(ea_resize_movable(&a, store, freed, 800), EA_OK);
    ea_movable_handle_t top = make(300, 't'); /* above it */
    reclaim_frees = true;
    EXPECT(ea_malloc(&a, WANTED + 100) != NULL);
    EXPECT_HEARD("rc");
    EXPECT(is_full_of(top, 300, 't'));
    expect_whole();
}

static ea_movable_handle_t replaced;
static ea_handler_verdict_t exchange(void *context, const ea_failure_t *failure, void **block)
{
    (void)context, (void)block;
    EXPECT_EQ(failure->size_bytes, WANTED);
    EXPECT_EQ(failure->reason, EA_REASON_EXHAUSTED);
    /* A request that fails in here does not come here again. */
    EXPECT(ea_movable_is_none(ea_malloc_movable(&a, store, 2000, NULL)));
    EXPECT(ea_malloc(&a, 2000) == NULL);
    EXPECT_EQ(ea_free_movable(&a, store, replaced), EA_OK);
    replaced = make(100, 'n');
    return EA_HANDLER_RETRY;
}

TEST(allocator_handler_may_free_and_allocate_movable_blocks, RAM)
{
    REQUIRE(begin(STORE));
    replaced = make(1000, 'o'); /* at the low end: what comes free there has to be moved up */
    (void)make(1000, 'm');
    fill(16);
    ea_allocator_set_handler(&a, exchange, NULL);
    char *block = ea_malloc(&a, WANTED);
    REQUIRE(block != NULL);
    EXPECT_HEARD("choco"); /* the second c and two o are those in the handler */
    EXPECT_EQ(stats_of(&a).n_handled, 1);
    EXPECT(is_full_of(high, high_bytes, 'h'));
    EXPECT(is_full_of(replaced, 100, 'n'));
    expect_whole();
}

static void free_low(void)
{
    EXPECT_EQ(ea_free_movable(&a, store, replaced), EA_OK);
}

TEST(allocator_moves_blocks_for_who_waits, RAM)
{
    REQUIRE(begin(STORE));
    replaced = make(1000, 'o');
    fill(16);
    at_wait = free_low; /* as another task might */
    char *block = ea_malloc_ex(&a, WANTED, &(ea_request_t){.timeout_us = 1});
    EXPECT(block != NULL);
    EXPECT_HEARD("cw");
    EXPECT_EQ(stats_of(&a).n_waited, 1);
    EXPECT(is_full_of(high, high_bytes, 'h'));
    expect_whole();
}

/* --- reserve, budgets ------------------------------------------------------------------------- */

TEST(allocator_compacts_before_it_spends_its_reserve, RAM)
{
    REQUIRE(begin_with(NULL, STORE, true));
    EXPECT_EQ(ea_allocator_set_reserve(&a, 800), EA_OK); /* of the heap: the store has none */
    fill(1000);
    const ea_request_t critical = {.priority = EA_PRIORITY_CRITICAL};
    EXPECT(ea_malloc(&a, 600) != NULL); /* the rest of the heap */
    n_heard = 0;
    EXPECT(ea_malloc_ex(&a, WANTED, &critical) != NULL);
    EXPECT_HEARD("c");
    EXPECT(stats_of(&a).reserve_bytes >= 800);
    EXPECT(ea_malloc_ex(&a, WANTED, &critical) != NULL);
    EXPECT_HEARD("cs");
    EXPECT(stats_of(&a).reserve_bytes < 800);
    /* Movable blocks do not come out of it. */
    EXPECT(ea_movable_is_none(ea_malloc_movable(&a, store, 1200, &critical)));
    EXPECT_HEARD("o");
    expect_whole();
}

#if HAS_OWNERS
static ea_account_t nodes[3];
static ea_accounts_t book;

TEST(allocator_moves_nothing_for_who_cannot_pay, RAM)
{
    REQUIRE(ea_accounts_init(&book, nodes, 3, NULL) == EA_OK);
    const ea_account_options_t of_one = {.limits = {.max = 500}};
    ea_account_t *one = ea_account_create(&book, ea_accounts_root(&book), &of_one);
    const ea_allocator_options_t options = {.accounts = &book};
    const ea_request_t request = {.owner = one};
    REQUIRE(begin_with(&options, STORE, false));
    fill(1000);
    EXPECT(ea_malloc_ex(&a, WANTED, &request) == NULL);
    EXPECT_HEARD("clo");
    EXPECT(ea_movable_is_none(ea_malloc_movable(&a, store, WANTED, &request)));
    EXPECT_HEARD("lo");
    (void)make(296, 'm'); /* free memory is in two pieces now */
    EXPECT_EQ(ea_resize_movable(&a, store, high, high_bytes - 304), EA_OK);
    EXPECT(ea_movable_is_none(ea_malloc_movable(&a, store, 900, &request)));
    EXPECT_HEARD("lo");
    EXPECT_EQ(moved_bytes(), 0);
    EXPECT_EQ(ea_account_committed(one), 0);
    /* What was refused by the store is not charged either. */
    EXPECT(!ea_movable_is_none(ea_malloc_movable(&a, store, 400, &request)));
    EXPECT_EQ(ea_account_committed(one), 400 + EA_MOVABLE_HEADER_BYTES);
    EXPECT(!ea_movable_is_none(ea_malloc_movable(&a, store, 560, NULL)));
    EXPECT(ea_movable_is_none(ea_malloc_movable(&a, store, 80, &request)));
    EXPECT_HEARD("o");
    EXPECT_EQ(ea_account_committed(one), 400 + EA_MOVABLE_HEADER_BYTES);
    expect_whole();
}
#define OWNER_TESTS , &allocator_moves_nothing_for_who_cannot_pay
#else
#define OWNER_TESTS
#endif

/* --- idle time -------------------------------------------------------------------------------- */

TEST(allocator_steps_end_however_many_regions_there_are, RAM)
{
    const ea_region_options_t movable = {.n_handles = N_HANDLES};
    REQUIRE(begin(0));
    REQUIRE(ea_allocator_add_region(&a, ram + STORE, RAM - STORE, &movable) == EA_OK);
    fill(1000); /* there is much to do in one region, and nothing in the other */
    for (unsigned round = 0; round < 4; round++) {
        unsigned n = 0;
        while (ea_allocator_step(&a, 300) == EA_ERR_AGAIN && n < 100) n++;
        EXPECT(n > 0 && n < 100);
        if (round == 1) EXPECT_EQ(ea_free_movable(&a, store, make(16, 'x')), EA_OK);
    }
    EXPECT(is_full_of(high, high_bytes, 'h'));
    EXPECT_EQ(ea_allocator_remove_region(&a, ram + STORE, NULL), EA_OK);
    EXPECT_EQ(ea_allocator_step(&a, 300), EA_ERR_AGAIN);
    EXPECT_EQ(ea_allocator_step(&a, 300), EA_OK);
    expect_whole();
}

/* --- seals ------------------------------------------------------------------------------------ */

#if EA_CFG_CHECK_LEVEL >= 2
TEST(allocator_finds_damage_to_what_it_knows_of_a_region_of_movable_blocks, RAM)
{
    REQUIRE(begin(STORE));
    ea_movable_handle_t handle = make(40, 'm');
    eai_region_slot_t *slot = &a.eai_slots[0];
    void *words[] = {
        &slot->eai_move_bytes,
        &slot->eai_store,
#if HAS_OWNERS
        &slot->eai_owners
#endif
    };
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        unsigned char *byte = words[i];
        *byte ^= 4;
        EXPECT(ea_movable_is_none(ea_malloc_movable(&a, store, 8, NULL)));
        EXPECT_EQ(ea_resize_movable(&a, store, handle, 50), EA_ERR_CORRUPT);
        EXPECT_EQ(ea_free_movable(&a, store, handle), EA_ERR_CORRUPT);
        EXPECT_EQ(ea_allocator_step(&a, 100), EA_ERR_CORRUPT);
        *byte ^= 4;
    }
#if EA_CFG_CHECK_LEVEL >= 3
    EA_MOVABLE_LOCKED(store, handle, uint32_t, payload)
    {
        payload[-1] ^= 0x80000000u; /* its header */
        EXPECT(ea_malloc(&a, 8) == NULL);
        payload[-1] ^= 0x80000000u;
    }
#endif
    EXPECT(is_full_of(handle, 40, 'm'));
    EXPECT_EQ(ea_free_movable(&a, store, handle), EA_OK);
}
#define SEAL_TESTS , &allocator_finds_damage_to_what_it_knows_of_a_region_of_movable_blocks
#else
#define SEAL_TESTS
#endif

TEST_MAIN(&allocator_compacts_after_reclaimers_and_before_all_that_is_dearer,
          &allocator_goes_on_when_compaction_may_move_nothing,
          &allocator_goes_on_when_there_is_too_little_to_compact,
          &allocator_goes_on_when_what_stays_is_in_the_way,
          &allocator_does_not_compact_where_nothing_is_movable,
          &allocator_asks_its_hook_before_it_moves_blocks_itself,
          &allocator_movable_requests_move_at_once_and_not_in_the_chain,
          &allocator_movable_blocks_count_for_pressure,
          &allocator_reclaimers_may_free_movable_blocks, &allocator_compacts_what_reclaimers_freed,
          &allocator_handler_may_free_and_allocate_movable_blocks,
          &allocator_moves_blocks_for_who_waits, &allocator_compacts_before_it_spends_its_reserve,
          &allocator_steps_end_however_many_regions_there_are OWNER_TESTS SEAL_TESTS)
