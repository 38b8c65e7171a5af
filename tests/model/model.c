/* SPDX-License-Identifier: MIT
 *
 * The model: see model.h. Memory is laid out as
 *
 *     [guard][the heap's own memory .......][gap][area 0][area 1][area 2]
 *
 * one malloc'ed block, so that an address sanitizer sees a step over its end; the bytes that belong
 * to no region hold a pattern that the heap must not touch.
 */
#include "model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_SLOTS 48u
#define N_AREAS 3u
#define AREA_BYTES 6144u
#define OWN_BYTES 12288u /* at most */
#define FAR_BYTES 65536u /* a heap whose quick lists fill themselves */
#define NO_MANS_BYTE 0xC7

typedef struct {
    unsigned char *ptr; /* NULL: no block */
    size_t size;        /* bytes filled with the byte fill */
    size_t gross;       /* bytes the block costs */
    unsigned char fill;
    bool tracked; /* lives since the walk began */
    unsigned n_seen;
} slot_t;

typedef struct {
    unsigned char *mem;
    size_t size;
    bool present;
} area_t;

struct model {
    const eai_heap_ops_t *ops;
    ea_heap_t *heap;
    model_draw_t *draw;
    void *draw_context;
    unsigned char *memory;
    size_t memory_bytes, own_bytes, span_bytes;
    bool half_fit, quick, checks, counts;
    slot_t slots[N_SLOTS];
    area_t areas[N_AREAS + 1]; /* the last one is the heap's own memory */
    slot_t *moving;            /* a realloc between begin and finish */
    ea_heap_move_t move;
    size_t moving_size;
    enum { NO_WALK, WALK, CHECK } walk;
    ea_heap_cursor_t cursor;
    unsigned char *last_visited;
    size_t n_live, gross, n_failures, n_corruptions;
    size_t min_free_seen;  /* smallest watched_free() that was ever read         */
    size_t min_free_bound; /* no smaller one can have been, transients included  */
    unsigned char next_fill;
    char complaint[240];
};

static uint32_t draw(model_t *m, uint32_t limit)
{
    return m->draw(m->draw_context, limit);
}

__attribute__((format(printf, 2, 3))) static bool wrong(model_t *m, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (m->complaint[0] == '\0') vsnprintf(m->complaint, sizeof m->complaint, format, arguments);
    va_end(arguments);
    return false;
}

const char *model_complaint(const model_t *m)
{
    return m->complaint;
}

static ea_heap_stats_t stats_of(const model_t *m)
{
    ea_heap_stats_t stats;
    m->ops->stats(m->heap, &stats);
    return stats;
}

/* What the watermark is about: free memory, without that in quick lists. */
static size_t watched_free(const model_t *m)
{
    if (!m->quick) return stats_of(m).free_bytes;
    ea_heap_bin_t bins[EA_HEAP_MAX_BINS];
    size_t n = m->ops->histogram(m->heap, bins, EA_HEAP_MAX_BINS), bytes = 0;
    for (size_t i = 0; i < n; i++) bytes += bins[i].bytes;
    return bytes;
}

/* --- blocks ----------------------------------------------------------------------------------- */

static bool inside_an_area(const model_t *m, const unsigned char *ptr, size_t size)
{
    for (size_t i = 0; i <= N_AREAS; i++) {
        const area_t *a = &m->areas[i];
        if (a->present && ptr >= a->mem && ptr + size <= a->mem + a->size) return true;
    }
    return false;
}

static bool contents_hold(const slot_t *slot, size_t size)
{
    if (size == 0) return true;
    return slot->ptr[0] == slot->fill && memcmp(slot->ptr, slot->ptr + 1, size - 1) == 0;
}

/* A block came, or is where it was with a new size: is it right? It is then filled. */
static bool accept(model_t *m, slot_t *slot, void *ptr, size_t size, size_t alignment)
{
    unsigned char *p = ptr;
    size_t usable = m->ops->usable_size_bytes(m->heap, p);
    if (((uintptr_t)p & (m->ops->align_bytes - 1)) != 0) return wrong(m, "block misaligned");
    if (alignment != 0 && ((uintptr_t)p & (alignment - 1)) != 0)
        return wrong(m, "block not aligned to %zu", alignment);
    if (usable < size) return wrong(m, "usable size %zu of a request of %zu", usable, size);
    if (!m->half_fit && usable >= size + m->ops->align_bytes + 16u)
        return wrong(m, "usable size %zu of a request of %zu", usable, size);
    if (!inside_an_area(m, p, usable)) return wrong(m, "block outside the heap's regions");
    for (size_t i = 0; i < N_SLOTS; i++) {
        const slot_t *other = &m->slots[i];
        if (other == slot || other->ptr == NULL) continue;
        if (p < other->ptr + other->gross && other->ptr < p + usable + 4)
            return wrong(m, "blocks overlap");
    }
    if (m->moving != NULL && m->moving != slot) {
        const unsigned char *to = m->move.to;
        if (p < to + m->ops->usable_size_bytes(m->heap, to) && to < p + usable)
            return wrong(m, "block overlaps one that is being moved");
    }
    if (slot->ptr != p) slot->tracked = false;
    slot->ptr = p;
    slot->size = size;
    slot->gross = usable + EA_HEAP_OVERHEAD_BYTES;
    slot->fill = ++m->next_fill;
    memset(p, slot->fill, size);
    return true;
}

static bool add(model_t *m, slot_t *slot, void *ptr, size_t size, size_t alignment)
{
    if (!accept(m, slot, ptr, size, alignment)) return false;
    m->n_live++;
    m->gross += slot->gross;
    return true;
}

static void forget(model_t *m, slot_t *slot)
{
    m->n_live--;
    m->gross -= slot->gross;
    memset(slot, 0, sizeof *slot);
}

static bool release(model_t *m, slot_t *slot)
{
    unsigned char *ptr = slot->ptr;
    if (!contents_hold(slot, slot->size)) return wrong(m, "contents lost before free");
    forget(m, slot);
    ea_status_t status = m->ops->free(m->heap, ptr);
    if (status != EA_OK) return wrong(m, "free returned %d", status);
    if (m->checks && draw(m, 16) == 0) {
        if (m->ops->free(m->heap, ptr) == EA_OK) return wrong(m, "second free accepted");
        m->n_corruptions++;
        if (m->ops->realloc(m->heap, ptr, 24) != NULL) return wrong(m, "realloc of a free block");
        m->n_corruptions++;
    }
    return true;
}

static size_t draw_size(model_t *m)
{
    uint32_t kind = draw(m, 32);
    if (kind < 16) return 1 + draw(m, 64);
    if (kind < 26) return 1 + draw(m, 600);
    if (kind < 31) return 1 + draw(m, 4000);
    return 1 + draw(m, (uint32_t)m->own_bytes);
}

static size_t draw_alignment(model_t *m)
{
    return (size_t)1 << draw(m, 11);
}

/* Was it right to refuse, and to grant? largest: what the heap promised before. */
static bool agree_on_largest(model_t *m, size_t largest, size_t size, bool granted)
{
    if (granted && !m->quick && size > largest)
        return wrong(m, "granted %zu, promised %zu", size, largest);
    if (!granted && size <= largest) return wrong(m, "refused %zu, promised %zu", size, largest);
    return true;
}

static bool step_alloc(model_t *m, slot_t *slot)
{
    size_t size = draw_size(m), largest = m->ops->largest_free_bytes(m->heap), alignment = 0;
    uint32_t how = draw(m, 8);
    unsigned char *ptr;
    if (how == 0) {
        size_t n = 1 + draw(m, 8);
        ptr = m->ops->calloc(m->heap, n, size);
        size *= n;
        if (ptr != NULL && (ptr[0] != 0 || memcmp(ptr, ptr + 1, size - 1) != 0))
            return wrong(m, "calloc is not clear");
    } else if (how <= 2) {
        alignment = draw_alignment(m);
        ptr = m->ops->aligned_alloc(m->heap, alignment, size);
    } else if (how == 3) {
        ptr = m->ops->realloc(m->heap, NULL, size);
    } else if (how == 4) {
        ptr = m->ops->alloc_high(m->heap, size);
    } else {
        ptr = m->ops->alloc(m->heap, size);
    }
    if (alignment <= m->ops->align_bytes && !agree_on_largest(m, largest, size, ptr != NULL))
        return false;
    if (ptr == NULL) {
        m->n_failures++;
        return true;
    }
    return add(m, slot, ptr, size, alignment);
}

/* The block moved or changed in place; kept bytes of the old contents must be there. */
static bool resized(model_t *m, slot_t *slot, void *ptr, size_t size, size_t alignment)
{
    slot_t now = *slot;
    size_t kept = size < slot->size ? size : slot->size;
    now.ptr = ptr;
    if (!contents_hold(&now, kept)) return wrong(m, "contents lost by realloc");
    m->gross -= slot->gross;
    if (!accept(m, slot, ptr, size, alignment)) return false;
    m->gross += slot->gross;
    return true;
}

static void note_transient(model_t *m, size_t extra)
{
    size_t free_bytes = watched_free(m), low = free_bytes > extra ? free_bytes - extra : 0;
    if (low < m->min_free_bound) m->min_free_bound = low;
}

static bool step_realloc(model_t *m, slot_t *slot)
{
    size_t size = draw_size(m), alignment = draw(m, 4) == 0 ? draw_alignment(m) : 0;
    note_transient(m, 2 * size + 2048);
    void *ptr = alignment != 0 ? m->ops->aligned_realloc(m->heap, slot->ptr, alignment, size)
                               : m->ops->realloc(m->heap, slot->ptr, size);
    if (ptr == NULL) {
        m->n_failures++;
        return size > slot->size || alignment != 0 || m->half_fit || wrong(m, "shrinking failed");
    }
    return resized(m, slot, ptr, size, alignment);
}

static bool step_begin(model_t *m, slot_t *slot)
{
    size_t size = draw_size(m), alignment = draw(m, 4) == 0 ? draw_alignment(m) : 0;
    note_transient(m, 4 * size + 4096);
    ea_status_t status = m->ops->realloc_begin(m->heap, slot->ptr, alignment, size, &m->move);
    if (status == EA_ERR_NO_MEMORY || status == EA_ERR_TOO_LARGE) {
        m->n_failures++;
        return contents_hold(slot, slot->size) || wrong(m, "a failed begin changed the block");
    }
    if (status != EA_OK) return wrong(m, "realloc_begin returned %d", status);
    if (!contents_hold(slot, slot->size)) return wrong(m, "realloc_begin changed the block");
    m->moving = slot;
    m->moving_size = size;
    return true;
}

static bool step_finish(model_t *m)
{
    slot_t *slot = m->moving;
    m->moving = NULL;
    m->ops->realloc_move(&m->move);
    void *ptr = m->ops->realloc_finish(m->heap, &m->move);
    if (ptr != m->move.to) return wrong(m, "realloc_finish returned another block");
    return resized(m, slot, ptr, m->moving_size, 0);
}

/* --- walking ---------------------------------------------------------------------------------- */

static void visit(void *context, const ea_heap_block_t *block)
{
    model_t *m = context;
    unsigned char *p = block->payload;
    if (p <= m->last_visited) (void)wrong(m, "the walk goes backwards");
    m->last_visited = p;
    if (!block->used) return;
    for (size_t i = 0; i < N_SLOTS; i++) {
        if (m->slots[i].ptr == p) {
            if (m->slots[i].n_seen++ > 0 && m->slots[i].tracked)
                (void)wrong(m, "the walk sees a block twice");
            return;
        }
    }
    if (m->moving == NULL) (void)wrong(m, "the walk sees a block that nobody holds");
}

static bool step_walk(model_t *m)
{
    if (m->walk == NO_WALK) {
        m->walk = draw(m, 2) ? WALK : CHECK;
        memset(&m->cursor, 0, sizeof m->cursor);
        m->last_visited = NULL;
        for (size_t i = 0; i < N_SLOTS; i++) {
            m->slots[i].n_seen = 0;
            m->slots[i].tracked = m->slots[i].ptr != NULL && &m->slots[i] != m->moving;
        }
    }
    size_t max_steps = 1 + draw(m, 12);
    ea_heap_fault_t fault = {NULL, NULL};
    ea_status_t status = m->walk == WALK
                             ? m->ops->walk(m->heap, &m->cursor, max_steps, visit, m)
                             : m->ops->check_step(m->heap, &m->cursor, max_steps, &fault);
    if (m->complaint[0] != '\0') return false;
    if (status == EA_ERR_AGAIN) return true;
    if (status != EA_OK)
        return wrong(m, "walk returned %d: %s", status, fault.invariant ? fault.invariant : "");
    for (size_t i = 0; i < N_SLOTS && m->walk == WALK; i++) {
        const slot_t *slot = &m->slots[i];
        if (slot->ptr != NULL && slot->tracked && slot->n_seen != 1)
            return wrong(m, "the walk saw a block %u times", slot->n_seen);
    }
    m->walk = NO_WALK;
    return true;
}

/* --- regions ---------------------------------------------------------------------------------- */

static size_t count_in(const model_t *m, const unsigned char *from, const unsigned char *to)
{
    size_t n = 0;
    for (size_t i = 0; i < N_SLOTS; i++) {
        const slot_t *slot = &m->slots[i];
        if (slot->ptr != NULL && slot->ptr < to && slot->ptr + slot->gross > from) n++;
    }
    return n;
}

static bool step_region(model_t *m)
{
    uint32_t i = draw(m, N_AREAS + 1), what = draw(m, 4);
    area_t *a = &m->areas[i];
    size_t total = stats_of(m).total_bytes;
    if (i < N_AREAS && !a->present) {
        unsigned char *place = m->memory + m->memory_bytes - (N_AREAS - i) * AREA_BYTES;
        a->mem = place + draw(m, 40);
        a->size = draw(m, AREA_BYTES - 64);
        ea_status_t status = m->ops->add_region(m->heap, a->mem, a->size);
        if (status == EA_ERR_INVALID && a->size < 96) return true;
        if (status != EA_OK) return wrong(m, "add_region of %zu bytes: %d", a->size, status);
        a->present = true;
        m->min_free_bound = 0;
        return true;
    }
    if (what <= 1) {
        size_t n_live = 99, want = count_in(m, a->mem, a->mem + a->size);
        ea_status_t status = m->ops->remove_region(m->heap, a->mem, &n_live);
        if (status == EA_ERR_BUSY) {
            if (n_live != want) return wrong(m, "%zu blocks in a region, not %zu", n_live, want);
            return i == N_AREAS || want != 0 || wrong(m, "an empty region does not go");
        }
        if (status != EA_OK || i == N_AREAS || want != 0)
            return wrong(m, "remove_region returned %d with %zu blocks", status, want);
        memset(a->mem, NO_MANS_BYTE, a->size);
        a->present = false;
        m->min_free_bound = 0;
        return true;
    }
    size_t most = i == N_AREAS ? m->own_bytes : AREA_BYTES - 64;
    size_t size = draw(m, (uint32_t)most);
    if (what == 2) {
        ea_status_t status = m->ops->grow(m->heap, a->mem, size);
        if (status == EA_OK && size <= a->size) {
            /* The end may stand below what the region was last given: a shrink rounds down. */
            if (size + 64 < a->size) return wrong(m, "grow to less");
            return true;
        }
        if (status == EA_OK) a->size = size;
        if (status != EA_OK && size > a->size + 64) return wrong(m, "grow returned %d", status);
        return true;
    }
    ea_status_t status = m->ops->shrink(m->heap, a->mem, size);
    if (status != EA_OK) {
        if (stats_of(m).total_bytes != total) return wrong(m, "a refused shrink took memory");
        return true;
    }
    if (size > a->size || count_in(m, a->mem + size, a->mem + a->size) != 0)
        return wrong(m, "shrink over a live block");
    memset(a->mem + size, NO_MANS_BYTE, a->size - size);
    a->size = size;
    m->min_free_bound = 0;
    return true;
}

/* --- all together ----------------------------------------------------------------------------- */

static bool agree_on_numbers(model_t *m)
{
    ea_heap_stats_t s = stats_of(m);
    if (s.largest_free_bytes != m->ops->largest_free_bytes(m->heap)) return wrong(m, "largest");
    if (s.largest_free_bytes > m->ops->max_alloc_bytes(m->heap)) return wrong(m, "max");
    if (!m->counts) return true;
    if (m->moving != NULL) {
        if (s.min_free_bytes > s.free_bytes) return wrong(m, "min_free_bytes above free_bytes");
        size_t now = watched_free(m);
        if (now < m->min_free_bound) m->min_free_bound = now;
        return true;
    }
    if (s.n_live != m->n_live) return wrong(m, "n_live %zu, not %zu", s.n_live, m->n_live);
    if (s.n_allocs - s.n_frees != m->n_live) return wrong(m, "n_allocs - n_frees");
    if (s.free_bytes != s.total_bytes - m->gross)
        return wrong(m, "free_bytes %zu, not %zu", s.free_bytes, s.total_bytes - m->gross);
    if (s.n_failures != m->n_failures)
        return wrong(m, "n_failures %zu, not %zu", s.n_failures, m->n_failures);
    if (s.n_corruptions != m->n_corruptions)
        return wrong(m, "n_corruptions %zu, not %zu", s.n_corruptions, m->n_corruptions);
    size_t now = watched_free(m);
    if (now < m->min_free_seen) m->min_free_seen = now;
    if (now < m->min_free_bound) m->min_free_bound = now;
    if (s.min_free_bytes > m->min_free_seen || s.min_free_bytes < m->min_free_bound)
        return wrong(m, "min_free_bytes %zu, not %zu to %zu", s.min_free_bytes, m->min_free_bound,
                     m->min_free_seen);
    return true;
}

static bool is_no_mans(const unsigned char *from, const unsigned char *to)
{
    return from >= to ||
           (*from == NO_MANS_BYTE && memcmp(from, from + 1, (size_t)(to - from) - 1) == 0);
}

/* The memory between the regions is as it was. */
static bool no_mans_bytes_hold(const model_t *m)
{
    const unsigned char *from = m->memory;
    const area_t *own = &m->areas[N_AREAS];
    if (!is_no_mans(from, own->mem)) return false;
    from = own->mem + own->size;
    for (size_t i = 0; i < N_AREAS; i++) {
        const area_t *a = &m->areas[i];
        if (!a->present) continue;
        if (!is_no_mans(from, a->mem)) return false;
        from = a->mem + a->size;
    }
    return is_no_mans(from, m->memory + m->memory_bytes);
}

bool model_verify(model_t *m)
{
    ea_heap_fault_t fault = {NULL, NULL};
    if (m->ops->check(m->heap, &fault) != EA_OK) return wrong(m, "check: %s", fault.invariant);
    if (!agree_on_numbers(m)) return false;
    for (size_t i = 0; i < N_SLOTS; i++) {
        if (m->slots[i].ptr != NULL && !contents_hold(&m->slots[i], m->slots[i].size))
            return wrong(m, "contents lost");
    }
    if (!no_mans_bytes_hold(m)) return wrong(m, "memory outside the regions was written");
    ea_heap_bin_t bins[EA_HEAP_MAX_BINS];
    size_t n = m->ops->histogram(m->heap, bins, EA_HEAP_MAX_BINS), bytes = 0;
    if (n > EA_HEAP_MAX_BINS) return wrong(m, "too many bins");
    for (size_t i = 0; i < n; i++) {
        bytes += bins[i].bytes;
        if (bins[i].n_blocks != 0 && !m->half_fit &&
            m->ops->largest_free_bytes(m->heap) + 4 < bins[i].min_block_bytes)
            return wrong(m, "largest_free_bytes overlooks a bin");
    }
    if (m->counts && !m->quick && m->moving == NULL && bytes != stats_of(m).free_bytes)
        return wrong(m, "the histogram does not add up");
    return true;
}

static void reset(model_t *m)
{
    m->ops->reset(m->heap);
    memset(m->slots, 0, sizeof m->slots);
    m->n_live = m->gross = 0;
    m->walk = NO_WALK;
}

static bool step_rare(model_t *m)
{
    switch (draw(m, 8)) {
    case 0: reset(m); return true;
    case 1:
        m->ops->walk_end(m->heap);
        m->walk = NO_WALK;
        return true;
    case 2:
        if (m->ops->alloc(m->heap, 0) != NULL) return wrong(m, "a block of nothing");
        return true;
    case 3:
        m->n_failures += 3;
        if (m->ops->alloc(m->heap, SIZE_MAX - draw(m, 64)) != NULL ||
            m->ops->calloc(m->heap, SIZE_MAX / 2 + draw(m, 9), 2 + draw(m, 5)) != NULL ||
            m->ops->aligned_alloc(m->heap, draw_alignment(m) * 32, SIZE_MAX - draw(m, 64)) != NULL)
            return wrong(m, "an absurd request was granted");
        return true;
    case 4: {
        m->ops->reset_min_free(m->heap);
        m->min_free_seen = m->min_free_bound = watched_free(m);
        return true;
    }
    case 5:
        if (m->ops->aligned_alloc(m->heap, 24, 24) != NULL) return wrong(m, "24 is no alignment");
        return m->ops->free(m->heap, NULL) == EA_OK || wrong(m, "free of NULL");
    default: return step_region(m);
    }
}

static bool step(model_t *m)
{
    slot_t *slot = &m->slots[draw(m, N_SLOTS)];
    uint32_t what = draw(m, 64);
    if (m->moving != NULL && what < 16) return step_finish(m);
    if (what < 4) return step_walk(m);
    if (what < 5) return m->moving != NULL || step_rare(m);
    if (slot == m->moving) return true;
    if (slot->ptr == NULL) return step_alloc(m, slot);
    if (what < 16) return step_realloc(m, slot);
    if (what < 20) return m->moving != NULL || step_begin(m, slot);
    return release(m, slot);
}

bool model_step(model_t *m)
{
    return step(m) && agree_on_numbers(m);
}

model_t *model_new(const eai_heap_ops_t *instance, model_draw_t *draw_number, void *context)
{
    model_t *m = calloc(1, sizeof *m);
    if (m == NULL) return NULL;
    m->ops = instance;
    m->draw = draw_number;
    m->draw_context = context;
    m->quick = instance->profile == 2;
    m->checks = instance->check_level >= 1;
    m->counts = instance->has_stats;
    m->half_fit = draw(m, 4) == 0;
    m->own_bytes = m->quick && draw(m, 4) == 0 ? FAR_BYTES : OWN_BYTES;
    m->memory_bytes = 64 + m->own_bytes + 64 + N_AREAS * AREA_BYTES;
    m->memory = malloc(m->memory_bytes);
    if (m->memory == NULL) {
        free(m);
        return NULL;
    }
    memset(m->memory, NO_MANS_BYTE, m->memory_bytes);
    area_t *own = &m->areas[N_AREAS];
    own->mem = m->memory + draw(m, 64);
    own->size = 2048 + draw(m, (uint32_t)m->own_bytes - 2048);
    ea_heap_options_t options = {m->memory_bytes - (size_t)(own->mem - m->memory),
                                 m->half_fit ? EA_FIT_HALF : EA_FIT_GOOD};
    m->heap = instance->init(own->mem, own->size, &options);
    own->present = true;
    if (m->heap == NULL) {
        (void)wrong(m, "init refused %zu bytes", own->size);
        return m;
    }
    m->min_free_seen = m->min_free_bound = watched_free(m);
    return m;
}

bool model_end(model_t *m)
{
    if (m->complaint[0] != '\0') return false;
    if (m->moving != NULL && !step_finish(m)) return false;
    for (size_t i = 0; i < N_SLOTS; i++) {
        if (m->slots[i].ptr != NULL && !release(m, &m->slots[i])) return false;
    }
    if (!model_verify(m)) return false;
    /* One free block a region. Of three regions the largest may stand between others in its bin,
     * where no request finds it; with one region everything is granted. */
    size_t n_regions = stats_of(m).n_regions, n_blocks = 0;
    size_t most = m->ops->max_alloc_bytes(m->heap);
    void *all = m->ops->alloc(m->heap, most);
    if (all == NULL && n_regions < 3) return wrong(m, "the empty heap does not grant %zu", most);
    if (m->ops->free(m->heap, all) != EA_OK) return wrong(m, "free of everything");
    ea_heap_bin_t bins[EA_HEAP_MAX_BINS];
    size_t n_bins = m->ops->histogram(m->heap, bins, EA_HEAP_MAX_BINS);
    for (size_t i = 0; i < n_bins; i++) n_blocks += bins[i].n_blocks;
    if (n_blocks > n_regions && !m->quick)
        return wrong(m, "the empty heap has %zu pieces in %zu regions", n_blocks, n_regions);
    if (m->ops->deinit(m->heap) != 0) return wrong(m, "deinit reports a leak");
    free(m->memory);
    free(m);
    return true;
}
