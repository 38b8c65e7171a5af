// SPDX-License-Identifier: MIT
//
// A firmware whose new and delete are the allocator's: containers, aligned and nothrow forms. Built
// and run by tests/libc/run.
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

extern "C" {
#include "board.h"
}
#include "ealloc_malloc.h"

#ifndef EALLOC_NEW_RETURNS_NULL
#define EALLOC_NEW_RETURNS_NULL 0
#endif

static volatile std::size_t huge = SIZE_MAX / 4; // which the compiler shall not know

static int n_passed, n_failed;
static void expect(bool ok, const char *what)
{
    board_put(ok ? "ok - " : "not ok - ");
    board_put(what);
    board_put("\n");
    *(ok ? &n_passed : &n_failed) += 1;
}

static std::size_t n_live()
{
    ea_allocator_stats_t stats;
    ea_allocator_stats(ealloc_malloc_allocator(), &stats);
    return stats.n_live;
}

struct alignas(64) Line {
    char bytes[64];
};

static int n_handled;
static void give_up()
{
    n_handled++;
    std::set_new_handler(nullptr);
}

int main()
{
    {
        std::vector<int> numbers;
        std::map<std::string, int> ages;
        for (int i = 0; i < 500; i++) numbers.push_back(i);
        for (int i = 0; i < 20; i++)
            ages["a name that is too long for the string itself " + std::string(1, char('a' + i))] =
                i;
        expect(numbers[499] == 499 && ages.size() == 20, "containers work");
        expect(n_live() >= 41, "their memory is the allocator's");
        auto line = std::make_unique<Line>();
        expect(reinterpret_cast<std::uintptr_t>(line.get()) % 64 == 0,
               "new aligns what asks for it");
        auto *many = new Line[3];
        expect(reinterpret_cast<std::uintptr_t>(many) % 64 == 0, "new[] as well");
        delete[] many;
    }
    expect(n_live() == 0, "delete gives everything back");
    std::set_new_handler(give_up);
    void *volatile none = ::operator new(huge, std::nothrow);
    expect(none == nullptr && n_handled == 1, "nothrow new asks the handler and returns null");
#if defined(__cpp_exceptions)
    bool thrown = false;
    try {
        none = ::operator new(huge);
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    expect(thrown, "new throws bad_alloc");
#elif EALLOC_NEW_RETURNS_NULL
    none = ::operator new(huge);
    expect(none == nullptr, "new returns null");
#endif
    board_put_number(n_passed);
    board_put(" passed, ");
    board_put_number(n_failed);
    board_put(" failed\n");
    return n_failed != 0;
}
