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

TEST_MAIN(
#if HAS_OWNERS
    &allocator_never_charges_an_account_of_another_book, &allocator_without_a_book_charges_nobody,
    &allocator_charges_the_owner_of_interrupts_for_what_they_take,
#endif
)
