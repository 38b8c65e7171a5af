/* SPDX-License-Identifier: MIT
 *
 * Modules are numbered when an address in them is first asked for, so a recording names only those
 * that allocate.
 */
#define _GNU_SOURCE
#include "modules.h"

#include <elfutils/libdwelf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sane.h"

typedef struct {
    uint64_t start, end, file_offset, base;
    char *path;
} mapping_t;

typedef struct {
    char *path;
    uint64_t base;
} named_t;

struct modules {
    mapping_t *mappings;
    size_t n_mappings;
    named_t *named;
    int32_t n_named;
};

modules_t *modules_new(void)
{
    return calloc(1, sizeof(modules_t));
}

static void forget_mappings(modules_t *m)
{
    for (size_t i = 0; i < m->n_mappings; i++) free(m->mappings[i].path);
    free(m->mappings);
    m->mappings = NULL;
    m->n_mappings = 0;
}

void modules_free(modules_t *m)
{
    if (m == NULL) return;
    forget_mappings(m);
    for (int32_t i = 0; i < m->n_named; i++) free(m->named[i].path);
    free(m->named);
    free(m);
}

void modules_read(modules_t *m, const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) return;
    forget_mappings(m);
    char *line = NULL;
    size_t capacity = 0;
    uint64_t base = 0;
    while (getline(&line, &capacity, file) > 0) {
        mapping_t new = {0};
        int at = 0;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*4s %" SCNx64 " %*s %*s %n", &new.start,
                   &new.end, &new.file_offset, &at) < 3 ||
            at == 0 || line[at] != '/')
            continue;
        line[strcspn(line, "\n")] = '\0';
        /* A module's mappings follow each other; the one of its first byte comes first. */
        const mapping_t *last = m->n_mappings > 0 ? &m->mappings[m->n_mappings - 1] : NULL;
        if (last == NULL || strcmp(last->path, line + at) != 0 || new.file_offset == 0)
            base = new.start - new.file_offset;
        new.base = base;
        new.path = strdup(line + at);
        mapping_t *grown = realloc(m->mappings, (m->n_mappings + 1) * sizeof *grown);
        if (grown == NULL || new.path == NULL) abort();
        m->mappings = grown;
        m->mappings[m->n_mappings++] = new;
    }
    free(line);
    fclose(file);
}

static void read_build_id(const char *path, char *to, size_t size)
{
    to[0] = '\0';
    int fd = open_regular(path);
    if (fd < 0) return;
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
    const void *id = NULL;
    ssize_t n = elf != NULL ? dwelf_elf_gnu_build_id(elf, &id) : 0;
    for (ssize_t i = 0; i < n && (size_t)(2 * i + 3) < size; i++)
        snprintf(to + 2 * i, 3, "%02x", ((const uint8_t *)id)[i]);
    if (elf != NULL) elf_end(elf);
    close(fd);
}

int32_t modules_find(modules_t *m, rec_writer_t *w, uint64_t address, uint64_t *offset)
{
    *offset = 0;
    const mapping_t *found = NULL;
    for (size_t i = 0; i < m->n_mappings && found == NULL; i++)
        if (address >= m->mappings[i].start && address < m->mappings[i].end)
            found = &m->mappings[i];
    if (found == NULL) return -1;
    *offset = address - found->start + found->file_offset;
    for (int32_t i = 0; i < m->n_named; i++)
        if (m->named[i].base == found->base && strcmp(m->named[i].path, found->path) == 0) return i;

    named_t *grown = realloc(m->named, (size_t)(m->n_named + 1) * sizeof *grown);
    char *path = strdup(found->path);
    if (grown == NULL || path == NULL) abort();
    m->named = grown;
    m->named[m->n_named] = (named_t){path, found->base};
    char build_id[80];
    read_build_id(path, build_id, sizeof build_id);
    rec_write_module(w, &(rec_module_t){.path = path, .build_id = build_id, .base = found->base});
    return m->n_named++;
}
