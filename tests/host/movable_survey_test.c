/* SPDX-License-Identifier: MIT
 *
 * Stores of movable blocks in memory as it is (rows B2, A4), in every layout: what the host finds
 * by the debug information of this very program is what the device dumps of it, after any series of
 * requests, locks and steps; and damage leads it nowhere.
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
#define MOST 40u

static _Alignas(16) unsigned char ram[RAM], copy[RAM];
static ea_movable_t *letters; /* found by its name */
static ea_movable_handle_t handles[MOST];
static void *fixed[4];
static uint32_t random_state;

static uint32_t next_random(uint32_t limit)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % limit;
}

static snapshot_t *dump(void)
{
    static ea_dump_t under_way;
    const ea_dump_range_t range = {ram, RAM, "letters"};
    const ea_dump_options_t options = {.write = keep_dumped, .stores = EA_DUMP_STORES(&range, 1)};
    n_dumped = 0;
    EXPECT_EQ(ea_dump(&under_way, NULL, &options), EA_OK);
    return read_dumped();
}

/* What the host makes of the copy of the memory. NULL: nothing, and it said why in a line. */
static snapshot_t *look_at(size_t n)
{
    image_t *m = image_new();
    image_add_constant(m, (uintptr_t)ram, copy, n);
    image_add_constant(m, (uintptr_t)&letters, (const uint8_t *)&letters, sizeof letters);
    snapshot_t *s = survey_self(m, "letters");
    image_free(m);
    return s;
}

static snapshot_t *look(void)
{
    return look_at(RAM);
}

static void change(void)
{
    unsigned i = next_random(MOST);
    switch (next_random(10)) {
    case 0:
    case 1:
    case 2:
        if (ea_movable_is_none(handles[i]))
            handles[i] = ea_movable_alloc(letters, next_random(300), next_random(3) * 200u);
        break;
    case 3:
        if (ea_movable_free(letters, handles[i]) == EA_OK) handles[i] = (ea_movable_handle_t){0};
        break;
    case 4: (void)!ea_movable_lock(letters, handles[i]); break;
    case 5:
    case 6: (void)ea_movable_unlock(letters, handles[i]); break;
    case 7:
        (void)ea_movable_resize(letters, handles[i], next_random(400), next_random(2) * 500u);
        break;
#if EA_CFG_MOVABLE_FIXED
    case 8:
        i %= 4;
        if (fixed[i] == NULL)
            fixed[i] = ea_movable_alloc_fixed(letters, next_random(100), 8, next_random(2) * 300u);
        else if (ea_movable_free_fixed(letters, fixed[i]) == EA_OK)
            fixed[i] = NULL;
        break;
#endif
    default: (void)ea_movable_step(letters, 20 + next_random(60)); break;
    }
}

static bool are_alike(const snapshot_t *a, const snapshot_t *b)
{
    const snap_store_t *x = &a->stores[0], *y = &b->stores[0];
    if (a->n_stores != 1 || b->n_stores != 1 || a->n_blocks != b->n_blocks) return false;
    if (a->n_troubles != 0 || b->n_troubles != 0 || x->n_blocks != y->n_blocks) return false;
    if (memcmp(&x->address, &y->address,
               offsetof(snap_store_t, in_region) - offsetof(snap_store_t, address)) != 0)
        return false;
    for (size_t i = 0; i < a->n_blocks; i++) {
        const snap_block_t *p = &a->blocks[i], *q = &b->blocks[i];
        if (p->begin != q->begin || p->bytes != q->bytes || p->user != q->user ||
            p->requested != q->requested || p->handle != q->handle || p->n_locks != q->n_locks ||
            p->state != q->state || p->in_store != q->in_store || p->is_alone != q->is_alone)
            return false;
    }
    return true;
}

static void build(uint32_t seed)
{
    ea_movable_options_t options = {32, 64};
    random_state = seed;
    memset(ram, 0, sizeof ram);
    memset(handles, 0, sizeof handles);
    memset(fixed, 0, sizeof fixed);
    letters = ea_movable_init(ram, sizeof ram, &options);
}

/* --- tests ------------------------------------------------------------------------------------ */

TEST(memory_tells_of_a_store_what_a_dump_of_it_tells, 0)
{
    uint32_t seed = (uint32_t)tap_arg("seed", 1);
    unsigned n_moves = 0;
    tap_note("seed", seed);
    REQUIRE(open_self());
    for (unsigned life = 0; life < 8; life++) {
        build(seed + life);
        for (unsigned i = 0; i < 150; i++) {
            change();
            memcpy(copy, ram, RAM);
            snapshot_t *of_dump = dump(), *of_memory = look();
            REQUIRE(of_dump != NULL && of_memory != NULL);
            n_moves += of_dump->stores[0].from != 0;
            if (!are_alike(of_dump, of_memory)) {
                tap_note("life", life);
                tap_note("change", i);
                EXPECT(!"they tell the same");
                return;
            }
            snapshot_free(of_dump);
            snapshot_free(of_memory);
        }
    }
    tap_note("looks with a move under way", n_moves);
    EXPECT(n_moves > 20 || EA_CFG_MOVABLE_RELOCATE);
}

TEST(damage_in_memory_leads_the_survey_nowhere, 0)
{
    unsigned n_told = 0, n_found = 0;
    REQUIRE(open_self());
    build((uint32_t)tap_arg("seed", 1));
    for (unsigned i = 0; i < 120; i++) change();
    for (size_t at = 0; at < RAM; at += at < 600 ? 1 : 7) {
        memcpy(copy, ram, RAM);
        copy[at] ^= at % 3 ? 0xFF : 0x04;
        snapshot_t *s = look();
        n_found += s != NULL;
        if (s == NULL) continue;
        judgement_t j;
        judge(&j, s);
        n_told += j.n_wounds > 0;
        for (size_t k = 0; k < s->n_stores; k++) {
            store_sums_t sums;
            store_sums(s, &s->stores[k], &sums);
            EXPECT_EQ(sums.used_bytes + sums.fixed_bytes + sums.free_bytes + sums.rest_bytes,
                      sums.total);
            store_sums_release(&sums);
        }
        judgement_release(&j);
        snapshot_free(s);
    }
    tap_note("damages told of", n_told);
    tap_note("looks in which the store was found", n_found);
    EXPECT(n_told > 40);
    EXPECT(n_found > 1000);
}

/* A word of the control structure is told of, and what it says is found elsewhere; a hole that says
 * there is a hole below it is none. */
TEST(a_damaged_word_is_told_of_and_the_blocks_are_found, 0)
{
    static const uint32_t n_indexes[] = {1u << 11, 1u << 14, 1u << 24};
    ea_movable_stats_t stats;
    unsigned n = 0;
    REQUIRE(open_self());
    build((uint32_t)tap_arg("seed", 1));
    for (unsigned i = 0; i < 60; i++) change();
    ea_movable_stats(letters, &stats);
    uint32_t first_entry = n_indexes[EA_CFG_MOVABLE_LAYOUT] - stats.n_handles;
    memcpy(copy, ram, RAM);
    size_t at = 0;
    while (memcmp(copy + at, &first_entry, 4) != 0 && at < stats.control_bytes) at += 4;
    copy[at + 1] ^= 0x02;
    snapshot_t *s = look();
    REQUIRE(s != NULL && s->n_stores == 1);
    for (size_t i = 0; i < s->n_blocks; i++) n += s->blocks[i].handle != 0;
    EXPECT_EQ(n, stats.n_live);
    EXPECT_EQ(s->n_troubles, 1);
    snapshot_free(s);

    memcpy(copy, ram, RAM);
    s = look();
    REQUIRE(s != NULL && s->n_troubles == 0);
    size_t i = 0;
    while (s->blocks[i].state != SNAP_FREE) i++;
    size_t hole = (size_t)(s->blocks[i].begin - (uintptr_t)ram), size = (size_t)s->blocks[i].bytes;
    copy[hole] |= 2u;
    copy[hole + size - EA_MOVABLE_HEADER_BYTES] |= 2u;
    snapshot_free(s);
    s = look();
    REQUIRE(s != NULL);
    EXPECT(s->n_troubles > 0 && s->troubles[0].where == (uintptr_t)ram + hole);
    snapshot_free(s);
}

TEST(memory_that_ends_in_the_middle_of_a_store_is_a_flaw, 0)
{
    REQUIRE(open_self());
    build((uint32_t)tap_arg("seed", 1));
    for (unsigned i = 0; i < 60; i++) change();
    memcpy(copy, ram, RAM);
    for (size_t n = RAM - 1; n > 1000; n -= 101) {
        snapshot_t *s = look_at(n);
        REQUIRE(s != NULL && s->n_stores == 1);
        EXPECT(strstr(s->flaw, "a store's memory is missing from") != NULL);
        for (size_t i = 0; i < s->n_troubles; i++)
            EXPECT(strcmp(s->troubles[i].text, "an entry of the table of handles") != 0);
        snapshot_free(s);
    }
}

TEST_MAIN(&memory_tells_of_a_store_what_a_dump_of_it_tells,
          &damage_in_memory_leads_the_survey_nowhere,
          &a_damaged_word_is_told_of_and_the_blocks_are_found,
          &memory_that_ends_in_the_middle_of_a_store_is_a_flaw)
