/* SPDX-License-Identifier: MIT
 *
 * The tool's commands. Each takes its own arguments, argv[0] being "ealloc NAME", and returns the
 * process's exit status.
 */
#ifndef EALLOC_COMMANDS_H
#define EALLOC_COMMANDS_H

int cmd_record(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_bound(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_leaks(int argc, char **argv);

#endif
