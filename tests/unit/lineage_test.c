/* SPDX-License-Identifier: MIT
 *
 * Where blocks come from (row B5): who allocated a block, for what, and through whose hands it
 * went, through every realloc; what the table cannot hold is counted.
 */
#include <string.h>

#include "ealloc/allocator.h"
#include "ealloc/lineage.h"
#include "ealloc/owner.h"
#include "ealloc/port.h"
#include "tap.h"

#define N_BLOCKS 8u
#define N_HOPS 3u
#define BYTES EA_LINEAGE_BYTES(N_BLOCKS, 2, N_HOPS)
#define SITE(i) ((const void *)(uintptr_t)(0x1000 + 4 * (i)))
#define BLOCK(i) ((const void *)(uintptr_t)(0x20000 + 16 * (i)))

static volatile uint32_t ticks;
static const ea_lineage_options_t options = {
    .n_blocks = N_BLOCKS, .n_tasks = 2, .n_hand_overs = N_HOPS, .clock = &ticks, .tick_us = 1000};
static ea_lineage_t *l;
static ea_lineage_entry_t e;

static bool begin(void)
{
    ticks = 0;
    l = ea_lineage_init(tap_ram(), BYTES, &options);
    return l != NULL;
}

static void tell(ea_block_event_t what, unsigned owner, unsigned site, unsigned block)
{
    ea_lineage_record(l, what, (uint16_t)owner, SITE(site), BLOCK(block), 10 * block);
}

static void take(unsigned block)
{
    tell(EA_BLOCK_ALLOCATED, 1, block, block);
}

static void give(unsigned block)
{
    tell(EA_BLOCK_FREED, 9, 99, block);
}

TEST(lineage_init_refuses_what_cannot_be_a_table, BYTES)
{
    char *ram = tap_ram();
    ea_lineage_options_t o = options;
    EXPECT(ea_lineage_init(NULL, BYTES, &o) == NULL);
    EXPECT(ea_lineage_init(ram, BYTES, NULL) == NULL);
    EXPECT(ea_lineage_init(ram, BYTES - 1, &o) == NULL);
    EXPECT(ea_lineage_init(ram + 1, BYTES, &o) == NULL);
    o.n_blocks = 4;
    EXPECT(ea_lineage_init(ram, BYTES, &o) == NULL);
    o = options;
    o.n_blocks = (uint32_t)1 << 21;
    EXPECT(ea_lineage_init(ram, SIZE_MAX, &o) == NULL);
    o = options;
    o.n_tasks = 3;
    EXPECT(ea_lineage_init(ram, BYTES, &o) == NULL);
    o.n_tasks = 65536;
    EXPECT(ea_lineage_init(ram, SIZE_MAX, &o) == NULL);
    o = options;
    o.n_hand_overs = 9;
    EXPECT(ea_lineage_init(ram, 2 * BYTES, &o) == NULL);
    o = options;
    o.tick_us = 0;
    EXPECT(ea_lineage_init(ram, BYTES, &o) == NULL);
    for (unsigned i = 0; i < BYTES; i++) EXPECT_EQ((unsigned char)ram[i], 0xA5);
    EXPECT(ea_lineage_init(ram, BYTES, &options) != NULL);
}

TEST(lineage_tells_who_allocated_and_when, BYTES)
{
    REQUIRE(begin());
    ticks = 5;
    tell(EA_BLOCK_ALLOCATED, 7, 3, 1);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(1), &e), EA_OK);
    EXPECT_EQ(e.generation, 0);
    EXPECT(e.is_known && e.is_live && e.block == BLOCK(1) && e.site == SITE(3));
    EXPECT_EQ(e.size_bytes, 10);
    EXPECT_EQ(e.owner, 7);
    EXPECT_EQ(e.owner_now, 7);
    EXPECT_EQ(e.time_us, 5000);
    EXPECT_EQ(e.stack, 0);
    EXPECT_EQ(e.n_handed, 0);
    EXPECT(e.parent == NULL);
    EXPECT_EQ(ea_lineage_parent(l, &e), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(2), &e), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_lineage_of(NULL, BLOCK(1), &e), EA_ERR_INVALID);
    EXPECT_EQ(ea_lineage_of(l, NULL, &e), EA_ERR_INVALID);
    EXPECT_EQ(ea_lineage_parent(l, NULL), EA_ERR_INVALID);
    give(1);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(1), &e), EA_OK);
    EXPECT(!e.is_live && e.site == SITE(3));
    tell(EA_BLOCK_ALLOCATED, 2, 5, 1); /* another block at that address */
    EXPECT_EQ(ea_lineage_of(l, BLOCK(1), &e), EA_OK);
    EXPECT(e.is_live && e.site == SITE(5));
    give(1);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(1), &e), EA_OK);
    EXPECT(!e.is_live && e.site == SITE(5)); /* of two freed ones the newer */
}

TEST(lineage_without_a_clock_is_timed_by_the_port, BYTES)
{
    ea_lineage_options_t o = options;
    o.clock = NULL;
    l = ea_lineage_init(tap_ram(), BYTES, &o);
    REQUIRE(l != NULL);
    uint32_t before = (uint32_t)(ea_port_time_coarse_us() >> 10);
    take(1);
    uint32_t behind = (uint32_t)(ea_port_time_coarse_us() >> 10);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(1), &e), EA_OK);
    EXPECT_EQ(e.time_us % 1024, 0);
    EXPECT((uint32_t)(e.time_us / 1024) - before <= behind - before);
}

/* As an out-of-memory handler does that hands a block of its own on. */
TEST(lineage_of_a_block_that_is_handed_out_twice_is_the_later_one, BYTES)
{
    REQUIRE(begin());
    tell(EA_BLOCK_ALLOCATED, 1, 3, 1);
    tell(EA_BLOCK_ALLOCATED, 2, 4, 1);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(1), &e), EA_OK);
    EXPECT(e.is_live && e.site == SITE(4) && e.owner == 2);
    size_t cursor = 0, n = 0;
    while (ea_lineage_next(l, &cursor, &e) == EA_OK) n++;
    EXPECT_EQ(n, 1);
    give(1);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(1), &e), EA_OK);
    EXPECT(!e.is_live);
}

TEST(lineage_keeps_the_newest_hand_overs_and_counts_all, BYTES)
{
    REQUIRE(begin());
    take(1);
    for (unsigned i = 1; i <= 5; i++) {
        ticks = 10 * i;
        tell(EA_BLOCK_TRANSFERRED, i + 1, 50 + i, 1);
        EXPECT_EQ(ea_lineage_of(l, BLOCK(1), &e), EA_OK);
        EXPECT_EQ(e.owner, 1);
        EXPECT_EQ(e.owner_now, i + 1);
        EXPECT_EQ(e.n_handed, i);
        EXPECT_EQ(e.n_hand_overs, i < N_HOPS ? i : N_HOPS);
    }
    for (unsigned i = 0; i < N_HOPS; i++) {
        EXPECT_EQ(e.hand_overs[i].to, i + 4);
        EXPECT(e.hand_overs[i].site == SITE(53 + i));
        EXPECT_EQ(e.hand_overs[i].time_us, 10000 * (i + 3));
    }
    tell(EA_BLOCK_TRANSFERRED, 3, 1, 2); /* of a block it does not know */
    give(1);
    take(1); /* its successor was handed to nobody */
    EXPECT_EQ(ea_lineage_of(l, BLOCK(1), &e), EA_OK);
    EXPECT_EQ(e.n_handed, 0);
}

TEST(lineage_follows_what_was_served_generation_by_generation, BYTES)
{
    REQUIRE(begin());
    static const char request[] = "request";
    ea_serving_t outer, inner;
    ea_serving_begin(&outer, l, request);
    take(1);
    ea_serving_begin(&inner, l, BLOCK(1));
    take(2);
    EXPECT_EQ(ea_serving_end(&inner), EA_OK);
    EXPECT_EQ(ea_serving_end(&inner), EA_ERR_NOT_FOUND);
    take(3);
    EXPECT_EQ(ea_serving_end(&outer), EA_OK);
    take(4);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(2), &e), EA_OK);
    EXPECT(e.parent == BLOCK(1));
    EXPECT_EQ(ea_lineage_parent(l, &e), EA_OK);
    EXPECT(e.block == BLOCK(1) && e.is_live && e.site == SITE(1) && e.parent == request);
    EXPECT_EQ(e.generation, 1);
    EXPECT_EQ(ea_lineage_parent(l, &e), EA_OK);
    EXPECT(e.block == request && !e.is_known);
    EXPECT_EQ(e.generation, 2);
    EXPECT_EQ(ea_lineage_parent(l, &e), EA_ERR_NOT_FOUND);
    size_t first = 0;
    EXPECT_EQ(ea_lineage_next(l, &first, &e), EA_OK);
    EXPECT_EQ(e.generation, 0);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(3), &e), EA_OK);
    EXPECT(e.parent == request);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(4), &e), EA_OK);
    EXPECT(e.parent == NULL);
    size_t cursor = 0, n = 0;
    while (ea_lineage_next(l, &cursor, &e) == EA_OK) n += e.parent == request;
    EXPECT_EQ(n, 2);
}

TEST(lineage_knows_what_is_served_again_after_another, BYTES)
{
    REQUIRE(begin());
    ea_serving_t outer, inner;
    take(1);
    take(2);
    ea_serving_begin(&outer, l, BLOCK(1));
    ea_serving_begin(&inner, l, BLOCK(2));
    EXPECT_EQ(ea_serving_end(&inner), EA_OK);
    take(3);
    EXPECT_EQ(ea_serving_end(&outer), EA_OK);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(3), &e), EA_OK);
    EXPECT_EQ(ea_lineage_parent(l, &e), EA_OK);
    EXPECT(e.is_known && e.block == BLOCK(1) && e.site == SITE(1));
}

TEST(lineage_does_not_take_an_address_for_the_block_that_was_there, BYTES)
{
    REQUIRE(begin());
    ea_serving_t serving;
    take(1);
    ea_serving_begin(&serving, l, BLOCK(1));
    take(2);
    EXPECT_EQ(ea_serving_end(&serving), EA_OK);
    give(1);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(2), &e), EA_OK);
    EXPECT_EQ(ea_lineage_parent(l, &e), EA_OK);
    EXPECT(e.is_known && !e.is_live && e.site == SITE(1)); /* freed, and still known */
    tell(EA_BLOCK_ALLOCATED, 1, 77, 1);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(2), &e), EA_OK);
    EXPECT_EQ(ea_lineage_parent(l, &e), EA_OK);
    EXPECT(e.site != SITE(77));
    for (unsigned i = 3; i < 3 + N_BLOCKS; i++) take(i); /* the freed one gives way */
    EXPECT_EQ(ea_lineage_of(l, BLOCK(2), &e), EA_OK);
    EXPECT_EQ(ea_lineage_parent(l, &e), EA_OK);
    EXPECT(!e.is_known && e.block == BLOCK(1));
}

TEST(lineage_goes_with_a_block_that_moves, BYTES)
{
    REQUIRE(begin());
    ea_serving_t serving;
    take(1);
    ea_serving_begin(&serving, l, BLOCK(1));
    take(2);
    tell(EA_BLOCK_TRANSFERRED, 6, 50, 1);
    tell(EA_BLOCK_MOVED, 6, 60, 1); /* while it is served */
    take(1);                        /* another context has its address at once */
    tell(EA_BLOCK_RESIZED, 6, 60, 5);
    take(3);
    EXPECT_EQ(ea_serving_end(&serving), EA_OK);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(5), &e), EA_OK);
    EXPECT_EQ(e.size_bytes, 50);
    ea_lineage_record(l, EA_BLOCK_RESIZED, 6, SITE(61), BLOCK(5), 70); /* in place */
    EXPECT_EQ(ea_lineage_of(l, BLOCK(5), &e), EA_OK);
    EXPECT(e.site == SITE(1) && e.is_live);
    EXPECT_EQ(e.size_bytes, 70);
    EXPECT_EQ(e.owner, 1);
    EXPECT_EQ(e.owner_now, 6);
    for (unsigned i = 2; i <= 3; i++) {
        EXPECT_EQ(ea_lineage_of(l, BLOCK(i), &e), EA_OK);
        EXPECT_EQ(ea_lineage_parent(l, &e), EA_OK);
        EXPECT(e.is_known && e.is_live && e.block == BLOCK(5)); /* found where it is now */
    }
    tell(EA_BLOCK_RESIZED, 4, 62, 7); /* from before the lineage: it begins here */
    EXPECT_EQ(ea_lineage_of(l, BLOCK(7), &e), EA_OK);
    EXPECT(e.site == SITE(62) && e.owner == 4);
    ea_lineage_stats_t stats;
    ea_lineage_stats(l, &stats);
    EXPECT_EQ(stats.n_recorded, 5);
    EXPECT_EQ(stats.n_severed, 0);
    EXPECT_EQ(stats.n_untracked, 0);
}

TEST(lineage_that_is_full_keeps_the_old_blocks_and_counts_the_new, BYTES)
{
    REQUIRE(begin());
    ea_lineage_stats_t stats;
    for (unsigned i = 0; i < N_BLOCKS + 5; i++) take(i + 1);
    ea_lineage_stats(l, &stats);
    EXPECT_EQ(stats.n_recorded, N_BLOCKS + 5);
    EXPECT_EQ(stats.n_untracked, 5);
    EXPECT_EQ(stats.n_forgotten, 0);
    for (unsigned i = 0; i < N_BLOCKS; i++) EXPECT_EQ(ea_lineage_of(l, BLOCK(i + 1), &e), EA_OK);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(N_BLOCKS + 1), &e), EA_ERR_NOT_FOUND);
    give(N_BLOCKS + 1); /* it is not there to be freed */
    tell(EA_BLOCK_MOVED, 1, 1, N_BLOCKS + 2);
    tell(EA_BLOCK_RESIZED, 1, 1, N_BLOCKS + 20);
    give(3);
    give(2);
    take(40); /* of the freed ones the one that came first gives way */
    EXPECT_EQ(ea_lineage_of(l, BLOCK(2), &e), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(3), &e), EA_OK);
    ea_lineage_stats(l, &stats);
    EXPECT_EQ(stats.n_forgotten, 1);
    EXPECT_EQ(stats.n_untracked, 6);
}

TEST(lineage_of_more_reallocs_at_a_time_than_transits_is_severed_and_counted, BYTES)
{
    REQUIRE(begin());
    l->eai_transits[0][0] = 4; /* another task's */
    take(1);
    tell(EA_BLOCK_MOVED, 1, 60, 1);
    tell(EA_BLOCK_RESIZED, 1, 61, 3);
    EXPECT_EQ(l->eai_transits[0][0], 4);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(3), &e), EA_OK);
    EXPECT(e.site == SITE(1));
    for (unsigned i = 0; i < EAI_LINEAGE_TRANSITS; i++) l->eai_transits[i][0] = 4;
    take(1);
    tell(EA_BLOCK_MOVED, 1, 60, 1);
    tell(EA_BLOCK_RESIZED, 1, 61, 2);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(2), &e), EA_OK);
    EXPECT(e.site == SITE(61));
    EXPECT_EQ(ea_lineage_of(l, BLOCK(1), &e), EA_ERR_NOT_FOUND);
    ea_lineage_stats_t stats;
    ea_lineage_stats(l, &stats);
    EXPECT_EQ(stats.n_severed, 1);
}

TEST(serving_without_a_place_for_its_task_is_not_noted, BYTES)
{
    REQUIRE(begin());
    uintptr_t *tasks = (uintptr_t *)(l + 1);
    ea_serving_t serving;
    tasks[0] = tasks[EAI_LINEAGE_TASK_WORDS] = 4;
    ea_serving_begin(&serving, l, SITE(1));
    take(1);
    EXPECT_EQ(ea_serving_end(&serving), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(1), &e), EA_OK);
    EXPECT(e.parent == NULL);
    ea_serving_begin(&serving, NULL, SITE(1));
    EXPECT_EQ(ea_serving_end(&serving), EA_ERR_NOT_FOUND);
}

TEST(serving_is_not_ended_by_another_context_and_gives_its_place_back, BYTES)
{
    REQUIRE(begin());
    uintptr_t *tasks = (uintptr_t *)(l + 1);
    ea_serving_t serving;
    ea_serving_begin(&serving, l, SITE(1));
    uintptr_t *place = tasks[0] ? tasks : tasks + EAI_LINEAGE_TASK_WORDS, slot = *place;
    *place = 4; /* now it is another task's */
    EXPECT_EQ(ea_serving_end(&serving), EA_ERR_NOT_FOUND);
    *place = slot;
    take(1);
    EXPECT_EQ(ea_lineage_of(l, BLOCK(1), &e), EA_OK);
    EXPECT(e.parent == SITE(1));
    EXPECT_EQ(ea_serving_end(&serving), EA_OK);
    EXPECT_EQ(*place, 0);
}

static int serve(int how)
{
    EA_SERVING(l, SITE(40))
    {
        take(1);
        if (how == 1) break;
        if (how == 2) return 1;
    }
    return 0;
}

TEST(serving_ends_by_whatever_way_it_is_left, BYTES)
{
    for (int how = 0; how < 3; how++) {
        REQUIRE(begin());
        (void)serve(how);
        take(2);
        EXPECT_EQ(ea_lineage_of(l, BLOCK(1), &e), EA_OK);
        EXPECT(e.parent == SITE(40));
        EXPECT_EQ(ea_lineage_of(l, BLOCK(2), &e), EA_OK);
        EXPECT(e.parent == NULL);
    }
}

/* --- model ------------------------------------------------------------------------------------ */

#define N_MODEL 24u

TEST(lineage_of_random_events_is_that_of_the_model, EA_LINEAGE_BYTES(64, 2, N_HOPS))
{
    static struct {
        unsigned address, site, owner, parent, n_handed;
        bool is_live;
    } model[N_MODEL], *at;
    static uint8_t at_address[64]; /* index + 1 of the model's block there; 0: none */
    ea_lineage_options_t o = options;
    ea_serving_t serving;
    uint32_t random = (uint32_t)tap_arg("seed", 1);
    unsigned served = 0, n_checked = 0;
    tap_note("seed", random);
    memset(model, 0, sizeof model);
    memset(at_address, 0, sizeof at_address);
    o.n_blocks = 64;
    l = ea_lineage_init(tap_ram(), EA_LINEAGE_BYTES(64, 2, N_HOPS), &o);
    REQUIRE(l != NULL);
    ea_serving_begin(&serving, l, NULL);
    for (unsigned step = 0; step < 20000; step++) {
        random = random * 1664525u + 1013904223u;
        unsigned i = (random >> 8) % N_MODEL, to = 1 + (random >> 13) % 63, site = random >> 20;
        at = &model[i];
        if (!at->is_live && at_address[to] == 0) {
            at->address = to;
            at->site = site;
            at->owner = site & 3;
            at->parent = served;
            at->n_handed = 0;
            at->is_live = true;
            at_address[to] = (uint8_t)(i + 1);
            tell(EA_BLOCK_ALLOCATED, at->owner, site, to);
        } else if (at->is_live && random >> 30 == 0) {
            tell(EA_BLOCK_FREED, 0, site, at->address);
            at_address[at->address] = 0;
            at->is_live = false;
        } else if (at->is_live && random >> 30 == 1) {
            at->owner = site & 3;
            at->n_handed++;
            tell(EA_BLOCK_TRANSFERRED, at->owner, site, at->address);
        } else if (at->is_live && random >> 30 == 2) {
            if (random >> 28 & 1 && at_address[to] == 0) {
                tell(EA_BLOCK_MOVED, at->owner, site, at->address);
                at_address[at->address] = 0;
                at->address = to;
                at_address[to] = (uint8_t)(i + 1);
            }
            tell(EA_BLOCK_RESIZED, at->owner, site, at->address);
        } else if (random >> 30 == 3) {
            (void)ea_serving_end(&serving);
            served = 1000 + site;
            ea_serving_begin(&serving, l, SITE(served));
        }
        if (!at->is_live) continue;
        ea_lineage_stats_t stats;
        ea_lineage_stats(l, &stats);
        REQUIRE(stats.n_untracked == 0);
        REQUIRE(ea_lineage_of(l, BLOCK(at->address), &e) == EA_OK);
        REQUIRE(e.is_live && e.site == SITE(at->site) && e.owner_now == at->owner);
        REQUIRE(e.n_handed == at->n_handed);
        REQUIRE(e.parent == (at->parent ? SITE(at->parent) : NULL));
        n_checked++;
    }
    EXPECT(n_checked > 5000);
}

/* --- an allocator ----------------------------------------------------------------------------- */

TEST(lineage_of_an_allocator_follows_its_blocks, EA_LINEAGE_BYTES(32, 2, N_HOPS) + 6000)
{
    static ea_allocator_t a;
    static ea_accounts_t book;
    static ea_account_t nodes[3];
    char *ram = tap_ram();
    ea_lineage_options_t o = options;
    o.n_blocks = 32;
    l = ea_lineage_init(ram, EA_LINEAGE_BYTES(32, 2, N_HOPS), &o);
    REQUIRE(l != NULL);
    REQUIRE(ea_accounts_init(&book, nodes, 3, NULL) == EA_OK);
    ea_account_t *radio = ea_account_create(&book, ea_accounts_root(&book), NULL);
    ea_account_t *ui = ea_account_create(&book, ea_accounts_root(&book), NULL);
    REQUIRE(ea_allocator_init(&a, &(ea_allocator_options_t){.accounts = &book}) == EA_OK);
    REQUIRE(ea_allocator_add_region(&a, ram + (EA_LINEAGE_BYTES(32, 2, N_HOPS) + 15) / 16 * 16,
                                    5900, NULL) == EA_OK);
#if EA_CFG_ALLOC_HOOK
    REQUIRE(ea_lineage_attach(l, &a) == EA_OK);
    EXPECT_EQ(ea_lineage_attach(l, &a), EA_ERR_BUSY);
    void *packet = ea_malloc_ex(&a, 100, &(ea_request_t){.owner = radio, .caller = SITE(1)});
    void *wall = ea_malloc(&a, 40), *text = NULL;
    EA_SERVING(l, packet)
    text = ea_malloc_ex(&a, 24, &(ea_request_t){.owner = ui, .caller = SITE(2)});
#if EAI_ALLOC_OWNERS
    EXPECT_EQ(ea_transfer(&a, packet, ui), EA_OK);
#endif
    void *moved = ea_realloc(&a, packet, 1000);
    EXPECT(moved != packet);
    EXPECT_EQ(ea_lineage_of(l, text, &e), EA_OK);
    EXPECT(e.site == SITE(2));
    EXPECT_EQ(ea_lineage_parent(l, &e), EA_OK);
    EXPECT(e.is_live && e.block == moved && e.site == SITE(1));
    EXPECT_EQ(e.size_bytes, 1000);
#if EAI_ALLOC_OWNERS
    EXPECT_EQ(e.owner, ea_account_id(radio));
    EXPECT_EQ(e.owner_now, ea_account_id(ui));
    EXPECT_EQ(e.n_hand_overs, 1);
#endif
    EXPECT_EQ(ea_free(&a, moved), EA_OK);
    EXPECT_EQ(ea_free(&a, wall), EA_OK);
    EXPECT_EQ(ea_lineage_of(l, text, &e), EA_OK);
    EXPECT_EQ(ea_lineage_parent(l, &e), EA_OK);
    EXPECT(!e.is_live && e.site == SITE(1));
    EXPECT_EQ(ea_free(&a, text), EA_OK);
    EXPECT_EQ(ea_lineage_detach(l, &a), EA_OK);
    EXPECT_EQ(ea_lineage_detach(l, &a), EA_ERR_NOT_FOUND);
#else
    EXPECT_EQ(ea_lineage_attach(l, &a), EA_ERR_INVALID);
    (void)radio, (void)ui;
#endif
    EXPECT_EQ(ea_lineage_attach(NULL, &a), EA_ERR_INVALID);
    EXPECT_EQ(ea_lineage_detach(NULL, &a), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_allocator_deinit(&a, NULL), EA_OK);
}

TEST_MAIN(&lineage_init_refuses_what_cannot_be_a_table, &lineage_tells_who_allocated_and_when,
          &lineage_without_a_clock_is_timed_by_the_port,
          &lineage_of_a_block_that_is_handed_out_twice_is_the_later_one,
          &lineage_keeps_the_newest_hand_overs_and_counts_all,
          &lineage_knows_what_is_served_again_after_another,
          &lineage_follows_what_was_served_generation_by_generation,
          &lineage_does_not_take_an_address_for_the_block_that_was_there,
          &lineage_goes_with_a_block_that_moves,
          &lineage_that_is_full_keeps_the_old_blocks_and_counts_the_new,
          &lineage_of_more_reallocs_at_a_time_than_transits_is_severed_and_counted,
          &serving_without_a_place_for_its_task_is_not_noted,
          &serving_is_not_ended_by_another_context_and_gives_its_place_back,
          &serving_ends_by_whatever_way_it_is_left, &lineage_of_random_events_is_that_of_the_model,
          &lineage_of_an_allocator_follows_its_blocks)
