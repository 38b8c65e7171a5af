/* SPDX-License-Identifier: MIT
 *
 * Does the floor of a row of values rise? The row is cut into four quarters; each quarter's
 * smallest value is its floor, which what comes and goes does not reach. The floor rises if each
 * quarter's is above the one before, and evenly if the least of the three rises is not much less
 * than a third of them all: a step, a warm-up that ends and a wave fail that.
 *
 *     value |            .    . :
 *           |   .   : .  :  : __:_  floor 3
 *           |   : ._:_:__:__:          2      growth = floor 3 - floor 0
 *           | __:_:                    1
 *           |_:                        0
 *           +----------------------- oldest to newest
 *
 * It takes the place of a rank test for trend (Mann 1945) and a median of slopes (Sen 1968), which
 * need O(n^2) and a sort and find no more.
 */
#ifndef EALLOC_SERIES_FLOORS_H
#define EALLOC_SERIES_FLOORS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint16_t floors[4]; /* of each quarter, the oldest first                              */
    uint16_t growth;    /* of the last over the first; 0 where there is none              */
    uint16_t min_rise;  /* of one quarter over the one before; 0 where one does not rise  */
    uint16_t max_rise;  /* 0 where none rises                                             */
} eai_floors_t;

/* The floors of n values, the oldest first. Fewer than four have no growth. Cost O(n). */
void eai_floors_read(eai_floors_t *floors, const uint16_t *values, uint32_t n);

/* Whether each floor is above the one before, the last min_growth or more above the first, and the
 * least of the three rises even_percent or more of a third of the growth. Cost O(1). */
bool eai_floors_rise(const eai_floors_t *floors, uint32_t min_growth, uint32_t even_percent);

#endif
