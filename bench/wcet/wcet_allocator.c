/* SPDX-License-Identifier: MIT
 *
 * Instructions of the allocator's ea_malloc() and ea_free(), uncontended, beside a bare heap on
 * memory of the same size that is asked the same. Where blocks are not dressed the two heaps are in
 * the same state at every call, and what the allocator adds to each single call is reported as an
 * operation of its own. Accounts, where there are any, are three levels deep. Prints what
 * scripts/wcet reads.
 */
#include "board.h"
#include "count.h"
#include "ealloc/allocator.h"
#include "workloads.h"

#define IS_UNDRESSED (!EA_CFG_TAGS && EA_CFG_GUARD == 0)

static _Alignas(64) unsigned char ram[WL_ARENA_BYTES], twin_ram[WL_ARENA_BYTES];
static ea_allocator_t allocator;
static ea_heap_t *twin; /* the bare heap */
static wl_scratch_t scratch;

/* Where the twin's block is: found by the block's offset. */
static void *in_twin(void *ptr)
{
    return twin_ram + ((unsigned char *)ptr - ram);
}

static void *counted_alloc(void *context, size_t size_bytes)
{
    uint32_t n = 0, n_twin = 0;
    (void)context;
    void *ptr = (void *)COUNTED(&n, ea_malloc, &allocator, size_bytes, 0, 0, 0);
    count_note(ptr ? OP_ALLOC : OP_ALLOC_FAIL, n);
    if (IS_UNDRESSED) {
        void *other = (void *)COUNTED(&n_twin, ea_heap_alloc, twin, size_bytes, 0, 0, 0);
        if ((other == NULL) != (ptr == NULL) || (ptr && other != in_twin(ptr))) {
            board_put("the allocator and the heap part\n");
            board_exit(1);
        }
        if (ptr) count_note(OP_ALLOC_OVER_HEAP, n - n_twin);
    }
    return ptr;
}

static void counted_free(void *context, void *ptr)
{
    uint32_t n = 0, n_twin = 0;
    (void)context;
    uintptr_t status = COUNTED(&n, ea_free, &allocator, ptr, 0, 0, 0);
    if (status != EA_OK) {
        board_put("refused\n");
        board_exit(1);
    }
    count_note(OP_FREE, n);
    if (IS_UNDRESSED) {
        (void)COUNTED(&n_twin, ea_heap_free, twin, in_twin(ptr), 0, 0, 0);
        count_note(OP_FREE_OVER_HEAP, n - n_twin);
    }
}

#if EA_CFG_ALLOC_OWNERS && EA_CFG_TAGS
static ea_account_t nodes[4];
static ea_accounts_t book;

static ea_allocator_options_t owned(void)
{
    const ea_account_options_t o = {.limits = {.max = 1000000}};
    ea_account_t *module = NULL, *task = NULL;
    if (ea_accounts_init(&book, nodes, 4, NULL) == EA_OK &&
        (module = ea_account_create(&book, ea_accounts_root(&book), &o)) != NULL)
        task = ea_account_create(&book, module, &o);
    return (ea_allocator_options_t){.accounts = &book, .owner = task};
}
#else
static ea_allocator_options_t owned(void)
{
    return (ea_allocator_options_t){0};
}
#endif

int main(void)
{
    static const wl_ops_t ops = {counted_alloc, counted_free, NULL};
    count_calibrate();
    for (unsigned kind = 0; kind < WL_N_KINDS; kind++) {
        if (kind == WL_W2 || kind == WL_A3) continue; /* long, and no worse */
        const ea_allocator_options_t options = owned();
        twin = ea_heap_init(twin_ram, sizeof twin_ram, NULL);
        if (twin == NULL || ea_allocator_init(&allocator, &options) != EA_OK ||
            ea_allocator_add_region(&allocator, ram, sizeof ram, NULL) != EA_OK) {
            board_put("no memory\n");
            board_exit(1);
        }
        count_scenario(wl_name((wl_kind_t)kind));
        (void)wl_run((wl_kind_t)kind, &ops, 1, &scratch);
        count_report();
    }
    count_report_all();
    board_put("end\n");
    return 0;
}
