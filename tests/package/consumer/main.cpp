// SPDX-License-Identifier: MIT
//
// A C++ application that uses the installed header: a static pool, an owning pointer and a list on
// the stack.

#include <cstdio>
#include <ealloc.hpp>
#include <list>

int main()
{
    ealloc::StaticPool<int, 2> pool;
    ealloc::StackArena<256> arena;
    std::list<int, ealloc::StackAllocator<int, 256>> list(arena);
    ealloc::PooledPtr<int> number = pool.make(3);

    if (!number) return 1;
    for (int i = *number; i > 0; i--) list.push_back(i);
    for (int i : list) std::printf("%d ", i);
    std::printf("\n");
    return 0;
}
