// SPDX-License-Identifier: MIT
//
// Allocators of Debian's packages that live in memory they are given: Boost.Interprocess' best fit
// (a red-black tree) and first fit. Locks are taken out.
#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/mem_algo/simple_seq_fit.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>
#include <new>

#include "movable_load.h"

namespace bi = boost::interprocess;

namespace
{

template <class Algorithm> struct peer {
    static Algorithm *it;
    static bool init(void *mem, size_t size_bytes)
    {
        it = new (mem) Algorithm(size_bytes, 0);
        return true;
    }
    static void *alloc(void *, size_t size_bytes)
    {
        return it->allocate(size_bytes);
    }
    static void free(void *, void *ptr)
    {
        it->deallocate(ptr);
    }
};
template <class Algorithm> Algorithm *peer<Algorithm>::it;

using best = bi::rbtree_best_fit<bi::null_mutex_family>;
using first = bi::simple_seq_fit<bi::null_mutex_family>;

} // namespace

extern "C" {
const load_subject_t load_peers[] = {
    {"Boost best fit", "rbtree_best_fit", best::Alignment, best::PayloadPerAllocation,
     peer<best>::init, peer<best>::alloc, peer<best>::free, nullptr},
    {"Boost first fit", "simple_seq_fit", 2 * sizeof(void *), first::PayloadPerAllocation,
     peer<first>::init, peer<first>::alloc, peer<first>::free, nullptr},
};
const size_t n_load_peers = sizeof load_peers / sizeof load_peers[0];
}
