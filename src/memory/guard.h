/* SPDX-License-Identifier: MIT
 *
 * Tags and guards: what an allocator writes around a block, and how it finds damage there. guard.c
 * tells the story. A mechanism: it takes no memory, no lock and no decision.
 *
 * Everywhere: tag is where the block's tag stands, payload the byte the user gets, usable the bytes
 * from there to the end of the block, a multiple of 4 and below 4 GB. In a heap the tag stands at
 * payload - EAI_FRONT_BYTES; in a pool somewhere else, and there is no front. The caller has made
 * sure that all of this is memory it may read; what stands in it may be anything.
 *
 * Context: any, but one call at a time on one block, and on one state where it is not const. A
 * check may read, and does not use, the last bytes of what the user has.
 */
#ifndef EALLOC_MEMORY_GUARD_H
#define EALLOC_MEMORY_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/config.h"
#include "ealloc/guard.h"
#include "ealloc/heap.h"
#include "ealloc/status.h"

/* --- sizes ------------------------------------------------------------------------------------ */

#if UINTPTR_MAX > 0xFFFFFFFFu
#define EAI_TAG_WORDS 4u
#define EAI_BIRTH_BITS 32u
#else
#define EAI_TAG_WORDS 2u
#define EAI_BIRTH_BITS 16u
#endif

typedef struct {
    EA_MAY_ALIAS uint32_t words[EAI_TAG_WORDS];
} eai_tag_t;

/* Bytes before the payload in a heap, and the fewest between request and end of a guarded block. A
 * canary takes what alignment leaves over, and from level 2 on room of its own. */
#define EAI_FRONT_LEAST (sizeof(eai_tag_t) * (EA_CFG_GUARD >= 2 ? 2u : 1u))
#define EAI_FRONT_BYTES                                                                            \
    (EAI_TAGGED ? (EAI_FRONT_LEAST + EA_HEAP_ALIGN - 1u) / EA_HEAP_ALIGN * EA_HEAP_ALIGN : 0u)
#define EAI_CANARY_BYTES (EA_CFG_GUARD > 0 ? EAI_FRONT_BYTES - sizeof(eai_tag_t) : 0u)
#define EAI_BACK_BYTES (EA_CFG_GUARD > 0 ? 4u : 0u)

/* --- state and label -------------------------------------------------------------------------- */

#define EAI_LABEL_GUARDED 1u  /* the block has more than a tag; means something where sampled */
#define EAI_LABEL_INTERNAL 2u /* it is the library's own                                      */
#define EAI_LABEL_DEFERRED 4u /* it waits to be freed                                         */
#define EAI_LABEL_FLAGS 7u

/* A tag unpacked. */
typedef struct {
    const void *site; /* 32-bit machines keep its bits 1 to 20 */
    uint32_t birth;   /* of which EAI_BIRTH_BITS are kept      */
    uint16_t owner;
    uint8_t flags;
} eai_label_t;

typedef struct {
    ea_guard_kind_t kind;
    const void *first_bad; /* NULL: not one byte                       */
    size_t request;        /* as far as it can be told; 0: it cannot   */
} eai_finding_t;

#if EAI_TAGGED

/* secret: random, anew each boot. identity: tells the allocators of one program apart, so that a
 * block of another one is not taken for one's own. */
void eai_guard_init(eai_guard_t *g, uint32_t secret, uint32_t identity);

/* Write tag, guards and, from level 2 on, the bytes from old_request to request: 0 for a new block;
 * what it was for one that was resized, whose label was read before. Where guards are sampled only
 * a label with EAI_LABEL_GUARDED gets more than a tag; else every label does. A guarded block has
 * usable >= request + EAI_BACK_BYTES.
 * Cost     O(1) on level 1, else O(bytes). */
void eai_guard_resize(const eai_guard_t *g, eai_tag_t *tag, void *payload, size_t old_request,
                      size_t request, size_t usable, const eai_label_t *label);

/* Look at a block that should be live. Changes nothing and survives garbage.
 * Returns  EA_GUARD_NONE, HEAD, TAIL, TAG or DOUBLE_FREE (the tag says it was freed), also in
 *          *finding, of which the rest is filled in if something was found.
 * Cost     O(1) on level 1, else O(usable - request). */
EA_NODISCARD ea_guard_kind_t eai_guard_check(const eai_guard_t *g, const eai_tag_t *tag,
                                             const void *payload, size_t usable,
                                             eai_finding_t *finding);

/* What was asked for; usable for a block that is not guarded, or too damaged to tell. Cost O(1). */
EA_NODISCARD size_t eai_guard_request_bytes(const eai_guard_t *g, const eai_tag_t *tag,
                                            const void *payload, size_t usable);

/* Returns whether the tag is that of a live block and *label its content; else *label is all 0 but,
 * for a freed block, what is left of it. Cost O(1). */
bool eai_guard_label(const eai_guard_t *g, const eai_tag_t *tag, const void *payload,
                     eai_label_t *label);

/* Give a live block another label; whether it is guarded does not change. Cost O(1). */
void eai_guard_relabel(const eai_guard_t *g, eai_tag_t *tag, void *payload, size_t usable,
                       const eai_label_t *label);

/* The block is about to go: mark the tag, and from level 2 on poison the payload.
 * Returns  true if it was poisoned, so that it may go into quarantine.
 * Cost     O(1) on level 1, else O(usable). */
bool eai_guard_undress(const eai_guard_t *g, eai_tag_t *tag, void *payload, size_t usable);

/* The two parts of undress, for a caller that holds a lock during the first. Mark returns whether
 * the payload is to be poisoned. Cost of mark: O(1). */
bool eai_guard_mark(const eai_guard_t *g, eai_tag_t *tag, const void *payload);
void eai_guard_poison(void *payload, size_t usable);

/* As mark, for a block that several contexts may try to free, also an interrupt of the one that
 * holds the block's lock: *poisons is what mark returns.
 * Returns  true for exactly one of them; false: the tag is none of a live block. */
EA_NODISCARD bool eai_guard_claim(const eai_guard_t *g, eai_tag_t *tag, const void *payload,
                                  bool *poisons);

/* Write what fresh memory holds over the bytes from old_request to request: what resize leaves out
 * if it is told that both are the same. Nothing below level 2. Cost O(bytes). */
void eai_guard_freshen(void *payload, size_t old_request, size_t request);

/* Look for the first byte from offset from to usable that is not poison any more; NULL: none. For
 * what is taken from a pool, whose blocks keep their poison but for the first word. */
EA_NODISCARD const void *eai_guard_unpoisoned(const void *payload, size_t from, size_t usable);

/* Fill in what a finding and a tag tell of a block. The neighbours of the report are the caller's
 * to fill in, with the second function; a neighbour that is not live stays all 0. Cost O(1). */
void eai_guard_describe(const eai_guard_t *g, const eai_tag_t *tag, const void *payload,
                        const eai_finding_t *finding, ea_guard_report_t *report);
void eai_guard_describe_neighbour(const eai_guard_t *g, const eai_tag_t *tag, const void *payload,
                                  size_t usable, ea_guard_neighbour_t *neighbour);

#else

EA_INLINE void eai_guard_init(eai_guard_t *g, uint32_t secret, uint32_t identity)
{
    (void)g, (void)secret, (void)identity;
}
EA_INLINE void eai_guard_resize(const eai_guard_t *g, eai_tag_t *tag, void *payload,
                                size_t old_request, size_t request, size_t usable,
                                const eai_label_t *label)
{
    (void)g, (void)tag, (void)payload, (void)old_request, (void)request, (void)usable, (void)label;
}
EA_INLINE EA_NODISCARD ea_guard_kind_t eai_guard_check(const eai_guard_t *g, const eai_tag_t *tag,
                                                       const void *payload, size_t usable,
                                                       eai_finding_t *finding)
{
    (void)g, (void)tag, (void)payload, (void)usable, (void)finding;
    return EA_GUARD_NONE;
}
EA_INLINE EA_NODISCARD size_t eai_guard_request_bytes(const eai_guard_t *g, const eai_tag_t *tag,
                                                      const void *payload, size_t usable)
{
    (void)g, (void)tag, (void)payload;
    return usable;
}
EA_INLINE bool eai_guard_label(const eai_guard_t *g, const eai_tag_t *tag, const void *payload,
                               eai_label_t *label)
{
    (void)g, (void)tag, (void)payload;
    *label = (eai_label_t){0};
    return false;
}
EA_INLINE void eai_guard_relabel(const eai_guard_t *g, eai_tag_t *tag, void *payload, size_t usable,
                                 const eai_label_t *label)
{
    (void)g, (void)tag, (void)payload, (void)usable, (void)label;
}
EA_INLINE bool eai_guard_undress(const eai_guard_t *g, eai_tag_t *tag, void *payload, size_t usable)
{
    (void)g, (void)tag, (void)payload, (void)usable;
    return false;
}

#endif

/* As eai_guard_resize() for a new block. */
EA_INLINE void eai_guard_dress(const eai_guard_t *g, eai_tag_t *tag, void *payload, size_t request,
                               size_t usable, const eai_label_t *label)
{
    eai_guard_resize(g, tag, payload, 0, request, usable, label);
}

/* Shall the next allocation be guarded? Its label's EAI_LABEL_GUARDED. */
EA_INLINE EA_NODISCARD bool eai_guard_picks(eai_guard_t *g)
{
#if EA_CFG_GUARD_SAMPLED
    /* Contexts that meet may count one allocation for two: what is drawn is random all the same. */
    uint32_t left = __atomic_load_n(&g->countdown, __ATOMIC_RELAXED);
    if (EA_LIKELY(left == 0)) return false;
    bool picks = --left == 0;
    if (EA_UNLIKELY(picks)) {
        uint32_t random = __atomic_load_n(&g->random, __ATOMIC_RELAXED) * 1664525u + 1013904223u;
        uint32_t every = __atomic_load_n(&g->every, __ATOMIC_RELAXED);
        __atomic_store_n(&g->random, random, __ATOMIC_RELAXED);
        /* At random, so that no pattern of the program stays out of sight; on average every. */
        left = every < 2u ? every : 1u + (random >> 8) % (2u * every - 1u);
    }
    __atomic_store_n(&g->countdown, left, __ATOMIC_RELAXED);
    return picks;
#else
    (void)g;
    return EA_CFG_GUARD > 0;
#endif
}

/* From now on guard one allocation in every: 0 none, 1 all, at most 8 million. Nothing where guards
 * are not sampled. */
EA_INLINE void eai_guard_sample(eai_guard_t *g, uint32_t every)
{
    (void)g, (void)every;
#if EA_CFG_GUARD_SAMPLED
    __atomic_store_n(&g->every, every, __ATOMIC_RELAXED);
    __atomic_store_n(&g->countdown, (uint32_t)(every != 0), __ATOMIC_RELAXED);
#endif
}

/* Bytes a block of a heap takes beyond its request. */
EA_INLINE size_t eai_guard_extra_bytes(bool is_guarded)
{
    return EAI_FRONT_BYTES + (is_guarded ? EAI_BACK_BYTES : 0u);
}

/* The front of a block of a heap. */
EA_INLINE eai_tag_t *eai_guard_front_tag(const void *payload)
{
    return (eai_tag_t *)((uintptr_t)payload - EAI_FRONT_BYTES);
}

/* --- what all check values are made of -------------------------------------------------------- */

/* Factors that undo each other; guard.c says why these. */
#define EAI_SPREAD 0x0E8B2F51u
#define EAI_GATHER 0x9E3779B1u

EA_INLINE uint32_t eai_guard_rotate(uint32_t x, unsigned by)
{
    return x << by | x >> (32u - by);
}

/* Of an address, the secret and the allocator's identity. */
EA_INLINE uint32_t eai_guard_hash(const eai_guard_t *g, const void *address)
{
    uint32_t x = (uint32_t)(uintptr_t)address;
    if (sizeof(uintptr_t) > 4) x += (uint32_t)((uint64_t)(uintptr_t)address >> 32);
    x = (x ^ g->key) * EAI_GATHER;
    return x ^ x >> 15;
}

#endif
