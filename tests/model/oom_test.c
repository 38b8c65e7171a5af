/* SPDX-License-Identifier: MIT
 *
 * What happens when memory ends: heaps of every small size, in memory of exactly that size, and
 * every operation that can fail, tried until it does. Nothing may be touched that is not the
 * heap's, and nothing may be lost: when everything is free again, so is the whole heap in one
 * piece.
 *
 *     oom_test [LARGEST]     1400 bytes
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "instances.h"

#define MAX_BLOCKS 128u

typedef struct {
    const eai_heap_ops_t *ops;
    ea_heap_t *heap;
    unsigned char *block[MAX_BLOCKS];
    size_t n;
    const char *complaint;
} run_t;

#define MUST(run, cond)                                                                            \
    do {                                                                                           \
        if (!(cond) && (run)->complaint == NULL) (run)->complaint = #cond;                         \
    } while (0)

static void fill(run_t *r, size_t i)
{
    size_t usable = r->ops->usable_size_bytes(r->heap, r->block[i]);
    memset(r->block[i], (int)i + 1, usable);
}

static void verify(run_t *r)
{
    MUST(r, r->ops->check(r->heap, NULL) == EA_OK);
    for (size_t i = 0; i < r->n; i++) {
        if (r->block[i] == NULL) continue;
        MUST(r, r->block[i][0] == (unsigned char)(i + 1));
    }
}

static bool keep(run_t *r, void *ptr)
{
    if (ptr == NULL || r->n == MAX_BLOCKS) {
        r->ops->free(r->heap, ptr);
        return false;
    }
    r->block[r->n] = ptr;
    fill(r, r->n++);
    return true;
}

static void free_every(run_t *r, size_t step)
{
    for (size_t i = 0; i < r->n; i += step) {
        if (r->block[i] == NULL) continue;
        MUST(r, r->ops->free(r->heap, r->block[i]) == EA_OK);
        r->block[i] = NULL;
    }
}

/* Every operation that can fail, on a heap as full as it is now. */
static void try_everything(run_t *r)
{
    static const size_t sizes[] = {1, 12, 13, 29, 60, 124, 300, 700, 1200, SIZE_MAX};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        void *p = r->ops->alloc(r->heap, sizes[s]);
        MUST(r, r->ops->free(r->heap, p) == EA_OK);
        p = r->ops->calloc(r->heap, 3, sizes[s]);
        MUST(r, r->ops->free(r->heap, p) == EA_OK);
        for (size_t alignment = 16; alignment <= 256; alignment *= 4) {
            p = r->ops->aligned_alloc(r->heap, alignment, sizes[s]);
            MUST(r, r->ops->free(r->heap, p) == EA_OK);
        }
        for (size_t i = 0; i < r->n; i++) {
            if (r->block[i] == NULL) continue;
            size_t had = r->ops->usable_size_bytes(r->heap, r->block[i]);
            size_t kept = had < sizes[s] ? had : sizes[s];
            ea_heap_move_t move;
            size_t alignment = i % 3 == 0 ? 64 : 0;
            if (r->ops->realloc_begin(r->heap, r->block[i], alignment, sizes[s], &move) == EA_OK) {
                MUST(r, r->ops->check(r->heap, NULL) == EA_OK);
                r->ops->realloc_move(&move);
                r->block[i] = r->ops->realloc_finish(r->heap, &move);
            } else {
                MUST(r, r->ops->usable_size_bytes(r->heap, r->block[i]) == had);
                kept = had;
            }
            MUST(r, r->block[i][0] == (unsigned char)(i + 1));
            MUST(r, r->block[i][kept - 1] == (unsigned char)(i + 1));
            fill(r, i);
        }
        verify(r);
    }
}

static const char *run_size(const eai_heap_ops_t *ops, size_t size, ea_heap_fit_t fit)
{
    run_t r = {ops, NULL, {NULL}, 0, NULL};
    ea_heap_options_t options = {0, fit};
    unsigned char *mem = malloc(size != 0 ? size : 1);
    if (mem == NULL) return "malloc";
    r.heap = ops->init(mem, size, &options);
    if (r.heap == NULL) {
        free(mem);
        return size > 1300 ? "ops->init(mem, size)" : NULL;
    }
    size_t most = ops->max_alloc_bytes(r.heap);
    for (int round = 0; round < 4; round++) {
        static const size_t request[] = {1, 30, 100, 400};
        while (keep(&r, ops->alloc(r.heap, request[round]))) {
        }
        while (keep(&r, ops->alloc(r.heap, ops->largest_free_bytes(r.heap)))) {
        }
        verify(&r);
        try_everything(&r);
        free_every(&r, 3);
        try_everything(&r);
        free_every(&r, 2);
        try_everything(&r);
        free_every(&r, 1);
        r.n = 0;
        void *all = ops->alloc(r.heap, most);
        MUST(&r, all != NULL);
        MUST(&r, ops->free(r.heap, all) == EA_OK);
        verify(&r);
    }
    MUST(&r, ops->deinit(r.heap) == 0);
    free(mem);
    return r.complaint;
}

int main(int argc, char **argv)
{
    size_t largest = argc > 1 ? strtoul(argv[1], NULL, 10) : 1400;
    unsigned n_passed = 0, n_failed = 0;
    for (size_t i = 0; i < N_INSTANCES; i++) {
        const char *complaint = NULL;
        size_t size;
        for (size = 0; complaint == NULL && size <= largest; size += size < 800 ? 1 : 13) {
            complaint = run_size(instances[i], size, EA_FIT_GOOD);
            if (complaint == NULL) complaint = run_size(instances[i], size, EA_FIT_HALF);
        }
        if (complaint != NULL) printf("# %zu bytes: %s\n", size, complaint);
        printf("%s %zu - heap_loses_nothing_when_memory_ends_%s\n",
               complaint == NULL ? "ok" : "not ok", i + 1, instances[i]->name);
        n_passed += complaint == NULL;
        n_failed += complaint != NULL;
    }
    printf("1..%u\n%u passed, %u failed, 0 skipped\n", n_passed + n_failed, n_passed, n_failed);
    return n_failed != 0;
}
