/* SPDX-License-Identifier: MIT
 *
 * Damaged stores of movable blocks. Every bit of the control structure's numbers, of headers, links
 * and table entries is flipped, one at a time: ea_movable_check() must notice, and change nothing.
 * Left out is what stands nowhere twice: generations, the number of locks, what was counted since
 * init. And what meets a damaged header: free and resize say so, what moves blocks ends there and
 * touches no other.
 */
#include <string.h>

#include "stores/movable_internal.h"
#include "tap.h"

#define RAM 2048u
#define BELOW_BYTES 65536u /* what a wrong index may lead to */
#define N 12u

static _Alignas(16) unsigned char memory[BELOW_BYTES + RAM], before[BELOW_BYTES + RAM];
static ea_movable_t *m;
static ea_movable_handle_t handles[N];
static unsigned n_flips;

/* Blocks full of ones with holes of several sizes between, two of them of the same; the last block
 * is locked, or one is in flight. */
static bool make_store(bool in_flight)
{
    static const size_t sizes[N] = {40, 60, 8, 40, 24, 60, 12, 4, 8, 4, 100, 20};
    ea_movable_options_t options = {8, 0};
    memset(memory, 0xFF, sizeof memory);
    m = ea_movable_init(memory + BELOW_BYTES, RAM, &options);
    for (unsigned i = 0; m && i < N; i++) {
        if (i == 8) (void)ea_movable_step(m, 256); /* entries for the others */
        handles[i] = ea_movable_alloc(m, sizes[i], EA_MOVABLE_UNLIMITED);
        EA_MOVABLE_LOCKED(m, handles[i], unsigned char, bytes)
        {
            if (!bytes) return false;
            memset(bytes, 0xFF, ea_movable_size_bytes(m, handles[i]));
        }
    }
    for (unsigned i = 1; m && i < 10; i += 2) {
        if (ea_movable_free(m, handles[i]) != EA_OK) return false;
        handles[i].eai_word = 0;
    }
    if (!ea_movable_alloc_fixed(m, 36, 0, EA_MOVABLE_UNLIMITED)) return false;
    if (in_flight) {
        for (unsigned i = 0; i < 2000 && !m->move.n; i++) (void)ea_movable_step(m, 12);
        if (!m->move.n) return false;
    } else if (!ea_movable_lock(m, handles[N - 1u])) {
        return false;
    }
    return ea_movable_check(m, NULL) == EA_OK;
}

/* --- the check -------------------------------------------------------------------------------- */

static void flip(const char *what, void *where, unsigned first_bit, unsigned end_bit)
{
    unsigned char *bytes = where;
    for (unsigned bit = first_bit; bit < end_bit; bit++) { /* little-endian */
        ea_movable_fault_t fault = {NULL, NULL};
        bytes[bit / 8u] ^= (unsigned char)(1u << bit % 8u);
        memcpy(before, memory, sizeof memory);
        bool found = ea_movable_check(m, &fault) == EA_ERR_CORRUPT;
        EXPECT(memcmp(before, memory, sizeof memory) == 0);
        bytes[bit / 8u] ^= (unsigned char)(1u << bit % 8u);
        n_flips++;
        if (!found || !fault.invariant || fault.invariant[0] != 'I')
            tap_fail(__FILE__, __LINE__, what, bit, -1);
    }
}

#define FLIP(field) flip(#field, &m->field, 0, sizeof m->field * 8u)

static void flip_control(void)
{
    FLIP(table);
    FLIP(first_entry);
    FLIP(first);
    FLIP(end);
    FLIP(free_units);
    FLIP(n_handles);
    FLIP(n_live);
    FLIP(words);
    FLIP(bins);
#if !EAI_SMALL
    FLIP(free_head);
    FLIP(free_tail);
#endif
    if (m->move.n) FLIP(move.from);
    /* No place is a header's neighbour. */
    units_t *const headers[] = {&m->cursor, &m->lowest};
    for (unsigned i = 0; i < 2; i++) {
        units_t right = *headers[i];
        *headers[i] = m->first + 1u;
        EXPECT_EQ(ea_movable_check(m, NULL), EA_ERR_CORRUPT);
        *headers[i] = right;
    }
}

static void flip_memory(void)
{
    for (units_t place = m->first, units; place < m->end; place += units) {
        head_t head = *at(m, place);
        units = units_of(head);
        flip("flags", at(m, place), 0, 2);
        flip("units", at(m, place), EAI_UNITS_SHIFT, 8u * EAI_UNIT_BYTES);
        if (head & EAI_HOLE) {
            flip("units at the end", at(m, place + units - 1u), EAI_UNITS_SHIFT,
                 8u * EAI_UNIT_BYTES);
            if (units >= EAI_LISTED) flip("links", links_at(m, place), 0, 8u * sizeof(links_t));
        } else {
            flip("index", at(m, place), EAI_INDEX_SHIFT, EAI_INDEX_SHIFT + EAI_INDEX_BITS);
        }
    }
    flip("flags of the end", at(m, m->end), 1, 2);
    flip("units of the end", at(m, m->end), EAI_UNITS_SHIFT, 8u * EAI_UNIT_BYTES);
}

static void flip_table(void)
{
    for (uint32_t i = m->first_entry; i < EAI_INDEXES; i++) {
#if EAI_SMALL
        if (!is_free_entry(*entry(m, i))) flip("place", entry(m, i), 2, 16);
#else
        if (is_free_entry(*entry(m, i)) && i == m->free_tail) continue;
        if (EAI_LARGE)
            flip("place", entry(m, i) + 1, 0, 32);
        else if (!is_moving(*entry(m, i)))
            flip("place", entry(m, i), 16, 32);
#endif
    }
#if EAI_SMALL
    for (uint32_t i = m->first_entry; i < EAI_INDEXES; i += 32)
        flip("bits of free entries", free_word(m, i >> 5), 0, 32);
    FLIP(chunks);
#endif
}

TEST(movable_check_notices_every_flipped_bit, 0)
{
    for (int in_flight = 0; in_flight < 2; in_flight++) {
        REQUIRE(make_store(in_flight));
        flip_control();
        flip_memory();
        if (!in_flight) flip_table();
        EXPECT_EQ(ea_movable_check(m, NULL), EA_OK);
    }
    tap_note("bits flipped", n_flips);
}

TEST(movable_check_survives_random_bytes, 0)
{
    uint32_t random = 1;
    unsigned n_sound = 0;
    for (unsigned round = 0; round < 20000; round++) {
        REQUIRE(round % 8 != 0 || make_store(round % 16 != 0));
        unsigned char *bytes = (unsigned char *)(uintptr_t)at(m, m->first);
        for (unsigned i = 0; i < 1 + round % 7; i++) {
            random = random * 1664525u + 1013904223u;
            bytes[(random >> 8) % (RAM - sizeof *m - 16u)] = (unsigned char)(random >> 24);
        }
        n_sound += ea_movable_check(m, NULL) == EA_OK; /* payload, for the most part */
    }
    tap_note("found sound, of 20000", n_sound);
}

/* --- what meets a damaged header -------------------------------------------------------------- */

static units_t place_of_handle(ea_movable_handle_t handle)
{
    uint32_t index = handle.eai_word >> EAI_HANDLE_SHIFT;
    return place_of(m, index, *entry(m, index)) - 1u;
}

static void set_place_of(uint32_t index, units_t place)
{
#if EAI_LARGE
    entry_at(m, index)->place = place;
#elif EAI_SMALL
    *entry(m, index) = (state_t)((*entry(m, index) & 3u) | place << 2);
#else
    *entry(m, index) = (*entry(m, index) & 0xFFFFu) | place << 16;
#endif
}

TEST(movable_free_and_resize_find_out_a_damaged_header, 0)
{
    if (!EA_CFG_CHECK_LEVEL) return;
    REQUIRE(make_store(false));
    head_t *head = at(m, place_of_handle(handles[10]));
    for (unsigned bit = 0; bit < 8u * EAI_UNIT_BYTES; bit++) {
        if ((head_t)1 << bit == EAI_PREV_FREE) continue;
        if (EAI_LARGE && bit >= 26 && bit < 32) continue; /* they mean nothing */
        head_t damaged = *head ^= (head_t)1 << bit;
        bool of_generation = EAI_SMALL && bit >= 2 && bit < 7;
        ea_status_t status = of_generation ? EA_ERR_NOT_FOUND : EA_ERR_CORRUPT;
        EXPECT_EQ(ea_movable_free(m, handles[10]), status);
        EXPECT_EQ(ea_movable_resize(m, handles[10], 8, 0), status);
        EXPECT_EQ(ea_movable_resize(m, handles[10], 120, 0), status);
        EXPECT_EQ(*head, damaged);
        *head ^= (head_t)1 << bit;
    }
    /* Whole, but for what its entry says. */
    uint32_t index = handles[10].eai_word >> EAI_HANDLE_SHIFT;
    ea_status_t status = EAI_SMALL ? EA_ERR_NOT_FOUND : EA_ERR_CORRUPT; /* no generation there */
    set_place_of(index, m->end + 1u);
    EXPECT_EQ(ea_movable_check(m, NULL), EA_ERR_CORRUPT);
    EXPECT_EQ(ea_movable_free(m, handles[10]), status);
    EXPECT_EQ(ea_movable_resize(m, handles[10], 8, 0), status);
}

static void use_all(void)
{
    for (unsigned i = 0; i < 500; i++) (void)ea_movable_step(m, 64);
    size_t most = ((size_t)m->free_units << EAI_UNIT_SHIFT) - 16u;
    ea_movable_handle_t handle = ea_movable_alloc(m, most, EA_MOVABLE_UNLIMITED);
    (void)handle; /* it may be refused */
}

/* Every byte of a block is 0xFF, where it was or elsewhere. */
static bool is_right(ea_movable_handle_t handle, size_t size_bytes)
{
    const unsigned char *bytes = ea_movable_lock(m, handle);
    bool right = bytes != NULL;
    for (size_t i = 0; right && i < size_bytes; i++) right = bytes[i] == 0xFF;
    if (bytes) (void)ea_movable_unlock(m, handle);
    return right;
}

TEST(movable_what_moves_blocks_ends_at_a_damaged_size, 0)
{
    static const units_t wrong[] = {0, EAI_MAX_UNITS};
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned block = 0; block < N; block += 2) {
            REQUIRE(make_store(false));
            head_t *head = at(m, place_of_handle(handles[block]));
            *head = resized(*head, wrong[i]);
            head_t damaged = *head;
            use_all();
            EXPECT_EQ(*head, damaged);
            for (unsigned k = 0; k < BELOW_BYTES; k++) {
                if (memory[k] != 0xFF) {
                    EXPECT_EQ(memory[k], 0xFF);
                    break;
                }
            }
        }
    }
}

/* The memory below looks like the table, so that a wrong index leads to what seems an entry of the
 * block. */
TEST(movable_a_header_of_a_wrong_index_moves_nobody, 0)
{
    for (unsigned bit = 0; bit < EAI_INDEX_BITS; bit++) {
        for (unsigned block = 2; block < N; block += 2) {
            REQUIRE(make_store(false));
            size_t table_bytes = m->n_handles / EAI_CHUNK_ENTRIES * EAI_TABLE_CHUNK_BYTES;
            unsigned char *table = memory + sizeof memory - table_bytes;
            for (unsigned char *byte = memory; byte < memory + BELOW_BYTES; byte++)
                *byte = table[(table_bytes - (size_t)(table - byte) % table_bytes) % table_bytes];
            memcpy(before, memory, BELOW_BYTES);
            head_t *head = at(m, place_of_handle(handles[block]));
            *head ^= (head_t)1 << (EAI_INDEX_SHIFT + bit);
            use_all();
            EXPECT(memcmp(before, memory, BELOW_BYTES) == 0);
            EXPECT(is_right(handles[0], 40));
            for (unsigned i = 2; i < N - 1u; i += 2)
                EXPECT(i == block || is_right(handles[i], i == 10 ? 100 : 8));
        }
    }
}

TEST_MAIN(&movable_check_notices_every_flipped_bit, &movable_check_survives_random_bytes,
          &movable_free_and_resize_find_out_a_damaged_header,
          &movable_what_moves_blocks_ends_at_a_damaged_size,
          &movable_a_header_of_a_wrong_index_moves_nobody)
