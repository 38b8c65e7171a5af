/* SPDX-License-Identifier: MIT
 *
 * The source line of an address, by a program's debug information.
 */
#ifndef EALLOC_COMMON_SOURCE_LINE_H
#define EALLOC_COMMON_SOURCE_LINE_H

#include <elfutils/libdwfl.h>

/* The source file, which is libdw's, and the line that the code at address is of.
 * Returns  NULL: not known. */
const char *source_line(Dwfl_Module *module, GElf_Addr address, int *line);

#endif
