/* SPDX-License-Identifier: MIT
 *
 * A histogram of 32-bit numbers in fixed memory: exact below 128, above in 64 steps to the
 * doubling, so that a quantile is at most 1/64 too high. (The log-linear layout of Gil Tene's
 * HdrHistogram, for which Debian has no C library.)
 */
#ifndef EALLOC_REPLAY_HISTOGRAM_H
#define EALLOC_REPLAY_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS (64 * 27)

/* All zero is an empty one. */
typedef struct {
    uint64_t n, bucket[HISTOGRAM_BUCKETS];
    uint32_t most;
} histogram_t;

void histogram_add(histogram_t *h, uint32_t value);

/* The least number that at least that many ten-thousandths of all numbers do not exceed, as
 * exactly as the buckets tell, never above the greatest; 0 of an empty one. */
uint32_t histogram_quantile(const histogram_t *h, unsigned ten_thousandths);

#endif
