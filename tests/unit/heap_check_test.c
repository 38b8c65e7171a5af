/* SPDX-License-Identifier: MIT
 *
 * What the heap's check says of damage that no stray write makes: lists and blocks that agree with
 * each other, but not with an invariant, as a bug of the heap would leave them. Made with the
 * heap's internals; tests/corrupt does the single words.
 */
#include "stores/heap_internal.h"

#include "heap_testing.h"

#define ROOM 6144u

/* Three free blocks of one bin, kept apart by used ones. */
typedef struct {
    ea_heap_t *heap;
    links_t *block[3];
    uint32_t size;
} scene_t;

static scene_t new_scene(void)
{
    scene_t s = {ea_heap_init(tap_ram(), ROOM, NULL), {NULL}, 0};
    for (int i = 0; i < 3 && s.heap != NULL; i++) {
        s.block[i] = ea_heap_alloc(s.heap, 28 * EA_HEAP_ALIGN);
        if (s.block[i] == NULL || ea_heap_alloc(s.heap, 1) == NULL) s.heap = NULL;
    }
    for (int i = 0; i < 3 && s.heap != NULL; i++) {
        s.size = size_of(*header(s.block[i]));
        if (ea_heap_free(s.heap, s.block[i]) != EA_OK) s.heap = NULL;
    }
    return s;
}

/* Off its list, which is not empty after it. */
static void take_off(ea_heap_t *heap, const links_t *block)
{
    at(heap, block->prev)->next = block->next;
    at(heap, block->next)->prev = block->prev;
}

static void put_first(ea_heap_t *heap, links_t *block, uint32_t bin)
{
    links_t *head = at(heap, sentinel(heap, bin));
    block->prev = (link_t)ref_of(heap, head);
    block->next = head->next;
    at(heap, head->next)->prev = (link_t)ref_of(heap, block);
    head->next = (link_t)ref_of(heap, block);
    heap->words[bin >> 5] |= eai_bit(bin);
}

static void expect_broken(const ea_heap_t *heap, const char *invariant, const void *where)
{
    ea_heap_fault_t fault = {"none", NULL};
    EXPECT_EQ(ea_heap_check(heap, &fault), EA_ERR_CORRUPT);
    EXPECT(fault.invariant != NULL && strcmp(fault.invariant, invariant) == 0);
    EXPECT(fault.where == where);
}

TEST(heap_check_finds_a_block_in_the_wrong_bin, ROOM)
{
    scene_t s = new_scene();
    REQUIRE(s.heap != NULL);
    EXPECT_SOUND(s.heap);
    take_off(s.heap, s.block[1]);
    put_first(s.heap, s.block[1], bin_of(s.size));
    EXPECT_SOUND(s.heap);
    take_off(s.heap, s.block[1]);
    put_first(s.heap, s.block[1], bin_of(s.size) - 1u);
    expect_broken(s.heap, "I6 a free block is linked into the bin of its size", s.block[1]);
}

TEST(heap_check_finds_a_free_block_on_no_list, ROOM)
{
    scene_t s = new_scene();
    REQUIRE(s.heap != NULL);
    take_off(s.heap, s.block[1]);
    s.block[1]->next = s.block[1]->prev = (link_t)ref_of(s.heap, s.block[1]);
    expect_broken(s.heap, "I8 the lists hold as many blocks as the regions", s.heap);
}

TEST(heap_check_finds_free_neighbours_that_were_not_merged, ROOM)
{
    scene_t s = new_scene();
    REQUIRE(s.heap != NULL);
    uint32_t half = s.size / 2 & ~EAI_MASK, rest = s.size - half;
    char *low = (char *)s.block[1], *high = low + half;
    take_off(s.heap, s.block[1]);
    *header(low) = half | EAI_FREE;
    *tail(low, half) = half;
    *header(high) = rest | EAI_FREE | EAI_PREV_FREE;
    *tail(high, rest) = rest;
    put_first(s.heap, (links_t *)(void *)low, bin_of(half));
    put_first(s.heap, (links_t *)(void *)high, bin_of(rest));
    expect_broken(s.heap, "I5 no two free blocks touch", low);
}

TEST_MAIN(&heap_check_finds_a_block_in_the_wrong_bin, &heap_check_finds_a_free_block_on_no_list,
          &heap_check_finds_free_neighbours_that_were_not_merged)
