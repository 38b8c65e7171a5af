/* SPDX-License-Identifier: MIT
 *
 * Call stacks (row B5): who called whom is found as it was, through the allocator too, on every
 * machine whose frames are known; what is no stack ends the walk and no more; each stack is kept
 * once. The library this is linked with has frame pointers.
 */
#include <string.h>

#include "base/tally.h"
#include "board.h"
#include "ealloc/allocator.h"
#include "ealloc/profile.h"
#include "observe/stack_internal.h"
#include "tap.h"
#if defined(__unix__)
#include <sys/mman.h>
#endif

#define HAS_FRAMES (EAI_FRAMES != EAI_FRAMES_NONE)
#if defined(__thumb__)
#define ADDRESS(pc) ((uintptr_t)(pc) | 1u)
extern const char board_vectors[], board_data_load[];
#define CODE board_vectors, board_data_load
#else
#define ADDRESS(pc) ((uintptr_t)(pc))
#define CODE NULL, NULL
#endif

static const void *end_of_stack;

static const void *find_end(const void *at)
{
    (void)at;
    return end_of_stack;
}

static const ea_stack_map_t map = {find_end, CODE};
static uintptr_t frames[8];
static size_t n_frames;
static const void *called_from[3];
static volatile unsigned sink;
static void (*innermost)(const void *site);

/* What must be met: the calls of one, two and three, with frames of several shapes. */
static EA_NOINLINE void one(unsigned n)
{
    called_from[0] = __builtin_return_address(0);
    innermost(called_from[0]);
    sink += n;
}

static EA_NOINLINE void two(unsigned n)
{
    volatile unsigned char large[700];
    called_from[1] = __builtin_return_address(0);
    large[n] = (unsigned char)n;
    one(n);
    sink += large[n];
}

static EA_NOINLINE unsigned three(unsigned a, unsigned b, unsigned c, unsigned d)
{
    called_from[2] = __builtin_return_address(0);
    two(a);
    two(b * c);
    sink += a * b + c * d;
    return sink + a + b + c + d;
}

static void run(void (*function)(const void *site))
{
    innermost = function;
    end_of_stack = (const char *)__builtin_frame_address(0) + 8 * sizeof(void *);
    (void)three(1, 2, 3, 4);
}

static void walk(const void *site)
{
    memset(frames, 0, sizeof frames);
    n_frames = ea_stack_walk(&map, site, frames, 3);
}

static void walk_from_here(const void *site)
{
    (void)site;
    memset(frames, 0, sizeof frames);
    n_frames = ea_stack_walk(&map, NULL, frames, 4);
}

TEST(stack_walk_meets_every_caller, 0)
{
    run(walk);
    EXPECT_EQ(n_frames, HAS_FRAMES ? 3 : 1);
    for (unsigned i = 0; i < n_frames; i++) EXPECT_EQ(ADDRESS(frames[i]), ADDRESS(called_from[i]));
    run(walk_from_here);
    EXPECT_EQ(n_frames, HAS_FRAMES ? 4 : 0);
    for (unsigned i = 2; i < n_frames; i++)
        EXPECT_EQ(ADDRESS(frames[i]), ADDRESS(called_from[i - 2]));
}

static void walk_astray(const void *site)
{
    const ea_stack_map_t nothing = {NULL, CODE};
    const ea_stack_map_t no_code = {find_end, (const void *)16, (const void *)32};
    EXPECT_EQ(ea_stack_walk(&nothing, site, frames, 3), 1);
    EXPECT_EQ(frames[0], (uintptr_t)site);
    EXPECT_EQ(ea_stack_walk(&no_code, site, frames, 3), 1);
    EXPECT_EQ(ea_stack_walk(&map, (const void *)77, frames, 3), 1); /* nobody called from there */
    EXPECT_EQ(frames[0], 77);
    EXPECT_EQ(ea_stack_walk(&map, site, frames, 0), 0);
    EXPECT_EQ(ea_stack_walk(&nothing, NULL, frames, 3), 0);
    end_of_stack = __builtin_frame_address(0); /* the stack ends here */
    EXPECT_EQ(ea_stack_walk(&map, site, frames, 3), 1);
    end_of_stack = (const void *)(uintptr_t)8; /* or is another one */
    EXPECT_EQ(ea_stack_walk(&map, site, frames, 3), 1);
}

TEST(stack_walk_falls_back_to_the_site, 0)
{
    run(walk_astray);
}

#define GARBAGE_WORDS 64u

/* In memory that ends where nothing may be read, where there is such. */
TEST(stack_walk_of_garbage_stays_within_it, GARBAGE_WORDS * sizeof(uintptr_t))
{
    uintptr_t *words = tap_ram();
#if defined(__unix__)
    char *pages = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(pages != MAP_FAILED);
    REQUIRE(mprotect(pages + 4096, 4096, PROT_READ | PROT_WRITE) == 0);
    words = (uintptr_t *)(void *)(pages + 2 * 4096) - GARBAGE_WORDS;
#endif
    uint32_t random = (uint32_t)tap_arg("seed", 1), n_deep = 0;
    tap_note("seed", random);
    for (unsigned round = 0; round < 5000; round++) {
        for (unsigned i = 0; i < GARBAGE_WORDS; i++) {
            random = random * 1664525u + 1013904223u;
            uint32_t what = random >> 29, bits = random ^ random >> 13; /* low ones repeat soon */
            words[i] = what < 4   ? (uintptr_t)(words + (random >> 16) % (GARBAGE_WORDS + 2))
                       : what < 5 ? bits
                       : what < 6 ? UINTPTR_MAX - (bits & 31)
                                  : (uintptr_t)words + (bits & 1023);
        }
        eai_frame_t start = {.pc = words[0], .fp = words[1], .low = (uintptr_t)words};
        start.end = (uintptr_t)(words + GARBAGE_WORDS);
#if defined(__unix__)
        start.low = round & 1 ? (uintptr_t)pages : (uintptr_t)(pages + 4096);
        if (round & 1) start.fp = (uintptr_t)(words + 1) + random % 64;
        if (start.low < (uintptr_t)(pages + 4096)) start.low = start.fp & ~(uintptr_t)7;
#endif
        const ea_stack_map_t anywhere = {NULL, words, words + GARBAGE_WORDS};
        size_t n = eai_stack_follow(round & 2 ? &anywhere : &map, start, NULL, frames, 8);
        n_deep += n > 2;
        EXPECT(n <= 8);
    }
    tap_note("walks of more than two frames", n_deep);
#if EAI_FRAMES == EAI_FRAMES_ABOVE
    EXPECT(n_deep > 0);
#endif
#if defined(__unix__)
    munmap(pages, 3 * 4096);
#endif
}

#if EAI_FRAMES == EAI_FRAMES_ABOVE
/* words[0], words[1] are a frame, and so on: its caller's pointer, and the return address. */
TEST(stack_walk_goes_up_only_and_through_code_only, 8 * sizeof(uintptr_t))
{
    uintptr_t *words = tap_ram();
    const ea_stack_map_t code = {NULL, (const void *)1000, (const void *)2000};
    const eai_frame_t start = {
        .fp = (uintptr_t)words, .low = (uintptr_t)words, .end = (uintptr_t)(words + 8)};
    for (unsigned i = 0; i < 8; i += 2) {
        words[i] = (uintptr_t)&words[i + 2];
        words[i + 1] = 1000 + i;
    }
    EXPECT_EQ(eai_stack_follow(&code, start, NULL, frames, 8), 4);
    EXPECT_EQ(frames[3], 1006);
    words[5] = 2000; /* the first address that is no code any more */
    EXPECT_EQ(eai_stack_follow(&code, start, NULL, frames, 8), 2);
    words[5] = 999;
    EXPECT_EQ(eai_stack_follow(&code, start, NULL, frames, 8), 2);
    words[5] = 1999;
    words[4] = (uintptr_t)&words[4]; /* a frame that is its own caller's */
    EXPECT_EQ(eai_stack_follow(&code, start, NULL, frames, 8), 3);
    words[4] = (uintptr_t)&words[2];
    EXPECT_EQ(eai_stack_follow(&code, start, NULL, frames, 8), 3);
}
#define OF_CHAINS , &stack_walk_goes_up_only_and_through_code_only
#else
#define OF_CHAINS
#endif

#if defined(__thumb__)
/* Functions whose beginnings are not read: the walk stops there. */
TEST(stack_walk_stops_at_a_beginning_it_does_not_know, 0)
{
    static const struct {
        uint16_t code[8];
        int offset; /* of the saved registers from r7 on; -1: not known */
    } kinds[] = {
        {{0xB580, 0xAF00, 0xBF00, 0xBF00}, 0},    /* push {r7, lr}; add r7, sp, #0 */
        {{0xB590, 0xB083, 0xAF00, 0xBF00}, 12},   /* sub sp, #12 */
        {{0xB590, 0xB085, 0xAF02, 0xBF00}, 12},   /* add r7, sp, #8 */
        {{0xE92D, 0x4380, 0xAF00, 0xBF00}, 0},    /* push.w {r7, r8, r9, lr} */
        {{0xB580, 0xF5AD, 0x7D00, 0xAF00}, 512},  /* sub.w sp, sp, #512 */
        {{0xB580, 0xF6AD, 0x3DBC, 0xAF00}, 3004}, /* subw sp, sp, #3004 */
        {{0xB580, 0xED2D, 0x8B04, 0xAF00}, 16},   /* vpush {d8, d9} */
        {{0xB5F0, 0xB430, 0xAF00, 0xBF00}, 8},    /* push {r4, r5} */
        {{0xB590, 0x4C01, 0x44A5, 0xAF00, 0xFC00, 0xFFFF}, 1024}, /* add sp, r4 */
        {{0xB590, 0x4B00, 0x44A5, 0xAF00}, -1},                   /* r4 not known */
        {{0xB510, 0xBF00, 0xBF00, 0xBF00}, -1},                   /* no r7 */
        {{0xB580, 0xBF00, 0xBF00, 0xBF00}, -1},                   /* r7 never set */
    };
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        static uintptr_t stack[1024];
        static _Alignas(4) uint16_t code[64];
        for (unsigned k = 0; k < 64; k++) code[k] = 0xBF00; /* nop */
        memcpy(&code[8], kinds[i].code, sizeof kinds[i].code);
        for (unsigned k = 0; k < 1024; k++) stack[k] = (uintptr_t)&code[40] | 1u;
        const ea_stack_map_t here = {NULL, code, code + 64};
        eai_frame_t f = {.pc = (uintptr_t)&code[48] | 1u,
                         .fp = (uintptr_t)stack,
                         .low = (uintptr_t)stack,
                         .end = (uintptr_t)(stack + 1024)};
        uint16_t first = kinds[i].code[0];
        unsigned below_r7 = first == 0xE92D ? 0 : first == 0xB590 ? 1 : first == 0xB5F0 ? 3 : 0;
        if (kinds[i].offset >= 0) stack[kinds[i].offset / 4 + below_r7] = 0x12345678;
        EXPECT_EQ(eai_stack_step(&here, &f), kinds[i].offset >= 0);
        if (kinds[i].offset >= 0) EXPECT_EQ(f.fp, 0x12345678);
    }
}
#define OF_THUMB , &stack_walk_stops_at_a_beginning_it_does_not_know
#else
#define OF_THUMB
#endif

/* --- the table -------------------------------------------------------------------------------- */

#define N_STACKS 8u
#define DEPTH 4u
#define BYTES EA_STACKS_BYTES(N_STACKS, DEPTH)

static ea_stacks_t *begin(void)
{
    const ea_stacks_options_t options = {.n_stacks = N_STACKS, .depth = DEPTH, .map = map};
    return ea_stacks_init(tap_ram(), BYTES, &options);
}

TEST(stacks_init_refuses_what_cannot_be_a_table, BYTES)
{
    char *ram = tap_ram();
    ea_stacks_options_t o = {.n_stacks = N_STACKS, .depth = DEPTH};
    EXPECT(ea_stacks_init(NULL, BYTES, &o) == NULL);
    EXPECT(ea_stacks_init(ram, BYTES, NULL) == NULL);
    EXPECT(ea_stacks_init(ram, BYTES - 1, &o) == NULL);
    EXPECT(ea_stacks_init(ram + 1, BYTES, &o) == NULL);
    o.n_stacks = 12;
    EXPECT(ea_stacks_init(ram, BYTES, &o) == NULL);
    o.n_stacks = 4;
    EXPECT(ea_stacks_init(ram, BYTES, &o) == NULL);
    o.n_stacks = 65536;
    EXPECT(ea_stacks_init(ram, SIZE_MAX, &o) == NULL);
    o.n_stacks = N_STACKS;
    o.depth = EA_STACK_DEPTH_MAX + 1;
    EXPECT(ea_stacks_init(ram, 2 * BYTES, &o) == NULL);
    for (unsigned i = 0; i < BYTES; i++) EXPECT_EQ((unsigned char)ram[i], 0xA5);
    o.depth = 0;
    EXPECT(ea_stacks_init(ram, BYTES, &o) != NULL);
}

TEST(stacks_of_any_depth_up_to_the_largest_are_kept_whole, EA_STACKS_BYTES(8, EA_STACK_DEPTH_MAX))
{
    uintptr_t deep[EA_STACK_DEPTH_MAX + 1];
    ea_stack_t stack;
    for (unsigned i = 0; i <= EA_STACK_DEPTH_MAX; i++) deep[i] = 100 + i;
    for (uint32_t depth = 0; depth <= EA_STACK_DEPTH_MAX; depth++) {
        const ea_stacks_options_t o = {.n_stacks = 8, .depth = depth};
        uint32_t kept = depth ? depth : 1;
        ea_stacks_t *s = ea_stacks_init(tap_ram(), EA_STACKS_BYTES(8, kept), &o);
        REQUIRE(s != NULL);
        EXPECT_EQ(ea_stacks_get(s, ea_stacks_add(s, deep, EA_STACK_DEPTH_MAX + 1), &stack), EA_OK);
        REQUIRE(stack.n_frames == kept);
        EXPECT(memcmp(stack.frames, deep, kept * sizeof *deep) == 0);
        /* Nobody knows a stack here: the call site alone. */
        EXPECT_EQ(ea_stacks_get(s, ea_stacks_here(s, (const void *)77), &stack), EA_OK);
        EXPECT(stack.n_frames == 1 && stack.frames[0] == 77);
    }
}

/* What the second frame must be, so that both have one hash: see key_of() in stack.c. */
TEST(stacks_of_one_hash_are_told_apart, BYTES)
{
    ea_stacks_t *s = begin();
    REQUIRE(s != NULL);
    uintptr_t a[2] = {0x1000, 0x2000}, b[2] = {0x3000, 0};
    uint32_t of_a = eai_hash_of(a[0] ^ 2), of_b = eai_hash_of(b[0] ^ 2);
    b[1] = a[1] ^ of_a ^ of_a >> 15 ^ of_b ^ of_b >> 15;
    uint16_t first = ea_stacks_add(s, a, 2), second = ea_stacks_add(s, b, 2);
    ea_stack_t stack;
    EXPECT(first != second);
    EXPECT_EQ((first & (N_STACKS - 1)) + 1, second); /* so it was one hash */
    EXPECT_EQ(ea_stacks_get(s, second, &stack), EA_OK);
    EXPECT(memcmp(stack.frames, b, sizeof b) == 0);
    EXPECT_EQ(ea_stacks_add(s, a, 2), first);
    EXPECT_EQ(ea_stacks_add(s, b, 2), second);
}

TEST(stacks_keeps_each_stack_once, BYTES)
{
    static const uintptr_t a[] = {10, 20, 30}, b[] = {10, 20}, c[] = {10, 21, 30}, d[] = {11};
    ea_stacks_t *s = begin();
    REQUIRE(s != NULL);
    uint16_t ids[4] = {ea_stacks_add(s, a, 3), ea_stacks_add(s, b, 2), ea_stacks_add(s, c, 3),
                       ea_stacks_add(s, d, 1)};
    EXPECT_EQ(ea_stacks_add(s, a, 3), ids[0]);
    EXPECT_EQ(ea_stacks_add(s, d, 1), ids[3]);
    EXPECT_EQ(ea_stacks_add(s, a, 0), 0);
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < i; k++) EXPECT(ids[i] != 0 && ids[i] != ids[k]);
    ea_stack_t stack;
    EXPECT_EQ(ea_stacks_get(s, ids[0], &stack), EA_OK);
    EXPECT_EQ(stack.n_seen, 2);
    EXPECT_EQ(stack.n_frames, 3);
    EXPECT(memcmp(stack.frames, a, sizeof a) == 0);
    EXPECT_EQ(ea_stacks_get(s, 0, &stack), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_stacks_get(s, N_STACKS + 1, &stack), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_stacks_get(NULL, 1, &stack), EA_ERR_INVALID);
    size_t cursor = 0, n = 0;
    while (ea_stacks_next(s, (const void *)10, &cursor, &stack) == EA_OK) n++;
    EXPECT_EQ(n, 3);
    for (cursor = n = 0; ea_stacks_next(s, NULL, &cursor, &stack) == EA_OK;) n++;
    EXPECT_EQ(n, 4);
    static const uintptr_t deep[] = {1, 2, 3, 4, 5, 6};
    EXPECT_EQ(ea_stacks_get(s, ea_stacks_add(s, deep, 6), &stack), EA_OK);
    EXPECT_EQ(stack.n_frames, DEPTH);
}

TEST(stacks_that_is_full_drops_and_counts, BYTES)
{
    ea_stacks_t *s = begin();
    REQUIRE(s != NULL);
    unsigned n_kept = 0;
    for (uintptr_t i = 1; i <= 3 * N_STACKS; i++) n_kept += ea_stacks_add(s, &i, 1) != 0;
    EXPECT_EQ(n_kept, N_STACKS);
    EXPECT_EQ(ea_stacks_dropped(s), 2 * N_STACKS);
    for (uintptr_t i = 1; i <= N_STACKS; i++) EXPECT(ea_stacks_add(s, &i, 1) != 0);
    ea_stack_t stack;
    for (uint16_t id = 1; id <= N_STACKS; id++) EXPECT_EQ(ea_stacks_get(s, id, &stack), EA_OK);
    for (uintptr_t from = 1; from < 40; from++) { /* the eighth place is the eighth's, too */
        s = begin();
        for (uintptr_t i = from; i < from + N_STACKS; i++) EXPECT(ea_stacks_add(s, &i, 1) != 0);
    }
}

/* --- an allocator ----------------------------------------------------------------------------- */

static ea_allocator_t allocator;
static void *block;

static EA_NOINLINE void allocate(const void *site)
{
    (void)site;
    block = ea_malloc(&allocator, 40);
    sink++;
}

#if EA_CFG_ALLOC_HOOK
static size_t stacks_seen(const ea_stacks_t *s)
{
    ea_stack_t stack;
    size_t cursor = 0, n = 0;
    while (ea_stacks_next(s, NULL, &cursor, &stack) == EA_OK) n += stack.n_seen;
    return n;
}
#endif

TEST(stacks_of_an_allocator_say_who_called_the_caller, BYTES + 4096)
{
#if EA_CFG_ALLOC_HOOK
    ea_stacks_t *s = begin();
    REQUIRE(s != NULL);
    REQUIRE(ea_allocator_init(&allocator, NULL) == EA_OK);
    REQUIRE(ea_allocator_add_region(&allocator, (char *)tap_ram() + (BYTES + 15) / 16 * 16, 4000,
                                    NULL) == EA_OK);
    REQUIRE(ea_stacks_attach(s, &allocator) == EA_OK);
    EXPECT_EQ(ea_stacks_attach(s, &allocator), EA_ERR_BUSY);
    run(allocate); /* twice: from two calls of two() */
    size_t cursor = 0, n = 0;
    ea_stack_t stack;
    while (ea_stacks_next(s, NULL, &cursor, &stack) == EA_OK) {
        n++;
        tap_note("frames", (long long)stack.n_frames);
        EXPECT_EQ(stack.n_frames, HAS_FRAMES ? DEPTH : 1);
        if (!HAS_FRAMES) continue;
        EXPECT_EQ(ADDRESS(stack.frames[2]), ADDRESS(called_from[0]));
        if (ADDRESS(stack.frames[3]) == ADDRESS(called_from[1])) n += 10; /* the second call */
    }
    EXPECT_EQ(n, HAS_FRAMES ? 12 : 1);
    void *other = ea_malloc_ex(&allocator, 40, &(ea_request_t){.caller = (const void *)0x1000});
    cursor = 0;
    EXPECT_EQ(ea_stacks_next(s, (const void *)0x1000, &cursor, &stack), EA_OK);
    EXPECT_EQ(stack.n_seen, 1);
    size_t n_seen = stacks_seen(s);
    other = ea_realloc(&allocator, other, 400);
    EXPECT_EQ(stacks_seen(s), n_seen + 1);
    EXPECT_EQ(ea_free(&allocator, other), EA_OK);
    EXPECT_EQ(ea_free(&allocator, block), EA_OK);
    EXPECT_EQ(stacks_seen(s), n_seen + 1); /* what goes is not handed out */
    EXPECT_EQ(ea_stacks_detach(s, &allocator), EA_OK);
    EXPECT_EQ(ea_stacks_detach(s, &allocator), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_stacks_attach(NULL, &allocator), EA_ERR_INVALID);
    EXPECT_EQ(ea_stacks_detach(NULL, &allocator), EA_ERR_NOT_FOUND);
#endif
}

TEST_MAIN(&stack_walk_meets_every_caller, &stack_walk_falls_back_to_the_site,
          &stack_walk_of_garbage_stays_within_it, &stacks_init_refuses_what_cannot_be_a_table,
          &stacks_of_any_depth_up_to_the_largest_are_kept_whole, &stacks_of_one_hash_are_told_apart,
          &stacks_keeps_each_stack_once, &stacks_that_is_full_drops_and_counts,
          &stacks_of_an_allocator_say_who_called_the_caller OF_CHAINS OF_THUMB)
