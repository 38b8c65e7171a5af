/* SPDX-License-Identifier: MIT
 *
 * The usage counters against plain ones. An internal header; where a core has a version of its own
 * in assembler, the compiler must also see which memory that changes.
 */
#include "base/usage.h"

#include "heap_testing.h"

typedef struct {
    size_t n_allocs, n_frees, free_bytes, min_free_bytes;
} reference_t;

static void compare(const eai_usage_t *usage, const reference_t *want)
{
    EXPECT_EQ(usage->n_allocs, want->n_allocs);
    EXPECT_EQ(usage->n_frees, want->n_frees);
    EXPECT_EQ(usage->free_bytes, want->free_bytes);
    EXPECT_EQ(usage->free_bytes - (size_t)usage->slack_bytes, want->min_free_bytes);
}

static void take(reference_t *r, size_t size_bytes)
{
    r->n_allocs++;
    r->free_bytes -= size_bytes;
    if (r->free_bytes < r->min_free_bytes) r->min_free_bytes = r->free_bytes;
}

static void give(reference_t *r, size_t size_bytes)
{
    r->n_frees++;
    r->free_bytes += size_bytes;
}

TEST(usage_watermark_follows_down_and_stays_up, 0)
{
    eai_usage_t usage = {0, 1000, 0, 0};
    reference_t want = {0, 0, 1000, 1000};
    static const struct {
        bool taken;
        uint32_t size;
        size_t lowest;
    } steps[] = {{true, 300, 700}, {false, 300, 700}, {true, 299, 700}, {true, 1, 700},
                 {true, 1, 699},   {false, 301, 699}, {true, 1000, 0},  {false, 1000, 0},
                 {true, 0, 0},     {false, 0, 0}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (steps[i].taken) {
            eai_usage_taken(&usage, steps[i].size);
            take(&want, steps[i].size);
        } else {
            eai_usage_given(&usage, steps[i].size);
            give(&want, steps[i].size);
        }
        EXPECT_EQ(want.min_free_bytes, steps[i].lowest);
        compare(&usage, &want);
    }
}

TEST(usage_agrees_with_plain_counters_at_random, 0)
{
    uint32_t seed = (uint32_t)tap_arg("seed", 1), state = seed;
    tap_note("seed", (long long)seed);
    for (int round = 0; round < 8; round++) {
        size_t total = round % 2 == 0 ? 4096 : (size_t)0x7FFFFFF0u;
        eai_usage_t usage = {0, total, 0, 0};
        reference_t want = {0, 0, total, total};
        for (int step = 0; step < 500; step++) {
            bool taken = next_random(&state) & 8u;
            size_t most = taken ? want.free_bytes : total - want.free_bytes;
            uint32_t size = (uint32_t)(next_random(&state) % (most / 2 + 1));
            if (taken) {
                eai_usage_taken(&usage, size);
                take(&want, size);
            } else {
                eai_usage_given(&usage, size);
                give(&want, size);
            }
            compare(&usage, &want);
        }
    }
}

TEST(usage_adjusted_moves_the_watermark_when_settled, 0)
{
    eai_usage_t usage = {3, 1000, 100, 2};
    eai_usage_adjust(&usage, -400); /* a realloc takes what is above ... */
    EXPECT_EQ(usage.free_bytes, 600);
    eai_usage_adjust(&usage, 350); /* ... and gives back what it did not need */
    eai_usage_settle(&usage);
    reference_t want = {3, 2, 950, 900};
    compare(&usage, &want);
    eai_usage_adjust(&usage, -51);
    eai_usage_settle(&usage);
    want.free_bytes = want.min_free_bytes = 899;
    compare(&usage, &want);
    eai_usage_settle(&usage);
    compare(&usage, &want);
}

TEST_MAIN(&usage_watermark_follows_down_and_stays_up, &usage_agrees_with_plain_counters_at_random,
          &usage_adjusted_moves_the_watermark_when_settled)
