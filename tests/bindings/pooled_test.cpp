// SPDX-License-Identifier: MIT
//
// PooledPtr, make_pooled and StaticPool (row A15).

#include <type_traits>
#include <vector>

#include "cpp_testing.hpp"

using ealloc::make_pooled;
using ealloc::PooledPtr;
using ealloc::StaticPool;

static_assert(std::is_nothrow_move_constructible<PooledPtr<int>>::value, "");
static_assert(std::is_nothrow_move_assignable<PooledPtr<int>>::value, "");
static_assert(!std::is_copy_constructible<PooledPtr<int>>::value, "");
static_assert(!std::is_copy_assignable<PooledPtr<int>>::value, "");
static_assert(!std::is_convertible<PooledPtr<int>, bool>::value, "");
static_assert(!std::is_copy_constructible<StaticPool<int, 1>>::value, "");
static_assert(!std::is_move_constructible<StaticPool<int, 1>>::value, "");
static_assert(sizeof(PooledPtr<int>) == 2 * sizeof(void *), "");

static std::size_t live(ea_pool_t &pool)
{
    ea_pool_stats_t stats;
    ea_pool_stats(&pool, &stats);
    return stats.n_live;
}

TEST(pooled_object_lives_as_long_as_its_owner, 0)
{
    StaticPool<Counted, 3> pool;
    {
        PooledPtr<Counted> a = pool.make(7);
        EXPECT(a && a->value == 7 && (*a).value == 7 && a.get() != nullptr);
        EXPECT(a != nullptr && !(a == nullptr));
        PooledPtr<Counted> b = pool.make(8), c = pool.make(), none = pool.make();
        EXPECT(b && c && !none && none == nullptr);
        EXPECT(a != b && none == PooledPtr<Counted>());
        EXPECT_EQ(Counted::alive, 3);
        b.reset();
        EXPECT_EQ(Counted::alive, 2);
        none = pool.make(9);
        EXPECT(none && none->value == 9);
        c = nullptr;
        EXPECT_EQ(Counted::alive, 2);
    }
    EXPECT_EQ(Counted::alive, 0);
    EXPECT_EQ(live(pool.pool()), 0);
    EXPECT_EQ(pool.capacity(), 3);
}

TEST(pooled_ptr_moves_ownership, 0)
{
    StaticPool<Counted, 2> pool, other;
    PooledPtr<Counted> a = pool.make(1), b = other.make(2);
    Counted *first = a.get();
    PooledPtr<Counted> c = std::move(a);
    EXPECT(!a && c.get() == first);
    c = std::move(b); // the first is destroyed, in its own pool
    EXPECT_EQ(Counted::alive, 1);
    EXPECT_EQ(live(pool.pool()), 0);
    EXPECT(c->value == 2 && !b);
    PooledPtr<Counted> &same = c;
    c = std::move(same);
    EXPECT(c && c->value == 2);
    a = pool.make(3);
    swap(a, c);
    EXPECT(a->value == 2 && c->value == 3);
    a.reset();
    EXPECT_EQ(live(other.pool()), 0);
    std::vector<PooledPtr<Counted>> owners;
    owners.push_back(std::move(c));
    owners.push_back(pool.make(4));
    owners.insert(owners.begin(), other.make(5));
    EXPECT_EQ(Counted::alive, 3);
    owners.clear();
    EXPECT_EQ(Counted::alive, 0);
}

TEST(pooled_object_is_handed_on_and_adopted, 0)
{
    StaticPool<Counted, 1> pool;
    Counted *raw = pool.make(5).release();
    EXPECT(raw != nullptr && Counted::alive == 1 && live(pool.pool()) == 1);
    {
        PooledPtr<Counted> owner(raw, pool.pool());
        EXPECT_EQ(owner->value, 5);
    }
    EXPECT_EQ(Counted::alive, 0);
    EXPECT_EQ(live(pool.pool()), 0);
}

struct alignas(128) Wide {
    unsigned char bytes[130];
};

TEST(static_pool_aligns_for_its_type, 0)
{
    StaticPool<Wide, 3> wide;
    StaticPool<char, 5> narrow;
    PooledPtr<Wide> blocks[3];
    for (PooledPtr<Wide> &block : blocks) {
        block = wide.make();
        REQUIRE(static_cast<bool>(block));
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.get()) % 128, 0);
        for (unsigned char &byte : block->bytes) byte = 0x5A;
    }
    EXPECT(!wide.make());
    PooledPtr<char> letters[5];
    for (PooledPtr<char> &letter : letters) letter = narrow.make('x');
    EXPECT(letters[4] && *letters[4] == 'x' && !narrow.make('y'));
}

EA_POOL_DEFINE(small_blocks, 8, 4);
EA_POOL_DEFINE(odd_blocks, sizeof(Wide) + 8, 4);

TEST(make_pooled_refuses_blocks_unfit_for_the_type, 0)
{
    EXPECT(!make_pooled<Wide>(small_blocks));
    for (int i = 0; i < 8; i++) { // not each is at a multiple of 128
        PooledPtr<Wide> block = make_pooled<Wide>(odd_blocks);
        EXPECT(!block || reinterpret_cast<std::uintptr_t>(block.get()) % 128 == 0);
    }
    EXPECT_EQ(live(small_blocks), 0);
    EXPECT_EQ(live(odd_blocks), 0);
    PooledPtr<const int> number = make_pooled<const int>(small_blocks, 3);
    EXPECT(number && *number == 3);
}

TEST(make_pooled_takes_from_a_heap, 4096)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), 4096, nullptr);
    REQUIRE(heap != nullptr);
    {
        auto a = make_pooled<Counted>(*heap, 6);
        auto b = make_pooled<Wide>(*heap);
        EXPECT(a && a->value == 6);
        EXPECT(b && reinterpret_cast<std::uintptr_t>(b.get()) % 128 == 0);
        struct Huge {
            char bytes[8192];
        };
        EXPECT(!make_pooled<Huge>(*heap));
    }
    EXPECT_EQ(Counted::alive, 0);
    EXPECT_EQ(ea_heap_deinit(heap), 0);
}

#if defined(__cpp_exceptions)
struct Throws {
    Throws()
    {
        throw 7;
    }
};

TEST(make_pooled_frees_the_block_when_the_constructor_throws, 0)
{
    StaticPool<Throws, 1> pool;
    for (int i = 0; i < 3; i++) {
        bool caught = false;
        try {
            (void)pool.make();
        } catch (int) {
            caught = true;
        }
        EXPECT(caught);
        EXPECT_EQ(live(pool.pool()), 0);
    }
}
#define THROW_TESTS , &make_pooled_frees_the_block_when_the_constructor_throws
#else
#define THROW_TESTS
#endif

TEST_MAIN(&pooled_object_lives_as_long_as_its_owner, &pooled_ptr_moves_ownership,
          &pooled_object_is_handed_on_and_adopted, &static_pool_aligns_for_its_type,
          &make_pooled_refuses_blocks_unfit_for_the_type,
          &make_pooled_takes_from_a_heap THROW_TESTS)
