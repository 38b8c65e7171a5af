/* SPDX-License-Identifier: MIT
 *
 * ea_heap_largest_free_bytes() against what ea_heap_alloc() really grants (row A8).
 */
#include "ealloc/heap.h"
#include "tap.h"

#define RAM_BYTES 8192u

TEST(largest_free_of_a_full_heap_is_0, RAM_BYTES)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), RAM_BYTES, NULL);
    REQUIRE(heap != NULL);
    while (ea_heap_alloc(heap, 1) != NULL) {
    }
    EXPECT_EQ(ea_heap_largest_free_bytes(heap), 0);
}

TEST(largest_free_is_granted_and_one_byte_more_is_not, RAM_BYTES)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), RAM_BYTES, NULL);
    REQUIRE(heap != NULL);
    for (size_t size = 1; size < 2000; size += 7) {
        void *fence = ea_heap_alloc(heap, size); /* a remainder of another size each time */
        if (fence == NULL) break;
        size_t largest = ea_heap_largest_free_bytes(heap);
        if (largest == 0) break;
        EXPECT(ea_heap_alloc(heap, largest + 1) == NULL);
        void *all = ea_heap_alloc(heap, largest);
        EXPECT(all != NULL);
        EXPECT_EQ(ea_heap_free(heap, all), EA_OK);
    }
}

TEST_MAIN(&largest_free_of_a_full_heap_is_0, &largest_free_is_granted_and_one_byte_more_is_not)
