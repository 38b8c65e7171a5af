/* SPDX-License-Identifier: MIT
 *
 * Trend: what outlives a reset, and the check.
 *
 * Of a boot that is over one line is kept: by how much the floor rose an hour, from each quarter of
 * its longest row to the next. When the middle one of each of the three, over four boots or more,
 * rises as evenly as a leak does, and four of five boots grew at all, it is likely that each boot
 * leaks and the reset hides it; a warm-up grows in the first quarter only. That is a suspicion:
 * nothing tells it from a cache that fills for as long as a boot lasts.
 */
#include "base/mem.h"
#include "series/trend_internal.h"

#define MIN_WINDOWS 8u
#define MIN_GROWTH 64u
#define MIN_BOOTS 4u
#define EVEN_PERCENT 65u
#define N_RISES 3u

/* FNV's multiplication (Fowler, Noll, Vo), a word at a time. */
uint32_t eai_trend_seal(const ea_trend_t *trend)
{
    const unsigned char *bytes = (const unsigned char *)trend;
    uint32_t seal = 2166136261u, word;
    for (size_t i = offsetof(ea_trend_t, eai_samples_a_step); i + sizeof word <= sizeof *trend;
         i += sizeof word) {
        memcpy(&word, bytes + i, sizeof word);
        seal = (seal ^ word) * 16777619u;
        seal ^= seal >> 15; /* the multiplication alone never moves a high bit down */
    }
    return seal;
}
EA_STATIC_ASSERT((sizeof(ea_trend_t) - offsetof(ea_trend_t, eai_samples_a_step)) % 4 == 0,
                 "the seal covers whole words");

/* --- boots ------------------------------------------------------------------------------------ */

static uint16_t an_hour(int32_t rise, uint32_t n, unsigned k)
{
    if (rise <= 0) return 0;
    uint32_t steps = n * eai_trend_shapes[k].steps / 4;
    uint32_t value = (uint32_t)rise * EAI_TREND_STEPS_AN_HOUR / steps;
    return value < UINT16_MAX ? (uint16_t)value : UINT16_MAX;
}

/* The line of the boot that is over, from the longest scale that can tell.
 * Returns  false: it was too short. */
static bool read_boot(const ea_trend_t *trend, uint16_t rises[N_RISES])
{
    for (unsigned k = EAI_TREND_N_SCALES; k-- > 0;) {
        eai_floors_t floors;
        uint32_t n = eai_trend_n(trend, k);
        if (n < MIN_WINDOWS) continue;
        eai_floors_read(&floors, &trend->eai_mins[eai_trend_shapes[k].at], n);
        for (unsigned i = 0; i < N_RISES; i++) {
            int32_t rise = (int32_t)floors.floors[i + 1] - floors.floors[i];
            rises[i] = floors.growth < MIN_GROWTH ? 0 : an_hour(rise, n, k);
        }
        return true;
    }
    return false;
}

bool eai_trend_boots_grow(const ea_trend_t *trend, uint32_t *an_hour)
{
    uint32_t n = trend->eai_n_boots, n_growing = 0, sum = 0, least = UINT16_MAX;
    int32_t rises[EAI_TREND_N_BOOTS];

    if (n < MIN_BOOTS || n > EAI_TREND_N_BOOTS) return false;
    for (uint32_t i = 0; i < n; i++) {
        const uint16_t *boot = trend->eai_boots[i];
        n_growing += boot[0] > 0 || boot[1] > 0 || boot[2] > 0;
    }
    for (unsigned r = 0; r < N_RISES; r++) {
        for (uint32_t i = 0; i < n; i++) rises[i] = trend->eai_boots[i][r];
        eai_trend_sort(rises, n);
        uint32_t middle = (uint32_t)rises[n / 2];
        sum += middle;
        if (middle < least) least = middle;
    }
    *an_hour = sum / N_RISES;
    return 5 * n_growing >= 4 * n && least > 0 && least * 300u >= EVEN_PERCENT * sum;
}

ea_status_t ea_trend_restart(ea_trend_t *trend, size_t capacity, uint32_t period_s)
{
    uint16_t boots[EAI_TREND_N_BOOTS][N_RISES], rises[N_RISES];
    uint32_t n_boots = 0;
    bool is_sound = false;
    ea_trend_t fresh;

    if (ea_trend_init(&fresh, capacity, period_s) != EA_OK || trend == NULL) return EA_ERR_INVALID;
    if (ea_trend_check(trend) == EA_OK && trend->eai_capacity == capacity &&
        trend->eai_step_s == fresh.eai_step_s &&
        trend->eai_samples_a_step == fresh.eai_samples_a_step) {
        is_sound = true;
        n_boots = trend->eai_n_boots;
        memcpy(boots, trend->eai_boots, sizeof boots);
        if (read_boot(trend, rises)) {
            if (n_boots == EAI_TREND_N_BOOTS) {
                n_boots--;
                memmove(boots[0], boots[1], n_boots * sizeof boots[0]);
            }
            memcpy(boots[n_boots++], rises, sizeof rises);
        }
        memcpy(fresh.eai_boots, boots, n_boots * sizeof boots[0]);
        fresh.eai_n_boots = (uint8_t)n_boots;
        fresh.eai_seal = eai_trend_seal(&fresh);
    }
    memcpy(trend, &fresh, sizeof fresh);
    return is_sound ? EA_OK : EA_ERR_CORRUPT;
}

/* --- the check -------------------------------------------------------------------------------- */

static bool is_scale_sound(const ea_trend_t *trend, unsigned k)
{
    const eai_trend_shape_t *shape = &eai_trend_shapes[k];
    const eai_trend_scale_t *scale = &trend->eai_scales[k];

    if (scale->eai_n > shape->n_windows || scale->eai_n_steps >= shape->steps) return false;
    for (uint32_t i = 0; i < scale->eai_n; i++) {
        if (trend->eai_mins[shape->at + i] > trend->eai_maxs[shape->at + i]) return false; /* I1 */
    }
    return scale->eai_is_alarm <= EAI_TREND_HALF;
}

ea_status_t ea_trend_check(const ea_trend_t *trend)
{
    if (trend == NULL) return EA_ERR_INVALID;
    if (trend->eai_seal != eai_trend_seal(trend)) return EA_ERR_CORRUPT; /* I2 */
    if (trend->eai_samples_a_step == 0 || trend->eai_samples_a_step > 300 ||
        trend->eai_n_samples >= trend->eai_samples_a_step || trend->eai_divisor == 0 ||
        trend->eai_n_boots > EAI_TREND_N_BOOTS) {
        return EA_ERR_CORRUPT;
    }
    for (unsigned k = 0; k < EAI_TREND_N_SCALES; k++) {
        if (!is_scale_sound(trend, k)) return EA_ERR_CORRUPT;
    }
    return EA_OK;
}
