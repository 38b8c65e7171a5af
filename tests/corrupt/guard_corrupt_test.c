/* SPDX-License-Identifier: MIT
 *
 * Damaged blocks of a heap, dressed in guards of one level:  guard_corrupt_test [TRIALS [SEED]]
 *
 * A trial writes 1 to 16 random bytes behind, before or near a random live block, or into one that
 * was freed, or flips a bit of what stands around a block; at least one byte changes. Then the
 * block is checked as when it is freed, and if that finds nothing everything is swept: every live
 * block, what waits in quarantine, and the heap. Prints what was found of each kind of damage and
 * fails where it is less than docs/guards.md promises.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/heap.h"
#include "memory/quarantine.h"

#define HEAP_BYTES 32768u
#define MOST_BLOCKS 64u
#define MOST_DEAD 32u

typedef struct {
    unsigned char *payload;
    size_t request, usable;
} block_t;

static _Alignas(16) unsigned char memory[HEAP_BYTES];
static ea_heap_t *heap;
static eai_guard_t guard;
static eai_quarantine_t quarantine;
static block_t live[MOST_BLOCKS], dead[MOST_DEAD];
static unsigned n_live, n_dead;
static uint32_t random_state;

static uint32_t draw(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return (uint32_t)((uint64_t)random_state * limit >> 32);
}

/* --- a heap as an allocator makes it ---------------------------------------------------------- */

static bool make_block(block_t *block)
{
    block->request = 1u + draw(draw(4) == 0 ? 300 : 60);
    unsigned char *raw = ea_heap_alloc(heap, block->request + eai_guard_extra_bytes(true));
    if (raw == NULL) return false;
    block->payload = raw + EAI_FRONT_BYTES;
    block->usable = ea_heap_usable_size_bytes(heap, raw) - EAI_FRONT_BYTES;
    eai_label_t label = {.owner = (uint16_t)draw(1000),
                         .birth = draw(100000),
                         .site = (const void *)(uintptr_t)draw(0x100000),
                         .flags = EAI_LABEL_GUARDED};
    eai_guard_dress(&guard, eai_guard_front_tag(block->payload), block->payload, block->request,
                    block->usable, &label);
    for (size_t i = 0; i < block->request; i++) block->payload[i] = (unsigned char)draw(256);
    return true;
}

/* Live blocks, the half of them freed again, or in quarantine where there is one. */
static bool make_heap(void)
{
    n_live = n_dead = 0;
    heap = ea_heap_init(memory, sizeof memory, NULL);
    eai_guard_init(&guard, draw(UINT32_MAX), draw(100));
    eai_quarantine_init(&quarantine, HEAP_BYTES);
    if (heap == NULL) return false;
    while (n_live < MOST_BLOCKS) {
        if (!make_block(&live[n_live++])) return false;
    }
    for (unsigned i = 0; i < MOST_DEAD; i++) {
        block_t *block = &live[draw(n_live)];
        eai_tag_t *tag = eai_guard_front_tag(block->payload);
        bool is_poisoned = eai_guard_undress(&guard, tag, block->payload, block->usable);
        if (is_poisoned && eai_quarantine_push(&quarantine, &guard, block->payload, block->usable))
            dead[n_dead++] = *block;
        else if (ea_heap_free(heap, tag) != EA_OK)
            return false;
        *block = live[--n_live];
    }
    return true;
}

/* --- damage ----------------------------------------------------------------------------------- */

typedef enum { BEHIND, BEFORE, NEAR, FREED, TAG_BIT, GUARD_BIT, N_DAMAGES } damage_t;
static const char *const names[N_DAMAGES] = {"write behind a block",     "write before a block",
                                             "write up to 16 bytes off", "write to a freed one",
                                             "flipped bit of a tag",     "flipped bit of a guard"};

static unsigned char saved[16];

/* Random bytes, of which one at least is another than before. Returns false out of the heap. */
static bool scribble(unsigned char *where, size_t n)
{
    if (where < memory || where + n > memory + sizeof memory) return false;
    memcpy(saved, where, n);
    while (memcmp(saved, where, n) == 0) {
        for (size_t i = 0; i < n; i++) where[i] = (unsigned char)draw(256);
    }
    return true;
}

static unsigned char *flip_bit(unsigned char *from, size_t n_bytes)
{
    uint32_t bit = draw((uint32_t)n_bytes * 8u);
    saved[0] = from[bit / 8u];
    from[bit / 8u] ^= (unsigned char)(1u << bit % 8u);
    return from + bit / 8u;
}

/* Damage block or something near it. Returns where, *n bytes; NULL: not possible here. */
static unsigned char *damage(damage_t what, const block_t *block, size_t *n)
{
    unsigned char *where = NULL;
    *n = 1u + draw(16);
    switch (what) {
    case BEHIND: where = block->payload + block->request; break;
    case BEFORE: where = block->payload - *n; break;
    case NEAR:
        where =
            draw(2) ? block->payload + block->request + draw(17) : block->payload - *n - draw(17);
        break;
    case FREED:
        if (*n > block->usable) *n = block->usable;
        where = block->payload + draw((uint32_t)(block->usable - *n) + 1u);
        break;
    case TAG_BIT: *n = 1; return flip_bit(block->payload - EAI_FRONT_BYTES, sizeof(eai_tag_t));
    case GUARD_BIT:
        *n = 1;
        if (EAI_CANARY_BYTES > 0 && draw(2))
            return flip_bit(block->payload - EAI_CANARY_BYTES, EAI_CANARY_BYTES);
        return flip_bit(block->payload + block->request, block->usable - block->request);
    case N_DAMAGES: break;
    }
    return scribble(where, *n) ? where : NULL;
}

/* --- what finds it ---------------------------------------------------------------------------- */

static ea_guard_kind_t check(const block_t *block, eai_finding_t *finding)
{
    return eai_guard_check(&guard, eai_guard_front_tag(block->payload), block->payload,
                           block->usable, finding);
}

static bool sweep(void)
{
    eai_finding_t finding;
    for (unsigned i = 0; i < n_live; i++) {
        if (check(&live[i], &finding) != EA_GUARD_NONE) return true;
    }
    eai_quarantine_t copy = quarantine; /* a damaged link makes the original forget its blocks */
    void *payload;
    ea_status_t status;
    do status = eai_quarantine_sweep(&copy, &guard, 64, &payload, &finding);
    while (status == EA_ERR_AGAIN);
    return status == EA_ERR_CORRUPT || ea_heap_check(heap, NULL) != EA_OK;
}

static unsigned long n_trials[N_DAMAGES], n_at_free[N_DAMAGES], n_by_sweep[N_DAMAGES];
static unsigned long n_named[N_DAMAGES]; /* the first changed byte of those at free */

static void try_one(damage_t what)
{
    eai_finding_t finding;
    size_t n;
    if (what == FREED && n_dead == 0) return;
    const block_t *block = what == FREED ? &dead[draw(n_dead)] : &live[draw(n_live)];
    unsigned char *where = damage(what, block, &n);
    if (where == NULL) return;
    n_trials[what]++;
    if (what != FREED && check(block, &finding) != EA_GUARD_NONE) {
        unsigned char *first = where;
        while (*first == saved[first - where]) first++;
        n_at_free[what]++;
        n_named[what] += finding.first_bad == first;
    } else {
        n_by_sweep[what] += sweep();
    }
    memcpy(where, saved, n);
}

/* --- the campaign ----------------------------------------------------------------------------- */

/* What is promised, in 1/10000; NEAR may hit what belongs to nobody. */
static const unsigned promised[N_DAMAGES] = {[BEHIND] = 9990,
                                             [BEFORE] = 9990,
                                             [FREED] = EA_CFG_GUARD >= 3 ? 9990 : 0,
                                             [TAG_BIT] = 10000,
                                             [GUARD_BIT] = 10000};

int main(int argc, char **argv)
{
    unsigned long trials = argc > 1 ? strtoul(argv[1], NULL, 10) : 6000;
    unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    unsigned n_passed = 0, n_failed = 0;
    random_state = (uint32_t)seed * 2654435761u | 1u;
    printf("# level %d, %lu trials of each damage, seed %lu\n", EA_CFG_GUARD, trials, seed);
    for (unsigned long i = 0; i < trials; i++) {
        if (i % 500 == 0 && (!make_heap() || sweep())) {
            printf("# a sound heap is found damaged, trial %lu\n", i);
            n_failed++;
            break;
        }
        for (unsigned what = 0; what < N_DAMAGES; what++) try_one((damage_t)what);
    }
    if (n_failed == 0 && sweep()) n_failed++;
    for (unsigned what = 0; what < N_DAMAGES; what++) {
        unsigned long n = n_trials[what], found = n_at_free[what] + n_by_sweep[what];
        if (n == 0) continue;
        printf("# %-26s %7lu: found at free %6.2f %%, by then or a sweep %8.4f %%; "
               "first byte right %6.2f %%\n",
               names[what], n, 100.0 * (double)n_at_free[what] / (double)n,
               100.0 * (double)found / (double)n,
               n_at_free[what] ? 100.0 * (double)n_named[what] / (double)n_at_free[what] : 0.0);
        bool is_kept = found * 10000u >= n * promised[what];
        n_passed += is_kept;
        n_failed += !is_kept;
    }
    printf("%u passed, %u failed\n", n_passed, n_failed);
    return n_failed ? 1 : 0;
}
