/* SPDX-License-Identifier: MIT
 *
 * Instructions of recording an event: with a clock of the application's, with the port's, with
 * sampling, over the step of the time's upper part; of reading one; and what attaching adds to an
 * allocator is in wcet_allocator. Prints what scripts/wcet reads.
 */
#include "board.h"
#include "count.h"
#include "ealloc/trace.h"

#define N 64u

static unsigned char memory[EA_TRACE_BYTES(N)] __attribute__((aligned(8)));
static volatile uint32_t ticks;

/* A call takes six words, of which the counter passes five. So what is counted is a call of a
 * function that calls it, and the same with an empty one is taken off. */
typedef void (*record_t)(ea_trace_t *trace, ea_trace_kind_t kind, uint16_t owner, const void *site,
                         const void *block, size_t size_bytes);
static EA_NOINLINE void call(record_t function, ea_trace_t *trace, const void *site,
                             const void *block, size_t size_bytes)
{
    function(trace, EA_TRACE_ALLOC, 12, site, block, size_bytes);
}

static EA_NOINLINE void nothing(ea_trace_t *trace, ea_trace_kind_t kind, uint16_t owner,
                                const void *site, const void *block, size_t size_bytes)
{
    (void)trace, (void)kind, (void)owner, (void)site, (void)block, (void)size_bytes;
    __asm volatile("");
}

static void measure(op_t op, ea_trace_t *trace, unsigned n, uint32_t step)
{
    for (unsigned i = 0; i < n; i++) {
        uint32_t whole = 0, rest = 0;
        ticks += step;
        (void)COUNTED(&rest, call, nothing, trace, i * 4, memory + i * 8, i * 37);
        (void)COUNTED(&whole, call, ea_trace_record, trace, i * 4, memory + i * 8, i * 37);
        count_note(op, whole - rest);
    }
}

int main(void)
{
    const ea_trace_options_t with_clock = {.clock = &ticks, .tick_us = 1000};
    count_calibrate();
    count_scenario("uncontended");
    ea_trace_t *trace = ea_trace_open(memory, sizeof memory, &with_clock);
    if (trace == NULL) return 1;
    measure(OP_RECORD, trace, 200, 1);
    measure(OP_RECORD_SYNC, trace, 200, 0x8001);
    ea_trace_cursor_t cursor = {0};
    ea_trace_event_t event;
    for (uint32_t n = 0; COUNTED(&n, ea_trace_read, trace, &cursor, &event, 0, 0) == EA_OK; n = 0)
        count_note(OP_READ, n);
    trace = ea_trace_open(memory, sizeof memory, NULL);
    measure(OP_RECORD_SLOW, trace, 200, 1);
    ea_trace_set_sampling(trace, 4);
    measure(OP_RECORD_SAMPLED, trace, 200, 1);
    count_report();
    count_report_all();
    board_put("end\n");
    return 0;
}
