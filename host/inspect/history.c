/* SPDX-License-Identifier: MIT */
#include "history.h"

#include <stdlib.h>
#include <string.h>

#include "ealloc/trace.h"

enum { CONTROL_WORDS = 20, SLOT_WORDS = 4, MAX_LOG2 = 24, MOST_RANGES = 64 };
enum { WORD_NEXT, WORD_MAGIC, WORD_SHAPE, WORD_UNIT, WORD_BASE, WORD_SEAL, WORD_FIRST, WORD_UPPER };
#define MAGIC 0x45415452u

typedef struct {
    const uint8_t *bytes;
    size_t n;
    unsigned width; /* bytes of a word */
    uint64_t mask;  /* of a word */
    uint64_t n_events;
} ring_t;

static uint64_t word(const ring_t *r, size_t i)
{
    uint64_t value = 0;
    if ((i + 1) * r->width > r->n) return 0;
    for (unsigned k = r->width; k-- > 0;) value = value << 8 | r->bytes[i * r->width + k];
    return value;
}

static uint64_t check_of(const ring_t *r, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t k = r->width == 8 ? 0x9E3779B97F4A7C15u : 0x9E3Bu;
    uint64_t sum = (((a * k + b) & r->mask) * k + c) & r->mask;
    return sum ^ sum >> (r->width == 8 ? 31 : 15);
}

static bool is_sound(ring_t *r)
{
    uint64_t shape = word(r, WORD_SHAPE), log2 = shape & 0xFFu;
    if (word(r, WORD_MAGIC) != MAGIC || shape >> 16 != 1 || (shape >> 8 & 0xFFu) != r->width ||
        log2 < 3 || log2 > MAX_LOG2)
        return false;
    r->n_events = (uint64_t)1 << log2;
    uint64_t seal = check_of(r, word(r, WORD_MAGIC), shape, word(r, WORD_UNIT));
    return word(r, WORD_SEAL) == check_of(r, seal, word(r, WORD_BASE), 1);
}

static uint64_t bytes_of(const ring_t *r)
{
    return (CONTROL_WORDS + SLOT_WORDS * r->n_events) * r->width;
}

static ring_t ring_of(const uint8_t *bytes, size_t n, unsigned width)
{
    return (ring_t){
        .bytes = bytes, .n = n, .width = width, .mask = width == 8 ? UINT64_MAX : UINT32_MAX};
}

uint64_t history_bytes_at(const image_t *m, unsigned word_bytes, uint64_t address)
{
    uint8_t head[CONTROL_WORDS * 8] = {0};
    ring_t r = ring_of(head, CONTROL_WORDS * word_bytes, word_bytes);
    if (!image_copy(m, address, head, r.n) || !is_sound(&r)) return 0;
    return bytes_of(&r);
}

/* --- events ----------------------------------------------------------------------------------- */

typedef struct {
    uint64_t words[SLOT_WORDS];
} slot_t;

/* The event with this ticket, twice its number. false: it is not there whole. */
static bool fetch(const ring_t *r, uint64_t ticket, slot_t *slot)
{
    size_t at = CONTROL_WORDS + SLOT_WORDS * (size_t)((ticket / 2) & (r->n_events - 1));
    for (unsigned i = 0; i < SLOT_WORDS; i++) slot->words[i] = word(r, at + i);
    uint64_t check = check_of(r, slot->words[1], slot->words[2], slot->words[3]);
    return (at + SLOT_WORDS) * r->width <= r->n &&
           slot->words[0] == ((ticket ^ check << 1) & r->mask);
}

static unsigned kind_of(const slot_t *slot)
{
    return (unsigned)(slot->words[3] & 15u);
}

/* The upper part of the time of event i of n, the first of which has the ticket from: what was in
 * force before the next SYNC. *known_to: so far the one before holds; each event is looked at once.
 */
static uint64_t find_upper(const ring_t *r, uint64_t from, uint64_t i, uint64_t n,
                           uint64_t *known_to, uint64_t *known)
{
    slot_t slot;
    if (i < *known_to) return *known;
    for (*known_to = i; *known_to < n; ++*known_to) {
        uint64_t kept = r->mask >> 4, ticket = (from + 2 * *known_to) & r->mask;
        if (!fetch(r, ticket, &slot) || kind_of(&slot) != EA_TRACE_SYNC) continue;
        *known = (slot.words[2] & ~kept & r->mask) | slot.words[3] >> 4;
        return *known;
    }
    *known = word(r, WORD_UPPER);
    return *known;
}

static uint64_t time_of(const ring_t *r, uint64_t upper, uint64_t low)
{
    uint64_t lower = low & 0x7FFFu;
    if (((low >> 15 ^ upper) & 1u) != 0) upper = (upper + (lower < 16384 ? 1 : r->mask)) & r->mask;
    return (upper << 15) + lower;
}

static uint64_t least_of(uint64_t class)
{
    if (class >= 4 * 64) return UINT64_MAX;
    return class < 8 ? class : (uint64_t)(4u + class % 4u) << (class / 4u - 1u);
}

static void decode(const ring_t *r, const slot_t *slot, snap_event_t *e)
{
    uint64_t align = 2u * r->width, base = word(r, WORD_BASE);
    e->site = slot->words[2];
    e->owner = (uint16_t)slot->words[1];
    e->kind = (uint8_t)kind_of(slot);
    if (e->kind == EA_TRACE_BOOT) return;
    uint64_t address = slot->words[3] >> 8 & ~(align - 1u), class = slot->words[3] >> 4;
    if (address != 0) e->block = (base + ((address - base) & (r->mask >> 8))) & r->mask;
    class &= (align << 8 >> 4) - 1u;
    e->size_bytes = least_of(class);
    e->max_size_bytes = least_of(class + 1) - 1;
}

bool history_read(snapshot_t *s, const uint8_t *bytes, size_t n, unsigned word_bytes)
{
    ring_t r = ring_of(bytes, n, word_bytes);
    if (!is_sound(&r)) return false;
    uint64_t next = word(&r, WORD_NEXT), first = word(&r, WORD_FIRST), lap = 2 * r.n_events;
    uint64_t from = ((next - first) & r.mask) < lap ? first : (next - lap) & r.mask;
    uint64_t n_events = ((next - from) & r.mask) / 2, upper = 0, known_to = 0, known = 0;
    bool is_timed = false;
    for (uint64_t i = 0; i < n_events; i++) {
        uint64_t ticket = (from + 2 * i) & r.mask;
        slot_t slot;
        if (!fetch(&r, ticket, &slot)) {
            is_timed = false; /* it may have been a SYNC */
            continue;
        }
        if (kind_of(&slot) == 0) continue;
        if (kind_of(&slot) == EA_TRACE_SYNC) {
            upper = slot.words[2];
            is_timed = true;
            continue;
        }
        if (!is_timed) upper = find_upper(&r, from, i, n_events, &known_to, &known);
        is_timed = true;
        snap_event_t *e = SNAP_ADD(s, events, n_events);
        *e = (snap_event_t){.number = ticket / 2,
                            .time_us = time_of(&r, upper, slot.words[1] >> 16 & 0xFFFFu) *
                                       word(&r, WORD_UNIT)};
        decode(&r, &slot, e);
    }
    return true;
}

/* --- in a dump -------------------------------------------------------------------------------- */

/* The pieces of a range come in order: copy them to bytes, or if it is NULL only count. */
static size_t gather(const snapshot_t *s, const snap_range_t *range, uint8_t *bytes)
{
    size_t n = 0;
    for (size_t k = 0; k < s->n_raws; k++) {
        const snap_raw_t *raw = &s->raws[k];
        if (raw->address != range->address + n || raw->n > range->bytes - n) continue;
        if (bytes != NULL && raw->n > 0) memcpy(bytes + n, raw->bytes, raw->n);
        n += raw->n;
    }
    return n;
}

void history_find(snapshot_t *s)
{
    for (size_t i = 0; i < s->n_ranges && i < MOST_RANGES; i++) {
        size_t n = gather(s, &s->ranges[i], NULL);
        if (n < CONTROL_WORDS * 4u) continue;
        uint8_t *bytes = malloc(n);
        if (bytes == NULL) abort();
        (void)gather(s, &s->ranges[i], bytes);
        (void)history_read(s, bytes, n, s->head.pointer_bytes);
        free(bytes);
    }
}
