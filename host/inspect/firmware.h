/* SPDX-License-Identifier: MIT
 *
 * Names addresses of a device with its firmware's ELF file: function, source file and line.
 */
#ifndef EALLOC_INSPECT_FIRMWARE_H
#define EALLOC_INSPECT_FIRMWARE_H

#include "image.h"
#include "layout.h"
#include "snapshot.h"

typedef struct firmware firmware_t;

/* Open the ELF file at path.
 * Returns  NULL: it cannot be used, and error says why in a line without the path. */
firmware_t *firmware_open(const char *path, char *error, size_t error_size);
void firmware_close(firmware_t *f);

/* Say where the program had its address 0: as the dump tells. */
void firmware_place(firmware_t *f, const snapshot_t *s);
/* The program of a core: find where it was loaded, and place it there. false: the core is of
 * another program, or of another build. */
bool firmware_place_in(firmware_t *f, const image_t *core);

/* The program of RAM as it is, which lies where the file says. false: the build id is in that RAM,
 * and it is another one. */
bool firmware_place_in_ram(firmware_t *f, const image_t *ram);

/* What the program never writes, for an image that does not have it: placed before. */
void firmware_lend(const firmware_t *f, image_t *m);
/* The types of ealloc in it; NULL: it has no debug information of them. */
layout_t *firmware_layout(firmware_t *f);
void firmware_extend(firmware_t *f, layout_t *l);
uint64_t firmware_loaded(const firmware_t *f);
/* Fill in the snapshot's build id and an address that names where the program was. */
void firmware_sign(firmware_t *f, snapshot_t *s);

/* What tells that the dump is of another build, by the build ids or, where one of them has none, by
 * where it was placed; NULL: nothing does. */
const char *firmware_mismatch(const firmware_t *f, const snapshot_t *s);

/* Describe the call that returns to site: "function (file:line)" as far as it is known, at least
 * "0xaddress"; "unknown" for 0. f may be NULL. is_code: site is the place itself, no return
 * address. Returns to. */
char *firmware_name(firmware_t *f, const snapshot_t *s, uint64_t site, bool is_code, char *to,
                    size_t size);

#endif
