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
#include "source_line.h"

/* Names that were asked for: few sites have many blocks. */
enum { CACHED = 512 };
enum { LEAST_PAGE = 1024 }; /* a program is moved by whole pages, of flash or of an MMU */
typedef struct {
    uint64_t site;
    char *name; /* NULL: the place is empty */
} cached_t;

struct firmware {
    Dwfl *dwfl;
    Dwfl_Module *module;
    Elf *elf;
    GElf_Addr bias;  /* of libdwfl's addresses against the file's */
    uint64_t loaded; /* of the device's against the file's        */
    bool is_same;    /* the memory has the same build id          */
    cached_t cache[CACHED];
};

static char *debuginfo_path = NULL;
static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .debuginfo_path = &debuginfo_path,
    .section_address = dwfl_offline_section_address,
};

/* The address in the file of a function; 0: it has none of this name. */
static uint64_t find_function(firmware_t *f, const char *function)
{
    int n = dwfl_module_getsymtab(f->module);
    for (int i = 1; i < n; i++) {
        GElf_Sym symbol;
        GElf_Addr address;
        const char *name =
            dwfl_module_getsym_info(f->module, i, &symbol, &address, NULL, NULL, NULL);
        if (name != NULL && strcmp(name, function) == 0 && symbol.st_shndx != SHN_UNDEF)
            return (address - f->bias) & ~(uint64_t)1;
    }
    return 0;
}

void firmware_place(firmware_t *f, const snapshot_t *s)
{
    /* The dump names one function that both know. */
    uint64_t anchor = find_function(f, "ea_dump");
    f->loaded = anchor != 0 ? (s->head.anchor & ~(uint64_t)1) - anchor : 0;
}

uint64_t firmware_loaded(const firmware_t *f)
{
    return f->loaded;
}

/* Is the end of the file missing, where its sections are told of? */
static bool is_cut_off(Elf *elf)
{
    GElf_Ehdr head;
    size_t size = 0;
    if (elf_rawfile(elf, &size) == NULL || gelf_getehdr(elf, &head) == NULL) return true;
    return head.e_shoff > size || (uint64_t)head.e_shnum * head.e_shentsize > size - head.e_shoff;
}

firmware_t *firmware_open(const char *path, char *error, size_t error_size)
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
    if (f->elf == NULL || is_cut_off(f->elf)) {
        snprintf(error, error_size,
                 f->elf == NULL ? "not an ELF file that could be read" : "an ELF file, cut off");
        if (f->module == NULL) close(fd);
        firmware_close(f);
        return NULL;
    }
    return f;
}

void firmware_close(firmware_t *f)
{
    if (f == NULL) return;
    if (f->dwfl != NULL) dwfl_end(f->dwfl);
    for (size_t i = 0; i < CACHED; i++) free(f->cache[i].name);
    free(f);
}

const char *firmware_mismatch(const firmware_t *f, const snapshot_t *s)
{
    const void *id;
    ssize_t n = dwelf_elf_gnu_build_id(f->elf, &id);
    if (n > 0 && s->head.n_build_id > 0) {
        bool same = (size_t)n == s->head.n_build_id && memcmp(id, s->head.build_id, (size_t)n) == 0;
        return same ? NULL : "build ids differ";
    }
    return f->loaded % LEAST_PAGE != 0 ? "ea_dump() lies elsewhere" : NULL;
}

/* --- in memory -------------------------------------------------------------------------------- */

/* The build id of the ELF file whose head the image has at address. */
static size_t id_in_memory(const image_t *m, uint64_t address, uint8_t *id, size_t size)
{
    uint8_t head[4096];
    memset(head, 0, sizeof head);
    (void)image_copy(m, address, head, sizeof head);
    if (memcmp(head, ELFMAG, SELFMAG) != 0) return 0;
    Elf *elf = elf_memory((char *)head, sizeof head);
    GElf_Phdr segment;
    size_t n_found = 0, n_segments = 0;
    if (elf != NULL && elf_getphdrnum(elf, &n_segments) != 0) n_segments = 0;
    for (size_t i = 0; i < n_segments && n_found == 0; i++) {
        if (gelf_getphdr(elf, (int)i, &segment) == NULL || segment.p_type != PT_NOTE ||
            segment.p_offset >= sizeof head || segment.p_filesz > sizeof head - segment.p_offset)
            continue;
        Elf_Data *data = elf_getdata_rawchunk(elf, (int64_t)segment.p_offset, segment.p_filesz,
                                              segment.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
        GElf_Nhdr note;
        size_t name, desc;
        for (size_t at = 0, next; data != NULL && at < data->d_size; at = next) {
            next = gelf_getnote(data, at, &note, &name, &desc);
            if (next == 0) break;
            if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 || note.n_descsz > size ||
                memcmp((const char *)data->d_buf + name, "GNU", 4) != 0)
                continue;
            /* What the image does not have is 0 in head: half an id tells nothing. */
            if (image_copy(m, address + segment.p_offset + desc, id, note.n_descsz))
                n_found = note.n_descsz;
        }
    }
    if (elf != NULL) elf_end(elf);
    return n_found;
}

/* The lowest address of the file that is loaded, of a whole page. */
static uint64_t lowest_page(const firmware_t *f)
{
    size_t n = 0;
    uint64_t lowest = UINT64_MAX;
    GElf_Phdr segment;
    if (elf_getphdrnum(f->elf, &n) != 0) return 0;
    for (size_t i = 0; i < n; i++)
        if (gelf_getphdr(f->elf, (int)i, &segment) != NULL && segment.p_type == PT_LOAD &&
            segment.p_vaddr < lowest)
            lowest = segment.p_vaddr;
    return lowest != UINT64_MAX ? lowest & ~(uint64_t)4095 : 0;
}

bool firmware_place_in(firmware_t *f, const image_t *core)
{
    const image_facts_t *facts = image_facts(core);
    const void *own;
    ssize_t n_own = dwelf_elf_gnu_build_id(f->elf, &own);
    uint8_t id[SNAP_ID_BYTES];
    bool told = false;
    GElf_Ehdr head;
    for (size_t i = 0; i < facts->n_files && n_own > 0; i++) {
        if (facts->files[i].offset != 0) continue;
        size_t n = id_in_memory(core, facts->files[i].begin, id, sizeof id);
        told |= n > 0;
        if (n != (size_t)n_own || memcmp(id, own, n) != 0) continue;
        f->loaded = facts->files[i].begin - lowest_page(f);
        f->is_same = true;
        return true;
    }
    if (told || gelf_getehdr(f->elf, &head) == NULL) return false;
    /* Nothing tells but where it began. */
    f->loaded = facts->entry != 0 ? facts->entry - head.e_entry : 0;
    return (f->loaded & 4095u) == 0;
}

bool firmware_place_in_ram(firmware_t *f, const image_t *ram)
{
    const void *own;
    ssize_t n = dwelf_elf_gnu_build_id(f->elf, &own);
    uint8_t id[SNAP_ID_BYTES];
    GElf_Shdr section;
    f->loaded = 0;
    if (n <= 0 || n > SNAP_ID_BYTES) return true;
    for (Elf_Scn *scn = NULL; (scn = elf_nextscn(f->elf, scn)) != NULL;) {
        if (gelf_getshdr(scn, &section) == NULL || section.sh_type != SHT_NOTE ||
            (section.sh_flags & SHF_ALLOC) == 0)
            continue;
        Elf_Data *data = elf_rawdata(scn, NULL);
        const uint8_t *at = data != NULL && data->d_buf != NULL
                                ? memmem(data->d_buf, data->d_size, own, (size_t)n)
                                : NULL;
        if (at == NULL) continue;
        uint64_t address = section.sh_addr + (uint64_t)(at - (const uint8_t *)data->d_buf);
        if (!image_copy(ram, address, id, (uint64_t)n)) return true;
        f->is_same = memcmp(id, own, (size_t)n) == 0;
        return f->is_same;
    }
    return true;
}

void firmware_lend(const firmware_t *f, image_t *m)
{
    size_t n = 0, size = 0;
    const char *bytes = elf_rawfile(f->elf, &size);
    GElf_Phdr segment;
    if (bytes == NULL || elf_getphdrnum(f->elf, &n) != 0) return;
    for (size_t i = 0; i < n; i++) {
        if (gelf_getphdr(f->elf, (int)i, &segment) == NULL || segment.p_type != PT_LOAD ||
            (segment.p_flags & PF_W) != 0 || segment.p_offset >= size)
            continue;
        uint64_t there = size - segment.p_offset;
        image_add_constant(m, segment.p_vaddr + f->loaded,
                           (const uint8_t *)bytes + segment.p_offset,
                           segment.p_filesz < there ? segment.p_filesz : there);
    }
}

layout_t *firmware_layout(firmware_t *f)
{
    return layout_open(f->module, gelf_getclass(f->elf) == ELFCLASS64 ? 8 : 4);
}

void firmware_extend(firmware_t *f, layout_t *l)
{
    layout_extend(l, f->module);
}

void firmware_sign(firmware_t *f, snapshot_t *s)
{
    const void *id;
    ssize_t n = dwelf_elf_gnu_build_id(f->elf, &id);
    GElf_Ehdr head;
    uint64_t anchor = find_function(f, "ea_dump");
    if (anchor == 0 && gelf_getehdr(f->elf, &head) != NULL) anchor = head.e_entry & ~(uint64_t)1;
    s->head.anchor = anchor + f->loaded;
    if (!f->is_same || n <= 0 || (size_t)n > sizeof s->head.build_id) return;
    memcpy(s->head.build_id, id, (size_t)n);
    s->head.n_build_id = (size_t)n;
}

/* --- names ------------------------------------------------------------------------------------ */

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

static void look_up(firmware_t *f, const snapshot_t *s, uint64_t site, bool is_code, char *to,
                    size_t size)
{
    uint64_t at;
    snprintf(to, size, "0x%" PRIx64, site);
    if (!find_in_file(f, s, site & ~(uint64_t)(site & 1 && !is_code), &at)) return;
    /* One back: the call stands before the place that it returns to. */
    GElf_Addr address = at + f->bias - (is_code ? 0 : 1);
    const char *function = dwfl_module_addrname(f->module, address);
    int number = 0;
    const char *source = source_line(f->module, address, &number);
    const char *base = source != NULL ? strrchr(source, '/') : NULL;
    if (source != NULL)
        snprintf(to, size, "%s (%s:%d)", function != NULL ? function : "?",
                 base != NULL ? base + 1 : source, number);
    else if (function != NULL)
        snprintf(to, size, "%s (0x%" PRIx64 ")", function, site);
}

char *firmware_name(firmware_t *f, const snapshot_t *s, uint64_t site, bool is_code, char *to,
                    size_t size)
{
    if (site == 0 || f == NULL) {
        snprintf(to, size, site == 0 ? "unknown" : "0x%" PRIx64, site);
        return to;
    }
    if (is_code) {
        look_up(f, s, site, true, to, size);
        return to;
    }
    cached_t *place = &f->cache[(site ^ site >> 9) % CACHED];
    if (place->name == NULL || place->site != site) {
        look_up(f, s, site, false, to, size);
        free(place->name);
        *place = (cached_t){site, strdup(to)};
        if (place->name == NULL) abort();
    }
    snprintf(to, size, "%s", place->name);
    return to;
}
