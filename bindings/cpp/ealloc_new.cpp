// SPDX-License-Identifier: MIT
//
// operator new and delete over the allocator of bindings/libc/ealloc_malloc.h: plain, array, aligned
// (C++17), sized and nothrow. Blocks of new and of malloc are of one allocator and may not be mixed
// all the same.
//
// What new does when there is no memory and the new handler, if there is one, gave up:
//   with exceptions      it throws std::bad_alloc
//   without, EALLOC_NEW_RETURNS_NULL 0 (default)  ea_port_panic()
//   without, EALLOC_NEW_RETURNS_NULL 1            it returns nullptr; compile what uses it with
//                        -fcheck-new, else the compiler takes for granted that it never does
#include <cstddef>
#include <new>

#include "ealloc/port.h"
#include "ealloc_malloc.h"

#ifndef EALLOC_NEW_RETURNS_NULL
#define EALLOC_NEW_RETURNS_NULL 0
#endif

namespace
{

// nullptr: there is none.
void *obtain(std::size_t size_bytes, std::size_t alignment_bytes, const void *caller) noexcept
{
    ea_request_t request = {};
    if (size_bytes == 0) size_bytes = 1;
    if (alignment_bytes == 0 && __STDCPP_DEFAULT_NEW_ALIGNMENT__ > EA_HEAP_ALIGN &&
        size_bytes >= __STDCPP_DEFAULT_NEW_ALIGNMENT__)
        alignment_bytes = __STDCPP_DEFAULT_NEW_ALIGNMENT__;
    request.alignment_bytes = alignment_bytes;
    request.caller = caller;
    ea_allocator_t *a = ealloc_malloc_allocator();
    return a ? ea_malloc_ex(a, size_bytes, &request) : nullptr;
}

// The same after what the new handler did for it. Bound: the handler's own.
void *insist(std::size_t size_bytes, std::size_t alignment_bytes, const void *caller)
{
    for (;;) {
        void *block = obtain(size_bytes, alignment_bytes, caller);
        if (block) return block;
        std::new_handler handler = std::get_new_handler();
        if (!handler) return nullptr;
        handler();
    }
}

void *demand(std::size_t size_bytes, std::size_t alignment_bytes, const void *caller)
{
    void *block = insist(size_bytes, alignment_bytes, caller);
    if (block) return block;
#if defined(__cpp_exceptions)
    throw std::bad_alloc();
#elif EALLOC_NEW_RETURNS_NULL
    return nullptr;
#else
    ea_port_panic("operator new: no memory");
#endif
}

void *attempt(std::size_t size_bytes, std::size_t alignment_bytes, const void *caller) noexcept
{
#if defined(__cpp_exceptions)
    try {
        return insist(size_bytes, alignment_bytes, caller);
    } catch (...) {
        return nullptr;
    }
#else
    return insist(size_bytes, alignment_bytes, caller);
#endif
}

void release(void *ptr) noexcept
{
    ea_allocator_t *a = ptr ? ealloc_malloc_allocator() : nullptr;
    if (a) (void)ea_free(a, ptr);
}

} // namespace

#define CALLER __builtin_return_address(0)

// clang-format off
void *operator new(std::size_t n) { return demand(n, 0, CALLER); }
void *operator new[](std::size_t n) { return demand(n, 0, CALLER); }
void *operator new(std::size_t n, const std::nothrow_t &) noexcept { return attempt(n, 0, CALLER); }
void *operator new[](std::size_t n, const std::nothrow_t &) noexcept { return attempt(n, 0, CALLER); }
void operator delete(void *p) noexcept { release(p); }
void operator delete[](void *p) noexcept { release(p); }
void operator delete(void *p, std::size_t) noexcept { release(p); }
void operator delete[](void *p, std::size_t) noexcept { release(p); }
void operator delete(void *p, const std::nothrow_t &) noexcept { release(p); }
void operator delete[](void *p, const std::nothrow_t &) noexcept { release(p); }

#if defined(__cpp_aligned_new)
using std::align_val_t;
static inline std::size_t bytes(align_val_t a) { return static_cast<std::size_t>(a); }
void *operator new(std::size_t n, align_val_t a) { return demand(n, bytes(a), CALLER); }
void *operator new[](std::size_t n, align_val_t a) { return demand(n, bytes(a), CALLER); }
void *operator new(std::size_t n, align_val_t a, const std::nothrow_t &) noexcept { return attempt(n, bytes(a), CALLER); }
void *operator new[](std::size_t n, align_val_t a, const std::nothrow_t &) noexcept { return attempt(n, bytes(a), CALLER); }
void operator delete(void *p, align_val_t) noexcept { release(p); }
void operator delete[](void *p, align_val_t) noexcept { release(p); }
void operator delete(void *p, std::size_t, align_val_t) noexcept { release(p); }
void operator delete[](void *p, std::size_t, align_val_t) noexcept { release(p); }
void operator delete(void *p, align_val_t, const std::nothrow_t &) noexcept { release(p); }
void operator delete[](void *p, align_val_t, const std::nothrow_t &) noexcept { release(p); }
#endif
// clang-format on
