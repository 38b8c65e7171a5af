/* SPDX-License-Identifier: MIT
 *
 * ealloc inspect: what a dump of an allocator, an ELF core or a device's RAM says. The reading and
 * the judging are done in host/inspect; the words and the JSON in inspect_text.c and
 * inspect_json.c.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
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
#include "survey.h"
#include "usage.h"

enum { MAX_DUMP_BYTES = 1 << 30, MAX_IMAGES = 16 };

typedef struct {
    char *path;
    uint64_t address;
} raw_t;

typedef struct {
    const char *files[3];
    unsigned n_files;
    uint32_t n_rows;
    bool json, diff, has_base, has_address;
    uint64_t base, address;
    const char *which;
    raw_t images[MAX_IMAGES];
    unsigned n_images;
} options_t;

static const struct argp_option option_table[] = {
    {"top", 't', "N", 0, "Show the N largest owners and call sites (10)", 0},
    {"diff", 'd', NULL, 0, "Compare two dumps of one program: what grew from A to B", 0},
    {"json", 'j', NULL, 0, "Describe as JSON", 0},
    {"address", 'a', "ADDRESS", 0, "Tell of this address: its block, what happened to it", 0},
    {"base", 'b', "ADDRESS", 0, "The file holds RAM as it was, from ADDRESS on", 0},
    {"image", 'i', "FILE@ADDRESS", 0, "More RAM, from ADDRESS on; may be given several times", 0},
    {"heap", 'H', "NAME|ADDRESS", 0, "The allocator, heap or store in a core or in RAM (the first)",
     0},
    {0},
};

static uint64_t parse_address(struct argp_state *state, const char *option, const char *text)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
        argp_error(state, "--%s takes an address, as 0x20000000", option);
    return value;
}

static void parse_image(struct argp_state *state, options_t *options, char *text)
{
    char *at = strrchr(text, '@');
    if (at == NULL || at == text) argp_error(state, "--image takes FILE@ADDRESS");
    if (options->n_images == MAX_IMAGES) argp_error(state, "too many images");
    if (at == NULL) return;
    *at = '\0';
    options->images[options->n_images++] = (raw_t){text, parse_address(state, "image", at + 1)};
}

static void check_files(struct argp_state *state, const options_t *options)
{
    unsigned n = options->n_files;
    if (n == 0) argp_error(state, options->n_images > 0 ? "no ELF file given" : "no dump given");
    if (options->diff && n < 2) argp_error(state, "--diff takes two dumps");
    if (options->diff && options->n_images > 0) argp_error(state, "--diff takes no --image");
    if (options->diff && options->has_address) argp_error(state, "--diff takes no --address");
    if (options->has_base && n < (options->diff ? 3u : 2u))
        argp_error(state, "--base needs the program's ELF file");
    unsigned most = options->diff ? 3 : options->n_images > 0 && !options->has_base ? 1 : 2;
    if (n > most) argp_error(state, most == 1 ? "too many files" : "one dump at a time");
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    options_t *options = state->input;
    switch (key) {
    case 't': options->n_rows = usage_count(state, "top", argument); return 0;
    case 'j': options->json = true; return 0;
    case 'd': options->diff = true; return 0;
    case 'a':
        options->address = parse_address(state, "address", argument);
        options->has_address = true;
        return 0;
    case 'b':
        options->base = parse_address(state, "base", argument);
        options->has_base = true;
        return 0;
    case 'i': parse_image(state, options, argument); return 0;
    case 'H': options->which = argument; return 0;
    case ARGP_KEY_ARG:
        if (options->n_files == 3) argp_error(state, "too many files");
        options->files[options->n_files++] = argument;
        return 0;
    case ARGP_KEY_END: check_files(state, options); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {
    .options = option_table,
    .parser = parse_option,
    .args_doc = "DUMP [ELF]\nCORE [ELF]\n--base ADDRESS RAM ELF\n--image FILE@ADDRESS... ELF\n"
                "--diff A B [ELF]",
    .doc =
        "Describe an allocator: a map of every region, blocks by owner and by call site, free "
        "blocks, what is damaged and who most likely did it, what may be leaking. Its state comes "
        "from a dump that ea_dump() wrote, from the ELF core of a Linux program, or from a "
        "device's RAM as a debugger saved it. With the program's ELF file call sites are named by "
        "file and line. DUMP may also be a console's log that holds the dump as hexadecimal "
        "digits. For a core and for RAM the ELF file must hold debug information; a core itself "
        "names its program.\v"
        "The exit status is 0; 1 if the file or the ELF file cannot be used as a whole (what was "
        "readable is described all the same) or the output cannot be written; 3 if the file is "
        "sound and the memory it tells of is damaged (--diff does not judge: 0 means that the two "
        "were compared).\n\n"
        "Example: ealloc inspect crash.dump firmware.elf\n"
        "         ealloc inspect core.1234\n"
        "         ealloc inspect --base 0x20000000 ram.bin firmware.elf",
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
    uint8_t *data;  /* of a dump */
    image_t *image; /* else */
    layout_t *layout;
    firmware_t *firmware; /* NULL: none that fits */
    firmware_t *library;  /* libealloc.so, if the core's program uses it */
    snapshot_t *s;
    judgement_t j;
} loaded_t;

static void unload(loaded_t *l)
{
    judgement_release(&l->j);
    snapshot_free(l->s);
    layout_close(l->layout);
    image_free(l->image);
    firmware_close(l->firmware);
    firmware_close(l->library);
    free(l->data);
}

/* The ELF file for call sites, if it is the dump's; else none, and that was said. */
static bool open_firmware(loaded_t *l, const char *path)
{
    char error[200];
    l->firmware = firmware_open(path, error, sizeof error);
    if (l->firmware == NULL) return complain(path, error), false;
    firmware_place(l->firmware, l->s);
    const char *mismatch = firmware_mismatch(l->firmware, l->s);
    if (mismatch == NULL) return true;
    snprintf(error, sizeof error,
             "another build than the dump is of (%s); call sites stay addresses", mismatch);
    complain(path, error);
    firmware_close(l->firmware);
    l->firmware = NULL;
    return false;
}

/* false: nothing of it could be used, and that was said. */
static bool load_dump(loaded_t *l, const char *path, const char *elf, bool *complete)
{
    char error[200];
    size_t size;
    l->data = read_file(path, &size);
    if (l->data == NULL) return false;
    if (size >= 4 && memcmp(l->data, "\177ELF", 4) == 0)
        return complain(path, "an ELF file, but neither a dump nor a core"), false;
    decode_hex(l->data, &size);
    l->s = snapshot_read(l->data, size, error, sizeof error);
    if (l->s == NULL) return complain(path, error), false;
    if (elf != NULL) *complete &= open_firmware(l, elf);
    return true;
}

/* --- memory ----------------------------------------------------------------------------------- */

/* The program whose core it is, as the core names it. */
static const char *program_of(const image_t *core)
{
    const image_facts_t *facts = image_facts(core);
    for (size_t i = 0; i < facts->n_files; i++)
        if (facts->entry >= facts->files[i].begin && facts->entry < facts->files[i].end &&
            facts->files[i].path[0] == '/')
            return facts->files[i].path;
    return NULL;
}

/* A program that uses the shared library has its types from there. */
static void add_library(loaded_t *l)
{
    const image_facts_t *facts = image_facts(l->image);
    char error[200];
    for (size_t i = 0; i < facts->n_files && l->library == NULL; i++) {
        const char *path = facts->files[i].path, *name = strrchr(path, '/');
        if (path[0] != '/' || strncmp(name, "/libealloc", 10) != 0 || facts->files[i].offset != 0)
            continue;
        firmware_t *library = firmware_open(path, error, sizeof error);
        if (library != NULL && firmware_place_in(library, l->image)) {
            firmware_lend(library, l->image);
            firmware_extend(library, l->layout);
            l->library = library;
        } else {
            firmware_close(library);
        }
    }
}

static void describe_death(snapshot_t *s, const image_facts_t *facts)
{
    size_t n = 0, room = sizeof s->head.cause;
    if (facts->signal > 0)
        n = (size_t)snprintf(s->head.cause, room, "signal %d (SIG%s)", facts->signal,
                             sigabbrev_np(facts->signal) != NULL ? sigabbrev_np(facts->signal)
                                                                 : "?");
    if (facts->fault != 0)
        n += (size_t)snprintf(s->head.cause + n, room - n, ", touching 0x%" PRIx64, facts->fault);
    const char *command = facts->command, *behind = command + strcspn(command, " ");
    while (behind > command && behind[-1] != '/') behind--; /* without its folder */
    if (command[0] != '\0' && n < room)
        snprintf(s->head.cause + n, room - n, "%s%.40s", n > 0 ? ", of " : "", behind);
    s->head.fault_at = facts->pc;
}

/* The pieces of RAM; false: one of them cannot be read, and that was said. */
static bool read_images(loaded_t *l, const options_t *options, const char *path)
{
    char error[200];
    if (options->has_base && !image_read_raw(l->image, path, options->base, error, sizeof error))
        return complain(path, error), false;
    for (unsigned i = 0; i < options->n_images; i++) {
        const raw_t *raw = &options->images[i];
        if (!image_read_raw(l->image, raw->path, raw->address, error, sizeof error))
            return complain(raw->path, error), false;
    }
    return true;
}

static bool load_memory(loaded_t *l, const options_t *options, const char *path, const char *elf)
{
    char error[200];
    bool is_core = !options->has_base && options->n_images == 0, fits;
    l->image = image_new();
    if (is_core && !image_read_core(l->image, path, error, sizeof error))
        return complain(path, error), false;
    if (!is_core && !read_images(l, options, path)) return false;
    if (elf == NULL) elf = program_of(l->image);
    if (elf == NULL) return complain(path, "the program's ELF file is needed too"), false;
    l->firmware = firmware_open(elf, error, sizeof error);
    if (l->firmware == NULL) return complain(elf, error), false;
    fits = is_core ? firmware_place_in(l->firmware, l->image)
                   : firmware_place_in_ram(l->firmware, l->image);
    if (!fits) {
        complain(elf, is_core ? "another build or program than the core is of (build ids differ)"
                              : "another build than the RAM is of (build ids differ)");
        return false;
    }
    firmware_lend(l->firmware, l->image);
    l->layout = firmware_layout(l->firmware);
    if (l->layout != NULL && !layout_has(l->layout, "ea_heap")) add_library(l);
    if (l->layout == NULL ||
        (!layout_has(l->layout, "ea_heap") && !layout_has(l->layout, "ea_movable"))) {
        complain(elf, "no debug information of ealloc is in it: built without -g, stripped, or a "
                      "program without ealloc");
        return false;
    }
    const survey_options_t how = {l->image, l->layout, firmware_loaded(l->firmware),
                                  options->which};
    l->s = survey(&how, error, sizeof error);
    if (l->s == NULL) {
        const char *flaw = image_flaw(l->image); /* what is missing may be behind it */
        char both[2 * sizeof error];
        snprintf(both, sizeof both, "%s%s%s", flaw, flaw[0] != '\0' ? "; " : "", error);
        return complain(path, both), false;
    }
    l->s->origin = is_core ? SNAP_OF_CORE : SNAP_OF_RAM;
    firmware_sign(l->firmware, l->s);
    if (is_core) describe_death(l->s, image_facts(l->image));
    return true;
}

/* Two dumps or cores of which something tells that they are of two builds: its call sites are not
 * those of the other one. */
static bool is_another_build(const snapshot_t *a, const snapshot_t *b)
{
    const snap_head_t *x = &a->head, *y = &b->head;
    if (x->n_build_id == 0 || y->n_build_id == 0) return false;
    return x->n_build_id != y->n_build_id || memcmp(x->build_id, y->build_id, x->n_build_id) != 0;
}

/* false: nothing of it could be used, and that was said. */
static bool load(loaded_t *l, const options_t *options, const char *path, const char *elf,
                 bool *complete)
{
    bool is_memory = options->has_base || options->n_images > 0 || image_is_core(path), loaded;
    memset(l, 0, sizeof *l);
    if (is_memory && options->n_images > 0 && !options->has_base) path = options->images[0].path;
    if (!is_memory && options->which != NULL) {
        complain(path, "a dump is of one allocator: --heap is for cores and RAM");
        return false;
    }
    loaded = is_memory ? load_memory(l, options, path, elf) : load_dump(l, path, elf, complete);
    if (!loaded) {
        unload(l);
        return false;
    }
    if (l->s->flaw[0] != '\0') {
        complain(path, l->s->flaw);
        *complete = false;
    }
    judge(&l->j, l->s);
    return true;
}

static int compare(const options_t *options)
{
    loaded_t a, b;
    bool complete = true;
    const char *elf = options->n_files == 3 ? options->files[2] : NULL;
    if (!load(&a, options, options->files[0], elf, &complete)) return 1;
    if (!load(&b, options, options->files[1], a.data != NULL ? NULL : elf, &complete)) {
        unload(&a);
        return 1;
    }
    if (is_another_build(a.s, b.s)) {
        complain(options->files[1],
                 "another build than the first one is of (build ids differ): call sites cannot be "
                 "compared");
        complete = false;
    }
    judge_align(&b.j, a.s);
    if (options->json)
        inspect_diff_json(&a.j, &b.j, a.firmware);
    else
        inspect_diff_text(&a.j, &b.j, a.firmware, options->n_rows);
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
    bool complete = true, only_images = options.n_images > 0 && !options.has_base;
    const char *file = only_images ? options.images[0].path : options.files[0];
    const char *elf = only_images            ? options.files[0]
                      : options.n_files == 2 ? options.files[1]
                                             : NULL;
    if (!load(&l, &options, file, elf, &complete)) return 1;
    const uint64_t *address = options.has_address ? &options.address : NULL;
    if (options.json)
        inspect_json(&l.j, l.firmware, address);
    else if (address != NULL)
        inspect_address(&l.j, l.firmware, *address);
    else
        inspect_text(&l.j, l.firmware, file, options.n_rows);
    int status = !complete ? 1 : l.j.n_wounds > 0 ? 3 : 0;
    unload(&l);
    return status;
}
