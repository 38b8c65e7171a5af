/* SPDX-License-Identifier: MIT
 *
 * The version of the headers. The build reads it from here; nothing else repeats it.
 */
#ifndef EALLOC_VERSION_H
#define EALLOC_VERSION_H

#define EA_VERSION_MAJOR 0
#define EA_VERSION_MINOR 1
#define EA_VERSION_PATCH 0

#endif
