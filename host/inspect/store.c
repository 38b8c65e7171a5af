/* SPDX-License-Identifier: MIT
 *
 * A store's blocks come in the order of their entries, then holes and fixed blocks in the order of
 * addresses. Nothing that a record says of places and sizes is taken for granted: what overlaps is
 * cut, what lies outside is left out, and both are damage unless the system was running.
 */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/dump.h"

/* --- in order --------------------------------------------------------------------------------- */

static bool is_somebodys(const snap_block_t *b)
{
    return b->state == SNAP_USED || b->state == SNAP_MOVING || b->state == SNAP_WAITING ||
           b->state == SNAP_INTERNAL;
}

/* Of those that begin at the same place what is somebody's comes first. */
static int by_begin(const void *a, const void *b)
{
    const snap_block_t *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (is_somebodys(x) != is_somebodys(y)) return is_somebodys(x) ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static void add_trouble(snapshot_t *s, unsigned reason, uint64_t where, const char *text)
{
    if (s->head.is_live) return; /* the store changed while it was dumped */
    snap_trouble_t *t = SNAP_ADD(s, troubles, n_troubles);
    *t = (snap_trouble_t){.reason = reason, .where = where};
    snprintf(t->text, sizeof t->text, "%s", text);
}

static void append(snapshot_t *s, snap_store_t *store, snap_block_t b)
{
    b.in_store = true;
    b.is_alone = !store->in_region;
    *SNAP_ADD(s, blocks, n_blocks) = b;
    store->n_blocks++;
}

/* What was appended last ends where this block begins, at the latest. Returns where it ends. */
static uint64_t cut_before(snapshot_t *s, snap_store_t *store, const snap_block_t *b)
{
    while (store->n_blocks > 0) {
        snap_block_t *last = &s->blocks[s->n_blocks - 1];
        if (last->begin < b->begin || is_somebodys(last)) {
            if (is_somebodys(last) && is_somebodys(b))
                add_trouble(s, EA_DUMP_INVARIANT, b->begin, "two blocks of a store overlap");
            last->bytes = b->begin - last->begin;
            return b->begin;
        }
        s->n_blocks--;
        store->n_blocks--;
    }
    return store->first;
}

/* Give the block a size if its header is damaged: up to the next one; or what was found to be
 * behind that header. Returns how many of the blocks behind it that used up. */
static size_t guess_size(const snap_store_t *store, snap_block_t *b, const snap_block_t *behind,
                         size_t n)
{
    size_t k = 0;
    if (b->bytes != 0 || !is_somebodys(b)) return 0;
    while (k < n && behind[k].begin == b->begin && is_somebodys(&behind[k])) k++;
    b->state = SNAP_DAMAGED;
    bool is_told = k < n && behind[k].begin == b->begin && behind[k].state == SNAP_DAMAGED;
    b->bytes = is_told ? behind[k].bytes : (k < n ? behind[k].begin : store->end) - b->begin;
    return k + is_told;
}

static void finish(const snapshot_t *s, const snap_store_t *store, snap_block_t *b)
{
    if (!is_somebodys(b)) return;
    uint64_t front = b->handle == 0 && store->in_region ? s->head.front_bytes : 0;
    b->user = b->begin + store->header_bytes + front;
}

static void put_in_order(snapshot_t *s, snap_store_t *store, const snap_block_t *list, size_t n)
{
    uint64_t at = store->first;
    for (size_t i = 0; i < n; i++) {
        snap_block_t b = list[i];
        if (b.begin < store->first || b.begin >= store->end) {
            add_trouble(s, EA_DUMP_RANGE, b.begin, "a block outside of its store");
            continue;
        }
        finish(s, store, &b);
        i += guess_size(store, &b, list + i + 1, n - i - 1);
        if (b.bytes > store->end - b.begin) b.bytes = store->end - b.begin;
        uint64_t end = b.begin + b.bytes;
        if (end <= at && !is_somebodys(&b)) continue; /* within what is known better */
        if (b.begin < at && !is_somebodys(&b)) b.begin = at;
        if (b.begin < at) at = cut_before(s, store, &b);
        if (b.begin > at)
            append(s, store,
                   (snap_block_t){.begin = at, .bytes = b.begin - at, .state = SNAP_ROOM});
        b.bytes = end - b.begin;
        append(s, store, b);
        at = end;
    }
    if (at < store->end)
        append(s, store, (snap_block_t){.begin = at, .bytes = store->end - at, .state = SNAP_ROOM});
}

/* A region of this store says what one of a heap says. */
static void tell_region(const snapshot_t *s, const snap_store_t *store)
{
    snap_region_t *r = &s->regions[store->region];
    r->has_heap = true;
    r->total = store->end - store->first;
    r->free_bytes = store->free_bytes;
    r->n_live = store->n_live + store->n_fixed;
    r->n_failures = store->n_failures;
    r->control_bytes = store->first - store->address + (store->table_end - store->end);
    r->first_block = store->first_block;
    r->n_blocks = store->n_blocks;
    for (size_t i = 0; i < store->n_blocks; i++) {
        const snap_block_t *b = &s->blocks[store->first_block + i];
        if (b->state == SNAP_FREE && b->bytes > r->largest + store->header_bytes)
            r->largest = b->bytes - store->header_bytes;
    }
}

void store_close(snapshot_t *s)
{
    if (!s->store_is_open) return;
    s->store_is_open = false;
    snap_store_t *store = &s->stores[s->n_stores - 1];
    if (store->end < store->first || store->header_bytes > 64) {
        add_trouble(s, EA_DUMP_RANGE, store->address, "store");
        store->end = store->first;
    }
    size_t n = s->n_blocks - store->first_block;
    snap_block_t *list = malloc((n + 1) * sizeof *list);
    if (list == NULL) abort();
    if (n > 0) memcpy(list, s->blocks + store->first_block, n * sizeof *list);
    qsort(list, n, sizeof *list, by_begin);
    while (s->n_blocks > store->first_block) s->n_blocks--; /* their room is used again */
    put_in_order(s, store, list, n);
    free(list);
    if (store->in_region) tell_region(s, store);
}

/* --- a move under way ------------------------------------------------------------------------- */

void store_pieces(const snap_store_t *store, const snap_block_t *b, piece_t pieces[2])
{
    uint64_t size = b->bytes > store->header_bytes ? b->bytes - store->header_bytes : 0;
    uint64_t copied = store->copied_bytes < size ? store->copied_bytes : size;
    pieces[0] = (piece_t){b->begin + store->header_bytes, size};
    pieces[1] = (piece_t){0, 0};
    if (b->state != SNAP_MOVING || store->from != pieces[0].address) return;
    if (store->to < store->from) { /* from the start on */
        pieces[0] = (piece_t){store->to, copied};
        pieces[1] = (piece_t){store->from + copied, size - copied};
    } else { /* from the end on */
        pieces[0] = (piece_t){store->from, size - copied};
        pieces[1] = (piece_t){store->to + (size - copied), copied};
    }
}

/* --- sums ------------------------------------------------------------------------------------- */

static bool is_fixed(const snap_block_t *b)
{
    return b->handle == 0 && is_somebodys(b);
}

static uint64_t free_at(const snapshot_t *s, const snap_store_t *store, size_t i)
{
    if (i >= store->n_blocks) return 0; /* also one below the first */
    const snap_block_t *b = &s->blocks[store->first_block + i];
    return b->state == SNAP_FREE ? b->bytes : 0;
}

static int by_cost(const void *a, const void *b)
{
    const pin_t *x = a, *y = b;
    uint64_t u = x->below + x->above, v = y->below + y->above;
    if (u != v) return u > v ? -1 : 1;
    return x->block->begin < y->block->begin ? -1 : x->block->begin > y->block->begin;
}

static void count(store_sums_t *sums, const snap_block_t *b)
{
    if (b->state == SNAP_FREE) {
        sums->n_free++;
        sums->free_bytes += b->bytes;
        if (b->bytes > sums->largest_free) sums->largest_free = b->bytes;
    } else if (b->state == SNAP_USED || b->state == SNAP_MOVING || b->state == SNAP_INTERNAL) {
        bool fixed = b->handle == 0;
        *(fixed ? &sums->n_fixed : &sums->n_used) += 1;
        *(fixed ? &sums->fixed_bytes : &sums->used_bytes) += b->bytes;
        if (b->n_locks == 0) return;
        sums->n_locked++;
        sums->locked_bytes += b->bytes;
    } else {
        sums->rest_bytes += b->bytes;
    }
}

/* Free bytes between two blocks that stay: what compaction can make one hole of. */
static void note_window(uint64_t *window, uint64_t *most, const snap_block_t *b, bool stays)
{
    if (stays) *window = 0;
    if (b->state == SNAP_FREE || b->state == SNAP_ROOM) *window += b->bytes;
    if (*window > *most) *most = *window;
}

void store_sums(const snapshot_t *s, const snap_store_t *store, store_sums_t *sums)
{
    uint64_t window = 0, unlocked = 0;
    memset(sums, 0, sizeof *sums);
    sums->total = store->end - store->first;
    sums->pins = calloc(store->n_blocks + 1, sizeof *sums->pins);
    if (sums->pins == NULL) abort();
    for (size_t i = 0; i < store->n_blocks; i++) {
        const snap_block_t *b = &s->blocks[store->first_block + i];
        bool stays = is_fixed(b) || b->state == SNAP_DAMAGED, locked = b->n_locks != 0;
        count(sums, b);
        note_window(&window, &sums->compactable, b, stays || locked);
        note_window(&unlocked, &sums->compactable_unlocked, b, stays);
        if (locked)
            sums->pins[sums->n_pins++] =
                (pin_t){b, free_at(s, store, i - 1), free_at(s, store, i + 1)};
    }
    qsort(sums->pins, sums->n_pins, sizeof *sums->pins, by_cost);
}

void store_sums_release(store_sums_t *sums)
{
    free(sums->pins);
}

unsigned store_frag_permille(const store_sums_t *sums)
{
    uint64_t all = sums->free_bytes, scattered = all - sums->largest_free;
    if (all == 0) return 0;
    if (all > UINT32_MAX) return (unsigned)(scattered / (all / 1000u));
    return (unsigned)(scattered * 1000u / all);
}

const char *store_layout_name(const snap_store_t *store)
{
    static const char *const names[] = {"small", "medium", "large"};
    return store->layout < 3 ? names[store->layout] : "unknown";
}
