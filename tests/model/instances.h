/* SPDX-License-Identifier: MIT
 *
 * The heap's configurations that the model test, the damage tests and the fuzzer run over. The list
 * and CMakeLists.txt must name the same instances: the link fails where they differ.
 */
#ifndef INSTANCES_H
#define INSTANCES_H

#include "stores/heap_instance.h"

/* clang-format off */
#define EACH_INSTANCE(X)                                                          \
    X(d8l16) X(d8l32) X(d16l16) X(d16l32) X(f8l16) X(f8l32) X(f16l16) X(f16l32)   \
    X(q8l16) X(q8l32) X(q16l16) X(q16l32) X(t8l16) X(t8l32) X(t16l16) X(t16l32)   \
    X(d8l16bare) X(f8l32bare) X(q8l32bare) X(t8l16bare)                           \
    X(d8l16hard) X(f8l32hard) X(q16l32hard) X(t8l16hard) X(d8l32full)
/* clang-format on */

#define DECLARE_INSTANCE(name) extern const eai_heap_ops_t eai_heap_ops_##name;
EACH_INSTANCE(DECLARE_INSTANCE)

#define INSTANCE_ENTRY(name) &eai_heap_ops_##name,
static const eai_heap_ops_t *const instances[] = {EACH_INSTANCE(INSTANCE_ENTRY)};
#define N_INSTANCES (sizeof instances / sizeof instances[0])

#endif
