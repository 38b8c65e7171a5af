/* SPDX-License-Identifier: MIT
 *
 * Usage counters of a store: what is free, the least that ever was, and how often blocks came and
 * went. The watermark is kept as its distance below free_bytes, so that its minimum is one bit
 * clear.
 */
#ifndef EALLOC_BASE_USAGE_H
#define EALLOC_BASE_USAGE_H

#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"

/* The order matters: each function below reads and writes three neighbours. */
typedef struct {
    size_t n_allocs;
    size_t free_bytes;
    ptrdiff_t slack_bytes; /* free_bytes minus the smallest it ever was */
    size_t n_frees;
} eai_usage_t;

/* size_bytes of free memory became a block. At most 6 instructions. */
EA_INLINE void eai_usage_taken(eai_usage_t *usage, uint32_t size_bytes)
{
#if defined(__thumb2__)
    /* The compiler makes single loads and stores of the lines below; three at once is 4 fewer. */
    __asm__("ldm %1, {r1, r2, r3}\n\t"
            "adds r1, r1, #1\n\t"
            "subs r2, r2, %2\n\t"
            "subs r3, r3, %2\n\t"
            "bic r3, r3, r3, asr #31\n\t"
            "stm %1, {r1, r2, r3}"
            : "+m"(*usage)
            : "r"(usage), "r"(size_bytes)
            : "r1", "r2", "r3", "cc");
#else
    ptrdiff_t slack = usage->slack_bytes - (ptrdiff_t)size_bytes;
    usage->n_allocs++;
    usage->free_bytes -= size_bytes;
    usage->slack_bytes = slack & ~(slack >> (sizeof slack * 8 - 1));
#endif
}

/* A block of size_bytes became free memory. At most 6 instructions. */
EA_INLINE void eai_usage_given(eai_usage_t *usage, uint32_t size_bytes)
{
#if defined(__thumb2__)
    __asm__("ldm %1, {r1, r2, r3}\n\t"
            "adds r1, r1, %2\n\t"
            "adds r2, r2, %2\n\t"
            "adds r3, r3, #1\n\t"
            "stm %1, {r1, r2, r3}"
            : "+m"(*usage)
            : "r"(&usage->free_bytes), "r"(size_bytes)
            : "r1", "r2", "r3", "cc");
#else
    usage->free_bytes += size_bytes;
    usage->slack_bytes += (ptrdiff_t)size_bytes;
    usage->n_frees++;
#endif
}

/* Free memory grew or shrank without a block coming or going. The caller settles the watermark with
 * eai_usage_settle() when an operation of several such steps is complete. */
EA_INLINE void eai_usage_adjust(eai_usage_t *usage, ptrdiff_t bytes)
{
    usage->free_bytes += (size_t)bytes;
    usage->slack_bytes += bytes;
}

EA_INLINE void eai_usage_settle(eai_usage_t *usage)
{
    if (usage->slack_bytes < 0) usage->slack_bytes = 0;
}

#endif
