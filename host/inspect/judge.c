/* SPDX-License-Identifier: MIT
 *
 * Damage is the work of whoever wrote where he should not, and most of that is done by running on
 * behind the end of a block. So for what stands before a block or between two blocks the block
 * below is blamed, and for what stands behind a block that block itself.
 */
#include "judge.h"

#include <stdlib.h>
#include <string.h>

#include "ealloc/dump.h"
#include "ealloc/guard.h"
#include "ealloc/trace.h"

static void *more(void *list, size_t n, size_t size)
{
    if ((n & (n - 1)) != 0) return list;
    list = realloc(list, (n == 0 ? 1 : 2 * n) * size);
    if (list == NULL) abort();
    return list;
}

/* --- sums ------------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    uint64_t x = ((const sum_t *)a)->key, y = ((const sum_t *)b)->key;
    return x < y ? -1 : x > y;
}

static int by_bytes(const void *a, const void *b)
{
    uint64_t x = ((const sum_t *)a)->bytes, y = ((const sum_t *)b)->bytes;
    return x > y ? -1 : x < y ? 1 : by_key(a, b);
}

/* Join the entries of equal keys; the largest come first. */
static void join(sum_t *sums, size_t *n)
{
    size_t kept = 0;
    qsort(sums, *n, sizeof *sums, by_key);
    for (size_t i = 0; i < *n; i++) {
        if (kept > 0 && sums[kept - 1].key == sums[i].key) {
            sums[kept - 1].n_blocks += sums[i].n_blocks;
            sums[kept - 1].bytes += sums[i].bytes;
            sums[kept - 1].gross_bytes += sums[i].gross_bytes;
            if (sums[i].oldest_s > sums[kept - 1].oldest_s)
                sums[kept - 1].oldest_s = sums[i].oldest_s;
        } else {
            sums[kept++] = sums[i];
        }
    }
    *n = kept;
    qsort(sums, *n, sizeof *sums, by_bytes);
}

static unsigned class_of(uint64_t bytes)
{
    unsigned c = 0;
    while (c < FREE_CLASSES - 1 && bytes >> (c + 1) != 0) c++;
    return c;
}

/* A birth counts ticks of 2^22 us and may have lost its high bits. */
uint64_t judge_age(const snapshot_t *s, const snap_block_t *b)
{
    uint64_t mask = s->head.pointer_bytes == 4 ? UINT16_MAX : UINT32_MAX;
    uint64_t ticks = ((s->head.time_us >> 22) - b->birth) & mask;
    return s->head.tags != 0 ? ticks * 4194304u / 1000000u : 0;
}

static void count_block(judgement_t *j, const snap_block_t *b)
{
    totals_t *t = &j->totals;
    unsigned c = class_of(b->bytes);
    switch (b->state) {
    case SNAP_FREE:
    case SNAP_CACHED:
        t->n_free++;
        t->free_bytes += b->bytes;
        if (b->bytes > t->largest_free) t->largest_free = b->bytes;
        j->n_free[c]++;
        j->free_bytes[c] += b->bytes;
        return;
    case SNAP_WAITING:
        t->n_waiting++;
        t->waiting_bytes += b->bytes;
        return;
    case SNAP_INTERNAL:
        t->n_internal++;
        t->internal_bytes += b->bytes;
        return;
    case SNAP_DAMAGED: t->unknown_bytes += b->bytes; return;
    case SNAP_ROOM: t->room_bytes += b->bytes; return;
    default: break;
    }
    uint64_t bytes = b->requested != 0 ? b->requested : b->bytes, age = judge_age(j->s, b);
    t->n_used++;
    t->used_bytes += b->bytes;
    t->requested_bytes += bytes;
    j->owners[j->n_owners++] = (sum_t){b->owner, 1, bytes, b->bytes, age};
    j->sites[j->n_sites++] = (sum_t){b->site, 1, bytes, b->bytes, age};
}

/* --- damage ----------------------------------------------------------------------------------- */

const snap_block_t *find_block(const snapshot_t *s, uint64_t address)
{
    for (size_t i = 0; i < s->n_blocks; i++)
        if (address - s->blocks[i].begin < s->blocks[i].bytes) return &s->blocks[i];
    return NULL;
}

const snap_raw_t *find_raw(const snapshot_t *s, uint64_t address)
{
    for (size_t i = 0; i < s->n_raws; i++)
        if (address - s->raws[i].address < s->raws[i].n) return &s->raws[i];
    return NULL;
}

static bool is_somebodys(const snap_block_t *b)
{
    return b->state == SNAP_USED || b->state == SNAP_WAITING || b->state == SNAP_MOVING ||
           b->state == SNAP_INTERNAL;
}

/* The block that ends where this one begins, if somebody has it. Blocks are in order. */
static const snap_block_t *below(const snapshot_t *s, const snap_block_t *b)
{
    if (b == s->blocks) return NULL;
    const snap_block_t *other = b - 1;
    bool touches = other->begin + other->bytes == b->begin && other->in_pool == b->in_pool;
    return touches && is_somebodys(other) ? other : NULL;
}

static void add_wound(judgement_t *j, wound_t wound)
{
    j->wounds = more(j->wounds, j->n_wounds, sizeof *j->wounds);
    j->wounds[j->n_wounds++] = wound;
}

static const char *name_of_finding(unsigned kind)
{
    switch (kind) {
    case EA_GUARD_HEAD: return "write before the block";
    case EA_GUARD_TAIL: return "write behind the block";
    case EA_GUARD_POISON: return "write to a freed block";
    case EA_GUARD_TAG: return "damaged tag";
    default: return "damage";
    }
}

static void judge_block(judgement_t *j, const snap_block_t *b)
{
    if (b->state == SNAP_DAMAGED) {
        add_wound(j, (wound_t){"damaged block header", b->begin, b, below(j->s, b), ""});
    } else if (b->finding != 0) {
        bool own = b->finding == EA_GUARD_TAIL || b->finding == EA_GUARD_POISON;
        uint64_t where = b->first_bad != 0 ? b->first_bad : b->user;
        add_wound(j,
                  (wound_t){name_of_finding(b->finding), where, b, own ? b : below(j->s, b), ""});
    }
}

/* Has a block's own wound told of this already? */
static bool is_told(const judgement_t *j, const snap_trouble_t *t)
{
    for (size_t i = 0; i < j->n_wounds; i++) {
        const wound_t *w = &j->wounds[i];
        if (w->block == NULL || w->block->state != SNAP_DAMAGED) continue;
        if (t->where >= w->block->begin && t->where <= w->block->begin + w->block->bytes)
            return true;
    }
    return false;
}

static bool is_of_a_store(const snapshot_t *s, uint64_t where)
{
    for (size_t i = 0; i < s->n_stores; i++)
        if (where - s->stores[i].address < s->stores[i].table_end - s->stores[i].address)
            return true;
    return false;
}

static void judge_trouble(judgement_t *j, const snap_trouble_t *t)
{
    static const char *const names[] = {
        "trouble",
        "what is sealed does not match its seal",
        "an address leads out of its memory: not followed",
        "damaged block header",
        "a block header disagrees with the block below",
        "a free block was written to",
        "the heap is damaged",
        "not dumped: another walk was under way",
    };
    const char *what = names[t->reason < sizeof names / sizeof names[0] ? t->reason : 0];
    const snap_block_t *block = find_block(j->s, t->where), *culprit = NULL;
    if (t->reason == EA_DUMP_INVARIANT && is_of_a_store(j->s, t->where))
        what = "the store is damaged";
    if (is_told(j, t)) return;
    if (block != NULL && t->reason == EA_DUMP_FLAGS) culprit = below(j->s, block);
    if (block != NULL && t->reason == EA_DUMP_TAIL && block->begin != t->where)
        culprit = below(j->s, block);
    add_wound(j, (wound_t){what, t->where, block, culprit, t->text});
}

/* --- leak suspects ---------------------------------------------------------------------------- */

/* One look at memory cannot prove a leak. A suspect is a site whose blocks were allocated all
 * along: of each quarter of the time some are left. That is neither so of those of a start nor of
 * those that come and go. The time is that since the oldest block, by their births; and what the
 * history covers, if blocks came and went meanwhile. */
#define SUSPECT_BLOCKS 8u
#define SUSPECT_TICKS 8u /* 34 s: births are not exact enough for less */
#define FEW_OF(n) ((n) / 8u)

static uint64_t site_key(const snapshot_t *s, uint64_t site)
{
    return s->head.site_bits < 48 && s->head.site_bits > 0
               ? site & (((uint64_t)1 << s->head.site_bits) - 2u)
               : site;
}

static int by_site(const void *a, const void *b)
{
    return by_key(&((const suspect_t *)a)->sum, &((const suspect_t *)b)->sum);
}

static suspect_t *candidate(judgement_t *j, uint64_t site)
{
    suspect_t key = {.sum = {.key = site_key(j->s, site)}};
    if (j->n_suspects == 0) return NULL;
    return bsearch(&key, j->suspects, j->n_suspects, sizeof key, by_site);
}

static bool is_live(const snap_block_t *b)
{
    return !b->is_alone && (b->state == SNAP_USED || b->state == SNAP_MOVING);
}

static void count_quarters(judgement_t *j)
{
    uint64_t span = 0;
    for (size_t i = 0; i < j->s->n_blocks; i++)
        if (is_live(&j->s->blocks[i]) && judge_age(j->s, &j->s->blocks[i]) > span)
            span = judge_age(j->s, &j->s->blocks[i]);
    if (span < SUSPECT_TICKS * 4u) return;
    for (size_t i = 0; i < j->s->n_blocks; i++) {
        const snap_block_t *b = &j->s->blocks[i];
        suspect_t *site = is_live(b) ? candidate(j, b->site) : NULL;
        if (site != NULL) site->by_quarter[3 - judge_age(j->s, b) * 4 / (span + 1)]++;
    }
}

static unsigned quarter_of(const snap_event_t *e, uint64_t first, uint64_t span)
{
    uint64_t at = e->number - first;
    return at >= span ? 3u : (unsigned)(at * 4u / span);
}

static int by_block(const void *a, const void *b)
{
    const snap_event_t *x = a, *y = b;
    if (x->block != y->block) return x->block < y->block ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* Returns whether blocks came and went. */
static bool count_history(judgement_t *j)
{
    size_t n = j->s->n_events, n_allocs = 0, n_freed = 0;
    snap_event_t *events = malloc((n + 1) * sizeof *events);
    if (events == NULL) abort();
    if (n > 0) memcpy(events, j->s->events, n * sizeof *events);
    uint64_t first = n > 0 ? events[0].number : 0;
    uint64_t span = n > 0 ? events[n - 1].number - first + 1 : 1;
    qsort(events, n, sizeof *events, by_block);
    suspect_t *open = NULL; /* the site of the block that is followed, while it lives */
    for (size_t i = 0; i < n; i++) {
        const snap_event_t *e = &events[i];
        bool begins = e->kind == EA_TRACE_ALLOC || e->kind == EA_TRACE_REALLOC;
        bool ends = e->kind == EA_TRACE_FREE || e->kind == EA_TRACE_MOVE;
        if (e->block == 0 || (!begins && !ends)) continue;
        n_freed += ends;
        n_allocs += begins;
        if (ends && open != NULL && events[i - 1].block == e->block) {
            open->n_freed++;
            open->kept_by_quarter[quarter_of(&events[i - 1], first, span)]--;
        }
        open = begins ? candidate(j, e->site) : NULL;
        if (open == NULL) continue;
        open->n_allocs++;
        open->kept_by_quarter[quarter_of(e, first, span)]++;
    }
    free(events);
    return n_freed >= FEW_OF(n_allocs) && n_freed > 0;
}

/* Are there enough of them, some in each quarter? */
static bool is_steady(const uint64_t quarters[4])
{
    uint64_t all = 0, least = UINT64_MAX;
    for (unsigned q = 0; q < 4; q++) {
        all += quarters[q];
        if (quarters[q] < least) least = quarters[q];
    }
    return all >= SUSPECT_BLOCKS && least > 0 && least >= FEW_OF(all);
}

static int by_suspicion(const void *a, const void *b)
{
    return by_bytes(&((const suspect_t *)a)->sum, &((const suspect_t *)b)->sum);
}

static void find_suspects(judgement_t *j)
{
    j->suspects = calloc(j->n_sites + 1, sizeof *j->suspects);
    if (j->suspects == NULL) abort();
    for (size_t i = 0; i < j->n_sites; i++)
        if (j->sites[i].key != 0 && j->sites[i].n_blocks >= SUSPECT_BLOCKS)
            j->suspects[j->n_suspects++].sum = j->sites[i];
    qsort(j->suspects, j->n_suspects, sizeof *j->suspects, by_site);
    if (j->s->head.tags != 0) count_quarters(j);
    bool others_go = count_history(j);
    size_t kept = 0;
    for (size_t i = 0; i < j->n_suspects; i++) {
        suspect_t *x = &j->suspects[i];
        x->grows = is_steady(x->by_quarter);
        x->is_kept = others_go && is_steady(x->kept_by_quarter);
        if (x->grows || x->is_kept) j->suspects[kept++] = *x;
    }
    j->n_suspects = kept;
    qsort(j->suspects, j->n_suspects, sizeof *j->suspects, by_suspicion);
}

bool is_about(const snap_event_t *e, uint64_t address)
{
    return e->block != 0 && (e->block == address || address - e->block < e->size_bytes);
}

/* Each is looked for among all blocks; who reads on after so many? */
#define MOST_TROUBLES 1000u

void judge(judgement_t *j, const snapshot_t *s)
{
    memset(j, 0, sizeof *j);
    j->s = s;
    j->owners = calloc(s->n_blocks + 1, sizeof *j->owners);
    j->sites = calloc(s->n_blocks + 1, sizeof *j->sites);
    if (j->owners == NULL || j->sites == NULL) abort();
    for (size_t i = 0; i < s->n_blocks; i++) {
        if (!s->blocks[i].is_alone) count_block(j, &s->blocks[i]);
        judge_block(j, &s->blocks[i]);
    }
    for (size_t i = 0; i < s->n_troubles && i < MOST_TROUBLES; i++)
        judge_trouble(j, &s->troubles[i]);
    join(j->owners, &j->n_owners);
    join(j->sites, &j->n_sites);
    find_suspects(j);
}

void judge_align(judgement_t *j, const snapshot_t *s)
{
    if (s->head.site_bits < 32 || j->s->head.anchor == 0 || s->head.anchor == 0) return;
    for (size_t i = 0; i < j->n_sites; i++)
        if (j->sites[i].key != 0) j->sites[i].key += s->head.anchor - j->s->head.anchor;
}

void judgement_release(judgement_t *j)
{
    free(j->owners);
    free(j->sites);
    free(j->wounds);
    free(j->suspects);
}
