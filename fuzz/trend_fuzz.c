/* SPDX-License-Identifier: MIT
 *
 * libFuzzer target: the input is first what a trend finds in its memory, then samples, sleeps and
 * resets. Whatever it was, after each the trend is sound and its report makes sense.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/trend.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const ea_trend_t *trend)
{
    ea_trend_report_t report;
    if (ea_trend_check(trend) != EA_OK) abort();
    ea_trend_read(trend, &report);
    if (report.left_low_s > report.left_s || report.left_s > report.left_high_s) abort();
    if ((report.span_s > 0) != (report.status == EA_TREND_LEAK)) abort();
    if (report.status == EA_TREND_LEAK && report.n_alarms == 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ea_trend_t trend;
    uint32_t words[3];
    if (size < sizeof words) return 0;
    memcpy(words, data, sizeof words);
    data += sizeof words;
    size -= sizeof words;
    size_t n = size < sizeof trend ? size : sizeof trend, capacity = words[0];
    memcpy(&trend, data, n);
    /* The report of what does not hold is anything, but nothing else happens. */
    (void)ea_trend_check(&trend);
    if (ea_trend_restart(&trend, capacity, words[1] % 302) == EA_ERR_INVALID) return 0;
    look(&trend);

    uint32_t used = words[2];
    for (size_t i = 0; i < size && i < 500; i++) {
        uint8_t what = data[i] & 7, much = data[i] >> 3;
        if (what == 0) {
            used = (uint32_t)much * (words[0] / 32u);
        } else if (what == 1) {
            ea_trend_skip(&trend, (uint32_t)1 << much);
        } else if (what == 2 && much == 0) {
            if (ea_trend_restart(&trend, capacity, words[1] % 302) != EA_OK) abort();
        } else {
            for (uint32_t k = 0; k < 4u * what; k++, used += much) ea_trend_sample(&trend, used);
        }
        look(&trend);
    }
    return 0;
}
