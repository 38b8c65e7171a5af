/* SPDX-License-Identifier: MIT
 *
 * Starting a command with the recorder preloaded.
 */
#ifndef EALLOC_LAUNCH_H
#define EALLOC_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Where libealloc_preload.so lies. False: nowhere; path then is where it was last looked for. */
bool launch_find_preload(char *path, size_t size);
/* Start the command. -1: said why on stderr; *status is the exit status to end with, as
 * env(1)'s. */
pid_t launch(char **command, const char *preload, const char *session, int *status);
/* Why a command that ran left no recording, as the end of a sentence about it. */
const char *launch_why_not(const char *command);

#endif
