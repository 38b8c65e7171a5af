/* SPDX-License-Identifier: MIT
 *
 * Regions of movable blocks in an allocator (rows A4, A7): both kinds of blocks from one region,
 * what is moved when memory ends, owners, the chain, walks, life.
 */
#include "movable_region_testing.h"

#define RAM 6144u
#define N_HANDLES 32u
#define MOVE_BYTES 2048u

static char *ram;
static size_t ram_bytes;

static bool add(size_t size_bytes, size_t move_bytes)
{
    const ea_region_options_t options = {.n_handles = N_HANDLES, .move_bytes = move_bytes};
    ram = tap_ram();
    ram_bytes = size_bytes;
    if (ea_allocator_add_region(&a, ram, size_bytes, &options) != EA_OK) return false;
    store = ea_allocator_store(&a, ram);
    return store != NULL;
}

static bool begin(size_t move_bytes)
{
    const ea_allocator_options_t options = {.secret = 0x1234567u};
    return init(&a, &options) == EA_OK && add(RAM, move_bytes);
}

static void expect_whole(void)
{
    ea_movable_fault_t fault;
    EXPECT_EQ(ea_movable_check(store, &fault), EA_OK);
    expect_sound(&a, __FILE__, __LINE__);
}

/* Two movable blocks, the lower of which is free again: what a block with an address needs is at
 * the wrong end. */
static ea_movable_handle_t high;
static size_t high_bytes;
static void fill_from_the_end(void)
{
    ea_movable_stats_t stats;
    ea_movable_stats(store, &stats);
    high_bytes = 1800;
    size_t above = 1504 + high_bytes + 3 * EA_MOVABLE_HEADER_BYTES;
    EXPECT(!ea_movable_is_none(make(stats.free_bytes - above, 'r')));
    ea_movable_handle_t low = make(1504, 'l');
    high = make(high_bytes, 'h');
    EXPECT(!ea_movable_is_none(high));
    EXPECT_EQ(ea_free_movable(&a, store, low), EA_OK);
}

/* --- both kinds ------------------------------------------------------------------------------- */

TEST(allocator_movable_and_fixed_blocks_come_from_the_two_ends, RAM)
{
    REQUIRE(begin(MOVE_BYTES));
    ea_movable_handle_t handle = make(100, 'm');
    char *block = ea_malloc(&a, 200), *second = ea_malloc(&a, 30);
    REQUIRE(block && second && !ea_movable_is_none(handle));
    EXPECT(is_aligned(block, EA_HEAP_ALIGN) && is_aligned(second, EA_HEAP_ALIGN));
    EXPECT(second < block && block + 200 <= ram + RAM);
    fill_with(block, 200, 1);
    fill_with(second, 30, 2);
    EXPECT(ea_usable_size_bytes(&a, block) >= 200);
    ea_block_info_t info;
    EXPECT_EQ(ea_block_info(&a, block, &info), EA_OK);
    EXPECT(info.region == ram);
    EXPECT(is_full_of(handle, 100, 'm'));
    expect_whole();
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT(is_filled_with(second, 30, 2));
    EXPECT_EQ(ea_free(&a, second), EA_OK);
    EXPECT_EQ(ea_free_movable(&a, store, handle), EA_OK);
    EXPECT_EQ(ea_free_movable(&a, store, handle), EA_ERR_NOT_FOUND);
    size_t n = 1;
    EXPECT_EQ(ea_allocator_deinit(&a, &n), EA_OK);
    EXPECT_EQ(n, 0);
}

TEST(allocator_moves_blocks_out_of_the_way_before_it_refuses, RAM)
{
    REQUIRE(begin(MOVE_BYTES));
    fill_from_the_end();
    ea_allocator_stats_t before = stats_of(&a);
    ea_movable_stats_t moved;
    char *block = ea_malloc(&a, 700); /* the high block slides */
    REQUIRE(block != NULL);
    ea_movable_stats(store, &moved);
    EXPECT(moved.moved_bytes >= high_bytes);
    EXPECT(is_full_of(high, high_bytes, 'h'));
#if EA_CFG_ALLOC_REPORT
    ea_allocator_stats_t after = stats_of(&a);
    EXPECT_EQ(after.n_compactions, before.n_compactions + 1);
    EXPECT_EQ(after.n_compacted, before.n_compacted + 1);
    EXPECT_EQ(after.n_failures, 0);
#endif
    (void)before;
    fill_with(block, 700, 3);
    expect_whole();
    EXPECT(is_filled_with(block, 700, 3));
    EXPECT_EQ(ea_free(&a, block), EA_OK);
}

TEST(allocator_moves_no_more_than_the_region_allows, RAM)
{
    REQUIRE(begin(100));
    fill_from_the_end();
    EXPECT(ea_malloc(&a, 700) == NULL);
    ea_movable_stats_t stats;
    ea_movable_stats(store, &stats);
    EXPECT_EQ(stats.moved_bytes, 0);
#if EA_CFG_ALLOC_REPORT
    EXPECT_EQ(stats_of(&a).n_failures_by[EA_REASON_FRAGMENTED], 1);
    EXPECT_EQ(stats_of(&a).n_compacted, 0);
#endif
    unsigned n = 0;
    while (ea_allocator_step(&a, 256) == EA_ERR_AGAIN && n < 1000) n++; /* idle time does it */
    EXPECT(n > 0 && n < 1000);
    EXPECT_EQ(ea_allocator_step(&a, 256), EA_ERR_AGAIN);
    char *block = ea_malloc(&a, 700);
    EXPECT(block != NULL);
    EXPECT(is_full_of(high, high_bytes, 'h'));
    expect_whole();
}

TEST(allocator_movable_regions_align_what_is_asked_for, RAM)
{
    REQUIRE(begin(MOVE_BYTES));
    for (size_t alignment = 1; alignment <= 256; alignment *= 2) {
        char *block = ea_aligned_alloc(&a, alignment, 33);
        REQUIRE(block != NULL);
        EXPECT(is_aligned(block, alignment));
        fill_with(block, 33, 4);
        EXPECT(is_filled_with(block, 33, 4));
        expect_whole();
        if (alignment % 16 == 0) EXPECT_EQ(ea_free(&a, block), EA_OK);
    }
}

TEST(allocator_realloc_in_a_movable_region_keeps_contents, RAM)
{
    REQUIRE(begin(MOVE_BYTES));
    char *block = ea_malloc(&a, 60);
    REQUIRE(block != NULL);
    fill_with(block, 60, 5);
    char *larger = ea_realloc(&a, block, 400);
    REQUIRE(larger != NULL);
    EXPECT(is_filled_with(larger, 60, 5));
    char *smaller = ea_realloc(&a, larger, 20);
    REQUIRE(smaller != NULL);
    EXPECT(is_filled_with(smaller, 20, 5));
    EXPECT(ea_realloc(&a, smaller, RAM) == NULL);
    EXPECT_EQ(ea_free(&a, smaller), EA_OK);
    expect_whole();
}

TEST(allocator_realloc_to_less_succeeds_in_a_movable_region_that_is_full, RAM)
{
    REQUIRE(begin(MOVE_BYTES));
    char *block = ea_malloc(&a, 1000);
    REQUIRE(block != NULL);
    fill_with(block, 1000, 6);
    while (ea_malloc(&a, 1) != NULL) continue;
    ea_allocator_stats_t before = stats_of(&a);
    EXPECT(ea_realloc(&a, block, 999) == block);
    EXPECT(ea_realloc(&a, block, 600) == block);
    EXPECT(ea_realloc(&a, block, 100) == block); /* there is no smaller place */
    EXPECT(ea_aligned_realloc(&a, block, 2048, 80) == NULL);
    EXPECT(is_filled_with(block, 100, 6));
    if (EA_CFG_GUARD >= 1) EXPECT_EQ(ea_usable_size_bytes(&a, block), 100);
    EXPECT_EQ(stats_of(&a).n_live, before.n_live);
    EXPECT_EQ(stats_of(&a).free_bytes, before.free_bytes);
    expect_whole();
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    block = ea_malloc(&a, 600);
    REQUIRE(block != NULL);
    char *less = ea_realloc(&a, block, 100); /* now there is */
    EXPECT(less != NULL && less != block);
    EXPECT(stats_of(&a).free_bytes > 700);
    expect_whole();
}

TEST(allocator_movable_blocks_are_resized, RAM)
{
    REQUIRE(begin(MOVE_BYTES));
    ea_movable_handle_t one = make(40, '1'), two = make(40, '2');
    EXPECT_EQ(ea_resize_movable(&a, store, one, 300), EA_OK);
    EXPECT(is_full_of(one, 40, '1') && is_full_of(two, 40, '2'));
    EXPECT(ea_movable_size_bytes(store, one) >= 300);
    EXPECT_EQ(ea_resize_movable(&a, store, one, RAM), EA_ERR_TOO_LARGE);
    EXPECT_EQ(ea_resize_movable(&a, store, one, SIZE_MAX), EA_ERR_TOO_LARGE);
    EXPECT_EQ(ea_resize_movable(&a, store, one, 8), EA_OK);
    EXPECT_EQ(ea_free_movable(&a, store, one), EA_OK);
    EXPECT_EQ(ea_resize_movable(&a, store, one, 8), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_resize_movable(&a, NULL, two, 8), EA_ERR_NOT_FOUND);
}

/* --- misuse ----------------------------------------------------------------------------------- */

TEST(allocator_movable_regions_refuse_what_is_no_block, RAM)
{
    REQUIRE(begin(MOVE_BYTES));
    ea_movable_handle_t handle = make(64, 'm');
    char *block = ea_malloc(&a, 64);
    REQUIRE(block != NULL);
    EA_MOVABLE_LOCKED(store, handle, char, bytes)
    {
        EXPECT(ea_free(&a, bytes) != EA_OK); /* a movable block has a handle */
        EXPECT_EQ(ea_free_movable(&a, store, handle), EA_ERR_BUSY);
    }
    EXPECT(ea_free(&a, block + EA_HEAP_ALIGN) != EA_OK);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_EQ(ea_free(&a, block), EA_ERR_DOUBLE_FREE);
    EXPECT(ea_movable_is_none(ea_malloc_movable(&a, NULL, 8, NULL)));
    EXPECT(ea_movable_is_none(ea_malloc_movable(&a, (ea_movable_t *)(void *)ram_bytes, 8, NULL)));
    EXPECT_EQ(ea_free_movable(&a, NULL, handle), EA_ERR_NOT_FOUND);
    EXPECT(ea_allocator_store(&a, ram + 8) == NULL);
    EXPECT_EQ(ea_free_movable(&a, store, handle), EA_OK);
    expect_whole();
}

TEST(allocator_movable_regions_refuse_options_they_cannot_have, RAM)
{
    REQUIRE(init(&a, NULL) == EA_OK);
    ea_region_options_t options = {.n_handles = N_HANDLES, .line_bytes = 64};
    EXPECT_EQ(ea_allocator_add_region(&a, tap_ram(), RAM, &options), EA_ERR_INVALID);
    options.line_bytes = 0, options.span_bytes = 2 * RAM;
    EXPECT_EQ(ea_allocator_add_region(&a, tap_ram(), RAM, &options), EA_ERR_INVALID);
    options.span_bytes = 0, options.n_handles = EA_MOVABLE_MAX_HANDLES + 1u;
    EXPECT_EQ(ea_allocator_add_region(&a, tap_ram(), RAM, &options), EA_ERR_INVALID);
    options.n_handles = EA_MOVABLE_MAX_HANDLES; /* more than there is room for */
    EXPECT_EQ(ea_allocator_add_region(&a, tap_ram(), RAM, &options), EA_ERR_INVALID);
#if EA_CFG_HEAP_STATS
    options = (ea_region_options_t){
        .n_handles = N_HANDLES, .capabilities = EA_CAP_DMA, .reserve_bytes = 64};
    EXPECT_EQ(ea_allocator_add_region(&a, tap_ram(), RAM, &options), EA_ERR_INVALID);
#endif
    REQUIRE(add(RAM, 0));
    EXPECT_EQ(ea_allocator_grow_region(&a, ram, 2 * RAM), EA_ERR_INVALID);
    EXPECT_EQ(ea_allocator_shrink_region(&a, ram, RAM / 2), EA_ERR_INVALID);
}

TEST(allocator_movable_regions_too_small_for_anything_are_refused, RAM)
{
    const ea_region_options_t options = {.n_handles = 1, .move_bytes = MOVE_BYTES};
    unsigned char *mem = tap_ram();
    size_t n = 0;
    REQUIRE(init(&a, NULL) == EA_OK);
    for (ea_status_t status = EA_ERR_INVALID; status != EA_OK && n < RAM; n++) {
        memset(mem, 0xA5, RAM);
        status = ea_allocator_add_region(&a, mem, n, &options);
        for (size_t i = n; i < RAM; i++)
            if (mem[i] != 0xA5) EXPECT(!"written outside");
        if (status != EA_OK) EXPECT_EQ(status, EA_ERR_INVALID);
    }
    EXPECT(n > EA_MOVABLE_HEADER_BYTES && n < RAM);
    store = ea_allocator_store(&a, mem);
    expect_whole();
    EXPECT_EQ(ea_free_movable(&a, store, make(1, 'o')), EA_OK);
}

#if EA_CFG_ALLOC_REGIONS > 1
/* That the one before it in its place was done says nothing of it. */
TEST(allocator_steps_compact_a_region_that_is_added_while_others_are_compacted, RAM)
{
    const ea_region_options_t options = {.n_handles = 8};
    char *mem = tap_ram();
    ea_movable_stats_t stats;
    REQUIRE(init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, mem, RAM / 2, &options) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, mem + RAM / 2, RAM / 2, &options) == EA_OK);
    for (int round = 0; round < 2; round++) { /* a hole in the second one, then in the first one */
        store = ea_allocator_store(&a, round == 0 ? mem + RAM / 2 : mem);
        ea_movable_handle_t low = make(400, 'l');
        (void)make(300, 'h');
        EXPECT_EQ(ea_free_movable(&a, store, low), EA_OK);
        if (round == 1) break;
        for (int i = 0; i < 3; i++) EXPECT_EQ(ea_allocator_step(&a, 40), EA_ERR_AGAIN);
        REQUIRE(ea_allocator_remove_region(&a, mem, NULL) == EA_OK);
        REQUIRE(ea_allocator_add_region(&a, mem, RAM / 2, &options) == EA_OK);
    }
    for (int i = 0; i < 100 && ea_allocator_step(&a, 40) != EA_OK; i++) continue;
    ea_movable_stats(store, &stats);
    EXPECT_EQ(stats.n_moves, 1);
}
#define REGIONS_TESTS , &allocator_steps_compact_a_region_that_is_added_while_others_are_compacted
#else
#define REGIONS_TESTS
#endif

TEST(allocator_movable_regions_are_removed_when_nothing_lives_in_them, RAM)
{
    REQUIRE(begin(0));
    size_t n = 0;
    ea_heap_stats_t stats;
    ea_movable_handle_t handle = make(64, 'm');
    char *block = ea_malloc(&a, 64);
    EXPECT_EQ(ea_allocator_remove_region(&a, ram, &n), EA_ERR_BUSY);
    EXPECT_EQ(n, 2);
    EXPECT_EQ(ea_allocator_region_stats(&a, ram, &stats), EA_OK);
    EXPECT(stats.n_live == 2 && stats.free_bytes < stats.total_bytes);
    EXPECT_EQ(ea_allocator_deinit(&a, &n), EA_ERR_BUSY);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_EQ(ea_free_movable(&a, store, handle), EA_OK);
    EXPECT_EQ(ea_allocator_remove_region(&a, ram, &n), EA_OK);
    EXPECT(ea_allocator_store(&a, ram) == NULL);
    EXPECT(ea_malloc(&a, 8) == NULL);
    REQUIRE(add(RAM, 0)); /* and added again */
    EXPECT((block = ea_malloc(&a, 64)) != NULL);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
}

/* --- beside other regions --------------------------------------------------------------------- */

static size_t reclaim_high(void *context, size_t wanted_bytes)
{
    size_t *n = context;
    *n += wanted_bytes;
    return ea_free_movable(&a, store, high) == EA_OK ? high_bytes : 0;
}

TEST(allocator_serves_movable_requests_by_way_of_the_chain, RAM)
{
    REQUIRE(begin(0));
    fill_from_the_end();
#if EA_CFG_ALLOC_RECLAIM
    size_t n_wanted = 0;
    ea_reclaimer_t reclaimer = {.reclaim = reclaim_high, .context = &n_wanted};
    REQUIRE(ea_allocator_add_reclaimer(&a, &reclaimer) == EA_OK);
    ea_movable_handle_t handle = ea_malloc_movable(&a, store, 1600, NULL);
    EXPECT(!ea_movable_is_none(handle));
    EXPECT_EQ(n_wanted, 1600);
    EXPECT(ea_movable_is_none(ea_malloc_movable(&a, store, 3000, NULL)));
    EXPECT_EQ(ea_allocator_remove_reclaimer(&a, &reclaimer), EA_OK);
#else
    (void)reclaim_high;
    EXPECT(ea_movable_is_none(ea_malloc_movable(&a, store, 1600, NULL)));
#endif
#if EA_CFG_ALLOC_REPORT
    EXPECT_EQ(stats_of(&a).n_failures, 1);
#endif
    expect_whole();
}

#if HAS_OWNERS
static ea_account_t nodes[3];
static ea_accounts_t book;

TEST(allocator_owners_pay_for_movable_blocks, RAM)
{
    const ea_account_limits_t all = {.max = RAM};
    const ea_account_options_t of_one = {.limits = {.max = 400}};
    REQUIRE(ea_accounts_init(&book, nodes, 3, &all) == EA_OK);
    ea_account_t *one = ea_account_create(&book, ea_accounts_root(&book), &of_one);
    ea_account_t *two = ea_account_create(&book, ea_accounts_root(&book), NULL);
    const ea_allocator_options_t options = {.accounts = &book, .strict_owner = true};
    REQUIRE(init(&a, &options) == EA_OK && add(RAM, MOVE_BYTES));
    const ea_request_t request = {.owner = one}, other = {.owner = two};
    ea_movable_handle_t handle = ea_malloc_movable(&a, store, 302, &request);
    size_t gross = 304 + EA_MOVABLE_HEADER_BYTES;
    EXPECT_EQ(ea_account_committed(one), gross);
    EXPECT(ea_movable_is_none(ea_malloc_movable(&a, store, 100, &request)));
#if EA_CFG_ALLOC_REPORT
    EXPECT_EQ(stats_of(&a).n_failures_by[EA_REASON_OVER_LIMIT], 1);
#endif
    EXPECT_EQ(ea_account_committed(one), gross);
    EXPECT_EQ(ea_resize_movable(&a, store, handle, 500), EA_ERR_LIMIT);
    EXPECT_EQ(ea_resize_movable(&a, store, handle, 64), EA_OK);
    EXPECT_EQ(ea_account_committed(one), 64 + EA_MOVABLE_HEADER_BYTES);
    EXPECT_EQ(ea_resize_movable(&a, store, handle, 65), EA_OK);
    EXPECT_EQ(ea_account_committed(one), 64 + EA_MOVABLE_ALIGN + EA_MOVABLE_HEADER_BYTES);
    EXPECT_EQ(ea_resize_movable(&a, store, handle, SIZE_MAX), EA_ERR_LIMIT);
    EXPECT_EQ(ea_resize_movable(&a, store, handle, 304), EA_OK);
    EXPECT_EQ(ea_account_committed(one), gross);
    ea_movable_handle_t theirs = ea_malloc_movable(&a, store, 8, &other);
    EA_OWNER_SCOPE(one)
    {
        EXPECT_EQ(ea_free_movable(&a, store, theirs), EA_ERR_NOT_OWNER);
    }
    /* Owners of another book are nobody here. */
    static ea_account_t other_nodes[2];
    static ea_accounts_t other_book;
    REQUIRE(ea_accounts_init(&other_book, other_nodes, 2, NULL) == EA_OK);
    EA_OWNER_SCOPE(ea_account_create(&other_book, ea_accounts_root(&other_book), NULL))
    {
        EXPECT_EQ(ea_free_movable(&a, store, theirs), EA_OK);
    }
    EXPECT_EQ(ea_account_committed(two), 0);
    char *block = ea_malloc_ex(&a, 20, &request);
    EXPECT(block != NULL && ea_account_committed(one) > gross + 20);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_EQ(ea_free_movable(&a, store, handle), EA_OK);
    EXPECT_EQ(ea_account_committed(one), 0);
}

static unsigned n_seen;
static void see(void *context, const ea_block_info_t *info)
{
    (void)context;
    n_seen += info->region == ram;
}

TEST(allocator_walks_and_frees_the_fixed_blocks_of_an_owner, RAM)
{
    REQUIRE(ea_accounts_init(&book, nodes, 3, NULL) == EA_OK);
    ea_account_t *one = ea_account_create(&book, ea_accounts_root(&book), NULL);
    const ea_allocator_options_t options = {.accounts = &book};
    REQUIRE(init(&a, &options) == EA_OK && add(RAM, MOVE_BYTES));
    const ea_request_t request = {.owner = one};
    ea_movable_handle_t handle = make(60, 'm');
    for (unsigned i = 0; i < 20; i++) {
        EXPECT(ea_malloc_ex(&a, 20 + i, &request) != NULL);
        if (i % 4 == 0) EXPECT(ea_malloc(&a, 9) != NULL);
    }
    ea_allocator_cursor_t cursor = {0};
    ea_status_t status;
    unsigned n_calls = 0;
    n_seen = 0;
    while ((status = ea_allocator_walk(&a, 0, &cursor, 1, see, NULL)) == EA_ERR_AGAIN) n_calls++;
    EXPECT_EQ(status, EA_OK);
    EXPECT_EQ(n_seen, 25);
    EXPECT(n_calls >= 3);
    cursor = (ea_allocator_cursor_t){0};
    size_t n_freed = 0;
    do status = ea_free_all(&a, ea_account_id(one), &cursor, 4, &n_freed);
    while (status == EA_ERR_AGAIN);
    EXPECT_EQ(status, EA_OK);
    EXPECT_EQ(n_freed, 20);
    EXPECT_EQ(ea_account_committed(one), 0);
    EXPECT(is_full_of(handle, 60, 'm'));
    expect_whole();
}
#define OWNER_TESTS                                                                                \
    , &allocator_owners_pay_for_movable_blocks,                                                    \
        &allocator_walks_and_frees_the_fixed_blocks_of_an_owner
#else
#define OWNER_TESTS
#endif

/* --- for long --------------------------------------------------------------------------------- */

TEST(allocator_movable_regions_hold_for_long, RAM)
{
    enum { N = 24 };
    char *fixed[N] = {0};
    ea_movable_handle_t handles[N] = {{0}};
    size_t sizes[N] = {0};
    uint32_t random = 1;
    unsigned n_refused = 0;
    REQUIRE(begin(MOVE_BYTES));
    for (unsigned i = 0; i < 6000; i++) {
        random = random * 1664525u + 1013904223u;
        unsigned k = (random >> 8) % N;
        size_t size = 1 + (random >> 16) % 180;
        if (i % 3 == 0) { /* a third of the requests */
            if (fixed[k] && !is_filled_with(fixed[k], 1, k)) EXPECT(!"contents of a fixed block");
            EXPECT_EQ(ea_free(&a, fixed[k]), EA_OK);
            fixed[k] = ea_malloc(&a, size);
            if (fixed[k])
                fill_with(fixed[k], size, k);
            else
                n_refused++;
        } else {
            if (!ea_movable_is_none(handles[k])) {
                if (!is_full_of(handles[k], sizes[k], (int)k)) EXPECT(!"contents");
                EXPECT_EQ(ea_free_movable(&a, store, handles[k]), EA_OK);
            }
            handles[k] = try_make(size, (int)k);
            sizes[k] = size;
            n_refused += ea_movable_is_none(handles[k]);
        }
        if (i % 64 == 0) expect_whole();
        if (i % 8 == 0) (void)ea_allocator_step(&a, 128);
    }
    EXPECT(n_refused < 600);
    for (unsigned k = 0; k < N; k++) {
        EXPECT_EQ(ea_free(&a, fixed[k]), EA_OK);
        if (!ea_movable_is_none(handles[k]))
            EXPECT_EQ(ea_free_movable(&a, store, handles[k]), EA_OK);
    }
    EXPECT_EQ(ea_allocator_deinit(&a, NULL), EA_OK);
}

TEST_MAIN(&allocator_movable_and_fixed_blocks_come_from_the_two_ends,
          &allocator_moves_blocks_out_of_the_way_before_it_refuses,
          &allocator_moves_no_more_than_the_region_allows,
          &allocator_movable_regions_align_what_is_asked_for,
          &allocator_realloc_in_a_movable_region_keeps_contents,
          &allocator_realloc_to_less_succeeds_in_a_movable_region_that_is_full,
          &allocator_movable_blocks_are_resized, &allocator_movable_regions_refuse_what_is_no_block,
          &allocator_movable_regions_refuse_options_they_cannot_have,
          &allocator_movable_regions_too_small_for_anything_are_refused,
          &allocator_movable_regions_are_removed_when_nothing_lives_in_them,
          &allocator_serves_movable_requests_by_way_of_the_chain,
          &allocator_movable_regions_hold_for_long REGIONS_TESTS OWNER_TESTS)
