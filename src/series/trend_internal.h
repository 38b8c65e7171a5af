/* SPDX-License-Identifier: MIT
 *
 * What the files of the trend share. A value is a share of the capacity, 65535 all of it; time is
 * counted in steps of five minutes.
 */
#ifndef EALLOC_SERIES_TREND_INTERNAL_H
#define EALLOC_SERIES_TREND_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/trend.h"
#include "series/floors.h"

#define EAI_TREND_MAX_WINDOWS 24u
#define EAI_TREND_STEPS_AN_HOUR 12u

typedef struct {
    uint16_t n_windows;
    uint16_t at;           /* where its windows begin in the rows */
    uint16_t steps;        /* of a window                         */
    uint16_t min_windows;  /* fewer are not judged                */
    uint16_t even_percent; /* of eai_floors_rise()                */
    uint32_t max_left;     /* steps: what takes longer is no alarm */
} eai_trend_shape_t;

extern const eai_trend_shape_t eai_trend_shapes[EAI_TREND_N_SCALES];

/* The line through the floors of one scale. */
typedef struct {
    eai_floors_t floors;
    uint32_t n, at;    /* the windows, and where they begin in the rows  */
    uint32_t slope_64; /* a window, in 64ths                             */
    int32_t now;       /* where it is at the end of the last window      */
    uint32_t left;     /* steps from there until it reaches the capacity */
} eai_trend_line_t;

/* Which windows of a scale are judged: all, or on scale 0 the newer half. */
enum { EAI_TREND_ALL = 1, EAI_TREND_HALF = 2 };

/* Whether the floor of those windows of scale k rises evenly; then the line. */
bool eai_trend_line(const ea_trend_t *trend, unsigned k, unsigned which, eai_trend_line_t *line);

/* How much the line grew from the middle of window i of n to the end of the last one. */
static inline int32_t eai_trend_growth_since(const eai_trend_line_t *line, uint32_t i)
{
    return (int32_t)(line->slope_64 * (2u * (line->n - i) - 1u) / 128u);
}

/* Steps in which the line grows by a value of 0 to 65535. */
static inline uint32_t eai_trend_steps_for(const eai_trend_line_t *line, unsigned k, uint32_t value)
{
    /* 4G/3n a window; in 64ths of a window, of which there are at most 188743, or 110099 of a
     * day. */
    return value * (3u * line->n) * 16u / line->floors.growth * eai_trend_shapes[k].steps / 64u;
}

static inline uint32_t eai_trend_n(const ea_trend_t *trend, unsigned k)
{
    uint32_t n = trend->eai_scales[k].eai_n, most = eai_trend_shapes[k].n_windows;
    return n < most ? n : most; /* of garbage too */
}

void eai_trend_sort(int32_t *values, uint32_t n);

/* The seal over what it covers. */
uint32_t eai_trend_seal(const ea_trend_t *trend);

/* Whether the last boots grew alike; then the middle of their rises, an hour. */
bool eai_trend_boots_grow(const ea_trend_t *trend, uint32_t *an_hour);

#endif
