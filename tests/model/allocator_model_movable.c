/* SPDX-License-Identifier: MIT
 *
 * The allocator's model: regions of movable blocks. Of each movable block the model knows its
 * bytes, whose it is, how often it is locked and where it was seen last; of each region what a walk
 * says, from which follows what a request must get there.
 */
#include "allocator_model_internal.h"

#if EA_CFG_ALLOC_MOVABLE
#if EAI_ALLOC_OWNERS
#include "ealloc/owner.h"
#endif

/* --- blocks ----------------------------------------------------------------------------------- */

static bool is_live(const movable_t *b)
{
    return !ea_movable_is_none(b->handle);
}

static movable_t *any_movable(model_t *m)
{
    uint32_t from = draw(m, N_MOVABLES);
    for (uint32_t i = 0; i < N_MOVABLES; i++) {
        movable_t *b = &m->movables[(from + i) % N_MOVABLES];
        if (is_live(b)) return b;
    }
    return NULL;
}

static movable_t *empty_movable(model_t *m)
{
    for (uint32_t i = 0; i < N_MOVABLES; i++)
        if (!is_live(&m->movables[i])) return &m->movables[i];
    return NULL;
}

static size_t gross_of(size_t size)
{
    size_t rounded = (size + EA_MOVABLE_ALIGN - 1) / EA_MOVABLE_ALIGN * EA_MOVABLE_ALIGN;
    return (rounded ? rounded : EA_MOVABLE_ALIGN) + EA_MOVABLE_HEADER_BYTES;
}

static bool are_right(const movable_t *b, const unsigned char *bytes, size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != (uint8_t)(b->fill + (from + i) * 3)) return false;
    return true;
}

static void fill(const movable_t *b, unsigned char *bytes, size_t from)
{
    for (size_t i = from; i < b->size; i++) bytes[i] = (uint8_t)(b->fill + i * 3);
}

static void learn(model_t *m, movable_t *b, area_t *area, ea_movable_handle_t handle, size_t size)
{
    for (uint32_t i = 0; i < N_MOVABLES; i++)
        MUST(m, m->movables[i].area != area || m->movables[i].handle.eai_word != handle.eai_word,
             "a handle was given twice");
    *b = (movable_t){.handle = handle, .area = area, .size = size, .gross = gross_of(size)};
    b->fill = ++m->next_fill;
    MUST(m, ea_movable_size_bytes(area->store, handle) + EA_MOVABLE_HEADER_BYTES == b->gross,
         "a movable block has another size");
    unsigned char *bytes = ea_movable_lock(area->store, handle);
    if (bytes == NULL) {
        model_complain(m, "a new movable block cannot be locked");
        return;
    }
    MUST(m, bytes >= area->mem && bytes + size <= area->mem + area->size,
         "a movable block leaves its region");
    b->home = bytes;
    fill(b, bytes, 0);
    MUST(m, ea_movable_unlock(area->store, handle) == EA_OK, "a movable block stays locked");
}

size_t model_movables_in(const model_t *m, const area_t *area)
{
    size_t n = 0;
    for (uint32_t i = 0; i < N_MOVABLES; i++)
        n += is_live(&m->movables[i]) && m->movables[i].area == area;
    return n;
}

size_t model_charged_for_movables(const model_t *m, uint16_t owner)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < N_MOVABLES; i++)
        if (is_live(&m->movables[i]) && m->movables[i].owner == owner)
            bytes += m->movables[i].gross;
    return bytes;
}

/* --- regions ---------------------------------------------------------------------------------- */

void model_draw_store(model_t *m, ea_region_options_t *options)
{
    const size_t budgets[] = {0, 40 + draw(m, 600), EA_MOVABLE_UNLIMITED, EA_MOVABLE_UNLIMITED};
    options->line_bytes = options->reserve_bytes = options->span_bytes = 0;
    options->n_handles = 1 + draw(m, 48);
    options->move_bytes = budgets[draw(m, 4)];
}

#if EA_CFG_MOVABLE_RELOCATE
/* It is told of a live block that nobody holds, where it was, and its bytes are there. */
static void relocate(void *context, ea_movable_handle_t handle, void *from, void *to,
                     size_t size_bytes)
{
    model_t *m = context;
    for (uint32_t i = 0; i < N_MOVABLES; i++) {
        movable_t *b = &m->movables[i];
        if (b->handle.eai_word != handle.eai_word || b->home != from) continue;
        MUST(m, b->n_locks == 0, "a locked block was relocated");
        MUST(m, size_bytes >= b->size && are_right(b, to, 0, b->size), "bytes when relocated");
        MUST(m, ea_movable_lock(b->area->store, handle) == NULL, "locked when relocated");
        b->home = to;
        return;
    }
    model_complain(m, "another block was relocated");
}
#endif

void model_begin_store(model_t *m, area_t *area)
{
    if (m->stale_area == area) m->stale_area = NULL;
    area->store = ea_allocator_store(&m->a, area->mem);
    MUST(m, (area->store != NULL) == (area->options.n_handles != 0), "a region is of another kind");
#if EA_CFG_MOVABLE_RELOCATE
    if (area->store != NULL && draw(m, 2)) ea_movable_set_relocate(area->store, relocate, m);
#endif
}

void model_look_at_store(area_t *area)
{
    size_t position = 0, hole = 0, run = 0;
    ea_movable_block_t block;
    area->high_bytes = area->run_bytes = 0;
    while (ea_movable_walk(area->store, &position, &block)) {
        bool stays = block.is_fixed || block.n_locks != 0;
        if (block.is_fixed && hole > area->high_bytes) area->high_bytes = hole;
        hole = stays || !ea_movable_is_none(block.handle)
                   ? 0
                   : block.size_bytes + EA_MOVABLE_HEADER_BYTES;
        run = stays ? 0 : run + hole;
        if (run > area->run_bytes) area->run_bytes = run;
    }
    if (hole > area->high_bytes) area->high_bytes = hole;
}

size_t model_most_fixed(const wish_t *w)
{
    size_t size = w->size < EAI_LEAST_BYTES ? EAI_LEAST_BYTES : w->size;
    size_t alignment = w->alignment > EA_HEAP_ALIGN ? w->alignment : EA_HEAP_ALIGN;
    size += EAI_FRONT_BYTES + EAI_BACK_BYTES;
    if (size < EAI_FRONT_BYTES + EAI_DEFERRED_BYTES) size = EAI_FRONT_BYTES + EAI_DEFERRED_BYTES;
    return gross_of(size) + alignment;
}

static area_t *any_store(model_t *m)
{
    uint32_t from = draw(m, N_AREAS);
    for (uint32_t i = 0; i < N_AREAS; i++) {
        area_t *area = &m->areas[(from + i) % N_AREAS];
        if (area->mem != NULL && area->store != NULL) return area;
    }
    return NULL;
}

/* --- operations ------------------------------------------------------------------------------- */

static void check_refusal(model_t *m, area_t *area, const wish_t *w)
{
    const size_t need = gross_of(w->size);
    ea_movable_stats_t stats;
    ea_movable_stats(area->store, &stats);
    MUST(m, ea_movable_last_refusal(area->store) != EA_OK || m->asked || stats.n_failures == 0,
         "a store refused without a reason");
#if EAI_ALLOC_OWNERS
    if (model_is_tight(w)) return;
#endif
#if EA_CFG_ALLOC_REPORT
    ea_failure_t f;
    ea_allocator_last_failure(&m->a, &f);
    MUST(m, f.sequence != 0 && f.reason != EA_REASON_NONE && f.reason != EA_REASON_INVALID,
         "a movable block is refused without a reason");
    MUST(m, f.reason != EA_REASON_OVER_LIMIT, "refused for a limit that has room");
    MUST(m, f.size_bytes == w->size, "another request is told of");
#endif
    if (stats.n_live == stats.n_handles) return;
    model_look_at_store(area);
    /* Holes of one bin are not all looked at. */
    MUST(m, stats.largest_bytes < need + need / 4 + 64, "refused though a hole has room");
    if (area->options.move_bytes == EA_MOVABLE_UNLIMITED)
        MUST(m, area->run_bytes < need, "refused though moving would make room");
}

static void draw_request(model_t *m, wish_t *w, ea_request_t *request)
{
    *request = (ea_request_t){0};
    if (draw(m, 8) == 0) request->priority = (uint8_t)(1 + draw(m, 255));
    if (draw(m, 16) == 0) request->timeout_us = 1;
    if (draw(m, 4) == 0) { /* what does not matter */
        request->alignment_bytes = draw(m, 100);
        request->capabilities = draw(m, 16);
        request->policy = (ea_policy_t)draw(m, 6);
    }
#if EAI_ALLOC_OWNERS
    w->owner = m->default_owner;
    if (draw(m, 2)) w->owner = request->owner = m->owners[draw(m, N_OWNERS)];
#endif
    (void)w;
}

static void alloc(model_t *m)
{
    area_t *area = any_store(m);
    wish_t w = {0};
    ea_request_t request;
    if (area == NULL || empty_movable(m) == NULL) return;
    switch (draw(m, 8)) {
    case 0: w.size = draw(m, 4000); break;
    case 1: w.size = draw(m, 4); break;
    default: w.size = 1 + draw(m, 400); break;
    }
    draw_request(m, &w, &request);
    ea_movable_handle_t handle = ea_malloc_movable(&m->a, area->store, w.size, &request);
    if (ea_movable_is_none(handle)) {
        check_refusal(m, area, &w);
        return;
    }
    movable_t *b = empty_movable(m);
    if (b == NULL) { /* a callback took the last place in the list */
        MUST(m, ea_free_movable(&m->a, area->store, handle) == EA_OK, "a movable block stays");
        return;
    }
    learn(m, b, area, handle, w.size);
#if EAI_ALLOC_OWNERS
    b->owner = w.owner ? ea_account_id(w.owner) : 0;
#endif
}

void model_try_movable(model_t *m)
{
    area_t *area = any_store(m);
    movable_t *b = empty_movable(m);
    size_t size = draw(m, 300);
    if (area == NULL || b == NULL) return;
    ea_movable_handle_t handle = ea_malloc_movable(&m->a, area->store, size, NULL);
    if (ea_movable_is_none(handle)) return;
    learn(m, b, area, handle, size);
#if EAI_ALLOC_OWNERS
    const ea_account_t *current = ea_owner_current();
    const ea_account_t *owner = current ? current : m->default_owner;
    b->owner = owner ? ea_account_id(owner) : 0;
#endif
}

/* Its answer, if it is not the block's state that decides. */
static ea_status_t free_one(model_t *m, movable_t *b)
{
    ea_status_t expected = b->n_locks ? EA_ERR_BUSY : EA_OK;
#if EAI_ALLOC_OWNERS
    const ea_account_t *current = ea_owner_current();
    if (m->strict && current && b->owner && b->owner != ea_account_id(current) &&
        b->n_locks < EA_MOVABLE_MAX_LOCKS)
        expected = EA_ERR_NOT_OWNER;
#endif
    ea_status_t status = ea_free_movable(&m->a, b->area->store, b->handle);
    MUST(m, status == expected, "freeing a movable block answers otherwise");
    if (status != EA_OK) return status;
    m->stale = b->handle;
    m->stale_area = b->area;
    b->handle = (ea_movable_handle_t){0};
    return EA_OK;
}

size_t model_drop_movable(model_t *m)
{
    movable_t *b = any_movable(m);
    return b != NULL && free_one(m, b) == EA_OK ? b->gross : 0;
}

static void drop(model_t *m)
{
    movable_t *b = any_movable(m);
    if (b == NULL) return;
#if EAI_ALLOC_OWNERS
    ea_owner_frame_t frame;
    ea_owner_push(&frame, draw(m, 4) == 0 ? m->owners[draw(m, N_OWNERS)] : NULL);
#endif
    (void)free_one(m, b);
#if EAI_ALLOC_OWNERS
    (void)ea_owner_pop(&frame);
#endif
}

static void resize(model_t *m)
{
    movable_t *b = any_movable(m);
    size_t size = draw(m, 8) ? draw(m, 500) : draw(m, 8) ? draw(m, 5000) : SIZE_MAX - draw(m, 9);
    if (b == NULL) return;
    size_t had = b->size, gross = size > SIZE_MAX / 2 ? SIZE_MAX / 2 : gross_of(size);
    ea_status_t status = ea_resize_movable(&m->a, b->area->store, b->handle, size);
    if (status != EA_OK) {
        MUST(m, gross > b->gross || b->n_locks == EA_MOVABLE_MAX_LOCKS, "a block cannot shrink");
#if EAI_ALLOC_OWNERS
        wish_t w = {.size = gross - b->gross};
        w.owner = b->owner ? ea_account_by_id(&m->book, b->owner) : NULL;
        MUST(m, status != EA_ERR_LIMIT || size > SIZE_MAX / 2 || model_is_tight(&w),
             "a limit refuses that has room");
#endif
        MUST(m, status != EA_ERR_AGAIN || b->area->options.move_bytes != EA_MOVABLE_UNLIMITED,
             "again, unlimited");
        MUST(m, status != EA_ERR_NOT_FOUND && status != EA_ERR_CORRUPT,
             "a live block is not known");
        return; /* and its bytes are verified */
    }
    size_t kept = size < had ? size : had;
    b->gross = gross;
    if (b->n_locks) {
        MUST(m, are_right(b, b->address, 0, kept), "a locked block was resized and lost bytes");
        b->size = kept;
        return;
    }
    b->size = size;
    unsigned char *bytes = ea_movable_lock(b->area->store, b->handle);
    if (bytes == NULL || !are_right(b, bytes, 0, kept)) {
        model_complain(m, "resizing a movable block lost bytes");
        return;
    }
    fill(b, bytes, kept);
    MUST(m, ea_movable_unlock(b->area->store, b->handle) == EA_OK, "unlock after resize");
}

static void lock(model_t *m)
{
    movable_t *b = any_movable(m);
    if (b == NULL) return;
    const unsigned char *address = ea_movable_lock(b->area->store, b->handle);
    MUST(m, (address == NULL) == (b->n_locks == EA_MOVABLE_MAX_LOCKS), "lock answers otherwise");
    if (address == NULL) return;
    MUST(m, b->n_locks == 0 || address == b->address, "a locked block is elsewhere");
    b->address = address;
    b->n_locks++;
}

static void unlock(model_t *m)
{
    movable_t *b = any_movable(m);
    for (uint32_t i = 0; i < N_MOVABLES && b != NULL && b->n_locks == 0; i++) {
        movable_t *other = &m->movables[i];
        if (is_live(other) && other->n_locks) b = other;
    }
    if (b == NULL || b->n_locks == 0) return;
    MUST(m, ea_movable_unlock(b->area->store, b->handle) == EA_OK, "unlock answers otherwise");
    b->n_locks--;
}

static void read_and_write(model_t *m)
{
    movable_t *b = any_movable(m);
    unsigned char bytes[16];
    if (b == NULL || b->n_locks == EA_MOVABLE_MAX_LOCKS) return;
    size_t from = draw(m, (uint32_t)b->size + 1), n = draw(m, sizeof bytes + 1);
    if (n > b->size - from) n = b->size - from;
    MUST(m, ea_movable_read(b->area->store, b->handle, from, bytes, n) == EA_OK, "read");
    MUST(m, are_right(b, bytes, from, n), "what was read");
    MUST(m, ea_movable_write(b->area->store, b->handle, from, bytes, n) == EA_OK, "write");
    MUST(m, ea_movable_read(b->area->store, b->handle, b->gross, bytes, 1) == EA_ERR_RANGE,
         "read beyond a block");
}

/* Is there no hole left below a block that could slide? */
static bool is_slid_together(const area_t *area)
{
    size_t position = 0;
    bool hole = false;
    ea_movable_block_t block;
    while (ea_movable_walk(area->store, &position, &block)) {
        bool is_hole = !block.is_fixed && ea_movable_is_none(block.handle);
        if (hole && !is_hole && !block.is_fixed && block.n_locks == 0) return false;
        hole = is_hole;
    }
    return true;
}

static void step(model_t *m)
{
    size_t budget = draw(m, 4) ? draw(m, 400) : EA_MOVABLE_UNLIMITED;
    ea_status_t status = EA_ERR_AGAIN;
    const unsigned most = draw(m, 4) ? 1 + draw(m, 4) : 20;
    for (unsigned i = 0; i < most && status == EA_ERR_AGAIN; i++)
        status = ea_allocator_step(&m->a, budget);
    MUST(m, status == EA_OK || status == EA_ERR_AGAIN, "a step answers otherwise");
    MUST(m, status == EA_OK || most < 20 || budget != EA_MOVABLE_UNLIMITED, "steps have no end");
    if (status != EA_OK || budget != EA_MOVABLE_UNLIMITED) return;
    /* That sweep may have begun before blocks were freed; the next one has not. */
    for (unsigned i = 0; i < 1000 && (i == 0 || status == EA_ERR_AGAIN); i++)
        status = ea_allocator_step(&m->a, budget);
    MUST(m, status == EA_OK, "steps have no end");
    for (uint32_t i = 0; i < N_AREAS; i++)
        MUST(m, m->areas[i].store == NULL || is_slid_together(&m->areas[i]),
             "nothing to move is said, but there is");
}

/* Handles that name nothing, stores that are none of the allocator's, an address that is a movable
 * block's. */
static void misuse(model_t *m)
{
    const area_t *area = any_store(m);
    movable_t *b = any_movable(m);
    const ea_movable_handle_t none = {0};
    ea_movable_t *foreign = (ea_movable_t *)(void *)&m->a;
    MUST(m, ea_movable_is_none(ea_malloc_movable(&m->a, foreign, 8, NULL)), "a foreign store");
    MUST(m, ea_free_movable(&m->a, foreign, none) == EA_ERR_NOT_FOUND, "a foreign store frees");
    if (area == NULL) return;
    MUST(m, ea_free_movable(&m->a, area->store, none) == EA_ERR_NOT_FOUND, "none was freed");
    MUST(m, ea_resize_movable(&m->a, area->store, none, 8) == EA_ERR_NOT_FOUND, "none is resized");
    if (m->stale_area == area && !ea_movable_is_none(m->stale)) {
        MUST(m, ea_free_movable(&m->a, area->store, m->stale) == EA_ERR_NOT_FOUND, "freed twice");
        MUST(m, ea_resize_movable(&m->a, area->store, m->stale, 8) == EA_ERR_NOT_FOUND,
             "a stale handle is resized");
    }
    MUST(m, ea_movable_is_none(ea_malloc_movable(&m->a, area->store, SIZE_MAX, NULL)),
         "too much is a block");
    if (b != NULL && b->n_locks)
        MUST(m, ea_free(&m->a, (void *)(uintptr_t)b->address) != EA_OK,
             "a movable block is freed by its address");
}

void model_step_movable(model_t *m)
{
    switch (draw(m, 16)) {
    case 0:
    case 1:
    case 2: drop(m); break;
    case 3:
    case 4: resize(m); break;
    case 5: lock(m); break;
    case 6:
    case 7: unlock(m); break;
    case 8: step(m); break;
    case 9: read_and_write(m); break;
    case 10: misuse(m); break;
    default: alloc(m); break;
    }
}

/* --- looking ---------------------------------------------------------------------------------- */

static void verify_one(model_t *m, const movable_t *b)
{
    void *address = NULL;
    if (b->n_locks == EA_MOVABLE_MAX_LOCKS) {
        MUST(m, are_right(b, b->address, 0, b->size), "a locked block's bytes changed");
        return;
    }
    ea_status_t status = ea_movable_try_lock(b->area->store, b->handle, &address);
    /* In the middle of a move its bytes are in two places: it is verified when it has arrived. */
    if (status == EA_ERR_BUSY && b->n_locks == 0) return;
    if (status != EA_OK) {
        model_complain(m, "a live block cannot be locked");
        return;
    }
    MUST(m, b->n_locks == 0 || address == b->address, "a locked block moved");
    MUST(m, (uintptr_t)address % EA_MOVABLE_ALIGN == 0, "a movable block is not aligned");
    MUST(m, are_right(b, address, 0, b->size), "a movable block's bytes changed");
    MUST(m, ea_movable_unlock(b->area->store, b->handle) == EA_OK, "unlock when verified");
}

void model_verify_movables(model_t *m, size_t *n_live, size_t *gross)
{
    for (uint32_t i = 0; i < N_MOVABLES; i++) {
        const movable_t *b = &m->movables[i];
        if (!is_live(b)) continue;
        verify_one(m, b);
        *n_live += 1;
        *gross += b->gross;
    }
    for (uint32_t i = 0; i < N_AREAS; i++) {
        const area_t *area = &m->areas[i];
        if (area->mem == NULL || area->store == NULL) continue;
        ea_movable_stats_t stats;
        ea_heap_stats_t region;
        ea_movable_stats(area->store, &stats);
        MUST(m, stats.n_live == model_movables_in(m, area), "a store's live blocks are miscounted");
        MUST(m, ea_movable_check(area->store, NULL) == EA_OK, "a store is damaged");
        MUST(m,
             ea_allocator_region_stats(&m->a, area->mem, &region) == EA_OK &&
                 region.total_bytes == stats.total_bytes && region.free_bytes == stats.free_bytes &&
                 region.largest_free_bytes == stats.largest_bytes &&
                 region.n_live == (size_t)stats.n_live + stats.n_fixed,
             "a region of movable blocks says something else than its store");
    }
}

void model_end_movables(model_t *m)
{
    for (uint32_t i = 0; i < N_MOVABLES; i++) {
        movable_t *b = &m->movables[i];
        if (!is_live(b)) continue;
        MUST(m, ea_allocator_deinit(&m->a, NULL) == EA_ERR_BUSY, "deinit with movable blocks");
        while (b->n_locks) {
            MUST(m, ea_movable_unlock(b->area->store, b->handle) == EA_OK, "unlock at the end");
            b->n_locks--;
        }
        MUST(m, free_one(m, b) == EA_OK, "a movable block is not freed at the end");
        b->handle = (ea_movable_handle_t){0};
    }
}
#endif
