/* SPDX-License-Identifier: MIT
 *
 * The four functions of libc the library uses, declared here because a freestanding compiler need
 * not have <string.h>. Every C compiler expects the program to supply them.
 */
#ifndef EALLOC_BASE_MEM_H
#define EALLOC_BASE_MEM_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n_bytes);
void *memmove(void *to, const void *from, size_t n_bytes);
void *memset(void *to, int value, size_t n_bytes);
int memcmp(const void *a, const void *b, size_t n_bytes);

#endif
