// SPDX-License-Identifier: MIT
//
// ealloc in C++17: owning pointers and static pools (row A15), allocators for the standard
// containers and memory resources (row A11). Header only, on top of the C library. Needs neither
// exceptions nor RTTI, and no heap.
//
//   StaticPool<T, N>                  N objects of T and their pool in one object
//   PooledPtr<T>, make_pooled<T>()    sole owner of an object in a pool, pool set or heap
//   StackArena<Bytes, Policy>         a buffer in this very object
//   StackAllocator<T, Bytes, Policy>  standard allocator that takes from one
//   ArenaScope                        EA_ARENA_SCOPE() as an object
//   Track                             EA_TRACK() as an object
//   HeapResource, PoolSetResource,
//   ArenaResource                     std::pmr::memory_resource, where the library has it
//
// When memory ends: what returns a PooledPtr returns an empty one. What the standard obliges to
// return memory or throw does as its Policy says; the resources, and StackAllocator by default,
// throw std::bad_alloc, or with -fno-exceptions end in ea_port_panic().
//
// Context: as the store underneath; pools from anywhere, the rest from one context at a time.

#ifndef EALLOC_HPP
#define EALLOC_HPP

#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

#include "ealloc/ealloc.h"
#include "ealloc/port.h"

#if defined(__has_include)
#if __has_include(<memory_resource>)
#include <memory_resource>
#endif
#endif

namespace ealloc
{

// --- when memory ends ----------------------------------------------------------------------------

// A policy says where a StackArena goes when its buffer has no room. It has
//     void *obtain(std::size_t bytes, std::size_t alignment);   // memory, or does not return
//     void give_back(void *ptr, std::size_t bytes, std::size_t alignment) noexcept;

// End the program in ea_port_panic().
struct OrPanic {
    [[noreturn]] void *obtain(std::size_t, std::size_t) const
    {
        ea_port_panic("ealloc: no memory for a C++ allocation");
    }
    void give_back(void *, std::size_t, std::size_t) const noexcept
    {
    }
};

#if defined(__cpp_exceptions)
struct OrThrow {
    [[noreturn]] void *obtain(std::size_t, std::size_t) const
    {
        throw std::bad_alloc();
    }
    void give_back(void *, std::size_t, std::size_t) const noexcept
    {
    }
};
using OrFail = OrThrow;
#else
using OrFail = OrPanic;
#endif

// Take it from an upstream (ealloc/upstream.h); when that refuses too, do as Last says. A block
// costs a pointer and its alignment more there, since an upstream promises no alignment.
template <class Last = OrFail> class OrUpstreamThen : private Last
{
  public:
    explicit OrUpstreamThen(const ea_upstream_t &upstream, Last last = Last()) noexcept
        : Last(last), upstream_(upstream)
    {
    }

    void *obtain(std::size_t bytes, std::size_t alignment)
    {
        if (bytes > std::numeric_limits<std::size_t>::max() / 2 - extra(alignment))
            return Last::obtain(bytes, alignment);
        void *base = upstream_.alloc(upstream_.context, bytes + extra(alignment));
        if (base == nullptr) return Last::obtain(bytes, alignment);
        std::uintptr_t block = reinterpret_cast<std::uintptr_t>(base) + sizeof base;
        block = (block + (alignment - 1)) & ~static_cast<std::uintptr_t>(alignment - 1);
        void *ptr = reinterpret_cast<void *>(block);
        *slot(ptr) = Base{base};
        return ptr;
    }

    void give_back(void *ptr, std::size_t bytes, std::size_t alignment) noexcept
    {
        upstream_.free(upstream_.context, slot(ptr)->base, bytes + extra(alignment));
    }

  private:
    // Right below the block, so perhaps at an odd address.
    struct __attribute__((packed)) Base {
        void *base;
    };
    static Base *slot(void *ptr) noexcept
    {
        return reinterpret_cast<Base *>(static_cast<unsigned char *>(ptr) - sizeof(Base));
    }
    static constexpr std::size_t extra(std::size_t alignment) noexcept
    {
        return sizeof(Base) + alignment - 1;
    }

    ea_upstream_t upstream_;
};
using OrUpstream = OrUpstreamThen<>;

// --- pools ---------------------------------------------------------------------------------------

namespace detail
{

// Taking and giving back, by the kind of allocator. nullptr: refused.
inline void *take(ea_pool_t &pool, std::size_t bytes, std::size_t)
{
    return bytes <= ea_pool_block_bytes(&pool) ? ea_pool_alloc(&pool) : nullptr;
}
inline void give_back(ea_pool_t &pool, void *ptr) noexcept
{
    (void)ea_pool_free(&pool, ptr);
}

inline void *take(ea_poolset_t &set, std::size_t bytes, std::size_t)
{
    return ea_poolset_alloc(&set, bytes);
}
inline void give_back(ea_poolset_t &set, void *ptr) noexcept
{
    (void)ea_poolset_free(&set, ptr);
}

inline void *take(ea_heap_t &heap, std::size_t bytes, std::size_t alignment)
{
    return ea_heap_aligned_alloc(&heap, alignment, bytes);
}
inline void give_back(ea_heap_t &heap, void *ptr) noexcept
{
    (void)ea_heap_free(&heap, ptr);
}

// Gives a block back unless it is released: a constructor may throw.
template <class Allocator> class Guard
{
  public:
    Guard(Allocator &allocator, void *ptr) noexcept : allocator_(allocator), ptr_(ptr)
    {
    }
    Guard(const Guard &) = delete;
    Guard &operator=(const Guard &) = delete;
    ~Guard()
    {
        if (ptr_ != nullptr) give_back(allocator_, ptr_);
    }
    void release() noexcept
    {
        ptr_ = nullptr;
    }

  private:
    Allocator &allocator_;
    void *ptr_;
};

} // namespace detail

// Sole owner of an object that lies in a pool (or pool set, or heap): destroys it and gives its
// block back. As std::unique_ptr, but it converts to no base class: a block must come back at the
// address it was taken. Two words.
template <class T, class Allocator = ea_pool_t> class PooledPtr
{
    static_assert(!std::is_array<T>::value, "PooledPtr owns one object");

  public:
    using pointer = T *;
    using element_type = T;

    constexpr PooledPtr() noexcept = default;
    constexpr PooledPtr(std::nullptr_t) noexcept
    {
    }
    // Adopts an object that stands in a block of allocator, e.g. one that release() handed to C.
    PooledPtr(T *object, Allocator &allocator) noexcept : object_(object), allocator_(&allocator)
    {
    }
    PooledPtr(PooledPtr &&other) noexcept : object_(other.object_), allocator_(other.allocator_)
    {
        other.object_ = nullptr;
    }
    PooledPtr &operator=(PooledPtr &&other) noexcept
    {
        PooledPtr(std::move(other)).swap(*this);
        return *this;
    }
    PooledPtr &operator=(std::nullptr_t) noexcept
    {
        reset();
        return *this;
    }
    PooledPtr(const PooledPtr &) = delete;
    PooledPtr &operator=(const PooledPtr &) = delete;
    ~PooledPtr()
    {
        reset();
    }

    // Hands the object on: the caller owns it and its block.
    [[nodiscard]] T *release() noexcept
    {
        return std::exchange(object_, nullptr);
    }
    void reset() noexcept
    {
        T *object = release();
        if (object == nullptr) return;
        object->~T();
        detail::give_back(*allocator_, const_cast<std::remove_cv_t<T> *>(object));
    }
    void swap(PooledPtr &other) noexcept
    {
        std::swap(object_, other.object_);
        std::swap(allocator_, other.allocator_);
    }

    T *get() const noexcept
    {
        return object_;
    }
    T &operator*() const noexcept
    {
        return *object_;
    }
    T *operator->() const noexcept
    {
        return object_;
    }
    explicit operator bool() const noexcept
    {
        return object_ != nullptr;
    }

  private:
    T *object_ = nullptr;
    Allocator *allocator_ = nullptr;
};

template <class T, class A> bool operator==(const PooledPtr<T, A> &a, const PooledPtr<T, A> &b)
{
    return a.get() == b.get();
}
template <class T, class A> bool operator!=(const PooledPtr<T, A> &a, const PooledPtr<T, A> &b)
{
    return a.get() != b.get();
}
template <class T, class A> bool operator==(const PooledPtr<T, A> &a, std::nullptr_t)
{
    return a.get() == nullptr;
}
template <class T, class A> bool operator!=(const PooledPtr<T, A> &a, std::nullptr_t)
{
    return a.get() != nullptr;
}
template <class T, class A> void swap(PooledPtr<T, A> &a, PooledPtr<T, A> &b) noexcept
{
    a.swap(b);
}

// A new T in a block of allocator: an ea_pool_t, ea_poolset_t or ea_heap_t.
// Returns an empty pointer if there is no block, or if its blocks are too small for a T or not
// aligned for one. If the constructor throws, the block is free again.
template <class T, class Allocator, class... Args>
[[nodiscard]] PooledPtr<T, Allocator> make_pooled(Allocator &allocator, Args &&...args)
{
    void *block = detail::take(allocator, sizeof(T), alignof(T));
    detail::Guard<Allocator> guard(allocator, block);
    if (block == nullptr || reinterpret_cast<std::uintptr_t>(block) % alignof(T) != 0)
        return nullptr;
    T *object = ::new (block) T(std::forward<Args>(args)...);
    guard.release();
    return PooledPtr<T, Allocator>(object, allocator);
}

// N objects of T: the pool and its memory in one object, which must outlive what it made and is
// neither copied nor moved. Aligned for T, however much that is.
template <class T, std::size_t N> class StaticPool
{
    static_assert(N > 0, "a pool has at least one block");

  public:
    StaticPool() noexcept
    {
        if (ea_pool_init_aligned(&pool_, memory_, sizeof memory_, sizeof(T), alignof(T)) != EA_OK)
            ea_port_panic("ealloc: StaticPool of a type larger than a pool can hold");
    }
    StaticPool(const StaticPool &) = delete;
    StaticPool &operator=(const StaticPool &) = delete;

    // A new T; an empty pointer if N are alive. Context: any that may run T's constructor.
    template <class... Args> [[nodiscard]] PooledPtr<T> make(Args &&...args)
    {
        return make_pooled<T>(pool_, std::forward<Args>(args)...);
    }
    // For C functions and statistics.
    ea_pool_t &pool() noexcept
    {
        return pool_;
    }
    static constexpr std::size_t capacity() noexcept
    {
        return N;
    }

  private:
    // Aligned already, so exactly N blocks fit.
    static constexpr std::size_t align = alignof(T) > EA_POOL_ALIGN ? alignof(T) : EA_POOL_ALIGN;

    ea_pool_t pool_;
    alignas(align) unsigned char memory_[EA_POOL_BYTES_ALIGNED(sizeof(T), N, alignof(T)) -
                                         (align - 1) + (0 - EAI_POOL_BITS_BYTES(N)) % align];
};

// --- scopes --------------------------------------------------------------------------------------

// An operation, from here to the end of this object's life. With EA_CFG_TRACK 0 it does nothing.
class Track
{
  public:
#if EA_CFG_TRACK
    Track(ea_scopes_t &scopes, const char *name) noexcept
    {
        ea_scope_begin(&scope_, &scopes, name);
    }
    ~Track()
    {
        (void)ea_scope_end(&scope_, nullptr);
    }
#else
    Track(ea_scopes_t &, const char *) noexcept
    {
    }
    ~Track()
    {
    }
#endif
    Track(const Track &) = delete;
    Track &operator=(const Track &) = delete;

  private:
#if EA_CFG_TRACK
    ea_scope_t scope_;
#endif
};

// --- arenas --------------------------------------------------------------------------------------

// Gives back what was taken at one end of an arena during its life.
class ArenaScope
{
  public:
    explicit ArenaScope(ea_arena_t &arena, ea_arena_end_t end = EA_ARENA_LOW) noexcept
        : arena_(arena), mark_(ea_arena_mark(&arena, end))
    {
    }
    ArenaScope(const ArenaScope &) = delete;
    ArenaScope &operator=(const ArenaScope &) = delete;
    ~ArenaScope()
    {
        (void)ea_arena_rewind(&arena_, &mark_);
    }

  private:
    ea_arena_t &arena_;
    ea_arena_mark_t mark_;
};

// Bytes of memory in this object, for any number of StackAllocators. It packs tightly, gives the
// last block back when that is freed, and the others with the buffer. Neither copied nor moved.
template <std::size_t Bytes, class Policy = OrFail> class StackArena : private Policy
{
    static_assert(Bytes > 0, "a buffer has at least one byte");

  public:
    explicit StackArena(Policy policy = Policy()) noexcept : Policy(std::move(policy))
    {
        start();
    }
    StackArena(const StackArena &) = delete;
    StackArena &operator=(const StackArena &) = delete;

    void *allocate(std::size_t bytes, std::size_t alignment)
    {
        void *ptr = ea_arena_alloc_aligned(&arena_, alignment, bytes);
        return ptr != nullptr ? ptr : Policy::obtain(bytes, alignment);
    }
    void deallocate(void *ptr, std::size_t bytes, std::size_t alignment) noexcept
    {
        if (owns(ptr))
            (void)ea_arena_free(&arena_, ptr, bytes);
        else
            Policy::give_back(ptr, bytes, alignment);
    }
    // The whole buffer is free again. No container may use it any more; what the policy obtained
    // is not touched.
    void reset() noexcept
    {
        start();
    }
    bool owns(const void *ptr) const noexcept
    {
        const std::uintptr_t offset =
            reinterpret_cast<std::uintptr_t>(ptr) - reinterpret_cast<std::uintptr_t>(&buffer_[0]);
        return offset < Bytes;
    }
    std::size_t free_bytes() const noexcept
    {
        ea_arena_stats_t stats;
        ea_arena_stats(&arena_, &stats);
        return stats.free_bytes;
    }

  private:
    void start() noexcept
    {
        ea_arena_options_t options = {};
        options.alignment_bytes = 1;
        if (ea_arena_init(&arena_, buffer_, Bytes, &options) != EA_OK)
            ea_port_panic("ealloc: StackArena");
    }

    ea_arena_t arena_;
    alignas(std::max_align_t) unsigned char buffer_[Bytes];
};

// A standard allocator on a StackArena, which must outlive every container that uses it. Copies,
// also rebound ones, use the same arena and compare equal. As with std::pmr a container keeps its
// arena for life: copy and move assignment and swap do not exchange it; a moved-from container of
// another arena is copied element by element.
template <class T, std::size_t Bytes, class Policy = OrFail> class StackAllocator
{
  public:
    using value_type = T;
    using propagate_on_container_copy_assignment = std::false_type;
    using propagate_on_container_move_assignment = std::false_type;
    using propagate_on_container_swap = std::false_type;
    using is_always_equal = std::false_type;
    using arena_type = StackArena<Bytes, Policy>;
    template <class U> struct rebind {
        using other = StackAllocator<U, Bytes, Policy>;
    };

    StackAllocator(arena_type &arena) noexcept : arena_(&arena)
    {
    }
    template <class U>
    StackAllocator(const StackAllocator<U, Bytes, Policy> &other) noexcept : arena_(&other.arena())
    {
    }

    // Never nullptr: what cannot be served goes to the policy.
    [[nodiscard]] T *allocate(std::size_t n)
    {
        // No arena and no upstream grants the saturated size.
        const bool fits = n <= std::numeric_limits<std::size_t>::max() / sizeof(T);
        const std::size_t bytes = fits ? n * sizeof(T) : std::numeric_limits<std::size_t>::max();
        return static_cast<T *>(arena_->allocate(bytes, alignof(T)));
    }
    void deallocate(T *ptr, std::size_t n) noexcept
    {
        arena_->deallocate(ptr, n * sizeof(T), alignof(T));
    }
    arena_type &arena() const noexcept
    {
        return *arena_;
    }

  private:
    arena_type *arena_;
};

template <class T, class U, std::size_t Bytes, class Policy>
bool operator==(const StackAllocator<T, Bytes, Policy> &a,
                const StackAllocator<U, Bytes, Policy> &b) noexcept
{
    return &a.arena() == &b.arena();
}
template <class T, class U, std::size_t Bytes, class Policy>
bool operator!=(const StackAllocator<T, Bytes, Policy> &a,
                const StackAllocator<U, Bytes, Policy> &b) noexcept
{
    return !(a == b);
}

// --- std::pmr ------------------------------------------------------------------------------------

#if defined(__cpp_lib_memory_resource)

namespace detail
{

// What the resources share. Two are equal if they are one, or, where RTTI can tell, if they are of
// one kind and stand on one store. Store has take() and give_back() as above.
template <class Self, class Store> class Resource : public std::pmr::memory_resource
{
  public:
    explicit Resource(Store &store) noexcept : store_(&store)
    {
    }
    Store &store() const noexcept
    {
        return *store_;
    }

  private:
    void *do_allocate(std::size_t bytes, std::size_t alignment) override
    {
        void *ptr = Self::take(*store_, bytes > 0 ? bytes : 1, alignment);
        return ptr != nullptr ? ptr : OrFail().obtain(bytes, alignment);
    }
    void do_deallocate(void *ptr, std::size_t bytes, std::size_t) override
    {
        Self::give_back(*store_, ptr, bytes > 0 ? bytes : 1);
    }
    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
#if defined(__cpp_rtti)
        const Self *same = dynamic_cast<const Self *>(&other);
        return same != nullptr && same->store_ == store_;
#else
        return this == &other;
#endif
    }

    Store *store_;
};

} // namespace detail

// Blocks of an ea_heap_t.
class HeapResource final : public detail::Resource<HeapResource, ea_heap_t>
{
  public:
    using Resource::Resource;

  private:
    friend class detail::Resource<HeapResource, ea_heap_t>;
    static void *take(ea_heap_t &heap, std::size_t bytes, std::size_t alignment)
    {
        return ea_heap_aligned_alloc(&heap, alignment, bytes);
    }
    static void give_back(ea_heap_t &heap, void *ptr, std::size_t)
    {
        (void)ea_heap_free(&heap, ptr);
    }
};

// Blocks of an ea_poolset_t. What its classes align to is the most that it serves.
class PoolSetResource final : public detail::Resource<PoolSetResource, ea_poolset_t>
{
  public:
    using Resource::Resource;

  private:
    friend class detail::Resource<PoolSetResource, ea_poolset_t>;
    static void *take(ea_poolset_t &set, std::size_t bytes, std::size_t alignment)
    {
        void *ptr = ea_poolset_alloc(&set, bytes);
        if (reinterpret_cast<std::uintptr_t>(ptr) % alignment == 0) return ptr;
        (void)ea_poolset_free(&set, ptr);
        return nullptr;
    }
    static void give_back(ea_poolset_t &set, void *ptr, std::size_t bytes)
    {
        (void)ea_poolset_free_sized(&set, ptr, bytes);
    }
};

// Low blocks of an ea_arena_t: the last one comes back when it is freed, the others with the next
// rewind or reset.
class ArenaResource final : public detail::Resource<ArenaResource, ea_arena_t>
{
  public:
    using Resource::Resource;

  private:
    friend class detail::Resource<ArenaResource, ea_arena_t>;
    static void *take(ea_arena_t &arena, std::size_t bytes, std::size_t alignment)
    {
        return ea_arena_alloc_aligned(&arena, alignment, bytes);
    }
    static void give_back(ea_arena_t &arena, void *ptr, std::size_t bytes)
    {
        (void)ea_arena_free(&arena, ptr, bytes);
    }
};

#endif // __cpp_lib_memory_resource

} // namespace ealloc

#endif
