/* SPDX-License-Identifier: MIT
 *
 * Cores made here, byte by byte: what is read out of their notes, and memory across the borders of
 * their pieces.
 */
#include <elf.h>
#include <string.h>

#include "image.h"
#include "tap.h"

enum { N_SEGMENTS = 4, NOTES_AT = 0x200, MEMORY_AT = 0x1000, PIECE = 0x100 };
#define FIRST 0x10000u /* of two pieces that touch */
#define LAST (UINT64_MAX - 15)

static _Alignas(8) uint8_t core[MEMORY_AT + 3 * PIECE];
static size_t n_notes;
static char error[200];

static void put(uint8_t *to, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) to[i] = (uint8_t)(value >> 8 * i);
}

static void add_note(uint32_t type, const uint8_t *bytes, uint32_t n)
{
    const Elf64_Nhdr head = {.n_namesz = 5, .n_descsz = n, .n_type = type};
    uint8_t *at = core + NOTES_AT + n_notes;
    memcpy(at, &head, sizeof head);
    memcpy(at + sizeof head, "CORE\0\0\0", 8);
    memcpy(at + sizeof head + 8, bytes, n);
    n_notes += sizeof head + 8 + (n + 3) / 4 * 4;
}

static void add_thread(uint64_t pc, uint32_t signal, uint64_t fault)
{
    uint8_t status[336] = {0}, info[128] = {0};
    put(status + 112 + 16 * 8, pc);
    info[0] = (uint8_t)signal;
    put(info + 16, fault);
    add_note(NT_PRSTATUS, status, sizeof status);
    add_note(NT_SIGINFO, info, sizeof info);
}

static void add_program(void)
{
    uint8_t info[136] = {0}, numbers[48] = {0}, files[8 * 8 + 17] = {0};
    memcpy(info + 56, "/bin/a \x1b[2J\xff b  ", 15);
    put(numbers, AT_PHDR), put(numbers + 8, 0x400040);
    put(numbers + 16, AT_ENTRY), put(numbers + 24, 0x401000);
    add_note(NT_PRPSINFO, info, sizeof info);
    add_note(NT_AUXV, numbers, sizeof numbers);
    const uint64_t words[] = {2, 4096, 0x400000, 0x402000, 0, 0x402000, 0x403000, 3};
    for (unsigned i = 0; i < 8; i++) put(files + 8 * i, words[i]);
    memcpy(files + 64, "/bin/a\0/lib/b.so", 17);
    add_note(NT_FILE, files, sizeof files);
}

static void end_core(void)
{
    const uint64_t addresses[] = {FIRST, FIRST + PIECE, LAST};
    Elf64_Ehdr head = {.e_type = ET_CORE,
                       .e_machine = EM_X86_64,
                       .e_version = EV_CURRENT,
                       .e_phoff = sizeof head,
                       .e_ehsize = sizeof head,
                       .e_phentsize = sizeof(Elf64_Phdr),
                       .e_phnum = N_SEGMENTS};
    memcpy(head.e_ident, ELFMAG "\2\1\1", 7);
    Elf64_Phdr segments[N_SEGMENTS] = {
        {.p_type = PT_NOTE, .p_offset = NOTES_AT, .p_filesz = n_notes, .p_align = 4}};
    for (unsigned i = 1; i < N_SEGMENTS; i++)
        segments[i] = (Elf64_Phdr){.p_type = PT_LOAD,
                                   .p_offset = MEMORY_AT + (i - 1) * PIECE,
                                   .p_vaddr = addresses[i - 1],
                                   .p_filesz = PIECE,
                                   .p_memsz = PIECE};
    memcpy(core, &head, sizeof head);
    memcpy(core + sizeof head, segments, sizeof segments);
    for (unsigned i = 0; i < 3 * PIECE; i++) core[MEMORY_AT + i] = (uint8_t)(i % 251 + 1);
}

static image_t *begin(uint32_t signal)
{
    memset(core, 0, sizeof core);
    n_notes = 0;
    add_thread(0x1234, signal, 0xBAD0);
    add_thread(0x5678, 19, 0);
    add_program();
    end_core();
    image_t *m = image_new();
    if (image_use_core(m, core, sizeof core, error, sizeof error)) return m;
    image_free(m);
    return NULL;
}

TEST(image_facts_are_those_of_the_thread_that_died, 0)
{
    image_t *m = begin(11);
    REQUIRE(m != NULL);
    const image_facts_t *facts = image_facts(m);
    EXPECT(image_flaw(m)[0] == '\0');
    EXPECT_EQ(facts->pointer_bytes, 8);
    EXPECT_EQ(facts->pc, 0x1234);
    EXPECT_EQ(facts->signal, 11);
    EXPECT_EQ(facts->fault, 0xBAD0);
    EXPECT_EQ(facts->entry, 0x401000);
    EXPECT_EQ(facts->headers, 0x400040);
    EXPECT(strcmp(facts->command, "/bin/a ?[2J? b") == 0); /* nothing that a terminal obeys */
    REQUIRE(facts->n_files == 2);
    EXPECT_EQ(facts->files[1].begin, 0x402000);
    EXPECT_EQ(facts->files[1].end, 0x403000);
    EXPECT_EQ(facts->files[1].offset, 3 * 4096);
    EXPECT(strcmp(facts->files[0].path, "/bin/a") == 0);
    EXPECT(strcmp(facts->files[1].path, "/lib/b.so") == 0);
    image_free(m);
    m = begin(6); /* abort(): what stands there is no address */
    REQUIRE(m != NULL);
    EXPECT_EQ(image_facts(m)->signal, 6);
    EXPECT_EQ(image_facts(m)->fault, 0);
    image_free(m);
}

TEST(image_memory_goes_on_where_pieces_touch_and_ends_where_they_do, 0)
{
    uint8_t bytes[2 * PIECE + 16];
    uint64_t value;
    image_t *m = begin(11);
    REQUIRE(m != NULL);
    EXPECT_EQ(image_room(m, FIRST, 10), 10);
    EXPECT_EQ(image_room(m, FIRST + 0x80, 1000), 0x180);
    EXPECT_EQ(image_room(m, FIRST - 1, 10), 0);
    EXPECT(image_at(m, FIRST, PIECE) == core + MEMORY_AT);
    EXPECT(image_at(m, FIRST + 0x80, 0x80) == core + MEMORY_AT + 0x80);
    EXPECT(image_at(m, FIRST + 0x80, 0x81) == NULL); /* not in one piece */
    EXPECT(image_at(m, FIRST + 2 * PIECE, 1) == NULL);
    memset(bytes, 0xEE, sizeof bytes);
    EXPECT(image_copy(m, FIRST, bytes, 2 * PIECE));
    EXPECT(memcmp(bytes, core + MEMORY_AT, 2 * PIECE) == 0);
    EXPECT_EQ(bytes[2 * PIECE], 0xEE);
    EXPECT(!image_copy(m, FIRST, bytes, sizeof bytes));
    for (unsigned i = 0; i < 16; i++) EXPECT_EQ(bytes[2 * PIECE + i], 0);
    EXPECT(image_number(m, FIRST + PIECE - 2, 4, &value)); /* across the border */
    EXPECT_EQ(value, 0x07060504);
    EXPECT(!image_number(m, FIRST + 2 * PIECE - 2, 4, &value));
    EXPECT_EQ(value, 0);
    EXPECT(!image_number(m, FIRST, 9, &value));
    EXPECT_EQ(image_room(m, LAST, 100), 15); /* it does not run over */
    EXPECT_EQ(image_room(m, 0, 100), 0);
    image_free(m);
}

TEST(image_asks_constants_only_where_there_is_no_memory, 0)
{
    static const uint8_t constants[32] = {0xC0, 0xC1};
    image_t *m = begin(11);
    REQUIRE(m != NULL);
    image_add_constant(m, FIRST, constants, sizeof constants);
    image_add_constant(m, 0x8000, constants, sizeof constants);
    EXPECT(image_at(m, FIRST, 16) == core + MEMORY_AT);
    EXPECT(image_at(m, 0x8000, 32) == constants);
    EXPECT(image_at(m, 0x8000, 33) == NULL);
    image_free(m);
}

TEST(image_refuses_what_is_no_core_of_such_a_machine, 0)
{
    static const struct {
        size_t at;
        uint8_t value;
    } cases[] = {{0, 'x'}, {5, 2}, {16, ET_EXEC}, {56, 0}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        image_free(begin(11));
        image_t *m = image_new();
        core[cases[i].at] = cases[i].value;
        error[0] = '\0';
        EXPECT(!image_use_core(m, core, sizeof core, error, sizeof error));
        EXPECT(strncmp(error, "offset ", 7) == 0);
        image_free(m);
    }
}

TEST_MAIN(&image_facts_are_those_of_the_thread_that_died,
          &image_memory_goes_on_where_pieces_touch_and_ends_where_they_do,
          &image_asks_constants_only_where_there_is_no_memory,
          &image_refuses_what_is_no_core_of_such_a_machine)
