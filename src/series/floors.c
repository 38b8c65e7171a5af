/* SPDX-License-Identifier: MIT
 *
 * The floors of a row of values.
 */
#include "series/floors.h"

void eai_floors_read(eai_floors_t *floors, const uint16_t *values, uint32_t n)
{
    uint32_t i = 0, n_rises = 0, min_rise = UINT16_MAX, max_rise = 0;

    for (uint32_t quarter = 0; quarter < 4; quarter++) {
        uint32_t end = (quarter + 1) * n / 4;
        uint16_t floor = i < n ? values[i] : 0;
        for (; i < end; i++) {
            if (values[i] < floor) floor = values[i];
        }
        floors->floors[quarter] = floor;
        if (quarter == 0 || floor <= floors->floors[quarter - 1]) continue;
        uint32_t rise = (uint32_t)floor - floors->floors[quarter - 1];
        if (rise < min_rise) min_rise = rise;
        if (rise > max_rise) max_rise = rise;
        n_rises++;
    }
    bool is_growing = n >= 4 && floors->floors[3] > floors->floors[0];
    floors->growth = is_growing ? (uint16_t)(floors->floors[3] - floors->floors[0]) : 0;
    floors->min_rise = n >= 4 && n_rises == 3 ? (uint16_t)min_rise : 0;
    floors->max_rise = n >= 4 ? (uint16_t)max_rise : 0;
}

bool eai_floors_rise(const eai_floors_t *floors, uint32_t min_growth, uint32_t even_percent)
{
    return floors->min_rise > 0 && floors->growth >= min_growth &&
           floors->min_rise * 300u >= even_percent * floors->growth;
}
