/* SPDX-License-Identifier: MIT
 *
 * Instructions of every operation of a pool, uncontended: blocks from the list, fresh ones, those
 * of added slabs, refusals. Prints what scripts/wcet reads.
 */
#include "board.h"
#include "count.h"
#include "ealloc/pool.h"

#define N 40u
#define SLAB_BLOCKS 8u

EA_POOL_DEFINE_STATIC(pow2, 64, N);
EA_POOL_DEFINE_STATIC(odd, 60, N);

static _Alignas(16) unsigned char slab_memory[3][EA_POOL_SLAB_BYTES(64, SLAB_BLOCKS)];
static void *blocks[N + 3 * SLAB_BLOCKS];

static void *count_alloc_from(ea_pool_t *pool)
{
    return (void *)count_call(OP_ALLOC, OP_ALLOC_FAIL, (board_function_t)ea_pool_alloc, pool, NULL);
}

static void count_free_to(ea_pool_t *pool, void *block)
{
    if (count_call(OP_FREE, OP_FREE, (board_function_t)ea_pool_free, pool, block) != EA_OK) {
        board_put("free failed\n");
        board_exit(1);
    }
}

static void use_all(ea_pool_t *pool, unsigned n_blocks)
{
    for (unsigned i = 0; i < n_blocks; i++) blocks[i] = count_alloc_from(pool);
    (void)count_alloc_from(pool); /* refused */
    for (unsigned i = 0; i < n_blocks; i++) count_free_to(pool, blocks[i * 7 % n_blocks]);
}

int main(void)
{
    count_calibrate();
    count_scenario("fresh"); /* carved, and free onto the list */
    use_all(&pow2, N);
    use_all(&odd, N);
    count_report();
    count_scenario("list");
    use_all(&pow2, N);
    use_all(&odd, N);
    count_report();
    count_report_all();
    if (EA_CFG_POOL_SLABS > 3) {
        count_scenario("slabs");
        for (unsigned i = 0; i < 3; i++) {
            if (ea_pool_add_slab(&pow2, slab_memory[i], sizeof slab_memory[i]) != EA_OK) return 1;
        }
        use_all(&pow2, N + 3 * SLAB_BLOCKS);
        use_all(&pow2, N + 3 * SLAB_BLOCKS);
        count_report();
    }
    board_put("end\n");
    return 0;
}
