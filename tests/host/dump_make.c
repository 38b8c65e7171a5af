/* SPDX-License-Identifier: MIT
 *
 * Writes the dump of a small allocator to a file, or its own RAM, or dies, for inspect_test.py.
 *
 *     dump_make FILE [leak|drip|overflow|header|freed|pools|trace|store|torn|id|ram|die]...
 *
 * store: with a store of movable blocks beside it, in the middle of a move; torn: whose header of a
 * block is overwritten. ram: FILE gets the program's RAM instead, and its first address is printed.
 * die: no file.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ealloc/ealloc.h"

static unsigned char ram[4096];
static ea_allocator_t memory;
static ea_accounts_t book;
static ea_account_t nodes[4];
static ea_dump_t dump;
static ea_trace_t *trace;
static _Alignas(8) unsigned char ring[EA_TRACE_BYTES(64)];
#define CLASSES(CLASS, name) CLASS(name, small, 64, 4) CLASS(name, large, 128, 8)
EA_POOLSET_DEFINE_CLASSES_STATIC(set, CLASSES, EA_POOLSET_NEXT_LARGER, 0, NULL);
EA_POOL_DEFINE(messages, 24, 6); /* nobody's but its user's */

static _Alignas(8) unsigned char store_memory[2048];
static ea_movable_t *letters;

extern unsigned char __data_start[], _end[]; /* of the linker: what the program writes to */

static bool write_file(void *context, const void *bytes, size_t n_bytes)
{
    return fwrite(bytes, 1, n_bytes, context) == n_bytes;
}

static __attribute__((noinline)) char *take_frame(size_t size_bytes)
{
    char *frame = ea_malloc(&memory, size_bytes); /* the line that the test looks for */
    return frame != NULL ? memset(frame, 'f', size_bytes) : NULL;
}

static __attribute__((noinline)) char *take_image(size_t size_bytes)
{
    char *image = ea_malloc(&memory, size_bytes);
    return image != NULL ? memset(image, 'i', size_bytes) : NULL;
}

/* A leak beside a call that frees what it takes. */
static __attribute__((noinline)) void drip(void)
{
    for (int i = 0; i < 20; i++) {
        (void)!take_image(24);
        char *gone = take_frame(40);
        if (gone != NULL) (void)ea_free(&memory, gone);
    }
}

/* Blocks of 100 bytes: one locked twice, above which one is in flight; the last one fixed. */
static bool fill_store(bool is_torn)
{
    const ea_movable_options_t options = {16, 16};
    ea_movable_handle_t handles[8];
    char *bytes;
    letters = ea_movable_init(store_memory, sizeof store_memory, &options);
    if (letters == NULL) return false;
    for (unsigned i = 0; i < 8; i++) {
        handles[i] = ea_movable_alloc(letters, 100, 0);
        bytes = ea_movable_lock(letters, handles[i]);
        if (bytes == NULL) return false;
        memset(bytes, 'a' + (int)i, 100);
        (void)ea_movable_unlock(letters, handles[i]);
    }
    if (ea_movable_free(letters, handles[0]) != EA_OK ||
        ea_movable_free(letters, handles[2]) != EA_OK ||
        ea_movable_lock(letters, handles[1]) == NULL ||
        ea_movable_lock(letters, handles[1]) == NULL ||
        ea_movable_alloc_fixed(letters, 60, 8, 0) == NULL)
        return false;
    (void)ea_movable_step(letters, 48); /* block 3 */
    bytes = ea_movable_lock(letters, handles[5]);
    if (bytes == NULL) return false;
    (void)ea_movable_unlock(letters, handles[5]);
    if (is_torn) memset(bytes - EA_MOVABLE_HEADER_BYTES, '!', EA_MOVABLE_HEADER_BYTES);
    return true;
}

static int write_ram(const char *path)
{
    FILE *file = fopen(path, "wb");
    size_t n = (size_t)(_end - __data_start);
    if (file == NULL || fwrite(__data_start, 1, n, file) != n) return 1;
    printf("0x%" PRIxPTR "\n", (uintptr_t)__data_start);
    return fclose(file) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const ea_account_options_t net_options = {.name = "net", .limits = {.max = 2000}};
    static const ea_account_options_t ui_options = {.name = "ui"};
    static const unsigned char build_id[] = {1, 2, 3, 4};
    ea_owner_frame_t frame;
    if (argc < 2 || ea_accounts_init(&book, nodes, 4, NULL) != EA_OK) return 1;
    ea_account_t *net = ea_account_create(&book, ea_accounts_root(&book), &net_options);
    ea_account_t *ui = ea_account_create(&book, ea_accounts_root(&book), &ui_options);
    const ea_allocator_options_t options = {.accounts = &book, .owner = ui, .secret = 0x5EC2E7};
    if (ea_allocator_init(&memory, &options) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, NULL) != EA_OK)
        return 1;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "pools") == 0 && ea_allocator_set_pools(&memory, &set) != EA_OK)
            return 1;
        if (strcmp(argv[i], "trace") != 0) continue;
        trace = ea_trace_open(ring, sizeof ring, NULL);
        if (trace == NULL || ea_trace_attach(trace, &memory) != EA_OK) return 1;
    }

    ea_owner_push(&frame, net);
    char *first = take_frame(100);
    if (ea_malloc(&memory, 2500) != NULL) return 1;
    (void)ea_owner_pop(&frame);
    char *gone = take_image(300), *last = take_image(200);
    if (first == NULL || gone == NULL || last == NULL || ea_free(&memory, gone) != EA_OK) return 1;

    const char *id = NULL;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "leak") == 0) (void)!take_frame(400);
        if (strcmp(argv[i], "pools") == 0) (void)!ea_pool_alloc(&messages);
        if (strcmp(argv[i], "drip") == 0) drip();
        if (strcmp(argv[i], "overflow") == 0) memcpy(first + 100, "!!", 2);
        if (strcmp(argv[i], "header") == 0) memcpy(first + 100, "written far beyond its end", 26);
        if (strcmp(argv[i], "freed") == 0) memset(gone - 16, 0, 300);
        bool is_torn = strcmp(argv[i], "torn") == 0;
        if ((is_torn || strcmp(argv[i], "store") == 0) && !fill_store(is_torn)) return 1;
        if (strcmp(argv[i], "id") == 0) id = (const char *)build_id;
        if (strcmp(argv[i], "ram") == 0) return write_ram(argv[1]);
        if (strcmp(argv[i], "die") == 0) first = *(char *volatile *)NULL;
    }
    FILE *file = fopen(argv[1], "wb");
    if (file == NULL) return 1;
    const ea_dump_range_t extra = {ring, sizeof ring, "trace"};
    const ea_dump_range_t of_store = {store_memory, sizeof store_memory, "letters"};
    const ea_dump_options_t to_file = {.stores = EA_DUMP_STORES(&of_store, letters != NULL),
                                       .extra = &extra,
                                       .n_extra = trace != NULL,
                                       .write = write_file,
                                       .context = file,
                                       .cause = "a test",
                                       .build_id = id,
                                       .build_id_bytes = sizeof build_id};
    ea_status_t status = ea_dump(&dump, &memory, &to_file);
    return fclose(file) == 0 && status == EA_OK ? 0 : 1;
}
