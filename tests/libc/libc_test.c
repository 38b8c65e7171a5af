/* SPDX-License-Identifier: MIT
 *
 * A firmware whose malloc is the allocator's: what C, POSIX and libc say of the malloc family
 * holds, and what libc itself does with memory works. Built and run by tests/libc/run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "ealloc_malloc.h"

void *reallocarray(void *ptr, size_t n, size_t size);

static int n_passed, n_failed;
static void expect(bool ok, const char *what)
{
    printf("%s - %s\n", ok ? "ok" : "not ok", what);
    *(ok ? &n_passed : &n_failed) += 1;
}

static size_t n_of_stdio; /* what libc holds for itself */
static size_t n_live(void)
{
    ea_allocator_stats_t stats;
    ea_allocator_stats(ealloc_malloc_allocator(), &stats);
    return stats.n_live - n_of_stdio;
}

static bool is_aligned(const void *ptr, size_t alignment)
{
    return ptr != NULL && (uintptr_t)ptr % alignment == 0;
}

static int compare(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* As the compiler sees it, a pointer that went here may be anything. */
static void *opaque(void *ptr)
{
    __asm volatile("" : "+r"(ptr) : : "memory");
    return ptr;
}

static volatile size_t huge = SIZE_MAX / 2; /* which the compiler shall not know */

static void test_c(void)
{
    char *a = opaque(malloc(100)), *b = opaque(malloc(0)), *c = opaque(malloc(0));
    expect(is_aligned(a, _Alignof(max_align_t)), "malloc is aligned for everything");
    expect(b != NULL && c != NULL && b != c, "malloc of 0 returns blocks of their own");
    memset(a, 'x', 100);
    a = opaque(realloc(a, 1000));
    expect(a != NULL && a[0] == 'x' && a[99] == 'x', "realloc keeps contents");
    expect(opaque(realloc(a, 0)) == NULL, "realloc to 0 frees");
    free(b);
    free(c);
    free(NULL);
    unsigned char *zeros = opaque(calloc(30, 7));
    unsigned sum = 0;
    for (unsigned i = 0; zeros && i < 210; i++) sum += zeros[i];
    expect(zeros != NULL && sum == 0, "calloc zeroes");
    free(zeros);
    errno = 0;
    expect(opaque(calloc(huge, 3)) == NULL && errno == ENOMEM, "calloc sees an overflow");
    errno = 0;
    expect(opaque(malloc(huge / 2)) == NULL && errno == ENOMEM, "malloc says ENOMEM");
    expect(n_live() == 0, "everything was freed");
}

static void test_more(void)
{
    void *aligned = opaque(aligned_alloc(64, 100)), *line = opaque(memalign(256, 10)),
         *block = NULL;
    expect(is_aligned(aligned, 64) && is_aligned(line, 256), "aligned_alloc and memalign align");
    expect(malloc_usable_size(aligned) >= 100, "malloc_usable_size knows the size");
    free(aligned);
    free(line);
    errno = 0;
    expect(posix_memalign(&block, 3, 10) == EINVAL && errno == 0, "posix_memalign refuses 3");
    expect(posix_memalign(&block, 32, 10) == 0 && is_aligned(block, 32), "posix_memalign aligns");
    expect(opaque(reallocarray(block, huge, 4)) == NULL, "reallocarray sees an overflow");
    block = opaque(reallocarray(block, 10, 20));
    expect(block != NULL, "reallocarray grows");
    free(block);
    struct mallinfo info = mallinfo();
    expect(info.arena > 0 && info.fordblks > 0, "mallinfo tells of the allocator");
#if defined(__NEWLIB__) && !defined(__PICOLIBC__)
    char *inner = opaque(_malloc_r(_REENT, 10));
    inner = opaque(_realloc_r(_REENT, inner, 200));
    expect(inner != NULL, "newlib's own names work");
    _free_r(_REENT, inner);
#endif
    expect(n_live() == 0, "everything was freed again");
}

static void test_libc(void)
{
    static int numbers[300];
    char *copy = opaque(strdup("a string")), text[64];
    expect(copy != NULL && strcmp(copy, "a string") == 0, "strdup works");
    free(copy);
    for (unsigned i = 0; i < 300; i++) numbers[i] = (int)(i * 7919u % 1009u);
    qsort(numbers, 300, sizeof numbers[0], compare);
    bool sorted = true;
    for (unsigned i = 1; i < 300; i++) sorted &= numbers[i - 1] <= numbers[i];
    expect(sorted, "qsort sorts");
    snprintf(text, sizeof text, "%d %s %.3f", 42, "and", 2.5);
    expect(strncmp(text, "42 and", 6) == 0, "printf formats");
}

static void test_end_of_memory(void)
{
    void **list = NULL, **block;
    unsigned n = 0, again = 0;
    while ((block = opaque(malloc(1000))) != NULL) {
        *block = list;
        list = block;
        n++;
    }
    expect(n > 5 && errno == ENOMEM, "memory ends with ENOMEM");
    while (list != NULL) {
        block = list;
        list = *block;
        free(block);
    }
    while ((block = opaque(malloc(1000))) != NULL) {
        *block = list;
        list = block;
        again++;
    }
    expect(again == n, "and all of it comes back");
    while (list != NULL) {
        block = list;
        list = *block;
        free(block);
    }
    block = opaque(malloc(10));
    void *volatile twice = block;
    free(block);
    free(twice);
    ea_allocator_stats_t stats;
    ea_allocator_stats(ealloc_malloc_allocator(), &stats);
    expect(stats.n_damaged == 1 && n_live() == 0, "a double free is reported");
}

int main(void)
{
    printf("begin\n"); /* what stdio needs for itself is there before we count */
    n_of_stdio = n_live();
    printf("# blocks of stdio: %u\n", (unsigned)n_of_stdio);
    test_c();
    test_more();
    test_libc();
    test_end_of_memory();
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed != 0;
}
