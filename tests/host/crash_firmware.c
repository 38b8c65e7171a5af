/* SPDX-License-Identifier: MIT
 *
 * Firmware for Cortex-M3 that dies of a bug as they happen: a radio driver copies a packet that is
 * longer than its buffer over what the display has put next to it, a pointer; the display follows
 * it. Beside it are movable blocks. The fault handler dumps the allocator to the console, or with
 * CRASH_STAYS does nothing, for a debugger to save the RAM. crash_test.py builds it, runs it in
 * QEMU and asks ealloc inspect who did it.
 */
#include <string.h>

#include "board.h"
#include "ealloc/ealloc.h"

typedef struct {
    const char *title;
    unsigned n_drawn;
} window_t;

static unsigned char ram[8192];
static ea_allocator_t memory;
static ea_accounts_t book;
static ea_account_t nodes[4];
static ea_dump_t dump;
static _Alignas(4) unsigned char store_memory[1024];
static ea_movable_t *letters;
static ea_trace_t *trace;
static _Alignas(8) unsigned char ring[EA_TRACE_BYTES(32)];
#ifndef CRASH_STAYS
#define CRASH_STAYS 0
#endif
static volatile uint32_t stays;

extern const char board_build_id[]; /* the ELF note: 16 bytes of head, then the id */
extern char board_data_begin[], board_bss_end[];
extern const uint32_t board_vectors[16];
static uint32_t vectors[16] __attribute__((aligned(256)));
#define SCB_VTOR (*(volatile uint32_t *)0xE000ED08u)

static bool write_console(void *context, const void *bytes, size_t n_bytes)
{
    (void)context;
    board_write(bytes, n_bytes);
    return true;
}

/* The promise: less than 512 bytes of stack. What lies below is painted before and looked at after.
 */
#define PROMISED_BYTES 512u
#define PAINT 0xC5C5C5C5u

static __attribute__((noinline)) ea_status_t dump_on_paint(const ea_dump_options_t *options)
{
    volatile uint32_t *here = __builtin_frame_address(0);
    for (unsigned i = 32; i < 512; i++) here[-(int)i] = PAINT;
    ea_status_t status = ea_dump(&dump, &memory, options);
    unsigned deepest = 511;
    while (deepest > 32 && here[-(int)deepest] == PAINT) deepest--;
    return status == EA_OK && deepest * sizeof *here >= PROMISED_BYTES ? EA_ERR_RANGE : status;
}

/* frame: what the core pushed: r0 to r3, r12, lr, pc, psr. */
static __attribute__((used)) void dump_after_fault(const uint32_t *frame)
{
    static ea_dump_range_t readable[2];
    static const ea_dump_range_t store = {store_memory, sizeof store_memory, "letters"};
    static const ea_dump_range_t history = {ring, sizeof ring, "trace"};
    static ea_dump_options_t options = {.write = write_console, .cause = "HardFault"};
    readable[0] = (ea_dump_range_t){(const void *)4, 0x400000u - 4u, "flash"};
    readable[1] = (ea_dump_range_t){(const void *)0x20000000u, 0x400000u, "ram"};
    options.readable = readable;
    options.n_readable = 2;
    options.build_id = board_build_id + 16;
    options.build_id_bytes = 20;
    options.fault_at = (const void *)(uintptr_t)frame[6];
    options.extra = &history;
    options.n_extra = 1;
    options.stores = (ea_dump_stores_t)EA_DUMP_STORES(&store, 1);
    for (stays = CRASH_STAYS; stays;) continue;
    ea_status_t status = dump_on_paint(&options);
    board_exit(status == EA_OK ? 42 : status == EA_ERR_RANGE ? 43 : 1);
}

static __attribute__((naked)) void hard_fault(void)
{
    __asm volatile("mrs r0, msp\n"
                   "b dump_after_fault\n");
}

static __attribute__((noinline)) char *receive(const char *packet, size_t size_bytes)
{
    char *buffer = ea_malloc(&memory, 24); /* the culprit: no packet was ever longer, until now */
    return buffer != NULL ? memcpy(buffer, packet, size_bytes) : NULL;
}

static __attribute__((noinline)) window_t *open_window(const char *title)
{
    window_t *window = ea_malloc(&memory, sizeof *window);
    if (window != NULL) *window = (window_t){title, 0};
    return window;
}

static __attribute__((noinline)) char draw(window_t *window)
{
    window->n_drawn++;
    return *(volatile const char *)window->title; /* here it dies */
}

/* Movable blocks: the first one is free, the next one is locked, the third one in flight. */
static bool fill_letters(void)
{
    ea_movable_handle_t handles[5];
    letters = ea_movable_init(store_memory, sizeof store_memory, NULL);
    if (letters == NULL) return false;
    for (unsigned i = 0; i < 5; i++) handles[i] = ea_movable_alloc(letters, 80, 0);
    if (ea_movable_is_none(handles[4]) || ea_movable_free(letters, handles[0]) != EA_OK ||
        ea_movable_free(letters, handles[2]) != EA_OK ||
        ea_movable_lock(letters, handles[1]) == NULL ||
        ea_movable_alloc_fixed(letters, 20, 0, 0) == NULL)
        return false;
    return ea_movable_step(letters, 48) == EA_ERR_AGAIN;
}

int main(void)
{
    static const ea_account_options_t radio_options = {.name = "radio"};
    static const ea_account_options_t display_options = {.name = "display"};
    static const char packet[] =
        "a packet of \xFF\xFF\xFF\xFF bytes\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
        "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF";
    ea_owner_frame_t owner;
    memcpy(vectors, board_vectors, sizeof vectors);
    vectors[3] = (uint32_t)(uintptr_t)hard_fault;
    SCB_VTOR = (uint32_t)(uintptr_t)vectors;

    if (ea_accounts_init(&book, nodes, 4, NULL) != EA_OK) return 1;
    ea_account_t *radio = ea_account_create(&book, ea_accounts_root(&book), &radio_options);
    ea_account_t *display = ea_account_create(&book, ea_accounts_root(&book), &display_options);
    const ea_allocator_options_t options = {.accounts = &book, .owner = display, .secret = 1};
    if (ea_allocator_init(&memory, &options) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, NULL) != EA_OK)
        return 1;
    trace = ea_trace_open(ring, sizeof ring, NULL);
    if (!fill_letters()) return 1;
    if (trace == NULL || ea_trace_attach(trace, &memory) != EA_OK) return 1;

    char *first = NULL;
    ea_owner_push(&owner, radio);
    first = receive("short", 5);
    (void)ea_owner_pop(&owner);
    (void)ea_free(&memory, first);
    window_t *hole = open_window("hole");
    ea_owner_push(&owner, radio);
    char *buffer = receive("a", 1);
    (void)ea_owner_pop(&owner);
    window_t *window = open_window("pump station 7");
    (void)ea_free(&memory, buffer);
    ea_owner_push(&owner, radio);
    buffer = receive(packet, sizeof packet - 1);
    (void)ea_owner_pop(&owner);
    return hole != NULL && window != NULL ? draw(window) : 1;
}
