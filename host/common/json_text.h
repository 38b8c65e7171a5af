/* SPDX-License-Identifier: MIT
 *
 * Text and numbers of recordings as JSON.
 */
#ifndef EALLOC_COMMON_JSON_TEXT_H
#define EALLOC_COMMON_JSON_TEXT_H

#include <jansson.h>
#include <stdint.h>

/* A JSON string: text itself where it is UTF-8 (JSON escapes what needs it), else with every byte
 * that is not printable UTF-8 as \xNN; null for NULL. A new reference, never NULL (aborts without
 * memory). */
json_t *json_text(const char *text);

/* An integer; beyond INT64_MAX, where JSON's readers differ, a real. A new reference. */
json_t *json_u64(uint64_t value);

#endif
