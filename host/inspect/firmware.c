/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "firmware.h"

#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sane.h"

struct firmware {
    Dwfl *dwfl;
    Dwfl_Module *module;
    Elf *elf;
    GElf_Addr bias;  /* of libdwfl's addresses against the file's */
    uint64_t loaded; /* of the device's against the file's        */
};

static char *debuginfo_path = NULL;
static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .debuginfo_path = &debuginfo_path,
    .section_address = dwfl_offline_section_address,
};

/* Where the device had the file's address 0: the dump names one function that both know. */
static uint64_t find_load_address(firmware_t *f, const snapshot_t *s)
{
    int n = dwfl_module_getsymtab(f->module);
    for (int i = 1; i < n; i++) {
        GElf_Sym symbol;
        GElf_Addr address;
        const char *name =
            dwfl_module_getsym_info(f->module, i, &symbol, &address, NULL, NULL, NULL);
        if (name == NULL || strcmp(name, "ea_dump") != 0 || symbol.st_shndx == SHN_UNDEF) continue;
        return (s->head.anchor & ~(uint64_t)1) - ((address - f->bias) & ~(uint64_t)1);
    }
    return 0;
}

firmware_t *firmware_open(const char *path, const snapshot_t *s, char *error, size_t error_size)
{
    firmware_t *f = calloc(1, sizeof *f);
    if (f == NULL) abort();
    int fd = open_regular(path);
    if (fd < 0) {
        snprintf(error, error_size, "%s", errno == EINVAL ? "not a regular file" : strerror(errno));
        free(f);
        return NULL;
    }
    f->dwfl = dwfl_begin(&callbacks);
    if (f->dwfl != NULL) {
        dwfl_report_begin(f->dwfl);
        f->module = dwfl_report_offline(f->dwfl, path, path, fd);
        dwfl_report_end(f->dwfl, NULL, NULL);
    }
    if (f->module != NULL) f->elf = dwfl_module_getelf(f->module, &f->bias);
    if (f->elf == NULL) {
        snprintf(error, error_size, "not an ELF file that could be read");
        if (f->module == NULL) close(fd);
        firmware_close(f);
        return NULL;
    }
    f->loaded = find_load_address(f, s);
    return f;
}

void firmware_close(firmware_t *f)
{
    if (f == NULL) return;
    if (f->dwfl != NULL) dwfl_end(f->dwfl);
    free(f);
}

bool firmware_is_another(const firmware_t *f, const snapshot_t *s)
{
    const void *id;
    ssize_t n = dwelf_elf_gnu_build_id(f->elf, &id);
    if (n <= 0 || s->head.n_build_id == 0) return false;
    return (size_t)n != s->head.n_build_id || memcmp(id, s->head.build_id, (size_t)n) != 0;
}

/* The address in the file that a site means, of which only its low bits may be left. */
static bool find_in_file(const firmware_t *f, const snapshot_t *s, uint64_t site, uint64_t *found)
{
    uint64_t step = s->head.site_bits < 32 ? (uint64_t)1 << s->head.site_bits : 0;
    size_t n;
    if (elf_getphdrnum(f->elf, &n) != 0) return false;
    for (size_t i = 0; i < n; i++) {
        GElf_Phdr segment;
        if (gelf_getphdr(f->elf, (int)i, &segment) == NULL || segment.p_type != PT_LOAD ||
            (segment.p_flags & PF_X) == 0)
            continue;
        uint64_t begin = segment.p_vaddr, at = site - f->loaded;
        if (step != 0 && site < step) at = begin + ((site - f->loaded - begin) & (step - 1));
        if (at < begin || at - begin >= segment.p_memsz) continue;
        *found = at;
        return true;
    }
    return false;
}

char *firmware_name(firmware_t *f, const snapshot_t *s, uint64_t site, bool is_code, char *to,
                    size_t size)
{
    uint64_t at;
    snprintf(to, size, "0x%" PRIx64, site);
    if (site == 0) snprintf(to, size, "unknown");
    if (site == 0 || f == NULL ||
        !find_in_file(f, s, site & ~(uint64_t)(site & 1 && !is_code), &at))
        return to;
    /* One back: the call stands before the place that it returns to. */
    GElf_Addr address = at + f->bias - (is_code ? 0 : 1);
    const char *function = dwfl_module_addrname(f->module, address);
    Dwfl_Line *line = dwfl_module_getsrc(f->module, address);
    int number = 0;
    const char *source = line != NULL ? dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL) : NULL;
    const char *base = source != NULL ? strrchr(source, '/') : NULL;
    if (source != NULL)
        snprintf(to, size, "%s (%s:%d)", function != NULL ? function : "?",
                 base != NULL ? base + 1 : source, number);
    else if (function != NULL)
        snprintf(to, size, "%s (0x%" PRIx64 ")", function, site);
    return to;
}
