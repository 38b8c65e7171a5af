/* SPDX-License-Identifier: MIT
 *
 * Bit scans and bitmaps whose words are scanned for the first set bit. Which end of a word counts
 * as its first bit is the machine's choice: the top on Arm (one clz), the bottom elsewhere (one
 * ctz, or a multiplication and a table where the core has no scan instruction).
 */
#ifndef EALLOC_BASE_BITS_H
#define EALLOC_BASE_BITS_H

#include <stdint.h>

#include "ealloc/compiler.h"

/* A test may say 0 to see the other way on a machine that has it. */
#ifndef EAI_HAS_CLZ
#if defined(__ARM_ARCH_6M__) || (defined(__riscv) && !defined(__riscv_zbb))
#define EAI_HAS_CLZ 0
#else
#define EAI_HAS_CLZ 1
#endif
#endif

#if EAI_HAS_CLZ && defined(__arm__)
#define EAI_FIRST_IS_TOP 1
#else
#define EAI_FIRST_IS_TOP 0
#endif

/* Leading zeros of x, which must not be 0. */
EA_INLINE uint32_t eai_clz32(uint32_t x)
{
    return (uint32_t)__builtin_clz(x);
}

/* The mask of bit i mod 32. A rotation on Arm takes its count modulo 32 by itself; the compiler
 * would spend an instruction on it all the same. */
EA_INLINE uint32_t eai_bit(uint32_t i)
{
#if EAI_FIRST_IS_TOP && defined(__thumb2__)
    uint32_t mask;
    if (__builtin_constant_p(i)) return 0x80000000u >> (i & 31u);
    __asm__("ror %0, %1, %2" : "=r"(mask) : "r"(0x80000000u), "r"(i));
    return mask;
#else
    return EAI_FIRST_IS_TOP ? 0x80000000u >> (i & 31u) : 1u << (i & 31u);
#endif
}

/* The word without its first i bits, moved so that bit i is first; 0 <= i < 32. */
EA_INLINE uint32_t eai_bits_from(uint32_t word, uint32_t i)
{
    return EAI_FIRST_IS_TOP ? word << i : word >> i;
}

#if !EAI_HAS_CLZ
extern const uint8_t eai_de_bruijn[32];
#endif

/* Index of the first set bit of word, which must not be 0. Without a scan instruction: the lowest
 * bit alone times a de Bruijn sequence has a different value in its top 5 bits for each position
 * (Leiserson, Prokop, Randall 1998). */
EA_INLINE uint32_t eai_bits_first(uint32_t word)
{
#if EAI_FIRST_IS_TOP
    return (uint32_t)__builtin_clz(word);
#elif EAI_HAS_CLZ
    return (uint32_t)__builtin_ctz(word);
#else
    return eai_de_bruijn[((word & (0u - word)) * 0x077CB531u) >> 27];
#endif
}

/* Index of the last set bit of word, which must not be 0. */
EA_INLINE uint32_t eai_bits_last(uint32_t word)
{
#if EAI_FIRST_IS_TOP
    return 31u - (uint32_t)__builtin_ctz(word);
#elif EAI_HAS_CLZ
    return 31u - (uint32_t)__builtin_clz(word);
#else
    for (uint32_t i = 1; i < 32; i <<= 1) word |= word >> i;
    return eai_bits_first(word ^ (word >> 1)); /* the highest bit alone */
#endif
}

#endif
