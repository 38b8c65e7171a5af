/* SPDX-License-Identifier: MIT
 *
 * Bit scans. One instruction where the core has it; ARMv6-M and RV32 without Zbb have none, and
 * there the library call the compiler would make is slower than a few shifts.
 */
#ifndef EALLOC_BASE_BITS_H
#define EALLOC_BASE_BITS_H

#include <stdint.h>

#include "ealloc/compiler.h"

#if defined(__ARM_ARCH_6M__) || (defined(__riscv) && !defined(__riscv_zbb))
#define EAI_HAS_CLZ 0
#else
#define EAI_HAS_CLZ 1
#endif

/* Leading zeros of x, which must not be 0. */
EA_INLINE uint32_t eai_clz32(uint32_t x)
{
    return (uint32_t)__builtin_clz(x);
}

#endif
