/* SPDX-License-Identifier: MIT
 *
 * Files and memory asked for on the word of a recording.
 */
#ifndef EALLOC_COMMON_SANE_H
#define EALLOC_COMMON_SANE_H

#include <stdbool.h>
#include <stdint.h>

/* Open a file for reading if it is a regular one: never waits for a FIFO or disturbs a device.
 * Returns  the descriptor (close-on-exec), or -1 with errno; EINVAL: there is something else. */
int open_regular(const char *path);

/* Is there something at path, links followed, that is not a regular file? */
bool is_special(const char *path);

/* Bytes of memory that could be used now without driving the machine into its swap: what the kernel
 * says is available, or half of all if it does not say. */
uint64_t available_bytes(void);

/* a + b, at most INT64_MAX; a is a result of this or 0. */
static inline uint64_t add_saturating(uint64_t a, uint64_t b)
{
    return b > INT64_MAX || a > INT64_MAX - b ? INT64_MAX : a + b;
}

#endif
