/* SPDX-License-Identifier: MIT
 *
 * Leaks: what is found, and which blocks are older than somebody asks.
 */
#include "base/mem.h"
#include "observe/leaks_internal.h"

#define STEADY_POWER 4u
#define STORE_DISCOUNT 64u

static uint64_t us_of(const leaks_t *l, uint32_t ticks)
{
    return (uint64_t)ticks * l->eai_options.tick_us;
}

static const void *site_of(uintptr_t key)
{
    return key > EAI_KEY_FIRST ? (const void *)key : NULL;
}

/* --- blocks ----------------------------------------------------------------------------------- */

ea_status_t ea_leaks_next_block(const leaks_t *l, uint64_t threshold_us, size_t *cursor,
                                ea_leak_block_t *block)
{
    if (!l || !cursor || !block) return EA_ERR_INVALID;
    uint32_t now = eai_leaks_now(l);
    while (*cursor < l->eai_options.n_blocks) {
        place_t seen;
        if (!eai_leaks_look(&l->eai_places[(*cursor)++], &seen)) continue;
        uint64_t age_us = us_of(l, eai_leaks_age(now, seen.eai_birth));
        if (age_us <= threshold_us) continue;
        *block = (ea_leak_block_t){
            .block = (const void *)seen.eai_block,
            .site = site_of(EAI_LOAD(&l->eai_rows[seen.eai_site].eai_key, EAI_RELAXED)),
            .size_bytes = seen.eai_size_bytes,
            .age_us = age_us,
            .owner = seen.eai_owner,
        };
        return EA_OK;
    }
    return EA_ERR_NOT_FOUND;
}

size_t ea_leaks_detect(const leaks_t *l, uint64_t threshold_us)
{
    ea_leak_block_t block;
    size_t cursor = 0, n = 0;
    while (ea_leaks_next_block(l, threshold_us, &cursor, &block) == EA_OK) n++;
    return n;
}

/* --- findings --------------------------------------------------------------------------------- */

static size_t scaled(const leaks_t *l, uint64_t n)
{
    if (l->eai_options.sample_one_in > 1) n *= l->eai_options.sample_one_in;
    return n < SIZE_MAX ? (size_t)n : SIZE_MAX;
}

/* false: the row has been given to another site, and no pass has been there since: what the poll
 * knows is of the site before. */
static bool is_judged(const row_t *row)
{
    return EAI_ROUGH_LOAD(&row->eai_generation) == row->eai_seen;
}

static void describe_findings(const leaks_t *l, const row_t *row, uintptr_t key, ea_leak_t *found)
{
    uint64_t per_day = eai_leaks_bytes_per_day(l, row);
    *found = (ea_leak_t){
        .site = site_of(key),
        .owner = row->eai_owner,
        .kinds = row->eai_found,
        .severity = row->eai_severity,
        .n_live = scaled(l, EAI_LOAD(&row->eai_n_live, EAI_RELAXED)),
        .live_bytes = scaled(l, EAI_LOAD(&row->eai_live_bytes, EAI_RELAXED)),
        .n_suspects = scaled(l, row->eai_suspects.eai_n),
        .suspect_bytes = scaled(l, row->eai_suspects.eai_bytes),
        .bytes_per_day = scaled(l, per_day),
        .steady_permille = per_day != 0 ? eai_leaks_steady_permille(row) : 0,
        .oldest_us = us_of(l, row->eai_suspect_age),
        .usual_us = row->eai_is_usual_known ? us_of(l, eai_leaks_old_age(l, row)) : 0,
        .room_ends_us = eai_leaks_room_ends_us(eai_leaks_room_bytes(l, row), scaled(l, per_day)),
    };
    if (row->eai_found != 0) found->found_us = us_of(l, eai_leaks_now(l) - row->eai_since);
}

static void describe(const leaks_t *l, const row_t *row, uintptr_t key, ea_leak_t *found)
{
    const ea_leaks_history_t *history = l->eai_options.history;
    if (is_judged(row))
        describe_findings(l, row, key, found);
    else
        *found = (ea_leak_t){
            .site = site_of(key),
            .n_live = scaled(l, EAI_LOAD(&row->eai_n_live, EAI_RELAXED)),
            .live_bytes = scaled(l, EAI_LOAD(&row->eai_live_bytes, EAI_RELAXED)),
            .room_ends_us = UINT64_MAX,
        };
    const eai_leaks_past_t *past = history ? eai_leaks_past(history, key) : NULL;
    if (past) found->n_boots = past->eai_n_boots;
}

/* What fills slows down, what leaks does not; and a site that frees most of its blocks and keeps
 * some forgets, one that frees none stores. */
static uint64_t weight_of(const ea_leak_t *leak)
{
    uint64_t steady = leak->steady_permille < 1000u ? leak->steady_permille : 1000u;
    uint64_t weight = leak->bytes_per_day;
    for (unsigned i = 0; i < STEADY_POWER; i++) weight = weight * steady / 1000u;
    return leak->usual_us != 0 ? weight : weight / STORE_DISCOUNT;
}

/* Whether a comes before b. */
static bool is_worse(const ea_leak_t *a, const ea_leak_t *b)
{
    uint64_t of_a = weight_of(a), of_b = weight_of(b);
    if (of_a != of_b) return of_a > of_b;
    return a->suspect_bytes > b->suspect_bytes;
}

static bool is_current(const row_t *row)
{
    return row->eai_found != 0 && is_judged(row);
}

size_t ea_leaks_top(const leaks_t *l, ea_leak_t *found, size_t n)
{
    size_t n_found = 0;
    if (!l || !found || n == 0) return 0;
    for (uint32_t i = 0; i < l->eai_options.n_sites; i++) {
        const row_t *row = &l->eai_rows[i];
        ea_leak_t leak;
        if (!is_current(row)) continue;
        describe(l, row, EAI_LOAD(&row->eai_key, EAI_RELAXED), &leak);
        size_t at = n_found;
        while (at > 0 && is_worse(&leak, &found[at - 1])) at--;
        if (at == n) continue;
        if (n_found < n) n_found++;
        memmove(&found[at + 1], &found[at], (n_found - 1u - at) * sizeof leak);
        found[at] = leak;
    }
    return n_found;
}

bool ea_leaks_of_site(const leaks_t *l, const void *site, ea_leak_t *found)
{
    uintptr_t key = eai_leaks_key(site);
    uint32_t hash = eai_hash_of(key);
    *found = (ea_leak_t){.site = site};
    for (unsigned i = 0; i < EAI_N_WAYS; i++) {
        const row_t *row = eai_leaks_nth_way(l, hash, i);
        if (EAI_LOAD(&row->eai_key, EAI_ACQUIRE) != key) continue;
        describe(l, row, key, found);
        return is_current(row);
    }
    return false;
}

ea_status_t ea_leaks_next_past(const leaks_t *l, size_t *cursor, ea_leak_past_t *past)
{
    if (!l || !cursor || !past) return EA_ERR_INVALID;
    const ea_leaks_history_t *history = l->eai_options.history;
    while (history && *cursor < EA_LEAKS_HISTORY) {
        const eai_leaks_past_t *p = &history->eai_past[(*cursor)++];
        if (!eai_leaks_is_past(p)) continue;
        *past = (ea_leak_past_t){.site = site_of(p->eai_site),
                                 .n_boots = p->eai_n_boots,
                                 .last = p->eai_last,
                                 .kinds = (uint8_t)p->eai_kinds};
        return EA_OK;
    }
    return EA_ERR_NOT_FOUND;
}

void ea_leaks_stats(const leaks_t *l, ea_leaks_stats_t *stats)
{
    *stats = (ea_leaks_stats_t){
        .n_untracked = EAI_LOAD(&l->eai_n_untracked, EAI_RELAXED),
        .n_unplaced = EAI_LOAD(&l->eai_n_unplaced, EAI_RELAXED),
        .n_unknown = EAI_LOAD(&l->eai_n_unknown, EAI_RELAXED),
        .n_passes = l->eai_n_passes,
        .n_boots = l->eai_options.history ? l->eai_options.history->eai_n_boots : 0,
    };
    for (uint32_t i = 0; i < l->eai_options.n_sites; i++) {
        const row_t *row = &l->eai_rows[i];
        if (EAI_LOAD(&row->eai_key, EAI_RELAXED) <= EAI_KEY_BUSY) continue;
        stats->n_sites++;
        stats->n_live += EAI_LOAD(&row->eai_n_live, EAI_RELAXED);
        stats->live_bytes += EAI_LOAD(&row->eai_live_bytes, EAI_RELAXED);
        if (is_current(row)) stats->n_found++;
    }
}

/* --- names ------------------------------------------------------------------------------------ */

const char *ea_leak_kind_name(uint8_t kind)
{
    switch ((ea_leak_kind_t)kind) {
    case EA_LEAK_GROWTH: return "GROWTH";
    case EA_LEAK_AGE: return "AGE";
    case EA_LEAK_OWNER_GONE: return "OWNER_GONE";
    case EA_LEAK_SURVIVAL: return "SURVIVAL";
    case EA_LEAK_EXCESS: return "EXCESS";
    }
    return "?";
}

const char *ea_leak_severity_name(uint8_t severity)
{
    switch ((ea_leak_severity_t)severity) {
    case EA_LEAK_NONE: return "NONE";
    case EA_LEAK_INFO: return "INFO";
    case EA_LEAK_MINOR: return "MINOR";
    case EA_LEAK_MAJOR: return "MAJOR";
    case EA_LEAK_CRITICAL: return "CRITICAL";
    }
    return "?";
}
