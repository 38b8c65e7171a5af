/* SPDX-License-Identifier: MIT
 *
 * A leak found days before it matters. A gateway's memory goes up and down with the day, and some
 * of it is never given back: 1 % a day. A trend is fed once a minute; here the minutes are
 * simulated. In RAM that a reset leaves alone it would also keep what each boot did; what it finds
 * in other RAM it takes for what it is, no trend.
 */
#include <ealloc/ealloc.h>
#include <stdio.h>

#define CAPACITY_BYTES 100000u
#define DAY (24u * 60u)

static ea_trend_t trend;

/* A third of the memory, by day 15 % more, some noise, and the leak. */
static size_t used_at(uint32_t minute)
{
    uint32_t of_day = minute % DAY;
    uint32_t by_day = (of_day < DAY / 2 ? of_day : DAY - of_day) * 15000 / (DAY / 2);
    uint32_t noise = (minute * 2654435761u >> 16) % 500;
    return 33000 + by_day + noise + minute * (CAPACITY_BYTES / 100) / DAY;
}

static void tell(uint32_t minute, const ea_trend_report_t *r)
{
    printf("day %lu: %s of %lu bytes an hour, full in %lu days (%lu to %lu)\n",
           (unsigned long)(minute / DAY), ea_trend_status_name(r->status),
           (unsigned long)r->per_hour, (unsigned long)(r->left_s / 86400),
           (unsigned long)(r->left_low_s / 86400), (unsigned long)(r->left_high_s / 86400));
}

int main(void)
{
    ea_trend_report_t report = {.status = EA_TREND_NONE};

    if (ea_trend_restart(&trend, CAPACITY_BYTES, 60) != EA_OK) printf("nothing from before\n");
    for (uint32_t minute = 0; minute < 60 * DAY; minute++) {
        uint32_t n_alarms = report.n_alarms;
        size_t used = used_at(minute);
        if (used >= CAPACITY_BYTES) {
            printf("day %lu: full\n", (unsigned long)(minute / DAY));
            break;
        }
        ea_trend_sample(&trend, used);
        ea_trend_read(&trend, &report);
        bool is_news = report.n_alarms != n_alarms || minute % (10 * DAY) == 0;
        if (report.status == EA_TREND_LEAK && is_news) tell(minute, &report);
    }
    return 0;
}
