/* SPDX-License-Identifier: MIT */
#include "histogram.h"

static unsigned bucket_of(uint32_t value)
{
    unsigned shift = value < 128 ? 0 : 25u - (unsigned)__builtin_clz(value);
    return (shift << 6) + (value >> shift);
}

static uint32_t greatest_in(unsigned bucket)
{
    if (bucket < 128) return bucket;
    unsigned shift = (bucket >> 6) - 1;
    return (uint32_t)(((((uint64_t)bucket & 63) + 65) << shift) - 1);
}

void histogram_add(histogram_t *h, uint32_t value)
{
    h->n++;
    h->bucket[bucket_of(value)]++;
    if (value > h->most) h->most = value;
}

uint32_t histogram_quantile(const histogram_t *h, unsigned ten_thousandths)
{
    unsigned __int128 product = (unsigned __int128)h->n * ten_thousandths;
    uint64_t rank = (uint64_t)((product + 9999) / 10000), seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen < rank || seen == 0) continue;
        return greatest_in(i) < h->most ? greatest_in(i) : h->most;
    }
    return h->most;
}
