/* SPDX-License-Identifier: MIT
 *
 * Pools of blocks of one size (rows A2, A10, A13): constant time, from a thread, an interrupt or
 * several cores at once, no lock. A pool is declared with one macro and needs no initialisation at
 * run time, or is made on memory the caller gives. It costs no byte per block; a bit per block (see
 * EA_CFG_POOL_VALIDATE) lets free refuse what is not a live block of this pool.
 *
 *     EA_POOL_DEFINE(packets, sizeof(packet_t), 32);
 *     packet_t *packet = ea_pool_alloc(&packets);
 *     ...
 *     if (ea_pool_free(&packets, packet) != EA_OK) ...
 *
 * Context, unless said otherwise: any; thread, interrupt, signal handler, any number of them at
 * once. Functions marked "alone" need that no other context is inside a call on the same pool.
 *
 * Where the core has compare-and-swap (or load-linked/store-conditional) a call never waits for
 * another: it repeats a few instructions when another call on the same pool got through in between.
 * Elsewhere (ARMv6-M) interrupts are masked for a constant number of instructions.
 *
 * The tag. Where compare-and-swap decides (not on Cortex-M3 and later, nor where interrupts are
 * masked) a generation tag guards the free list. It counts the blocks taken from the list in all
 * bits that a block's position leaves free, and wraps after 2^tag of them:
 *     64-bit machine: tag = 64 - bits of (EA_CFG_POOL_SLABS * n_blocks * block bytes)
 *     32-bit machine: tag = 32 - bits of (EA_CFG_POOL_SLABS * n_blocks * block bytes / 4)
 * e.g. 49 and 19 bits for 64 blocks of 64 bytes and four slabs, 51 and 21 for one slab. A call can
 * be deceived only if it sleeps between two of its instructions while exactly a multiple of 2^tag
 * blocks are taken; set EA_CFG_ATOMICS to 3 where that is conceivable.
 *
 * Sources: the free list is Treiber's stack (IBM RJ 5118, 1986) with the tag of the IBM System/370
 * manual; the exact division by a modular inverse is Granlund and Montgomery's (PLDI 1994, section
 * 9).
 */
#ifndef EALLOC_POOL_H
#define EALLOC_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/atomics.h"
#include "ealloc/compiler.h"
#include "ealloc/config.h"
#include "ealloc/status.h"
#if EA_CFG_POOL_WAIT
#include "ealloc/waitq.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Alignment of a pool's memory. A block is aligned to it, or to the largest power of two that
 * divides the block size if that is less: right for any type as large as the block. */
#if UINTPTR_MAX > 0xFFFFFFFFu
#define EA_POOL_ALIGN 16u
#else
#define EA_POOL_ALIGN 8u
#endif

/* What callers compile in is part of three symbols' names, so that a library built with other knobs
 * fails to link. */
#define EAI_POOL_PASTE(name, validate, stats, slabs, wait, atomics, encode)                        \
    name##_v##validate##s##stats##n##slabs##w##wait##a##atomics##e##encode
#define EAI_POOL_EXPAND(name, validate, stats, slabs, wait, atomics, encode)                       \
    EAI_POOL_PASTE(name, validate, stats, slabs, wait, atomics, encode)
#define EAI_POOL_NAME(name)                                                                        \
    EAI_POOL_EXPAND(name, EA_CFG_POOL_VALIDATE, EA_CFG_POOL_STATS, EA_CFG_POOL_SLABS,              \
                    EA_CFG_POOL_WAIT, EA_CFG_ATOMICS, EA_CFG_ENCODE_LINKS)
#if !defined(DOXYGEN)
#define ea_pool_init_aligned EAI_POOL_NAME(ea_pool_init_aligned)
#define ea_pool_alloc EAI_POOL_NAME(ea_pool_alloc)
#define ea_pool_free EAI_POOL_NAME(ea_pool_free)
#endif

/* Where links are not pointers and a word more in the control structure does not matter, the
 * unlocked calls have a list of their own, of pointers, which the others fall back on. */
#if EAI_ATOMICS == EAI_ATOMICS_CAS && UINTPTR_MAX > 0xFFFFFFFFu && !defined(EAI_MODEL_CHECK)
#define EAI_POOL_LOCAL 1
#else
#define EAI_POOL_LOCAL 0
#endif

/* A word that several contexts change; the model checker puts its own type here. */
#ifndef EAI_SHARED
#define EAI_SHARED(type) type
#endif

typedef struct eai_pool_slab eai_pool_slab_t;

typedef struct {
    EAI_SHARED(size_t) eai_n_allocs;
    EAI_SHARED(size_t) eai_n_frees;
    EAI_SHARED(size_t) eai_n_failures;
} eai_pool_counters_t;

/* The caller's object; every field is private. Must not be moved or copied once in use. */
typedef struct ea_pool {
    EAI_SHARED(uintptr_t) eai_head; /* link of the first free block, the tag above it         */
    unsigned char *eai_base;        /* the first slab's first block; its bits stand below     */
    uintptr_t eai_inverse;          /* of the block size's odd part, modulo the word size     */
    uint32_t eai_n_blocks;          /* of the first slab                                      */
    EAI_SHARED(uint32_t) eai_fresh; /* blocks ever handed out are those with a smaller index  */
    uint32_t eai_block_bytes;       /* a multiple of EAI_POOL_GRANULE                         */
    uint8_t eai_rotate;             /* by which a link is to be rotated before the inverse    */
    uint8_t eai_no_link_bits;       /* 32 minus the bits of a link                            */
    uint8_t eai_align_log2;         /* of every base                                          */
    EAI_SHARED(uint8_t) eai_n_refused;
#if EAI_POOL_LOCAL
    uint32_t eai_mask; /* the bits of the head that are the link */
#endif
    EAI_SHARED(eai_pool_slab_t *) eai_slabs; /* further ones, in the order they were added */
    const unsigned char *eai_seal;           /* of what changes only with the slabs */
#if EAI_POOL_LOCAL
    unsigned char *eai_local; /* the unlocked calls' list: blocks of the first slab */
#endif
#if EA_CFG_POOL_STATS
    eai_pool_counters_t eai_counters;
#endif
#if EA_CFG_POOL_WAIT
    ea_waitq_t eai_waiting;
#endif
#if EA_CFG_ENCODE_LINKS
    uint32_t eai_secret;
#endif
} ea_pool_t;

typedef struct {
    size_t block_bytes; /* usable bytes of a block                                                */
    size_t n_blocks;    /* in all slabs                                                           */
    size_t n_live;      /* allocated and not freed                                                */
    size_t n_peak;      /* most blocks ever live at once; a few more where several contexts met   */
    size_t n_allocs;    /* successful allocations                                                 */
    size_t n_frees;     /* blocks freed                                                           */
    size_t n_failures;  /* requests refused because no block was free                             */
    size_t n_refused;   /* calls refused by a check; stops at 255                                 */
    size_t n_slabs;
} ea_pool_stats_t;

/* What ea_pool_check() found. */
typedef struct {
    const char *invariant; /* "P1".."P7" and its sentence; static storage; NULL: none broken */
    const void *where;     /* the block or structure that breaks it                          */
} ea_pool_report_t;

/* A walk under way; private. All zero before the first call. */
typedef struct {
    uint32_t eai_index;
} ea_pool_cursor_t;

typedef void (*ea_pool_visit_t)(void *context, void *block);

/* --- definition ------------------------------------------------------------------------------- */

/* Blocks begin at multiples of a granule. Links count bytes; where the word that holds a link and a
 * tag has 32 bits they count granules, which leaves the tag two more. */
#define EAI_POOL_GRANULE ((uint32_t)sizeof(void *))
#if EAI_ATOMICS == EAI_ATOMICS_CAS && UINTPTR_MAX == 0xFFFFFFFFu
#define EAI_POOL_LINK_SHIFT 2u
#else
#define EAI_POOL_LINK_SHIFT 0u
#endif
#define EAI_POOL_ROUND_UP(x, to) (((x) + (to)-1u) / (to) * (to))
/* Bytes of one block. */
#define EAI_POOL_BLOCK(size, alignment)                                                            \
    EAI_POOL_ROUND_UP(((size) == 0 ? 1u : (size)),                                                 \
                      ((alignment) > EAI_POOL_GRANULE ? (alignment) : EAI_POOL_GRANULE))
/* Words of validity bits below the blocks. */
typedef EAI_SHARED(uint32_t) eai_pool_bits_t;
#define EAI_POOL_BITS(n_blocks) (EA_CFG_POOL_VALIDATE ? ((n_blocks) + 31u) / 32u : 0u)
#define EAI_POOL_BITS_BYTES(n_blocks) (EAI_POOL_BITS(n_blocks) * sizeof(eai_pool_bits_t))

/* Newton's iteration doubles the right bits of an inverse; 3d^2 has five. d is odd. */
#define EAI_POOL_STEP(d, x) ((x) * (2u - (uintptr_t)(d) * (x)))
#define EAI_POOL_INVERSE(d)                                                                        \
    EAI_POOL_STEP(d, EAI_POOL_STEP(d, EAI_POOL_STEP(d, EAI_POOL_STEP(d, ((3u * (uintptr_t)(d)) ^   \
                                                                         (uintptr_t)2u)))))
#define EAI_POOL_ROTATE(block) ((uint8_t)__builtin_ctz((block) >> EAI_POOL_LINK_SHIFT))
#define EAI_POOL_MAX_BYTES ((uint64_t)(UINT32_MAX / EA_CFG_POOL_SLABS) << EAI_POOL_LINK_SHIFT)
/* A link has as many bits as make all ones larger than every link. */
#define EAI_POOL_LINKS(block, n)                                                                   \
    ((uint32_t)(n) * ((uint32_t)(block) >> EAI_POOL_LINK_SHIFT) * EA_CFG_POOL_SLABS)
#if EAI_ATOMICS == EAI_ATOMICS_CAS
#define EAI_POOL_NO_LINK_BITS(block, n) ((uint8_t)__builtin_clz(EAI_POOL_LINKS(block, n)))
#else
#define EAI_POOL_NO_LINK_BITS(block, n) 0u
#endif
#if EAI_POOL_LOCAL
#define EAI_POOL_LOCAL_FIELD , NULL
#define EAI_POOL_MASK_FIELD(block, n) UINT32_MAX >> EAI_POOL_NO_LINK_BITS(block, n),
#else
#define EAI_POOL_LOCAL_FIELD
#define EAI_POOL_MASK_FIELD(block, n)
#endif
#if EA_CFG_POOL_STATS
#define EAI_POOL_COUNTERS_FIELD                                                                    \
    ,                                                                                              \
    {                                                                                              \
        0, 0, 0                                                                                    \
    }
#else
#define EAI_POOL_COUNTERS_FIELD
#endif
#if EA_CFG_POOL_WAIT
#define EAI_POOL_WAITING_FIELD                                                                     \
    ,                                                                                              \
    {                                                                                              \
        NULL                                                                                       \
    }
#else
#define EAI_POOL_WAITING_FIELD
#endif
#if EA_CFG_ENCODE_LINKS
#define EAI_POOL_SECRET_FIELD , 0
#else
#define EAI_POOL_SECRET_FIELD
#endif

/* Define a pool object called name, of n_blocks blocks of at least block_size bytes. Use it at file
 * scope; the object has external linkage (EA_POOL_DECLARE in other files), or with _STATIC is
 * private to the file, as its memory is in any case. n_blocks and block_size are constant
 * expressions of 1 or more.
 * Cost     nothing at run time: the pool is ready before the first instruction of the program. */
#define EA_POOL_DEFINE(name, block_size, n_blocks) EAI_POOL_DEFINE(, name, block_size, n_blocks, 1)
#define EA_POOL_DEFINE_STATIC(name, block_size, n_blocks)                                          \
    EAI_POOL_DEFINE(static, name, block_size, n_blocks, 1)

/* As EA_POOL_DEFINE(), every block aligned to alignment bytes and padded to a multiple of it: a
 * power of two, e.g. the length of a cache line for blocks that a device transfers. */
#define EA_POOL_DEFINE_ALIGNED(name, block_size, n_blocks, alignment)                              \
    EAI_POOL_DEFINE(, name, block_size, n_blocks, alignment)
#define EA_POOL_DEFINE_ALIGNED_STATIC(name, block_size, n_blocks, alignment)                       \
    EAI_POOL_DEFINE(static, name, block_size, n_blocks, alignment)

#define EAI_POOL_DEFINE(storage, name, block_size, n_blocks, alignment)                            \
    enum {                                                                                         \
        name##_eai_align = (alignment) > EA_POOL_ALIGN ? (alignment) : EA_POOL_ALIGN,              \
        name##_eai_block = EAI_POOL_BLOCK(block_size, alignment),                                  \
        name##_eai_below = EAI_POOL_ROUND_UP(EAI_POOL_BITS_BYTES(n_blocks), name##_eai_align)      \
    };                                                                                             \
    EA_STATIC_ASSERT((n_blocks) >= 1 && ((alignment) & ((alignment)-1)) == 0,                      \
                     "a pool has at least one block, and its alignment is a power of two");        \
    EA_STATIC_ASSERT((uint64_t)(n_blocks)*name##_eai_block <= EAI_POOL_MAX_BYTES,                  \
                     "the blocks of a pool are no more than a link can number");                   \
    static unsigned char name##_eai_memory[name##_eai_below + (size_t)(n_blocks)*name##_eai_block] \
        __attribute__((aligned(name##_eai_align)));                                                \
    storage ea_pool_t name = EAI_POOL_WITH(name##_eai_memory + name##_eai_below, name##_eai_block, \
                                           n_blocks, name##_eai_align)

/* The initializer of a pool whose first block is at base. The linker can add to an address, no
 * more: the first seal is the blocks' end less the binary logarithm of their alignment. */
#define EAI_POOL_ODD(block) ((block) / ((block) & (0u - (block))))
#define EAI_POOL_LOG2(align) ((uint8_t)__builtin_ctz((unsigned)(align)))
#define EAI_POOL_WITH(base, block, n_blocks, align)                                                \
    {                                                                                              \
        UINT32_MAX >> EAI_POOL_NO_LINK_BITS(block, n_blocks), (base),                              \
            EAI_POOL_INVERSE(EAI_POOL_ODD((uint32_t)(block))), (n_blocks), 0, (block),             \
            EAI_POOL_ROTATE((uint32_t)(block)), EAI_POOL_NO_LINK_BITS(block, n_blocks),            \
            EAI_POOL_LOG2(align), 0, EAI_POOL_MASK_FIELD(block, n_blocks) NULL,                    \
            (base) + ((size_t)(n_blocks) * (block)-EAI_POOL_LOG2(align))                           \
                         EAI_POOL_LOCAL_FIELD EAI_POOL_COUNTERS_FIELD EAI_POOL_WAITING_FIELD       \
                             EAI_POOL_SECRET_FIELD                                                 \
    }

/* What a component that lays pools side by side needs: the bytes of a pool's memory when its
 * address is aligned as its blocks are, and the initializer of a pool that has such memory. Up to
 * EA_POOL_ALIGN the alignment is the memory's, not each block's. */
#define EAI_POOL_BELOW(n_blocks, alignment)                                                        \
    EAI_POOL_ROUND_UP(EAI_POOL_BITS_BYTES(n_blocks), (size_t)(alignment))
#define EAI_POOL_SIDE_BLOCK(block_size, alignment)                                                 \
    EAI_POOL_BLOCK(block_size, ((alignment) > EA_POOL_ALIGN ? (alignment) : 1u))
#define EAI_POOL_MEMORY_BYTES(block_size, n_blocks, alignment)                                     \
    (EAI_POOL_BELOW(n_blocks, alignment) +                                                         \
     (size_t)(n_blocks)*EAI_POOL_SIDE_BLOCK(block_size, alignment))
#define EAI_POOL_INITIALIZER(memory, block_size, n_blocks, alignment)                              \
    EAI_POOL_WITH((memory) + EAI_POOL_BELOW(n_blocks, alignment),                                  \
                  (uint32_t)EAI_POOL_SIDE_BLOCK(block_size, alignment), n_blocks, alignment)

/* Declare a pool that another file defines. */
#define EA_POOL_DECLARE(name) extern ea_pool_t name

/* Bytes ea_pool_init() needs, wherever they begin, for n_blocks blocks of block_size bytes; and
 * ea_pool_init_aligned(). Constant expressions if their arguments are. */
#define EA_POOL_BYTES(block_size, n_blocks) EA_POOL_BYTES_ALIGNED(block_size, n_blocks, 1)
#define EA_POOL_BYTES_ALIGNED(block_size, n_blocks, alignment)                                     \
    (((alignment) > EA_POOL_ALIGN ? (alignment) : EA_POOL_ALIGN) - 1u +                            \
     EAI_POOL_BITS_BYTES((size_t)(n_blocks)) +                                                     \
     (size_t)(n_blocks)*EAI_POOL_BLOCK(block_size, alignment))

/* Bytes ea_pool_add_slab() needs to add n_blocks blocks. */
#define EA_POOL_SLAB_BYTES(block_size, n_blocks)                                                   \
    (EA_POOL_BYTES(block_size, n_blocks) + EAI_POOL_SLAB_HEADER_BYTES)
#define EA_POOL_SLAB_BYTES_ALIGNED(block_size, n_blocks, alignment)                                \
    (EA_POOL_BYTES_ALIGNED(block_size, n_blocks, alignment) + EAI_POOL_SLAB_HEADER_BYTES)
#define EAI_POOL_SLAB_HEADER_BYTES (6u * sizeof(void *))

/* --- life ------------------------------------------------------------------------------------- */

/* Make a pool of as many blocks of block_size_bytes (rounded up to a multiple of a pointer's size)
 * as fit in mem; with _aligned every block is aligned to alignment_bytes, a power of two, and
 * padded to a multiple of it. No alignment is asked of mem.
 * Returns  EA_OK; EA_ERR_INVALID if pool or mem is NULL, block_size_bytes is 0 or
 *          alignment_bytes no power of two; EA_ERR_NO_MEMORY if not one block fits;
 *          EA_ERR_TOO_LARGE if the blocks are more than a link can number (4 GB /
 *          EA_CFG_POOL_SLABS).
 * Owns     the pool uses mem until ea_pool_deinit().
 * Context  any, alone: before the pool is known to another context.
 * Cost     O(1), whatever the number of blocks, but for clearing a bit per block. */
EA_NODISCARD ea_status_t ea_pool_init_aligned(ea_pool_t *pool, void *mem, size_t size_bytes,
                                              size_t block_size_bytes, size_t alignment_bytes);
EA_INLINE EA_NODISCARD ea_status_t ea_pool_init(ea_pool_t *pool, void *mem, size_t size_bytes,
                                                size_t block_size_bytes)
{
    return ea_pool_init_aligned(pool, mem, size_bytes, block_size_bytes, 1);
}

/* Encode the links of free blocks with secret, a random number of this boot, beside the pool's
 * address, which encodes them in any case; nothing where EA_CFG_ENCODE_LINKS is 0.
 * Returns  EA_OK; EA_ERR_BUSY if a block was ever handed out: nothing changed.
 * Context  any, alone. Cost O(1). */
EA_NODISCARD ea_status_t ea_pool_set_secret(ea_pool_t *pool, uint32_t secret);

/* Give the pool up; the memory of every slab returns to the caller. Afterwards alloc returns NULL
 * and free refuses.
 * Returns  EA_OK if no block was live; EA_ERR_BUSY if some were, their number in *n_live (which may
 *          be NULL): the pool is then as it was. Without validity bits nor counters live blocks are
 *          not known, and *n_live is 0.
 * Context  any, alone. Cost O(slabs) with counters, O(blocks / 32) without. */
ea_status_t ea_pool_deinit(ea_pool_t *pool, size_t *n_live);

/* --- blocks ----------------------------------------------------------------------------------- */

/* Take a block.
 * Returns  a block, contents indeterminate; NULL if at some moment during the call no block was
 *          free, or if the list is found damaged (counted in n_refused; a block that is live is
 *          never handed out, what lies behind the damage may be lost).
 * Owns     the caller, until ea_pool_free() on this pool.
 * Cost     O(1) (bench/wcet: pool alloc); repeats when another context's call came in between.
 * Checks   EA_CFG_POOL_VALIDATE: that the list leads to a block of this pool that is not live. */
EA_NODISCARD void *ea_pool_alloc(ea_pool_t *pool);

/* Give a block back; ptr NULL does nothing.
 * Returns  EA_OK. With EA_CFG_POOL_VALIDATE: EA_ERR_FOREIGN if ptr is not the beginning of a block
 *          of this pool, EA_ERR_DOUBLE_FREE if the block is not live; nothing is changed then, and
 *          of two contexts that free one block at once exactly one succeeds. Without it ptr must be
 *          right.
 * Cost     O(1), as ea_pool_alloc(). */
ea_status_t ea_pool_free(ea_pool_t *pool, void *ptr);

/* --- numbers ---------------------------------------------------------------------------------- */

/* Cost O(slabs). Where other contexts are at work the numbers are each right at some moment, not
 * all at the same. n_live, n_allocs, n_frees and n_failures read 0 where EA_CFG_POOL_STATS is 0. */
void ea_pool_stats(const ea_pool_t *pool, ea_pool_stats_t *stats);

/* Usable bytes of each block. Cost O(1). */
EA_INLINE EA_NODISCARD size_t ea_pool_block_bytes(const ea_pool_t *pool)
{
    return pool->eai_block_bytes;
}

/* Whether ptr is the beginning of a block of this pool, live or not. Cost O(slabs). */
EA_NODISCARD bool ea_pool_owns(const ea_pool_t *pool, const void *ptr);

/* --- slabs ------------------------------------------------------------------------------------ */

/* Add the blocks that fit in mem, which also holds the slab's small header. The pool may be in use;
 * two adds at once must be kept apart by the caller.
 * Returns  EA_OK; EA_ERR_INVALID if an argument is NULL or mem meets memory of the pool;
 *          EA_ERR_NO_MEMORY if not one block fits; EA_ERR_RANGE if the pool would have more than
 *          EA_CFG_POOL_SLABS slabs or more than EA_CFG_POOL_SLABS times the blocks of its first
 *          one.
 * Owns     the pool uses mem until ea_pool_remove_slab() or ea_pool_deinit().
 * Cost     O(1) but for clearing a bit per block, and for each task that waits for a block. */
EA_NODISCARD ea_status_t ea_pool_add_slab(ea_pool_t *pool, void *mem, size_t size_bytes);

/* Take the slab added last, mem as given to ea_pool_add_slab(), out of the pool.
 * Returns  EA_OK; EA_ERR_NOT_FOUND if mem is no added slab of this pool; EA_ERR_BUSY if blocks live
 *          in it, their number in *n_live (which may be NULL): nothing changed.
 * Context  any, alone. Cost O(blocks). */
EA_NODISCARD ea_status_t ea_pool_remove_slab(ea_pool_t *pool, void *mem, size_t *n_live);

/* --- walking and checking --------------------------------------------------------------------- */

/* Call visit for live blocks in the order of slabs and addresses, looking at at most max_steps
 * blocks. The pool may be in use: a block that lives throughout the walk is visited exactly once.
 * Returns  EA_ERR_AGAIN: call again with the same cursor; EA_OK: complete; EA_ERR_INVALID: without
 *          validity bits nobody knows which blocks are live.
 * Cost     O(max_steps). Any number of walks at a time. */
EA_NODISCARD ea_status_t ea_pool_walk(const ea_pool_t *pool, ea_pool_cursor_t *cursor,
                                      size_t max_steps, ea_pool_visit_t visit, void *context);

/* Check every invariant. Changes nothing and survives garbage: what is read is tested before it is
 * followed, addresses against a seal. (That of EA_POOL_DEFINE is a sum, until the pool gets a slab:
 * any one damaged field breaks it, several could be damaged so that it holds.)
 * Returns  EA_OK, or EA_ERR_CORRUPT with *report (may be NULL) filled in.
 * Context  any, alone. Cost O(blocks). */
EA_NODISCARD ea_status_t ea_pool_check(const ea_pool_t *pool, ea_pool_report_t *report);

/* --- one context only ------------------------------------------------------------------------- */

/* x rotated right by 0 to one less than its number of bits. */
EA_INLINE uintptr_t eai_pool_rotate(uintptr_t x, unsigned by)
{
    return x >> by | x << ((0u - by) & (sizeof x * 8u - 1u));
}

#if defined(__thumb2__)
#define EAI_ON_THUMB2 1
#else
#define EAI_ON_THUMB2 0
#endif
#if !EAI_ON_THUMB2 && defined(__thumb__) && !defined(__clang__)
#define EAI_ON_THUMB1 1
#else
#define EAI_ON_THUMB1 0
#endif

/* The mask of a block's bit. A rotation on Arm takes its count modulo 32 by itself; the compiler
 * would spend two instructions on it all the same. So there the bits count from the other end. */
#define EAI_POOL_BITS_TURN (EAI_ON_THUMB2 || EAI_ON_THUMB1)
EA_INLINE uint32_t eai_pool_bit(uintptr_t index)
{
#if EAI_ON_THUMB2
    uint32_t bit;
    __asm__("ror %0, %1, %2" : "=r"(bit) : "r"(1u), "r"(index));
    return bit;
#elif EAI_ON_THUMB1
    uint32_t bit = 1u;
    __asm__("ror %0, %1" : "+l"(bit) : "l"(index) : "cc");
    return bit;
#else
    return (uint32_t)1 << (index % 32u);
#endif
}

/* Bits stand below the base, a word for 32 blocks: where a block's word is. */
EA_INLINE eai_pool_bits_t *eai_pool_bits(unsigned char *base, uintptr_t index)
{
    return (eai_pool_bits_t *)((uintptr_t)base + ~(index / 32u) * sizeof(eai_pool_bits_t));
}

/* What a pool's links are encoded with; 0: they are not. A multiple of its address, so that small
 * numbers and other pools' links decode to what is no link. */
EA_INLINE uint32_t eai_pool_key(const ea_pool_t *pool)
{
#if EA_CFG_ENCODE_LINKS
    return pool->eai_secret ^ (uint32_t)(uintptr_t)pool * 0x9E3779B1u;
#else
    (void)pool;
    return 0;
#endif
}

/* A free block's first word is the link of the next one. */
#ifdef EAI_MODEL_CHECK
typedef EAI_SHARED(uint32_t) eai_pool_link_t;
#else
typedef uint32_t EA_MAY_ALIAS eai_pool_link_t;
typedef unsigned char *EA_MAY_ALIAS eai_pool_pointer_t;

/* What the unlocked calls do to their list. */
#if EAI_POOL_LOCAL

/* For pointers: all their bits. */
EA_INLINE uintptr_t eai_pool_long_key(const ea_pool_t *pool)
{
    return (uintptr_t)eai_pool_key(pool) * ((uintptr_t)UINT32_MAX + 2u);
}
EA_INLINE unsigned char *eai_pool_first(const ea_pool_t *pool)
{
    return pool->eai_local;
}
EA_INLINE void eai_pool_drop_first(ea_pool_t *pool, unsigned char *block)
{
    uintptr_t next = (uintptr_t) * (const eai_pool_pointer_t *)(const void *)block;
    pool->eai_local = (unsigned char *)(next ^ eai_pool_long_key(pool));
}
EA_INLINE void eai_pool_put_first(ea_pool_t *pool, unsigned char *block)
{
    uintptr_t next = (uintptr_t)pool->eai_local ^ eai_pool_long_key(pool);
    *(eai_pool_pointer_t *)(void *)block = (unsigned char *)next;
    pool->eai_local = block;
}

#else /* the list of all: of the head, which may hold a tag, only the link */

#if EAI_ATOMICS == EAI_ATOMICS_CAS
#define EAI_POOL_END_OF(pool) (UINT32_MAX >> (pool)->eai_no_link_bits)
#else
#define EAI_POOL_END_OF(pool) UINT32_MAX
#endif

EA_INLINE unsigned char *eai_pool_first(const ea_pool_t *pool)
{
    uint32_t end = EAI_POOL_END_OF(pool), link = (uint32_t)pool->eai_head & end;
    return link == end ? NULL : pool->eai_base + ((size_t)link << EAI_POOL_LINK_SHIFT);
}
EA_INLINE void eai_pool_drop_first(ea_pool_t *pool, unsigned char *block)
{
    pool->eai_head = *(const eai_pool_link_t *)(const void *)block ^ eai_pool_key(pool);
}
EA_INLINE void eai_pool_put_first(ea_pool_t *pool, unsigned char *block)
{
    *(eai_pool_link_t *)(void *)block =
        ((uint32_t)pool->eai_head & EAI_POOL_END_OF(pool)) ^ eai_pool_key(pool);
    pool->eai_head = ((uintptr_t)block - (uintptr_t)pool->eai_base) >> EAI_POOL_LINK_SHIFT;
}

#endif

/* As ea_pool_alloc() and ea_pool_free(), while no other context can be inside a call on this pool:
 * no atomic access, and the usual path is inline. Blocks may be taken by one kind of call and given
 * back by the other. */
EA_INLINE EA_NODISCARD void *ea_pool_alloc_unlocked(ea_pool_t *pool)
{
    unsigned char *block = eai_pool_first(pool);
    if (EA_UNLIKELY(block == NULL)) return ea_pool_alloc(pool);
#if EA_CFG_POOL_VALIDATE
    uintptr_t link =
        eai_pool_rotate((uintptr_t)block - (uintptr_t)pool->eai_base, EAI_POOL_LINK_SHIFT);
    uintptr_t index = eai_pool_rotate(link, pool->eai_rotate) * pool->eai_inverse;
    if (EA_UNLIKELY(index >= pool->eai_n_blocks)) return ea_pool_alloc(pool);
    uint32_t *bits = eai_pool_bits(pool->eai_base, index), bit = eai_pool_bit(index);
    if (EA_UNLIKELY((*bits & bit) != 0)) return ea_pool_alloc(pool);
    *bits |= bit;
#elif EA_CFG_POOL_SLABS > 1
    if (EA_UNLIKELY((uintptr_t)block - (uintptr_t)pool->eai_base >=
                    (size_t)pool->eai_n_blocks * pool->eai_block_bytes)) {
        return ea_pool_alloc(pool);
    }
#endif
    eai_pool_drop_first(pool, block);
#if EA_CFG_POOL_STATS
    pool->eai_counters.eai_n_allocs++;
#endif
    return block;
}

EA_INLINE ea_status_t ea_pool_free_unlocked(ea_pool_t *pool, void *ptr)
{
#if EA_CFG_POOL_VALIDATE
    uintptr_t link =
        eai_pool_rotate((uintptr_t)ptr - (uintptr_t)pool->eai_base, EAI_POOL_LINK_SHIFT);
    uintptr_t index = eai_pool_rotate(link, pool->eai_rotate) * pool->eai_inverse;
    if (EA_UNLIKELY(index >= pool->eai_n_blocks)) return ea_pool_free(pool, ptr);
    uint32_t *bits = eai_pool_bits(pool->eai_base, index), bit = eai_pool_bit(index);
    if (EA_UNLIKELY((*bits & bit) == 0)) return ea_pool_free(pool, ptr);
    *bits &= ~bit;
#elif EA_CFG_POOL_SLABS > 1
    if (EA_UNLIKELY((uintptr_t)ptr - (uintptr_t)pool->eai_base >=
                    (size_t)pool->eai_n_blocks * pool->eai_block_bytes)) {
        return ea_pool_free(pool, ptr);
    }
#else
    if (EA_UNLIKELY(ptr == NULL)) return EA_OK;
#endif
    eai_pool_put_first(pool, (unsigned char *)ptr);
#if EA_CFG_POOL_STATS
    pool->eai_counters.eai_n_frees++;
#endif
    return EA_OK;
}

#endif

#ifdef __cplusplus
}
#endif
#endif
