/* SPDX-License-Identifier: MIT
 *
 * Instructions of an update that changes nothing, the level or the total, of stall within a period
 * and over many, and of a trigger. Of each, loading the time is part. Prints what scripts/wcet
 * reads.
 */
#include "board.h"
#include "count.h"
#include "ealloc/pressure.h"

#define PERIOD_US (1u << 21)

static ea_pressure_t pressure;
static ea_pressure_trigger_t trigger;
static uint64_t now_us;

/* A time does not fit an argument of a counted call. */
static EA_NOINLINE uintptr_t update(size_t used, size_t total)
{
    return ea_pressure_update(&pressure, used, total, now_us);
}

static EA_NOINLINE void begin(void)
{
    ea_pressure_stall_begin(&pressure, now_us);
}

static EA_NOINLINE void end(void)
{
    ea_pressure_stall_end(&pressure, now_us);
}

static EA_NOINLINE void progress(void)
{
    ea_pressure_progress(&pressure, now_us);
}

static EA_NOINLINE uintptr_t poll(void)
{
    return ea_pressure_trigger_poll(&trigger, &pressure, now_us);
}

static void count_op(op_t op, board_function_t function, size_t a, size_t b)
{
    uint32_t n = 0;
    (void)COUNTED(&n, function, a, b, 0, 0, 0);
    count_note(op, n);
}

static void count_levels(void)
{
    for (size_t total = 1000; total < 100000; total += 1013) {
        count_op(OP_UPDATE_TOTAL, (board_function_t)update, 0, total);
        for (unsigned percent = 0; percent <= 100; percent += 20) {
            size_t used = total / 100 * percent;
            ea_pressure_level_t level = ea_pressure_level(&pressure);
            uint32_t n = 0;
            (void)COUNTED(&n, update, used, total, 0, 0, 0);
            count_note(ea_pressure_level(&pressure) == level ? OP_UPDATE : OP_UPDATE_LEVEL, n);
        }
    }
}

static void count_stall(uint64_t step_us, op_t op)
{
    for (unsigned i = 0; i < 100; i++) {
        count_op(OP_PROGRESS_IDLE, (board_function_t)progress, 0, 0);
        now_us += step_us;
        count_op(op, (board_function_t)begin, 0, 0);
        now_us += step_us;
        count_op(op, (board_function_t)progress, 0, 0);
        now_us += step_us;
        count_op(op, (board_function_t)end, 0, 0);
        count_op(OP_TRIGGER, (board_function_t)poll, 0, 0);
    }
}

int main(void)
{
    count_calibrate();
    count_scenario("levels");
    if (ea_pressure_init(&pressure, NULL, now_us) != EA_OK) return 1;
    if (ea_pressure_trigger_init(&trigger, &pressure, EA_STALL_SOME, 100000, 1000000, now_us) !=
        EA_OK) {
        return 1;
    }
    count_levels();
    count_report();
    count_scenario("stall");
    count_stall(1000, OP_STALL);
    now_us = (now_us / PERIOD_US + 1) * PERIOD_US;
    count_stall(PERIOD_US, OP_STALL_PERIOD);
    count_stall((uint64_t)PERIOD_US * 9973, OP_STALL_PERIOD);
    /* The stall becomes full in another period than it began and ends in. */
    now_us = (now_us / PERIOD_US + 1) * PERIOD_US - 5000;
    count_op(OP_STALL_PERIOD, (board_function_t)begin, 0, 0);
    now_us += (uint64_t)PERIOD_US * 4321;
    count_op(OP_STALL_PERIOD, (board_function_t)end, 0, 0);
    count_report();
    count_report_all();
    board_put("end\n");
    return 0;
}
