/* SPDX-License-Identifier: MIT
 *
 * A picture of numbers over time in a terminal: filled areas of block characters where the locale
 * is UTF-8, of plain ASCII elsewhere, as wide as the terminal.
 */
#ifndef EALLOC_REPLAY_CHART_H
#define EALLOC_REPLAY_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CHART_MAX_COLUMNS 160

/* Columns to draw in: the terminal's width, else $COLUMNS, else 80; 40 to 160. */
unsigned chart_columns(FILE *out);
/* True if the locale (after setlocale) can show block characters. */
bool chart_is_unicode(void);

/* Draw n values (0 to full) as an area of n columns and `rows` rows, each row behind a label of
 * label_columns: the top row's label is `top`, the bottom row's "0". */
void chart_area(FILE *out, const uint64_t *values, size_t n, uint64_t full, unsigned rows,
                const char *top, unsigned label_columns, bool unicode);

/* Bytes as people read them: "812", "14.2 K", "3.05 M". The text is out, which holds 16. */
const char *chart_bytes(char *out, uint64_t bytes);

#endif
