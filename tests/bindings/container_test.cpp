// SPDX-License-Identifier: MIT
//
// StackAllocator and the memory resources in the containers of the standard library (row A11).

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "cpp_testing.hpp"

using ealloc::OrUpstream;
using ealloc::StackAllocator;
using ealloc::StackArena;

static constexpr std::size_t ROOM = 8192;
using Arena = StackArena<ROOM, OrUpstream>;
template <class T> using Alloc = StackAllocator<T, ROOM, OrUpstream>;
template <class T> using Vector = std::vector<T, Alloc<T>>;
template <class T> using List = std::list<T, Alloc<T>>;
template <class K, class V> using Map = std::map<K, V, std::less<K>, Alloc<std::pair<const K, V>>>;
using String = std::basic_string<char, std::char_traits<char>, Alloc<char>>;

using Traits = std::allocator_traits<Alloc<int>>;
static_assert(std::is_same<Traits::rebind_alloc<char>, Alloc<char>>::value, "");
static_assert(std::is_same<Traits::value_type, int>::value, "");
static_assert(!Traits::is_always_equal::value, "");
static_assert(!Traits::propagate_on_container_swap::value, "");
static_assert(std::is_nothrow_copy_constructible<Alloc<int>>::value, "");
static_assert(std::is_nothrow_copy_assignable<Alloc<int>>::value, "");
static_assert(std::is_nothrow_constructible<Alloc<int>, const Alloc<char> &>::value, "");
static_assert(!std::is_copy_constructible<Arena>::value, "");

TEST(stack_allocator_copies_and_rebinds_to_the_same_arena, 0)
{
    Upstream upstream;
    Arena arena{OrUpstream(upstream.get())}, other{OrUpstream(upstream.get())};
    Alloc<int> a(arena), b(other), c(a);
    Alloc<double> d(a);
    Alloc<int> back(d);
    EXPECT(a == c && a == d && a == back && !(a != back));
    EXPECT(a != b && d != b && !(a == b));
    EXPECT(Traits::select_on_container_copy_construction(a) == a);
    int *ptr = a.allocate(3); // one allocates, an equal one of another type frees
    back.deallocate(ptr, 3);
    b = a;
    EXPECT(b == a);
    EXPECT_EQ(arena.free_bytes(), ROOM);
}

TEST(stack_allocator_serves_every_container, 0)
{
    Upstream upstream;
    Arena arena{OrUpstream(upstream.get())};
    Alloc<int> alloc(arena);
    {
        Vector<Counted> vector(alloc);
        List<Counted> list(alloc);
        std::deque<Counted, Alloc<Counted>> deque(alloc);
        Map<int, String> map(alloc);
        std::set<Counted, std::less<Counted>, Alloc<Counted>> set(alloc);
        std::unordered_map<int, int, std::hash<int>, std::equal_to<int>,
                           Alloc<std::pair<const int, int>>>
            hash(alloc);
        for (int i = 0; i < 60; i++) {
            vector.emplace_back(i);
            list.emplace_front(i);
            deque.emplace_back(i);
            map.emplace(i * 7 % 60, String("a text that is too long to be stored inside", alloc));
            set.emplace(i % 10);
            hash[i] = i;
        }
        EXPECT(vector.size() == 60 && list.size() == 60 && deque.size() == 60 && set.size() == 10);
        EXPECT(vector[59].value == 59 && list.front().value == 59 && deque[59].value == 59);
        EXPECT(map.size() == 60 && map.begin()->second.get_allocator() == alloc);
        EXPECT(hash.at(42) == 42);
        list.remove(Counted(30));
        vector.erase(vector.begin());
        map.erase(3);
        list.sort();
        EXPECT(list.front().value == 0 && list.size() == 59);
        EXPECT(arena.owns(vector.data()) || upstream.n_live > 0);
    }
    EXPECT_EQ(Counted::alive, 0);
    EXPECT(upstream.n_calls > 0); // it was more than the arena holds
    EXPECT_EQ(upstream.n_live, 0);
    EXPECT_EQ(upstream.live_bytes, 0);
}

TEST(stack_allocator_containers_copy_and_move_as_the_standard_requires, 0)
{
    Upstream upstream;
    Arena arena{OrUpstream(upstream.get())}, other{OrUpstream(upstream.get())};
    Vector<Counted> a({Counted(1), Counted(2), Counted(3)}, Alloc<Counted>(arena));
    Vector<Counted> copy(a);
    EXPECT(copy == a && copy.get_allocator() == a.get_allocator() && copy.data() != a.data());
    Vector<Counted> elsewhere(a, Alloc<Counted>(other));
    EXPECT(elsewhere == a && other.owns(elsewhere.data()));

    const Counted *data = a.data();
    Vector<Counted> moved(std::move(a)); // the block changes hands
    EXPECT(moved.data() == data && moved.size() == 3 && a.empty());
    Vector<Counted> same(std::move(moved), Alloc<Counted>(arena));
    EXPECT(same.data() == data);
    Vector<Counted> far(std::move(same), Alloc<Counted>(other)); // element by element
    EXPECT(far.data() != data && other.owns(far.data()) && far.size() == 3);

    copy = elsewhere; // assignment does not exchange the allocator
    EXPECT(copy.get_allocator() == Alloc<Counted>(arena) && arena.owns(copy.data()));
    copy.push_back(Counted(4));
    elsewhere = std::move(copy);
    EXPECT(elsewhere.size() == 4 && other.owns(elsewhere.data()));
    elsewhere.swap(far);
    EXPECT(elsewhere.size() == 3 && far.size() == 4);

    List<int> list({1, 2, 3}, Alloc<int>(arena)), more({4, 5}, Alloc<int>(arena));
    list.splice(list.end(), more);
    EXPECT(list.size() == 5 && more.empty());
    Map<int, int> map({{1, 2}, {3, 4}}, Alloc<int>(arena));
    auto node = map.extract(1);
    EXPECT(node.get_allocator() == Alloc<int>(arena));
    Map<int, int> target(Alloc<int>{arena});
    target.insert(std::move(node));
    EXPECT(target.at(1) == 2 && map.size() == 1);
    std::shared_ptr<Counted> shared = std::allocate_shared<Counted>(Alloc<Counted>(arena), 8);
    EXPECT(shared->value == 8 && arena.owns(shared.get()));
}

TEST(stack_allocator_aligns_and_packs, 0)
{
    struct alignas(64) Wide {
        char bytes[64];
    };
    Upstream upstream;
    StackArena<256, OrUpstream> arena{OrUpstream(upstream.get())};
    StackAllocator<char, 256, OrUpstream> chars(arena);
    StackAllocator<Wide, 256, OrUpstream> wides(arena);
    char *letters[100];
    for (int i = 0; i < 100; i++) letters[i] = chars.allocate(1);
    EXPECT(letters[99] - letters[0] == 99);
    Wide *wide[4];
    for (Wide *&w : wide) {
        w = wides.allocate(1);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(w) % 64, 0);
        w->bytes[63] = 1;
    }
    EXPECT(arena.owns(wide[0]) && !arena.owns(wide[3]));
    for (Wide *w : wide) wides.deallocate(w, 1);
    EXPECT(upstream.n_calls >= 2 && upstream.n_live == 0);
    arena.reset();
    EXPECT_EQ(arena.free_bytes(), 256);
}

TEST(stack_allocator_gives_the_last_block_back, 0)
{
    Upstream upstream;
    Arena arena{OrUpstream(upstream.get())};
    List<int> list{Alloc<int>(arena)};
    list.push_back(0);
    const std::size_t before = arena.free_bytes();
    for (int i = 0; i < 10000; i++) {
        list.push_back(i);
        list.pop_back();
    }
    EXPECT_EQ(arena.free_bytes(), before);
    EXPECT_EQ(upstream.n_calls, 0);
}

// --- when memory ends ----------------------------------------------------------------------------

TEST(stack_allocator_without_memory_panics_where_that_is_the_policy, 0)
{
    StackArena<64, ealloc::OrPanic> arena;
    StackAllocator<int, 64, ealloc::OrPanic> alloc(arena);
    int *ptr = alloc.allocate(16);
    EXPECT(ptr != nullptr);
    EXPECT(panics([&] { (void)alloc.allocate(1); }));
    EXPECT(panics([&] { (void)alloc.allocate(std::numeric_limits<std::size_t>::max() / 2); }));
    Upstream upstream;
    upstream.refuse_from = 1;
    using Last = ealloc::OrUpstreamThen<ealloc::OrPanic>;
    StackArena<16, Last> poor{Last(upstream.get())};
    EXPECT(panics([&] { (void)poor.allocate(17, 1); }));
    EXPECT(!panics([&] { (void)poor.allocate(16, 1); }));
    alloc.deallocate(ptr, 16);
}

#if defined(__cpp_exceptions)
template <class Body> static bool throws_bad_alloc(Body body)
{
    try {
        body();
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

TEST(stack_allocator_without_memory_throws_and_nothing_is_lost, 0)
{
    StackArena<512> arena;
    std::vector<Counted, StackAllocator<Counted, 512>> vector(arena);
    std::size_t n = 0;
    EXPECT(throws_bad_alloc([&] {
        for (;; n++) vector.emplace_back(static_cast<int>(n));
    }));
    EXPECT(n > 10 && vector.size() == n && vector.back().value == static_cast<int>(n) - 1);
    EXPECT(throws_bad_alloc([&] { vector.reserve(vector.max_size()); }));
    vector.clear();
    EXPECT_EQ(Counted::alive, 0);
}

/* Fail the Nth call of the upstream, for every N. */
TEST(stack_allocator_passes_a_refusal_of_the_upstream_on, 0)
{
    for (std::size_t refuse_from = 1; refuse_from < 30; refuse_from++) {
        Upstream upstream;
        upstream.refuse_from = refuse_from;
        {
            using Small = StackArena<128, OrUpstream>;
            Small arena{OrUpstream(upstream.get())};
            StackAllocator<Counted, 128, OrUpstream> alloc(arena);
            std::list<Counted, StackAllocator<Counted, 128, OrUpstream>> list(alloc);
            EXPECT(throws_bad_alloc([&] {
                for (int i = 0; i < 100; i++) list.emplace_back(i);
            }));
            int i = 0;
            for (const Counted &item : list) EXPECT_EQ(item.value, i++);
        }
        EXPECT_EQ(Counted::alive, 0);
        EXPECT_EQ(upstream.n_live, 0);
    }
}
#define THROW_TESTS                                                                                \
    , &stack_allocator_without_memory_throws_and_nothing_is_lost,                                  \
        &stack_allocator_passes_a_refusal_of_the_upstream_on
#else
#define THROW_TESTS
#endif

// --- std::pmr ------------------------------------------------------------------------------------

#if defined(__cpp_lib_memory_resource)

static void use_resource(std::pmr::memory_resource &resource)
{
    std::pmr::vector<std::pmr::string> lines(&resource);
    std::pmr::map<int, std::pmr::list<int>> lists(&resource);
    for (int i = 0; i < 30; i++) {
        lines.emplace_back("a line that is long enough to need memory of its own");
        lists[i % 5].push_back(i);
    }
    EXPECT(lines.back().get_allocator().resource() == &resource);
    EXPECT(lists.at(3).size() == 6);
    std::pmr::vector<std::pmr::string> copy(lines, &resource), moved(std::move(lines));
    EXPECT(copy == moved);
    void *aligned = resource.allocate(10, 256), *nothing = resource.allocate(0, 1);
    EXPECT(reinterpret_cast<std::uintptr_t>(aligned) % 256 == 0 && nothing != nullptr);
    resource.deallocate(nothing, 0, 1);
    resource.deallocate(aligned, 10, 256);
}

TEST(heap_resource_serves_containers, 32768)
{
    ea_heap_t *heap = ea_heap_init(tap_ram(), 32768, nullptr);
    REQUIRE(heap != nullptr);
    {
        ealloc::HeapResource resource(*heap);
        use_resource(resource);
        EXPECT(&resource.store() == heap);
        std::pmr::unsynchronized_pool_resource pools(&resource);
        std::pmr::monotonic_buffer_resource bump(&resource);
        std::pmr::vector<int> a(1000, 1, &bump);
        std::pmr::list<int> b({1, 2, 3}, &pools);
        EXPECT(panics([&] { // also where it throws: out of a noexcept function
            [&]() noexcept { (void)resource.allocate(40000, 8); }();
        }));
    }
    EXPECT_EQ(ea_heap_check(heap, nullptr), EA_OK);
    EXPECT_EQ(ea_heap_deinit(heap), 0);
}

// A class for each size that containers ask for; blocks of 64 and up are aligned to 16 only.
#define CLASSES(CLASS, name)                                                                       \
    CLASS(name, a, 32, 64)                                                                         \
    CLASS(name, b, 64, 80) CLASS(name, c, 128, 40) CLASS(name, d, 256, 8) CLASS(name, e, 4096, 4)
EA_POOLSET_DEFINE_CLASSES(classes, CLASSES, EA_POOLSET_NEXT_LARGER, 0, nullptr);

TEST(poolset_resource_serves_containers, 0)
{
    ealloc::PoolSetResource resource(classes);
    {
        std::pmr::vector<std::pmr::string> lines(&resource);
        std::pmr::map<int, std::pmr::list<int>> lists(&resource);
        for (int i = 0; i < 30; i++) {
            lines.emplace_back("a line that is long enough to need memory of its own");
            lists[i % 5].push_back(i);
        }
        EXPECT(lines.size() == 30 && lists.at(3).size() == 6);
        EXPECT(panics([&] { [&]() noexcept { (void)resource.allocate(5000, 8); }(); }));
        EXPECT(panics([&] { [&]() noexcept { (void)resource.allocate(8, 65536); }(); }));
        auto owner = ealloc::make_pooled<Counted>(classes, 9);
        EXPECT(owner && owner->value == 9);
    }
    ea_poolset_stats_t stats;
    ea_poolset_stats(&classes, &stats);
    EXPECT_EQ(stats.n_live, 0);
    EXPECT_EQ(Counted::alive, 0);
}

TEST(arena_resource_serves_containers, 32768)
{
    ea_arena_t arena;
    REQUIRE(ea_arena_init(&arena, tap_ram(), 32768, nullptr) == EA_OK);
    ealloc::ArenaResource resource(arena);
    for (int i = 0; i < 20; i++) {
        ealloc::ArenaScope scope(arena);
        use_resource(resource);
    }
    ea_arena_stats_t stats;
    ea_arena_stats(&arena, &stats);
    EXPECT_EQ(stats.low_bytes, 0);
    EXPECT(stats.peak_bytes > 0);
    EXPECT_EQ(ea_arena_check(&arena, nullptr), EA_OK);
}

TEST(resources_are_equal_where_they_stand_on_one_store, 8192)
{
    char *ram = static_cast<char *>(tap_ram());
    ea_heap_t *heap = ea_heap_init(ram, 4096, nullptr);
    ea_heap_t *other_heap = ea_heap_init(ram + 4096, 2048, nullptr);
    ea_arena_t arena;
    REQUIRE(heap && other_heap && ea_arena_init(&arena, ram + 6144, 2048, nullptr) == EA_OK);
    ealloc::HeapResource a(*heap), b(*heap), c(*other_heap);
    ealloc::ArenaResource d(arena);
    EXPECT(a == a && a != c && c != a);
    EXPECT(!a.is_equal(d) && !d.is_equal(a));
#if defined(__cpp_rtti)
    EXPECT(a == b && b == a);
#else
    EXPECT(a != b); // nobody can tell: they count as different
#endif
}
#define PMR_TESTS                                                                                  \
    , &heap_resource_serves_containers, &poolset_resource_serves_containers,                       \
        &arena_resource_serves_containers, &resources_are_equal_where_they_stand_on_one_store
#else
#define PMR_TESTS
#endif

TEST(arena_scope_is_an_object, 1024)
{
    ea_arena_t arena;
    REQUIRE(ea_arena_init(&arena, tap_ram(), 1024, nullptr) == EA_OK);
    for (ea_arena_end_t end : {EA_ARENA_LOW, EA_ARENA_HIGH}) {
        ealloc::ArenaScope outer(arena, end);
        EXPECT(ea_arena_alloc(&arena, 10) != nullptr && ea_arena_alloc_high(&arena, 10) != nullptr);
    }
    ea_arena_stats_t stats;
    ea_arena_stats(&arena, &stats);
    EXPECT(stats.low_bytes > 0 && stats.low_bytes < 32);
    EXPECT(stats.high_bytes > 0 && stats.high_bytes < 32);
    EA_ARENA_SCOPE(&arena)
    {
        EXPECT(ea_arena_alloc(&arena, 500) != nullptr);
    }
    ea_arena_stats(&arena, &stats);
    EXPECT(stats.low_bytes < 32);
}

TEST_MAIN(&stack_allocator_copies_and_rebinds_to_the_same_arena,
          &stack_allocator_serves_every_container,
          &stack_allocator_containers_copy_and_move_as_the_standard_requires,
          &stack_allocator_aligns_and_packs, &stack_allocator_gives_the_last_block_back,
          &stack_allocator_without_memory_panics_where_that_is_the_policy,
          &arena_scope_is_an_object THROW_TESTS PMR_TESTS)
