/* SPDX-License-Identifier: MIT
 *
 * The model: see allocator_model.h. Memory comes from malloc in pieces of exactly the size that the
 * allocator is told, so that an address sanitizer sees what goes beyond.
 */
#include "allocator_model.h"

#include <stdlib.h>
#include <string.h>

#include "allocator_model_internal.h"
#include "ealloc/owner.h"

void model_complain(model_t *m, const char *what)
{
    if (m->complaint == NULL) m->complaint = what;
}

#if EA_CFG_ALLOC_LOCKING == 3
static int lock_objects[N_AREAS + 1], n_held;
static bool try_lock(void *lock)
{
    if (n_held++ != 0 || (*(int *)lock)++ != 0) abort(); /* nobody holds two */
    return true;
}
static void take_lock(void *lock)
{
    (void)try_lock(lock);
}
static void drop_lock(void *lock)
{
    if (n_held-- != 1 || (*(int *)lock)-- != 1) abort();
}
static const ea_lock_ops_t lock_ops = {take_lock, try_lock, drop_lock};
#endif

/* --- blocks ----------------------------------------------------------------------------------- */

static block_t *any_block(model_t *m)
{
    uint32_t from = draw(m, N_BLOCKS);
    for (uint32_t i = 0; i < N_BLOCKS; i++) {
        block_t *b = &m->blocks[(from + i) % N_BLOCKS];
        if (b->ptr != NULL && !b->is_busy) return b;
    }
    return NULL;
}

static block_t *empty_block(model_t *m)
{
    for (uint32_t i = 0; i < N_BLOCKS; i++)
        if (m->blocks[i].ptr == NULL) return &m->blocks[i];
    return NULL;
}

static area_t *area_of(model_t *m, const void *ptr)
{
    for (uint32_t i = 0; i < N_AREAS; i++) {
        area_t *area = &m->areas[i];
        if (area->mem != NULL && (uintptr_t)ptr - (uintptr_t)area->mem < area->size) return area;
    }
    return NULL;
}

static const void *store_in(const area_t *area)
{
#if EA_CFG_ALLOC_MOVABLE
    return area->store;
#else
    return (void)area, NULL;
#endif
}

static size_t overhead_in(const area_t *area)
{
#if EA_CFG_ALLOC_MOVABLE
    if (area != NULL && area->store != NULL) return EA_MOVABLE_HEADER_BYTES;
#endif
    return (void)area, EA_HEAP_OVERHEAD_BYTES;
}

static bool is_intact(const block_t *b, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        if (b->ptr[i] != (uint8_t)(b->fill + i)) return false;
    return true;
}

static void fill(block_t *b)
{
    for (size_t i = 0; i < b->size; i++) b->ptr[i] = (uint8_t)(b->fill + i);
}

/* Note what is known of a block that came or moved, and fill it. */
static void learn(model_t *m, block_t *b, void *ptr, size_t size)
{
    ea_block_info_t info;
    b->ptr = ptr;
    b->born = m->step;
    b->seen = false;
    b->is_busy = false;
    if (ea_block_info(&m->a, ptr, &info) != EA_OK) {
        model_complain(m, "a block that is live is not known");
        b->size = size;
        return;
    }
    b->size = ea_usable_size_bytes(&m->a, ptr);
    b->usable = info.usable_bytes;
    MUST(m, b->size >= size && b->size <= b->usable, "a block is smaller than asked");
    if (EA_CFG_GUARD > 0 && !EA_CFG_GUARD_SAMPLED)
        MUST(m, b->size == size, "a guarded block has another size than asked");
#if EA_CFG_ALLOC_POOLS
    b->in_pool = m->has_pools && ea_poolset_owns(&m->set, ptr);
#endif
    area_t *area = area_of(m, ptr);
    MUST(m, b->in_pool ? info.region == NULL : area != NULL && info.region == area->mem,
         "a block lies in no region");
    if (area != NULL && !b->in_pool)
        MUST(m, b->usable <= (size_t)(area->mem + area->size - b->ptr),
             "a block leaves its region");
    b->gross = b->usable;
    if (!b->in_pool) b->gross += EAI_FRONT_BYTES + overhead_in(area);
    b->owner = info.owner;
    b->fill = ++m->next_fill;
    for (uint32_t i = 0; i < N_BLOCKS; i++) {
        const block_t *o = &m->blocks[i];
        if (o == b || o->ptr == NULL) continue;
        MUST(m, b->ptr >= o->ptr + o->usable || o->ptr >= b->ptr + b->usable,
             "two live blocks overlap");
    }
    fill(b);
}

/* --- callbacks -------------------------------------------------------------------------------- */

#if EA_CFG_ALLOC_RECLAIM || EA_CFG_ALLOC_HANDLER
static size_t drop_any(model_t *m)
{
#if EA_CFG_ALLOC_MOVABLE
    if (draw(m, 2)) return model_drop_movable(m);
#endif
    block_t *b = any_block(m);
    if (b == NULL) return 0;
    size_t gross = b->gross;
    MUST(m, is_intact(b, b->size), "contents changed");
    ea_status_t status = ea_free(&m->a, b->ptr);
    if (status == EA_ERR_NOT_OWNER) return 0;
    MUST(m, status == EA_OK, "a live block is not freed by a callback");
    b->ptr = NULL;
    return gross;
}
#endif

#if EA_CFG_ALLOC_RECLAIM
static size_t reclaim(void *context, size_t wanted_bytes)
{
    model_t *m = context;
    m->asked = true;
    if (draw(m, 8) == 0) {
        block_t *b = empty_block(m);
        void *ptr = b ? ea_malloc(&m->a, wanted_bytes % LARGEST + 1) : NULL;
        if (ptr != NULL) learn(m, b, ptr, wanted_bytes % LARGEST + 1);
    }
#if EA_CFG_ALLOC_MOVABLE
    if (draw(m, 8) == 0) model_try_movable(m);
#endif
    return draw(m, 2) ? drop_any(m) : 0;
}

static bool compact(void *context, size_t wanted_bytes)
{
    model_t *m = context;
    (void)wanted_bytes;
    m->asked = true;
#if EA_CFG_ALLOC_MOVABLE
    if (draw(m, 2)) return ea_allocator_step(&m->a, draw(m, 400)) == EA_ERR_AGAIN;
#endif
    return draw(m, 4) == 0 && drop_any(m) != 0;
}
#endif

#if EA_CFG_ALLOC_HANDLER
static ea_handler_verdict_t handle(void *context, const ea_failure_t *failure, void **block)
{
    model_t *m = context;
    (void)failure;
    m->asked = true;
    m->offered = NULL;
    switch (draw(m, 4)) {
    case 0: (void)drop_any(m);
#if EA_CFG_ALLOC_MOVABLE
        if (draw(m, 4) == 0) model_try_movable(m);
#endif
        return EA_HANDLER_RETRY;
    case 1:
        m->offered = any_block(m);
        *block = m->offered ? m->offered->ptr : NULL;
        return EA_HANDLER_BLOCK;
    case 2: *block = m; return EA_HANDLER_BLOCK; /* none of this allocator's */
    default: return EA_HANDLER_FAIL;
    }
}
#endif

/* --- what must happen ------------------------------------------------------------------------- */

static bool suits(const area_t *area, const wish_t *w)
{
    return area->mem != NULL && (w->capabilities & ~area->options.capabilities) == 0 &&
           (area->options.policy != EA_POLICY_CRITICAL || w->critical);
}

/* Enough for the wish in this region, whatever the addresses. */
static size_t most_needed(const area_t *area, const wish_t *w)
{
    size_t line = area->options.line_bytes > EA_HEAP_ALIGN ? area->options.line_bytes : 0;
    size_t alignment = w->alignment > line ? w->alignment : line;
    size_t size = w->size < EAI_LEAST_BYTES ? EAI_LEAST_BYTES : w->size;
    size_t need = size + EAI_FRONT_BYTES + EAI_BACK_BYTES;
    if (line != 0) need += line;
    if (alignment <= EA_HEAP_ALIGN) return need;
    need += alignment + EAI_FRONT_BYTES + 2 * EA_HEAP_MIN_BLOCK_BYTES;
    return area->options.fit == EA_FIT_HALF ? 2 * need : need; /* blocks of powers of two */
}

/* Could the region have served it when it was last looked at? */
static bool has_room(const area_t *area, const wish_t *w)
{
    if (!suits(area, w)) return false;
#if EA_CFG_ALLOC_MOVABLE
    if (area->store != NULL) return area->high_bytes >= model_most_fixed(w);
#endif
    size_t need = most_needed(area, w);
    if (area->options.reserve_bytes != 0 && (w->capabilities & area->options.capabilities) == 0 &&
        area->free_bytes < area->options.reserve_bytes + need + 2 * EA_HEAP_MIN_BLOCK_BYTES)
        return false;
    return area->largest >= need;
}

/* Would it have, if all is moved that may be moved? */
static bool can_make_room(const area_t *area, const wish_t *w)
{
#if EA_CFG_ALLOC_MOVABLE
    return suits(area, w) && area->store != NULL &&
           area->options.move_bytes == EA_MOVABLE_UNLIMITED &&
           area->run_bytes >= model_most_fixed(w);
#else
    return (void)area, (void)w, false;
#endif
}

static void look_at_areas(model_t *m)
{
    for (uint32_t i = 0; i < N_AREAS; i++) {
        area_t *area = &m->areas[i];
        ea_heap_stats_t stats;
        if (area->mem == NULL) continue;
        MUST(m, ea_allocator_region_stats(&m->a, area->mem, &stats) == EA_OK, "a region is gone");
        area->largest = stats.largest_free_bytes;
        area->free_bytes = stats.free_bytes;
#if EA_CFG_ALLOC_MOVABLE
        if (area->store != NULL) model_look_at_store(area);
#endif
    }
}

#if EAI_ALLOC_OWNERS
/* May a budget stand against it? Half fit makes blocks of powers of two. */
bool model_is_tight(const wish_t *w)
{
    size_t gross = w->size + EAI_FRONT_BYTES + EAI_BACK_BYTES + 3 * EA_HEAP_MIN_BLOCK_BYTES + 128 +
                   w->alignment;
    size_t whole = 1;
    while (whole < gross) whole *= 2;
    for (const ea_account_t *who = w->owner; who != NULL; who = ea_account_parent(who)) {
        ea_account_stats_t stats;
        ea_account_stats(who, &stats);
        if (stats.limits.max == EA_ACCOUNT_UNLIMITED) continue;
        if (stats.credit + whole > stats.limits.max) return true;
    }
    return false;
}
#endif

static void check_refusal(model_t *m, const wish_t *w)
{
    if (w->size == 0) return;
#if EA_CFG_ALLOC_REPORT
    ea_failure_t f;
    ea_allocator_last_failure(&m->a, &f);
    MUST(m, f.sequence != 0 && f.reason != EA_REASON_NONE, "a refusal without a reason");
    if (f.reason == EA_REASON_INVALID) {
        model_complain(m, "a valid request is called invalid");
        return;
    }
#endif
#if EAI_ALLOC_OWNERS
    if (model_is_tight(w)) return;
#if EA_CFG_ALLOC_REPORT
    /* A block that the handler offers may cost more than the budget has. */
    MUST(m, f.reason != EA_REASON_OVER_LIMIT || m->offered != NULL,
         "refused for a limit that has room");
#endif
#endif
    look_at_areas(m);
    for (uint32_t i = 0; i < N_AREAS; i++) {
        MUST(m, !has_room(&m->areas[i], w), "refused though a region has room");
        MUST(m, !can_make_room(&m->areas[i], w), "refused though moving would make room");
    }
}

static unsigned scarcity(const area_t *area)
{
    return (unsigned)__builtin_popcount(area->options.capabilities & EA_CAPS_SCARCE) +
           (area->options.policy == EA_POLICY_FAST ||
            area->options.policy == EA_POLICY_LOW_FRAGMENTATION);
}

static bool comes_first(const area_t *one, const area_t *two)
{
    unsigned s = scarcity(one), t = scarcity(two);
    if (s != t) return s < t;
    if (one->options.priority != two->options.priority)
        return one->options.priority > two->options.priority;
    return one->serial < two->serial;
}

static void check_served(model_t *m, const block_t *b, const wish_t *w)
{
    size_t alignment = w->alignment > EA_HEAP_ALIGN ? w->alignment : EA_HEAP_ALIGN;
    MUST(m, ((uintptr_t)b->ptr & (alignment - 1)) == 0, "a block is not aligned");
    if (b->in_pool) {
        bool special = w->capabilities != 0 || w->alignment > EA_HEAP_ALIGN || w->long_lived;
        MUST(m, !special || m->offered != NULL, "a pool block for a special request");
        return;
    }
    const area_t *mine = area_of(m, b->ptr);
    if (mine == NULL) return;
    if (m->offered == NULL) MUST(m, suits(mine, w), "a block of a region that does not suit");
    if (mine->options.line_bytes != 0 && m->offered == NULL)
        MUST(m, ((uintptr_t)b->ptr & (mine->options.line_bytes - 1)) == 0, "a line is shared");
    if (w->policy != EA_POLICY_DEFAULT || w->long_lived || m->asked) return;
#if EAI_ALLOC_OWNERS
    if (model_is_tight(w)) return; /* what the first region would have charged was too much */
#endif
    for (uint32_t i = 0; i < N_AREAS; i++) {
        const area_t *other = &m->areas[i];
        if (other == mine || !has_room(other, w) || !comes_first(other, mine)) continue;
        model_complain(m, "a region was taken before its turn");
    }
}

/* --- allocating ------------------------------------------------------------------------------- */

static size_t draw_size(model_t *m)
{
    switch (draw(m, 8)) {
    case 0: return draw(m, 4000);
    case 1: return draw(m, 4);
    case 2:
    case 3: return 1 + draw(m, LARGEST);
    default: return 1 + draw(m, 100);
    }
}

static void draw_wish(model_t *m, wish_t *w, ea_request_t *request)
{
    *w = (wish_t){.size = draw_size(m)};
    *request = (ea_request_t){0};
    if (draw(m, 4) == 0) request->alignment_bytes = (size_t)1 << draw(m, 9);
    if (draw(m, 4) == 0) request->capabilities = 1u << draw(m, 4);
    if (draw(m, 8) == 0) request->priority = (uint8_t)(1 + draw(m, 255));
    if (draw(m, 4) == 0) request->policy = (ea_policy_t)draw(m, 4);
    if (draw(m, 8) == 0) request->lifetime = EA_LIFETIME_LONG;
    if (draw(m, 16) == 0) request->timeout_us = 1;
    request->zeroed = draw(m, 4) == 0;
    w->alignment = request->alignment_bytes;
    w->capabilities = request->capabilities;
    w->policy = (uint8_t)request->policy;
    w->long_lived = request->lifetime == EA_LIFETIME_LONG;
    w->critical =
        request->priority >= EA_PRIORITY_CRITICAL || request->policy == EA_POLICY_CRITICAL;
#if EAI_ALLOC_OWNERS
    w->owner = m->default_owner;
    if (draw(m, 2)) w->owner = request->owner = m->owners[draw(m, N_OWNERS)];
    if (w->owner && !request->priority)
        w->critical |= ea_account_priority(w->owner) >= EA_PRIORITY_CRITICAL;
#endif
}

static void accept(model_t *m, void *ptr, const wish_t *w, bool zeroed)
{
    if (ptr == NULL) {
        check_refusal(m, w);
        return;
    }
    if (m->offered != NULL && m->offered->ptr == ptr)
        m->offered->ptr = NULL; /* it changed hands */
    else
        m->offered = NULL;
    block_t *b = empty_block(m);
    for (size_t i = 0; zeroed && i < w->size; i++)
        MUST(m, ((unsigned char *)ptr)[i] == 0, "a block is not zeroed");
    if (b == NULL) { /* a reclaimer took the last place in the list */
        MUST(m, ea_free(&m->a, ptr) == EA_OK, "a live block is not freed");
        return;
    }
    learn(m, b, ptr, w->size);
#if EAI_ALLOC_OWNERS
    MUST(m, b->owner == (w->owner ? ea_account_id(w->owner) : 0), "a block has another owner");
#endif
    check_served(m, b, w);
}

static void step_alloc(model_t *m)
{
    wish_t w;
    ea_request_t request;
    void *ptr;
    uint32_t kind = draw(m, 8);
    if (empty_block(m) == NULL) return;
    draw_wish(m, &w, &request);
    if (kind >= 4) {
        ptr = ea_malloc_ex(&m->a, w.size, &request);
        accept(m, ptr, &w, request.zeroed);
        return;
    }
    w = (wish_t){.size = w.size, .alignment = kind == 2 ? (size_t)1 << draw(m, 9) : 0};
#if EAI_ALLOC_OWNERS
    ea_owner_frame_t frame;
    ea_account_t *current = draw(m, 2) ? m->owners[draw(m, N_OWNERS)] : NULL;
    ea_owner_push(&frame, current);
    w.owner = current ? current : m->default_owner;
    w.critical = w.owner && ea_account_priority(w.owner) >= EA_PRIORITY_CRITICAL;
#endif
    if (kind == 2)
        ptr = ea_aligned_alloc(&m->a, w.alignment, w.size);
    else if (kind == 3)
        ptr = ea_calloc(&m->a, 1, w.size);
    else
        ptr = ea_malloc(&m->a, w.size);
#if EAI_ALLOC_OWNERS
    (void)ea_owner_pop(&frame);
#endif
    accept(m, ptr, &w, kind == 3);
}

static void step_invalid(model_t *m)
{
    MUST(m, ea_malloc_ex(&m->a, 10, &(ea_request_t){.alignment_bytes = 24}) == NULL,
         "an odd alignment is accepted");
    MUST(m, ea_malloc(&m->a, SIZE_MAX - draw(m, 100)) == NULL, "too much is accepted");
    MUST(m, ea_calloc(&m->a, SIZE_MAX / 2, 3) == NULL, "an overflow is accepted");
    MUST(m, ea_malloc(&m->a, 0) == NULL, "nothing is a block");
}

static void step_realloc(model_t *m)
{
    block_t *b = any_block(m);
    wish_t w = {.size = draw_size(m)};
    if (b == NULL) return;
    if (draw(m, 4) == 0) w.alignment = (size_t)1 << draw(m, 8);
    if (w.size == 0 && draw(m, 4)) w.size = 1;
#if EAI_ALLOC_OWNERS
    w.owner = b->owner ? ea_account_by_id(&m->book, b->owner) : NULL;
    if (w.size == 0 && m->strict) return;
#endif
    area_t *area = b->in_pool ? NULL : area_of(m, b->ptr);
    if (area != NULL) {
        w.capabilities = area->options.capabilities;
        w.policy = (uint8_t)area->options.policy;
    }
    w.critical = w.policy == EA_POLICY_CRITICAL;
    size_t had = b->size;
    uint16_t owner = b->owner;
    b->is_busy = true;
    unsigned char *ptr = w.alignment ? ea_aligned_realloc(&m->a, b->ptr, w.alignment, w.size)
                                     : ea_realloc(&m->a, b->ptr, w.size);
    b->is_busy = false;
    if (w.size == 0) {
        MUST(m, ptr == NULL, "a block of nothing");
        b->ptr = NULL;
        return;
    }
    if (ptr == NULL) {
        MUST(m, is_intact(b, had), "a realloc that was refused changed contents");
        check_refusal(m, &w);
        return;
    }
    if (m->offered != NULL && m->offered->ptr == ptr) m->offered->ptr = NULL;
    block_t now = *b;
    now.ptr = ptr;
    MUST(m, is_intact(&now, had < w.size ? had : w.size), "realloc lost contents");
    bool moved = ptr != b->ptr;
    unsigned born = b->born;
    bool seen = b->seen;
    learn(m, b, ptr, w.size);
    if (!moved) {
        b->born = born;
        b->seen = seen;
    }
    MUST(m, b->owner == owner, "realloc gave a block to somebody else");
    size_t alignment = w.alignment > EA_HEAP_ALIGN ? w.alignment : EA_HEAP_ALIGN;
    MUST(m, ((uintptr_t)b->ptr & (alignment - 1)) == 0, "a block is not aligned after realloc");
}

/* --- freeing ---------------------------------------------------------------------------------- */

static void step_free(model_t *m)
{
    block_t *b = any_block(m);
    if (b == NULL) return;
    MUST(m, is_intact(b, b->size), "contents changed");
    ea_status_t expected = EA_OK, status;
#if EAI_ALLOC_OWNERS
    ea_owner_frame_t frame;
    ea_account_t *current = draw(m, 4) == 0 ? m->owners[draw(m, N_OWNERS)] : NULL;
    ea_owner_push(&frame, current);
    if (m->strict && current && b->owner && b->owner != ea_account_id(current))
        expected = EA_ERR_NOT_OWNER;
#endif
    bool from_isr = EA_CFG_ALLOC_ISR && draw(m, 3) == 0;
#if EA_CFG_ALLOC_ISR
    if (from_isr) expected = EA_OK;
    status = from_isr ? ea_free_isr(&m->a, b->ptr) : ea_free(&m->a, b->ptr);
#else
    (void)from_isr;
    status = ea_free(&m->a, b->ptr);
#endif
#if EAI_ALLOC_OWNERS
    (void)ea_owner_pop(&frame);
#endif
    MUST(m, status == expected, "free answers otherwise");
    if (status != EA_OK) return;
    /* Where guards or pools know it, a second free is told. */
    if (EA_CFG_TAGS && !b->in_pool && from_isr && draw(m, 4) == 0)
        MUST(m, ea_free(&m->a, b->ptr) == EA_ERR_DOUBLE_FREE, "a block was freed twice");
    if (b->in_pool && (EAI_TAGGED || EA_CFG_POOL_VALIDATE) && draw(m, 4) == 0)
        MUST(m, ea_free(&m->a, b->ptr) == EA_ERR_DOUBLE_FREE, "a pool block was freed twice");
    b->ptr = NULL;
}

/* Pointers that are none of blocks. */
static void step_wrong(model_t *m)
{
    block_t *b = any_block(m);
    MUST(m, ea_free(&m->a, &m->step) == EA_ERR_FOREIGN, "a foreign pointer is freed");
    MUST(m, ea_realloc(&m->a, &m->step, 5) == NULL, "a foreign pointer is resized");
    if (b == NULL || EA_CFG_GUARD == 0 || EA_CFG_GUARD_SAMPLED) return;
    unsigned char *ptr = b->ptr + 1 + draw(m, (uint32_t)b->size);
    for (uint32_t i = 0; i < N_BLOCKS; i++)
        if (m->blocks[i].ptr == ptr) return;
    MUST(m, ea_free(&m->a, ptr) != EA_OK, "the middle of a block is freed");
}

static void step_transfer(model_t *m)
{
#if EAI_ALLOC_OWNERS
    block_t *b = any_block(m);
    if (b == NULL) return;
    ea_account_t *to = draw(m, 4) ? m->owners[draw(m, N_OWNERS)] : NULL;
    wish_t w = {.size = b->gross, .owner = to};
    ea_status_t status = ea_transfer(&m->a, b->ptr, to);
    if (status == EA_OK)
        b->owner = to ? ea_account_id(to) : 0;
    else
        MUST(m, status == EA_ERR_LIMIT && model_is_tight(&w), "a transfer is refused");
#else
    (void)m;
#endif
}

static void end_walk(model_t *m)
{
    if (m->is_walking) ea_allocator_walk_end(&m->a, &m->walk);
    m->is_walking = false;
}

static void step_free_all(model_t *m)
{
#if EAI_ALLOC_OWNERS
    uint16_t id = ea_account_id(m->owners[draw(m, N_OWNERS)]);
    ea_allocator_cursor_t cursor = {0};
    size_t n = 0, n_freed = 0;
    ea_status_t status;
    bool unseen = false; /* pools without validity bits have no walk */
    end_walk(m);
    do status = ea_free_all(&m->a, id, &cursor, 1 + draw(m, 20), &n_freed);
    while (status == EA_ERR_AGAIN);
    MUST(m, status == EA_OK, "free_all answers otherwise");
    for (uint32_t i = 0; i < N_BLOCKS; i++) {
        block_t *b = &m->blocks[i];
        if (b->ptr == NULL || b->owner != id) continue;
        if (b->in_pool && !EA_CFG_POOL_VALIDATE) {
            unseen = true;
            continue;
        }
        b->ptr = NULL;
        n++;
    }
    MUST(m, n == n_freed || unseen, "free_all freed another number of blocks");
#else
    (void)m;
#endif
}

/* --- regions and pools ------------------------------------------------------------------------ */

static void step_add_region(model_t *m)
{
    area_t *area = &m->areas[draw(m, N_AREAS)];
    ea_region_options_t o = {.priority = (uint8_t)draw(m, 3)};
    if (area->mem != NULL) return;
    if (draw(m, 2)) o.capabilities = draw(m, 16);
    if (draw(m, 4) == 0) o.policy = (ea_policy_t)draw(m, 4);
    if (draw(m, 8) == 0) o.line_bytes = (size_t)16 << draw(m, 3);
    if (draw(m, 4) == 0) o.fit = EA_FIT_HALF;
    if (draw(m, 8) == 0 && EA_CFG_HEAP_STATS && o.capabilities) o.reserve_bytes = draw(m, 2000);
    size_t size = 600 + draw(m, 5000), span = size + draw(m, 3000);
    o.span_bytes = span;
#if EA_CFG_ALLOC_MOVABLE
    if (draw(m, 2)) {
        model_draw_store(m, &o);
        span = size;
    }
#endif
#if EA_CFG_ALLOC_LOCKING == 3
    if (draw(m, 2)) o.lock = &lock_objects[area - m->areas];
#endif
    unsigned char *mem = malloc(span);
    if (mem == NULL) return;
    ea_status_t status = ea_allocator_add_region(&m->a, mem, size, &o);
    if (status == EA_OK) {
        MUST(m, m->n_regions < EA_CFG_ALLOC_REGIONS, "too many regions");
        *area =
            (area_t){.mem = mem, .size = size, .span = span, .options = o, .serial = ++m->serial};
        m->n_regions++;
#if EA_CFG_ALLOC_MOVABLE
        model_begin_store(m, area);
#endif
        MUST(m, ea_allocator_add_region(&m->a, mem + 40, 500, NULL) != EA_OK, "regions overlap");
        return;
    }
    MUST(m, status == (m->n_regions == EA_CFG_ALLOC_REGIONS ? EA_ERR_RANGE : EA_ERR_INVALID),
         "a region is refused for another reason");
    MUST(m, status == EA_ERR_RANGE || size < 1500, "a region is refused"); /* quick lists: 1 KB */
    free(mem);
}

static area_t *any_area(model_t *m)
{
    uint32_t from = draw(m, N_AREAS);
    for (uint32_t i = 0; i < N_AREAS; i++) {
        area_t *area = &m->areas[(from + i) % N_AREAS];
        if (area->mem != NULL) return area;
    }
    return NULL;
}

static size_t blocks_in(model_t *m, const area_t *area)
{
    size_t n = 0;
    for (uint32_t i = 0; i < N_BLOCKS; i++)
        n += m->blocks[i].ptr != NULL && area_of(m, m->blocks[i].ptr) == area;
#if EA_CFG_ALLOC_MOVABLE
    n += model_movables_in(m, area);
#endif
    return n;
}

static void step_remove_region(model_t *m)
{
    area_t *area = any_area(m);
    size_t n = 0;
    if (area == NULL) return;
    size_t inner = 0, n_own = blocks_in(m, area);
#if EA_CFG_ALLOC_POOLS && EAI_TAGGED
    inner = m->has_pools && area_of(m, m->a.eai_pool_tags) == area;
#endif
    ea_status_t status = ea_allocator_remove_region(&m->a, area->mem, &n);
    MUST(m, n == n_own + inner, "a region's live blocks are miscounted");
    MUST(m, status == (n == 0 ? EA_OK : EA_ERR_BUSY), "removing a region answers otherwise");
    if (status != EA_OK) return;
    free(area->mem);
    *area = (area_t){.mem = NULL};
    m->n_regions--;
}

static void step_move_end(model_t *m)
{
    area_t *area = any_area(m);
    if (area == NULL) return;
    size_t to = draw(m, (uint32_t)area->span + 200);
    bool grows = draw(m, 2);
    ea_status_t status = grows ? ea_allocator_grow_region(&m->a, area->mem, to)
                               : ea_allocator_shrink_region(&m->a, area->mem, to);
    if (status != EA_OK) {
        if (grows && to >= area->size + EA_HEAP_MIN_BLOCK_BYTES + EA_HEAP_ALIGN && to <= area->span)
            model_complain(m, "a region did not grow");
        return;
    }
    MUST(m, store_in(area) == NULL, "the end of a region of movable blocks moved");
    MUST(m, grows ? to > area->size : to < area->size, "a region's end moved the wrong way");
    MUST(m, to <= area->span, "a region grew beyond its span");
    area->size = to;
}

static void step_pools(model_t *m)
{
#if EA_CFG_ALLOC_POOLS
    ea_poolset_class_t classes[3];
    uint32_t n = 1 + draw(m, 3), size = 0;
    ea_status_t status = ea_allocator_set_pools(&m->a, NULL);
    size_t n_live = 0;
    for (uint32_t i = 0; i < N_BLOCKS; i++)
        n_live += m->blocks[i].ptr != NULL && m->blocks[i].in_pool;
    if (EA_CFG_POOL_STATS || EA_CFG_POOL_VALIDATE)
        MUST(m, status == (n_live ? EA_ERR_BUSY : EA_OK), "giving pools up answers otherwise");
    else if (n_live)
        abort(); /* not drawn there */
    if (status != EA_OK) return;
    if (m->has_pools) {
        MUST(m, ea_poolset_deinit(&m->set, NULL) == EA_OK, "the pools are still in use");
        free(m->set_memory);
    }
    m->has_pools = false;
    if (draw(m, 3) == 0) return;
    for (uint32_t i = 0; i < n; i++) {
        size += EA_HEAP_ALIGN * (1 + draw(m, 6));
        classes[i] = (ea_poolset_class_t){size, 1 + draw(m, 8)};
    }
    ea_poolset_options_t o = {.strategy = draw(m, 2) ? EA_POOLSET_NEXT_LARGER : 0};
    size_t bytes = ea_poolset_bytes(classes, n);
    m->set_memory = malloc(bytes);
    if (m->set_memory == NULL ||
        ea_poolset_init(&m->set, m->set_memory, bytes, classes, n, &o) != EA_OK) {
        model_complain(m, "no pools");
        return;
    }
    status = ea_allocator_set_pools(&m->a, &m->set);
    if (status != EA_OK) {
        MUST(m, status == EA_ERR_NO_MEMORY && EAI_TAGGED, "pools are refused");
        (void)ea_poolset_deinit(&m->set, NULL);
        free(m->set_memory);
        return;
    }
    m->has_pools = true;
#if EAI_TAGGED
    /* The handler may have given a block up for the tags. */
    if (m->offered != NULL && m->offered->ptr == m->a.eai_pool_tags) m->offered->ptr = NULL;
#endif
#else
    (void)m;
#endif
}

/* --- the chain -------------------------------------------------------------------------------- */

static void step_chain(model_t *m)
{
    switch (draw(m, 4)) {
#if EA_CFG_ALLOC_RESERVE
    case 0: {
        ea_status_t status = ea_allocator_set_reserve(&m->a, draw(m, 2) ? draw(m, 600) : 0);
        (void)status;
        break;
    }
#endif
#if EA_CFG_ALLOC_RECLAIM
    case 1: {
        uint32_t i = draw(m, N_RECLAIMERS);
        ea_reclaimer_t *r = &m->reclaimers[i];
        if (m->is_reclaiming[i]) {
            MUST(m, ea_allocator_remove_reclaimer(&m->a, r) == EA_OK, "a reclaimer stays");
            m->is_reclaiming[i] = false;
            break;
        }
        *r = (ea_reclaimer_t){.reclaim = reclaim, .context = m, .cost = draw(m, 2)};
        MUST(m, ea_allocator_add_reclaimer(&m->a, r) == EA_OK, "a reclaimer is refused");
        m->is_reclaiming[i] = true;
        break;
    }
    case 2: ea_allocator_set_compact(&m->a, draw(m, 2) ? compact : NULL, m); break;
#endif
#if EA_CFG_ALLOC_HANDLER
    case 3: ea_allocator_set_handler(&m->a, draw(m, 2) ? handle : NULL, m); break;
#endif
    default: break;
    }
#if EA_CFG_GUARD_SAMPLED
    ea_allocator_set_sampling(&m->a, draw(m, 4));
#endif
}

/* --- looking ---------------------------------------------------------------------------------- */

static void sweep(model_t *m)
{
    ea_allocator_cursor_t cursor = {0};
    ea_status_t status;
    end_walk(m);
    do status = ea_allocator_sweep(&m->a, &cursor, 1 + draw(m, 40));
    while (status == EA_ERR_AGAIN);
    MUST(m, status == EA_OK, "a sweep finds damage");
}

static void visit(void *context, const ea_block_info_t *info)
{
    model_t *m = context;
    for (uint32_t i = 0; i < N_BLOCKS; i++) {
        block_t *b = &m->blocks[i];
        if (b->ptr != info->block) continue;
        MUST(m, !b->seen || b->born >= m->walk_began, "a walk visits a block twice");
        MUST(m, info->owner == b->owner && info->usable_bytes == b->usable,
             "a walk tells something else");
        b->seen = true;
        return;
    }
    model_complain(m, "a walk visits what is no live block");
}

/* A few blocks further; other operations happen in between. */
static void step_walk(model_t *m)
{
    if (!m->is_walking) {
        m->walk = (ea_allocator_cursor_t){0};
        m->is_walking = true;
        m->walk_began = m->step;
        for (uint32_t i = 0; i < N_BLOCKS; i++) m->blocks[i].seen = false;
    }
    if (!EAI_TAGGED) (void)ea_allocator_poll(&m->a, SIZE_MAX); /* nobody tells them apart */
    ea_status_t status = ea_allocator_walk(&m->a, 0, &m->walk, 1 + draw(m, 20), visit, m);
    MUST(m, status == EA_OK || status == EA_ERR_AGAIN, "a walk answers otherwise");
    if (status != EA_OK) return;
    m->is_walking = false;
    for (uint32_t i = 0; i < N_BLOCKS; i++) {
        const block_t *b = &m->blocks[i];
        if (b->in_pool && !EA_CFG_POOL_VALIDATE) continue;
        MUST(m, b->ptr == NULL || b->seen || b->born >= m->walk_began, "a walk misses a block");
    }
}

static void verify(model_t *m)
{
    ea_allocator_stats_t stats;
    size_t n_live = 0, gross = 0, total = 0, free_bytes = 0;
    for (uint32_t i = 0; i < N_BLOCKS; i++) {
        const block_t *b = &m->blocks[i];
        if (b->ptr == NULL) continue;
        n_live++;
        gross += b->gross;
        MUST(m, is_intact(b, b->size), "contents changed");
    }
#if EA_CFG_ALLOC_MOVABLE
    model_verify_movables(m, &n_live, &gross);
#endif
    ea_allocator_stats(&m->a, &stats);
    if (EA_CFG_HEAP_STATS && (EA_CFG_POOL_STATS || !EA_CFG_ALLOC_POOLS))
        MUST(m, stats.n_live == n_live, "the number of live blocks differs");
    MUST(m, stats.n_regions == m->n_regions, "the number of regions differs");
    MUST(m, stats.free_bytes <= stats.total_bytes && stats.min_free_bytes <= stats.free_bytes,
         "the bytes do not add up");
    for (uint32_t i = 0; i < N_AREAS; i++) {
        ea_heap_stats_t one;
        if (m->areas[i].mem == NULL) continue;
        if (ea_allocator_region_stats(&m->a, m->areas[i].mem, &one) != EA_OK)
            model_complain(m, "no region");
        total += one.total_bytes;
        free_bytes += one.free_bytes;
    }
    for (uint32_t i = 0; i < EA_CFG_ALLOC_REGIONS && m->step % 8 == 0; i++) {
        const ea_heap_t *heap = m->a.eai_slots[i].eai_heap;
        if (heap != NULL) MUST(m, ea_heap_check(heap, NULL) == EA_OK, "a heap is damaged");
    }
#if EA_CFG_ALLOC_POOLS
    if (m->has_pools) {
        ea_poolset_stats_t pools;
        ea_poolset_stats(&m->set, &pools);
        total += pools.total_bytes;
        free_bytes += pools.total_bytes - pools.live_bytes;
    }
#endif
    MUST(m, stats.total_bytes == total && stats.free_bytes == free_bytes, "the sums differ");
#if EA_CFG_ALLOC_PRESSURE
#if EA_CFG_ALLOC_POOLS && EAI_TAGGED
    if (m->has_pools) {
        ea_block_info_t info;
        MUST(m, ea_block_info(&m->a, m->a.eai_pool_tags, &info) == EA_OK, "the tags are gone");
        gross += info.usable_bytes + EAI_FRONT_BYTES + overhead_in(area_of(m, m->a.eai_pool_tags));
    }
#endif
    MUST(m, m->a.eai_used_bytes == gross, "the bytes in use differ");
    MUST(m, m->a.eai_total_bytes == stats.total_bytes, "the bytes there are differ");
#endif
#if EAI_ALLOC_OWNERS
    for (uint32_t k = 0; k < N_OWNERS; k++) {
        ea_account_stats_t of;
        size_t own = 0;
        ea_account_stats(m->owners[k], &of);
        for (uint32_t i = 0; i < N_BLOCKS; i++)
            if (m->blocks[i].ptr != NULL && m->blocks[i].owner == of.id) own += m->blocks[i].gross;
#if EA_CFG_ALLOC_MOVABLE
        own += model_charged_for_movables(m, of.id);
#endif
        MUST(m, of.own == own, "an owner is charged something else than its blocks");
        MUST(m, of.used <= of.limits.max, "a limit is exceeded");
    }
    if (m->step % 8 == 0)
        MUST(m, ea_accounts_check(&m->book, NULL) == EA_OK, "the accounts are damaged");
#endif
}

/* --- a run ------------------------------------------------------------------------------------ */

static void step(model_t *m)
{
    m->offered = NULL;
    m->asked = false;
    look_at_areas(m);
    switch (draw(m, 32)) {
#if EA_CFG_ALLOC_MOVABLE
    case 12:
    case 14:
    case 18:
    case 20:
    case 23:
    case 24:
    case 25:
    case 26:
    case 27:
    case 28: model_step_movable(m); break;
#else
    case 12:
    case 14: step_realloc(m); break;
    case 18:
    case 20: step_free(m); break;
#endif
    case 0: step_add_region(m); break;
    case 1: step_remove_region(m); break;
    case 2: step_move_end(m); break;
    case 3: step_pools(m); break;
    case 4: step_chain(m); break;
    case 5: sweep(m); break;
    case 6: step_walk(m); break;
    case 7: step_transfer(m); break;
    case 8:
        if (draw(m, 4) == 0) step_free_all(m);
        break;
    case 9: step_wrong(m); break;
    case 10: (void)ea_allocator_poll(&m->a, draw(m, 4)); break;
    case 11: step_invalid(m); break;
    case 13:
    case 15:
    case 16: step_realloc(m); break;
    case 17:
    case 19:
    case 21:
    case 22: step_free(m); break;
    default: step_alloc(m); break;
    }
}

static bool begin(model_t *m)
{
    ea_allocator_options_t o = {.secret = (uintptr_t)draw(m, 65536) * 40503u};
#if EAI_ALLOC_OWNERS
    const ea_account_limits_t all = {.max = draw(m, 2) ? 3000 + draw(m, 20000) : 0};
    if (ea_accounts_init(&m->book, m->nodes, N_OWNERS + 1, &all) != EA_OK) return false;
    for (uint32_t i = 0; i < N_OWNERS; i++) {
        ea_account_options_t options = {.batch = draw(m, 4) == 0 ? draw(m, 300) : 0,
                                        .priority = draw(m, 4) == 0 ? 200 : 0};
        if (draw(m, 2)) options.limits.max = 500 + draw(m, 4000);
        ea_account_t *parent = i > 0 && draw(m, 2) ? m->owners[i - 1] : ea_accounts_root(&m->book);
        m->owners[i] = ea_account_create(&m->book, parent, &options);
        if (m->owners[i] == NULL) return false;
    }
    o.accounts = &m->book;
    m->default_owner = o.owner = draw(m, 2) ? m->owners[0] : NULL;
    m->strict = o.strict_owner = draw(m, 2);
#endif
#if EA_CFG_GUARD >= 3
    o.quarantine_bytes = draw(m, 3) * 700;
#endif
#if EA_CFG_ALLOC_LOCKING == 3
    memset(lock_objects, 0, sizeof lock_objects);
    n_held = 0;
    o.lock_ops = &lock_ops;
    o.lock = &lock_objects[N_AREAS];
#endif
    return ea_allocator_init(&m->a, &o) == EA_OK;
}

static void end(model_t *m)
{
    size_t n = 0;
    end_walk(m);
#if EA_CFG_ALLOC_HANDLER
    ea_allocator_set_handler(&m->a, NULL, NULL);
#endif
    for (uint32_t i = 0; i < N_BLOCKS; i++) {
        if (m->blocks[i].ptr == NULL) continue;
        MUST(m, ea_allocator_deinit(&m->a, &n) == EA_ERR_BUSY, "deinit with live blocks");
        verify(m);
        MUST(m, ea_free(&m->a, m->blocks[i].ptr) == EA_OK, "not freed at the end");
        m->blocks[i].ptr = NULL;
    }
#if EA_CFG_ALLOC_MOVABLE
    model_end_movables(m);
#endif
    sweep(m);
    verify(m);
    MUST(m, ea_allocator_deinit(&m->a, &n) == EA_OK && n == 0, "deinit is refused");
#if EAI_ALLOC_OWNERS
    for (uint32_t i = N_OWNERS; i-- > 0;)
        MUST(m, ea_account_delete(m->owners[i]) == EA_OK, "an owner still owes something");
#endif
}

const char *allocator_model_run(allocator_model_draw_t *draw_function, void *context,
                                unsigned n_steps, unsigned *n_steps_done)
{
    model_t *m = calloc(1, sizeof *m);
    if (m == NULL) return "out of memory";
    m->draw = draw_function;
    m->context = context;
    if (!begin(m)) model_complain(m, "init is refused");
    for (m->step = 1; m->complaint == NULL && m->step <= n_steps; m->step++) {
        step(m);
        if (m->complaint == NULL) verify(m);
    }
    if (n_steps_done != NULL) *n_steps_done = m->step;
    if (m->complaint == NULL) end(m);
    const char *complaint = m->complaint;
#if EA_CFG_ALLOC_POOLS
    if (m->has_pools) free(m->set_memory);
#endif
    for (uint32_t i = 0; i < N_AREAS; i++) free(m->areas[i].mem);
    free(m);
    return complaint;
}
