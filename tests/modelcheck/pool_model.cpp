/* SPDX-License-Identifier: MIT
 *
 * The pool's source under the model checker relacy: three threads take, write and give back blocks;
 * relacy chooses the order of their accesses and which of the values the C11 memory model allows a
 * load returns. Owning a block means writing to its variable, so two owners, or an owner that does
 * not see what the last one did, are a data race that relacy reports. The owner also writes to the
 * word where the link stood, which a thread that is about to lose may still be reading.
 *
 *     pool_model             clean?
 *     pool_model tagless     the same with the tag taken away: must be found out
 *     pool_model unordered   the same with free's release taken away: must be found out
 */
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <streambuf>

#include <relacy/relacy.hpp>

#include "search.h"

#define EAI_SHARED(type) rl::atomic<type>
#define EAI_MODEL_CHECK 1
#define EAI_ATOMIC_HEADER "relacy_atomic.h"
#include "stores/pool.c"

#define N_THREADS 3
#define N_BLOCKS 3

uintptr_t model_keep_bits = UINTPTR_MAX;
rl::memory_order model_release = rl::mo_release;

namespace
{

struct block_t {
    rl::atomic<uint32_t> link;
    rl::var<unsigned> owner;
};

/* As in a real pool: the bits stand right below the first block. */
struct memory_t {
    rl::atomic<uint32_t> bits;
    block_t blocks[N_BLOCKS];
};

struct pool_suite : rl::test_suite<pool_suite, N_THREADS> {
    pool_t pool;
    memory_t memory;

    void before()
    {
        uint32_t block_bytes = sizeof(block_t), links = block_bytes >> EAI_POOL_LINK_SHIFT;
        pool.eai_base = (unsigned char *)memory.blocks;
        pool.eai_rotate = EAI_POOL_ROTATE(block_bytes);
        pool.eai_inverse = EAI_POOL_INVERSE((uintptr_t)links >> pool.eai_rotate);
        pool.eai_n_blocks = N_BLOCKS;
        pool.eai_block_bytes = block_bytes;
        pool.eai_no_link_bits = EAI_POOL_NO_LINK_BITS(block_bytes, N_BLOCKS);
        pool.eai_head($) = link_mask(&pool);
        pool.eai_fresh($) = 0;
        pool.eai_n_refused($) = 0;
        pool.eai_slabs($) = NULL;
        memory.bits($) = 0;
        pool.eai_counters.eai_n_allocs($) = 0;
        pool.eai_counters.eai_n_frees($) = 0;
        pool.eai_counters.eai_n_failures($) = 0;
        for (int i = 0; i < N_BLOCKS; i++) memory.blocks[i].link($) = 0;
        /* Two blocks on the list, one never handed out. */
        block_t *a = take(9), *b = take(9);
        give(b);
        give(a);
    }

    block_t *take(unsigned who)
    {
        block_t *block = (block_t *)ea_pool_alloc(&pool);
        if (block == NULL) return NULL;
        block->owner($) = who;
        block->link.store(who, rl::mo_relaxed, $); /* user data where the link was */
        return block;
    }

    void give(block_t *block)
    {
        if (block == NULL) return;
        block->owner($) = 0;
        RL_ASSERT(ea_pool_free(&pool, block) == EA_OK);
    }

    void thread(unsigned index)
    {
        /* Taking two and giving the first back is what makes a head look unchanged. */
        block_t *first = take(index + 1), *second = index < 2 ? take(index + 1) : NULL;
        give(first);
        block_t *third = take(index + 1);
        give(second);
        give(third);
    }

    void after()
    {
        unsigned n = 0;
        while (n <= N_BLOCKS && take(9) != NULL) n++;
        RL_ASSERT(n == N_BLOCKS);
        RL_ASSERT(pool.eai_n_refused($) == 0);
        RL_ASSERT(pool.eai_counters.eai_n_allocs($) == pool.eai_counters.eai_n_frees($) + N_BLOCKS);
    }
};

} // namespace

int main(int argc, char **argv)
{
    bool broken = argc > 1;
    unsigned n = argc > 2 ? (unsigned)std::strtoul(argv[2], NULL, 10) : 100000;
    if (broken && std::strcmp(argv[1], "tagless") == 0) {
        model_keep_bits = UINT32_MAX >> EAI_POOL_NO_LINK_BITS(sizeof(block_t), N_BLOCKS);
    } else if (broken && std::strcmp(argv[1], "unordered") == 0) {
        model_release = rl::mo_relaxed;
    } else if (broken && std::strcmp(argv[1], "sound") != 0) {
        std::cerr << "pool_model [sound | tagless | unordered] [schedules]\n";
        return 2;
    } else {
        broken = false;
    }
    bool clean = is_clean<pool_suite>("pool", n, !broken);
    bool good = clean != broken;
    std::cout << (good ? "ok 1 - " : "not ok 1 - ") << "pool under the model checker"
              << (broken ? ", broken on purpose\n" : "\n");
    std::cout << (good ? "1 passed, 0 failed\n" : "0 passed, 1 failed\n");
    return good ? 0 : 1;
}
