/* SPDX-License-Identifier: MIT
 *
 * What runs the controller: ours in movable_load.c, peers of Debian's packages in
 * movable_peers.cpp, any other from a shared object that defines
 *
 *     const load_subject_t load_peer = {"its name", "", ...};
 */
#ifndef MOVABLE_LOAD_H
#define MOVABLE_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *name, *what;
    uint32_t unit_bytes, overhead_bytes; /* what a block costs */
    bool (*init)(void *mem, size_t size_bytes);
    void *(*alloc)(void *context, size_t size_bytes);
    void (*free)(void *context, void *ptr);
    void (*idle)(void); /* after each second; NULL: nothing */
} load_subject_t;

extern const load_subject_t load_peers[];
extern const size_t n_load_peers;

#ifdef __cplusplus
}
#endif
#endif
