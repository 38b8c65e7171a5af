/* SPDX-License-Identifier: MIT
 *
 * What we ask of the compiler, in one place. Needs GCC 7 or Clang 7 or later.
 */
#ifndef EALLOC_COMPILER_H
#define EALLOC_COMPILER_H

#define EA_NODISCARD __attribute__((warn_unused_result))
#define EA_INLINE static inline __attribute__((always_inline))
#define EA_NOINLINE __attribute__((noinline))
#define EA_NORETURN __attribute__((noreturn))
#define EA_WEAK __attribute__((weak))
#define EA_LIKELY(x) __builtin_expect(!!(x), 1)
#define EA_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define EA_MAY_ALIAS __attribute__((may_alias))

/* Can a variable name a function to be called when it goes out of scope? */
#ifndef EA_HAS_CLEANUP
#define EA_HAS_CLEANUP 1
#endif
#if EA_HAS_CLEANUP
#define EAI_CLEANUP(function) __attribute__((cleanup(function)))
#else
#define EAI_CLEANUP(function)
#endif

#ifdef __cplusplus
#define EA_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define EA_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

#endif
