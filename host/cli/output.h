/* SPDX-License-Identifier: MIT
 *
 * Standard output that is lost is a failure, whichever command wrote it and however it ended.
 */
#ifndef EALLOC_OUTPUT_H
#define EALLOC_OUTPUT_H

/* First thing in main(): closed standard descriptors are taken, so that no file that is opened
 * later becomes one of them, in a way that writing to them fails and a program that is started
 * finds them closed. */
void output_open(void);

/* From now on, the process that cannot write all of its standard output says so in one line that
 * begins with name, and exits with status. name must stay. */
void output_guard(const char *name, int status);

#endif
