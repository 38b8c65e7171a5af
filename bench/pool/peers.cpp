/* SPDX-License-Identifier: MIT
 *
 * Other pools as subjects: boost::pool and foonathan's memory_pool for one thread, and a stack of
 * pointers in boost::lockfree::stack (of fixed size, so that it allocates nothing) for several.
 */
#include <boost/lockfree/stack.hpp>
#include <boost/pool/pool.hpp>
#include <foonathan/memory/memory_pool.hpp>

#include "subject.h"

namespace
{

boost::pool<> of_boost(BLOCK_BYTES, N_BLOCKS);
foonathan::memory::memory_pool<> of_foonathan(BLOCK_BYTES, N_BLOCKS *BLOCK_BYTES + 4096);

struct lockfree_t {
    boost::lockfree::stack<void *, boost::lockfree::capacity<N_BLOCKS>> stack;
    alignas(64) unsigned char memory[N_BLOCKS][BLOCK_BYTES];
    lockfree_t()
    {
        for (size_t i = N_BLOCKS; i > 0; i--) stack.push(memory[i - 1]);
    }
} of_lockfree;

inline void *lockfree_alloc()
{
    void *block = nullptr;
    return HIDDEN(of_lockfree)->stack.pop(block) ? block : nullptr;
}

#define BOOST_ALLOC() HIDDEN(of_boost)->malloc()
#define BOOST_FREE(block) HIDDEN(of_boost)->free(block)
LOOPS(boost, BOOST_ALLOC, BOOST_FREE)
#define FOONATHAN_ALLOC() HIDDEN(of_foonathan)->allocate_node()
#define FOONATHAN_FREE(block) HIDDEN(of_foonathan)->deallocate_node(block)
LOOPS(foonathan, FOONATHAN_ALLOC, FOONATHAN_FREE)
#define LOCKFREE_FREE(block) HIDDEN(of_lockfree)->stack.push(block)
LOOPS(lockfree, lockfree_alloc, LOCKFREE_FREE)

} // namespace

const subject_t boost_pool = {"boost::pool", 0, boost_run};
const subject_t foonathan_pool = {"foonathan memory_pool", 0, foonathan_run};
const subject_t boost_lockfree = {"boost::lockfree::stack", 1, lockfree_run};
