/* SPDX-License-Identifier: MIT
 *
 * Trend (row B4): does the use of something that can run out (the bytes of a heap, an account's
 * handles) grow without end, and when will it reach its capacity? One object for each thing
 * watched, in fixed memory, fed with one sample a period.
 *
 *     static ea_trend_t trend;
 *     ea_trend_init(&trend, capacity_bytes, 60);
 *     ... once a minute: ea_trend_sample(&trend, used_bytes);
 *     ea_trend_read(&trend, &report);
 *     if (report.status == EA_TREND_LEAK) tell(report.left_low_s, report.left_s,
 *     report.left_high_s);
 *
 * What is looked for is a floor that rises evenly, over 80 minutes, a day, four days or two weeks,
 * and to where it was not before: so daily and weekly cycles, bursts and a warm-up raise no alarm.
 * A cache that fills evenly looks like a leak until it is full; the alarm then ends by itself.
 * Watch what is allowed to grow with its own limit as the capacity, or not at all.
 *
 * Give it what is live, as an allocator counts it; not the pages of a process.
 *
 * Context of every function: any, one at a time for each object.
 */
#ifndef EALLOC_TREND_H
#define EALLOC_TREND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    EA_TREND_NONE = 0,
    EA_TREND_SUSPECT = 1, /* each of the last boots grew alike: no more than a suspicion */
    EA_TREND_LEAK = 2     /* use grows now, evenly, to where it was not before           */
} ea_trend_status_t;

/* A time that is not known, or beyond counting: 136 years. */
#define EA_TREND_NEVER UINT32_MAX

/* Times in seconds; EA_TREND_NEVER where there is none. */
typedef struct {
    ea_trend_status_t status;
    size_t used;          /* the floor now, as the trend has it; without one the last sample */
    size_t per_hour;      /* growth; 0: none, or less than 1                                 */
    uint32_t left_s;      /* until the peaks reach the capacity, if it goes on like this     */
    uint32_t left_low_s;  /* in nine of ten cases it is between these two                    */
    uint32_t left_high_s; /*                                                                 */
    uint32_t since_s;     /* how long there has been the alarm; 0: there is none             */
    uint32_t span_s;      /* over how long the growth was seen; 0: there is no alarm         */
    uint32_t n_alarms;    /* in all; one that comes back within three days is the same       */
} ea_trend_report_t;

/* The four scales: length of a window in steps of five minutes, and how many are kept; private. */
#define EAI_TREND_N_SCALES 4u
#define EAI_TREND_N_WINDOWS (16 + 24 + 16 + 14)
#define EAI_TREND_N_BOOTS 8u

typedef struct {
    uint16_t eai_min, eai_max; /* of the window that is not over yet */
    uint16_t eai_n_steps;      /* of it, so far                      */
    uint8_t eai_n;             /* windows there are, at most all     */
    uint8_t eai_is_alarm;      /* as judged when the last one closed */
} eai_trend_scale_t;

/* Every field is private. */
typedef struct {
    uint16_t eai_n_samples; /* of the step that is not over yet             */
    uint16_t eai_min, eai_max;
    uint16_t eai_last;           /* sample                                       */
    uint32_t eai_seal;           /* over all behind it, which a step's end moves */
    uint16_t eai_samples_a_step; /* 1 to 300                                     */
    uint16_t eai_step_s;
    size_t eai_capacity;
    uint16_t eai_divisor; /* capacity >> shift, at most 65535 */
    uint8_t eai_shift;
    uint8_t eai_n_boots;
    uint16_t eai_n_alarms;
    uint16_t eai_n_rising;    /* steps in which scale 0 rose, running */
    uint32_t eai_age_steps;   /* of the last episode of alarms   */
    uint32_t eai_quiet_steps; /* since its last alarm            */
    eai_trend_scale_t eai_scales[EAI_TREND_N_SCALES];
    uint16_t eai_mins[EAI_TREND_N_WINDOWS]; /* of each window, scale by scale, the oldest first */
    uint16_t eai_maxs[EAI_TREND_N_WINDOWS];
    uint16_t eai_boots[EAI_TREND_N_BOOTS][3]; /* what the floor rose by an hour, in each boot */
} ea_trend_t;

/* Make trend ready: nothing is known of what is watched, which is full at capacity.
 * period_s: seconds from one sample to the next, 1 to 300; 0: 60.
 * Returns  EA_OK; EA_ERR_INVALID: NULL, capacity is 0, period_s is above 300.
 * Cost     O(1). */
EA_NODISCARD ea_status_t ea_trend_init(ea_trend_t *trend, size_t capacity, uint32_t period_s);

/* The same after a reset, where trend lies in memory that a reset does not clear. What it knew of
 * this boot, which is over, is kept as one line, with those of the boots before it.
 * Returns  EA_OK; EA_ERR_CORRUPT: it does not hold what was left there, or was for another capacity
 *          or period; EA_ERR_INVALID: as ea_trend_init(). It is ready in both of the first cases.
 * Cost     O(1). */
EA_NODISCARD ea_status_t ea_trend_restart(ea_trend_t *trend, size_t capacity, uint32_t period_s);

/* One period is over, and used are in use; more than the capacity counts as the capacity.
 * Cost     O(1): a comparison with what there is; at the end of each step of five minutes the
 *          judgement of one to four scales. */
void ea_trend_sample(ea_trend_t *trend, size_t used);

/* n_periods went by without a sample, as in a sleep: taken as if use stayed as it was.
 * Cost     O(1): no more than two weeks are gone through. */
void ea_trend_skip(ea_trend_t *trend, uint32_t n_periods);

/* What can be said now. Cost O(1). */
void ea_trend_read(const ea_trend_t *trend, ea_trend_report_t *report);

/* Whether trend agrees with itself; changes nothing and survives garbage.
 * Returns  EA_OK; EA_ERR_CORRUPT; EA_ERR_INVALID: NULL. Cost O(1). */
EA_NODISCARD ea_status_t ea_trend_check(const ea_trend_t *trend);

/* "NONE", "SUSPECT", "LEAK"; "?" for a number that is none. Static storage. */
const char *ea_trend_status_name(ea_trend_status_t status);

#ifdef __cplusplus
}
#endif
#endif
