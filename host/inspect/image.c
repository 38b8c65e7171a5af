/* SPDX-License-Identifier: MIT
 *
 * Pieces of memory, by address. A core's pieces and notes are read with libelf from the mapped
 * file; whatever an offset or a size says is cut down to what the file has.
 */
#define _GNU_SOURCE
#include "image.h"

#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sane.h"

typedef struct {
    uint64_t begin, n;
    const uint8_t *bytes;
    unsigned rank; /* the lower one is asked first where two overlap */
} piece_t;

typedef struct {
    uint8_t *bytes;
    size_t n;
} mapped_t;

struct image {
    piece_t *pieces;          /* by rank, then by address */
    size_t n_pieces, n_first; /* of rank 0 */
    bool is_sorted;
    mapped_t *mapped;
    size_t n_mapped;
    image_facts_t facts;
    image_file_t *files;
    uint64_t n_bytes;
    char flaw[160];
};

image_t *image_new(void)
{
    image_t *m = calloc(1, sizeof *m);
    if (m == NULL) abort();
    return m;
}

void image_free(image_t *m)
{
    if (m == NULL) return;
    for (size_t i = 0; i < m->n_mapped; i++) munmap(m->mapped[i].bytes, m->mapped[i].n);
    free(m->mapped);
    free(m->pieces);
    free(m->files);
    free(m);
}

static void set_flaw(image_t *m, uint64_t offset, const char *text)
{
    if (m->flaw[0] == '\0')
        snprintf(m->flaw, sizeof m->flaw, "offset %" PRIu64 ": %s", offset, text);
}

static void *more(void *list, size_t n, size_t size)
{
    if ((n & (n - 1)) != 0) return list;
    list = realloc(list, (n == 0 ? 1 : 2 * n) * size);
    if (list == NULL) abort();
    return list;
}

static void add_piece(image_t *m, uint64_t begin, const uint8_t *bytes, uint64_t n, unsigned rank)
{
    if (n > UINT64_MAX - begin) n = UINT64_MAX - begin;
    if (n == 0) return;
    m->pieces = more(m->pieces, m->n_pieces, sizeof *m->pieces);
    m->pieces[m->n_pieces++] = (piece_t){begin, n, bytes, rank};
    m->is_sorted = false;
}

/* --- files ------------------------------------------------------------------------------------ */

static mapped_t *map_file(image_t *m, const char *path, char *error, size_t size)
{
    int fd = open_regular(path);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        snprintf(error, size, "%s", errno == EINVAL ? "not a regular file" : strerror(errno));
        if (fd >= 0) close(fd);
        return NULL;
    }
    void *bytes = MAP_FAILED;
    if (st.st_size > 0)
        bytes = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        snprintf(error, size, "%s", st.st_size == 0 ? "the file is empty" : strerror(errno));
    close(fd);
    if (bytes == MAP_FAILED) return NULL;
    m->mapped = more(m->mapped, m->n_mapped, sizeof *m->mapped);
    m->mapped[m->n_mapped] = (mapped_t){bytes, (size_t)st.st_size};
    m->n_bytes += (uint64_t)st.st_size;
    return &m->mapped[m->n_mapped++];
}

bool image_is_core(const char *path)
{
    uint8_t head[18] = {0};
    int fd = open_regular(path);
    if (fd < 0) return false;
    bool is_core = read(fd, head, sizeof head) == (ssize_t)sizeof head &&
                   memcmp(head, ELFMAG, SELFMAG) == 0 &&
                   (head[EI_DATA] == ELFDATA2MSB ? head[17] : head[16]) == ET_CORE;
    close(fd);
    return is_core;
}

bool image_read_raw(image_t *m, const char *path, uint64_t address, char *error, size_t error_size)
{
    mapped_t *file = map_file(m, path, error, error_size);
    if (file == NULL) return false;
    add_piece(m, address, file->bytes, file->n, 0);
    return true;
}

void image_add_constant(image_t *m, uint64_t address, const uint8_t *bytes, uint64_t n)
{
    add_piece(m, address, bytes, n, 1);
}

/* --- what a core says ------------------------------------------------------------------------- */

static uint64_t little(const uint8_t *bytes, unsigned n)
{
    uint64_t value = 0;
    for (unsigned i = n; i-- > 0;) value = value << 8 | bytes[i];
    return value;
}

/* Word i of a note of n bytes; 0 if it is not there. */
static uint64_t word_at(const uint8_t *note, size_t n, size_t at, unsigned bytes)
{
    return at <= n && bytes <= n - at ? little(note + at, bytes) : 0;
}

static void read_registers(image_t *m, unsigned machine, const uint8_t *note, size_t n)
{
    if (m->facts.pc != 0) return; /* the first thread is the one that died */
    switch (machine) {
    case EM_X86_64: m->facts.pc = word_at(note, n, 112 + 16 * 8, 8); break;
    case EM_AARCH64: m->facts.pc = word_at(note, n, 112 + 32 * 8, 8); break;
    case EM_RISCV: m->facts.pc = word_at(note, n, 112, 8); break;
    case EM_386: m->facts.pc = word_at(note, n, 72 + 12 * 4, 4); break;
    case EM_ARM: m->facts.pc = word_at(note, n, 72 + 15 * 4, 4); break;
    default: break;
    }
}

static void read_auxv(image_t *m, const uint8_t *note, size_t n)
{
    unsigned w = m->facts.pointer_bytes;
    for (size_t at = 0; at + 2u * w <= n; at += 2u * w) {
        uint64_t key = little(note + at, w), value = little(note + at + w, w);
        if (key == AT_NULL) break;
        if (key == AT_ENTRY) m->facts.entry = value;
        if (key == AT_PHDR) m->facts.headers = value;
    }
}

/* Numbers first, three a file; then as many names, each with its zero. */
static void read_files(image_t *m, const uint8_t *note, size_t n)
{
    unsigned w = m->facts.pointer_bytes;
    uint64_t count = word_at(note, n, 0, w), page = word_at(note, n, w, w);
    if (m->files != NULL || count == 0 || count > n / (3u * w)) return;
    size_t at = 2u * w, name = 2u * w + 3u * w * (size_t)count;
    m->files = calloc((size_t)count, sizeof *m->files);
    if (m->files == NULL) abort();
    for (uint64_t i = 0; i < count && name < n; i++, at += 3u * w) {
        const uint8_t *end = memchr(note + name, '\0', n - name);
        if (end == NULL) break;
        m->files[i] =
            (image_file_t){little(note + at, w), little(note + at + w, w),
                           little(note + at + 2u * w, w) * page, (const char *)note + name};
        name = (size_t)(end - note) + 1;
        m->facts.n_files++;
    }
    m->facts.files = m->files;
}

static void read_command(image_t *m, const uint8_t *note, size_t n)
{
    size_t at = m->facts.pointer_bytes == 8 ? 56 : 44, i = 0;
    for (; i + 1 < sizeof m->facts.command && at + i < n && note[at + i] != '\0'; i++) {
        uint8_t c = note[at + i];
        m->facts.command[i] = (char)(c >= ' ' && c <= '~' ? c : '?');
    }
    while (i > 0 && m->facts.command[i - 1] == ' ') i--;
    m->facts.command[i] = '\0';
}

static void read_signal(image_t *m, const uint8_t *note, size_t n)
{
    unsigned w = m->facts.pointer_bytes;
    if (m->facts.signal != 0) return;
    m->facts.signal = (int)word_at(note, n, 0, 4);
    if (m->facts.signal == 11 || m->facts.signal == 7) /* those that say an address */
        m->facts.fault = word_at(note, n, w == 8 ? 16 : 12, w);
}

static void read_notes(image_t *m, Elf *elf, unsigned machine, const GElf_Phdr *segment)
{
    Elf_Data *data = elf_getdata_rawchunk(elf, (int64_t)segment->p_offset, segment->p_filesz,
                                          segment->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
    GElf_Nhdr note;
    size_t name, desc;
    for (size_t at = 0, next; data != NULL && at < data->d_size; at = next) {
        next = gelf_getnote(data, at, &note, &name, &desc);
        if (next == 0 || desc > data->d_size || note.n_descsz > data->d_size - desc) {
            set_flaw(m, segment->p_offset + at, "the core's notes are damaged here");
            break;
        }
        const uint8_t *bytes = (const uint8_t *)data->d_buf + desc;
        switch (note.n_type) {
        case NT_PRSTATUS: read_registers(m, machine, bytes, note.n_descsz); break;
        case NT_PRPSINFO: read_command(m, bytes, note.n_descsz); break;
        case NT_AUXV: read_auxv(m, bytes, note.n_descsz); break;
        case NT_FILE: read_files(m, bytes, note.n_descsz); break;
        case NT_SIGINFO: read_signal(m, bytes, note.n_descsz); break;
        default: break;
        }
    }
}

static void read_segment(image_t *m, Elf *elf, unsigned machine, const mapped_t *file,
                         GElf_Phdr *segment)
{
    uint64_t there = segment->p_offset < file->n ? file->n - segment->p_offset : 0;
    if (segment->p_type != PT_LOAD && segment->p_type != PT_NOTE) return;
    if (segment->p_filesz > there) {
        set_flaw(m, file->n, "the core ends here, cut off");
        segment->p_filesz = there;
    }
    if (segment->p_filesz == 0) return;
    if (segment->p_type == PT_LOAD)
        add_piece(m, segment->p_vaddr, file->bytes + segment->p_offset, segment->p_filesz, 0);
    else
        read_notes(m, elf, machine, segment);
}

bool image_use_core(image_t *m, uint8_t *bytes, size_t n, char *error, size_t error_size)
{
    const mapped_t whole = {bytes, n}, *file = &whole;
    size_t n_segments = 0;
    GElf_Ehdr head;
    elf_version(EV_CURRENT);
    Elf *elf = elf_memory((char *)file->bytes, file->n);
    bool ok = elf != NULL && elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &head) != NULL &&
              head.e_type == ET_CORE;
    if (!ok)
        snprintf(error, error_size, "offset 0: not an ELF core that could be read");
    else if (head.e_ident[EI_DATA] != ELFDATA2LSB)
        snprintf(error, error_size, "offset 5: a core of a big-endian machine");
    else if (elf_getphdrnum(elf, &n_segments) != 0 || n_segments == 0)
        snprintf(error, error_size, "offset %" PRIu64 ": no segments are there", head.e_phoff);
    if (n_segments > 0) {
        m->facts.pointer_bytes = head.e_ident[EI_CLASS] == ELFCLASS64 ? 8 : 4;
        GElf_Phdr segment;
        for (size_t i = 0; i < n_segments; i++) {
            if (gelf_getphdr(elf, (int)i, &segment) != NULL)
                read_segment(m, elf, head.e_machine, file, &segment);
            else
                set_flaw(m, head.e_phoff, "the core's segments are damaged here");
        }
        if (m->n_pieces == 0 && m->flaw[0] != '\0')
            snprintf(error, error_size, "%s", m->flaw);
        else if (m->n_pieces == 0)
            snprintf(error, error_size, "offset %" PRIu64 ": no memory is in it", head.e_phoff);
    }
    if (elf != NULL) elf_end(elf);
    return m->n_pieces > 0;
}

bool image_read_core(image_t *m, const char *path, char *error, size_t error_size)
{
    mapped_t *file = map_file(m, path, error, error_size);
    return file != NULL && image_use_core(m, file->bytes, file->n, error, error_size);
}

/* --- memory ----------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const piece_t *x = a, *y = b;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

/* The last of the pieces from..to that begins at address or before; NULL: it does not reach it. */
static const piece_t *last_up_to(const image_t *m, size_t from, size_t to, uint64_t address)
{
    size_t low = from, high = to;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->pieces[middle].begin <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == from || address - m->pieces[low - 1].begin >= m->pieces[low - 1].n) return NULL;
    return &m->pieces[low - 1];
}

static const piece_t *piece_at(const image_t *image, uint64_t address)
{
    image_t *m = (image_t *)image;
    if (!m->is_sorted && m->n_pieces > 0) {
        qsort(m->pieces, m->n_pieces, sizeof *m->pieces, by_place);
        m->n_first = 0;
        while (m->n_first < m->n_pieces && m->pieces[m->n_first].rank == 0) m->n_first++;
        m->is_sorted = true;
    }
    const piece_t *piece = last_up_to(m, 0, m->n_first, address);
    return piece != NULL ? piece : last_up_to(m, m->n_first, m->n_pieces, address);
}

const uint8_t *image_at(const image_t *m, uint64_t address, uint64_t n)
{
    const piece_t *piece = piece_at(m, address);
    if (piece == NULL || n > piece->n - (address - piece->begin)) return NULL;
    return piece->bytes + (address - piece->begin);
}

uint64_t image_room(const image_t *m, uint64_t address, uint64_t n)
{
    uint64_t room = 0;
    while (room < n) {
        const piece_t *piece = piece_at(m, address + room);
        if (piece == NULL || address + room < address) break;
        room += piece->n - (address + room - piece->begin);
    }
    return room < n ? room : n;
}

bool image_copy(const image_t *m, uint64_t address, void *to, uint64_t n)
{
    uint8_t *out = to;
    bool whole = true;
    while (n > 0) {
        const piece_t *piece = piece_at(m, address);
        uint64_t step = 1;
        if (piece != NULL) {
            uint64_t at = address - piece->begin;
            step = n < piece->n - at ? n : piece->n - at;
            memcpy(out, piece->bytes + at, (size_t)step);
        } else {
            *out = 0;
            whole = false;
        }
        out += step;
        address += step;
        n -= step;
    }
    return whole;
}

bool image_number(const image_t *m, uint64_t address, unsigned n_bytes, uint64_t *value)
{
    uint8_t bytes[8];
    *value = 0;
    if (n_bytes > sizeof bytes || !image_copy(m, address, bytes, n_bytes)) return false;
    *value = little(bytes, n_bytes);
    return true;
}

const image_facts_t *image_facts(const image_t *m)
{
    return &m->facts;
}

const char *image_flaw(const image_t *m)
{
    return m->flaw;
}

uint64_t image_bytes(const image_t *m)
{
    return m->n_bytes;
}
