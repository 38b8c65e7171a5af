/* SPDX-License-Identifier: MIT
 *
 * The floors of a row of values: against their definition, and which shapes count as rising.
 */
#include "series/floors.h"

#include "tap.h"

#define MAX_VALUES 24u

static uint16_t values[MAX_VALUES];
static eai_floors_t floors;

static uint32_t random_below(uint32_t *state, uint32_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % n;
}

static bool rise(uint32_t n, uint32_t min_growth, uint32_t even_percent)
{
    eai_floors_read(&floors, values, n);
    return eai_floors_rise(&floors, min_growth, even_percent);
}

TEST(floors_are_the_smallest_of_each_quarter, 0)
{
    uint32_t state = (uint32_t)tap_arg("seed", 1) * 2654435761u + 12345u;
    tap_note("seed", (long long)tap_arg("seed", 1));
    for (unsigned round = 0; round < 2000; round++) {
        uint32_t n = 4 + random_below(&state, MAX_VALUES - 3),
                 range = 1 + random_below(&state, 65536);
        uint32_t smallest[4] = {65536, 65536, 65536, 65536};
        for (uint32_t i = 0; i < n; i++) {
            values[i] = (uint16_t)random_below(&state, range);
            for (uint32_t q = 0; q < 4; q++) {
                bool is_in = i >= q * n / 4 && i < (q + 1) * n / 4;
                if (is_in && values[i] < smallest[q]) smallest[q] = values[i];
            }
        }
        long long least = 65536, most = 0, growth = (long long)smallest[3] - smallest[0];
        for (uint32_t q = 1; q < 4; q++) {
            long long step = (long long)smallest[q] - smallest[q - 1];
            if (step < least) least = step;
            if (step > most) most = step;
        }
        eai_floors_read(&floors, values, n);
        for (uint32_t q = 0; q < 4; q++) EXPECT_EQ(floors.floors[q], smallest[q]);
        EXPECT_EQ(floors.growth, growth > 0 ? growth : 0);
        EXPECT_EQ(floors.min_rise, least > 0 ? least : 0);
        EXPECT_EQ(floors.max_rise, most);
        bool is_even = least > 0 && least * 300 >= 65 * growth;
        EXPECT_EQ(eai_floors_rise(&floors, 100, 65), is_even && growth >= 100);
    }
}

TEST(floors_of_fewer_than_four_values_do_not_rise, 0)
{
    for (uint16_t i = 0; i < MAX_VALUES; i++) values[i] = (uint16_t)(1000 * (i + 1));
    for (uint32_t n = 0; n < 4; n++) EXPECT(!rise(n, 0, 0));
    EXPECT(rise(4, 3000, 100));
    EXPECT(!rise(4, 3001, 100));
    EXPECT_EQ(floors.growth, 3000);
}

TEST(floors_of_a_line_rise_and_those_of_a_step_a_wave_and_a_warm_up_do_not, 0)
{
    for (uint16_t i = 0; i < 16; i++) values[i] = (uint16_t)(1000 + 100 * i);
    EXPECT(rise(16, 400, 65));
    for (uint16_t i = 0; i < 16; i++) values[i] = i < 8 ? 1000 : 5000;
    EXPECT(!rise(16, 400, 65));
    for (uint16_t i = 0; i < 16; i++) values[i] = (uint16_t)(1000 + 100 * (i < 8 ? i : 16 - i));
    EXPECT(!rise(16, 400, 65));
    for (uint16_t i = 0; i < 16; i++) values[i] = (uint16_t)(9000 - (8000 >> (i / 4)));
    EXPECT(!rise(16, 400, 65));
    for (uint16_t i = 0; i < 16; i++) values[i] = (uint16_t)(5000 - 100 * i);
    EXPECT(!rise(16, 0, 0));
}

TEST(floors_hold_the_greatest_growth_there_is, 0)
{
    for (uint16_t i = 0; i < 4; i++) values[i] = (uint16_t)(21845u * i);
    EXPECT(rise(4, 65535, 100));
    EXPECT_EQ(floors.growth, 65535);
}

TEST_MAIN(&floors_are_the_smallest_of_each_quarter, &floors_of_fewer_than_four_values_do_not_rise,
          &floors_of_a_line_rise_and_those_of_a_step_a_wave_and_a_warm_up_do_not,
          &floors_hold_the_greatest_growth_there_is)
