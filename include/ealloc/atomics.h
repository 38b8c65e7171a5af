/* SPDX-License-Identifier: MIT
 *
 * How contexts that share an object exclude each other, by machine or as EA_CFG_ATOMICS says; part
 * of what callers compile in.
 */
#ifndef EALLOC_ATOMICS_H
#define EALLOC_ATOMICS_H

#include "ealloc/config.h"

#define EAI_ATOMICS_CAS 1
#define EAI_ATOMICS_LLSC 2
#define EAI_ATOMICS_MASK 3

#if EA_CFG_ATOMICS != 0
#define EAI_ATOMICS EA_CFG_ATOMICS
#elif defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#if defined(__ARM_FEATURE_LDREX) && (__ARM_FEATURE_LDREX & 4)
#define EAI_ATOMICS EAI_ATOMICS_LLSC
#else
#define EAI_ATOMICS EAI_ATOMICS_MASK
#endif
#elif defined(__riscv) && !defined(__riscv_atomic)
#define EAI_ATOMICS EAI_ATOMICS_MASK
#else
#define EAI_ATOMICS EAI_ATOMICS_CAS
#endif

#if EAI_ATOMICS == EAI_ATOMICS_CAS && defined(__ARM_ARCH_6M__)
#error "EA_CFG_ATOMICS: ARMv6-M has no compare-and-swap; choose 0 or 3"
#endif
#if EAI_ATOMICS == EAI_ATOMICS_LLSC && !(defined(__ARM_FEATURE_LDREX) || defined(EAI_ATOMIC_HEADER))
#error "EA_CFG_ATOMICS: 2 is for one core of Cortex-M3 and later"
#endif

#endif
