/* SPDX-License-Identifier: MIT
 *
 * Leaks: the passes over all places and rows, and what they judge. leaks.c tells the story.
 *
 *     pass    | places .......... | rows . |          six a window; bounded steps, whenever called
 *     window  | pass | pass | pass | pass | pass | pass |
 *     spans   eight windows, and eight times four of them
 *
 * A pass counts, for each site, its old blocks and those that a rule, an owner that is gone or
 * their age speak against. Where a window ends the site's floors go into its short span, those of
 * four windows into its long one, and the rule of growth is asked. Of a span's eight windows two
 * are a quarter; a quarter's floor is the less of the two.
 *
 * Why floors: what is live at a moment goes up and down with the load; the least of a quarter only
 * rises if something stays. Why old blocks: a load that rises makes more live blocks, but not more
 * that outlive nearly all others of their site.
 */
#include "base/mem.h"
#include "observe/leaks_internal.h"
#include "series/floors.h"

#define N_QUARTERS 4u
#define LEAST_GROWTH 6u
#define EVEN_PERCENT 35u            /* of a third of the growth, each step at least */
#define OLD_PERMILLE 500u           /* growth of old ones, of the growth            */
#define FREED_PERMILLE 500u         /* old ones freed, of the growth of old ones    */
#define AGEING_FREED_PERMILLE 2000u /* likewise, where old ones alone count         */
#define QUIET_WINDOWS 12u           /* without growth, and the finding is cleared   */
#define PERCENTILE 99u
#define HALVE_AT 4096u
#define MAX_WINDOWS UINT16_MAX
#define PIN ((uint32_t)1 << 31) /* the largest age */
#define MAX_AGE_BITS 30u
#define MINOR_DAYS 90u
#define MAJOR_DAYS 14u
#define CRITICAL_DAYS 2u
#define US_PER_DAY (UINT64_C(86400) * 1000000u)

/* --- floors ----------------------------------------------------------------------------------- */

/* Twelve bits and a shift: exact below 4096, else from below by less than 1 in 2048. */
static uint16_t pack(uintptr_t n)
{
    unsigned bits = eai_bits_of(n), shift = bits > 12u ? bits - 12u : 0;
    return shift > 15u ? UINT16_MAX : (uint16_t)(shift << 12 | (unsigned)(n >> shift));
}

static unsigned shift_of(uint16_t packed)
{
    return packed >> 12;
}

static uint32_t unpack(uint16_t packed)
{
    return (uint32_t)(packed & 0xFFFu) << shift_of(packed);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* How floors rose over a span: from the first quarter's to the last one's; that one; whether each
 * step was a rise, and none much less than the others. */
typedef struct {
    uint32_t all, last;
    bool is_even;
} rise_t;

/* The packed floors are brought to the shift of the largest first. */
static rise_t rise_of(const uint16_t *windows)
{
    uint16_t scaled[EAI_LEAKS_WINDOWS];
    eai_floors_t f;
    unsigned shift = 0;
    for (unsigned i = 0; i < EAI_LEAKS_WINDOWS; i++)
        if (shift_of(windows[i]) > shift) shift = shift_of(windows[i]);
    for (unsigned i = 0; i < EAI_LEAKS_WINDOWS; i++)
        scaled[i] = (uint16_t)(unpack(windows[i]) >> shift);
    eai_floors_read(&f, scaled, EAI_LEAKS_WINDOWS);
    return (rise_t){.all = (uint32_t)f.growth << shift,
                    .last = (uint32_t)f.floors[N_QUARTERS - 1u] << shift,
                    .is_even = eai_floors_rise(&f, 1, EVEN_PERCENT)};
}

static uint32_t n_freed_of(const span_t *span)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < EAI_LEAKS_WINDOWS; i++) n += span->eai_freed[i];
    return n;
}

/* Even, and more than chance would make of so many. */
static bool is_even(rise_t r)
{
    return r.is_even && r.all >= LEAST_GROWTH && (uint64_t)r.all * r.all >= r.last;
}

static bool is_growth(const span_t *span)
{
    rise_t live = rise_of(span->eai_live), old = rise_of(span->eai_old);
    uint32_t n_freed = n_freed_of(span);
    return is_even(live) && (uint64_t)old.all * 1000u >= (uint64_t)live.all * OLD_PERMILLE &&
           (uint64_t)n_freed * 1000u <= (uint64_t)old.all * FREED_PERMILLE;
}

/* Where what lives for a while comes and goes, the old ones alone are the better sign. */
static bool is_ageing(const span_t *span)
{
    rise_t live = rise_of(span->eai_live), old = rise_of(span->eai_old);
    uint32_t n_freed = n_freed_of(span);
    return is_even(old) && live.all > 0 &&
           (uint64_t)n_freed * 1000u <= (uint64_t)old.all * AGEING_FREED_PERMILLE;
}

/* --- windows ---------------------------------------------------------------------------------- */

static void push(span_t *span, uint16_t live, uint16_t old, uint8_t n_freed)
{
    const size_t n = EAI_LEAKS_WINDOWS - 1u;
    memmove(span->eai_live, span->eai_live + 1, n * sizeof span->eai_live[0]);
    memmove(span->eai_old, span->eai_old + 1, n * sizeof span->eai_old[0]);
    memmove(span->eai_freed, span->eai_freed + 1, n);
    span->eai_live[n] = live;
    span->eai_old[n] = old;
    span->eai_freed[n] = n_freed;
}

/* The last windows of the short span are one of the long. */
static void push_long(row_t *row)
{
    const span_t *span = &row->eai_spans[0];
    uint32_t live = UINT32_MAX, old = UINT32_MAX, n_freed = 0;
    for (unsigned i = EAI_LEAKS_WINDOWS - EAI_LEAKS_LONG; i < EAI_LEAKS_WINDOWS; i++) {
        live = least(live, unpack(span->eai_live[i]));
        old = least(old, unpack(span->eai_old[i]));
        n_freed += span->eai_freed[i];
    }
    push(&row->eai_spans[1], pack(live), pack(old), (uint8_t)least(n_freed, UINT8_MAX));
}

static void close_window(row_t *row)
{
    uintptr_t n_live = EAI_LOAD(&row->eai_n_live, EAI_RELAXED);
    uintptr_t floor = EAI_LOAD(&row->eai_floor, EAI_RELAXED);
    EAI_STORE(&row->eai_floor, n_live, EAI_RELAXED);
    uint32_t n_freed = EAI_ROUGH_LOAD(&row->eai_n_old_freed);
    EAI_ROUGH_STORE(&row->eai_n_old_freed, 0);
    push(&row->eai_spans[0], pack(floor < n_live ? floor : n_live), pack(row->eai_old_floor),
         (uint8_t)least(n_freed, UINT8_MAX));
    row->eai_old_floor = UINT32_MAX;
    if (row->eai_n_windows < MAX_WINDOWS) row->eai_n_windows++;
    bool is_long = ++row->eai_n_of_long == EAI_LEAKS_LONG;
    if (is_long) {
        push_long(row);
        row->eai_n_of_long = 0;
    }
    if (row->eai_n_windows == EAI_LEAKS_WINDOWS)
        row->eai_base = pack(rise_of(row->eai_spans[0].eai_old).last);
    uint8_t is_short_growth =
        row->eai_n_windows >= EAI_LEAKS_WINDOWS && is_growth(&row->eai_spans[0]);
    uint8_t was_long_growth = row->eai_fires & 2u;
    if (is_long && row->eai_n_windows >= EAI_LEAKS_LONG * EAI_LEAKS_WINDOWS)
        was_long_growth = is_growth(&row->eai_spans[1]) || is_ageing(&row->eai_spans[1]) ? 2u : 0;
    row->eai_fires = (uint8_t)(is_short_growth | was_long_growth);
}

/* --- lifetimes -------------------------------------------------------------------------------- */

/* What 99 of 100 of those freed did not outlive, at least 16 units. */
static void set_old_class(const leaks_t *l, row_t *row)
{
    uint32_t n = 0, below = 0, most = 0;
    unsigned class = 0, largest = MAX_AGE_BITS - eai_bits_of(l->eai_unit);
    for (unsigned i = 0; i < EAI_LEAKS_LIFETIMES; i++) {
        uint32_t of_class = EAI_ROUGH_LOAD(&row->eai_lifetimes[i]);
        n += of_class;
        if (of_class > most) most = of_class;
    }
    row->eai_is_usual_known = n >= EAI_LEAKS_FEW;
    if (row->eai_is_usual_known)
        while (class < EAI_LEAKS_LIFETIMES - 1u) {
            below += EAI_ROUGH_LOAD(&row->eai_lifetimes[class]);
            if ((uint64_t)below * 100u >= (uint64_t)n * PERCENTILE) break;
            class ++;
        }
    if (class < EAI_LEAKS_LEAST_CLASS) class = EAI_LEAKS_LEAST_CLASS;
    if (class > largest) class = largest;
    EAI_ROUGH_STORE(&row->eai_old_class, (uint16_t) class);
    if (most < HALVE_AT) return;
    for (unsigned i = 0; i < EAI_LEAKS_LIFETIMES; i++)
        EAI_ROUGH_STORE(&row->eai_lifetimes[i],
                        (uint16_t)(EAI_ROUGH_LOAD(&row->eai_lifetimes[i]) / 2u));
}

/* --- places ----------------------------------------------------------------------------------- */

static const ea_leaks_rule_t *rule_of(const leaks_t *l, uintptr_t key, const place_t *block)
{
    for (uint32_t i = 0; i < l->eai_options.n_rules; i++) {
        const ea_leaks_rule_t *rule = &l->eai_options.rules[i];
        if ((!rule->site || (uintptr_t)rule->site == key) &&
            (rule->owner == 0 || rule->owner == block->eai_owner) &&
            block->eai_size_bytes >= rule->min_size_bytes &&
            (rule->max_size_bytes == 0 || block->eai_size_bytes <= rule->max_size_bytes))
            return rule;
    }
    return NULL;
}

static void add(eai_leaks_sum_t *sum, uintptr_t size_bytes)
{
    sum->eai_n++;
    sum->eai_bytes += size_bytes;
}

/* Where one block in n is watched. */
static uint64_t scale(const leaks_t *l, uint64_t n)
{
    return l->eai_options.sample_one_in > 1 ? n * l->eai_options.sample_one_in : n;
}

static uint8_t judge_block(const leaks_t *l, row_t *row, const place_t *block, uint32_t age)
{
    const ea_leaks_options_t *o = &l->eai_options;
    const ea_leaks_rule_t *rule = rule_of(l, EAI_LOAD(&row->eai_key, EAI_RELAXED), block);
    uint8_t kinds = 0;
    if (rule && rule->may_hold_bytes != 0) row->eai_may_hold = rule->may_hold_bytes;
    if (rule && rule->max_age_us != 0 && age > rule->max_age_us / o->tick_us) kinds |= EA_LEAK_AGE;
    if (rule && rule->max_hold_bytes != 0 &&
        scale(l, EAI_LOAD(&row->eai_live_bytes, EAI_RELAXED)) > rule->max_hold_bytes)
        kinds |= EA_LEAK_EXCESS;
    if (o->is_gone && block->eai_owner != 0 && o->is_gone(o->context, block->eai_owner))
        kinds |= EA_LEAK_OWNER_GONE;
    if (o->survival_factor != 0 && row->eai_is_usual_known &&
        age / o->survival_factor > eai_leaks_old_age(l, row))
        kinds |= EA_LEAK_SURVIVAL;
    return kinds;
}

static void look(leaks_t *l, place_t *place)
{
    place_t block;
    if (!eai_leaks_look(place, &block)) return;
    uint32_t age = eai_leaks_age(l->eai_now, block.eai_birth);
    if (age > PIN) { /* it stays that old: times wrap */
        EAI_ENTER(irq);
        (void)EAI_CAS_U32(&place->eai_birth, block.eai_birth, l->eai_now - PIN);
        EAI_LEAVE(irq);
    }
    row_t *row = &l->eai_rows[block.eai_site];
    bool is_old = age > eai_leaks_old_age(l, row);
    uint8_t kinds = judge_block(l, row, &block, age);
    if (is_old) add(&row->eai_old, block.eai_size_bytes);
    if (kinds != 0) {
        add(&row->eai_flagged, block.eai_size_bytes);
        row->eai_kinds |= kinds;
    }
    if ((is_old || kinds != 0) && age >= row->eai_oldest) {
        row->eai_oldest = age;
        row->eai_owner = block.eai_owner;
    }
}

/* --- how bad ---------------------------------------------------------------------------------- */

/* By which span a row's growth is measured: the long one, if it is full and says as much as the
 * short one does. */
static bool is_by_long(const row_t *row)
{
    return row->eai_n_windows >= EAI_LEAKS_LONG * EAI_LEAKS_WINDOWS && row->eai_fires != 1u;
}

/* Windows between the middles of the first and the last quarter. */
static uint32_t n_between(bool is_long)
{
    return (EAI_LEAKS_WINDOWS - EAI_LEAKS_WINDOWS / N_QUARTERS) * (is_long ? EAI_LEAKS_LONG : 1u);
}

uint64_t eai_leaks_bytes_per_day(const leaks_t *l, const row_t *row)
{
    uint32_t n_live = (uint32_t)EAI_LOAD(&row->eai_n_live, EAI_RELAXED);
    if ((row->eai_found & EA_LEAK_GROWTH) == 0 || n_live == 0) return 0;
    bool is_long = is_by_long(row);
    uint32_t growth = rise_of(row->eai_spans[is_long].eai_old).all;
    uint64_t bytes = (uint64_t)EAI_LOAD(&row->eai_live_bytes, EAI_RELAXED) * growth / n_live;
    uint64_t span_us = l->eai_options.window_us * n_between(is_long);
    if (bytes < UINT64_MAX / US_PER_DAY) return bytes * US_PER_DAY / span_us;
    return bytes / span_us * US_PER_DAY;
}

/* Growth a window against that from the first span's end on. */
uint32_t eai_leaks_steady_permille(const row_t *row)
{
    bool is_long = is_by_long(row);
    uint32_t n_windows = row->eai_n_windows, base = unpack(row->eai_base);
    rise_t old = rise_of(row->eai_spans[is_long].eai_old);
    if (n_windows < 2u * EAI_LEAKS_WINDOWS || old.last <= base) return 1000u;
    uint64_t of_span = (uint64_t)old.all * 1000u * (n_windows - EAI_LEAKS_WINDOWS);
    uint64_t permille = of_span / n_between(is_long) / (old.last - base);
    return permille < UINT32_MAX ? (uint32_t)permille : UINT32_MAX;
}

uint64_t eai_leaks_room_ends_us(uint64_t room_bytes, uint64_t bytes_per_day)
{
    if (bytes_per_day == 0 || room_bytes == SIZE_MAX) return UINT64_MAX;
    uint64_t days = room_bytes / bytes_per_day, rest = room_bytes % bytes_per_day;
    if (days > UINT64_MAX / US_PER_DAY - 1u) return UINT64_MAX;
    uint64_t of_a_day = rest < UINT64_MAX / US_PER_DAY ? rest * US_PER_DAY / bytes_per_day
                                                       : rest / (bytes_per_day / US_PER_DAY);
    return days * US_PER_DAY + of_a_day;
}

static uint8_t severity_of(const leaks_t *l, const row_t *row)
{
    uint8_t severity = EA_LEAK_INFO;
    uint64_t room = eai_leaks_room_bytes(l, row);
    if (row->eai_found & EA_LEAK_GROWTH) {
        uint64_t ends_us = eai_leaks_room_ends_us(room, scale(l, eai_leaks_bytes_per_day(l, row)));
        if (room == SIZE_MAX || ends_us < MINOR_DAYS * US_PER_DAY) severity = EA_LEAK_MINOR;
        if (ends_us < MAJOR_DAYS * US_PER_DAY) severity = EA_LEAK_MAJOR;
        if (ends_us < CRITICAL_DAYS * US_PER_DAY) severity = EA_LEAK_CRITICAL;
    }
    if (row->eai_found & (uint8_t)~EA_LEAK_GROWTH) {
        uint64_t bytes = scale(l, row->eai_suspects.eai_bytes);
        uint8_t by_bytes = room == SIZE_MAX || bytes >= room / 64u ? EA_LEAK_MINOR : EA_LEAK_INFO;
        if (bytes >= room / 4u) by_bytes = EA_LEAK_MAJOR;
        if (bytes >= room) by_bytes = EA_LEAK_CRITICAL;
        if (by_bytes > severity) severity = by_bytes;
    }
    return severity;
}

static void tell(const leaks_t *l, const row_t *row, uint16_t kind)
{
    if (!ea_events_wanted(l->eai_options.events, kind)) return;
    const void *site = (const void *)EAI_LOAD(&row->eai_key, EAI_RELAXED);
    ea_events_emit(l->eai_options.events,
                   &(ea_event_t){.kind = kind,
                                 .owner = row->eai_owner,
                                 .level = row->eai_severity,
                                 .n = (uint16_t)least(row->eai_suspects.eai_n, UINT16_MAX),
                                 .size_bytes = row->eai_suspects.eai_bytes,
                                 .where = site,
                                 .caller = site});
}

/* --- rows ------------------------------------------------------------------------------------- */

static void judge_growth(const leaks_t *l, row_t *row)
{
    if (row->eai_fires != 0) {
        row->eai_found |= EA_LEAK_GROWTH;
        row->eai_n_quiet = 0;
    } else if ((row->eai_found & EA_LEAK_GROWTH) && !l->eai_is_lossy &&
               ++row->eai_n_quiet >= QUIET_WINDOWS) {
        row->eai_found &= (uint8_t)~EA_LEAK_GROWTH;
    }
}

static void end_pass(row_t *row)
{
    row->eai_suspects = row->eai_flagged.eai_n != 0 ? row->eai_flagged : row->eai_old;
    row->eai_suspect_age = row->eai_oldest;
    row->eai_old = row->eai_flagged = (eai_leaks_sum_t){0};
    row->eai_oldest = 0;
    row->eai_kinds = 0;
    row->eai_may_hold = 0;
}

static void judge_row(leaks_t *l, row_t *row)
{
    uint8_t was = row->eai_found;
    uint8_t kinds = row->eai_kinds;
    bool is_held = EAI_LOAD(&row->eai_live_bytes, EAI_RELAXED) <= row->eai_may_hold;
    row->eai_old_floor = least(row->eai_old_floor, row->eai_old.eai_n);
    if (l->eai_is_closing) close_window(row);
    if (l->eai_is_closing) judge_growth(l, row);
    row->eai_found = (uint8_t)((row->eai_found & EA_LEAK_GROWTH) | kinds);
    if (is_held) row->eai_found &= EA_LEAK_OWNER_GONE;
    end_pass(row);
    set_old_class(l, row);
    if (row->eai_found != 0) {
        uint8_t before = was ? row->eai_severity : EA_LEAK_NONE;
        row->eai_severity = severity_of(l, row);
        if (!was) row->eai_since = l->eai_now;
        if ((row->eai_found & (uint8_t)~was) && l->eai_options.history)
            eai_leaks_note(l->eai_options.history, EAI_LOAD(&row->eai_key, EAI_RELAXED),
                           row->eai_found);
        if (row->eai_severity > before) tell(l, row, EA_EVENT_LEAK);
    } else if (was) {
        tell(l, row, EA_EVENT_LEAK_CLEARED);
        row->eai_severity = EA_LEAK_NONE;
    }
}

/* The row has been given to another site: what the poll knew of it is void. */
static void begin_row(row_t *row, uint16_t generation)
{
    row->eai_seen = generation;
    memset(row->eai_spans, 0, sizeof row->eai_spans);
    row->eai_n_windows = 0;
    row->eai_is_usual_known = 0;
    row->eai_n_of_long = row->eai_n_quiet = row->eai_fires = row->eai_found = 0;
    row->eai_severity = EA_LEAK_NONE;
    row->eai_old_floor = UINT32_MAX;
    end_pass(row);
}

static void visit_row(leaks_t *l, row_t *row)
{
    if (EAI_LOAD(&row->eai_key, EAI_ACQUIRE) <= EAI_KEY_BUSY) return;
    uint16_t generation = EAI_ROUGH_LOAD(&row->eai_generation);
    if (generation != row->eai_seen)
        begin_row(row, generation);
    else
        judge_row(l, row);
}

/* --- passes ----------------------------------------------------------------------------------- */

static void begin_pass(leaks_t *l, uint32_t now, uint32_t pause)
{
    l->eai_due += pause;
    if (now - l->eai_due >= pause) l->eai_due = now; /* nobody polled for long */
    l->eai_now = now;
    l->eai_at = 0;
    l->eai_is_passing = true;
    l->eai_n_passes++;
    l->eai_is_closing = l->eai_n_passes % EAI_LEAKS_PASSES == 0;
    if (!l->eai_is_closing) return;
    uintptr_t n_lost = EAI_LOAD(&l->eai_n_untracked, EAI_RELAXED);
    l->eai_is_lossy = n_lost != l->eai_n_lost;
    l->eai_n_lost = n_lost;
}

ea_status_t ea_leaks_poll(leaks_t *l, uint32_t n_steps)
{
    if (!l) return EA_ERR_INVALID;
    if (!l->eai_is_passing) {
        uint32_t now = eai_leaks_now(l), pause = l->eai_unit * EAI_LEAKS_PARTS;
        if (now - l->eai_due < pause) return EA_OK;
        begin_pass(l, now, pause);
    }
    uint32_t n_blocks = l->eai_options.n_blocks, n = n_blocks + l->eai_options.n_sites;
    for (; n_steps > 0 && l->eai_at < n; n_steps--, l->eai_at++) {
        if (l->eai_at < n_blocks)
            look(l, &l->eai_places[l->eai_at]);
        else
            visit_row(l, &l->eai_rows[l->eai_at - n_blocks]);
    }
    l->eai_is_passing = l->eai_at < n;
    return l->eai_is_passing ? EA_ERR_AGAIN : EA_OK;
}
