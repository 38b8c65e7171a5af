/* SPDX-License-Identifier: MIT
 *
 * Names addresses of a device with its firmware's ELF file: function, source file and line.
 */
#ifndef EALLOC_INSPECT_FIRMWARE_H
#define EALLOC_INSPECT_FIRMWARE_H

#include "snapshot.h"

typedef struct firmware firmware_t;

/* Open the ELF file at path, for the dump s.
 * Returns  NULL: it cannot be used, and error says why in a line without the path. */
firmware_t *firmware_open(const char *path, const snapshot_t *s, char *error, size_t error_size);
void firmware_close(firmware_t *f);

/* Does its build id differ from that in the dump? false also if one of them has none. */
bool firmware_is_another(const firmware_t *f, const snapshot_t *s);

/* Describe the call that returns to site: "function (file:line)" as far as it is known, at least
 * "0xaddress"; "unknown" for 0. f may be NULL. is_code: site is the place itself, no return
 * address. Returns to. */
char *firmware_name(firmware_t *f, const snapshot_t *s, uint64_t site, bool is_code, char *to,
                    size_t size);

#endif
