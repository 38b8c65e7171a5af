/* SPDX-License-Identifier: MIT
 *
 * Reading lineages and stacks out of a dump. A range is put together from its pieces; one that is
 * not all there, or says of itself what cannot be, is passed over. Every number is tested before it
 * is used.
 */
#include "lineage.h"

#include <stdlib.h>
#include <string.h>

enum { LINEAGE_MAGIC = 0x45414C4E, STACKS_MAGIC = 0x4541534B };
enum { CONTROL_WORDS = 32, STACKS_CONTROL_WORDS = 16, TASK_WORDS = 4, PLACE_WORDS = 9 };

/* A range as words. */
typedef struct {
    uint8_t *bytes;
    size_t n_words;
    unsigned word_bytes;
} table_t;

static uint64_t word(const table_t *t, size_t i)
{
    uint64_t value = 0;
    if (i >= t->n_words) return 0;
    for (unsigned k = t->word_bytes; k > 0; k--)
        value = value << 8 | t->bytes[i * t->word_bytes + k - 1];
    return value;
}

/* bytes NULL: it is not all there. */
static table_t put_together(const snapshot_t *s, const snap_range_t *range)
{
    table_t t = {NULL, 0, s->head.pointer_bytes};
    uint64_t there = 0;
    if (t.word_bytes != 4 && t.word_bytes != 8) return t;
    for (size_t i = 0; i < s->n_raws; i++)
        if (s->raws[i].address - range->address < range->bytes) there += s->raws[i].n;
    if (range->bytes == 0 || there < range->bytes || (t.bytes = calloc(1, range->bytes)) == NULL)
        return t;
    t.n_words = range->bytes / t.word_bytes;
    for (size_t i = 0; i < s->n_raws; i++) {
        const snap_raw_t *raw = &s->raws[i];
        uint64_t offset = raw->address - range->address;
        if (offset < range->bytes && raw->n <= range->bytes - offset)
            memcpy(t.bytes + offset, raw->bytes, raw->n);
    }
    return t;
}

/* Has it this magic, and is it as long as its shape says? */
static bool is_table(const table_t *t, uint32_t magic, size_t control, size_t before, size_t each,
                     size_t *n)
{
    uint64_t shape = word(t, 1);
    if (t->bytes == NULL || word(t, 0) != magic || shape >> 16 != 1) return false;
    if ((shape >> 8 & 0xFF) != t->word_bytes || (shape & 0xFF) > 20) return false;
    *n = (size_t)1 << (shape & 0xFF);
    return t->n_words >= control && before <= t->n_words - control &&
           *n <= (t->n_words - control - before) / each;
}

/* The first table of this kind; bytes NULL: there is none. */
static table_t find(const snapshot_t *s, uint32_t magic)
{
    for (size_t i = 0; i < s->n_ranges; i++) {
        table_t t = put_together(s, &s->ranges[i]);
        if (t.bytes != NULL && word(&t, 0) == magic) return t;
        free(t.bytes);
    }
    return (table_t){NULL, 0, 8};
}

static void read_stacks(const table_t *stacks, lineages_t *l)
{
    size_t n, depth = (size_t)word(stacks, 2);
    if (depth > LINEAGE_FRAMES ||
        !is_table(stacks, STACKS_MAGIC, STACKS_CONTROL_WORDS, 0, depth + 2, &n))
        return;
    for (lineage_t *e = l->entries; e < l->entries + l->n; e++) {
        if (e->stack == 0 || e->stack > n) continue;
        size_t at = STACKS_CONTROL_WORDS + (e->stack - 1) * (depth + 2);
        size_t n_frames = (size_t)(word(stacks, at) & 0xFF);
        if ((word(stacks, at) & 0x80000000u) == 0 || n_frames > depth) continue;
        e->n_frames = n_frames;
        for (size_t i = 0; i < n_frames; i++) e->frames[i] = word(stacks, at + 2 + i);
    }
}

static void read_place(const table_t *t, size_t at, size_t n_hops, uint64_t unit_us, lineage_t *e)
{
    uint64_t block = word(t, at), owner = word(t, at + 7);
    *e = (lineage_t){.block = block & ~(uint64_t)1,
                     .is_live = (block & 1) == 0,
                     .serial = word(t, at + 1),
                     .site = word(t, at + 2),
                     .parent = word(t, at + 3),
                     .parent_serial = word(t, at + 4),
                     .size = word(t, at + 5),
                     .time_us = word(t, at + 6) * unit_us,
                     .owner = (unsigned)(owner & 0xFFFF),
                     .stack = (unsigned)(owner >> 16 & 0xFFFF),
                     .n_handed = word(t, at + 8)};
    e->n_hops = e->n_handed < n_hops ? (size_t)e->n_handed : n_hops;
    for (size_t i = 0; i < e->n_hops; i++) {
        size_t hop = at + PLACE_WORDS + (size_t)((e->n_handed - e->n_hops + i) % n_hops) * 3;
        e->hops[i] =
            (lineage_hop_t){word(t, hop), word(t, hop + 1) * unit_us, word(t, hop + 2) & 0xFFFF};
    }
}

static int by_serial(const void *x, const void *y)
{
    const lineage_t *a = x, *b = y;
    return a->serial < b->serial ? -1 : a->serial > b->serial;
}

lineages_t *lineages_read(const snapshot_t *s)
{
    table_t t = find(s, LINEAGE_MAGIC), stacks;
    uint64_t n_tasks = word(&t, 2), n_hops = word(&t, 3);
    size_t n = 0;
    lineages_t *l = NULL;
    if (n_tasks <= 32768 && n_hops <= LINEAGE_HOPS &&
        is_table(&t, LINEAGE_MAGIC, CONTROL_WORDS, n_tasks * TASK_WORDS, PLACE_WORDS + 3 * n_hops,
                 &n) &&
        (l = calloc(1, sizeof *l)) != NULL &&
        (l->entries = calloc(n, sizeof *l->entries)) != NULL) {
        size_t at = CONTROL_WORDS + (size_t)n_tasks * TASK_WORDS, each = PLACE_WORDS + 3 * n_hops;
        for (size_t i = 0; i < n; i++, at += each)
            if (word(&t, at) > 1)
                read_place(&t, at, (size_t)n_hops, word(&t, 4), &l->entries[l->n++]);
        qsort(l->entries, l->n, sizeof *l->entries, by_serial);
        l->n_untracked = word(&t, 6);
        l->n_forgotten = word(&t, 7);
        l->n_severed = word(&t, 8);
        stacks = find(s, STACKS_MAGIC);
        read_stacks(&stacks, l);
        free(stacks.bytes);
    }
    free(t.bytes);
    if (l != NULL && l->entries == NULL) {
        free(l);
        l = NULL;
    }
    return l;
}

void lineages_free(lineages_t *l)
{
    if (l == NULL) return;
    free(l->entries);
    free(l);
}

const lineage_t *lineages_parent(const lineages_t *l, const lineage_t *of)
{
    if (of->parent == 0 || of->parent_serial == 0 || of->parent_serial >= of->serial) return NULL;
    const lineage_t key = {.serial = of->parent_serial};
    return bsearch(&key, l->entries, l->n, sizeof key, by_serial);
}
