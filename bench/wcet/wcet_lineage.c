/* SPDX-License-Identifier: MIT
 *
 * Instructions of a lineage: a block that comes (for nobody, and served), goes, moves, is handed
 * over; of serving; of walking four frames and keeping them. The program and what it measures have
 * frame pointers. Prints what scripts/wcet reads.
 */
#include "ealloc/lineage.h"
#include "hooked.h"

static uintptr_t table[EA_LINEAGE_BYTES(16, 4, 3) / sizeof(uintptr_t)];
static uintptr_t stack_table[EA_STACKS_BYTES(16, 4) / sizeof(uintptr_t)];
static ea_lineage_t *lineage;
static ea_stacks_t *stacks;
static volatile uint32_t ticks;
static volatile unsigned sink;
static const void *end_of_stack;

static const void *find_end(const void *at)
{
    (void)at;
    return end_of_stack;
}

static uintptr_t block_of(unsigned i)
{
    return 0x20000 + 8u * (i * 7u % 64u);
}

static void measure_blocks(op_t op)
{
    for (unsigned i = 0; i < 40; i++) { /* the places fill, with live blocks and freed ones */
        ticks++;
        hooked_note(op, (void *)ea_lineage_record, lineage, EA_BLOCK_ALLOCATED, 0x1000 + 4 * i,
                    block_of(i));
        hooked_note(OP_LINEAGE_TRANSFER, (void *)ea_lineage_record, lineage, EA_BLOCK_TRANSFERRED,
                    0x1000, block_of(i));
        if (i % 4 == 3) { /* moves; both events are one realloc */
            uint32_t rest = 0, whole = 0;
            (void)COUNTED(&rest, hooked_call, hooked_nothing, lineage, 0, 0, 0);
            (void)COUNTED(&whole, hooked_call, ea_lineage_record, lineage, EA_BLOCK_MOVED, 0x1000,
                          block_of(i));
            (void)COUNTED(&whole, hooked_call, ea_lineage_record, lineage, EA_BLOCK_RESIZED, 0x1000,
                          block_of(i + 50));
            count_note(OP_LINEAGE_MOVE, whole - 2 * rest);
        }
        if (i % 8 != 0)
            hooked_note(OP_LINEAGE_FREE, (void *)ea_lineage_record, lineage, EA_BLOCK_FREED, 0x1000,
                        block_of(i % 4 == 3 ? i + 50 : i));
    }
}

static EA_NOINLINE size_t no_walk(const ea_stack_map_t *map, const void *site, uintptr_t *frames,
                                  size_t n)
{
    (void)map, (void)site, (void)frames, (void)n;
    __asm volatile("");
    return 4;
}

/* Between two reads of the counter: the frame of a counted call would end the walk. */
static EA_NOINLINE void innermost(void)
{
    static uintptr_t frames[4];
    for (unsigned i = 0; i < 4; i++) {
        uint32_t begin = board_counter();
        size_t n_frames = no_walk(&stacks->eai_map, NULL, frames, 4);
        uint32_t rest = board_instructions_between(begin, board_counter());
        begin = board_counter();
        n_frames += ea_stack_walk(&stacks->eai_map, NULL, frames, 4);
        uint32_t whole = board_instructions_between(begin, board_counter());
        if (n_frames != 8) board_put("the walk found too few frames\n");
        count_note(OP_STACK_WALK, whole - rest);
        uint32_t n = 0;
        (void)COUNTED(&n, ea_stacks_add, stacks, frames, 4, 0, 0);
        count_note(OP_STACK_KEEP, n);
    }
    sink++;
}

static EA_NOINLINE void outer(unsigned depth)
{
    sink += depth;
    if (depth == 0)
        innermost();
    else
        outer(depth - 1);
    sink += depth;
}

int main(void)
{
#if defined(__thumb__)
    extern const char board_vectors[], board_data_load[];
    const ea_stack_map_t map = {find_end, board_vectors, board_data_load};
#else
    const ea_stack_map_t map = {find_end, NULL, NULL};
#endif
    const ea_stacks_options_t of_stacks = {.n_stacks = 16, .depth = 4, .map = map};
    const ea_lineage_options_t options = {
        .n_blocks = 16, .n_tasks = 4, .n_hand_overs = 3, .clock = &ticks, .tick_us = 1000};
    end_of_stack = (const char *)__builtin_frame_address(0) + 16;
    count_calibrate();
    count_scenario("uncontended");
    lineage = ea_lineage_init(table, sizeof table, &options);
    stacks = ea_stacks_init(stack_table, sizeof stack_table, &of_stacks);
    if (lineage == NULL || stacks == NULL) return 1;
    measure_blocks(OP_LINEAGE_ALLOC);
    ea_serving_t serving, inner;
    uint32_t n = 0;
    ea_serving_begin(&serving, lineage, NULL);
    (void)COUNTED(&n, ea_serving_begin, &inner, lineage, block_of(0), 0, 0);
    count_note(OP_SERVING_BEGIN, n);
    measure_blocks(OP_LINEAGE_SERVED);
    n = 0;
    (void)COUNTED(&n, ea_serving_end, &inner, 0, 0, 0, 0);
    count_note(OP_SERVING_END, n);
    outer(3);
    count_report();
    count_report_all();
    board_put("end\n");
    return 0;
}
