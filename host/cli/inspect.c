/* SPDX-License-Identifier: MIT
 *
 * ealloc inspect: what a dump of a device's memory says. The reading and the judging are done in
 * host/inspect; the words and the JSON in inspect_text.c and inspect_json.c.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "inspect.h"
#include "printable.h"
#include "sane.h"
#include "usage.h"

enum { MAX_DUMP_BYTES = 1 << 30 };

typedef struct {
    const char *files[3];
    unsigned n_files;
    uint32_t n_rows;
    bool json, diff;
} options_t;

static const struct argp_option option_table[] = {
    {"top", 't', "N", 0, "Show the N largest owners and call sites (10)", 0},
    {"diff", 'd', NULL, 0, "Compare two dumps of one program: what grew from A to B", 0},
    {"json", 'j', NULL, 0, "Describe as JSON", 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    options_t *options = state->input;
    switch (key) {
    case 't': options->n_rows = usage_count(state, "top", argument); return 0;
    case 'j': options->json = true; return 0;
    case 'd': options->diff = true; return 0;
    case ARGP_KEY_ARG:
        if (options->n_files == 3) argp_error(state, "too many files");
        options->files[options->n_files++] = argument;
        return 0;
    case ARGP_KEY_END:
        if (options->n_files == 0) argp_error(state, "no dump given");
        if (options->diff && options->n_files < 2) argp_error(state, "--diff takes two dumps");
        if (!options->diff && options->n_files > 2) argp_error(state, "one dump at a time");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {
    .options = option_table,
    .parser = parse_option,
    .args_doc = "DUMP [ELF]\n--diff DUMP_A DUMP_B [ELF]",
    .doc =
        "Describe a dump that ea_dump() wrote: a map of every region, blocks by owner and by "
        "call site, free blocks, what is damaged and who most likely did it. With the "
        "firmware's ELF file call sites are named by file and line. DUMP may also be a "
        "console's log that holds the dump as hexadecimal digits.\v"
        "The exit status is 0; 1 if the dump or the ELF file cannot be used as a whole (what was "
        "readable is described all the same) or the output cannot be written; 3 if the dump is "
        "sound and the memory it tells of is damaged.\n\n"
        "Example: ealloc inspect crash.dump firmware.elf",
};

static void complain(const char *path, const char *text)
{
    char *shown = printable(path);
    fprintf(stderr, "ealloc inspect: %s: %s\n", shown, text);
    free(shown);
}

/* The whole file. NULL: said why not. */
static uint8_t *read_file(const char *path, size_t *size)
{
    int fd = open_regular(path);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        complain(path, errno == EINVAL ? "not a regular file" : strerror(errno));
        if (fd >= 0) close(fd);
        return NULL;
    }
    if (st.st_size > MAX_DUMP_BYTES) {
        complain(path, "larger than any dump (1 GB)");
        close(fd);
        return NULL;
    }
    uint8_t *data = malloc((size_t)st.st_size + 1);
    if (data == NULL) abort();
    *size = 0;
    for (ssize_t n; *size < (size_t)st.st_size; *size += (size_t)n) {
        n = read(fd, data + *size, (size_t)st.st_size - *size);
        if (n <= 0) break;
    }
    close(fd);
    return data;
}

static int digit_of(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* A console's log holds a dump as hexadecimal digits, with line breaks anywhere: turn the first one
 * into what it means, in place. Anything else stays as it is. */
static void decode_hex(uint8_t *data, size_t *size)
{
    static const char begin[] = "d9d9f79f";
    size_t from = 0, n = 0;
    data[*size] = '\0'; /* there is room */
    if (*size >= 4 && data[0] == 0xD9) return;
    while (from + sizeof begin <= *size && strncasecmp((const char *)data + from, begin, 8) != 0)
        from++;
    if (from + sizeof begin > *size) return;
    for (int high = -1; from < *size; from++) {
        int digit = digit_of(data[from]);
        if (digit < 0 && (data[from] == '\r' || data[from] == '\n')) continue;
        if (digit < 0) break;
        if (high >= 0) data[n++] = (uint8_t)(high << 4 | digit);
        high = high >= 0 ? -1 : digit;
    }
    *size = n;
}

typedef struct {
    uint8_t *data;
    snapshot_t *s;
    judgement_t j;
} loaded_t;

/* false: nothing of it could be used, and that was said. */
static bool load(loaded_t *l, const char *path, bool *complete)
{
    char error[200];
    size_t size;
    memset(l, 0, sizeof *l);
    l->data = read_file(path, &size);
    if (l->data == NULL) return false;
    decode_hex(l->data, &size);
    l->s = snapshot_read(l->data, size, error, sizeof error);
    if (l->s == NULL) {
        complain(path, error);
        free(l->data);
        return false;
    }
    if (l->s->flaw[0] != '\0') {
        complain(path, l->s->flaw);
        *complete = false;
    }
    judge(&l->j, l->s);
    return true;
}

static void unload(loaded_t *l)
{
    judgement_release(&l->j);
    snapshot_free(l->s);
    free(l->data);
}

/* The firmware, if it is the dump's; else NULL, and that was said. */
static firmware_t *open_firmware(const char *path, const snapshot_t *s)
{
    char error[200];
    firmware_t *f = firmware_open(path, s, error, sizeof error);
    if (f == NULL) {
        complain(path, error);
    } else if (firmware_is_another(f, s)) {
        complain(path, "another build than the dump is of (build ids differ); "
                       "call sites stay addresses");
        firmware_close(f);
        f = NULL;
    }
    return f;
}

static int compare(const options_t *options)
{
    loaded_t a, b;
    bool complete = true;
    if (!load(&a, options->files[0], &complete)) return 1;
    if (!load(&b, options->files[1], &complete)) {
        unload(&a);
        return 1;
    }
    firmware_t *firmware = NULL;
    if (options->n_files == 3) {
        firmware = open_firmware(options->files[2], a.s);
        complete &= firmware != NULL;
    }
    judge_align(&b.j, a.s);
    if (options->json)
        inspect_diff_json(&a.j, &b.j, firmware);
    else
        inspect_diff_text(&a.j, &b.j, firmware, options->n_rows);
    firmware_close(firmware);
    unload(&a);
    unload(&b);
    return complete ? 0 : 1;
}

int cmd_inspect(int argc, char **argv)
{
    options_t options = {.n_rows = 10};
    argp_err_exit_status = 2;
    argp_parse(&parser, argc, argv, 0, NULL, &options);
    if (options.diff) return compare(&options);

    loaded_t l;
    bool complete = true;
    firmware_t *firmware = NULL;
    if (!load(&l, options.files[0], &complete)) return 1;
    if (options.n_files == 2) {
        firmware = open_firmware(options.files[1], l.s);
        complete &= firmware != NULL;
    }
    if (options.json)
        inspect_json(&l.j, firmware);
    else
        inspect_text(&l.j, firmware, options.files[0], options.n_rows);
    int status = !complete ? 1 : l.j.n_wounds > 0 ? 3 : 0;
    firmware_close(firmware);
    unload(&l);
    return status;
}
