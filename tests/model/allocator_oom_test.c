/* SPDX-License-Identifier: MIT
 *
 * What happens when memory ends, in every path of the allocator:
 *
 *   - the Nth time that it asks a heap, a pool, a store of movable blocks or an account for
 *     something it is refused, once or from then on, for every N of a program that calls everything
 *     (the linker puts our functions in front of theirs); stores also for want of budget alone;
 *   - regions of every small size are filled by every call until it fails.
 *
 * Afterwards nothing is lost: contents stand, owners are charged for what lives, the reserve fills
 * up again, every refusal was told, and when all is free the allocator can be given up.
 */
#include <stdlib.h>
#include <string.h>

#include "ealloc/allocator.h"
#include "ealloc/owner.h"
#include "memory/guard.h"
#include "tap.h"

/* --- who refuses ------------------------------------------------------------------------------ */

static unsigned n_asked, refuse_at; /* 0: nobody refuses */
static bool for_ever;

static bool is_refused(void)
{
    n_asked++;
    return refuse_at != 0 && (for_ever ? n_asked >= refuse_at : n_asked == refuse_at);
}

void *__real_ea_heap_alloc(ea_heap_t *heap, size_t size_bytes);
void *__wrap_ea_heap_alloc(ea_heap_t *heap, size_t size_bytes);
void *__wrap_ea_heap_alloc(ea_heap_t *heap, size_t size_bytes)
{
    return is_refused() ? NULL : __real_ea_heap_alloc(heap, size_bytes);
}

void *__real_ea_heap_aligned_alloc_at(ea_heap_t *heap, size_t alignment, size_t offset,
                                      size_t size_bytes);
void *__wrap_ea_heap_aligned_alloc_at(ea_heap_t *heap, size_t alignment, size_t offset,
                                      size_t size_bytes);
void *__wrap_ea_heap_aligned_alloc_at(ea_heap_t *heap, size_t alignment, size_t offset,
                                      size_t size_bytes)
{
    return is_refused() ? NULL
                        : __real_ea_heap_aligned_alloc_at(heap, alignment, offset, size_bytes);
}

ea_status_t __real_ea_heap_realloc_begin_at(ea_heap_t *heap, void *ptr, size_t alignment,
                                            size_t offset, size_t size_bytes, ea_heap_move_t *move);
ea_status_t __wrap_ea_heap_realloc_begin_at(ea_heap_t *heap, void *ptr, size_t alignment,
                                            size_t offset, size_t size_bytes, ea_heap_move_t *move);
ea_status_t __wrap_ea_heap_realloc_begin_at(ea_heap_t *heap, void *ptr, size_t alignment,
                                            size_t offset, size_t size_bytes, ea_heap_move_t *move)
{
    if (is_refused()) return EA_ERR_NO_MEMORY;
    return __real_ea_heap_realloc_begin_at(heap, ptr, alignment, offset, size_bytes, move);
}

void *__real_ea_poolset_alloc_isr(ea_poolset_t *set, size_t size_bytes);
void *__wrap_ea_poolset_alloc_isr(ea_poolset_t *set, size_t size_bytes);
void *__wrap_ea_poolset_alloc_isr(ea_poolset_t *set, size_t size_bytes)
{
    return is_refused() ? NULL : __real_ea_poolset_alloc_isr(set, size_bytes);
}

ea_status_t __real_ea_account_charge(ea_account_t *account, size_t n, ea_account_t **refuser);
ea_status_t __wrap_ea_account_charge(ea_account_t *account, size_t n, ea_account_t **refuser);
ea_status_t __wrap_ea_account_charge(ea_account_t *account, size_t n, ea_account_t **refuser)
{
    if (!is_refused()) return __real_ea_account_charge(account, n, refuser);
    if (refuser) *refuser = account;
    return EA_ERR_LIMIT;
}

ea_status_t __real_ea_account_transfer(ea_account_t *from, ea_account_t *to, size_t n,
                                       ea_account_t **refuser);
ea_status_t __wrap_ea_account_transfer(ea_account_t *from, ea_account_t *to, size_t n,
                                       ea_account_t **refuser);
ea_status_t __wrap_ea_account_transfer(ea_account_t *from, ea_account_t *to, size_t n,
                                       ea_account_t **refuser)
{
    if (!is_refused()) return __real_ea_account_transfer(from, to, n, refuser);
    if (refuser) *refuser = to;
    return EA_ERR_LIMIT;
}

#if EA_CFG_ALLOC_MOVABLE
static bool refuses_budget; /* it is asked, but may move nothing */

ea_movable_handle_t __real_ea_movable_alloc(ea_movable_t *m, size_t size_bytes,
                                            size_t budget_bytes);
ea_movable_handle_t __wrap_ea_movable_alloc(ea_movable_t *m, size_t size_bytes,
                                            size_t budget_bytes);
ea_movable_handle_t __wrap_ea_movable_alloc(ea_movable_t *m, size_t size_bytes, size_t budget_bytes)
{
    if (!is_refused()) return __real_ea_movable_alloc(m, size_bytes, budget_bytes);
    return refuses_budget ? __real_ea_movable_alloc(m, size_bytes, 0) : (ea_movable_handle_t){0};
}

ea_status_t __real_ea_movable_resize(ea_movable_t *m, ea_movable_handle_t handle, size_t size_bytes,
                                     size_t budget_bytes);
ea_status_t __wrap_ea_movable_resize(ea_movable_t *m, ea_movable_handle_t handle, size_t size_bytes,
                                     size_t budget_bytes);
ea_status_t __wrap_ea_movable_resize(ea_movable_t *m, ea_movable_handle_t handle, size_t size_bytes,
                                     size_t budget_bytes)
{
    if (!is_refused()) return __real_ea_movable_resize(m, handle, size_bytes, budget_bytes);
    return refuses_budget ? __real_ea_movable_resize(m, handle, size_bytes, 0) : EA_ERR_NO_MEMORY;
}

void *__real_eai_movable_alloc_fixed_at(ea_movable_t *m, size_t size_bytes, size_t align_bytes,
                                        size_t offset_bytes, size_t budget_bytes);
void *__wrap_eai_movable_alloc_fixed_at(ea_movable_t *m, size_t size_bytes, size_t align_bytes,
                                        size_t offset_bytes, size_t budget_bytes);
void *__wrap_eai_movable_alloc_fixed_at(ea_movable_t *m, size_t size_bytes, size_t align_bytes,
                                        size_t offset_bytes, size_t budget_bytes)
{
    if (is_refused()) {
        if (!refuses_budget) return NULL;
        budget_bytes = 0;
    }
    return __real_eai_movable_alloc_fixed_at(m, size_bytes, align_bytes, offset_bytes,
                                             budget_bytes);
}
#endif

/* --- an allocator with everything ------------------------------------------------------------- */

#define N_BLOCKS 24u
#define RESERVE 300u

typedef struct {
    unsigned char *ptr;
    size_t size;
    uint8_t fill;
} block_t;

static ea_allocator_t a;
static block_t blocks[N_BLOCKS];
static unsigned char *memory[3];

#if EA_CFG_ALLOC_MOVABLE
#define N_MOVABLES 12u
#define STORE_BYTES 2400u
static ea_movable_t *store; /* in memory[2], if there is one */
static struct {
    ea_movable_handle_t handle;
    size_t size, gross;
    uint16_t owner;
} movables[N_MOVABLES];
static unsigned pinned;      /* the one that is locked; N_MOVABLES: none */
static unsigned n_callbacks; /* that changed something */
#endif

#if EA_CFG_ALLOC_REPORT
static ea_event_t ring[8];
static ea_events_t events;
static ea_listener_t listener;
static unsigned n_refusals, n_others;

static void note_event(void *context, const ea_event_t *event)
{
    (void)context;
    if (event->kind == EA_EVENT_OUT_OF_MEMORY)
        n_refusals++;
    else
        n_others++;
}
#endif

#if EAI_ALLOC_OWNERS
static ea_accounts_t book;
static ea_account_t nodes[4], *radio, *log_owner;
#endif

#if EA_CFG_ALLOC_POOLS
static ea_poolset_t pools;
static long long pool_memory[200];
#endif

static void verify_contents(void)
{
    for (unsigned i = 0; i < N_BLOCKS; i++)
        for (size_t k = 0; blocks[i].ptr != NULL && k < blocks[i].size; k++)
            if (blocks[i].ptr[k] != (uint8_t)(blocks[i].fill + k)) {
                EXPECT(!"contents changed");
                return;
            }
#if EA_CFG_ALLOC_MOVABLE
    for (unsigned i = 0; i < N_MOVABLES; i++) {
        if (ea_movable_is_none(movables[i].handle)) continue;
        unsigned char *bytes = ea_movable_lock(store, movables[i].handle);
        EXPECT(bytes != NULL);
        for (size_t k = 0; bytes != NULL && k < movables[i].size; k++)
            if (bytes[k] != (uint8_t)(i * 16 + k)) {
                EXPECT(!"contents of a movable block changed");
                return;
            }
        EXPECT_EQ(ea_movable_unlock(store, movables[i].handle), EA_OK);
    }
    if (store) EXPECT_EQ(ea_movable_check(store, NULL), EA_OK);
#endif
}

#if EAI_ALLOC_OWNERS
static size_t overhead_in(const void *region)
{
#if EA_CFG_ALLOC_MOVABLE
    if (region == memory[2]) return EA_MOVABLE_HEADER_BYTES;
#endif
    return (void)region, EA_HEAP_OVERHEAD_BYTES;
}

static void verify_charges(void)
{
    size_t own[2] = {0, 0};
    for (unsigned i = 0; i < N_BLOCKS; i++) {
        ea_block_info_t info;
        if (blocks[i].ptr == NULL) continue;
        EXPECT_EQ(ea_block_info(&a, blocks[i].ptr, &info), EA_OK);
        size_t gross = info.usable_bytes;
        if (info.region != NULL) gross += EAI_FRONT_BYTES + overhead_in(info.region);
        if (info.owner == ea_account_id(radio)) own[0] += gross;
        if (info.owner == ea_account_id(log_owner)) own[1] += gross;
    }
#if EA_CFG_ALLOC_MOVABLE
    for (unsigned i = 0; i < N_MOVABLES; i++) {
        if (ea_movable_is_none(movables[i].handle)) continue;
        if (movables[i].owner == ea_account_id(radio)) own[0] += movables[i].gross;
        if (movables[i].owner == ea_account_id(log_owner)) own[1] += movables[i].gross;
    }
#endif
    ea_account_stats_t stats;
    ea_account_stats(radio, &stats);
    EXPECT_EQ(stats.own, own[0]);
    ea_account_stats(log_owner, &stats);
    EXPECT_EQ(stats.own, own[1]);
    EXPECT_EQ(ea_accounts_check(&book, NULL), EA_OK);
}
#endif

static void verify(void)
{
    unsigned asked = n_asked;
    verify_contents();
#if EAI_ALLOC_OWNERS
    verify_charges();
#endif
#if EA_CFG_ALLOC_REPORT
    ea_allocator_stats_t stats;
    ea_allocator_stats(&a, &stats);
    EXPECT_EQ(stats.n_failures, n_refusals);
#endif
    n_asked = asked;
}

/* A block came, or not. */
static void keep(void *ptr, size_t size)
{
    unsigned i = 0;
    if (ptr != NULL) {
        while (blocks[i].ptr != NULL) i++; /* the program holds fewer than there are */
        blocks[i] = (block_t){ptr, size, (uint8_t)(i * 16)};
        for (size_t k = 0; k < size; k++) blocks[i].ptr[k] = (uint8_t)(blocks[i].fill + k);
    }
    verify();
}

static void resize(unsigned i, size_t alignment, size_t size)
{
    if (blocks[i].ptr == NULL) return;
    void *ptr = alignment ? ea_aligned_realloc(&a, blocks[i].ptr, alignment, size)
                          : ea_realloc(&a, blocks[i].ptr, size);
    if (ptr != NULL) {
        blocks[i].ptr = ptr;
        if (blocks[i].size > size) blocks[i].size = size;
        verify_contents();
        blocks[i].size = size;
        for (size_t k = 0; k < size; k++) blocks[i].ptr[k] = (uint8_t)(blocks[i].fill + k);
    }
    verify();
}

static void drop(unsigned i)
{
    if (blocks[i].ptr == NULL) return;
    EXPECT_EQ(ea_free(&a, blocks[i].ptr), EA_OK);
    blocks[i].ptr = NULL;
    verify();
}

#if EA_CFG_ALLOC_MOVABLE
/* What the store says, if nobody frees and nothing comes out of quarantine. */
typedef struct {
    unsigned n_callbacks;
    ea_movable_stats_t stats;
} snapshot_t;

static snapshot_t look_at_store(void)
{
    snapshot_t now = {n_callbacks, {0}};
    ea_movable_stats(store, &now.stats);
    return now;
}

static void expect_unchanged(const snapshot_t *before)
{
    snapshot_t now = look_at_store();
    if (now.n_callbacks != before->n_callbacks) return;
    EXPECT_EQ(now.stats.n_live, before->stats.n_live);
    if (EA_CFG_GUARD >= 3) return;
    EXPECT_EQ(now.stats.n_fixed, before->stats.n_fixed);
    EXPECT_EQ(now.stats.free_bytes, before->stats.free_bytes);
}

static void note_movable(unsigned i, size_t size, size_t from)
{
    movables[i].size = size;
    movables[i].gross = ea_movable_size_bytes(store, movables[i].handle) + EA_MOVABLE_HEADER_BYTES;
    EA_MOVABLE_LOCKED(store, movables[i].handle, unsigned char, bytes)
    {
        for (size_t k = from; bytes != NULL && k < size; k++) bytes[k] = (uint8_t)(i * 16 + k);
    }
}

/* Is it there? */
static bool make_movable(size_t size, const ea_request_t *request)
{
    unsigned i = 0;
    while (i < N_MOVABLES && !ea_movable_is_none(movables[i].handle)) i++;
    if (i == N_MOVABLES) return false;
    snapshot_t before = look_at_store();
    ea_movable_handle_t handle = ea_malloc_movable(&a, store, size, request);
    if (ea_movable_is_none(handle)) {
        expect_unchanged(&before);
        return false;
    }
    while (i < N_MOVABLES && !ea_movable_is_none(movables[i].handle)) i++; /* a handler's */
    if (i == N_MOVABLES) return ea_free_movable(&a, store, handle) != EA_OK;
    movables[i].handle = handle;
#if EAI_ALLOC_OWNERS
    movables[i].owner = ea_account_id(request && request->owner ? request->owner : log_owner);
#endif
    note_movable(i, size, 0);
    return true;
}

static void resize_movable(unsigned i, size_t size)
{
    if (ea_movable_is_none(movables[i].handle)) return;
    snapshot_t before = look_at_store();
    size_t had = movables[i].size;
    ea_status_t status = ea_resize_movable(&a, store, movables[i].handle, size);
    if (status != EA_OK) {
        EXPECT(status != EA_ERR_NOT_FOUND && status != EA_ERR_CORRUPT && status != EA_ERR_INVALID);
        expect_unchanged(&before);
    } else {
        if (had > size) movables[i].size = had = size;
        verify_contents();
        note_movable(i, size, had);
    }
    verify();
}

static void drop_movable(unsigned i)
{
    if (ea_movable_is_none(movables[i].handle)) return;
    ea_status_t status = ea_free_movable(&a, store, movables[i].handle);
    EXPECT_EQ(status, i == pinned ? EA_ERR_BUSY : EA_OK);
    if (status != EA_OK) return;
    movables[i].handle = (ea_movable_handle_t){0};
}
#endif

#if EA_CFG_ALLOC_RECLAIM
static unsigned next_given;
static size_t give_one(void *context, size_t wanted_bytes)
{
    (void)context, (void)wanted_bytes;
#if EA_CFG_ALLOC_MOVABLE
    if (store && next_given % 3 == 1) {
        n_callbacks++;
        drop_movable(next_given % N_MOVABLES);
    }
#endif
    if (next_given++ % 3 != 0 || blocks[N_BLOCKS - 1].ptr == NULL) return 0;
    size_t size = blocks[N_BLOCKS - 1].size;
    EXPECT_EQ(ea_free(&a, blocks[N_BLOCKS - 1].ptr), EA_OK);
    blocks[N_BLOCKS - 1].ptr = NULL;
#if EA_CFG_ALLOC_MOVABLE
    n_callbacks++;
#endif
    return size;
}
static ea_reclaimer_t reclaimer;
#endif

#if EA_CFG_ALLOC_HANDLER
static ea_handler_verdict_t handle(void *context, const ea_failure_t *failure, void **block)
{
    (void)context, (void)block;
#if EA_CFG_ALLOC_MOVABLE
    if (store && failure->sequence == 1) {
        n_callbacks++;
        drop_movable(0);
        (void)make_movable(10, NULL);
    }
#endif
    return failure->sequence < 2 ? EA_HANDLER_RETRY : EA_HANDLER_FAIL;
}
#endif

#if EA_CFG_ALLOC_LOCKING == 3
static void no_lock(void *lock)
{
    (void)lock;
}
static bool try_no_lock(void *lock)
{
    (void)lock;
    return true;
}
static const ea_lock_ops_t lock_ops = {no_lock, try_no_lock, no_lock};
#endif

static bool begin(size_t region_bytes)
{
    ea_allocator_options_t o = {.secret = 77};
    memset(blocks, 0, sizeof blocks);
    memset(memory, 0, sizeof memory);
#if EA_CFG_ALLOC_MOVABLE
    memset(movables, 0, sizeof movables);
    store = NULL;
    pinned = N_MOVABLES;
#endif
#if EA_CFG_ALLOC_REPORT
    memset(&listener, 0, sizeof listener);
    n_refusals = n_others = 0;
    if (ea_events_init(&events, ring, 8) != EA_OK ||
        ea_events_listen(&events, &listener, EA_EVENTS_ALL, note_event, NULL) != EA_OK)
        return false;
    o.events = &events;
#endif
#if EAI_ALLOC_OWNERS
    if (ea_accounts_init(&book, nodes, 4, NULL) != EA_OK) return false;
    radio = ea_account_create(&book, ea_accounts_root(&book),
                              &(ea_account_options_t){.limits = {.max = 1500}, .batch = 100});
    log_owner = ea_account_create(&book, ea_accounts_root(&book), NULL);
    if (!radio || !log_owner) return false;
    o.accounts = &book;
    o.owner = log_owner;
#endif
#if EA_CFG_GUARD >= 3
    o.quarantine_bytes = 400;
#endif
#if EA_CFG_ALLOC_LOCKING == 3
    o.lock_ops = &lock_ops;
    o.lock = &a;
#endif
    const ea_region_options_t dma = {.capabilities = EA_CAP_DMA, .span_bytes = region_bytes};
    for (unsigned i = 0; i < 2; i++) {
        memory[i] = malloc(region_bytes);
        if (memory[i] == NULL) return false;
    }
    return ea_allocator_init(&a, &o) == EA_OK &&
           ea_allocator_add_region(&a, memory[0], region_bytes, NULL) == EA_OK &&
           (EA_CFG_ALLOC_REGIONS < 2 || region_bytes < 1500 ||
            ea_allocator_add_region(&a, memory[1], region_bytes - 500, &dma) == EA_OK);
}

#if EA_CFG_ALLOC_MOVABLE
/* Beside the heaps, and asked before them. */
static bool add_store(size_t move_bytes)
{
    const ea_region_options_t movable = {.n_handles = N_MOVABLES,
                                         .move_bytes = move_bytes,
                                         .priority = 1,
                                         .capabilities = EA_CAP_EXTERNAL};
    memory[2] = malloc(STORE_BYTES);
    if (memory[2] == NULL || ea_allocator_add_region(&a, memory[2], STORE_BYTES, &movable) != EA_OK)
        return false;
    store = ea_allocator_store(&a, memory[2]);
    return store != NULL;
}
#endif

static void end(void)
{
    size_t n = 0;
    ea_allocator_cursor_t cursor = {0};
    ea_status_t status;
    refuse_at = 0;
    for (unsigned i = 0; i < N_BLOCKS; i++) drop(i);
#if EA_CFG_ALLOC_MOVABLE
    for (unsigned i = 0; i < N_MOVABLES; i++) drop_movable(i);
    verify();
#endif
#if EA_CFG_ALLOC_RESERVE
    ea_allocator_stats_t stats;
    (void)ea_allocator_set_reserve(&a, 0);
    ea_allocator_stats(&a, &stats);
    EXPECT_EQ(stats.reserve_bytes, 0);
#endif
    do status = ea_allocator_sweep(&a, &cursor, 100);
    while (status == EA_ERR_AGAIN);
    EXPECT_EQ(status, EA_OK);
    EXPECT_EQ(ea_allocator_deinit(&a, &n), EA_OK);
    EXPECT_EQ(n, 0);
#if EAI_ALLOC_OWNERS
    EXPECT_EQ(ea_account_delete(radio), EA_OK);
    EXPECT_EQ(ea_account_delete(log_owner), EA_OK);
#endif
    for (unsigned i = 0; i < 3; i++) free(memory[i]);
}

/* --- a program that calls everything ---------------------------------------------------------- */

static void use_pools(void)
{
#if EA_CFG_ALLOC_POOLS
    static const ea_poolset_class_t classes[] = {{32, 3}, {64, 2}};
    REQUIRE(ea_poolset_init(&pools, pool_memory, sizeof pool_memory, classes, 2, NULL) == EA_OK);
    ea_status_t status = ea_allocator_set_pools(&a, &pools);
    EXPECT(status == EA_OK || status == EA_ERR_NO_MEMORY);
    verify();
#endif
}

static void use_owners(void)
{
#if EAI_ALLOC_OWNERS
    keep(ea_malloc_ex(&a, 200, &(ea_request_t){.owner = radio, .alignment_bytes = 64}), 200);
    EA_OWNER_SCOPE(radio) keep(ea_malloc(&a, 90), 90);
    for (unsigned i = 0; i < 4; i++) {
        if (blocks[i].ptr == NULL) continue;
        ea_status_t status = ea_transfer(&a, blocks[i].ptr, i % 2 ? radio : NULL);
        EXPECT(status == EA_OK || status == EA_ERR_LIMIT);
        verify();
    }
    keep(ea_malloc_ex(&a, 1490, &(ea_request_t){.owner = radio}), 1490); /* over the limit */
#endif
}

static void use_critical(void)
{
    const ea_request_t critical = {.priority = 255};
#if EA_CFG_ALLOC_RESERVE
    ea_status_t status = ea_allocator_set_reserve(&a, RESERVE);
    EXPECT(status == EA_OK || status == EA_ERR_NO_MEMORY);
#endif
    while (blocks[N_BLOCKS - 4].ptr == NULL) {
        void *ptr = ea_malloc(&a, 150);
        keep(ptr, 150);
        if (ptr == NULL) break;
    }
    keep(ea_malloc_ex(&a, 120, &critical), 120);
    keep(ea_malloc_ex(&a, 60, &critical), 60);
}

#if EA_CFG_ALLOC_MOVABLE
/* Movable blocks and such with an address, from the two ends of one region until it is full: then
 * blocks come only where others are moved. */
static void use_movables(void)
{
    const ea_request_t external = {.capabilities = EA_CAP_EXTERNAL};
    ea_request_t of_radio = {.timeout_us = 1};
#if EAI_ALLOC_OWNERS
    of_radio.owner = radio;
#endif
    for (unsigned i = 0; i < 8; i++) {
        (void)make_movable(100 + 40 * i, i % 3 == 1 ? &of_radio : NULL);
        verify();
        if (i % 3 == 0) keep(ea_malloc_ex(&a, 60, &external), 60);
    }
    for (unsigned i = 1; i < 8; i += 2) drop_movable(i);
    verify();
    (void)ea_allocator_step(&a, 150); /* perhaps in the middle of a move */
    keep(ea_malloc_ex(&a, 350, &external), 350);
    resize_movable(0, 400);
    (void)make_movable(500, &of_radio);
    verify();
    if (ea_movable_lock(store, movables[4].handle) != NULL) pinned = 4;
    keep(ea_malloc_ex(&a, 200, &external), 200);
    resize_movable(2, 700);
    resize_movable(2, 30);
    (void)make_movable(3000, NULL);
    (void)make_movable(300, &(ea_request_t){.priority = 255});
    verify();
    if (pinned == 4) EXPECT_EQ(ea_movable_unlock(store, movables[4].handle), EA_OK);
    pinned = N_MOVABLES;
    resize_movable(4, 600);
    while (ea_allocator_step(&a, 100) == EA_ERR_AGAIN) continue;
    verify();
    keep(ea_malloc_ex(&a, 300,
                      &(ea_request_t){.alignment_bytes = 64, .capabilities = EA_CAP_EXTERNAL}),
         300);
    for (unsigned i = 0; i < N_MOVABLES; i += 2) drop_movable(i);
    verify();
}
#endif

static void run_program(void)
{
#if EA_CFG_ALLOC_RECLAIM
    next_given = 0;
    reclaimer = (ea_reclaimer_t){.reclaim = give_one};
    REQUIRE(ea_allocator_add_reclaimer(&a, &reclaimer) == EA_OK);
#endif
#if EA_CFG_ALLOC_HANDLER
    ea_allocator_set_handler(&a, handle, NULL);
#endif
#if EA_CFG_ALLOC_MOVABLE
    if (store) {
        use_movables();
        return;
    }
#endif
    use_pools();
    keep(ea_malloc(&a, 24), 24);
    keep(ea_malloc(&a, 130), 130);
    keep(ea_calloc(&a, 3, 30), 90);
    keep(ea_aligned_alloc(&a, 128, 100), 100);
    keep(ea_malloc_ex(&a, 80, &(ea_request_t){.capabilities = EA_CAP_DMA, .zeroed = true}), 80);
    keep(ea_malloc_ex(&a, 70, &(ea_request_t){.policy = EA_POLICY_LOW_FRAGMENTATION}), 70);
    keep(ea_malloc_ex(&a, 70, &(ea_request_t){.lifetime = EA_LIFETIME_LONG, .timeout_us = 1}), 70);
    keep(ea_realloc(&a, NULL, 33), 33);
    use_owners();
    resize(0, 0, 28);
    resize(0, 0, 200); /* out of its pool */
    resize(1, 0, 300);
    resize(2, 64, 300);
    resize(1, 0, 20);
    resize(3, 256, 140);
    resize(4, 0, 700); /* perhaps elsewhere */
#if EA_CFG_ALLOC_ISR
    if (blocks[5].ptr != NULL) {
        EXPECT_EQ(ea_free_isr(&a, blocks[5].ptr), EA_OK);
        blocks[5].ptr = NULL;
        verify();
    }
#endif
    use_critical();
    drop(1);
    drop(2);
}

static void check_reserve_comes_back(void)
{
#if EA_CFG_ALLOC_RESERVE
    ea_allocator_stats_t stats;
    refuse_at = 0;
    for (unsigned i = 0; i < N_BLOCKS; i++) drop(i);
    /* What is in quarantine comes back when somebody wants it; the next free fills it up. */
    EXPECT(ea_malloc(&a, 1 << 20) == NULL);
    keep(ea_malloc(&a, 10), 10);
    for (unsigned i = 0; i < N_BLOCKS; i++) drop(i);
    ea_allocator_stats(&a, &stats);
    EXPECT(stats.reserve_bytes >= RESERVE);
#endif
}

static void refuse_every(bool all_that_follow)
{
    unsigned n = 0;
    for_ever = all_that_follow;
    for (bool any = true; any && n < 2000;) {
        n_asked = 0;
        refuse_at = ++n;
        REQUIRE(begin(2600));
        run_program();
        any = n_asked >= n;
        check_reserve_comes_back();
        end();
    }
    tap_note("refusals", n - 1);
    EXPECT(n > (EAI_PLAIN ? 12u : 25u) && n < 2000);
}

TEST(allocator_loses_nothing_whichever_request_is_refused, 0)
{
    refuse_every(false);
}

TEST(allocator_loses_nothing_when_all_is_refused_from_some_request_on, 0)
{
    refuse_every(true);
}

#if EA_CFG_ALLOC_MOVABLE
static void refuse_every_in_a_store(size_t move_bytes)
{
    unsigned n = 0;
    for (unsigned way = 0; way < 4; way += EA_CFG_CHECK_LEVEL >= 3 ? 3 : 1) { /* that is slow */
        for_ever = way & 1;
        refuses_budget = way & 2;
        n = 0;
        for (bool any = true; any && n < 2000;) {
            n_asked = 0;
            refuse_at = ++n;
            REQUIRE(begin(600) && add_store(move_bytes));
            run_program();
            any = n_asked >= n;
            end();
        }
        EXPECT(n > 20 && n < 2000);
    }
    tap_note("refusals", n - 1);
}

TEST(allocator_loses_no_movable_block_whichever_request_is_refused, 0)
{
    refuse_every_in_a_store(EA_MOVABLE_UNLIMITED);
}

TEST(allocator_loses_no_movable_block_where_little_may_be_moved, 0)
{
    refuse_every_in_a_store(250);
    refuse_every_in_a_store(0);
}
#define MOVABLE_TESTS                                                                              \
    , &allocator_loses_no_movable_block_whichever_request_is_refused,                              \
        &allocator_loses_no_movable_block_where_little_may_be_moved
#else
#define MOVABLE_TESTS
#endif

/* --- small regions ---------------------------------------------------------------------------- */

static size_t free_bytes(void)
{
    ea_allocator_stats_t stats;
    ea_allocator_stats(&a, &stats);
    return stats.free_bytes;
}

static void *call(unsigned kind, size_t size)
{
    switch (kind) {
    case 0: return ea_malloc(&a, size);
    case 1: return ea_calloc(&a, 1, size);
    case 2: return ea_aligned_alloc(&a, 64, size);
    case 3: return ea_realloc(&a, NULL, size);
    case 4: return ea_malloc_ex(&a, size, &(ea_request_t){.priority = 255});
    default: return ea_malloc_ex(&a, size, &(ea_request_t){.zeroed = true, .timeout_us = 1});
    }
}

/* Fill it by one kind of call, then see every other one refused or served. */
static void fill_and_try(size_t size)
{
    for (unsigned kind = 0; kind < 6; kind++) {
        for (unsigned i = 0; i < N_BLOCKS - 8; i++) {
            void *ptr = call(kind, size);
            keep(ptr, size);
            if (ptr == NULL) break;
        }
        for (unsigned other = 0; other < 6; other++) keep(call(other, size / 2 + 1), size / 2 + 1);
        for (unsigned i = 0; i < N_BLOCKS; i += 2) resize(i, i % 4 ? 0 : 64, blocks[i].size * 2);
        for (unsigned i = 0; i < N_BLOCKS; i += 3) drop(i);
        for (unsigned i = 0; i < N_BLOCKS; i++) resize(i, 0, blocks[i].size + 30);
        for (unsigned i = 0; i < N_BLOCKS; i++) drop(i);
    }
}

TEST(allocator_fills_small_regions_to_the_last_byte_and_empties_them, 0)
{
    unsigned step = (unsigned)tap_arg("step", 104);
    refuse_at = 0;
    for (size_t bytes = 512; bytes <= 4096; bytes += step) {
        if (!begin(bytes)) { /* too small for a heap */
            EXPECT(bytes < 1500);
            for (unsigned i = 0; i < 3; i++) free(memory[i]);
            continue;
        }
        size_t before = free_bytes();
        use_pools();
        fill_and_try(90);
        fill_and_try(20);
#if EA_CFG_ALLOC_RESERVE
        (void)ea_allocator_set_reserve(&a, 200);
        fill_and_try(50);
        (void)ea_allocator_set_reserve(&a, 0);
#endif
#if EA_CFG_ALLOC_POOLS
        EXPECT_EQ(ea_allocator_set_pools(&a, NULL), EA_OK);
#endif
        if (EA_CFG_GUARD < 3 && EA_CFG_HEAP_PROFILE != 2) EXPECT_EQ(free_bytes(), before);
        end();
    }
}

TEST_MAIN(&allocator_loses_nothing_whichever_request_is_refused,
          &allocator_loses_nothing_when_all_is_refused_from_some_request_on,
          &allocator_fills_small_regions_to_the_last_byte_and_empties_them MOVABLE_TESTS)
