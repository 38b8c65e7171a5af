/* SPDX-License-Identifier: MIT
 *
 * Instructions of a pool set of five classes, uncontended, and of waiting: what joins a wait queue
 * and what hands a block over. Prints what scripts/wcet reads.
 */
#include "board.h"
#include "count.h"
#include "ealloc/poolset.h"

#define N 8u
#define N_CLASSES 5u
#define CLASSES(CLASS, name)                                                                       \
    CLASS(name, a, 32, N)                                                                          \
    CLASS(name, b, 64, N) CLASS(name, c, 128, N) CLASS(name, d, 256, N) CLASS(name, e, 512, N)
EA_POOLSET_DEFINE_CLASSES_STATIC(strict, CLASSES, EA_POOLSET_STRICT, 0, NULL);
EA_POOLSET_DEFINE_CLASSES_STATIC(larger, CLASSES, EA_POOLSET_NEXT_LARGER, 0, NULL);

static void *blocks[N_CLASSES * N];

static void *count_alloc_from(ea_poolset_t *set, size_t size_bytes, op_t op)
{
    return (void *)count_call(op, OP_ALLOC_FAIL, (board_function_t)ea_poolset_alloc, set,
                              (const void *)(uintptr_t)size_bytes);
}

static void expect_ok(uintptr_t status)
{
    if (status == EA_OK) return;
    board_put("refused\n");
    board_exit(1);
}

/* Every class filled, one request more refused, all blocks given back. */
static void use_each_class(void)
{
    for (unsigned c = 0; c < N_CLASSES; c++) {
        for (unsigned i = 0; i < N; i++) {
            blocks[i] = count_alloc_from(&strict, (20u << c) + i, OP_ALLOC);
        }
        (void)count_alloc_from(&strict, 20u << c, OP_ALLOC);
        for (unsigned i = 0; i < N; i++) {
            if (i % 2 == 0) {
                expect_ok(count_call(OP_FREE, OP_FREE, (board_function_t)ea_poolset_free, &strict,
                                     blocks[i]));
            } else {
                uint32_t n = 0;
                expect_ok(
                    COUNTED(&n, ea_poolset_free_sized, &strict, blocks[i], (20u << c) + i, 0, 0));
                count_note(OP_FREE_SIZED, n);
            }
        }
    }
}

/* The smallest requests until every class is empty. */
static void use_larger_classes(void)
{
    for (unsigned i = 0; i < N_CLASSES * N; i++) {
        blocks[i] = count_alloc_from(&larger, 1, i < N ? OP_ALLOC : OP_ALLOC_LARGER);
    }
    (void)count_alloc_from(&larger, 1, OP_ALLOC);
    for (unsigned i = 0; i < N_CLASSES * N; i++) {
        expect_ok(
            count_call(OP_FREE, OP_FREE, (board_function_t)ea_poolset_free, &larger, blocks[i]));
    }
}

#if EA_CFG_POOL_WAIT
/* Tasks of every urgency join the queue, the most urgent first, so that each passes all others. */
static void wait_and_serve(void)
{
    static ea_waiter_t waiters[EA_CFG_WAIT_LEVELS];
    ea_pool_t *pool = &strict.eai_pools[0];

    for (unsigned i = 0; i < N; i++) blocks[i] = ea_pool_alloc(pool);
    for (unsigned i = 0; i < EA_CFG_WAIT_LEVELS; i++) {
        uint32_t n = 0;
        ea_waiter_init(&waiters[i], EA_CFG_WAIT_LEVELS - 1 - i);
        (void)COUNTED(&n, ea_waitq_enter, &pool->eai_waiting, &waiters[i], 0, 0, 0);
        count_note(OP_WAIT_ENTER, n);
    }
    for (unsigned i = 0; i < EA_CFG_WAIT_LEVELS && i < N; i++) {
        expect_ok(count_call(OP_FREE_HAND_OVER, OP_FREE_HAND_OVER, (board_function_t)ea_pool_free,
                             pool, blocks[i]));
        if (waiters[i].result != blocks[i]) expect_ok(1);
        expect_ok((uintptr_t)ea_waitq_sleep(&waiters[i], 0));
        blocks[i] = waiters[i].result;
    }
    for (unsigned i = 0; i < N; i++) expect_ok(ea_pool_free(pool, blocks[i]));
}
#endif

int main(void)
{
    count_calibrate();
    count_scenario("strict");
    use_each_class();
    use_each_class(); /* from the lists now */
    count_report();
    count_scenario("larger");
    use_larger_classes();
    use_larger_classes();
    count_report();
#if EA_CFG_POOL_WAIT
    count_scenario("wait");
    wait_and_serve();
    count_report();
#endif
    count_report_all();
    board_put("end\n");
    return 0;
}
