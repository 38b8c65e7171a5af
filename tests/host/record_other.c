/* SPDX-License-Identifier: MIT
 *
 * An allocator that a program preloads for itself: hands out blocks from an array and gives nothing
 * back. A block of another allocator in its free() ends the program.
 *
 * It makes one race certain: realloc to HANDOVER bytes gives the old block to the malloc of
 * TAKEOVER bytes in another thread, and returns only when that has it.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HANDOVER 55555u
#define TAKEOVER 44444u
#define PATIENCE 3000 /* milliseconds */

static _Atomic(void *) offered;

static _Alignas(16) char arena[64u << 20];
static _Atomic size_t used;

static void *take_over(void)
{
    void *p = NULL;
    for (int i = 0; i < PATIENCE && p == NULL; i++) {
        p = atomic_exchange(&offered, NULL);
        if (p == NULL) usleep(1000);
    }
    return p;
}

static void hand_over(void *p)
{
    atomic_store(&offered, p);
    for (int i = 0; i < PATIENCE && atomic_load(&offered) != NULL; i++) usleep(1000);
}

/* The public functions do not call each other: that would be one more call to record. */
static void *allocate(size_t size)
{
    if (size == TAKEOVER) return take_over();
    size_t at = atomic_fetch_add(&used, (size + 31) & ~(size_t)15);
    if (size > sizeof arena || at > sizeof arena - size - 32) return NULL;
    memcpy(arena + at, &size, sizeof size);
    return arena + at + 16;
}

static void release(const void *p)
{
    if (p != NULL && (uintptr_t)p - (uintptr_t)arena >= sizeof arena) abort();
}

void *malloc(size_t size)
{
    return allocate(size);
}

void free(void *p)
{
    release(p);
}

void *calloc(size_t n, size_t size)
{
    size_t total;
    return __builtin_mul_overflow(n, size, &total) ? NULL : allocate(total);
}

void *realloc(void *old, size_t size)
{
    void *p = allocate(size);
    size_t old_size;
    release(old);
    if (p == NULL || old == NULL) return p;
    memcpy(&old_size, (char *)old - 16, sizeof old_size);
    memcpy(p, old, old_size < size ? old_size : size);
    if (size == HANDOVER) hand_over(old);
    return p;
}
