/* SPDX-License-Identifier: MIT
 *
 * ealloc: picks the command and hands it the rest of the arguments.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "ealloc/version.h"
#include "output.h"
#include "printable.h"

typedef struct {
    const char *name;
    int (*run)(int argc, char **argv);
    int lost_status; /* when its output cannot be written */
    const char *summary;
} command_t;

static const command_t commands[] = {
    {"record", cmd_record, 125, "record every allocation of a program"},
    {"info", cmd_info, 1, "describe a recording, or all of a manifest"},
    {"replay", cmd_replay, 1, "run a recording on ealloc's heap"},
    {"bound", cmd_bound, 1, "worst-case memory of each fit policy, and of movable blocks"},
    {"leaks", cmd_leaks, 2, "name the call sites of a recording that leak"},
    {"inspect", cmd_inspect, 1, "describe a dump of a device's memory"},
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const char *argp_program_version =
    "ealloc " TEXT(EA_VERSION_MAJOR) "." TEXT(EA_VERSION_MINOR) "." TEXT(EA_VERSION_PATCH);

static void print_help(FILE *to)
{
    fputs("Usage: ealloc COMMAND [OPTION...]\n"
          "Know, plan and watch the memory of a program.\n\n",
          to);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("\n  --help     this list; ealloc COMMAND --help tells more\n"
          "  --version  the program's version\n\n"
          "Example: ealloc record -- gcc -O2 -c main.c && ealloc info ealloc.rec\n",
          to);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    output_open();
    output_guard("ealloc", 1);
    if (name == NULL) {
        print_help(stderr);
        return 2;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-?") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts(argp_program_version);
        return 0;
    }
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(name, commands[i].name) != 0) continue;
        static char full_name[32];
        snprintf(full_name, sizeof full_name, "ealloc %s", name);
        output_guard(full_name, commands[i].lost_status);
        argv[1] = full_name; /* argp prints it in usage lines and errors */
        return commands[i].run(argc - 1, argv + 1);
    }
    char *shown = printable(name);
    fprintf(stderr, "ealloc: unknown command '%s' (try ealloc --help)\n", shown);
    free(shown);
    return 2;
}
