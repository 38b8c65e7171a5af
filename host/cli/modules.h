/* SPDX-License-Identifier: MIT
 *
 * Which program file an address lies in, from copies of /proc/<pid>/maps.
 */
#ifndef EALLOC_MODULES_H
#define EALLOC_MODULES_H

#include <stdint.h>

#include "recording.h"

typedef struct modules modules_t;

modules_t *modules_new(void);
void modules_free(modules_t *m);
/* Replace what is known by the maps file at path. */
void modules_read(modules_t *m, const char *path);
/* The number of the module that address lies in and the offset in its file; -1: none. A module that
 * is named for the first time is written to w. */
int32_t modules_find(modules_t *m, rec_writer_t *w, uint64_t address, uint64_t *offset);

#endif
