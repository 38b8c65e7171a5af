/* SPDX-License-Identifier: MIT
 *
 * What an allocator makes of wrong use: accounts of another book, callbacks that lie, regions that
 * come and go while it is in use.
 */
#include "allocator_testing.h"
#include "board.h"

#define RAM 8192u

static ea_allocator_t a;

/* --- owners ----------------------------------------------------------------------------------- */

#if HAS_OWNERS
static ea_account_t nodes[2][3];
static ea_accounts_t books[2];

static ea_account_t *account_of(unsigned book)
{
    if (ea_accounts_init(&books[book], nodes[book], 3, NULL) != EA_OK) return NULL;
    return ea_account_create(&books[book], ea_accounts_root(&books[book]), NULL);
}
static size_t used_by(const ea_account_t *who)
{
    ea_account_stats_t stats;
    ea_account_stats(who, &stats);
    return stats.used;
}

TEST(allocator_never_charges_an_account_of_another_book, RAM)
{
    ea_account_t *ours = account_of(0), *theirs = account_of(1);
    REQUIRE(ours && theirs);
    EXPECT_EQ(
        ea_allocator_init(&a, &(ea_allocator_options_t){.accounts = &books[0], .owner = theirs}),
        EA_ERR_INVALID);
    EXPECT_EQ(ea_allocator_init(
                  &a, &(ea_allocator_options_t){.accounts = &books[0], .isr_owner = theirs}),
              EA_ERR_INVALID);
    const ea_allocator_options_t o = {.accounts = &books[0], .owner = ours, .strict_owner = true};
    REQUIRE(ea_allocator_init(&a, &o) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, tap_ram(), RAM, NULL) == EA_OK);

    EXPECT(ea_malloc_ex(&a, 100, &(ea_request_t){.owner = theirs}) == NULL);
    EXPECT_EQ(stats_of(&a).n_failures_by[EA_REASON_INVALID], EA_CFG_ALLOC_REPORT);
    void *block = NULL;
    EA_OWNER_SCOPE(theirs) block = ea_malloc(&a, 100);
    EXPECT(block != NULL && used_by(ours) >= 100);
    EXPECT_EQ(ea_transfer(&a, block, theirs), EA_ERR_INVALID);
    EXPECT_EQ(used_by(theirs), 0);
    EA_OWNER_SCOPE(theirs) EXPECT_EQ(ea_free(&a, block), EA_OK); /* of this book it is nobody */
    EXPECT_EQ(used_by(ours), 0);
    EXPECT_END(&a);
}

TEST(allocator_without_a_book_charges_nobody, RAM)
{
    ea_account_t *owner = account_of(0);
    REQUIRE(owner && ea_allocator_init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, tap_ram(), RAM, NULL) == EA_OK);
    void *block = NULL;
    EA_OWNER_SCOPE(owner) block = ea_malloc(&a, 100);
    EXPECT(block != NULL);
    EXPECT_EQ(used_by(owner), 0);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_EQ(ea_account_delete(owner), EA_OK);
    EXPECT_END(&a);
}

static void *volatile isr_block;
static volatile bool was_isr;
static void allocate_once(void)
{
    if (isr_block == NULL) isr_block = ea_malloc(&a, 50);
    was_isr = ea_port_in_isr();
}

TEST(allocator_charges_the_owner_of_interrupts_for_what_they_take, RAM)
{
    ea_account_t *owner = account_of(0);
    ea_owner_frame_t frame;
    const ea_allocator_options_t o = {.accounts = &books[0], .owner = ea_accounts_root(&books[0])};
    REQUIRE(owner && ea_allocator_init(&a, &o) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, tap_ram(), RAM, NULL) == EA_OK);
    ea_owner_set_isr(&frame, owner);
    isr_block = NULL;
    board_tick_start(1000, allocate_once);
    while (isr_block == NULL) continue;
    board_tick_stop();
    ea_account_stats_t stats;
    ea_account_stats(ea_accounts_root(&books[0]), &stats);
    EXPECT(stats.used >= 50);
    if (was_isr) EXPECT_EQ(used_by(owner), stats.used); /* a signal is none */
    ea_owner_set_isr(&frame, NULL);
    EXPECT_EQ(ea_free(&a, isr_block), EA_OK);
    EXPECT_END(&a);
}
#endif

/* --- pointers --------------------------------------------------------------------------------- */

TEST(allocator_refuses_every_pointer_into_a_block, RAM)
{
    REQUIRE(ea_allocator_init(&a, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, tap_ram(), RAM, NULL) == EA_OK);
    static const unsigned char fill[] = {0, 0xFF, 0x08, 0x81};
    char *block = ea_malloc(&a, 300), *above = ea_malloc(&a, 40);
    for (unsigned k = 0; k < sizeof fill; k++) {
        memset(block, fill[k], 300);
        for (unsigned i = 1; i < 300; i++) {
            /* Without tags there are the heap's own checks, which see the alignment. */
            if (!EA_CFG_TAGS && i % EA_HEAP_ALIGN == 0) continue;
            EXPECT(ea_free(&a, block + i) != EA_OK);
        }
    }
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_EQ(ea_free(&a, above), EA_OK);
    EXPECT_END(&a);
}

/* --- when memory ends ------------------------------------------------------------------------- */

static bool begin(const ea_region_options_t *options)
{
    return ea_allocator_init(&a, NULL) == EA_OK &&
           ea_allocator_add_region(&a, tap_ram(), RAM, options) == EA_OK;
}

/* Blocks of 100 bytes until there are no more. */
typedef struct stone {
    struct stone *next;
} stone_t;
static stone_t *stones;
static void fill_memory(void)
{
    stone_t *stone;
    while ((stone = ea_malloc(&a, 100)) != NULL) {
        stone->next = stones;
        stones = stone;
    }
}
static void drop_stones(void)
{
    while (stones) {
        stone_t *stone = stones;
        stones = stone->next;
        EXPECT_EQ(ea_free(&a, stone), EA_OK);
    }
}

#if EA_CFG_ALLOC_RECLAIM
static ea_reclaimer_t turns[2];
static unsigned n_turns;
static size_t put_the_other_behind(void *context, size_t wanted_bytes)
{
    ea_reclaimer_t *other = context;
    (void)wanted_bytes;
    if (++n_turns < 100 && ea_allocator_remove_reclaimer(&a, other) == EA_OK)
        EXPECT_EQ(ea_allocator_add_reclaimer(&a, other), EA_OK);
    return 1000; /* a lie */
}

TEST(allocator_asks_lying_reclaimers_once_even_if_they_are_added_anew, RAM)
{
    REQUIRE(begin(NULL));
    fill_memory();
    n_turns = 0;
    for (unsigned i = 0; i < 2; i++) {
        turns[i] = (ea_reclaimer_t){.reclaim = put_the_other_behind, .context = &turns[1 - i]};
        EXPECT_EQ(ea_allocator_add_reclaimer(&a, &turns[i]), EA_OK);
    }
    EXPECT(ea_malloc(&a, 100) == NULL);
    EXPECT(n_turns <= 2);
    drop_stones();
    EXPECT_END(&a);
}
#endif

#if EA_CFG_ALLOC_REPORT && EA_CFG_HEAP_STATS
TEST(allocator_does_not_count_as_free_what_is_kept_for_others, RAM)
{
    const ea_region_options_t options = {.capabilities = EA_CAP_DMA, .reserve_bytes = 3000};
    const ea_request_t dma = {.capabilities = EA_CAP_DMA};
    ea_failure_t f;
    REQUIRE(begin(&(ea_region_options_t){.capabilities = EA_CAP_DMA, .reserve_bytes = SIZE_MAX}));
    EXPECT(ea_malloc(&a, 100) == NULL); /* all of it is kept */
    EXPECT_END(&a);
    REQUIRE(begin(&options));
    fill_memory();
    ea_allocator_last_failure(&a, &f);
    EXPECT_EQ(f.reason, EA_REASON_EXHAUSTED);
    EXPECT(f.free_bytes < 200 && f.largest_free_bytes < 200);
    void *block = ea_malloc_ex(&a, 2000, &dma);
    EXPECT(block != NULL);
    EXPECT(ea_malloc_ex(&a, 2000, &dma) == NULL);
    ea_allocator_last_failure(&a, &f);
    EXPECT(f.largest_free_bytes > 200); /* this one may have what is kept */
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    drop_stones();
    EXPECT_END(&a);
}
#endif

#if HAS_OWNERS && EA_CFG_ALLOC_RECLAIM && EA_CFG_ALLOC_REPORT
static size_t make_room_in_the_budget(void *context, size_t wanted_bytes)
{
    (void)wanted_bytes;
    const ea_account_limits_t none = {0};
    EXPECT_EQ(ea_account_set_limits(context, &none), EA_OK);
    return 1;
}

TEST(allocator_says_what_refused_in_the_end, RAM)
{
    ea_account_t *owner = account_of(0);
    const ea_account_limits_t little = {.max = 200};
    const ea_allocator_options_t o = {.accounts = &books[0], .owner = owner};
    ea_reclaimer_t reclaimer = {.reclaim = make_room_in_the_budget, .context = owner};
    ea_failure_t f;
    REQUIRE(owner && ea_account_set_limits(owner, &little) == EA_OK);
    REQUIRE(ea_allocator_init(&a, &o) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, tap_ram(), RAM, NULL) == EA_OK);
    EXPECT(ea_malloc(&a, RAM - 1200) == NULL);
    ea_allocator_last_failure(&a, &f);
    EXPECT_EQ(f.reason, EA_REASON_OVER_LIMIT);
    void *block = ea_malloc_ex(&a, 100, NULL);
    EXPECT_EQ(ea_allocator_add_reclaimer(&a, &reclaimer), EA_OK);
    EXPECT(ea_malloc(&a, 2 * RAM) == NULL);
    ea_allocator_last_failure(&a, &f);
    EXPECT_EQ(f.reason, EA_REASON_TOO_LARGE);
    EXPECT_EQ(f.limiter, 0);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_END(&a);
}
#endif

#if HAS_OWNERS && EA_CFG_ALLOC_REPORT
TEST(allocator_names_what_is_left_of_a_block_freed_twice, RAM)
{
    ea_account_t *owner = account_of(0);
    const ea_allocator_options_t o = {.accounts = &books[0], .owner = owner};
    REQUIRE(owner && ea_allocator_init(&a, &o) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, tap_ram(), RAM, NULL) == EA_OK);
    void *block = ea_malloc(&a, 100), *above = ea_malloc(&a, 100);
    EXPECT_EQ(ea_free(&a, block), EA_OK);
    EXPECT_EQ(ea_free(&a, block), EA_ERR_DOUBLE_FREE);
    ea_guard_report_t report;
    ea_allocator_last_damage(&a, &report);
    EXPECT_EQ(report.kind, EA_GUARD_DOUBLE_FREE);
    EXPECT(report.block == block);
    if (sizeof(uintptr_t) > 4) EXPECT_EQ(report.owner, ea_account_id(owner));
    EXPECT_EQ(ea_free(&a, above), EA_OK);
    EXPECT_END(&a);
}
#endif

/* --- regions that come and go ----------------------------------------------------------------- */

TEST(allocator_asks_the_older_region_first_however_many_came_and_went, 2 * RAM)
{
    char *ram = tap_ram();
    REQUIRE(EA_CFG_ALLOC_REGIONS >= 2 && begin(NULL));
    for (unsigned i = 0; i < 300; i++) {
        char *older = ram + RAM * (i % 2), *younger = ram + RAM * ((i + 1) % 2);
        EXPECT_EQ(ea_allocator_add_region(&a, younger, RAM, NULL), EA_OK);
        char *block = ea_malloc(&a, 16);
        if (block < older || block >= older + RAM) EXPECT_EQ(i, 300);
        EXPECT_EQ(ea_free(&a, block), EA_OK);
        EXPECT_EQ(ea_allocator_remove_region(&a, older, NULL), EA_OK);
    }
    EXPECT_END(&a);
}

TEST_MAIN(
#if HAS_OWNERS
    &allocator_never_charges_an_account_of_another_book, &allocator_without_a_book_charges_nobody,
    &allocator_charges_the_owner_of_interrupts_for_what_they_take,
#endif
    &allocator_refuses_every_pointer_into_a_block,
#if EA_CFG_ALLOC_RECLAIM
    &allocator_asks_lying_reclaimers_once_even_if_they_are_added_anew,
#endif
#if EA_CFG_ALLOC_REPORT && EA_CFG_HEAP_STATS
    &allocator_does_not_count_as_free_what_is_kept_for_others,
#endif
#if HAS_OWNERS && EA_CFG_ALLOC_RECLAIM && EA_CFG_ALLOC_REPORT
    &allocator_says_what_refused_in_the_end,
#endif
#if HAS_OWNERS && EA_CFG_ALLOC_REPORT
    &allocator_names_what_is_left_of_a_block_freed_twice,
#endif
    &allocator_asks_the_older_region_first_however_many_came_and_went)
