/* SPDX-License-Identifier: MIT
 *
 * The last part of scripts/demo: the control program of a pump station. It leaks a reading now and
 * then, and dies of another bug: a title is copied to where it does not fit, over the tank behind
 * it. The handler of the signal dumps the allocator, with the history of what was allocated.
 *
 *     demo_crash FILE      the dump goes to FILE; exit status 1
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "ealloc/ealloc.h"

typedef struct {
    const char *name;
    int level_mm;
} tank_t;

typedef struct {
    int sensor, value;
} reading_t;

static unsigned char ram[16384];
static ea_allocator_t memory;
static ea_accounts_t book;
static ea_account_t nodes[4];
static _Alignas(8) unsigned char ring[EA_TRACE_BYTES(256)];
static int dump_fd;

/* --- what happens when it dies ---------------------------------------------------------------- */

static bool write_file(void *context, const void *bytes, size_t n_bytes)
{
    return write(*(int *)context, bytes, n_bytes) == (ssize_t)n_bytes;
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    static ea_dump_t dump;
    const ea_dump_range_t history = {ring, sizeof ring, "history"};
    ea_dump_options_t options = {.write = write_file,
                                 .context = &dump_fd,
                                 .cause = signal == SIGSEGV ? "SIGSEGV" : "SIGBUS",
                                 .extra = &history,
                                 .n_extra = 1};
    (void)info, (void)context;
#if defined(__x86_64__)
    options.fault_at = (const void *)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    options.fault_at = (const void *)((ucontext_t *)context)->uc_mcontext.pc;
#endif
    _exit(ea_dump(&dump, &memory, &options) == EA_OK ? 1 : 2);
}

static bool watch_faults(const char *path)
{
    static unsigned char own_stack[65536]; /* the old one may be what ran over */
    const stack_t stack = {.ss_sp = own_stack, .ss_size = sizeof own_stack};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    dump_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return dump_fd >= 0 && sigaltstack(&stack, NULL) == 0 &&
           sigaction(SIGSEGV, &action, NULL) == 0 && sigaction(SIGBUS, &action, NULL) == 0;
}

/* --- the station ------------------------------------------------------------------------------ */

static __attribute__((noinline)) void report(const reading_t *reading)
{
    char *line = ea_malloc(&memory, 48);
    if (line == NULL) return;
    snprintf(line, 48, "sensor %d: %d", reading->sensor, reading->value);
    (void)ea_free(&memory, line);
}

static __attribute__((noinline)) void measure(int sensor)
{
    reading_t *reading = ea_malloc(&memory, sizeof *reading);
    if (reading == NULL) return;
    *reading = (reading_t){sensor, sensor * 7 % 40};
    if (reading->value > 30) return; /* a leak: out of range, so nobody wants it any more */
    report(reading);
    (void)ea_free(&memory, reading);
}

static __attribute__((noinline)) char *copy_title(const char *title)
{
    char *copy = ea_malloc(&memory, 24);
    return copy != NULL ? strcpy(copy, title) : NULL; /* the bug: who says that it fits? */
}

static __attribute__((noinline)) tank_t *add_tank(const char *name)
{
    tank_t *tank = ea_malloc(&memory, sizeof *tank);
    if (tank != NULL) *tank = (tank_t){name, 0};
    return tank;
}

static __attribute__((noinline)) size_t draw(const tank_t *tank)
{
    size_t n = 0;
    while (*(const volatile char *)&tank->name[n] != '\0') n++;
    return n;
}

int main(int argc, char **argv)
{
    static const ea_account_options_t names[] = {{.name = "sensors"}, {.name = "display"}};
    ea_account_t *owners[2] = {NULL, NULL};
    ea_owner_frame_t frame;
    if (argc != 2 || !watch_faults(argv[1]) || ea_accounts_init(&book, nodes, 4, NULL) != EA_OK)
        return 3;
    for (int i = 0; i < 2; i++)
        owners[i] = ea_account_create(&book, ea_accounts_root(&book), &names[i]);
    const ea_allocator_options_t options = {
        .accounts = &book, .owner = owners[0], .secret = 0x5EC2E7};
    ea_trace_t *trace = ea_trace_open(ring, sizeof ring, NULL);
    if (owners[1] == NULL || trace == NULL || ea_allocator_init(&memory, &options) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, NULL) != EA_OK ||
        ea_trace_attach(trace, &memory) != EA_OK)
        return 3;

    for (int sensor = 0; sensor < 100; sensor++) measure(sensor);
    ea_owner_push(&frame, owners[1]);
    char *hole = copy_title("");
    tank_t *tank = add_tank("north");
    (void)ea_free(&memory, hole);
    char *title = copy_title("Pump station 7: the pressure in the north tank is too high");
    (void)ea_owner_pop(&frame);
    return title != NULL && tank != NULL ? (int)draw(tank) : 3;
}
