/* SPDX-License-Identifier: MIT
 *
 * The profile of allocations: windows, rows, the most costly ones, advice.
 */
#include "observe/profile_internal.h"

#include "base/mem.h"

#define US_PER_S 1000000u
#define FEW 16u            /* allocations say nothing */
#define MANY_PER_S 100u    /* allocations are many    */
#define MOST_PERMILLE 900u /* nearly all              */
#define SOON_US 100000u    /* is soon                 */
#define BURST 4u           /* times the mean of a window is a burst */

/* --- windows ---------------------------------------------------------------------------------- */

/* Only the window writes marks, but a row that loses its key pours them out at any moment: so they
 * are added to like every other sum. */
static uintptr_t move_mark(row_t *row, unsigned which, unsigned mark)
{
    EAI_ENTER(irq);
    uintptr_t old, step;
    do {
        old = EAI_LOAD_LINKED(&row->eai_sums[mark]);
        step = eai_sum(row, which) - old;
    } while (!EAI_STORE_COND(&row->eai_sums[mark], old, old + step)); /* bound: interrupts */
    EAI_LEAVE(irq);
    return step <= UINTPTR_MAX / 2u ? step : 0;
}

static void end_window(row_t *row)
{
    uintptr_t n = move_mark(row, EAI_PROFILE_N_ALLOCS, EAI_PROFILE_MARK_N);
    uintptr_t bytes = move_mark(row, EAI_PROFILE_ALLOC_BYTES, EAI_PROFILE_MARK_BYTES);
    EAI_STORE(&row->eai_window_n, n, EAI_RELAXED);
    EAI_STORE(&row->eai_window_bytes, bytes, EAI_RELAXED);
    if (n > EAI_LOAD(&row->eai_most_n, EAI_RELAXED)) EAI_STORE(&row->eai_most_n, n, EAI_RELAXED);
}

void ea_profile_window(profile_t *p)
{
    uint32_t now = eai_profile_now(p);
    for (unsigned table = 0; table < 2; table++)
        for (uint32_t i = 0; i <= p->eai_tables[table].eai_mask + 1u; i++)
            end_window(&p->eai_tables[table].eai_rows[i]);
    p->eai_window_us = (uint64_t)(now - p->eai_window_begin) * p->eai_unit_us;
    p->eai_window_begin = now;
    EAI_STORE(&p->eai_n_windows, p->eai_n_windows + 1u, EAI_RELAXED);
}

/* --- rows ------------------------------------------------------------------------------------- */

static size_t per_second(const profile_t *p, uintptr_t n)
{
    return p->eai_window_us ? (size_t)((uint64_t)n * US_PER_S / p->eai_window_us) : 0;
}

static void copy_row(const profile_t *p, ea_profile_table_t table, const row_t *from, uintptr_t key,
                     ea_profile_row_t *row)
{
    memset(row, 0, sizeof *row);
    row->is_other = from == p->eai_tables[table].eai_rows;
    if (key > EAI_KEY_FIRST && table == EA_PROFILE_SITES) row->site = (const void *)key;
    if (key > EAI_KEY_FIRST && table == EA_PROFILE_OWNERS)
        row->owner = (uint16_t)(key - EAI_KEY_FIRST);
    /* What is freed first: it may grow meanwhile, and is not more than what came. */
    size_t n_freed = eai_n_freed(from);
    row->live_bytes = eai_live_bytes(from);
    row->n_allocs = eai_sum(from, EAI_PROFILE_N_ALLOCS);
    row->n_live = row->n_allocs - n_freed;
    row->alloc_bytes = eai_sum(from, EAI_PROFILE_ALLOC_BYTES);
    row->peak_bytes = EAI_LOAD(&from->eai_peak_bytes, EAI_RELAXED);
    row->n_reallocs = eai_sum(from, EAI_PROFILE_N_REALLOCS);
    row->n_refused = eai_sum(from, EAI_PROFILE_N_REFUSED);
    row->allocs_per_s = per_second(p, EAI_LOAD(&from->eai_window_n, EAI_RELAXED));
    row->bytes_per_s = per_second(p, EAI_LOAD(&from->eai_window_bytes, EAI_RELAXED));
    row->most_per_window = EAI_LOAD(&from->eai_most_n, EAI_RELAXED);
    row->n_windows = EAI_LOAD(&p->eai_n_windows, EAI_RELAXED);
    row->n_lifo = eai_sum(from, EAI_PROFILE_N_LIFO);
    row->n_fifo = eai_sum(from, EAI_PROFILE_N_FIFO);
    row->unit_us = p->eai_unit_us;
    for (unsigned i = 0; i < EA_PROFILE_SIZES; i++)
        row->sizes[i] = (uint32_t)eai_sum(from, EAI_PROFILE_SIZE + i);
    for (unsigned i = 0; i < EA_PROFILE_LIFETIMES; i++)
        row->lifetimes[i] = (uint32_t)eai_sum(from, EAI_PROFILE_LIFETIME + i);
}

ea_status_t ea_profile_next(const profile_t *p, ea_profile_table_t table, size_t *cursor,
                            ea_profile_row_t *row)
{
    if (!p || !cursor || !row || (unsigned)table > EA_PROFILE_OWNERS) return EA_ERR_INVALID;
    const rows_t *rows = &p->eai_tables[table];
    while (*cursor <= (size_t)rows->eai_mask + 1u) {
        size_t i = (*cursor)++;
        uintptr_t key = EAI_LOAD(&rows->eai_rows[i].eai_key, EAI_ACQUIRE);
        if (i != 0 && (key == EAI_KEY_NONE || key == EAI_KEY_BUSY)) continue;
        copy_row(p, table, &rows->eai_rows[i], key, row);
        return EA_OK;
    }
    return EA_ERR_NOT_FOUND;
}

static size_t measure(const ea_profile_row_t *row, ea_profile_order_t order)
{
    switch (order) {
    case EA_PROFILE_BY_LIVE: return row->live_bytes;
    case EA_PROFILE_BY_PEAK: return row->peak_bytes;
    case EA_PROFILE_BY_RATE: return row->allocs_per_s;
    case EA_PROFILE_BY_TOTAL: break;
    }
    return row->alloc_bytes;
}

size_t ea_profile_top(const profile_t *p, ea_profile_table_t table, ea_profile_order_t order,
                      ea_profile_row_t *rows, size_t n)
{
    ea_profile_row_t row;
    size_t cursor = 0, n_found = 0;
    if (!rows || n == 0) return 0;
    while (ea_profile_next(p, table, &cursor, &row) == EA_OK) {
        if (row.is_other) continue;
        size_t at = n_found;
        while (at > 0 && measure(&rows[at - 1], order) < measure(&row, order)) at--;
        if (at == n) continue;
        if (n_found < n) n_found++;
        memmove(&rows[at + 1], &rows[at], (n_found - 1u - at) * sizeof row);
        rows[at] = row;
    }
    return n_found;
}

void ea_profile_stats(const profile_t *p, ea_profile_stats_t *stats)
{
    const rows_t *rows = &p->eai_tables[EA_PROFILE_SITES];
    memset(stats, 0, sizeof *stats);
    for (uint32_t i = 0; i <= rows->eai_mask + 1u; i++) {
        const row_t *row = &rows->eai_rows[i];
        size_t n_freed = eai_n_freed(row);
        stats->live_bytes += eai_live_bytes(row);
        stats->n_live += eai_sum(row, EAI_PROFILE_N_ALLOCS) - n_freed;
        stats->n_allocs += eai_sum(row, EAI_PROFILE_N_ALLOCS);
        stats->alloc_bytes += eai_sum(row, EAI_PROFILE_ALLOC_BYTES);
        stats->n_refused += eai_sum(row, EAI_PROFILE_N_REFUSED);
    }
    stats->n_evicted = EAI_LOAD(&p->eai_n_evicted, EAI_RELAXED);
    stats->n_untracked = EAI_LOAD(&p->eai_n_untracked, EAI_RELAXED);
    stats->n_unknown = EAI_LOAD(&p->eai_n_unknown, EAI_RELAXED);
}

/* --- advice ----------------------------------------------------------------------------------- */

static uint32_t permille(uint64_t part, uint64_t whole)
{
    return whole ? (uint32_t)(part * 1000u / whole) : 0;
}

static unsigned commonest(const uint32_t *classes, unsigned n)
{
    unsigned most = 0;
    for (unsigned i = 1; i < n; i++)
        if (classes[i] > classes[most]) most = i;
    return most;
}

/* The end of a class of a histogram. */
static uint64_t end_of(unsigned class)
{
    return ((uint64_t)1 << class) - 1u;
}

/* Within which nine of ten of those freed were freed. Returns how many were freed. */
static uint64_t judge_lifetimes(const ea_profile_row_t *row, uint64_t *max_us)
{
    uint64_t n = 0, below = 0;
    unsigned class = 0;
    for (unsigned i = 0; i < EA_PROFILE_LIFETIMES; i++) n += row->lifetimes[i];
    while (class < EA_PROFILE_LIFETIMES - 1u) {
        below += row->lifetimes[class];
        if (below * 1000u >= n * MOST_PERMILLE) break;
        class ++;
    }
    *max_us = n ? (end_of(class) + 1u) * row->unit_us : 0;
    return n;
}

static void say(ea_advice_t *advice, ea_advice_kind_t kind, uint32_t of_permille)
{
    advice->kind = kind;
    advice->permille = of_permille;
}

void ea_profile_advise(const ea_profile_row_t *row, ea_advice_t *advice)
{
    memset(advice, 0, sizeof *advice);
    unsigned size = commonest(row->sizes, EA_PROFILE_SIZES);
    uint64_t n_freed = judge_lifetimes(row, &advice->max_lifetime_us);
    advice->size_bytes = size < EA_PROFILE_SIZES - 1u ? (size_t)end_of(size) : SIZE_MAX;
    advice->allocs_per_s = row->allocs_per_s;
    if (row->n_allocs < FEW) return;

    uint32_t of_reallocs = permille(row->n_reallocs, row->n_allocs);
    uint32_t of_live = permille(row->n_live, row->n_allocs);
    uint32_t of_size = permille(row->sizes[size], row->n_allocs);
    /* A block that was alone tells of no order. */
    size_t n_ordered = row->n_lifo + row->n_fifo;
    bool is_ordered = n_ordered >= FEW && n_ordered >= n_freed / 2u;
    uint32_t of_lifo = is_ordered ? permille(row->n_lifo, n_ordered) : 0;
    uint32_t of_fifo = is_ordered ? permille(row->n_fifo, n_ordered) : 0;
    bool are_soon_freed = n_freed >= FEW && advice->max_lifetime_us <= SOON_US;
    bool are_many = row->allocs_per_s >= MANY_PER_S;
    bool are_bursts = row->n_windows >= BURST &&
                      row->most_per_window / BURST >= row->n_allocs / row->n_windows + 1u;
    if (of_reallocs > 500)
        say(advice, EA_ADVICE_GROWTH, of_reallocs);
    else if (of_live >= MOST_PERMILLE)
        say(advice, EA_ADVICE_LONG_LIVED, of_live);
    else if (are_many && are_soon_freed && of_size >= MOST_PERMILLE)
        say(advice, EA_ADVICE_POOL, of_size);
    else if (of_lifo >= MOST_PERMILLE)
        say(advice, EA_ADVICE_LIFO, of_lifo);
    else if (of_fifo >= MOST_PERMILLE)
        say(advice, EA_ADVICE_FIFO, of_fifo);
    else if (are_bursts)
        say(advice, EA_ADVICE_BURSTS, permille(row->most_per_window, row->n_allocs));
    else if (are_many && are_soon_freed)
        say(advice, EA_ADVICE_SHORT_LIVED, MOST_PERMILLE);
}

const char *ea_advice_name(uint8_t kind)
{
    switch ((ea_advice_kind_t)kind) {
    case EA_ADVICE_NONE: return "NONE";
    case EA_ADVICE_GROWTH: return "GROWTH";
    case EA_ADVICE_LONG_LIVED: return "LONG_LIVED";
    case EA_ADVICE_POOL: return "POOL";
    case EA_ADVICE_LIFO: return "LIFO";
    case EA_ADVICE_FIFO: return "FIFO";
    case EA_ADVICE_BURSTS: return "BURSTS";
    case EA_ADVICE_SHORT_LIVED: return "SHORT_LIVED";
    }
    return "?";
}
