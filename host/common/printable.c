/* SPDX-License-Identifier: MIT
 *
 * UTF-8 as RFC 3629 has it.
 */
#include "printable.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What ends a line, changes the direction of reading, or is no character. */
static int is_treacherous(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x061C || (c >= 0x200E && c <= 0x200F) ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) ||
           (c >= 0xD800 && c <= 0xDFFF) || c == 0xFEFF || c > 0x10FFFF;
}

size_t printable_bytes(const char *text)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)text;
    size_t n = at[0] < 0x80   ? 1
               : at[0] < 0xC0 ? 0
               : at[0] < 0xE0 ? 2
               : at[0] < 0xF0 ? 3
               : at[0] < 0xF8 ? 4
                              : 0;
    uint32_t c = n <= 1 ? at[0] : at[0] & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xC0) != 0x80) return 0; /* the end of the text, too */
        c = c << 6 | (at[i] & 0x3F);
    }
    return n == 0 || c < least[n] || is_treacherous(c) ? 0 : n;
}

char *printable_to(char *to, size_t size, const char *text)
{
    size_t used = 0;
    while (*text != '\0') {
        size_t n = printable_bytes(text);
        if (used + (n != 0 ? n : 4) >= size) break;
        if (n != 0) {
            memcpy(to + used, text, n);
            used += n;
        } else {
            used += (size_t)snprintf(to + used, 5, "\\x%02x", (unsigned char)*text);
        }
        text += n != 0 ? n : 1;
    }
    to[used] = '\0';
    return to;
}

char *printable(const char *text)
{
    size_t size = strlen(text) * 4 + 1;
    char *to = malloc(size);
    if (to == NULL) abort();
    return printable_to(to, size, text);
}
