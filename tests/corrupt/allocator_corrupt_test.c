/* SPDX-License-Identifier: MIT
 *
 * Damage to a whole allocator (regions, pools, guards), a program a level: EA_CFG_GUARD and
 * EA_CFG_CHECK_LEVEL are both that level.
 *
 *   overflows  1 to 16 random bytes are written behind or before a random live block. Found: its
 *              free refuses, or a sweep tells of damage.
 *   flips      one random bit of any metadata: headers, links, control structures, tags, canaries,
 *              trailers, slots, pools. The program then goes on. Found: any call tells of damage
 *              before there is harm. Harm: the library changed a live block's contents, handed out
 *              a block that overlaps a live one, crashed or hung.
 *
 * Trials run in processes of their own; one that dies of a trial is followed by another.
 *
 *     allocator_corrupt_test_3 [trials=100000] [seed=1]
 */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ealloc/allocator.h"
#include "memory/guard.h"
#include "stores/heap_internal.h"
#include "tap.h"

#define N_REGIONS 2u
#define REGION_BYTES 3072u
#define N_BLOCKS 40u
#define PER_SCENE 40u /* trials of one scene */
#define STEPS 40u

typedef struct {
    unsigned char *ptr;
    size_t size;
    unsigned char fill;
} block_t;

typedef enum { HEADER, LINK, CONTROL, FRONT, BACK, SLOT, POOL, TAGS, N_KINDS } kind_t;
static const char *const kind_names[N_KINDS] = {"headers",       "links and sizes of free blocks",
                                                "heap controls", "tags and canaries",
                                                "trailers",      "slots",
                                                "pools",         "tags of pools"};

/* All that a trial changes, saved before it and put back after it. */
typedef struct {
    ea_allocator_t a;
    ea_poolset_t pools;
    _Alignas(16) unsigned char region[N_REGIONS][REGION_BYTES];
    _Alignas(16) unsigned char pool_memory[2048];
    block_t blocks[N_BLOCKS];
} scene_t;
static scene_t scene, saved;

static unsigned char *meta[sizeof(scene_t)];
static unsigned char meta_kind[sizeof(scene_t)];
static size_t n_meta;

typedef enum { FOUND, NO_EFFECT, CHANGED, OVERLAP, CRASHED, HUNG, N_RESULTS } result_t;

typedef struct {
    unsigned long next; /* trial under way */
    kind_t kind;        /* of that one */
    unsigned long n[N_KINDS][N_RESULTS];
} tally_t;
static tally_t *tally; /* shared by the processes */

static uint64_t state;
static uint32_t next_random(uint32_t limit)
{
    uint64_t z = state += 0x9E3779B97F4A7C15u; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)(((z >> 32) * limit) >> 32);
}

/* --- the scene -------------------------------------------------------------------------------- */

static void keep(void *ptr, size_t size)
{
    if (ptr == NULL) return;
    for (unsigned i = 0; i < N_BLOCKS; i++) {
        if (scene.blocks[i].ptr != NULL) continue;
        scene.blocks[i] = (block_t){ptr, size, (unsigned char)(1 + i)};
        memset(ptr, scene.blocks[i].fill, size);
        return;
    }
    (void)ea_free(&scene.a, ptr);
}

static block_t *any_block(void)
{
    uint32_t from = next_random(N_BLOCKS);
    for (uint32_t i = 0; i < N_BLOCKS; i++)
        if (scene.blocks[(from + i) % N_BLOCKS].ptr) return &scene.blocks[(from + i) % N_BLOCKS];
    return NULL;
}

static void *allocate(size_t size)
{
    switch (next_random(6)) {
    case 0: return ea_aligned_alloc(&scene.a, 64, size);
    case 1: return ea_malloc_ex(&scene.a, size, &(ea_request_t){.capabilities = EA_CAP_DMA});
    default: return ea_malloc(&scene.a, size);
    }
}

static void put(kind_t kind, const void *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        meta[n_meta] = (unsigned char *)(uintptr_t)from + i;
        meta_kind[n_meta++] = (unsigned char)kind;
    }
}

static block_t *block_at(const void *ptr)
{
    for (unsigned i = 0; i < N_BLOCKS; i++)
        if (scene.blocks[i].ptr == ptr) return &scene.blocks[i];
    return NULL;
}

static void map_block(void *context, const ea_heap_block_t *seen)
{
    unsigned char *raw = seen->payload, *end = raw + seen->payload_bytes;
    (void)context;
    put(HEADER, raw - EA_HEAP_OVERHEAD_BYTES, EA_HEAP_OVERHEAD_BYTES);
    if (!seen->used) {
        size_t links = EAI_LINK_BITS / 4;
        put(LINK, raw, links);
        if (seen->payload_bytes >= links + 4) put(LINK, end - 4, 4);
        return;
    }
    const block_t *b = block_at(raw + EAI_FRONT_BYTES);
    put(FRONT, raw, EAI_FRONT_BYTES);
    if (b != NULL && EA_CFG_GUARD > 0)
        put(BACK, b->ptr + b->size, (size_t)(end - b->ptr) - b->size);
#if EAI_TAGGED
    if (raw + EAI_FRONT_BYTES == scene.a.eai_pool_tags)
        put(TAGS, raw + EAI_FRONT_BYTES, (size_t)(end - raw) - EAI_FRONT_BYTES);
#endif
}

static void map_metadata(void)
{
    n_meta = 0;
    for (unsigned i = 0; i < N_REGIONS; i++) {
        ea_heap_t *heap = scene.a.eai_slots[i].eai_heap;
        ea_heap_cursor_t cursor = {0};
        ea_heap_stats_t stats;
        ea_heap_stats(heap, &stats);
        put(CONTROL, heap, stats.control_bytes);
        if (ea_heap_walk(heap, &cursor, SIZE_MAX, map_block, NULL) != EA_OK) abort();
    }
    put(SLOT, scene.a.eai_slots, N_REGIONS * sizeof scene.a.eai_slots[0]);
    put(SLOT, scene.a.eai_order, sizeof scene.a.eai_order);
    put(SLOT, &scene.a.eai_n_regions, sizeof scene.a.eai_n_regions);
#if EA_CFG_ALLOC_POOLS
    put(POOL, &scene.pools, sizeof scene.pools);
    put(POOL, scene.pool_memory,
        (size_t)(scene.pools.eai_begin -
                 scene.pool_memory)); /* controls; bits stand before blocks */
#endif
}

static void make_scene(void)
{
    static const ea_poolset_class_t classes[] = {{32, 6}, {64, 4}};
    static const ea_region_options_t dma = {.capabilities = EA_CAP_DMA};
    ea_allocator_options_t o = {.secret = next_random(1u << 30) * 2654435761u};
#if EA_CFG_GUARD >= 3
    o.quarantine_bytes = 500;
#endif
    memset(&scene, 0, sizeof scene);
    if (ea_allocator_init(&scene.a, &o) != EA_OK ||
        ea_allocator_add_region(&scene.a, scene.region[0], REGION_BYTES, NULL) != EA_OK ||
        ea_allocator_add_region(&scene.a, scene.region[1], REGION_BYTES, &dma) != EA_OK ||
        ea_poolset_init(&scene.pools, scene.pool_memory, sizeof scene.pool_memory, classes, 2,
                        NULL) != EA_OK ||
        ea_allocator_set_pools(&scene.a, &scene.pools) != EA_OK)
        abort();
    for (unsigned i = 0; i < 60; i++) {
        size_t size = next_random(4) ? 1 + next_random(90) : 1 + next_random(300);
        block_t *b = next_random(3) == 0 ? any_block() : NULL;
        if (b != NULL) {
            (void)(next_random(8) ? ea_free(&scene.a, b->ptr) : ea_free_isr(&scene.a, b->ptr));
            b->ptr = NULL;
        } else if (i < 56) {
            keep(allocate(size), size);
        }
    }
    map_metadata();
    saved = scene;
}

/* --- what happened ---------------------------------------------------------------------------- */

static bool is_intact(const block_t *b)
{
    for (size_t i = 0; i < b->size; i++)
        if (b->ptr[i] != b->fill) return false;
    return true;
}

static bool are_all_intact(void)
{
    for (unsigned i = 0; i < N_BLOCKS; i++)
        if (scene.blocks[i].ptr != NULL && !is_intact(&scene.blocks[i])) return false;
    return true;
}

/* Would this block overlap a live one, or lie nowhere? */
static bool overlaps(const unsigned char *ptr, size_t size)
{
    for (unsigned i = 0; i < N_BLOCKS; i++) {
        const block_t *b = &scene.blocks[i];
        if (b->ptr != NULL && ptr < b->ptr + b->size && b->ptr < ptr + size) return true;
    }
    const unsigned char *from = (const unsigned char *)&scene.region[0][0];
    const unsigned char *to = (const unsigned char *)scene.pool_memory + sizeof scene.pool_memory;
    return ptr < from || ptr + size > to;
}

static unsigned long damage_told(void)
{
    unsigned long n = scene.a.eai_n_damaged;
    for (unsigned i = 0; i < N_REGIONS; i++) {
        ea_heap_stats_t stats;
        if (ea_allocator_region_stats(&scene.a, scene.region[i], &stats) == EA_OK)
            n += stats.n_corruptions;
    }
    return n;
}

static bool sweep_tells(void)
{
    ea_allocator_cursor_t cursor = {0};
    ea_status_t status;
    bool told = false;
    for (unsigned i = 0; i < 1000; i++) {
        status = ea_allocator_sweep(&scene.a, &cursor, 64);
        if (status == EA_OK) break;
        told |= status == EA_ERR_CORRUPT;
        if (told) break;
    }
    return told;
}

/* --- overflows -------------------------------------------------------------------------------- */

static bool try_overflow(result_t *result)
{
    block_t *b = any_block();
    size_t n = 1 + next_random(16);
    if (b == NULL) return false;
    unsigned char *at = next_random(2) ? b->ptr + b->size : b->ptr - n;
    bool changed = false, told;
    tally->kind = at < b->ptr ? FRONT : BACK;
    for (size_t i = 0; i < n; i++) {
        unsigned char value = (unsigned char)next_random(256);
        if (at + i >= (unsigned char *)&scene.blocks) break;
        changed |= at[i] != value;
        at[i] = value;
    }
    if (!changed) return false;
    if (next_random(2)) {
        told = sweep_tells() || ea_free(&scene.a, b->ptr) != EA_OK;
    } else {
        told = ea_free(&scene.a, b->ptr) != EA_OK || sweep_tells();
    }
    *result = told ? FOUND : NO_EFFECT;
    return true;
}

/* --- flips ------------------------------------------------------------------------------------ */

static result_t go_on(void)
{
    unsigned long before = damage_told();
    for (unsigned i = 0; i < STEPS; i++) {
        block_t *b = any_block();
        uint32_t what = next_random(8);
        bool told = false;
        if (b != NULL && what < 4) {
            if (!is_intact(b)) return CHANGED;
            told = ea_free(&scene.a, b->ptr) != EA_OK;
            if (!told) b->ptr = NULL;
        } else if (b != NULL && what == 4) {
            size_t size = 1 + next_random(200), kept = size < b->size ? size : b->size;
            unsigned char *ptr = ea_realloc(&scene.a, b->ptr, size);
            if (ptr != NULL) {
                block_t old = *b;
                b->ptr = NULL;
                for (size_t k = 0; k < kept; k++)
                    if (ptr[k] != old.fill && damage_told() == before) return CHANGED;
                if (overlaps(ptr, size)) return damage_told() != before ? FOUND : OVERLAP;
                *b = (block_t){ptr, size, old.fill};
                memset(ptr, b->fill, size);
            }
        } else {
            size_t size = 1 + next_random(120);
            unsigned char *ptr = allocate(size);
            if (ptr != NULL && overlaps(ptr, size))
                return damage_told() != before ? FOUND : OVERLAP;
            keep(ptr, size);
        }
        bool intact = are_all_intact();
        if (told || damage_told() != before) return intact ? FOUND : CHANGED;
        if (!intact) return CHANGED;
    }
    bool told = sweep_tells();
    if (!are_all_intact()) return CHANGED;
    return told ? FOUND : NO_EFFECT;
}

static bool try_flip(result_t *result)
{
    size_t i = next_random((uint32_t)n_meta);
    tally->kind = (kind_t)meta_kind[i];
    *meta[i] ^= (unsigned char)(1u << next_random(8));
    *result = go_on();
    return true;
}

/* --- the campaign ----------------------------------------------------------------------------- */

static void run_from(bool (*trial)(result_t *result), unsigned long seed, unsigned long n)
{
    unsigned long built = ULONG_MAX;
    for (; tally->next < n; tally->next++) {
        unsigned long i = tally->next;
        result_t result = FOUND;
        if (i / PER_SCENE != built) {
            built = i / PER_SCENE;
            state = seed * 1000003u + built;
            make_scene();
        }
        scene = saved;
        state = (seed + i) * 0x2545F4914F6CDD1Du;
        alarm(5);
        if (trial(&result)) tally->n[tally->kind][result]++;
    }
}

static void campaign(const char *name, bool (*trial)(result_t *result), unsigned long n)
{
    unsigned long seed = tap_arg("seed", 1), sum[N_RESULTS] = {0}, all = 0;
    memset(tally, 0, sizeof *tally);
    tap_note("seed", (long long)seed);
    fflush(stdout);
    while (tally->next < n) {
        pid_t pid = fork();
        int status = 0;
        if (pid == 0) {
            run_from(trial, seed, n);
            _exit(0);
        }
        REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) break;
        bool hung = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
        tally->n[tally->kind][hung ? HUNG : CRASHED]++;
        tally->next++;
    }
    for (unsigned k = 0; k < N_KINDS; k++) {
        unsigned long of_kind = 0;
        for (unsigned r = 0; r < N_RESULTS; r++) of_kind += tally->n[k][r];
        for (unsigned r = 0; r < N_RESULTS; r++) sum[r] += tally->n[k][r];
        all += of_kind;
        if (of_kind == 0) continue;
        printf("# level %d %s, %s: %lu; found %.3f %%, no effect %.3f %%, changed contents %lu, "
               "overlap %lu, crash %lu, hang %lu\n",
               EA_CFG_GUARD, name, kind_names[k], of_kind,
               100.0 * (double)tally->n[k][FOUND] / (double)of_kind,
               100.0 * (double)tally->n[k][NO_EFFECT] / (double)of_kind, tally->n[k][CHANGED],
               tally->n[k][OVERLAP], tally->n[k][CRASHED], tally->n[k][HUNG]);
    }
    unsigned long harm = sum[CHANGED] + sum[OVERLAP] + sum[CRASHED] + sum[HUNG];
    printf("# level %d %s: %lu trials, %.3f %% found, %.3f %% without effect, %.3f %% harm, "
           "%lu overlaps\n",
           EA_CFG_GUARD, name, all, 100.0 * (double)sum[FOUND] / (double)all,
           100.0 * (double)sum[NO_EFFECT] / (double)all, 100.0 * (double)harm / (double)all,
           sum[OVERLAP]);
    fflush(stdout);
    /* Per thousand, by level: overflows found at least; of flips that are found or do harm, those
     * found. Overlaps from level 2 on: none. */
    static const unsigned long overflows_least[] = {0, 900, 980, 999};
    static const unsigned long flips_least[] = {0, 700, 900, 990};
    EXPECT(all > n / 2);
    if (trial == try_overflow)
        EXPECT(sum[FOUND] * 1000u >= all * overflows_least[EA_CFG_GUARD]);
    else
        EXPECT(sum[FOUND] * 1000u >= (sum[FOUND] + harm) * flips_least[EA_CFG_GUARD]);
    if (EA_CFG_GUARD >= 2) EXPECT_EQ(sum[OVERLAP], 0);
}

static bool share_tally(void)
{
    tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return tally != MAP_FAILED;
}

TEST(allocator_finds_writes_beyond_blocks, 0)
{
    REQUIRE(share_tally());
    campaign("overflows", try_overflow, tap_arg("trials", 4000));
}

TEST(allocator_finds_damaged_metadata_before_it_does_harm, 0)
{
    REQUIRE(share_tally());
    campaign("flips", try_flip, tap_arg("trials", 4000));
}

TEST_MAIN(&allocator_finds_writes_beyond_blocks,
          &allocator_finds_damaged_metadata_before_it_does_harm)
