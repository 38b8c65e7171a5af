/* SPDX-License-Identifier: MIT
 *
 * Instructions of emitting an event that nobody wants, that one listener hears, that is queued or
 * lost, and of coming and going. Prints what scripts/wcet reads.
 */
#include "board.h"
#include "count.h"
#include "ealloc/event.h"

#define N_RING 8u

EA_EVENTS_DEFINE_STATIC(hub, N_RING);

static const ea_event_t event = {.kind = EA_EVENT_PRESSURE, .level = 2};

static void hear(void *context, const ea_event_t *heard)
{
    (void)context;
    (void)heard;
}

static void emit(op_t op, board_function_t function)
{
    uint32_t n = 0;
    (void)COUNTED(&n, function, &hub, &event, 0, 0, 0);
    count_note(op, n);
}

static void expect(bool is_right)
{
    if (is_right) return;
    board_put("refused\n");
    board_exit(1);
}

int main(void)
{
    static ea_listener_t listener;
    count_calibrate();
    count_scenario("uncontended");
    for (unsigned round = 0; round < 20; round++) {
        uint32_t n = 0;
        emit(OP_EMIT_UNHEARD, (board_function_t)ea_events_emit);
        uint32_t kinds = EA_EVENT_BIT(EA_EVENT_PRESSURE);
        expect(COUNTED(&n, ea_events_listen, &hub, &listener, kinds, hear, NULL) == EA_OK);
        count_note(OP_LISTEN, n);
        emit(OP_EMIT, (board_function_t)ea_events_emit);
        for (unsigned i = 0; i < N_RING; i++)
            emit(OP_EMIT_ISR, (board_function_t)ea_events_emit_isr);
        emit(OP_EMIT_LOST, (board_function_t)ea_events_emit_isr);
        while (ea_events_poll(&hub) == EA_ERR_AGAIN) continue;
        n = 0;
        expect(COUNTED(&n, ea_events_unlisten, &hub, &listener, 0, 0, 0) == EA_OK);
        count_note(OP_UNLISTEN, n);
    }
    count_report();
    count_report_all();
    board_put("end\n");
    return 0;
}
