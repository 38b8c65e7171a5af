/* SPDX-License-Identifier: MIT
 *
 * Lineages and stacks in a dump (row B5): what the device recorded is read as it was; a dump that
 * is cut off or damaged anywhere gives less, or nothing, and no fault.
 */
#include <stdlib.h>
#include <string.h>

#include "dumped.h"
#include "ealloc/ealloc.h"
#include "lineage.h"
#include "tap.h"

static unsigned char ram[4096];
static uintptr_t table[EA_LINEAGE_BYTES(8, 1, 2) / sizeof(uintptr_t)];
static uintptr_t stack_table[EA_STACKS_BYTES(8, 3) / sizeof(uintptr_t)];
static ea_allocator_t memory;

static void *served, *child;

static bool make_dump(void)
{
    static ea_dump_t dump;
    static const uintptr_t frames[] = {0x1000, 0x2000, 0x3000};
    const ea_stacks_options_t of_stacks = {.n_stacks = 8, .depth = 3};
    ea_stacks_t *stacks = ea_stacks_init(stack_table, sizeof stack_table, &of_stacks);
    const ea_lineage_options_t options = {.n_blocks = 8, .n_tasks = 1, .n_hand_overs = 2};
    ea_lineage_t *lineage = ea_lineage_init(table, sizeof table, &options);
    n_dumped = 0;
    memset(&memory, 0, sizeof memory);
    if (!lineage || !stacks || ea_allocator_init(&memory, NULL) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, NULL) != EA_OK ||
        ea_lineage_attach(lineage, &memory) != EA_OK)
        return false;
    served = ea_malloc_ex(&memory, 40, &(ea_request_t){.caller = (const void *)0x1000});
    EA_SERVING(lineage, served) child = ea_malloc(&memory, 50);
    for (uint16_t to = 5; to < 8; to++)
        ea_lineage_record(lineage, EA_BLOCK_TRANSFERRED, to, (const void *)0x7000, child, 50);
    (void)ea_free(&memory, served);
    uint16_t id = ea_stacks_add(stacks, frames, 3); /* as if the child's had been walked */
    size_t place = 32 + 4;
    while (table[place] != (uintptr_t)child) place += 9 + 3 * 2;
    table[place + 7] |= (uintptr_t)id << 16;
    const ea_dump_range_t ranges[] = {{table, sizeof table, "lineage"},
                                      {stack_table, sizeof stack_table, "stacks"}};
    const ea_dump_options_t to = {.write = keep_dumped, .extra = ranges, .n_extra = 2};
    return ea_dump(&dump, &memory, &to) == EA_OK;
}

TEST(lineages_of_a_dump_are_those_of_the_device, 0)
{
    REQUIRE(make_dump());
    snapshot_t *s = read_dumped();
    REQUIRE(s != NULL);
    lineages_t *l = lineages_read(s);
    REQUIRE(l != NULL);
    EXPECT_EQ(l->n, 2);
    const lineage_t *e = &l->entries[1];
    EXPECT(e->is_live && e->block == (uintptr_t)child && e->parent == (uintptr_t)served);
    EXPECT_EQ(e->size, 50);
    EXPECT_EQ(e->n_handed, 3);
    REQUIRE(e->n_hops == 2);
    EXPECT_EQ(e->hops[0].to, 6);
    EXPECT_EQ(e->hops[1].to, 7);
    EXPECT_EQ(e->hops[1].site, 0x7000);
    REQUIRE(e->n_frames == 3);
    EXPECT_EQ(e->frames[2], 0x3000);
    const lineage_t *parent = lineages_parent(l, e);
    REQUIRE(parent == &l->entries[0]);
    EXPECT(!parent->is_live && parent->site == 0x1000);
    EXPECT(lineages_parent(l, parent) == NULL);
    lineages_free(l);
    snapshot_free(s);
}

static void read_all(const uint8_t *from, size_t n)
{
    char error[200];
    uint8_t *copy = malloc(n + 1); /* exactly so long, for the sanitizers */
    memcpy(copy, from, n);
    snapshot_t *s = snapshot_read(copy, n, error, sizeof error);
    lineages_t *l = s != NULL ? lineages_read(s) : NULL;
    for (size_t i = 0; l != NULL && i < l->n; i++) {
        EXPECT(l->entries[i].n_hops <= LINEAGE_HOPS && l->entries[i].n_frames <= LINEAGE_FRAMES);
        (void)lineages_parent(l, &l->entries[i]);
    }
    lineages_free(l);
    if (s != NULL) snapshot_free(s);
    free(copy);
}

TEST(lineages_of_a_damaged_dump_are_fewer_and_no_fault, 0)
{
    REQUIRE(make_dump());
    for (size_t n = 0; n < n_dumped; n += 7) read_all(dumped, n);
    for (size_t i = 0; i < n_dumped; i++) {
        static const uint8_t flips[] = {0x01, 0x80, 0xFF};
        dumped[i] ^= flips[i % 3];
        read_all(dumped, n_dumped);
        dumped[i] ^= flips[i % 3];
    }
}

TEST_MAIN(&lineages_of_a_dump_are_those_of_the_device,
          &lineages_of_a_damaged_dump_are_fewer_and_no_fault)
