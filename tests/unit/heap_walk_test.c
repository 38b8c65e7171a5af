/* SPDX-License-Identifier: MIT
 *
 * The heap's contracts: the walk and the check that share a heap with its users, and the histogram.
 */
#include "heap_testing.h"

#define N_BLOCKS 12
#define ROOM 8192u

static ea_heap_t *new_heap(void)
{
    return ea_heap_init(tap_ram(), ROOM, NULL);
}

/* What a walk has seen of the blocks a test keeps. */
typedef struct {
    char *kept[N_BLOCKS];
    unsigned n_seen[N_BLOCKS];
    char *grown; /* to be freed, not to be counted */
    const char *last;
    size_t n_visits, n_used, payload_bytes;
    bool ascends;
    const void *second_region; /* blocks above its address must name it, the others not */
    size_t n_misplaced;
} watch_t;

static void visit(void *context, const ea_heap_block_t *block)
{
    watch_t *watch = context;
    if ((const char *)block->payload <= watch->last) watch->ascends = false;
    watch->last = block->payload;
    watch->n_visits++;
    watch->n_used += block->used;
    watch->payload_bytes += block->payload_bytes;
    bool in_second = watch->second_region != NULL && block->payload > watch->second_region;
    watch->n_misplaced += (block->region == watch->second_region) != in_second;
    for (int i = 0; i < N_BLOCKS; i++) {
        if (block->used && watch->kept[i] == block->payload) watch->n_seen[i]++;
    }
}

static void fill_blocks(ea_heap_t *heap, watch_t *watch, size_t size)
{
    *watch = (watch_t){.ascends = true};
    for (int i = 0; i < N_BLOCKS; i++) watch->kept[i] = ea_heap_alloc(heap, size + (size_t)i);
}

static ea_status_t walk_to_the_end(ea_heap_t *heap, ea_heap_cursor_t *cursor, watch_t *watch)
{
    ea_status_t status = EA_ERR_AGAIN;
    for (int i = 0; i < 1000 && status == EA_ERR_AGAIN; i++) {
        status = ea_heap_walk(heap, cursor, 1, visit, watch);
    }
    return status;
}

TEST(heap_walk_sees_every_block_once_in_address_order, ROOM)
{
    for (size_t max_steps = 1; max_steps < 40; max_steps++) {
        ea_heap_t *heap = new_heap();
        REQUIRE(heap != NULL);
        watch_t watch;
        fill_blocks(heap, &watch, 30);
        EXPECT_EQ(ea_heap_free(heap, watch.kept[3]), EA_OK);
        EXPECT_EQ(ea_heap_free(heap, watch.kept[7]), EA_OK);
        EXPECT_EQ(ea_heap_free(heap, watch.kept[8]), EA_OK);
        ea_heap_cursor_t cursor = {0};
        ea_status_t status;
        do {
            size_t before = watch.n_visits;
            status = ea_heap_walk(heap, &cursor, max_steps, visit, &watch);
            /* A walk rests on used blocks only, so it visits the free ones it would stop at. */
            EXPECT(watch.n_visits - before <= max_steps + (HAS_QUICK_LISTS ? 2 : 1));
            EXPECT(watch.n_visits > before || status == EA_OK);
            EXPECT_SOUND(heap);
        } while (status == EA_ERR_AGAIN && watch.n_visits < 100);
        EXPECT_EQ(status, EA_OK);
        EXPECT(watch.ascends);
        EXPECT_EQ(watch.n_used, N_BLOCKS - 3);
        for (int i = 0; i < N_BLOCKS; i++) {
            EXPECT_EQ(watch.n_seen[i], i != 3 && i != 7 && i != 8);
        }
        EXPECT_EQ(watch.payload_bytes + watch.n_visits * EA_HEAP_OVERHEAD_BYTES,
                  stats_of(heap).total_bytes);
    }
}

TEST(heap_walk_names_the_region_of_a_block, ROOM)
{
    ea_heap_options_t options = {ROOM, EA_FIT_GOOD};
    ea_heap_t *heap = ea_heap_init(tap_ram(), 2048, &options);
    REQUIRE(heap != NULL);
    char *second = (char *)tap_ram() + 4096;
    REQUIRE(ea_heap_add_region(heap, second, 1024) == EA_OK);
    watch_t watch;
    fill_blocks(heap, &watch, 100);
    watch.second_region = second;
    ea_heap_cursor_t cursor = {0};
    EXPECT_EQ(walk_to_the_end(heap, &cursor, &watch), EA_OK);
    EXPECT_EQ(watch.n_used, N_BLOCKS);
    EXPECT_EQ(watch.n_misplaced, 0);
    EXPECT(watch.ascends);
    EXPECT(watch.last > second && watch.last < second + 1024);
}

/* Walk n steps, do something to block i, walk on: who lives throughout is seen once. */
typedef void change_t(ea_heap_t *heap, watch_t *watch, int i);

static void walk_with_change_at(change_t *change, size_t size, int n, int i)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    watch_t watch;
    fill_blocks(heap, &watch, size);
    ea_heap_cursor_t cursor = {0}, again = {0};
    ea_status_t status = EA_ERR_AGAIN;
    for (int k = 0; k < n && status == EA_ERR_AGAIN; k++) {
        status = ea_heap_walk(heap, &cursor, 1, visit, &watch);
    }
    change(heap, &watch, i);
    EXPECT_SOUND(heap);
    if (status == EA_ERR_AGAIN) status = walk_to_the_end(heap, &cursor, &watch);
    EXPECT_EQ(status, EA_OK);
    EXPECT(watch.ascends);
    EXPECT_SOUND(heap);
    for (int k = 0; k < N_BLOCKS; k++) {
        if (watch.kept[k] == NULL) continue;
        EXPECT_EQ(watch.n_seen[k], 1);
        EXPECT_EQ(ea_heap_free(heap, watch.kept[k]), EA_OK);
    }
    if (watch.grown != NULL) EXPECT_EQ(ea_heap_free(heap, watch.grown), EA_OK);
    EXPECT(is_whole(heap));
    EXPECT_EQ(walk_to_the_end(heap, &again, &watch), EA_OK);
}

static void walk_with_change(change_t *change, size_t size)
{
    for (int n = 0; n <= N_BLOCKS + 1; n++) {
        for (int i = 0; i < N_BLOCKS; i++) walk_with_change_at(change, size, n, i);
    }
}

static void free_one(ea_heap_t *heap, watch_t *watch, int i)
{
    EXPECT_EQ(ea_heap_free(heap, watch->kept[i]), EA_OK);
    watch->kept[i] = NULL;
}

static void free_with_neighbours(ea_heap_t *heap, watch_t *watch, int i)
{
    free_one(heap, watch, i);
    if (i > 0) free_one(heap, watch, i - 1);
    if (i + 1 < N_BLOCKS) free_one(heap, watch, i + 1);
}

static void free_the_rest_upwards(ea_heap_t *heap, watch_t *watch, int i)
{
    for (int k = i; k < N_BLOCKS; k++) free_one(heap, watch, k);
}

static void shrink_one(ea_heap_t *heap, watch_t *watch, int i)
{
    EXPECT(ea_heap_realloc(heap, watch->kept[i], 1) == watch->kept[i]);
}

/* Where a growing block is seen depends on the place it grows to: it is not counted. */
static void grow(ea_heap_t *heap, watch_t *watch, int i)
{
    watch->grown = ea_heap_realloc(heap, watch->kept[i], BIG + BIG / 2);
    EXPECT(watch->grown != NULL);
    watch->kept[i] = NULL;
}

static void grow_over_the_one_above(ea_heap_t *heap, watch_t *watch, int i)
{
    if (i + 1 < N_BLOCKS) free_one(heap, watch, i + 1);
    grow(heap, watch, i);
}

static void grow_over_the_one_below(ea_heap_t *heap, watch_t *watch, int i)
{
    if (i > 0) free_one(heap, watch, i - 1);
    grow(heap, watch, i);
}

static void take_what_is_free(ea_heap_t *heap, watch_t *watch, int i)
{
    (void)i;
    watch->grown = ea_heap_alloc(heap, ea_heap_largest_free_bytes(heap));
    EXPECT(watch->grown != NULL);
}

TEST(heap_walk_survives_the_free_of_any_block, ROOM)
{
    walk_with_change(free_one, 30);
    walk_with_change(free_with_neighbours, 30);
    walk_with_change(free_the_rest_upwards, 30);
}

TEST(heap_walk_survives_merging_at_once, ROOM)
{
    walk_with_change(free_with_neighbours, BIG / 2);
}

TEST(heap_walk_survives_shrinking, ROOM)
{
    walk_with_change(shrink_one, 60);
}

TEST(heap_walk_survives_growth_in_place_and_away, ROOM)
{
    walk_with_change(grow_over_the_one_above, 100);
    walk_with_change(grow_over_the_one_below, 100);
    walk_with_change(take_what_is_free, 100);
}

TEST(heap_has_one_walk_at_a_time, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    watch_t watch;
    fill_blocks(heap, &watch, 30);
    ea_heap_cursor_t first = {0}, second = {0};
    EXPECT_EQ(ea_heap_walk(heap, &first, 2, visit, &watch), EA_ERR_AGAIN);
    EXPECT_EQ(ea_heap_walk(heap, &second, 2, visit, &watch), EA_ERR_BUSY);
    EXPECT_EQ(ea_heap_check_step(heap, &second, 2, NULL), EA_ERR_BUSY);
    EXPECT_EQ(watch.n_visits, 2);
    EXPECT_SOUND(heap); /* the whole check is not a walk */
    ea_heap_walk_end(heap);
    EXPECT_SOUND(heap);
    EXPECT_EQ(ea_heap_walk(heap, &second, 2, visit, &watch), EA_ERR_AGAIN);
    EXPECT_EQ(watch.n_visits, 4);
    /* The abandoned one has ended and does not disturb the new one. */
    EXPECT(ea_heap_walk(heap, &first, 2, visit, &watch) != EA_ERR_AGAIN);
    EXPECT_EQ(watch.n_visits, 4);
    EXPECT_EQ(walk_to_the_end(heap, &second, &watch), EA_OK);
    EXPECT_EQ(watch.n_used, N_BLOCKS + 2);
}

/* The number that tells a walk from the one before it is small and comes round. */
TEST(heap_walk_can_be_resumed_however_many_there_were, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    watch_t watch;
    fill_blocks(heap, &watch, 30);
    unsigned n_wrong = 0;
    for (uint32_t i = 0; i <= UINT16_MAX; i++) {
        ea_heap_cursor_t cursor = {0};
        for (size_t steps = 0; steps < 2; steps++)
            n_wrong += ea_heap_walk(heap, &cursor, steps, visit, &watch) != EA_ERR_AGAIN;
        ea_heap_walk_end(heap);
    }
    EXPECT_EQ(n_wrong, 0);
    EXPECT_EQ(watch.n_visits, UINT16_MAX + 1);
}

TEST(heap_walk_ends_with_a_reset, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    watch_t watch;
    fill_blocks(heap, &watch, 30);
    ea_heap_cursor_t cursor = {0}, next = {0};
    EXPECT_EQ(ea_heap_walk(heap, &cursor, 5, visit, &watch), EA_ERR_AGAIN);
    ea_heap_reset(heap);
    EXPECT_EQ(ea_heap_walk(heap, &cursor, 5, visit, &watch), EA_OK);
    EXPECT_EQ(watch.n_visits, 5);
    EXPECT_EQ(ea_heap_walk(heap, &next, 5, visit, &watch), EA_OK);
    EXPECT_SOUND(heap);
}

TEST(heap_walk_survives_its_region_growing_shrinking_and_going, ROOM)
{
    for (int n = 0; n < 30; n++) {
        for (int what = 0; what < 3; what++) {
            ea_heap_options_t options = {ROOM, EA_FIT_GOOD};
            ea_heap_t *heap = ea_heap_init(tap_ram(), 2048, &options);
            REQUIRE(heap != NULL);
            char *high = (char *)tap_ram() + 4096, *last = high + 3072;
            watch_t watch;
            fill_blocks(heap, &watch, 30);
            REQUIRE(ea_heap_add_region(heap, high, 2048) == EA_OK);
            REQUIRE(ea_heap_add_region(heap, last, 1024) == EA_OK);
            /* Blocks fill the regions; those in the second are freed in the middle of the walk. */
            void *more[128];
            int n_more = 0;
            for (char *p; n_more < 128 && (p = ea_heap_alloc(heap, 100)) != NULL;) {
                if (p > high && p < last) more[n_more++] = p;
                if (p > last) watch.kept[0] = p; /* seen once, like the others */
            }
            REQUIRE(watch.kept[0] > last);
            ea_heap_cursor_t cursor = {0};
            ea_status_t status = EA_ERR_AGAIN;
            for (int k = 0; k < n && status == EA_ERR_AGAIN; k++) {
                status = ea_heap_walk(heap, &cursor, 1, visit, &watch);
            }
            for (int k = 0; k < n_more; k++) EXPECT_EQ(ea_heap_free(heap, more[k]), EA_OK);
            EXPECT_SOUND(heap);
            if (what == 0) EXPECT_EQ(ea_heap_remove_region(heap, high, NULL), EA_OK);
            if (what == 1) EXPECT_EQ(ea_heap_grow(heap, high, 3000), EA_OK);
            if (what == 2) EXPECT_EQ(ea_heap_shrink(heap, high, 1000), EA_OK);
            if (what == 0) memset(high, 0xFF, 2048);
            EXPECT_SOUND(heap);
            if (status == EA_ERR_AGAIN) status = walk_to_the_end(heap, &cursor, &watch);
            EXPECT_EQ(status, EA_OK);
            EXPECT(watch.ascends);
            EXPECT_SOUND(heap);
            for (int k = 0; k < N_BLOCKS; k++) EXPECT_EQ(watch.n_seen[k], 1);
            ea_heap_cursor_t next = {0};
            watch.last = NULL;
            EXPECT_EQ(walk_to_the_end(heap, &next, &watch), EA_OK);
        }
    }
}

/* esp-idf#12497 and #1858: a check that locks interrupts out until it has seen the whole heap. */
TEST(heap_check_step_checks_in_bounded_steps_while_the_heap_is_used, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    watch_t watch;
    fill_blocks(heap, &watch, 30);
    ea_heap_cursor_t cursor = {0};
    ea_heap_fault_t fault = {"none", heap};
    int n_calls = 0;
    ea_status_t status;
    while ((status = ea_heap_check_step(heap, &cursor, 2, &fault)) == EA_ERR_AGAIN) {
        REQUIRE(++n_calls < 100);
        EXPECT(fault.invariant == NULL);
        if (n_calls < N_BLOCKS / 2) free_one(heap, &watch, n_calls * 2);
        EXPECT_SOUND(heap);
    }
    EXPECT_EQ(status, EA_OK);
    EXPECT(n_calls >= 3);
    EXPECT(fault.invariant == NULL);
}

TEST(heap_check_names_the_damaged_block, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    watch_t watch;
    fill_blocks(heap, &watch, 30);
    size_t usable = ea_heap_usable_size_bytes(heap, watch.kept[5]);
    memset(watch.kept[5] + usable, 0xEE, 4); /* the header of kept[6] */
    ea_heap_fault_t fault = {NULL, NULL};
    EXPECT_EQ(ea_heap_check(heap, &fault), EA_ERR_CORRUPT);
    REQUIRE(fault.invariant != NULL);
    EXPECT(fault.invariant[0] == 'I');
    EXPECT((const char *)fault.where == watch.kept[6]);
    fault = (ea_heap_fault_t){NULL, NULL};
    ea_heap_cursor_t cursor = {0};
    ea_status_t status = EA_ERR_AGAIN;
    for (int i = 0; i < 100 && status == EA_ERR_AGAIN; i++) {
        status = ea_heap_check_step(heap, &cursor, 2, &fault);
    }
    EXPECT_EQ(status, EA_ERR_CORRUPT);
    EXPECT((const char *)fault.where == watch.kept[6]);
}

static uint32_t header_of(const void *payload)
{
    uint32_t header;
    memcpy(&header, (const char *)payload - EA_HEAP_OVERHEAD_BYTES, sizeof header);
    return header;
}

static void set_header(void *payload, uint32_t header)
{
    memcpy((char *)payload - EA_HEAP_OVERHEAD_BYTES, &header, sizeof header);
}

TEST(heap_walk_stops_at_a_damaged_header, ROOM)
{
    static const uint32_t sizes[] = {0, 8, 0x7FFFFFF0};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ea_heap_t *heap = new_heap();
        REQUIRE(heap != NULL);
        watch_t watch;
        fill_blocks(heap, &watch, 30);
        set_header(watch.kept[5], sizes[i]);
        ea_heap_cursor_t cursor = {0};
        EXPECT_EQ(ea_heap_walk(heap, &cursor, 1000, visit, &watch), EA_ERR_CORRUPT);
        EXPECT_EQ(watch.n_visits, 5);
        EXPECT(watch.last == watch.kept[4]);
    }
}

/* What a walk does to the header it rests on, done by hand: there is no such walk. The header that
 * closes the region is one of those a walk may rest on. */
TEST(heap_check_names_a_mark_without_a_walk_and_a_walk_without_its_mark, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    char *block = ea_heap_alloc(heap, BIG);
    char *last = ea_heap_alloc(heap, ea_heap_largest_free_bytes(heap));
    REQUIRE(block != NULL && last != NULL);
    char *end = last + ea_heap_usable_size_bytes(heap, last) + EA_HEAP_OVERHEAD_BYTES;
    uint32_t plain = header_of(block), end_plain = header_of(end);
    ea_heap_fault_t fault = {NULL, NULL};

    set_header(end, end_plain ^ 4);
    EXPECT_EQ(ea_heap_check(heap, &fault), EA_ERR_CORRUPT);
    EXPECT(fault.where == end);
    set_header(end, end_plain);
    EXPECT_SOUND(heap);

#if EA_CFG_HEAP_STEPWISE
    ea_heap_cursor_t cursor = {0};
    watch_t watch = {.ascends = true};
    uint32_t mark = EA_CFG_HEAP_PROFILE == 3 ? 0 : 4; /* tiny marks nothing: a mark is stray */
    EXPECT_EQ(ea_heap_walk(heap, &cursor, 0, visit, &watch), EA_ERR_AGAIN);
    EXPECT_SOUND(heap);
    EXPECT_EQ(header_of(block), plain ^ mark);
    set_header(block, plain ^ mark ^ 4);
    EXPECT_EQ(ea_heap_check(heap, &fault), EA_ERR_CORRUPT);
    EXPECT(fault.where == (mark ? (void *)heap : block));
    set_header(block, plain ^ mark);
    EXPECT_EQ(ea_heap_walk(heap, &cursor, 2, visit, &watch), EA_OK);
    EXPECT_SOUND(heap);
#endif
    EXPECT_EQ(header_of(block), plain);
}

#if EA_CFG_HEAP_PROFILE == 3
/* The search of the tiny profile ends at the first header and may read what stands below it. */
TEST(heap_check_sees_damage_right_below_the_first_header, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    ea_heap_stats_t stats;
    ea_heap_stats(heap, &stats);
    unsigned char *below = (unsigned char *)heap + stats.control_bytes - 4;
    for (int bit = 0; bit < 16; bit++) {
        below[bit / 8] ^= (unsigned char)(1 << bit % 8);
        EXPECT_EQ(ea_heap_check(heap, NULL), EA_ERR_CORRUPT);
        below[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    EXPECT_SOUND(heap);
}
#endif

TEST(heap_histogram_holds_every_free_block_in_its_bin, ROOM)
{
    ea_heap_t *heap = new_heap();
    REQUIRE(heap != NULL);
    void *blocks[40];
    for (int i = 0; i < 40; i++) blocks[i] = ea_heap_alloc(heap, 8 + (size_t)i * 8);
    for (int i = 0; i < 40; i += 2) EXPECT_EQ(ea_heap_free(heap, blocks[i]), EA_OK);

    ea_heap_bin_t bins[EA_HEAP_MAX_BINS];
    size_t n_bins = ea_heap_histogram(heap, bins, EA_HEAP_MAX_BINS), n = 0, bytes = 0;
    REQUIRE(n_bins > 8 && n_bins <= EA_HEAP_MAX_BINS);
    for (size_t i = 0; i < n_bins; i++) {
        if (i > 0) EXPECT(bins[i].min_block_bytes > bins[i - 1].min_block_bytes);
        EXPECT(bins[i].bytes >= bins[i].n_blocks * bins[i].min_block_bytes);
        if (i + 1 < n_bins && bins[i].n_blocks > 0) {
            EXPECT(bins[i].bytes < bins[i].n_blocks * bins[i + 1].min_block_bytes);
        }
        n += bins[i].n_blocks;
        bytes += bins[i].bytes;
    }
    EXPECT_EQ(bins[0].min_block_bytes, EA_HEAP_MIN_BLOCK_BYTES);
    if (!HAS_QUICK_LISTS) {
        EXPECT_EQ(n, 21);
        if (EA_CFG_HEAP_STATS) EXPECT_EQ(bytes, stats_of(heap).free_bytes);
    }
    memset(bins, 0x77, sizeof bins);
    EXPECT_EQ(ea_heap_histogram(heap, bins, 3), n_bins);
    EXPECT(all_bytes_are(&bins[3], sizeof bins - 3 * sizeof bins[0], 0x77));
    EXPECT_EQ(ea_heap_histogram(heap, NULL, 0), n_bins);
}

TEST_MAIN(&heap_walk_sees_every_block_once_in_address_order, &heap_walk_names_the_region_of_a_block,
          &heap_walk_survives_the_free_of_any_block, &heap_walk_survives_merging_at_once,
          &heap_walk_survives_shrinking, &heap_walk_survives_growth_in_place_and_away,
          &heap_has_one_walk_at_a_time, &heap_walk_can_be_resumed_however_many_there_were,
          &heap_walk_ends_with_a_reset, &heap_walk_survives_its_region_growing_shrinking_and_going,
          &heap_check_step_checks_in_bounded_steps_while_the_heap_is_used,
          &heap_check_names_the_damaged_block, &heap_walk_stops_at_a_damaged_header,
          &heap_check_names_a_mark_without_a_walk_and_a_walk_without_its_mark,
#if EA_CFG_HEAP_PROFILE == 3
          &heap_check_sees_damage_right_below_the_first_header,
#endif
          &heap_histogram_holds_every_free_block_in_its_bin)
