/* SPDX-License-Identifier: MIT
 *
 * malloc and its kin over an allocator, instead of libc's own. Whatever of them newlib and picolibc
 * define is defined here, so that no object of theirs is taken from libc.a; newlib's own functions
 * call those that end in _r, which are the same.
 *
 * What C leaves open: malloc(0) returns a block of its own, realloc(ptr, 0) frees and returns NULL.
 * A request that is refused sets errno to ENOMEM. free() of what is no live block is reported as
 * the allocator's options say, and changes nothing.
 *
 * Memory, if the application does not define ealloc_malloc_allocator() itself; macros for the
 * compiler's command line:
 *   EALLOC_MALLOC_BYTES  so many bytes of .bss; default 0: the next two
 *   EALLOC_MALLOC_BEGIN, EALLOC_MALLOC_END  symbols of the linker script, around the memory;
 *   default
 *                        __heap_start and __heap_end
 * A heap with 16-bit links (the default of 32-bit machines) spans 256 KB: with more memory than
 * EA_CFG_ALLOC_REGIONS such heaps can hold set EA_CFG_HEAP_LINK_BITS to 32, or the rest is not
 * used.
 */
#include "ealloc_malloc.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#ifndef EALLOC_MALLOC_BYTES
#define EALLOC_MALLOC_BYTES 0
#endif
#ifndef EALLOC_MALLOC_BEGIN
#define EALLOC_MALLOC_BEGIN __heap_start
#endif
#ifndef EALLOC_MALLOC_END
#define EALLOC_MALLOC_END __heap_end
#endif

/* --- the allocator ---------------------------------------------------------------------------- */

#if EALLOC_MALLOC_BYTES > 0
static _Alignas(EA_HEAP_ALIGN) char memory[EALLOC_MALLOC_BYTES];
#define MEMORY memory
#define MEMORY_BYTES sizeof memory
#else
extern char EALLOC_MALLOC_BEGIN[], EALLOC_MALLOC_END[];
#define MEMORY EALLOC_MALLOC_BEGIN
#define MEMORY_BYTES ((size_t)((uintptr_t)EALLOC_MALLOC_END - (uintptr_t)EALLOC_MALLOC_BEGIN))
#endif

/* What one heap cannot span, several regions share. */
static bool add_memory(ea_allocator_t *a)
{
    char *at = MEMORY;
    size_t left = MEMORY_BYTES;
    for (unsigned i = 0; i < EA_CFG_ALLOC_REGIONS && left != 0; i++) {
        size_t bytes = left;
        while (bytes != 0 && ea_allocator_add_region(a, at, bytes, NULL) != EA_OK) bytes /= 2;
        at += bytes;
        left -= bytes;
    }
    return at != MEMORY;
}

EA_WEAK ea_allocator_t *ealloc_malloc_allocator(void)
{
    static ea_allocator_t allocator;
    static enum { NOT_MADE, IN_THE_MAKING, READY } state;
    if (EA_LIKELY(__atomic_load_n(&state, __ATOMIC_ACQUIRE) == READY)) return &allocator;
    ea_port_irq_t irq = ea_port_irq_mask();
    bool first = state == NOT_MADE;
    if (first) __atomic_store_n(&state, IN_THE_MAKING, __ATOMIC_RELAXED);
    ea_port_irq_restore(irq);
    if (!first || ea_allocator_init(&allocator, NULL) != EA_OK || !add_memory(&allocator))
        return NULL;
    __atomic_store_n(&state, READY, __ATOMIC_RELEASE);
    return &allocator;
}

/* --- one request ------------------------------------------------------------------------------ */

/* Every object that fits a block may lie there, also one that wants more than the heap's own. */
#define MOST_ALIGNED _Alignof(max_align_t)
static size_t alignment_for(size_t size_bytes)
{
    return MOST_ALIGNED > EA_HEAP_ALIGN && size_bytes >= MOST_ALIGNED ? MOST_ALIGNED : 0;
}

/* NULL: there is none, and errno says so. */
static void *obtain(size_t alignment_bytes, size_t size_bytes, bool zeroed, const void *caller)
{
    if (size_bytes == 0) size_bytes = 1;
    if (alignment_bytes == 0) alignment_bytes = alignment_for(size_bytes);
    const ea_request_t request = {
        .alignment_bytes = alignment_bytes, .zeroed = zeroed, .caller = caller};
    ea_allocator_t *a = ealloc_malloc_allocator();
    void *block = a ? ea_malloc_ex(a, size_bytes, &request) : NULL;
    if (!block) errno = ENOMEM;
    return block;
}

static void *resize(void *ptr, size_t size_bytes, const void *caller)
{
    if (!ptr) return obtain(0, size_bytes, false, caller);
    ea_allocator_t *a = ealloc_malloc_allocator();
    if (!a) return NULL;
    size_t alignment_bytes = alignment_for(size_bytes);
    void *block = alignment_bytes ? ea_aligned_realloc(a, ptr, alignment_bytes, size_bytes)
                                  : ea_realloc(a, ptr, size_bytes);
    if (!block && size_bytes != 0) errno = ENOMEM;
    return block;
}

/* SIZE_MAX, which no region has, for a product that is too large. */
static size_t product(size_t n, size_t size_bytes)
{
    size_t bytes;
    return __builtin_mul_overflow(n, size_bytes, &bytes) ? SIZE_MAX : bytes;
}

static bool is_power_of_two(size_t x)
{
    return x != 0 && (x & (x - 1)) == 0;
}

#define CALLER __builtin_return_address(0)
#define PAGE_BYTES 4096u

/* --- ISO C ------------------------------------------------------------------------------------ */

void *malloc(size_t size_bytes)
{
    return obtain(0, size_bytes, false, CALLER);
}

void *calloc(size_t n, size_t size_bytes)
{
    return obtain(0, product(n, size_bytes), true, CALLER);
}

void *realloc(void *ptr, size_t size_bytes)
{
    return resize(ptr, size_bytes, CALLER);
}

void free(void *ptr)
{
    ea_allocator_t *a = ptr ? ealloc_malloc_allocator() : NULL;
    if (a) (void)ea_free(a, ptr);
}

void *aligned_alloc(size_t alignment_bytes, size_t size_bytes)
{
    if (is_power_of_two(alignment_bytes)) return obtain(alignment_bytes, size_bytes, false, CALLER);
    errno = EINVAL;
    return NULL;
}

/* --- POSIX, BSD and what libc adds ------------------------------------------------------------ */

int posix_memalign(void **block, size_t alignment_bytes, size_t size_bytes)
{
    if (!is_power_of_two(alignment_bytes) || alignment_bytes % sizeof(void *) != 0) return EINVAL;
    int before = errno;
    void *got = obtain(alignment_bytes, size_bytes, false, CALLER);
    errno = before;
    if (!got) return ENOMEM;
    *block = got;
    return 0;
}

void *memalign(size_t alignment_bytes, size_t size_bytes)
{
    return aligned_alloc(alignment_bytes, size_bytes);
}

void *valloc(size_t size_bytes)
{
    return obtain(PAGE_BYTES, size_bytes, false, CALLER);
}

void *pvalloc(size_t size_bytes)
{
    size_t bytes = size_bytes + PAGE_BYTES - 1u;
    bytes = bytes < size_bytes ? SIZE_MAX : bytes & ~(size_t)(PAGE_BYTES - 1u);
    return obtain(PAGE_BYTES, bytes, false, CALLER);
}

void *reallocarray(void *ptr, size_t n, size_t size_bytes)
{
    return resize(ptr, product(n, size_bytes), CALLER);
}

void *reallocf(void *ptr, size_t size_bytes)
{
    void *block = resize(ptr, size_bytes, CALLER);
    if (!block && size_bytes != 0) free(ptr);
    return block;
}

void cfree(void *ptr)
{
    free(ptr);
}

size_t malloc_usable_size(void *ptr)
{
    const ea_allocator_t *a = ptr ? ealloc_malloc_allocator() : NULL;
    return a ? ea_usable_size_bytes(a, ptr) : 0;
}

struct mallinfo mallinfo(void)
{
    struct mallinfo info;
    const ea_allocator_t *a = ealloc_malloc_allocator();
    ea_allocator_stats_t stats = {0};
    if (a) ea_allocator_stats(a, &stats);
    memset(&info, 0, sizeof info);
    info.arena = stats.total_bytes;
    info.uordblks = stats.total_bytes - stats.free_bytes;
    info.fordblks = stats.free_bytes;
    return info;
}

/* --- newlib's --------------------------------------------------------------------------------- */

#if defined(__NEWLIB__) && !defined(__PICOLIBC__)
#include <reent.h>

/* errno is the reentrancy structure's that is in use, which is the one libc passes. */
void *_malloc_r(struct _reent *reent, size_t size_bytes)
{
    (void)reent;
    return obtain(0, size_bytes, false, CALLER);
}

void *_calloc_r(struct _reent *reent, size_t n, size_t size_bytes)
{
    (void)reent;
    return obtain(0, product(n, size_bytes), true, CALLER);
}

void *_realloc_r(struct _reent *reent, void *ptr, size_t size_bytes)
{
    (void)reent;
    return resize(ptr, size_bytes, CALLER);
}

void _free_r(struct _reent *reent, void *ptr)
{
    (void)reent;
    free(ptr);
}

void *_memalign_r(struct _reent *reent, size_t alignment_bytes, size_t size_bytes)
{
    (void)reent;
    return aligned_alloc(alignment_bytes, size_bytes);
}

void *_valloc_r(struct _reent *reent, size_t size_bytes)
{
    (void)reent;
    return valloc(size_bytes);
}

void *_pvalloc_r(struct _reent *reent, size_t size_bytes)
{
    (void)reent;
    return pvalloc(size_bytes);
}

void *_reallocf_r(struct _reent *reent, void *ptr, size_t size_bytes)
{
    (void)reent;
    return reallocf(ptr, size_bytes);
}

size_t _malloc_usable_size_r(struct _reent *reent, void *ptr)
{
    (void)reent;
    return malloc_usable_size(ptr);
}

struct mallinfo _mallinfo_r(struct _reent *reent)
{
    (void)reent;
    return mallinfo();
}
#endif
