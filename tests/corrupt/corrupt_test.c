/* SPDX-License-Identifier: MIT
 *
 * Damaged metadata. A small heap with used, free and (where there are any) quick-listed blocks;
 * then
 *
 *   - every bit of every metadata word is flipped, one at a time: ea_heap_check() must notice,
 *     except for the words that no invariant binds (counters and the walk's state);
 *   - on the configurations with checks the same flips are met by operations alone, each in a
 *     process of its own: refused, harmless, unnoticed, or crashed; the share of each is a figure;
 *   - the whole heap, or all but its control structure, is overwritten with random bytes: the check
 *     must survive and say so.
 *
 * Heaps lie in memory of exactly their size, so that an address sanitizer sees the check read
 * beyond.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "instances.h"

#define HEAP_BYTES 2048u
#define N_BLOCKS 14u

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FORKS 0 /* a process a flip takes too long there, and crashes are expected of it */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FORKS 0
#endif
#endif
#ifndef FORKS
#define FORKS 1
#endif

typedef struct {
    const eai_heap_ops_t *ops;
    unsigned char *mem;
    ea_heap_t *heap;
    unsigned char *block[N_BLOCKS];
    size_t size[N_BLOCKS];
    unsigned char is_payload[HEAP_BYTES]; /* bytes that belong to a user */
    unsigned char saved[HEAP_BYTES];
} scene_t;

static uint32_t rnd = 2463534242u;

static uint32_t next_random(void)
{
    rnd ^= rnd << 13;
    rnd ^= rnd >> 17;
    rnd ^= rnd << 5;
    return rnd;
}

static void make_scene(scene_t *s, const eai_heap_ops_t *ops)
{
    static const size_t sizes[N_BLOCKS] = {20,  40, 12, 100, 30, 60,  8,
                                           200, 44, 24, 70,  16, 130, 28};
    memset(s, 0, sizeof *s);
    s->ops = ops;
    s->mem = malloc(HEAP_BYTES);
    if (s->mem == NULL) exit(1);
    memset(s->mem, 0, HEAP_BYTES);
    s->heap = ops->init(s->mem, HEAP_BYTES, NULL);
    for (size_t i = 0; i < N_BLOCKS; i++) s->block[i] = ops->alloc(s->heap, sizes[i]);
    for (size_t i = 0; i < N_BLOCKS; i++) {
        if (s->block[i] == NULL) exit(1);
        s->size[i] = ops->usable_size_bytes(s->heap, s->block[i]);
        if (i % 3 != 1) {
            memset(s->block[i], (int)i + 1, s->size[i]);
            continue;
        }
        if (ops->free(s->heap, s->block[i]) != EA_OK) exit(1);
        s->block[i] = NULL;
    }
    memcpy(s->saved, s->mem, HEAP_BYTES);
}

/* Marks what is no metadata: used payloads, and the inside of free blocks beyond links and tail. */
static void mark_payload(void *context, const ea_heap_block_t *block)
{
    scene_t *s = context;
    size_t from = (size_t)((unsigned char *)block->payload - s->mem), n = block->payload_bytes;
    /* A free block has two links and its size at the end; one in a quick list has one link. */
    bool quick = s->ops->profile == 2 && n < 512;
    size_t links = s->ops->link_bits / (quick ? 8 : 4), tail = quick ? 0 : 4;
    if (block->used) {
        memset(s->is_payload + from, 1, n);
    } else if (n > links + tail) {
        memset(s->is_payload + from + links, 1, n - links - tail);
    }
}

static bool blocks_are_intact(const scene_t *s)
{
    for (size_t i = 0; i < N_BLOCKS; i++) {
        for (size_t k = 0; s->block[i] != NULL && k < s->size[i]; k++) {
            if (s->block[i][k] != (unsigned char)(i + 1)) return false;
        }
    }
    return true;
}

/* --- the check -------------------------------------------------------------------------------- */

/* Bytes from the heap's start to its first header. */
static size_t control_bytes(const scene_t *s)
{
    ea_heap_stats_t stats;
    s->ops->stats(s->heap, &stats);
    return (size_t)((unsigned char *)s->heap - s->mem) + stats.control_bytes;
}

static bool check_sees_every_flip(scene_t *s, size_t control)
{
    size_t n_flips = 0, n_blind_blocks = 0, n_blind_control = 0, n_blind_bytes = 0;
    size_t n_blind_slots = 0, last_blind = SIZE_MAX;
    /* The last two list heads, the slot of zeros and the guard, and what aligns the first
     * header. */
    size_t link_bytes = s->ops->link_bits / 8, gap = s->ops->align_bytes - EA_HEAP_OVERHEAD_BYTES;
    size_t slots = control - gap - 4 * link_bytes;
    /* Without checks nothing seals the control structure: it is taken for granted. */
    for (size_t at = s->ops->check_level == 0 ? control : 0; at < HEAP_BYTES; at++) {
        if (s->is_payload[at]) continue;
        for (int bit = 0; bit < 8; bit++) {
            ea_heap_fault_t fault = {NULL, NULL};
            s->mem[at] ^= (unsigned char)(1 << bit);
            bool seen = s->ops->check(s->heap, &fault) != EA_OK;
            s->mem[at] ^= (unsigned char)(1 << bit);
            n_flips++;
            if (seen && fault.invariant == NULL) return false;
            if (seen) continue;
            if (at >= control) n_blind_blocks++;
            if (at < control) {
                n_blind_control++;
                if (at != last_blind) (at < slots ? n_blind_bytes++ : n_blind_slots++);
                last_blind = at;
            }
        }
    }
    bool unchanged = memcmp(s->mem, s->saved, HEAP_BYTES) == 0;
    printf(
        "# %s check: %.2f %% of %zu flips detected; unbound: %zu bytes of the control structure\n",
        s->ops->name,
        100.0 * (double)(n_flips - n_blind_blocks - n_blind_control) / (double)n_flips, n_flips,
        n_blind_bytes + n_blind_slots);
    /* Unbound in the control structure: the watermark, failures and corruptions, the walk's serial;
     * what aligns the list heads behind quick lists, and the allocations these served; tiny's walk,
     * which sets no mark, moved to another used block; the part of the slot of zeros that is no
     * header. In blocks: without counters what turns used blocks into other used blocks. */
    size_t most_bytes = sizeof(size_t) + 4 + 4 + 2;
    if (s->ops->profile == 2) most_bytes += 7 + sizeof(size_t);
    /* Padding before list heads of two pointers. */
    if (s->ops->profile < 2 && sizeof(size_t) == 4 && link_bytes == 4) most_bytes += 4;
    if (s->ops->profile == 3) most_bytes += 1;
    size_t most_slots = gap + (link_bytes - 2) * 2, most_blocks = s->ops->has_stats ? 0 : 16;
    if (n_blind_blocks != 0) printf("# %zu flips in blocks unseen\n", n_blind_blocks);
    return unchanged && n_blind_blocks <= most_blocks && n_blind_bytes <= most_bytes &&
           n_blind_slots <= most_slots;
}

static bool check_survives_garbage(scene_t *s, size_t control)
{
    size_t n_unseen = 0;
    for (int round = 0; round < 3000; round++) {
        memcpy(s->mem, s->saved, HEAP_BYTES);
        size_t first = s->ops->check_level == 0 ? control : 0;
        size_t from = round % 3 == 0 ? first : control, to = HEAP_BYTES;
        if (round % 3 == 2) {
            from = first + next_random() % (HEAP_BYTES - 64 - first);
            to = from + 1 + next_random() % 64;
        }
        bool hits = false;
        for (size_t at = from; at < to; at++) {
            unsigned char value = (unsigned char)(next_random() >> 8);
            if (round % 4 == 1)
                value = (unsigned char)(value & 0x18); /* likely sizes and offsets */
            hits |=
                !s->is_payload[at] && s->mem[at] != value && at >= control && at + 16 < HEAP_BYTES;
            s->mem[at] = value;
        }
        ea_heap_fault_t fault = {NULL, NULL};
        bool seen = s->ops->check(s->heap, &fault) != EA_OK;
        if (seen != (fault.invariant != NULL)) return false;
        if (hits && !seen) n_unseen++;
    }
    memcpy(s->mem, s->saved, HEAP_BYTES);
    if (n_unseen != 0) printf("# %zu damages unseen\n", n_unseen);
    return n_unseen <=
           (s->ops->has_stats ? 0 : 8); /* used blocks may turn into other used blocks */
}

/* --- operations alone ------------------------------------------------------------------------- */

enum { HARMLESS = 0, REFUSED = 1, UNNOTICED = 2, CRASHED = 3 };

/* Frees and allocates around the damage, in a process that may die of it. */
static int use_damaged_heap(scene_t *s)
{
    ea_heap_stats_t before, after;
    bool refused = false;
    s->ops->stats(s->heap, &before);
    for (size_t i = 0; i < N_BLOCKS; i++) {
        if (s->block[i] == NULL || i % 2 != 0) continue;
        refused |= s->ops->free(s->heap, s->block[i]) != EA_OK;
        s->block[i] = NULL;
    }
    for (size_t i = 0; i < 6; i++) {
        unsigned char *p = s->ops->alloc(s->heap, 10 + i * 37);
        if (p == NULL) continue;
        if (p < s->mem || p + 10 + i * 37 > s->mem + HEAP_BYTES) return UNNOTICED;
        memset(p, 0xEE, 10 + i * 37);
    }
    for (size_t i = 0; i < N_BLOCKS; i++) {
        if (s->block[i] == NULL || i % 4 != 3) continue;
        refused |= s->ops->free(s->heap, s->block[i]) != EA_OK;
        s->block[i] = NULL;
    }
    s->ops->stats(s->heap, &after);
    refused |= after.n_corruptions != before.n_corruptions;
    if (!blocks_are_intact(s)) return UNNOTICED;
    if (refused) return REFUSED;
    return s->ops->check(s->heap, NULL) == EA_OK ? HARMLESS : UNNOTICED;
}

static void measure_operations(scene_t *s)
{
    size_t n[4] = {0}, n_flips = 0;
    fflush(stdout);
    for (size_t at = 0; at < HEAP_BYTES; at++) {
        if (s->is_payload[at]) continue;
        int bit = (int)(at * 5 % 8); /* one bit of each byte: a process each */
        n_flips++;
        pid_t pid = fork();
        if (pid == 0) {
            alarm(2);
            s->mem[at] ^= (unsigned char)(1 << bit);
            _exit(use_damaged_heap(s));
        }
        int status = 0;
        if (pid < 0 || waitpid(pid, &status, 0) < 0) exit(1);
        n[WIFEXITED(status) && WEXITSTATUS(status) < 3 ? WEXITSTATUS(status) : CRASHED]++;
    }
    printf("# %s level %u, %zu flips met by operations: %.1f %% refused, %.1f %% harmless, "
           "%.1f %% unnoticed, %.1f %% crashed\n",
           s->ops->name, s->ops->check_level, n_flips, 100.0 * (double)n[REFUSED] / (double)n_flips,
           100.0 * (double)n[HARMLESS] / (double)n_flips,
           100.0 * (double)n[UNNOTICED] / (double)n_flips,
           100.0 * (double)n[CRASHED] / (double)n_flips);
}

/* Level 2 reads nothing outside the heap: the address before it need not even exist. */
static bool refuses_what_is_outside(scene_t *s)
{
    if (s->ops->check_level < 2) return true;
    char *outside[] = {(char *)(uintptr_t)16, (char *)(uintptr_t)(UINTPTR_MAX & ~(uintptr_t)15),
                       (char *)s->mem - 64};
    bool ok = true;
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++)
        ok = s->ops->free(s->heap, outside[i]) == EA_ERR_FOREIGN && ok;
    return ok;
}

int main(void)
{
    unsigned n_passed = 0, n_failed = 0;
    for (size_t i = 0; i < N_INSTANCES; i++) {
        scene_t *s = malloc(sizeof *s);
        if (s == NULL) return 1;
        make_scene(s, instances[i]);
        size_t control = control_bytes(s);
        ea_heap_cursor_t cursor = {0};
        bool ok = s->ops->walk(s->heap, &cursor, HEAP_BYTES, mark_payload, s) == EA_OK;
        memcpy(s->saved, s->mem, HEAP_BYTES);
        ok = ok && refuses_what_is_outside(s);
        memcpy(s->saved, s->mem, HEAP_BYTES);
        ok = ok && check_sees_every_flip(s, control);
        ok = check_survives_garbage(s, control) && ok;
        if (FORKS && (i % 5 == 0 || s->ops->check_level == 2)) measure_operations(s);
        printf("%s %u - heap_damage_is_seen_%s\n", ok ? "ok" : "not ok", n_passed + n_failed + 1,
               instances[i]->name);
        n_passed += ok;
        n_failed += !ok;
        free(s->mem);
        free(s);
    }
    printf("1..%u\n%u passed, %u failed, 0 skipped\n", n_passed + n_failed, n_passed, n_failed);
    return n_failed != 0;
}
