/* SPDX-License-Identifier: MIT
 *
 * libFuzzer target: the readers of cores and of RAM. The input begins with a number: 0 takes what
 * follows as an ELF core that this program died with, 1 as what follows a core's head. Else it is a
 * list of changes to the memory of an allocator of this program's own, as three bytes of place and
 * one of value, and what is left of it is surveyed and judged.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/ealloc.h"
#include "firmware.h"
#include "judge.h"
#include "survey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All that is read, in one piece. */
static struct {
    ea_allocator_t memory;
    ea_accounts_t book;
    ea_account_t nodes[4];
    ea_poolset_t set;
    _Alignas(16) unsigned char pools[2048], ring[EA_TRACE_BYTES(32)], ram[4096], movable[2048];
} life;
static ea_movable_t *letters;
static ea_allocator_t *const fuzzed = &life.memory; /* its debug information names the type */

static firmware_t *self;
static layout_t *layout;
static uint64_t loaded; /* where its address 0 is */

static void live(void)
{
    static const ea_poolset_class_t classes[] = {{32, 8}, {64, 4}};
    static const ea_account_options_t named = {.name = "fuzz", .limits = {.max = 3000}};
    if (ea_accounts_init(&life.book, life.nodes, 4, NULL) != EA_OK) abort();
    ea_account_t *owner = ea_account_create(&life.book, ea_accounts_root(&life.book), &named);
    const ea_allocator_options_t options = {.accounts = &life.book, .owner = owner, .secret = 7};
    ea_trace_t *trace = ea_trace_open(life.ring, sizeof life.ring, NULL);
    if (ea_poolset_init(&life.set, life.pools, sizeof life.pools, classes, 2, NULL) != EA_OK ||
        trace == NULL || ea_allocator_init(fuzzed, &options) != EA_OK ||
        ea_allocator_add_region(fuzzed, life.ram, sizeof life.ram, NULL) != EA_OK ||
        ea_allocator_set_pools(fuzzed, &life.set) != EA_OK ||
        ea_trace_attach(trace, fuzzed) != EA_OK)
        abort();
    ea_movable_handle_t gone = {0};
    letters = ea_movable_init(life.movable, sizeof life.movable, NULL);
    for (size_t i = 0; i < 8; i++) {
        ea_movable_handle_t handle = ea_movable_alloc(letters, 40 + 20 * i, 0);
        if (i == 1) gone = handle;
        if (i == 6 && ea_movable_lock(letters, handle) == NULL) abort();
    }
    if (ea_movable_free(letters, gone) != EA_OK ||
        ea_movable_alloc_fixed(letters, 64, 8, 0) == NULL ||
        ea_movable_step(letters, 40) != EA_ERR_AGAIN)
        abort();
    for (size_t i = 0; i < 60; i++) {
        void *block = ea_malloc(fuzzed, 8 + i * 37 % 150);
        if (i % 3 == 0) (void)ea_free(fuzzed, block);
    }
}

static void read_core(const uint8_t *data, size_t size, bool has_head)
{
    static const Elf64_Ehdr head = {
        .e_ident = {0x7F, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_CORE,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_phoff = sizeof head,
        .e_ehsize = sizeof head,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 3};
    char error[200] = "";
    size_t before = has_head ? 0 : sizeof head;
    uint8_t *copy = malloc(before + size + 1);
    if (copy == NULL) return;
    memcpy(copy, &head, before);
    if (size != 0) memcpy(copy + before, data, size);
    size += before;
    image_t *m = image_new();
    if (!image_use_core(m, copy, size, error, sizeof error)) {
        if (error[0] == '\0' || strchr(error, '\n') != NULL) abort();
    } else {
        (void)firmware_place_in(self, m);
    }
    image_free(m);
    free(copy);
}

static void read_memory(const uint8_t *data, size_t size)
{
    char error[200] = "", which[32];
    uint8_t *copy = malloc(sizeof life);
    if (copy == NULL) return;
    memcpy(copy, &life, sizeof life);
    for (; size >= 4; data += 4, size -= 4)
        copy[(data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16) % sizeof life] = data[3];
    image_t *m = image_new();
    image_add_constant(m, (uintptr_t)&life, copy, sizeof life);
    image_add_constant(m, (uintptr_t)&letters, (const uint8_t *)&letters, sizeof letters);
    snprintf(which, sizeof which, "0x%llx", (unsigned long long)(uintptr_t)fuzzed);
    const survey_options_t how = {m, layout, loaded, which};
    snapshot_t *s = survey(&how, error, sizeof error);
    if (s == NULL && (error[0] == '\0' || strchr(error, '\n') != NULL)) abort();
    if (s != NULL) {
        judgement_t j;
        judge(&j, s);
        if (j.totals.n_used + j.totals.n_free > s->n_blocks) abort();
        for (size_t i = 0; i < j.n_wounds; i++) (void)find_raw(s, j.wounds[i].where);
        for (size_t i = 0; i < s->n_events; i++) (void)is_about(&s->events[i], s->head.allocator);
        judgement_release(&j);
    }
    snapshot_free(s);
    image_free(m);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[200];
    if (self == NULL) {
        live();
        self = firmware_open("/proc/self/exe", error, sizeof error);
        layout = self != NULL ? firmware_layout(self) : NULL;
        if (layout == NULL) abort();
        const snapshot_t here = {.head = {.anchor = (uintptr_t)ea_dump}};
        firmware_place(self, &here);
        loaded = firmware_loaded(self);
    }
    if (size == 0 || size > 1 << 16) return 0;
    if (data[0] <= 1)
        read_core(data + 1, size - 1, data[0] == 0);
    else
        read_memory(data + 1, size - 1);
    return 0;
}
