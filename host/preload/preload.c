/* SPDX-License-Identifier: MIT
 *
 * libealloc_preload.so: stands before a program's allocator, passes every call on and records it
 * (recorder.c). "Next" is whatever allocator the program would use without us: glibc's, or one it
 * brings along.
 *
 * Order, so that no address is seen twice at once: a block's birth is recorded after it happened,
 * its death before it happens. A realloc is both; with several threads its death is announced first
 * (RAW_REALLOC_BEGIN) and the outcome told afterwards, and the reader joins the two.
 *
 * dlsym may allocate while it looks the next allocator up. Those few blocks come from `early`,
 * which only grows; they are not recorded, and freeing them does nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#include "recorder.h"

#define EXPORT __attribute__((visibility("default")))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define CALLER __builtin_return_address(0)
#define EARLY_BYTES 16384u

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    size_t (*malloc_usable_size)(void *);
    _Atomic bool ready;
} next;

static _Alignas(16) char early[EARLY_BYTES];
static _Atomic size_t early_used;
static __thread __attribute__((tls_model("initial-exec"))) bool looking_up;

static void look_up(void *function, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(function, &found, sizeof found);
}

/* False inside dlsym: the caller helps itself from early. Two threads may both do it, to one
 * result. */
static __attribute__((noinline)) bool prepare(void)
{
    if (looking_up) return false;
    looking_up = true;
    look_up(&next.malloc, "malloc");
    look_up(&next.calloc, "calloc");
    look_up(&next.realloc, "realloc");
    look_up(&next.free, "free");
    look_up(&next.posix_memalign, "posix_memalign");
    look_up(&next.aligned_alloc, "aligned_alloc");
    look_up(&next.memalign, "memalign");
    look_up(&next.valloc, "valloc");
    look_up(&next.pvalloc, "pvalloc");
    look_up(&next.malloc_usable_size, "malloc_usable_size");
    looking_up = false;
    atomic_store_explicit(&next.ready, true, memory_order_release); /* pairs with ready() */
    return true;
}

static inline bool ready(void)
{
    return LIKELY(atomic_load_explicit(&next.ready, memory_order_acquire)) || prepare();
}

/* Zeroed, because it is never reused. */
static void *early_alloc(size_t size)
{
    if (size > EARLY_BYTES) return NULL;
    size_t n = (size + 31) & ~(size_t)15; /* the size stands in front */
    size_t at = atomic_fetch_add_explicit(&early_used, n, memory_order_relaxed);
    if (at + n > EARLY_BYTES) return NULL;
    memcpy(early + at, &size, sizeof size);
    return early + at + 16;
}

static inline bool is_early(const void *p)
{
    return (uintptr_t)p - (uintptr_t)early < EARLY_BYTES;
}

static size_t early_size(const void *p)
{
    size_t size;
    memcpy(&size, (const char *)p - 16, sizeof size);
    return size;
}

/* The caller, or that of the operator new that called. */
static inline const void *site_of(const void *caller)
{
    const void *noted = recorder_new_caller;
    if (LIKELY(noted == NULL)) return caller;
    recorder_new_caller = NULL;
    return noted;
}

static inline void record(raw_kind_t kind, const void *site, const void *p, size_t size,
                          size_t align)
{
    if (LIKELY(p != NULL))
        recorder_event(kind, site, (uint64_t)(uintptr_t)p, size, align);
    else
        recorder_event(RAW_FAIL, site, 0, size, align);
}

EXPORT void *malloc(size_t size)
{
    if (!ready()) return early_alloc(size);
    void *p = next.malloc(size);
    record(RAW_ALLOC, site_of(CALLER), p, size, 0);
    return p;
}

EXPORT void *calloc(size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total)) total = SIZE_MAX;
    if (!ready()) return early_alloc(total);
    void *p = next.calloc(n, size);
    record(RAW_CALLOC, CALLER, p, total, 0);
    return p;
}

EXPORT void free(void *p)
{
    if (p == NULL || is_early(p)) return;
    if (!ready()) return;
    recorder_event(RAW_FREE, CALLER, (uint64_t)(uintptr_t)p, 0, 0);
    next.free(p);
}

EXPORT void cfree(void *p)
{
    if (p == NULL || is_early(p) || !ready()) return;
    recorder_event(RAW_FREE, CALLER, (uint64_t)(uintptr_t)p, 0, 0);
    next.free(p);
}

static inline void *do_realloc(void *old, size_t size, const void *site)
{
    if (!ready() || is_early(old)) {
        void *p = ready() ? next.malloc(size) : early_alloc(size);
        if (p != NULL && old != NULL) {
            size_t old_size = early_size(old);
            memcpy(p, old, old_size < size ? old_size : size);
        }
        if (ready()) record(RAW_ALLOC, site, p, size, 0);
        return p;
    }
    uint64_t before = (uint64_t)(uintptr_t)old;
    bool threads = !__libc_single_threaded && old != NULL;
    if (threads) recorder_event(RAW_REALLOC_BEGIN, site, before, 0, 0);
    void *p = next.realloc(old, size);
    if (p != NULL)
        recorder_event(RAW_REALLOC, site, (uint64_t)(uintptr_t)p, size, before);
    else if (size == 0 && old != NULL)
        recorder_event(RAW_REALLOC_FREED, site, before, 0, 0);
    else if (threads)
        recorder_event(RAW_REALLOC_FAILED, site, before, size, 0);
    else
        recorder_event(RAW_FAIL, site, 0, size, 0);
    return p;
}

EXPORT void *realloc(void *old, size_t size)
{
    return do_realloc(old, size, CALLER);
}

EXPORT void *reallocarray(void *old, size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total)) {
        recorder_event(RAW_FAIL, CALLER, 0, SIZE_MAX, 0);
        errno = ENOMEM;
        return NULL;
    }
    return do_realloc(old, total, CALLER);
}

EXPORT int posix_memalign(void **p, size_t align, size_t size)
{
    if (!ready()) return ENOMEM;
    int status = next.posix_memalign(p, align, size);
    record(RAW_ALIGNED, site_of(CALLER), status == 0 ? *p : NULL, size, align);
    return status;
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
    void *p = ready() ? next.aligned_alloc(align, size) : NULL;
    record(RAW_ALIGNED, site_of(CALLER), p, size, align);
    return p;
}

EXPORT void *memalign(size_t align, size_t size)
{
    void *p = ready() ? next.memalign(align, size) : NULL;
    record(RAW_ALIGNED, CALLER, p, size, align);
    return p;
}

EXPORT void *valloc(size_t size)
{
    void *p = ready() ? next.valloc(size) : NULL;
    record(RAW_ALIGNED, CALLER, p, size, (size_t)getpagesize());
    return p;
}

EXPORT void *pvalloc(size_t size)
{
    size_t page = (size_t)getpagesize();
    void *p = ready() ? next.pvalloc(size) : NULL;
    record(RAW_ALIGNED, CALLER, p, (size + page - 1) & ~(page - 1), page);
    return p;
}

EXPORT size_t malloc_usable_size(void *p)
{
    if (p == NULL) return 0;
    if (is_early(p)) return early_size(p);
    if (!ready()) return 0;
    recorder_event(RAW_USABLE, CALLER, (uint64_t)(uintptr_t)p, 0, 0);
    return next.malloc_usable_size(p);
}

static void at_exit(int status, void *unused)
{
    (void)unused;
    recorder_closed(status);
}

__attribute__((constructor)) static void watch_exit(void)
{
    on_exit(at_exit, NULL);
}
