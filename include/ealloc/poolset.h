/* SPDX-License-Identifier: MIT
 *
 * A set of pools for sizes that vary (row A14): one pool per size class, sorted by size. A request
 * goes to the smallest class that holds it; what happens when that one is empty is the set's
 * strategy. Constant time and no fragmentation between classes, for the price of rounding each
 * request up to its class.
 *
 *     EA_POOLSET_DEFINE(buffers, EA_POOLSET_NEXT_LARGER, 0, NULL);
 *     char *line = ea_poolset_alloc(&buffers, 100);
 *     ...
 *     (void)ea_poolset_free(&buffers, line);
 *
 * A set is as free of locks as its pools: every function may be called from any context, several at
 * once, unless it says otherwise. "alone" means that no other context may be inside a call on the
 * same set.
 */
#ifndef EALLOC_POOLSET_H
#define EALLOC_POOLSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/config.h"
#include "ealloc/pool.h"
#include "ealloc/port.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EA_POOLSET_MAX_CLASSES 16u

/* What to do when the request's own class has no free block; the flags combine, in this order. None
 * of them, strict: refuse. */
#define EA_POOLSET_STRICT 0u
#define EA_POOLSET_NEXT_LARGER 1u /* take a block of the next larger class that has one         */
#define EA_POOLSET_WAIT 2u        /* wait for one, options.wait_us at most; EA_CFG_POOL_WAIT    */
#define EA_POOLSET_HEAP 4u        /* ask options.heap; also for what is larger than every class */

/* Where requests go that the pools cannot serve. alloc returns NULL when it has nothing. They are
 * called by the task that calls ea_poolset_alloc() or ea_poolset_free(), with no lock held: if
 * several tasks use the set they do their own locking. */
typedef struct {
    void *(*alloc)(void *context, size_t size_bytes);
    ea_status_t (*free)(void *context, void *ptr);
    void *context;
} ea_poolset_heap_t;

typedef struct {
    uint32_t block_bytes;
    uint32_t n_blocks;
} ea_poolset_class_t;

/* NULL, or all zero, means a strict set. */
typedef struct {
    uint32_t strategy;             /* EA_POOLSET_* */
    uint64_t wait_us;              /* with EA_POOLSET_WAIT; EA_WAIT_FOREVER has no end */
    const ea_poolset_heap_t *heap; /* with EA_POOLSET_HEAP; the caller's, for the set's life */
} ea_poolset_options_t;

typedef struct {
    EAI_SHARED(size_t) eai_n_larger;
    EAI_SHARED(size_t) eai_n_waits;
    EAI_SHARED(size_t) eai_n_heap_allocs;
    EAI_SHARED(size_t) eai_n_heap_frees;
    EAI_SHARED(size_t) eai_n_failures;
} eai_poolset_counters_t;

/* The caller's object; every field is private. Must not be moved or copied once in use. */
typedef struct ea_poolset {
    ea_pool_t *eai_pools;     /* by block size, and by address of their blocks              */
    ea_pool_t *eai_pools_end; /* one behind the last                                        */
    unsigned char *eai_begin; /* the blocks of all of them lie from here up to              */
    unsigned char *eai_end;   /* here                                                       */
    uint32_t eai_n_classes;
    uint32_t eai_max_bytes; /* of a block of the last class; 0: the set was given up         */
    uint32_t eai_strategy;
    uint64_t eai_wait_us;
    const ea_poolset_heap_t *eai_heap;
    eai_poolset_counters_t eai_counters;
} ea_poolset_t;

typedef struct {
    size_t n_classes;
    size_t total_bytes;     /* of all blocks of all classes                              */
    size_t live_bytes;      /* of these, in blocks allocated and not freed               */
    size_t n_live;          /* such blocks                                               */
    size_t n_allocs;        /* blocks the pools gave since init                          */
    size_t n_larger;        /* of these, from a larger class than the request's own      */
    size_t n_waits;         /* requests that had to wait                                 */
    size_t n_heap_live;     /* blocks the heap gave that have not been freed             */
    size_t n_heap_allocs;   /* blocks the heap gave                                      */
    size_t n_failures;      /* requests refused in the end                               */
    uint32_t used_permille; /* live_bytes of total_bytes                                 */
} ea_poolset_stats_t;

typedef struct {
    size_t block_bytes;
    size_t n_blocks;
    size_t n_live;
    size_t n_peak;          /* most live at once                                            */
    size_t n_allocs;        /* blocks given, to requests of smaller classes as well         */
    size_t n_failures;      /* times the class was asked and had no block                   */
    uint32_t used_permille; /* n_live of n_blocks                                           */
} ea_poolset_class_stats_t;

/* --- definition ------------------------------------------------------------------------------- */

/* The classes of EA_POOLSET_DEFINE(), from the configuration. A list of classes is a macro that
 * applies its first argument to its second one, a label, the block size and the number of blocks of
 * each class, smallest first. */
#define EA_POOLSET_DEFAULT_CLASSES(CLASS, name)                                                    \
    CLASS(name, tiny, EA_CFG_POOLSET_TINY_BYTES, EA_CFG_POOLSET_TINY_BLOCKS)                       \
    CLASS(name, small, EA_CFG_POOLSET_SMALL_BYTES, EA_CFG_POOLSET_SMALL_BLOCKS)                    \
    CLASS(name, medium, EA_CFG_POOLSET_MEDIUM_BYTES, EA_CFG_POOLSET_MEDIUM_BLOCKS)                 \
    CLASS(name, large, EA_CFG_POOLSET_LARGE_BYTES, EA_CFG_POOLSET_LARGE_BLOCKS)                    \
    CLASS(name, xlarge, EA_CFG_POOLSET_XLARGE_BYTES, EA_CFG_POOLSET_XLARGE_BLOCKS)

/* Define a set called name with the default classes; see ea_poolset_options_t for the rest. Use it
 * at file scope; the object has external linkage, or with _STATIC is private to the file, as its
 * memory is in any case.
 * Cost     nothing at run time: the set is ready before the first instruction of the program. */
#define EA_POOLSET_DEFINE(name, strategy, wait_us, heap)                                           \
    EAI_POOLSET_DEFINE(, name, EA_POOLSET_DEFAULT_CLASSES, strategy, wait_us, heap)
#define EA_POOLSET_DEFINE_STATIC(name, strategy, wait_us, heap)                                    \
    EAI_POOLSET_DEFINE(static, name, EA_POOLSET_DEFAULT_CLASSES, strategy, wait_us, heap)

/* The same with a list of classes of your own:
 *     #define CLASSES(CLASS, name) CLASS(name, line, 80, 16) CLASS(name, page, 2048, 2)
 *     EA_POOLSET_DEFINE_CLASSES(text, CLASSES, EA_POOLSET_STRICT, 0, NULL);
 * The sizes must ascend (ea_poolset_check() says whether they do). */
#define EA_POOLSET_DEFINE_CLASSES(name, classes, strategy, wait_us, heap)                          \
    EAI_POOLSET_DEFINE(, name, classes, strategy, wait_us, heap)
#define EA_POOLSET_DEFINE_CLASSES_STATIC(name, classes, strategy, wait_us, heap)                   \
    EAI_POOLSET_DEFINE(static, name, classes, strategy, wait_us, heap)
#define EAI_POOLSET_DEFINE(storage, name, classes, strategy, wait_us, heap)                        \
    enum { classes(EAI_POOLSET_SIZE, name) name##_eai_behind_last };                               \
    static struct {                                                                                \
        classes(EAI_POOLSET_MEMORY, name)                                                          \
    } name##_eai_memory;                                                                           \
    static ea_pool_t name##_eai_pools[] = {classes(EAI_POOLSET_POOL, name)};                       \
    storage ea_poolset_t name = {name##_eai_pools,                                                 \
                                 name##_eai_pools + EAI_POOLSET_COUNT(name),                       \
                                 (unsigned char *)&name##_eai_memory,                              \
                                 (unsigned char *)&name##_eai_memory + sizeof name##_eai_memory,   \
                                 EAI_POOLSET_COUNT(name),                                          \
                                 name##_eai_behind_last - 1,                                       \
                                 (strategy),                                                       \
                                 (wait_us),                                                        \
                                 (heap),                                                           \
                                 {0, 0, 0, 0, 0}}

/* Declare a set that another file defines. */
#define EA_POOLSET_DECLARE(name) extern ea_poolset_t name

#define EAI_POOLSET_COUNT(name) (sizeof name##_eai_pools / sizeof name##_eai_pools[0])
/* An enumerator without a value is one more than the one before it. */
#define EAI_POOLSET_SIZE(name, label, size, n)                                                     \
    name##_eai_##label = EAI_POOL_BLOCK(size, EA_POOL_ALIGN),
#define EAI_POOLSET_MEMORY(name, label, size, n)                                                   \
    unsigned char label[EAI_POOL_MEMORY_BYTES(size, n, EA_POOL_ALIGN)]                             \
        __attribute__((aligned(EA_POOL_ALIGN)));
#define EAI_POOLSET_POOL(name, label, size, n)                                                     \
    EAI_POOL_INITIALIZER(name##_eai_memory.label, size, n, EA_POOL_ALIGN),

/* --- life ------------------------------------------------------------------------------------- */

/* Bytes that ea_poolset_init() needs for these classes, wherever they begin; 0 if it would refuse
 * them or they are more than the address space holds. Cost O(classes). */
EA_NODISCARD size_t ea_poolset_bytes(const ea_poolset_class_t *classes, size_t n_classes);

/* Make a set in mem: its pools' control structures, then their blocks. classes NULL with n_classes
 * 0 means those of the configuration.
 * Returns  EA_OK; EA_ERR_INVALID if set or mem is NULL, mem with its size wraps round, there are no
 *          classes or more than EA_POOLSET_MAX_CLASSES, one is empty, their sizes do not ascend, or
 *          an option is unknown, lacks its heap or is compiled out; EA_ERR_NO_MEMORY if mem is too
 *          small; EA_ERR_TOO_LARGE if a class has more memory than a pool can number.
 * Owns     the set uses mem until ea_poolset_deinit(). No alignment is asked of mem.
 * Context  any, alone. Cost O(classes), and clearing a bit per block. */
EA_NODISCARD ea_status_t ea_poolset_init(ea_poolset_t *set, void *mem, size_t size_bytes,
                                         const ea_poolset_class_t *classes, size_t n_classes,
                                         const ea_poolset_options_t *options);

/* Give the set up; its memory returns to the caller. Afterwards requests get NULL and free refuses.
 * Returns  EA_OK if no block was live; EA_ERR_BUSY if some were, their number, those of the heap
 *          included, in *n_live (may be NULL): the set is then as it was. Without counters and
 *          validity bits live blocks are not known.
 * Context  any, alone. Cost O(classes) with counters, O(blocks) without. */
ea_status_t ea_poolset_deinit(ea_poolset_t *set, size_t *n_live);

/* --- blocks ----------------------------------------------------------------------------------- */

/* Allocate at least size_bytes by the set's strategy: own class, larger ones, wait, heap.
 * Returns  a block, contents indeterminate; NULL if size_bytes is 0, or nothing that the strategy
 *          allows had a block. After a wait that means: no block that would have served was there
 *          to be taken when the time was over, and none is lost.
 * Owns     the caller, until ea_poolset_free() on this set.
 * Context  any, unless the strategy waits or asks the heap: then tasks; in an interrupt or masked
 *          section such a set does not wait, and the heap must be fit for it.
 * Cost     O(classes), however many blocks (bench/wcet: poolset alloc). */
EA_NODISCARD void *ea_poolset_alloc(ea_poolset_t *set, size_t size_bytes);

/* As ea_poolset_alloc(), from the pools only: neither waits nor asks the heap. Context: any. */
EA_NODISCARD void *ea_poolset_alloc_isr(ea_poolset_t *set, size_t size_bytes);

#if EA_CFG_POOL_WAIT
/* As ea_poolset_alloc(), waiting for timeout_us at most, whatever the set's strategy says of
 * waiting; 0 does not wait. The most urgent task is served first, equally urgent ones of one class
 * in order of arrival; a block goes to a request of its own class before one of a smaller class.
 * Context  task. */
EA_NODISCARD void *ea_poolset_alloc_wait(ea_poolset_t *set, size_t size_bytes, uint64_t timeout_us);
#endif

/* Give a block back, wherever it came from; ptr NULL does nothing.
 * Returns  EA_OK; what ea_pool_free() says of a block of the pools; what the heap says of any other
 *          pointer, or EA_ERR_FOREIGN if the set has none.
 * Context  any, for a block of the pools. Cost O(log classes), however many blocks. */
ea_status_t ea_poolset_free(ea_poolset_t *set, void *ptr);

/* As ea_poolset_free(), and checks that the block can have been allocated for size_bytes: that they
 * fit, and that no smaller class would have been right unless the set takes from larger ones. Of
 * the heap's blocks nothing is known.
 * Returns  EA_ERR_INVALID if not; nothing is freed then. */
ea_status_t ea_poolset_free_sized(ea_poolset_t *set, void *ptr, size_t size_bytes);

/* --- numbers ---------------------------------------------------------------------------------- */

/* Whether ptr is the beginning of a block of the set's pools, live or not. Cost O(log classes). */
EA_NODISCARD bool ea_poolset_owns(const ea_poolset_t *set, const void *ptr);

/* Usable bytes of a block of the set's pools; 0 if ptr is none. Cost O(log classes). */
EA_NODISCARD size_t ea_poolset_usable_bytes(const ea_poolset_t *set, const void *ptr);

/* The whole set. Where other contexts are at work the numbers are each right at some moment, not
 * all at the same. Numbers of blocks and bytes in use read 0 where EA_CFG_POOL_STATS is 0.
 * Cost     O(classes), however many blocks. */
void ea_poolset_stats(const ea_poolset_t *set, ea_poolset_stats_t *stats);

/* One class, 0 the smallest.
 * Returns  EA_OK; EA_ERR_NOT_FOUND if there is no such class, and *stats is all zero.
 * Cost     O(1). */
ea_status_t ea_poolset_class_stats(const ea_poolset_t *set, size_t class_index,
                                   ea_poolset_class_stats_t *stats);

/* Check the set and each of its pools. Changes nothing and survives garbage.
 * Returns  EA_OK, or EA_ERR_CORRUPT with *report (may be NULL) filled in: "S1".."S4" of the set,
 *          "P1".. of a pool, each with its sentence.
 * Context  any, alone. Cost O(blocks). */
EA_NODISCARD ea_status_t ea_poolset_check(const ea_poolset_t *set, ea_pool_report_t *report);

#ifdef __cplusplus
}
#endif
#endif
