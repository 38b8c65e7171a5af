/* SPDX-License-Identifier: MIT
 *
 * A pool under measurement: 64-byte blocks. Each subject's loops are compiled beside its own code,
 * so that what it inlines for its users is inlined here too.
 */
#ifndef BENCH_POOL_SUBJECT_H
#define BENCH_POOL_SUBJECT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BLOCK_BYTES 64
#define N_BLOCKS 1088
#define BATCH 64
#define N_LIVE 512 /* two threads: N_BLOCKS in all */

/* pairs: alloc, free, alloc, free. batches: 64 allocs, then their frees in the same order. churn:
 * 512 live blocks, of which a random one is freed and another allocated. The user writes the first
 * and the last word of a block and reads them before it is freed. */
typedef enum { PAIRS, BATCHES, CHURN, N_WORKLOADS } workload_t;

typedef struct {
    const char *name;
    int for_threads;                                /* several may be inside at once        */
    void (*run)(workload_t workload, size_t n_ops); /* n_ops allocs and as many frees */
} subject_t;

static inline void use(void *block, size_t value)
{
    size_t *words = (size_t *)block;
    words[0] = words[BLOCK_BYTES / sizeof(size_t) - 1] = value;
}

static inline size_t done(const void *block)
{
    const size_t *words = (const size_t *)block;
    return words[0] + words[BLOCK_BYTES / sizeof(size_t) - 1];
}

/* The address of a pool, in a register: the compiler does not see whose. Otherwise one subject's
 * state is addressed relative to the program counter and another's is not, and only of the latter
 * can some processors forward a store to the next load at once. */
#ifdef __cplusplus
#define POINTER_TO auto
#else
#define POINTER_TO __auto_type
#endif
#define HIDDEN(pool)                                                                               \
    __extension__({                                                                                \
        POINTER_TO hidden_at = &(pool);                                                            \
        __asm__("" : "+r"(hidden_at));                                                             \
        hidden_at;                                                                                 \
    })

#define LOOPS(name, ALLOC, FREE)                                                                   \
    static void name##_run(workload_t workload, size_t n_ops)                                      \
    {                                                                                              \
        void *blocks[N_LIVE];                                                                      \
        size_t sum = 0, n_blocks = 0;                                                              \
        uint32_t random = 1;                                                                       \
        switch (workload) {                                                                        \
        case PAIRS:                                                                                \
            for (size_t i = 0; i < n_ops; i++) {                                                   \
                void *block = ALLOC();                                                             \
                use(block, i);                                                                     \
                __asm__ volatile("" : "+r"(block) : : "memory");                                   \
                sum += done(block);                                                                \
                FREE(block);                                                                       \
            }                                                                                      \
            break;                                                                                 \
        case BATCHES:                                                                              \
            for (size_t i = 0; i < n_ops; i += BATCH) {                                            \
                for (size_t k = 0; k < BATCH; k++) use(blocks[k] = ALLOC(), k);                    \
                __asm__ volatile("" : : "r"(blocks) : "memory");                                   \
                for (size_t k = 0; k < BATCH; k++) {                                               \
                    sum += done(blocks[k]);                                                        \
                    FREE(blocks[k]);                                                               \
                }                                                                                  \
            }                                                                                      \
            break;                                                                                 \
        default:                                                                                   \
            for (; n_blocks < N_LIVE; n_blocks++) use(blocks[n_blocks] = ALLOC(), n_blocks);       \
            for (size_t i = 0; i < n_ops; i++) {                                                   \
                random = random * 1664525u + 1013904223u;                                          \
                void **block = &blocks[random >> 23]; /* N_LIVE is 2^9 */                          \
                sum += done(*block);                                                               \
                FREE(*block);                                                                      \
                random = random * 1664525u + 1013904223u;                                          \
                void **other = &blocks[random >> 23];                                              \
                *block = *other;                                                                   \
                use(*other = ALLOC(), i);                                                          \
                __asm__ volatile("" : : "r"(blocks) : "memory");                                   \
            }                                                                                      \
            while (n_blocks > 0) FREE(blocks[--n_blocks]);                                         \
            break;                                                                                 \
        }                                                                                          \
        __asm__ volatile("" : : "r"(sum));                                                         \
    }

extern const subject_t ealloc_bare, ealloc_unlocked_bare, ealloc_full, ealloc_unlocked_full;
extern const subject_t boost_pool, foonathan_pool, boost_lockfree;

#ifdef __cplusplus
}
#endif
#endif
