/* SPDX-License-Identifier: MIT
 *
 * Pressure (row C9): how near to its end something is that runs out (a region, an account, all
 * memory), and how much time is lost to waiting for it. One object for each thing watched, in the
 * caller's memory.
 *
 * Levels. Each is entered when usage reaches its one threshold and left when usage falls below a
 * lower one, so usage that swings about a threshold notifies once, not at every swing. By default:
 *
 *     level       entered at   left below
 *     low            60 %         50 %
 *     medium         80 %         60 %
 *     critical       95 %         85 %
 *
 *     if (ea_pressure_update(&pressure, used, total, now_us)) tell(ea_pressure_level(&pressure));
 *
 * Stall, in the shape of the pressure files of Linux: some is the time in which at least one
 * waited, full that in which one waited and nobody got anything. Of both the total, and the share
 * of the last 10, 60 and 300 seconds as averages that forget exponentially. A trigger tells when
 * more than so much was lost within a window.
 *
 *     ea_pressure_stall_begin(&pressure, now_us);
 *     ... wait ...
 *     ea_pressure_stall_end(&pressure, now_us);
 *
 * Time is an argument (microseconds that never go backwards, usually ea_port_time_us()); a time
 * before one given earlier counts as that one.
 *
 * Context of every function, unless said otherwise: any, several at once. Masked sections are of
 * constant length: no loop but over the three averages and the four levels.
 *
 * Source: the idea of levels with two thresholds is Schmitt's (J. Sci. Instrum. 15, 1938); stall
 * and trigger are those of Documentation/accounting/psi.rst of Linux; the averages are our own
 * arithmetic.
 */
#ifndef EALLOC_PRESSURE_H
#define EALLOC_PRESSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    EA_PRESSURE_NONE,
    EA_PRESSURE_LOW,
    EA_PRESSURE_MEDIUM,
    EA_PRESSURE_CRITICAL,
    EA_PRESSURE_N_LEVELS
} ea_pressure_level_t;

/* When a level above none is entered and left, in permille of the total. */
typedef struct {
    uint16_t enter_permille; /* 1 to 1000                      */
    uint16_t leave_permille; /* 0 to less than enter_permille  */
} ea_pressure_threshold_t;

typedef struct {
    ea_pressure_threshold_t levels[EA_PRESSURE_N_LEVELS - 1]; /* low, medium, critical: ascending */
    uint32_t progress_us; /* one waits and nobody succeeded for this long: then it is full stall */
} ea_pressure_options_t;

#define EA_PRESSURE_DEFAULTS                                                                       \
    {                                                                                              \
        {{600, 500}, {800, 600}, {950, 850}}, 10000                                                \
    }

/* Whose time: of those who waited, or of all. */
typedef enum { EA_STALL_SOME, EA_STALL_FULL, EA_STALL_N_KINDS } ea_stall_kind_t;

/* Over which time: the last 10, 60, 300 seconds. */
typedef enum { EA_STALL_10_S, EA_STALL_60_S, EA_STALL_300_S, EA_STALL_N_WINDOWS } ea_stall_window_t;

/* Fields are private. */
typedef struct {
    size_t eai_total;
    size_t
        eai_enter[EA_PRESSURE_N_LEVELS]; /* from this level up to the next, at so many bytes     */
    size_t
        eai_leave[EA_PRESSURE_N_LEVELS]; /* from this level down, below so many bytes            */
    uint8_t eai_level;
    uint32_t eai_n_waiting;
    uint32_t eai_n_entered[EA_PRESSURE_N_LEVELS];
    const ea_pressure_options_t *eai_options;
    uint64_t eai_level_since_us;
    uint64_t eai_now_us;       /* up to here stall is counted                                     */
    uint64_t eai_full_from_us; /* while somebody waits: from here on it is full, but for progress */
    uint64_t eai_total_us[EA_STALL_N_KINDS];
    uint32_t
        eai_period_us[EA_STALL_N_KINDS]; /* in the period that is not over yet                 */
    uint32_t eai_average[EA_STALL_N_KINDS][EA_STALL_N_WINDOWS];
} ea_pressure_t;

/* One kind of stall. The averages are in hundredths of a percent: 10000 is all the time. */
typedef struct {
    uint64_t total_us;
    uint16_t average_permyriad[EA_STALL_N_WINDOWS];
} ea_stall_t;

typedef struct {
    ea_pressure_level_t level;
    uint64_t level_since_us;
    uint32_t n_entered[EA_PRESSURE_N_LEVELS]; /* how often each level began, from above or below */
    uint32_t n_waiting;                       /* now                                             */
    ea_stall_t some, full;
} ea_pressure_stats_t;

/* "none", "low", "medium", "critical"; "?" for a number that is none. Static storage. */
const char *ea_pressure_level_name(ea_pressure_level_t level);

/* Make pressure ready: level none, nobody waits. options: NULL means EA_PRESSURE_DEFAULTS.
 * Returns  EA_OK; EA_ERR_INVALID: pressure is NULL, or the thresholds do not ascend or lie outside
 *          their ranges.
 * Owns     *options must live as long as pressure.
 * Context  any, alone. */
EA_NODISCARD ea_status_t ea_pressure_init(ea_pressure_t *pressure,
                                          const ea_pressure_options_t *options, uint64_t now_us);

/* --- levels ----------------------------------------------------------------------------------- */

/* used of total bytes (or of whatever is counted) are in use now.
 * Returns  true if that changed the level: to exactly one of the calls that meet, once a change.
 * Cost     O(1): about thirty instructions where the level stays and total is that of the last
 *          call. A total of 0 is no pressure. */
bool ea_pressure_update(ea_pressure_t *pressure, size_t used, size_t total, uint64_t now_us);

EA_INLINE ea_pressure_level_t ea_pressure_level(const ea_pressure_t *pressure)
{
    return (ea_pressure_level_t)__atomic_load_n(&pressure->eai_level, __ATOMIC_RELAXED);
}

/* --- stall ------------------------------------------------------------------------------------ */

/* One more begins to wait; every begin needs its end. Cost O(1). */
void ea_pressure_stall_begin(ea_pressure_t *pressure, uint64_t now_us);

/* One waits no more, with or without success. Without a begin: nothing. Cost O(1). */
void ea_pressure_stall_end(ea_pressure_t *pressure, uint64_t now_us);

/* Somebody got something: it is not full stall for the next progress_us. Cost O(1), a load where
 * nobody waits. */
void ea_pressure_progress(ea_pressure_t *pressure, uint64_t now_us);

/* Everything there is to know, as of now_us. The averages are as of the end of the last period of
 * 2^21 us (2.1 s). Cost O(1). */
void ea_pressure_stats(ea_pressure_t *pressure, uint64_t now_us, ea_pressure_stats_t *stats);

/* --- triggers --------------------------------------------------------------------------------- */

#define EA_PRESSURE_MAX_WINDOW_US 16000000u

/* "Tell when stall_us were lost within window_us". Fields are private. */
typedef struct {
    ea_stall_kind_t eai_kind;
    uint32_t eai_stall_us;
    uint32_t eai_window_us;
    uint32_t eai_before_us; /* lost in the window before this one                */
    uint64_t eai_begin_us;  /* of this window, ...                               */
    uint64_t eai_total_us;  /* ... and the total then                            */
    uint64_t eai_quiet_us;  /* do not fire before                                */
} ea_pressure_trigger_t;

/* Make trigger ready to be polled with pressure.
 * Returns  EA_OK; EA_ERR_INVALID: NULL, no such kind, stall_us 0 or above window_us, or that above
 *          EA_PRESSURE_MAX_WINDOW_US. */
EA_NODISCARD ea_status_t ea_pressure_trigger_init(ea_pressure_trigger_t *trigger,
                                                  ea_pressure_t *pressure, ea_stall_kind_t kind,
                                                  uint32_t stall_us, uint32_t window_us,
                                                  uint64_t now_us);

/* Whether stall_us or more were lost within the last window_us; true once a window at most. Poll
 * several times a window: the part of the window before this one that still counts is taken to have
 * been lost evenly, and after a longer silence its average is.
 * Context  one at a time for each trigger. Cost O(1). */
EA_NODISCARD bool ea_pressure_trigger_poll(ea_pressure_trigger_t *trigger, ea_pressure_t *pressure,
                                           uint64_t now_us);

#ifdef __cplusplus
}
#endif
#endif
