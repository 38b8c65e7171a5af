/* SPDX-License-Identifier: MIT
 *
 * A dump that stays in the test, which reads it with the host's own reader (ealloc_inspect).
 */
#ifndef DUMPED_H
#define DUMPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "snapshot.h"

static uint8_t dumped[32768];
static size_t n_dumped; /* the test sets it to 0 before a dump */

/* For ea_dump_options_t. */
static inline bool keep_dumped(void *context, const void *bytes, size_t n_bytes)
{
    (void)context;
    if (n_bytes > sizeof dumped - n_dumped) return false;
    memcpy(dumped + n_dumped, bytes, n_bytes);
    n_dumped += n_bytes;
    return true;
}

/* NULL: it is no dump. */
static inline snapshot_t *read_dumped(void)
{
    char error[200];
    return snapshot_read(dumped, n_dumped, error, sizeof error);
}

#endif
