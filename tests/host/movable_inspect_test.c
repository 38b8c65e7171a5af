/* SPDX-License-Identifier: MIT
 *
 * Movable blocks in a dump as the host reads it (rows B2, A4): what the device knows of a region of
 * an allocator and of a store that is none's, in order and without gaps; owners, locks and what
 * they cost; damage; and whatever else a dump may say of a store.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dumped.h"
#include "ealloc/ealloc.h"
#include "judge.h"
#include "self.h"
#include "store.h"
#include "tap.h"

#define RAM 8192u

static _Alignas(16) unsigned char ram[RAM], alone[2048];
static ea_allocator_t memory;
static ea_accounts_t book;
static ea_account_t nodes[4];
static ea_account_t *net, *ui;
static ea_movable_t *store, *spare;
static ea_movable_handle_t handles[8];
static void *block;

static ea_movable_handle_t make(size_t size_bytes, ea_account_t *owner)
{
    const ea_request_t request = {.owner = owner};
    return ea_malloc_movable(&memory, store, size_bytes, &request);
}

/* Blocks of two owners, of both kinds, with holes between. */
static void build(void)
{
    static const ea_account_options_t named[] = {{.name = "net"}, {.name = "ui"}};
    const ea_region_options_t region = {.n_handles = 32, .move_bytes = 2048};
    const ea_movable_options_t table = {16, 16};
    memset(&memory, 0, sizeof memory);
    REQUIRE(ea_accounts_init(&book, nodes, 4, NULL) == EA_OK);
    net = ea_account_create(&book, ea_accounts_root(&book), &named[0]);
    ui = ea_account_create(&book, ea_accounts_root(&book), &named[1]);
    const ea_allocator_options_t options = {.accounts = &book, .owner = ui, .secret = 0x5EC2E7};
    REQUIRE(ea_allocator_init(&memory, &options) == EA_OK);
    REQUIRE(ea_allocator_add_region(&memory, ram, sizeof ram, &region) == EA_OK);
    store = ea_allocator_store(&memory, ram);
    REQUIRE(store != NULL);
    for (unsigned i = 0; i < 8; i++) handles[i] = make(100 + 10 * i, i % 2 ? net : ui);
    block = ea_malloc(&memory, 300);
    REQUIRE(block != NULL && !ea_movable_is_none(handles[7]));
    EXPECT_EQ(ea_free_movable(&memory, store, handles[2]), EA_OK);
    EXPECT_EQ(ea_free_movable(&memory, store, handles[4]), EA_OK);
    EXPECT(ea_movable_lock(store, handles[3]) != NULL);
    spare = ea_movable_init(alone, sizeof alone, &table);
    REQUIRE(spare != NULL);
    EXPECT(!ea_movable_is_none(ea_movable_alloc(spare, 77, 0)));
}

static snapshot_t *dump(bool is_live)
{
    static ea_dump_t under_way;
    const ea_dump_range_t range = {alone, sizeof alone, "spare"};
    const ea_dump_options_t options = {
        .write = keep_dumped, .stores = EA_DUMP_STORES(&range, 1), .is_live = is_live};
    n_dumped = 0;
    EXPECT_EQ(ea_dump(&under_way, &memory, &options), EA_OK);
    return read_dumped();
}

static bool is_tiled(const snapshot_t *s, const snap_store_t *st)
{
    uint64_t at = st->first;
    for (size_t i = 0; i < st->n_blocks; i++) {
        const snap_block_t *b = &s->blocks[st->first_block + i];
        if (b->begin != at || b->bytes > st->end - at) return false;
        at += b->bytes;
    }
    return at == st->end;
}

static size_t used_by(const ea_account_t *account)
{
    ea_account_stats_t stats;
    ea_account_stats(account, &stats);
    return stats.used;
}

static const sum_t *sum_of(const judgement_t *j, const ea_account_t *account)
{
    for (size_t i = 0; i < j->n_owners; i++)
        if (j->owners[i].key == ea_account_id(account)) return &j->owners[i];
    return NULL;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void expect_built(snapshot_t *s)
{
    judgement_t j;
    store_sums_t sums;
    REQUIRE(s != NULL);
    EXPECT(s->flaw[0] == '\0');
    EXPECT_EQ(s->n_stores, 2);
    EXPECT_EQ(s->n_regions, 1);
    judge(&j, s);
    EXPECT_EQ(j.n_wounds, 0);
    EXPECT_EQ(j.totals.n_used, 7); /* the store that is none's counts alone */
    EXPECT_EQ(j.totals.used_bytes + j.totals.free_bytes, s->regions[0].total);
    const sum_t *of_net = sum_of(&j, net), *of_ui = sum_of(&j, ui);
    REQUIRE(of_net != NULL && of_ui != NULL);
    EXPECT_EQ(of_net->n_blocks, 4);
    EXPECT_EQ(of_net->gross_bytes, used_by(net));
    EXPECT_EQ(of_ui->n_blocks, 3);
    EXPECT_EQ(of_ui->gross_bytes, used_by(ui));

    const snap_store_t *of_region = &s->stores[0], *of_none = &s->stores[1];
    EXPECT(of_region->in_region && !of_none->in_region);
    EXPECT(strcmp(of_none->name, "spare") == 0 && of_region->name[0] == '\0');
    EXPECT(is_tiled(s, of_region) && is_tiled(s, of_none));
    EXPECT_EQ(s->regions[0].n_blocks, of_region->n_blocks);
    store_sums(s, of_region, &sums);
    EXPECT_EQ(sums.n_used, 6);
    EXPECT_EQ(sums.n_fixed, 1);
    EXPECT_EQ(sums.used_bytes + sums.fixed_bytes + sums.free_bytes, sums.total);
    EXPECT_EQ(sums.free_bytes, of_region->free_bytes);
    EXPECT_EQ(sums.n_locked, 1);
    REQUIRE(sums.n_pins == 1);
    EXPECT_EQ(sums.pins[0].block->handle, handles[3].eai_word);
    EXPECT_EQ(sums.pins[0].below, 120 + EA_MOVABLE_HEADER_BYTES);
    EXPECT_EQ(sums.pins[0].above, 140 + EA_MOVABLE_HEADER_BYTES);
    /* The hole below the locked block cannot be joined with the others. */
    EXPECT_EQ(sums.compactable, sums.free_bytes - sums.pins[0].below);
    EXPECT_EQ(sums.compactable_unlocked, sums.free_bytes);
    EXPECT_EQ(store_frag_permille(&sums),
              (sums.free_bytes - sums.largest_free) * 1000 / sums.free_bytes);
    store_sums_release(&sums);

    const snap_block_t *fixed = find_block(s, (uintptr_t)block);
    REQUIRE(fixed != NULL);
    EXPECT_EQ(fixed->user, (uintptr_t)block);
    EXPECT_EQ(fixed->requested, 300);
    EXPECT_EQ(fixed->owner, ea_account_id(ui));
    EXPECT(fixed->site != 0);
    judgement_release(&j);
    snapshot_free(s);
}

TEST(owners_of_a_region_of_movable_blocks_add_up, 0)
{
    build();
    expect_built(dump(false));
}

TEST(the_same_is_told_of_a_running_system, 0)
{
    build();
    expect_built(dump(true));
}

TEST(the_same_is_told_of_memory_as_it_is, 0)
{
    build();
    REQUIRE(open_self());
    image_t *m = image_new();
    image_add_constant(m, (uintptr_t)ram, ram, sizeof ram);
    image_add_constant(m, (uintptr_t)alone, alone, sizeof alone);
    image_add_constant(m, (uintptr_t)&memory, (const uint8_t *)&memory, sizeof memory);
    image_add_constant(m, (uintptr_t)&book, (const uint8_t *)&book, sizeof book);
    image_add_constant(m, (uintptr_t)nodes, (const uint8_t *)nodes, sizeof nodes);
    image_add_constant(m, (uintptr_t)&spare, (const uint8_t *)&spare, sizeof spare);
    expect_built(survey_self(m, "memory"));
    image_free(m);
}

TEST(owners_that_cannot_stand_where_they_are_said_to_are_not_read, 0)
{
    build();
    unsigned before = 0;
    memory.eai_slots[0].eai_owners = (uint16_t *)(void *)store - 1; /* room for one */
    snapshot_t *s = dump(false);
    REQUIRE(s != NULL);
    for (size_t i = 0; i < s->stores[0].n_blocks; i++) {
        const snap_block_t *b = &s->blocks[s->stores[0].first_block + i];
        if (b->handle == 0 || b->handle == handles[0].eai_word) continue;
        EXPECT_EQ(b->owner, 0);
        before++;
    }
    EXPECT_EQ(before, 5);
    snapshot_free(s);
    memory.eai_slots[0].eai_owners = (uint16_t *)((uintptr_t)ram - 2);
    s = dump(false);
    REQUIRE(s != NULL);
    for (size_t i = 0; i < s->stores[0].n_blocks; i++)
        if (s->blocks[s->stores[0].first_block + i].handle != 0)
            EXPECT_EQ(s->blocks[s->stores[0].first_block + i].owner, 0);
    snapshot_free(s);
}

TEST(a_block_whose_header_is_damaged_keeps_its_handle_and_gets_a_size, 0)
{
    judgement_t j;
    build();
    unsigned char *at = ea_movable_lock(store, handles[5]);
    REQUIRE(at != NULL);
    EXPECT_EQ(ea_movable_unlock(store, handles[5]), EA_OK);
    memset(at - EA_MOVABLE_HEADER_BYTES, 0xFF, EA_MOVABLE_HEADER_BYTES);
    snapshot_t *s = dump(false);
    REQUIRE(s != NULL);
    EXPECT(is_tiled(s, &s->stores[0]));
    const snap_block_t *b = find_block(s, (uintptr_t)at);
    REQUIRE(b != NULL);
    EXPECT_EQ(b->state, SNAP_DAMAGED);
    EXPECT_EQ(b->handle, handles[5].eai_word);
    EXPECT_EQ(b->bytes, 152 + EA_MOVABLE_HEADER_BYTES);
    judge(&j, s);
    REQUIRE(j.n_wounds == 1);
    EXPECT(strcmp(j.wounds[0].what, "damaged block header") == 0);
    EXPECT_EQ(j.wounds[0].where, (uintptr_t)at - EA_MOVABLE_HEADER_BYTES);
    judgement_release(&j);
    snapshot_free(s);
}

TEST(a_damaged_counter_of_a_store_is_named_as_the_stores, 0)
{
    judgement_t j;
    ea_movable_stats_t stats;
    build();
    ea_movable_stats(spare, &stats);
    uint32_t n_free = (uint32_t)(stats.free_bytes / EA_MOVABLE_ALIGN);
    size_t i = 0; /* the word of the control structure that counts free units */
    while (memcmp((char *)spare + i, &n_free, sizeof n_free) != 0) i += 4;
    ((char *)spare)[i] ^= 1;
    snapshot_t *s = dump(false);
    REQUIRE(s != NULL);
    judge(&j, s);
    REQUIRE(j.n_wounds == 1);
    EXPECT(strcmp(j.wounds[0].what, "the store is damaged") == 0);
    EXPECT(strncmp(j.wounds[0].text, "I8", 2) == 0);
    EXPECT_EQ(j.wounds[0].where, (uintptr_t)spare);
    judgement_release(&j);
    snapshot_free(s);
}

/* --- what a dump may say ---------------------------------------------------------------------- */

static void put(uint64_t major, uint64_t value)
{
    uint8_t head[9] = {(uint8_t)(major << 5 | 27u)};
    for (unsigned i = 0; i < 8; i++) head[1 + i] = (uint8_t)(value >> 8 * (7 - i));
    (void)keep_dumped(NULL, head, sizeof head);
}

static void put_record(const uint64_t *fields, size_t n)
{
    put(4, n);
    for (size_t i = 0; i < n; i++) put(0, fields[i]);
}

#define RECORD(...)                                                                                \
    put_record((const uint64_t[]){__VA_ARGS__},                                                    \
               sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

/* A dump of a store of blocks and nothing else, cut off. */
static void begin_dump(void)
{
    static const uint8_t magic[] = {0xD9, 0xD9, 0xF7, 0x9F};
    n_dumped = 0;
    (void)keep_dumped(NULL, magic, sizeof magic);
    RECORD(0, 1, 4, 0x100, 0, 0, 0, 0, 8, 4, 8);
    RECORD(14, 0, 0x1000, 1, 3, 4, 4, 0x1100, 0x1200, 0x1300, 8, 8);
}

static uint64_t bytes_of(const snapshot_t *s, uint64_t begin)
{
    for (size_t i = 0; i < s->n_blocks; i++)
        if (s->blocks[i].begin == begin) return s->blocks[i].bytes;
    return 0;
}

TEST(blocks_that_overlap_or_lie_outside_are_cut_and_told_of, 0)
{
    begin_dump();
    RECORD(15, 0x1140, 0x40, 1, 0x40001, 0);
    RECORD(15, 0x1110, 0x40, 1, 0x40002, 0); /* into the one before */
    RECORD(15, 0x1100, 0x20, 0);             /* a hole whose end is the block's */
    RECORD(15, 0x1170, 0x30, 0);             /* one whose beginning is */
    RECORD(15, 0x11F0, UINT64_MAX, 1, 0x40003, 0);
    RECORD(15, 0x0FFC, 0x10, 1, 0x40004, 0);
    RECORD(15, 0x1200, 0x10, 1, 0x40005, 0);
    snapshot_t *s = read_dumped();
    REQUIRE(s != NULL && s->n_stores == 1);
    EXPECT(is_tiled(s, &s->stores[0]));
    EXPECT_EQ(s->n_troubles, 3);
    EXPECT_EQ(bytes_of(s, 0x1100), 0x10);
    EXPECT_EQ(bytes_of(s, 0x1110), 0x30);
    EXPECT_EQ(bytes_of(s, 0x1140), 0x40);
    EXPECT_EQ(bytes_of(s, 0x1180), 0x20);
    EXPECT_EQ(bytes_of(s, 0x11A0), 0x50); /* nothing tells of it */
    EXPECT_EQ(bytes_of(s, 0x11F0), 0x10);
    snapshot_free(s);
}

TEST(the_bytes_of_a_block_that_moves_are_found_in_both_directions, 0)
{
    piece_t pieces[2];
    snap_store_t st = {.header_bytes = 4, .from = 0x1004, .to = 0x0FE4, .move_bytes = 100};
    snap_block_t b = {.begin = 0x1000, .bytes = 104, .state = SNAP_MOVING};
    st.copied_bytes = 32;
    store_pieces(&st, &b, pieces);
    EXPECT(pieces[0].address == 0x0FE4 && pieces[0].bytes == 32);
    EXPECT(pieces[1].address == 0x1024 && pieces[1].bytes == 68);
    st.to = 0x1044;
    store_pieces(&st, &b, pieces);
    EXPECT(pieces[0].address == 0x1004 && pieces[0].bytes == 68);
    EXPECT(pieces[1].address == 0x1088 && pieces[1].bytes == 32);
    b.begin += 0x800; /* another one */
    store_pieces(&st, &b, pieces);
    EXPECT(pieces[0].address == 0x1804 && pieces[0].bytes == 100 && pieces[1].bytes == 0);
    st.from = 0x1804;
    st.copied_bytes = UINT64_MAX;
    store_pieces(&st, &b, pieces);
    EXPECT(pieces[0].bytes + pieces[1].bytes == 100);
}

/* Records of random numbers, many of them alike: the reader stays within them, and what it makes of
 * a store leaves no gap. */
TEST(no_record_of_a_store_leads_the_reader_astray, 0)
{
    uint32_t random = (uint32_t)tap_arg("seed", 1);
    static const uint64_t odd[] = {0, 4, 0x1100, 0x1110, 0x1200, 0x11FC, UINT64_MAX, 1u << 31};
    tap_note("seed", random);
    for (unsigned trial = 0; trial < 4000; trial++) {
        uint64_t fields[24];
        begin_dump();
        for (unsigned k = 0; k < 1 + trial % 12; k++) {
            for (unsigned i = 0; i < 24; i++) {
                random = random * 1664525u + 1013904223u;
                fields[i] = random >> 28 < 6 ? odd[random >> 8 & 7] : random >> 8 & 0x1FF;
                if (random >> 28 > 12) fields[i] += 0x1000;
            }
            random = random * 1664525u + 1013904223u;
            fields[0] = random >> 28 == 0 ? 14 : random >> 28 == 1 ? 5 : 15;
            if (fields[0] == 15 && fields[3] > 6) fields[3] %= 7;
            put_record(fields, random >> 27 & 1 ? 24 : 6);
        }
        snapshot_t *s = read_dumped();
        REQUIRE(s != NULL);
        judgement_t j;
        judge(&j, s);
        for (size_t i = 0; i < s->n_stores; i++) {
            store_sums_t sums;
            store_sums(s, &s->stores[i], &sums);
            EXPECT(is_tiled(s, &s->stores[i]));
            EXPECT_EQ(sums.used_bytes + sums.fixed_bytes + sums.free_bytes + sums.rest_bytes,
                      sums.total);
            EXPECT(store_frag_permille(&sums) <= 1000);
            store_sums_release(&sums);
        }
        judgement_release(&j);
        snapshot_free(s);
    }
}

TEST_MAIN(&owners_of_a_region_of_movable_blocks_add_up, &the_same_is_told_of_a_running_system,
          &the_same_is_told_of_memory_as_it_is,
          &owners_that_cannot_stand_where_they_are_said_to_are_not_read,
          &a_block_whose_header_is_damaged_keeps_its_handle_and_gets_a_size,
          &a_damaged_counter_of_a_store_is_named_as_the_stores,
          &blocks_that_overlap_or_lie_outside_are_cut_and_told_of,
          &the_bytes_of_a_block_that_moves_are_found_in_both_directions,
          &no_record_of_a_store_leads_the_reader_astray)
