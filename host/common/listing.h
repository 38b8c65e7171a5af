/* SPDX-License-Identifier: MIT
 *
 * Which recordings a path stands for: itself, or if it is a manifest (FILE.manifest.json) those of
 * every process that it lists.
 */
#ifndef EALLOC_COMMON_LISTING_H
#define EALLOC_COMMON_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    char *path;
    uint64_t n_events; /* as the manifest says; 0: not known */
} listed_t;

typedef struct {
    bool is_manifest;
    listed_t *recordings;
    size_t n;
    char *error; /* one printable line naming the file and, in it, the offset; or NULL */
} listing_t;

/* Look at path. A regular file that begins with "{" is a manifest; anything else, also what can be
 * read only once, is taken as a recording and not touched. The recordings of a manifest lie beside
 * it, whatever folder it names, and so that it can name nothing else.
 * Returns false, with listing->error, for a manifest that cannot be used. listing_release() in both
 * cases. */
bool listing_read(listing_t *listing, const char *path);
void listing_release(listing_t *listing);

#endif
