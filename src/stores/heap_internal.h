/* SPDX-License-Identifier: MIT
 *
 * The heap's layout and the primitives its sources share. heap.c tells the story.
 */
#ifndef EALLOC_STORES_HEAP_INTERNAL_H
#define EALLOC_STORES_HEAP_INTERNAL_H

#include "base/bits.h"
#include "base/mem.h"
#include "base/usage.h"
#include "ealloc/heap.h"

/* --- what a profile is made of ---------------------------------------------------------------- */

#define EAI_PROFILE_DEFAULT 0
#define EAI_PROFILE_FAST 1
#define EAI_PROFILE_THROUGHPUT 2
#define EAI_PROFILE_TINY 3

/* HT: a free block goes to the head of its bin, unless it lies above the first block there: then to
 * the tail. Nearly address order for one compare. The others put frees at the head and what a split
 * leaves at the tail: no branch, somewhat more fragmentation. */
#define EAI_ORDER_HT (EA_CFG_HEAP_PROFILE == EAI_PROFILE_DEFAULT)
/* A small block that must be cut from a larger one has two candidates and takes the lower: the
 * small ones gather low and leave the high end whole. */
#define EAI_LOW_FIRST (EA_CFG_HEAP_PROFILE == EAI_PROFILE_DEFAULT)
#define EAI_LOW_FIRST_BINS bin_of(128u)
/* Where a granule is less than the smallest block, a block cut from the hole one granule too large
 * keeps that granule, unused. So the other candidate is taken, wherever it lies, if it is in this
 * bin or above, or if the hole is the last of its bin: the next request of its size will want
 * it. */
#define EAI_LOSES_REST (EA_HEAP_ALIGN < EAI_MIN_BLOCK)
#define EAI_SPARE_HOLE_BIN bin_of(48u)
/* A large block is cut from the high end, away from the small ones, whose remains would split its
 * space when it is gone. */
#define EAI_LARGE_HIGH EAI_LOW_FIRST
#define EAI_LARGE_BYTES 2048u
/* Take a block of exactly the wanted size without looking at it. */
#define EAI_EXACT                                                                                  \
    (EA_CFG_HEAP_PROFILE == EAI_PROFILE_FAST || EA_CFG_HEAP_PROFILE == EAI_PROFILE_THROUGHPUT)
#define EAI_QUICK (EA_CFG_HEAP_PROFILE == EAI_PROFILE_THROUGHPUT)

#define EAI_TINY_CODE (EA_CFG_HEAP_PROFILE == EAI_PROFILE_TINY)
/* A walk marks the block it stands on. */
#define EAI_WALK_MARKS (EA_CFG_HEAP_STEPWISE && !EAI_TINY_CODE)

/* --- units ------------------------------------------------------------------------------------ */

#if EA_CFG_HEAP_LINK_BITS != 0
#define EAI_LINK_BITS EA_CFG_HEAP_LINK_BITS
#elif UINTPTR_MAX > 0xFFFFFFFFu
#define EAI_LINK_BITS 32
#else
#define EAI_LINK_BITS 16
#endif

/* A ref names a block or a sentinel by the address of its links, counted from the heap in units of
 * 1 << EAI_REF_SHIFT bytes; on 32-bit machines with 32-bit links it is the address itself. */
typedef uint32_t ref_t;
#if EAI_LINK_BITS == 16
typedef uint16_t link_t;
#define EAI_REF_SHIFT 2
#define EAI_LINKS_ARE_POINTERS 0
#define EAI_MAX_SPAN_BYTES 0x40000u
#else
typedef uint32_t link_t;
#define EAI_LINKS_ARE_POINTERS (UINTPTR_MAX <= 0xFFFFFFFFu)
#define EAI_REF_SHIFT 3
#define EAI_MAX_SPAN_BYTES 0xFFFFFFE0u
#endif

typedef struct {
    link_t next, prev;
} EA_MAY_ALIAS links_t;
typedef uint32_t EA_MAY_ALIAS header_t;

#if EA_HEAP_ALIGN == 8
#define EAI_GRANULE_SHIFT 3
#else
#define EAI_GRANULE_SHIFT 4
#endif
#define EAI_MASK (EA_HEAP_ALIGN - 1u)
#define EAI_MIN_BLOCK EA_HEAP_MIN_BLOCK_BYTES

/* Header flags. A free block never has PREV_FREE: neighbours that are both free are merged. */
#define EAI_FREE 1u /* this block is free                                                     */
#define EAI_PREV_FREE                                                                              \
    2u              /* the block below is free, its size stands in the 4 bytes under our header */
#define EAI_MARK 4u /* used, and special: a walk stands here, or (throughput) in a quick list   */
#define EAI_FLAGS 7u

/* --- bins ------------------------------------------------------------------------------------- */

#define EAI_SUB_LOG2 2u                         /* 4 bins per doubling                         */
#define EAI_EXACT_GRANULES (2u << EAI_SUB_LOG2) /* below: one size a bin                       */
#define EAI_FIRST_BIN (EAI_MIN_BLOCK >> EAI_GRANULE_SHIFT)
#if EAI_LINK_BITS == 16
#define EAI_WORDS 2
#else
#define EAI_WORDS 4
#endif

/* Quick lists: one a block size up to EAI_QUICK_BYTES. A free puts at most EAI_QUICK_DEPTH blocks
 * into one. A small request, up to EAI_REFILL_MAX_BLOCK, that finds its list empty and is cut from
 * a block of EAI_REFILL_FROM or more fills the list, with EAI_REFILL_BYTES in all. */
#define EAI_QUICK_LISTS (65u - EAI_FIRST_BIN)
#define EAI_QUICK_BYTES (64u * EA_HEAP_ALIGN)
#define EAI_QUICK_DEPTH 32u
#define EAI_REFILL_BYTES 2048u
#define EAI_REFILL_MAX_BLOCK 256u
#define EAI_REFILL_FROM 32768u
/* What a list can hold at most. */
#define EAI_QUICK_MOST (EAI_REFILL_BYTES / EAI_MIN_BLOCK)
EA_STATIC_ASSERT(EAI_QUICK_DEPTH <= EAI_QUICK_MOST && EAI_QUICK_MOST <= 255, "counts are bytes");

/* A run of memory that blocks tile. The heap's first one stands in its control structure, the
 * others at the start of their own memory. Offsets are bytes from the heap. */
typedef struct {
    uint32_t first; /* payload of the first block                    */
    uint32_t end;   /* payload position of the end header            */
    uint32_t next;  /* the next region's descriptor, ascending; 0: none */
    uint32_t seal;  /* eai_region_seal(): tells a region from garbage   */
} EA_MAY_ALIAS eai_region_t;

struct ea_heap {
#if EA_CFG_HEAP_STATS
    eai_usage_t usage;
    uint32_t n_failures;
    uint32_t n_corruptions;
#endif
#if !EAI_TINY_CODE
    size_t limit; /* requests n with n - EAI_LEAST > limit take the slow path           */
    uint32_t
        words[EAI_WORDS]; /* a bit per bin; the guard's is always set                          */
#endif
    uint32_t span_bytes;
    uint32_t cursor; /* block a walk stands on, bytes from the heap; 0: none              */
    uint16_t walk_serial;
    uint8_t guard; /* bin number of the guard; tiny has none                            */
    uint8_t fit;
    uint32_t seal;
    eai_region_t region;
#if EAI_QUICK
    size_t span_granules; /* of the span: no block begins beyond */
#if EA_CFG_HEAP_STATS
    size_t n_quick_allocs; /* allocations that quick lists served; usage does not know them */
#endif
    link_t quick[EAI_QUICK_LISTS]; /* 0: empty */
    uint8_t n_quick[EAI_QUICK_LISTS];
#endif
    /* Sentinels from EAI_FIRST_BIN up, then one slot of zeros, then the guard. Tiny: sentinels up
     * to the first header. */
    links_t bins[] __attribute__((aligned(sizeof(links_t))));
};

#define EAI_BINS_OFFSET offsetof(struct ea_heap, bins)
EA_STATIC_ASSERT(sizeof(links_t) == 1u << EAI_REF_SHIFT, "a ref counts in sentinels");
EA_STATIC_ASSERT(EAI_BINS_OFFSET % sizeof(links_t) == 0, "sentinels have whole refs");

/* Requests below this many bytes need a block larger than their rounded size. */
#define EAI_LEAST (EA_HEAP_ALIGN == 8 ? EAI_MIN_BLOCK - EA_HEAP_OVERHEAD_BYTES - 8u + 1u : 1u)

/* --- conversions, each in one place ----------------------------------------------------------- */

EA_INLINE char *base_of(const ea_heap_t *heap)
{
    return (char *)(uintptr_t)heap;
}

EA_INLINE links_t *at(const ea_heap_t *heap, ref_t ref)
{
#if EAI_LINKS_ARE_POINTERS
    (void)heap;
    return (links_t *)(uintptr_t)ref;
#else
    return (links_t *)(base_of(heap) + ((size_t)ref << EAI_REF_SHIFT));
#endif
}

EA_INLINE ref_t ref_of(const ea_heap_t *heap, const void *links)
{
#if EAI_LINKS_ARE_POINTERS
    (void)heap;
    return (ref_t)(uintptr_t)links;
#else
    return (ref_t)((size_t)((const char *)links - base_of(heap)) >> EAI_REF_SHIFT);
#endif
}

EA_INLINE ref_t sentinel(const ea_heap_t *heap, uint32_t bin)
{
#if EAI_LINKS_ARE_POINTERS
    return ref_of(heap, &heap->bins[bin - EAI_FIRST_BIN]);
#else
    (void)heap;
    return (ref_t)(EAI_BINS_OFFSET >> EAI_REF_SHIFT) - EAI_FIRST_BIN + bin;
#endif
}

EA_INLINE uint32_t bin_of_sentinel(const ea_heap_t *heap, ref_t ref)
{
#if EAI_LINKS_ARE_POINTERS
    return (uint32_t)((links_t *)(uintptr_t)ref - heap->bins) + EAI_FIRST_BIN;
#else
    (void)heap;
    return ref - ((ref_t)(EAI_BINS_OFFSET >> EAI_REF_SHIFT) - EAI_FIRST_BIN);
#endif
}

EA_INLINE header_t *header(const void *payload)
{
    return (header_t *)((char *)(uintptr_t)payload - 4);
}

/* The copy of its size at a free block's end. */
EA_INLINE header_t *tail(const char *payload, uint32_t size)
{
    return (header_t *)((char *)(uintptr_t)payload + size - 8);
}

/* Rotated right by bits, 1 to 31: what must be 0 at the low end makes it large if it is not. */
EA_INLINE size_t turn_size(size_t x, unsigned bits)
{
    return x >> bits | x << (sizeof x * 8 - bits);
}
EA_INLINE uint32_t turn_word(uint32_t x, unsigned bits)
{
    return x >> bits | x << (32u - bits);
}

EA_INLINE uint32_t size_of(uint32_t head)
{
    return head & ~EAI_FLAGS;
}

EA_INLINE uint32_t offset_of(const ea_heap_t *heap, const void *payload)
{
    return (uint32_t)((const char *)payload - base_of(heap));
}

/* Bin of a block size: linear below EAI_EXACT_GRANULES, then 4 equal steps per doubling. */
#if EAI_TINY_CODE
uint32_t eai_heap_bin_of(uint32_t size);
#define bin_of eai_heap_bin_of
#else
EA_INLINE uint32_t bin_of(uint32_t size)
{
    uint32_t g = size >> EAI_GRANULE_SHIFT;
#if EAI_HAS_CLZ
    uint32_t e = (31u - EAI_SUB_LOG2) - eai_clz32(g | (1u << EAI_SUB_LOG2));
    return (e << EAI_SUB_LOG2) + (g >> e);
#else
    /* Binary search for the exponent: g ends in 0 to 7, one bin is 1 << e granules. */
    uint32_t bin = 0;
#if EAI_LINK_BITS != 16
    if (g >> 19) g >>= 16, bin += 16u << EAI_SUB_LOG2;
#endif
    if (g >> 11) g >>= 8, bin += 8u << EAI_SUB_LOG2;
    if (g >> 7) g >>= 4, bin += 4u << EAI_SUB_LOG2;
    if (g >> 5) g >>= 2, bin += 2u << EAI_SUB_LOG2;
    if (g >> 4) g >>= 1, bin += 1u << EAI_SUB_LOG2;
    if (g >> 3) g >>= 1, bin += 1u << EAI_SUB_LOG2;
    return bin + g;
#endif
}
#endif

/* Smallest block size of a bin; the inverse of bin_of(). */
EA_INLINE uint32_t bin_floor(uint32_t bin)
{
    if (bin < EAI_EXACT_GRANULES) return bin << EAI_GRANULE_SHIFT;
    uint32_t e = (bin >> EAI_SUB_LOG2) - 1u;
    return ((1u << EAI_SUB_LOG2) + (bin & ((1u << EAI_SUB_LOG2) - 1u))) << (e + EAI_GRANULE_SHIFT);
}

/* Block size that serves a request, which must not exceed the limit. */
EA_INLINE uint32_t block_size(size_t request)
{
    return (uint32_t)(request + EA_HEAP_OVERHEAD_BYTES + EAI_MASK) & ~EAI_MASK;
}

/* Seals tell a control structure from garbage; without checks there are none. */
EA_INLINE uint32_t eai_region_seal(const eai_region_t *r)
{
    return r->first * 3u ^ r->end * 5u ^ r->next * 7u ^ 0x5EA1EA10u;
}

EA_INLINE uint32_t eai_heap_seal(const ea_heap_t *heap)
{
    uint32_t seal = heap->span_bytes * 3u ^ (uint32_t)heap->guard * 0x10001u ^
                    (uint32_t)heap->fit << 8 ^ 0xEA110C01u;
#if !EAI_TINY_CODE
    seal ^= (uint32_t)heap->limit * 5u ^ (uint32_t)((uint64_t)heap->limit >> 32) * 9u;
#endif
#if EAI_QUICK
    seal ^=
        (uint32_t)heap->span_granules * 11u ^ (uint32_t)((uint64_t)heap->span_granules >> 32) * 13u;
#endif
    return seal;
}

/* Counters outside the hot path; nothing without them. */
EA_INLINE void eai_heap_adjust(ea_heap_t *heap, ptrdiff_t bytes)
{
    (void)heap, (void)bytes;
#if EA_CFG_HEAP_STATS
    eai_usage_adjust(&heap->usage, bytes);
#endif
}
EA_INLINE void eai_heap_settle(ea_heap_t *heap)
{
    (void)heap;
#if EA_CFG_HEAP_STATS
    eai_usage_settle(&heap->usage);
#endif
}

/* --- across the heap's sources ---------------------------------------------------------------- */

/* Where the blocks of a region begin and end. */
EA_INLINE char *region_first(const ea_heap_t *heap, const eai_region_t *r)
{
    return base_of(heap) + r->first;
}
EA_INLINE char *region_end(const ea_heap_t *heap, const eai_region_t *r)
{
    return base_of(heap) + r->end;
}
EA_INLINE eai_region_t *region_next(const ea_heap_t *heap, const eai_region_t *r)
{
    return r->next ? (eai_region_t *)(void *)(base_of(heap) + r->next) : NULL;
}

/* The used block at payload, whose header says its size and whether the one below is free, becomes
 * free: merged with free neighbours, linked, not counted. */
void eai_heap_release(ea_heap_t *heap, char *payload);
/* The free block at payload becomes a used one, not counted. Returns its size. */
uint32_t eai_heap_claim(ea_heap_t *heap, char *payload);
/* The block size that serves a request; eai_heap_can_serve() tells whether one can. */
uint32_t eai_heap_size_for(const ea_heap_t *heap, size_t request);
/* A whole free block of at least size bytes, used from now on and not counted; NULL: none. */
char *eai_heap_take(ea_heap_t *heap, uint32_t size);
/* The largest free block that a search can see: the first or the last of the highest bin; NULL. */
char *eai_heap_largest(const ea_heap_t *heap);
/* Give the end of a used block back, down to size bytes; not counted. */
void eai_heap_trim(ea_heap_t *heap, char *payload, uint32_t size);
/* EA_OK if payload may be freed or resized; else why not, counted. A walk may stand on it. */
ea_status_t eai_heap_admit(ea_heap_t *heap, char *payload);
/* If a walk stands on payload, let it stand on the next used block. */
void eai_heap_move_cursor(ea_heap_t *heap, char *payload);
/* A region with no used block goes: if a walk stands on its end, on to the next region. */
void eai_heap_leave_region(ea_heap_t *heap, const eai_region_t *r);
#if EAI_TINY_CODE
#if EA_CFG_CHECK_LEVEL >= 1
/* Does this block, met on a list, look like a free block? If not, it is counted. */
bool eai_heap_vouch(ea_heap_t *heap, const links_t *block);
#else
EA_INLINE bool eai_heap_vouch(ea_heap_t *heap, const links_t *block)
{
    (void)heap, (void)block;
    return true;
}
#endif
#endif

EA_INLINE bool eai_heap_can_serve(const ea_heap_t *heap, uint32_t size)
{
    return EAI_TINY_CODE ? size <= heap->span_bytes : size != 0;
}
#if EAI_QUICK
/* The size of the blocks in quick list i. */
EA_INLINE uint32_t quick_bytes(uint32_t i)
{
    return EAI_MIN_BLOCK + (i << EAI_GRANULE_SHIFT);
}
/* Coalesce what the quick lists hold. Returns whether there was any. */
bool eai_heap_flush_quick(ea_heap_t *heap);
/* How many blocks the quick lists hold, and their bytes. */
size_t eai_heap_quick_held(const ea_heap_t *heap, size_t *bytes);
#else
EA_INLINE size_t eai_heap_quick_held(const ea_heap_t *heap, size_t *bytes)
{
    (void)heap;
    *bytes = 0;
    return 0;
}
#endif

#endif
