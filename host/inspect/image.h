/* SPDX-License-Identifier: MIT
 *
 * The memory of a program that does not run any more: an ELF core, or pieces of RAM as they are.
 * What a file says of itself is tested against its size; nothing is copied, so a large core costs
 * the pages that are looked at.
 */
#ifndef EALLOC_INSPECT_IMAGE_H
#define EALLOC_INSPECT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct image image_t;

/* A file that was mapped into the program, as the core says. */
typedef struct {
    uint64_t begin, end, offset;
    const char *path;
} image_file_t;

/* What a core says beside its memory; 0: not said. */
typedef struct {
    unsigned pointer_bytes;
    uint64_t entry;   /* where the program began, as it was loaded */
    uint64_t headers; /* its program headers                       */
    uint64_t pc;      /* of the thread that died                   */
    uint64_t fault;   /* the address that it touched               */
    int signal;
    char command[80];
    const image_file_t *files;
    size_t n_files;
} image_facts_t;

image_t *image_new(void);
void image_free(image_t *m);

/* Is the file at path an ELF core? */
bool image_is_core(const char *path);
/* Read an ELF core.
 * Returns  false: it cannot be used, and error says why in a line without the path. */
bool image_read_core(image_t *m, const char *path, char *error, size_t error_size);
/* The same of one that stands in memory: n bytes, the caller's, that must stay. */
bool image_use_core(image_t *m, uint8_t *bytes, size_t n, char *error, size_t error_size);
/* Read a file that holds memory from address on. As image_read_core(). */
bool image_read_raw(image_t *m, const char *path, uint64_t address, char *error, size_t error_size);
/* Memory that is not in the image otherwise: bytes must stay. */
void image_add_constant(image_t *m, uint64_t address, const uint8_t *bytes, uint64_t n);

const image_facts_t *image_facts(const image_t *m);
/* Why the image is not all there; "": it is. */
const char *image_flaw(const image_t *m);
uint64_t image_bytes(const image_t *m);

/* How many bytes there are from address on, up to n. */
uint64_t image_room(const image_t *m, uint64_t address, uint64_t n);
/* n bytes from address on, where they stand in one piece; else NULL. */
const uint8_t *image_at(const image_t *m, uint64_t address, uint64_t n);
/* Copy n bytes. false: not all of them are there, and those that are not read as 0. */
bool image_copy(const image_t *m, uint64_t address, void *to, uint64_t n);
/* A number of 1 to 8 bytes, little-endian. false: it is not there; *value is 0. */
bool image_number(const image_t *m, uint64_t address, unsigned n_bytes, uint64_t *value);

#endif
