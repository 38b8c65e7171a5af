/* SPDX-License-Identifier: MIT
 *
 * Counted calls and their statistics: a histogram with one slot per number of instructions, so that
 * worst and median are exact.
 */
#include "count.h"

#include <string.h>

#include "board.h"

#define N_SLOTS 4096u /* counts from here up share the last slot; worst stays exact */

typedef struct {
    uint32_t n_calls;
    uint32_t worst;
    uint32_t slots[N_SLOTS];
} histogram_t;

static histogram_t of_scenario[N_OPS];
static histogram_t of_all[N_OPS];
static const char *scenario = "none";
static uint32_t empty_call; /* instructions */

static const char *const op_names[N_OPS] = {
    [OP_INIT] = "init",
    [OP_ALLOC] = "alloc",
    [OP_ALLOC_FAIL] = "alloc_fail",
    [OP_FREE] = "free",
    [OP_CALLOC_32] = "calloc_32",
    [OP_ALIGNED_ALLOC] = "aligned_alloc",
    [OP_REALLOC_SHRINK] = "realloc_shrink",
    [OP_REALLOC_FORWARD] = "realloc_forward",
    [OP_REALLOC_BACKWARD] = "realloc_backward",
    [OP_REALLOC_MOVE] = "realloc_move",
    [OP_REALLOC_FAIL] = "realloc_fail",
    [OP_USABLE_SIZE] = "usable_size",
    [OP_LARGEST_FREE] = "largest_free",
    [OP_ADD_REGION] = "add_region",
    [OP_REMOVE_REGION] = "remove_region",
    [OP_GROW] = "grow",
    [OP_SHRINK] = "shrink",
    [OP_ARENA_ALLOC] = "arena_alloc",
    [OP_ARENA_ALLOC_HIGH] = "arena_alloc_high",
    [OP_ARENA_ALLOC_ALIGNED] = "arena_alloc_aligned",
    [OP_ARENA_ALLOC_FAIL] = "arena_alloc_fail",
    [OP_ARENA_ALLOC_GROW] = "arena_alloc_grow",
    [OP_ARENA_REALLOC] = "arena_realloc",
    [OP_ARENA_FREE] = "arena_free",
    [OP_ARENA_MARK] = "arena_mark",
    [OP_ARENA_REWIND] = "arena_rewind",
    [OP_ALLOC_LARGER] = "alloc_larger",
    [OP_FREE_SIZED] = "free_sized",
    [OP_FREE_HAND_OVER] = "free_hand_over",
    [OP_WAIT_ENTER] = "wait_enter",
    [OP_WAIT_END] = "wait_end",
    [OP_ALLOC_OVER_HEAP] = "alloc_over_heap",
    [OP_FREE_OVER_HEAP] = "free_over_heap",
    [OP_GUARD_DRESS] = "guard_dress",
    [OP_GUARD_CHECK] = "guard_check",
    [OP_GUARD_UNDRESS] = "guard_undress",
    [OP_GUARD_RELABEL] = "guard_relabel",
    [OP_EMIT_UNHEARD] = "emit_unheard",
    [OP_EMIT] = "emit",
    [OP_EMIT_ISR] = "emit_isr",
    [OP_EMIT_LOST] = "emit_lost",
    [OP_LISTEN] = "listen",
    [OP_UNLISTEN] = "unlisten",
    [OP_UPDATE] = "update",
    [OP_UPDATE_LEVEL] = "update_level",
    [OP_UPDATE_TOTAL] = "update_total",
    [OP_PROGRESS_IDLE] = "progress_idle",
    [OP_STALL] = "stall",
    [OP_STALL_PERIOD] = "stall_period",
    [OP_TRIGGER] = "trigger",
    [OP_ACCOUNT_CHARGE_1] = "account_charge_1",
    [OP_ACCOUNT_RETURN_1] = "account_return_1",
    [OP_ACCOUNT_REFUSE_1] = "account_refuse_1",
    [OP_ACCOUNT_CHARGE_3] = "account_charge_3",
    [OP_ACCOUNT_RETURN_3] = "account_return_3",
    [OP_ACCOUNT_REFUSE_3] = "account_refuse_3",
    [OP_ACCOUNT_CHARGE_BATCH] = "account_charge_batch",
    [OP_ACCOUNT_RETURN_BATCH] = "account_return_batch",
    [OP_ACQUIRE] = "acquire",
    [OP_ACQUIRE_REFUSE] = "acquire_refuse",
    [OP_RELEASE] = "release",
    [OP_RELEASE_QUEUED] = "release_queued",
    [OP_CLEANUP] = "cleanup",
    [OP_AUDIT_STEP] = "audit_step",
    [OP_RECORD] = "record",
    [OP_RECORD_SYNC] = "record_sync",
    [OP_RECORD_SLOW] = "record_slow",
    [OP_RECORD_SAMPLED] = "record_sampled",
    [OP_READ] = "read",
    [OP_SCOPE_BEGIN] = "scope_begin",
    [OP_SCOPE_EVENT] = "scope_event",
    [OP_SCOPE_IDLE] = "scope_idle",
    [OP_SCOPE_END] = "scope_end",
    [OP_LINEAGE_ALLOC] = "lineage_alloc",
    [OP_LINEAGE_SERVED] = "lineage_served",
    [OP_LINEAGE_FREE] = "lineage_free",
    [OP_LINEAGE_TRANSFER] = "lineage_transfer",
    [OP_LINEAGE_MOVE] = "lineage_move",
    [OP_SERVING_BEGIN] = "serving_begin",
    [OP_SERVING_END] = "serving_end",
    [OP_STACK_WALK] = "stack_walk",
    [OP_STACK_KEEP] = "stack_keep",
    [OP_PROFILE_ALLOC] = "profile_alloc",
    [OP_PROFILE_FREE] = "profile_free",
    [OP_PROFILE_ALLOC_MANY] = "profile_alloc_many",
    [OP_PROFILE_FREE_MANY] = "profile_free_many",
    [OP_DUMP_STEP] = "dump_step",
    [OP_LOCK] = "lock",
    [OP_UNLOCK] = "unlock",
    [OP_LOCK_IN_FLIGHT] = "lock_in_flight",
    [OP_STEP_64] = "step_64",
    [OP_STEP_128] = "step_128",
    [OP_STEP_256] = "step_256",
    [OP_STEP_512] = "step_512",
    [OP_STEP_1024] = "step_1024",
    [OP_ALLOC_MEAN] = "alloc_mean",
    [OP_MOVABLE_RESIZE] = "movable_resize",
};

/* --- statistics ------------------------------------------------------------------------------- */

void count_note(op_t op, uint32_t instructions)
{
    histogram_t *h = &of_scenario[op];
    h->n_calls++;
    if (instructions > h->worst) h->worst = instructions;
    h->slots[instructions < N_SLOTS ? instructions : N_SLOTS - 1]++;
}

static uint32_t median(const histogram_t *h)
{
    uint32_t below = 0, slot = 0;
    while (below + h->slots[slot] <= h->n_calls / 2) below += h->slots[slot++];
    return slot < N_SLOTS - 1 ? slot : h->worst;
}

static void print_line(op_t op, const char *name, const histogram_t *h)
{
    board_put(op_names[op]);
    board_put(" ");
    board_put(name);
    board_put(" ");
    board_put_number(h->n_calls);
    board_put(" ");
    board_put_number(h->worst);
    board_put(" ");
    board_put_number(median(h));
    board_put("\n");
}

static void add(histogram_t *sum, const histogram_t *h)
{
    sum->n_calls += h->n_calls;
    if (h->worst > sum->worst) sum->worst = h->worst;
    for (uint32_t i = 0; i < N_SLOTS; i++) sum->slots[i] += h->slots[i];
}

void count_scenario(const char *name)
{
    scenario = name;
}

void count_report(void)
{
    for (op_t op = 0; op < N_OPS; op++) {
        if (of_scenario[op].n_calls == 0) continue;
        print_line(op, scenario, &of_scenario[op]);
        add(&of_all[op], &of_scenario[op]);
    }
    memset(of_scenario, 0, sizeof of_scenario);
}

void count_report_all(void)
{
    for (op_t op = 0; op < N_OPS; op++) {
        if (of_all[op].n_calls != 0) print_line(op, "all", &of_all[op]);
    }
}

/* --- counting --------------------------------------------------------------------------------- */

static EA_NOINLINE void empty(void)
{
    __asm volatile("");
}

void count_calibrate(void)
{
    static const uintptr_t args[BOARD_CALL_ARGS];
    empty_call = board_count_call(empty, args).instructions;
    for (int i = 0; i < 100; i++) {
        uint32_t again = board_count_call(empty, args).instructions;
        if (again == empty_call && again == 2) continue;
        board_put("the counter is not exact: run with boards/run --icount\n");
        board_exit(1);
    }
}

uintptr_t count_instructions(uint32_t *sum, board_function_t function, uintptr_t a, uintptr_t b,
                             uintptr_t c, uintptr_t d, uintptr_t e)
{
    const uintptr_t args[BOARD_CALL_ARGS] = {a, b, c, d, e};
    board_call_t call = board_count_call(function, args);
    *sum += call.instructions - empty_call;
    return call.result;
}

uintptr_t count_call(op_t op, op_t op_if_0, board_function_t function, const void *a, const void *b)
{
    uint32_t n = 0;
    uintptr_t result = COUNTED(&n, function, a, b, 0, 0, 0);
    count_note(result != 0 ? op : op_if_0, n);
    return result;
}

ea_heap_t *count_init(void *mem, size_t size_bytes, const ea_heap_options_t *options)
{
    uint32_t n = 0;
    ea_heap_t *heap = (ea_heap_t *)COUNTED(&n, ea_heap_init, mem, size_bytes, options, 0, 0);
    if (heap == NULL) {
        board_put("init failed\n");
        board_exit(1);
    }
    count_note(OP_INIT, n);
    return heap;
}

void *count_alloc(ea_heap_t *heap, size_t size_bytes)
{
    uint32_t n = 0;
    void *ptr = (void *)COUNTED(&n, ea_heap_alloc, heap, size_bytes, 0, 0, 0);
    count_note(ptr != NULL ? OP_ALLOC : OP_ALLOC_FAIL, n);
    return ptr;
}

void *count_calloc(ea_heap_t *heap, size_t size_bytes)
{
    uint32_t n = 0;
    void *ptr = (void *)COUNTED(&n, ea_heap_calloc, heap, 1, size_bytes, 0, 0);
    if (ptr != NULL) count_note(OP_CALLOC_32, n);
    return ptr;
}

void *count_aligned_alloc(ea_heap_t *heap, size_t alignment_bytes, size_t size_bytes)
{
    uint32_t n = 0;
    void *ptr = (void *)COUNTED(&n, ea_heap_aligned_alloc, heap, alignment_bytes, size_bytes, 0, 0);
    if (ptr != NULL) count_note(OP_ALIGNED_ALLOC, n);
    return ptr;
}

/* The free that every scenario counts must succeed: a refused one would look fast. */
void count_free(ea_heap_t *heap, void *ptr)
{
    uint32_t n = 0;
    ea_status_t status = (ea_status_t)COUNTED(&n, ea_heap_free, heap, ptr, 0, 0, 0);
    if (status != EA_OK) {
        board_put("free failed\n");
        board_exit(1);
    }
    count_note(OP_FREE, n);
}

/* How a block came from `from` (old_bytes usable) to `to`. */
static op_t realloc_path(const char *from, size_t old_bytes, const char *to, size_t new_bytes)
{
    if (to == from) return new_bytes <= old_bytes ? OP_REALLOC_SHRINK : OP_REALLOC_FORWARD;
    return to < from && to + new_bytes > from ? OP_REALLOC_BACKWARD : OP_REALLOC_MOVE;
}

void *count_realloc(ea_heap_t *heap, void *ptr, size_t size_bytes)
{
    uint32_t n = 0;
    size_t old_bytes = ea_heap_usable_size_bytes(heap, ptr);
    void *to = (void *)COUNTED(&n, ea_heap_realloc, heap, ptr, size_bytes, 0, 0);
    if (to == NULL) {
        count_note(OP_REALLOC_FAIL, n);
        return NULL;
    }
    op_t op = realloc_path(ptr, old_bytes, to, ea_heap_usable_size_bytes(heap, to));
    if (op == OP_REALLOC_SHRINK || op == OP_REALLOC_FORWARD) count_note(op, n);
    return to;
}

void *count_realloc_parts(ea_heap_t *heap, void *ptr, size_t size_bytes)
{
    uint32_t n = 0;
    ea_heap_move_t move;
    size_t old_bytes = ea_heap_usable_size_bytes(heap, ptr);
    ea_status_t status =
        (ea_status_t)COUNTED(&n, ea_heap_realloc_begin, heap, ptr, 0, size_bytes, &move);
    if (status != EA_OK) return NULL;
    ea_heap_realloc_move(&move);
    void *to = (void *)COUNTED(&n, ea_heap_realloc_finish, heap, &move, 0, 0, 0);
    op_t op = realloc_path(ptr, old_bytes, to, ea_heap_usable_size_bytes(heap, to));
    if (op == OP_REALLOC_BACKWARD || op == OP_REALLOC_MOVE) count_note(op, n);
    return to;
}

void count_largest_free(ea_heap_t *heap)
{
    uint32_t n = 0;
    (void)COUNTED(&n, ea_heap_largest_free_bytes, heap, 0, 0, 0, 0);
    count_note(OP_LARGEST_FREE, n);
}

void count_usable_size(ea_heap_t *heap, void *ptr)
{
    uint32_t n = 0;
    (void)COUNTED(&n, ea_heap_usable_size_bytes, heap, ptr, 0, 0, 0);
    count_note(OP_USABLE_SIZE, n);
}

/* The region calls must succeed too. */
static void count_region(op_t op, board_function_t function, ea_heap_t *heap, void *mem,
                         size_t size_bytes)
{
    uint32_t n = 0;
    ea_status_t status = (ea_status_t)count_instructions(&n, function, (uintptr_t)heap,
                                                         (uintptr_t)mem, size_bytes, 0, 0);
    if (status != EA_OK) {
        board_put(op_names[op]);
        board_put(" failed\n");
        board_exit(1);
    }
    count_note(op, n);
}

void count_add_region(ea_heap_t *heap, void *mem, size_t size_bytes)
{
    count_region(OP_ADD_REGION, (board_function_t)ea_heap_add_region, heap, mem, size_bytes);
}

void count_remove_region(ea_heap_t *heap, void *mem)
{
    count_region(OP_REMOVE_REGION, (board_function_t)ea_heap_remove_region, heap, mem, 0);
}

void count_grow(ea_heap_t *heap, void *mem, size_t size_bytes)
{
    count_region(OP_GROW, (board_function_t)ea_heap_grow, heap, mem, size_bytes);
}

void count_shrink(ea_heap_t *heap, void *mem, size_t size_bytes)
{
    count_region(OP_SHRINK, (board_function_t)ea_heap_shrink, heap, mem, size_bytes);
}
