/* SPDX-License-Identifier: MIT
 *
 * Time of ea_posix_open() and ea_posix_close(), with and without verifying, in units of open() and
 * close() of the same file in the same run, rounds interleaved; the same for a socket; and of a
 * whole pass of the reconciler over 1000 registered descriptors, in units of fstat() of them all.
 *
 *     posix_time [--rounds N] [--ops N] [--json FILE] [--check]
 *
 * --check: status 1 if a file costs more than 3 units.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ealloc_posix.h"
#include "rounds.h"

#define MOST_FILE 3.0
#define N_HELD 1000
#define N_NUMBERS 2048
#define N_SLOTS 2048

typedef enum {
    FILES,
    OUR_FILES,
    VERIFIED,
    SOCKETS,
    OUR_SOCKETS,
    STATS,
    PASS,
    N_SUBJECTS
} subject_t;

static const char *const names[N_SUBJECTS] = {
    "open and close",   "ea_posix_open and close",   "the same, verifying",
    "socket and close", "ea_posix_socket and close", "fstat of 1000",
    "reconcile 1000"};
static const subject_t units[N_SUBJECTS] = {FILES, FILES, FILES, SOCKETS, SOCKETS, STATS, STATS};

static ea_account_t nodes[2];
static ea_accounts_t book;
static ea_posix_t posix;
static const ea_resource_type_t types[] = {
    EA_POSIX_TYPES(&posix, &book, &book, &book, &book, &book, &book)};
static _Alignas(64) unsigned char memory[EA_MONITOR_BYTES(N_SLOTS, EA_POSIX_N_KINDS, 2, 1, 0, 0)];
static ea_monitor_t monitor;
static ea_posix_number_t numbers[N_NUMBERS];
static ea_posix_entry_t entries[16];
static ea_posix_suspect_t suspects[16];
static ea_account_t *owner;
static int held[N_HELD];
static double ns[N_SUBJECTS][MAX_ROUNDS];
static rounds_t bench;

static void make(bool verifies)
{
    const ea_account_limits_t all = {.max = 1u << 30};
    const ea_monitor_options_t options = {
        .types = types, .n_types = EA_POSIX_N_KINDS, .n_slots = N_SLOTS};
    const ea_posix_options_t how = {.monitor = &monitor,
                                    .numbers = numbers,
                                    .n_numbers = N_NUMBERS,
                                    .entries = entries,
                                    .n_entries = 16,
                                    .suspects = suspects,
                                    .n_suspects = 16,
                                    .verifies_close = verifies};
    if (ea_accounts_init(&book, nodes, 2, &all) != EA_OK ||
        (owner = ea_account_create(&book, nodes, NULL)) == NULL ||
        ea_monitor_init(&monitor, memory, sizeof memory, &options) != EA_OK ||
        ea_posix_init(&posix, &how) != EA_OK) {
        rounds_die(&bench, "init", "refused");
    }
}

static void run_pair(subject_t subject)
{
    int fd = -1, closed = -1;
    switch (subject) {
    case FILES: fd = open("/dev/null", O_RDONLY | O_CLOEXEC); break;
    case SOCKETS: fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); break;
    case OUR_SOCKETS:
        fd = ea_posix_socket(&posix, owner, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        break;
    default: fd = ea_posix_open(&posix, owner, "/dev/null", O_RDONLY | O_CLOEXEC, 0); break;
    }
    closed = subject == FILES || subject == SOCKETS ? close(fd) : ea_posix_close(&posix, fd);
    if (fd < 0 || closed != 0) rounds_die(&bench, names[subject], "refused");
}

static double measure_pairs(subject_t subject)
{
    double begin = rounds_now_ns(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < bench.n_ops; i++) run_pair(subject);
    return (rounds_now_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)bench.n_ops;
}

static void look_at_all(void)
{
    struct stat found;
    for (int i = 0; i < N_HELD; i++) {
        if (fstat(held[i], &found) != 0) rounds_die(&bench, "fstat", "refused");
    }
}

static void run_pass(void)
{
    if (ea_posix_reconcile(&posix, 0, SIZE_MAX, NULL, NULL) != EA_OK) {
        rounds_die(&bench, "reconcile", "refused");
    }
}

/* Of all 1000 together. */
static double measure_looks(subject_t subject)
{
    const int n = bench.n_ops < 1000 ? 1 : 10;
    for (int i = 0; i < N_HELD; i++) {
        held[i] = ea_posix_open(&posix, owner, "/dev/null", O_RDONLY | O_CLOEXEC, 0);
        if (held[i] < 0) rounds_die(&bench, "open", "refused");
    }
    double begin = rounds_now_ns(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < n; i++) {
        if (subject == STATS) {
            look_at_all();
        } else {
            run_pass();
        }
    }
    double time = (rounds_now_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / n;
    for (int i = 0; i < N_HELD; i++) (void)ea_posix_close(&posix, held[i]);
    return time;
}

int main(int argc, char **argv)
{
    const char *missed = NULL;
    struct rlimit limit;
    rounds_begin(&bench, "posix_time", 20000, argc, argv);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) rounds_die(&bench, "limit", "unknown");
    if (limit.rlim_cur < N_NUMBERS) limit.rlim_cur = N_NUMBERS;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) rounds_die(&bench, "limit", "too low");
    for (int round = 0; round < bench.rounds; round++) {
        for (subject_t s = FILES; s < N_SUBJECTS; s++) {
            make(s == VERIFIED);
            ns[s][round] = s < STATS ? measure_pairs(s) : measure_looks(s);
            ea_posix_deinit(&posix);
        }
    }
    for (subject_t s = FILES; s < N_SUBJECTS; s++) {
        double time = rounds_median(ns[s], bench.rounds);
        double ratio = rounds_ratio(ns[s], ns[units[s]], bench.rounds);
        printf("  %-28s %9.0f ns  %.2f units\n", names[s], time, ratio);
        rounds_report(&bench, names[s], "one thread", time, names[units[s]], ratio);
        if ((s == OUR_FILES || s == VERIFIED) && ratio > MOST_FILE) missed = "a file above 3 units";
    }
    return rounds_end(&bench, missed);
}
