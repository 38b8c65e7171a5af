/* SPDX-License-Identifier: MIT
 *
 * What operations cost: scope_attach.c joins it to an allocator.
 *
 *     rows   [other][name 0] ... [name n - 1]      a name's row is one of eight from its hash on
 *     tasks  [place 0] ... [place n - 1]           one for each task inside of a scope: tasks.h
 *
 * S1  A task's place counts while the task is inside of a scope: bytes and blocks that came and
 *     went, which only grow, and the highest level (what came less what went) since the begin of
 *     the innermost scope. It goes on where the task before left off: there is nothing to make
 *     ready, so nothing that an interrupt could find half ready.
 * S2  A scope keeps what its task's place held when it began; what it did is the difference. So an
 *     event adds to one place however deep scopes are nested, and follows no pointer to a frame.
 * S3  At its end a scope leaves the higher of two levels: its own highest, and what its surrounding
 *     scope had before.
 * S4  Every number of a row is only added to or raised.
 *
 * Cost: an event finds its place and adds to two words; begin copies a place, end adds to a row.
 *
 * Rejected: a list of scopes through the frames for the hook to walk, since an event then costs the
 * more the deeper they are nested, and writes to dead frames after a longjmp; the account's usage
 * at begin and end, which tells of all tasks at once.
 */
#include "ealloc/scope.h"

#include "base/mem.h"
#include "observe/tasks.h"

typedef ea_scopes_t scopes_t;

/* A task's place; the first word is its slot. */
enum { T_SLOT, T_DEPTH, T_ALLOC_BYTES, T_FREED_BYTES, T_N_ALLOCS, T_N_FREES, T_N_REFUSED, T_PEAK };
EA_STATIC_ASSERT(T_PEAK + 1u == EAI_SCOPE_TASK_WORDS, "scope.h says how large a place is");

/* A row. */
enum {
    R_NAME,
    R_N_RUNS,
    R_LAST_DELTA,
    R_MAX_DELTA, /* above MIDDLE */
    R_TOTAL_DELTA,
    R_MAX_PEAK,
    R_ALLOC_BYTES,
    R_FREED_BYTES,
    R_N_ALLOCS,
    R_N_FREES,
    R_N_REFUSED,
    R_LAST_US,
    R_MAX_US,
    R_TOTAL_US,
    R_TOTAL_US_HIGH, /* of a 32-bit machine */
    R_N
};
EA_STATIC_ASSERT(R_N <= EAI_SCOPE_ROW_WORDS, "scope.h says how large a row is");

#define MIDDLE (UINTPTR_MAX / 2u + 1u)
#define N_WAYS 8u
#define MOST 32768u

EA_INLINE eai_tasks_t tasks_of(const scopes_t *s)
{
    eai_tasks_t tasks = {s->eai_tasks, s->eai_options.n_tasks, EAI_SCOPE_TASK_WORDS};
    return tasks;
}

static uint64_t now_us(const scopes_t *s)
{
    const ea_scopes_options_t *o = &s->eai_options;
    return o->clock ? (uint64_t)*o->clock * o->tick_us : ea_port_time_us();
}

/* A clock of the application has 32 bits and wraps. */
static uint64_t since(const scopes_t *s, uint64_t begin_us)
{
    const ea_scopes_options_t *o = &s->eai_options;
    if (!o->clock) return now_us(s) - begin_us;
    return (uint64_t)(*o->clock - (uint32_t)(begin_us / o->tick_us)) * o->tick_us;
}

/* Levels wrap: the higher of two is the one that is ahead by less than half of the range. In a
 * section. bound: interrupts */
static void raise_peak(uintptr_t *task, uintptr_t level)
{
    uintptr_t seen;
    while ((seen = EAI_LOAD(&task[T_PEAK], EAI_RELAXED)) - level > UINTPTR_MAX / 2u)
        if (EAI_CAS(&task[T_PEAK], seen, level)) return;
}

/* --- events ----------------------------------------------------------------------------------- */

void ea_scopes_count(scopes_t *s, ea_block_event_t what, size_t size_bytes)
{
    if (EAI_LOAD(&s->eai_n_open, EAI_RELAXED) == 0) return;
    const eai_tasks_t tasks = tasks_of(s);
    uintptr_t *task = eai_task_find(&tasks);
    if (!task) return;
    EAI_ENTER(irq);
    switch (what) {
    case EA_BLOCK_ALLOCATED:
    case EA_BLOCK_RESIZED: {
        uintptr_t in_all = eai_add(&task[T_ALLOC_BYTES], size_bytes);
        (void)eai_add(&task[T_N_ALLOCS], 1);
        raise_peak(task, in_all - EAI_LOAD(&task[T_FREED_BYTES], EAI_RELAXED));
        break;
    }
    case EA_BLOCK_FREED:
    case EA_BLOCK_MOVED:
        (void)eai_add(&task[T_FREED_BYTES], size_bytes);
        (void)eai_add(&task[T_N_FREES], 1);
        break;
    case EA_BLOCK_REFUSED: (void)eai_add(&task[T_N_REFUSED], 1); break;
    case EA_BLOCK_TRANSFERRED:
    case EA_BLOCK_BAD_FREE: break;
    }
    EAI_LEAVE(irq);
}

/* --- rows ------------------------------------------------------------------------------------- */

EA_INLINE uintptr_t *nth_row(const scopes_t *s, uint32_t i)
{
    return s->eai_rows + i * EAI_SCOPE_ROW_WORDS;
}

/* Never NULL: other, where there is none. */
static uintptr_t *row_of(const scopes_t *s, const char *name)
{
    uintptr_t key = (uintptr_t)name;
    uint32_t hash = eai_hash_of(key) >> 16;
    for (uint32_t i = 0; i < N_WAYS && key != 0; i++) {
        uintptr_t *row = nth_row(s, 1u + ((hash + i) & (s->eai_options.n_names - 1u)));
        while (EAI_LOAD(row, EAI_RELAXED) == 0) { /* bound: interrupts */
            EAI_ENTER(irq);
            (void)eai_claim(row, 0, key);
            EAI_LEAVE(irq);
        }
        if (EAI_LOAD(row, EAI_RELAXED) == key) return row;
    }
    return s->eai_rows;
}

static void add_up(uintptr_t *row, const ea_scope_record_t *r)
{
    uintptr_t us = (uintptr_t)(r->duration_us < UINT32_MAX ? r->duration_us : UINT32_MAX);
    EAI_ENTER(irq);
    (void)eai_add(&row[R_N_RUNS], 1);
    (void)eai_add(&row[R_TOTAL_DELTA], (uintptr_t)r->delta_bytes);
    (void)eai_add(&row[R_ALLOC_BYTES], r->alloc_bytes);
    (void)eai_add(&row[R_FREED_BYTES], r->freed_bytes);
    (void)eai_add(&row[R_N_ALLOCS], r->n_allocs);
    (void)eai_add(&row[R_N_FREES], r->n_frees);
    (void)eai_add(&row[R_N_REFUSED], r->n_refused);
    if (eai_add(&row[R_TOTAL_US], us) < us) (void)eai_add(&row[R_TOTAL_US_HIGH], 1);
    eai_raise(&row[R_MAX_DELTA], MIDDLE + (uintptr_t)r->delta_bytes);
    eai_raise(&row[R_MAX_PEAK], r->peak_bytes);
    eai_raise(&row[R_MAX_US], us);
    EAI_STORE(&row[R_LAST_DELTA], (uintptr_t)r->delta_bytes, EAI_RELAXED);
    EAI_STORE(&row[R_LAST_US], us, EAI_RELAXED);
    EAI_LEAVE(irq);
}

/* --- begin and end ---------------------------------------------------------------------------- */

EA_INLINE uintptr_t level_of(const uintptr_t *place)
{
    return place[T_ALLOC_BYTES] - place[T_FREED_BYTES];
}

void ea_scope_begin(ea_scope_t *scope, scopes_t *s, const char *name)
{
    scope->eai_scopes = s;
    scope->eai_name = name;
    scope->eai_task = NULL;
    if (!s) return;
    const eai_tasks_t tasks = tasks_of(s);
    uintptr_t *task = eai_task_find(&tasks);
    scope->eai_is_first = task == NULL;
    if (!task) task = eai_task_take(&tasks);
    eai_tally(&s->eai_n_open, 1);
    if (!task) {
        eai_tally(&s->eai_n_unmeasured, 1);
        return;
    }
    uintptr_t *before = scope->eai_before;
    for (uint32_t i = 1; i < EAI_SCOPE_TASK_WORDS; i++) before[i] = EAI_LOAD(&task[i], EAI_RELAXED);
    EAI_STORE(&task[T_PEAK], level_of(before), EAI_RELAXED);
    EAI_STORE(&task[T_DEPTH], before[T_DEPTH] + 1u, EAI_RELAXED);
    scope->eai_task = task;
    scope->eai_begin_us = now_us(s);
}

/* What the scope did, and its task's place as it goes on without it (S3). */
static void settle(const ea_scope_t *scope, uintptr_t *task, ea_scope_record_t *r)
{
    const uintptr_t *before = scope->eai_before;
    uintptr_t now[EAI_SCOPE_TASK_WORDS];
    for (uint32_t i = 1; i < EAI_SCOPE_TASK_WORDS; i++) now[i] = EAI_LOAD(&task[i], EAI_RELAXED);
    r->name = scope->eai_name;
    r->depth = (uint32_t)before[T_DEPTH];
    r->alloc_bytes = now[T_ALLOC_BYTES] - before[T_ALLOC_BYTES];
    r->freed_bytes = now[T_FREED_BYTES] - before[T_FREED_BYTES];
    r->delta_bytes = (ptrdiff_t)(r->alloc_bytes - r->freed_bytes);
    r->peak_bytes = now[T_PEAK] - level_of(before);
    r->n_allocs = now[T_N_ALLOCS] - before[T_N_ALLOCS];
    r->n_frees = now[T_N_FREES] - before[T_N_FREES];
    r->n_refused = now[T_N_REFUSED] - before[T_N_REFUSED];
    EAI_STORE(&task[T_DEPTH], before[T_DEPTH], EAI_RELAXED);
    EAI_ENTER(irq);
    raise_peak(task, before[T_PEAK]);
    EAI_LEAVE(irq);
    if (scope->eai_is_first) eai_task_leave(task);
}

ea_status_t ea_scope_end(ea_scope_t *scope, ea_scope_record_t *record)
{
    ea_scope_record_t own, *r = record ? record : &own;
    scopes_t *s = scope->eai_scopes;
    if (!s) return EA_ERR_NOT_FOUND;
    uintptr_t *task = scope->eai_task;
    const eai_tasks_t tasks = tasks_of(s);
    if (task && task != eai_task_find(&tasks)) return EA_ERR_NOT_FOUND;
    scope->eai_scopes = NULL;
    eai_tally(&s->eai_n_open, (uintptr_t)0 - 1u);
    if (!task) return EA_ERR_NOT_FOUND;
    r->duration_us = since(s, scope->eai_begin_us);
    settle(scope, task, r);
    add_up(row_of(s, scope->eai_name), r);
    if (s->eai_options.record) s->eai_options.record(s->eai_options.context, r);
    return EA_OK;
}

/* --- reading ---------------------------------------------------------------------------------- */

static uint64_t total_us_of(uintptr_t *row)
{
    uintptr_t high, low;
    do { /* bound: a carry an hour */
        high = EAI_LOAD(&row[R_TOTAL_US_HIGH], EAI_ACQUIRE);
        low = EAI_LOAD(&row[R_TOTAL_US], EAI_ACQUIRE);
    } while (EAI_LOAD(&row[R_TOTAL_US_HIGH], EAI_ACQUIRE) != high);
    return sizeof(uintptr_t) > 4 ? low : (uint64_t)high << 32 | low;
}

ea_status_t ea_scopes_next(const scopes_t *s, size_t *cursor, ea_scope_row_t *row)
{
    if (!s || !cursor || !row) return EA_ERR_INVALID;
    while (*cursor <= s->eai_options.n_names) { /* bound: names */
        uintptr_t *from = nth_row(s, (uint32_t)(*cursor)++), word[R_N];
        for (unsigned i = 0; i < R_N; i++) word[i] = EAI_LOAD(&from[i], EAI_RELAXED);
        if (word[R_NAME] == 0 && from != s->eai_rows) continue;
        *row = (ea_scope_row_t){
            .name = (const char *)word[R_NAME],
            .n_runs = word[R_N_RUNS],
            .last_delta_bytes = (ptrdiff_t)word[R_LAST_DELTA],
            .max_delta_bytes = word[R_N_RUNS] ? (ptrdiff_t)(word[R_MAX_DELTA] - MIDDLE) : 0,
            .total_delta_bytes = (ptrdiff_t)word[R_TOTAL_DELTA],
            .max_peak_bytes = word[R_MAX_PEAK],
            .alloc_bytes = word[R_ALLOC_BYTES],
            .freed_bytes = word[R_FREED_BYTES],
            .n_allocs = word[R_N_ALLOCS],
            .n_frees = word[R_N_FREES],
            .n_refused = word[R_N_REFUSED],
            .last_us = (uint32_t)word[R_LAST_US],
            .max_us = (uint32_t)word[R_MAX_US],
            .total_us = total_us_of(from),
        };
        return EA_OK;
    }
    return EA_ERR_NOT_FOUND;
}

void ea_scopes_stats(const scopes_t *s, ea_scopes_stats_t *stats)
{
    stats->n_open = EAI_LOAD(&s->eai_n_open, EAI_RELAXED);
    stats->n_unmeasured = EAI_LOAD(&s->eai_n_unmeasured, EAI_RELAXED);
}

/* --- beginning -------------------------------------------------------------------------------- */

static bool is_size(uint32_t n, uint32_t least)
{
    return n >= least && n <= MOST && (n & (n - 1u)) == 0;
}

ea_status_t ea_scopes_init(scopes_t *s, void *mem, size_t size_bytes, const ea_scopes_options_t *o)
{
    if (!s || !mem || !o || ((uintptr_t)mem & (sizeof(uintptr_t) - 1u)) != 0 ||
        !is_size(o->n_names, N_WAYS) || !is_size(o->n_tasks, 1) ||
        size_bytes < EA_SCOPES_BYTES(o->n_names, o->n_tasks) || (o->clock && o->tick_us == 0))
        return EA_ERR_INVALID;
    memset(mem, 0, size_bytes);
    *s = (scopes_t){.eai_rows = (uintptr_t *)mem, .eai_options = *o};
    s->eai_tasks = nth_row(s, o->n_names + 1u);
    return EA_OK;
}
