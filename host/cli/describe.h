/* SPDX-License-Identifier: MIT
 *
 * One recording in words, or as JSON.
 */
#ifndef EALLOC_DESCRIBE_H
#define EALLOC_DESCRIBE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Describe the recording in file with its n_sites largest call sites: on standard output, or if
 * json is not NULL as a new object in *json.
 * Returns  false if it is damaged or cannot be read; that was said on standard error in one line,
 *          and what was readable is described all the same. */
bool describe(const char *file, uint32_t n_sites, json_t **json);

#endif
