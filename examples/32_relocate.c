/* SPDX-License-Identifier: MIT
 *
 * Movable blocks that hold pointers to themselves: a parser keeps a pointer to where it reads in
 * the text that stands behind it in the same block. The store tells of every move, and the pointer
 * moves along.
 *
 * Built with EA_CFG_MOVABLE_RELOCATE=1.
 */
#include <ealloc/movable.h>
#include <stdio.h>
#include <string.h>

#define N_PARSERS 8

/* Blocks are aligned to EA_MOVABLE_ALIGN, which may be less than a pointer's own. */
typedef struct __attribute__((packed, aligned(EA_MOVABLE_ALIGN))) {
    const char *at; /* into text */
    char text[];
} parser_t;

static _Alignas(8) unsigned char ram[4096];
static unsigned n_moved;

/* All blocks of this store are parsers; nobody can lock this one before it returns. */
static void moved(void *context, ea_movable_handle_t handle, void *from, void *to,
                  size_t size_bytes)
{
    parser_t *parser = to;
    (void)context, (void)handle, (void)size_bytes;
    parser->at += (char *)to - (char *)from;
    n_moved++;
}

static ea_movable_handle_t new_parser(ea_movable_t *store, const char *text)
{
    size_t n_bytes = strlen(text) + 1;
    ea_movable_handle_t handle = ea_movable_alloc(store, sizeof(parser_t) + n_bytes, 1024);
    EA_MOVABLE_LOCKED(store, handle, parser_t, parser)
    {
        if (parser == NULL) continue;
        memcpy(parser->text, text, n_bytes);
        parser->at = parser->text;
    }
    return handle;
}

/* The next letter; 0: there are no more. */
static char next_letter(ea_movable_t *store, ea_movable_handle_t handle)
{
    char letter = 0;
    EA_MOVABLE_LOCKED(store, handle, parser_t, parser)
    {
        if (parser != NULL && *parser->at != 0) letter = *parser->at++;
    }
    return letter;
}

int main(void)
{
    ea_movable_handle_t parsers[N_PARSERS];
    ea_movable_t *store = ea_movable_init(ram, sizeof ram, NULL);
    if (store == NULL) return 1;
    ea_movable_set_relocate(store, moved, NULL);
    for (unsigned i = 0; i < N_PARSERS; i++)
        parsers[i] = new_parser(store, "a pointer into itself");

    char read[32] = "";
    for (unsigned i = 0; i < N_PARSERS; i += 2) (void)ea_movable_free(store, parsers[i]);
    for (unsigned n = 0; n + 1 < sizeof read; n++) {
        read[n] = next_letter(store, parsers[N_PARSERS - 1]);
        if (read[n] == 0) break;
        (void)ea_movable_step(store, 128); /* at least the largest block and 32 bytes */
    }
    printf("read: %s\nmoved meanwhile: %s\n", read, n_moved >= N_PARSERS / 2 ? "yes" : "no");
    return 0;
}
