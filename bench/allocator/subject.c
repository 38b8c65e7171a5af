/* SPDX-License-Identifier: MIT
 *
 * One subject: the bare heap (SUBJECT_HEAP), or the allocator as it is configured. With owners
 * every block is charged three accounts deep, SUBJECT_BATCH bytes in advance.
 */
#include "subject.h"

#include "ealloc/allocator.h"

#ifndef SUBJECT_HEAP
#define SUBJECT_HEAP 0
#endif
#ifndef SUBJECT_BATCH
#define SUBJECT_BATCH 0
#endif

#if SUBJECT_HEAP
static ea_heap_t *heap;

static bool begin(void *mem, size_t size_bytes)
{
    heap = ea_heap_init(mem, size_bytes, NULL);
    return heap != NULL;
}
static size_t end(void)
{
    return ea_heap_deinit(heap);
}
static void *take(size_t size_bytes)
{
    return ea_heap_alloc(heap, size_bytes);
}
static void *take_zeroed(size_t n, size_t size_bytes)
{
    return ea_heap_calloc(heap, n, size_bytes);
}
static void *resize(void *ptr, size_t size_bytes)
{
    return ea_heap_realloc(heap, ptr, size_bytes);
}
static void *take_aligned(size_t alignment_bytes, size_t size_bytes)
{
    return ea_heap_aligned_alloc(heap, alignment_bytes, size_bytes);
}
static void give(void *ptr)
{
    (void)ea_heap_free(heap, ptr);
}
#else
static ea_allocator_t allocator;

#if EA_CFG_ALLOC_OWNERS && EA_CFG_TAGS
static ea_account_t nodes[3];
static ea_accounts_t book;
#endif

static bool begin(void *mem, size_t size_bytes)
{
    ea_allocator_options_t options = {.secret = 12345};
#if EA_CFG_ALLOC_OWNERS && EA_CFG_TAGS
    const ea_account_options_t o = {.limits = {.max = (size_t)1 << 40}, .batch = SUBJECT_BATCH};
    if (ea_accounts_init(&book, nodes, 3, NULL) != EA_OK) return false;
    ea_account_t *module = ea_account_create(&book, ea_accounts_root(&book), &o);
    options.owner = module ? ea_account_create(&book, module, &o) : NULL;
    options.accounts = &book;
    if (!options.owner) return false;
#endif
#if EA_CFG_GUARD >= 3
    options.quarantine_bytes = 65536;
#endif
    return ea_allocator_init(&allocator, &options) == EA_OK &&
           ea_allocator_add_region(&allocator, mem, size_bytes, NULL) == EA_OK;
}
static size_t end(void)
{
    size_t n = 0;
    (void)ea_allocator_deinit(&allocator, &n);
    return n;
}
static void *take(size_t size_bytes)
{
    return ea_malloc(&allocator, size_bytes);
}
static void *take_zeroed(size_t n, size_t size_bytes)
{
    return ea_calloc(&allocator, n, size_bytes);
}
static void *resize(void *ptr, size_t size_bytes)
{
    return ea_realloc(&allocator, ptr, size_bytes);
}
static void *take_aligned(size_t alignment_bytes, size_t size_bytes)
{
    return ea_aligned_alloc(&allocator, alignment_bytes, size_bytes);
}
static void give(void *ptr)
{
    (void)ea_free(&allocator, ptr);
}
#endif

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)
__attribute__((visibility("default"))) const allocator_subject_t allocator_subject = {
    TEXT(SUBJECT_NAME), begin, end, take, take_zeroed, resize, take_aligned, give};
