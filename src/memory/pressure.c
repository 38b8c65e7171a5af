/* SPDX-License-Identifier: MIT
 *
 * Pressure: levels with two thresholds each, and the time lost to waiting.
 *
 * Levels. The thresholds are kept in bytes, worked out when the total changes, so that a call that
 * changes nothing compares with two words.
 *
 *     used  0 ------- leave low -- enter low ------- leave medium -- enter medium -- ...
 *     level | none ............ none or low ... low ............ low or medium ........
 *
 * I1  enter[l] is where level l ends upwards, leave[l] where it ends downwards: leave[0] is 0,
 *     enter[the last] is SIZE_MAX, and leave[l + 1] <= enter[l].
 * I2  level changes from l to a higher one only if used >= enter[l], and from that one back only if
 *     used < leave[l + 1]: between two changes usage has passed both thresholds.
 *
 * Stall. Between two calls nothing changes but the time, and what was lost in it follows from two
 * words: whether anybody waits, and from when on that is full stall. So each call first adds up the
 * time since the last one, in at most two pieces in each of which all or nothing was lost.
 *
 * I3  Time is counted up to now, which never decreases.
 * I4  While somebody waits, the time before full_from is lost to some, that after it to both.
 *
 * Averages. Time is cut into periods of 2^21 us. At the end of each the share that was lost in it
 * moves the average: average = share + (average - share) * exp(-period / window). Of a long silence
 * only the first period may be mixed; for the n others, all lost or all not, it is the same formula
 * with exp(-n * period / window). The powers of one base serve all windows, 300 seconds being 5
 * times 60 and 30 times 10, and the product of three table entries is any power.
 *
 * All is in masked sections, of constant length: the longest call passes the end of a period in
 * each of two pieces. Rejected: Linux's periods of exactly 2 s (a division, where these need a
 * shift), and averages brought up to date at every call (no lag, but an exponential each time and
 * an error each).
 */
#include "ealloc/pressure.h"
#include "ealloc/port.h"

#define PERIOD_BITS 21
#define PERIOD_US (1u << PERIOD_BITS)

/* A share of a period's time is the us lost in it, times 2^8: the average of all the time is
 * 2^29. */
#define SHARE_BITS 8
#define SHARE_ALL (1u << (PERIOD_BITS + SHARE_BITS))

static const ea_pressure_options_t defaults = EA_PRESSURE_DEFAULTS;

const char *ea_pressure_level_name(ea_pressure_level_t level)
{
    switch (level) {
    case EA_PRESSURE_NONE: return "none";
    case EA_PRESSURE_LOW: return "low";
    case EA_PRESSURE_MEDIUM: return "medium";
    case EA_PRESSURE_CRITICAL: return "critical";
    case EA_PRESSURE_N_LEVELS: break;
    }
    return "?";
}

/* --- levels ----------------------------------------------------------------------------------- */

static bool are_valid(const ea_pressure_options_t *options)
{
    unsigned enter = 0, leave = 0;

    for (unsigned i = 0; i < EA_PRESSURE_N_LEVELS - 1; i++) {
        const ea_pressure_threshold_t *level = &options->levels[i];
        if (level->enter_permille <= enter || level->enter_permille > 1000) return false;
        if (level->leave_permille < leave || level->leave_permille >= level->enter_permille) {
            return false;
        }
        enter = level->enter_permille;
        leave = level->leave_permille;
    }
    return true;
}

/* A word that ea_pressure_update() reads outside of masked sections. */
static size_t load(const size_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void store(size_t *word, size_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* The least number of bytes that is permille of total: rounded up, and no product overflows. */
static size_t part_of(size_t total, unsigned permille)
{
    return total / 1000 * permille + (total % 1000 * permille + 999) / 1000;
}

/* Keep I1 for another total. Of a total of 0 no level is entered and every one left. */
static void set_bounds(ea_pressure_t *pressure, size_t total)
{
    store(&pressure->eai_total, total);
    for (unsigned i = 0; i < EA_PRESSURE_N_LEVELS - 1; i++) {
        const ea_pressure_threshold_t *level = &pressure->eai_options->levels[i];
        store(&pressure->eai_enter[i],
              total == 0 ? SIZE_MAX : part_of(total, level->enter_permille));
        store(&pressure->eai_leave[i + 1],
              total == 0 ? SIZE_MAX : part_of(total, level->leave_permille));
    }
    store(&pressure->eai_enter[EA_PRESSURE_N_LEVELS - 1], SIZE_MAX);
}

ea_status_t ea_pressure_init(ea_pressure_t *pressure, const ea_pressure_options_t *options,
                             uint64_t now_us)
{
    if (options == NULL) options = &defaults;
    if (pressure == NULL || !are_valid(options)) return EA_ERR_INVALID;
    *pressure =
        (ea_pressure_t){.eai_options = options, .eai_level_since_us = now_us, .eai_now_us = now_us};
    set_bounds(pressure, 0);
    return EA_OK;
}

/* The level that usage leads to. At most three steps. */
static unsigned find_level(const ea_pressure_t *pressure, size_t used)
{
    unsigned level = pressure->eai_level;

    while (level > 0 && used < pressure->eai_leave[level]) level--;
    while (level < EA_PRESSURE_N_LEVELS - 1 && used >= pressure->eai_enter[level]) level++;
    return level;
}

/* Judge under the mask, with what this call knows. Apart, so that a call that changes nothing saves
 * no register. */
static EA_NOINLINE bool judge(ea_pressure_t *pressure, size_t used, size_t total, uint64_t now_us)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    if (pressure->eai_total != total) set_bounds(pressure, total);
    unsigned level = find_level(pressure, used);
    bool changed = level != pressure->eai_level;
    if (changed) {
        __atomic_store_n(&pressure->eai_level, (uint8_t)level, __ATOMIC_RELAXED);
        pressure->eai_level_since_us = now_us;
        pressure->eai_n_entered[level]++;
    }
    ea_port_irq_restore(irq);
    return changed;
}

bool ea_pressure_update(ea_pressure_t *pressure, size_t used, size_t total, uint64_t now_us)
{
    unsigned level = ea_pressure_level(pressure);

    /* The bounds of one level, for one total, belong together. Whoever changes either in this
     * moment judges itself. */
    if (load(&pressure->eai_total) == total && used >= load(&pressure->eai_leave[level]) &&
        used < load(&pressure->eai_enter[level])) {
        return false;
    }
    return judge(pressure, used, total, now_us);
}

/* --- averages --------------------------------------------------------------------------------- */

/* exp(-period / 300 s) to the power of each digit of a number in base 16, times 2^31. */
#define POWER_BITS 31
#define MAX_POWER 4095u
static const uint32_t powers[3][16] = {
    {0x80000000, 0x7F1BBBDE, 0x7E390ECF, 0x7D57F5FC, 0x7C786E96, 0x7B9A75D0, 0x7ABE08E3, 0x79E3250E,
     0x7909C793, 0x7831EDBA, 0x775B94D0, 0x7686BA26, 0x75B35B14, 0x74E174F3, 0x74110524,
     0x7342090A},
    {0x80000000, 0x72747E11, 0x6657EA93, 0x5B837163, 0x51D45A3C, 0x492B9967, 0x416D6C33, 0x3A80FFF8,
     0x3450227F, 0x2EC6FADE, 0x29D3C9D3, 0x2566B0E1, 0x21717F6F, 0x1DE7854A, 0x1ABD69FB,
     0x17E90861},
    {0x80000000, 0x15614E33, 0x039237A1, 0x0098B41D, 0x001981A3, 0x000442A8, 0x0000B62D, 0x00001E6E,
     0x00000515, 0x000000D9, 0x00000024, 0x00000006, 0x00000001, 0x00000000, 0x00000000,
     0x00000000},
};

/* A window's average loses in one period what the 300 seconds lose in so many. */
static const uint8_t periods_of[EA_STALL_N_WINDOWS] = {30, 5, 1};

static uint32_t times(uint32_t a, uint32_t b)
{
    return (uint32_t)((uint64_t)a * b >> POWER_BITS);
}

static uint32_t power_of(uint32_t n)
{
    if (n > MAX_POWER) n = MAX_POWER;
    return times(times(powers[0][n & 15], powers[1][n >> 4 & 15]), powers[2][n >> 8]);
}

/* average, after share has moved it: what separates them shrinks by power. */
static uint32_t move_average(uint32_t average, uint32_t share, uint32_t power)
{
    return average >= share ? share + times(average - share, power)
                            : share - times(share - average, power);
}

/* A period ends of which first[] was lost, then n whole ones of which rest[] was. */
static void end_periods(ea_pressure_t *pressure, const uint32_t *first, uint32_t n,
                        const uint32_t *rest)
{
    for (unsigned w = 0; w < EA_STALL_N_WINDOWS; w++) {
        uint32_t one = power_of(periods_of[w]), all = power_of(n * periods_of[w]);
        for (unsigned kind = 0; kind < EA_STALL_N_KINDS; kind++) {
            uint32_t average = move_average(pressure->eai_average[kind][w], first[kind], one);
            pressure->eai_average[kind][w] = move_average(average, rest[kind], all);
        }
    }
}

/* Count the time up to until_us, in all of which somebody waits or nobody does, with success or
 * without. */
static void pass_time(ea_pressure_t *pressure, uint64_t until_us, bool is_some, bool is_full)
{
    const bool is_lost[EA_STALL_N_KINDS] = {is_some, is_full};
    uint64_t from_us = pressure->eai_now_us;
    uint64_t n_ends = (until_us >> PERIOD_BITS) - (from_us >> PERIOD_BITS);
    uint32_t first[EA_STALL_N_KINDS], rest[EA_STALL_N_KINDS];
    /* The time in the period that begins last, and what was left of the one that was begun. */
    uint32_t begun_us = (uint32_t)(until_us & (PERIOD_US - 1));
    uint32_t left_us = PERIOD_US - (uint32_t)(from_us & (PERIOD_US - 1));

    for (unsigned kind = 0; kind < EA_STALL_N_KINDS; kind++) {
        uint32_t *period_us = &pressure->eai_period_us[kind];
        if (is_lost[kind]) pressure->eai_total_us[kind] += until_us - from_us;
        if (n_ends == 0) {
            if (is_lost[kind]) *period_us += (uint32_t)(until_us - from_us);
            continue;
        }
        first[kind] = (*period_us + (is_lost[kind] ? left_us : 0)) << SHARE_BITS;
        rest[kind] = is_lost[kind] ? SHARE_ALL : 0;
        *period_us = is_lost[kind] ? begun_us : 0;
    }
    if (n_ends > 0) {
        end_periods(pressure, first, n_ends - 1 < MAX_POWER ? (uint32_t)n_ends - 1 : MAX_POWER,
                    rest);
    }
    pressure->eai_now_us = until_us;
}

/* --- stall ------------------------------------------------------------------------------------ */

/* Count the time up to now_us (I3, I4). */
static void advance(ea_pressure_t *pressure, uint64_t now_us)
{
    bool is_some = pressure->eai_n_waiting > 0;

    if (now_us <= pressure->eai_now_us) return;
    if (is_some && pressure->eai_full_from_us < now_us) {
        if (pressure->eai_full_from_us > pressure->eai_now_us) {
            pass_time(pressure, pressure->eai_full_from_us, true, false);
        }
        pass_time(pressure, now_us, true, true);
    } else {
        pass_time(pressure, now_us, is_some, false);
    }
}

/* From now on it takes a while until the stall is full. */
static void put_off_full(ea_pressure_t *pressure)
{
    pressure->eai_full_from_us = pressure->eai_now_us + pressure->eai_options->progress_us;
}

static void set_waiting(ea_pressure_t *pressure, uint32_t n)
{
    __atomic_store_n(&pressure->eai_n_waiting, n, __ATOMIC_RELAXED); /* read by progress */
}

void ea_pressure_stall_begin(ea_pressure_t *pressure, uint64_t now_us)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    advance(pressure, now_us);
    if (pressure->eai_n_waiting == 0) put_off_full(pressure);
    set_waiting(pressure, pressure->eai_n_waiting + 1);
    ea_port_irq_restore(irq);
}

void ea_pressure_stall_end(ea_pressure_t *pressure, uint64_t now_us)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    advance(pressure, now_us);
    if (pressure->eai_n_waiting > 0) set_waiting(pressure, pressure->eai_n_waiting - 1);
    ea_port_irq_restore(irq);
}

void ea_pressure_progress(ea_pressure_t *pressure, uint64_t now_us)
{
    if (__atomic_load_n(&pressure->eai_n_waiting, __ATOMIC_RELAXED) == 0) return;

    ea_port_irq_t irq = ea_port_irq_mask();
    advance(pressure, now_us);
    put_off_full(pressure);
    ea_port_irq_restore(irq);
}

static void fill_stall(ea_stall_t *stall, const ea_pressure_t *copy, ea_stall_kind_t kind)
{
    stall->total_us = copy->eai_total_us[kind];
    for (unsigned w = 0; w < EA_STALL_N_WINDOWS; w++) {
        uint64_t average = copy->eai_average[kind][w];
        stall->average_permyriad[w] = (uint16_t)((average * 10000 + SHARE_ALL / 2) / SHARE_ALL);
    }
}

void ea_pressure_stats(ea_pressure_t *pressure, uint64_t now_us, ea_pressure_stats_t *stats)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    advance(pressure, now_us);
    const ea_pressure_t copy = *pressure;
    ea_port_irq_restore(irq);

    stats->level = (ea_pressure_level_t)copy.eai_level;
    stats->level_since_us = copy.eai_level_since_us;
    for (unsigned i = 0; i < EA_PRESSURE_N_LEVELS; i++) {
        stats->n_entered[i] = copy.eai_n_entered[i];
    }
    stats->n_waiting = copy.eai_n_waiting;
    fill_stall(&stats->some, &copy, EA_STALL_SOME);
    fill_stall(&stats->full, &copy, EA_STALL_FULL);
}

/* --- triggers --------------------------------------------------------------------------------- */

/* The time as the pressure knows it (I3), and what was lost until then. */
static uint64_t read_total(ea_pressure_t *pressure, ea_stall_kind_t kind, uint64_t *now_us)
{
    ea_port_irq_t irq = ea_port_irq_mask();
    advance(pressure, *now_us);
    *now_us = pressure->eai_now_us;
    uint64_t total_us = pressure->eai_total_us[kind];
    ea_port_irq_restore(irq);
    return total_us;
}

static void begin_window(ea_pressure_trigger_t *trigger, uint64_t now_us, uint64_t total_us,
                         uint32_t before_us)
{
    trigger->eai_begin_us = now_us;
    trigger->eai_total_us = total_us;
    trigger->eai_before_us = before_us;
}

ea_status_t ea_pressure_trigger_init(ea_pressure_trigger_t *trigger, ea_pressure_t *pressure,
                                     ea_stall_kind_t kind, uint32_t stall_us, uint32_t window_us,
                                     uint64_t now_us)
{
    if (trigger == NULL || pressure == NULL || (unsigned)kind >= EA_STALL_N_KINDS) {
        return EA_ERR_INVALID;
    }
    if (stall_us == 0 || stall_us > window_us || window_us > EA_PRESSURE_MAX_WINDOW_US) {
        return EA_ERR_INVALID;
    }
    *trigger = (ea_pressure_trigger_t){
        .eai_kind = kind, .eai_stall_us = stall_us, .eai_window_us = window_us};
    uint64_t total_us = read_total(pressure, kind, &now_us);
    begin_window(trigger, now_us, total_us, 0);
    return EA_OK;
}

/* What a window has of lost_us out of elapsed_us, lost evenly. */
static uint32_t share_of_window(uint64_t lost_us, uint64_t elapsed_us, uint32_t window_us)
{
    if (elapsed_us >> 40 != 0) { /* twelve days: the product must not overflow */
        lost_us >>= 24;
        elapsed_us >>= 24;
    }
    return (uint32_t)(lost_us * window_us / elapsed_us);
}

bool ea_pressure_trigger_poll(ea_pressure_trigger_t *trigger, ea_pressure_t *pressure,
                              uint64_t now_us)
{
    uint32_t window_us = trigger->eai_window_us;
    uint64_t total_us = read_total(pressure, trigger->eai_kind, &now_us);
    uint64_t lost_us = total_us - trigger->eai_total_us;
    uint64_t elapsed_us = now_us - trigger->eai_begin_us;

    if (elapsed_us >= window_us) {
        begin_window(trigger, now_us, total_us, share_of_window(lost_us, elapsed_us, window_us));
        lost_us = elapsed_us = 0;
    }
    /* In units of 1 / window_us; below 2^49. */
    uint64_t lost = lost_us * window_us + (window_us - elapsed_us) * trigger->eai_before_us;
    if (lost < (uint64_t)trigger->eai_stall_us * window_us || now_us < trigger->eai_quiet_us) {
        return false;
    }
    trigger->eai_quiet_us = now_us + window_us;
    return true;
}
