/* SPDX-License-Identifier: MIT
 *
 * What the profile costs: a malloc and its free on an allocator, without it and with it, rounds
 * interleaved. Sizes and ages of blocks are mixed, from eight sites.
 *
 *     profile_time [--rounds N] [--ops N] [--json FILE] [--check]
 *     profile_time --only plain|profile|sampled [--ops N]     once, for an instruction counter
 *
 * --check: status 1 unless a pair with the profile needs at most twice the time of one without.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "ealloc/allocator.h"
#include "ealloc/profile.h"
#include "rounds.h"

#define N_HELD 256u
#define N_SITES 32u
#define N_BLOCKS 1024u
#define MOST 2.0

typedef enum { PLAIN, PROFILE, SAMPLED, N_SUBJECTS } subject_t;

static const char *const names[N_SUBJECTS] = {"plain", "profile", "sampled"};
static double ns[N_SUBJECTS][MAX_ROUNDS];
static rounds_t bench;
static ea_allocator_t allocators[N_SUBJECTS];
static ea_profile_t profiles[N_SUBJECTS];

static void begin(subject_t s)
{
    const ea_profile_options_t options = {.n_sites = N_SITES,
                                          .n_owners = 8,
                                          .n_blocks = N_BLOCKS,
                                          .sample_one_in = s == SAMPLED ? 16 : 1};
    size_t size_bytes = EA_PROFILE_BYTES(N_SITES, 8, N_BLOCKS);
    void *region = aligned_alloc(16, 1u << 20), *tables = malloc(size_bytes);
    if (!region || !tables) rounds_die(&bench, "memory", "none");
    if (ea_allocator_init(&allocators[s], NULL) != EA_OK ||
        ea_allocator_add_region(&allocators[s], region, 1u << 20, NULL) != EA_OK)
        rounds_die(&bench, "allocator", "refused");
    if (s != PLAIN && (ea_profile_init(&profiles[s], tables, size_bytes, &options) != EA_OK ||
                       ea_profile_attach(&profiles[s], &allocators[s]) != EA_OK))
        rounds_die(&bench, "profile", "refused");
}

/* Nanoseconds of a malloc and its free. */
static double measure(subject_t s)
{
    static const uint16_t sizes[8] = {16, 24, 40, 64, 100, 160, 256, 700};
    void *held[N_HELD] = {NULL};
    ea_allocator_t *a = &allocators[s];
    uint32_t random = 1;
    double begin_ns = rounds_now_ns(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < bench.n_ops; i++) {
        random = random * 1664525u + 1013904223u;
        unsigned site = random >> 29;
        const ea_request_t request = {.caller = (const char *)(uintptr_t)0x1000 + 16 * site};
        void **at = &held[(random >> 16) % N_HELD];
        (void)ea_free(a, *at);
        *at = ea_malloc_ex(a, sizes[site], &request);
    }
    double end_ns = rounds_now_ns(CLOCK_THREAD_CPUTIME_ID);
    for (unsigned i = 0; i < N_HELD; i++) (void)ea_free(a, held[i]);
    return (end_ns - begin_ns) / (double)bench.n_ops;
}

int main(int argc, char **argv)
{
    const char *too_slow = NULL;
    rounds_begin(&bench, "profile_time", 1u << 20, argc, argv);
    for (subject_t s = PLAIN; s < N_SUBJECTS; s++) begin(s);
    for (subject_t s = PLAIN; bench.only != NULL && s < N_SUBJECTS; s++)
        if (strcmp(bench.only, names[s]) == 0) return measure(s) >= 0 ? 0 : 1;
    if (bench.only != NULL) rounds_die(&bench, bench.only, "no such subject");

    for (int round = 0; round < bench.rounds; round++)
        for (subject_t s = PLAIN; s < N_SUBJECTS; s++) ns[s][round] = measure(s);
    for (subject_t s = PLAIN; s < N_SUBJECTS; s++) {
        double time = rounds_median(ns[s], bench.rounds);
        double ratio = rounds_ratio(ns[s], ns[PLAIN], bench.rounds);
        printf("  malloc and free, %-8s %7.2f ns  %.2f\n", names[s], time, ratio);
        rounds_report(&bench, names[s], "one thread", time, names[PLAIN], ratio);
        if (s == PROFILE && ratio > MOST) too_slow = "a pair needs more than twice the time";
    }
    return rounds_end(&bench, too_slow);
}
