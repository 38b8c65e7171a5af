/* SPDX-License-Identifier: MIT
 *
 * Names places in program files: function, source file and line.
 */
#ifndef EALLOC_SYMBOLS_H
#define EALLOC_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

#include "recording.h"

typedef struct symbols symbols_t;

symbols_t *symbols_new(void);
void symbols_free(symbols_t *s);
/* Describe the call that returns to offset in the file at path: "function (file:line)", as much of
 * it as is known, at least "file+0xoffset". build_id: of the file that was recorded, "" for not
 * known; a file that has changed since then is not asked. */
void symbols_name(symbols_t *s, const char *path, const char *build_id, uint64_t offset, char *to,
                  size_t size);
/* The same for a site of a recording: "unknown" for 0, its address where its module is not known.
 */
void symbols_site(symbols_t *s, const rec_reader_t *reader, uint32_t site, char *to, size_t size);

#endif
