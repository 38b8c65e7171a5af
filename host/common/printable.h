/* SPDX-License-Identifier: MIT
 *
 * Text from recordings, paths and arguments as it may stand in a line of output. A name can hold
 * anything but a zero byte: a line break that forges a second message, an escape sequence that
 * rewrites the terminal, a mark that turns the reading direction around.
 */
#ifndef EALLOC_COMMON_PRINTABLE_H
#define EALLOC_COMMON_PRINTABLE_H

#include <stddef.h>

/* A copy of text in which every byte that is no part of printable UTF-8 reads as \xNN: control
 * characters (C0, DEL, C1), line and paragraph separators, marks of reading direction, and what is
 * not UTF-8 (overlong forms, surrogates, beyond U+10FFFF). What is printable stays as it is, so
 * passing through twice changes nothing more. Never NULL (aborts without memory); free() it. */
char *printable(const char *text);

/* The same into a buffer of size bytes (at least 1), cut where it is full, never within a character
 * or an escape. Returns to. */
char *printable_to(char *to, size_t size, const char *text);

/* The number of bytes, 1 to 4, of the printable UTF-8 character that text begins with, or 0: it
 * begins with none. */
size_t printable_bytes(const char *text);

#endif
