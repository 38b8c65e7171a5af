/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "symbols.h"

#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sane.h"
#include "source_line.h"

typedef struct {
    char *path;
    Dwfl_Module *module; /* NULL: missing, or another one than was recorded */
} file_t;

struct symbols {
    Dwfl *dwfl;
    file_t *files;
    size_t n_files;
};

static char *debuginfo_path = NULL;
static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .debuginfo_path = &debuginfo_path,
    .section_address = dwfl_offline_section_address,
};

symbols_t *symbols_new(void)
{
    symbols_t *s = calloc(1, sizeof *s);
    if (s != NULL) s->dwfl = dwfl_begin(&callbacks);
    return s;
}

void symbols_free(symbols_t *s)
{
    if (s == NULL) return;
    if (s->dwfl != NULL) dwfl_end(s->dwfl);
    for (size_t i = 0; i < s->n_files; i++) free(s->files[i].path);
    free(s->files);
    free(s);
}

static bool same_build(Dwfl_Module *module, const char *build_id)
{
    if (build_id[0] == '\0') return true;
    GElf_Addr bias;
    const void *id;
    Elf *elf = dwfl_module_getelf(module, &bias);
    ssize_t n = elf != NULL ? dwelf_elf_gnu_build_id(elf, &id) : 0;
    if (n <= 0 || strlen(build_id) != (size_t)n * 2) return false;
    for (ssize_t i = 0; i < n; i++) {
        char hex[3];
        snprintf(hex, sizeof hex, "%02x", ((const uint8_t *)id)[i]);
        if (memcmp(hex, build_id + 2 * i, 2) != 0) return false;
    }
    return true;
}

static Dwfl_Module *open_module(symbols_t *s, const char *path, const char *build_id)
{
    for (size_t i = 0; i < s->n_files; i++)
        if (strcmp(s->files[i].path, path) == 0) return s->files[i].module;
    Dwfl_Module *module = NULL;
    /* Whatever the recording names: only a file, and none that depends on where we stand. */
    int fd = s->dwfl != NULL && path[0] == '/' ? open_regular(path) : -1;
    if (fd >= 0) {
        dwfl_report_begin_add(s->dwfl);
        module = dwfl_report_offline(s->dwfl, path, path, fd);
        dwfl_report_end(s->dwfl, NULL, NULL);
        if (module == NULL) close(fd);
    }
    if (module != NULL && !same_build(module, build_id)) module = NULL;
    file_t *grown = realloc(s->files, (s->n_files + 1) * sizeof *grown);
    char *copy = strdup(path);
    if (grown == NULL || copy == NULL) abort();
    s->files = grown;
    s->files[s->n_files++] = (file_t){copy, module};
    return module;
}

/* The address that a byte of the file is loaded at, as the module is laid out here. */
static bool address_of(Dwfl_Module *module, uint64_t offset, GElf_Addr *address)
{
    GElf_Addr bias;
    size_t n;
    Elf *elf = dwfl_module_getelf(module, &bias);
    if (elf == NULL || elf_getphdrnum(elf, &n) != 0) return false;
    for (size_t i = 0; i < n; i++) {
        GElf_Phdr segment;
        if (gelf_getphdr(elf, (int)i, &segment) == NULL || segment.p_type != PT_LOAD) continue;
        if (offset < segment.p_offset || offset - segment.p_offset >= segment.p_filesz) continue;
        *address = offset - segment.p_offset + segment.p_vaddr + bias;
        return true;
    }
    return false;
}

void symbols_name(symbols_t *s, const char *path, const char *build_id, uint64_t offset, char *to,
                  size_t size)
{
    const char *base = strrchr(path, '/');
    snprintf(to, size, "%s+0x%" PRIx64, base != NULL ? base + 1 : path, offset);
    Dwfl_Module *module = open_module(s, path, build_id);
    GElf_Addr address;
    /* One back: the call stands before the place that it returns to. */
    if (module == NULL || offset == 0 || !address_of(module, offset - 1, &address)) return;
    const char *function = dwfl_module_addrname(module, address);
    int number = 0;
    const char *source = source_line(module, address, &number);
    if (source != NULL)
        snprintf(to, size, "%s (%s:%d)", function != NULL ? function : "?", source, number);
    else if (function != NULL)
        snprintf(to, size, "%s (%s+0x%" PRIx64 ")", function, base != NULL ? base + 1 : path,
                 offset);
}

void symbols_site(symbols_t *s, const rec_reader_t *reader, uint32_t site, char *to, size_t size)
{
    const char *path, *build_id = "";
    uint64_t offset, address = rec_site(reader, site, &path, &offset);
    if (path == NULL) {
        snprintf(to, size, site == 0 ? "unknown" : "0x%" PRIx64, address);
        return;
    }
    for (uint32_t i = 0; i < rec_n_modules(reader); i++) {
        rec_module_t module = rec_module(reader, i);
        if (module.path == path) build_id = module.build_id;
    }
    symbols_name(s, path, build_id, offset, to, size);
}
